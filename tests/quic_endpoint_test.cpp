// QUIC endpoints on real sockets of this machine, on a program's host.

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

#include "net/certificate.hpp"
#include "quic/endpoint.hpp"

using namespace moql;

namespace {

/// Files of this run, removed with it.
struct folder {
  folder() {
    std::string name = (std::filesystem::temp_directory_path() / "moql-quic-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  ~folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
  [[nodiscard]] std::string file(std::string_view name) const { return (path / name).string(); }
};

struct identity {
  std::string cert, key;
  net::certificate_hash hash{};
};
identity make_identity(const folder& f, const std::string& name, const net::certificate_options& o = {}) {
  std::string error;
  const auto c = net::make_certificate(error, o);
  REQUIRE(c.has_value());
  const identity i{f.file(name + ".crt"), f.file(name + ".key"), c->hash};
  REQUIRE(net::write_certificate(*c, i.cert, i.key, error));
  return i;
}
const folder& files() {
  static const folder f;
  return f;
}
const identity& good() {
  static const identity i = make_identity(files(), "good");
  return i;
}

/// Both ends of every connection are peers of one program here.
struct both_ends final : net::program {
  net::host host{*this};
  std::vector<std::string> unreachable;
  struct gone_peer {
    endpoint side;
    bool in_order;
    std::string text;
  };
  std::vector<gone_peer> gone;
  std::vector<session_closed> closed;
  std::vector<std::string> reasons;  // of `closed`
  std::size_t connections = 0;
  std::string path;
  std::function<void(net::peer&, const event&)> react = [](net::peer&, const event&) {};

  void on_event(net::peer& p, const event& e, instant) override {
    if (std::holds_alternative<connected>(e)) ++connections;
    if (const auto* s = std::get_if<peer_setup>(&e); s != nullptr && s->path) path = *s->path;
    if (const auto* c = std::get_if<session_closed>(&e)) {
      closed.push_back(*c);
      reasons.emplace_back(c->reason);
    }
    react(p, e);
  }
  void on_gone(net::peer& p, const net::ending& why) override {
    gone.push_back({p.session.side(), why.in_order, why.text});
  }
  void on_unreachable(const net::ending& why) override { unreachable.push_back(why.text); }

  /// Long enough for a machine that is busy with other things.
  template <class Done>
  bool until(Done&& done) {
    const instant end = host.now() + seconds(60);
    while (host.now() < end) {
      if (done()) return true;
      host.io().restart();
      host.io().run_one_for(std::chrono::milliseconds(100));
    }
    return false;
  }
  [[nodiscard]] net::peer& peer(endpoint side) {
    for (const auto& p : host.peers())
      if (p->session.side() == side) return *p;
    FAIL("no such peer");
    std::abort();
  }
  void close(endpoint side, session_code code, std::string_view reason) {
    peer(side).session.close(code, reason);
    host.touch();
  }
};

net::listen_options listening(const identity& i = good(), version_set v = always) {
  net::listen_options o;
  o.session.versions = v;
  o.protocols = net::protocols_of(v);
  o.cert_file = i.cert;
  o.key_file = i.key;
  return o;
}
net::dial_options dialling(version_set v = always) {
  net::dial_options o;
  o.session.versions = v;
  o.protocols = net::protocols_of(v);
  o.hashes = {good().hash};
  return o;
}
std::shared_ptr<quic::server> listen(both_ends& p, const net::listen_options& o) {
  std::string error;
  auto s = quic::listen(p.host, o, {}, error);
  REQUIRE_MESSAGE(s != nullptr, error);
  return s;
}
void dial(both_ends& p, const std::string& url, const net::dial_options& o) {
  const auto u = parse_url(url);
  REQUIRE(u.has_value());
  quic::dial(p.host, *u, o);
}
std::string at(std::uint16_t port, std::string_view rest = "") {
  return "moqt://127.0.0.1:" + std::to_string(port) + std::string(rest);
}

/// Dials what cannot be reached and returns why.
std::string failure(both_ends& p, const std::string& url, const net::dial_options& o) {
  p.unreachable.clear();
  dial(p, url, o);
  REQUIRE(p.until([&] { return !p.unreachable.empty(); }));
  CHECK(p.connections == 0);
  CHECK(p.unreachable[0].find('\n') == std::string::npos);
  return p.unreachable[0];
}

}  // namespace

TEST_CASE("every version connects over UDP, with the path in SETUP where there is one [seed 3.1.2] [seed 3.1]") {
  for (const auto& f : all_versions) {
    CAPTURE(f.name);
    both_ends p;
    const auto server = listen(p, listening());
    dial(p, at(server->port(), "/room?a=b"), dialling(only(f.id)));
    REQUIRE(p.until([&] { return p.connections == 2; }));
    net::peer& client = p.peer(endpoint::client);
    CHECK(client.transport() == "QUIC");
    CHECK(client.address() == "127.0.0.1:" + std::to_string(server->port()));
    CHECK(client.session.negotiated() == f.id);
    CHECK(p.peer(endpoint::server).session.negotiated() == f.id);
    if (has_setup(f.id)) {
      CHECK(p.until([&] { return !p.path.empty(); }));
      CHECK(p.path == "/room?a=b");
    }
  }
}

TEST_CASE("the server picks the protocol, by its own preference [seed 3.2]") {
  both_ends p;
  net::listen_options o = listening();
  o.protocols = {"moq-lite-04", "moq-lite-06"};
  const auto server = listen(p, o);
  dial(p, at(server->port()), dialling());
  REQUIRE(p.until([&] { return p.connections == 2; }));
  CHECK(p.peer(endpoint::client).session.negotiated() == lite04);
}

TEST_CASE("a server that speaks none of the offered versions is unreachable, and the client says so [seed 3.2]") {
  both_ends p;
  const auto server = listen(p, listening(good(), only(lite06)));
  const std::string why = failure(p, at(server->port()), dialling(only(lite03, lite04)));
  CHECK(why == at(server->port()) + ": the peer speaks none of the versions offered: moq-lite-04 and moq-lite-03");
  CHECK(p.host.peers().empty());
}

TEST_CASE("a certificate that is not trusted is told with the reason [seed 3.1.2]") {
  both_ends p;
  const auto server = listen(p, listening());
  const std::string of_it = ": the certificate of 127.0.0.1 ";
  net::dial_options o = dialling();
  o.hashes = {};
  CHECK(failure(p, at(server->port()), o)
            .find(of_it + "is not trusted: The certificate is NOT trusted. The "
                          "certificate issuer is unknown") != std::string::npos);
  o.hashes = {net::certificate_hash{1, 2, 3}};
  CHECK(failure(p, at(server->port()), o) == at(server->port()) + of_it + "has none of the expected hashes");
  o.hashes = {};
  o.ca_file = good().key;  // no certificate in it
  CHECK(failure(p, at(server->port()), o).find(": no certificate in " + good().key) != std::string::npos);
  o.ca_file = "/nonexistent";
  CHECK(failure(p, at(server->port()), o).find(": cannot read certificates from /nonexistent") != std::string::npos);

  const identity old = make_identity(files(), "old", {.starts_in_s = -3600, .lasts_s = 1800});
  const auto late = listen(p, listening(old));
  o.ca_file = old.cert;
  CHECK(failure(p, at(late->port()), o).find("The certificate chain uses expired certificate") != std::string::npos);

  net::listen_options elsewhere = listening();
  elsewhere.address = "127.0.0.2";
  const auto other = listen(p, elsewhere);
  o.ca_file = good().cert;
  CHECK(failure(p, "moqt://127.0.0.2:" + std::to_string(other->port()), o)
            .find("The name in the certificate does not match") != std::string::npos);
}

TEST_CASE("a certificate is good by its hash, by an authority, or because nobody asks [seed 3.1.2]") {
  for (int how = 0; how < 4; ++how) {
    CAPTURE(how);
    both_ends p;
    const auto server = listen(p, listening());
    net::dial_options o = dialling();
    if (how != 0) o.hashes = {};
    if (how == 1) o.insecure = true;
    if (how >= 2) o.ca_file = good().cert;
    const std::string host = how == 3 ? "localhost" : "127.0.0.1";
    dial(p, "moqt://" + host + ":" + std::to_string(server->port()), o);
    CHECK(p.until([&] { return p.connections == 2; }));
  }
}

TEST_CASE("IPv6 works as IPv4 does, and a name with addresses of both is tried at each [seed 3.1.2]") {
  both_ends p;
  net::listen_options o = listening();
  o.address = "::1";
  std::string error;
  const auto server = quic::listen(p.host, o, {}, error);
  if (server == nullptr) {
    MESSAGE("no IPv6 here: " << error);
    return;
  }
  const std::string port = std::to_string(server->port());
  for (const std::string host : {"[::1]", "localhost"}) {
    CAPTURE(host);
    p.connections = 0;
    dial(p, "moqt://" + host + ":" + port, dialling());
    const bool works = p.until([&] { return p.connections == 2 || !p.unreachable.empty(); });
    CHECK(works);
    if (host == "[::1]") CHECK(p.peer(endpoint::client).address() == "[::1]:" + port);
  }
}

TEST_CASE("a port that is in use and files that are no certificate are told in one line [seed 3.1.2]") {
  both_ends p;
  const auto server = listen(p, listening());
  const auto refused = [&](net::listen_options o) {
    std::string error;
    CHECK(quic::listen(p.host, o, {}, error) == nullptr);
    CHECK(error.find('\n') == std::string::npos);
    return error;
  };
  net::listen_options o = listening();
  o.port = server->port();
  CHECK(refused(o) == "cannot listen on UDP 127.0.0.1:" + std::to_string(o.port) + ": Address already in use");
  o = listening();
  o.address = "localhost";
  CHECK(refused(o) == "localhost is no IP address");
  o = listening();
  o.key_file = "/nonexistent";
  CHECK(refused(o).starts_with("cannot use " + o.cert_file + " and /nonexistent: "));
  o.cert_file = "";
  CHECK(refused(o) == "a QUIC server needs a certificate and its key");
}

TEST_CASE("where nobody listens, and where nobody answers, the client gives up and says so [seed 3.1.2]") {
  both_ends p;
  quic::udp_socket silent;
  std::string error;
  REQUIRE(silent.bind(quic::address::parse("127.0.0.1", 0), error));
  const std::uint16_t port = silent.local().port();
  net::dial_options o = dialling();
  o.handshake_timeout = milliseconds(300);
  CHECK(failure(p, at(port), o) == at(port) + ": no answer");
  silent.close();
  CHECK(failure(p, at(port), o) == at(port) + ": nobody listens there");
  o.protocols = {};
  CHECK(failure(p, at(port), o) == at(port) + ": no version to offer");
  CHECK(failure(p, "moqt://no.such.host.invalid:1", dialling()).starts_with("moqt://no.such.host.invalid:1: "));
}

TEST_CASE("a path that 05 does not have is told, and nothing is sent R-031 [seed 2.4.3]") {
  both_ends p;
  const auto server = listen(p, listening());
  const std::string why = failure(p, at(server->port(), "?b=c"), dialling(only(lite05)));
  CHECK(why == at(server->port()) + ": " + std::string(text_of(errc::bad_argument)));
}

TEST_CASE("either side closes with a code and a reason, and the other hears both [seed 3.5]") {
  for (const endpoint by : {endpoint::client, endpoint::server})
    for (const session_code code : {session_code::no_error, session_code::protocol_violation}) {
      CAPTURE(by == endpoint::client);
      both_ends p;
      const auto server = listen(p, listening());
      dial(p, at(server->port()), dialling());
      REQUIRE(p.until([&] { return p.connections == 2; }));
      p.close(by, code, "that was that");
      REQUIRE(p.until([&] { return p.gone.size() == 2; }));
      REQUIRE(p.closed.size() == 2);
      for (std::size_t i = 0; i < 2; ++i) {
        CHECK(p.closed[i].code == static_cast<std::uint64_t>(code));
        CHECK(p.reasons[i] == "that was that");
      }
      CHECK(p.closed[0].by_peer != p.closed[1].by_peer);
      const std::string said = net::named<session_code>(static_cast<std::uint64_t>(code)) + ": \"that was that\"";
      for (const auto& g : p.gone) {
        CHECK(g.in_order == (code == session_code::no_error));
        CHECK(g.text == (g.side == by ? "closed with " : "the peer closed the connection with ") + said);
      }
      CHECK(p.host.peers().empty());
    }
}

TEST_CASE("a server refuses more connections than it wants, and takes new ones when some are over [seed 10.1]") {
  both_ends p;
  net::listen_options o = listening();
  o.connections_max = 1;
  const auto server = listen(p, o);
  dial(p, at(server->port()), dialling());
  REQUIRE(p.until([&] { return p.connections == 2; }));
  dial(p, at(server->port()), dialling());
  REQUIRE(p.until([&] { return !p.unreachable.empty(); }));
  CHECK(p.unreachable[0] == at(server->port()) + ": the peer refuses the connection: \"too many connections\"");
  p.close(endpoint::client, session_code::no_error, "");
  REQUIRE(p.until([&] { return p.gone.size() == 2; }));
  const instant soon = p.host.now() + seconds(60);
  while (p.connections < 4 && p.host.now() < soon) {  // its end takes a moment
    p.unreachable.clear();
    dial(p, at(server->port()), dialling());
    REQUIRE(p.until([&] { return p.connections == 4 || !p.unreachable.empty(); }));
  }
  CHECK(p.connections == 4);
}

TEST_CASE("a server that is closed takes nobody new, and its peers live on [seed 3.1.2]") {
  both_ends p;
  auto server = listen(p, listening());
  const std::uint16_t port = server->port();
  dial(p, at(port), dialling());
  REQUIRE(p.until([&] { return p.connections == 2; }));
  server->close();
  server.reset();
  net::dial_options o = dialling();
  o.handshake_timeout = milliseconds(300);
  dial(p, at(port), o);
  REQUIRE(p.until([&] { return !p.unreachable.empty(); }));
  CHECK(p.unreachable[0] == at(port) + ": no answer");
  CHECK(p.host.peers().size() == 2);
  p.close(endpoint::server, session_code::no_error, "");
  REQUIRE(p.until([&] { return p.gone.size() == 2; }));
  p.host.io().restart();
  p.host.run();  // nothing is left to wait for
  const auto again = [&] {
    net::listen_options l = listening();
    l.port = port;
    return listen(p, l);
  }();
  CHECK(again->port() == port);
}

TEST_CASE("a client of a QUIC version that we do not know is told the one that we do [seed 3.1.2]") {
  both_ends p;
  const auto server = listen(p, listening());
  quic::udp_socket client;
  std::string error;
  REQUIRE(client.connect(quic::address::parse("127.0.0.1", server->port()), error));
  std::vector<std::uint8_t> packet(1200);
  const std::uint8_t head[] = {0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 4, 9, 9, 9, 9};
  std::copy(std::begin(head), std::end(head), packet.begin());
  REQUIRE(client.send(packet, packet.size(), quic::address::parse("127.0.0.1", server->port())) ==
          quic::udp_result::done);
  std::vector<std::uint8_t> answer(65536);
  quic::udp_socket::received r;
  REQUIRE(p.until([&] { return (r = client.receive(answer)).result == quic::udp_result::done; }));
  CHECK(r.size == 1 + 4 + 5 + 9 + 4);
  CHECK(std::vector<std::uint8_t>(answer.begin() + 1, answer.begin() + 10) ==
        std::vector<std::uint8_t>{0, 0, 0, 0, 4, 9, 9, 9, 9});
  CHECK(p.host.peers().empty());
}

TEST_CASE("bytes that are no QUIC change nothing [seed 10.1]") {
  both_ends p;
  const auto server = listen(p, listening());
  quic::udp_socket client;
  std::string error;
  REQUIRE(client.connect(quic::address::parse("127.0.0.1", server->port()), error));
  for (std::size_t n = 0; n < 200; ++n) {
    std::vector<std::uint8_t> junk(n * 7);
    for (std::size_t i = 0; i < junk.size(); ++i) junk[i] = static_cast<std::uint8_t>(i * n + (n & 1) * 0xc3);
    (void)client.send(junk, junk.size(), quic::address::parse("127.0.0.1", server->port()));
  }
  dial(p, at(server->port()), dialling());
  CHECK(p.until([&] { return p.connections == 2; }));
  CHECK(p.host.peers().size() == 2);
}

TEST_CASE("20 MB of groups cross real sockets unchanged [seed 3.1.2]") {
  both_ends p;
  const auto server = listen(p, listening());
  track_cache video({.max_age_ms = 600'000});
  std::uint64_t received = 0, wrong = 0, finished = 0;
  constexpr std::uint64_t groups = 40, frames = 32, size = 16'384;
  const std::string frame = [] {
    std::string s(size, '\0');
    for (std::size_t i = 0; i < size; ++i) s[i] = static_cast<char>(i * 7 >> 2);
    return s;
  }();
  p.react = [&](net::peer& peer, const event& e) {
    session& s = peer.session;
    if (std::holds_alternative<connected>(e) && s.side() == endpoint::client)
      CHECK(s.subscribe("room", "video", {.want = {.max_age_ms = 600'000}}, p.host.now()).has_value());
    if (const auto* r = std::get_if<track_requested>(&e)) CHECK(s.serve(r->request, video) == errc::ok);
    if (const auto* r = std::get_if<subscribe_requested>(&e)) {
      CHECK(s.serve(r->request, video) == errc::ok);
      for (std::uint64_t g = 0; g < groups; ++g) {
        CHECK(video.begin_group(p.host.now()) == errc::ok);
        for (std::uint64_t f = 0; f < frames; ++f) CHECK(video.append(g * frames + f, bytes::copy(frame)) == errc::ok);
        CHECK(video.end_group() == errc::ok);
      }
    }
    if (const auto* f = std::get_if<frame_part>(&e)) {
      received += f->payload.size();
      const auto part = std::string_view(frame).substr(static_cast<std::size_t>(f->offset), f->payload.size());
      wrong += f->payload.text() == part ? 0 : 1;
    }
    if (std::holds_alternative<group_finished>(e)) ++finished;
  };
  dial(p, at(server->port()), dialling(only(lite06)));
  CHECK(p.until([&] { return finished == groups; }));
  CHECK(received == groups * frames * size);
  CHECK(wrong == 0);
}
