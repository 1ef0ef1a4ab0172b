#pragma once
/// Hex text, as people paste it.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace examples {

[[nodiscard]] inline std::string to_hex(std::span<const std::uint8_t> data) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const std::uint8_t b : data) {
    out += digits[b >> 4];
    out += digits[b & 15];
  }
  return out;
}

/// Two digits a byte in either case; blanks, line ends and colons are skipped. None, with the reason, otherwise.
[[nodiscard]] inline std::optional<std::vector<std::uint8_t>> from_hex(std::string_view text, std::string& why) {
  std::vector<std::uint8_t> out;
  bool is_half = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == ':') continue;
    const bool is_digit = c >= '0' && c <= '9';
    const int lower = c | 0x20;
    if (!is_digit && (lower < 'a' || lower > 'f')) {
      why = "not hex: character " + std::to_string(i + 1) + " is no hex digit";
      return {};
    }
    const int value = is_digit ? c - '0' : lower - 'a' + 10;
    if (is_half)
      out.back() = static_cast<std::uint8_t>(out.back() << 4 | value);
    else
      out.push_back(static_cast<std::uint8_t>(value));
    is_half = !is_half;
  }
  if (is_half) why = "not hex: an odd number of digits";
  if (is_half) return {};
  return out;
}

}  // namespace examples
