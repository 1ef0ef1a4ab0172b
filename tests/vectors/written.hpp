#pragma once
/// What our session wrote beside what the recorded side wrote, stream by stream.

#include "heard.hpp"

namespace moql::vectors::detail {

struct both {
  const trace& t;
  who me;
  replay& r;
  comparison& out;
};
inline std::string text_of(const json& m) { return m.dump(-1, ' ', false, json::error_handler_t::replace); }
inline std::string text_of(const std::vector<json>& list) {
  std::string all;
  for (const json& m : list) all += text_of(m) + " ";
  return all.substr(0, 600);
}
/// The messages of a stream that `opener` opened, written by the opener or, if `answer`, by the other end.
inline std::vector<json> messages(const both& b, bool bidi, byte_view opening, byte_view in, bool answer) {
  const auto h = heading_of(opening);
  if (!h) return {};
  return decode_stream(b.t.ver, bidi, h->type, answer, answer ? in : in.subspan(h->size)).messages;
}

// ---------------------------------------------------------------------------------------------- what we asked

inline void compare_setup(const both& b, const json& mine, const json& theirs) {
  if (mine == theirs) return;
  const bool is_offer = mine["message"] == "CLIENT_SETUP" && theirs["message"] == "CLIENT_SETUP";
  const bool is_choice = mine["message"] == "SERVER_SETUP" && theirs["message"] == "SERVER_SETUP";
  bool same = is_choice && mine["selected_version"] == theirs["selected_version"];
  if (is_offer) {  // ours in its order, among others
    auto at = theirs["supported_versions"].begin();
    for (const json& v : mine["supported_versions"]) {
      at = std::find(at, theirs["supported_versions"].end(), v);
      same = at != theirs["supported_versions"].end();
      if (!same) break;
    }
  }
  if (same) return b.out.because("2.5 the peer's legacy SETUP carries parameters and versions of another protocol");
  b.out.fail("SETUP: we wrote " + text_of(mine) + ", recorded " + text_of(theirs));
}
/// A stream that the recorded side opened and we did not.
inline void missing(const both& b, const std::string& purpose) {
  if (b.r.went_away) return b.out.because("R-156 after GOAWAY no new stream is opened");
  if (purpose.starts_with("track "))
    for (const stream_id id : b.r.wire().order)
      if (purpose_of(b.t.ver, true, b.r.stream(id).sent) == purpose)
        return b.out.because("R-122 TRACK_INFO is asked for once and kept");
  b.out.fail("we opened no stream for \"" + purpose + "\"");
}
inline void compare_request(const both& b, const recorded_stream& s, const conduct& c, const std::string& purpose) {
  std::vector<json> mine = messages(b, s.bidi, c.sent, c.sent, false);
  std::vector<json> theirs = messages(b, s.bidi, s.from(b.me).bytes, s.from(b.me).bytes, false);
  if (purpose == "setup" || purpose == "session")
    return mine.size() == 1 && theirs.size() == 1 ? compare_setup(b, mine[0], theirs[0]) : b.out.fail("no " + purpose);
  for (json& m : theirs)
    if (m["message"] == "SUBSCRIBE")
      m["subscribe_id"] = std::to_string(b.r.our_id(std::stoull(m["subscribe_id"].get<std::string>())));
  if (mine != theirs) return b.out.fail(purpose + ": we wrote " + text_of(mine) + ", recorded " + text_of(theirs));
  const bool must_end = s.from(b.me).fin &&
                        (purpose.starts_with("subscribe ") || purpose.starts_with("announce ") || purpose == "goaway");
  if (must_end && !c.fin && !c.reset) b.out.fail(purpose + ": we did not end the stream");
}

// ---------------------------------------------------------------------------------------------- what we answered

/// One announcement stream against another: the paths of one moment may come in another order.
inline void compare_announcements(const both& b, std::vector<json> mine, std::vector<json> theirs,
                                  const std::string& purpose) {
  const auto by_path = [](std::vector<json>& list) {
    for (json& m : list) {
      if (m.contains("broadcast_path_suffixes"))
        std::sort(m["broadcast_path_suffixes"].begin(), m["broadcast_path_suffixes"].end());
    }
    std::stable_sort(list.begin(), list.end(), [](const json& x, const json& y) {
      const auto key = [](const json& m) {
        return m.contains("broadcast_path_suffix") ? m["broadcast_path_suffix"].get<std::string>() : "";
      };
      return key(x) < key(y);
    });
  };
  if (mine == theirs) return;
  by_path(mine);
  by_path(theirs);
  if (mine == theirs) return b.out.because("R-043 paths that change together are announced in no particular order");
  b.out.fail(purpose + ": we announced " + text_of(mine) + ", recorded " + text_of(theirs));
}
/// Whether a SUBSCRIBE_DROP of ours on this subscription names the group.
inline bool was_dropped(const std::vector<json>& answer, std::uint64_t sequence) {
  for (const json& m : answer)
    if (m["message"] == "SUBSCRIBE_DROP" && std::stoull(m["group_start"].get<std::string>()) <= sequence &&
        sequence <= std::stoull(m["group_end"].get<std::string>()))
      return true;
  return false;
}
/// Whether every field of SUBSCRIBE_OK says what the subscriber said.
inline bool echoes(const json& ok, const std::vector<json>& request) {
  for (const auto& [key, value] : ok.items()) {
    const std::string asked = key.starts_with("publisher_") ? "subscriber_" + key.substr(10) : key;
    if (key != "message" && (request.empty() || !request[0].contains(asked) || request[0][asked] != value))
      return false;
  }
  return true;
}
inline void compare_subscribe_answer(const both& b, const recorded_stream& s, const conduct& c,
                                     const std::string& purpose) {
  std::vector<json> mine = messages(b, true, s.from(s.opener).bytes, c.sent, true);
  std::vector<json> theirs = messages(b, true, s.from(s.opener).bytes, s.from(b.me).bytes, true);
  const auto is = [](const char* name) { return [name](const json& m) { return m["message"] == name; }; };
  if (std::count_if(theirs.begin(), theirs.end(), is("SUBSCRIBE_DROP")) == 0 &&
      std::erase_if(mine, is("SUBSCRIBE_DROP")) != 0)
    b.out.because("R-108 groups that are not delivered whole are named in SUBSCRIBE_DROP, the peer names none (Q-16)");
  const bool refused = s.from(b.me).reset && !s.from(b.me).was_stopped;
  if (refused && c.reset && mine.empty() && !theirs.empty() && before(lite05).has(b.t.ver) && theirs.size() == 1)
    return b.out.because("R-102 a refusal is a reset; the peer says SUBSCRIBE_OK before it knows the track");
  const bool before_05 = before(lite05).has(b.t.ver);
  while (before_05 && mine.size() > 1 && mine.size() > theirs.size() && is("SUBSCRIBE_OK")(mine.back())) {
    mine.pop_back();
    b.out.because("R-100 the start is told once it is known, the peer never tells it (Q-17)");
  }
  for (std::size_t i = 0; i < mine.size() && i < theirs.size(); ++i)
    if (mine[i] != theirs[i] && is("SUBSCRIBE_OK")(mine[i]) && is("SUBSCRIBE_OK")(theirs[i])) {
      if (before_05 && echoes(theirs[i], messages(b, true, s.from(s.opener).bytes, s.from(s.opener).bytes, false)))
        b.out.because("Q-17 the peer's SUBSCRIBE_OK echoes the subscriber");
      else if (!before_05 && !b.r.wire().datagrams.empty())
        b.out.because("R-104 the start counts groups sent as datagrams too");
      else
        continue;
      mine[i] = theirs[i];
    }
  if (mine != theirs) return b.out.fail(purpose + ": we answered " + text_of(mine) + ", recorded " + text_of(theirs));
  const direction_record& end = s.from(b.me);
  if (end.fin && !c.fin) b.out.fail(purpose + ": we did not end the answer");
  if (refused && !c.reset) b.out.fail(purpose + ": we did not reset the answer");
  if (!end.fin && !end.reset && (c.fin || c.reset)) {
    if (s.from(s.opener).fin || s.from(s.opener).reset)
      b.out.because("R-008 our direction ends when the subscriber's does");
    else if (!b.r.closed)
      b.out.fail(purpose + ": we ended the answer");
  }
}
inline void compare_answer(const both& b, const recorded_stream& s, const conduct& c, const std::string& purpose) {
  const direction_record& theirs = s.from(b.me);
  const auto h = heading_of(s.from(s.opener).bytes);
  if (!h) return;
  switch (h->type) {
    case 0x00:
    case 0x20: {
      const auto mine = messages(b, true, s.from(s.opener).bytes, c.sent, true);
      const auto other = messages(b, true, s.from(s.opener).bytes, theirs.bytes, true);
      if (mine.empty() || other.empty()) return b.out.fail("the opening was not answered");
      return compare_setup(b, mine[0], other[0]);
    }
    case 0x01:
      return compare_announcements(b, messages(b, true, s.from(s.opener).bytes, c.sent, true),
                                   messages(b, true, s.from(s.opener).bytes, theirs.bytes, true), purpose);
    case 0x02: return compare_subscribe_answer(b, s, c, purpose);
    case 0x03:
      if (theirs.reset && c.reset) return;
      if (theirs.reset && only(lite03, lite04).has(b.t.ver) && c.fin)
        return b.out.because("Q-21 the peer does not serve FETCH on 03 and 04");
      break;
    case 0x04:
      if (messages(b, true, s.from(s.opener).bytes, c.sent, true) ==
          messages(b, true, s.from(s.opener).bytes, theirs.bytes, true))
        return;
      break;
    case 0x05: return;  // GOAWAY has no answer
    default: break;
  }
  const bool is_open = !theirs.fin && !theirs.reset;
  if (theirs.reset && !theirs.was_stopped ? !c.reset
                                          : c.sent != theirs.bytes || (is_open ? c.fin : theirs.fin && !c.fin))
    b.out.fail(purpose + ": we answered " + tests::to_hex(c.sent).substr(0, 200) + (c.reset ? " reset" : "") +
               ", recorded " + tests::to_hex(theirs.bytes).substr(0, 200) + (theirs.reset ? " reset" : ""));
}

// ---------------------------------------------------------------------------------------------- the groups we sent

inline void missing_group(const both& b, const std::string& purpose) {
  const std::size_t id_at = purpose.find(' ') + 1, sequence_at = purpose.rfind(' ') + 1;
  const std::string id = purpose.substr(id_at, sequence_at - 1 - id_at);
  const std::uint64_t sequence = std::stoull(purpose.substr(sequence_at));
  for (const recorded_stream& s : b.t.streams) {
    const raw& request = s.from(s.opener).bytes;
    const std::string asked = s.bidi && s.opener != b.me ? purpose_of(b.t.ver, true, request) : "";
    if (!asked.starts_with("subscribe ") || std::to_string(b.r.subscribe_id(request)) != id) continue;
    const auto answer = messages(b, true, request, b.r.stream(stream_id{s.quic_id}).sent, true);
    if (b.r.voice.written.contains({asked.substr(10), sequence}) && was_dropped(answer, sequence))
      return b.out.because("R-169/R-170 a group older than Max Latency is not sent, the peer sends it");
  }
  b.out.fail("we did not send " + purpose);
}
inline void compare_group(const both& b, const recorded_stream& s, const conduct& c, const std::string& purpose) {
  const direction_record& theirs = s.from(b.me);
  const bool is_prefix = std::equal(
      c.sent.begin(), c.sent.begin() + static_cast<std::ptrdiff_t>(std::min(c.sent.size(), theirs.bytes.size())),
      theirs.bytes.begin());
  const bool is_cut = theirs.reset || theirs.was_stopped;  // how much was out by then is a matter of timing
  if (!is_prefix || (!is_cut && c.sent.size() != theirs.bytes.size()))
    return b.out.fail(purpose + ": we wrote " + tests::to_hex(c.sent).substr(0, 200) + ", recorded " +
                      tests::to_hex(theirs.bytes).substr(0, 200));
  if (theirs.fin && !c.fin) b.out.fail(purpose + ": we did not end it");
  if (theirs.reset && !theirs.was_stopped && !c.reset) b.out.fail(purpose + ": we did not reset it");
  if (!theirs.fin && !theirs.reset && (c.fin || c.reset) && !b.r.closed) b.out.fail(purpose + ": we ended it");
}

}  // namespace moql::vectors::detail

namespace moql::vectors {

/// `requests`: what a subscriber writes; otherwise what a publisher does.
inline void compare_written(const trace& t, who me, replay& r, bool requests, comparison& out) {
  const detail::both b{t, me, r, out};
  for (std::size_t n = 0; n < t.streams.size() && out.good(); ++n) {
    const recorded_stream& s = t.streams[n];
    const std::string purpose = purpose_of(t.ver, s.bidi, s.from(s.opener).bytes);
    if (purpose.empty()) continue;
    const bool is_group = purpose.starts_with("group ");
    const bool is_ours = s.opener == me;
    if (!is_ours && !s.bidi) continue;
    if ((is_ours && !is_group) != requests) continue;
    const auto id = r.pair(n);
    if (is_ours && !id) {
      is_group ? detail::missing_group(b, purpose) : detail::missing(b, purpose);
    } else if (is_group) {
      detail::compare_group(b, s, r.stream(*id), purpose);
    } else if (is_ours) {
      detail::compare_request(b, s, r.stream(*id), purpose);
    } else {
      detail::compare_answer(b, s, r.stream(*id), purpose);
    }
  }
  for (const stream_id id : r.wire().order) {
    const std::string purpose = purpose_of(t.ver, r.stream(id).is_bidi, r.stream(id).sent);
    if (!out.good() || r.is_paired(id) || purpose.empty() || purpose.starts_with("group ") == requests) continue;
    const std::string track = purpose.starts_with("subscribe ") ? purpose.substr(10) : "";
    const auto& ends = r.ears.track_ends[track];
    if (!track.empty() && has_track_stream(t.ver) && std::find(ends.begin(), ends.end(), "error") != ends.end())
      out.because("Q-20 the peer asks TRACK first and does not SUBSCRIBE when that is refused");
    else
      out.fail("nothing of the kind was recorded: " + purpose);
  }
  if (requests) return;
  std::vector<raw> theirs;
  for (const wire_event& e : t.wire)
    if (e.kind == wire_event::what::datagram && e.from == me) theirs.push_back(e.bytes);
  if (theirs != r.wire().datagrams) out.fail("other datagrams were sent");
  for (const std::string& f : r.voice.failed) out.fail(f);
}

}  // namespace moql::vectors
