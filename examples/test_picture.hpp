#pragma once
/// A moving picture that says when it was made: a frame counter, a clock, and a bar that crosses it.
///
/// One frame is a header of 16 bytes (big endian: u32 counter, u64 milliseconds since 1970, u16 width, u16 height) and
/// then a byte a pixel, three bits red, three green, two blue. Every frame stands alone.

#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace examples {

class test_picture {
 public:
  static constexpr int width = 160, height = 90, frames_per_second = 25;

  /// The next frame, made at `ms` since 1970.
  [[nodiscard]] const std::vector<std::uint8_t>& next(std::uint64_t ms) {
    out_.assign(16 + std::size_t{width} * height, 0);
    put(0, 4, counter_);
    put(4, 8, ms);
    put(12, 2, width);
    put(14, 2, height);
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x) pixel(x, y) = static_cast<std::uint8_t>((x / 20 * 37 + y / 15 * 11) & 0x6d);
    const int bar = static_cast<int>(counter_ * 2 % width);
    for (int y = 0; y < height; ++y)
      for (int x = bar; x < bar + 8 && x < width; ++x) pixel(x, y) = 0xfc;
    const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
    std::tm day{};
    ::gmtime_r(&seconds, &day);
    char clock[32];
    std::snprintf(clock, sizeof clock, "%02d:%02d:%02d.%03d", day.tm_hour, day.tm_min, day.tm_sec,
                  static_cast<int>(ms % 1000));
    write(8, 16, 3, std::to_string(counter_));
    write(8, 56, 2, clock);
    ++counter_;
    return out_;
  }

 private:
  void put(std::size_t at, std::size_t n, std::uint64_t v) {
    for (std::size_t i = 0; i < n; ++i) out_[at + i] = static_cast<std::uint8_t>(v >> (8 * (n - 1 - i)));
  }
  std::uint8_t& pixel(int x, int y) { return out_[16 + static_cast<std::size_t>(y * width + x)]; }
  /// Digits, colons and dots in white, `scale` pixels a dot of a 3 by 5 raster.
  void write(int left, int top, int scale, std::string_view text) {
    constexpr std::array<std::uint16_t, 12> font{0x7b6f, 0x2c97, 0x73e7, 0x73cf, 0x5bc9, 0x79cf,
                                                 0x79ef, 0x7249, 0x7bef, 0x7bcf, 0x0410, 0x0002};
    for (const char c : text) {
      const std::uint16_t dots = font[c == ':' ? 10 : c == '.' ? 11 : static_cast<std::size_t>(c - '0')];
      for (int i = 0; i < 15 * scale * scale; ++i) {
        const int x = i % (3 * scale), y = i / (3 * scale);
        if ((dots >> (14 - (y / scale * 3 + x / scale)) & 1) != 0 && left + x < width) pixel(left + x, top + y) = 0xff;
      }
      left += 4 * scale;
    }
  }

  std::vector<std::uint8_t> out_;
  std::uint32_t counter_ = 0;
};

}  // namespace examples
