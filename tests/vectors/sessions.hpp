#pragma once
/// Recorded sessions: each side that asked for something and each side that published something is played by a session
/// of ours, with the other side's bytes as they were recorded and again one at a time.

#include "written.hpp"

namespace moql::vectors {

namespace detail {

/// Whether the side opened a request, or its application was told of one.
inline bool has_subscriber(const trace& t, who me) {
  for (const recorded_stream& s : t.streams)
    if (s.opener == me && s.bidi && purpose_of(t.ver, true, s.from(me).bytes) != "session") return true;
  return false;
}
inline bool has_publisher(const trace& t, who me) {
  for (const app_event& a : t.app)
    if (a.is_did && a.by == me && (a.verb == "publish" || a.verb == "stats")) return true;
  return has_subscriber(t, other(me));
}
inline verdict play(const trace& t, payloads& p, who me, bool as_subscriber) {
  const std::string text = std::string("session, ") + (as_subscriber ? "subscriber's" : "publisher's") + " place";
  comparison out;
  for (const bool slow : {false, true}) {
    const std::string where = text + " (" + name_of(me) + (slow ? ", byte by byte)" : ")");
    try {
      replay r(t, p, me, slow);
      r.run();
      if (r.closed && r.closed->why != errc::ok)
        out.fail("our session closed: " + std::string(moql::text_of(r.closed->why)));
      if (as_subscriber) compare_heard(t, me, r, out);
      compare_written(t, me, r, as_subscriber, out);
    } catch (const std::exception& e) {  // the recording says what cannot be
      return verdict::fail(where + ": " + e.what());
    }
    if (!out.good()) return verdict::fail(where + ": " + out.failure);
  }
  return out.as_verdict(text);
}

}  // namespace detail

/// `file` is a whole file of sessions/; every place in it is a case of its own, named `name` and the side.
template <class Add>
void run_session(const json& file, const std::string& name, Add add) {
  const trace t = trace_from(file);
  if (t.is_wip && !is_same_in_06(t))
    return add(name, verdict::skipped("06wip sessions with messages that published 06 writes differently"));
  payloads p(t);
  bool any = false;
  for (const who me : {who::client, who::server})
    for (const bool as_subscriber : {true, false}) {
      if (!(as_subscriber ? detail::has_subscriber(t, me) : detail::has_publisher(t, me))) continue;
      any = true;
      add(name + ", " + name_of(me), detail::play(t, p, me, as_subscriber));
    }
  if (!any) throw bad_line("nobody asks or publishes anything");
}

}  // namespace moql::vectors
