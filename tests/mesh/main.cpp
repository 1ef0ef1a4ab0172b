/// Relays, publishers and subscribers in a mesh, under faults: see story.hpp.
///
///   mesh --seeds 1..20000     runs these seeds; exit 1 at the first broken promise
///   mesh --verbose 17         tells all that happens in one seed
///   mesh --faultless          nothing goes wrong
///   mesh --ci                 also fails when a fault fired too rarely or too few seeds were alive

#include <unistd.h>
#include <csignal>

#include "story.hpp"

namespace {

std::uint64_t running = 0;

void died(int signal) {
  char text[96];
  const int n =
      std::snprintf(text, sizeof text, "seed %llu: signal %d\n", static_cast<unsigned long long>(running), signal);
  (void)!::write(2, text, static_cast<std::size_t>(n));
  ::_exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t first = 1, last = 1000;
  bool is_verbose = false, is_faultless = false, is_ci = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view a = argv[i];
    if (a == "--seeds" && i + 1 < argc) {
      char* rest = nullptr;
      first = last = std::strtoull(argv[++i], &rest, 10);
      if (rest[0] == '.' && rest[1] == '.') last = std::strtoull(rest + 2, nullptr, 10);
    } else if (a == "--verbose" && i + 1 < argc) {
      first = last = std::strtoull(argv[++i], nullptr, 10);
      is_verbose = true;
    } else if (a == "--faultless") {
      is_faultless = true;
    } else if (a == "--ci") {
      is_ci = true;
    } else {
      std::fprintf(stderr, "usage: mesh [--seeds A..B | --verbose SEED] [--faultless] [--ci]\n");
      return 2;
    }
  }
  for (const int s : {SIGABRT, SIGSEGV, SIGILL, SIGTRAP, SIGFPE, SIGBUS, SIGALRM}) std::signal(s, died);
  mesh::totals sum;
  for (running = first; running <= last; ++running) {
    ::alarm(120);  // of a seed that never ends the number is told
    mesh::story s(running, is_verbose);
    s.only_faultless = is_faultless;
    const std::string why = s.play(sum);
    if (why.empty()) continue;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(running), why.c_str());
    return 1;
  }
  return mesh::report(sum, is_ci) ? 0 : 1;
}
