#pragma once
/// What is published: both sides know every byte of it beforehand.

#include <moql/base/bytes.hpp>

#include <string_view>
#include <vector>

namespace interop {

inline constexpr std::uint64_t timescale = 1000;
/// A group lasts a second of media time, so anything short would let groups expire on 05 and 06.
inline constexpr std::uint64_t max_age_ms = 3'600'000;

/// Byte `i` of frame `f` of group `g`.
[[nodiscard]] constexpr std::uint8_t byte_at(std::uint64_t g, std::uint64_t f, std::uint64_t i) {
  return static_cast<std::uint8_t>(g * 31 + f * 17 + i * 7 + (i >> 8) * 13);
}
[[nodiscard]] constexpr std::uint64_t timestamp_of(std::uint64_t g, std::uint64_t f) { return g * timescale + f * 40; }
[[nodiscard]] inline moql::bytes payload_of(std::uint64_t g, std::uint64_t f, std::size_t size) {
  std::vector<std::uint8_t> out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = byte_at(g, f, i);
  return moql::bytes::copy(moql::byte_view(out));
}
/// Sizes of the frames of a group.
[[nodiscard]] inline std::vector<std::size_t> frames_of(std::string_view scenario, std::uint64_t group) {
  if (scenario == "sizes") {
    if (group == 0) return {};
    if (group == 1) return {0};
    return {0, 1, 63, 64, 16383, 16384, 65536, 1048576};
  }
  if (scenario == "many-groups") return {10};
  if (scenario == "datagrams") return {100};
  if (scenario == "stop") return std::vector<std::size_t>(10, 100'000);
  return {100, 100, 100};
}

}  // namespace interop
