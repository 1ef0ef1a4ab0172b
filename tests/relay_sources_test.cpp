/// Where a relay's tracks come from, and how they go on when that changes: seed rows 5.2, 5.2.1, 5.3; draft 06
/// sections 5.1.1.1, 5.1.1.2 and 7.6.

#include <doctest/doctest.h>

#include "scripted.hpp"
#include "watcher.hpp"

using namespace testing;
using moql::lite04;
using moql::lite05;
using moql::lite06;

namespace {

/// And a publisher, whose track the subscriber has asked for.
struct one_track : one_relay {
  video_publisher p;
  connection& up;
  explicit one_track(moql::version from, moql::version to = lite06) : up(connect(p, r, from)) { watch(to); }
};

/// Writes the same groups wherever a broadcast is produced, as two encoders of one source or one on two networks do.
void same_group(std::initializer_list<publisher_party*> all, std::uint64_t g, moql::instant now) {
  for (publisher_party* p : all) p->group("video", g, {"g" + std::to_string(g), "rest of it"}, now);
}
[[nodiscard]] std::string text_of_group(std::uint64_t g) { return "g" + std::to_string(g) + "rest of it"; }

/// What a subscriber behind two relays, 20 and 30, is told of the way to a publisher.
[[nodiscard]] numbers hops_behind_two(std::uint64_t its_hop, moql::version first, moql::version second,
                                      moql::version third) {
  world w;
  relay_party r({.hop = 20});
  relay_party q({.hop = 30});
  video_publisher p(its_hop);
  subscriber_party a;
  w.connect(p, r, first);
  w.connect(r, q, second);
  w.connect(a, q, third);
  w.run();
  REQUIRE(a.paths.contains("room/alice"));
  return a.paths["room/alice"];
}

}  // namespace

// ---- 5.2 Publisher interactions

TEST_CASE(
    "R-080 R-081 a path with our own hop is discarded, one with the subscriber's is not shown to it [seed 5.2 b]") {
  for (const moql::version v : {lite04, lite05, lite06}) {
    CAPTURE(moql::facts(v).name);
    world w;
    relay_party r({.hop = 20});
    struct liar : party {
      std::vector<std::uint64_t> hops;
      void on_event(moql::session& s, const moql::event& e, moql::instant) override {
        if (std::holds_alternative<moql::connected>(e)) (void)s.announce("room/alice", {.hops = hops});
      }
    } p;
    p.hop = 7;
    p.hops = {5, 30};
    w.connect(p, r, v);
    subscriber_party thirty;
    subscriber_party forty;
    thirty.hop = 30;
    forty.hop = 40;
    w.connect(thirty, r, v);
    w.connect(forty, r, v);
    w.run();
    CHECK(thirty.paths.empty());
    REQUIRE(forty.paths.contains("room/alice"));
    CHECK(forty.paths["room/alice"] == std::vector<std::uint64_t>{5, 30, 7, 20});

    liar loop;
    loop.hop = 8;
    loop.hops = {6, 20};
    const auto routes = r.core.table().route_count();
    w.connect(loop, r, v);
    w.run();
    CHECK(r.core.table().route_count() == routes);
  }
}

TEST_CASE("R-079 the best route dies and the subscriber sees an update, not an end and a start [seed 5.2 c]") {
  one_relay w;
  video_publisher one(7);
  video_publisher two(8);
  w.connect(two, w.r, lite06);
  w.run();
  auto& best = w.connect(one, w.r, lite06);
  w.join();
  CHECK(w.a.who.paths["room/alice"] == std::vector<std::uint64_t>{7, 20});
  CHECK(w.a.who.starts == 1);
  world::cut(best);
  w.run();
  CHECK(w.a.who.paths["room/alice"] == std::vector<std::uint64_t>{8, 20});
  CHECK(w.a.who.starts == 1);
  CHECK(w.a.who.updates == 1);
  CHECK(w.a.who.ends == 0);
}

TEST_CASE("R-041 R-094 costs add up over links and saturate below 2^62 [seed 5.2 d]") {
  world w;
  relay_party r({.hop = 20});
  relay_party q({.hop = 30});
  struct pricey : party {
    std::uint64_t warm = 0;
    void on_event(moql::session& s, const moql::event& e, moql::instant) override {
      if (std::holds_alternative<moql::connected>(e)) (void)s.announce("room/alice", {.warm = warm, .cold = warm});
    }
  } p;
  p.hop = 7;
  moql::config charges;
  charges.cost = 5;
  struct seen : subscriber_party {
    std::uint64_t warm = 0, cold = 0;
    void on_event(moql::session& s, const moql::event& e, moql::instant now) override {
      if (const auto* a = std::get_if<moql::announced>(&e)) {
        warm = a->warm;
        cold = a->cold;
      }
      subscriber_party::on_event(s, e, now);
    }
  } a;
  SUBCASE("added") { p.warm = 100; }
  SUBCASE("at the ceiling") { p.warm = moql::cost_ceiling - 3; }
  w.connect(p, r, lite06, {}, charges);
  w.connect(r, q, lite06, {}, charges);
  w.connect(a, q, lite06);
  w.run();
  const std::uint64_t wanted = p.warm == 100 ? 110 : moql::cost_ceiling;
  CHECK(a.warm == wanted);
  CHECK(a.cold == wanted);
}

TEST_CASE("R-084 a hop that is unknown stays unknown on its way through relays and versions [seed 5.2]") {
  for (const moql::version first : versions)
    for (const moql::version second : {lite04, lite05, lite06})
      for (const moql::version third : versions) {
        CAPTURE(moql::facts(first).name);
        CAPTURE(moql::facts(second).name);
        CAPTURE(moql::facts(third).name);
        const numbers hops = hops_behind_two(0, first, second, third);
        if (moql::since(lite04).has(third))
          CHECK(hops == numbers{0, 20, 30});
        else if (third == moql::lite03)
          CHECK(hops == numbers{0, 0, 0});
        else
          CHECK(hops == numbers{0});
      }
}

TEST_CASE("R-082 nobody is served what came by way of himself [seed 5.2]") {
  world w;
  relay_party r({.hop = 20});
  video_publisher p;
  auto& own = w.connect(p, r, lite06);
  w.run();
  // The publisher asks for its own broadcast.
  std::uint64_t refused = ~std::uint64_t{0};
  (void)own.client.session.subscribe("room/alice", "video", {.want = everything, .skip_track_info = true}, w.now());
  struct listener : party {
    publisher_party& p;
    std::uint64_t& refused;
    listener(publisher_party& x, std::uint64_t& c) : p(x), refused(c) {}
    void on_event(moql::session& s, const moql::event& e, moql::instant now) override {
      if (const auto* c = std::get_if<moql::subscription_closed>(&e)) refused = c->code;
      p.on_event(s, e, now);
    }
  } l(p, refused);
  own.client.owner = &l;
  w.run();
  CHECK(refused == code(moql::stream_code::unroutable));
}

TEST_CASE("R-164 what comes from a peer that is leaving goes on, and new requests go elsewhere [seed 3.6]") {
  one_relay w;
  video_publisher one(7);
  video_publisher two(8);
  w.connect(two, w.r, lite06);
  w.run();
  auto& first = w.connect(one, w.r, lite06);
  watcher b;
  w.a.join(w, w.r, lite06);
  b.join(w, w.r, lite06);
  w.run();
  w.a.subscribe(w, "room/alice", "video");
  w.run();
  CHECK(one.live == 1);
  (void)first.client.session.goaway({}, moql::duration{0}, w.now());
  w.run();
  CHECK(w.a.who.paths["room/alice"] == std::vector<std::uint64_t>{8, 20});
  one.group("video", 0, {"goes on"}, w.now());
  w.run();
  CHECK(w.a.who.text(0) == "goes on");
  CHECK(two.live == 0);
}

// ---- 5.2.1 Graceful publisher network switchover

TEST_CASE("R-088 two sessions of one publisher with groups in common: each group comes once [seed 5.2.1 a]") {
  for (const moql::version v : {moql::lite04, lite05, lite06}) {
    CAPTURE(moql::facts(v).name);
    one_relay w;
    video_publisher wifi;
    video_publisher cell;
    auto& old = w.connect(wifi, w.r, v);
    w.watch();
    for (std::uint64_t g = 8; g < 10; ++g) same_group({&wifi}, g, w.now());
    w.run();
    cell.group("video", 9, {"g9", "rest of it"}, w.now());
    w.connect(cell, w.r, v);  // the newest of two equal ones is used
    for (std::uint64_t g = 10; g <= 12; ++g) {
      same_group({&wifi, &cell}, g, w.now());
      w.run();
    }
    CHECK(cell.live == 1);
    CHECK(wifi.live == 0);
    CHECK(w.r.core.counters().moves == 1);
    world::cut(old);
    same_group({&cell}, 13, w.now());
    w.run();
    CHECK(w.a.who.whole() == numbers{8, 9, 10, 11, 12, 13});
    for (std::uint64_t g = 8; g <= 13; ++g) CHECK(w.a.who.text(g) == text_of_group(g));
    CHECK(w.a.who.repeated == 0);
    CHECK(w.a.who.closed.empty());
    CHECK(w.r.core.sources() == 1);
  }
}

TEST_CASE(
    "the old session dies inside a group: it goes on from the new one, and downstream is not reset [seed 5.2.1 b]") {
  for (const moql::version v : {moql::lite03, lite04, lite05, lite06}) {
    CAPTURE(moql::facts(v).name);
    one_relay w;
    video_publisher wifi;
    video_publisher cell;
    const bool has_hops = moql::since(lite04).has(v);
    w.connect(cell, w.r, v);
    w.run();
    auto& old = w.connect(wifi, w.r, v);
    w.watch();
    same_group({&wifi, &cell}, 0, w.now());
    for (publisher_party* p : {&wifi, &cell}) {
      (void)p->track("video").begin_group(1, w.now());
      (void)p->track("video").append(1, 1000, moql::bytes::copy("one "));
    }
    w.run();
    CHECK(w.a.who.text(1) == "one ");
    world::cut(old);
    w.run();
    for (publisher_party* p : {&wifi, &cell}) {
      (void)p->track("video").append(1, 1001, moql::bytes::copy("and two"));
      (void)p->track("video").end_group(1);
    }
    same_group({&cell}, 2, w.now());
    w.run();
    if (has_hops) {
      CHECK(w.a.who.whole() == numbers{0, 1, 2});
      CHECK(w.a.who.text(1) == "one and two");
      CHECK(w.a.who.closed.empty());
      CHECK(w.r.core.counters().moves + w.r.core.counters().failovers == 1);
      CHECK(w.r.core.counters().copies_conflicting == 0);
    } else {  // 03 does not say who produces it, so nothing can be said to be the same
      CHECK(w.a.who.closed.size() == 1);
    }
    CHECK(w.a.who.repeated == 0);
  }
}

TEST_CASE(
    "R-088 another or an unknown producer is no continuation: downstream is reset and asks again [seed 5.2.1 c]") {
  for (const std::uint64_t other : {std::uint64_t{0}, std::uint64_t{8}}) {
    CAPTURE(other);
    one_relay w;
    video_publisher one(other == 0 ? 0 : 7);
    video_publisher two(other);
    w.connect(two, w.r, lite06);
    w.run();
    auto& first = w.connect(one, w.r, lite06);
    w.watch();
    same_group({&one}, 4, w.now());
    w.run();
    CHECK(one.live == 1);
    world::cut(first);
    w.run();
    REQUIRE(w.a.who.closed.size() == 1);
    CHECK(w.a.who.closed[0].why == moql::errc::reset_by_peer);
    CHECK(two.live == 0);
    CHECK(w.r.core.tracks() == 0);
    w.a.subscribe(w, "room/alice", "video");
    same_group({&two}, 0, w.now());
    w.run();
    CHECK(w.a.who.text(0) == text_of_group(0));
  }
}

TEST_CASE("five flaps in a row leave exactly one upstream subscription [seed 5.2.1 d]") {
  one_relay w;
  w.a.join(w, w.r, lite06);
  std::vector<std::unique_ptr<video_publisher>> all;
  std::vector<connection*> lines;
  const auto flap = [&] {
    all.push_back(std::make_unique<video_publisher>());
    lines.push_back(&w.connect(*all.back(), w.r, lite06));
  };
  flap();
  w.run();
  w.subscribe();
  SUBCASE("one after the other") {
    for (int i = 0; i < 5; ++i) {
      flap();
      w.run();
    }
  }
  SUBCASE("all at once") {
    for (int i = 0; i < 5; ++i) flap();
    w.run();
  }
  SUBCASE("and the old ones die") {
    for (int i = 0; i < 5; ++i) {
      world::cut(*lines.back());
      flap();
      w.run();
    }
  }
  w.wait(moql::seconds(10));
  CHECK(w.r.core.sources() == 1);
  int live = 0;
  for (const auto& p : all)
    if (!p->tracks.empty() && p.get() == all.back().get()) live += p->live;
  CHECK(live == 1);
  all.back()->group("video", 3, {"x"}, w.now());
  w.run();
  CHECK(w.a.who.text(3) == "x");
  CHECK(w.a.who.closed.empty());
}

TEST_CASE("a publisher that comes back within the linger time goes on; later its readers are reset [seed 5.2.1]") {
  for (const bool is_late : {false, true}) {
    CAPTURE(is_late);
    one_relay w({.hop = 20, .linger = moql::seconds(3)});
    video_publisher p;
    auto& first = w.connect(p, w.r, lite06);
    w.join();
    w.a.subscribe(w, "room/alice", "video");
    same_group({&p}, 0, w.now());
    w.run();
    world::cut(first);
    w.wait(moql::seconds(is_late ? 4 : 2));
    CHECK(w.a.who.closed.size() == (is_late ? 1 : 0));
    same_group({&p}, 1, w.now());
    w.connect(p, w.r, lite06);
    w.run();
    CHECK(w.a.who.whole() == (is_late ? numbers{0} : numbers{0, 1}));
    CHECK(w.r.core.counters().orphans == (is_late ? 1 : 0));
  }
}

// ---- 5.3 Relay object handling

TEST_CASE(
    "R-141 payload is the same behind three relays and across 04 and 06, timestamps where there are any [seed 5.3 a]") {
  const moql::version paths[][4] = {{lite06, lite06, lite06, lite06},
                                    {lite04, lite06, lite04, lite06},
                                    {lite06, lite04, lite06, lite04},
                                    {lite05, lite04, lite05, lite06},
                                    {moql::lite01, lite06, lite05, moql::lite02}};
  for (const auto& path : paths) {
    for (const auto v : path) CAPTURE(moql::facts(v).name);
    world w;
    relay_party one({.hop = 20});
    relay_party two({.hop = 30});
    relay_party three({.hop = 40});
    publisher_party p("room/alice", 7);
    p.track("video", {.timescale = 90'000});
    moql::loopback_options o;
    o.chunk_max = 700;
    w.connect(p, one, path[0], o);
    w.connect(one, two, path[1], o);
    w.connect(two, three, path[2], o);
    watcher a;
    a.join(w, three, path[3], o);
    w.run();
    a.subscribe(w, "room/alice", "video");
    w.run();
    std::string sent[3];
    for (std::uint64_t g = 0; g < 3; ++g) {
      std::vector<std::string> frames;
      for (std::size_t f = 0; f < 5; ++f) {
        std::string bytes;
        for (std::size_t i = 0; i < f * 1500; ++i) bytes += static_cast<char>('!' + (i * 7 + f + g) % 90);
        frames.push_back(bytes);
        sent[g] += bytes;
      }
      p.group("video", g, frames, w.now());
      w.wait(moql::milliseconds(40));
    }
    CHECK(a.who.whole() == numbers{0, 1, 2});
    for (std::uint64_t g = 0; g < 3; ++g) {
      CHECK(a.who.text(g) == sent[g]);
      CHECK(a.who.groups[g].frames.size() == 5);
    }
    if (moql::has_timestamps(path[3])) {
      REQUIRE(a.who.info);
      bool is_timed = true;
      for (const auto v : path) is_timed = is_timed && moql::has_timestamps(v);
      CHECK(a.who.info->timescale == (is_timed ? 90'000 : 1000));
      if (is_timed) CHECK(a.who.groups[2].timestamps == std::vector<std::uint64_t>{2000, 2001, 2002, 2003, 2004});
      // Stamped on the way: milliseconds that go forward.
      if (!is_timed) CHECK(a.who.groups[2].timestamps[0] == a.who.groups[1].timestamps[0] + 40);
    }
  }
}

TEST_CASE("the first byte leaves before the last has come [seed 5.3 b]") {
  for (const moql::version v : versions) {
    CAPTURE(moql::facts(v).name);
    one_track w(v, v);
    moql::track_cache& t = w.p.track("video");
    (void)t.begin_group(0, w.now());
    (void)t.begin_frame(0, 0, 10);
    (void)t.append_part(0, moql::bytes::copy("half "));
    w.run();
    CHECK(w.a.who.text(0) == "half ");
    CHECK_FALSE(w.a.who.groups[0].is_whole);
    (void)t.append_part(0, moql::bytes::copy("whole"));
    (void)t.end_group(0);
    w.run();
    CHECK(w.a.who.text(0) == "half whole");
    CHECK(w.a.who.groups[0].is_whole);
  }
}

TEST_CASE("one of ten subscribers stalls: the other nine get everything, and memory stays in its bound [seed 5.3 c]") {
  world w;
  relay_party r({.hop = 20, .caps = {.track_bytes_max = 200'000}});
  video_publisher p;
  w.connect(p, r, lite06);
  std::vector<std::unique_ptr<watcher>> all;
  moql::loopback_options narrow;
  narrow.stream_window = 4096;
  moql::config impatient;
  impatient.caps.behind_bytes_max = 50'000;
  for (int i = 0; i < 10; ++i) {
    all.push_back(std::make_unique<watcher>());
    all.back()->line = &w.connect(all.back()->who, r, lite06, narrow, {}, impatient);
  }
  w.run();
  for (const auto& a : all) a->subscribe(w, "room/alice", "video");
  w.run();
  all[3]->line->client.is_reading = false;
  const auto piece = [](char c) { return std::string(10'000, c); };
  for (std::uint64_t g = 0; g < 50; ++g) {
    moql::track_cache& t = p.track("video");
    (void)t.begin_group(g, w.now());
    for (int f = 0; f < 8; ++f) {
      (void)t.append(g, g * 100 + static_cast<std::uint64_t>(f), moql::bytes::copy(piece(static_cast<char>('a' + f))));
      w.run();
      CHECK(r.core.bytes_cached() <= 200'000);
    }
    (void)t.end_group(g);
    w.run();
  }
  for (int i = 0; i < 10; ++i)
    if (i != 3) CHECK(all[static_cast<std::size_t>(i)]->who.whole().size() == 50);
  const moql::session_counters& slow = all[3]->line->server.session.counters();
  CHECK(slow.groups_behind + slow.groups_expired + slow.groups_evicted + slow.groups_unopened >= 48);
  CHECK(slow.groups_behind >= 1);
  CHECK(all[3]->line->server.session.streams_held() < 60);
}

TEST_CASE("a group that upstream resets is reset downstream with a mapped code, and named as dropped [seed 5.3 d]") {
  for (const moql::version up : {lite04, lite05, lite06})
    for (const moql::version down : {moql::lite03, lite04, lite05, lite06}) {
      CAPTURE(moql::facts(up).name);
      CAPTURE(moql::facts(down).name);
      one_track w(up, down);
      moql::track_cache& t = w.p.track("video");
      (void)t.begin_group(0, w.now());
      (void)t.append(0, 0, moql::bytes::copy("begun"));
      w.run();
      (void)t.abort_group(0, moql::stream_code::malformed_track);
      w.run();
      CHECK(w.a.who.text(0) == "begun");
      CHECK(w.a.who.groups[0].is_cut);
      CHECK(w.a.who.groups[0].code ==
            code(up == lite06 ? moql::stream_code::malformed_track : moql::stream_code::cancelled));
      // Nothing is said of it twice: the group's own end is the news.
      CHECK(w.a.who.lost.empty());
      w.p.group("video", 2, {"next"}, w.now());
      (void)t.drop_groups(1, 1);
      w.run();
      CHECK(w.a.who.text(2) == "next");
      REQUIRE(w.a.who.lost.size() == 1);
      CHECK(w.a.who.lost[0].first == 1);
      CHECK(w.a.who.lost[0].last == 1);
      CHECK(w.r.core.counters().groups_aborted == 1);
    }
}

TEST_CASE("a fetch is answered from the cache, and from upstream when the cache has it no more [seed 4.3]") {
  for (const moql::version up : {moql::lite03, lite05, lite06})
    for (const moql::version down : {moql::lite03, lite05, lite06}) {
      CAPTURE(moql::facts(up).name);
      CAPTURE(moql::facts(down).name);
      one_relay w;
      video_publisher p;
      for (std::uint64_t g = 0; g < 3; ++g) p.group("video", g, {"a", "b", "c" + std::to_string(g)}, w.now());
      w.connect(p, w.r, up);
      w.join(down);
      (void)w.a.session().fetch("room/alice", "video", 1, {}, w.now());
      w.run();
      REQUIRE(w.a.who.fetches_closed.size() == 1);
      CHECK(w.a.who.fetches_closed[0].why == moql::errc::ok);
      CHECK(w.a.who.fetched == std::vector<std::string>{"a", "b", "c1"});
      CHECK(w.r.core.counters().fetches == 1);
      w.a.who.fetched.clear();
      if (down == lite06) {
        (void)w.a.session().fetch("room/alice", "video", 2, {.frame_start = 1, .frame_end = 1}, w.now());
        w.run();
        CHECK(w.a.who.fetched == std::vector<std::string>{"b"});
        w.a.who.fetched.clear();
      }
      (void)w.a.session().fetch("room/alice", "video", 9, {}, w.now());
      w.run();
      CHECK(w.a.who.fetches_closed.back().code == code(moql::stream_code::not_found));
      CHECK(w.a.who.fetched.empty());
      w.subscribe();
      const auto passed_on = w.r.core.counters().fetches;
      (void)w.a.session().fetch("room/alice", "video", 2, {}, w.now());
      w.run();
      CHECK(w.a.who.fetched == std::vector<std::string>{"a", "b", "c2"});
      CHECK(w.r.core.counters().fetches == passed_on);
    }
}

TEST_CASE("R-146 a datagram goes on as one where that can be, and as a stream where not [seed 5.3]") {
  for (const moql::version down : {lite04, lite05, lite06}) {
    CAPTURE(moql::facts(down).name);
    one_track w(lite06, down);
    (void)w.p.track("video").write_datagram(5, moql::bytes::copy("ping"), w.now());
    w.run();
    CHECK(w.a.who.text(0) == "ping");
    const moql::session_counters& n = w.a.line->server.session.counters();
    CHECK(n.datagrams_out == (down == lite04 ? 0 : 1));
    CHECK(n.groups_opened == (down == lite04 ? 1 : 0));
  }
}

TEST_CASE("R-056 R-058 R-069 a path grows by one hop on its way, whatever its version says of it [seed 5.2]") {
  for (const moql::version up : {lite04, lite05, lite06})
    for (const moql::version down : versions) {
      CAPTURE(moql::facts(up).name);
      CAPTURE(moql::facts(down).name);
      const numbers hops = hops_behind_two(7, up, up, down);
      if (moql::since(lite04).has(down))
        CHECK(hops == numbers{7, 20, 30});
      else
        CHECK(hops.size() == (down == moql::lite03 ? 3 : 1));
    }
}

TEST_CASE("R-030 what a SETUP says stays on its own hop [seed 5.2]") {
  world w;
  relay_party r({.hop = 20});
  publisher_party p("room/alice", 7);
  moql::config said;
  said.path = "/secret?token=1";
  said.cost = 77;
  said.role = moql::intent::publisher;
  w.connect(p, r, lite06, {}, said);
  struct hearer : subscriber_party {
    std::optional<moql::peer_setup> setup;
    bool has_path = false;
    void on_event(moql::session& s, const moql::event& e, moql::instant now) override {
      if (const auto* x = std::get_if<moql::peer_setup>(&e)) {
        setup = *x;
        has_path = x->path.has_value();
      }
      subscriber_party::on_event(s, e, now);
    }
  } a;
  w.connect(a, r, lite06);
  w.run();
  REQUIRE(a.setup);
  CHECK_FALSE(a.has_path);
  CHECK(a.setup->cost == 1);
  CHECK(a.setup->hop == 20);
  CHECK(a.setup->role == moql::intent::both);
}

TEST_CASE("a broadcast that the application produces is announced and served like any other [seed 5.2]") {
  struct studio {
    moql::track_cache track;
    static moql::track_cache* find(void* c, moql::scope_id, std::string_view path, std::string_view name) noexcept {
      return path == "own/show" && name == "video" ? &static_cast<studio*>(c)->track : nullptr;
    }
  } mine;
  one_relay w({.hop = 20, .hooks = {.context = &mine, .produced = &studio::find}});
  REQUIRE(w.r.core.announce(0, "own/show") == moql::errc::ok);
  w.join();
  CHECK(w.a.who.paths["own/show"] == std::vector<std::uint64_t>{20});
  w.a.subscribe(w, "own/show", "video");
  w.run();
  (void)mine.track.begin_group(w.now());
  (void)mine.track.append(1, moql::bytes::copy("made here"));
  (void)mine.track.end_group();
  w.run();
  CHECK(w.a.who.text(0) == "made here");
  w.a.subscribe(w, "own/show", "sound");
  w.run();
  CHECK(w.a.who.closed.size() == 1);
  CHECK(w.r.core.withdraw(0, "own/show") == moql::errc::ok);
  CHECK(w.r.core.withdraw(0, "own/show") == moql::errc::stale_handle);
  w.run();
  CHECK(w.a.who.paths.empty());
}

TEST_CASE("limits of the relay refuse with NO_CAPACITY what comes on top [seed 10.1 c]") {
  const auto refused = [](const moql::relay_limits& caps, int tracks, int readers_each) {
    world w;
    relay_party r({.hop = 20, .caps = caps});
    publisher_party p("room/alice", 7);
    for (int t = 0; t < tracks; ++t) p.track("t" + std::to_string(t));
    w.connect(p, r, lite06);
    std::vector<std::unique_ptr<watcher>> all;
    for (int i = 0; i < readers_each; ++i) {
      all.push_back(std::make_unique<watcher>());
      all.back()->join(w, r, lite04);
    }
    w.run();
    std::size_t closed = 0;
    for (int t = 0; t < tracks; ++t)
      for (const auto& a : all) {
        a->subscribe(w, "room/alice", "t" + std::to_string(t));
        w.run();
      }
    for (const auto& a : all) {
      closed += a->who.closed.size();
      for (const auto& c : a->who.closed) CHECK(c.code == code(moql::stream_code::no_capacity));
    }
    CHECK(r.core.counters().requests_refused == closed);
    return closed;
  };
  CHECK(refused({.tracks_max = 3}, 3, 1) == 0);
  CHECK(refused({.tracks_max = 3}, 4, 1) == 1);
  CHECK(refused({.tracks_per_peer_max = 2}, 2, 1) == 0);
  CHECK(refused({.tracks_per_peer_max = 2}, 3, 1) == 1);
  CHECK(refused({.readers_max = 4}, 2, 2) == 0);
  CHECK(refused({.readers_max = 4}, 2, 3) == 2);

  for (const std::size_t max : {std::size_t{2}, std::size_t{3}}) {
    world w;
    relay_party r({.hop = 20, .caps = {.peers_max = max, .routes_per_peer_max = 1}});
    publisher_party p("room/alice", 7);
    publisher_party q("room/bob", 8);
    publisher_party z("room/carol", 9);
    auto& both = w.connect(p, r, lite06);
    w.connect(q, r, lite06);
    w.connect(z, r, lite06);
    (void)both.client.session.announce("room/second");
    w.run();
    CHECK(r.core.peers() == max);
    CHECK(r.core.table().route_count() == max);
    CHECK(r.core.counters().routes_refused == 1);
  }
}

TEST_CASE("a publisher is asked in its own spelling of a path, and so are those below its prefix [seed 5.2]") {
  one_relay w;
  struct strict : publisher_party {
    using publisher_party::publisher_party;
    std::vector<std::string> asked_for;
    void on_event(moql::session& s, const moql::event& e, moql::instant now) override {
      if (const auto* x = std::get_if<moql::subscribe_requested>(&e)) asked_for.emplace_back(x->broadcast);
      publisher_party::on_event(s, e, now);
    }
  } p("room//alice/", 7);
  p.track("video");
  w.connect(p, w.r, lite06);
  watcher b;
  w.a.join(w, w.r, lite06);
  b.join(w, w.r, lite06);
  w.run();
  CHECK(w.a.who.paths.contains("room//alice/"));
  w.a.subscribe(w, "room/alice", "video");
  w.run();
  b.subscribe(w, "room/alice/cam", "video");
  w.run();
  CHECK(p.asked_for == std::vector<std::string>{"room//alice/", "room//alice/cam"});
}

TEST_CASE("an Announce stream that breaks is opened again, one that never worked only once [seed 5.2]") {
  for (const bool has_worked : {true, false}) {
    CAPTURE(has_worked);
    moql::relay core({.hop = 20});
    scripted s(lite06, moql::endpoint::client, {.hop = 20});
    const auto id = core.join(s.session, {.scope = 0}, s.now);
    REQUIRE(id);
    s.react = [&](moql::session&, const moql::event& e) { core.on_event(*id, e, s.now); };
    s.settle();
    const auto asked = [&] { return s.ours(moql::direction::bidi, 0x1); };
    REQUIRE(asked().size() == 1);
    if (has_worked) s.feed(asked().back(), wire_hex(moql::msg::announce_ok{7, 1}, lite06));
    if (has_worked) s.feed(asked().back(), wire_hex(moql::msg::announce_start{.suffix = "room"}, lite06));
    CHECK(core.table().route_count() == (has_worked ? 1 : 0));
    s.reset(asked().back(), 0);
    CHECK(core.table().route_count() == 0);
    CHECK(asked().size() == 2);
    for (int i = 0; i < 20; ++i) {
      if (has_worked) s.feed(asked().back(), wire_hex(moql::msg::announce_ok{7, 1}, lite06));
      if (has_worked) s.feed(asked().back(), wire_hex(moql::msg::announce_start{.suffix = "room"}, lite06));
      s.reset(asked().back(), 0);
    }
    CHECK(asked().size() == (has_worked ? 8 : 2));
    core.leave(*id, s.now);
  }
}

TEST_CASE("a track whose publisher ended it and closed at once has ended, and was not lost [seed 5.3]") {
  for (const moql::version v : {moql::lite03, lite04, lite06}) {
    CAPTURE(moql::facts(v).name);
    one_track w(v);
    w.p.group("video", 0, {"all of it"}, w.now());
    w.run();
    w.p.track("video").finish();
    w.settle();
    for (int i = 0; i < 4; ++i) (void)w.step();  // the end is on its way
    w.up.client.session.close();
    w.wait(moql::seconds(5));
    CHECK(w.a.who.text(0) == "all of it");
    REQUIRE(w.a.who.closed.size() == 1);
    CHECK(w.a.who.closed[0].why == moql::errc::ok);
  }
}

TEST_CASE("a track that had to go round goes the best way once that has capacity again R-091 [seed 5.2.1]") {
  one_relay w;
  relay_party q({.hop = 30});
  video_publisher full;
  video_publisher other;
  full.refuses = moql::stream_code::no_capacity;
  w.connect(full, w.r, lite06);
  w.connect(other, q, lite06);
  w.connect(w.r, q, lite06);
  w.watch(lite04);
  same_group({&full, &other}, 0, w.now());
  w.run();
  CHECK(w.a.who.text(0) == text_of_group(0));
  CHECK(other.live == 1);
  CHECK(full.live == 0);
  full.refuses.reset();
  for (std::uint64_t g = 1; g < 12; ++g) {
    same_group({&full, &other}, g, w.now());
    w.wait(moql::seconds(1));
  }
  CHECK(full.live == 1);
  CHECK(other.live == 0);
  CHECK(w.a.who.whole().size() == 12);
  CHECK(w.a.who.repeated == 0);
  CHECK(w.a.who.closed.empty());
}

TEST_CASE("who waits for a group to come keeps nobody who comes later from what is there already [seed 5.1]") {
  for (const moql::version v : versions) {
    CAPTURE(moql::facts(v).name);
    one_relay w;
    video_publisher p;
    w.connect(p, w.r, lite06);
    watcher b;
    w.a.join(w, w.r, lite06);
    b.join(w, w.r, v);
    w.run();
    w.a.subscribe(w, "room/alice", "video", {.priority = 3, .max_age_ms = 60'000, .group_start = 1000});
    w.run();
    b.subscribe(w, "room/alice", "video");
    w.run();
    p.group("video", 5, {"now"}, w.now());
    w.run();
    CHECK(b.who.text(5) == "now");
    CHECK(w.a.who.groups.empty());
  }
}
