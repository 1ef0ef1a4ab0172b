#pragma once
/// The sessions of a relay, what each has been told, and which of them have something to send.

#include "../base/queue.hpp"
#include "../session/session.hpp"
#include "relay_config.hpp"
#include "routes.hpp"

namespace moql::detail {

/// What one peer has been told of one place.
struct shown_route {
  place_id place{};
  announcement_id announcement{};
};

struct relay_peer {
  explicit relay_peer(memory m = {}) noexcept : shown(m), shown_at(m) {}
  struct listener : output_listener {
    class relay_peers* home = nullptr;
    slot_handle self{};
  } output;
  session* link = nullptr;
  void* user = nullptr;
  scope_id scope{};
  std::uint64_t hop = 0;  ///< As it declared; 0 is unknown.
  std::optional<std::uint64_t> link_cost{};
  interest_id interest{};
  bool discovers = true;
  bool has_told = false;      ///< Something came on its Announce stream.
  unsigned asked = 0;         ///< How often it was asked what it has.
  bool is_connected = false;  ///< The version is agreed.
  bool is_lost = false;       ///< Its session is over; events may still come.
  bool is_draining = false;   ///< It sent GOAWAY.
  bool is_ready = false;      ///< In the list of those to pump.
  vec<shown_route> shown;
  slot_index shown_at;
  std::size_t tracks = 0;   ///< Relayed tracks that exist because it asked.
  std::size_t readers = 0;  ///< Its subscriptions that are known here.
  std::size_t sources = 0;  ///< Subscriptions of ours on it.
  std::size_t passes = 0;   ///< Fetches and questions that it is an end of.

  [[nodiscard]] version ver() const noexcept { return link->negotiated(); }
  [[nodiscard]] bool is_usable() const noexcept { return is_connected && !is_lost; }
  void recycle() noexcept {
    link = nullptr;
    user = nullptr;
    hop = 0;
    link_cost.reset();
    interest = {};
    is_connected = is_lost = is_draining = is_ready = has_told = false;
    asked = 0;
    shown.clear();
    shown_at.clear();
    tracks = readers = sources = passes = 0;
  }
};

/// What a session calls `id`, among those of all sessions.
template <class Id>
[[nodiscard]] constexpr std::uint64_t key_of(slot_handle peer, Id id) noexcept {
  return static_cast<std::uint64_t>(peer.index) << 32 | slot_of(id).index;
}

class relay_peers {
 public:
  explicit relay_peers(memory m) noexcept : peers_(m), ready_(m) {}
  relay_peers(const relay_peers&) = delete;
  relay_peers& operator=(const relay_peers&) = delete;
  ~relay_peers() {
    peers_.for_each([](slot_handle, relay_peer& p) { p.link->wake(nullptr); });
  }

  [[nodiscard]] relay_peer* add(session& s, slot_handle& out) noexcept {
    relay_peer* p = peers_.take(out);
    if (p == nullptr) return nullptr;
    p->link = &s;
    p->output.home = this;
    p->output.self = out;
    p->output.wake = [](output_listener* l) noexcept {
      auto* mine = static_cast<relay_peer::listener*>(l);
      mine->home->touch(mine->self);
    };
    s.wake(&p->output);
    return p;
  }
  void remove(slot_handle h) noexcept {
    peers_[h.index].link->wake(nullptr);
    peers_.give(h);
  }
  [[nodiscard]] relay_peer* find(slot_handle h) noexcept { return peers_.find(h); }
  [[nodiscard]] relay_peer& operator[](std::uint32_t i) noexcept { return peers_[i]; }
  [[nodiscard]] std::size_t size() const noexcept { return peers_.size(); }
  void for_each(auto&& f) noexcept { peers_.for_each(f); }

  /// Something was asked of its session, or a cache that it serves has changed. Without memory for the list everyone is
  /// looked at instead.
  void touch(slot_handle h) noexcept {
    relay_peer* p = peers_.find(h);
    if (p == nullptr || p->is_ready) return;
    p->is_ready = true;
    must_look_at_all_ = !ready_.push(h) || must_look_at_all_;
  }
  /// Answers a request of a peer's from a cache, or refuses it: without memory no answer would ever come. Not ok: the
  /// request is over.
  errc serve(slot_handle h, request_id request, track_cache& cache) noexcept {
    session& s = *peers_[h.index].link;
    const errc why = s.serve(request, cache);
    if (why != errc::ok) (void)s.reject(request, stream_code::internal_error);
    touch(h);
    return why;
  }
  [[nodiscard]] std::optional<slot_handle> next_ready() noexcept {
    while (!ready_.empty()) {
      const slot_handle h = ready_.pop();
      relay_peer* p = peers_.find(h);
      if (p == nullptr) continue;
      p->is_ready = false;
      return h;
    }
    if (!must_look_at_all_) return {};
    std::optional<slot_handle> found;
    peers_.for_each([&](slot_handle h, relay_peer& p) {
      if (!found && std::exchange(p.is_ready, false)) found = h;
    });
    must_look_at_all_ = found.has_value();
    return found;
  }

 private:
  slab<relay_peer> peers_;
  queue<slot_handle> ready_;
  bool must_look_at_all_ = false;
};

}  // namespace moql::detail
