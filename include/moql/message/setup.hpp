#pragma once
/// SETUP: draft 06 section 7.3. The only message of a Setup stream.

#include "../wire/codec.hpp"

namespace moql::msg {
namespace w = wire;

/// Absent is not the same as 0: an absent Cost is 1, an absent Path the default path, and a Role, whatever its value,
/// may not come from a server at all.
struct setup {
  static constexpr std::string_view name(version) noexcept { return "SETUP"; }
  static constexpr version_set in = since(lite05);

  std::optional<std::uint64_t> probe{};  ///< 0 none, 1 report, 2 increase; unknown values are taken as 2.
  std::optional<text> path{};            ///< Path and query of the URL; from clients only.
  std::optional<std::uint64_t> role{};   ///< 0 both, 1 publisher, 2 subscriber; from clients only.
  std::optional<std::uint64_t> cost{};   ///< Price of the sender's egress; absent is 1.
  std::optional<std::uint64_t> hop{};    ///< The sender's Hop ID; 0 equals absent.

  /// Role, Cost and Hop came with 06, but deployed 05 endpoints send them too.
  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v.parameters(w::param(0x1, "Probe", w::varint, m.probe),   //
                        w::param(0x2, "Path", w::rest_text, m.path),  //
                        w::param(0x3, "Role", w::varint, m.role),     //
                        w::param(0x4, "Cost", w::varint, m.cost),     //
                        w::param(0x5, "Hop", w::varint, m.hop));
  }
  friend constexpr bool operator==(const setup&, const setup&) noexcept = default;
};

}  // namespace moql::msg
