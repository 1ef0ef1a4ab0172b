/// Whole sessions over QMux: every version in every revision, through sockets that are slow and cut anywhere.

#include <doctest/doctest.h>

#include "pair.hpp"
#include "qmux_pair.hpp"

using namespace moql;
using qmux::carrier;
using qmux::revision;
using testing::side;
using testing::versions;

namespace {

/// Each side's session starts when its connection knows the protocol, as a program's does.
struct sessions {
  testing::qmux_pair net;
  side client, server;
  bool has_started[2] = {false, false};
  moql::version ver;

  sessions(moql::version v, const testing::qmux_pair::options& o, binding over)
      : net(o), client(settings(v, endpoint::client, over)), server(settings(v, endpoint::server, over)), ver(v) {}
  static config settings(moql::version v, endpoint side, binding over) {
    config c;
    c.over = over;
    if (side == endpoint::client && !carries_uri(over)) c.path = "/room";
    return testing::only_version(c, v, side);
  }
  void serve(side& x, qmux::connection& c, bool& started) {
    if (!started && c.is_ready()) {
      started = true;
      CHECK(x.session.start(c.protocol(), net.now()) == errc::ok);
    }
    while (const auto e = x.session.next_event()) {
      x.events.push_back(testing::keep(*e));
      x.react(x.session, *e);
    }
    if (started) pump(x.session, c, net.now());
  }
  bool serve_both() {
    serve(client, net.a(), has_started[0]);
    serve(server, net.b(), has_started[1]);
    return client.session.has_events() || server.session.has_events();
  }
  void run() {
    while (serve_both() || net.step(client.session, server.session)) {
    }
  }
  void wait(duration d) {
    const instant until = net.now() + d;
    for (run();; run()) {
      const instant next =
          std::min({client.session.next_deadline(), server.session.next_deadline(), net.next_deadline()});
      if (next > until) break;
      net.advance_to(next);
      (void)net.wait(client.session, server.session, next);
    }
  }
};

void deliver(moql::version v, revision r, carrier over, bool agrees_inside) {
  CAPTURE(facts(v).name);
  CAPTURE(static_cast<int>(r));
  CAPTURE(static_cast<int>(over));
  const std::string_view tokens[] = {facts(v).protocol};
  auto o = testing::qmux_pair::alike(r, over);
  for (qmux::config* c : {&o.a, &o.b}) {
    if (agrees_inside)
      c->protocols = tokens;
    else
      c->protocol = facts(v).protocol;
    c->caps.stream_backlog_bytes = 3000;
    c->caps.max_stream_data = 5000;
    c->caps.max_data = 20'000;
    c->caps.max_streams_uni = 4;
  }
  o.piece_max = 900;
  sessions p(v, o, over == carrier::messages ? binding::qmux_websocket : binding::qmux_tls);
  track_cache video({.timescale = 90'000});
  p.server.react = [&](session& s, const event& e) {
    if (auto* q = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(q->request, video) == errc::ok);
    if (auto* q = std::get_if<track_requested>(&e)) CHECK(s.serve(q->request, video) == errc::ok);
  };
  p.run();
  REQUIRE(p.server.session.announce("room/alice").has_value());
  CHECK(p.client.session.discover("room", p.net.now()).has_value());
  p.run();
  REQUIRE(p.client.count<announced>() == 1);
  REQUIRE(p.client.session.subscribe("room/alice", "video", {.want = {.max_age_ms = 60'000}}, p.net.now()).has_value());
  p.run();
  const std::string payload(7'000, 'x');
  for (int i = 0; i < 12; ++i) {
    REQUIRE(video.begin_group(p.net.now()) == errc::ok);
    REQUIRE(video.append(static_cast<std::uint64_t>(3000 * i), bytes::copy(payload)) == errc::ok);
    if (i % 3 == 0) p.run();
  }
  p.run();
  video.finish();
  p.wait(seconds(5));
  std::size_t heard = 0;
  for (const auto& h : p.client.all<frame_part>()) heard += h.payload.size();
  CHECK(heard == 12 * payload.size());
  CHECK(p.client.count<group_finished>() == 12);
  REQUIRE(p.client.count<subscription_closed>() == 1);
  CHECK(p.client.first<subscription_closed>().why == errc::ok);

  p.client.session.close(session_code::unauthorized, "done");
  p.run();
  REQUIRE(p.server.count<session_closed>() == 1);
  CHECK(p.server.first<session_closed>().by_peer);
  CHECK(p.server.first<session_closed>().code == static_cast<std::uint64_t>(session_code::unauthorized));
  CHECK(p.server.all<session_closed>()[0].text == "done");
  CHECK(p.net.a().fault() == qmux::fault::none);
  CHECK(p.net.b().fault() == qmux::fault::none);
}

}  // namespace

TEST_CASE("sessions of every version work over QMux messages, in every revision") {
  for (const moql::version v : versions)
    for (const revision r : {revision::webtransport, revision::qmux00, revision::qmux01, revision::qmux02})
      deliver(v, r, carrier::messages, false);
}
TEST_CASE("sessions of every version work over a QMux byte stream, the token agreed on outside or inside") {
  for (const moql::version v : versions)
    for (const revision r : {revision::qmux00, revision::qmux01, revision::qmux02})
      for (const bool agrees_inside : {false, true}) deliver(v, r, carrier::byte_stream, agrees_inside);
}
