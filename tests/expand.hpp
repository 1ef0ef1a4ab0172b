#pragma once
/// Messages as a wasteful but correct peer writes them: no varint minimal.

#include <cstdint>
#include <vector>

#include "moql/wire/codec.hpp"

namespace moql::inspect {

/// Writes every varint, lengths and counts included, at least `width` bytes wide (2, 4 or 8).
struct expander {
  version ver;
  std::size_t width;
  std::vector<std::uint8_t> out{};

  template <class Kind, class T>
  bool operator()(const field_name&, Kind kind, const T& v, version_set in = always) {
    if (in.has(ver)) put(kind, v);
    return true;
  }
  bool rule(bool, errc, version_set = always) { return true; }
  bool parameters(auto... known) {
    varint((std::uint64_t{0} + ... + std::uint64_t{*known.value && known.in.has(ver)}));
    const auto each = [&](const auto& p) {
      if (!*p.value || !p.in.has(ver)) return;
      expander inner{ver, width};
      inner.put(p.kind, **p.value);
      varint(p.id);
      varint(inner.out.size());
      out.insert(out.end(), inner.out.begin(), inner.out.end());
    };
    (each(known), ...);
    return true;
  }
  void varint(std::uint64_t v) {
    const std::size_t n = wire::varint_size(v) > width ? wire::varint_size(v) : width;
    const auto prefix = static_cast<std::uint8_t>(n == 1 ? 0 : n == 2 ? 0x40 : n == 4 ? 0x80 : 0xc0);
    for (std::size_t i = n; i-- > 0;) out.push_back(static_cast<std::uint8_t>(v >> (8 * i)));
    out[out.size() - n] = static_cast<std::uint8_t>(out[out.size() - n] | prefix);
  }
  void raw(const std::uint8_t* p, std::size_t n) { out.insert(out.end(), p, p + n); }

  void put(wire::varint_kind, std::uint64_t v) { varint(v); }
  void put(wire::zigzag_kind, std::int64_t v) { varint(wire::zigzag(v)); }
  void put(wire::plus_one_kind, const std::optional<std::uint64_t>& v) { varint(v ? *v + 1 : 0); }
  void put(wire::floor_kind, const std::optional<std::uint64_t>& v) { varint(v.value_or(0)); }
  void put(wire::octet_kind, std::uint8_t v) { out.push_back(v); }
  void put(wire::flag_kind, bool v) { out.push_back(v ? 1 : 0); }
  void put(wire::last_priority_kind, std::uint8_t v) { varint(v); }
  void put(wire::sized_bytes_kind, byte_view v) {
    varint(v.size());
    raw(v.data(), v.size());
  }
  void put(wire::rest_kind, byte_view v) { raw(v.data(), v.size()); }
  void put(wire::text_kind, const text& v) {
    varint(v.size());
    raw(v.data(), v.size());
  }
  void put(wire::rest_text_kind, const text& v) { raw(v.data(), v.size()); }
  template <class E, class K, std::size_t Max>
  void put(wire::list_kind, const wire::list<E, K, Max>& v) {
    varint(v.size());
    for (const E& e : v) put(K{}, e);
  }
  template <class T>
  void put(wire::record_kind<T>, const T& v) {
    (void)T::fields(v, *this);
  }
};

/// A whole message with Type and length, all integers widened; empty when a 16-bit length cannot hold it.
template <class M>
[[nodiscard]] std::vector<std::uint8_t> expand(const M& m, version v, std::size_t width) {
  expander body{v, width};
  (void)M::fields(m, body);
  expander whole{v, width};
  if (const auto t = type_of<M>(v)) whole.varint(*t);
  const std::size_t n = body.out.size();
  if constexpr (framing_of<M>() == framing::length) whole.varint(n);
  if constexpr (framing_of<M>() == framing::u16) {
    if (n > 0xffff) return {};
    whole.out.push_back(static_cast<std::uint8_t>(n >> 8));
    whole.out.push_back(static_cast<std::uint8_t>(n));
  }
  whole.raw(body.out.data(), n);
  return std::move(whole.out);
}

}  // namespace moql::inspect
