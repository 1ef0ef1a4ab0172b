#pragma once
/// Groups arrive in any order; this hands them out in the order of their sequence. Draft 06 section 6.1.2 leaves that
/// to the reader.
///
/// Told of what arrives for one subscription, it passes the parts of the current group on at once and keeps those of
/// later groups. A group that does not come, or stops coming while later ones wait, is passed over for one of the
/// reasons in `skip`, and that is told in its place. After each call that tells something, take `next` until there is
/// nothing: limits are judged there. One thread at a time, no clock of its own.

#include "../base/queue.hpp"
#include "../base/search.hpp"
#include "../base/slab.hpp"
#include "../wire/varint.hpp"
#include "expiry.hpp"
#include "in_order_item.hpp"

namespace moql {

namespace detail {

struct waiting_group {
  explicit waiting_group(memory m = {}) noexcept : parts(m), memory_(m) {}
  queue<group_part> parts;
  std::uint64_t sequence{}, first_frame{}, code{};
  std::uint64_t charged{};   ///< Of `bytes_max`.
  instant began{}, moved{};  ///< `moved`: when something of it came last.
  std::uint64_t newest_timestamp{};
  std::optional<std::uint64_t> first_timestamp{};
  std::optional<skip> given_up{};
  errc why{};
  bool is_told = false;      ///< That it begins.
  bool is_finished = false;  ///< Nothing more of it is taken.

  [[nodiscard]] bool is_complete() const noexcept { return is_finished && why == errc::ok && !given_up; }
  void recycle() noexcept {
    if (parts_high > parts_kept) parts = queue<group_part>(memory_);  // or every slot would grow to the largest
    parts.clear();
    code = charged = newest_timestamp = 0;
    parts_high = 0;
    first_timestamp.reset();
    given_up.reset();
    why = errc::ok;
    is_told = is_finished = false;
  }
  [[nodiscard]] bool push(group_part p) noexcept {
    if (!parts.push(std::move(p))) return false;
    if (parts.size() > parts_high) parts_high = parts.size();
    return true;
  }

 private:
  static constexpr std::size_t parts_kept = 64;
  std::size_t parts_high = 0;
  memory memory_;
};

}  // namespace detail

class in_order_reader {
 public:
  explicit in_order_reader(const in_order_options& o = {}, memory m = {}) noexcept
      : options_(o), memory_(m), groups_(m), order_(m), lost_(m) {}
  in_order_reader(const in_order_reader&) = delete;
  in_order_reader& operator=(const in_order_reader&) = delete;

  // ---- what arrives; times must not run backwards

  /// The first group that the publisher will deliver (SUBSCRIBE_OK), or that the caller wants to wait for.
  void start_at(std::uint64_t sequence, instant now) noexcept {
    if (!hears(now, sequence)) return;
    is_start_known_ = true;
    if (!is_started_)
      start(order_.empty() || sequence < lowest().sequence ? sequence : lowest().sequence);
    else if (sequence > next_)
      lose(next_, sequence - 1, skip::before_start, 0);
    else if (!has_told_)
      start(sequence);
    else if (sequence < told_from_)
      lose(sequence, told_from_ - 1, skip::late, 0);
  }
  void begin(std::uint64_t sequence, std::uint64_t first_frame, instant now) noexcept {
    if (!hears(now, sequence)) return;
    if (may_lower_start(sequence)) start(sequence);
    if (is_started_ && sequence < next_) {
      ++late_;
      if (!has_told_ || sequence < told_from_) lose(sequence, sequence, skip::late, 0);
      return;
    }
    const std::size_t place = place_of(sequence);
    if (place < order_.size() && groups_[order_[place]].sequence == sequence) return;
    // Only a caller that does not take what there is gets here with more than the bound.
    if (waiting() > options_.groups_max) return pass(sequence, skip::groups_full);
    slot_handle h;
    if (!order_.reserve(order_.size() + 1)) return pass(sequence, skip::out_of_memory);
    detail::waiting_group* g = groups_.take(h);
    if (g == nullptr) return pass(sequence, skip::out_of_memory);
    (void)order_.insert(place, h.index);  // the room is there
    g->sequence = sequence;
    g->first_frame = first_frame;
    g->began = g->moved = now;
    if (order_.size() == 1) first_arrival_ = now;
    if (place == 0)
      is_oldest_known_ = false;
    else if (now < oldest_)
      oldest_ = now;
  }
  /// A frame or a part of one. The payload is shared; if it has no owner, it is copied.
  void part(group_part p, instant now) noexcept {
    if (!hears(now, p.sequence)) return;
    detail::waiting_group* g = find(p.sequence);
    if (g == nullptr || g->is_finished) return;
    if (charged_ > options_.bytes_max) return give_up(*g, skip::bytes_full);  // the caller takes nothing
    if (p.payload.empty()) {
      p.payload = {};
    } else if (p.payload.held_by() == nullptr) {
      p.payload = p.payload.clone(memory_);
      if (p.payload.data() == nullptr) return give_up(*g, skip::out_of_memory);
    }
    if (p.offset == 0) {
      if (!g->first_timestamp) g->first_timestamp = g->newest_timestamp = p.timestamp;
      if (p.timestamp > g->newest_timestamp) g->newest_timestamp = p.timestamp;
    }
    const std::uint64_t cost = cost_of(p);
    if (!g->push(std::move(p))) return give_up(*g, skip::out_of_memory);
    g->moved = now;
    g->charged += cost;
    charged_ += cost;
  }
  /// The end of a group: `ok` when it is complete; otherwise what came of it is good as far as it goes.
  void finish(std::uint64_t sequence, errc why, std::uint64_t code, instant now) noexcept {
    if (!hears(now, sequence)) return;
    detail::waiting_group* g = find(sequence);
    if (g == nullptr || g->is_finished) return;
    g->is_finished = true;
    g->why = why;
    g->code = code;
  }
  /// Groups that will not come, both ends inclusive. One of them that begins all the same, in time, is taken.
  void lost(std::uint64_t first, std::uint64_t last, skip why, std::uint64_t code, instant now) noexcept {
    if (last > wire::varint_max) last = wire::varint_max;
    if (!hears(now, first) || first > last) return;
    if (may_lower_start(first)) start(first);
    if (has_told_ && first < told_from_) lose(first, last < told_from_ ? last : told_from_ - 1, why, code);
    if (has_told_ && first < next_) first = next_;  // what is passed has been told
    if (first <= last) lose(first, last, why, code);
  }
  /// No group at or above `sequence` will come.
  void end_at(std::uint64_t sequence, instant now) noexcept {
    if (hears(now, 0)) end_ = sequence;
  }
  /// The subscription is over: what is here comes out, and nothing is waited for any longer.
  void close(instant now) noexcept {
    if (hears(now, 0)) is_closed_ = true;
  }
  /// Units of timestamps per second, for `max_age_ms`; 1000 unless told.
  void set_timescale(std::uint64_t t) noexcept { timescale_ = t; }

  // ---- time

  /// When `on_deadline` is due and `next` may have something; `never_due` when nothing waits for time.
  [[nodiscard]] instant next_deadline() noexcept {
    if (is_closed_ || order_.empty()) return never_due;
    if (!is_started_) return later(first_arrival_, options_.start_wait);
    return wait_ends();
  }
  void on_deadline(instant now) noexcept { (void)hears(now, 0); }

  // ---- what comes out

  /// The next item in order; none when the rest has to wait.
  [[nodiscard]] std::optional<in_order_item> next() noexcept {
    if (!is_started_ && !try_start()) return {};
    do {
      if (auto item = take_ready()) return item;
    } while (give_up_blocker());
    return {};
  }
  /// Everything that will ever come is out.
  [[nodiscard]] bool is_over() const noexcept {
    const bool is_last_out = end_ && is_started_ && next_ >= *end_;
    return (is_closed_ || is_last_out) && order_.empty() && lost_.empty() && !has_passed();
  }
  /// The group that comes out now or next; 0 before a start is known.
  [[nodiscard]] std::uint64_t position() const noexcept { return next_; }
  /// Of `bytes_max`.
  [[nodiscard]] std::uint64_t bytes_held() const noexcept { return charged_; }
  [[nodiscard]] std::size_t groups_held() const noexcept { return order_.size(); }
  /// Groups that began when they had already been passed.
  [[nodiscard]] std::uint64_t late() const noexcept { return late_; }

 private:
  struct lost_range {
    std::uint64_t first, last, code;
    skip why;
  };

  /// False when there is nothing to hear any longer, or not of such a group.
  [[nodiscard]] bool hears(instant now, std::uint64_t sequence) noexcept {
    if (now > now_) now_ = now;
    return !is_closed_ && sequence <= wire::varint_max;
  }
  [[nodiscard]] static instant later(instant t, duration d) noexcept {
    return d.us >= INT64_MAX - (t.us > 0 ? t.us : 0) ? never_due : t + d;
  }
  [[nodiscard]] static std::uint64_t cost_of(const group_part& p) noexcept {
    return p.payload.size() + sizeof(group_part);
  }
  [[nodiscard]] detail::waiting_group& lowest() noexcept { return groups_[order_[0]]; }
  [[nodiscard]] std::size_t place_of(std::uint64_t sequence) const noexcept {
    if (order_.empty() || groups_[order_.back()].sequence < sequence) return order_.size();
    return first_not(0, order_.size(), [&](std::size_t i) { return groups_[order_[i]].sequence < sequence; });
  }
  [[nodiscard]] detail::waiting_group* find(std::uint64_t sequence) noexcept {
    const std::size_t place = place_of(sequence);
    if (place == order_.size() || groups_[order_[place]].sequence != sequence) return nullptr;
    return &groups_[order_[place]];
  }
  /// The group at `next_`, if it has begun.
  [[nodiscard]] detail::waiting_group* current() noexcept {
    return is_started_ && !order_.empty() && lowest().sequence == next_ ? &lowest() : nullptr;
  }
  [[nodiscard]] std::size_t waiting() noexcept { return order_.size() - (current() != nullptr ? 1 : 0) + lost_.size(); }
  [[nodiscard]] bool has_passed() const noexcept { return is_started_ && next_ < pass_below_; }

  // ---- what will not come

  void give_up(detail::waiting_group& g, skip why) noexcept {
    g.is_finished = true;
    g.given_up = why;
  }
  /// A group for which there is no room, and with it whatever has not begun below it. Needs no memory.
  void pass(std::uint64_t sequence, skip why) noexcept {
    if (!is_started_) start(order_.empty() || sequence < lowest().sequence ? sequence : lowest().sequence);
    if (sequence < pass_below_) return;
    pass_below_ = sequence + 1;
    pass_why_ = why;
  }
  void lose(std::uint64_t first, std::uint64_t last, skip why, std::uint64_t code) noexcept {
    std::size_t at = lost_.size();
    while (at != 0 && lost_[at - 1].first > first) --at;
    if (at != 0) {
      lost_range& before = lost_[at - 1];
      if (before.last >= last) return;
      if (before.why == why && before.code == code && first <= before.last + 1) {
        before.last = last;
        return;
      }
    }
    if (lost_.size() > options_.groups_max) return pass(last, skip::groups_full);
    if (!lost_.insert(at, {first, last, code, why})) pass(last, skip::out_of_memory);
  }

  // ---- the start

  void start(std::uint64_t sequence) noexcept {
    is_started_ = true;
    is_oldest_known_ = false;
    next_ = sequence;
  }
  /// As long as nothing has been handed out, a start that nobody named is only a guess.
  [[nodiscard]] bool may_lower_start(std::uint64_t sequence) const noexcept {
    return is_started_ && !is_start_known_ && !has_told_ && sequence < next_;
  }
  [[nodiscard]] bool try_start() noexcept {
    if (order_.empty() && !(is_closed_ && !lost_.empty())) return false;
    const bool is_full = charged_ > options_.bytes_max || order_.size() + lost_.size() > options_.groups_max;
    if (!is_closed_ && !is_full && now_ < later(first_arrival_, options_.start_wait)) return false;
    start(first_known());  // what is said to be lost belongs to the subscription too
    return true;
  }
  /// The lowest group that has begun or is lost; there must be one.
  [[nodiscard]] std::uint64_t first_known() noexcept {
    if (order_.empty()) return lost_[0].first;
    return lost_.empty() || lowest().sequence < lost_[0].first ? lowest().sequence : lost_[0].first;
  }

  // ---- handing out

  [[nodiscard]] std::optional<in_order_item> take_ready() noexcept {
    detail::waiting_group* g = current();
    if (g == nullptr || !g->is_told)
      if (auto item = take_lost()) return item;
    if ((g = current()) != nullptr) return take_from(*g);
    if (has_passed()) return skip_to(next_, pass_below_, pass_why_, 0);
    return {};
  }
  /// The lowest of the lost ranges, if it is its turn or should have been told already.
  [[nodiscard]] std::optional<in_order_item> take_lost() noexcept {
    while (!lost_.empty() && lost_[0].first <= next_) {
      const lost_range r = lost_[0];
      const bool is_news = !has_told_ || r.first < told_from_;
      if (r.last < next_) {  // told, or delivered all the same, unless it lies before the first group
        lost_.erase(0);
        if (!is_news) continue;
        note_told(r.first);
        return groups_skipped{r.first, r.last, r.why, errc::ok, r.code};
      }
      if (current() == nullptr) return skip_to(has_told_ ? next_ : r.first, r.last + 1, r.why, r.code);
      if (!is_news || r.first == next_) return {};
      note_told(r.first);
      return groups_skipped{r.first, next_ - 1, r.why, errc::ok, r.code};
    }
    return {};
  }
  [[nodiscard]] std::optional<in_order_item> take_from(detail::waiting_group& g) noexcept {
    if (options_.whole_groups && !g.is_complete()) {
      if (!g.is_finished) return {};
      const groups_skipped out{g.sequence, g.sequence, g.given_up.value_or(skip::cut), g.why, g.code};
      note_told(g.sequence);
      release_current();
      return out;
    }
    if (!g.is_told) {
      g.is_told = true;
      note_told(g.sequence);
      return group_begins{g.sequence, g.first_frame};
    }
    if (!g.parts.empty()) {
      group_part p = g.parts.pop();
      g.charged -= cost_of(p);
      charged_ -= cost_of(p);
      return in_order_item(std::move(p));
    }
    if (!g.is_finished) return {};
    const group_ends out{g.sequence, g.is_complete(), g.given_up, g.why, g.code};
    release_current();
    return out;
  }
  /// As far as `end`, or the first group that has begun.
  [[nodiscard]] in_order_item skip_to(std::uint64_t first, std::uint64_t end, skip why, std::uint64_t code) noexcept {
    if (!order_.empty() && lowest().sequence < end) end = lowest().sequence;
    note_told(first);
    next_ = end;
    is_oldest_known_ = false;
    return groups_skipped{first, end - 1, why, errc::ok, code};
  }
  void release_current() noexcept {
    charged_ -= lowest().charged;
    next_ = lowest().sequence + 1;
    groups_.give(groups_.handle_of(order_[0]));
    order_.erase(0);
    is_oldest_known_ = false;
  }
  void note_told(std::uint64_t first) noexcept {
    if (!has_told_ || first < told_from_) told_from_ = first;
    has_told_ = true;
  }

  // ---- waiting no longer; called when everything that is ready has been taken

  /// Gives up what the rest waits for, if there is a reason to.
  [[nodiscard]] bool give_up_blocker() noexcept {
    if (!is_started_ || (order_.empty() && lost_.empty())) return false;
    const auto why = reason_to_give_up();
    if (!why) return false;
    if (detail::waiting_group* g = current()) {
      give_up(*g, *why);
      return true;
    }
    pass_below_ = first_known();
    pass_why_ = *why;
    return true;
  }
  [[nodiscard]] std::optional<skip> reason_to_give_up() noexcept {
    if (is_closed_) return skip::ended;
    if (charged_ > options_.bytes_max) return skip::bytes_full;
    if (waiting() > options_.groups_max) return skip::groups_full;
    if (is_too_old()) return skip::expired;
    if (const instant due = wait_ends(); due != never_due && due <= now_) return skip::waited;
    return {};
  }
  /// How many of `order_` the rest waits for: 1 for a group that stands still, 0 for one that has not begun.
  [[nodiscard]] std::size_t first_later() noexcept { return current() != nullptr ? 1 : 0; }
  [[nodiscard]] instant wait_ends() noexcept {
    const std::size_t from = first_later();
    if (order_.size() <= from || options_.wait_max == for_ever) return never_due;
    if (!is_oldest_known_) {
      oldest_ = never_due;
      for (std::size_t i = from; i < order_.size(); ++i)
        if (groups_[order_[i]].began < oldest_) oldest_ = groups_[order_[i]].began;
      is_oldest_known_ = true;
    }
    const bool has_moved = from == 1 && lowest().moved > oldest_;
    return later(has_moved ? lowest().moved : oldest_, options_.wait_max);
  }
  /// Judged by the group behind it, which can only be later than what is missing.
  [[nodiscard]] bool is_too_old() noexcept {
    const std::size_t from = first_later();
    if (!options_.max_age_ms || order_.size() <= from) return false;
    const detail::waiting_group& successor = groups_[order_[from]];
    const detail::waiting_group& latest = groups_[order_.back()];
    group_age_facts f{};
    f.has_successor = true;
    f.successor_first_timestamp = f.first_timestamp = successor.first_timestamp;
    if (from == 1 && lowest().first_timestamp) f.first_timestamp = lowest().first_timestamp;
    f.arrival = from == 1 ? lowest().began : successor.began;
    f.latest_arrival = latest.began;
    for (std::size_t i = order_.size(); i-- > from;) {
      const detail::waiting_group& newest = groups_[order_[i]];
      if (!newest.first_timestamp) continue;
      f.latest_newest_timestamp = newest.newest_timestamp;
      f.latest_first_timestamp = newest.first_timestamp;
      break;
    }
    return is_expired(options_.ver, f, *options_.max_age_ms, timescale_);
  }

  in_order_options options_;
  memory memory_;
  slab<detail::waiting_group> groups_;
  vec<std::uint32_t> order_;  ///< Groups that have begun and are not out, rising; none is below `next_`.
  vec<lost_range> lost_;      ///< By their first.
  std::uint64_t next_ = 0;
  std::uint64_t told_from_ = 0;   ///< The lowest group of any item so far.
  std::uint64_t pass_below_ = 0;  ///< What has not begun below it is not waited for, because of `pass_why_`.
  std::uint64_t charged_ = 0;
  std::uint64_t late_ = 0;
  std::uint64_t timescale_ = 1000;
  std::optional<std::uint64_t> end_{};
  instant now_{INT64_MIN};
  instant first_arrival_{};
  instant oldest_ = never_due;  ///< When the first of the groups that wait began.
  skip pass_why_{};
  bool is_oldest_known_ = false;
  bool is_started_ = false;
  bool is_start_known_ = false;
  bool has_told_ = false;
  bool is_closed_ = false;
};

}  // namespace moql
