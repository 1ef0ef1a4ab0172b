// seed_corpus VECTORS OUT: writes to OUT/decode one corpus file for fuzz/decode.cpp per message in the vectors' .jsonl
// files (the message, the version, the bytes), and to OUT/session_bytes four for fuzz/session_bytes.cpp per recorded
// session: what the peer sent, for each side, with calls of the application where that side opened streams. To OUT/qmux
// go what either side of a recorded QMux connection heard, and the bytes of qmux/reactions.jsonl.
// No JSON library: the lines are flat enough to pick a few strings from.

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
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

std::string from_hex(const std::string& hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(nibble(hex[i]) << 4 | nibble(hex[i + 1]));
  return out;
}
long number_at(const std::string& line, const std::string& key) {
  const std::size_t at = line.find("\"" + key + "\":");
  return at == std::string::npos ? -1 : std::strtol(line.c_str() + at + key.size() + 3, nullptr, 10);
}

/// One session file as fuzz/session_bytes.cpp reads it, seen from one side.
class recording {
 public:
  struct happening {
    int stream;
    bool is_uni, is_by_client, opens;
    std::string data;
    long reset, stop;
    bool fin, from_client, is_datagram;
  };
  explicit recording(std::istream& in) {
    happening now{};
    bool opens = false;
    for (std::string line; std::getline(in, line);) {
      if (version_name.empty()) version_name = string_at(line, "version");
      if (number_at(line, "stream") >= 0) {
        now = {};
        now.stream = static_cast<int>(number_at(line, "stream"));
        now.is_uni = string_at(line, "kind") == "uni";
        now.is_by_client = string_at(line, "opener") == "client";
        opens = true;
        continue;
      }
      if (line.find("\"datagrams\":") != std::string::npos) {
        now = {};
        now.is_datagram = true;
      }
      const long at = number_at(line, "at");
      const std::string from = string_at(line, "from");
      if (at < 0 || from.empty() || line.find("\"auto\":true") != std::string::npos) continue;
      happening h = now;
      h.from_client = from == "client";
      h.data = from_hex(string_at(line, "hex"));
      h.fin = line.find("\"fin\":true") != std::string::npos;
      h.reset = number_at(line, "reset");
      h.stop = number_at(line, "stop");
      h.opens = opens;
      opens = false;
      all[at] = h;
    }
  }
  [[nodiscard]] std::string seen_by(bool client) const {
    const auto v = version_named(version_name == "06wip" ? "06" : std::string_view(version_name));
    if (!v) return {};
    std::string out{static_cast<char>(static_cast<int>(*v) - 1), static_cast<char>((client ? 0 : 1) | 1 << 3), 0, 7};
    std::map<int, int> number;  // of the recording's streams here
    int next = 0;
    int reserved = -1;
    for (const auto& [at, h] : all) {
      const bool is_ours = h.is_by_client == client;
      if (h.is_datagram) {
        std::string rest = h.data;
        if (h.from_client == client || rest.size() > 254) continue;
        out += char(6);
        put(out, rest);
        continue;
      }
      if (h.opens && is_ours) {
        const int type = h.data.empty() ? -1 : h.data[0];
        if (!h.is_uni && (type == 2 || type == 6)) {  // a subscription of 05 and 06 opens both, TRACK first
          if (reserved < 0) {
            out += {char(7 | 11 << 3), char(2), char(0)};
            if (has_track_stream(*v)) reserved = next++;
            number[h.stream] = type == 6 ? reserved : next;
            ++next;
            if (!has_track_stream(*v))
              reserved = -1;
            else
              reserved = type == 6 ? next - 1 : reserved;
          } else {
            number[h.stream] = reserved;
            reserved = -1;
          }
          continue;
        }
        number[h.stream] = next++;
        if (h.is_uni && type == 0 && next > 2)
          out += {char(7 | 17 << 3), char(7 | 18 << 3), char(1), char(2), 'h', 'i'};
        if (!h.is_uni && type == 1) out += {char(7 | 7 << 3), char(0)};
        if (!h.is_uni && type == 3) out += {char(7 | 14 << 3), char(2), char(0)};
        if (!h.is_uni && type == 4) out += {char(7 | 22 << 3), char(0)};
        if (!h.is_uni && type == 5) out += {char(7 | 25 << 3), char(0), char(0)};
        continue;
      }
      if (h.from_client == client || out.size() > 8000) continue;
      std::string rest = h.data;
      if (h.opens) {
        number[h.stream] = next++;
        out += static_cast<char>((h.is_uni ? 1 : 0) | (h.fin ? 1 << 3 : 0));
        put(out, rest);
      }
      const auto n = number.find(h.stream);
      if (n == number.end() || n->second > 31) continue;
      const auto op = [&](int what) { out += static_cast<char>(what | n->second << 3); };
      while (!rest.empty()) {
        op(2);
        put(out, rest);
      }
      if (h.fin && !h.opens) {
        op(3);
        out += char(0);
      }
      if (h.reset >= 0) {
        op(4);
        out += static_cast<char>(h.reset);
      }
      if (h.stop >= 0) {
        op(5);
        out += static_cast<char>(h.stop);
      }
    }
    return out;
  }

 private:
  /// Moves up to 254 bytes of `from` to `to`, behind their length.
  static void put(std::string& to, std::string& from) {
    const std::size_t n = from.size() < 254 ? from.size() : 254;
    to += static_cast<char>(n);
    to += from.substr(0, n);
    from.erase(0, n);
  }
  std::string version_name{};
  std::map<long, happening> all{};
};

/// A request whose stream ends in some way before anyone has read it: what no recording has.
std::string ended_early(version v, int type, int end) {
  const text room = text::of(reinterpret_cast<const std::uint8_t*>("room"), 4);
  const text video = text::of(reinterpret_cast<const std::uint8_t*>("video"), 5);
  std::uint8_t body[64];
  encoded e;
  if (type == 1) e = encode(msg::announce_request{.prefix = room}, v, body);
  if (type == 2) e = encode(msg::subscribe{7, room, video, {}}, v, body);
  if (type == 3) e = encode(msg::fetch{room, video, 0, 0, 0, {}}, v, body);
  if (type == 6) e = encode(msg::track{room, video}, v, body);
  if (e.why != errc::ok) return {};
  std::string out{static_cast<char>(static_cast<int>(v) - 1), char(1 | 1 << 3), static_cast<char>(128), 7};
  out += {static_cast<char>(end << 3 & 8), static_cast<char>(e.size + 1), static_cast<char>(type)};
  out.append(reinterpret_cast<const char*>(body), e.size);
  // The session has opened its Setup stream, and in 01 and 02 the peer's first must be another.
  const int at = has_setup(v) ? 1 : 0;
  if (end < 2) out += {static_cast<char>(5 | at << 3), 1};
  if (end > 1) out += {static_cast<char>(4 | at << 3), 1};
  return out += {char(7), 1};
}

/// What one side of a recorded QMux connection heard, or what a line sends, as fuzz/qmux.cpp reads it: over a byte
/// stream and in messages, with roomy limits and with small ones.
class qmux_seed {
 public:
  explicit qmux_seed(const std::string& revision_name) {
    for (const char* name : {"webtransport", "qmux-00", "qmux-01", "qmux-02"}) {
      if (revision_name == name) is_known_ = true;
      if (!is_known_) ++revision_;
    }
  }
  [[nodiscard]] bool is_known() const { return is_known_; }
  void hears(std::string bytes) {
    if (bytes.size() > 500) return;
    body_ += char(1);
    body_ += static_cast<char>(bytes.size() < 255 ? bytes.size() : 255);
    if (bytes.size() >= 255) body_ += static_cast<char>(bytes.size() - 255);
    body_ += bytes + std::string{char(6 | 31 << 3), char(5), char(5 | 1 << 3)};  // the output is taken, two are read
  }
  /// It opens a stream of the kind and writes on one.
  void speaks(bool is_uni) { body_ += {static_cast<char>(is_uni ? 2 | 1 << 3 : 2), char(3 | 1 << 3), char(40)}; }
  [[nodiscard]] std::string bytes(bool in_messages, bool as_server, bool small) const {
    return std::string{static_cast<char>(revision_ | (in_messages ? 4 : 0) | (as_server ? 8 : 0)),
                       static_cast<char>(small ? 63 : 0), char(7), char(0)} +
           body_;
  }

 private:
  int revision_ = 0;
  bool is_known_ = false;
  std::string body_{};
};

bool write(const std::filesystem::path& to, const std::string& bytes) {
  std::ofstream out(to, std::ios::binary);
  out << bytes;
  if (!out) std::fprintf(stderr, "seed_corpus: cannot write %s\n", to.c_str());
  return static_cast<bool>(out);
}

std::size_t write_qmux(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::size_t written = 0;
  const auto add = [&](const qmux_seed& seed, const std::string& name, bool as_server) {
    for (const bool in_messages : {false, true})
      for (const bool small : {false, true})
        written += write(to / (name + (in_messages ? "-messages" : "-bytes") + (small ? "-small" : "")),
                         seed.bytes(in_messages, as_server, small));
  };
  for (const auto& entry : std::filesystem::directory_iterator(from)) {
    std::ifstream in(entry.path());
    const std::string stem = entry.path().stem().string();
    if (entry.path().filename() == "reactions.jsonl") {
      for (std::string line; std::getline(in, line);) {
        qmux_seed seed(string_at(line, "qmux_version"));
        const std::size_t end = line.find(']');
        for (std::size_t at = line.find('['); at < end && (at = line.find('"', at)) < end;) {
          const std::size_t close = line.find('"', at + 1);
          const std::string hex = line.substr(at + 1, close - at - 1);
          if (hex.find_first_not_of("0123456789abcdef") == std::string::npos) seed.hears(from_hex(hex));
          at = close + 1;
        }
        if (seed.is_known()) add(seed, string_at(line, "id"), false);
      }
      continue;
    }
    if (entry.path().extension() != ".json") continue;
    std::string revision_name;
    std::string all;
    for (std::string line; std::getline(in, line);) {
      if (revision_name.empty()) revision_name = string_at(line, "qmux_version");
      if (line.find("\"frames\":") != std::string::npos) all += line + "\n";
    }
    for (const bool as_server : {false, true}) {
      qmux_seed seed(revision_name);
      std::istringstream lines(all);
      for (std::string line; std::getline(lines, line);) {
        const std::string bytes = from_hex(string_at(line, "hex"));
        if ((string_at(line, "from") == "client") == as_server)
          seed.hears(bytes);
        else if (bytes.size() > 1 && (bytes[0] & 0xf8) == 8)
          seed.speaks((bytes[1] & 2) != 0);
      }
      if (seed.is_known() && !all.empty()) add(seed, stem + (as_server ? "-server" : "-client"), as_server);
    }
  }
  return written;
}

}  // namespace

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  if (argc != 3 || !fs::is_directory(argv[1])) {
    std::fprintf(stderr, "usage: seed_corpus VECTORS OUT\n");
    return 2;
  }
  const fs::path messages = fs::path(argv[2]) / "decode";
  const fs::path sessions = fs::path(argv[2]) / "session_bytes";
  fs::create_directories(messages);
  fs::create_directories(sessions);
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
      const std::string head{static_cast<char>(message), static_cast<char>(static_cast<int>(*v) - 1)};
      if (!write(messages / ("vector-" + std::to_string(written)), head + from_hex(hex))) return 1;
      ++written;
    }
  }
  for (const version_facts& v : all_versions)
    for (const int type : {1, 2, 3, 6})
      for (int end = 0; end < 4; ++end) {
        const std::string bytes = ended_early(v.id, type, end);
        if (bytes.empty()) continue;
        const std::string name =
            "early-" + std::string(v.name) + "-" + std::to_string(type) + "-" + std::to_string(end);
        if (!write(sessions / name, bytes)) return 1;
        ++written;
      }
  if (fs::is_directory(fs::path(argv[1]) / "sessions"))
    for (const auto& entry : fs::directory_iterator(fs::path(argv[1]) / "sessions")) {
      std::ifstream in(entry.path());
      const recording r(in);
      for (const bool client : {true, false}) {
        std::string bytes = r.seen_by(client);
        if (bytes.empty()) continue;
        const std::string name = entry.path().stem().string() + (client ? "-client" : "-server");
        if (!write(sessions / name, bytes)) return 1;
        bytes[2] = static_cast<char>(128);  // and the same with everything at once
        if (!write(sessions / (name + "-batch"), bytes)) return 1;
        ++written;
        ++written;
      }
    }
  if (fs::is_directory(fs::path(argv[1]) / "qmux")) {
    fs::create_directories(fs::path(argv[2]) / "qmux");
    written += write_qmux(fs::path(argv[1]) / "qmux", fs::path(argv[2]) / "qmux");
  }
  std::printf("%zu files\n", written);
  return written == 0 ? 1 : 0;
}
