#pragma once
/// One side of a scenario over a real connection, dialled or accepted.

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "net/host.hpp"
#include "net/words.hpp"
#include "scenarios.hpp"

namespace interop {

class network_player final : public net::program, public stage {
 public:
  /// `before_vanishing` is the last thing this process does in the scenario that ends without a word.
  network_player(settings o, bool publishes, bool dumps, std::function<void()> before_vanishing)
      : options_(std::move(o)),
        publishes_(publishes),
        dumps_(dumps),
        before_vanishing_(std::move(before_vanishing)),
        host_(*this) {}

  [[nodiscard]] net::host& host() { return host_; }
  /// Plays until the end, or for `timeout` at most.
  outcome play(std::chrono::seconds timeout) {
    boost::asio::steady_timer deadline(host_.io(), timeout);
    deadline.async_wait([this](const boost::system::error_code& e) {
      if (e || how_) return;
      if (!actor_) return give_up("no session" + (failures_.empty() ? std::string() : ": " + failures_));
      actor_->fail("in vain: " + actor_->missing());
      host_.touch();
    });
    host_.run();
    if (!how_) return {verdict::fail, "nothing was left to wait for"};
    return *how_;
  }

  // ---- stage

  moql::session& session() override { return subject_->session; }
  moql::instant now() const override { return host_.now(); }
  void after(moql::duration d, std::function<void()> f) override {
    auto timer = std::make_shared<boost::asio::steady_timer>(host_.io(), std::chrono::microseconds(d.us));
    timer->async_wait([this, timer, f = std::move(f)](const boost::system::error_code& e) {
      if (e) return;
      f();
      host_.touch();
    });
  }
  void finished(outcome how) override {
    how_ = std::move(how);
    // The close has to get through, but a peer that does not take it cannot hold us up.
    stop_.expires_after(std::chrono::seconds(3));
    stop_.async_wait([this](const boost::system::error_code&) { host_.stop(); });
    host_.touch();
  }
  void vanish() override {
    before_vanishing_();
    std::_Exit(0);
  }

  // ---- program

  void on_event(net::peer& p, const moql::event& e, moql::instant) override {
    if (dumps_) dump(p, e);
    if (const auto* setup = std::get_if<moql::peer_setup>(&e); setup != nullptr && setup->path)
      check_path(p, *setup->path);
    if (!subject_ && std::holds_alternative<moql::connected>(e)) return begin(p);
    if (&p != subject_.get()) {
      if (const auto* c = std::get_if<moql::session_closed>(&e)) failures_ = net::text_of(*c);
    } else if (actor_ && !actor_->is_over()) {
      actor_->hear(e);
    }
  }
  void on_gone(net::peer& p, const net::ending& why) override {
    if (dumps_) std::fprintf(stderr, "gone: %s\n", why.text.c_str());
    if (&p != subject_.get()) {
      if (!why.text.empty()) failures_ = why.text;
      return;
    }
    if (!how_) return give_up("the connection ended without a word to the session: " + why.text);
    host_.stop();
  }
  void on_unreachable(const net::ending& why) override { give_up("no connection: " + why.text); }

 private:
  void begin(net::peer& p) {
    for (const auto& each : host_.peers())
      if (each.get() == &p) subject_ = each;
    actor_ = make_actor(*this, options_, publishes_);
    check_path(p, p.request_path());
    if (!actor_->is_over()) actor_->up();
  }
  void check_path(net::peer& p, std::string_view path) {
    if (options_.dials || path.empty() || path == "/interop") return;
    const std::string why = "the peer asks for " + std::string(path) + ", not /interop";
    if (&p == subject_.get()) return actor_->fail(why);
    failures_ = why;
    p.session.close(moql::session_code::protocol_violation, why);
  }
  void give_up(std::string why) {
    if (!how_) how_ = outcome{verdict::fail, std::move(why)};
    host_.stop();
  }
  static void dump(const net::peer& p, const moql::event& e) {
    static constexpr const char* names[] = {"connected",           "peer_setup",           "hop_declared",
                                            "bandwidth",           "probe_closed",         "goaway_received",
                                            "goaway_finished",     "session_closed",       "announced",
                                            "announce_updated",    "announce_ended",       "announced_all",
                                            "interest_closed",     "subscription_started", "track_known",
                                            "group_started",       "frame_part",           "group_finished",
                                            "datagram_received",   "groups_lost",          "subscription_end_known",
                                            "subscription_closed", "fetch_part",           "fetch_closed",
                                            "track_answered",      "subscribe_requested",  "subscribe_updated",
                                            "track_requested",     "fetch_requested",      "request_closed"};
    static_assert(std::size(names) == std::variant_size_v<moql::event>);
    std::string more;
    std::visit(
        moql::overload{
            [&](const moql::session_closed& c) { more = net::text_of(c); },
            [&](const moql::announced& a) { more = a.path; },
            [&](const moql::announce_ended& a) { more = a.path; },
            [&](const moql::subscribe_requested& r) { more = std::string(r.broadcast) + ' ' + std::string(r.track); },
            [&](const moql::track_requested& r) { more = std::string(r.broadcast) + ' ' + std::string(r.track); },
            [&](const moql::fetch_requested& r) { more = "group " + std::to_string(r.group); },
            [&](const moql::request_closed& c) { more = net::text_of(c.why, c.code); },
            [&](const moql::subscription_started& s) { more = s.group ? std::to_string(*s.group) : "start unknown"; },
            [&](const moql::subscription_closed& c) { more = net::text_of(c.why, c.code); },
            [&](const moql::fetch_closed& c) { more = net::text_of(c.why, c.code); },
            [&](const moql::group_started& g) { more = std::to_string(g.group); },
            [&](const moql::frame_part& f) {
              more = std::to_string(f.group) + '.' + std::to_string(f.frame) + " @" + std::to_string(f.timestamp) +
                     ' ' + std::to_string(f.offset) + '+' + std::to_string(f.payload.size()) + '/' +
                     std::to_string(f.size);
            },
            [&](const moql::group_finished& g) { more = std::to_string(g.group) + ' ' + net::text_of(g.why, g.code); },
            [&](const moql::groups_lost& g) { more = std::to_string(g.first) + '-' + std::to_string(g.last); },
            [&](const moql::datagram_received& d) { more = std::to_string(d.group); },
            [](const auto&) {},
        },
        e);
    std::fprintf(stderr, "%s %s %s\n", std::string(p.transport()).c_str(), names[e.index()], more.c_str());
  }

  settings options_;
  bool publishes_;
  bool dumps_;
  std::function<void()> before_vanishing_;
  net::host host_;
  boost::asio::steady_timer stop_{host_.io()};
  std::shared_ptr<net::peer> subject_{};  ///< The first with a session; whoever comes later is not played with.
  std::unique_ptr<actor> actor_{};
  std::optional<outcome> how_{};
  std::string failures_{};
};

}  // namespace interop
