#pragma once
/// Every cap of the library in one place, each with its reason. All are enforced before memory is taken.

#include <cstddef>
#include <cstdint>

#include "time.hpp"

namespace moql {

/// Caps that are part of a message's declaration: fixed, so that decoding needs no configuration.
inline constexpr std::size_t hops_max = 32;           ///< Longer chains are loops; the deployed stacks stop here too.
inline constexpr std::size_t path_segments_max = 32;  ///< As above; a path is split on every announcement.
inline constexpr std::size_t parameters_max = 64;   ///< SETUP parameters, checked pairwise for repeats: 64 bounds n^2.
inline constexpr std::size_t versions_max = 128;    ///< Offered versions; the deployed stacks stop here too.
inline constexpr std::size_t uri_bytes_max = 8192;  ///< GOAWAY New Session URI, draft 06 section 7.18.
inline constexpr std::size_t datagram_bytes_max = 1200;  ///< Whole datagram body, draft 06 section 6.4.
/// 01 and 02 carry a subscription's priority as a varint, which deployed peers read as one byte.
inline constexpr std::uint8_t priority_max_before_03 = 63;
/// The maximum age of what shall never expire: larger numbers lose bits in peers whose numbers are doubles.
inline constexpr std::uint64_t for_ever_ms = (std::uint64_t{1} << 53) - 1;

/// What one peer may make us hold. Set when a session is made; counts are per session unless they say otherwise.
struct limits {
  /// One control message's body. A subscriber's path and name fit many times over; above it a length is an attack.
  std::size_t message_bytes_max = 64 * 1024;
  /// ANNOUNCE_INIT lists every broadcast of a prefix in one message.
  std::size_t announce_init_bytes_max = 1024 * 1024;
  /// Payload of one frame. Checked on the length prefix alone; the payload itself is never gathered.
  std::uint64_t frame_bytes_max = 32 * 1024 * 1024;
  /// Announcements we keep per Announce stream that we opened, and announcements of our own.
  std::size_t announcements_max = 10'000;
  /// Announce streams that the peer may have open.
  std::size_t announce_streams_max = 64;
  /// Subscriptions that the peer may have open.
  std::size_t subscriptions_max = 1'000;
  /// Track, Fetch and Probe requests that the peer may have open together.
  std::size_t requests_max = 1'000;
  /// Streams of the peer's on which not even a type has arrived, or a group header is missing.
  std::size_t unidentified_streams_max = 1'000;
  /// Bytes of chunks that wait in the session because the application has not drained events. And 64 times as many as
  /// there are chunks, for tiny ones take more than they hold.
  std::size_t buffered_bytes_max = 64 * 1024 * 1024;
  /// Gaps remembered per subscription; beyond it the oldest gap is reported as lost at once.
  std::size_t gaps_max = 256;
  /// Control bytes that wait for a peer that does not read. Beyond it an Announce stream is reset; on any other the
  /// session ends, for what is missing there cannot be made up for.
  std::size_t control_backlog_bytes_max = 1024 * 1024;
  /// Payload that may arrive in a group while the peer does not read it; beyond it that group is reset
  /// (TOO_FAR_BEHIND). Nothing is held for a slow reader but a place in the cache; this bounds how stale that gets.
  std::uint64_t behind_bytes_max = 16 * 1024 * 1024;
  /// Reason text of a session close, in bytes; longer text is cut.
  std::size_t reason_bytes_max = 1024;
  /// Distinct tracks whose TRACK_INFO is remembered.
  std::size_t track_infos_max = 1'000;
  /// Datagrams that wait for the transport; more are dropped, which is what datagrams are for.
  std::size_t datagrams_max = 64;

  /// How long the peer may take to open the session (01, 02) or to send its SETUP (05, 06).
  duration setup_timeout = seconds(10);
  /// How long a request of ours may stay without any answer; 0 waits for ever. Publishers may withhold SUBSCRIBE_OK
  /// on a live track, so this does not apply to subscriptions that have TRACK_INFO or that the peer has accepted.
  duration request_timeout = seconds(30);
  /// How long a stream may stay without its type and first message.
  duration header_timeout = seconds(10);
  /// How long a subscription waits for groups that were overtaken by the end of its Subscribe stream.
  duration straggler_timeout = seconds(1);
};

}  // namespace moql
