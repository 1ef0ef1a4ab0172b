#pragma once
/// The field kinds of the drafts. A kind is four functions over one value; a new encoding touches nothing else.
///
///   get    reads a value, or fails the reader
///   fits   whether a value can be written at all
///   size   how many bytes it takes
///   put    writes it

#include <optional>

#include "../base/text.hpp"
#include "varint.hpp"

namespace moql::wire {

/// (i)
struct varint_kind {
  MOQL_INLINE static constexpr bool get(reader& r, std::uint64_t& v) noexcept { return get_varint(r, v); }
  static constexpr bool fits(std::uint64_t v) noexcept { return v <= varint_max; }
  static constexpr std::size_t size(std::uint64_t v) noexcept { return varint_size(v); }
  static constexpr void put(writer& w, std::uint64_t v) noexcept { put_varint(w, v); }
};
/// (i) on the data plane
struct varint_hot_kind : varint_kind {
  MOQL_INLINE static constexpr bool get(reader& r, std::uint64_t& v) noexcept { return get_varint_hot(r, v); }
};
/// (i) holding a zigzag-mapped signed value
struct zigzag_kind {
  MOQL_INLINE static constexpr bool get(reader& r, std::int64_t& v) noexcept {
    std::uint64_t raw{};
    if (!get_varint_hot(r, raw)) return false;
    v = unzigzag(raw);
    return true;
  }
  static constexpr bool fits(std::int64_t v) noexcept { return zigzag(v) <= varint_max; }
  static constexpr std::size_t size(std::int64_t v) noexcept { return varint_size(zigzag(v)); }
  static constexpr void put(writer& w, std::int64_t v) noexcept { put_varint(w, zigzag(v)); }
};
/// (i) where 0 means absent and n means n - 1
struct plus_one_kind {
  using value = std::optional<std::uint64_t>;
  MOQL_INLINE static constexpr bool get(reader& r, value& v) noexcept {
    std::uint64_t n{};
    if (!get_varint(r, n)) return false;
    if (n == 0)
      v.reset();
    else
      v = n - 1;
    return true;
  }
  static constexpr bool fits(const value& v) noexcept { return !v || *v < varint_max; }
  static constexpr std::size_t size(const value& v) noexcept { return varint_size(v ? *v + 1 : 0); }
  static constexpr void put(writer& w, const value& v) noexcept { put_varint(w, v ? *v + 1 : 0); }
};
/// (i) where absent travels as 0 and comes back as 0: both say "from wherever it begins"
struct floor_kind {
  using value = std::optional<std::uint64_t>;
  MOQL_INLINE static constexpr bool get(reader& r, value& v) noexcept {
    std::uint64_t n{};
    if (!get_varint(r, n)) return false;
    v = n;
    return true;
  }
  static constexpr bool fits(const value& v) noexcept { return v.value_or(0) <= varint_max; }
  static constexpr std::size_t size(const value& v) noexcept { return varint_size(v.value_or(0)); }
  static constexpr void put(writer& w, const value& v) noexcept { put_varint(w, v.value_or(0)); }
  static constexpr bool same(const value& a, const value& b) noexcept { return a.value_or(0) == b.value_or(0); }
};
/// (8)
struct octet_kind {
  MOQL_INLINE static constexpr bool get(reader& r, std::uint8_t& v) noexcept {
    if (r.p == r.end) [[unlikely]]
      return r.fail(errc::truncated);
    v = *r.p++;
    return true;
  }
  static constexpr bool fits(std::uint8_t) noexcept { return true; }
  static constexpr std::size_t size(std::uint8_t) noexcept { return 1; }
  static constexpr void put(writer& w, std::uint8_t v) noexcept { *w.p++ = v; }
};
/// (8) that is 0 or 1
struct flag_kind {
  MOQL_INLINE static constexpr bool get(reader& r, bool& v) noexcept {
    std::uint8_t b{};
    if (!octet_kind::get(r, b)) return false;
    if (b > 1) [[unlikely]]
      return r.fail(errc::bad_flag);
    v = b != 0;
    return true;
  }
  static constexpr bool fits(bool) noexcept { return true; }
  static constexpr std::size_t size(bool) noexcept { return 1; }
  static constexpr void put(writer& w, bool v) noexcept { *w.p++ = v ? 1 : 0; }
};
/// The priority of 01 and 02, always the last field: the texts say (i), every deployed stack writes (8). The length
/// of the message tells which one came; one byte is what we send.
struct last_priority_kind : octet_kind {
  static constexpr bool get(reader& r, std::uint8_t& v) noexcept {
    if (r.left() == 1) return octet_kind::get(r, v);
    std::uint64_t n{};
    if (!get_varint(r, n)) return false;
    if (n > 255) return r.fail(errc::bad_priority);
    v = static_cast<std::uint8_t>(n);
    return true;
  }
};
namespace detail {
constexpr void put_bytes(writer& w, byte_view v) noexcept {
  if (std::is_constant_evaluated()) {
    for (const std::uint8_t b : v) *w.p++ = b;
  } else if (!v.empty()) {
    std::memcpy(w.p, v.data(), v.size());
    w.p += v.size();
  }
}
}  // namespace detail
/// (i) length, then that many bytes
struct sized_bytes_kind {
  MOQL_INLINE static constexpr bool get(reader& r, byte_view& v) noexcept {
    std::uint64_t n{};
    if (!get_varint(r, n)) return false;
    if (n > r.left()) [[unlikely]]
      return r.fail(errc::truncated);
    v = {r.p, static_cast<std::size_t>(n)};
    r.p += n;
    return true;
  }
  static constexpr bool fits(byte_view) noexcept { return true; }
  static constexpr std::size_t size(byte_view v) noexcept { return varint_size(v.size()) + v.size(); }
  static constexpr void put(writer& w, byte_view v) noexcept {
    put_varint(w, v.size());
    detail::put_bytes(w, v);
  }
};
/// (b): to the end of the enclosing length or datagram
struct rest_kind {
  static constexpr bool get(reader& r, byte_view& v) noexcept {
    v = {r.p, r.left()};
    r.p = r.end;
    return true;
  }
  static constexpr bool fits(byte_view) noexcept { return true; }
  static constexpr std::size_t size(byte_view v) noexcept { return v.size(); }
  static constexpr void put(writer& w, byte_view v) noexcept { detail::put_bytes(w, v); }
};
namespace detail {
constexpr void put_text(writer& w, const text& t) noexcept {
  if (std::is_constant_evaluated()) {
    for (std::size_t i = 0; i < t.size(); ++i) *w.p++ = t[i];
  } else if (!t.empty()) {
    std::memcpy(w.p, t.data(), t.size());
    w.p += t.size();
  }
}
}  // namespace detail
/// (s): a length, then UTF-8; the view borrows the input
struct text_kind {
  MOQL_INLINE static constexpr bool get(reader& r, text& v) noexcept {
    byte_view b{};
    if (!sized_bytes_kind::get(r, b)) return false;
    v = text::of(b.data(), b.size());
    return is_utf8(v) || r.fail(errc::bad_utf8);
  }
  static constexpr bool fits(const text& v) noexcept { return is_utf8(v); }
  static constexpr std::size_t size(const text& v) noexcept { return varint_size(v.size()) + v.size(); }
  static constexpr void put(writer& w, const text& v) noexcept {
    put_varint(w, v.size());
    detail::put_text(w, v);
  }
};
/// (s) that is a broadcast path, a prefix or a suffix: no more than `path_segments_max` segments
struct path_kind : text_kind {
  MOQL_INLINE static constexpr bool get(reader& r, text& v) noexcept {
    return text_kind::get(r, v) && (is_short(v) || r.fail(errc::too_many));
  }
  static constexpr bool fits(const text& v) noexcept { return is_utf8(v) && is_short(v); }

 private:
  static constexpr bool is_short(const text& v) noexcept {
    if (v.size() < 2 * path_segments_max) return true;
    std::size_t n = 0;
    bool inside = false;
    for (std::size_t i = 0; i < v.size(); ++i) {
      const bool slash = v[i] == '/';
      if (!slash && !inside) ++n;
      inside = !slash;
    }
    return n <= path_segments_max;
  }
};
/// A parameter value that is text to the end of its length: no inner length
struct rest_text_kind {
  static constexpr bool get(reader& r, text& v) noexcept {
    v = text::of(r.p, r.left());
    r.p = r.end;
    return is_utf8(v) || r.fail(errc::bad_path);
  }
  static constexpr bool fits(const text& v) noexcept { return is_utf8(v); }
  static constexpr std::size_t size(const text& v) noexcept { return v.size(); }
  static constexpr void put(writer& w, const text& v) noexcept { detail::put_text(w, v); }
};

inline constexpr varint_kind varint;
inline constexpr varint_hot_kind varint_hot;
inline constexpr zigzag_kind zigzagged;
inline constexpr plus_one_kind plus_one;
inline constexpr floor_kind floor;
inline constexpr octet_kind octet;
inline constexpr flag_kind flag;
inline constexpr last_priority_kind last_priority;
inline constexpr sized_bytes_kind sized_bytes;
inline constexpr rest_kind rest;
inline constexpr text_kind string;
inline constexpr path_kind path;
inline constexpr rest_text_kind rest_text;

}  // namespace moql::wire
