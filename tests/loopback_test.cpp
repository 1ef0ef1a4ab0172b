// The in-memory network: it must keep the promises of the transport contract and bend everything else.

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moql/adapter/loopback.hpp"

using namespace moql;

namespace {

struct received {
  direction dir{};
  bool opened = false;
  std::string data;
  std::size_t pieces = 0;
  std::size_t largest = 0;
  std::size_t unconsumed = 0;
  bool fin = false;
  bool reset = false;
  std::uint64_t code = 0;
  int stops = 0;
  std::uint64_t stop_code = 0;
  int writable = 0;
};

// Remembers what it is told and checks the order that every adapter must keep.
struct recorder {
  std::map<stream_id, received> streams;
  std::vector<stream_id> opened;
  std::vector<std::string> log;
  std::vector<std::string> datagrams;
  std::vector<bytes> kept;
  int credit_bidi = 0;
  int credit_uni = 0;
  bool closed = false;
  bool application = false;
  bool keep = false;
  std::uint64_t close_code = 0;
  std::string reason;
  instant last{};
  std::uint64_t broken = 0;  // promises of the network that were not kept

  void check(instant now) {
    broken += now < last || closed ? 1 : 0;
    last = now;
  }
  // Streams of our own are known without on_open.
  void own(stream_id id) { streams[id].opened = true; }
  received& at(stream_id id) {
    received& r = streams[id];
    broken += r.opened ? 0 : 1;
    return r;
  }
  void on_open(stream_id id, direction dir, instant now) noexcept {
    check(now);
    received& r = streams[id];
    broken += r.opened ? 1 : 0;
    r.opened = true;
    r.dir = dir;
    opened.push_back(id);
    log.push_back("open");
  }
  void on_data(stream_id id, bytes data, bool fin, instant now) noexcept {
    check(now);
    received& r = at(id);
    broken += r.fin || r.reset ? 1 : 0;
    broken += data.held_by() != nullptr || data.empty() ? 0 : 1;
    broken += data.empty() && !fin ? 1 : 0;
    r.data += data.text();
    r.unconsumed += data.size();
    ++r.pieces;
    if (data.size() > r.largest) r.largest = data.size();
    r.fin = fin;
    log.push_back(fin ? "fin" : "data");
    if (keep) kept.push_back(std::move(data));
  }
  void on_reset(stream_id id, std::uint64_t code, instant now) noexcept {
    check(now);
    received& r = at(id);
    broken += r.fin || r.reset ? 1 : 0;
    r.reset = true;
    r.code = code;
    log.push_back("reset");
  }
  void on_stop(stream_id id, std::uint64_t code, instant now) noexcept {
    check(now);
    received& r = at(id);
    ++r.stops;
    r.stop_code = code;
    log.push_back("stop");
  }
  void on_writable(stream_id id) noexcept {
    broken += closed ? 1 : 0;
    ++at(id).writable;
    log.push_back("writable");
  }
  void on_credit(direction dir) noexcept {
    broken += closed ? 1 : 0;
    ++(dir == direction::bidi ? credit_bidi : credit_uni);
    log.push_back("credit");
  }
  void on_datagram(bytes data, instant now) noexcept {
    check(now);
    datagrams.emplace_back(data.text());
  }
  void on_close(const close_info& why, instant now) noexcept {
    check(now);
    closed = true;
    application = why.application;
    close_code = why.code;
    reason = why.reason;
    log.push_back("close");
  }
};
static_assert(transport_sink<recorder>);

struct world {
  explicit world(const loopback_options& o = {}, memory m = {}) : net(o, m) {}
  loopback_network net;
  recorder a;
  recorder b;
  void run() {
    while (net.step(a, b)) {
    }
  }
  stream_id open(direction d) {
    const open_result r = net.a().open(d);
    REQUIRE(r.status == transport_status::ok);
    a.own(r.id);
    return r.id;
  }
  ~world() {
    CHECK(a.broken == 0);
    CHECK(b.broken == 0);
  }
};

chunk piece(std::string_view s, owner* o = nullptr) {
  return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size(), o};
}
template <class E>
write_result put(E& e, stream_id id, std::string_view s, bool fin = false) {
  const chunk c = piece(s);
  return e.write(id, {&c, 1}, fin);
}
byte_view view(std::string_view s) { return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()}; }

}  // namespace

TEST_CASE("stream ids are numbered as in QUIC") {
  world w;
  CHECK(w.open(direction::bidi) == stream_id{0});
  CHECK(w.open(direction::bidi) == stream_id{4});
  CHECK(w.open(direction::uni) == stream_id{2});
  CHECK(w.open(direction::uni) == stream_id{6});
  CHECK(w.net.b().open(direction::bidi).id == stream_id{1});
  CHECK(w.net.b().open(direction::uni).id == stream_id{3});
  CHECK(w.net.b().open(direction::uni).id == stream_id{7});
  CHECK(w.net.counters().streams_opened == 7);
  CHECK_FALSE(w.net.step(w.a, w.b));  // nothing was sent: the peer knows nothing
}

TEST_CASE("bytes arrive in order, once, behind on_open and with the end of the stream") {
  for (const std::size_t most : {1u, 3u, 1200u}) {
    loopback_options o;
    o.chunk_max = most;
    world w(o);
    const stream_id id = w.open(direction::bidi);
    CHECK(put(w.net.a(), id, "hello ").status == transport_status::ok);
    const chunk two[] = {piece("wor"), piece(""), piece("ld")};
    const auto r = w.net.a().write(id, two, true);
    CHECK(r.status == transport_status::ok);
    CHECK(r.accepted == 5);
    w.run();
    CHECK(w.b.opened == std::vector{id});
    CHECK(w.b.log.front() == "open");
    CHECK(w.b.log.back() == "fin");
    CHECK(w.b.streams[id].data == "hello world");
    CHECK(w.b.streams[id].largest <= most);
    // The other direction is still open, and the peer's own.
    CHECK(put(w.net.b(), id, "bye", true).status == transport_status::ok);
    w.run();
    CHECK(w.a.streams[id].data == "bye");
    CHECK(w.a.streams[id].fin);
    CHECK(w.net.open_streams() == 0);
    CHECK(w.net.counters().bytes_delivered == 14);
    CHECK(w.net.violations() == 0);
  }
}

TEST_CASE("a bare end of stream arrives without data") {
  world w;
  const stream_id id = w.open(direction::uni);
  CHECK(w.net.a().write(id, {}, true).status == transport_status::ok);
  w.run();
  CHECK(w.b.log == std::vector<std::string>{"open", "fin"});
  CHECK(w.b.streams[id].dir == direction::uni);
}

TEST_CASE("delays move the clock and keep the order of everything unless told otherwise") {
  loopback_options o;
  o.delay_min = milliseconds(5);
  o.delay_max = milliseconds(50);
  o.chunk_max = 1;
  world w(o);
  const stream_id first = w.open(direction::uni);
  const stream_id second = w.open(direction::uni);
  put(w.net.a(), first, "abcdefgh", true);
  put(w.net.a(), second, "ABCDEFGH", true);
  CHECK(w.net.next_due() >= instant{5'000});
  CHECK(w.net.now() == instant{0});
  const instant due = w.net.next_due();
  w.net.step(w.a, w.b);
  CHECK(w.net.now() == due);
  w.run();
  CHECK(w.b.last <= instant{50'000});
  CHECK(w.net.next_due() == never_due);
  CHECK(w.b.streams[first].data == "abcdefgh");
  CHECK(w.b.streams[second].data == "ABCDEFGH");
  std::size_t at = 0;
  while (w.b.log[at] != "fin") ++at;
  CHECK(w.b.log[at + 1] == "open");  // the second stream only after the first
  w.net.advance_to(instant{190'000});
  w.net.advance_to(instant{180'000});
  CHECK(w.net.now() == instant{190'000});
  const stream_id late = w.open(direction::uni);
  put(w.net.a(), late, "x");
  w.net.advance_to(instant{500'000});
  w.run();
  CHECK(w.b.last == instant{500'000});  // delivered late, not in the past
}

TEST_CASE("streams may overtake one another and still keep their own order") {
  loopback_options o;
  o.delay_max = milliseconds(50);
  o.reorder_streams = true;
  o.chunk_max = 4;
  bool overtaken = false;
  for (o.seed = 0; o.seed < 20; ++o.seed) {
    world w(o);
    std::vector<stream_id> ids;
    for (int i = 0; i < 8; ++i) {
      ids.push_back(w.open(direction::uni));
      put(w.net.a(), ids.back(), "0123456789", true);
    }
    w.run();
    for (const stream_id id : ids) CHECK(w.b.streams[id].data == "0123456789");
    overtaken = overtaken || w.b.opened != ids;
  }
  CHECK(overtaken);
}

TEST_CASE("a write that is not taken whole is blocked, and on_writable follows") {
  loopback_options o;
  o.write_max = 4;
  world w(o);
  const stream_id id = w.open(direction::uni);
  const std::string all = "0123456789";
  std::size_t sent = 0;
  int blocked = 0;
  for (;;) {
    const auto r = put(w.net.a(), id, std::string_view(all).substr(sent), true);
    sent += r.accepted;
    CHECK(r.accepted <= 4);
    if (r.status == transport_status::ok) break;
    REQUIRE(r.status == transport_status::blocked);
    ++blocked;
    w.run();
    CHECK(w.a.streams[id].writable == blocked);
    CHECK_FALSE(w.b.streams[id].fin);  // fin counts only when everything was taken
  }
  CHECK(blocked == 2);
  CHECK(w.net.counters().partial_writes == 2);
  w.run();
  CHECK(w.b.streams[id].data == all);
  CHECK(w.b.streams[id].fin);
}

TEST_CASE("a stream's window closes until the receiver consumes") {
  loopback_options o;
  o.stream_window = 10;
  world w(o);
  const stream_id id = w.open(direction::uni);
  const stream_id other = w.open(direction::uni);
  auto r = put(w.net.a(), id, "0123456789abcdef");
  CHECK(r.status == transport_status::blocked);
  CHECK(r.accepted == 10);
  w.run();
  CHECK(w.a.streams[id].writable == 0);
  CHECK(put(w.net.a(), id, "abcdef").accepted == 0);
  CHECK(put(w.net.a(), other, "free").status == transport_status::ok);  // windows are per stream
  w.net.b().consume(id, 3);
  w.net.b().consume(id, 1);
  w.run();
  CHECK(w.a.streams[id].writable == 1);
  r = put(w.net.a(), id, "abcdef");
  CHECK(r.accepted == 4);
  w.run();
  w.net.b().consume(id, 10);
  w.run();
  CHECK(put(w.net.a(), id, "ef").status == transport_status::ok);
  w.run();
  CHECK(w.b.streams[id].data == "0123456789abcdef");
  CHECK(w.net.violations() == 0);
  w.net.b().consume(id, 3);
  CHECK(w.net.violations() == 1);
  CHECK(w.net.last_violation() == "more consumed than was delivered");
}

TEST_CASE("the connection's window opens again on delivery, for every stream that waits") {
  loopback_options o;
  o.connection_window = 10;
  world w(o);
  const stream_id first = w.open(direction::uni);
  const stream_id second = w.open(direction::uni);
  CHECK(put(w.net.a(), first, "01234567").status == transport_status::ok);
  CHECK(put(w.net.a(), second, "01234567").accepted == 2);
  CHECK(put(w.net.a(), second, "234567").accepted == 0);
  CHECK(put(w.net.a(), first, "89").accepted == 0);
  w.run();
  CHECK(w.a.streams[first].writable == 1);
  CHECK(w.a.streams[second].writable == 1);
  CHECK(put(w.net.a(), second, "234567").status == transport_status::ok);
  CHECK(put(w.net.a(), first, "89").status == transport_status::ok);
  w.run();
  CHECK(w.b.streams[first].data == "0123456789");
  CHECK(w.b.streams[second].data == "01234567");
}

TEST_CASE("the connection's credit comes back for data that a reset makes void") {
  loopback_options o;
  o.connection_window = 100;
  o.chunk_max = 7;
  o.reorder_streams = true;
  o.delay_max = milliseconds(9);
  const std::string block(100, 'x');
  for (o.seed = 0; o.seed < 20; ++o.seed) {
    world w(o);
    for (int i = 0; i < 10; ++i) {
      const stream_id id = w.open(direction::uni);
      CHECK(put(w.net.a(), id, block).status == transport_status::ok);
      w.net.a().reset(id, 5);
      w.run();
      CHECK(w.b.streams[id].reset);
      CHECK(w.b.streams[id].code == 5);
    }
    CHECK(w.net.open_streams() == 0);
  }
}

TEST_CASE("streams are limited per direction and give their credit back when both sides are over") {
  loopback_options o;
  o.streams_bidi = 1;
  o.streams_uni = 2;
  world w(o);
  const stream_id request = w.open(direction::bidi);
  w.open(direction::uni);
  const stream_id group = w.open(direction::uni);
  CHECK(w.net.a().open(direction::bidi).status == transport_status::blocked);
  CHECK(w.net.a().open(direction::uni).status == transport_status::blocked);
  CHECK(w.net.b().open(direction::bidi).status == transport_status::ok);  // the peer has its own
  put(w.net.a(), request, "?", true);
  put(w.net.a(), group, "data", true);
  w.run();
  CHECK(w.a.credit_uni == 1);
  CHECK(w.a.credit_bidi == 0);  // the answer is missing
  put(w.net.b(), request, "!", true);
  w.run();
  CHECK(w.a.credit_bidi == 1);
  CHECK(w.open(direction::bidi) == stream_id{4});
  CHECK(w.open(direction::uni) == stream_id{10});
  CHECK(w.net.violations() == 0);
}

TEST_CASE("datagrams are lost and doubled as often as asked, and never cut") {
  loopback_options o;
  o.datagram_loss_percent = 20;
  o.datagram_duplicate_percent = 10;
  o.reorder_streams = true;
  o.delay_max = milliseconds(10);
  world w(o);
  for (int i = 0; i < 2000; ++i)
    REQUIRE(w.net.a().datagram(view("datagram " + std::to_string(i))) == transport_status::ok);
  w.run();
  const auto& c = w.net.counters();
  CHECK(c.datagrams_sent == 2000);
  CHECK(c.datagrams_lost > 300);
  CHECK(c.datagrams_lost < 500);
  CHECK(c.datagrams_duplicated > 100);
  CHECK(c.datagrams_duplicated < 220);
  CHECK(c.datagrams_delivered == 2000 - c.datagrams_lost + c.datagrams_duplicated);
  CHECK(w.b.datagrams.size() == c.datagrams_delivered);
  bool whole = true;
  bool reordered = false;
  int last = 0;
  for (const std::string& d : w.b.datagrams) {
    whole = whole && d.starts_with("datagram ");
    const int n = std::stoi(d.substr(9));
    reordered = reordered || n < last;
    last = n;
  }
  CHECK(whole);
  CHECK(reordered);
}

TEST_CASE("a datagram that cannot be sent is refused with the reason") {
  world w;
  CHECK(w.net.a().max_datagram() == 1200);
  CHECK(w.net.a().datagram(view(std::string(1200, 'x'))) == transport_status::ok);
  CHECK(w.net.a().datagram(view(std::string(1201, 'x'))) == transport_status::too_large);
  loopback_options o;
  o.max_datagram = 0;
  world none(o);
  CHECK(none.net.a().max_datagram() == 0);
  CHECK(none.net.a().datagram(view("x")) == transport_status::unsupported);
}

TEST_CASE("a reset ends the stream at the peer with its code, and is idempotent") {
  world w;
  const stream_id id = w.open(direction::bidi);
  put(w.net.a(), id, "request");
  w.run();
  w.net.a().reset(id, 7);
  w.net.a().reset(id, 8);
  w.run();
  CHECK(w.b.streams[id].reset);
  CHECK(w.b.streams[id].code == 7);
  CHECK(w.net.open_streams() == 1);  // the peer's own direction
  w.net.b().reset(id, 9);
  w.run();
  CHECK(w.a.streams[id].code == 9);
  CHECK(w.net.open_streams() == 0);
  w.net.a().reset(id, 1);  // still legal when nothing is left of the stream
  w.net.a().stop(id, 1);
  w.net.a().consume(id, 5);
  CHECK_FALSE(w.net.step(w.a, w.b));
  CHECK(w.net.violations() == 0);
}

TEST_CASE("a stream that is reset before anything was written is announced first") {
  world w;
  const stream_id id = w.open(direction::uni);
  w.net.a().reset(id, 3);
  w.run();
  CHECK(w.b.log == std::vector<std::string>{"open", "reset"});
  CHECK(w.b.streams[id].code == 3);
}

TEST_CASE("STOP_SENDING only tells the sender, who answers with a reset") {
  world w;
  const stream_id id = w.open(direction::uni);
  put(w.net.a(), id, "data");
  w.run();
  w.net.b().stop(id, 11);
  w.net.b().stop(id, 12);
  w.run();
  CHECK(w.a.streams[id].stops == 1);
  CHECK(w.a.streams[id].stop_code == 11);
  CHECK_FALSE(w.b.streams[id].reset);
  CHECK(put(w.net.a(), id, "more").status == transport_status::ok);
  w.net.a().reset(id, 11);
  w.run();
  CHECK(w.b.streams[id].reset);
  CHECK(w.net.open_streams() == 0);
  CHECK(w.net.violations() == 0);
}

TEST_CASE("some stacks answer STOP_SENDING themselves; the session's reset is then one too many and harmless") {
  loopback_options o;
  o.auto_reset_on_stop = true;
  world w(o);
  const stream_id id = w.open(direction::uni);
  put(w.net.a(), id, "data");
  w.run();
  w.net.b().stop(id, 11);
  w.run();
  CHECK(w.a.streams[id].stops == 1);
  CHECK(w.b.streams[id].reset);
  CHECK(w.b.streams[id].code == 11);
  CHECK(put(w.net.a(), id, "more").status == transport_status::closed);
  w.net.a().reset(id, 1);
  w.run();
  CHECK(w.net.open_streams() == 0);
  CHECK(w.net.violations() == 0);
}

TEST_CASE("a stop for a stream that has ended meanwhile is not heard") {
  world w;
  const stream_id id = w.open(direction::uni);
  put(w.net.a(), id, "data", true);
  w.net.b().stop(id, 1);  // in flight together with the end
  w.run();
  CHECK(w.a.streams[id].stops <= 1);
  CHECK(w.net.violations() == 0);
  const stream_id second = w.open(direction::uni);
  put(w.net.a(), second, "data", true);
  w.run();
  w.net.b().stop(second, 1);
  w.run();
  CHECK(w.a.streams[second].stops == 0);
}

TEST_CASE("an injected reset is seen by both ends and by the writer") {
  loopback_options o;
  o.reset_percent = 100;
  o.reset_code = 77;
  world w(o);
  const stream_id id = w.open(direction::bidi);
  const auto r = put(w.net.a(), id, "request");
  CHECK(r.status == transport_status::closed);
  CHECK(r.accepted == 0);
  w.run();
  CHECK(w.net.counters().resets_injected == 1);
  CHECK(w.b.streams[id].reset);
  CHECK(w.b.streams[id].code == 77);
  CHECK(w.b.streams[id].stops == 1);
  CHECK(w.a.streams[id].reset);
  CHECK(w.net.open_streams() == 1);  // the server has yet to answer its stop
  w.net.b().reset(id, 1);
  CHECK(w.net.open_streams() == 0);
  CHECK(w.net.violations() == 0);
  CHECK(put(w.net.a(), id, "again").status == transport_status::closed);
  CHECK(w.net.violations() == 1);
}

TEST_CASE("a lost connection is heard by both sides, once, and nothing comes after it") {
  world w;
  const stream_id id = w.open(direction::uni);
  put(w.net.a(), id, "lost");
  w.net.cut(42);
  CHECK(put(w.net.a(), id, "more").status == transport_status::closed);
  CHECK(w.net.a().open(direction::uni).status == transport_status::closed);
  CHECK(w.net.a().datagram(view("x")) == transport_status::closed);
  CHECK(w.net.violations() == 0);  // nobody has been told yet
  w.run();
  for (const recorder* r : {&w.a, &w.b}) {
    CHECK(r->closed);
    CHECK_FALSE(r->application);
    CHECK(r->close_code == 42);
  }
  CHECK(w.b.opened.empty());
  CHECK(put(w.net.a(), id, "more").status == transport_status::closed);
  CHECK(w.net.violations() == 1);
  w.net.cut(43);
  CHECK_FALSE(w.net.step(w.a, w.b));
}

TEST_CASE("an application close arrives behind what was sent before, at the peer only") {
  loopback_options o;
  o.delay_max = milliseconds(50);
  o.reorder_streams = true;
  for (o.seed = 0; o.seed < 20; ++o.seed) {
    world w(o);
    const stream_id id = w.open(direction::uni);
    put(w.net.a(), id, "last words", true);
    {
      std::string reason = "done";
      w.net.a().close(3, reason);
      reason = "gone";  // the text was the caller's
    }
    put(w.net.b(), w.net.b().open(direction::uni).id, "too late");
    w.run();
    CHECK(w.b.streams[id].data == "last words");
    CHECK(w.b.streams[id].fin);
    CHECK(w.b.closed);
    CHECK(w.b.application);
    CHECK(w.b.close_code == 3);
    CHECK(w.b.reason == "done");
    CHECK(w.a.log.empty());  // nothing is called after close
    CHECK(w.net.violations() == 0);
    CHECK(w.net.a().open(direction::uni).status == transport_status::closed);
    CHECK(w.net.violations() == 1);
  }
}

TEST_CASE("broken promises of a caller are counted with a text") {
  world w;
  const stream_id id = w.open(direction::uni);
  put(w.net.a(), id, "x", true);
  CHECK(put(w.net.a(), id, "y").status == transport_status::closed);
  CHECK(w.net.last_violation() == "write after fin or reset");
  CHECK(put(w.net.b(), id, "y").status == transport_status::closed);
  CHECK(w.net.last_violation() == "write to a stream that is over or only receives");
  CHECK(put(w.net.a(), stream_id{400}, "y").status == transport_status::closed);
  w.net.a().reset(stream_id{404}, 1);
  w.net.b().stop(stream_id{404}, 1);
  w.net.b().consume(stream_id{404}, 1);
  CHECK(w.net.last_violation() == "an id that no stream ever had");
  CHECK(w.net.violations() == 6);

  struct eager : recorder {
    loopback_network* net = nullptr;
    void on_data(stream_id s, bytes, bool, instant) noexcept { net->b().consume(s, 1); }
  } b;
  b.net = &w.net;
  while (w.net.step(w.a, b)) {
  }
  CHECK(w.net.last_violation() == "an operation from inside an event");
}

TEST_CASE("priority hints, statistics and the protocol are handed through") {
  loopback_options o;
  o.protocol = "moq-lite-04";
  o.stats.rtt_us = 1234;
  world w(o);
  const stream_id id = w.open(direction::uni);
  CHECK(w.net.a().priority_of(id) == 0);
  w.net.a().priority(id, 99);
  CHECK(w.net.a().priority_of(id) == 99);
  CHECK(w.net.b().priority_of(id) == 0);
  CHECK(w.net.b().protocol() == "moq-lite-04");
  CHECK(w.net.a().stats().rtt_us == 1234);
}

namespace {
struct counted_owner : owner {
  int shares = 1;
  counted_owner()
      : owner{[](owner* o) noexcept { ++static_cast<counted_owner*>(o)->shares; },
              [](owner* o) noexcept { --static_cast<counted_owner*>(o)->shares; }} {}
};
}  // namespace

TEST_CASE("held payload arrives as the sender's own memory, everything else as a copy") {
  for (const bool hold : {true, false}) {
    loopback_options o;
    o.hold_payload = hold;
    o.chunk_min = 4;
    o.chunk_max = 8;
    counted_owner mine;
    const std::string payload = "a payload of some length";
    {
      world w(o);
      w.b.keep = true;
      const stream_id id = w.open(direction::uni);
      const chunk chunks[] = {piece("head"), piece(payload, &mine)};
      CHECK(w.net.a().write(id, chunks, true).status == transport_status::ok);
      w.run();
      CHECK(w.b.streams[id].data == "head" + payload);
      CHECK((mine.shares > 1) == hold);
      std::size_t shared = 0;
      for (const bytes& k : w.b.kept)
        if (k.held_by() == &mine) {
          shared += k.size();
          CHECK(k.data() >= reinterpret_cast<const std::uint8_t*>(payload.data()));
        }
      CHECK(shared == (hold ? payload.size() : 0));
    }
    CHECK(mine.shares == 1);
  }
}

TEST_CASE("what was received may outlive the network") {
  std::vector<bytes> kept;
  {
    world w;
    w.b.keep = true;
    const stream_id id = w.open(direction::uni);
    put(w.net.a(), id, std::string(1000, 'k'), true);
    w.run();
    kept = std::move(w.b.kept);
  }
  std::string all;
  for (const bytes& k : kept) all += k.text();
  CHECK(all == std::string(1000, 'k'));
}

namespace {

// Both sides open streams and write numbered bytes until everything has been sent, with every habit switched on.
struct soak {
  loopback_options options;
  world w;
  std::mt19937 random;
  struct outgoing {
    unsigned side;
    stream_id id;
    std::size_t size;
    std::size_t sent = 0;
    bool blocked = false;
    bool over = false;
  };
  std::vector<outgoing> out;
  std::size_t finished = 0;

  static loopback_options habits(unsigned seed) {
    std::mt19937 r(seed);
    const auto dice = [&r](unsigned n) { return static_cast<unsigned>(r()) % n; };
    loopback_options o;
    o.seed = seed;
    o.chunk_max = dice(3) == 0 ? 1 : 1 + dice(300);
    o.delay_min = microseconds(dice(2) * 100);
    o.delay_max = microseconds(dice(5000));
    o.reorder_streams = dice(2) == 0;
    o.write_max = dice(3) == 0 ? 1 + dice(50) : 0;
    o.stream_window = dice(2) == 0 ? 1 + dice(200) : 0;
    o.connection_window = dice(2) == 0 ? 1 + dice(500) : 0;
    o.streams_bidi = 1 + dice(5);
    o.streams_uni = 1 + dice(5);
    o.reset_percent = dice(3) == 0 ? 2 : 0;
    o.hold_payload = dice(2) == 0;
    o.auto_reset_on_stop = dice(2) == 0;
    return o;
  }
  explicit soak(unsigned seed) : options(habits(seed)), w(options), random(seed) {}
  unsigned dice(unsigned n) { return static_cast<unsigned>(random()) % n; }
  loopback_network::endpoint& end(unsigned side) { return side == 0 ? w.net.a() : w.net.b(); }
  recorder& sink(unsigned side) { return side == 0 ? w.a : w.b; }
  static char byte_at(stream_id id, unsigned side, std::size_t i) {
    return static_cast<char>((static_cast<std::uint64_t>(id) * 31 + side * 7 + i * 13) & 0xff);
  }

  void write(outgoing& s) {
    std::string text;
    const std::size_t n = s.size - s.sent < 100 ? s.size - s.sent : 1 + dice(100);
    for (std::size_t i = 0; i < n; ++i) text.push_back(byte_at(s.id, s.side, s.sent + i));
    const bytes owned = bytes::copy(text);
    const chunk c{owned.data(), owned.size(), dice(2) == 0 ? owned.held_by() : nullptr};
    const bool fin = s.sent + n == s.size;
    const auto r = end(s.side).write(s.id, {&c, 1}, fin);
    s.sent += r.accepted;
    s.blocked = r.status == transport_status::blocked;
    s.over = r.status == transport_status::closed || (r.status == transport_status::ok && fin);
  }
  void run() {
    int to_open = 60;
    for (int quiet = 0; quiet < 3;) {
      if (to_open > 0) {
        const unsigned side = dice(2);
        const direction d = dice(2) == 0 ? direction::uni : direction::bidi;
        if (const auto r = end(side).open(d); r.status == transport_status::ok) {
          --to_open;
          sink(side).own(r.id);
          out.push_back({.side = side, .id = r.id, .size = dice(1500)});
        }
      }
      for (unsigned side = 0; side < 2; ++side) {  // answer every request that is new
        recorder& s = sink(side);
        for (; answered[side] < s.opened.size(); ++answered[side]) {
          const stream_id id = s.opened[answered[side]];
          if (s.streams[id].dir == direction::bidi) out.push_back({.side = side, .id = id, .size = dice(1500)});
        }
        for (auto& [id, r] : s.streams) {
          if (r.unconsumed != 0 && dice(2) == 0) end(side).consume(id, std::exchange(r.unconsumed, 0));
          if (dice(500) == 0 && !r.data.empty()) end(side).stop(id, 9);
        }
      }
      for (outgoing& s : out) {
        received& r = sink(s.side).streams[s.id];
        if (r.writable != 0) s.blocked = false, r.writable = 0;
        if (r.stops != 0 && !s.over) {
          end(s.side).reset(s.id, 1);
          s.over = true;
        }
        if (!s.over && !s.blocked && dice(2) == 0) write(s);
      }
      bool moved = false;
      for (unsigned i = 1 + dice(20); i != 0; --i) moved = w.net.step(w.a, w.b) || moved;
      bool done = to_open == 0 && !moved;
      for (const outgoing& s : out) done = done && s.over;
      for (unsigned side = 0; side < 2; ++side)
        for (const auto& [id, r] : sink(side).streams) done = done && r.unconsumed == 0;
      quiet = done ? quiet + 1 : 0;
      REQUIRE(++rounds < 100'000);
    }
    for (const outgoing& s : out) {
      const received& r = sink(1 - s.side).streams[s.id];
      bool same = r.data.size() <= s.size;
      for (std::size_t i = 0; i < r.data.size(); ++i) same = same && r.data[i] == byte_at(s.id, s.side, i);
      CHECK(same);
      CHECK((r.reset || (r.fin && r.data.size() == s.size)));
      finished += r.fin ? 1 : 0;
    }
    CHECK(w.net.open_streams() == 0);
    CAPTURE(std::string(w.net.last_violation()));
    CHECK(w.net.violations() == 0);
    CHECK(w.net.in_flight() == 0);
  }
  std::size_t answered[2] = {0, 0};
  int rounds = 0;
};

}  // namespace

TEST_CASE("with every habit at once each stream keeps its bytes, and the same seed gives the same trace") {
  std::uint64_t last = 0;
  std::size_t finished = 0;
  for (unsigned seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    soak first(seed);
    first.run();
    soak second(seed);
    second.run();
    CHECK(first.w.net.trace() == second.w.net.trace());
    CHECK(first.w.net.now() == second.w.net.now());
    CHECK(first.w.net.trace() != last);
    last = first.w.net.trace();
    finished += first.finished;
  }
  CHECK(finished > 2000);
}

TEST_CASE("a warm network does not allocate, and everything comes back") {
  struct counted {
    std::size_t requests = 0;
    std::ptrdiff_t out = 0;
  } count;
  memory_source m;
  m.context = &count;
  m.take = [](void* c, std::size_t n) noexcept -> void* {
    ++static_cast<counted*>(c)->requests;
    ++static_cast<counted*>(c)->out;
    return std::malloc(n);
  };
  m.give = [](void* c, void* block, std::size_t) noexcept {
    --static_cast<counted*>(c)->out;
    std::free(block);
  };
  {
    loopback_options o;
    o.stream_window = 4000;
    o.connection_window = 3000;
    o.chunk_min = o.chunk_max = 700;  // drawn sizes would now and then want a size of buffer for the first time
    loopback_network net(o, {&m});
    struct quiet {
      std::size_t got = 0;
      void on_open(stream_id, direction, instant) noexcept {}
      void on_data(stream_id, bytes d, bool, instant) noexcept { got += d.size(); }
      void on_reset(stream_id, std::uint64_t, instant) noexcept {}
      void on_stop(stream_id, std::uint64_t, instant) noexcept {}
      void on_writable(stream_id) noexcept {}
      void on_credit(direction) noexcept {}
      void on_datagram(bytes d, instant) noexcept { got += d.size(); }
      void on_close(const close_info&, instant) noexcept {}
    } a, b;
    const std::string block(2000, 'x');
    std::size_t warm = 0;
    for (int i = 0; i < 2000; ++i) {
      if (i == 1000) warm = count.requests;
      const stream_id id = net.a().open(direction::uni).id;
      const stream_id request = net.b().open(direction::bidi).id;
      put(net.a(), id, block);
      put(net.b(), request, "?", true);
      net.a().datagram(view("datagram"));
      while (net.step(a, b)) {
      }
      net.b().consume(id, block.size());
      put(net.a(), id, block, true);
      put(net.a(), request, "!", true);
      while (net.step(a, b)) {
      }
    }
    CHECK(count.requests == warm);
    CHECK(net.violations() == 0);
    CHECK(a.got == 2000);
    CHECK(b.got == 2000 * (4000 + 1 + 8));
  }
  CHECK(count.out == 0);
}

TEST_CASE("a network without memory counts that and stays whole") {
  struct limited {
    std::size_t left;
  };
  for (std::size_t allowed = 0; allowed < 40; ++allowed) {
    limited l{allowed};
    memory_source m;
    m.context = &l;
    m.take = [](void* c, std::size_t n) noexcept -> void* {
      return static_cast<limited*>(c)->left-- == 0 ? (static_cast<limited*>(c)->left = 0, nullptr) : std::malloc(n);
    };
    world w({}, {&m});
    for (int i = 0; i < 20; ++i) {
      const auto r = w.net.a().open(direction::uni);
      if (r.status != transport_status::ok) continue;
      w.a.own(r.id);
      put(w.net.a(), r.id, "data", true);
      w.net.a().datagram(view("datagram"));
      if (i % 5 == 0) w.run();
    }
    w.net.b().close(1, "enough");
    w.run();
  }
}
