#pragma once
/// Accepts QUIC connections on one UDP port.

#include "peer.hpp"

namespace quic {

class server {
 public:
  server(net::host& h, std::shared_ptr<station> s, connection_settings c, std::size_t connections_max, peer_factory f)
      : host_(h),
        station_(std::move(s)),
        settings_(std::move(c)),
        connections_max_(connections_max),
        factory_(std::move(f)),
        port_(station_->socket.local().port()) {
    station_->on_stranger = [this](const address& from, moql::byte_view packet) { accept(from, packet); };
    station_->start();
  }
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  ~server() { close(); }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// Accepts nothing new. Peers live on, and the port is free again when the last one is gone.
  void close() {
    if (station_ != nullptr) station_->stop();
    station_ = nullptr;
  }

 private:
  void accept(const address& from, moql::byte_view packet) {
    ngtcp2_version_cid id{};
    if (ngtcp2_pkt_decode_version_cid(&id, packet.data(), packet.size(), cid_size) == NGTCP2_ERR_VERSION_NEGOTIATION)
      return offer_versions(from, id);
    ngtcp2_pkt_hd first{};
    if (ngtcp2_accept(&first, packet.data(), packet.size()) != 0) return;  // late, or nothing that opens a connection
    if (station_->connections() >= connections_max_) return refuse(from, first);
    const auto l = std::make_shared<link>(host_, station_, from, factory_);
    if (!l->quic.accept(station_->socket.local(), from, settings_, first, host_.now())) station_->forget(*l);
  }
  // Two answers for which nothing is remembered.
  void offer_versions(const address& to, const ngtcp2_version_cid& id) {
    const std::uint32_t versions[] = {NGTCP2_PROTO_VER_V1};
    std::uint8_t random{}, out[256];
    detail::random_bytes(&random, 1);
    send(to, out,
         ngtcp2_pkt_write_version_negotiation(out, sizeof out, random, id.scid, id.scidlen, id.dcid, id.dcidlen,
                                              versions, std::size(versions)));
  }
  void refuse(const address& to, const ngtcp2_pkt_hd& first) {
    static constexpr std::string_view why = "too many connections";
    std::uint8_t out[1200];
    send(to, out,
         ngtcp2_crypto_write_connection_close(out, sizeof out, first.version, &first.scid, &first.dcid,
                                              NGTCP2_CONNECTION_REFUSED,
                                              reinterpret_cast<const std::uint8_t*>(why.data()), why.size()));
  }
  void send(const address& to, const std::uint8_t* data, ngtcp2_ssize n) {
    if (n > 0) (void)station_->socket.send({data, static_cast<std::size_t>(n)}, static_cast<std::size_t>(n), to);
  }

  net::host& host_;
  std::shared_ptr<station> station_;
  connection_settings settings_;
  std::size_t connections_max_;
  peer_factory factory_;
  std::uint16_t port_;
};

/// Sessions for the tokens of `o.protocols`; connections that want "h3" go to `h3`, if there is one. Null, and why, if
/// the port is busy or the certificate cannot be used. Must not outlive `h`.
[[nodiscard]] inline std::shared_ptr<server> listen(net::host& h, const net::listen_options& o, peer_factory h3,
                                                    std::string& error) {
  connection_settings c;
  c.credentials = server_credentials(o.cert_file, o.key_file, error);
  if (c.credentials == nullptr) return nullptr;
  c.protocols = o.protocols;
  if (h3) c.protocols.emplace_back("h3");
  c.streams_max = o.streams_max;
  c.idle_timeout = o.idle_timeout;
  c.handshake_timeout = o.handshake_timeout;
  const address at = address::parse(o.address, o.port);
  if (at.is_empty()) return error = o.address + " is no IP address", nullptr;
  const auto s = std::make_shared<station>(h);
  if (!s->socket.bind(at, error)) return nullptr;
  moql::config session = o.session;
  session.side = moql::endpoint::server;
  session.over = moql::binding::quic;
  return std::make_shared<server>(h, s, std::move(c), o.connections_max,
                                  by_protocol(o.protocols, sessions_of(session), std::move(h3)));
}

}  // namespace quic
