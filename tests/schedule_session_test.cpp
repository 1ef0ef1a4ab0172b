/// Shares, priority and control under load, as a session and a pair of sessions show them.

#include <doctest/doctest.h>

#include <map>

#include "scripted.hpp"

using namespace moql;
using namespace testing;

namespace {

/// A publisher of two tracks of equal priority, `a` with Subscribe ID 0 and `b` with 1, both from group 0.
struct equals : scripted {
  std::map<std::string, track_cache> caches;

  explicit equals(version v) : scripted(v, endpoint::server) {
    react = [this](moql::session& s, const event& e) {
      if (auto* r = std::get_if<subscribe_requested>(&e)) {
        if (s.serve(r->request, caches.at(std::string(r->track))) != errc::ok) FAIL("not served");
      }
    };
    net.room = 0;
    for (const char* track : {"a", "b"}) {
      caches.try_emplace(track, track_options{.max_age_ms = 1'000'000, .bytes_max = 1u << 30});
      peer_subscribes({.priority = 5, .max_age_ms = 1'000'000, .group_start = 0}, track[0] == 'a' ? 0 : 1, track);
    }
  }
};

template <class M>
void check_octet(M m, std::uint8_t M::*priority, version v) {
  m.*priority = 100;
  const std::string low = wire_hex(m, v);
  m.*priority = 200;
  const std::string high = wire_hex(m, v);
  REQUIRE(low.size() == high.size());
  std::string with_c8 = low;
  const std::size_t at = low.find("64");
  REQUIRE(at != std::string::npos);
  with_c8.replace(at, 2, "c8");
  CHECK(high == with_c8);
}

}  // namespace

// ---- equals

TEST_CASE("equal tracks get equal bytes, however different their writes are R-166 [seed 4.1 c]") {
  for (const version v : {lite04, lite06}) {
    CAPTURE(facts(v).name);
    equals p(v);
    for (auto& [name, cache] : p.caches) {
      REQUIRE(cache.begin_group(0, p.now) == errc::ok);
      for (int i = 0; i < 300; ++i) REQUIRE(cache.append(0, 1, bytes::copy(std::string(10'000, 'x'))) == errc::ok);
    }
    p.settle();
    p.net.log.clear();
    // Room comes in turns of 40 and 4,000 bytes: whoever takes turns by write gets the same ones all the time.
    for (int i = 0; i < 1'000; ++i) p.give_room(i % 2 == 0 ? 40 : 4'000);
    std::map<std::uint64_t, std::size_t> sent;
    bool close = true;
    for (const auto& [stream, n] : p.net.log) {
      sent[p.group_of(stream).subscribe_id] += n;
      close = close && (sent[0] > sent[1] ? sent[0] - sent[1] : sent[1] - sent[0]) <= 4'000;
    }
    CHECK(close);
    CHECK(sent[0] + sent[1] == 500 * 4'040);
  }
}

TEST_CASE("equal tracks take turns at streams when those are few R-166 [seed 4.1 c]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    equals p(v);
    p.net.uni_credit = 0;
    p.net.room = SIZE_MAX;
    for (auto& [name, cache] : p.caches)
      for (std::uint64_t g = 0; g < 20; ++g) put_group(cache, g, {"x"}, {}, g);
    p.settle();
    std::map<std::uint64_t, int> opened;
    for (int i = 0; i < 20; ++i) {
      p.give_streams(1);
      REQUIRE(p.groups().size() == static_cast<std::size_t>(i) + 1);
    }
    for (const auto id : p.groups()) ++opened[p.group_of(id).subscribe_id];
    CHECK(opened[0] == 10);
    CHECK(opened[1] == 10);
  }
}

// ---- control under load

TEST_CASE("an endless flood of priority 255 does not hold up SUBSCRIBE_OK, TRACK_INFO or an end R-126 [seed 4.1 d]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted p(v, endpoint::server);
    track_cache flood({.priority = 255, .max_age_ms = 1'000'000, .bytes_max = 1u << 30}), late({.priority = 0});
    put_group(late, 7, {"late"}, {}, 0, false);
    p.react = [&](moql::session& s, const event& e) {
      if (auto* r = std::get_if<subscribe_requested>(&e)) (void)s.serve(r->request, r->track == "late" ? late : flood);
      if (auto* r = std::get_if<track_requested>(&e)) (void)s.serve(r->request, late);
    };
    p.net.room = 0;
    p.peer_subscribes({.priority = 255, .max_age_ms = 1'000'000, .group_start = 0}, 0, "flood");
    std::uint64_t next = 0;
    const auto more = [&] {  // ten times what there is room for
      for (int i = 0; i < 10; ++i, ++next) put_group(flood, next, {std::string(1000, 'x')}, {}, next);
      p.give_room(1000);
    };
    for (int i = 0; i < 20; ++i) more();
    p.net.log.clear();
    const auto ok_on = p.peer_subscribes({.priority = 0}, 1, "late");
    CHECK(p.out(ok_on) != "");
    const auto info_on = has_track_stream(v) ? p.peer_opens(direction::bidi, "060a04726f6f6d046c617465", true) : 0;
    if (info_on != 0) CHECK(p.at(info_on).fin);
    for (int i = 0; i < 20; ++i) more();
    CHECK(p.groups().size() > 20);
    CHECK(p.stream_of(7, 1) == ~std::uint64_t{0});  // the group itself does wait
    REQUIRE(p.net.log.size() > 20);
    CHECK(p.net.log[0].first == ok_on);
    if (info_on != 0) CHECK(p.net.log[1].first == info_on);
    p.fin(ok_on);
    CHECK(p.at(ok_on).fin);
    CHECK(p.is_open());
  }
}

TEST_CASE("on the wire a priority is one octet from 03 on: 200 is c8 [seed 4.1 d]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    msg::subscribe s{0, "room", "video", {.priority = 200}};
    const std::string high = wire_hex(s, v);
    s.want.priority = 100;
    std::string low = wire_hex(s, v);
    const std::size_t at = low.find("64", low.find("766964656f") + 10);  // behind the name
    REQUIRE(at != std::string::npos);
    low.replace(at, 2, "c8");
    CHECK(high == low);
    CHECK(wire_hex(msg::subscribe_update{{.priority = 200}}, v).substr(2, 2) == "c8");
    if (msg::fetch::in.has(v))
      CHECK(wire_hex(msg::fetch{"room", "video", 200, 1}, v).find("05766964656fc8") != std::string::npos);
    if (has_track_stream(v)) check_octet(msg::track_info{.timescale = 1000}, &msg::track_info::priority, v);
    if (before(lite05).has(v)) check_octet(msg::subscribe_ok{}, &msg::subscribe_ok::priority, v);
  }
}

// ---- an update, end to end

TEST_CASE("SUBSCRIBE_UPDATE reorders groups that are already open, between two sessions R-166 [seed 4.1 b]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    testing::pair p(v);
    track_cache cache({.max_age_ms = 1'000'000});
    REQUIRE(cache.begin_group(0, {}) == errc::ok);
    REQUIRE(cache.append(0, 0, bytes::copy("x")) == errc::ok);
    p.server.react = [&](moql::session& s, const event& e) {
      if (auto* r = std::get_if<subscribe_requested>(&e)) (void)s.serve(r->request, cache);
      if (auto* r = std::get_if<track_requested>(&e)) (void)s.serve(r->request, cache);
    };
    p.start();
    p.run();
    std::vector<subscription_id> subs;
    for (const std::uint8_t priority : {std::uint8_t{5}, std::uint8_t{6}}) {
      const auto id = p.client.session.subscribe("room", "video", {.want = {.priority = priority}}, p.net.now());
      REQUIRE(id);
      subs.push_back(*id);
    }
    p.run();
    REQUIRE(p.client.count<frame_part>() == 2);
    const auto first_of_next = [&] {
      p.client.events.clear();
      REQUIRE(cache.append(0, 1, bytes::copy("y")) == errc::ok);
      p.run();
      REQUIRE(p.client.count<frame_part>() == 2);
      return p.client.first<frame_part>().subscription;
    };
    CHECK(first_of_next() == subs[1]);
    REQUIRE(p.client.session.update(subs[0], {.priority = 200}) == errc::ok);
    p.run();
    CHECK(first_of_next() == subs[0]);
    REQUIRE(p.client.session.update(subs[1], {.priority = 201}) == errc::ok);
    p.run();
    CHECK(first_of_next() == subs[1]);
  }
}

// ---- order across versions

TEST_CASE("the hints of a track's groups follow its order, also when an update changes it R-167 R-168 [seed 4.2 b]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted p(v, endpoint::server);
    track_cache cache({.max_age_ms = 1'000'000});
    p.serve_all(cache);
    msg::delivery want{.ordered = true, .max_age_ms = 1'000'000, .group_start = 0};
    const auto stream = p.peer_subscribes(want);
    p.net.room = 0;  // they stay open
    for (std::uint64_t g = 0; g < 3; ++g) {
      put_group(cache, g, {"x"}, {}, g);
      p.settle();
    }
    const auto newest_first = [&] {
      std::vector<std::int32_t> hints;  // nothing is written yet: streams are told apart by when they were opened
      for (const auto& [id, s] : p.net.streams)
        if (s.is_ours && s.dir == direction::uni && s.out.empty()) hints.push_back(s.order);
      REQUIRE(hints.size() == 3);
      CHECK((hints[0] < hints[1]) == (hints[1] < hints[2]));
      CHECK(hints[0] != hints[1]);
      return hints[0] < hints[1];
    };
    CHECK(newest_first() == !has_ordered(v));
    want.ordered = false;
    p.feed(stream, wire_hex(msg::subscribe_update{want}, v));
    CHECK(newest_first());
  }
}

TEST_CASE("between 05 and 06 the order of groups is not carried: 0 is written and newest first served [seed 4.2 d]") {
  // What a relay does with a request: it subscribes upstream with what the subscriber wanted.
  const auto heard_by = [](version v, bool ordered) {
    scripted p(v, endpoint::server);
    p.peer_subscribes({.ordered = ordered, .max_age_ms = 1000});
    return p.first<subscribe_requested>().want;
  };
  const auto asked_on = [](version v, const msg::delivery& want) {
    scripted s(v, endpoint::client);
    return s.out(s.subscribe({.want = want}));
  };
  const msg::delivery plain{.max_age_ms = 1000};
  CHECK_FALSE(heard_by(lite06, true).ordered);
  const std::string bridged = asked_on(lite05, heard_by(lite06, true));
  CHECK(bridged == asked_on(lite05, heard_by(lite06, false)));
  CHECK(bridged.find("05766964656f"
                     "00"
                     "00"
                     "43e8") != std::string::npos);  // Priority, Ordered, Max Age
  CHECK(heard_by(lite05, true).ordered);
  CHECK(asked_on(lite06, heard_by(lite05, true)) == asked_on(lite06, plain));  // no octet, no trace
  CHECK(asked_on(lite05, heard_by(lite05, true)) != asked_on(lite05, plain));
  // TRACK_INFO the other way.
  const msg::track_info chosen{.ordered = true, .timescale = 1000}, left{.timescale = 1000};
  CHECK(wire_hex(chosen, lite06) == wire_hex(left, lite06));
  CHECK(wire_hex(chosen, lite05) != wire_hex(left, lite05));
}

TEST_CASE("a group without a stream goes before less urgent ones that have one, whatever was looked at first R-166") {
  scripted p(lite06, endpoint::server);
  track_cache idle({.max_age_ms = 1'000'000});
  track_cache urgent({.max_age_ms = 1'000'000});
  track_cache late({.max_age_ms = 1'000'000});
  p.react = [&](session& s, const event& e) {
    const auto of = [&](std::string_view name) -> track_cache& {
      return name == "idle" ? idle : name == "urgent" ? urgent : late;
    };
    if (const auto* r = std::get_if<subscribe_requested>(&e)) (void)s.serve(r->request, of(r->track));
  };
  (void)p.peer_subscribes({.priority = 200, .max_age_ms = 1'000'000}, 1, "idle");
  (void)p.peer_subscribes({.priority = 100, .max_age_ms = 1'000'000}, 2, "urgent");
  (void)p.peer_subscribes({.priority = 50, .max_age_ms = 1'000'000}, 3, "late");
  put_group(idle, 0, {"x"}, {}, 0, false);
  put_group(late, 0, {"x"}, {}, 0, false);
  p.settle();
  REQUIRE(p.groups().size() == 2);
  p.net.log.clear();
  REQUIRE(idle.drop_groups(7, 7) == errc::ok);  // looked at first, and there is nothing to write
  put_group(urgent, 0, {"x"});
  REQUIRE(late.append(0, 1, bytes::copy("y")) == errc::ok);
  p.settle();
  std::vector<std::uint64_t> order;  // by Subscribe ID
  for (const auto& [id, n] : p.net.log)
    if (p.at(id).dir == direction::uni) order.push_back(p.group_of(id).subscribe_id);
  CHECK(order == std::vector<std::uint64_t>{2, 3});
}
