/// Subscriptions, seen from both sides: what is asked, what is answered, and the account of every group.

#include <doctest/doctest.h>

#include "scripted.hpp"

using namespace moql;
using namespace testing;

namespace {

constexpr auto bidi = direction::bidi;

/// A publisher's session whose peer is the script, serving `cache`.
struct publisher : scripted {
  track_cache cache;
  explicit publisher(version v, const track_options& o = {}, const config& c = {})
      : scripted(v, endpoint::server, c), cache(o) {
    serve_all(cache);
  }
  void put(std::uint64_t sequence, const std::vector<std::string>& frames = {"x"}, std::uint64_t timestamp = ~0ull,
           bool end = true) {
    put_group(cache, sequence, frames, now, timestamp == ~0ull ? sequence * 1000 : timestamp, end);
  }
  /// Sequences of all group streams begun so far, ascending.
  std::vector<std::uint64_t> sent() {
    settle();
    std::vector<std::uint64_t> out;
    for (const auto id : groups()) out.push_back(group_of(id).sequence);
    std::sort(out.begin(), out.end());
    return out;
  }
};

using numbers = std::vector<std::uint64_t>;

msg::delivery whole_track() { return {.max_age_ms = 1'000'000, .group_start = 0}; }

}  // namespace

// ---- ids, the first message

TEST_CASE("a Subscribe ID is never used twice, not even after its subscription ended R-096 [seed 7.7]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    std::vector<std::string> ids;
    for (int i = 0; i < 3; ++i) {
      const auto stream = s.subscribe();
      ids.push_back(s.out(stream).substr(4, 2));  // type, length, id
      CHECK(s.session.unsubscribe(s.last_subscription) == errc::ok);
      s.settle();
    }
    CHECK(ids == std::vector<std::string>{"00", "01", "02"});
  }
}

TEST_CASE("a Subscribe ID that comes again closes the session, open or ended R-096 [seed 6.3 d]") {
  for (const version v : versions)
    for (const bool ended : {false, true}) {
      CAPTURE(facts(v).name);
      CAPTURE(ended);
      publisher p(v);
      const auto first = p.peer_subscribes({}, 7);
      if (ended) p.fin(first);
      CHECK(p.is_open());
      p.peer_subscribes({}, 8);
      CHECK(p.is_open());
      p.peer_subscribes({}, 7);
      CHECK(p.net.closed == static_cast<std::uint64_t>(session_code::protocol_violation));
      CHECK(p.first<session_closed>().why == errc::duplicate_subscription);
    }
}

TEST_CASE("the Subscribe stream begins with SUBSCRIBE in the version's layout R-097 [seed 7.7 a]") {
  const msg::delivery want{.priority = 2, .max_age_ms = 500};
  const auto sent = [&](version v, msg::delivery w) {
    scripted s(v, endpoint::client);
    return s.out(s.subscribe({.want = w}));
  };
  // Subscribe ID 0, room, video
  const std::string names = "0004726f6f6d05766964656f";
  CHECK(sent(lite01, want) == "020d" + names + "02");
  CHECK(sent(lite02, want) == "020d" + names + "02");
  for (const version v : {lite03, lite04, lite05}) CHECK(sent(v, want) == "0212" + names + "020041f40000");
  CHECK(sent(lite06, want) == "0213" + names + "0241f400000000");
  const msg::delivery range{.priority = 200, .max_age_ms = 500, .group_start = 10, .group_end = 20, .frame_start = 3};
  CHECK(sent(lite06, range) == "0213" + names + "c841f40a150300");
  CHECK(sent(lite04, {.priority = 200, .ordered = true, .max_age_ms = 500, .group_start = 10, .group_end = 20}) ==
        "0212" + names + "c80141f40b15");
}

TEST_CASE("a second SUBSCRIBE on the stream is read as an update and its length gives it away R-097") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    const auto stream = p.peer_subscribes({}, 1);
    p.feed(stream, wire_hex(msg::subscribe{2, "room", "video", {}}, v));
    CHECK_FALSE((p.is_open() && !p.at(stream).reset));  // 0x03 or a length that no update has
  }
}

// ---- limits

TEST_CASE("one subscription more than allowed is reset with NO_CAPACITY, and an ended one makes room [seed 10.1 c]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    config c;
    c.caps.subscriptions_max = 2;
    publisher p(v, {}, c);
    const auto a = p.peer_subscribes({}, 1);
    const auto b = p.peer_subscribes({}, 2);
    CHECK_FALSE(p.at(a).reset);
    CHECK_FALSE(p.at(b).reset);
    const auto over = p.peer_subscribes({}, 3);
    CHECK(p.at(over).reset == static_cast<std::uint64_t>(stream_code::no_capacity));
    CHECK(p.count<subscribe_requested>() == 2);
    CHECK(p.is_open());
    p.fin(a);
    const auto again = p.peer_subscribes({}, 4);
    CHECK_FALSE(p.at(again).reset);
    CHECK(p.count<subscribe_requested>() == 3);
  }
}

TEST_CASE("beyond the limit of remembered gaps the oldest is reported as lost at once [seed 10.1 c]") {
  for (const version v : {lite04, lite06}) {
    CAPTURE(facts(v).name);
    config c;
    c.caps.gaps_max = 3;
    scripted s(v, endpoint::client, c);
    const auto stream = s.subscribe({.want = {.group_start = 0}});
    s.say_ok(stream, 0);
    for (const std::uint64_t g : {0u, 2u, 4u}) s.peer_group(g, {"x"});
    CHECK(losses(s) == "");
    s.peer_group(6, {"x"});
    CHECK(losses(s) == "1-1:unaccounted ");
    s.peer_group(1, {"late"});
    CHECK(started_groups(s) == numbers{0, 2, 4, 6});  // given up is given up
    CHECK(losses(s) == "1-1:unaccounted ");
    s.peer_group(3, {"x"});
    CHECK(started_groups(s) == numbers{0, 2, 4, 6, 3});
  }
}

// ---- the caller's mistakes

TEST_CASE("wishes that contradict themselves are the caller's mistake and nothing is sent R-109 [seed 7.7 d]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto ask = [&](const msg::delivery& w) {
      const auto r = s.session.subscribe("room", "video", {.want = w}, s.now);
      return r ? errc::ok : r.error();
    };
    CHECK(ask({.group_start = 5, .group_end = 4}) == errc::bad_argument);
    CHECK(ask({.frame_end = 1}) == errc::bad_argument);
    CHECK(ask({.group_start = wire::varint_max + 1}) == (has_ranges(v) ? errc::bad_argument : errc::ok));
    // On 03 to 05 the +1 would not fit; on 06 the start is raw.
    CHECK(ask({.group_start = wire::varint_max}) ==
          (has_ranges(v) && !since(lite06).has(v) ? errc::bad_argument : errc::ok));
    if (has_frame_bounds(v)) CHECK(ask({.frame_start = 3}) == errc::bad_argument);  // no group is named
  }
}

// ---- the first reply

TEST_CASE("the publisher replies with SUBSCRIBE_OK in the version's layout R-098 [seed 7.8 a]") {
  const auto reply = [](version v) {
    publisher p(v, {.priority = 2, .max_age_ms = 0});
    p.put(7);
    return p.out(p.peer_subscribes({}));
  };
  CHECK(reply(lite01) == "0102");
  CHECK(reply(lite02) == "00");
  CHECK(reply(lite03) == "00050200000800");
  CHECK(reply(lite04) == "00050200000800");
  CHECK(reply(lite05) == "000107");
  CHECK(reply(lite06) == "000107");
}

TEST_CASE("the application hears of SUBSCRIBE_OK what its version says R-098 [seed 7.8 a]") {
  const auto heard = [](version v, std::string_view reply) {
    scripted s(v, endpoint::client);
    s.feed(s.subscribe(), reply);
    REQUIRE(s.count<subscription_started>() == 1);
    return s.first<subscription_started>();
  };
  CHECK(heard(lite01, "0102").publisher_priority == 2);
  CHECK_FALSE(heard(lite01, "0102").group);
  CHECK_FALSE(heard(lite02, "00").publisher_priority);
  CHECK_FALSE(heard(lite02, "00").group);
  CHECK(heard(lite04, "00050200000800").publisher_priority == 2);
  CHECK(heard(lite04, "00050200000800").group == 7);
  CHECK_FALSE(heard(lite03, "00050000000000").group);  // not known yet
  CHECK(heard(lite05, "000108").group == 8);
  CHECK(heard(lite06, "000108").group == 8);
  CHECK_FALSE(heard(lite06, "000108").publisher_priority);
}

TEST_CASE("an OK without a start is followed by one with it once the first group is there R-100") {
  for (const version v : {lite03, lite04}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    const auto stream = p.peer_subscribes({});
    const std::string first = p.out(stream);
    CHECK(first ==
          "000600005388"
          "0000");
    p.put(4);
    p.settle();
    CHECK(p.out(stream) == first +
                               "000600005388"
                               "0500");
    CHECK(p.sent() == numbers{4});
  }
}

TEST_CASE("a second OK updates a subscription on 03 and 04 and is a violation elsewhere R-100 [seed 7.8 d]") {
  for (const version v : {lite03, lite04}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe();
    s.feed(stream, "00050000000000");
    s.feed(stream, "00050300000900");
    REQUIRE(s.count<subscription_started>() == 2);
    CHECK(s.last<subscription_started>().group == 8);
    CHECK(s.last<subscription_started>().publisher_priority == 3);
    CHECK(s.count<subscription_closed>() == 0);
  }
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe();
    s.feed(stream, "000108");
    s.feed(stream, "000108");
    REQUIRE(s.count<subscription_closed>() == 1);
    CHECK(s.first<subscription_closed>().why == errc::second_ok);
    CHECK(s.at(stream).reset.has_value());
    CHECK(s.is_open());
  }
}

TEST_CASE("no DROP goes out before the first OK on 03 and 04 R-099") {
  for (const version v : {lite03, lite04}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    REQUIRE(p.cache.drop_groups(0, 4) == errc::ok);
    const auto stream = p.peer_subscribes({.group_start = 0});
    CHECK(p.out(stream).starts_with("00"));
    p.put(5);
    p.settle();
    CHECK(p.out(stream).starts_with("00"));
  }
}

TEST_CASE("a DROP before OK is an error on 03 and 04 and fine on 05 and 06 R-099 [seed 6.3 b]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe();
    s.feed(stream, wire_hex(msg::subscribe_drop{3, 4, 0}, v));
    if (before(lite05).has(v)) {
      REQUIRE(s.count<subscription_closed>() == 1);
      CHECK(s.first<subscription_closed>().why == errc::drop_before_ok);
      CHECK(s.at(stream).reset.has_value());
      CHECK(losses(s) == "");
    } else {
      CHECK(s.count<subscription_closed>() == 0);
      CHECK(losses(s) == "3-4:dropped ");
    }
    CHECK(s.is_open());
  }
}

TEST_CASE("a refusal is a prompt reset with the code, no group stream and no word on the stream R-102 [seed 6.3 d]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::server);
    s.react = [](session& x, const event& e) {
      if (auto* r = std::get_if<subscribe_requested>(&e))
        CHECK(x.reject(r->request, stream_code::not_found) == errc::ok);
    };
    const auto stream = s.peer_subscribes({});
    CHECK(s.at(stream).reset == static_cast<std::uint64_t>(stream_code::not_found));
    CHECK(s.out(stream) == "");
    CHECK_FALSE(s.at(stream).fin);
    CHECK(s.groups().empty());
    CHECK(s.is_open());
  }
}

TEST_CASE("a subscriber tells a refusal from a broken subscription R-102") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    scripted refused(v, endpoint::client);
    const auto a = refused.subscribe();
    refused.reset(a, 0x33);
    REQUIRE(refused.count<subscription_closed>() == 1);
    CHECK(refused.first<subscription_closed>().why == errc::refused_by_peer);
    CHECK(refused.first<subscription_closed>().code == 0x33);
    CHECK((refused.at(a).reset || refused.at(a).fin));

    scripted broken(v, endpoint::client);
    const auto b = broken.subscribe();
    broken.say_ok(b, 0);
    broken.reset(b, 0x2a);
    REQUIRE(broken.count<subscription_closed>() == 1);
    CHECK(broken.first<subscription_closed>().why == errc::reset_by_peer);
    CHECK(broken.first<subscription_closed>().code == 0x2a);
    CHECK(broken.is_open());
  }
}

TEST_CASE("an accepted subscription stays silent on 05 and 06 until the first group R-102") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    const auto stream = p.peer_subscribes({});
    CHECK(p.out(stream) == "");
    CHECK_FALSE(p.at(stream).fin);
    CHECK_FALSE(p.at(stream).reset);
    p.put(3);
    p.settle();
    CHECK(p.out(stream) == "000103");
  }
}

TEST_CASE("a track that ended with nothing to deliver says END without OK and ends the stream R-103") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    publisher none(v);
    none.cache.finish();
    const auto a = none.peer_subscribes({});
    CHECK(none.out(a) == "010100");
    CHECK(none.at(a).fin);
    CHECK(none.first<request_closed>().why == errc::ok);

    publisher below(v);  // groups there are, but none that was asked for
    below.put(2);
    below.cache.finish();
    const auto b = below.peer_subscribes({.group_start = 5});
    CHECK(below.out(b) == "010103");
    CHECK(below.at(b).fin);
    CHECK(below.groups().empty());
  }
}

TEST_CASE("an END without OK closes a subscription in order R-103") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe();
    s.feed(stream, "010100", true);
    REQUIRE(s.count<subscription_closed>() == 1);
    CHECK(s.first<subscription_closed>().why == errc::ok);
    CHECK(s.first<subscription_end_known>().end == 0);
    CHECK(losses(s) == "");
    CHECK(s.at(stream).fin);
  }
}

// ---- where it starts

TEST_CASE("an OK below the requested start is a violation R-104 [seed 7.8 c]") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe({.want = {.group_start = 5}});
    s.feed(stream, "000104");
    REQUIRE(s.count<subscription_closed>() == 1);
    CHECK(s.first<subscription_closed>().why == errc::start_below_request);
    CHECK(s.at(stream).reset.has_value());
    CHECK(s.is_open());
  }
}

TEST_CASE("an OK that answers an older wish than the newest update is no violation R-104") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe({.want = {.group_start = 3}});
    CHECK(s.session.update(s.last_subscription, {.group_start = 10}) == errc::ok);
    s.feed(stream, "000105");
    CHECK(s.count<subscription_closed>() == 0);
    scripted t(v, endpoint::client);
    const auto other = t.subscribe({.want = {.group_start = 10}});
    CHECK(t.session.update(t.last_subscription, {.group_start = 3}) == errc::ok);
    t.feed(other, "000103");
    CHECK(t.count<subscription_closed>() == 0);
  }
}

TEST_CASE("groups between the requested and the resolved start count as skipped R-105") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe({.want = {.group_start = 5}});
    s.feed(stream, "000108");
    CHECK(losses(s) == "5-7:skipped ");
    s.feed(stream, "01010a");
    s.peer_group(8, {"a"});
    s.peer_group(9, {"b"});
    REQUIRE(s.count<subscription_closed>() == 1);
    CHECK(s.first<subscription_closed>().why == errc::ok);
    CHECK(losses(s) == "5-7:skipped ");
  }
}

TEST_CASE("the application learns at which frame it starts R-106 [seed 7.8 b]") {
  for (const std::uint64_t start : {5u, 6u}) {
    scripted s(lite06, endpoint::client);
    const auto stream = s.subscribe({.want = {.group_start = 5, .frame_start = 15}});
    s.say_ok(stream, start);
    CHECK(s.first<subscription_started>().group == start);
    CHECK(s.first<subscription_started>().frame == (start == 5 ? 15 : 0));
  }
}

TEST_CASE("asked for group 5 frame 15, a start at 6 begins at frame 0 R-106 R-111 [seed 7.8 b]") {
  publisher p(lite06);
  p.put(5, {"0", "1", "2"});
  p.put(6, {"a", "b"});
  const auto stream = p.peer_subscribes({.max_age_ms = 100'000, .group_start = 5, .frame_start = 15});
  CHECK(p.out(stream) == "000106");  // group 5 is skipped as a whole
  CHECK(p.sent() == numbers{6});
  CHECK(p.group_of(p.stream_of(6)).frame_start == 0);
  CHECK(p.out(p.stream_of(6)) == "0003000600" + frame_hex(lite06, 6000, "a") + frame_hex(lite06, 10, "b"));

  publisher exact(lite06);
  exact.put(5, {"0", "1", "2"});
  exact.peer_subscribes({.max_age_ms = 100'000, .group_start = 5, .frame_start = 2});
  CHECK(exact.group_of(exact.stream_of(5)).frame_start == 2);
  CHECK(exact.out(exact.stream_of(5)) == "0003000502" + frame_hex(lite06, 5020, "2"));
}

TEST_CASE("the frame that was asked for exists in group 0 as well R-106 R-112") {
  publisher p(lite06);
  p.put(0, {"0", "1", "2"});
  p.peer_subscribes({.max_age_ms = 100'000, .group_start = 0, .frame_start = 1});
  CHECK(p.group_of(p.stream_of(0)).frame_start == 1);
}

TEST_CASE("a group that is not the requested one is never cut R-112") {
  publisher p(lite06);
  p.put(5, {"0", "1"});
  p.put(6, {"2", "3"});
  p.put(7, {"4", "5"});
  p.peer_subscribes({.max_age_ms = 100'000, .group_start = 5, .group_end = 7, .frame_start = 1, .frame_end = 0});
  CHECK(p.group_of(p.stream_of(5)).frame_start == 1);
  CHECK(p.out(p.stream_of(6)) == "0003000600" + frame_hex(lite06, 6000, "2") + frame_hex(lite06, 10, "3"));
  CHECK(p.out(p.stream_of(7)) == "0003000700" + frame_hex(lite06, 7000, "4"));
  CHECK(p.at(p.stream_of(7)).fin);
}

TEST_CASE("a frame bound without its group resets the stream, the session goes on R-110 [seed 7.7 c]") {
  publisher p(lite06);
  // group end 0, frame end 1
  const auto stream = p.peer_opens(bidi, "02120004726f6f6d05766964656f000000000001");
  CHECK(p.at(stream).reset == static_cast<std::uint64_t>(facts(errc::bad_frame_bounds).on_stream));
  CHECK(p.count<subscribe_requested>() == 0);
  CHECK(p.is_open());
  p.put(1);
  const auto good = p.peer_subscribes({}, 9);
  CHECK(p.out(good) == "000101");
  // and in an update
  p.feed(good,
         "060000000000"
         "01");
  CHECK(p.at(good).reset.has_value());
  CHECK(p.is_open());
}

TEST_CASE("without a start 03 to 05 begin at the latest group, an explicit 0 is another wish R-115 [seed 7.7 b]") {
  for (const version v : {lite03, lite04, lite05}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    for (std::uint64_t g = 0; g < 4; ++g) p.put(g);
    p.peer_subscribes({.max_age_ms = 100'000});
    CHECK(p.sent() == numbers{3});
    publisher q(v);
    for (std::uint64_t g = 0; g < 4; ++g) q.put(g);
    q.peer_subscribes({.max_age_ms = 100'000, .group_start = 0});
    CHECK(q.sent() == numbers{0, 1, 2, 3});
    CHECK(q.first<subscribe_requested>().want.group_start == 0);
    CHECK_FALSE(p.first<subscribe_requested>().want.group_start);
  }
}

TEST_CASE("01 and 02 begin at the latest group and go on until someone leaves R-116") {
  for (const version v : {lite01, lite02}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    for (std::uint64_t g = 0; g < 4; ++g) p.put(g);
    const auto stream = p.peer_subscribes({});
    CHECK(p.sent() == numbers{3});
    for (std::uint64_t g = 4; g < 8; ++g) p.put(g);
    CHECK(p.sent() == numbers{3, 4, 5, 6, 7});
    CHECK_FALSE(p.at(stream).fin);
    p.fin(stream);
    CHECK(p.at(stream).fin);
    p.put(8);
    CHECK(p.sent() == numbers{3, 4, 5, 6, 7});
  }
}

TEST_CASE("06 begins at the oldest group at or above the floor that has not expired R-114 R-113 [seed 4.3 c]") {
  const auto sent = [](msg::delivery w, std::uint64_t groups = 30) {
    publisher p(lite06, {.max_age_ms = 1'000'000});
    for (std::uint64_t g = 0; g < groups; ++g) p.put(g);  // one second each
    const auto stream = p.peer_subscribes(w);
    const auto all = p.sent();
    if (all.empty()) return std::string("none") + p.out(stream);
    return std::to_string(all.front()) + "-" + std::to_string(all.back());
  };
  // The newest timestamp is 29 s. Group g reaches to g + 1 s: it is past 10 s once 29 - (g + 1) >= 10.
  CHECK(sent({.max_age_ms = 10'000}) == "19-29");
  CHECK(sent({.max_age_ms = 10'001}) == "18-29");
  CHECK(sent({.max_age_ms = 10'000, .group_start = 5}) == "19-29");
  CHECK(sent({.max_age_ms = 10'000, .group_start = 25}) == "25-29");
  CHECK(sent({.max_age_ms = 0}) == "29-29");  // the latest
  CHECK(sent({.max_age_ms = 0, .group_start = 3}) == "29-29");
  CHECK(sent({.max_age_ms = 1'000'000}) == "0-29");
  CHECK(sent({.max_age_ms = 1'000'000, .group_start = 40}) == "none");  // waits there, and says nothing
}

TEST_CASE("a floor above the latest group waits for that group R-114 R-113") {
  publisher p(lite06);
  p.put(3);
  const auto stream = p.peer_subscribes({.max_age_ms = 100'000, .group_start = 5});
  CHECK(p.out(stream) == "");
  p.put(4);
  CHECK(p.sent().empty());
  p.put(6);
  CHECK(p.sent() == numbers{6});
  CHECK(p.out(stream) == "000106");
  p.put(5);  // late, and below what has been announced as the start
  CHECK(p.sent() == numbers{6});
}

TEST_CASE("a floor that was raised keeps late groups below it away R-113 R-101") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    p.put(3);
    const auto stream = p.peer_subscribes({.max_age_ms = 100'000, .group_start = 3});
    CHECK(p.sent() == numbers{3});
    p.feed(stream, wire_hex(msg::subscribe_update{{.max_age_ms = 100'000, .group_start = 10}}, v));
    p.put(9);
    CHECK(p.sent() == numbers{3});
    p.put(11);
    p.put(10);
    CHECK(p.sent() == numbers{3, 10, 11});
  }
}

// ---- the account of groups

TEST_CASE("every way to lose a group is told once, and the subscription then ends in order R-108 [seed 6.3 a]") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe({.want = {.group_start = 2}});
    s.feed(stream, "000104");     // 2 and 3 skipped
    s.peer_group(4, {"a", "b"});  // whole
    const auto five = s.peer_group(5, {"c"}, false);
    s.reset(five, 0x2a);  // reset after its header
    s.feed(stream, wire_hex(msg::subscribe_drop{6, 7, 9}, v));
    s.feed(stream, "01010a");  // the end comes before the last word on 8 and 9
    CHECK(s.count<subscription_closed>() == 0);
    s.peer_group(9, {"d"});
    s.feed(stream, wire_hex(msg::subscribe_drop{8, 8, 0}, v));  // a straggler
    s.fin(stream);
    CHECK(losses(s) == "2-3:skipped 6-7:dropped 8-8:dropped ");
    CHECK(started_groups(s) == numbers{4, 5, 9});
    REQUIRE(s.count<group_finished>() == 3);
    CHECK(std::get<group_finished>(s.all<group_finished>()[1].what).why == errc::reset_by_peer);
    CHECK(std::get<group_finished>(s.all<group_finished>()[1].what).code == 0x2a);
    REQUIRE(s.count<subscription_closed>() == 1);
    CHECK(s.first<subscription_closed>().why == errc::ok);
    CHECK(s.at(stream).fin);
    CHECK(s.session.streams_held() == 0);
  }
}

TEST_CASE("a DROP carries its code to the application") {
  for (const version v : {lite03, lite06}) {
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe();
    s.say_ok(stream, 0);
    s.feed(stream, wire_hex(msg::subscribe_drop{1, 2, 77}, v));
    CHECK(s.first<groups_lost>().code == 77);
    CHECK(s.first<groups_lost>().first == 1);
    CHECK(s.first<groups_lost>().last == 2);
  }
}

TEST_CASE("a DROP that ends before it starts ends the subscription, not the session") {
  for (const version v : {lite03, lite06}) {
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe();
    s.say_ok(stream, 0);
    s.feed(stream, wire_hex(msg::subscribe_drop{5, 4, 0}, v));
    CHECK(s.first<subscription_closed>().why == errc::bad_drop);
    CHECK(s.is_open());
  }
}

TEST_CASE("a group that was both reset and dropped counts once, whichever came first [seed 8.1 d]") {
  for (const version v : {lite03, lite04, lite05, lite06})
    for (const bool drop_first : {false, true}) {
      CAPTURE(facts(v).name);
      CAPTURE(drop_first);
      scripted s(v, endpoint::client);
      const auto stream = s.subscribe({.want = {.group_start = 0}});
      s.say_ok(stream, 0);
      const auto group = drop_first ? 0 : s.peer_group(0, {"x"}, false);
      if (!drop_first) s.reset(group, 1);
      s.feed(stream, wire_hex(msg::subscribe_drop{0, 0, 0}, v));
      if (drop_first) s.reset(s.peer_group(0, {"x"}, false), 1);
      s.peer_group(1, {"y"});
      CHECK(s.count<groups_lost>() + s.count<group_started>() == 2);
      CHECK(s.count<groups_lost>() == (drop_first ? 1 : 0));
      CHECK(started_groups(s) == (drop_first ? numbers{1} : numbers{0, 1}));
    }
}

TEST_CASE("a group that is still arriving when it is dropped reports its own end once [seed 8.1 d]") {
  scripted s(lite06, endpoint::client);
  const auto stream = s.subscribe({.want = {.group_start = 0}});
  s.say_ok(stream, 0);
  const auto group = s.peer_group(0, {"x"}, false);
  s.feed(stream, wire_hex(msg::subscribe_drop{0, 0, 0}, lite06));
  s.reset(group, 2);
  s.feed(stream, "010101", true);
  CHECK(losses(s) == "");
  CHECK(s.count<group_finished>() == 1);
  CHECK(s.first<subscription_closed>().why == errc::ok);
}

TEST_CASE("an end with group 7 unaccounted names 7 R-108 [seed 6.3 c]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe({.want = {.group_start = 6}});
    s.say_ok(stream, 6);
    if (has_subscribe_end(v)) s.feed(stream, "010109");
    s.peer_group(6, {"a"});
    s.peer_group(8, {"c"});
    s.fin(stream);
    CHECK(losses(s) == "");  // it may only have been overtaken
    CHECK(s.count<subscription_closed>() == 0);
    s.wait(seconds(2));
    CHECK(losses(s) == "7-7:unaccounted ");
    REQUIRE(s.count<subscription_closed>() == 1);
    CHECK(s.first<subscription_closed>().why == errc::ok);
  }
}

TEST_CASE("group streams that were overtaken by the end of the Subscribe stream still count R-108") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe({.want = {.group_start = 0}});
    s.say_ok(stream, 0);
    s.peer_group(0, {"a"});
    if (has_subscribe_end(v)) s.feed(stream, "010103");
    s.fin(stream);
    CHECK(s.count<subscription_closed>() == 0);
    s.peer_group(2, {"c"});
    const auto slow = s.peer_group(1, {"b"}, false);
    s.wait(seconds(5));  // one that is arriving is waited for
    CHECK(s.count<subscription_closed>() == 0);
    s.fin(slow);
    s.wait(seconds(5));
    REQUIRE(s.count<subscription_closed>() == 1);
    CHECK(s.first<subscription_closed>().why == errc::ok);
    CHECK(losses(s) == "");
    CHECK(started_groups(s) == numbers{0, 2, 1});
  }
}

TEST_CASE("groups below a start that was raised later are not missed R-108 [seed 7.9 a]") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe({.want = {.group_start = 2}});
    s.say_ok(stream, 2);
    s.peer_group(2, {"a"});
    CHECK(s.session.update(s.last_subscription, {.group_start = 5}) == errc::ok);
    s.feed(stream, "010106");
    s.peer_group(5, {"b"});
    s.fin(stream);
    REQUIRE(s.count<subscription_closed>() == 1);
    CHECK(losses(s) == "");
  }
}

TEST_CASE("groups at or past SUBSCRIBE_END are not waited for R-107") {
  for (const version v : {lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe({.want = {.group_start = 0, .group_end = 100}});
    s.say_ok(stream, 0);
    s.peer_group(0, {"a"});
    CHECK(s.count<subscription_closed>() == 0);
    s.feed(stream, "010101");
    CHECK(s.first<subscription_end_known>().end == 1);
    REQUIRE(s.count<subscription_closed>() == 1);
    CHECK(s.first<subscription_closed>().why == errc::ok);
    CHECK(losses(s) == "");
  }
}

TEST_CASE("the publisher ends the stream only when each group was delivered, reset or dropped R-108") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    p.put(0);
    const auto stream = p.peer_subscribes(whole_track());
    p.put(1, {"x"}, 1000, false);  // stays open
    p.put(4);                      // closes 1; 2 and 3 never come
    p.put(5, {"y"}, 5000, false);
    CHECK(p.cache.drop_groups(2, 2) == errc::ok);
    p.settle();
    CHECK_FALSE(p.at(stream).fin);
    p.net.room = 0;
    CHECK(p.cache.append(5, 5010, bytes::copy("z")) == errc::ok);
    p.cache.finish();
    p.settle();
    CHECK_FALSE(p.at(stream).fin);  // 5 is not out yet
    p.give_room(SIZE_MAX);
    CHECK(p.at(stream).fin);
    CHECK(p.sent() == numbers{0, 1, 4, 5});
    const std::string all = p.out(stream);
    CHECK(all.find(wire_hex(msg::subscribe_drop{2, 2, 0}, v)) != std::string::npos);
    CHECK(all.find(wire_hex(msg::subscribe_drop{3, 3, 0}, v)) != std::string::npos);
    if (has_subscribe_end(v)) CHECK(all.find("010106") != std::string::npos);
    CHECK(p.first<request_closed>().why == errc::ok);
  }
}

TEST_CASE("groups that left the cache before they could be sent are dropped, not forgotten R-108") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    publisher p(v, {.max_age_ms = 1'000'000, .groups_max = 3});
    p.put(0);
    const auto stream = p.peer_subscribes(whole_track());
    CHECK(p.sent() == numbers{0});
    for (std::uint64_t g = 1; g <= 8; ++g) p.put(g);  // all before the session may look
    p.cache.finish();
    CHECK(p.sent() == numbers{0, 6, 7, 8});
    CHECK(p.out(stream).find(wire_hex(msg::subscribe_drop{1, 5, 0}, v)) != std::string::npos);
    CHECK(p.at(stream).fin);
  }
}

TEST_CASE("a group in range that is reset yields exactly one DROP [seed 8.1 d]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    p.put(0, {"x"}, 0, false);
    const auto stream = p.peer_subscribes(whole_track());
    const std::string before = p.out(stream);
    CHECK(p.cache.abort_group(0, application_code(5)) == errc::ok);
    p.settle();
    CHECK(p.at(p.stream_of(0)).reset == 69);
    CHECK(p.out(stream) == before + wire_hex(msg::subscribe_drop{0, 0, 0}, v));
    p.put(1);
    p.cache.finish();
    p.settle();
    const std::string end = has_subscribe_end(v) ? "010102" : "";
    CHECK(p.out(stream) == before + wire_hex(msg::subscribe_drop{0, 0, 0}, v) + end);
    CHECK(p.at(stream).fin);
  }
}

TEST_CASE("dropped ranges that touch are one DROP [seed 5.6]") {
  publisher p(lite06);
  p.put(0);
  const auto stream = p.peer_subscribes(whole_track());
  p.settle();
  const std::string before = p.out(stream);
  CHECK(p.cache.drop_groups(1, 3) == errc::ok);
  CHECK(p.cache.drop_groups(4, 6) == errc::ok);
  p.settle();
  CHECK(p.out(stream) == before + wire_hex(msg::subscribe_drop{1, 6, 0}, lite06));
}

// ---- bounded subscriptions

TEST_CASE("a bounded subscription closes itself when its last group is accounted for [seed 6.3]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe({.want = {.group_start = 1, .group_end = 2}});
    s.say_ok(stream, 1);
    s.peer_group(2, {"b"});
    CHECK(s.count<subscription_closed>() == 0);
    s.peer_group(1, {"a"});
    REQUIRE(s.count<subscription_closed>() == 1);
    CHECK(s.first<subscription_closed>().why == errc::ok);
    CHECK(s.at(stream).fin);
  }
}

TEST_CASE("one that is kept open may move its end later [seed 6.3]") {
  for (const version v : {lite03, lite06}) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe({.want = {.group_start = 1, .group_end = 1}, .keep_open = true});
    s.say_ok(stream, 1);
    s.peer_group(1, {"a"});
    CHECK(s.count<subscription_closed>() == 0);
    CHECK_FALSE(s.at(stream).fin);
    const auto early = s.peer_group(2, {"not yet"});
    CHECK(s.at(early).stop.has_value());
    CHECK(s.session.update(s.last_subscription, {.group_start = 1, .group_end = 3}) == errc::ok);
    s.peer_group(3, {"c"});
    CHECK(started_groups(s) == numbers{1, 3});
  }
}

// ---- updates

TEST_CASE("an update writes its version's layout, and 01 and 02 refuse it [seed 7.9]") {
  const auto written = [](version v, const msg::delivery& w) {
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe();
    const std::size_t before = s.out(stream).size();
    const errc e = s.session.update(s.last_subscription, w);
    s.settle();
    return e == errc::ok ? s.out(stream).substr(before) : std::string(text_of(e));
  };
  for (const version v : {lite01, lite02}) CHECK(written(v, {.priority = 9}) == text_of(errc::not_supported));
  for (const version v : {lite03, lite04, lite05})
    CHECK(written(v, {.priority = 9, .max_age_ms = 500}) == "06090041f40000");
  CHECK(written(lite06, {.priority = 9, .max_age_ms = 500}) == "070941f400000000");
  CHECK(written(lite06, {.group_start = 4, .group_end = 3}) == text_of(errc::bad_argument));
}

TEST_CASE("a narrower range resets open groups outside of it and opens no more R-101 [seed 7.9 a]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    p.put(0);
    p.put(2, {"x"}, 2000, false);
    const auto stream = p.peer_subscribes(whole_track());
    REQUIRE(p.cache.begin_group(1, p.now) == errc::ok);  // older ones stay open beside it
    REQUIRE(p.cache.append(1, 1000, bytes::copy("y")) == errc::ok);
    p.settle();
    msg::delivery narrow = whole_track();
    narrow.group_start = 2;
    narrow.group_end = 3;
    p.feed(stream, wire_hex(msg::subscribe_update{narrow}, v));
    (void)p.sent();
    CHECK(p.at(p.stream_of(1)).reset == static_cast<std::uint64_t>(stream_code::cancelled));
    CHECK_FALSE(p.at(p.stream_of(2)).reset);
    p.put(3, {"x"}, 3000, false);
    p.settle();
    narrow.group_end = 2;
    p.feed(stream, wire_hex(msg::subscribe_update{narrow}, v));
    CHECK(p.at(p.stream_of(3)).reset == static_cast<std::uint64_t>(stream_code::cancelled));
    CHECK_FALSE(p.at(p.stream_of(2)).reset);
    p.put(4);
    CHECK(p.sent() == numbers{0, 1, 2, 3});
    CHECK(p.count<subscribe_updated>() == 2);
    CHECK(p.last<subscribe_updated>().want.group_end == 2);
  }
}

TEST_CASE("a wider range lets in what was passed over R-101 [seed 7.9 b]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    p.put(0);
    msg::delivery w = whole_track();
    w.group_end = 1;
    const auto stream = p.peer_subscribes(w);
    for (std::uint64_t g = 1; g < 5; ++g) p.put(g);
    CHECK(p.sent() == numbers{0, 1});
    w.group_end = 3;
    p.feed(stream, wire_hex(msg::subscribe_update{w}, v));
    CHECK(p.sent() == numbers{0, 1, 2, 3});
    w.group_end.reset();
    p.feed(stream, wire_hex(msg::subscribe_update{w}, v));
    CHECK(p.sent() == numbers{0, 1, 2, 3, 4});
  }
}

TEST_CASE("groups that were narrowed away before they had a stream come when the range is wide again R-101 R-108") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    p.put(0);
    msg::delivery w = whole_track();
    const auto stream = p.peer_subscribes(w);
    p.settle();
    p.net.uni_credit = 0;
    for (std::uint64_t g = 1; g < 5; ++g) p.put(g);
    p.settle();
    CHECK(p.sent() == numbers{0});
    w.group_end = 2;
    const std::string narrow = wire_hex(msg::subscribe_update{w}, v);
    w.group_end.reset();
    p.feed(stream, narrow + wire_hex(msg::subscribe_update{w}, v));
    p.give_streams(100);
    CHECK(p.sent() == numbers{0, 1, 2, 3, 4});
    CHECK(p.out(stream).find(wire_hex(msg::subscribe_drop{3, 4, 0}, v)) == std::string::npos);
  }
}

TEST_CASE("a group that a narrower range reset is not sent again, and is accounted for R-101 R-108 R-138") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    p.put(0);
    msg::delivery w = whole_track();
    const auto stream = p.peer_subscribes(w);
    p.put(1, {"x"}, 1000, false);
    p.settle();
    w.group_end = 0;
    p.feed(stream, wire_hex(msg::subscribe_update{w}, v));
    CHECK(p.at(p.stream_of(1)).reset.has_value());
    w.group_end.reset();
    p.feed(stream, wire_hex(msg::subscribe_update{w}, v));
    p.put(2);
    CHECK(p.sent() == numbers{0, 1, 2});  // one stream each
    CHECK(p.out(stream).find(wire_hex(msg::subscribe_drop{1, 1, 0}, v)) != std::string::npos);
  }
}

TEST_CASE("twenty updates in one buffer apply in order [seed 7.9 c]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    const auto stream = p.peer_subscribes({});
    std::string all;
    for (std::uint8_t i = 1; i <= 20; ++i) all += wire_hex(msg::subscribe_update{{.priority = i}}, v);
    p.feed(stream, all);
    REQUIRE(p.count<subscribe_updated>() == 20);
    for (std::size_t i = 0; i < 20; ++i)
      CHECK(std::get<subscribe_updated>(p.all<subscribe_updated>()[i].what).want.priority == i + 1);
    CHECK(p.is_open());
  }
}

TEST_CASE("an update after one's own end is refused [seed 7.9 d]") {
  scripted s(lite06, endpoint::client);
  const auto stream = s.subscribe();
  s.say_ok(stream, 0);
  s.fin(stream);  // R-008 ends our direction too
  CHECK(s.at(stream).fin);
  CHECK(s.session.update(s.last_subscription, {.priority = 1}) == errc::wrong_state);
  s.wait(seconds(3));
  CHECK(s.session.update(s.last_subscription, {.priority = 1}) == errc::stale_handle);
}

TEST_CASE("an update re-prioritises groups that are already open [seed 4.1 b]") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    publisher p(v);
    p.put(0, {"x"}, 0, false);
    const auto low = p.peer_subscribes({.priority = 1}, 1);
    p.peer_subscribes({.priority = 5}, 2);
    p.settle();
    const auto a = p.stream_of(0, 1);
    const auto b = p.stream_of(0, 2);
    CHECK(p.at(a).order < p.at(b).order);
    p.feed(low, wire_hex(msg::subscribe_update{{.priority = 200}}, v));
    CHECK(p.at(a).order > p.at(b).order);
  }
}

// ---- leaving

TEST_CASE("an unsubscribed track is left at once and nothing more is heard of it [seed 3.4 d]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe();
    s.say_ok(stream, 0);
    const auto group = s.peer_group(0, {"x"}, false);
    const std::size_t before = s.events.size();
    CHECK(s.session.unsubscribe(s.last_subscription) == errc::ok);
    CHECK(s.session.unsubscribe(s.last_subscription) == errc::stale_handle);
    s.settle();
    CHECK(s.at(stream).fin);
    CHECK(s.at(group).stop == static_cast<std::uint64_t>(stream_code::cancelled));
    s.feed(group, frame_hex(v, 0, "more"));
    s.fin(stream);
    CHECK(s.events.size() == before);
    CHECK(s.is_open());
    s.reset(group, 1);
    CHECK(s.session.streams_held() == (negotiates_in_band(v) ? 1 : 0));
  }
}

TEST_CASE("the publisher resets the open groups of a subscriber that leaves, by FIN, reset or stop [seed 3.4 d]") {
  for (const version v : versions)
    for (int how = 0; how < 3; ++how) {
      CAPTURE(facts(v).name);
      CAPTURE(how);
      publisher p(v);
      p.put(0, {"x"}, 0, false);
      const auto stream = p.peer_subscribes({});
      const auto other = p.peer_subscribes({}, 1);
      p.settle();
      if (how == 0) p.fin(stream);
      if (how == 1) p.reset(stream, 1);
      if (how == 2) p.stop(stream, 1);
      CHECK(p.at(p.stream_of(0)).reset == static_cast<std::uint64_t>(stream_code::cancelled));
      CHECK((p.at(stream).fin || p.at(stream).reset));
      if (how == 0) CHECK_FALSE(p.at(stream).reset);
      REQUIRE(p.count<request_closed>() == 1);
      CHECK((p.first<request_closed>().why == errc::ok) == (how == 0));
      CHECK_FALSE(p.at(p.stream_of(0, 1)).reset);  // the other one goes on
      CHECK_FALSE(p.at(other).fin);
      CHECK(p.is_open());
    }
}

TEST_CASE("a subscription to an ended broadcast is refused by its publisher, a fetch is not R-132") {
  pair p(lite06);
  track_cache video;
  put_group(video, 0, {"a", "b"});
  video.finish();
  p.server.react = [&](session& s, const event& e) {
    if (auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.reject(r->request, stream_code::not_found) == errc::ok);
    if (auto* r = std::get_if<track_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
    if (auto* r = std::get_if<fetch_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
  };
  p.start();
  p.run();
  const auto way = p.server.session.announce("room");
  REQUIRE(way.has_value());
  CHECK(p.client.session.discover("", p.net.now()).has_value());
  p.run();
  CHECK(p.server.session.withdraw(*way) == errc::ok);
  p.run();
  CHECK(p.client.count<announce_ended>() == 1);
  CHECK(p.client.session.subscribe("room", "video", {}, p.net.now()).has_value());
  CHECK(p.client.session.fetch("room", "video", 0, {}, p.net.now()).has_value());
  p.run();
  CHECK(p.client.first<subscription_closed>().why == errc::refused_by_peer);
  CHECK(payloads<fetch_part>(p.client) == "a|b|");
  CHECK(p.client.first<fetch_closed>().why == errc::ok);
}

TEST_CASE("a bounded subscription does not end before it is known where it begins R-105 R-108") {
  for (const version v : versions) {
    if (!has_ranges(v)) continue;
    CAPTURE(facts(v).name);
    scripted s(v, endpoint::client);
    const auto stream = s.subscribe({.want = {.group_start = 2, .group_end = 4}});
    s.peer_group(3, {"a"});
    s.peer_group(4, {"b"});  // these overtook SUBSCRIBE_OK and group 2
    CHECK(s.count<subscription_closed>() == 0);
    s.say_ok(stream, 2);
    CHECK(s.count<subscription_closed>() == 0);
    s.peer_group(2, {"c"});
    CHECK(s.count<subscription_closed>() == 1);
    CHECK(s.count<groups_lost>() == 0);
  }
}
