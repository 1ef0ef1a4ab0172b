#pragma once
/// A group's frames as they travel: header and payload pieces, encoded once per group and layout, shared by every
/// subscriber. Two layouts cover all versions: with timestamps (05 on) and without.

#include "../adapter/transport.hpp"
#include "../base/vec.hpp"
#include "../message/group.hpp"

namespace moql {

/// Which bytes precede a payload. Versions of one layout share a log.
enum class frame_layout : std::uint8_t { plain, timed };
inline constexpr std::size_t frame_layouts = 2;

[[nodiscard]] constexpr frame_layout layout_of(version v) noexcept {
  return has_timestamps(v) ? frame_layout::timed : frame_layout::plain;
}
/// Any version of a layout encodes its frames alike.
[[nodiscard]] constexpr version version_of(frame_layout l) noexcept {
  return l == frame_layout::timed ? lite06 : lite04;
}

/// Small blocks of header bytes that stay where they are; recycled with their group.
class header_arena {
 public:
  explicit header_arena(memory m = {}) noexcept : memory_(m), blocks_(m) {}
  header_arena(const header_arena&) = delete;
  header_arena& operator=(const header_arena&) = delete;
  ~header_arena() {
    for (std::uint8_t* b : blocks_) memory_.release(b, block_bytes);
  }
  /// Room for one frame header, or null when memory ran out.
  [[nodiscard]] std::uint8_t* room() noexcept {
    if (block_ == blocks_.size() || used_ + msg::frame::bytes_max > block_bytes) {
      const std::size_t next = blocks_.empty() || block_ == blocks_.size() ? block_ : block_ + 1;
      if (next == blocks_.size()) {
        auto* b = static_cast<std::uint8_t*>(memory_.allocate(block_bytes));
        if (b == nullptr) return nullptr;
        if (!blocks_.push(b)) {
          memory_.release(b, block_bytes);
          return nullptr;
        }
      }
      block_ = next;
      used_ = 0;
    }
    return blocks_[block_] + used_;
  }
  void take(std::size_t n) noexcept { used_ += n; }
  void clear() noexcept { block_ = used_ = 0; }

 private:
  static constexpr std::size_t block_bytes = 512;
  memory memory_;
  vec<std::uint8_t*> blocks_;
  std::size_t block_ = 0;
  std::size_t used_ = 0;
};

/// The pieces of one layout, in order. Grows behind the group's frames, when a cursor asks.
struct wire_log {
  explicit wire_log(memory m = {}) noexcept : pieces(m), headers(m) {}
  vec<chunk> pieces;
  header_arena headers;
  std::uint32_t frames_done = 0;  ///< Frames whose header is in.
  std::uint32_t parts_done = 0;   ///< Payload parts that are in.
  std::uint64_t timestamp = 0;    ///< Of the last header.

  [[nodiscard]] bool add_header(frame_layout l, std::uint64_t at, std::uint64_t size) noexcept {
    const auto delta = static_cast<std::int64_t>(at - timestamp);
    const msg::frame head{.timestamp_delta = delta, .size = size};
    std::uint8_t* to = headers.room();
    if (to == nullptr) return false;
    const encoded e = encode(head, version_of(l), {to, msg::frame::bytes_max});
    if (e.why != errc::ok || !pieces.push({to, e.size, nullptr})) return false;
    headers.take(e.size);
    timestamp = at;
    ++frames_done;
    return true;
  }
  void clear() noexcept {
    pieces.clear();
    headers.clear();
    frames_done = parts_done = 0;
    timestamp = 0;
  }
};

}  // namespace moql
