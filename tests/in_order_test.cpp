/// Groups that arrive in any order come out in order, and what does not come is told.

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "counting_memory.hpp"
#include "moql/session/in_order_feed.hpp"
#include "scripted.hpp"

using namespace moql;
using testing::only_version;

namespace {

std::string why_text(skip s) {
  static constexpr const char* names[] = {"dropped", "before_start", "unaccounted", "expired",
                                          "waited",  "bytes_full",   "groups_full", "out_of_memory",
                                          "late",    "cut",          "ended"};
  return names[static_cast<std::size_t>(s)];
}

/// A reader whose items are written down: "1{abc}" a group, with '!' and a reason instead of '}' when it is not whole;
/// "[3-4 dropped]" a skip.
struct bench {
  in_order_reader reader;
  std::string out{};
  instant now{};
  bool takes = true;
  explicit bench(const in_order_options& o = {}, memory m = {}) : reader(o, m) {}

  void drain() {
    while (auto item = reader.next()) {
      if (auto* b = std::get_if<group_begins>(&*item)) {
        out += std::to_string(b->sequence) + (b->first_frame != 0 ? "/" + std::to_string(b->first_frame) : "") + "{";
      } else if (auto* p = std::get_if<group_part>(&*item)) {
        out += p->payload.text();
      } else if (auto* e = std::get_if<group_ends>(&*item)) {
        out += e->is_complete ? "}"
               : e->given_up  ? "!" + why_text(*e->given_up) + " "
                              : "!" + std::string(text_of(e->why)) + " ";
      } else if (auto* s = std::get_if<groups_skipped>(&*item)) {
        out += "[" + std::to_string(s->first) + "-" + std::to_string(s->last) + " " + why_text(s->why) + "]";
      }
    }
  }
  /// What came out since the last look.
  std::string said() { return std::exchange(out, {}); }
  void did() {
    if (takes) drain();
  }
  void start_at(std::uint64_t g) { reader.start_at(g, now), did(); }
  void begin(std::uint64_t g, std::uint64_t first_frame = 0) { reader.begin(g, first_frame, now), did(); }
  void part(std::uint64_t g, std::string_view text, std::uint64_t timestamp = 0) {
    reader.part({g, 0, timestamp, text.size(), 0, bytes::copy(text)}, now), did();
  }
  void finish(std::uint64_t g, errc why = errc::ok) { reader.finish(g, why, 0, now), did(); }
  void whole(std::uint64_t g, std::string_view text = "x") { begin(g), part(g, text), finish(g); }
  void lost(std::uint64_t a, std::uint64_t b, skip why = skip::dropped) { reader.lost(a, b, why, 0, now), did(); }
  void close() { reader.close(now), did(); }
  void wait(duration d) {
    now = now + d;
    reader.on_deadline(now), did();
  }
};

constexpr std::uint64_t part_cost = sizeof(group_part);

}  // namespace

TEST_CASE("groups that arrive as 2, 1, 4 with 3 dropped come out as 1, 2, 4 R-135 [seed 4.2 c]") {
  bench b;
  b.start_at(1);
  b.whole(2, "two");
  CHECK(b.said() == "");
  b.whole(1, "one");
  CHECK(b.said() == "1{one}2{two}");
  b.whole(4, "four");
  CHECK(b.said() == "");
  b.lost(3, 3);
  CHECK(b.said() == "[3-3 dropped]4{four}");
  CHECK(b.reader.bytes_held() == 0);
  CHECK(b.reader.groups_held() == 0);

  bench told_before;  // the same when the drop overtakes the groups
  told_before.lost(3, 3);
  told_before.start_at(1);
  told_before.whole(2);
  told_before.whole(1);
  told_before.whole(4);
  CHECK(told_before.said() == "1{x}2{x}[3-3 dropped]4{x}");
}

TEST_CASE("the parts of the current group pass at once, those of later groups wait [seed 4.2 c]") {
  bench b;
  b.begin(5);
  CHECK(b.said() == "5{");
  b.part(5, "a");
  CHECK(b.said() == "a");
  b.begin(6);
  b.part(6, "later");
  b.finish(6);
  CHECK(b.said() == "");
  CHECK(b.reader.bytes_held() == 5 + part_cost);
  b.part(5, "b");
  CHECK(b.said() == "b");
  b.part(5, "");  // a frame of no bytes is a frame
  b.finish(5);
  CHECK(b.said() == "}6{later}");
  CHECK(b.reader.position() == 7);
}

TEST_CASE("a group that is cut ends in its place, with what came of it R-134 [seed 4.2 c]") {
  bench b;
  b.begin(1, 3);
  b.part(1, "half");
  b.whole(2);
  b.finish(1, errc::reset_by_peer);
  CHECK(b.said() == "1/3{half!the peer reset the stream 2{x}");
}

TEST_CASE("payload is shared, not copied, unless nobody owns it") {
  counting_memory m;
  {
    in_order_reader r({}, m.get());
    const bytes whole = bytes::copy("0123456789");
    r.begin(1, 0, {});
    r.part({1, 0, 0, 3, 0, whole.slice(2, 3)}, {});
    REQUIRE(std::holds_alternative<group_begins>(*r.next()));
    auto item = r.next();
    REQUIRE(item.has_value());
    CHECK(std::get<group_part>(*item).payload.data() == whole.data() + 2);
    std::string mine = "abc";
    r.part({1, 1, 0, 3, 0, bytes::borrow({reinterpret_cast<const std::uint8_t*>(mine.data()), 3})}, {});
    mine = "xyz";
    item = r.next();
    REQUIRE(item.has_value());
    CHECK(std::get<group_part>(*item).payload.text() == "abc");
  }
  CHECK(m.bytes == 0);
  CHECK(m.sizes_match);
}

// ---- the start

TEST_CASE("without a known start the first group to begin is the first; lower ones are waited for if so wished") {
  bench at_once;
  at_once.whole(6);
  at_once.whole(5);
  CHECK(at_once.said() == "6{x}[5-5 late]");
  CHECK(at_once.reader.late() == 1);

  bench b({.start_wait = milliseconds(50)});
  b.whole(6);
  CHECK(b.reader.next_deadline() == instant{50'000});
  b.now = instant{49'999};
  b.whole(5);
  CHECK(b.said() == "");
  b.wait(microseconds(1));
  CHECK(b.said() == "5{x}6{x}");
  CHECK(b.reader.next_deadline() == never_due);

  bench c({.start_wait = seconds(9)});  // the publisher's word ends that wait
  c.whole(6);
  c.start_at(5);
  CHECK(c.said() == "");
  c.whole(5);
  CHECK(c.said() == "5{x}6{x}");
}

TEST_CASE("what the publisher's start rules out is not waited for, whenever the start is told R-105 [seed 4.2 c]") {
  bench b;
  b.start_at(5);
  b.lost(3, 4, skip::before_start);
  b.whole(5);
  CHECK(b.said() == "[3-4 before_start]5{x}");

  bench c;  // asked for 3
  c.start_at(3);
  c.whole(5);
  CHECK(c.said() == "");
  c.start_at(5);
  CHECK(c.said() == "[3-4 before_start]5{x}");

  bench d;  // the reply is overtaken by its groups
  d.whole(5);
  d.start_at(3);
  d.whole(4);
  d.whole(6);
  CHECK(d.said() == "5{x}[3-4 late]6{x}");
  CHECK(d.reader.late() == 1);

  bench e;  // a loss that reaches from below the first group over it
  e.takes = false;
  e.whole(5);
  e.lost(3, 7, skip::unaccounted);
  e.whole(8);
  e.drain();
  CHECK(e.said() == "[3-4 unaccounted]5{x}[6-7 unaccounted]8{x}");
}

// ---- skipping

TEST_CASE("a gap is skipped when the wait limit passes after the first later group began [seed 4.2 c]") {
  bench b({.wait_max = milliseconds(100)});
  b.whole(1);
  CHECK(b.said() == "1{x}");
  CHECK(b.reader.next_deadline() == never_due);  // nothing is behind the gap
  b.wait(seconds(10));
  b.whole(4);
  b.wait(milliseconds(60));
  b.whole(3);
  CHECK(b.reader.next_deadline() == instant{10'100'000});
  b.wait(microseconds(39'999));
  CHECK(b.said() == "");
  b.wait(microseconds(1));
  CHECK(b.said() == "[2-2 waited]3{x}4{x}");
  b.whole(2);  // a copy that comes now is dropped
  CHECK(b.said() == "");
  CHECK(b.reader.late() == 1);
  CHECK(b.reader.bytes_held() == 0);

  bench c({.wait_max = milliseconds(100)});  // events alone tell the time too
  c.whole(1);
  c.whole(3);
  c.now = instant{200'000};
  c.begin(4);
  CHECK(c.said() == "1{x}[2-2 waited]3{x}4{");
}

TEST_CASE("with no wait limit a gap is waited for, for ever") {
  bench b({.wait_max = for_ever});
  b.whole(1);
  b.whole(3);
  CHECK(b.reader.next_deadline() == never_due);
  b.wait(seconds(1'000'000'000));
  CHECK(b.said() == "1{x}");
  b.whole(2);
  CHECK(b.said() == "2{x}3{x}");
}

TEST_CASE("a current group that stands still is given up, and what comes of it later is dropped [seed 4.2 c]") {
  bench b({.wait_max = milliseconds(100)});
  b.begin(1);
  b.part(1, "a");
  b.wait(seconds(5));  // nothing waits for it
  CHECK(b.said() == "1{a");
  b.whole(2, "two");
  b.wait(milliseconds(70));
  b.part(1, "b");  // it moves
  b.wait(milliseconds(99));
  CHECK(b.said() == "b");
  CHECK(b.reader.next_deadline() == instant{5'170'000});
  b.wait(milliseconds(1));
  CHECK(b.said() == "!waited 2{two}");
  b.part(1, "c");
  b.finish(1);
  CHECK(b.said() == "");
  CHECK(b.reader.bytes_held() == 0);
}

TEST_CASE("an expired gap or group is skipped, by the rule of each version R-169 R-170 R-171 [seed 4.2 c]") {
  bench six({.wait_max = for_ever, .max_age_ms = 100, .ver = lite06});
  six.whole(1);
  six.begin(3);
  six.part(3, "c", 1000);
  six.part(3, "d", 1099);
  CHECK(six.said() == "1{x}");
  six.begin(4);
  six.part(4, "e", 1100);  // as far past group 3 as the age allows, which is where 06 ends it
  CHECK(six.said() == "[2-2 expired]3{cd");
  six.part(4, "f", 1199);  // group 4, which follows, is 99 ms old
  CHECK(six.said() == "");
  six.part(4, "g", 1200);
  CHECK(six.said() == "!expired 4{efg");

  bench four({.wait_max = for_ever, .max_age_ms = 100, .ver = lite04});
  four.whole(1);
  four.begin(3);
  four.now = instant{100'000};
  four.begin(4);
  CHECK(four.said() == "1{x}");
  four.now = instant{100'001};
  four.begin(5);
  CHECK(four.said() == "[2-2 expired]3{!expired 4{");

  bench five({.wait_max = for_ever, .max_age_ms = 100, .ver = lite05});
  five.reader.set_timescale(10);  // 100 ms are one unit
  five.whole(1);
  five.begin(3);
  five.part(3, "c", 7);
  five.begin(4);
  five.part(4, "d", 8);
  CHECK(five.said() == "1{x}");
  five.begin(5);
  five.part(5, "e", 9);
  CHECK(five.said() == "[2-2 expired]3{c!expired 4{d");

  bench two({.wait_max = for_ever, .max_age_ms = 0, .ver = lite02});  // defines no age
  two.whole(1);
  two.whole(3);
  two.wait(seconds(100));
  CHECK(two.said() == "1{x}");
}

TEST_CASE(
    "a gap is skipped when what waits reaches the bound of bytes: one byte less waits on [seed 4.2 c] [seed 10.1]") {
  for (const std::uint64_t room : {2 * part_cost + 9, 2 * part_cost + 10, 2 * part_cost + 11}) {
    bench b({.wait_max = for_ever, .bytes_max = room});
    b.start_at(1);
    b.whole(2, "12345");
    b.whole(4, "67890");
    const bool fits = 2 * part_cost + 10 <= room;
    CHECK(b.said() == (fits ? "" : "[1-1 bytes_full]2{12345}"));
    CHECK(b.reader.bytes_held() == (fits ? 2 : 1) * (part_cost + 5));
  }
  bench s({.wait_max = for_ever, .bytes_max = 2 * part_cost});  // a stalled group, and frames of no bytes count too
  s.begin(1);
  s.begin(2);
  for (int i = 0; i < 2; ++i) s.part(2, "");
  CHECK(s.said() == "1{");
  s.part(2, "");
  CHECK(s.said() == "!bytes_full 2{");
  CHECK(s.reader.bytes_held() == 0);
  s.part(2, "goes on");
  CHECK(s.said() == "goes on");
}

TEST_CASE("a gap is skipped when too many groups wait for it, lost ranges included [seed 4.2 c] [seed 10.1]") {
  bench b({.wait_max = for_ever, .groups_max = 3});
  b.start_at(1);
  for (const std::uint64_t g : {4u, 3u, 6u}) b.whole(g);
  CHECK(b.said() == "");
  b.whole(8);
  CHECK(b.said() == "[1-2 groups_full]3{x}4{x}");
  CHECK(b.reader.groups_held() == 2);
  b.lost(10, 11);
  CHECK(b.said() == "");
  b.lost(13, 13);
  CHECK(b.said() == "[5-5 groups_full]6{x}");

  bench s({.wait_max = for_ever, .groups_max = 2});
  s.begin(1);
  s.whole(2);
  s.whole(3);
  CHECK(s.said() == "1{");
  s.whole(4);
  CHECK(s.said() == "!groups_full 2{x}3{x}4{x}");
}

TEST_CASE("lost ranges without end, in any order, take no memory without end [seed 10.1]") {
  counting_memory m;
  {
    bench b({.wait_max = for_ever, .groups_max = 16}, m.get());
    b.start_at(0);
    for (std::uint64_t i = 0; i < 10'000; ++i) b.lost(3 * i + 1, 3 * i + 1);
    bench c({.wait_max = for_ever, .groups_max = 16}, m.get());
    c.start_at(0);
    c.takes = false;  // nor when nobody takes what comes out
    for (std::uint64_t i = 10'000; i > 0; --i) c.lost(3 * i, 3 * i, i % 2 == 0 ? skip::dropped : skip::unaccounted);
    CHECK(m.bytes_high < 4096);
    c.close();
    c.drain();
    CHECK(c.out.find("[") == 0);
    CHECK(c.reader.is_over());
  }
  CHECK(m.bytes == 0);
}

TEST_CASE("the end of the subscription skips every gap that is left, and cuts what is not finished [seed 4.2 c]") {
  bench b;
  b.start_at(1);
  b.begin(2);
  b.part(2, "half");
  b.whole(4);
  b.lost(6, 7, skip::unaccounted);
  CHECK_FALSE(b.reader.is_over());
  b.close();
  CHECK(b.said() == "[1-1 ended]2{half!ended [3-3 ended]4{x}[5-5 ended][6-7 unaccounted]");
  CHECK(b.reader.is_over());
  CHECK(b.reader.next_deadline() == never_due);
  b.whole(9);  // nothing is heard any longer
  CHECK(b.said() == "");

  bench never_began({.start_wait = seconds(1)});
  never_began.lost(3, 4);
  never_began.whole(6);
  never_began.close();
  CHECK(never_began.said() == "[3-4 dropped][5-5 ended]6{x}");

  bench known;  // the known end alone is enough
  known.start_at(1);
  known.reader.end_at(3, known.now);
  known.whole(2);
  CHECK_FALSE(known.reader.is_over());
  known.whole(1);
  CHECK(known.reader.is_over());
}

TEST_CASE("a group that was said to be lost and begins all the same, in time, is taken") {
  bench b;
  b.start_at(1);
  b.lost(2, 5);
  b.whole(3);
  b.whole(1);
  CHECK(b.said() == "1{x}[2-2 dropped]3{x}[4-5 dropped]");
  b.lost(2, 6);  // told in part already
  CHECK(b.said() == "[6-6 dropped]");
  b.whole(4);
  b.whole(3);
  CHECK(b.said() == "");
  CHECK(b.reader.late() == 2);
}

TEST_CASE("whole groups only: nothing of a group comes before all of it is there") {
  bench b({.wait_max = milliseconds(100), .bytes_max = 1000, .whole_groups = true});
  b.begin(1);
  b.part(1, "a");
  b.whole(2);
  CHECK(b.said() == "");
  b.finish(1);
  CHECK(b.said() == "1{a}2{x}");
  b.begin(3);
  b.part(3, "half");
  b.whole(4);
  b.finish(3, errc::reset_by_peer);
  CHECK(b.said() == "[3-3 cut]4{x}");
  b.begin(5);
  b.part(5, "half");
  b.whole(6);
  b.wait(milliseconds(100));
  CHECK(b.said() == "[5-5 waited]6{x}");
  b.begin(7);
  b.part(7, std::string(1001, '7'));  // larger than what may wait
  CHECK(b.said() == "[7-7 bytes_full]");
  CHECK(b.reader.bytes_held() == 0);
}

TEST_CASE("numbers beyond what travels and repeated words change nothing") {
  bench b;
  b.whole(UINT64_MAX);
  b.lost(UINT64_MAX - 5, UINT64_MAX);
  b.lost(5, 4);
  b.start_at(UINT64_MAX);
  CHECK(b.said() == "");
  b.begin(1);
  b.begin(1);
  b.part(1, "a");
  b.part(2, "not begun");
  b.finish(2);
  b.finish(1);
  b.finish(1, errc::reset_by_peer);
  b.whole(wire::varint_max);
  b.lost(2, UINT64_MAX);
  CHECK(b.said() == "1{a}[2-4611686018427387902 dropped]4611686018427387903{x}");
}

// ---- bounds and memory

TEST_CASE("a caller that takes nothing makes the reader hold no more than its bounds [seed 10.1]") {
  counting_memory m;
  {
    bench b({.wait_max = for_ever, .bytes_max = 100'000, .groups_max = 50}, m.get());
    b.takes = false;
    b.start_at(0);
    const bytes payload = bytes::copy(std::string(900, 'p'));
    for (std::uint64_t g = 0; g < 1000; ++g) {
      b.reader.begin(g, 0, {});
      for (int i = 0; i < 10; ++i) b.reader.part({g, 0, 0, 900, 0, payload}, {});
      b.reader.finish(g, errc::ok, 0, {});
    }
    CHECK(b.reader.bytes_held() <= 100'000 + 900 + part_cost);
    CHECK(b.reader.groups_held() <= 52);
    CHECK(m.bytes_high < 150'000);
    b.drain();
    CHECK(b.out.find("!bytes_full") != std::string::npos);
    CHECK(b.out.find("groups_full]") != std::string::npos);
    CHECK(b.reader.position() == 1000);  // every group is told in one way or the other
  }
  CHECK(m.bytes == 0);
  CHECK(m.sizes_match);
}

TEST_CASE("slots that are used again do not keep the room of the largest group [seed 10.1]") {
  counting_memory m;
  bench b({.wait_max = for_ever, .groups_max = 100}, m.get());
  b.begin(0);
  for (std::uint64_t g = 1; g <= 100; ++g) {
    b.begin(g);
    for (int i = 0; i < 2000; ++i) b.part(g, "");
    b.finish(g);
  }
  const std::size_t high = m.bytes;
  b.finish(0);
  CHECK(m.bytes < high / 10);
}

TEST_CASE("a reader that runs on takes no memory once it has run for a while [seed 5.1]") {
  counting_memory m;
  bench b({}, m.get());
  const bytes payload = bytes::copy("payload");
  const auto run = [&](std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t g = from; g < to; g += 2) {
      for (const std::uint64_t n : {g + 1, g}) {
        b.begin(n);
        for (int i = 0; i < 5; ++i) b.reader.part({n, 0, 0, 7, 0, payload}, {}), b.did();
        b.finish(n);
      }
      b.out.clear();
    }
  };
  b.start_at(0);
  run(0, 20);
  const std::size_t before = m.requests;
  run(20, 2000);
  CHECK(m.requests == before);
}

TEST_CASE(
    "whenever memory runs out, every group still ends or is told as skipped, in order, and nothing leaks [seed 10.1]") {
  for (const bool once : {true, false}) {
    for (std::size_t allowed = 0;; ++allowed) {
      counting_memory m;
      m.allowed = allowed;
      m.fails_once = once;
      {
        bench b({.wait_max = for_ever}, m.get());
        const std::string text = "own";
        for (const std::uint64_t g : {2u, 1u, 4u, 7u, 6u, 9u}) {
          b.begin(g);
          b.reader.part({g, 0, 0, 3, 0, bytes::borrow({reinterpret_cast<const std::uint8_t*>(text.data()), 3})}, {});
          b.did();
          b.finish(g);
          if (g == 4) b.lost(3, 3);
        }
        b.close();
        CHECK(b.reader.is_over());
        CHECK(b.reader.bytes_held() == 0);
        if (!m.was_refused)
          CHECK(b.said() == "2{own}[1-1 late][3-3 dropped]4{own}[5-5 ended]6{own}7{own}[8-8 ended]9{own}");
        const std::string all = b.said();
        if (m.was_refused) {
          const bool has_said =
              all.find("out_of_memory") != std::string::npos || all.find("[1-1 late]") == std::string::npos;
          CHECK_MESSAGE(has_said, all);
        }
        CHECK(b.reader.position() == (b.reader.position() == 0 ? 0 : 10));
      }
      CHECK(m.bytes == 0);
      CHECK(m.sizes_match);
      if (!m.was_refused) break;
    }
  }
}

// ---- against a model

namespace {

/// What a publisher sends and a network makes of it, drawn from a seed; what comes out is compared with what was sent.
void play(std::uint64_t seed, std::size_t& whole_groups) {
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t n) { return random() % n; };
  in_order_options o;
  o.wait_max = below(3) == 0 ? for_ever : milliseconds(static_cast<std::int64_t>(1 + below(50)));
  o.start_wait = milliseconds(static_cast<std::int64_t>(below(2) * 5));
  o.bytes_max = below(3) == 0 ? 500 + below(3000) : 1 << 20;
  o.groups_max = below(3) == 0 ? static_cast<std::uint32_t>(1 + below(6)) : 1024;
  o.whole_groups = below(4) == 0;
  if (below(3) == 0) o.max_age_ms = 20 + below(100);
  o.ver = all_versions[below(all_versions.size())].id;
  counting_memory m;
  {
    in_order_reader reader(o, m.get());
    struct group {
      std::vector<std::string> frames{};
      std::size_t sent = 0;
      bool has_begun = false, is_over = false;
      std::size_t slow = 0;
    };
    const std::uint64_t count = 40;
    std::map<std::uint64_t, group> all;
    for (std::uint64_t g = 0; g < count; ++g) {
      group& x = all[g];
      for (std::uint64_t n = below(6); n > 0; --n)
        x.frames.push_back("<" + std::to_string(g) + "." + std::to_string(n) + ">");
      x.slow = below(10) == 0 ? 400 : below(20);
      if (below(10) == 0) x.is_over = true;  // never comes
    }
    std::uint64_t last_out = 0;
    bool has_out = false, is_open = false;
    std::uint64_t current = 0, first_out = 0;
    std::size_t given = 0, whole = 0, waiting_max = 0;
    std::map<std::uint64_t, int> told;
    const auto take = [&] {
      while (auto item = reader.next()) {
        if (auto* b = std::get_if<group_begins>(&*item)) {
          REQUIRE_FALSE(is_open);
          if (has_out) REQUIRE(b->sequence > last_out);
          if (!has_out) first_out = b->sequence;
          has_out = is_open = true;
          last_out = current = b->sequence;
          given = 0;
          ++told[current];
        } else if (auto* p = std::get_if<group_part>(&*item)) {
          REQUIRE(is_open);
          REQUIRE(p->sequence == current);
          REQUIRE(given < all[current].frames.size());
          REQUIRE(p->payload.text() == all[current].frames[given]);
          REQUIRE(p->frame == given++);
        } else if (auto* e = std::get_if<group_ends>(&*item)) {
          REQUIRE(is_open);
          is_open = false;
          if (e->is_complete) REQUIRE(given == all[current].frames.size());
          if (e->is_complete) ++whole;
          if (o.whole_groups) REQUIRE(e->is_complete);
        } else if (auto* s = std::get_if<groups_skipped>(&*item)) {
          REQUIRE_FALSE(is_open);
          REQUIRE(s->first <= s->last);
          for (std::uint64_t g = s->first; g <= s->last; ++g) ++told[g];
          if (!has_out) first_out = s->first;
          if (has_out) REQUIRE((s->first > last_out || s->last < first_out));
          if (!has_out || s->last > last_out) last_out = s->last;
          has_out = true;
        }
      }
      waiting_max = std::max(waiting_max, reader.groups_held());
      REQUIRE(reader.bytes_held() <= o.bytes_max);
    };
    instant now{};
    std::uint64_t window = 1 + below(12);
    std::uint64_t low = 0;
    if (below(2) == 0) reader.start_at(0, now), take();
    for (int step = 0; step < 5000 && low < count; ++step) {
      now = now + microseconds(static_cast<std::int64_t>(below(3000)));
      if (reader.next_deadline() <= now) reader.on_deadline(now), take();
      const std::uint64_t g = low + below(window);
      while (low < count && all[low].is_over) ++low;
      if (g >= count || all[g].is_over) continue;
      group& x = all[g];
      if (x.slow != 0 && x.has_begun) {
        --x.slow;
        continue;
      }
      if (!x.has_begun) {
        x.has_begun = true;
        reader.begin(g, 0, now);
      } else if (x.sent < x.frames.size()) {
        const std::string& f = x.frames[x.sent];
        reader.part({g, x.sent++, g * 10, f.size(), 0, bytes::copy(f)}, now);
      } else {
        x.is_over = true;
        reader.finish(g, below(8) == 0 ? errc::reset_by_peer : errc::ok, 0, now);
      }
      take();
      if (below(10) == 0) {
        const std::uint64_t first = below(count);
        const std::uint64_t last = std::min(count - 1, first + below(3));
        bool is_untouched = true;
        for (std::uint64_t l = first; l <= last; ++l)
          is_untouched = is_untouched && !all[l].has_begun && !all[l].is_over;
        if (is_untouched) {
          for (std::uint64_t l = first; l <= last; ++l) all[l].is_over = true;
          reader.lost(first, last, skip::dropped, 0, now);
          take();
        }
      }
      if (below(20) == 0 && all[g].has_begun) reader.begin(g, 0, now), take();  // a copy, perhaps of what is over
    }
    reader.close(now);
    take();
    CHECK(reader.is_over());
    CHECK_FALSE(is_open);
    CHECK(reader.bytes_held() == 0);
    for (const auto& [g, times] : told) CHECK(times == 1);
    // No silence: every group from the first one to the last is told.
    std::size_t from_first = 0;
    for (const auto& [g, times] : told) from_first += g >= first_out ? 1 : 0;
    if (!told.empty()) CHECK(told.rbegin()->first - first_out + 1 == from_first);
    whole_groups += whole;
    CHECK(waiting_max <= o.groups_max + std::uint64_t{2});
  }
  CHECK(m.bytes == 0);
}

}  // namespace

TEST_CASE(
    "random arrivals of 200 seeds: sorted, each group a prefix of what was sent, nothing twice, nothing untold [seed "
    "4.2 c]") {
  std::size_t whole = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    play(seed, whole);
  }
  CHECK(whole > 2000);
}

// ---- behind a session

TEST_CASE("what a session tells goes through the reader and comes out in order, in every version [seed 4.2 c]") {
  for (const version v : testing::versions) {
    CAPTURE(facts(v).name);
    testing::scripted s(v, endpoint::client);
    bench b({.start_wait = seconds(1)});
    s.react = [&](session&, const event& e) {
      (void)feed(b.reader, s.last_subscription, e, s.now);
      b.drain();
    };
    const auto stream = s.subscribe({.want = {.group_start = 1}});
    s.peer_group(2, {"two"});
    s.say_ok(stream, 1);
    s.peer_group(1, {"one", "more"});
    s.peer_group(4, {"four"});
    if (has_ranges(v)) s.feed(stream, testing::wire_hex(msg::subscribe_drop{3, 3, 0}, v));
    b.now = s.now = s.now + seconds(2);
    b.wait({});
    b.wait(seconds(1));
    CHECK(b.said() == (has_ranges(v) ? "1{onemore}2{two}[3-3 dropped]4{four}" : "1{onemore}2{two}[3-3 waited]4{four}"));
    CHECK_FALSE(feed(b.reader, subscription_id{99}, group_started{s.last_subscription, 9, 0}, s.now));
    CHECK(s.session.unsubscribe(s.last_subscription) == errc::ok);
  }
}
