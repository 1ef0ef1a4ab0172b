#pragma once
/// The streams of a connection, and which of them sends next: the highest priority first, in turns among equals.

#include <moql/adapter/send_queue.hpp>
#include <moql/base/index.hpp>
#include <moql/base/slab.hpp>
#include <moql/delivery/heap.hpp>

namespace quic {

struct stream {
  explicit stream(moql::memory m) noexcept : out(m) {}
  void recycle() noexcept {
    out.clear();
    now = {};
  }
  /// What `recycle` forgets.
  struct facts {
    std::int64_t id = -1;
    std::uint32_t slot = 0;
    std::int32_t order = 0;
    std::uint64_t sent = 0;       ///< Offset up to which the stack has taken bytes.
    std::uint64_t turn_from = 0;  ///< `sent` when its turn began.
    bool can_send = false;        ///< Neither finished nor given up, by either side.
    bool can_receive = false;
    bool has_fin = false;
    bool is_fin_sent = false;
    bool is_reset = false;
    bool is_stopped = false;  ///< By the peer, and the sink has been told.
    bool is_stalled = false;  ///< For lack of the peer's stream credit.
    bool is_full = false;     ///< Owes `on_writable`.
  } now;
  moql::send_queue out;

  [[nodiscard]] std::size_t unsent() const noexcept {
    return out.end() <= now.sent ? 0 : static_cast<std::size_t>(out.end() - now.sent);
  }
};

class stream_table {
 public:
  /// Null when memory ran out.
  [[nodiscard]] stream* add(std::int64_t id, bool can_send, bool can_receive) noexcept {
    moql::slot_handle h;
    stream* s = streams_.take(h);
    if (s == nullptr) return nullptr;
    if (!by_id_.insert(static_cast<std::uint64_t>(id), h.index) || !ready_.reserve(h.index + 1)) {
      by_id_.erase(static_cast<std::uint64_t>(id));
      streams_.give(h);
      return nullptr;
    }
    s->now.id = id;
    s->now.slot = h.index;
    s->now.can_send = can_send;
    s->now.can_receive = can_receive;
    return s;
  }
  [[nodiscard]] stream* find(std::int64_t id) noexcept {
    const std::uint32_t slot = by_id_.find(static_cast<std::uint64_t>(id));
    return slot == moql::slot_index::none ? nullptr : &streams_[slot];
  }
  void erase(stream& s) noexcept {
    ready_.erase(s.now.slot);
    by_id_.erase(static_cast<std::uint64_t>(s.now.id));
    streams_.give(streams_.handle_of(s.now.slot));
  }
  /// Puts the stream in or out of the queue of those that have something to send.
  void settle(stream& s) noexcept {
    const bool has_something = s.unsent() != 0 || (s.now.has_fin && !s.now.is_fin_sent);
    const bool is_ready = has_something && !s.now.is_reset && !s.now.is_stopped && !s.now.is_stalled;
    if (!is_ready)
      ready_.erase(s.now.slot);
    else if (!ready_.contains(s.now.slot))
      (void)ready_.push(s.now.slot, {s.now.order, ++turns_});  // there is room: `add` saw to that
  }
  void set_order(stream& s, std::int32_t order) noexcept {
    s.now.order = order;
    if (ready_.contains(s.now.slot)) ready_.update(s.now.slot, {order, ready_.key_of(s.now.slot).turn});
  }
  /// The stream has sent some bytes: when it had its turn, its equals come first.
  void sent(stream& s) noexcept {
    settle(s);
    if (s.now.sent - s.now.turn_from < turn_size) return;
    s.now.turn_from = s.now.sent;
    if (ready_.contains(s.now.slot)) ready_.update(s.now.slot, {s.now.order, ++turns_});
  }
  [[nodiscard]] stream* next() noexcept { return ready_.empty() ? nullptr : &streams_[ready_.top().id]; }
  [[nodiscard]] std::size_t size() const noexcept { return streams_.size(); }

 private:
  struct place {
    std::int32_t order;
    std::uint64_t turn;
    friend constexpr bool operator<(const place& a, const place& b) noexcept {
      return a.order != b.order ? a.order > b.order : a.turn < b.turn;
    }
  };
  static constexpr std::uint64_t turn_size = 16 * 1024;  // longer than a packet: what arrives together is read together

  moql::slab<stream> streams_;
  moql::slot_index by_id_;
  moql::indexed_heap<place> ready_;  // by slot
  std::uint64_t turns_ = 0;
};

}  // namespace quic
