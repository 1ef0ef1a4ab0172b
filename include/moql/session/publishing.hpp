#pragma once
/// Serving the peer's requests from track caches: each subscription is a cursor, each group a stream, and the best one
/// goes first. Draft 06 sections 5.1.2 to 5.1.4 and 6.

#include "requests.hpp"

namespace moql::detail {

class publishing {
 public:
  explicit publishing(core& c) noexcept
      : c_(c), requests_(c.mem), outs_(c.mem), writing_(c.mem), opening_(c.mem), dirty_(c.mem), used_ids_(c.mem) {}
  ~publishing() {
    requests_.for_each([](slot_handle, request& r) {
      if (r.cache() != nullptr) r.cache()->detach(r.heard);
    });
  }

  // ---- what the application says

  [[nodiscard]] errc serve(request_id id, track_cache& cache) noexcept {
    request* r = live(id);
    if (r == nullptr) return errc::stale_handle;
    if (r->is_serving) return errc::wrong_state;
    stream_record* s = c_.streams.find(r->stream);
    if (s == nullptr) return errc::stale_handle;
    const track_options& o = cache.options();
    if (r->kind == request_kind::track)
      return answer_track(*r, *s, {o.priority, o.ordered, o.max_age_ms, o.timescale});
    if (r->kind == request_kind::fetch) return serve_fetch(slot_of(id), *r, *s, cache);
    const group_order order = has_ordered(c_.ver) && r->want.ordered ? group_order::oldest_first : group_order::newest_first;
    if (const errc e = add_flows(*r, r->want.priority, o.priority, order); e != errc::ok) return e;
    r->is_serving = true;
    listen(slot_of(id), *r, cache);
    if (before(lite05).has(c_.ver)) say_ok(*r, *s, has_ranges(c_.ver) ? resolve_start(cache, c_.ver, r->want) : std::nullopt);
    mark_dirty(*r);
    return errc::ok;
  }
  [[nodiscard]] errc answer(request_id id, const msg::track_info& info) noexcept {
    request* r = live(id);
    if (r == nullptr) return errc::stale_handle;
    stream_record* s = c_.streams.find(r->stream);
    if (r->kind != request_kind::track || s == nullptr) return errc::wrong_state;
    return answer_track(*r, *s, info);
  }
  [[nodiscard]] errc reject(request_id id, stream_code code) noexcept {
    request* r = live(id);
    if (r == nullptr) return errc::stale_handle;
    close(slot_of(id), *r, code);
    c_.tell({{}, about::request, slot_of(id), {}, true});
    return errc::ok;
  }

  // ---- what the peer asks

  [[nodiscard]] errc accept(stream_record& s, stream_kind kind) noexcept {
    const bool is_subscribe = kind == stream_kind::subscribe_theirs;
    std::size_t& count = is_subscribe ? subscriptions_ : others_;
    if (count >= (is_subscribe ? c_.caps().subscriptions_max : c_.caps().requests_max)) return errc::limit_exceeded;
    slot_handle h;
    request* r = requests_.take(h);
    if (r == nullptr) return errc::out_of_memory;
    ++count;
    r->kind = is_subscribe ? request_kind::subscribe
              : kind == stream_kind::fetch_theirs ? request_kind::fetch
                                                  : request_kind::track;
    r->stream = s.self;
    s.kind = kind;
    s.owner = h.index;
    return errc::ok;
  }
  [[nodiscard]] step read(stream_record& s, byte_view& in, errc& why) noexcept {
    const slot_handle h = requests_.handle_of(s.owner);
    request& r = requests_[s.owner];
    switch (r.kind) {
      case request_kind::subscribe: {
        subscribe_answerer::incoming m;
        const step got = subscribe_answerer::receive(s.state, c_.ver, c_.caps(), in, m, why);
        if (got != step::ready) return got;
        if (const auto* ask = std::get_if<msg::subscribe>(&m))
          why = take_subscribe(h, r, *ask);
        else
          why = take_update(h, r, std::get<msg::subscribe_update>(m));
        return why == errc::ok ? step::ready : step::fault;
      }
      case request_kind::fetch: {
        fetch_answerer::incoming m;
        const step got = fetch_answerer::receive(s.state, c_.ver, c_.caps(), in, m, why);
        if (got != step::ready) return got;
        why = take_fetch(h, r, std::get<msg::fetch>(m));
        return why == errc::ok ? step::ready : step::fault;
      }
      case request_kind::track: {
        track_answerer::incoming m;
        const step got = track_answerer::receive(s.state, c_.ver, c_.caps(), in, m, why);
        if (got != step::ready) return got;
        const auto& ask = std::get<msg::track>(m);
        why = r.names.set(ask.broadcast, ask.track_name) ? errc::ok : errc::out_of_memory;
        if (why == errc::ok)
          tell(h, track_requested{id_of<request_id>(h), r.names.broadcast(), r.names.track()});
        return why == errc::ok ? step::ready : step::fault;
      }
    }
    return step::wait;
  }
  /// The peer ended or broke a request's stream. A FIN behind FETCH or TRACK only says that nothing follows.
  void ended(stream_record& s, errc why, std::uint64_t code) noexcept {
    const slot_handle h = requests_.handle_of(s.owner);
    request& r = requests_[s.owner];
    if (why == errc::ok && r.kind != request_kind::subscribe) return;
    const bool is_leaving = why == errc::ok;
    if (is_leaving) end_outs(r, stream_code::cancelled);
    close(h, r, is_leaving ? std::nullopt : std::optional(facts(why).on_stream));
    tell_closed(h, why, code);
  }
  /// The peer wants nothing more on a stream of ours.
  void stopped(stream_record& s, std::uint64_t code) noexcept {
    if (s.kind == stream_kind::group_out) {
      if (s.owner != no_slot) remove_out(s.owner);
      return;
    }
    const slot_handle h = requests_.handle_of(s.owner);
    close(h, requests_[s.owner], stream_code::cancelled);
    tell_closed(h, errc::reset_by_peer, code);
  }
  void end_all(errc why, std::uint64_t code) noexcept {
    requests_.for_each([&](slot_handle h, request& r) {
      if (r.is_gone) return;
      close(h, r, stream_code::session_closed);
      tell_closed(h, why, code);
    });
  }

  // ---- what goes out

  /// Brings every subscription whose cache changed up to date. Cost: what changed.
  void catch_up() noexcept {
    while (!dirty_.empty() && !c_.is_over()) {
      const slot_handle h = dirty_.pop();
      request* r = requests_.find(h);
      if (r == nullptr) continue;
      r->is_dirty = false;
      if (r->is_gone) continue;
      if (r->cache() == nullptr) {
        close(h, *r, stream_code::internal_error);
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
  /// The group that should get a stream next, if that is more urgent than writing on the streams there are.
  [[nodiscard]] std::optional<slot_handle> next_to_open() noexcept {
    while (!opening_.empty()) {
      const schedule::pick p = opening_.best();
      outgoing& o = outs_[p.item];
      group_writer::offer offer;
      const auto state = o.cursor.look(*requests_[o.owner].cache(), scratch_, offer);
      if (state == group_writer::state::evicted || state == group_writer::state::aborted ||
          state == group_writer::state::short_ || state == group_writer::state::failed) {
        lose(p.item, state);
        continue;
      }
      if (!writing_.empty() && writing_.best().rank > p.rank) return {};
      opening_.unready(p.flow, p.sequence, p.item);
      o.is_opening = true;
      return outs_.handle_of(p.item);
    }
    return {};
  }
  void opened(slot_handle out, stream_id id) noexcept {
    outgoing* o = outs_.find(out);
    if (o == nullptr) return c_.act(reset_stream{id, static_cast<std::uint64_t>(stream_code::cancelled)});
    stream_record* s = c_.adopt(id, true, false);
    if (s == nullptr) return c_.fail(errc::out_of_memory);
    s->kind = stream_kind::group_out;
    s->owner = out.index;
    s->sequence = o->sequence;
    o->stream = s->self;
    o->is_opening = false;
    c_.act(set_priority{id, order_of(requests_[o->owner], o->sequence)});
    ready(out.index);
  }
  void open_blocked(slot_handle out) noexcept {
    outgoing* o = outs_.find(out);
    if (o == nullptr) return;
    o->is_opening = false;
    ready(out.index);
  }
  /// The best group stream that has something to write. Valid until `wrote`.
  [[nodiscard]] bool next_write(write_request& w) noexcept {
    while (!writing_.empty()) {
      const schedule::pick p = writing_.best();
      outgoing& o = outs_[p.item];
      group_writer::offer offer;
      const auto state = o.cursor.look(*requests_[o.owner].cache(), scratch_, offer);
      if (state == group_writer::state::data) {
        w = {c_.streams.find(o.stream)->id, offer.pieces, offer.fin};
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
    if (closed) return s.kind == stream_kind::group_out ? remove_out(item) : stopped(s, 0);
    if (r.cache() == nullptr) return;
    o.cursor.wrote(*r.cache(), accepted, fin && everything);
    writing_.served(r.writing);
    if (!everything) {
      s.is_blocked = true;
      writing_.unready(r.writing, o.sequence, item);
      return;
    }
    if (!fin) return;
    s.fin_wanted = s.fin_written = true;
    (void)s.ends.apply(lifetime::input::local_fin);
    const slot_handle h = requests_.handle_of(o.owner);
    const bool is_fetch = r.kind == request_kind::fetch;
    release_out(item);
    if (is_fetch) {
      close(h, r, {});
      tell_closed(h, errc::ok, 0);
    } else {
      c_.settle(s);
      check_end(h, r);
    }
  }
  void writable(stream_record& s) noexcept {
    const std::uint32_t item = s.owner == no_slot                       ? no_slot
                               : s.kind == stream_kind::group_out ? s.owner
                                                                  : requests_[s.owner].first_out;
    if (item != no_slot) ready(item);
  }
  /// After the peer's GOAWAY nothing new is opened: what has no stream yet is dropped.
  void stop_opening() noexcept {
    while (!opening_.empty()) lose(opening_.best().item, group_writer::state::evicted);
  }

  [[nodiscard]] bool prepare(const queued_event& q) noexcept {
    const request* r = requests_.find(q.slot);
    return r != nullptr && (!r->is_gone || std::holds_alternative<request_closed>(*q.what));
  }
  void free(const queued_event& q) noexcept {
    request* r = requests_.find(q.slot);
    --(r->kind == request_kind::subscribe ? subscriptions_ : others_);
    requests_.give(q.slot);
  }

 private:
  friend struct request;
  [[nodiscard]] request* live(request_id id) noexcept {
    request* r = requests_.find(slot_of(id));
    return r == nullptr || r->is_gone ? nullptr : r;
  }
  void tell(slot_handle h, event e) noexcept { c_.tell({std::move(e), about::request, h, {}, false}); }
  void tell_closed(slot_handle h, errc why, std::uint64_t code) noexcept {
    c_.tell({request_closed{id_of<request_id>(h), why, code}, about::request, h, {}, true});
  }

  // ---- requests

  [[nodiscard]] errc take_subscribe(slot_handle h, request& r, const msg::subscribe& m) noexcept {
    if (used_ids_.has(m.id)) return errc::duplicate_subscription;
    if (!used_ids_.add(m.id, m.id) || !r.names.set(m.broadcast, m.track)) return errc::out_of_memory;
    while (used_ids_.count() > c_.caps().gaps_max) (void)used_ids_.close_oldest_gap();
    if (m.want.group_end && m.want.group_start.value_or(0) > *m.want.group_end) return errc::bad_range;
    r.wire_id = m.id;
    r.want = m.want;
    tell(h, subscribe_requested{id_of<request_id>(h), r.names.broadcast(), r.names.track(), m.want});
    return errc::ok;
  }
  [[nodiscard]] errc take_update(slot_handle h, request& r, const msg::subscribe_update& m) noexcept {
    if (m.want.group_end && m.want.group_start.value_or(0) > *m.want.group_end) return errc::bad_range;
    r.want = m.want;
    tell(h, subscribe_updated{id_of<request_id>(h), m.want});
    if (!r.is_serving || r.cache() == nullptr) return errc::ok;
    const group_order order = has_ordered(c_.ver) && m.want.ordered ? group_order::oldest_first : group_order::newest_first;
    for (schedule* s : {&writing_, &opening_})
      s->set_flow(s == &writing_ ? r.writing : r.opening, m.want.priority, r.cache()->options().priority, order);
    for (std::uint32_t i = r.first_out; i != no_slot;) {
      outgoing& o = outs_[i];
      const std::uint32_t next = o.after;
      if (is_past_end(r, o.sequence) || (r.want.group_start && o.sequence < *r.want.group_start)) {
        abandon(i, stream_code::cancelled);
      } else {
        o.cursor.set_last_frame(last_frame(r, o.sequence));
        if (stream_record* s = c_.streams.find(o.stream)) c_.act(set_priority{s->id, order_of(r, o.sequence)});
        if (o.stream != slot_handle{}) ready(i);
      }
      i = next;
    }
    r.next_arrival = r.cache()->arrivals_begin();  // an end that moved up may let in what was passed over
    mark_dirty(r);
    return errc::ok;
  }
  [[nodiscard]] errc take_fetch(slot_handle h, request& r, const msg::fetch& m) noexcept {
    if (!r.names.set(m.broadcast, m.track)) return errc::out_of_memory;
    r.want.priority = m.priority;
    r.want.frame_start = m.frame_start;
    r.want.frame_end = m.frame_end;
    r.group = m.group;
    tell(h, fetch_requested{id_of<request_id>(h), r.names.broadcast(), r.names.track(), m.priority, m.group,
                            m.frame_start, m.frame_end});
    return errc::ok;
  }
  [[nodiscard]] errc answer_track(request& r, stream_record& s, const msg::track_info& info) noexcept {
    if (const errc e = track_answerer::send(s.state, c_.ver, info, s.out); e != errc::ok) return e;
    const slot_handle h = requests_.handle_of(s.owner);
    close(h, r, {});
    tell_closed(h, errc::ok, 0);
    return errc::ok;
  }
  [[nodiscard]] errc serve_fetch(slot_handle h, request& r, stream_record& s, track_cache& cache) noexcept {
    const slot_handle group = cache.handle_of(r.group);
    const cached_group* g = cache.group(group);
    const bool is_short = g != nullptr && g->state == group_state::complete && r.want.frame_start != 0 &&
                          g->frames.size() <= r.want.frame_start;
    if (g == nullptr || is_short) {  // never a shorter run
      close(h, r, g == nullptr ? cache.why_missing(r.group) : stream_code::not_found);
      tell_closed(h, errc::refused_by_peer, 0);
      return errc::ok;
    }
    if (const errc e = add_flows(r, r.want.priority, cache.options().priority, group_order::newest_first); e != errc::ok)
      return e;
    slot_handle oh;
    outgoing* o = outs_.take(oh);
    if (o == nullptr) return errc::out_of_memory;
    o->owner = h.index;
    o->sequence = r.group;
    o->stream = s.self;
    o->cursor.start_fetch(group, c_.ver, r.want.frame_start, r.want.frame_end);
    r.first_out = oh.index;
    r.is_serving = true;
    listen(h, r, cache);
    ready(oh.index);
    return errc::ok;
  }
  [[nodiscard]] errc add_flows(request& r, std::uint8_t priority, std::uint8_t publisher, group_order order) noexcept {
    r.writing = writing_.add_flow(priority, publisher, order);
    r.opening = opening_.add_flow(priority, publisher, order);
    return r.writing == no_flow || r.opening == no_flow ? errc::out_of_memory : errc::ok;
  }
  void listen(slot_handle h, request& r, track_cache& cache) noexcept {
    r.heard.home = this;
    r.heard.self = h;
    r.heard.changed = [](cache_listener* l) noexcept {
      auto* heard = static_cast<request::listener*>(l);
      heard->home->mark_dirty(heard->home->requests_[heard->self.index]);
    };
    r.next_arrival = cache.arrivals_begin();
    cache.attach(r.heard);
  }
  void mark_dirty(request& r) noexcept {
    if (r.is_dirty) return;
    r.is_dirty = true;
    if (!dirty_.push(r.heard.self)) c_.fail(errc::out_of_memory);
  }

  // ---- groups

  [[nodiscard]] static bool is_past_end(const request& r, std::uint64_t sequence) noexcept {
    return r.want.group_end && sequence > *r.want.group_end;
  }
  [[nodiscard]] static std::optional<std::uint64_t> last_frame(const request& r, std::uint64_t sequence) noexcept {
    return r.want.group_end && sequence == *r.want.group_end ? r.want.frame_end : std::nullopt;
  }
  [[nodiscard]] std::int32_t order_of(const request& r, std::uint64_t sequence) const noexcept {
    const std::uint32_t rank = schedule::rank(r.want.priority, r.cache()->options().priority);
    const auto low = static_cast<std::uint32_t>(sequence & 0x3fff);
    const bool oldest_first = has_ordered(c_.ver) && r.want.ordered;
    return static_cast<std::int32_t>(rank << 14 | (oldest_first ? 0x3fff - low : low));
  }
  void serve_groups(slot_handle h, request& r) noexcept {
    track_cache& cache = *r.cache();
    stream_record* s = c_.streams.find(r.stream);
    if (s == nullptr) return;
    if (!r.start) r.start = resolve_start(cache, c_.ver, r.want);
    if (r.start && !r.has_said_start) say_start(r, *s);
    std::optional<interval> lost;
    if (r.start) {
      for (; r.next_arrival < cache.arrivals_end(); ++r.next_arrival)
        if (cached_group* g = r.next_arrival < cache.arrivals_begin() ? nullptr : cache.arrival(r.next_arrival))
          if (!consider(r, *s, cache, *g, lost)) break;
      for (const interval& gone : cache.dropped().view()) {
        if (gone.last < *r.start) continue;
        const std::uint64_t last = is_past_end(r, gone.last) ? *r.want.group_end : gone.last;
        r.handled.for_each_gap(gone.first < *r.start ? *r.start : gone.first, last,
                               [&](std::uint64_t a, std::uint64_t b) { drop(r, *s, a, b, lost); });
      }
      for (std::uint32_t i = r.first_out; i != no_slot;) {
        const std::uint32_t next = outs_[i].after;
        refresh(r, *s, cache, i, lost);
        i = next;
      }
    }
    flush_drops(*s, lost);
    check_end(h, r);
  }
  /// A group that has not been looked at: send it, drop it, or leave it for a later end. False: not yet, and nothing
  /// behind it either.
  [[nodiscard]] bool consider(request& r, stream_record& s, track_cache& cache, cached_group& g,
                              std::optional<interval>& lost) noexcept {
    if (g.sequence < *r.start || is_past_end(r, g.sequence) || r.handled.has(g.sequence)) return true;
    const bool is_shut = c_.is_going_away && !c_.settings.groups_after_goaway;
    if (is_shut || cache.is_expired(g, c_.ver, r.want.max_age_ms)) {
      drop(r, s, g.sequence, g.sequence, lost);
      return true;
    }
    if (g.how != sent_by::stream && has_datagrams(c_.ver)) {
      if (g.state == group_state::open) return false;  // its one frame is about to come
      send_datagram(r, g);
      if (g.how == sent_by::datagram) {
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
    const bool is_partial = has_frame_bounds(c_.ver) && r.want.group_start && g.sequence == *r.want.group_start;
    o->owner = s.owner;
    o->sequence = g.sequence;
    o->cursor.start_group(cache.handle_of(g.sequence), c_.ver, r.wire_id, g.sequence,
                          is_partial ? r.want.frame_start : 0, last_frame(r, g.sequence));
    o->after = r.first_out;
    if (o->after != no_slot) outs_[o->after].before = h.index;
    r.first_out = h.index;
    return true;
  }
  /// Something of the cache changed: the group may be too old by now, or there is more of it.
  void refresh(request& r, stream_record& s, track_cache& cache, std::uint32_t i, std::optional<interval>& lost) noexcept {
    outgoing& o = outs_[i];
    const cached_group* g = cache.group(o.cursor.group());
    if (g != nullptr && cache.is_expired(*g, c_.ver, r.want.max_age_ms)) {
      const std::uint64_t sequence = o.sequence;
      abandon(i, since(lite06).has(c_.ver) ? stream_code::delivery_timeout : stream_code::old);
      drop(r, s, sequence, sequence, lost);
      return;
    }
    ready(i);
  }
  void ready(std::uint32_t i) noexcept {
    if (i == no_slot) return;
    outgoing& o = outs_[i];
    request& r = requests_[o.owner];
    if (o.is_opening) return;
    bool fits = true;
    if (o.stream == slot_handle{}) {
      fits = opening_.ready(r.opening, o.sequence, i);
    } else if (const stream_record* s = c_.streams.find(o.stream); s != nullptr && !s->is_blocked) {
      fits = writing_.ready(r.writing, o.sequence, i);
    }
    if (!fits) c_.fail(errc::out_of_memory);
  }
  /// A group that cannot be sent to its end: its stream is reset and the subscriber told.
  void lose(std::uint32_t i, group_writer::state why) noexcept {
    outgoing& o = outs_[i];
    const std::uint32_t owner = o.owner;
    request& r = requests_[owner];
    const slot_handle h = requests_.handle_of(owner);
    const std::uint64_t sequence = o.sequence;
    stream_code code = stream_code::internal_error;
    if (why == group_writer::state::evicted) code = r.cache()->why_missing(sequence);
    if (why == group_writer::state::aborted) code = o.cursor.code();
    if (why == group_writer::state::short_) code = stream_code::not_found;
    if (r.kind == request_kind::fetch) {
      close(h, r, code);
      return tell_closed(h, errc::refused_by_peer, static_cast<std::uint64_t>(code));
    }
    abandon(i, code);
    if (stream_record* s = c_.streams.find(r.stream)) {
      std::optional<interval> lost;
      drop(r, *s, sequence, sequence, lost);
      flush_drops(*s, lost);
      check_end(h, r);
    }
  }
  void drop(request& r, stream_record& s, std::uint64_t first, std::uint64_t last, std::optional<interval>& lost) noexcept {
    if (!r.handled.add(first, last)) return c_.fail(errc::out_of_memory);
    if (lost && first == lost->last + 1) {
      lost->last = last;
    } else {
      flush_drops(s, lost);
      lost = interval{first, last};
    }
  }
  /// One SUBSCRIBE_DROP for a run of groups. Also for a group whose stream was reset: the reset may have outrun its
  /// header, and then nothing else would name it.
  void flush_drops(stream_record& s, std::optional<interval>& lost) noexcept {
    if (lost && has_drop(c_.ver) && s.ends.can_send()) {
      const errc e = subscribe_answerer::send(s.state, c_.ver, msg::subscribe_drop{lost->first, lost->last, 0}, s.out);
      if (e != errc::ok) c_.fail(e);
      c_.flush(s);
    }
    lost.reset();
  }
  void send_datagram(const request& r, const cached_group& g) noexcept {
    if (!carries_datagrams(c_.settings.over) || g.frames.size() != 1) return;
    const byte_view payload = g.parts.empty() ? byte_view{} : g.parts[0].view();
    c_.datagrams.add({r.wire_id, g.sequence, g.frames[0].timestamp, payload}, c_.ver);
  }

  // ---- ends

  void say_ok(request& r, stream_record& s, std::optional<std::uint64_t> start) noexcept {
    const track_options& o = r.cache()->options();
    msg::subscribe_ok m{.priority = o.priority, .ordered = o.ordered, .max_age_ms = o.max_age_ms};
    m.group_start = start;
    m.group_end = r.want.group_end;
    m.group = start.value_or(0);
    r.has_said_ok = true;
    r.has_said_start = start.has_value() || !has_ranges(c_.ver);
    if (const errc e = subscribe_answerer::send(s.state, c_.ver, m, s.out); e != errc::ok) c_.fail(e);
    c_.flush(s);
  }
  void say_start(request& r, stream_record& s) noexcept {
    if (has_ranges(c_.ver) || !r.has_said_ok) say_ok(r, s, r.start);
    r.has_said_start = true;
  }
  /// The track has ended and everything has been handed over: says so and ends the stream.
  void check_end(slot_handle h, request& r) noexcept {
    if (r.is_gone || r.cache() == nullptr || !r.cache()->is_finished()) return;
    stream_record* s = c_.streams.find(r.stream);
    if (s == nullptr || !s->ends.can_send()) return;
    if (has_subscribe_end(c_.ver) && !r.has_said_end) {
      r.has_said_end = true;
      const errc e = subscribe_answerer::send(s->state, c_.ver, msg::subscribe_end{r.cache()->next_sequence()}, s->out);
      if (e != errc::ok) c_.fail(e);
      c_.flush(*s);
    }
    if (r.first_out != no_slot) return;
    close(h, r, {});
    tell_closed(h, errc::ok, 0);
  }
  /// Resets a group's stream, or takes it back if it has none.
  void abandon(std::uint32_t i, stream_code code) noexcept {
    stream_record* s = c_.streams.find(outs_[i].stream);
    release_out(i);
    if (s != nullptr) {
      s->owner = no_slot;
      c_.abort(*s, code);
    }
  }
  void remove_out(std::uint32_t i) noexcept {
    const slot_handle h = requests_.handle_of(outs_[i].owner);
    if (stream_record* s = c_.streams.find(outs_[i].stream)) s->owner = no_slot;
    release_out(i);
    check_end(h, requests_[h.index]);
  }
  void release_out(std::uint32_t i) noexcept {
    outgoing& o = outs_[i];
    request& r = requests_[o.owner];
    writing_.unready(r.writing, o.sequence, i);
    opening_.unready(r.opening, o.sequence, i);
    if (o.before != no_slot)
      outs_[o.before].after = o.after;
    else
      r.first_out = o.after;
    if (o.after != no_slot) outs_[o.after].before = o.before;
    outs_.give(outs_.handle_of(i));
  }
  void end_outs(request& r, stream_code code) noexcept {
    while (r.first_out != no_slot) {
      if (r.kind == request_kind::fetch)
        release_out(r.first_out);
      else
        abandon(r.first_out, code);
    }
  }
  /// Ends a request: in order without a code, by a reset with one. The slot stays until its last event has been heard.
  void close(slot_handle h, request& r, std::optional<stream_code> code) noexcept {
    if (r.is_gone) return;
    r.is_gone = true;
    end_outs(r, code.value_or(stream_code::cancelled));
    if (r.cache() != nullptr) r.cache()->detach(r.heard);
    if (r.writing != no_flow) writing_.remove_flow(r.writing);
    if (r.opening != no_flow) opening_.remove_flow(r.opening);
    r.writing = r.opening = no_flow;
    (void)h;
    stream_record* s = c_.streams.find(r.stream);
    if (s == nullptr) return;
    s->kind = stream_kind::closing;
    s->owner = no_slot;
    if (code) return c_.abort(*s, *code);
    c_.wake_reader(*s);
    c_.finish(*s);
  }

  core& c_;
  slab<request> requests_;
  slab<outgoing> outs_;
  schedule writing_;
  schedule opening_;
  queue<slot_handle> dirty_;
  ranges used_ids_;
  group_writer::scratch scratch_{};
  std::size_t subscriptions_ = 0;
  std::size_t others_ = 0;
};

}  // namespace moql::detail
