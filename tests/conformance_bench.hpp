#pragma once
/// A link with a listener at each end, and what a session does with them: the bench of the conformance suite.

#include <doctest/doctest.h>

#include <moql/adapter/transport.hpp>

#include <array>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace testing::conformance {

using namespace moql;

/// What a link may be asked for when it is made; 0 leaves it as it is.
struct wishes {
  std::uint32_t streams = 0;      ///< Streams of each kind that a side may have open at once.
  std::size_t stream_window = 0;  ///< Bytes that may be sent and not consumed yet, on one stream.
};

/// A link that comes close to what is wished for.
template <class Make>
decltype(auto) make_with(Make& make, const wishes& w) {
  if constexpr (requires { make(w); })
    return make(w);
  else
    return make();
}

/// Notes down what a side hears and counts the adapter's broken promises.
struct listener {
  struct stream {
    direction dir{};
    std::string data{};
    std::size_t unread = 0;
    bool fin = false;
    int resets = 0, stops = 0, writable = 0;
    std::uint64_t reset_code = 0, stop_code = 0;
  };
  std::map<stream_id, stream> streams;
  std::vector<stream_id> opened;
  std::vector<stream_id> to_read;
  std::vector<std::string> datagrams;
  std::array<int, 2> credits{};  ///< By direction.
  int closes = 0;
  bool application = false;
  std::uint64_t close_code = 0;
  std::string reason;
  std::size_t broken = 0;

  stream& at(stream_id id) {
    if (closes != 0 || streams.count(id) == 0) ++broken;
    return streams[id];
  }
  void on_open(stream_id id, direction d, instant) noexcept {
    if (closes != 0 || streams.count(id) != 0) ++broken;
    streams[id].dir = d;
    opened.push_back(id);
  }
  void on_data(stream_id id, bytes data, bool fin, instant) noexcept {
    stream& s = at(id);
    if (s.fin || s.resets != 0 || (data.empty() && !fin)) ++broken;
    s.data += data.text();
    if (s.unread == 0 && !data.empty()) to_read.push_back(id);
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
  void on_credit(direction d) noexcept {
    if (closes != 0) ++broken;
    ++credits[static_cast<std::size_t>(d)];
  }
  void on_datagram(bytes data, instant) noexcept {
    if (closes != 0) ++broken;
    datagrams.emplace_back(data.text());
  }
  void on_close(const close_info& why, instant) noexcept {
    if (closes != 0) ++broken;
    ++closes;
    application = why.application;
    close_code = why.code;
    reason = why.reason;
  }
};
static_assert(transport_sink<listener>);

inline std::string some_bytes(std::size_t n, std::size_t seed = 0) {
  std::string out(n, '\0');
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<char>((i + seed) * 131 >> 3);
  return out;
}

template <class Link>
struct bench {
  Link& link;
  listener a{}, b{};
  std::set<stream_id> unread{};  ///< Nobody reads these, as when an application is busy.

  /// Steps until `done()`, or until nothing is in flight: then whether it is done.
  template <class Done>
  bool until(Done&& done, bool reads = true) {
    do {
      if (reads) {
        read(a, link.a());
        read(b, link.b());
      }
      if (done()) return true;
    } while (link.step(a, b));
    return done();
  }
  /// Runs until nothing is in flight.
  void run(bool reads = true) {
    (void)until([] { return false; }, reads);
  }
  stream_id open(direction d) {
    const open_result r = link.a().open(d);
    REQUIRE(r.status == transport_status::ok);
    REQUIRE(a.streams.count(r.id) == 0);  // no id twice
    a.streams[r.id].dir = d;
    return r.id;
  }
  static write_result put(auto& t, stream_id id, std::string_view data, bool fin) {
    // In three pieces, one of them empty: a gathered write is one write.
    const auto* p = reinterpret_cast<const std::uint8_t*>(data.data());
    const std::size_t half = data.size() / 2;
    const std::array<chunk, 3> c{chunk{p, half}, chunk{p, 0}, chunk{p + half, data.size() - half}};
    const write_result w = t.write(id, c, fin);
    REQUIRE(w.accepted <= data.size());
    if (w.status == transport_status::ok) REQUIRE(w.accepted == data.size());
    return w;
  }
  static write_result end(auto& t, stream_id id) { return t.write(id, {}, true); }
  /// Writes everything as a session does: what is blocked goes on when the stream is writable.
  void put_all(listener& l, auto& t, stream_id id, std::string_view data, bool fin) {
    for (int rounds = 0; rounds < 100'000; ++rounds) {
      const int heard = l.streams[id].writable;
      const write_result w = put(t, id, data, fin);
      data.remove_prefix(w.accepted);
      if (w.status == transport_status::ok) return;
      REQUIRE(w.status == transport_status::blocked);
      REQUIRE(until([&] { return l.streams[id].writable > heard; }));  // blocked is followed by on_writable
    }
    FAIL("never written to its end");
  }
  void put_all(stream_id id, std::string_view data, bool fin) { put_all(a, link.a(), id, data, fin); }
  /// Whether the other side hears of the stream.
  bool reaches_b(stream_id id) {
    return until([&] { return b.streams.count(id) != 0; });
  }
  bool ends_at_b(stream_id id) {
    return until([&] { return b.streams.count(id) != 0 && (b.streams[id].fin || b.streams[id].resets != 0); });
  }
  /// A stream of its own goes all the way: whatever happened before has not hurt the connection.
  void still_works() {
    const stream_id id = open(direction::uni);
    put_all(id, "still here", true);
    CHECK(ends_at_b(id));
    CHECK(b.streams[id].data == "still here");
    CHECK(b.streams[id].fin);
  }
  void good() {
    run();
    CHECK(a.broken == 0);
    CHECK(b.broken == 0);
  }
  /// What comes now is more than a session ever does.
  void forgive() {
    if constexpr (requires { link.forgive(); }) link.forgive();
  }

 private:
  void read(listener& l, auto& t) {
    if (l.closes != 0) return;
    std::vector<stream_id> later;
    for (const stream_id id : std::exchange(l.to_read, {}))
      if (unread.count(id) == 0)
        t.consume(id, std::exchange(l.streams[id].unread, 0));
      else
        later.push_back(id);
    l.to_read = std::move(later);
  }
};

}  // namespace testing::conformance
