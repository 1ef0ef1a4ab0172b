#pragma once
/// What a route costs and which of two is better: draft 06 sections 5.1.1.1 and 7.6, without any table.

#include <cstddef>
#include <cstdint>
#include <span>

#include "../base/error.hpp"
#include "../base/limits.hpp"
#include "../wire/varint.hpp"

namespace moql {

/// The highest cost that travels; also what is not known to cost less.
inline constexpr std::uint64_t cost_ceiling = wire::varint_max;

/// a + b, at most the ceiling.
[[nodiscard]] constexpr std::uint64_t add_costs(std::uint64_t a, std::uint64_t b) noexcept {
  return a >= cost_ceiling || b >= cost_ceiling - a ? cost_ceiling : a + b;
}

/// A suggestion for what a standby origin announces as its own cost, in the units of links that cost 1 or so.
inline constexpr std::uint64_t standby_cost = std::uint64_t{1} << 32;
/// Whether a standby that announces `seed`, beside producing origins that announce 0, is chosen only when none of those
/// is left: no path of up to `hops` links, each of which costs up to `link_cost`, may add up to `seed`, and the ceiling
/// is what a route of unknown cost has.
[[nodiscard]] constexpr bool is_standby_cost(std::uint64_t seed, std::uint64_t hops, std::uint64_t link_cost) noexcept {
  return seed != 0 && seed < cost_ceiling && (hops == 0 || link_cost <= (seed - 1) / hops);
}

struct route_costs {
  std::uint64_t warm{};  ///< What selection minimises.
  std::uint64_t cold{};  ///< Breaks ties.
  friend constexpr bool operator==(route_costs, route_costs) noexcept = default;
};
/// The link between us and whoever announced a route.
struct route_link {
  std::uint64_t cost = 1;    ///< Added to what is announced over it; values above the ceiling count as that.
  bool knows_costs = true;   ///< False before 06: nothing is said about costs there.
  bool is_draining = false;  ///< The session is going away.
};

/// What a route costs from here, which is what is passed on: `announced` plus the link. Saturates.
///
/// Before 06 no cost travels. The missing cold cost is the ceiling. A broadcast that is announced by its
/// producer, so over one known hop, has cost the link. What was passed on before may have cost anything, and costs the
/// ceiling: if a cost fell on the way from one relay to the next, routes could chase one another for ever. Among those
/// the shortest path wins.
///
/// While a session drains its routes cost the ceiling, so that they come last but stay usable.
[[nodiscard]] constexpr route_costs costs_over(const route_link& link, std::size_t hops, bool has_unknown_hop,
                                               const route_costs& announced) noexcept {
  if (link.is_draining) return {cost_ceiling, cost_ceiling};
  if (!link.knows_costs) return {hops == 1 && !has_unknown_hop ? add_costs(0, link.cost) : cost_ceiling, cost_ceiling};
  return {add_costs(announced.warm, link.cost), add_costs(announced.cold, link.cost)};
}

/// Everything that decides between two routes for the same prefix.
struct route_rank {
  bool has_unknown_hop{};    ///< A 0 in its path.
  route_costs costs{};       ///< With the link.
  std::size_t hops{};        ///< Length of the path.
  std::uint64_t received{};  ///< Later is newer.
  bool is_draining{};        ///< The session that it came by: last among those that cost the ceiling anyway.
};
/// Draft 06 section 5.1.1.1: no unknown hop, then cost, then length, then the newest. The draft lets what
/// drains cost the ceiling; among others that cost as much it is still the last.
[[nodiscard]] constexpr bool is_better(const route_rank& a, const route_rank& b) noexcept {
  if (a.has_unknown_hop != b.has_unknown_hop) return b.has_unknown_hop;
  if (a.costs.warm != b.costs.warm) return a.costs.warm < b.costs.warm;
  if (a.costs.cold != b.costs.cold) return a.costs.cold < b.costs.cold;
  if (a.is_draining != b.is_draining) return b.is_draining;
  if (a.hops != b.hops) return a.hops < b.hops;
  return a.received > b.received;
}

/// Whether a path leads through `hop`; 0 is nobody.
[[nodiscard]] constexpr bool passes(std::span<const std::uint64_t> hops, std::uint64_t hop) noexcept {
  if (hop == 0) return false;
  for (const std::uint64_t h : hops)
    if (h == hop) return true;
  return false;
}
/// Whether the path is known in part only: those routes come last.
[[nodiscard]] constexpr bool has_unknown_hop(std::span<const std::uint64_t> hops) noexcept {
  for (const std::uint64_t h : hops)
    if (h == 0) return true;
  return false;
}

/// Whether a route can be passed on by `own_hop` (0: none) and would not only be discarded as a loop where it arrives.
/// Fails with too_many above `hops_max`, bad_argument for a number that cannot travel, duplicate_hop when it leads
/// through ourselves or twice through one hop.
[[nodiscard]] constexpr errc check_route(std::span<const std::uint64_t> hops, const route_costs& announced,
                                         std::uint64_t own_hop) noexcept {
  if (announced.warm > cost_ceiling || announced.cold > cost_ceiling) return errc::bad_argument;
  if (hops.size() > hops_max) return errc::too_many;
  for (std::size_t i = 0; i < hops.size(); ++i) {
    if (hops[i] > wire::varint_max) return errc::bad_argument;
    if (passes(hops.first(i), hops[i])) return errc::duplicate_hop;
  }
  return passes(hops, own_hop) ? errc::duplicate_hop : errc::ok;
}

}  // namespace moql
