#pragma once
/// The Subscribe stream: draft 06 sections 7.9, 7.10 and 7.13 to 7.15.

#include "../wire/codec.hpp"

namespace moql::msg {
namespace w = wire;

/// What SUBSCRIBE and SUBSCRIBE_UPDATE share: all of it may change while the subscription lives.
struct delivery {
  std::uint8_t priority{};     ///< 0 to 255, larger is sent first. On 01 and 02 keep it below 64.
  bool ordered{};              ///< 03 to 05: older groups first. 06 has no such field: newest first, always.
  std::uint64_t max_age_ms{};  ///< Age at which a group that is not the latest is dropped ("Max Latency" before 06).
  /// 03 to 05: the first group, absent for the latest. 06: a floor; absent travels as 0, which is no floor.
  std::optional<std::uint64_t> group_start{};
  std::optional<std::uint64_t> group_end{};  ///< Inclusive; absent is unbounded.
  std::uint64_t frame_start{};               ///< 06: first frame of the start group.
  std::optional<std::uint64_t> frame_end{};  ///< 06: inclusive, in the end group; absent is the whole group.
  friend constexpr bool operator==(const delivery&, const delivery&) noexcept = default;
};

template <class V>
MOQL_INLINE constexpr bool delivery_fields(auto& m, V& v) noexcept {
  return v("Subscriber Priority", w::last_priority, m.priority, before(lite03))                                  //
         && v("Subscriber Priority", w::octet, m.priority, since(lite03))                                        //
         && v("Subscriber Ordered", w::flag, m.ordered, only(lite03, lite04, lite05))                            //
         && v({"Subscriber Max Latency", "Subscriber Max Age", lite06}, w::varint, m.max_age_ms, since(lite03))  //
         && v("Group Start", w::plus_one, m.group_start, only(lite03, lite04, lite05))                           //
         && v("Group Start", w::floor, m.group_start, since(lite06))                                             //
         && v("Group End", w::plus_one, m.group_end, since(lite03))                                              //
         && v("Frame Start", w::varint, m.frame_start, since(lite06))                                            //
         && v("Frame End", w::plus_one, m.frame_end, since(lite06))                                              //
         && v.rule(m.group_end || !m.frame_end, errc::bad_frame_bounds, since(lite06));
}

/// SUBSCRIBE: the subscriber asks for one track. The first message of a Subscribe stream.
struct subscribe {
  static constexpr std::string_view name(version) noexcept { return "SUBSCRIBE"; }
  static constexpr version_set in = always;

  std::uint64_t id{};
  text broadcast{};
  text track{};
  delivery want{};

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Subscribe ID", w::varint, m.id)            //
           && v("Broadcast Path", w::path, m.broadcast)  //
           && v("Track Name", w::string, m.track)        //
           && delivery_fields(m.want, v);
  }
  friend constexpr bool operator==(const subscribe&, const subscribe&) noexcept = default;
};

/// SUBSCRIBE_UPDATE: replaces all of the subscriber's wishes.
struct subscribe_update {
  static constexpr std::string_view name(version) noexcept { return "SUBSCRIBE_UPDATE"; }
  static constexpr version_set in = always;

  delivery want{};

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return delivery_fields(m.want, v);
  }
  friend constexpr bool operator==(const subscribe_update&, const subscribe_update&) noexcept = default;
};

/// SUBSCRIBE_OK in its five layouts: 01 a priority, 02 nothing, 03 and 04 the track's properties and a start that may
/// still be unknown, 05 and 06 the resolved start alone.
struct subscribe_ok {
  static constexpr std::string_view name(version) noexcept { return "SUBSCRIBE_OK"; }
  static constexpr version_set in = always;
  static constexpr message_type types[] = {{0x0, since(lite03)}};

  std::uint8_t priority{};
  bool ordered{};
  std::uint64_t max_age_ms{};
  std::optional<std::uint64_t> group_start{}, group_end{};  ///< 03, 04: absent start is "not known yet".
  std::uint64_t group{};                                    ///< 05, 06: the first group that will be delivered.

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Publisher Priority", w::last_priority, m.priority, only(lite01))           //
           && v("Publisher Priority", w::octet, m.priority, only(lite03, lite04))        //
           && v("Publisher Ordered", w::flag, m.ordered, only(lite03, lite04))           //
           && v("Publisher Max Latency", w::varint, m.max_age_ms, only(lite03, lite04))  //
           && v("Group Start", w::plus_one, m.group_start, only(lite03, lite04))         //
           && v("Group End", w::plus_one, m.group_end, only(lite03, lite04))             //
           && v("Group", w::varint, m.group, since(lite05));
  }
  friend constexpr bool operator==(const subscribe_ok&, const subscribe_ok&) noexcept = default;
};

/// SUBSCRIBE_END (05, 06): no further groups. Exclusive: one past the last group, 0 when there is none. The text of 05
/// says inclusive; what travels, on 05 too, is exclusive.
struct subscribe_end {
  static constexpr std::string_view name(version) noexcept { return "SUBSCRIBE_END"; }
  static constexpr version_set in = since(lite05);
  static constexpr message_type types[] = {{0x1, since(lite05)}};

  std::uint64_t group{};

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Group", w::varint, m.group);
  }
  friend constexpr bool operator==(const subscribe_end&, const subscribe_end&) noexcept = default;
};

/// SUBSCRIBE_DROP (03 on): groups that will not be delivered, both ends inclusive.
struct subscribe_drop {
  static constexpr std::string_view name(version) noexcept { return "SUBSCRIBE_DROP"; }
  static constexpr version_set in = since(lite03);
  static constexpr message_type types[] = {{0x1, only(lite03, lite04)}, {0x2, since(lite05)}};

  std::uint64_t group_start{};
  std::uint64_t group_end{};
  std::uint64_t code{};  ///< A space of its own: 0 is "unavailable", everything else is the application's.

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Group Start", w::varint, m.group_start)  //
           && v("Group End", w::varint, m.group_end)   //
           && v("Error Code", w::varint, m.code);
  }
  friend constexpr bool operator==(const subscribe_drop&, const subscribe_drop&) noexcept = default;
};

}  // namespace moql::msg
