#pragma once
/// The streams of one flow that could be written now.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../base/search.hpp"
#include "../base/vec.hpp"
#include "rank.hpp"

namespace moql::detail {

/// By rising sequence. Both ends are cheap whichever of them is served and however long the backlog is: room is left in
/// front, and what lies in between moves the shorter way.
class backlog {
 public:
  struct member {
    std::uint64_t sequence;
    std::uint32_t item;
  };
  explicit backlog(memory m) noexcept : items_(m) {}
  [[nodiscard]] bool empty() const noexcept { return head_ == items_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size() - head_; }
  [[nodiscard]] const member& best(group_order order) const noexcept {
    return order == group_order::newest_first ? items_.back() : items_[head_];
  }
  /// Adding what is there already changes nothing. False when memory ran out.
  [[nodiscard]] bool add(member m) noexcept {
    const std::size_t at = place(m);
    if (at != items_.size() && same(items_[at], m)) return true;
    const std::size_t before_it = at - head_;
    const std::size_t after_it = items_.size() - at;
    if (before_it < after_it) {
      if (head_ == 0 && !make_room()) return false;
      --head_;
      move(head_, head_ + 1, before_it);
      items_[head_ + before_it] = m;
      return true;
    }
    if (items_.size() == items_.capacity() && head_ * 2 >= items_.size()) {  // else a moving window would grow for ever
      move(0, head_, size());
      items_.truncate(size());
      head_ = 0;
    }
    if (!items_.push(m)) return false;
    const std::size_t to = items_.size() - 1 - after_it;
    move(to + 1, to, after_it);
    items_[to] = m;
    return true;
  }
  /// False when it was not there.
  bool remove(member m) noexcept {
    const std::size_t at = place(m);
    if (at == items_.size() || !same(items_[at], m)) return false;
    const std::size_t before_it = at - head_;
    const std::size_t after_it = items_.size() - at - 1;
    if (before_it < after_it) {
      move(head_ + 1, head_, before_it);
      ++head_;
    } else {
      move(at, at + 1, after_it);
      items_.pop();
    }
    if (empty()) clear();
    return true;
  }
  /// Keeps the memory.
  void clear() noexcept {
    items_.clear();
    head_ = 0;
  }

 private:
  static bool less(const member& a, const member& b) noexcept {
    return a.sequence != b.sequence ? a.sequence < b.sequence : a.item < b.item;
  }
  static bool same(const member& a, const member& b) noexcept { return a.sequence == b.sequence && a.item == b.item; }
  /// The first member that is not less than `m`.
  [[nodiscard]] std::size_t place(const member& m) const noexcept {
    if (empty() || less(items_.back(), m)) return items_.size();
    if (!less(items_[head_], m)) return head_;
    if (same(items_.back(), m)) return items_.size() - 1;
    return first_not(head_ + 1, items_.size() - 1, [&](std::size_t i) { return less(items_[i], m); });
  }
  void move(std::size_t to, std::size_t from, std::size_t n) noexcept {
    if (n != 0) std::memmove(static_cast<void*>(items_.data() + to), items_.data() + from, n * sizeof(member));
  }
  /// Moves everything back by half its length: free of charge per insertion, as doubling is.
  [[nodiscard]] bool make_room() noexcept {
    const std::size_t n = items_.size();
    const std::size_t room = n / 2 + 1;
    if (items_.extend(room) == nullptr) return false;
    move(room, 0, n);
    head_ = static_cast<std::uint32_t>(room);
    return true;
  }
  vec<member, 1> items_;  ///< One at a time is usual, and needs no memory.
  std::uint32_t head_ = 0;
};

}  // namespace moql::detail
