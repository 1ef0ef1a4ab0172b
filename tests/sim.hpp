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

inline watch* app::heard(subscription_id id) {
  const auto i = watches.find(id);
  if (i == watches.end()) {
    fail("an event of a subscription that never was");
    return nullptr;
  }
  must(!i->second.is_left, "an event of a subscription that was left");
  must(!i->second.is_closed, "an event of a subscription that is closed");
  watch& w = i->second;
  if (w.track == nullptr) w.track = find(other().tracks, w.broadcast, w.name);
  return &w;
}

inline void app::hear_announced(const announced& a, int by) {
  const auto i = interests.find(a.interest);
  if (i == interests.end() || i->second.is_left || i->second.is_closed) return fail("an announcement nobody asked for");
  int& count = i->second.seen[std::string(a.path)];
  must(by == 1 ? count == 0 : count == 1, "an announcement out of turn");
  must(covers(i->second.prefix, a.path) && a.prefix == i->second.prefix, "an announcement outside of its prefix");
  count = 1;
  ++seen.announcements;
}

inline void app::hear(const event& e) {
  must(closed_heard == 0, "an event after session_closed");
  const version v = world_.ver;
  std::visit(
      overload{
          [&](const connected& c) {
            must(c.ver == v, "another version");
            ++connected_heard;
          },
          [&](const session_closed& c) {
            ++closed_heard;
            last_close = c;
            last_close.reason = {};
          },
          [&](const announced& a) { hear_announced(a, 1); },
          [&](const announce_updated& a) { hear_announced(a, 0); },
          [&](const announce_ended& a) {
            const auto i = interests.find(a.interest);
            if (i == interests.end() || i->second.is_left) return fail("an end nobody asked for");
            must(i->second.seen.erase(std::string(a.path)) == 1, "an end of what never began");
          },
          [&](const interest_closed& c) {
            const auto i = interests.find(c.interest);
            if (i == interests.end() || i->second.is_left || i->second.is_closed)
              return fail("interest_closed out of turn");
            must(i->second.seen.empty(), "interest_closed before its announcements ended");
            i->second.is_closed = true;
          },
          [&](const subscription_started& m) {
            if (watch* w = heard(m.subscription)) {
              w->is_started = true;
              ++seen.subscriptions;
              if (m.group) w->start = m.group;
            }
          },
          [&](const track_known& m) {
            watch* w = heard(m.subscription);
            if (w == nullptr || w->track == nullptr) return fail("track_known of no track");
            const track_options& o = w->track->options;
            w->is_known = true;
            must(m.info.timescale == o.timescale && m.info.priority == o.priority && m.info.max_age_ms == o.max_age_ms,
                 "other track properties");
          },
          [&](const group_started& m) {
            if (watch* w = heard(m.subscription)) {
              const bool is_new = w->groups.try_emplace(m.group, got_group{.next_frame = m.first_frame}).second;
              must(is_new, "a group twice");
            }
          },
          [&](const frame_part& p) {
            watch* w = heard(p.subscription);
            if (w == nullptr) return;
            const auto g = w->groups.find(p.group);
            if (g == w->groups.end() || g->second.is_finished) return fail("a frame outside of its group");
            seen.frames += p.is_last() ? 1 : 0;
            must(!has_track_stream(v) || w->is_known, "a frame before the track's properties");
            must(check_part(v, w->track, p.group, g->second.next_frame, g->second.offset, p.frame, p.timestamp, p.size,
                            p.offset, p.payload));
          },
          [&](const group_finished& m) {
            watch* w = heard(m.subscription);
            if (w == nullptr) return;
            const auto g = w->groups.find(m.group);
            if (g == w->groups.end() || g->second.is_finished) return fail("the end of no group");
            g->second.is_finished = true;
            g->second.why = m.why;
            ++(m.why == errc::ok ? seen.whole_groups : seen.cut_groups);
            must(m.why != errc::ok || g->second.offset == 0, "a whole group that ends inside a frame");
          },
          [&](const datagram_received& d) {
            watch* w = heard(d.subscription);
            if (w == nullptr) return;
            const auto [g, is_new] = w->groups.try_emplace(d.group, got_group{.by_datagram = true});
            if (!is_new) return fail("a group twice");
            ++seen.datagrams;
            must(check_part(v, w->track, d.group, g->second.next_frame, g->second.offset, 0, d.timestamp,
                            d.payload.size(), 0, d.payload));
            g->second.is_finished = true;
          },
          [&](const groups_lost& l) {
            if (watch* w = heard(l.subscription)) {
              must(l.first <= l.last, "an empty range of losses");
              ++seen.losses;
              for (const groups_lost& before : w->lost)
                must(l.last < before.first || before.last < l.first, "a loss reported twice");
              w->lost.push_back(l);
            }
          },
          [&](const subscription_end_known& m) {
            if (watch* w = heard(m.subscription)) w->end = m.end;
          },
          [&](const subscription_closed& c) {
            if (watch* w = heard(c.subscription)) {
              w->is_closed = true;
              w->why = c.why;
              seen.refusals += c.why == errc::refused_by_peer ? 1 : 0;
            }
          },
          [&](const fetch_part& p) {
            const auto f = fetches.find(p.fetch);
            if (f == fetches.end() || f->second.is_left || f->second.is_closed) return fail("a part of no fetch");
            must(check_part(v, f->second.track, f->second.group, f->second.next_frame, f->second.offset, p.frame,
                            p.timestamp, p.size, p.offset, p.payload));
          },
          [&](const fetch_closed& c) {
            const auto f = fetches.find(c.fetch);
            if (f == fetches.end() || f->second.is_left || f->second.is_closed) return fail("the end of no fetch");
            fetching& x = f->second;
            x.is_closed = true;
            ++(c.why == errc::ok ? seen.whole_fetches : seen.refused_fetches);
            if (c.why != errc::ok) return;
            if (x.track == nullptr) return fail("a fetch of nothing succeeded");
            const sent_group& g = x.track->groups[x.group];
            const bool is_bounded = x.options.frame_end && *x.options.frame_end < g.frames.size();
            must(x.offset == 0 && x.next_frame == (is_bounded ? *x.options.frame_end + 1 : g.frames.size()),
                 "a fetch that ends too early");
          },
          [&](const track_answered& a) {
            const auto q = queries.find(a.query);
            if (q == queries.end()) return fail("an answer to no question");
            if (a.why == errc::ok)
              must(q->second != nullptr && a.info.timescale == q->second->options.timescale, "a wrong answer");
            seen.answers += a.why == errc::ok ? 1 : 0;
            queries.erase(q);
          },
          [&](const subscribe_requested& r) {
            must(requests.insert(r.request).second, "a request twice");
            answer(r.request, find(tracks, r.broadcast, r.track));
          },
          [&](const track_requested& r) {
            must(requests.insert(r.request).second, "a request twice");
            answer(r.request, find(tracks, r.broadcast, r.track));
          },
          [&](const fetch_requested& r) {
            must(requests.insert(r.request).second, "a request twice");
            answer(r.request, find(tracks, r.broadcast, r.track));
          },
          [&](const subscribe_updated& u) { must(requests.count(u.request) == 1, "an update of no request"); },
          [&](const request_closed& c) { must(requests.erase(c.request) == 1, "the end of no request"); },
          [&](const bandwidth&) { ++seen.reports; },
          [&](const goaway_received&) { ++seen.goaways; },
          [](const auto&) {},
      },
      e);
}

inline void app::answer(request_id r, sent_track* t) {
  if (t == nullptr || t->cache == nullptr || (!is_quiet && pick().chance(5))) {
    if (check(s.reject(r, stream_code::not_found)) == errc::ok) requests.erase(r);
  } else if (!is_quiet && pick().chance(15)) {
    pending.emplace_back(r, t);
  } else {
    (void)check(s.serve(r, *t->cache));
  }
}
inline void app::settle_requests() {
  for (auto& [r, t] : std::exchange(pending, {}))
    if (requests.count(r) != 0) answer(r, t);
}

inline void app::leave_everything() {
  for (auto& [id, w] : watches)
    if (s.unsubscribe(id) == errc::ok) w.is_left = true;
  for (auto& [id, f] : fetches)
    if (s.cancel(id) == errc::ok) f.is_left = true;
  for (auto& [id, i] : interests)
    if (s.forget(id) == errc::ok) i.is_left = true;
  for (auto& [id, p] : published) (void)s.withdraw(id);
  published.clear();
  (void)s.stop_probe();
  (void)s.finish_goaway();
}

inline std::size_t app::frame_size() {
  const std::uint64_t kind = pick().below(100);
  std::size_t n = kind < 10 ? 0 : kind < 75 ? pick().below(300) : kind < 98 ? pick().below(5000) : pick().below(65536);
  if (world_.faults.bytes >= 1'000'000 && kind == 99 && pick().chance(10)) n = 1 << 20;
  n = n < world_.bytes_left ? n : world_.bytes_left;
  world_.bytes_left -= n;
  return n;
}
inline void app::append(sent_track& t, std::uint64_t sequence, sent_group& g) {
  if (g.part_missing != 0) {
    const std::size_t n = pick().between(1, g.part_missing);
    const sent_frame& f = g.frames.back();
    if (check(t.cache->append_part(sequence, world_.payload.at(f.from + g.part_at, n))) != errc::ok) return;
    g.part_at += n;
    g.part_missing -= n;
    return;
  }
  sent_frame f;
  f.size = frame_size();
  f.from = pick().below(noise::size - f.size);
  t.timestamp += pick().below(100);
  f.timestamp = t.timestamp - (t.timestamp > 50 ? pick().below(50) : 0);
  if (f.size > 1 && pick().chance(20)) {
    if (check(t.cache->begin_frame(sequence, f.timestamp, f.size)) != errc::ok) return;
    g.part_missing = f.size;
    g.part_at = 0;
  } else if (check(t.cache->append(sequence, f.timestamp, world_.payload.at(f.from, f.size))) != errc::ok) {
    return;
  }
  g.frames.push_back(f);
}
/// Something happens to a track.
inline void app::write(sent_track& t) {
  if (t.cache == nullptr || t.is_finished) return;
  const auto close_latest = [&](std::uint64_t by) {
    if (t.groups.empty()) return;
    auto& [sequence, g] = *t.groups.rbegin();
    if (sequence < by && g.state == group_state::open)
      g.state = g.part_missing == 0 ? group_state::complete : group_state::aborted;
  };
  const std::uint64_t what = pick().below(100);
  if (what < 45 || t.groups.empty()) {  // a group, as a whole or its beginning
    std::uint64_t sequence = t.cache->next_sequence() + (pick().chance(10) ? pick().below(4) : 0);
    if (pick().chance(8) && sequence > 3) sequence -= 1 + pick().below(3);
    if (pick().chance(15)) {
      const std::size_t n = pick().below(900);
      const std::size_t from = pick().below(noise::size - n);
      const sent_by how = pick().chance(50) ? sent_by::datagram : sent_by::both;
      sequence = t.cache->next_sequence();
      const auto closing = t.groups.empty() ? std::optional<std::uint64_t>{} : t.groups.rbegin()->first;
      if (check(t.cache->write_datagram(t.timestamp, world_.payload.at(from, n), world_.net.now(), how)) != errc::ok)
        return;
      if (closing) close_latest(sequence);
      t.groups[sequence] = {{{t.timestamp, from, n}}, group_state::complete, how};
      return;
    }
    if (t.groups.count(sequence) != 0) return;  // perhaps evicted
    if (check(t.cache->begin_group(sequence, world_.net.now())) != errc::ok) return;
    close_latest(sequence);
    sent_group& g = t.groups[sequence];
    for (std::uint64_t n = pick().chance(10) ? pick().below(50) : pick().below(8); n > 0; --n) append(t, sequence, g);
    if (g.part_missing == 0 && pick().chance(60) && check(t.cache->end_group(sequence)) == errc::ok)
      g.state = group_state::complete;
    return;
  }
  auto& [sequence, g] = *std::next(
      t.groups.rbegin(), static_cast<std::ptrdiff_t>(pick().below(t.groups.size() < 3 ? t.groups.size() : 3)));
  if (what < 80) {
    if (g.state != group_state::open) return;
    for (std::uint64_t n = pick().below(6); n > 0; --n) append(t, sequence, g);
  } else if (what < 92) {
    if (g.state == group_state::open && check(t.cache->end_group(sequence)) == errc::ok)
      g.state = g.part_missing == 0 ? group_state::complete : group_state::aborted;
  } else if (what < 95) {
    if (check(t.cache->abort_group(sequence, application_code(1))) == errc::ok) g.state = group_state::aborted;
  } else if (what < 98) {
    const std::uint64_t first = t.cache->next_sequence();
    if (check(t.cache->drop_groups(first, first + pick().below(3))) == errc::ok) t.has_drops = true;
  } else if (what == 98) {
    close_latest(UINT64_MAX);
    for (auto& [n, each] : t.groups)
      if (each.state == group_state::open)
        each.state = each.part_missing == 0 ? group_state::complete : group_state::aborted;
    t.cache->finish();
    t.is_finished = true;
  } else {
    t.cache.reset();
  }
}

inline msg::delivery app::some_delivery() {
  msg::delivery d;
  d.priority = static_cast<std::uint8_t>(pick().below(60));
  d.max_age_ms = pick().chance(25) ? pick().below(500) : 100'000'000;
  if (!has_ranges(world_.ver)) return d;
  d.ordered = has_ordered(world_.ver) && pick().chance(50);
  if (pick().chance(35)) d.group_start = pick().below(12);
  if (pick().chance(20)) d.group_end = d.group_start.value_or(0) + pick().below(8);
  if (!has_frame_bounds(world_.ver)) return d;
  if (pick().chance(10)) d.frame_start = pick().below(4);
  if (d.group_end && pick().chance(30)) d.frame_end = pick().below(5);
  return d;
}
inline std::vector<std::uint64_t> app::some_hops() {
  std::vector<std::uint64_t> hops;
  if (!since(lite03).has(world_.ver)) return hops;
  for (std::uint64_t n = pick().below(4); n > 0; --n) hops.push_back(pick().chance(15) ? 0 : 50 + n);
  if (pick().chance(10) && other().hop != 0) hops.push_back(other().hop);
  return hops;
}

inline void app::act() {
  static constexpr const char* paths[] = {"room/a", "room/b", "room/a/deep", "hall", "hall/x", "roomy"};
  static constexpr const char* prefixes[] = {"", "room", "room/a", "hall", "none"};
  static constexpr const char* names[] = {"video", "audio", "data"};
  const instant now = world_.net.now();
  const bool may_publish = world_.publishes(*this);
  const bool may_subscribe = world_.publishes(other());
  const std::uint64_t what = pick().below(100);
  if (what < 2) return;
  if (what < 50 && may_publish) {
    if (what < 8) {
      const std::string path = pick().one_of(paths);
      const auto hops = some_hops();
      const route r{hops, pick().below(5), pick().below(5)};
      if (const announcement_id id = check(s.announce(path, r)); id != announcement_id{}) published[id] = {path, hops};
    } else if (what < 11) {
      if (const auto i = some_of(published); i != published.end() && check(s.withdraw(i->first)) == errc::ok)
        published.erase(i);
    } else if (what < 13) {
      const auto hops = some_hops();
      const route r{hops, pick().below(5), pick().below(5)};
      if (const auto i = some_of(published); i != published.end() && check(s.update(i->first, r)) == errc::ok)
        i->second.second = hops;
    } else if (what < 18 && tracks.size() < 8) {
      const std::string broadcast = pick().one_of(paths);
      const std::string name = pick().one_of(names);
      if (find(tracks, broadcast, name) != nullptr) return;
      auto t = std::make_unique<sent_track>();
      t->broadcast = broadcast;
      t->name = name;
      t->options.priority = static_cast<std::uint8_t>(pick().below(256));
      t->options.timescale = 1000;
      t->options.max_age_ms = 100'000'000;
      if (pick().chance(20)) {
        t->is_roomy = false;
        t->options.max_age_ms = pick().below(300);
        t->options.bytes_max = 1000 + pick().below(50'000);
        t->options.groups_max = static_cast<std::uint32_t>(1 + pick().below(6));
      }
      t->cache = std::make_unique<track_cache>(t->options, memory_);
      tracks.push_back(std::move(t));
    } else if (!tracks.empty()) {
      write(*tracks[pick().below(tracks.size())]);
    }
    return;
  }
  if (what < 54) {
    if (pending.empty()) return;
    const std::size_t i = pick().below(pending.size());
    const auto [r, t] = pending[i];
    pending.erase(pending.begin() + static_cast<std::ptrdiff_t>(i));
    if (requests.count(r) != 0) answer(r, t);
  } else if (what < 58) {
    const std::string prefix = pick().one_of(prefixes);
    if (const interest_id id = check(s.discover(prefix, now)); id != interest_id{}) interests[id].prefix = prefix;
  } else if (what < 60) {
    if (const auto i = some_of(interests); i != interests.end() && check(s.forget(i->first)) == errc::ok)
      i->second.is_left = true;
  } else if (what < 75 && may_subscribe) {
    subscribe_options o{some_delivery(), pick().chance(10), false};
    auto& theirs = other().tracks;
    std::string broadcast = pick().one_of(paths);
    std::string name = pick().one_of(names);
    if (!theirs.empty() && !pick().chance(5)) {
      sent_track& t = *theirs[pick().below(theirs.size())];
      broadcast = t.broadcast;
      name = t.name;
    }
    const subscription_id id = check(s.subscribe(broadcast, name, o, now));
    if (id != subscription_id{}) {
      watch& w = watches[id];
      w.broadcast = broadcast;
      w.name = name;
      w.wants.push_back(o.want);
    }
  } else if (what < 80) {
    const msg::delivery d = some_delivery();
    if (const auto i = some_of(watches); i != watches.end() && check(s.update(i->first, d)) == errc::ok)
      i->second.wants.push_back(d);
  } else if (what < 85) {
    if (const auto i = some_of(watches); i != watches.end() && check(s.unsubscribe(i->first)) == errc::ok)
      i->second.is_left = true;
  } else if (what < 91 && may_subscribe) {
    auto& theirs = other().tracks;
    if (theirs.empty()) return;
    sent_track& t = *theirs[pick().below(theirs.size())];
    fetching f;
    f.track = &t;
    f.group = pick().below(t.groups.empty() ? 2 : t.groups.rbegin()->first + 2);
    f.options.priority = static_cast<std::uint8_t>(pick().below(256));
    if (has_frame_bounds(world_.ver) && pick().chance(40)) {
      f.options.frame_start = pick().below(5);
      if (pick().chance(50)) f.options.frame_end = f.options.frame_start + pick().below(4);
    }
    f.next_frame = f.options.frame_start;
    if (const fetch_id id = check(s.fetch(t.broadcast, t.name, f.group, f.options, now)); id != fetch_id{})
      fetches[id] = f;
  } else if (what < 93) {
    if (const auto i = some_of(fetches); i != fetches.end() && check(s.cancel(i->first)) == errc::ok)
      i->second.is_left = true;
  } else if (what < 95 && may_subscribe) {
    auto& theirs = other().tracks;
    if (theirs.empty()) return;
    sent_track& t = *theirs[pick().below(theirs.size())];
    if (const track_query_id id = check(s.query_track(t.broadcast, t.name, now)); id != track_query_id{})
      queries[id] = &t;
  } else if (what < 97) {
    (void)check(pick().chance(30) ? s.stop_probe() : s.probe(pick().chance(30) ? 1'000'000 : 0));
  } else if (what < 99) {
    (void)check(s.report(pick().below(10'000'000), pick().below(100)));
  } else if (pick().chance(15)) {
    if (check(s.goaway(s.side() == endpoint::server ? "https://elsewhere/" : "", {}, now)) == errc::ok)
      world_.goaway_sent = true;
  }
}

}  // namespace testing::sim
