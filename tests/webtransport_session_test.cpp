/// The WebTransport layer of the examples over the loopback network: as an adapter, under whole sessions, and against
/// peers that break the rules.

#include <doctest/doctest.h>

#include <webtransport/session.hpp>

#include "conformance_loopback.hpp"
#include "hex.hpp"
#include "pair.hpp"

#include <random>

using namespace moql;
using testing::versions;
namespace http3 = moql::http3;
namespace conformance = testing::conformance;
namespace wt = moql::webtransport;

namespace {

using layer = ::webtransport::session<loopback_network::endpoint>;
using ::webtransport::role;
using strings = std::vector<std::string>;

strings tokens(version_set v) {
  strings out;
  for (const std::string_view t : preferred_protocols)
    for (const auto& f : all_versions)
      if (f.protocol == t && v.has(f.id) && (out.empty() || out.back() != t)) out.emplace_back(t);
  return out;
}
::webtransport::options client_options(strings protocols = {"moq-lite-05", "moq-lite-04"}) {
  ::webtransport::options o;
  o.ask = {"localhost:4443", "/room?x=1", std::move(protocols)};
  return o;
}
::webtransport::options server_options(strings protocols = {"moq-lite-04", "moq-lite-05"}) {
  ::webtransport::options o;
  o.side = role::server;
  o.offer.protocols = std::move(protocols);
  return o;
}

/// A layer on each end of a network.
struct joined {
  loopback_network net;
  layer client, server;
  explicit joined(const loopback_options& o = {}, ::webtransport::options c = client_options(),
                  ::webtransport::options s = server_options())
      : net(o), client(net.a(), std::move(c), net.now()), server(net.b(), std::move(s), net.now()) {}
  ~joined() { CHECK_MESSAGE(net.violations() == 0, net.last_violation()); }
  void service() {
    client.service(net.now());
    server.service(net.now());
    (void)client.flushed();
    (void)server.flushed();
  }
  bool step() {
    service();
    const bool more = net.step(client, server);
    service();
    return more;
  }
  void run() {
    while (step()) {
    }
  }
  /// Runs until both sides have a session, and no longer.
  void open() {
    while (!(client.is_open() && server.is_open()) && step()) {
    }
    REQUIRE(client.is_open());
    REQUIRE(server.is_open());
  }
};

/// As the conformance suite wants it.
struct joined_link : joined {
  std::unique_ptr<net::transport_events> sink_a{}, sink_b{};
  conformance::loopback_link like;  // for what it knows of its options
  explicit joined_link(const loopback_options& o, const conformance::wishes& w = {}) : joined(with(o, w)), like(o, w) {
    open();
  }
  static loopback_options with(loopback_options o, const conformance::wishes& w) {
    // The request and the control stream need credit too.
    if (w.streams != 0) o.streams_bidi = o.streams_uni = w.streams + 1;
    if (w.stream_window != 0 && o.stream_window == 0) o.stream_window = std::min(w.stream_window, o.chunk_max * 100);
    return o;
  }
  layer& a() { return client; }
  layer& b() { return server; }
  template <class A, class B>
  bool step(A& x, B& y) {
    if (sink_a == nullptr) {
      sink_a = std::make_unique<net::events_to<A>>(x);
      sink_b = std::make_unique<net::events_to<B>>(y);
      client.attach(*sink_a);
      server.attach(*sink_b);
    }
    return joined::step();
  }
  [[nodiscard]] bool loses_datagrams() const { return like.loses_datagrams(); }
  [[nodiscard]] std::size_t large() const { return like.large(); }
};

/// Two moql sessions on WebTransport.
struct session_pair : joined {
  testing::side client_side, server_side;
  net::events_to<session> to_client{client_side.session}, to_server{server_side.session};
  bool has_client = false, has_server = false;

  explicit session_pair(version_set v, const loopback_options& o = {})
      : joined(o, client_options(tokens(v)), server_options(tokens(always))),
        client_side(on_webtransport(v, endpoint::client)),
        server_side(on_webtransport(always, endpoint::server)) {}
  static config on_webtransport(version_set v, endpoint side) {
    config c;
    c.side = side;
    c.over = binding::webtransport;
    c.versions = v;
    return c;
  }
  static void drain(testing::side& x) {
    while (auto e = x.session.next_event()) {
      x.events.push_back(testing::keep(*e));
      x.react(x.session, *e);
    }
  }
  void begin(layer& from, testing::side& x, net::transport_events& to, bool& has_begun) {
    if (!from.is_open() || std::exchange(has_begun, true)) return;
    CHECK(x.session.start(from.protocol(), net.now()) == errc::ok);
    from.attach(to);
  }
  void pump_all() {
    begin(client, client_side, to_client, has_client);
    begin(server, server_side, to_server, has_server);
    for (auto* x : {&client_side, &server_side}) drain(*x);
    if (has_client) pump(client_side.session, client, net.now());
    if (has_server) pump(server_side.session, server, net.now());
    for (auto* x : {&client_side, &server_side}) drain(*x);
    service();
  }
  void run_all() {
    service();
    pump_all();
    for (int i = 0; i < 2'000'000 && net.step(client, server); ++i) {
      service();
      pump_all();
    }
    pump_all();
  }
  void wait_all(duration d) {
    const instant until = net.now() + d;
    for (run_all();; run_all()) {
      const instant mine = client_side.session.next_deadline();
      const instant theirs = server_side.session.next_deadline();
      const instant next = mine < theirs ? mine : theirs;
      if (next > until) break;
      net.advance_to(next);
    }
    net.advance_to(until);
    run_all();
  }
};

/// A layer on side `b` of a network, or `a`, and us on the other, writing bytes by hand.
struct by_hand {
  struct heard {
    std::string data{};
    bool fin = false;
    std::uint64_t reset = 0, stop = 0;
  };
  struct hand : net::transport_events {
    std::map<std::uint64_t, heard> streams{};
    std::vector<std::string> datagrams{};
    int closes = 0;
    close_info closed{};
    std::string reason{};
    void on_open(stream_id, direction, instant) noexcept override {}
    void on_data(stream_id id, bytes d, bool fin, instant) noexcept override {
      auto& s = streams[static_cast<std::uint64_t>(id)];
      s.data += tests::to_hex(d.view());
      s.fin = fin;
    }
    void on_reset(stream_id id, std::uint64_t code, instant) noexcept override {
      streams[static_cast<std::uint64_t>(id)].reset = code;
    }
    void on_stop(stream_id id, std::uint64_t code, instant) noexcept override {
      streams[static_cast<std::uint64_t>(id)].stop = code;
    }
    void on_writable(stream_id) noexcept override {}
    void on_credit(direction) noexcept override {}
    void on_datagram(bytes d, instant) noexcept override { datagrams.push_back(tests::to_hex(d.view())); }
    void on_close(const close_info& why, instant) noexcept override {
      ++closes;
      closed = why;
      reason = why.reason;
    }
  };
  loopback_network net;
  role side;
  layer tested;
  hand peer{}, upper{};

  explicit by_hand(role r, const loopback_options& o = {})
      : net(o),
        side(r),
        tested(r == role::server ? net.b() : net.a(), r == role::server ? server_options() : client_options(),
               net.now()) {}
  ~by_hand() { CHECK_MESSAGE(net.violations() == 0, net.last_violation()); }
  auto& ours() { return side == role::server ? net.a() : net.b(); }
  bool step() {
    tested.service(net.now());
    (void)tested.flushed();
    const bool more = side == role::server ? net.step(peer, tested) : net.step(tested, peer);
    tested.service(net.now());
    (void)tested.flushed();
    return more;
  }
  void run() {
    while (step()) {
    }
  }
  void attach() { tested.attach(upper); }
  stream_id open(direction d, std::string_view digits = {}, bool fin = false) {
    const auto r = ours().open(d);
    REQUIRE(r.status == transport_status::ok);
    if (!digits.empty() || fin) say(r.id, digits, fin);
    return r.id;
  }
  void say(stream_id id, std::string_view digits, bool fin = false) {
    const auto b = tests::from_hex(digits);
    const chunk c{b.data(), b.size(), nullptr};
    REQUIRE(ours().write(id, {&c, 1}, fin).status == transport_status::ok);
  }
  void say_settings() {
    const auto o = tests::to_hex(http3::control_stream_opening);
    open(direction::uni, o);
  }
  stream_id ask(const ::webtransport::request& r = client_options().ask) {
    const auto id = open(direction::bidi);
    say(id, tests::to_hex(::webtransport::headers_frame(fields_of(r))));
    return id;
  }
  stream_id ask_fields(const ::webtransport::header_fields& f) {
    const auto id = open(direction::bidi);
    say(id, tests::to_hex(::webtransport::headers_frame(f)));
    return id;
  }
  const heard& at(stream_id id) { return peer.streams[static_cast<std::uint64_t>(id)]; }
  /// Server under test: an open session, and the id of its CONNECT stream.
  stream_id session() {
    say_settings();
    const auto id = ask();
    run();
    REQUIRE(tested.is_open());
    attach();
    return id;
  }
  /// Client under test: an open session; its CONNECT stream is 0.
  void welcome(const ::webtransport::header_fields& f = fields_of(::webtransport::answer{200, "moq-lite-05", {}, {}})) {
    say_settings();
    run();
    say(stream_id{0}, tests::to_hex(::webtransport::headers_frame(f)));
    run();
  }
};

/// The fields of a HEADERS frame, `name=value` each.
std::string fields_in(const std::string& hex_digits) {
  const auto in = tests::from_hex(hex_digits);
  http3::element_reader r;
  http3::element_piece p;
  std::vector<std::uint8_t> section;
  byte_view left = in;
  while (r.next(left, p) && !p.is_last) section.insert(section.end(), p.body.begin(), p.body.end());
  section.insert(section.end(), p.body.begin(), p.body.end());
  const auto f = ::webtransport::decode_fields(section);
  if (!f) return "broken";
  std::string out;
  for (const auto& [n, v] : f->all) out += n + "=" + v + ";";
  return out;
}
::webtransport::header_fields with(::webtransport::header_fields f, std::string_view name, const char* value) {
  std::erase_if(f.all, [&](const auto& x) { return x.first == name; });
  if (value != nullptr) f.add(name, value);
  return f;
}
constexpr auto uni = direction::uni;
constexpr auto bidi = direction::bidi;
std::uint64_t number(http3::code c) { return static_cast<std::uint64_t>(c); }

}  // namespace

TEST_CASE("the WebTransport layer keeps what every adapter must keep [seed 3.1.1 3.1.2]") {
  for (const loopback_options& habits : conformance::loopback_habits) {
    CAPTURE(&habits - conformance::loopback_habits);
    conformance::check_adapter([&](const conformance::wishes& w = {}) { return joined_link(habits, w); });
  }
}

TEST_CASE("a preamble that goes out byte by byte is finished before anything else of its stream [seed 3.1.1]") {
  for (const loopback_options& o : {loopback_options{.chunk_max = 1, .write_max = 1}, {.stream_window = 2}}) {
    conformance::ordering(joined_link(o));
    conformance::partial_writes(joined_link(o));
    conformance::empty_streams(joined_link(o));
    conformance::bare_fin(joined_link(o));
    conformance::reset_after_fin(joined_link(o));
    conformance::reset_before_any_byte(joined_link(o));
  }
}

TEST_CASE("client and server agree on path and version, the client's first choice that both know [seed 3.1.1 a]") {
  joined j;
  j.run();
  CHECK(j.client.is_open());
  CHECK(j.server.is_open());
  CHECK(j.client.protocol() == "moq-lite-05");
  CHECK(j.server.protocol() == "moq-lite-05");
  CHECK(j.server.path() == "/room?x=1");
  CHECK(j.client.why().empty());

  joined old({}, client_options({"moq-lite-06", "moql"}), server_options({"moql"}));
  old.run();
  CHECK(old.client.protocol() == "moql");
  joined none({}, client_options({"moq-lite-06", "moql"}), server_options({"moq-lite-05", "moql"}));
  none.run();
  CHECK(none.client.protocol() == "moql");
  joined apart({}, client_options({"moq-lite-06"}), server_options({"moq-lite-05"}));
  apart.run();
  CHECK(!apart.client.is_open());
  CHECK(apart.client.is_over());
  CHECK(apart.client.why() == "the server refuses /room?x=1 with status 400, perhaps for none of the versions offered");
  CHECK(!apart.server.is_open());
  CHECK(apart.server.is_over());
}

TEST_CASE("whole sessions in every version work on WebTransport over any network [seed 3.1.1 d]") {
  loopback_options rough;
  rough.seed = 7;
  rough.chunk_max = 3;
  rough.delay_max = milliseconds(20);
  rough.write_max = 5;
  rough.stream_window = 64;
  rough.streams_uni = 4;
  loopback_options reordered;
  reordered.seed = 11;
  reordered.delay_max = milliseconds(50);
  reordered.reorder_streams = true;
  for (const version v : versions)
    for (const loopback_options& o : {loopback_options{}, rough, reordered}) {
      CAPTURE(facts(v).name);
      CAPTURE(o.seed);
      session_pair p(only(v), o);
      track_cache video({.timescale = 90'000});
      p.server_side.react = [&](session& s, const event& e) {
        if (auto* r = std::get_if<subscribe_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
        if (auto* r = std::get_if<track_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
      };
      p.run_all();
      REQUIRE(p.client_side.count<connected>() == 1);
      REQUIRE(p.server_side.count<connected>() == 1);
      CHECK(p.client_side.session.negotiated() == v);
      REQUIRE(p.server_side.session.announce("room/alice").has_value());
      CHECK(p.client_side.session.discover("room", p.net.now()).has_value());
      p.run_all();
      REQUIRE(p.client_side.count<announced>() == 1);
      REQUIRE(video.begin_group(p.net.now()) == errc::ok);
      REQUIRE(video.append(1000, bytes::copy("key")) == errc::ok);
      REQUIRE(p.client_side.session.subscribe("room/alice", "video", {.want = {.max_age_ms = 60'000}}, p.net.now())
                  .has_value());
      p.run_all();
      for (int i = 0; i < 9; ++i) {
        REQUIRE(video.begin_group(p.net.now()) == errc::ok);
        REQUIRE(video.append(static_cast<std::uint64_t>(3000 + i), bytes::copy(std::string(200, 'x'))) == errc::ok);
        p.run_all();
      }
      video.finish();
      p.wait_all(seconds(5));
      std::size_t heard = 0;
      for (const auto& h : p.client_side.all<frame_part>()) heard += h.payload.size();
      CHECK(heard == 3 + 9 * 200);
      CHECK(p.client_side.count<group_finished>() == 10);
      REQUIRE(p.client_side.count<subscription_closed>() == 1);
      CHECK(p.client_side.first<subscription_closed>().why == errc::ok);
      p.client_side.session.close(session_code::unauthorized, "done");
      p.run_all();
      REQUIRE(p.server_side.count<session_closed>() == 1);
      CHECK(p.server_side.first<session_closed>().by_peer);
      CHECK(p.server_side.first<session_closed>().code == static_cast<std::uint64_t>(session_code::unauthorized));
      CHECK(p.server_side.all<session_closed>()[0].text == "done");
      CHECK(p.client.is_over());
      CHECK(p.server.is_over());
    }
}

TEST_CASE("a stream code reaches the other session as it was, one without a place in 32 bits as none [seed 3.1.1 c]") {
  joined_link l({});
  conformance::listener a, b;
  std::vector<stream_id> ids;
  for (int i = 0; i < 3; ++i) {
    ids.push_back(l.a().open(bidi).id);
    a.streams[ids.back()];
    CHECK(conformance::bench<joined_link>::put(l.a(), ids.back(), "x", false).status == transport_status::ok);
  }
  while (l.step(a, b)) {
  }
  REQUIRE(b.opened.size() == 3);
  l.a().reset(ids[0], 0xffffffff);
  l.a().reset(ids[1], 0x100000000);
  l.b().stop(ids[2], 0x1e);
  while (l.step(a, b)) {
  }
  CHECK(b.streams[ids[0]].reset_code == 0xffffffff);
  CHECK(b.streams[ids[1]].reset_code == no_code);
  CHECK(a.streams[ids[2]].stop_code == 0x1e);
  CHECK(a.broken + b.broken == 0);
}

TEST_CASE("a stream that is reset before anything was flushed still says first whose it is [seed 3.1.1]") {
  by_hand t(role::server);
  t.session();
  const auto id = t.tested.open(uni).id;
  t.tested.reset(id, 7);
  CHECK(t.net.in_flight() == 1);  // the preamble, and no reset before `flushed`
  t.run();
  CHECK(t.at(id).data == "405400");
  CHECK(t.at(id).reset == wt::http_code(7));
  const auto slow = t.tested.open(bidi).id;
  t.run();
  t.tested.reset(slow, 8);
  CHECK(t.net.in_flight() == 1);  // that one is no longer new
  t.run();
  CHECK(t.at(slow).data == "404100");
  CHECK(t.at(slow).reset == wt::http_code(8));
}

TEST_CASE("streams that come before the session is open wait for it, only so many and so much [seed 3.1.1]") {
  by_hand t(role::server);
  const auto connect = t.open(bidi);
  const auto id = t.open(uni, "405400 aabb");
  const auto whole = t.open(uni, "405400 01", true);
  const auto both = t.open(bidi, "404100");
  const auto gone = t.open(uni, "405400 02");
  const auto stranger = t.open(bidi, "404104 03");
  t.run();
  t.ours().reset(gone, wt::http_code(5));
  t.run();
  t.say(connect, tests::to_hex(::webtransport::headers_frame(fields_of(client_options().ask))));
  t.run();
  CHECK(!t.tested.is_open());  // the client's SETTINGS come first
  t.say_settings();
  t.run();
  REQUIRE(t.tested.is_open());
  CHECK(t.upper.streams.empty());
  t.attach();
  CHECK(t.upper.streams.size() == 2);  // `both` has said nothing yet
  CHECK(t.upper.streams[static_cast<std::uint64_t>(id)].data == "aabb");
  CHECK(t.upper.streams[static_cast<std::uint64_t>(whole)].fin);
  t.say(both, "04");
  t.say(id, "cc", true);
  t.run();
  CHECK(t.upper.streams[static_cast<std::uint64_t>(both)].data == "04");
  CHECK(t.upper.streams[static_cast<std::uint64_t>(id)].data == "aabbcc");
  CHECK(t.at(stranger).stop == number(http3::code::buffered_stream_rejected));
  CHECK(t.at(stranger).reset == number(http3::code::buffered_stream_rejected));

  by_hand many(role::server);
  many.open(bidi);
  std::vector<stream_id> all;
  for (int i = 0; i < 70; ++i) all.push_back(many.open(uni, "405400 aa"));
  many.run();
  int rejected = 0;
  for (const auto s : all) rejected += many.at(s).stop == number(http3::code::buffered_stream_rejected);
  CHECK(rejected == 6);

  by_hand large(role::server);
  large.open(bidi);
  const auto big = large.open(uni, "405400" + std::string(2 * 300 * 1024, '0'));
  const auto small = large.open(uni, "405400 aa");
  large.run();
  CHECK(large.at(big).stop == number(http3::code::buffered_stream_rejected));
  CHECK(large.at(small).stop == 0);
}

TEST_CASE("a request that is no WebTransport is answered with a 4xx and leaves the connection alone [seed 3.1.1]") {
  const auto good = fields_of(client_options().ask);
  struct {
    ::webtransport::header_fields fields;
    const char* status;
  } const bad[] = {
      {with(good, ":method", "GET"), "404"},
      {with(good, ":method", nullptr), "400"},
      {with(good, ":protocol", "websocket"), "400"},
      {with(good, ":protocol", nullptr), "400"},
      {with(good, ":path", nullptr), "400"},
      {with(good, ":path", "room"), "400"},
      {with(good, ":scheme", "http"), "400"},
      {with(good, ":authority", nullptr), "400"},
      {with(good, "wt-available-protocols", "\"moq-lite-05"), "400"},
      {with(good, "wt-available-protocols", "\"moqt-19\""), "400"},
      {with(good, "wt-available-protocols", nullptr), "400"},
      {{}, "400"},
  };
  by_hand t(role::server);
  t.say_settings();
  for (const auto& b : bad) {
    const auto id = t.ask_fields(b.fields);
    t.run();
    CHECK(fields_in(t.at(id).data) == ":status=" + std::string(b.status) + ";");
    CHECK(t.at(id).fin);
    CHECK(!t.tested.is_open());
    CHECK(t.peer.closes == 0);
    t.say(id, "0001ff", true);  // what else it says means nothing
    t.run();
    CHECK(t.peer.closes == 0);
  }
  // Then a good one, and a second while the session lasts.
  const auto id = t.ask();
  t.run();
  CHECK(fields_in(t.at(id).data) == ":status=200;sec-webtransport-http3-draft=draft02;wt-protocol=\"moq-lite-05\";");
  CHECK(!t.at(id).fin);
  CHECK(t.tested.is_open());
  CHECK(t.tested.why().empty());
  const auto second = t.ask();
  t.run();
  CHECK(fields_in(t.at(second).data) == ":status=429;");
  CHECK(t.peer.closes == 0);

  by_hand two(role::server);
  two.say_settings();
  const auto frame = tests::to_hex(::webtransport::headers_frame(good));
  const auto x = two.open(bidi, frame.substr(0, 20));
  const auto y = two.open(bidi, frame.substr(0, 20));
  two.run();
  two.say(x, frame.substr(20));
  two.say(y, frame.substr(20));
  two.run();
  CHECK(fields_in(two.at(x).data).starts_with(":status=200;"));
  CHECK(fields_in(two.at(y).data) == ":status=429;");

  by_hand without(role::server);
  without.open(uni, "00 04 02 3301");
  const auto r = without.ask();
  without.run();
  CHECK(fields_in(without.at(r).data) == ":status=400;");
  CHECK(without.tested.why() == "the request was refused: the client's SETTINGS do not offer WebTransport");
}

TEST_CASE("whoever breaks HTTP/3 loses the connection, with the code that says how [seed 3.1.1]") {
  struct {
    const char* uni;
    const char* bidi;
    bool fin;
    http3::code code;
  } const bad[] = {
      {"00 00 00", "", false, http3::code::missing_settings},
      {"00 04 02 0200", "", false, http3::code::settings_error},
      {"00 04 00 04 00", "", false, http3::code::frame_unexpected},
      {"00 04 01 33", "", false, http3::code::frame_error},
      {"00 04 00", "", true, http3::code::closed_critical_stream},
      {"02", "", true, http3::code::closed_critical_stream},
      {"01 00", "", false, http3::code::stream_creation_error},
      {"405401 00", "", false, http3::code::id_error},
      {"", "00 01 aa", false, http3::code::frame_unexpected},
      {"", "0d 00", false, http3::code::frame_unexpected},
      {"", "01 04 ffffffff", false, http3::code::qpack_decompression_failed},
      {"", "01 03 020080", false, http3::code::qpack_decompression_failed},  // needs a dynamic table
      {"", "01 80ffffff", false, http3::code::excessive_load},
      {"", "01 04 0000", true, http3::code::frame_error},
  };
  for (const auto& b : bad) {
    CAPTURE(b.uni);
    CAPTURE(b.bidi);
    for (const std::size_t piece : {std::size_t{1}, std::size_t{65536}}) {
      by_hand t(role::server, {.chunk_max = piece});
      if (*b.uni != 0) t.open(uni, b.uni, b.fin);
      if (*b.bidi != 0) t.open(bidi, b.bidi, b.fin);
      t.run();
      CHECK(t.peer.closes == 1);
      CHECK(t.peer.closed.code == number(b.code));
      CHECK(t.tested.is_over());
      CHECK(!t.tested.why().empty());
    }
  }
  for (const char* kind : {"00", "02", "03"}) {
    by_hand t(role::server);
    t.session();
    t.open(uni, kind);
    if (*kind != '0' || kind[1] != '0') t.open(uni, kind);
    t.run();
    CHECK(t.peer.closed.code == number(http3::code::stream_creation_error));
    CHECK(t.upper.closes == 1);
    CHECK(!t.upper.closed.application);
  }
  by_hand c(role::client);
  c.open(bidi, "01 00");
  c.run();
  CHECK(c.peer.closed.code == number(http3::code::stream_creation_error));
  by_hand d(role::server);
  d.session();
  CHECK(d.ours().datagram(tests::from_hex("40")) == transport_status::ok);
  d.run();
  CHECK(d.peer.closed.code == number(http3::code::datagram_error));
}

TEST_CASE("GREASE, extensions and QPACK's own streams change nothing [seed 3.1.1]") {
  by_hand t(role::server, {.chunk_max = 1});
  const auto grease = t.open(uni, "21 aabbcc");
  const auto cut = t.open(uni, "40", true);
  t.open(uni, "02 3f45");
  t.open(uni, "03");
  t.open(uni, tests::to_hex(http3::control_stream_opening) + "21 03 aabbcc 07 01 00");
  const auto id = t.open(bidi, "21 02 aabb");
  t.say(id, tests::to_hex(::webtransport::headers_frame(fields_of(client_options().ask))));
  t.run();
  REQUIRE(t.tested.is_open());
  t.attach();
  t.say(id, "00 03 402100 00 02 4021 00 05 02aabb 4021 00 01 00 21 00");  // an unknown capsule, in pieces
  t.run();
  t.say(grease, "dd", true);
  t.run();
  CHECK(t.at(grease).stop == number(http3::code::stream_creation_error));
  CHECK(t.at(cut).stop == 0);
  CHECK(t.peer.closes == 0);
  CHECK(t.upper.closes == 0);
  CHECK(t.upper.streams.empty());
}

TEST_CASE("the client says why there is no session [seed 3.1.1]") {
  const auto answer = [](std::string protocol) { return fields_of(::webtransport::answer{200, protocol, {}, {}}); };
  struct {
    ::webtransport::header_fields fields;
    const char* why;
  } const bad[] = {
      {fields_of(::webtransport::answer{404, {}, {}, {}}), "the server refuses /room?x=1 with status 404"},
      {with({}, ":status", "302"), "the server refuses /room?x=1 with status 302"},
      {with({}, ":status", "2000"), "the server's answer has no status"},
      {{}, "the server's answer has no status"},
      {answer("moq-lite-06"), "the server answers with \"moq-lite-06\", which was not offered"},
      {answer(""), "the server names no version, so it knows none of ours"},
      {with(answer(""), "wt-protocol", "moq-lite-05"), "the server answers with moq-lite-05, which was not offered"},
  };
  for (const auto& b : bad) {
    by_hand t(role::client);
    t.welcome(b.fields);
    CHECK(!t.tested.is_open());
    CHECK(t.tested.is_over());
    CHECK(t.tested.why() == b.why);
    CHECK(t.peer.closes == 1);
  }
  by_hand no(role::client);
  no.open(uni, "00 04 00");
  no.run();
  CHECK(no.tested.why() == "the server's SETTINGS do not offer WebTransport");
  CHECK(no.at(stream_id{0}).data.empty());
  by_hand reset(role::client);
  reset.say_settings();
  reset.run();
  reset.ours().reset(stream_id{0}, number(http3::code::request_rejected));
  reset.run();
  CHECK(reset.tested.why() == "the server reset the request");
  by_hand fin(role::client);
  fin.say_settings();
  fin.run();
  fin.say(stream_id{0}, "", true);
  fin.run();
  CHECK(fin.tested.why() == "the server ended the request without an answer");
  by_hand silent(role::client);
  silent.run();
  CHECK(silent.tested.next_deadline() == instant{} + seconds(10));
  silent.tested.on_deadline(instant{} + seconds(10));
  CHECK(silent.tested.is_over());
  CHECK(silent.tested.why() == "no answer in time");
  CHECK(silent.tested.next_deadline() == never_due);
}

TEST_CASE(
    "the client's request is an extended CONNECT with the versions on offer; an interim answer is no answer [seed "
    "3.1.1]") {
  by_hand t(role::client);
  t.run();
  CHECK(t.at(stream_id{0}).data.empty());  // the server's SETTINGS come first
  CHECK(t.at(stream_id{2}).data == tests::to_hex(http3::control_stream_opening));
  t.say_settings();
  t.run();
  CHECK(fields_in(t.at(stream_id{0}).data) ==
        ":method=CONNECT;:protocol=webtransport;:scheme=https;:authority=localhost:4443;:path=/room?x=1;"
        "origin=https://localhost:4443;sec-webtransport-http3-draft02=1;"
        "wt-available-protocols=\"moq-lite-05\", \"moq-lite-04\";");
  t.say(stream_id{0}, tests::to_hex(::webtransport::headers_frame(with({}, ":status", "103"))));
  t.run();
  CHECK(!t.tested.is_open());
  t.say(stream_id{0},
        tests::to_hex(::webtransport::headers_frame(fields_of(::webtransport::answer{200, "moq-lite-04", {}, {}}))));
  t.run();
  CHECK(t.tested.is_open());
  CHECK(t.tested.protocol() == "moq-lite-04");
  CHECK(t.tested.next_deadline() == never_due);
}

TEST_CASE("the peer's end of a session is told once, whichever way it came [seed 3.1.1]") {
  for (const role side : {role::server, role::client}) {
    CAPTURE(static_cast<int>(side));
    const auto begin = [&](by_hand& t) {
      if (side == role::server) {
        t.session();
      } else {
        t.welcome();
        REQUIRE(t.tested.is_open());
        t.attach();
      }
    };
    const stream_id connect{0};
    {
      by_hand t(side);
      begin(t);
      t.say(connect, "00 0a 6843 07 000004d2 627965");
      t.run();
      CHECK(t.upper.closes == 1);
      CHECK(t.upper.closed.application);
      CHECK(t.upper.closed.code == 1234);
      CHECK(t.upper.reason == "bye");
      CHECK(t.at(connect).fin);
      CHECK(t.tested.is_over());
      CHECK(t.peer.closed.code == number(http3::code::no_error));
    }
    {
      by_hand t(side);
      begin(t);
      t.say(connect, "", true);
      t.run();
      CHECK(t.upper.closes == 1);
      CHECK(t.upper.closed.application);
      CHECK(t.upper.closed.code == 0);
    }
    for (const bool is_stop : {false, true}) {
      by_hand t(side);
      begin(t);
      if (is_stop)
        t.ours().stop(connect, number(http3::code::connect_error));
      else
        t.ours().reset(connect, number(http3::code::connect_error));
      t.run();
      CHECK(t.upper.closes == 1);
      CHECK(!t.upper.closed.application);
      CHECK(t.tested.is_over());
    }
    {
      by_hand t(side);
      begin(t);
      t.ours().close(wt::http_code(21), "mapped");  // as some stacks end it
      t.run();
      CHECK(t.upper.closes == 1);
      CHECK(t.upper.closed.application);
      CHECK(t.upper.closed.code == 21);
    }
    {
      by_hand t(side);
      begin(t);
      t.net.cut(9);
      t.run();
      CHECK(t.upper.closes == 1);
      CHECK(!t.upper.closed.application);
      CHECK(t.tested.is_over());
    }
    {
      by_hand t(side);
      begin(t);
      t.say(connect, "00 09 6843 05 000004d2 6200", false);  // a byte behind the end
      t.run();
      CHECK(t.upper.closes == 1);
      CHECK(t.peer.closed.code == number(http3::code::message_error));
    }
  }
}

TEST_CASE(
    "our own end of a session: capsule and FIN, then the connection, after the peer's answer or without [seed "
    "3.1.1]") {
  for (const bool answers : {true, false}) {
    by_hand t(role::server);
    const auto connect = t.session();
    const std::string before = t.at(connect).data;
    t.tested.close(21, "bye");
    t.tested.close(22, "once is enough");
    t.run();
    CHECK(t.at(connect).data.substr(before.size()) ==
          "000a684307000000156"
          "27965");
    CHECK(t.at(connect).fin);
    CHECK(t.peer.closes == 0);
    CHECK(t.tested.open(uni).status == transport_status::closed);
    CHECK(t.tested.next_deadline() == instant{} + milliseconds(500));
    if (answers) {
      t.say(connect, "", true);
      t.run();
      CHECK(t.peer.closes == 0);  // a browser would take that for a lost connection
      CHECK(t.tested.next_deadline() == instant{} + milliseconds(100));
    }
    t.tested.on_deadline(t.tested.next_deadline());
    t.run();
    CHECK(t.tested.is_over());
    CHECK(t.peer.closes == 1);
    CHECK(t.peer.closed.code == number(http3::code::no_error));
    CHECK(t.upper.closes == 0);
  }
}

TEST_CASE("datagrams go to the session that they name and are shorter than the connection's [seed 3.1.1]") {
  by_hand t(role::server);
  CHECK(t.ours().datagram(tests::from_hex("00aa")) == transport_status::ok);  // too early: lost, as datagrams may be
  t.run();
  t.session();
  CHECK(t.tested.max_datagram() == 1199);
  const std::vector<std::uint8_t> most(1199, 0x41), more(1200);
  CHECK(t.tested.datagram(most) == transport_status::ok);
  CHECK(t.tested.datagram(more) == transport_status::too_large);
  for (const char* d : {"00", "00aabb", "04cc"}) CHECK(t.ours().datagram(tests::from_hex(d)) == transport_status::ok);
  t.run();
  CHECK(t.upper.datagrams == std::vector<std::string>{"", "aabb"});
  REQUIRE(t.peer.datagrams.size() == 1);
  CHECK(t.peer.datagrams[0] == "00" + tests::to_hex(most));
}

TEST_CASE("thousands of streams come and go and nothing of them stays [seed 3.1.1]") {
  joined_link l({});
  conformance::listener a, b;
  for (int i = 0; i < 3000; ++i) {
    const auto id = l.a().open(i % 2 == 0 ? uni : bidi).id;
    a.streams[id];
    CHECK(conformance::bench<joined_link>::put(l.a(), id, "hello", i % 3 != 0).status == transport_status::ok);
    if (i % 3 == 0) l.a().reset(id, 1);
    while (l.step(a, b)) {
    }
    if (i % 2 != 0) CHECK(conformance::bench<joined_link>::put(l.b(), id, "", true).status == transport_status::ok);
    while (l.step(a, b)) {
    }
  }
  CHECK(a.broken + b.broken == 0);
  CHECK(l.client.streams() <= 3);  // both control streams and the request
  CHECK(l.server.streams() <= 3);
}

TEST_CASE(
    "whatever a peer writes, the layer ends the connection or goes on, and tells its session one end [seed 3.1.1]") {
  const std::string request = tests::to_hex(::webtransport::headers_frame(fields_of(client_options().ask)));
  const std::string welcome =
      tests::to_hex(::webtransport::headers_frame(fields_of(::webtransport::answer{200, "moq-lite-05", {}, {}})));
  const std::string settings = tests::to_hex(http3::control_stream_opening);
  const std::string pieces[] = {request,      welcome,      settings,        "405400",   "404100",
                                "00 01",      "6843 04 00", "00 04 6843 01", "21 05",    "40",
                                "0000000100", "04 02 3301", "c0000000",      "ffffffff", "800078ae00"};
  std::size_t opened = 0, broken = 0;
  for (unsigned seed = 1; seed <= 600; ++seed) {
    CAPTURE(seed);
    std::minstd_rand rng(seed);
    const role side = seed % 2 == 0 ? role::server : role::client;
    by_hand t(side, {.seed = seed, .chunk_max = 1 + rng() % 20});
    std::vector<stream_id> ours;
    if (rng() % 4 != 0) t.open(uni, settings);
    if (rng() % 4 != 0) {
      if (side == role::server) {
        ours.push_back(t.ask());
      } else {
        t.run();
        if (!t.tested.is_over() && t.peer.streams.count(0) != 0) {
          ours.push_back(stream_id{0});
          t.say(ours[0], welcome);
        }
      }
    }
    bool attached = false;
    for (int i = 0; i < 40 && t.peer.closes == 0; ++i) {
      if (t.tested.is_open() && !std::exchange(attached, true)) t.attach();
      if (attached && rng() % 3 == 0) {
        const auto r = t.tested.open(rng() % 2 == 0 ? uni : bidi);
        if (r.status == transport_status::ok && rng() % 2 == 0) t.tested.reset(r.id, rng());
      }
      const std::string& piece = pieces[rng() % std::size(pieces)];
      switch (rng() % 8) {
        case 0: ours.push_back(t.open(rng() % 2 == 0 ? uni : bidi)); break;
        case 1: CHECK(t.ours().datagram(tests::from_hex(piece)) == transport_status::ok); break;
        case 2:
          if (ours.empty()) break;
          t.ours().reset(ours.back(), rng());
          ours.pop_back();
          break;
        case 3:
          if (!ours.empty()) t.ours().stop(ours[rng() % ours.size()], rng());
          break;
        default: {
          if (ours.empty()) break;
          const std::size_t at = rng() % ours.size();
          const bool fin = rng() % 16 == 0;
          const auto b = tests::from_hex(piece.substr(0, rng() % 4 == 0 ? rng() % piece.size() : piece.size()));
          const chunk c{b.data(), b.size(), nullptr};
          const auto r = t.ours().write(ours[at], {&c, 1}, fin);
          if (r.status == transport_status::closed || (fin && r.status == transport_status::ok))
            ours.erase(ours.begin() + static_cast<std::ptrdiff_t>(at));
        }
      }
      if (rng() % 2 == 0) t.run();
    }
    t.run();
    CHECK(t.upper.closes <= 1);
    CHECK(t.peer.closes <= 1);
    CHECK(t.tested.is_over() == (t.peer.closes == 1));
    if (attached && t.tested.is_over()) CHECK(t.upper.closes == 1);
    opened += attached;
    broken += t.tested.is_over();
  }
  CHECK(opened > 100);
  CHECK(broken > 100);
  CHECK(broken < 600);
}
