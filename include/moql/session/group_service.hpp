#pragma once
/// Groups on their way out: which of a cache's groups a subscription gets, which stream is opened and which written
/// next. Draft 06 sections 6.1 to 6.4.

#include "request_book.hpp"

namespace moql::detail {

class group_service : public request_book {
 public:
  using request_book::request_book;

  /// Brings subscriptions whose cache changed up to date. Cost: what changed. Pauses while a good number of answers
  /// and ends wait to be written, so that what they need serves again for the next.
  void catch_up() noexcept {
    while (!dirty_.empty() && !c_.is_over() && c_.writable.size() + finishing_.size() < pending_max) {
      const slot_handle h = dirty_.pop();
      request* r = requests_.find(h);
      if (r == nullptr) continue;
      r->is_dirty = false;
      if (r->is_gone) continue;
      if (r->cache() == nullptr) {
        close(*r, stream_code::internal_error);
        tell_closed(h, errc::stale_handle, 0);
        continue;
      }
      r->cache()->rearm(r->heard);
      if (r->kind == request_kind::fetch)
        ready(r->first_out);
      else
        serve_groups(h, *r);
    }
  }
  /// Whether some are not up to date: until they are, nobody knows which group matters most.
  [[nodiscard]] bool is_behind() const noexcept { return !dirty_.empty() && !c_.is_over(); }
  [[nodiscard]] bool has_to_open() const noexcept { return !opening_.empty() && finishing_.empty() && !is_behind(); }
  [[nodiscard]] bool has_output() const noexcept {
    return !dirty_.empty() || !finishing_.empty() || !writing_.empty() || !opening_.empty();
  }
  /// The group that should get a stream next, if that is more urgent than writing on the streams there are.
  [[nodiscard]] std::optional<slot_handle> next_to_open() noexcept {
    const std::uint32_t item = urgent_to_open();
    if (item == no_slot) return {};
    opening_.erase(item);
    outs_[item].is_opening = true;
    return outs_.handle_of(item);
  }
  void opened(slot_handle out, stream_id id) noexcept {
    outgoing* o = outs_.find(out);
    if (o == nullptr) return c_.act(reset_stream{id, static_cast<std::uint64_t>(stream_code::cancelled)});
    stream_record* s = c_.adopt(id, true, false);
    if (s == nullptr) return c_.fail(errc::out_of_memory);
    s->kind = stream_kind::group_out;
    s->owner = out.index;
    ++c_.counts.groups_opened;
    o->stream = c_.handle_of(*s);
    o->is_opening = false;
    requests_[o->owner].opened_at = ++openings_;
    c_.act(set_priority{id, order_of(requests_[o->owner], o->sequence)});
    ready(out.index);
  }
  void open_blocked(slot_handle out) noexcept {
    outgoing* o = outs_.find(out);
    if (o == nullptr) return;
    o->is_opening = false;
    ready(out.index);
  }
  /// The best group stream that has something to write. Valid until `wrote`. Ends go first: they cost no bytes, and
  /// streams that are over make room for others.
  [[nodiscard]] bool next_write(write_request& w) noexcept {
    bool is_first = finishing_.empty();  // otherwise streams were not opened because of these
    while (!finishing_.empty() && !c_.is_over()) {
      const slot_handle h = finishing_.pop();
      outgoing* o = outs_.find(h);
      if (o == nullptr || !is_writable(*o)) continue;
      const auto state = o->cursor.look(*requests_[o->owner].cache(), scratch_, offer_);
      if (state == group_writer::state::data && offer_.fin && offer_.pieces.empty()) {
        w = {c_.streams.find(o->stream)->id, {}, true};
        return true;
      }
      ready(h.index);
    }
    if (is_behind()) return false;
    for (; !writing_.empty() && !c_.is_over(); is_first = false) {
      // What has just turned out to have nothing to write was all that was more urgent than a group without a stream.
      if (!is_first && !c_.uni_blocked && urgent_to_open() != no_slot) return false;
      const schedule::pick p = writing_.best();
      outgoing& o = outs_[p.item];
      const auto state = o.cursor.look(*requests_[o.owner].cache(), scratch_, offer_);
      if (state == group_writer::state::data) {
        w = {c_.streams.find(o.stream)->id, offer_.pieces, offer_.fin};
        return true;
      }
      writing_.unready(p.flow, p.sequence, p.item);
      if (state != group_writer::state::idle) lose(p.item, state);
    }
    return false;
  }
  void wrote(stream_record& s, std::size_t accepted, bool everything, bool fin, bool closed) noexcept {
    const std::uint32_t item = s.kind == stream_kind::group_out ? s.owner : requests_[s.owner].first_out;
    if (item == no_slot) return;
    outgoing& o = outs_[item];
    request& r = requests_[o.owner];
    if (closed) {
      if (s.kind != stream_kind::group_out) return stopped(s, 0);
      remove_out(item);
      (void)s.ends.apply(lifetime::input::remote_stop);
      return c_.settle(s);
    }
    if (r.cache() == nullptr) return;
    if (accepted != 0 || everything) writing_.served(r.writing, accepted);  // being turned away is not a turn
    if (!everything) {
      o.cursor.wrote(*r.cache(), accepted, false);
      if (!s.is_blocked) o.size_when_blocked = size_of(r, o);
      s.is_blocked = true;
      writing_.unready(r.writing, o.sequence, item);
      return;
    }
    o.cursor.wrote_all(offer_);
    if (!fin) {
      if (!offer_.more) writing_.unready(r.writing, o.sequence, item);  // the cache will say when there is more
      return;
    }
    s.fin_wanted = s.fin_written = true;
    (void)s.ends.apply(lifetime::input::local_fin);
    const slot_handle h = requests_.handle_of(o.owner);
    const bool is_fetch = r.kind == request_kind::fetch;
    release_out(item);
    if (is_fetch) {
      close(r, {});
      tell_closed(h, errc::ok, 0);
    } else {
      ++c_.counts.groups_finished;
      c_.settle(s);
      check_end(h, r);
    }
  }
  void writable(stream_record& s) noexcept {
    const std::uint32_t item = s.owner == no_slot                 ? no_slot
                               : s.kind == stream_kind::group_out ? s.owner
                                                                  : requests_[s.owner].first_out;
    if (item != no_slot) ready(item);
  }
  /// After the peer's GOAWAY nothing new is opened: what has no stream yet is dropped.
  void stop_opening() noexcept {
    while (!opening_.empty() && !c_.is_over()) lose(opening_.top().id, group_writer::state::evicted);
  }

  /// The peer wants nothing more on a stream of ours.
  void stopped(stream_record& s, std::uint64_t code) noexcept {
    if (s.kind == stream_kind::group_out) {
      if (s.owner != no_slot) remove_out(s.owner);
      return;
    }
    const slot_handle h = requests_.handle_of(s.owner);
    close(requests_[s.owner], stream_code::cancelled);
    tell_closed(h, errc::reset_by_peer, code);
  }

 private:
  /// The group without a stream that comes first, if nothing that has one is more urgent; `no_slot` otherwise.
  [[nodiscard]] std::uint32_t urgent_to_open() noexcept {
    while (!opening_.empty() && !c_.is_over()) {
      const auto [key, item] = opening_.top();
      outgoing& o = outs_[item];
      // Equal tracks take turns at streams. Others of a subscription that got one go back when they come to the front.
      if (const opening_key due = opening_key_of(requests_[o.owner], o); key < due) {
        opening_.update(item, due);
        continue;
      }
      const auto state = o.cursor.glance(*requests_[o.owner].cache());
      if (state == group_writer::state::data)
        return writing_.empty() || writing_.best().rank <= key.rank() ? item : no_slot;
      lose(item, state);
    }
    return no_slot;
  }
  void serve_groups(slot_handle h, request& r) noexcept {
    track_cache& cache = *r.cache();
    stream_record* s = c_.streams.find(r.stream);
    if (s == nullptr) return;
    if (!r.start) r.start = r.was_empty ? first_since(r, cache) : live_start(cache, c_.ver, r.want);
    if (r.start && !r.has_said_start) say_start(r, *s);
    std::optional<interval> lost;
    if (r.start) {
      if (r.next_arrival < cache.arrivals_begin() && !cache.is_empty() && cache.nth(0).sequence != 0)
        drop_rest(r, *s, 0, cache.nth(0).sequence - 1, lost);  // these left the cache before we looked
      for (; r.next_arrival < cache.arrivals_end(); ++r.next_arrival)
        if (cached_group* g = r.next_arrival < cache.arrivals_begin() ? nullptr : cache.arrival(r.next_arrival))
          if (!consider(r, *s, cache, *g, lost)) break;
      for (const interval& gone : cache.dropped().view()) drop_rest(r, *s, gone.first, gone.last, lost);
      for (std::uint32_t i = r.first_out; i != no_slot;) {
        const std::uint32_t next = outs_[i].after;
        refresh(r, *s, cache, i, lost);
        i = next;
      }
    }
    flush_drops(*s, lost);
    check_end(h, r);
  }
  /// For a subscription to the latest group of a track that had none: the first that came since, however many did.
  [[nodiscard]] std::optional<std::uint64_t> first_since(const request& r, track_cache& cache) noexcept {
    for (std::uint64_t n = r.next_arrival; n < cache.arrivals_end(); ++n)
      if (const cached_group* g = n < cache.arrivals_begin() ? nullptr : cache.arrival(n)) return g->sequence;
    return {};
  }
  /// A group that has not been looked at: send it, drop it, or leave it for a later end. False: not yet, and nothing
  /// behind it either.
  [[nodiscard]] bool consider(request& r, stream_record& s, track_cache& cache, cached_group& g,
                              std::optional<interval>& lost) noexcept {
    if (g.sequence < floor_of(r) || is_past_end(r, g.sequence) || r.handled.has(g.sequence)) return true;
    const bool is_shut = c_.is_going_away && !c_.settings.groups_after_goaway;
    const std::uint64_t frame_start = frame_start_of(c_.ver, r.want, g.sequence);
    if (is_shut || !reaches(g, frame_start) || cache.is_expired(g, c_.ver, r.want.max_age_ms)) {
      drop(r, s, g.sequence, g.sequence, lost);
      return true;
    }
    if (g.how != sent_by::stream && has_datagrams(c_.ver)) {
      // Its one frame is about to come. If there is a newer group already it may never come, and others must not wait.
      const bool is_open = g.state == group_state::open;
      if (is_open && &g == &cache.latest()) return false;
      const bool is_sent = !is_open && send_datagram(r, g);
      if (g.how == sent_by::datagram) {
        if (!is_sent) drop(r, s, g.sequence, g.sequence, lost);  // not on a stream either
        if (!r.handled.add(g.sequence, g.sequence)) c_.fail(errc::out_of_memory);
        return true;
      }
    }
    slot_handle h;
    outgoing* o = outs_.take(h);
    if (o == nullptr || !r.handled.add(g.sequence, g.sequence)) {
      c_.fail(errc::out_of_memory);
      return false;
    }
    o->owner = s.owner;
    o->sequence = g.sequence;
    o->cursor.start_group(cache.handle_of(g.sequence), c_.ver, r.wire_id, g.sequence, frame_start,
                          last_frame(r, g.sequence));
    o->after = r.first_out;
    if (o->after != no_slot) outs_[o->after].before = h.index;
    r.first_out = h.index;
    return true;
  }
  /// Something of the cache changed: the group may be too old by now, or there is more of it.
  void refresh(request& r, stream_record& s, track_cache& cache, std::uint32_t i,
               std::optional<interval>& lost) noexcept {
    outgoing& o = outs_[i];
    const cached_group* g = cache.group(o.cursor.group());
    const std::uint64_t sequence = o.sequence;
    if (g == nullptr) {  // nothing may wait for a stream that can no longer be filled
      give_up(i, o.cursor.has_written() ? stream_code::too_far_behind : cache.why_missing(sequence));
    } else if (cache.is_expired(*g, c_.ver, r.want.max_age_ms)) {
      abandon(i, since(lite06).has(c_.ver) ? stream_code::delivery_timeout : stream_code::old,
              &session_counters::groups_expired);
    } else if (is_too_far_behind(o, *g)) {
      give_up(i, stream_code::too_far_behind);
    } else if (g->state == group_state::open || !is_writable(o) || !o.cursor.lacks_only_its_end(*g) ||
               !finishing_.push(outs_.handle_of(i))) {
      return ready(i);
    } else {
      return;
    }
    drop(r, s, sequence, sequence, lost);
  }
  /// Whether it has a stream that takes something, and a cache.
  [[nodiscard]] bool is_writable(const outgoing& o) noexcept {
    const stream_record* s = c_.streams.find(o.stream);
    return s != nullptr && !s->is_blocked && requests_[o.owner].cache() != nullptr;
  }
  /// What came of a group since the peer stopped reading it is more than may wait for it.
  [[nodiscard]] bool is_too_far_behind(const outgoing& o, const cached_group& g) noexcept {
    const stream_record* s = c_.streams.find(o.stream);
    return s != nullptr && s->is_blocked && g.size - o.size_when_blocked > c_.caps().behind_bytes_max;
  }
  [[nodiscard]] static std::uint64_t size_of(const request& r, const outgoing& o) noexcept {
    const cached_group* g = r.cache()->group(o.cursor.group());
    return g == nullptr ? 0 : g->size;
  }
  void give_up(std::uint32_t i, stream_code code) noexcept {
    abandon(i, code,
            code == stream_code::too_far_behind ? &session_counters::groups_behind : &session_counters::groups_evicted);
  }
  /// A group that cannot be sent to its end: its stream is reset and the subscriber told.
  void lose(std::uint32_t i, group_writer::state why) noexcept {
    outgoing& o = outs_[i];
    const std::uint32_t owner = o.owner;
    request& r = requests_[owner];
    const slot_handle h = requests_.handle_of(owner);
    const std::uint64_t sequence = o.sequence;
    stream_code code = stream_code::internal_error;
    if (why == group_writer::state::evicted)
      code = o.cursor.has_written() ? stream_code::too_far_behind : r.cache()->why_missing(sequence);
    if (why == group_writer::state::aborted) code = o.cursor.code(*r.cache());
    if (why == group_writer::state::short_) code = stream_code::not_found;
    if (r.kind == request_kind::fetch) {
      close(r, code);
      return tell_closed(h, errc::refused_by_peer, static_cast<std::uint64_t>(code));
    }
    abandon(
        i, code,
        why == group_writer::state::evicted ? &session_counters::groups_evicted : &session_counters::groups_aborted);
    if (stream_record* s = c_.streams.find(r.stream)) {
      std::optional<interval> lost;
      drop(r, *s, sequence, sequence, lost);
      flush_drops(*s, lost);
      check_end(h, r);
    }
  }
  [[nodiscard]] bool send_datagram(const request& r, const cached_group& g) noexcept {
    if (!carries_datagrams(c_.settings.over) || g.frames.size() != 1) return false;
    const byte_view payload = g.parts.empty() ? byte_view{} : g.parts[0].view();
    return c_.datagrams.add({r.wire_id, g.sequence, g.frames[0].timestamp, payload}, c_.ver);
  }

  static constexpr std::size_t pending_max = 16;

  queue<slot_handle> finishing_{c_.mem};  ///< Groups that lack only the end of their stream.
  group_writer::scratch scratch_{};
  group_writer::offer offer_{};  ///< What `next_write` showed last.
};

}  // namespace moql::detail
