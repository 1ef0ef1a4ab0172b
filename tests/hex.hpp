#pragma once
/// Bytes as people write them, for tests.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "moql/base/bytes.hpp"

namespace moql::tests {

/// Hex digits to bytes; spaces are ignored.
inline std::vector<std::uint8_t> from_hex(std::string_view s) {
  std::vector<std::uint8_t> out;
  unsigned high = 16;
  for (const char c : s) {
    const unsigned d = c >= '0' && c <= '9'   ? static_cast<unsigned>(c - '0')
                       : c >= 'a' && c <= 'f' ? static_cast<unsigned>(c - 'a' + 10)
                                              : 16;
    if (d == 16) continue;
    if (high == 16) {
      high = d;
    } else {
      out.push_back(static_cast<std::uint8_t>(high << 4 | d));
      high = 16;
    }
  }
  return out;
}

inline std::string to_hex(byte_view v) {
  std::string out;
  for (const std::uint8_t b : v) {
    out += "0123456789abcdef"[b >> 4];
    out += "0123456789abcdef"[b & 15];
  }
  return out;
}

}  // namespace moql::tests
