#pragma once
/// Requests that are passed on one by one: FETCH of a group that no cache holds, and TRACK of a track that nobody
/// subscribes to. Draft 06 sections 5.1.3 and 5.1.4.

#include "relay_codes.hpp"
#include "relay_track.hpp"

namespace moql::detail {

/// One request downstream and its twin upstream.
struct passed_request {
  explicit passed_request(memory m = {}) noexcept : mem(m), broadcast(m), name(m) {}
  memory mem;
  slot_handle self{};
  slot_handle from{};  ///< Who asked.
  request_id request{};
  slot_handle to{};  ///< Whom we asked.
  fetch_id fetch{};
  track_query_id query{};
  vec<char> broadcast, name;  ///< For a second try.
  std::uint8_t priority = 0;
  std::uint64_t group = 0;
  std::uint64_t frame_start = 0;
  std::optional<std::uint64_t> frame_end{};
  bool is_fetch = false;
  bool has_retried = false;
  bool is_done = false;                 ///< Upstream has said all; downstream still reads.
  std::optional<track_cache> answer{};  ///< The group as it comes.
  [[nodiscard]] std::string_view broadcast_view() const noexcept { return {broadcast.data(), broadcast.size()}; }
  [[nodiscard]] std::string_view name_view() const noexcept { return {name.data(), name.size()}; }
  void recycle() noexcept {
    answer.reset();
    fetch = {};
    query = {};
    to = {};
    broadcast.clear();
    name.clear();
    group = frame_start = 0;
    frame_end.reset();
    is_fetch = has_retried = is_done = false;
  }
};

class pass_through {
 public:
  pass_through(const relay_options& o, relay_counters& counts, relay_peers& peers, routes& table, memory m) noexcept
      : options_(o),
        counts_(counts),
        peers_(peers),
        routes_(table),
        mem_(m),
        requests_(m),
        by_request_(m),
        by_fetch_(m),
        by_query_(m) {}
  pass_through(const pass_through&) = delete;
  pass_through& operator=(const pass_through&) = delete;

  /// Whether the best route for a question leads to a peer that answers TRACK by itself (05 on).
  [[nodiscard]] bool can_query(slot_handle from, std::string_view broadcast) noexcept {
    const relay_peer& p = peers_[from.index];
    const auto v = routes_.resolve(p.scope, broadcast, {id_of<peer_id>(from), p.hop});
    const relay_peer* to = v ? peers_.find(slot_of(v->from)) : nullptr;
    return to != nullptr && to->is_usable() && has_track_stream(to->ver());
  }
  void fetch(slot_handle from, const fetch_requested& f, instant now) noexcept {
    passed_request* r = make(from, f.request, f.broadcast, f.track);
    if (r == nullptr) return;
    r->is_fetch = true;
    r->priority = f.priority;
    r->group = f.group;
    r->frame_start = f.frame_start;
    r->frame_end = f.frame_end;
    ++counts_.fetches;
    if (!ask(*r, {}, now)) refuse(*r, stream_code::unroutable);
  }
  void query(slot_handle from, const track_requested& q, instant now) noexcept {
    passed_request* r = make(from, q.request, q.broadcast, q.track);
    if (r == nullptr) return;
    ++counts_.queries;
    if (!ask(*r, {}, now)) refuse(*r, stream_code::unroutable);
  }
  /// A track has become known by way of a subscription: whoever still waits for an answer to the same question has it
  /// from there. `find(peer, broadcast, name)` is the cache that may serve a peer, or null.
  void answer_waiting(auto&& find) noexcept {
    requests_.for_each([&](slot_handle, passed_request& r) {
      track_cache* c = r.is_fetch || r.is_done ? nullptr : find(r.from, r.broadcast_view(), r.name_view());
      if (c == nullptr) return;
      take_back(r);
      (void)peers_.serve(r.from, r.request, *c);
      remove(r);
    });
  }
  /// A request downstream is over.
  void left(slot_handle from, request_id id) noexcept {
    const std::uint32_t i = by_request_.find(key_of(from, id));
    if (i == slot_index::none) return;
    take_back(requests_[i]);
    remove(requests_[i]);
  }

  void part(slot_handle to, const fetch_part& p, instant now) noexcept {
    const std::uint32_t i = by_fetch_.find(key_of(to, p.fetch));
    if (i == slot_index::none) return;
    passed_request& r = requests_[i];
    counts_.bytes_in += p.payload.size();
    const version ver = peers_[to.index].ver();
    if (!r.answer && !begin(r, ver, now)) return fail(r, stream_code::internal_error);
    // Before 05 frames carry no time; downstream they get ours, in milliseconds.
    const std::uint64_t at = has_timestamps(ver) ? p.timestamp
                             : now.us > 0        ? static_cast<std::uint64_t>(now.us) / 1000
                                                 : 0;
    errc why = errc::ok;
    if (p.offset == 0) why = r.answer->begin_frame(r.group, at, p.size);
    bytes mine = p.payload.held_by() != nullptr ? p.payload : p.payload.clone(mem_);
    if (mine.size() != p.payload.size()) why = errc::out_of_memory;
    if (why == errc::ok) why = r.answer->append_part(r.group, std::move(mine));
    if (why == errc::ok) return;
    fail(r, why == errc::limit_reached ? stream_code::group_too_large : stream_code::internal_error);
  }
  void fetched(slot_handle to, const fetch_closed& c, instant now) noexcept {
    const std::uint32_t i = by_fetch_.find(key_of(to, c.fetch));
    if (i == slot_index::none) return;
    passed_request& r = requests_[i];
    const version ver = peers_[to.index].ver();
    const stream_code code = refusal_code(ver, c.code);
    forget_twin(r);
    if (c.why == errc::ok) {  // also of a group without frames
      if (!r.answer && !begin(r, ver, now)) return refuse(r, stream_code::internal_error);
      r.is_done = true;
      (void)r.answer->end_group(r.group);
    } else if (r.answer) {  // what was cut is reset, never ended
      r.is_done = true;
      (void)r.answer->abort_group(r.group, code);
    } else if (!retry(r, to, c.why, c.code, now)) {
      refuse(r, code);
    }
  }
  void answered(slot_handle to, const track_answered& a, instant now) noexcept {
    const std::uint32_t i = by_query_.find(key_of(to, a.query));
    if (i == slot_index::none) return;
    passed_request& r = requests_[i];
    const stream_code code = refusal_code(peers_[to.index].ver(), a.code);
    forget_twin(r);
    if (a.why == errc::ok) {
      msg::track_info info = a.info;
      info.ordered = false;  // 05 has it, 06 does not: whoever reads orders for himself
      if (info.max_age_ms > options_.caps.cache_age_max_ms) info.max_age_ms = options_.caps.cache_age_max_ms;
      (void)peers_[r.from.index].link->answer(r.request, info);
      peers_.touch(r.from);
      return remove(r);
    }
    if (!retry(r, to, a.why, a.code, now)) refuse(r, code);
  }
  /// The session of a peer is about to go, and nothing more is heard of it.
  void forget(slot_handle peer) noexcept {
    if (peers_[peer.index].passes == 0) return;
    requests_.for_each([&](slot_handle, passed_request& r) {
      if (r.from == peer) {
        take_back(r);
        remove(r);
      } else if (r.to == peer) {
        forget_twin(r);
        fail(r, stream_code::unroutable);
      }
    });
  }
  [[nodiscard]] std::size_t size() const noexcept { return requests_.size(); }

 private:
  [[nodiscard]] passed_request* make(slot_handle from, request_id id, std::string_view broadcast,
                                     std::string_view name) noexcept {
    slot_handle h;
    passed_request* r = requests_.size() < options_.caps.fetches_max ? requests_.take(h) : nullptr;
    if (r != nullptr && r->broadcast.append(broadcast.data(), broadcast.size()) &&
        r->name.append(name.data(), name.size()) && by_request_.insert(key_of(from, id), h.index)) {
      r->self = h;
      r->from = from;
      r->request = id;
      ++peers_[from.index].passes;
      return r;
    }
    if (r != nullptr) requests_.give(h);
    ++counts_.requests_refused;
    (void)peers_[from.index].link->reject(id, stream_code::no_capacity);
    peers_.touch(from);
    return nullptr;
  }
  [[nodiscard]] bool ask(passed_request& r, slot_handle without, instant now) noexcept {
    const relay_peer& p = peers_[r.from.index];
    const auto v =
        routes_.resolve(p.scope, r.broadcast_view(), {id_of<peer_id>(r.from), p.hop}, id_of<peer_id>(without));
    if (!v) return false;
    const slot_handle to = slot_of(v->from);
    relay_peer* up = peers_.find(to);
    if (up == nullptr || !up->is_usable() || up->is_draining) return false;
    vec<char> room(mem_);
    const std::string_view broadcast = spelled_for(*v, r.broadcast_view(), room);
    if (r.is_fetch) {
      fetch_options o{.priority = r.priority};
      if (has_frame_bounds(up->ver())) {  // before 06 the whole group comes, and the part is served from it
        o.frame_start = r.frame_start;
        o.frame_end = r.frame_end;
      }
      const auto id = up->link->fetch(broadcast, r.name_view(), r.group, o, now);
      peers_.touch(to);
      if (!id) return false;
      r.fetch = *id;
      if (!by_fetch_.insert(key_of(to, *id), r.self.index)) {
        r.fetch = {};
        (void)up->link->cancel(*id);
        return false;
      }
    } else {
      const auto id = up->link->query_track(broadcast, r.name_view(), now);
      peers_.touch(to);
      if (!id || !by_query_.insert(key_of(to, *id), r.self.index)) return false;
      r.query = *id;
    }
    r.to = to;
    ++up->passes;
    return true;
  }
  /// one more try, with another advertiser of the same tier.
  [[nodiscard]] bool retry(passed_request& r, slot_handle refused, errc why, std::uint64_t code, instant now) noexcept {
    const bool may = why == errc::refused_by_peer && since(lite06).has(peers_[refused.index].ver()) &&
                     static_cast<stream_code>(code) == stream_code::no_capacity && !r.has_retried;
    if (!may) return false;
    r.has_retried = true;
    ++counts_.retries;
    return ask(r, refused, now);
  }
  /// The first of the answer has come: it is served from where it is put.
  [[nodiscard]] bool begin(passed_request& r, version upstream, instant now) noexcept {
    track_options o;
    o.bytes_max = options_.caps.track_bytes_max;
    o.overlapping = true;
    r.answer.emplace(o, mem_);
    const std::uint64_t first = has_frame_bounds(upstream) ? r.frame_start : 0;
    if (r.answer->begin_group(r.group, now, sent_by::stream, first) != errc::ok) return false;
    if (peers_[r.from.index].link->serve(r.request, *r.answer) != errc::ok) return false;
    peers_.touch(r.from);
    return true;
  }
  void refuse(passed_request& r, stream_code code) noexcept {
    ++counts_.requests_refused;
    (void)peers_[r.from.index].link->reject(r.request, code);
    peers_.touch(r.from);
    remove(r);
  }
  /// What has been passed on stays good; the rest will not come.
  void fail(passed_request& r, stream_code code) noexcept {
    take_back(r);
    refuse(r, code);
  }
  void take_back(passed_request& r) noexcept {
    relay_peer* up = peers_.find(r.to);
    if (up == nullptr) return;
    if (r.fetch != fetch_id{}) (void)up->link->cancel(r.fetch);
    peers_.touch(r.to);
    forget_twin(r);
  }
  void forget_twin(passed_request& r) noexcept {
    relay_peer* up = peers_.find(r.to);
    if (up == nullptr) return;
    if (r.fetch != fetch_id{}) by_fetch_.erase(key_of(r.to, r.fetch));
    if (r.query != track_query_id{}) by_query_.erase(key_of(r.to, r.query));
    r.fetch = {};
    r.query = {};
    r.to = {};
    --up->passes;
  }
  void remove(passed_request& r) noexcept {
    by_request_.erase(key_of(r.from, r.request));
    --peers_[r.from.index].passes;
    requests_.give(r.self);
  }

  const relay_options& options_;
  relay_counters& counts_;
  relay_peers& peers_;
  routes& routes_;
  memory mem_;
  slab<passed_request> requests_;
  slot_index by_request_;
  slot_index by_fetch_;
  slot_index by_query_;
};

}  // namespace moql::detail
