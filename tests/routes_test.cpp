// The relay's route table: what is kept, what is offered to whom, and which route is the best.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "counting_memory.hpp"
#include "hex.hpp"
#include "moql/message/announce.hpp"
#include "moql/relay/routes.hpp"

using namespace moql;

namespace {

using numbers = std::vector<std::uint64_t>;
constexpr peer_id local{};
constexpr peer_id peer(std::uint32_t index, std::uint32_t generation = 1) {
  return static_cast<peer_id>(slot_handle{index, generation}.packed());
}
constexpr peer_id p1 = peer(0), p2 = peer(1), p3 = peer(2);
constexpr requester anybody{};
constexpr std::uint64_t own = 500;
constexpr routes_options as_relay{.own_hop = own};

/// A route as people write it. Borrows `hops`.
route_facts facts_of(const numbers& hops, std::uint64_t warm = 0, std::uint64_t cold = 0, bool is_exact = false) {
  return {.hops = hops, .warm = warm, .cold = cold, .is_exact = is_exact};
}
route_id must_add(routes& t, peer_id from, std::string_view path, const numbers& hops, std::uint64_t warm = 0,
                  std::uint64_t cold = 0, scope_id in = 0, bool is_exact = false) {
  const result<route_id> id = t.add(from, in, path, facts_of(hops, warm, cold, is_exact));
  CAPTURE(path);
  REQUIRE(id.error() == errc::ok);
  return *id;
}
route_id id_of(const std::optional<route_view>& v) { return v ? v->id : route_id{}; }
/// The best route at the place of a path.
route_id best_at(const routes& t, std::string_view path, const requester& who = anybody, peer_id without = {}) {
  const auto place = t.find(0, path);
  return place ? id_of(t.best(*place, who, without)) : route_id{};
}
numbers hops_of(const route_view& v) { return {v.hops.begin(), v.hops.end()}; }
std::set<std::string> paths_of(routes& t, peer_id p) {
  std::set<std::string> out;
  t.for_each_place_of(p, [&](place_id at) { CHECK(out.emplace(t.path(at)).second); });
  return out;
}
std::set<std::string> paths_in(const routes& t, scope_id in) {
  std::set<std::string> out;
  t.for_each_place(in, [&](place_id at) { CHECK(out.emplace(t.path(at)).second); });
  return out;
}

}  // namespace

// --- the order ---

TEST_CASE("specificity, no unknown hop, warm, cold, length, newest: in that order R-086 [seed 5.2 a]") {
  struct one {
    std::string_view prefix;
    numbers hops;
    std::uint64_t warm, cold;
  };
  struct row {
    const char* what;
    one better, worse;
  };
  // Each better one is worse, or equal, in all that is looked at later.
  const row table[] = {
      {"the longer prefix", {"a/b", {0, 7, 8}, 900, 900}, {"a", {7}, 0, 0}},
      {"anything rather than the root", {"a", {0, 7, 8}, 900, 900}, {"", {7}, 0, 0}},
      {"no unknown hop", {"a", {7, 8, 9}, 900, 900}, {"a", {0}, 0, 0}},
      {"no unknown hop, wherever it is", {"a", {7, 8, 9}, 900, 900}, {"a", {7, 0}, 0, 0}},
      {"the lower warm cost", {"a", {7, 8, 9}, 4, 900}, {"a", {7}, 5, 0}},
      {"the lower cold cost", {"a", {7, 8, 9}, 4, 8}, {"a", {7}, 4, 9}},
      {"the shorter path", {"a", {7, 8}, 4, 8}, {"a", {1, 2, 3}, 4, 8}},
  };
  for (const row& r : table) {
    for (const bool better_first : {true, false}) {
      CAPTURE(r.what);
      CAPTURE(better_first);
      routes t(as_relay);
      REQUIRE(t.join(p1, 0, {}) == errc::ok);
      REQUIRE(t.join(p2, 0, {}) == errc::ok);
      route_id better{}, worse{};
      if (better_first) better = must_add(t, p1, r.better.prefix, r.better.hops, r.better.warm, r.better.cold);
      worse = must_add(t, p2, r.worse.prefix, r.worse.hops, r.worse.warm, r.worse.cold);
      if (!better_first) better = must_add(t, p1, r.better.prefix, r.better.hops, r.better.warm, r.better.cold);
      CHECK(id_of(t.resolve(0, "a/b/c", anybody)) == better);
      CHECK(t.remove(better));
      CHECK(id_of(t.resolve(0, "a/b/c", anybody)) == worse);
    }
  }
}

TEST_CASE("of equal routes the newest is taken, so a reconnect takes over R-086 [seed 5.2 a]") {
  routes t(as_relay);
  REQUIRE(t.join(p1, 0, {}) == errc::ok);
  REQUIRE(t.join(p2, 0, {}) == errc::ok);
  const route_id a = must_add(t, p1, "x", {7}, 1, 2);
  const route_id b = must_add(t, p2, "x", {7}, 1, 2);
  CHECK(best_at(t, "x") == b);
  const numbers same{7}, other{8};
  CHECK(t.update(a, facts_of(same, 1, 2)) == errc::ok);  // says nothing new: does not pull the route over
  CHECK(best_at(t, "x") == b);
  CHECK(t.update(a, facts_of(other, 1, 2)) == errc::ok);  // nor does an update: relays would swing for ever
  CHECK(best_at(t, "x") == b);
  REQUIRE(t.remove(a));
  CHECK(best_at(t, "x") == b);
  CHECK(best_at(t, "x") != must_add(t, p1, "x", {7}, 1, 3));
  CHECK(best_at(t, "x") != must_add(t, p1, "x", {7}, 2, 2));
  const route_id again = must_add(t, p1, "x", {7}, 1, 2);
  CHECK(best_at(t, "x") == again);
}

TEST_CASE("link costs count: a cheap route over a dear link loses R-086") {
  routes t(as_relay);
  REQUIRE(t.join(p1, 0, {.link_cost = 10}) == errc::ok);
  REQUIRE(t.join(p2, 0, {.link_cost = 1}) == errc::ok);
  const route_id a = must_add(t, p1, "x", {7}, 5, 100);
  const route_id b = must_add(t, p2, "x", {8}, 13, 200);
  CHECK(best_at(t, "x") == b);
  CHECK(t.find(a)->warm == 15);
  CHECK(t.find(a)->cold == 110);
  CHECK(t.find(b)->warm == 14);
  CHECK(t.set_link_cost(p1, 0) == errc::ok);
  CHECK(best_at(t, "x") == a);
  CHECK(t.find(a)->warm == 5);
}

// --- loops and exclusion ---

TEST_CASE("a path through our own hop is discarded, whoever sent it R-080 [seed 5.2 b]") {
  routes t(as_relay);
  REQUIRE(t.join(p1, 0, {}) == errc::ok);
  for (const numbers& hops : {numbers{own}, numbers{7, own, 8}, numbers{own, 8}, numbers{7, own}}) {
    CHECK(t.add(p1, 0, "x", facts_of(hops)).error() == errc::duplicate_hop);
    CHECK(t.add(local, 0, "x", facts_of(hops)).error() == errc::duplicate_hop);
  }
  CHECK(t.place_count() == 0);
  const route_id a = must_add(t, p1, "x", {7});
  const numbers through_us{own, 7};
  CHECK(t.update(a, facts_of(through_us)) == errc::duplicate_hop);
  CHECK(hops_of(*t.find(a)) == numbers{7});
  routes nameless;  // hop 0 matches nothing
  REQUIRE(nameless.join(p1, 0, {}) == errc::ok);
  must_add(nameless, p1, "x", {0, 0, 7});
}

TEST_CASE("what came from a peer or passed its hop is not offered to it R-081 R-082 [seed 5.2 b]") {
  routes t(as_relay);
  REQUIRE(t.join(p1, 0, {.hop = 7}) == errc::ok);
  REQUIRE(t.join(p2, 0, {.hop = 8}) == errc::ok);
  REQUIRE(t.join(p3, 0, {.hop = 9}) == errc::ok);
  const route_id a = must_add(t, p1, "x", {3, 7}, 0);
  const route_id b = must_add(t, p2, "x", {3, 9, 8}, 50);
  CHECK(best_at(t, "x", {p3, 9}) == a);
  CHECK(best_at(t, "x", {p1, 7}) == b);
  CHECK(best_at(t, "x", {p1, 9}) == route_id{});  // one by its session, the other by its hop
  CHECK(best_at(t, "x", {p3, 3}) == route_id{});  // the origin itself
  CHECK(best_at(t, "x", {p3, 7}) == b);           // another session of the same peer
  CHECK(id_of(t.resolve(0, "x/y", {p1, 7})) == b);
  CHECK_FALSE(t.resolve(0, "x/y", {p1, 9}));
}

TEST_CASE("the exclusion comes before the tier: what a requester may not have does not hide a shorter prefix R-082") {
  routes t(as_relay);
  REQUIRE(t.join(p1, 0, {}) == errc::ok);
  REQUIRE(t.join(p2, 0, {}) == errc::ok);
  must_add(t, p1, "a/b", {7});
  const route_id broad = must_add(t, p2, "a", {8});
  CHECK(id_of(t.resolve(0, "a/b/c", {p1, 0})) == broad);
  CHECK(id_of(t.resolve(0, "a/b/c", {p3, 7})) == broad);
}

TEST_CASE("hop 0 matches nothing: neither paths nor requesters without a hop are excluded R-083") {
  routes t(as_relay);
  REQUIRE(t.join(p1, 0, {.hop = 0}) == errc::ok);
  const route_id a = must_add(t, p1, "x", {0, 0});
  CHECK(best_at(t, "x", {p2, 0}) == a);
  CHECK(best_at(t, "x", {peer(0, 2), 0}) == a);  // another generation of the slot is another peer
  CHECK(best_at(t, "x", {p1, 0}) == route_id{});
}

TEST_CASE("a peer that withholds its hop in announcements is known by the one it declared R-081") {
  routes t(as_relay);
  REQUIRE(t.join(p1, 0, {}) == errc::ok);
  const route_id a = must_add(t, p1, "x", {3, 0});
  CHECK(best_at(t, "x", {p2, 7}) == a);
  CHECK(t.set_hop(p1, 7) == errc::ok);
  CHECK(best_at(t, "x", {p2, 7}) == route_id{});  // the second session of the same peer
  CHECK(hops_of(*t.find(a)) == numbers{3, 0});    // but what is passed on still says 0
}

TEST_CASE("a received 0 stays 0 and a peer without hops is one unknown hop R-084") {
  routes t(as_relay);
  REQUIRE(t.join(p1, 0, {.hop = 7, .knows_costs = false}) == errc::ok);
  const route_id none = must_add(t, p1, "x", {});
  const route_id zeros = must_add(t, p1, "y", {0, 0, 0});
  CHECK(hops_of(*t.find(none)) == numbers{0});
  CHECK(hops_of(*t.find(zeros)) == numbers{0, 0, 0});
  CHECK(t.find(none)->first_hop() == 0);
  const route_id ours = must_add(t, local, "x", {});
  CHECK(t.find(ours)->hops.empty());
  CHECK(best_at(t, "x") == ours);  // no unknown hop in it
}

// --- tiers ---

TEST_CASE("a refusal never leads to a shorter prefix: its tier is fixed before it is left out R-085 R-091") {
  routes t(as_relay);
  for (const peer_id p : {p1, p2, p3}) REQUIRE(t.join(p, 0, {}) == errc::ok);
  must_add(t, p3, "", {9});
  const route_id a = must_add(t, p1, "a/b", {7}, 0);
  CHECK(id_of(t.resolve(0, "a/b/c", anybody)) == a);
  CHECK_FALSE(t.resolve(0, "a/b/c", anybody, p1));  // nobody else in the tier; the root is not asked
  const route_id b = must_add(t, p2, "a/b", {8}, 50);
  CHECK(id_of(t.resolve(0, "a/b/c", anybody, p1)) == b);
  CHECK(id_of(t.resolve(0, "a/b/c", anybody, p2)) == a);
  CHECK_FALSE(t.resolve(0, "a/b/c", {p2, 0}, p1));
  CHECK(best_at(t, "a/b", anybody, p1) == b);
  CHECK(best_at(t, "a/b", {p2, 0}, p1) == route_id{});
}

TEST_CASE("prefixes cover whole segments, however they are spelled R-049") {
  routes t(as_relay);
  REQUIRE(t.join(p1, 0, {}) == errc::ok);
  const route_id room = must_add(t, p1, "/room//1/", {7});
  const route_id root = must_add(t, p1, "//", {7});
  CHECK(t.path(t.place_of(room)) == "room/1");
  CHECK(t.path(t.place_of(root)).empty());
  CHECK(id_of(t.resolve(0, "room/1", anybody)) == room);
  CHECK(id_of(t.resolve(0, "room///1/video/", anybody)) == room);
  CHECK(id_of(t.resolve(0, "room/12", anybody)) == root);
  CHECK(id_of(t.resolve(0, "room", anybody)) == root);
  CHECK(id_of(t.resolve(0, "", anybody)) == root);
  CHECK(t.find(0, "room/1/") == t.place_of(room));
  CHECK_FALSE(t.find(0, "room"));
  CHECK(t.place_count() == 2);
}

TEST_CASE("an announcement from before 06 is one broadcast and covers nothing below it") {
  routes t(as_relay);
  REQUIRE(t.join(p1, 0, {.knows_costs = false}) == errc::ok);
  REQUIRE(t.join(p2, 0, {}) == errc::ok);
  const route_id root = must_add(t, p2, "", {8});
  const route_id old = must_add(t, p1, "a/b", {7}, 0, 0, 0, true);
  CHECK(id_of(t.resolve(0, "a/b", anybody)) == old);
  CHECK(id_of(t.resolve(0, "a/b/c", anybody)) == root);
  CHECK(best_at(t, "a/b") == old);
  CHECK_FALSE(t.resolve(0, "a/b", anybody, p1));  // it is the tier of its own path
  const route_id wide = must_add(t, p2, "a/b", {8}, 900, 900);
  CHECK(id_of(t.resolve(0, "a/b", anybody)) == old);
  CHECK(id_of(t.resolve(0, "a/b/c", anybody)) == wide);
}

TEST_CASE("paths of 32 segments are found and longer ones are refused or not found") {
  std::string path = "s";
  while (segment_count(path) < path_segments_max) path += "/s";
  routes t(as_relay);
  const route_id a = must_add(t, local, path, {});
  CHECK(id_of(t.resolve(0, path, anybody)) == a);
  CHECK_FALSE(t.resolve(0, path + "/s", anybody));
  CHECK(t.add(local, 0, path + "/s", {}).error() == errc::bad_argument);
  CHECK(t.add(local, 0, "\xff", {}).error() == errc::bad_argument);
  CHECK_FALSE(t.resolve(0, "\xff", anybody));
  const route_id root = must_add(t, local, "", {});
  CHECK(id_of(t.resolve(0, std::string(100'000, '/') + "x", anybody)) == root);
}

// --- change ---

TEST_CASE("when the best route goes the place has the other one R-079 [seed 5.2 c]") {
  routes t(as_relay);
  for (const peer_id p : {p1, p2, p3}) REQUIRE(t.join(p, 0, {}) == errc::ok);
  const route_id a = must_add(t, p1, "x", {3, 7}, 0);
  const route_id b = must_add(t, p2, "x", {3, 8}, 5);
  const route_id c = must_add(t, p3, "x", {4, 9}, 6);
  const route_view first = *t.best(*t.find(0, "x"), anybody);
  CHECK(first.id == a);
  std::vector<place_id> touched;
  t.leave(p1, [&](place_id at) {
    touched.push_back(at);
    CHECK(id_of(t.best(at, anybody)) == b);
  });
  CHECK(touched == std::vector<place_id>{*t.find(0, "x")});
  CHECK_FALSE(t.find(a));
  CHECK_FALSE(t.has_joined(p1));
  CHECK(t.remove(b, [&](place_id at) { CHECK(id_of(t.best(at, anybody)) == c); }));
  CHECK(t.remove(c, [&](place_id at) {  // the last one: what nobody serves any longer can still be named
    CHECK(t.path(at) == "x");
    CHECK_FALSE(t.best(at, anybody));
    CHECK(t.route_count(at) == 0);
  }));
  CHECK_FALSE(t.find(0, "x"));
  CHECK(t.place_count() == 0);
  CHECK_FALSE(t.remove(c));
}

TEST_CASE("a peer that leaves is told of each of its places once, when all its routes are gone R-045") {
  routes t(as_relay);
  for (const peer_id p : {p1, p2}) REQUIRE(t.join(p, 0, {}) == errc::ok);
  for (const char* path : {"a", "a/b", "c", "a"}) must_add(t, p1, path, {7});
  const route_id kept = must_add(t, p2, "a", {8}, 70);
  CHECK(paths_of(t, p1) == std::set<std::string>{"a", "a/b", "c"});
  CHECK(t.route_count(p1) == 4);
  std::multiset<std::string> told;
  t.leave(p1, [&](place_id at) {
    told.emplace(t.path(at));
    CHECK(id_of(t.resolve(0, "a/b/c", anybody)) == kept);
    CHECK_FALSE(t.resolve(0, "c", anybody));
  });
  CHECK(told == std::multiset<std::string>{"a", "a/b", "c"});
  CHECK(t.route_count() == 1);
  CHECK(paths_in(t, 0) == std::set<std::string>{"a"});
  t.leave(p1, [](place_id) { CHECK(false); });  // not there any longer
  t.leave(local, [](place_id) { CHECK(false); });
}

TEST_CASE("whoever is told of a change may change the table") {
  routes t(as_relay);
  for (const peer_id p : {p1, p2}) REQUIRE(t.join(p, 0, {}) == errc::ok);
  std::vector<route_id> others;
  for (int i = 0; i < 40; ++i) {
    const std::string path = "p" + std::to_string(i);
    must_add(t, p1, path, {7});
    if (i % 2 == 0) others.push_back(must_add(t, p2, path, {8}));
  }
  int calls = 0;
  std::size_t made = 0;
  t.leave(p1, [&](place_id at) {
    if (++calls == 1) CHECK(t.remove(others.back()));  // the last one of a place that is still to be told of
    if (calls == 3) t.leave(p2);
    if (calls % 5 == 0) {
      must_add(t, local, t.path(at), {});
      ++made;
    }
    if (calls == 7) CHECK(t.remove(must_add(t, local, t.path(at), {})));  // empties the place that is being told of
    if (calls == 7) CHECK(t.path(at).empty());
  });
  CHECK(calls == 40);
  CHECK(t.route_count() == made);
  CHECK(t.place_count() == made);
  for (const route_id id : others) CHECK_FALSE(t.find(id));
}

TEST_CASE("routes of a draining peer cost the ceiling and stay usable R-164") {
  routes t(as_relay);
  REQUIRE(t.join(p1, 0, {}) == errc::ok);
  REQUIRE(t.join(p2, 0, {.link_cost = 1000}) == errc::ok);
  REQUIRE(t.join(p3, 0, {.knows_costs = false}) == errc::ok);
  const route_id a = must_add(t, p1, "x", {7}, 0, 0);
  const route_id b = must_add(t, p2, "x", {3, 4, 8}, 1000, 1000);
  CHECK(best_at(t, "x") == a);
  CHECK(t.set_draining(p1) == errc::ok);
  CHECK(best_at(t, "x") == b);
  CHECK(t.find(a)->warm == cost_ceiling);
  CHECK(t.find(a)->cold == cost_ceiling);
  CHECK(best_at(t, "x", {p2, 0}) == a);  // still the only one for the other
  const route_id late = must_add(t, p1, "y", {7});
  CHECK(t.find(late)->warm == cost_ceiling);
  CHECK(id_of(t.resolve(0, "y", anybody)) == late);
  CHECK(t.set_draining(p1, false) == errc::ok);
  CHECK(best_at(t, "x") == a);
  const route_id old = must_add(t, p3, "z", {9});
  CHECK(t.set_draining(p3) == errc::ok);
  CHECK(t.find(old)->warm == cost_ceiling);
}

TEST_CASE("only routes with the same known first hop have the same origin R-088") {
  routes t(as_relay);
  for (const peer_id p : {p1, p2}) REQUIRE(t.join(p, 0, {}) == errc::ok);
  const auto view = [&](peer_id p, const numbers& hops) { return *t.find(must_add(t, p, "x", hops)); };
  CHECK(same_origin(view(p1, {3, 7}), view(p2, {3, 5, 8})));
  CHECK_FALSE(same_origin(view(p1, {3, 7}), view(p2, {4, 3, 8})));
  CHECK_FALSE(same_origin(view(p1, {0, 7}), view(p2, {0, 8})));
  CHECK_FALSE(same_origin(view(p1, {0}), view(p1, {0})));
  const route_view ours = view(local, {});
  CHECK(ours.first_hop() == own);
  CHECK(same_origin(ours, view(local, {})));
  routes nameless;
  const route_view unknown = *nameless.find(must_add(nameless, local, "x", {}));
  CHECK_FALSE(same_origin(unknown, unknown));
}

TEST_CASE("who has content of one producer gets only routes to it, and never from a shorter prefix R-085 R-088") {
  routes t(as_relay);
  for (const peer_id p : {p1, p2, p3}) REQUIRE(t.join(p, 0, {}) == errc::ok);
  const route_id cheap = must_add(t, p1, "a", {4, 7}, 0);
  const route_id same = must_add(t, p2, "a", {3, 8}, 50);
  const route_id root = must_add(t, p3, "", {3, 9}, 0);
  const route_id ours = must_add(t, local, "a", {}, 90);
  const requester had_3{.peer = peer(9), .origin = 3}, had_ours{.peer = peer(9), .origin = own};
  CHECK(id_of(t.resolve(0, "a/x", anybody)) == cheap);
  CHECK(id_of(t.resolve(0, "a/x", had_3)) == same);
  CHECK(id_of(t.resolve(0, "a/x", had_ours)) == ours);
  CHECK(best_at(t, "a", had_3) == same);
  CHECK(t.remove(same));
  CHECK_FALSE(t.resolve(0, "a/x", had_3));  // others are in that tier: it is asked again, the root is not
  CHECK(t.remove(cheap));
  CHECK(t.remove(ours));
  CHECK(id_of(t.resolve(0, "a/x", had_3)) == root);  // nobody is in that tier: the root is the tier
}

// --- costs ---

TEST_CASE("sums of costs stop at 2^62-1 and travel in 8 bytes R-094 [seed 5.2 d]") {
  CHECK(cost_ceiling == 0x3fff'ffff'ffff'ffff);
  CHECK(add_costs(cost_ceiling, 0) == cost_ceiling);
  CHECK(add_costs(cost_ceiling, 1) == cost_ceiling);
  CHECK(add_costs(cost_ceiling - 1, 1) == cost_ceiling);
  CHECK(add_costs(cost_ceiling - 2, 1) == cost_ceiling - 1);
  CHECK(add_costs(UINT64_MAX, UINT64_MAX) == cost_ceiling);
  CHECK(add_costs(0, UINT64_MAX) == cost_ceiling);
  CHECK(add_costs(0, 0) == 0);
  routes t(as_relay);
  REQUIRE(t.join(p1, 0, {.link_cost = 5}) == errc::ok);
  const route_id a = must_add(t, p1, "x", {7}, cost_ceiling - 3, cost_ceiling);
  const route_view v = *t.find(a);
  CHECK(v.warm == cost_ceiling);
  CHECK(v.cold == cost_ceiling);
  std::uint8_t out[64]{};
  const msg::announce_start m{.suffix = t.path(v.place), .hops = {v.hops}, .warm = v.warm, .cold = v.cold};
  const std::size_t n = encoded_size(m, lite06);
  REQUIRE(encode(m, lite06, out).why == errc::ok);
  CHECK(tests::to_hex({out, n}) ==
        "0014"
        "0178"
        "0107"
        "ffffffffffffffff"
        "ffffffffffffffff");
  CHECK(t.add(p1, 0, "y", {.warm = cost_ceiling + 1}).error() == errc::bad_argument);
  CHECK(t.add(p1, 0, "y", {.cold = UINT64_MAX}).error() == errc::bad_argument);
  CHECK(t.set_link_cost(p1, UINT64_MAX) == errc::ok);
  CHECK(t.find(must_add(t, p1, "y", {7}))->warm == cost_ceiling);
}

TEST_CASE("before 06 a producer's own broadcast costs the link, what was passed on the ceiling R-094") {
  routes t(as_relay);
  REQUIRE(t.join(p1, 0, {.link_cost = 100, .knows_costs = false}) == errc::ok);
  REQUIRE(t.join(p2, 0, {}) == errc::ok);
  const route_id produced = must_add(t, p1, "x", {7}, 40, 50);
  CHECK(t.find(produced)->warm == 100);
  CHECK(t.find(produced)->cold == cost_ceiling);
  const route_id known = must_add(t, p2, "x", {4, 8}, 98, 98);
  CHECK(best_at(t, "x") == known);
  const numbers way{4, 8};
  CHECK(t.update(known, facts_of(way, 100, 100)) == errc::ok);
  CHECK(best_at(t, "x") == produced);
  const route_id passed_on = must_add(t, p1, "y", {3, 7}, 40, 50);
  CHECK(t.find(passed_on)->warm == cost_ceiling);
  CHECK(t.find(passed_on)->cold == cost_ceiling);
  CHECK(t.find(must_add(t, p1, "z", {0}))->warm == cost_ceiling);  // whose it is nobody knows
  CHECK(t.set_knows_costs(p1, true) == errc::ok);                  // its version came to be known after it had joined
  CHECK(t.find(passed_on)->warm == 140);
  CHECK(t.find(passed_on)->cold == 150);
}

TEST_CASE("a route never costs less on its way, whatever relays speak, or routes would chase one another R-094") {
  std::mt19937_64 random(94);
  const auto cost = [&] {
    switch (random() % 4) {
      case 0: return std::uint64_t{0};
      case 1: return random() % 100;
      case 2: return cost_ceiling - random() % 3;
      default: return random() & cost_ceiling;
    }
  };
  for (int i = 0; i < 100'000; ++i) {
    const std::size_t hops = 2 + random() % 30;  // somebody has passed it on
    const route_costs told{cost(), cost()};
    const route_link link{cost(), random() % 2 != 0, random() % 8 == 0};
    const route_costs here = costs_over(link, hops, random() % 2 != 0, told);
    REQUIRE(here.warm >= told.warm);
    REQUIRE(here.cold >= told.cold);
  }
}

TEST_CASE("between old peers that cost alike one that drains comes last R-164 R-087") {
  routes t(as_relay);
  for (const peer_id p : {p1, p2}) REQUIRE(t.join(p, 0, {.knows_costs = false}) == errc::ok);
  const route_id near = must_add(t, p1, "x", {1, 7});
  const route_id far = must_add(t, p2, "x", {1, 2, 3, 8});
  CHECK(best_at(t, "x") == near);
  CHECK(t.set_draining(p1) == errc::ok);
  CHECK(best_at(t, "x") == far);
}

TEST_CASE("before 06 the shortest path wins, then the newest R-087") {
  routes t(as_relay);
  for (const peer_id p : {p1, p2, p3}) REQUIRE(t.join(p, 0, {.knows_costs = false}) == errc::ok);
  must_add(t, p1, "x", {1, 2, 7}, 0, 0, 0, true);
  const route_id b = must_add(t, p2, "x", {1, 8}, 0, 0, 0, true);
  must_add(t, p3, "x", {1, 2, 3, 9}, 0, 0, 0, true);
  CHECK(best_at(t, "x") == b);
  const route_id c = must_add(t, p3, "x", {1, 9}, 0, 0, 0, true);
  CHECK(best_at(t, "x") == c);
}

TEST_CASE("a standby is chosen only when no producing origin is left, at any distance R-095") {
  constexpr std::uint64_t hops = hops_max, link = 1'000'000;
  static_assert(is_standby_cost(standby_cost, hops, link));
  static_assert(is_standby_cost(hops * link + 1, hops, link));
  static_assert(!is_standby_cost(hops * link, hops, link));
  static_assert(is_standby_cost(cost_ceiling - 1, hops, link) && !is_standby_cost(cost_ceiling, hops, link));
  static_assert(is_standby_cost(1, 0, link) && is_standby_cost(1, hops, 0) && !is_standby_cost(0, 0, 0));
  static_assert(!is_standby_cost(standby_cost, UINT64_MAX, UINT64_MAX) && !is_standby_cost(0, hops, link));
  for (const std::uint64_t seed : {hops * link + 1, standby_cost, cost_ceiling - 1}) {
    for (std::uint64_t links = 1; links <= hops; ++links) {  // of the producing one; the standby is next door
      routes t(as_relay);
      REQUIRE(t.join(p1, 0, {.link_cost = link}) == errc::ok);
      REQUIRE(t.join(p2, 0, {.link_cost = 0}) == errc::ok);
      numbers path(links);
      for (std::uint64_t i = 0; i < links; ++i) path[i] = 10 + i;
      const route_id standby = must_add(t, p2, "x", {8}, seed, seed);
      const route_id producing = must_add(t, p1, "x", path, (links - 1) * link, (links - 1) * link);
      CHECK(best_at(t, "x") == producing);
      CHECK(best_at(t, "x", anybody, p1) == standby);
    }
  }
}

// --- scopes, limits, memory ---

TEST_CASE("scopes never mix: the same path in two scopes has two sets of routes [seed 2.4.2]") {
  routes t(as_relay);
  REQUIRE(t.join(p1, 1, {}) == errc::ok);
  REQUIRE(t.join(p2, 2, {}) == errc::ok);
  const route_id a = must_add(t, p1, "x", {7}, 0, 0, 1);
  const route_id b = must_add(t, p2, "x", {8}, 9, 9, 2);
  CHECK(t.add(p1, 2, "x", {}).error() == errc::bad_argument);
  CHECK(t.place_of(a) != t.place_of(b));
  CHECK(t.scope(t.place_of(a)) == 1);
  CHECK(t.scope(t.place_of(b)) == 2);
  CHECK(id_of(t.resolve(1, "x/y", anybody)) == a);
  CHECK(id_of(t.resolve(2, "x/y", anybody)) == b);
  CHECK_FALSE(t.resolve(2, "x", anybody, p2));
  CHECK_FALSE(t.resolve(0, "x", anybody));
  must_add(t, local, "ours", {}, 0, 0, 1);  // what we originate is in the scope it was put in
  must_add(t, local, "ours", {}, 0, 0, 2);
  CHECK(paths_in(t, 1) == std::set<std::string>{"ours", "x"});
  t.leave(p1);  // drops what is in its scope and leaves the other alone
  CHECK(paths_in(t, 1) == std::set<std::string>{"ours"});
  CHECK(t.place_count(scope_id{1}) == 1);
  CHECK(paths_in(t, 2) == std::set<std::string>{"ours", "x"});
  CHECK(t.route_count(local) == 2);
}

TEST_CASE("routes are bounded per peer and in total, and refused when they could not be passed on") {
  routes t({.own_hop = own, .routes_per_peer_max = 2, .routes_max = 4});
  REQUIRE(t.join(p1, 0, {}) == errc::ok);
  REQUIRE(t.join(p2, 0, {}) == errc::ok);
  const route_id first = must_add(t, p1, "a", {7});
  must_add(t, p1, "b", {7});
  CHECK(t.add(p1, 0, "c", {}).error() == errc::limit_reached);
  must_add(t, local, "a", {});
  must_add(t, local, "b", {});
  CHECK(t.add(p2, 0, "c", {}).error() == errc::limit_reached);
  CHECK(t.add(local, 0, "c", {}).error() == errc::limit_reached);
  CHECK_FALSE(t.find(0, "c"));
  CHECK(t.remove(first));
  numbers hops(hops_max);
  for (std::size_t i = 0; i < hops.size(); ++i) hops[i] = 1 + i;
  const route_id longest = must_add(t, p2, "c", hops);
  hops.push_back(99);
  CHECK(t.update(longest, facts_of(hops)) == errc::too_many);
  CHECK(t.find(longest)->hops.size() == hops_max);
  CHECK(t.remove(longest));
  CHECK(t.add(p2, 0, "c", facts_of(hops)).error() == errc::too_many);
  const numbers twice{7, 8, 7}, zeros{0, 8, 0}, huge{wire::varint_max + 1};
  CHECK(t.add(p2, 0, "c", facts_of(twice)).error() == errc::duplicate_hop);  // it would end a session of 06
  CHECK(t.add(p2, 0, "c", facts_of(huge)).error() == errc::bad_argument);
  CHECK(t.add(p2, 0, "c", facts_of(zeros)).has_value());
}

TEST_CASE("stale peers, routes and places are reported and never followed") {
  routes t(as_relay);
  REQUIRE(t.join(p1, 0, {}) == errc::ok);
  CHECK(t.join(p1, 0, {}) == errc::wrong_state);
  CHECK(t.join(local, 0, {}) == errc::wrong_state);
  const route_id a = must_add(t, p1, "x", {7});
  const place_id at = t.place_of(a);
  t.leave(p1);
  REQUIRE(t.join(peer(0, 2), 0, {}) == errc::ok);  // the slot's next tenant
  const route_id b = must_add(t, peer(0, 2), "y", {8});
  CHECK(t.add(p1, 0, "x", {}).error() == errc::stale_handle);
  for (const peer_id p : {p1, local, peer(UINT32_MAX, UINT32_MAX)}) {
    CHECK(t.set_hop(p, 1) == errc::stale_handle);
    CHECK(t.set_link_cost(p, 1) == errc::stale_handle);
    CHECK(t.set_draining(p) == errc::stale_handle);
    CHECK(t.set_knows_costs(p, true) == errc::stale_handle);
    CHECK(t.route_count(p) == 0);
    CHECK(paths_of(t, p).empty());
  }
  CHECK(t.update(a, {}) == errc::stale_handle);
  CHECK_FALSE(t.remove(a));
  CHECK_FALSE(t.find(a));
  CHECK(t.place_of(a) == place_id{});
  CHECK(t.path(at).empty());
  CHECK(t.scope(at) == 0);
  CHECK_FALSE(t.best(at, anybody));
  CHECK(t.route_count(at) == 0);
  t.for_each_route(at, [](const route_view&) { CHECK(false); });
  CHECK_FALSE(t.find(route_id{}));
  CHECK_FALSE(t.best(place_id{}, anybody));
  CHECK(id_of(t.find(b)) == b);
}

TEST_CASE("hops of the table's own may be given back to it") {
  routes t(as_relay);
  REQUIRE(t.join(p1, 0, {}) == errc::ok);
  const route_id a = must_add(t, p1, "x", {1, 2, 3, 4});
  CHECK(t.update(a, {.hops = t.find(a)->hops.subspan(1)}) == errc::ok);
  CHECK(hops_of(*t.find(a)) == numbers{2, 3, 4});
}

namespace {

constexpr std::uint64_t inverse(std::uint64_t odd) {  // modulo 2^64
  std::uint64_t x = odd;
  for (int i = 0; i < 6; ++i) x *= 2 - odd * x;
  return x;
}
/// The scope in which every key is that of the path behind `path` in scope 0.
constexpr scope_id colliding_scope(std::string_view path, std::uint64_t seed) {
  const std::uint64_t key = hash_of_segment(path, first_hash(0, seed));
  return (key ^ first_hash(0, seed)) * inverse(first_hash(1, 0) ^ first_hash(0, 0));
}

}  // namespace

TEST_CASE("places with equal keys are told apart by their strings") {
  // Two words of the same hash when it begins with its usual basis, and the seed with which it does so behind a slash.
  const std::string one = "8yn0iYCKYHlIj4-BwPqk", two = "GReLUrM4wMqfg9yzV3KQ";
  REQUIRE(hash_of(one) == hash_of(two));
  const std::uint64_t seed = (hash_of({}) * inverse(0x100000001b3u)) ^ '/' ^ hash_of({});
  REQUIRE(hash_of_segment(one, first_hash(0, seed)) == hash_of(one));
  for (int victim = 0; victim < 3; ++victim) {
    routes t({.own_hop = own, .hash_seed = seed});
    REQUIRE(t.join(p1, 0, {}) == errc::ok);
    std::vector<route_id> ids = {must_add(t, p1, one, {7}), must_add(t, p1, two, {7})};
    const scope_id other = colliding_scope(one, seed);
    ids.push_back(must_add(t, local, "", {}, 0, 0, other));
    CHECK(t.place_count() == 3);
    CHECK(id_of(t.resolve(0, one + "/x", anybody)) == ids[0]);
    CHECK(id_of(t.resolve(0, two + "/x", anybody)) == ids[1]);
    CHECK(id_of(t.resolve(other, "x", anybody)) == ids[2]);
    CHECK(t.remove(ids[static_cast<std::size_t>(victim)]));  // the first, middle or last of the chain
    CHECK(id_of(t.resolve(0, one, anybody)) == (victim == 0 ? route_id{} : ids[0]));
    CHECK(id_of(t.resolve(0, two, anybody)) == (victim == 1 ? route_id{} : ids[1]));
    CHECK(id_of(t.resolve(other, "x", anybody)) == (victim == 2 ? route_id{} : ids[2]));
    CHECK(t.place_count() == 2);
  }
}

// --- against a list that is searched from end to end ---

namespace {

__extension__ typedef unsigned __int128 wide;

struct naive_peer {
  scope_id in;
  advertiser facts;
  bool is_draining;
};
struct naive_route {
  route_id id;
  peer_id from;
  scope_id in;
  std::string path;
  numbers hops;
  std::uint64_t warm, cold;
  bool is_exact;
  std::uint64_t received;
};

struct naive {
  std::map<peer_id, naive_peer> peers{{local, {0, {.hop = 0, .link_cost = 0}, false}}};
  std::vector<naive_route> all;
  std::uint64_t clock = 0;

  static std::uint64_t sum(std::uint64_t a, std::uint64_t b) {
    return static_cast<std::uint64_t>(std::min<wide>(wide{a} + b, cost_ceiling));
  }
  std::pair<std::uint64_t, std::uint64_t> costs(const naive_route& r) const {
    const naive_peer& p = peers.at(r.from);
    if (p.is_draining) return {cost_ceiling, cost_ceiling};
    if (!p.facts.knows_costs)
      return {r.hops.size() == 1 && r.hops[0] != 0 ? p.facts.link_cost : cost_ceiling, cost_ceiling};
    return {sum(r.warm, p.facts.link_cost), sum(r.cold, p.facts.link_cost)};
  }
  auto rank(const naive_route& r) const {
    const bool unknown = std::count(r.hops.begin(), r.hops.end(), 0u) != 0;
    return std::tuple(unknown, costs(r).first, costs(r).second, peers.at(r.from).is_draining, r.hops.size(),
                      ~r.received);
  }
  bool is_for(const naive_route& r, const requester& who) const {
    if (r.from == who.peer && who.peer != local) return false;
    if (who.hop == 0) return true;
    return std::count(r.hops.begin(), r.hops.end(), who.hop) == 0 && peers.at(r.from).facts.hop != who.hop;
  }
  const naive_route* best(scope_id in, const std::string& path, const requester& who, peer_id without, bool is_whole,
                          bool& is_tier) const {
    const naive_route* found = nullptr;
    for (const naive_route& r : all) {
      if (r.in != in || r.path != path || (r.is_exact && !is_whole) || !is_for(r, who)) continue;
      is_tier = true;
      if (without != local && r.from == without) continue;
      if (who.origin != 0 && (r.hops.empty() ? 6 : r.hops[0]) != who.origin) continue;
      if (found == nullptr || rank(r) < rank(*found)) found = &r;
    }
    return found;
  }
  const naive_route* resolve(scope_id in, const std::string& path, const requester& who, peer_id without) const {
    for (std::string prefix = path;; prefix.resize(prefix.rfind('/') == std::string::npos ? 0 : prefix.rfind('/'))) {
      bool is_tier = false;
      const naive_route* r = best(in, prefix, who, without, prefix == path, is_tier);
      if (is_tier || prefix.empty()) return r;
    }
  }
};

/// The table and the list, given the same operations.
struct twins {
  std::mt19937 source;
  std::uint64_t seed;
  routes table;
  naive list;
  scope_id scopes[3];
  bool may_fail;
  std::uint32_t generation = 1;

  twins(unsigned s, memory m = {}, bool may_run_out = false)
      : source(s),
        seed(s % 2 == 0 ? 0 : std::uint64_t{s} * 0x1234567),
        table({.own_hop = 6, .routes_per_peer_max = 20, .routes_max = 60, .hash_seed = seed}, m),
        scopes{0, 1, colliding_scope("a", seed)},
        may_fail(may_run_out) {}

  std::uint32_t dice(std::uint32_t n) { return static_cast<std::uint32_t>(source() % n); }
  std::string any_path() {
    std::string out;
    for (std::uint32_t n = dice(5); n != 0; --n) out += (out.empty() ? "" : "/") + std::string(1, "abc"[dice(3)]);
    return out;
  }
  std::string spelled(const std::string& path) {
    std::string out(dice(3), '/');
    for (const char c : path) out += c == '/' ? std::string(1 + dice(2), '/') : std::string(1, c);
    return out + std::string(dice(2), '/');
  }
  peer_id any_peer() {
    auto i = list.peers.begin();
    std::advance(i, dice(static_cast<std::uint32_t>(list.peers.size())));
    return i->first;
  }
  numbers any_hops() {
    if (dice(8) == 0) return numbers(9 + dice(9), 0);
    numbers out(dice(5));
    for (auto& h : out) h = dice(7);
    return out;
  }
  std::uint64_t any_cost() { return dice(8) == 0 ? cost_ceiling - dice(3) : dice(4); }
  requester anyone() {
    return {dice(3) == 0 ? local : any_peer(), dice(2) == 0 ? 0 : dice(8), dice(3) == 0 ? dice(7) : 0};
  }
  static errc expected(const numbers& hops) {
    for (std::size_t i = 0; i < hops.size(); ++i)
      if (hops[i] == 6 || (hops[i] != 0 && std::count(hops.begin(), hops.end(), hops[i]) > 1))
        return errc::duplicate_hop;
    return errc::ok;
  }
  /// Whether `e` is as it should be; only a call that went well counts for the list.
  bool went_well(errc e, errc should) {
    if (may_fail && e == errc::out_of_memory) return false;
    CHECK(e == should);
    return e == errc::ok;
  }
  numbers stored(peer_id from, numbers hops) {
    if (hops.empty() && from != local) hops.push_back(0);
    return hops;
  }

  void join() {
    if (list.peers.size() > 7) return;
    const peer_id id = peer(dice(8), ++generation);
    const advertiser a{.hop = dice(3) == 0 ? 0u : dice(6), .link_cost = any_cost(), .knows_costs = dice(4) != 0};
    const scope_id in = scopes[dice(3)];
    if (went_well(table.join(id, in, a), errc::ok)) list.peers[id] = {in, a, false};
  }
  void leave() {
    const peer_id id = any_peer();
    if (id == local) return table.leave(id, [](place_id) { CHECK(false); });
    std::set<std::pair<scope_id, std::string>> should, told;
    for (const naive_route& r : list.all)
      if (r.from == id) should.emplace(r.in, r.path);
    std::erase_if(list.all, [&](const naive_route& r) { return r.from == id; });
    list.peers.erase(id);
    table.leave(id, [&](place_id at) {
      CHECK(told.emplace(table.scope(at), table.path(at)).second);
      check_place(table.scope(at), std::string(table.path(at)), at);
    });
    CHECK(told == should);
  }
  void add() {
    const peer_id from = any_peer();
    const scope_id in = from == local ? scopes[dice(3)] : list.peers.at(from).in;
    const std::string path = any_path();
    const numbers hops = any_hops();
    const route_facts f = facts_of(hops, any_cost(), any_cost(), dice(3) == 0);
    const auto has = std::count_if(list.all.begin(), list.all.end(), [&](auto& r) { return r.from == from; });
    errc should = expected(hops);
    if (should == errc::ok && (list.all.size() >= 60 || (from != local && has >= 20))) should = errc::limit_reached;
    const result<route_id> id = table.add(from, in, spelled(path), f);
    if (went_well(id.error(), should))
      list.all.push_back({*id, from, in, path, stored(from, hops), f.warm, f.cold, f.is_exact, ++list.clock});
  }
  void update() {
    if (list.all.empty()) return;
    naive_route& r = list.all[dice(static_cast<std::uint32_t>(list.all.size()))];
    const numbers hops = dice(4) == 0 ? r.hops : any_hops();
    const route_facts f = facts_of(hops, dice(2) == 0 ? r.warm : any_cost(), r.cold, r.is_exact);
    if (!went_well(table.update(r.id, f), expected(hops))) return;
    const numbers now = stored(r.from, hops);
    if (now == r.hops && f.warm == r.warm) return;
    r.hops = now;
    r.warm = f.warm;
  }
  void remove() {
    if (list.all.empty()) return;
    const auto i = list.all.begin() + dice(static_cast<std::uint32_t>(list.all.size()));
    const naive_route r = *i;
    list.all.erase(i);
    int calls = 0;
    CHECK(table.remove(r.id, [&](place_id at) {
      ++calls;
      check_place(r.in, r.path, at);
    }));
    CHECK(calls == 1);
  }
  void set() {
    const peer_id id = any_peer();
    naive_peer& p = list.peers.at(id);
    const errc should = id == local ? errc::stale_handle : errc::ok;
    const std::uint64_t hop = dice(6), cost = any_cost();
    const bool drains = dice(4) == 0;
    switch (dice(3)) {
      case 0:
        if (went_well(table.set_hop(id, hop), should)) p.facts.hop = hop;
        break;
      case 1:
        if (went_well(table.set_link_cost(id, cost), should)) p.facts.link_cost = cost;
        break;
      default:
        if (went_well(table.set_draining(id, drains), should)) p.is_draining = drains;
    }
  }
  void step() {
    switch (dice(16)) {
      case 0: return join();
      case 1: return dice(3) == 0 ? leave() : join();
      case 2: return set();
      case 3:
      case 4: return update();
      case 5:
      case 6:
      case 7: return remove();
      default: return add();
    }
  }

  void check_same(const std::optional<route_view>& v, const naive_route* r) {
    REQUIRE(v.has_value() == (r != nullptr));
    if (r == nullptr) return;
    CHECK(v->id == r->id);
    CHECK(v->from == r->from);
    CHECK(hops_of(*v) == r->hops);
    CHECK(std::pair(v->warm, v->cold) == list.costs(*r));
    CHECK(v->is_exact == r->is_exact);
    CHECK(v->first_hop() == (r->hops.empty() ? 6 : r->hops[0]));
    CHECK(table.path(v->place) == r->path);
    CHECK(table.scope(v->place) == r->in);
  }
  void check_place(scope_id in, const std::string& path, place_id at) {
    const requester who = anyone();
    const peer_id without = dice(2) == 0 ? local : any_peer();
    bool is_tier = false;
    check_same(table.best(at, who, without), list.best(in, path, who, without, true, is_tier));
  }
  void check_some() {
    for (int i = 0; i < 3; ++i) {
      const scope_id in = scopes[dice(3)];
      const std::string path = any_path();
      const requester who = anyone();
      const peer_id without = dice(2) == 0 ? local : any_peer();
      check_same(table.resolve(in, spelled(path), who, without), list.resolve(in, path, who, without));
      if (const auto at = table.find(in, path)) check_place(in, path, *at);
    }
  }
  void check_all() {
    CHECK(table.route_count() == list.all.size());
    CHECK(table.peer_count() == list.peers.size() - 1);
    std::map<scope_id, std::map<std::string, std::size_t>> places;
    std::map<peer_id, std::set<std::string>> of_peer;
    std::map<peer_id, std::size_t> has;
    for (const naive_route& r : list.all) {
      ++places[r.in][r.path];
      ++has[r.from];
      if (r.from != local) of_peer[r.from].insert(r.path);
      check_same(table.find(r.id), &r);
      CHECK(table.find(r.in, r.path) == table.place_of(r.id));
    }
    std::size_t total = 0;
    for (const scope_id in : scopes) {
      std::map<std::string, std::size_t> seen;
      table.for_each_place(in, [&](place_id at) {
        std::size_t& n = seen[std::string(table.path(at))];
        CHECK(n == 0);
        table.for_each_route(at, [&](const route_view&) { ++n; });
        CHECK(table.route_count(at) == n);
      });
      CHECK(seen == places[in]);
      CHECK(table.place_count(in) == seen.size());
      total += seen.size();
    }
    CHECK(table.place_count() == total);
    for (const auto& [id, p] : list.peers) {
      CHECK(table.route_count(id) == has[id]);
      if (id != local) CHECK(paths_of(table, id) == of_peer[id]);
    }
  }
};

}  // namespace

TEST_CASE("the table agrees with a list that is searched from end to end, whatever happens R-085 R-086 [seed 5.2 a]") {
  for (unsigned seed = 0; seed < 250; ++seed) {
    CAPTURE(seed);
    counting_memory m;
    {
      twins t(seed, m.get());
      for (int i = 0; i < 200; ++i) {
        t.step();
        t.check_some();
        if (i % 20 == 0) t.check_all();
      }
      t.check_all();
      while (t.list.peers.size() > 1) t.leave();
      while (!t.list.all.empty()) t.remove();
      t.check_all();
    }
    CHECK(m.out.empty());
    CHECK(m.sizes_match);
  }
}

TEST_CASE("wherever memory runs out nothing leaks and the table is as it was") {
  for (const bool fails_once : {true, false}) {
    for (unsigned seed = 0; seed < 4; ++seed) {
      bool was_refused = true;
      for (std::size_t allowed = 0; was_refused; ++allowed) {
        CAPTURE(fails_once);
        CAPTURE(seed);
        CAPTURE(allowed);
        counting_memory m;
        m.fails_once = fails_once;
        m.allowed = allowed;
        {
          twins t(seed, m.get(), true);
          for (int i = 0; i < 120; ++i) {
            t.step();
            t.check_some();
          }
          t.check_all();
          m.allowed = ~std::size_t{0};
          t.may_fail = false;
          for (int i = 0; i < 20; ++i) t.step();
          t.check_all();
        }
        was_refused = m.was_refused;
        CHECK(m.out.empty());
        CHECK(m.sizes_match);
      }
    }
  }
}

TEST_CASE("an announcement that finds no memory leaves no scope behind") {
  counting_memory m;
  routes t(as_relay, m.get());
  CHECK(t.remove(must_add(t, local, "x", {})));
  m.allowed = m.requests;
  const std::string long_path(1000, 'x');
  for (scope_id in = 0; in < 100; ++in) CHECK(t.add(local, in, long_path, {}).error() == errc::out_of_memory);
  for (scope_id in = 1000; in < 1100; ++in) CHECK(t.remove(must_add(t, local, "x", {}, 0, 0, in)));
}

TEST_CASE("a table that has been busy changes and answers without allocating") {
  counting_memory m;
  routes t(as_relay, m.get());
  const auto round = [&](std::uint32_t generation) {
    for (std::uint32_t i = 0; i < 8; ++i) {
      REQUIRE(t.join(peer(i, generation), 0, {}) == errc::ok);
      for (const char* path : {"a", "a/b", "c"}) must_add(t, peer(i, generation), path, {3, 10 + i});
    }
    CHECK(t.resolve(0, "a/b/c/d", anybody));
    for (std::uint32_t i = 0; i < 8; ++i) t.leave(peer(i, generation));
  };
  round(1);
  round(2);  // slots come back in another order, so their buffers grow once more
  round(3);
  const std::size_t before = m.requests;
  round(4);
  CHECK(m.requests == before);
  CHECK(t.place_count() == 0);
}
