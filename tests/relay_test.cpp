/// The relay: seed rows 2.4.2, 5.1, 5.2, 5.2.1, 5.3; draft 06 sections 5.1.1.1, 5.1.1.2 and 6.

#include <doctest/doctest.h>

#include "pair.hpp"
#include "watcher.hpp"

using namespace testing;
using moql::lite04;
using moql::lite06;

TEST_CASE("what one peer announces another is shown, and a track passes through [seed 5.1]") {
  for (const moql::version up : versions)
    for (const moql::version down : versions) {
      CAPTURE(moql::facts(up).name);
      CAPTURE(moql::facts(down).name);
      world w;
      relay_party r({.hop = 20});
      video_publisher p;
      subscriber_party s;
      w.connect(p, r, up);
      auto& x = w.connect(s, r, down);
      w.run();
      REQUIRE(s.paths.contains("room/alice"));
      (void)x.client.session.subscribe("room/alice", "video", {.want = {.priority = 3, .max_age_ms = 60'000}}, w.now());
      w.run();
      p.group("video", 0, {"a", "b", "c"}, w.now());
      w.run();
      p.group("video", 1, {"d", std::string(5000, 'e')}, w.now());
      w.run();
      CHECK(s.whole() == std::vector<std::uint64_t>{0, 1});
      CHECK(s.text(0) == "abc");
      CHECK(s.text(1) == "d" + std::string(5000, 'e'));
      CHECK(s.repeated == 0);
      CHECK(r.core.readers() == 1);
      CHECK(r.core.sources() == 1);
    }
}

namespace {

/// Allows or refuses everything of one kind.
struct gate {
  bool is_open = true;
  moql::relay_action refused{};
  int asked = 0;
  [[nodiscard]] moql::relay_hooks hooks() {
    return {.context = this,
            .allows = [](void* c, moql::peer_id, moql::relay_action a, std::string_view, std::string_view) noexcept {
              auto* g = static_cast<gate*>(c);
              ++g->asked;
              return g->is_open || a != g->refused;
            }};
  }
};

/// Notes what its track was last asked for with.
struct spy : video_publisher {
  using video_publisher::video_publisher;
  moql::msg::delivery newest{};
  void on_event(moql::session& s, const moql::event& e, moql::instant now) override {
    if (const auto* u = std::get_if<moql::subscribe_updated>(&e)) newest = u->want;
    if (const auto* u = std::get_if<moql::subscribe_requested>(&e)) newest = u->want;
    video_publisher::on_event(s, e, now);
  }
};

}  // namespace

// ---- 2.4.2 Scope

TEST_CASE("the same path and name in two scopes keep two caches and two upstream subscriptions [seed 2.4.2 a]") {
  one_relay w;
  video_publisher one;
  video_publisher two;
  watcher b;
  w.r.joining.scope = 1;
  w.connect(one, w.r, lite06);
  w.a.join(w, w.r, lite06);
  w.r.joining.scope = 2;
  w.connect(two, w.r, lite06);
  b.join(w, w.r, lite06);
  one.group("video", 0, {"of one"}, w.now());
  two.group("video", 0, {"of two"}, w.now());
  w.run();
  w.a.subscribe(w, "room/alice", "video");
  b.subscribe(w, "room/alice", "video");
  w.run();
  CHECK(w.a.who.text(0) == "of one");
  CHECK(b.who.text(0) == "of two");
  CHECK(w.r.core.tracks() == 2);
  CHECK(w.r.core.sources() == 2);
  CHECK(one.subscriptions["video"] == 1);
  CHECK(two.subscriptions["video"] == 1);
}

TEST_CASE("two sessions put into one scope share its tracks; without a scope each is alone [seed 2.4.2 b]") {
  for (const bool is_shared : {true, false}) {
    CAPTURE(is_shared);
    one_relay w;
    if (!is_shared) w.r.joining.scope.reset();
    video_publisher p;
    watcher b;
    w.connect(p, w.r, lite06);
    w.a.join(w, w.r, lite06);
    b.join(w, w.r, lite06);
    p.group("video", 0, {"x"}, w.now());
    w.run();
    CHECK(w.a.who.paths.contains("room/alice") == is_shared);
    w.a.subscribe(w, "room/alice", "video");
    b.subscribe(w, "room/alice", "video");
    w.run();
    CHECK(w.r.core.tracks() == (is_shared ? 1 : 0));
    CHECK(p.subscriptions["video"] == (is_shared ? 1 : 0));
    if (!is_shared) {
      REQUIRE(w.a.who.closed.size() == 1);
      CHECK(w.a.who.closed[0].code == code(moql::stream_code::unroutable));
    }
  }
}

TEST_CASE("closing a session drops what its scope had from it and nothing of another [seed 2.4.2 c]") {
  one_relay w({.hop = 20, .linger = moql::duration{0}});
  video_publisher one(0);
  video_publisher two(0);
  watcher b;
  w.r.joining.scope = 1;
  auto& first = w.connect(one, w.r, lite06);
  w.a.join(w, w.r, lite06);
  w.r.joining.scope = 2;
  w.connect(two, w.r, lite06);
  b.join(w, w.r, lite06);
  w.run();
  w.a.subscribe(w, "room/alice", "video");
  b.subscribe(w, "room/alice", "video");
  w.run();
  world::cut(first);
  w.wait(moql::seconds(1));
  CHECK(w.r.core.table().find(1, "room/alice") == std::nullopt);
  CHECK(w.r.core.table().find(2, "room/alice") != std::nullopt);
  CHECK(w.a.who.closed.size() == 1);
  CHECK(b.who.closed.empty());
  CHECK(w.r.core.tracks() == 1);
  two.group("video", 5, {"still"}, w.now());
  w.run();
  CHECK(b.who.text(5) == "still");
}

// ---- 5.1 Subscriber interactions

TEST_CASE("a hundred subscribers are one upstream subscription, which ends with the last of them [seed 5.1 a]") {
  world w;
  relay_party r({.hop = 20});
  video_publisher p;
  w.connect(p, r, lite06);
  std::vector<std::unique_ptr<watcher>> all;
  for (int i = 0; i < 100; ++i) {
    all.push_back(std::make_unique<watcher>());
    all.back()->join(w, r, versions[static_cast<std::size_t>(i) % 6]);
  }
  w.run();
  for (const auto& a : all) a->subscribe(w, "room/alice", "video");
  w.run();
  p.group("video", 0, {"to all"}, w.now());
  w.run();
  for (const auto& a : all) CHECK(a->who.text(0) == "to all");
  CHECK(p.subscriptions["video"] == 1);
  CHECK(p.live == 1);
  CHECK(r.core.readers() == 100);
  for (std::size_t i = 0; i < 100; ++i) {
    CHECK(p.live == 1);
    (void)all[i]->session().unsubscribe(all[i]->id);
    w.run();
  }
  CHECK(p.live == 0);
  CHECK(r.core.tracks() == 0);
  CHECK(r.core.sources() == 0);
  const moql::relay_counters& n = r.core.counters();
  CHECK(n.readers_opened == n.readers_closed);
  CHECK(n.sources_opened == n.sources_closed);
  CHECK(n.tracks_opened == n.tracks_closed);
}

TEST_CASE("R-092 an upstream refusal resets everyone who waits, with a mapped code [seed 5.1 b]") {
  const auto refusal = [](moql::version up, moql::stream_code said) {
    one_relay w;
    video_publisher p;
    p.refuses = said;
    w.connect(p, w.r, up);
    watcher b;
    w.a.join(w, w.r, lite06);
    b.join(w, w.r, lite04);
    w.run();
    w.a.subscribe(w, "room/alice", "video");
    b.subscribe(w, "room/alice", "video");
    w.run();
    REQUIRE(w.a.who.closed.size() == 1);
    REQUIRE(b.who.closed.size() == 1);
    CHECK(w.a.who.closed[0].why == moql::errc::refused_by_peer);
    CHECK(w.a.who.closed[0].code == b.who.closed[0].code);
    CHECK(w.r.core.tracks() == 0);
    return static_cast<moql::stream_code>(w.a.who.closed[0].code);
  };
  CHECK(refusal(lite06, moql::stream_code::not_found) == moql::stream_code::not_found);
  CHECK(refusal(lite06, moql::stream_code::unauthorized) == moql::stream_code::unauthorized);
  CHECK(refusal(lite06, moql::stream_code::no_capacity) == moql::stream_code::unroutable);
  CHECK(refusal(lite06, static_cast<moql::stream_code>(0x77)) == moql::stream_code::internal_error);
  CHECK(refusal(lite04, static_cast<moql::stream_code>(0x30)) == moql::stream_code::not_found);
}

TEST_CASE("a late joiner gets what is cached and within its age, then live, without a gap or a repeat [seed 5.1 c]") {
  for (const moql::version down : {lite04, moql::lite05, lite06}) {
    CAPTURE(moql::facts(down).name);
    one_relay w;
    video_publisher p(7, {.max_age_ms = 60'000});
    w.connect(p, w.r, lite06);
    watcher late;
    w.a.join(w, w.r, lite06);
    late.join(w, w.r, down);
    w.run();
    w.subscribe();
    for (std::uint64_t g = 0; g < 6; ++g) {
      p.group("video", g, {"g" + std::to_string(g)}, w.now());
      w.wait(moql::seconds(1));
    }
    // Timestamps run one second a group: at 5 the reach of 2 is where 3 began, two seconds ago.
    moql::msg::delivery want{.priority = 3, .max_age_ms = 2500};
    if (down != lite06) want.group_start = 3;
    late.subscribe(w, "room/alice", "video", want);
    w.run();
    p.group("video", 6, {"g6"}, w.now());
    w.run();
    CHECK(late.who.whole() == (down == lite06 ? numbers{2, 3, 4, 5, 6} : numbers{3, 4, 5, 6}));
    CHECK(late.who.repeated == 0);
    CHECK(w.a.who.whole() == numbers{0, 1, 2, 3, 4, 5, 6});
    CHECK(p.subscriptions["video"] == 1);
  }
}

TEST_CASE("what is not allowed is refused as unauthorised and asks nothing of upstream [seed 5.1 d]") {
  for (const moql::relay_action what :
       {moql::relay_action::subscribe, moql::relay_action::fetch, moql::relay_action::query}) {
    gate g;
    g.is_open = false;
    g.refused = what;
    one_relay w({.hop = 20, .hooks = g.hooks()});
    video_publisher p;
    p.group("video", 0, {"x"}, w.now());
    w.connect(p, w.r, lite06);
    w.join();
    if (what == moql::relay_action::subscribe) {
      (void)w.a.session().subscribe("room/alice", "video", {.want = everything, .skip_track_info = true}, w.now());
    } else if (what == moql::relay_action::fetch) {
      (void)w.a.session().fetch("room/alice", "video", 0, {}, w.now());
    } else {
      (void)w.a.session().query_track("room/alice", "video", w.now());
    }
    std::uint64_t answered = 0;
    w.a.who.react = [&](moql::session&, const moql::event& e) {
      if (const auto* t = std::get_if<moql::track_answered>(&e)) answered = t->code;
    };
    w.run();
    if (what == moql::relay_action::subscribe) {
      REQUIRE(w.a.who.closed.size() == 1);
      answered = w.a.who.closed[0].code;
    }
    if (what == moql::relay_action::fetch) {
      REQUIRE(w.a.who.fetches_closed.size() == 1);
      answered = w.a.who.fetches_closed[0].code;
    }
    CHECK(answered == code(moql::stream_code::unauthorized));
    CHECK(w.r.core.sources() == 0);
    CHECK(p.subscriptions["video"] == 0);
    CHECK(w.r.core.counters().requests_refused == 1);
  }
}

TEST_CASE("a broadcast that may not be announced is shown to nobody [seed 5.2]") {
  gate g;
  g.is_open = false;
  g.refused = moql::relay_action::announce;
  one_relay w({.hop = 20, .hooks = g.hooks()});
  video_publisher p;
  w.connect(p, w.r, lite06);
  w.join();
  CHECK(w.a.who.paths.empty());
  CHECK(w.r.core.counters().routes_refused == 1);
}

TEST_CASE("R-091 NO_CAPACITY is answered by one more try with another advertiser, and no third [seed 5.1]") {
  one_relay w;
  video_publisher one(7);
  video_publisher two(8);
  video_publisher three(9);
  for (publisher_party* p : {&one, &two, &three}) {
    p->group("video", 0, {"x"}, w.now());
    p->refuses = moql::stream_code::no_capacity;
    w.connect(*p, w.r, lite06);
  }
  w.watch();
  CHECK(one.subscriptions["video"] + two.subscriptions["video"] + three.subscriptions["video"] == 2);
  REQUIRE(w.a.who.closed.size() == 1);
  CHECK(w.a.who.closed[0].code == code(moql::stream_code::unroutable));
  CHECK(w.r.core.counters().retries == 2);  // one for SUBSCRIBE, one for TRACK

  // nothing of that is remembered. The first to be asked refuses again, the second takes it.
  one.refuses.reset();
  two.refuses.reset();
  w.subscribe();
  CHECK(w.a.who.text(0) == "x");
}

TEST_CASE("R-085 R-089 a refusal in the longest prefix tier does not lead to a shorter prefix [seed 5.1]") {
  one_relay w;
  publisher_party wide("room", 7);
  publisher_party narrow("room/alice", 8);
  wide.group("video", 0, {"wide"}, w.now());
  narrow.refuses = moql::stream_code::no_capacity;
  w.connect(wide, w.r, lite06);
  w.connect(narrow, w.r, lite06);
  w.watch();
  CHECK(wide.subscriptions["video"] == 0);
  CHECK(narrow.subscriptions["video"] == 1);
  REQUIRE(w.a.who.closed.size() == 1);
  // a path that was merely resolved is not announced.
  w.a.subscribe(w, "room/bob", "video");
  w.run();
  CHECK(w.a.who.text(0) == "wide");
  CHECK_FALSE(w.a.who.paths.contains("room/bob"));
}

TEST_CASE("R-175 upstream is asked with the publisher's priority, or with the highest [seed 4.1]") {
  for (const auto which : {moql::upstream_priority::publisher, moql::upstream_priority::highest}) {
    one_relay w({.hop = 20, .priority = which});
    spy p(7, {.priority = 77});
    w.connect(p, w.r, lite06);
    watcher b;
    w.a.join(w, w.r, lite06);
    b.join(w, w.r, lite06);
    w.run();
    w.a.subscribe(w, "room/alice", "video", {.priority = 10, .max_age_ms = 1000});
    b.subscribe(w, "room/alice", "video", {.priority = 200, .max_age_ms = 1000});
    w.run();
    CHECK(p.newest.priority == (which == moql::upstream_priority::publisher ? 77 : 200));
  }
}

TEST_CASE("upstream is asked for what all readers want together, more at once and less after a moment [seed 5.1]") {
  one_relay w({.hop = 20, .priority = moql::upstream_priority::highest});
  spy p;
  w.connect(p, w.r, lite06);
  watcher b;
  w.a.join(w, w.r, lite06);
  b.join(w, w.r, moql::lite05);
  w.run();
  w.a.subscribe(w, "room/alice", "video", {.priority = 1, .max_age_ms = 1000, .group_start = 5, .group_end = 9});
  w.run();
  CHECK(p.newest == moql::msg::delivery{.priority = 1, .max_age_ms = 1000, .group_start = 5, .group_end = 9});
  b.subscribe(w, "room/alice", "video", {.priority = 2, .ordered = true, .max_age_ms = 500});
  w.run();
  // Ordered is not passed on: 06 has no such field, and whoever reads orders for himself [seed 4.2 d].
  CHECK(p.newest == moql::msg::delivery{.priority = 2, .max_age_ms = 1000, .group_start = 0});
  (void)b.session().unsubscribe(b.id);
  w.wait(moql::seconds(5));
  CHECK(p.newest == moql::msg::delivery{.priority = 1, .max_age_ms = 1000, .group_start = 5, .group_end = 9});
}
