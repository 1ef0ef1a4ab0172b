#pragma once
/// The loop of a program: one thread, every transport, any number of peers.

#include <algorithm>
#include <chrono>
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
    peers_.push_back(std::move(p));
    touch();
  }
  /// Dialling failed.
  void unreachable(ending why) {
    boost::asio::post(io_, [this, why = std::move(why)] { program_.on_unreachable(why); });
  }
  /// Something happened to a peer, or a program did something to one: all are served before the loop waits again.
  void touch() {
    if (std::exchange(is_touched_, true)) return;
    boost::asio::post(io_, [this] { serve(); });
  }

  // ---- for programs

  /// Returns when `stop` is called, or nothing is left to wait for.
  void run() { io_.run(); }
  void stop() { io_.stop(); }

 private:
  /// Drains and pumps every peer until none has anything to say: what one is told may be news for another.
  void serve() {
    is_touched_ = false;
    for (std::size_t i = 0; i < peers_.size(); ++i) {  // by index: `add` may be called from an event
      const std::shared_ptr<peer> p = peers_[i];
      drain(*p);
      p->pump(now());
    }
    bool more = program_.on_turn(now());
    for (std::size_t i = 0; i < peers_.size(); ++i) more = more || peers_[i]->session.has_events();
    if (more) touch();
    bury();
    wait();
  }
  void drain(peer& p) {
    while (const auto e = p.session.next_event()) program_.on_event(p, *e, now());
  }
  void bury() {
    for (std::size_t i = 0; i < peers_.size();) {
      const std::shared_ptr<peer> p = peers_[i];
      if (!p->is_over() || p->session.has_events()) {
        ++i;
        continue;
      }
      peers_.erase(peers_.begin() + static_cast<std::ptrdiff_t>(i));
      program_.on_gone(*p, p->why());
    }
  }
  void wait() {
    moql::instant next = moql::never_due;
    for (const auto& p : peers_) next = std::min({next, p->session.next_deadline(), p->next_deadline()});
    if (next == deadline_) return;
    deadline_ = next;
    timer_.cancel();
    if (next == moql::never_due) return;
    timer_.expires_after(std::chrono::microseconds(std::max<std::int64_t>(0, next.us - now().us)));
    timer_.async_wait([this](const boost::system::error_code& e) {
      if (e) return;
      deadline_ = moql::never_due;
      const auto all = peers_;
      for (const auto& p : all)
        if (p->next_deadline() <= now()) p->on_deadline(now());
      touch();  // `pump` looks after the deadlines of sessions
    });
  }

  program& program_;
  boost::asio::io_context io_{1};
  boost::asio::steady_timer timer_{io_};
  std::vector<std::shared_ptr<peer>> peers_;
  moql::instant deadline_ = moql::never_due;
  bool is_touched_ = false;
};

}  // namespace net
