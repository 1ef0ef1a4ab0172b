#pragma once
/// The loop of a program: one thread, every transport, any number of peers.

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>  // Boost 1.74 forgets it in C++20
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "peer.hpp"

namespace net {

class host {
 public:
  explicit host(program& p) : program_(p) {}
  host(const host&) = delete;
  host& operator=(const host&) = delete;

  [[nodiscard]] boost::asio::io_context& io() { return io_; }
  [[nodiscard]] moql::instant now() const {
    const auto t = std::chrono::steady_clock::now().time_since_epoch();
    return {std::chrono::duration_cast<std::chrono::microseconds>(t).count()};
  }
  [[nodiscard]] const std::vector<std::shared_ptr<peer>>& peers() const { return peers_; }

  // ---- for transports

  /// A connection is up: from now on its session is served.
  void add(std::shared_ptr<peer> p) {
    p->index_ = peers_.size();
    peers_.push_back(p);
    touch(*p);
  }
  /// Dialling failed.
  void unreachable(ending why) {
    boost::asio::post(io_, [this, why = std::move(why)] { program_.on_unreachable(why); });
  }
  /// Something happened to a peer, or a program did something to it: it is served before the loop waits again.
  void touch(peer& p) {
    if (p.index_ == peer::nowhere || std::exchange(p.is_touched_, true)) return;
    touched_.push_back(peers_[p.index_]);
    take_turn();
  }
  /// The same for all of them.
  void touch() {
    for (const auto& p : peers_) touch(*p);
    take_turn();
  }
  /// A turn of the program, for those whom it then touches.
  void take_turn() {
    if (std::exchange(is_turn_wanted_, true)) return;
    boost::asio::post(io_, [this] { serve(); });
  }

  // ---- for programs

  /// Returns when `stop` is called, or nothing is left to wait for.
  void run() { io_.run(); }
  void stop() { io_.stop(); }

 private:
  /// Drains and pumps those who were touched. What one is told may be news for another, which then has its own turn.
  void serve() {
    is_turn_wanted_ = false;
    std::swap(served_, touched_);
    for (const auto& p : served_) {
      p->is_touched_ = false;
      if (p->index_ == peer::nowhere) continue;
      while (const auto e = p->session.next_event()) program_.on_event(*p, *e, now());
      p->pump(now());
    }
    if (program_.on_turn(now())) touch();
    for (const auto& p : served_) settle(p);
    served_.clear();
    wait();
  }
  void settle(const std::shared_ptr<peer>& p) {
    if (p->index_ == peer::nowhere) return;
    const bool has_events = p->session.has_events();
    if (has_events) touch(*p);
    if (p->is_over() && !has_events) return bury(p);
    set_due(*p, std::min(p->session.next_deadline(), p->next_deadline()));
  }
  void bury(const std::shared_ptr<peer>& p) {
    set_due(*p, moql::never_due);
    peers_[p->index_].swap(peers_.back());
    peers_[p->index_]->index_ = p->index_;
    peers_.pop_back();
    p->index_ = peer::nowhere;
    program_.on_gone(*p, p->why());
  }
  void set_due(peer& p, moql::instant next) {
    if (p.due_ == next) return;
    if (p.due_ != moql::never_due) due_.erase({p.due_.us, &p});
    if (next != moql::never_due) due_.insert({next.us, &p});
    p.due_ = next;
  }
  void wait() {
    moql::instant next = program_.next_deadline();
    if (!due_.empty()) next = std::min(next, moql::instant{due_.begin()->first});
    if (next != moql::never_due && armed_ <= next) return;  // it looks again when it fires
    armed_ = next;
    timer_.cancel();
    if (next == moql::never_due) return;
    timer_.expires_after(std::chrono::microseconds(std::max<std::int64_t>(0, next.us - now().us)));
    timer_.async_wait([this](const boost::system::error_code& e) {
      if (e) return;
      armed_ = moql::never_due;
      fire();
    });
  }
  void fire() {
    const moql::instant time = now();
    while (!due_.empty() && due_.begin()->first <= time.us) {
      peer& p = *due_.begin()->second;
      set_due(p, moql::never_due);
      if (p.next_deadline() <= time) p.on_deadline(time);
      touch(p);  // `pump` looks after the deadlines of sessions
    }
    if (program_.next_deadline() <= time) program_.on_deadline(time);
    take_turn();
  }

  program& program_;
  boost::asio::io_context io_{1};
  boost::asio::steady_timer timer_{io_};
  std::vector<std::shared_ptr<peer>> peers_;
  std::vector<std::shared_ptr<peer>> touched_, served_;
  std::set<std::pair<std::int64_t, peer*>> due_;  // deadlines of peers, in microseconds
  moql::instant armed_ = moql::never_due;
  bool is_turn_wanted_ = false;
};

}  // namespace net
