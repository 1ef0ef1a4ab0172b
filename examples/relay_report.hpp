#pragma once
/// What a relay has done, in numbers: a line a second for people, and JSON lines for programs.

#include <moql/relay/relay.hpp>

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>

namespace examples {

struct session_counter {
  const char* name;
  std::uint64_t moql::session_counters::*value;
};
/// Why groups that were for somebody did not get there whole.
inline constexpr session_counter drop_reasons[] = {
    {"aborted", &moql::session_counters::groups_aborted},   {"evicted", &moql::session_counters::groups_evicted},
    {"behind", &moql::session_counters::groups_behind},     {"expired", &moql::session_counters::groups_expired},
    {"unwanted", &moql::session_counters::groups_unwanted}, {"unopened", &moql::session_counters::groups_unopened},
};
inline constexpr session_counter moved[] = {
    {"bytes_in", &moql::session_counters::bytes_in},          {"bytes_out", &moql::session_counters::bytes_out},
    {"datagrams_in", &moql::session_counters::datagrams_in},  {"datagrams_out", &moql::session_counters::datagrams_out},
    {"groups_in", &moql::session_counters::groups_in},        {"groups_opened", &moql::session_counters::groups_opened},
    {"groups_out", &moql::session_counters::groups_finished},
};
inline void add(moql::session_counters& to, const moql::session_counters& more) {
  for (const session_counter& c : drop_reasons) to.*c.value += more.*c.value;
  for (const session_counter& c : moved) to.*c.value += more.*c.value;
}

/// `sessions` are the sums of all sessions there have been, those that are gone included.
[[nodiscard]] inline std::string json_line(const moql::relay& r, const moql::session_counters& sessions,
                                           std::size_t connections, double uptime) {
  const moql::relay_counters& c = r.counters();
  nlohmann::ordered_json j;
  j["uptime_s"] = uptime;
  j["connections"] = connections;
  j["sessions"] = {{"now", r.peers()}, {"joined", c.peers_joined}, {"left", c.peers_left}};
  j["subscriptions"] = {{"now", r.readers()}, {"opened", c.readers_opened}, {"closed", c.readers_closed}};
  j["tracks"] = {{"now", r.tracks()}, {"opened", c.tracks_opened}, {"closed", c.tracks_closed}};
  j["sources"] = {{"now", r.sources()}, {"opened", c.sources_opened}, {"closed", c.sources_closed}};
  for (const session_counter& m : moved) j[m.name] = sessions.*m.value;
  j["payload_bytes_in"] = c.bytes_in;
  j["drops"] = nlohmann::ordered_json::object();
  for (const session_counter& d : drop_reasons) j["drops"][d.name] = sessions.*d.value;
  j["upstream"] = {{"groups_aborted", c.groups_aborted},
                   {"groups_lost", c.groups_lost},
                   {"copies_repeated", c.copies_repeated},
                   {"copies_conflicting", c.copies_conflicting},
                   {"copies_refused", c.copies_refused}};
  j["cache"] = {{"bytes", r.bytes_cached()}, {"evictions", r.evictions()}};
  j["moves"] = c.moves;
  j["failovers"] = c.failovers;
  j["orphans"] = c.orphans;
  j["retries"] = c.retries;
  j["fetches"] = c.fetches;
  j["queries"] = c.queries;
  j["refusals"] = {{"requests", c.requests_refused}, {"routes", c.routes_refused}};
  return j.dump();
}

/// Rates between two looks.
class relay_status {
 public:
  [[nodiscard]] std::string line(const moql::relay& r, const moql::session_counters& sessions) {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::max(1e-3, std::chrono::duration<double>(now - at_).count());
    char text[200];
    std::snprintf(text, sizeof text,
                  "%zu sessions, %zu subscriptions, %zu tracks, %llu groups in, %llu out, %.1f Mbit/s in, %.1f out",
                  r.peers(), r.readers(), r.tracks(), static_cast<unsigned long long>(sessions.groups_in),
                  static_cast<unsigned long long>(sessions.groups_finished),
                  static_cast<double>(sessions.bytes_in - in_) * 8e-6 / seconds,
                  static_cast<double>(sessions.bytes_out - out_) * 8e-6 / seconds);
    at_ = now;
    in_ = sessions.bytes_in;
    out_ = sessions.bytes_out;
    return text;
  }

 private:
  std::chrono::steady_clock::time_point at_ = std::chrono::steady_clock::now();
  std::uint64_t in_ = 0, out_ = 0;
};

}  // namespace examples
