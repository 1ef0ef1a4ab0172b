#pragma once
/// The certificate that a server shows: the user's, or one made for this run.

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "certificate.hpp"

namespace net {

struct own_certificate {
  std::string cert_file{}, key_file{};
  std::string hash_hex{};
  std::shared_ptr<void> files{};  ///< Those made for this run are removed with the last share.
};

/// Nothing, and why, if the files are no certificate or none can be made.
[[nodiscard]] inline std::optional<own_certificate> load_or_make_certificate(const std::string& cert_file,
                                                                             const std::string& key_file,
                                                                             std::string& why) {
  own_certificate out{cert_file, key_file, {}, {}};
  if (cert_file.empty() != key_file.empty()) {
    why = "--cert and --key go together";
    return {};
  }
  if (cert_file.empty()) {
    const auto made = make_certificate(why);
    if (!made) return {};
    std::string folder = (std::filesystem::temp_directory_path() / "moql-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) {  // readable for its owner alone
      why = folder + ": cannot be made";
      return {};
    }
    out.files = std::shared_ptr<void>(nullptr, [folder](void*) {
      std::error_code ignored;
      std::filesystem::remove_all(folder, ignored);
    });
    out.cert_file = folder + "/cert.pem";
    out.key_file = folder + "/key.pem";
    if (!write_certificate(*made, out.cert_file, out.key_file, why)) return {};
  }
  const auto hash = hash_of_file(out.cert_file, why);
  if (!hash) return {};
  constexpr char digits[] = "0123456789abcdef";
  for (const std::uint8_t b : *hash) {
    out.hash_hex += digits[b >> 4];
    out.hash_hex += digits[b & 15];
  }
  return out;
}

/// A Hop ID of our own: random, not 0, below 2^53 because some peers count in doubles.
[[nodiscard]] inline std::uint64_t random_hop() {
  std::uint64_t v = 0;
  if (gnutls_rnd(GNUTLS_RND_NONCE, &v, sizeof v) < 0) return 0;
  return (v >> 11) | 1;
}

}  // namespace net
