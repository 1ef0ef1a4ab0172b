#pragma once
/// Looking at messages from outside: as text, for comparison, as random values, field by field.
/// For tests, fuzzing, benchmarks and tools; the library itself never includes it.

#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "codec.hpp"

namespace moql::inspect {

namespace detail {
/// An element of a list that has fields of its own, see wire::record_kind.
template <class T, class V>
concept record = requires(T& t, V& v) {
  { T::fields(t, v) } -> std::same_as<bool>;
};
}  // namespace detail

// ---------------------------------------------------------------------------------------------------- as text

/// Appends one value: numbers in decimal, text quoted with \xNN for what does not print, bytes in hex.
inline void print_value(std::string& out, std::uint64_t v) { out += std::to_string(v); }
inline void print_value(std::string& out, std::uint8_t v) { out += std::to_string(unsigned{v}); }
inline void print_value(std::string& out, std::int64_t v) { out += std::to_string(v); }
inline void print_value(std::string& out, bool v) { out += v ? "yes" : "no"; }
inline void print_hex(std::string& out, std::uint8_t b) {
  constexpr char digits[] = "0123456789abcdef";
  out += digits[b >> 4];
  out += digits[b & 15];
}
inline void print_value(std::string& out, byte_view v) {
  for (const std::uint8_t b : v) print_hex(out, b);
}
inline void print_value(std::string& out, const text& v) {
  out += '"';
  for (std::size_t i = 0; i < v.size(); ++i) {
    const std::uint8_t c = v[i];
    if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f) {
      out += "\\x";
      print_hex(out, c);
    } else {
      out += static_cast<char>(c);
    }
  }
  out += '"';
}
template <class T>
void print_value(std::string& out, const std::optional<T>& v) {
  if (v)
    print_value(out, *v);
  else
    out += "none";
}

struct printer {
  version ver;
  std::string& out;
  bool first = true;
  template <class Kind, class T>
  bool operator()(const field_name& name, Kind, const T& v, version_set in = always) {
    if (in.has(ver)) one(name.in(ver), v);
    return true;
  }
  bool rule(bool, errc, version_set = always) { return true; }
  bool parameters(auto... known) {
    const auto each = [&](const auto& p) {
      if (p.in.has(ver) && *p.value) one(p.name, **p.value);
    };
    (each(known), ...);
    return true;
  }

 private:
  template <class T>
  void one(std::string_view name, const T& v) {
    if (!first) out += ", ";
    first = false;
    out += name;
    out += '=';
    value(v);
  }
  template <class T>
  void value(const T& v) {
    if constexpr (detail::record<const T, printer>) {
      out += '{';
      printer inner{ver, out};
      (void)T::fields(v, inner);
      out += '}';
    } else {
      print_value(out, v);
    }
  }
  template <class E, class K, std::size_t Max>
  void value(const wire::list<E, K, Max>& v) {
    out += '[';
    bool begun = false;
    for (const E& e : v) {
      if (begun) out += ", ";
      begun = true;
      value(e);
    }
    out += ']';
  }
};

/// One line: the name and the fields that `v` has, by the names of its draft.
template <class M>
[[nodiscard]] std::string print(const M& m, version v) {
  std::string out(M::name(v));
  out += " {";
  printer p{v, out};
  (void)M::fields(m, p);
  return out += '}';
}

// ------------------------------------------------------------------------------------------------- comparison

namespace detail {
struct address_collector {
  version ver;
  std::vector<const void*> at{};
  template <class Kind, class T>
  bool operator()(const field_name&, Kind, const T& v, version_set in = always) {
    if (in.has(ver)) at.push_back(&v);
    return true;
  }
  bool rule(bool, errc, version_set = always) { return true; }
  bool parameters(auto... known) {
    (at.push_back(known.value), ...);
    return true;
  }
};
struct comparer {
  version ver;
  const std::vector<const void*>& other;
  std::size_t next = 0;
  bool same = true;
  template <class Kind, class T>
  bool operator()(const field_name&, Kind, const T& v, version_set in = always) {
    if (!in.has(ver)) return true;
    const T& o = *static_cast<const T*>(other[next++]);
    if constexpr (requires { Kind::same(v, o); })
      same = same && Kind::same(v, o);
    else if constexpr (std::same_as<T, byte_view>)
      same = same && text::of(v.data(), v.size()) == text::of(o.data(), o.size());
    else
      same = same && v == o;
    return true;
  }
  bool rule(bool, errc, version_set = always) { return true; }
  bool parameters(auto... known) {
    const auto each = [&](const auto& p) {
      using optional = std::remove_pointer_t<decltype(p.value)>;
      const auto& o = *static_cast<const optional*>(other[next++]);
      if (p.in.has(ver)) same = same && *p.value == o;
    };
    (each(known), ...);
    return true;
  }
};
}  // namespace detail

/// Whether both say the same in `v`: fields that the version lacks do not count.
template <class M>
[[nodiscard]] bool same_in(const M& a, const M& b, version v) {
  detail::address_collector addresses{v};
  (void)M::fields(b, addresses);
  detail::comparer c{v, addresses.at};
  (void)M::fields(a, c);
  return c.same;
}

// ---------------------------------------------------------------------------------------------- random values

/// Keeps what generated messages borrow. Addresses stay valid until the arena dies.
class arena {
 public:
  arena() = default;
  arena(arena&&) = default;
  arena& operator=(arena&&) = default;
  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;

  [[nodiscard]] byte_view keep(byte_view v) {
    bytes_.emplace_back(v.begin(), v.end());
    return {bytes_.back().data(), bytes_.back().size()};
  }
  [[nodiscard]] text keep(std::string_view s) {
    const byte_view v = keep(byte_view(reinterpret_cast<const std::uint8_t*>(s.data()), s.size()));
    return text::of(v.data(), v.size());
  }
  template <class T>
  [[nodiscard]] std::span<const T> keep(const std::vector<T>& v) {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= alignof(std::max_align_t));
    blocks_.emplace_back((v.size() * sizeof(T) + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t) + 1);
    auto* to = reinterpret_cast<T*>(blocks_.back().data());
    for (std::size_t i = 0; i < v.size(); ++i) ::new (static_cast<void*>(to + i)) T(v[i]);
    return {to, v.size()};
  }

 private:
  std::vector<std::vector<std::uint8_t>> bytes_;
  std::vector<std::vector<std::max_align_t>> blocks_;
};

/// Values a message may have, drawn so that the borders of every encoding come often. Depends on the generator's
/// numbers alone, so one seed gives the same messages everywhere.
template <class Rng>
class generator {
 public:
  generator(version v, Rng& rng, arena& memory) : ver_(v), rng_(rng), memory_(memory) {}
  template <class Kind, class T>
  bool operator()(const field_name&, Kind, T& out, version_set in = always) {
    if (!in.has(ver_)) return true;
    do value(out);
    while (!Kind::fits(out));
    return true;
  }
  bool rule(bool holds, errc, version_set in = always) { return holds || !in.has(ver_); }
  bool parameters(auto... known) {
    const auto each = [&](auto& p) {
      p.value->reset();
      if (!p.in.has(ver_) || below(2) == 0) return;
      do value(p.value->emplace());
      while (!p.kind.fits(**p.value));
    };
    (each(known), ...);
    return true;
  }

  [[nodiscard]] std::uint64_t below(std::uint64_t n) { return static_cast<std::uint64_t>(rng_()) % n; }
  [[nodiscard]] std::uint64_t number() {
    constexpr std::uint64_t borders[] = {0,
                                         1,
                                         2,
                                         63,
                                         64,
                                         16383,
                                         16384,
                                         (1u << 30) - 1,
                                         1u << 30,
                                         (1ull << 53) - 1,
                                         1ull << 53,
                                         wire::varint_max - 1,
                                         wire::varint_max};
    if (below(3) != 0) return borders[below(std::size(borders))];
    return (static_cast<std::uint64_t>(rng_()) & wire::varint_max) >> below(62);
  }

 private:
  void value(std::uint64_t& v) { v = number(); }
  void value(std::int64_t& v) { v = wire::unzigzag(number()); }
  void value(bool& v) { v = below(2) == 1; }
  void value(std::uint8_t& v) {
    constexpr std::uint8_t borders[] = {0, 1, 63, 64, 127, 128, 254, 255};
    v = below(2) == 0 ? borders[below(std::size(borders))] : static_cast<std::uint8_t>(below(256));
  }
  void value(std::optional<std::uint64_t>& v) {
    if (below(4) == 0)
      v.reset();
    else
      v = number();
  }
  void value(byte_view& v) {
    std::vector<std::uint8_t> b(length());
    for (std::uint8_t& x : b) x = static_cast<std::uint8_t>(below(256));
    v = memory_.keep(byte_view(b));
  }
  void value(text& v) {
    constexpr std::string_view pieces[] = {"a", "b",    "/",        "room",         "alice",
                                           ".", "?t=1", "\xc3\xa9", "\xe6\x97\xa5", "\xf0\x9f\x8e\xa5"};
    std::string s;
    const std::size_t n = length();
    while (s.size() < n) {
      const std::string_view p = pieces[below(std::size(pieces))];
      s += s.size() + p.size() <= n ? p : std::string_view("x");
    }
    v = memory_.keep(std::string_view(s));
  }
  template <class T>
  void value(T& v) {
    static_assert(detail::record<T, generator>);
    v = {};
    (void)T::fields(v, *this);
  }
  template <class E, class K, std::size_t Max>
  void value(wire::list<E, K, Max>& v) {
    const std::size_t n = Max <= 128 && below(16) == 0 ? Max : below(5);
    std::vector<E> all(n);
    for (E& e : all) {
      if constexpr (std::same_as<E, std::uint64_t>)
        e = n == Max ? static_cast<std::uint64_t>(rng_()) & wire::varint_max : number();  // borders would repeat
      else
        do value(e);
        while (!K::fits(e));
    }
    v = memory_.keep(all);
  }
  [[nodiscard]] std::size_t length() {
    constexpr std::size_t borders[] = {0, 0, 1, 5, 10, 63, 64, 300};
    return below(4) != 0 ? borders[below(std::size(borders))] : static_cast<std::size_t>(below(100));
  }
  version ver_;
  Rng& rng_;
  arena& memory_;
};

/// A random message that can be written in `v`: every value fits, every rule between fields holds.
template <class M, class Rng>
[[nodiscard]] M generate(Rng& rng, version v, arena& memory) {
  for (int tries = 0; tries < 100'000; ++tries) {
    M m{};
    generator<Rng> g(v, rng, memory);
    if (M::fields(m, g) && measure(m, v).why == errc::ok) return m;
  }
  broken_promise();
}

// ------------------------------------------------------------------------------------------------- field by field

/// Where a field lies in a body that `encode` writes.
struct field_offset {
  std::string_view name;
  std::size_t offset{};
  std::size_t size{};
};

namespace detail {
struct offset_finder {
  version ver;
  std::size_t at = 0;
  std::vector<field_offset> found{};
  template <class Kind, class T>
  bool operator()(const field_name& name, Kind, const T& v, version_set in = always) {
    if (in.has(ver)) add(name.in(ver), Kind::size(v));
    return true;
  }
  bool rule(bool, errc, version_set = always) { return true; }
  bool parameters(auto... known) {
    add("Parameter Count",
        wire::varint_size((std::uint64_t{0} + ... + std::uint64_t{*known.value && known.in.has(ver)})));
    const auto each = [&](const auto& p) {
      if (!*p.value || !p.in.has(ver)) return;
      const std::size_t n = p.kind.size(**p.value);
      add(p.name, wire::varint_size(p.id) + wire::varint_size(n) + n);
    };
    (each(known), ...);
    return true;
  }
  void add(std::string_view name, std::size_t n) {
    found.push_back({name, at, n});
    at += n;
  }
};
}  // namespace detail

/// Every field that is on the wire in `v`, in order; a parameter counts with its id and length.
template <class M>
[[nodiscard]] std::vector<field_offset> offsets(const M& m, version v) {
  detail::offset_finder f{v};
  (void)M::fields(m, f);
  return std::move(f.found);
}

}  // namespace moql::inspect
