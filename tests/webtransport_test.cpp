/// The WebTransport binding: agreeing on a version in header fields, stream codes, and streams without numbers.

#include <doctest/doctest.h>

#include <moql/binding/webtransport.hpp>

#include "pair.hpp"

#include <map>

using namespace moql;
using testing::pair;
using testing::versions;
namespace wt = moql::webtransport;

namespace {

using tokens = std::vector<std::string_view>;

std::string offer_of(const tokens& t) {
  char out[256];
  const auto r = wt::build_offer(t, out);
  return r ? std::string(*r) : std::string(text_of(r.error()));
}
/// What the field holds, joined, or "malformed".
std::string strings_of(std::string_view field) {
  std::string all;
  wt::offer o(field);
  while (const auto q = o.next()) {
    char out[64];
    all += std::string(q->plain(out).value()) + "|";
  }
  CHECK(!o.next());
  return o.is_malformed() ? "malformed" : all;
}
std::string chosen(std::string_view field, const tokens& ours, wt::preference by = wt::preference::client) {
  const auto r = wt::choose(field, ours, by);
  return r ? std::string(*r) : std::string(text_of(r.error()));
}
std::string named(std::string_view field) {
  const auto q = wt::parse_protocol(field);
  char out[64];
  return q ? std::string(q->plain(out).value()) : "malformed";
}
const std::string none_in_common(text_of(errc::no_common_version));
const std::string malformed(text_of(errc::bad_argument));

static_assert(*wt::choose(R"("moqt-19", "moq-lite-04", "moql")", preferred_protocols) == "moq-lite-04");

}  // namespace

TEST_CASE("the offer keeps its order, the first token both know is chosen, unknown ones are skipped [seed 3.1.1 a]") {
  CHECK(offer_of({preferred_protocols.begin(), preferred_protocols.end()}) ==
        R"("moq-lite-06", "moq-lite-05", "moq-lite-04", "moq-lite-03", "moql")");
  CHECK(strings_of(R"("moq-lite-05", "moq-lite-04", "moql")") == "moq-lite-05|moq-lite-04|moql|");

  const tokens ours{"moq-lite-06", "moq-lite-05", "moq-lite-04"};
  CHECK(chosen(R"("moq-lite-04", "moq-lite-05")", ours) == "moq-lite-04");
  CHECK(chosen(R"("moq-lite-04", "moq-lite-05")", ours, wt::preference::server) == "moq-lite-05");
  CHECK(chosen(R"("moqt-19", "", "moq-lite-06-wip", "moq-lite-0", "moq-lite-05")", ours) == "moq-lite-05");
  CHECK(chosen(R"("MOQ-LITE-05", "moq-lite-04")", ours, wt::preference::server) == "moq-lite-04");

  CHECK(chosen(R"("moqt-19", "moql")", ours) == none_in_common);
  CHECK(chosen("", ours) == none_in_common);
  CHECK(chosen(R"("moq-lite-05")", {}) == none_in_common);
  // The table says what such a session is closed with.
  CHECK(detail::error_table[static_cast<std::size_t>(errc::no_common_version)].on_session ==
        session_code::version_negotiation_failed);
  CHECK(static_cast<std::uint64_t>(session_code::version_negotiation_failed) == 0x15);
}

TEST_CASE("the client takes an answer that it has offered and no other") {
  const tokens offered{"moq-lite-05", "moql"};
  CHECK(wt::confirm(R"("moql")", offered).value() == "moql");
  CHECK(wt::confirm(R"( "moq-lite-05";a=1 )", offered).value() == "moq-lite-05");
  CHECK(wt::confirm(R"("moq-lite-06")", offered).error() == errc::version_not_offered);
  CHECK(wt::confirm("moql", offered).error() == errc::bad_argument);
  char out[32];
  CHECK(wt::build_protocol("moq-lite-05", out).value() == R"("moq-lite-05")");
}

TEST_CASE("a malformed header is rejected as a whole [seed 3.1.1 b]") {
  for (const char* bad : {"moql",
                          R"("moql)",
                          R"(moql")",
                          R"("moql",)",
                          R"("moql", )",
                          R"(,"moql")",
                          R"("moql",,"a")",
                          R"("moql" "a")",
                          R"("moql"a)",
                          R"("moql", a)",
                          R"("moql", 1)",
                          R"(("moql"))",
                          R"("mo\ql")",
                          R"("moql\)",
                          R"("moql\")",
                          "\"mo\tql\"",
                          "\"mo\x7fql\"",
                          "\"mo\xc3\xa4\"",
                          "\t\"moql\"",
                          R"("moql";)",
                          R"("moql";A=1)",
                          R"("moql";a=)",
                          R"("moql";a="x)",
                          R"("moql";a=?2)",
                          R"("moql";a=1.)",
                          R"("moql";a=1.2345)",
                          R"("moql";a=1234567890123456)",
                          R"("moql";a=:YQ)",
                          R"("moql";a=@1.0)",
                          R"("moql";a=-)",
                          R"("moql";a=%"%4")",
                          R"("moql" ;a)",
                          R"("moql";a=[)"}) {
    CAPTURE(bad);
    CHECK(strings_of(bad) == "malformed");
    CHECK(chosen(bad, {"moql"}) == malformed);
    CHECK(chosen(bad, {"moql"}, wt::preference::server) == malformed);
    CHECK(named(bad) == "malformed");
  }
  CHECK(named("") == "malformed");
  CHECK(named(R"("moql", "moql")") == "malformed");
  // Odd, and well-formed: parameters mean nothing here.
  for (const char* good :
       {R"("moql","a")", R"(  "moql"  ,  "a"  )", "\"moql\"\t,\t\"a\"\t", R"("moql";x;*y-_.1=1;z=-1.5, "a")",
        R"("moql";a="q\"\\", "a";b=?1;c=:YQ==:;d=@-1;e=*t/o:k;f=%"%c3%a4" )", R"("moql"; a; b=x, "a")"}) {
    CAPTURE(good);
    CHECK(strings_of(good) == "moql|a|");
    CHECK(chosen(good, {"a"}) == "a");
  }
}

TEST_CASE("quotes and backslashes are escaped, other bytes have no place in a token") {
  const std::string odd = R"(a"b\c)";
  CHECK(offer_of({odd, ""}) == R"("a\"b\\c", "")");
  CHECK(strings_of(offer_of({odd, ""})) == odd + "||");
  CHECK(chosen(offer_of({odd}), {R"(a"b\)", R"(a"b\cd)", odd}) == odd);
  CHECK(named(R"("a\"b\\c")") == odd);
  char small[4];
  CHECK(wt::parse_protocol(R"("a\"b\\c")")->plain(small).error() == errc::no_room);
  CHECK(offer_of({}).empty());
  CHECK(offer_of({"a\n"}) == malformed);
  CHECK(offer_of({"\xc3\xa4"}) == malformed);
  char exact[10];  // "ab", "cd"
  const tokens two{"ab", "cd"};
  CHECK(wt::build_offer(two, exact).value() == R"("ab", "cd")");
  for (std::size_t n = 0; n < sizeof exact; ++n)
    CHECK(wt::build_offer(two, std::span(exact, n)).error() == errc::no_room);
}

TEST_CASE("cut anywhere, and with any byte changed, a header is read or refused without reading past its end") {
  const std::string whole = R"("a\"b";p="x\\";q=%"%41";r=:YQ:;s=1.5, "moql")";
  for (std::size_t n = 0; n <= whole.size(); ++n) {
    const std::vector<char> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
    (void)strings_of({cut.data(), n});
    (void)named({cut.data(), n});
    for (int c = 0; c < 256 && n < whole.size(); ++c) {
      std::vector<char> other(whole.begin(), whole.end());
      other[n] = static_cast<char>(c);
      (void)strings_of({other.data(), other.size()});
    }
  }
}

TEST_CASE("a stream code and its HTTP/3 code stand for one another [seed 3.1.1 c]") {
  for (const std::uint32_t n : {0u, 1u, 0x1eu - 1, 0x1eu, 0x1eu + 1, 0x1eu * 2, 300u, 0x7fffffffu, ~0u - 1, ~0u}) {
    CAPTURE(n);
    CHECK(wt::stream_code_of(wt::http_code(n)) == n);
  }
  CHECK(wt::http_code(0) == 0x52e4a40fa8db);
  CHECK(wt::http_code(0x1d) == 0x52e4a40fa8f8);
  CHECK(wt::http_code(0x1e) == 0x52e4a40fa8fa);  // ...f9 is reserved
  CHECK(wt::http_code(300) == 0x52e4a40faa11);
  CHECK(wt::http_code(~0u) == 0x52e5ac983162);
  CHECK(!wt::stream_code_of(0x52e4a40fa8f9));
  for (const std::uint64_t outside : {0x0ull, 0x10full, 0x52e4a40fa8daull, 0x52e5ac983163ull, ~0ull, 0x170d7b68ull})
    CHECK(!wt::stream_code_of(outside));
  // No two share one, and only the reserved ones are left out.
  std::uint32_t next = 0;
  for (std::uint64_t h = wt::first_http_code; h < wt::first_http_code + 100'000; ++h) {
    const auto n = wt::stream_code_of(h);
    CHECK(n.has_value() == ((h - 0x21) % 0x1f != 0));
    if (n) CHECK(*n == next++);
  }
  for (const auto code : {stream_code::wrong_size, application_code(7)})
    CHECK(wt::stream_code_of(wt::http_code(static_cast<std::uint32_t>(code))) == static_cast<std::uint32_t>(code));
}

// ---- a connection as WebTransport gives it: streams are objects without numbers, codes travel as HTTP/3 codes

namespace {

/// Both sides of a side's door: a transport towards the session, a sink towards the network. The stream ids of the
/// network never reach the session; it gets values of ours, in no order and with no meaning in their bits.
class numberless {
 public:
  numberless(session& s, loopback_network::endpoint& inner, std::uint64_t seed) : s_(s), inner_(inner), seed_(seed) {}

  // Transport.
  open_result open(direction d) noexcept {
    open_result r = inner_.open(d);
    if (r.status == transport_status::ok) r.id = alias(r.id);
    return r;
  }
  write_result write(stream_id id, std::span<const chunk> c, bool fin) noexcept {
    return inner_.write(real(id), c, fin);
  }
  void reset(stream_id id, std::uint64_t code) noexcept { inner_.reset(real(id), to_http(code)); }
  void stop(stream_id id, std::uint64_t code) noexcept { inner_.stop(real(id), to_http(code)); }
  void close(std::uint64_t code, std::string_view reason) noexcept { inner_.close(code, reason); }
  [[nodiscard]] std::string_view protocol() const noexcept { return inner_.protocol(); }
  void consume(stream_id id, std::size_t n) noexcept { inner_.consume(real(id), n); }
  void priority(stream_id id, std::int32_t order) noexcept { inner_.priority(real(id), order); }
  transport_status datagram(byte_view d) noexcept { return inner_.datagram(d); }
  [[nodiscard]] std::size_t max_datagram() const noexcept { return inner_.max_datagram(); }
  [[nodiscard]] transport_stats stats() const noexcept { return inner_.stats(); }

  // Sink.
  void on_open(stream_id id, direction d, instant now) noexcept { s_.on_open(alias(id), d, now); }
  void on_data(stream_id id, bytes data, bool fin, instant now) noexcept {
    s_.on_data(known(id), std::move(data), fin, now);
  }
  void on_reset(stream_id id, std::uint64_t code, instant now) noexcept {
    s_.on_reset(known(id), from_http(code), now);
  }
  void on_stop(stream_id id, std::uint64_t code, instant now) noexcept { s_.on_stop(known(id), from_http(code), now); }
  void on_writable(stream_id id) noexcept { s_.on_writable(known(id)); }
  void on_credit(direction d) noexcept { s_.on_credit(d); }
  void on_datagram(bytes d, instant now) noexcept { s_.on_datagram(std::move(d), now); }
  void on_close(const close_info& why, instant now) noexcept { s_.on_close(why, now); }

  std::size_t strangers = 0;  ///< Ids that were never given out, on either side.
  std::size_t codes = 0;      ///< That came through and could be mapped back.
  [[nodiscard]] std::size_t streams() const { return to_alias_.size(); }

 private:
  stream_id alias(stream_id id) {
    seed_ = seed_ * 6364136223846793005u + 1442695040888963407u;
    const auto own = static_cast<stream_id>(seed_ ^ seed_ >> 31);
    if (own == no_stream || to_real_.count(own) != 0 || !to_alias_.emplace(id, own).second) ++strangers;
    to_real_.emplace(own, id);
    return own;
  }
  stream_id find(const std::map<stream_id, stream_id>& in, stream_id id) {
    const auto i = in.find(id);
    if (i == in.end()) ++strangers;
    return i == in.end() ? no_stream : i->second;
  }
  stream_id real(stream_id own) { return find(to_real_, own); }
  stream_id known(stream_id id) { return find(to_alias_, id); }
  std::uint64_t to_http(std::uint64_t code) {
    if (code > ~std::uint32_t{0}) ++strangers;
    return wt::http_code(static_cast<std::uint32_t>(code));
  }
  std::uint64_t from_http(std::uint64_t http) {
    const auto n = wt::stream_code_of(http);
    codes += n.has_value();
    return n ? *n : no_code;
  }

  session& s_;
  loopback_network::endpoint& inner_;
  std::uint64_t seed_;
  std::map<stream_id, stream_id> to_real_;
  std::map<stream_id, stream_id> to_alias_;
};
static_assert(transport<numberless> && transport_sink<numberless>);

config on_webtransport() {
  config c;
  c.over = binding::webtransport;
  return c;
}

/// As `pair`, through `numberless` on both sides.
struct numberless_pair : pair {
  numberless a{client.session, net.a(), 0x9e3779b97f4a7c15};
  numberless b{server.session, net.b(), 0x0123456789abcdef};
  explicit numberless_pair(version v, const loopback_options& o = {})
      : pair(v, o, on_webtransport(), on_webtransport()) {}

  void pump_all() {
    drain(client);
    drain(server);
    moql::pump(client.session, a, net.now());
    moql::pump(server.session, b, net.now());
  }
  void run_all() {
    pump_all();
    for (std::size_t i = 0; i < 2'000'000 && net.step(a, b); ++i) pump_all();
    pump_all();
  }
  /// Lets time pass, deadline by deadline.
  void wait_all(duration d) {
    const instant until = net.now() + d;
    for (run_all();; run_all()) {
      const instant mine = client.session.next_deadline();
      const instant theirs = server.session.next_deadline();
      const instant next = mine < theirs ? mine : theirs;
      if (next > until) break;
      net.advance_to(next);
    }
    net.advance_to(until);
    run_all();
  }
};

void serve_all(numberless_pair& p, track_cache& t) {
  p.server.react = [&t](session& s, const event& e) {
    if (auto* r = std::get_if<subscribe_requested>(&e)) {
      if (s.serve(r->request, t) != errc::ok) FAIL_CHECK("not served");
    }
    if (auto* r = std::get_if<track_requested>(&e)) {
      if (s.serve(r->request, t) != errc::ok) FAIL_CHECK("not served");
    }
  };
}

}  // namespace

TEST_CASE("a session works on a transport whose stream ids mean nothing, in every version [seed 3.1.1 d]") {
  loopback_options calm;
  calm.max_datagram = 0;  // the flag may be off
  loopback_options rough;
  rough.seed = 7;
  rough.chunk_max = 3;
  rough.delay_max = milliseconds(20);
  rough.reorder_streams = true;
  rough.write_max = 5;
  rough.stream_window = 16;
  rough.streams_uni = 4;
  for (const version v : versions)
    for (const loopback_options& o : {calm, rough}) {
      CAPTURE(facts(v).name);
      CAPTURE(o.seed);
      numberless_pair p(v, o);
      track_cache video({.timescale = 90'000});
      serve_all(p, video);
      p.start();
      p.run_all();
      REQUIRE(p.client.count<connected>() == 1);
      REQUIRE(p.server.count<connected>() == 1);
      CHECK(p.client.session.negotiated() == v);

      const auto announcement = p.server.session.announce("room/alice");
      REQUIRE(announcement.has_value());
      CHECK(p.client.session.discover("room", p.net.now()).has_value());
      p.run_all();
      REQUIRE(p.client.count<announced>() == 1);
      CHECK(p.client.all<announced>()[0].path == "room/alice");

      REQUIRE(video.begin_group(p.net.now()) == errc::ok);
      REQUIRE(video.append(1000, bytes::copy("key")) == errc::ok);
      REQUIRE(video.append(2000, bytes::copy("a longer delta frame")) == errc::ok);
      REQUIRE(
          p.client.session.subscribe("room/alice", "video", {.want = {.max_age_ms = 60'000}}, p.net.now()).has_value());
      p.run_all();
      for (int i = 0; i < 9; ++i) {
        REQUIRE(video.begin_group(p.net.now()) == errc::ok);
        REQUIRE(video.append(static_cast<std::uint64_t>(3000 + i), bytes::copy("frame")) == errc::ok);
        p.run_all();
      }
      video.finish();
      p.wait_all(seconds(5));
      std::size_t bytes_heard = 0;
      for (const auto& h : p.client.all<frame_part>()) bytes_heard += h.payload.size();
      CHECK(bytes_heard == 3 + 20 + 9 * 5);
      CHECK(p.client.count<group_started>() == 10);
      CHECK(p.client.count<group_finished>() == 10);
      REQUIRE(p.client.count<subscription_closed>() == 1);
      CHECK(p.client.first<subscription_closed>().why == errc::ok);

      CHECK(p.server.session.withdraw(*announcement) == errc::ok);
      p.run_all();
      CHECK(p.client.count<announce_ended>() == 1);
      p.client.session.close(session_code::no_error, "done");
      p.run_all();
      REQUIRE(p.server.count<session_closed>() == 1);
      CHECK(p.server.first<session_closed>().code == 0);
      CHECK(p.a.strangers + p.b.strangers == 0);
      CHECK(p.a.streams() >= 12);
      CHECK(p.a.streams() == p.b.streams());
      CHECK_MESSAGE(p.net.violations() == 0, p.net.last_violation());
    }
}

TEST_CASE("a stream code reaches the other session through the HTTP/3 code it travels as [seed 3.1.1 d]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    numberless_pair p(v);
    p.server.react = [](session& s, const event& e) {
      if (auto* r = std::get_if<subscribe_requested>(&e)) s.reject(r->request, application_code(0x1e));
      if (auto* r = std::get_if<track_requested>(&e)) s.reject(r->request, application_code(0x1e));
    };
    p.start();
    p.run_all();
    REQUIRE(p.client.session.subscribe("a", "b", {}, p.net.now()).has_value());
    p.run_all();
    REQUIRE(p.client.count<subscription_closed>() == 1);
    CHECK(p.client.first<subscription_closed>().code == 64 + 0x1e);
    CHECK(p.a.codes >= 1);
    CHECK(p.a.strangers + p.b.strangers == 0);
    CHECK_MESSAGE(p.net.violations() == 0, p.net.last_violation());
  }
}
