#pragma once
/// PROBE (03 on): draft 06 section 7.17. From the subscriber a target, from the publisher a measurement.

#include "../wire/codec.hpp"

namespace moql::msg {
namespace w = wire;

struct probe {
  static constexpr std::string_view name(version) noexcept { return "PROBE"; }
  static constexpr version_set in = since(lite03);

  std::uint64_t bitrate{};  ///< Bits per second; 0 is unknown.
  std::uint64_t rtt_ms{};   ///< Smoothed round trip in milliseconds; 0 is unknown.

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Bitrate", w::varint, m.bitrate)  //
           && v("RTT", w::varint, m.rtt_ms, since(lite04));
  }
  friend constexpr bool operator==(const probe&, const probe&) noexcept = default;
};

}  // namespace moql::msg
