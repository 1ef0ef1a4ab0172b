#pragma once
/// Joins the peers of a host to a relay, and has those served whom it concerns.

#include <moql/relay/relay.hpp>

#include <cstdio>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "host.hpp"

namespace net {

/// What `peer::state` of a peer that was dialled must begin with.
struct relay_link {
  std::optional<std::uint64_t> cost{};  ///< Of using it; none: what the peer's SETUP says.
};

/// All peers share one scope. A program passes on every `on_event`, `on_turn`, `on_gone` and deadline of its own.
/// Sessions must have been configured with the relay's hop, and must live at least as long as this.
class relay_peers {
 public:
  static constexpr moql::scope_id scope = 0;

  relay_peers(host& h, const moql::relay_options& o) : host_(h), core_(o) {}

  [[nodiscard]] moql::relay& core() { return core_; }
  [[nodiscard]] const moql::relay& core() const { return core_; }

  void on_event(peer& p, const moql::event& e, moql::instant now) {
    const auto found = ids_.find(&p);
    if (found != ids_.end()) return core_.on_event(found->second, e, now);
    if (p.session.is_closed()) return;
    if (const auto id = join(p, now)) core_.on_event(*id, e, now);
  }
  /// Whoever was told something has its turn. Call at each turn, last of all that may change something.
  void on_turn() {
    while (const auto ready = core_.next_ready())
      if (auto* p = static_cast<peer*>(core_.user_of(*ready))) host_.touch(*p);
  }
  void on_gone(peer& p, moql::instant now) {
    const auto found = ids_.find(&p);
    if (found == ids_.end()) return;
    core_.leave(found->second, now);
    dialled_.erase(found->second);
    ids_.erase(found);
    host_.take_turn();
  }
  [[nodiscard]] moql::instant next_deadline() const { return core_.next_deadline(); }
  void on_deadline(moql::instant now) {
    if (core_.next_deadline() <= now) core_.on_deadline(now);
  }

  /// Whether nothing passes through the peer.
  [[nodiscard]] bool is_idle(const peer& p) {
    const auto found = ids_.find(&p);
    return found == ids_.end() || core_.is_idle(found->second);
  }
  /// Whether this peer is one that we dialled; may be asked from the hooks.
  [[nodiscard]] bool was_dialled(moql::peer_id id) const { return dialled_.contains(id); }

 private:
  std::optional<moql::peer_id> join(peer& p, moql::instant now) {
    const auto* link = static_cast<const relay_link*>(p.state.get());
    moql::relay_peer_options o{.scope = scope};
    if (link != nullptr) o.link_cost = link->cost;
    const auto id = core_.join(p.session, o, now, &p);
    if (!id.has_value()) {
      const std::string why(moql::text_of(id.error()));
      std::fprintf(stderr, "%s is not let in: %s\n", p.address().c_str(), why.c_str());
      p.session.close(moql::session_code::internal_error, why);
      return {};
    }
    ids_.emplace(&p, *id);
    if (link != nullptr) dialled_.insert(*id);
    return *id;
  }

  host& host_;
  moql::relay core_;
  std::unordered_map<const peer*, moql::peer_id> ids_;
  std::unordered_set<moql::peer_id> dialled_;
};

}  // namespace net
