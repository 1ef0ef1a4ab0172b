#pragma once
/// What every adapter owes the session, as a suite: it runs on anything that joins two transports.
///
/// A link is one connection: `a()` and `b()` are its transports, `step(sink_a, sink_b)` delivers the next event to
/// its side and is false when nothing is in flight. The suite makes a new link for each question.

#include <doctest/doctest.h>

#include <moql/adapter/transport.hpp>

#include <array>
#include <map>
#include <string>
#include <vector>

namespace testing::conformance {

using namespace moql;

/// Notes down what a side hears and counts the adapter's broken promises.
struct listener {
  struct stream {
    std::string data{};
    std::size_t unread = 0;
    bool fin = false;
    int resets = 0, stops = 0, writable = 0;
    std::uint64_t reset_code = 0, stop_code = 0;
  };
  std::map<stream_id, stream> streams;
  std::vector<stream_id> opened;
  int closes = 0;
  std::uint64_t close_code = 0;
  std::string reason;
  std::size_t broken = 0;

  stream& at(stream_id id) {
    if (closes != 0 || streams.count(id) == 0) ++broken;
    return streams[id];
  }
  void on_open(stream_id id, direction, instant) noexcept {
    if (closes != 0 || streams.count(id) != 0) ++broken;
    streams[id];
    opened.push_back(id);
  }
  void on_data(stream_id id, bytes data, bool fin, instant) noexcept {
    stream& s = at(id);
    if (s.fin || s.resets != 0 || (data.empty() && !fin)) ++broken;
    s.data += data.text();
    s.unread += data.size();
    s.fin = fin;
  }
  void on_reset(stream_id id, std::uint64_t code, instant) noexcept {
    stream& s = at(id);
    if (s.fin || s.resets != 0) ++broken;
    ++s.resets;
    s.reset_code = code;
  }
  void on_stop(stream_id id, std::uint64_t code, instant) noexcept {
    stream& s = at(id);
    ++s.stops;
    s.stop_code = code;
  }
  void on_writable(stream_id id) noexcept { ++at(id).writable; }
  void on_credit(direction) noexcept {}
  void on_datagram(bytes, instant) noexcept {}
  void on_close(const close_info& why, instant) noexcept {
    ++closes;
    close_code = why.code;
    reason = why.reason;
  }
};
static_assert(transport_sink<listener>);

template <class Link>
struct bench {
  Link& link;
  listener a{}, b{};

  /// Runs until nothing is in flight. Reading may be put off, as by an application that is busy.
  void run(bool reads = true) {
    do {
      if (!reads) continue;
      read(a, link.a());
      read(b, link.b());
    } while (link.step(a, b));
  }
  stream_id open(direction d) {
    const open_result r = link.a().open(d);
    REQUIRE(r.status == transport_status::ok);
    a.streams[r.id];
    return r.id;
  }
  static write_result put(auto& t, stream_id id, std::string_view data, bool fin) {
    // In three pieces, one of them empty: a gathered write is one write.
    const auto* p = reinterpret_cast<const std::uint8_t*>(data.data());
    const std::size_t half = data.size() / 2;
    const std::array<chunk, 3> c{chunk{p, half}, chunk{p, 0}, chunk{p + half, data.size() - half}};
    return t.write(id, c, fin);
  }
  /// Writes everything as a session does: what is blocked goes on when the stream is writable.
  void put_all(stream_id id, std::string_view data, bool fin) {
    for (int rounds = 0; rounds < 100'000; ++rounds) {
      const int heard = a.streams[id].writable;
      const write_result w = put(link.a(), id, data, fin);
      REQUIRE(w.accepted <= data.size());
      data.remove_prefix(w.accepted);
      if (w.status == transport_status::ok) {
        CHECK(data.empty());
        return;
      }
      REQUIRE(w.status == transport_status::blocked);
      run();
      REQUIRE(a.streams[id].writable > heard);  // blocked is followed by on_writable
    }
    FAIL("never written to its end");
  }
  void good() {
    run();
    CHECK(a.broken == 0);
    CHECK(b.broken == 0);
  }

 private:
  static void read(listener& l, auto& t) {
    for (auto& [id, s] : l.streams)
      if (s.unread != 0) t.consume(id, std::exchange(s.unread, 0));
  }
};

inline std::string some_bytes(std::size_t n) {
  std::string out(n, '\0');
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<char>(i * 131 >> 3);
  return out;
}

template <class Link>
void ordering(Link&& link) {
  bench<Link> t{link};
  std::map<stream_id, std::string> said;
  for (int i = 0; i < 6; ++i) said[t.open(i % 2 == 0 ? direction::uni : direction::bidi)];
  REQUIRE(said.size() == 6);  // no id twice
  for (int round = 0; round < 5; ++round)
    for (auto& [id, text] : said) {
      const std::string more = some_bytes(static_cast<std::size_t>(round * 17 + 1));
      text += more;
      t.put_all(id, more, false);
    }
  for (auto& [id, text] : said) t.put_all(id, "", true);  // a bare FIN
  t.run();
  CHECK(t.b.opened.size() == 6);
  for (auto& [id, text] : said) {
    CHECK(t.b.streams[id].data == text);
    CHECK(t.b.streams[id].fin);
    CHECK(t.b.streams[id].resets == 0);
  }
  t.good();
}

template <class Link>
void partial_writes(Link&& link) {
  bench<Link> t{link};
  const stream_id id = t.open(direction::uni);
  const std::string all = some_bytes(20'000);
  t.put_all(id, all, true);
  t.run();
  CHECK(t.b.streams[id].data == all);
  CHECK(t.b.streams[id].fin);
  t.good();
}

/// Legal in any state; the peer hears one end, and if that is the FIN it has everything.
template <class Link>
void reset_after_fin(Link&& link) {
  for (const bool is_late : {false, true}) {
    bench<Link> t{link};
    const stream_id id = t.open(direction::uni);
    const std::string all = some_bytes(300);
    t.put_all(id, all, true);
    if (is_late) t.run();
    link.a().reset(id, 7);
    link.a().reset(id, 8);
    t.run();
    const auto& s = t.b.streams[id];
    CHECK((s.fin ? 1 : 0) + s.resets == 1);
    if (s.fin) CHECK(s.data == all);
    if (s.resets != 0) CHECK(s.reset_code == 7);
    if (is_late) CHECK(s.fin);
    CHECK(all.starts_with(s.data));
    t.good();
  }
}

/// The writer hears the code and ends its side; other streams are not touched.
template <class Link>
void stop_during_write(Link&& link) {
  bench<Link> t{link};
  const stream_id other = t.open(direction::uni);
  const stream_id id = t.open(direction::bidi);
  const std::string all = some_bytes(20'000);
  const write_result w = bench<Link>::put(link.a(), id, all, false);
  CHECK(w.accepted > 0);
  t.run(false);
  REQUIRE(t.b.streams.count(id) == 1);
  link.b().stop(id, 33);
  link.b().stop(id, 34);
  t.run(false);
  CHECK(t.a.streams[id].stops == 1);
  CHECK(t.a.streams[id].stop_code == 33);
  link.a().reset(id, 33);
  t.run();
  const auto& s = t.b.streams[id];
  CHECK(!s.fin);
  CHECK(s.resets <= 1);
  CHECK(all.starts_with(s.data));
  // The other direction of the stream and the other stream go on.
  const write_result back = bench<Link>::put(link.b(), id, "ok", true);
  CHECK(back.status == transport_status::ok);
  t.put_all(other, all.substr(0, 500), true);
  t.run();
  CHECK(t.a.streams[id].data == "ok");
  CHECK(t.a.streams[id].fin);
  CHECK(t.b.streams[other].data == all.substr(0, 500));
  CHECK(t.b.streams[other].fin);
  t.good();
}

/// The last thing that the peer hears, once.
template <class Link>
void closing(Link&& link) {
  bench<Link> t{link};
  const stream_id id = t.open(direction::bidi);
  t.put_all(id, "x", false);
  t.run();
  link.a().close(16, "done");
  t.run();
  CHECK(t.b.closes == 1);
  CHECK(t.b.close_code == 16);
  CHECK(t.b.reason == "done");
  CHECK(t.a.closes <= 1);
  t.good();
}

/// `make()` returns a new link.
template <class Make>
void check_adapter(Make&& make) {
  ordering(make());
  partial_writes(make());
  reset_after_fin(make());
  stop_during_write(make());
  closing(make());
}

}  // namespace testing::conformance
