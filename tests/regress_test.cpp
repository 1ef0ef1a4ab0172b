/// What the simulation and the fuzzers found, each as the smallest story that shows it.

#include <doctest/doctest.h>

#include "counting_memory.hpp"
#include "scripted.hpp"

using namespace moql;
using testing::pair;
using testing::scripted;
using testing::versions;

TEST_CASE("a group that is reset before TRACK_INFO came ends without a frame R-121") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe({}, 0);
    s.say_ok(stream, 0);
    const auto group = s.peer_group(0, {"early"}, false);
    s.reset(group, 7);
    CHECK(s.count<frame_part>() == 0);
    REQUIRE(s.count<group_finished>() == 1);
    CHECK(s.first<group_finished>().why == errc::reset_by_peer);
    CHECK(s.session.bytes_buffered() == 0);
  }
}

TEST_CASE("a fetch that is cancelled before the transport had a stream for it is never sent") {
  for (const version v : versions) {
    if (!has_fetch(v)) continue;
    CAPTURE(facts(v).name);
    pair p(v, {.streams_bidi = 1});
    p.start();
    p.run();
    REQUIRE(p.client.session.discover("", p.net.now()).has_value());  // takes the only stream
    p.run();
    const std::size_t held = p.client.session.streams_held();
    const auto f = p.client.session.fetch("a", "b", 0, {}, p.net.now());
    REQUIRE(f.has_value());
    p.run();
    REQUIRE(p.client.session.cancel(*f) == errc::ok);
    p.run();
    if (!has_track_stream(v)) CHECK(p.client.session.streams_held() == held);
    CHECK(p.server.count<fetch_requested>() == 0);
  }
}

TEST_CASE("a stream that the transport declares closed while a group is written on it is forgotten") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::server);
    track_cache cache;
    testing::put_group(cache, 0, {"a"}, {}, 0, false);
    s.serve_all(cache);
    (void)s.peer_subscribes({});
    REQUIRE(s.groups().size() == 1);
    const std::size_t held = s.session.streams_held();
    s.net.streams[s.groups()[0]].reset = 1;  // every further write hears `closed`
    REQUIRE(cache.append(0, 1, bytes::copy("b")) == errc::ok);
    s.settle();
    CHECK(s.session.streams_held() == held - 1);
  }
}

TEST_CASE("STOP_SENDING that arrives before its request is read leaves nobody to answer") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::server);
    track_cache cache;
    testing::put_group(cache, 0, {"a"});
    s.serve_all(cache);
    std::vector<std::string> requests = {"02" + testing::wire_hex(msg::subscribe{0, "room", "video", {}}, v)};
    if (has_fetch(v)) requests.push_back("03" + testing::wire_hex(msg::fetch{"room", "video", 0, 0, 0, {}}, v));
    if (has_track_stream(v)) requests.push_back("06" + testing::wire_hex(msg::track{"room", "video"}, v));
    requests.push_back("01" + testing::wire_hex(msg::announce_request{.prefix = ""}, v));
    const std::size_t held = s.session.streams_held();
    for (const bool fin : {true, false}) {
      for (const std::string& r : requests) {
        CAPTURE(r);
        const std::uint64_t id = s.next_theirs++;
        s.net.streams[id] = {.dir = direction::bidi};
        s.session.on_open(stream_id{id}, direction::bidi, s.now);
        const auto raw = tests::from_hex(r);
        s.session.on_data(stream_id{id}, bytes::copy(byte_view(raw)), fin, s.now);
        s.session.on_stop(stream_id{id}, 1, s.now);
        s.settle();
        CHECK(s.at(id).reset == 1);
        CHECK(s.session.streams_held() == held);
      }
    }
    CHECK(s.count<subscribe_requested>() + s.count<fetch_requested>() + s.count<track_requested>() == 0);
    CHECK(s.is_open());
  }
}

TEST_CASE("the start that SUBSCRIBE_OK named holds when an update comes before the first group is sent R-100") {
  for (const version v : {lite03, lite04}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::server);
    track_cache cache({.max_age_ms = 100'000});
    for (std::uint64_t g = 0; g < 4; ++g) testing::put_group(cache, g, {"x"});
    s.serve_all(cache);
    const std::uint64_t id = s.next_theirs++;
    s.net.streams[id] = {.dir = direction::bidi};
    s.session.on_open(stream_id{id}, direction::bidi, s.now);
    const msg::delivery from_1{.max_age_ms = 100'000, .group_start = 1};
    const msg::delivery live{.priority = 3, .max_age_ms = 100'000};
    const auto raw = tests::from_hex("02" + testing::wire_hex(msg::subscribe{0, "room", "video", from_1}, v) +
                                     testing::wire_hex(msg::subscribe_update{live}, v));
    s.session.on_data(stream_id{id}, bytes::copy(byte_view(raw)), false, s.now);
    s.settle();
    msg::subscribe_ok ok{.max_age_ms = 100'000};
    ok.group_start = 1;
    CHECK(s.out(id).starts_with(testing::wire_hex(ok, v)));
    CHECK(s.groups().size() == 3);
  }
}

TEST_CASE(
    "session_closed is told even when there is no memory to queue it in, and nothing follows a lost event [seed "
    "10.1]") {
  for (const version v : {lite03, lite04}) {
    CAPTURE(facts(v).name);
    counting_memory none;
    none.allowed = 0;
    session s(testing::only_version({}, v, endpoint::client), none.get());
    (void)s.start(testing::token(v), {});
    const auto first = s.next_event();
    REQUIRE(first.has_value());
    REQUIRE(std::holds_alternative<session_closed>(*first));
    CHECK(std::get<session_closed>(*first).why == errc::out_of_memory);
    CHECK_FALSE(s.next_event().has_value());
  }
}
