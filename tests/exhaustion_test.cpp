/// Resource exhaustion, seed row 10.1: lengths and counts that claim too much, every limit one below, at and one above
/// its value, and what two sessions may take together. Each test names the letter of the row that it is for.

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <type_traits>

#include "counting_memory.hpp"
#include "moql/message/all.hpp"
#include "moql/stream/framing.hpp"
#include "peer.hpp"
#include "sim.hpp"

using namespace moql;
using testing::hex;
using testing::peer;
using testing::versions;

namespace {

constexpr auto bidi = direction::bidi;
constexpr auto uni = direction::uni;
constexpr auto client = endpoint::client;
constexpr auto server = endpoint::server;

const std::string endless = "ffffffffffffffff";  // 2^62-1
const std::string million = "800f4240";

// Every limit has a test below that is named after it; a new one does not compile until it is listed here.
template <class T>
constexpr bool has_all_limits = requires(T t) {
  []([[maybe_unused]] const T& caps) {
    [[maybe_unused]] const auto& [message_bytes_max, announce_init_bytes_max, frame_bytes_max, announcements_max,
                                  announce_streams_max, subscriptions_max, requests_max, unidentified_streams_max,
                                  buffered_bytes_max, gaps_max, control_backlog_bytes_max, behind_bytes_max,
                                  reason_bytes_max, track_infos_max, datagrams_max, setup_timeout, request_timeout,
                                  header_timeout, straggler_timeout] = caps;
  }(t);
};
static_assert(has_all_limits<limits>);

/// A session that counts its memory, and its peer.
struct counted {
  counting_memory m;
  peer p;
  counted(version v, endpoint e, const config& c = {}) : p(v, e, c, m.get()) {}
  /// What is taken from here on at most, besides what is out already.
  void mark() {
    before_ = m.bytes;
    m.bytes_high = m.bytes;
  }
  [[nodiscard]] std::size_t growth() const { return m.bytes_high - before_; }

 private:
  std::size_t before_ = 0;
};

/// The same behind the opening.
struct established : counted {
  established(version v, endpoint e, const config& c = {}) : counted(v, e, c) { p.up(); }
};

/// A configuration of which one limit is set.
template <class T>
config limited(T limits::*which, std::type_identity_t<T> to) {
  config c;
  c.caps.*which = to;
  return c;
}

subscribe_options bare(msg::delivery want = {}) { return {.want = want, .skip_track_info = true}; }
/// The session asks for every broadcast.
void discover_all(peer& p) {
  REQUIRE(p.s().discover("", p.now).has_value());
  p.run();
}
/// The session subscribes to a track.
void subscribe_to_one(peer& p) {
  REQUIRE(p.s().subscribe("a", "b", bare(), p.now).has_value());
  p.run();
}
std::string subscribe(version v, std::uint64_t id) {
  return "02" + hex(msg::subscribe{.id = id, .broadcast = "x", .track = "y"}, v);
}
std::string announce_request(version v) { return "01" + hex(msg::announce_request{}, v); }
std::string group(version v, std::uint64_t sequence) { return "00" + hex(msg::group{.sequence = sequence}, v); }
std::string frame_head(version v, std::uint64_t size) { return hex(msg::frame{.timestamp_delta = 0, .size = size}, v); }
/// What the publisher answers to an Announce stream before anything else.
std::string opening(version v) {
  if (has_announce_init(v)) return hex(msg::announce_init{}, v);
  return has_announce_ok(v) ? hex(msg::announce_ok{}, v) : "";
}
std::string active(version v, std::string_view suffix) {
  return has_announce_ids(v) ? hex(msg::announce_start{.suffix = suffix}, v)
                             : hex(msg::announce{.status = 1, .suffix = suffix}, v);
}
std::string number(std::uint64_t n) {
  std::uint8_t b[wire::varint_bytes_max];
  wire::writer w{b};
  wire::put_varint(w, n);
  return tests::to_hex({b, static_cast<std::size_t>(w.p - b)});
}

/// What a length that claims too much does to the reader of each message.
struct every_length {
  std::size_t seen = 0;
  template <class M>
  void operator()() {
    if constexpr (framing_of<M>() == framing::length) {
      for (const version v : versions) {
        if (!M::in.has(v)) continue;
        const auto type = type_of<M>(v);
        for (const std::size_t piece : {std::size_t{1}, std::size_t{100}}) {  // the length in pieces, or at once
          counting_memory m;
          message_reader r(m.get());
          r.reserve(16);
          const std::size_t before = m.requests;
          const auto bytes_of = tests::from_hex((type ? number(*type) : "") + endless + std::string(64, '0'));
          step got = step::wait;
          errc why{};
          for (std::size_t at = 0; got == step::wait && at < bytes_of.size(); at += piece) {
            byte_view in = byte_view(bytes_of).subspan(at, std::min(piece, bytes_of.size() - at));
            raw_message out;
            got = r.next(in, type.has_value(), framing::length, limits{}.message_bytes_max, out, why);
          }
          CHECK(got == step::fault);
          CHECK(why == errc::message_too_large);
          CHECK(m.requests == before);
        }
        ++seen;
      }
    }
  }
};

}  // namespace

// ---- (a) lengths

TEST_CASE("a length of 2^62-1 is an error without a single allocation, for every message [seed 10.1 a]") {
  every_length table;
  msg::for_each_message(table);
  CHECK(table.seen >= 60);
}

TEST_CASE("a length of 2^62-1 inside a message is an error that takes no memory, at every place [seed 10.1 a]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    std::vector<std::string> firsts{announce_request(v), subscribe(v, 1)};
    if (has_fetch(v)) firsts.push_back("03" + hex(msg::fetch{.broadcast = "x", .track = "y"}, v));
    if (has_track_stream(v)) firsts.push_back("06" + hex(msg::track{.broadcast = "x", .track_name = "y"}, v));
    for (const std::string& message : firsts) {
      const std::size_t n = message.size() / 2 - 2;
      for (std::size_t at = 0; at <= n; ++at) {
        const std::string content = message.substr(4, 2 * at) + endless;
        established one(v, server);
        one.p.open(bidi);  // room for a stream
        one.mark();
        one.p.open(bidi, message.substr(0, 2) + number(content.size() / 2) + content);
        CHECK(one.growth() < 16'384);  // a block of slots at most, whatever is claimed
        CHECK(one.p.net.broken_promises == 0);
      }
    }
  }
}

// ---- (b) counts

TEST_CASE("a count of 10^6 in a short body is an error in every list, without memory for it [seed 10.1 b]") {
  const auto check = [](version v, endpoint e, bool is_up, auto&& play) {
    CAPTURE(facts(v).name);
    counted one(v, e);
    if (is_up)
      one.p.up();
    else
      (void)one.p.start();
    one.mark();
    play(one.p);
    CHECK(one.growth() < 16'384);
    REQUIRE(one.p.x.count<session_closed>() == 1);
    CHECK(one.p.x.last<session_closed>().why == errc::truncated);
    CHECK(one.p.net.broken_promises == 0);
  };
  const std::string list = million + "010203";  // and what is there of it
  const auto opens = [&](version v, direction d, const std::string& head) {
    check(v, server, false, [&](peer& p) { p.open(d, head + list); });
  };
  const auto announces = [&](version v, const std::string& head) {
    check(v, client, true, [&](peer& p) {
      discover_all(p);
      p.send(p.own(bidi, "01"), head + list);
    });
  };
  for (const version v : {lite01, lite02}) {
    const std::string v_number = v == lite01 ? "c0000000ff0dad01" : "c0000000ff0dad02";
    opens(v, bidi, "200007");
    opens(v, bidi, "20001001" + v_number);
    check(v, client, false, [&](peer& p) { p.send(p.net.opened.at(0), "21000f" + v_number + list); });
    announces(v, "07");
  }
  for (const version v : {lite04, lite05}) announces(v, opening(v) + "090100");
  announces(lite06, opening(lite06) + "000800");
  for (const version v : {lite05, lite06}) opens(v, uni, "0107");
}

TEST_CASE("10^6 announcements that are announced by their number alone take no memory [seed 10.1 b]") {
  for (const version v : {lite05, lite06}) {
    established one(v, client);
    discover_all(one.p);
    one.mark();
    const auto ask = one.p.own(bidi, "01");
    one.p.send(ask, hex(msg::announce_ok{.hop = 7, .active_count = 1'000'000}, v));
    CHECK(one.p.was_ended(ask, stream_code::no_capacity));
    CHECK(one.growth() < 4096);
    CHECK(one.p.is_open());
  }
}

// ---- (c) every limit: one below, at, and one above

TEST_CASE("limit message_bytes_max: one byte more closes the session before memory is taken [seed 10.1 c]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    for (const std::size_t body : {999u, 1000u, 1001u}) {
      established one(v, server, limited(&limits::message_bytes_max, 1000));
      const auto id = one.p.open(bidi, "01");
      one.mark();
      one.p.send(id, number(body));
      for (std::size_t i = 0; i + 100 < body && one.p.is_open(); i += 100) one.p.send(id, std::string(200, '0'));
      CHECK(one.p.is_open() == (body <= 1000));
      if (body <= 1000) {
        CHECK(one.growth() >= 900);
        CHECK(one.growth() <= 4096);
      } else {
        CHECK(one.p.closed_with(session_code::protocol_violation));
        CHECK(one.p.x.last<session_closed>().why == errc::message_too_large);
        CHECK(one.growth() <= 512);
      }
    }
  }
}

TEST_CASE("limit announce_init_bytes_max: one byte more closes the session before memory is taken [seed 10.1 c]") {
  for (const version v : {lite01, lite02})
    for (const std::size_t body : {1999u, 2000u, 2001u}) {
      config c;
      c.caps.message_bytes_max = 100;
      c.caps.announce_init_bytes_max = 2000;
      established one(v, client, c);
      discover_all(one.p);
      one.mark();
      const std::string suffix(body - 3, 'a');  // behind a count of one byte and a length of two
      const text list[] = {std::string_view(suffix)};
      const std::string message = hex(msg::announce_init{.suffixes = {std::span<const text>(list)}}, v);
      REQUIRE(message.size() / 2 == body + 2);
      const auto ask = one.p.own(bidi, "01");
      one.p.send(ask, message.substr(0, 40));  // in two pieces, so that it has to be held
      one.p.send(ask, message.substr(40));
      CHECK(one.p.is_open() == (body <= 2000));
      CHECK(one.p.x.count<announced>() == (body <= 2000 ? 1 : 0));
      if (body > 2000) CHECK(one.p.x.last<session_closed>().why == errc::message_too_large);
      CHECK(one.growth() <= (body <= 2000 ? 16'384 : 512));
    }
}

TEST_CASE("limit frame_bytes_max: one byte more ends the group, and payload takes no memory of ours [seed 10.1 c]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    for (const std::uint64_t size : {4999u, 5000u, 5001u}) {
      established one(v, client, limited(&limits::frame_bytes_max, 5000));
      subscribe_to_one(one.p);
      const auto g = one.p.open(uni, group(v, 1));
      one.mark();
      one.p.send(g, frame_head(v, size));
      for (std::size_t sent = 0; sent < size && !one.p.on(g).stop; sent += 1000)
        one.p.send(g, std::string(2 * std::min<std::size_t>(1000, size - sent), '0'), sent + 1000 >= size);
      REQUIRE(one.p.x.count<group_finished>() == 1);
      CHECK(one.p.x.last<group_finished>().why == (size <= 5000 ? errc::ok : errc::frame_too_large));
      if (size > 5000) CHECK(one.p.was_ended(g, stream_code::frame_too_large));
      CHECK(one.growth() <= 2048);
      CHECK(one.p.is_open());
    }
  }
}

TEST_CASE("limit announcements_max: one more of ours is refused, one more of theirs ends its stream [seed 10.1 c]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    const config c = limited(&limits::announcements_max, 20);
    std::size_t at_limit = 0;
    for (const std::size_t n : {19u, 20u, 21u, 500u}) {
      established ours(v, server, c);
      ours.mark();
      for (std::size_t i = 1; i <= n; ++i) {
        const auto id = ours.p.s().announce("p" + std::to_string(i));
        CHECK(id.has_value() == (i <= 20));
        if (i > 20) CHECK(id.error() == errc::limit_reached);
      }
      if (n == 20) at_limit = ours.growth();
      if (n > 20) CHECK(ours.growth() == at_limit);
      CHECK(ours.p.is_open());
    }
    for (const std::size_t n : {19u, 20u, 21u, 500u}) {
      established theirs(v, client, c);
      discover_all(theirs.p);
      const auto ask = theirs.p.own(bidi, "01");
      theirs.p.send(ask, opening(v));
      theirs.mark();
      for (std::size_t i = 1; i <= n; ++i) theirs.p.send(ask, active(v, "p" + std::to_string(i)));
      CHECK(theirs.p.x.count<announced>() == std::min<std::size_t>(n, 20));
      CHECK(theirs.p.was_ended(ask, stream_code::no_capacity) == (n > 20));
      if (n > 20) CHECK(theirs.p.x.last<interest_closed>().why == errc::limit_exceeded);
      if (n == 20) at_limit = theirs.growth();
      if (n > 20) CHECK(theirs.growth() <= at_limit + 8192);  // the events that say that all are gone
      CHECK(theirs.p.is_open());
    }
  }
}

namespace {

/// Streams that all count for one limit: those up to it stay, one more is ended, and a hundred more take no memory.
void check_streams(version v, const config& c, std::size_t limit, direction d, const std::string& first) {
  CAPTURE(facts(v).name);
  std::size_t at_limit = 0;
  for (const std::size_t n : {limit - 1, limit, limit + 1, limit + 200}) {
    established one(v, server, c);
    one.mark();
    for (std::size_t i = 1; i <= n; ++i) {
      std::string data = first;
      if (first == "02") data = subscribe(v, i);
      const auto id = one.p.open(d, data);
      if (i <= limit)
        CHECK(!one.p.on(id).stop.has_value());
      else
        CHECK(one.p.was_ended(id, stream_code::no_capacity));
    }
    if (n == limit) at_limit = one.growth();
    if (n > limit) CHECK(one.growth() <= at_limit + 16'384);  // one block of slots for those that are refused
    CHECK(one.p.is_open());
    CHECK(one.p.s().streams_held() <= limit + 1);
    CHECK(one.p.net.broken_promises == 0);
  }
}

}  // namespace

TEST_CASE("limit announce_streams_max: one more is reset with NO_CAPACITY [seed 10.1 c]") {
  for (const version v : versions)
    check_streams(v, limited(&limits::announce_streams_max, 8), 8, bidi, announce_request(v));
}

TEST_CASE("limit subscriptions_max: one more is reset with NO_CAPACITY [seed 10.1 c]") {
  for (const version v : versions) check_streams(v, limited(&limits::subscriptions_max, 8), 8, bidi, "02");
}

TEST_CASE("limit requests_max: one more Track, Fetch or Probe is reset with NO_CAPACITY [seed 10.1 c]") {
  for (const version v : versions) {
    config c;
    c.caps.requests_max = 8;
    c.probe = probe_level::report;
    if (has_fetch(v)) check_streams(v, c, 8, bidi, "03" + hex(msg::fetch{.broadcast = "x", .track = "y"}, v));
    if (has_track_stream(v))
      check_streams(v, c, 8, bidi, "06" + hex(msg::track{.broadcast = "x", .track_name = "y"}, v));
    if (has_probe(v)) check_streams(v, c, 8, bidi, "04");
  }
}

TEST_CASE("limit unidentified_streams_max: one more silent stream is ended with NO_CAPACITY [seed 10.1 c]") {
  for (const version v : versions) {
    const config c = limited(&limits::unidentified_streams_max, 8);
    check_streams(v, c, 8, bidi, "");
    check_streams(v, c, 8, uni, "00");
  }
}

TEST_CASE("limit buffered_bytes_max: one byte more that nobody reads closes the session [seed 10.1 c]") {
  for (const version v : versions)
    for (const std::size_t n : {9'999u, 10'000u, 10'001u}) {
      established one(v, server, limited(&limits::buffered_bytes_max, 10'000));
      peer& p = one.p;
      one.mark();
      p.s().on_open(stream_id{5000}, uni, p.now);
      p.s().on_open(stream_id{5001}, bidi, p.now);
      const std::vector<std::uint8_t> some(n, 0);
      for (std::size_t i = 0; i < n; i += 100)  // over two streams: the sum counts
        p.s().on_data(stream_id{5000 + i / 100 % 2},
                      bytes::copy(byte_view(some).subspan(i, std::min<std::size_t>(100, n - i))), false, p.now);
      CHECK(p.s().is_closed() == (n > 10'000));
      CHECK(p.s().bytes_buffered() <= 10'001);
      CHECK(one.growth() <= 32'768);
      if (n <= 10'000) continue;
      p.run();
      CHECK(p.closed_with(session_code::internal_error));
      CHECK(p.x.last<session_closed>().why == errc::limit_exceeded);
    }
}

TEST_CASE("limit gaps_max: beyond it the oldest gap is reported as lost, and memory stays [seed 10.1 c]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    std::size_t at_limit = 0;
    for (const std::uint64_t n : {15u, 16u, 17u, 600u}) {
      established one(v, client, limited(&limits::gaps_max, 16));
      subscribe_to_one(one.p);
      one.mark();
      for (std::uint64_t i = 0; i < n; ++i) {
        one.p.open(uni, group(v, 2 * i), true);
        one.p.x.events.erase(
            std::remove_if(one.p.x.events.begin(), one.p.x.events.end(),
                           [](const testing::heard& h) { return !std::holds_alternative<groups_lost>(h.what); }),
            one.p.x.events.end());
      }
      CHECK(one.p.x.count<groups_lost>() == (n > 16 ? n - 16 : 0));
      if (n == 16) at_limit = one.growth();
      if (n > 16) CHECK(one.growth() <= at_limit + 4096);
      CHECK(one.p.is_open());
    }
  }
}

TEST_CASE("limit control_backlog_bytes_max: one byte more than a peer leaves unread resets its stream [seed 10.1 c]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    struct outcome {
      std::size_t told, growth;
      bool was_reset;
    };
    const auto play = [&](std::size_t limit, bool is_read, std::size_t count) -> outcome {
      established one(v, server, limited(&limits::control_backlog_bytes_max, limit));
      const auto ask = one.p.open(bidi, announce_request(v));
      const std::size_t before = one.p.sent(ask).size() / 2;
      if (!is_read) one.p.net.frozen.insert(ask);
      one.mark();
      for (std::size_t i = 0; i < count; ++i) {  // shown and hidden: no more is kept than one announcement
        const auto id = one.p.s().announce("p100");
        REQUIRE(id.has_value());
        CHECK(one.p.s().withdraw(*id) == errc::ok);
        one.p.run();
      }
      CHECK(one.p.is_open());
      return {one.p.sent(ask).size() / 2 - before, one.growth(), one.p.was_ended(ask, stream_code::too_far_behind)};
    };
    const std::size_t told = play(1'000'000, true, 100).told;
    CHECK_FALSE(play(told + 1, false, 100).was_reset);
    const outcome at = play(told, false, 100);
    CHECK_FALSE(at.was_reset);
    CHECK(play(told - 1, false, 100).was_reset);
    const outcome far = play(told, false, 5000);
    CHECK(far.was_reset);
    CHECK(far.growth <= 2 * at.growth + 4096);
  }
}

TEST_CASE("limit behind_bytes_max: one byte more of a group that is not read resets its stream [seed 10.1 c]") {
  for (const version v : versions)
    for (const std::size_t n : {999u, 1000u, 1001u}) {
      CAPTURE(facts(v).name);
      CAPTURE(n);
      established one(v, server, limited(&limits::behind_bytes_max, 1000));
      track_cache cache({.timescale = 1000});
      one.p.x.react = [&](session& s, const event& e) {
        if (const auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(r->request, cache) == errc::ok);
      };
      one.p.open(bidi, subscribe(v, 1));
      const auto more = [&](std::size_t size) {
        REQUIRE(cache.append(0, bytes::copy(std::string(size, 'x'))) == errc::ok);
        one.p.run();
      };
      REQUIRE(cache.begin_group(one.p.now) == errc::ok);
      more(1);
      const auto g = one.p.own(uni, "00");
      REQUIRE(g != 0);
      one.p.net.frozen.insert(g);
      more(5000);  // on its way when the peer is found not to read
      one.mark();
      for (std::size_t sent = 0; sent < n; sent += 100) more(std::min<std::size_t>(100, n - sent));
      CHECK(one.p.on(g).reset.has_value() == (n > 1000));
      if (n > 1000) CHECK(one.p.was_ended(g, stream_code::too_far_behind));
      CHECK(one.p.s().counters().groups_behind == (n > 1000 ? 1 : 0));
      CHECK(one.growth() <= 4096);  // the cache is not the session's
      CHECK(one.p.is_open());
    }
}

TEST_CASE("limit reason_bytes_max: a longer reason is cut, ours and the peer's [seed 10.1 c]") {
  for (const std::size_t n : {9u, 10u, 11u, 100'000u}) {
    const config c = limited(&limits::reason_bytes_max, 10);
    const std::string reason(n, 'r');
    established ours(lite06, client, c);
    ours.mark();
    ours.p.s().close(session_code::no_error, reason);
    ours.p.run();
    CHECK(ours.p.net.close_reason.size() == std::min<std::size_t>(n, 10));
    CHECK(ours.growth() <= 1024);
    established theirs(lite06, client, c);
    theirs.mark();
    theirs.p.close(0, reason);
    REQUIRE(theirs.p.x.count<session_closed>() == 1);
    CHECK(theirs.p.x.all<session_closed>()[0].text.size() == std::min<std::size_t>(n, 10));
    CHECK(theirs.growth() <= 1024);
  }
}

TEST_CASE("limit track_infos_max: one more makes one that nobody waits for forgotten [seed 10.1 c]") {
  for (const version v : {lite05, lite06}) {
    std::size_t at_limit = 0;
    for (const std::size_t n : {7u, 8u, 9u, 300u}) {
      established one(v, client, limited(&limits::track_infos_max, 8));
      const auto ask = [&](std::size_t i) {  // whether it was asked for, or known
        const std::size_t before = one.p.ours(bidi).size();
        REQUIRE(one.p.s().query_track("room", "track" + std::to_string(100 + i), one.p.now).has_value());
        one.p.run();
        const auto streams = one.p.ours(bidi);
        if (streams.size() == before) return false;
        one.p.send(streams.back(), hex(msg::track_info{.timescale = 1000}, v), true);
        return true;
      };
      one.mark();
      for (std::size_t i = 0; i < n; ++i) CHECK(ask(i));
      if (n == 8) at_limit = one.growth();
      if (n > 8) CHECK(one.growth() <= at_limit + 4096);
      std::size_t again = 0;
      for (std::size_t i = 0; i < std::min<std::size_t>(n, 9); ++i) again += ask(i) ? 1 : 0;
      CHECK((again == 0) == (n <= 8));
      CHECK(one.p.x.count<track_answered>() == n + std::min<std::size_t>(n, 9));
    }
  }
}

TEST_CASE("limit datagrams_max: one more that waits is dropped, in both directions [seed 10.1 c]") {
  for (const version v : {lite05, lite06}) {
    const config c = limited(&limits::datagrams_max, 8);
    std::size_t at_limit = 0;
    for (const std::uint64_t n : {7u, 8u, 9u, 500u}) {
      established in(v, client, c);
      subscribe_to_one(in.p);
      in.mark();
      const bytes payload = bytes::copy("x");
      for (std::uint64_t i = 0; i < n; ++i) {
        const auto raw = tests::from_hex(hex(msg::datagram{0, i, 0, payload.view()}, v));
        in.p.s().on_datagram(bytes::copy(byte_view(raw)), in.p.now);
      }
      in.p.run();
      CHECK(in.p.x.count<datagram_received>() == std::min<std::uint64_t>(n, 8));
      if (n == 8) at_limit = in.growth();
      if (n > 8) CHECK(in.growth() == at_limit);
    }
    for (const std::uint64_t n : {7u, 8u, 9u}) {
      established out(v, server, c);
      track_cache cache;
      out.p.x.react = [&](session& s, const event& e) {
        if (const auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(r->request, cache) == errc::ok);
      };
      out.p.open(bidi, "02" + hex(msg::subscribe{.broadcast = "x", .track = "y", .want = {.max_age_ms = 100'000}}, v));
      for (std::uint64_t i = 0; i < n; ++i) REQUIRE(cache.write_datagram(i, bytes::copy("x"), out.p.now) == errc::ok);
      out.p.run();
      CHECK(out.p.s().counters().datagrams_out == std::min<std::uint64_t>(n, 8));
    }
  }
}

// ---- (c) clocks: a microsecond before, at, and after

namespace {

constexpr duration limit = milliseconds(5'000);

/// In every version, a session of which one clock runs for `limit`; `play` is told how long to wait.
void around(duration limits::*which, endpoint e, const std::function<void(peer&, version, duration)>& play) {
  for (const version v : versions)
    for (const duration d : {limit - microseconds(1), limit, limit + microseconds(1)}) {
      CAPTURE(facts(v).name);
      CAPTURE(d.us);
      peer p(v, e, limited(which, limit));
      play(p, v, d);
    }
}

}  // namespace

TEST_CASE("limit setup_timeout: who has not opened by then is left [seed 10.1 c]") {
  around(&limits::setup_timeout, server, [](peer& p, version v, duration d) {
    (void)p.start();
    p.wait(d);
    const bool waits = negotiates_in_band(v) || has_setup(v);
    CHECK(p.closed_with(session_code::control_message_timeout) == (waits && d >= limit));
    if (waits && d >= limit) CHECK(p.x.last<session_closed>().why == errc::setup_timeout);
  });
}

TEST_CASE("limit request_timeout: a request without an answer is given up [seed 10.1 c]") {
  around(&limits::request_timeout, client, [](peer& p, version v, duration d) {
    if (!has_fetch(v)) return;
    p.up();
    REQUIRE(p.s().fetch("a", "b", 0, {}, p.now).has_value());
    if (has_track_stream(v)) REQUIRE(p.s().query_track("a", "b", p.now).has_value());
    p.run();
    p.wait(d);
    CHECK(p.x.count<fetch_closed>() == (d >= limit ? 1 : 0));
    if (d >= limit) CHECK(p.x.last<fetch_closed>().why == errc::request_timeout);
    if (has_track_stream(v)) CHECK(p.x.count<track_answered>() == (d >= limit ? 1 : 0));
    CHECK(p.is_open());
  });
}

TEST_CASE("limit header_timeout: a stream without its first message is ended with CONTROL_TIMEOUT [seed 10.1 c]") {
  around(&limits::header_timeout, server, [](peer& p, version, duration d) {
    p.up();
    const auto a = p.open(bidi, "02");
    const auto b = p.open(uni, "00");
    p.wait(d);
    CHECK(p.was_ended(a, stream_code::control_timeout) == (d >= limit));
    CHECK(p.was_ended(b, stream_code::control_timeout) == (d >= limit));
    CHECK(p.is_open());
  });
}

TEST_CASE("limit straggler_timeout: groups that the end overtook are waited for so long [seed 10.1 c]") {
  around(&limits::straggler_timeout, client, [](peer& p, version v, duration d) {
    p.up();
    subscribe_to_one(p);
    p.open(uni, group(v, 1), true);
    p.open(uni, group(v, 3), true);
    p.fin(p.own(bidi, "02"));
    p.wait(d);
    CHECK(p.x.count<subscription_closed>() == (d >= limit ? 1 : 0));
    CHECK(p.x.count<groups_lost>() == (d >= limit ? 1 : 0));
  });
}

// ---- (d) time and everything at once

TEST_CASE("a peer that sends a byte now and then does not keep a stream without its first message [seed 10.1 d]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    established one(v, server);
    peer& p = one.p;
    const std::string slow = "02" + number(60'000) + std::string(2000, '0');
    std::vector<std::uint64_t> ids;
    for (int i = 0; i < 50; ++i) ids.push_back(p.open(bidi));
    one.mark();
    for (std::size_t at = 0; at < 11; ++at) {  // one a second: the deadline is for all of it, not for each byte
      for (const auto id : ids) p.send(id, slow.substr(2 * at, 2));
      if (at < 10) CHECK(!p.on(ids[0]).stop);
      p.wait(seconds(1));
    }
    for (const auto id : ids) CHECK(p.was_ended(id, stream_code::control_timeout));
    CHECK(one.growth() < 50 * 1024);
    CHECK(p.is_open());
    CHECK(p.x.count<subscribe_requested>() == 0);

    if (!negotiates_in_band(v) && !has_setup(v)) continue;
    peer q(v, server);  // and not the session either
    (void)q.start();
    const auto id = negotiates_in_band(v) ? q.open(bidi, "20") : q.open(uni, "01");
    for (int i = 0; i < 10 && q.is_open(); ++i) {
      q.send(id, i == 0 ? "40" : "3f");
      q.wait(seconds(1));
    }
    CHECK(q.closed_with(session_code::control_message_timeout));
  }
}

TEST_CASE("two whole sessions doing everything at once stay within their share of memory [seed 10.1 d]") {
  namespace sim = testing::sim;
  std::size_t highest = 0;
  for (std::uint64_t seed = 5000; seed < 5120; ++seed) {
    CAPTURE(seed);
    counting_memory m;
    sim::noise payload;
    {
      sim::choices pick(seed * 0x2545f4914f6cdd1du + 1);
      const version v = all_versions[seed % all_versions.size()].id;
      sim::world w(pick, v, seed / all_versions.size() % sim::mixes, 3, payload, m.get());
      w.play(400);
      CHECK(w.fault == "");
    }
    highest = std::max(highest, m.bytes_high);
    CHECK(m.bytes == 0);
    CHECK(payload.shares() == 0);
  }
  CAPTURE(highest);
  CHECK(highest < 16'000'000);
}

namespace {

/// A peer that means harm: streams of all kinds, true messages, true beginnings with garbage behind, ends in any order,
/// and an application that sometimes does not look.
void assault(std::uint64_t seed, std::size_t& turns) {
  testing::sim::choices pick(seed * 0x9e3779b97f4a7c15u + 7);
  const version v = all_versions[seed % all_versions.size()].id;
  const endpoint e = pick.below(2) == 0 ? client : server;
  config c;
  c.probe = probe_level::report;
  c.caps.message_bytes_max = 2'000;
  c.caps.announce_init_bytes_max = 5'000;
  c.caps.frame_bytes_max = 5'000;
  c.caps.announcements_max = c.caps.subscriptions_max = c.caps.requests_max = c.caps.track_infos_max = 30;
  c.caps.announce_streams_max = c.caps.unidentified_streams_max = 20;
  c.caps.buffered_bytes_max = 20'000;
  c.caps.gaps_max = 20;
  c.caps.control_backlog_bytes_max = 5'000;
  counting_memory m;
  {
    track_cache cache({}, m.get());
    peer p(v, e, c, m.get());
    p.x.react = [&](session& s, const event& what) {
      std::visit(overload{[&](const subscribe_requested& r) { (void)s.serve(r.request, cache); },
                          [&](const track_requested& r) { (void)s.serve(r.request, cache); },
                          [&](const fetch_requested& r) { (void)s.serve(r.request, cache); }, [](const auto&) {}},
                 what);
    };
    p.up();
    (void)p.s().discover("", p.now);
    for (int i = 0; i < 3; ++i) (void)p.s().subscribe("a", "b" + std::to_string(i), bare(), p.now);
    for (int i = 0; i < 5; ++i) (void)p.s().announce("x" + std::to_string(i));
    p.run();
    const auto ask = p.own(bidi, "01");
    p.send(ask, opening(v));
    std::vector<std::uint64_t> ids;
    std::vector<std::uint64_t> groups;
    std::uint64_t fresh = 0;
    const auto garbage = [&](std::size_t n) {
      std::string out;
      for (std::size_t i = 0; i < n; ++i) {
        const auto b = static_cast<std::uint8_t>(pick.chance(70) ? pick.below(8) : pick.below(256));
        out += tests::to_hex({&b, 1});
      }
      return out;
    };
    for (int turn = 0; turn < 1000 && p.is_open(); ++turn, ++turns) {
      if (turn % 150 == 0 && cache.begin_group(p.now) == errc::ok) (void)cache.append(0, bytes::copy("payload"));
      switch (pick.below(12)) {
        case 0:
          if (pick.chance(3)) ids.push_back(p.open(bidi, garbage(pick.below(20))));
          break;
        case 1: ids.push_back(p.open(bidi, subscribe(v, ++fresh))); break;
        case 2: ids.push_back(p.open(bidi, announce_request(v))); break;
        case 3: groups.push_back(p.open(uni, group(v, pick.below(3000)) + frame_head(v, pick.below(6000)))); break;
        case 4: ids.push_back(p.open(uni, group(v, pick.below(100)) + frame_head(v, 0), true)); break;
        case 5:
          if (!p.is_ended(ask)) p.send(ask, pick.chance(98) ? active(v, "s" + std::to_string(++fresh)) : garbage(5));
          break;
        case 6:
          if (!ids.empty()) p.reset(ids[pick.below(ids.size())], pick.below(70));
          break;
        case 7:
          if (!ids.empty()) p.stop(ids[pick.below(ids.size())], pick.below(70));
          break;
        case 8: p.wait(milliseconds(static_cast<std::int64_t>(pick.below(500)))); break;
        case 9:
          if (!ids.empty()) p.net.frozen.insert(ids[pick.below(ids.size())]);
          break;
        case 10: {
          const auto raw = tests::from_hex(hex(msg::datagram{pick.below(3), pick.below(100), 0, {}}, v));
          p.s().on_datagram(bytes::copy(byte_view(raw)), p.now);
          break;
        }
        default:
          if (groups.empty()) break;
          const auto id = groups[pick.below(groups.size())];
          const std::string zeros(2 * pick.below(3000), '0');  // payload, or frames of no bytes
          if (pick.chance(90)) {
            p.send(id, zeros, pick.chance(5));
          } else {  // and nobody looks
            const auto raw = tests::from_hex(zeros);
            p.s().on_data(static_cast<stream_id>(id), bytes::copy(byte_view(raw)), false, p.now);
          }
      }
      p.x.events.clear();
    }
    CHECK(p.net.broken_promises == 0);
    // What the limits add up to, with the books of as many streams and groups; without limits it would be megabytes.
    CHECK(m.bytes_high < 600'000);
  }
  CHECK(m.bytes == 0);
  CHECK(m.sizes_match);
}

}  // namespace

TEST_CASE("a peer that means harm costs no more memory than the limits allow, and nothing leaks [seed 10.1 d]") {
  std::size_t turns = 0;
  for (std::uint64_t seed = 0; seed < 36; ++seed) {
    CAPTURE(seed);
    assault(seed, turns);
  }
  CHECK(turns > 10'000);
}
