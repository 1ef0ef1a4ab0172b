#pragma once
/// How each kind of fault is lifted, and whether it had an effect.

#include "faults.hpp"

namespace mesh {

inline void faults::finish(fault& f) {
  f.is_over = true;
  dice& d = w.chance;
  mesh::link* l = link_of(f);
  auto* r = f.who != nullptr && f.who->kind == role::relay ? static_cast<relay_node*>(f.who) : nullptr;
  auto* p = f.who != nullptr && (f.who->kind == role::publisher || f.who->kind == role::liar)
                ? static_cast<publisher_node*>(f.who)
                : nullptr;
  w.say("---- over: %s", fault_table[static_cast<unsigned>(f.kind)].name);
  switch (f.kind) {
    case trouble::relay_dies:
    case trouble::relay_returns:
    case trouble::relay_renamed:
      if (!r->is_up) r->start();
      break;
    case trouble::delay:
      if (l != nullptr) l->extra = {}, w.refresh(*l);
      break;
    case trouble::reordering:
    case trouble::short_writes:
      if (l != nullptr) {
        loopback_options& o = l->net.habits();
        o.reorder_streams = w.edges[f.edge].habits.reorder_streams;
        o.delay_max = w.edges[f.edge].habits.delay_max;
        o.write_max = 0;
        o.chunk_max = w.edges[f.edge].habits.chunk_max;
      }
      break;
    case trouble::stall:
    case trouble::half_open:
      if (l == nullptr) break;
      l->is_stalled = false;
      w.refresh(*l);
      if (f.kind == trouble::half_open) w.cut(*l);
      break;
    case trouble::few_streams:
      if (l == nullptr) break;
      if (l->opens_blocked != f.before) count(f);
      l->net.habits().streams_uni = l->net.habits().streams_bidi = UINT32_MAX;
      l->extra = {};
      for (end* e : {&l->a, &l->b}) {
        e->session_.on_credit(direction::uni);
        e->session_.on_credit(direction::bidi);
        w.touch(*e);
      }
      w.refresh(*l);
      break;
    case trouble::small_windows:
    case trouble::priorities:
      if (l == nullptr) break;
      if (l->writes_blocked != f.before) count(f);
      l->net.habits().stream_window = l->net.habits().connection_window = plenty;
      l->extra = {};
      w.refresh(*l);
      break;
    case trouble::stream_resets:
      if (l == nullptr) break;
      if (l->net.counters().resets_injected != 0) count(f);
      l->net.habits().reset_percent = 0;
      w.cut(*l);  // streams that nobody opens twice may be gone
      break;
    case trouble::datagram_loss:
    case trouble::datagram_twice: {
      const bool is_loss = f.kind == trouble::datagram_loss;
      const std::uint64_t now = over_links([&](mesh::link& x) {
        return is_loss ? x.net.counters().datagrams_lost : x.net.counters().datagrams_duplicated;
      });
      if (now > f.before) count(f);
      set_habits([](loopback_options& o) { o.datagram_loss_percent = o.datagram_duplicate_percent = 0; });
      break;
    }
    case trouble::slow_reader:
      if (l == nullptr) break;
      l->at(f.side).is_reading = true;
      w.touch(l->at(f.side));
      break;
    case trouble::absurd_costs: p->set_costs(0, 0); break;
    case trouble::forged_hops:
    case trouble::silent_liar:
      for (auto& e : w.edges)
        if (e.a == p) e.is_on = false;
      vanish(*p);
      break;
    case trouble::second_origin:
      if (d.chance(50) || !p->is_up) break;
      for (auto& e : w.edges)
        if (e.a == p) e.is_on = false;
      vanish(*p);
      p->is_gone = true;
      break;
    case trouble::publisher_flap: p->set_announcing(true); break;
    case trouble::publisher_returns:
      if (p->is_gone) break;
      p->is_up = true;
      if (p->hop != 0 && d.chance(40)) p->hop = next_hop_++, (void)p->become_new();
      p->settle_due();
      break;
    case trouble::churn:
    case trouble::update_storm:
    case trouble::fetch_storm:
    case trouble::query_storm: {
      auto* s = static_cast<subscriber_node*>(f.who);
      if (s->churns + s->updates + s->fetched + s->queries != f.before) count(f);
      s->is_churning = s->is_updating = s->is_fetching = s->is_querying = false;
      break;
    }
    case trouble::no_capacity:
      if (p->refused != f.before) count(f);
      p->has_no_capacity = false;
      break;
    case trouble::unauthorised:
      if (r->refused != f.before) count(f);
      if (r->refuses_announcements && r->is_up) cut_links_of(*r, true);
      r->refuses_requests = r->refuses_announcements = false;
      break;
    case trouble::small_cache:
    case trouble::few_places: {
      r->options.caps = {};
      if (r->is_up) r->die();
      if (r->past_evictions + r->past.requests_refused + r->past.routes_refused + r->past.copies_refused != f.before)
        count(f);
      r->start();
      break;
    }
    case trouble::session_memory:
      if (w.poor_refusals + over_links([](mesh::link& x) { return x.money[0]->refusals + x.money[1]->refusals; }) !=
          f.before)
        count(f);
      w.edges[f.edge].poor_side = 2;
      for (const auto& x : w.links)
        for (purse* money : x->money) money->allowed = ~std::uint64_t{0};
      break;
    case trouble::relay_memory:
      if (r->money.refusals != f.before) count(f);
      restart(*r);
      break;
    default: break;
  }
}

}  // namespace mesh
