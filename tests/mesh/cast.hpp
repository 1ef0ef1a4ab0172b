#pragma once
/// Everybody in the mesh, by what they are.

#include "subscriber_node.hpp"

namespace mesh {

class cast {
 public:
  explicit cast(world& its_world) : w(its_world) {}
  world& w;
  producers book;
  std::vector<relay_node*> relays;
  std::vector<publisher_node*> publishers;  ///< Liars and second origins as well, in `w.nodes` for ever.
  std::vector<subscriber_node*> subscribers;

  relay_node& add_relay(std::uint64_t hop) {
    w.nodes.push_back(std::make_unique<relay_node>(w, static_cast<unsigned>(w.nodes.size()), hop));
    relays.push_back(static_cast<relay_node*>(w.nodes.back().get()));
    return *relays.back();
  }
  /// Null when there have been too many producers.
  publisher_node* add_publisher(role kind, unsigned path, std::uint64_t hop, version v,
                                const loopback_options& habits) {
    dice& d = w.chance;
    const auto tracks = static_cast<unsigned>(1 + mixed(w.seed + path) % tracks_max);  // of a path, whoever has it
    if (book.all.size() >= content::producers_max) return nullptr;
    w.nodes.push_back(
        std::make_unique<publisher_node>(w, kind, static_cast<unsigned>(w.nodes.size()), hop, path, tracks, book));
    auto& p = static_cast<publisher_node&>(*w.nodes.back());
    publishers.push_back(&p);
    for (unsigned i = 0; i < tracks; ++i) {
      p.t[i].period = d.ms(100, 400);
      p.t[i].options.priority = static_cast<std::uint8_t>(d.below(4));
      p.t[i].options.max_age_ms = d.chance(80) ? 60'000 : d.below(2000);
    }
    (void)p.become_new();
    w.connect(p, *relays[d.below(relays.size())], v, habits);
    if (hop != 0 && kind == role::publisher && d.chance(40)) w.connect(p, *relays[d.below(relays.size())], v, habits);
    return &p;
  }
  subscriber_node& add_subscriber(version v, const loopback_options& habits) {
    w.nodes.push_back(std::make_unique<subscriber_node>(w, static_cast<unsigned>(w.nodes.size()), book));
    auto& s = static_cast<subscriber_node&>(*w.nodes.back());
    subscribers.push_back(&s);
    w.connect(s, *relays[w.chance.below(relays.size())], v, habits);
    return s;
  }
  /// Every connection that should be there and is not.
  void redial() {
    for (unsigned i = 0; i < w.edges.size(); ++i) {
      edge& e = w.edges[i];
      if (!e.is_on || !e.a->is_up || !e.b->is_up || w.now < e.redial_at) continue;
      if (e.current != nullptr && !is_broken(*e.current)) continue;
      e.redial_at = w.now + w.chance.ms(50, 200);
      w.dial(i);
    }
  }
  [[nodiscard]] static bool is_broken(const link& l) noexcept {
    return l.a.is_dead || l.b.is_dead || l.a.session_.is_closed() || l.b.session_.is_closed();
  }
  /// A party other than a relay is gone from one moment to the next.
  void vanish(node& n) {
    n.is_up = false;
    n.due = never_due;
    for (const auto& l : w.links)
      for (unsigned side = 0; side < 2; ++side)
        if (end& e = l->at(side); e.owner == &n && !e.is_dead) {
          e.session_.wake(nullptr);
          w.abandon(e);
        }
  }
  /// The relay that a track of this relay comes from; null when that is no relay, or when it cannot be told: a relay
  /// may pass on tracks of several producers under one name.
  [[nodiscard]] relay_node* source_of(relay_node& at, std::string_view broadcast, std::string_view name,
                                      std::uint64_t origin) {
    relay_node* found = nullptr;
    unsigned tracks = 0;
    if (!at.is_up) return nullptr;
    at.core->for_each_track([&](detail::relayed_track& t) {
      if (t.is_finished || t.origin != origin || t.broadcast_view() != broadcast || t.name_view() != name) return;
      ++tracks;
      const auto* s = t.current();
      if (s == nullptr) return;
      const auto* e = static_cast<const end*>(at.core->user_of(detail::id_of<peer_id>(s->peer)));
      if (e == nullptr) return;
      const end& far = e->home->other(*e);
      if (far.owner->kind == role::relay && !far.is_dead) found = static_cast<relay_node*>(far.owner);
    });
    return tracks == 1 ? found : nullptr;
  }
};

}  // namespace mesh
