#pragma once
/// FRAMEs out of a byte stream (draft 06 section 7.20): Group streams and Fetch answers. Payload leaves as slices of the
/// input, the first part before the last has come; only header bytes split by a fragment's end are ever copied.

#include <array>

#include "../message/group.hpp"
#include "framing.hpp"

namespace moql {

/// A frame, or the part of one that arrived together. `payload` lies in the input.
struct frame_piece {
  std::uint64_t index{};      ///< Of the frame in its group.
  std::uint64_t timestamp{};  ///< Absolute, in the track's timescale; 0 before 05.
  std::uint64_t size{};       ///< Of the whole frame, in bytes.
  std::uint64_t offset{};     ///< Where `payload` sits in it.
  byte_view payload{};
  [[nodiscard]] bool is_first() const noexcept { return offset == 0; }
  [[nodiscard]] bool is_last() const noexcept { return offset + payload.size() == size; }
};

/// A few bytes of a header that the end of a fragment split.
template <std::size_t N>
struct split_header {
  std::array<std::uint8_t, N> data{};
  std::uint8_t size = 0;
};

class frame_reader {
 public:
  frame_reader() noexcept = default;
  /// `first_index`: number of the first frame, draft 06 GROUP Frame Start.
  frame_reader(version v, std::uint64_t frame_bytes_max, std::uint64_t first_index = 0) noexcept
      : frame_max_(frame_bytes_max), index_(first_index), version_(v) {}

  /// Takes the next piece off `in`. Pull form: one piece a call.
  [[nodiscard]] step next(byte_view& in, frame_piece& out, errc& why) noexcept {
    cursor c{in.data(), in.data() + in.size()};
    const step got = take(c, out, why);
    in = {c.p, c.end};
    return got;
  }
  /// Runs through a whole fragment: `visit(const frame_piece&)` for each piece. Returns wait or fault.
  template <class Visit>
  [[nodiscard]] step feed(byte_view in, Visit&& visit, errc& why) noexcept {
    cursor c{in.data(), in.data() + in.size()};
    frame_piece piece;
    while (true) {
      const step got = take(c, piece, why);
      if (got != step::ready) return got;
      visit(static_cast<const frame_piece&>(piece));
    }
  }
  /// An end of the stream is only legal here (draft 06 section 7.20).
  [[nodiscard]] bool is_at_boundary() const noexcept { return !inside_ && split_.size == 0 && fault_ == errc::ok; }
  /// Index of the next frame, or of the one that is under way.
  [[nodiscard]] std::uint64_t index() const noexcept { return index_; }

 private:
  struct cursor {
    const std::uint8_t* p;
    const std::uint8_t* end;
    [[nodiscard]] std::size_t left() const noexcept { return static_cast<std::size_t>(end - p); }
  };

  MOQL_INLINE step take(cursor& c, frame_piece& out, errc& why) noexcept {
    if (!inside_) {
      if (c.left() >= msg::frame::bytes_max && split_.size == 0) [[likely]] {
        msg::frame head;
        wire::decoder d{{c.p, c.end, {}}, version_};
        (void)msg::frame::fields(head, d);  // cannot run out: the bytes are there
        c.p = d.r.p;
        if (!begin(head)) [[unlikely]] return fail(why);
      } else {
        const step got = take_split(c, why);
        if (got != step::ready) return got;
      }
    }
    return take_payload(c, out);
  }
  MOQL_INLINE step take_payload(cursor& c, frame_piece& out) noexcept {
    const std::uint64_t missing = size_ - offset_;
    const std::size_t n = missing < c.left() ? static_cast<std::size_t>(missing) : c.left();
    if (n == 0 && missing != 0) return step::wait;
    out = {index_, timestamp_, size_, offset_, {c.p, n}};
    c.p += n;
    offset_ += n;
    if (offset_ == size_) {
      inside_ = false;
      ++index_;
    }
    return step::ready;
  }
  MOQL_INLINE bool begin(const msg::frame& head) noexcept {
    const std::uint64_t at = timestamp_ + static_cast<std::uint64_t>(head.timestamp_delta);
    // Both operands are below 2^62, so a sum that leaves the range shows in the two top bits, whichever way it left.
    if (at > wire::varint_max) [[unlikely]] {
      return refuse(errc::bad_timestamp);
    }
    if (head.size > frame_max_) [[unlikely]] {
      return refuse(errc::frame_too_large);
    }
    timestamp_ = at;
    size_ = head.size;
    offset_ = 0;
    inside_ = true;
    return true;
  }
  bool refuse(errc e) noexcept {
    fault_ = e;
    split_.size = 1;  // sends every later call to take_split, where the fault sticks
    return false;
  }
  MOQL_NOINLINE step take_split(cursor& c, errc& why) noexcept {
    if (fault_ != errc::ok) return fail(why);
    while (true) {
      const bool fresh = split_.size == 0;
      const std::uint8_t* from = fresh ? c.p : split_.data.data();
      const std::uint8_t* to = fresh ? c.end : from + split_.size;
      msg::frame head;
      wire::decoder d{{from, to, {}}, version_};
      if (msg::frame::fields(head, d)) {
        if (fresh)
          c.p = d.r.p;
        else
          split_.size = 0;
        return begin(head) ? step::ready : fail(why);
      }
      if (c.left() == 0) return step::wait;
      const std::size_t n = fresh ? c.left() : 1;  // a whole header would have been read: fewer bytes than one has
      for (std::size_t i = 0; i < n; ++i) split_.data[split_.size++] = *c.p++;
    }
  }
  step fail(errc& why) const noexcept {
    why = fault_;
    return step::fault;
  }

  std::uint64_t frame_max_ = 0;
  std::uint64_t index_ = 0;
  std::uint64_t timestamp_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t offset_ = 0;
  split_header<msg::frame::bytes_max> split_{};
  version version_ = lite06;
  errc fault_{};
  bool inside_ = false;
};

}  // namespace moql
