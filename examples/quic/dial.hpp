#pragma once
/// Dials a QUIC server by name: one address after the other until somebody is there.

#include <boost/asio/ip/udp.hpp>

#include "peer.hpp"

namespace quic {

namespace detail {

/// Lives until a peer is made or all has failed.
class dialer : public std::enable_shared_from_this<dialer> {
 public:
  dialer(net::host& h, const moql::url& u, const net::dial_options& o, std::vector<std::string> alpns, peer_factory f)
      : host_(h),
        options_(o),
        name_(u.host),
        port_(u.port),
        shown_(std::string(u.scheme) + "://" + std::string(u.authority)),
        path_(moql::setup_path(u, false)),
        resolver_(h.io()),
        other_(std::move(f)) {
    settings_.protocols = std::move(alpns);
    settings_.idle_timeout = o.idle_timeout;
    settings_.handshake_timeout = o.handshake_timeout;
  }

  void start() {
    std::string error;
    // The system's certificates take time to read; who trusts by hash or not at all needs none.
    const bool by_authority = !options_.insecure && options_.hashes.empty();
    settings_.credentials = by_authority ? client_credentials(options_.ca_file, error) : new_credentials();
    if (settings_.credentials == nullptr) return fail(error.empty() ? "GnuTLS is out of memory" : error);
    if (settings_.protocols.empty()) return fail("no version to offer");
    if (const address at = address::parse(name_, port_); !at.is_empty()) {
      addresses_.push_back(at);
      return attempt();
    }
    resolver_.async_resolve(name_, std::to_string(port_),
                            [self = shared_from_this()](const boost::system::error_code& e, const auto& found) {
                              if (e) return self->fail(e.message());
                              for (const auto& r : found) {
                                const auto at = r.endpoint();
                                self->addresses_.emplace_back(at.data(), static_cast<socklen_t>(at.size()));
                              }
                              self->attempt();
                            });
  }

 private:
  void attempt() {
    const address to = addresses_[next_++];
    const auto s = std::make_shared<station>(host_);
    std::string error;
    if (!s->socket.connect(to, error)) return failed(error);
    const auto l = std::make_shared<link>(host_, s, to, factory());
    l->on_failure = [self = shared_from_this()](link& failed) { self->failed(failed.quic.why().text); };
    s->start();
    if (!l->quic.connect(s->socket.local(), to, settings_, {name_, options_.insecure, options_.hashes}, host_.now())) {
      s->forget(*l);
      s->stop();
      return failed("no connection can be made");
    }
    s->stop();  // when this connection is over
    l->flush();
  }
  void failed(const std::string& why) { return next_ < addresses_.size() ? attempt() : fail(why); }
  void fail(const std::string& why) { host_.unreachable({false, shown_ + ": " + why, options_.state}); }
  [[nodiscard]] peer_factory factory() {
    moql::config c = options_.session;
    c.side = moql::endpoint::client;
    c.over = moql::binding::quic;
    c.path = path_;
    const auto refused = [self = shared_from_this()](const std::string& why) { self->fail(why); };
    return [state = options_.state, make = by_protocol(options_.protocols, sessions_of(c, refused), other_)](
               std::shared_ptr<link> l) -> std::shared_ptr<net::peer> {
      const auto p = make(std::move(l));
      if (p != nullptr) p->state = state;
      return p;
    };
  }

  net::host& host_;
  net::dial_options options_;
  std::string name_;
  std::uint16_t port_;
  std::string shown_, path_;
  boost::asio::ip::udp::resolver resolver_;
  peer_factory other_;
  connection_settings settings_{};
  std::vector<address> addresses_;
  std::size_t next_ = 0;
};

}  // namespace detail

/// The peer appears in `h` when the connection is up; if it never is, the program hears `on_unreachable`. `alpns` are
/// what is offered, `o.protocols` if empty; tokens that are not in `o.protocols` are for `other`.
inline void dial(net::host& h, const moql::url& u, const net::dial_options& o, std::vector<std::string> alpns = {},
                 peer_factory other = {}) {
  if (alpns.empty()) alpns = o.protocols;
  std::make_shared<detail::dialer>(h, u, o, std::move(alpns), std::move(other))->start();
}

}  // namespace quic
