#pragma once
/// What a GOAWAY asks of a subscriber: to validate where it should go, to go there with everything it is subscribed
/// to, and to end the session behind it. Draft 06 section 7.18.

#include "switchover.hpp"

namespace moql {

/// Whether a URI that a peer sent may be dialled: scheme, authority, port, and whatever the caller trusts.
/// `may_redirect` of binding/url.hpp judges the first three.
struct uri_policy {
  bool (*accepts)(void* context, std::string_view uri) noexcept = nullptr;
  void* context = nullptr;
  /// Without a function only "the same place" is accepted, which is an empty URI.
  [[nodiscard]] bool operator()(std::string_view uri) const noexcept {
    return accepts == nullptr ? uri.empty() : accepts(context, uri);
  }
};

struct migration_options {
  uri_policy policy{};
  /// How long after GOAWAY the session may stay. Then it is closed, whatever is still on it.
  duration leave_within = seconds(30);
  /// Close the session behind the last subscription, or at the deadline. Not for whoever publishes on it as well.
  bool closes_session = true;
};

/// Dial this (empty: where the session is connected now), then call `migration::to`. Valid until the migration is gone.
struct dial {
  std::string_view uri{};
};
/// The peer named a place that the policy refuses: the session has been closed, and nothing is to be dialled.
struct redirect_refused {
  std::string_view uri{};
};
/// The session is not needed any longer, and has been closed.
struct migrated {
  std::size_t left_behind{};  ///< Subscriptions that were on it to the end; they wait for another session.
};
using migration_event = std::variant<dial, redirect_refused, migrated>;

/// A live subscription and where it would go on.
struct migration_entry {
  moving_subscription* subscription{};
  std::optional<track_place> from{};  ///< None: nothing is known yet, it would start as it was asked.
};

/// The subscriptions of one session, which must outlive this as long as it is not closed. They are the application's;
/// so is passing events on to them.
class migration {
 public:
  explicit migration(session& s, const migration_options& o = {}, memory m = {}) noexcept
      : session_(&s), options_(o), subscriptions_(m), uri_(m) {}

  /// False when memory ran out. One that is over or on another session is not listed any longer.
  [[nodiscard]] bool add(moving_subscription& s) noexcept { return subscriptions_.push(&s); }
  void remove(const moving_subscription& s) noexcept {
    for (std::size_t i = 0; i < subscriptions_.size(); ++i)
      if (subscriptions_[i] == &s) return subscriptions_.erase(i);
  }
  /// The plan: `entry` of `size()`.
  [[nodiscard]] std::size_t size() noexcept {
    forget_moved();
    return subscriptions_.size();
  }
  [[nodiscard]] migration_entry entry(std::size_t i) const noexcept {
    return {subscriptions_[i], subscriptions_[i]->place()};
  }
  /// Where the peer asked us to go, for later reconnects as well; empty if it named no place.
  [[nodiscard]] std::string_view redirect() const noexcept { return is_refused_ ? std::string_view() : uri(); }
  /// The peer has asked us to leave.
  [[nodiscard]] bool is_leaving() const noexcept { return is_leaving_; }

  /// An event of any session; those of others are ignored. Pass `session_closed` to the subscriptions first.
  void on_event(const session& s, const event& e, instant now) noexcept {
    if (&s != session_) return;
    if (const auto* g = std::get_if<goaway_received>(&e); g != nullptr && !is_leaving_) {
      const bool fits = uri_.append(g->uri.data(), g->uri.size());
      is_refused_ = !fits || !options_.policy(g->uri);
      is_leaving_ = has_news_ = true;
      if (is_refused_) return session_->close(session_code::no_error);
      due_ = now + options_.leave_within;
    } else if (std::holds_alternative<session_closed>(e)) {
      if (is_leaving_ && !is_refused_) done();
      session_ = nullptr;
      due_ = never_due;
    }
  }
  /// Moves everything to `next`, which must be established; also when the session is gone already. The first error, if
  /// any: what could not be asked there stays where it is, and this can be tried again.
  [[nodiscard]] errc to(session& next, instant now) noexcept {
    errc first = errc::ok;
    has_asked_ = true;
    for (moving_subscription* s : subscriptions_) {
      if (s->is_over() || s->is_on(next)) continue;
      const errc e = s->move_to(next, now);
      if (first == errc::ok) first = e;
    }
    return first;
  }
  void on_deadline(instant now) noexcept {
    if (due_ > now) return;
    due_ = never_due;
    is_late_ = true;
  }
  [[nodiscard]] instant next_deadline() const noexcept { return due_; }

  /// What to do next. Ask after every event, deadline and move: it is here that the session is closed behind the last
  /// subscription.
  [[nodiscard]] std::optional<migration_event> next() noexcept {
    if (has_news_) {
      has_news_ = false;
      if (is_refused_) return redirect_refused{uri()};
      return dial{uri()};
    }
    forget_moved();
    if (session_ != nullptr && is_leaving_ && !is_refused_ && (is_late_ || (has_asked_ && !is_needed()))) {
      done();
      if (options_.closes_session) session_->close(session_code::no_error);
      session_ = nullptr;
      due_ = never_due;
    }
    return std::exchange(result_, {});
  }

 private:
  [[nodiscard]] std::string_view uri() const noexcept { return {uri_.data(), uri_.size()}; }
  [[nodiscard]] bool is_needed() const noexcept {
    for (const moving_subscription* s : subscriptions_)
      if (s->is_on(*session_)) return true;
    return false;
  }
  void forget_moved() noexcept {
    for (std::size_t i = 0; i < subscriptions_.size();) {
      const moving_subscription& s = *subscriptions_[i];
      const bool is_elsewhere = !s.is_waiting() && !s.is_moving() && (session_ == nullptr || !s.is_on(*session_));
      if (s.is_over() || (is_elsewhere && has_asked_))
        subscriptions_.erase(i);
      else
        ++i;
    }
  }
  void done() noexcept {
    std::size_t left = 0;
    for (const moving_subscription* s : subscriptions_)
      if (s->is_waiting() || (session_ != nullptr && s->is_on(*session_))) ++left;
    result_ = migrated{left};
  }

  session* session_;
  migration_options options_;
  vec<moving_subscription*> subscriptions_;
  vec<char> uri_;
  std::optional<migrated> result_{};
  instant due_ = never_due;
  bool is_leaving_ = false;
  bool is_refused_ = false;
  bool has_news_ = false;   ///< Of where to go, or not to.
  bool has_asked_ = false;  ///< `to` has been called.
  bool is_late_ = false;
};

}  // namespace moql
