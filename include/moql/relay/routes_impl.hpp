#pragma once
/// The bodies of `routes`.

#include "routes.hpp"

namespace moql {

// --- peers ---

inline errc routes::join(peer_id peer, scope_id in, const advertiser& a) noexcept {
  if (peer == peer_id{} || peer_of(peer) != nullptr) return errc::wrong_state;
  slot_handle h;
  peer_record* p = peers_.take(h);
  if (p == nullptr) return errc::out_of_memory;
  if (!by_peer_.insert(static_cast<std::uint64_t>(peer), h.index)) {
    peers_.give(h);
    return errc::out_of_memory;
  }
  p->facts = a;
  p->in = in;
  p->self = h;
  return errc::ok;
}
inline errc routes::set_hop(peer_id peer, std::uint64_t hop) noexcept {
  peer_record* p = peer_of(peer);
  if (p == nullptr) return errc::stale_handle;
  p->facts.hop = hop;
  return errc::ok;
}
inline errc routes::set_link_cost(peer_id peer, std::uint64_t cost) noexcept {
  peer_record* p = peer_of(peer);
  if (p == nullptr) return errc::stale_handle;
  p->facts.link_cost = cost;
  return errc::ok;
}
inline errc routes::set_knows_costs(peer_id peer, bool knows) noexcept {
  peer_record* p = peer_of(peer);
  if (p == nullptr) return errc::stale_handle;
  p->facts.knows_costs = knows;
  return errc::ok;
}
inline errc routes::set_draining(peer_id peer, bool is_draining) noexcept {
  peer_record* p = peer_of(peer);
  if (p == nullptr) return errc::stale_handle;
  p->is_draining = is_draining;
  return errc::ok;
}
template <class F>
void routes::leave(peer_id peer, F&& f) noexcept {
  peer_record* p = peer_of(peer);
  if (p == nullptr) return;
  std::uint32_t left = none;
  while (p->first != none) {
    const entry& e = entries_[p->first];
    place_record& at = places_[e.place];
    unlink(p->first);
    entries_.give(e.self);
    if (at.is_held) continue;
    at.is_held = true;
    at.next_left = left;
    left = at.self.index;
  }
  by_peer_.erase(static_cast<std::uint64_t>(peer));
  peers_.give(p->self);
  while (left != none) {
    place_record& at = places_[left];
    left = at.next_left;
    at.is_held = false;  // from here on it is f's to remove
    const slot_handle h = at.self;
    f(id_of<place_id>(h));
    if (places_.find(h) != nullptr) drop_if_empty(h.index);
  }
}
inline routes::peer_record* routes::peer_of(peer_id peer) const noexcept {
  if (peer == peer_id{}) return nullptr;
  const std::uint32_t i = by_peer_.find(static_cast<std::uint64_t>(peer));
  return i == none ? nullptr : &peers_[i];
}

// --- announcements ---

inline result<route_id> routes::add(peer_id from, scope_id in, std::string_view path, const route_facts& f) noexcept {
  peer_record* peer = from == peer_id{} ? &local_ : peer_of(from);
  if (peer == nullptr) return errc::stale_handle;
  if (!is_valid_path(path) || (peer != &local_ && peer->in != in)) return errc::bad_argument;
  if (const errc e = check(f); e != errc::ok) return e;
  if (entries_.size() >= options_.routes_max) return errc::limit_reached;
  if (peer != &local_ && peer->count >= options_.routes_per_peer_max) return errc::limit_reached;
  const std::uint64_t key = key_of(in, path);
  std::uint32_t at = find_place(key, in, path);
  if (at == none) at = make_place(key, in, path);
  if (at == none) return errc::out_of_memory;
  slot_handle h;
  entry* e = entries_.take(h);
  if (e != nullptr) {
    e->from = from;
    const std::string_view plain = places_[at].path_view();
    const bool is_plain = path == plain;  // nearly always; only another spelling is kept
    if (store(*e, f) && (is_plain || e->spelling.append(path.data(), path.size()))) {
      e->received = ++clock_;
      e->self = h;
      e->peer = peer->self;
      e->place = at;
      link(h.index, *peer, places_[at]);
      return id_of<route_id>(h);
    }
    entries_.give(h);
  }
  drop_if_empty(at);
  return errc::out_of_memory;
}
inline errc routes::update(route_id id, const route_facts& f) noexcept {
  entry* e = entries_.find(slot_of(id));
  if (e == nullptr) return errc::stale_handle;
  if (const errc why = check(f); why != errc::ok) return why;
  return is_same(*e, f) || store(*e, f) ? errc::ok : errc::out_of_memory;
}
template <class F>
bool routes::remove(route_id id, F&& f) noexcept {
  const entry* e = entries_.find(slot_of(id));
  if (e == nullptr) return false;
  const slot_handle place = places_[e->place].self;
  unlink(slot_of(id).index);
  entries_.give(slot_of(id));
  f(id_of<place_id>(place));
  if (places_.find(place) != nullptr) drop_if_empty(place.index);
  return true;
}
inline std::span<const std::uint64_t> routes::path_of(const entry& e, const route_facts& f) noexcept {
  static constexpr std::uint64_t unknown[] = {0};  // a peer that says nothing is still a hop
  return f.hops.empty() && e.from != peer_id{} ? std::span<const std::uint64_t>(unknown) : f.hops;
}
inline bool routes::is_same(const entry& e, const route_facts& f) noexcept {
  const std::span<const std::uint64_t> hops = path_of(e, f);
  if (e.hops.size() != hops.size() || e.is_exact != f.is_exact) return false;
  for (std::size_t i = 0; i < hops.size(); ++i)
    if (e.hops[i] != hops[i]) return false;
  return e.announced == route_costs{f.warm, f.cold};
}
inline bool routes::store(entry& e, const route_facts& f) noexcept {
  const std::span<const std::uint64_t> hops = path_of(e, f);
  if (!e.hops.reserve(hops.size())) return false;
  e.hops.clear();
  for (const std::uint64_t h : hops)    // front to back, for they may be a part of what is stored
    if (!e.hops.push(h)) return false;  // there is room
  e.has_unknown_hop = has_unknown_hop(e.hops.view());
  e.announced = {f.warm, f.cold};
  e.is_exact = f.is_exact;
  return true;
}

// --- choosing ---

inline route_rank routes::rank(const entry& e) const noexcept {
  const route_link link = peer_of(e).link();
  return {e.has_unknown_hop, costs_over(link, e.hops.size(), e.has_unknown_hop, e.announced), e.hops.size(), e.received,
          link.is_draining};
}
inline std::uint64_t routes::origin_of(const entry& e) const noexcept {
  return e.hops.empty() ? options_.own_hop : e.hops[0];
}
inline route_view routes::view(const entry& e) const noexcept {
  const route_costs costs = rank(e).costs;
  return {.id = id_of<route_id>(e.self),
          .place = id_of<place_id>(places_[e.place].self),
          .from = e.from,
          .path = e.spelling.empty() ? places_[e.place].path_view()
                                     : std::string_view(e.spelling.data(), e.spelling.size()),
          .hops = e.hops.view(),
          .warm = costs.warm,
          .cold = costs.cold,
          .origin = origin_of(e),
          .is_exact = e.is_exact};
}
/// A peer that withholds its hop in what it announces may have declared it elsewhere, so that is looked at as well.
inline bool routes::is_for(const entry& e, const requester& who) const noexcept {
  if (who.peer != peer_id{} && who.peer == e.from) return false;
  return who.hop == 0 || (!passes(e.hops.view(), who.hop) && peer_of(e).facts.hop != who.hop);
}
/// `has_any`: whether there is a route for `who`, be it one of `without` or of another producer: then this is the tier,
/// and neither leads to a shorter prefix.
inline const routes::entry* routes::choose(const place_record& p, const requester& who, peer_id without,
                                           bool is_whole_path, bool& has_any) const noexcept {
  const entry* found = nullptr;
  for (std::uint32_t i = p.first; i != none; i = entries_[i].next_in_place) {
    const entry& e = entries_[i];
    if ((e.is_exact && !is_whole_path) || !is_for(e, who)) continue;
    has_any = true;
    if (without != peer_id{} && e.from == without) continue;
    if (who.origin != 0 && origin_of(e) != who.origin) continue;
    if (found == nullptr || is_better(rank(e), rank(*found))) found = &e;
  }
  return found;
}
inline std::optional<route_view> routes::best(place_id place, const requester& who, peer_id without) const noexcept {
  const place_record* p = places_.find(slot_of(place));
  if (p == nullptr) return {};
  bool has_any = false;
  const entry* e = choose(*p, who, without, true, has_any);
  if (e == nullptr) return {};
  return view(*e);
}
inline std::optional<route_view> routes::resolve(scope_id in, std::string_view path, const requester& who,
                                                 peer_id without) const noexcept {
  std::uint64_t keys[path_segments_max + 1]{first_hash(in, options_.hash_seed)};  // by segments in the prefix
  std::size_t ends[path_segments_max + 1]{};
  std::size_t n = 0;
  segments s(path);
  for (std::string_view part = s.next(); !part.empty(); part = s.next()) {
    if (n == path_segments_max) return {};
    keys[n + 1] = hash_of_segment(part, keys[n]);
    ends[++n] = static_cast<std::size_t>(part.data() - path.data()) + part.size();
  }
  for (std::size_t k = n + 1; k-- != 0;) {
    const std::uint32_t at = find_place(keys[k], in, path.substr(0, ends[k]));
    if (at == none) continue;
    bool has_any = false;
    const entry* e = choose(places_[at], who, without, k == n, has_any);
    if (e != nullptr) return view(*e);
    if (has_any) return {};  // this is the tier, and there is nobody else in it
  }
  return {};
}

// --- reading ---

inline std::optional<place_id> routes::find(scope_id in, std::string_view path) const noexcept {
  const std::uint32_t at = find_place(key_of(in, path), in, path);
  if (at == none) return {};
  return id_of<place_id>(places_[at].self);
}
inline std::optional<route_view> routes::find(route_id id) const noexcept {
  const entry* e = entries_.find(slot_of(id));
  if (e == nullptr) return {};
  return view(*e);
}
inline place_id routes::place_of(route_id id) const noexcept {
  const entry* e = entries_.find(slot_of(id));
  return e == nullptr ? place_id{} : id_of<place_id>(places_[e->place].self);
}
inline std::string_view routes::path(place_id place) const noexcept {
  const place_record* p = places_.find(slot_of(place));
  return p == nullptr ? std::string_view{} : p->path_view();
}
inline scope_id routes::scope(place_id place) const noexcept {
  const place_record* p = places_.find(slot_of(place));
  return p == nullptr ? scope_id{} : scopes_[p->in].id;
}
template <class F>
void routes::for_each_place(scope_id in, F&& f) const noexcept {
  const std::uint32_t s = by_scope_.find(in);
  if (s == none) return;
  for (std::uint32_t i = scopes_[s].first; i != none; i = places_[i].next_in_scope) f(id_of<place_id>(places_[i].self));
}
template <class F>
void routes::for_each_place_of(peer_id peer, F&& f) noexcept {
  const peer_record* p = peer == peer_id{} ? &local_ : peer_of(peer);
  if (p == nullptr) return;
  const std::uint64_t visit = ++visit_;
  for (std::uint32_t i = p->first; i != none; i = entries_[i].next_of_peer) {
    place_record& at = places_[entries_[i].place];
    if (at.visited == visit) continue;
    at.visited = visit;
    f(id_of<place_id>(at.self));
  }
}
template <class F>
void routes::for_each_route(place_id place, F&& f) const noexcept {
  const place_record* p = places_.find(slot_of(place));
  if (p == nullptr) return;
  for (std::uint32_t i = p->first; i != none; i = entries_[i].next_in_place) f(view(entries_[i]));
}
inline std::size_t routes::route_count(peer_id peer) const noexcept {
  const peer_record* p = peer == peer_id{} ? &local_ : peer_of(peer);
  return p == nullptr ? 0 : p->count;
}
inline std::size_t routes::route_count(place_id place) const noexcept {
  const place_record* p = places_.find(slot_of(place));
  return p == nullptr ? 0 : p->count;
}
inline std::size_t routes::place_count(scope_id in) const noexcept {
  const std::uint32_t s = by_scope_.find(in);
  return s == none ? 0 : scopes_[s].count;
}

// --- places ---

/// Keys may be equal by chance or by intent, so what they stand for is compared.
inline std::uint32_t routes::find_place(std::uint64_t key, scope_id in, std::string_view path) const noexcept {
  return by_key_.find(places_, key,
                      [&](const place_record& p) { return scopes_[p.in].id == in && same_path(p.path_view(), path); });
}
inline std::uint32_t routes::make_place(std::uint64_t key, scope_id in, std::string_view path) noexcept {
  const std::uint32_t s = make_scope(in);
  if (s == none) return none;
  slot_handle h;
  place_record* p = places_.take(h);
  if (p != nullptr) {
    char* out = p->path.extend(path.size());
    if ((out != nullptr || path.empty()) && by_key_.insert(places_, key, h.index)) {
      p->path.truncate(normalise(path, out));
      p->key = key;
      p->self = h;
      p->in = s;
      p->next_in_scope = std::exchange(scopes_[s].first, h.index);
      if (p->next_in_scope != none) places_[p->next_in_scope].before_in_scope = h.index;
      ++scopes_[s].count;
      return h.index;
    }
    places_.give(h);
  }
  drop_scope_if_empty(s);
  return none;
}
inline void routes::drop_if_empty(std::uint32_t place) noexcept {
  place_record& p = places_[place];
  if (p.count != 0 || p.is_held) return;
  by_key_.erase(places_, p.key, place);
  const std::uint32_t s = p.in;
  (p.before_in_scope != none ? places_[p.before_in_scope].next_in_scope : scopes_[s].first) = p.next_in_scope;
  if (p.next_in_scope != none) places_[p.next_in_scope].before_in_scope = p.before_in_scope;
  --scopes_[s].count;
  places_.give(p.self);
  drop_scope_if_empty(s);
}
inline std::uint32_t routes::make_scope(scope_id in) noexcept {
  if (const std::uint32_t s = by_scope_.find(in); s != none) return s;
  slot_handle h;
  detail::route_scope* s = scopes_.take(h);
  if (s == nullptr) return none;
  if (!by_scope_.insert(in, h.index)) {
    scopes_.give(h);
    return none;
  }
  s->id = in;
  s->self = h;
  return h.index;
}
inline void routes::drop_scope_if_empty(std::uint32_t at) noexcept {
  const detail::route_scope& s = scopes_[at];
  if (s.count != 0) return;
  by_scope_.erase(s.id);
  scopes_.give(s.self);
}
inline void routes::link(std::uint32_t i, peer_record& peer, place_record& place) noexcept {
  entry& e = entries_[i];
  e.next_in_place = std::exchange(place.first, i);
  if (e.next_in_place != none) entries_[e.next_in_place].before_in_place = i;
  ++place.count;
  e.next_of_peer = std::exchange(peer.first, i);
  if (e.next_of_peer != none) entries_[e.next_of_peer].before_of_peer = i;
  ++peer.count;
}
inline void routes::unlink(std::uint32_t i) noexcept {
  const entry& e = entries_[i];
  place_record& place = places_[e.place];
  (e.before_in_place != none ? entries_[e.before_in_place].next_in_place : place.first) = e.next_in_place;
  if (e.next_in_place != none) entries_[e.next_in_place].before_in_place = e.before_in_place;
  --place.count;
  peer_record& peer = peer_of(e);
  (e.before_of_peer != none ? entries_[e.before_of_peer].next_of_peer : peer.first) = e.next_of_peer;
  if (e.next_of_peer != none) entries_[e.next_of_peer].before_of_peer = e.before_of_peer;
  --peer.count;
}

}  // namespace moql
