#pragma once
/// The bytes of a fuzzer as choices, and what happens when a property does not hold.

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "moql/base/bytes.hpp"

namespace fuzzing {

using moql::byte_view;

inline void must(bool holds, const char* why) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", why);
  std::abort();
}

class input {
 public:
  explicit input(byte_view v) : v_(v) {}
  [[nodiscard]] bool empty() const { return v_.empty(); }
  std::uint8_t byte() {
    if (v_.empty()) return 0;
    const std::uint8_t b = v_[0];
    v_ = v_.subspan(1);
    return b;
  }
  /// A length (255 continues it), then so many bytes.
  byte_view some() {
    std::size_t n = byte();
    if (n == 255) n += byte();
    if (n > v_.size()) n = v_.size();
    const byte_view out = v_.first(n);
    v_ = v_.subspan(n);
    return out;
  }

 private:
  byte_view v_;
};

}  // namespace fuzzing
