#pragma once
/// The options that the programs share, and how they report.

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <optional>

#include "options.hpp"
#include "words.hpp"

namespace net {

/// Exit codes of every program.
inline constexpr int all_well = 0, went_wrong = 1, not_started = 2;

struct shared_options {
  std::vector<std::string> versions{};
  bool insecure = false;
  std::vector<std::string> hashes{};
  std::string ca_file{};
  std::string cert_file{}, key_file{};
  bool log = false;
  bool quiet = false;
};

/// Reads the command line. A value is the code to leave with: help was asked for, or something is wrong with it.
[[nodiscard]] inline std::optional<int> parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? all_well : not_started;
  }
  return std::nullopt;
}

inline void add_shared_options(CLI::App& app, shared_options& o) {
  app.add_option("--version", o.versions, "Drafts to speak: any of 01 02 03 04 05 06, commas between; default all")
      ->delimiter(',')
      ->check(CLI::IsMember({"01", "02", "03", "04", "05", "06"}));
  app.add_flag("--log", o.log, "Everything the sessions tell, on standard error");
  app.add_flag("--quiet", o.quiet, "No progress line");
}
inline void add_client_options(CLI::App& app, shared_options& o) {
  app.add_flag("--insecure", o.insecure, "Accept any certificate");
  app.add_option("--hash", o.hashes, "SHA-256 of the only certificate to accept, in hex; may be repeated")
      ->check(CLI::Validator(
          [](std::string& s) {
            const bool is_hex = s.size() == 64 && s.find_first_not_of("0123456789abcdefABCDEF") == s.npos;
            return is_hex ? std::string() : std::string("a SHA-256 has 64 hex digits");
          },
          "HEX"));
  app.add_option("--ca", o.ca_file, "PEM file of the authorities to trust instead of the system's")
      ->check(CLI::ExistingFile);
}

[[nodiscard]] inline moql::version_set versions_of(const shared_options& o) {
  if (o.versions.empty()) return moql::always;
  moql::version_set set{};
  for (const std::string& name : o.versions) set.bits |= moql::only(*moql::version_named(name)).bits;
  return set;
}
[[nodiscard]] inline dial_options dialling(const shared_options& o) {
  dial_options d;
  d.session.versions = versions_of(o);
  d.protocols = protocols_of(d.session.versions);
  d.insecure = o.insecure;
  d.ca_file = o.ca_file;
  for (const std::string& hex : o.hashes) {
    certificate_hash h{};
    for (std::size_t i = 0; i < h.size(); ++i)
      h[i] = static_cast<std::uint8_t>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
    d.hashes.push_back(h);
  }
  return d;
}

/// One line a second, in place on a terminal: rate, groups, drops.
class progress {
 public:
  explicit progress(bool is_quiet) : is_quiet_(is_quiet), is_terminal_(::isatty(STDERR_FILENO) != 0) {}
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  ~progress() {
    if (!is_quiet_ && has_shown_ && is_terminal_) std::fputc('\n', stderr);
  }
  std::uint64_t bytes = 0, groups = 0, drops = 0;

  /// Shows the line if a second has passed since the last one.
  void show(const char* verb) {
    const auto now = std::chrono::steady_clock::now();
    if (is_quiet_ || now - last_ < std::chrono::seconds(1)) return;
    const double seconds = std::chrono::duration<double>(now - last_).count();
    const double rate = static_cast<double>(bytes - last_bytes_) * 8e-6 / seconds;
    std::fprintf(stderr, "%s%s %.1f MB, %.1f Mbit/s, %llu groups, %llu dropped%s", is_terminal_ ? "\r" : "", verb,
                 static_cast<double>(bytes) * 1e-6, rate, static_cast<unsigned long long>(groups),
                 static_cast<unsigned long long>(drops), is_terminal_ ? "\x1b[K" : "\n");
    has_shown_ = true;
    last_ = now;
    last_bytes_ = bytes;
  }
  /// What it came to, always.
  void total(const char* verb) const {
    std::fprintf(stderr, "%s%s %llu bytes in %llu groups, %llu groups dropped\n",
                 has_shown_ && is_terminal_ ? "\n" : "", verb, static_cast<unsigned long long>(bytes),
                 static_cast<unsigned long long>(groups), static_cast<unsigned long long>(drops));
  }

 private:
  bool is_quiet_, is_terminal_;
  bool has_shown_ = false;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::uint64_t last_bytes_ = 0;
};

}  // namespace net
