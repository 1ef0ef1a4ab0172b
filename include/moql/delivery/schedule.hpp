#pragma once
/// Which stream is written next: subscriber priority, then publisher priority, then fair shares in bytes, then group
/// order.

#include <cstddef>
#include <cstdint>

#include "backlog.hpp"
#include "heap.hpp"
#include "levels.hpp"
#include "rank.hpp"

namespace moql {

/// One subscription or fetch inside a schedule. Small, dense, recycled.
using flow_id = std::uint32_t;
inline constexpr flow_id no_flow = ~flow_id{0};

/// Flows with something to write, and inside each flow its ready streams. The order between flows is one packed key in
/// a heap: nothing is sorted, ranked or swept. Equal flows get equal shares of the bytes, however large their writes
/// are: two that always have something are never further apart than the largest single write. A flow that comes back
/// after a pause is owed nothing for it, and a new flow starts behind its equals. Every call costs at most O(log
/// flows), but for the length of a backlog that is added to or taken from in its middle.
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

  /// `first_byte` is where the count of bytes begins at each level; only tests have a reason to give it.
  explicit schedule(memory m = {}, std::uint64_t first_byte = 0) noexcept
      : memory_(m), flows_(m), heap_(m), levels_(m, first_byte) {}

  /// Higher priorities go first. `none` when memory ran out.
  [[nodiscard]] flow_id add_flow(std::uint8_t subscriber_priority, std::uint8_t publisher_priority,
                                 group_order order) noexcept {
    flow_id id = free_;
    if (id != none) {
      free_ = static_cast<flow_id>(flows_[id].start);
    } else {
      id = static_cast<flow_id>(flows_.size());
      if (!heap_.reserve(id + 1) || !flows_.reserve(id + 1)) return none;
      expects(flows_.push(flow(memory_)));
    }
    flow& f = flows_[id];
    f.rank = rank_of(subscriber_priority, publisher_priority);
    f.order = order;
    f.live = true;
    f.level = levels_.join(f.rank) & 0xffffu;
    f.start = levels_[f.level].last & detail::levels::time_max;
    return id;
  }
  /// Other priorities or another order for a flow, in flight or not. Its ready streams stay, and so does its place
  /// among equals: it is as far ahead of its new ones as it was of the old ones.
  void set_flow(flow_id id, std::uint8_t subscriber_priority, std::uint8_t publisher_priority,
                group_order order) noexcept {
    flow& f = at(id);
    f.order = order;
    const std::uint16_t rank = rank_of(subscriber_priority, publisher_priority);
    if (f.rank == rank) return;
    const std::uint64_t then = levels_[f.level].now;
    const std::uint64_t ahead = f.start > then ? f.start - then : 0;
    levels_.leave(f.level);
    f.rank = rank;
    f.level = levels_.join(rank) & 0xffffu;
    move(f, levels_[f.level].now + ahead);
    if (heap_.contains(id)) heap_.update(id, f.key());
  }
  /// Forgets its ready streams too. The id will be used again.
  void remove_flow(flow_id id) noexcept {
    flow& f = at(id);
    f.ready.clear();
    if (has_solo_ && solo_flow_ == id) has_solo_ = false;
    levels_.leave(f.level);
    f.live = false;
    f.start = free_;
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
  /// So many bytes of the flow have been written, whether or not it is still ready. None at all count as one: whoever
  /// writes nothing may not stay at the front.
  void served(flow_id id, std::size_t bytes) noexcept {
    flow& f = at(id);
    detail::levels::level& l = levels_[f.level];
    const std::uint64_t start = f.start > l.now ? f.start : l.now;  // what a pause left behind is not made up for
    const std::uint64_t n = bytes < detail::levels::write_max ? bytes : detail::levels::write_max;
    l.now = start;
    move(f, start + n + (n == 0));
    if (heap_.contains(id)) heap_.update(id, f.key());
  }

  /// Whether no stream is ready.
  [[nodiscard]] bool empty() const noexcept { return !has_solo_ && heap_.empty(); }
  /// There must be a ready stream. Looking changes nothing: `unready` or `served` do.
  [[nodiscard]] pick best() const noexcept {
    const flow_id id = has_solo_ ? solo_flow_ : heap_.top().id;
    const flow& f = flows_[id];
    const auto& m = has_solo_ ? solo_ : f.ready.best(f.order);
    return {id, m.sequence, m.item, f.rank};
  }
  /// How many streams of the flow are ready.
  [[nodiscard]] std::size_t ready_count(flow_id id) const noexcept {
    return flows_[id].ready.size() + (has_solo_ && solo_flow_ == id ? 1 : 0);
  }

 private:
  struct flow {
    explicit flow(memory m) noexcept : ready(m) {}
    /// Smaller is sooner: 16 bits of inverted rank over 48 bits of time.
    [[nodiscard]] std::uint64_t key() const noexcept {
      return static_cast<std::uint64_t>(0xffffu - rank) << 48 | start;
    }
    [[no_unique_address]] detail::backlog ready;  // what follows fills its padding
    std::uint16_t rank = 0;
    group_order order = group_order::newest_first;
    bool live = false;
    // Of its next write, on the clock of its level; in the past after a pause. While not in use, the next that is free.
    std::uint64_t start : 48 = 0;
    std::uint64_t level : 16 = 0;
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
  void move(flow& f, std::uint64_t start) noexcept {
    detail::levels::level& l = levels_[f.level];
    if (start > detail::levels::time_max) [[unlikely]] {
      start -= l.now;
      restart(f.level);
    }
    f.start = start & detail::levels::time_max;
    if (l.last < start) l.last = start;
  }
  /// Once in 2^48 bytes the clock of a level starts again; how far its flows are apart stays.
  MOQL_NOINLINE void restart(std::uint32_t level) noexcept {
    detail::levels::level& l = levels_[level];
    for (std::size_t i = 0; i < flows_.size(); ++i) {
      flow& f = flows_[i];
      if (!f.live || f.level != level) continue;
      f.start = (f.start > l.now ? f.start - l.now : 0) & detail::levels::time_max;
      if (const auto id = static_cast<flow_id>(i); heap_.contains(id)) heap_.update(id, f.key());
    }
    l.last -= l.now;
    l.now = 0;
  }
  memory memory_;
  vec<flow> flows_;
  indexed_heap<std::uint64_t> heap_;
  detail::levels levels_;
  flow_id free_ = none;
  /// While one stream alone is ready, as on most connections most of the time, there is nothing to order: it is kept
  /// here and the heap is empty.
  bool has_solo_ = false;
  flow_id solo_flow_ = none;
  detail::backlog::member solo_{};
};

}  // namespace moql
