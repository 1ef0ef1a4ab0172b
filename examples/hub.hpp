#pragma once
/// Passes tracks on inside one process: what one peer announces, every other may subscribe to.
///
/// One upstream subscription per track, however many want it; its frames go into a cache that all of them read. A
/// track is given up when nobody wants it any more.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/peer.hpp"

namespace examples {

class hub {
 public:
  /// For broadcasts of our own: asked before any peer's. Null if there is no such track.
  using local_tracks = std::function<moql::track_cache*(std::string_view path, std::string_view name)>;

  void set_local(std::string path, local_tracks tracks) {
    local_name_ = std::move(path);
    local_ = std::move(tracks);
  }
  [[nodiscard]] std::uint64_t groups_lost() const { return groups_lost_; }
  [[nodiscard]] std::uint64_t groups() const { return groups_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  void on_event(net::peer& p, const moql::event& e, moql::instant now) {
    std::visit(moql::overload{
                   [&](const moql::connected&) { joined(p, now); },
                   [&](const moql::announce_updated&) {},
                   [&](const moql::announced& a) { announced(p, std::string(a.path)); },
                   [&](const moql::announce_ended& a) { ended(p, std::string(a.path)); },
                   [&](const moql::subscribe_requested& r) { wanted(p, r.request, r.broadcast, r.track, now); },
                   [&](const moql::track_requested& r) { wanted(p, r.request, r.broadcast, r.track, now); },
                   [&](const moql::fetch_requested& r) { wanted(p, r.request, r.broadcast, r.track, now); },
                   [&](const moql::request_closed& r) { left(p, r.request); },
                   [&](const moql::session_closed&) { gone(p); },
                   [&](const auto& other) { upstream(p, other, now); },
               },
               e);
  }

 private:
  struct client {
    net::peer* peer{};
    std::map<std::string, moql::announcement_id> shown{};  // what we announce to it
  };
  struct announced_path {
    std::string path{};
    net::peer* from{};
  };
  struct reader {
    net::peer* peer{};
    moql::request_id request{};
  };
  struct track {
    net::peer* from{};
    std::string broadcast{}, name{};
    moql::subscription_id upstream{};
    std::unique_ptr<moql::track_cache> cache{};  // from when its properties are known
    std::vector<reader> readers{};
  };

  // ---- peers and announcements

  void joined(net::peer& p, moql::instant now) {
    client& c = clients_[&p];
    c.peer = &p;
    (void)p.session.discover("", now);
    if (local_) show(c, local_name_);
    for (const announced_path& b : broadcasts_)
      if (b.from != &p) show(c, b.path);
  }
  static void show(client& c, const std::string& path) {
    if (c.shown.contains(path)) return;
    if (const auto id = c.peer->session.announce(path); id.has_value()) c.shown[path] = *id;
  }
  void announced(net::peer& p, const std::string& path) {
    for (const announced_path& b : broadcasts_)
      if (b.from == &p && b.path == path) return;
    broadcasts_.push_back({path, &p});  // several may announce one path: the first of them is asked
    for (auto& [peer, c] : clients_)
      if (peer != &p) show(c, path);
  }
  void ended(net::peer& p, const std::string& path) {
    std::erase_if(broadcasts_, [&](const announced_path& b) { return b.from == &p && b.path == path; });
    if (find(path) != nullptr) return;
    for (auto& [peer, c] : clients_) {
      const auto shown = c.shown.find(path);
      if (shown == c.shown.end()) continue;
      (void)peer->session.withdraw(shown->second);
      c.shown.erase(shown);
    }
  }
  void gone(net::peer& p) {
    std::vector<std::string> theirs;
    for (const announced_path& b : broadcasts_)
      if (b.from == &p) theirs.push_back(b.path);
    for (const std::string& path : theirs) ended(p, path);
    clients_.erase(&p);
    for (auto& t : tracks_) std::erase_if(t->readers, [&](const reader& r) { return r.peer == &p; });
    for (std::size_t i = 0; i < tracks_.size();)
      if (tracks_[i]->from == &p)
        finish(*tracks_[i], moql::stream_code::internal_error);
      else if (tracks_[i]->readers.empty())
        drop(*tracks_[i]);
      else
        ++i;
  }
  [[nodiscard]] const announced_path* find(std::string_view path) const {
    for (const announced_path& b : broadcasts_)
      if (moql::same_path(b.path, path)) return &b;
    return nullptr;
  }

  // ---- downstream

  void wanted(net::peer& p, moql::request_id id, std::string_view path, std::string_view name, moql::instant now) {
    if (local_ && moql::same_path(path, local_name_)) {
      if (moql::track_cache* c = local_(path, name); c != nullptr && p.session.serve(id, *c) == moql::errc::ok) return;
      (void)p.session.reject(id, moql::stream_code::not_found);
      return;
    }
    const announced_path* b = find(path);
    track* t = b == nullptr || b->from == &p ? nullptr : upstream_of(*b, name, now);
    if (t == nullptr) {
      (void)p.session.reject(id, moql::stream_code::not_found);
      return;
    }
    t->readers.push_back({&p, id});
    if (t->cache) (void)p.session.serve(id, *t->cache);
  }
  /// The track as we have it, or from now on ask for it.
  track* upstream_of(const announced_path& b, std::string_view name, moql::instant now) {
    for (auto& t : tracks_)
      if (t->from == b.from && t->broadcast == b.path && t->name == name) return t.get();
    moql::subscribe_options all;
    all.want.ordered = true;
    all.want.max_age_ms = (std::uint64_t{1} << 53) - 1;
    all.want.priority = moql::has_ranges(b.from->session.negotiated()) ? 128 : 32;
    const auto id = b.from->session.subscribe(b.path, name, all, now);
    if (!id.has_value()) return nullptr;
    auto t = std::make_unique<track>();
    t->from = b.from;
    t->broadcast = b.path;
    t->name = name;
    t->upstream = *id;
    // Without TRACK_INFO (before 05) there is nothing to wait for.
    if (!moql::has_track_stream(b.from->session.negotiated())) open(*t, {});
    return tracks_.emplace_back(std::move(t)).get();
  }
  void open(track& t, const moql::msg::track_info& info) {
    moql::track_options o;
    o.overlapping = true;
    o.bytes_max = std::uint64_t{256} << 20;
    if (info.timescale != 0) {
      o.timescale = info.timescale;
      o.priority = info.priority;
      o.max_age_ms = info.max_age_ms;
    }
    t.cache = std::make_unique<moql::track_cache>(o);
    for (const reader& r : t.readers) (void)r.peer->session.serve(r.request, *t.cache);
  }
  void left(net::peer& p, moql::request_id id) {
    for (auto& t : tracks_) {
      if (std::erase_if(t->readers, [&](const reader& r) { return r.peer == &p && r.request == id; }) == 0) continue;
      if (t->readers.empty()) drop(*t);
      return;
    }
  }
  /// Nobody wants it: the publisher may stop.
  void drop(track& t) {
    if (t.upstream != moql::subscription_id{}) (void)t.from->session.unsubscribe(t.upstream);
    std::erase_if(tracks_, [&](const auto& x) { return x.get() == &t; });
  }
  /// The publisher is done with it. Readers take what is in the cache, which then lives on with them.
  void finish(track& t, std::optional<moql::stream_code> why = {}) {
    t.upstream = {};
    if (why && !t.cache) {
      for (const reader& r : t.readers) (void)r.peer->session.reject(r.request, *why);
      t.readers.clear();
    }
    if (t.cache) t.cache->finish();
    t.from = nullptr;  // nobody new finds it
    if (t.readers.empty()) drop(t);
  }

  // ---- upstream

  [[nodiscard]] track* of(net::peer& p, moql::subscription_id id) {
    for (auto& t : tracks_)
      if (t->from == &p && t->upstream == id) return t.get();
    return nullptr;
  }
  void upstream(net::peer& p, const moql::track_known& k, moql::instant) {
    if (track* t = of(p, k.subscription); t != nullptr && !t->cache) open(*t, k.info);
  }
  void upstream(net::peer& p, const moql::group_started& g, moql::instant now) {
    if (track* t = of(p, g.subscription); t != nullptr && t->cache) (void)t->cache->begin_group(g.group, now);
  }
  void upstream(net::peer& p, const moql::frame_part& f, moql::instant) {
    track* t = of(p, f.subscription);
    if (t == nullptr || !t->cache) return;
    bytes_ += f.payload.size();
    if (f.offset == 0) (void)t->cache->begin_frame(f.group, f.timestamp, f.size);
    (void)t->cache->append_part(f.group, f.payload.held_by() != nullptr ? f.payload : f.payload.clone());
  }
  void upstream(net::peer& p, const moql::group_finished& g, moql::instant) {
    track* t = of(p, g.subscription);
    if (t == nullptr || !t->cache) return;
    ++groups_;
    if (g.why == moql::errc::ok)
      (void)t->cache->end_group(g.group);
    else
      (void)t->cache->abort_group(g.group, moql::stream_code::cancelled);
  }
  void upstream(net::peer& p, const moql::datagram_received& d, moql::instant now) {
    track* t = of(p, d.subscription);
    if (t == nullptr || !t->cache) return;
    ++groups_;
    bytes_ += d.payload.size();
    if (t->cache->begin_group(d.group, now, moql::sent_by::datagram) != moql::errc::ok) return;
    (void)t->cache->append(d.group, d.timestamp, d.payload.held_by() != nullptr ? d.payload : d.payload.clone());
    (void)t->cache->end_group(d.group);
  }
  void upstream(net::peer& p, const moql::groups_lost& l, moql::instant) {
    track* t = of(p, l.subscription);
    if (t == nullptr || !t->cache) return;
    groups_lost_ += l.last - l.first + 1;
    (void)t->cache->drop_groups(l.first, l.last);
  }
  void upstream(net::peer& p, const moql::subscription_closed& c, moql::instant) {
    if (track* t = of(p, c.subscription); t != nullptr)
      finish(*t, c.why == moql::errc::ok ? std::nullopt : std::optional(moql::stream_code::not_found));
  }
  void upstream(net::peer&, const auto&, moql::instant) {}

  std::string local_name_;
  local_tracks local_;
  std::map<net::peer*, client> clients_;
  std::vector<announced_path> broadcasts_;
  std::vector<std::unique_ptr<track>> tracks_;
  std::uint64_t groups_ = 0, groups_lost_ = 0, bytes_ = 0;
};

}  // namespace examples
