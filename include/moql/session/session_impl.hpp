#pragma once
/// How a session's outputs are drained: bodies of session.hpp, which includes it.

#include "session.hpp"

namespace moql {

inline bool session::prepare(detail::queued_event& q) noexcept {
  switch (q.whom) {
    case detail::about::session: return true;
    case detail::about::interest:
      if (!e_.discover.prepare(q)) return false;
      if (const auto* gone = std::get_if<announce_ended>(&*q.what)) e_.infos.drop_path(gone->path);
      // 05: an update may be another broadcast on the same path. 06: an update leaves what it announced.
      if (const auto* changed = std::get_if<announce_updated>(&*q.what); changed != nullptr && c().ver == lite05)
        e_.infos.drop_path(changed->path);
      return true;
    case detail::about::subscription: return e_.subscribe.prepare(q);
    case detail::about::fetch:
    case detail::about::query: return e_.fetch.prepare(q);
    case detail::about::request: return e_.publish.prepare(q);
  }
  return true;
}

inline void session::free(const detail::queued_event& q) noexcept {
  switch (q.whom) {
    case detail::about::session: break;
    case detail::about::interest: e_.discover.free(q); break;
    case detail::about::subscription: e_.subscribe.free(q); break;
    case detail::about::fetch:
    case detail::about::query: e_.fetch.free(q); break;
    case detail::about::request: e_.publish.free(q); break;
  }
}

inline std::optional<event> session::next_event() noexcept {
  std::optional<event> out;
  if (heard_ || !c().events.empty() || c().is_closed || !e_.read_frame(out)) next_other(out);
  return out;
}

MOQL_NOINLINE inline void session::next_other(std::optional<event>& out) noexcept {
  if (heard_) {
    free(*heard_);
    heard_.reset();
  }
  while (true) {
    while (!c().events.empty()) {
      detail::queued_event q = c().events.pop();
      if (q.what && prepare(q)) {
        out = std::move(q.what);
        if (q.frees) heard_.emplace(detail::queued_event{{}, q.whom, q.slot, q.entry, true});
        return;
      }
      if (q.frees) free(q);
    }
    if (!c().is_closed) e_.read(out);
    if (out) return;
    if (!c().events.empty()) continue;
    if (has_said_closed_ || !c().is_over()) return;
    if (has_collapsed_) {  // not by way of the queue, which may have no memory
      has_said_closed_ = true;
      out.emplace(session_closed{c().close_why, c().close_by_peer, c().close_code, c().reason_text()});
      return;
    }
    has_collapsed_ = true;
    if (!c().is_closed) {  // the connection ended first
      c().is_closed = true;
      c().close_why = c().close_by_peer ? errc::ok : errc::transport_closed;
    }
    // the streams' code, not the session's; the two are separate spaces.
    e_.collapse(c().close_why == errc::ok ? errc::closed : c().close_why,
                static_cast<std::uint64_t>(stream_code::session_closed));
  }
}

inline std::optional<action> session::next_action() noexcept {
  if (c().is_over()) {
    if (!c().close_wanted) return {};
    c().close_wanted = false;
    return close_session{c().close_code, c().reason_text()};
  }
  e_.publish.catch_up();
  if (!c().actions.empty()) return c().actions.pop();
  if (!c().datagrams.is_empty()) {
    ++c().counts.datagrams_out;
    return send_datagram{c().datagrams.take()};
  }
  if (c().opening_bidi.empty() && c().opening_uni.empty() && !e_.publish.has_to_open()) return {};
  return next_open();
}

inline std::optional<action> session::next_open() noexcept {
  using detail::stream_record;
  for (const direction dir : {direction::bidi, direction::uni}) {
    if (dir == direction::bidi ? c().bidi_blocked : c().uni_blocked) continue;
    queue<slot_handle>& waiting = dir == direction::bidi ? c().opening_bidi : c().opening_uni;
    while (!waiting.empty()) {
      stream_record* s = c().streams.find(waiting.front());
      if (s == nullptr || s->is_named) {
        (void)waiting.pop();
      } else if (c().is_going_away) {
        (void)waiting.pop();
        e_.fault(*s, errc::going_away);
      } else if (c().is_established || s->kind == detail::stream_kind::session) {
        return open_stream{static_cast<ticket>(c().handle_of(*s).packed()), dir};
      } else {
        break;
      }
    }
  }
  if (c().uni_blocked || !c().is_established || !e_.publish.has_to_open()) return {};
  if (const auto out = e_.publish.next_to_open())
    return open_stream{static_cast<ticket>(out->packed() | group_ticket), direction::uni};
  return {};
}

inline void session::on_opened(ticket t, stream_id id, instant now) noexcept {
  c().now = now;
  if (c().is_over()) return;
  if (c().find(id) != nullptr) return c().fail(errc::bad_argument);  // the transport names two streams alike
  const auto raw = static_cast<std::uint64_t>(t);
  if ((raw & group_ticket) != 0) return e_.publish.opened(slot_handle::unpack(raw & ~group_ticket), id);
  detail::stream_record* s = c().streams.find(slot_handle::unpack(raw));
  if (s == nullptr || s->is_named) return c().act(reset_stream{id, static_cast<std::uint64_t>(stream_code::cancelled)});
  if (!c().name(*s, id)) return c().fail(errc::out_of_memory);
  c().flush(*s);
}

inline void session::on_open_blocked(ticket t) noexcept {
  const auto raw = static_cast<std::uint64_t>(t);
  if ((raw & group_ticket) != 0) {
    c().uni_blocked = true;
    return e_.publish.open_blocked(slot_handle::unpack(raw & ~group_ticket));
  }
  const detail::stream_record* s = c().streams.find(slot_handle::unpack(raw));
  (s == nullptr || s->is_bidi ? c().bidi_blocked : c().uni_blocked) = true;
}

inline std::optional<write_request> session::next_write() noexcept {
  write_request w;
  do {
    if (c().is_over()) return {};
    e_.publish.catch_up();
    if (next_control(w)) return w;
    if (e_.publish.next_write(w)) {
      offered_ = {0, w.fin, false};
      for (const chunk& piece : w.pieces) offered_.size += piece.size;
      return w;
    }
  } while (e_.publish.is_behind());
  return {};
}

inline bool session::next_control(write_request& w) noexcept {
  while (!c().writable.empty()) {
    detail::stream_record* s = c().streams.find(c().writable.front());
    if (s == nullptr || !s->is_queued || s->is_blocked || !s->has_output()) {
      if (s != nullptr) s->is_queued = false;
      (void)c().writable.pop();
      continue;
    }
    const byte_view unsent = s->unsent();
    control_piece_ = {unsent.data(), unsent.size(), nullptr};
    offered_ = {control_piece_.size, s->fin_wanted && !s->fin_written, true};
    w = {s->id, {&control_piece_, std::size_t{unsent.empty() ? 0u : 1u}}, offered_.fin};
    return true;
  }
  return false;
}

inline void session::on_written(stream_id id, const write_result& r) noexcept {
  detail::stream_record* s = c().is_over() ? nullptr : c().find(id);
  if (s == nullptr) return;
  const bool everything = r.status == transport_status::ok && r.accepted == offered_.size;
  const bool closed = r.status == transport_status::closed;
  c().counts.bytes_out += r.accepted;
  if (!offered_.is_control) return e_.publish.wrote(*s, r.accepted, everything, offered_.fin, closed);
  (void)c().writable.pop();
  s->is_queued = false;
  if (closed) {
    detail::core::kill_output(*s);
    (void)s->ends.apply(lifetime::input::remote_stop);
  } else {
    s->sent(r.accepted);
    s->is_blocked = !everything;
    if (everything && offered_.fin) s->fin_written = true;
  }
  c().flush(*s);
  c().settle(*s);
}

}  // namespace moql
