// Sessions on real QUIC, joined in memory and in virtual time.

#include <doctest/doctest.h>

#include <map>

#include "pair.hpp"
#include "quic_link.hpp"

using namespace moql;
using testing::keep;
using testing::quic_link;
using testing::side;
using testing::versions;

namespace {

struct quic_pair {
  quic_link net;
  side client, server;

  explicit quic_pair(version v, testing::quic_link_options o = {})
      : net((o.protocols = {std::string(testing::token(v))}, o)),
        client(testing::only_version({}, v, endpoint::client)),
        server(testing::only_version({}, v, endpoint::server)) {
    REQUIRE(net.is_established());
    REQUIRE(client.session.start(net.a().protocol(), net.now()) == errc::ok);
    REQUIRE(server.session.start(net.b().protocol(), net.now()) == errc::ok);
  }
  /// Until nothing is in flight.
  void run() {
    do {
      for (side* s : {&client, &server}) {
        while (const auto e = s->session.next_event()) {
          s->events.push_back(keep(*e));
          s->react(s->session, *e);
        }
      }
      pump(client.session, net.a(), net.now());
      pump(server.session, net.b(), net.now());
    } while (net.step(client.session, server.session) || client.session.has_events() || server.session.has_events());
  }
  /// The server answers every request from `cache`.
  void serve(track_cache& cache) {
    server.react = [&cache](session& s, const event& e) {
      if (const auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(r->request, cache) == errc::ok);
      if (const auto* r = std::get_if<track_requested>(&e)) CHECK(s.serve(r->request, cache) == errc::ok);
    };
  }
  void subscribe() {
    run();
    REQUIRE(client.session.subscribe("room", "video", {.want = {.max_age_ms = 600'000}}, net.now()).has_value());
    run();
  }
  /// The payload of each group, frames set apart.
  [[nodiscard]] std::map<std::uint64_t, std::string> groups() const {
    std::map<std::uint64_t, std::string> out;
    for (const auto& h : client.events)
      if (const auto* f = std::get_if<frame_part>(&h.what)) {
        out[f->group] += h.payload;
        if (f->is_last()) out[f->group] += '|';
      }
    return out;
  }
};

std::string payload(std::size_t group, std::size_t frame, std::size_t size) {
  std::string out = std::to_string(group) + "/" + std::to_string(frame) + ":";
  while (out.size() < size) out += static_cast<char>('a' + out.size() * (group + frame + 1) % 26);
  return out;
}

/// Writes groups and returns what should arrive.
std::map<std::uint64_t, std::string> publish(track_cache& cache, std::size_t groups, std::size_t frames,
                                             std::size_t size, instant now) {
  std::map<std::uint64_t, std::string> out;
  for (std::size_t g = 0; g < groups; ++g) {
    REQUIRE(cache.begin_group(now) == errc::ok);
    for (std::size_t f = 0; f < frames; ++f) {
      const std::string p = payload(g, f, size);
      REQUIRE(cache.append(g * frames + f, bytes::copy(p)) == errc::ok);
      out[g] += p + '|';
    }
    REQUIRE(cache.end_group() == errc::ok);
  }
  return out;
}

}  // namespace

TEST_CASE("sessions of every version exchange frames over QUIC [seed 3.1.2]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    quic_pair p(v);
    track_cache video({.max_age_ms = 600'000});
    p.serve(video);
    p.run();
    CHECK(p.client.count<connected>() == 1);
    CHECK(p.server.count<connected>() == 1);
    CHECK(p.client.session.negotiated() == v);
    REQUIRE(p.server.session.announce("room").has_value());
    REQUIRE(p.client.session.discover("", p.net.now()).has_value());
    p.run();
    REQUIRE(p.client.count<announced>() == 1);
    CHECK(p.client.all<announced>()[0].path == "room");
    p.subscribe();
    const auto said = publish(video, 5, 7, 3000, p.net.now());
    p.run();
    CHECK((p.groups() == said));
    CHECK(p.client.count<group_finished>() == 5);
    p.client.session.close(session_code::no_error, "enough");
    p.run();
    REQUIRE(p.server.count<session_closed>() == 1);
    CHECK(p.server.first<session_closed>().by_peer);
    CHECK(p.server.all<session_closed>()[0].text == "enough");
  }
}

TEST_CASE("500 groups past a stream-credit limit of 10 arrive without loss, in every version [seed 3.1.2]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    quic_pair p(v, {.streams_max = 10});
    track_cache video({.max_age_ms = 600'000});
    p.serve(video);
    p.subscribe();
    const auto said = publish(video, 500, 2, 200, p.net.now());
    p.run();
    CHECK(p.client.count<group_finished>() == 500);
    CHECK(p.client.count<groups_lost>() == 0);
    CHECK((p.groups() == said));
  }
}

TEST_CASE("groups arrive whole though every twentieth packet is lost [seed 3.1.2]") {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    CAPTURE(seed);
    quic_pair p(lite06, {.seed = seed, .loss_percent = 5, .delay = milliseconds(10)});
    track_cache video({.max_age_ms = 600'000});
    p.serve(video);
    p.subscribe();
    const auto said = publish(video, 40, 5, 10'000, p.net.now());
    p.run();
    CHECK(p.client.count<group_finished>() == 40);
    CHECK((p.groups() == said));
  }
}

TEST_CASE("groups travel in QUIC datagrams in 05 and 06 R-143 [seed 3.1.2]") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    quic_pair p(v);
    track_cache meter({.max_age_ms = 600'000});
    p.serve(meter);
    p.subscribe();
    std::vector<std::string> said, got;
    for (std::size_t i = 0; i < 20; ++i) {
      said.push_back(payload(i, 0, i * 40));
      REQUIRE(meter.write_datagram(i, bytes::copy(said.back()), p.net.now()) == errc::ok);
      p.run();
    }
    for (const auto& h : p.client.all<datagram_received>()) got.push_back(h.payload);
    CHECK(got == said);
  }
}

TEST_CASE("a subscriber that leaves stops the streams of its subscription, and others go on [seed 3.4]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    quic_pair p(v, {.stream_window = 16 * 1024, .stream_buffer = 16 * 1024});
    track_cache video({.max_age_ms = 600'000});
    p.serve(video);
    p.run();
    const auto id = p.client.session.subscribe("room", "video", {.want = {.max_age_ms = 600'000}}, p.net.now());
    REQUIRE(id.has_value());
    p.run();
    REQUIRE(video.begin_group(p.net.now()) == errc::ok);
    REQUIRE(video.append(0, bytes::copy(payload(0, 0, 5000))) == errc::ok);
    p.run();
    CHECK(p.client.session.unsubscribe(*id) == errc::ok);
    p.run();
    REQUIRE(video.append(1, bytes::copy(payload(0, 1, 5000))) == errc::ok);  // nobody wants it
    p.run();
    CHECK(p.server.count<request_closed>() >= 1);
    CHECK(!p.server.session.is_closed());
    const std::size_t before = p.client.count<frame_part>();
    REQUIRE(p.client.session.subscribe("room", "video", {.want = {.max_age_ms = 600'000}}, p.net.now()).has_value());
    p.run();
    CHECK(p.client.count<frame_part>() > before);
  }
}
