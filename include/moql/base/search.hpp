#pragma once
/// Search in what is sorted.

#include <cstddef>

namespace moql {

/// The first of the places `low` to `high` (not included) for which `is_before` does not hold, or `high`. It must hold
/// for all before that one and for none behind it.
template <class F>
[[nodiscard]] constexpr std::size_t first_not(std::size_t low, std::size_t high, F&& is_before) noexcept {
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (is_before(middle))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

}  // namespace moql
