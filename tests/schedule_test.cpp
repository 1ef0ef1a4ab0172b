// Which stream is written next, and how important it is for a stack that sorts by itself.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "counting_memory.hpp"
#include "moql/delivery/schedule.hpp"

using namespace moql;

namespace {

struct dice {
  explicit dice(unsigned seed) : source(seed) {}
  unsigned operator()() { return static_cast<unsigned>(source()); }
  std::mt19937 source;
};

// Serves the best stream to its end: it is not ready any longer.
schedule::pick take(schedule& s) {
  const schedule::pick p = s.best();
  s.unready(p.flow, p.sequence, p.item);
  s.served(p.flow, 100);
  return p;
}

/// Equal flows that always have something.
std::vector<flow_id> endless(schedule& s, int n) {
  std::vector<flow_id> flows;
  for (int i = 0; i < n; ++i) {
    flows.push_back(s.add_flow(7, 7, group_order::newest_first));
    REQUIRE(s.ready(flows.back(), 0, 0));
  }
  return flows;
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

// ---- priority

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

// ---- equals

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
    s.served(p.flow, 100);
  }
  CHECK(picks[flows[0]] >= 4500);
  CHECK(picks[flows[1]] >= 4500);
}

TEST_CASE("the bytes of two equal endless tracks are never further apart than one write [seed 4.1 c]") {
  for (const auto& sizes : {std::pair{1u, 65'536u}, {100u, 101u}, {1200u, 16'384u}, {1u, 1u}}) {
    const unsigned small = sizes.first, large = sizes.second;
    CAPTURE(small);
    CAPTURE(large);
    schedule s;
    const auto flows = endless(s, 2);
    std::map<flow_id, std::uint64_t> bytes;
    bool close = true;
    for (int i = 0; i < 10'000; ++i) {
      const flow_id f = s.best().flow;
      const std::uint32_t n = f == flows[0] ? small : large;
      bytes[f] += n;
      s.served(f, n);
      const auto a = bytes[flows[0]], b = bytes[flows[1]];
      close = close && (a > b ? a - b : b - a) <= large;
    }
    CHECK(close);
    CHECK(bytes[flows[1]] >= large);  // by turns it would have had `large / small` times as much
    CHECK(s.best().rank == rank_of(7, 7));
  }
}

TEST_CASE("equal flows with writes of any size are at any time within one write of one another [seed 4.1 c]") {
  for (unsigned seed = 0; seed < 20; ++seed) {
    dice random(seed);
    schedule s({}, seed % 2 == 0 ? 0 : detail::levels::time_max - 1'000'000);
    const auto flows = endless(s, 7);
    std::map<flow_id, std::uint64_t> bytes;
    bool close = true;
    for (int i = 0; i < 5'000; ++i) {
      const flow_id f = s.best().flow;
      const std::uint32_t n = random() % 3 == 0 ? 16'384 : random() % 1200;
      bytes[f] += n == 0 ? 1 : n;
      s.served(f, n);
      std::uint64_t least = UINT64_MAX, most = 0;
      for (const flow_id x : flows) {
        least = bytes[x] < least ? bytes[x] : least;
        most = bytes[x] > most ? bytes[x] : most;
      }
      close = close && most - least <= 16'384;
    }
    CHECK(close);
  }
}

TEST_CASE("what is served at one level owes and is owed nothing at another: a move starves nobody") {
  for (const bool mover_was_busy : {true, false}) {
    CAPTURE(mover_was_busy);
    schedule s;
    const flow_id mover = s.add_flow(9, 0, group_order::newest_first);
    const flow_id stays = s.add_flow(5, 0, group_order::newest_first);
    // The level that is moved from, or the one that is moved to, has served a gigabyte more than the other.
    const flow_id busy = mover_was_busy ? mover : stays;
    REQUIRE(s.ready(busy, 0, 0));
    for (int i = 0; i < 100'000; ++i) s.served(s.best().flow, 16'384);
    for (const flow_id f : {mover, stays}) REQUIRE(s.ready(f, 0, 0));
    s.set_flow(mover, 5, 0, group_order::newest_first);
    std::map<flow_id, int> picks;
    for (int i = 0; i < 10'000; ++i) {
      ++picks[s.best().flow];
      s.served(s.best().flow, 1000);
    }
    CHECK(picks[mover] >= 4'990);  // its last write of 16 KiB is all that it carries along
    CHECK(picks[stays] >= 4'990);
  }
}

TEST_CASE("a flow that waits below keeps its place when others come there") {
  schedule s;
  const flow_id above = s.add_flow(9, 0, group_order::newest_first);
  const flow_id waits = s.add_flow(5, 0, group_order::newest_first);
  REQUIRE(s.ready(above, 0, 0));
  REQUIRE(s.ready(waits, 0, 0));
  for (int i = 0; i < 1000; ++i) s.served(s.best().flow, 16'384);
  const flow_id comes = s.add_flow(5, 0, group_order::newest_first);
  REQUIRE(s.ready(comes, 0, 0));
  s.unready(above, 0, 0);
  std::map<flow_id, int> picks;
  for (int i = 0; i < 100; ++i) {
    ++picks[s.best().flow];
    s.served(s.best().flow, 100);
  }
  CHECK(picks[waits] == 50);
  CHECK(picks[comes] == 50);
}

TEST_CASE("priorities that change with every write give nobody more and nobody less") {
  schedule s;
  const auto flows = endless(s, 3);
  std::map<flow_id, int> picks;
  for (int i = 0; i < 9'000; ++i) {
    ++picks[s.best().flow];
    s.served(s.best().flow, 1000);
    const auto level = static_cast<std::uint8_t>(i % 5);  // all three go, one after another
    for (const flow_id f : flows) s.set_flow(f, level, 7, group_order::newest_first);
  }
  for (const flow_id f : flows) CHECK(picks[f] == 3'000);
}

TEST_CASE("an endless row of newcomers with nothing but an end to write does not starve a flow") {
  schedule s;
  const flow_id old = endless(s, 1)[0];
  int picks = 0;
  for (int i = 0; i < 1000; ++i) {
    std::array<flow_id, 3> fresh{};
    for (flow_id& f : fresh) {
      f = s.add_flow(7, 7, group_order::newest_first);
      REQUIRE(s.ready(f, 0, 0));
    }
    for (int n = 0; n < 3; ++n) {
      const flow_id f = s.best().flow;
      picks += f == old ? 1 : 0;
      s.served(f, f == old ? 1 : 0);
    }
    for (const flow_id f : fresh) s.remove_flow(f);
  }
  CHECK(picks >= 700);
}

TEST_CASE("a write of any length leaves the order whole") {
  schedule s({}, UINT64_MAX);
  const auto flows = endless(s, 3);
  std::map<flow_id, int> picks;
  for (int i = 0; i < 3'000; ++i) {
    const flow_id f = s.best().flow;
    ++picks[f];
    s.served(f, SIZE_MAX);
    REQUIRE(s.best().rank == rank_of(7, 7));
  }
  for (const flow_id f : flows) CHECK(picks[f] == 1'000);
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
    s.served(p.flow, 100);
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
  for (int i = 0; i < 1000; ++i) s.served(s.best().flow, 100);
  REQUIRE(s.ready(idle, 0, 0));
  int picks = 0;
  for (int i = 0; i < 100; ++i) {
    picks += s.best().flow == idle ? 1 : 0;
    s.served(s.best().flow, 100);
  }
  CHECK(picks == 50);
}

// ---- order of groups

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

// ---- everything at once

TEST_CASE("the schedule agrees with a sorted model, also where its clocks start again") {
  // The model's clocks never start again, and it looks at everything to find what is best.
  struct model_flow {
    std::uint8_t subscriber = 0;
    std::uint8_t publisher = 0;
    group_order order{};
    std::uint64_t start = 0;
    std::set<std::pair<std::uint64_t, std::uint32_t>> members;
    [[nodiscard]] auto level() const { return std::pair(subscriber, publisher); }
  };
  struct clock {
    std::uint64_t now = 0, last = 0;
  };
  for (unsigned seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    dice random(seed);
    schedule s({}, seed % 2 == 0 ? 0 : detail::levels::time_max - random() % 100'000);
    std::map<flow_id, model_flow> model;
    std::map<std::pair<std::uint8_t, std::uint8_t>, clock> clocks;
    const auto key = [&](const model_flow& f) {  // all that have paused are equal
      return std::tuple(255 - f.subscriber, 255 - f.publisher, std::max(f.start, clocks[f.level()].now));
    };
    const auto leave = [&](const model_flow& f) {  // a level that nobody is at is forgotten
      int n = 0;
      for (const auto& [id, other] : model) n += other.level() == f.level() ? 1 : 0;
      if (n == 1) clocks.erase(f.level());
    };
    for (int op = 0; op < 3000; ++op) {
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
        model[id] = {subscriber, publisher, order, clocks[{subscriber, publisher}].last, {}};
      }
      auto it = model.begin();
      std::advance(it, random() % model.size());
      const flow_id id = it->first;
      model_flow& f = it->second;
      if (what == 1) {
        s.set_flow(id, subscriber, publisher, order);
        f.order = order;
        if (f.level() != std::pair(subscriber, publisher)) {
          const std::uint64_t now = clocks[f.level()].now;
          const std::uint64_t ahead = f.start > now ? f.start - now : 0;
          leave(f);
          f.subscriber = subscriber;
          f.publisher = publisher;
          clock& c = clocks[f.level()];
          f.start = c.now + ahead;
          c.last = std::max(c.last, f.start);
        }
      } else if (what == 2 && model.size() > 6) {
        s.remove_flow(id);
        leave(f);
        model.erase(it);
      } else if (what < 11) {
        REQUIRE(s.ready(id, group, item));
        f.members.emplace(group, item);
      } else if (what < 14) {
        s.unready(id, group, item);
        f.members.erase({group, item});
      } else if (!s.empty()) {
        const auto p = s.best();
        const std::uint32_t bytes = random() % 4 == 0 ? 0 : random() % 20'000;
        s.served(p.flow, bytes);
        model_flow& g = model.at(p.flow);
        clock& c = clocks[g.level()];
        c.now = std::max(c.now, g.start);  // a pause is not made up for
        g.start = c.now + (bytes == 0 ? 1 : bytes);
        c.last = std::max(c.last, g.start);
        REQUIRE(c.last - c.now <= 20'000);
        if (what < 18) {
          s.unready(p.flow, p.sequence, p.item);
          g.members.erase({p.sequence, p.item});
        }
      }
      const model_flow* least = nullptr;
      for (const auto& [other, m] : model)
        if (!m.members.empty() && (least == nullptr || key(m) < key(*least))) least = &m;
      REQUIRE(s.empty() == (least == nullptr));
      if (least == nullptr) continue;
      const auto p = s.best();
      const model_flow& picked = model.at(p.flow);
      REQUIRE((key(picked) == key(*least)));
      REQUIRE(p.rank == rank_of(picked.subscriber, picked.publisher));
      const auto want = picked.order == group_order::newest_first ? *picked.members.rbegin() : *picked.members.begin();
      REQUIRE(std::pair(p.sequence, p.item) == want);
      REQUIRE(s.ready_count(p.flow) == picked.members.size());
    }
  }
}

TEST_CASE("every pair of priorities has its own level, however many there are and however often they change") {
  schedule s;
  dice random(5);
  std::vector<flow_id> flows;
  std::map<flow_id, std::uint16_t> ranks;
  for (int i = 0; i < 3000; ++i) {
    flows.push_back(s.add_flow(static_cast<std::uint8_t>(random()), static_cast<std::uint8_t>(random()),
                               group_order::newest_first));
    REQUIRE(flows.back() != schedule::none);
    REQUIRE(s.ready(flows.back(), 0, 0));
  }
  for (int round = 0; round < 3; ++round) {
    for (const flow_id f : flows) {
      const auto subscriber = static_cast<std::uint8_t>(random()), publisher = static_cast<std::uint8_t>(random());
      s.set_flow(f, subscriber, publisher, group_order::newest_first);
      ranks[f] = rank_of(subscriber, publisher);
    }
  }
  std::uint16_t rank = 0xffff;
  bool falling = true;
  while (!s.empty()) {
    const auto p = take(s);
    falling = falling && p.rank <= rank && p.rank == ranks[p.flow];
    rank = p.rank;
  }
  CHECK(falling);
}

// ---- memory

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
  counting_memory m;
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
  CHECK(m.out.empty());
}

TEST_CASE("a window of ready streams that moves on for ever stays in the memory it has") {
  counting_memory m;
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
    counting_memory m;
    m.allowed = allowed;
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
    CHECK(m.out.empty());
  }
}

// ---- as numbers

TEST_CASE("hints order as the schedule does, and control comes before any group R-166 R-167 R-168 [seed 4.1 d]") {
  dice random(9);
  struct stream {
    std::uint8_t subscriber, publisher;
    group_order order;
    std::uint64_t sequence;
    [[nodiscard]] std::int32_t hint() const { return group_hint(subscriber, publisher, order, sequence); }
  };
  static_assert(group_hint(255, 255, group_order::newest_first, 0x3fff) < control_hint);
  static_assert(group_hint(255, 255, group_order::oldest_first, 0) < control_hint);
  static_assert(group_hint(0, 0, group_order::newest_first, 0) == -(1 << 30));
  static_assert(group_hint(255, 255, group_order::newest_first, 0x3fff) == -1);
  for (int i = 0; i < 100'000; ++i) {
    const auto few = [&] { return static_cast<std::uint8_t>(random() % 4 == 0 ? random() : random() % 3); };
    stream a{few(), few(), static_cast<group_order>(random() % 2), random() % 0x4000};
    stream b{few(), few(), static_cast<group_order>(random() % 2), random() % 0x4000};
    REQUIRE(a.hint() < control_hint);
    const auto ra = rank_of(a.subscriber, a.publisher), rb = rank_of(b.subscriber, b.publisher);
    REQUIRE((ra < rb) == (std::pair(a.subscriber, a.publisher) < std::pair(b.subscriber, b.publisher)));
    if (ra != rb) REQUIRE((a.hint() < b.hint()) == (ra < rb));
    if (ra != rb) continue;
    b.order = a.order;  // one track
    if (a.sequence == b.sequence) {
      REQUIRE(a.hint() == b.hint());
    } else {
      REQUIRE((a.hint() < b.hint()) == ((a.sequence < b.sequence) == (a.order == group_order::newest_first)));
    }
  }
}

TEST_CASE("fewer levels keep the order and keep control apart R-166 [seed 4.1]") {
  static_assert(level_of(control_hint, 8) == 0);
  static_assert(level_of(INT32_MAX, 8) == 0);
  static_assert(level_of(-1, 8) == 1);
  static_assert(level_of(INT32_MIN, 8) == 7);
  static_assert(level_of(INT32_MIN, 1) == 0);
  static_assert(level_of(INT32_MIN, 2) == 1);
  static_assert(level_of(INT32_MIN, UINT32_MAX) <= UINT32_MAX - 1);
  static_assert(level_of(-1, UINT32_MAX) == 1);
  static_assert(level_of(INT32_MIN, 0) == 0);
  dice random(11);
  for (const std::uint32_t levels : {1u, 2u, 3u, 7u, 8u, 16u, 256u, 257u, 65'537u, UINT32_MAX}) {
    CAPTURE(levels);
    std::set<std::uint32_t> used;
    for (int i = 0; i < 20'000; ++i) {
      const auto a = static_cast<std::int32_t>(random() >> 2) - (1 << 30);
      const auto b = static_cast<std::int32_t>(random() >> 2) - (1 << 30);
      used.insert(level_of(a, levels));
      REQUIRE(level_of(a, levels) < levels);
      if (a > b) REQUIRE(level_of(a, levels) <= level_of(b, levels));
      if (levels > 1) REQUIRE(level_of(a, levels) > level_of(control_hint, levels));
    }
    if (levels <= 16) CHECK(used.size() == (levels == 1 ? 1 : levels - 1));
  }
  // 257: control, and each subscriber priority for itself.
  for (unsigned p = 0; p < 256; ++p)
    for (const std::uint64_t g : {0u, 5u, 0x3fffu})
      CHECK(level_of(group_hint(static_cast<std::uint8_t>(p), 7, group_order::newest_first, g), 257) == 256 - p);
}

TEST_CASE("RFC 9218 urgencies: control alone at 0, groups share, unless the oldest goes first R-166 R-167") {
  static_assert(urgency_of(control_hint, group_order::newest_first) == urgency{0, false});
  constexpr auto of = [](std::uint8_t priority, group_order order) {
    return urgency_of(group_hint(priority, 0, order, 0), order);
  };
  static_assert(of(255, group_order::newest_first) == urgency{1, true});
  static_assert(of(0, group_order::newest_first) == urgency{7, true});
  static_assert(of(0, group_order::oldest_first) == urgency{7, false});
  std::uint8_t before = 7;
  for (unsigned p = 0; p < 256; ++p) {
    const urgency u = of(static_cast<std::uint8_t>(p), group_order::newest_first);
    CHECK(u.level >= 1);
    CHECK(u.level <= before);
    before = u.level;
  }
}

TEST_CASE("levels among the ranks in use keep near priorities apart, and the order R-166 [seed 4.1 a]") {
  // Evenly shared, the four priorities of Ali and Bob would all be the last urgency.
  const std::array<std::uint16_t, 4> call{rank_of(4, 2), rank_of(3, 1), rank_of(2, 2), rank_of(1, 1)};
  CHECK(urgency_of(group_hint(4, 2, group_order::newest_first, 0), group_order::newest_first).level == 7);
  for (std::uint32_t i = 0; i < 4; ++i) CHECK(level_among(call[i], call, 8) == i + 1);
  CHECK(level_among(call[3], call, 3) == 2);
  CHECK(level_among(call[2], call, 3) == 2);
  CHECK(level_among(call[0], call, 3) == 1);
  CHECK(level_among(call[3], call, 1) == 0);
  CHECK(level_among(call[3], call, 0) == 0);
  CHECK(level_among(call[3], {}, 8) == 1);
  CHECK(level_among(0xffff, call, 8) == 1);
  CHECK(level_among(rank_of(2, 3), call, 8) == 3);
  CHECK(level_among(0, call, 8) == 5);
  dice random(2);
  std::set<std::uint16_t, std::greater<>> ranks;
  while (ranks.size() < 40) ranks.insert(static_cast<std::uint16_t>(random()));
  const std::vector<std::uint16_t> falling(ranks.begin(), ranks.end());
  for (const std::uint32_t levels : {2u, 8u, 32u, 100u})
    for (int i = 0; i < 5'000; ++i) {
      const auto a = static_cast<std::uint16_t>(random()), b = static_cast<std::uint16_t>(random());
      const std::uint32_t x = level_among(a, falling, levels), y = level_among(b, falling, levels);
      REQUIRE((x >= 1 && x < levels));
      if (a > b) REQUIRE(x <= y);
    }
}
