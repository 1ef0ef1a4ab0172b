/// TRACK and TRACK_INFO (05, 06): asked once, remembered as long as the announcement, waited for by frames.

#include <doctest/doctest.h>

#include "scripted.hpp"

using namespace moql;
using namespace testing;

namespace {

constexpr auto bidi = direction::bidi;
constexpr version with_track[] = {lite05, lite06};

std::string info_hex(version v, std::uint64_t timescale, std::uint8_t priority = 0) {
  return wire_hex(msg::track_info{.priority = priority, .max_age_ms = 5000, .timescale = timescale}, v);
}
constexpr auto code = [](stream_code c) { return static_cast<std::uint64_t>(c); };

/// A subscriber's session that asks by itself; the script answers.
struct asker : scripted {
  explicit asker(version v, const config& c = {}) : scripted(v, endpoint::client, c) {}
  std::vector<std::uint64_t> tracks() { return ours(bidi, 0x6); }
};

/// The peer's answer to our Announce stream, so that announcements can be played.
struct announcing_peer : asker {
  std::uint64_t stream = 0;
  explicit announcing_peer(version v) : asker(v) {
    CHECK(session.discover("", now).has_value());
    settle();
    stream = ours(bidi, 0x1).at(0);
    feed(stream, wire_hex(msg::announce_ok{}, v));
  }
  void announce() {
    feed(stream, ver == lite05 ? wire_hex(msg::announce{.status = 1, .suffix = "room"}, ver)
                               : wire_hex(msg::announce_start{.suffix = "room"}, ver));
  }
  void end(std::uint64_t id) {
    feed(stream, ver == lite05 ? wire_hex(msg::announce{.status = 0, .suffix = "room"}, ver)
                               : wire_hex(msg::announce_end{id}, ver));
  }
};

}  // namespace

// ---- the publisher

TEST_CASE("TRACK is answered by one TRACK_INFO and the end, in the version's layout R-117 R-119") {
  for (const version v : with_track) {
    CAPTURE(facts(v).name);
    scripted p(v, endpoint::server);
    track_cache cache({.priority = 1, .max_age_ms = 5000, .timescale = 90'000});
    p.serve_all(cache);
    const auto t = p.peer_opens(bidi, "060b04726f6f6d05766964656f", true);
    CHECK(p.first<track_requested>().request != request_id{});
    CHECK(p.all<track_requested>()[0].path == "room");
    CHECK(p.all<track_requested>()[0].track == "video");
    CHECK(p.out(t) == (v == lite05 ? "08010053888"
                                     "0015f90"
                                   : "070153888"
                                     "0015f90"));
    CHECK(p.at(t).fin);
    CHECK(p.first<request_closed>().why == errc::ok);
    CHECK(p.session.streams_held() == 0);
  }
}

TEST_CASE("a TRACK that is not served is reset with the code R-117") {
  for (const version v : with_track) {
    CAPTURE(facts(v).name);
    scripted p(v, endpoint::server);
    p.react = [](session& s, const event& e) {
      if (auto* r = std::get_if<track_requested>(&e)) CHECK(s.reject(r->request, stream_code::not_found) == errc::ok);
    };
    const auto t = p.peer_opens(bidi, "060b04726f6f6d05766964656f");
    CHECK(p.at(t).reset == code(stream_code::not_found));
    CHECK(p.out(t) == "");
    CHECK_FALSE(p.at(t).fin);
  }
}

TEST_CASE("TRACK can be answered without a cache, and never with a timescale of 0 R-119") {
  for (const version v : with_track) {
    CAPTURE(facts(v).name);
    scripted p(v, endpoint::server);
    request_id which{};
    p.react = [&](session&, const event& e) {
      if (auto* r = std::get_if<track_requested>(&e)) which = r->request;
    };
    const auto t = p.peer_opens(bidi, "060b04726f6f6d05766964656f");
    CHECK(p.session.answer(which, {.timescale = 0}) == errc::bad_argument);
    p.settle();
    CHECK(p.out(t) == "");
    CHECK_FALSE(p.at(t).reset);
    CHECK(p.session.answer(which, {.priority = 3, .max_age_ms = 1, .timescale = 1000}) == errc::ok);
    CHECK(p.session.answer(which, {.timescale = 1000}) == errc::stale_handle);  // one
    p.settle();
    CHECK(p.out(t) == (v == lite05 ? "0503000143e8" : "04030143e8"));
    CHECK(p.at(t).fin);
  }
}

TEST_CASE("every TRACK of one track is answered alike, whatever happened to the track R-118") {
  for (const version v : with_track) {
    CAPTURE(facts(v).name);
    scripted p(v, endpoint::server);
    track_cache cache({.priority = 1, .max_age_ms = 300, .timescale = 48'000});
    p.serve_all(cache);
    const auto a = p.peer_opens(bidi, "060b04726f6f6d05766964656f", true);
    put_group(cache, 0, {"x"});
    put_group(cache, 1, {"y"}, instant{} + milliseconds(900));
    cache.finish();
    const auto b = p.peer_opens(bidi, "060b04726f6f6d05766964656f", true);
    CHECK(p.out(a) != "");
    CHECK(p.out(a) == p.out(b));
  }
}

TEST_CASE("TRACK_INFO and all control go out ahead of group data R-126 [seed 4.1 d]") {
  for (const version v : with_track) {
    CAPTURE(facts(v).name);
    scripted p(v, endpoint::server);
    track_cache cache;
    put_group(cache, 0, {std::string(1000, 'x')}, {}, 0, false);
    p.serve_all(cache);
    const std::string ask = "02" + wire_hex(msg::subscribe{0, "room", "video", {.priority = 255}}, v);
    const auto raw_ask = moql::tests::from_hex(ask);
    const auto raw_track = moql::tests::from_hex("060b04726f6f6d05766964656f");
    // Both are there before the session may write anything.
    p.net.streams[1] = {.dir = bidi};
    p.net.streams[2] = {.dir = bidi};
    p.net.next_ours = 10;
    p.session.on_open(stream_id{1}, bidi, p.now);
    p.session.on_open(stream_id{2}, bidi, p.now);
    p.session.on_data(stream_id{1}, bytes::copy(byte_view(raw_ask)), false, p.now);
    p.session.on_data(stream_id{2}, bytes::copy(byte_view(raw_track)), true, p.now);
    p.net.log.clear();
    p.settle();
    REQUIRE(p.net.log.size() >= 3);
    std::size_t group_at = 99, info_at = 99, ok_at = 99;
    for (std::size_t i = p.net.log.size(); i-- > 0;) {
      if (p.net.log[i].first == 1) ok_at = i;
      if (p.net.log[i].first == 2) info_at = i;
      if (p.net.log[i].first >= 10) group_at = i;
    }
    CHECK(info_at < group_at);
    CHECK(ok_at < group_at);
    CHECK(group_at < 99);
  }
}

// ---- the subscriber

TEST_CASE("a subscription asks for TRACK_INFO beside SUBSCRIBE, before it") {
  for (const version v : with_track) {
    CAPTURE(facts(v).name);
    asker s(v);
    const auto stream = s.subscribe({}, 0);
    REQUIRE(s.tracks().size() == 1);
    CHECK(s.out(s.tracks()[0]) == "060b04726f6f6d05766964656f");
    CHECK(s.tracks()[0] < stream);
  }
}

TEST_CASE("frames wait until TRACK_INFO is known, the subscription and its groups do not R-121 [seed 2.4]") {
  for (const version v : with_track) {
    CAPTURE(facts(v).name);
    asker s(v);
    const auto stream = s.subscribe({}, 0);
    s.say_ok(stream, 0);
    CHECK(s.count<subscription_started>() == 1);
    s.peer_group(0, {"a", "b"});
    const auto open = s.peer_group(1, {"c"}, false);
    CHECK(started_groups(s).size() == 2);
    CHECK(s.count<frame_part>() == 0);
    CHECK(s.count<group_finished>() == 0);
    s.feed(s.tracks()[0], info_hex(v, 90'000), true);
    CHECK(s.first<track_known>().info.timescale == 90'000);
    CHECK(payloads<frame_part>(s) == "a|b|c|");
    const auto parts = s.all<frame_part>();
    CHECK(std::get<frame_part>(parts[0].what).timestamp == 0);
    CHECK(std::get<frame_part>(parts[1].what).timestamp == 10);
    CHECK(std::get<frame_part>(parts[2].what).timestamp == 1000);
    CHECK(s.count<group_finished>() == 1);
    s.feed(open, frame_hex(v, 5, "d"), true);
    CHECK(s.last<frame_part>().timestamp == 1005);
    std::size_t known = 0, frame = 0;
    for (std::size_t i = s.events.size(); i-- > 0;) {
      if (std::holds_alternative<track_known>(s.events[i].what)) known = i;
      if (std::holds_alternative<frame_part>(s.events[i].what)) frame = i;
    }
    CHECK(known < frame);
  }
}

TEST_CASE("whoever knows the timescale already may do without TRACK_INFO R-121") {
  for (const version v : with_track) {
    CAPTURE(facts(v).name);
    asker s(v);
    const auto stream = s.subscribe({.skip_track_info = true}, 0);
    CHECK(s.tracks().empty());
    s.say_ok(stream, 0);
    s.peer_group(0, {"a"});
    CHECK(payloads<frame_part>(s) == "a|");
  }
}

TEST_CASE("before 05 there is no TRACK and nothing waits R-121") {
  for (const version v : {lite01, lite02, lite03, lite04}) {
    CAPTURE(facts(v).name);
    asker s(v);
    const auto stream = s.subscribe({}, 0);
    CHECK(s.tracks().empty());
    s.say_ok(stream, 0);
    s.peer_group(0, {"a"});
    CHECK(payloads<frame_part>(s) == "a|");
    CHECK(s.count<track_known>() == 0);
    CHECK(s.session.query_track("room", "video", s.now).error() == errc::not_in_version);
  }
}

TEST_CASE("a timescale of 0 resets the Track stream and fails who waits, the session goes on R-120 [seed 2.4 c]") {
  for (const version v : with_track) {
    CAPTURE(facts(v).name);
    asker s(v);
    const auto stream = s.subscribe({}, 0);
    s.feed(s.tracks()[0], v == lite05 ? "0400000000" : "03000000");
    CHECK((s.at(s.tracks()[0]).reset || s.at(s.tracks()[0]).stop));
    REQUIRE(s.count<subscription_closed>() == 1);
    CHECK(s.first<subscription_closed>().why == errc::zero_timescale);
    CHECK((s.at(stream).fin || s.at(stream).reset));
    CHECK(s.is_open());
    s.subscribe({}, 1000);  // it is not remembered
    CHECK(s.tracks().size() == 2);
    CHECK(s.count<track_known>() == 1);
  }
}

TEST_CASE("TRACK_INFO is asked for once per track and used again R-122") {
  for (const version v : with_track) {
    CAPTURE(facts(v).name);
    asker s(v);
    s.subscribe({}, 0);
    s.subscribe({}, 0);
    CHECK(s.tracks().size() == 1);  // under way
    s.feed(s.tracks()[0], info_hex(v, 7), true);
    CHECK(s.count<track_known>() == 2);
    s.subscribe({}, 0);
    CHECK(s.session.fetch("room", "video", 3, {}, s.now).has_value());
    CHECK(s.session.query_track("room", "video", s.now).has_value());
    s.settle();
    CHECK(s.tracks().size() == 1);
    CHECK(s.count<track_known>() == 3);
    CHECK(s.last<track_known>().info.timescale == 7);
    CHECK(s.ours(bidi, 0x3).size() == 1);
    CHECK(s.first<track_answered>().info.timescale == 7);
    CHECK(s.session.query_track("room", "audio", s.now).has_value());
    CHECK(s.session.query_track("roo", "mvideo", s.now).has_value());  // the same letters, another track
    s.settle();
    CHECK(s.tracks().size() == 3);
  }
}

TEST_CASE("TRACK_INFO is forgotten when the announcement ends R-124 R-123 [seed 2.4 d]") {
  for (const version v : with_track) {
    CAPTURE(facts(v).name);
    announcing_peer s(v);
    s.announce();
    s.subscribe({}, 1000);
    s.end(0);
    CHECK(s.count<announce_ended>() == 1);
    s.announce();
    s.subscribe({}, 0);
    REQUIRE(s.tracks().size() == 2);
    s.feed(s.tracks()[1], info_hex(v, 48'000), true);
    CHECK(s.last<track_known>().info.timescale == 48'000);
    CHECK(s.count<subscription_closed>() == 0);  // what runs is not disturbed
  }
}

TEST_CASE("on 05 a new announcement of the same broadcast forgets TRACK_INFO R-123") {
  announcing_peer s(lite05);
  s.announce();
  s.subscribe({}, 1000);
  s.announce();
  s.subscribe({}, 0);
  CHECK(s.tracks().size() == 2);
}

TEST_CASE("on 06 other hops for the route leave TRACK_INFO where it is R-124") {
  announcing_peer s(lite06);
  s.announce();
  s.subscribe({}, 1000);
  s.feed(s.stream, "02050001090b0d");
  CHECK(s.count<announce_updated>() == 1);
  s.subscribe({}, 0);
  CHECK(s.tracks().size() == 1);
}

TEST_CASE("the end of another broadcast leaves TRACK_INFO where it is R-124") {
  announcing_peer s(lite06);
  s.feed(s.stream, wire_hex(msg::announce_start{.suffix = "rooms"}, lite06));
  s.announce();
  s.subscribe({}, 1000);
  s.feed(s.stream, wire_hex(msg::announce_end{0}, lite06));
  s.subscribe({}, 0);
  CHECK(s.tracks().size() == 1);
}

TEST_CASE("an answer that was on its way when the announcement ended serves who asked and no one else R-124") {
  for (const version v : with_track) {
    CAPTURE(facts(v).name);
    announcing_peer s(v);
    s.announce();
    s.subscribe({}, 0);
    s.end(0);
    s.announce();
    s.feed(s.tracks()[0], info_hex(v, 5), true);
    CHECK(s.first<track_known>().info.timescale == 5);
    s.subscribe({}, 0);
    CHECK(s.tracks().size() == 2);
  }
}

TEST_CASE("frames that do not fit reset their stream and TRACK_INFO is asked for again R-125") {
  for (const version v : with_track) {
    CAPTURE(facts(v).name);
    asker s(v);
    const auto stream = s.subscribe({}, 1000);
    s.say_ok(stream, 0);
    const auto bad = s.peer_opens(direction::uni, "00" + wire_hex(msg::group{0, 0, 0}, v) + frame_hex(v, -1, "x"));
    CHECK(s.at(bad).stop == code(stream_code::timestamp_mismatch));
    REQUIRE(s.tracks().size() == 2);
    s.peer_group(1, {"held"});
    CHECK(s.count<frame_part>() == 0);
    s.feed(s.tracks()[1], info_hex(v, 48'000), true);
    CHECK(s.last<track_known>().info.timescale == 48'000);
    CHECK(payloads<frame_part>(s) == "held|");
    CHECK(s.is_open());
    // the same for a fetch: the next one asks
    CHECK(s.session.fetch("room", "video", 3, {}, s.now).has_value());
    s.settle();
    s.feed(s.ours(bidi, 0x3)[0], frame_hex(v, -1, "x"));
    CHECK(s.first<fetch_closed>().why == errc::bad_timestamp);
    CHECK(s.session.fetch("room", "video", 3, {}, s.now).has_value());
    s.settle();
    CHECK(s.tracks().size() == 3);
  }
}

TEST_CASE("a refused TRACK fails every subscription that waits for it") {
  for (const version v : with_track) {
    CAPTURE(facts(v).name);
    asker s(v);
    const auto a = s.subscribe({}, 0);
    const auto b = s.subscribe({}, 0);
    s.reset(s.tracks()[0], 0x33);
    REQUIRE(s.count<subscription_closed>() == 2);
    for (const auto& h : s.all<subscription_closed>()) {
      CHECK(std::get<subscription_closed>(h.what).why == errc::refused_by_peer);
      CHECK(std::get<subscription_closed>(h.what).code == 0x33);
    }
    CHECK((s.at(a).fin || s.at(a).reset));
    CHECK((s.at(b).fin || s.at(b).reset));
    CHECK(s.is_open());
  }
}

TEST_CASE("an end without TRACK_INFO and a second TRACK_INFO are faults of the stream R-117") {
  for (const version v : with_track) {
    CAPTURE(facts(v).name);
    asker cut(v);
    cut.subscribe({}, 0);
    cut.fin(cut.tracks()[0]);
    REQUIRE(cut.count<subscription_closed>() == 1);
    CHECK(cut.first<subscription_closed>().why == errc::stream_cut);
    CHECK(cut.is_open());
    asker twice(v);
    twice.subscribe({}, 0);
    twice.feed(twice.tracks()[0], info_hex(v, 5) + info_hex(v, 6));
    CHECK(twice.count<track_known>() == 1);
    CHECK(twice.first<track_known>().info.timescale == 5);
    CHECK(twice.at(twice.tracks()[0]).stop.has_value());
    CHECK(twice.count<subscription_closed>() == 0);
    CHECK(twice.is_open());
  }
}

TEST_CASE("TRACK without an answer is given up after a while") {
  for (const version v : with_track) {
    CAPTURE(facts(v).name);
    asker s(v);
    CHECK(s.session.query_track("room", "video", s.now).has_value());
    s.settle();
    s.wait(limits{}.request_timeout + seconds(1));
    REQUIRE(s.count<track_answered>() == 1);
    CHECK(s.first<track_answered>().why == errc::request_timeout);
    CHECK(s.at(s.tracks()[0]).stop == code(stream_code::control_timeout));
    CHECK(s.is_open());
  }
}

TEST_CASE("a bare question is answered with what the publisher said, or why not") {
  for (const version v : with_track) {
    CAPTURE(facts(v).name);
    pair p(v);
    track_cache video({.priority = 9, .max_age_ms = 123, .timescale = 48'000});
    p.server.react = [&](session& s, const event& e) {
      auto* r = std::get_if<track_requested>(&e);
      if (r == nullptr) return;
      CHECK((r->track == "video" ? s.serve(r->request, video) : s.reject(r->request, stream_code::not_found)) ==
            errc::ok);
    };
    p.start();
    p.run();
    CHECK(p.client.session.query_track("room", "video", p.net.now()).has_value());
    CHECK(p.client.session.query_track("room", "none", p.net.now()).has_value());
    p.run();
    REQUIRE(p.client.count<track_answered>() == 2);
    for (const auto& h : p.client.all<track_answered>()) {
      const auto& t = std::get<track_answered>(h.what);
      if (t.why == errc::ok)
        CHECK(t.info == msg::track_info{.priority = 9, .max_age_ms = 123, .timescale = 48'000});
      else
        CHECK((t.why == errc::refused_by_peer && t.code == 0x33));
    }
    CHECK(std::get<track_answered>(p.client.all<track_answered>()[0].what).why !=
          std::get<track_answered>(p.client.all<track_answered>()[1].what).why);
    CHECK(p.client.session.streams_held() == 0);
    CHECK(p.net.violations() == 0);
  }
}

TEST_CASE("no more tracks are remembered than allowed, and none is lost to who waits [seed 10.1 c]") {
  config c;
  c.caps.track_infos_max = 2;
  asker s(lite06, c);
  const auto ask = [&](std::string_view track) {
    CHECK(s.session.query_track("room", track, s.now).has_value());
    s.settle();
    const auto asked = s.tracks();
    if (!s.at(asked.back()).fin) s.feed(asked.back(), info_hex(lite06, 1000), true);
  };
  for (const std::string_view t : {"a", "b", "a", "b"}) ask(t);
  CHECK(s.tracks().size() == 2);
  ask("c");  // one of the two makes room
  CHECK(s.tracks().size() == 3);
  ask("c");
  CHECK(s.tracks().size() == 3);
  ask("a");
  ask("b");
  CHECK(s.tracks().size() >= 4);
  CHECK(s.count<track_answered>() == 8);
}
