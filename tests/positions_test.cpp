/// Where a reader stands in a track: what is new of what comes, and where to go on.

#include <doctest/doctest.h>

#include <moql/delivery/positions.hpp>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "counting_memory.hpp"

using namespace moql;

namespace {
constexpr std::uint64_t top = ~std::uint64_t{0};
using standing = positions::standing;

part_kind take(positions& p, std::uint64_t group, std::uint64_t frame, std::uint64_t size, std::uint64_t offset,
               std::uint64_t length) {
  return p.take(group, frame, 0, size, offset, length).kind;
}
}  // namespace

TEST_CASE("a part is new from the first byte that is not there") {
  positions p;
  REQUIRE(p.begin(3) == errc::ok);
  CHECK(take(p, 3, 0, 10, 0, 4) == part_kind::fresh);
  CHECK(take(p, 3, 0, 10, 0, 4) == part_kind::repeated);
  CHECK(take(p, 3, 0, 10, 1, 2) == part_kind::repeated);
  CHECK(take(p, 3, 0, 10, 5, 5) == part_kind::ahead);
  const part_verdict v = p.take(3, 0, 99, 10, 2, 6);
  CHECK(v.kind == part_kind::fresh);
  CHECK(v.had == 2);
  CHECK(p.place() == track_place{3, 0, true, true});
  CHECK(take(p, 3, 0, 10, 8, 2) == part_kind::fresh);
  CHECK(p.place() == track_place{3, 1, true, false});
  CHECK(take(p, 3, 0, 10, 8, 2) == part_kind::repeated);
  CHECK(take(p, 3, 2, 1, 0, 1) == part_kind::ahead);
}

TEST_CASE("a frame keeps the size and the time that its first part said") {
  positions p;
  REQUIRE(p.begin(0) == errc::ok);
  CHECK(p.take(0, 0, 7, 4, 0, 2).timestamp == 7);
  CHECK(p.take(0, 0, 8, 5, 2, 3).kind == part_kind::conflicting);
  const part_verdict v = p.take(0, 0, 8, 4, 2, 2);
  CHECK(v.kind == part_kind::fresh);
  CHECK(v.timestamp == 7);
  CHECK(p.take(0, 1, 9, 5, 0, 5).timestamp == 9);
}

TEST_CASE("an empty frame counts once") {
  positions p;
  REQUIRE(p.begin(0) == errc::ok);
  CHECK(take(p, 0, 0, 0, 0, 0) == part_kind::fresh);
  CHECK(take(p, 0, 0, 0, 0, 0) == part_kind::repeated);
  CHECK(take(p, 0, 1, 0, 0, 0) == part_kind::fresh);
  CHECK(p.place()->frames == 2);
}

TEST_CASE("one goes on at the lowest group that is not over, and names a frame only of one that has begun R-109") {
  positions p;
  CHECK_FALSE(p.place());
  REQUIRE(p.begin(5) == errc::ok);
  REQUIRE(p.begin(7) == errc::ok);
  CHECK(take(p, 7, 0, 1, 0, 1) == part_kind::fresh);
  CHECK(p.place() == track_place{5, 0, true, false});
  CHECK(p.finish(5, 5));
  CHECK(p.place() == track_place{6, 0, false, false});
  CHECK(p.finish(6, 6));
  CHECK(p.place() == track_place{7, 1, true, false});
  CHECK(p.finish(7, 7));
  CHECK(p.place() == track_place{8, 0, false, false});
  CHECK(p.groups_begun() == 0);
  CHECK(p.finish(0, top));
  CHECK_FALSE(p.place());
}

TEST_CASE("below the start nothing is wanted, and the start itself may be inside a group") {
  positions p;
  p.start_at(4, 9);
  CHECK(p.place() == track_place{4, 9, false, false});
  CHECK(p.of(3) == standing::below);
  CHECK(p.begin(3) == errc::wrong_state);
  CHECK(take(p, 3, 0, 1, 0, 1) == part_kind::repeated);
  CHECK(p.of(4) == standing::unknown);
  REQUIRE(p.begin(4, 9) == errc::ok);
  CHECK(p.of(4) == standing::begun);
  CHECK(take(p, 4, 8, 1, 0, 1) == part_kind::repeated);
  CHECK(take(p, 4, 9, 1, 0, 1) == part_kind::fresh);
  CHECK(p.is_over(0, 3));
  CHECK_FALSE(p.is_over(0, 4));
  CHECK(p.finish(4, 4));
  CHECK(p.of(4) == standing::over);
}

TEST_CASE("a gap inside a group is passed over on demand alone R-139") {
  positions p;
  REQUIRE(p.begin(0) == errc::ok);
  CHECK(take(p, 0, 0, 4, 0, 2) == part_kind::fresh);
  CHECK(take(p, 0, 3, 1, 0, 1) == part_kind::ahead);
  p.jump(0, 3);
  CHECK(take(p, 0, 3, 1, 0, 1) == part_kind::fresh);
  p.jump(0, 1);  // never backwards
  CHECK(p.place()->frames == 4);
}

TEST_CASE("groups under way and gaps are bounded") {
  positions p({}, 2, 3);
  CHECK(p.begin(1) == errc::ok);
  CHECK(p.begin(2) == errc::ok);
  CHECK(p.begin(3) == errc::limit_reached);
  CHECK(p.finish(1, 1));
  CHECK(p.begin(3) == errc::ok);
  for (std::uint64_t g = 10; g <= 30; g += 10) CHECK(p.finish(g, g));
  REQUIRE(p.surplus_gap());
  CHECK(*p.surplus_gap() == interval{2, 9});
  CHECK(p.finish(2, 9));
  CHECK_FALSE(p.surplus_gap());
  CHECK(p.groups_begun() == 0);
  CHECK(p.begun_from(0) == std::nullopt);
}

TEST_CASE("what is missing is told in runs") {
  positions p;
  p.start_at(2);
  CHECK(p.finish(4, 5));
  CHECK(p.finish(8, 8));
  std::string runs;
  p.for_each_missing(
      0, 9, [&](std::uint64_t a, std::uint64_t b) { runs += std::to_string(a) + "-" + std::to_string(b) + " "; });
  CHECK(runs == "2-3 6-7 9-9 ");
}

TEST_CASE("without memory it says so and stands where it stood") {
  std::size_t failures = 0;
  for (std::size_t n = 0; n < 4; ++n) {
    counting_memory counted;
    counted.allowed = n;
    positions p(counted.get());
    for (std::uint64_t g = 0; g < 40; g += 2) {
      const errc e = p.begin(g);
      CHECK((e == errc::ok || e == errc::out_of_memory));
      CHECK((p.of(g) == standing::begun) == (e == errc::ok));
      failures += e != errc::ok;
      if (g % 4 == 0 && !p.finish(g, g)) ++failures;
    }
  }
  CHECK(failures != 0);
}

TEST_CASE("from two copies in any pieces each byte is taken once and in order R-140") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    const auto pick = [&](std::uint64_t n) { return random() % n; };
    std::vector<std::string> frames;
    for (std::uint64_t i = 0, n = 1 + pick(6); i < n; ++i)
      frames.emplace_back(pick(9), static_cast<char>('a' + static_cast<int>(i)));
    struct copy {
      std::uint64_t frame = 0, offset = 0;
    } copies[2];
    positions p;
    REQUIRE(p.begin(1) == errc::ok);
    std::vector<std::string> got(frames.size());
    std::uint64_t whole = 0;
    while (copies[0].frame < frames.size() || copies[1].frame < frames.size()) {
      copy& c = copies[pick(2)];
      if (c.frame == frames.size()) continue;
      const std::string& f = frames[c.frame];
      const std::uint64_t n = f.empty() ? 0 : 1 + pick(f.size() - c.offset);
      const part_verdict v = p.take(1, c.frame, 0, f.size(), c.offset, n);
      REQUIRE(v.kind != part_kind::ahead);
      REQUIRE(v.kind != part_kind::conflicting);
      if (v.kind == part_kind::fresh) {
        REQUIRE(got[c.frame].size() == c.offset + v.had);
        got[c.frame] += f.substr(c.offset + v.had, n - v.had);
        whole += got[c.frame].size() == f.size();
      }
      c.offset += n;
      if (c.offset == f.size()) c = {c.frame + 1, 0};
    }
    CHECK(got == frames);
    CHECK(whole == frames.size());
    CHECK(p.place() == track_place{1, frames.size(), true, false});
  }
}
