/// Every transport in one place, so that a program that dials or listens does not compile all of them again.

#include "../quic/endpoint.hpp"
#include "../websocket/endpoint.hpp"
#include "../webtransport/endpoint.hpp"
#include "dial.hpp"
#include "listen.hpp"

namespace net {

void dial(host& h, std::string_view text, const dial_options& o) {
  moql::url_error e;
  const auto u = moql::parse_url(text, &e);
  if (!u)
    return h.unreachable(
        {false, std::string(text) + ": " + std::string(moql::text_of(e.what)) + " (byte " + std::to_string(e.at) + ")",
         o.state});
  switch (u->id) {
    case moql::url_scheme::moqt:
    case moql::url_scheme::moql: return quic::dial(h, *u, o);
    case moql::url_scheme::https:
    case moql::url_scheme::http: return webtransport::dial(h, *u, o);
    case moql::url_scheme::wss:
    case moql::url_scheme::ws:
    case moql::url_scheme::tcp: return websocket::dial(h, *u, o);
  }
}

namespace {

class both final : public listener {
 public:
  both(std::shared_ptr<quic::server> udp, std::shared_ptr<websocket::server> tcp)
      : udp_(std::move(udp)), tcp_(std::move(tcp)) {}
  ~both() override { close(); }
  [[nodiscard]] std::uint16_t port() const override { return udp_->port(); }
  void close() override {
    udp_->close();
    tcp_->close();
  }

 private:
  std::shared_ptr<quic::server> udp_;
  std::shared_ptr<websocket::server> tcp_;
};

}  // namespace

std::unique_ptr<listener> listen(host& h, const listen_options& o, std::string& error, web_handler web) {
  constexpr int tries = 20;  // a port that is free for TCP may be taken for UDP
  for (int i = 0; i < tries; ++i) {
    auto tcp = websocket::listen(h, o, error, web);
    if (!tcp) return {};
    listen_options same = o;
    same.port = tcp->port();
    auto udp = quic::listen(h, same, webtransport::accept(h, same), error);
    if (udp) return std::make_unique<both>(std::move(udp), std::move(tcp));
    tcp->close();
    if (o.port != 0) return {};
  }
  return {};
}

}  // namespace net
