/// What the mesh simulation found in the relay, each as a small story of its own: draft 06 sections 5.1.1.1 and 6.

#include <doctest/doctest.h>

#include <functional>

#include "scripted.hpp"
#include "watcher.hpp"

using namespace testing;
using moql::lite05;
using moql::lite06;
using moql::milliseconds;
using moql::seconds;

namespace {

/// A publisher that can take its announcements back.
struct flapper : publisher_party {
  using publisher_party::publisher_party;
  std::vector<std::pair<moql::session*, moql::announcement_id>> told;
  std::uint64_t cost = 0;
  void on_event(moql::session& s, const moql::event& e, moql::instant now) override {
    announces = false;
    if (std::holds_alternative<moql::connected>(e))
      if (const auto id = s.announce(path, {.hops = {}, .warm = cost, .cold = cost})) told.emplace_back(&s, *id);
    publisher_party::on_event(s, e, now);
  }
  void withdraw() {
    for (auto& [s, id] : told) (void)s->withdraw(id);
    told.clear();
  }
};

/// A relay that changes the way it is reached by.
struct rerouted : party {
  std::vector<std::uint64_t> hops{7};
  moql::announcement_id id{};
  moql::session* at = nullptr;
  moql::track_cache cache;
  void on_event(moql::session& s, const moql::event& e, moql::instant) override {
    if (std::holds_alternative<moql::connected>(e)) {
      at = &s;
      if (const auto got = s.announce("room", {.hops = hops})) id = *got;
    }
    if (const auto* q = std::get_if<moql::subscribe_requested>(&e)) (void)s.serve(q->request, cache);
    if (const auto* q = std::get_if<moql::track_requested>(&e)) (void)s.serve(q->request, cache);
  }
};

/// A relay with one above it, reached by `hops`, and one below it with hop 30.
struct between : world {
  relay_party r{{.hop = 20}};
  rerouted up;
  watcher down;
  explicit between(const std::vector<std::uint64_t>& hops, moql::version v = lite06) {
    up.hop = 8;
    up.hops = hops;
    put_group(up.cache, 0, {"x"});
    connect(up, r, v);
    down.who.hop = 30;
    down.join(*this, r, lite06);
    run();
  }
};

[[nodiscard]] moql::loopback_options slow(int ms) {
  return {.delay_min = milliseconds(ms), .delay_max = milliseconds(ms)};
}

}  // namespace

TEST_CASE("R-088 nobody joins a running track of another producer than the one that is announced") {
  world w;
  relay_party r({.hop = 20});
  flapper first("room", 7);
  flapper second("room", 8);
  first.cost = 5;
  first.group("video", 0, {"first"}, w.now());
  second.group("video", 0, {"second"}, w.now());
  w.connect(first, r, lite06);
  watcher old;
  watcher young;
  old.join(w, r, lite06);
  young.join(w, r, lite06);
  w.run();
  old.subscribe(w, "room", "video");
  w.run();
  CHECK(old.who.text(0) == "first");
  w.connect(second, r, lite06);
  w.run();
  REQUIRE(young.who.paths["room"] == numbers{8, 20});
  young.subscribe(w, "room", "video");
  w.run();
  CHECK(young.who.text(0) == "second");
  CHECK(r.core.tracks() == 2);
  first.group("video", 1, {"first again"}, w.now());
  second.group("video", 1, {"second again"}, w.now());
  w.run();
  CHECK(old.who.text(1) == "first again");
  CHECK(young.who.text(1) == "second again");
  // Both end with their readers.
  (void)old.session().unsubscribe(old.id);
  (void)young.session().unsubscribe(young.id);
  w.run();
  CHECK(r.core.tracks() == 0);
  CHECK(r.core.sources() == 0);
}

TEST_CASE("R-088 a source is left when its route turns out to be another producer's before it has answered") {
  world w;
  relay_party near({.hop = 20});
  relay_party far({.hop = 21});
  flapper first("room", 7);
  flapper other("room", 8);
  other.cost = 9;
  first.group("video", 0, {"first"}, w.now());
  other.group("video", 0, {"other"}, w.now());
  w.connect(first, near, lite06);
  w.connect(first, far, lite06);
  w.connect(other, far, lite06);
  w.connect(near, far, lite06, slow(20));
  watcher who;
  who.join(w, near, lite06);
  w.wait(milliseconds(200));
  who.subscribe(w, "room", "video");
  w.wait(milliseconds(200));
  REQUIRE(who.who.text(0) == "first");
  // Both relays hear at once that the first producer's path is gone; the near one still believes that the far one has
  // it, and asks there.
  first.withdraw();
  w.wait(milliseconds(10));
  other.group("video", 1, {"other again"}, w.now());
  w.wait(seconds(1));
  CHECK(who.who.text(1).empty());
  first.group("video", 1, {"first again"}, w.now());
  w.wait(seconds(1));
  CHECK(who.who.text(1) == "first again");
}

TEST_CASE("a chain of relays waits for another way once, and not once for each of them") {
  world w;
  flapper p("room", 7);
  std::vector<std::unique_ptr<relay_party>> chain;
  for (std::uint64_t i = 0; i < 4; ++i)
    chain.push_back(std::make_unique<relay_party>(moql::relay_options{.hop = 20 + i, .linger = seconds(2)}));
  p.group("video", 0, {"x"}, w.now());
  auto& line = w.connect(p, *chain[0], lite06);
  for (std::size_t i = 1; i < chain.size(); ++i) w.connect(*chain[i], *chain[i - 1], lite06, slow(1));
  watcher who;
  who.join(w, *chain.back(), lite06);
  w.wait(milliseconds(100));
  who.subscribe(w, "room", "video");
  w.wait(milliseconds(100));
  REQUIRE(who.who.text(0) == "x");
  world::cut(line);
  w.wait(milliseconds(1900));
  CHECK(who.who.closed.empty());
  w.wait(milliseconds(300));
  CHECK(who.who.closed.size() == 1);
}

TEST_CASE("R-088 R-091 a relay that waits is not handed the content of another producer than it was told of") {
  for (const bool is_relay : {false, true}) {
    CAPTURE(is_relay);
    world w;
    relay_party r({.hop = 20});
    flapper full("room", 7);
    flapper spare("room", 8);
    spare.cost = 5;
    full.refuses = moql::stream_code::no_capacity;
    spare.group("video", 0, {"spare"}, w.now());
    w.connect(full, r, lite06);
    w.connect(spare, r, lite06);
    watcher who;
    if (is_relay) who.who.hop = 30;
    who.join(w, r, lite06);
    w.run();
    REQUIRE(who.who.paths["room"] == numbers{7, 20});
    who.subscribe(w, "room", "video");
    w.run();
    CHECK(who.who.text(0) == (is_relay ? "" : "spare"));
    CHECK(who.who.closed.size() == (is_relay ? 1 : 0));
  }
}

TEST_CASE("R-091 relays that were refused and turn to one another do not wait for ever") {
  world w;
  std::vector<std::unique_ptr<relay_party>> ring;
  for (std::uint64_t i = 0; i < 4; ++i)
    ring.push_back(std::make_unique<relay_party>(moql::relay_options{.hop = 20 + i, .linger = seconds(2)}));
  for (std::size_t i = 0; i < 4; ++i) w.connect(*ring[i], *ring[(i + 1) % 4], lite06, slow(5));
  flapper p("room", 7);
  p.refuses = moql::stream_code::no_capacity;
  w.connect(p, *ring[0], lite06, slow(1));
  w.connect(p, *ring[2], lite06, slow(1));
  watcher one;
  watcher two;
  one.join(w, *ring[0], lite06);
  two.join(w, *ring[2], lite06);
  w.wait(milliseconds(200));
  one.subscribe(w, "room", "video");
  two.subscribe(w, "room", "video");
  w.wait(seconds(5));
  CHECK(one.who.closed.size() == 1);
  CHECK(two.who.closed.size() == 1);
  for (const auto& r : ring) CHECK(r->core.readers() == 0);
}

TEST_CASE("R-082 whoever has come to be on the way of a track is served by somebody else") {
  between w({7});
  w.down.subscribe(w, "room", "video");
  w.run();
  CHECK(w.r.core.readers() == 1);
  w.up.hops = {7, 30};
  (void)w.up.at->update(w.up.id, {.hops = w.up.hops});
  w.run();
  CHECK(w.r.core.readers() == 0);
  CHECK(w.down.who.closed.size() == 1);
}

namespace {

/// A relay whose three peers are played by hand: two that it may ask, and one that asks.
struct by_hand {
  moql::relay core{{.hop = 20}};
  scripted one{lite06, moql::endpoint::client, {.hop = 20}};
  scripted two{lite06, moql::endpoint::client, {.hop = 20}};
  scripted reader{lite06, moql::endpoint::client, {.hop = 20}};
  by_hand() {
    for (scripted* s : {&one, &two, &reader}) {
      const auto id = core.join(s->session, {.scope = 0}, s->now);
      REQUIRE(id);
      s->react = [this, id = *id, s](moql::session&, const moql::event& e) { core.on_event(id, e, s->now); };
    }
    settle();
  }
  void settle() {
    for (int i = 0; i < 3; ++i)
      for (scripted* s : {&one, &two, &reader}) s->settle();
  }
  /// `s` announces the broadcast "room" and says by what way it has it.
  std::uint64_t announce(scripted& s, std::uint64_t its_hop, std::span<const std::uint64_t> way) {
    const std::uint64_t on = s.ours(moql::direction::bidi, 0x1).at(0);
    s.feed(on, wire_hex(moql::msg::announce_ok{its_hop, 1}, lite06));
    s.feed(on, wire_hex(moql::msg::announce_start{.suffix = "room", .hops = {way}}, lite06));
    settle();
    return on;
  }
  /// Answers the TRACK that the relay sent to `s` last.
  void tell_track(scripted& s) {
    s.feed(s.ours(moql::direction::bidi, 0x6).back(),
           wire_hex(moql::msg::track_info{.max_age_ms = 5000, .timescale = 1000}, lite06), true);
    settle();
  }
  void accept(scripted& s, std::uint64_t start) {
    s.say_ok(s.ours(moql::direction::bidi, 0x2).back(), start);
    settle();
  }
};

}  // namespace

TEST_CASE("R-088 a group of another relay that overtakes its SUBSCRIBE_OK is not mixed into what is there") {
  for (const bool overtakes : {false, true}) {
    CAPTURE(overtakes);
    by_hand r;
    const std::uint64_t told = r.announce(r.one, 7, {});
    r.reader.peer_subscribes(everything);
    r.settle();
    r.tell_track(r.one);
    r.accept(r.one, 0);
    r.one.peer_group(0, {"first"});
    r.settle();
    REQUIRE(r.reader.groups().size() == 1);
    // The producer is heard of by way of another relay, and its own announcement ends.
    const std::uint64_t origin[] = {7};
    r.announce(r.two, 8, origin);
    r.one.feed(told, wire_hex(moql::msg::announce_end{.id = 1}, lite06));
    r.settle();
    REQUIRE(r.two.ours(moql::direction::bidi, 0x2).size() == 1);
    r.tell_track(r.two);
    if (!overtakes) r.accept(r.two, 1);
    const std::uint64_t stream = r.two.peer_group(1, {"of whom?"});
    r.settle();
    CHECK(r.two.at(stream).stop.has_value() == overtakes);
    CHECK(r.reader.groups().size() == (overtakes ? 1 : 2));
    // Once it has been said, everything goes on.
    if (overtakes) r.accept(r.two, 2);
    r.two.peer_group(2, {"second"});
    r.settle();
    CHECK(r.reader.out(r.reader.stream_of(2)).ends_with("7365636f6e64"));
  }
}

TEST_CASE("whoever waits for TRACK_INFO has it as soon as the track is known by way of a subscription [seed 5.2]") {
  by_hand r;
  r.announce(r.one, 7, {});
  // The question is passed on, and the one that was asked never answers.
  const std::uint64_t question =
      r.reader.peer_opens(moql::direction::bidi, "06" + wire_hex(moql::msg::track{"room", "video"}, lite06), true);
  r.settle();
  REQUIRE(r.one.ours(moql::direction::bidi, 0x6).size() == 1);
  CHECK(r.reader.out(question).empty());
  // By a better way the track becomes known.
  r.announce(r.two, 7, {});
  r.reader.peer_subscribes(everything);
  r.settle();
  REQUIRE(r.two.ours(moql::direction::bidi, 0x6).size() == 1);
  r.tell_track(r.two);
  r.accept(r.two, 0);
  CHECK(!r.reader.out(question).empty());
  CHECK(r.reader.at(question).fin);
}

TEST_CASE("a better way that is heard of while the first source has not answered is taken once it has [seed 5.2.1]") {
  world w;
  relay_party r({.hop = 20});
  relay_party q({.hop = 30});
  video_publisher p;
  moql::config dear;
  dear.cost = 10;
  w.connect(p, r, lite06, slow(50), dear);
  w.connect(p, q, lite06);
  watcher a;
  a.join(w, r, lite06);
  w.wait(milliseconds(300));
  a.subscribe(w, "room/alice", "video");
  w.wait(milliseconds(10));
  w.connect(q, r, lite06);
  w.wait(milliseconds(20));
  REQUIRE(a.who.paths["room/alice"] == numbers{7, 30, 20});  // the better way is known, and the answer is not there yet
  CHECK(q.core.sources() == 0);
  w.wait(seconds(10));
  CHECK(q.core.sources() == 1);
  CHECK(r.core.sources() == 1);
  p.group("video", 0, {"x"}, w.now());
  w.wait(seconds(1));
  CHECK(a.who.text(0) == "x");
}

TEST_CASE("R-082 who is not on the way any more is served again, also when the way was withdrawn and announced anew") {
  between w({7, 30});
  watcher other;
  other.join(w, w.r, lite06);
  w.run();
  other.subscribe(w, "room", "video");
  w.run();
  CHECK(w.r.core.readers() == 1);
  (void)w.up.at->withdraw(w.up.id);
  w.run();
  w.up.hops = {7};
  w.up.id = *w.up.at->announce("room", {.hops = w.up.hops});
  w.run();
  REQUIRE(w.down.who.paths["room"] == numbers{7, 8, 20});
  w.down.subscribe(w, "room", "video");
  w.run();
  CHECK(w.down.who.closed.empty());
  CHECK(w.r.core.readers() == 2);
  CHECK(w.r.core.sources() == 1);
}

TEST_CASE("R-079 another way, which up to 04 is told as an end and a start, is one update further on") {
  for (const moql::version v : {moql::lite04, moql::lite05, lite06}) {
    CAPTURE(moql::facts(v).name);
    between w({7}, v);
    CHECK(w.down.who.starts == 1);
    w.up.hops = {7, 9};
    (void)w.up.at->update(w.up.id, {.hops = w.up.hops});
    w.run();
    CHECK(w.down.who.paths["room"] == numbers{7, 9, 8, 20});
    CHECK(w.down.who.starts == 1);
    CHECK(w.down.who.updates == 1);
    CHECK(w.down.who.ends == 0);
    // A real end is told.
    (void)w.up.at->withdraw(w.up.id);
    w.run();
    CHECK(w.down.who.ends == 1);
    CHECK(w.r.core.table().route_count() == 0);
  }
}

TEST_CASE("R-088 R-118 a track without groups whose properties were told does not go on from another producer") {
  world w;
  relay_party r({.hop = 20});
  flapper first("room", 7);
  flapper other("room", 8);
  other.cost = 5;
  first.track("video");
  other.group("video", 0, {"other"}, w.now());
  auto& line = w.connect(first, r, lite06);
  w.connect(other, r, lite06);
  watcher a;
  a.join(w, r, lite06);
  w.run();
  a.subscribe(w, "room", "video");
  w.run();
  REQUIRE(a.who.info.has_value());
  world::cut(line);
  w.wait(seconds(1));
  CHECK(a.who.groups.empty());
  CHECK(a.who.closed.size() == 1);
}
