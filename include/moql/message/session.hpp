#pragma once
/// Opening a session in-band (01, 02): SESSION_CLIENT and SESSION_SERVER of the drafts, CLIENT_SETUP and SERVER_SETUP
/// as every deployed stack writes them, and SESSION_UPDATE.

#include "../wire/codec.hpp"

namespace moql::msg {
namespace w = wire;

/// An extension of SESSION_CLIENT or SESSION_SERVER. The texts give the payload no inner length; the one
/// implementation of this form writes one. None was ever defined.
struct extension {
  std::uint64_t id{};
  byte_view payload{};

  template <class V>
  static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Extension ID", w::varint, m.id)  //
           && v("Extension Payload", w::sized_bytes, m.payload);
  }
  friend constexpr bool operator==(const extension& a, const extension& b) noexcept {
    return a.id == b.id && text::of(a.payload.data(), a.payload.size()) == text::of(b.payload.data(), b.payload.size());
  }
};
using extension_kind = w::record_kind<extension>;
using extension_list = w::list<extension, extension_kind, parameters_max>;

/// A parameter of CLIENT_SETUP or SERVER_SETUP: an even id carries a varint, an odd one bytes.
struct setup_parameter {
  std::uint64_t id{};
  std::uint64_t number{};
  byte_view bytes{};
  [[nodiscard]] constexpr bool is_number() const noexcept { return id % 2 == 0; }

  template <class V>
  static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Parameter ID", w::varint, m.id)  //
           && (m.is_number() ? v("Value", w::varint, m.number) : v("Payload", w::sized_bytes, m.bytes));
  }
  friend constexpr bool operator==(const setup_parameter& a, const setup_parameter& b) noexcept {
    return extension{a.id, a.bytes} == extension{b.id, b.bytes} && a.number == b.number;
  }
};
using setup_parameter_kind = w::record_kind<setup_parameter>;
using setup_parameter_list = w::list<setup_parameter, setup_parameter_kind, parameters_max>;
/// Ids that travel in practice; all others are skipped by the parity of their id.
inline constexpr std::uint64_t setup_path = 1, setup_max_request_id = 2, setup_implementation = 7;

using version_list = w::list<std::uint64_t, w::varint_kind, versions_max>;

/// Whether two elements of a list share an id.
template <class List>
[[nodiscard]] constexpr bool repeats_an_id(const List& l) noexcept {
  for (auto i = l.begin(); i != l.end(); ++i)
    for (auto k = l.begin(); k != i; ++k)
      if (k->id == i->id) return true;
  return false;
}

/// SESSION_CLIENT: the client's versions, best first. Draft 02, Session stream.
struct session_client {
  static constexpr std::string_view name(version) noexcept { return "SESSION_CLIENT"; }
  static constexpr version_set in = before(lite03);

  version_list versions{};
  extension_list extensions{};

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Supported Versions", w::counted, m.versions)  //
           && v("Extensions", w::counted, m.extensions)     //
           && v.rule(!repeats_an_id(m.extensions), errc::duplicate_parameter);
  }
  friend constexpr bool operator==(const session_client&, const session_client&) noexcept = default;
};

/// SESSION_SERVER: the server's choice. Draft 02, Session stream.
struct session_server {
  static constexpr std::string_view name(version) noexcept { return "SESSION_SERVER"; }
  static constexpr version_set in = before(lite03);

  std::uint64_t selected{};
  extension_list extensions{};

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Selected Version", w::varint, m.selected)  //
           && v("Extensions", w::counted, m.extensions)  //
           && v.rule(!repeats_an_id(m.extensions), errc::duplicate_parameter);
  }
  friend constexpr bool operator==(const session_server&, const session_server&) noexcept = default;
};

/// CLIENT_SETUP: what clients of 01 and 02 really send, behind stream type 0x20, with a 16-bit length.
struct client_setup {
  static constexpr std::string_view name(version) noexcept { return "CLIENT_SETUP"; }
  static constexpr version_set in = before(lite03);
  static constexpr framing framed = framing::u16;

  version_list versions{};
  setup_parameter_list parameters{};

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Supported Versions", w::counted, m.versions)  //
           && v("Parameters", w::counted, m.parameters)     //
           && v.rule(!repeats_an_id(m.parameters), errc::duplicate_parameter);
  }
  friend constexpr bool operator==(const client_setup&, const client_setup&) noexcept = default;
};

/// SERVER_SETUP: the answer to CLIENT_SETUP, behind the byte 0x21.
struct server_setup {
  static constexpr std::string_view name(version) noexcept { return "SERVER_SETUP"; }
  static constexpr version_set in = before(lite03);
  static constexpr framing framed = framing::u16;
  static constexpr std::uint8_t lead = 0x21;  ///< Where CLIENT_SETUP has its stream type.

  std::uint64_t selected{};
  setup_parameter_list parameters{};

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Selected Version", w::varint, m.selected)  //
           && v("Parameters", w::counted, m.parameters)  //
           && v.rule(!repeats_an_id(m.parameters), errc::duplicate_parameter);
  }
  friend constexpr bool operator==(const server_setup&, const server_setup&) noexcept = default;
};

/// SESSION_UPDATE: the sender's estimate of the connection, in bits per second; 0 means unknown.
struct session_update {
  static constexpr std::string_view name(version) noexcept { return "SESSION_UPDATE"; }
  static constexpr version_set in = before(lite03);

  std::uint64_t bitrate{};

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Session Bitrate", w::varint, m.bitrate);
  }
  friend constexpr bool operator==(const session_update&, const session_update&) noexcept = default;
};

}  // namespace moql::msg
