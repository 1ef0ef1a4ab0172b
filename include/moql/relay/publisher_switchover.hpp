#pragma once
/// A publisher on two sessions: while it moves from one relay to the next, or for as long as both are wanted. Draft 06
/// section 7.18.
///
/// Every broadcast is announced on both and every track served on both, from the same cache. On a move the old
/// announcement of a broadcast is withdrawn when the next relay has subscribed to it, or when the wait for that ends;
/// what the old relay is subscribed to is served on. After GOAWAY a session opens no new group streams unless
/// `config::groups_after_goaway` is set.

#include "../session/session.hpp"

namespace moql {

struct publisher_move_options {
  /// How long the old announcements wait for a first subscription on the next session.
  duration withdraw_within = seconds(10);
};

/// The old announcement of a broadcast has been withdrawn.
struct announcement_moved {
  std::string_view broadcast{};  ///< Valid until the next call on the publisher.
  bool is_taken_over{};          ///< False: the wait ended before the next relay subscribed.
};
/// Nothing is announced on the old session and no subscription is left on it: it may be closed.
struct old_session_idle {};
/// The old session ended before it was idle, as at its drain deadline (GOAWAY_TIMEOUT, 0x10).
struct old_session_lost {
  errc why{};
  std::uint64_t code{};  ///< Session space.
};
using publisher_event = std::variant<announcement_moved, old_session_idle, old_session_lost>;

/// Sessions must outlive their part in this: pass `session_closed` on, or call `detach`. Caches must outlive it.
class publisher_switchover {
 public:
  explicit publisher_switchover(const publisher_move_options& o = {}, memory m = {}) noexcept
      : options_(o), broadcasts_(m), tracks_(m), moved_(m), places_{place(m), place(m)} {}
  publisher_switchover(const publisher_switchover&) = delete;
  publisher_switchover& operator=(const publisher_switchover&) = delete;

  // ---- what is published

  /// Announces `path` on every session, now and later; once for each path. Errors are those of `session::announce`.
  [[nodiscard]] errc announce(std::string_view path) noexcept {
    sweep();
    if (broadcast_at(path) != nullptr) return errc::wrong_state;
    slot_handle h;
    broadcast* b = broadcasts_.take(h);
    if (b == nullptr) return errc::out_of_memory;
    errc why = b->path.append(path.data(), path.size()) ? errc::ok : errc::out_of_memory;
    for (std::size_t i = 0; i < sessions() && why == errc::ok; ++i) why = announce_on(i, *b);
    if (why == errc::ok) return why;
    withdraw_everywhere(*b);
    broadcasts_.give(h);
    return why;
  }
  /// Withdraws a path everywhere, and from what later sessions hear. Subscriptions to it go on.
  void withdraw(std::string_view path) noexcept {
    if (broadcast* b = broadcast_at(path)) {
      withdraw_everywhere(*b);
      b->is_over = true;
    }
    sweep();
  }
  /// Serves `track` of `path` from `cache` on every session, whether the path is announced or not. False when memory
  /// ran out.
  [[nodiscard]] bool serve(std::string_view path, std::string_view track, track_cache& cache) noexcept {
    slot_handle h;
    served* s = tracks_.take(h);
    if (s == nullptr) return false;
    s->cache = &cache;
    if (s->names.set(path, track)) return true;
    tracks_.give(h);
    return false;
  }

  // ---- sessions

  /// Publishes on one more session; two at most. With two, both are served alike until `move_to`.
  [[nodiscard]] errc attach(session& s) noexcept {
    if (sessions() == 2 || find(s) != none) return errc::wrong_state;
    const std::size_t i = sessions();
    places_[i].at = &s;
    errc why = errc::ok;
    broadcasts_.for_each([&](slot_handle, broadcast& b) {
      if (why == errc::ok && !b.is_over) why = announce_on(i, b);
    });
    if (why != errc::ok) {
      broadcasts_.for_each([&](slot_handle, broadcast& b) { withdraw_on(i, b); });
      places_[i].at = nullptr;
    }
    return why;
  }
  /// Attaches `next` unless it is, and lets go of the session there was as its announcements are taken over.
  [[nodiscard]] errc move_to(session& next, instant now) noexcept {
    if (is_moving_ || (sessions() == 2 && places_[1].at != &next)) return errc::wrong_state;
    if (sessions() < 2)
      if (const errc e = attach(next); e != errc::ok) return e;
    if (sessions() < 2) return errc::ok;  // there was none before
    is_moving_ = true;
    has_told_idle_ = false;
    due_ = now + options_.withdraw_within;
    broadcasts_.for_each([&](slot_handle, broadcast& b) {
      if (b.on[1].is_subscribed) take_over(b, true);
    });
    return errc::ok;
  }
  /// The session is gone, or not to be used any longer. It is not touched from here on.
  void detach(const session& s) noexcept {
    const std::size_t i = find(s);
    if (i == none) return;
    if (i == 0) {
      std::swap(places_[0], places_[1]);
      is_moving_ = false;
      due_ = never_due;
    }
    places_[1].at = nullptr;
    places_[1].requests.clear();
    broadcasts_.for_each([&](slot_handle, broadcast& b) {
      if (i == 0) b.on[0] = b.on[1];
      b.on[1] = {};
    });
  }

  /// An event of any session. True when it was about a track that is served here.
  bool on_event(session& s, const event& e) noexcept {
    const std::size_t i = find(s);
    if (i == none) return false;
    if (const auto* c = std::get_if<session_closed>(&e)) {
      if (i == 0 && is_moving_ && !has_told_idle_) lost_ = old_session_lost{c->why, c->code};
      detach(s);
      return false;
    }
    if (const auto* r = std::get_if<subscribe_requested>(&e)) return take(i, *r);
    if (const auto* r = std::get_if<track_requested>(&e)) return answer(s, r->request, r->broadcast, r->track);
    if (const auto* r = std::get_if<fetch_requested>(&e)) return answer(s, r->request, r->broadcast, r->track);
    if (const auto* r = std::get_if<request_closed>(&e)) return forget(places_[i], r->request);
    return false;
  }
  void on_deadline(instant now) noexcept {
    if (due_ > now) return;
    due_ = never_due;
    broadcasts_.for_each([&](slot_handle, broadcast& b) { take_over(b, false); });
  }
  [[nodiscard]] instant next_deadline() const noexcept { return due_; }

  /// What became of a move; ask after every event and deadline. An `announcement_moved` that there is no memory for is
  /// not told.
  [[nodiscard]] std::optional<publisher_event> next() noexcept {
    if (!moved_.empty()) return moved_.pop();
    if (lost_) return *std::exchange(lost_, {});
    if (!is_moving_ || has_told_idle_ || !places_[0].requests.empty() || is_announced_on_old()) return {};
    has_told_idle_ = true;
    return old_session_idle{};
  }

  // ---- getters

  /// The sessions, the newest first: the order to pump them in, so that the next relay has a group before the old one.
  [[nodiscard]] std::size_t sessions() const noexcept {
    return places_[1].at != nullptr ? 2 : places_[0].at != nullptr ? 1 : 0;
  }
  [[nodiscard]] session& newest(std::size_t i) noexcept { return *places_[sessions() - 1 - i].at; }
  [[nodiscard]] bool is_moving() const noexcept { return is_moving_; }
  /// Subscriptions that a session is being served; 0 for one that is not attached.
  [[nodiscard]] std::size_t subscriptions_on(const session& s) const noexcept {
    const std::size_t i = find(s);
    return i == none ? 0 : places_[i].requests.size();
  }

 private:
  static constexpr std::size_t none = 2;

  struct place {
    explicit place(memory m) noexcept : requests(m) {}
    session* at = nullptr;
    vec<request_id> requests;  ///< Subscriptions of the peer's.
  };
  struct broadcast {
    explicit broadcast(memory m = {}) noexcept : path(m) {}
    vec<char> path;
    struct {
      announcement_id id{};
      bool is_announced = false;
      bool is_subscribed = false;  ///< It was, at least once.
    } on[2];
    bool is_over = false;
    [[nodiscard]] std::string_view path_view() const noexcept { return {path.data(), path.size()}; }
    void recycle() noexcept {
      path.clear();
      on[0] = on[1] = {};
      is_over = false;
    }
  };
  struct served {
    explicit served(memory m = {}) noexcept : names(m) {}
    detail::track_names names;
    track_cache* cache = nullptr;
    void recycle() noexcept { names.clear(); }
  };

  [[nodiscard]] std::size_t find(const session& s) const noexcept {
    return places_[0].at == &s ? 0 : places_[1].at == &s ? 1 : none;
  }
  [[nodiscard]] broadcast* broadcast_at(std::string_view path) noexcept {
    broadcast* found = nullptr;
    broadcasts_.for_each([&](slot_handle, broadcast& b) {
      if (!b.is_over && b.path_view() == path) found = &b;
    });
    return found;
  }
  /// Frees what was withdrawn, unless an event may still name it.
  void sweep() noexcept {
    if (!moved_.empty()) return;
    broadcasts_.for_each([&](slot_handle h, broadcast& b) {
      if (b.is_over) broadcasts_.give(h);
    });
  }
  [[nodiscard]] errc announce_on(std::size_t i, broadcast& b) noexcept {
    const auto id = places_[i].at->announce(b.path_view());
    if (!id) return id.error();
    b.on[i] = {*id, true, false};
    return errc::ok;
  }
  void withdraw_on(std::size_t i, broadcast& b) noexcept {
    if (b.on[i].is_announced) (void)places_[i].at->withdraw(b.on[i].id);
    b.on[i].is_announced = false;
  }
  void withdraw_everywhere(broadcast& b) noexcept {
    for (std::size_t i = 0; i < sessions(); ++i) withdraw_on(i, b);
  }
  [[nodiscard]] bool is_announced_on_old() noexcept {
    bool any = false;
    broadcasts_.for_each([&](slot_handle, broadcast& b) { any = any || b.on[0].is_announced; });
    return any;
  }
  void take_over(broadcast& b, bool is_taken_over) noexcept {
    if (!b.on[0].is_announced) return;
    withdraw_on(0, b);
    (void)moved_.push(announcement_moved{b.path_view(), is_taken_over});
  }
  [[nodiscard]] bool take(std::size_t i, const subscribe_requested& r) noexcept {
    place& p = places_[i];
    broadcast* b = broadcast_at(r.broadcast);
    if (!answer(*p.at, r.request, r.broadcast, r.track)) return false;
    if (!p.requests.push(r.request)) {  // it could not be told when the session is idle
      (void)p.at->reject(r.request, stream_code::no_capacity);
      return true;
    }
    if (b == nullptr) return true;
    b->on[i].is_subscribed = true;
    if (i == 1 && is_moving_) take_over(*b, true);
    return true;
  }
  [[nodiscard]] bool answer(session& s, request_id id, std::string_view path, std::string_view track) noexcept {
    track_cache* cache = nullptr;
    tracks_.for_each([&](slot_handle, served& t) {
      if (t.names.is(path, track)) cache = t.cache;
    });
    if (cache == nullptr) return false;
    if (s.serve(id, *cache) != errc::ok) (void)s.reject(id, stream_code::internal_error);
    return true;
  }
  static bool forget(place& p, request_id id) noexcept {
    for (std::size_t i = 0; i < p.requests.size(); ++i) {
      if (p.requests[i] != id) continue;
      p.requests.erase(i);
      return true;
    }
    return false;
  }

  publisher_move_options options_;
  slab<broadcast> broadcasts_;
  slab<served> tracks_;
  queue<announcement_moved> moved_;
  place places_[2];  ///< In the order they were attached.
  std::optional<old_session_lost> lost_{};
  instant due_ = never_due;
  bool is_moving_ = false;
  bool has_told_idle_ = false;
};

}  // namespace moql
