/// Groups in datagrams (05, 06): at most 1200 bytes, now or never, delivered once.

#include <doctest/doctest.h>

#include "scripted.hpp"

using namespace moql;
using namespace testing;

namespace {

constexpr version with_datagrams[] = {lite05, lite06};
using numbers = std::vector<std::uint64_t>;

struct publisher : scripted {
  track_cache cache;
  std::uint64_t stream = 0;
  explicit publisher(version v, const config& c = {}, const track_options& o = {})
      : scripted(v, endpoint::server, c), cache(o) {
    serve_all(cache);
    stream = peer_subscribes({.max_age_ms = 100'000, .group_start = 0}, 5);
  }
  void send(std::uint64_t timestamp, std::string_view payload, sent_by how = sent_by::datagram) {
    CHECK(cache.write_datagram(timestamp, bytes::copy(payload), now, how) == errc::ok);
    settle();
  }
};

struct subscriber : scripted {
  std::uint64_t stream = 0;
  explicit subscriber(version v, const config& c = {}) : scripted(v, endpoint::client, c) {
    stream = subscribe({.want = {.group_start = 0}});
    say_ok(stream, 0);
  }
  void datagram_of(std::uint64_t sequence, std::string_view payload, std::uint64_t sub = 0, std::uint64_t time = 7) {
    const byte_view p(reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size());
    datagram(wire_hex(msg::datagram{sub, sequence, time, p}, ver));
  }
  numbers received() const {
    numbers out;
    for (const auto& h : all<datagram_received>()) out.push_back(std::get<datagram_received>(h.what).group);
    return out;
  }
};

}  // namespace

// ---- the publisher

TEST_CASE("a datagram carries id, group, timestamp and the payload to its end R-143 [seed 9.2]") {
  for (const version v : with_datagrams) {
    CAPTURE(facts(v).name);
    publisher p(v);
    p.send(93'000, "hi");
    CHECK(p.net.datagrams == std::vector<std::string>{"050080016b486869"});
    CHECK(p.groups().empty());
    p.send(0, "");
    CHECK(p.net.datagrams.back() == "050100");
    CHECK(p.out(p.stream) == "000100");  // the start is resolved like any other
  }
}

TEST_CASE("a datagram of 1200 bytes goes out, one of 1201 does not, nor does its group by stream R-143 [seed 9.2 b]") {
  for (const version v : with_datagrams) {
    CAPTURE(facts(v).name);
    publisher p(v);
    p.send(1, std::string(1197, 'x'));
    REQUIRE(p.net.datagrams.size() == 1);
    CHECK(p.net.datagrams[0].size() == 2 * 1200);
    p.send(1, std::string(1198, 'x'));
    CHECK(p.net.datagrams.size() == 1);
    CHECK(p.groups().empty());
    CHECK(p.out(p.stream).ends_with(wire_hex(msg::subscribe_drop{1, 1, 0}, v)));
    p.net.datagram_max = 9000;
    p.send(1, std::string(1198, 'x'));  // whatever the path would carry
    CHECK(p.net.datagrams.size() == 1);
  }
}

TEST_CASE("a datagram goes out if the transport takes it now, and otherwise not at all R-143 R-147") {
  for (const version v : with_datagrams) {
    CAPTURE(facts(v).name);
    publisher p(v);
    p.net.datagram_max = 0;
    p.send(1, "x");
    p.net.datagram_max = 100;
    p.settle();
    CHECK(p.net.datagrams.empty());
    p.send(1, std::string(98, 'x'));  // 101 with its header
    CHECK(p.net.datagrams.empty());
    p.send(1, std::string(97, 'x'));
    CHECK(p.net.datagrams.size() == 1);
    CHECK(p.groups().empty());
    CHECK(p.out(p.stream).find(wire_hex(msg::subscribe_drop{0, 0, 0}, v)) != std::string::npos);
    CHECK(p.out(p.stream).find(wire_hex(msg::subscribe_drop{1, 1, 0}, v)) != std::string::npos);
  }
}

TEST_CASE("bindings 3 and 4 carry no datagrams R-143") {
  for (const version v : with_datagrams)
    for (const binding b : {binding::qmux_tls, binding::qmux_websocket}) {
      CAPTURE(facts(v).name);
      config c;
      c.over = b;
      publisher p(v, c);
      p.send(1, "x");
      p.send(2, "y", sent_by::both);
      CHECK(p.net.datagrams.empty());
      CHECK(p.groups().size() == 1);
      CHECK(p.group_of(p.groups()[0]).sequence == 1);
    }
  for (const binding b : {binding::quic, binding::webtransport}) {
    config c;
    c.over = b;
    publisher p(lite06, c);
    p.send(1, "x");
    CHECK(p.net.datagrams.size() == 1);
  }
}

TEST_CASE("only a whole group of one frame travels as a datagram R-143") {
  for (const version v : with_datagrams) {
    CAPTURE(facts(v).name);
    publisher p(v);
    CHECK(p.cache.begin_group(p.now, sent_by::both) == errc::ok);
    CHECK(p.cache.append(1, bytes::copy("a")) == errc::ok);
    p.settle();
    CHECK(p.net.datagrams.empty());  // it might get a second frame
    CHECK(p.cache.append(2, bytes::copy("b")) == errc::ok);
    CHECK(p.cache.end_group() == errc::ok);
    p.settle();
    CHECK(p.net.datagrams.empty());
    CHECK(p.groups().size() == 1);  // by stream only
    p.send(3, "c", sent_by::both);
    CHECK(p.net.datagrams.size() == 1);
    CHECK(p.groups().size() == 2);
  }
}

TEST_CASE("before 05 a group for a datagram goes by stream") {
  for (const version v : {lite01, lite02, lite03, lite04}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    p.send(1, "x");
    CHECK(p.net.datagrams.empty());
    CHECK(p.groups().size() == 1);
  }
}

TEST_CASE("every subscription gets its own copy under its own id R-143") {
  publisher p(lite06);
  p.peer_subscribes({.max_age_ms = 100'000}, 9);
  p.send(1, "x");
  std::sort(p.net.datagrams.begin(), p.net.datagrams.end());
  CHECK(p.net.datagrams == std::vector<std::string>{"05000178", "09000178"});
}

TEST_CASE("more datagrams at once than may wait are dropped, oldest kept [seed 10.1 c]") {
  config c;
  c.caps.datagrams_max = 4;
  publisher p(lite06, c);
  for (int i = 0; i < 10; ++i) CHECK(p.cache.write_datagram(1, bytes::copy("x"), p.now) == errc::ok);
  p.settle();
  CHECK(p.net.datagrams.size() == 4);
  CHECK(p.net.datagrams[3] == "05030178");
  CHECK(p.out(p.stream).ends_with(wire_hex(msg::subscribe_drop{4, 9, 0}, lite06)));
  CHECK(p.groups().empty());
}

// ---- the subscriber

TEST_CASE("a datagram is heard as a whole group R-143 [seed 9.2]") {
  for (const version v : with_datagrams) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    s.datagram_of(3, "hello", 0, 93'000);
    REQUIRE(s.count<datagram_received>() == 1);
    CHECK(s.all<datagram_received>()[0].payload == "hello");
    CHECK(s.first<datagram_received>().timestamp == 93'000);
    CHECK(s.first<datagram_received>().group == 3);
    CHECK(s.first<datagram_received>().subscription == s.last_subscription);
    s.datagram_of(4, "", 0, wire::varint_max);  // any timestamp is valid, and no payload
    CHECK(s.count<datagram_received>() == 2);
  }
}

TEST_CASE("a datagram that waits to be read counts as an event") {
  subscriber s(lite06);
  CHECK_FALSE(s.session.has_events());
  s.session.on_datagram(bytes::copy("x"), s.now);
  CHECK(s.session.has_events());
  s.settle();
  CHECK_FALSE(s.session.has_events());
}

TEST_CASE("a datagram of 1200 bytes is accepted, one of 1201 dropped silently R-144 [seed 9.2 b]") {
  for (const version v : with_datagrams) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    s.datagram_of(1, std::string(1197, 'x'));
    CHECK(s.received() == numbers{1});
    const std::size_t before = s.events.size();
    s.datagram_of(2, std::string(1198, 'x'));
    CHECK(s.events.size() == before);
    CHECK(s.is_open());
    s.datagram_of(2, "small");
    CHECK(s.received() == numbers{1, 2});
  }
}

TEST_CASE("a datagram for an unknown or ended subscription is dropped silently R-145 [seed 9.2 c]") {
  for (const version v : with_datagrams) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    std::size_t before = s.events.size();
    s.datagram_of(1, "x", 99);
    CHECK(s.events.size() == before);
    CHECK(s.session.unsubscribe(s.last_subscription) == errc::ok);
    s.settle();
    before = s.events.size();
    s.datagram_of(1, "x", 0);
    CHECK(s.events.size() == before);
    CHECK(s.is_open());
  }
}

TEST_CASE("a datagram that is none is dropped silently") {
  for (const version v : with_datagrams) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    const std::size_t before = s.events.size();
    for (const std::string_view bad : {"", "00", "0001", "00ff", "c000", "000140"}) s.datagram(bad);
    CHECK(s.events.size() == before);
    CHECK(s.is_open());
  }
  for (const version v : {lite01, lite04}) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    const std::size_t before = s.events.size();
    s.datagram("00010178");
    CHECK(s.events.size() == before);
    CHECK(s.is_open());
  }
}

TEST_CASE("a group that comes by stream and by datagram is delivered once, whichever is first R-146 [seed 9.2 d]") {
  for (const version v : with_datagrams) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    s.datagram_of(1, "x");
    const auto late = s.peer_group(1, {"x"});
    CHECK(s.at(late).stop.has_value());
    s.peer_group(2, {"y"});
    s.datagram_of(2, "y");
    s.peer_group(3, {"z"}, false);  // still arriving
    s.datagram_of(3, "z");
    CHECK(s.received() == numbers{1});
    CHECK(started_groups(s) == numbers{2, 3});
    CHECK(s.is_open());
  }
}

TEST_CASE("a datagram that comes twice is delivered once R-146") {
  for (const version v : with_datagrams) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    for (int i = 0; i < 3; ++i) s.datagram_of(1, "x");
    s.datagram_of(0, "earlier");
    CHECK(s.received() == numbers{1, 0});
  }
}

TEST_CASE("a datagram of a dropped group or past the end is not delivered R-146") {
  for (const version v : with_datagrams) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    s.feed(s.stream, wire_hex(msg::subscribe_drop{1, 1, 0}, v));
    s.datagram_of(1, "x");
    CHECK(s.received().empty());
    s.feed(s.stream, "010105");
    s.datagram_of(6, "x");
    CHECK(s.received().empty());
    s.datagram_of(4, "x");
    CHECK(s.received() == numbers{4});
  }
}

TEST_CASE("a datagram before TRACK_INFO is dropped, its timestamp means nothing yet R-121") {
  for (const version v : with_datagrams) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe({}, 0);
    s.say_ok(stream, 0);
    s.datagram("00010178");
    CHECK(s.count<datagram_received>() == 0);
    s.feed(s.ours(direction::bidi, 0x6)[0], wire_hex(msg::track_info{.timescale = 9}, v), true);
    s.datagram("00010178");
    CHECK(s.count<datagram_received>() == 1);
  }
}

TEST_CASE("datagrams count in the account of groups R-108 R-147") {
  for (const version v : with_datagrams) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    s.datagram_of(0, "a");
    s.datagram_of(2, "c");
    s.feed(s.stream, "010103", true);
    CHECK(s.count<subscription_closed>() == 0);
    s.wait(seconds(2));
    CHECK(losses(s) == "1-1:unaccounted ");
    CHECK(s.first<subscription_closed>().why == errc::ok);
  }
}

TEST_CASE("a lost datagram is not repeated on a stream, and the loss is accounted for R-147") {
  for (const version v : with_datagrams)
    for (const std::uint32_t percent : {0u, 40u, 100u}) {
      CAPTURE(facts(v).name);
      CAPTURE(percent);
      pair p(v, {.seed = 3, .datagram_loss_percent = percent, .datagram_duplicate_percent = 50});
      track_cache video({.max_age_ms = 100'000});
      p.server.react = [&](session& s, const event& e) {
        if (auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
        if (auto* r = std::get_if<track_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
      };
      p.start();
      p.run();
      put_group(video, 0, {"first"});
      const subscribe_options o{.want = {.max_age_ms = 100'000, .group_start = 0}};
      CHECK(p.client.session.subscribe("room", "video", o, p.net.now()).has_value());
      p.run();
      const auto streams = p.net.counters().streams_opened;
      for (std::uint64_t i = 1; i <= 50; ++i) {
        CHECK(video.write_datagram(i, bytes::copy("d"), p.net.now()) == errc::ok);
        p.run();
      }
      put_group(video, 51, {"last"});
      video.finish();
      p.run();
      p.wait(seconds(3));
      CHECK(p.net.counters().streams_opened == streams + 1);  // group 51
      const auto lost = p.net.counters().datagrams_lost;
      CHECK((lost == 0) == (percent == 0));
      CHECK(p.client.count<datagram_received>() == 50 - lost);
      std::uint64_t missed = 0;
      for (const auto& h : p.client.all<groups_lost>()) {
        const auto& l = std::get<groups_lost>(h.what);
        CHECK(l.how == loss::unaccounted);
        missed += l.last - l.first + 1;
      }
      CHECK(missed == lost);
      CHECK(p.client.first<subscription_closed>().why == errc::ok);
      CHECK(p.net.violations() == 0);
    }
}

TEST_CASE("a group whose datagram never comes holds up nothing newer R-143 R-147 [seed 9.2]") {
  for (const version v : with_datagrams) {
    CAPTURE(facts(v).name);
    publisher p(v, {}, {.overlapping = true});
    REQUIRE(p.cache.begin_group(0, p.now, sent_by::datagram) == errc::ok);
    p.settle();
    CHECK(p.net.datagrams.empty());  // it may still come
    REQUIRE(p.cache.begin_group(1, p.now, sent_by::datagram) == errc::ok);
    REQUIRE(p.cache.append(1, 7, bytes::copy("hi")) == errc::ok);
    REQUIRE(p.cache.end_group(1) == errc::ok);
    p.settle();
    CHECK(p.net.datagrams == std::vector<std::string>{"0501076869"});
  }
}
