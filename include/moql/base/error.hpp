#pragma once
/// What can go wrong, whose fault it is, and what is then sent: one table.

#include <array>
#include <cstdint>
#include <string_view>

#include "version.hpp"

namespace moql {

/// Codes that close a session: draft 06 section 4.4.1. They are sent on every version, the earlier drafts name none.
enum class session_code : std::uint64_t {
  no_error = 0x0,
  internal_error = 0x1,
  unauthorized = 0x2,
  protocol_violation = 0x3,
  key_value_formatting_error = 0x6,
  goaway_timeout = 0x10,
  control_message_timeout = 0x11,
  version_negotiation_failed = 0x15,
};

/// Codes that reset or stop a stream: draft 06 section 4.4.2. A space of their own; 64 and above are the application's.
enum class stream_code : std::uint64_t {
  internal_error = 0x0,
  cancelled = 0x1,
  delivery_timeout = 0x2,
  session_closed = 0x3,
  going_away = 0x4,
  too_far_behind = 0x5,
  malformed_track = 0x12,
  no_capacity = 0x30,
  control_timeout = 0x31,
  group_too_large = 0x32,
  not_found = 0x33,
  old = 0x34,
  evicted = 0x35,
  unroutable = 0x36,
  wrong_size = 0x37,
  frame_too_large = 0x38,
  timestamp_mismatch = 0x39,
  unauthorized = 0x3a,  ///< Not in 06 but assigned since, and what the deployed relays send.
};

/// Its name in the draft; empty for a code that the draft does not name.
[[nodiscard]] constexpr std::string_view name_of(session_code c) noexcept {
  switch (c) {
    case session_code::no_error: return "NO_ERROR";
    case session_code::internal_error: return "INTERNAL_ERROR";
    case session_code::unauthorized: return "UNAUTHORIZED";
    case session_code::protocol_violation: return "PROTOCOL_VIOLATION";
    case session_code::key_value_formatting_error: return "KEY_VALUE_FORMATTING_ERROR";
    case session_code::goaway_timeout: return "GOAWAY_TIMEOUT";
    case session_code::control_message_timeout: return "CONTROL_MESSAGE_TIMEOUT";
    case session_code::version_negotiation_failed: return "VERSION_NEGOTIATION_FAILED";
  }
  return {};
}
[[nodiscard]] constexpr std::string_view name_of(stream_code c) noexcept {
  switch (c) {
    case stream_code::internal_error: return "INTERNAL_ERROR";
    case stream_code::cancelled: return "CANCELLED";
    case stream_code::delivery_timeout: return "DELIVERY_TIMEOUT";
    case stream_code::session_closed: return "SESSION_CLOSED";
    case stream_code::going_away: return "GOING_AWAY";
    case stream_code::too_far_behind: return "TOO_FAR_BEHIND";
    case stream_code::malformed_track: return "MALFORMED_TRACK";
    case stream_code::no_capacity: return "NO_CAPACITY";
    case stream_code::control_timeout: return "CONTROL_TIMEOUT";
    case stream_code::group_too_large: return "GROUP_TOO_LARGE";
    case stream_code::not_found: return "NOT_FOUND";
    case stream_code::old: return "OLD";
    case stream_code::evicted: return "EVICTED";
    case stream_code::unroutable: return "UNROUTABLE";
    case stream_code::wrong_size: return "WRONG_SIZE";
    case stream_code::frame_too_large: return "FRAME_TOO_LARGE";
    case stream_code::timestamp_mismatch: return "TIMESTAMP_MISMATCH";
    case stream_code::unauthorized: return "UNAUTHORIZED";
  }
  return {};
}

/// The application's own code n as it travels: n + 64.
[[nodiscard]] constexpr stream_code application_code(std::uint64_t n) noexcept {
  return static_cast<stream_code>(n + 64);
}
/// Draft 06 section 4.4: a received code in 32..47 carries no meaning, one that is not registered is unspecified.
[[nodiscard]] constexpr bool is_registered(stream_code c) noexcept {
  const auto v = static_cast<std::uint64_t>(c);
  return v <= 0x5 || v == 0x12 || (v >= 0x30 && v <= 0x39);
}
/// 32 to 47, in both spaces: never sent, and without a meaning when received.
[[nodiscard]] constexpr bool is_reserved(std::uint64_t code) noexcept { return code >= 32 && code <= 47; }
/// Whether a reset says no more than "not wanted any longer". Before 06 the deployed stacks said that with 0 as well.
[[nodiscard]] constexpr bool is_cancel(std::uint64_t code, version v) noexcept {
  return code == 0x1 || (code == 0x0 && before(lite06).has(v));
}

/// Ordered by layer. `ok` is no error, `need_more` is neither the peer's fault nor the caller's.
enum class errc : std::uint8_t {
  ok,
  need_more,
  // The caller's: reported to the caller, never sent.
  out_of_memory,
  closed,
  stale_handle,
  wrong_state,
  bad_argument,
  not_in_version,
  no_room,
  limit_reached,
  going_away,
  not_supported,
  // The peer's, in the bytes of one message.
  truncated,
  trailing,
  message_too_large,
  bad_utf8,
  bad_flag,
  bad_status,
  bad_priority,
  too_many,
  duplicate_parameter,
  bad_parameter,
  duplicate_hop,
  zero_timescale,
  bad_frame_bounds,
  bad_fetch_bounds,
  bad_range,
  bad_drop,
  // The peer's, in the order of things on one stream.
  stream_cut,
  unknown_stream_type,
  unknown_message,
  unexpected_message,
  drop_before_ok,
  second_message,
  announce_before_ok,
  announce_duplicate,
  announce_unknown,
  announce_id,
  frame_too_large,
  bad_timestamp,
  start_below_request,
  second_ok,
  group_past_end,
  // The peer's, across streams.
  unknown_subscription,
  duplicate_group,
  duplicate_subscription,
  second_setup,
  setup_cut,
  second_session_stream,
  session_stream_ended,
  wrong_direction,
  version_not_offered,
  no_common_version,
  path_from_server,
  role_from_server,
  path_on_uri_binding,
  bad_path,
  path_missing,
  second_goaway,
  uri_too_long,
  uri_from_client,
  limit_exceeded,
  // Time and ends.
  setup_timeout,
  request_timeout,
  header_timeout,
  goaway_timeout,
  reset_by_peer,
  refused_by_peer,
  transport_closed,
  count_
};

/// Who hears of an error, or how much ends with it.
enum class scope : std::uint8_t { none, caller, stream, session };

struct error_facts {
  errc id;
  version_set
      session_in;  ///< Versions in which it closes the session; elsewhere it ends the stream (or reaches the caller).
  stream_code on_stream;
  session_code on_session;
  std::string_view rule;  ///< The numbered rule of tests/spec/rules.tsv behind the verdict, or "limit".
  std::string_view text;
  bool callers = false;
};

namespace detail {
inline constexpr auto pv = session_code::protocol_violation;
inline constexpr auto si = session_code::internal_error;
inline constexpr auto st0 = stream_code::internal_error;
inline constexpr auto mal = stream_code::malformed_track;

inline constexpr std::array<error_facts, static_cast<std::size_t>(errc::count_)> error_table{{
    {errc::ok, never, st0, session_code::no_error, "", "no error"},
    {errc::need_more, never, st0, session_code::no_error, "", "more bytes are needed"},
    {errc::out_of_memory, always, st0, si, "", "memory ran out", true},
    {errc::closed, never, st0, si, "", "the session is closed", true},
    {errc::stale_handle, never, st0, si, "", "the handle names nothing that still exists", true},
    {errc::wrong_state, never, st0, si, "", "not possible in this state", true},
    {errc::bad_argument, never, st0, si, "", "an argument is outside its range", true},
    {errc::not_in_version, never, st0, si, "", "the negotiated version has no such message", true},
    {errc::no_room, never, st0, si, "", "the output is too small", true},
    {errc::limit_reached, never, st0, si, "limit", "one of our own limits is reached", true},
    {errc::going_away, never, st0, si, "R-156", "the peer sent GOAWAY: no new streams", true},
    {errc::not_supported, never, st0, si, "R-150", "the peer or the transport does not offer this", true},
    {errc::truncated, always, mal, pv, "R-021", "a field runs past the end of its message"},
    {errc::trailing, always, mal, pv, "R-018", "bytes are left after the last field of a message"},
    {errc::message_too_large, always, mal, pv, "limit", "a message is longer than we accept"},
    {errc::bad_utf8, always, mal, pv, "R-022", "a string is not UTF-8"},
    {errc::bad_flag, always, mal, pv, "Q-30", "a flag byte is neither 0 nor 1"},
    {errc::bad_status, since(lite06), mal, pv, "R-055", "the announce status is neither ended nor active"},
    {errc::bad_priority, always, mal, pv, "R-018", "a priority is above 255"},
    {errc::too_many, always, mal, pv, "limit", "a list is longer than we accept"},
    {errc::duplicate_parameter, always, mal, pv, "R-028", "a parameter appears twice"},
    {errc::bad_parameter, always, mal, session_code::key_value_formatting_error, "R-018",
     "a parameter's value does not fill its length"},
    {errc::duplicate_hop, always, mal, pv, "R-075", "a non-zero Hop ID appears twice in one path"},
    {errc::zero_timescale, never, st0, pv, "R-120", "the timescale is 0"},
    {errc::bad_frame_bounds, never, st0, pv, "R-110", "a frame bound without the group it belongs to"},
    {errc::bad_fetch_bounds, never, st0, pv, "R-130", "the frame range ends before it starts"},
    {errc::bad_range, never, st0, pv, "R-110", "the group range ends before it starts"},
    {errc::bad_drop, never, st0, pv, "R-018", "a dropped range ends before it starts"},
    {errc::stream_cut, never, stream_code::wrong_size, pv, "R-020", "the stream ended inside a message or a frame"},
    {errc::unknown_stream_type, before(lite03), st0, pv, "R-016/R-017", "the stream type is not known in this version"},
    {errc::unknown_message, never, st0, pv, "R-097", "the message type is not known in this version"},
    {errc::unexpected_message, never, st0, pv, "R-097", "the message may not come here"},
    {errc::drop_before_ok, never, st0, pv, "R-099", "SUBSCRIBE_DROP before the first SUBSCRIBE_OK"},
    {errc::second_message, never, st0, pv, "R-097", "a second request on the stream"},
    {errc::announce_before_ok, since(lite06), st0, pv, "R-052/R-061/R-070", "an announcement before the opening reply"},
    {errc::announce_duplicate, since(lite06), st0, pv, "R-053/R-073", "the path is already announced on this stream"},
    {errc::announce_unknown, since(lite06), st0, pv, "R-053/R-062", "ended for a path that is not active"},
    {errc::announce_id, always, st0, pv, "R-072", "an announce id that was never assigned or is retired"},
    {errc::frame_too_large, never, stream_code::frame_too_large, pv, "limit", "a frame is larger than we accept"},
    {errc::bad_timestamp, never, stream_code::timestamp_mismatch, pv, "R-142", "the timestamp leaves its range"},
    {errc::start_below_request, never, st0, pv, "R-104", "SUBSCRIBE_OK names a group below the requested start"},
    {errc::second_ok, never, st0, pv, "R-098", "a second SUBSCRIBE_OK"},
    {errc::group_past_end, never, stream_code::cancelled, pv, "R-107", "a group at or past the declared end"},
    {errc::unknown_subscription, never, stream_code::cancelled, pv, "R-137", "a group for an unknown subscription"},
    {errc::duplicate_group, never, stream_code::cancelled, pv, "R-138", "a second stream for one group"},
    {errc::duplicate_subscription, always, st0, pv, "R-096", "a Subscribe ID is used again"},
    {errc::second_setup, always, st0, pv, "R-024", "a second Setup stream"},
    {errc::setup_cut, always, st0, pv, "R-023", "the Setup stream ended without its SETUP, or went on after it"},
    {errc::second_session_stream, always, st0, pv, "R-003", "a second Session stream"},
    {errc::session_stream_ended, always, st0, session_code::no_error, "R-004", "the Session stream ended"},
    {errc::wrong_direction, always, st0, pv, "R-001", "only the client opens the Session stream"},
    {errc::version_not_offered, always, st0, session_code::version_negotiation_failed, "R-002",
     "the server selected a version that was not offered"},
    {errc::no_common_version, always, st0, session_code::version_negotiation_failed, "R-002",
     "no version is common to both sides"},
    {errc::path_from_server, always, st0, pv, "R-037", "the server sent a Path"},
    {errc::role_from_server, always, st0, pv, "R-038", "the server sent a Role"},
    {errc::path_on_uri_binding, always, st0, pv, "R-036", "a Path on a binding that carries its own URI"},
    {errc::bad_path, always, st0, pv, "R-033/R-034", "the Path is not a URI path"},
    {errc::path_missing, always, st0, pv, "R-031", "the client sent no Path"},
    {errc::second_goaway, always, st0, pv, "R-160", "a second GOAWAY"},
    {errc::uri_too_long, always, st0, pv, "R-161", "the GOAWAY URI is longer than 8192 bytes"},
    {errc::uri_from_client, always, st0, pv, "R-162", "a client sent a GOAWAY URI"},
    {errc::limit_exceeded, never, stream_code::no_capacity, si, "limit", "the peer asked for more than we allow"},
    {errc::setup_timeout, always, st0, session_code::control_message_timeout, "R-023", "the peer did not open in time"},
    {errc::request_timeout, never, stream_code::control_timeout, si, "limit", "a request was not answered in time"},
    {errc::header_timeout, never, stream_code::control_timeout, si, "limit", "a stream did not say its type in time"},
    {errc::goaway_timeout, always, stream_code::going_away, session_code::goaway_timeout, "R-158",
     "the peer did not leave within the drain deadline"},
    {errc::reset_by_peer, never, stream_code::cancelled, si, "R-009", "the peer reset the stream"},
    {errc::refused_by_peer, never, stream_code::cancelled, si, "R-102", "the peer refused the request"},
    {errc::transport_closed, always, stream_code::session_closed, si, "R-015", "the connection is gone"},
}};

static_assert([] {
  for (std::size_t i = 0; i < error_table.size(); ++i)
    if (error_table[i].id != static_cast<errc>(i)) return false;
  return true;
}());
}  // namespace detail

[[nodiscard]] constexpr const error_facts& facts(errc e) noexcept {
  return detail::error_table[static_cast<std::size_t>(e)];
}
[[nodiscard]] constexpr std::string_view text_of(errc e) noexcept { return facts(e).text; }
/// How much ends with `e` when the peer caused it in version `v`.
[[nodiscard]] constexpr scope scope_of(errc e, version v) noexcept {
  if (e == errc::ok || e == errc::need_more) return scope::none;
  if (facts(e).session_in.has(v)) return scope::session;
  return facts(e).callers ? scope::caller : scope::stream;
}

}  // namespace moql
