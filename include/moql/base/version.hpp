#pragma once
/// The published drafts of moq-lite: numbers, names, tokens, and what each of them can do.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace moql {

enum class version : std::uint8_t { lite01 = 1, lite02, lite03, lite04, lite05, lite06 };

using enum version;

/// A set of versions, one bit each: the presence of a field or a message is data, not an `if`.
struct version_set {
  std::uint16_t bits{};
  [[nodiscard]] constexpr bool has(version v) const noexcept { return ((bits >> static_cast<unsigned>(v)) & 1u) != 0; }
  friend constexpr bool operator==(version_set, version_set) noexcept = default;
};

[[nodiscard]] constexpr version_set only(auto... v) noexcept {
  return {static_cast<std::uint16_t>((0u | ... | (1u << static_cast<unsigned>(v))))};
}
/// Open-ended on purpose: a draft that does not exist yet inherits the newest layout unless a table says otherwise.
[[nodiscard]] constexpr version_set since(version v) noexcept {
  return {static_cast<std::uint16_t>(0xffffu << static_cast<unsigned>(v))};
}
[[nodiscard]] constexpr version_set before(version v) noexcept {
  return {static_cast<std::uint16_t>((1u << static_cast<unsigned>(v)) - 1u)};
}
inline constexpr version_set always = since(lite01);
inline constexpr version_set never{};

/// What identifies a version outside the messages themselves.
struct version_facts {
  version id;
  std::uint32_t number;       ///< As offered in SESSION_CLIENT and CLIENT_SETUP.
  std::string_view name;      ///< "01" ... "06".
  std::string_view protocol;  ///< ALPN, WT-Protocol or WebSocket subprotocol token.
};

/// lite01 and lite02 share a token and are told apart in-band. `moq-lite-06-wip` is another protocol, never an alias.
inline constexpr std::array<version_facts, 6> all_versions{{
    {lite01, 0xff0dad01, "01", "moql"},
    {lite02, 0xff0dad02, "02", "moql"},
    {lite03, 0xff0dad03, "03", "moq-lite-03"},
    {lite04, 0xff0dad04, "04", "moq-lite-04"},
    {lite05, 0xff0dad05, "05", "moq-lite-05"},
    {lite06, 0xff0dad06, "06", "moq-lite-06"},
}};

inline constexpr std::string_view in_band_protocol = "moql";

/// Tokens in the order the deployed stacks prefer them, newest first.
inline constexpr std::array<std::string_view, 5> preferred_protocols{"moq-lite-06", "moq-lite-05", "moq-lite-04",
                                                                     "moq-lite-03", "moql"};

[[nodiscard]] constexpr const version_facts& facts(version v) noexcept {
  return all_versions[static_cast<std::size_t>(v) - 1];
}
[[nodiscard]] constexpr std::optional<version> version_named(std::string_view name) noexcept {
  for (const auto& f : all_versions)
    if (f.name == name) return f.id;
  return {};
}
[[nodiscard]] constexpr std::optional<version> version_numbered(std::uint64_t number) noexcept {
  for (const auto& f : all_versions)
    if (f.number == number) return f.id;
  return {};
}
/// The one version a token stands for; none for `moql`, which stands for two, and for unknown tokens.
[[nodiscard]] constexpr std::optional<version> version_of_protocol(std::string_view token) noexcept {
  if (token == in_band_protocol) return {};
  for (const auto& f : all_versions)
    if (f.protocol == token) return f.id;
  return {};
}

// Capabilities, one predicate each; written as the versions that lack it, so that later drafts default forward.
[[nodiscard]] constexpr bool negotiates_in_band(version v) noexcept { return before(lite03).has(v); }
[[nodiscard]] constexpr bool has_setup(version v) noexcept { return since(lite05).has(v); }
[[nodiscard]] constexpr bool has_announce_init(version v) noexcept { return before(lite03).has(v); }
[[nodiscard]] constexpr bool has_announce_ok(version v) noexcept { return since(lite05).has(v); }
[[nodiscard]] constexpr bool has_announce_ids(version v) noexcept { return since(lite06).has(v); }
[[nodiscard]] constexpr bool has_ranges(version v) noexcept { return since(lite03).has(v); }
[[nodiscard]] constexpr bool has_frame_bounds(version v) noexcept { return since(lite06).has(v); }
[[nodiscard]] constexpr bool has_timestamps(version v) noexcept { return since(lite05).has(v); }
[[nodiscard]] constexpr bool has_datagrams(version v) noexcept { return since(lite05).has(v); }
[[nodiscard]] constexpr bool has_track_stream(version v) noexcept { return since(lite05).has(v); }
[[nodiscard]] constexpr bool has_subscribe_end(version v) noexcept { return since(lite05).has(v); }
[[nodiscard]] constexpr bool has_drop(version v) noexcept { return since(lite03).has(v); }
[[nodiscard]] constexpr bool has_fetch(version v) noexcept { return since(lite03).has(v); }
[[nodiscard]] constexpr bool has_probe(version v) noexcept { return since(lite03).has(v); }
[[nodiscard]] constexpr bool has_goaway(version v) noexcept { return since(lite04).has(v); }
[[nodiscard]] constexpr bool has_ordered(version v) noexcept { return since(lite03).has(v) && !since(lite06).has(v); }

}  // namespace moql
