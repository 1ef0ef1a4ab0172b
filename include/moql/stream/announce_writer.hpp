#pragma once
/// What a publisher has told on one Announce stream, and the messages that bring it up to date. The same script of
/// `show` and `hide` gives each version its own bytes. Draft 06 sections 5.1.1 and 7.5 to 7.8.

#include "../base/index.hpp"
#include "../base/slab.hpp"
#include "halves.hpp"

namespace moql {

/// A route as it is offered: the path up to us (we are not in it) and its costs.
struct offered_route {
  std::string_view suffix{};
  std::span<const std::uint64_t> hops{};
  std::uint64_t warm{};
  std::uint64_t cold{};
};

class announce_writer {
 public:
  explicit announce_writer(memory m = {}) noexcept : told_(m), by_suffix_(m), list_(m) {}

  /// `hash_seed`: random, if what is told is of others' choosing.
  void start(version v, std::uint64_t own_hop, std::uint64_t hash_seed = 0) noexcept {
    version_ = v;
    own_hop_ = own_hop;
    first_hash_ = first_hash(hash_seed);
  }
  /// The opening reply and the initial set, which must not name a suffix twice. Nothing matching is an answer too
  ///
  [[nodiscard]] errc open(machine_progress& s, std::span<const offered_route> initial,
                          vec<std::uint8_t>& out) noexcept {
    if (has_announce_init(version_)) {
      list_.clear();
      for (const offered_route& r : initial)
        if (!list_.push(text(r.suffix)) || remember(r) == nullptr) return errc::out_of_memory;
      msg::announce_init m;
      m.suffixes = {list_.view()};
      return announce_teller::send(s, version_, m, out);
    }
    if (has_announce_ok(version_)) {
      std::uint64_t n = 0;
      for (const offered_route& r : initial) n += can_travel(r) ? 1 : 0;
      const errc e = announce_teller::send(s, version_, msg::announce_ok{own_hop_, n}, out);
      if (e != errc::ok) return e;
    }
    for (const offered_route& r : initial)
      if (const errc e = show(s, r, out); e != errc::ok) return e;
    return errc::ok;
  }
  /// Announces a suffix, or brings an announced one up to date; writes nothing if the peer would see no difference.
  [[nodiscard]] errc show(machine_progress& s, const offered_route& r, vec<std::uint8_t>& out) noexcept {
    if (!can_travel(r)) return hide(s, r.suffix, out);
    if (told* t = find(r.suffix)) {
      if (!differs(*t, r)) return errc::ok;
      if (!store(*t, r)) return errc::out_of_memory;
      if (has_announce_ids(version_)) {
        const msg::announce_update m{.id = t->id, .hops = {r.hops}, .warm = r.warm, .cold = r.cold};
        return announce_teller::send(s, version_, m, out);
      }
      // Up to 04 a second `active` is a violation that costs peers the session: end it first.
      if (before(lite05).has(version_))
        if (const errc e = send(s, msg::announce::ended, r, out); e != errc::ok) return e;
      return send(s, msg::announce::active, r, out);
    }
    told* t = remember(r);
    if (t == nullptr) return errc::out_of_memory;
    if (!has_announce_ids(version_)) return send(s, msg::announce::active, r, out);
    t->id = next_id_++;
    const msg::announce_start m{.suffix = r.suffix, .hops = {r.hops}, .warm = r.warm, .cold = r.cold};
    return announce_teller::send(s, version_, m, out);
  }
  /// Withdraws a suffix; nothing happens if it was never told.
  [[nodiscard]] errc hide(machine_progress& s, std::string_view suffix, vec<std::uint8_t>& out) noexcept {
    told* t = find(suffix);
    if (t == nullptr) return errc::ok;
    const std::uint64_t id = t->id;
    const errc e = has_announce_ids(version_) ? announce_teller::send(s, version_, msg::announce_end{id}, out)
                                              : send(s, msg::announce::ended, {suffix, {}, 0, 0}, out);
    forget(*t);
    return e;
  }
  [[nodiscard]] bool has_told(std::string_view suffix) noexcept { return find(suffix) != nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return told_.size(); }
  void recycle() noexcept {
    told_.for_each([&](slot_handle, told& t) { forget(t); });
    next_id_ = 0;
  }

 private:
  struct told {
    explicit told(memory m = {}) noexcept : suffix(m), hops(m) {}
    vec<char> suffix;
    vec<std::uint64_t> hops;
    std::uint64_t warm = 0;
    std::uint64_t cold = 0;
    std::uint64_t id = 0;
    slot_handle self{};
    std::uint32_t next = slot_index::none;
    void recycle() noexcept {
      suffix.clear();
      hops.clear();
      next = slot_index::none;
    }
  };
  /// 04 writes our own id into the list as well; a list that is too long is a loop.
  [[nodiscard]] bool can_travel(const offered_route& r) const noexcept {
    return r.hops.size() + (version_ == lite04 ? 1 : 0) <= hops_max;
  }
  [[nodiscard]] bool differs(const told& t, const offered_route& r) const noexcept {
    if (before(lite03).has(version_)) return false;
    if (version_ == lite03) return t.hops.size() != r.hops.size();
    if (has_announce_ids(version_) && (t.warm != r.warm || t.cold != r.cold)) return true;
    if (t.hops.size() != r.hops.size()) return true;
    for (std::size_t i = 0; i < r.hops.size(); ++i)
      if (t.hops[i] != r.hops[i]) return true;
    return false;
  }
  [[nodiscard]] errc send(machine_progress& s, std::uint64_t status, const offered_route& r,
                          vec<std::uint8_t>& out) noexcept {
    msg::announce m{.status = status, .suffix = r.suffix};
    std::uint64_t with_self[hops_max];
    if (status == msg::announce::active) {
      m.hop_count = r.hops.size() + 1;
      m.hops = {r.hops};
      if (version_ == lite04) {
        std::size_t n = 0;
        for (const std::uint64_t hop : r.hops) with_self[n++] = hop;
        with_self[n++] = own_hop_;
        m.hops = {std::span<const std::uint64_t>(with_self, n)};
      }
    }
    return announce_teller::send(s, version_, m, out);
  }
  [[nodiscard]] told* find(std::string_view suffix) noexcept {
    const std::uint32_t i = by_suffix_.find(told_, hash_of(suffix, first_hash_), [&](const told& t) {
      return std::string_view(t.suffix.data(), t.suffix.size()) == suffix;
    });
    return i == slot_index::none ? nullptr : &told_[i];
  }
  [[nodiscard]] static bool store(told& t, const offered_route& r) noexcept {
    t.hops.clear();
    t.warm = r.warm;
    t.cold = r.cold;
    return t.hops.append(r.hops.data(), r.hops.size());
  }
  [[nodiscard]] told* remember(const offered_route& r) noexcept {
    slot_handle h;
    told* t = told_.take(h);
    if (t == nullptr) return nullptr;
    t->self = h;
    if (t->suffix.append(r.suffix.data(), r.suffix.size()) && store(*t, r) &&
        by_suffix_.insert(told_, hash_of(r.suffix, first_hash_), h.index))
      return t;
    told_.give(h);
    return nullptr;
  }
  void forget(told& t) noexcept {
    by_suffix_.erase(told_, hash_of({t.suffix.data(), t.suffix.size()}, first_hash_), t.self.index);
    told_.give(t.self);
  }

  slab<told> told_;
  chained_index<told> by_suffix_;
  vec<text> list_;
  std::uint64_t next_id_ = 0;
  std::uint64_t own_hop_ = 0;
  std::uint64_t first_hash_ = first_hash(0);
  version version_ = lite06;
};

}  // namespace moql
