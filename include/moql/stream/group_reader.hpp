#pragma once
/// A Group stream as its subscriber reads it (draft 06 section 6.3.2): GROUP, then frames. The stream's type comes
/// first and is read by whoever tells the kinds apart.

#include "frame_reader.hpp"

namespace moql {

class group_reader {
 public:
  group_reader() noexcept = default;
  group_reader(version v, std::uint64_t frame_bytes_max) noexcept
      : frames_(v, frame_bytes_max), version_(v), fault_{} {}

  /// The header, once: ready when it is there. Any fault of it is the peer's and sticky.
  [[nodiscard]] step header(byte_view& in, msg::group& out, errc& why) noexcept {
    if (fault_ != errc::ok) return fail(fault_, why);
    while (true) {
      const bool fresh = split_.size == 0;
      const byte_view from = fresh ? in : byte_view(split_.data.data(), split_.size);
      const message_head h = read_head(from, false, framing::length);
      // Three integers fill 24 bytes at most, so a longer body has a byte too many and need not be awaited.
      if (h.why == errc::ok && h.body_size > msg::group::body_bytes_max) return fail(errc::trailing, why);
      if (h.why == errc::ok && h.body_size <= from.size() - h.size) {
        const auto size = static_cast<std::size_t>(h.body_size);
        const errc e = decode_body(from.subspan(h.size, size), version_, out);
        if (e != errc::ok) return fail(e, why);
        if (fresh)
          in = in.subspan(h.size + size);
        else
          split_.size = 0;
        frames_.start_at(out.frame_start);
        has_header_ = true;
        return step::ready;
      }
      if (in.empty()) return step::wait;
      const std::size_t n = fresh ? in.size() : 1;
      for (std::size_t i = 0; i < n; ++i) split_.data[split_.size++] = in[i];
      in = in.subspan(n);
    }
  }
  [[nodiscard]] bool has_header() const noexcept { return has_header_; }
  [[nodiscard]] frame_reader& frames() noexcept { return frames_; }
  [[nodiscard]] const frame_reader& frames() const noexcept { return frames_; }
  /// Whether the stream may end here without being cut.
  [[nodiscard]] bool may_end() const noexcept { return has_header_ && frames_.is_at_boundary(); }

 private:
  step fail(errc e, errc& why) noexcept {
    fault_ = why = e;
    return step::fault;
  }
  frame_reader frames_{};
  split_header<wire::varint_bytes_max + msg::group::body_bytes_max> split_{};
  version version_ = lite06;
  errc fault_ = errc::wrong_state;
  bool has_header_ = false;
};

}  // namespace moql
