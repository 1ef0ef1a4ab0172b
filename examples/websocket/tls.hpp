#pragma once
/// TLS for TCP, through OpenSSL: contexts, and what makes a certificate good enough.

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl.hpp>

#include <openssl/x509.h>

#include "../net/options.hpp"

namespace websocket {

using tls_stream = boost::beast::ssl_stream<boost::beast::tcp_stream>;

/// Null, with the reason, if the files are no certificate and key. `alpn` are the tokens that may be agreed on, in the
/// wire format of ALPN and in our order of preference; what is not among them goes on without one.
[[nodiscard]] inline std::shared_ptr<boost::asio::ssl::context> server_context(const net::listen_options& o,
                                                                               std::string alpn, std::string& why) {
  auto context = std::make_shared<boost::asio::ssl::context>(boost::asio::ssl::context::tls_server);
  boost::system::error_code e;
  context->use_certificate_chain_file(o.cert_file, e);
  if (e) why = o.cert_file + ": no certificate in it (" + e.message() + ")";
  if (!e) {
    context->use_private_key_file(o.key_file, boost::asio::ssl::context::pem, e);
    if (e) why = o.key_file + ": no private key for that certificate in it (" + e.message() + ")";
  }
  if (e) return {};
  struct alpn_list {
    std::string all;
  };
  // The context owns its list, as the callback may be called for as long as it lives.
  static const int slot = SSL_CTX_get_ex_new_index(
      0, nullptr, nullptr, nullptr,
      [](void*, void* list, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<alpn_list*>(list); });
  auto* list = new alpn_list{std::move(alpn)};
  SSL_CTX_set_ex_data(context->native_handle(), slot, list);
  SSL_CTX_set_alpn_select_cb(
      context->native_handle(),
      [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned in_size, void* p) {
        const auto& ours = static_cast<alpn_list*>(p)->all;
        unsigned char* chosen = nullptr;
        const int r = SSL_select_next_proto(&chosen, size, reinterpret_cast<const unsigned char*>(ours.data()),
                                            static_cast<unsigned>(ours.size()), in, in_size);
        *out = chosen;
        return r == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
      },
      list);
  return context;
}

[[nodiscard]] inline std::shared_ptr<boost::asio::ssl::context> client_context(const net::dial_options& o,
                                                                               std::string& why) {
  auto context = std::make_shared<boost::asio::ssl::context>(boost::asio::ssl::context::tls_client);
  boost::system::error_code e;
  if (o.ca_file.empty())
    context->set_default_verify_paths(e);
  else
    context->load_verify_file(o.ca_file, e);
  if (e) why = (o.ca_file.empty() ? "the system's certificates" : o.ca_file) + ": " + e.message();
  return e ? nullptr : context;
}

/// Sets what a client asks of the server's certificate. With hashes, `has_wanted_hash` decides after the handshake.
inline void expect_certificate(tls_stream& s, const net::dial_options& o, const std::string& host) {
  if (o.insecure || !o.hashes.empty()) {
    s.set_verify_mode(boost::asio::ssl::verify_none);
  } else {
    s.set_verify_mode(boost::asio::ssl::verify_peer);
    s.set_verify_callback(boost::asio::ssl::host_name_verification(host));
  }
  SSL_set_tlsext_host_name(s.native_handle(), host.c_str());
}
[[nodiscard]] inline bool has_wanted_hash(tls_stream& s, const net::dial_options& o) {
  if (o.insecure || o.hashes.empty()) return true;
  const std::unique_ptr<X509, void (*)(X509*)> certificate(SSL_get1_peer_certificate(s.native_handle()), &X509_free);
  net::certificate_hash sum{};
  unsigned size = 0;
  if (!certificate || X509_digest(certificate.get(), EVP_sha256(), sum.data(), &size) != 1) return false;
  for (const net::certificate_hash& h : o.hashes)
    if (h == sum) return true;
  return false;
}

/// Why a handshake failed: OpenSSL's verdict on the certificate, if that was it.
[[nodiscard]] inline std::string handshake_text(tls_stream& s, const boost::system::error_code& e) {
  const long verdict = SSL_get_verify_result(s.native_handle());
  if (verdict == X509_V_OK) return "TLS: " + e.message();
  return std::string("the certificate is not accepted: ") + X509_verify_cert_error_string(verdict);
}

}  // namespace websocket
