#pragma once
/// Time as the library sees it: told by the caller, never read. There is no now().

#include <compare>
#include <cstdint>

namespace moql {

/// A span of time in microseconds.
struct duration {
  std::int64_t us{};
  friend constexpr auto operator<=>(duration, duration) noexcept = default;
  friend constexpr duration operator+(duration a, duration b) noexcept { return {a.us + b.us}; }
  friend constexpr duration operator-(duration a, duration b) noexcept { return {a.us - b.us}; }
};

[[nodiscard]] constexpr duration microseconds(std::int64_t n) noexcept { return {n}; }
[[nodiscard]] constexpr duration milliseconds(std::int64_t n) noexcept { return {n * 1000}; }
[[nodiscard]] constexpr duration seconds(std::int64_t n) noexcept { return {n * 1'000'000}; }

/// A point in time: microseconds since an origin that the caller picks once per process. Must not run backwards.
struct instant {
  std::int64_t us{};
  friend constexpr auto operator<=>(instant, instant) noexcept = default;
  friend constexpr instant operator+(instant t, duration d) noexcept { return {t.us + d.us}; }
  friend constexpr duration operator-(instant a, instant b) noexcept { return {a.us - b.us}; }
};

inline constexpr instant never_due{INT64_MAX};

}  // namespace moql
