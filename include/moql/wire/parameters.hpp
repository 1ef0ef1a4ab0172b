#pragma once
/// The parameter list of SETUP (draft 06 section 7.3): unknown ids are skipped, repeated ones refused.

#include <string_view>

#include "kinds.hpp"

namespace moql::wire {

/// One known parameter: `value` is a std::optional of the message, const where the message is.
template <class Kind, class Optional>
struct parameter {
  std::uint64_t id;
  std::string_view name;
  Kind kind;
  Optional* value;
  version_set in;
};

template <class Kind, class Optional>
constexpr parameter<Kind, Optional> param(std::uint64_t id, std::string_view name, Kind kind, Optional& value,
                                          version_set in = always) noexcept {
  return {id, name, kind, &value, in};
}

template <class K, class O>
constexpr bool get_parameter(reader& value, std::uint64_t id, version v, parameter<K, O>& known) noexcept {
  if (known.id != id || !known.in.has(v)) return true;
  // An overrun or a rest inside the value's own length is a malformed pair, not a malformed message.
  if (!K::get(value, known.value->emplace())) {
    if (value.why == errc::truncated) value.why = errc::bad_parameter;
    return false;
  }
  return value.left() == 0 || value.fail(errc::bad_parameter);
}

constexpr bool get_parameters(reader& r, version v, auto&... known) noexcept {
  std::uint64_t count{};
  if (!get_varint(r, count)) return false;
  if (count * 2 > r.left()) return r.fail(errc::truncated);  // an id and a length each
  if (count > parameters_max) return r.fail(errc::too_many);
  std::uint64_t seen[parameters_max]{};
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t id{};
    std::uint64_t size{};
    if (!get_varint(r, id) || !get_varint(r, size)) return false;
    if (size > r.left()) return r.fail(errc::truncated);
    for (std::uint64_t j = 0; j < i; ++j)
      if (seen[j] == id) return r.fail(errc::duplicate_parameter);
    seen[i] = id;
    reader value{r.p, r.p + size, {}};
    r.p += size;
    if (!(get_parameter(value, id, v, known) && ...)) return r.fail(value.why);
  }
  return true;
}

constexpr bool size_parameters(version v, std::size_t& n, auto&... known) noexcept {
  std::size_t count = 0;
  bool fits = true;
  const auto one = [&](const auto& p) {
    if (!*p.value || !p.in.has(v)) return;
    ++count;
    fits = fits && p.kind.fits(**p.value);
    if (!fits) return;
    const std::size_t size = p.kind.size(**p.value);
    n += varint_size(p.id) + varint_size(size) + size;
  };
  (one(known), ...);
  n += varint_size(count);
  return fits;
}

constexpr void put_parameters(writer& w, version v, auto&... known) noexcept {
  put_varint(w, (std::uint64_t{0} + ... + std::uint64_t{known.value->has_value() && known.in.has(v)}));
  const auto one = [&](const auto& p) {
    if (!*p.value || !p.in.has(v)) return;
    put_varint(w, p.id);
    put_varint(w, p.kind.size(**p.value));
    p.kind.put(w, **p.value);
  };
  (one(known), ...);
}

}  // namespace moql::wire
