/// A relay whose memory fails: whichever request it is, nothing crashes, hangs or leaks, what is counted agrees with
/// what is there, and whoever has memory of his own lives on. And what fuzz/relay.cpp found.

#include <doctest/doctest.h>

#include "counting_memory.hpp"
#include "scripted.hpp"
#include "watcher.hpp"

using namespace testing;
using moql::counting_memory;
using namespace std::string_view_literals;

namespace {

constexpr std::uint64_t groups_in_all = 6;

/// Whose memory is counted, and may fail.
enum class whose { nobody, relay, watcher, publisher };

/// What is counted agrees with what there is.
void check_books(moql::relay& core) {
  const moql::relay_counters& c = core.counters();
  std::size_t readers = 0;
  std::size_t sources = 0;
  std::uint64_t held = 0;
  bool is_read = true;
  core.for_each_track([&](const moql::detail::relayed_track& t) {
    readers += t.readers;
    sources += t.sources.size();
    held += t.cache ? t.cache->bytes_held() : 0;
    is_read = is_read && t.readers != 0;
  });
  CHECK(is_read);
  CHECK(core.readers() <= readers);  // some ask for properties alone
  CHECK(c.readers_opened - c.readers_closed == core.readers());
  CHECK(core.sources() == sources);
  CHECK(c.sources_opened - c.sources_closed == sources);
  CHECK(c.tracks_opened - c.tracks_closed == core.tracks());
  CHECK(c.peers_joined - c.peers_left == core.peers());
  CHECK(core.bytes_cached() == held);
}

/// A publisher, two watchers, a second publisher of the same producer, the first one lost, a fetch, a question, the
/// second one going away, everyone leaving: once, in one version.
class story {
 public:
  story(moql::version v, whose w, counting_memory& m) : ver_(v), whose_(w), memory_(m) {}

  /// Of the two watchers: all groups came whole.
  bool has_all[2]{};
  /// Or there was a word about what did not come.
  bool was_told[2]{};
  /// The connection was there until it was closed on purpose.
  bool was_up[2]{};

  void play() {
    world w;
    relay_party relay({.hop = 9}, whose_ == whose::relay ? memory_.get() : moql::memory{});
    publisher_party first("room/alice", 1);
    publisher_party second("room/alice", 1);
    watcher who[2];
    for (publisher_party* p : {&first, &second}) {
      (void)p->track("video", {.max_age_ms = 60'000});
      p->group("archive", 1, {"archived", "archived"}, w.now());
    }
    connection& upstream = connect(w, first, relay, whose::publisher);
    for (std::size_t i = 0; i < 2; ++i) {
      const std::size_t before = relay.core.peers();
      who[i].line = &connect(w, who[i].who, relay, i == 0 ? whose::watcher : whose::nobody);
      is_refused_[i] = relay.core.peers() == before;  // its application knows
    }
    w.run();
    for (std::size_t i = 0; i < 2; ++i)
      is_refused_[i] =
          !who[i].session().subscribe("room/alice", "video", {.want = everything}, w.now()) || is_refused_[i];
    w.run();
    publish(w, relay, 0, 2, {&first, &second});
    connection& other = connect(w, second, relay, whose::nobody);
    w.run();
    publish(w, relay, 2, 4, {&first, &second});
    world::cut(upstream);
    w.run();
    w.remove(upstream);
    publish(w, relay, 4, groups_in_all, {&second});
    const auto fetch = who[1].session().fetch("room/alice", "archive", 1, {}, w.now());
    (void)who[1].session().fetch("room/alice", "video", 1, {}, w.now());
    w.run();
    for (const moql::fetch_closed& c : who[1].who.fetches_closed)
      if (fetch && c.fetch == *fetch && c.why == moql::errc::ok)
        CHECK(std::count(who[1].who.fetched.begin(), who[1].who.fetched.end(), "archived") == 2);
    (void)who[1].session().query_track("room/alice", "other", w.now());
    w.run();
    check_books(relay.core);
    (void)other.client.session.goaway("", moql::seconds(2), w.now());
    w.wait(moql::seconds(1));
    second.track("video").finish();
    w.wait(moql::seconds(40));
    check_books(relay.core);
    for (std::size_t i = 0; i < 2; ++i) {
      const subscriber_party& s = who[i].who;
      has_all[i] = s.whole().size() == groups_in_all;
      was_told[i] = is_refused_[i] || !s.closed.empty() || !s.lost.empty() || who[i].session().is_closed();
      was_up[i] = !who[i].session().is_closed();
      for (const auto& [n, g] : s.groups) was_told[i] = was_told[i] || g.is_cut;
      w.remove(*who[i].line);
      w.run();
      check_books(relay.core);
    }
    w.remove(other);
    check_books(relay.core);
    CHECK(relay.core.tracks() == 0);
    CHECK(relay.core.readers() == 0);
    CHECK(relay.core.sources() == 0);
    CHECK(relay.core.peers() == 0);
    CHECK(relay.core.bytes_cached() == 0);
    CHECK(relay.core.table().route_count() == 0);
    CHECK(relay.core.counters().readers_opened == relay.core.counters().readers_closed);
  }

 private:
  connection& connect(world& w, party& client, relay_party& relay, whose side) {
    relay.memory = side == whose_ && side != whose::nobody ? memory_.get() : moql::memory{};
    return w.connect(client, relay, ver_, {.chunk_max = 7, .hold_payload = false});
  }
  void publish(world& w, relay_party& relay, std::uint64_t from, std::uint64_t to,
               std::initializer_list<publisher_party*> by) {
    for (std::uint64_t n = from; n < to; ++n) {
      for (publisher_party* p : by) p->group("video", n, {"one", "and two"}, w.now());
      w.wait(moql::milliseconds(20));
      check_books(relay.core);
    }
  }

  moql::version ver_;
  whose whose_;
  counting_memory& memory_;
  bool is_refused_[2]{};
};

/// Plays the story once for every request for memory and lets that one fail, or that one and all later ones.
void sweep(moql::version v, whose w, auto&& judge) {
  std::size_t count = 0;
  {
    counting_memory all;
    story s(v, w, all);
    s.play();
    CHECK(s.has_all[0] == moql::since(moql::lite04).has(v));  // before, nobody says whose content it is
    CHECK(s.has_all[1] == s.has_all[0]);
    CHECK(all.out.empty());
    count = all.requests;
  }
  REQUIRE(count > 10);
  for (const bool once : {true, false})
    for (std::size_t n = 0; n < count; ++n) {
      CAPTURE(n);
      CAPTURE(once);
      counting_memory m;
      m.allowed = n;
      m.fails_once = once;
      story s(v, w, m);
      s.play();
      judge(s);
      CHECK(m.out.empty());
      CHECK(m.sizes_match);
    }
}

}  // namespace

TEST_CASE("whichever request of a relay for memory fails, every subscriber hears of it") {
  for (const moql::version v : {moql::lite01, moql::lite03, moql::lite05, moql::lite06}) {
    CAPTURE(moql::facts(v).name);
    sweep(v, whose::relay, [](const story& s) {
      for (const std::size_t i : {0u, 1u}) {
        CAPTURE(i);
        CHECK((s.has_all[i] || s.was_told[i]));
      }
    });
  }
}

TEST_CASE("a subscriber's session that is out of memory takes nothing from another subscriber") {
  for (const moql::version v : {moql::lite01, moql::lite03, moql::lite05, moql::lite06}) {
    CAPTURE(moql::facts(v).name);
    sweep(v, whose::watcher, [v](const story& s) {
      CHECK((s.has_all[0] || s.was_told[0]));
      CHECK(s.was_up[1]);
      CHECK(s.has_all[1] == moql::since(moql::lite04).has(v));
    });
  }
}

TEST_CASE("a publisher's session that is out of memory ends no session of a subscriber") {
  for (const moql::version v : {moql::lite01, moql::lite03, moql::lite05, moql::lite06}) {
    CAPTURE(moql::facts(v).name);
    sweep(v, whose::publisher, [](const story& s) {
      for (const std::size_t i : {0u, 1u}) {
        CAPTURE(i);
        CHECK(s.was_up[i]);
        CHECK((s.has_all[i] || s.was_told[i]));
      }
    });
  }
}

TEST_CASE("without memory for the list of those to pump every peer that was meant is named once") {
  moql::session a({.side = moql::endpoint::client, .versions = moql::only(moql::lite06), .hop = 9});
  moql::session b({.side = moql::endpoint::client, .versions = moql::only(moql::lite06), .hop = 9});
  for (moql::session* s : {&a, &b}) REQUIRE(s->start("moq-lite-06", {}) == moql::errc::ok);
  for (std::size_t n = 0; n < 40; ++n) {  // whichever request fails
    CAPTURE(n);
    counting_memory x;
    x.allowed = n;
    moql::relay r({.hop = 9}, x.get());
    const auto first = r.join(a, {.scope = 0}, {});
    const auto second = r.join(b, {.scope = 0}, {});
    for (int times = 0; times < 3; ++times) {
      int named[2]{};
      if (first) r.on_event(*first, moql::announced_all{}, {});
      if (second) r.on_event(*second, moql::announced_all{}, {});
      for (int i = 0; i < 5; ++i) {  // nobody is pumped, so the sessions go on having output
        const auto id = r.next_ready();
        if (!id) break;
        if (first && *id == *first) ++named[0];
        if (second && *id == *second) ++named[1];
      }
      CHECK(named[0] == (first ? 1 : 0));
      CHECK(named[1] == (second ? 1 : 0));
    }
  }
}

TEST_CASE("a group without frames is fetched although the first of the relay's peers has left") {
  for (const moql::version v : {moql::lite03, moql::lite04, moql::lite05, moql::lite06}) {
    CAPTURE(moql::facts(v).name);
    world w;
    relay_party relay({.hop = 9});
    watcher early, late;
    publisher_party alice("room/alice", 1);
    alice.group("video", 4, {}, w.now());
    early.join(w, relay, v);
    (void)w.connect(alice, relay, v);
    late.join(w, relay, v);
    w.run();
    w.remove(*early.line);
    w.run();
    REQUIRE(late.session().fetch("room/alice", "video", 4, {}, w.now()).has_value());
    w.run();
    REQUIRE(late.who.fetches_closed.size() == 1);
    CHECK(late.who.fetches_closed[0].why == moql::errc::ok);
    CHECK(late.who.fetched.empty());
    check_books(relay.core);
  }
}

TEST_CASE("a fetched group of which a piece could not be kept is reset and not passed on without it R-128") {
  for (std::size_t n = 0; n < 30; ++n) {
    CAPTURE(n);
    counting_memory m;
    m.fails_once = true;
    scripted publisher(moql::lite06, moql::endpoint::client, {.hop = 9});
    scripted subscriber(moql::lite06, moql::endpoint::server, {.hop = 9});
    moql::relay core({.hop = 9}, m.get());
    for (scripted* s : {&publisher, &subscriber}) {
      const auto id = core.join(s->session, {.scope = 0}, {});
      REQUIRE(id.has_value());
      s->react = [&core, id = *id](moql::session&, const moql::event& e) { core.on_event(id, e, {}); };
      s->settle();
    }
    REQUIRE(publisher.ours(moql::direction::bidi, 1).size() == 1);
    publisher.feed(publisher.ours(moql::direction::bidi, 1).at(0),
                   wire_hex(moql::msg::announce_ok{.hop = 3}, moql::lite06) +
                       wire_hex(moql::msg::announce_start{.suffix = "room"}, moql::lite06));
    const std::uint64_t asked = subscriber.peer_fetches(0);
    publisher.settle();
    for (const std::uint64_t track : publisher.ours(moql::direction::bidi, 6))
      publisher.feed(track, wire_hex(moql::msg::track_info{.timescale = 1000}, moql::lite06), true);
    REQUIRE(publisher.ours(moql::direction::bidi, 3).size() == 1);
    const std::uint64_t upstream = publisher.ours(moql::direction::bidi, 3).at(0);
    m.allowed = m.requests + n;
    for (const std::string_view piece : {"\x00\x08she"sv, "ll"sv, "fis"sv}) {  // the transport's own buffers
      const moql::byte_view v(reinterpret_cast<const std::uint8_t*>(piece.data()), piece.size());
      publisher.session.on_data(moql::stream_id{upstream}, moql::bytes::borrow(v), false, {});
      publisher.settle();
      subscriber.settle();
    }
    publisher.fin(upstream);
    subscriber.settle();
    const bool is_whole = subscriber.at(asked).fin && !subscriber.at(asked).reset;
    CHECK(std::string_view("00087368656c6c666973").starts_with(subscriber.out(asked)));  // nothing is left out
    CHECK((is_whole || subscriber.at(asked).reset.has_value()));
    CHECK((is_whole || m.was_refused));
  }
}

TEST_CASE("who cannot be told of a broadcast for want of memory is let go, and may come again [seed 5.1]") {
  for (std::size_t n = 0; n < 30; ++n) {  // whichever request of the session fails
    CAPTURE(n);
    counting_memory m;
    world w;
    relay_party r({.hop = 20});
    publisher_party p("room", 7);
    p.announces = false;
    auto& line = w.connect(p, r, moql::lite06);
    r.memory = m.get();
    watcher a;
    a.join(w, r, moql::lite06);
    r.memory = {};
    w.run();
    m.allowed = m.requests + n;
    m.fails_once = true;
    REQUIRE(line.client.session.announce("room").has_value());
    w.run();
    CHECK((a.who.paths.contains("room") || a.session().is_closed()));
    if (n == 0) CHECK(m.was_refused);
  }
}
