#pragma once
/// What a session has moved and what it gave up, for whoever watches it.

#include <cstdint>

namespace moql {

/// Totals since the session was made; nothing is ever taken off. What a publisher opens it finishes, gives up for one
/// of the reasons below, or still has: `groups_opened` is the sum of all others and of what is on its way.
struct session_counters {
  std::uint64_t bytes_in{};   ///< On streams, everything.
  std::uint64_t bytes_out{};  ///< On streams, everything.
  std::uint64_t datagrams_in{};
  std::uint64_t datagrams_out{};
  std::uint64_t groups_in{};        ///< Group streams and datagrams that began to arrive for a subscription of ours.
  std::uint64_t groups_opened{};    ///< Group streams of ours.
  std::uint64_t groups_finished{};  ///< Written to their end.
  std::uint64_t groups_aborted{};   ///< Their writer gave them up, or they were shorter than what was asked for.
  std::uint64_t groups_evicted{};   ///< The cache dropped them.
  std::uint64_t groups_behind{};    ///< The peer did not read them fast enough (TOO_FAR_BEHIND).
  std::uint64_t groups_expired{};   ///< Past the subscriber's Max Age.
  std::uint64_t groups_unwanted{};  ///< Stopped by the peer, moved out of its range, or its request ended.
  std::uint64_t groups_unopened{};  ///< Never got a stream, for any of these reasons; in none of the others.
};

/// Embedded in whoever drives many sessions. `wake` is called when a session that had nothing to write gets something
/// from outside its own inputs and commands: a cache that it serves has changed. Then not again until it was pumped.
struct output_listener {
  void (*wake)(output_listener*) noexcept = nullptr;
};

}  // namespace moql
