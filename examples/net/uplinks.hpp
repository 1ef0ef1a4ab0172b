#pragma once
/// Connections that are kept up: dialled again when they are lost, and moved where a GOAWAY says.

#include <moql/binding/url.hpp>

#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <random>

#include "dial.hpp"
#include "relay_peers.hpp"
#include "words.hpp"

namespace net {

/// One of them; `peer::state` of its peers.
struct uplink : relay_link {
  uplink(std::string to, dial_options o, host& h) : url(std::move(to)), options(std::move(o)), timer(h.io()) {}
  std::string url;  ///< As configured.
  dial_options options;
  std::string redirect{};  ///< Where a GOAWAY said to go; empty is `url`.
  std::string used{};      ///< Where it was dialled last.
  peer* newest = nullptr;  ///< Its session, once that is established and for as long as it is not told to leave.
  moql::instant up_since{};
  moql::duration wait = wait_min;
  boost::asio::steady_timer timer;

  static constexpr moql::duration wait_min = moql::milliseconds(250), wait_max = moql::seconds(30);
};

class uplinks {
 public:
  using log = std::function<void(const std::string&)>;
  uplinks(host& h, relay_peers& r, log says) : host_(h), relay_(r), says_(std::move(says)) {}

  void add(const std::string& url, const dial_options& o, std::optional<std::uint64_t> cost) {
    const auto& l = all_.emplace_back(std::make_shared<uplink>(url, o, host_));
    l->cost = cost;
    dial_now(*l);
  }
  /// Nothing is dialled any more; what there is stays.
  void stop() {
    is_stopped_ = true;
    for (const auto& l : all_) l->timer.cancel();
  }

  // ---- what the program hears

  void on_event(peer& p, const moql::event& e, moql::instant now) {
    uplink* l = link_of(p);
    if (l == nullptr) return;
    if (const auto* c = std::get_if<moql::connected>(&e)) {
      l->newest = &p;
      l->up_since = now;
      says_(l->used + ": up, draft " + std::string(moql::facts(c->ver).name) + ", " + std::string(p.transport()));
    }
    if (const auto* g = std::get_if<moql::goaway_received>(&e)) leave(*l, p, g->uri, now);
  }
  /// Those that were told to leave are closed when nothing passes through them any more.
  void on_turn() {
    for (const going& g : going_) {
      if (g.who->session.is_closed() || link_of(*g.who)->newest == nullptr || !relay_.is_idle(*g.who)) continue;
      g.who->session.close();
      host_.touch(*g.who);
    }
  }
  void on_gone(peer& p, const ending& why, moql::instant now) {
    uplink* l = link_of(p);
    if (l == nullptr) return;
    const bool was_going = std::erase_if(going_, [&](const going& g) { return g.who == &p; }) != 0;
    if (was_going) return;
    if (l->newest == &p) {
      l->newest = nullptr;
      if (now - l->up_since > l->wait) l->wait = uplink::wait_min;
    }
    dial_later(*l, why.text);
  }
  void on_unreachable(const ending& why) {
    if (why.state != nullptr) dial_later(*static_cast<uplink*>(why.state.get()), why.text);
  }

 private:
  struct going {
    peer* who{};
    std::shared_ptr<boost::asio::steady_timer> patience{};
  };
  static constexpr auto leave_time = std::chrono::seconds(10);

  [[nodiscard]] static uplink* link_of(const peer& p) { return static_cast<uplink*>(p.state.get()); }
  [[nodiscard]] std::shared_ptr<uplink> shared(const uplink& l) const {
    for (const auto& each : all_)
      if (each.get() == &l) return each;
    return {};
  }
  void dial_now(uplink& l) {
    if (is_stopped_) return;
    l.used = l.redirect.empty() ? l.url : l.redirect;
    dial_options o = l.options;
    o.state = shared(l);
    dial(host_, l.used, o);
  }
  /// After a while that grows, and that is not the same for all who lost the same relay.
  void dial_later(uplink& l, const std::string& why) {
    l.redirect.clear();
    if (is_stopped_) return;
    const auto wait = std::uniform_int_distribution<std::int64_t>(l.wait.us / 2, l.wait.us)(random_);
    says_(l.used + ": " + (why.empty() ? "gone" : why) + "; again in " + std::to_string(wait / 1000) + " ms");
    l.wait = std::min(moql::microseconds(2 * l.wait.us), uplink::wait_max);
    l.timer.expires_after(std::chrono::microseconds(wait));
    l.timer.async_wait([this, &l](const boost::system::error_code& e) {
      if (!e) dial_now(l);
    });
  }
  /// GOAWAY: a new session first, the old one when it is no longer needed.
  void leave(uplink& l, peer& p, std::string_view uri, moql::instant) {
    if (l.newest != &p) return;  // it was leaving already
    l.newest = nullptr;
    if (!uri.empty() && !may_go(l, uri)) {
      says_(l.used + ": is going away for '" + std::string(uri) + "', which is not a URL to go to");
      return p.session.close();  // and what is dialled then is the configured one
    }
    l.redirect = std::string(uri);
    says_(l.used + ": is going away" + (uri.empty() ? "" : " for " + l.redirect));
    going& g = going_.emplace_back(going{&p, std::make_shared<boost::asio::steady_timer>(host_.io())});
    g.patience->expires_after(leave_time);
    g.patience->async_wait([this, &p](const boost::system::error_code& e) {
      if (e) return;
      p.session.close();
      host_.touch(p);
    });
    dial_now(l);
  }
  /// The same scheme, and all that a URL must have.
  [[nodiscard]] static bool may_go(const uplink& l, std::string_view uri) {
    const auto to = moql::parse_url(uri), from = moql::parse_url(l.used);
    return to.has_value() && from.has_value() && to->id == from->id;
  }

  host& host_;
  relay_peers& relay_;
  log says_;
  std::vector<std::shared_ptr<uplink>> all_;
  std::vector<going> going_;
  std::mt19937_64 random_{std::random_device{}()};
  bool is_stopped_ = false;
};

}  // namespace net
