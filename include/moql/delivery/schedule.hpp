#pragma once
/// Which stream is written next: subscriber priority, then publisher priority, then fair turns, then group order.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "heap.hpp"

namespace moql {

/// Which group of one track goes first. 06 is always newest first; 03 to 05 carry the choice (Ordered).
enum class group_order : std::uint8_t { newest_first, oldest_first };

/// One subscription or fetch inside a schedule. Small, dense, recycled.
using flow_id = std::uint32_t;
inline constexpr flow_id no_flow = ~flow_id{0};

namespace detail {
/// The streams of one flow that could be written now, by rising sequence. Both ends are cheap whichever of them is
/// served and however long the backlog is: room is left in front, and what lies in between moves the shorter way.
class backlog {
 public:
  struct member {
    std::uint64_t sequence;
    std::uint32_t item;
  };
  explicit backlog(memory m) noexcept : items_(m) {}
  [[nodiscard]] bool empty() const noexcept { return head_ == items_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size() - head_; }
  [[nodiscard]] const member& best(group_order order) const noexcept {
    return order == group_order::newest_first ? items_.back() : items_[head_];
  }
  /// Adding what is there already changes nothing. False when memory ran out.
  [[nodiscard]] bool add(member m) noexcept {
    const std::size_t at = place(m);
    if (at != items_.size() && same(items_[at], m)) return true;
    const std::size_t before_it = at - head_;
    const std::size_t after_it = items_.size() - at;
    if (before_it < after_it) {
      if (head_ == 0 && !make_room()) return false;
      --head_;
      move(head_, head_ + 1, before_it);
      items_[head_ + before_it] = m;
      return true;
    }
    if (items_.size() == items_.capacity() && head_ * 2 >= items_.size()) {  // else a moving window would grow for ever
      move(0, head_, size());
      items_.truncate(size());
      head_ = 0;
    }
    if (!items_.push(m)) return false;
    const std::size_t to = items_.size() - 1 - after_it;
    move(to + 1, to, after_it);
    items_[to] = m;
    return true;
  }
  /// False when it was not there.
  bool remove(member m) noexcept {
    const std::size_t at = place(m);
    if (at == items_.size() || !same(items_[at], m)) return false;
    const std::size_t before_it = at - head_;
    const std::size_t after_it = items_.size() - at - 1;
    if (before_it < after_it) {
      move(head_ + 1, head_, before_it);
      ++head_;
    } else {
      move(at, at + 1, after_it);
      items_.pop();
    }
    if (empty()) clear();
    return true;
  }
  /// Keeps the memory.
  void clear() noexcept {
    items_.clear();
    head_ = 0;
  }

 private:
  static bool less(const member& a, const member& b) noexcept {
    return a.sequence != b.sequence ? a.sequence < b.sequence : a.item < b.item;
  }
  static bool same(const member& a, const member& b) noexcept { return a.sequence == b.sequence && a.item == b.item; }
  /// The first member that is not less than `m`.
  [[nodiscard]] std::size_t place(const member& m) const noexcept {
    if (empty() || less(items_.back(), m)) return items_.size();
    if (!less(items_[head_], m)) return head_;
    if (same(items_.back(), m)) return items_.size() - 1;
    std::size_t low = head_ + 1;
    for (std::size_t high = items_.size() - 1; low < high;) {
      const std::size_t middle = low + (high - low) / 2;
      if (less(items_[middle], m))
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }
  void move(std::size_t to, std::size_t from, std::size_t n) noexcept {
    if (n != 0) std::memmove(static_cast<void*>(items_.data() + to), items_.data() + from, n * sizeof(member));
  }
  /// Moves everything back by half its length: free of charge per insertion, as doubling is.
  [[nodiscard]] bool make_room() noexcept {
    const std::size_t n = items_.size();
    const std::size_t room = n / 2 + 1;
    if (items_.extend(room) == nullptr) return false;
    move(room, 0, n);
    head_ = static_cast<std::uint32_t>(room);
    return true;
  }
  vec<member, 1> items_;  ///< One at a time is usual, and needs no memory.
  std::uint32_t head_ = 0;
};
}  // namespace detail

/// Flows with something to write, and inside each flow its ready streams. The order between flows is one packed key in
/// a heap: nothing is sorted, ranked or swept. Equal flows take turns: whoever was served longest ago is next, so a
/// flow that comes back after a pause is owed one turn and never more, and a new flow starts behind its equals.
class schedule {
 public:
  using flow_id = moql::flow_id;
  static constexpr flow_id none = no_flow;

  /// The stream to write next. A larger `rank` is more important, also between two schedules.
  struct pick {
    flow_id flow;
    std::uint64_t sequence;
    std::uint32_t item;
    std::uint16_t rank;
  };

  /// `first_turn` is where the count of turns begins; only tests have a reason to give it.
  explicit schedule(memory m = {}, std::uint64_t first_turn = 0) noexcept
      : memory_(m), flows_(m), heap_(m), turn_(first_turn & last_turn) {}

  /// Higher priorities go first. `none` when memory ran out.
  [[nodiscard]] flow_id add_flow(std::uint8_t subscriber_priority, std::uint8_t publisher_priority,
                                 group_order order) noexcept {
    flow_id id = free_;
    if (id != none) {
      free_ = static_cast<flow_id>(flows_[id].turn);
    } else {
      id = static_cast<flow_id>(flows_.size());
      if (!heap_.reserve(id + 1) || !flows_.push(flow(memory_))) return none;
    }
    flow& f = flows_[id];
    f.subscriber_priority = subscriber_priority;
    f.publisher_priority = publisher_priority;
    f.order = order;
    f.live = true;
    f.turn = next_turn();
    return id;
  }
  /// Other priorities or another order for a flow, in flight or not; its ready streams and its place among equals stay.
  void set_flow(flow_id id, std::uint8_t subscriber_priority, std::uint8_t publisher_priority,
                group_order order) noexcept {
    flow& f = at(id);
    f.subscriber_priority = subscriber_priority;
    f.publisher_priority = publisher_priority;
    f.order = order;
    if (heap_.contains(id)) heap_.update(id, f.key());
  }
  /// Forgets its ready streams too. The id will be used again.
  void remove_flow(flow_id id) noexcept {
    flow& f = at(id);
    f.ready.clear();
    if (has_solo_ && solo_flow_ == id) has_solo_ = false;
    f.live = false;
    f.turn = free_;
    free_ = id;
    heap_.erase(id);
  }

  /// The stream `item`, which carries group `sequence`, has something to write. Telling twice changes nothing. False
  /// when memory ran out; nothing has changed then.
  [[nodiscard]] bool ready(flow_id id, std::uint64_t sequence, std::uint32_t item) noexcept {
    const detail::backlog::member m{sequence, item};
    if (heap_.empty()) {
      expects(id < flows_.size() && flows_[id].live);
      if (!has_solo_) {
        has_solo_ = true;
        solo_flow_ = id;
        solo_ = m;
        return true;
      }
      if (is_solo(id, m)) return true;
      if (!put(solo_flow_, solo_)) return false;
      has_solo_ = false;
    }
    return put(id, m);
  }
  /// It has nothing to write, is blocked or is gone. Nothing happens when it was not ready.
  void unready(flow_id id, std::uint64_t sequence, std::uint32_t item) noexcept {
    flow& f = at(id);
    if (has_solo_) {
      if (is_solo(id, {sequence, item})) has_solo_ = false;
      return;
    }
    if (f.ready.remove({sequence, item}) && f.ready.empty()) heap_.erase(id);
  }
  /// The flow has had its turn and goes behind its equals, whether or not it is still ready.
  void served(flow_id id) noexcept {
    flow& f = at(id);
    f.turn = next_turn();
    if (heap_.contains(id)) heap_.update(id, f.key());
  }

  /// Whether no stream is ready.
  [[nodiscard]] bool empty() const noexcept { return !has_solo_ && heap_.empty(); }
  /// There must be a ready stream. Looking changes nothing: `unready` or `served` do.
  [[nodiscard]] pick best() const noexcept {
    const flow_id id = has_solo_ ? solo_flow_ : heap_.top().id;
    const flow& f = flows_[id];
    const auto& m = has_solo_ ? solo_ : f.ready.best(f.order);
    return {id, m.sequence, m.item, rank(f.subscriber_priority, f.publisher_priority)};
  }
  [[nodiscard]] static constexpr std::uint16_t rank(std::uint8_t subscriber_priority,
                                                    std::uint8_t publisher_priority) noexcept {
    return static_cast<std::uint16_t>(subscriber_priority << 8 | publisher_priority);
  }
  /// How many streams of the flow are ready.
  [[nodiscard]] std::size_t ready_count(flow_id id) const noexcept {
    return flows_[id].ready.size() + (has_solo_ && solo_flow_ == id ? 1 : 0);
  }

 private:
  static constexpr std::uint64_t last_turn = (std::uint64_t{1} << 48) - 1;
  struct flow {
    explicit flow(memory m) noexcept : ready(m) {}
    /// Smaller is sooner: 8 bits each of inverted priorities over 48 bits of turn.
    [[nodiscard]] std::uint64_t key() const noexcept {
      return static_cast<std::uint64_t>(0xffffu - rank(subscriber_priority, publisher_priority)) << 48 | turn;
    }
    [[no_unique_address]] detail::backlog ready;  // what follows fills its padding
    std::uint8_t subscriber_priority = 0;
    std::uint8_t publisher_priority = 0;
    group_order order = group_order::newest_first;
    bool live = false;
    std::uint64_t turn = 0;  // when it was last served; while it is not in use, the next that is free
  };
  [[nodiscard]] flow& at(flow_id id) noexcept {
    expects(id < flows_.size() && flows_[id].live);
    return flows_[id];
  }
  [[nodiscard]] bool is_solo(flow_id id, const detail::backlog::member& m) const noexcept {
    return solo_flow_ == id && solo_.sequence == m.sequence && solo_.item == m.item;
  }
  [[nodiscard]] bool put(flow_id id, const detail::backlog::member& m) noexcept {
    flow& f = at(id);
    if (!f.ready.add(m)) return false;
    if (!heap_.contains(id)) expects(heap_.push(id, f.key()));  // add_flow has reserved the room
    return true;
  }
  [[nodiscard]] std::uint64_t next_turn() noexcept {
    if (turn_ == last_turn) restart();
    return ++turn_;
  }
  /// Once in 2^48 turns, years apart, the count starts again and everyone is equal.
  MOQL_NOINLINE void restart() noexcept {
    turn_ = 0;
    for (std::size_t i = 0; i < flows_.size(); ++i) {
      if (!flows_[i].live) continue;
      flows_[i].turn = 0;
      if (const auto id = static_cast<flow_id>(i); heap_.contains(id)) heap_.update(id, flows_[i].key());
    }
  }
  memory memory_;
  vec<flow> flows_;
  indexed_heap<std::uint64_t> heap_;
  std::uint64_t turn_;
  flow_id free_ = none;
  /// While one stream alone is ready, as on most connections most of the time, there is nothing to order: it is kept
  /// here and the heap is empty.
  bool has_solo_ = false;
  flow_id solo_flow_ = none;
  detail::backlog::member solo_{};
};

}  // namespace moql
