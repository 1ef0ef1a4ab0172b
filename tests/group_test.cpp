/// Groups on their own streams: in any order, cut, refused, too many, and waiting for stream credit.

#include <doctest/doctest.h>

#include "counting_memory.hpp"
#include "scripted.hpp"

using namespace moql;
using namespace testing;

namespace {

constexpr auto uni = direction::uni;
using numbers = std::vector<std::uint64_t>;

/// A subscriber whose subscription (Subscribe ID 0) runs from group 0.
struct subscriber : scripted {
  std::uint64_t stream;
  explicit subscriber(version v, const config& c = {}, memory m = {}) : scripted(v, endpoint::client, c, m) {
    stream = subscribe({.want = {.group_start = 0}});
    say_ok(stream, 0);
  }
  group_finished finished(std::size_t i) { return std::get<group_finished>(all<group_finished>().at(i).what); }
};

constexpr auto code = [](stream_code c) { return static_cast<std::uint64_t>(c); };

}  // namespace

TEST_CASE("a Group stream begins with GROUP and its frames follow R-133 [seed 9.1 a, 9.2 a]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    scripted p(v, endpoint::server);
    track_cache cache;
    put_group(cache, 7, {"hello", ""}, {}, 0);
    p.serve_all(cache);
    p.peer_subscribes({}, 1);
    const std::string head = has_frame_bounds(v) ? "0003010700" : "00020107";
    const std::string frames = has_timestamps(v) ? "000568656c6c6f"
                                                   "1400"
                                                 : "0568656c6c6f"
                                                   "00";
    CHECK(p.out(p.stream_of(7, 1)) == head + frames);
    CHECK(p.at(p.stream_of(7, 1)).fin);
  }
}

TEST_CASE("GROUP with a byte too many or the largest numbers there are R-133 [seed 9.1 b d]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    subscriber extra(v);
    extra.peer_opens(uni, has_frame_bounds(v) ? "000400010000" : "0003000100");
    CHECK(extra.net.closed == static_cast<std::uint64_t>(session_code::protocol_violation));

    subscriber s(v);
    s.peer_group(wire::varint_max, {}, true);
    CHECK(started_groups(s) == numbers{wire::varint_max});
    const auto unknown = s.peer_group(1, {"x"}, true, wire::varint_max);
    CHECK(s.at(unknown).stop.has_value());
    CHECK(s.is_open());
  }
}

TEST_CASE("groups 5, 3, 4 are delivered as they arrive R-135 [seed 2.3 c]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    for (const std::uint64_t g : {5u, 3u, 4u}) s.peer_group(g, {"f" + std::to_string(g)});
    CHECK(started_groups(s) == numbers{5, 3, 4});
    CHECK(payloads<frame_part>(s) == "f5|f3|f4|");
    for (std::size_t i = 0; i < 3; ++i) CHECK(s.finished(i).why == errc::ok);
    CHECK(s.finished(1).group == 3);
  }
}

TEST_CASE("a group that stands still does not stall the others R-136 [seed 2.3]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    const auto slow = s.peer_opens(uni, "00");          // not even a header
    const auto half = s.peer_group(1, {"abc"}, false);  // no end
    s.peer_group(2, {"x"});
    CHECK(payloads<frame_part>(s) == "abc|x|");
    s.feed(half, frame_hex(v, 1, "def"), true);
    s.feed(slow, wire_hex(msg::group{0, 0, 0}, v) + frame_hex(v, 0, "late"), true);
    CHECK(payloads<frame_part>(s) == "abc|x|def|late|");
    CHECK(started_groups(s) == numbers{1, 2, 0});
  }
}

TEST_CASE("bytes that were read return their credit at once, on every stream R-136") {
  struct counter : recording_transport {
    std::map<std::uint64_t, std::size_t> back;
    void consume(stream_id id, std::size_t n) noexcept { back[static_cast<std::uint64_t>(id)] += n; }
  };
  subscriber s(lite06);
  counter net;
  static_cast<recording_transport&>(net) = s.net;
  const auto group = std::uint64_t{77};
  net.streams[group] = {.dir = uni};
  const auto raw = moql::tests::from_hex("00" + wire_hex(msg::group{0, 1, 0}, lite06) + frame_hex(lite06, 0, "abcdef"));
  s.session.on_open(stream_id{group}, uni, s.now);
  s.session.on_data(stream_id{group}, bytes::copy(byte_view(raw)), false, s.now);
  pump(s.session, net, s.now);
  CHECK(net.back[group] == 0);  // the application has not looked
  while (s.session.next_event()) {
  }
  pump(s.session, net, s.now);
  CHECK(net.back[group] == raw.size());
}

TEST_CASE("a Group stream of header and end is an empty group [seed 2.3 b]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    s.peer_group(4, {}, true);
    CHECK(started_groups(s) == numbers{4});
    CHECK(s.finished(0).why == errc::ok);
    CHECK(s.count<frame_part>() == 0);
    s.peer_group(5, {"", "x", ""}, true);
    REQUIRE(s.count<frame_part>() == 3);
    CHECK(std::get<frame_part>(s.all<frame_part>()[0].what).is_last());
    CHECK(std::get<frame_part>(s.all<frame_part>()[2].what).frame == 2);
  }
}

TEST_CASE("an empty group of the publisher's own goes out as header and end [seed 2.3 b]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    scripted p(v, endpoint::server);
    track_cache cache;
    put_group(cache, 0, {});
    p.serve_all(cache);
    p.peer_subscribes({});
    REQUIRE(p.groups().size() == 1);
    CHECK(p.out(p.groups()[0]) == "00" + wire_hex(msg::group{0, 0, 0}, v));
    CHECK(p.at(p.groups()[0]).fin);
  }
}

TEST_CASE("a type, a header and frames split at every byte tell the same [seed 2.3 a] [seed 8.1 a]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    const std::string whole = "00" + wire_hex(msg::group{0, 300, 0}, v) + frame_hex(v, 300, "abc") +
                              frame_hex(v, -1, "") + frame_hex(v, 5, "d");
    for (std::size_t at = 0; at <= whole.size(); at += 2) {
      subscriber s(v);
      const auto g = s.peer_opens(uni, whole.substr(0, at));
      s.feed(g, whole.substr(at), true);
      CHECK(started_groups(s) == numbers{300});
      std::string text;
      for (const auto& h : s.all<frame_part>()) text += h.payload;
      CHECK(text == "abcd");
      CHECK(s.last<frame_part>().frame == 2);
      CHECK(s.last<frame_part>().timestamp == (has_timestamps(v) ? 304 : 0));
      CHECK(s.finished(0).why == errc::ok);
    }
  }
}

TEST_CASE("a group for an unknown subscription is stopped once, and the next one is delivered R-137 [seed 2.3 d]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    const auto stray = s.peer_group(0, {"x"}, false, 99);
    CHECK(s.at(stray).stop == code(stream_code::cancelled));
    s.feed(stray, frame_hex(v, 0, "more"));
    CHECK(s.is_open());
    s.peer_group(1, {"good"});
    CHECK(payloads<frame_part>(s) == "good|");
    CHECK(s.count<group_started>() == 1);
  }
}

TEST_CASE("a group for a closed subscription is stopped, never fatal R-137 [seed 9.1]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    CHECK(s.session.unsubscribe(s.last_subscription) == errc::ok);
    s.settle();
    const auto late = s.peer_group(3, {"x"}, true);
    CHECK(s.at(late).stop.has_value());
    CHECK(s.count<group_started>() == 0);
    CHECK(s.is_open());
  }
}

TEST_CASE("a unidirectional stream of an unknown type is stopped from 03 on, the session goes on [seed 8.1 b]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    const auto odd = s.peer_opens(uni, "02ff", true);
    CHECK(s.at(odd).stop.has_value());
    CHECK(s.is_open());
    s.peer_group(0, {"x"});
    CHECK(s.count<group_finished>() == 1);
  }
}

TEST_CASE("a second stream for one group is stopped and the first goes on R-138 [seed 2.3 d]") {
  for (const version v : versions)
    for (const bool first_is_done : {false, true}) {
      CAPTURE(facts(v).name);
      CAPTURE(first_is_done);
      subscriber s(v);
      const auto one = s.peer_group(2, {"a"}, first_is_done);
      const auto two = s.peer_group(2, {"b"}, true);
      CHECK(s.at(two).stop.has_value());
      CHECK_FALSE(s.at(one).stop.has_value());
      if (!first_is_done) s.feed(one, frame_hex(v, 1, "c"), true);
      CHECK(payloads<frame_part>(s) == (first_is_done ? "a|" : "a|c|"));
      CHECK(s.count<group_started>() == 1);
      CHECK(s.count<group_finished>() == 1);
      CHECK(s.is_open());
    }
}

TEST_CASE("the publisher opens one stream per group and subscription, whatever happens to the cache R-138") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    scripted p(v, endpoint::server);
    track_cache cache;
    p.serve_all(cache);
    put_group(cache, 0, {"a"}, {}, 0, false);
    const msg::delivery all{.max_age_ms = 100'000, .group_start = 0};
    const auto stream = p.peer_subscribes(all);
    CHECK(cache.append(0, 10, bytes::copy("b")) == errc::ok);
    p.settle();
    if (has_ranges(v)) p.feed(stream, wire_hex(msg::subscribe_update{all}, v));
    CHECK(cache.end_group(0) == errc::ok);
    p.settle();
    if (has_ranges(v)) p.feed(stream, wire_hex(msg::subscribe_update{all}, v));
    p.settle();
    CHECK(p.groups().size() == 1);
    p.peer_subscribes(all, 1);
    CHECK(p.groups().size() == 2);
  }
}

TEST_CASE("a group at or past the declared end is stopped on 06, and one past it on 05 R-107") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    s.peer_group(0, {"a"});
    s.feed(s.stream, "010105");  // 5 is the first that will not come; the text of 05 reads: 5 is the last
    const auto at = s.peer_group(5, {"b"});
    const auto past = s.peer_group(6, {"c"});
    CHECK(s.at(at).stop.has_value() == (v == lite06));
    CHECK(s.at(past).stop.has_value());
    CHECK(s.count<subscription_closed>() == 0);  // it never fails the track
    CHECK(s.is_open());
  }
}

TEST_CASE("a frame that is too large is refused on its length alone, without memory [seed 2.1 c]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    config c;
    c.caps.frame_bytes_max = 1024 * 1024;
    counting_memory m;
    subscriber s(v, c, m.get());
    const auto exact =
        s.peer_opens(uni, "00" + wire_hex(msg::group{0, 0, 0}, v) + wire_hex(msg::frame{0, 1024 * 1024}, v));
    CHECK_FALSE(s.at(exact).stop);
    const auto g = s.peer_opens(uni, "00" + wire_hex(msg::group{0, 1, 0}, v));
    const std::size_t high = m.bytes_high;
    s.feed(g, wire_hex(msg::frame{0, wire::varint_max}, v));
    CHECK(m.bytes_high - high < 4096);
    CHECK(s.at(g).stop == code(stream_code::frame_too_large));
    REQUIRE(s.count<group_finished>() == 1);
    CHECK(s.finished(0).why == errc::frame_too_large);
    CHECK(s.is_open());
    s.peer_group(2, {"x"});
    CHECK(s.finished(1).why == errc::ok);
  }
}

TEST_CASE("a timestamp below 0 or past the limit ends its group only R-142 [seed 2.1 d]") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    const auto low =
        s.peer_opens(uni, "00" + wire_hex(msg::group{0, 0, 0}, v) + frame_hex(v, 5, "ok") + frame_hex(v, -6, "no"));
    CHECK(s.at(low).stop == code(stream_code::timestamp_mismatch));
    CHECK(s.finished(0).why == errc::bad_timestamp);
    CHECK(payloads<frame_part>(s) == "ok|");
    subscriber t(v);
    const auto most = static_cast<std::int64_t>(wire::varint_max / 2);
    const auto high = t.peer_opens(uni, "00" + wire_hex(msg::group{0, 0, 0}, v) + frame_hex(v, most, "a") +
                                            frame_hex(v, most, "b") + frame_hex(v, most, "c"));
    CHECK(payloads<frame_part>(t) == "a|b|");
    CHECK(t.at(high).stop == code(stream_code::timestamp_mismatch));
    CHECK(s.is_open());
    CHECK(t.is_open());
  }
}

TEST_CASE("an end inside a frame cuts the group, what was delivered stays R-020 [seed 2.1 d]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    const std::string head = "00" + wire_hex(msg::group{0, 0, 0}, v);
    const std::string whole = frame_hex(v, 0, "abc");
    s.peer_opens(uni, head + whole + frame_hex(v, 1, "defg").substr(0, whole.size() - 2), true);
    CHECK(s.finished(0).why == errc::stream_cut);
    CHECK(payloads<frame_part>(s).starts_with("abc|"));
    s.peer_opens(uni, "00" + wire_hex(msg::group{0, 1, 0}, v).substr(0, 2), true);  // inside the header
    CHECK(s.count<group_started>() == 1);
    CHECK(s.is_open());
  }
}

TEST_CASE(
    "streams without a header are capped: one too many is stopped, and those that speak up make room [seed 8.1 c]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    numbers silent;
    for (std::size_t i = 0; i < limits{}.unidentified_streams_max; ++i) silent.push_back(s.peer_opens(uni));
    const auto over = s.peer_opens(uni);
    CHECK(s.at(over).stop == code(stream_code::no_capacity));
    for (const auto id : silent) REQUIRE_FALSE(s.at(id).stop);
    CHECK(s.is_open());
    s.feed(silent[0], "00" + wire_hex(msg::group{0, 0, 0}, v), true);
    const auto next = s.peer_opens(uni);
    CHECK_FALSE(s.at(next).stop);
    s.feed(silent[1], "00");  // a type without its header still counts
    CHECK(s.at(s.peer_opens(uni)).stop.has_value());
    s.wait(limits{}.header_timeout + seconds(1));
    CHECK(s.at(silent[1]).stop == code(stream_code::control_timeout));
    CHECK(s.at(silent[2]).stop == code(stream_code::control_timeout));
    CHECK(s.is_open());
  }
}

TEST_CASE("either side may reset a group, and neither the subscription nor the session ends R-134 [seed 3.4 c]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    for (const std::uint64_t c : {0x2au, 0x4d1u}) {
      const auto g = s.peer_group(c, {"x"}, false);
      s.reset(g, c);
      CHECK(s.last<group_finished>().why == errc::reset_by_peer);
      CHECK(s.last<group_finished>().code == c);
    }
    s.peer_group(9999, {"fine"});
    CHECK(s.last<group_finished>().why == errc::ok);
    CHECK(s.count<subscription_closed>() == 0);
    CHECK(s.is_open());
  }
}

TEST_CASE("a STOP from the subscriber resets the group with the same code and the others go on R-134 [seed 3.4 b]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    scripted p(v, endpoint::server);
    track_cache cache;
    p.serve_all(cache);
    put_group(cache, 0, {"a"}, {}, 0, false);
    const auto stream = p.peer_subscribes({.max_age_ms = 100'000});
    p.stop(p.stream_of(0), 0x4d1);
    CHECK(p.at(p.stream_of(0)).reset == 0x4d1);
    const std::string before = p.out(p.stream_of(0));
    CHECK(cache.append(0, 10, bytes::copy("b")) == errc::ok);
    put_group(cache, 1, {"c"}, {}, 1000);
    p.settle();
    CHECK(p.out(p.stream_of(0)) == before);
    CHECK(p.at(p.stream_of(1)).fin);
    CHECK_FALSE(p.at(stream).reset);
    CHECK(p.net.bad_calls == 0);
    cache.finish();
    p.settle();
    CHECK(p.at(stream).fin);
  }
}

TEST_CASE("a subscriber skips one group: its stream is stopped once, the others go on R-134 [seed 3.4 b]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    subscriber s(v);
    const auto first = s.peer_group(0, {"x"}, false);
    CHECK(s.session.skip(s.last_subscription, 1) == errc::wrong_state);
    CHECK(s.session.skip(s.last_subscription, 0) == errc::ok);
    s.settle();
    CHECK(s.at(first).stop == code(stream_code::cancelled));
    CHECK(s.session.skip(s.last_subscription, 0) == errc::wrong_state);
    const std::size_t frames = s.count<frame_part>();
    s.feed(first, frame_hex(v, 10, "y"));
    s.reset(first, 0x1);
    CHECK(s.count<frame_part>() == frames);
    CHECK(s.count<group_finished>() == 0);
    s.peer_group(1, {"z"});
    CHECK(s.finished(0).group == 1);
    CHECK(s.count<subscription_closed>() == 0);
    CHECK(s.session.unsubscribe(s.last_subscription) == errc::ok);
    CHECK(s.session.skip(s.last_subscription, 1) == errc::stale_handle);
    CHECK(s.is_open());
  }
}

TEST_CASE("frames before a group's first frame are a gap that nobody waits for R-139 [seed 9.1 c]") {
  subscriber s(lite06);
  s.peer_group(0, {"a", "b"}, true, 0, 15);
  CHECK(s.first<group_started>().first_frame == 15);
  CHECK(std::get<frame_part>(s.all<frame_part>()[0].what).frame == 15);
  CHECK(std::get<frame_part>(s.all<frame_part>()[1].what).frame == 16);
  CHECK(s.finished(0).why == errc::ok);
  s.feed(s.stream, "010101");
  CHECK(s.count<subscription_closed>() == 1);
}

TEST_CASE("a group from two subscriptions is told apart by subscription and put together by frame index R-140") {
  scripted s(lite06, endpoint::client);
  const auto a = s.subscribe({.want = {.group_start = 3, .group_end = 3, .frame_end = 1}});
  const auto first = s.last_subscription;
  const auto b = s.subscribe({.want = {.max_age_ms = 1000, .group_start = 3, .frame_start = 2}});
  const auto second = s.last_subscription;
  s.say_ok(a, 3);
  s.say_ok(b, 3);
  s.peer_group(3, {"c", "d"}, true, 1, 2);
  s.peer_group(3, {"a", "b"}, true, 0, 0);
  std::map<std::uint64_t, std::string> whole;
  for (const auto& h : s.all<frame_part>()) {
    const auto& part = std::get<frame_part>(h.what);
    CHECK(part.group == 3);
    CHECK(part.subscription == (part.frame < 2 ? first : second));
    whole.emplace(part.frame, h.payload);
  }
  CHECK(whole == std::map<std::uint64_t, std::string>{{0, "a"}, {1, "b"}, {2, "c"}, {3, "d"}});
}

TEST_CASE("two subscriptions that abut bring every frame of a group once R-140 [seed 7.7]") {
  pair p(lite06);
  track_cache video;
  p.server.react = [&](session& s, const event& e) {
    if (auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
    if (auto* r = std::get_if<track_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
  };
  p.start();
  p.run();
  put_group(video, 0, {"0", "1", "2", "3", "4"});
  CHECK(
      p.client.session.subscribe("a", "v", {.want = {.group_start = 0, .group_end = 0, .frame_end = 2}}, p.net.now()));
  CHECK(p.client.session.subscribe("a", "v", {.want = {.group_start = 0, .frame_start = 3}}, p.net.now()));
  p.run();
  std::map<std::uint64_t, std::string> whole;
  for (const auto& h : p.client.all<frame_part>()) {
    const auto& part = std::get<frame_part>(h.what);
    CHECK(whole.emplace(part.frame, h.payload).second);
    CHECK(part.timestamp == part.frame * 10);
  }
  CHECK(whole.size() == 5);
  CHECK(whole[4] == "4");
}

TEST_CASE("payload passes as it is, of any bytes and sizes R-141 [seed 9.2]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    pair p(v, {.chunk_min = 1, .chunk_max = 700});
    track_cache video({.timescale = 90'000});
    p.server.react = [&](session& s, const event& e) {
      if (auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
      if (auto* r = std::get_if<track_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
    };
    p.start();
    p.run();
    std::vector<std::string> sent;
    for (std::size_t i = 0; i < 40; ++i) {
      std::string f;
      for (std::size_t k = 0; k < i * i * 3; ++k) f += static_cast<char>(k * 7 + i);
      sent.push_back(f);
    }
    put_group(video, 0, sent);
    CHECK(p.client.session.subscribe("a", "v", {}, p.net.now()));
    p.run();
    std::vector<std::string> got(sent.size());
    for (const auto& h : p.client.all<frame_part>()) got[std::get<frame_part>(h.what).frame] += h.payload;
    CHECK(got == sent);
  }
}

// ---- stream credit

TEST_CASE("500 groups past a limit of 10 streams are all delivered [seed 3.1.2]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    pair p(v, {.streams_uni = 10});
    track_cache video({.max_age_ms = 10'000'000});
    p.server.react = [&](session& s, const event& e) {
      if (auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
      if (auto* r = std::get_if<track_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
    };
    p.start();
    p.run();
    put_group(video, 0, {"0"});
    CHECK(p.client.session.subscribe("a", "v", {.want = {.max_age_ms = 10'000'000, .group_start = 0}}, p.net.now()));
    p.run();
    for (std::uint64_t g = 1; g < 500; ++g) put_group(video, g, {std::to_string(g)}, {}, g);
    p.run();
    CHECK(p.client.count<group_finished>() == 500);
    auto all = started_groups(p.client);
    std::sort(all.begin(), all.end());
    for (std::uint64_t g = 0; g < all.size(); ++g) REQUIRE(all[g] == g);
    CHECK(p.net.violations() == 0);
  }
}

TEST_CASE("a group cancelled while it waits for stream credit never opens a stream [seed 8.1 d]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    scripted p(v, endpoint::server);
    track_cache cache;
    p.serve_all(cache);
    put_group(cache, 0, {"a"});
    p.peer_subscribes({.max_age_ms = 100'000}, 0);
    const auto stream = p.peer_subscribes({.max_age_ms = 100'000}, 1);
    p.net.uni_credit = 0;
    put_group(cache, 1, {"b"}, {}, 1000);
    p.settle();
    CHECK(p.net.refused_opens > 0);
    CHECK(p.groups().size() == 2);
    p.fin(stream);
    p.give_streams(100);
    CHECK(p.groups().size() == 3);
    CHECK(p.stream_of(1, 0) != ~std::uint64_t{0});
    CHECK(p.stream_of(1, 1) == ~std::uint64_t{0});
    // nor one that the publisher gives up
    p.net.uni_credit = 0;
    put_group(cache, 2, {"c"}, {}, 2000, false);
    p.settle();
    CHECK(cache.abort_group(2, stream_code::internal_error) == errc::ok);
    p.give_streams(100);
    CHECK(p.stream_of(2, 0) == ~std::uint64_t{0});
    CHECK(p.groups().size() == 3);
  }
}

TEST_CASE("no credit is not asked for again and again [seed 3.1.2]") {
  scripted p(lite06, endpoint::server);
  track_cache cache;
  p.serve_all(cache);
  put_group(cache, 0, {"a"});
  p.peer_subscribes({.max_age_ms = 100'000});
  p.net.uni_credit = 0;
  for (std::uint64_t g = 1; g < 50; ++g) {
    put_group(cache, g, {"b"}, {}, g);
    p.settle();
  }
  CHECK(p.net.refused_opens == 1);
  p.give_streams(3);
  CHECK(p.groups().size() == 4);
  CHECK(p.net.refused_opens == 2);
}
