// The pure structures behind delivery: intervals, heaps, timers and the age of groups.

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moql/delivery/expiry.hpp"
#include "moql/delivery/ranges.hpp"
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
