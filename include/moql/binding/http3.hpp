#pragma once
/// The little of HTTP/3 (RFC 9114) that WebTransport stands on: numbers, and readers for what arrives in fragments.
///
/// Nothing here sends or allocates. Readers take fragments of any size and never read beyond one; a fault of the peer's
/// is an `http3::code`, which closes the connection unless a comment says otherwise.

#include <array>
#include <cstddef>
#include <cstdint>

#include "../base/bytes.hpp"
#include "../wire/varint.hpp"

namespace moql::http3 {

/// Codes of connections and streams: RFC 9114 section 8.1, RFC 9204, RFC 9297 and the WebTransport drafts.
enum class code : std::uint64_t {
  datagram_error = 0x33,
  no_error = 0x100,
  general_protocol_error = 0x101,
  internal_error = 0x102,
  stream_creation_error = 0x103,
  closed_critical_stream = 0x104,
  frame_unexpected = 0x105,
  frame_error = 0x106,
  excessive_load = 0x107,
  id_error = 0x108,
  settings_error = 0x109,
  missing_settings = 0x10a,
  request_rejected = 0x10b,
  request_cancelled = 0x10c,
  request_incomplete = 0x10d,
  message_error = 0x10e,
  connect_error = 0x10f,
  version_fallback = 0x110,
  qpack_decompression_failed = 0x200,
  session_gone = 0x170d7b68,              ///< WT_SESSION_GONE: a stream whose session is over.
  buffered_stream_rejected = 0x3994bd84,  ///< WT_BUFFERED_STREAM_REJECTED: a stream whose session never came to be.
};

/// How a unidirectional stream begins.
enum class stream_type : std::uint64_t { control = 0, push = 1, qpack_encoder = 2, qpack_decoder = 3 };

enum class frame_type : std::uint64_t {
  data = 0x0,
  headers = 0x1,
  cancel_push = 0x3,
  settings = 0x4,
  push_promise = 0x5,
  goaway = 0x7,
  max_push_id = 0xd,
};
/// Types of HTTP/2 that HTTP/3 left out must not come at all (RFC 9114 section 7.2.8).
[[nodiscard]] constexpr bool is_forbidden_frame(std::uint64_t t) noexcept {
  return t == 0x2 || t == 0x6 || t == 0x8 || t == 0x9;
}
/// Everything else is an extension, or GREASE: skipped wherever it comes.
[[nodiscard]] constexpr bool is_known_frame(std::uint64_t t) noexcept {
  return t <= 0x5 ? t != 0x2 : t == 0x7 || t == 0xd;
}

/// One varint out of any fragments.
class varint_reader {
 public:
  /// Takes bytes off `in` until there is a whole one; false when `in` did not hold its end.
  [[nodiscard]] constexpr bool take(byte_view& in, std::uint64_t& out) noexcept {
    while (!in.empty()) {
      held_[size_++] = in.front();
      in = in.subspan(1);
      if (size_ != wire::varint_width(held_[0])) continue;
      out = wire::detail::varint_value(held_.data(), size_);
      size_ = 0;
      return true;
    }
    return false;
  }
  /// Whether the stream would be cut inside of one if it ended now.
  [[nodiscard]] constexpr bool is_inside() const noexcept { return size_ != 0; }

 private:
  std::array<std::uint8_t, wire::varint_bytes_max> held_{};
  std::size_t size_ = 0;
};

/// A part of a frame or of a capsule.
struct element_piece {
  std::uint64_t type{};
  std::uint64_t size{};  ///< Of the whole body, as the peer claims.
  byte_view body{};      ///< The part of it that came now; a view of the fragment.
  bool is_head = false;  ///< Type and length have just become known; `body` is empty.
  bool is_last = false;  ///< Nothing of this element follows.
};

/// Frames of HTTP/3 and capsules alike are a type, a length and that many bytes. Bodies are passed on as they come,
/// never held, so that their length costs nothing.
class element_reader {
 public:
  constexpr element_reader() noexcept = default;
  /// For a stream whose first type was read by somebody else.
  explicit constexpr element_reader(std::uint64_t type) noexcept : at_(place::length), type_(type) {}

  /// The next piece of what is in `in`; false when all of that is taken.
  [[nodiscard]] constexpr bool next(byte_view& in, element_piece& out) noexcept {
    if (at_ == place::type) {
      if (!number_.take(in, type_)) return false;
      at_ = place::length;
    }
    if (at_ == place::length) {
      if (!number_.take(in, size_)) return false;
      left_ = size_;
      at_ = left_ == 0 ? place::type : place::body;
      out = {type_, size_, {}, true, left_ == 0};
      return true;
    }
    if (in.empty()) return false;
    const std::size_t n = left_ < in.size() ? static_cast<std::size_t>(left_) : in.size();
    left_ -= n;
    if (left_ == 0) at_ = place::type;
    out = {type_, size_, in.first(n), false, left_ == 0};
    in = in.subspan(n);
    return true;
  }
  /// Whether the stream would be cut inside of an element if it ended now.
  [[nodiscard]] constexpr bool is_inside() const noexcept { return at_ != place::type || number_.is_inside(); }

 private:
  enum class place : std::uint8_t { type, length, body };
  place at_ = place::type;
  varint_reader number_{};
  std::uint64_t type_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t left_ = 0;
};

/// Takes requests and their answers apart: header sections are announced as frames, DATA is what a tunnel carries.
///
/// A CONNECT becomes a tunnel with its final answer. From then on DATA may come and a header section may not; before,
/// it is the other way round.
class request_reader {
 public:
  constexpr request_reader() noexcept = default;
  /// For a stream whose first frame type was read by somebody else.
  explicit constexpr request_reader(std::uint64_t type) noexcept : frames_(type) {}

  enum class got : std::uint8_t { nothing, headers, data };
  /// The next piece of a header section or of the tunnel. `nothing` when `in` is all taken, or with a fault in `why`
  /// after which the reader must not be used. An empty header section comes as a head alone; empty DATA is not told.
  [[nodiscard]] constexpr got next(byte_view& in, element_piece& out, code& why) noexcept {
    while (frames_.next(in, out)) {
      switch (frame_type{out.type}) {
        case frame_type::data:
          if (!is_tunnel_) return fail(code::frame_unexpected, why);
          if (!out.body.empty()) return got::data;
          continue;
        case frame_type::headers:
          // A section that began before the tunnel may end: the owner opens the tunnel when it has seen its last piece.
          if (is_tunnel_) return fail(code::frame_unexpected, why);
          return got::headers;
        default:
          if (is_known_frame(out.type) || is_forbidden_frame(out.type)) return fail(code::frame_unexpected, why);
      }
    }
    return got::nothing;
  }
  constexpr void open_tunnel() noexcept { is_tunnel_ = true; }
  [[nodiscard]] constexpr bool is_inside() const noexcept { return frames_.is_inside(); }

 private:
  static constexpr got fail(code c, code& why) noexcept {
    why = c;
    return got::nothing;
  }
  element_reader frames_{};
  bool is_tunnel_ = false;
};

}  // namespace moql::http3
