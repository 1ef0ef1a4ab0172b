#pragma once
/// A session right on QUIC: the ALPN names the version, and streams are the session's.

#include "link.hpp"

namespace quic {

class quic_peer final : public net::peer {
 public:
  quic_peer(std::shared_ptr<link> l, const moql::config& c) : peer(c), link_(std::move(l)) {
    link_->quic.bind(events_);
  }
  [[nodiscard]] std::string_view transport() const override { return "QUIC"; }
  [[nodiscard]] std::string address() const override { return link_->address_text(); }
  void pump(moql::instant now) override {
    moql::pump(session, link_->quic, now);
    link_->flush();
  }
  /// The link looks after its own.
  [[nodiscard]] moql::instant next_deadline() const override { return moql::never_due; }
  void on_deadline(moql::instant) override {}
  [[nodiscard]] bool is_over() const override { return link_->is_over(); }
  [[nodiscard]] net::ending why() const override { return link_->quic.why(); }

 private:
  std::shared_ptr<link> link_;
  net::events_to<moql::session> events_{session};
};

/// The factory of such peers. `refused` hears of a session that cannot be started, as for a path that 05 does not have.
[[nodiscard]] inline peer_factory sessions_of(moql::config c, std::function<void(std::string)> refused = {}) {
  return [c, refused = std::move(refused)](std::shared_ptr<link> l) -> std::shared_ptr<net::peer> {
    const auto p = std::make_shared<quic_peer>(l, c);
    const moql::errc e = p->session.start(l->quic.protocol(), l->host().now());
    if (e == moql::errc::ok) return p;
    l->quic.bind_nobody();
    if (refused) refused(std::string(moql::text_of(e)));
    return nullptr;
  };
}

/// Sessions for the tokens of `protocols`, and `other` for the rest.
[[nodiscard]] inline peer_factory by_protocol(std::vector<std::string> protocols, peer_factory sessions,
                                              peer_factory other) {
  return [protocols = std::move(protocols), sessions = std::move(sessions),
          other = std::move(other)](std::shared_ptr<link> l) -> std::shared_ptr<net::peer> {
    const bool is_ours = std::find(protocols.begin(), protocols.end(), l->quic.protocol()) != protocols.end();
    if (is_ours) return sessions(std::move(l));
    return other ? other(std::move(l)) : nullptr;
  };
}

}  // namespace quic
