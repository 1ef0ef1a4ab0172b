#pragma once
/// Accepts QMux on one TCP port: WebSockets, plain and over TLS, and bare QMux, plain and over TLS.

#include "../net/web.hpp"
#include "peer.hpp"
#include "subprotocols.hpp"
#include "tls.hpp"

namespace websocket {

struct shared_setup {
  net::host& host;
  net::listen_options options;
  std::shared_ptr<asio::ssl::context> tls;
  net::web_handler web;
};

/// A connection that has not said yet what it is. What it may take to do so is bounded in time and size.
class newcomer : public std::enable_shared_from_this<newcomer> {
 public:
  newcomer(std::shared_ptr<const shared_setup> o, asio::ip::tcp::socket socket)
      : shared_(std::move(o)), tcp_(std::move(socket)) {}
  void start() {
    error_code e;
    tcp_.socket().set_option(asio::ip::tcp::no_delay(true), e);
    const auto from = tcp_.socket().remote_endpoint(e);
    if (e) return;
    setup_.address = address_text(from);
    setup_.session = shared_->options.session;
    setup_.session.side = moql::endpoint::server;
    setup_.wire.who = moql::qmux::side::server;
    setup_.wire.caps.ping_interval = moql::seconds(1);  // what the deployed stacks do: it measures
    setup_.wire.caps.idle_timeout = shared_->options.idle_timeout;
    setup_.wire.caps.handshake_timeout = shared_->options.handshake_timeout;
    setup_.wire.caps.max_streams_bidi = shared_->options.streams_max;
    setup_.wire.caps.max_streams_uni = shared_->options.streams_max;
    tcp_.socket().non_blocking(true, e);
    deadline_.expires_after(patience);
    deadline_.async_wait([self = shared_from_this()](error_code cancelled) {
      if (!cancelled) self->tcp_.close();
    });
    look();
  }

 private:
  static constexpr auto patience = std::chrono::seconds(10);
  using plain_socket = beast::websocket::stream<beast::tcp_stream>;
  using tls_socket = beast::websocket::stream<tls_stream>;

  /// The first byte tells: 0x16 begins a TLS record, G a request, anything else the first record of QMux.
  void look() {
    tcp_.socket().async_wait(asio::socket_base::wait_read, [self = shared_from_this()](error_code e) {
      char first = 0;
      if (!e) self->tcp_.socket().receive(asio::buffer(&first, 1), asio::socket_base::message_peek, e);
      if (e == asio::error::would_block) return self->look();  // woken for nothing
      self->deadline_.cancel();
      if (e) return;
      if (first == 0x16) return self->start_tls();
      if (first == 'G') return self->read_request(std::make_shared<beast::tcp_stream>(std::move(self->tcp_)));
      self->start_bytes(std::move(self->tcp_), {});
    });
  }
  void start_tls() {
    if (!shared_->tls) return;
    auto socket = std::make_shared<tls_stream>(std::move(tcp_), *shared_->tls);
    beast::get_lowest_layer(*socket).expires_after(patience);
    socket->async_handshake(asio::ssl::stream_base::server, [self = shared_from_this(), socket](error_code e) {
      if (e) return;
      const unsigned char* alpn = nullptr;
      unsigned size = 0;
      SSL_get0_alpn_selected(socket->native_handle(), &alpn, &size);
      const std::string_view token(reinterpret_cast<const char*>(alpn), size);
      if (const auto chosen = moql::qmux::parse_token(token)) return self->start_bytes(std::move(*socket), chosen);
      self->read_request(socket);
    });
  }
  /// Binding 3, or plain TCP, where the token travels inside.
  template <class Socket>
  void start_bytes(Socket socket, std::optional<moql::qmux::choice> chosen) {
    beast::get_lowest_layer(socket).expires_never();
    for (const std::string& p : shared_->options.protocols) tokens_.emplace_back(p);
    setup_.session.over = moql::binding::qmux_tls;
    setup_.wire.over = moql::qmux::carrier::byte_stream;
    setup_.wire.wire = chosen ? chosen->wire : moql::qmux::revision::qmux01;
    if (chosen) setup_.wire.protocol = chosen->protocol;
    if (!chosen) setup_.wire.protocols = tokens_;
    std::make_shared<byte_peer<Socket>>(shared_->host, std::move(setup_), std::move(socket), shared_->tls)->start();
  }
  template <class Socket>
  void read_request(std::shared_ptr<Socket> socket) {
    request_.header_limit(16 * 1024);
    request_.body_limit(0);
    beast::get_lowest_layer(*socket).expires_after(patience);
    beast::http::async_read(*socket, in_, request_, [self = shared_from_this(), socket](error_code e, std::size_t) {
      if (e) return;
      if (beast::websocket::is_upgrade(self->request_.get())) return self->upgrade(socket);
      self->answer(socket);
    });
  }
  template <class Socket>
  void upgrade(std::shared_ptr<Socket> socket) {
    const auto& request = request_.get();
    const auto offered = request[beast::http::field::sec_websocket_protocol];
    const auto chosen = choose(shared_->options, {offered.data(), offered.size()});
    if (!chosen) return refuse(socket, beast::http::status::bad_request, "none of the subprotocols is spoken here\n");
    beast::get_lowest_layer(*socket).expires_never();
    auto ws = std::make_shared<beast::websocket::stream<Socket>>(std::move(*socket));
    ws->set_option(
        beast::websocket::stream_base::decorator([token = chosen->token](beast::websocket::response_type& r) {
          if (!token.empty()) r.set(beast::http::field::sec_websocket_protocol, token);
        }));
    setup_.session.over = moql::binding::qmux_websocket;
    setup_.wire.over = moql::qmux::carrier::messages;
    setup_.wire.wire = chosen->wire;
    protocol_ = chosen->protocol;
    setup_.wire.protocol = protocol_;
    setup_.request_path = std::string(request.target());
    ws->async_accept(request, [self = shared_from_this(), ws](error_code e) {
      if (e) return;
      using peer_type = message_peer<beast::websocket::stream<Socket>>;
      std::make_shared<peer_type>(self->shared_->host, std::move(self->setup_), std::move(*ws), self->shared_->tls)
          ->start();
    });
  }

  // ---- plain HTTP

  template <class Socket>
  void answer(std::shared_ptr<Socket> socket) {
    const auto& request = request_.get();
    std::optional<net::web_page> page;
    if (shared_->web && request.method() == beast::http::verb::get)
      page = shared_->web({request.target().data(), request.target().size()});
    if (!page) return refuse(socket, beast::http::status::not_found, "nothing here\n");
    reply(socket, beast::http::status::ok, std::move(page->body), page->type);
  }
  template <class Socket>
  void refuse(std::shared_ptr<Socket> socket, beast::http::status status, std::string text) {
    reply(socket, status, std::move(text), "text/plain");
  }
  template <class Socket>
  void reply(std::shared_ptr<Socket> socket, beast::http::status status, std::string body, const std::string& type) {
    auto response = std::make_shared<beast::http::response<beast::http::string_body>>(status, request_.get().version());
    response->set(beast::http::field::content_type, type);
    response->set(beast::http::field::cache_control, "no-store");
    response->set(beast::http::field::access_control_allow_origin, "*");
    response->keep_alive(false);
    response->body() = std::move(body);
    response->prepare_payload();
    beast::http::async_write(*socket, *response, [socket, response](error_code, std::size_t) {
      error_code ignored;
      beast::get_lowest_layer(*socket).socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    });
  }

  std::shared_ptr<const shared_setup> shared_;
  beast::tcp_stream tcp_;
  asio::steady_timer deadline_{tcp_.get_executor()};
  beast::flat_buffer in_{32 * 1024};
  beast::http::request_parser<beast::http::string_body> request_;
  setup setup_;
  std::string protocol_;
  std::vector<std::string_view> tokens_;
};

class server : public std::enable_shared_from_this<server> {
 public:
  server(std::shared_ptr<const shared_setup> o, asio::ip::tcp::acceptor acceptor)
      : shared_(std::move(o)), acceptor_(std::move(acceptor)) {}
  void start() {
    acceptor_.async_accept([self = shared_from_this()](error_code e, asio::ip::tcp::socket socket) {
      if (e == asio::error::operation_aborted || !self->acceptor_.is_open()) return;
      if (e) return self->rest();
      std::make_shared<newcomer>(self->shared_, std::move(socket))->start();
      self->start();
    });
  }
  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  void close() {
    error_code ignored;
    acceptor_.close(ignored);
  }

 private:
  /// No descriptor is free, most likely: whoever waits goes on waiting, and we do not spin.
  void rest() {
    pause_.expires_after(std::chrono::milliseconds(100));
    pause_.async_wait([self = shared_from_this()](error_code e) {
      if (!e && self->acceptor_.is_open()) self->start();
    });
  }

  std::shared_ptr<const shared_setup> shared_;
  asio::ip::tcp::acceptor acceptor_;
  asio::steady_timer pause_{acceptor_.get_executor()};
};

/// Null, with the reason, if the port is busy or the certificate is none. Without certificate there is no TLS.
[[nodiscard]] inline std::shared_ptr<server> listen(net::host& h, const net::listen_options& o, std::string& why,
                                                    net::web_handler web = {}) {
  auto shared = std::make_shared<shared_setup>(shared_setup{h, o, {}, std::move(web)});
  if (!o.cert_file.empty()) {
    shared->tls = server_context(o, alpn_of(o), why);
    if (!shared->tls) return {};
  }
  error_code e;
  const auto address = asio::ip::make_address(o.address, e);
  const std::string where = o.address + " TCP port " + std::to_string(o.port) + ": ";
  if (e) why = where + "not an address";
  if (e) return {};
  const asio::ip::tcp::endpoint at(address, o.port);
  asio::ip::tcp::acceptor acceptor(h.io());
  acceptor.open(at.protocol(), e);
  if (!e) acceptor.set_option(asio::socket_base::reuse_address(true), e);
  if (!e) acceptor.bind(at, e);
  if (!e) acceptor.listen(128, e);
  if (e) why = where + e.message();
  if (e) return {};
  auto s = std::make_shared<server>(std::move(shared), std::move(acceptor));
  s->start();
  return s;
}

}  // namespace websocket
