/// The integration tests that the seed document asks for, and what a whole system must carry: two real sessions, in
/// every version, over the loopback network.

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <tuple>

#include "pair.hpp"

using namespace moql;
using testing::pair;
using testing::side;
using testing::versions;

namespace {

/// Every request is answered from a map of tracks; unknown ones are refused.
using shelf = std::map<std::string, std::unique_ptr<track_cache>, std::less<>>;
void serve_from(side& x, shelf& tracks) {
  x.react = [&tracks](session& s, const event& e) {
    const auto answer = [&](const auto& r) {
      const auto t = tracks.find(std::string(r.broadcast) + "|" + std::string(r.track));
      CHECK((t == tracks.end() ? s.reject(r.request, stream_code::not_found) : s.serve(r.request, *t->second)) ==
            errc::ok);
    };
    if (auto* r = std::get_if<subscribe_requested>(&e)) answer(*r);
    if (auto* r = std::get_if<track_requested>(&e)) answer(*r);
    if (auto* r = std::get_if<fetch_requested>(&e)) answer(*r);
  };
}
track_cache& put_on(shelf& tracks, const std::string& broadcast, const std::string& track,
                    const track_options& o = {}) {
  auto& t = tracks[broadcast + "|" + track];
  t = std::make_unique<track_cache>(o);
  return *t;
}
msg::delivery patient() { return {.max_age_ms = 10'000'000}; }

}  // namespace

TEST_CASE("Session establishment and teardown: clean, for an error, by a lost connection, by silence [seed 5.5.1]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    for (const bool client_closes : {true, false}) {
      CAPTURE(client_closes);
      for (const session_code code : {session_code::no_error, session_code::unauthorized}) {
        pair p(v);
        p.start();
        p.run();
        side& closing = client_closes ? p.client : p.server;
        side& other = client_closes ? p.server : p.client;
        CHECK(closing.session.is_established());
        CHECK(other.session.is_established());
        closing.session.close(code, "enough");
        closing.session.close(session_code::internal_error, "once is enough");
        p.run();
        REQUIRE(other.count<session_closed>() == 1);
        CHECK(other.first<session_closed>().by_peer);
        CHECK(other.first<session_closed>().code == static_cast<std::uint64_t>(code));
        CHECK(other.all<session_closed>()[0].text == "enough");
        REQUIRE(closing.count<session_closed>() == 1);
        CHECK(!closing.first<session_closed>().by_peer);
        CHECK(closing.session.discover("", p.net.now()).error() == errc::closed);
        CHECK(p.net.violations() == 0);
      }
    }
    pair cut(v);
    cut.start();
    cut.run();
    cut.net.cut(42);
    cut.run();
    for (side* x : {&cut.client, &cut.server}) {
      REQUIRE(x->count<session_closed>() == 1);
      CHECK(x->first<session_closed>().why == errc::transport_closed);
    }
    if (v == lite03 || v == lite04) continue;  // these wait for nothing
    pair silent(v);
    REQUIRE(silent.server.session.start(silent.net.b().protocol(), silent.net.now()) == errc::ok);
    silent.wait(seconds(30));
    REQUIRE(silent.server.count<session_closed>() == 1);
    CHECK(silent.server.first<session_closed>().why == errc::setup_timeout);
  }
}

TEST_CASE(
    "Track announcement and subscription: before and after, ended and again, known and unknown, left by either side "
    "[seed 5.5.2]") {
  for (const version v : versions) {
    for (const bool client_publishes : {true, false}) {
      CAPTURE(facts(v).name);
      CAPTURE(client_publishes);
      pair p(v);
      side& publisher = client_publishes ? p.client : p.server;
      side& subscriber = client_publishes ? p.server : p.client;
      shelf tracks;
      serve_from(publisher, tracks);
      track_cache& video = put_on(tracks, "room/a", "video");
      REQUIRE(video.begin_group(p.net.now()) == errc::ok);
      REQUIRE(video.append(0, bytes::copy("first")) == errc::ok);
      p.start();
      p.run();
      const auto early = publisher.session.announce("room/a");
      REQUIRE(early.has_value());
      REQUIRE(subscriber.session.discover("room", p.net.now()).has_value());
      p.run();
      REQUIRE(publisher.session.announce("room/b").has_value());
      REQUIRE(publisher.session.announce("elsewhere").has_value());
      p.run();
      CHECK(subscriber.count<announced>() == 2);
      REQUIRE(publisher.session.withdraw(*early) == errc::ok);
      p.run();
      REQUIRE(subscriber.count<announce_ended>() == 1);
      CHECK(subscriber.all<announce_ended>()[0].path == "room/a");
      REQUIRE(publisher.session.announce("room/a").has_value());
      p.run();
      CHECK(subscriber.count<announced>() == 3);

      const auto known = subscriber.session.subscribe("room/a", "video", {patient()}, p.net.now());
      const auto unknown = subscriber.session.subscribe("room/a", "nothing", {patient()}, p.net.now());
      REQUIRE(known.has_value());
      REQUIRE(unknown.has_value());
      p.run();
      CHECK(subscriber.count<subscription_started>() == 1);
      REQUIRE(subscriber.count<subscription_closed>() == 1);
      CHECK(subscriber.first<subscription_closed>().subscription == *unknown);
      CHECK(subscriber.first<subscription_closed>().why == errc::refused_by_peer);
      CHECK(subscriber.count<frame_part>() == 1);
      REQUIRE(subscriber.session.unsubscribe(*known) == errc::ok);  // the subscriber leaves
      CHECK(subscriber.session.unsubscribe(*known) == errc::stale_handle);
      p.run();
      CHECK(publisher.count<request_closed>() >= 1);
      REQUIRE(video.append(10, bytes::copy("nobody hears this")) == errc::ok);
      p.run();
      CHECK(subscriber.count<frame_part>() == 1);

      const auto again = subscriber.session.subscribe("room/a", "video", {patient()}, p.net.now());
      REQUIRE(again.has_value());
      p.run();
      CHECK(subscriber.count<frame_part>() == 3);
      tracks.clear();  // the publisher leaves
      p.run();
      p.wait(seconds(2));
      CHECK(subscriber.last<subscription_closed>().subscription == *again);
      CHECK(subscriber.last<subscription_closed>().why != errc::ok);
      CHECK_MESSAGE(p.net.violations() == 0, p.net.last_violation());
    }
  }
}

TEST_CASE("Group and frame data transmission: 10 tracks of 100 groups of 0 to 50 frames of 0 B to 1 MiB [seed 5.5.3]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    std::minstd_rand random(static_cast<unsigned>(v));
    pair p(v, {.seed = random(),
               .chunk_min = 1,
               .chunk_max = 20'000,
               .delay_max = milliseconds(20),
               .reorder_streams = true});
    shelf tracks;
    serve_from(p.server, tracks);
    std::string noise(1 << 20, 0);
    for (char& c : noise) c = static_cast<char>(random());
    /// What was sent, and what arrived: (track, group, frame) to where its bytes are in the noise, or their sum.
    using key = std::array<std::uint64_t, 3>;
    std::map<key, std::pair<std::size_t, std::size_t>> sent;
    std::map<key, std::size_t> got;
    std::map<std::array<std::uint64_t, 2>, errc> ends;
    std::set<std::array<std::uint64_t, 2>> given_up;
    std::map<subscription_id, std::uint64_t> track_of;
    std::size_t wrong = 0;
    p.client.react = [&](session&, const event& e) {
      if (auto* f = std::get_if<frame_part>(&e)) {
        const key k{track_of[f->subscription], f->group, f->frame};
        const auto from = sent.find(k);
        if (from == sent.end() || f->size != from->second.second || got[k] != f->offset ||
            (!f->payload.empty() &&
             std::memcmp(f->payload.data(), noise.data() + from->second.first + f->offset, f->payload.size()) != 0))
          ++wrong;
        got[k] += f->payload.size();
      }
      if (auto* g = std::get_if<group_finished>(&e)) ends[{track_of[g->subscription], g->group}] = g->why;
      p.client.events.clear();
    };
    p.start();
    p.run();
    for (std::uint64_t t = 0; t < 10; ++t) {
      put_on(tracks, "room", std::to_string(t), {.max_age_ms = 10'000'000, .bytes_max = 1 << 30});
      const auto id = p.client.session.subscribe("room", std::to_string(t), {patient()}, p.net.now());
      REQUIRE(id.has_value());
      track_of[*id] = t;
    }
    p.run();
    for (std::uint64_t g = 0; g < 100; ++g) {
      for (std::uint64_t t = 0; t < 10; ++t) {
        track_cache& c = *tracks["room|" + std::to_string(t)];
        REQUIRE(c.begin_group(p.net.now()) == errc::ok);
        const std::uint64_t frames = random() % 51;
        for (std::uint64_t f = 0; f < frames; ++f) {
          const std::size_t most = g == 50 && f == 0 ? noise.size() : random() % 20 == 0 ? 3000 : 120;
          const std::size_t n = most == noise.size() ? most : random() % most;
          const std::size_t from = random() % (noise.size() - n + 1);
          REQUIRE(c.append(g * 100 + f, bytes::copy(std::string_view(noise).substr(from, n))) == errc::ok);
          sent[{t, g, f}] = {from, n};
        }
        if (random() % 20 == 0) {
          REQUIRE(c.abort_group(g, application_code(1)) == errc::ok);
          given_up.insert({t, g});
        } else {
          REQUIRE(c.end_group() == errc::ok);
        }
      }
      p.pump_both();
      for (std::size_t i = random() % 300; i > 0 && p.net.step(p.client.session, p.server.session); --i) p.pump_both();
    }
    for (auto& [name, c] : tracks) c->finish();
    p.run();
    p.wait(seconds(5));
    CHECK(wrong == 0);
    std::size_t missing = 0;
    for (const auto& [k, what] : sent)
      if (given_up.count({k[0], k[1]}) == 0 && (got.count(k) == 0 || got[k] != what.second)) ++missing;
    CHECK(missing == 0);
    std::size_t unended = 0;
    for (std::uint64_t t = 0; t < 10; ++t)
      for (std::uint64_t g = 0; g < 100; ++g) {
        if (given_up.count({t, g}) != 0) continue;
        const auto e = ends.find({t, g});
        if (e == ends.end() || e->second != errc::ok) ++unended;
      }
    CHECK(unended == 0);
    CHECK_MESSAGE(p.net.violations() == 0, p.net.last_violation());
  }
}

TEST_CASE(
    "Parameter negotiation and version compatibility: each version meets each other one [seed 5.5.4] R-002 R-006") {
  for (const version c : versions) {
    for (const version s : versions) {
      CAPTURE(facts(c).name);
      CAPTURE(facts(s).name);
      config server;
      server.side = endpoint::server;
      server.versions = only(s);
      pair p(c);
      session other(server);
      (void)p.client.session.start(p.net.a().protocol(), p.net.now());
      (void)other.start(p.net.b().protocol(), p.net.now());
      errc client_closed = errc::ok;
      errc server_closed = errc::ok;
      const auto turn = [&] {
        p.drain(p.client);
        while (auto e = other.next_event())
          if (auto* end = std::get_if<session_closed>(&*e)) server_closed = end->why;
        pump(p.client.session, p.net.a(), p.net.now());
        pump(other, p.net.b(), p.net.now());
      };
      turn();
      while (p.net.step(p.client.session, other)) turn();
      turn();
      if (p.client.count<session_closed>() != 0)
        client_closed = p.client.first<session_closed>().by_peer ? errc::closed : errc::no_common_version;
      CHECK((client_closed == errc::ok) == (c == s));
      CHECK(server_closed == (c == s ? errc::ok : errc::no_common_version));
      CHECK(p.net.violations() == 0);
    }
  }
}

TEST_CASE("1000 groups are open at once over 100 tracks and all arrive [seed 5.1]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    pair p(v, {.chunk_max = 50});
    shelf tracks;
    serve_from(p.server, tracks);
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> got;
    std::size_t whole = 0;
    p.client.react = [&](session&, const event& e) {
      if (auto* f = std::get_if<frame_part>(&e))
        got[{static_cast<std::uint64_t>(f->subscription), f->group}] += f->payload.text();
      if (auto* g = std::get_if<group_finished>(&e)) whole += g->why == errc::ok ? 1 : 0;
      p.client.events.clear();
    };
    p.start();
    p.run();
    std::vector<std::uint64_t> ids;
    for (int t = 0; t < 100; ++t) {
      track_cache& c = put_on(tracks, "room", std::to_string(t), {.max_age_ms = 10'000'000});
      REQUIRE(c.begin_group(p.net.now()) == errc::ok);
      REQUIRE(c.append(0, bytes::copy("-")) == errc::ok);
      REQUIRE(c.end_group() == errc::ok);
      const auto id = p.client.session.subscribe("room", std::to_string(t), {patient()}, p.net.now());
      REQUIRE(id.has_value());
      ids.push_back(static_cast<std::uint64_t>(*id));
    }
    p.run();
    CHECK(whole == 100);
    for (auto& [name, c] : tracks)
      for (std::uint64_t g = 10; g > 0; --g)  // older ones stay open beside the newest
        REQUIRE(c->begin_group(g, p.net.now()) == errc::ok);
    p.run();
    for (int round = 0; round < 3; ++round) {
      for (auto& [name, c] : tracks)
        for (std::uint64_t g = 1; g <= 10; ++g)
          REQUIRE(c->append(g, static_cast<std::uint64_t>(round), bytes::copy(std::to_string(round) + name)) ==
                  errc::ok);
      p.run();
    }
    CHECK(p.net.open_streams() >= 1000);
    for (auto& [name, c] : tracks)
      for (std::uint64_t g = 1; g <= 10; ++g) REQUIRE(c->end_group(g) == errc::ok);
    p.run();
    CHECK(whole == 1100);
    std::size_t wrong = 0;
    for (std::size_t t = 0; t < 100; ++t)
      for (std::uint64_t g = 1; g <= 10; ++g) {
        const std::string name = "room|" + std::to_string(t);
        if (got[{ids[t], g}] != "0" + name + "1" + name + "2" + name) ++wrong;
      }
    CHECK(wrong == 0);
    CHECK_MESSAGE(p.net.violations() == 0, p.net.last_violation());
  }
}

TEST_CASE("500 groups beyond the stream limit are all delivered [seed 3.1.2]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    pair p(v, {.streams_uni = 5});
    shelf tracks;
    serve_from(p.server, tracks);
    track_cache& c = put_on(tracks, "room", "video", {.max_age_ms = 10'000'000});
    p.start();
    p.run();
    REQUIRE(p.client.session.subscribe("room", "video", {patient()}, p.net.now()).has_value());
    p.run();
    for (int g = 0; g <= 500; ++g) {
      REQUIRE(c.begin_group(p.net.now()) == errc::ok);
      REQUIRE(c.append(0, bytes::copy(std::to_string(g))) == errc::ok);
      if (g == 0) p.run();
    }
    c.finish();
    p.run();
    p.wait(seconds(2));
    CHECK(p.client.count<group_started>() == 501);
    CHECK(p.client.count<group_finished>() == 501);
    CHECK(p.client.count<subscription_closed>() == 1);
    CHECK_MESSAGE(p.net.violations() == 0, p.net.last_violation());
  }
}

TEST_CASE("1000 announcements come, change and go [seed 6.2]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    pair p(v, {.chunk_max = 999});
    p.start();
    p.run();
    std::vector<announcement_id> ids;
    for (int i = 0; i < 500; ++i) ids.push_back(*p.server.session.announce("room/" + std::to_string(i)));
    REQUIRE(p.client.session.discover("room", p.net.now()).has_value());
    p.run();
    for (int i = 500; i < 1000; ++i) ids.push_back(*p.server.session.announce("room/" + std::to_string(i)));
    p.run();
    CHECK(p.client.count<announced>() == 1000);
    for (const announcement_id id : ids) REQUIRE(p.server.session.withdraw(id) == errc::ok);
    p.run();
    CHECK(p.client.count<announce_ended>() == 1000);
    CHECK_MESSAGE(p.net.violations() == 0, p.net.last_violation());
  }
}

TEST_CASE(
    "the interop script runs between each pair of roles: announce, subscribe, fetch, probe, back, GOAWAY, close [seed "
    "7.2]") {
  for (const version v : versions) {
    for (const bool client_first : {true, false}) {
      CAPTURE(facts(v).name);
      CAPTURE(client_first);
      config c;
      c.probe = probe_level::report;
      c.path = "/live?x=1";
      config d = c;
      d.path = {};
      pair p(v, {.stats = {20'000, 10'000, 5'000'000, 0, 0}}, c, d);
      side& one = client_first ? p.client : p.server;
      side& two = client_first ? p.server : p.client;
      shelf ones, twos;
      serve_from(one, ones);
      serve_from(two, twos);
      p.start();
      p.run();
      for (auto [x, tracks, name] : {std::tuple(&one, &ones, "one"), std::tuple(&two, &twos, "two")}) {
        track_cache& t = put_on(*tracks, name, "t");
        REQUIRE(x->session.announce(name).has_value());
        REQUIRE(t.begin_group(p.net.now()) == errc::ok);
        REQUIRE(t.append(5, bytes::copy(std::string("hello from ") + name)) == errc::ok);
        REQUIRE(t.end_group() == errc::ok);
      }
      for (auto [x, theirs] : {std::tuple(&two, "one"), std::tuple(&one, "two")}) {
        REQUIRE(x->session.discover("", p.net.now()).has_value());
        p.run();
        REQUIRE(x->count<announced>() == 1);
        CHECK(x->all<announced>()[0].path == theirs);
        REQUIRE(x->session.subscribe(theirs, "t", {patient()}, p.net.now()).has_value());
        p.run();
        REQUIRE(x->count<frame_part>() == 1);
        CHECK(x->all<frame_part>()[0].payload == std::string("hello from ") + theirs);
        CHECK(x->count<group_finished>() == 1);
        const auto f = x->session.fetch(theirs, "t", 0, {}, p.net.now());
        CHECK(f.has_value() == has_fetch(v));
        p.run();
        if (has_fetch(v)) {
          REQUIRE(x->count<fetch_part>() == 1);
          CHECK(x->all<fetch_part>()[0].payload == std::string("hello from ") + theirs);
          CHECK(x->first<fetch_closed>().why == errc::ok);
          REQUIRE(x->session.probe() == errc::ok);
          p.run();
          CHECK(x->count<bandwidth>() == 1);
        }
      }
      CHECK((one.session.goaway("", {}, p.net.now()) == errc::ok) == has_goaway(v));
      p.run();
      CHECK(two.count<goaway_received>() == (has_goaway(v) ? 1 : 0));
      if (has_goaway(v)) CHECK(two.session.subscribe("one", "t", {}, p.net.now()).error() == errc::going_away);
      one.session.close();
      p.run();
      CHECK(two.count<session_closed>() == 1);
      CHECK(two.first<session_closed>().code == 0);
      CHECK_MESSAGE(p.net.violations() == 0, p.net.last_violation());
    }
  }
}
