/// How a QMux connection ends and what it does in time: both closes, pings, timers, memory that runs out.

#include "counting_memory.hpp"
#include "qmux_pair.hpp"
#include "qmux_solo.hpp"

using namespace moql;
using qmux::carrier;
using qmux::revision;
using qmux::wish;
using testing::hex;
using testing::lines;
using testing::solo;
using testing::with_parameters;

// ---- the end

TEST_CASE("closing a QMux connection drops what waits, says the code and then wishes for the end") {
  for (const revision r : with_parameters) {
    solo s(r);
    s.ready();
    (void)s.write(s.open(), "lost");
    s.c.close(16, "done");
    CHECK(s.c.is_closed());
    CHECK(s.c.wish() == wish::keep);
    CHECK(s.said() == lines{"1d1004" + hex("done")});
    CHECK(s.c.wish() == wish::finish);
    s.feed(
        "0e0300"
        "0161");  // what still comes is nobody's
    s.wait(seconds(3));
    CHECK(s.c.wish() == wish::drop);
    CHECK(s.c.next_deadline() == never_due);
    CHECK(s.heard().empty());
    CHECK(s.c.open(direction::uni).status == transport_status::closed);
  }
  solo old(revision::webtransport);
  old.c.close(16, "done");
  CHECK(old.said() == lines{"1d10" + hex("done")});
}
TEST_CASE("a socket that takes nothing is not waited for after a close") {
  solo s;
  s.ready();
  s.c.close(1, "");
  CHECK(s.c.wish() == wish::keep);
  s.wait(seconds(3));
  CHECK(s.c.wish() == wish::drop);
  CHECK(s.said().empty());
}
TEST_CASE("the peer's QMux close is told once and ends the connection as its revision has it") {
  const auto end = [](revision r, carrier over, std::string_view frame) {
    auto c = solo::config_of(r);
    c.over = over;
    solo s(c);
    std::string list = solo::generous;
    const bool is_sized = over == carrier::byte_stream && qmux::has_records(r);
    s.said();
    s.feed((is_sized ? "33" : "") + list);
    s.feed(frame);
    CHECK(s.said().empty());
    CHECK(s.heard().size() == 1);
    const wish w = s.c.wish();
    s.c.on_transport_closed(s.sink, s.now);
    CHECK(s.heard().empty());
    CHECK(s.c.wish() == wish::drop);
    return w;
  };
  CHECK(end(revision::qmux02, carrier::byte_stream, "06 1d2a03627965") == wish::finish);
  CHECK(end(revision::qmux01, carrier::byte_stream, "06 1d2a03627965") == wish::drop);
  CHECK(end(revision::qmux00, carrier::byte_stream, "1d2a03627965") == wish::drop);
  CHECK(end(revision::qmux01, carrier::messages, "1d2a03627965") == wish::finish);  // the WebSocket Close
  solo s;
  s.ready();
  s.feed("1c43ea0003626164");
  CHECK(s.heard() == lines{"closed 1002 bad"});
  solo a;
  a.ready();
  a.feed("1d2a03627965");
  CHECK(a.heard() == lines{"closed by application 42 bye"});
  solo old(revision::webtransport);
  old.feed("1d2a627965");
  CHECK(old.heard() == lines{"closed by application 42 bye"});
}
TEST_CASE("a socket that breaks is the end of a QMux connection") {
  solo s;
  s.ready();
  s.c.on_transport_closed(s.sink, s.now);
  s.c.on_transport_closed(s.sink, s.now);
  CHECK(s.heard() == lines{"closed 0 the connection ended"});
  CHECK(s.said().empty());
  CHECK(s.c.wish() == wish::drop);
}

// ---- time

TEST_CASE("QMux pings are answered, and of too many the newest") {
  auto c = solo::config_of(revision::qmux02);
  c.caps.pongs_max = 2;
  solo s(c);
  s.ready();
  s.feed("f48c67529ef8c7bd05");
  CHECK(s.said() == lines{"f48c67529ef8c7be05"});
  s.feed("f48c67529ef8c7bd06 f48c67529ef8c7bd07 f48c67529ef8c7bd08 f48c67529ef8c7bd09");
  CHECK(s.said() == lines{"f48c67529ef8c7be06", "f48c67529ef8c7be09"});
}
TEST_CASE("QMux pings when it has said nothing for a third of the idle timeout, and measures the round trip") {
  solo s;
  s.ready("ff5153300d0a0d0a04 01024384");  // 900 ms
  CHECK(s.c.stats().rtt_us == 0);
  CHECK(s.c.next_deadline() == s.now + milliseconds(300));
  s.wait(milliseconds(300));
  CHECK(s.said() == lines{"f48c67529ef8c7bd00"});
  s.now = s.now + milliseconds(20);
  s.feed("f48c67529ef8c7be00");
  CHECK(s.c.stats().rtt_us == 20'000);
  s.feed("f48c67529ef8c7be00");  // twice says nothing new
  s.wait(milliseconds(280));
  CHECK(s.said() == lines{"f48c67529ef8c7bd01"});
  s.now = s.now + milliseconds(12);
  s.feed("f48c67529ef8c7be01");
  CHECK(s.c.stats().rtt_us == 19'000);
  CHECK(s.c.stats().min_rtt_us == 12'000);
}
TEST_CASE("QMux measures the round trip as often as it is told, whatever else is sent") {
  auto c = solo::config_of(revision::qmux01);
  c.caps.ping_interval = seconds(1);
  solo s(c);
  s.ready();
  const stream_id id = s.open();
  for (int i = 0; i < 3; ++i) {
    s.wait(milliseconds(900));
    CHECK(s.write(id, "x").status == transport_status::ok);
    CHECK(s.said().size() == 1);
    s.wait(milliseconds(100));
    const auto n = static_cast<char>('0' + i);
    CHECK(s.said() == lines{std::string("f48c67529ef8c7bd0") + n});
    s.feed(std::string("f48c67529ef8c7be0") + n);
    CHECK(s.c.stats().rtt_us == 1);  // at once; 0 would mean that it is not known
  }
}
TEST_CASE("a QMux peer that is silent for the idle timeout is gone, without a word") {
  for (const revision r : {revision::qmux01, revision::qmux02}) {
    auto c = solo::config_of(r);
    c.over = carrier::byte_stream;
    solo s(c);
    s.said();
    s.feed("0d ff5153300d0a0d0a04 01024384");
    for (int i = 0; i < 12; ++i) {
      s.wait(milliseconds(100));
      s.said();  // pings, which do not keep alive what does not answer
    }
    CHECK(s.c.is_closed());
    CHECK(s.heard() == lines{"closed 0 idle timeout"});
    CHECK(s.said().empty());
    CHECK(s.c.wish() == (r == revision::qmux02 ? wish::finish : wish::drop));
  }
}
TEST_CASE("qmux-00 has no pings: padding keeps it alive, and silence is no end") {
  solo s(revision::qmux00);
  s.ready("ff5153300d0a0d0a04 01024384");
  s.wait(milliseconds(300));
  CHECK(s.said() == lines{"00"});
  s.wait(seconds(100));
  CHECK(!s.c.is_closed());
}
TEST_CASE("two idle QMux connections keep one another alive") {
  auto o = testing::qmux_pair::alike(revision::qmux02, carrier::byte_stream);
  o.a.caps.idle_timeout = seconds(3);
  testing::qmux_pair p(o);
  p.shake_hands();
  testing::log_sink a, b;
  const instant until = p.now() + seconds(60);
  while (p.wait(a, b, until))
    while (p.step(a, b)) {
    }
  CHECK(p.now() + seconds(2) > until);
  CHECK(a.lines.empty());
  CHECK(b.lines.empty());
  CHECK(p.a().stats().rtt_us + p.b().stats().rtt_us > 0);  // one pings, the other answers
}

// ---- memory

TEST_CASE("when memory runs out anywhere a QMux connection ends, and nothing leaks") {
  for (const revision r : {revision::webtransport, revision::qmux00, revision::qmux01, revision::qmux02})
    for (std::size_t allowed = 0; allowed < 60; ++allowed) {
      counting_memory m;
      m.allowed = allowed;
      {
        auto c = solo::config_of(r);
        c.protocol = "moq-lite-06";
        solo s(c, m.get());
        s.said();
        if (qmux::has_parameters(r)) s.feed(solo::generous);
        const std::string much(20'000, 'x');
        for (int i = 0; i < 10; ++i) {
          const auto o = s.c.open(direction::bidi);
          if (o.status == transport_status::ok) (void)s.write(o.id, much, true);
          (void)s.c.datagram({reinterpret_cast<const std::uint8_t*>(much.data()), 100});
          s.feed(qmux::has_parameters(r) ? "0b01056162636465" : "08016162636465");
          s.feed("04030700");
          s.said();
          if (s.c.next_deadline() <= s.now) s.c.on_deadline(s.sink, s.now);
        }
        int ends = 0;
        for (const std::string& l : s.heard()) ends += l.starts_with("closed") ? 1 : 0;
        CHECK(ends == (s.c.is_closed() ? 1 : 0));
      }
      CHECK(m.out.empty());
      CHECK(m.sizes_match);
    }
}
