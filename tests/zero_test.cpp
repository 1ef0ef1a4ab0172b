/// What costs nothing must cost nothing: memory in steady state, copies of payload; and what fails must fail cleanly.

#include <doctest/doctest.h>

#include "counting_memory.hpp"
#include "pair.hpp"

using namespace moql;
using testing::pair;
using testing::versions;

namespace {

/// Payload that belongs to nobody in particular: sharing it takes no memory.
struct standing_buffer {
  std::uint8_t data[4096];
  struct counter : owner {
    int shares = 0;
  } count;
  standing_buffer() {
    for (std::size_t i = 0; i < sizeof data; ++i) data[i] = static_cast<std::uint8_t>(i * 31 + 7);
    count.retain = [](owner* o) noexcept { ++static_cast<counter*>(o)->shares; };
    count.release = [](owner* o) noexcept { --static_cast<counter*>(o)->shares; };
  }
  [[nodiscard]] bytes piece(std::size_t from, std::size_t n) { return bytes::share({data + from, n}, &count); }
  [[nodiscard]] bool holds(const bytes& b) const {
    return b.data() >= data && b.data() + b.size() <= data + sizeof data;
  }
};

/// Two sessions that only count: no event is kept, so that nothing but the library takes memory.
struct steady {
  counting_memory used;
  standing_buffer payload;
  loopback_network net;
  session client, server;
  track_cache video, small;
  version ver;
  std::size_t frames = 0, groups = 0, datagrams = 0, announcements = 0, reports = 0, updates = 0, fetches = 0,
              answers = 0, in_place = 0;
  std::optional<subscription_id> sub{}, sub_small{};

  explicit steady(version v, loopback_options o = {})
      : net((o.protocol = testing::token(v), o)),
        client(testing::only_version({.probe = probe_level::report}, v, endpoint::client), used.get()),
        server(testing::only_version({.probe = probe_level::report}, v, endpoint::server), used.get()),
        video({.groups_max = 4}, used.get()),
        small({.groups_max = 4}, used.get()),
        ver(v) {
    (void)client.start(net.a().protocol(), net.now());
    (void)server.start(net.b().protocol(), net.now());
    run();
    (void)client.discover("", net.now());
    if (has_probe(v)) (void)client.probe();
    run();
  }
  void hear_client(const event& e) {
    if (const auto* f = std::get_if<frame_part>(&e)) {
      frames += f->is_last() ? 1 : 0;
      in_place += payload.holds(f->payload) ? 1 : 0;
    }
    groups += std::holds_alternative<group_finished>(e) ? 1 : 0;
    datagrams += std::holds_alternative<datagram_received>(e) ? 1 : 0;
    announcements += std::holds_alternative<announced>(e) ? 1 : 0;
    if (const auto* f = std::get_if<fetch_closed>(&e)) fetches += f->why == errc::ok ? 1 : 0;
    if (const auto* a = std::get_if<track_answered>(&e)) answers += a->why == errc::ok ? 1 : 0;
    reports += std::holds_alternative<bandwidth>(e) ? 1 : 0;
  }
  void hear_server(const event& e) {
    if (const auto* r = std::get_if<subscribe_requested>(&e))
      CHECK(server.serve(r->request, cache_of(r->track)) == errc::ok);
    if (const auto* r = std::get_if<track_requested>(&e))
      CHECK(server.serve(r->request, cache_of(r->track)) == errc::ok);
    if (const auto* r = std::get_if<fetch_requested>(&e))
      CHECK(server.serve(r->request, cache_of(r->track)) == errc::ok);
    updates += std::holds_alternative<subscribe_updated>(e) ? 1 : 0;
  }
  track_cache& cache_of(std::string_view track) { return track == "video" ? video : small; }
  void settle() {
    while (const auto e = client.next_event()) hear_client(*e);
    while (const auto e = server.next_event()) hear_server(*e);
    pump(client, net.a(), net.now());
    pump(server, net.b(), net.now());
  }
  void run() {
    settle();
    while (net.step(client, server)) settle();
    settle();
  }
  void subscribe() {
    const auto a = client.subscribe("room/alice", "video", {.want = {.max_age_ms = 10'000}}, net.now());
    const auto b = client.subscribe("room/alice", "small", {.want = {.max_age_ms = 10'000}}, net.now());
    REQUIRE(a.has_value());
    REQUIRE(b.has_value());
    sub = *a;
    sub_small = *b;
  }
  /// Everything that goes on for ever in a live session, once.
  void cycle(std::uint64_t n) {
    net.advance_to(net.now() + milliseconds(40));
    const auto path = server.announce("room/carol");
    REQUIRE(path.has_value());
    run();
    REQUIRE(video.begin_group(net.now()) == errc::ok);
    for (std::uint64_t k = 0; k < 5; ++k) {
      REQUIRE(video.append(n * 100 + k, payload.piece(k * 10, k * 700)) == errc::ok);
      run();
    }
    REQUIRE(small.write_datagram(n, payload.piece(0, 200), net.now()) == errc::ok);
    if (has_ranges(ver))
      CHECK(client.update(*sub, {.priority = static_cast<std::uint8_t>(n), .max_age_ms = 9'000}) == errc::ok);
    (void)server.report(1'000'000 + n, 20);
    run();
    const auto more = client.discover("room", net.now());
    REQUIRE(more.has_value());
    CHECK(client.fetch("room/alice", "video", n, {}, net.now()).has_value() == has_fetch(ver));
    CHECK(client.query_track("room/alice", "video", net.now()).has_value() == has_track_stream(ver));
    run();
    CHECK(client.forget(*more) == errc::ok);
    run();
    REQUIRE(server.withdraw(*path) == errc::ok);
    if (n % 4 == 3) {
      CHECK(client.unsubscribe(*sub) == errc::ok);
      CHECK(client.unsubscribe(*sub_small) == errc::ok);
      run();
      subscribe();
    }
    run();
  }
};

}  // namespace

TEST_CASE("neither frames nor control messages take memory once a session is warm, in every version [seed 5.1]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    steady s(v, {.chunk_min = 1, .chunk_max = 1200, .hold_payload = false});
    s.subscribe();
    s.run();
    std::uint64_t n = 0;
    for (; n < 256; ++n) s.cycle(n);
    const std::size_t before = s.used.requests;
    const std::size_t frames = s.frames;
    const std::size_t announcements = s.announcements;
    const std::size_t updates = s.updates;
    const std::size_t datagrams = s.datagrams;
    const std::size_t reports = s.reports;
    for (; n < 320; ++n) s.cycle(n);
    CHECK(s.used.requests == before);
    CHECK(s.frames - frames >= 64 * 5);
    CHECK(s.announcements - announcements == 128);
    CHECK(s.fetches == (has_fetch(v) ? 319 : 0));  // the last group is still open
    CHECK(s.answers == (has_track_stream(v) ? 320 : 0));
    if (has_ranges(v)) CHECK(s.updates - updates == 64);
    if (has_datagrams(v)) CHECK(s.datagrams - datagrams >= 60);
    CHECK(s.reports - reports == 64);
    CHECK(s.net.violations() == 0);
  }
}

TEST_CASE("a received payload lies in the buffer that the transport gave, whatever the fragments R-141") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    steady s(v, {.chunk_min = 1, .chunk_max = 700, .hold_payload = true});
    s.subscribe();
    s.run();
    REQUIRE(s.video.begin_group(s.net.now()) == errc::ok);
    for (std::uint64_t k = 1; k < 5; ++k) REQUIRE(s.video.append(k, s.payload.piece(k, k * 900)) == errc::ok);
    s.run();
    CHECK(s.frames == 4);
    // This network hands the publisher's own buffer through, so every part of every frame lies in that.
    CHECK(s.in_place > 4);
  }
  // And by hand: one fragment, borrowed, read in place.
  session s({.side = endpoint::client});
  REQUIRE(s.start("moq-lite-04", instant{}) == errc::ok);
  const auto sub = s.subscribe("a", "b", {}, instant{});
  REQUIRE(sub.has_value());
  const std::uint8_t group[] = {0x00, 0x02, 0x00, 0x07, 0x05, 'h', 'e', 'l', 'l', 'o'};
  s.on_open(stream_id{3}, direction::uni, instant{});
  s.on_data(stream_id{3}, bytes::borrow(group), true, instant{});
  bool seen = false;
  while (const auto e = s.next_event())
    if (const auto* f = std::get_if<frame_part>(&*e)) {
      seen = true;
      CHECK(f->payload.data() == group + 5);
      CHECK(f->payload.size() == 5);
    }
  CHECK(seen);
}

namespace {

/// A short life with everything in it. Commands may be refused; what matters is how. True if someone was told that
/// something went wrong, or if nothing did: all frames came.
bool live_once(version v, memory m, bool& closed_or_told) {
  standing_buffer payload;
  std::size_t frames = 0;
  {
    pair p(v, {.chunk_max = 50}, {.probe = probe_level::report}, {.probe = probe_level::report});
    session client(testing::only_version({}, v, endpoint::client), m);
    session server(testing::only_version({.probe = probe_level::report}, v, endpoint::server), m);
    track_cache video({.groups_max = 2}, m);
    const auto note = [&](errc e) { closed_or_told = closed_or_told || e == errc::out_of_memory; };
    const auto step = [&] {
      for (int i = 0; i < 4000; ++i) {
        while (const auto e = client.next_event()) {
          if (const auto* f = std::get_if<frame_part>(&*e)) frames += f->is_last() ? 1 : 0;
          if (const auto* g = std::get_if<group_finished>(&*e))
            note(g->why == errc::ok ? errc::ok : errc::out_of_memory);
          if (std::holds_alternative<groups_lost>(*e)) note(errc::out_of_memory);
          if (const auto* f = std::get_if<fetch_closed>(&*e)) note(f->why == errc::ok ? errc::ok : errc::out_of_memory);
          if (const auto* c = std::get_if<session_closed>(&*e))
            note(c->by_peer && c->code != 0 ? errc::out_of_memory : c->why);
        }
        while (const auto e = server.next_event()) {
          if (const auto* c = std::get_if<session_closed>(&*e))
            note(c->by_peer && c->code != 0 ? errc::out_of_memory : c->why);
          if (const auto* r = std::get_if<subscribe_requested>(&*e)) note(server.serve(r->request, video));
          if (const auto* r = std::get_if<track_requested>(&*e)) note(server.serve(r->request, video));
          if (const auto* r = std::get_if<fetch_requested>(&*e)) note(server.serve(r->request, video));
        }
        pump(client, p.net.a(), p.net.now());
        pump(server, p.net.b(), p.net.now());
        if (!p.net.step(client, server)) break;
      }
    };
    note(client.start(p.net.a().protocol(), p.net.now()));
    note(server.start(p.net.b().protocol(), p.net.now()));
    step();
    note(client.discover("room", p.net.now()).error());
    const auto path = server.announce("room/alice");
    note(path.error());
    note(server.announce("room/bob").error());
    step();
    const auto sub = client.subscribe("room/alice", "video", {.want = {.max_age_ms = 60'000}}, p.net.now());
    note(sub.error());
    step();
    for (std::uint64_t g = 0; g < 4; ++g) {
      note(video.begin_group(p.net.now()));
      for (std::uint64_t f = 0; f < 3; ++f) note(video.append(g * 10 + f, payload.piece(0, 100)));
      step();
    }
    if (sub && has_ranges(v)) note(client.update(*sub, {.priority = 3, .max_age_ms = 60'000}));
    note(client.fetch("room/alice", "video", 3, {}, p.net.now()).error());
    if (has_probe(v)) note(client.probe());
    note(server.report(5, 6));
    step();
    if (path) note(server.withdraw(*path));
    if (has_goaway(v)) note(server.goaway("", seconds(1), p.net.now()));
    video.finish();
    step();
    if (sub) (void)client.unsubscribe(*sub);
    step();
    client.close();
    step();
    // 01 and 02 have no word for a group that never got a stream: the publisher alone can know.
    if (!has_drop(v) && server.counters().groups_unopened != 0) note(errc::out_of_memory);
  }
  CHECK(payload.count.shares == 0);
  return closed_or_told || frames == 12;
}

}  // namespace

TEST_CASE("whichever request for memory fails, someone is told, nothing crashes and nothing leaks [seed 10.1]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    std::size_t count = 0;
    {
      counting_memory all;
      bool told = false;
      CHECK(live_once(v, all.get(), told));
      CHECK_FALSE(told);
      CHECK(all.out.empty());
      count = all.requests;
    }
    REQUIRE(count > 50);
    for (const bool once : {true, false})
      for (std::size_t n = 0; n < count; ++n) {
        counting_memory m;
        m.allowed = n;
        m.fails_once = once;
        bool told = false;
        CAPTURE(n);
        CAPTURE(once);
        CHECK(live_once(v, m.get(), told));
        CHECK(m.out.empty());
        CHECK(m.sizes_match);
      }
  }
}
