/// Sentences of the status table that no other file proves as they stand.

#include <doctest/doctest.h>

#include "peer.hpp"
#include "scripted.hpp"

using namespace moql;
using testing::peer;
using testing::scripted;
using testing::versions;

namespace {

constexpr auto bidi = direction::bidi;
constexpr auto uni = direction::uni;

}  // namespace

TEST_CASE("the vectors of a frame, 05 68656c6c6f and 00 05 68656c6c6f, are written and read [seed 2.1 a]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    const std::string vector = has_timestamps(v) ? "000568656c6c6f" : "0568656c6c6f";
    const std::string head = has_frame_bounds(v) ? "0003000000" : "00020000";

    scripted p(v, endpoint::server);
    track_cache cache;
    testing::put_group(cache, 0, {"hello"});
    p.serve_all(cache);
    p.peer_subscribes({});
    REQUIRE(p.groups().size() == 1);
    CHECK(p.out(p.groups()[0]) == head + vector);

    scripted s(v, endpoint::client);
    s.say_ok(s.subscribe(), 0);
    s.peer_opens(uni, head + vector, true);
    REQUIRE(s.count<frame_part>() == 1);
    CHECK(testing::payloads<frame_part>(s) == "hello|");
    CHECK(s.first<frame_part>().frame == 0);
    CHECK(s.first<frame_part>().timestamp == 0);
  }
}

TEST_CASE("frames that come before TRACK_INFO are held up to the limit and then told with timestamps [seed 2.4 b]") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    config c;
    c.caps.buffered_bytes_max = 2000;
    scripted s(v, endpoint::client, c);
    s.say_ok(s.subscribe({}, 0), 0);
    for (std::uint64_t g = 0; g < 3; ++g) s.peer_group(g, {std::string(500, 'x')});
    CHECK(s.is_open());
    CHECK(s.count<frame_part>() == 0);
    CHECK(s.session.bytes_buffered() > 1500);
    s.feed(s.ours(bidi, 0x6).at(0), testing::wire_hex(msg::track_info{.max_age_ms = 5000, .timescale = 1000}, v), true);
    REQUIRE(s.count<frame_part>() == 3);
    CHECK(s.last<frame_part>().timestamp == 2000);
    CHECK(s.session.bytes_buffered() == 0);

    scripted flooded(v, endpoint::client, c);
    flooded.say_ok(flooded.subscribe({}, 0), 0);
    for (std::uint64_t g = 0; g < 5 && flooded.is_open(); ++g) flooded.peer_group(g, {std::string(500, 'x')});
    CHECK(!flooded.is_open());
    REQUIRE(flooded.count<session_closed>() == 1);
    CHECK(flooded.first<session_closed>().why == errc::limit_exceeded);
    CHECK(flooded.count<frame_part>() == 0);
  }
}

TEST_CASE("a server of 01 takes 000a01c0000000ff0dad0100 and answers with the version chosen [seed 6.1 a]") {
  const auto script = [](testing::arrival a) {
    config c;
    c.side = endpoint::server;
    c.versions = only(lite01, lite02);
    peer p(lite01, c);
    p.pieces = a;
    CHECK(p.start() == errc::ok);
    const auto id = p.open(bidi, "000a01c0000000ff0dad0100");
    CHECK(!p.is_ended(id));
    CHECK(p.is_open());
    CHECK(p.s().negotiated() == lite01);
    return p.log() + p.sent(id);
  };
  CHECK(script({}) == "connected 01\n09c0000000ff0dad0100");
  CHECK(testing::differs_by_arrival(12, script) == "");
}

TEST_CASE("a parameter of another version's opening is unknown and passed over [seed 7.1.1 b]") {
  // Cost and Hop of 05 on in a CLIENT_SETUP: an even id has a number there, an odd one bytes.
  for (const version v : {lite01, lite02}) {
    peer p(v, endpoint::server);
    (void)p.start();
    const std::string number = v == lite01 ? "c0000000ff0dad01" : "c0000000ff0dad02";
    p.open(bidi, "20001201" + number + "030400050107030100");
    CHECK(p.is_open());
    CHECK(p.s().is_established());
    CHECK(p.s().peer().cost == 1);
    CHECK(p.s().peer().hop == 0);
    CHECK(p.s().peer().role == intent::both);
  }
  // The implementation's name of CLIENT_SETUP in a SETUP.
  for (const version v : {lite05, lite06}) {
    peer p(v, endpoint::server);
    (void)p.start();
    p.open(uni, "01050107026869", true);
    CHECK(p.is_open());
    CHECK(p.log() == "connected " + std::string(facts(v).name) + "\nsetup path=none role=0 probe=0 cost=1 hop=0\n");
  }
}

TEST_CASE("within one version no two parameters share an id [seed 7.1.1 c]") {
  CHECK(msg::setup_path != msg::setup_max_request_id);
  CHECK(msg::setup_path != msg::setup_implementation);
  CHECK(msg::setup_max_request_id != msg::setup_implementation);
  for (const version v : {lite05, lite06}) {
    // Each alone writes one id; all five write five that no reader takes for a repetition.
    const auto id_of = [&](const msg::setup& s) { return testing::hex(s, v).substr(4, 2); };
    const std::set<std::string> ids{id_of({.probe = 1}), id_of({.path = text("/")}), id_of({.role = 1}),
                                    id_of({.cost = 1}), id_of({.hop = 1})};
    CHECK(ids == std::set<std::string>{"01", "02", "03", "04", "05"});
    const msg::setup all{.probe = 2, .path = text("/a"), .role = 1, .cost = 3, .hop = 4};
    const auto raw = tests::from_hex(testing::hex(all, v));
    const auto back = decode<msg::setup>(byte_view(raw), v);
    CHECK(back.why == errc::ok);
    CHECK(back.message == all);
  }
}

TEST_CASE("one track in two sessions is two subscriptions, each with what its own publisher said [seed 2.4.2 a]") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted one(v, endpoint::client);
    scripted two(v, endpoint::client);
    const auto a = one.subscribe({}, 1000);
    const auto b = two.subscribe({}, 90'000);
    CHECK(one.out(a) == two.out(b));
    CHECK(one.ours(bidi, 0x6).size() == 1);
    CHECK(two.ours(bidi, 0x6).size() == 1);
    one.say_ok(a, 0);
    two.say_ok(b, 0);
    one.peer_group(0, {"of one"});
    CHECK(two.count<group_started>() == 0);
    two.peer_group(0, {"of two"});
    CHECK(testing::payloads<frame_part>(one) == "of one|");
    CHECK(testing::payloads<frame_part>(two) == "of two|");
    CHECK(one.first<track_known>().info.timescale == 1000);
    CHECK(two.first<track_known>().info.timescale == 90'000);
  }
}

TEST_CASE("closing a session forgets its tracks and leaves those of another session [seed 2.4.2 c]") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted one(v, endpoint::client);
    scripted two(v, endpoint::client);
    one.say_ok(one.subscribe(), 0);
    const auto b = two.subscribe();
    two.say_ok(b, 0);
    one.session.close(session_code::no_error, "done");
    one.settle();
    CHECK(one.count<subscription_closed>() == 1);
    CHECK_FALSE(one.session.query_track("room", "video", one.now).has_value());
    CHECK(two.count<subscription_closed>() == 0);
    two.peer_group(0, {"on"});
    CHECK(testing::payloads<frame_part>(two) == "on|");
    two.subscribe({}, 0);
    CHECK(two.ours(bidi, 0x6).size() == 1);  // TRACK_INFO is still known
  }
}

TEST_CASE("an update whose bounds contradict each other is the caller's mistake and is not sent [seed 7.9 b]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe({.want = {.group_start = 2, .group_end = 9}});
    const std::string before = s.out(stream);
    CHECK(s.session.update(s.last_subscription, {.group_start = 5, .group_end = 4}) == errc::bad_argument);
    s.settle();
    CHECK(s.out(stream) == before);
    // Both ends may move outwards.
    CHECK(s.session.update(s.last_subscription, {.group_start = 1, .group_end = 12}) == errc::ok);
    s.settle();
    CHECK(s.out(stream).size() > before.size());
  }
}
