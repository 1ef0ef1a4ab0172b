/// A session at work with another one, in every version.

#include <doctest/doctest.h>

#include "pair.hpp"

using namespace moql;
using testing::pair;
using testing::versions;

TEST_CASE("two sessions agree on each version and both hear connected once [seed 3.1 a] R-001 R-006") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    pair p(v);
    p.start();
    p.run();
    CHECK(p.client.count<connected>() == 1);
    CHECK(p.server.count<connected>() == 1);
    CHECK(p.client.session.negotiated() == v);
    CHECK(p.server.session.negotiated() == v);
    CHECK(p.net.violations() == 0);
  }
}

TEST_CASE("a track written once reaches its subscriber frame by frame in every version") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    pair p(v);
    track_cache video({.timescale = 90'000});
    p.server.react = [&](session& s, const event& e) {
      if (auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
      if (auto* r = std::get_if<track_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
    };
    p.start();
    p.run();
    CHECK(p.server.session.announce("room/alice").has_value());
    CHECK(p.client.session.discover("room", p.net.now()).has_value());
    p.run();
    REQUIRE(p.client.count<announced>() == 1);
    CHECK(p.client.all<announced>()[0].path == "room/alice");
    REQUIRE(video.begin_group(p.net.now()) == errc::ok);
    REQUIRE(video.append(1000, bytes::copy("key")) == errc::ok);
    REQUIRE(video.append(2000, bytes::copy("")) == errc::ok);
    REQUIRE(video.append(1500, bytes::copy("delta")) == errc::ok);
    REQUIRE(p.client.session.subscribe("room/alice", "video", {}, p.net.now()).has_value());
    p.run();
    REQUIRE(video.begin_group(p.net.now()) == errc::ok);
    REQUIRE(video.append(3000, bytes::copy("second")) == errc::ok);
    video.finish();
    p.run();
    p.wait(seconds(5));
    std::string got;
    for (const auto& h : p.client.all<frame_part>()) got += h.payload + "|";
    CHECK(got == "key||delta|second|");
    CHECK(p.client.count<group_started>() == 2);
    CHECK(p.client.count<group_finished>() == 2);
    if (has_timestamps(v)) CHECK(std::get<frame_part>(p.client.all<frame_part>()[2].what).timestamp == 1500);
    REQUIRE(p.client.count<subscription_closed>() == 1);
    CHECK(p.client.first<subscription_closed>().why == errc::ok);
    CHECK(p.server.count<request_closed>() >= 1);
    CHECK(p.net.violations() == 0);
    CHECK_MESSAGE(p.net.violations() == 0, p.net.last_violation());
  }
}

TEST_CASE(
    "a subscription to a track that has no group yet begins with the first one that comes, not with the last R-115 "
    "R-116") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    pair p(v);
    track_cache video;
    p.server.react = [&](session& s, const event& e) {
      if (auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
      if (auto* r = std::get_if<track_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
    };
    p.start();
    p.run();
    REQUIRE(p.client.session.subscribe("a", "b", {.want = {.max_age_ms = 60'000}}, p.net.now()).has_value());
    p.run();
    for (int i = 0; i < 4; ++i) {
      REQUIRE(video.begin_group(p.net.now()) == errc::ok);
      REQUIRE(video.append(static_cast<std::uint64_t>(i), bytes::copy("x")) == errc::ok);
    }
    p.run();
    CHECK(p.client.count<group_started>() == 4);
  }
}

TEST_CASE("a client of 05 with a Path that does not begin with a slash is told so before anything is sent R-031") {
  session s({.side = endpoint::client, .path = "?b=c"});
  CHECK(s.start("moq-lite-05", instant{}) == errc::bad_argument);
  CHECK_FALSE(s.next_action().has_value());
  CHECK(s.start("moq-lite-06", instant{}) == errc::ok);
}
