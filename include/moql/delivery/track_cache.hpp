#pragma once
/// A track, written once and read by any number of subscriptions through cursors. Draft 06 sections 3.3 to 3.5
/// and 7.12.
///
/// The publisher appends; nothing is copied, nothing is queued per subscriber. Groups that are not the latest are kept
/// up to Publisher Max Age, a byte budget and a count; a cursor whose group was evicted learns it when it looks.
/// One thread at a time. The cache must not be touched from inside an event; it may die before its readers.

#include "../base/index.hpp"
#include "../base/queue.hpp"
#include "cached_group.hpp"
#include "expiry.hpp"
#include "listeners.hpp"
#include "ranges.hpp"

namespace moql {

struct track_options {
  std::uint8_t priority = 0;        ///< Publisher Priority: breaks ties, larger is sent first.
  bool ordered = false;             ///< 03 to 05: what the publisher prefers; never used for expiry.
  std::uint64_t max_age_ms = 5000;  ///< Publisher Max Age: groups that are not the latest are dropped beyond it.
  std::uint64_t timescale = 1000;   ///< Timestamp units per second; not 0.
  std::uint64_t bytes_max = 64 * 1024 * 1024;  ///< Payload kept; the latest group may not exceed it alone.
  std::uint32_t groups_max = 1024;
  /// A newer group leaves the one before it open, to be ended by itself: for whoever passes groups on as they arrive.
  bool overlapping = false;
  cache_budget* budget = nullptr;  ///< Shared with other tracks, beside `bytes_max`; must outlive the cache.
};

class track_cache {
 public:
  explicit track_cache(const track_options& o = {}, memory m = {}) noexcept
      : options_(o), groups_(m), by_sequence_(m), order_(m), arrivals_(m), evicted_(m), old_(m), gone_(m) {
    expects(o.timescale != 0);
  }
  track_cache(const track_cache&) = delete;
  track_cache& operator=(const track_cache&) = delete;
  ~track_cache() {
    listeners_.dismiss();
    if (options_.budget == nullptr) return;
    for (const std::uint32_t i : order_) options_.budget->release(groups_[i], groups_[i].size);
  }

  // ---- writing

  /// Starts the group after the latest one, and closes that.
  [[nodiscard]] errc begin_group(instant now, sent_by how = sent_by::stream) noexcept {
    return begin_group(next_sequence(), now, how);
  }
  /// Starts group `sequence`, which must be new. A group newer than the latest closes the latest (draft 06
  /// section 3.3) unless they may overlap; an older one, as a relay may receive, stays open beside it. `first_frame`:
  /// the index of the first frame that will be appended, when those before it are not to be had.
  [[nodiscard]] errc begin_group(std::uint64_t sequence, instant now, sent_by how = sent_by::stream,
                                 std::uint64_t first_frame = 0) noexcept {
    if (finished_) return errc::wrong_state;
    if (first_frame > wire::varint_max || sequence > wire::varint_max ||
        by_sequence_.find(sequence) != slot_index::none || was_dropped(sequence))
      return errc::bad_argument;
    const bool newest = order_.empty() || sequence > latest().sequence;
    // While the latest group stays, so does its place in the queue of arrivals and everything behind it.
    if (!newest && arrivals_.size() >= std::uint64_t{options_.groups_max} * 4 + arrivals_spare)
      return errc::limit_reached;
    if (!order_.reserve(order_.size() + 1)) return errc::out_of_memory;
    slot_handle h;
    cached_group* g = groups_.take(h);
    if (g == nullptr) return errc::out_of_memory;
    if (!by_sequence_.insert(sequence, h.index)) {
      groups_.give(h);
      return errc::out_of_memory;
    }
    if (!arrivals_.push(h)) {
      by_sequence_.erase(sequence);
      groups_.give(h);
      return errc::out_of_memory;
    }
    if (newest && !options_.overlapping && !order_.empty() && latest().state == group_state::open) close(latest());
    g->home = this;
    if (options_.budget != nullptr && !order_.empty()) {  // one of the two is not the latest
      cached_group& older = newest ? latest() : *g;
      if (older.size != 0) options_.budget->queue(older, older.size);
    }
    (void)order_.insert(place_of(sequence), h.index);  // the room is there
    g->sequence = sequence;
    g->first_frame = first_frame;
    g->arrival = now;
    g->how = how;
    if (!newest) {  // it may have been here before
      (void)evicted_.remove(sequence);
      (void)old_.remove(sequence);
    }
    current_ = h;
    if (sequence >= next_) next_ = sequence + 1;
    evict_aged();
    settle_expected();
    wake();
    return errc::ok;
  }
  /// Whoever passes a track on learns where it starts before it has it all: groups from `sequence` on are still to come
  /// even where later ones are here. A subscription that wants them starts there.
  void expect_from(std::uint64_t sequence) noexcept {
    expected_ = sequence;
    settle_expected();
  }
  /// Appends a whole frame to the group begun last. `timestamp` in timescale units, below 2^61.
  [[nodiscard]] errc append(std::uint64_t timestamp, bytes payload) noexcept {
    return append_to(groups_.find(current_), timestamp, std::move(payload));
  }
  [[nodiscard]] errc append(std::uint64_t sequence, std::uint64_t timestamp, bytes payload) noexcept {
    return append_to(find(sequence), timestamp, std::move(payload));
  }
  /// Starts a frame of `size` bytes whose payload comes in parts: for whoever forwards before it has all.
  [[nodiscard]] errc begin_frame(std::uint64_t sequence, std::uint64_t timestamp, std::uint64_t size) noexcept {
    cached_group* g = find(sequence);
    if (const errc e = check_frame(g, timestamp, size); e != errc::ok) return e;
    if (!g->frames.push({timestamp, size, static_cast<std::uint32_t>(g->parts.size()), {}})) return errc::out_of_memory;
    if (g->frames.size() == 1 || timestamp > g->newest_timestamp) g->newest_timestamp = timestamp;
    g->part_missing = size;
    wake();
    return errc::ok;
  }
  [[nodiscard]] errc append_part(std::uint64_t sequence, bytes part) noexcept {
    cached_group* g = find(sequence);
    if (g == nullptr) return errc::stale_handle;
    if (g->state != group_state::open || part.size() > g->part_missing) return errc::wrong_state;
    if (part.empty()) return errc::ok;
    const std::size_t n = part.size();
    if (!make_room(*g, n)) return errc::limit_reached;  // others may have grown since the frame was begun
    if (!g->parts.push(std::move(part))) return errc::out_of_memory;
    g->part_missing -= n;
    grow(*g, n);
    wake();
    return errc::ok;
  }
  [[nodiscard]] errc end_group() noexcept { return end(groups_.find(current_)); }
  [[nodiscard]] errc end_group(std::uint64_t sequence) noexcept { return end(find(sequence)); }
  /// Gives a group up: readers reset its stream with `code`.
  [[nodiscard]] errc abort_group(std::uint64_t sequence, stream_code code) noexcept {
    cached_group* g = find(sequence);
    if (g == nullptr) return errc::stale_handle;
    g->state = group_state::aborted;
    g->abort_code = code;
    wake();
    return errc::ok;
  }
  /// A whole group of one frame, for a datagram of at most 1200 bytes with its header.
  [[nodiscard]] errc write_datagram(std::uint64_t timestamp, bytes payload, instant now,
                                    sent_by how = sent_by::datagram) noexcept {
    if (payload.size() > datagram_bytes_max || timestamp > timestamp_max) return errc::bad_argument;
    if (payload.size() > options_.bytes_max || !could_fit(payload.size())) return errc::limit_reached;
    if (const errc e = begin_group(now, how); e != errc::ok) return e;
    if (const errc e = append(timestamp, std::move(payload)); e != errc::ok) {
      (void)abort_group(latest().sequence, stream_code::internal_error);
      return e;
    }
    return end_group();
  }
  /// Groups that will never exist: readers report them as dropped (SUBSCRIBE_DROP). limit_reached when the drops make
  /// up too many separate ranges.
  [[nodiscard]] errc drop_groups(std::uint64_t first, std::uint64_t last) noexcept {
    if (first > last || last > wire::varint_max) return errc::bad_argument;
    for (const std::uint32_t i : order_)
      if (groups_[i].sequence >= first && groups_[i].sequence <= last) return errc::bad_argument;
    if (gone_.count() >= drops_max && !gone_.covers(first, last)) return errc::limit_reached;
    if (!gone_.add(first, last)) return errc::out_of_memory;
    if (last >= next_) next_ = last + 1;
    settle_expected();
    wake();
    return errc::ok;
  }
  /// The track has ended: no further group.
  void finish() noexcept {
    if (finished_) return;
    for (const std::uint32_t i : order_)
      if (groups_[i].state == group_state::open) close(groups_[i]);
    finished_ = true;
    wake();
  }

  // ---- reading

  [[nodiscard]] const track_options& options() const noexcept { return options_; }
  [[nodiscard]] bool is_finished() const noexcept { return finished_; }
  [[nodiscard]] bool is_empty() const noexcept { return order_.empty(); }
  /// One past the highest group that was begun or dropped; 0 when there was none.
  [[nodiscard]] std::uint64_t next_sequence() const noexcept { return next_; }
  [[nodiscard]] std::uint64_t bytes_held() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t groups_held() const noexcept { return order_.size(); }
  [[nodiscard]] cached_group& latest() noexcept { return groups_[order_.back()]; }
  [[nodiscard]] cached_group* find(std::uint64_t sequence) noexcept {
    const std::uint32_t i = by_sequence_.find(sequence);
    return i == slot_index::none ? nullptr : &groups_[i];
  }
  [[nodiscard]] slot_handle handle_of(std::uint64_t sequence) noexcept {
    const std::uint32_t i = by_sequence_.find(sequence);
    return i == slot_index::none ? slot_handle{} : groups_.handle_of(i);
  }
  [[nodiscard]] cached_group* group(slot_handle h) noexcept { return groups_.find(h); }
  /// Groups in ascending sequence: `nth` of `groups_held()`.
  [[nodiscard]] cached_group& nth(std::size_t i) noexcept { return groups_[order_[i]]; }
  /// Arrivals are numbered from 0 in the order groups were begun; `arrivals_end` is one past the newest.
  [[nodiscard]] std::uint64_t arrivals_begin() const noexcept { return arrivals_base_; }
  [[nodiscard]] std::uint64_t arrivals_end() const noexcept { return arrivals_base_ + arrivals_.size(); }
  /// Null when that group is no longer held.
  [[nodiscard]] cached_group* arrival(std::uint64_t number) noexcept {
    if (number < arrivals_begin() || number >= arrivals_end()) return nullptr;
    return groups_.find(arrivals_[static_cast<std::size_t>(number - arrivals_base_)]);
  }
  [[nodiscard]] bool was_dropped(std::uint64_t sequence) const noexcept { return gone_.has(sequence); }
  [[nodiscard]] const ranges& dropped() const noexcept { return gone_; }
  /// Why a group cannot be had: EVICTED, OLD or NOT_FOUND (draft 06 section 4.4.2).
  [[nodiscard]] stream_code why_missing(std::uint64_t sequence) const noexcept {
    if (evicted_.has(sequence)) return stream_code::evicted;
    return old_.has(sequence) ? stream_code::old : stream_code::not_found;
  }
  /// The lowest group from `sequence` on that is still to come although a later one is here (`expect_from`).
  [[nodiscard]] std::optional<std::uint64_t> first_expected(std::uint64_t sequence) const noexcept {
    if (!expected_) return {};
    std::uint64_t at = *expected_ > sequence ? *expected_ : sequence;
    while (at < next_ && is_settled(at)) ++at;
    return at < next_ ? std::optional(at) : std::nullopt;
  }
  /// Whether a group that is still to come is too old already: where it ends is where the next one begins.
  [[nodiscard]] bool is_expired(std::uint64_t expected, version v, std::uint64_t max_age_ms) noexcept {
    const std::size_t place = place_of(expected);
    if (place == order_.size()) return false;
    const cached_group& next = groups_[order_[place]];
    group_age_facts f = age_of(next);
    f.is_latest = false;
    f.has_successor = true;
    f.successor_first_timestamp = next.frames.empty() ? std::nullopt : std::optional(next.frames[0].timestamp);
    return moql::is_expired(v, f, max_age_ms, options_.timescale);
  }
  /// Whether live delivery should give a group up: draft 06 section 6.2 and its forerunners.
  [[nodiscard]] bool is_expired(const cached_group& g, version v, std::uint64_t max_age_ms) noexcept {
    return &g != &latest() && moql::is_expired(v, age_of(g), max_age_ms, options_.timescale);
  }

  void attach(cache_listener& l) noexcept {
    l.cache = this;
    listeners_.attach(l);
  }
  void detach(cache_listener& l) noexcept {
    detail::cache_listeners::detach(l);
    l.cache = nullptr;
  }
  /// Asks to be told of the next change again.
  void rearm(cache_listener& l) noexcept { listeners_.rearm(l); }

 private:
  /// Whether a group is here, was here, or will never be.
  [[nodiscard]] bool is_settled(std::uint64_t sequence) const noexcept {
    return by_sequence_.find(sequence) != slot_index::none || gone_.has(sequence) || evicted_.has(sequence) ||
           old_.has(sequence);
  }
  void settle_expected() noexcept {
    if (!expected_) return;
    // What has been behind for so long is not coming.
    if (next_ > options_.groups_max && *expected_ < next_ - options_.groups_max)
      *expected_ = next_ - options_.groups_max;
    while (*expected_ < next_ && is_settled(*expected_)) ++*expected_;
    if (*expected_ >= next_ && !order_.empty()) expected_.reset();
  }
  [[nodiscard]] errc check_frame(const cached_group* g, std::uint64_t timestamp, std::uint64_t size) noexcept {
    if (g == nullptr) return errc::stale_handle;
    if (g->state != group_state::open || g->part_missing != 0) return errc::wrong_state;
    if (timestamp > timestamp_max || size > wire::varint_max) return errc::bad_argument;
    return make_room(*g, size) ? errc::ok : errc::limit_reached;
  }
  [[nodiscard]] errc append_to(cached_group* g, std::uint64_t timestamp, bytes payload) noexcept {
    if (const errc e = check_frame(g, timestamp, payload.size()); e != errc::ok) return e;
    const std::size_t n = payload.size();
    if (!g->parts.reserve(g->parts.size() + 1) ||
        !g->frames.push({timestamp, n, static_cast<std::uint32_t>(g->parts.size()), {}}))
      return errc::out_of_memory;
    if (n != 0) (void)g->parts.push(std::move(payload));
    if (g->frames.size() == 1 || timestamp > g->newest_timestamp) g->newest_timestamp = timestamp;
    grow(*g, n);
    wake();
    return errc::ok;
  }
  [[nodiscard]] errc end(cached_group* g) noexcept {
    if (g == nullptr) return errc::stale_handle;
    if (g->state != group_state::open) return errc::wrong_state;
    close(*g);
    wake();
    return errc::ok;
  }
  static void close(cached_group& g) noexcept {
    if (g.part_missing != 0) {  // a frame was begun and never came: what is there cannot be a whole group
      g.state = group_state::aborted;
      g.abort_code = stream_code::internal_error;
    } else {
      g.state = group_state::complete;
    }
  }
  /// Where a sequence stands in `order_`: the first place that is not below it.
  [[nodiscard]] std::size_t place_of(std::uint64_t sequence) const noexcept {
    if (order_.empty() || groups_[order_.back()].sequence < sequence) return order_.size();
    std::size_t low = 0;
    std::size_t high = order_.size();
    while (low < high) {
      const std::size_t mid = (low + high) / 2;
      if (groups_[order_[mid]].sequence < sequence)
        low = mid + 1;
      else
        high = mid;
    }
    return low;
  }
  [[nodiscard]] group_age_facts age_of(const cached_group& g) noexcept {
    group_age_facts f{};
    const cached_group& last = latest();
    f.is_latest = &g == &last;
    f.arrival = g.arrival;
    f.latest_arrival = last.arrival;
    if (!g.frames.empty()) f.first_timestamp = g.frames[0].timestamp;
    const std::size_t place = place_of(g.sequence);
    if (place + 1 < order_.size()) {
      const cached_group& next = groups_[order_[place + 1]];
      f.has_successor = true;
      if (!next.frames.empty()) f.successor_first_timestamp = next.frames[0].timestamp;
    }
    for (std::size_t i = order_.size(); i-- > 0;) {
      const cached_group& newest = groups_[order_[i]];
      if (newest.frames.empty()) continue;
      f.latest_newest_timestamp = newest.newest_timestamp;
      f.latest_first_timestamp = newest.frames[0].timestamp;
      break;
    }
    return f;
  }
  void grow(cached_group& g, std::uint64_t n) noexcept {
    cache_budget* b = options_.budget;
    if (b != nullptr && n != 0 && g.size == 0 && &g != &latest()) b->queue(g, 0);
    g.size += n;
    bytes_ += n;
    if (b != nullptr) b->grow(g, n);
  }
  /// Whether a new latest group of `size` bytes has room in the budget once that is made.
  [[nodiscard]] bool could_fit(std::uint64_t size) noexcept {
    const cache_budget* b = options_.budget;
    if (b == nullptr) return true;
    const std::uint64_t set_free = order_.empty() ? 0 : latest().size;
    return b->can_fit(size > set_free ? size - set_free : 0, 0);
  }
  [[nodiscard]] bool make_room(const cached_group& keep, std::uint64_t size) noexcept {
    const bool fits =
        size <= options_.bytes_max - bytes_ && (options_.budget == nullptr || options_.budget->fits(size));
    return fits || evict_for(keep, size);
  }
  /// Makes room for `size` more bytes of `keep` at the cost of groups that are not the latest of their track,
  /// if all of them together are enough.
  [[nodiscard]] MOQL_NOINLINE bool evict_for(const cached_group& keep, std::uint64_t size) noexcept {
    const std::uint64_t stays = keep.size + (&keep == &latest() ? 0 : latest().size);
    if (size > options_.bytes_max - stays) return false;
    cache_budget* b = options_.budget;
    if (b != nullptr && !b->can_fit(size, cache_budget::is_queued(keep) ? keep.size : 0)) return false;
    if (size > options_.bytes_max - bytes_) {
      while (size > options_.bytes_max - bytes_) evict(&groups_[order_[0]] == &keep ? 1 : 0, evicted_);
      wake();
    }
    while (b != nullptr && !b->fits(size)) {
      auto& victim = static_cast<cached_group&>(*b->oldest(keep));
      ++b->evictions_;
      track_cache& home = *victim.home;
      home.evict(home.place_of(victim.sequence), home.evicted_);
      home.wake();
    }
    return true;
  }
  void evict_aged() noexcept {
    const std::int64_t budget =
        options_.max_age_ms > INT64_MAX / 1000 ? INT64_MAX : static_cast<std::int64_t>(options_.max_age_ms) * 1000;
    for (std::size_t i = 0; i + 1 < order_.size();) {
      const cached_group& oldest = groups_[order_[i]];
      if (order_.size() <= options_.groups_max && (latest().arrival - oldest.arrival).us <= budget) return;
      if (groups_.handle_of(order_[i]) == current_)
        ++i;
      else
        evict(i, old_);
    }
  }
  void evict(std::size_t place, ranges& into) noexcept {
    const slot_handle h = groups_.handle_of(order_[place]);
    cached_group& g = groups_[h.index];
    remember(g.sequence, into);
    bytes_ -= g.size;
    if (options_.budget != nullptr) options_.budget->release(g, g.size);
    by_sequence_.erase(g.sequence);
    order_.erase(place);
    groups_.give(h);
    while (!arrivals_.empty() && groups_.find(arrivals_.front()) == nullptr) {
      (void)arrivals_.pop();
      ++arrivals_base_;
    }
  }
  /// Without memory for the reason a group is merely "not found". What has been evicted for longest becomes "old": it
  /// is that too by then.
  void remember(std::uint64_t sequence, ranges& reason) noexcept {
    (void)reason.add(sequence, sequence);
    while (evicted_.count() > reasons_max) {
      const interval oldest = *evicted_.take_lowest();
      (void)old_.add(oldest.first, oldest.last);
    }
    while (old_.count() > reasons_max) (void)old_.close_oldest_gap();
  }
  void wake() noexcept { listeners_.wake(); }
  static constexpr std::size_t reasons_max = 64;     ///< Ranges of groups that are remembered with one reason.
  static constexpr std::size_t drops_max = 4096;     ///< Ranges of dropped groups.
  static constexpr std::size_t arrivals_spare = 64;  ///< Out of order arrivals beyond four times the groups held.
  /// So that the difference of any two, as the wire has it, is a zigzag of 62 bits.
  static constexpr std::uint64_t timestamp_max = (std::uint64_t{1} << 61) - 1;

  track_options options_;
  slab<cached_group> groups_;
  slot_index by_sequence_;
  vec<std::uint32_t> order_;
  queue<slot_handle> arrivals_;
  std::uint64_t arrivals_base_ = 0;
  ranges evicted_;
  ranges old_;
  ranges gone_;
  detail::cache_listeners listeners_;
  slot_handle current_{};
  std::uint64_t next_ = 0;
  std::optional<std::uint64_t> expected_{};
  std::uint64_t bytes_ = 0;
  bool finished_ = false;
};

}  // namespace moql
