// The pure structures behind delivery: intervals, heaps, timers, the order of streams and the age of groups.

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "moql/delivery/expiry.hpp"
#include "moql/delivery/ranges.hpp"
#include "moql/delivery/schedule.hpp"
#include "moql/delivery/timers.hpp"

using namespace moql;

namespace {

constexpr std::uint64_t top = UINT64_MAX;
__extension__ typedef unsigned __int128 wide;

struct dice {
  explicit dice(unsigned seed) : source(seed) {}
  unsigned operator()() { return static_cast<unsigned>(source()); }
  std::mt19937 source;
};

// Fails from the n-th request on, and counts what is out.
struct counted_memory {
  std::size_t requests = 0;
  std::size_t fail_from = SIZE_MAX;
  std::ptrdiff_t out = 0;
  memory_source source{+[](void* c, std::size_t n) noexcept -> void* {
                         auto& self = *static_cast<counted_memory*>(c);
                         if (self.requests++ >= self.fail_from) return nullptr;
                         ++self.out;
                         return std::malloc(n);
                       },
                       +[](void* c, void* block, std::size_t) noexcept {
                         --static_cast<counted_memory*>(c)->out;
                         std::free(block);
                       },
                       this};
  counted_memory() = default;
  counted_memory(const counted_memory&) = delete;
  counted_memory& operator=(const counted_memory&) = delete;
  [[nodiscard]] memory get() const noexcept { return {&source}; }
};

using gaps = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
gaps gaps_of(const ranges& r, std::uint64_t first, std::uint64_t last) {
  gaps out;
  r.for_each_gap(first, last, [&](std::uint64_t f, std::uint64_t l) { out.emplace_back(f, l); });
  return out;
}

}  // namespace

// --- ranges ---

TEST_CASE("a track without gaps stays one interval and never allocates again") {
  counted_memory m;
  {
    ranges r(m.get());
    for (std::uint64_t i = 0; i < 10'000; ++i) REQUIRE(r.add(i, i));
    CHECK(r.count() == 1);
    CHECK(m.requests == 0);
    CHECK(r.covers(0, 9'999));
    CHECK_FALSE(r.has(10'000));
    CHECK(r.lowest() == 0);
    CHECK(r.highest() == 9'999);
  }
  CHECK(m.out == 0);
}

TEST_CASE("intervals that touch or overlap are one interval") {
  ranges r;
  REQUIRE(r.add(10, 20));
  REQUIRE(r.add(30, 40));
  REQUIRE(r.add(50, 60));
  CHECK(r.count() == 3);
  REQUIRE(r.add(21, 29));
  CHECK(r.count() == 2);
  CHECK(r.covers(10, 40));
  REQUIRE(r.add(5, 70));
  CHECK(r.count() == 1);
  CHECK(r.lowest() == 5);
  CHECK(r.highest() == 70);
  REQUIRE(r.add(3, 3));
  CHECK(r.count() == 2);
  REQUIRE(r.add(4, 4));
  CHECK(r.count() == 1);
  CHECK_FALSE(r.add(9, 8));
  CHECK_FALSE(r.covers(9, 8));
}

TEST_CASE("ranges do not overflow at either end of 64 bits") {
  ranges r;
  REQUIRE(r.add(top, top));
  CHECK(r.has(top));
  CHECK_FALSE(r.first_missing(top).has_value());
  CHECK(r.first_missing(0) == 0);
  REQUIRE(r.add(0, 0));
  CHECK(r.count() == 2);
  CHECK(gaps_of(r, 0, top) == gaps{{1, top - 1}});
  REQUIRE(r.add(top - 1, top - 1));
  CHECK(r.count() == 2);
  CHECK(r.covers(top - 1, top));
  REQUIRE(r.add(top, top));
  CHECK(r.close_oldest_gap() == interval{1, top - 2});
  CHECK(r.count() == 1);
  CHECK(r.covers(0, top));
  CHECK(gaps_of(r, 0, top).empty());
  REQUIRE(r.add(0, top));
  CHECK(r.count() == 1);
  r.clear();
  CHECK(r.count() == 0);
  CHECK_FALSE(r.lowest().has_value());
  CHECK(gaps_of(r, 0, top) == gaps{{0, top}});
  CHECK(gaps_of(r, top, top) == gaps{{top, top}});
  CHECK(gaps_of(r, 7, 6).empty());
}

TEST_CASE("closing the oldest gap joins the two lowest intervals and names what is given up") {
  ranges r;
  CHECK_FALSE(r.close_oldest_gap().has_value());
  REQUIRE(r.add(1, 1));
  CHECK_FALSE(r.close_oldest_gap().has_value());
  REQUIRE(r.add(5, 6));
  REQUIRE(r.add(9, 9));
  CHECK(r.close_oldest_gap() == interval{2, 4});
  CHECK(r.count() == 2);
  CHECK(r.covers(1, 6));
  CHECK(r.close_oldest_gap() == interval{7, 8});
  CHECK_FALSE(r.close_oldest_gap().has_value());
}

TEST_CASE("ranges agree with a set of numbers whatever the order of operations") {
  for (const std::uint64_t base : {std::uint64_t{0}, std::uint64_t{1000}, top - 63}) {
    for (unsigned seed = 0; seed < 200; ++seed) {
      CAPTURE(base);
      CAPTURE(seed);
      dice random(seed);
      ranges r;
      std::array<bool, 64> model{};
      for (int op = 0; op < 40; ++op) {
        const unsigned first = random() % 64;
        const unsigned last = first + random() % (random() % 8 == 0 ? 20 : 3);
        if (random() % 16 == 0) {
          const auto gap = r.close_oldest_gap();
          unsigned low = 0;
          while (low < 64 && !model[low]) ++low;
          while (low < 64 && model[low]) ++low;
          unsigned high = low;
          while (high < 64 && !model[high]) ++high;
          REQUIRE(gap.has_value() == (high < 64));
          if (gap) {
            REQUIRE(*gap == interval{base + low, base + high - 1});
            for (unsigned i = low; i < high; ++i) model[i] = true;
          }
        } else if (last < 64) {
          REQUIRE(r.add(base + first, base + last));
          for (unsigned i = first; i <= last; ++i) model[i] = true;
        }
        std::size_t runs = 0;
        for (unsigned i = 0; i < 64; ++i) {
          REQUIRE(r.has(base + i) == model[i]);
          runs += model[i] && (i == 0 || !model[i - 1]) ? 1 : 0;
        }
        REQUIRE(r.count() == runs);
        for (std::size_t i = 1; i < r.view().size(); ++i) REQUIRE(r.view()[i - 1].last + 1 < r.view()[i].first);
        unsigned missing = first;
        while (missing < 64 && model[missing]) ++missing;
        if (missing < 64 || base + 63 != top)
          REQUIRE(r.first_missing(base + first) == base + missing);
        else
          REQUIRE_FALSE(r.first_missing(base + first).has_value());
        const unsigned end = last < 64 ? last : 63;
        bool covered = true;
        gaps want;
        for (unsigned i = first; i <= end; ++i) {
          covered = covered && model[i];
          if (model[i]) continue;
          if (want.empty() || want.back().second + 1 != base + i)
            want.emplace_back(base + i, base + i);
          else
            want.back().second = base + i;
        }
        REQUIRE(r.covers(base + first, base + end) == covered);
        REQUIRE(gaps_of(r, base + first, base + end) == want);
      }
    }
  }
}

TEST_CASE("ranges are unchanged when memory runs out") {
  counted_memory m;
  m.fail_from = 1;
  ranges r(m.get());
  std::uint64_t added = 0;
  while (r.add(added * 2, added * 2)) ++added;
  CHECK(added == 4);
  CHECK(r.count() == 4);
  CHECK_FALSE(r.has(added * 2));
  CHECK(r.add(1, 1));  // joining needs no memory
  CHECK(r.count() == 3);
}

// --- heap and timers ---

TEST_CASE("the heap agrees with a sorted map under random pushes, updates and erasures") {
  for (unsigned seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    dice random(seed);
    indexed_heap<std::uint64_t> heap;
    std::multimap<std::uint64_t, std::uint32_t> order;
    std::map<std::uint32_t, std::uint64_t> key_of;
    const auto forget = [&](std::uint32_t id) {
      for (auto [i, end] = order.equal_range(key_of.at(id)); i != end; ++i)
        if (i->second == id) {
          order.erase(i);
          break;
        }
      key_of.erase(id);
    };
    for (int op = 0; op < 3000; ++op) {
      const std::uint32_t id = random() % 100;
      const std::uint64_t key = random() % 50;
      switch (random() % 4) {
        case 0:
        case 1:
          if (heap.contains(id)) {
            heap.update(id, key);
            forget(id);
          } else {
            REQUIRE(heap.push(id, key));
          }
          order.emplace(key, id);
          key_of[id] = key;
          break;
        case 2:
          heap.erase(id);
          if (key_of.contains(id)) forget(id);
          break;
        default:
          if (!heap.empty()) {
            const auto [k, least] = heap.top();
            REQUIRE(key_of.at(least) == k);
            heap.erase(least);
            forget(least);
          }
      }
      REQUIRE(heap.size() == order.size());
      REQUIRE(heap.empty() == order.empty());
      if (!order.empty()) REQUIRE(heap.top().key == order.begin()->first);
      REQUIRE(heap.contains(id) == key_of.contains(id));
      if (key_of.contains(id)) REQUIRE(heap.key_of(id) == key_of.at(id));
    }
    std::uint64_t last = 0;
    while (!heap.empty()) {
      REQUIRE(heap.top().key >= last);
      last = heap.top().key;
      heap.erase(heap.top().id);
    }
  }
}

TEST_CASE("a warm heap does not allocate and a failing one does not change") {
  counted_memory m;
  {
    indexed_heap<std::uint64_t> heap(m.get());
    for (std::uint32_t i = 0; i < 100; ++i) REQUIRE(heap.push(i, i));
    heap.clear();
    CHECK_FALSE(heap.contains(5));
    const std::size_t warm = m.requests;
    for (int round = 0; round < 10; ++round) {
      for (std::uint32_t i = 0; i < 100; ++i) REQUIRE(heap.push(i, (i * 37) % 101));
      for (std::uint32_t i = 0; i < 100; ++i) heap.erase(i);
    }
    CHECK(m.requests == warm);
    m.fail_from = 0;
    CHECK_FALSE(heap.push(5000, 1));
    CHECK(heap.empty());
    CHECK_FALSE(heap.contains(5000));
  }
  CHECK(m.out == 0);
}

TEST_CASE("timers come due in order of their deadlines and only when due") {
  timers t;
  std::uint32_t id = 99;
  CHECK(t.next() == never_due);
  CHECK_FALSE(t.pop_due(instant{INT64_MAX - 1}, id));
  REQUIRE(t.set(3, instant{300}));
  REQUIRE(t.set(1, instant{100}));
  REQUIRE(t.set(2, instant{200}));
  CHECK(t.next() == instant{100});
  CHECK_FALSE(t.pop_due(instant{99}, id));
  REQUIRE(t.set(1, instant{250}));  // moved
  REQUIRE(t.set(3, never_due));     // as good as cancelled
  CHECK(t.next() == instant{200});
  CHECK(t.pop_due(instant{1000}, id));
  CHECK(id == 2);
  t.cancel(1);
  t.cancel(77);
  CHECK_FALSE(t.pop_due(instant{1000}, id));
  CHECK(t.next() == never_due);
  REQUIRE(t.set(1, instant{-5}));
  CHECK(t.pop_due(instant{-5}, id));
  CHECK(id == 1);
}

// --- schedule ---

namespace {

// Serves the best stream to its end: it is not ready any longer.
schedule::pick take(schedule& s) {
  const schedule::pick p = s.best();
  s.unready(p.flow, p.sequence, p.item);
  s.served(p.flow);
  return p;
}

struct call {  // the conference of the drafts' section on priority
  schedule s;
  std::map<flow_id, std::string> names;
  flow_id ali_audio, ali_video, bob_audio, bob_video;
  call() {
    const auto add = [this](const char* name, std::uint8_t subscriber, std::uint8_t publisher) {
      const flow_id id = s.add_flow(subscriber, publisher, group_order::newest_first);
      REQUIRE(id != schedule::none);
      REQUIRE(s.ready(id, 7, id));
      names[id] = name;
      return id;
    };
    ali_video = add("ali/video", 1, 1);
    bob_video = add("bob/video", 1, 1);
    ali_audio = add("ali/audio", 2, 2);
    bob_audio = add("bob/audio", 2, 2);
  }
  std::vector<std::string> order() {
    std::vector<std::string> out;
    std::vector<schedule::pick> taken;
    while (!s.empty()) {
      taken.push_back(take(s));
      out.push_back(names[taken.back().flow]);
    }
    for (const auto& p : taken) REQUIRE(s.ready(p.flow, p.sequence, p.item));
    return out;
  }
};

}  // namespace

TEST_CASE("R-166 equal priorities: both audio tracks before both video tracks [seed 4.1 a]") {
  call c;
  const auto got = c.order();
  CHECK(std::set(got.begin(), got.begin() + 2) == std::set<std::string>{"ali/audio", "bob/audio"});
  CHECK(std::set(got.begin() + 2, got.end()) == std::set<std::string>{"ali/video", "bob/video"});
}

TEST_CASE("R-166 the publisher's priority decides between equal subscriber priorities [seed 4.1 a]") {
  call c;
  c.s.set_flow(c.bob_audio, 2, 3, group_order::newest_first);
  c.s.set_flow(c.bob_video, 1, 2, group_order::newest_first);
  CHECK(c.order() == std::vector<std::string>{"bob/audio", "ali/audio", "bob/video", "ali/video"});
}

TEST_CASE("R-166 the subscriber's priority comes before the publisher's [seed 4.1 a]") {
  call c;
  c.s.set_flow(c.ali_audio, 4, 2, group_order::newest_first);
  c.s.set_flow(c.ali_video, 3, 1, group_order::newest_first);
  c.s.set_flow(c.bob_audio, 2, 3, group_order::newest_first);
  c.s.set_flow(c.bob_video, 1, 2, group_order::newest_first);
  CHECK(c.order() == std::vector<std::string>{"ali/audio", "ali/video", "bob/audio", "bob/video"});
}

TEST_CASE("R-166 an update reorders groups that are already in flight [seed 4.1 b]") {
  schedule s;
  const flow_id low = s.add_flow(10, 0, group_order::newest_first);
  const flow_id high = s.add_flow(20, 0, group_order::newest_first);
  REQUIRE(s.ready(low, 1, 100));
  REQUIRE(s.ready(high, 1, 200));
  CHECK(s.best().flow == high);
  CHECK(s.best().rank == 20 << 8);
  s.set_flow(low, 255, 255, group_order::newest_first);
  CHECK(s.best().flow == low);
  CHECK(s.best().rank == 0xffff);
  s.set_flow(low, 0, 0, group_order::newest_first);
  CHECK(s.best().flow == high);
}

TEST_CASE("two equal tracks with endless data each get at least 45 % of the picks [seed 4.1 c]") {
  schedule s;
  const std::array<flow_id, 2> flows{s.add_flow(7, 7, group_order::newest_first),
                                     s.add_flow(7, 7, group_order::oldest_first)};
  for (const flow_id f : flows)
    for (std::uint64_t g = 0; g < 3; ++g) REQUIRE(s.ready(f, g, static_cast<std::uint32_t>(g)));
  std::map<flow_id, int> picks;
  for (int i = 0; i < 10'000; ++i) {
    const auto p = s.best();
    ++picks[p.flow];
    s.served(p.flow);
  }
  CHECK(picks[flows[0]] >= 4500);
  CHECK(picks[flows[1]] >= 4500);
}

TEST_CASE("equal flows take turns even when some block, come back or are new all the time") {
  schedule s;
  dice random(3);
  std::vector<flow_id> flows;
  for (int i = 0; i < 5; ++i) flows.push_back(s.add_flow(1, 1, group_order::newest_first));
  for (const flow_id f : flows) REQUIRE(s.ready(f, 0, 0));
  std::map<flow_id, int> picks;
  for (int i = 0; i < 10'000; ++i) {
    const flow_id newcomer = s.add_flow(1, 1, group_order::newest_first);  // fetches that come and go
    REQUIRE(s.ready(newcomer, 0, 0));
    const auto p = s.best();
    ++picks[p.flow];
    s.served(p.flow);
    if (p.flow == flows[0]) {  // empties its stream each time and has more at once
      s.unready(p.flow, 0, 0);
      REQUIRE(s.ready(p.flow, 0, 0));
    }
    const flow_id toggled = flows[1 + random() % 2];  // blocks and unblocks between its turns
    s.unready(toggled, 0, 0);
    REQUIRE(s.ready(toggled, 0, 0));
    s.remove_flow(newcomer);
  }
  for (const flow_id f : flows) CHECK(picks[f] >= 1900);
}

TEST_CASE("a flow that was idle for long is owed one turn and does not hog") {
  schedule s;
  const flow_id idle = s.add_flow(1, 1, group_order::newest_first);
  const flow_id busy = s.add_flow(1, 1, group_order::newest_first);
  REQUIRE(s.ready(busy, 0, 0));
  for (int i = 0; i < 1000; ++i) s.served(s.best().flow);
  REQUIRE(s.ready(idle, 0, 0));
  int picks = 0;
  for (int i = 0; i < 100; ++i) {
    picks += s.best().flow == idle ? 1 : 0;
    s.served(s.best().flow);
  }
  CHECK(picks == 50);
}

TEST_CASE("R-167 R-168 of a backlog 1..5 the newest group goes first, or the oldest if ordered [seed 4.2 a]") {
  using five = std::array<std::uint64_t, 5>;
  for (const auto& [order, want] : {std::pair{group_order::newest_first, five{5, 4, 3, 2, 1}},
                                    std::pair{group_order::oldest_first, five{1, 2, 3, 4, 5}}}) {
    schedule s;
    const flow_id f = s.add_flow(0, 0, order);
    for (const std::uint64_t g : {3u, 1u, 5u, 2u, 4u}) REQUIRE(s.ready(f, g, static_cast<std::uint32_t>(g) + 10));
    CHECK(s.ready_count(f) == 5);
    for (const std::uint64_t g : want) {
      const auto p = take(s);
      CHECK(p.sequence == g);
      CHECK(p.item == g + 10);
    }
    CHECK(s.empty());
  }
}

TEST_CASE("R-167 a change of order by update concerns what is not sent yet [seed 4.2 b]") {
  schedule s;
  const flow_id f = s.add_flow(0, 0, group_order::newest_first);
  for (std::uint64_t g = 1; g <= 5; ++g) REQUIRE(s.ready(f, g, 0));
  CHECK(take(s).sequence == 5);
  s.set_flow(f, 0, 0, group_order::oldest_first);
  CHECK(take(s).sequence == 1);
  CHECK(take(s).sequence == 2);
  s.set_flow(f, 0, 0, group_order::newest_first);
  CHECK(take(s).sequence == 4);
}

TEST_CASE("telling twice that a stream is ready, or is not, changes nothing") {
  schedule s;
  const flow_id f = s.add_flow(0, 0, group_order::newest_first);
  s.unready(f, 1, 1);
  REQUIRE(s.ready(f, 1, 1));
  REQUIRE(s.ready(f, 1, 1));
  REQUIRE(s.ready(f, 1, 2));  // another stream with the same group: a fetch beside a subscription
  CHECK(s.ready_count(f) == 2);
  s.unready(f, 1, 3);
  s.unready(f, 1, 1);
  s.unready(f, 1, 1);
  CHECK(s.ready_count(f) == 1);
  CHECK(s.best().item == 2);
  s.remove_flow(f);
  CHECK(s.empty());
}

TEST_CASE("the schedule agrees with a sorted model, also where its count of turns starts again") {
  struct model_flow {
    std::uint8_t subscriber = 0;
    std::uint8_t publisher = 0;
    group_order order{};
    std::uint64_t turn = 0;
    std::set<std::pair<std::uint64_t, std::uint32_t>> members;
    [[nodiscard]] auto key() const { return std::tuple(255 - subscriber, 255 - publisher, turn); }
  };
  constexpr std::uint64_t last_turn = (std::uint64_t{1} << 48) - 1;
  for (unsigned seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    dice random(seed);
    std::uint64_t turn = seed % 2 == 0 ? 0 : last_turn - random() % 1000;
    schedule s({}, turn);
    std::map<flow_id, model_flow> model;
    const auto next_turn = [&] {
      if (turn == last_turn) {
        turn = 0;
        for (auto& [id, f] : model) f.turn = 0;
      }
      return ++turn;
    };
    for (int op = 0; op < 4000; ++op) {
      const auto subscriber = static_cast<std::uint8_t>(random() % 3);
      const auto publisher = static_cast<std::uint8_t>(random() % 3);
      const auto order = random() % 2 == 0 ? group_order::newest_first : group_order::oldest_first;
      const std::uint64_t group = random() % 64;
      const std::uint32_t item = random() % 2;
      const unsigned what = random() % 20;
      if (model.empty() || (what == 0 && model.size() < 12)) {
        const flow_id id = s.add_flow(subscriber, publisher, order);
        REQUIRE(id != schedule::none);
        REQUIRE_FALSE(model.contains(id));
        const std::uint64_t at = next_turn();
        model[id] = {subscriber, publisher, order, at, {}};
      }
      auto it = model.begin();
      std::advance(it, random() % model.size());
      const flow_id id = it->first;
      model_flow& f = it->second;
      if (what == 1) {
        s.set_flow(id, subscriber, publisher, order);
        f.subscriber = subscriber;
        f.publisher = publisher;
        f.order = order;
      } else if (what == 2 && model.size() > 6) {
        s.remove_flow(id);
        model.erase(it);
      } else if (what < 11) {
        REQUIRE(s.ready(id, group, item));
        f.members.emplace(group, item);
      } else if (what < 14) {
        s.unready(id, group, item);
        f.members.erase({group, item});
      } else if (!s.empty()) {
        const auto p = s.best();
        s.served(p.flow);
        const std::uint64_t at = next_turn();
        model.at(p.flow).turn = at;
        if (what < 18) {
          s.unready(p.flow, p.sequence, p.item);
          model.at(p.flow).members.erase({p.sequence, p.item});
        }
      }
      const model_flow* least = nullptr;
      for (const auto& [other, m] : model)
        if (!m.members.empty() && (least == nullptr || m.key() < least->key())) least = &m;
      REQUIRE(s.empty() == (least == nullptr));
      if (least == nullptr) continue;
      const auto p = s.best();
      const model_flow& picked = model.at(p.flow);
      REQUIRE(picked.key() == least->key());
      REQUIRE(p.rank == schedule::rank(picked.subscriber, picked.publisher));
      const auto want = picked.order == group_order::newest_first ? *picked.members.rbegin() : *picked.members.begin();
      REQUIRE(std::pair(p.sequence, p.item) == want);
      REQUIRE(s.ready_count(p.flow) == picked.members.size());
    }
  }
}

TEST_CASE("a long backlog is served from either end, and filled from either end, without moving all of it") {
  // 200,000 operations that each moved half of 200,000 members would take minutes.
  constexpr std::uint64_t n = 200'000;
  for (const auto order : {group_order::newest_first, group_order::oldest_first}) {
    for (const bool rising : {true, false}) {
      schedule s;
      const flow_id f = s.add_flow(0, 0, order);
      for (std::uint64_t i = 0; i < n; ++i) REQUIRE(s.ready(f, rising ? i : n - 1 - i, 0));
      bool right = true;
      for (std::uint64_t i = 0; i < n; ++i)
        right = right && take(s).sequence == (order == group_order::oldest_first ? i : n - 1 - i);
      CHECK(right);
      CHECK(s.empty());
    }
  }
}

TEST_CASE("a warm schedule does not allocate") {
  counted_memory m;
  {
    schedule s(m.get());
    std::size_t warm = 0;
    for (int round = 0; round < 100; ++round) {
      if (round == 10) warm = m.requests;
      std::array<flow_id, 8> flows{};
      for (flow_id& f : flows) f = s.add_flow(1, 1, group_order::oldest_first);
      for (std::uint64_t g = 0; g < 500; ++g) {  // a window that moves on for ever
        for (const flow_id f : flows) REQUIRE(s.ready(f, g, 0));
        if (g >= 20) take(s), take(s), take(s), take(s), take(s), take(s), take(s), take(s);
      }
      for (const flow_id f : flows) s.remove_flow(f);
    }
    CHECK(m.requests == warm);
  }
  CHECK(m.out == 0);
}

TEST_CASE("a window of ready streams that moves on for ever stays in the memory it has") {
  counted_memory m;
  for (const auto order : {group_order::oldest_first, group_order::newest_first}) {
    schedule s(m.get());
    const flow_id f = s.add_flow(1, 1, order);
    std::size_t warm = 0;
    for (std::uint64_t i = 0; i < 50'000; ++i) {
      const std::uint64_t g = order == group_order::oldest_first ? i : 50'000 - i;
      REQUIRE(s.ready(f, g, 0));
      if (i >= 20) take(s);  // from the other end
      if (i == 1'000) warm = m.requests;
    }
    CHECK(s.ready_count(f) == 20);
    CHECK(m.requests == warm);
  }
}

TEST_CASE("a schedule that runs out of memory says so and stays in order") {
  for (std::size_t allowed = 0; allowed < 12; ++allowed) {
    CAPTURE(allowed);
    counted_memory m;
    m.fail_from = allowed;
    {
      schedule s(m.get());
      std::size_t told = 0;
      for (int i = 0; i < 20; ++i) {
        const flow_id f = s.add_flow(1, static_cast<std::uint8_t>(i), group_order::newest_first);
        if (f == schedule::none) continue;
        for (std::uint64_t g = 0; g < 20; ++g) told += s.ready(f, g, 0) ? 1 : 0;
      }
      std::size_t taken = 0;
      std::uint16_t rank = 0xffff;
      while (!s.empty()) {
        CHECK(s.best().rank <= rank);
        rank = take(s).rank;
        ++taken;
      }
      CHECK(taken == told);
    }
    CHECK(m.out == 0);
  }
}

// --- expiry ---

TEST_CASE("Q-44 ages convert to any timescale without overflow, saturating") {
  constexpr std::uint64_t varint_max = (std::uint64_t{1} << 62) - 1;
  static_assert(to_units(1000, 90'000) == 90'000);
  static_assert(to_units(1, 90'000) == 90);
  static_assert(to_units(999, 1) == 0);
  static_assert(to_units_up(999, 1) == 1);
  static_assert(to_units_up(1000, 1) == 1);
  static_assert(to_units(0, varint_max) == 0);
  static_assert(to_units(1000, varint_max) == varint_max);
  static_assert(to_units(varint_max, 1000) == varint_max);
  static_assert(to_units(varint_max, 90'000) == top);
  static_assert(to_units(varint_max, varint_max) == top);
  static_assert(to_units_up(varint_max, varint_max) == top);
  static_assert(to_units((std::uint64_t{1} << 53) - 1, 1'000'000) == ((std::uint64_t{1} << 53) - 1) * 1000);
  static_assert(to_units(999, varint_max) == 4607074332408960515u);
  static_assert(to_units(5, 0) == 0);
  static_assert(to_milliseconds(90'000, 90'000) == 1000);
  static_assert(to_milliseconds(89, 90'000) == 0);
  static_assert(to_milliseconds(varint_max, 1) == top);
  static_assert(to_milliseconds(varint_max, varint_max) == 1000);
  static_assert(to_milliseconds(varint_max - 1, varint_max) == 999);
  static_assert(to_milliseconds(top, varint_max) == 4000);
  static_assert(to_milliseconds(varint_max / 2, varint_max) == 499);
  static_assert(to_milliseconds(7, 0) == 0);

  std::mt19937_64 random(1);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t ms = random() >> (2 + random() % 60);
    const std::uint64_t scale = (random() >> (2 + random() % 60)) | 1u;
    const auto exact = static_cast<wide>(ms) * scale;
    const auto down = exact / 1000;
    const auto up = (exact + 999) / 1000;
    REQUIRE(to_units(ms, scale) == (down > top ? top : static_cast<std::uint64_t>(down)));
    REQUIRE(to_units_up(ms, scale) == (up > top ? top : static_cast<std::uint64_t>(up)));
    const auto back = static_cast<wide>(ms) * 1000 / scale;
    REQUIRE(to_milliseconds(ms, scale) == (back > top ? top : static_cast<std::uint64_t>(back)));
  }
}

namespace {

constexpr std::optional<std::uint64_t> no_frame{};

struct age_row {
  const char* what;
  version v;
  std::uint64_t max_age_ms;
  group_age_facts facts;  // timescale 90,000
  bool expired;
};

// Arrivals `ms` apart.
constexpr group_age_facts arrivals(std::int64_t us) {
  return {.has_successor = true, .arrival = {5'000'000}, .latest_arrival = {5'000'000 + us}};
}
// Draft 05: both ages.
constexpr group_age_facts both(std::optional<std::uint64_t> first, std::optional<std::uint64_t> latest_first,
                               std::int64_t us) {
  group_age_facts f = arrivals(us);
  f.first_timestamp = first;
  f.latest_first_timestamp = latest_first;
  return f;
}
// Draft 06: reach and newest.
constexpr group_age_facts reach(std::optional<std::uint64_t> successor_first, std::optional<std::uint64_t> newest) {
  group_age_facts f = arrivals(3'600'000'000);  // an hour on the wall, which means nothing here
  f.first_timestamp = 0;
  f.latest_first_timestamp = newest;
  f.successor_first_timestamp = successor_first;
  f.latest_newest_timestamp = newest;
  return f;
}
constexpr group_age_facts latest(group_age_facts f) {
  f.is_latest = true;
  f.has_successor = false;
  return f;
}
constexpr group_age_facts without_successor(group_age_facts f) {
  f.has_successor = false;
  return f;
}

constexpr std::uint64_t second = 90'000;
constexpr std::uint64_t huge_ms = (std::uint64_t{1} << 62) - 1;

constexpr age_row age_table[] = {
    {"01 defines no age", lite01, 0, both(0, 100 * second, 100'000'000), false},
    {"02 defines no age", lite02, 0, both(0, 100 * second, 100'000'000), false},

    {"R-169 03: arrivals further apart than Max Latency", lite03, 1000, arrivals(1'000'001), true},
    {"R-169 03: arrivals exactly Max Latency apart", lite03, 1000, arrivals(1'000'000), false},
    {"R-169 04: arrivals further apart than Max Latency", lite04, 1000, arrivals(1'001'000), true},
    {"R-169 04: arrivals exactly Max Latency apart", lite04, 1000, arrivals(1'000'000), false},
    {"R-169 04: timestamps mean nothing", lite04, 1000, both(0, 100 * second, 1000), false},
    {"R-169 03: Max Latency 0, a moment apart", lite03, 0, arrivals(1), true},
    {"R-169 03: Max Latency 0, at the same moment", lite03, 0, arrivals(0), false},
    {"R-169 03: the older group arrived last", lite03, 0, arrivals(-1'000'000), false},
    {"R-169 03: an unlimited age does not wrap", lite03, huge_ms, arrivals(INT64_MAX - 5'000'000), false},
    {"R-169 03: the longest difference there is",
     lite03,
     huge_ms,
     {.has_successor = true, .arrival = {INT64_MIN}, .latest_arrival = {INT64_MAX}},
     false},
    {"R-169 03: the longest difference there is, counted",
     lite03,
     18'446'744'073'709'550,
     {.has_successor = true, .arrival = {INT64_MIN}, .latest_arrival = {INT64_MAX}},
     true},
    {"R-172 03: the latest group", lite03, 0, latest(arrivals(100'000'000)), false},

    {"R-170 05: the timestamp age exceeds", lite05, 1000, both(0, second + 1, 0), true},
    {"R-170 05: the timestamp age is equal", lite05, 1000, both(0, second, 0), false},
    {"R-170 05: the wall-clock age exceeds", lite05, 1000, both(0, 0, 1'000'001), true},
    {"R-170 05: the wall-clock age is equal", lite05, 1000, both(0, 0, 1'000'000), false},
    {"R-170 05: timestamps run backwards", lite05, 0, both(second, 0, 0), false},
    {"R-170 05: a group without frames, young on the wall", lite05, 1000, both(no_frame, 100 * second, 1'000'000),
     false},
    {"R-170 05: a group without frames, old on the wall", lite05, 1000, both(no_frame, 100 * second, 1'000'001), true},
    {"R-170 05: no other group has a frame", lite05, 1000, both(0, no_frame, 0), false},
    {"R-170 05: unlimited", lite05, huge_ms, both(0, huge_ms, INT64_MAX - 5'000'000), false},
    {"R-172 05: the latest group", lite05, 0, latest(both(0, 100 * second, 100'000'000)), false},

    {"R-171 06: age equal to Max Age expires", lite06, 1000, reach(0, second), true},
    {"R-171 06: one unit below Max Age", lite06, 1000, reach(0, second - 1), false},
    {"R-171 06: above Max Age", lite06, 1000, reach(0, second + 1), true},
    {"R-171 06: the age counts from the successor's first frame", lite06, 1000, reach(3 * second, 4 * second), true},
    {"R-171 06: and not from the group's own", lite06, 1000, reach(3 * second, 4 * second - 1), false},
    {"R-171 06: Max Age 0, the successor has a frame", lite06, 0, reach(second, second), true},
    {"R-171 06: Max Age 0, timestamps run backwards", lite06, 0, reach(second, 0), true},
    {"R-171 06: Max Age 1, timestamps run backwards", lite06, 1, reach(second, 0), false},
    {"R-171 06: while the successor has no frame", lite06, 0, reach(no_frame, 100 * second), false},
    {"R-171 06: without a successor", lite06, 0, without_successor(reach(0, 100 * second)), false},
    {"R-171 06: unlimited", lite06, huge_ms, reach(0, huge_ms), false},
    {"R-172 06: the latest group", lite06, 0, latest(reach(0, 100 * second)), false},
};

}  // namespace

namespace {
void check_rows(std::string_view rule, std::size_t at_least) {
  std::size_t rows = 0;
  for (const age_row& row : age_table) {
    if (!std::string_view(row.what).starts_with(rule)) continue;
    CAPTURE(row.what);
    CHECK(is_expired(row.v, row.facts, row.max_age_ms, second) == row.expired);
    ++rows;
  }
  CHECK(rows >= at_least);
}
}  // namespace

TEST_CASE("01 and 02 define no age") { check_rows("0", 2); }
TEST_CASE("R-169 03 and 04 go by the difference of arrival times, equality does not expire") {
  check_rows("R-169", 10);
}
TEST_CASE("R-170 05 goes by timestamps or the wall clock, a group without frames by the wall clock only") {
  check_rows("R-170", 9);
}
TEST_CASE("R-171 06 goes by the reach, equality expires, no frame in the successor never does [seed 4.3 a]") {
  check_rows("R-171", 11);
}
TEST_CASE("R-172 the latest group never expires") { check_rows("R-172", 3); }

TEST_CASE("R-171 06 a Max Age between two units expires at the first whole unit that reaches it") {
  // 1 ms at 30 units a second is 0.03 units: an age of 0 has not reached it, 1 unit has.
  CHECK_FALSE(is_expired(lite06, reach(0, 0), 1, 30));
  CHECK(is_expired(lite06, reach(0, 1), 1, 30));
  // 05 expires past it: 0.03 units are exceeded by 1 unit, 1 unit (of 34 ms) is not by 1 unit (of 33.3 ms).
  CHECK(is_expired(lite05, both(0, 1, 0), 1, 30));
  CHECK_FALSE(is_expired(lite05, both(0, 1, 0), 34, 30));
}

TEST_CASE("without a timescale only the wall clock ages a group") {
  CHECK_FALSE(is_expired(lite06, reach(0, 100), 0, 0));
  CHECK_FALSE(is_expired(lite05, both(0, 100, 0), 0, 0));
  CHECK(is_expired(lite05, both(0, 0, 1), 0, 0));
}
