#pragma once
/// One subscription that outlives its sessions: it moves from one to another, and the application hears one stream of
/// events, no byte twice and nothing lost that either publisher has. Draft 06 sections 3.6, 6.3.2 and 7.18.
///
/// A move asks the next session for what follows: on 06 from the first frame that is not whole, up to 05 from its
/// group, before 03 from wherever that publisher begins. Once it is known where the next one begins, the old one is
/// capped there and left when it has nothing more to give. Until then it stays whole, so a refusal costs nothing. What
/// comes from both is put together by group, frame and byte.

#include "switchover_book.hpp"

namespace moql {

/// Sessions must outlive their part in it: pass `session_closed` on, or call `lost`. Destroying this unsubscribes
/// nothing; `leave` does.
class moving_subscription : private detail::switchover_book {
 public:
  explicit moving_subscription(const moving_options& o = {}, memory m = {}) noexcept : switchover_book(o, m) {}

  // ---- commands

  /// Subscribes, once. Errors are those of `session::subscribe`.
  [[nodiscard]] errc start(session& s, std::string_view broadcast, std::string_view track, const subscribe_options& o,
                           instant now) noexcept {
    if (has_started_) return errc::wrong_state;
    const auto id = s.subscribe(broadcast, track, o, now);
    if (!id) return id.error();
    if (!names_.set(broadcast, track)) {
      (void)s.unsubscribe(*id);
      return errc::out_of_memory;
    }
    has_started_ = true;
    asked_ = o;
    current().begin(s, *id, o.want);
    if (o.want.group_start && s.is_established() && has_ranges(s.negotiated()))
      where_.start_at(*o.want.group_start, o.want.frame_start);
    return errc::ok;
  }
  /// Goes on at `next`, which must be established; the session it is on, if any, serves until `next` does. A move that
  /// is under way gives way to this one. What became of it is an event.
  [[nodiscard]] errc move_to(session& next, instant now) noexcept {
    if (!has_started_ || final_) return errc::wrong_state;
    if (next.is_closed()) return errc::closed;
    if (!next.is_established()) return errc::wrong_state;
    const bool gives_way = is_double();
    if (gives_way) settle_for_one();
    has_asked_again_ = false;
    const errc e = ask(next, now);
    if (e != errc::ok && gives_way) alone(now);
    return e;
  }
  /// Replaces priority, order, age and end, here and on the sessions. The start stays. The first error of a session's,
  /// if any; on 01 and 02 nothing travels.
  [[nodiscard]] errc update(const msg::delivery& want) noexcept {
    asked_.want.priority = want.priority;
    asked_.want.ordered = want.ordered;
    asked_.want.max_age_ms = want.max_age_ms;
    asked_.want.group_end = want.group_end;
    asked_.want.frame_end = want.frame_end;
    errc first = errc::ok;
    for (leg& l : legs_) {
      if (!l.is_live) continue;
      const errc e = tell_bounds(l);
      if (first == errc::ok && e != errc::not_supported) first = e;
    }
    return first;
  }
  /// Unsubscribes; nothing more is heard of it.
  void leave() noexcept {
    for (leg& l : legs_) drop(l);
    events_.clear();
    is_final_told_ = true;
    final_.emplace();
  }

  // ---- inputs

  /// An event of a session that it is on. True when it was about this subscription. Commands are given to `s` on the
  /// way, so views in `e` are not valid afterwards; take everything from `next` before asking `s` for its next event.
  bool on_event(session& s, const event& e, instant now) noexcept {
    if (final_) return false;
    return std::visit(
        [&](const auto& x) noexcept {
          if constexpr (std::is_same_v<std::decay_t<decltype(x)>, session_closed>) {
            lost(s, now);
            return false;
          } else if constexpr (requires { x.subscription; }) {
            leg* l = find(s, x.subscription);
            if (l == nullptr) return false;
            l->speaks = s.negotiated();
            take(*l, x, now);
            tidy(now);
            return true;
          } else {
            return false;
          }
        },
        e);
  }
  /// The session is gone, or will not be asked for events any longer. It is not touched from here on.
  void lost(session& s, instant now) noexcept {
    for (leg* l : {&other(), &current()}) {
      if (final_ || !l->is_live || l->at != &s) continue;
      over(*l, errc::closed, 0, true, now);
      tidy(now);
    }
  }
  void on_deadline(instant now) noexcept {
    if (final_) return;
    if (overlap_due_ <= now) {
      overlap_due_ = never_due;
      if (is_double()) overlap_ends(now);
    }
    if (gap_due_ <= now) {
      gap_due_ = never_due;
      if (current().is_live && !other().is_live) give_up_below(current(), now, true);
    }
    if (owed_due_ <= now) {
      owed_due_ = never_due;
      if (current().is_live && !other().is_live) alone(now);
    }
    if (resume_due_ <= now) quit(errc::closed, 0);
    tidy(now);
  }

  // ---- outputs

  /// The next event, in order. `subscription_closed` is the last.
  [[nodiscard]] std::optional<moving_event> next() noexcept {
    if (!events_.empty()) return events_.pop();
    if (!final_ || is_final_told_) return {};
    is_final_told_ = true;
    return *final_;
  }
  [[nodiscard]] instant next_deadline() const noexcept {
    instant t = overlap_due_ < resume_due_ ? overlap_due_ : resume_due_;
    t = gap_due_ < t ? gap_due_ : t;
    t = owed_due_ < t ? owed_due_ : t;
    return final_ ? never_due : t;
  }

  // ---- getters

  /// Where a subscription that took over now would begin.
  [[nodiscard]] std::optional<track_place> place() const noexcept { return where_.place(); }
  [[nodiscard]] bool is_moving() const noexcept { return is_moving_; }
  /// It has no session and waits for `move_to`.
  [[nodiscard]] bool is_waiting() const noexcept {
    return has_started_ && !final_ && !legs_[0].is_live && !legs_[1].is_live;
  }
  [[nodiscard]] bool is_over() const noexcept { return final_.has_value(); }
  [[nodiscard]] bool is_on(const session& s) const noexcept {
    return (legs_[0].is_live && legs_[0].at == &s) || (legs_[1].is_live && legs_[1].at == &s);
  }
  [[nodiscard]] std::string_view broadcast() const noexcept { return names_.broadcast(); }
  [[nodiscard]] std::string_view track() const noexcept { return names_.track(); }
  [[nodiscard]] const moving_counts& counts() const noexcept { return counts_; }

 private:
  // ---- what a session tells

  void take(leg& l, const subscription_started& x, instant now) noexcept {
    l.has_answered = true;
    if (x.group) {
      l.first = x.group;
      l.is_first_told = true;
    }
    if (x.group && !where_.start()) where_.start_at(*x.group, x.frame);
    if (!has_said_started_ || (x.group && !has_said_first_)) {
      has_said_started_ = true;
      has_said_first_ = x.group.has_value();
      subscription_started e = x;
      e.subscription = options_.name;
      say(e);
    }
    if (l.first && has_moved_) begins(l, now);
  }
  void take(leg& l, const track_known& x, instant) noexcept {
    l.has_answered = true;
    if (info_ && *info_ == x.info) return;
    info_ = x.info;
    say(track_known{options_.name, x.info});
  }
  void take(leg& l, const group_started& x, instant now) noexcept {
    l.has_answered = true;
    const auto known = where_.of(x.group);
    if (known == positions::standing::over || known == positions::standing::below) {
      (void)l.at->skip(l.id, x.group);  // all of it is here
      return note_first(l, x.group, now);
    }
    if (!l.open.push(x.group)) return quit(errc::out_of_memory, 0);
    if (known == positions::standing::unknown && begin(x.group, x.first_frame))
      say(group_started{options_.name, x.group, x.first_frame});
    note_first(l, x.group, now);
  }
  void take(leg& l, const frame_part& x, instant) noexcept {
    part_verdict v = where_.take(x.group, x.frame, x.timestamp, x.size, x.offset, x.payload.size());
    if (v.kind == part_kind::ahead) {
      ++counts_.parts_ahead;
      bool is_served = true;
      beside(l).for_each_unserved(x.group, x.group, [&](std::uint64_t, std::uint64_t) { is_served = false; });
      if (is_served) {  // the other one brings what lies between, and then this as well
        (void)l.at->skip(l.id, x.group);
        l.ended(x.group);
        if (!l.lose(x.group, x.group, options_.gaps_max)) quit(errc::out_of_memory, 0);
        return;
      }
      if (x.offset != 0) return;
      where_.jump(x.group, x.frame);
      say(group_started{options_.name, x.group, x.frame});  // a gap, and nobody to fill it
      v = where_.take(x.group, x.frame, x.timestamp, x.size, x.offset, x.payload.size());
    }
    if (v.kind == part_kind::conflicting) ++counts_.parts_conflicting;
    if (v.kind == part_kind::repeated) counts_.bytes_repeated += x.payload.size();
    if (v.kind != part_kind::fresh) return;
    counts_.bytes_repeated += v.had;
    const auto had = static_cast<std::size_t>(v.had);
    say(frame_part{options_.name, x.group, x.frame, v.timestamp, x.size, x.offset + v.had,
                   had == 0 ? x.payload : x.payload.slice(had, x.payload.size() - had)});
  }
  void take(leg& l, const datagram_received& x, instant now) noexcept {
    l.has_answered = true;
    const auto known = where_.of(x.group);
    if (known == positions::standing::begun) {  // the rest of a group that another publisher began on a stream
      take(l, frame_part{{}, x.group, 0, x.timestamp, x.payload.size(), 0, x.payload}, now);
      if (finish(x.group)) say(group_finished{options_.name, x.group, errc::ok, 0});
    } else if (known == positions::standing::unknown && finish(x.group)) {
      say(datagram_received{options_.name, x.group, x.timestamp, x.payload});
    } else {
      counts_.bytes_repeated += x.payload.size();
    }
    note_first(l, x.group, now);
  }
  void take(leg& l, const group_finished& x, instant) noexcept {
    l.ended(x.group);
    const auto known = where_.of(x.group);
    if (known == positions::standing::over || known == positions::standing::below) return;
    // An end that comes after a cap inside the group may be the cap's: only the next session knows.
    if (x.why == errc::ok && l.cut != x.group) {
      if (finish(x.group)) say(group_finished{options_.name, x.group, errc::ok, 0});
      return;
    }
    if (!l.lose(x.group, x.group, options_.gaps_max)) return quit(errc::out_of_memory, 0);
    if (is_cut_off(l)) return;
    settle(beside(l), x.group, x.group, loss::unaccounted, x.code, x.why == errc::ok ? errc::stream_cut : x.why);
  }
  void take(leg& l, const groups_lost& x, instant) noexcept {
    l.has_answered = true;
    if (!l.lose(x.first, x.last, options_.gaps_max)) return quit(errc::out_of_memory, 0);
    if (is_cut_off(l)) return;
    settle(beside(l), x.first, x.last, x.how, x.code, errc::reset_by_peer);
  }
  void take(leg& l, const subscription_end_known& x, instant) noexcept {
    l.has_answered = true;
    if (l.last || end_told_ == x.end) return;  // a cap is not the track's end
    end_told_ = x.end;
    say(subscription_end_known{options_.name, x.end});
  }
  void take(leg& l, const subscription_closed& x, instant now) noexcept {
    over(l, x.why, x.code, x.why != errc::ok && l.at->is_closed(), now);
  }

  std::optional<msg::track_info> info_{};
  std::optional<std::uint64_t> end_told_{};
  moving_counts counts_{};
  bool has_started_ = false;
  bool has_said_started_ = false;
  bool has_said_first_ = false;
};

}  // namespace moql
