#pragma once
/// The control stream of HTTP/3 (RFC 9114 section 6.2.1): our SETTINGS, and the peer's.

#include "http3.hpp"

namespace moql::http3 {

/// Settings that matter here; all others are skipped. WebTransport changed its setting from draft to draft.
enum class setting : std::uint64_t {
  qpack_table_capacity = 0x1,
  field_section_size_max = 0x6,
  qpack_blocked_streams = 0x7,
  connect_protocol = 0x8,  ///< RFC 9220: extended CONNECT.
  datagram = 0x33,         ///< RFC 9297.
  datagram_draft04 = 0xffd277,
  webtransport_draft02 = 0x2b603742,
  webtransport_sessions_draft02 = 0x2b603743,
  webtransport_sessions_draft07 = 0xc671706a,
  webtransport = 0x2c7cf000,  ///< From draft 13 on.
};

struct setting_value {
  setting id;
  std::uint64_t value;
};
/// What every peer needs to be told, as client and as server: browsers go by draft 02, Rust stacks by 02 and 07. The
/// QPACK table stays empty, so that no stream of it is needed. Flow control of sessions is never switched on.
inline constexpr std::array<setting_value, 7> our_settings{{
    {setting::qpack_table_capacity, 0},
    {setting::qpack_blocked_streams, 0},
    {setting::connect_protocol, 1},
    {setting::datagram, 1},
    {setting::webtransport_draft02, 1},
    {setting::webtransport_sessions_draft02, 1},
    {setting::webtransport_sessions_draft07, 1},
}};

/// What the peer said; 0 is also the default of each.
struct settings {
  std::uint64_t field_section_size_max = 0;  ///< 0: no limit was named.
  bool connect_protocol = false;
  bool datagram = false;      ///< Of RFC 9297 or of the draft before it.
  bool webtransport = false;  ///< In any draft.
};
/// Whether a session is possible with a peer of these settings. `connect_protocol` is not asked for: a setting of
/// WebTransport implies it, and clients do not send it.
[[nodiscard]] constexpr bool allows_webtransport(const settings& s) noexcept { return s.datagram && s.webtransport; }

namespace detail {
inline constexpr std::size_t settings_bytes = [] {
  std::size_t n = 0;
  for (const setting_value& s : our_settings)
    n += wire::varint_size(static_cast<std::uint64_t>(s.id)) + wire::varint_size(s.value);
  return n;
}();
}  // namespace detail

/// The beginning of our control stream: its type and one SETTINGS frame.
inline constexpr auto control_stream_opening = [] {
  constexpr std::uint64_t type = static_cast<std::uint64_t>(stream_type::control);
  constexpr std::uint64_t frame = static_cast<std::uint64_t>(frame_type::settings);
  std::array<std::uint8_t, wire::varint_size(type) + wire::varint_size(frame) +
                               wire::varint_size(detail::settings_bytes) + detail::settings_bytes>
      out{};
  wire::writer w{out.data()};
  wire::put_varint(w, type);
  wire::put_varint(w, frame);
  wire::put_varint(w, detail::settings_bytes);
  for (const setting_value& s : our_settings) {
    wire::put_varint(w, static_cast<std::uint64_t>(s.id));
    wire::put_varint(w, s.value);
  }
  return out;
}();

/// The body of a SETTINGS frame, in any fragments.
class settings_reader {
 public:
  /// `no_error`, or SETTINGS_ERROR: a setting of HTTP/2, a known one twice, a flag above 1.
  [[nodiscard]] constexpr code take(byte_view in) noexcept {
    std::uint64_t n{};
    while (number_.take(in, n)) {
      if (!has_id_) {
        id_ = n;
        has_id_ = true;
      } else {
        has_id_ = false;
        if (const code c = set(n); c != code::no_error) return c;
      }
    }
    return code::no_error;
  }
  /// The frame is over: FRAME_ERROR if it was cut inside of a setting.
  [[nodiscard]] constexpr code finish() const noexcept {
    return has_id_ || number_.is_inside() ? code::frame_error : code::no_error;
  }
  [[nodiscard]] constexpr const settings& get() const noexcept { return got_; }

 private:
  constexpr code set(std::uint64_t v) noexcept {
    if (id_ >= 0x2 && id_ <= 0x5) return code::settings_error;
    switch (setting{id_}) {
      case setting::qpack_table_capacity: return once(0);  // we never fill the peer's table
      case setting::qpack_blocked_streams: return once(1);
      case setting::field_section_size_max: got_.field_section_size_max = v; return once(2);
      case setting::connect_protocol: return flag(3, v, got_.connect_protocol);
      case setting::datagram: return flag(4, v, got_.datagram);
      case setting::datagram_draft04: return flag(5, v, got_.datagram);
      case setting::webtransport_draft02: return flag(6, v, got_.webtransport);
      case setting::webtransport_sessions_draft02: return once(7);  // says nothing without the one before
      case setting::webtransport_sessions_draft07: return number(8, v);
      case setting::webtransport: return number(9, v);
    }
    return code::no_error;
  }
  constexpr code once(unsigned bit) noexcept {
    const bool again = (seen_ >> bit & 1) != 0;
    seen_ |= 1u << bit;
    return again ? code::settings_error : code::no_error;
  }
  constexpr code flag(unsigned bit, std::uint64_t v, bool& out) noexcept {
    if (v > 1) return code::settings_error;
    out = out || v == 1;
    return once(bit);
  }
  constexpr code number(unsigned bit, std::uint64_t v) noexcept {
    got_.webtransport = got_.webtransport || v != 0;
    return once(bit);
  }

  varint_reader number_{};
  std::uint64_t id_ = 0;
  bool has_id_ = false;
  unsigned seen_ = 0;
  settings got_{};
};

/// The peer's control stream behind its type.
class control_reader {
 public:
  /// `by_client`: the peer is the client, which alone may send MAX_PUSH_ID.
  explicit constexpr control_reader(bool by_client) noexcept : by_client_(by_client) {}

  /// Takes all of `in`. After a fault, `no_error` excepted, the reader must not be used.
  [[nodiscard]] constexpr code take(byte_view in) noexcept {
    element_piece p;
    while (frames_.next(in, p))
      if (const code c = piece(p); c != code::no_error) return c;
    return code::no_error;
  }
  /// Whether the SETTINGS are complete; they come first and once.
  [[nodiscard]] constexpr bool has_settings() const noexcept { return has_settings_; }
  [[nodiscard]] constexpr const settings& get() const noexcept { return settings_.get(); }
  /// The peer wants no new requests: it is about to leave.
  [[nodiscard]] constexpr bool is_going_away() const noexcept { return is_going_away_; }

 private:
  constexpr code piece(const element_piece& p) noexcept {
    const auto type = frame_type{p.type};
    if (p.is_head) {
      if (!began_ && type != frame_type::settings) return code::missing_settings;
      if (is_forbidden_frame(p.type)) return code::frame_unexpected;
      switch (type) {
        case frame_type::settings:
          if (began_) return code::frame_unexpected;
          began_ = true;
          break;
        case frame_type::max_push_id:
          if (!by_client_) return code::frame_unexpected;
          break;
        case frame_type::goaway:
        case frame_type::cancel_push: break;
        default:
          if (is_known_frame(p.type)) return code::frame_unexpected;  // those of requests
      }
      number_ = {};
      is_read_ = false;
    }
    switch (type) {
      case frame_type::settings:
        if (const code c = settings_.take(p.body); c != code::no_error) return c;
        if (!p.is_last) return code::no_error;
        has_settings_ = true;
        return settings_.finish();
      case frame_type::goaway:
      case frame_type::cancel_push:
      case frame_type::max_push_id: return one_number(p);
      default: return code::no_error;
    }
  }
  constexpr code one_number(const element_piece& p) noexcept {
    byte_view in = p.body;
    std::uint64_t n{};
    if (!is_read_) is_read_ = number_.take(in, n);
    if (!in.empty() || (p.is_last && !is_read_)) return code::frame_error;
    is_going_away_ = is_going_away_ || (p.is_last && frame_type{p.type} == frame_type::goaway);
    return code::no_error;
  }

  bool by_client_;
  element_reader frames_{};
  settings_reader settings_{};
  varint_reader number_{};
  bool began_ = false;
  bool has_settings_ = false;
  bool is_read_ = false;
  bool is_going_away_ = false;
};

}  // namespace moql::http3
