#pragma once
/// QUIC variable-length integers (RFC 9000 section 16): written minimal, read in any width; and zigzag.

#include <bit>
#include <cstring>
#include <type_traits>

#include "../base/compiler.hpp"
#include "cursor.hpp"

namespace moql::wire {

inline constexpr std::uint64_t varint_max = (std::uint64_t{1} << 62) - 1;
inline constexpr std::size_t varint_bytes_max = 8;

[[nodiscard]] constexpr std::size_t varint_size(std::uint64_t v) noexcept {
  return v < (1u << 6) ? 1 : v < (1u << 14) ? 2 : v < (1u << 30) ? 4 : 8;
}
/// How many bytes a varint takes that begins with `first`.
[[nodiscard]] constexpr std::size_t varint_width(std::uint8_t first) noexcept { return std::size_t{1} << (first >> 6); }

namespace detail {
template <std::size_t N>
MOQL_INLINE constexpr std::uint64_t load_big_endian(const std::uint8_t* p) noexcept {
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < N; ++i) v = v << 8 | p[i];  // both compilers make one load and one byte swap of this
  return v;
}
/// The longer forms; `width` bytes must be there.
MOQL_INLINE constexpr std::uint64_t varint_value(const std::uint8_t* p, std::size_t width) noexcept {
  switch (width) {
    case 1: return *p;
    case 2: return load_big_endian<2>(p) & 0x3fff;
    case 4: return load_big_endian<4>(p) & 0x3fffffff;
    default: return load_big_endian<8>(p) & varint_max;
  }
}
MOQL_NOINLINE constexpr bool get_long_varint(reader& r, std::uint64_t& out) noexcept {
  const std::size_t width = varint_width(*r.p);
  if (r.left() < width) return r.fail(errc::truncated);
  out = varint_value(r.p, width);
  r.p += width;
  return true;
}
}  // namespace detail

/// For control messages: the one-byte case inline, the others one shared function, so that decoders stay small.
MOQL_INLINE constexpr bool get_varint(reader& r, std::uint64_t& out) noexcept {
  if (r.p == r.end) [[unlikely]]
    return r.fail(errc::truncated);
  if (*r.p < 0x40) [[likely]] {
    out = *r.p++;
    return true;
  }
  return detail::get_long_varint(r, out);
}
/// For frames, groups and datagrams: branchy and inlined per field, so that each place has its own branch history.
MOQL_INLINE constexpr bool get_varint_hot(reader& r, std::uint64_t& out) noexcept {
  if (r.left() < varint_bytes_max) [[unlikely]] {
    if (r.p == r.end) return r.fail(errc::truncated);
    return detail::get_long_varint(r, out);
  }
  const std::uint8_t first = *r.p;
  if (first < 0x40) {
    out = first;
    r.p += 1;
  } else if (first < 0x80) {
    out = detail::load_big_endian<2>(r.p) & 0x3fff;
    r.p += 2;
  } else if (first < 0xc0) {
    out = detail::load_big_endian<4>(r.p) & 0x3fffffff;
    r.p += 4;
  } else {
    out = detail::load_big_endian<8>(r.p) & varint_max;
    r.p += 8;
  }
  return true;
}

/// `v` must not be above `varint_max`; `encoded_size` has checked that.
MOQL_INLINE constexpr void put_varint(writer& w, std::uint64_t v) noexcept {
  if (v < (1u << 6)) {
    *w.p++ = static_cast<std::uint8_t>(v);
  } else if (v < (1u << 14)) {
    w.p[0] = static_cast<std::uint8_t>(v >> 8 | 0x40);
    w.p[1] = static_cast<std::uint8_t>(v);
    w.p += 2;
  } else if (v < (1u << 30)) {
    w.p[0] = static_cast<std::uint8_t>(v >> 24 | 0x80);
    w.p[1] = static_cast<std::uint8_t>(v >> 16);
    w.p[2] = static_cast<std::uint8_t>(v >> 8);
    w.p[3] = static_cast<std::uint8_t>(v);
    w.p += 4;
  } else {
    v |= std::uint64_t{3} << 62;
    for (unsigned i = 0; i < 8; ++i) w.p[i] = static_cast<std::uint8_t>(v >> (56 - 8 * i));
    w.p += 8;
  }
}

/// Signed values near zero as small unsigned ones: 0, -1, 1, -2 ... become 0, 1, 2, 3 ...
[[nodiscard]] constexpr std::uint64_t zigzag(std::int64_t v) noexcept {
  return (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63);
}
[[nodiscard]] constexpr std::int64_t unzigzag(std::uint64_t v) noexcept {
  return static_cast<std::int64_t>(v >> 1) ^ -static_cast<std::int64_t>(v & 1);
}

}  // namespace moql::wire
