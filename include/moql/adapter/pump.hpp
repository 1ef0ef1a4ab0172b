#pragma once
/// The one loop between a session and its transport: carries out what the session wants until it wants nothing more.

#include "../session/session.hpp"

namespace moql {

/// Call after the session's events have been drained, after commands, and when a deadline has passed; drain again if
/// `has_events()` says so afterwards, for a deadline or a last write may end something. Nothing here blocks.
template <transport Transport>
void pump(session& s, Transport& t, instant now) noexcept {
  if (s.next_deadline() <= now) s.on_deadline(now);
  s.on_max_datagram(t.max_datagram());
  if (s.is_probed()) s.on_stats(t.stats(), now);
  const auto carry_out = [&]() noexcept {
    bool any = false;
    while (const auto a = s.next_action()) {
      any = true;
      std::visit(overload{
                     [&](const open_stream& o) {
                       const open_result r = t.open(o.dir);
                       if (r.status == transport_status::ok)
                         s.on_opened(o.ticket, r.id, now);
                       else
                         s.on_open_blocked(o.ticket);
                     },
                     [&](const reset_stream& r) { t.reset(r.stream, r.code); },
                     [&](const stop_stream& r) { t.stop(r.stream, r.code); },
                     [&](const give_credit& g) { t.consume(g.stream, g.size); },
                     [&](const set_priority& p) { t.priority(p.stream, p.order); },
                     [&](const send_datagram& d) { (void)t.datagram(d.data); },
                     [&](const close_session& c) { t.close(c.code, c.reason); },
                 },
                 *a);
    }
    return any;
  };
  while (s.has_output()) {
    (void)carry_out();
    if (const auto w = s.next_write())
      s.on_written(w->stream, t.write(w->stream, w->pieces, w->fin));
    else if (!carry_out())  // looking for bytes may have given a group up
      return;
  }
}

}  // namespace moql
