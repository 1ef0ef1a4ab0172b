/// Bandwidth both ways, and GOAWAY both ways.

#include <doctest/doctest.h>

#include "peer.hpp"

using namespace moql;
using testing::arrival;
using testing::differs_by_arrival;
using testing::hex;
using testing::peer;
using testing::versions;

namespace {

constexpr auto bidi = direction::bidi;
constexpr auto uni = direction::uni;
constexpr auto client = endpoint::client;
constexpr auto server = endpoint::server;

constexpr const char* setup_none = "010100";
constexpr const char* setup_report = "010401010101";
constexpr const char* setup_increase = "010401010102";

config at_level(probe_level l) {
  config c;
  c.probe = l;
  return c;
}
/// A PROBE as it travels; 03 has no RTT.
std::string probe(version v, std::uint64_t bitrate, std::uint64_t rtt = 0) { return hex(msg::probe{bitrate, rtt}, v); }
/// Lets the session measure: what `pump` would tell it of the transport.
void measure(peer& p, std::uint64_t bits, std::uint64_t rtt_us) {
  p.net.measured = {.rtt_us = rtt_us, .send_bits_per_second = bits};
  p.run();
}
std::string goaway(version v, std::string_view uri) { return "05" + hex(msg::goaway{uri}, v); }
std::string subscribe(version v, std::uint64_t id) {
  return "02" + hex(msg::subscribe{.id = id, .broadcast = "x", .track = "y", .want = {.max_age_ms = 1'000'000}}, v);
}

}  // namespace

// ---- asking for measurements

TEST_CASE("R-150 no Probe stream is opened to a peer whose SETUP offers none, and one is opened once it offers one") {
  for (const version v : {lite05, lite06}) {
    for (const char* hello : {setup_none, setup_report, setup_increase}) {
      peer early(v, client);
      (void)early.start();
      CHECK(early.s().probe() == errc::ok);
      early.run();
      CHECK(early.ours(bidi).empty());
      early.open(uni, hello, true);
      const bool offers = hello != setup_none;
      CHECK((early.own(bidi, "04") != 0) == offers);
      CHECK(early.x.count<probe_closed>() == (offers ? 0 : 1));
      if (!offers) CHECK(early.x.first<probe_closed>().why == errc::not_supported);

      peer late(v, client);
      late.up(hello);
      CHECK(late.s().probe() == (offers ? errc::ok : errc::not_supported));
      late.run();
      CHECK((late.own(bidi, "04") != 0) == offers);
    }
    peer undone(v, client);
    (void)undone.start();
    CHECK(undone.s().probe() == errc::ok);
    CHECK(undone.s().stop_probe() == errc::ok);
    undone.open(uni, setup_report, true);
    CHECK(undone.ours(bidi).empty());
  }
}

TEST_CASE("a Probe stream carries its type alone unless there is a target, as deployed publishers need it") {
  for (const version v : versions) {
    if (!has_probe(v)) {
      peer p(v, client);
      p.up();
      CHECK(p.s().probe() == errc::not_in_version);
      continue;
    }
    peer p(v, client);
    p.up(setup_increase);
    CHECK(p.s().probe() == errc::ok);
    p.run();
    const auto id = p.ours(bidi).back();
    CHECK(p.sent(id) == "04");
    CHECK(p.s().probe() == errc::ok);
    p.run();
    CHECK(p.sent(id) == "04");
    CHECK(p.s().probe(4'000'000) == errc::ok);  // on the stream there is
    p.run();
    CHECK(p.sent(id) == (v == lite03 ? "04"
                                       "04803d0900"
                                     : "04"
                                       "05803d090000"));
    CHECK(p.s().probe(5) == errc::ok);
    p.run();
    CHECK(p.sent(id).ends_with(v == lite03 ? "0105" : "020500"));
    CHECK(p.s().stop_probe() == errc::ok);
    p.run();
    CHECK(p.on(id).fin);
    CHECK(p.s().stop_probe() == errc::ok);
    p.fin(id);
    CHECK(p.x.count<probe_closed>() == 0);
    CHECK(p.s().probe(6) == errc::ok);
    p.run();
    CHECK(p.ours(bidi).back() != id);
    CHECK(p.sent(p.ours(bidi).back()) == (v == lite03 ? "040106" : "04020600"));
  }
}

TEST_CASE("reports of the peer become measurements, however their bytes arrive; 0 is unknown") {
  for (const version v : versions) {
    if (!has_probe(v)) continue;
    const std::string bytes = probe(v, 2'500'000, 30) + probe(v, 0, 0);
    const auto script = [&](arrival a) {
      peer p(v, client);
      p.up(setup_report);
      p.forget();
      (void)p.s().probe();
      p.run();
      p.pieces = a;
      p.send(p.ours(bidi).back(), bytes);
      return p.log();
    };
    CHECK(script({}) ==
          (v == lite03 ? "measured 2500000 rtt 0\nmeasured 0 rtt 0\n" : "measured 2500000 rtt 30\nmeasured 0 rtt 0\n"));
    CHECK(differs_by_arrival(bytes.size() / 2, script) == "");
  }
}

TEST_CASE("a Probe stream that the peer ends is told once, and the next one is a new stream") {
  for (const version v : versions) {
    if (!has_probe(v)) continue;
    for (const bool reset : {false, true}) {
      peer p(v, client);
      p.up(setup_report);
      CHECK(p.s().probe() == errc::ok);
      p.run();
      const auto id = p.ours(bidi).back();
      if (reset)
        p.reset(id, 0x2a);
      else
        p.fin(id);
      CHECK(p.is_ended(id));
      REQUIRE(p.x.count<probe_closed>() == 1);
      CHECK(p.x.first<probe_closed>().why == (reset ? errc::reset_by_peer : errc::ok));
      CHECK(p.x.first<probe_closed>().code == (reset ? 0x2a : 0));
      CHECK(p.s().probe() == errc::ok);
      p.run();
      CHECK(p.ours(bidi).back() != id);
      CHECK(p.is_open());
    }
  }
}

TEST_CASE(
    "R-155 a subscriber of a peer at level Report waits for no padding: a report is what it is and "
    "nothing is due") {
  for (const version v : {lite05, lite06}) {
    peer p(v, client);
    p.up(setup_report);
    CHECK(p.s().peer().probe == probe_level::report);
    CHECK(p.s().probe(9'000'000) == errc::ok);
    p.run();
    CHECK(p.s().next_deadline() == never_due);
    const auto id = p.ours(bidi).back();
    p.wait(seconds(1000));
    CHECK(!p.is_ended(id));
    p.send(id, probe(v, 1'000'000, 5));  // below the target, and fine
    CHECK(p.x.last<bandwidth>().bitrate == 1'000'000);
    CHECK(!p.is_ended(id));
  }
}

// ---- being asked

TEST_CASE("R-148 on 03 and 04 a Probe stream is reset by whoever does not probe [seed 7.4 c]") {
  for (const version v : {lite03, lite04})
    for (const std::string& hello : {std::string("04"), "04" + probe(v, 5)}) {
      peer p(v, server);
      p.up();
      const auto id = p.open(bidi, hello);
      CHECK(p.was_ended(id, stream_code::internal_error));
      CHECK(!p.s().is_probed());
      CHECK(p.is_open());
    }
}

TEST_CASE("R-149 at level None a Probe stream is reset [seed 7.4 c]") {
  for (const version v : {lite05, lite06})
    for (const endpoint e : {client, server}) {
      peer p(v, e);
      p.up();
      CHECK(p.was_ended(p.open(bidi, "04"), stream_code::internal_error));
      CHECK(p.is_open());
    }
}

TEST_CASE("R-151 each PROBE of the subscriber is a new target for whoever probes [seed 7.4 d]") {
  for (const version v : versions) {
    if (!has_probe(v)) continue;
    peer p(v, server, at_level(probe_level::increase));
    p.up();
    p.forget();
    const auto id = p.open(bidi, "04" + probe(v, 4'000'000) + probe(v, 7));
    CHECK(p.log() == "target 4000000 rtt 0\ntarget 7 rtt 0\n");
    CHECK(!p.is_ended(id));
  }
}

TEST_CASE("R-152 at level Report a target is ignored and the stream goes on [seed 7.4 b]") {
  for (const version v : {lite05, lite06}) {
    peer p(v, server, at_level(probe_level::report));
    p.up();
    p.forget();
    const auto id = p.open(bidi, "0405803d090000");
    CHECK(p.x.events.empty());
    CHECK(!p.is_ended(id));
    measure(p, 1'000'000, 20'000);
    CHECK(p.sent(id) == probe(v, 1'000'000, 20));
    const std::size_t calls = p.net.calls;
    p.wait(seconds(5));
    p.run();
    CHECK(p.net.calls == calls);  // nothing is padded
    CHECK(p.ours(uni).size() == 1);
  }
}

TEST_CASE("measurements are reported to everyone who probes, the first at once, the later ones when they moved") {
  for (const version v : versions) {
    if (!has_probe(v)) continue;
    peer p(v, server, at_level(probe_level::report));
    p.up();
    measure(p, 1'000'000, 20'000);
    CHECK(!p.s().is_probed());
    const auto a = p.open(bidi, "04");
    CHECK(p.s().is_probed());
    const std::string first = probe(v, 1'000'000, 20);
    CHECK(p.sent(a) == first);
    measure(p, 1'100'000, 20'000);
    CHECK(p.sent(a) == first);
    measure(p, 2'000'000, 20'000);
    const std::string second = first + probe(v, 2'000'000, 20);
    CHECK(p.sent(a) == second);
    const auto b = p.open(bidi, "04");  // hears at once; the other hears it again
    CHECK(p.sent(b) == probe(v, 2'000'000, 20));
    p.wait(microseconds(9'999'999));
    CHECK(p.sent(b) == probe(v, 2'000'000, 20));
    p.wait(milliseconds(100));  // old by now, and a deadline says that it is time to look
    CHECK(p.sent(b) == probe(v, 2'000'000, 20) + probe(v, 2'000'000, 20));
    measure(p, 0, 0);  // not known: nothing to say
    p.now = p.now + seconds(20);
    p.run();
    CHECK(p.sent(b) == probe(v, 2'000'000, 20) + probe(v, 2'000'000, 20));
    p.fin(a);
    CHECK(p.on(a).fin);
    CHECK(p.s().is_probed());
    p.stop(b, 0);
    p.fin(b);
    CHECK(!p.s().is_probed());
    CHECK(p.net.broken_promises == 0);
  }
}

TEST_CASE("a measurement of the application's own is reported at once; an RTT below a millisecond is not unknown") {
  for (const version v : versions) {
    if (!has_probe(v)) continue;
    peer p(v, server, at_level(probe_level::report));
    p.up();
    const auto id = p.open(bidi, "04");
    CHECK(p.s().report(5, 6) == errc::ok);
    p.run();
    CHECK(p.sent(id) == probe(v, 5, 6));
    measure(p, 1000, 300);
    CHECK(p.sent(id) == probe(v, 5, 6) + probe(v, 1000, 1));
  }
}

TEST_CASE("a subscriber that does not read its reports gets the newest when it does, not all of them") {
  for (const version v : versions) {
    if (!has_probe(v)) continue;
    peer p(v, server, at_level(probe_level::report));
    p.up();
    const auto id = p.open(bidi, "04");
    p.net.frozen.insert(id);
    for (std::uint64_t i = 1; i <= 1000; ++i) {
      CHECK(p.s().report(i, 0) == errc::ok);
      p.run();
    }
    p.net.frozen.clear();
    p.s().on_writable(static_cast<stream_id>(id));
    p.run();
    CHECK(p.sent(id).size() < 20);
    CHECK(p.s().report(1001, 0) == errc::ok);
    p.run();
    CHECK(p.sent(id).ends_with(probe(v, 1001, 0)));
  }
}

TEST_CASE("Probe streams count as requests and those that ended make room [seed 10.1 c]") {
  for (const version v : versions) {
    if (!has_probe(v)) continue;
    config c = at_level(probe_level::report);
    c.caps.requests_max = 2;
    peer p(v, server, c);
    p.up();
    const auto a = p.open(bidi, "04");
    const auto b = p.open(bidi, "04");
    CHECK(!p.is_ended(a));
    CHECK(!p.is_ended(b));
    CHECK(p.was_ended(p.open(bidi, "04"), stream_code::no_capacity));
    p.fin(a);
    CHECK(!p.is_ended(p.open(bidi, "04")));
    p.reset(b, 0);
    CHECK(!p.is_ended(p.open(bidi, "04")));
    CHECK(p.was_ended(p.open(bidi, "04"), stream_code::no_capacity));
    CHECK(p.is_open());
  }
}

TEST_CASE("report_policy: the first, an old one, or one that moved by a share that shrinks from a quarter to nothing") {
  const instant t{1'000'000};
  report_policy p;
  CHECK(p.is_due(t, 1, 0));
  p = {t, 1'000'000, 100};
  struct row {
    duration later;
    std::uint64_t bitrate, rtt;
    bool due;
  };
  const row table[] = {
      {{}, 1'000'000, 100, false},
      {{}, 1'250'000, 100, false},
      {{}, 1'250'001, 100, true},
      {{}, 749'999, 100, true},
      {{}, 750'000, 100, false},
      {seconds(5), 1'125'000, 100, false},
      {seconds(5), 1'125'001, 100, true},
      {seconds(5), 874'999, 100, true},
      {milliseconds(9'999), 1'000'026, 100, true},
      {milliseconds(9'999), 1'000'000, 100, false},
      {seconds(10), 1'000'000, 100, true},
      {seconds(100), 1'000'000, 100, true},
      {{}, 1'000'000, 124, false},
      {{}, 1'000'000, 125, true},
      {{}, 1'000'000, 76, false},
      {{}, 1'000'000, 75, true},
      {{}, 1'000'000, 0, true},
  };
  for (const row& r : table) {
    CAPTURE(r.later.us);
    CAPTURE(r.bitrate);
    CAPTURE(r.rtt);
    CHECK(p.is_due(t + r.later, r.bitrate, r.rtt) == r.due);
  }
  p = {t, 1'000'000, 0};  // an RTT that was unknown
  CHECK(!p.is_due(t, 1'000'000, 0));
  CHECK(p.is_due(t, 1'000'000, 1));
  p = {t, 3, 100};  // small numbers do not round to a threshold of "never"
  CHECK(p.is_due(t, 4, 100));
  p = {t, 100'000'000'000, 100};
  CHECK(!p.is_due(t, 125'000'000'000, 100));
  CHECK(p.is_due(t, 125'000'000'001, 100));
}

// ---- being asked to leave

TEST_CASE("R-156 after GOAWAY no stream is opened and requests are refused to the caller [seed 3.6 a]") {
  for (const version v : versions) {
    if (!has_goaway(v)) continue;
    for (const endpoint e : {client, server}) {
      peer p(v, e);
      p.up(setup_report);
      p.forget();
      p.open(bidi, "050100");
      CHECK(p.log() == "goaway \n");
      CHECK(p.s().is_going_away());
      const std::size_t streams = p.net.opened.size();
      CHECK(p.s().discover("", p.now).error() == errc::going_away);
      CHECK(p.s().subscribe("a", "b", {}, p.now).error() == errc::going_away);
      CHECK(p.s().fetch("a", "b", 0, {}, p.now).error() == errc::going_away);
      CHECK(p.s().query_track("a", "b", p.now).error() == errc::going_away);
      CHECK(p.s().probe() == errc::going_away);
      CHECK(p.s().goaway("", {}, p.now) == errc::going_away);
      p.run();
      CHECK(p.net.opened.size() == streams);
      CHECK(p.is_open());
      CHECK(p.s().next_deadline() == never_due);
    }
  }
}

TEST_CASE("R-156 what was asked before GOAWAY and has no stream yet ends as going away, and nothing is opened for it") {
  for (const version v : versions) {
    if (!has_goaway(v)) continue;
    peer p(v, client);
    p.up();
    p.net.bidi_credit = 0;
    subscribe_options bare;
    bare.skip_track_info = true;
    REQUIRE(p.s().discover("", p.now).has_value());
    REQUIRE(p.s().subscribe("a", "b", bare, p.now).has_value());
    p.run();
    p.open(bidi, "050100");
    p.net.bidi_credit = 100;
    p.s().on_credit(bidi);
    p.run();
    CHECK(p.ours(bidi).empty());
    REQUIRE(p.x.count<interest_closed>() == 1);
    CHECK(p.x.first<interest_closed>().why == errc::going_away);
    REQUIRE(p.x.count<subscription_closed>() == 1);
    CHECK(p.x.first<subscription_closed>().why == errc::going_away);
  }
}

TEST_CASE(
    "R-156 after GOAWAY groups that have a stream are finished and no new group gets one, unless it is "
    "wanted [seed 3.6 a]") {
  for (const version v : versions) {
    if (!has_goaway(v)) continue;
    for (const bool wanted : {false, true}) {
      config c;
      c.groups_after_goaway = wanted;
      peer p(v, server, c);
      track_cache video({.timescale = 1000});
      p.x.react = [&](session& s, const event& ev) {
        if (auto* r = std::get_if<subscribe_requested>(&ev)) CHECK(s.serve(r->request, video) == errc::ok);
      };
      p.up();
      REQUIRE(video.begin_group(p.now) == errc::ok);
      REQUIRE(video.append(0, bytes::copy("x")) == errc::ok);
      p.open(bidi, subscribe(v, 1));
      const auto group = p.own(uni, "00");
      REQUIRE(group != 0);
      CHECK(!p.on(group).fin);
      p.open(bidi, "050100");
      REQUIRE(video.append(1, bytes::copy("y")) == errc::ok);
      REQUIRE(video.begin_group(p.now) == errc::ok);
      REQUIRE(video.append(2, bytes::copy("z")) == errc::ok);
      p.run();
      CHECK(p.on(group).fin);
      CHECK(p.sent(group).ends_with("79"));
      CHECK((p.own(uni, "00") != group) == wanted);
      CHECK(p.net.broken_promises == 0);
    }
  }
}

TEST_CASE("R-156 a group that waits for a stream when GOAWAY comes is not opened any more, unless it is wanted") {
  for (const version v : versions) {
    if (!has_goaway(v)) continue;
    for (const bool wanted : {false, true}) {
      config c;
      c.groups_after_goaway = wanted;
      peer p(v, server, c);
      track_cache video({.timescale = 1000});
      p.x.react = [&](session& s, const event& ev) {
        if (auto* r = std::get_if<subscribe_requested>(&ev)) CHECK(s.serve(r->request, video) == errc::ok);
      };
      p.up();
      p.net.uni_credit = 0;
      REQUIRE(video.begin_group(p.now) == errc::ok);
      REQUIRE(video.append(0, bytes::copy("x")) == errc::ok);
      p.open(bidi, subscribe(v, 1));
      p.open(bidi, "050100");
      p.net.uni_credit = 10;
      p.s().on_credit(uni);
      p.run();
      CHECK((p.own(uni, "00") != 0) == wanted);
      CHECK(p.is_open());
    }
  }
}

TEST_CASE("what runs when GOAWAY comes runs on, on both sides [seed 3.6 a]") {
  for (const version v : versions) {
    if (!has_goaway(v)) continue;
    peer p(v, client);
    p.up();
    subscribe_options bare;
    bare.skip_track_info = true;
    REQUIRE(p.s().subscribe("a", "b", bare, p.now).has_value());
    REQUIRE(p.s().discover("", p.now).has_value());
    p.run();
    const auto group = p.open(uni, "00" + hex(msg::group{.subscribe_id = 0, .sequence = 3}, v));
    p.open(bidi, "050100");
    p.send(group, has_timestamps(v) ? "000178" : "0178", true);
    CHECK(p.x.count<frame_part>() == 1);
    CHECK(p.x.count<group_finished>() == 1);
    p.open(uni, "00" + hex(msg::group{.subscribe_id = 0, .sequence = 4}, v), true);
    CHECK(p.x.count<group_finished>() == 2);
    p.open(bidi, subscribe(v, 9));  // the peer's own requests are its affair
    CHECK(p.x.count<subscribe_requested>() == 1);
    CHECK(p.x.count<subscription_closed>() == 0);
    CHECK(p.x.count<interest_closed>() == 0);
  }
}

TEST_CASE("R-158 the end of a Goaway stream says that its sender is ready, on both sides") {
  for (const version v : versions) {
    if (!has_goaway(v)) continue;
    peer p(v, client);
    p.up();
    p.forget();
    const auto theirs = p.open(bidi, goaway(v, "https://x"));
    p.fin(theirs);
    CHECK(p.log() == "goaway https://x\ngoaway finished\n");
    CHECK(p.on(theirs).fin);
    CHECK(p.is_open());

    peer q(v, server);
    q.up();
    CHECK(q.s().finish_goaway() == errc::wrong_state);
    CHECK(q.s().goaway("", {}, q.now) == errc::ok);
    CHECK(q.s().goaway("", {}, q.now) == errc::wrong_state);
    q.run();
    const auto ours = q.own(bidi, "05");
    CHECK(q.sent(ours) == "050100");
    CHECK(!q.on(ours).fin);
    CHECK(!q.s().is_going_away());
    CHECK(q.s().finish_goaway() == errc::ok);
    q.run();
    CHECK(q.on(ours).fin);
    CHECK(q.s().finish_goaway() == errc::wrong_state);
  }
}

TEST_CASE("R-159 the URI is handed over as it came and nothing is done with it") {
  for (const version v : versions) {
    if (!has_goaway(v)) continue;
    for (const char* uri : {"https://b.example/live?x", "javascript:alert(1)", "", "not a uri at all"}) {
      peer p(v, client);
      p.up();
      p.forget();
      const std::size_t calls = p.net.calls;
      p.open(bidi, goaway(v, uri));
      REQUIRE(p.x.count<goaway_received>() == 1);
      CHECK(p.x.all<goaway_received>()[0].text == uri);
      CHECK(p.net.opened.size() == (has_setup(v) ? 1 : 0));
      CHECK(p.net.calls <= calls + 1);  // credit for its bytes at most
      CHECK(p.is_open());
    }
    peer q(v, client);
    q.up();
    const auto id = q.open(bidi,
                           "0502"
                           "01ff");
    CHECK(q.x.count<goaway_received>() == 0);
    CHECK(q.closed_with(session_code::protocol_violation));
    (void)id;
  }
}

TEST_CASE("GOAWAY reads the same however its bytes arrive") {
  for (const version v : versions) {
    if (!has_goaway(v)) continue;
    const std::string bytes = goaway(v, "https://b.example/");
    const auto script = [&](arrival a) {
      peer p(v, client);
      p.up();
      p.forget();
      p.pieces = a;
      p.open(bidi, bytes, true);
      return p.log();
    };
    CHECK(script({}) == "goaway https://b.example/\ngoaway finished\n");
    CHECK(differs_by_arrival(bytes.size() / 2, script) == "");
  }
}

TEST_CASE("R-160 on 06 a second GOAWAY closes the session; before, the first one counts [seed 3.6 c]") {
  for (const version v : versions) {
    if (!has_goaway(v)) continue;
    const bool fatal = v == lite06;
    peer p(v, client);
    p.up();
    const auto one = p.open(bidi, goaway(v, "https://a"));
    p.send(one, hex(msg::goaway{"https://b"}, v));  // on the same stream
    CHECK(p.closed_with(session_code::protocol_violation) == fatal);
    CHECK(p.is_open() == !fatal);
    CHECK(p.x.count<goaway_received>() == 1);
    peer q(v, client);
    q.up();
    q.open(bidi, goaway(v, "https://a"));
    q.open(bidi, goaway(v, "https://b"));
    CHECK(q.closed_with(session_code::protocol_violation) == fatal);
    CHECK(q.x.count<goaway_received>() == 1);
    CHECK(q.x.all<goaway_received>()[0].text == "https://a");
    if (fatal) CHECK(q.x.last<session_closed>().why == errc::second_goaway);
  }
}

TEST_CASE("R-161 on 06 a URI above 8192 bytes closes the session, 8192 are fine [seed 3.6 b]") {
  for (const version v : versions) {
    if (!has_goaway(v)) continue;
    const auto verdict = [&](std::size_t n) {
      peer p(v, client);
      p.up();
      p.open(bidi, "05" +
                       tests::to_hex(std::vector<std::uint8_t>{
                           static_cast<std::uint8_t>(0x40 | (n + 2) >> 8), static_cast<std::uint8_t>(n + 2),
                           static_cast<std::uint8_t>(0x40 | n >> 8), static_cast<std::uint8_t>(n)}) +
                       tests::to_hex(std::vector<std::uint8_t>(n, 'a')));
      CHECK(p.x.count<goaway_received>() == (p.net.close_code ? 0 : 1));
      return p.net.close_code;
    };
    CHECK(!verdict(8192));
    CHECK(verdict(8193).has_value() == (v == lite06));
    CHECK(verdict(8193).value_or(3) == 3);
    peer p(v, client);  // and a length that is out of the question without its bytes
    p.up();
    p.open(bidi,
           "05"
           "80100000");
    CHECK(p.closed_with(session_code::protocol_violation));
  }
}

TEST_CASE("R-162 on 06 a URI from a client closes the session [seed 3.6 c]") {
  for (const version v : versions) {
    if (!has_goaway(v)) continue;
    peer p(v, server);
    p.up();
    p.open(bidi, goaway(v, "https://a"));
    CHECK(p.closed_with(session_code::protocol_violation) == (v == lite06));
    if (v == lite06) CHECK(p.x.last<session_closed>().why == errc::uri_from_client);
    peer q(v, server);
    q.up();
    q.open(bidi, goaway(v, ""));
    CHECK(q.is_open());
    CHECK(q.x.count<goaway_received>() == 1);
  }
}

TEST_CASE("R-163 a client of 06 sends an empty URI only, and nobody sends one that is no text or too long") {
  for (const version v : versions)
    for (const endpoint e : {client, server}) {
      peer p(v, e);
      p.up();
      if (!has_goaway(v)) {
        CHECK(p.s().goaway("", {}, p.now) == errc::not_in_version);
        continue;
      }
      CHECK(p.s().goaway(std::string(8193, 'a'), {}, p.now) == errc::bad_argument);
      CHECK(p.s().goaway("a\xff", {}, p.now) == errc::bad_argument);
      const bool refused = e == client && v == lite06;
      CHECK(p.s().goaway("https://a", {}, p.now) == (refused ? errc::bad_argument : errc::ok));
      if (refused) CHECK(p.s().goaway("", {}, p.now) == errc::ok);
      p.run();
      CHECK(p.sent(p.own(bidi, "05")) == (refused ? "050100" : "050a0968747470733a2f2f61"));
    }
}

TEST_CASE("R-158 a peer that has not left when the drain deadline passes is closed with 0x10 [seed 3.6 d]") {
  for (const version v : versions) {
    if (!has_goaway(v)) continue;
    peer p(v, server);
    p.up();
    p.open(bidi, subscribe(v, 1));
    CHECK(p.s().goaway("", seconds(30), p.now) == errc::ok);
    p.wait(microseconds(29'999'999));
    CHECK(p.is_open());
    p.wait(microseconds(1));
    CHECK(p.closed_with(session_code::goaway_timeout));
    CHECK(p.x.count<request_closed>() == 1);
    CHECK(p.x.last<session_closed>().why == errc::goaway_timeout);

    peer q(v, server);  // without a deadline it waits
    q.up();
    CHECK(q.s().goaway("", {}, q.now) == errc::ok);
    q.wait(seconds(10'000));
    CHECK(q.is_open());
    q.close(0, "moved");  // and a peer that leaves in time is not late
    CHECK(q.x.last<session_closed>().why == errc::ok);
    CHECK(q.s().next_deadline() == never_due);
  }
}

TEST_CASE("GOAWAY on a version without it is an unknown stream, and a Goaway stream may be cut without harm") {
  peer p(lite03, client);
  p.up();
  CHECK(p.was_ended(p.open(bidi, "050100"), stream_code::internal_error));
  CHECK(p.is_open());
  CHECK(!p.s().is_going_away());
  for (const version v : versions) {
    if (!has_goaway(v)) continue;
    peer q(v, client);
    q.up();
    const auto id = q.open(bidi, "05", true);
    CHECK(q.is_ended(id));
    const auto other = q.open(bidi, "0505");
    q.reset(other, 9);
    CHECK(q.is_ended(other));
    CHECK(q.is_open());
    CHECK(!q.s().is_going_away());
    q.open(bidi, "050100");  // the first whole one
    CHECK(q.s().is_going_away());
    CHECK(q.x.count<goaway_finished>() == 0);
  }
}

TEST_CASE(
    "a subscription that moves to another session goes on where it was, no frame twice and none lost "
    "[seed 3.6 d]") {
  testing::pair one(lite06);
  testing::pair two(lite06);
  track_cache video({.max_age_ms = 1'000'000, .timescale = 1000});
  for (testing::pair* p : {&one, &two}) {
    p->server.react = [&](session& s, const event& e) {
      if (auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
      if (auto* r = std::get_if<track_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
    };
    p->start();
    p->run();
  }
  const auto write = [&](std::uint64_t t) {
    REQUIRE(video.append(t, bytes::copy(std::to_string(t))) == errc::ok);
    one.run();
    two.run();
  };
  REQUIRE(video.begin_group(instant{1}) == errc::ok);
  subscribe_options o;
  o.want.max_age_ms = 1'000'000;
  const auto sub = one.client.session.subscribe("a", "v", o, one.net.now());
  REQUIRE(sub.has_value());
  one.run();
  write(1);
  write(2);
  CHECK(one.server.session.goaway("https://two", seconds(10), one.net.now()) == errc::ok);
  one.run();
  REQUIRE(one.client.count<goaway_received>() == 1);
  std::uint64_t group = 0;
  std::uint64_t next = 0;
  std::string got;
  const auto take = [&](testing::side& s) {
    for (const auto& h : s.all<frame_part>()) {
      const auto& f = std::get<frame_part>(h.what);
      group = f.group;
      next = f.frame + 1;
      got += h.payload + " ";
    }
  };
  take(one.client);
  CHECK(next == 2);
  o.want.group_start = group;
  o.want.frame_start = next;
  REQUIRE(two.client.session.subscribe("a", "v", o, two.net.now()).has_value());
  two.run();
  CHECK(one.client.session.unsubscribe(*sub) == errc::ok);
  one.run();
  write(3);
  REQUIRE(video.begin_group(instant{2}) == errc::ok);
  write(4);
  take(two.client);
  CHECK(got == "1 2 3 4 ");
  one.client.session.close();
  one.run();
  CHECK(one.server.count<session_closed>() == 1);
  CHECK(one.server.first<session_closed>().why == errc::ok);
}
