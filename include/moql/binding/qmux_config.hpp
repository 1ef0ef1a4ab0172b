#pragma once
/// What a QMux connection is told when it is made, and every cap of it with its reason.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "../base/time.hpp"

namespace moql::qmux {

/// Who dialled.
enum class side : std::uint8_t { client, server };

/// The wire revisions. `webtransport` is what came before QMux: WebSocket messages only, no parameters, no credit.
enum class revision : std::uint8_t { webtransport, qmux00, qmux01, qmux02 };

/// What the bytes travel in: TLS or TCP, or the binary messages of a WebSocket.
enum class carrier : std::uint8_t { byte_stream, messages };

[[nodiscard]] constexpr bool has_parameters(revision r) noexcept { return r != revision::webtransport; }
/// Size and frames; before 01 frames follow one another, or are one message each.
[[nodiscard]] constexpr bool has_records(revision r) noexcept { return r >= revision::qmux01; }
[[nodiscard]] constexpr bool has_datagrams(revision r) noexcept { return r >= revision::qmux01; }
/// Only 02 may send RESET_STREAM_AT and insists on the order of the first frames and of ping numbers.
[[nodiscard]] constexpr bool is_strict(revision r) noexcept { return r >= revision::qmux02; }

/// The least that `max_record_size` may be, and what it is when a peer does not say: draft 02 section 5.1.
inline constexpr std::size_t record_bytes_default = 16382;
/// A whole frame of qmux-00.
inline constexpr std::size_t frame_bytes_00 = 16384;
/// Payload of one STREAM frame that we send, even to peers that allow more: deployed receivers stop there.
inline constexpr std::size_t stream_payload_max = 16384 - 32;

/// What we allow the peer and how much we keep for it. The first group travels as transport parameters; the numbers are
/// what the deployed stacks send.
struct limits {
  std::uint64_t max_data = 1024 * 1024;        ///< Bytes on all streams that we have not taken in yet.
  std::uint64_t max_stream_data = 256 * 1024;  ///< The same for each stream, until `consume` returns it.
  std::uint64_t max_streams_bidi = 100;        ///< Streams of the peer's that are not over yet.
  std::uint64_t max_streams_uni = 100;
  std::size_t max_record = record_bytes_default;  ///< Bytes of one record or message, at least 16382; 01 and 02.
  /// Bytes of a whole DATAGRAM frame; 0 forbids them. moq-lite never sends any on this binding.
  std::size_t max_datagram_frame = record_bytes_default;
  /// How long the peer may be silent; 0 waits for ever. The smaller of both sides counts.
  duration idle_timeout = seconds(30);

  /// How often to measure the round trip; 0: only when there is a ping anyway, after a third of the idle timeout in
  /// silence. Deployed stacks measure every second.
  duration ping_interval{};
  /// How long the peer may take to send its parameters.
  duration handshake_timeout = seconds(10);
  /// How long we wait for the peer to shut its side after a close.
  duration drain_timeout = seconds(3);
  /// Bytes of one stream that wait here before `write` blocks: two frames, so that one can be filled while one is on
  /// its way, and the order of what the session writes still counts.
  std::size_t stream_backlog_bytes = 32 * 1024;
  /// Bytes already made into frames, which nothing more urgent can overtake.
  std::size_t committed_bytes = 64 * 1024;
  /// Datagrams that wait; more are refused, which is what datagrams are for.
  std::size_t datagrams_max = 64;
  /// Answers to pings that wait for a socket that is blocked; of more only the newest is kept, as the draft allows.
  std::size_t pongs_max = 16;
  /// `webtransport` has no stream credit: streams of the peer's that may be open, else the connection is closed.
  std::size_t legacy_streams_max = 2'000;
  /// Bytes of one of its messages: the first senders put whatever was written at once into one.
  std::size_t legacy_message_bytes_max = 1024 * 1024;
  /// Text of a close, either way; longer text is cut.
  std::size_t reason_bytes_max = 1024;
};

/// Views are used while the connection is made and not afterwards, but for `protocol`, which is copied.
struct config {
  side who = side::client;
  revision wire = revision::qmux02;
  carrier over = carrier::byte_stream;
  /// The moq token that ALPN or the subprotocol stands for, its QMux prefix stripped (see qmux_token.hpp); empty for a
  /// bare one: the moq version is then agreed on in-band.
  std::string_view protocol{};
  /// Only where nothing outside the connection names a protocol (plain TCP, Unix sockets): our tokens, the first
  /// preferred, at most `protocols_max`. They travel in a parameter of the deployed stacks, the server's preference
  /// wins, and `protocol()` is known when `is_ready()`. Not empty here and `protocol` not empty is a mistake: then this
  /// counts for nothing. A peer that sends the parameter when this is empty has made one too.
  std::span<const std::string_view> protocols{};
  /// Errors of the peer's close with the numbers of RFC 9000; this makes it 1002 for all of them and 1003 for a text
  /// message, with the reason texts of the deployed stacks.
  bool reference_codes = false;
  limits caps{};
};

inline constexpr std::size_t protocols_max = 16;

/// RFC 9000 section 20.1, of what can happen here.
enum class error_code : std::uint64_t {
  no_error = 0x0,
  internal_error = 0x1,
  flow_control_error = 0x3,
  stream_limit_error = 0x4,
  stream_state_error = 0x5,
  final_size_error = 0x6,
  frame_encoding_error = 0x7,
  transport_parameter_error = 0x8,
  protocol_violation = 0xa,
};

/// What the owner of the socket should do with it.
enum class wish : std::uint8_t {
  keep,    ///< Read and write.
  finish,  ///< All is written: shut down the sending side, or send the WebSocket Close; go on reading until the end.
  drop,    ///< Close it now. Nothing more will be written or understood.
};

}  // namespace moql::qmux
