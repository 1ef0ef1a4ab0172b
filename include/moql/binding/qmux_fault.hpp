#pragma once
/// What a peer can do wrong in QMux, and what it is told: one table.

#include <array>
#include <cstdint>
#include <string_view>

#include "qmux_config.hpp"

namespace moql::qmux {

enum class fault : std::uint8_t {
  none,
  out_of_memory,
  handshake_timeout,
  truncated_frame,
  unknown_frame,
  record_too_large,
  empty_message,
  text_message,
  unsized_frame,
  not_parameters_first,
  second_parameters,
  bad_parameters,
  duplicate_parameter,
  small_record_limit,
  unexpected_protocols,
  stream_limit,
  stream_limit_too_large,
  wrong_direction,
  unopened_stream,
  gap,
  flow_control,
  reset_at_not_offered,
  reliable_size,
  datagram_not_offered,
  ping_order,
  unknown_pong,
  count_
};

struct fault_facts {
  fault id;
  error_code code;
  std::string_view text;
  std::string_view rule;  ///< Where the drafts demand it; "RFC 9000" sections hold for QMux as well.
};

namespace detail {
inline constexpr std::array<fault_facts, static_cast<std::size_t>(fault::count_)> fault_table{{
    {fault::none, error_code::no_error, "", ""},
    {fault::out_of_memory, error_code::internal_error, "memory ran out", ""},
    {fault::handshake_timeout, error_code::no_error, "no transport parameters in time", ""},
    {fault::truncated_frame, error_code::frame_encoding_error, "a frame is cut short", "qmux-01 3.2"},
    {fault::unknown_frame, error_code::frame_encoding_error, "the frame type is unknown or prohibited", "qmux-02 4"},
    {fault::record_too_large, error_code::frame_encoding_error, "a record is larger than we accept", "qmux-01 5.2"},
    {fault::empty_message, error_code::frame_encoding_error, "a message holds no frame", "qmux-00"},
    {fault::text_message, error_code::protocol_violation, "text frames are not valid for QMux", "qmux-websocket"},
    {fault::unsized_frame, error_code::frame_encoding_error, "a frame without a length on a byte stream", "qmux-00"},
    {fault::not_parameters_first, error_code::protocol_violation, "the transport parameters must come first",
     "qmux-00, qmux-01 and qmux-02 4.2"},
    {fault::second_parameters, error_code::protocol_violation, "the transport parameters came twice",
     "qmux-01 and qmux-02 4.2"},
    {fault::bad_parameters, error_code::transport_parameter_error, "malformed transport parameters", "RFC 9000 7.4"},
    {fault::duplicate_parameter, error_code::transport_parameter_error, "a transport parameter came twice",
     "RFC 9000 7.4"},
    {fault::small_record_limit, error_code::transport_parameter_error, "max_record_size is below its initial value",
     "qmux-01 5.2"},
    {fault::unexpected_protocols, error_code::transport_parameter_error, "the protocol is agreed on already", ""},
    {fault::stream_limit, error_code::stream_limit_error, "stream limit exceeded", "RFC 9000 4.6"},
    {fault::stream_limit_too_large, error_code::frame_encoding_error, "a stream limit above 2^60", "RFC 9000 4.6"},
    {fault::wrong_direction, error_code::stream_state_error, "the stream has no such direction", "RFC 9000 19.8"},
    {fault::unopened_stream, error_code::stream_state_error, "a stream of ours that was never opened", "RFC 9000 19.8"},
    {fault::gap, error_code::protocol_violation, "stream data does not follow on", "qmux-02 4.1"},
    {fault::flow_control, error_code::flow_control_error, "flow control error", "RFC 9000 4.1"},
    {fault::reset_at_not_offered, error_code::frame_encoding_error, "RESET_STREAM_AT was not offered", ""},
    {fault::reliable_size, error_code::frame_encoding_error, "the reliable size is above the final size", ""},
    {fault::datagram_not_offered, error_code::protocol_violation, "no such DATAGRAM was offered", "RFC 9221 3"},
    {fault::ping_order, error_code::protocol_violation, "ping numbers must rise", "qmux-02 4.3"},
    {fault::unknown_pong, error_code::protocol_violation, "an answer to a ping that was never sent", "qmux-02 4.3"},
}};
static_assert([] {
  for (std::size_t i = 0; i < fault_table.size(); ++i)
    if (fault_table[i].id != static_cast<fault>(i)) return false;
  return true;
}());
}  // namespace detail

[[nodiscard]] constexpr const fault_facts& facts(fault f) noexcept {
  return detail::fault_table[static_cast<std::size_t>(f)];
}
/// With the numbers of RFC 9000. Before 02 the parameters were no PROTOCOL_VIOLATION.
[[nodiscard]] constexpr error_code code_of(fault f, revision r) noexcept {
  if (!is_strict(r) && (f == fault::not_parameters_first || f == fault::second_parameters))
    return error_code::transport_parameter_error;
  return facts(f).code;
}
/// What deployed stacks send for the same.
[[nodiscard]] constexpr std::uint64_t reference_code_of(fault f) noexcept {
  if (f == fault::handshake_timeout || f == fault::out_of_memory) return static_cast<std::uint64_t>(facts(f).code);
  return f == fault::text_message ? 1003 : 1002;
}
[[nodiscard]] constexpr std::string_view reference_text_of(fault f) noexcept {
  switch (f) {
    case fault::out_of_memory:
    case fault::handshake_timeout:
    case fault::stream_limit:
    case fault::flow_control:
    case fault::text_message: return facts(f).text;
    default: return "Protocol violation";
  }
}

}  // namespace moql::qmux
