#pragma once
/// Frames on their way to the socket: what is here is never taken back, changed or overtaken.

#include <array>

#include "../base/buffers.hpp"
#include "../base/queue.hpp"
#include "qmux_frame.hpp"

namespace moql::qmux::detail {

class outbox {
 public:
  /// Pieces that are shown at once, and that one frame may consist of.
  static constexpr std::size_t pieces_max = 32;

  /// `is_sized`: every frame is a record of its own, with its Size in front.
  outbox(memory m, bool is_sized) noexcept : pool_(m), pieces_(m), is_sized_(is_sized) {}

  /// Bytes that the socket has not taken yet.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return pieces_.empty(); }
  /// Memory ran out: a frame may be cut short, and nothing after it makes sense.
  [[nodiscard]] bool has_failed() const noexcept { return has_failed_; }
  [[nodiscard]] buffer_pool& pool() noexcept { return pool_; }

  /// Begins a frame of `head` bytes and `data` bytes behind them, which `add` brings. Returns where the head goes, or
  /// null.
  [[nodiscard]] std::uint8_t* begin(std::size_t head, std::size_t data) noexcept {
    const std::size_t size = is_sized_ ? w::varint_size(head + data) : 0;
    buffer_pool::buffer* b = has_failed_ ? nullptr : pool_.take(size + head);
    if (b == nullptr || !pieces_.push({bytes::adopt({b->data(), size + head}, b), data == 0})) {
      has_failed_ = true;
      return nullptr;
    }
    size_ += size + head;
    w::writer to{b->data()};
    if (is_sized_) w::put_varint(to, head + data);
    return to.p;
  }
  bool add(bytes data, bool is_last) noexcept {
    size_ += data.size();
    if (!has_failed_ && !pieces_.push({std::move(data), is_last})) has_failed_ = true;
    return !has_failed_;
  }
  template <class F>
  void put(const F& f) noexcept {
    if (std::uint8_t* to = begin(frame_size(f), 0)) (void)put_frame(f, to);
  }

  /// From the front: whole messages are one at a time, a stream is as much as fits.
  [[nodiscard]] std::span<const byte_view> show(bool one_message) noexcept {
    std::size_t n = 0;
    for (std::size_t i = 0; i < pieces_.size() && n < pieces_max; ++i) {
      const bytes& p = pieces_[i].data;
      const std::size_t skip = i == 0 ? taken_ : 0;
      shown_[n++] = {p.data() + skip, p.size() - skip};
      if (one_message && pieces_[i].is_last) break;
    }
    return {shown_.data(), n};
  }
  void taken(std::size_t n) noexcept {
    size_ -= n < size_ ? n : size_;
    n += taken_;
    while (!pieces_.empty() && n >= pieces_.front().data.size()) n -= pieces_.pop().data.size();
    taken_ = pieces_.empty() ? 0 : n;
  }

 private:
  struct piece {
    bytes data;
    bool is_last;
  };
  buffer_pool pool_;
  queue<piece> pieces_;
  std::size_t taken_ = 0;  // of the first piece
  std::size_t size_ = 0;
  bool is_sized_;
  bool has_failed_ = false;
  std::array<byte_view, pieces_max> shown_{};
};

}  // namespace moql::qmux::detail
