#pragma once
/// How important a stream is, as numbers for whoever sorts streams itself: a QUIC stack that takes hints, RFC 9218, a
/// stack with a few levels. Pure functions; all of them keep the order. Draft 06 section 6.1.

#include <cstddef>
#include <cstdint>
#include <span>

#include "../base/search.hpp"

namespace moql {

/// Which group of one track goes first. 06 is always newest first; 03 to 05 carry the choice (Ordered).
enum class group_order : std::uint8_t { newest_first, oldest_first };

/// Both priorities as one number, larger first: the publisher's decides only between equal wishes.
[[nodiscard]] constexpr std::uint16_t rank_of(std::uint8_t subscriber_priority,
                                              std::uint8_t publisher_priority) noexcept {
  return static_cast<std::uint16_t>(subscriber_priority << 8 | publisher_priority);
}

/// What a stack knows of a control stream: it is told nothing, and this is the default.
inline constexpr std::int32_t control_hint = 0;

/// The hint for the stream of a group, larger first: priorities, then the place in its track. It is always below
/// `control_hint`: nobody may wait for SUBSCRIBE_OK behind the groups that need it. Of the sequence 14 bits count, so
/// once in 16,384 groups the neighbours of one track that are on their way together are told in the wrong order.
[[nodiscard]] constexpr std::int32_t group_hint(std::uint8_t subscriber_priority, std::uint8_t publisher_priority,
                                                group_order order, std::uint64_t sequence) noexcept {
  const std::uint32_t rank = rank_of(subscriber_priority, publisher_priority);
  const auto low = static_cast<std::uint32_t>(sequence & 0x3fff);
  const std::uint32_t place = order == group_order::oldest_first ? 0x3fff - low : low;
  return static_cast<std::int32_t>(rank << 14 | place) - (1 << 30);
}

/// A hint for a stack with `levels` levels, 0 being the most urgent. Control has level 0 for itself if there are two;
/// the priorities share the others evenly, so near priorities may become one level. `levels` is at least 1.
[[nodiscard]] constexpr std::uint32_t level_of(std::int32_t hint, std::uint32_t levels) noexcept {
  if (hint >= control_hint || levels < 2) return 0;
  constexpr std::int64_t lowest = -(std::int64_t{1} << 30);
  const auto below = static_cast<std::uint64_t>(-1 - (hint < lowest ? lowest : std::int64_t{hint}));  // 30 bits
  return 1 + static_cast<std::uint32_t>(below * (levels - 1) >> 30);
}

/// The same by rank among the ranks that are in use, so that a few priorities stay apart however near they are. The
/// least important ones share the last level if there are too many. `in_use`: different ranks, falling; a rank that is
/// not among them gets the level of the next lower one.
[[nodiscard]] constexpr std::uint32_t level_among(std::uint16_t rank, std::span<const std::uint16_t> in_use,
                                                  std::uint32_t levels) noexcept {
  if (levels < 2) return 0;
  const std::size_t above = first_not(0, in_use.size(), [&](std::size_t i) { return in_use[i] > rank; });
  return above + 1 < levels ? static_cast<std::uint32_t>(above + 1) : levels - 1;
}

/// RFC 9218 section 4: `level` is the urgency, 0 to 7, 0 first; `incremental` streams of one urgency share the
/// connection, the others go one after another by stream id.
struct urgency {
  std::uint8_t level;
  bool incremental;
  friend bool operator==(const urgency&, const urgency&) = default;
};
/// Groups of one urgency share: by stream id the oldest would go first, which only `oldest_first` wants. Control
/// streams say little and keep their order.
[[nodiscard]] constexpr urgency urgency_of(std::int32_t hint, group_order order) noexcept {
  return {static_cast<std::uint8_t>(level_of(hint, 8)), hint < control_hint && order == group_order::newest_first};
}

}  // namespace moql
