#pragma once
/// Many parties joined by in-memory networks under one virtual clock: relays, publishers, subscribers.

#include <moql/adapter/loopback.hpp>
#include <moql/moql.hpp>
#include <moql/relay/relay.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace testing {

class world;

/// Whoever owns one end of some connections.
struct party {
  party() = default;
  party(const party&) = delete;
  party& operator=(const party&) = delete;
  virtual ~party() = default;
  virtual void on_joined(moql::session&, moql::instant) {}
  virtual void on_event(moql::session&, const moql::event&, moql::instant) = 0;
  /// All events that one of its sessions had have been heard.
  virtual void on_heard() {}
  /// The session is about to be destroyed.
  virtual void on_left(moql::session&, moql::instant) {}
  [[nodiscard]] virtual moql::instant next_deadline() const { return moql::never_due; }
  virtual void on_deadline(moql::instant) {}
  std::uint64_t hop = 0;
  moql::memory memory{};  ///< Of the sessions that are made for it.
};

/// One connection. A party that does not read (`is_reading`) gets no events, so it gives no credit.
struct connection {
  struct end {
    moql::session session;
    party* owner;
    bool is_reading = true;
    bool is_told = false;  ///< session_closed has been handed out.
    end(const moql::config& c, party& p) : session(c, p.memory), owner(&p) {}
  };
  connection(const moql::loopback_options& o, const moql::config& c, party& client_party, const moql::config& s,
             party& server_party)
      : net(o), client(c, client_party), server(s, server_party) {}
  moql::loopback_network net;
  end client, server;
  bool is_stalled = false;  ///< Nothing is delivered for now.
  [[nodiscard]] bool is_over() const { return client.is_told && server.is_told; }
};

class world {
 public:
  [[nodiscard]] moql::instant now() const { return now_; }

  connection& connect(party& client, party& server, moql::version v, moql::loopback_options o = {}, moql::config c = {},
                      moql::config s = {}) {
    o.protocol = moql::facts(v).protocol;
    c.versions = s.versions = moql::only(v);
    c.side = moql::endpoint::client;
    s.side = moql::endpoint::server;
    if (client.hop != 0) c.hop = client.hop;
    if (server.hop != 0) s.hop = server.hop;
    connection& x = *connections_.emplace_back(std::make_unique<connection>(o, c, client, s, server));
    x.net.advance_to(now_);
    (void)x.client.session.start(x.net.a().protocol(), now_);
    (void)x.server.session.start(x.net.b().protocol(), now_);
    client.on_joined(x.client.session, now_);
    server.on_joined(x.server.session, now_);
    return x;
  }
  /// The connection breaks without a word, for both sides.
  static void cut(connection& x) { x.net.cut(0); }
  /// Takes a connection out, with its sessions.
  void remove(connection& x) {
    for (connection::end* e : {&x.client, &x.server}) e->owner->on_left(e->session, now_);
    std::erase_if(connections_, [&](const auto& c) { return c.get() == &x; });
  }
  [[nodiscard]] const std::vector<std::unique_ptr<connection>>& connections() const { return connections_; }

  /// Everything that can happen without time passing.
  void settle() {
    for (bool more = true; more;) {
      for (std::size_t i = 0; i < connections_.size(); ++i) {  // by index: events may connect
        drain(connections_[i]->client);
        drain(connections_[i]->server);
      }
      more = false;
      for (const auto& x : connections_) {
        moql::pump(x->client.session, x->net.a(), now_);
        moql::pump(x->server.session, x->net.b(), now_);
        more = more || has_events(x->client) || has_events(x->server);
      }
    }
  }
  /// Delivers the next thing in flight, or moves to the next deadline; false when nothing is due until `until`.
  bool step(moql::instant until = moql::never_due) {
    settle();
    connection* first = nullptr;
    moql::instant due = moql::never_due;
    for (const auto& x : connections_)
      if (!x->is_stalled && x->net.next_due() < due) {
        due = x->net.next_due();
        first = x.get();
      }
    moql::instant deadline = moql::never_due;
    for_each_party([&](party& p) { deadline = std::min(deadline, p.next_deadline()); });
    for (const auto& x : connections_)
      deadline = std::min({deadline, x->client.session.next_deadline(), x->server.session.next_deadline()});
    if (deadline < due || first == nullptr) {
      if (deadline > until || deadline == moql::never_due) return false;
      advance(deadline);
      for_each_party([&](party& p) {
        if (p.next_deadline() <= now_) p.on_deadline(now_);
      });
      for (const auto& x : connections_) {
        x->client.session.on_deadline(now_);
        x->server.session.on_deadline(now_);
      }
    } else {
      if (due > until) return false;
      advance(due);
      (void)first->net.step(first->client.session, first->server.session);
    }
    settle();
    return true;
  }
  /// Until nothing is in flight; timers do not count.
  void run(std::size_t steps_max = 1'000'000) {
    settle();
    for (std::size_t i = 0; i < steps_max; ++i) {
      moql::instant due = moql::never_due;
      for (const auto& x : connections_)
        if (!x->is_stalled) due = std::min(due, x->net.next_due());
      if (due == moql::never_due || !step(due)) return;
    }
  }
  /// Lets time pass.
  void wait(moql::duration d) {
    const moql::instant until = now_ + d;
    while (step(until)) {
    }
    advance(until);
    settle();
  }

 private:
  void advance(moql::instant t) {
    if (t > now_) now_ = t;
    for (const auto& x : connections_) x->net.advance_to(now_);
  }
  [[nodiscard]] static bool has_events(const connection::end& e) { return e.is_reading && e.session.has_events(); }
  void drain(connection::end& e) {
    while (has_events(e)) {
      const auto what = e.session.next_event();
      if (!what) break;
      e.owner->on_event(e.session, *what, now_);
      e.is_told = e.is_told || std::holds_alternative<moql::session_closed>(*what);
    }
    e.owner->on_heard();
  }
  void for_each_party(const std::function<void(party&)>& f) {
    std::vector<party*> seen;
    for (const auto& x : connections_)
      for (party* p : {x->client.owner, x->server.owner})
        if (std::find(seen.begin(), seen.end(), p) == seen.end()) {
          seen.push_back(p);
          f(*p);
        }
  }
  moql::instant now_{};
  std::vector<std::unique_ptr<connection>> connections_;
};

/// A relay with its sessions.
class relay_party : public party {
 public:
  explicit relay_party(const moql::relay_options& o, moql::memory m = {}) : core(o, m) { hop = o.hop; }
  moql::relay core;
  /// How the next sessions join.
  moql::relay_peer_options joining{.scope = 0};

  [[nodiscard]] moql::peer_id id_of(const moql::session& s) const { return ids_.at(&s); }
  void on_joined(moql::session& s, moql::instant now) override {
    const auto id = core.join(s, joining, now);
    if (id) ids_[&s] = *id;
  }
  void on_event(moql::session& s, const moql::event& e, moql::instant now) override {
    if (const auto i = ids_.find(&s); i != ids_.end()) core.on_event(i->second, e, now);
  }
  void on_heard() override {
    while (core.next_ready()) {  // here everyone is pumped anyway
    }
  }
  void on_left(moql::session& s, moql::instant now) override {
    if (const auto i = ids_.find(&s); i != ids_.end()) {
      core.leave(i->second, now);
      ids_.erase(i);
    }
  }
  [[nodiscard]] moql::instant next_deadline() const override { return core.next_deadline(); }
  void on_deadline(moql::instant now) override { core.on_deadline(now); }

 private:
  std::map<const moql::session*, moql::peer_id> ids_;
};

/// Announces one broadcast on every session and serves its tracks.
class publisher_party : public party {
 public:
  explicit publisher_party(std::string its_path, std::uint64_t its_hop = 0) : path(std::move(its_path)) {
    hop = its_hop;
  }
  std::string path;
  std::map<std::string, std::unique_ptr<moql::track_cache>> tracks;
  std::map<std::string, int> subscriptions;  ///< SUBSCRIBE requests that have come, by track.
  std::vector<moql::subscribe_requested> asked;
  int live = 0;                                ///< And are not over.
  std::optional<moql::stream_code> refuses{};  ///< Refuse every request with it.
  bool announces = true;

  moql::track_cache& track(const std::string& name, moql::track_options o = {}) {
    auto& t = tracks[name];
    if (!t) t = std::make_unique<moql::track_cache>(o);
    return *t;
  }
  /// A whole group of the given frames.
  void group(const std::string& name, std::uint64_t sequence, const std::vector<std::string>& frames,
             moql::instant now) {
    moql::track_cache& t = track(name);
    (void)t.begin_group(sequence, now);
    std::uint64_t at = sequence * 1000;
    for (const std::string& f : frames) (void)t.append(sequence, at++, moql::bytes::copy(f));
    (void)t.end_group(sequence);
  }
  void on_event(moql::session& s, const moql::event& e, moql::instant) override {
    if (std::holds_alternative<moql::connected>(e) && announces) (void)s.announce(path);
    if (const auto* r = std::get_if<moql::subscribe_requested>(&e)) {
      ++subscriptions[std::string(r->track)];
      asked.push_back(*r);
      if (!refuses) {
        ++live;
        requests_[{&s, r->request}] = true;
      }
      answer(s, r->request, r->track);
    }
    if (const auto* r = std::get_if<moql::track_requested>(&e)) answer(s, r->request, r->track);
    if (const auto* r = std::get_if<moql::fetch_requested>(&e)) answer(s, r->request, r->track);
    if (const auto* r = std::get_if<moql::request_closed>(&e))
      if (requests_.erase({&s, r->request}) != 0) --live;
  }

 private:
  void answer(moql::session& s, moql::request_id id, std::string_view name) {
    const auto t = tracks.find(std::string(name));
    if (refuses)
      (void)s.reject(id, *refuses);
    else if (t == tracks.end())
      (void)s.reject(id, moql::stream_code::not_found);
    else
      (void)s.serve(id, *t->second);
  }
  std::map<std::pair<moql::session*, moql::request_id>, bool> requests_;
};

/// Hears everything on one session, and remembers it.
class subscriber_party : public party {
 public:
  struct group {
    std::uint64_t first_frame = 0;
    std::vector<std::string> frames;
    std::vector<std::uint64_t> timestamps;
    bool is_whole = false;
    bool is_cut = false;
    std::uint64_t code = 0;
  };
  std::map<std::string, std::vector<std::uint64_t>> paths;  ///< Live announcements with their hops.
  int starts = 0, updates = 0, ends = 0;
  std::map<std::uint64_t, group> groups;
  std::vector<std::uint64_t> order;  ///< Groups as they began.
  int repeated = 0;                  ///< Groups that began twice.
  std::vector<moql::subscription_closed> closed;
  std::vector<moql::groups_lost> lost;
  std::vector<moql::fetch_closed> fetches_closed;
  std::vector<std::string> fetched;
  std::optional<moql::msg::track_info> info;
  std::function<void(moql::session&, const moql::event&)> react = [](moql::session&, const moql::event&) {};

  [[nodiscard]] std::vector<std::uint64_t> whole() const {
    std::vector<std::uint64_t> out;
    for (const auto& [n, g] : groups)
      if (g.is_whole) out.push_back(n);
    return out;
  }
  [[nodiscard]] std::string text(std::uint64_t n) const {
    std::string out;
    const auto g = groups.find(n);
    if (g != groups.end())
      for (const std::string& f : g->second.frames) out += f;
    return out;
  }
  void on_event(moql::session& s, const moql::event& e, moql::instant now) override {
    std::visit(moql::overload{
                   [&](const moql::connected&) { (void)s.discover("", now); },
                   [&](const moql::announce_updated& a) {
                     ++updates;
                     paths[std::string(a.path)].assign(a.hops.begin(), a.hops.end());
                   },
                   [&](const moql::announced& a) {
                     ++starts;
                     paths[std::string(a.path)].assign(a.hops.begin(), a.hops.end());
                   },
                   [&](const moql::announce_ended& a) {
                     ++ends;
                     paths.erase(std::string(a.path));
                   },
                   [&](const moql::track_known& k) { info = k.info; },
                   [&](const moql::group_started& g) { begin(g.group, g.first_frame); },
                   [&](const moql::frame_part& p) {
                     group& g = groups[p.group];
                     if (p.offset == 0) {
                       g.frames.emplace_back();
                       g.timestamps.push_back(p.timestamp);
                     }
                     if (!g.frames.empty()) g.frames.back() += p.payload.text();
                   },
                   [&](const moql::group_finished& g) {
                     groups[g.group].is_whole = g.why == moql::errc::ok;
                     groups[g.group].is_cut = g.why != moql::errc::ok;
                     groups[g.group].code = g.code;
                   },
                   [&](const moql::datagram_received& d) {
                     begin(d.group, 0);
                     groups[d.group].frames.emplace_back(d.payload.text());
                     groups[d.group].timestamps.push_back(d.timestamp);
                     groups[d.group].is_whole = true;
                   },
                   [&](const moql::groups_lost& l) { lost.push_back(l); },
                   [&](const moql::subscription_closed& c) { closed.push_back(c); },
                   [&](const moql::fetch_part& p) {
                     if (p.offset == 0) fetched.emplace_back();
                     fetched.back() += p.payload.text();
                   },
                   [&](const moql::fetch_closed& c) { fetches_closed.push_back(c); },
                   [](const auto&) {},
               },
               e);
    react(s, e);
  }

 private:
  void begin(std::uint64_t n, std::uint64_t first_frame) {
    if (groups.contains(n)) ++repeated;
    groups[n].first_frame = first_frame;
    order.push_back(n);
  }
};

}  // namespace testing
