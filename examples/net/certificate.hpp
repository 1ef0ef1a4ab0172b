#pragma once
/// A certificate for trying things out: self-signed, for localhost, and short-lived enough for a browser to accept its
/// hash instead of a chain.

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <arpa/inet.h>

#include <ctime>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "options.hpp"

namespace net {

struct certificate {
  std::string cert{}, key{};  ///< PEM.
  certificate_hash hash{};
};

struct certificate_options {
  std::int64_t starts_in_s = -3600;          ///< Clocks differ.
  std::int64_t lasts_s = 13 * 24 * 60 * 60;  ///< Browsers accept no more than 14 days.
};

namespace detail {
struct gnutls_free_certificate {
  void operator()(gnutls_x509_crt_t c) const { gnutls_x509_crt_deinit(c); }
};
struct gnutls_free_key {
  void operator()(gnutls_x509_privkey_t k) const { gnutls_x509_privkey_deinit(k); }
};
using crt = std::unique_ptr<std::remove_pointer_t<gnutls_x509_crt_t>, gnutls_free_certificate>;
using privkey = std::unique_ptr<std::remove_pointer_t<gnutls_x509_privkey_t>, gnutls_free_key>;

[[nodiscard]] inline crt new_crt() {
  gnutls_x509_crt_t c{};
  return crt(gnutls_x509_crt_init(&c) < 0 ? nullptr : c);
}
[[nodiscard]] inline privkey new_privkey() {
  gnutls_x509_privkey_t k{};
  return privkey(gnutls_x509_privkey_init(&k) < 0 ? nullptr : k);
}
[[nodiscard]] inline std::string taken(gnutls_datum_t& d) {
  std::string out(reinterpret_cast<const char*>(d.data), d.size);
  gnutls_free(d.data);
  return out;
}
/// A GnuTLS code below 0 when something fails.
inline int hash_of(gnutls_x509_crt_t c, certificate_hash& out) {
  std::size_t n = out.size();
  return gnutls_x509_crt_get_fingerprint(c, GNUTLS_DIG_SHA256, out.data(), &n);
}
inline int describe(gnutls_x509_crt_t c, gnutls_x509_privkey_t k, const certificate_options& o) {
  const std::time_t start = std::time(nullptr) + o.starts_in_s;
  const std::uint32_t v4 = htonl(INADDR_LOOPBACK);
  const in6_addr v6 = IN6ADDR_LOOPBACK_INIT;
  std::uint8_t serial[8];
  int worst = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial);
  serial[0] &= 0x7f;  // a positive number
  for (const int r : {
           gnutls_x509_crt_set_version(c, 3),
           gnutls_x509_crt_set_serial(c, serial, sizeof serial),
           gnutls_x509_crt_set_dn_by_oid(c, GNUTLS_OID_X520_COMMON_NAME, 0, "localhost", 9),
           gnutls_x509_crt_set_activation_time(c, start),
           gnutls_x509_crt_set_expiration_time(c, start + o.lasts_s),
           gnutls_x509_crt_set_key(c, k),
           gnutls_x509_crt_set_key_usage(c, GNUTLS_KEY_DIGITAL_SIGNATURE),
           gnutls_x509_crt_set_key_purpose_oid(c, GNUTLS_KP_TLS_WWW_SERVER, 0),
           gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_DNSNAME, "localhost", 9, GNUTLS_FSAN_SET),
           gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_IPADDRESS, &v4, sizeof v4, GNUTLS_FSAN_APPEND),
           gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_IPADDRESS, &v6, sizeof v6, GNUTLS_FSAN_APPEND),
           gnutls_x509_crt_sign2(c, c, k, GNUTLS_DIG_SHA256, 0),
       })
    if (r < worst) worst = r;
  return worst;
}
}  // namespace detail

/// For localhost, 127.0.0.1 and ::1, with an ECDSA key on P-256. Nothing, and why, when GnuTLS fails.
[[nodiscard]] inline std::optional<certificate> make_certificate(std::string& error,
                                                                 const certificate_options& o = {}) {
  certificate out;
  const detail::crt c = detail::new_crt();
  const detail::privkey k = detail::new_privkey();
  gnutls_datum_t text{};
  int r = c == nullptr || k == nullptr ? GNUTLS_E_MEMORY_ERROR : 0;
  if (r >= 0)
    r = gnutls_x509_privkey_generate(k.get(), GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
  if (r >= 0) r = detail::describe(c.get(), k.get(), o);
  if (r >= 0) r = gnutls_x509_crt_export2(c.get(), GNUTLS_X509_FMT_PEM, &text);
  if (r >= 0) out.cert = detail::taken(text);
  if (r >= 0) r = gnutls_x509_privkey_export2_pkcs8(k.get(), GNUTLS_X509_FMT_PEM, nullptr, GNUTLS_PKCS_PLAIN, &text);
  if (r >= 0) out.key = detail::taken(text);
  if (r >= 0) r = detail::hash_of(c.get(), out.hash);
  if (r >= 0) return out;
  error = std::string("cannot make a certificate: ") + gnutls_strerror(r);
  return {};
}

/// The first certificate of a PEM file.
[[nodiscard]] inline std::optional<certificate_hash> hash_of_file(const std::string& path, std::string& error) {
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const detail::crt c = detail::new_crt();
  const gnutls_datum_t pem{reinterpret_cast<unsigned char*>(text.data()), static_cast<unsigned>(text.size())};
  certificate_hash hash{};
  int r = !in.good() && text.empty() ? GNUTLS_E_FILE_ERROR : c == nullptr ? GNUTLS_E_MEMORY_ERROR : 0;
  if (r >= 0) r = gnutls_x509_crt_import(c.get(), &pem, GNUTLS_X509_FMT_PEM);
  if (r >= 0) r = detail::hash_of(c.get(), hash);
  if (r >= 0) return hash;
  error = "no certificate in " + path + ": " + gnutls_strerror(r);
  return {};
}

/// False, and why, when a file cannot be written.
[[nodiscard]] inline bool write_certificate(const certificate& c, const std::string& cert_file,
                                            const std::string& key_file, std::string& error) {
  for (const auto& [path, text] : {std::pair(cert_file, &c.cert), std::pair(key_file, &c.key)}) {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out << *text;
    if (out.flush()) continue;
    error = "cannot write " + path;
    return false;
  }
  return true;
}

}  // namespace net
