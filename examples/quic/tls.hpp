#pragma once
/// TLS 1.3 for QUIC by GnuTLS: who we are, whom we trust, which protocols we speak.

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "../net/options.hpp"
#include "ngtcp2.hpp"

namespace quic {

/// Certificates and keys, or what certificates are checked against; shared by all sessions of an endpoint.
using tls_credentials = std::shared_ptr<std::remove_pointer_t<gnutls_certificate_credentials_t>>;

/// Whom a client talks to.
struct tls_peer {
  std::string name{};  ///< Host name or address, as dialled.
  bool insecure = false;
  std::vector<net::certificate_hash> hashes{};
};

namespace detail {
[[nodiscard]] inline tls_credentials new_credentials() {
  gnutls_certificate_credentials_t c{};
  return tls_credentials(gnutls_certificate_allocate_credentials(&c) < 0 ? nullptr : c, [](auto* p) {
    if (p != nullptr) gnutls_certificate_free_credentials(p);
  });
}
[[nodiscard]] inline bool is_address(const std::string& name) {
  return name.find(':') != name.npos || name.find_first_not_of("0123456789.") == name.npos;
}
/// "a, b and c"
[[nodiscard]] inline std::string listed(const std::vector<std::string>& words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i)
    out += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  return out;
}
}  // namespace detail

/// PEM files: the certificate chain and its key. Null, and why, if they are no good.
[[nodiscard]] inline tls_credentials server_credentials(const std::string& cert, const std::string& key,
                                                        std::string& error) {
  tls_credentials c = detail::new_credentials();
  if (c == nullptr) return error = "GnuTLS is out of memory", nullptr;
  if (cert.empty() || key.empty()) return error = "a QUIC server needs a certificate and its key", nullptr;
  const int r = gnutls_certificate_set_x509_key_file(c.get(), cert.c_str(), key.c_str(), GNUTLS_X509_FMT_PEM);
  if (r < 0) return error = "cannot use " + cert + " and " + key + ": " + gnutls_strerror(r), nullptr;
  return c;
}

/// `ca_file`: PEM; empty: what the system trusts.
[[nodiscard]] inline tls_credentials client_credentials(const std::string& ca_file, std::string& error) {
  tls_credentials c = detail::new_credentials();
  if (c == nullptr) return error = "GnuTLS is out of memory", nullptr;
  if (ca_file.empty()) {
    (void)gnutls_certificate_set_x509_system_trust(c.get());  // none is fine for who trusts by hash
    return c;
  }
  const int r = gnutls_certificate_set_x509_trust_file(c.get(), ca_file.c_str(), GNUTLS_X509_FMT_PEM);
  if (r < 0) return error = "cannot read certificates from " + ca_file + ": " + gnutls_strerror(r), nullptr;
  if (r == 0) return error = "no certificate in " + ca_file, nullptr;
  return c;
}

/// The TLS side of one connection. Stays where it is: GnuTLS and ngtcp2 keep its address.
class tls_session {
 public:
  tls_session() = default;
  tls_session(const tls_session&) = delete;
  tls_session& operator=(const tls_session&) = delete;
  ~tls_session() {
    if (session_ != nullptr) gnutls_deinit(session_);
  }

  /// The first of `protocols` that the client offers is taken; without any the handshake fails.
  [[nodiscard]] bool start_server(ngtcp2_conn* conn, tls_credentials c, std::vector<std::string> protocols) {
    return start(conn, true, std::move(c), std::move(protocols));
  }
  [[nodiscard]] bool start_client(ngtcp2_conn* conn, tls_credentials c, std::vector<std::string> protocols,
                                  tls_peer peer) {
    peer_ = std::move(peer);
    if (!start(conn, false, std::move(c), std::move(protocols))) return false;
    if (!detail::is_address(peer_.name))
      (void)gnutls_server_name_set(session_, GNUTLS_NAME_DNS, peer_.name.data(), peer_.name.size());
    gnutls_session_set_verify_function(session_, [](gnutls_session_t s) {
      auto* ref = static_cast<ngtcp2_crypto_conn_ref*>(gnutls_session_get_ptr(s));
      return static_cast<tls_session*>(ref->user_data)->verify() ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
    });
    return true;
  }
  /// The negotiated ALPN token.
  [[nodiscard]] std::string protocol() const {
    gnutls_datum_t d{};
    if (gnutls_alpn_get_selected_protocol(session_, &d) < 0) return {};
    return {reinterpret_cast<const char*>(d.data), d.size};
  }
  /// A failed handshake in one line: the certificate, the protocols, or what the alert says.
  [[nodiscard]] std::string why(std::uint8_t alert) const {
    if (!distrust_.empty()) return distrust_;
    if (alert == GNUTLS_A_NO_APPLICATION_PROTOCOL)
      return "the peer speaks none of the versions offered: " + detail::listed(protocols_);
    const char* name = gnutls_alert_get_name(static_cast<gnutls_alert_description_t>(alert));
    return std::string("the TLS handshake failed: ") + (name == nullptr ? "unknown alert" : name);
  }

 private:
  [[nodiscard]] bool start(ngtcp2_conn* conn, bool is_server, tls_credentials c, std::vector<std::string> protocols) {
    static constexpr const char* tls13 =
        "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-GROUP-ALL:"
        "+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:%DISABLE_TLS13_COMPAT_MODE";
    credentials_ = std::move(c);
    protocols_ = std::move(protocols);
    conn_ = conn;
    ref_.user_data = this;
    ref_.get_conn = [](ngtcp2_crypto_conn_ref* r) { return static_cast<tls_session*>(r->user_data)->conn_; };
    if (gnutls_init(&session_, (is_server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NO_END_OF_EARLY_DATA) < 0)
      return false;
    if (gnutls_priority_set_direct(session_, tls13, nullptr) < 0) return false;
    const int r = is_server ? ngtcp2_crypto_gnutls_configure_server_session(session_)
                            : ngtcp2_crypto_gnutls_configure_client_session(session_);
    if (r != 0) return false;
    gnutls_session_set_ptr(session_, &ref_);
    if (gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, credentials_.get()) < 0) return false;
    std::vector<gnutls_datum_t> tokens;
    for (std::string& p : protocols_)
      tokens.push_back({reinterpret_cast<unsigned char*>(p.data()), static_cast<unsigned>(p.size())});
    // Without a common protocol QUIC must not go on (RFC 9001 section 8.1).
    unsigned flags = GNUTLS_ALPN_MANDATORY;
    if (is_server) flags |= GNUTLS_ALPN_SERVER_PRECEDENCE;
    if (gnutls_alpn_set_protocols(session_, tokens.data(), static_cast<unsigned>(tokens.size()), flags) < 0)
      return false;
    ngtcp2_conn_set_tls_native_handle(conn, session_);
    return true;
  }
  [[nodiscard]] bool verify() {
    if (!peer_.hashes.empty()) return verify_hash();
    if (peer_.insecure) return true;
    unsigned status = 0;
    const int r = gnutls_certificate_verify_peers3(session_, peer_.name.c_str(), &status);
    if (r >= 0 && status == 0) return true;
    distrust_ = "the certificate of " + peer_.name + " is not trusted: ";
    gnutls_datum_t text{};
    if (r < 0 || gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) < 0) {
      distrust_ += r < 0 ? gnutls_strerror(r) : "no reason known";
      return false;
    }
    distrust_.append(reinterpret_cast<const char*>(text.data), text.size);
    gnutls_free(text.data);
    while (!distrust_.empty() && (distrust_.back() == ' ' || distrust_.back() == '\0')) distrust_.pop_back();
    return false;
  }
  [[nodiscard]] bool verify_hash() {
    unsigned n = 0;
    const gnutls_datum_t* chain = gnutls_certificate_get_peers(session_, &n);
    net::certificate_hash hash{};
    if (chain != nullptr && n != 0 && gnutls_hash_fast(GNUTLS_DIG_SHA256, chain->data, chain->size, hash.data()) == 0 &&
        std::find(peer_.hashes.begin(), peer_.hashes.end(), hash) != peer_.hashes.end())
      return true;
    distrust_ = "the certificate of " + peer_.name + " has none of the expected hashes";
    return false;
  }

  gnutls_session_t session_{};
  ngtcp2_crypto_conn_ref ref_{};
  ngtcp2_conn* conn_ = nullptr;
  tls_credentials credentials_;
  std::vector<std::string> protocols_;
  tls_peer peer_;
  std::string distrust_;
};

}  // namespace quic
