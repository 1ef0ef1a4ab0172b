#pragma once
/// One connection of the mesh: two sessions and the network between them, whose habits may change while it runs.

#include "basics.hpp"

namespace mesh {

class world;
struct node;
struct link;

inline constexpr std::size_t plenty = std::size_t{1} << 40;  ///< A window that never fills.

struct end {
  struct listener : output_listener {
    end* self = nullptr;
  };
  end(const config& c, memory m, node& n, link& l, unsigned s) : session_(c, m), owner(&n), home(&l), side(s) {}
  moql::session session_;
  node* owner;
  link* home;
  unsigned side;
  listener heard{};
  peer_id peer{};          ///< Its name in a relay.
  unsigned book = 0;       ///< For its owner.
  std::uint64_t seen = 0;  ///< Subscriber: paths that are announced.
  bool is_reading = true;
  bool is_dead = false;  ///< Its owner is gone: nobody drives it.
  bool is_told = false;  ///< session_closed has been heard.
  bool is_dirty = false;
  bool is_connected = false;
  bool was_left = false;     ///< The relay has forgotten it.
  bool is_leaving = false;   ///< A GOAWAY came: closed as soon as nothing passes through.
  bool is_retiring = false;  ///< A newer session of the same edge has taken over.
  instant leave_by = never_due;
  bool leaves_abruptly = false;
};

/// A session's transport: passes everything on, and sees in which order groups are written.
class tap {
 public:
  explicit tap(loopback_network::endpoint& t) noexcept : t_(t) {}
  open_result open(direction d) noexcept {
    const open_result r = t_.open(d);
    ++(r.status == transport_status::ok ? sent : opens_blocked);
    return r;
  }
  write_result write(stream_id id, std::span<const chunk> c, bool fin) noexcept {
    const std::int32_t hint = t_.priority_of(id);
    const write_result r = t_.write(id, c, fin);
    ++(r.status == transport_status::ok ? sent : writes_blocked);
    last = id;
    if (hint < 0 && !c.empty()) {  // the end of a group alone takes nothing from anyone
      const std::int32_t rank = (hint + (1 << 30)) >> 14;
      if (rank > last_rank_ && !is_inverted) is_inverted = true, ranks[0] = last_rank_, ranks[1] = rank, late = id;
      last_rank_ = r.status == transport_status::ok ? rank : INT32_MAX;  // what was blocked may be overtaken
    }
    return r;
  }
  void reset(stream_id id, std::uint64_t code) noexcept { ++sent, t_.reset(id, code); }
  void stop(stream_id id, std::uint64_t code) noexcept { ++sent, t_.stop(id, code); }
  void close(std::uint64_t code, std::string_view reason) noexcept { ++sent, t_.close(code, reason); }
  [[nodiscard]] std::string_view protocol() const noexcept { return t_.protocol(); }
  void consume(stream_id id, std::size_t n) noexcept { t_.consume(id, n); }
  void priority(stream_id id, std::int32_t order) noexcept { t_.priority(id, order); }
  transport_status datagram(byte_view d) noexcept {
    ++sent;
    return t_.datagram(d);
  }
  [[nodiscard]] std::size_t max_datagram() const noexcept { return t_.max_datagram(); }
  [[nodiscard]] transport_stats stats() const noexcept { return t_.stats(); }

  bool is_inverted = false;
  std::int32_t ranks[2] = {};  ///< The one that went first, and the one that should have.
  stream_id late = no_stream;
  unsigned sent = 0;           ///< Operations that the peer would notice.
  stream_id last = no_stream;  ///< Written to.
  unsigned opens_blocked = 0;
  unsigned writes_blocked = 0;

 private:
  loopback_network::endpoint& t_;
  std::int32_t last_rank_ = INT32_MAX;
};

/// What the network tells a session, at the time that its owner's clock shows.
struct sink {
  end& e;
  duration skew;
  void on_open(stream_id id, direction d, instant t) noexcept { e.session_.on_open(id, d, t + skew); }
  void on_data(stream_id id, bytes b, bool fin, instant t) noexcept {
    e.session_.on_data(id, std::move(b), fin, t + skew);
  }
  void on_reset(stream_id id, std::uint64_t c, instant t) noexcept { e.session_.on_reset(id, c, t + skew); }
  void on_stop(stream_id id, std::uint64_t c, instant t) noexcept { e.session_.on_stop(id, c, t + skew); }
  void on_writable(stream_id id) noexcept { e.session_.on_writable(id); }
  void on_credit(direction d) noexcept { e.session_.on_credit(d); }
  void on_datagram(bytes b, instant t) noexcept { e.session_.on_datagram(std::move(b), t + skew); }
  void on_close(const close_info& c, instant t) noexcept { e.session_.on_close(c, t + skew); }
};

struct link {
  link(const loopback_options& o, const config& ca, memory ma, node& na, const config& cb, memory mb, node& nb,
       unsigned its_edge)
      : net(o), a(ca, ma, na, *this, 0), b(cb, mb, nb, *this, 1), edge(its_edge) {}
  loopback_network net;
  end a, b;
  unsigned edge;
  unsigned slot = 0;
  unsigned number = 0;
  version ver{};
  bool is_stalled = false;
  duration extra{};  ///< Everything is later by so much.
  purse* money[2] = {};
  std::uint64_t opens_blocked = 0, writes_blocked = 0;
  /// When the next thing in flight arrives.
  [[nodiscard]] instant next_due() const noexcept {
    const instant t = net.next_due();
    return is_stalled || t == never_due ? never_due : t + extra;
  }
  [[nodiscard]] end& at(unsigned side) noexcept { return side == 0 ? a : b; }
  [[nodiscard]] end& other(const end& e) noexcept { return e.side == 0 ? b : a; }
  [[nodiscard]] bool is_over() const noexcept { return (a.is_told || a.is_dead) && (b.is_told || b.is_dead); }
  [[nodiscard]] bool is_up() const noexcept {
    return !a.is_dead && !b.is_dead && a.is_connected && b.is_connected && !a.session_.is_closed() &&
           !b.session_.is_closed();
  }
};

}  // namespace mesh
