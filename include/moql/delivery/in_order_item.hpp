#pragma once
/// What an `in_order_reader` hands out, why it passes groups over, and how it is set up.

#include <optional>
#include <variant>

#include "../base/bytes.hpp"
#include "../base/error.hpp"
#include "../base/time.hpp"

namespace moql {

inline constexpr duration for_ever{INT64_MAX};

/// Why a group, or the rest of one, is not handed out.
enum class skip : std::uint8_t {
  dropped,        ///< The publisher dropped it.
  before_start,   ///< The publisher starts above it.
  unaccounted,    ///< The subscription ended or forgot it, and nothing was heard of it.
  expired,        ///< Too old beside what has come since: `in_order_options::max_age_ms`.
  waited,         ///< `wait_max` passed.
  bytes_full,     ///< `bytes_max` is reached by what waits for it.
  groups_full,    ///< `groups_max` is reached by what waits for it.
  out_of_memory,  ///< There was no memory to keep it, or to wait for it.
  late,           ///< It came below the group that was handed out first.
  cut,            ///< With `whole_groups`: it began and did not become whole.
  ended,          ///< The subscription closed before it came.
};

struct in_order_options {
  /// How long a group that has not begun is waited for, from when the first later one began; and how long one that
  /// has begun may stand still while later ones wait. Not negative.
  duration wait_max = seconds(1);
  /// While no start is known: how long lower groups than the first to begin may still come. 0 begins with that.
  duration start_wait{};
  /// What may wait: payload and the bookkeeping of each part, exceeded by one part at most. A part shares the buffer
  /// that it lies in, and so keeps the whole of it.
  std::uint64_t bytes_max = 64 * 1024 * 1024;
  /// Groups, and ranges of lost groups, that may wait.
  std::uint32_t groups_max = 1024;
  /// Passes nothing of a group on before all of it is there; one that is cut is skipped as a whole. The current group
  /// then counts as what waits.
  bool whole_groups = false;
  /// Max Latency or Max Age of the subscription, judged by the rule of `ver`; without it nothing expires here.
  std::optional<std::uint64_t> max_age_ms{};
  version ver = lite06;
};

/// A group begins; its parts follow, then its end. Sequences only rise.
struct group_begins {
  std::uint64_t sequence{};
  std::uint64_t first_frame{};  ///< Frames before it are a gap (06).
};
/// A frame or a part of one, of the group that began last. Kept by copying it.
struct group_part {
  std::uint64_t sequence{};
  std::uint64_t frame{};
  std::uint64_t timestamp{};
  std::uint64_t size{};  ///< Of the whole frame.
  std::uint64_t offset{};
  bytes payload{};
};
struct group_ends {
  std::uint64_t sequence{};
  bool is_complete{};
  std::optional<skip> given_up{};  ///< Why its rest is not waited for; what comes of it later is dropped.
  errc why{};                      ///< Otherwise how its stream ended.
  std::uint64_t code{};            ///< The peer's, when it was reset.
};
/// Groups that are not handed out, both ends inclusive. They lie between the last group and the next, except for
/// those that turn out to have come before the first one.
struct groups_skipped {
  std::uint64_t first{}, last{};
  skip why{};
  errc error{};          ///< `cut`: how its stream ended.
  std::uint64_t code{};  ///< The peer's, if it sent one.
};
using in_order_item = std::variant<group_begins, group_part, group_ends, groups_skipped>;

}  // namespace moql
