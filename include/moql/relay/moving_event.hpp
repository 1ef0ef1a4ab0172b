#pragma once
/// What a `moving_subscription` is told and what it tells.

#include "../session/event.hpp"

namespace moql {

struct moving_options {
  /// How long the old and the next session may serve side by side. Then the old one is left or, when the next one has
  /// said nothing at all, the next.
  duration overlap_max = seconds(10);
  /// How long a subscription without any session waits for a next one.
  duration resume_max = seconds(30);
  /// How long to wait for groups below the first one seen, where the version does not say where it begins.
  duration straggler_max = seconds(1);
  /// Groups under way and gaps that are remembered; beyond them the oldest is given up, and said so.
  std::size_t groups_max = 1024;
  std::size_t gaps_max = 256;
  /// What the events of this subscription carry as their `subscription`, whichever session they come from.
  subscription_id name{};
};

/// The next session did not take the subscription over. If the old one lives it goes on alone.
struct move_failed {
  subscription_id subscription{};
  errc why{};
  std::uint64_t code{};
};
/// The subscription is on its new session alone.
struct moved {
  subscription_id subscription{};
};
/// The session died. `move_to` another one before `moving_options::resume_max` passes.
struct interrupted {
  subscription_id subscription{};
};

using moving_event =
    std::variant<subscription_started, track_known, group_started, frame_part, group_finished, datagram_received,
                 groups_lost, subscription_end_known, subscription_closed, move_failed, moved, interrupted>;

struct moving_counts {
  std::uint64_t bytes_repeated{};     ///< Payload that came again and was left away.
  std::uint64_t parts_ahead{};        ///< Parts that could not be joined to what was there.
  std::uint64_t parts_conflicting{};  ///< Parts of a frame that two publishers size differently.
};

}  // namespace moql
