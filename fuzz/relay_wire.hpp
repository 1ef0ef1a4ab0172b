#pragma once
/// A peer of a relay, played by the bytes of a fuzzer: what it says is well formed as far as a choice of small numbers
/// makes it so, and it knows what the relay has asked it.

#include <memory>

#include "moql/relay/relay.hpp"
#include "null_transport.hpp"

namespace fuzzing {

/// What is said on one stream: messages one behind the other.
class words {
 public:
  explicit words(version v) : ver_(v) {}
  template <class M>
  words& say(const M& m) {
    std::vector<std::uint8_t> room(encoded_size(m, ver_) + 1);
    const encoded e = encode(m, ver_, room);
    if (e.why == errc::ok && M::in.has(ver_)) all_.insert(all_.end(), room.begin(), room.begin() + long(e.size));
    return *this;
  }
  words& type(std::uint8_t t) {
    all_.push_back(t);
    return *this;
  }
  words& raw(byte_view v) {
    all_.insert(all_.end(), v.begin(), v.end());
    return *this;
  }
  [[nodiscard]] byte_view view() const { return all_; }

 private:
  version ver_;
  std::vector<std::uint8_t> all_{};
};

[[nodiscard]] inline msg::delivery wish(std::uint8_t b) {
  msg::delivery d{.priority = static_cast<std::uint8_t>(b & 31), .max_age_ms = (b & 1) != 0 ? 100u : 100'000u};
  if ((b & 2) != 0) d.group_start = b >> 6;
  if ((b & 4) != 0) d.group_end = (b >> 6) + 1;
  if ((b & 8) != 0) d.frame_start = 1;
  return d;
}
inline void frame(words& w, std::size_t size, input& in) {
  w.say(msg::frame{static_cast<std::int64_t>(size % 3), size});
  const byte_view v = in.some();
  w.raw(v.first(v.size() < size ? v.size() : size));
  if (size <= 8 && v.size() < size) {  // mostly whole ones
    static constexpr std::uint8_t rest[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    w.raw(byte_view(rest).first(size - v.size()));
  }
}

/// One connection of the relay's, and its peer's hand.
class line {
 public:
  null_transport net{};
  session s;
  version ver;
  peer_id id{};
  bool is_joined = false;
  bool reads = true;
  bool was_told = false;  ///< session_closed.

  /// `borrows`: the transport's buffers belong to nobody.
  line(const config& c, version v, bool borrows, memory m, instant now) : s(c, m), ver(v), borrows_(borrows), mem_(m) {
    net.ver = v;
    (void)s.start(net.protocol(), now);
  }
  [[nodiscard]] bool is_up() const { return !net.is_gone && !net.is_closed; }

  /// A fragment. The buffer is gone when this returns, and what it was borrowed for must be by then.
  void feed(stream_id at, byte_view data, bool fin, instant now) {
    null_transport::stream& x = net.at(at);
    if (!x.can_feed || !is_up()) return;
    x.can_feed = !fin;
    net.fed += data.size();
    held_.emplace_back(data.begin(), data.end());
    const byte_view v(held_.back());
    s.on_data(at, borrows_ && reads ? bytes::borrow(v) : bytes::copy(v, mem_), fin, now);
  }
  /// Everything has been read.
  void forget_buffers() { held_.clear(); }
  stream_id open(direction d, byte_view data, bool fin, instant now) {
    const stream_id at = net.add(d == direction::bidi, true);
    if (!is_up()) return at;
    s.on_open(at, d, now);
    feed(at, data, fin, now);
    return at;
  }
  /// What this version's peer says first.
  void greet(std::uint64_t hop, std::uint64_t cost, instant now) {
    if (has_setup(ver)) {
      msg::setup m;
      m.hop = hop;
      m.cost = cost;
      (void)open(direction::uni, words(ver).type(1).say(m).view(), true, now);
    } else if (negotiates_in_band(ver) && s.side() == endpoint::client) {
      if (!net.streams.empty())
        feed(stream_id{0}, words(ver).type(0x21).say(msg::server_setup{.selected = facts(ver).number}).view(), false,
             now);
    } else if (negotiates_in_band(ver)) {
      const std::uint64_t offered[] = {facts(ver).number};
      (void)open(direction::bidi, words(ver).type(0x20).say(msg::client_setup{.versions = {std::span(offered)}}).view(),
                 false, now);
    }
  }
  /// The relay's stream of a type, counted from the newest; null when there is none that still listens.
  [[nodiscard]] const null_transport::stream* asked(bidi_type t, std::size_t which) const {
    const null_transport::stream* found = nullptr;
    for (std::size_t i = net.streams.size(); i-- > 0;) {
      const null_transport::stream& x = net.streams[i];
      if (!x.is_ours || x.is_uni || !x.can_feed || x.begin.empty() || x.begin[0] != static_cast<char>(t)) continue;
      found = &x;
      if (which-- == 0) break;
    }
    return found;
  }
  /// The Subscribe ID of a Subscribe stream of the relay's.
  [[nodiscard]] std::uint64_t subscribe_id(const null_transport::stream* x) const {
    if (x == nullptr || x->begin.size() < 2) return 0;
    const byte_view v(reinterpret_cast<const std::uint8_t*>(x->begin.data()), x->begin.size());
    const auto d = decode<msg::subscribe>(v.subspan(1), ver);
    return d.message.id;
  }

 private:
  bool borrows_;
  memory mem_;
  std::vector<std::vector<std::uint8_t>> held_{};
};

/// One bit each: few peers and routes, few requests, little memory.
[[nodiscard]] inline relay_limits small_limits(std::uint8_t small) {
  relay_limits caps;
  if ((small & 1) != 0) caps = {.peers_max = 4, .routes_max = 5, .routes_per_peer_max = 3};
  if ((small & 2) != 0) {
    caps.tracks_max = 3;
    caps.tracks_per_peer_max = 2;
    caps.readers_max = 4;
    caps.fetches_max = 2;
  }
  if ((small & 4) != 0) {
    caps.cache_bytes_max = 60;
    caps.track_bytes_max = 40;
    caps.track_groups_max = 3;
    caps.cache_age_max_ms = 500;
  }
  return caps;
}
/// What a relay counts agrees with what it has, and that is no more than it may. `has_failed`: its memory has.
inline void check_books(relay& core, bool has_failed) {
  const relay_counters& c = core.counters();
  const relay_limits& caps = core.options().caps;
  std::size_t readers = 0;
  std::size_t sources = 0;
  std::uint64_t held = 0;
  core.for_each_track([&](const detail::relayed_track& t) {
    must(t.readers != 0, "a track that nobody reads");
    must(t.sources.size() <= 4 && (!t.is_finished || t.sources.empty()), "sources of a track");
    if (!t.is_finished && t.sources.empty() && !has_failed)
      must(core.next_deadline() != never_due, "a track that waits for nothing");
    readers += t.readers;
    sources += t.sources.size();
    if (!t.cache) return;
    must(t.cache->bytes_held() <= caps.track_bytes_max, "a track holds too much");
    must(t.cache->groups_held() <= caps.track_groups_max, "a track holds too many groups");
    held += t.cache->bytes_held();
  });
  must(core.readers() <= readers && readers <= caps.readers_max, "readers");  // some ask for properties alone
  must(sources == core.sources() && c.sources_opened - c.sources_closed == sources, "sources");
  must(c.readers_opened - c.readers_closed == core.readers(), "readers opened and closed");
  must(c.tracks_opened - c.tracks_closed == core.tracks() && core.tracks() <= caps.tracks_max, "tracks");
  must(c.peers_joined - c.peers_left == core.peers() && core.peers() <= caps.peers_max, "peers");
  must(core.table().route_count() <= caps.routes_max, "routes");
  must(held == core.bytes_cached() && held <= caps.cache_bytes_max, "the budget");
}

}  // namespace fuzzing
