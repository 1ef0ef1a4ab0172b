#pragma once
/// The books of a moving subscription: which of its sessions still owes which groups, where the old one is capped, and
/// when a group is lost to both.

#include "moving_event.hpp"
#include "switchover_leg.hpp"

namespace moql::detail {

class switchover_book {
 public:
  switchover_book(const switchover_book&) = delete;
  switchover_book& operator=(const switchover_book&) = delete;

 protected:
  using leg = switchover_leg;

  switchover_book(const moving_options& o, memory m) noexcept
      : options_(o), names_(m), where_(m, o.groups_max, o.gaps_max), legs_{leg(m), leg(m)}, events_(m), lost_(m) {}

  /// The one it is on; when there is only one, it is this. The other is the next one.
  [[nodiscard]] leg& current() noexcept { return legs_[current_]; }
  [[nodiscard]] leg& other() noexcept { return legs_[1 - current_]; }
  [[nodiscard]] leg& beside(const leg& l) noexcept { return &l == &legs_[0] ? legs_[1] : legs_[0]; }
  [[nodiscard]] bool is_double() const noexcept { return legs_[0].is_live && legs_[1].is_live; }
  [[nodiscard]] leg* find(const session& s, subscription_id id) noexcept {
    for (leg& l : legs_)
      if (l.is_live && l.at == &s && l.id == id) return &l;
    return nullptr;
  }

  void say(moving_event e) noexcept {
    if (!final_ && !events_.push(std::move(e))) quit(errc::out_of_memory, 0);
  }
  /// The end: each group that is under way has its own, before ours.
  void quit(errc why, std::uint64_t code) noexcept {
    for (leg& l : legs_) drop(l);
    is_moving_ = false;
    if (final_) return;
    for (auto g = where_.begun_from(0); g; g = where_.begun_from(*g + 1))
      if (!events_.push(group_finished{options_.name, *g, why == errc::ok ? errc::stream_cut : why, code})) break;
    final_.emplace(subscription_closed{options_.name, why, code});
  }
  static void drop(leg& l) noexcept {
    if (l.is_live) (void)l.at->unsubscribe(l.id);
    l.is_live = false;
  }

  // ---- groups

  [[nodiscard]] bool begin(std::uint64_t group, std::uint64_t first_frame) noexcept {
    errc e = where_.begin(group, first_frame);
    if (e == errc::limit_reached) {
      const std::uint64_t oldest = *where_.begun_from(0);
      tell_lost(oldest, oldest, loss::unaccounted, 0, errc::limit_reached);
      e = where_.begin(group, first_frame);
    }
    if (e == errc::out_of_memory) quit(e, 0);
    return e == errc::ok;
  }
  [[nodiscard]] bool finish(std::uint64_t group) noexcept {
    if (where_.finish(group, group)) return true;
    quit(errc::out_of_memory, 0);
    return false;
  }
  /// One session will not bring first..last; what `rest`, the other one, will not bring either is lost.
  void settle(const leg& rest, std::uint64_t first, std::uint64_t last, loss how, std::uint64_t code,
              errc why) noexcept {
    lost_.clear();
    bool fits = true;
    where_.for_each_missing(first, last, [&](std::uint64_t a, std::uint64_t b) {
      rest.for_each_unserved(a, b, [&](std::uint64_t c, std::uint64_t d) { fits = fits && lost_.push({c, d}); });
    });
    if (!fits) return quit(errc::out_of_memory, 0);
    for (const interval& i : lost_.view()) tell_lost(i.first, i.last, how, code, why);
  }
  /// Groups that have begun end with `why`, the others are lost.
  void tell_lost(std::uint64_t first, std::uint64_t last, loss how, std::uint64_t code, errc why) noexcept {
    std::uint64_t from = first;
    for (auto g = where_.begun_from(first); g && *g <= last; g = where_.begun_from(from)) {
      if (*g > from) say(groups_lost{options_.name, from, *g - 1, how, code});
      say(group_finished{options_.name, *g, why, code});
      from = *g + 1;
    }
    if (from <= last) say(groups_lost{options_.name, from, last, how, code});
    if (!where_.finish(first, last)) quit(errc::out_of_memory, 0);
  }

  /// Whether what a session says of groups it does not bring is only because it is gone: another will bring them.
  [[nodiscard]] bool is_cut_off(const leg& l) noexcept {
    return l.at->is_closed() && (&l == &other() || !beside(l).is_live);
  }

  // ---- one session after the other

  /// Subscribes at `next` from where the reader stands.
  [[nodiscard]] errc ask(session& next, instant now) noexcept {
    const auto place = fixed_place();
    if (place && has_all(*place)) {
      quit(errc::ok, 0);
      return errc::ok;
    }
    subscribe_options o = asked_;
    if (place) {
      o.want.group_start = place->group;
      o.want.frame_start = place->frames;
    }
    if (!has_frame_bounds(next.negotiated())) {
      o.want.frame_start = 0;
      o.want.frame_end.reset();
    }
    const auto id = next.subscribe(names_.broadcast(), names_.track(), o, now);
    if (!id) return id.error();
    leg& l = current().is_live ? other() : current();
    l.begin(next, *id, o.want);
    l.from = place;
    l.is_asked_from = place && has_ranges(next.negotiated());
    is_moving_ = has_moved_ = true;
    is_next_done_ = false;
    resume_due_ = owed_due_ = never_due;
    if (other().is_live) overlap_due_ = now + options_.overlap_max;
    return errc::ok;
  }
  /// Where the next subscription should begin; none while even the start is unknown.
  [[nodiscard]] std::optional<track_place> fixed_place() noexcept {
    const auto place = where_.place();
    if (!place || where_.start()) return place;
    // From 05 on the publisher says where it starts; groups may come before that, in any order.
    if (!has_moved_ && has_subscribe_end(current().speaks)) return {};
    where_.start_at(*where_.lowest());
    return where_.place();
  }
  [[nodiscard]] bool has_all(const track_place& p) const noexcept {
    const msg::delivery& w = asked_.want;
    if (!w.group_end || p.group < *w.group_end) return false;
    return p.group > *w.group_end || (w.frame_end && p.frames > *w.frame_end);
  }
  /// A group of a session whose version does not tell where it begins.
  void note_first(leg& l, std::uint64_t group, instant now) noexcept {
    if (l.is_first_told || (l.first && *l.first <= group)) return;
    l.first = group;
    if (has_moved_ && !has_subscribe_end(l.speaks)) begins(l, now);
  }
  /// It is known where a session begins that was moved to.
  void begins(leg& l, instant now) noexcept {
    if (&l == &other()) {
      if (current().is_live && !current().last) cap(current(), l, now);
    } else if (!other().is_live) {
      give_up_below(l, now);
    }
  }
  /// The old session goes on up to where the next one begins, and no further.
  void cap(leg& old, const leg& next, instant now) noexcept {
    const auto& from = next.from;
    if (!from || *next.first > from->group) {
      if (*next.first == 0) return leave_old(now);
      old.last = *next.first - 1;
    } else if (!from->has_begun || (from->frames == 0 && !from->is_mid_frame)) {
      return leave_old(now);  // all that is below is here
    } else {
      old.last = from->group;
      // The frame that is under way stays with both: whichever session breaks, the other one has it.
      if (has_frame_bounds(old.speaks) && has_frame_bounds(next.speaks) && *next.first == from->group)
        old.last_frame = from->frames - (from->is_mid_frame ? 0 : 1);
    }
    if (old.want.group_start.value_or(0) > *old.last) return leave_old(now);
    old.was_capped = true;
    if (old.last_frame) old.cut = old.last;
    (void)tell_bounds(old);  // a session that cannot be told is left when it has nothing more to give
  }
  /// Tells a session what is wanted of it, within its cap.
  [[nodiscard]] errc tell_bounds(leg& l) noexcept {
    msg::delivery w = asked_.want;
    w.group_start = l.want.group_start;
    w.frame_start = l.want.frame_start;
    if (!has_frame_bounds(l.speaks)) w.frame_end.reset();
    if (l.last && (!w.group_end || *l.last < *w.group_end)) {
      w.group_end = l.last;
      w.frame_end = l.last_frame;
    } else if (l.last_frame && l.last == w.group_end && (!w.frame_end || *l.last_frame < *w.frame_end)) {
      w.frame_end = l.last_frame;
    }
    if (w == l.want) return errc::ok;
    l.want = w;
    return l.at->update(l.id, w);
  }
  [[nodiscard]] bool is_drained(const leg& old) const noexcept {
    if (!old.last) return false;
    if (old.last_frame) return where_.of(*old.last) != positions::standing::begun || !old.is_bringing(*old.last);
    bool all = true;
    where_.for_each_missing(0, *old.last,
                            [&](std::uint64_t a, std::uint64_t b) { all = all && old.gone.covers(a, b); });
    return all;
  }
  void leave_old(instant now) noexcept {
    drop(current());
    promote(now);
  }
  /// The old session is done; what only it could bring is lost.
  void promote(instant now) noexcept {
    current_ = 1 - current_;
    overlap_due_ = never_due;
    alone(now);
  }
  void alone(instant now) noexcept {
    leg& l = current();
    for (const interval& i : l.gone.view()) settle(other(), i.first, i.last, loss::unaccounted, 0, errc::reset_by_peer);
    l.gone.clear();
    if (l.first && has_moved_) give_up_below(l, now);
  }
  /// Nobody will bring what lies below the first group of the only session. Where that is a guess it may still fall.
  void give_up_below(const leg& l, instant now, bool is_sure = false) noexcept {
    const auto place = where_.place();
    if (!place || !l.first || place->group >= *l.first) return;
    if (l.is_first_told || is_sure)
      settle(other(), place->group, *l.first - 1, loss::skipped, 0, errc::stream_cut);
    else if (gap_due_ == never_due)
      gap_due_ = now + options_.straggler_max;
  }
  /// A subscription on a session ended; `is_dead`: because the session did.
  void over(leg& l, errc why, std::uint64_t code, bool is_dead, instant now) noexcept {
    l.is_live = false;
    if (&l == &other()) {
      overlap_due_ = never_due;
      if (why == errc::ok)
        is_next_done_ = true;
      else
        fail_move(why, code, now);
    } else if (other().is_live) {
      promote(now);
    } else if (why == errc::ok || is_next_done_) {
      quit(errc::ok, 0);
    } else if (has_moved_ && !l.has_answered) {
      wait(move_failed{options_.name, why, code}, now);
    } else if (is_dead) {
      wait(interrupted{options_.name}, now);
    } else {
      quit(why, code);
    }
  }
  void wait(moving_event e, instant now) noexcept {
    is_moving_ = false;
    if (resume_due_ == never_due) resume_due_ = now + options_.resume_max;
    say(std::move(e));
  }
  /// The old session goes on alone. When it had been capped already it does not bring everything any longer, so it is
  /// asked anew; if that is not possible, what is owed waits for a next session.
  void fail_move(errc why, std::uint64_t code, instant now) noexcept {
    is_moving_ = false;
    overlap_due_ = never_due;
    say(move_failed{options_.name, why, code});
    leg& old = current();
    old.last.reset();
    old.last_frame.reset();
    if (old.was_capped && !std::exchange(has_asked_again_, true) && ask(*old.at, now) == errc::ok) return;
    (void)tell_bounds(old);
    if (old.was_capped)
      owed_due_ = now + options_.resume_max;
    else
      alone(now);
  }
  /// A move is under way and another one is wanted. What neither session brings the next one may.
  void settle_for_one() noexcept {
    overlap_due_ = never_due;
    if (!other().first) return drop(other());
    drop(current());
    current_ = 1 - current_;
  }
  void overlap_ends(instant now) noexcept {
    if (other().has_answered) return leave_old(now);
    drop(other());
    fail_move(errc::request_timeout, 0, now);
  }
  void tidy(instant now) noexcept {
    if (final_) return;
    while (const auto gap = where_.surplus_gap())
      tell_lost(gap->first, gap->last, loss::unaccounted, 0, errc::limit_reached);
    if (current().is_live && is_drained(current())) {
      if (other().is_live)
        leave_old(now);
      else if (is_next_done_)
        return quit(errc::ok, 0);
    }
    if (!is_moving_ || final_ || !current().is_live || other().is_live || !current().has_answered) return;
    is_moving_ = has_asked_again_ = false;
    say(moved{options_.name});
  }

  moving_options options_;
  track_names names_;
  subscribe_options asked_{};  ///< As the application wants it.
  positions where_;
  leg legs_[2];
  unsigned current_ = 0;
  queue<moving_event> events_;
  vec<interval> lost_;  ///< Scratch.
  std::optional<subscription_closed> final_{};
  instant overlap_due_ = never_due;
  instant resume_due_ = never_due;
  instant gap_due_ = never_due;
  instant owed_due_ = never_due;
  bool has_moved_ = false;
  bool is_moving_ = false;
  bool is_next_done_ = false;     ///< The next session has nothing more; the old one may.
  bool has_asked_again_ = false;  ///< The old session, because the next one failed.
  bool is_final_told_ = false;
};

}  // namespace moql::detail
