#pragma once
/// What is asked of upstream for a track, and how what comes is put into its cache. Draft 06 sections 5.1.1.1
/// and 6.1.1.

#include <utility>

#include "relay_codes.hpp"
#include "track_book.hpp"

namespace moql::detail {

class sourcing : public track_book {
 public:
  using track_book::track_book;

 protected:
  static constexpr std::size_t sources_max = 4;  // one in use, one to move to, and flaps
  static constexpr std::size_t lost_ranges_max = 256;
  static constexpr std::size_t early_max = 64;

  // ---- wishes

  [[nodiscard]] std::uint8_t priority_of(const relayed_track& t) const noexcept {
    const bool is_publishers = options_.priority == upstream_priority::publisher && t.publisher_priority;
    return is_publishers ? *t.publisher_priority : t.wish.priority;
  }
  /// What a new source is asked for: what the readers want together or, once there is something, what comes behind it.
  [[nodiscard]] msg::delivery wanted_of(relayed_track& t, version v) noexcept {
    msg::delivery d;
    d.priority = priority_of(t);
    if (!has_ranges(v)) {
      if (d.priority > priority_max_before_03) d.priority = priority_max_before_03;
      return d;
    }
    d.max_age_ms = t.wish.max_age_ms;
    d.group_end = t.wish.end;
    if (t.cache && t.cache->next_sequence() != 0) {
      d.group_start = t.cache->next_sequence();
      if (const cached_group* g = lowest_open(t)) {
        d.group_start = g->sequence;
        // From the last whole frame and not behind it: that there is nothing behind it is worth knowing too, and a
        // publisher that has no such frame would leave the group out.
        const std::uint64_t whole = g->first_frame + g->frames.size() - (g->part_missing != 0 ? 1 : 0);
        if (has_frame_bounds(v) && whole > 1) d.frame_start = whole - 1;
      }
    } else if (!t.wish.wants_all) {
      d.group_start = t.wish.start;
    }
    if (d.group_end && d.group_start && *d.group_end < *d.group_start) d.group_end = d.group_start;
    return d;
  }
  /// Upstream is asked for more at once.
  void raise(relayed_track& t, const track_wish& more) noexcept {
    track_wish all = t.wish;
    all.add(more);
    if (all == t.wish) return;
    t.wish = all;
    tell_wish(t);
  }
  /// And for less after a moment, for readers come and go.
  void lower(relayed_track& t) noexcept {
    track_wish all;
    for_each_reader(t, [&](const track_reader& r) {
      session& link = *peers_[r.peer.index].link;
      if (const auto want = link.wanted(r.request)) all.add(track_wish::of(link.negotiated(), *want));
    });
    if (all.is_empty || all == t.wish) return;
    t.wish = all;
    tell_wish(t);
  }
  void tell_wish(relayed_track& t) noexcept {
    if (track_source* s = t.current()) tell_wish(t, *s);
  }
  void tell_wish(relayed_track& t, track_source& s) noexcept {
    if (!has_ranges(s.ver)) return;
    msg::delivery d = s.asked;
    d.priority = priority_of(t);
    d.max_age_ms = t.wish.max_age_ms;
    d.group_end = t.wish.end;
    if (is_fresh(t)) d.group_start = t.wish.wants_all ? std::nullopt : t.wish.start;  // somebody may want earlier ones
    if (d.group_end && d.group_start && *d.group_end < *d.group_start) d.group_end = d.group_start;
    change(s, d);
  }
  void change(track_source& s, const msg::delivery& d) noexcept {
    if (d == s.asked) return;
    if (peers_[s.peer.index].link->update(s.subscription, d) != errc::ok) return;
    s.asked = d;
    peers_.touch(s.peer);
  }

  // ---- asking

  /// Whether no group has come yet.
  [[nodiscard]] static bool is_fresh(const relayed_track& t) noexcept {
    return !t.cache || t.cache->next_sequence() == 0;
  }
  /// Whether the track may come from another producer: before anybody has been told its properties, which never change
  /// . And nobody who waits may be a relay (only those and publishers have a hop): such a one holds what it gets
  /// for the content of the producer that it has been told of.
  [[nodiscard]] bool may_change_origin(relayed_track& t) noexcept {
    bool may = !t.cache;
    if (may) for_each_reader(t, [&](const track_reader& r) { may = may && peers_[r.peer.index].hop == 0; });
    return may;
  }
  /// On whose behalf sources are chosen: the first reader's, so that at least that one may be served.
  [[nodiscard]] requester asker_of(relayed_track& t) noexcept {
    requester who;
    if (t.first_reader != no_slot) {
      const slot_handle peer = readers_[t.first_reader].peer;
      who = {id_of<peer_id>(peer), peers_[peer.index].hop};
    }
    if (!may_change_origin(t)) who.origin = t.origin;
    return who;
  }
  /// Subscribes at the best of the peers that can be asked. False when there is none.
  [[nodiscard]] bool ask_best(relayed_track& t, requester who, slot_handle without) noexcept {
    if (who.origin == 0 && t.readers != 0 && !may_change_origin(t)) return false;  // whose content would go on?
    for (int tries = 0; tries < 2; ++tries) {
      const auto v = routes_.resolve(t.scope, t.broadcast_view(), who, id_of<peer_id>(without));
      if (!v) return false;
      const slot_handle from = slot_of(v->from);
      if (ask(t, *v)) return true;
      without = from;  // it is leaving: somebody else of the same tier, or nobody
      if (who.hop != 0) who.origin = v->first_hop();
      if (who.hop != 0 && who.origin == 0) return false;
    }
    return false;
  }
  [[nodiscard]] bool ask(relayed_track& t, const route_view& v) noexcept {
    const slot_handle peer = slot_of(v.from);
    relay_peer* p = peers_.find(peer);
    if (p == nullptr || !p->is_usable() || p->is_draining) return false;
    track_source s(mem_);
    s.peer = peer;
    s.ver = p->ver();
    s.number = t.next_number++;
    s.is_stamped = t.is_timed && has_timestamps(s.ver);
    s.asked = wanted_of(t, s.ver);
    if (!s.hops.append(v.hops.data(), v.hops.size())) return false;
    if (t.sources.size() >= sources_max) drop_source(t, 0, true);
    if (!t.sources.reserve(t.sources.size() + 1)) return false;
    s.origin = v.first_hop();
    s.route = v.id;
    s.prefix_size = routes_.path(v.place).size();
    const std::uint64_t origin = s.origin;
    vec<char> room(mem_);
    const std::string_view broadcast = spelled_for(v, t.broadcast_view(), room);
    const auto id = p->link->subscribe(broadcast, t.name_view(), {.want = s.asked, .keep_open = true}, now_);
    peers_.touch(peer);  // also when it could not: it may have begun
    if (!id) return false;
    s.subscription = *id;
    if (!by_subscription_.insert(key_of(peer, *id), t.self.index)) {
      (void)p->link->unsubscribe(*id);
      return false;
    }
    (void)t.sources.push(std::move(s));  // the room is there
    if (!t.cache) t.origin = origin;
    ++p->sources;
    ++counts_.sources_opened;
    // Who cannot be served from the new source has to ask somebody else.
    for_each_reader(t, [&](track_reader& r) {
      if (!may_be_served(t, r.peer)) reject_reader(r, stream_code::unroutable);
    });
    return true;
  }
  /// A source has said where it starts, or begun. What the others were needed for until now it takes over.
  void accept(relayed_track& t, std::uint32_t number, std::uint64_t start) noexcept {
    track_source* s = t.source_numbered(number);
    if (s == nullptr || s->is_accepted) return;
    s->is_accepted = true;
    s->start = start;
    t.attempts = 0;
    t.is_detour = false;
    cancel_timer(t, timer::linger);
    if (s->is_leaving) return;  // too late: a newer one has taken over
    if (t.sources.size() == 1) return abort_uncarried(t, start, stream_code::internal_error);
    const cached_group* open = t.cache ? lowest_open(t) : nullptr;
    const bool is_covered = open == nullptr || open->sequence >= start;
    for (std::size_t i = t.sources.size(); i-- > 0;) {
      track_source& o = t.sources[i];
      if (o.number == number) continue;
      if (is_covered) {
        drop_source(t, i, true);
        continue;
      }
      o.is_leaving = true;  // it finishes the groups that the new one does not have
      if (has_ranges(o.ver) && start != 0) {
        msg::delivery d = o.asked;
        d.group_end = start - 1;
        if (d.group_start.value_or(0) <= start - 1) change(o, d);
      }
    }
    if (is_covered)
      cancel_timer(t, timer::move);
    else
      set_timer(t, timer::move, options_.move_timeout);
  }

  // ---- the cache

  [[nodiscard]] static const cached_group* lowest_open(relayed_track& t) noexcept {
    for (std::size_t i = 0; i < t.cache->groups_held(); ++i)
      if (t.cache->nth(i).state == group_state::open) return &t.cache->nth(i);
    return nullptr;
  }
  /// Before 05 there are no timestamps: ours are milliseconds of our own clock.
  [[nodiscard]] static msg::track_info untimed_info(const relayed_track& t) noexcept {
    return {t.publisher_priority.value_or(0), false, for_ever_ms, 1000};
  }
  /// The track's properties are known: who waited is served.
  void open_cache(relayed_track& t, const msg::track_info& info) noexcept {
    track_options o;
    o.priority = info.priority;
    o.max_age_ms = info.max_age_ms < options_.caps.cache_age_max_ms ? info.max_age_ms : options_.caps.cache_age_max_ms;
    o.timescale = info.timescale;
    o.bytes_max = options_.caps.track_bytes_max;
    o.groups_max = options_.caps.track_groups_max;
    o.overlapping = true;
    o.budget = &budget_;
    t.cache.emplace(o, mem_);
    t.merge.emplace(*t.cache, mem_);
    for (track_source& s : t.sources) {
      s.is_stamped = t.is_timed && has_timestamps(s.ver);
      if (s.is_accepted) t.cache->expect_from(s.start);
      for (const track_source::begun& b : s.early) begin(t, s, b.sequence, b.first_frame, sent_by::stream);
      s.early.clear();
    }
    for_each_reader(t, [&](track_reader& r) { serve(r); });
    tell_wish(t);
  }
  /// Newer groups may come first: where a track starts is what its source said.
  void expect(relayed_track& t, std::uint32_t number, std::uint64_t start) noexcept {
    if (t.cache)
      t.cache->expect_from(start);
    else if (track_source* s = t.source_numbered(number))
      s->start = start;
  }
  void begin(relayed_track& t, track_source& s, std::uint64_t group, std::uint64_t first_frame, sent_by how) noexcept {
    if (!t.cache) {
      if (s.early.size() < early_max) (void)s.early.push({group, first_frame});  // otherwise it is not taken
      return;
    }
    if (t.merge->begin(s.number, group, first_frame, now_, how) == copy::refused) ++counts_.copies_refused;
  }
  void take(relayed_track& t, const track_source& s, std::uint64_t group, std::uint64_t frame, std::uint64_t timestamp,
            std::uint64_t size, std::uint64_t offset, bytes payload) noexcept {
    if (offset == 0 || !s.is_stamped) timestamp = stamp(t, s, group, frame, timestamp);
    const copy what = t.merge->part(s.number, group, frame, timestamp, size, offset, std::move(payload));
    if (what == copy::taken || what == copy::ahead) return;
    if (what == copy::repeated) {
      ++counts_.copies_repeated;
      return;
    }
    const cached_group* g = t.cache->find(group);
    if (g != nullptr && frame < g->first_frame) return;  // of no use, but what follows may be
    ++(what == copy::conflicting ? counts_.copies_conflicting : counts_.copies_refused);
    t.merge->give_up(s.number, group);
    (void)peers_[s.peer.index].link->skip(s.subscription, group);
    peers_.touch(s.peer);
    abort_if_uncarried(t, group, stream_code::group_too_large);
  }
  /// The timestamp of a frame in the track's timescale. A frame that is held keeps the one it has; where the source has
  /// none that fit, time goes on from the newest one as it does here.
  [[nodiscard]] std::uint64_t stamp(relayed_track& t, const track_source& s, std::uint64_t group, std::uint64_t frame,
                                    std::uint64_t timestamp) noexcept {
    if (!s.is_stamped) {
      const cached_group* g = t.cache->find(group);
      if (g != nullptr && frame >= g->first_frame && frame - g->first_frame < g->frames.size())
        return g->frames[static_cast<std::size_t>(frame - g->first_frame)].timestamp;
      const std::int64_t since = now_.us - t.stamped_at.us;
      const std::uint64_t ms = since > 0 ? static_cast<std::uint64_t>(since) / 1000 : 0;
      timestamp = t.newest_timestamp + to_units(ms, t.cache->options().timescale);
      if (!t.has_stamped) timestamp = now_.us > 0 ? static_cast<std::uint64_t>(now_.us) / 1000 : 0;
    }
    if (!t.has_stamped || timestamp > t.newest_timestamp) {
      t.has_stamped = true;
      t.newest_timestamp = timestamp;
      t.stamped_at = now_;
    }
    return timestamp;
  }
  /// Nobody brings the rest of a group: its readers are told.
  void abort_if_uncarried(relayed_track& t, std::uint64_t group, stream_code code) noexcept {
    const cached_group* g = t.cache->find(group);
    if (g == nullptr || g->state != group_state::open || t.merge->carriers(group) != 0 || t.sources.size() > 1) return;
    (void)t.cache->abort_group(group, code);
    ++counts_.groups_aborted;
  }
  void abort_uncarried(relayed_track& t, std::uint64_t below, stream_code code) noexcept {
    if (!t.cache) return;
    for (std::size_t i = 0; i < t.cache->groups_held(); ++i) {
      const std::uint64_t group = t.cache->nth(i).sequence;
      if (group >= below) return;
      abort_if_uncarried(t, group, code);
    }
  }
  /// Groups that will not come from anywhere.
  void drop_lost(relayed_track& t, std::uint64_t first, std::uint64_t last) noexcept {
    if (!t.cache) return;
    std::uint64_t at = first;
    const auto drop = [&](std::uint64_t to) {
      if (at <= to && t.cache->drop_groups(at, to) == errc::ok) counts_.groups_lost += to - at + 1;
    };
    for (std::size_t i = 0; i < t.cache->groups_held(); ++i) {
      const std::uint64_t held = t.cache->nth(i).sequence;
      if (held < at) continue;
      if (held > last) break;
      abort_if_uncarried(t, held, stream_code::cancelled);
      if (held > at) drop(held - 1);
      at = held + 1;
    }
    drop(last);
  }
  /// One source is left: what it said it does not bring is lost now.
  void settle_loss(relayed_track& t) noexcept {
    if (t.sources.size() != 1) return;
    ranges lost = std::move(t.sources[0].lost);
    for (const interval& i : lost.view()) drop_lost(t, i.first, i.last);
  }
};

}  // namespace moql::detail
