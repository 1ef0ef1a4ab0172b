#pragma once
/// What is asked of a connection: to begin, and the operations of `moql::transport`.

#include "connection.hpp"

namespace quic {

inline bool connection::connect(const address& local, const address& remote, connection_settings s, tls_peer peer,
                                moql::instant now) {
  settings_ = std::move(s);
  now_ = now;
  const ngtcp2_callbacks cb = callbacks();
  const ngtcp2_settings st = detail::stack_settings(settings_, now);
  const ngtcp2_transport_params tp = detail::transport_params(settings_);
  const ngtcp2_path path = detail::path_of(local, remote);
  const ngtcp2_cid own = detail::random_cid(cid_size), theirs = detail::random_cid(NGTCP2_MAX_CIDLEN);
  if (ngtcp2_conn_client_new(&conn_, &theirs, &own, &path, NGTCP2_PROTO_VER_V1, &cb, &st, &tp, nullptr, this) != 0)
    return false;
  holder_.on_id(detail::text_of(own));
  keep_alive();
  return tls_.start_client(conn_, settings_.credentials, settings_.protocols, std::move(peer));
}

inline bool connection::accept(const address& local, const address& remote, connection_settings s,
                               const ngtcp2_pkt_hd& first, moql::instant now) {
  settings_ = std::move(s);
  now_ = now;
  is_server_ = true;
  const ngtcp2_callbacks cb = callbacks();
  const ngtcp2_settings st = detail::stack_settings(settings_, now);
  ngtcp2_transport_params tp = detail::transport_params(settings_);
  ng::set_original_dcid(tp, first.dcid);
  const ngtcp2_path path = detail::path_of(local, remote);
  const ngtcp2_cid own = detail::random_cid(cid_size);
  if (ngtcp2_conn_server_new(&conn_, &first.scid, &own, &path, first.version, &cb, &st, &tp, nullptr, this) != 0)
    return false;
  holder_.on_id(detail::text_of(first.dcid));  // the client uses the id that it made up until it has heard of ours
  holder_.on_id(detail::text_of(own));
  keep_alive();
  return tls_.start_server(conn_, settings_.credentials, settings_.protocols);
}

inline void connection::keep_alive() noexcept {
  // A track may be silent for longer than the timeout; a peer that is gone does not answer.
  if (settings_.idle_timeout.us > 0)
    ngtcp2_conn_set_keep_alive_timeout(conn_, ng::time_of(moql::microseconds(settings_.idle_timeout.us / 3)));
}

inline moql::open_result connection::open(moql::direction d) noexcept {
  using enum moql::transport_status;
  if (!is_established_ || is_closed()) return {closed};
  std::int64_t id = -1;
  const bool is_bidi = d == moql::direction::bidi;
  const int r =
      is_bidi ? ngtcp2_conn_open_bidi_stream(conn_, &id, nullptr) : ngtcp2_conn_open_uni_stream(conn_, &id, nullptr);
  if (r == NGTCP2_ERR_STREAM_ID_BLOCKED) return {blocked};
  if (r != 0 || streams_.add(id, true, is_bidi) == nullptr) {
    fail(NGTCP2_ERR_NOMEM);
    return {closed};
  }
  return {ok, static_cast<moql::stream_id>(id)};
}

inline moql::write_result connection::write(moql::stream_id id, std::span<const moql::chunk> chunks,
                                            bool fin) noexcept {
  using enum moql::transport_status;
  stream* s = streams_.find(static_cast<std::int64_t>(id));
  if (s == nullptr || !s->now.can_send || is_closed()) return {closed, 0};
  std::size_t room = s->unsent() < settings_.stream_buffer ? settings_.stream_buffer - s->unsent() : 0;
  std::size_t accepted = 0;
  for (const moql::chunk& c : chunks) {
    const std::size_t n = s->out.push(c, room, pool_);
    accepted += n;
    room -= n;
    if (n == c.size) continue;
    if (room != 0) {
      fail(NGTCP2_ERR_NOMEM);
      return {closed, accepted};
    }
    s->now.is_full = true;
    streams_.settle(*s);
    return {blocked, accepted};
  }
  if (fin) {
    s->now.has_fin = true;
    s->now.can_send = false;
  }
  streams_.settle(*s);
  return {ok, accepted};
}

inline void connection::reset(moql::stream_id id, std::uint64_t code) noexcept {
  stream* s = streams_.find(static_cast<std::int64_t>(id));
  if (s == nullptr || s->now.is_reset || is_closed() || !can_ever_send(s->now.id)) return;
  s->now.is_reset = true;
  s->now.can_send = false;
  s->out.cut(s->now.sent);  // ngtcp2 may look at what it has sent until the stream is closed, whatever became of it
  streams_.settle(*s);
  (void)ng::reset_stream(conn_, s->now.id, code);
}

inline void connection::stop(moql::stream_id id, std::uint64_t code) noexcept {
  stream* s = streams_.find(static_cast<std::int64_t>(id));
  if (s == nullptr || !s->now.can_receive || is_closed()) return;
  (void)ng::stop_stream(conn_, s->now.id, code);
  end_receiving(*s);  // nothing more is heard of it, not even its FIN
}

inline void connection::consume(moql::stream_id id, std::size_t n) noexcept {
  const stream* s = streams_.find(static_cast<std::int64_t>(id));
  if (s != nullptr && s->now.can_receive && !is_closed())
    (void)ngtcp2_conn_extend_max_stream_offset(conn_, s->now.id, n);
}

inline moql::transport_status connection::datagram(moql::byte_view d) noexcept {
  using enum moql::transport_status;
  if (is_closed()) return closed;
  const std::size_t most = max_datagram();
  if (most == 0) return unsupported;
  if (d.size() > most) return too_large;
  if (datagrams_.size() >= settings_.datagrams_max) return blocked;
  moql::bytes copy = pool_.copy(d);
  if (copy.held_by() == nullptr) return blocked;
  datagrams_.push_back(std::move(copy));
  return ok;
}

inline std::size_t connection::max_datagram() const noexcept {
  // ngtcp2 does not say. A frame has a type and a length; a packet a header (flags, the peer's id, at most 4 bytes of
  // packet number) and a tag.
  static constexpr std::size_t frame = 1 + 2, header = 1 + 4, tag = 16;
  const std::uint64_t theirs = peer_max_datagram_frame();
  if (theirs <= frame || is_closed()) return 0;
  const std::size_t path = ngtcp2_conn_get_path_max_tx_udp_payload_size(conn_);
  const std::size_t around = frame + header + tag + ngtcp2_conn_get_dcid(conn_)->datalen;
  const std::size_t fits = path > around ? path - around : 0;
  return theirs - frame < fits ? static_cast<std::size_t>(theirs - frame) : fits;
}

static_assert(moql::transport<connection>);

}  // namespace quic
