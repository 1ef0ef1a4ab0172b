#pragma once
/// A recorded session as a list of events in their order of time, and as whole streams.

#include <array>

#include "bench.hpp"
#include "decode.hpp"

namespace moql::vectors {

enum class who : std::uint8_t { client, server };
inline who other(who w) { return w == who::client ? who::server : who::client; }
inline const char* name_of(who w) { return w == who::client ? "client" : "server"; }
inline who who_from(const json& j) {
  if (j == "client") return who::client;
  if (j == "server") return who::server;
  throw bad_line("neither client nor server: " + j.dump());
}

struct wire_event {
  enum class what : std::uint8_t { open, data, fin, reset, stop, datagram, close };
  std::uint64_t at{};
  what kind{};
  who from{};
  std::size_t stream{};
  raw bytes{};
  std::uint64_t code{};
};

/// One direction of a recorded stream.
struct direction_record {
  raw bytes{};
  bool fin = false, reset = false;
  bool was_stopped = false;  ///< The receiver asked it to end.
};
struct recorded_stream {
  bool bidi{};
  who opener{};
  std::uint64_t quic_id{};
  std::array<direction_record, 2> by{};
  [[nodiscard]] const direction_record& from(who w) const { return by[static_cast<std::size_t>(w)]; }
  [[nodiscard]] direction_record& from(who w) { return by[static_cast<std::size_t>(w)]; }
};

/// What an application did, or saw.
struct app_event {
  std::uint64_t at{};
  std::optional<who> by{};  ///< None: either.
  bool is_did{};
  std::string verb{};
  json facts{};
  [[nodiscard]] std::string text(const char* key) const {
    return facts.contains(key) && facts[key].is_string() ? facts[key].get<std::string>() : "";
  }
  [[nodiscard]] std::uint64_t number(const char* key, std::uint64_t none = 0) const {
    return facts.contains(key) && facts[key].is_number() ? facts[key].get<std::uint64_t>() : none;
  }
  [[nodiscard]] bool flag(const char* key) const { return facts.contains(key) && facts[key] == true; }
  [[nodiscard]] std::string track() const { return text("path") + "|" + text("track"); }
};

struct trace {
  version ver{};
  bool is_wip = false;
  std::array<std::uint64_t, 2> origins{};
  std::vector<recorded_stream> streams{};
  std::vector<wire_event> wire{};
  std::vector<app_event> app{};
  [[nodiscard]] std::uint64_t origin(who w) const { return origins[static_cast<std::size_t>(w)]; }
};

/// What a stream is for, from its first bytes: the same for two stacks that ask the same. Empty while too little of
/// it is there; group streams go by Subscribe ID and sequence.
inline std::string purpose_of(version v, bool bidi, byte_view in) {
  const auto h = heading_of(in);
  if (!h) return {};
  const bool is_bare = bidi && (h->type == 0x00 || h->type == 0x20 || h->type == 0x04);
  if (is_bare) return h->type == 0x04 ? "probe" : "session";
  const std::string_view name = next_message(v, bidi, h->type, false, 0, {});
  outcome o{.why = errc::unknown_message};
  (void)with_message(name, v, [&]<class M>(std::type_identity<M>) { o = judge_message<M>(v, in.subspan(h->size)); });
  if (o.why != errc::ok) return {};
  const auto field = [&](const char* key) { return o.fields.contains(key) ? o.fields[key].get<std::string>() : ""; };
  if (!bidi) return h->type == 1 ? "setup" : "group " + field("subscribe_id") + " " + field("group_sequence");
  const std::string track = field("broadcast_path") + "|" + field("track_name");
  switch (h->type) {
    case 0x01: return "announce " + field("broadcast_path_prefix");
    case 0x02: return "subscribe " + track;
    case 0x03: return "fetch " + track + " " + field("group_sequence");
    case 0x05: return "goaway";
    case 0x06: return "track " + track;
    default: return {};
  }
}

namespace detail {
inline void add_stream(trace& t, const json& s) {
  recorded_stream r{.bidi = s.at("kind") == "bidi",
                    .opener = who_from(s.at("opener")),
                    .quic_id = s.at("quic_id").get<std::uint64_t>()};
  const std::size_t n = t.streams.size();
  if (s.at("stream").get<std::size_t>() != n) throw bad_line("streams out of order");
  t.wire.push_back({s.at("at").get<std::uint64_t>(), wire_event::what::open, r.opener, n, {}, 0});
  for (const json& c : s.at("chunks")) {
    wire_event e{.at = c.at("at").get<std::uint64_t>(), .from = who_from(c.at("from")), .stream = n};
    if (c.contains("hex")) {
      e.kind = wire_event::what::data;
      e.bytes = bytes_from(c["hex"]);
      append(r.from(e.from).bytes, e.bytes);
    } else if (c.contains("fin")) {
      e.kind = wire_event::what::fin;
      r.from(e.from).fin = true;
    } else if (c.contains("reset")) {
      e.kind = wire_event::what::reset;
      e.code = c["reset"].get<std::uint64_t>();
      r.from(e.from).reset = true;
    } else {
      e.kind = wire_event::what::stop;
      e.code = c.at("stop").get<std::uint64_t>();
      r.from(other(e.from)).was_stopped = true;
    }
    t.wire.push_back(std::move(e));
  }
  t.streams.push_back(std::move(r));
}
}  // namespace detail

/// Throws bad_line when the file is not a recorded session.
inline trace trace_from(const json& file) {
  trace t;
  const std::string name = file.at("version").get<std::string>();
  t.is_wip = name == "06wip";
  const auto v = t.is_wip ? std::optional(lite06) : version_named(name);
  if (!v) throw bad_line("unknown version " + name);
  t.ver = *v;
  for (const auto& [i, key] : {std::pair{0u, "client_origin"}, std::pair{1u, "server_origin"}})
    if (file.contains(key) && file[key].is_number()) t.origins[i] = file[key].get<std::uint64_t>();
  for (const json& s : file.at("streams")) detail::add_stream(t, s);
  for (const json& d : file.at("datagrams"))
    t.wire.push_back({d.at("at").get<std::uint64_t>(), wire_event::what::datagram, who_from(d.at("from")), 0,
                      bytes_from(d.at("hex")), 0});
  if (const json& c = file.at("session_close"); !c.is_null())
    t.wire.push_back({c.at("at").get<std::uint64_t>(),
                      wire_event::what::close,
                      who_from(c.at("from")),
                      0,
                      {},
                      c.at("code").get<std::uint64_t>()});
  std::stable_sort(t.wire.begin(), t.wire.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
  for (const json& e : file.at("expect")) {
    app_event a{.at = e.at("at").get<std::uint64_t>(), .is_did = e.contains("did"), .facts = e};
    a.verb = (a.is_did ? e["did"] : e.at("saw")).get<std::string>();
    if (e.at("who") != "either") a.by = who_from(e["who"]);
    t.app.push_back(std::move(a));
  }
  std::stable_sort(t.app.begin(), t.app.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
  return t;
}

/// Whether published 06 would have written every byte of a session of the obsolete dialect.
inline bool is_same_in_06(const trace& t) {
  for (const recorded_stream& s : t.streams) {
    const auto h = heading_of(s.from(s.opener).bytes);
    if (!h) continue;
    if (!s.bidi && h->type == 0x00) return false;  // GROUP
    if (s.bidi && (h->type == 0x02 || h->type == 0x03 || h->type == 0x06))
      return false;  // SUBSCRIBE, FETCH, TRACK_INFO
    if (s.bidi && h->type == 0x01)
      for (const json& m : decode_stream(lite06, true, 0x01, true, s.from(other(s.opener)).bytes).messages)
        if (m["message"] == "ANNOUNCE_START") return false;
    if (s.bidi && h->type == 0x01 &&
        decode_stream(lite06, true, 0x01, true, s.from(other(s.opener)).bytes).why != errc::ok)
      return false;
  }
  return true;
}

}  // namespace moql::vectors
