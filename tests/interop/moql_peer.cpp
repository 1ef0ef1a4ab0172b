/// Our driver for tests/interop: one side of a scenario over the network, or with --loopback both sides of every
/// scenario in this process. SCENARIOS.md says what the options and the output mean.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "loopback_pair.hpp"
#include "net/dial.hpp"
#include "net/listen.hpp"
#include "network_player.hpp"

namespace {

using namespace interop;

struct arguments {
  std::string url, version_name, role, scenario_name, cert, key, hash, qmux;
  std::optional<std::uint16_t> port;
  std::uint32_t streams = 100;
  unsigned timeout_s = 15;
  bool is_loopback = false, has_slashes = false, any_end = false, any_reason = false, dumps = false;
  unsigned begin_after_ms = 0;
  std::uint64_t seed = 1;
};

void print(const nlohmann::json& line) {
  std::puts(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  std::fflush(stdout);
}
int say(const outcome& how) {
  static constexpr const char* words[] = {"pass", "fail", "unsupported"};
  static constexpr int codes[] = {0, 1, 3};
  const auto i = static_cast<std::size_t>(how.what);
  nlohmann::json line{{"result", words[i]}};
  if (how.what != verdict::pass) line["why"] = how.why;
  print(line);
  return codes[i];
}

int run_loopback(const arguments& a) {
  int failed = 0, passed = 0;
  for (const auto& v : moql::all_versions)
    for (const scenario& s : scenarios)
      for (const bool client_publishes : {true, false}) {
        if (!s.in.has(v.id) || (!a.version_name.empty() && a.version_name != v.name) ||
            (!a.scenario_name.empty() && a.scenario_name != s.name))
          continue;
        const settings o{std::string(s.name), v.id, false, a.has_slashes, false};
        loopback_pair both(o, client_publishes, a.seed, s.name == "many-groups" ? 10 : a.streams);
        const outcome how = both.run(moql::seconds(a.timeout_s));
        how.what == verdict::pass ? ++passed : ++failed;
        if (how.what == verdict::pass) continue;
        print({{"version", v.name},
               {"scenario", s.name},
               {"publisher", client_publishes ? "client" : "server"},
               {"why", how.why}});
      }
  if (passed + failed == 0) return say({verdict::unsupported, "no such scenario in that version"});
  if (failed != 0) return say({verdict::fail, std::to_string(failed) + " of " + std::to_string(passed + failed)});
  return say(outcome{});
}

[[nodiscard]] net::certificate_hash hash_from(const std::string& hex) {
  net::certificate_hash out{};
  for (std::size_t i = 0; i < out.size() && 2 * i + 2 <= hex.size(); ++i)
    out[i] = static_cast<std::uint8_t>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
  return out;
}
/// Only that revision of QMux, if one is named.
[[nodiscard]] moql::qmux::spoken revision_from(const std::string& token) {
  moql::qmux::spoken out;
  if (token.empty()) return out;
  out.newest = out.oldest = token == "qmux-00"   ? moql::qmux::revision::qmux00
                            : token == "qmux-01" ? moql::qmux::revision::qmux01
                                                 : moql::qmux::revision::qmux02;
  out.bare = out.webtransport = false;
  return out;
}
[[nodiscard]] outcome run_network(const arguments& a) {
  const auto v = moql::version_named(a.version_name);
  const scenario* s = find_scenario(a.scenario_name);
  if (!v) return {verdict::unsupported, "no version " + a.version_name};
  if (s == nullptr) return {verdict::unsupported, "no scenario " + a.scenario_name};
  if (!s->in.has(*v)) return {verdict::unsupported, "version " + a.version_name + " has no " + a.scenario_name};
  const settings o{a.scenario_name, *v, !a.url.empty(), a.has_slashes, a.any_end, a.any_reason, a.begin_after_ms};
  network_player player(o, a.role == "publisher", a.dumps, [] { (void)say(outcome{}); });
  const moql::config session{.versions = moql::only(*v), .probe = moql::probe_level::report};
  constexpr moql::duration soon = moql::seconds(4);  // a loss has to be noticed within the time-out
  std::unique_ptr<net::listener> listener;
  if (o.dials) {
    net::dial_options d;
    d.session = session;
    d.protocols = net::protocols_of(session.versions);
    d.qmux = revision_from(a.qmux);
    if (!a.hash.empty()) d.hashes.push_back(hash_from(a.hash));
    if (a.scenario_name == "loss") d.idle_timeout = soon;
    net::dial(player.host(), a.url, d);
  } else {
    net::listen_options l;
    l.session = session;
    l.protocols = net::protocols_of(session.versions);
    l.qmux = revision_from(a.qmux);
    l.port = *a.port;
    l.cert_file = a.cert;
    l.key_file = a.key;
    l.streams_max = a.streams;
    if (a.scenario_name == "loss") l.idle_timeout = soon;
    std::string error;
    listener = net::listen(player.host(), l, error);
    if (!listener) return {verdict::fail, error};
    print({{"listening", listener->port()}});
  }
  return player.play(std::chrono::seconds(a.timeout_s));
}

}  // namespace

int main(int argc, char** argv) {
  arguments a;
  CLI::App app("One side of an interoperability scenario; the tests' SCENARIOS.md says what each does.");
  const auto dial = app.add_option("--dial", a.url, "moqt, https, ws, wss or tcp URL to dial");
  const auto listen = app.add_option("--listen", a.port, "Port to accept one session on, 0 for any")->excludes(dial);
  const auto loopback =
      app.add_flag("--loopback", a.is_loopback, "Both sides in this process, in virtual time; all that is not named")
          ->excludes(dial)
          ->excludes(listen);
  app.add_option("--seed", a.seed, "Of the network in memory")->needs(loopback);
  app.add_option("--version", a.version_name, "01 to 06");
  app.add_option("--role", a.role, "publisher or subscriber")->check(CLI::IsMember({"publisher", "subscriber"}));
  app.add_option("--scenario", a.scenario_name, "Which one");
  app.add_option("--cert", a.cert, "PEM certificate chain")->check(CLI::ExistingFile);
  app.add_option("--key", a.key, "PEM private key")->check(CLI::ExistingFile);
  app.add_option("--hash", a.hash, "SHA-256 of the only certificate to accept, in hex");
  app.add_option("--qmux", a.qmux, "The one revision to speak")
      ->check(CLI::IsMember({"qmux-00", "qmux-01", "qmux-02"}));
  app.add_option("--streams", a.streams, "Streams of each kind that the peer may have open");
  app.add_option("--timeout", a.timeout_s, "Seconds until giving up");
  app.add_flag("--slashes", a.has_slashes, "Paths begin with a slash");
  app.add_option("--begin-after", a.begin_after_ms, "Milliseconds from SUBSCRIBE to the first group");
  app.add_flag("--any-end", a.any_end, "A lost connection is as good as a close with NO_ERROR");
  app.add_flag("--any-reason", a.any_reason, "Reasons of closes are not compared");
  app.add_flag("--dump", a.dumps, "Events on standard error");
  CLI11_PARSE(app, argc, argv);
  if (a.is_loopback) return run_loopback(a);
  if (a.url.empty() && !a.port) return say(outcome{verdict::unsupported, "neither --dial nor --listen nor --loopback"});
  return say(run_network(a));
}
