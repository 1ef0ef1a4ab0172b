#pragma once
/// SHA-256 in hex, so that payloads too long to be listed can be checked.

#include "hash.hpp"  // of examples/
#include "moql/base/bytes.hpp"

namespace moql::vectors {

inline std::string sha256_hex(byte_view in) { return examples::sha256(in); }

}  // namespace moql::vectors
