#pragma once
/// Who can serve what: every announcement of every peer, the loop check, and the best route for a requester. Draft 06
/// sections 5.1.1.1 and 5.1.1.2.

#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "../base/index.hpp"
#include "../base/result.hpp"
#include "../base/text.hpp"
#include "../stream/route_order.hpp"
#include "ids.hpp"

namespace moql {

struct routes_options {
  std::uint64_t own_hop = 0;  ///< The relay's own Hop ID; 0: it has none, and loops are not seen.
  /// Announcements of one peer, as a session bounds them; what the relay originates counts in the total only.
  std::size_t routes_per_peer_max = 10'000;
  std::size_t routes_max = 100'000;  ///< Announcements of all peers together.
  std::uint64_t hash_seed = 0;       ///< Random: then nobody can choose paths that fall into one place of the index.
};

/// A peer as far as routes need to know it.
struct advertiser {
  std::uint64_t hop = 0;        ///< The Hop ID it declared; 0 is unknown.
  std::uint64_t link_cost = 1;  ///< Added to what it announces.
  bool knows_costs = true;      ///< 06. Without, see `costs_over`.
};

/// One announcement.
struct route_facts {
  /// In the one form for all versions: origin first, the announcing peer last, 0 is unknown. Empty for what the relay
  /// originates; from a peer an empty list is one unknown hop. At most `hops_max`.
  std::span<const std::uint64_t> hops{};
  std::uint64_t warm{}, cold{};  ///< As announced, without the link; at most `cost_ceiling`.
  bool is_exact = false;         ///< Announced before 06: the one broadcast of that path, not what is below it.
};

/// Who asks. What came from it, or passed its hop, is not for it.
struct requester {
  peer_id peer{};       ///< 0: nobody, for whom everything is.
  std::uint64_t hop{};  ///< As declared; 0 matches nothing (R-083).
  /// Only routes of this producer (`route_view::first_hop`), for who has some of its content already; 0: any.
  std::uint64_t origin{};
};

/// One route as it may be used and passed on. Borrows: valid until the table changes.
struct route_view {
  route_id id{};
  place_id place{};
  peer_id from{};                         ///< Where to ask; 0 is the relay itself.
  std::string_view path{};                ///< As `from` spells it.
  std::span<const std::uint64_t> hops{};  ///< Origin first, `from` last.
  std::uint64_t warm{}, cold{};           ///< With the link's cost.
  std::uint64_t origin{};                 ///< See `first_hop`.
  bool is_exact = false;
  /// Who produces the content: the first hop, or the relay's own for what it originates; 0 is unknown.
  [[nodiscard]] constexpr std::uint64_t first_hop() const noexcept { return origin; }
};
/// Whether two routes lead to the same producer, so that content of one may continue with that of the other. Unknown
/// producers are never the same.
[[nodiscard]] constexpr bool same_origin(const route_view& a, const route_view& b) noexcept {
  return a.first_hop() != 0 && a.first_hop() == b.first_hop();
}

namespace detail {

struct route_entry {
  explicit route_entry(memory m = {}) noexcept : spelling(m), hops(m) {}
  vec<char> spelling;  // of the path as it was announced, if that is not the place's
  vec<std::uint64_t> hops;
  std::uint64_t received = 0;  // later is newer
  route_costs announced{};
  slot_handle self{};
  slot_handle peer{};  // its record; zero for what the relay originates
  peer_id from{};
  std::uint32_t place = 0;
  std::uint32_t before_in_place = slot_index::none, next_in_place = slot_index::none;
  std::uint32_t before_of_peer = slot_index::none, next_of_peer = slot_index::none;
  bool has_unknown_hop = false;
  bool is_exact = false;
  void recycle() noexcept {
    spelling.clear();
    hops.clear();
    before_in_place = next_in_place = before_of_peer = next_of_peer = slot_index::none;
  }
};

struct route_place {
  explicit route_place(memory m = {}) noexcept : path(m) {}
  vec<char> path;  // normalised
  std::uint64_t key = 0;
  std::uint64_t visited = 0;
  slot_handle self{};
  std::uint32_t in = 0;  // its scope's record
  std::uint32_t count = 0;
  std::uint32_t first = slot_index::none;        // of its routes
  std::uint32_t next_of_key = slot_index::none;  // another place with the same key
  std::uint32_t before_in_scope = slot_index::none, next_in_scope = slot_index::none;
  std::uint32_t next_left = slot_index::none;
  bool is_held = false;  // will be shown to the caller: stays, even without routes
  [[nodiscard]] std::string_view path_view() const noexcept { return {path.data(), path.size()}; }
  void recycle() noexcept {
    path.clear();
    count = 0;
    first = next_of_key = before_in_scope = next_in_scope = next_left = slot_index::none;
  }
};

struct route_scope {
  explicit route_scope(memory = {}) noexcept {}
  scope_id id{};
  slot_handle self{};
  std::uint32_t first = slot_index::none;  // of its places
  std::uint32_t count = 0;
  void recycle() noexcept { first = slot_index::none, count = 0; }
};

struct route_peer {
  explicit route_peer(memory = {}) noexcept {}
  advertiser facts{};
  scope_id in{};
  slot_handle self{};
  std::uint32_t first = slot_index::none;  // of its routes
  std::uint32_t count = 0;
  bool is_draining = false;
  [[nodiscard]] route_link link() const noexcept { return {facts.link_cost, facts.knows_costs, is_draining}; }
  void recycle() noexcept {
    first = slot_index::none, count = 0;
    is_draining = false;
  }
};

}  // namespace detail

/// A table, and nothing but that: it knows no sessions and sends nothing. A place is one path of one scope with all its
/// routes; paths are compared by segments. Unless it says otherwise, a call that fails changes nothing.
class routes {
 public:
  explicit routes(const routes_options& o = {}, memory m = {}) noexcept
      : options_(o), entries_(m), places_(m), scopes_(m), peers_(m), by_key_(m), by_scope_(m), by_peer_(m) {
    local_.facts.link_cost = 0;
  }

  /// A new peer; what it announces is in that scope. The zero peer, what the relay itself originates, is always there,
  /// in every scope, and its link costs nothing. Fails with wrong_state when it has joined, or out_of_memory.
  [[nodiscard]] errc join(peer_id peer, scope_id in, const advertiser& a) noexcept;
  /// These take effect on all routes of the peer, at once. The zero peer and a stale one give stale_handle.
  errc set_hop(peer_id peer, std::uint64_t hop) noexcept;
  errc set_link_cost(peer_id peer, std::uint64_t cost) noexcept;
  errc set_knows_costs(peer_id peer, bool knows) noexcept;
  /// The peer is going away: its routes cost the ceiling, but may be used until it leaves.
  errc set_draining(peer_id peer, bool is_draining = true) noexcept;
  /// Takes the peer and its routes out. Then f(place_id) for each place that lost one: the place and what is left there
  /// can be read inside; without routes it goes after that. f may change the table. Nothing for who has not joined.
  template <class F>
  void leave(peer_id peer, F&& f) noexcept;
  void leave(peer_id peer) noexcept {
    leave(peer, [](place_id) {});
  }

  /// An announcement. The same peer may announce a path more than once. Fails with duplicate_hop when the path leads
  /// through ourselves or twice through one hop, too_many above `hops_max`, bad_argument when the path
  /// or a number cannot travel or the scope is not the peer's, stale_handle for an unknown peer, limit_reached,
  /// out_of_memory.
  [[nodiscard]] result<route_id> add(peer_id from, scope_id in, std::string_view path, const route_facts& f) noexcept;
  /// Other hops or costs, in place. Its age stays: if every update made a route the newest, and so the best of
  /// equal ones, relays that tell one another of their choice would change it for ever. Fails as `add` does; the
  /// route stays as it was, and whoever cannot keep the old one (R-080 forbids that) removes it.
  [[nodiscard]] errc update(route_id id, const route_facts& f) noexcept;
  /// Withdraws, and then f(place_id), as in `leave`. False for a stale route.
  template <class F>
  bool remove(route_id id, F&& f) noexcept;
  bool remove(route_id id) noexcept {
    return remove(id, [](place_id) {});
  }

  /// The best route of exactly this place; an exact one is as good as any here. `without` is left out as well.
  [[nodiscard]] std::optional<route_view> best(place_id place, const requester& who,
                                               peer_id without = {}) const noexcept;
  /// The best route of the longest covering prefix that has one for `who`, of whatever producer. Whoever
  /// refused goes into `without` and is left out. If what remains of that tier is nothing, or of other producers than
  /// `who.origin`, there is none: that never leads to a shorter prefix.
  [[nodiscard]] std::optional<route_view> resolve(scope_id in, std::string_view path, const requester& who,
                                                  peer_id without = {}) const noexcept;

  /// The place of a path, if anything is announced there.
  [[nodiscard]] std::optional<place_id> find(scope_id in, std::string_view path) const noexcept;
  /// None for a stale route.
  [[nodiscard]] std::optional<route_view> find(route_id id) const noexcept;
  /// Zero for a stale route.
  [[nodiscard]] place_id place_of(route_id id) const noexcept;
  /// Normalised: no leading, trailing or repeated slashes. Valid as long as the place; empty for a stale one.
  [[nodiscard]] std::string_view path(place_id place) const noexcept;
  [[nodiscard]] scope_id scope(place_id place) const noexcept;

  /// f(place_id) for each place of the scope; f must not change the table.
  template <class F>
  void for_each_place(scope_id in, F&& f) const noexcept;
  /// f(place_id), once for each place at which the peer announces something; f must not change the table.
  template <class F>
  void for_each_place_of(peer_id peer, F&& f) noexcept;
  /// f(const route_view&) for each route of a place, whoever asks, in no particular order; f must not change the table.
  template <class F>
  void for_each_route(place_id place, F&& f) const noexcept;

  [[nodiscard]] std::size_t route_count() const noexcept { return entries_.size(); }
  [[nodiscard]] std::size_t place_count() const noexcept { return places_.size(); }
  [[nodiscard]] std::size_t peer_count() const noexcept { return peers_.size(); }
  /// Of one peer, of one place; 0 for a stale one.
  [[nodiscard]] std::size_t route_count(peer_id peer) const noexcept;
  [[nodiscard]] std::size_t route_count(place_id place) const noexcept;
  [[nodiscard]] std::size_t place_count(scope_id in) const noexcept;
  [[nodiscard]] bool has_joined(peer_id peer) const noexcept { return peer_of(peer) != nullptr; }
  [[nodiscard]] const routes_options& options() const noexcept { return options_; }

 private:
  using entry = detail::route_entry;
  using place_record = detail::route_place;
  using peer_record = detail::route_peer;
  static constexpr std::uint32_t none = slot_index::none;

  template <class Id>
  [[nodiscard]] static slot_handle slot_of(Id id) noexcept {
    return slot_handle::unpack(static_cast<std::uint64_t>(id));
  }
  template <class Id>
  [[nodiscard]] static Id id_of(slot_handle h) noexcept {
    return static_cast<Id>(h.packed());
  }
  [[nodiscard]] peer_record* peer_of(peer_id peer) const noexcept;
  [[nodiscard]] peer_record& peer_of(const entry& e) const noexcept {
    return e.peer == slot_handle{} ? local_ : peers_[e.peer.index];
  }
  [[nodiscard]] errc check(const route_facts& f) const noexcept {
    return check_route(f.hops, {f.warm, f.cold}, options_.own_hop);
  }
  [[nodiscard]] static std::span<const std::uint64_t> path_of(const entry& e, const route_facts& f) noexcept;
  [[nodiscard]] static bool is_same(const entry& e, const route_facts& f) noexcept;
  [[nodiscard]] bool store(entry& e, const route_facts& f) noexcept;
  [[nodiscard]] route_rank rank(const entry& e) const noexcept;
  [[nodiscard]] route_view view(const entry& e) const noexcept;
  [[nodiscard]] std::uint64_t origin_of(const entry& e) const noexcept;
  [[nodiscard]] bool is_for(const entry& e, const requester& who) const noexcept;
  const entry* choose(const place_record& p, const requester& who, peer_id without, bool is_whole_path,
                      bool& has_any) const noexcept;

  [[nodiscard]] std::uint32_t find_place(std::uint64_t key, scope_id in, std::string_view path) const noexcept;
  [[nodiscard]] std::uint64_t key_of(scope_id in, std::string_view path) const noexcept {
    return hash_of_path(path, first_hash(in, options_.hash_seed));
  }
  [[nodiscard]] std::uint32_t make_place(std::uint64_t key, scope_id in, std::string_view path) noexcept;
  void drop_if_empty(std::uint32_t place) noexcept;
  [[nodiscard]] std::uint32_t make_scope(scope_id in) noexcept;
  void drop_scope_if_empty(std::uint32_t at) noexcept;
  void link(std::uint32_t i, peer_record& peer, place_record& place) noexcept;
  void unlink(std::uint32_t i) noexcept;

  routes_options options_;
  // `slab::find` is not const, though all it does is look.
  mutable slab<entry> entries_;
  mutable slab<place_record> places_;
  mutable slab<detail::route_scope> scopes_;
  mutable slab<peer_record> peers_;
  chained_index<place_record, &place_record::next_of_key> by_key_;
  slot_index by_scope_;
  slot_index by_peer_;
  mutable peer_record local_;
  std::uint64_t clock_ = 0;
  std::uint64_t visit_ = 0;
};

}  // namespace moql

#include "routes_impl.hpp"
