#pragma once
/// The boundary to a QUIC stack: what an adapter must provide, and what it tells the session.
///
/// A transport is one connection. The session's side of the contract is `pump` (pump.hpp): it alone calls the
/// operations, never from inside an event, on one thread. The adapter's side is the sink: an event only changes state,
/// so it may be delivered from within a stack's callback; afterwards, once per batch, the adapter's owner drains the
/// session's events and pumps, and does so again while the session has events (a deadline or a last write causes some).

#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>

#include "../base/bytes.hpp"
#include "../base/time.hpp"

namespace moql {

enum class direction : std::uint8_t { bidi, uni };

/// Picked by the adapter, opaque to the session, never used twice on one connection.
enum class stream_id : std::uint64_t {};
inline constexpr stream_id no_stream{~std::uint64_t{0}};

/// A reset or stop whose application code is unknown.
inline constexpr std::uint64_t no_code = ~std::uint64_t{0};

enum class transport_status : std::uint8_t { ok, blocked, closed, too_large, unsupported };

/// A piece of outgoing bytes. Without an owner the memory is valid during the call only and the adapter copies what it
/// keeps; with one it may retain the owner and refer to the memory until it releases it. May be empty.
struct chunk {
  const std::uint8_t* data{};
  std::size_t size{};
  moql::owner* owner{};
};

struct open_result {
  transport_status status{};
  stream_id id{no_stream};
};
struct write_result {
  transport_status status{};
  std::size_t accepted{};
};
/// 0 is "not known".
struct transport_stats {
  std::uint64_t rtt_us{};
  std::uint64_t min_rtt_us{};
  std::uint64_t send_bits_per_second{};
  std::uint64_t congestion_window{};
  std::uint64_t in_flight{};
};
struct close_info {
  bool application{};  ///< Closed on purpose by the peer's application, with `code` of its session space.
  std::uint64_t code{};
  std::string_view reason{};
};

// clang-format off
/// What the session needs of a connection. Inherit `transport_defaults` for the last five.
template <class T>
concept transport = requires(T& t, const T& ct, stream_id id, direction dir, std::span<const chunk> chunks, bool fin,
                             std::uint64_t code, byte_view data, std::string_view reason, std::size_t n,
                             std::int32_t order) {
  /// `blocked` means no stream credit: `on_credit(dir)` follows when there is. Never an error.
  { t.open(dir) } noexcept -> std::same_as<open_result>;
  /// Takes chunks in order, perhaps not all: then `blocked`, and `on_writable(id)` follows. `fin` counts only if
  /// everything was taken; no chunks and `fin` is a bare FIN. Accepted bytes belong to the adapter. `closed`: this
  /// send side is over and is never tried again.
  { t.write(id, chunks, fin) } noexcept -> std::same_as<write_result>;
  /// RESET_STREAM. Idempotent, legal in any state, drops what has not been sent.
  { t.reset(id, code) } noexcept -> std::same_as<void>;
  /// STOP_SENDING. Idempotent, legal in any state.
  { t.stop(id, code) } noexcept -> std::same_as<void>;
  /// Closes the connection with an application code; nothing is called afterwards.
  { t.close(code, reason) } noexcept -> std::same_as<void>;
  /// The negotiated token: ALPN, WT-Protocol or WebSocket subprotocol (its QMux prefix stripped); empty if none.
  { ct.protocol() } noexcept -> std::same_as<std::string_view>;

  /// `n` bytes given to `on_data` are done with: return that much stream credit. Connection credit should be
  /// returned at once, so that one slow stream cannot stall the others.
  { t.consume(id, n) } noexcept -> std::same_as<void>;
  /// A hint; larger is sent first. Streams that were given none count as 0: they carry control, and come before groups.
  { t.priority(id, order) } noexcept -> std::same_as<void>;
  /// Sent or copied before it returns.
  { t.datagram(data) } noexcept -> std::same_as<transport_status>;
  /// The largest datagram that fits now; 0 means none can be sent.
  { ct.max_datagram() } noexcept -> std::same_as<std::size_t>;
  { ct.stats() } noexcept -> std::same_as<transport_stats>;
};

// clang-format on

/// Inherit this and hide what your stack can do.
struct transport_defaults {
  void consume(stream_id, std::size_t) noexcept {}
  void priority(stream_id, std::int32_t) noexcept {}
  transport_status datagram(byte_view) noexcept { return transport_status::unsupported; }
  [[nodiscard]] std::size_t max_datagram() const noexcept { return 0; }
  [[nodiscard]] transport_stats stats() const noexcept { return {}; }
};

// clang-format off
/// What an adapter calls: `moql::session`, or anything of the same shape. None of these calls back.
template <class S>
concept transport_sink = requires(S& s, stream_id id, direction dir, bytes data, bool fin, std::uint64_t code,
                                  const close_info& why, instant now) {
  /// The peer opened a stream; comes before every other event of it.
  { s.on_open(id, dir, now) } noexcept;
  /// In order, each byte once. With an owner the session keeps a share for as long as it needs the bytes; without
  /// one they must stay valid until the session's events have been drained.
  { s.on_data(id, data, fin, now) } noexcept;
  { s.on_reset(id, code, now) } noexcept;
  /// The session answers with `reset`, whether or not the stack has already done so.
  { s.on_stop(id, code, now) } noexcept;
  { s.on_writable(id) } noexcept;
  { s.on_credit(dir) } noexcept;
  { s.on_datagram(data, now) } noexcept;
  /// Exactly once, last.
  { s.on_close(why, now) } noexcept;
};
// clang-format on

}  // namespace moql
