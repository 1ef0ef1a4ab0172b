#pragma once
/// A relay of the mesh, which may die and come back.

#include "world.hpp"

namespace mesh {

inline constexpr unsigned paths_max = 6;
inline constexpr unsigned tracks_max = 3;
[[nodiscard]] inline std::string_view path_name(unsigned path) noexcept {
  static constexpr std::string_view names[paths_max] = {"a", "room/b", "room/c", "room/c/d", "e/f/g", "h"};
  return names[path];
}
[[nodiscard]] inline std::string_view track_name(unsigned track) noexcept {
  static constexpr std::string_view names[tracks_max] = {"audio", "video", "data"};
  return names[track];
}
[[nodiscard]] inline unsigned path_named(std::string_view s) noexcept {
  for (unsigned i = 0; i < paths_max; ++i)
    if (path_name(i) == s) return i;
  return paths_max;
}
[[nodiscard]] inline unsigned track_named(std::string_view s) noexcept {
  for (unsigned i = 0; i < tracks_max; ++i)
    if (track_name(i) == s) return i;
  return tracks_max;
}
/// Content is a function of the producer and of this number.
[[nodiscard]] constexpr unsigned track_key(unsigned path, unsigned track) noexcept { return path * tracks_max + track; }

/// No non-zero hop comes twice, and never the receiver's own. Before 04 hop ids do not travel, so nothing is promised.
inline void check_hops(world& w, const end& e, const announced& a) {
  for (std::size_t i = 0; i < a.hops.size(); ++i) {
    if (a.hops[i] == 0) continue;
    if (e.owner->hop != 0 && a.hops[i] == e.owner->hop)
      w.fail("%.*s is announced to %llu through itself", static_cast<int>(a.path.size()), a.path.data(),
             static_cast<unsigned long long>(e.owner->hop));
    for (std::size_t k = 0; k < i; ++k)
      if (a.hops[k] == a.hops[i])
        w.fail("%.*s is announced twice through %llu", static_cast<int>(a.path.size()), a.path.data(),
               static_cast<unsigned long long>(a.hops[i]));
  }
}

struct relay_node final : node {
  relay_node(world& its_world, unsigned n, std::uint64_t its_hop) noexcept : node(its_world, role::relay, n) {
    hop = its_hop;
    options.hop = hop;
    options.hash_seed = its_hop * 7;
    options.hooks.context = this;
    options.hooks.allows = &allows;
  }
  relay_options options{};
  std::optional<moql::relay> core{};
  purse money{};
  bool refuses_requests = false;
  bool refuses_announcements = false;
  bool leaves_at_once = false;  ///< When a session closes, and not when it is destroyed.
  std::uint64_t refused = 0;    ///< By the authoriser.
  relay_counters past{};        ///< Of cores that are gone.
  std::uint64_t past_evictions = 0;

  void start() {
    is_up = true;
    options.hop = hop;
    core.emplace(options, money.get());
    w.say("relay %u starts with hop %llu", number, static_cast<unsigned long long>(hop));
  }
  /// Gone from one moment to the next.
  void die() {
    w.say("relay %u dies", number);
    is_up = false;
    keep_counts();
    const bool is_orderly = w.chance.chance(50);
    for (const auto& l : w.links)
      for (unsigned side = 0; side < 2; ++side)
        if (end& e = l->at(side); e.owner == this && !e.is_dead) {
          if (is_orderly) leave(e);
          w.abandon(e);
        }
    core.reset();
    due = never_due;
    money.allowed = ~std::uint64_t{0};
    if (money.bytes != 0) w.fail("relay %u leaves %lld bytes behind", number, static_cast<long long>(money.bytes));
  }
  /// Closes everything in order, as at the end of a day; what remains is checked.
  void keep_counts() {
    const relay_counters& c = core->counters();
    past.copies_repeated += c.copies_repeated;
    past.copies_conflicting += c.copies_conflicting;
    past.copies_refused += c.copies_refused;
    past.moves += c.moves;
    past.failovers += c.failovers;
    past.orphans += c.orphans;
    past.retries += c.retries;
    past.fetches += c.fetches;
    past.queries += c.queries;
    past.requests_refused += c.requests_refused;
    past.routes_refused += c.routes_refused;
    past_evictions += core->evictions();
  }
  void leave(end& e) {
    if (e.was_left) return;
    e.was_left = true;
    core->leave(e.peer, now());
  }

  void joined(end& e) override {
    const auto id = core->join(e.session_, {.scope = 0}, now(), &e);
    if (id) {
      e.peer = *id;
    } else {
      e.was_left = true;  // no memory, or too many
      e.session_.close();
    }
    after();
  }
  void hear(end& e, const event& what) override {
    if (const auto* a = std::get_if<announced>(&what)) check_hops(w, e, *a);
    if (const auto* a = std::get_if<announce_updated>(&what)) check_hops(w, e, *a);
    if (std::holds_alternative<goaway_received>(what)) {
      e.is_leaving = true;
      if (edge& x = w.edges[e.home->edge]; x.current == e.home) x.current = nullptr;  // a new one takes over
    }
    if (!e.was_left) core->on_event(e.peer, what, now());
    if (leaves_at_once && std::holds_alternative<session_closed>(what)) leave(e);
  }
  void heard() override {
    if (is_up) after();
  }
  void left(end& e) override {
    leave(e);
    after();
  }
  void act() override {
    core->on_deadline(now());
    after();
  }
  void tend() override {
    if (!is_up) return;
    for (const auto& l : w.links)
      for (unsigned side = 0; side < 2; ++side) {
        end& e = l->at(side);
        if (e.owner != this || e.is_dead || e.was_left || e.session_.is_closed()) continue;
        const bool is_replaced = w.edges[l->edge].current != l.get() && w.edges[l->edge].current != nullptr;
        if (e.is_leaving && is_replaced && core->is_idle(e.peer)) {
          w.say("link %u is closed: relay %u needs it no longer", l->number, number);
          e.session_.close();
          w.touch(e);
        }
      }
  }
  /// What every entry ends with.
  void after() {
    while (const auto id = core->next_ready())
      if (auto* e = static_cast<end*>(core->user_of(*id))) w.touch(*e);
    if (core->bytes_cached() > options.caps.cache_bytes_max) w.fail("relay %u holds more than its cache may", number);
    const instant d = core->next_deadline();
    due = d == never_due ? never_due : instant{d.us - skew.us};
  }
  /// What is counted adds up.
  void check_counters() {
    if (!is_up) return;
    const relay_counters& c = core->counters();
    std::size_t sources = 0, readers = 0;
    core->for_each_track([&](const detail::relayed_track& t) {
      sources += t.sources.size();
      readers += t.readers;
      if (t.readers == 0) w.fail("relay %u keeps a track that nobody reads", number);
    });
    if (c.peers_joined != c.peers_left + core->peers()) w.fail("relay %u: peers do not add up", number);
    if (c.tracks_opened != c.tracks_closed + core->tracks()) w.fail("relay %u: tracks do not add up", number);
    if (c.sources_opened != c.sources_closed + core->sources() || sources != core->sources())
      w.fail("relay %u: sources do not add up: %llu opened, %llu closed, %zu known, %zu in tracks", number,
             static_cast<unsigned long long>(c.sources_opened), static_cast<unsigned long long>(c.sources_closed),
             core->sources(), sources);
    if (readers < core->readers() || c.readers_opened != c.readers_closed + core->readers())
      w.fail("relay %u: %zu readers in tracks, %zu known", number, readers, core->readers());
  }

 private:
  static bool allows(void* context, peer_id, relay_action what, std::string_view, std::string_view) noexcept {
    auto& me = *static_cast<relay_node*>(context);
    const bool is_refused = what == relay_action::announce ? me.refuses_announcements : me.refuses_requests;
    me.refused += is_refused ? 1 : 0;
    return !is_refused;
  }
};

}  // namespace mesh
