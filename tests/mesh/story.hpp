#pragma once
/// One seed: who is there, what goes wrong, and what must hold then, after the healing and at the end.
///
/// Relays are joined by 04 to 06: before 04 nothing says by way of whom a path leads, so nothing would stop a loop.
/// Publishers and subscribers speak any version.

#include "faults.hpp"

namespace mesh {

struct totals {
  std::uint64_t seeds = 0, alive_faulty = 0, alive = 0, frames = 0, groups = 0, steps = 0, events = 0, hash = 0;
  std::uint64_t whole = 0, resets = 0, moves = 0, failovers = 0, orphans = 0, repeated = 0, conflicting = 0,
                evictions = 0, fetches_whole = 0, answers = 0, retries = 0;
  std::int64_t worst_healing = 0;
  std::uint64_t fired[fault_kinds] = {};
};

class story {
 public:
  story(std::uint64_t seed, bool verbose) : w(seed, verbose), m(w) {}
  bool only_faultless = false;

  /// Empty when nothing was broken.
  std::string play(totals& sum) {
    const instant begin = w.now + w.chance.ms(500, 1200);
    const instant healing = begin + w.chance.ms(2000, 5000);
    if (!only_faultless) draw_faults(begin, healing);
    settle_scene();
    run(healing);
    sum.alive_faulty += is_alive() ? 1 : 0;
    heal();
    const std::int64_t took = wait_for_news();
    if (took > sum.worst_healing) sum.worst_healing = took;
    run(w.now + w.chance.ms(200, 500));
    check_loops(w.now - loop_since_ > seconds(4));
    const bool is_still_alive = is_alive();
    sum.alive += is_still_alive ? 1 : 0;
    leave();
    add(sum);
    if (w.is_verbose) tell_all();
    return w.fault;
  }

  world w;
  faults m;

 private:
  static constexpr duration news_within = seconds(10);

  // ---- who is there

  void settle_scene() {
    dice& d = w.chance;
    w.is_batched = d.chance(60);
    static constexpr unsigned sizes[] = {28, 24, 16, 10, 6, 4, 3, 2, 1, 1, 1, 1, 1, 1, 1};
    const auto relays = static_cast<unsigned>(2 + d.weighted(sizes));
    for (unsigned i = 0; i < relays; ++i) {
      auto& r = m.add_relay(1000 + i);
      if (d.chance(30)) r.options.priority = upstream_priority::highest;
      r.options.linger = d.ms(500, 3000);
      r.options.move_timeout = d.ms(500, 5000);
      r.leaves_at_once = d.chance(50);
      if (d.chance(20)) r.caps.behind_bytes_max = 2000;
      r.start();
    }
    const auto join = [&](unsigned a, unsigned b) {
      loopback_options o = some_habits();
      if (o.delay_min.us < 500) o.delay_min.us = 500;  // where routes swing between relays, time has to pass
      if (o.delay_max < o.delay_min) o.delay_max = o.delay_min;
      w.connect(*m.relays[a], *m.relays[b], old_relay(), o);
    };
    switch (d.below(4)) {
      case 0:  // a chain
        for (unsigned i = 1; i < relays; ++i) join(i - 1, i);
        break;
      case 1:  // a star
        for (unsigned i = 1; i < relays; ++i) join(i, 0);
        break;
      case 2:  // a ring
        for (unsigned i = 1; i < relays; ++i) join(i - 1, i);
        if (relays > 2) join(relays - 1, 0);
        break;
      default:  // a mesh
        for (unsigned i = 1; i < relays; ++i) join(i, static_cast<unsigned>(d.below(i)));
        for (unsigned n = 0; n < relays; ++n) {
          const auto a = static_cast<unsigned>(d.below(relays));
          const auto b = static_cast<unsigned>(d.below(relays));
          if (a != b) join(a, b);
        }
    }
    static constexpr unsigned few[] = {55, 30, 15};
    const std::size_t publishers = 1 + d.weighted(few);
    for (unsigned i = 0; i < publishers; ++i) {
      const unsigned path = static_cast<unsigned>(d.below(paths_max));
      m.add_publisher(role::publisher, path, d.chance(88) ? 100 + i : 0, any_version(), some_habits());
    }
    const std::size_t subscribers = 1 + d.below(relays < 4 ? 3 : 4);
    for (unsigned i = 0; i < subscribers; ++i) {
      auto& s = m.add_subscriber(any_version(), some_habits());
      const std::size_t wanted = 1 + d.below(3);
      for (std::size_t k = 0; k < wanted; ++k) s.wishes.push_back(some_wish());
    }
    for (unsigned i = 0; i < w.edges.size(); ++i) w.dial(i);
  }
  [[nodiscard]] subscriber_node::wish some_wish() {
    dice& d = w.chance;
    const publisher_node& p = *m.publishers[d.below(m.publishers.size())];
    subscriber_node::wish x;
    x.path = p.path;
    x.track = static_cast<unsigned>(d.below(p.tracks));
    x.want.priority = static_cast<std::uint8_t>(d.below(4));
    x.want.max_age_ms = d.chance(75) ? 60'000 : d.below(600);
    x.want.ordered = d.chance(30);
    return x;
  }
  [[nodiscard]] version old_relay() {
    static constexpr unsigned weights[] = {15, 25, 60};
    return static_cast<version>(4 + w.chance.weighted(weights));
  }
  [[nodiscard]] version any_version() {
    static constexpr unsigned weights[] = {6, 6, 10, 16, 24, 38};
    return static_cast<version>(1 + w.chance.weighted(weights));
  }
  [[nodiscard]] loopback_options some_habits() {
    dice& d = w.chance;
    loopback_options o;
    if (d.chance(60)) {
      o.delay_min = d.ms(0, 15);
      o.delay_max = o.delay_min + (d.chance(50) ? duration{} : d.ms(0, 15));
    }
    o.reorder_streams = d.chance(20);
    o.hold_payload = d.chance(50);
    o.auto_reset_on_stop = d.chance(20);
    if (m.needs_windows) o.stream_window = o.connection_window = plenty;
    o.stats = {20'000, 10'000, 5'000'000, 0, 0};
    return o;
  }

  // ---- time

  void run(instant until) {
    while (w.fault.empty() && w.now < until) {
      const instant next = w.now + milliseconds(50);
      w.run_until(next < until ? next : until);
      if (w.fault.empty()) look_after();
    }
  }
  void look_after() {
    for (std::size_t i = w.links.size(); i-- > 0;)
      if (w.links[i]->is_over()) w.remove(*w.links[i]);
    for (const auto& n : w.nodes) n->tend();
    m.redial();
    if (!only_faultless) m.run_faults();
    if (++looks_ % 4 == 0) check_now();
    w.settle();
  }
  void check_now() {
    for (relay_node* r : m.relays) r->check_counters();
    check_forgotten();
    check_loops(false);
  }
  /// A relay names everybody who has something to send: whoever it did not name has nothing.
  void check_forgotten() {
    w.settle();
    for (const auto& l : w.links)
      for (unsigned side = 0; side < 2; ++side) {
        end& e = l->at(side);
        if (e.is_dead || e.owner->kind != role::relay || !e.session_.has_output() || !w.fault.empty()) continue;
        tap t(side == 0 ? l->net.a() : l->net.b());
        l->net.advance_to(w.now);
        pump(e.session_, t, e.owner->now());
        w.refresh(*l);
        if (t.sent != 0)
          w.fail("relay %u has forgotten link %u: %u operations on stream %llu (%s, %s)", e.owner->number, l->number,
                 t.sent, static_cast<unsigned long long>(t.last), e.is_reading ? "reading" : "not reading",
                 e.was_left ? "left" : "joined");
      }
  }
  /// Where a track comes from never leads back to where it began. While routes change it may, for as long as news of
  /// the change travels.
  void check_loops(bool is_final) {
    bool has_loop = false;
    for (relay_node* r : m.relays) {
      if (!r->is_up) continue;
      r->core->for_each_track([&](const detail::relayed_track& t) {
        relay_node* at = r;
        for (unsigned hops = 0; at != nullptr; ++hops) {
          if (hops > m.relays.size()) {
            has_loop = true;
            return;
          }
          at = m.source_of(*at, t.broadcast_view(), t.name_view(), t.origin);
        }
      });
    }
    if (!has_loop) {
      loop_since_ = never_due;
      return;
    }
    if (loop_since_ == never_due) loop_since_ = w.now;
    // News may be under way for long where links are slow or stalled, and who was refused by the best way has a while
    // to hear from another one.
    if (is_final || w.now - loop_since_ > seconds(8)) w.fail("a track comes from itself");
  }

  // ---- trouble

  void draw_faults(instant from, instant until) {
    dice& d = w.chance;
    const std::size_t n = d.between(2, 6);
    for (std::size_t i = 0; i < n; ++i) {
      const auto span = static_cast<std::uint64_t>((until - from).us / 1000);
      m.plan(from + d.ms(0, span * 3 / 4), until);
    }
  }
  /// What every relay passes on.
  void tell_all() {
    for (const auto& l : w.links)
      for (unsigned side = 0; side < 2; ++side) {
        const end& e = l->at(side);
        if (l->money[side]->refusals == 0 && e.is_connected && !e.is_leaving && e.is_reading &&
            !e.session_.is_closed() && !e.is_dead)
          continue;
        w.say("link %u at %s %u:%s%s%s%s%s%s, next deadline %lld, %llu streams, money for %llu, refused %llu",
              l->number, role_names[static_cast<unsigned>(e.owner->kind)], e.owner->number,
              e.is_connected ? "" : " not connected", e.session_.is_established() ? "" : " not established",
              e.session_.is_closed() ? " closed" : "", e.is_told ? " told" : "", e.is_dead ? " dead" : "",
              e.is_reading ? "" : " not reading", static_cast<long long>(e.session_.next_deadline().us),
              static_cast<unsigned long long>(e.session_.streams_held()),
              static_cast<unsigned long long>(l->money[side]->allowed),
              static_cast<unsigned long long>(l->money[side]->refusals));
      }
    for (relay_node* r : m.relays) {
      if (!r->is_up || !r->core) continue;
      r->core->table().for_each_place(0, [&](place_id place) {
        r->core->table().for_each_route(place, [&](const route_view& v) {
          const auto* e = static_cast<const end*>(r->core->user_of(v.from));
          std::string hops;
          for (const std::uint64_t h : v.hops) hops += " " + std::to_string(h);
          w.say("relay %u: route %.*s from link %u, hops%s, costs %llu %llu", r->number,
                static_cast<int>(r->core->table().path(place).size()), r->core->table().path(place).data(),
                e == nullptr ? 0 : e->home->number, hops.c_str(), static_cast<unsigned long long>(v.warm),
                static_cast<unsigned long long>(v.cold));
        });
      });
      r->core->for_each_track([&](const detail::relayed_track& t) {
        w.say("relay %u: %s/%s of %llu, %zu readers, next group %llu%s%s", r->number,
              std::string(t.broadcast_view()).c_str(), std::string(t.name_view()).c_str(),
              static_cast<unsigned long long>(t.origin), t.readers,
              static_cast<unsigned long long>(t.cache ? t.cache->next_sequence() : 0),
              t.is_finished ? ", finished" : "", t.is_retired ? ", retired" : "");
        for (const detail::track_source& s : t.sources) {
          const auto* e = static_cast<const end*>(r->core->user_of(detail::id_of<peer_id>(s.peer)));
          std::string hops;
          for (const std::uint64_t h : s.hops) hops += " " + std::to_string(h);
          w.say("    from link %u, hops%s%s%s", e == nullptr ? 0 : e->home->number, hops.c_str(),
                s.is_accepted ? ", accepted" : "", s.is_leaving ? ", leaving" : "");
        }
      });
    }
  }
  void heal() {
    w.say("---- healing");
    m.heal_all();
    for (producer& p : m.book.all)
      for (unsigned i = 0; i < tracks_max; ++i) p.at_healing[i] = p.next[i];
    for (subscriber_node* s : m.subscribers) {
      s->is_healed = true;
      for (auto& x : s->wishes) x.is_fresh = false;
    }
  }
  /// Everything that is wanted brings something new again, within a bounded time.
  [[nodiscard]] std::int64_t wait_for_news() {
    const instant from = w.now;
    const instant until = w.now + news_within;
    while (w.fault.empty()) {
      bool all = true;
      for (subscriber_node* s : m.subscribers)
        for (const auto& x : s->wishes) all = all && x.is_fresh;
      if (all) return (w.now - from).us;
      if (w.now >= until) break;
      run(w.now + milliseconds(100));
    }
    for (subscriber_node* s : m.subscribers)
      for (const auto& x : s->wishes)
        if (!x.is_fresh)
          w.fail("subscriber %u gets nothing new of %s/%s within %lld s of the healing (%s)", s->number,
                 path_name(x.path).data(), track_name(x.track).data(),
                 static_cast<long long>(news_within.us / 1'000'000), x.is_live() ? "subscribed" : "not subscribed");
    return 0;
  }
  [[nodiscard]] bool is_alive() const {
    if (!w.fault.empty()) return false;
    for (const subscriber_node* s : m.subscribers)
      if (s->is_receiving()) return true;
    return false;
  }

  // ---- the end

  void leave() {
    if (!w.fault.empty()) return;
    w.say("---- leaving");
    for (subscriber_node* s : m.subscribers) s->finish();
    run(w.now + seconds(1));
    const auto has_tracks = [&] {
      for (const relay_node* r : m.relays)
        if (r->core->tracks() != 0) return true;
      for (const auto& l : w.links)
        for (unsigned side = 0; side < 2; ++side)
          if (const end& e = l->at(side); e.owner->kind == role::relay && !e.is_dead && !e.was_left &&
                                          !static_cast<relay_node&>(*e.owner).core->is_idle(e.peer))
            return true;
      return false;
    };
    // A TRACK that was asked beside a SUBSCRIBE is not taken back with it, and may wait for another source as that did,
    // or in a ring in which everyone waits for the next one, until time is up for it.
    for (int n = 0; n < 320 && has_tracks(); ++n) run(w.now + milliseconds(100));
    for (relay_node* r : m.relays) {
      if (r->core->tracks() != 0 || r->core->readers() != 0 || r->core->sources() != 0)
        w.fail("relay %u still has %zu tracks, %zu readers, %zu sources", r->number, r->core->tracks(),
               r->core->readers(), r->core->sources());
      if (r->core->bytes_cached() != 0) w.fail("relay %u still has payload", r->number);
      if (r->core->next_deadline() != never_due) w.fail("relay %u still has a timer", r->number);
    }
    for (const auto& l : w.links)
      for (unsigned side = 0; side < 2; ++side) {
        end& e = l->at(side);
        if (e.owner->kind != role::relay || e.session_.is_closed()) continue;
        auto& r = static_cast<relay_node&>(*e.owner);
        if (!e.was_left && !r.core->is_idle(e.peer)) w.fail("relay %u: link %u is not idle", r.number, l->number);
      }
    if (!w.fault.empty()) return;
    for (auto& e : w.edges) e.is_on = false;
    for (const auto& l : w.links) {
      if (l->a.session_.is_closed() || l->b.session_.is_closed()) continue;
      if (w.chance.chance(30)) {
        w.cut(*l);
      } else {
        end& e = l->at(static_cast<unsigned>(w.chance.below(2)));
        e.session_.close();
        w.touch(e);
      }
    }
    run(w.now + seconds(1));
    if (w.fault.empty() && !w.links.empty()) w.fail("link %u does not end", w.links[0]->number);
    for (relay_node* r : m.relays) {
      r->check_counters();
      if (r->core->peers() != 0) w.fail("relay %u still has peers", r->number);
      if (r->core->table().route_count() != 0) w.fail("relay %u still has routes", r->number);
      r->die();
    }
  }
  void add(totals& sum) {
    ++sum.seeds;
    sum.frames += w.frames;
    sum.groups += w.groups;
    sum.steps += w.steps;
    sum.events += w.events;
    w.note(w.frames);
    sum.hash = mixed(sum.hash ^ w.hash);
    for (const relay_node* r : m.relays) {
      sum.moves += r->past.moves;
      sum.failovers += r->past.failovers;
      sum.orphans += r->past.orphans;
      sum.repeated += r->past.copies_repeated;
      sum.conflicting += r->past.copies_conflicting;
      sum.retries += r->past.retries;
      sum.evictions += r->past_evictions;
    }
    for (const subscriber_node* s : m.subscribers) {
      sum.whole += s->whole;
      sum.resets += s->resets;
      sum.fetches_whole += s->fetches_whole;
      sum.answers += s->answers;
    }
    for (unsigned i = 0; i < fault_kinds; ++i) sum.fired[i] += m.fired[i];
  }

  std::uint64_t looks_ = 0;
  instant loop_since_ = never_due;
};

/// The table at the end. False when the run proved too little.
inline bool report(const totals& t, bool is_ci) {
  const auto row = [](const char* what, std::uint64_t n) {
    std::printf("  %-40s %12llu\n", what, static_cast<unsigned long long>(n));
  };
  row("seeds", t.seeds);
  row("alive when the faults end", t.alive_faulty);
  row("alive at the last step", t.alive);
  row("steps of the networks", t.steps);
  row("events heard", t.events);
  row("groups begun at subscribers", t.groups);
  row("frame parts delivered", t.frames);
  row("groups delivered whole", t.whole);
  row("groups cut", t.resets);
  row("fetches answered whole", t.fetches_whole);
  row("questions answered", t.answers);
  row("moves between sources", t.moves);
  row("failovers", t.failovers);
  row("tracks given up", t.orphans);
  row("second tries after NO_CAPACITY", t.retries);
  row("copies repeated", t.repeated);
  row("copies in conflict", t.conflicting);
  row("groups evicted", t.evictions);
  for (unsigned i = 0; i < fault_kinds; ++i) row(fault_table[i].name, t.fired[i]);
  row("longest healing, ms", static_cast<std::uint64_t>(t.worst_healing / 1000));
  std::printf("  hash over all traces: %016llx\n", static_cast<unsigned long long>(t.hash));
  if (!is_ci) return true;
  bool is_enough = t.alive_faulty * 2 >= t.seeds && t.alive * 2 >= t.seeds;
  for (unsigned i = 0; i < fault_kinds; ++i) is_enough = is_enough && t.fired[i] * 20 >= t.seeds;
  if (!is_enough) std::printf("too few seeds were alive, or a fault fired in less than one seed of 20\n");
  return is_enough;
}

}  // namespace mesh
