#pragma once
/// Accepts every transport on one port: QUIC and WebTransport on UDP, QMux over WebSocket, TLS and plain TCP on TCP.

#include <memory>
#include <string>

#include "host.hpp"
#include "options.hpp"
#include "web.hpp"

namespace net {

class listener {
 public:
  listener() = default;
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;
  virtual ~listener() = default;
  [[nodiscard]] virtual std::uint16_t port() const = 0;
  /// Accepts nothing new; peers live on.
  virtual void close() = 0;
};

/// Null, with the reason, when the port is busy or the certificate cannot be used. Port 0 takes one that is free for
/// both. `web` answers plain HTTP requests on the TCP port; without it they are not found.
[[nodiscard]] std::unique_ptr<listener> listen(host& h, const listen_options& o, std::string& error,
                                               web_handler web = {});

}  // namespace net
