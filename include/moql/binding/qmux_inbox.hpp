#pragma once
/// Cuts a byte stream into records, or into the bare frames of qmux-00. What lies in one piece is passed on as it is,
/// the rest is put together first.

#include "../base/buffers.hpp"
#include "qmux_frame.hpp"

namespace moql::qmux::detail {

class inbox {
 public:
  enum class found : std::uint8_t { nothing, unit, too_large, no_memory };

  /// `unit_max`: bytes of a record without its Size, or of a frame.
  inbox(bool is_sized, std::size_t unit_max) noexcept : unit_max_(unit_max), is_sized_(is_sized) {}
  inbox(const inbox&) = delete;
  inbox& operator=(const inbox&) = delete;
  ~inbox() {
    if (buffer_ != nullptr) buffer_->release(buffer_);
  }

  /// Takes bytes from the front of `data` until it has a record or a frame, which becomes `unit`. A frame is only known
  /// to be one: what is wrong with it has yet to be found.
  [[nodiscard]] found next(bytes& data, bytes& unit, buffer_pool& pool) noexcept {
    return is_sized_ ? next_record(data, unit, pool) : next_frame(data, unit, pool);
  }

 private:
  [[nodiscard]] found next_record(bytes& data, bytes& unit, buffer_pool& pool) noexcept {
    while (!is_open_) {
      while (head_size_ == 0 || head_size_ < w::varint_width(head_[0])) {
        if (data.empty()) return found::nothing;
        head_[head_size_++] = data.data()[0];
        data = data.slice(1, data.size() - 1);
      }
      w::reader r{head_, head_ + head_size_, {}};
      std::uint64_t size = 0;
      (void)w::get_varint(r, size);
      if (size > unit_max_) return found::too_large;
      head_size_ = 0;
      need_ = static_cast<std::size_t>(size);
      is_open_ = need_ != 0;  // an empty record says nothing
    }
    if (buffer_ == nullptr && data.size() >= need_) {
      unit = split(data, need_);
      is_open_ = false;
      return found::unit;
    }
    if (data.empty()) return found::nothing;
    if (!gather(data.view().first(need_ - have_ < data.size() ? need_ - have_ : data.size()), need_, pool))
      return found::no_memory;
    data = data.slice(last_, data.size() - last_);
    if (have_ < need_) return found::nothing;
    unit = hand_over(have_);
    is_open_ = false;
    return found::unit;
  }
  [[nodiscard]] found next_frame(bytes& data, bytes& unit, buffer_pool& pool) noexcept {
    if (data.empty()) return found::nothing;
    if (buffer_ == nullptr) {
      const auto f = decode_frame(data.view());
      if (f.why != errc::truncated) {
        unit = split(data, f.why == errc::ok ? f.size : data.size());
        return unit.size() > unit_max_ && f.why == errc::ok ? found::too_large : found::unit;
      }
      if (data.size() > unit_max_) return found::too_large;
    }
    const std::size_t had = have_;
    const std::size_t room = unit_max_ - had;
    if (room == 0) return found::too_large;
    if (!gather(data.view().first(room < data.size() ? room : data.size()), unit_max_, pool)) return found::no_memory;
    const auto f = decode_frame({buffer_->data(), have_});
    if (f.why == errc::truncated) {
      data = data.slice(last_, data.size() - last_);
      return data.empty() ? found::nothing : found::too_large;
    }
    const std::size_t size = f.why == errc::ok ? f.size : have_;
    data = data.slice(size - had, data.size() - (size - had));
    unit = hand_over(size);
    return found::unit;
  }
  [[nodiscard]] static bytes split(bytes& data, std::size_t n) noexcept {
    bytes front = data.slice(0, n);
    data = data.slice(n, data.size() - n);
    return front;
  }
  [[nodiscard]] bool gather(byte_view v, std::size_t room, buffer_pool& pool) noexcept {
    if (buffer_ == nullptr) buffer_ = pool.take(room);
    if (buffer_ == nullptr) return false;
    std::memcpy(buffer_->data() + have_, v.data(), v.size());
    have_ += v.size();
    last_ = v.size();
    return true;
  }
  [[nodiscard]] bytes hand_over(std::size_t n) noexcept {
    bytes unit = bytes::adopt({buffer_->data(), n}, buffer_);
    buffer_ = nullptr;
    have_ = 0;
    return unit;
  }

  std::size_t unit_max_;
  bool is_sized_;
  bool is_open_ = false;  // the Size is known
  std::uint8_t head_[8] = {};
  std::size_t head_size_ = 0;
  std::size_t need_ = 0;
  buffer_pool::buffer* buffer_ = nullptr;  // what has come of a unit that is not whole
  std::size_t have_ = 0;
  std::size_t last_ = 0;  // how much the last `gather` added
};

}  // namespace moql::qmux::detail
