#pragma once
/// Names of the things that a relay keeps.

#include <cstdint>

#include "../base/slab.hpp"
#include "../base/text.hpp"

namespace moql {

/// One session of the relay: a packed `slot_handle`. 0 is nobody, or what the relay originates itself.
enum class peer_id : std::uint64_t {};
/// Inside one scope a path names one broadcast; scopes never see one another. The application chooses the numbers.
using scope_id = std::uint64_t;
/// Where the hashes of a scope's names begin.
[[nodiscard]] constexpr std::uint64_t first_hash(scope_id in, std::uint64_t seed) noexcept {
  return first_hash(seed) ^ (in * 0x9e3779b97f4a7c15u);
}
/// One announcement in `routes`. 0 names nothing; one that is gone is noticed.
enum class route_id : std::uint64_t {};
/// One path of one scope in `routes`, however many announce it. As above.
enum class place_id : std::uint64_t {};

}  // namespace moql
