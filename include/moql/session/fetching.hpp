#pragma once
/// Our fetches of single groups, and questions for TRACK_INFO alone. Draft 06 sections 5.1.3 and 5.1.4.

#include "track_infos.hpp"

namespace moql {

struct fetch_options {
  std::uint8_t priority = 0;
  std::uint64_t frame_start = 0;             ///< 06: the first frame wanted.
  std::optional<std::uint64_t> frame_end{};  ///< 06: the last one, inclusive.
};

namespace detail {

/// A fetch, or a bare question for TRACK_INFO: both wait for one.
struct fetched {
  explicit fetched(memory m = {}) noexcept : names(m) {}
  track_names names;
  fetch_options options{};
  std::uint64_t group = 0;
  slot_handle stream{};
  bool is_query = false;
  bool is_gone = false;
  bool is_forgotten = false;
  void recycle() noexcept {
    names.clear();
    options = {};
    stream = {};
    is_query = is_gone = is_forgotten = false;
  }
};

class fetching {
 public:
  fetching(core& c, track_infos& infos) noexcept : c_(c), infos_(infos), fetches_(c.mem) {}

  [[nodiscard]] errc fetch(std::string_view broadcast, std::string_view track, std::uint64_t group,
                           const fetch_options& o, fetch_id& out) noexcept {
    if (!c_.is_established) return errc::wrong_state;
    if (!track_names::is_valid(broadcast, track) || !c_.can_travel(broadcast, track)) return errc::bad_argument;
    const msg::fetch m{broadcast, track, o.priority, group, o.frame_start, o.frame_end};
    if (const errc e = measure(m, c_.ver).why; e != errc::ok) return e;
    slot_handle h;
    fetched* f = fetches_.take(h);
    if (f == nullptr) return errc::out_of_memory;
    f->options = o;
    f->group = group;
    if (!f->names.set(broadcast, track)) {
      fetches_.give(h);
      return errc::out_of_memory;
    }
    out = id_of<fetch_id>(h);
    // the frames can only be parsed with TRACK_INFO in hand.
    errc why{};
    const bool known = !has_track_stream(c_.ver) || infos_.want(broadcast, track, {about::fetch, h}, why) != nullptr;
    if (why == errc::ok && known) why = begin(h, *f);
    if (why != errc::ok) drop(h, *f, about::fetch);
    return why;
  }
  [[nodiscard]] errc query(std::string_view broadcast, std::string_view track, track_query_id& out) noexcept {
    if (!c_.is_established) return errc::wrong_state;
    if (!has_track_stream(c_.ver)) return errc::not_in_version;
    if (!track_names::is_valid(broadcast, track) || !c_.can_travel(broadcast, track)) return errc::bad_argument;
    slot_handle h;
    fetched* f = fetches_.take(h);
    if (f == nullptr) return errc::out_of_memory;
    f->is_query = true;
    out = id_of<track_query_id>(h);
    errc why{};
    const msg::track_info* info = infos_.want(broadcast, track, {about::query, h}, why);
    if (info != nullptr) answer(h, *f, info, errc::ok, 0);
    if (why != errc::ok) drop(h, *f, about::query);
    return why;
  }
  [[nodiscard]] errc cancel(fetch_id id) noexcept {
    fetched* f = fetches_.find(slot_of(id));
    if (f == nullptr || f->is_gone || f->is_query) return errc::stale_handle;
    drop(slot_of(id), *f, about::fetch);
    return errc::ok;
  }

  void info_arrived(const info_waiter& w, const msg::track_info* info, errc why, std::uint64_t code) noexcept {
    fetched* f = fetches_.find(w.slot);
    if (f == nullptr || f->is_gone) return;
    if (f->is_query) return answer(w.slot, *f, info, why, code);
    if (info != nullptr) why = begin(w.slot, *f);
    if (why != errc::ok) finish(w.slot, *f, why == errc::reset_by_peer ? errc::refused_by_peer : why, code);
  }
  [[nodiscard]] fetch_id id(std::uint32_t i) noexcept { return id_of<fetch_id>(fetches_.handle_of(i)); }
  void ended(stream_record& s, errc why, std::uint64_t code) noexcept {
    const slot_handle h = fetches_.handle_of(s.owner);
    if (why == errc::ok && !s.buffers->groups.frames().is_at_boundary()) why = errc::stream_cut;
    if (why == errc::reset_by_peer && s.buffers->groups.frames().index() == fetches_[s.owner].options.frame_start)
      why = errc::refused_by_peer;
    const track_names& names = fetches_[s.owner].names;
    if (why == errc::bad_timestamp) infos_.doubt(names.broadcast(), names.track());
    finish(h, fetches_[s.owner], why, code);
  }
  void end_all(errc why, std::uint64_t code) noexcept {
    fetches_.for_each([&](slot_handle h, fetched& f) {
      if (f.is_gone) return;
      if (f.is_query)
        answer(h, f, nullptr, why, code);
      else
        finish(h, f, why, code);
    });
  }
  [[nodiscard]] bool prepare(const queued_event& q) noexcept {
    const fetched* f = fetches_.find(q.slot);
    return f != nullptr && !f->is_forgotten;
  }
  void free(const queued_event& q) noexcept { fetches_.give(q.slot); }

 private:
  /// Nothing more is heard of it.
  void drop(slot_handle h, fetched& f, about whom) noexcept {
    if (f.is_gone) return;
    f.is_gone = f.is_forgotten = true;
    if (stream_record* s = c_.streams.find(f.stream)) {
      s->kind = stream_kind::closing;
      s->owner = no_slot;
      c_.abort(*s, stream_code::cancelled);
    }
    c_.tell({{}, whom, h, {}, true});
  }
  [[nodiscard]] errc begin(slot_handle h, fetched& f) noexcept {
    if (c_.is_going_away) return errc::going_away;
    stream_record* s = c_.open(stream_kind::fetch_ours, true, h.index);
    if (s == nullptr) return errc::out_of_memory;
    stream_buffers* b = c_.buffers_of(*s);
    if (b == nullptr) {
      c_.leave(*s);
      return errc::out_of_memory;
    }
    f.stream = c_.handle_of(*s);
    b->groups.frames() = frame_reader(c_.ver, c_.caps().frame_bytes_max, f.options.frame_start);
    const msg::fetch m{f.names.broadcast(),   f.names.track(),    f.options.priority, f.group,
                       f.options.frame_start, f.options.frame_end};
    if (!c_.put_type(*s, static_cast<std::uint64_t>(bidi_type::fetch))) return errc::out_of_memory;
    const errc e = c_.say<fetch_asker>(*s, m);
    c_.set_timer(timer_kind::stream, c_.handle_of(*s), c_.caps().request_timeout);
    return e;  // our direction stays open until the answer ends: a FIN would take the request back
  }
  void answer(slot_handle h, fetched& f, const msg::track_info* info, errc why, std::uint64_t code) noexcept {
    f.is_gone = true;
    if (info == nullptr && why == errc::reset_by_peer) why = errc::refused_by_peer;
    const msg::track_info facts = info == nullptr ? msg::track_info{} : *info;
    c_.tell({track_answered{id_of<track_query_id>(h), why, code, facts}, about::query, h, {}, true});
  }
  void finish(slot_handle h, fetched& f, errc why, std::uint64_t code) noexcept {
    f.is_gone = true;
    f.stream = {};
    c_.tell({fetch_closed{id_of<fetch_id>(h), why, code}, about::fetch, h, {}, true});
  }

  core& c_;
  track_infos& infos_;
  slab<fetched> fetches_;
};

}  // namespace detail
}  // namespace moql
