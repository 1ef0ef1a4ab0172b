#pragma once
/// Time as equals share it: for each pair of priorities in use, how many bytes a flow has had that never paused.

#include <cstddef>
#include <cstdint>

#include "../base/index.hpp"
#include "../base/vec.hpp"

namespace moql::detail {

/// Start-time fair queuing, with bytes for time. A flow carries the time at which its next write starts, and the least
/// goes first; a write of n bytes moves its flow on by n. `now` is the start of the write that was served last: who
/// comes back from a pause is next, but starts there, so nothing is owed for it. `last` is the furthest anyone has
/// come: who is new starts there, so a stream of newcomers starves nobody. The two are never further apart than one
/// write.
///
/// Each level has a clock of its own, because levels get on independently: with one clock for all, a flow that has
/// waited below would be years behind, or ahead of, whoever joins it there.
class levels {
 public:
  static constexpr std::uint64_t time_max = (std::uint64_t{1} << 48) - 1;
  static constexpr std::uint64_t write_max = std::uint64_t{1} << 46;  ///< Larger ones count as this.

  struct level {
    std::uint64_t now = 0;
    std::uint64_t last = 0;
    std::uint32_t flows = 0;
    std::uint32_t next_free = slot_index::none;
    std::uint16_t rank = 0;
  };

  /// `first` is where every clock begins; only tests have a reason to give it.
  levels(memory m, std::uint64_t first) noexcept : levels_(m), index_(m), first_(first & time_max) {
    expects(levels_.push({.now = first_, .last = first_}));  // there is room inside
  }

  /// One flow more at these priorities; the level's number, good for `leave`. Cannot fail: without memory the flow
  /// shares one clock with all who found none, which may cost it its fair share but nothing else.
  [[nodiscard]] std::uint32_t join(std::uint16_t rank) noexcept {
    std::uint32_t at = index_.find(rank);
    if (at == slot_index::none) at = make(rank);
    ++levels_[at].flows;
    return at;
  }
  void leave(std::uint32_t at) noexcept {
    level& l = levels_[at];
    if (--l.flows != 0 || at == common) return;
    index_.erase(l.rank);
    l.next_free = free_;
    free_ = at;
  }
  [[nodiscard]] level& operator[](std::uint32_t at) noexcept { return levels_[at]; }
  [[nodiscard]] const level& operator[](std::uint32_t at) const noexcept { return levels_[at]; }

 private:
  static constexpr std::uint32_t common = 0;
  static constexpr std::size_t numbers_max = 0x10000;  // a flow has 16 bits for one

  [[nodiscard]] std::uint32_t make(std::uint16_t rank) noexcept {
    if (free_ == slot_index::none) {
      if (levels_.size() == numbers_max || !levels_.push({})) return common;
      free_ = static_cast<std::uint32_t>(levels_.size() - 1);
    }
    const std::uint32_t at = free_;
    if (!index_.insert(rank, at)) return common;
    free_ = levels_[at].next_free;
    levels_[at] = {.now = first_, .last = first_, .rank = rank};
    return at;
  }
  vec<level, 1> levels_;
  slot_index index_;
  std::uint64_t first_;
  std::uint32_t free_ = slot_index::none;
};

}  // namespace moql::detail
