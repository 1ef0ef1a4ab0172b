#pragma once
/// The tracks that a relay passes on and the requests for them, and how they are found.

#include "../base/index.hpp"
#include "../delivery/cache_budget.hpp"
#include "../delivery/timers.hpp"
#include "relay_track.hpp"

namespace moql::detail {

class track_book {
 public:
  track_book(const relay_options& o, relay_counters& counts, relay_peers& peers, routes& table, memory m) noexcept
      : options_(o),
        counts_(counts),
        peers_(peers),
        routes_(table),
        mem_(m),
        budget_(o.caps.cache_bytes_max),
        tracks_(m),
        by_name_(m),
        by_subscription_(m),
        readers_(m),
        by_request_(m),
        clock_(m) {}
  track_book(const track_book&) = delete;
  track_book& operator=(const track_book&) = delete;
  ~track_book() {
    tracks_.for_each([](slot_handle, relayed_track& t) {  // before the budget that they share
      t.merge.reset();
      t.cache.reset();
    });
  }

  /// The cache of a track that is being passed on, if it may serve this peer; null if not.
  [[nodiscard]] track_cache* cache_for(slot_handle peer, std::string_view broadcast, std::string_view name) noexcept {
    relayed_track* t = find(peers_[peer.index].scope, broadcast, name);
    return t != nullptr && t->cache && may_be_served(*t, peer) ? &*t->cache : nullptr;
  }
  /// Whether the track is being asked for, or passed on, in a way that will answer this peer.
  [[nodiscard]] bool is_coming(slot_handle peer, std::string_view broadcast, std::string_view name) noexcept {
    relayed_track* t = find(peers_[peer.index].scope, broadcast, name);
    return t != nullptr && may_be_served(*t, peer);
  }
  [[nodiscard]] std::size_t tracks() const noexcept { return tracks_.size(); }
  /// Subscriptions alone: a TRACK that waits is a reader too, but gone once it is answered.
  [[nodiscard]] std::size_t readers() const noexcept { return readers_.size() - questions_; }
  [[nodiscard]] std::size_t sources() const noexcept { return by_subscription_.size(); }
  [[nodiscard]] const cache_budget& budget() const noexcept { return budget_; }
  [[nodiscard]] instant next_deadline() const noexcept { return clock_.next(); }
  /// f(const relayed_track&).
  void for_each_track(auto&& f) noexcept {
    tracks_.for_each([&](slot_handle, relayed_track& t) { f(t); });
  }

  void refuse(slot_handle from, request_id request, stream_code code) noexcept {
    ++counts_.requests_refused;
    (void)peers_[from.index].link->reject(request, code);
    peers_.touch(from);
  }

 protected:
  enum class timer : std::uint8_t { linger, move, relax, retry };
  static constexpr std::uint32_t timers_each = 4;

  // ---- names

  [[nodiscard]] std::uint64_t hash_of_track(scope_id in, std::string_view broadcast,
                                            std::string_view name) const noexcept {
    return hash_of_path(broadcast, hash_of(name, first_hash(in, options_.hash_seed)));
  }
  [[nodiscard]] relayed_track* find(scope_id in, std::string_view broadcast, std::string_view name) noexcept {
    const std::uint32_t i = by_name_.find(tracks_, hash_of_track(in, broadcast, name), [&](const relayed_track& t) {
      return t.scope == in && t.name_view() == name && same_path(t.broadcast_view(), broadcast);
    });
    return i == slot_index::none ? nullptr : &tracks_[i];
  }
  struct found {
    relayed_track* track = nullptr;
    track_source* source = nullptr;
  };
  [[nodiscard]] found find(slot_handle peer, subscription_id id) noexcept {
    const std::uint32_t i = by_subscription_.find(key_of(peer, id));
    track_source* s = i == slot_index::none ? nullptr : tracks_[i].source_of(peer, id);
    return s == nullptr ? found{} : found{&tracks_[i], s};
  }
  /// A new track, which has no source yet; null when memory ran out.
  [[nodiscard]] relayed_track* make(scope_id in, std::string_view broadcast, std::string_view name) noexcept {
    slot_handle h;
    relayed_track* t = tracks_.take(h);
    if (t == nullptr) return nullptr;
    t->self = h;
    t->scope = in;
    t->key = hash_of_track(in, broadcast, name);
    if (t->broadcast.append(broadcast.data(), broadcast.size()) && t->name.append(name.data(), name.size()) &&
        by_name_.insert(tracks_, t->key, h.index))
      return t;
    tracks_.give(h);
    return nullptr;
  }
  /// Nobody finds it by name any longer.
  void retire(relayed_track& t) noexcept {
    if (!std::exchange(t.is_retired, true)) by_name_.erase(tracks_, t.key, t.self.index);
  }
  /// The track is gone: nobody reads it any more, or nothing comes of it. Its readers must have been told.
  void close(relayed_track& t) noexcept {
    while (!t.sources.empty()) drop_source(t, t.sources.size() - 1, true);
    cancel_timers(t);
    retire(t);
    if (relay_peer* p = peers_.find(t.opener)) --p->tracks;
    ++counts_.tracks_closed;
    tracks_.give(t.self);
  }
  /// What every entry ends with: the track may have lost its last reader on the way.
  void close_if_unread(relayed_track& t) noexcept {
    if (t.readers == 0) close(t);
  }
  void drop_source(relayed_track& t, std::size_t i, bool is_running) noexcept {
    const track_source& s = t.sources[i];
    relay_peer& p = peers_[s.peer.index];
    if (is_running) {
      (void)p.link->unsubscribe(s.subscription);
      peers_.touch(s.peer);
    }
    by_subscription_.erase(key_of(s.peer, s.subscription));
    if (t.merge) t.merge->forget(s.number);
    --p.sources;
    ++counts_.sources_closed;
    t.sources.erase(i);
  }

  // ---- readers

  /// nobody is served what came by way of himself.
  [[nodiscard]] bool may_be_served(relayed_track& t, slot_handle who) noexcept {
    for (const track_source& s : t.sources)
      if (s.peer == who || passes(s.hops.view(), peers_[who.index].hop)) return false;
    return true;
  }
  /// Null when memory ran out.
  [[nodiscard]] track_reader* add_reader(relayed_track& t, slot_handle from, request_id request,
                                         bool is_question) noexcept {
    slot_handle h;
    track_reader* r = readers_.take(h);
    if (r == nullptr) return nullptr;
    if (!by_request_.insert(key_of(from, request), h.index)) {
      readers_.give(h);
      return nullptr;
    }
    r->peer = from;
    r->request = request;
    r->self = h.index;
    r->track = t.self.index;
    r->is_question = is_question;
    questions_ += is_question ? 1 : 0;
    r->after = t.first_reader;
    if (r->after != no_slot) readers_[r->after].before = h.index;
    t.first_reader = h.index;
    ++t.readers;
    ++peers_[from.index].readers;
    return r;
  }
  void remove_reader(track_reader& r) noexcept {
    relayed_track& t = tracks_[r.track];
    by_request_.erase(key_of(r.peer, r.request));
    if (r.before != no_slot)
      readers_[r.before].after = r.after;
    else
      t.first_reader = r.after;
    if (r.after != no_slot) readers_[r.after].before = r.before;
    --t.readers;
    --peers_[r.peer.index].readers;
    if (r.is_question)
      --questions_;
    else
      ++counts_.readers_closed;
    readers_.give(readers_.handle_of(r.self));
  }
  /// Answers a reader from the cache, which is there. It may be gone after that.
  void serve(track_reader& r) noexcept {
    const errc why = peers_.serve(r.peer, r.request, *tracks_[r.track].cache);
    if (why != errc::ok || r.is_question) remove_reader(r);
  }
  void reject_reader(track_reader& r, stream_code code) noexcept {
    (void)peers_[r.peer.index].link->reject(r.request, code);
    peers_.touch(r.peer);
    remove_reader(r);
  }
  /// f(track_reader&), which may remove that reader.
  void for_each_reader(relayed_track& t, auto&& f) noexcept {
    for (std::uint32_t i = t.first_reader; i != no_slot;) {
      const std::uint32_t next = readers_[i].after;
      f(readers_[i]);
      i = next;
    }
  }

  void set_timer(relayed_track& t, timer k, duration after) noexcept {
    // Without memory for a timer nothing waits: what it was for comes with the next change.
    (void)clock_.set(t.self.index * timers_each + static_cast<std::uint32_t>(k), now_ + after);
  }
  [[nodiscard]] bool has_timer(const relayed_track& t, timer k) const noexcept {
    return clock_.has(t.self.index * timers_each + static_cast<std::uint32_t>(k));
  }
  void cancel_timer(relayed_track& t, timer k) noexcept {
    clock_.cancel(t.self.index * timers_each + static_cast<std::uint32_t>(k));
  }
  void cancel_timers(relayed_track& t) noexcept {
    for (const timer k : {timer::linger, timer::move, timer::relax, timer::retry}) cancel_timer(t, k);
  }

  const relay_options& options_;
  relay_counters& counts_;
  relay_peers& peers_;
  routes& routes_;
  memory mem_;
  cache_budget budget_;
  slab<relayed_track> tracks_;
  chained_index<relayed_track> by_name_;
  slot_index by_subscription_;
  slab<track_reader> readers_;
  slot_index by_request_;
  std::size_t questions_ = 0;  ///< Readers that wait for properties alone.
  timers clock_;
  instant now_{};
};

}  // namespace moql::detail
