#pragma once
/// The type that every stream starts with: draft 06 sections 5.1 and 6.3, draft 02 for the Session streams.

#include <string_view>

#include "../base/version.hpp"

namespace moql {

/// Bidirectional and unidirectional streams number their types separately.
enum class bidi_type : std::uint64_t {
  session = 0x0,
  announce = 0x1,
  subscribe = 0x2,
  fetch = 0x3,
  probe = 0x4,
  goaway = 0x5,
  track = 0x6,
  session_compat = 0x20,
};
enum class uni_type : std::uint64_t { group = 0x0, setup = 0x1 };

struct stream_type_facts {
  std::uint64_t code;
  bool bidi;
  version_set in;
  std::string_view name;
};

/// 0x20 is at the same time the type of CLIENT_SETUP. Only 02's text has it, but it is how 01 is opened in practice.
inline constexpr std::array stream_types{
    stream_type_facts{0x0, true, before(lite03), "Session"},
    stream_type_facts{0x20, true, before(lite03), "SessionCompat"},
    stream_type_facts{0x1, true, always, "Announce"},
    stream_type_facts{0x2, true, always, "Subscribe"},
    stream_type_facts{0x3, true, since(lite03), "Fetch"},
    stream_type_facts{0x4, true, since(lite03), "Probe"},
    stream_type_facts{0x5, true, since(lite04), "Goaway"},
    stream_type_facts{0x6, true, since(lite05), "Track"},
    stream_type_facts{0x0, false, always, "Group"},
    stream_type_facts{0x1, false, since(lite05), "Setup"},
};

/// What a type means in `v`; null when the version does not know it.
[[nodiscard]] constexpr const stream_type_facts* find_stream_type(std::uint64_t code, bool bidi, version v) noexcept {
  for (const auto& t : stream_types)
    if (t.code == code && t.bidi == bidi && t.in.has(v)) return &t;
  return nullptr;
}

}  // namespace moql
