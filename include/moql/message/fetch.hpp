#pragma once
/// FETCH (03 on): draft 06 section 7.16. The answer is FRAMEs on the same stream.

#include "../wire/codec.hpp"

namespace moql::msg {
namespace w = wire;

struct fetch {
  static constexpr std::string_view name(version) noexcept { return "FETCH"; }
  static constexpr version_set in = since(lite03);

  text broadcast{};
  text track{};
  std::uint8_t priority{};
  std::uint64_t group{};
  std::uint64_t frame_start{};               ///< 06: index of the first frame wanted.
  std::optional<std::uint64_t> frame_end{};  ///< 06: inclusive; absent is to the end of the group.

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Broadcast Path", w::path, m.broadcast)                     //
           && v("Track Name", w::string, m.track)                        //
           && v("Subscriber Priority", w::octet, m.priority)             //
           && v("Group Sequence", w::varint, m.group)                    //
           && v("Frame Start", w::varint, m.frame_start, since(lite06))  //
           && v("Frame End", w::plus_one, m.frame_end, since(lite06))    //
           && v.rule(!m.frame_end || *m.frame_end >= m.frame_start, errc::bad_fetch_bounds, since(lite06));
  }
  friend constexpr bool operator==(const fetch&, const fetch&) noexcept = default;
};

}  // namespace moql::msg
