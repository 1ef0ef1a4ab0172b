#pragma once
/// TRACK_INFO (05, 06): asked for once per track, remembered, and handed to whoever waits for it. Draft 06
/// section 5.1.4.

#include "../message/stream_type.hpp"
#include "core.hpp"

namespace moql::detail {

/// A path and a track name in one buffer.
struct track_names {
  explicit track_names(memory m = {}) noexcept : text_(m) {}
  [[nodiscard]] bool set(std::string_view broadcast, std::string_view track) noexcept {
    text_.clear();
    split_ = broadcast.size();
    return text_.append(broadcast.data(), broadcast.size()) && text_.append(track.data(), track.size());
  }
  [[nodiscard]] std::string_view broadcast() const noexcept { return {text_.data(), split_}; }
  [[nodiscard]] std::string_view track() const noexcept { return {text_.data() + split_, text_.size() - split_}; }
  [[nodiscard]] bool is(std::string_view b, std::string_view t) const noexcept {
    return broadcast() == b && track() == t;
  }
  void clear() noexcept {
    text_.clear();
    split_ = 0;
  }
  void recycle() noexcept { clear(); }
  [[nodiscard]] static bool is_valid(std::string_view broadcast, std::string_view track) noexcept {
    return is_valid_path(broadcast) && is_utf8(track);
  }

 private:
  vec<char> text_;
  std::size_t split_ = 0;
};

/// Who waits for an answer.
struct info_waiter {
  about whom{};
  slot_handle slot{};
};

struct known_track {
  explicit known_track(memory m = {}) noexcept : names(m), waiters(m) {}
  track_names names;
  vec<info_waiter> waiters;
  msg::track_info info{};
  slot_handle stream{};
  bool is_known = false;
  bool is_indexed = false;  ///< Found by name; one that was overtaken by a new announcement is not.
  void recycle() noexcept {
    names.clear();
    waiters.clear();
    stream = {};
    is_known = is_indexed = false;
  }
};

class track_infos {
 public:
  /// `deliver(context, waiter, info or null, why, code)`: called once per waiter.
  using delivery = void (*)(void* context, const info_waiter&, const msg::track_info*, errc why, std::uint64_t code);

  track_infos(core& c, delivery d, void* context) noexcept
      : c_(c), tracks_(c.mem), by_name_(c.mem), deliver_(d), context_(context) {}

  /// The info if it is known; otherwise asks, unless that is under way, and `w` is told. Sets `why` when it cannot.
  [[nodiscard]] const msg::track_info* want(std::string_view broadcast, std::string_view track, const info_waiter& w,
                                            errc& why) noexcept {
    why = errc::ok;
    const std::uint64_t key = key_of(broadcast, track);
    std::uint32_t i = by_name_.find(key);
    if (i != slot_index::none && !tracks_[i].names.is(broadcast, track)) {
      forget(i);  // another name of the same hash: the older one is asked for again when it is wanted
      i = slot_index::none;
    }
    if (i != slot_index::none && tracks_[i].is_known) return &tracks_[i].info;
    if (i == slot_index::none) i = ask(key, broadcast, track, why);
    if (i != slot_index::none && !tracks_[i].waiters.push(w)) why = errc::out_of_memory;
    return nullptr;
  }
  [[nodiscard]] step read(stream_record& s, byte_view& in, errc& why) noexcept {
    track_asker::incoming m;
    const step got = c_.hear<track_asker>(s, in, m, why);
    if (got != step::ready) return got;
    known_track& t = tracks_[s.owner];
    t.info = std::get<msg::track_info>(m);
    t.is_known = true;
    c_.answered(s);
    serve_waiters(t, &t.info, errc::ok, 0);
    return step::ready;
  }
  void ended(stream_record& s, errc why, std::uint64_t code) noexcept {
    const slot_handle h = tracks_.handle_of(s.owner);
    known_track& t = tracks_[s.owner];
    s.owner = no_slot;
    t.stream = {};
    if (t.is_known) {
      if (!t.is_indexed) tracks_.give(h);
      return;
    }
    serve_waiters(t, nullptr, why == errc::ok ? errc::stream_cut : why, code);
    if (t.is_indexed) forget(h.index);
    tracks_.give(h);
  }
  /// Frames did not fit what is remembered: it is asked for again when it is wanted next.
  void doubt(std::string_view broadcast, std::string_view track) noexcept {
    const std::uint32_t i = by_name_.find(key_of(broadcast, track));
    if (i == slot_index::none || !tracks_[i].is_known || !tracks_[i].names.is(broadcast, track)) return;
    forget(i);
    if (tracks_[i].stream == slot_handle{}) tracks_.give(tracks_.handle_of(i));
  }
  /// Cached facts about a path belong to the announcement that carried it; on 06 that is a route, over
  /// everything below it.
  void drop_path(std::string_view path) noexcept {
    const bool is_route = has_announce_ids(c_.ver);
    tracks_.for_each([&](slot_handle h, known_track& t) {
      const std::string_view broadcast = t.names.broadcast();
      if (!t.is_indexed || !(is_route ? covers(path, broadcast) : broadcast == path)) return;
      forget(h.index);
      if (t.stream == slot_handle{}) tracks_.give(h);
    });
  }

 private:
  [[nodiscard]] std::uint32_t ask(std::uint64_t key, std::string_view broadcast, std::string_view track,
                                  errc& why) noexcept {
    why = errc::out_of_memory;
    if (tracks_.size() >= c_.caps().track_infos_max) drop_one_idle();
    slot_handle h;
    known_track* t = tracks_.take(h);
    if (t == nullptr) return slot_index::none;
    stream_record* s = t->names.set(broadcast, track) && by_name_.insert(key, h.index)
                           ? c_.open(stream_kind::track_ours, true, h.index)
                           : nullptr;
    if (s == nullptr) {
      by_name_.erase(key);
      tracks_.give(h);
      return slot_index::none;
    }
    t->is_indexed = true;
    t->stream = c_.handle_of(*s);
    const msg::track m{.broadcast = broadcast, .track_name = track};
    if (!c_.put_type(*s, static_cast<std::uint64_t>(bidi_type::track))) return h.index;
    why = c_.say<track_asker>(*s, m);
    c_.set_timer(timer_kind::stream, c_.handle_of(*s), c_.caps().request_timeout);
    return h.index;
  }
  [[nodiscard]] std::uint64_t key_of(std::string_view broadcast, std::string_view track) const noexcept {
    return hash_of(track, hash_of(broadcast, first_hash(c_.settings.hash_seed)) * 31 + broadcast.size());
  }
  void forget(std::uint32_t i) noexcept {
    by_name_.erase(key_of(tracks_[i].names.broadcast(), tracks_[i].names.track()));
    tracks_[i].is_indexed = false;
  }
  /// The first that nobody waits for makes room.
  void drop_one_idle() noexcept {
    bool done = false;
    tracks_.for_each([&](slot_handle h, known_track& t) {
      if (done || !t.is_known || t.stream != slot_handle{}) return;
      done = true;
      if (t.is_indexed) forget(h.index);
      tracks_.give(h);
    });
  }
  void serve_waiters(known_track& t, const msg::track_info* info, errc why, std::uint64_t code) noexcept {
    for (std::size_t i = 0; i < t.waiters.size(); ++i) deliver_(context_, t.waiters[i], info, why, code);
    t.waiters.clear();
  }

  core& c_;
  slab<known_track> tracks_;
  slot_index by_name_;
  delivery deliver_;
  void* context_;
};

}  // namespace moql::detail
