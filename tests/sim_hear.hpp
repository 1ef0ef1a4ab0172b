#pragma once
/// What a simulated application makes of each event: whether it may come now, and whether it says the truth.

#include "sim.hpp"

namespace testing::sim {

inline watch* app::heard(subscription_id id) {
  const auto i = watches.find(id);
  if (i == watches.end()) {
    fail("an event of a subscription that never was");
    return nullptr;
  }
  must(!i->second.is_left, "an event of a subscription that was left");
  must(!i->second.is_closed, "an event of a subscription that is closed");
  watch& w = i->second;
  if (w.track == nullptr) w.track = find(other().tracks, w.broadcast, w.name);
  return &w;
}

inline void app::hear_announced(const announced& a, int by) {
  const auto i = interests.find(a.interest);
  if (i == interests.end() || i->second.is_left || i->second.is_closed) return fail("an announcement nobody asked for");
  int& count = i->second.seen[std::string(a.path)];
  must(by == 1 ? count == 0 : count == 1, "an announcement out of turn");
  must(covers(i->second.prefix, a.path) && a.prefix == i->second.prefix, "an announcement outside of its prefix");
  count = 1;
  ++seen.announcements;
}

inline void app::hear(const event& e) {
  must(closed_heard == 0, "an event after session_closed");
  const version v = world_.ver;
  std::visit(
      overload{
          [&](const connected& c) {
            must(c.ver == v, "another version");
            ++connected_heard;
          },
          [&](const session_closed& c) {
            ++closed_heard;
            last_close = c;
            last_close.reason = {};
          },
          [&](const announced& a) { hear_announced(a, 1); },
          [&](const announce_updated& a) { hear_announced(a, 0); },
          [&](const announce_ended& a) {
            const auto i = interests.find(a.interest);
            if (i == interests.end() || i->second.is_left) return fail("an end nobody asked for");
            must(i->second.seen.erase(std::string(a.path)) == 1, "an end of what never began");
          },
          [&](const interest_closed& c) {
            const auto i = interests.find(c.interest);
            if (i == interests.end() || i->second.is_left || i->second.is_closed)
              return fail("interest_closed out of turn");
            must(i->second.seen.empty(), "interest_closed before its announcements ended");
            i->second.is_closed = true;
          },
          [&](const subscription_started& m) {
            if (watch* w = heard(m.subscription)) {
              w->is_started = true;
              ++seen.subscriptions;
              if (m.group) w->start = m.group;
            }
          },
          [&](const track_known& m) {
            watch* w = heard(m.subscription);
            if (w == nullptr || w->track == nullptr) return fail("track_known of no track");
            const track_options& o = w->track->options;
            w->is_known = true;
            must(m.info.timescale == o.timescale && m.info.priority == o.priority && m.info.max_age_ms == o.max_age_ms,
                 "other track properties");
          },
          [&](const group_started& m) {
            if (watch* w = heard(m.subscription)) {
              const bool is_new = w->groups.try_emplace(m.group, got_group{.next_frame = m.first_frame}).second;
              must(is_new, "a group twice");
            }
          },
          [&](const frame_part& p) {
            watch* w = heard(p.subscription);
            if (w == nullptr) return;
            const auto g = w->groups.find(p.group);
            if (g == w->groups.end() || g->second.is_finished) return fail("a frame outside of its group");
            seen.frames += p.is_last() ? 1 : 0;
            must(!has_track_stream(v) || w->is_known, "a frame before the track's properties");
            must(check_part(v, w->track, p.group, g->second.next_frame, g->second.offset, p.frame, p.timestamp, p.size,
                            p.offset, p.payload));
          },
          [&](const group_finished& m) {
            watch* w = heard(m.subscription);
            if (w == nullptr) return;
            const auto g = w->groups.find(m.group);
            if (g == w->groups.end() || g->second.is_finished) return fail("the end of no group");
            g->second.is_finished = true;
            g->second.why = m.why;
            ++(m.why == errc::ok ? seen.whole_groups : seen.cut_groups);
            must(m.why != errc::ok || g->second.offset == 0, "a whole group that ends inside a frame");
          },
          [&](const datagram_received& d) {
            watch* w = heard(d.subscription);
            if (w == nullptr) return;
            const auto [g, is_new] = w->groups.try_emplace(d.group, got_group{.by_datagram = true});
            if (!is_new) return fail("a group twice");
            ++seen.datagrams;
            must(check_part(v, w->track, d.group, g->second.next_frame, g->second.offset, 0, d.timestamp,
                            d.payload.size(), 0, d.payload));
            g->second.is_finished = true;
          },
          [&](const groups_lost& l) {
            if (watch* w = heard(l.subscription)) {
              must(l.first <= l.last, "an empty range of losses");
              ++seen.losses;
              for (const groups_lost& before : w->lost)
                must(l.last < before.first || before.last < l.first, "a loss reported twice");
              w->lost.push_back(l);
            }
          },
          [&](const subscription_end_known& m) {
            if (watch* w = heard(m.subscription)) w->end = m.end;
          },
          [&](const subscription_closed& c) {
            if (watch* w = heard(c.subscription)) {
              w->is_closed = true;
              w->why = c.why;
              seen.refusals += c.why == errc::refused_by_peer ? 1 : 0;
            }
          },
          [&](const fetch_part& p) {
            const auto f = fetches.find(p.fetch);
            if (f == fetches.end() || f->second.is_left || f->second.is_closed) return fail("a part of no fetch");
            must(check_part(v, f->second.track, f->second.group, f->second.next_frame, f->second.offset, p.frame,
                            p.timestamp, p.size, p.offset, p.payload));
          },
          [&](const fetch_closed& c) {
            const auto f = fetches.find(c.fetch);
            if (f == fetches.end() || f->second.is_left || f->second.is_closed) return fail("the end of no fetch");
            fetching& x = f->second;
            x.is_closed = true;
            ++(c.why == errc::ok ? seen.whole_fetches : seen.refused_fetches);
            if (c.why != errc::ok) return;
            if (x.track == nullptr) return fail("a fetch of nothing succeeded");
            const sent_group& g = x.track->groups[x.group];
            const bool is_bounded = x.options.frame_end && *x.options.frame_end < g.frames.size();
            must(x.offset == 0 && x.next_frame == (is_bounded ? *x.options.frame_end + 1 : g.frames.size()),
                 "a fetch that ends too early");
          },
          [&](const track_answered& a) {
            const auto q = queries.find(a.query);
            if (q == queries.end()) return fail("an answer to no question");
            if (a.why == errc::ok)
              must(q->second != nullptr && a.info.timescale == q->second->options.timescale, "a wrong answer");
            seen.answers += a.why == errc::ok ? 1 : 0;
            queries.erase(q);
          },
          [&](const subscribe_requested& r) {
            must(requests.insert(r.request).second, "a request twice");
            answer(r.request, find(tracks, r.broadcast, r.track));
          },
          [&](const track_requested& r) {
            must(requests.insert(r.request).second, "a request twice");
            answer(r.request, find(tracks, r.broadcast, r.track));
          },
          [&](const fetch_requested& r) {
            must(requests.insert(r.request).second, "a request twice");
            answer(r.request, find(tracks, r.broadcast, r.track));
          },
          [&](const subscribe_updated& u) { must(requests.count(u.request) == 1, "an update of no request"); },
          [&](const request_closed& c) { must(requests.erase(c.request) == 1, "the end of no request"); },
          [&](const bandwidth&) { ++seen.reports; },
          [&](const goaway_received&) { ++seen.goaways; },
          [](const auto&) {},
      },
      e);
}

}  // namespace testing::sim
