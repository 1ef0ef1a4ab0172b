#pragma once
/// The streams of a connection: which there are, who may open how many, and when one is over.

#include "qmux.hpp"

namespace moql::qmux {

inline connection::stream* connection::find(stream_id id) noexcept {
  const std::uint32_t slot = by_id_.find(static_cast<std::uint64_t>(id));
  return slot == slot_index::none ? nullptr : &streams_[slot];
}

/// A stream that has not been before. Null when memory ran out.
inline connection::stream* connection::add(std::uint64_t id) noexcept {
  slot_handle h;
  stream* s = streams_.take(h);
  if (s == nullptr) return nullptr;
  if (!by_id_.insert(id, h.index)) {
    streams_.give(h);
    return nullptr;
  }
  s->id = id;
  s->is_ours = is_mine(id);
  s->is_bidi = kind_of(id) == 0;
  s->can_send = s->is_ours || s->is_bidi;
  s->can_receive = !s->is_ours || s->is_bidi;
  if (!has_parameters(config_.wire)) {
    s->send_limit = w::varint_max;
    s->in = detail::window(w::varint_max);
    return s;
  }
  s->in = detail::window(config_.caps.max_stream_data);
  s->send_limit = !s->is_bidi ? theirs_said_.uni : s->is_ours ? theirs_said_.bidi_remote : theirs_said_.bidi_local;
  return s;
}

inline connection::stream* connection::named_by_peer(std::uint64_t id, bool as_sender) noexcept {
  const bool is_ours = is_mine(id);
  const std::size_t kind = kind_of(id);
  if (kind == 1 && is_ours == as_sender) {
    fail(fault::wrong_direction);
    return nullptr;
  }
  if (stream* s = find(stream_id{id})) return s;
  const std::uint64_t index = id >> 2;
  if (is_ours) {
    if (index >= next_own_[kind]) fail(fault::unopened_stream);
    return nullptr;
  }
  if (index < next_theirs_[kind]) return nullptr;  // over
  // Opening one opens all below it. The sink hears of each when something of it comes.
  if (!theirs_[kind].take(index + 1 - next_theirs_[kind])) {
    fail(fault::stream_limit);
    return nullptr;
  }
  stream* s = nullptr;
  while (next_theirs_[kind] <= index) {
    s = add(next_theirs_[kind] << 2 | (id & 3));
    if (s == nullptr) {
      fail(fault::out_of_memory);
      return nullptr;
    }
    ++next_theirs_[kind];
  }
  return s;
}

inline void connection::forget_if_over(stream& s) noexcept {
  if (!s.is_over()) return;
  const std::uint32_t slot = slot_of(s);
  const std::size_t kind = kind_of(s.id);
  turns_.leave(streams_, slot);
  // A stream of the peer's makes room for another when both directions are over: what we keep stays bounded.
  if (!s.is_ours && theirs_[kind].give_back(1)) {
    if (has_parameters(config_.wire))
      says_max_streams_[kind] = true;
    else
      (void)theirs_[kind].raise();
  }
  by_id_.erase(s.id);
  streams_.give(streams_.handle_of(slot));
}

inline void connection::forget_all() noexcept {
  turns_.clear();
  asking_.clear();
  roomy_.clear();
  datagrams_.clear();
  pongs_.clear();
  streams_.for_each([this](slot_handle h, stream& s) {
    by_id_.erase(s.id);
    streams_.give(h);
  });
}

inline void connection::ask_for(stream& s, detail::ask a) noexcept {
  s.asks = static_cast<std::uint8_t>(s.asks | a);
  if (s.is_asking) return;
  s.is_asking = true;
  if (!asking_.push(streams_.handle_of(slot_of(s)))) fail(fault::out_of_memory);
}

inline void connection::make_ready(stream& s) noexcept {
  if (!s.has_sendable() || s.is_ready) return;
  if (!turns_.join(streams_, slot_of(s))) fail(fault::out_of_memory);
}

inline void connection::drop_backlog(stream& s) noexcept {
  turns_.leave(streams_, slot_of(s));
  s.out.clear();
  s.is_blocked = false;
}

inline void connection::return_credit(stream& s, std::uint64_t n) noexcept {
  if (s.in.give_back(n) && s.can_receive && s.reset_at == detail::no_end) ask_for(s, detail::ask_credit);
}

// ---- operations

inline open_result connection::open(direction d) noexcept {
  if (is_closed()) return {transport_status::closed, no_stream};
  const std::size_t kind = d == direction::bidi ? 0 : 1;
  if (!is_ready_ || next_own_[kind] >= own_limit_[kind]) {
    wants_credit_[kind] = true;
    return {transport_status::blocked, no_stream};
  }
  const std::uint64_t id =
      next_own_[kind] << 2 | static_cast<std::uint64_t>(kind) << 1 | (config_.who == side::server ? 1u : 0u);
  stream* s = add(id);
  if (s == nullptr) {
    fail(fault::out_of_memory);
    return {transport_status::closed, no_stream};
  }
  ++next_own_[kind];
  s->is_known = true;
  return {transport_status::ok, stream_id{id}};
}

inline write_result connection::write(stream_id id, std::span<const chunk> chunks, bool fin) noexcept {
  stream* s = is_closed() ? nullptr : find(id);
  if (s == nullptr || !s->can_send || s->is_reset || s->fin_wanted) return {transport_status::closed, 0};
  const std::size_t most = config_.caps.stream_backlog_bytes;
  std::size_t room = s->out.size() < most ? most - s->out.size() : 0;
  std::size_t accepted = 0;
  bool is_all = true;
  for (const chunk& c : chunks) {
    const std::size_t n = c.size < room ? c.size : room;
    if (!s->out.push(c, n, out_.pool())) {
      fail(fault::out_of_memory);
      return {transport_status::closed, 0};
    }
    accepted += n;
    room -= n;
    is_all = n == c.size;
    if (!is_all) break;
  }
  make_ready(*s);
  s->is_blocked = !is_all;
  if (!is_all) return {transport_status::blocked, accepted};
  if (fin) {
    s->fin_wanted = true;
    if (s->out.empty()) ask_for(*s, detail::ask_fin);
  }
  return {is_closed() ? transport_status::closed : transport_status::ok, accepted};
}

inline void connection::reset(stream_id id, std::uint64_t code) noexcept {
  stream* s = is_closed() ? nullptr : find(id);
  if (s == nullptr || !s->can_send || s->is_reset) return;
  s->is_reset = true;
  s->reset_code = code <= w::varint_max ? code : 0;
  s->asks = static_cast<std::uint8_t>(s->asks & ~detail::ask_fin);
  drop_backlog(*s);
  ask_for(*s, detail::ask_reset);
}

inline void connection::stop(stream_id id, std::uint64_t code) noexcept {
  stream* s = is_closed() ? nullptr : find(id);
  if (s == nullptr || !s->can_receive || s->is_stopped) return;
  s->is_stopped = true;
  s->stop_code = code <= w::varint_max ? code : 0;
  ask_for(*s, detail::ask_stop);
  if (!is_closed()) return_credit(*s, s->in.held());
}

inline void connection::consume(stream_id id, std::size_t n) noexcept {
  stream* s = is_closed() ? nullptr : find(id);
  if (s != nullptr) return_credit(*s, n);
}

inline void connection::priority(stream_id id, std::int32_t order) noexcept {
  stream* s = is_closed() ? nullptr : find(id);
  if (s == nullptr || s->priority == order) return;
  turns_.leave(streams_, slot_of(*s));
  s->priority = order;
  make_ready(*s);
}

inline std::size_t connection::max_datagram() const noexcept {
  if (is_closed() || !is_ready_ || !has_datagrams(config_.wire)) return 0;
  std::uint64_t whole = theirs_said_.max_datagram_frame;
  if (theirs_said_.max_record < whole) whole = theirs_said_.max_record;
  if (whole > config_.caps.committed_bytes) whole = config_.caps.committed_bytes;
  if (whole < 2) return 0;
  std::uint64_t n = whole - 2;  // the type and a length of one byte
  while (1 + w::varint_size(n) + n > whole) --n;
  return static_cast<std::size_t>(n);
}

inline transport_status connection::datagram(byte_view d) noexcept {
  if (is_closed()) return transport_status::closed;
  const std::size_t most = max_datagram();
  if (most == 0) return transport_status::unsupported;
  if (d.size() > most) return transport_status::too_large;
  if (datagrams_.size() >= config_.caps.datagrams_max) return transport_status::blocked;
  bytes copy = out_.pool().copy(d);
  if (copy.held_by() == nullptr || !datagrams_.push(std::move(copy))) return transport_status::blocked;
  return transport_status::ok;
}

inline void connection::close(std::uint64_t code, std::string_view reason) noexcept {
  is_told_ = true;  // also of an end that it has not heard of yet
  if (is_closed()) return;
  say_close(true, code <= w::varint_max ? code : 0, 0, reason);
  end(phase::closing);
  forget_all();
}

}  // namespace moql::qmux
