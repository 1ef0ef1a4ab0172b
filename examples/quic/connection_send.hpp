#pragma once
/// How a connection fills packets: datagrams first, then the streams in their order.

#include "connection.hpp"

namespace quic {

template <class Out>
bool connection::send(Out& out, moql::instant now) {
  now_ = now;
  has_told_writable_ = false;
  if (state_ == state::closing) send_close(out);
  if (state_ != state::open) return false;
  const ngtcp2_tstamp ts = ng::time_of(now);
  ngtcp2_path_storage to;
  ngtcp2_path_storage_zero(&to);
  // A burst; the pace of bursts is ngtcp2's, which needs to know what time it is.
  std::size_t left = std::max<std::size_t>(10, ngtcp2_conn_get_send_quantum(conn_) / packet_max);
  for (std::span<std::uint8_t> room = out.room(); left != 0 && !room.empty(); --left, room = out.room()) {
    const ngtcp2_ssize n = write_packet(room, to, ts);
    if (n < 0) {
      fail(static_cast<int>(n));
      send_close(out);
      return false;
    }
    if (n == 0) break;
    out.put(static_cast<std::size_t>(n), {to.path.remote.addr, to.path.remote.addrlen});
  }
  ngtcp2_conn_update_pkt_tx_time(conn_, ts);
  return left == 0 || has_told_writable_;
}

/// 0: nothing can be sent now. Between the pieces of one packet nothing else may be asked of ngtcp2.
inline ngtcp2_ssize connection::write_packet(std::span<std::uint8_t> room, ngtcp2_path_storage& to, ngtcp2_tstamp ts) {
  for (int pieces = is_established_ ? 256 : 0; pieces > 0; --pieces) {
    ngtcp2_ssize n = NGTCP2_ERR_WRITE_MORE;
    if (!datagrams_.empty())
      n = write_datagram(room, to, ts);
    else if (stream* s = next_stream())
      n = write_stream(*s, room, to, ts);
    else
      break;
    if (n != NGTCP2_ERR_WRITE_MORE) return n;
  }
  ngtcp2_pkt_info info{};
  return ngtcp2_conn_writev_stream(conn_, &to.path, &info, room.data(), room.size(), nullptr,
                                   NGTCP2_WRITE_STREAM_FLAG_NONE, -1, nullptr, 0, ts);
}

/// The one whose turn it is, unless it needs connection credit and there is none.
inline stream* connection::next_stream() noexcept {
  stream* s = streams_.next();
  return s != nullptr && (s->unsent() == 0 || ngtcp2_conn_get_max_data_left(conn_) != 0) ? s : nullptr;
}

/// WRITE_MORE: go on with what is next.
inline ngtcp2_ssize connection::write_datagram(std::span<std::uint8_t> room, ngtcp2_path_storage& to,
                                               ngtcp2_tstamp ts) {
  const moql::bytes& d = datagrams_.front();
  int is_taken = 0;
  ngtcp2_ssize n = NGTCP2_ERR_INVALID_ARGUMENT;
  if (d.size() <= max_datagram()) {  // the path may have become narrower since it was queued
    ngtcp2_pkt_info info{};
    const ngtcp2_vec v{const_cast<std::uint8_t*>(d.data()), d.size()};
    n = ngtcp2_conn_writev_datagram(conn_, &to.path, &info, room.data(), room.size(), &is_taken,
                                    NGTCP2_WRITE_DATAGRAM_FLAG_MORE, 0, &v, 1, ts);
  }
  const bool is_refused = n == NGTCP2_ERR_INVALID_ARGUMENT || n == NGTCP2_ERR_INVALID_STATE;
  if (is_taken != 0 || is_refused) datagrams_.pop_front();
  return is_refused ? ngtcp2_ssize{NGTCP2_ERR_WRITE_MORE} : n;
}

inline ngtcp2_ssize connection::write_stream(stream& s, std::span<std::uint8_t> room, ngtcp2_path_storage& to,
                                             ngtcp2_tstamp ts) {
  ngtcp2_vec pieces[16];
  std::size_t count = 0, size = 0;
  s.out.gather(s.now.sent, [&](moql::byte_view p) {
    pieces[count++] = {const_cast<std::uint8_t*>(p.data()), p.size()};
    size += p.size();
    return count < std::size(pieces) && size < room.size();
  });
  const bool with_fin = s.now.has_fin && size == s.unsent();  // with the last byte, not after it
  std::uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE;
  if (with_fin) flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;
  ngtcp2_pkt_info info{};
  ngtcp2_ssize taken = -1;  // may stay -1 even though a packet comes out
  const ngtcp2_ssize n = ngtcp2_conn_writev_stream(conn_, &to.path, &info, room.data(), room.size(), &taken, flags,
                                                   s.now.id, pieces, count, ts);
  switch (n) {
    case NGTCP2_ERR_STREAM_DATA_BLOCKED:
      s.now.is_stalled = true;
      streams_.settle(s);
      return NGTCP2_ERR_WRITE_MORE;
    case NGTCP2_ERR_STREAM_SHUT_WR:
    case NGTCP2_ERR_STREAM_NOT_FOUND:
      on_stop_sending(s.now.id, moql::no_code);
      s.now.is_stopped = true;
      streams_.settle(s);
      return NGTCP2_ERR_WRITE_MORE;
    default: break;
  }
  if (taken >= 0) sent(s, static_cast<std::size_t>(taken), with_fin && static_cast<std::size_t>(taken) == size);
  return n;
}

inline void connection::sent(stream& s, std::size_t n, bool with_fin) noexcept {
  s.now.sent += n;
  s.now.is_fin_sent = s.now.is_fin_sent || with_fin;
  streams_.sent(s);
  if (!s.now.is_full || s.unsent() * 2 > settings_.stream_buffer) return;
  s.now.is_full = false;
  has_told_writable_ = true;
  if (events_ != nullptr) events_->on_writable(static_cast<moql::stream_id>(s.now.id));
}

}  // namespace quic
