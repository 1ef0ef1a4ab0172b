/// How a session comes to be: versions by token and in-band, SETUP, and the clocks that run meanwhile.

#include <doctest/doctest.h>

#include "counting_memory.hpp"
#include "peer.hpp"

#include <algorithm>

using namespace moql;
using testing::arrival;
using testing::differs_by_arrival;
using testing::peer;
using testing::versions;

namespace {

constexpr auto bidi = direction::bidi;
constexpr auto uni = direction::uni;
constexpr auto client = endpoint::client;
constexpr auto server = endpoint::server;

const std::string v01 = "c0000000ff0dad01";
const std::string v02 = "c0000000ff0dad02";
const std::string v05 = "c0000000ff0dad05";

config both_in_band(endpoint e) {
  config c;
  c.side = e;
  c.versions = only(lite01, lite02);
  return c;
}
std::string byte(std::size_t n) { return tests::to_hex(std::vector<std::uint8_t>{static_cast<std::uint8_t>(n)}); }
std::string two_bytes(std::size_t n) { return byte(0x40 | n >> 8) + byte(n & 0xff); }
/// A SETUP with these parameters, as it travels behind the stream type.
std::string setup(std::size_t count, std::string parameters) {
  parameters.erase(std::remove(parameters.begin(), parameters.end(), ' '), parameters.end());
  const std::string body = (count < 64 ? byte(count) : two_bytes(count)) + parameters;
  const std::size_t n = body.size() / 2;
  return "01" + (n < 64 ? byte(n) : two_bytes(n)) + body;
}
config over(binding b) {
  config c;
  c.over = b;
  return c;
}
/// What a session makes of one SETUP.
struct setup_verdict {
  std::optional<std::uint64_t> closed;
  std::string setup;
};
setup_verdict judge(version v, endpoint side, const config& c, const std::string& hex) {
  peer p(v, side, c);
  (void)p.start();
  p.open(uni, hex, true);
  CHECK(p.net.broken_promises == 0);
  for (const auto& h : p.x.events)
    if (std::holds_alternative<peer_setup>(h.what)) return {p.net.close_code, testing::line_of(h)};
  return {p.net.close_code, {}};
}
constexpr std::uint64_t violation = 0x3;

}  // namespace

// ---- 01 and 02

TEST_CASE(
    "R-001 the client opens the Session stream at once and offers its versions before anything else "
    "[seed 7.2 a]") {
  for (const bool draft : {false, true}) {
    config c = both_in_band(client);
    c.draft_opening = draft;
    c.over = binding::webtransport;
    peer p(lite02, c);
    CHECK(p.start() == errc::ok);
    REQUIRE(p.s().discover("room", p.now).has_value());
    REQUIRE(p.s().subscribe("room/a", "video", {}, p.now).has_value());
    p.run();
    REQUIRE(p.net.opened.size() == 1);
    CHECK(p.sent(1) == (draft ? "0012" : "200012") + ("02" + v02 + v01 + "00"));
    CHECK(!p.on(1).fin);
    CHECK(p.x.events.empty());
    p.send(1, draft ? "09" + v02 + "00" : "210009" + v02 + "00");
    CHECK(p.log() == "connected 02\n");
    REQUIRE(p.net.opened.size() == 3);
    CHECK(p.sent(2) == "010504726f6f6d");
    CHECK(p.sent(3).starts_with("02"));
  }
}

TEST_CASE("R-001 an opening in-band reads the same however its bytes arrive, in both forms [seed 7.3 a]") {
  for (const bool draft : {false, true})
    for (const version chosen : {lite01, lite02}) {
      const std::string number = chosen == lite01 ? v01 : v02;
      const auto as_client = [&](arrival a) {
        config c = both_in_band(client);
        c.draft_opening = draft;
        peer p(lite02, c);
        p.pieces = a;
        (void)p.start();
        p.send(1, (draft ? "09" + number + "00" : "210009" + number + "00") + "04802625a0");
        return p.log();
      };
      CHECK(as_client({}) == "connected " + std::string(facts(chosen).name) + "\nmeasured 2500000 rtt 0\n");
      CHECK(differs_by_arrival(20, as_client) == "");
      const auto as_server = [&](arrival a) {
        peer p(lite02, both_in_band(server));
        p.pieces = a;
        (void)p.start();
        const auto id = p.open(bidi, (draft ? "000a" : "20000a") + ("01" + number + "00") + "04802625a0");
        return p.log() + p.sent(id) + "\n";
      };
      CHECK(as_server({}) == "connected " + std::string(facts(chosen).name) + "\nmeasured 2500000 rtt 0\n" +
                                 (draft ? "09" : "210009") + number + "00\n");
      CHECK(differs_by_arrival(24, as_server) == "");
    }
}

TEST_CASE("R-002 the server takes the first version of the client's list that it speaks [seed 3.2 a]") {
  const auto ask = [](const config& c, const std::string& list, int n) {
    const std::string body = "0" + std::to_string(n) + list + "00";
    peer p(lite02, c);
    (void)p.start();
    const auto id = p.open(bidi, "00" + byte(body.size() / 2) + body);
    return p.net.close_code ? "closed " + std::to_string(*p.net.close_code) : p.sent(id);
  };
  const config any = both_in_band(server);
  CHECK(ask(any, v02 + v01, 2) == "09" + v02 + "00");
  CHECK(ask(any, v01 + v02, 2) == "09" + v01 + "00");
  CHECK(ask(any, "c0000000ff00000e" + v01, 2) == "09" + v01 + "00");
  CHECK(ask(any, "c0000000ff0dad77" + v02, 2) == "09" + v02 + "00");
  config old = any;
  old.versions = only(lite01);
  CHECK(ask(old, v02 + v01, 2) == "09" + v01 + "00");
}

TEST_CASE("R-002 when no version fits the session ends with 0x15 [seed 3.2 a] [seed 7.2 c] [seed 7.4.1 b]") {
  const auto closed_by = [](const std::string& hex) {
    peer p(lite02, both_in_band(server));
    (void)p.start();
    p.open(bidi, hex);
    CHECK(p.log() == "session closed (no version is common to both sides, 21)\n");
    return p.closed_with(session_code::version_negotiation_failed);
  };
  CHECK(closed_by("00020000"));                    // an empty list
  CHECK(closed_by("2000020000"));                  // the same in practice
  CHECK(closed_by("000a01" + v05 + "00"));         // agreed by token only, never by number
  CHECK(closed_by("20000a01c0000000ff00000e00"));  // moq-transport 14
}

TEST_CASE("R-002 a server that picks what was not offered is left with 0x15 [seed 3.2 b] [seed 7.3 b]") {
  for (const bool draft : {false, true})
    for (const std::string& number : {v02, v05, std::string("c0000000ff00000e"), std::string("00")}) {
      config c = both_in_band(client);
      c.versions = only(lite01);
      c.draft_opening = draft;
      peer p(lite01, c);
      (void)p.start();
      const std::string body = number + "00";
      p.send(1, (draft ? "" : "2100") + byte(body.size() / 2) + body);
      CHECK(p.closed_with(session_code::version_negotiation_failed));
      CHECK(p.x.count<connected>() == 0);
    }
}

TEST_CASE("R-003 a second Session stream ends the session [seed 6.1 b]") {
  for (const version v : {lite01, lite02})
    for (const char* type : {"00", "20"}) {
      peer p(v, server);
      p.up();
      CHECK(p.x.count<connected>() == 1);
      p.open(bidi, type);
      CHECK(p.closed_with(session_code::protocol_violation));
      CHECK(p.x.last<session_closed>().why == errc::second_session_stream);
      CHECK(p.net.broken_promises == 0);
    }
}

TEST_CASE("R-003 a second Session stream before the first is answered ends the session too") {
  peer p(lite02, server);
  (void)p.start();
  p.open(bidi, "20");
  p.open(bidi, "00");
  CHECK(p.closed_with(session_code::protocol_violation));
}

TEST_CASE("R-001 only the client opens the Session stream: one from the server ends the session [seed 6.1 c]") {
  for (const version v : {lite01, lite02})
    for (const bool established : {false, true}) {
      peer p(v, client);
      if (established)
        p.up();
      else
        (void)p.start();
      p.open(bidi, "00");
      CHECK(p.closed_with(session_code::protocol_violation));
      CHECK(p.x.last<session_closed>().why == errc::wrong_direction);
    }
}

TEST_CASE("R-004 the end of the Session stream, FIN or reset, ends the session and everything in it [seed 3.5 c]") {
  for (const version v : {lite01, lite02})
    for (const endpoint e : {client, server})
      for (const int how : {0, 1, 2}) {
        peer p(v, e);
        p.up();
        REQUIRE(p.s().discover("", p.now).has_value());
        REQUIRE(p.s().subscribe("a", "b", {}, p.now).has_value());
        p.run();
        const std::uint64_t id = e == client ? 1 : p.session_stream;
        if (how == 0) p.fin(id);
        if (how == 1) p.reset(id, 7);
        if (how == 2) p.stop(id, 7);
        CHECK(p.closed_with(session_code::no_error));
        CHECK(p.x.count<interest_closed>() == 1);
        CHECK(p.x.count<subscription_closed>() == 1);
        REQUIRE(p.x.count<session_closed>() == 1);
        CHECK(p.x.last<session_closed>().why == errc::session_stream_ended);
        CHECK(std::holds_alternative<session_closed>(p.x.events.back().what));
        CHECK(p.net.broken_promises == 0);
      }
}

TEST_CASE(
    "R-004 garbage on the Session stream is the peer's fault and closes with a protocol violation [seed "
    "3.3 c] [seed 7.3 c] [seed 7.3 d]") {
  const auto client_gets = [](bool draft, std::string_view hex, bool fin = false) {
    config c = both_in_band(client);
    c.draft_opening = draft;
    peer p(lite02, c);
    (void)p.start();
    p.send(1, hex, fin);
    return p.net.close_code;
  };
  CHECK(client_gets(false, "20000a01" + v02 + "00") == violation);  // CLIENT_SETUP to a client
  CHECK(client_gets(false, "09" + v02 + "00") == violation);        // the other opening
  CHECK(client_gets(true, "0a01" + v02 + "00") == violation);       // SESSION_CLIENT to a client
  CHECK(client_gets(true, "0f" + v02 + "02" +
                              "0101aa"
                              "0101bb") == violation);  // an extension twice
  CHECK(client_gets(true, "09" + v02 +
                              "00"
                              "09" +
                              v02 + "00") == violation);       // a second SESSION_SERVER
  CHECK(client_gets(true, "0a" + v02 + "00aa") == violation);  // a byte behind it
  CHECK(client_gets(true, "09" + v02, true) == violation);     // cut
  const auto server_gets = [](std::string_view hex, bool fin = false) {
    peer p(lite02, both_in_band(server));
    (void)p.start();
    p.open(bidi, hex, fin);
    return p.net.close_code;
  };
  CHECK(server_gets("00"
                    "09" +
                    v02 + "00") == violation);  // SESSION_SERVER to a server: its count runs past the end
  CHECK(server_gets("00"
                    "04802625a0") == violation);  // SESSION_UPDATE before the offer
  CHECK(server_gets("00"
                    "0b01" +
                    v02 + "00aa") == violation);  // [seed 7.2 d]
  CHECK(server_gets("20"
                    "000b01" +
                    v02 + "00aa") == violation);
  CHECK(server_gets("00"
                    "0a01" +
                        v02,
                    true) == violation);
}

TEST_CASE("R-001 a list of versions that claims more than its message holds costs no memory [seed 7.2 b]") {
  for (const std::string& hex : {std::string("000580100000aa"), std::string("2000058010000000")}) {
    counting_memory m;
    peer p(lite02, both_in_band(server), m.get());
    (void)p.start();
    const auto id = p.open(bidi);
    const std::size_t before = m.bytes_high;
    p.send(id, hex);
    CHECK(p.closed_with(session_code::protocol_violation));
    CHECK(m.bytes_high < before + 4096);
  }
}

TEST_CASE("R-005 SESSION_UPDATE comes and goes after the handshake, in both openings; 0 is unknown [seed 7.4 a]") {
  for (const version v : {lite01, lite02})
    for (const bool draft : {false, true}) {
      config c;
      c.draft_opening = draft;
      peer a(v, client, c);
      CHECK(a.start() == errc::ok);
      CHECK(a.s().report(1, 0) == errc::wrong_state);
      const std::string number = v == lite01 ? v01 : v02;
      a.send(1, draft ? "09" + number + "00" : "210009" + number + "00");
      a.send(1, "04802625a0");
      a.send(1, "0100");
      REQUIRE(a.x.count<bandwidth>() == 2);
      CHECK(a.x.first<bandwidth>().bitrate == 2'500'000);
      CHECK(!a.x.first<bandwidth>().is_target);
      CHECK(a.x.last<bandwidth>().bitrate == 0);
      const std::size_t before = a.sent(1).size();
      CHECK(a.s().report(2'500'000, 20) == errc::ok);
      a.run();
      CHECK(a.sent(1).substr(before) == "04802625a0");

      peer b(v, server);
      b.up();
      CHECK(b.s().report(0, 0) == errc::ok);
      b.run();
      CHECK(b.sent(b.session_stream).ends_with("0100"));
      b.send(b.session_stream, "0105");
      CHECK(b.x.last<bandwidth>().bitrate == 5);
    }
}

TEST_CASE("the path of the URL travels in CLIENT_SETUP where the binding has none [seed 7.1.1 a]") {
  config c = both_in_band(client);
  c.versions = only(lite02);
  c.path = "/x";
  peer a(lite02, c);
  (void)a.start();
  CHECK(a.sent(1) == "20000e01" + v02 + "0101022f78");
  c.over = binding::webtransport;
  peer b(lite02, c);
  (void)b.start();
  CHECK(b.sent(1) == "20000a01" + v02 + "00");

  // Parameter 2 is a number there, and no Path; other ids are skipped by their parity.
  peer s(lite02, server);
  (void)s.start();
  s.open(bidi, "20001a01" + v02 +
                   "04"
                   "0205"
                   "01022f79"
                   "0b03aabbcc"
                   "80040b5a01");
  CHECK(s.log() == "connected 02\nsetup path=/y role=0 probe=0 cost=1 hop=0\n");
}

// ---- 03 on: the token

TEST_CASE("R-006 from 03 on the token alone decides and no Session stream is opened [seed 3.1 a]") {
  for (const version v : versions) {
    if (negotiates_in_band(v)) continue;
    for (const endpoint e : {client, server}) {
      config any;
      any.side = e;
      peer p(v, any);
      CHECK(p.start() == errc::ok);
      CHECK(p.s().is_established());
      CHECK(p.s().negotiated() == v);
      CHECK(p.log() == "connected " + std::string(facts(v).name) + "\n");
      CHECK(p.ours(bidi).empty());
      CHECK(p.ours(uni).size() == (has_setup(v) ? 1 : 0));
    }
  }
}

TEST_CASE("R-006 a Session stream where there is none is reset and harms nothing [seed 6.1 d]") {
  for (const version v : versions) {
    if (negotiates_in_band(v)) continue;
    for (const endpoint e : {client, server})
      for (const std::string& hex : {"000a01" + v01 + "00", "20000a01" + v01 + "00"}) {
        peer p(v, e);
        p.up();
        const auto id = p.open(bidi, hex);
        CHECK(p.was_ended(id, stream_code::internal_error));
        CHECK(p.is_open());
        p.open(bidi, testing::hex(msg::subscribe{}, v).insert(0, "02"));
        CHECK(p.x.count<subscribe_requested>() == 1);
      }
  }
}

TEST_CASE("a token that is unknown or not accepted ends the session with 0x15 [seed 3.1.2 c]") {
  const auto verdict = [](std::string_view token, version_set accepted) {
    config c;
    c.versions = accepted;
    session s(c);
    const errc e = s.start(token, instant{1});
    while (s.next_event()) {
    }
    const auto a = s.next_action();
    if (e == errc::ok) return std::string(s.is_established() ? facts(s.negotiated()).name : "in-band");
    CHECK(e == errc::no_common_version);
    REQUIRE(a.has_value());
    CHECK(std::get<close_session>(*a).code == 0x15);
    CHECK(!s.next_action().has_value());
    return std::string("refused");
  };
  CHECK(verdict("moq-lite-03", always) == "03");
  CHECK(verdict("moq-lite-04", always) == "04");
  CHECK(verdict("moq-lite-05", always) == "05");
  CHECK(verdict("moq-lite-06", always) == "06");
  CHECK(verdict("moql", always) == "in-band");
  CHECK(verdict("", always) == "in-band");
  CHECK(verdict("moq-lite-06-wip", always) == "refused");
  CHECK(verdict("moq-lite-07", always) == "refused");
  CHECK(verdict("moq-00", always) == "refused");
  CHECK(verdict("moq-lite-06", only(lite05)) == "refused");
  CHECK(verdict("moql", since(lite03)) == "refused");
}

TEST_CASE("R-007 from 03 on requests go out and are served before anything of the peer's has come [seed 3.1 b]") {
  for (const version v : versions) {
    if (negotiates_in_band(v)) continue;
    for (const endpoint e : {client, server}) {
      peer p(v, e);
      REQUIRE(p.start() == errc::ok);
      REQUIRE(p.s().discover("room", p.now).has_value());
      REQUIRE(p.s().subscribe("room/a", "video", {}, p.now).has_value());
      p.run();
      CHECK(p.own(bidi, "01") != 0);
      CHECK(p.own(bidi, "02") != 0);
      p.open(bidi, "02" + testing::hex(msg::subscribe{.id = 4, .broadcast = "x", .track = "y"}, v));
      CHECK(p.x.count<subscribe_requested>() == 1);
    }
  }
}

TEST_CASE(
    "streams of the peer that come before the version is agreed wait for it and are read with it [seed "
    "3.1 b] [seed 7.3 d]") {
  for (const version v : {lite01, lite02}) {
    const std::string request = "02" + testing::hex(msg::subscribe{.id = 4, .broadcast = "x", .track = "y"}, v);
    for (const endpoint e : {client, server}) {
      const auto script = [&](arrival a) {
        peer p(v, e);
        p.pieces = a;
        (void)p.start();
        const auto early = p.open(bidi, request);
        CHECK(p.x.events.empty());
        CHECK(!p.is_ended(early));
        p.pieces = {};
        p.up();
        return p.log();
      };
      CHECK(script({}) == "connected " + std::string(facts(v).name) + "\nsubscribe x y\n");
      CHECK(differs_by_arrival(request.size() / 2, script) == "");
    }
  }
}

TEST_CASE("R-016 an unknown stream that came before the version was agreed is judged once it is") {
  for (const version v : {lite01, lite02}) {
    peer p(v, client);
    (void)p.start();
    p.open(bidi, "3f");
    CHECK(p.is_open());
    p.send(1, "210009" + (v == lite01 ? v01 : v02) + "00");
    CHECK(p.closed_with(session_code::protocol_violation));
    CHECK(p.x.last<session_closed>().why == errc::unknown_stream_type);
  }
}

TEST_CASE("streams that wait for the version count as unidentified") {
  config c;
  c.caps.unidentified_streams_max = 3;
  peer p(lite02, client, c);
  (void)p.start();
  std::vector<std::uint64_t> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(p.open(bidi, "01"));
  for (int i = 0; i < 3; ++i) CHECK(!p.is_ended(ids[static_cast<std::size_t>(i)]));
  CHECK(p.was_ended(ids[3], stream_code::no_capacity));
  CHECK(p.is_open());
}

TEST_CASE("start twice is the caller's mistake and sends nothing twice [seed 3.1 c]") {
  for (const version v : versions) {
    peer p(v, client);
    CHECK(p.s().discover("", p.now).error() == errc::wrong_state);
    CHECK(p.start() == errc::ok);
    const std::size_t streams = p.net.opened.size();
    CHECK(p.s().start(testing::token(v), p.now) == errc::wrong_state);
    p.run();
    CHECK(p.net.opened.size() == streams);
    CHECK(p.is_open());
    p.s().close();
    CHECK(p.s().start(testing::token(v), p.now) != errc::ok);
  }
}

// ---- SETUP

TEST_CASE("R-023 one Setup stream with one SETUP and a FIN is written at the start, even if it is empty [seed 3.3 a]") {
  for (const version v : {lite05, lite06})
    for (const endpoint e : {client, server})
      for (const binding b : {binding::quic, binding::webtransport, binding::qmux_tls, binding::qmux_websocket}) {
        peer p(v, e, over(b));
        REQUIRE(p.start() == errc::ok);
        const auto streams = p.ours(uni);
        REQUIRE(streams.size() == 1);
        CHECK(p.net.opened.front() == streams[0]);
        const bool needs_path = v == lite05 && e == client && !carries_uri(b);
        CHECK(p.sent(streams[0]) == (needs_path ? "01040102012f" : "010100"));
        CHECK(p.on(streams[0]).fin);
        p.wait(seconds(5));
        p.open(uni, "010100", true);
        CHECK(p.ours(uni).size() == 1);
      }
}

TEST_CASE("R-023 what is configured travels in SETUP, in a fixed order [seed 7.1 d] [seed 7.4.2]") {
  config c;
  c.path = "/a?b";
  c.role = intent::subscriber;
  c.probe = probe_level::increase;
  c.cost = 0;
  c.hop = 0x1234;
  for (int again = 0; again < 2; ++again) {
    peer p(lite06, client, c);
    (void)p.start();
    CHECK(p.sent(p.ours(uni)[0]) ==
          "01"
          "14"
          "05"
          "010102"
          "02042f613f62"
          "030102"
          "040100"
          "05025234");
    peer q(lite06, server, c);
    (void)q.start();
    CHECK(q.sent(q.ours(uni)[0]) ==
          "01"
          "0b"
          "03"
          "010102"
          "040100"
          "05025234");
    peer r(lite05, client, c);
    (void)r.start();
    CHECK(r.sent(r.ours(uni)[0]) ==
          "01"
          "11"
          "04"
          "010102"
          "02042f613f62"
          "030102"
          "05025234");
  }
}

TEST_CASE("R-024 a second Setup stream closes the session [seed 3.3 b]") {
  for (const version v : {lite05, lite06})
    for (const endpoint e : {client, server}) {
      peer p(v, e);
      p.up();
      p.open(uni, "01");
      CHECK(p.closed_with(session_code::protocol_violation));
      CHECK(p.x.last<session_closed>().why == errc::second_setup);
      peer q(v, e);
      (void)q.start();
      q.open(uni, "01");
      CHECK(q.is_open());
      q.open(uni, "01");
      CHECK(q.closed_with(session_code::protocol_violation));
    }
}

TEST_CASE("a Setup stream has a verdict for every way it can go wrong [seed 3.3 b]") {
  for (const version v : {lite05, lite06}) {
    const auto verdict = [&](auto&& script) {
      peer p(v, server);
      (void)p.start();
      const auto id = p.open(uni);
      script(p, id);
      CHECK(p.net.broken_promises == 0);
      return p.net.close_code ? std::string(text_of(p.x.last<session_closed>().why))
                              : "open, " + std::to_string(p.x.count<peer_setup>()) + " setup";
    };
    CHECK(verdict([](peer& p, auto id) { p.send(id, "010100", true); }) == "open, 1 setup");
    CHECK(verdict([](peer& p, auto id) { p.send(id, "010100"); }) == "open, 1 setup");  // the FIN may be late
    CHECK(verdict([](peer& p, auto id) {
            p.send(id, "010100");
            p.reset(id, 1);
          }) == "open, 1 setup");
    const std::string cut(text_of(errc::setup_cut));
    CHECK(verdict([](peer& p, auto id) {
            p.send(id,
                   "010100"
                   "00");
          }) == cut);
    CHECK(verdict([](peer& p, auto id) {
            p.send(id,
                   "010100"
                   "0100",
                   true);
          }) == cut);
    CHECK(verdict([](peer& p, auto id) { p.send(id, "01", true); }) == cut);
    CHECK(verdict([](peer& p, auto id) { p.send(id, "0101", true); }) == cut);
    CHECK(verdict([](peer& p, auto id) { p.send(id, "010401020", true); }) == cut);
    CHECK(verdict([](peer& p, auto id) {
            p.send(id, "0101");
            p.reset(id, 0);
          }) == cut);
    CHECK(verdict([](peer& p, auto id) { p.send(id, "010200aa"); }) == text_of(errc::trailing));
    CHECK(verdict([](peer& p, auto id) { p.send(id, "01020101"); }) == text_of(errc::truncated));
  }
}

TEST_CASE("R-025 nothing waits for the peer's SETUP that does not depend on it") {
  for (const version v : {lite05, lite06})
    for (const endpoint e : {client, server}) {
      peer p(v, e);
      track_cache video({.timescale = 1000});
      p.x.react = [&](session& s, const event& ev) {
        if (auto* r = std::get_if<subscribe_requested>(&ev)) CHECK(s.serve(r->request, video) == errc::ok);
        if (auto* r = std::get_if<track_requested>(&ev)) CHECK(s.serve(r->request, video) == errc::ok);
      };
      (void)p.start();
      REQUIRE(video.begin_group(p.now) == errc::ok);
      REQUIRE(video.append(0, bytes::copy("x")) == errc::ok);
      const auto ask = p.open(bidi, "06" + testing::hex(msg::track{.broadcast = "x", .track_name = "y"}, v));
      p.open(bidi, "02" + testing::hex(msg::subscribe{.id = 4, .broadcast = "x", .track = "y"}, v));
      CHECK(p.on(ask).fin);
      CHECK(p.own(uni, "00") != 0);
      REQUIRE(p.s().query_track("a", "b", p.now).has_value());
      REQUIRE(p.s().discover("", p.now).has_value());
      p.run();
      CHECK(p.own(bidi, "06") != 0);
      CHECK(p.own(bidi, "01") != 0);
    }
}

TEST_CASE("R-026 the answer to an announce request waits for the peer's SETUP where its Hop decides, and only there") {
  for (const version v : {lite05, lite06}) {
    peer p(v, server);
    (void)p.start();
    REQUIRE(p.s().announce("a").has_value());
    const auto ask = p.open(bidi, v == lite05 ? "01020000" : "010100");
    CHECK(p.sent(ask).empty() == (v == lite06));
    CHECK(!p.is_ended(ask));
    p.open(uni, "010100", true);
    CHECK(p.sent(ask) == (v == lite05 ? "020001"
                                        "0401016100"
                                      : "020001"
                                        "000501"
                                        "61000000"));
  }
}

TEST_CASE("R-027 an unknown parameter is skipped and the session goes on [seed 3.2 c]") {
  for (const version v : {lite05, lite06})
    for (const endpoint e : {client, server}) {
      CHECK(judge(v, e, over(binding::webtransport), setup(2, "407f02abcd 010101")).setup ==
            "setup path=none role=0 probe=1 cost=1 hop=0");
      peer p(v, e);
      p.up(setup(1, "407f02abcd"));
      p.open(bidi, "02" + testing::hex(msg::subscribe{.id = 4, .broadcast = "x", .track = "y"}, v));
      CHECK(p.x.count<subscribe_requested>() == 1);
    }
}

TEST_CASE("R-028 a parameter that comes twice closes the session, known or not [seed 7.1 b]") {
  for (const version v : {lite05, lite06})
    for (const endpoint e : {client, server}) {
      CHECK(judge(v, e, {}, setup(2, "010101 010101")).closed == violation);
      CHECK(judge(v, e, {}, setup(2, "407f00 407f00")).closed == violation);
      CHECK(judge(v, e, {}, setup(3, "050107 407f00 050107")).closed == violation);
    }
}

TEST_CASE("parameters are bounded in number and must fill their length [seed 7.1 a] [seed 7.1 c]") {
  for (const version v : {lite05, lite06}) {
    const auto unknown = [](std::size_t n) {
      std::string out;
      for (std::size_t i = 0; i < n; ++i) out += two_bytes(0x80 + i) + "00";
      return out;
    };
    for (const std::size_t n : {0u, 1u, 64u}) CHECK(!judge(v, server, {}, setup(n, unknown(n))).closed);
    CHECK(judge(v, server, {}, setup(65, unknown(65))).closed == violation);
    CHECK(judge(v, server, {}, setup(1, "01020100")).closed == 0x6);     // a varint of one byte in two
    CHECK(judge(v, server, {}, setup(1, "010140")).closed.has_value());  // and of two bytes in one
    CHECK(judge(v, server, {},
                "0105"
                "80100000"
                "00")
              .closed == violation);
  }
}

TEST_CASE("R-029 an absent parameter has its default, and 0 is not the same as absent [seed 7.4.2 b]") {
  for (const version v : {lite05, lite06}) {
    CHECK(judge(v, server, {}, "010100").setup == "setup path=none role=0 probe=0 cost=1 hop=0");
    CHECK(judge(v, client, {}, "010100").setup == "setup path=none role=0 probe=0 cost=1 hop=0");
    CHECK(judge(v, server, {}, setup(3, "010102 040100 050109")).setup ==
          "setup path=none role=0 probe=2 cost=0 hop=9");
    peer p(v, server);
    (void)p.start();
    CHECK(p.s().peer().cost == 1);
    CHECK(p.s().peer().role == intent::both);
    CHECK(p.s().peer().probe == probe_level::none);
  }
}

TEST_CASE(
    "R-031 a client of 05 sends one Path that begins with a slash, and only where the binding has no URI "
    "[seed 7.4.2 d]") {
  const auto sent = [](std::string_view path, binding b) {
    config c = over(b);
    c.path = path;
    peer p(lite05, client, c);
    (void)p.start();
    return p.sent(p.ours(uni)[0]);
  };
  for (const binding b : {binding::quic, binding::qmux_tls}) {
    CHECK(sent("", b) == "01040102012f");
    CHECK(sent("/a", b) == "01050102022f61");
  }
  for (const binding b : {binding::webtransport, binding::qmux_websocket}) {
    CHECK(sent("", b) == "010100");
    CHECK(sent("/a", b) == "010100");
  }
  config strict;
  strict.require_path = true;
  CHECK(judge(lite05, server, strict, "010100").closed == violation);
  CHECK(!judge(lite05, server, strict, setup(1, "02012f")).closed);
  CHECK(!judge(lite05, server, {}, "010100").closed);
}

TEST_CASE(
    "R-032 a client of 06 sends path and query of its URL where the binding has no URI, and may send none "
    "[seed 7.4.2 d]") {
  const auto sent = [](std::string_view path, binding b) {
    config c = over(b);
    c.path = path;
    peer p(lite06, client, c);
    (void)p.start();
    return p.sent(p.ours(uni)[0]);
  };
  CHECK(sent("", binding::quic) == "010100");
  CHECK(sent("/a?t=1", binding::quic) ==
        "0109"
        "01"
        "02062f613f743d31");
  CHECK(sent("/a?t=1", binding::qmux_tls) ==
        "0109"
        "01"
        "02062f613f743d31");
  CHECK(sent("/a?t=1", binding::webtransport) == "010100");
  CHECK(sent("/a?t=1", binding::qmux_websocket) == "010100");
}

TEST_CASE("R-033 on 05 a Path that is empty or no URI path closes the session [seed 7.4.2 d]") {
  CHECK(judge(lite05, server, {}, setup(1, "0200")).closed == violation);
  CHECK(judge(lite05, server, {}, setup(1, "020161")).closed == violation);      // a
  CHECK(judge(lite05, server, {}, setup(1, "02032f2061")).closed == violation);  // / a
  CHECK(judge(lite05, server, {}, setup(1, "02032f2361")).closed == violation);  // /#a
  CHECK(judge(lite05, server, {}, setup(1, "02022fff")).closed == violation);
  CHECK(judge(lite05, server, {}, setup(1, "02022f61")).setup == "setup path=/a role=0 probe=0 cost=1 hop=0");
}

TEST_CASE("R-034 on 06 a Path that is not UTF-8 or no path with a query closes the session [seed 7.4.2 d]") {
  CHECK(judge(lite06, server, {}, setup(1, "020161")).closed == violation);
  CHECK(judge(lite06, server, {}, setup(1, "02022fff")).closed == violation);
  CHECK(judge(lite06, server, {}, setup(1, "02032f0061")).closed == violation);
  CHECK(judge(lite06, server, {}, setup(1, "02032f2361")).closed == violation);
  CHECK(judge(lite06, server, {}, setup(1, "0200")).setup == "setup path= role=0 probe=0 cost=1 hop=0");
  CHECK(judge(lite06, server, {}, setup(1, "02052f613f623d")).setup == "setup path=/a?b= role=0 probe=0 cost=1 hop=0");
  CHECK(judge(lite06, server, {}, setup(1, "02033f623d")).setup == "setup path=?b= role=0 probe=0 cost=1 hop=0");
}

TEST_CASE("R-035 the application hears the Path and closes a session whose Path it does not know") {
  for (const version v : {lite05, lite06}) {
    peer p(v, server);
    p.x.react = [](session& s, const event& e) {
      if (auto* u = std::get_if<peer_setup>(&e))
        if (u->path != "/known") s.close(session_code::unauthorized, "no such path");
    };
    (void)p.start();
    p.open(uni, setup(1, "02042f666f6f"), true);
    CHECK(p.closed_with(session_code::unauthorized));
    CHECK(p.net.close_reason == "no such path");
    CHECK(p.x.count<session_closed>() == 1);
    p.open(bidi, "02" + testing::hex(msg::subscribe{}, v));
    CHECK(p.x.count<subscribe_requested>() == 0);
  }
}

TEST_CASE("R-036 a Path on a binding that carries its own URI closes the session, also an empty one [seed 7.4.2 d]") {
  for (const version v : {lite05, lite06})
    for (const binding b : {binding::webtransport, binding::qmux_websocket}) {
      CHECK(judge(v, server, over(b), setup(1, "02012f")).closed == violation);
      CHECK(judge(v, server, over(b), setup(1, "0200")).closed == violation);
      CHECK(!judge(v, server, over(b), "010100").closed);
    }
  for (const binding b : {binding::quic, binding::qmux_tls})
    CHECK(!judge(lite06, server, over(b), setup(1, "02012f")).closed);
}

TEST_CASE(
    "R-037 a Path from the server closes the session, whatever its value and whatever the binding "
    "[seed 2.4.3 c] [seed 7.4.2 d]") {
  for (const version v : {lite05, lite06})
    for (const binding b : {binding::quic, binding::webtransport, binding::qmux_tls, binding::qmux_websocket}) {
      CHECK(judge(v, client, over(b), "01040102012f").closed == violation);
      CHECK(judge(v, client, over(b), setup(1, "0200")).closed == violation);
    }
}

TEST_CASE("R-038 on 06 a Role from the server closes the session, whatever its value [seed 7.4.2 a]") {
  for (const char* value : {"00", "01", "02", "09"})
    CHECK(judge(lite06, client, {}, setup(1, "0301" + std::string(value))).closed == violation);
  CHECK(judge(lite06, client, {},
              "0104"
              "01030100")
            .closed == violation);
  CHECK(!judge(lite05, client, {}, setup(1, "030100")).closed);  // there it was never in the text, and is deployed
}

TEST_CASE("R-039 an unknown Role is Both, a known one is told [seed 7.4.2 c]") {
  for (const version v : {lite05, lite06}) {
    CHECK(judge(v, server, {}, setup(1, "030100")).setup == "setup path=none role=0 probe=0 cost=1 hop=0");
    CHECK(judge(v, server, {}, setup(1, "030101")).setup == "setup path=none role=1 probe=0 cost=1 hop=0");
    CHECK(judge(v, server, {}, setup(1, "030102")).setup == "setup path=none role=2 probe=0 cost=1 hop=0");
    CHECK(judge(v, server, {}, setup(1, "030109")).setup == "setup path=none role=0 probe=0 cost=1 hop=0");
    CHECK(judge(v, server, {}, setup(1, "030200")).closed.has_value());  // 2 bytes that are not one varint: cut
  }
}

TEST_CASE("R-042 a Hop of 0 is as good as none: nothing is withheld for it") {
  for (const char* hello : {"010100",
                            "0104"
                            "01050100"}) {
    peer p(lite06, server);
    (void)p.start();
    const std::uint64_t hops[] = {0, 5};
    REQUIRE(p.s().announce("a", {.hops = hops}).has_value());
    p.open(uni, hello, true);
    CHECK(p.s().peer().hop == 0);
    const auto ask = p.open(bidi, "010100");
    CHECK(p.sent(ask) ==
          "020001"
          "0007016102"
          "0005"
          "0000");
  }
  config silent;
  peer q(lite06, client, silent);
  (void)q.start();
  CHECK(q.sent(q.ours(uni)[0]) == "010100");  // none of our own is not sent as 0
}

TEST_CASE("SETUP reads the same however its bytes arrive") {
  for (const version v : {lite05, lite06}) {
    const std::string hex = setup(5, "407f02abcd 010102 02042f613f62 030102 05025234");
    const auto script = [&](arrival a) {
      peer p(v, server);
      p.pieces = a;
      (void)p.start();
      p.open(uni, hex, true);
      return p.log();
    };
    CHECK(script({}) ==
          "connected " + std::string(facts(v).name) + "\nsetup path=/a?b role=2 probe=2 cost=1 hop=4660\n");
    CHECK(differs_by_arrival(hex.size() / 2, script) == "");
  }
}

// ---- clocks

TEST_CASE("a peer that does not open in time is left, by the clock that is told [seed 3.3 d]") {
  for (const version v : versions)
    for (const endpoint e : {client, server}) {
      peer p(v, e);
      (void)p.start();
      const bool waits = negotiates_in_band(v) || has_setup(v);
      p.wait(microseconds(9'999'999));
      CHECK(p.is_open());
      p.wait(microseconds(1));
      CHECK(p.closed_with(session_code::control_message_timeout) == waits);
      CHECK(p.is_open() == !waits);
      if (waits) CHECK(p.x.last<session_closed>().why == errc::setup_timeout);
      CHECK(p.net.broken_promises == 0);

      peer q(v, e);
      q.up();
      q.wait(seconds(100));
      CHECK(q.is_open());

      config patient;
      patient.caps.setup_timeout = {};
      peer r(v, e, patient);
      (void)r.start();
      CHECK(r.s().next_deadline() == never_due);
    }
}

TEST_CASE("a SETUP that never ends runs into the same deadline") {
  for (const version v : {lite05, lite06}) {
    peer p(v, server);
    (void)p.start();
    const auto id = p.open(uni, "01");
    p.wait(seconds(9));
    p.send(id, "05");
    CHECK(p.is_open());
    p.wait(seconds(1));
    CHECK(p.closed_with(session_code::control_message_timeout));
  }
}

// ---- credit for streams

TEST_CASE("500 groups go past a limit of 10 streams without loss [seed 3.1.2 b]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    loopback_options o;
    o.streams_uni = 10;
    o.streams_bidi = 10;
    o.delay_min = milliseconds(1);
    o.delay_max = milliseconds(20);
    testing::pair p(v, o);
    track_cache video({.max_age_ms = 1'000'000, .timescale = 1000});
    p.server.react = [&](session& s, const event& e) {
      if (auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
      if (auto* r = std::get_if<track_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
    };
    p.start();
    p.run();
    REQUIRE(video.begin_group(p.net.now()) == errc::ok);
    REQUIRE(video.append(0, bytes::copy("x")) == errc::ok);
    subscribe_options ask;
    ask.want.max_age_ms = 1'000'000;
    REQUIRE(p.client.session.subscribe("a", "v", ask, p.net.now()).has_value());
    p.run();
    for (std::uint64_t i = 1; i < 500; ++i) {
      REQUIRE(video.begin_group(p.net.now()) == errc::ok);
      REQUIRE(video.append(i, bytes::copy("x")) == errc::ok);
    }
    video.finish();
    p.run();
    p.wait(seconds(5));
    CHECK(p.client.count<group_finished>() == 500);
    CHECK(p.client.count<frame_part>() == 500);
    CHECK(p.client.count<groups_lost>() == 0);
    REQUIRE(p.client.count<subscription_closed>() == 1);
    CHECK(p.client.first<subscription_closed>().why == errc::ok);
    CHECK_MESSAGE(p.net.violations() == 0, p.net.last_violation());
  }
}
