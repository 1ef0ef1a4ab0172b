#pragma once
/// A relay: any number of sessions, each of which may publish and subscribe. What one announces the others are shown by
/// the best way; what one asks for is asked for once, wherever it comes from, and passed on as it arrives. Draft 06
/// sections 5.1.1.1, 5.1.1.2 and 6; every version on each side.
///
///   session& s = ...;                                   // yours, with `config.hop` the same as `relay_options.hop`
///   const auto id = core.join(s, {.scope = 0}, now);    // once the transport is up
///   while (auto e = s.next_event()) core.on_event(*id, *e, now);
///   while (auto ready = core.next_ready()) pump(*core.session_of(*ready), ...);
///
/// No I/O, no clock, no threads, no callbacks but the hooks. The relay calls commands of the sessions that joined and
/// reads no events by itself; sessions must outlive their stay. All of them live on one thread: a process scales by one
/// relay for each thread, joined like any two relays.
///
/// Scopes: a peer sees the broadcasts of its own scope only, and nothing that is cached or known of a path is shared
/// between scopes. A peer that is given none is alone.

#include "fanout.hpp"
#include "pass_through.hpp"

namespace moql {

class relay {
 public:
  explicit relay(const relay_options& o, memory m = {}) noexcept
      : options_(o),
        memory_(m),
        peers_(m),
        routes_({.own_hop = o.hop,
                 .routes_per_peer_max = o.caps.routes_per_peer_max,
                 .routes_max = o.caps.routes_max,
                 .hash_seed = o.hash_seed},
                m),
        tracks_(options_, counts_, peers_, routes_, m),
        passed_(options_, counts_, peers_, routes_, m),
        path_(m),
        ending_(m) {}
  relay(const relay&) = delete;
  relay& operator=(const relay&) = delete;

  // ---- peers

  /// A session that has been started. `user` comes back from `user_of`. Fails with bad_argument when its hop is not
  /// ours, limit_reached, or out_of_memory.
  [[nodiscard]] result<peer_id> join(session& s, const relay_peer_options& o, instant now,
                                     void* user = nullptr) noexcept {
    if (options_.hop == 0 || s.hop() != options_.hop) return errc::bad_argument;
    if (peers_.size() >= options_.caps.peers_max) return errc::limit_reached;
    slot_handle h;
    detail::relay_peer* p = peers_.add(s, h);
    if (p == nullptr) return errc::out_of_memory;
    const auto id = detail::id_of<peer_id>(h);
    // A number that no application chooses: alone in it.
    p->scope = o.scope ? *o.scope : ~std::uint64_t{0} - ++lone_scopes_;
    p->user = user;
    p->link_cost = o.link_cost;
    p->discovers = o.discover;
    if (const errc why = routes_.join(id, p->scope, {.hop = 0, .link_cost = o.link_cost.value_or(1)});
        why != errc::ok) {
      peers_.remove(h);
      return why;
    }
    ++counts_.peers_joined;
    if (s.is_established()) connected(h, now);
    return id;
  }
  /// The session is about to be destroyed, or shall have no part in this any longer. Nothing happens when it has left.
  void leave(peer_id id, instant now) noexcept {
    const slot_handle h = detail::slot_of(id);
    detail::relay_peer* p = peers_.find(h);
    if (p == nullptr) return;
    lose(h, *p, now);
    passed_.forget(h);
    tracks_.forget(h, now);
    if (!p->link->is_closed()) {
      if (p->interest != interest_id{}) (void)p->link->forget(p->interest);
      for (const detail::shown_route& r : p->shown) (void)p->link->withdraw(r.announcement);
    }
    ++counts_.peers_left;
    peers_.remove(h);
  }

  // ---- inputs

  /// Everything that the session of a peer tells, in order. Views in `e` are not kept.
  void on_event(peer_id id, const event& e, instant now) noexcept {
    const slot_handle h = detail::slot_of(id);
    detail::relay_peer* p = peers_.find(h);
    if (p == nullptr) return;
    peers_.touch(h);
    // Its routes go first: nobody may be sent there for what is lost with it.
    if (p->link->is_closed()) lose(h, *p, now);
    if (const auto* part = std::get_if<frame_part>(&e)) return tracks_.part(h, *part, now);
    std::visit(overload{
                   [&](const frame_part&) {},
                   [&](const moql::connected&) { connected(h, now); },
                   [&](const peer_setup& s) { on_setup(h, s, now); },
                   [&](const hop_declared& d) { on_hop(h, d.hop, now); },
                   [&](const goaway_received&) { on_goaway(h, now); },
                   [&](const announce_updated& a) { on_announced(h, a, now); },
                   [&](const announced& a) { on_announced(h, a, now); },
                   [&](const announce_ended& a) { on_ended(h, a.path, now); },
                   [&](const interest_closed&) { on_interest_closed(h, now); },
                   [&](const track_known& k) {
                     tracks_.known(h, k, now);
                     passed_.answer_waiting([&](slot_handle from, std::string_view broadcast, std::string_view name) {
                       return tracks_.cache_for(from, broadcast, name);
                     });
                   },
                   [&](const subscription_started& s) { tracks_.started(h, s, now); },
                   [&](const group_started& g) { tracks_.group_began(h, g, now); },
                   [&](const group_finished& g) { tracks_.group_ended(h, g, now); },
                   [&](const datagram_received& d) { tracks_.datagram(h, d, now); },
                   [&](const groups_lost& l) { tracks_.lost(h, l, now); },
                   [&](const subscription_closed& c) { tracks_.closed(h, c, now); },
                   [&](const fetch_part& f) { passed_.part(h, f, now); },
                   [&](const fetch_closed& c) { passed_.fetched(h, c, now); },
                   [&](const track_answered& a) { passed_.answered(h, a, now); },
                   [&](const subscribe_requested& r) { on_subscribe(h, r, now); },
                   [&](const subscribe_updated& u) { tracks_.updated(h, u.request, u.want, now); },
                   [&](const track_requested& r) { on_track(h, r, now); },
                   [&](const fetch_requested& r) { on_fetch(h, r, now); },
                   [&](const request_closed& r) {
                     tracks_.left(h, r.request, now);
                     passed_.left(h, r.request);
                   },
                   [](const auto&) {},
               },
               e);
  }
  /// When `on_deadline` is due; `never_due` if nothing waits. The sessions' own deadlines are not in it.
  [[nodiscard]] instant next_deadline() const noexcept { return tracks_.next_deadline(); }
  void on_deadline(instant now) noexcept { tracks_.on_deadline(now); }

  // ---- commands

  /// Announces what the application itself produces (`relay_hooks::produced`) to the peers of a scope, or changes its
  /// costs. Fails with bad_argument, limit_reached or out_of_memory.
  errc announce(scope_id in, std::string_view path, std::uint64_t warm = 0, std::uint64_t cold = 0) noexcept {
    const route_facts f{.hops = {}, .warm = warm, .cold = cold};
    route_id mine = local_route(in, path);
    if (mine != route_id{}) {
      if (const errc why = routes_.update(mine, f); why != errc::ok) return why;
    } else {
      const auto added = routes_.add({}, in, path, f);
      if (!added) return added.error();
      mine = *added;
    }
    changed(routes_.place_of(mine), now_);
    return errc::ok;
  }
  /// stale_handle when it is not announced. Who reads its tracks goes on.
  errc withdraw(scope_id in, std::string_view path) noexcept {
    const route_id mine = local_route(in, path);
    const bool was_there = routes_.remove(mine, [&](place_id place) { changed(place, now_); });
    return was_there ? errc::ok : errc::stale_handle;
  }

  // ---- outputs

  /// A peer whose session should be pumped: it has been told something, or what it serves has changed. Pump until there
  /// is none; each is named once. Call it when all events that there were have been handed over, for that is when the
  /// end of an announcement takes effect.
  [[nodiscard]] std::optional<peer_id> next_ready() noexcept {
    while (!ending_.empty()) {
      const route_id ended = ending_.back();
      ending_.pop();
      (void)routes_.remove(ended, [&](place_id place) { changed(place, now_); });
    }
    const auto h = peers_.next_ready();
    return h ? std::optional(detail::id_of<peer_id>(*h)) : std::nullopt;
  }

  // ---- getters

  /// Null for one that has left; likewise below.
  [[nodiscard]] session* session_of(peer_id id) noexcept {
    detail::relay_peer* p = peers_.find(detail::slot_of(id));
    return p == nullptr ? nullptr : p->link;
  }
  [[nodiscard]] void* user_of(peer_id id) noexcept {
    detail::relay_peer* p = peers_.find(detail::slot_of(id));
    return p == nullptr ? nullptr : p->user;
  }
  /// Whether nothing passes through the peer: it may be closed without loss. A peer that is going away is closed by the
  /// application when this is so, or when its time is up.
  [[nodiscard]] bool is_idle(peer_id id) noexcept {
    const detail::relay_peer* p = peers_.find(detail::slot_of(id));
    return p == nullptr || (p->readers == 0 && p->sources == 0 && p->passes == 0);
  }
  [[nodiscard]] const relay_counters& counters() const noexcept { return counts_; }
  [[nodiscard]] const relay_options& options() const noexcept { return options_; }
  [[nodiscard]] const routes& table() const noexcept { return routes_; }
  [[nodiscard]] std::size_t peers() const noexcept { return peers_.size(); }
  [[nodiscard]] std::size_t tracks() const noexcept { return tracks_.tracks(); }
  /// Subscriptions that are served or wait.
  [[nodiscard]] std::size_t readers() const noexcept { return tracks_.readers(); }
  /// Subscriptions of ours.
  [[nodiscard]] std::size_t sources() const noexcept { return tracks_.sources(); }
  /// Payload in the caches of all tracks.
  [[nodiscard]] std::uint64_t bytes_cached() const noexcept { return tracks_.budget().bytes_held(); }
  [[nodiscard]] std::uint64_t evictions() const noexcept { return tracks_.budget().evictions(); }
  /// f(const detail::relayed_track&) for each track: for status pages and tests.
  void for_each_track(auto&& f) noexcept { tracks_.for_each_track(f); }

 private:
  static constexpr unsigned asks_max = 8;  // Announce streams of one session, one after the other

  [[nodiscard]] bool allows(slot_handle h, relay_action what, std::string_view path,
                            std::string_view track = {}) noexcept {
    const relay_hooks& k = options_.hooks;
    return k.allows == nullptr || k.allows(k.context, detail::id_of<peer_id>(h), what, path, track);
  }

  // ---- who is there

  void connected(slot_handle h, instant now) noexcept {
    detail::relay_peer& p = peers_[h.index];
    if (p.is_connected) return;
    p.is_connected = true;
    peers_.touch(h);
    (void)routes_.set_knows_costs(detail::id_of<peer_id>(h), since(lite06).has(p.ver()));
    if (p.discovers && !ask(p, now)) return;
    show_all(h, now);
    peers_.touch(h);
  }
  /// What the peer has, now and later.
  [[nodiscard]] bool ask(detail::relay_peer& p, instant now) noexcept {
    ++p.asked;
    p.has_told = false;
    const auto id = p.link->discover({}, now);
    if (id)
      p.interest = *id;
    else
      p.link->close(session_code::internal_error);  // we would be deaf to it for as long as it lives
    return id.has_value();
  }
  /// The Announce stream broke, and with it went the peer's routes. One that has worked is opened again, any other
  /// once.
  void on_interest_closed(slot_handle h, instant now) noexcept {
    detail::relay_peer& p = peers_[h.index];
    p.interest = {};
    const bool may_work = p.asked < (p.has_told ? asks_max : 2);
    if (p.is_usable() && !p.is_draining && may_work) (void)ask(p, now);
  }
  void on_setup(slot_handle h, const peer_setup& s, instant now) noexcept {
    const auto id = detail::id_of<peer_id>(h);
    detail::relay_peer& p = peers_[h.index];
    if (!p.link_cost) {
      (void)routes_.set_link_cost(id, s.cost);
      routes_changed(id, now);
    }
    if (s.hop != 0) on_hop(h, s.hop, now);
  }
  /// The peer has said who it is: what passed it is not for it.
  void on_hop(slot_handle h, std::uint64_t hop, instant now) noexcept {
    detail::relay_peer& p = peers_[h.index];
    if (p.hop == hop) return;
    p.hop = hop;
    (void)routes_.set_hop(detail::id_of<peer_id>(h), hop);
    show_all(h, now);
  }
  /// Its routes come last, but what comes from it goes on.
  void on_goaway(slot_handle h, instant now) noexcept {
    peers_[h.index].is_draining = true;
    (void)routes_.set_draining(detail::id_of<peer_id>(h));
    routes_changed(detail::id_of<peer_id>(h), now);
  }
  /// The session is over: its routes go at once, the rest as its last events tell.
  void lose(slot_handle h, detail::relay_peer& p, instant now) noexcept {
    if (p.is_lost) return;
    p.is_lost = true;
    routes_.leave(detail::id_of<peer_id>(h), [&](place_id place) { changed(place, now); });
  }

  // ---- what there is

  void on_announced(slot_handle h, const announced& a, instant now) noexcept {
    const auto id = detail::id_of<peer_id>(h);
    detail::relay_peer& p = peers_[h.index];
    if (p.is_lost) return;
    p.has_told = true;
    const route_facts f{.hops = a.hops, .warm = a.warm, .cold = a.cold, .is_exact = !has_announce_ids(p.ver())};
    const route_id known = route_of(id, p.scope, a.path);
    if (known == route_id{}) {
      const auto added = allows(h, relay_action::announce, a.path) ? routes_.add(id, p.scope, a.path, f)
                                                                   : result<route_id>(errc::bad_argument);
      if (added) return changed(routes_.place_of(*added), now);
      ++counts_.routes_refused;
      return;
    }
    for (std::size_t i = ending_.size(); i-- > 0;)
      if (ending_[i] == known) ending_.erase(i);
    if (routes_.update(known, f) == errc::ok) return changed(routes_.place_of(known), now);
    ++counts_.routes_refused;  // the path it has now leads through us, and the one it had is gone
    (void)routes_.remove(known, [&](place_id place) { changed(place, now); });
  }
  void on_ended(slot_handle h, std::string_view path, instant now) noexcept {
    const auto id = detail::id_of<peer_id>(h);
    const detail::relay_peer& p = peers_[h.index];
    if (p.is_lost) return;
    const route_id route = route_of(id, p.scope, path);
    // Up to 04 another way is told as an end and a start. If each were passed on as two changes, a change would be two
    // to the power of the relays that it passes.
    now_ = now;
    if (before(lite05).has(p.ver()) && route != route_id{} && ending_.push(route)) return;
    (void)routes_.remove(route, [&](place_id place) { changed(place, now); });
  }
  [[nodiscard]] route_id route_of(peer_id from, scope_id in, std::string_view path) const noexcept {
    route_id found{};
    if (const auto place = routes_.find(in, path))
      routes_.for_each_route(*place, [&](const route_view& v) {
        if (v.from == from) found = v.id;
      });
    return found;
  }
  [[nodiscard]] route_id local_route(scope_id in, std::string_view path) const noexcept {
    return route_of(peer_id{}, in, path);
  }
  /// The routes of a peer have other costs.
  void routes_changed(peer_id id, instant now) noexcept {
    vec<place_id> places(memory_);
    bool fits = true;
    routes_.for_each_place_of(id, [&](place_id place) { fits = fits && places.push(place); });
    for (const place_id place : places) changed(place, now);  // without memory the rest is shown with its next change
  }
  /// Everyone is shown the best there is now, and tracks move to it.
  void changed(place_id place, instant now) noexcept {
    now_ = now;
    const scope_id in = routes_.scope(place);
    peers_.for_each([&](slot_handle h, detail::relay_peer& p) {
      if (p.scope == in && p.is_usable()) show(h, p, place);
    });
    const std::string_view path = routes_.path(place);
    path_.clear();
    // A copy: what follows may change the table.
    if (path_.append(path.data(), path.size())) tracks_.reconsider(in, {path_.data(), path_.size()}, now);
  }
  void show_all(slot_handle h, instant now) noexcept {
    now_ = now;
    detail::relay_peer& p = peers_[h.index];
    if (p.is_usable()) routes_.for_each_place(p.scope, [&](place_id place) { show(h, p, place); });
  }
  /// Brings what a peer is told of a place up to date.
  void show(slot_handle h, detail::relay_peer& p, place_id place) noexcept {
    const auto best = routes_.best(place, {detail::id_of<peer_id>(h), p.hop});
    const std::uint32_t at = p.shown_at.find(static_cast<std::uint64_t>(place));
    errc why = errc::ok;
    peers_.touch(h);
    if (!best) {
      if (at == slot_index::none) return;
      (void)p.link->withdraw(p.shown[at].announcement);
      unshow(p, at);
    } else if (at != slot_index::none) {
      why = p.link->update(p.shown[at].announcement, {best->hops, best->warm, best->cold});
    } else {
      const auto id = p.link->announce(best->path, {best->hops, best->warm, best->cold});
      const auto next = static_cast<std::uint32_t>(p.shown.size());
      why = id.error();
      if (id && (!p.shown.push({place, *id}) || !p.shown_at.insert(static_cast<std::uint64_t>(place), next))) {
        if (p.shown.size() > next) p.shown.pop();
        (void)p.link->withdraw(*id);
      }
    }
    // Anything else is more than the session tells of. But a peer that was not told for want of memory would
    // never hear of it: it may come again and be told everything.
    if (why == errc::out_of_memory) p.link->close(session_code::internal_error);
  }
  static void unshow(detail::relay_peer& p, std::uint32_t at) noexcept {
    p.shown_at.erase(static_cast<std::uint64_t>(p.shown[at].place));
    if (at + 1 != p.shown.size()) {
      p.shown[at] = p.shown.back();
      p.shown_at.erase(static_cast<std::uint64_t>(p.shown[at].place));
      (void)p.shown_at.insert(static_cast<std::uint64_t>(p.shown[at].place), at);  // the room of the one erased
    }
    p.shown.pop();
  }

  // ---- what is wanted

  /// True when the request has been dealt with here: it is not allowed, or the application has the track.
  [[nodiscard]] bool is_settled(slot_handle h, request_id request, relay_action what, std::string_view broadcast,
                                std::string_view track) noexcept {
    if (!allows(h, what, broadcast, track)) {
      tracks_.refuse(h, request, stream_code::unauthorized);
      return true;
    }
    const relay_hooks& k = options_.hooks;
    track_cache* own = k.produced == nullptr ? nullptr : k.produced(k.context, peers_[h.index].scope, broadcast, track);
    if (own != nullptr) (void)peers_.serve(h, request, *own);
    return own != nullptr;
  }
  void on_subscribe(slot_handle h, const subscribe_requested& r, instant now) noexcept {
    if (is_settled(h, r.request, relay_action::subscribe, r.broadcast, r.track)) return;
    tracks_.wanted(h, r.request, false, r.broadcast, r.track, r.want, now);
  }
  void on_track(slot_handle h, const track_requested& r, instant now) noexcept {
    if (is_settled(h, r.request, relay_action::query, r.broadcast, r.track)) return;
    if (track_cache* c = tracks_.cache_for(h, r.broadcast, r.track)) {
      (void)peers_.serve(h, r.request, *c);
    } else if (!tracks_.is_coming(h, r.broadcast, r.track) && passed_.can_query(h, r.broadcast)) {
      passed_.query(h, r, now);
    } else {
      tracks_.wanted(h, r.request, true, r.broadcast, r.track, {}, now);
    }
  }
  void on_fetch(slot_handle h, const fetch_requested& r, instant now) noexcept {
    if (is_settled(h, r.request, relay_action::fetch, r.broadcast, r.track)) return;
    track_cache* c = tracks_.cache_for(h, r.broadcast, r.track);
    const cached_group* g = c == nullptr ? nullptr : c->find(r.group);
    if (g != nullptr && g->state != group_state::aborted && g->first_frame <= r.frame_start) {
      (void)peers_.serve(h, r.request, *c);
    } else {
      passed_.fetch(h, r, now);
    }
  }
  relay_options options_;
  memory memory_;
  relay_counters counts_{};
  detail::relay_peers peers_;
  routes routes_;
  detail::fanout tracks_;
  detail::pass_through passed_;
  vec<char> path_;
  vec<route_id> ending_;  ///< Ended, unless they are announced again before anyone is pumped.
  instant now_{};
  std::uint64_t lone_scopes_ = 0;
};

}  // namespace moql
