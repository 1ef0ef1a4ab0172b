#pragma once
/// A set of 64-bit numbers kept as closed intervals: which groups of a track have been seen or are accounted for.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "../base/search.hpp"
#include "../base/vec.hpp"

namespace moql {

/// From `first` to `last`, both included.
struct interval {
  std::uint64_t first{};
  std::uint64_t last{};
  friend constexpr bool operator==(interval, interval) noexcept = default;
};

/// Sorted, never overlapping and never touching, so a track without gaps is one interval however long it runs.
class ranges {
 public:
  explicit ranges(memory m = {}) noexcept : items_(m) {}

  /// Adds first..last. False when memory ran out or first > last; the set is unchanged then.
  [[nodiscard]] bool add(std::uint64_t first, std::uint64_t last) noexcept {
    if (first > last) return false;
    if (items_.empty()) return items_.push({first, last});
    interval& newest = items_.back();
    if (first >= newest.first) {  // nearly always: numbers arrive in rising order
      if (newest.last == top || first <= newest.last + 1) {
        if (last > newest.last) newest.last = last;
        return true;
      }
      return items_.push({first, last});
    }
    const std::size_t from = touching(first);  // the lowest interval that overlaps first..last or touches it
    std::size_t to = from;
    while (to < items_.size() && (last == top || items_[to].first <= last + 1)) ++to;
    if (from == to) return items_.insert(from, {first, last});
    interval& kept = items_[from];
    if (first < kept.first) kept.first = first;
    const std::uint64_t end = items_[to - 1].last;
    kept.last = end > last ? end : last;
    if (to - from > 1) items_.erase(from + 1, to - from - 1);
    return true;
  }
  /// Takes one number out. False when memory ran out; the set is unchanged then.
  [[nodiscard]] bool remove(std::uint64_t v) noexcept {
    const std::size_t i = at_or_after(v);
    if (i == items_.size() || items_[i].first > v) return true;
    const interval had = items_[i];
    if (had.first != v && had.last != v) {
      if (!items_.insert(i, {had.first, v - 1})) return false;
      items_[i + 1].first = v + 1;
    } else if (had.first == had.last) {
      items_.erase(i);
    } else {
      had.first == v ? ++items_[i].first : --items_[i].last;
    }
    return true;
  }
  [[nodiscard]] bool has(std::uint64_t v) const noexcept { return covers(v, v); }
  /// Whether every number of first..last is in the set. False when first > last.
  [[nodiscard]] bool covers(std::uint64_t first, std::uint64_t last) const noexcept {
    const std::size_t i = at_or_after(first);
    return first <= last && i < items_.size() && items_[i].first <= first && last <= items_[i].last;
  }
  /// The lowest number >= `from` that is not in the set; none when there is no such number below 2^64.
  [[nodiscard]] std::optional<std::uint64_t> first_missing(std::uint64_t from) const noexcept {
    const std::size_t i = at_or_after(from);
    if (i == items_.size() || items_[i].first > from) return from;
    if (items_[i].last == top) return {};
    return items_[i].last + 1;
  }
  /// Calls f(gap_first, gap_last) for every longest run of absent numbers inside first..last, rising.
  template <class F>
  void for_each_gap(std::uint64_t first, std::uint64_t last, F&& f) const {
    for (std::size_t i = at_or_after(first); first <= last; ++i) {
      if (i == items_.size() || items_[i].first > last) {
        f(first, last);
        return;
      }
      if (items_[i].first > first) f(first, items_[i].first - 1);
      if (items_[i].last >= last) return;
      first = items_[i].last + 1;
    }
  }
  /// Gives the lowest gap up for lost, so that memory stays bounded: joins the two lowest intervals and returns the
  /// gap between them; none when there is no gap.
  std::optional<interval> close_oldest_gap() noexcept {
    if (items_.size() < 2) return {};
    const interval gap{items_[0].last + 1, items_[1].first - 1};
    items_[1].first = items_[0].first;
    items_.erase(0);
    return gap;
  }
  /// Removes the lowest interval and returns it; none when the set is empty.
  std::optional<interval> take_lowest() noexcept {
    if (items_.empty()) return {};
    const interval lowest = items_[0];
    items_.erase(0);
    return lowest;
  }
  /// Keeps the memory.
  void clear() noexcept { items_.clear(); }

  /// Intervals, that is gaps + 1.
  [[nodiscard]] std::size_t count() const noexcept { return items_.size(); }
  [[nodiscard]] bool empty() const noexcept { return items_.empty(); }
  [[nodiscard]] std::span<const interval> view() const noexcept { return items_.view(); }
  [[nodiscard]] std::optional<std::uint64_t> lowest() const noexcept {
    return items_.empty() ? std::nullopt : std::optional(items_[0].first);
  }
  [[nodiscard]] std::optional<std::uint64_t> highest() const noexcept {
    return items_.empty() ? std::nullopt : std::optional(items_.back().last);
  }

 private:
  static constexpr std::uint64_t top = ~std::uint64_t{0};  // nothing may be added to it
  /// The lowest interval that ends at `v` or later.
  [[nodiscard]] std::size_t at_or_after(std::uint64_t v) const noexcept {
    return first_not(0, items_.size(), [&](std::size_t i) { return items_[i].last < v; });
  }
  [[nodiscard]] std::size_t touching(std::uint64_t first) const noexcept {
    return at_or_after(first == 0 ? 0 : first - 1);
  }
  vec<interval, 1> items_;  // a track without gaps needs no memory
};

}  // namespace moql
