#pragma once
/// Deadlines by slot number: the next one is at hand and nothing is ever swept.

#include <cstdint>

#include "../base/time.hpp"
#include "heap.hpp"

namespace moql {

class timers {
 public:
  explicit timers(memory m = {}) noexcept : heap_(m) {}

  /// Sets or moves the deadline of `id`; `never_due` cancels. False when memory ran out.
  [[nodiscard]] bool set(std::uint32_t id, instant when) noexcept {
    if (when == never_due) {
      heap_.erase(id);
    } else if (heap_.contains(id)) {
      heap_.update(id, when.us);
    } else {
      return heap_.push(id, when.us);
    }
    return true;
  }
  /// Nothing happens when `id` has no deadline.
  void cancel(std::uint32_t id) noexcept { heap_.erase(id); }
  /// `never_due` when there is no deadline.
  [[nodiscard]] instant next() const noexcept { return heap_.empty() ? never_due : instant{heap_.top().key}; }
  [[nodiscard]] bool has(std::uint32_t id) const noexcept { return heap_.contains(id); }
  [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }
  /// Takes the earliest deadline that is at or before `now`; false when there is none.
  [[nodiscard]] bool pop_due(instant now, std::uint32_t& id) noexcept {
    if (heap_.empty() || heap_.top().key > now.us) return false;
    id = heap_.top().id;
    heap_.erase(id);
    return true;
  }
  void clear() noexcept { heap_.clear(); }

 private:
  indexed_heap<std::int64_t> heap_;
};

}  // namespace moql
