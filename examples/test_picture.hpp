#pragma once
/// A moving picture that says when it was made: colour bars with a frame counter and a clock, and a line that crosses.
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
    const int line = static_cast<int>(counter_ * 2 % width);
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) pixel(x, y) = colour(x, y);
      for (int x = line; x < line + 6 && x < width; ++x) pixel(x, y) = x == line || x == line + 5 ? 0 : 0xff;
    }
    const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
    std::tm day{};
    ::gmtime_r(&seconds, &day);
    char clock[32];
    std::snprintf(clock, sizeof clock, "%02d:%02d:%02d.%03d", day.tm_hour, day.tm_min, day.tm_sec,
                  static_cast<int>(ms % 1000));
    write(3, std::to_string(counter_), 20);
    write(2, clock, 45);
    ++counter_;
    return out_;
  }

 private:
  void put(std::size_t at, std::size_t n, std::uint64_t v) {
    for (std::size_t i = 0; i < n; ++i) out_[at + i] = static_cast<std::uint8_t>(v >> (8 * (n - 1 - i)));
  }
  std::uint8_t& pixel(int x, int y) { return out_[16 + static_cast<std::size_t>(y * width + x)]; }
  /// Seven bars, and below them a ramp from black to white.
  static std::uint8_t colour(int x, int y) {
    constexpr std::array<std::uint8_t, 7> bars{0xb6, 0xb4, 0x16, 0x14, 0xa2, 0xa0, 0x02};
    if (y < height * 3 / 4) return bars[static_cast<std::size_t>(x * 7 / width)];
    const int level = x * 8 / width;
    return static_cast<std::uint8_t>(level << 5 | level << 2 | level >> 1);
  }
  /// Digits, colons and dots in the middle of a black box, `scale` pixels a dot of a 3 by 5 raster.
  void write(int scale, std::string_view text, int top) {
    constexpr std::array<std::uint16_t, 12> font{0x7b6f, 0x2c97, 0x73e7, 0x73cf, 0x5bc9, 0x79cf,
                                                 0x79ef, 0x7249, 0x7bef, 0x7bcf, 0x0410, 0x0002};
    const int wide = (4 * static_cast<int>(text.size()) + 1) * scale;
    int left = (width - wide) / 2;
    for (int i = 0; i < wide * 7 * scale; ++i) pixel(left + i % wide, top + i / wide) = 0;
    left += scale;
    for (const char c : text) {
      const std::uint16_t dots = font[c == ':' ? 10 : c == '.' ? 11 : static_cast<std::size_t>(c - '0')];
      for (int i = 0; i < 15 * scale * scale; ++i) {
        const int x = i % (3 * scale), y = i / (3 * scale);
        if ((dots >> (14 - (y / scale * 3 + x / scale)) & 1) != 0) pixel(left + x, top + scale + y) = 0xff;
      }
      left += 4 * scale;
    }
  }

  std::vector<std::uint8_t> out_;
  std::uint32_t counter_ = 0;
};

}  // namespace examples
