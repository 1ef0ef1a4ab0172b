#pragma once
/// The bytes of one outgoing stream that are kept until the peer has acknowledged them, for stacks that refer to sent
/// bytes (to send them again) instead of copying them.

#include "../base/buffers.hpp"
#include "../base/queue.hpp"
#include "../base/search.hpp"
#include "transport.hpp"

namespace moql {

/// Offsets count the stream's bytes from its beginning. What is kept are the bytes [begin(), end()).
class send_queue {
 public:
  explicit send_queue(memory m = {}) noexcept : pieces_(m) {}
  send_queue(const send_queue&) = delete;
  send_queue& operator=(const send_queue&) = delete;
  ~send_queue() { drop_all(); }

  /// Takes up to `room` bytes of `c` and returns how many. A share is kept in the chunk's owner; without one the bytes
  /// are copied into a buffer of `pool`. Fewer than `c.size` and `room`: memory ran out.
  std::size_t push(const chunk& c, std::size_t room, buffer_pool& pool) noexcept {
    const std::size_t n = c.size < room ? c.size : room;
    if (n == 0 || (c.owner == nullptr && append_to_tail(c.data, n))) return n;
    piece p{c.data, n, end_, c.owner};
    buffer_pool::buffer* fresh = nullptr;
    if (c.owner != nullptr) {
      c.owner->retain(c.owner);
    } else {
      fresh = pool.take(n);
      if (fresh == nullptr) return 0;
      std::memcpy(fresh->data(), c.data, n);
      p.data = fresh->data();
      p.holder = fresh;
    }
    if (!pieces_.push(p)) {
      p.holder->release(p.holder);
      return 0;
    }
    tail_room_ = fresh == nullptr ? 0 : fresh->capacity() - n;
    end_ += n;
    return n;
  }

  /// Shows the bytes from `offset` on, piece by piece, until `show(byte_view)` returns false or there are no more.
  /// They stay where they are until they are acknowledged or cut.
  template <class F>
  void gather(std::uint64_t offset, F&& show) const noexcept {
    if (offset < begin() || offset >= end_) return;
    std::size_t i = first_not(1, pieces_.size(), [&](std::size_t at) { return pieces_[at].at <= offset; }) - 1;
    auto skip = static_cast<std::size_t>(offset - pieces_[i].at);
    for (; i < pieces_.size(); ++i, skip = 0) {
      const piece& p = pieces_[i];
      if (!show(byte_view(p.data + skip, p.size - skip))) return;
    }
  }

  /// Everything below `offset` has arrived; pieces that have arrived whole are let go.
  void ack(std::uint64_t offset) noexcept {
    while (!pieces_.empty() && pieces_.front().at + pieces_.front().size <= offset) let_go(pieces_.pop());
    if (pieces_.empty()) tail_room_ = 0;
    const std::uint64_t known = offset < end_ ? offset : end_;
    if (known > acked_) acked_ = known;
  }
  /// Takes back what lies at and behind `offset`: it will not be sent.
  void cut(std::uint64_t offset) noexcept {
    if (offset >= end_) return;
    end_ = offset < acked_ ? acked_ : offset;
    tail_room_ = 0;
    for (std::size_t i = pieces_.size(); i-- > 0;) {
      piece& p = pieces_[i];
      if (p.at < end_) {
        p.size = static_cast<std::size_t>(end_ - p.at);
        break;
      }
      let_go(p);  // an empty piece stays in its place
      p = {nullptr, 0, end_, nullptr};
    }
  }
  /// Begins anew, as if nothing had ever been sent.
  void clear() noexcept {
    drop_all();
    acked_ = end_ = 0;
  }

  [[nodiscard]] std::uint64_t begin() const noexcept { return acked_; }
  [[nodiscard]] std::uint64_t end() const noexcept { return end_; }
  /// Bytes that are not acknowledged yet.
  [[nodiscard]] std::uint64_t size() const noexcept { return end_ - acked_; }

 private:
  struct piece {
    const std::uint8_t* data;
    std::size_t size;
    std::uint64_t at;
    owner* holder;
  };
  /// Small writes that follow one another share a buffer.
  [[nodiscard]] bool append_to_tail(const std::uint8_t* data, std::size_t n) noexcept {
    if (n > tail_room_) return false;
    piece& last = pieces_[pieces_.size() - 1];
    std::memcpy(const_cast<std::uint8_t*>(last.data) + last.size, data, n);  // ours: only copies leave room
    last.size += n;
    tail_room_ -= n;
    end_ += n;
    return true;
  }
  static void let_go(const piece& p) noexcept {
    if (p.holder != nullptr) p.holder->release(p.holder);
  }
  void drop_all() noexcept {
    for (std::size_t i = 0; i < pieces_.size(); ++i) let_go(pieces_[i]);
    pieces_.clear();
    tail_room_ = 0;
  }

  queue<piece> pieces_;
  std::uint64_t acked_ = 0;
  std::uint64_t end_ = 0;
  std::size_t tail_room_ = 0;  // behind the last piece, if that is a copy
};

}  // namespace moql
