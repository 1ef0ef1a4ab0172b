#pragma once
/// One upstream subscription for any number of downstream ones: what readers, sources, routes and clocks tell of a
/// track. Draft 06 sections 5.1.1.1, 5.1.1.2 and 6.1.1.
///
/// Every reader is a cursor in the track's cache, so one more costs neither a copy nor a queue. The sources of a track
/// are merged in that cache: a frame that two of them bring is taken from the first.

#include "rerouting.hpp"

namespace moql::detail {

class fanout : public rerouting {
 public:
  using rerouting::rerouting;

  // ---- downstream

  /// A SUBSCRIBE, or a TRACK that only the publisher's answer to a SUBSCRIBE can answer.
  void wanted(slot_handle from, request_id request, bool is_question, std::string_view broadcast, std::string_view name,
              const msg::delivery& want, instant now) noexcept {
    now_ = now;
    const track_wish wish = track_wish::of(peers_[from.index].ver(), want);
    relayed_track* t = find(peers_[from.index].scope, broadcast, name);
    if (t != nullptr) {
      const relay_peer& p = peers_[from.index];
      const auto shown = routes_.resolve(p.scope, broadcast, {id_of<peer_id>(from), p.hop});
      if (shown && !leads_to(*shown, *t)) {  // who reads it goes on, but nobody joins
        retire(*t);
        t = nullptr;
      } else if (!shown || !may_be_served(*t, from)) {
        return refuse(from, request, stream_code::unroutable);
      }
    }
    if (readers_.size() >= options_.caps.readers_max) return refuse(from, request, stream_code::no_capacity);
    stream_code why{};
    if (t == nullptr) t = open(from, broadcast, name, wish, why);
    if (t == nullptr) return refuse(from, request, why);
    track_reader* r = add_reader(*t, from, request, is_question);
    if (r == nullptr) {
      refuse(from, request, stream_code::no_capacity);
      return close_if_unread(*t);
    }
    if (!is_question) {
      ++counts_.readers_opened;
      raise(*t, wish);
    }
    if (t->cache) serve(*r);
    close_if_unread(*t);
  }
  void updated(slot_handle from, request_id request, const msg::delivery& want, instant now) noexcept {
    now_ = now;
    const std::uint32_t i = by_request_.find(key_of(from, request));
    if (i == slot_index::none) return;
    relayed_track& t = tracks_[readers_[i].track];
    raise(t, track_wish::of(peers_[from.index].ver(), want));
    set_timer(t, timer::relax, relax_after);
  }
  /// A request is over, for whatever reason.
  void left(slot_handle from, request_id request, instant now) noexcept {
    now_ = now;
    const std::uint32_t i = by_request_.find(key_of(from, request));
    if (i != slot_index::none) leave(readers_[i]);
  }

  // ---- upstream: events of subscriptions of ours

  void known(slot_handle from, const track_known& k, instant now) noexcept {
    now_ = now;
    const found f = find(from, k.subscription);
    if (f.track == nullptr) return;
    relayed_track& t = *f.track;
    f.source->is_known = true;
    if (!t.is_detour) {  // the session may have known it before: proof of nothing
      t.attempts = 0;
      cancel_timer(t, timer::linger);
      // On a track without content there is nothing to hand over, and SUBSCRIBE_OK may be long in coming.
      if (is_fresh(t) && t.sources.size() > 1) accept(t, f.source->number, 0);
    }
    if (t.cache) {  // another timescale than what has been said downstream: then its content goes by our own clock
      if (track_source* s = t.source_of(from, k.subscription))
        s->is_stamped = t.is_timed && t.cache->options().timescale == k.info.timescale;
      return;
    }
    t.publisher_priority = k.info.priority;
    t.is_timed = true;
    open_cache(t, k.info);
    close_if_unread(t);
  }
  void started(slot_handle from, const subscription_started& s, instant now) noexcept {
    now_ = now;
    const found f = find(from, s.subscription);
    if (f.track == nullptr) return;
    relayed_track& t = *f.track;
    const std::uint32_t number = f.source->number;
    if (!t.cache && !has_track_stream(f.source->ver)) {
      if (s.publisher_priority) t.publisher_priority = s.publisher_priority;
      open_cache(t, untimed_info(t));
    }
    if (s.group) {
      if (is_fresh(t)) expect(t, number, *s.group);
      accept(t, number, *s.group);
    }
    close_if_unread(t);
  }
  void group_began(slot_handle from, const group_started& g, instant now) noexcept {
    now_ = now;
    ++counts_.groups_in;
    if (relayed_track* t = took(from, g.subscription, g.group, g.first_frame, sent_by::stream)) close_if_unread(*t);
  }
  void part(slot_handle from, const frame_part& p, instant now) noexcept {
    now_ = now;
    counts_.bytes_in += p.payload.size();
    const found f = find(from, p.subscription);
    if (f.track != nullptr && f.track->merge)
      take(*f.track, *f.source, p.group, p.frame, p.timestamp, p.size, p.offset, p.payload);
  }
  void datagram(slot_handle from, const datagram_received& d, instant now) noexcept {
    now_ = now;
    ++counts_.groups_in;
    counts_.bytes_in += d.payload.size();
    relayed_track* t = took(from, d.subscription, d.group, 0, sent_by::datagram);
    const found f = find(from, d.subscription);
    if (t == nullptr || f.track == nullptr || !t->merge) return;
    take(*t, *f.source, d.group, 0, d.timestamp, d.payload.size(), 0, d.payload);
    (void)t->merge->end(f.source->number, d.group);
  }
  void group_ended(slot_handle from, const group_finished& g, instant now) noexcept {
    now_ = now;
    const found f = find(from, g.subscription);
    if (f.track == nullptr || !f.track->merge) return;
    relayed_track& t = *f.track;
    if (g.why == errc::ok) {
      (void)t.merge->end(f.source->number, g.group);
      return abort_if_uncarried(t, g.group, stream_code::internal_error);
    }
    t.merge->give_up(f.source->number, g.group);
    // A session that dies takes its groups with it, but another source may have the rest.
    if (!peers_[from.index].link->is_closed()) abort_if_uncarried(t, g.group, group_code(f.source->ver, g.code));
  }
  void lost(slot_handle from, const groups_lost& l, instant now) noexcept {
    now_ = now;
    const found f = find(from, l.subscription);
    if (f.track == nullptr || (l.how == loss::unaccounted && peers_[from.index].link->is_closed())) return;
    (void)f.source->lost.add(l.first, l.last);
    while (f.source->lost.count() > lost_ranges_max) (void)f.source->lost.close_oldest_gap();
    if (f.track->sources.size() == 1) drop_lost(*f.track, l.first, l.last);
  }
  void closed(slot_handle from, const subscription_closed& c, instant now) noexcept {
    now_ = now;
    const found f = find(from, c.subscription);
    if (f.track == nullptr) return;
    relayed_track& t = *f.track;
    const bool was_current = f.source == t.current();
    const bool was_accepted = f.source->is_accepted;
    const version ver = f.source->ver;
    const bool is_lost = peers_[from.index].link->is_closed();
    drop_source(t, static_cast<std::size_t>(f.source - t.sources.data()), false);
    if (!was_current) return settle_loss(t);  // it has finished what it was to finish, or it has not
    if (!t.sources.empty()) return go_back(t);
    if (c.why == errc::ok && !is_lost) return finish(t);
    const stream_code code = is_lost ? stream_code::unroutable : refusal_code(ver, c.code);
    if (!is_fresh(t) || is_lost) return fail_over(t, from, code, is_lost);
    const bool may_retry = !was_accepted && since(lite06).has(ver) &&
                           static_cast<stream_code>(c.code) == stream_code::no_capacity &&
                           !std::exchange(t.has_retried, true);
    if (may_retry && ask_best(t, asker_of(t), from)) {
      ++counts_.retries;
      t.is_detour = true;
      set_timer(t, timer::linger, options_.linger);
      set_timer(t, timer::retry, options_.move_timeout);
      return close_if_unread(t);
    }
    give_up(t, code);
  }

  // ---- routes

  /// Something about the routes for a path, or below it, changed.
  void reconsider(scope_id in, std::string_view path, instant now) noexcept {
    now_ = now;
    tracks_.for_each([&](slot_handle, relayed_track& t) {
      if (t.scope != in || t.is_finished || !covers(path, t.broadcast_view())) return;
      const slot_handle self = t.self;
      doubt(t, path);
      if (tracks_.find(self) != nullptr) follow(t, path);
      if (tracks_.find(self) != nullptr) turn_to_best(t);
      if (tracks_.find(self) != nullptr) close_if_unread(t);
    });
  }
  /// The session of a peer is about to go, and nothing more is heard of it.
  void forget(slot_handle peer, instant now) noexcept {
    now_ = now;
    const bool lives = !peers_[peer.index].link->is_closed();  // it may go on without us
    if (peers_[peer.index].readers != 0)
      readers_.for_each([&](slot_handle, track_reader& r) {
        if (r.peer != peer) return;
        if (lives) (void)peers_[peer.index].link->reject(r.request, stream_code::going_away);
        leave(r);
      });
    if (peers_[peer.index].sources == 0) return;
    tracks_.for_each([&](slot_handle, relayed_track& t) {
      bool was_used = false;
      for (std::size_t i = t.sources.size(); i-- > 0;) {
        if (t.sources[i].peer != peer) continue;
        was_used = was_used || &t.sources[i] == t.current();
        drop_source(t, i, lives);
      }
      if (!was_used) return settle_loss(t);
      t.sources.empty() ? fail_over(t, peer, stream_code::unroutable) : go_back(t);
    });
  }

  void on_deadline(instant now) noexcept {
    now_ = now;
    std::uint32_t id{};
    while (clock_.pop_due(now, id)) {
      relayed_track& t = tracks_[id / timers_each];
      switch (static_cast<timer>(id % timers_each)) {
        case timer::linger: give_up(t, stream_code::unroutable); break;
        case timer::move: end_move(t); break;
        case timer::relax: lower(t); break;
        case timer::retry: retry(t); break;
      }
    }
  }

 private:
  static constexpr duration relax_after = seconds(1);

  /// Whether a track that is being passed on is of the producer that a peer has been told of. That may be a relay,
  /// which would let the content of the one go on with that of the other.
  [[nodiscard]] static bool leads_to(const route_view& shown, const relayed_track& t) noexcept {
    if (shown.first_hop() != 0 || t.origin != 0) return shown.first_hop() == t.origin;
    for (const track_source& s : t.sources)
      if (s.peer == slot_of(shown.from)) return true;
    return t.sources.empty();
  }
  void leave(track_reader& r) noexcept {
    relayed_track& t = tracks_[r.track];
    remove_reader(r);
    if (t.readers == 0) return close(t);
    if (!t.is_finished) set_timer(t, timer::relax, relax_after);
  }
  [[nodiscard]] relayed_track* open(slot_handle from, std::string_view broadcast, std::string_view name,
                                    const track_wish& wish, stream_code& why) noexcept {
    relay_peer& p = peers_[from.index];
    why = stream_code::no_capacity;
    if (tracks_.size() >= options_.caps.tracks_max || p.tracks >= options_.caps.tracks_per_peer_max) return nullptr;
    relayed_track* t = make(p.scope, broadcast, name);
    if (t == nullptr) return nullptr;
    t->wish = wish;
    if (!ask_best(*t, {id_of<peer_id>(from), p.hop}, {})) {
      why = stream_code::unroutable;
      retire(*t);
      tracks_.give(t->self);
      return nullptr;
    }
    t->opener = from;
    ++p.tracks;
    ++counts_.tracks_opened;
    return t;
  }
  /// A group begins. The track it belongs to, which may have lost its readers meanwhile.
  [[nodiscard]] relayed_track* took(slot_handle from, subscription_id id, std::uint64_t group,
                                    std::uint64_t first_frame, sent_by how) noexcept {
    const found f = find(from, id);
    if (f.track == nullptr) return nullptr;
    relayed_track& t = *f.track;
    // Another relay may have gone over to another producer while we were asking for this one's content, and a group may
    // overtake the word of that. So what goes on with content that is there waits for the answer; that it is late
    // itself is rare, for it is sent first.
    const bool is_unsure = !is_fresh(t) && !f.source->is_accepted && f.source->hops.size() > 1;
    if (is_unsure && has_ranges(f.source->ver)) {
      (void)peers_[from.index].link->skip(id, group);
      (void)f.source->lost.add(group, group);
      peers_.touch(from);
      if (t.sources.size() == 1) drop_lost(t, group, group);
      return nullptr;
    }
    const std::uint32_t number = f.source->number;
    // Where a source starts it says itself, from 03 on; a later group may overtake that.
    const bool is_answer = is_fresh(t) || !has_ranges(f.source->ver);
    if (!t.cache && !has_track_stream(f.source->ver)) open_cache(t, untimed_info(t));
    f.source->has_begun = true;
    begin(t, *f.source, group, first_frame, how);
    if (is_answer) accept(t, number, group);
    return &t;
  }
  /// The publisher has ended the track. Readers take what is in the cache, which lives on with them.
  void finish(relayed_track& t) noexcept {
    if (!t.cache) open_cache(t, untimed_info(t));
    abort_uncarried(t, ~std::uint64_t{0}, stream_code::internal_error);  // or what was cut would look whole
    t.cache->finish();
    cancel_timers(t);
    retire(t);
    t.is_finished = true;
    close_if_unread(t);
  }
};

}  // namespace moql::detail
