/// URLs taken apart, and what of them travels on which binding.

#include <doctest/doctest.h>

#include <moql/binding/url.hpp>

#include "peer.hpp"

using namespace moql;
using testing::peer;

namespace {

struct faulty {
  url_fault what;
  std::size_t at;
  friend bool operator==(const faulty&, const faulty&) = default;
};
faulty fault_of(std::string_view in) {
  url_error why;
  const auto u = parse_url(in, &why);
  CHECK(u.has_value() == (why.what == url_fault::none));
  if (!u) CHECK(u.error() == errc::bad_argument);
  return {why.what, why.at};
}
bool is_fine(std::string_view in) { return fault_of(in) == faulty{url_fault::none, 0}; }
std::string request_of(std::string_view in) {
  const auto u = parse_url(in);
  REQUIRE(u.has_value());
  return std::string(request_path(*u));
}
/// The SETUP that a client which dials this URL sends.
std::string setup_sent(std::string_view in, version v, binding b) {
  const auto u = parse_url(in);
  REQUIRE(u.has_value());
  config c;
  c.over = b;
  c.path = setup_path(*u, carries_uri(b));
  peer p(v, endpoint::client, c);
  CHECK(p.start() == errc::ok);
  CHECK(p.net.broken_promises == 0);
  return p.sent(p.ours(direction::uni).at(0));
}

static_assert(parse_url("moqt://[::1]:4433/live?token=x")->port == 4433);
static_assert(request_path(*parse_url("moqt://[::1]:4433/live?token=x")) == "/live?token=x");
static_assert(!parse_url("moqt:/a").has_value());

constexpr std::string_view live = "://[::1]:4433/live?token=x";
const std::string live_path =
    tests::to_hex(std::vector<std::uint8_t>{'/', 'l', 'i', 'v', 'e', '?', 't', 'o', 'k', 'e', 'n', '=', 'x'});
const std::string live_setup = "011001020d" + live_path;  // 16 bytes: one parameter, Path, 13 bytes

}  // namespace

TEST_CASE("a URL of each scheme gives host, port and a Path of path and query [seed 2.4.3 a]") {
  for (const auto& f : url_schemes) {
    CAPTURE(f.name);
    const std::string in = std::string(f.name) + std::string(live);
    const auto u = parse_url(in);
    REQUIRE(u.has_value());
    CHECK(u->id == f.id);
    CHECK(u->scheme == f.name);
    CHECK(u->host == "::1");
    CHECK(u->is_ipv6);
    CHECK(u->authority == "[::1]:4433");
    CHECK(u->port == 4433);
    CHECK(u->port_text == "4433");
    CHECK(u->path == "/live");
    CHECK(u->query == "token=x");
    CHECK(!u->has_userinfo);
    CHECK(!u->has_fragment);
    CHECK(request_path(*u) == "/live?token=x");
    CHECK(setup_path(*u, false) == "/live?token=x");
    CHECK(request_path(*u).data() == in.data() + in.find("/live"));  // a view of what was given
  }
  for (const version v : {lite05, lite06})
    for (const binding b : {binding::quic, binding::qmux_tls}) {
      CHECK(setup_sent("moqt" + std::string(live), v, b) == live_setup);
      CHECK(setup_sent("moql" + std::string(live), v, b) == live_setup);
    }
}

TEST_CASE("where the binding carries a URI the path is in its request and not in SETUP [seed 2.4.3 b]") {
  for (const version v : {lite05, lite06}) {
    CHECK(setup_sent("https" + std::string(live), v, binding::webtransport) == "010100");
    CHECK(setup_sent("wss" + std::string(live), v, binding::qmux_websocket) == "010100");
  }
  for (const char* scheme : {"https", "http", "wss", "ws"}) {
    const std::string in = scheme + std::string(live);
    const auto u = parse_url(in);
    REQUIRE(u.has_value());
    CHECK(setup_path(*u, true).empty());
    CHECK(request_target(*u, {}).value() == "/live?token=x");
  }
  const auto target = [](std::string_view in) {
    char out[16];
    const auto u = parse_url(in);
    REQUIRE(u.has_value());
    const auto t = request_target(*u, out);
    return t ? std::string(*t) : std::string(text_of(t.error()));
  };
  CHECK(target("https://a") == "/");
  CHECK(target("https://a?") == "/");
  CHECK(target("https://a/?") == "/");
  CHECK(target("https://a?b=c") == "/?b=c");
  CHECK(target("https://a?12345678901234") == "/?12345678901234");
  CHECK(target("https://a?123456789012345") == text_of(errc::no_room));
}

TEST_CASE("a SETUP of the server with a Path, empty or not, makes the client close with 3 R-037 [seed 2.4.3 c]") {
  for (const version v : {lite05, lite06})
    for (const binding b : {binding::quic, binding::webtransport, binding::qmux_tls, binding::qmux_websocket})
      for (const char* setup : {"01040102012f", "0103010200",
                                "0105010202"
                                "2f61",
                                "0104010201"
                                "61"}) {
        CAPTURE(setup);
        config c;
        c.over = b;
        peer p(v, endpoint::client, c);
        (void)p.start();
        p.open(direction::uni, setup, true);
        CHECK(p.net.close_code == 3);
        CHECK(p.x.count<session_closed>() == 1);
        CHECK(p.x.count<peer_setup>() == 0);
        CHECK(p.net.broken_promises == 0);
      }
}

TEST_CASE("no path, a bare question mark and a fragment: nothing is invented and nothing leaks [seed 2.4.3 d]") {
  CHECK(request_of("moqt://a").empty());
  CHECK(request_of("moqt://a/") == "/");
  CHECK(request_of("moqt://a?").empty());
  CHECK(request_of("moqt://a/?") == "/");
  CHECK(request_of("moqt://a/live?") == "/live");
  CHECK(request_of("moqt://a?b=c") == "?b=c");
  CHECK(request_of("moqt://a/b?c?d/e") == "/b?c?d/e");
  CHECK(request_of("moqt://a//b/") == "//b/");
  CHECK(request_of("moqt://a/b%20c?d=%2f") == "/b%20c?d=%2f");
  for (const char* in : {"moqt://a#f", "moqt://a#/f", "moqt://a#?f", "moqt://a?#f", "moqt://a#f#g"}) {
    CAPTURE(in);
    CHECK(request_of(in).empty());
    CHECK(parse_url(in)->has_fragment);
  }
  CHECK(request_of("moqt://a/b#f?g") == "/b");
  CHECK(request_of("moqt://a/b?c#f") == "/b?c");
  CHECK(request_of("moqt://a/b?#f") == "/b");
  CHECK(parse_url("moqt://a/b#")->has_fragment);
  CHECK(!parse_url("moqt://a/b%23")->has_fragment);
  // On the wire: 06 sends no Path then, 05 must send one and sends the shortest.
  for (const char* in : {"moqt://a", "moqt://a?", "moqt://a#f", "moqt://a?#f"}) {
    CHECK(setup_sent(in, lite06, binding::quic) == "010100");
    CHECK(setup_sent(in, lite05, binding::quic) == "01040102012f");
  }
  CHECK(setup_sent("moqt://a/#f", lite06, binding::quic) == "01040102012f");
  CHECK(setup_sent("moqt://a?b", lite06, binding::quic) ==
        "0105010202"
        "3f62");
}

TEST_CASE("the port is the one of the URL or of its scheme, and tcp has none") {
  const auto port = [](std::string_view in) { return parse_url(in).has_value() ? parse_url(in)->port : 0; };
  CHECK(port("moqt://a") == 443);
  CHECK(port("moql://a/b") == 443);
  CHECK(port("https://[::1]") == 443);
  CHECK(port("http://a") == 80);
  CHECK(port("wss://a?x") == 443);
  CHECK(port("ws://a") == 80);
  CHECK(port("https://a:/b") == 443);  // a lone colon
  CHECK(parse_url("https://a:/b")->port_text.empty());
  CHECK(port("tcp://a:65535") == 65535);
  CHECK(port("ws://a:00001") == 1);
  CHECK(fault_of("tcp://a/b") == faulty{url_fault::no_port, 7});
  CHECK(fault_of("tcp://a:") == faulty{url_fault::no_port, 8});
  for (const char* in : {"tcp://a:0", "tcp://a:65536", "tcp://a:4294967297", "tcp://a:-1", "tcp://a:1:2", "tcp://a: 1"})
    CHECK(fault_of(in) == faulty{url_fault::bad_port, 8});
}

TEST_CASE("userinfo is dropped and reported, and shows up nowhere") {
  const auto u = parse_url("HTTPS://me:secret%40@Example.org:1/p");
  REQUIRE(u.has_value());
  CHECK(u->scheme == "https");
  CHECK(u->host == "Example.org");
  CHECK(u->authority == "Example.org:1");
  CHECK(u->has_userinfo);
  CHECK(parse_url("ws://@a")->has_userinfo);
  CHECK(!parse_url("ws://a/@b?c@d")->has_userinfo);
  CHECK(parse_url("ws://a/@b?c@d")->host == "a");
  CHECK(fault_of("ws://a@b@c") == faulty{url_fault::bad_host, 8});  // which of them is the host?
  CHECK(fault_of("ws://a\\@b") == faulty{url_fault::bad_userinfo, 6});
}

TEST_CASE("what is wrong with a URL is told, and where") {
  CHECK(fault_of("") == faulty{url_fault::no_scheme, 0});
  CHECK(fault_of("a") == faulty{url_fault::no_scheme, 0});
  CHECK(fault_of("://a") == faulty{url_fault::no_scheme, 0});
  CHECK(fault_of("#moqt://a") == faulty{url_fault::no_scheme, 0});
  CHECK(fault_of("ftp://a") == faulty{url_fault::unknown_scheme, 0});
  CHECK(fault_of("moqts://a") == faulty{url_fault::unknown_scheme, 0});
  CHECK(fault_of(" moqt://a") == faulty{url_fault::unknown_scheme, 0});
  CHECK(fault_of("moqt:") == faulty{url_fault::no_authority, 5});
  CHECK(fault_of("moqt:/a") == faulty{url_fault::no_authority, 5});
  CHECK(fault_of("moqt://") == faulty{url_fault::no_host, 7});
  CHECK(fault_of("moqt:///a") == faulty{url_fault::no_host, 7});
  CHECK(fault_of("moqt://?a") == faulty{url_fault::no_host, 7});
  CHECK(fault_of("moqt://:1") == faulty{url_fault::no_host, 7});
  CHECK(fault_of("moqt://u@/a") == faulty{url_fault::no_host, 9});
  CHECK(fault_of("moqt://a b") == faulty{url_fault::bad_host, 8});
  CHECK(fault_of("moqt://a%4") == faulty{url_fault::bad_host, 8});
  CHECK(fault_of("moqt://a]") == faulty{url_fault::bad_host, 8});
  CHECK(fault_of("moqt://[::1]a") == faulty{url_fault::bad_host, 12});
  CHECK(fault_of("moqt://[::1") == faulty{url_fault::bad_ipv6, 7});
  CHECK(fault_of("moqt://::1") == faulty{url_fault::no_host, 7});
  CHECK(fault_of("moqt://a/b c") == faulty{url_fault::bad_path, 10});
  CHECK(fault_of("moqt://a/%g0") == faulty{url_fault::bad_path, 9});
  CHECK(fault_of("moqt://a/\xc3\xa4") == faulty{url_fault::bad_path, 9});
  CHECK(fault_of(std::string_view("moqt://a/\0", 10)) == faulty{url_fault::bad_path, 9});
  CHECK(fault_of("moqt://a/b?c\r\nd") == faulty{url_fault::bad_query, 12});
  CHECK(fault_of("moqt://a?%2") == faulty{url_fault::bad_query, 9});
  for (int f = 0; f <= static_cast<int>(url_fault::bad_query); ++f) CHECK(!text_of(static_cast<url_fault>(f)).empty());
  CHECK(is_fine("moqt://a-b_c.d~!$&'()*+,;=%20:1/:@!$&'()*+,;=-._~?/?:@"));
}

TEST_CASE("an IPv6 address is one only if it is well-formed") {
  for (const char* good : {"::", "::1", "1::", "1:2:3:4:5:6:7:8", "2001:DB8::a", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8",
                           "1::3:4:5:6:7:8", "::ffff:192.0.2.1", "1:2:3:4:5:6:192.0.2.255", "::0.0.0.0"}) {
    CAPTURE(good);
    CHECK(is_fine("moqt://[" + std::string(good) + "]"));
  }
  for (const char* bad : {"",
                          ":",
                          ":::",
                          "1",
                          "1:",
                          ":1",
                          "1:2:3:4:5:6:7",
                          "1:2:3:4:5:6:7:8:9",
                          "1:2:3:4:5:6:7:8::",
                          "1::2::3",
                          "12345::",
                          "::g",
                          "1:::2",
                          "::1.2.3",
                          "::1.2.3.4.5",
                          "::256.0.0.1",
                          "::01.2.3.4",
                          "1.2.3.4",
                          "1:2:3:4:5:6:7:1.2.3.4",
                          "::1.2.3.4:5",
                          "fe80::1%25eth0",
                          "v1.a",
                          " ::1"}) {
    CAPTURE(bad);
    CHECK(fault_of("moqt://[" + std::string(bad) + "]") == faulty{url_fault::bad_ipv6, 7});
  }
}

TEST_CASE("cut anywhere, and with any byte changed, a URL is parsed or refused without reading past its end") {
  const std::string whole = "https://u:p@[2001:db8::1.2.3.4]:4433/live/%41?token=x#frag";
  CHECK(is_fine(whole));
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const std::vector<char> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));  // its end is guarded
    (void)fault_of({cut.data(), n});
    for (int c = 0; c < 256; ++c) {
      std::vector<char> other(whole.begin(), whole.end());
      other[n] = static_cast<char>(c);
      url_error why;
      (void)parse_url({other.data(), other.size()}, &why);
      CHECK(why.at <= other.size());
    }
  }
}

TEST_CASE("a redirect stays with its scheme and is a URL that can be dialled R-159 R-165") {
  static_assert(may_redirect("https://a.example/x", "https://b.example:4443/y?z"));
  const std::string_view from = "https://a.example/room";
  for (const auto* to : {"", "https://a.example/room", "HTTPS://b.example", "https://[2001:db8::1]:443/x"})
    CHECK(may_redirect(from, to));
  for (const auto* to :
       {"http://a.example/room", "moqt://a.example", "wss://a.example", "gopher://a.example", "https:/a.example",
        "https://", "https://:443", "https://a.example:0", "https://a.example:70000", "https://a.example:x",
        "https://a b.example", "https://a.example/a b", "//a.example", "room", "https://b.example@a.example", "\n"})
    CHECK_FALSE(may_redirect(from, to));
  CHECK(may_redirect("tcp://a.example:4443", "tcp://b.example:4444"));
  CHECK_FALSE(may_redirect("tcp://a.example:4443", "tcp://b.example"));  // there is no default port
  CHECK_FALSE(may_redirect("nonsense", "https://a.example"));
}
