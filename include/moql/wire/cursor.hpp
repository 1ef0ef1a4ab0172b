#pragma once
/// Two pointers and a sticky error: how messages are read and written.

#include <cstddef>
#include <cstdint>

#include "../base/error.hpp"

namespace moql::wire {

/// Reads forward. The first failure sticks in `why`; whoever returns false has set it.
struct reader {
  const std::uint8_t* p{};
  const std::uint8_t* end{};
  errc why{};

  [[nodiscard]] constexpr std::size_t left() const noexcept { return static_cast<std::size_t>(end - p); }
  constexpr bool fail(errc e) noexcept {
    if (why == errc::ok) why = e;
    return false;
  }
};

/// Writes forward into memory that was sized with `encoded_size` before; it checks nothing.
struct writer {
  std::uint8_t* p{};
};

}  // namespace moql::wire
