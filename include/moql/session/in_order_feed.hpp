#pragma once
/// What a session tells of one subscription, put into an `in_order_reader`.

#include "../delivery/in_order.hpp"
#include "event.hpp"

namespace moql {

[[nodiscard]] constexpr skip skip_of(loss how) noexcept {
  switch (how) {
    case loss::dropped: return skip::dropped;
    case loss::skipped: return skip::before_start;
    case loss::unaccounted: break;
  }
  return skip::unaccounted;
}

/// Tells `to` what `e` says of subscription `id`; false when it speaks of something else. Take `to.next()` until there
/// is nothing after each event. A datagram is a group of one frame.
inline bool feed(in_order_reader& to, subscription_id id, const event& e, instant now) noexcept {
  const auto part = [&](const frame_part& f) {
    to.part({f.group, f.frame, f.timestamp, f.size, f.offset, f.payload}, now);
  };
  const auto is_ours = [&](const auto& about) { return about.subscription == id; };
  if (const auto* f = std::get_if<frame_part>(&e); f != nullptr && is_ours(*f)) {
    part(*f);
  } else if (const auto* g = std::get_if<group_started>(&e); g != nullptr && is_ours(*g)) {
    to.begin(g->group, g->first_frame, now);
  } else if (const auto* d = std::get_if<datagram_received>(&e); d != nullptr && is_ours(*d)) {
    to.begin(d->group, 0, now);
    part({id, d->group, 0, d->timestamp, d->payload.size(), 0, d->payload});
    to.finish(d->group, errc::ok, 0, now);
  } else if (const auto* x = std::get_if<group_finished>(&e); x != nullptr && is_ours(*x)) {
    to.finish(x->group, x->why, x->code, now);
  } else if (const auto* l = std::get_if<groups_lost>(&e); l != nullptr && is_ours(*l)) {
    to.lost(l->first, l->last, skip_of(l->how), l->code, now);
  } else if (const auto* s = std::get_if<subscription_started>(&e); s != nullptr && is_ours(*s)) {
    if (s->group) to.start_at(*s->group, now);
  } else if (const auto* k = std::get_if<track_known>(&e); k != nullptr && is_ours(*k)) {
    to.set_timescale(k->info.timescale);
  } else if (const auto* end = std::get_if<subscription_end_known>(&e); end != nullptr && is_ours(*end)) {
    to.end_at(end->end, now);
  } else if (const auto* c = std::get_if<subscription_closed>(&e); c != nullptr && is_ours(*c)) {
    to.close(now);
  } else {
    return false;
  }
  return true;
}

}  // namespace moql
