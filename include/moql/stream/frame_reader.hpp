#pragma once
/// FRAMEs out of a byte stream (draft 06 section 7.20): Group streams and Fetch answers. Payload leaves as slices of
/// the input, the first part before the last has come; only header bytes split by a fragment's end are ever copied.

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
  /// `first_index`: see `start_at`.
  frame_reader(version v, std::uint64_t frame_bytes_max, std::uint64_t first_index = 0) noexcept
      : frame_max_(frame_bytes_max), index_(first_index), version_(v) {}
  /// The number of the first frame, draft 06 GROUP Frame Start. Before any frame.
  void start_at(std::uint64_t first_index) noexcept { index_ = first_index; }

  /// Takes the next piece off `in`. Pull form: one piece a call.
  [[nodiscard]] MOQL_INLINE step next(byte_view& in, frame_piece& out, errc& why) noexcept {
    cursor c{in.data(), in.data() + in.size()};
    const step got = take(c, out, why);
    in = {c.p, c.end};
    return got;
  }
  /// Runs through a whole fragment: `visit(const frame_piece&)` for each piece. Returns wait or fault.
  template <class Visit>
  [[nodiscard]] step feed(byte_view in, Visit&& visit, errc& why) noexcept {
    cursor c{in.data(), in.data() + in.size()};
    while (true) {
      if (!inside_ && split_.size == 0) take_run(c, visit);
      if (c.left() == 0 && split_.size == 0) return step::wait;
      frame_piece piece;
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

  /// Reads a header's fields where all the bytes that it could have are there.
  struct unchecked {
    const std::uint8_t* p;
    bool timed;
    MOQL_INLINE bool operator()(const field_name&, wire::zigzag_kind, std::int64_t& v, version_set) noexcept {
      if (timed) v = wire::unzigzag(varint());
      return true;
    }
    MOQL_INLINE bool operator()(const field_name&, wire::varint_hot_kind, std::uint64_t& v) noexcept {
      v = varint();
      return true;
    }
    MOQL_INLINE std::uint64_t varint() noexcept {
      const std::size_t width = wire::varint_width(*p);
      const std::uint64_t v = wire::detail::varint_value(p, width);
      p += width;
      return v;
    }
  };
  /// A run of frames with all state in registers, up to one that does not lie in the input whole. Every fault is left
  /// to `take`.
  template <class Visit>
  MOQL_INLINE void take_run(cursor& c, Visit& visit) noexcept {
    const std::uint64_t frame_max = frame_max_;
    const bool timed = has_timestamps(version_);
    std::uint64_t index = index_;
    std::uint64_t timestamp = timestamp_;
    cursor at = c;
    while (at.left() >= msg::frame::bytes_max) {
      msg::frame head;
      unchecked d{at.p, timed};
      (void)msg::frame::fields(head, d);
      const std::uint64_t time = timestamp + static_cast<std::uint64_t>(head.timestamp_delta);
      if (head.size > frame_max || time > wire::varint_max) [[unlikely]]
        break;
      timestamp = time;
      const auto left = static_cast<std::size_t>(at.end - d.p);
      if (head.size > left) {
        size_ = head.size;
        offset_ = left;
        inside_ = true;
        at.p = at.end;
        if (left != 0) visit(frame_piece{index, time, head.size, 0, {d.p, left}});
        break;
      }
      at.p = d.p + head.size;
      visit(frame_piece{index++, time, head.size, 0, {d.p, static_cast<std::size_t>(head.size)}});
    }
    index_ = index;
    timestamp_ = timestamp;
    c.p = at.p;
  }
  MOQL_INLINE step take(cursor& c, frame_piece& out, errc& why) noexcept {
    if (!inside_) {
      if (c.left() >= msg::frame::bytes_max && split_.size == 0) [[likely]] {
        msg::frame head;
        unchecked d{c.p, has_timestamps(version_)};
        (void)msg::frame::fields(head, d);
        c.p = d.p;
        if (!begin(head)) [[unlikely]]
          return fail(why);
        if (head.size <= c.left()) [[likely]] {
          out = {index_++, timestamp_, head.size, 0, {c.p, static_cast<std::size_t>(head.size)}};
          c.p += head.size;
          return step::ready;
        }
        size_ = head.size;
        offset_ = 0;
        inside_ = true;
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
        if (!begin(head)) return fail(why);
        size_ = head.size;
        offset_ = 0;
        inside_ = true;
        return step::ready;
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
