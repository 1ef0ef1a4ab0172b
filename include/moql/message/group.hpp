#pragma once
/// The data plane: GROUP and FRAME (draft 06 sections 7.19 and 7.20) and the datagram body (section 6.4).

#include "../wire/codec.hpp"

namespace moql::msg {
namespace w = wire;

/// GROUP: ties a Group stream to its subscription.
struct group {
  static constexpr std::string_view name(version) noexcept { return "GROUP"; }
  static constexpr version_set in = always;
  static constexpr std::size_t body_bytes_max = 3 * w::varint_bytes_max;

  std::uint64_t subscribe_id{};
  std::uint64_t sequence{};
  std::uint64_t frame_start{};  ///< 06: index of the first frame on this stream.

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Subscribe ID", w::varint_hot, m.subscribe_id)   //
           && v("Group Sequence", w::varint_hot, m.sequence)  //
           && v("Frame Start", w::varint_hot, m.frame_start, since(lite06));
  }
  friend constexpr bool operator==(const group&, const group&) noexcept = default;
};

/// What precedes a frame's payload. The delta is to the frame before it on the same stream, from 0 for the first.
struct frame {
  static constexpr std::string_view name(version) noexcept { return "FRAME"; }
  static constexpr version_set in = always;
  static constexpr framing framed = framing::bare;
  static constexpr std::size_t bytes_max = 2 * w::varint_bytes_max;

  std::int64_t timestamp_delta{};  ///< In units of the track's timescale; 05 on.
  std::uint64_t size{};            ///< Bytes of payload that follow.

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Timestamp Delta", w::zigzagged, m.timestamp_delta, since(lite05))  //
           && v("Message Length", w::varint_hot, m.size);
  }
  friend constexpr bool operator==(const frame&, const frame&) noexcept = default;
};

/// A whole group of one frame, in a QUIC datagram.
struct datagram {
  static constexpr std::string_view name(version) noexcept { return "DATAGRAM"; }
  static constexpr version_set in = since(lite05);
  static constexpr framing framed = framing::bare;

  std::uint64_t subscribe_id{};
  std::uint64_t sequence{};
  std::uint64_t timestamp{};  ///< Absolute, in units of the track's timescale.
  byte_view payload{};

  template <class V>
  MOQL_INLINE static constexpr bool fields(auto& m, V& v) noexcept {
    return v("Subscribe ID", w::varint_hot, m.subscribe_id)   //
           && v("Group Sequence", w::varint_hot, m.sequence)  //
           && v("Timestamp", w::varint_hot, m.timestamp)      //
           && v("Payload", w::rest, m.payload);
  }
  friend constexpr bool operator==(const datagram& a, const datagram& b) noexcept {
    return a.subscribe_id == b.subscribe_id && a.sequence == b.sequence && a.timestamp == b.timestamp &&
           text::of(a.payload.data(), a.payload.size()) == text::of(b.payload.data(), b.payload.size());
  }
};

}  // namespace moql::msg
