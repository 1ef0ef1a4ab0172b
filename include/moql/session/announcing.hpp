#pragma once
/// The peer's Announce streams: what we announce, told to each of them in its version's words. Draft 06 sections 5.1.1
/// and 5.1.1.1.

#include "../stream/announce_writer.hpp"
#include "../stream/route_order.hpp"
#include "opening.hpp"

namespace moql {

/// How an announcement came about: the path up to us, without us, and what it costs. Empty for what we originate.
struct route {
  std::span<const std::uint64_t> hops{};  ///< Origin first; 0 is unknown. At most `hops_max`.
  std::uint64_t warm{}, cold{};           ///< Accumulated, 06.
};

namespace detail {

struct published {
  explicit published(memory m = {}) noexcept : path(m), hops(m) {}
  vec<char> path;
  vec<std::uint64_t> hops;
  std::uint64_t warm = 0;
  std::uint64_t cold = 0;
  std::uint64_t since = 0;                ///< Later is newer.
  std::uint32_t next = slot_index::none;  ///< Another one of the same place.
  bool is_withdrawn = false;
  [[nodiscard]] std::string_view path_view() const noexcept { return {path.data(), path.size()}; }
  [[nodiscard]] route_rank rank() const noexcept {
    return {has_unknown_hop(hops.view()), {warm, cold}, hops.size(), since};
  }
  [[nodiscard]] bool store(const route& r) noexcept {
    hops.clear();
    warm = r.warm;
    cold = r.cold;
    return hops.append(r.hops.data(), r.hops.size());
  }
  void recycle() noexcept {
    path.clear();
    hops.clear();
    next = slot_index::none;
    is_withdrawn = false;
  }
};

struct audience {
  explicit audience(memory m = {}) noexcept : prefix(m), told(m) {}
  vec<char> prefix;
  std::uint64_t exclude_hop = 0;
  announce_writer told;
  slot_handle stream{};
  bool is_asked = false;     ///< The request has come.
  bool is_answered = false;  ///< The opening reply is out; changes follow it.
  [[nodiscard]] std::string_view prefix_view() const noexcept { return {prefix.data(), prefix.size()}; }
  void recycle() noexcept {
    prefix.clear();
    told.recycle();
    exclude_hop = 0;
    stream = {};
    is_asked = is_answered = false;
  }
};

class announcing {
 public:
  announcing(core& c, opening& o) noexcept
      : c_(c), opening_(o), published_(c.mem), by_place_(c.mem), audiences_(c.mem), initial_(c.mem) {}

  [[nodiscard]] errc announce(std::string_view path, const route& r, announcement_id& out) noexcept {
    if (!is_valid_path(path) || !c_.can_travel(path) || !is_valid(r)) return errc::bad_argument;
    if (published_.size() >= c_.caps().announcements_max) return errc::limit_reached;
    slot_handle h;
    published* p = published_.take(h);
    if (p == nullptr) return errc::out_of_memory;
    if (!p->path.append(path.data(), path.size()) || !p->store(r) ||
        !by_place_.insert(published_, place_of(path), h.index)) {
      published_.give(h);
      return errc::out_of_memory;
    }
    p->since = ++clock_;
    out = id_of<announcement_id>(h);
    tell_all(path);
    return errc::ok;
  }
  /// Another way to the same thing: told in place where the version can.
  [[nodiscard]] errc update(announcement_id id, const route& r) noexcept {
    published* p = published_.find(slot_of(id));
    if (p == nullptr) return errc::stale_handle;
    if (!is_valid(r)) return errc::bad_argument;
    if (!p->store(r)) return errc::out_of_memory;
    p->since = ++clock_;
    tell_all(p->path_view());
    return errc::ok;
  }
  [[nodiscard]] errc withdraw(announcement_id id) noexcept {
    published* p = published_.find(slot_of(id));
    if (p == nullptr) return errc::stale_handle;
    p->is_withdrawn = true;
    tell_all(p->path_view());
    by_place_.erase(published_, place_of(p->path_view()), slot_of(id).index);
    published_.give(slot_of(id));
    return errc::ok;
  }

  [[nodiscard]] errc accept(stream_record& s) noexcept {
    if (audiences_.size() >= c_.caps().announce_streams_max) return errc::limit_exceeded;
    slot_handle h;
    audience* a = audiences_.take(h);
    if (a == nullptr) return errc::out_of_memory;
    a->stream = c_.handle_of(s);
    s.kind = stream_kind::announce_theirs;
    s.owner = h.index;
    return errc::ok;
  }
  [[nodiscard]] step read(stream_record& s, byte_view& in, errc& why) noexcept {
    announce_teller::incoming m;
    const step got = c_.hear<announce_teller>(s, in, m, why);
    if (got != step::ready) return got;
    audience& a = audiences_[s.owner];
    const auto& ask = std::get<msg::announce_request>(m);
    a.exclude_hop = ask.exclude_hop;
    if (a.exclude_hop != 0 && a.exclude_hop != told_hop_) c_.tell(hop_declared{told_hop_ = a.exclude_hop});
    a.is_asked = true;
    a.told.start(c_.ver, c_.settings.hop, c_.settings.hash_seed);
    const std::string_view prefix = ask.prefix;
    why = a.prefix.append(prefix.data(), prefix.size()) ? errc::ok : errc::out_of_memory;
    // what may be advertised depends on the Hop of the peer's SETUP, so the answer waits for it.
    if (why == errc::ok && (opening_.knows_peer() || c_.ver == lite05)) answer(s, a);
    return why == errc::ok ? step::ready : step::fault;
  }
  void on_peer_setup() noexcept {
    audiences_.for_each([&](slot_handle, audience& a) {
      stream_record* s = c_.streams.find(a.stream);
      if (s != nullptr && a.is_asked && !a.is_answered) answer(*s, a);
    });
  }
  /// The subscriber left or the stream broke.
  void ended(stream_record& s) noexcept {
    audiences_.give(audiences_.handle_of(s.owner));
    s.owner = no_slot;
  }

 private:
  [[nodiscard]] bool is_valid(const route& r) const noexcept {
    return check_route(r.hops, {r.warm, r.cold}, c_.settings.hop) == errc::ok;
  }
  /// Whether `a` may hear of `p`, and under which suffix.
  [[nodiscard]] bool is_visible(const audience& a, const published& p, std::string_view& suffix) const noexcept {
    if (p.is_withdrawn) return false;
    const bool covered = covers(a.prefix_view(), p.path_view(), c_.prefixes(), suffix);
    if (!covered) {
      // a route above the request shows as the request itself. Before 06 an announcement is one exact path.
      if (!has_announce_ids(c_.ver) || !covers(p.path_view(), a.prefix_view())) return false;
      suffix = {};
    }
    const std::uint64_t peer = has_announce_ids(c_.ver) ? opening_.peer().hop : a.exclude_hop;
    return peer == 0 || (!passes(p.hops.view(), peer) && peer != c_.settings.hop);
  }
  [[nodiscard]] std::uint64_t place_of(std::string_view path) const noexcept {
    return hash_of_path(path, first_hash(c_.settings.hash_seed));
  }
  /// The best route that `a` sees under `suffix`, which is what it sees of `path`; null when there is none left.
  [[nodiscard]] const published* best(const audience& a, std::string_view path, std::string_view suffix) noexcept {
    const published* found = nullptr;
    const auto weigh = [&](const published& p) {
      std::string_view s;
      if (is_visible(a, p, s) && s == suffix && (found == nullptr || is_better(p.rank(), found->rank()))) found = &p;
    };
    if (suffix.empty()) {  // the request itself: every broader route shows as that
      published_.for_each([&](slot_handle, const published& p) { weigh(p); });
    } else {
      by_place_.for_each(published_, place_of(path), weigh);
    }
    return found;
  }
  [[nodiscard]] static offered_route offer(const published& p, std::string_view suffix) noexcept {
    return {suffix, p.hops.view(), p.warm, p.cold};
  }
  void answer(stream_record& s, audience& a) noexcept {
    initial_.clear();
    bool fits = true;
    published_.for_each([&](slot_handle, const published& p) {
      std::string_view suffix;
      if (is_visible(a, p, suffix) && best(a, p.path_view(), suffix) == &p)
        fits = fits && initial_.push(offer(p, suffix));
    });
    a.is_answered = true;
    stream_buffers* b = c_.buffers_of(s);
    const errc e = fits && b != nullptr ? a.told.open(s.said, initial_.view(), b->out) : errc::out_of_memory;
    if (e != errc::ok) return c_.fail(e);
    c_.flush(s);
  }
  /// Something about `path` changed: every audience that sees it is brought up to date.
  void tell_all(std::string_view path) noexcept {
    audiences_.for_each([&](slot_handle h, audience& a) {
      stream_record* s = c_.streams.find(a.stream);
      if (s == nullptr || !a.is_answered || !s->ends.can_send()) return;
      std::string_view suffix;
      if (!covers(a.prefix_view(), path, c_.prefixes(), suffix)) {
        if (!has_announce_ids(c_.ver) || !covers(path, a.prefix_view())) return;
        suffix = {};
      }
      const published* p = best(a, path, suffix);
      stream_buffers* b = c_.buffers_of(*s);
      const errc e = b == nullptr   ? errc::out_of_memory
                     : p == nullptr ? a.told.hide(s->said, suffix, b->out)
                                    : a.told.show(s->said, offer(*p, suffix), b->out);
      if (e != errc::ok) return c_.fail(e);
      if (s->unsent().size() > c_.caps().control_backlog_bytes_max) {
        s->kind = stream_kind::closing;
        s->owner = no_slot;
        audiences_.give(h);
        return c_.abort(*s, stream_code::too_far_behind);
      }
      c_.flush(*s);
    });
  }

  core& c_;
  opening& opening_;
  slab<published> published_;
  chained_index<published> by_place_;
  slab<audience> audiences_;
  vec<offered_route> initial_;
  std::uint64_t clock_ = 0;
  std::uint64_t told_hop_ = 0;  ///< The last `hop_declared`.
};

}  // namespace detail
}  // namespace moql
