#pragma once
/// From one source of a track to another: when a better way is told of, when the one in use is lost or refuses, and how
/// a move ends. Draft 06 sections 5.1.1.1 and 5.1.1.2.

#include "sourcing.hpp"

namespace moql::detail {

class rerouting : public sourcing {
 public:
  using sourcing::sourcing;

 protected:
  static constexpr unsigned attempts_max = 4;  // sources that a track tries one after the other without an answer

  /// Resets whoever reads it.
  void give_up(relayed_track& t, stream_code code) noexcept {
    if (!is_fresh(t)) ++counts_.orphans;
    for_each_reader(t, [&](track_reader& r) { reject_reader(r, code); });
    close(t);
  }
  /// A peer that tells of another producer now may have meant that one when it was asked: what it was told of crossed
  /// our request. From there on nothing says whose content it is.
  void doubt(relayed_track& t, std::string_view path) noexcept {
    const auto place = routes_.find(t.scope, path);
    if (!place) return;
    const std::size_t length = routes_.path(*place).size();
    for (std::size_t i = t.sources.size(); i-- > 0;) {
      track_source& s = t.sources[i];
      bool is_other = false;
      routes_.for_each_route(*place, [&](const route_view& v) {
        is_other = is_other || (slot_of(v.from) == s.peer && v.first_hop() != s.origin);
      });
      if (!is_other || length < s.prefix_size) continue;
      if (s.is_accepted || s.has_begun || may_change_origin(t)) {
        t.origin = s.origin = 0;
        continue;
      }
      const bool was_current = &s == t.current();
      drop_source(t, i, true);
      if (!was_current) continue;
      if (t.sources.empty()) return fail_over(t, {}, stream_code::unroutable);
      go_back(t);
    }
  }
  /// The ways that led to the sources have changed. Who is on one now is served by somebody else, and a source
  /// that has not answered and is not offered any more may be waiting for us.
  void follow(relayed_track& t, std::string_view path) noexcept {
    for (std::size_t i = t.sources.size(); i-- > 0;) {
      track_source& s = t.sources[i];
      auto v = routes_.find(s.route);
      if (!v) v = announced_anew(t, s, path);
      if (v && v->first_hop() == s.origin) {
        if (!s.hops.reserve(v->hops.size())) continue;
        s.route = v->id;
        s.hops.clear();
        (void)s.hops.append(v->hops.data(), v->hops.size());  // the room is there
      } else if (!v && !s.is_accepted && !s.is_leaving) {
        drop_source(t, i, true);
        if (t.sources.empty()) return fail_over(t, {}, stream_code::unroutable);
        go_back(t);
      }
    }
    for_each_reader(t, [&](track_reader& r) {
      if (!may_be_served(t, r.peer)) reject_reader(r, stream_code::unroutable);
    });
    close_if_unread(t);
  }
  /// The way to a source that was withdrawn and is announced again.
  [[nodiscard]] std::optional<route_view> announced_anew(const relayed_track& t, const track_source& s,
                                                         std::string_view path) const noexcept {
    std::optional<route_view> anew;
    const auto place = routes_.find(t.scope, path);
    if (place && routes_.path(*place).size() == s.prefix_size)
      routes_.for_each_route(*place, [&](const route_view& v) {
        if (slot_of(v.from) == s.peer && v.first_hop() == s.origin) anew = v;
      });
    return anew;
  }
  void turn_to_best(relayed_track& t) noexcept {
    if (t.sources.empty()) {
      if (ask_best(t, asker_of(t), {})) {
        ++counts_.failovers;
      } else if (has_other_origin(t)) {
        give_up(t, stream_code::unroutable);
      }
      return;
    }
    track_source* now_used = t.current();
    if (now_used == nullptr || t.origin == 0) return;
    requester who = asker_of(t);
    who.origin = t.origin;
    auto v = routes_.resolve(t.scope, t.broadcast_view(), who);
    // No way for the first reader, who may be a part of a ring in which everyone waits for the next one.
    if (!v) v = routes_.resolve(t.scope, t.broadcast_view(), {.origin = t.origin});
    if (!v || slot_of(v->from) == now_used->peer) return;
    if (!has_timer(t, timer::retry)) set_timer(t, timer::retry, options_.move_timeout);  // if nothing comes of it now
    if (!now_used->is_accepted) {
      if (t.sources.size() == 1 && !now_used->is_known) return;  // it has just been asked
      if (t.sources.size() > 1) {                                // a move that is under way is not wanted any more
        drop_source(t, static_cast<std::size_t>(now_used - t.sources.data()), true);
        go_back(t);
        if (slot_of(v->from) == t.sources.back().peer) return;
      }
    }
    if (!ask(t, *v)) return;
    ++counts_.moves;
    set_timer(t, timer::move, options_.move_timeout);
  }
  [[nodiscard]] bool has_other_origin(relayed_track& t) noexcept {
    requester who = asker_of(t);
    who.origin = 0;
    const auto v = routes_.resolve(t.scope, t.broadcast_view(), who);
    return v && v->first_hop() != t.origin;
  }
  /// The source in use is lost. Only the same producer's content may go on in its place.
  /// Whoever is still there and serves it no longer has waited already: `may_wait` is not for him, or every relay of a
  /// chain would wait once more.
  void fail_over(relayed_track& t, slot_handle from, stream_code code, bool may_wait = true) noexcept {
    if (t.readers == 0) return close(t);
    if ((t.origin == 0 && !may_change_origin(t)) || ++t.attempts > attempts_max) return give_up(t, code);
    t.is_detour = !may_wait;
    set_timer(t, timer::linger, options_.linger);
    if (ask_best(t, asker_of(t), from)) {
      ++counts_.failovers;
      set_timer(t, timer::retry, options_.move_timeout);
      return close_if_unread(t);
    }
    may_wait = may_wait && has_timer(t, timer::linger);  // or without memory for it there would be no end
    if (!may_wait || (!may_change_origin(t) && has_other_origin(t))) give_up(t, code);
  }
  /// The newest source came to nothing: the one before it goes on.
  void go_back(relayed_track& t) noexcept {
    track_source& s = t.sources.back();
    s.is_leaving = false;
    if (s.is_accepted) cancel_timer(t, timer::move);
    set_timer(t, timer::retry, options_.move_timeout);
    tell_wish(t, s);
    settle_loss(t);
  }
  /// Whoever refused or did not answer, or had a better way before the one in use had answered, is asked again after a
  /// while, if he still has the best way. Nothing else would bring a track back from a detour, and everyone on a detour
  /// may be waiting for the next one.
  void retry(relayed_track& t) noexcept {
    const track_source* now_used = t.current();
    if (now_used == nullptr || t.origin == 0) return;
    const auto v = routes_.resolve(t.scope, t.broadcast_view(), {.origin = t.origin});
    if (!v || slot_of(v->from) == now_used->peer) return;
    set_timer(t, timer::retry, options_.move_timeout);  // also when there is no way for the first reader
    turn_to_best(t);
  }
  /// The time for a move is up.
  void end_move(relayed_track& t) noexcept {
    if (t.sources.size() < 2) return;
    if (track_source& s = t.sources.back(); !s.is_accepted) {
      if (!s.is_known) {
        drop_source(t, t.sources.size() - 1, true);
        return go_back(t);
      }
      // It has the track and nothing new in it: SUBSCRIBE_OK comes with the next group (05 on).
      accept(t, s.number, s.asked.group_start.value_or(0));
      if (t.sources.size() < 2) return;
    }
    const std::uint64_t start = t.sources.back().start;
    while (t.sources.size() > 1) drop_source(t, 0, true);
    settle_loss(t);
    abort_uncarried(t, start, stream_code::cancelled);
  }
};

}  // namespace moql::detail
