#pragma once
/// Our decoder's verdict on a line's bytes, by the name that the vectors use for the message.

#include "fields.hpp"
#include "moql/base/limits.hpp"
#include "sha256.hpp"

namespace moql::vectors {

/// Names in the vectors that are not the drafts'.
struct alias {
  std::string_view theirs;
  std::string_view ours;
};
inline constexpr alias aliases[] = {{"SUBSCRIBE_START", "SUBSCRIBE_OK"},
                                    {"ANNOUNCE_RESTART", "ANNOUNCE_UPDATE"},
                                    {"SESSION_CLIENT_COMPAT", "CLIENT_SETUP"},
                                    {"SESSION_SERVER_COMPAT", "SERVER_SETUP"}};

/// The obsolete dialect 06wip is not spoken; these messages have the same bytes in published 06.
inline constexpr std::string_view same_in_06[] = {"SETUP",
                                                  "ANNOUNCE_OK",
                                                  "ANNOUNCE_END",
                                                  "SUBSCRIBE_OK",
                                                  "SUBSCRIBE_START",
                                                  "SUBSCRIBE_END",
                                                  "SUBSCRIBE_DROP",
                                                  "PROBE",
                                                  "GOAWAY",
                                                  "FRAME",
                                                  "DATAGRAM",
                                                  "STREAM_TYPE",
                                                  "ANNOUNCE_REQUEST",
                                                  "TRACK",
                                                  "FETCH_RESPONSE"};

/// The version of a line; none when it is the obsolete dialect and its message differs from published 06.
inline std::optional<version> version_of(const json& line) {
  const std::string name = line.at("version").get<std::string>();
  if (name == "any") return lite06;
  if (name != "06wip") {
    const auto v = version_named(name);
    if (!v) throw bad_line("unknown version " + name);
    return v;
  }
  const std::string message = line.at("message").get<std::string>();
  for (const std::string_view m : same_in_06)
    if (m == message) return lite06;
  return {};
}

struct outcome {
  errc why{};
  std::string rule{};        ///< Of the verdict, when `why` alone does not say it.
  bool session_wide = true;  ///< False when a datagram is dropped: no reaction at all.
  json fields = json::object();
  std::size_t used{};
  std::set<std::string> paths{};
  std::uint64_t largest{};
  /// Fields that take more than one byte where a byte is what other stacks read.
  bool wide_status{}, wide_priority{};
  std::vector<std::uint8_t> again{};  ///< The same values encoded by us.
};
inline std::string rule_of(const outcome& o) { return !o.rule.empty() ? o.rule : std::string(facts(o.why).rule); }
inline std::string text_of(const outcome& o) {
  return o.why == errc::ok ? "accepted" : "rejected: " + std::string(moql::text_of(o.why)) + " (" + rule_of(o) + ")";
}

/// Both sides may name several rules.
inline std::set<std::string> alternatives(const std::string& list) {
  std::set<std::string> out;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t end = std::min(list.find('/', at), list.size());
    out.insert(list.substr(at, end - at));
    at = end + 1;
  }
  return out;
}
/// Whether a line that names the rules `theirs` means what we call `why`, by the rules `ours`.
inline bool may_be_called(errc why, const std::string& ours, const std::string& theirs) {
  std::set<std::string> mine = alternatives(ours);
  switch (why) {  // one condition, written down in several rules
    case errc::truncated: mine.insert({"R-018", "R-021", "R-057"}); break;
    case errc::trailing: mine.insert("R-057"); break;
    case errc::bad_parameter: mine.insert("R-021"); break;
    case errc::bad_path: mine.insert("R-022"); break;
    case errc::setup_cut: mine.insert("R-020"); break;
    default: break;
  }
  for (const std::string& r : alternatives(theirs))
    if (mine.contains(r)) return true;
  return false;
}

/// A decoder that remembers how many bytes each field took.
struct tracer {
  wire::decoder d;
  std::map<std::string_view, std::ptrdiff_t> widths{};
  template <class Kind, class T>
  bool operator()(const field_name& name, Kind kind, T& out, version_set in = always) {
    const std::uint8_t* from = d.r.p;
    const bool good = d(name, kind, out, in);
    if (in.has(d.ver)) widths[name.in(d.ver)] = d.r.p - from;
    return good;
  }
  bool rule(bool holds, errc why, version_set in = always) { return d.rule(holds, why, in); }
  bool parameters(auto... known) { return d.parameters(known...); }
};

template <class M>
void describe(outcome& o, const M& m, version v, byte_view body) {
  to_json_visitor j{v};
  (void)M::fields(m, j);
  o.fields = j.out;
  o.paths = j.paths;
  o.largest = std::max(o.largest, j.largest);
  o.again.resize(encoded_size(m, v));
  (void)encode(m, v, o.again);
  M copy{};
  tracer t{{{body.data(), body.data() + body.size(), {}}, v}};
  (void)M::fields(copy, t);
  for (const auto& [name, width] : t.widths) {
    if (name == "Announce Status") o.wide_status = width > 1;
    if (name.ends_with("Priority")) o.wide_priority = width > 1;
  }
}

/// One message and FIN behind it: what is incomplete then is cut.
template <class M>
outcome judge_message(version v, byte_view in) {
  outcome o;
  constexpr limits our{};
  if constexpr (std::same_as<M, msg::datagram>) {
    if (in.size() > datagram_bytes_max) return {.why = errc::message_too_large, .rule = "R-144", .session_wide = false};
    const auto d = decode<M>(in, v);
    if (d.why != errc::ok) return {.why = errc::truncated, .session_wide = false};
    describe(o, d.message, v, in);
    o.used = in.size();
    return o;
  } else {
    const std::uint64_t most =
        std::same_as<M, msg::announce_init> ? our.announce_init_bytes_max : our.message_bytes_max;
    const message_head h = read_head(in, type_of<M>(v).has_value(), framing_of<M>());
    const decoded<M> d = decode<M>(in, v);
    o.why = h.why == errc::ok && d.why == errc::need_more && h.body_size > most ? errc::message_too_large : d.why;
    if (o.why == errc::need_more) o.why = std::same_as<M, msg::setup> ? errc::setup_cut : errc::stream_cut;
    o.used = d.used;
    if (o.why == errc::ok) describe(o, d.message, v, in.subspan(h.size, static_cast<std::size_t>(h.body_size)));
    return o;
  }
}

/// Its payload behind a frame's header. Adds the timestamp up.
inline errc judge_frame(version v, byte_view& in, std::int64_t& timestamp, json& out,
                        std::vector<std::uint8_t>& again) {
  const auto d = decode<msg::frame>(in, v);
  if (d.why == errc::need_more) return errc::stream_cut;
  if (d.why != errc::ok) return d.why;
  if (d.message.size > limits{}.frame_bytes_max) return errc::frame_too_large;
  if (d.message.size > in.size() - d.used) return errc::stream_cut;
  const byte_view payload = in.subspan(d.used, static_cast<std::size_t>(d.message.size));
  timestamp += d.message.timestamp_delta;
  if (timestamp < 0 && has_timestamps(v) && out.contains("timestamp")) return errc::bad_timestamp;
  out = {{"payload", tests::to_hex(payload)},
         {"payload_len", std::to_string(payload.size())},
         {"payload_sha256", sha256_hex(payload)}};
  if (has_timestamps(v)) {
    out["timestamp"] = std::to_string(timestamp);
    out["timestamp_delta"] = std::to_string(d.message.timestamp_delta);
  }
  std::uint8_t head[msg::frame::bytes_max];
  const encoded e = encode(d.message, v, head);
  again.insert(again.end(), head, head + e.size);
  again.insert(again.end(), payload.begin(), payload.end());
  in = in.subspan(d.used + payload.size());
  return errc::ok;
}

/// FRAMEs to the end of the stream.
inline void judge_frames(version v, byte_view in, outcome& o) {
  o.fields["frames"] = json::array();
  std::int64_t now = 0;
  while (o.why == errc::ok && !in.empty()) {
    json f{{"timestamp", nullptr}};
    o.why = judge_frame(v, in, now, f, o.again);
    if (o.why == errc::ok) o.fields["frames"].push_back(f);
  }
}

template <class F>
struct by_name {
  std::string_view name;
  version v;
  F f;
  bool found = false;
  template <class M>
  void operator()() {
    if (found || !M::in.has(v)) return;
    for (const version_facts& w : all_versions)
      if (M::name(w.id) == name) found = true;
    if (found) f(std::type_identity<M>{});
  }
};
/// Calls `f(type_identity<M>)`; false when `v` has no message of this name.
template <class F>
bool with_message(std::string_view name, version v, F f) {
  for (const alias& a : aliases)
    if (a.theirs == name) name = a.ours;
  by_name<F> b{name, v, f};
  msg::for_each_message(b);
  return b.found;
}

inline outcome judge(const std::string& name, version v, byte_view in, bool bidi = false) {
  outcome o;
  if (name == "VARINT" || name == "STREAM_TYPE") {
    wire::reader r{in.data(), in.data() + in.size(), {}};
    std::uint64_t n{};
    if (!wire::get_varint(r, n)) return {.why = errc::stream_cut};
    o.largest = n;
    o.used = in.size() - r.left();
    o.again.resize(wire::varint_size(n));
    wire::writer w{o.again.data()};
    wire::put_varint(w, n);
    if (name == "VARINT") {
      o.fields["value"] = std::to_string(n);
      return o;
    }
    const stream_type_facts* t = find_stream_type(n, bidi, v);
    if (t == nullptr) return {.why = errc::unknown_stream_type};
    o.fields = {{"stream_type", std::to_string(n)}, {"name", t->name}};
    return o;
  }
  if (name == "FRAME") {
    byte_view rest = in;
    std::int64_t now = 0;
    json f = json::object();
    o.why = judge_frame(v, rest, now, f, o.again);
    o.fields = f;
    o.used = in.size() - rest.size();
    return o;
  }
  if (name == "FETCH_RESPONSE") {
    judge_frames(v, in, o);
    o.used = in.size();
    return o;
  }
  if (name == "GROUP_STREAM") {
    o = judge_message<msg::group>(v, in);
    if (o.why == errc::ok) judge_frames(v, in.subspan(o.used), o);
    o.used = in.size();
    return o;
  }
  if (!with_message(name, v, [&]<class M>(std::type_identity<M>) { o = judge_message<M>(v, in); }))
    throw bad_line("no message " + name + " in this version");
  return o;
}

}  // namespace moql::vectors
