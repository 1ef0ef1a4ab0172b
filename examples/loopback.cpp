/// moql-loopback: carries a file through two sessions over a network in memory, in every version of moq-lite, and tells
/// whether what came out is what went in, and what it cost.
///
/// Exit codes: 0 everything equal, 1 something different, 2 nothing done (bad arguments, unusable file, ...).

#include <CLI/CLI.hpp>

#include "hash.hpp"
#include "recording.hpp"
#include "transfer.hpp"

namespace {

using namespace examples;

constexpr int equal = 0, different = 1, unusable = 2;

struct options {
  std::string file;
  std::string version_name = "all";
  std::uint64_t seed = 1;
  std::size_t chunk = 8192;
  std::optional<unsigned> datagram_loss;
  bool log = false;
  std::string out;
  std::string record;
};

int refuse(const std::string& what) {
  std::fprintf(stderr, "moql-loopback: %s\n", what.c_str());
  return unusable;
}

/// Every twentieth of a long file, on the error output; a terminal shows one line that changes.
class progress_line {
 public:
  progress_line(std::string_view version, std::uint64_t size) : version_(version), size_(size) {}
  void operator()(std::uint64_t bytes) {
    if (size_ <= std::uint64_t{8} << 20) return;
    const auto percent = static_cast<unsigned>(bytes * 20 / size_ * 5);
    if (percent == last_) return;
    last_ = percent;
    const bool is_terminal = ::isatty(STDERR_FILENO) != 0;
    std::fprintf(stderr, "%sversion %s: %u%%%s", is_terminal ? "\r" : "", version_.data(), percent,
                 is_terminal && percent != 100 ? "" : "\n");
  }

 private:
  std::string_view version_;
  std::uint64_t size_;
  unsigned last_ = 0;
};

void print(moql::version v, const transfer_result& r, bool has_meter, bool is_equal) {
  std::printf("%s  groups %zu  frames %zu  bytes %llu  streams %llu  control %llu bytes  overhead %.1f bytes/frame",
              moql::facts(v).name.data(), r.groups, r.frames, static_cast<unsigned long long>(r.bytes),
              static_cast<unsigned long long>(r.streams), static_cast<unsigned long long>(r.control_bytes),
              r.frames == 0 ? 0.0 : static_cast<double>(r.control_bytes) / static_cast<double>(r.frames));
  if (r.warm_groups == 0 || r.groups < r.warm_groups)  // there was no steady state
    std::printf("  allocations n/a");
  else
    std::printf("  allocations %llu after group %zu", static_cast<unsigned long long>(r.steady_allocations),
                r.warm_groups);
  if (has_meter) std::printf("  datagrams %zu/%zu", r.datagrams_received, r.datagrams_sent);
  std::printf("  %s\n", is_equal ? "equal" : "DIFFERENT");
  std::fflush(stdout);
}

/// One version, from the file to the file.
int carry(moql::version v, const options& o, const media& cut, byte_view file, const std::string& sum) {
  const std::string_view name = moql::facts(v).name;
  pending_file out(o.out);
  if (!out.why().empty()) return refuse(out.why());

  const transfer* running = nullptr;
  session_text log(v, stdout, [&] {
    char stamp[32];
    std::snprintf(stamp, sizeof stamp, "%9.3f ms", static_cast<double>(running->now().us) / 1000);
    return std::string(stamp);
  });
  recorder record(v, "loopback", "moql-loopback " + std::filesystem::path(o.file).filename().string());
  transfer_options t{v, o.seed, o.chunk, o.datagram_loss};
  if (o.log) t.listeners.push_back(&log);
  if (!o.record.empty()) t.listeners.push_back(&record);
  t.progress = progress_line(name, file.size());
  if (o.log) std::printf("-- version %s\n", name.data());

  transfer job(t, cut, file, out);
  running = &job;
  const transfer_result r = job.run();
  out.close();
  std::string why = out.why();
  bool is_equal = r.trouble.empty() && why.empty();
  if (is_equal) {
    const auto written = read_file(out.temporary(), why);
    is_equal = written && sha256(*written) == sum;
  }
  if (is_equal) out.keep();
  print(v, r, o.datagram_loss && moql::has_datagrams(v), is_equal);
  if (!r.trouble.empty()) std::fprintf(stderr, "moql-loopback: version %s: %s\n", name.data(), r.trouble.c_str());
  if (!why.empty()) return refuse(why);
  if (!out.why().empty()) return refuse(out.why());
  if (!o.record.empty()) {
    pending_file to(o.record);
    const std::string text = record.text();
    to.write({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    to.keep();
    if (!to.why().empty()) return refuse(to.why());
  }
  return is_equal ? equal : different;
}

int run(const options& o) {
  std::vector<moql::version> versions;
  for (const auto& f : moql::all_versions)
    if (o.version_name == "all" || o.version_name == f.name) versions.push_back(f.id);
  if (versions.empty()) return refuse("--version " + o.version_name + ": not one of 01, 02, 03, 04, 05, 06, all");
  if (!o.record.empty() && versions.size() != 1) return refuse("--record: one session a file, so --version is needed");
  std::string why;
  const auto file = read_file(o.file, why);
  if (!file) return refuse(why);
  const auto cut_file = cut(*file, why);
  if (!cut_file) return refuse(complaint(o.file, "is empty, there is nothing to send"));
  std::error_code error;
  if (!o.out.empty() && std::filesystem::equivalent(o.file, o.out, error))
    return refuse(complaint(o.out, "is the file that is sent"));
  const std::string sum = sha256(*file);
  if (sum.empty()) return refuse("libcrypto has no SHA-256");
  int worst = equal;
  for (const moql::version v : versions) {
    worst = std::max(worst, carry(v, o, *cut_file, *file, sum));
    if (worst == unusable) break;
  }
  return worst;
}

}  // namespace

int main(int argc, char** argv) {
  options o;
  CLI::App app("Carries FILE through two moq-lite sessions over a network in memory and compares what comes out.");
  app.add_option("FILE", o.file, "What to send; a fragmented MP4 is cut where a player may start")->required();
  app.add_option("--version", o.version_name, "01, 02, 03, 04, 05, 06 or all")->capture_default_str();
  app.add_option("--seed", o.seed, "Of the network's chances: the same seed, the same run")->capture_default_str();
  app.add_option("--chunk", o.chunk, "Largest fragment in which a stream's bytes arrive")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 20))
      ->capture_default_str();
  app.add_option("--drop-datagrams", o.datagram_loss,
                 "Sends a track of datagrams too (05, 06) and loses this percentage")
      ->check(CLI::Range(0, 100));
  app.add_flag("--log", o.log, "Prints every message, frame and stream end with its virtual time");
  app.add_option("--out", o.out, "Keeps what came out, if it is equal");
  app.add_option("--record", o.record, "Writes the session as JSON, for moql-inspect");
  try {
    app.parse(argc, argv);
    return run(o);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& e) {
    return refuse(e.what());
  } catch (const std::exception& e) {  // memory ran out
    return refuse(e.what());
  }
}
