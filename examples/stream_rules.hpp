#pragma once
/// Which table of the library reads which direction of which stream, where in a message the fault lies, and the rules
/// that need more than the table.

#include <moql/message/all.hpp>
#include <moql/stream/announce_reader.hpp>
#include <moql/stream/group_reader.hpp>
#include <moql/stream/halves.hpp>
#include <moql/wire/inspect.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>

namespace examples {

/// The end that a stream's bytes come from.
enum class peer : std::uint8_t { client, server };
[[nodiscard]] constexpr const char* name_of(peer p) noexcept { return p == peer::client ? "client" : "server"; }
[[nodiscard]] constexpr peer other(peer p) noexcept { return p == peer::client ? peer::server : peer::client; }

/// Calls `f.template operator()<Rules>()` with the side that receives what this direction of a stream carries. Frames
/// (Group streams, Fetch answers) are not messages and are read elsewhere.
template <class F>
void with_rules(std::uint64_t type, bool is_bidi, bool is_answer, F&& f) {
  using namespace moql;
  const auto pick = [&]<class Ask, class Answer>() {
    if (is_answer)
      f.template operator()<Ask>();
    else
      f.template operator()<Answer>();
  };
  if (!is_bidi) return f.template operator()<setup_receiver>();
  switch (static_cast<bidi_type>(type)) {
    case bidi_type::session: return pick.template operator()<session_client_side, session_server_side>();
    case bidi_type::session_compat: return pick.template operator()<compat_client_side, compat_server_side>();
    case bidi_type::announce: return pick.template operator()<announce_asker, announce_teller>();
    case bidi_type::subscribe: return pick.template operator()<subscribe_asker, subscribe_answerer>();
    case bidi_type::track: return pick.template operator()<track_asker, track_answerer>();
    case bidi_type::fetch: return pick.template operator()<fetch_asker, fetch_answerer>();
    case bidi_type::probe: return pick.template operator()<prober, prober>();
    case bidi_type::goaway: return pick.template operator()<goaway_sender, goaway_receiver>();
  }
}

template <class Rules>
struct incoming_half;
template <class Out, class In>
struct incoming_half<moql::exchange<Out, In>> {
  using type = In;
};

/// A stretch of bytes and what it is called.
struct place {
  std::size_t from{}, to{};
  std::string name{};
};

/// A decoder that remembers which field it was at when it gave up.
struct field_finder {
  moql::wire::decoder d;
  std::string name{};
  std::size_t left{};  ///< Bytes of the body from the field on.

  template <class Kind, class T>
  bool operator()(const moql::field_name& field, Kind kind, T& out, moql::version_set in = moql::always) {
    if (in.has(d.ver)) {
      left = d.r.left();
      name = field.in(d.ver);
    }
    return d(field, kind, out, in);
  }
  bool rule(bool holds, moql::errc why, moql::version_set in = moql::always) { return d.rule(holds, why, in); }
  bool parameters(auto... known) {
    const bool good = d.parameters(known...);
    left = d.r.left() + 1;  // the last byte of the parameter that is wrong
    name = "Parameters";
    return good;
  }
};

/// Where in a message M (Type and length included) its bytes are wrong. All of it when the fault is that it came.
template <class M>
[[nodiscard]] place locate(moql::byte_view message, moql::version v, moql::errc why) {
  using namespace moql;
  place out{0, message.size(), std::string(M::name(v))};
  const message_head head = read_head(message, type_of<M>(v).has_value(), framing_of<M>());
  if (why == errc::message_too_large) {
    out.from = head.type ? wire::varint_size(*head.type) : 0;
    out.name += ", Message Length";
    return out;
  }
  const byte_view body = message.subspan(head.size);
  M copy{};
  if (body.size() != head.body_size || decode_body(body, v, copy) != why) return out;
  const std::size_t stop = head.size + fault_offset<M>(body, v);
  field_finder finder{{{body.data(), body.data() + body.size(), {}}, v}};
  if (M::fields(copy, finder)) {  // every field is right: something follows
    out.from = stop;
  } else {
    out.from = message.size() - finder.left;
    out.to = std::max(stop, out.from + 1);
    out.name += ", " + finder.name;
  }
  return out;
}
/// The same for a message that was read by a table in `state`.
template <class Half>
[[nodiscard]] place locate(moql::byte_view message, std::uint8_t state, moql::version v, moql::errc why) {
  using namespace moql;
  place out{0, message.size(), {}};
  Half::messages::any([&]<class M>(std::uint8_t ordinal) {
    if (!M::in.has(v) || find_transition(Half::rows, state, ordinal, v) == nullptr) return false;
    const message_head head = read_head(message, type_of<M>(v).has_value(), framing_of<M>());
    if (head.why != errc::ok || head.type != type_of<M>(v)) return false;
    out = locate<M>(message, v, why);
    return true;
  });
  return out;
}

/// Rules that the tables leave to a session and that one stream is enough to judge by.
class session_rules {
 public:
  session_rules(moql::version v, std::optional<peer> sender) : ver_(v), sender_(sender) {
    announced_.start({.ver = v});
  }

  template <class Incoming>
  [[nodiscard]] moql::errc judge(const Incoming& m) {
    if constexpr (std::is_same_v<Incoming, moql::announce_asker::incoming>) {
      return announced_.take(m, [&](moql::announce_reader::change c, moql::slot_handle h) {
        if (c == moql::announce_reader::change::ended) announced_.release(h);
      });
    } else {
      return std::visit([&](const auto& x) { return one(x); }, m);
    }
  }

 private:
  using errc = moql::errc;
  template <class M>
  errc one(const M&) {
    return errc::ok;
  }
  errc one(const moql::msg::setup& m) {
    if (sender_ != peer::server) return errc::ok;
    if (m.path) return errc::path_from_server;
    return m.role && moql::since(moql::lite06).has(ver_) ? errc::role_from_server : errc::ok;
  }
  errc one(const moql::msg::goaway& m) {
    if (m.uri.size() > moql::uri_bytes_max) return errc::uri_too_long;
    const bool forbidden = sender_ == peer::client && moql::since(moql::lite06).has(ver_);
    return forbidden && m.uri.size() != 0 ? errc::uri_from_client : errc::ok;
  }
  errc one(const moql::msg::subscribe& m) { return range(m.want); }
  errc one(const moql::msg::subscribe_update& m) { return range(m.want); }
  errc one(const moql::msg::subscribe_drop& m) { return m.group_start > m.group_end ? errc::bad_drop : errc::ok; }
  static errc range(const moql::msg::delivery& d) {
    return d.group_end && d.group_start.value_or(0) > *d.group_end ? errc::bad_range : errc::ok;
  }

  moql::version ver_;
  std::optional<peer> sender_;
  moql::announce_reader announced_;
};

}  // namespace examples
