#pragma once
/// Lines of invalid*.jsonl: our verdict beside the recorded one. Where they differ, the reason is found from our
/// verdict or from the input, never from the line's name or its text.

#include "judge.hpp"
#include "streams.hpp"
#include "valid.hpp"

namespace moql::vectors {

inline constexpr std::uint64_t most_in_53_bits = (std::uint64_t{1} << 53) - 1;

/// Why a peer refuses what we accept; empty when there is no reason.
inline std::string peer_is_stricter(const outcome& o, version v) {
  if (o.largest > most_in_53_bits) return "Q-11 the peer holds integers in 53 bits";
  if (o.wide_status) return "Q-10 the peer reads the announce status as one byte";
  if (o.wide_priority) return "Q-06 the peer reads the priority of 01 and 02 as one byte";
  if (v == lite03 && o.fields.contains("hops") && std::stoull(o.fields["hops"].get<std::string>()) > hops_max)
    return "limit (1.5): the peer counts at most 32 hops";
  if (o.fields.contains("active_count") && o.fields["hop_id"] == "0")
    return "Q-11 older peers refuse Hop ID 0 in ANNOUNCE_OK";
  return {};
}

/// Why a peer accepts what we refuse; empty when only an error of ours could explain it.
inline std::string peer_is_looser(const outcome& o, version v) {
  switch (o.why) {
    case errc::trailing:
    case errc::bad_utf8:
    case errc::bad_flag:
    case errc::bad_status:
    case errc::bad_priority:
    case errc::duplicate_parameter:
    case errc::bad_parameter:
    case errc::duplicate_hop:
    case errc::zero_timescale:
    case errc::bad_frame_bounds:
    case errc::bad_fetch_bounds:
    case errc::uri_too_long:
    case errc::bad_path: return rule_of(o) + " " + std::string(moql::text_of(o.why));
    case errc::too_many: return "limit (1.5): our lists and paths are bounded";
    case errc::message_too_large:  // a message whose bytes are not even there cannot be accepted by anyone
      return o.rule == "R-144" ? "R-144 a datagram above 1200 bytes is dropped" : "";
    case errc::unknown_message: return has_announce_ids(v) ? "Q-09 unknown types may be skipped" : std::string{};
    default: return {};
  }
}

/// Why one field came out different; empty when there is no reason.
inline std::string field_cause(const std::string& key, const json& ours, const json& theirs, bool is_path,
                               bool is_ended = false) {
  if (is_ended && ((key == "hops" && theirs == "0") || (key == "hop_ids" && theirs == json::array())))
    return "R-053 an ended announcement only withdraws, the peer drops the hops it carries (4.8)";
  // A parameter whose value means the same as its absence, or is undefined.
  if (theirs.is_null() && ours.is_string()) {
    if ((key == "probe" || key == "hop") && ours == "0")
      return key == "hop" ? "R-042 Hop 0 equals absent" : "R-029 Probe 0 equals absent";
    if (key == "role" && ours != "1" && ours != "2") return "R-039 an unknown Role means Both, as an absent one does";
    if (key == "cost") return "R-027 the peer ignores Cost, a parameter unknown to it";
    return {};
  }
  if (key == "probe" && theirs == "2" && ours.is_string() && ours.get<std::string>() > "2")
    return "R-029 an unknown Probe level is taken as Increase (4.22)";
  if (ours.is_array() && theirs.is_array() && ours.size() == theirs.size()) {
    std::string cause;
    for (std::size_t i = 0; i < ours.size(); ++i) {
      if (ours[i] == theirs[i]) continue;
      cause = field_cause(key, ours[i], theirs[i], is_path);
      if (cause.empty()) return {};
    }
    return cause;
  }
  if (!ours.is_string() || !theirs.is_string()) return {};
  std::string s = ours.get<std::string>();
  const std::string t = theirs.get<std::string>();
  const bool is_number = !s.empty() && s.find_first_not_of("0123456789") == std::string::npos;
  if (is_number && s.size() >= 16 && std::stoull(s) > most_in_53_bits &&
      static_cast<std::uint64_t>(static_cast<double>(std::stoull(s))) == std::stoull(t))
    return "Q-11 the peer rounds integers to 53 bits";
  std::string cause;
  if (s.starts_with("\xef\xbb\xbf")) {
    s.erase(0, 3);
    cause = "R-022 the peer drops a leading U+FEFF, which is text like any other";
    if (s == t) return cause;
  }
  if (!is_path) return {};
  std::string clean(s.size(), '\0');
  clean.resize(normalise(s, clean.data()));
  return clean == t ? "Q-01 the peer normalises paths when it decodes" : std::string{};
}

/// The line's recorded peer: accepts or rejects, and what it decoded.
inline verdict beside_the_peer(const json& line, const outcome& o, version v, std::size_t size) {
  const std::string peer = line.at("peer").get<std::string>();
  const bool accepts = peer.starts_with("accepts");
  if (!accepts && !peer.starts_with("rejects")) throw bad_line("peer neither accepts nor rejects");
  if (!accepts && o.why != errc::ok) return verdict::pass("both reject, we for " + rule_of(o));
  if (!accepts) {
    const std::string cause = peer_is_stricter(o, v);
    return cause.empty() ? verdict::fail("we accept, the peer " + peer) : verdict::pass("accepted", cause);
  }
  if (o.why != errc::ok) {
    const std::string note = line.contains("note") && line["note"].is_string() ? line["note"].get<std::string>() : "";
    const std::string cause = note.starts_with("valid") ? std::string{} : peer_is_looser(o, v);
    return cause.empty() ? verdict::fail(text_of(o) + ", the peer accepts") : verdict::pass(text_of(o), cause);
  }
  const std::size_t unread = line.contains("unread_bytes") ? line["unread_bytes"].get<std::size_t>() : 0;
  if (size - o.used != unread)
    return verdict::fail("we left " + std::to_string(size - o.used) + " bytes unread, the peer " +
                         std::to_string(unread));
  if (!line.contains("decoded")) return verdict::pass("both accept");

  std::string causes;
  const json theirs = canonical(line["decoded"]);
  json ours = o.fields;
  if (theirs.contains("payload_len") && ours.contains("payload") && !ours.contains("payload_len")) {
    const std::vector<std::uint8_t> payload = bytes_from(ours["payload"]);
    ours["payload_len"] = std::to_string(payload.size());
    ours["payload_sha256"] = sha256_hex(byte_view(payload));
  }
  const bool is_ended = ours.contains("announce_status") && ours["announce_status"] == "0";
  std::set<std::string> seen;
  const auto differs = [&](const std::string& key, const json& mine, const json& other) -> bool {
    const std::string cause = field_cause(key, mine, other, o.paths.contains(key), is_ended);
    if (!cause.empty() && causes.find(cause) == std::string::npos) causes += (causes.empty() ? "" : " + ") + cause;
    return !cause.empty();
  };
  for (const auto& [their_key, value] : theirs.items()) {
    std::string key = their_key;
    for (const auto& [k, unused] : ours.items())
      if (other_key(k) == their_key) key = k;
    seen.insert(key);
    if (!ours.contains(key)) return verdict::fail("the peer decoded a field " + their_key + " that we do not have");
    if (ours[key] != value && !differs(key, ours[key], value))
      return verdict::fail(key + ": we decoded " + ours[key].dump().substr(0, 200) + ", the peer " +
                           value.dump().substr(0, 200));
  }
  for (const auto& [key, value] : ours.items()) {
    if (seen.contains(key) || value.is_null() || key.starts_with("payload") || key.starts_with("timestamp")) continue;
    if (!differs(key, value, json()))
      return verdict::fail("we also decoded " + key + " = " + value.dump().substr(0, 200));
  }
  return verdict::pass("both accept", causes);
}

/// The line states what has to happen: {scope, rule}.
inline verdict as_expected(const json& expect, const outcome& o, version v) {
  const std::string want_scope = expect.at("scope").get<std::string>();
  const std::string want_rule = expect.at("rule").get<std::string>();
  const scope s = o.session_wide ? scope_of(o.why, v) : scope::none;
  const std::string have_scope = s == scope::session ? "session" : s == scope::stream ? "stream" : "none";
  const std::string have_rule = rule_of(o);
  if (o.why == errc::ok)
    return want_scope == "none" ? verdict::pass("accepted, as expected")
                                : verdict::fail("we accept, expected " + want_rule);
  if (have_scope != want_scope)
    return verdict::fail(text_of(o) + ", which costs the " + have_scope + "; expected " + want_scope + " by " +
                         want_rule);
  if (!may_be_called(o.why, have_rule, want_rule)) return verdict::fail(text_of(o) + "; expected " + want_rule);
  return verdict::pass("rejected as expected, for " + have_rule);
}

inline verdict run_invalid(const json& line) {
  const std::string level = line.contains("level") ? line["level"].get<std::string>() : "message";
  if (level != "message" || (line.contains("from") && line["from"].is_string())) {
    verdict out;
    run_stream_case(line, out);
    return out;
  }
  const auto v = version_of(line);
  if (!v) return verdict::skipped("06wip messages that published 06 writes differently");
  const std::vector<std::uint8_t> bytes = bytes_from(line.at("hex"));
  const bool bidi = line.contains("stream") && line["stream"] == "bidi";
  const outcome o = judge(line.at("message").get<std::string>(), *v, byte_view(bytes), bidi);
  return line.contains("expect") ? as_expected(line["expect"], o, *v) : beside_the_peer(line, o, *v, bytes.size());
}

}  // namespace moql::vectors
