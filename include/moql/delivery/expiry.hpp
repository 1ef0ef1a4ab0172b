#pragma once
/// When a group is too old to be sent: the ages that each draft defines, as a pure function.

#include <cstdint>
#include <optional>

#include "../base/time.hpp"
#include "../base/version.hpp"

namespace moql {

namespace detail {
[[nodiscard]] constexpr std::uint64_t saturating_mul(std::uint64_t a, std::uint64_t b) noexcept {
  return b != 0 && a > ~std::uint64_t{0} / b ? ~std::uint64_t{0} : a * b;
}
[[nodiscard]] constexpr std::uint64_t saturating_add(std::uint64_t a, std::uint64_t b) noexcept {
  return a > ~std::uint64_t{0} - b ? ~std::uint64_t{0} : a + b;
}
}  // namespace detail

/// Milliseconds in units of a timescale (units per second), rounded down. A subscriber that wants everything sends
/// huge ages, so a result that does not fit is the largest number instead.
[[nodiscard]] constexpr std::uint64_t to_units(std::uint64_t ms, std::uint64_t timescale) noexcept {
  const std::uint64_t rest = ms % 1000;  // below 1000, so neither product of the second line can overflow
  const std::uint64_t below_a_second = rest * (timescale / 1000) + rest * (timescale % 1000) / 1000;
  return detail::saturating_add(detail::saturating_mul(ms / 1000, timescale), below_a_second);
}
/// The same, rounded up: the smallest number of units that is at least `ms` long.
[[nodiscard]] constexpr std::uint64_t to_units_up(std::uint64_t ms, std::uint64_t timescale) noexcept {
  const bool exact = (ms % 1000) * (timescale % 1000) % 1000 == 0;
  return detail::saturating_add(to_units(ms, timescale), exact ? 0 : 1);
}
/// Units of a timescale in milliseconds, rounded down, saturating. `timescale` is at most 2^62-1; 0 yields 0.
[[nodiscard]] constexpr std::uint64_t to_milliseconds(std::uint64_t units, std::uint64_t timescale) noexcept {
  if (timescale == 0) return 0;
  const std::uint64_t rest = units % timescale;
  std::uint64_t ms = 0;
  if (rest <= ~std::uint64_t{0} / 1000) {
    ms = rest * 1000 / timescale;
  } else {  // rest * 1000 / timescale by long division, one bit of the 1000 at a time
    std::uint64_t left = 0;
    for (unsigned bit = 10; bit-- != 0;) {
      ms *= 2;
      left = left * 2 + (((1000u >> bit) & 1u) != 0 ? rest : 0);
      for (; left >= timescale; left -= timescale) ++ms;
    }
  }
  return detail::saturating_add(detail::saturating_mul(units / timescale, 1000), ms);
}

/// What decides whether one group of a track has expired. "Latest" is the group with the highest sequence; timestamps
/// are in units of the track's timescale. Fields that the version does not use may be left out.
struct group_age_facts {
  bool is_latest{};
  /// Of this group's first frame; none while it has no frame.
  std::optional<std::uint64_t> first_timestamp{};
  /// Of the first frame of the next group by sequence; none while that group has no frame.
  std::optional<std::uint64_t> successor_first_timestamp{};
  bool has_successor{};
  /// The newest frame of the latest group that has a frame: its largest timestamp.
  std::optional<std::uint64_t> latest_newest_timestamp{};
  /// The first frame of the latest group that has a frame.
  std::optional<std::uint64_t> latest_first_timestamp{};
  /// When the first byte of this group was received (subscriber) or queued (publisher).
  instant arrival{};
  /// The same of the latest group.
  instant latest_arrival{};
};

namespace detail {
/// latest arrival - arrival > ms, exactly.
[[nodiscard]] constexpr bool arrived_too_long_ago(const group_age_facts& g, std::uint64_t ms) noexcept {
  if (g.latest_arrival <= g.arrival) return false;
  const std::uint64_t us = static_cast<std::uint64_t>(g.latest_arrival.us) - static_cast<std::uint64_t>(g.arrival.us);
  return us / 1000 > ms || (us / 1000 == ms && us % 1000 != 0);
}
}  // namespace detail

/// Whether a group is past `max_age_ms`, the Max Latency or Max Age of the subscription. The latest group never is.
///
/// 01, 02 define no age. 03, 04: the arrivals are further apart than that. 05: the arrivals or the first timestamps
/// are. 06: the newest timestamp of the track has come that far past the group's reach, which is where its successor
/// begins; equality counts, and while the successor has no frame the reach is open.
[[nodiscard]] constexpr bool is_expired(version v, const group_age_facts& g, std::uint64_t max_age_ms,
                                        std::uint64_t timescale) noexcept {
  if (g.is_latest || before(lite03).has(v)) return false;
  if (before(lite05).has(v)) return detail::arrived_too_long_ago(g, max_age_ms);
  if (before(lite06).has(v)) {
    if (detail::arrived_too_long_ago(g, max_age_ms)) return true;
    if (!g.first_timestamp || !g.latest_first_timestamp || timescale == 0) return false;
    return *g.latest_first_timestamp > *g.first_timestamp &&
           *g.latest_first_timestamp - *g.first_timestamp > to_units(max_age_ms, timescale);
  }
  if (!g.has_successor || !g.successor_first_timestamp || !g.latest_newest_timestamp || timescale == 0) return false;
  const std::uint64_t reach = *g.successor_first_timestamp;
  const std::uint64_t newest = *g.latest_newest_timestamp;
  // Timestamps may run backwards from group to group; that is no age rather than a negative one, so that a Max Age of
  // 0 still leaves the latest group alone.
  const std::uint64_t age = newest > reach ? newest - reach : 0;
  return age >= to_units_up(max_age_ms, timescale);
}

}  // namespace moql
