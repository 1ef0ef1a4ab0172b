#pragma once
/// Cases of level `stream` and `datagram`, and messages whose judgement depends on who sent them: they need a session.

#include "place.hpp"

namespace moql::vectors {

inline std::string named(errc why) { return std::string(facts(why).rule) + " " + std::string(moql::text_of(why)); }
inline const char* name_of(scope s) {
  return s == scope::session ? "the session" : s == scope::stream ? "the stream" : "nothing";
}
inline std::string told(const reaction& r) {
  return r.how == scope::none ? "accepted" : std::string("ends ") + name_of(r.how) + " for " + named(r.why);
}

/// The line states what has to happen: {scope, rule}.
inline verdict as_expected(const json& expect, const reaction& r) {
  const std::string want = expect.at("scope").get<std::string>();
  const std::string rule = expect.at("rule").get<std::string>();
  const scope s = want == "session" ? scope::session : want == "stream" ? scope::stream : scope::none;
  if (r.how != s) return verdict::fail(told(r) + "; expected " + want + " by " + rule);
  if (s != scope::session && !r.is_alive) return verdict::fail("the session does not answer any longer");
  if (s == scope::none) return verdict::pass("no reaction, as expected");
  if (!may_be_called(r.why, std::string(facts(r.why).rule), rule)) return verdict::fail(told(r) + "; expected " + rule);
  const std::string text = "live, as expected, for " + std::string(facts(r.why).rule);
  if (s == scope::stream || facts(r.why).on_session == session_code::protocol_violation) return verdict::pass(text);
  if (facts(r.why).on_session == session_code::key_value_formatting_error)
    return verdict::pass(text, "6.1 a malformed parameter has a session code of its own");
  return verdict::fail("closed, but not with PROTOCOL_VIOLATION: " + named(r.why));
}

// ---------------------------------------------------------------------------------------------- beside a real peer

struct recorded_peer {
  scope how{};
  raw answer{};
  std::vector<std::string> heard{};
  std::string version{};                ///< HANDSHAKE.
  std::optional<std::size_t> groups{};  ///< Group streams it opened.
};

inline recorded_peer peer_of(const json& line) {
  const std::string s = line.at("peer").get<std::string>();
  const bool accepts = s.starts_with("accepts");
  if (!accepts && !s.starts_with("rejects")) throw bad_line("peer neither accepts nor rejects");
  recorded_peer p;
  const bool survives = !line.contains("session_survives") || line["session_survives"].get<bool>();
  p.how = !survives ? scope::session : accepts ? scope::none : scope::stream;
  for (std::size_t at = 0; (at = s.find("answers ", at)) != std::string::npos;) {
    at += 8;
    const std::size_t end = s.find_first_not_of("0123456789abcdef", at);
    append(p.answer, tests::from_hex(s.substr(at, end == std::string::npos ? end : end - at)));
  }
  if (const std::size_t at = s.find("opened "); at != std::string::npos)
    p.groups = std::strtoull(s.c_str() + at + 7, nullptr, 10);
  if (const std::size_t at = s.find("established as moq-lite-"); at != std::string::npos)
    p.version = s.substr(at + 24, 2);
  if (std::size_t at = s.find("application saw ["); at != std::string::npos) {
    at += 17;
    for (std::size_t end = 0; at < s.size() && s[at] != ']'; at = end + (s[end] == ',' ? 2 : 0)) {
      end = std::min(s.find_first_of(",]", at), s.size() - 1);
      std::string word = s.substr(at, end - at);
      word.resize(std::min(word.find(':'), word.size()));
      if (word.find_first_of("+-~") == 0 || word.starts_with("group ") || word.starts_with("frame ") ||
          word.starts_with("datagram ") || word == "error" || word == "subscription error")
        p.heard.push_back(word);
    }
  }
  return p;
}

/// Whether a stream that is left open ends inside a message, so that whoever reads whole messages waits.
inline bool is_incomplete(const json& line, version v, byte_view in, bool bidi) {
  const auto cut = [&](std::uint64_t type, bool answer, byte_view b) {
    return decode_stream(v, bidi, type, answer, b).why == errc::stream_cut;
  };
  if (line.contains("fin") && line["fin"] == true) return false;
  if (line.at("message") == "ANNOUNCE_STREAM") return cut(0x01, true, in);
  if (line.contains("sent")) {
    for (const json& s : line["sent"])
      if (s.at("on") == "subscribe" && cut(0x02, true, bytes_from(s.at("hex")))) return true;
    return false;
  }
  const auto h = heading_of(in);
  return h && cut(h->type, false, in.subspan(h->size));
}
/// Why less or more ends with us than with the peer; empty when nothing we know explains it.
inline std::string scope_cause(const json& line, const reaction& r, const recorded_peer& p, version v, byte_view in,
                               bool bidi) {
  const auto h = heading_of(in);
  if (r.how == scope::none && p.how == scope::stream && is_incomplete(line, v, in, bidi))
    return "R-020 a message that is not complete is waited for";
  if (r.how == scope::none && p.how == scope::stream && bidi && h && h->type == 0x03 && only(lite03, lite04).has(v))
    return "Q-21 the peer does not serve FETCH on 03 and 04";
  if (r.how == scope::session) switch (r.why) {
      case errc::unknown_stream_type:
        return before(lite03).has(v) ? "R-016 an unknown stream type closes the session on 01 and 02" : "";
      case errc::truncated:
      case errc::trailing:
      case errc::bad_utf8:
      case errc::bad_flag:
      case errc::bad_priority:
      case errc::bad_parameter: return named(r.why) + ": the session closes (Q-14)";
      case errc::too_many:
      case errc::message_too_large:
      case errc::duplicate_parameter:
      case errc::duplicate_hop:
      case errc::duplicate_subscription:
      case errc::second_setup:
      case errc::second_session_stream:
      case errc::setup_cut:
      case errc::path_on_uri_binding:
      case errc::path_from_server:
      case errc::bad_path:
      case errc::announce_id: return named(r.why);
      default: return {};
    }
  if (r.how == scope::stream && p.how == scope::session)
    return r.why == errc::announce_duplicate ? "R-053 resets the stream, the peer closes the session (Q-08)" : "";
  if (r.how == scope::stream && p.how == scope::none) switch (r.why) {
      case errc::announce_unknown: return since(lite05).has(v) ? named(r.why) : std::string{};
      case errc::unexpected_message:
        return bidi || v == lite01 || v == lite02 ? named(r.why)
                                                  : named(r.why) + " (R-117 after TRACK_INFO comes the end)";
      case errc::refused_by_peer: return "R-127 a group that is not there is refused, the peer waits for it";
      case errc::stream_cut:
      case errc::second_message:
      case errc::second_ok:
      case errc::bad_status:
      case errc::unknown_message:
      case errc::duplicate_group:
      case errc::group_past_end:
      case errc::header_timeout: return named(r.why);
      default: return {};
    }
  return {};
}

/// Why the application heard something else although as much ended.
inline std::string heard_cause(const reaction& r, const recorded_peer& p, bool ends, bool loops) {
  std::vector<std::string> mine, theirs = p.heard;
  std::string cause;
  const auto because = [&](const std::string& c) { cause += (cause.empty() ? "" : " + ") + c; };
  if (loops && mine.empty() && !theirs.empty()) return "R-080 an announcement that passed our own hop is dropped";
  const bool shows_updates = std::count_if(theirs.begin(), theirs.end(), [](const auto& w) { return w[0] == '+'; }) >
                             std::count_if(r.heard.begin(), r.heard.end(), [](const auto& w) { return w[0] == '+'; });
  for (const std::string& w : r.heard) {
    if (!w.starts_with("~")) {
      mine.push_back(w);
      continue;
    }
    because("R-063 an announcement again is an update in place");
    if (!shows_updates) continue;  // from the same publisher: the peer tells nothing; from another: an end and a start
    mine.push_back("-" + w.substr(1));
    mine.push_back("+" + w.substr(1));
  }
  const bool mine_failed = !mine.empty() && mine.back() == "error";
  if (mine_failed) mine.pop_back();
  if (!theirs.empty() && theirs.back() == "error") theirs.pop_back();
  std::erase(mine, "error");
  if (ends) {  // everything is withdrawn when its stream ends, and what came before that is told
    while (!mine.empty() && mine.back().starts_with("-") && mine.size() > theirs.size()) {
      mine.pop_back();
      because("R-045 the end of the stream withdraws what it announced");
    }
    if (mine.size() > theirs.size() && mine.back().starts_with("+")) {
      mine.pop_back();
      because("R-051 what was announced before the fault is told");
    }
  }
  if (mine == theirs) return cause.empty() ? "same" : cause;
  if (mine.size() == theirs.size()) {
    for (std::size_t i = 0; i < mine.size(); ++i) {
      const std::size_t a = mine[i].find('@'), b = theirs[i].find('@');
      if (mine[i] == theirs[i]) continue;
      if (a == std::string::npos || b == std::string::npos || mine[i].substr(0, a) != theirs[i].substr(0, b)) return {};
      if (std::strtoull(mine[i].c_str() + a + 1, nullptr, 10) <= (std::uint64_t{1} << 53)) return {};
      because("Q-11 the peer rounds integers to 53 bits");
    }
    return cause;
  }
  return {};
}
/// Whether an announcement among the peer's bytes passed the hop that the line gives our session.
inline bool loops_back(const json& line, version v, byte_view in) {
  if (!line.contains("subscriber_origin")) return false;
  const std::string own = std::to_string(line["subscriber_origin"].get<std::uint64_t>());
  for (const json& m : decode_stream(v, true, 0x01, true, in).messages)
    if (m.contains("hop_ids"))
      for (const json& hop : m["hop_ids"])
        if (hop == own) return true;
  return false;
}

/// Why the answers differ; "same" when they do not.
inline std::string answer_cause(const raw& mine, const raw& theirs, version v, std::uint64_t type, bool is_wip) {
  if (mine == theirs) return "same";
  if (is_wip) return "same";  // the obsolete dialect answers in its own layout
  if (type == 0x03) return {};
  const decoded_stream a = decode_stream(v, true, type, true, mine), b = decode_stream(v, true, type, true, theirs);
  std::string cause;
  const auto because = [&](const std::string& c) {
    if (cause.find(c) == std::string::npos) cause += (cause.empty() ? "" : " + ") + c;
  };
  if (a.messages.size() != b.messages.size()) return {};
  if (b.why == errc::stream_cut) because("R-008 the subscriber has left, the peer's answer is cut short");
  for (std::size_t i = 0; i < a.messages.size(); ++i) {
    json x = a.messages[i], y = b.messages[i];
    for (const char* key : {"hop_id", "hop_ids"})
      if (x.contains(key) && y.contains(key) && x[key] != y[key]) {
        because("4.7 Hop IDs are random");
        x.erase(key);
        y.erase(key);
      }
    if (x == y) continue;
    if (x["message"] != "SUBSCRIBE_OK" || y["message"] != "SUBSCRIBE_OK" || !before(lite05).has(v)) return {};
    because("Q-17 the peer's SUBSCRIBE_OK echoes the subscriber");
  }
  return cause;
}

inline verdict beside_the_peer(const json& line, const reaction& r, version v) {
  const recorded_peer p = peer_of(line);
  const raw in = bytes_from(line.at("hex"));
  const bool bidi = !line.contains("stream") || line["stream"] != "uni";
  const auto h = heading_of(in);
  const std::string note = line.contains("note") && line["note"].is_string() ? line["note"].get<std::string>() : "";

  if (line.at("message") == "HANDSHAKE") {
    const std::string mine = r.is_established ? std::string(facts(r.established).name) : "";
    const std::string both = mine.empty() ? "refused" : "established";
    if (p.how == scope::none ? mine.find(p.version) != std::string::npos && !mine.empty() : mine.empty())
      return verdict::pass("handshake: both " + both);
    if (r.why == errc::version_not_offered || r.why == errc::no_common_version)
      if (p.version > "02")
        return verdict::pass("handshake refused", r.why == errc::no_common_version
                                                      ? "Q-40 only 01 and 02 are negotiated in band"
                                                      : "R-002 only what was offered may be selected");
    if (!mine.empty() && h && h->type == 0x00)
      return verdict::pass("handshake established", "Q-04 the peer does not answer the drafts' Session stream");
    return verdict::fail("handshake: we " + (mine.empty() ? "refuse for " + named(r.why) : "establish " + mine) +
                         ", the peer " + line["peer"].get<std::string>());
  }
  std::string causes;
  const auto because = [&](const std::string& c) {
    if (c != "same") causes += (causes.empty() ? "" : " + ") + c;
  };
  if (r.how != scope::session && !r.is_alive) return verdict::fail("the session does not answer any longer");
  if (r.how != p.how) {
    const bool is_wip_only = line["version"] == "06wip" && r.why == errc::uri_from_client;
    const std::string cause = is_wip_only                 ? "R-162 is a rule of published 06 only"
                              : note.starts_with("valid") ? ""
                                                          : scope_cause(line, r, p, v, in, bidi);
    if (cause.empty()) return verdict::fail(told(r) + "; the peer " + line["peer"].get<std::string>());
    because(cause);
    return verdict::pass("live: " + std::string(r.how == scope::none ? "accepted" : "ends ") +
                             (r.how == scope::none ? "" : name_of(r.how)),
                         causes);
  }
  if (line["peer"].get<std::string>().find("application saw") != std::string::npos) {
    const std::string cause = heard_cause(r, p, r.how != scope::none, loops_back(line, v, in));
    if (cause.empty()) {
      std::string all;
      for (const std::string& w : r.heard) all += w + ", ";
      return verdict::fail("our application heard [" + all + "], the peer's " + line["peer"].get<std::string>());
    }
    because(cause);
  }
  if (r.how == scope::none && !p.answer.empty() && h) {
    const std::string cause = answer_cause(r.answer, p.answer, v, h->type, line["version"] == "06wip");
    if (cause.empty())
      return verdict::fail("we answer " + tests::to_hex(r.answer) + ", the peer " + tests::to_hex(p.answer));
    because(cause);
  }
  if (r.how == scope::none && p.groups && r.groups != *p.groups) {
    if (!r.peer_left || r.groups > *p.groups)
      return verdict::fail("we opened " + std::to_string(r.groups) + " group streams, the peer " +
                           std::to_string(*p.groups));
    because("R-009 who has ended the request gets no more groups");
  }
  return verdict::pass(r.how == scope::none ? "live: both accept" : std::string("live: both end ") + name_of(r.how),
                       causes);
}

/// Whether published 06 would write the line's bytes as the obsolete dialect does.
inline bool is_same_in_06(const json& line) {
  const std::string message = line.at("message").get<std::string>();
  if (message == "DATAGRAM" || message == "HANDSHAKE") return true;
  const raw in = bytes_from(line.at("hex"));
  if (message == "ANNOUNCE_STREAM") {
    byte_view rest = in;
    for (bool first = true; !rest.empty(); first = false) {  // ANNOUNCE_START and UPDATE carry costs
      const message_head m = read_head(rest, !first, framing::length);
      if (m.type == 0u || m.type == 2u) return false;
      if (m.why != errc::ok || m.body_size > rest.size() - m.size) break;
      rest = rest.subspan(m.size + static_cast<std::size_t>(m.body_size));
    }
    return true;
  }
  if (message == "SUBSCRIPTION") return false;  // GROUP and TRACK_INFO
  const auto h = heading_of(in);
  const bool bidi = line["stream"] != "uni";
  return !h || (bidi ? h->type != 0x02 && h->type != 0x03 && h->type != 0x06 : h->type != 0x00);
}

/// `line` is a whole line of invalid*.jsonl.
inline void run_stream_case(const json& line, verdict& out) {
  const std::string name = line.at("version").get<std::string>();
  const bool is_wip = name == "06wip";
  if (is_wip && !is_same_in_06(line)) {
    out = verdict::skipped("06wip messages that published 06 writes differently");
    return;
  }
  const auto v = is_wip ? std::optional(lite06) : version_named(name);
  if (!v) throw bad_line("unknown version " + name);
  const reaction whole = place(line, *v, false).run();
  const reaction slow = place(line, *v, true).run();
  if (!whole.is_same_as(slow))
    out = verdict::fail("at once: " + told(whole) + "; byte by byte: " + told(slow));
  else
    out = line.contains("expect") ? as_expected(line["expect"], whole) : beside_the_peer(line, whole, *v);
}

}  // namespace moql::vectors
