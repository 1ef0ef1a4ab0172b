/// How streams and sessions end: in order, by cancellation, by a fault, by a limit, by the clock.

#include <doctest/doctest.h>

#include "counting_memory.hpp"
#include "peer.hpp"

#include <algorithm>

using namespace moql;
using testing::hex;
using testing::peer;
using testing::versions;

namespace {

constexpr auto bidi = direction::bidi;
constexpr auto uni = direction::uni;
constexpr auto client = endpoint::client;
constexpr auto server = endpoint::server;
constexpr std::uint64_t violation = 0x3;

subscribe_options bare() {
  subscribe_options o;
  o.skip_track_info = true;
  return o;
}
std::string subscribe(version v, std::uint64_t id) {
  return "02" + hex(msg::subscribe{.id = id, .broadcast = "x", .track = "y"}, v);
}
std::string announce_request(version v) { return "01" + hex(msg::announce_request{}, v); }
std::string group(version v, std::uint64_t sub, std::uint64_t sequence) {
  return "00" + hex(msg::group{.subscribe_id = sub, .sequence = sequence}, v);
}
/// One frame with this payload of one byte.
std::string frame(version v, std::string_view byte) { return (has_timestamps(v) ? "0001" : "01") + std::string(byte); }
std::size_t terminal_events(const peer& p) {
  return p.x.count<interest_closed>() + p.x.count<subscription_closed>() + p.x.count<fetch_closed>() +
         p.x.count<track_answered>() + p.x.count<probe_closed>() + p.x.count<request_closed>();
}
/// What a session holds when nothing is going on.
std::size_t idle_streams(version v) { return negotiates_in_band(v) ? 1 : 0; }

}  // namespace

// ---- unknown streams

TEST_CASE("R-016 on 01 and 02 an unknown stream type closes the session") {
  for (const version v : {lite01, lite02})
    for (const endpoint e : {client, server}) {
      for (const char* type : {"03", "04", "05", "06", "07", "21", "3f", "407f", "ffffffffffffffff"}) {
        peer p(v, e);
        p.up();
        p.open(bidi, type);
        CHECK(p.closed_with(session_code::protocol_violation));
        CHECK(p.x.last<session_closed>().why == errc::unknown_stream_type);
        CHECK(p.net.broken_promises == 0);
      }
      for (const char* type : {"01", "02", "3f"}) {
        peer p(v, e);
        p.up();
        p.open(uni, type);
        CHECK(p.closed_with(session_code::protocol_violation));
      }
    }
}

TEST_CASE(
    "R-017 from 03 on an unknown stream type ends that stream only, and the next request is served [seed "
    "3.2 d]") {
  for (const version v : versions) {
    if (negotiates_in_band(v)) continue;
    for (const endpoint e : {client, server}) {
      std::vector<std::string> types{"00", "07", "20", "21", "3f", "407f", "ffffffffffffffff"};
      if (!has_goaway(v)) types.push_back("05");
      if (!has_track_stream(v)) types.push_back("06");
      for (const std::string& type : types) {
        peer p(v, e);
        p.up();
        const auto id = p.open(bidi, type + "0505050505");
        CHECK(p.was_ended(id, stream_code::internal_error));
        CHECK(p.is_open());
        p.open(bidi, subscribe(v, 1));
        CHECK(p.x.count<subscribe_requested>() == 1);
        CHECK(p.s().streams_held() == 1);
        CHECK(p.net.broken_promises == 0);
      }
      for (const std::string& type : {std::string("02"), std::string("3f"), std::string(has_setup(v) ? "05" : "01")}) {
        peer p(v, e);
        p.up();
        const auto id = p.open(uni, type + "0505");
        CHECK(p.was_ended(id, stream_code::internal_error));
        CHECK(p.is_open());
        CHECK(p.s().streams_held() == 0);
      }
    }
  }
}

TEST_CASE("a stream type that takes more bytes than it needs is the same type") {
  for (const version v : versions)
    for (const char* type : {"4002", "80000002", "c000000000000002"}) {
      peer p(v, server);
      p.up();
      p.open(bidi, type + subscribe(v, 1).substr(2));
      CHECK(p.x.count<subscribe_requested>() == 1);
      CHECK(p.is_open());
    }
}

// ---- malformed messages

TEST_CASE("R-018 R-019 a message with a byte too many or too few closes the session, whichever it is") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    struct request {
      std::string type, body;
    };
    const auto body_of = [](const std::string& message) { return message.substr(2); };  // all are below 64 bytes
    std::vector<request> all{{"01", body_of(hex(msg::announce_request{.prefix = "a"}, v))},
                             {"02", body_of(hex(msg::subscribe{.id = 1, .broadcast = "a", .track = "b"}, v))}};
    if (has_fetch(v)) all.push_back({"03", body_of(hex(msg::fetch{.broadcast = "a", .track = "b"}, v))});
    if (has_probe(v)) all.push_back({"04", body_of(hex(msg::probe{5, 6}, v))});
    if (has_goaway(v)) all.push_back({"05", body_of(hex(msg::goaway{""}, v))});
    if (has_track_stream(v)) all.push_back({"06", body_of(hex(msg::track{.broadcast = "a", .track_name = "b"}, v))});
    const auto send = [&](const std::string& type, const std::string& body) {
      config c;
      c.probe = probe_level::increase;
      peer p(v, server, c);
      p.up();
      p.open(bidi, type + tests::to_hex(std::vector<std::uint8_t>{static_cast<std::uint8_t>(body.size() / 2)}) + body);
      return p.net.close_code;
    };
    for (const request& r : all) {
      CAPTURE(r.type);
      CHECK(!send(r.type, r.body));
      CHECK(send(r.type, r.body + "00") == violation);
      CHECK(send(r.type, r.body.substr(0, r.body.size() - 2)) == violation);
      CHECK(send(r.type, "") == violation);
    }
    peer p(v, client);  // and what answers us
    p.up();
    REQUIRE(p.s().subscribe("a", "b", bare(), p.now).has_value());
    p.run();
    msg::subscribe_ok ok;
    const std::string good = hex(ok, v);
    const std::size_t length_at = has_ranges(v) ? 2 : 0;
    std::string bad = good + "00";
    bad[length_at + 1] = static_cast<char>(bad[length_at + 1] + 1);
    p.send(p.own(bidi, "02"), bad);
    CHECK(p.closed_with(session_code::protocol_violation));
    CHECK(p.x.last<session_closed>().why == errc::trailing);
  }
}

TEST_CASE("R-020 a stream that ends inside a message fails its transaction and nothing else") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    const std::string whole = subscribe(v, 1);
    for (std::size_t n = 2; n < whole.size(); n += 2) {
      peer p(v, server);
      p.up();
      const auto id = p.open(bidi, whole.substr(0, n), true);
      CHECK(p.is_ended(id));
      CHECK(p.x.count<subscribe_requested>() == 0);
      CHECK(p.x.count<request_closed>() == 0);  // of something never heard of
      CHECK(p.s().streams_held() == idle_streams(v));
      CHECK(p.is_open());
    }
    peer p(v, client);
    p.up();
    REQUIRE(p.s().subscribe("a", "b", bare(), p.now).has_value());
    REQUIRE(p.s().discover("", p.now).has_value());
    p.run();
    p.send(p.own(bidi, "01"), "05", true);
    REQUIRE(p.x.count<interest_closed>() == 1);
    CHECK(p.x.last<interest_closed>().why == errc::stream_cut);
    p.send(p.own(bidi, "02"), has_ranges(v) ? "0005" : "05", true);
    REQUIRE(p.x.count<subscription_closed>() == 1);
    CHECK(p.x.last<subscription_closed>().why == errc::stream_cut);
    CHECK(p.is_open());
  }
}

TEST_CASE("R-020 a group that ends inside a frame is cut, with what came before intact") {
  for (const version v : versions) {
    peer p(v, client);
    p.up();
    REQUIRE(p.s().subscribe("a", "b", bare(), p.now).has_value());
    p.run();
    p.open(uni, group(v, 0, 3) + frame(v, "78") + (has_timestamps(v) ? "000579" : "0579"), true);
    REQUIRE(p.x.count<group_finished>() == 1);
    CHECK(p.x.last<group_finished>().why == errc::stream_cut);
    CHECK(p.x.count<frame_part>() == 2);
    p.open(uni, group(v, 0, 4) + frame(v, "78"), true);
    CHECK(p.x.last<group_finished>().why == errc::ok);
    CHECK(p.x.count<subscription_closed>() == 0);
    const auto headless = p.open(uni, "0002", true);  // no header: nobody's
    CHECK(p.x.count<group_finished>() == 2);
    (void)headless;
    CHECK(p.is_open());
  }
}

TEST_CASE("R-021 a string or a count that runs past the body closes the session") {
  for (const version v : versions) {
    for (const char* hex_of : {"020201"
                               "05",
                               "02050105616263",
                               "0205010161"
                               "3f62"}) {
      peer p(v, server);
      p.up();
      p.open(bidi, hex_of);
      CHECK(p.closed_with(session_code::protocol_violation));
      CHECK(p.x.last<session_closed>().why == errc::truncated);
    }
    peer q(v, client);
    q.up();
    REQUIRE(q.s().discover("", q.now).has_value());
    q.run();
    if (has_announce_init(v)) {
      q.send(q.own(bidi, "01"), "06800f42400161");  // a million suffixes, and one [seed 10.1 b]
      CHECK(q.closed_with(session_code::protocol_violation));
    }
  }
}

TEST_CASE("R-022 a string that is not UTF-8 closes the session, in a path as in a name") {
  for (const version v : versions) {
    const std::string good = subscribe(v, 1);
    for (const char* part : {"0178", "0179"}) {
      std::string bad = good;
      const std::size_t at = bad.find(part);
      REQUIRE(at != std::string::npos);
      bad.replace(at + 2, 2, "ff");
      peer p(v, server);
      p.up();
      p.open(bidi, bad);
      CHECK(p.closed_with(session_code::protocol_violation));
      CHECK(p.x.last<session_closed>().why == errc::bad_utf8);
    }
    peer p(v, client);
    p.up();
    CHECK(p.s().discover("\xff", p.now).error() == errc::bad_argument);
    CHECK(p.s().subscribe("\xff", "a", {}, p.now).error() == errc::bad_argument);
    CHECK(p.s().subscribe("a", "\xff", {}, p.now).error() == errc::bad_argument);
    CHECK(p.s().announce("\xff").error() == errc::bad_argument);
  }
}

// ---- streams end

TEST_CASE(
    "R-008 R-009 FIN, reset and stop in any order, with and without leaving ourselves: one end, both "
    "directions over [seed 3.4 a]") {
  struct kind {
    std::string name;
    version_set in;
    bool ours;
    bool fin_ends;  ///< A FIN of the peer's alone is the end.
    std::function<std::uint64_t(peer&)> open;
    std::function<void(peer&)> leave;
  };
  request_id request{};
  interest_id interest{};
  subscription_id subscription{};
  fetch_id fetched{};
  const auto theirs = [](const char* type, auto message) {
    return [=](peer& p) { return p.open(bidi, type + hex(message, p.ver)); };
  };
  const auto reject = [&](peer& p) {
    CHECK((p.s().reject(request, stream_code::not_found) == errc::ok || p.x.count<request_closed>() == 1));
  };
  const std::vector<kind> kinds{
      {"announce, ours", always, true, true,
       [&](peer& p) {
         interest = *p.s().discover("", p.now);
         p.run();
         return p.own(bidi, "01");
       },
       [&](peer& p) { (void)p.s().forget(interest); }},
      {"subscribe, ours", always, true, true,
       [&](peer& p) {
         subscription = *p.s().subscribe("a", "b", bare(), p.now);
         p.run();
         return p.own(bidi, "02");
       },
       [&](peer& p) { (void)p.s().unsubscribe(subscription); }},
      {"fetch, ours", only(lite03, lite04), true, true,
       [&](peer& p) {
         fetched = *p.s().fetch("a", "b", 0, {}, p.now);
         p.run();
         return p.own(bidi, "03");
       },
       [&](peer& p) { (void)p.s().cancel(fetched); }},
      {"track, ours",
       since(lite05),
       true,
       true,
       [&](peer& p) {
         CHECK(p.s().query_track("a", "b", p.now).has_value());
         p.run();
         return p.own(bidi, "06");
       },
       {}},
      {"probe, ours", since(lite03), true, true,
       [&](peer& p) {
         CHECK(p.s().probe() == errc::ok);
         p.run();
         return p.own(bidi, "04");
       },
       [&](peer& p) { (void)p.s().stop_probe(); }},
      {"announce, theirs", always, false, true, [](peer& p) { return p.open(bidi, announce_request(p.ver)); }, {}},
      {"subscribe, theirs", always, false, true, theirs("02", msg::subscribe{.id = 4, .broadcast = "x", .track = "y"}),
       reject},
      {"fetch, theirs", since(lite03), false, false, theirs("03", msg::fetch{.broadcast = "x", .track = "y"}), reject},
      {"track, theirs", since(lite05), false, false, theirs("06", msg::track{.broadcast = "x", .track_name = "y"}),
       reject},
      {"probe, theirs", since(lite03), false, true, [](peer& p) { return p.open(bidi, "04"); }, {}},
      {"goaway, theirs", since(lite04), false, true, [](peer& p) { return p.open(bidi, "050100"); }, {}},
  };
  for (const version v : versions)
    for (const kind& k : kinds) {
      if (!k.in.has(v)) continue;
      CAPTURE(facts(v).name);
      CAPTURE(k.name);
      std::string acts = "FLRS";
      do {
        for (std::size_t n = 1; n <= 4; ++n) {
          const std::string script = acts.substr(0, n);
          const bool leaves = script.find('L') != std::string::npos;
          if (leaves && !k.leave) continue;
          CAPTURE(script);
          config c;
          c.probe = probe_level::report;
          peer p(v, server, c);
          p.up("010401010101");
          p.x.react = [&](session&, const event& e) {
            if (auto* r = std::get_if<subscribe_requested>(&e)) request = r->request;
            if (auto* r = std::get_if<fetch_requested>(&e)) request = r->request;
            if (auto* r = std::get_if<track_requested>(&e)) request = r->request;
          };
          const std::size_t before = p.s().streams_held();
          const auto id = k.open(p);
          CHECK(p.s().streams_held() == before + 1);
          std::size_t heard_before_leaving = 0;
          for (const char act : script) {
            if (act == 'F') p.fin(id);
            if (act == 'R') p.reset(id, 0x4d1);
            if (act == 'S') p.stop(id, 0x2a);
            if (act == 'L') {
              heard_before_leaving = terminal_events(p);
              k.leave(p);
              p.run();
            }
          }
          p.wait(seconds(3));  // for stragglers
          const bool peer_ended = script.find('R') != std::string::npos || script.find('F') != std::string::npos;
          const bool reset_first = script.find('R') < script.find('F');  // behind a FIN it is no news
          const bool over = reset_first || (k.fin_ends && peer_ended) || leaves;
          CHECK(terminal_events(p) <= 1);
          if (leaves) CHECK(terminal_events(p) == heard_before_leaving);
          if (over) CHECK(p.is_ended(id));
          if (over && peer_ended) CHECK(p.s().streams_held() == before);
          CHECK(p.net.broken_promises == 0);
          CHECK(p.is_open());
        }
      } while (std::next_permutation(acts.begin(), acts.end()));
    }
}

TEST_CASE("a stop of a group is answered by a reset with its code, and the subscription goes on [seed 3.4 b]") {
  for (const version v : versions) {
    peer p(v, server);
    track_cache video({.max_age_ms = 1'000'000, .timescale = 1000});
    p.x.react = [&](session& s, const event& e) {
      if (auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
    };
    p.up();
    REQUIRE(video.begin_group(p.now) == errc::ok);
    REQUIRE(video.append(0, bytes::copy("x")) == errc::ok);
    p.open(bidi,
           "02" + hex(msg::subscribe{.id = 1, .broadcast = "x", .track = "y", .want = {.max_age_ms = 1'000'000}}, v));
    const auto first = p.own(uni, "00");
    REQUIRE(first != 0);
    p.stop(first, 0x2a);
    CHECK(p.on(first).reset == 0x2a);
    CHECK(p.x.count<request_closed>() == 0);
    REQUIRE(video.append(1, bytes::copy("x")) == errc::ok);
    REQUIRE(video.begin_group(p.now) == errc::ok);
    REQUIRE(video.append(2, bytes::copy("z")) == errc::ok);
    p.run();
    const auto second = p.own(uni, "00");
    CHECK(second != first);
    CHECK(p.sent(second).ends_with("7a"));
    CHECK(p.net.broken_promises == 0);
  }
}

TEST_CASE(
    "R-011 R-012 codes that are reserved or not registered end the stream they came on and mean nothing "
    "more [seed 3.4 c]") {
  for (const version v : versions)
    for (const std::uint64_t code :
         {std::uint64_t{0x2a}, std::uint64_t{0x4d1}, std::uint64_t{0x2}, wire::varint_max, no_code}) {
      peer p(v, client);
      p.up();
      REQUIRE(p.s().subscribe("a", "b", bare(), p.now).has_value());
      REQUIRE(p.s().subscribe("a", "c", bare(), p.now).has_value());
      p.run();
      const auto streams = p.ours(bidi);
      p.send(p.open(uni, group(v, 0, 1) + frame(v, "78")), frame(v, "79"));
      const auto broken = p.open(uni, group(v, 0, 2) + frame(v, "78"));
      p.reset(broken, code);
      REQUIRE(p.x.count<group_finished>() == 1);
      CHECK(p.x.last<group_finished>().why == errc::reset_by_peer);
      CHECK(p.x.last<group_finished>().code == code);
      CHECK(p.x.count<subscription_closed>() == 0);
      p.reset(streams[streams.size() - 1], code);
      REQUIRE(p.x.count<subscription_closed>() == 1);
      CHECK(p.x.last<subscription_closed>().why == errc::refused_by_peer);
      CHECK(p.x.last<subscription_closed>().code == code);
      p.open(uni, group(v, 0, 3) + frame(v, "78"), true);
      CHECK(p.x.last<group_finished>().group == 3);
      CHECK(p.is_open());
      CHECK(!is_registered(stream_code{0x2a}));
      CHECK(!is_registered(stream_code{0x4d1}));
    }
}

TEST_CASE("R-012 a code from 32 to 47 is never sent: not by our table, not at the application's wish") {
  for (const error_facts& f : detail::error_table) {
    const auto s = static_cast<std::uint64_t>(f.on_session);
    const auto t = static_cast<std::uint64_t>(f.on_stream);
    CHECK((s < 32 || s > 47));
    CHECK((t < 32 || t > 47));
    CHECK(is_registered(f.on_stream));
  }
  for (const version v : versions)
    for (const std::uint64_t code : {32u, 0x2au, 47u}) {
      peer p(v, server);
      request_id request{};
      p.x.react = [&](session&, const event& e) {
        if (auto* r = std::get_if<subscribe_requested>(&e)) request = r->request;
      };
      p.up();
      const auto id = p.open(bidi, subscribe(v, 1));
      CHECK(p.s().reject(request, static_cast<stream_code>(code)) == errc::bad_argument);
      CHECK(p.s().reject(request, application_code(code)) == errc::ok);
      p.run();
      CHECK(p.on(id).reset == code + 64);
      p.s().close(static_cast<session_code>(code));
      p.run();
      CHECK(p.closed_with(session_code::internal_error));
    }
}

TEST_CASE("R-010 R-013 the codes below 32 are those of moq-transport, in two spaces of their own") {
  struct row {
    std::uint64_t code;
    std::optional<session_code> session;
    std::optional<stream_code> stream;
  };
  const row table[] = {
      {0x0, session_code::no_error, stream_code::internal_error},
      {0x1, session_code::internal_error, stream_code::cancelled},
      {0x2, session_code::unauthorized, stream_code::delivery_timeout},
      {0x3, session_code::protocol_violation, stream_code::session_closed},
      {0x4, {}, stream_code::going_away},
      {0x5, {}, stream_code::too_far_behind},
      {0x6, session_code::key_value_formatting_error, {}},
      {0x10, session_code::goaway_timeout, {}},
      {0x11, session_code::control_message_timeout, {}},
      {0x12, {}, stream_code::malformed_track},
      {0x15, session_code::version_negotiation_failed, {}},
  };
  for (const row& r : table) {
    if (r.session) CHECK(static_cast<std::uint64_t>(*r.session) == r.code);
    if (r.stream) CHECK(static_cast<std::uint64_t>(*r.stream) == r.code);
    CHECK(is_registered(static_cast<stream_code>(r.code)) == r.stream.has_value());
  }
  for (const error_facts& f : detail::error_table) {
    const auto known = [&](auto code, auto member) {
      for (const row& r : table)
        if (r.*member == code) return true;
      return false;
    };
    CHECK(known(f.on_session, &row::session));
    CHECK((static_cast<std::uint64_t>(f.on_stream) >= 48 || known(f.on_stream, &row::stream)));
  }
}

TEST_CASE("leaving a subscription stops its open groups as cancelled, and nothing of it is heard again [seed 3.4 d]") {
  for (const version v : versions) {
    peer p(v, client);
    p.up();
    const auto sub = p.s().subscribe("a", "b", bare(), p.now);
    const auto other = p.s().subscribe("a", "c", bare(), p.now);
    REQUIRE(other.has_value());
    p.run();
    const auto g1 = p.open(uni, group(v, 0, 1) + frame(v, "78"));
    const auto g2 = p.open(uni, group(v, 0, 2));
    const auto g3 = p.open(uni, group(v, 1, 2));
    p.forget();
    CHECK(p.s().unsubscribe(*sub) == errc::ok);
    CHECK(p.s().unsubscribe(*sub) == errc::stale_handle);
    p.run();
    CHECK(p.on(g1).stop == 0x1);
    CHECK(p.on(g2).stop == 0x1);
    CHECK(!p.on(g3).stop);
    p.send(g1, frame(v, "79"), true);
    p.reset(g2, 0x1);
    const auto late = p.open(uni, group(v, 0, 3) + frame(v, "78"), true);
    CHECK(p.on(late).stop.value_or(1) == 1);
    CHECK(p.x.events.empty());
    p.send(g3, frame(v, "7a"), true);
    CHECK(p.x.count<frame_part>() == 1);
    CHECK(p.is_open());
    CHECK(p.net.broken_promises == 0);
  }
}

// ---- the session ends

TEST_CASE(
    "every stream that is open when the session ends has one terminal event, and then the session's "
    "[seed 3.5 a] R-015") {
  for (const version v : versions)
    for (int how = 0; how < 4; ++how) {
      CAPTURE(facts(v).name);
      CAPTURE(how);
      peer p(v, client);
      track_cache video({.timescale = 1000});
      p.x.react = [&](session& s, const event& e) {
        if (auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
      };
      p.up();
      for (const char* name : {"1", "2", "3"}) REQUIRE(p.s().subscribe("a", name, bare(), p.now).has_value());
      for (const char* prefix : {"a", "b"}) REQUIRE(p.s().discover(prefix, p.now).has_value());
      if (has_fetch(v)) REQUIRE(p.s().fetch("a", "1", 0, {}, p.now).has_value());
      if (has_track_stream(v)) REQUIRE(p.s().query_track("a", "1", p.now).has_value());
      p.run();
      for (std::uint64_t i = 0; i < 5; ++i) p.open(uni, group(v, i % 3, i) + frame(v, "78"));
      p.open(bidi, subscribe(v, 77));
      CHECK(p.x.count<group_started>() == 5);
      CHECK(terminal_events(p) == 0);
      if (how == 0) p.s().close(session_code::unauthorized, "enough");
      if (how == 1) p.close(0x99, "bye");
      if (how == 2) p.close(0, "", false);
      if (how == 3) p.open(bidi, "0201");  // and then garbage
      if (how == 3)
        p.open(bidi,
               "02"
               "0101");
      p.run();
      CHECK(p.x.count<subscription_closed>() == 3);
      CHECK(p.x.count<interest_closed>() == 2);
      CHECK(p.x.count<group_finished>() == 5);
      CHECK(p.x.count<fetch_closed>() == (has_fetch(v) ? 1 : 0));
      CHECK(p.x.count<track_answered>() == (has_track_stream(v) ? 1 : 0));
      CHECK(p.x.count<request_closed>() == 1);
      REQUIRE(p.x.count<session_closed>() == 1);
      CHECK(std::holds_alternative<session_closed>(p.x.events.back().what));
      // a stream's code is of the streams' space, whatever closed the session.
      for (const auto& h : p.x.all<subscription_closed>())
        CHECK(std::get<subscription_closed>(h.what).code == static_cast<std::uint64_t>(stream_code::session_closed));
      for (const auto& h : p.x.all<group_finished>()) {
        CHECK(std::get<group_finished>(h.what).why != errc::ok);
        CHECK(std::get<group_finished>(h.what).code == static_cast<std::uint64_t>(stream_code::session_closed));
      }
      CHECK(p.x.last<request_closed>().code == static_cast<std::uint64_t>(stream_code::session_closed));
      CHECK(p.x.last<interest_closed>().code == static_cast<std::uint64_t>(stream_code::session_closed));
      CHECK(p.net.broken_promises == 0);
      CHECK(p.s().next_deadline() == never_due);
    }
}

TEST_CASE("a subscription that the peer ends with a reset ends the groups that were on their way, once each") {
  for (const version v : versions) {
    peer p(v, client);
    p.up();
    REQUIRE(p.s().subscribe("a", "b", bare(), p.now).has_value());
    p.run();
    const auto g = p.open(uni, group(v, 0, 4) + frame(v, "78"));
    p.reset(p.own(bidi, "02"), 0x33);
    REQUIRE(p.x.count<group_finished>() == 1);
    CHECK(p.x.last<group_finished>().group == 4);
    CHECK(p.x.last<group_finished>().why == errc::reset_by_peer);
    CHECK(p.x.count<subscription_closed>() == 1);
    CHECK(std::holds_alternative<subscription_closed>(p.x.events.back().what));
    CHECK(p.on(g).stop == 0x1);
    p.send(g, frame(v, "79"), true);
    CHECK(p.x.count<group_finished>() == 1);
  }
}

TEST_CASE("the code and the reason that the peer closes with are told as they came [seed 3.5 b] R-011") {
  for (const version v : versions)
    for (const std::uint64_t code : {std::uint64_t{0}, std::uint64_t{0x3}, std::uint64_t{0x2a}, std::uint64_t{0x4d1}}) {
      peer p(v, client);
      p.up();
      p.s().on_close({true, code, "because"}, p.now);
      p.close(0x55, "a stack that says it twice");
      REQUIRE(p.x.count<session_closed>() == 1);
      const auto closed = p.x.last<session_closed>();
      CHECK(closed.why == errc::ok);
      CHECK(closed.by_peer);
      CHECK(closed.code == code);
      CHECK(p.x.all<session_closed>()[0].text == "because");
      CHECK(!p.net.close_code);
      p.close(7, "again");
      CHECK(p.x.count<session_closed>() == 1);
    }
  peer lost(lite06, client);
  lost.up();
  lost.close(0x1234, "timeout", false);
  CHECK(lost.x.last<session_closed>().why == errc::transport_closed);
  CHECK(!lost.x.last<session_closed>().by_peer);
}

TEST_CASE("what arrived before the connection ended is still told, and a fault in it does not hide the peer's code") {
  for (const version v : versions) {
    const auto after = [&](const std::string& last_words) {
      peer p(v, client);
      p.up();
      REQUIRE(p.s().subscribe("a", "b", bare(), p.now).has_value());
      p.run();
      p.forget();
      const auto bytes_of = tests::from_hex(last_words);
      p.s().on_open(stream_id{5000}, uni, p.now);
      p.s().on_data(stream_id{5000}, bytes::copy(byte_view(bytes_of)), true, p.now);
      p.close(0x77, "bye");
      return p.log();
    };
    const std::string ends = "subscription closed (the session is closed, 3)\nsession closed by peer (no error, 119)\n";
    CHECK(after(group(v, 0, 3) + frame(v, "78")) == "group 3\nframe x.\ngroup finished 3 (no error, 0)\n" + ends);
    CHECK(after("0001") == ends);
    CHECK(after("00"
                "0200") == ends);  // a malformed GROUP
  }
}

TEST_CASE(
    "close twice, close while hearing events, input after the close: one close goes out and nothing else "
    "[seed 3.5 d]") {
  for (const version v : versions) {
    peer p(v, client);
    p.x.react = [](session& s, const event& e) {
      if (std::holds_alternative<group_started>(e)) s.close(session_code::no_error, "first");
    };
    p.up();
    const auto sub = p.s().subscribe("a", "b", bare(), p.now);
    REQUIRE(sub.has_value());
    p.run();
    const auto own = p.own(bidi, "02");
    const auto g = p.open(uni, group(v, 0, 1) + frame(v, "78") + frame(v, "79"), true);
    CHECK(p.closed_with(session_code::no_error));
    CHECK(p.net.close_reason == "first");
    CHECK(p.x.count<session_closed>() == 1);
    CHECK(p.x.count<frame_part>() == 0);
    const std::size_t calls = p.net.calls;
    const std::size_t events = p.x.events.size();
    p.s().close(session_code::unauthorized, "second");
    p.run();
    p.send(g, "00");
    p.send(own, "00");
    p.reset(own, 5);
    p.stop(own, 5);
    p.open(bidi, subscribe(v, 3));
    p.open(uni, "01");
    p.s().on_writable(static_cast<stream_id>(own));
    p.s().on_credit(bidi);
    p.s().on_datagram(bytes::copy("abc"), p.now);
    p.s().on_deadline(p.now + seconds(1000));
    p.run();
    p.close(5, "late");
    CHECK(p.net.calls == calls);
    CHECK(p.x.events.size() == events);
    CHECK(p.net.close_code == 0);
    CHECK(p.s().next_deadline() == never_due);
    CHECK(!p.s().next_action().has_value());
    CHECK(!p.s().next_write().has_value());
  }
}

TEST_CASE("a reason is cut where it gets too long, ours and the peer's") {
  config c;
  c.caps.reason_bytes_max = 10;
  peer p(lite06, client, c);
  p.up();
  p.s().close(session_code::no_error, "0123456789abcdef");
  p.run();
  CHECK(p.net.close_reason == "0123456789");
  CHECK(p.x.all<session_closed>()[0].text == "0123456789");
  peer q(lite06, client, c);
  q.up();
  q.close(0, "0123456789abcdef");
  CHECK(q.x.all<session_closed>()[0].text == "0123456789");
}

TEST_CASE("after the close every command says closed [seed 3.5]") {
  for (const version v : versions)
    for (const bool by_peer : {false, true}) {
      peer p(v, client);
      p.up();
      track_cache cache({.timescale = 1000});
      const auto interest = *p.s().discover("", p.now);
      const auto mine = *p.s().announce("a");
      const auto sub = *p.s().subscribe("a", "b", bare(), p.now);
      p.run();
      if (by_peer)
        p.close(0, "");
      else
        p.s().close();
      for (int again = 0; again < 2; ++again) {
        CHECK(p.s().discover("", p.now).error() == errc::closed);
        CHECK(p.s().forget(interest) == errc::closed);
        CHECK(p.s().announce("a").error() == errc::closed);
        CHECK(p.s().update(mine, route{}) == errc::closed);
        CHECK(p.s().withdraw(mine) == errc::closed);
        CHECK(p.s().subscribe("a", "b", {}, p.now).error() == errc::closed);
        CHECK(p.s().update(sub, msg::delivery{}) == errc::closed);
        CHECK(p.s().unsubscribe(sub) == errc::closed);
        CHECK(p.s().fetch("a", "b", 0, {}, p.now).error() == errc::closed);
        CHECK(p.s().cancel(fetch_id{}) == errc::closed);
        CHECK(p.s().query_track("a", "b", p.now).error() == errc::closed);
        CHECK(p.s().serve(request_id{}, cache) == errc::closed);
        CHECK(p.s().answer(request_id{}, {}) == errc::closed);
        CHECK(p.s().reject(request_id{}, stream_code::not_found) == errc::closed);
        CHECK(p.s().probe() == errc::closed);
        CHECK(p.s().stop_probe() == errc::closed);
        CHECK(p.s().report(1, 1) == errc::closed);
        CHECK(p.s().goaway("", {}, p.now) == errc::closed);
        CHECK(p.s().finish_goaway() == errc::closed);
        CHECK(p.s().is_closed());
        p.run();
      }
    }
}

TEST_CASE("a handle whose object is gone, or that never was one, is stale, also when its slot lives again") {
  for (const version v : versions) {
    peer p(v, client);
    request_id asked{};
    p.x.react = [&](session&, const event& e) {
      if (auto* r = std::get_if<subscribe_requested>(&e)) asked = r->request;
      if (auto* r = std::get_if<track_requested>(&e)) asked = r->request;
    };
    p.up();
    track_cache cache({.timescale = 1000});
    for (const std::uint64_t n : {std::uint64_t{0}, std::uint64_t{5}, ~std::uint64_t{0}}) {
      CHECK(p.s().forget(interest_id{n}) == errc::stale_handle);
      CHECK(p.s().update(announcement_id{n}, route{}) == errc::stale_handle);
      CHECK(p.s().withdraw(announcement_id{n}) == errc::stale_handle);
      CHECK(p.s().update(subscription_id{n}, msg::delivery{}) == errc::stale_handle);
      CHECK(p.s().unsubscribe(subscription_id{n}) == errc::stale_handle);
      CHECK(p.s().cancel(fetch_id{n}) == errc::stale_handle);
      CHECK(p.s().serve(request_id{n}, cache) == errc::stale_handle);
      CHECK(p.s().answer(request_id{n}, {}) == errc::stale_handle);
      CHECK(p.s().reject(request_id{n}, stream_code::not_found) == errc::stale_handle);
    }
    for (int again = 0; again < 2; ++again) {
      const auto interest = *p.s().discover("", p.now);
      const auto mine = *p.s().announce("a");
      const auto sub = *p.s().subscribe("a", "b", bare(), p.now);
      p.run();
      CHECK(p.s().forget(interest) == errc::ok);
      CHECK(p.s().withdraw(mine) == errc::ok);
      CHECK(p.s().unsubscribe(sub) == errc::ok);
      for (int later = 0; later < 2; ++later) {
        CHECK(p.s().forget(interest) == errc::stale_handle);
        CHECK(p.s().withdraw(mine) == errc::stale_handle);
        CHECK(p.s().update(mine, route{}) == errc::stale_handle);
        CHECK(p.s().unsubscribe(sub) == errc::stale_handle);
        CHECK(p.s().update(sub, msg::delivery{}) == errc::stale_handle);
        p.run();
        // The slots live again under other handles.
        CHECK(p.s().announce("z").has_value());
        CHECK(p.s().discover("z", p.now).has_value());
      }
      if (has_fetch(v)) {
        const auto f = p.s().fetch("a", "b", 0, {}, p.now);
        REQUIRE(f.has_value());
        CHECK(p.s().cancel(*f) == errc::ok);
        CHECK(p.s().cancel(*f) == errc::stale_handle);
      }
      p.open(bidi, subscribe(v, static_cast<std::uint64_t>(again)));
      const request_id r = asked;
      CHECK(p.s().answer(r, {}) == errc::wrong_state);
      CHECK(p.s().reject(r, stream_code::not_found) == errc::ok);
      CHECK(p.s().reject(r, stream_code::not_found) == errc::stale_handle);
      CHECK(p.s().serve(r, cache) == errc::stale_handle);
      p.run();
      CHECK(p.s().serve(r, cache) == errc::stale_handle);
    }
    CHECK(p.net.broken_promises == 0);
  }
}

// ---- limits and clocks

TEST_CASE(
    "a stream that does not say what it is in time is ended, type or first message or group header [seed "
    "10.1 d]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    std::vector<std::pair<direction, std::string>> slow{{bidi, ""},   {bidi, "40"},   {bidi, "01"},
                                                        {bidi, "02"}, {bidi, "0205"}, {uni, ""},
                                                        {uni, "40"},  {uni, "00"},    {uni, "0003"}};
    if (has_fetch(v)) slow.push_back({bidi, "0305"});
    if (has_goaway(v)) slow.push_back({bidi, "0505"});
    if (has_track_stream(v)) slow.push_back({bidi, "0605"});
    for (const auto& stream : slow) {
      const direction dir = stream.first;
      const std::string& words = stream.second;
      CAPTURE(words);
      peer p(v, server);
      p.up();
      const std::size_t before = p.s().streams_held();
      const auto id = p.open(dir, words);
      p.wait(microseconds(9'999'999));
      CHECK(!p.on(id).stop);
      p.wait(microseconds(1));
      CHECK(p.was_ended(id, stream_code::control_timeout));
      CHECK(p.s().streams_held() == before);
      CHECK(p.x.count<request_closed>() == 0);
      CHECK(p.is_open());
      CHECK(p.net.broken_promises == 0);
    }
    peer p(v, server);  // who has said it has all the time
    p.up();
    const auto a = p.open(bidi, announce_request(v));
    const auto s = p.open(bidi, subscribe(v, 1));
    p.wait(seconds(100));
    CHECK(!p.is_ended(a));
    CHECK(!p.is_ended(s));
    CHECK(p.x.count<request_closed>() == 0);
  }
}

TEST_CASE("streams that have not said what they are are bounded, and those that do make room [seed 10.1 c]") {
  for (const version v : versions) {
    config c;
    c.caps.unidentified_streams_max = 3;
    peer p(v, server, c);
    p.up();
    const auto a = p.open(bidi);
    const auto b = p.open(uni, "00");
    const auto d = p.open(bidi, "02");
    for (const auto id : {a, b, d}) CHECK(!p.on(id).stop);
    CHECK(p.was_ended(p.open(bidi), stream_code::no_capacity));
    CHECK(p.was_ended(p.open(uni), stream_code::no_capacity));
    p.send(a, announce_request(v));
    CHECK(!p.on(p.open(bidi, announce_request(v))).stop);
    CHECK(!p.on(p.open(bidi)).stop);
    CHECK(p.was_ended(p.open(bidi), stream_code::no_capacity));
    p.reset(b, 0);
    CHECK(!p.on(p.open(uni)).stop);
    CHECK(p.is_open());
  }
}

TEST_CASE(
    "bytes that wait for the application are bounded by closing, and are not counted once they are read "
    "[seed 10.1 c]") {
  for (const version v : versions) {
    config c;
    c.caps.buffered_bytes_max = 1000;
    for (const std::size_t n : {std::size_t{999}, std::size_t{1000}, std::size_t{1001}}) {
      peer p(v, server, c);
      p.up();
      p.s().on_open(stream_id{5000}, bidi, p.now);
      const std::vector<std::uint8_t> some(n, 0);
      for (std::size_t i = 0; i < n; i += 100)
        p.s().on_data(stream_id{5000}, bytes::copy(byte_view(some).subspan(i, std::min<std::size_t>(100, n - i))),
                      false, p.now);
      CHECK(p.s().is_closed() == (n > 1000));
      if (n > 1000) {
        p.run();
        CHECK(p.closed_with(session_code::internal_error));
        CHECK(p.x.last<session_closed>().why == errc::limit_exceeded);
      } else {
        CHECK(p.s().bytes_buffered() == n);
      }
    }
    peer p(v, client, c);  // a long group in pieces, read as it comes
    p.up();
    REQUIRE(p.s().subscribe("a", "b", bare(), p.now).has_value());
    p.run();
    const auto g = p.open(uni, group(v, 0, 1));
    for (int i = 0; i < 1000; ++i) p.send(g, frame(v, "78"));
    CHECK(p.x.count<frame_part>() == 1000);
    CHECK(p.s().bytes_buffered() == 0);
    CHECK(p.is_open());
  }
}

TEST_CASE(
    "a message is as long as the limit and no longer, judged by its length before memory is taken [seed "
    "10.1 c]") {
  for (const version v : versions) {
    config c;
    c.caps.message_bytes_max = 100;
    const bool exclude = only(lite04, lite05).has(v);
    for (const std::size_t body : {99u, 100u, 101u}) {
      peer p(v, server, c);
      p.up();
      const std::string prefix(body - 2 - (exclude ? 1 : 0), 'a');  // one length of two bytes, see below
      std::vector<std::uint8_t> bytes_of{1, 0x40, static_cast<std::uint8_t>(body), 0x40,
                                         static_cast<std::uint8_t>(prefix.size())};
      bytes_of.insert(bytes_of.end(), prefix.begin(), prefix.end());
      if (exclude) bytes_of.push_back(0);
      p.open(bidi, tests::to_hex(bytes_of));
      CHECK(p.closed_with(session_code::protocol_violation) == (body > 100));
      if (body > 100) CHECK(p.x.last<session_closed>().why == errc::message_too_large);
    }
  }
}

TEST_CASE("a length of 2^62-1 is refused without memory, on every stream that we read [seed 10.1 a]") {
  const std::string endless = "ffffffffffffffff";
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    std::vector<std::pair<direction, std::string>> all{{bidi, "01"}, {bidi, "02"}, {uni, "00"}};
    if (has_fetch(v)) all.push_back({bidi, "03"});
    if (has_probe(v)) all.push_back({bidi, "04"});
    if (has_goaway(v)) all.push_back({bidi, "05"});
    if (has_track_stream(v)) all.push_back({bidi, "06"});
    for (const auto& stream : all) {
      const direction dir = stream.first;
      const std::string& type = stream.second;
      CAPTURE(type);
      counting_memory m;
      config c;
      c.probe = probe_level::report;
      peer p(v, server, c, m.get());
      p.up();
      const auto id = p.open(dir, type);
      p.run();
      const std::size_t before = m.bytes_high;
      p.send(id, endless);
      p.send(id, std::string(2000, '0'));
      CHECK(m.bytes_high <= before + 1024);
      CHECK(p.closed_with(session_code::protocol_violation));
      const bool is_group = dir == uni;  // three numbers: more is more than there can be
      CHECK(p.x.last<session_closed>().why == (is_group ? errc::trailing : errc::message_too_large));
    }
    counting_memory m;  // the answers to what we ask
    peer p(v, client, {}, m.get());
    p.up();
    REQUIRE(p.s().discover("", p.now).has_value());
    REQUIRE(p.s().subscribe("a", "b", bare(), p.now).has_value());
    p.run();
    const auto g = p.open(uni, group(v, 0, 1) + frame(v, "78"));
    const std::size_t before = m.bytes_high;
    p.send(g, (has_timestamps(v) ? "00" : "") + endless);  // a frame: its stream alone
    CHECK(p.was_ended(g, stream_code::frame_too_large));
    REQUIRE(p.x.count<group_finished>() == 1);
    CHECK(p.x.last<group_finished>().why == errc::frame_too_large);
    CHECK(p.is_open());
    CHECK(m.bytes_high <= before + 4096);
    p.send(p.own(bidi, "02"), (has_ranges(v) ? "00" : "") + endless);
    CHECK(p.closed_with(session_code::protocol_violation));
    peer q(v, client, {}, m.get());
    q.up();
    REQUIRE(q.s().discover("", q.now).has_value());
    q.run();
    q.send(q.own(bidi, "01"), (v == lite06 ? "0100" + std::string("00") : "") + endless);
    CHECK(q.net.close_code.has_value());
  }
  for (const version v : {lite05, lite06}) {
    counting_memory m;
    peer p(v, server, {}, m.get());
    (void)p.start();
    p.open(uni, "01" + endless);
    CHECK(p.closed_with(session_code::protocol_violation));
    CHECK(p.x.last<session_closed>().why == errc::message_too_large);
  }
}

TEST_CASE("a frame may be as large as the limit and no larger [seed 10.1 c]") {
  for (const version v : versions) {
    config c;
    c.caps.frame_bytes_max = 10;
    peer p(v, client, c);
    p.up();
    REQUIRE(p.s().subscribe("a", "b", bare(), p.now).has_value());
    p.run();
    const std::string head = has_timestamps(v) ? "00" : "";
    p.open(uni, group(v, 0, 1) + head + "0a" + "61616161616161616161", true);
    CHECK(p.x.last<group_finished>().why == errc::ok);
    const auto g = p.open(uni, group(v, 0, 2) + head + "0b");
    CHECK(p.was_ended(g, stream_code::frame_too_large));
    CHECK(p.x.last<group_finished>().why == errc::frame_too_large);
    CHECK(p.x.count<subscription_closed>() == 0);
    CHECK(p.is_open());
  }
}

TEST_CASE(
    "requests of the peer's are bounded, subscriptions and the others apart, and those that end make "
    "room [seed 10.1 c]") {
  for (const version v : versions) {
    config c;
    c.caps.subscriptions_max = 2;
    c.caps.requests_max = 2;
    peer p(v, server, c);
    p.up();
    const auto a = p.open(bidi, subscribe(v, 1));
    const auto b = p.open(bidi, subscribe(v, 2));
    CHECK(!p.is_ended(a));
    CHECK(!p.is_ended(b));
    CHECK(p.was_ended(p.open(bidi, subscribe(v, 3)), stream_code::no_capacity));
    p.fin(a);
    CHECK(!p.is_ended(p.open(bidi, subscribe(v, 4))));
    CHECK(p.was_ended(p.open(bidi, subscribe(v, 5)), stream_code::no_capacity));
    CHECK(p.x.count<subscribe_requested>() == 3);
    if (!has_fetch(v)) continue;
    const std::string fetch = "03" + hex(msg::fetch{.broadcast = "x", .track = "y"}, v);
    const auto f = p.open(bidi, fetch);
    CHECK(!p.is_ended(p.open(bidi, fetch)));
    CHECK(p.was_ended(p.open(bidi, fetch), stream_code::no_capacity));
    p.reset(f, 1);
    CHECK(!p.is_ended(
        p.open(bidi, has_track_stream(v) ? "06" + hex(msg::track{.broadcast = "x", .track_name = "y"}, v) : fetch)));
    CHECK(p.was_ended(p.open(bidi, fetch), stream_code::no_capacity));
    CHECK(p.is_open());
  }
}

TEST_CASE("R-093 a refusal is not remembered: the same request is made again when it is wanted again") {
  for (const version v : versions) {
    peer p(v, client);
    p.up();
    for (std::uint64_t i = 0; i < 2; ++i) {
      const std::size_t before = p.ours(bidi).size();
      REQUIRE(p.s().subscribe("a", "b", bare(), p.now).has_value());
      if (has_track_stream(v)) REQUIRE(p.s().query_track("a", "b", p.now).has_value());
      p.run();
      const auto streams = p.ours(bidi);
      CHECK(streams.size() == before + (has_track_stream(v) ? 2 : 1));
      for (std::size_t k = before; k < streams.size(); ++k) p.reset(streams[k], 0x33);
      CHECK(p.x.count<subscription_closed>() == i + 1);
      CHECK(p.x.last<subscription_closed>().why == errc::refused_by_peer);
      if (has_track_stream(v)) CHECK(p.x.last<track_answered>().why == errc::refused_by_peer);
    }
  }
}

TEST_CASE("a request of ours that is never answered is given up in time") {
  for (const version v : versions) {
    if (!has_fetch(v)) continue;
    peer p(v, client);
    p.up();
    if (has_track_stream(v))
      REQUIRE(p.s().query_track("a", "b", p.now).has_value());
    else
      REQUIRE(p.s().fetch("a", "b", 0, {}, p.now).has_value());
    p.run();
    const auto id = p.ours(bidi).back();
    p.wait(microseconds(29'999'999));
    CHECK(terminal_events(p) == 0);
    p.wait(microseconds(1));
    CHECK(terminal_events(p) == 1);
    CHECK(p.on(id).stop == static_cast<std::uint64_t>(stream_code::control_timeout));
    CHECK(p.is_open());
    CHECK(p.s().streams_held() == 0);
  }
}

TEST_CASE("a session that has ended everything holds no stream and no byte R-009") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    testing::pair p(v);
    track_cache video({.timescale = 1000});
    p.server.react = [&](session& s, const event& e) {
      if (auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
      if (auto* r = std::get_if<track_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
    };
    p.start();
    p.run();
    for (int round = 0; round < 3; ++round) {
      const auto i = p.client.session.discover("", p.net.now());
      const auto a = p.server.session.announce("a");
      const auto s = p.client.session.subscribe("a", "b", {}, p.net.now());
      REQUIRE(video.begin_group(p.net.now()) == errc::ok);
      REQUIRE(video.append(static_cast<std::uint64_t>(round), bytes::copy("x")) == errc::ok);
      p.run();
      CHECK(p.client.session.unsubscribe(*s) == errc::ok);
      CHECK(p.server.session.withdraw(*a) == errc::ok);
      CHECK(p.client.session.forget(*i) == errc::ok);
      p.wait(seconds(3));
      CHECK(p.client.session.streams_held() == idle_streams(v));
      CHECK(p.server.session.streams_held() == idle_streams(v));
      CHECK(p.client.session.bytes_buffered() == 0);
      CHECK(p.server.session.bytes_buffered() == 0);
      CHECK(p.client.session.next_deadline() == never_due);
    }
    CHECK(p.client.count<frame_part>() == 3);
    CHECK_MESSAGE(p.net.violations() == 0, p.net.last_violation());
  }
}

TEST_CASE("a session that has said that it is closed has no more events, whatever was left unread R-015") {
  for (const version v : versions)
    for (const bool is_ours : {true, false}) {
      CAPTURE(facts(v).name);
      testing::pair p(v);
      p.start();
      p.run();
      for (std::uint64_t i = 0; i < 3; ++i) {  // arrives, and nobody looks
        p.server.session.on_open(stream_id{1000 + i}, uni, p.net.now());
        p.server.session.on_data(stream_id{1000 + i}, bytes::copy("?"), false, p.net.now());
      }
      if (is_ours)
        p.server.session.close();
      else
        p.server.session.on_close({}, p.net.now());
      p.drain(p.server);
      CHECK(p.server.count<session_closed>() == 1);
      CHECK_FALSE(p.server.session.has_events());
      CHECK_FALSE(p.server.session.next_event().has_value());
    }
}
