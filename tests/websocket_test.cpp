// QMux over real sockets on this machine, TCP and WebSocket: the same questions as to every other transport.

#include "websocket/endpoint.hpp"

#include <boost/asio/read.hpp>

#include "conformance.hpp"

using namespace moql;

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;
using web = beast::websocket::stream<tcp::socket>;

/// Two TCP sockets joined through the machine's own network.
struct sockets {
  asio::io_context io;
  tcp::socket a{io}, b{io};
  sockets() {
    tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
    a.connect(acceptor.local_endpoint());
    acceptor.accept(b);
    for (tcp::socket* s : {&a, &b}) s->set_option(tcp::no_delay(true));
  }
};

/// What both links share: two connections, and steps that move what one side wants to write to the other.
template <class Derived>
class qmux_link {
 public:
  qmux_link(qmux::carrier over, const testing::conformance::wishes& w) {
    for (const unsigned side : {0u, 1u}) {
      qmux::config c;
      c.who = side == 0 ? qmux::side::client : qmux::side::server;
      c.over = over;
      c.protocol = "moq-lite-06";
      if (w.streams != 0) c.caps.max_streams_bidi = c.caps.max_streams_uni = w.streams;
      if (w.stream_window != 0) c.caps.max_stream_data = w.stream_window;
      sides_[side].emplace(c, now());
    }
  }
  qmux::connection& a() { return *sides_[0]; }
  qmux::connection& b() { return *sides_[1]; }
  template <class A, class B>
  bool step(A& sink_a, B& sink_b) {
    const bool moved_a = move(0, sink_a, sink_b);
    const bool moved_b = move(1, sink_b, sink_a);
    return moved_a || moved_b;
  }

 protected:
  [[nodiscard]] static instant now() { return {1'000'000}; }

 private:
  template <class From, class To>
  bool move(unsigned from, From& sink_from, To& sink_to) {
    qmux::connection& x = *sides_[from];
    const auto out = x.output();
    if (out.empty()) {
      if (x.wish() == qmux::wish::keep || std::exchange(is_over_[from], true)) return false;
      sides_[1 - from]->on_transport_closed(sink_to, now());
      return true;
    }
    std::vector<asio::const_buffer> pieces;
    for (const byte_view p : out) pieces.emplace_back(p.data(), p.size());
    const std::size_t n = static_cast<Derived*>(this)->write(from, pieces);
    x.on_sent(sink_from, n, now());
    static_cast<Derived*>(this)->read(1 - from, n, *sides_[1 - from], sink_to);
    return true;
  }
  std::optional<qmux::connection> sides_[2];
  bool is_over_[2] = {false, false};
};

class tcp_link : public qmux_link<tcp_link> {
 public:
  explicit tcp_link(const testing::conformance::wishes& w) : qmux_link(qmux::carrier::byte_stream, w) {
    testing::conformance::listener nobody_a, nobody_b;
    while (step(nobody_a, nobody_b)) {
    }
  }
  std::size_t write(unsigned side, const std::vector<asio::const_buffer>& pieces) {
    return (side == 0 ? sockets_.a : sockets_.b).write_some(pieces);
  }
  template <class Sink>
  void read(unsigned side, std::size_t n, qmux::connection& to, Sink& sink) {
    std::string piece(n, '\0');
    asio::read(side == 0 ? sockets_.a : sockets_.b, asio::buffer(piece));
    (void)to.on_bytes(sink, bytes::copy(piece), now());
  }

 private:
  sockets sockets_;
};

class web_link : public qmux_link<web_link> {
 public:
  explicit web_link(const testing::conformance::wishes& w) : qmux_link(qmux::carrier::messages, w) {
    int ready = 0;
    b_.async_accept([&](const boost::system::error_code& e) { ready += e ? 0 : 1; });
    a_.async_handshake("127.0.0.1", "/", [&](const boost::system::error_code& e) { ready += e ? 0 : 1; });
    io().run();
    REQUIRE(ready == 2);
    a_.binary(true);
    b_.binary(true);
    testing::conformance::listener nobody_a, nobody_b;
    while (step(nobody_a, nobody_b)) {
    }
  }
  std::size_t write(unsigned side, const std::vector<asio::const_buffer>& pieces) {
    return (side == 0 ? a_ : b_).write(pieces);
  }
  template <class Sink>
  void read(unsigned side, std::size_t n, qmux::connection& to, Sink& sink) {
    beast::flat_buffer in;
    web& from = side == 0 ? a_ : b_;
    REQUIRE(from.read(in) == n);
    const byte_view message(static_cast<const std::uint8_t*>(in.data().data()), in.size());
    to.on_message(sink, bytes::copy(message), from.got_binary(), now());
  }

 private:
  asio::io_context& io() { return sockets_.io; }
  sockets sockets_;
  web a_{std::move(sockets_.a)}, b_{std::move(sockets_.b)};
};

}  // namespace

TEST_CASE("an adapter on QMux over TCP passes the suite [seed 3.1.2]") {
  testing::conformance::check_adapter([](auto&&... w) { return tcp_link(testing::conformance::wishes(w...)); });
}

TEST_CASE("an adapter on QMux over WebSocket passes the suite [seed 3.1.2]") {
  testing::conformance::check_adapter([](auto&&... w) { return web_link(testing::conformance::wishes(w...)); });
}
