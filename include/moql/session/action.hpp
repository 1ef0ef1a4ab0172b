#pragma once
/// What the session wants of the transport. `pump` (adapter/pump.hpp) carries these out; whoever has no adapter of the
/// concept's shape drains them by hand.

#include <variant>

#include "../adapter/transport.hpp"

namespace moql {

/// Names an open that is under way.
enum class ticket : std::uint64_t {};

/// Answer with `on_opened(ticket, id)` or `on_open_blocked(ticket)`.
struct open_stream {
  moql::ticket ticket{};
  direction dir{};
};
struct reset_stream {
  stream_id stream{};
  std::uint64_t code{};
};
struct stop_stream {
  stream_id stream{};
  std::uint64_t code{};
};
/// The session is done with `size` bytes of the stream.
struct give_credit {
  stream_id stream{};
  std::size_t size{};
};
struct set_priority {
  stream_id stream{};
  std::int32_t order{};  ///< Larger first.
};
/// `data` is valid until the next call on the session.
struct send_datagram {
  byte_view data{};
};
/// The last action. `reason` is valid until the session is gone.
struct close_session {
  std::uint64_t code{};
  std::string_view reason{};
};

using action =
    std::variant<open_stream, reset_stream, stop_stream, give_credit, set_priority, send_datagram, close_session>;

/// Bytes to write now on the best stream. Valid until `on_written`.
struct write_request {
  stream_id stream{no_stream};
  std::span<const chunk> pieces{};
  bool fin{};
};

}  // namespace moql
