#pragma once
/// Decode, encode and size, all derived from a message's one declaration `fields(m, v)`.

#include "list.hpp"
#include "parameters.hpp"

namespace moql {

/// How a message is delimited on its stream.
enum class framing : std::uint8_t {
  length,  ///< (i) length, then the body
  u16,     ///< 16-bit big-endian length, then the body: CLIENT_SETUP and SERVER_SETUP of 01 and 02
  bare,    ///< no length: the fields alone (FRAME header, DATAGRAM)
};

/// A Type that precedes a message in some versions.
struct message_type {
  std::uint64_t code;
  version_set in;
};

/// A field's name in the drafts; later drafts renamed some.
struct field_name {
  std::string_view name;
  std::string_view newer{};
  version from{};
  constexpr field_name(const char* n) noexcept : name(n) {}
  constexpr field_name(const char* n, const char* renamed, version v) noexcept : name(n), newer(renamed), from(v) {}
  [[nodiscard]] constexpr std::string_view in(version v) const noexcept {
    return !newer.empty() && since(from).has(v) ? newer : name;
  }
};

namespace wire {

struct decoder {
  reader r;
  version ver;
  template <class Kind, class T>
  MOQL_INLINE constexpr bool operator()(const field_name&, Kind, T& out, version_set in = always) noexcept {
    return !in.has(ver) || Kind::get(r, out);
  }
  /// A rule between fields; what it returns is the peer's fault.
  MOQL_INLINE constexpr bool rule(bool holds, errc why, version_set in = always) noexcept {
    return holds || !in.has(ver) || r.fail(why);
  }
  constexpr bool parameters(auto... known) noexcept { return get_parameters(r, ver, known...); }
};

struct sizer {
  version ver;
  std::size_t n{};
  errc why{};
  template <class Kind, class T>
  MOQL_INLINE constexpr bool operator()(const field_name&, Kind, const T& v, version_set in = always) noexcept {
    if (!in.has(ver)) return true;
    if (!Kind::fits(v)) [[unlikely]]
      why = errc::bad_argument;
    else
      n += Kind::size(v);
    return true;
  }
  constexpr bool rule(bool holds, errc, version_set in = always) noexcept {
    if (!holds && in.has(ver)) why = errc::bad_argument;
    return true;
  }
  constexpr bool parameters(auto... known) noexcept {
    if (!size_parameters(ver, n, known...)) why = errc::bad_argument;
    return true;
  }
};

struct encoder {
  writer w;
  version ver;
  template <class Kind, class T>
  MOQL_INLINE constexpr bool operator()(const field_name&, Kind, const T& v, version_set in = always) noexcept {
    if (in.has(ver)) Kind::put(w, v);
    return true;
  }
  constexpr bool rule(bool, errc, version_set = always) noexcept { return true; }
  constexpr bool parameters(auto... known) noexcept {
    put_parameters(w, ver, known...);
    return true;
  }
};

/// An element of a list that has fields of its own. They are the same in every version.
template <class T>
struct record_kind {
  static constexpr bool get(reader& r, T& e) noexcept {
    e = {};
    decoder d{r, lite01};
    const bool good = T::fields(e, d);
    r = d.r;
    return good;
  }
  static constexpr bool fits(const T& e) noexcept {
    sizer s{lite01};
    return T::fields(e, s) && s.why == errc::ok;
  }
  static constexpr std::size_t size(const T& e) noexcept {
    sizer s{lite01};
    (void)T::fields(e, s);
    return s.n;
  }
  static constexpr void put(writer& w, const T& e) noexcept {
    encoder to{w, lite01};
    (void)T::fields(e, to);
    w = to.w;
  }
};

}  // namespace wire

/// The Type that precedes M in `v`, or none.
template <class M>
[[nodiscard]] constexpr std::optional<std::uint64_t> type_of(version v) noexcept {
  if constexpr (requires { M::types; }) {
    for (const message_type& t : M::types)
      if (t.in.has(v)) return t.code;
  }
  return {};
}
template <class M>
[[nodiscard]] constexpr framing framing_of() noexcept {
  if constexpr (requires { M::framed; })
    return M::framed;
  else
    return framing::length;
}

/// Decodes a body whose bytes are all here: right or wrong, never `need_more`. Text and lists in `out` borrow `body`.
template <class M>
[[nodiscard]] constexpr errc decode_body(byte_view body, version v, M& out) noexcept {
  if (!M::in.has(v)) return errc::not_in_version;
  wire::decoder d{{body.data(), body.data() + body.size(), {}}, v};
  if (!M::fields(out, d)) return d.r.why;
  return d.r.left() == 0 ? errc::ok : errc::trailing;
}

/// The place of the first wrong byte of a body, for tools: how far a decoder comes before it gives up.
template <class M>
[[nodiscard]] constexpr std::size_t fault_offset(byte_view body, version v) noexcept {
  M m{};
  wire::decoder d{{body.data(), body.data() + body.size(), {}}, v};
  (void)M::fields(m, d);
  return body.size() - d.r.left();
}

/// Where a message's parts lie in front of its body.
struct message_head {
  errc why{};  ///< ok, or need_more
  std::optional<std::uint64_t> type{};
  std::uint64_t body_size{};
  std::size_t size{};  ///< Bytes before the body.
};

/// Reads Type (if `typed`) and length. Needs no whole body, so that a length can be judged before its bytes arrive.
[[nodiscard]] constexpr message_head read_head(byte_view in, bool typed, framing how) noexcept {
  message_head h;
  wire::reader r{in.data(), in.data() + in.size(), {}};
  if (typed) {
    std::uint64_t t{};
    if (!wire::get_varint(r, t)) return {errc::need_more, {}, 0, 0};
    h.type = t;
  }
  if (how == framing::u16) {
    if (r.left() < 2) return {errc::need_more, h.type, 0, 0};
    h.body_size = static_cast<std::uint64_t>(r.p[0]) << 8 | r.p[1];
    r.p += 2;
  } else if (how == framing::length) {
    if (!wire::get_varint(r, h.body_size)) return {errc::need_more, h.type, 0, 0};
  }
  h.size = in.size() - r.left();
  return h;
}

template <class M>
struct decoded {
  M message{};
  errc why{};
  std::size_t used{};  ///< Bytes of the input that the message took, Type and length included.
};

/// Decodes one whole message with its Type and length. `need_more` takes nothing.
template <class M>
[[nodiscard]] constexpr decoded<M> decode(byte_view in, version v) noexcept {
  decoded<M> d;
  if (!M::in.has(v)) {
    d.why = errc::not_in_version;
    return d;
  }
  if constexpr (framing_of<M>() == framing::bare) {
    wire::decoder dec{{in.data(), in.data() + in.size(), {}}, v};
    if (!M::fields(d.message, dec)) d.why = dec.r.why == errc::truncated ? errc::need_more : dec.r.why;
    d.used = d.why == errc::need_more ? 0 : in.size() - dec.r.left();
  } else {
    const auto type = type_of<M>(v);
    const message_head h = read_head(in, type.has_value(), framing_of<M>());
    if (h.type && type && *h.type != *type) {
      d.why = errc::unknown_message;
    } else if (h.why != errc::ok || h.body_size > in.size() - h.size) {
      d.why = errc::need_more;
    } else {
      d.why = decode_body(in.subspan(h.size, static_cast<std::size_t>(h.body_size)), v, d.message);
      d.used = h.size + static_cast<std::size_t>(h.body_size);
    }
  }
  return d;
}

/// The size of a message, or why it cannot be written.
struct measured {
  std::size_t size{};  ///< All of it: Type, length, body.
  std::size_t body{};
  errc why{};
};

template <class M>
[[nodiscard]] constexpr measured measure(const M& m, version v) noexcept {
  if (!M::in.has(v)) return {0, 0, errc::not_in_version};
  wire::sizer s{v};
  (void)M::fields(m, s);
  if (s.why != errc::ok || s.n > wire::varint_max) return {0, 0, errc::bad_argument};
  std::size_t head = 0;
  if (const auto t = type_of<M>(v)) head += wire::varint_size(*t);
  if constexpr (framing_of<M>() == framing::length) head += wire::varint_size(s.n);
  if constexpr (framing_of<M>() == framing::u16) {
    head += 2;
    if (s.n > 0xffff) return {0, 0, errc::bad_argument};
  }
  return {head + s.n, s.n, errc::ok};
}
/// Bytes that `encode` will write; 0 when the message cannot be written in `v`.
template <class M>
[[nodiscard]] constexpr std::size_t encoded_size(const M& m, version v) noexcept {
  return measure(m, v).size;
}

/// Writes a measured message; `out` must have room for `at.size` bytes. Returns the end.
template <class M>
constexpr std::uint8_t* encode_measured(const M& m, version v, const measured& at, std::uint8_t* out) noexcept {
  wire::encoder e{{out}, v};
  if (const auto t = type_of<M>(v)) wire::put_varint(e.w, *t);
  if constexpr (framing_of<M>() == framing::length) wire::put_varint(e.w, at.body);
  if constexpr (framing_of<M>() == framing::u16) {
    *e.w.p++ = static_cast<std::uint8_t>(at.body >> 8);
    *e.w.p++ = static_cast<std::uint8_t>(at.body);
  }
  (void)M::fields(m, e);
  return e.w.p;
}

struct encoded {
  std::size_t size{};
  errc why{};  ///< not_in_version, bad_argument (a value that cannot travel) or no_room
};

/// Writes one message with its Type and its minimal length.
template <class M>
[[nodiscard]] constexpr encoded encode(const M& m, version v, std::span<std::uint8_t> out) noexcept {
  const measured at = measure(m, v);
  if (at.why != errc::ok) return {0, at.why};
  if (at.size > out.size()) return {0, errc::no_room};
  (void)encode_measured(m, v, at, out.data());
  return {at.size, errc::ok};
}

}  // namespace moql
