#pragma once
/// Dials ws://, wss:// (QMux over WebSocket) and tcp:// (QMux over plain TCP).

#include <moql/binding/url.hpp>

#include "peer.hpp"
#include "subprotocols.hpp"
#include "tls.hpp"

namespace websocket {

/// One attempt; holds itself alive until it has made a peer or has failed.
class dialler : public std::enable_shared_from_this<dialler> {
 public:
  dialler(net::host& h, const moql::url& u, const net::dial_options& o)
      : host_(h),
        options_(o),
        scheme_(u.id),
        name_(u.host),
        port_(std::to_string(u.port)),
        authority_(u.authority),
        target_(target_of(u)),
        path_(moql::setup_path(u, u.id != moql::url_scheme::tcp)) {
    protocols_.assign(options_.protocols.begin(), options_.protocols.end());
  }
  void start() {
    resolver_.async_resolve(name_, port_, [self = shared_from_this()](error_code e, const auto& found) {
      if (e) return self->fail("no address of that name: " + e.message());
      self->connect(found);
    });
  }

 private:
  static constexpr auto patience = std::chrono::seconds(10);
  using plain_socket = beast::websocket::stream<beast::tcp_stream>;
  using tls_socket = beast::websocket::stream<tls_stream>;

  static std::string target_of(const moql::url& u) {
    std::string room(moql::request_path(u).size() + 1, '\0');
    return std::string(*moql::request_target(u, room));
  }
  void fail(const std::string& why) { host_.unreachable({false, name_ + ":" + port_ + ": " + why, options_.state}); }
  void connect(const asio::ip::tcp::resolver::results_type& found) {
    tcp_.expires_after(patience);
    tcp_.async_connect(found, [self = shared_from_this()](error_code e, const asio::ip::tcp::endpoint& to) {
      if (e) return self->fail(e.message());
      self->connected(to);
    });
  }
  void connected(const asio::ip::tcp::endpoint& to) {
    error_code ignored;
    tcp_.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
    setup_.session = options_.session;
    setup_.session.side = moql::endpoint::client;
    setup_.wire.who = moql::qmux::side::client;
    setup_.wire.caps.ping_interval = moql::seconds(1);  // what the deployed stacks do: it measures
    setup_.wire.caps.idle_timeout = options_.idle_timeout;
    setup_.wire.caps.handshake_timeout = options_.handshake_timeout;
    setup_.address = address_text(to);
    setup_.state = options_.state;
    if (scheme_ == moql::url_scheme::tcp) return start_bytes();
    if (scheme_ == moql::url_scheme::ws) return upgrade(std::make_shared<plain_socket>(std::move(tcp_)));
    std::string why;
    tls_ = client_context(options_, why);
    if (!tls_) return fail(why);
    auto socket = std::make_shared<tls_socket>(std::move(tcp_), *tls_);
    expect_certificate(socket->next_layer(), options_, name_);
    socket->next_layer().async_handshake(asio::ssl::stream_base::client,
                                         [self = shared_from_this(), socket](error_code e) {
                                           if (e) return self->fail(handshake_text(socket->next_layer(), e));
                                           if (!has_wanted_hash(socket->next_layer(), self->options_))
                                             return self->fail("its certificate has another hash");
                                           self->upgrade(socket);
                                         });
  }
  /// Binding 3 without TLS, as the deployed stacks run it: revision 01, and the token travels in a parameter.
  void start_bytes() {
    tcp_.expires_never();
    for (const std::string& p : protocols_) tokens_.emplace_back(p);
    setup_.session.over = moql::binding::qmux_tls;
    setup_.session.path = path_;
    setup_.wire.over = moql::qmux::carrier::byte_stream;
    setup_.wire.wire = moql::qmux::revision::qmux01;
    setup_.wire.protocols = tokens_;
    std::make_shared<byte_peer<beast::tcp_stream>>(host_, std::move(setup_), std::move(tcp_), nullptr)->start();
  }
  template <class Socket>
  void upgrade(std::shared_ptr<Socket> socket) {
    socket->set_option(beast::websocket::stream_base::decorator([this](beast::websocket::request_type& r) {
      r.set(beast::http::field::sec_websocket_protocol, offer_of(options_));
      r.set(beast::http::field::user_agent, "moql");
    }));
    auto answer = std::make_shared<beast::websocket::response_type>();
    socket->async_handshake(*answer, authority_, target_, [self = shared_from_this(), socket, answer](error_code e) {
      if (e == beast::websocket::error::upgrade_declined)
        return self->fail("refused the WebSocket with HTTP " + std::to_string(answer->result_int()) +
                          (answer->result_int() == 400 ? ", perhaps for none of the versions offered" : ""));
      if (e) return self->fail("no WebSocket there: " + e.message());
      self->upgraded(*socket, std::string((*answer)[beast::http::field::sec_websocket_protocol]));
    });
  }
  template <class Socket>
  void upgraded(Socket& socket, const std::string& token) {
    const auto chosen = confirm(options_, token);
    if (!chosen) return fail("speaks none of the versions offered (it answered '" + token + "')");
    beast::get_lowest_layer(socket).expires_never();
    setup_.session.over = moql::binding::qmux_websocket;
    setup_.wire.over = moql::qmux::carrier::messages;
    setup_.wire.wire = chosen->wire;
    setup_.wire.protocol = chosen->protocol;
    setup_.request_path = target_;
    std::make_shared<message_peer<Socket>>(host_, std::move(setup_), std::move(socket), tls_)->start();
  }

  net::host& host_;
  net::dial_options options_;
  moql::url_scheme scheme_;
  std::string name_, port_, authority_, target_, path_;
  std::vector<std::string> protocols_;
  std::vector<std::string_view> tokens_;
  setup setup_;
  std::shared_ptr<asio::ssl::context> tls_;
  asio::ip::tcp::resolver resolver_{host_.io()};
  beast::tcp_stream tcp_{host_.io()};
};

inline void dial(net::host& h, const moql::url& u, const net::dial_options& o) {
  std::make_shared<dialler>(h, u, o)->start();
}

}  // namespace websocket
