#pragma once
/// What a connection knows of one stream, and of credit.

#include "../adapter/transport.hpp"
#include "../base/buffers.hpp"
#include "../base/queue.hpp"
#include "../wire/varint.hpp"

namespace moql::qmux::detail {

/// What we let the peer use: bytes of a stream or of all streams, or streams. The limit moves on when more than a third
/// of the room has been given back, as in the deployed stacks: rarely, and yet before the peer has to stop.
class window {
 public:
  constexpr window() noexcept = default;
  explicit constexpr window(std::uint64_t limit) noexcept : limit_(limit) {}
  /// False: the peer has broken the limit.
  [[nodiscard]] constexpr bool take(std::uint64_t n) noexcept {
    if (n > limit_ - used_) return false;
    used_ += n;
    return true;
  }
  /// True when the limit should be told anew.
  [[nodiscard]] constexpr bool give_back(std::uint64_t n) noexcept {
    if (n > used_ - returned_) n = used_ - returned_;
    returned_ += n;
    released_ += n;
    return released_ != 0 && used_ + 2 * released_ > limit_;
  }
  [[nodiscard]] constexpr std::uint64_t raise() noexcept {
    limit_ += released_;
    released_ = 0;
    return limit_;
  }
  [[nodiscard]] constexpr std::uint64_t used() const noexcept { return used_; }
  [[nodiscard]] constexpr std::uint64_t limit() const noexcept { return limit_; }
  /// Taken and not given back.
  [[nodiscard]] constexpr std::uint64_t held() const noexcept { return used_ - returned_; }

 private:
  std::uint64_t limit_ = 0;
  std::uint64_t used_ = 0;
  std::uint64_t returned_ = 0;
  std::uint64_t released_ = 0;
};

/// Bytes of one stream that wait to become frames.
class backlog {
 public:
  explicit backlog(memory m) noexcept : pieces_(m) {}
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  /// Takes the first `n` bytes of `c`: a share of what is large and owned, a copy of the rest. False when memory ran
  /// out.
  [[nodiscard]] bool push(const chunk& c, std::size_t n, buffer_pool& pool) noexcept {
    if (n == 0) return true;
    if (c.owner != nullptr && n >= worth_sharing) {
      tail_ = nullptr;
      if (!pieces_.push(bytes::share({c.data, n}, c.owner))) return false;
    } else if (!copy({c.data, n}, pool)) {
      return false;
    }
    size_ += n;
    return true;
  }
  /// How many of the first `n` bytes lie in the first `pieces` pieces.
  [[nodiscard]] std::size_t reach(std::size_t n, std::size_t pieces) const noexcept {
    std::size_t all = 0;
    for (std::size_t i = 0; i < pieces_.size() && i < pieces && all < n; ++i) all += pieces_[i].size();
    return all < n ? all : n;
  }
  /// Moves bytes from the front to `out`; there must be so many. `out` takes shares and returns false to fail.
  template <class Out>
  [[nodiscard]] bool take(std::size_t n, Out&& out) noexcept {
    size_ -= n;
    while (n != 0) {
      bytes& front = pieces_.front();
      const std::size_t part = front.size() < n ? front.size() : n;
      n -= part;
      if (part == front.size()) {
        if (pieces_.size() == 1) tail_ = nullptr;
        if (!out(pieces_.pop(), n == 0)) return false;
      } else {
        bytes head = front.slice(0, part);
        front = front.slice(part, front.size() - part);
        if (!out(std::move(head), true)) return false;
      }
    }
    return true;
  }
  void clear() noexcept {
    pieces_.clear();
    tail_ = nullptr;
    size_ = 0;
  }

 private:
  /// Smaller pieces are copied together: a share costs more than their bytes.
  static constexpr std::size_t worth_sharing = 512;
  [[nodiscard]] bool copy(byte_view v, buffer_pool& pool) noexcept {
    if (tail_ != nullptr) {  // what others share of this buffer lies before its end
      bytes& last = pieces_[pieces_.size() - 1];
      const auto end = static_cast<std::size_t>(last.data() + last.size() - tail_->data());
      const std::size_t room = tail_->capacity() - end;
      const std::size_t n = v.size() < room ? v.size() : room;
      std::memcpy(tail_->data() + end, v.data(), n);
      last = bytes::share({last.data(), last.size() + n}, tail_);
      v = v.subspan(n);
    }
    if (v.empty()) return true;
    buffer_pool::buffer* b = pool.take(v.size() < worth_sharing ? worth_sharing : v.size());
    if (b == nullptr) return false;
    std::memcpy(b->data(), v.data(), v.size());
    if (!pieces_.push(bytes::adopt({b->data(), v.size()}, b))) return false;
    tail_ = b;
    return true;
  }
  queue<bytes> pieces_;
  buffer_pool::buffer* tail_ = nullptr;  // the last piece's, if it is a copy that may grow
  std::size_t size_ = 0;
};

/// What a stream wants to say besides its data.
enum ask : std::uint8_t { ask_reset = 1, ask_stop = 2, ask_credit = 4, ask_fin = 8 };

inline constexpr std::uint32_t no_slot = ~std::uint32_t{0};
inline constexpr std::uint64_t no_end = ~std::uint64_t{0};

struct stream_state {
  std::uint64_t id = 0;
  bool is_ours = false;
  bool is_bidi = false;
  bool is_known = false;  // to the sink: it opened it, or has heard on_open
  std::uint8_t asks = 0;
  bool is_asking = false;  // in the queue of those that ask
  // What we send.
  bool can_send = false;  // there is such a direction, and neither FIN nor reset has been made into a frame
  bool is_reset = false;
  bool fin_wanted = false;
  bool is_blocked = false;  // owed `on_writable`
  bool is_waking = false;   // and the next input will say so
  std::int32_t priority = 0;
  std::uint64_t sent = 0;
  std::uint64_t send_limit = 0;
  std::uint64_t reset_code = 0;
  std::uint64_t stop_code = 0;
  // Its place among those that have data to send.
  bool is_ready = false;
  std::uint32_t next = no_slot;
  std::uint32_t previous = no_slot;
  // What we receive.
  bool can_receive = false;  // there is such a direction, and the peer has not ended it
  bool is_stopped = false;
  window in{};
  std::uint64_t reset_at = no_end;  // RESET_STREAM_AT: the sink gets the bytes before it, then the reset
  std::uint64_t reset_at_code = 0;

  [[nodiscard]] direction dir() const noexcept { return is_bidi ? direction::bidi : direction::uni; }
  [[nodiscard]] stream_id name() const noexcept { return stream_id{id}; }
  [[nodiscard]] bool has(ask a) const noexcept { return (asks & a) != 0; }
  /// Nothing more will be said about it by either side.
  [[nodiscard]] bool is_over() const noexcept { return !can_send && !can_receive && asks == 0; }
};
struct stream : stream_state {
  explicit stream(memory m) noexcept : out(m) {}
  void recycle() noexcept {
    out.clear();
    static_cast<stream_state&>(*this) = {};
  }
  [[nodiscard]] bool has_sendable() const noexcept {
    return can_send && !is_reset && !out.empty() && sent < send_limit;
  }
  backlog out;
};

}  // namespace moql::qmux::detail
