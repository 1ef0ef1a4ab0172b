#pragma once
/// WebTransport on a program's host: what a QUIC server does with connections that want "h3", and a client that dials.

#include "../net/words.hpp"
#include "../quic/endpoint.hpp"
#include "certificate_hash.hpp"
#include "session.hpp"

namespace webtransport {

/// A moql session in a WebTransport session on a QUIC connection. It begins when the WebTransport session is open.
class webtransport_peer final : public net::peer {
 public:
  webtransport_peer(std::shared_ptr<quic::link> l, const moql::config& c, options o)
      : peer(c), link_(std::move(l)), layer_(link_->quic, std::move(o), link_->host().now()) {
    link_->quic.bind(layer_);
  }
  [[nodiscard]] std::string_view transport() const override { return "WebTransport"; }
  [[nodiscard]] std::string address() const override { return link_->address_text(); }
  [[nodiscard]] std::string_view request_path() const override { return layer_.path(); }
  void pump(moql::instant now) override {
    layer_.service(now);
    if (layer_.is_open() && !std::exchange(has_begun_, true)) begin(now);
    moql::pump(session, layer_, now);
    layer_.service(now);
    do {
      link_->flush();
    } while (layer_.flushed());
  }
  [[nodiscard]] moql::instant next_deadline() const override { return layer_.next_deadline(); }
  void on_deadline(moql::instant now) override { layer_.on_deadline(now); }
  [[nodiscard]] bool is_over() const override { return link_->is_over(); }
  [[nodiscard]] net::ending why() const override {
    if (!layer_.why().empty()) return {false, layer_.why()};
    const auto e = layer_.ended();
    if (!e) return {true, "closed"};
    return {e->code == 0, (e->by_peer ? "the peer closed the session with " : "the session was closed with ") +
                              net::named<moql::session_code>(e->code) + net::quoted_reason(e->reason)};
  }

 private:
  void begin(moql::instant now) {
    const moql::errc e = session.start(layer_.protocol(), now);
    if (e == moql::errc::ok) return layer_.attach(events_);
    layer_.close(static_cast<std::uint64_t>(moql::facts(e).on_session), moql::text_of(e));
  }

  std::shared_ptr<quic::link> link_;
  webtransport::session<quic::connection> layer_;
  net::events_to<moql::session> events_{session};
  bool has_begun_ = false;
};

/// For `quic::listen`: WebTransport sessions for the tokens of `o.protocols`, whatever their path.
[[nodiscard]] inline quic::peer_factory accept(net::host&, const net::listen_options& o) {
  moql::config c = o.session;
  c.side = moql::endpoint::server;
  c.over = moql::binding::webtransport;
  options w;
  w.side = role::server;
  w.offer.protocols = o.protocols;
  w.opening_max = o.handshake_timeout;
  return [c, w](std::shared_ptr<quic::link> l) { return std::make_shared<webtransport_peer>(std::move(l), c, w); };
}

namespace detail {
inline void dial_https(net::host& h, const moql::url& u, const net::dial_options& o) {
  moql::config c = o.session;
  c.side = moql::endpoint::client;
  c.over = moql::binding::webtransport;
  c.path = {};  // the request carries it
  options w;
  w.ask.authority = u.authority;
  std::string room(u.request.size() + 1, '\0');
  if (const auto target = moql::request_target(u, room)) w.ask.path = *target;
  w.ask.protocols = o.protocols;
  w.opening_max = o.handshake_timeout;
  quic::dial(h, u, o, {"h3"},
             [c, w](std::shared_ptr<quic::link> l) { return std::make_shared<webtransport_peer>(std::move(l), c, w); });
}
}  // namespace detail

/// The peer appears in `h` when the connection is up, and its session when the server has agreed; if the connection
/// never is, the program hears `on_unreachable`. A `http` URL is for development: the server's certificate is whatever
/// it says over plain HTTP.
inline void dial(net::host& h, const moql::url& u, const net::dial_options& o) {
  if (u.id != moql::url_scheme::http) return detail::dial_https(h, u, o);
  const std::string https = "https://" + std::string(u.authority) + std::string(u.request);
  const std::uint16_t port = u.port;
  fetch_certificate_hash(h, u, o.state, [&h, https, port, o](const net::certificate_hash& hash) {
    auto secure = moql::parse_url(https).value();
    secure.port = port;
    net::dial_options with_hash = o;
    with_hash.hashes.push_back(hash);
    detail::dial_https(h, secure, with_hash);
  });
}

}  // namespace webtransport
