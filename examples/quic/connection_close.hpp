#pragma once
/// How a connection ends (RFC 9000 section 10): closed by us, by the peer, by an error, or never heard of again.

#include "connection.hpp"

namespace quic {

inline void connection::close(std::uint64_t code, std::string_view reason) noexcept {
  if (is_closed()) return;
  reason_ = reason;
  ng::set_application(error_, code, reason_);
  is_told_closed_ = true;  // whoever closes hears nothing afterwards
  why_ = {code == 0, "closed with " + net::named<moql::session_code>(code) + net::quoted_reason(reason)};
  start_closing();
}

/// Says so to the peer, and again while it does not seem to have heard.
inline void connection::start_closing() noexcept {
  state_ = state::closing;
  is_close_due_ = true;
  over_at_ = now_ + three_ptos();
}

inline void connection::received_close() {
  deliver();
  const ng::raw_error e = ng::error_of(conn_);
  const bool application = ng::is_application(e);
  const std::string reason(reinterpret_cast<const char*>(e.reason), e.reasonlen);
  const std::string said = net::quoted_reason(reason);
  if (application)
    why_ = {e.error_code == 0,
            "the peer closed the connection with " + net::named<moql::session_code>(e.error_code) + said};
  else if (e.error_code >= NGTCP2_CRYPTO_ERROR && e.error_code <= (NGTCP2_CRYPTO_ERROR | 0xff))
    why_ = {false, tls_.why(static_cast<std::uint8_t>(e.error_code))};
  else if (e.error_code == NGTCP2_CONNECTION_REFUSED)
    why_ = {false, "the peer refuses the connection" + said};
  else
    why_ = {false, "the peer closed the connection with QUIC error " + net::number(e.error_code) + said};
  state_ = state::draining;  // late packets of the peer's are still ours, but nothing is said any more
  over_at_ = now_ + three_ptos();
  tell_close({application, e.error_code, application ? reason : why_.text});
}

/// Something went wrong here, and the peer is told.
inline void connection::fail(int liberr) {
  if (is_closed()) return;
  deliver();
  if (liberr == NGTCP2_ERR_CRYPTO) {
    const std::uint8_t alert = ngtcp2_conn_get_tls_alert(conn_);
    ng::set_alert(error_, alert);
    why_ = {false, tls_.why(alert)};
  } else {
    ng::set_liberr(error_, liberr);
    why_ = {false, std::string("QUIC: ") + ngtcp2_strerror(liberr)};
  }
  start_closing();
  tell_close({false, error_.error_code, why_.text});
}

/// There is nobody to tell.
inline void connection::lost(std::string text) {
  if (state_ == state::over) return;
  deliver();
  if (state_ == state::open) why_ = {false, std::move(text)};
  state_ = state::over;
  tell_close({false, 0, why_.text});
}

inline void connection::tell_close(const moql::close_info& c) noexcept {
  if (std::exchange(is_told_closed_, true) || events_ == nullptr) return;
  events_->on_close(c, now_);
}

inline moql::duration connection::three_ptos() const noexcept {
  return moql::microseconds(static_cast<std::int64_t>(ngtcp2_conn_get_pto(conn_) / 1000 * 3));
}

inline moql::instant connection::next_deadline() const noexcept {
  if (state_ == state::over) return moql::never_due;
  return state_ == state::open ? ng::instant_of(ngtcp2_conn_get_expiry(conn_)) : over_at_;
}

inline void connection::on_deadline(moql::instant now) {
  now_ = now;
  if (state_ != state::open) {
    if (now >= over_at_) state_ = state::over;
    return;
  }
  if (next_deadline() > now) return;
  const int r = ngtcp2_conn_handle_expiry(conn_, ng::time_of(now));
  if (r == 0) return;
  if (r == NGTCP2_ERR_HANDSHAKE_TIMEOUT || (r == NGTCP2_ERR_IDLE_CLOSE && !is_established_))
    lost("no answer");
  else if (r == NGTCP2_ERR_IDLE_CLOSE)
    lost("nothing was heard of the peer for " + std::to_string(settings_.idle_timeout.us / 1'000'000) + " s");
  else
    fail(r);
}

template <class Out>
void connection::send_close(Out& out) {
  const std::span<std::uint8_t> room = out.room();
  if (!is_close_due_ || room.empty()) return;
  is_close_due_ = false;
  ngtcp2_path_storage to;
  ngtcp2_path_storage_zero(&to);
  if (close_packet_.empty()) {
    ngtcp2_pkt_info info{};
    const ngtcp2_ssize n = ngtcp2_conn_write_connection_close(conn_, &to.path, &info, room.data(), room.size(), &error_,
                                                              ng::time_of(now_));
    if (n <= 0) {  // nothing was ever sent, so there is nobody to tell
      state_ = state::over;
      return;
    }
    close_packet_.assign(room.data(), room.data() + n);
    close_to_ = {to.path.remote.addr, to.path.remote.addrlen};
  } else {
    std::copy(close_packet_.begin(), close_packet_.end(), room.begin());
  }
  out.put(close_packet_.size(), close_to_);
}

}  // namespace quic
