#pragma once
/// What each side says first: draft-ietf-quic-qmux section 5, and the one parameter that deployed stacks add for
/// carriers without ALPN.

#include "../wire/codec.hpp"
#include "qmux_config.hpp"

namespace moql::qmux {
namespace w = wire;

/// The values of a side that says nothing are the initial ones.
struct parameters {
  std::uint64_t idle_ms{};  ///< 0: waits for ever.
  std::uint64_t max_data{};
  std::uint64_t bidi_local{};   ///< For bidirectional streams that the sender of the parameters opens.
  std::uint64_t bidi_remote{};  ///< For those that its peer opens.
  std::uint64_t uni{};
  std::uint64_t streams_bidi{};
  std::uint64_t streams_uni{};
  std::uint64_t max_datagram_frame{};  ///< 0: none, please.
  std::uint64_t max_record = record_bytes_default;
  byte_view protocols{};  ///< Encoded: a length and so many bytes for each. `has_protocols` tells empty from absent.
  bool has_protocols{};
  bool reset_stream_at{};

  static constexpr std::uint64_t max_record_id = 0x0571c59429cd0845;
  static constexpr std::uint64_t protocols_id = 0x3d4f9c2a8b1e6075;
  static constexpr std::uint64_t reset_stream_at_id = 0x1d;

  /// The integers, in the order in which deployed stacks write them. What is 0 is not written.
  static constexpr void integers(auto& p, auto& v) noexcept {
    v(0x01, p.idle_ms);
    v(0x04, p.max_data);
    v(0x05, p.bidi_local);
    v(0x06, p.bidi_remote);
    v(0x07, p.uni);
    v(0x08, p.streams_bidi);
    v(0x09, p.streams_uni);
    v(0x20, p.max_datagram_frame);
    v(max_record_id, p.max_record);
  }
};

/// Parameters of RFC 9000 that have no meaning here and must not be sent.
[[nodiscard]] constexpr bool is_forbidden_parameter(std::uint64_t id) noexcept {
  return id == 0x00 || id == 0x02 || id == 0x03 || (id >= 0x0a && id <= 0x10);
}

namespace detail {
struct parameter_reader {
  std::uint64_t id;
  w::reader value;
  bool is_known = false;
  std::uint32_t bit = 0;
  std::uint32_t next = 1;
  constexpr void operator()(std::uint64_t known, std::uint64_t& out) noexcept {
    if (known == id) {
      is_known = true;
      bit = next;
      if (!w::get_varint(value, out) || value.left() != 0) (void)value.fail(errc::bad_parameter);
    }
    next <<= 1;
  }
};
struct parameter_sizer {
  std::size_t n = 0;
  constexpr void operator()(std::uint64_t id, std::uint64_t v) noexcept {
    if (v != 0) n += w::varint_size(id) + 1 + w::varint_size(v);
  }
};
struct parameter_writer {
  w::writer to;
  constexpr void operator()(std::uint64_t id, std::uint64_t v) noexcept {
    if (v == 0) return;
    w::put_varint(to, id);
    w::put_varint(to, w::varint_size(v));
    w::put_varint(to, v);
  }
};
}  // namespace detail

/// Walks the list of `parameters::protocols`.
class protocol_list {
 public:
  explicit constexpr protocol_list(byte_view encoded) noexcept
      : r_{encoded.data(), encoded.data() + encoded.size(), {}} {}
  [[nodiscard]] bool next(std::string_view& out) noexcept {
    byte_view v;
    if (r_.left() == 0 || !w::sized_bytes_kind::get(r_, v)) return false;
    out = {reinterpret_cast<const char*>(v.data()), v.size()};
    return true;
  }
  /// Every entry is whole and UTF-8, and there is at least one.
  [[nodiscard]] static bool is_good(byte_view encoded) noexcept {
    protocol_list l(encoded);
    std::string_view s;
    while (l.next(s))
      if (!is_utf8(text(s))) return false;
    return l.r_.left() == 0 && l.r_.why == errc::ok && !encoded.empty();
  }

 private:
  w::reader r_;
};

/// `truncated`, `bad_parameter` (a value that is none, or a forbidden id) or `duplicate_parameter`. Unknown ones are
/// skipped, however often they come.
[[nodiscard]] inline errc decode_parameters(byte_view payload, parameters& out) noexcept {
  out = {};
  w::reader r{payload.data(), payload.data() + payload.size(), {}};
  std::uint32_t seen = 0;
  while (r.left() != 0) {
    std::uint64_t id{};
    byte_view v;
    if (!w::get_varint(r, id) || !w::sized_bytes_kind::get(r, v)) return errc::truncated;
    detail::parameter_reader p{id, {v.data(), v.data() + v.size(), {}}};
    parameters::integers(out, p);
    if (id == parameters::reset_stream_at_id) {
      p.bit = p.next;
      out.reset_stream_at = true;
      if (!v.empty()) return errc::bad_parameter;
    } else if (id == parameters::protocols_id) {
      p.bit = p.next << 1;
      out.has_protocols = true;
      out.protocols = v;
      if (!protocol_list::is_good(v)) return errc::bad_parameter;
    } else if (!p.is_known && is_forbidden_parameter(id)) {
      return errc::bad_parameter;
    }
    if (p.value.why != errc::ok) return p.value.why == errc::truncated ? errc::bad_parameter : p.value.why;
    if ((seen & p.bit) != 0) return errc::duplicate_parameter;
    seen |= p.bit;
  }
  return errc::ok;
}

[[nodiscard]] constexpr std::size_t parameters_size(const parameters& p) noexcept {
  detail::parameter_sizer s;
  parameters::integers(p, s);
  if (p.reset_stream_at) s.n += 2;
  if (p.has_protocols) s.n += w::varint_size(parameters::protocols_id) + w::sized_bytes_kind::size(p.protocols);
  return s.n;
}
/// To memory that has room for `parameters_size` bytes. Returns the end.
inline std::uint8_t* put_parameters(const parameters& p, std::uint8_t* out) noexcept {
  detail::parameter_writer to{{out}};
  parameters::integers(p, to);
  if (p.reset_stream_at) {
    w::put_varint(to.to, parameters::reset_stream_at_id);
    w::put_varint(to.to, 0);
  }
  if (p.has_protocols) {
    w::put_varint(to.to, parameters::protocols_id);
    w::sized_bytes_kind::put(to.to, p.protocols);
  }
  return to.to.p;
}

}  // namespace moql::qmux
