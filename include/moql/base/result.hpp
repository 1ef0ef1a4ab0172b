#pragma once
/// A value or the reason why there is none. The member names of std::expected, which C++20 does not have.

#include <utility>

#include "compiler.hpp"
#include "error.hpp"

namespace moql {

template <class T>
class [[nodiscard]] result {
 public:
  constexpr result(T v) noexcept : value_(std::move(v)) {}
  constexpr result(errc why) noexcept : why_(why) {}
  [[nodiscard]] constexpr bool has_value() const noexcept { return why_ == errc::ok; }
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return has_value(); }
  [[nodiscard]] constexpr errc error() const noexcept { return why_; }
  /// There must be a value.
  [[nodiscard]] constexpr const T& value() const noexcept {
    expects(has_value());
    return value_;
  }
  [[nodiscard]] constexpr const T& operator*() const noexcept { return value(); }
  [[nodiscard]] constexpr const T* operator->() const noexcept { return &value(); }

 private:
  T value_{};
  errc why_{};
};

}  // namespace moql
