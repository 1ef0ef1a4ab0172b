#pragma once
/// How a session agrees on its version and capabilities, in three eras: in-band (01, 02), by token alone (03, 04), by
/// token and SETUP streams (05, 06). Draft 06 sections 3.1, 6.3.1 and 7.3; draft 02, "Session".

#include "core.hpp"

namespace moql::detail {

class opening {
 public:
  explicit opening(core& c) noexcept : c_(c), peer_path_(c.mem) {}

  /// The transport is up and has negotiated `protocol`.
  [[nodiscard]] errc start(std::string_view protocol) noexcept {
    if (c_.is_started) return errc::wrong_state;
    if (c_.is_over()) return errc::closed;
    c_.is_started = true;
    if (protocol.empty() || protocol == in_band_protocol) return start_in_band();
    const auto v = version_of_protocol(protocol);
    if (!v || !c_.settings.versions.has(*v)) {
      c_.fail(errc::no_common_version);
      return errc::no_common_version;
    }
    // on 05 a Path begins with '/'.
    const std::string_view path = c_.settings.path;
    if (*v == lite05 && c_.is_client() && !carries_uri(c_.settings.over) && !path.empty() && path.front() != '/') {
      c_.is_started = false;
      return errc::bad_argument;
    }
    c_.ver = *v;
    c_.is_established = true;
    c_.tell(connected{*v});
    if (has_setup(*v)) {
      c_.set_timer(timer_kind::setup, {}, c_.caps().setup_timeout);
      return send_setup();
    }
    return errc::ok;
  }

  /// 01, 02: the peer's first bidirectional stream is of type `code`. Becomes the session stream or ends the session.
  void accept_session_stream(stream_record& s, std::uint64_t code) noexcept {
    if (c_.is_client()) return c_.fail(errc::wrong_direction);
    if (has_stream_) return c_.fail(errc::second_session_stream);
    has_stream_ = true;
    is_compat_ = code == static_cast<std::uint64_t>(bidi_type::session_compat);
    s.kind = stream_kind::session;
    stream_ = c_.handle_of(s);
  }
  [[nodiscard]] step read_session(stream_record& s, byte_view& in, errc& why) noexcept {
    if (is_compat_)
      return c_.is_client() ? read_as<compat_client_side>(s, in, why) : read_as<compat_server_side>(s, in, why);
    return c_.is_client() ? read_as<session_client_side>(s, in, why) : read_as<session_server_side>(s, in, why);
  }
  /// 01, 02: tells the peer our estimate, in bits per second.
  [[nodiscard]] errc send_update(std::uint64_t bitrate) noexcept {
    stream_record* s = c_.streams.find(stream_);
    if (s == nullptr || !s->ends.can_send()) return errc::wrong_state;
    const msg::session_update m{bitrate};
    const errc e = is_compat_
                       ? (c_.is_client() ? c_.say<compat_client_side>(*s, m) : c_.say<compat_server_side>(*s, m))
                       : (c_.is_client() ? c_.say<session_client_side>(*s, m) : c_.say<session_server_side>(*s, m));
    c_.flush(*s);
    return e;
  }

  /// 05, 06: the peer opened a Setup stream.
  void accept_setup_stream(stream_record& s) noexcept {
    if (has_peer_setup_stream_) return c_.fail(errc::second_setup);
    has_peer_setup_stream_ = true;
    s.kind = stream_kind::setup_in;
  }
  [[nodiscard]] step read_setup(stream_record& s, byte_view& in, errc& why) noexcept {
    setup_receiver::incoming m;
    const step got = c_.hear<setup_receiver>(s, in, m, why);
    if (got != step::ready) return got;
    why = take_setup(std::get<msg::setup>(m));
    return why == errc::ok ? step::ready : step::fault;
  }
  /// How the end of a Setup stream is judged: it must not come before the message.
  [[nodiscard]] errc end_of_setup(stream_record& s, errc why) const noexcept {
    if (why != errc::ok) return has_setup_ ? errc::ok : errc::setup_cut;
    return c_.hear_fin<setup_receiver>(s) == errc::ok ? errc::ok : errc::setup_cut;
  }

  /// Whether everything that depends on the peer's SETUP is known (always before 05).
  [[nodiscard]] bool knows_peer() const noexcept { return has_setup_ || !has_setup(c_.ver); }
  [[nodiscard]] const peer_setup& peer() const noexcept { return peer_; }

 private:
  [[nodiscard]] errc start_in_band() noexcept {
    const version_set offered{static_cast<std::uint16_t>(c_.settings.versions.bits & before(lite03).bits)};
    if (offered == never) {
      c_.fail(errc::no_common_version);
      return errc::no_common_version;
    }
    c_.set_timer(timer_kind::setup, {}, c_.caps().setup_timeout);
    if (!c_.is_client()) return errc::ok;
    has_stream_ = true;
    is_compat_ = !c_.settings.draft_opening;
    stream_record* s = c_.open(stream_kind::session, true, no_slot);
    if (s == nullptr) return errc::out_of_memory;
    stream_ = c_.handle_of(*s);
    std::uint64_t list[2];
    std::size_t n = 0;
    for (const version v : {lite02, lite01})
      if (offered.has(v)) list[n++] = facts(v).number;
    const msg::version_list versions{std::span<const std::uint64_t>(list, n)};
    if (!is_compat_) {
      if (!c_.put_type(*s, static_cast<std::uint64_t>(bidi_type::session))) return errc::out_of_memory;
      return c_.say<session_client_side>(*s, msg::session_client{.versions = versions});
    }
    if (!c_.put_type(*s, static_cast<std::uint64_t>(bidi_type::session_compat))) return errc::out_of_memory;
    msg::client_setup m{.versions = versions};
    const std::string_view path = c_.settings.path;
    const msg::setup_parameter where{
        msg::setup_path, 0, {reinterpret_cast<const std::uint8_t*>(path.data()), path.size()}};
    if (!path.empty() && !carries_uri(c_.settings.over)) m.parameters = {std::span(&where, 1)};
    return c_.say<compat_client_side>(*s, m);
  }
  [[nodiscard]] errc send_setup() noexcept {
    stream_record* s = c_.open(stream_kind::setup_out, false, no_slot);
    if (s == nullptr || !c_.put_type(*s, static_cast<std::uint64_t>(uni_type::setup))) return errc::out_of_memory;
    msg::setup m;
    const config& my = c_.settings;
    if (my.probe != probe_level::none) m.probe = static_cast<std::uint64_t>(my.probe);
    if (c_.is_client() && !carries_uri(my.over)) {
      if (!my.path.empty()) m.path = my.path;
      if (my.path.empty() && c_.ver == lite05) m.path = "/";  // there it is mandatory and not empty
    }
    if (c_.is_client() && my.role != intent::both) m.role = static_cast<std::uint64_t>(my.role);
    if (c_.ver != lite05) m.cost = my.cost;
    if (my.hop != 0) m.hop = my.hop;
    const errc e = c_.say<setup_sender>(*s, m);
    if (e == errc::ok) c_.finish(*s);
    return e;
  }

  template <class Side>
  [[nodiscard]] step read_as(stream_record& s, byte_view& in, errc& why) noexcept {
    typename Side::incoming m;
    const step got = c_.hear<Side>(s, in, m, why);
    if (got != step::ready) return got;
    why = errc::ok;
    std::visit(
        overload{
            [&](const msg::session_update& u) {
              c_.tell(bandwidth{false, u.bitrate, 0});
            },
            [&](const msg::client_setup& offer) { why = take_client_setup<Side>(s, offer); },
            [&](const msg::session_client& offer) { why = choose<Side>(s, offer.versions, msg::session_server{}); },
            [&](const msg::server_setup& reply) { why = chosen(reply.selected); },
            [&](const msg::session_server& reply) { why = chosen(reply.selected); },
            [](std::monostate) {},
        },
        m);
    return why == errc::ok ? step::ready : step::fault;
  }
  template <class Side>
  [[nodiscard]] errc take_client_setup(stream_record& s, const msg::client_setup& m) noexcept {
    for (const msg::setup_parameter& p : m.parameters)
      if (p.id == msg::setup_path && !take_path(text::of(p.bytes.data(), p.bytes.size()))) return errc::bad_path;
    return choose<Side>(s, m.versions, msg::server_setup{});
  }
  /// Server: the first of the client's list that we speak.
  template <class Side, class Reply>
  [[nodiscard]] errc choose(stream_record& s, const msg::version_list& offered, Reply reply) noexcept {
    for (const std::uint64_t number : offered) {
      const auto v = version_numbered(number);
      if (!v || !negotiates_in_band(*v) || !c_.settings.versions.has(*v)) continue;
      reply.selected = number;
      if constexpr (requires { Reply::lead; })
        if (!c_.put_type(s, Reply::lead)) return errc::out_of_memory;
      if constexpr (Side::template sends<Reply>)
        if (const errc e = c_.say<Side>(s, reply); e != errc::ok) return e;
      c_.flush(s);
      establish(*v);
      return errc::ok;
    }
    c_.abort(s, stream_code::internal_error);
    return errc::no_common_version;
  }
  [[nodiscard]] errc chosen(std::uint64_t number) noexcept {
    const auto v = version_numbered(number);
    if (!v || !negotiates_in_band(*v) || !c_.settings.versions.has(*v)) return errc::version_not_offered;
    establish(*v);
    return errc::ok;
  }
  void establish(version v) noexcept {
    c_.ver = v;
    c_.is_established = true;
    c_.cancel_timer(timer_kind::setup);
    c_.tell(connected{v});
    if (peer_.path) c_.tell(peer_);
  }

  [[nodiscard]] errc take_setup(const msg::setup& m) noexcept {
    const bool is_06 = since(lite06).has(c_.ver);
    if (c_.is_client()) {
      if (m.path) return errc::path_from_server;
      if (m.role && is_06) return errc::role_from_server;
    } else {
      if (m.path && carries_uri(c_.settings.over)) return errc::path_on_uri_binding;
      if (!m.path && c_.ver == lite05 && c_.settings.require_path && !carries_uri(c_.settings.over))
        return errc::path_missing;
      if (m.path && !take_path(*m.path)) return errc::bad_path;
      if (m.role == 1) peer_.role = intent::publisher;
      if (m.role == 2) peer_.role = intent::subscriber;  // anything else means both
    }
    const std::uint64_t level = m.probe.value_or(0);
    peer_.probe = level == 0 ? probe_level::none : level == 1 ? probe_level::report : probe_level::increase;
    peer_.cost = m.cost.value_or(1);
    peer_.hop = m.hop.value_or(0);
    has_setup_ = true;
    c_.cancel_timer(timer_kind::setup);
    c_.tell(peer_);
    return errc::ok;
  }
  /// Path and query of a URL: `/a/b?c`, or from 06 on nothing at all.
  [[nodiscard]] bool take_path(const text& path) noexcept {
    if (!is_utf8(path)) return false;
    const std::string_view p = path;
    if (p.empty() && c_.ver == lite05) return false;
    if (!p.empty() && p.front() != '/' && (p.front() != '?' || c_.ver == lite05)) return false;
    for (const char ch : p)
      if (static_cast<unsigned char>(ch) <= 0x20 || ch == 0x7f || ch == '#') return false;
    peer_path_.clear();
    if (!peer_path_.append(p.data(), p.size())) return false;
    peer_.path = std::string_view(peer_path_.data(), peer_path_.size());
    return true;
  }

  core& c_;
  vec<char> peer_path_;
  peer_setup peer_{};
  slot_handle stream_{};
  bool has_stream_ = false;
  bool is_compat_ = true;
  bool has_peer_setup_stream_ = false;
  bool has_setup_ = false;
};

}  // namespace moql::detail
