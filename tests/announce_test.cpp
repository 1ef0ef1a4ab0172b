/// Announcements both ways: what each version says, what is a violation, and what the application hears.

#include <doctest/doctest.h>

#include "counting_memory.hpp"
#include "peer.hpp"

#include <algorithm>

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
constexpr version_set before_03 = before(lite03);

/// The request for a prefix, with its stream type.
std::string request(version v, std::string_view prefix, std::uint64_t exclude = 0) {
  return "01" + hex(msg::announce_request{.prefix = prefix, .exclude_hop = exclude}, v);
}
/// The publisher's first words: ANNOUNCE_INIT with these suffixes, or ANNOUNCE_OK and so many announcements.
std::string opening(version v, const std::vector<std::string>& suffixes = {}, std::uint64_t hop = 7) {
  if (has_announce_init(v)) {
    std::vector<text> list(suffixes.begin(), suffixes.end());
    msg::announce_init m;
    m.suffixes = {std::span<const text>(list)};
    return hex(m, v);
  }
  std::string out = has_announce_ok(v) ? hex(msg::announce_ok{hop, suffixes.size()}, v) : "";
  for (const std::string& s : suffixes)
    out += has_announce_ids(v) ? hex(msg::announce_start{.suffix = s}, v)
                               : hex(msg::announce{.status = 1, .suffix = s, .hop_count = 1}, v);
  return out;
}
std::string active(version v, std::string_view suffix, std::span<const std::uint64_t> hops = {}) {
  if (has_announce_ids(v)) return hex(msg::announce_start{.suffix = suffix, .hops = {hops}}, v);
  return hex(msg::announce{.status = 1, .suffix = suffix, .hop_count = hops.size(), .hops = {hops}}, v);
}
/// `id` is what the suffix got on 06.
std::string ended(version v, std::string_view suffix, std::uint64_t id) {
  return has_announce_ids(v) ? hex(msg::announce_end{id}, v) : hex(msg::announce{.suffix = suffix}, v);
}
/// A subscriber that has asked for a prefix.
struct asker : peer {
  explicit asker(version v, std::string_view prefix = "room", const config& c = {}, memory m = {})
      : peer(v, client, c, m) {
    up();
    id = *s().discover(prefix, now);
    run();
    stream = own(bidi, "01");
    forget();
  }
  void tell(std::string_view bytes) { send(stream, bytes); }
  interest_id id{};
  std::uint64_t stream = 0;
};
constexpr std::uint64_t violation = 0x3;

}  // namespace

// ---- the publisher

TEST_CASE("the same script gives each version its own bytes [seed 6.2 a] [seed 7.5 a] [seed 7.6 a] R-043 R-054 R-071") {
  const auto bytes_of = [](version v) {
    config c;
    c.hop = 9;
    peer p(v, server, c);
    p.up();
    const auto a = p.s().announce("room/a");
    REQUIRE(a.has_value());
    REQUIRE(p.s().announce("elsewhere").has_value());
    const auto ask = p.open(bidi, request(v, "room"));
    std::string out = p.sent(ask);
    const auto since_then = [&] {
      p.run();
      const std::string more = p.sent(ask).substr(std::min(out.size(), p.sent(ask).size()));
      out += more;
      return more;
    };
    std::string told = out + "|";
    REQUIRE(p.s().announce("room/b").has_value());
    told += since_then() + "|";
    const std::uint64_t hops[] = {5};
    CHECK(p.s().update(*a, {.hops = hops}) == errc::ok);
    told += since_then() + "|";
    CHECK(p.s().withdraw(*a) == errc::ok);
    told += since_then();
    CHECK(p.net.broken_promises == 0);
    return told;
  };
  const std::string old = "03010161|03010162||03000161";
  CHECK(bytes_of(lite01) == old);
  CHECK(bytes_of(lite02) == old);
  CHECK(bytes_of(lite03) == "0401016101|0401016201|04000161000401016102|0400016100");
  CHECK(bytes_of(lite04) == "050101610109|050101620109|040001610006010161020509|0400016100");
  CHECK(bytes_of(lite05) == "0209010401016100|0401016200|050101610105|0400016100");
  CHECK(bytes_of(lite06) ==
        "0209010005"
        "0161000000|0005"
        "0162000000|0205"
        "0001050000|010100");
}

TEST_CASE(
    "R-043 every match is announced, those that were there and those that come, and nothing else [seed "
    "2.4.1 a] [seed 2.4.1 b]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    testing::pair p(v);
    p.start();
    p.run();
    for (const char* path : {"room", "room/a", "room-1", "lobby", "room/a/b"})
      CHECK(p.server.session.announce(path).has_value());
    const auto room = p.client.session.discover("room", p.net.now());
    const auto all = p.client.session.discover("", p.net.now());
    const auto none = p.client.session.discover("nowhere", p.net.now());
    p.run();
    CHECK(p.server.session.announce("room/late").has_value());
    CHECK(p.server.session.announce("hall/late").has_value());
    p.run();
    const auto heard_on = [&](interest_id id) {
      std::string out;
      std::vector<std::string> paths;
      for (const auto& h : p.client.all<announced>())
        if (std::get<announced>(h.what).interest == id) paths.push_back(h.path);
      std::sort(paths.begin(), paths.end());
      for (const std::string& s : paths) out += s + " ";
      return out;
    };
    CHECK(heard_on(*room) == "room room/a room/a/b room/late ");
    CHECK(heard_on(*all) == "hall/late lobby room room-1 room/a room/a/b room/late ");
    CHECK(heard_on(*none) == "");
    CHECK(p.net.violations() == 0);
  }
}

TEST_CASE("R-044 a request that matches nothing is answered all the same [seed 6.2 d]") {
  for (const version v : versions) {
    peer p(v, server);
    p.up();
    const auto ask = p.open(bidi, request(v, "room"));
    CHECK(p.sent(ask) == (before_03.has(v) ? "0100" : has_announce_ok(v) ? "020000" : ""));
    CHECK(!p.is_ended(ask));
  }
}

TEST_CASE("R-050 ANNOUNCE_INIT comes once and first and names each suffix once") {
  for (const version v : {lite01, lite02}) {
    peer p(v, server);
    p.up();
    REQUIRE(p.s().announce("a").has_value());
    REQUIRE(p.s().announce("a").has_value());
    REQUIRE(p.s().announce("b").has_value());
    const auto ask = p.open(bidi, request(v, ""));
    CHECK((p.sent(ask) == "050201610162" || p.sent(ask) == "050201620161"));
    REQUIRE(p.s().announce("c").has_value());
    p.run();
    CHECK(p.sent(ask).substr(12) == "03010163");
  }
}

TEST_CASE("R-060 ANNOUNCE_OK comes once and first, with the number of announcements behind it") {
  for (const version v : {lite05, lite06}) {
    peer p(v, server);
    p.up();
    for (const char* path : {"a", "b", "c"}) REQUIRE(p.s().announce(path).has_value());
    const auto ask = p.open(bidi, request(v, ""));
    CHECK(p.sent(ask).starts_with("020003"));
    const std::size_t each = has_announce_ids(v) ? 14 : 10;
    CHECK(p.sent(ask).size() == 6 + 3 * each);
    REQUIRE(p.s().announce("d").has_value());
    p.run();
    CHECK(p.sent(ask).size() == 6 + 4 * each);
  }
}

TEST_CASE("R-064 a path that is announced twice has one current announcement, and only the last withdrawal ends it") {
  for (const version v : versions) {
    testing::pair p(v);
    p.start();
    p.run();
    REQUIRE(p.client.session.discover("", p.net.now()).has_value());
    p.run();
    const auto one = p.server.session.announce("a");
    const auto two = p.server.session.announce("a");
    p.run();
    CHECK(p.client.count<announced>() == 1);
    CHECK(p.server.session.withdraw(*one) == errc::ok);
    p.run();
    CHECK(p.client.count<announce_ended>() == 0);
    CHECK(p.client.count<interest_closed>() == 0);
    CHECK(p.server.session.withdraw(*two) == errc::ok);
    p.run();
    CHECK(p.client.count<announce_ended>() == 1);
  }
}

TEST_CASE("R-065 a path through ourselves is not announced, so our id is never the last hop behind ANNOUNCE_OK") {
  for (const version v : versions) {
    config c;
    c.hop = 9;
    peer p(v, server, c);
    p.up();
    const std::uint64_t through_us[] = {5, 9};
    const std::uint64_t fine[] = {5, 6};
    CHECK(p.s().announce("a", {.hops = through_us}).error() == errc::bad_argument);
    const auto id = p.s().announce("a", {.hops = fine});
    REQUIRE(id.has_value());
    CHECK(p.s().update(*id, {.hops = through_us}) == errc::bad_argument);
    const auto ask = p.open(bidi, request(v, ""));
    if (v == lite05)
      CHECK(p.sent(ask) ==
            "020901"
            "06010161020506");
    if (v == lite06)
      CHECK(p.sent(ask) ==
            "020901"
            "0007"
            "01610205060000");
    CHECK(p.is_open());
  }
}

TEST_CASE("a route that cannot travel is the caller's mistake and costs nobody the session") {
  for (const version v : versions) {
    peer p(v, server);
    p.up();
    const auto ask = p.open(bidi, request(v, ""));
    const std::uint64_t twice[] = {5, 6, 5};
    const std::uint64_t huge[] = {std::uint64_t{1} << 62};
    const std::uint64_t unknown[] = {0, 0, 0};
    const std::vector<std::uint64_t> long_one(33, 0);
    CHECK(p.s().announce("a", {.hops = twice}).error() == errc::bad_argument);
    CHECK(p.s().announce("a", {.hops = huge}).error() == errc::bad_argument);
    CHECK(p.s().announce("a", {.hops = long_one}).error() == errc::bad_argument);
    CHECK(p.s().announce("a", {.warm = std::uint64_t{1} << 62}).error() == errc::bad_argument);
    CHECK(p.s().announce("a", {.cold = std::uint64_t{1} << 62}).error() == errc::bad_argument);
    const auto id = p.s().announce("a", {.hops = unknown});
    REQUIRE(id.has_value());
    CHECK(p.s().update(*id, {.hops = twice}) == errc::bad_argument);
    p.run();
    CHECK(p.is_open());
    CHECK(!p.is_ended(ask));
  }
}

TEST_CASE("R-068 an assigned hop id is what is sent everywhere; without one it is 0 and SETUP does not name it") {
  for (const version v : {lite04, lite05, lite06})
    for (const std::uint64_t hop : {std::uint64_t{0}, std::uint64_t{9}}) {
      config c;
      c.hop = hop;
      peer p(v, server, c);
      p.up();
      REQUIRE(p.s().announce("a").has_value());
      const auto ask = p.open(bidi, request(v, ""));
      const std::string id = hop == 0 ? "00" : "09";
      CHECK(p.sent(ask).starts_with(v == lite04 ? "05010161"
                                                  "01" +
                                                      id
                                                : "02" + id + "01"));
      if (v == lite06)
        CHECK(p.sent(p.ours(uni)[0]) == (hop == 0 ? "010100"
                                                  : "010401"
                                                    "050109"));
      REQUIRE(p.s().discover("", p.now).has_value());
      p.run();
      if (v != lite06) CHECK(p.sent(p.own(bidi, "01")) == "010200" + id);
    }
}

TEST_CASE("R-059 what passed the subscriber's Exclude Hop is not announced to it, nor anything when that is us") {
  for (const version v : {lite04, lite05}) {
    config c;
    c.hop = 9;
    peer p(v, server, c);
    p.up();
    const std::uint64_t via_5[] = {4, 5};
    const std::uint64_t via_6[] = {4, 6};
    REQUIRE(p.s().announce("x", {.hops = via_5}).has_value());
    REQUIRE(p.s().announce("y", {.hops = via_6}).has_value());
    const auto announced_to = [&](std::uint64_t exclude) {
      const auto ask = p.open(bidi, request(v, "", exclude));
      std::string out;
      if (p.sent(ask).find("0178") != std::string::npos) out += "x";
      if (p.sent(ask).find("0179") != std::string::npos) out += "y";
      return out;
    };
    CHECK(announced_to(0) == "xy");
    CHECK(announced_to(5) == "y");
    CHECK(announced_to(4) == "");
    CHECK(announced_to(8) == "xy");
    CHECK(announced_to(9) == "");
  }
}

TEST_CASE("R-081 what passed the hop of the subscriber's SETUP is not announced to it; the best of the rest is") {
  const auto told = [](const char* setup) {
    config c;
    c.hop = 9;
    peer p(lite06, server, c);
    p.up(setup);
    const std::uint64_t via_5[] = {5};
    const std::uint64_t via_6[] = {6};
    REQUIRE(p.s().announce("x", {.hops = via_5, .warm = 1}).has_value());
    const auto other = p.s().announce("x", {.hops = via_6, .warm = 2});
    const auto ask = p.open(bidi, request(lite06, ""));
    std::string out = p.sent(ask);
    CHECK(p.s().withdraw(*other) == errc::ok);
    p.run();
    return out + "|" + p.sent(ask).substr(out.size());
  };
  CHECK(told("010100") ==
        "020901"
        "0006"
        "017801050100|");
  CHECK(told("010401050105") ==
        "020901"
        "0006"
        "017801060200|010100");              // START over 6, and its END
  CHECK(told("010401050109") == "020900|");  // the subscriber is ourselves
}

TEST_CASE("R-078 a route broader than the request is shown as the request itself, and several of them as one") {
  peer p(lite06, server);
  p.up();
  const auto top = p.s().announce("room", {.warm = 5});
  REQUIRE(p.s().announce("room/a/b", {}).has_value());
  REQUIRE(p.s().announce("roo", {}).has_value());
  const auto ask = p.open(bidi, request(lite06, "room/a"));
  CHECK(p.sent(ask).starts_with("020002"));
  CHECK(p.sent(ask).find("000400000500") != std::string::npos);
  CHECK(p.sent(ask).find("0005"
                         "0162000000") != std::string::npos);
  const std::size_t first = p.sent(ask).size();
  const auto more = p.s().announce("", {.warm = 3});  // better, clamped to the same thing
  REQUIRE(more.has_value());
  p.run();
  const std::string update = p.sent(ask).substr(first);
  CHECK((update == "0204"
                   "00000300" ||
         update == "0204"
                   "01000300"));
  const std::size_t second = p.sent(ask).size();
  CHECK(p.s().update(*top, {.warm = 1}) == errc::ok);
  p.run();
  const std::string better = p.sent(ask).substr(second);
  CHECK((better == "0204"
                   "00000100" ||
         better == "0204"
                   "01000100"));
  CHECK(p.s().update(*top, {.warm = 5}) == errc::ok);
  p.run();
  const std::size_t third = p.sent(ask).size();
  CHECK(third == second + 24);
  CHECK(p.s().withdraw(*top) == errc::ok);
  p.run();
  CHECK(p.sent(ask).size() == third);  // the worse of the two: nothing to see
  CHECK(p.s().withdraw(*more) == errc::ok);
  p.run();
  CHECK(p.sent(ask).substr(third).starts_with("0101"));
  CHECK(p.sent(ask).size() == third + 6);

  // Before 06 an announcement is one exact path, and a broader one is not a match.
  peer q(lite05, server);
  q.up();
  REQUIRE(q.s().announce("room").has_value());
  CHECK(q.sent(q.open(bidi, request(lite05, "room/a"))) == "020000");
}

TEST_CASE("R-079 a new best path is an UPDATE, the first and the last are START and END") {
  peer p(lite06, server);
  p.up();
  const auto ask = p.open(bidi, request(lite06, ""));
  std::size_t from = 0;
  const auto told = [&] {
    p.run();
    const std::string out = p.sent(ask).substr(from);
    from = p.sent(ask).size();
    return out;
  };
  CHECK(told() == "020000");
  const std::uint64_t five[] = {5};
  const std::uint64_t six[] = {6};
  const std::uint64_t unknown[] = {0};
  const auto a = p.s().announce("x", {.hops = five, .warm = 4, .cold = 9});
  CHECK(told() ==
        "0006"
        "017801050409");
  const auto b = p.s().announce("x", {.hops = six, .warm = 6, .cold = 9});
  CHECK(told() == "");  // not the best
  CHECK(p.s().update(*b, {.hops = six, .warm = 4, .cold = 8}) == errc::ok);
  CHECK(told() ==
        "0205"
        "0001060408");  // a tie of warm costs, broken by the cold one
  CHECK(p.s().update(*a, {.hops = five, .warm = 4, .cold = 9}) == errc::ok);
  CHECK(told() == "");  // newer, but still the dearer when cold
  CHECK(p.s().update(*a, {.hops = five, .warm = 4, .cold = 8}) == errc::ok);
  CHECK(told() ==
        "0205"
        "0001050408");  // all equal: the newest
  CHECK(p.s().update(*b, {.hops = six, .warm = 4, .cold = 8}) == errc::ok);
  CHECK(told() ==
        "0205"
        "0001060408");
  const std::uint64_t longer[] = {5, 7};
  CHECK(p.s().update(*a, {.hops = longer, .warm = 4, .cold = 8}) == errc::ok);
  CHECK(told() == "");  // newest, but longer
  CHECK(p.s().update(*a, {.hops = five, .warm = 4, .cold = 9}) == errc::ok);
  CHECK(told() == "");
  const auto c = p.s().announce("x", {.hops = unknown, .warm = 0});
  CHECK(told() == "");  // an unknown hop ranks last, at any cost
  CHECK(p.s().withdraw(*b) == errc::ok);
  CHECK(told() ==
        "0205"
        "0001050409");
  CHECK(p.s().withdraw(*a) == errc::ok);
  CHECK(told() ==
        "0205"
        "0001000000");
  CHECK(p.s().withdraw(*c) == errc::ok);
  CHECK(told() == "010100");
  REQUIRE(p.s().announce("x").has_value());
  CHECK(told() ==
        "0005"
        "0178000000");
  REQUIRE(p.s().announce("y").has_value());
  CHECK(told() ==
        "0005"
        "0179000000");
}

TEST_CASE("R-071 announce ids count the STARTs of their own stream") {
  peer p(lite06, server);
  p.up();
  const auto a = p.s().announce("r/a");
  const auto b = p.s().announce("b");
  const auto narrow = p.open(bidi, request(lite06, "r"));
  const auto wide = p.open(bidi, request(lite06, ""));
  const std::size_t n = p.sent(narrow).size();
  const std::size_t w = p.sent(wide).size();
  CHECK(p.s().withdraw(*a) == errc::ok);
  p.run();
  CHECK(p.sent(narrow).substr(n) == "010100");
  REQUIRE(p.s().announce("r/a").has_value());
  p.run();
  CHECK(p.s().withdraw(*b) == errc::ok);
  p.run();
  // On the wide stream: END of whatever id r/a had, START with id 2, END of the other.
  const std::string rest = p.sent(wide).substr(w);
  CHECK((rest.starts_with("010100") || rest.starts_with("010101")));
  CHECK(rest.ends_with(rest.starts_with("010100") ? "010101" : "010100"));
  REQUIRE(p.s().announce("r/c").has_value());
  p.run();
  CHECK(p.sent(narrow).substr(n).size() == 6 + 2 * 14);
}

TEST_CASE(
    "R-048 prefixes match by segment, or byte by byte for whoever asks for that before 06 [seed 2.4.1 a] "
    "[seed 2.4.1 d]") {
  for (const version v : versions)
    for (const prefix_rule rule : {prefix_rule::segments, prefix_rule::bytes}) {
      CAPTURE(facts(v).name);
      config c;
      c.prefixes = rule;
      testing::pair p(v, {}, c, c);
      p.start();
      p.run();
      for (const char* path : {"room/a", "roomy"}) CHECK(p.server.session.announce(path).has_value());
      REQUIRE(p.client.session.discover("room", p.net.now()).has_value());
      p.run();
      CHECK(p.server.session.announce("room-1").has_value());
      p.run();
      std::string paths;
      for (const auto& h : p.client.all<announced>()) paths += h.path + " ";
      const bool by_bytes = rule == prefix_rule::bytes && before(lite06).has(v);
      CHECK(paths == (by_bytes ? "room/a roomy room-1 " : "room/a "));
    }
}

TEST_CASE("R-049 on 06 a prefix covers whole segments only, whatever is configured") {
  config c;
  c.prefixes = prefix_rule::bytes;
  peer p(lite06, server, c);
  p.up();
  REQUIRE(p.s().announce("roomy").has_value());
  const auto ask = p.open(bidi, request(lite06, "room"));
  REQUIRE(p.s().announce("room/a").has_value());
  p.run();
  CHECK(p.sent(ask) ==
        "020000"
        "0005"
        "0161000000");
  asker a(lite06, "room", c);
  a.tell(opening(lite06, {"a"}));
  CHECK(a.log() == "announced room/a\nall 1\n");
}

TEST_CASE("R-047 what is announced is bounded: by how much is ours to announce, and per stream of the peer's") {
  for (const version v : versions) {
    config c;
    c.caps.announcements_max = 3;
    peer p(v, server, c);
    p.up();
    std::vector<announcement_id> ids;
    for (const char* path : {"a", "b", "c"}) ids.push_back(*p.s().announce(path));
    CHECK(p.s().announce("d").error() == errc::limit_reached);
    CHECK(p.s().withdraw(ids[1]) == errc::ok);
    CHECK(p.s().announce("d").has_value());
    CHECK(p.is_open());
  }
}

// ---- the subscriber

TEST_CASE("the same announcements are the same events in every version [seed 6.2 a] R-051") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    const std::string all = only(lite03, lite04).has(v) ? "" : "all 2\n";
    const auto script = [&](arrival a) {
      asker p(v);
      p.pieces = a;
      p.tell(opening(v, {"a", "b"}) + active(v, "c") + ended(v, "a", 0) + active(v, "a") + ended(v, "b", 1));
      p.fin(p.stream);
      return p.log();
    };
    CHECK(script({}) == "announced room/a\nannounced room/b\n" + all +
                            "announced room/c\nended room/a\nannounced room/a\nended room/b\n"
                            "ended room/a\nended room/c\ninterest closed (no error, 0)\n");
    CHECK(differs_by_arrival(50, script).size() == 0);
  }
}

TEST_CASE("R-045 the end of an Announce stream, however it comes, withdraws each entry once [seed 6.2 c]") {
  for (const version v : versions)
    for (int how = 0; how < 5; ++how) {
      CAPTURE(facts(v).name);
      CAPTURE(how);
      asker p(v);
      p.tell(opening(v, {"a", "b", "c"}) + ended(v, "b", 1));
      p.forget();
      if (how == 0) p.fin(p.stream);
      if (how == 1) p.reset(p.stream, 0x33);
      if (how == 2) p.close(0, "bye");
      if (how == 3) p.close(0, "lost", false);
      if (how == 4) {
        p.s().close();
        p.run();
      }
      CHECK(p.x.count<announce_ended>() == 2);
      REQUIRE(p.x.count<interest_closed>() == 1);
      const testing::heard last = p.x.all<interest_closed>()[0];
      CHECK(testing::line_of(p.x.events[2]) == testing::line_of(last));
      if (how == 1) CHECK(testing::line_of(last) == "interest closed (the peer reset the stream, 51)");
      if (how < 2) {
        CHECK(p.is_ended(p.stream));
        CHECK(p.s().forget(p.id) == errc::stale_handle);
        CHECK(p.is_open());
      }
      CHECK(p.net.broken_promises == 0);
    }
}

TEST_CASE("R-045 entries that were still held back for the initial set are told and withdrawn when the stream ends") {
  for (const version v : {lite05, lite06}) {
    asker p(v);
    p.tell("020703" + active(v, "a"));
    CHECK(p.x.events.empty());
    p.fin(p.stream);
    CHECK(p.log() == "announced room/a\nall 1\nended room/a\ninterest closed (no error, 0)\n");
  }
}

TEST_CASE("R-046 streams with overlapping prefixes keep their own state") {
  for (const version v : versions) {
    peer p(v, client);
    p.up();
    const auto wide = *p.s().discover("", p.now);
    const auto narrow = *p.s().discover("room", p.now);
    p.run();
    const auto streams = p.ours(bidi);
    const auto on_wide = streams[streams.size() - 2];
    const auto on_narrow = streams[streams.size() - 1];
    p.send(on_wide, opening(v, {"room/a"}));
    p.send(on_narrow, opening(v, {"a"}));
    CHECK(p.x.count<announced>() == 2);
    p.send(on_narrow, ended(v, "a", 0));
    REQUIRE(p.x.count<announce_ended>() == 1);
    CHECK(p.x.last<announce_ended>().interest == narrow);
    p.send(on_narrow, active(v, "a"));
    CHECK(p.is_open());
    p.reset(on_narrow, 0);
    CHECK(p.x.count<interest_closed>() == 1);
    p.send(on_wide, active(v, "room/b"));
    REQUIRE(p.x.count<announced>() == 4);
    CHECK(p.x.last<announced>().interest == wide);
    CHECK(p.s().forget(wide) == errc::ok);
    CHECK(p.is_open());
  }
}

TEST_CASE("R-051 an entry of ANNOUNCE_INIT is active: it can end, and cannot be announced again") {
  for (const version v : {lite01, lite02}) {
    asker p(v);
    p.tell("03010161");
    CHECK(p.log() == "announced room/a\nall 1\n");
    p.tell("03000161");
    p.tell("03010161");
    CHECK(p.log() == "announced room/a\nall 1\nended room/a\nannounced room/a\n");
    p.tell("03010161");
    CHECK(p.was_ended(p.stream, facts(errc::announce_duplicate).on_stream));
  }
}

TEST_CASE("R-050 an ANNOUNCE_INIT that names a suffix twice resets the stream") {
  for (const version v : {lite01, lite02}) {
    asker p(v);
    p.tell("050201610161");
    CHECK(p.was_ended(p.stream, stream_code::internal_error));
    CHECK(p.x.last<interest_closed>().why == errc::announce_duplicate);
    CHECK(p.is_open());
  }
}

TEST_CASE(
    "R-052 before ANNOUNCE_INIT an announcement has no bytes of its own: active is an INIT of one, ended "
    "does not fit [seed 6.2 b]") {
  for (const version v : {lite01, lite02}) {
    asker p(v);
    p.tell(active(v, "abc"));
    CHECK(p.log() == "announced room/abc\nall 1\n");
    asker q(v);
    q.tell(ended(v, "abc", 0));
    CHECK(q.closed_with(session_code::protocol_violation));
    CHECK(q.x.last<session_closed>().why == errc::trailing);
  }
}

TEST_CASE("R-053 active for an active path resets the stream, and the session goes on [seed 6.2 b]") {
  for (const version v : {lite01, lite02, lite03, lite04}) {
    asker p(v);
    p.tell(opening(v, {"a"}) + active(v, "b"));
    p.forget();
    p.tell(active(v, "b"));
    CHECK(p.was_ended(p.stream, stream_code::internal_error));
    CHECK(p.log() == "ended room/a\nended room/b\ninterest closed (the path is already announced on this stream, 0)\n");
    CHECK(p.is_open());
    p.tell(active(v, "c"));  // in flight: of no interest
    CHECK(p.x.count<announced>() == 0);
    REQUIRE(p.s().discover("room", p.now).has_value());
    p.run();
    p.send(p.own(bidi, "01"), opening(v, {"b"}));
    CHECK(p.x.count<announced>() == 1);
  }
}

TEST_CASE(
    "R-053 ended for a path that is not active resets the stream, unless that is forgiven as deployed "
    "stacks need it [seed 6.2 b]") {
  for (const version v : {lite01, lite02, lite03, lite04})
    for (const bool strict : {true, false}) {
      config c;
      c.strict_ended = strict;
      asker p(v, "room", c);
      p.tell(opening(v, {"a"}));
      p.tell(ended(v, "b", 0));
      CHECK(p.is_ended(p.stream) == strict);
      CHECK(p.x.count<announce_ended>() == (strict ? 1 : 0));
      if (strict) CHECK(p.x.last<interest_closed>().why == errc::announce_unknown);
      CHECK(p.is_open());
      if (strict) continue;
      p.tell(ended(v, "a", 0));
      p.tell(ended(v, "a", 0));
      CHECK(p.x.count<announce_ended>() == 1);
      CHECK(!p.is_ended(p.stream));
    }
}

TEST_CASE("R-055 an announce status that the version does not define is an error [seed 7.6 d]") {
  for (const version v : {lite01, lite02, lite03, lite04, lite05}) {
    const auto tail = [&] { return v == lite03 ? "00" : since(lite04).has(v) ? "00" : ""; }();
    const std::string length = before_03.has(v) ? "03" : "04";
    for (const char* status : {"02", "03", "3f"}) {
      asker p(v);
      p.tell(opening(v));
      p.tell(length + status + "0161" + tail);
      const bool tolerated = v == lite05 && std::string_view(status) == "02";  // deployed publishers write it
      CHECK(p.is_ended(p.stream) == !tolerated);
      CHECK(p.is_open());
      CHECK(p.x.count<announced>() == (tolerated ? 1 : 0));
    }
  }
}

TEST_CASE("R-057 a hop count that does not fit the hop ids closes the session [seed 7.6 b]") {
  for (const version v : {lite04, lite05, lite06}) {
    const auto verdict = [&](const std::string& hops_and_rest) {
      counting_memory m;
      asker p(v, "room", {}, m.get());
      p.tell(opening(v));
      const std::size_t before = m.bytes_high;
      const std::string body = v == lite06 ? "0161" + hops_and_rest : "010161" + hops_and_rest;
      const std::size_t n = body.size() / 2;
      p.tell((v == lite06 ? "00" : "") + tests::to_hex(std::vector<std::uint8_t>{static_cast<std::uint8_t>(n)}) + body);
      CHECK(m.bytes_high < before + 4096);
      return p.net.close_code;
    };
    const std::string costs = v == lite06 ? "0000" : "";
    CHECK(!verdict("020506" + costs));
    CHECK(verdict("03"
                  "0506") == violation);
    CHECK(verdict("01"
                  "0506" +
                  costs) == violation);
    CHECK(verdict("00"
                  "05" +
                  costs) == violation);
    CHECK(verdict("800f4240"
                  "010203") == violation);  // a million, and three bytes
  }
}

TEST_CASE("R-061 on 05 an announcement before ANNOUNCE_OK is never taken for one [seed 6.2 b]") {
  asker p(lite05);
  p.tell("0401016100");  // read as ANNOUNCE_OK it has bytes left over
  CHECK(p.is_ended(p.stream) == false);
  CHECK(p.closed_with(session_code::protocol_violation));
  CHECK(p.x.last<session_closed>().why == errc::trailing);
  CHECK(p.x.count<announced>() == 0);
}

TEST_CASE("R-062 on 05 ended for a path that is not active resets the stream [seed 6.2 b]") {
  asker p(lite05);
  p.tell(opening(lite05, {"a"}) + ended(lite05, "a", 0));
  p.forget();
  p.tell(ended(lite05, "a", 0));
  CHECK(p.was_ended(p.stream, stream_code::internal_error));
  CHECK(p.x.last<interest_closed>().why == errc::announce_unknown);
  CHECK(p.is_open());
}

TEST_CASE("R-063 on 05 active for an active path replaces it and forgets its TRACK_INFO") {
  asker p(lite05);
  p.tell(opening(lite05, {"a"}));
  REQUIRE(p.s().query_track("room/a", "v", p.now).has_value());
  p.run();
  const auto first = p.own(bidi, "06");
  p.send(first, hex(msg::track_info{.timescale = 1000}, lite05), true);
  CHECK(p.x.last<track_answered>().info.timescale == 1000);
  REQUIRE(p.s().query_track("room/a", "v", p.now).has_value());
  p.run();
  CHECK(p.own(bidi, "06") == first);  // known
  const std::uint64_t hops[] = {5};
  p.tell(active(lite05, "a", hops));
  REQUIRE(p.x.count<announce_updated>() == 1);
  CHECK(p.x.all<announce_updated>()[0].hops == std::vector<std::uint64_t>{5, 7});
  REQUIRE(p.s().query_track("room/a", "v", p.now).has_value());
  p.run();
  CHECK(p.own(bidi, "06") != first);  // asked again
  CHECK(p.x.count<announce_ended>() == 0);
}

TEST_CASE("R-066 the initial set is told when it is complete, what comes later at once [seed 6.2 d]") {
  for (const version v : {lite05, lite06}) {
    asker p(v);
    p.tell("020703" + active(v, "a"));
    p.tell(active(v, "b"));
    CHECK(p.x.events.empty());
    p.tell(active(v, "c"));
    CHECK(p.log() == "announced room/a\nannounced room/b\nannounced room/c\nall 3\n");
    p.tell(active(v, "d"));
    CHECK(p.x.count<announced>() == 4);
    CHECK(p.x.count<announced_all>() == 1);
  }
  for (const version v : {lite01, lite02, lite05, lite06}) {
    asker p(v);
    p.tell(opening(v));
    CHECK(p.log() == "all 0\n");  // an empty batch at once
  }
}

TEST_CASE("R-066 a promise of more initial announcements than come holds nothing back for long") {
  for (const version v : {lite05, lite06}) {
    asker p(v);
    p.tell("020705" + active(v, "a") + active(v, "b"));
    p.wait(milliseconds(999));
    CHECK(p.x.events.empty());
    p.wait(milliseconds(1));
    CHECK(p.log() == "announced room/a\nannounced room/b\nall 2\n");
    p.tell(active(v, "c") + active(v, "d") + active(v, "e") + active(v, "f"));
    CHECK(p.x.count<announced>() == 6);
    CHECK(p.x.count<announced_all>() == 1);
    CHECK(p.s().next_deadline() == never_due);
  }
}

TEST_CASE("R-067 the path of an announcement is its hops and then the publisher's own [seed 7.6 c]") {
  const std::uint64_t hops[] = {5, 0, 0, 6};
  const auto path = [&](version v) {
    asker p(v);
    p.tell(opening(v));
    p.tell(active(v, "a", hops));
    return p.x.all<announced>().at(0).hops;
  };
  using ids = std::vector<std::uint64_t>;
  CHECK(path(lite01) == ids{0});
  CHECK(path(lite02) == ids{0});
  CHECK(path(lite03) == ids{0, 0, 0, 0});
  CHECK(path(lite04) == ids{5, 0, 0, 6});  // there the sender wrote itself
  CHECK(path(lite05) == ids{5, 0, 0, 6, 7});
  CHECK(path(lite06) == ids{5, 0, 0, 6, 7});
}

TEST_CASE("R-070 on 06 any announcement before ANNOUNCE_OK closes the session [seed 6.2 b]") {
  for (const std::string& hex : {active(lite06, "a"), ended(lite06, "", 0)}) {
    asker p(lite06);
    p.tell(hex);
    CHECK(p.closed_with(session_code::protocol_violation));
    CHECK(p.x.count<announced>() == 0);
  }
}

TEST_CASE("R-071 the subscriber counts ids from 0, one for each START, and no id comes back") {
  asker p(lite06);
  p.tell(opening(lite06, {"a", "b"}) + active(lite06, "c"));
  p.tell("010101");             // END 1 is b
  p.tell(active(lite06, "b"));  // id 3
  p.tell(
      "0204"
      "03000900");  // UPDATE 3
  CHECK(p.log() ==
        "announced room/a\nannounced room/b\nall 2\nannounced room/c\nended room/b\nannounced room/b\n"
        "updated room/b\n");
  CHECK(p.x.last<announce_updated>().warm == 9);
  p.tell("010101");  // retired
  CHECK(p.closed_with(session_code::protocol_violation));
}

TEST_CASE("R-072 END or UPDATE for an id that is unknown or retired closes the session [seed 6.2 b]") {
  for (const char* hex : {"010102",
                          "0204"
                          "02000000",
                          "010100"
                          "010100",
                          "010100"
                          "0204"
                          "00000000"}) {
    asker p(lite06);
    p.tell(opening(lite06, {"a", "b"}));
    CHECK(p.is_open());
    p.tell(hex);
    CHECK(p.closed_with(session_code::protocol_violation));
    CHECK(p.x.last<session_closed>().why == errc::announce_id);
  }
}

TEST_CASE("R-073 START for a route that is already advertised on the stream closes the session [seed 6.2 b]") {
  asker p(lite06);
  p.tell(opening(lite06, {"a", ""}));
  p.tell("010100" + active(lite06, "a"));
  CHECK(p.is_open());
  asker q(lite06);
  q.tell(opening(lite06, {"a", ""}));
  q.tell(active(lite06, ""));
  CHECK(q.closed_with(session_code::protocol_violation));
  CHECK(q.x.last<session_closed>().why == errc::announce_duplicate);
}

TEST_CASE("R-074 a START that is discarded as a loop takes an id all the same, and may become a route later R-080") {
  config c;
  c.hop = 9;
  asker p(lite06, "room", c);
  const std::uint64_t loop[] = {5, 9, 6};
  p.tell("020702" + active(lite06, "x", loop) + active(lite06, "b"));
  CHECK(p.log() == "announced room/b\nall 1\n");
  p.tell("010101");  // b
  CHECK(p.x.count<announce_ended>() == 1);
  p.tell(
      "0205"
      "0001050000");  // x, no longer through us
  CHECK(p.x.count<announced>() == 2);
  p.tell(
      "0205"
      "0001090000");  // and again
  CHECK(p.x.count<announce_ended>() == 2);
  p.tell("010100");
  CHECK(p.x.count<announce_ended>() == 2);  // nothing that was shown
  CHECK(p.is_open());
  p.tell("010100");
  CHECK(p.closed_with(session_code::protocol_violation));
}

TEST_CASE("R-080 a path through ourselves is discarded from 04 on, also when the publisher is us; 0 is nobody R-083") {
  for (const version v : {lite04, lite05, lite06}) {
    config c;
    c.hop = 9;
    const std::uint64_t loop[] = {5, 9};
    const std::uint64_t other[] = {5, 0};
    asker p(v, "room", c);
    p.tell(opening(v));
    p.tell(active(v, "a", loop) + active(v, "b", other));
    CHECK(p.x.count<announced>() == 1);
    p.fin(p.stream);
    CHECK(p.x.count<announce_ended>() == 1);
    if (v == lite04) continue;
    asker q(v, "room", c);
    q.tell(opening(v, {"a"}, 9));
    CHECK(q.x.count<announced>() == 0);
    CHECK(q.x.count<announced_all>() == 1);
  }
  asker nobody(lite06);
  const std::uint64_t zero[] = {0};
  nobody.tell(opening(lite06, {}, 0) + active(lite06, "a", zero));
  CHECK(nobody.x.count<announced>() == 1);
}

TEST_CASE("R-075 a non-zero hop that comes twice in one list closes the session, 0 may repeat [seed 7.6 c]") {
  for (const char* hex : {"0008"
                          "016103050605"
                          "0000",
                          "0207"
                          "0003050605"
                          "0000"}) {
    asker p(lite06);
    p.tell(opening(lite06, {"x"}));
    p.tell(hex);
    CHECK(p.closed_with(session_code::protocol_violation));
    CHECK(p.x.last<session_closed>().why == errc::duplicate_hop);
  }
  for (const char* hex : {"0008"
                          "016103000500"
                          "0000",
                          "0207"
                          "0003000500"
                          "0000"}) {
    asker p(lite06);
    p.tell(opening(lite06, {"x"}));
    p.tell(hex);
    CHECK(p.is_open());
  }
}

TEST_CASE("R-076 END retires the route and leaves running subscriptions alone") {
  for (const version v : versions) {
    asker p(v);
    p.tell(opening(v, {"a"}));
    subscribe_options bare;
    bare.skip_track_info = true;
    REQUIRE(p.s().subscribe("room/a", "v", bare, p.now).has_value());
    p.run();
    const auto sub = p.own(bidi, "02");
    p.tell(ended(v, "a", 0));
    CHECK(p.x.count<announce_ended>() == 1);
    CHECK(!p.is_ended(sub));
    p.open(uni, "00" + hex(msg::group{.subscribe_id = 0, .sequence = 3}, v), true);
    CHECK(p.x.count<group_finished>() == 1);
    CHECK(p.x.count<subscription_closed>() == 0);
  }
}

TEST_CASE("R-077 UPDATE replaces hops and costs in place and disturbs nothing, not even TRACK_INFO") {
  asker p(lite06);
  p.tell(opening(lite06, {"a"}));
  REQUIRE(p.s().subscribe("room/a", "v", {}, p.now).has_value());
  p.run();
  const auto track = p.own(bidi, "06");
  p.send(track, hex(msg::track_info{.timescale = 1000}, lite06), true);
  const auto group = p.open(uni, "00" + hex(msg::group{.subscribe_id = 0, .sequence = 3}, lite06) +
                                     "0001"
                                     "78");
  p.tell(
      "0206"
      "000205060102");
  REQUIRE(p.x.count<announce_updated>() == 1);
  CHECK(p.x.all<announce_updated>()[0].path == "room/a");
  CHECK(p.x.all<announce_updated>()[0].hops == std::vector<std::uint64_t>{5, 6, 7});
  CHECK(p.x.last<announce_updated>().warm == 1);
  CHECK(p.x.last<announce_updated>().cold == 2);
  p.send(group,
         "0001"
         "79",
         true);
  CHECK(p.x.count<frame_part>() == 2);
  CHECK(p.x.count<announce_ended>() == 0);
  REQUIRE(p.s().query_track("room/a", "v", p.now).has_value());
  p.run();
  CHECK(p.own(bidi, "06") == track);
  CHECK(p.x.count<track_answered>() == 1);
}

TEST_CASE("what is known of a track goes with the route that covered its path R-124") {
  for (const char* prefix : {"", "room"}) {
    asker p(lite06, prefix);
    p.tell(opening(lite06, {*prefix == '\0' ? "room" : ""}));
    REQUIRE(p.s().query_track("room/a", "v", p.now).has_value());
    REQUIRE(p.s().query_track("hall/a", "v", p.now).has_value());
    p.run();
    std::vector<std::uint64_t> tracks;
    for (const auto id : p.ours(bidi))
      if (p.sent(id).starts_with("06")) tracks.push_back(id);
    REQUIRE(tracks.size() == 2);
    for (const auto id : tracks) p.send(id, hex(msg::track_info{.timescale = 1000}, lite06), true);
    p.tell("010100");
    REQUIRE(p.s().query_track("room/a", "v", p.now).has_value());
    REQUIRE(p.s().query_track("hall/a", "v", p.now).has_value());
    p.run();
    std::size_t asked = 0;
    for (const auto id : p.ours(bidi)) asked += p.sent(id).starts_with("06") ? 1 : 0;
    CHECK(asked == 3);
  }
}

TEST_CASE(
    "what is known of a track belongs to its session: another session asks for itself [seed 2.4.2 a] "
    "[seed 2.4.2 c]") {
  asker a(lite06);
  asker b(lite06);
  for (asker* p : {&a, &b}) {
    REQUIRE(p->s().query_track("room/a", "v", p->now).has_value());
    p->run();
    REQUIRE(p->own(bidi, "06") != 0);
    p->send(p->own(bidi, "06"), hex(msg::track_info{.timescale = p == &a ? 1000u : 2000u}, lite06), true);
  }
  CHECK(a.x.last<track_answered>().info.timescale == 1000);
  CHECK(b.x.last<track_answered>().info.timescale == 2000);
  a.s().close();
  a.run();
  REQUIRE(b.s().query_track("room/a", "v", b.now).has_value());
  b.run();
  CHECK(b.x.last<track_answered>().info.timescale == 2000);
}

TEST_CASE("an announcement type of a later draft is skipped by its length and takes no id") {
  asker p(lite06);
  p.tell(opening(lite06, {"a"}) + "3f03aabbcc" + active(lite06, "b") + "010101");
  CHECK(p.log() == "announced room/a\nall 1\nannounced room/b\nended room/b\n");
}

TEST_CASE("forget: nothing more is heard, the stream is ended in order, the handle is stale") {
  for (const version v : versions) {
    asker p(v);
    p.tell(opening(v, {"a"}));
    p.forget();
    CHECK(p.s().forget(p.id) == errc::ok);
    CHECK(p.s().forget(p.id) == errc::stale_handle);
    p.run();
    CHECK(p.on(p.stream).fin);
    p.tell(active(v, "b"));
    p.fin(p.stream);
    CHECK(p.x.events.empty());
    CHECK(p.s().streams_held() == (negotiates_in_band(v) ? 1 : 0));
  }
}

// ---- paths

TEST_CASE("paths have defined verdicts, from the peer and from the caller [seed 2.4.1 c]") {
  const std::string segments_32 = [] {
    std::string s = "a";
    for (int i = 0; i < 31; ++i) s += "/a";
    return s;
  }();
  const std::string nul("a\0b", 3);
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    const auto peer_asks = [&](std::string_view prefix) {
      peer p(v, server);
      p.up();
      const bool exclude = only(lite04, lite05).has(v);
      std::vector<std::uint8_t> body;
      const std::size_t n = prefix.size();
      const auto put_length = [](std::vector<std::uint8_t>& to, std::size_t k) {
        to.insert(to.end(), {static_cast<std::uint8_t>(0x80 | k >> 24), static_cast<std::uint8_t>(k >> 16),
                             static_cast<std::uint8_t>(k >> 8), static_cast<std::uint8_t>(k)});
      };
      put_length(body, n);
      body.insert(body.end(), prefix.begin(), prefix.end());
      if (exclude) body.push_back(0);
      std::vector<std::uint8_t> all{1};
      put_length(all, body.size());
      all.insert(all.end(), body.begin(), body.end());
      p.open(bidi, tests::to_hex(all));
      return p.net.close_code ? std::string(text_of(p.x.last<session_closed>().why)) : "fine";
    };
    CHECK(peer_asks("") == "fine");
    CHECK(peer_asks("/a//b/") == "fine");
    CHECK(peer_asks(nul) == "fine");
    CHECK(peer_asks(segments_32) == "fine");
    CHECK(peer_asks(segments_32 + "/a") == text_of(errc::too_many));
    CHECK(peer_asks("a\xff") == text_of(errc::bad_utf8));
    CHECK(peer_asks(std::string(65536, 'a')) == text_of(errc::message_too_large));

    peer p(v, client);
    p.up();
    CHECK(p.s().discover(nul, p.now).has_value());
    CHECK(p.s().announce(nul).has_value());
    CHECK(p.s().discover(segments_32, p.now).has_value());
    for (const std::string& bad : {segments_32 + "/a", std::string("a\xff"), std::string(65536, 'a')}) {
      CHECK(p.s().discover(bad, p.now).error() == errc::bad_argument);
      CHECK(p.s().announce(bad).error() == errc::bad_argument);
      CHECK(p.s().subscribe(bad, "v", {}, p.now).error() == errc::bad_argument);
    }
    p.run();
    CHECK(p.is_open());
  }
}

TEST_CASE("prefix and suffix make the announced path again, with and without normalising it [seed 2.4.1 d]") {
  for (const version v : versions)
    for (const char* prefix : {"", "room", "/room", "room/", "/room/"})
      for (const char* path : {"room", "room/a", "/room/a", "room/a/", "//room//a"}) {
        testing::pair p(v);
        p.start();
        p.run();
        REQUIRE(p.server.session.announce(path).has_value());
        REQUIRE(p.client.session.discover(prefix, p.net.now()).has_value());
        p.run();
        REQUIRE(p.client.count<announced>() == 1);
        const auto plain = [](std::string_view s) {
          std::string out(s.size(), ' ');
          out.resize(normalise(s, out.data()));
          return out;
        };
        const std::string got = p.client.all<announced>()[0].path;
        CHECK(plain(got) == plain(path));
        if (plain(path) == path && plain(prefix) == prefix) CHECK(got == path);
      }
}

// ---- requests that are wrong

TEST_CASE("an announce request has a verdict for every way it can go wrong [seed 7.5 b] [seed 7.5 c] [seed 7.5 d]") {
  for (const version v : versions) {
    const auto verdict = [&](const std::string& hex, bool fin = false) {
      peer p(v, server);
      p.up();
      const auto id = p.open(bidi, hex, fin);
      CHECK(p.net.broken_promises == 0);
      if (p.net.close_code) return "closed " + std::to_string(*p.net.close_code);
      return std::string(p.on(id).reset ? "reset" : p.on(id).fin ? "ended" : "served");
    };
    CHECK(verdict(request(v, "")) == "served");
    CHECK(verdict(request(v, ""), true) == "ended");
    CHECK(verdict(request(v, "") + request(v, "").substr(2)) == "reset");
    CHECK(verdict("01"
                  "04"
                  "006c3164") == "closed 3");
    CHECK(verdict("01", true) == "reset");
    CHECK(verdict("0105", true) == "reset");
  }
}

TEST_CASE("R-008 a subscriber that leaves, in order or not, is told goodbye and forgotten R-009") {
  for (const version v : versions)
    for (int how = 0; how < 3; ++how) {
      peer p(v, server);
      p.up();
      const std::size_t before = p.s().streams_held();
      const auto ask = p.open(bidi, request(v, ""));
      CHECK(p.s().streams_held() == before + 1);
      if (how == 0) p.fin(ask);
      if (how == 1) p.reset(ask, 5);
      if (how == 2) {
        p.stop(ask, 5);
        CHECK(p.on(ask).reset == 5);
        p.fin(ask);
      }
      CHECK(p.is_ended(ask));
      CHECK(p.s().streams_held() == before);
      const std::string told = p.sent(ask);
      REQUIRE(p.s().announce("a").has_value());
      p.run();
      CHECK(p.sent(ask) == told);
      CHECK(p.net.broken_promises == 0);
    }
}

// ---- limits

TEST_CASE("more announcements on one stream than we keep end that stream [seed 10.1 c]") {
  for (const version v : versions) {
    config c;
    c.caps.announcements_max = 3;
    asker p(v, "room", c);
    p.tell(opening(v) + active(v, "a") + active(v, "b"));
    p.tell(active(v, "c"));
    CHECK(!p.is_ended(p.stream));
    CHECK(p.x.count<announced>() == 3);
    p.tell(active(v, "d"));
    CHECK(p.was_ended(p.stream, stream_code::no_capacity));
    CHECK(p.x.count<announce_ended>() == 3);
    CHECK(p.x.last<interest_closed>().why == errc::limit_exceeded);
    CHECK(p.is_open());

    if (only(lite03, lite04).has(v)) continue;
    asker q(v, "room", c);  // judged by the count alone
    q.tell(has_announce_ok(v) ? "020704" : opening(v, {"a", "b", "c", "d"}));
    CHECK(q.was_ended(q.stream, stream_code::no_capacity));
    CHECK(q.x.count<announced>() == 0);
  }
}

TEST_CASE("the peer may have so many Announce streams open, and a new one when one has ended [seed 10.1 c]") {
  for (const version v : versions) {
    config c;
    c.caps.announce_streams_max = 3;
    peer p(v, server, c);
    p.up();
    std::vector<std::uint64_t> asks;
    for (int i = 0; i < 3; ++i) asks.push_back(p.open(bidi, request(v, "")));
    for (const auto id : asks) CHECK(!p.is_ended(id));
    CHECK(p.was_ended(p.open(bidi, request(v, "")), stream_code::no_capacity));
    p.fin(asks[1]);
    CHECK(!p.is_ended(p.open(bidi, request(v, ""))));
    CHECK(p.was_ended(p.open(bidi, request(v, "")), stream_code::no_capacity));
    CHECK(p.is_open());
  }
}

TEST_CASE("a subscriber that does not read is cut off at the backlog, and its place is free again [seed 10.1 c]") {
  for (const version v : versions) {
    config c;
    c.caps.announce_streams_max = 1;
    c.caps.control_backlog_bytes_max = 1000;
    peer p(v, server, c);
    p.up();
    const auto ask = p.open(bidi, request(v, ""));
    p.net.frozen.insert(ask);
    std::vector<announcement_id> ids;
    for (int i = 0; i < 300 && !p.is_ended(ask); ++i) {
      ids.push_back(*p.s().announce("some/longer/path/" + std::to_string(i)));
      p.run();
    }
    CHECK(ids.size() > 30);
    CHECK(p.was_ended(ask, stream_code::too_far_behind));
    CHECK(p.is_open());
    const auto again = p.open(bidi, request(v, "nothing"));
    CHECK(!p.is_ended(again));
    CHECK(p.net.broken_promises == 0);
  }
}

TEST_CASE("a thousand announcements come and go in every version") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    testing::pair p(v);
    p.start();
    p.run();
    std::vector<announcement_id> ids;
    for (int i = 0; i < 500; ++i) ids.push_back(*p.server.session.announce("room/" + std::to_string(i)));
    REQUIRE(p.client.session.discover("room", p.net.now()).has_value());
    p.run();
    for (int i = 500; i < 1000; ++i) ids.push_back(*p.server.session.announce("room/" + std::to_string(i)));
    p.run();
    CHECK(p.client.count<announced>() == 1000);
    for (const announcement_id id : ids) CHECK(p.server.session.withdraw(id) == errc::ok);
    p.run();
    CHECK(p.client.count<announce_ended>() == 1000);
    CHECK(p.client.count<interest_closed>() == 0);
    CHECK(p.net.violations() == 0);
  }
}
