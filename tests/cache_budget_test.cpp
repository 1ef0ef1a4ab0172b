// One budget for many tracks: what goes first, what never goes, and that the count is right to the byte.

#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <random>
#include <type_traits>
#include <vector>

#include "cache_helpers.hpp"
#include "counting_memory.hpp"
#include "moql/stream/group_writer.hpp"
#include "scripted.hpp"

using namespace moql;
using namespace testing;

namespace {

static_assert(!std::is_move_constructible_v<track_cache> && !std::is_copy_constructible_v<track_cache>);
static_assert(!std::is_move_constructible_v<cache_budget> && !std::is_copy_constructible_v<cache_budget>);

constexpr auto code = [](stream_code c) { return static_cast<std::uint64_t>(c); };

}  // namespace

TEST_CASE("R-173 under pressure goes what has been evictable for longest, of whichever track [seed 4.3 b]") {
  cache_budget budget(100);
  track_cache a({.budget = &budget}), b({.budget = &budget});
  one_frame(a, 30);  // a0
  one_frame(b, 30);  // b0
  one_frame(b, 10);  // b1: b0 is the first that may go
  one_frame(a, 20);  // a1: then a0
  CHECK(budget.bytes_held() == 90);
  CHECK(budget.evictions() == 0);
  one_frame(a, 10);  // a2: fits exactly
  CHECK(budget.bytes_held() == 100);
  CHECK(sequences(b) == list{0, 1});
  one_frame(b, 1);
  CHECK(sequences(a) == list{0, 1, 2});
  CHECK(sequences(b) == list{1, 2});
  CHECK(budget.evictions() == 1);
  CHECK(budget.bytes_held() == 71);
  one_frame(b, 30);  // b3
  CHECK(sequences(a) == list{1, 2});
  CHECK(a.why_missing(0) == stream_code::evicted);
  CHECK(b.why_missing(0) == stream_code::evicted);
  CHECK(a.why_missing(3) == stream_code::not_found);
  CHECK(budget.evictions() == 2);
  CHECK(budget.bytes_held() == a.bytes_held() + b.bytes_held());
}

TEST_CASE("R-173 evicted, superseded and never here are told apart, however long ago it was [seed 4.3 b]") {
  cache_budget budget(100);
  track_cache c({.groups_max = 2, .budget = &budget});
  std::vector<stream_code> reasons;
  for (std::uint64_t s = 0; s < 300; ++s) {
    // Every second group pushes the one before it out by its size, every other by its number.
    REQUIRE(c.begin_group(2 * s, {}) == errc::ok);
    REQUIRE(c.append(0, payload(s % 2 == 0 ? 10 : 95)) == errc::ok);
  }
  int evicted = 0, old = 0;
  for (std::uint64_t s = 598; s-- > 0;) {
    if (c.find(s) != nullptr) continue;
    const stream_code why = c.why_missing(s);
    if (s > 500 && s % 2 == 1) CHECK(why == stream_code::not_found);
    if (s > 500 && s % 2 == 0) CHECK(why == stream_code::evicted);
    evicted += why == stream_code::evicted ? 1 : 0;
    old += why == stream_code::old ? 1 : 0;
    if (s % 2 == 0) CHECK(why != stream_code::not_found);
    if (s % 2 == 1) CHECK(why != stream_code::evicted);
  }
  CHECK(evicted == 64);
  CHECK(old > 200);
  CHECK(c.why_missing(600) == stream_code::not_found);

  // A group that was evicted, came again and was superseded is old.
  track_cache again({.bytes_max = 100, .groups_max = 3});
  for (std::uint64_t s = 1; s <= 3; ++s) {
    REQUIRE(again.begin_group(s, {}) == errc::ok);
    REQUIRE(again.append(s, payload(40)) == errc::ok);
  }
  CHECK(again.why_missing(1) == stream_code::evicted);
  REQUIRE(again.begin_group(1, {}) == errc::ok);
  REQUIRE(again.begin_group(4, {}) == errc::ok);
  REQUIRE(again.find(1) == nullptr);
  CHECK(again.why_missing(1) == stream_code::old);

  track_cache aged({.max_age_ms = 1000, .budget = &budget});
  one_frame(aged, 0, {0});
  one_frame(aged, 0, {1'000'001});
  CHECK(aged.why_missing(0) == stream_code::old);
  CHECK(budget.bytes_held() == c.bytes_held());
}

TEST_CASE("R-172 R-173 when only latest groups are left a write is refused, and nothing has gone for it [seed 4.3 b]") {
  cache_budget budget(100);
  track_cache a({.budget = &budget}), b({.overlapping = true, .budget = &budget});
  one_frame(a, 20);
  one_frame(a, 50);
  one_frame(b, 30);
  CHECK(budget.bytes_held() == 100);
  REQUIRE(b.begin_group(5, {}) == errc::ok);
  CHECK(b.append(0, payload(51)) == errc::limit_reached);  // 50 of a's latest stay, and 30 + 20 may go
  CHECK(sequences(a) == list{0, 1});
  CHECK(sequences(b) == list{0, 5});
  CHECK(b.begin_frame(5, 0, 51) == errc::limit_reached);
  CHECK(b.write_datagram(0, payload(51), {}) == errc::limit_reached);
  CHECK(b.next_sequence() == 6);  // refused before its group was begun
  CHECK(budget.evictions() == 0);
  CHECK(b.write_datagram(0, payload(50), {}) == errc::ok);
  CHECK(sequences(a) == list{1});
  CHECK(sequences(b) == list{5, 6});  // an empty group is in nobody's way
  CHECK(budget.bytes_held() == 100);
  CHECK(budget.evictions() == 2);
  CHECK(b.append(5, 0, payload(1)) == errc::limit_reached);
  CHECK(b.write_datagram(0, payload(50), {}) == errc::ok);  // in place of the one before it
  CHECK(b.append(5, 0, {}) == errc::ok);
  // A frame that has been begun finds its room taken.
  one_frame(a, 10);
  REQUIRE(a.begin_group({}) == errc::ok);
  REQUIRE(a.begin_frame(3, 0, 50) == errc::ok);
  CHECK(b.append(7, 0, payload(1)) == errc::wrong_state);
  REQUIRE(b.begin_group({}) == errc::ok);
  CHECK(b.append(0, payload(60)) == errc::ok);
  CHECK(a.append_part(3, payload(41)) == errc::limit_reached);
  CHECK(a.append_part(3, payload(40)) == errc::ok);
  CHECK(budget.bytes_held() == 100);
}

TEST_CASE("R-173 an open group that is not the latest may go, but not for its own next frame [seed 4.3 b]") {
  cache_budget budget(100);
  track_cache a({.overlapping = true, .budget = &budget}), b({.budget = &budget});
  REQUIRE(a.begin_group({}) == errc::ok);
  REQUIRE(a.begin_group({}) == errc::ok);
  REQUIRE(a.begin_group({}) == errc::ok);
  REQUIRE(a.append(0, 0, payload(40)) == errc::ok);
  REQUIRE(a.append(1, 0, payload(30)) == errc::ok);
  REQUIRE(a.append(0, 0, payload(50)) == errc::ok);  // 0 is the oldest, and is being written: 1 goes
  CHECK(sequences(a) == list{0, 2});
  CHECK(a.find(0)->size == 90);
  CHECK(a.append(1, 0, payload(1)) == errc::stale_handle);
  CHECK(a.why_missing(1) == stream_code::evicted);

  group_writer w;
  w.start_group(a.handle_of(0), lite06, 1, 0, 0, {});
  group_writer::scratch room;
  group_writer::offer offer;
  REQUIRE(w.look(a, room, offer) == group_writer::state::data);
  counted_listener told(a);
  one_frame(b, 20);
  CHECK(told.calls == 1);  // the reader of a is told, though b was written
  CHECK(w.look(a, room, offer) == group_writer::state::evicted);
  CHECK(sequences(a) == list{2});
  CHECK(budget.bytes_held() == 20);
}

TEST_CASE("the limit of a track holds beside the budget, and evicts of that track alone [seed 4.3 b]") {
  cache_budget budget(1000);
  track_cache a({.bytes_max = 50, .budget = &budget}), b({.budget = &budget});
  one_frame(b, 40);
  one_frame(b, 40);
  one_frame(a, 30);
  one_frame(a, 30);
  CHECK(sequences(a) == list{1});
  CHECK(sequences(b) == list{0, 1});
  CHECK(budget.evictions() == 0);  // that was not for the budget
  CHECK(budget.bytes_held() == 110);
  CHECK(a.append(0, payload(1)) == errc::wrong_state);
  REQUIRE(a.begin_group({}) == errc::ok);
  CHECK(a.append(0, payload(51)) == errc::limit_reached);
  CHECK(sequences(a) == list{1, 2});  // refused, so nothing went
}

TEST_CASE("a cache that dies gives back all it held [seed 4.3 b]") {
  cache_budget budget(100);
  track_cache a({.budget = &budget});
  one_frame(a, 10);
  {
    track_cache b({.budget = &budget});
    one_frame(b, 30);
    one_frame(b, 30);
    one_frame(b, 30);
    CHECK(budget.bytes_held() == 100);
  }
  CHECK(budget.bytes_held() == 10);
  one_frame(a, 90);
  CHECK(sequences(a) == list{0, 1});
  CHECK(budget.evictions() == 0);
  cache_budget none(0);
  track_cache c({.budget = &none});
  one_frame(c, 0);
  one_frame(c, 0);
  REQUIRE(c.begin_group({}) == errc::ok);
  CHECK(c.append(0, payload(1)) == errc::limit_reached);
  CHECK(c.groups_held() == 3);
  cache_budget endless(~std::uint64_t{0});
  track_cache d({.bytes_max = ~std::uint64_t{0}, .budget = &endless});
  REQUIRE(d.begin_group({}) == errc::ok);
  CHECK(d.begin_frame(0, 0, wire::varint_max) == errc::ok);
}

// ---- against a naive model

namespace {

struct standing_buffer {
  std::uint8_t data[64] = {};
  owner count{+[](owner*) noexcept {}, +[](owner*) noexcept {}};
  [[nodiscard]] bytes piece(std::size_t n) { return bytes::share({data, n}, &count); }
};

/// What should be held, group by group, found by looking at all of them.
struct model {
  struct group {
    std::uint32_t track;
    std::uint64_t sequence;
    std::uint64_t size;
    bool is_latest;
    std::uint64_t since;  ///< When it became evictable: neither the latest nor empty; 0 until then.
  };
  static constexpr std::uint32_t groups_max = 6;
  std::uint64_t budget;
  std::vector<std::uint64_t> track_max;
  std::vector<group> held{};            ///< By track, then sequence.
  std::vector<group> evicted{}, old{};  ///< By the last operation.
  std::uint64_t clock = 0;
  std::uint64_t pressed = 0;

  group* find(std::uint32_t track, std::uint64_t sequence) {
    for (group& g : held)
      if (g.track == track && g.sequence == sequence) return &g;
    return nullptr;
  }
  void lose(std::size_t i, std::vector<group>& where) {
    where.push_back(held[i]);
    held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
  }
  void begin(std::uint32_t track, std::uint64_t sequence) {
    group* latest = nullptr;
    std::size_t at = 0, count = 1;
    for (std::size_t i = 0; i < held.size(); ++i) {
      group& g = held[i];
      if (g.track == track) ++count;
      if (g.track == track && g.is_latest) latest = &g;
      if (g.track < track || (g.track == track && g.sequence < sequence)) at = i + 1;
    }
    group fresh{track, sequence, 0, true, 0};
    if (latest != nullptr) {
      group& older = sequence > latest->sequence ? *latest : fresh;
      older.is_latest = false;
      if (older.size != 0) older.since = ++clock;
    }
    held.insert(held.begin() + static_cast<std::ptrdiff_t>(at), fresh);
    for (std::size_t i = 0; i < held.size() && count > groups_max;) {
      const group& g = held[i];
      if (g.track != track || g.is_latest || g.sequence == sequence) {
        ++i;
      } else {
        lose(i, old);
        --count;
      }
    }
  }
  bool make_room(std::uint32_t track, std::uint64_t sequence, std::uint64_t n) {
    std::uint64_t all = 0, mine = 0, all_stays = 0, mine_stays = 0;
    for (const group& g : held) {
      const bool stays = g.is_latest || (g.track == track && g.sequence == sequence);
      all += g.size;
      if (stays) all_stays += g.size;
      if (g.track == track) mine += g.size;
      if (g.track == track && stays) mine_stays += g.size;
    }
    if (mine_stays + n > track_max[track] || all_stays + n > budget) return false;
    for (std::size_t i = 0; mine + n > track_max[track];) {
      const group& g = held[i];
      if (g.track != track || g.is_latest || g.sequence == sequence) {
        ++i;
      } else {
        mine -= g.size;
        all -= g.size;
        lose(i, evicted);
      }
    }
    while (all + n > budget) {
      std::size_t oldest = held.size();
      for (std::size_t i = 0; i < held.size(); ++i) {
        const group& g = held[i];
        if (g.since == 0 || (g.track == track && g.sequence == sequence)) continue;
        if (oldest == held.size() || g.since < held[oldest].since) oldest = i;
      }
      all -= held[oldest].size;
      ++pressed;
      lose(oldest, evicted);
    }
    return true;
  }
  bool grow(std::uint32_t track, std::uint64_t sequence, std::uint64_t n) {
    if (!make_room(track, sequence, n)) return false;
    group& g = *find(track, sequence);
    g.size += n;
    if (n != 0 && !g.is_latest && g.since == 0) g.since = ++clock;
    return true;
  }
};

/// Random operations on four tracks and their model; the number of the first operation after which they differ.
std::size_t first_difference(std::size_t operations, std::uint32_t seed) {
  standing_buffer buffer;
  cache_budget budget(400);
  model m{.budget = 400, .track_max = {400, 120, 1000, 60}};
  constexpr std::uint32_t tracks = 4;
  std::optional<track_cache> caches[tracks];
  const auto make = [&](std::uint32_t t) {
    caches[t].emplace(track_options{.max_age_ms = wire::varint_max,
                                    .bytes_max = m.track_max[t],
                                    .groups_max = model::groups_max,
                                    .overlapping = true,
                                    .budget = &budget});
  };
  for (std::uint32_t t = 0; t < tracks; ++t) make(t);
  std::uint32_t state = seed;
  const auto roll = [&](std::uint32_t n) {
    state = state * 1664525u + 1013904223u;
    return static_cast<std::uint32_t>((std::uint64_t{state >> 8} * n) >> 24);
  };
  for (std::size_t step = 0; step < operations; ++step) {
    m.evicted.clear();
    m.old.clear();
    const std::uint32_t t = roll(tracks);
    track_cache& c = *caches[t];
    const std::uint32_t what = roll(64);
    bool same = true;
    if (what == 0 && roll(40) == 0) {
      std::erase_if(m.held, [&](const model::group& g) { return g.track == t; });
      make(t);
    } else if (what < 12 || c.is_empty()) {
      // Mostly the next one, at times one that skips, at times an older one.
      std::uint64_t sequence = c.next_sequence() + (roll(8) == 0 ? 1 + roll(3) : 0);
      if (roll(6) == 0 && sequence > 8) sequence -= 1 + roll(8);
      if (c.find(sequence) == nullptr && c.begin_group(sequence, {}) == errc::ok) m.begin(t, sequence);
    } else {
      cached_group& g = roll(3) == 0 ? c.nth(roll(static_cast<std::uint32_t>(c.groups_held()))) : c.latest();
      const std::uint64_t sequence = g.sequence;
      const std::uint64_t n = roll(8) == 0 ? 0 : roll(40);
      if (g.state != group_state::open) {
        same = c.append(sequence, 0, buffer.piece(n)) == errc::wrong_state;
      } else if (g.part_missing != 0) {
        const std::uint64_t part = n < g.part_missing ? n : g.part_missing;
        same = (c.append_part(sequence, buffer.piece(part)) == errc::ok) == (part == 0 || m.grow(t, sequence, part));
      } else if (what < 18) {
        same = (what < 16 ? c.end_group(sequence) : c.abort_group(sequence, {})) == errc::ok;
      } else if (what < 26) {
        // Beginning a frame makes room for all of it and takes none.
        same = (c.begin_frame(sequence, 0, n) == errc::ok) == m.make_room(t, sequence, n);
      } else {
        same = (c.append(sequence, 0, buffer.piece(n)) == errc::ok) == m.grow(t, sequence, n);
      }
    }
    // Everything is compared after every operation.
    std::uint64_t all = 0;
    std::size_t next = 0;
    for (std::uint32_t x = 0; x < tracks; ++x) {
      track_cache& k = *caches[x];
      for (std::size_t i = 0; i < k.groups_held(); ++i, ++next) {
        const cached_group& g = k.nth(i);
        if (next >= m.held.size()) return step;
        const model::group& expected = m.held[next];
        same = same && expected.track == x && expected.sequence == g.sequence && expected.size == g.size;
        all += g.size;
      }
      same = same && (k.is_empty() || m.find(x, k.latest().sequence)->is_latest);
    }
    same = same && next == m.held.size() && all == budget.bytes_held() && all <= 400 && budget.evictions() == m.pressed;
    for (const model::group& g : m.evicted)
      same = same && caches[g.track]->why_missing(g.sequence) == stream_code::evicted;
    for (const model::group& g : m.old) same = same && caches[g.track]->why_missing(g.sequence) == stream_code::old;
    if (!same) return step;
  }
  for (auto& c : caches) c.reset();
  return budget.bytes_held() == 0 && m.pressed > operations / 100 ? operations : 0;
}

}  // namespace

TEST_CASE(
    "R-172 R-173 a random run of a million operations never exceeds the budget by a byte and the latest group of every "
    "track survives [seed 4.3 b]") {
  CHECK(first_difference(1'000'000, 7) == 1'000'000);
}

TEST_CASE("a cache that runs out of memory anywhere leaks nothing and stays in order, its budget too [seed 4.3]") {
  bool was_refused = true;
  std::size_t points = 0;
  for (std::size_t at = 0; was_refused; ++at) {
    for (const bool once : {true, false}) {
      counting_memory used;
      used.allowed = at;
      used.fails_once = once;
      {
        cache_budget budget(300);
        track_cache a({.groups_max = 8, .overlapping = true, .budget = &budget}, used.get());
        track_cache b({.groups_max = 8, .budget = &budget}, used.get());
        for (std::uint64_t i = 0; i < 60; ++i) {
          track_cache& c = i % 3 == 0 ? a : b;
          errc e = c.begin_group(i % 7 == 6 ? i - 5 : i, {}, sent_by::stream, i % 5);
          if (e == errc::ok) e = c.append(i, payload(20));
          if (e == errc::ok && !c.is_empty() && c.latest().state == group_state::open)
            e = c.begin_frame(c.latest().sequence, i, 10);
          if (e == errc::ok) e = c.append_part(c.latest().sequence, payload(4));
          if (e == errc::ok) e = c.append_part(c.latest().sequence, payload(6));
          if (i % 11 == 0) (void)c.drop_groups(1000 + 2 * i, 1000 + 2 * i);
          if (!c.is_empty()) (void)c.latest().catch_up(frame_layout::timed);
          std::uint64_t sums[2] = {};
          for (track_cache* k : {&a, &b})
            for (std::size_t g = 0; g < k->groups_held(); ++g) {
              sums[k == &a ? 0 : 1] += k->nth(g).size;
              if (k->find(k->nth(g).sequence) != &k->nth(g)) FAIL("the index is out of step");
            }
          if (sums[0] != a.bytes_held() || sums[1] != b.bytes_held() || sums[0] + sums[1] != budget.bytes_held())
            FAIL("the books are wrong");
        }
        was_refused = used.was_refused;
        if (once && was_refused) {  // it was one bad moment: life goes on
          CHECK(b.begin_group(5000, {}) == errc::ok);
          CHECK(b.append(0, payload(100)) == errc::ok);
        }
      }
      CHECK(used.out.empty());
      CHECK(used.sizes_match);
    }
    ++points;
  }
  CHECK(points > 20);
}

// ---- as the peer sees it

namespace {

struct publisher_of_two : scripted {
  cache_budget budget{100};
  track_cache video{{.max_age_ms = 1000, .budget = &budget}};
  track_cache audio{{.budget = &budget}};
  explicit publisher_of_two(version v) : scripted(v, endpoint::server) { serve_all(video); }
};

}  // namespace

TEST_CASE("what another track pushed out is EVICTED for a FETCH, superseded OLD, never here NOT_FOUND [seed 4.3 b]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    publisher_of_two p(v);
    put_group(p.video, 0, {std::string(30, 'a')});
    put_group(p.video, 1, {std::string(30, 'b')});
    put_group(p.video, 2, {std::string(30, 'c')});
    CHECK(p.at(p.peer_fetches(0)).fin);
    put_group(p.audio, 0, {std::string(20, 'x')});
    CHECK(p.at(p.peer_fetches(0)).reset == code(stream_code::evicted));
    CHECK(p.at(p.peer_fetches(1)).fin);
    put_group(p.video, 3, {"d"}, p.now + seconds(5));
    CHECK(p.at(p.peer_fetches(1)).reset == code(stream_code::old));
    CHECK(p.at(p.peer_fetches(0)).reset == code(stream_code::evicted));
    CHECK(p.at(p.peer_fetches(4)).reset == code(stream_code::not_found));
    CHECK(p.at(p.peer_fetches(3)).fin);
    CHECK(p.is_open());
  }
}

TEST_CASE("between two sessions too: EVICTED, OLD and NOT_FOUND reach whoever fetches [seed 4.3 b]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    cache_budget budget(100);
    track_cache video({.max_age_ms = 1000, .budget = &budget}), audio({.budget = &budget});
    testing::pair both(v);
    both.server.react = [&](session& s, const event& e) {
      if (auto* r = std::get_if<fetch_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
      if (auto* r = std::get_if<track_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
    };
    both.start();
    both.run();
    const auto fetch = [&](std::uint64_t group) {
      const std::size_t before = both.client.count<fetch_closed>();
      REQUIRE(both.client.session.fetch("room", "video", group, {}, both.net.now()).has_value());
      both.run();
      REQUIRE(both.client.count<fetch_closed>() == before + 1);
      return both.client.last<fetch_closed>();
    };
    put_group(video, 0, {std::string(40, 'a')});
    put_group(video, 1, {std::string(40, 'b')});
    put_group(audio, 0, {std::string(50, 'x')});
    CHECK(fetch(0).code == code(stream_code::evicted));
    CHECK(fetch(1).why == errc::ok);
    put_group(video, 2, {"c"}, instant{} + seconds(2));
    CHECK(fetch(1).code == code(stream_code::old));
    CHECK(fetch(2).why == errc::ok);
    CHECK(fetch(3).code == code(stream_code::not_found));
  }
}

TEST_CASE("a group on its way that another track pushes out is reset and named as dropped [seed 4.3 b]") {
  publisher_of_two p(lite06);
  put_group(p.video, 0, {std::string(40, 'a')});
  p.net.room = 10;
  const auto stream = p.peer_subscribes({.max_age_ms = 100'000, .group_start = 0});
  REQUIRE(p.groups().size() == 1);
  const std::uint64_t first = p.groups().at(0);
  put_group(p.video, 1, {"b"});
  p.settle();
  CHECK_FALSE(p.at(first).reset.has_value());
  put_group(p.audio, 0, {std::string(60, 'x')});
  p.settle();
  p.give_room(SIZE_MAX);
  CHECK(p.at(first).reset == code(stream_code::too_far_behind));  // its reader had begun, and stalled
  CHECK(p.at(p.stream_of(1)).fin);
  CHECK(p.out(stream).find(wire_hex(msg::subscribe_drop{0, 0, 0}, lite06)) != std::string::npos);
  CHECK(p.is_open());
}
