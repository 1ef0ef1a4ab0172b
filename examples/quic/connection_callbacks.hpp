#pragma once
/// What ngtcp2 tells a connection, and what the sink hears of it.

#include "connection.hpp"

namespace quic {

namespace detail {
/// Whose packet is being read: the decryption callback is not told.
inline thread_local std::vector<std::pair<std::int64_t, std::uint64_t>>* stops_heard = nullptr;

inline int decrypt(std::uint8_t* dest, const ngtcp2_crypto_aead* aead, const ngtcp2_crypto_aead_ctx* context,
                   const std::uint8_t* text, std::size_t text_size, const std::uint8_t* nonce, std::size_t nonce_size,
                   const std::uint8_t* aad, std::size_t aad_size) {
  const int r = ngtcp2_crypto_decrypt_cb(dest, aead, context, text, text_size, nonce, nonce_size, aad, aad_size);
  if (r == 0 && stops_heard != nullptr && text_size > aead->max_overhead)
    find_stop_sending({dest, text_size - aead->max_overhead}, [](std::uint64_t id, std::uint64_t code) {
      stops_heard->emplace_back(static_cast<std::int64_t>(id), code);
    });
  return r;
}
}  // namespace detail

inline ngtcp2_callbacks connection::callbacks() {
  ngtcp2_callbacks cb = detail::crypto_callbacks();
  cb.handshake_completed = [](ngtcp2_conn*, void* user) {
    connection& c = of(user);
    c.is_established_ = true;
    c.protocol_ = c.tls_.protocol();
    c.holder_.on_established(c);
    return 0;
  };
  cb.get_new_connection_id = [](ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token, std::size_t n, void* user) {
    *id = detail::random_cid(n);
    detail::random_bytes(token, NGTCP2_STATELESS_RESET_TOKENLEN);
    of(user).holder_.on_id(detail::text_of(*id));
    return 0;
  };
  cb.remove_connection_id = [](ngtcp2_conn*, const ngtcp2_cid* id, void* user) {
    of(user).holder_.on_id_gone(detail::text_of(*id));
    return 0;
  };
  cb.stream_open = [](ngtcp2_conn* conn, std::int64_t id, void* user) {
    (void)ngtcp2_conn_set_stream_user_data(conn, id,
                                           user);  // so that a reset of this stream is not taken for its first
    return of(user).announce(id) == nullptr ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
  };
  cb.recv_stream_data = [](ngtcp2_conn*, std::uint32_t flags, std::int64_t id, std::uint64_t, const std::uint8_t* data,
                           std::size_t n, void* user, void*) {
    return of(user).on_stream_data(id, {data, n}, (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0)
               ? 0
               : NGTCP2_ERR_CALLBACK_FAILURE;
  };
  cb.stream_reset = [](ngtcp2_conn*, std::int64_t id, std::uint64_t, std::uint64_t code, void* user, void* known) {
    return of(user).on_stream_reset(id, code, known != nullptr) ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
  };
  cb.stream_close = [](ngtcp2_conn*, std::uint32_t flags, std::int64_t id, std::uint64_t code, void* user, void*) {
    of(user).on_stream_close(id, code, (flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET) != 0);
    return 0;
  };
  cb.acked_stream_data_offset = [](ngtcp2_conn*, std::int64_t id, std::uint64_t offset, std::uint64_t n, void* user,
                                   void*) {
    if (stream* s = of(user).streams_.find(id)) s->out.ack(offset + n);
    return 0;
  };
  cb.extend_max_stream_data = [](ngtcp2_conn*, std::int64_t id, std::uint64_t, void* user, void*) {
    if (stream* s = of(user).streams_.find(id)) {
      s->now.is_stalled = false;
      of(user).streams_.settle(*s);
    }
    return 0;
  };
  cb.extend_max_local_streams_bidi = [](ngtcp2_conn*, std::uint64_t, void* user) {
    if (of(user).events_ != nullptr) of(user).events_->on_credit(moql::direction::bidi);
    return 0;
  };
  cb.extend_max_local_streams_uni = [](ngtcp2_conn*, std::uint64_t, void* user) {
    if (of(user).events_ != nullptr) of(user).events_->on_credit(moql::direction::uni);
    return 0;
  };
  cb.recv_datagram = [](ngtcp2_conn*, std::uint32_t, const std::uint8_t* data, std::size_t n, void* user) {
    connection& c = of(user);
    moql::bytes copy = c.pool_.copy({data, n});
    if (c.events_ != nullptr && copy.held_by() != nullptr) c.events_->on_datagram(std::move(copy), c.now_);
    return 0;
  };
  if (!ng::hear_stop_sending(cb, [](ngtcp2_conn*, std::int64_t id, std::uint64_t code, void* user, void*) {
        of(user).on_stop_sending(id, code);
        return 0;
      }))
    cb.decrypt = &detail::decrypt;
  return cb;
}

inline void connection::receive(const address& local, const address& remote, moql::byte_view packet,
                                moql::instant now) {
  now_ = now;
  if (state_ == state::closing) {
    ++late_packets_;  // say it again, but ever more rarely: the peer may be closing too, or not be the peer
    is_close_due_ = is_close_due_ || (late_packets_ & (late_packets_ - 1)) == 0;
  }
  if (state_ != state::open) return;
  const ngtcp2_path path = detail::path_of(local, remote);
  const ngtcp2_pkt_info info{};
  stops_.clear();
  detail::stops_heard = &stops_;
  const int r = ngtcp2_conn_read_pkt(conn_, &path, &info, packet.data(), packet.size(), ng::time_of(now));
  detail::stops_heard = nullptr;
  if (r == 0) {
    for (const auto& [id, code] : stops_) on_stop_sending(id, code);
  } else if (r == NGTCP2_ERR_DRAINING) {
    received_close();
  } else if (r == NGTCP2_ERR_DROP_CONN || r == NGTCP2_ERR_RETRY) {
    lost("the peer's first packets make no sense");
  } else {
    fail(r);
  }
}

inline stream* connection::announce(std::int64_t id) noexcept {
  const bool is_bidi = ngtcp2_is_bidi_stream(id) != 0;
  stream* s = streams_.add(id, is_bidi, true);
  if (s != nullptr && events_ != nullptr)
    events_->on_open(static_cast<moql::stream_id>(id), is_bidi ? moql::direction::bidi : moql::direction::uni, now_);
  return s;
}

inline bool connection::on_stream_data(std::int64_t id, moql::byte_view data, bool fin) noexcept {
  ngtcp2_conn_extend_max_offset(conn_, data.size());  // at once: one slow stream must not stall the others
  stream* s = streams_.find(id);
  if (s == nullptr || !s->now.can_receive || events_ == nullptr) return true;
  const auto stream = static_cast<moql::stream_id>(id);
  const auto give = [this](moql::stream_id of, moql::bytes b) { events_->on_data(of, std::move(b), false, now_); };
  if (!inbox_.add(stream, data, give)) return false;
  if (!fin) return true;
  events_->on_data(stream, inbox_.last(stream), true, now_);
  end_receiving(*s);
  return true;
}

inline bool connection::on_stream_reset(std::int64_t id, std::uint64_t code, bool is_known) noexcept {
  deliver();
  stream* s = streams_.find(id);
  // The first that is heard of a stream may be its reset. ngtcp2 has no such stream then, and has given its credit
  // back.
  const bool is_first = s == nullptr && !is_known && !is_local(static_cast<moql::stream_id>(id));
  if (is_first) {
    s = announce(id);
    if (s == nullptr) return false;
  }
  if (s == nullptr || !s->now.can_receive) return true;
  if (events_ != nullptr) events_->on_reset(static_cast<moql::stream_id>(id), code, now_);
  if (is_first)
    streams_.erase(*s);
  else
    end_receiving(*s);
  return true;
}

inline void connection::end_receiving(stream& s) noexcept {
  s.now.can_receive = false;
  if (ngtcp2_is_bidi_stream(s.now.id) != 0) return;
  // 0.12.1 never closes a unidirectional stream of the peer's, so its credit is given back here and not in
  // `stream_close`; later releases may close it, which is then news to nobody.
  ngtcp2_conn_extend_max_streams_uni(conn_, 1);
  streams_.erase(s);
}

inline void connection::on_stream_close(std::int64_t id, std::uint64_t code, bool has_code) noexcept {
  stream* s = streams_.find(id);
  if (s == nullptr) return;
  if (has_code && s->now.can_send) on_stop_sending(id, code);
  if (ngtcp2_is_bidi_stream(id) != 0 && !is_local(static_cast<moql::stream_id>(id)))
    ngtcp2_conn_extend_max_streams_bidi(conn_, 1);
  streams_.erase(*s);
}

inline void connection::on_stop_sending(std::int64_t id, std::uint64_t code) noexcept {
  stream* s = streams_.find(id);
  if (s == nullptr || s->now.is_stopped || s->now.is_reset || !can_ever_send(id)) return;
  s->now.is_stopped = true;
  s->now.can_send = false;
  s->now.is_full = false;
  s->out.cut(s->now.sent);
  streams_.settle(*s);
  deliver();
  if (events_ != nullptr) events_->on_stop(static_cast<moql::stream_id>(id), code, now_);
}

}  // namespace quic
