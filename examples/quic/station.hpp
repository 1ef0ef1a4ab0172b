#pragma once
/// A UDP socket and the connections on it, found by their ids.

#include <boost/asio/posix/stream_descriptor.hpp>

#include <unordered_map>
#include <unordered_set>

#include "link.hpp"

namespace quic {

/// Held by what it waits for, until it has stopped and its last connection is over.
class station : public std::enable_shared_from_this<station> {
 public:
  explicit station(net::host& h) : host_(h), descriptor_(h.io()) {}
  station(const station&) = delete;
  station& operator=(const station&) = delete;
  ~station() { leave(); }

  udp_socket socket;
  /// A packet of no known connection, which may make one of it.
  std::function<void(const address& from, moql::byte_view packet)> on_stranger{};

  /// Once the socket is open.
  void start() {
    descriptor_.assign(socket.fd());
    wait_for_packets();
  }
  /// The connections that exist go on.
  void stop() {
    is_stopping_ = true;
    on_stranger = {};
    if (links_.empty()) leave();
  }
  /// Packets to this one are nobody's from now on.
  void forget(link& l) {
    for (const std::string& id : l.ids_) by_id_.erase(id);
    l.ids_.clear();
    links_.erase(l.shared_from_this());
    if (links_.empty() && is_stopping_) leave();
  }
  [[nodiscard]] std::size_t connections() const { return links_.size(); }

 private:
  friend class link;
  using error_code = boost::system::error_code;
  using descriptor = boost::asio::posix::stream_descriptor;

  void wait_for_packets() {
    descriptor_.async_wait(descriptor::wait_read, [self = shared_from_this()](const error_code& e) {
      if (e) return;
      self->read();
      if (self->descriptor_.is_open()) self->wait_for_packets();
    });
  }
  void wait_for_room() {
    if (std::exchange(is_waiting_, true)) return;
    descriptor_.async_wait(descriptor::wait_write, [self = shared_from_this()](const error_code& e) {
      self->is_waiting_ = false;
      if (e) return;
      self->out_.unblock();
      for (const auto& l : self->held_links()) l->serve();
    });
  }
  /// A bounded number of batches, so that sending has its turn.
  void read() {
    for (int batches = 0; batches < 16; ++batches) {
      const udp_socket::received r = socket.receive(buffer_);
      if (r.result == udp_result::nobody_there) refused();
      if (r.result != udp_result::done) break;
      for (std::size_t at = 0; at < r.size; at += r.packet_size)
        read_packet(r.from, {buffer_.data() + at, std::min(r.packet_size, r.size - at)});
    }
    for (const auto& l : std::exchange(touched_, {})) {
      l->is_touched_ = false;
      l->quic.deliver();
      l->serve();
    }
  }
  void read_packet(const address& from, moql::byte_view packet) {
    ngtcp2_version_cid id{};
    const int r = ngtcp2_pkt_decode_version_cid(&id, packet.data(), packet.size(), cid_size);
    if (r != 0 && r != NGTCP2_ERR_VERSION_NEGOTIATION) return;
    const std::string key(reinterpret_cast<const char*>(id.dcid), id.dcidlen);
    auto found = by_id_.find(key);
    if (found == by_id_.end() && on_stranger) {
      on_stranger(from, packet);
      found = by_id_.find(key);
    }
    if (found == by_id_.end()) return;
    const std::shared_ptr<link> l = found->second->shared_from_this();
    l->quic.receive(socket.local(), from, packet, host_.now());
    if (!std::exchange(l->is_touched_, true)) touched_.push_back(l);
  }
  /// ICMP is easily forged, so it only counts while nobody has proven to be there.
  void refused() {
    for (const auto& l : held_links())
      if (!l->quic.is_established() && !l->quic.is_closed()) {
        l->quic.lost("nobody listens there");
        l->serve();
      }
  }
  [[nodiscard]] std::vector<std::shared_ptr<link>> held_links() const { return {links_.begin(), links_.end()}; }
  void leave() {
    if (!descriptor_.is_open()) return;
    (void)descriptor_.release();  // cancels what waits
    socket.close();
  }

  net::host& host_;
  descriptor descriptor_;
  outbox out_{socket};
  std::unordered_set<std::shared_ptr<link>> links_;
  std::unordered_map<std::string, link*> by_id_;
  std::vector<std::shared_ptr<link>> touched_;  // while reading
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(65'536);
  bool is_waiting_ = false;
  bool is_stopping_ = false;
};

inline void link::on_id(std::string_view id) {
  const std::shared_ptr<station> s = station_.lock();
  if (s == nullptr) return;
  s->links_.insert(shared_from_this());
  ids_.emplace_back(id);
  s->by_id_[ids_.back()] = this;
}
inline void link::on_id_gone(std::string_view id) {
  const std::shared_ptr<station> s = station_.lock();
  if (s != nullptr && std::erase(ids_, id) != 0) s->by_id_.erase(std::string(id));
}

inline void link::flush() {
  const std::shared_ptr<station> s = station_.lock();
  if (s == nullptr) return;
  const bool more = quic.send(s->out_, host_.now());
  s->out_.flush();
  const bool is_blocked = s->out_.is_blocked();
  if (is_blocked) s->wait_for_room();
  is_close_said_ = is_close_said_ || (quic.is_closed() && !is_blocked);
  if (more) touch_peer();
  arm();
  if (std::exchange(s->out_.is_refused, false)) s->refused();
}

inline void link::touch_peer() {
  if (const auto p = peer_.lock()) host_.touch(*p);
}

inline void link::serve() {
  const std::shared_ptr<link> held = shared_from_this();
  if (std::exchange(is_refused_, false)) quic.close(0, "nobody speaks that here");
  if (!has_peer_ || quic.is_closed()) flush();
  touch_peer();
  if (quic.is_closed() && on_failure) std::exchange(on_failure, {})(*this);
  const std::shared_ptr<station> s = station_.lock();
  if (s != nullptr && quic.is_over()) s->forget(*this);
}

inline void link::arm() {
  const moql::instant next = quic.next_deadline();
  if (next == moql::never_due) {
    armed_ = next;
    timer_.cancel();
    return;
  }
  if (armed_ <= next) return;  // it looks again when it fires
  armed_ = next;
  timer_.expires_after(std::chrono::microseconds(std::max<std::int64_t>(0, next.us - host_.now().us)));
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& e) {
    if (e) return;
    self->armed_ = moql::never_due;
    if (self->quic.next_deadline() <= self->host_.now()) {
      self->quic.on_deadline(self->host_.now());
      self->serve();
    }
    self->arm();
  });
}

}  // namespace quic
