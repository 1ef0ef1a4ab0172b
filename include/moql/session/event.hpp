#pragma once
/// What the application hears. Views and spans in an event are valid until the next call on the session; `bytes` may
/// be kept by copying them.

#include <span>
#include <variant>

#include "../message/subscribe.hpp"
#include "../message/track.hpp"
#include "../stream/frame_reader.hpp"
#include "config.hpp"

namespace moql {

// ---- the session

/// The version is agreed and requests travel.
struct connected {
  version ver{};
};
/// The peer's SETUP (05, 06), or what CLIENT_SETUP said (01, 02, in practice).
struct peer_setup {
  std::optional<std::string_view> path{};  ///< Server only. Not recognised? Close the session (R-035).
  intent role{};                           ///< Server only; never widens what the client may do (R-040).
  probe_level probe{};
  std::uint64_t cost{1};
  std::uint64_t hop{};
};
/// An estimate of the connection from the peer (PROBE, or SESSION_UPDATE on 01 and 02), or the bitrate it aims at.
struct bandwidth {
  bool is_target{};         ///< A subscriber's wish, not a measurement.
  std::uint64_t bitrate{};  ///< Bits per second; 0 is unknown.
  std::uint64_t rtt_ms{};   ///< 0 is unknown.
};
/// The Hop ID that the peer keeps out of what it asks for (04, 05): its own, in practice. On 06 it is in `peer_setup`.
struct hop_declared {
  std::uint64_t hop{};  ///< Not 0.
};
/// The peer answers our Probe stream no longer, or never did.
struct probe_closed {
  errc why{};
  std::uint64_t code{};
};
/// The peer drains: no new streams. A URI must be validated before it is used.
struct goaway_received {
  std::string_view uri{};
};
/// The peer ended its Goaway stream: it is ready to terminate the session.
struct goaway_finished {};
/// The last event of a session.
struct session_closed {
  errc why{};  ///< ok: closed on purpose, by either side.
  bool by_peer{};
  std::uint64_t code{};  ///< Session space.
  std::string_view reason{};
};

// ---- discovery

/// A broadcast (01 to 05) or a route (06) is available.
struct announced {
  interest_id interest{};
  std::string_view prefix{}, suffix{};
  std::string_view path{};                ///< Prefix and suffix joined.
  std::span<const std::uint64_t> hops{};  ///< Origin first, the peer last; 0 is unknown.
  std::uint64_t warm{}, cold{};           ///< As announced; add the link's cost.
};
/// Other hops or costs for an announced path; what is in flight is not disturbed.
struct announce_updated : announced {};
/// It is no longer available. Running subscriptions go on to their own end.
struct announce_ended {
  interest_id interest{};
  std::string_view prefix{}, suffix{}, path{};
};
/// Everything that was there at the start has been reported (not on 03 and 04, which do not say).
struct announced_all {
  interest_id interest{};
  std::uint64_t count{};
};
/// The Announce stream ended; every entry was reported as ended before.
struct interest_closed {
  interest_id interest{};
  errc why{};
  std::uint64_t code{};
};

// ---- our subscriptions

/// The publisher accepted.
struct subscription_started {
  subscription_id subscription{};
  std::optional<std::uint64_t> group{};              ///< The first group that will be delivered, if it is known by now.
  std::uint64_t frame{};                             ///< Its first frame: the one that was asked for, or 0 (06).
  std::optional<std::uint8_t> publisher_priority{};  ///< 01, 03, 04.
};
/// The track's fixed properties (05, 06); comes before any frame.
struct track_known {
  subscription_id subscription{};
  msg::track_info info{};
};
struct group_started {
  subscription_id subscription{};
  std::uint64_t group{};
  std::uint64_t first_frame{};  ///< Frames before it are a gap on this stream (06).
};
/// A frame or a part of one. `payload` is a slice of the buffer that the transport gave.
struct frame_part {
  subscription_id subscription{};
  std::uint64_t group{};
  std::uint64_t frame{};      ///< Index in the group.
  std::uint64_t timestamp{};  ///< In the track's timescale; 0 before 05.
  std::uint64_t size{};       ///< Of the whole frame.
  std::uint64_t offset{};
  bytes payload{};
  [[nodiscard]] bool is_last() const noexcept { return offset + payload.size() == size; }
};
struct group_finished {
  subscription_id subscription{};
  std::uint64_t group{};
  errc why{};            ///< ok: complete. Otherwise cut, reset or malformed; delivered frames stay good.
  std::uint64_t code{};  ///< The peer's, when it was reset.
};
/// A whole group of one frame that came as a datagram.
struct datagram_received {
  subscription_id subscription{};
  std::uint64_t group{};
  std::uint64_t timestamp{};
  bytes payload{};
};
enum class loss : std::uint8_t {
  dropped,      ///< The publisher said so (SUBSCRIBE_DROP).
  skipped,      ///< The publisher started above what was asked for.
  unaccounted,  ///< The subscription ended and nothing was heard of them.
};
/// Groups that will not come, both ends inclusive.
struct groups_lost {
  subscription_id subscription{};
  std::uint64_t first{}, last{};
  loss how{};
  std::uint64_t code{};
};
/// No group at or above `end` will come (05, 06).
struct subscription_end_known {
  subscription_id subscription{};
  std::uint64_t end{};
};
struct subscription_closed {
  subscription_id subscription{};
  errc why{};  ///< ok: every group is accounted for.
  std::uint64_t code{};
};

// ---- our fetches and questions

struct fetch_part {
  fetch_id fetch{};
  std::uint64_t frame{}, timestamp{}, size{}, offset{};
  bytes payload{};
  [[nodiscard]] bool is_last() const noexcept { return offset + payload.size() == size; }
};
struct fetch_closed {
  fetch_id fetch{};
  errc why{};
  std::uint64_t code{};
};
struct track_answered {
  track_query_id query{};
  errc why{};
  std::uint64_t code{};
  msg::track_info info{};
};

// ---- the peer's requests: answer each with `serve` or `reject`

struct subscribe_requested {
  request_id request{};
  std::string_view broadcast{}, track{};
  msg::delivery want{};
};
struct subscribe_updated {
  request_id request{};
  msg::delivery want{};
};
struct track_requested {
  request_id request{};
  std::string_view broadcast{}, track{};
};
struct fetch_requested {
  request_id request{};
  std::string_view broadcast{}, track{};
  std::uint8_t priority{};
  std::uint64_t group{};
  std::uint64_t frame_start{};
  std::optional<std::uint64_t> frame_end{};
};
/// A request is over: answered to its end, withdrawn by the peer, or lost. The handle is stale from here on.
struct request_closed {
  request_id request{};
  errc why{};  ///< ok: answered or left in order.
  std::uint64_t code{};
};

using event =
    std::variant<connected, peer_setup, hop_declared, bandwidth, probe_closed, goaway_received, goaway_finished,
                 session_closed, announced, announce_updated, announce_ended, announced_all, interest_closed,
                 subscription_started, track_known, group_started, frame_part, group_finished, datagram_received,
                 groups_lost, subscription_end_known, subscription_closed, fetch_part, fetch_closed, track_answered,
                 subscribe_requested, subscribe_updated, track_requested, fetch_requested, request_closed>;

/// For std::visit: one function out of several lambdas.
template <class... F>
struct overload : F... {
  using F::operator()...;
};
template <class... F>
overload(F...) -> overload<F...>;

}  // namespace moql
