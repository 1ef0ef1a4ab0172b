#pragma once
/// The frames of QMux: one declaration each, from which decoding, encoding and sizes follow. RFC 9000 section 19 and
/// draft-ietf-quic-qmux; `legacy` is what came before it.

#include <variant>

#include "../adapter/transport.hpp"
#include "../wire/codec.hpp"
#include "qmux_config.hpp"

namespace moql::qmux {
namespace w = wire;

namespace frames {

struct padding {
  static constexpr std::uint64_t first_type = 0x00, last_type = 0x00;
  [[nodiscard]] constexpr std::uint64_t type() const noexcept { return first_type; }
  constexpr void set_type(std::uint64_t) noexcept {}
  static constexpr bool fields(auto&, auto&) noexcept { return true; }
};
struct reset_stream {
  static constexpr std::uint64_t first_type = 0x04, last_type = 0x04;
  std::uint64_t id{};
  std::uint64_t code{};
  std::uint64_t final_size{};
  [[nodiscard]] constexpr std::uint64_t type() const noexcept { return first_type; }
  constexpr void set_type(std::uint64_t) noexcept {}
  static constexpr bool fields(auto& m, auto& v) noexcept {
    return v("Stream ID", w::varint, m.id) && v("Application Protocol Error Code", w::varint, m.code) &&
           v("Final Size", w::varint, m.final_size);
  }
};
struct stop_sending {
  static constexpr std::uint64_t first_type = 0x05, last_type = 0x05;
  std::uint64_t id{};
  std::uint64_t code{};
  [[nodiscard]] constexpr std::uint64_t type() const noexcept { return first_type; }
  constexpr void set_type(std::uint64_t) noexcept {}
  static constexpr bool fields(auto& m, auto& v) noexcept {
    return v("Stream ID", w::varint, m.id) && v("Application Protocol Error Code", w::varint, m.code);
  }
};
/// Without a length the data goes to the end of the record.
struct stream {
  static constexpr std::uint64_t first_type = 0x08, last_type = 0x0f;
  std::uint64_t id{};
  std::uint64_t offset{};
  byte_view data{};
  bool has_offset = true;
  bool has_length = true;
  bool fin{};
  [[nodiscard]] constexpr std::uint64_t type() const noexcept {
    return first_type | (has_offset ? 4u : 0u) | (has_length ? 2u : 0u) | (fin ? 1u : 0u);
  }
  constexpr void set_type(std::uint64_t t) noexcept {
    has_offset = (t & 4) != 0;
    has_length = (t & 2) != 0;
    fin = (t & 1) != 0;
  }
  static constexpr bool fields(auto& m, auto& v) noexcept {
    return v("Stream ID", w::varint_hot, m.id) && (!m.has_offset || v("Offset", w::varint_hot, m.offset)) &&
           (m.has_length ? v("Stream Data", w::sized_bytes, m.data) : v("Stream Data", w::rest, m.data));
  }
};
/// A limit of the connection's: what the peer may send, or what kept the peer from sending.
template <std::uint64_t Type>
struct data_limit {
  static constexpr std::uint64_t first_type = Type, last_type = Type;
  std::uint64_t limit{};
  [[nodiscard]] constexpr std::uint64_t type() const noexcept { return Type; }
  constexpr void set_type(std::uint64_t) noexcept {}
  static constexpr bool fields(auto& m, auto& v) noexcept { return v("Maximum Data", w::varint, m.limit); }
};
using max_data = data_limit<0x10>;
using data_blocked = data_limit<0x14>;

/// The same for one stream.
template <std::uint64_t Type>
struct stream_limit {
  static constexpr std::uint64_t first_type = Type, last_type = Type;
  std::uint64_t id{};
  std::uint64_t limit{};
  [[nodiscard]] constexpr std::uint64_t type() const noexcept { return Type; }
  constexpr void set_type(std::uint64_t) noexcept {}
  static constexpr bool fields(auto& m, auto& v) noexcept {
    return v("Stream ID", w::varint, m.id) && v("Maximum Stream Data", w::varint, m.limit);
  }
};
using max_stream_data = stream_limit<0x11>;
using stream_data_blocked = stream_limit<0x15>;

/// The same for how many streams there may be.
template <std::uint64_t Bidi>
struct streams_limit {
  static constexpr std::uint64_t first_type = Bidi, last_type = Bidi + 1;
  direction dir{};
  std::uint64_t limit{};
  [[nodiscard]] constexpr std::uint64_t type() const noexcept { return dir == direction::bidi ? Bidi : Bidi + 1; }
  constexpr void set_type(std::uint64_t t) noexcept { dir = t == Bidi ? direction::bidi : direction::uni; }
  static constexpr bool fields(auto& m, auto& v) noexcept { return v("Maximum Streams", w::varint, m.limit); }
};
using max_streams = streams_limit<0x12>;
using streams_blocked = streams_limit<0x16>;

/// By QMux itself, with the type of the frame that was wrong, or by the application.
struct connection_close {
  static constexpr std::uint64_t first_type = 0x1c, last_type = 0x1d;
  bool application{};
  std::uint64_t code{};
  std::uint64_t frame_type{};
  byte_view reason{};
  [[nodiscard]] constexpr std::uint64_t type() const noexcept { return application ? 0x1d : 0x1c; }
  constexpr void set_type(std::uint64_t t) noexcept { application = t == 0x1d; }
  static constexpr bool fields(auto& m, auto& v) noexcept {
    return v("Error Code", w::varint, m.code) && (m.application || v("Frame Type", w::varint, m.frame_type)) &&
           v("Reason Phrase", w::sized_bytes, m.reason);
  }
};
struct reset_stream_at {
  static constexpr std::uint64_t first_type = 0x24, last_type = 0x24;
  std::uint64_t id{};
  std::uint64_t code{};
  std::uint64_t final_size{};
  std::uint64_t reliable_size{};
  [[nodiscard]] constexpr std::uint64_t type() const noexcept { return first_type; }
  constexpr void set_type(std::uint64_t) noexcept {}
  static constexpr bool fields(auto& m, auto& v) noexcept {
    return v("Stream ID", w::varint, m.id) && v("Application Protocol Error Code", w::varint, m.code) &&
           v("Final Size", w::varint, m.final_size) && v("Reliable Size", w::varint, m.reliable_size) &&
           v.rule(m.reliable_size <= m.final_size, errc::bad_range);
  }
};
struct datagram {
  static constexpr std::uint64_t first_type = 0x30, last_type = 0x31;
  byte_view data{};
  bool has_length = true;
  [[nodiscard]] constexpr std::uint64_t type() const noexcept { return has_length ? 0x31 : 0x30; }
  constexpr void set_type(std::uint64_t t) noexcept { has_length = t == 0x31; }
  static constexpr bool fields(auto& m, auto& v) noexcept {
    return m.has_length ? v("Datagram Data", w::sized_bytes, m.data) : v("Datagram Data", w::rest, m.data);
  }
};
/// The parameters themselves are in qmux_parameters.hpp.
struct transport_parameters {
  static constexpr std::uint64_t first_type = 0x3f5153300d0a0d0a, last_type = first_type;
  byte_view payload{};
  [[nodiscard]] constexpr std::uint64_t type() const noexcept { return first_type; }
  constexpr void set_type(std::uint64_t) noexcept {}
  static constexpr bool fields(auto& m, auto& v) noexcept {
    return v("Transport Parameters", w::sized_bytes, m.payload);
  }
};
struct ping {
  static constexpr std::uint64_t first_type = 0x348c67529ef8c7bd, last_type = 0x348c67529ef8c7be;
  bool is_response{};
  std::uint64_t sequence{};
  [[nodiscard]] constexpr std::uint64_t type() const noexcept { return is_response ? last_type : first_type; }
  constexpr void set_type(std::uint64_t t) noexcept { is_response = t == last_type; }
  static constexpr bool fields(auto& m, auto& v) noexcept { return v("Sequence Number", w::varint, m.sequence); }
};

}  // namespace frames

/// The revision before QMux, one frame a message.
namespace legacy {

struct reset_stream {
  static constexpr std::uint64_t first_type = 0x04, last_type = 0x04;
  std::uint64_t id{};
  std::uint64_t code{};
  [[nodiscard]] constexpr std::uint64_t type() const noexcept { return first_type; }
  constexpr void set_type(std::uint64_t) noexcept {}
  static constexpr bool fields(auto& m, auto& v) noexcept {
    return v("Stream ID", w::varint, m.id) && v("Code", w::varint, m.code);
  }
};
struct stream {
  static constexpr std::uint64_t first_type = 0x08, last_type = 0x09;
  std::uint64_t id{};
  byte_view data{};
  bool fin{};
  [[nodiscard]] constexpr std::uint64_t type() const noexcept { return fin ? 0x09 : 0x08; }
  constexpr void set_type(std::uint64_t t) noexcept { fin = t == 0x09; }
  static constexpr bool fields(auto& m, auto& v) noexcept {
    return v("Stream ID", w::varint_hot, m.id) && v("Stream Data", w::rest, m.data);
  }
};
struct close {
  static constexpr std::uint64_t first_type = 0x1c, last_type = 0x1d;
  bool application{};
  std::uint64_t code{};
  byte_view reason{};
  [[nodiscard]] constexpr std::uint64_t type() const noexcept { return application ? 0x1d : 0x1c; }
  constexpr void set_type(std::uint64_t t) noexcept { application = t == 0x1d; }
  static constexpr bool fields(auto& m, auto& v) noexcept {
    return v("Code", w::varint, m.code) && v("Reason", w::rest, m.reason);
  }
};

}  // namespace legacy

using frame = std::variant<frames::padding, frames::reset_stream, frames::stop_sending, frames::stream,
                           frames::max_data, frames::max_stream_data, frames::max_streams, frames::data_blocked,
                           frames::stream_data_blocked, frames::streams_blocked, frames::connection_close,
                           frames::reset_stream_at, frames::datagram, frames::transport_parameters, frames::ping>;
using legacy_frame = std::variant<legacy::reset_stream, frames::stop_sending, legacy::stream, legacy::close>;

/// One frame at the front of some bytes. Views borrow them.
template <class Frame>
struct decoded_frame {
  errc why{};            ///< `truncated`, `unknown_message` for a type that is none, `bad_range`.
  std::uint64_t type{};  ///< As far as it could be read.
  std::size_t size{};    ///< Bytes that it takes, if nothing is wrong.
  Frame value{};
};

namespace detail {
/// The fields are the same whatever version of moq-lite is spoken inside.
inline constexpr version any_version = lite01;

template <class F, class Frame>
constexpr bool decode_as(w::reader& r, decoded_frame<Frame>& out) noexcept {
  if (out.type < F::first_type || out.type > F::last_type) return false;
  F& f = out.value.template emplace<F>();
  f.set_type(out.type);
  w::decoder d{r, any_version};
  if (!F::fields(f, d)) out.why = d.r.why;
  r = d.r;
  return true;
}
template <class... F>
constexpr bool decode_any(w::reader& r, decoded_frame<std::variant<F...>>& out) noexcept {
  return (decode_as<F>(r, out) || ...);
}
}  // namespace detail

/// Reads one frame; `in` ends where its record does, or its message.
template <class Frame = frame>
[[nodiscard]] constexpr decoded_frame<Frame> decode_frame(byte_view in) noexcept {
  decoded_frame<Frame> out;
  w::reader r{in.data(), in.data() + in.size(), {}};
  if (!w::get_varint_hot(r, out.type))
    out.why = errc::truncated;
  else if (!detail::decode_any(r, out))
    out.why = errc::unknown_message;
  out.size = in.size() - r.left();
  return out;
}

/// Bytes of a frame, its type included; `skip_data` leaves the last field's bytes out, which the caller then sends
/// behind the frame's head.
template <class F>
[[nodiscard]] constexpr std::size_t frame_size(const F& f) noexcept {
  w::sizer s{detail::any_version};
  (void)F::fields(f, s);
  return w::varint_size(f.type()) + s.n;
}
/// Writes a frame of `frame_size` bytes to memory that has room for it. Returns the end.
template <class F>
constexpr std::uint8_t* put_frame(const F& f, std::uint8_t* out) noexcept {
  w::encoder e{{out}, detail::any_version};
  w::put_varint(e.w, f.type());
  (void)F::fields(f, e);
  return e.w.p;
}

/// The largest head of a STREAM frame or DATAGRAM: all that comes before the data.
inline constexpr std::size_t head_bytes_max = 1 + 8 + 8 + 4;

/// The head of a STREAM frame with offset and length whose `n` bytes of data go out behind it. Returns its end.
constexpr std::uint8_t* put_stream_head(std::uint64_t id, std::uint64_t offset, std::size_t n, bool fin,
                                        std::uint8_t* out) noexcept {
  w::writer to{out};
  *to.p++ = fin ? 0x0f : 0x0e;
  w::put_varint(to, id);
  w::put_varint(to, offset);
  w::put_varint(to, n);
  return to.p;
}
constexpr std::uint8_t* put_legacy_head(std::uint64_t id, bool fin, std::uint8_t* out) noexcept {
  w::writer to{out};
  *to.p++ = fin ? 0x09 : 0x08;
  w::put_varint(to, id);
  return to.p;
}

}  // namespace moql::qmux
