#pragma once
/// What WebTransport over HTTP/3 puts in front of its streams and datagrams, and the capsules that end a session
/// (draft-ietf-webtrans-http3 sections 4 to 6). A session's id is the number of its CONNECT stream.

#include <span>
#include <string_view>

#include "../base/result.hpp"
#include "http3.hpp"

namespace moql::webtransport {

/// How streams of a session begin: as a type on unidirectional ones, as a signal on bidirectional ones. The side that
/// did not open a bidirectional stream writes no preamble on its half.
inline constexpr std::uint64_t uni_signal = 0x54;
inline constexpr std::uint64_t bidi_signal = 0x41;

/// Only the client's bidirectional streams carry requests.
[[nodiscard]] constexpr bool is_session_id(std::uint64_t id) noexcept { return id % 4 == 0 && id <= wire::varint_max; }

/// The bytes in front of a stream or a datagram.
struct preamble {
  std::array<std::uint8_t, 2 + wire::varint_bytes_max> data{};
  std::size_t size = 0;
  [[nodiscard]] constexpr byte_view view() const noexcept { return {data.data(), size}; }
};
/// `signal` is one of the two above; `session` must be a session id.
[[nodiscard]] constexpr preamble stream_preamble(std::uint64_t signal, std::uint64_t session) noexcept {
  preamble p;
  wire::writer w{p.data.data()};
  wire::put_varint(w, signal);
  wire::put_varint(w, session);
  p.size = wire::varint_size(signal) + wire::varint_size(session);
  return p;
}
/// RFC 9297 section 2.1: datagrams name the session by a quarter of its id.
[[nodiscard]] constexpr preamble datagram_preamble(std::uint64_t session) noexcept {
  preamble p;
  wire::writer w{p.data.data()};
  wire::put_varint(w, session / 4);
  p.size = wire::varint_size(session / 4);
  return p;
}

struct datagram_view {
  std::uint64_t session{};
  byte_view payload{};
};
/// `errc::truncated` without a whole id, `errc::bad_argument` for one that no stream can have: both DATAGRAM_ERROR.
[[nodiscard]] constexpr result<datagram_view> parse_datagram(byte_view in) noexcept {
  wire::reader r{in.data(), in.data() + in.size(), {}};
  std::uint64_t quarter{};
  if (!wire::get_varint(r, quarter)) return errc::truncated;
  if (quarter > wire::varint_max / 4) return errc::bad_argument;
  return datagram_view{quarter * 4, in.last(r.left())};
}

/// What a stream of the peer's turns out to be.
enum class stream_kind : std::uint8_t {
  control,
  push,
  qpack_encoder,
  qpack_decoder,
  session,  ///< A stream of WebTransport; `number` is the session's id, not yet judged.
  request,  ///< Bidirectional: frames of HTTP/3; `number` is the type of the first one, which has been taken.
  unknown,  ///< Unidirectional, an extension or GREASE: what comes on it means nothing. `number` is its type.
};
struct stream_head {
  stream_kind kind{};
  std::uint64_t number{};
};
/// Reads how a stream begins, in any fragments.
class stream_head_reader {
 public:
  explicit constexpr stream_head_reader(bool is_uni) noexcept : is_uni_(is_uni) {}
  /// Takes the head off `in`; false when `in` did not hold its end. Call no more once it has returned true.
  [[nodiscard]] constexpr bool take(byte_view& in, stream_head& out) noexcept {
    std::uint64_t n{};
    while (number_.take(in, n)) {
      if (is_session_) {
        out = {stream_kind::session, n};
        return true;
      }
      is_session_ = n == (is_uni_ ? uni_signal : bidi_signal);
      if (is_session_) continue;
      out = {is_uni_ ? kind_of(n) : stream_kind::request, n};
      return true;
    }
    return false;
  }

 private:
  static constexpr stream_kind kind_of(std::uint64_t type) noexcept {
    switch (http3::stream_type{type}) {
      case http3::stream_type::control: return stream_kind::control;
      case http3::stream_type::push: return stream_kind::push;
      case http3::stream_type::qpack_encoder: return stream_kind::qpack_encoder;
      case http3::stream_type::qpack_decoder: return stream_kind::qpack_decoder;
    }
    return stream_kind::unknown;
  }
  http3::varint_reader number_{};
  bool is_uni_;
  bool is_session_ = false;
};

// ---- capsules (RFC 9297 section 3.2), which ride in DATA frames on the CONNECT stream

inline constexpr std::uint64_t close_capsule = 0x2843;
inline constexpr std::uint64_t drain_capsule = 0x78ae;
inline constexpr std::size_t reason_bytes_max = 1024;
/// Enough for `build_close`: heads of DATA and of the capsule, code, reason.
inline constexpr std::size_t close_bytes_max = 1 + 2 + 2 + 2 + 4 + reason_bytes_max;

/// As much of a reason as a capsule carries, cut between characters.
[[nodiscard]] constexpr std::string_view fit_reason(std::string_view s) noexcept {
  if (s.size() <= reason_bytes_max) return s;
  std::size_t n = reason_bytes_max;
  while (n != 0 && (static_cast<unsigned char>(s[n]) & 0xc0) == 0x80) --n;
  return s.substr(0, n);
}
/// Writes a DATA frame with the capsule that ends a session and returns its size; a FIN must follow at once. A reason
/// that is too long loses its end. `errc::no_room` if `out` is too small.
[[nodiscard]] constexpr result<std::size_t> build_close(std::uint32_t code, std::string_view reason,
                                                        std::span<std::uint8_t> out) noexcept {
  reason = fit_reason(reason);
  const std::size_t value = 4 + reason.size();
  const std::size_t capsule = wire::varint_size(close_capsule) + wire::varint_size(value) + value;
  const std::size_t all = 1 + wire::varint_size(capsule) + capsule;
  if (all > out.size()) return errc::no_room;
  wire::writer w{out.data()};
  wire::put_varint(w, static_cast<std::uint64_t>(http3::frame_type::data));
  wire::put_varint(w, capsule);
  wire::put_varint(w, close_capsule);
  wire::put_varint(w, value);
  for (unsigned i = 0; i < 4; ++i) *w.p++ = static_cast<std::uint8_t>(code >> (24 - 8 * i));
  for (const char c : reason) *w.p++ = static_cast<std::uint8_t>(c);
  return all;
}
/// A DATA frame with the capsule that asks the peer to finish, for `goaway`.
inline constexpr auto drain_frame = [] {
  constexpr std::size_t capsule = wire::varint_size(drain_capsule) + 1;
  std::array<std::uint8_t, 2 + capsule> out{};
  wire::writer w{out.data()};
  wire::put_varint(w, static_cast<std::uint64_t>(http3::frame_type::data));
  wire::put_varint(w, capsule);
  wire::put_varint(w, drain_capsule);
  wire::put_varint(w, 0);
  return out;
}();

/// The capsules of a session, out of what DATA frames carried. Unknown ones are skipped and cost no memory.
class capsule_reader {
 public:
  /// Takes all of `in`. `no_error`, or MESSAGE_ERROR, which ends the CONNECT stream: a capsule whose length cannot be
  /// right, or anything behind the one that closes.
  [[nodiscard]] constexpr http3::code take(byte_view in) noexcept {
    http3::element_piece p;
    while (!in.empty()) {
      if (is_closed_) return http3::code::message_error;
      while (!is_closed_ && capsules_.next(in, p)) {
        if (p.type == drain_capsule) {
          if (p.size != 0) return http3::code::message_error;
          is_draining_ = true;
        }
        if (p.type != close_capsule) continue;
        if (p.size < 4 || p.size > held_.size()) return http3::code::message_error;
        for (const std::uint8_t b : p.body) held_[size_++] = b;
        is_closed_ = p.is_last;
      }
    }
    return http3::code::no_error;
  }
  /// The stream has ended: MESSAGE_ERROR if that cut a capsule.
  [[nodiscard]] constexpr http3::code finish() const noexcept {
    return capsules_.is_inside() ? http3::code::message_error : http3::code::no_error;
  }
  /// The peer has closed the session. Without a capsule the end of the stream means code 0 and no reason.
  [[nodiscard]] constexpr bool is_closed() const noexcept { return is_closed_; }
  [[nodiscard]] constexpr bool is_draining() const noexcept { return is_draining_; }
  [[nodiscard]] constexpr std::uint32_t code() const noexcept {
    std::uint32_t c = 0;
    for (std::size_t i = 0; i < 4; ++i) c = c << 8 | held_[i];
    return c;
  }
  /// As sent: meant to be UTF-8, not checked. Lives as long as the reader.
  [[nodiscard]] std::string_view reason() const noexcept {
    if (size_ <= 4) return {};
    return {reinterpret_cast<const char*>(held_.data()) + 4, size_ - 4};
  }

 private:
  http3::element_reader capsules_{};
  std::array<std::uint8_t, 4 + reason_bytes_max> held_{};
  std::size_t size_ = 0;
  bool is_closed_ = false;
  bool is_draining_ = false;
};

}  // namespace moql::webtransport
