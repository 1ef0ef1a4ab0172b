#pragma once
/// Where a reader stands in a track: what it has of every group, so that it can go on elsewhere and hear nothing twice.
///
/// Groups that are over, by their end or by being lost, are one set of intervals; of the others it is known how many
/// frames are whole and how much there is of the next. Within a group the reader goes forward without holes: what
/// comes from several places is put together by index (draft 06 section 6.3.2), and only what extends it is new.

#include "../base/error.hpp"
#include "../base/search.hpp"
#include "ranges.hpp"

namespace moql {

/// A place between two frames: `frames` of `group` are whole. Where an abutting subscription starts.
struct track_place {
  std::uint64_t group{};
  std::uint64_t frames{};
  bool has_begun{};     ///< Something of the group has come; only then may a frame of it be named (R-109).
  bool is_mid_frame{};  ///< A part of frame `frames` has come as well.
  friend constexpr bool operator==(const track_place&, const track_place&) noexcept = default;
};

/// What a part of a frame is to a reader.
enum class part_kind : std::uint8_t {
  fresh,        ///< From `had` on it is new.
  repeated,     ///< All of it was there already.
  ahead,        ///< Something before it is missing.
  conflicting,  ///< It belongs to a frame of another size than the one that has begun.
};
struct part_verdict {
  part_kind kind{};
  std::uint64_t had{};        ///< Leading bytes of the part that are not new.
  std::uint64_t timestamp{};  ///< Of the frame, as its first part said.
};

class positions {
 public:
  /// Of a group: `below` is one before the first that is wanted.
  enum class standing : std::uint8_t { unknown, begun, over, below };

  /// At most `begun_max` groups that are not over and `gaps_max` gaps are remembered.
  explicit positions(memory m = {}, std::size_t begun_max = 1024, std::size_t gaps_max = 256) noexcept
      : begun_(m), over_(m), begun_max_(begun_max), gaps_max_(gaps_max) {}

  /// The first group that is wanted, and its first frame. Groups below count as over.
  void start_at(std::uint64_t group, std::uint64_t frame = 0) noexcept {
    start_ = group;
    start_frame_ = frame;
  }
  [[nodiscard]] std::optional<std::uint64_t> start() const noexcept { return start_; }

  [[nodiscard]] standing of(std::uint64_t group) const noexcept {
    if (start_ && group < *start_) return standing::below;
    if (over_.has(group)) return standing::over;
    const std::size_t i = at_or_after(group);
    return i < begun_.size() && begun_[i].group == group ? standing::begun : standing::unknown;
  }
  /// A group of standing `unknown` begins with frame `first`. limit_reached: give the lowest up first.
  [[nodiscard]] errc begin(std::uint64_t group, std::uint64_t first = 0) noexcept {
    if (of(group) != standing::unknown) return errc::wrong_state;
    if (begun_.size() >= begun_max_) return errc::limit_reached;
    return begun_.insert(at_or_after(group), {.group = group, .frames = first}) ? errc::ok : errc::out_of_memory;
  }
  /// Takes a part of `length` bytes at `offset` of a frame of `size` bytes, and goes on behind it if it is fresh. Of
  /// a group that is not `begun` everything is repeated.
  [[nodiscard]] part_verdict take(std::uint64_t group, std::uint64_t frame, std::uint64_t timestamp, std::uint64_t size,
                                  std::uint64_t offset, std::uint64_t length) noexcept {
    standing_of* g = find(group);
    if (g == nullptr || frame < g->frames) return {part_kind::repeated, length, timestamp};
    if (frame > g->frames) return {part_kind::ahead, 0, timestamp};
    if (g->is_mid_frame && size != g->size) return {part_kind::conflicting, 0, timestamp};
    if (offset > g->bytes) return {part_kind::ahead, 0, timestamp};
    if (g->is_mid_frame) timestamp = g->timestamp;
    if (size != 0 && length <= g->bytes - offset) return {part_kind::repeated, length, timestamp};
    const std::uint64_t had = g->bytes - offset;
    g->bytes = offset + length;
    g->size = size;
    g->timestamp = timestamp;
    g->is_mid_frame = g->bytes < size;
    if (!g->is_mid_frame) {
      ++g->frames;
      g->bytes = 0;
    }
    return {part_kind::fresh, had, timestamp};
  }
  /// Goes on with a later frame of a group that has begun; what lies before it is given up.
  void jump(std::uint64_t group, std::uint64_t frame) noexcept {
    if (standing_of* g = find(group); g != nullptr && frame > g->frames) *g = {.group = group, .frames = frame};
  }
  /// Nothing more is wanted of first..last. False when memory ran out.
  [[nodiscard]] bool finish(std::uint64_t first, std::uint64_t last) noexcept {
    if (!over_.add(first, last)) return false;
    const std::size_t from = at_or_after(first);
    std::size_t to = from;
    while (to < begun_.size() && begun_[to].group <= last) ++to;
    if (to != from) begun_.erase(from, to - from);
    return true;
  }
  /// The lowest gap, when there are more than may be remembered: to be told as lost and finished.
  [[nodiscard]] std::optional<interval> surplus_gap() const noexcept {
    if (over_.count() <= gaps_max_) return {};
    return interval{over_.view()[0].last + 1, over_.view()[1].first - 1};
  }

  /// Where to go on: the lowest group that is not over. None while nothing is known.
  [[nodiscard]] std::optional<track_place> place() const noexcept {
    const auto low = start_ ? start_ : lowest();
    if (!low) return {};
    const auto group = over_.first_missing(*low);
    if (!group) return {};
    if (const standing_of* g = find(*group)) return track_place{*group, g->frames, true, g->is_mid_frame};
    return track_place{*group, start_ == group ? start_frame_ : 0, false, false};
  }
  /// The lowest group at or above `group` that has begun and is not over.
  [[nodiscard]] std::optional<std::uint64_t> begun_from(std::uint64_t group) const noexcept {
    const std::size_t i = at_or_after(group);
    return i == begun_.size() ? std::nullopt : std::optional(begun_[i].group);
  }
  /// The lowest group that anything is known of.
  [[nodiscard]] std::optional<std::uint64_t> lowest() const noexcept {
    const auto low = over_.lowest();
    return begun_.empty() || (low && *low < begun_[0].group) ? low : std::optional(begun_[0].group);
  }
  /// Calls f(first, last) for every longest run of groups in first..last that are not over, rising. `f` may not finish
  /// any.
  template <class F>
  void for_each_missing(std::uint64_t first, std::uint64_t last, F&& f) const {
    if (start_ && first < *start_) first = *start_;
    over_.for_each_gap(first, last, f);
  }
  [[nodiscard]] bool is_over(std::uint64_t first, std::uint64_t last) const noexcept {
    bool all = true;
    for_each_missing(first, last, [&](std::uint64_t, std::uint64_t) { all = false; });
    return all;
  }
  [[nodiscard]] std::size_t groups_begun() const noexcept { return begun_.size(); }

 private:
  struct standing_of {
    std::uint64_t group{};
    std::uint64_t frames{};     ///< Whole ones.
    std::uint64_t bytes{};      ///< Of the next one.
    std::uint64_t size{};       ///< Of the next one, once a part of it is there.
    std::uint64_t timestamp{};  ///< As above.
    bool is_mid_frame{};
  };
  [[nodiscard]] std::size_t at_or_after(std::uint64_t group) const noexcept {
    return first_not(0, begun_.size(), [&](std::size_t i) { return begun_[i].group < group; });
  }
  [[nodiscard]] const standing_of* find(std::uint64_t group) const noexcept {
    const std::size_t i = at_or_after(group);
    return i < begun_.size() && begun_[i].group == group ? &begun_[i] : nullptr;
  }
  [[nodiscard]] standing_of* find(std::uint64_t group) noexcept {
    return const_cast<standing_of*>(static_cast<const positions*>(this)->find(group));
  }

  vec<standing_of> begun_;  ///< Sorted by group.
  ranges over_;
  std::optional<std::uint64_t> start_{};
  std::uint64_t start_frame_ = 0;
  std::size_t begun_max_;
  std::size_t gaps_max_;
};

}  // namespace moql
