#pragma once
/// What a subscriber knows from one Announce stream: which paths or routes are live, and whether the publisher keeps to
/// the rules of its version. Draft 06 sections 5.1.1 and 7.5 to 7.8; drafts 01 to 05, "Announce".

#include "../base/index.hpp"
#include "../base/slab.hpp"
#include "halves.hpp"
#include "route_order.hpp"

namespace moql {

/// One live announcement.
struct announced_route {
  explicit announced_route(memory m = {}) noexcept : suffix(m), hops(m) {}
  vec<char> suffix;         ///< Behind the requested prefix, as it travelled.
  vec<std::uint64_t> hops;  ///< The whole path, origin first, the responding publisher last; 0 is unknown.
  std::uint64_t warm = 0;   ///< As announced: the cost of the link is not in it.
  std::uint64_t cold = 0;
  std::uint64_t id = 0;                   ///< 06: Announce ID.
  std::uint32_t next = slot_index::none;  ///< Another suffix of the same hash.
  bool hidden = false;                    ///< Counted, but looped back through us: never shown.
  [[nodiscard]] std::string_view suffix_view() const noexcept { return {suffix.data(), suffix.size()}; }
  void recycle() noexcept {
    suffix.clear();
    hops.clear();
    next = slot_index::none;
    hidden = false;
  }
};

class announce_reader {
 public:
  enum class change : std::uint8_t { started, updated, ended, initial_set };
  struct options {
    version ver = lite06;
    std::uint64_t own_hop = 0;         ///< Ours: announcements that passed it are discarded (R-080).
    std::size_t entries_max = 10'000;  ///< More end the stream.
    std::uint64_t hash_seed = 0;       ///< Random: then a peer cannot choose suffixes that take long to tell apart.
    bool strict_ended = false;         ///< 01 to 04: `ended` for an unknown path is an error, as the texts say (R-053).
  };

  explicit announce_reader(memory m = {}) noexcept : entries_(m), by_suffix_(m), by_id_(m) {}

  void start(const options& o) noexcept { options_ = o; }

  /// Takes one decoded message and calls `emit(change, slot_handle)` for each thing that changed; `initial_set` (with a
  /// zero handle) once, when the set announced at the start is complete. An ended entry stays readable until
  /// `release(handle)`.
  template <class Emit>
  [[nodiscard]] errc take(const announce_asker::incoming& m, Emit&& emit) noexcept {
    if (const auto* init = std::get_if<msg::announce_init>(&m)) return take_init(*init, emit);
    if (const auto* ok = std::get_if<msg::announce_ok>(&m)) {
      responder_ = ok->hop;
      expected_ = ok->active_count;
      if (expected_ > options_.entries_max) return errc::limit_exceeded;
      count_initial(0, emit);
      return errc::ok;
    }
    if (const auto* a = std::get_if<msg::announce>(&m)) return take_announce(*a, emit);
    if (const auto* s = std::get_if<msg::announce_start>(&m)) {
      const errc e = add(s->suffix, s->hops, 0, s->warm, s->cold, emit);
      if (e == errc::ok) count_initial(1, emit);
      return e;
    }
    if (const auto* e = std::get_if<msg::announce_end>(&m)) {
      const std::uint32_t i = by_id_.find(e->id);
      if (i == slot_index::none) return errc::announce_id;
      remove(i, emit);
      return errc::ok;
    }
    if (const auto* u = std::get_if<msg::announce_update>(&m)) {
      const std::uint32_t i = by_id_.find(u->id);
      if (i == slot_index::none) return errc::announce_id;
      return replace(i, u->hops, 0, u->warm, u->cold, emit);
    }
    return errc::ok;
  }
  /// The stream ended: everything is unavailable. Each live entry is reported once.
  template <class Emit>
  void end(Emit&& emit) noexcept {
    entries_.for_each([&](slot_handle h, announced_route& r) {
      if (is_live(h.index)) remove(h.index, emit);
      (void)r;
    });
  }
  [[nodiscard]] announced_route* find(slot_handle h) noexcept { return entries_.find(h); }
  /// Frees an entry whose end has been reported.
  void release(slot_handle h) noexcept {
    if (entries_.find(h) != nullptr) entries_.give(h);
  }
  /// Every live entry that is not hidden: `f(slot_handle, announced_route&)`.
  void for_each(auto&& f) noexcept {
    entries_.for_each([&](slot_handle h, announced_route& r) {
      if (!r.hidden && is_live(h.index)) f(h, r);
    });
  }
  [[nodiscard]] bool has_initial_set() const noexcept { return initial_told_; }
  void recycle() noexcept {
    entries_.for_each([&](slot_handle h, announced_route& r) {
      forget(h.index, r);
      entries_.give(h);
    });
    next_id_ = responder_ = expected_ = seen_ = 0;
    initial_told_ = false;
  }

 private:
  template <class Emit>
  errc take_init(const msg::announce_init& m, Emit& emit) noexcept {
    if (m.suffixes.size() > options_.entries_max) return errc::limit_exceeded;
    for (const text& suffix : m.suffixes)
      if (const errc e = add(suffix, {}, 0, 0, 0, emit); e != errc::ok) return e;
    count_initial(0, emit);
    return errc::ok;
  }
  template <class Emit>
  errc take_announce(const msg::announce& m, Emit& emit) noexcept {
    const std::uint32_t i = find_suffix(m.suffix);
    if (m.status == msg::announce::ended) {
      if (i == slot_index::none) {
        const bool lenient = before(lite05).has(options_.ver) && !options_.strict_ended;
        return lenient ? errc::ok : errc::announce_unknown;
      }
      remove(i, emit);
      return errc::ok;
    }
    if (i != slot_index::none) {
      if (options_.ver != lite05) return errc::announce_duplicate;
      return replace(i, m.hops, m.hop_count, 0, 0, emit);  // an `active` again is an update
    }
    const errc e = add(m.suffix, m.hops, m.hop_count, 0, 0, emit);
    if (e == errc::ok) count_initial(1, emit);
    return e;
  }
  template <class Emit>
  void count_initial(std::uint64_t n, Emit& emit) noexcept {
    if (initial_told_ || only(lite03, lite04).has(options_.ver)) return;  // 03 and 04 do not say how many there are
    seen_ += n;
    if (seen_ < expected_) return;
    initial_told_ = true;
    emit(change::initial_set, slot_handle{});
  }
  template <class Emit>
  errc add(const text& suffix, const wire::hop_list& hops, std::uint64_t count, std::uint64_t warm, std::uint64_t cold,
           Emit& emit) noexcept {
    if (find_suffix(suffix) != slot_index::none) return errc::announce_duplicate;
    if (entries_.size() >= options_.entries_max) return errc::limit_exceeded;
    slot_handle h;
    announced_route* r = entries_.take(h);
    if (r == nullptr) return errc::out_of_memory;
    const std::string_view s = suffix.view();
    if (!r->suffix.append(s.data(), s.size()) || !set_path(*r, hops, count)) {
      entries_.give(h);
      return errc::out_of_memory;
    }
    if (!by_suffix_.insert(entries_, key_of(s), h.index)) {
      entries_.give(h);
      return errc::out_of_memory;
    }
    r->id = next_id_;
    r->warm = warm;
    r->cold = cold;
    if (has_announce_ids(options_.ver)) {
      if (!by_id_.insert(next_id_, h.index)) {
        by_suffix_.erase(entries_, key_of(s), h.index);
        entries_.give(h);
        return errc::out_of_memory;
      }
      ++next_id_;  // also for one that is hidden
    }
    r->hidden = has_looped(*r);
    if (!r->hidden) emit(change::started, h);
    return errc::ok;
  }
  template <class Emit>
  errc replace(std::uint32_t i, const wire::hop_list& hops, std::uint64_t count, std::uint64_t warm, std::uint64_t cold,
               Emit& emit) noexcept {
    announced_route& r = entries_[i];
    r.hops.clear();
    if (!set_path(r, hops, count)) return errc::out_of_memory;
    r.warm = warm;
    r.cold = cold;
    const bool was_hidden = r.hidden;
    r.hidden = has_looped(r);
    const slot_handle h = entries_.handle_of(i);
    if (!r.hidden)
      emit(was_hidden ? change::started : change::updated, h);
    else if (!was_hidden)
      emit(change::ended, h);
    return errc::ok;
  }
  template <class Emit>
  void remove(std::uint32_t i, Emit& emit) noexcept {
    announced_route& r = entries_[i];
    forget(i, r);
    const slot_handle h = entries_.handle_of(i);
    if (r.hidden)
      entries_.give(h);
    else
      emit(change::ended, h);
  }
  /// One internal form for all versions: ids, 0 for unknown, always with the peer it came from.
  [[nodiscard]] bool set_path(announced_route& r, const wire::hop_list& hops, std::uint64_t count) noexcept {
    switch (options_.ver) {
      case lite01:
      case lite02: return r.hops.push(0);
      case lite03: {
        const std::uint64_t n = count == 0 ? 1 : count < hops_max ? count : hops_max;
        for (std::uint64_t k = 0; k < n; ++k)
          if (!r.hops.push(0)) return false;
        return true;
      }
      default: break;
    }
    for (const std::uint64_t hop : hops)
      if (!r.hops.push(hop)) return false;
    if (options_.ver == lite04) return !r.hops.empty() || r.hops.push(0);
    return r.hops.push(responder_);
  }
  [[nodiscard]] bool has_looped(const announced_route& r) const noexcept {
    return passes(r.hops.view(), options_.own_hop);
  }
  [[nodiscard]] std::uint64_t key_of(std::string_view suffix) const noexcept {
    return hash_of(suffix, first_hash(options_.hash_seed));
  }
  [[nodiscard]] std::uint32_t find_suffix(const text& suffix) noexcept {
    const std::string_view s = suffix.view();
    return by_suffix_.find(entries_, key_of(s), [&](const announced_route& r) { return r.suffix_view() == s; });
  }
  [[nodiscard]] bool is_live(std::uint32_t i) noexcept {
    const announced_route& r = entries_[i];
    const auto is_it = [&](const announced_route& other) { return &other == &r; };
    return by_suffix_.find(entries_, key_of(r.suffix_view()), is_it) != slot_index::none;
  }
  void forget(std::uint32_t i, announced_route& r) noexcept {
    by_suffix_.erase(entries_, key_of(r.suffix_view()), i);
    if (has_announce_ids(options_.ver) && by_id_.find(r.id) == i) by_id_.erase(r.id);
  }

  options options_{};
  slab<announced_route> entries_;
  chained_index<announced_route> by_suffix_;
  slot_index by_id_;
  std::uint64_t next_id_ = 0;
  std::uint64_t responder_ = 0;
  std::uint64_t expected_ = 0;
  std::uint64_t seen_ = 0;
  bool initial_told_ = false;
};

}  // namespace moql
