// QUIC as a transport: what an adapter owes a session, over two connections joined in memory.

#include <doctest/doctest.h>

#include "conformance.hpp"
#include "quic_link.hpp"

using namespace moql;
using testing::quic_link;
using testing::quic_link_options;
using testing::conformance::bench;
using testing::conformance::some_bytes;
using testing::conformance::wishes;

namespace {

struct maker {
  quic_link_options options{};
  quic_link operator()() const { return quic_link(options); }
  quic_link operator()(const wishes& w) const {
    quic_link_options o = options;
    if (w.streams != 0) o.streams_max = w.streams;
    if (w.stream_window != 0) o.stream_window = w.stream_window;
    return quic_link(o);
  }
};

/// Streams and codes.
std::vector<std::pair<std::uint64_t, std::uint64_t>> stops_in(std::initializer_list<int> bytes_of_it) {
  std::vector<std::uint8_t> payload(bytes_of_it.begin(), bytes_of_it.end());
  std::vector<std::pair<std::uint64_t, std::uint64_t>> out;
  quic::find_stop_sending(payload, [&](std::uint64_t id, std::uint64_t code) { out.emplace_back(id, code); });
  return out;
}

}  // namespace

TEST_CASE("a QUIC connection keeps what the transport contract promises [seed 3.1.2]") {
  testing::conformance::check_adapter(maker{});
}

TEST_CASE("a QUIC connection keeps its promises though every twentieth packet is lost [seed 3.1.2]") {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    CAPTURE(seed);
    testing::conformance::check_adapter(maker{{.seed = seed, .loss_percent = 5}});
  }
}

TEST_CASE("streams of higher priority are sent first, in turns among equals [seed 4.1]") {
  quic_link link({.delay = milliseconds(20), .stream_window = 1 << 20, .stream_buffer = 1 << 20});
  bench<quic_link> t{link};
  const stream_id low = t.open(direction::uni), high = t.open(direction::uni), equal = t.open(direction::uni);
  link.a().priority(low, -5);
  link.a().priority(high, 7);
  link.a().priority(equal, 7);
  const std::string all = some_bytes(200'000);
  for (const stream_id id : {low, high, equal}) t.put_all(id, all, true);
  const auto ends = [&](stream_id id) { return t.b.streams.count(id) != 0 && t.b.streams[id].fin; };
  REQUIRE(t.until([&] { return ends(high) && ends(equal); }));
  CHECK(t.b.streams[low].data.size() < 64 * 1024);  // what was left of the last packets and windows
  t.run();
  CHECK((t.b.streams[low].data == all));
  t.good();
}

TEST_CASE("equal streams share the connection, however many there are [seed 4.1]") {
  quic_link link({.stream_window = 1 << 20, .stream_buffer = 1 << 20});
  bench<quic_link> t{link};
  std::vector<stream_id> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(t.open(direction::uni));
  const std::string all = some_bytes(100'000);
  for (const stream_id id : ids) t.put_all(id, all, true);
  REQUIRE(t.until([&] { return t.b.streams.count(ids[0]) != 0 && t.b.streams[ids[0]].fin; }));
  std::size_t well_under_way = 0;
  for (const stream_id id : ids) well_under_way += t.b.streams[id].data.size() > 50'000 ? 1 : 0;
  CHECK(well_under_way > 90);
  t.good();
}

TEST_CASE("the sink of a QUIC connection hears of a peer that is gone, once [seed 3.5]") {
  quic_link link({.idle_timeout = seconds(3)});
  bench<quic_link> t{link};
  t.still_works();
  link.cut();
  (void)t.open(direction::uni);
  t.run();
  CHECK(t.a.closes == 1);
  CHECK(t.b.closes == 1);
  CHECK(!t.a.application);
  CHECK(t.a.reason == "nothing was heard of the peer for 3 s");
  CHECK(link.a().is_over());
  CHECK(link.a().next_deadline() == never_due);
  CHECK(link.a().open(direction::uni).status == transport_status::closed);
}

TEST_CASE("an idle QUIC connection with a peer that is there stays up [seed 3.5]") {
  quic_link link({.idle_timeout = seconds(3)});
  bench<quic_link> t{link};
  const instant until = link.now() + seconds(30);
  CHECK(t.until([&] { return link.now() > until; }));
  CHECK(t.a.closes == 0);
  t.still_works();
}

TEST_CASE("a close is said again when the peer goes on talking, and both ends come to an end [seed 3.5]") {
  quic_link link;
  bench<quic_link> t{link};
  const stream_id id = t.open(direction::uni);
  t.put_all(id, "x", false);
  t.run();
  link.a().close(7, "enough");
  link.lose_next(1);  // the first time it is said
  const open_result r = link.b().open(direction::uni);
  t.b.streams[r.id].dir = direction::uni;
  (void)bench<quic_link>::put(link.b(), r.id, "are you there?", true);
  t.run();
  CHECK(t.b.closes == 1);
  CHECK(t.b.close_code == 7);
  CHECK(t.b.reason == "enough");
  CHECK(t.a.closes == 0);
  CHECK(link.a().is_over());
  CHECK(link.b().is_over());
  CHECK(link.a().why().text == "closed with " + net::named<session_code>(7) + ": \"enough\"");
  CHECK(link.b().why().text == "the peer closed the connection with " + net::named<session_code>(7) + ": \"enough\"");
}

TEST_CASE("STOP_SENDING is found between any other frames of a packet [seed 3.4]") {
  using found = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
  CHECK(stops_in({}) == found{});
  CHECK(stops_in({0, 0, 1, 5, 3, 7, 0}) == found{{3, 7}});
  CHECK(stops_in({5, 0x40, 0x44, 0x7f, 0xff, 5, 2, 1}) == found{{0x44, 0x3fff}, {2, 1}});
  CHECK(stops_in({2, 9, 0, 1, 0, 1, 1, 5, 3, 7}) == found{{3, 7}});           // ACK with one more range
  CHECK(stops_in({3, 9, 0, 0, 0, 1, 2, 3, 5, 3, 7}) == found{{3, 7}});        // ACK with ECN counts
  CHECK(stops_in({4, 3, 1, 9, 5, 3, 7}) == found{{3, 7}});                    // RESET_STREAM
  CHECK(stops_in({6, 0, 2, 5, 5, 5, 3, 7}) == found{{3, 7}});                 // CRYPTO
  CHECK(stops_in({7, 1, 5, 5, 3, 7}) == found{{3, 7}});                       // NEW_TOKEN
  CHECK(stops_in({0x0e, 4, 1, 2, 5, 5, 5, 3, 7}) == found{{3, 7}});           // STREAM with offset and length
  CHECK(stops_in({0x08, 4, 5, 3, 7}) == found{});                             // STREAM to the end of the packet
  CHECK(stops_in({0x10, 9, 0x11, 4, 9, 0x12, 3, 5, 3, 7}) == found{{3, 7}});  // MAX_*
  CHECK(stops_in({0x14, 9, 0x15, 4, 9, 0x17, 3, 0x19, 1, 5, 3, 7}) == found{{3, 7}});
  CHECK(stops_in({0x1a, 1, 2, 3, 4, 5, 6, 7, 8, 0x1e, 5, 3, 7}) == found{{3, 7}});
  CHECK(stops_in({0x18, 1, 0, 2, 5, 5, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 5, 3, 7}) ==
        found{{3, 7}});                                        // NEW_CONNECTION_ID
  CHECK(stops_in({0x31, 2, 5, 5, 5, 3, 7}) == found{{3, 7}});  // DATAGRAM
  CHECK(stops_in({0x30, 5, 3, 7}) == found{});
  CHECK(stops_in({0x1c, 5, 3, 7}) == found{});  // the end of the connection
  CHECK(stops_in({0x21, 5, 3, 7}) == found{});  // no frame that is known
}

TEST_CASE("a frame that is cut short ends the search for STOP_SENDING [seed 10.1]") {
  const std::vector<std::uint8_t> frames[] = {
      {5, 3, 7},       {2, 9, 0, 1, 0, 1, 1},         {3, 9, 0, 0, 0, 1, 2, 3}, {6, 0, 2, 5, 5}, {0x0e, 4, 1, 2, 5, 5},
      {0x31, 2, 5, 5}, {0x1a, 1, 2, 3, 4, 5, 6, 7, 8}};
  for (const auto& f : frames)
    for (std::size_t n = 0; n < f.size(); ++n) {
      const std::vector<std::uint8_t> cut(f.begin(), f.begin() + static_cast<std::ptrdiff_t>(n));
      quic::find_stop_sending(cut, [](std::uint64_t, std::uint64_t) { FAIL("there is none"); });
    }
  const std::uint8_t many_ranges[] = {2, 9, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 5, 3, 7};
  quic::find_stop_sending(many_ranges, [](std::uint64_t, std::uint64_t) { FAIL("there is none"); });
}
