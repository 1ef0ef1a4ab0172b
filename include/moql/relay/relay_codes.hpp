#pragma once
/// What an upstream's stream code means downstream.

#include "../base/error.hpp"
#include "../base/version.hpp"

namespace moql {

/// The code for a request that upstream refused or gave up. Before 06 the drafts name no codes and each stack has its
/// own, so such a number says nothing. Never NO_CAPACITY: that would invite every relay of a chain to try again
///
[[nodiscard]] constexpr stream_code refusal_code(version upstream, std::uint64_t code) noexcept {
  if (!since(lite06).has(upstream)) return stream_code::not_found;
  switch (static_cast<stream_code>(code)) {
    case stream_code::not_found:
    case stream_code::unroutable:
    case stream_code::unauthorized:
    case stream_code::control_timeout:
    case stream_code::going_away:
    case stream_code::old:
    case stream_code::evicted: return static_cast<stream_code>(code);
    case stream_code::no_capacity: return stream_code::unroutable;
    default: return stream_code::internal_error;
  }
}

/// The code for a group that upstream reset.
[[nodiscard]] constexpr stream_code group_code(version upstream, std::uint64_t code) noexcept {
  if (!since(lite06).has(upstream)) return stream_code::cancelled;
  const auto c = static_cast<stream_code>(code);
  // Our upstream's neighbour went away or does not want us; that is not what happens between us and our subscriber.
  if (c == stream_code::session_closed || c == stream_code::going_away || name_of(c).empty())
    return stream_code::cancelled;
  return c;
}

}  // namespace moql
