#pragma once
/// What of a cache a request gets: where a subscription starts, and which group a FETCH is answered from. Draft 06
/// sections 3.6, 5.1.3 and 7.9.

#include "../message/subscribe.hpp"
#include "track_cache.hpp"

namespace moql {

/// Up to 05, a subscription without a start means the latest group.
[[nodiscard]] constexpr bool wants_latest(version v, const msg::delivery& want) noexcept {
  return !has_ranges(v) || (!since(lite06).has(v) && !want.group_start);
}
/// The first frame that a subscription wants of a group: only the group that it names may be cut.
[[nodiscard]] constexpr std::uint64_t frame_start_of(version v, const msg::delivery& want,
                                                     std::uint64_t sequence) noexcept {
  return has_frame_bounds(v) && want.group_start && sequence == *want.group_start ? want.frame_start : 0;
}
/// Whether a group can be served from that frame on, as far as is known: an open one may still come to it. R-111,
/// what cannot is not served at all; R-112: a partial group only to who asked for nothing before its gap's end.
[[nodiscard]] inline bool reaches(const cached_group& g, std::uint64_t frame_start) noexcept {
  if (frame_start < g.first_frame) return false;
  return frame_start == 0 || frame_start < g.end_frame() || g.state == group_state::open;
}

/// The first group a live subscription is served, by the rules of its version. None while nothing in the cache fits.
/// Up to 05 that is the latest group or the first from `group_start` on; from 06 on the oldest from the floor
/// `group_start` on (0 without one) that has not expired, be it here or still to come.
[[nodiscard]] inline std::optional<std::uint64_t> live_start(track_cache& cache, version v,
                                                             const msg::delivery& want) noexcept {
  if (cache.is_empty()) return {};
  if (wants_latest(v, want)) {
    const cached_group& latest = cache.latest();
    return reaches(latest, 0) ? std::optional(latest.sequence) : std::nullopt;
  }
  const std::uint64_t floor = want.group_start.value_or(0);
  const std::optional<std::uint64_t> coming = cache.first_expected(floor);
  const bool may_wait = coming && !(since(lite06).has(v) && cache.is_expired(*coming, v, want.max_age_ms));
  for (std::size_t i = 0; i < cache.groups_held(); ++i) {
    const cached_group& g = cache.nth(i);
    if (may_wait && *coming < g.sequence) return coming;
    if (g.sequence < floor || !reaches(g, frame_start_of(v, want, g.sequence))) continue;
    if (since(lite06).has(v) && cache.is_expired(g, v, want.max_age_ms)) continue;
    return g.sequence;
  }
  return {};
}

/// The group that answers a FETCH, or why there is none.
struct fetch_found {
  slot_handle group{};
  stream_code refusal{};  ///< For a reset, when there is no group: EVICTED, OLD, NOT_FOUND, or why it was given up.
  [[nodiscard]] constexpr bool has_group() const noexcept { return group != slot_handle{}; }
};
/// a group that cannot be served from `frame_start` on is refused, never shortened. Expiry is for live delivery
/// only: a group that is held is found.
[[nodiscard]] inline fetch_found fetch_lookup(track_cache& cache, std::uint64_t sequence,
                                              std::uint64_t frame_start) noexcept {
  const cached_group* g = cache.find(sequence);
  if (g == nullptr) return {{}, cache.why_missing(sequence)};
  if (g->state == group_state::aborted) return {{}, g->abort_code};
  if (!reaches(*g, frame_start)) return {{}, stream_code::not_found};
  return {cache.handle_of(sequence), {}};
}

}  // namespace moql
