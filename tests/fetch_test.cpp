/// FETCH: one group out of a cache, live or ended, whole or in part (06).

#include <doctest/doctest.h>

#include "scripted.hpp"

using namespace moql;
using namespace testing;

namespace {

constexpr auto bidi = direction::bidi;
constexpr version with_fetch[] = {lite03, lite04, lite05, lite06};
constexpr auto code = [](stream_code c) { return static_cast<std::uint64_t>(c); };

struct publisher : scripted {
  track_cache cache;
  explicit publisher(version v, const track_options& o = {}, const config& c = {})
      : scripted(v, endpoint::server, c), cache(o) {
    serve_all(cache);
  }
};

/// A subscriber's session with TRACK_INFO in hand and a fetch of group 3 under way.
struct fetcher : scripted {
  fetch_id id{};
  std::uint64_t stream = 0;
  explicit fetcher(version v, const fetch_options& o = {}, const config& c = {}) : scripted(v, endpoint::client, c) {
    const auto r = session.fetch("room", "video", 3, o, now);
    REQUIRE(r.has_value());
    id = *r;
    settle();
    if (has_track_stream(v))
      feed(ours(bidi, 0x6).at(0), wire_hex(msg::track_info{.max_age_ms = 5000, .timescale = 1000}, v), true);
    stream = ours(bidi, 0x3).at(0);
  }
};

/// Both ends at work: a client fetches from a server's cache.
struct fetching_pair : testing::pair {
  track_cache cache;
  explicit fetching_pair(version v, const track_options& o = {}, const loopback_options& l = {})
      : pair(v, l), cache(o) {
    server.react = [this](session& s, const event& e) {
      if (auto* r = std::get_if<fetch_requested>(&e)) CHECK(s.serve(r->request, cache) == errc::ok);
      if (auto* r = std::get_if<track_requested>(&e)) CHECK(s.serve(r->request, cache) == errc::ok);
    };
    start();
    run();
  }
  fetch_closed fetch(std::uint64_t group, const fetch_options& o = {}) {
    const std::size_t before = client.count<fetch_closed>();
    REQUIRE(client.session.fetch("room", "video", group, o, net.now()).has_value());
    run();
    REQUIRE(client.count<fetch_closed>() == before + 1);
    return client.last<fetch_closed>();
  }
};

}  // namespace

TEST_CASE("FETCH goes out in its version's layout, and its stream stays open until the answer ends R-131") {
  const auto sent = [](version v, const fetch_options& o) {
    fetcher s(v, o);
    CHECK_FALSE(s.at(s.stream).fin);  // deployed publishers take that for a cancellation
    const std::string out = s.out(s.stream);
    s.fin(s.stream);
    CHECK(s.at(s.stream).fin);
    CHECK_FALSE(s.at(s.stream).reset);
    return out;
  };
  const std::string names = "04726f6f6d05766964656f";
  for (const version v : {lite03, lite04, lite05}) CHECK(sent(v, {.priority = 200}) == "030d" + names + "c803");
  CHECK(sent(lite06, {.priority = 2, .frame_start = 3, .frame_end = 7}) == "030f" + names + "02030308");
  CHECK(sent(lite06, {}) == "030f" + names + "00030000");
}

TEST_CASE("a fetch waits for TRACK_INFO, which is asked for first R-131") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    CHECK(s.session.fetch("room", "video", 3, {}, s.now).has_value());
    s.settle();
    CHECK(s.ours(bidi, 0x6).size() == 1);
    CHECK(s.ours(bidi, 0x3).empty());
    s.feed(s.ours(bidi, 0x6)[0], wire_hex(msg::track_info{.timescale = 9}, v), true);
    CHECK(s.ours(bidi, 0x3).size() == 1);

    scripted refused(v, endpoint::client);
    CHECK(refused.session.fetch("room", "video", 3, {}, refused.now).has_value());
    refused.settle();
    refused.reset(refused.ours(bidi, 0x6)[0], 0x33);
    CHECK(refused.first<fetch_closed>().why == errc::refused_by_peer);
    CHECK(refused.first<fetch_closed>().code == 0x33);
    CHECK(refused.ours(bidi, 0x3).empty());
  }
}

TEST_CASE("01 and 02 have no FETCH, and bad bounds are the caller's mistake") {
  for (const version v : {lite01, lite02}) {
    scripted s(v, endpoint::client);
    CHECK(s.session.fetch("room", "video", 3, {}, s.now).error() == errc::not_in_version);
  }
  scripted s(lite06, endpoint::client);
  CHECK(s.session.fetch("room", "video", 3, {.frame_start = 2, .frame_end = 1}, s.now).error() == errc::bad_argument);
  CHECK(s.session.fetch("room", "video", wire::varint_max + 1, {}, s.now).error() == errc::bad_argument);
  s.settle();
  CHECK(s.ours(bidi, 0x6).empty());
}

TEST_CASE("a fetch is answered by frames and the end, nothing in front of them R-127 [seed 9.2 a]") {
  for (const version v : with_fetch) {
    CAPTURE(facts(v).name);
    publisher p(v);
    put_group(p.cache, 3, {"hello", ""}, {}, 0);
    const auto f = p.peer_fetches(3);
    CHECK(p.out(f) == (has_timestamps(v) ? "000568656c6c6f1400" : "0568656c6c6f00"));
    CHECK(p.at(f).fin);
    CHECK_FALSE(p.at(f).reset);
    CHECK(p.first<fetch_requested>().group == 3);
    CHECK(p.first<request_closed>().why == errc::ok);
    CHECK(p.session.streams_held() == (negotiates_in_band(v) ? 1 : 0));
  }
}

TEST_CASE("the priority and the bounds of a FETCH reach the application R-127") {
  publisher p(lite06);
  put_group(p.cache, 3, {"a", "b", "c", "d"});
  p.peer_fetches(3, 1, 2, 200);
  CHECK(p.first<fetch_requested>().priority == 200);
  CHECK(p.first<fetch_requested>().frame_start == 1);
  CHECK(p.first<fetch_requested>().frame_end == 2);
}

TEST_CASE("a part of a group counts its timestamps from 0 again R-127 R-128") {
  fetching_pair p(lite06);
  put_group(p.cache, 3, {"a", "b", "c", "d"}, {}, 5000);
  CHECK(p.fetch(3, {.frame_start = 1, .frame_end = 2}).why == errc::ok);
  CHECK(payloads<fetch_part>(p.client) == "b|c|");
  const auto parts = p.client.all<fetch_part>();
  CHECK(std::get<fetch_part>(parts[0].what).frame == 1);
  CHECK(std::get<fetch_part>(parts[0].what).timestamp == 5010);
  CHECK(std::get<fetch_part>(parts[1].what).frame == 2);
  CHECK(std::get<fetch_part>(parts[1].what).timestamp == 5020);
  publisher q(lite06);
  put_group(q.cache, 3, {"a", "b", "c", "d"}, {}, 5000);
  CHECK(q.out(q.peer_fetches(3, 1, 2)) == frame_hex(lite06, 5010, "b") + frame_hex(lite06, 10, "c"));
  CHECK(q.out(q.peer_fetches(3, 2, 2)) == frame_hex(lite06, 5020, "c"));  // equal bounds are one frame
}

TEST_CASE("a fetch that cannot begin at its first frame is reset, never shortened R-128") {
  publisher p(lite06);
  put_group(p.cache, 3, {"a", "b"});
  const auto f = p.peer_fetches(3, 2);
  CHECK(p.at(f).reset == code(stream_code::not_found));
  CHECK(p.out(f) == "");
  CHECK_FALSE(p.at(f).fin);
  const auto g = p.peer_fetches(3, 9, 12);
  CHECK(p.at(g).reset == code(stream_code::not_found));
  CHECK(p.is_open());
}

TEST_CASE("a fetch of an open group that ends before its first frame is reset R-128") {
  publisher p(lite06);
  put_group(p.cache, 3, {"a"}, {}, 0, false);
  const auto f = p.peer_fetches(3, 2);
  CHECK_FALSE(p.at(f).reset);
  CHECK(p.cache.end_group(3) == errc::ok);
  p.settle();
  CHECK(p.at(f).reset == code(stream_code::not_found));
  CHECK(p.out(f) == "");
}

TEST_CASE("a complete group may end before the requested last frame R-129") {
  publisher p(lite06);
  put_group(p.cache, 3, {"a", "b"}, {}, 0);
  const auto f = p.peer_fetches(3, 1, 9);
  CHECK(p.out(f) == frame_hex(lite06, 10, "b"));
  CHECK(p.at(f).fin);
}

TEST_CASE("a last frame before the first resets the stream, the session goes on R-130") {
  publisher p(lite06);
  put_group(p.cache, 3, {"a", "b", "c"});
  // frames 2 to 0
  const auto f = p.peer_opens(bidi, "030f04726f6f6d05766964656f00030201", true);
  CHECK(p.at(f).reset == code(facts(errc::bad_fetch_bounds).on_stream));
  CHECK(p.count<fetch_requested>() == 0);
  CHECK(p.is_open());
  CHECK(p.at(p.peer_fetches(3)).fin);
}

TEST_CASE("why a group cannot be had: evicted, superseded, or never here [seed 4.3 b]") {
  for (const version v : with_fetch) {
    CAPTURE(facts(v).name);
    publisher p(v, {.max_age_ms = 1000, .bytes_max = 25});
    put_group(p.cache, 0, {std::string(10, 'a')}, p.now);
    put_group(p.cache, 1, {std::string(10, 'b')}, p.now);
    put_group(p.cache, 2, {std::string(10, 'c')}, p.now);  // 0 makes room
    CHECK(p.at(p.peer_fetches(0)).reset == code(stream_code::evicted));
    put_group(p.cache, 3, {"d"}, p.now + seconds(5));  // 1 and 2 are older than a second
    CHECK(p.at(p.peer_fetches(2)).reset == code(stream_code::old));
    CHECK(p.at(p.peer_fetches(77)).reset == code(stream_code::not_found));
    CHECK(p.at(p.peer_fetches(3)).fin);
    fetching_pair q(v);
    const auto end = q.fetch(77);
    CHECK(end.why == errc::refused_by_peer);
    CHECK(end.code == code(stream_code::not_found));
  }
}

TEST_CASE("a fetch is refused by the application with a code of its choice R-127") {
  for (const version v : with_fetch) {
    CAPTURE(facts(v).name);
    scripted p(v, endpoint::server);
    p.react = [](session& s, const event& e) {
      if (auto* r = std::get_if<fetch_requested>(&e)) CHECK(s.reject(r->request, application_code(3)) == errc::ok);
    };
    const auto f = p.peer_fetches(3);
    CHECK(p.at(f).reset == 67);
    CHECK(p.out(f) == "");
    CHECK(p.is_open());
  }
}

TEST_CASE("a fetch of an open group streams as the group grows") {
  for (const version v : with_fetch) {
    CAPTURE(facts(v).name);
    fetching_pair p(v);
    put_group(p.cache, 3, {"a"}, {}, 0, false);
    REQUIRE(p.client.session.fetch("room", "video", 3, {}, p.net.now()).has_value());
    p.run();
    CHECK(payloads<fetch_part>(p.client) == "a|");
    CHECK(p.client.count<fetch_closed>() == 0);
    CHECK(p.cache.append(3, 10, bytes::copy("b")) == errc::ok);
    p.run();
    CHECK(payloads<fetch_part>(p.client) == "a|b|");
    CHECK(p.cache.end_group(3) == errc::ok);
    p.run();
    CHECK(p.client.first<fetch_closed>().why == errc::ok);
    CHECK(p.client.session.streams_held() == p.server.session.streams_held());
    CHECK(p.net.violations() == 0);
  }
}

TEST_CASE("a fetch that is cut off midway keeps what came and says why R-127") {
  for (const version v : with_fetch) {
    CAPTURE(facts(v).name);
    fetching_pair p(v);
    put_group(p.cache, 3, {"a"}, {}, 0, false);
    REQUIRE(p.client.session.fetch("room", "video", 3, {}, p.net.now()).has_value());
    p.run();
    CHECK(p.cache.abort_group(3, application_code(1)) == errc::ok);
    p.run();
    CHECK(payloads<fetch_part>(p.client) == "a|");
    REQUIRE(p.client.count<fetch_closed>() == 1);
    CHECK(p.client.first<fetch_closed>().why == errc::reset_by_peer);
    CHECK(p.client.first<fetch_closed>().code == 65);
    CHECK(p.server.count<request_closed>() >= 1);
  }
}

TEST_CASE("an end inside a frame is not the end of a fetch R-127") {
  for (const version v : with_fetch) {
    CAPTURE(facts(v).name);
    fetcher s(v);
    const std::string whole = frame_hex(v, 0, "abcd");
    s.feed(s.stream, whole.substr(0, whole.size() - 2), true);
    REQUIRE(s.count<fetch_closed>() == 1);
    CHECK(s.first<fetch_closed>().why == errc::stream_cut);
    CHECK(s.is_open());
    fetcher t(v);
    t.feed(t.stream, whole, true);
    CHECK(t.first<fetch_closed>().why == errc::ok);
    CHECK(payloads<fetch_part>(t) == "abcd|");
  }
}

TEST_CASE("a refused fetch is told from one that broke midway") {
  for (const version v : with_fetch) {
    CAPTURE(facts(v).name);
    fetcher s(v);
    s.reset(s.stream, 0x35);
    CHECK(s.first<fetch_closed>().why == errc::refused_by_peer);
    CHECK(s.first<fetch_closed>().code == 0x35);
    fetcher t(v);
    t.feed(t.stream, frame_hex(v, 0, "a"));
    t.reset(t.stream, 0x35);
    CHECK(t.first<fetch_closed>().why == errc::reset_by_peer);
  }
}

TEST_CASE("a fetch of a part numbers its frames from the first that was asked for R-128") {
  fetcher s(lite06, {.frame_start = 5});
  s.feed(s.stream, frame_hex(lite06, 70, "f") + frame_hex(lite06, 1, "g"), true);
  const auto parts = s.all<fetch_part>();
  REQUIRE(parts.size() == 2);
  CHECK(std::get<fetch_part>(parts[0].what).frame == 5);
  CHECK(std::get<fetch_part>(parts[0].what).timestamp == 70);
  CHECK(std::get<fetch_part>(parts[1].what).frame == 6);
  CHECK(std::get<fetch_part>(parts[1].what).timestamp == 71);
}

TEST_CASE("a frame that is too large ends its fetch only [seed 2.1 c]") {
  for (const version v : with_fetch) {
    CAPTURE(facts(v).name);
    config c;
    c.caps.frame_bytes_max = 100;
    fetcher s(v, {}, c);
    s.feed(s.stream, wire_hex(msg::frame{0, 101}, v));
    CHECK(s.at(s.stream).stop == code(stream_code::frame_too_large));
    CHECK(s.first<fetch_closed>().why == errc::frame_too_large);
    CHECK(s.is_open());
  }
}

TEST_CASE("a cancelled fetch ends both directions and is not heard of again") {
  for (const version v : with_fetch) {
    CAPTURE(facts(v).name);
    fetching_pair p(v);
    put_group(p.cache, 3, {"a"}, {}, 0, false);
    const auto id = p.client.session.fetch("room", "video", 3, {}, p.net.now());
    REQUIRE(id.has_value());
    p.run();
    CHECK(p.client.session.cancel(*id) == errc::ok);
    CHECK(p.client.session.cancel(*id) == errc::stale_handle);
    p.run();
    CHECK(p.cache.append(3, 10, bytes::copy("b")) == errc::ok);
    p.run();
    CHECK(payloads<fetch_part>(p.client) == "a|");
    CHECK(p.client.count<fetch_closed>() == 0);
    CHECK(p.server.last<request_closed>().why == errc::reset_by_peer);
    CHECK(p.server.last<request_closed>().code == code(stream_code::cancelled));
    CHECK(p.client.session.streams_held() == p.server.session.streams_held());
    CHECK(p.net.violations() == 0);
  }
}

TEST_CASE("a fetch that is cancelled before TRACK_INFO came is never sent R-131") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto id = s.session.fetch("room", "video", 3, {}, s.now);
    REQUIRE(id.has_value());
    s.settle();
    CHECK(s.session.cancel(*id) == errc::ok);
    s.feed(s.ours(bidi, 0x6)[0], wire_hex(msg::track_info{.timescale = 9}, v), true);
    CHECK(s.ours(bidi, 0x3).empty());
    CHECK(s.count<fetch_closed>() == 0);
    CHECK(s.session.streams_held() == 0);
  }
}

TEST_CASE("a fetch without an answer is given up after a while, one that has begun is not") {
  for (const version v : with_fetch) {
    CAPTURE(facts(v).name);
    fetcher s(v);
    s.wait(limits{}.request_timeout + seconds(1));
    REQUIRE(s.count<fetch_closed>() == 1);
    CHECK(s.first<fetch_closed>().why == errc::request_timeout);
    CHECK(s.is_open());
    fetcher t(v);
    t.feed(t.stream, frame_hex(v, 0, "a"));
    t.wait(limits{}.request_timeout + seconds(1));
    CHECK(t.count<fetch_closed>() == 0);
  }
}

TEST_CASE("groups of a track that has ended can be fetched R-132") {
  for (const version v : with_fetch) {
    CAPTURE(facts(v).name);
    fetching_pair p(v);
    put_group(p.cache, 0, {"a"});
    put_group(p.cache, 1, {"b"});
    p.cache.finish();
    CHECK(p.fetch(0).why == errc::ok);
    CHECK(p.fetch(1).why == errc::ok);
    CHECK(payloads<fetch_part>(p.client) == "a|b|");
  }
}

TEST_CASE("a fetch reads what live delivery has let go of R-132 [seed 4.3]") {
  publisher p(lite06);
  put_group(p.cache, 0, {"a"}, {}, 0);
  put_group(p.cache, 1, {"b"}, {}, 100'000);
  put_group(p.cache, 2, {"c"}, {}, 200'000);
  p.peer_subscribes({.max_age_ms = 1000});
  CHECK(p.stream_of(0) == ~std::uint64_t{0});
  CHECK(p.at(p.peer_fetches(0)).fin);
}

TEST_CASE("a fetch has its own priority beside subscriptions R-166 [seed 4.1]") {
  for (const version v : with_fetch) {
    CAPTURE(facts(v).name);
    for (const bool fetch_first : {false, true}) {
      publisher p(v);
      p.net.room = 0;
      put_group(p.cache, 3, {std::string(500, 'x')}, {}, 0);
      p.peer_subscribes({.priority = 100});
      const auto f = p.peer_fetches(3, 0, {}, fetch_first ? 101 : 99);
      p.net.log.clear();
      p.give_room(100);
      REQUIRE(p.net.log.size() == 1);
      CHECK((p.net.log[0].first == f) == fetch_first);
    }
  }
}

TEST_CASE("one request more than allowed is reset with NO_CAPACITY [seed 10.1 c]") {
  for (const version v : with_fetch) {
    CAPTURE(facts(v).name);
    config c;
    c.caps.requests_max = 2;
    publisher p(v, {}, c);
    put_group(p.cache, 3, {"a"}, {}, 0, false);  // they stay open
    p.peer_fetches(3);
    const auto second = p.peer_fetches(3);
    const auto third = p.peer_fetches(3);
    CHECK_FALSE(p.at(second).reset);
    CHECK(p.at(third).reset == code(stream_code::no_capacity));
    p.stop(second, 1);
    CHECK_FALSE(p.at(p.peer_fetches(3)).reset);
    CHECK(p.is_open());
  }
}
