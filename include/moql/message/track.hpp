#pragma once
/// The Track stream (05, 06): draft 06 sections 7.11 and 7.12.

#include "../wire/codec.hpp"

namespace moql::msg {
namespace w = wire;

/// TRACK: asks for a track's fixed properties.
struct track {
  static constexpr std::string_view name(version) noexcept { return "TRACK"; }
  static constexpr version_set in = since(lite05);

  text broadcast{};
  text track_name{};

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Broadcast Path", w::path, m.broadcast)  //
           && v("Track Name", w::string, m.track_name);
  }
  friend constexpr bool operator==(const track&, const track&) noexcept = default;
};

/// TRACK_INFO: what never changes for a track's life.
struct track_info {
  static constexpr std::string_view name(version) noexcept { return "TRACK_INFO"; }
  static constexpr version_set in = since(lite05);

  std::uint8_t priority{};     ///< Breaks ties between subscriptions of equal subscriber priority.
  bool ordered{};              ///< 05 only.
  std::uint64_t max_age_ms{};  ///< Upper bound on how long groups that are not the latest are cached.
  std::uint64_t timescale{};   ///< Timestamp units per second, never 0.

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Publisher Priority", w::octet, m.priority)                                          //
           && v("Publisher Ordered", w::flag, m.ordered, only(lite05))                            //
           && v({"Publisher Max Latency", "Publisher Max Age", lite06}, w::varint, m.max_age_ms)  //
           && v("Timescale", w::varint, m.timescale)                                              //
           && v.rule(m.timescale != 0, errc::zero_timescale);
  }
  friend constexpr bool operator==(const track_info&, const track_info&) noexcept = default;
};

}  // namespace moql::msg
