#pragma once
/// The state machine of a control stream: two halves, one per direction, each a table.
///
/// A half says which messages its sender may send, in which order. The same table checks the peer when we receive and
/// ourselves when we send; a requester is machine<ask, answer> and a responder machine<answer, ask>. What is not in the
/// table is a violation: the peer's on receipt, the caller's on sending. Nothing here knows a session, ids or time.

#include <span>
#include <tuple>
#include <utility>
#include <variant>

#include "../base/limits.hpp"
#include "framing.hpp"

namespace moql {

/// The end of the sender's direction, as an input to a half's table.
inline constexpr std::uint8_t on_fin = 0xff;

/// In state `from`, the message with ordinal `on` (or `on_fin`) leads to `to`, in the versions `in`, by `rule`.
struct transition {
  std::uint8_t from;
  std::uint8_t on;
  std::uint8_t to;
  version_set in;
  const char* rule;
};

template <class... M>
struct message_types {
  static constexpr std::size_t size = sizeof...(M);
  using variant = std::variant<std::monostate, M...>;
  template <class T>
  static constexpr std::uint8_t ordinal() noexcept {
    std::uint8_t i = 0;
    std::uint8_t at = on_fin;
    ((at = std::is_same_v<T, M> ? i : at, ++i), ...);
    return at;
  }
  /// Calls f.template operator()<M>(ordinal) until one returns true.
  static constexpr bool any(auto&& f) noexcept {
    std::uint8_t i = 0;
    return (f.template operator()<M>(i++) || ...);
  }
};

namespace detail {
/// No state and input with two answers in one version: checked where the table is declared.
consteval bool is_deterministic(std::span<const transition> rows) {
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (std::size_t k = 0; k < i; ++k)
      if (rows[i].from == rows[k].from && rows[i].on == rows[k].on && (rows[i].in.bits & rows[k].in.bits) != 0)
        return false;
  return true;
}
}  // namespace detail

/// The row for a state, an input and a version; null when there is none.
[[nodiscard]] constexpr const transition* find_transition(std::span<const transition> rows, std::uint8_t from,
                                                          std::uint8_t on, version v) noexcept {
  for (const transition& t : rows)
    if (t.from == from && t.on == on && t.in.has(v)) return &t;
  return nullptr;
}

/// Where a machine stands; shared by all kinds, so that one record of a stream can hold any of them.
struct machine_progress {
  std::uint8_t sent = 0;      ///< State of our half.
  std::uint8_t received = 0;  ///< State of the peer's half.
  bool lead_seen = false;
};

/// All that a machine remembers: where it stands, and the message that is being put together.
struct machine_state : machine_progress {
  explicit machine_state(memory m = {}) noexcept : reader(m) {}
  message_reader reader;
  void recycle() noexcept {
    static_cast<machine_progress&>(*this) = {};
    reader.recycle();
  }
};

/// What travels on one kind of stream, seen from one side: `Out` is what we send, `In` what the peer sends.
template <class Out, class In>
struct exchange {
  static_assert(detail::is_deterministic(Out::rows) && detail::is_deterministic(In::rows));
  using incoming = typename In::messages::variant;
  template <class M>
  static constexpr bool sends = Out::messages::template ordinal<M>() != on_fin;

  /// Appends one message to `out`. wrong_state when the table forbids it; nothing is appended on any error.
  template <class M>
  [[nodiscard]] static errc send(machine_progress& s, version v, const M& m, vec<std::uint8_t>& out) noexcept {
    static_assert(sends<M>, "this side never sends such a message");
    const transition* t = find_transition(Out::rows, s.sent, Out::messages::template ordinal<M>(), v);
    if (t == nullptr) return M::in.has(v) ? errc::wrong_state : errc::not_in_version;
    const measured at = measure(m, v);
    if (at.why != errc::ok) return at.why;
    std::uint8_t* to = out.extend(at.size);
    if (to == nullptr) return errc::out_of_memory;
    (void)encode_measured(m, v, at, to);
    s.sent = t->to;
    return errc::ok;
  }
  /// Whether we may end our direction now.
  [[nodiscard]] static errc send_fin(machine_progress& s, version v) noexcept {
    const transition* t = find_transition(Out::rows, s.sent, on_fin, v);
    if (t == nullptr) return errc::wrong_state;
    s.sent = t->to;
    return errc::ok;
  }

  /// Takes one message off `in`. Views in `out` are valid until the next call.
  [[nodiscard]] static step receive(machine_state& s, version v, const limits& caps, byte_view& in, incoming& out,
                                    errc& why) noexcept {
    return receive(s, s.reader, v, caps, in, out, why);
  }
  [[nodiscard]] static step receive(machine_progress& s, message_reader& reader, version v, const limits& caps,
                                    byte_view& in, incoming& out, errc& why) noexcept {
    while (true) {
      if constexpr (requires { In::lead; }) {
        if (!s.lead_seen) {
          std::uint64_t lead{};
          const step got = reader.next_varint(in, lead, why);
          if (got != step::ready) return got;
          if (lead != In::lead) return fail(errc::unexpected_message, why);
          s.lead_seen = true;
        }
      }
      bool expects_any = false;
      bool typed = false;
      framing how = framing::length;
      In::messages::any([&]<class M>(std::uint8_t i) {
        if (find_transition(In::rows, s.received, i, v) == nullptr || !M::in.has(v)) return false;
        expects_any = true;
        typed = type_of<M>(v).has_value();
        how = framing_of<M>();
        return true;
      });
      if (!expects_any) return in.empty() ? step::wait : fail(In::violation(s.received, on_fin), why);
      raw_message raw;
      const step got = reader.next(in, typed, how, In::body_max(caps, v), raw, why);
      if (got != step::ready) return got;
      std::uint8_t on = on_fin;
      bool known = false;
      In::messages::any([&]<class M>(std::uint8_t i) {
        if (!M::in.has(v)) return false;
        if (typed ? type_of<M>(v) != raw.type : find_transition(In::rows, s.received, i, v) == nullptr) return false;
        known = true;
        if (find_transition(In::rows, s.received, i, v) == nullptr) {
          why = In::violation(s.received, i);
          return true;
        }
        why = decode_body(raw.body, v, out.template emplace<M>());
        on = i;
        return true;
      });
      if (!known) {
        if (In::skips_unknown) continue;  // its length says how far
        return fail(errc::unknown_message, why);
      }
      if (why != errc::ok) return step::fault;
      s.received = find_transition(In::rows, s.received, on, v)->to;
      return step::ready;
    }
  }
  /// The peer ended its direction: the half's `cut` (usually `stream_cut`) inside a message or where the table does not
  /// allow it.
  [[nodiscard]] static errc receive_fin(machine_state& s, version v) noexcept {
    return receive_fin(s, s.reader.is_inside(), v);
  }
  [[nodiscard]] static errc receive_fin(machine_progress& s, bool is_inside, version v) noexcept {
    if (is_inside) return In::cut;
    const transition* t = find_transition(In::rows, s.received, on_fin, v);
    if (t == nullptr) return In::cut;
    s.received = t->to;
    return errc::ok;
  }

 private:
  static step fail(errc e, errc& why) noexcept {
    why = e;
    return step::fault;
  }
};

/// A machine that stands alone: for proxies, tools and tests. The stream's type precedes it (see stream_type.hpp).
template <class Out, class In>
class machine {
 public:
  using rules = exchange<Out, In>;
  using incoming = typename rules::incoming;

  explicit machine(version v, const limits& caps = {}, memory m = {}) noexcept
      : state_(m), version_(v), limits_(caps) {}
  template <class M>
  [[nodiscard]] errc send(const M& m, vec<std::uint8_t>& out) noexcept {
    return rules::send(state_, version_, m, out);
  }
  [[nodiscard]] errc send_fin() noexcept { return rules::send_fin(state_, version_); }
  [[nodiscard]] step receive(byte_view& in, incoming& out, errc& why) noexcept {
    if (fault_ == errc::ok) {
      const step got = rules::receive(state_, version_, limits_, in, out, why);
      if (got == step::fault) fault_ = why;
      return got;
    }
    why = fault_;
    return step::fault;
  }
  [[nodiscard]] errc receive_fin() noexcept {
    if (fault_ == errc::ok) fault_ = rules::receive_fin(state_, version_);
    return fault_;
  }
  [[nodiscard]] std::uint8_t sent() const noexcept { return state_.sent; }
  [[nodiscard]] std::uint8_t received() const noexcept { return state_.received; }

 private:
  machine_state state_;
  version version_;
  limits limits_;
  errc fault_{};
};

/// The usual answers of a half; a half overrides what differs.
struct half_defaults {
  static constexpr bool skips_unknown = false;
  static constexpr errc cut = errc::stream_cut;  ///< An end where none may be.
  static constexpr std::size_t body_max(const limits& caps, version) noexcept { return caps.message_bytes_max; }
  static constexpr errc violation(std::uint8_t, std::uint8_t) noexcept { return errc::unexpected_message; }
};

}  // namespace moql
