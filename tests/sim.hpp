#pragma once
/// Two sessions over the loopback network, both with an application that does whatever it likes, drawn from a seed or
/// from a fuzzer's input: announcing, publishing, subscribing, changing its mind. What must always hold is checked
/// while it happens; what must hold at the end, when all is quiet. The first broken promise stays in `fault`.

#include "sim_books.hpp"

namespace testing::sim {

inline constexpr std::size_t mixes = 13;  ///< Of faults: what `make_mix` knows.

/// How a network of this kind misbehaves, and how much the applications write.
struct mix {
  loopback_options net{};
  std::string_view name{};
  bool has_resets = false;
  bool is_cut = false;
  std::size_t bytes = 400'000;  ///< Payload written, about, by both sides together.
};
inline mix make_mix(std::size_t kind, choices& pick) {
  mix m;
  m.net.seed = pick.below(1u << 30) + 1;
  const auto slow = [&] {
    m.net.delay_max = milliseconds(static_cast<std::int64_t>(1 + pick.below(60)));
    m.net.reorder_streams = true;
  };
  const auto narrow = [&] {
    m.net.stream_window = 80 + pick.below(3000);
    m.net.connection_window = 300 + pick.below(6000);
    m.bytes = 60'000;
  };
  const auto few_streams = [&] {
    m.net.streams_bidi = static_cast<std::uint32_t>(2 + pick.below(6));
    m.net.streams_uni = static_cast<std::uint32_t>(1 + pick.below(4));
  };
  const auto tiny = [&](std::size_t most) {
    m.net.chunk_max = most;
    m.bytes = most * 6000;
  };
  switch (kind) {
    case 0:
      m.name = "well-behaved";
      m.bytes = 3'000'000;
      break;
    case 1:
      m.name = "one byte at a time";
      tiny(1);
      break;
    case 2:
      m.name = "small pieces, out of order";
      tiny(9);
      slow();
      break;
    case 3:
      m.name = "slow, out of order";
      slow();
      break;
    case 4:
      m.name = "short writes";
      m.net.write_max = 1 + pick.below(200);
      m.bytes = 50'000;
      break;
    case 5:
      m.name = "small windows";
      narrow();
      break;
    case 6:
      m.name = "few streams";
      few_streams();
      break;
    case 7:
      m.name = "small windows, few streams, out of order";
      narrow();
      few_streams();
      slow();
      break;
    case 8:
      m.name = "datagrams get lost and come twice";
      m.net.datagram_loss_percent = 30;
      m.net.datagram_duplicate_percent = 30;
      slow();
      break;
    case 9:
      m.name = "streams break";
      m.has_resets = true;
      m.net.reset_percent = 1;
      slow();
      break;
    case 10:
      m.name = "the connection is cut";
      m.is_cut = true;
      slow();
      break;
    case 11:
      m.name = "shared payload, resets by the stack";
      m.net.hold_payload = m.net.auto_reset_on_stop = true;
      narrow();
      slow();
      break;
    default:
      m.name = "everything at once";
      m.has_resets = m.is_cut = true;
      m.net.reset_percent = 2;
      tiny(40);
      narrow();
      few_streams();
      slow();
      break;
  }
  if (kind >= 8 && pick.chance(30)) m.net.max_datagram = pick.below(400);
  m.net.reset_code = pick.below(70);
  m.net.stats = {20'000, 10'000, 5'000'000, 0, 0};
  return m;
}

/// What happened, so that a test can see that its story was not an empty one.
struct tally {
  std::size_t announcements = 0, subscriptions = 0, whole_groups = 0, cut_groups = 0, frames = 0, datagrams = 0,
              losses = 0, whole_fetches = 0, refused_fetches = 0, answers = 0, refusals = 0, reports = 0, goaways = 0;
};

class world;

class app {
 public:
  app(world& w, const config& c, memory m) : s(c, m), world_(w), memory_(m) {}

  session s;
  std::vector<std::unique_ptr<sent_track>> tracks{};
  std::map<announcement_id, std::pair<std::string, std::vector<std::uint64_t>>> published{};
  struct interest {
    std::string prefix{};
    std::map<std::string, int> seen{};
    bool is_left = false;
    bool is_closed = false;
  };
  std::map<interest_id, interest> interests{};
  std::map<subscription_id, watch> watches{};
  std::map<fetch_id, fetching> fetches{};
  std::map<track_query_id, sent_track*> queries{};
  std::vector<std::pair<request_id, sent_track*>> pending{};
  std::set<request_id> requests{};
  std::size_t connected_heard = 0;
  std::size_t closed_heard = 0;
  session_closed last_close{};
  tally seen{};
  bool is_quiet = false;  ///< Only answers, and those at once.
  std::uint64_t hop = 0;

  void hear(const event& e);
  void act();
  void settle_requests();
  void leave_everything();

 private:
  friend class world;
  void fail(const std::string& why);
  void must(bool holds, const char* why) {
    if (!holds) fail(why);
  }
  void must(const std::string& why) {
    if (!why.empty()) fail(why);
  }
  /// A command may be refused; it may not run out of memory unless memory does.
  errc check(errc e);
  template <class Id>
  Id check(const result<Id>& r) {
    return check(r.has_value() ? errc::ok : r.error()) == errc::ok ? r.value() : Id{};
  }
  app& other();
  choices& pick();
  [[nodiscard]] sent_track* find(std::vector<std::unique_ptr<sent_track>>& in, std::string_view b, std::string_view t) {
    for (auto& one : in)
      if (one->broadcast == b && one->name == t) return one.get();
    return nullptr;
  }
  void answer(request_id r, sent_track* t);
  void hear_announced(const announced& a, int by);
  watch* heard(subscription_id id);
  void write(sent_track& t);
  void append(sent_track& t, std::uint64_t sequence, sent_group& g);
  [[nodiscard]] std::size_t frame_size();
  [[nodiscard]] msg::delivery some_delivery();
  [[nodiscard]] std::vector<std::uint64_t> some_hops();
  template <class Map>
  [[nodiscard]] auto some_of(Map& m) {
    auto i = m.begin();
    if (!m.empty()) std::advance(i, static_cast<std::ptrdiff_t>(pick().below(m.size())));
    return i;
  }

  world& world_;
  memory memory_;
};

class world {
 public:
  world(choices& p, version v, std::size_t kind, unsigned publishers, noise& n, memory m, bool runs_out = false)
      : pick(p),
        ver(v),
        faults(make_mix(kind, p)),
        publishers_(publishers),
        payload(n),
        net(options(), runs_out ? memory{} : m),
        a(*this, settings(endpoint::client), m),
        b(*this, settings(endpoint::server), m) {
    a.hop = hop_;
    b.hop = hop_ == 0 ? 0 : hop_ + 1;
    bytes_left = faults.bytes;
    may_run_out = runs_out;
  }

  choices& pick;
  version ver;
  mix faults;
  unsigned publishers_;  ///< 1: the client, 2: the server, 3: both.
  noise& payload;
  loopback_network net;
  std::uint64_t hop_ = 0;
  app a, b;
  std::size_t bytes_left = 0;
  std::string fault{};
  bool may_run_out = false;  ///< Of memory.
  bool was_cut = false;
  bool goaway_sent = false;
  bool has_closed = false;

  void fail(const std::string& why) {
    if (fault.empty()) fault = why;
  }
  [[nodiscard]] bool is_faultless() const { return !faults.has_resets && !was_cut && !may_run_out; }
  [[nodiscard]] bool publishes(const app& x) const { return (publishers_ & (&x == &a ? 1u : 2u)) != 0; }
  [[nodiscard]] bool is_dead() { return a.s.is_closed() || b.s.is_closed() || has_closed || was_cut; }

  void start() {
    (void)a.check(a.s.start(net.a().protocol(), net.now()));
    (void)b.check(b.s.start(net.b().protocol(), net.now()));
    pump_both();
  }
  void pump_both() {
    drain(a);
    drain(b);
    pump(a.s, net.a(), net.now());
    pump(b.s, net.b(), net.now());
  }
  /// Delivers up to `n` events.
  void steps(std::size_t n) {
    for (std::size_t i = 0; i < n && net.step(a.s, b.s); ++i)
      if (pick_rarely()) pump_both();
    pump_both();
  }
  /// Until nothing is in flight.
  void run() {
    pump_both();
    for (std::size_t i = 0; net.step(a.s, b.s); ++i) {
      pump_both();
      if (i > 3'000'000) return fail("the network never comes to rest");
    }
    pump_both();
  }
  void wait(duration d) {
    const instant until = net.now() + d;
    run();
    while (fault.empty()) {
      instant next = a.s.next_deadline();
      if (b.s.next_deadline() < next) next = b.s.next_deadline();
      if (next > until) break;
      if (next > net.now()) net.advance_to(next);
      run();
    }
    net.advance_to(until);
    run();
  }
  /// The whole story. `actions`: how many things the applications do.
  void play(std::size_t actions) {
    start();
    const std::size_t cut_at = faults.is_cut ? pick.below(actions < 256 ? actions : 256) : actions;
    for (std::size_t i = 0; i < actions && fault.empty(); ++i) {
      if (i == cut_at) {
        net.cut(7);
        was_cut = true;
      }
      app& x = pick.below(2) == 0 ? a : b;
      if (!x.s.is_closed()) x.act();
      if (pick.chance(70)) steps(pick.below(faults.net.chunk_max < 100 ? 200 : 30));
      if (pick.chance(10)) wait(milliseconds(static_cast<std::int64_t>(pick.below(400))));
      if (pick.is_empty()) break;
    }
    if (pick.chance(15) && fault.empty()) close(pick.below(2) == 0 ? a : b);  // in the middle of everything
    come_to_rest();
    check_end();
  }

 private:
  [[nodiscard]] loopback_options options() const {
    loopback_options o = faults.net;
    o.protocol = facts(ver).protocol;
    return o;
  }
  [[nodiscard]] config settings(endpoint side) {
    config c;
    c.side = side;
    c.versions = only(ver);
    if (side == endpoint::client) hop_ = pick.below(2) * 1000;
    c.hop = hop_ == 0 ? 0 : hop_ + (side == endpoint::client ? 0 : 1);
    c.probe = probe_level::report;
    c.path = "/";
    if (carries_uri(c.over)) c.path = {};
    return c;
  }
  [[nodiscard]] bool pick_rarely() { return (++turns_ * 0x9e3779b97f4a7c15u >> 62) == 0; }
  void drain(app& x) {
    while (auto e = x.s.next_event()) x.hear(*e);
  }
  void close(app& x) {
    has_closed = true;
    x.s.close(session_code::no_error, "done");
  }
  void come_to_rest() {
    a.is_quiet = b.is_quiet = true;
    a.settle_requests();
    b.settle_requests();
    run();
    if (!fault.empty()) return;
    if (!is_dead()) {
      check_discovery(a, b);
      check_discovery(b, a);
      check_accounts(a);
      check_accounts(b);
    }
    if (pick.chance(50)) finish_tracks();
    wait(seconds(3));
    if (!is_dead()) {
      check_accounts(a);
      check_accounts(b);
    }
    a.leave_everything();
    b.leave_everything();
    wait(seconds(40));  // past every timer
    if (!is_dead() && !may_run_out) check_nothing_left();
    if (!was_cut && !has_closed && !a.s.is_closed() && !b.s.is_closed()) close(pick.below(2) == 0 ? a : b);
    wait(seconds(1));
  }
  void finish_tracks() {
    for (app* x : {&a, &b})
      for (auto& t : x->tracks) {
        if (t->cache == nullptr) continue;
        for (auto& [sequence, g] : t->groups) {
          if (g.state != group_state::open) continue;
          g.state = g.part_missing == 0 ? group_state::complete : group_state::aborted;
        }
        t->cache->finish();
        t->is_finished = true;
      }
  }
  void check_accounts(app& x) {
    bool may_starve = false;
    for (auto& t : x.other().tracks)
      for (auto& [sequence, g] : t->groups)
        if (g.state == group_state::open) may_starve = faults.net.streams_uni != UINT32_MAX;
    for (auto& [id, w] : x.watches)
      if (const std::string why = check_account(ver, w, may_starve); !why.empty() && is_faultless() && !goaway_sent)
        fail((&x == &a ? "client, " : "server, ") + w.broadcast + "/" + w.name + ", subscription " +
             std::to_string(static_cast<std::uint64_t>(id) >> 32) + ":" +
             std::to_string(static_cast<std::uint32_t>(id)) + ", " + why);
  }
  /// What one side sees is what the other has announced.
  void check_discovery(app& x, app& y) {
    if (!is_faultless() || goaway_sent) return;
    for (auto& [id, i] : x.interests) {
      if (i.is_left || i.is_closed || (faults.net.streams_bidi != UINT32_MAX && i.seen.empty())) continue;
      std::map<std::string, int> expected;
      for (auto& [pid, p] : y.published) {
        bool is_looped = false;
        for (const std::uint64_t h : p.second)
          is_looped = is_looped || (h == x.hop && h != 0 && since(lite04).has(ver));
        if (is_looped) continue;
        if (covers(i.prefix, p.first))
          expected[p.first] = 1;
        else if (has_announce_ids(ver) && covers(p.first, i.prefix))
          expected[i.prefix] = 1;
      }
      if (expected == i.seen) continue;
      std::string why = "discovered under '" + i.prefix + "':";
      for (auto& [path, n] : i.seen) why += " " + path;
      why += "; announced:";
      for (auto& [path, n] : expected) why += " " + path;
      fail(why);
    }
  }
  void check_nothing_left() {
    const std::size_t expected = negotiates_in_band(ver) ? 1 : 0;
    for (app* x : {&a, &b}) {
      const std::string who = x == &a ? "client" : "server";
      if (x->s.streams_held() != expected) fail(who + " holds " + std::to_string(x->s.streams_held()) + " streams");
      if (x->s.bytes_buffered() != 0) fail(who + " holds " + std::to_string(x->s.bytes_buffered()) + " bytes");
      if (!x->requests.empty()) fail(who + " has requests that never ended");
    }
    if (net.open_streams() != expected) fail("the network has " + std::to_string(net.open_streams()) + " open streams");
  }
  void check_end() {
    if (net.violations() != 0) fail("the transport's contract: " + std::string(net.last_violation()));
    for (app* x : {&a, &b}) {
      if (x->closed_heard != 1) fail("session_closed was heard " + std::to_string(x->closed_heard) + " times");
      if (may_run_out) continue;
      const errc why = x->last_close.why;
      if (is_faultless() && why != errc::ok && !(goaway_sent && why == errc::goaway_timeout))
        fail("closed because " + std::string(text_of(why)));
      for (auto& [id, w] : x->watches)
        if (!w.is_left && !w.is_closed) fail("a subscription that never ended");
      for (auto& [id, f] : x->fetches)
        if (!f.is_left && !f.is_closed) fail("a fetch that never ended");
      if (!x->queries.empty()) fail("a question that was never answered");
      for (auto& [id, i] : x->interests)
        if (!i.is_left && !i.is_closed) fail("an interest that never ended");
      if (!x->requests.empty()) fail("a request that never ended");
    }
  }
  std::uint64_t turns_ = 0;
};

inline void app::fail(const std::string& why) {
  world_.fail((s.side() == endpoint::client ? "client: " : "server: ") + why);
}
inline app& app::other() { return &world_.a == this ? world_.b : world_.a; }
inline choices& app::pick() { return world_.pick; }
inline errc app::check(errc e) {
  if (e == errc::out_of_memory) must(world_.may_run_out, "out of memory");
  return e;
}

}  // namespace testing::sim

#include "sim_act.hpp"
#include "sim_hear.hpp"
