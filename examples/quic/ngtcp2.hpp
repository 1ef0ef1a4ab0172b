#pragma once
/// ngtcp2 by the names that its releases share: 0.12.1 (Debian 12) has other ones than 0.16 and later.

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include <moql/adapter/transport.hpp>

#include <cstdint>
#include <string_view>

namespace quic::ng {

/// STOP_SENDING of the peer, which ngtcp2 tells from 1.24 on. False: it does not.
inline bool hear_stop_sending(ngtcp2_callbacks& cb,
                              int (*heard)(ngtcp2_conn*, std::int64_t id, std::uint64_t code, void* user, void*)) {
#if NGTCP2_VERSION_NUM >= 0x011800
  cb.recv_stop_sending = heard;
  return true;
#else
  (void)cb, (void)heard;
  return false;
#endif
}

/// ngtcp2 counts nanoseconds.
[[nodiscard]] inline ngtcp2_tstamp time_of(moql::instant t) { return static_cast<ngtcp2_tstamp>(t.us) * 1000; }
[[nodiscard]] inline ngtcp2_duration time_of(moql::duration d) { return static_cast<ngtcp2_duration>(d.us) * 1000; }
/// Rounded up: a timer that fires early finds nothing to do.
[[nodiscard]] inline moql::instant instant_of(ngtcp2_tstamp t) {
  return t >= static_cast<ngtcp2_tstamp>(INT64_MAX) ? moql::never_due
                                                    : moql::instant{static_cast<std::int64_t>((t + 999) / 1000)};
}

#if NGTCP2_VERSION_NUM >= 0x000f00

using raw_error = ngtcp2_ccerr;
inline void set_application(raw_error& e, std::uint64_t code, std::string_view reason) {
  ngtcp2_ccerr_set_application_error(&e, code, reinterpret_cast<const std::uint8_t*>(reason.data()), reason.size());
}
inline void set_transport(raw_error& e, std::uint64_t code) { ngtcp2_ccerr_set_transport_error(&e, code, nullptr, 0); }
inline void set_alert(raw_error& e, std::uint8_t alert) { ngtcp2_ccerr_set_tls_alert(&e, alert, nullptr, 0); }
inline void set_liberr(raw_error& e, int liberr) { ngtcp2_ccerr_set_liberr(&e, liberr, nullptr, 0); }
[[nodiscard]] inline raw_error error_of(ngtcp2_conn* c) { return *ngtcp2_conn_get_ccerr(c); }
[[nodiscard]] inline bool is_application(const raw_error& e) { return e.type == NGTCP2_CCERR_TYPE_APPLICATION; }

#else

using raw_error = ngtcp2_connection_close_error;
inline void set_application(raw_error& e, std::uint64_t code, std::string_view reason) {
  ngtcp2_connection_close_error_set_application_error(&e, code, reinterpret_cast<const std::uint8_t*>(reason.data()),
                                                      reason.size());
}
inline void set_transport(raw_error& e, std::uint64_t code) {
  ngtcp2_connection_close_error_set_transport_error(&e, code, nullptr, 0);
}
inline void set_alert(raw_error& e, std::uint8_t alert) {
  ngtcp2_connection_close_error_set_transport_error_tls_alert(&e, alert, nullptr, 0);
}
inline void set_liberr(raw_error& e, int liberr) {
  ngtcp2_connection_close_error_set_transport_error_liberr(&e, liberr, nullptr, 0);
}
[[nodiscard]] inline raw_error error_of(ngtcp2_conn* c) {
  raw_error e{};
  ngtcp2_conn_get_connection_close_error(c, &e);
  return e;
}
[[nodiscard]] inline bool is_application(const raw_error& e) {
  return e.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION;
}

#endif

#if NGTCP2_VERSION_NUM >= 0x001000

inline int reset_stream(ngtcp2_conn* c, std::int64_t id, std::uint64_t code) {
  return ngtcp2_conn_shutdown_stream_write(c, 0, id, code);
}
inline int stop_stream(ngtcp2_conn* c, std::int64_t id, std::uint64_t code) {
  return ngtcp2_conn_shutdown_stream_read(c, 0, id, code);
}
[[nodiscard]] inline bool is_draining(ngtcp2_conn* c) { return ngtcp2_conn_in_draining_period(c) != 0; }

#else

inline int reset_stream(ngtcp2_conn* c, std::int64_t id, std::uint64_t code) {
  return ngtcp2_conn_shutdown_stream_write(c, id, code);
}
inline int stop_stream(ngtcp2_conn* c, std::int64_t id, std::uint64_t code) {
  return ngtcp2_conn_shutdown_stream_read(c, id, code);
}
[[nodiscard]] inline bool is_draining(ngtcp2_conn* c) { return ngtcp2_conn_is_in_draining_period(c) != 0; }

#endif

#if NGTCP2_VERSION_NUM >= 0x000e00

inline void set_original_dcid(ngtcp2_transport_params& p, const ngtcp2_cid& id) {
  p.original_dcid = id;
  p.original_dcid_present = 1;
}
[[nodiscard]] inline moql::transport_stats stats_of(ngtcp2_conn* c) {
  ngtcp2_conn_info i{};
  ngtcp2_conn_get_conn_info(c, &i);
  const std::uint64_t per_second = i.smoothed_rtt == 0 ? 0 : i.cwnd * 8 * NGTCP2_SECONDS / i.smoothed_rtt;
  return {i.smoothed_rtt / 1000, i.min_rtt == UINT64_MAX ? 0 : i.min_rtt / 1000, per_second, i.cwnd, i.bytes_in_flight};
}

#else

inline void set_original_dcid(ngtcp2_transport_params& p, const ngtcp2_cid& id) { p.original_dcid = id; }
[[nodiscard]] inline moql::transport_stats stats_of(ngtcp2_conn* c) {
  ngtcp2_conn_stat s{};
  ngtcp2_conn_get_conn_stat(c, &s);
  return {s.smoothed_rtt / 1000, s.min_rtt == UINT64_MAX ? 0 : s.min_rtt / 1000, s.delivery_rate_sec * 8, s.cwnd,
          s.bytes_in_flight};
}

#endif

}  // namespace quic::ng
