#pragma once
/// An optional number in 8 bytes instead of 16, for what is kept in great numbers.

#include <cstdint>
#include <optional>

namespace moql {

/// Reads like `std::optional<std::uint64_t>` and turns into one. Numbers of the wire are below 2^62, so the highest
/// number of all is free to mean none.
class maybe_number {
 public:
  constexpr maybe_number() noexcept = default;
  constexpr maybe_number(std::uint64_t v) noexcept : value_(v) {}
  constexpr maybe_number(std::optional<std::uint64_t> v) noexcept : value_(v.value_or(none)) {}
  constexpr operator std::optional<std::uint64_t>() const noexcept {
    return has_value() ? std::optional(value_) : std::nullopt;
  }
  [[nodiscard]] constexpr bool has_value() const noexcept { return value_ != none; }
  constexpr explicit operator bool() const noexcept { return has_value(); }
  [[nodiscard]] constexpr std::uint64_t operator*() const noexcept { return value_; }
  [[nodiscard]] constexpr std::uint64_t value_or(std::uint64_t other) const noexcept {
    return has_value() ? value_ : other;
  }
  constexpr void reset() noexcept { value_ = none; }

 private:
  static constexpr std::uint64_t none = ~std::uint64_t{0};
  std::uint64_t value_ = none;
};

}  // namespace moql
