#pragma once
/// How a relay is set up, what it bounds, and what it counts.

#include <cstddef>
#include <optional>
#include <string_view>

#include "../base/error.hpp"
#include "../base/time.hpp"
#include "../delivery/track_cache.hpp"
#include "ids.hpp"

namespace moql {

/// What a peer wants to do.
enum class relay_action : std::uint8_t { announce, subscribe, fetch, query };

/// The application's say in what a relay does: functions that are called from inside `relay::on_event` and must not
/// call the relay or a session. Null functions allow everything and know no tracks.
struct relay_hooks {
  void* context = nullptr;
  /// Whether a peer may do this. `track` is empty for `announce`. A refusal makes no request upstream.
  bool (*allows)(void* context, peer_id who, relay_action what, std::string_view path,
                 std::string_view track) noexcept = nullptr;
  /// The track of a broadcast that the application itself produces (`relay::announce`); null if there is none.
  track_cache* (*produced)(void* context, scope_id in, std::string_view path,
                           std::string_view track) noexcept = nullptr;
};

/// What all peers together may make a relay hold; each session bounds its own peer besides (`limits`).
struct relay_limits {
  std::size_t peers_max = 100'000;
  std::size_t routes_max = 100'000;  ///< Announcements of all peers.
  std::size_t routes_per_peer_max = 10'000;
  /// Tracks passed on at the same time. More are refused with NO_CAPACITY: a subscriber can look elsewhere.
  std::size_t tracks_max = 10'000;
  /// Of these, how many one peer may have made us ask for. A peer that walks through names cannot take them all.
  std::size_t tracks_per_peer_max = 1'000;
  std::size_t readers_max = 1'000'000;                     ///< Subscriptions that are served or wait, of all peers.
  std::size_t fetches_max = 1'000;                         ///< Fetches and questions that are on their way upstream.
  std::uint64_t cache_bytes_max = std::uint64_t{1} << 30;  ///< Payload of all tracks.
  std::uint64_t track_bytes_max = std::uint64_t{64} * 1024 * 1024;  ///< Payload of one track.
  std::uint32_t track_groups_max = 1024;
  /// Groups are kept no longer than this, however long their publisher allows.
  std::uint64_t cache_age_max_ms = 60'000;
};

/// Which Subscriber Priority a relay asks upstream with.
enum class upstream_priority : std::uint8_t {
  publisher,  ///< The track's Publisher Priority once it is known, as draft 06 section 6.1.1 has it (R-175).
  highest,    ///< The highest of its own subscribers, as the deployed relays do.
};

struct relay_options {
  std::uint64_t hop = 0;  ///< Our Hop ID: not 0, and the same in the `config` of every session.
  relay_limits caps{};
  relay_hooks hooks{};
  upstream_priority priority = upstream_priority::publisher;
  /// How long a track whose source is lost waits for another way to the same producer before its subscribers are reset.
  duration linger = seconds(3);
  /// How long a new source of a running track may take to answer before it is given up, and an old one to finish.
  duration move_timeout = seconds(5);
  std::uint64_t hash_seed = 0;  ///< Random, so that nobody can choose paths and names that collide.
};

/// How one peer is to be treated.
struct relay_peer_options {
  /// Peers of one scope see one another's broadcasts. None: a scope of its own, which nobody else is in.
  std::optional<scope_id> scope{};
  /// What using this link costs; none: what the peer's SETUP says (06).
  std::optional<std::uint64_t> link_cost{};
  /// Ask the peer what it has. Without it the peer only subscribes.
  bool discover = true;
};

/// Totals; nothing is ever taken off. Readers: `opened` is `closed` and what there is now; likewise the others.
struct relay_counters {
  std::uint64_t peers_joined{}, peers_left{};
  std::uint64_t readers_opened{};    ///< SUBSCRIBE requests that were not refused at once.
  std::uint64_t readers_closed{};    ///< For whatever reason.
  std::uint64_t requests_refused{};  ///< At once: not allowed, no route, no capacity.
  std::uint64_t tracks_opened{}, tracks_closed{};
  std::uint64_t sources_opened{}, sources_closed{};  ///< Subscriptions of ours.
  std::uint64_t groups_in{}, groups_aborted{}, groups_lost{};
  std::uint64_t bytes_in{};  ///< Payload, copies included.
  std::uint64_t copies_repeated{}, copies_conflicting{}, copies_refused{};
  std::uint64_t moves{};               ///< Tracks that went on from another source while the old one was there.
  std::uint64_t failovers{};           ///< Tracks that went on from another source after the old one was lost.
  std::uint64_t orphans{};             ///< Tracks whose subscribers were reset because there was no way to go on.
  std::uint64_t retries{};             ///< Second tries after NO_CAPACITY (R-091).
  std::uint64_t fetches{}, queries{};  ///< Passed on upstream.
  std::uint64_t routes_refused{};      ///< Not allowed, over a limit, or a loop.
};

}  // namespace moql
