/// GOAWAY on both sides of a session: a subscriber that goes where it is asked to, and a publisher that does.

#include <doctest/doctest.h>

#include <algorithm>
#include <moql/binding/url.hpp>
#include <moql/relay/migration.hpp>
#include <moql/relay/publisher_switchover.hpp>

#include "moving.hpp"

using namespace moql;
using namespace testing;

namespace {

constexpr track_options keeps_all{.max_age_ms = 1'000'000, .timescale = 1000, .overlapping = true};
constexpr auto goaway_code = static_cast<std::uint64_t>(session_code::goaway_timeout);
using names = std::vector<std::string>;

constexpr std::string_view dialled = "https://one.example/room";
bool same_kind(void* context, std::string_view uri) noexcept {
  return may_redirect(*static_cast<const std::string_view*>(context), uri);
}

/// One subscription on a first session, with its migration; the same track is on a second one.
struct leaving : mover {
  track_cache cache{keeps_all};
  std::string_view here = dialled;
  line* one;
  migration plan;
  std::vector<std::string> said;

  explicit leaving(version v = lite06, migration_options o = {}, const config& server = {})
      : one(&connect(v, &cache, {}, server)), plan(one->p.client.session, with_policy(o, here)) {
    one->p.client.react = [this](session& s, const event& e) {
      (void)sub.on_event(s, e, one->p.net.now());
      take();
      plan.on_event(s, e, one->p.net.now());
      note();
    };
    put(cache, 5, {"a", "b", "c", "d"}, false);
    REQUIRE(sub.start(one->p.client.session, "room", "video", {.want = {.max_age_ms = 1'000'000, .group_start = 5}},
                      now) == errc::ok);
    REQUIRE(plan.add(sub));
    run();
  }
  static migration_options with_policy(migration_options o, std::string_view& here) {
    o.policy = {same_kind, &here};
    return o;
  }
  void note() {
    while (const auto e = plan.next())
      std::visit(overload{
                     [&](const dial& d) { said.push_back("dial " + std::string(d.uri)); },
                     [&](const redirect_refused& r) { said.push_back("refused " + std::string(r.uri)); },
                     [&](const migrated& m) { said.push_back("left " + std::to_string(m.left_behind)); },
                 },
                 *e);
  }
  void settle() {
    run();
    note();
    run();
  }
  void goaway(std::string_view uri, duration drain = seconds(10)) {
    CHECK(one->p.server.session.goaway(uri, drain, now) == errc::ok);
    settle();
  }
};

}  // namespace

// ---- a subscriber

TEST_CASE("the plan lists what is subscribed to and where it would go on [seed 3.6]") {
  leaving s;
  REQUIRE(s.plan.size() == 1);
  CHECK(s.plan.entry(0).subscription == &s.sub);
  CHECK(s.plan.entry(0).from == track_place{5, 4, true, false});
  CHECK(s.plan.entry(0).subscription->broadcast() == "room");
  CHECK(s.plan.entry(0).subscription->track() == "video");
}

TEST_CASE("after GOAWAY a subscription goes on at (G, N), and the session is closed behind it R-157 [seed 3.6 d]") {
  for (const version v : {lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    leaving s(v);
    s.goaway("https://two.example/room");
    CHECK(s.said == names{"dial https://two.example/room"});
    CHECK(s.plan.is_leaving());
    line& two = s.connect(v, &s.cache);
    put(s.cache, 5, {"e"});
    s.run();
    REQUIRE(s.plan.to(two.p.client.session, s.now) == errc::ok);
    put(s.cache, 6, {"f"});
    s.settle();
    CHECK(two.p.server.last<subscribe_requested>().want.group_start.has_value());
    CHECK(s.got.text(5) == "a b c d e .");
    CHECK(s.got.text(6) == "f .");
    CHECK(s.got.notes == names{"moved"});
    CHECK(s.got.lost.empty());
    CHECK(s.got.wrong == 0);
    CHECK(s.said == names{"dial https://two.example/room", "left 0"});
    REQUIRE(s.one->p.server.count<session_closed>() == 1);
    CHECK(s.one->p.server.first<session_closed>().code == 0);
    CHECK(s.one->p.server.first<session_closed>().by_peer);
    CHECK(s.plan.redirect() == "https://two.example/room");  // for later reconnects as well
    CHECK(s.plan.size() == 0);
    CHECK(s.plan.next_deadline() == never_due);
  }
}

TEST_CASE("the drain deadline passes with an open subscription: code 0x10, and it goes on elsewhere [seed 3.6 d]") {
  leaving s(lite06);
  s.goaway("https://two.example/room", seconds(5));
  s.wait(seconds(6));
  REQUIRE(s.one->p.client.count<session_closed>() == 1);
  CHECK(s.one->p.client.first<session_closed>().code == goaway_code);
  s.note();
  CHECK(s.said == names{"dial https://two.example/room", "left 1"});
  CHECK(s.got.notes == names{"interrupted"});
  put(s.cache, 5, {"e"});
  line& two = s.connect(lite06, &s.cache);
  REQUIRE(s.plan.to(two.p.client.session, s.now) == errc::ok);
  s.settle();
  const auto asked = two.p.server.last<subscribe_requested>().want;
  CHECK(asked.group_start == 5);
  CHECK(asked.frame_start == 4);
  CHECK(s.got.text(5) == "a b c d e .");
  CHECK(s.got.notes == names{"interrupted", "moved"});
  CHECK(s.got.wrong == 0);
}

TEST_CASE("a URI that the policy refuses: the session is closed and nothing is dialled R-159") {
  leaving s(lite06);
  s.goaway("http://two.example/room");
  CHECK(s.said == names{"refused http://two.example/room"});
  CHECK(s.plan.redirect().empty());
  CHECK(s.one->p.client.session.is_closed());
  REQUIRE(s.one->p.server.count<session_closed>() == 1);
  CHECK(s.one->p.server.first<session_closed>().code == 0);
  CHECK(s.got.notes == names{"interrupted"});
  s.wait(seconds(40));
  REQUIRE(s.got.closed);  // nobody came
  CHECK(s.got.wrong == 0);
}

TEST_CASE("without a policy the same place alone is accepted R-159") {
  const uri_policy none{};
  CHECK(none(""));
  CHECK_FALSE(none("https://one.example/room"));
  leaving s(lite06);
  s.goaway("");
  CHECK(s.said == names{"dial "});
}

TEST_CASE("who does not come away in time leaves the session all the same") {
  leaving s(lite06, {.leave_within = seconds(3)});
  s.goaway("https://two.example/room", seconds(0));
  s.wait(seconds(2));
  CHECK(s.plan.next_deadline() <= s.now + seconds(1));
  CHECK_FALSE(s.one->p.client.session.is_closed());
  s.wait(seconds(2));
  s.plan.on_deadline(s.now);
  s.settle();
  CHECK(s.said == names{"dial https://two.example/room", "left 1"});
  CHECK(s.one->p.server.first<session_closed>().code == 0);
  CHECK(s.got.notes == names{"interrupted"});
}

TEST_CASE("a next session that refuses: the subscription stays, and so does the session until another takes it") {
  leaving s(lite06);
  s.goaway("");
  line& two = s.connect(lite06, nullptr);
  REQUIRE(s.plan.to(two.p.client.session, s.now) == errc::ok);
  s.settle();
  CHECK(s.got.notes == names{"failed"});
  CHECK(s.plan.size() == 1);
  CHECK_FALSE(s.one->p.client.session.is_closed());
  line& three = s.connect(lite06, &s.cache);
  REQUIRE(s.plan.to(three.p.client.session, s.now) == errc::ok);
  s.settle();
  CHECK(s.got.notes == names{"failed", "moved"});
  CHECK(s.one->p.client.session.is_closed());
}

TEST_CASE("a session that dies without GOAWAY: its subscriptions go to the next one in the same way") {
  leaving s(lite06);
  s.kill(*s.one);
  CHECK(s.said.empty());
  line& two = s.connect(lite06, &s.cache);
  REQUIRE(s.plan.to(two.p.client.session, s.now) == errc::ok);
  put(s.cache, 5, {"e"});
  s.settle();
  CHECK(s.got.text(5) == "a b c d e .");
  CHECK(s.said.empty());
}

// ---- a publisher

namespace {

/// A publisher (client) with two relays (servers), each subscribed when the test says so.
struct two_relays {
  track_cache cache{keeps_all};
  publisher_switchover publisher;
  testing::pair one, two;
  std::vector<std::string> said;
  instant now{};

  static config slow_drain() {
    config c;
    c.groups_after_goaway = true;
    return c;
  }
  explicit two_relays(version v, const config& c = {}, const publisher_move_options& o = {})
      : publisher(o), one(v, {}, c), two(v, {}, c) {
    for (testing::pair* p : {&one, &two}) {
      p->client.react = [this](session& s, const event& e) {
        (void)publisher.on_event(s, e);
        note();
      };
      p->start();
      p->run();
      REQUIRE(p->server.session.discover("", p->net.now()));
    }
    REQUIRE(publisher.serve("room", "video", cache));
    REQUIRE(publisher.announce("room") == errc::ok);
    REQUIRE(publisher.attach(one.client.session) == errc::ok);
    run();
    REQUIRE(one.server.count<announced>() == 1);
  }
  void note() {
    while (const auto e = publisher.next())
      std::visit(overload{
                     [&](const announcement_moved& m) {
                       said.push_back((m.is_taken_over ? "taken " : "waited ") + std::string(m.broadcast));
                     },
                     [&](const old_session_idle&) { said.emplace_back("idle"); },
                     [&](const old_session_lost& l) { said.push_back("lost " + std::to_string(l.code)); },
                 },
                 *e);
  }
  /// The newest session first, as the publisher says.
  void run() {
    for (int round = 0; round < 2; ++round)
      for (testing::pair* p : {&two, &one}) p->run();
    note();
  }
  void wait(duration d) {
    const instant until = now + d;
    run();
    while (true) {
      instant next = publisher.next_deadline();
      for (testing::pair* p : {&one, &two})
        for (session* s : {&p->client.session, &p->server.session})
          if (s->next_deadline() < next) next = s->next_deadline();
      if (next > until) break;
      set_time(next);
    }
    set_time(until);
  }
  void set_time(instant t) {
    if (t > now) now = t;
    for (testing::pair* p : {&one, &two}) p->net.advance_to(now);
    publisher.on_deadline(now);
    run();
  }
  subscription_id subscribe(testing::pair& p) {
    const auto id =
        p.server.session.subscribe("room", "video", {.want = {.max_age_ms = 1'000'000, .group_start = 0}}, p.net.now());
    REQUIRE(id);
    run();
    return *id;
  }
  /// All that a relay has, sorted: newer groups may overtake.
  static std::string payload(const testing::pair& p) {
    std::string out;
    for (const auto& h : p.server.all<frame_part>()) out += h.payload;
    std::sort(out.begin(), out.end());
    return out;
  }
};

}  // namespace

TEST_CASE("groups of the overlap reach the next relay first, the old one until its subscription ends [seed 5.2.2 a]") {
  for (const version v : {lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    two_relays s(v, two_relays::slow_drain());
    put(s.cache, 0, {"a"});
    const auto old = s.subscribe(s.one);
    CHECK(s.one.server.session.goaway("", seconds(30), s.now) == errc::ok);
    s.run();
    REQUIRE(s.one.client.count<goaway_received>() == 1);
    REQUIRE(s.publisher.move_to(s.two.client.session, s.now) == errc::ok);
    (void)s.subscribe(s.two);
    REQUIRE(s.publisher.sessions() == 2);
    CHECK(&s.publisher.newest(0) == &s.two.client.session);
    CHECK(&s.publisher.newest(1) == &s.one.client.session);
    put(s.cache, 1, {"b"});
    s.two.run();  // the newest is pumped first
    CHECK(two_relays::payload(s.two) == "ab");
    CHECK(two_relays::payload(s.one) == "a");
    s.run();
    CHECK(two_relays::payload(s.one) == "ab");
    CHECK(s.publisher.subscriptions_on(s.one.client.session) == 1);
    CHECK(s.said == names{"taken room"});
    CHECK(s.one.server.session.unsubscribe(old) == errc::ok);
    s.run();
    CHECK(s.said == names{"taken room", "idle"});
    put(s.cache, 2, {"c"});
    s.run();
    CHECK(two_relays::payload(s.one) == "ab");
    CHECK(two_relays::payload(s.two) == "abc");
  }
}

TEST_CASE("a session that was told to go opens no new groups unless that was set; what is open goes on R-156") {
  two_relays s(lite06);
  put(s.cache, 0, {"a"}, false);
  (void)s.subscribe(s.one);
  CHECK(s.one.server.session.goaway("", seconds(30), s.now) == errc::ok);
  s.run();
  REQUIRE(s.publisher.move_to(s.two.client.session, s.now) == errc::ok);
  (void)s.subscribe(s.two);
  put(s.cache, 0, {"b"});
  put(s.cache, 1, {"c"});
  s.run();
  CHECK(two_relays::payload(s.one) == "ab");
  CHECK(two_relays::payload(s.two) == "abc");
}

TEST_CASE("the old announcement ends after the first new subscription, or when the wait ends [seed 5.2.2 b]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    for (const bool is_subscribed : {false, true}) {
      two_relays s(v, {}, {.withdraw_within = seconds(4)});
      put(s.cache, 0, {"a"});
      (void)s.subscribe(s.one);
      REQUIRE(s.publisher.move_to(s.two.client.session, s.now) == errc::ok);
      (void)s.subscribe(s.one);  // of the old relay's: nothing to go by
      s.wait(seconds(3));
      CHECK(s.two.server.count<announced>() == 1);
      CHECK(s.one.server.count<announce_ended>() == 0);
      if (is_subscribed) {
        (void)s.subscribe(s.two);
        CHECK(s.one.server.count<announce_ended>() == 1);
        CHECK(s.said == names{"taken room"});
      }
      s.wait(seconds(2));
      CHECK(s.one.server.count<announce_ended>() == 1);
      CHECK(s.two.server.count<announce_ended>() == 0);
      CHECK(s.said == names{is_subscribed ? "taken room" : "waited room"});
      CHECK(s.publisher.next_deadline() == never_due);
      // What the old relay is subscribed to is not disturbed.
      put(s.cache, 1, {"b"});
      s.run();
      CHECK(two_relays::payload(s.one) == "aabb");
    }
  }
}

TEST_CASE("the drain deadline comes first: the old session ends with 0x10, the next loses nothing [seed 5.2.2 c]") {
  for (const version v : {lite04, lite05, lite06}) {
    CAPTURE(facts(v).name);
    two_relays s(v);
    put(s.cache, 0, {"a"});
    (void)s.subscribe(s.one);
    CHECK(s.one.server.session.goaway("", seconds(5), s.now) == errc::ok);
    s.run();
    REQUIRE(s.publisher.move_to(s.two.client.session, s.now) == errc::ok);
    put(s.cache, 1, {"b"});
    s.wait(seconds(6));
    put(s.cache, 2, {"c"});
    REQUIRE(s.one.client.count<session_closed>() == 1);
    CHECK(s.one.client.first<session_closed>().code == goaway_code);
    CHECK(s.said == names{"lost 16"});
    CHECK(s.publisher.sessions() == 1);
    CHECK_FALSE(s.publisher.is_moving());
    (void)s.subscribe(s.two);
    CHECK(two_relays::payload(s.two).size() == 3);
    CHECK(s.two.server.count<group_finished>() == 3);
    CHECK(s.publisher.subscriptions_on(s.two.client.session) == 1);
    CHECK(s.publisher.next_deadline() == never_due);
  }
}

TEST_CASE("one track on two sessions for as long as both are wanted: both have all of it, nothing is withdrawn") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    two_relays s(v);
    REQUIRE(s.publisher.attach(s.two.client.session) == errc::ok);
    CHECK(s.publisher.attach(s.two.client.session) == errc::wrong_state);
    put(s.cache, 0, {"a"});
    s.run();
    (void)s.subscribe(s.one);
    (void)s.subscribe(s.two);
    put(s.cache, 1, {"b"});
    s.wait(seconds(60));
    CHECK(two_relays::payload(s.one) == "ab");
    CHECK(two_relays::payload(s.two) == "ab");
    CHECK(s.one.server.count<announce_ended>() == 0);
    CHECK(s.said.empty());
    // A move from here: the relay that is already subscribed takes over at once.
    REQUIRE(s.publisher.move_to(s.two.client.session, s.now) == errc::ok);
    s.run();
    CHECK(s.said == names{"taken room"});
    CHECK(s.one.server.count<announce_ended>() == 1);
  }
}

TEST_CASE("what is announced, withdrawn or unknown is so on both sessions") {
  two_relays s(lite06);
  REQUIRE(s.publisher.attach(s.two.client.session) == errc::ok);
  CHECK(s.publisher.announce("room") == errc::wrong_state);
  CHECK(s.publisher.announce("other") == errc::ok);
  s.run();
  CHECK(s.one.server.count<announced>() == 2);
  CHECK(s.two.server.count<announced>() == 2);
  s.publisher.withdraw("other");
  s.run();
  CHECK(s.one.server.count<announce_ended>() == 1);
  CHECK(s.two.server.count<announce_ended>() == 1);
  CHECK(s.publisher.announce("other") == errc::ok);
  s.run();
  CHECK(s.two.server.count<announced>() == 3);
  std::size_t unknown = 0;
  s.one.client.react = [&](session& x, const event& e) {
    if (!s.publisher.on_event(x, e) && std::holds_alternative<subscribe_requested>(e)) ++unknown;
  };
  REQUIRE(s.one.server.session.subscribe("other", "audio", {}, s.now));
  s.run();
  CHECK(unknown == 1);
  CHECK(s.publisher.subscriptions_on(s.one.client.session) == 0);
}
