// seed_corpus VECTORS OUT: writes one corpus file for fuzz/decode.cpp per message in the vectors' .jsonl files: the
// message, the version, the bytes. No JSON library: the lines are flat enough to pick three strings from.

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "moql/message/all.hpp"

using namespace moql;

namespace {

std::string string_at(const std::string& line, const std::string& key) {
  const std::string from = "\"" + key + "\":";
  std::size_t at = line.find(from);
  if (at == std::string::npos) return {};
  at = line.find_first_not_of(' ', at + from.size());
  if (at == std::string::npos || line[at] != '"') return {};
  return line.substr(at + 1, line.find('"', at + 1) - at - 1);
}

/// The number by which the fuzz target knows a message.
struct numbering {
  std::string_view name;
  version v;
  int at = 0;
  int found = -1;
  template <class M>
  void operator()() {
    if (found < 0 && M::in.has(v))
      for (const version_facts& w : all_versions)
        if (M::name(w.id) == name) found = at;
    ++at;
  }
};

int number_of(std::string name, version v) {
  if (name == "SUBSCRIBE_START") name = "SUBSCRIBE_OK";
  if (name == "ANNOUNCE_RESTART") name = "ANNOUNCE_UPDATE";
  if (name == "SESSION_CLIENT_COMPAT") name = "CLIENT_SETUP";
  if (name == "SESSION_SERVER_COMPAT") name = "SERVER_SETUP";
  if (name == "GROUP_STREAM") name = "GROUP";
  if (name == "FETCH_RESPONSE") name = "FRAME";
  numbering n{name, v};
  msg::for_each_message(n);
  return n.found;
}

int nibble(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0; }

}  // namespace

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  if (argc != 3 || !fs::is_directory(argv[1])) {
    std::fprintf(stderr, "usage: seed_corpus VECTORS OUT\n");
    return 2;
  }
  fs::create_directories(argv[2]);
  std::size_t written = 0;
  for (const auto& entry : fs::directory_iterator(argv[1])) {
    if (entry.path().extension() != ".jsonl") continue;
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);) {
      const std::string version_name = string_at(line, "version");
      const auto v = version_named(version_name == "06wip" ? "06" : std::string_view(version_name));
      const std::string hex = string_at(line, "hex");
      if (!v || hex.size() > 2048) continue;
      const int message = number_of(string_at(line, "message"), *v);
      if (message < 0) continue;
      std::string bytes{static_cast<char>(message), static_cast<char>(static_cast<int>(*v) - 1)};
      for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
        bytes += static_cast<char>(nibble(hex[i]) << 4 | nibble(hex[i + 1]));
      std::ofstream out(fs::path(argv[2]) / ("vector-" + std::to_string(written)), std::ios::binary);
      out << bytes;
      if (!out) {
        std::fprintf(stderr, "seed_corpus: cannot write to %s\n", argv[2]);
        return 1;
      }
      ++written;
    }
  }
  std::printf("%zu files\n", written);
  return written == 0 ? 1 : 0;
}
