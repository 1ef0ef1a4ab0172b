#pragma once
/// The Announce stream: draft 06 sections 7.4 to 7.8, and what 01 to 05 had in their place.

#include "../wire/codec.hpp"

namespace moql::msg {
namespace w = wire;

/// The first message of an Announce stream: which prefix the subscriber wants to hear about; empty means everything.
struct announce_request {
  static constexpr std::string_view name(version v) noexcept {
    return before(lite04).has(v) ? "ANNOUNCE_PLEASE" : v == lite04 ? "ANNOUNCE_INTEREST" : "ANNOUNCE_REQUEST";
  }
  static constexpr version_set in = always;

  text prefix{};
  std::uint64_t exclude_hop{};  ///< Announcements that passed this hop are not wanted; 0 means none.

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Broadcast Path Prefix", w::path, m.prefix)  //
           && v("Exclude Hop", w::varint, m.exclude_hop, only(lite04, lite05));
  }
  friend constexpr bool operator==(const announce_request&, const announce_request&) noexcept = default;
};

/// ANNOUNCE_INIT (01, 02): every active suffix at the start, in one message.
struct announce_init {
  static constexpr std::string_view name(version) noexcept { return "ANNOUNCE_INIT"; }
  static constexpr version_set in = before(lite03);

  w::list<text, w::path_kind, std::size_t{1} << 20> suffixes{};

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Broadcast Path Suffixes", w::counted, m.suffixes);
  }
  friend constexpr bool operator==(const announce_init&, const announce_init&) noexcept = default;
};

/// ANNOUNCE_OK (05, 06): what holds for every announcement of the stream.
struct announce_ok {
  static constexpr std::string_view name(version) noexcept { return "ANNOUNCE_OK"; }
  static constexpr version_set in = since(lite05);

  std::uint64_t hop{};           ///< The publisher's own Hop ID, the last of every path here; 0 is unknown.
  std::uint64_t active_count{};  ///< How many announcements make up the initial set.

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Hop ID", w::varint, m.hop)  //
           && v("Active Count", w::varint, m.active_count);
  }
  friend constexpr bool operator==(const announce_ok&, const announce_ok&) noexcept = default;
};

/// ANNOUNCE (01 to 04) and ANNOUNCE_BROADCAST (05): one path became active or ended.
struct announce {
  static constexpr std::string_view name(version v) noexcept {
    return before(lite05).has(v) ? "ANNOUNCE" : "ANNOUNCE_BROADCAST";
  }
  static constexpr version_set in = before(lite06);
  static constexpr std::uint64_t ended = 0, active = 1;
  /// Never published, but deployed 05 receivers take it for `active`.
  static constexpr std::uint64_t restarted = 2;

  std::uint64_t status{};
  text suffix{};
  std::uint64_t hop_count{};  ///< 03 carries only how many hops there were.
  w::hop_list hops{};         ///< 04: the sender's own is the last. 05: the sender's own is in ANNOUNCE_OK.

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Announce Status", w::varint, m.status)                         //
           && v.rule(m.status <= active, errc::bad_status, before(lite05))   //
           && v.rule(m.status <= restarted, errc::bad_status, only(lite05))  //
           && v("Broadcast Path Suffix", w::path, m.suffix)                  //
           && v("Hops", w::varint, m.hop_count, only(lite03))                //
           && v("Hop IDs", w::counted, m.hops, only(lite04, lite05));
  }
  friend constexpr bool operator==(const announce&, const announce&) noexcept = default;
};

/// Draft 06 section 7.6: a non-zero Hop ID that occurs twice is a loop; 0 matches nothing.
[[nodiscard]] constexpr bool repeats_a_hop(const w::hop_list& hops) noexcept {
  std::uint64_t seen[hops_max]{};  // walking the list again for every element would read every varint again
  std::size_t n = 0;
  for (const std::uint64_t h : hops) {
    for (std::size_t i = 0; i < n; ++i)
      if (h != 0 && seen[i] == h) return true;
    if (n < hops_max) seen[n++] = h;
  }
  return false;
}

/// ANNOUNCE_START (06): a route is available; takes the next Announce ID of the stream, from 0.
struct announce_start {
  static constexpr std::string_view name(version) noexcept { return "ANNOUNCE_START"; }
  static constexpr version_set in = since(lite06);
  static constexpr message_type types[] = {{0x0, since(lite06)}};

  text suffix{};         ///< Empty: the requested prefix itself.
  w::hop_list hops{};    ///< Without the responding publisher.
  std::uint64_t warm{};  ///< Accumulated; selection minimises it.
  std::uint64_t cold{};  ///< Accumulated; breaks ties.

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Broadcast Path Suffix", w::path, m.suffix)           //
           && v("Hop IDs", w::counted, m.hops)                     //
           && v.rule(!repeats_a_hop(m.hops), errc::duplicate_hop)  //
           && v("Warm Route Cost", w::varint, m.warm)              //
           && v("Cold Route Cost", w::varint, m.cold);
  }
  friend constexpr bool operator==(const announce_start&, const announce_start&) noexcept = default;
};

/// ANNOUNCE_END (06): retires an id for good.
struct announce_end {
  static constexpr std::string_view name(version) noexcept { return "ANNOUNCE_END"; }
  static constexpr version_set in = since(lite06);
  static constexpr message_type types[] = {{0x1, since(lite06)}};

  std::uint64_t id{};

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Announce ID", w::varint, m.id);
  }
  friend constexpr bool operator==(const announce_end&, const announce_end&) noexcept = default;
};

/// ANNOUNCE_UPDATE (06): new hops and costs for a live id.
struct announce_update {
  static constexpr std::string_view name(version) noexcept { return "ANNOUNCE_UPDATE"; }
  static constexpr version_set in = since(lite06);
  static constexpr message_type types[] = {{0x2, since(lite06)}};

  std::uint64_t id{};
  w::hop_list hops{};
  std::uint64_t warm{};
  std::uint64_t cold{};

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Announce ID", w::varint, m.id)                       //
           && v("Hop IDs", w::counted, m.hops)                     //
           && v.rule(!repeats_a_hop(m.hops), errc::duplicate_hop)  //
           && v("Warm Route Cost", w::varint, m.warm)              //
           && v("Cold Route Cost", w::varint, m.cold);
  }
  friend constexpr bool operator==(const announce_update&, const announce_update&) noexcept = default;
};

}  // namespace moql::msg
