#pragma once
/// Accepts every transport on one port: QUIC and WebTransport on UDP, QMux over WebSocket, TLS and plain TCP on TCP.

#include "../quic/endpoint.hpp"
#include "../websocket/endpoint.hpp"
#include "../webtransport/endpoint.hpp"

namespace net {

class listener {
 public:
  listener(std::shared_ptr<quic::server> udp, std::shared_ptr<websocket::server> tcp)
      : udp_(std::move(udp)), tcp_(std::move(tcp)) {}
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;
  ~listener() { close(); }
  [[nodiscard]] std::uint16_t port() const { return tcp_->port(); }
  /// Accepts nothing new; peers live on.
  void close() {
    udp_->close();
    tcp_->close();
  }

 private:
  std::shared_ptr<quic::server> udp_;
  std::shared_ptr<websocket::server> tcp_;
};

/// Null, with the reason, when the port is busy or the certificate cannot be used. Port 0 takes one that is free for
/// both. `web` answers plain HTTP requests on the TCP port; without it they are refused.
[[nodiscard]] inline std::unique_ptr<listener> listen(host& h, const listen_options& o, std::string& error,
                                                      websocket::web_handler web = {}) {
  for (int tries = 0; tries < 20; ++tries) {
    auto tcp = websocket::listen(h, o, error, web);
    if (!tcp) return {};
    listen_options same = o;
    same.port = tcp->port();
    auto udp = quic::listen(h, same, webtransport::accept(h, same), error);
    if (udp) return std::make_unique<listener>(std::move(udp), std::move(tcp));
    tcp->close();
    if (o.port != 0) return {};
  }
  return {};
}

}  // namespace net
