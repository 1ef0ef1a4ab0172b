#pragma once
/// One amount of memory for the payload of many tracks. Draft 06 section 7.12: a publisher may drop groups before
/// their time when it runs short, the latest of a track never.

#include <cstdint>

#include "../base/compiler.hpp"

namespace moql {

class track_cache;

/// A group's place in the queue of those that may be evicted; part of the group.
struct budget_entry {
  budget_entry* before = nullptr;  ///< Null while it is not in the queue.
  budget_entry* after = nullptr;
  track_cache* home = nullptr;
};

/// Shared by the caches whose `track_options::budget` names it; must outlive them. All of them live on one thread at a
/// time. Payload bytes count, as they are appended; what a group costs besides is bounded by
/// `track_options::groups_max`.
///
/// What is held never exceeds `bytes_max`. When a write needs room, groups are evicted in the order in which they
/// became evictable: not the latest of their track, and not empty; it does not matter whether they are still being
/// written. When that would not be enough the write is refused with limit_reached, and nothing is evicted for it.
class cache_budget {
 public:
  explicit cache_budget(std::uint64_t bytes_max) noexcept : bytes_max_(bytes_max) {}
  cache_budget(const cache_budget&) = delete;
  cache_budget& operator=(const cache_budget&) = delete;
  ~cache_budget() { expects(bytes_held_ == 0 && queue_.after == &queue_); }

  [[nodiscard]] std::uint64_t bytes_max() const noexcept { return bytes_max_; }
  [[nodiscard]] std::uint64_t bytes_held() const noexcept { return bytes_held_; }
  /// Groups that had to go for this budget's sake.
  [[nodiscard]] std::uint64_t evictions() const noexcept { return evictions_; }

 private:
  friend class track_cache;
  struct ring : budget_entry {
    ring() noexcept { before = after = this; }
  };

  [[nodiscard]] static bool is_queued(const budget_entry& e) noexcept { return e.before != nullptr; }
  /// Whether `size` more bytes fit once all that is evictable has gone but `kept` bytes of it.
  [[nodiscard]] bool can_fit(std::uint64_t size, std::uint64_t kept) const noexcept {
    const std::uint64_t stays = bytes_held_ - evictable_ + kept;
    return stays <= bytes_max_ && size <= bytes_max_ - stays;
  }
  [[nodiscard]] bool fits(std::uint64_t size) const noexcept { return size <= bytes_max_ - bytes_held_; }
  /// The entry that has been evictable for longest, `keep` aside; null when there is none.
  [[nodiscard]] budget_entry* oldest(const budget_entry& keep) noexcept {
    budget_entry* e = queue_.after == &keep ? queue_.after->after : queue_.after;
    return e == &queue_ ? nullptr : e;
  }
  void queue(budget_entry& e, std::uint64_t size) noexcept {
    e.before = queue_.before;
    e.after = &queue_;
    queue_.before->after = &e;
    queue_.before = &e;
    evictable_ += size;
  }
  void grow(const budget_entry& e, std::uint64_t n) noexcept {
    bytes_held_ += n;
    if (is_queued(e)) evictable_ += n;
  }
  /// Gives back all of a group.
  void release(budget_entry& e, std::uint64_t size) noexcept {
    bytes_held_ -= size;
    if (!is_queued(e)) return;
    evictable_ -= size;
    e.before->after = e.after;
    e.after->before = e.before;
    e.before = e.after = nullptr;
  }

  std::uint64_t bytes_max_;
  std::uint64_t bytes_held_ = 0;
  std::uint64_t evictable_ = 0;  ///< Bytes of the queued groups.
  std::uint64_t evictions_ = 0;
  ring queue_;
};

}  // namespace moql
