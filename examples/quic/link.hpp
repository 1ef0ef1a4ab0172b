#pragma once
/// A connection at its socket: what a peer on QUIC is made of, and what a WebTransport peer is.

#include <boost/asio/steady_timer.hpp>

#include <functional>

#include "../net/host.hpp"
#include "connection.hpp"
#include "outbox.hpp"

namespace quic {

class station;
class link;

/// Makes the peer that speaks on a connection whose handshake is done; null refuses it. It is called from inside the
/// stack: `quic.bind` a sink there and then, for events follow at once, and leave operations to the first `pump`. The
/// peer is added to the host by the link.
using peer_factory = std::function<std::shared_ptr<net::peer>(std::shared_ptr<link>)>;

/// Held by its station until the connection is over, and by the peer.
class link final : public connection_holder, public std::enable_shared_from_this<link> {
 public:
  link(net::host& h, std::shared_ptr<station> s, const address& to, peer_factory f)
      : host_(h), station_(s), remote_(to), factory_(std::move(f)), timer_(h.io()) {}

  connection quic{*this};

  /// Puts what the connection has to say on the network: at the end of `pump`, and whenever `quic` was asked for
  /// something outside of it.
  void flush();
  [[nodiscard]] net::host& host() const { return host_; }
  [[nodiscard]] std::string address_text() const { return remote_.text(); }
  /// When the peer may be destroyed. The connection stays a little longer, for packets that are late.
  [[nodiscard]] bool is_over() const { return quic.is_over() || (quic.is_closed() && is_close_said_); }

  /// The handshake failed; `quic.why()` says why.
  std::function<void(link&)> on_failure{};

 private:
  friend class station;

  void on_established(connection& c) override {
    const std::shared_ptr<net::peer> p = factory_ ? factory_(shared_from_this()) : nullptr;
    factory_ = {};
    on_failure = {};
    has_peer_ = p != nullptr;
    peer_ = p;
    if (has_peer_)
      host_.add(p);
    else
      is_refused_ = !c.is_closed();
  }
  void on_id(std::string_view id) override;
  void on_id_gone(std::string_view id) override;
  /// After a batch of packets or a deadline.
  void serve();
  void arm();
  void touch_peer();

  net::host& host_;
  std::weak_ptr<station> station_;
  address remote_;
  peer_factory factory_;
  std::weak_ptr<net::peer> peer_;
  std::vector<std::string> ids_;
  boost::asio::steady_timer timer_;
  moql::instant armed_ = moql::never_due;
  bool has_peer_ = false;
  bool is_refused_ = false;  // by the factory
  bool is_close_said_ = false;
  bool is_touched_ = false;
};

}  // namespace quic

#include "station.hpp"
