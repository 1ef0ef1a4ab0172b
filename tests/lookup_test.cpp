// What of a cache a request gets: where a subscription starts, which group answers a FETCH, and what becomes of groups
// whose first frames are not to be had.

#include <doctest/doctest.h>

#include "moql/delivery/lookup.hpp"
#include "scripted.hpp"

using namespace moql;
using namespace testing;

namespace {

using numbers = std::vector<std::uint64_t>;
using maybe = std::optional<std::uint64_t>;
constexpr auto code = [](stream_code c) { return static_cast<std::uint64_t>(c); };

/// Group `sequence` from frame `first` on.
void put_partial(track_cache& c, std::uint64_t sequence, std::uint64_t first, const std::vector<std::string>& frames,
                 bool end = true, std::uint64_t timestamp = 0) {
  REQUIRE(c.begin_group(sequence, {}, sent_by::stream, first) == errc::ok);
  for (const std::string& f : frames) {
    REQUIRE(c.append(sequence, timestamp, bytes::copy(f)) == errc::ok);
    timestamp += 10;
  }
  if (end) REQUIRE(c.end_group(sequence) == errc::ok);
}
/// One group a second, with a frame at its beginning.
struct seconds_apart {
  track_cache cache{{.max_age_ms = 1'000'000}};
  explicit seconds_apart(std::uint64_t groups) {
    for (std::uint64_t s = 0; s < groups; ++s)
      put_group(cache, s, {"x"}, instant{} + seconds(static_cast<std::int64_t>(s)), s * 1000);
  }
};

struct publisher : scripted {
  track_cache cache{{.max_age_ms = 1'000'000, .overlapping = true}};
  explicit publisher(version v) : scripted(v, endpoint::server) { serve_all(cache); }
  numbers sent() const {
    numbers out;
    for (const std::uint64_t id : groups()) out.push_back(group_of(id).sequence);
    return out;
  }
};

}  // namespace

TEST_CASE(
    "R-171 R-172 the reach rule on a cache: an empty group is bounded by its successor's first frame [seed 4.3 a]") {
  track_cache c({.max_age_ms = 1'000'000, .overlapping = true});
  const auto expired = [&](std::uint64_t group, std::uint64_t max_age_ms) {
    return c.is_expired(*c.find(group), lite06, max_age_ms);
  };
  REQUIRE(c.begin_group(0, {}) == errc::ok);  // stays empty
  REQUIRE(c.begin_group(1, {}) == errc::ok);
  CHECK_FALSE(expired(0, 0));  // its successor has no frame
  CHECK_FALSE(expired(1, 0));  // the latest
  REQUIRE(c.append(1, 5000, bytes::copy("x")) == errc::ok);
  CHECK(expired(0, 0));  // Max Age 0: only the latest is live
  CHECK_FALSE(expired(1, 0));
  REQUIRE(c.append(1, 5999, bytes::copy("x")) == errc::ok);
  CHECK_FALSE(expired(0, 1000));
  REQUIRE(c.append(1, 6000, bytes::copy("x")) == errc::ok);
  CHECK(expired(0, 1000));  // exactly the age
  REQUIRE(c.begin_group(2, {}) == errc::ok);
  CHECK_FALSE(expired(1, 0));  // without a successor's frame its reach is open
  CHECK_FALSE(expired(2, 0));
  REQUIRE(c.append(2, 6500, bytes::copy("x")) == errc::ok);
  CHECK(expired(1, 0));
  CHECK_FALSE(expired(1, 1));
  CHECK(expired(0, 1500));
  CHECK_FALSE(expired(0, 1501));
}

TEST_CASE("R-114 with Max Age 10 s and floor F delivery starts at the oldest unexpired group >= F [seed 4.3 c]") {
  seconds_apart t(21);  // the newest is at 20 s; group s reaches to s + 1
  const auto start = [&](std::uint64_t floor, std::uint64_t max_age_ms = 10'000) {
    return live_start(t.cache, lite06, {.max_age_ms = max_age_ms, .group_start = floor});
  };
  CHECK(start(0) == 10);  // group 9 reaches to 10 s: its age is exactly 10 s, which is too old
  CHECK(start(9) == 10);
  CHECK(start(10) == 10);
  CHECK(start(14) == 14);
  CHECK(start(20) == 20);
  CHECK(start(21) == maybe{});
  CHECK(start(0, 10'001) == 9);
  CHECK(start(0, 0) == 20);
  CHECK(start(0, wire::varint_max) == 0);
  CHECK(live_start(t.cache, lite06, {.max_age_ms = 10'000}) == 10);  // no floor is floor 0
  track_cache empty;
  CHECK(live_start(empty, lite06, {.max_age_ms = 10'000}) == maybe{});
  REQUIRE(empty.begin_group(5, {}) == errc::ok);  // without a frame, but the latest
  CHECK(live_start(empty, lite06, {}) == 5);
}

TEST_CASE("R-114 R-113 between two sessions: Max Age 10 s and floor F, the oldest unexpired group >= F [seed 4.3 c]") {
  for (const std::uint64_t floor : {0u, 5u, 12u, 20u}) {
    CAPTURE(floor);
    seconds_apart t(21);
    testing::pair both(lite06);
    both.server.react = [&](session& s, const event& e) {
      if (auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(r->request, t.cache) == errc::ok);
      if (auto* r = std::get_if<track_requested>(&e)) CHECK(s.serve(r->request, t.cache) == errc::ok);
    };
    both.start();
    both.run();
    REQUIRE(both.client.session
                .subscribe("room", "video", {.want = {.max_age_ms = 10'000, .group_start = floor}}, both.net.now())
                .has_value());
    both.run();
    const std::uint64_t expected = floor < 10 ? 10 : floor;
    CHECK(both.client.first<subscription_started>().group == expected);
    numbers got = started_groups(both.client);
    CHECK(got.size() == 21 - expected);
    for (const std::uint64_t g : got) CHECK(g >= expected);
  }
}

TEST_CASE("R-115 R-116 up to 05 no start means the latest group, a start the first from there on") {
  seconds_apart t(5);
  for (const version v : {lite01, lite02}) {
    CHECK(live_start(t.cache, v, {}) == 4);
    CHECK(live_start(t.cache, v, {.group_start = 2}) == 4);
    CHECK(wants_latest(v, {.group_start = 2}));
  }
  for (const version v : {lite03, lite04, lite05}) {
    CHECK(live_start(t.cache, v, {}) == 4);
    CHECK(live_start(t.cache, v, {.group_start = 2}) == 2);
    CHECK(live_start(t.cache, v, {.max_age_ms = 0, .group_start = 0}) == 0);
    CHECK(live_start(t.cache, v, {.group_start = 5}) == maybe{});
    CHECK_FALSE(wants_latest(v, {.group_start = 2}));
  }
  CHECK_FALSE(wants_latest(lite06, {}));
}

TEST_CASE("R-111 a start group that does not reach the frame that was asked for is passed over as a whole") {
  track_cache c({.overlapping = true});
  put_partial(c, 5, 0, {"0", "1", "2"});
  put_partial(c, 6, 0, {"0"});
  const auto start = [&](std::uint64_t group, std::uint64_t frame) {
    return live_start(c, lite06, {.max_age_ms = 100'000, .group_start = group, .frame_start = frame});
  };
  CHECK(start(5, 0) == 5);
  CHECK(start(5, 2) == 5);
  CHECK(start(5, 3) == 6);
  CHECK(start(6, 1) == maybe{});
  put_partial(c, 7, 0, {"0"}, false);
  CHECK(start(7, 100) == 7);                                                // it may still come to that
  CHECK(live_start(c, lite05, {.group_start = 5, .frame_start = 9}) == 5);  // 05 knows no frame bounds
}

TEST_CASE("R-111 R-112 a partial group is a start only for who asked for a frame that is there") {
  track_cache c({.overlapping = true});
  put_partial(c, 5, 3, {"3", "4"});
  put_partial(c, 6, 0, {"0"});
  const auto start = [&](version v, std::uint64_t group, std::uint64_t frame) {
    return live_start(c, v, {.max_age_ms = 100'000, .group_start = group, .frame_start = frame});
  };
  CHECK(start(lite06, 5, 0) == 6);
  CHECK(start(lite06, 5, 2) == 6);
  CHECK(start(lite06, 5, 3) == 5);
  CHECK(start(lite06, 5, 4) == 5);
  CHECK(start(lite06, 5, 5) == 6);
  CHECK(start(lite06, 4, 3) == 6);  // that frame of another group
  CHECK(start(lite05, 5, 3) == 6);
  put_partial(c, 7, 1, {"1"});
  CHECK(live_start(c, lite05, {}) == maybe{});  // the latest cannot be had from its start; the next may
  CHECK(live_start(c, lite01, {}) == maybe{});
  put_partial(c, 8, 0, {}, false);
  CHECK(live_start(c, lite05, {}) == 8);
}

TEST_CASE("R-128 the answer to a FETCH: a group that reaches the first frame, or why there is none [seed 4.3 b]") {
  track_cache c({.max_age_ms = 1000, .bytes_max = 20, .overlapping = true});
  put_group(c, 0, {"0123456789"});
  put_group(c, 1, {"0123456789"});
  put_group(c, 2, {"01234"});  // pushes 0 out
  put_group(c, 3, {"0", "1"}, instant{} + seconds(2));
  put_partial(c, 2 + 2, 2, {"2", "3"});
  REQUIRE(c.begin_group(6, instant{} + seconds(2)) == errc::ok);
  REQUIRE(c.begin_group(7, instant{} + seconds(2)) == errc::ok);
  REQUIRE(c.abort_group(7, application_code(9)) == errc::ok);
  const auto refusal = [&](std::uint64_t group, std::uint64_t frame = 0) {
    const fetch_found f = fetch_lookup(c, group, frame);
    REQUIRE_FALSE(f.has_group());
    return f.refusal;
  };
  const auto has = [&](std::uint64_t group, std::uint64_t frame) {
    const fetch_found f = fetch_lookup(c, group, frame);
    return f.has_group() && c.group(f.group) == c.find(group);
  };
  CHECK(refusal(0) == stream_code::evicted);
  CHECK(refusal(1) == stream_code::old);
  CHECK(refusal(5) == stream_code::not_found);
  CHECK(refusal(99) == stream_code::not_found);
  CHECK(refusal(7) == application_code(9));
  CHECK(has(3, 0));
  CHECK(has(3, 1));
  CHECK(refusal(3, 2) == stream_code::not_found);
  CHECK(refusal(4, 0) == stream_code::not_found);
  CHECK(refusal(4, 1) == stream_code::not_found);
  CHECK(has(4, 2));
  CHECK(has(4, 3));
  CHECK(refusal(4, 4) == stream_code::not_found);
  CHECK(has(6, 0));
  CHECK(has(6, 1000));  // open: it may come to that
}

TEST_CASE("R-112 R-139 on 06 a partial group goes to who asked for its frames, counted as in the whole group") {
  publisher p(lite06);
  put_partial(p.cache, 5, 3, {"3", "4", "5"}, true, 5030);
  put_group(p.cache, 6, {"a"}, {}, 6000);
  const auto stream = p.peer_subscribes({.max_age_ms = 100'000, .group_start = 5, .frame_start = 3}, 0);
  CHECK(p.out(stream) == "000105");
  CHECK(p.out(p.stream_of(5, 0)) ==
        "0003000503" + frame_hex(lite06, 5030, "3") + frame_hex(lite06, 10, "4") + frame_hex(lite06, 10, "5"));
  CHECK(p.at(p.stream_of(5, 0)).fin);
  // From its middle, and up to a bound.
  p.peer_subscribes({.max_age_ms = 100'000, .group_start = 5, .group_end = 5, .frame_start = 4, .frame_end = 4}, 1);
  CHECK(p.out(p.stream_of(5, 1)) == "0003010504" + frame_hex(lite06, 5040, "4"));
  CHECK(p.at(p.stream_of(5, 1)).fin);
  // From its start nobody gets it, nor as one group among others.
  const auto whole = p.peer_subscribes({.max_age_ms = 100'000, .group_start = 5}, 2);
  CHECK(p.out(whole) == "000106");
  CHECK(p.stream_of(5, 2) == ~std::uint64_t{0});
  p.peer_subscribes({.max_age_ms = 100'000, .group_start = 5, .frame_start = 2}, 3);
  CHECK(p.stream_of(5, 3) == ~std::uint64_t{0});
  CHECK(p.group_of(p.stream_of(6, 3)).frame_start == 0);
}

TEST_CASE("R-112 a partial group that comes while a subscription runs is named as dropped, on every version") {
  for (const version v : {lite01, lite02, lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    put_group(p.cache, 5, {"a"}, {}, 5000);
    const auto stream = p.peer_subscribes({.max_age_ms = 100'000, .group_start = 5}, 0);
    put_partial(p.cache, 6, 2, {"c"}, true, 6020);
    put_group(p.cache, 7, {"a"}, {}, 7000);
    p.settle();
    CHECK(p.sent() == numbers{5, 7});
    const std::string drop = has_drop(v) ? wire_hex(msg::subscribe_drop{6, 6, 0}, v) : "";
    CHECK(p.out(stream).ends_with(drop));
    CHECK(p.is_open());
  }
}

TEST_CASE("a partial group that was to go by datagram goes by none") {
  publisher p(lite06);
  put_group(p.cache, 0, {"a"});
  p.peer_subscribes({.max_age_ms = 100'000, .group_start = 0});
  REQUIRE(p.cache.begin_group(1, {}, sent_by::datagram, 1) == errc::ok);
  REQUIRE(p.cache.append(1, 0, bytes::copy("b")) == errc::ok);
  REQUIRE(p.cache.end_group(1) == errc::ok);
  p.settle();
  CHECK(p.net.datagrams.empty());
  REQUIRE(p.cache.write_datagram(0, bytes::copy("c"), {}) == errc::ok);
  p.settle();
  CHECK(p.net.datagrams.size() == 1);
}

TEST_CASE("R-128 a FETCH of a partial group is refused below its first frame and served from there on [seed 4.3 b]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    put_partial(p.cache, 5, 2, {"c", "d"}, true, 5020);
    CHECK(p.at(p.peer_fetches(5)).reset == code(stream_code::not_found));
    if (!has_frame_bounds(v)) continue;
    CHECK(p.at(p.peer_fetches(5, 1)).reset == code(stream_code::not_found));
    CHECK(p.at(p.peer_fetches(5, 4)).reset == code(stream_code::not_found));
    CHECK(p.out(p.peer_fetches(5, 2)) == frame_hex(v, 5020, "c") + frame_hex(v, 10, "d"));
    CHECK(p.out(p.peer_fetches(5, 2, 2)) == frame_hex(v, 5020, "c"));
    const auto last = p.peer_fetches(5, 3, 9);
    CHECK(p.out(last) == frame_hex(v, 5030, "d"));
    CHECK(p.at(last).fin);
  }
}

TEST_CASE("R-139 a cursor on a partial group counts as in the whole one, wherever its bound is moved") {
  track_cache c;
  put_partial(c, 0, 10, {"a", "b", "c"}, false, 100);
  const auto all_of = [&](group_writer& w, bool& fin) {
    std::string out;
    group_writer::scratch room;
    group_writer::offer offer;
    while (w.look(c, room, offer) == group_writer::state::data) {
      std::size_t n = 0;
      for (const chunk& k : offer.pieces) {
        out += tests::to_hex({k.data, k.size});
        n += k.size;
      }
      fin = offer.fin;
      w.wrote(c, n, offer.fin);
    }
    return out;
  };
  const std::string a = frame_hex(lite06, 100, "a"), b = frame_hex(lite06, 10, "b"), d = frame_hex(lite06, 10, "c");
  group_writer w;
  bool fin = false;
  w.start_fetch(c.handle_of(0), lite06, 10, 11);
  CHECK(all_of(w, fin) == a + b);
  CHECK(fin);
  fin = false;
  w.start_fetch(c.handle_of(0), lite06, 10, {});
  CHECK(all_of(w, fin) == a + b + d);
  CHECK_FALSE(fin);
  REQUIRE(c.append(130, bytes::copy("d")) == errc::ok);
  CHECK(all_of(w, fin) == frame_hex(lite06, 10, "d"));
  w.set_last_frame(4);  // below all that is held: what was sent was the end
  CHECK(all_of(w, fin) == "");
  CHECK(fin);
  fin = false;
  w.start_fetch(c.handle_of(0), lite06, 10, {});
  w.set_last_frame(9);  // before anything was sent: there is nothing to send
  CHECK(all_of(w, fin) == "");
  CHECK(fin);
  // A frame to come is waited for, one that never came is short, one from before is short at once.
  group_writer::scratch room;
  group_writer::offer offer;
  w.start_fetch(c.handle_of(0), lite06, 14, {});
  CHECK(w.look(c, room, offer) == group_writer::state::idle);
  group_writer below;
  below.start_fetch(c.handle_of(0), lite06, 9, {});
  CHECK(below.look(c, room, offer) == group_writer::state::short_);
  REQUIRE(c.end_group() == errc::ok);
  CHECK(w.look(c, room, offer) == group_writer::state::short_);
}

TEST_CASE("R-114 a start that is still to come counts although a later group is here [seed 5.1 c]") {
  track_cache c({.max_age_ms = 1'000'000, .overlapping = true});
  c.expect_from(3);
  CHECK(live_start(c, lite06, {.max_age_ms = 10'000}) == maybe{});
  put_group(c, 5, {"x"}, {}, 5000);
  CHECK(live_start(c, lite06, {.max_age_ms = 10'000}) == 3);
  CHECK(live_start(c, lite06, {.max_age_ms = 10'000, .group_start = 4}) == 4);
  CHECK(live_start(c, lite06, {.max_age_ms = 10'000, .group_start = 5}) == 5);
  // Whoever wants the latest group alone does not want what came before it.
  CHECK(live_start(c, lite06, {.max_age_ms = 0}) == 5);
  CHECK(live_start(c, lite05, {.max_age_ms = 10'000}) == 5);
  CHECK(live_start(c, lite05, {.max_age_ms = 10'000, .group_start = 2}) == 3);
  put_group(c, 3, {"x"}, {}, 3000);
  CHECK(live_start(c, lite06, {.max_age_ms = 10'000}) == 3);
  CHECK(c.first_expected(0) == 4);
  CHECK(live_start(c, lite06, {.max_age_ms = 10'000, .group_start = 4}) == 4);
  REQUIRE(c.drop_groups(4, 4) == errc::ok);
  CHECK(c.first_expected(0) == maybe{});
  CHECK(live_start(c, lite06, {.max_age_ms = 10'000, .group_start = 4}) == 5);
  put_group(c, 9, {"x"}, {}, 9000);  // what nobody has promised is not waited for
  CHECK(live_start(c, lite06, {.max_age_ms = 10'000, .group_start = 6}) == 9);
}

TEST_CASE("what has been promised is not waited for beyond as many groups as are held [seed 10.1]") {
  track_cache c({.max_age_ms = 1'000'000, .groups_max = 8, .overlapping = true});
  c.expect_from(0);
  for (std::uint64_t g = 1; g < 8; ++g) put_group(c, g, {"x"}, {}, g * 1000);
  CHECK(c.first_expected(0) == 0);
  for (std::uint64_t g = 8; g < 30; ++g) put_group(c, g, {"x"}, {}, g * 1000);
  CHECK(c.first_expected(0) == maybe{});
}
