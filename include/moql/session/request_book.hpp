#pragma once
/// The book of the peer's requests: what each is owed, what has been said to it, and how it ends. Draft 06
/// section 5.1.2.

#include "requests.hpp"

namespace moql::detail {

class request_book {
 public:
  explicit request_book(core& c) noexcept
      : c_(c), requests_(c.mem), names_(c.mem), outs_(c.mem), writing_(c.mem), opening_(c.mem), dirty_(c.mem) {}
  request_book(const request_book&) = delete;
  request_book& operator=(const request_book&) = delete;
  ~request_book() {
    requests_.for_each([](slot_handle, request& r) {
      if (r.cache() != nullptr) r.cache()->detach(r.heard);
    });
  }

  /// Whether the application should still hear this: not of a request that is gone, nor of the end of one it never
  /// heard of.
  [[nodiscard]] bool prepare(const queued_event& q) noexcept {
    if (request* before = requests_.find(told_)) drop_names(*before);
    request* r = requests_.find(q.slot);
    if (r == nullptr) return false;
    if (std::holds_alternative<request_closed>(*q.what)) return r->was_told;
    if (r->is_gone) return false;
    r->was_told = true;
    told_ = q.slot;
    return true;
  }
  /// What a subscription of the peer's asks for now; none when it is over or is no subscription.
  [[nodiscard]] std::optional<msg::delivery> wanted(request_id id) noexcept {
    const request* r = live(id);
    if (r == nullptr || r->kind != request_kind::subscribe) return {};
    return static_cast<msg::delivery>(r->want);
  }
  void free(const queued_event& q) noexcept {
    request* r = requests_.find(q.slot);
    --(r->kind == request_kind::subscribe ? subscriptions_ : others_);
    drop_names(*r);
    requests_.give(q.slot);
  }

 protected:
  [[nodiscard]] request* live(request_id id) noexcept {
    request* r = requests_.find(slot_of(id));
    return r == nullptr || r->is_gone ? nullptr : r;
  }
  /// Null when memory ran out. Nobody needs them once the application has heard the request.
  [[nodiscard]] const track_names* keep_names(request& r, std::string_view broadcast, std::string_view track) noexcept {
    slot_handle h;
    track_names* names = names_.take(h);
    if (names == nullptr) return nullptr;
    r.names = h.index;
    return names->set(broadcast, track) ? names : nullptr;
  }
  void drop_names(request& r) noexcept {
    if (r.names != no_slot) names_.give(names_.handle_of(r.names));
    r.names = no_slot;
  }
  void tell(slot_handle h, event e) noexcept { c_.tell({std::move(e), about::request, h, {}, false}); }
  void tell_closed(slot_handle h, errc why, std::uint64_t code) noexcept {
    c_.tell({request_closed{id_of<request_id>(h), why, code}, about::request, h, {}, true});
  }

  void listen(slot_handle h, request& r, track_cache& cache) noexcept {
    r.heard.home = this;
    r.heard.index = h.index;
    r.heard.changed = [](cache_listener* l) noexcept {
      auto* heard = static_cast<request::listener*>(l);
      heard->home->mark_dirty(heard->index);
    };
    r.next_arrival = cache.arrivals_begin();
    cache.attach(r.heard);
  }
  void mark_dirty(std::uint32_t index) noexcept {
    request& r = requests_[index];
    if (r.is_dirty) return;
    r.is_dirty = true;
    const bool is_first = dirty_.empty();
    if (!dirty_.push(requests_.handle_of(index))) c_.fail(errc::out_of_memory);
    if (is_first && c_.listener != nullptr) c_.listener->wake(c_.listener);
  }

  [[nodiscard]] static bool is_past_end(const request& r, std::uint64_t sequence) noexcept {
    return r.want.group_end && sequence > *r.want.group_end;
  }
  /// No group below it is sent: what was said to be the start, or a floor that was raised since.
  [[nodiscard]] static std::uint64_t floor_of(const request& r) noexcept {
    const std::uint64_t wanted = r.want.group_start.value_or(0);
    return wanted > *r.start ? wanted : *r.start;
  }
  [[nodiscard]] static std::optional<std::uint64_t> last_frame(const request& r, std::uint64_t sequence) noexcept {
    if (!r.want.group_end || sequence != *r.want.group_end) return {};
    return r.want.frame_end;
  }
  [[nodiscard]] static std::uint16_t rank_of(const request& r) noexcept {
    return moql::rank_of(r.want.priority, r.cache() == nullptr ? std::uint8_t{0} : r.cache()->options().priority);
  }
  [[nodiscard]] group_order group_order_of(const request& r) const noexcept {
    return has_ordered(c_.ver) && r.want.ordered ? group_order::oldest_first : group_order::newest_first;
  }
  [[nodiscard]] std::int32_t order_of(const request& r, std::uint64_t sequence) const noexcept {
    return group_hint(r.want.priority, r.cache()->options().priority, group_order_of(r), sequence);
  }
  [[nodiscard]] opening_key opening_key_of(const request& r, const outgoing& o) const noexcept {
    return {static_cast<std::uint64_t>(0xffffu - rank_of(r)) << 48 | r.opened_at,
            group_order_of(r) == group_order::oldest_first ? o.sequence : ~o.sequence};
  }
  void ready(std::uint32_t i) noexcept {
    if (i == no_slot) return;
    outgoing& o = outs_[i];
    request& r = requests_[o.owner];
    if (o.is_opening) return;
    bool fits = true;
    if (o.stream == slot_handle{}) {
      fits = opening_.contains(i) || opening_.push(i, opening_key_of(r, o));
    } else if (const stream_record* s = c_.streams.find(o.stream); s != nullptr && !s->is_blocked) {
      fits = writing_.ready(r.writing, o.sequence, i);
    }
    if (!fits) c_.fail(errc::out_of_memory);
  }

  // ---- what is said

  void drop(request& r, stream_record& s, std::uint64_t first, std::uint64_t last,
            std::optional<interval>& lost) noexcept {
    if (!r.handled.add(first, last)) return c_.fail(errc::out_of_memory);
    add_lost(s, first, last, lost);
  }
  /// Whatever of first..last has been neither sent nor dropped, and is wanted.
  void drop_rest(request& r, stream_record& s, std::uint64_t first, std::uint64_t last,
                 std::optional<interval>& lost) noexcept {
    if (first < floor_of(r)) first = floor_of(r);
    if (is_past_end(r, last)) last = *r.want.group_end;
    if (first > last) return;
    r.handled.for_each_gap(first, last, [&](std::uint64_t a, std::uint64_t b) { add_lost(s, a, b, lost); });
    if (!r.handled.add(first, last)) c_.fail(errc::out_of_memory);
  }
  /// A group that has no stream yet may be looked at again.
  void unhandle(request& r, std::uint64_t sequence) noexcept {
    if (!r.handled.remove(sequence)) c_.fail(errc::out_of_memory);
  }
  void add_lost(stream_record& s, std::uint64_t first, std::uint64_t last, std::optional<interval>& lost) noexcept {
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
      const errc e = c_.say<subscribe_answerer>(s, msg::subscribe_drop{lost->first, lost->last, 0});
      if (e != errc::ok) c_.fail(e);
      c_.flush(s);
    }
    lost.reset();
  }
  void say_ok(request& r, stream_record& s, std::optional<std::uint64_t> start) noexcept {
    const track_options& o = r.cache()->options();
    msg::subscribe_ok m{.priority = o.priority, .ordered = o.ordered, .max_age_ms = o.max_age_ms};
    m.group_start = start;
    m.group_end = r.want.group_end;
    m.group = start.value_or(0);
    r.has_said_ok = true;
    r.has_said_start = start.has_value() || !has_ranges(c_.ver);
    if (const errc e = c_.say<subscribe_answerer>(s, m); e != errc::ok) c_.fail(e);
    c_.flush(s);
  }
  void say_start(request& r, stream_record& s) noexcept {
    if (has_ranges(c_.ver) || !r.has_said_ok) say_ok(r, s, r.start);
    r.has_said_start = true;
  }
  /// The track has ended and everything has been handed over: says so and ends the stream.
  void check_end(slot_handle h, request& r) noexcept {
    if (r.is_gone || r.is_dirty || r.cache() == nullptr || !r.cache()->is_finished()) return;
    if (r.start && r.next_arrival < r.cache()->arrivals_end()) return;
    stream_record* s = c_.streams.find(r.stream);
    if (s == nullptr || !s->ends.can_send()) return;
    if (has_subscribe_end(c_.ver) && !r.has_said_end) {
      r.has_said_end = true;
      const errc e = c_.say<subscribe_answerer>(*s, msg::subscribe_end{r.cache()->next_sequence()});
      if (e != errc::ok) c_.fail(e);
      c_.flush(*s);
    }
    if (r.first_out != no_slot) return;
    if (r.start && r.cache()->next_sequence() != 0) {  // what never got a stream
      std::optional<interval> lost;
      drop_rest(r, *s, 0, r.cache()->next_sequence() - 1, lost);
      flush_drops(*s, lost);
    }
    close(r, {});
    tell_closed(h, errc::ok, 0);
  }
  /// Resets a group's stream, or takes it back if it has none; `reason` counts it.
  void abandon(std::uint32_t i, stream_code code, std::uint64_t session_counters::*reason) noexcept {
    stream_record* s = c_.streams.find(outs_[i].stream);
    ++(c_.counts.*(s != nullptr ? reason : &session_counters::groups_unopened));
    release_out(i);
    if (s != nullptr) {
      s->owner = no_slot;
      c_.abort(*s, code);
    }
  }
  void remove_out(std::uint32_t i) noexcept {
    const slot_handle h = requests_.handle_of(outs_[i].owner);
    if (stream_record* s = c_.streams.find(outs_[i].stream)) s->owner = no_slot;
    ++c_.counts.groups_unwanted;
    release_out(i);
    check_end(h, requests_[h.index]);
  }
  void release_out(std::uint32_t i) noexcept {
    outgoing& o = outs_[i];
    request& r = requests_[o.owner];
    writing_.unready(r.writing, o.sequence, i);
    opening_.erase(i);
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
        abandon(r.first_out, code, &session_counters::groups_unwanted);
    }
  }
  /// Ends a request: in order without a code, by a reset with one. The slot stays until its last event has been heard.
  void close(request& r, std::optional<stream_code> code) noexcept {
    if (r.is_gone) return;
    r.is_gone = true;
    end_outs(r, code.value_or(stream_code::cancelled));
    if (r.cache() != nullptr) r.cache()->detach(r.heard);
    if (r.writing != no_flow) writing_.remove_flow(r.writing);
    r.writing = no_flow;
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
  slab<track_names> names_;  ///< Of requests that the application has not heard yet.
  slot_handle told_{};       ///< The request that it heard last.
  slab<outgoing> outs_;
  schedule writing_;                   ///< Group streams that have something to write.
  indexed_heap<opening_key> opening_;  ///< Groups that wait for a stream.
  std::uint32_t openings_ = 0;         ///< Group streams that were opened.
  queue<slot_handle> dirty_;
  std::size_t subscriptions_ = 0;
  std::size_t others_ = 0;
};

}  // namespace moql::detail
