// The C tables: nothing of the contract is lost on the way through them, in either direction, whoever wrote them.

#include <doctest/doctest.h>

#include <moql/adapter/c_transport.hpp>

#include <utility>

#include "c_transport_user.h"
#include "conformance_loopback.hpp"
#include "pair.hpp"

using namespace moql;
namespace conformance = testing::conformance;

namespace {

template <class S>
c_sink through_c(S& sink) {
  const auto r = c_sink::over(&c_sink_ops<S>, &sink);
  REQUIRE(r.has_value());
  return *r;
}

/// A loopback link with every operation and every event sent through a C table and back.
class tables_link {
 public:
  tables_link(const loopback_options& o, const conformance::wishes& w)
      : link_(o, w), a_(over(link_.a())), b_(over(link_.b())) {}
  c_transport& a() { return a_; }
  c_transport& b() { return b_; }
  bool step(auto& sink_a, auto& sink_b) {
    c_sink first = through_c(sink_a);
    c_sink second = through_c(sink_b);
    c_sink first_again = through_c(first);
    return link_.step(first_again, second);
  }
  void forgive() { link_.forgive(); }
  [[nodiscard]] bool loses_datagrams() const { return link_.loses_datagrams(); }
  [[nodiscard]] std::size_t large() const { return link_.large(); }

 private:
  static c_transport over(loopback_network::endpoint& e) {
    const auto r = c_transport::over(&c_transport_ops<loopback_network::endpoint>, &e);
    REQUIRE(r.has_value());
    return *r;
  }
  conformance::loopback_link link_;
  c_transport a_, b_;
};

/// The adapter of c_transport_user.c.
class pipe_link {
 public:
  pipe_link() : pipe_(c_pipe_make()), a_(over(0)), b_(over(1)) {}
  pipe_link(const pipe_link&) = delete;
  pipe_link& operator=(const pipe_link&) = delete;
  ~pipe_link() { c_pipe_free(pipe_); }
  c_transport& a() { return a_; }
  c_transport& b() { return b_; }
  template <class A, class B>
  bool step(A& sink_a, B& sink_b) {
    return c_pipe_step(pipe_, &c_sink_ops<A>, &sink_a, &c_sink_ops<B>, &sink_b);
  }

 private:
  c_transport over(int side) {
    REQUIRE(pipe_ != nullptr);
    const auto r = c_transport::over(c_pipe_ops(), c_pipe_end(pipe_, side));
    REQUIRE(r.has_value());
    return *r;
  }
  c_pipe* pipe_;
  c_transport a_, b_;
};

struct counted_owner : owner {
  int shares = 1;
  counted_owner()
      : owner{[](owner* o) noexcept { ++static_cast<counted_owner*>(o)->shares; },
              [](owner* o) noexcept { --static_cast<counted_owner*>(o)->shares; }} {}
};

/// Does as it is told, which an adapter should not.
struct liar : transport_defaults {
  open_result opens{};
  write_result writes{};
  open_result open(direction) noexcept { return opens; }
  write_result write(stream_id, std::span<const chunk>, bool) noexcept { return writes; }
  void reset(stream_id, std::uint64_t) noexcept {}
  void stop(stream_id, std::uint64_t) noexcept {}
  void close(std::uint64_t, std::string_view) noexcept {}
  [[nodiscard]] std::string_view protocol() const noexcept { return {}; }
};

chunk piece(std::string_view s) { return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size(), nullptr}; }

}  // namespace

TEST_CASE("a transport keeps its promises through a C table and back") {
  for (const loopback_options& habits : conformance::loopback_habits) {
    CAPTURE(&habits - conformance::loopback_habits);
    conformance::check_adapter([&](const conformance::wishes& w = {}) { return tables_link(habits, w); });
  }
}

TEST_CASE("an adapter written in C keeps the promises of every adapter") {
  conformance::check_adapter([] { return pipe_link(); });
}

TEST_CASE("two sessions talk over an adapter written in C") {
  pipe_link link;
  testing::side client(testing::only_version({}, lite04, endpoint::client));
  testing::side server(testing::only_version({}, lite04, endpoint::server));
  track_cache cache;
  server.react = [&](session& s, const event& e) {
    if (auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(r->request, cache) == errc::ok);
  };
  std::int64_t steps = 0;
  const auto run = [&] {
    do {
      const instant now{++steps};
      for (testing::side* x : {&client, &server}) {
        while (const auto e = x->session.next_event()) {
          x->events.push_back(testing::keep(*e));
          x->react(x->session, *e);
        }
        pump(x->session, x == &client ? link.a() : link.b(), now);
      }
    } while (link.step(client.session, server.session) || client.session.has_events() || server.session.has_events());
  };
  CHECK(client.session.start(link.a().protocol(), instant{}) == errc::ok);
  CHECK(server.session.start(link.b().protocol(), instant{}) == errc::ok);
  run();
  const std::string payload(5000, 'p');
  CHECK(cache.begin_group(0, instant{}) == errc::ok);
  CHECK(cache.append(0, 0, bytes::copy(payload)) == errc::ok);
  CHECK(cache.end_group(0) == errc::ok);
  CHECK(client.session.subscribe("room", "video", {}, instant{}).has_value());
  run();
  REQUIRE(client.count<frame_part>() >= 1);
  std::string got;
  for (const auto& h : client.all<frame_part>()) got += h.payload;
  CHECK(got == payload);
  client.session.close(session_code::no_error, "done");
  run();
  REQUIRE(server.count<session_closed>() == 1);
  CHECK(server.all<session_closed>()[0].text == "done");
}

TEST_CASE("a program in C uses an adapter in C++ and hears what it reports") {
  loopback_options o;
  o.stats.rtt_us = 12;
  o.hold_payload = true;
  o.chunk_min = o.chunk_max = 65536;
  loopback_network net(o);
  c_tally a{}, b{};
  c_sink sink_a = *c_sink::over(c_tally_ops(), &a);
  c_sink sink_b = *c_sink::over(c_tally_ops(), &b);
  counted_owner mine;
  const std::string payload(3000, 'p');
  std::uint64_t id = 0;
  CHECK(c_user_sends(&c_transport_ops<loopback_network::endpoint>, &net.a(), payload.data(), payload.size(),
                     reinterpret_cast<moql_owner*>(&mine), &id) == 0);
  CHECK(id == 2);
  CHECK(net.a().priority_of(stream_id{id}) == -5);
  CHECK(mine.shares == 2);
  const auto run = [&] {
    while (net.step(sink_a, sink_b)) {
    }
  };
  run();
  CHECK(b.opened == 1);
  CHECK(b.bytes == 5 + payload.size());
  CHECK(b.fins == 1);
  CHECK(b.datagrams == 1);
  CHECK(b.kept == reinterpret_cast<moql_owner*>(&mine));
  CHECK(mine.shares == 2);  // what the listener in C holds
  c_tally_clear(&b);
  CHECK(mine.shares == 1);
  // Codes of all 64 bits, and the one that says that there is none.
  const auto stream = net.a().open(direction::bidi).id;
  const chunk c = piece("x");
  CHECK(net.a().write(stream, {&c, 1}, false).status == transport_status::ok);
  net.a().reset(stream, no_code);
  run();
  CHECK(b.resets == 1);
  CHECK(b.last_code == MOQL_NO_CODE);
  net.b().stop(stream, 1);  // over already: nobody hears of it
  net.b().reset(stream, 0xfedcba9876543210);
  run();
  CHECK(a.resets == 1);
  CHECK(a.stops == 0);
  CHECK(a.last_code == 0xfedcba9876543210);
  net.b().close(0x3fffffffffffffff, "enough");
  run();
  CHECK(a.closes == 1);
  CHECK(a.application);
  CHECK(a.last_code == 0x3fffffffffffffff);
  CHECK(std::string_view(a.reason) == "enough");
  c_tally_clear(&b);
}

TEST_CASE("a table that lacks what every adapter must have is refused") {
  loopback_network net;
  const moql_transport_ops whole = c_transport_ops<loopback_network::endpoint>;
  CHECK(c_transport::over(nullptr, &net.a()).error() == errc::bad_argument);
  CHECK(c_transport::over(&whole, &net.a()).error() == errc::ok);
  for (std::size_t size = 0; size < offsetof(moql_transport_ops, consume); ++size) {
    moql_transport_ops t = whole;
    t.struct_size = size;
    CHECK(c_transport::over(&t, &net.a()).error() == errc::bad_argument);
  }
  const auto without = [&](auto moql_transport_ops::*member) {
    moql_transport_ops t = whole;
    t.*member = nullptr;
    return c_transport::over(&t, &net.a()).error();
  };
  CHECK(without(&moql_transport_ops::open) == errc::bad_argument);
  CHECK(without(&moql_transport_ops::write) == errc::bad_argument);
  CHECK(without(&moql_transport_ops::reset) == errc::bad_argument);
  CHECK(without(&moql_transport_ops::stop) == errc::bad_argument);
  CHECK(without(&moql_transport_ops::close) == errc::bad_argument);
  CHECK(without(&moql_transport_ops::protocol) == errc::bad_argument);
  CHECK(without(&moql_transport_ops::consume) == errc::ok);
  CHECK(without(&moql_transport_ops::priority) == errc::ok);
  CHECK(without(&moql_transport_ops::datagram) == errc::ok);
  CHECK(without(&moql_transport_ops::max_datagram) == errc::ok);
  CHECK(without(&moql_transport_ops::stats) == errc::ok);

  moql_sink_ops s = *c_tally_ops();
  c_tally t{};
  CHECK(c_sink::over(nullptr, &t).error() == errc::bad_argument);
  s.on_datagram = nullptr;
  CHECK(c_sink::over(&s, &t).error() == errc::ok);
  s.struct_size = offsetof(moql_sink_ops, on_datagram);
  CHECK(c_sink::over(&s, &t).error() == errc::ok);
  s.struct_size -= 1;
  CHECK(c_sink::over(&s, &t).error() == errc::bad_argument);
  s = *c_tally_ops();
  s.on_close = nullptr;
  CHECK(c_sink::over(&s, &t).error() == errc::bad_argument);
}

TEST_CASE("what a table does not have is answered as an adapter's defaults do") {
  loopback_options o;
  o.stats.rtt_us = 12;
  loopback_network net(o);
  // An author who knew the first seven functions only; and one who left a number of them out.
  struct {
    moql_transport_ops ops = c_transport_ops<loopback_network::endpoint>;
    std::uint64_t behind = ~std::uint64_t{0};
  } table;
  for (const std::size_t cut : {std::size_t{0}, std::size_t{3}}) {  // a part of a pointer is no pointer
    table.ops.struct_size = offsetof(moql_transport_ops, priority) + cut;
    c_transport t = *c_transport::over(&table.ops, &net.a());
    const chunk c = piece("x");
    const open_result r = t.open(direction::uni);
    CHECK(r.status == transport_status::ok);
    CHECK(t.write(r.id, {&c, 1}, true).accepted == 1);
    t.consume(r.id, 0);
    t.priority(r.id, 7);
    CHECK(net.a().priority_of(r.id) == 0);
    CHECK(t.max_datagram() == 0);
    CHECK(t.datagram({}) == transport_status::unsupported);
    CHECK(t.stats().rtt_us == 0);
    CHECK(t.protocol() == net.a().protocol());
  }
  // One who knew more than we do.
  table.ops.struct_size = sizeof table;
  CHECK(c_transport::over(&table.ops, &net.a())->stats().rtt_us == 12);
  table.ops = c_transport_ops<loopback_network::endpoint>;
  table.ops.datagram = nullptr;
  table.ops.stats = nullptr;
  c_transport t = *c_transport::over(&table.ops, &net.a());
  CHECK(t.stats().rtt_us == 0);
  CHECK(t.datagram({}) == transport_status::unsupported);
  CHECK(t.max_datagram() == 1200);
}

TEST_CASE("a table made from nothing is a connection that is over") {
  c_transport t;
  const chunk c = piece("x");
  CHECK(t.open(direction::bidi).status == transport_status::closed);
  CHECK(t.write(stream_id{0}, {&c, 1}, true).status == transport_status::closed);
  CHECK(t.datagram({}) == transport_status::unsupported);
  CHECK(t.protocol().empty());
  CHECK(t.stats().rtt_us == 0);
  t.reset(stream_id{0}, 1);
  t.stop(stream_id{0}, 1);
  t.consume(stream_id{0}, 1);
  t.priority(stream_id{0}, 1);
  t.close(0, "");
  c_sink s;
  s.on_open(stream_id{0}, direction::uni, {});
  s.on_data(stream_id{0}, {}, true, {});
  s.on_reset(stream_id{0}, 1, {});
  s.on_stop(stream_id{0}, 1, {});
  s.on_writable(stream_id{0});
  s.on_credit(direction::bidi);
  s.on_datagram({}, {});
  s.on_close({}, {});
}

TEST_CASE("an adapter in C that answers nonsense is read as one that has closed or took what there was") {
  liar l;
  c_transport t = *c_transport::over(&c_transport_ops<liar>, &l);
  const chunk c[] = {piece("abc"), piece("de")};
  l.writes = {transport_status::ok, 6};
  CHECK(t.write(stream_id{0}, c, false).accepted == 5);
  l.writes = {static_cast<transport_status>(77), SIZE_MAX};
  CHECK(t.write(stream_id{0}, c, false).status == transport_status::closed);
  CHECK(t.write(stream_id{0}, c, false).accepted == 5);
  l.opens = {static_cast<transport_status>(5), stream_id{4}};
  CHECK(t.open(direction::uni).status == transport_status::closed);
  CHECK(t.open(direction::uni).id == no_stream);
  l.opens = {transport_status::blocked, stream_id{4}};
  CHECK(t.open(direction::uni).status == transport_status::blocked);
  CHECK(t.open(direction::uni).id == no_stream);
  // A close without a reason has no text to point to.
  conformance::listener heard;
  const moql_close_info why{true, 5, nullptr, 9};
  c_sink_ops<conformance::listener>.on_close(&heard, &why, 0);
  CHECK(heard.closes == 1);
  CHECK(heard.reason.empty());
}
