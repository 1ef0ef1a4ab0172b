#pragma once
/// What a program asks of a transport, the same for all of them.

#include <moql/binding/qmux_token.hpp>
#include <moql/binding/url.hpp>
#include <moql/session/config.hpp>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace net {

using certificate_hash = std::array<std::uint8_t, 32>;  ///< SHA-256 over the certificate's DER form.

struct dial_options {
  moql::config session{};                ///< `side`, `over` and `path` are set by the transport.
  std::vector<std::string> protocols{};  ///< Tokens to offer, the first preferred; from `session.versions`.
  moql::qmux::spoken qmux{};
  bool insecure = false;  ///< Any certificate will do.
  std::vector<certificate_hash>
      hashes{};           ///< If not empty, the certificate must be one of these, and nothing else counts.
  std::string ca_file{};  ///< PEM; empty: what the system trusts.
  moql::duration handshake_timeout = moql::seconds(10);
  moql::duration idle_timeout = moql::seconds(30);  ///< Silence after which the peer is taken for lost; 0: never.
  std::shared_ptr<void> state{};                    ///< Becomes `peer::state`, or comes back in `ending::state`.
};

struct listen_options {
  moql::config session{};
  std::vector<std::string> protocols{};  ///< Tokens to accept, the first preferred.
  moql::qmux::spoken qmux{};
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;               ///< 0: any free one.
  std::string cert_file{}, key_file{};  ///< PEM, certificate chain and private key.
  std::uint32_t streams_max = 1000;     ///< Streams of each kind that a peer may have open at once.
  std::size_t connections_max = 1000;   ///< More are refused.
  moql::duration handshake_timeout = moql::seconds(10);
  moql::duration idle_timeout = moql::seconds(30);
};

/// The tokens of a set of versions, newest first, `moql` once for both of its versions.
[[nodiscard]] inline std::vector<std::string> protocols_of(moql::version_set v) {
  std::vector<std::string> out;
  for (const std::string_view token : moql::preferred_protocols) {
    bool wanted = false;
    for (const auto& f : moql::all_versions) wanted = wanted || (f.protocol == token && v.has(f.id));
    if (wanted) out.emplace_back(token);
  }
  return out;
}

}  // namespace net
