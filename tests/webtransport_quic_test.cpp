/// WebTransport on real QUIC: joined in memory with loss and in virtual time, and on sockets of this host.

#include <doctest/doctest.h>

#include <webtransport/endpoint.hpp>

#include <fstream>

#include "conformance.hpp"
#include "net/own_certificate.hpp"
#include "pair.hpp"
#include "quic_link.hpp"

using namespace moql;
using testing::quic_link;
using testing::quic_link_options;
using testing::versions;
namespace conformance = testing::conformance;
using ::webtransport::role;

namespace {

using layer = ::webtransport::session<quic::connection>;

::webtransport::options options_for(role r, const std::vector<std::string>& protocols) {
  ::webtransport::options o;
  o.side = r;
  o.ask = {"localhost", "/room", protocols};
  o.offer.protocols = protocols;
  return o;
}

/// WebTransport at both ends of a QUIC connection.
class quic_wt_link {
 public:
  explicit quic_wt_link(quic_link_options o = {}, const std::vector<std::string>& protocols = {"moq-lite-06"})
      : loss_percent_(o.loss_percent),
        net_((o.protocols = {"h3"}, o)),
        client_(net_.a(), options_for(role::client, protocols), net_.now()),
        server_(net_.b(), options_for(role::server, protocols), net_.now()) {
    REQUIRE(net_.is_established());
    while (!(client_.is_open() && server_.is_open()) && step()) {
    }
    REQUIRE(client_.is_open());
    REQUIRE(server_.is_open());
  }
  layer& a() { return client_; }
  layer& b() { return server_; }
  [[nodiscard]] bool loses_datagrams() const { return loss_percent_ != 0; }
  template <class A, class B>
  bool step(A& x, B& y) {
    if (sink_a_ == nullptr) {
      sink_a_ = std::make_unique<net::events_to<A>>(x);
      sink_b_ = std::make_unique<net::events_to<B>>(y);
      client_.attach(*sink_a_);
      server_.attach(*sink_b_);
    }
    return step();
  }

 private:
  bool step() {
    service();
    const bool more = net_.step(client_, server_);
    const bool late_a = client_.flushed(), late_b = server_.flushed();
    service();
    return more || late_a || late_b;
  }
  void service() {
    client_.service(net_.now());
    server_.service(net_.now());
  }
  unsigned loss_percent_;
  quic_link net_;
  layer client_, server_;
  std::unique_ptr<net::transport_events> sink_a_{}, sink_b_{};
};

struct maker {
  quic_link_options options{};
  quic_wt_link operator()() const { return quic_wt_link(options); }
  quic_wt_link operator()(const conformance::wishes& w) const {
    quic_link_options o = options;
    if (w.streams != 0) o.streams_max = w.streams + 1;  // the request and the control stream
    if (w.stream_window != 0) o.stream_window = w.stream_window;
    return quic_wt_link(o);
  }
};

/// A program at one end of a real connection.
class program final : public net::program {
 public:
  std::vector<std::string> log{};
  std::function<void(net::peer&, const event&, instant)> react = [](net::peer&, const event&, instant) {};
  std::function<void()> over = [] {};
  void on_event(net::peer& p, const event& e, instant now) override {
    if (std::holds_alternative<connected>(e))
      log.push_back("connected " + std::string(p.transport()) + " " + std::string(p.request_path()));
    react(p, e, now);
  }
  void on_gone(net::peer&, const net::ending& why) override {
    log.push_back((why.in_order ? "gone: " : "lost: ") + why.text);
    over();
  }
  void on_unreachable(const net::ending& why) override {
    log.push_back("unreachable: " + why.text);
    over();
  }
};

/// A server and a client on the loop of one host each; both loops are run by turns.
struct hosts {
  program at_server{}, at_client{};
  net::host server_host{at_server}, client_host{at_client};
  net::certificate certificate{};
  std::shared_ptr<quic::server> server{};
  bool is_done = false;

  explicit hosts(version_set at_server_v = always) {
    std::string why;
    const auto c = net::load_or_make_certificate({}, {}, why);
    REQUIRE_MESSAGE(c.has_value(), why);
    net::listen_options o;
    o.session.versions = at_server_v;
    o.protocols = net::protocols_of(at_server_v);
    o.cert_file = c->cert_file;
    o.key_file = c->key_file;
    hash_hex = c->hash_hex;
    server = quic::listen(server_host, o, ::webtransport::accept(server_host, o), why);
    REQUIRE_MESSAGE(server != nullptr, why);
    at_client.over = [this] { is_done = true; };
  }
  std::string hash_hex{};
  [[nodiscard]] std::string url(std::string_view scheme, std::string_view path = "/room?x=1") const {
    return std::string(scheme) + "://127.0.0.1:" + std::to_string(server->port()) + std::string(path);
  }
  [[nodiscard]] net::dial_options dialling(version_set v) const {
    net::dial_options o;
    o.session.versions = v;
    o.protocols = net::protocols_of(v);
    o.hashes.push_back(*::webtransport::detail::hash_from_hex(hash_hex));
    return o;
  }
  void dial(const std::string& text, const net::dial_options& o) {
    ::webtransport::dial(client_host, *parse_url(text), o);
  }
  /// Until the client is done, for half a minute at most.
  void run() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!is_done && std::chrono::steady_clock::now() < until) {
      for (net::host* h : {&client_host, &server_host}) {
        h->io().restart();
        h->io().run_for(std::chrono::milliseconds(2));
      }
    }
    CHECK(is_done);
  }
};

}  // namespace

TEST_CASE("WebTransport on QUIC keeps what the transport contract promises [seed 3.1.1 3.1.2]") {
  conformance::check_adapter(maker{});
}

TEST_CASE("WebTransport on QUIC keeps its promises though every twentieth packet is lost [seed 3.1.1 3.1.2]") {
  for (const std::uint64_t seed : {1u, 2u}) {
    CAPTURE(seed);
    conformance::check_adapter(maker{{.seed = seed, .loss_percent = 5}});
  }
}

TEST_CASE("a session of every version runs over a WebTransport connection between two hosts [seed 3.1.1 d]") {
  for (const version v : versions) {
    CAPTURE(facts(v).name);
    hosts h;
    track_cache video({.max_age_ms = 600'000});
    REQUIRE(video.begin_group(h.server_host.now()) == errc::ok);
    REQUIRE(video.append(0, bytes::copy(std::string(100'000, 'x'))) == errc::ok);
    video.finish();
    h.at_server.react = [&](net::peer& p, const event& e, instant) {
      if (auto* r = std::get_if<subscribe_requested>(&e)) CHECK(p.session.serve(r->request, video) == errc::ok);
      if (auto* r = std::get_if<track_requested>(&e)) CHECK(p.session.serve(r->request, video) == errc::ok);
    };
    std::size_t heard = 0;
    h.at_client.react = [&](net::peer& p, const event& e, instant now) {
      if (std::holds_alternative<connected>(e)) {
        CHECK(p.session.negotiated() == v);
        CHECK(p.session.subscribe("room", "video", {.want = {.max_age_ms = 600'000}}, now).has_value());
      }
      if (auto* f = std::get_if<frame_part>(&e)) heard += f->payload.size();
      if (std::holds_alternative<subscription_closed>(e)) p.session.close(session_code::no_error, "enough");
    };
    h.dial(h.url("https"), h.dialling(only(v)));
    h.run();
    CHECK(heard == 100'000);
    CHECK(h.at_client.log == std::vector<std::string>{"connected WebTransport /room?x=1",
                                                      "gone: the session was closed with NO_ERROR (0x0): \"enough\""});
    REQUIRE(!h.at_server.log.empty());
    CHECK(h.at_server.log[0] == "connected WebTransport /room?x=1");
  }
}

TEST_CASE("who dials WebTransport in vain is told why [seed 3.1.1]") {
  {
    hosts h(only(lite05));
    h.dial(h.url("https"), h.dialling(only(lite06)));
    h.run();
    CHECK(h.at_client.log ==
          std::vector<std::string>{
              "lost: the server refuses /room?x=1 with status 400, perhaps for none of the versions offered"});
  }
  {
    hosts h;
    auto o = h.dialling(always);
    o.hashes[0][5] ^= 1;
    h.dial(h.url("https"), o);
    h.run();
    REQUIRE(h.at_client.log.size() == 1);
    CHECK(h.at_client.log[0].starts_with("unreachable: https://127.0.0.1:"));
  }
}

TEST_CASE("a http URL is dialled with the hash that the server gives over plain HTTP [seed 3.1.1]") {
  namespace asio = boost::asio;
  struct {
    const char* status;
    std::function<std::string(const hosts&)> body;
    const char* outcome;
  } const tries[] = {
      {"200 OK", [](const hosts& h) { return h.hash_hex + "\n"; }, "connected WebTransport /"},
      {"404 Not Found", [](const hosts&) { return std::string(); }, "/certificate.sha256: status 404"},
      {"200 OK", [](const hosts&) { return std::string("no hash"); }, "/certificate.sha256: no SHA-256 in hex"},
      {"200 OK", [](const hosts&) { return std::string(5000, 'a'); },
       "/certificate.sha256: an answer without a length, or too long"},
  };
  for (const auto& t : tries) {
    hosts h;
    h.at_client.react = [](net::peer& p, const event& e, instant) {
      if (std::holds_alternative<connected>(e)) p.session.close(session_code::no_error, {});
    };
    // The same port for TCP; if it is taken this test has nothing to say.
    asio::ip::tcp::acceptor web(h.server_host.io());
    boost::system::error_code busy;
    const asio::ip::tcp::endpoint at(asio::ip::make_address("127.0.0.1"), h.server->port());
    web.open(at.protocol());
    web.bind(at, busy);
    if (busy) continue;
    web.listen();
    asio::ip::tcp::socket client(h.server_host.io());
    std::string asked(1000, '\0');
    const std::string body = t.body(h);
    const std::string answer =
        std::string("HTTP/1.1 ") + t.status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    web.async_accept(client, [&](const boost::system::error_code& e) {
      REQUIRE(!e);
      client.async_read_some(asio::buffer(asked), [&](const boost::system::error_code&, std::size_t) {
        asio::async_write(client, asio::buffer(answer), [](const boost::system::error_code&, std::size_t) {});
      });
    });
    auto o = h.dialling(always);
    o.hashes.clear();
    h.dial(h.url("http", ""), o);
    h.run();
    CHECK(asked.starts_with("GET /certificate.sha256 HTTP/1.1\r\n"));
    REQUIRE(!h.at_client.log.empty());
    CHECK(h.at_client.log[0].find(t.outcome) != std::string::npos);
  }
}
