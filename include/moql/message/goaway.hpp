#pragma once
/// GOAWAY (04 on): draft 06 section 7.18.

#include "../wire/codec.hpp"

namespace moql::msg {
namespace w = wire;

struct goaway {
  static constexpr std::string_view name(version) noexcept { return "GOAWAY"; }
  static constexpr version_set in = since(lite04);

  text uri{};  ///< Where to go instead; empty is no redirect. Must be checked before it is used.

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("New Session URI", w::string, m.uri)  //
           && v.rule(m.uri.size() <= uri_bytes_max, errc::uri_too_long, since(lite06));
  }
  friend constexpr bool operator==(const goaway&, const goaway&) noexcept = default;
};

}  // namespace moql::msg
