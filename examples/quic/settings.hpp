#pragma once
/// What a QUIC connection is given when it is made.

#include <moql/base/time.hpp>

#include <string>
#include <vector>

#include "address.hpp"
#include "tls.hpp"

namespace quic {

inline constexpr std::size_t cid_size = 8;  ///< Of the connection ids that we hand out.
/// What fits into Ethernet with IPv6 and a tunnel or two; ngtcp2 finds out how much of it the path takes.
inline constexpr std::size_t packet_max = 1452;

struct connection_settings {
  tls_credentials credentials{};
  std::vector<std::string> protocols{};   ///< ALPN tokens, the first preferred.
  std::uint64_t streams_max = 1000;       ///< Of each kind that the peer may have open.
  std::uint64_t stream_window = 1 << 20;  ///< Bytes of a stream that the peer may send ahead of `consume`.
  std::uint64_t connection_window = 16 << 20;
  std::size_t stream_buffer = 128 << 10;  ///< Bytes of a stream that are taken from the session ahead of sending.
  std::size_t datagrams_max = 256;        ///< That wait to be sent.
  moql::duration idle_timeout = moql::seconds(30);  ///< 0: none.
  moql::duration handshake_timeout = moql::seconds(10);
};

namespace detail {
inline void random_bytes(std::uint8_t* out, std::size_t n) { (void)gnutls_rnd(GNUTLS_RND_RANDOM, out, n); }
[[nodiscard]] inline ngtcp2_cid random_cid(std::size_t n) {
  ngtcp2_cid id{};
  id.datalen = n;
  random_bytes(id.data, n);
  return id;
}
[[nodiscard]] inline std::string_view text_of(const ngtcp2_cid& id) {
  return {reinterpret_cast<const char*>(id.data), id.datalen};
}
[[nodiscard]] inline ngtcp2_path path_of(const address& local, const address& remote) {
  return {{local.data(), local.size()}, {remote.data(), remote.size()}, nullptr};
}
[[nodiscard]] inline ngtcp2_settings stack_settings(const connection_settings& c, moql::instant now) {
  ngtcp2_settings s;
  ngtcp2_settings_default(&s);
  s.initial_ts = ng::time_of(now);
  s.handshake_timeout = ng::time_of(c.handshake_timeout);
  s.max_tx_udp_payload_size = packet_max;  // PMTUD is on: without it packets would stay at 1200 bytes
  s.max_window = 2 * c.connection_window;
  s.max_stream_window = 6 * c.stream_window;
  return s;
}
[[nodiscard]] inline ngtcp2_transport_params transport_params(const connection_settings& c) {
  ngtcp2_transport_params p;
  ngtcp2_transport_params_default(&p);
  p.initial_max_data = c.connection_window;
  p.initial_max_stream_data_bidi_local = p.initial_max_stream_data_bidi_remote = p.initial_max_stream_data_uni =
      c.stream_window;
  p.initial_max_streams_bidi = p.initial_max_streams_uni = c.streams_max;
  p.max_idle_timeout = ng::time_of(c.idle_timeout);
  p.max_datagram_frame_size = 65535;
  return p;
}
/// The callbacks that ngtcp2's own helper library answers.
[[nodiscard]] inline ngtcp2_callbacks crypto_callbacks() {
  ngtcp2_callbacks cb{};
  cb.client_initial = ngtcp2_crypto_client_initial_cb;
  cb.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
  cb.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
  cb.encrypt = ngtcp2_crypto_encrypt_cb;
  cb.decrypt = ngtcp2_crypto_decrypt_cb;
  cb.hp_mask = ngtcp2_crypto_hp_mask_cb;
  cb.recv_retry = ngtcp2_crypto_recv_retry_cb;
  cb.update_key = ngtcp2_crypto_update_key_cb;
  cb.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
  cb.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
  cb.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
  cb.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
  cb.rand = [](std::uint8_t* out, std::size_t n, const ngtcp2_rand_ctx*) {
    (void)gnutls_rnd(GNUTLS_RND_NONCE, out, n);
  };
  return cb;
}
}  // namespace detail

}  // namespace quic
