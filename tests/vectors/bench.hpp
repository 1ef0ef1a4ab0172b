#pragma once
/// One session of ours whose peer is nothing but bytes: what the peer sends is fed, what the session does on each
/// stream is written down.

#include <functional>
#include <map>
#include <vector>

#include "fields.hpp"
#include "moql/moql.hpp"

namespace moql::vectors {

using raw = std::vector<std::uint8_t>;

/// A message as it travels, with its type and length.
template <class M>
raw bytes_of(const M& m, version v) {
  raw out(encoded_size(m, v));
  (void)encode(m, v, out);
  return out;
}
inline void append(raw& to, byte_view more) { to.insert(to.end(), more.begin(), more.end()); }

/// What the session did on one stream.
struct conduct {
  bool is_ours = false;
  bool is_bidi = false;
  raw sent{};
  bool fin = false;
  raw received{};  ///< What the peer sent.
  std::optional<std::uint64_t> reset{}, stop{};
  /// It refused the stream, or would not read it to the end.
  [[nodiscard]] bool is_refused() const { return reset.has_value() || stop.has_value(); }
};

/// The transport: takes everything at once and remembers it.
class witness : public transport_defaults {
 public:
  explicit witness(std::string_view protocol) : protocol_(protocol) {}
  open_result open(direction d) noexcept {
    const stream_id id{next_++};
    streams[id].is_ours = true;
    streams[id].is_bidi = d == direction::bidi;
    order.push_back(id);
    return {transport_status::ok, id};
  }
  write_result write(stream_id id, std::span<const chunk> pieces, bool fin) noexcept {
    conduct& s = streams[id];
    std::size_t n = 0;
    for (const chunk& c : pieces) {
      append(s.sent, {c.data, c.size});
      n += c.size;
    }
    s.fin = s.fin || fin;
    return {transport_status::ok, n};
  }
  void reset(stream_id id, std::uint64_t code) noexcept {
    if (!streams[id].fin && !streams[id].reset) streams[id].reset = code;
  }
  void stop(stream_id id, std::uint64_t code) noexcept {
    if (!streams[id].stop) streams[id].stop = code;
  }
  void close(std::uint64_t code, std::string_view) noexcept { closed = code; }
  [[nodiscard]] std::string_view protocol() const noexcept { return protocol_; }
  transport_status datagram(byte_view d) noexcept {
    datagrams.emplace_back(d.begin(), d.end());
    return transport_status::ok;
  }
  [[nodiscard]] std::size_t max_datagram() const noexcept { return datagram_bytes_max; }

  std::map<stream_id, conduct> streams{};
  std::vector<stream_id> order{};  ///< Ours, as they were opened.
  std::vector<raw> datagrams{};
  std::optional<std::uint64_t> closed{};

 private:
  std::string_view protocol_;
  std::uint64_t next_ = 1'000'000;  ///< Far from the peer's ids.
};

class bench {
 public:
  bench(version v, const config& c, bool byte_by_byte)
      : ver(v), session(c), wire(facts(v).protocol), slow_(byte_by_byte) {}

  version ver;
  moql::session session;
  witness wire;
  instant now{};
  std::function<void(const event&)> hear = [](const event&) {};

  void start() {
    (void)session.start(wire.protocol(), now);
    settle();
  }
  /// Drains events and carries out what the session wants, until it wants nothing more.
  void settle() {
    const auto drain = [&] {
      bool any = false;
      while (const auto e = session.next_event()) {
        any = true;
        hear(*e);
      }
      return any;
    };
    (void)drain();
    do pump(session, wire, now);
    while (drain());
  }
  /// The peer's part of the opening, for this version alone.
  void peer_opens() {
    if (has_setup(ver)) {
      send(open(false), raw{0x01, 0x01, 0x00}, true);
    } else if (negotiates_in_band(ver)) {
      const bool ours = session.side() == endpoint::client;
      raw m = ours ? raw{0x21, 0x00, 0x09} : raw{0x20, 0x00, 0x0a, 0x01};
      append(m, raw{0xc0, 0, 0, 0, 0xff, 0x0d, 0xad, static_cast<std::uint8_t>(facts(ver).number), 0});
      send(ours ? wire.order.at(0) : open(true), m, false);
    }
  }
  /// The peer opens a stream.
  stream_id open(bool bidi) { return open(stream_id{next_++}, bidi); }
  stream_id open(stream_id id, bool bidi) {
    wire.streams[id].is_bidi = bidi;
    session.on_open(id, bidi ? direction::bidi : direction::uni, now);
    settle();
    return id;
  }
  void send(stream_id id, byte_view data, bool fin) {
    const std::size_t step = slow_ ? 1 : data.size();
    append(wire.streams[id].received, data);
    for (std::size_t at = 0; at < data.size(); at += step) {
      const bool last = at + step >= data.size();
      session.on_data(id, bytes::copy(data.subspan(at, step)), last && fin, now);
      settle();
    }
    if (data.empty() && fin) {
      session.on_data(id, {}, true, now);
      settle();
    }
  }
  void reset(stream_id id, std::uint64_t code) {
    session.on_reset(id, code, now);
    settle();
  }
  void stop(stream_id id, std::uint64_t code) {
    session.on_stop(id, code, now);
    settle();
  }
  void datagram(byte_view d) {
    session.on_datagram(bytes::copy(d), now);
    settle();
  }
  /// Lets time pass, deadline by deadline.
  void wait(duration d) {
    const instant until = now + d;
    while (session.next_deadline() <= until) {
      if (now < session.next_deadline()) now = session.next_deadline();
      settle();
    }
    now = until;
    settle();
  }
  /// Our stream of this type that was opened last; none if there is none.
  [[nodiscard]] std::optional<stream_id> ours(bool bidi, std::uint8_t type) const {
    for (std::size_t i = wire.order.size(); i-- > 0;) {
      const conduct& s = wire.streams.at(wire.order[i]);
      if (s.is_bidi == bidi && !s.sent.empty() && s.sent[0] == type) return wire.order[i];
    }
    return {};
  }

 private:
  bool slow_;
  std::uint64_t next_ = 0;
};

}  // namespace moql::vectors
