/// What a QMux connection may send and when: credit both ways, lanes, priorities, sockets that are slow, and whose
/// bytes they are.

#include <map>

#include "qmux_pair.hpp"
#include "qmux_solo.hpp"

using namespace moql;
using qmux::carrier;
using qmux::revision;
using testing::lines;
using testing::solo;

namespace {

/// The stream of each STREAM frame that was said, and how many bytes it has.
std::vector<std::pair<std::uint64_t, std::size_t>> data_in(const lines& said) {
  std::vector<std::pair<std::uint64_t, std::size_t>> out;
  for (const std::string& s : said) {
    const auto b = tests::from_hex(s);
    const auto f = qmux::decode_frame(byte_view(b));
    REQUIRE(f.why == errc::ok);
    REQUIRE(f.size == b.size());
    if (const auto* p = std::get_if<qmux::frames::stream>(&f.value)) out.emplace_back(p->id, p->data.size());
  }
  return out;
}
std::size_t bytes_in(const lines& said) {
  std::size_t n = 0;
  for (const auto& [id, size] : data_in(said)) n += size;
  return n;
}
using frames = std::vector<std::pair<std::uint64_t, std::size_t>>;

/// A buffer that counts its shares.
struct counted : owner {
  counted() {
    retain = +[](owner* o) noexcept { ++static_cast<counted*>(o)->shares; };
    release = +[](owner* o) noexcept { --static_cast<counted*>(o)->shares; };
  }
  int shares = 0;
  std::string data = std::string(20'000, 'o');
  [[nodiscard]] chunk piece(std::size_t from, std::size_t n) {
    return {reinterpret_cast<const std::uint8_t*>(data.data()) + from, n, this};
  }
};

}  // namespace

// ---- what we may send

TEST_CASE("QMux stream data stays within the credit of its stream and of the connection") {
  solo s;
  s.ready(
      "ff5153300d0a0d0a0f 0401"
      "14 0701"
      "0a 0801"
      "05 0901"
      "05 0501"
      "0a");  // 20 in all, 10 a stream
  const stream_id a = s.open(), b = s.open(), c = s.open();
  for (const stream_id id : {a, b, c}) CHECK(s.write(id, "0123456789abcdef", true).status == transport_status::ok);
  CHECK(data_in(s.said()) == frames{{2, 10}, {6, 10}});
  s.feed("11020f");  // stream 2 may go to 15, but the connection may not
  CHECK(s.said().empty());
  s.feed("1017");  // 23
  CHECK(bytes_in(s.said()) == 3);
  s.feed("1010 1017 110201");  // limits do not go down
  CHECK(s.said().empty());
  s.feed("104064 1102406411064064110a4064");
  const lines rest = s.said();
  CHECK(bytes_in(rest) == 48 - 23);
  std::size_t ends = 0;
  for (const std::string& f : rest) ends += f.starts_with("0f") ? 1 : 0;
  CHECK(ends == 3);
}
TEST_CASE("the end of a QMux stream needs no credit") {
  solo s;
  s.ready("ff5153300d0a0d0a09 040102 070102 090105");
  CHECK(s.write(s.open(), "ab", true).status == transport_status::ok);
  CHECK(s.write(s.open(), "", true).status == transport_status::ok);
  CHECK(s.said() == lines{"0f060000", "0e0200026162", "0f020200"});
}
TEST_CASE("QMux streams are opened as the peer's credit allows, and not before") {
  solo s;
  s.ready("ff5153300d0a0d0a0c 04013f 07013f 080101 090102");
  CHECK(s.open(direction::bidi) == stream_id{0});
  CHECK(s.open() == stream_id{2});
  CHECK(s.open() == stream_id{6});
  CHECK(s.c.open(direction::uni).status == transport_status::blocked);
  CHECK(s.c.open(direction::bidi).status == transport_status::blocked);
  s.feed("1303");
  CHECK(s.heard() == lines{"credit uni"});
  CHECK(s.open() == stream_id{10});
  s.feed("1303 1201");
  CHECK(s.heard().empty());
  s.feed("1202");
  CHECK(s.heard() == lines{"credit bidi"});
}
TEST_CASE("a QMux stream takes what fits, and says when it is writable") {
  auto c = solo::config_of(revision::qmux02);
  c.caps.stream_backlog_bytes = 10;
  solo s(c);
  s.ready("ff5153300d0a0d0a0c 04013f 070102 080101 090105");
  const stream_id id = s.open();
  const auto w = s.write(id, "0123456789abc", true);
  CHECK(w.status == transport_status::blocked);
  CHECK(w.accepted == 10);
  CHECK(s.write(id, "x").status == transport_status::blocked);
  CHECK(data_in(s.said()) == frames{{2, 2}});
  CHECK(s.heard().empty());  // eight of ten still wait
  s.feed("110206");
  CHECK(data_in(s.said()) == frames{{2, 4}});
  CHECK(s.heard() == lines{"writable 2"});
  CHECK(s.write(id, "abc", true).status == transport_status::ok);
  s.feed("11023f");
  CHECK(bytes_in(s.said()) == 7);
  CHECK(s.heard().empty());
}

// ---- what goes first

TEST_CASE("QMux says control frames first, then datagrams, then the streams that matter most") {
  solo s;
  s.ready();
  const stream_id a = s.open(), b = s.open(), c = s.open();
  s.c.priority(b, 5);
  s.c.priority(c, 5);
  for (const stream_id id : {a, b, c}) CHECK(s.write(id, std::string(20'000, 'x')).status == transport_status::ok);
  const std::string d = "dd";
  CHECK(s.c.datagram({reinterpret_cast<const std::uint8_t*>(d.data()), 2}) == transport_status::ok);
  s.feed("f48c67529ef8c7bd05");
  const lines said = s.said();
  CHECK(said[0] == "f48c67529ef8c7be05");
  CHECK(said[1] == "31026464");
  constexpr std::size_t most = qmux::stream_payload_max;
  CHECK(data_in(said) ==
        frames{{6, most}, {10, most}, {6, 20'000 - most}, {10, 20'000 - most}, {2, most}, {2, 20'000 - most}});
}
TEST_CASE("a priority may change while QMux data waits") {
  auto c = solo::config_of(revision::qmux02);
  c.caps.committed_bytes = 1;
  solo s(c);
  s.ready();
  const stream_id a = s.open(), b = s.open();
  CHECK(s.write(a, "aa").status == transport_status::ok);
  CHECK(s.write(b, "bb").status == transport_status::ok);
  s.c.priority(b, 1);
  s.c.priority(a, 1);
  s.c.priority(a, -1);
  CHECK(data_in(s.said()) == frames{{6, 2}, {2, 2}});
}
TEST_CASE("what a QMux socket was shown does not change until it is taken") {
  auto c = solo::config_of(revision::qmux01);
  c.over = carrier::byte_stream;
  solo s(c);
  s.said();
  s.feed("33" + std::string(solo::generous));
  const stream_id a = s.open(), b = s.open();
  CHECK(s.write(a, "first").status == transport_status::ok);
  const auto shown = [&] {
    std::string all;
    for (const byte_view p : s.c.output()) all += tests::to_hex(p);
    return all;
  };
  const std::string before = shown();
  s.c.priority(b, 9);
  CHECK(s.write(b, "second").status == transport_status::ok);
  s.c.reset(a, 3);  // its frame is on its way: the reset says so
  const std::string after = shown();
  CHECK(after.starts_with(before));
  CHECK(after.substr(before.size()) ==
        "04"
        "04020305"
        "0a"
        "0e0600067365636f6e64");
  s.c.on_sent(s.sink, 3, s.now);
  CHECK(shown() == after.substr(6));
  s.c.on_sent(s.sink, 0, s.now);
  CHECK(shown() == after.substr(6));
}
TEST_CASE("QMux keeps large chunks by their owner and lets go when the socket has them") {
  counted o;
  {
    solo s;
    s.ready();
    const stream_id id = s.open();
    const chunk parts[] = {o.piece(0, 3), o.piece(3, 17'000), o.piece(17'003, 600)};
    CHECK(s.c.write(id, parts, false).status == transport_status::ok);
    CHECK(o.shares == 2);  // the three bytes were copied
    lines said;
    std::size_t pieces = 0;
    for (int i = 0; i < 2; ++i) {
      std::size_t n = 0;
      for (const byte_view p : s.c.output()) {
        n += p.size();
        pieces += p.size() >= 600 ? 1 : 0;
      }
      s.c.on_sent(s.sink, n, s.now);
    }
    CHECK(pieces == 3);  // 17,000 in two frames, and 600
    CHECK(s.c.output().empty());
    CHECK(o.shares == 0);
    CHECK(s.c.write(id, std::span(&parts[1], 1), false).status == transport_status::ok);
    CHECK(o.shares == 1);
    s.c.reset(id, 1);
    CHECK(o.shares == 0);
    CHECK(s.c.write(s.open(), std::span(&parts[1], 1), false).status == transport_status::ok);
  }
  CHECK(o.shares == 0);
}
TEST_CASE("many small writes become one QMux frame") {
  solo s;
  s.ready();
  const stream_id id = s.open();
  for (int i = 0; i < 1000; ++i) CHECK(s.write(id, "ab").status == transport_status::ok);
  CHECK(data_in(s.said()) == frames{{2, 2000}});
}

// ---- what the peer may send

TEST_CASE("QMux credit moves on as bytes are consumed, that of the connection at once") {
  auto c = solo::config_of(revision::qmux02);
  c.caps.max_data = 100;
  c.caps.max_stream_data = 20;
  solo s(c);
  s.ready();
  s.feed("0a03056162636465");
  CHECK(s.said().empty());
  s.c.consume(stream_id{3}, 5);  // five of twenty are not worth a word
  CHECK(s.said().empty());
  s.feed("0a030b6162636465666768696a6b");
  s.c.consume(stream_id{3}, 3);
  CHECK(s.said() == lines{"11031c"});  // 20 and the 8 that came back
  s.c.consume(stream_id{3}, 1000);     // no more than has come
  s.feed(
      "0a030d"
      "61616161616161616161616161");
  CHECK(s.c.fault() == qmux::fault::flow_control);
}
TEST_CASE("a QMux stream that nobody reads does not stop the others") {
  auto c = solo::config_of(revision::qmux02);
  c.caps.max_data = 30;
  c.caps.max_stream_data = 20;
  solo s(c);
  s.ready();
  s.feed("0a0314" + std::string(40, '6'));  // all of one stream, and nobody reads it
  CHECK(s.said() == lines{"1032"});         // 30 and 20
  for (int i = 1; i < 50; ++i) {
    const auto id = static_cast<std::uint8_t>(i);
    if (3 + 4 * i > 63) break;
    s.feed("0a" + tests::to_hex(std::vector<std::uint8_t>{static_cast<std::uint8_t>(3 + 4 * id)}) + "0a" +
           std::string(20, '6'));
    CHECK(!s.c.is_closed());
    s.said();
  }
  s.feed("0a030161");
  CHECK(s.c.fault() == qmux::fault::flow_control);
}
TEST_CASE("the final size of a reset counts in QMux as if it had come") {
  auto c = solo::config_of(revision::qmux02);
  c.caps.max_data = 100;
  c.caps.max_stream_data = 20;
  solo s(c);
  s.ready();
  s.feed(
      "0a0301"
      "61 04030714");
  CHECK(!s.c.is_closed());
  s.feed("04070715");
  CHECK(s.c.fault() == qmux::fault::flow_control);
  solo small(c);
  small.ready();
  small.feed("0a030361626304030700");  // released stacks say 0
  CHECK(small.heard() == lines{"open uni 3", "data 3 abc", "reset 3 7"});
  CHECK(!small.c.is_closed());
}
TEST_CASE("a QMux peer may open a stream for each that is over") {
  auto c = solo::config_of(revision::qmux02);
  c.caps.max_streams_uni = 3;
  c.caps.max_streams_bidi = 1;
  solo s(c);
  s.ready();
  s.feed(
      "0f0300"
      "00");
  CHECK(s.said().empty());
  s.feed(
      "0f0700"
      "00");
  CHECK(s.said() == lines{"1305"});
  s.feed("0f0b0000 0f0f0000");
  CHECK(s.said() == lines{"1307"});
  s.feed(
      "0f0100"
      "00");  // one direction of two
  CHECK(s.said().empty());
  CHECK(s.write(stream_id{1}, "", true).status == transport_status::ok);
  CHECK(s.said() == lines{"0f010000", "1202"});
}
TEST_CASE("QMux gives back the credit of a stream that was stopped") {
  auto c = solo::config_of(revision::qmux02);
  c.caps.max_stream_data = 20;
  solo s(c);
  s.ready();
  s.feed("0a0314" + std::string(40, '6'));
  s.said();
  s.c.stop(stream_id{3}, 0);
  CHECK(s.said() == lines{"050300", "110328"});
  for (int i = 0; i < 100; ++i) s.feed("0a030a" + std::string(20, '6'));
  CHECK(s.c.fault() == qmux::fault::flow_control);  // nobody told the peer more
  solo t(c);
  t.ready();
  t.feed(
      "0a0301"
      "61");
  t.c.stop(stream_id{3}, 0);
  for (int i = 0; i < 100; ++i) {
    t.feed("0a030a" + std::string(20, '6'));
    t.said();
  }
  CHECK(!t.c.is_closed());
}
TEST_CASE("QMux datagrams go one by one and not too large") {
  solo s;
  CHECK(s.c.max_datagram() == 0);
  s.ready("ff5153300d0a0d0a04 20024042");
  CHECK(s.c.max_datagram() == 63);  // of 66: a type, and a length of one byte
  const std::string d(64, 'd');
  const byte_view v{reinterpret_cast<const std::uint8_t*>(d.data()), 64};
  CHECK(s.c.datagram(v) == transport_status::too_large);
  CHECK(s.c.datagram(v.first(63)) == transport_status::ok);
  CHECK(s.c.datagram(v.first(0)) == transport_status::ok);
  const lines said = s.said();
  REQUIRE(said.size() == 2);
  CHECK(said[0].size() == 2 * 65);
  CHECK(said[1] == "3100");
  std::size_t taken = 0;
  while (s.c.datagram(v.first(1)) == transport_status::ok) ++taken;
  CHECK(taken == s.config.caps.datagrams_max);
  s.feed("30616263 ");
  s.feed("31036162 63");
  CHECK(s.heard() == lines{"datagram abc", "datagram abc"});
  solo old(revision::qmux00);
  old.ready();
  CHECK(old.c.datagram(v.first(1)) == transport_status::unsupported);
}
TEST_CASE("small parts of a large record do not keep all of it") {
  counted o;
  solo s;
  s.ready();
  o.data.assign(16'000, '\0');
  const auto small = tests::from_hex(
      "0a030361"
      "6263");
  std::copy(small.begin(), small.end(), o.data.begin());
  const auto large = tests::from_hex("0a0780002000");
  std::copy(large.begin(), large.end(), o.data.begin() + 100);
  {
    o.shares = 1;
    const auto record = bytes::adopt({reinterpret_cast<const std::uint8_t*>(o.data.data()), o.data.size()}, &o);
    struct keeper : testing::deaf_sink {
      std::vector<bytes> all;
      void on_data(stream_id, bytes data, bool, instant) noexcept { all.push_back(std::move(data)); }
    } k;
    s.c.on_message(k, record, true, s.now);
    REQUIRE(k.all.size() == 2);
    CHECK(k.all[0].text() == "abc");
    CHECK(k.all[0].held_by() != &o);
    CHECK(k.all[1].held_by() == &o);
  }
  CHECK(o.shares == 0);
}
