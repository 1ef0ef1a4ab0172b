#pragma once
/// Whose data is sent next: the highest priority first, and among equals each in turn.

#include "../base/search.hpp"
#include "../base/slab.hpp"
#include "qmux_stream.hpp"

namespace moql::qmux::detail {

/// A ring of streams for each priority that is in use, linked through the streams themselves: joining and leaving cost
/// no memory, and looking costs nothing.
class turns {
 public:
  explicit turns(memory m) noexcept : levels_(m) {}
  [[nodiscard]] bool empty() const noexcept { return levels_.empty(); }
  /// The slot of the stream to serve. There must be one.
  [[nodiscard]] std::uint32_t first() const noexcept { return levels_.back().head; }

  /// False when memory ran out. Joining twice changes nothing.
  [[nodiscard]] bool join(slab<stream>& streams, std::uint32_t slot) noexcept {
    stream& s = streams[slot];
    if (s.is_ready) return true;
    const std::size_t at = place(s.priority);
    if (at == levels_.size() || levels_[at].priority != s.priority) {
      if (!levels_.insert(at, {s.priority, slot})) return false;
      s.next = s.previous = slot;
    } else {
      stream& head = streams[levels_[at].head];
      s.next = levels_[at].head;
      s.previous = head.previous;
      streams[head.previous].next = slot;
      head.previous = slot;
    }
    s.is_ready = true;
    return true;
  }
  void leave(slab<stream>& streams, std::uint32_t slot) noexcept {
    stream& s = streams[slot];
    if (!s.is_ready) return;
    const std::size_t at = place(s.priority);
    if (s.next == slot) {
      levels_.erase(at);
    } else {
      streams[s.previous].next = s.next;
      streams[s.next].previous = s.previous;
      if (levels_[at].head == slot) levels_[at].head = s.next;
    }
    s.is_ready = false;
    s.next = s.previous = no_slot;
  }
  /// The first stream has had its turn and goes behind its equals.
  void served(slab<stream>& streams) noexcept {
    level& l = levels_.back();
    l.head = streams[l.head].next;
  }
  void clear() noexcept { levels_.clear(); }

 private:
  struct level {
    std::int32_t priority;
    std::uint32_t head;
  };
  /// Where `priority` is or belongs; the highest is last.
  [[nodiscard]] std::size_t place(std::int32_t priority) const noexcept {
    return first_not(0, levels_.size(), [&](std::size_t i) { return levels_[i].priority < priority; });
  }
  vec<level> levels_;
};

}  // namespace moql::qmux::detail
