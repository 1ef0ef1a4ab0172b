#pragma once
/// The peer's requests as they come in, and the application's answers. Draft 06 sections 5.1.2 to 5.1.4.

#include "group_service.hpp"

namespace moql::detail {

class publishing : public group_service {
 public:
  explicit publishing(core& c) noexcept : group_service(c), used_ids_(c.mem) {}

  // ---- what the application says

  [[nodiscard]] errc serve(request_id id, track_cache& cache) noexcept {
    request* r = live(id);
    if (r == nullptr) return errc::stale_handle;
    if (r->is_serving) return errc::wrong_state;
    stream_record* s = c_.streams.find(r->stream);
    if (s == nullptr) return errc::stale_handle;
    const track_options& o = cache.options();
    if (r->kind == request_kind::track) return answer_track(*r, *s, {o.priority, o.ordered, o.max_age_ms, o.timescale});
    if (r->kind == request_kind::fetch) return serve_fetch(slot_of(id), *r, *s, cache);
    if (!add_flow(*r, o.priority)) return errc::out_of_memory;
    r->is_serving = true;
    r->was_empty = cache.is_empty() && wants_latest(c_.ver, r->want);
    listen(slot_of(id), *r, cache);
    if (before(lite05).has(c_.ver)) {
      if (has_ranges(c_.ver)) r->start = live_start(cache, c_.ver, r->want);  // what is said now holds
      say_ok(*r, *s, r->start);
    }
    mark_dirty(slot_of(id).index);
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
    if (is_reserved(static_cast<std::uint64_t>(code))) return errc::bad_argument;
    close(*r, code);
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
    r->kind = is_subscribe                        ? request_kind::subscribe
              : kind == stream_kind::fetch_theirs ? request_kind::fetch
                                                  : request_kind::track;
    r->stream = c_.handle_of(s);
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
        const step got = c_.hear<subscribe_answerer>(s, in, m, why);
        if (got != step::ready) return got;
        if (const auto* ask = std::get_if<msg::subscribe>(&m))
          why = take_subscribe(h, r, *ask);
        else
          why = take_update(h, r, std::get<msg::subscribe_update>(m));
        return why == errc::ok ? step::ready : step::fault;
      }
      case request_kind::fetch: {
        fetch_answerer::incoming m;
        const step got = c_.hear<fetch_answerer>(s, in, m, why);
        if (got != step::ready) return got;
        why = take_fetch(h, r, std::get<msg::fetch>(m));
        return why == errc::ok ? step::ready : step::fault;
      }
      case request_kind::track: {
        track_answerer::incoming m;
        const step got = c_.hear<track_answerer>(s, in, m, why);
        if (got != step::ready) return got;
        const auto& ask = std::get<msg::track>(m);
        const track_names* names = keep_names(r, ask.broadcast, ask.track_name);
        why = names != nullptr ? errc::ok : errc::out_of_memory;
        if (names != nullptr) tell(h, track_requested{id_of<request_id>(h), names->broadcast(), names->track()});
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
    close(r, is_leaving ? std::nullopt : std::optional(facts(why).on_stream));
    tell_closed(h, why, code);
  }
  void end_all(errc why, std::uint64_t code) noexcept {
    requests_.for_each([&](slot_handle h, request& r) {
      if (r.is_gone) return;
      close(r, stream_code::session_closed);
      tell_closed(h, why, code);
    });
  }

 private:
  [[nodiscard]] errc take_subscribe(slot_handle h, request& r, const msg::subscribe& m) noexcept {
    if (used_ids_.has(m.id)) return errc::duplicate_subscription;
    const track_names* names = used_ids_.add(m.id, m.id) ? keep_names(r, m.broadcast, m.track) : nullptr;
    if (names == nullptr) return errc::out_of_memory;
    while (used_ids_.count() > c_.caps().gaps_max) (void)used_ids_.close_oldest_gap();
    if (m.want.group_end && m.want.group_start.value_or(0) > *m.want.group_end) return errc::bad_range;
    r.wire_id = m.id;
    r.want = m.want;
    tell(h, subscribe_requested{id_of<request_id>(h), names->broadcast(), names->track(), m.want});
    return errc::ok;
  }
  [[nodiscard]] errc take_update(slot_handle h, request& r, const msg::subscribe_update& m) noexcept {
    if (m.want.group_end && m.want.group_start.value_or(0) > *m.want.group_end) return errc::bad_range;
    r.want = m.want;
    tell(h, subscribe_updated{id_of<request_id>(h), m.want});
    if (!r.is_serving || r.cache() == nullptr) return errc::ok;
    writing_.set_flow(r.writing, m.want.priority, r.cache()->options().priority, group_order_of(r));
    for (std::uint32_t i = r.first_out; i != no_slot;) {
      outgoing& o = outs_[i];
      const std::uint32_t next = o.after;
      if (is_past_end(r, o.sequence) || (r.want.group_start && o.sequence < *r.want.group_start)) {
        const std::uint64_t sequence = o.sequence;
        const bool is_open = o.stream != slot_handle{};
        abandon(i, stream_code::cancelled, &session_counters::groups_unwanted);
        stream_record* s = is_open ? c_.streams.find(r.stream) : nullptr;
        std::optional<interval> lost;
        if (s == nullptr) {
          unhandle(r, sequence);
        } else {
          drop(r, *s, sequence, sequence, lost);
          flush_drops(*s, lost);
        }
      } else {
        o.cursor.set_last_frame(last_frame(r, o.sequence));
        if (opening_.contains(i)) opening_.update(i, opening_key_of(r, o));
        if (stream_record* s = c_.streams.find(o.stream)) c_.act(set_priority{s->id, order_of(r, o.sequence)});
        if (o.stream != slot_handle{}) ready(i);
      }
      i = next;
    }
    r.next_arrival = r.cache()->arrivals_begin();  // an end that moved up may let in what was passed over
    mark_dirty(h.index);
    return errc::ok;
  }
  [[nodiscard]] errc take_fetch(slot_handle h, request& r, const msg::fetch& m) noexcept {
    const track_names* names = keep_names(r, m.broadcast, m.track);
    if (names == nullptr) return errc::out_of_memory;
    r.want.priority = m.priority;
    r.want.frame_start = m.frame_start;
    r.want.frame_end = m.frame_end;
    r.want.group_start = m.group;
    tell(h, fetch_requested{id_of<request_id>(h), names->broadcast(), names->track(), m.priority, m.group,
                            m.frame_start, m.frame_end});
    return errc::ok;
  }
  [[nodiscard]] errc answer_track(request& r, stream_record& s, const msg::track_info& info) noexcept {
    if (const errc e = c_.say<track_answerer>(s, info); e != errc::ok) return e;
    const slot_handle h = requests_.handle_of(s.owner);
    close(r, {});
    tell_closed(h, errc::ok, 0);
    return errc::ok;
  }
  [[nodiscard]] errc serve_fetch(slot_handle h, request& r, stream_record& s, track_cache& cache) noexcept {
    const std::uint64_t sequence = *r.want.group_start;
    const fetch_found found = fetch_lookup(cache, sequence, r.want.frame_start);
    if (!found.has_group()) {
      close(r, found.refusal);
      tell_closed(h, errc::refused_by_peer, 0);
      return errc::ok;
    }
    if (!add_flow(r, cache.options().priority)) return errc::out_of_memory;
    slot_handle oh;
    outgoing* o = outs_.take(oh);
    if (o == nullptr) return errc::out_of_memory;
    o->owner = h.index;
    o->sequence = sequence;
    o->stream = c_.handle_of(s);
    o->cursor.start_fetch(found.group, c_.ver, r.want.frame_start, r.want.frame_end);
    r.first_out = oh.index;
    r.is_serving = true;
    listen(h, r, cache);
    ready(oh.index);
    return errc::ok;
  }
  [[nodiscard]] bool add_flow(request& r, std::uint8_t publisher) noexcept {
    r.writing = writing_.add_flow(r.want.priority, publisher, group_order_of(r));
    r.opened_at = openings_;
    return r.writing != no_flow;
  }
  ranges used_ids_;  ///< R-096: a Subscribe ID is never used again.
};

}  // namespace moql::detail
