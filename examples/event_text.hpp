#pragma once
/// What a session tells, one line an event, for logs.

#include "net/words.hpp"

namespace examples {

namespace detail {
[[nodiscard]] inline std::string id(auto handle) {
  return "#" + std::to_string(static_cast<std::uint64_t>(handle) & 0xffffffff);
}
[[nodiscard]] inline std::string track(std::string_view broadcast, std::string_view name) {
  return "'" + std::string(broadcast) + "' '" + std::string(name) + "'";
}
[[nodiscard]] inline std::string hops(std::span<const std::uint64_t> all) {
  std::string out;
  for (const std::uint64_t h : all) out += (out.empty() ? " by way of " : ", ") + std::to_string(h);
  return out;
}
[[nodiscard]] inline std::string wish(const moql::msg::delivery& w) {
  std::string out = " priority " + std::to_string(w.priority) + ", max age " + std::to_string(w.max_age_ms) + " ms";
  if (w.group_start) out += ", from group " + std::to_string(*w.group_start);
  if (w.group_end) out += ", to group " + std::to_string(*w.group_end);
  return out;
}
[[nodiscard]] inline std::string part(std::uint64_t frame, std::uint64_t timestamp, std::uint64_t offset, std::size_t n,
                                      std::uint64_t size) {
  return " frame " + std::to_string(frame) + " at " + std::to_string(timestamp) + ": bytes " + std::to_string(offset) +
         " to " + std::to_string(offset + n) + " of " + std::to_string(size);
}
}  // namespace detail

[[nodiscard]] inline std::string text_of(const moql::event& e) {
  using namespace detail;
  using std::to_string;
  const auto end = [](moql::errc why, std::uint64_t code) { return ": " + net::text_of(why, code); };
  return std::visit(
      moql::overload{
          [](const moql::connected& c) { return "connected, version " + std::string(moql::facts(c.ver).name); },
          [](const moql::peer_setup& s) {
            return "setup: path '" + std::string(s.path.value_or("")) + "', hop " + to_string(s.hop) + ", cost " +
                   to_string(s.cost) + ", probe level " + to_string(static_cast<int>(s.probe));
          },
          [](const moql::hop_declared& h) { return "hop " + to_string(h.hop); },
          [](const moql::bandwidth& b) {
            return std::string(b.is_target ? "wanted" : "measured") + " " + to_string(b.bitrate) + " bit/s, rtt " +
                   to_string(b.rtt_ms) + " ms";
          },
          [&](const moql::probe_closed& p) { return "probe closed" + end(p.why, p.code); },
          [](const moql::goaway_received& g) { return "goaway '" + std::string(g.uri) + "'"; },
          [](const moql::goaway_finished&) { return std::string("goaway finished"); },
          [](const moql::session_closed& c) { return net::text_of(c); },
          // An update is an announcement too, and is told first.
          [](const moql::announce_updated& a) {
            return "announce updated '" + std::string(a.path) + "'" + hops(a.hops);
          },
          [](const moql::announced& a) { return "announced '" + std::string(a.path) + "'" + hops(a.hops); },
          [](const moql::announce_ended& a) { return "announce ended '" + std::string(a.path) + "'"; },
          [](const moql::announced_all& a) { return "announced all, " + to_string(a.count); },
          [&](const moql::interest_closed& i) { return "interest closed" + end(i.why, i.code); },
          [](const moql::subscription_started& s) {
            return "subscription " + id(s.subscription) + " started" +
                   (s.group ? " at group " + to_string(*s.group) : std::string());
          },
          [](const moql::track_known& t) {
            return "subscription " + id(t.subscription) + " has timescale " + to_string(t.info.timescale);
          },
          [](const moql::group_started& g) {
            return "subscription " + id(g.subscription) + " group " + to_string(g.group) + " started";
          },
          [](const moql::frame_part& f) {
            return "subscription " + id(f.subscription) + " group " + to_string(f.group) +
                   part(f.frame, f.timestamp, f.offset, f.payload.size(), f.size);
          },
          [&](const moql::group_finished& g) {
            return "subscription " + id(g.subscription) + " group " + to_string(g.group) + " finished" +
                   end(g.why, g.code);
          },
          [](const moql::datagram_received& d) {
            return "subscription " + id(d.subscription) + " group " + to_string(d.group) + " as a datagram of " +
                   to_string(d.payload.size());
          },
          [](const moql::groups_lost& l) {
            return "subscription " + id(l.subscription) + " lost groups " + to_string(l.first) + " to " +
                   to_string(l.last);
          },
          [](const moql::subscription_end_known& s) {
            return "subscription " + id(s.subscription) + " ends before group " + to_string(s.end);
          },
          [&](const moql::subscription_closed& s) {
            return "subscription " + id(s.subscription) + " closed" + end(s.why, s.code);
          },
          [](const moql::fetch_part& f) {
            return "fetch " + id(f.fetch) + part(f.frame, f.timestamp, f.offset, f.payload.size(), f.size);
          },
          [&](const moql::fetch_closed& f) { return "fetch " + id(f.fetch) + " closed" + end(f.why, f.code); },
          [&](const moql::track_answered& t) {
            return "track " + id(t.query) +
                   (t.why == moql::errc::ok ? " has timescale " + to_string(t.info.timescale) : end(t.why, t.code));
          },
          [](const moql::subscribe_requested& r) {
            return "request " + id(r.request) + ": subscribe " + track(r.broadcast, r.track) + wish(r.want);
          },
          [](const moql::subscribe_updated& r) { return "request " + id(r.request) + " updated:" + wish(r.want); },
          [](const moql::track_requested& r) {
            return "request " + id(r.request) + ": track " + track(r.broadcast, r.track);
          },
          [](const moql::fetch_requested& r) {
            return "request " + id(r.request) + ": fetch " + track(r.broadcast, r.track) + " group " +
                   to_string(r.group);
          },
          [&](const moql::request_closed& r) { return "request " + id(r.request) + " closed" + end(r.why, r.code); },
      },
      e);
}

}  // namespace examples
