#pragma once
/// How each kind of fault begins.

#include "faults.hpp"

namespace mesh {

inline bool faults::begin(fault& f) {
  dice& d = w.chance;
  switch (f.kind) {
    case trouble::session_dies:
      if (!take(f, some_link())) return false;
      w.cut(*link_of(f));
      break;
    case trouble::relay_dies:
    case trouble::relay_returns:
    case trouble::relay_renamed: {
      relay_node* r = some_relay();
      if (r == nullptr) return false;
      f.who = r;
      r->die();
      if (f.kind != trouble::relay_dies) f.until = w.now + (d.chance(50) ? duration{} : d.ms(0, 400));
      if (f.kind == trouble::relay_renamed) r->hop = next_hop_++;
      break;
    }
    case trouble::delay:
      if (!take(f, some_link())) return false;
      link_of(f)->extra = d.ms(30, 500);
      w.refresh(*link_of(f));
      break;
    case trouble::reordering: {
      if (!take(f, some_link())) return false;
      loopback_options& o = link_of(f)->net.habits();
      o.reorder_streams = true;
      o.delay_max = o.delay_min + d.ms(20, 150);
      break;
    }
    case trouble::stall:
    case trouble::half_open:
      if (!take(f, some_link())) return false;
      link_of(f)->is_stalled = true;
      w.refresh(*link_of(f));
      break;
    case trouble::few_streams: {
      if (!take(f, some_link())) return false;
      mesh::link& l = *link_of(f);
      l.net.habits().streams_uni = static_cast<std::uint32_t>(d.between(1, 2));
      if (d.chance(30)) l.net.habits().streams_bidi = static_cast<std::uint32_t>(d.between(1, 4));
      l.extra = d.ms(0, 200);
      f.before = l.opens_blocked;
      return true;
    }
    case trouble::small_windows:
    case trouble::priorities: {
      const bool is_narrow = f.kind == trouble::priorities;
      mesh::link* l = some_link([&](const mesh::link& x) { return !is_narrow || x.a.owner->kind == role::subscriber; });
      if (!take(f, l)) return false;
      loopback_options& o = l->net.habits();
      o.connection_window = d.between(100, is_narrow ? 800 : 5000);
      if (!is_narrow) o.stream_window = d.between(60, 1500);
      f.before = l->writes_blocked;
      if (is_narrow) l->extra = d.ms(20, 100);
      return true;
    }
    case trouble::stream_resets: {
      if (!take(f, some_link())) return false;
      loopback_options& o = link_of(f)->net.habits();
      o.reset_percent = static_cast<std::uint32_t>(d.between(1, 8));
      o.reset_code = d.below(70);
      return true;
    }
    case trouble::datagram_loss:
    case trouble::datagram_twice: {
      const bool is_loss = f.kind == trouble::datagram_loss;
      f.before = over_links([&](mesh::link& l) {
        return is_loss ? l.net.counters().datagrams_lost : l.net.counters().datagrams_duplicated;
      });
      set_habits([&](loopback_options& o) {
        (is_loss ? o.datagram_loss_percent : o.datagram_duplicate_percent) = is_loss ? 60 : 80;
        if (!is_loss) o.delay_max = o.delay_min + milliseconds(30);
      });
      return true;
    }
    case trouble::slow_reader: {
      mesh::link* l = some_link();
      if (!take(f, l)) return false;
      f.side = static_cast<unsigned>(l->a.owner->kind == role::subscriber ? 0 : d.below(2));
      l->at(f.side).is_reading = false;
      break;
    }
    case trouble::absurd_costs: {
      publisher_node* p = some_publisher();
      if (p == nullptr) return false;
      f.who = p;
      p->set_costs(d.chance(50) ? cost_ceiling : d.next() & cost_ceiling, d.chance(50) ? cost_ceiling : d.below(5));
      break;
    }
    case trouble::forged_hops:
    case trouble::silent_liar: return begin_liar(f);
    case trouble::clock_jump: {
      node& n = *w.nodes[d.below(w.nodes.size())];
      if (!n.is_up) return false;
      n.skew = n.skew + (d.chance(60) ? d.ms(1, 3000) : d.ms(3000, 60'000));
      for (const auto& l : w.links)
        for (unsigned side = 0; side < 2; ++side)
          if (l->at(side).owner == &n) w.refresh(*l), w.touch(l->at(side));
      if (n.kind == role::relay) n.act();
      break;
    }
    case trouble::relay_goaway:
      if (!begin_goaway(f, role::relay)) return false;
      break;
    case trouble::publisher_goaway:
      if (!begin_goaway(f, role::publisher)) return false;
      break;
    case trouble::switchover:
      if (!switch_over(f)) return false;
      break;
    case trouble::second_origin: {
      publisher_node* p = some_publisher();
      if (p == nullptr) return false;
      p = add_publisher(role::publisher, p->path, d.chance(85) ? 200 + w.nodes.size() : 0,
                        static_cast<version>(d.between(1, 6)), {.delay_max = milliseconds(5)});
      if (p == nullptr) return false;
      f.who = p;
      if (d.chance(50)) p->set_costs(d.below(10), d.below(10));
      break;
    }
    case trouble::publisher_flap: {
      publisher_node* p = some_publisher();
      if (p == nullptr) return false;
      f.who = p;
      p->set_announcing(false);
      f.until = w.now + d.ms(0, 700);
      break;
    }
    case trouble::publisher_returns: {
      publisher_node* p = some_publisher();
      if (p == nullptr) return false;
      f.who = p;
      vanish(*p);
      f.until = w.now + d.ms(0, 1500);
      break;
    }
    case trouble::track_restart: {
      publisher_node* p = some_publisher();
      if (p == nullptr) return false;
      p->renew(static_cast<unsigned>(d.below(p->tracks)));
      break;
    }
    case trouble::churn:
    case trouble::update_storm:
    case trouble::fetch_storm:
    case trouble::query_storm: {
      subscriber_node* s = some_subscriber();
      f.who = s;
      bool& flag = f.kind == trouble::churn          ? s->is_churning
                   : f.kind == trouble::update_storm ? s->is_updating
                   : f.kind == trouble::fetch_storm  ? s->is_fetching
                                                     : s->is_querying;
      flag = true;
      f.before = s->churns + s->updates + s->fetched + s->queries;
      return true;
    }
    case trouble::no_capacity: {
      publisher_node* p = some_publisher();
      if (p == nullptr) return false;
      f.who = p;
      f.before = p->refused;
      p->has_no_capacity = true;
      cut_links_of(*p, false);
      return true;
    }
    case trouble::unauthorised: {
      relay_node* r = some_relay();
      if (r == nullptr) return false;
      f.who = r;
      f.before = r->refused;
      (d.chance(50) ? r->refuses_requests : r->refuses_announcements) = true;
      cut_links_of(*r, d.chance(50));
      return true;
    }
    case trouble::small_cache:
    case trouble::few_places: {
      relay_node* r = some_relay();
      if (r == nullptr) return false;
      f.who = r;
      relay_limits& c = r->options.caps;
      r->die();
      c = {};
      if (f.kind == trouble::small_cache) {
        c.cache_bytes_max = d.between(100, 4000);
        c.track_bytes_max = d.chance(50) ? d.between(100, 3000) : c.track_bytes_max;
        c.track_groups_max = static_cast<std::uint32_t>(d.between(1, 6));
      } else {
        c.tracks_max = d.between(0, 2);
        c.tracks_per_peer_max = d.between(1, 2);
        c.readers_max = d.between(1, 2);
        c.routes_max = d.between(1, 3);
        c.fetches_max = d.between(0, 1);
      }
      r->start();
      f.before = r->past_evictions + r->past.requests_refused + r->past.routes_refused + r->past.copies_refused;
      return true;
    }
    case trouble::session_memory: {
      mesh::link* l = some_link();
      if (!take(f, l)) return false;
      edge& e = w.edges[f.edge];
      e.poor_side = d.below(2);
      e.poor_requests = d.chance(50) ? d.below(60) : d.below(600);
      f.before =
          w.poor_refusals + over_links([](mesh::link& x) { return x.money[0]->refusals + x.money[1]->refusals; });
      w.cut(*l);
      return true;
    }
    case trouble::relay_memory: {
      relay_node* r = some_relay();
      if (r == nullptr) return false;
      f.who = r;
      f.before = r->money.refusals;
      r->money.allowed = d.below(60);
      if (d.chance(50)) cut_links_of(*r, false);
      return true;
    }
    case trouble::short_writes: {
      if (!take(f, some_link())) return false;
      loopback_options& o = link_of(f)->net.habits();
      o.write_max = d.between(1, 200);
      o.chunk_max = d.between(1, 60);
      break;
    }
    case trouble::count_: break;
  }
  count(f);
  return true;
}

/// Announces what others have, by ways that are not, and does not deliver; or something of its own.
inline bool faults::begin_liar(fault& f) {
  dice& d = w.chance;
  const publisher_node* victim = publishers[d.below(publishers.size())];
  publisher_node* p = add_publisher(role::liar, victim->path, d.chance(80) ? 300 + w.nodes.size() : 0,
                                    static_cast<version>(d.between(4, 6)), {.delay_max = milliseconds(3)});
  if (p == nullptr) return false;
  f.who = p;
  // Never under a real producer's name with content of its own: that could not be told from the truth.
  const bool is_impostor = d.chance(50) && victim->hop != 0 && victim->forged.empty();
  p->forged.push_back(is_impostor ? victim->hop : 700 + d.below(50));
  for (std::uint64_t n = d.below(4); n > 0; --n) {
    const std::uint64_t hop = d.chance(60) ? relays[d.below(relays.size())]->hop : d.chance(20) ? 0 : 800 + d.below(9);
    bool is_there = false;
    for (const std::uint64_t h : p->forged) is_there = is_there || (h == hop && h != 0);
    if (!is_there) p->forged.push_back(hop);
  }
  p->warm = d.chance(60) ? 0 : d.next() & cost_ceiling;
  p->cold = d.chance(60) ? 0 : cost_ceiling;
  p->how = f.kind == trouble::silent_liar ? manners::silent
           : is_impostor                  ? (d.chance(50) ? manners::refuses : manners::empty)
                                          : (d.chance(50) ? manners::serves : manners::no_capacity);
  count(f);
  return true;
}
inline bool faults::begin_goaway(fault& f, role who) {
  mesh::link* l = some_link([&](const mesh::link& x) {
    return has_goaway(x.ver) && (x.a.owner->kind == who || x.b.owner->kind == who) && !x.a.is_leaving &&
           !x.b.is_leaving;
  });
  if (!take(f, l)) return false;
  end& e = l->b.owner->kind == who && (l->a.owner->kind != who || w.chance.chance(50)) ? l->b : l->a;
  if (e.session_.goaway("", w.chance.ms(300, 3000), e.owner->now()) != errc::ok) return false;
  w.touch(e);
  return true;
}
/// A second session over another network, then the first one goes.
inline bool faults::switch_over(fault& f) {
  mesh::link* old = some_link(
      [](const mesh::link& x) { return x.a.owner->kind == role::publisher && x.a.owner->hop != 0 && !x.a.is_leaving; });
  if (!take(f, old)) return false;
  w.dial(f.edge);
  old->a.is_leaving = true;
  old->a.leave_by = w.now + w.chance.ms(20, 2500);
  old->a.leaves_abruptly = w.chance.chance(50);
  return true;
}

}  // namespace mesh
