#pragma once
/// What the peer says, and what becomes of it.

#include "qmux.hpp"

namespace moql::qmux {

// ---- inputs

template <transport_sink Sink>
std::size_t connection::on_bytes(Sink& sink, bytes data, instant now) noexcept {
  now_ = now;
  const std::size_t all = data.size();
  while (!is_closed()) {
    bytes unit;
    const bool was_ready = is_ready_;
    switch (in_.next(data, unit, out_.pool())) {
      case detail::inbox::found::unit: break;
      case detail::inbox::found::too_large: fail(fault::record_too_large); continue;
      case detail::inbox::found::no_memory: fail(fault::out_of_memory); continue;
      case detail::inbox::found::nothing: finish_input(sink, now); return all;
    }
    take_unit(sink, unit, now);
    if (agrees_inside_ && !was_ready && is_ready_ && !is_closed()) {
      finish_input(sink, now);
      return all - data.size();
    }
  }
  finish_input(sink, now);
  return all;
}

template <transport_sink Sink>
void connection::on_message(Sink& sink, bytes data, bool is_binary, instant now) noexcept {
  now_ = now;
  if (is_closed()) {
  } else if (!is_binary) {
    fail(fault::text_message);
  } else if (data.size() > max_message()) {
    fail(fault::record_too_large);
  } else if (!data.empty()) {
    take_unit(sink, data, now);
  } else if (!has_records(config_.wire)) {
    fail(fault::empty_message);
  } else {
    heard(now);  // an empty record says nothing
  }
  finish_input(sink, now);
}

template <transport_sink Sink>
void connection::on_transport_closed(Sink& sink, instant now) noexcept {
  now_ = now;
  if (!is_closed()) end_reason_ = "the connection ended";
  end(phase::gone);
  finish_input(sink, now);
}

template <transport_sink Sink>
void connection::on_deadline(Sink& sink, instant now) noexcept {
  now_ = now;
  if (is_closed()) {
    if (now >= drain_until_) end(phase::gone);
  } else if (!is_ready_ && config_.caps.handshake_timeout.us > 0 && now >= started_ + config_.caps.handshake_timeout) {
    fail(fault::handshake_timeout);
  } else if (now >= idle_deadline()) {  // without a word, as the drafts have it
    end_reason_ = "idle timeout";
    drops_at_once_ = !is_strict(config_.wire) && config_.over == carrier::byte_stream;
    end(phase::closed);
  } else if (now >= ping_deadline()) {
    pings_now_ = true;
  }
  finish_input(sink, now);
}

template <transport_sink Sink>
void connection::on_sent(Sink& sink, std::size_t n, instant now) noexcept {
  now_ = now;
  out_.taken(n);
  if (n != 0) {
    last_sent_ = now;
    if (!std::exchange(sent_since_heard_, true)) idle_since_ = now;  // sending for ever to the deaf is no life
    if (ping_ahead_ != 0 && n >= ping_ahead_) {
      ping_is_out_ = true;
      ping_sent_ = now;
    }
    ping_ahead_ -= n < ping_ahead_ ? n : ping_ahead_;
  }
  flushed();
  while (!roomy_.empty() && !is_closed()) {
    stream* s = find(roomy_.pop());
    if (s == nullptr || !std::exchange(s->is_waking, false)) continue;
    if (!s->is_blocked || !has_room(*s) || !s->can_send || s->is_reset) continue;  // it has gone on in between
    s->is_blocked = false;
    sink.on_writable(s->name());
  }
  finish_input(sink, now);
}

template <class Sink>
void connection::finish_input(Sink& sink, instant now) noexcept {
  if (!is_closed()) return;
  if (!std::exchange(is_told_, true)) {
    const close_info why{false, fault_ == fault::none ? 0 : static_cast<std::uint64_t>(code_of(fault_, config_.wire)),
                         end_reason_};
    sink.on_close(why, now);
  }
  if (streams_.size() != 0) forget_all();
}

// ---- frames

inline void connection::heard(instant now) noexcept {
  idle_since_ = now;
  sent_since_heard_ = false;
}

/// A record, a message or a frame by itself.
template <class Sink>
void connection::take_unit(Sink& sink, const bytes& unit, instant now) noexcept {
  heard(now);
  if (has_parameters(config_.wire)) {
    for (byte_view rest = unit.view(); !rest.empty() && !is_closed();) {
      if (rest[0] == 0) {  // PADDING, perhaps a lot of it
        rest = rest.subspan(1);
        continue;
      }
      const auto f = decode_frame(rest);
      take_decoded(context<Sink>{sink, unit, f.size, now}, f);
      rest = rest.subspan(f.size);
    }
  } else {
    const auto f = decode_frame<legacy_frame>(unit.view());
    take_decoded(context<Sink>{sink, unit, f.size, now}, f);
  }
  frame_type_ = 0;
}

template <class Sink, class Frame>
void connection::take_decoded(const context<Sink>& in, const decoded_frame<Frame>& f) noexcept {
  frame_type_ = f.type;
  switch (f.why) {
    case errc::ok: break;
    case errc::truncated: return fail(fault::truncated_frame);
    case errc::bad_range: return fail(fault::reliable_size);
    default: return fail(fault::unknown_frame);
  }
  std::visit(
      [this, &in](const auto& value) {
        using type = std::remove_cvref_t<decltype(value)>;
        constexpr bool comes_first =
            std::is_same_v<type, frames::transport_parameters> || std::is_same_v<type, frames::padding>;
        if (comes_first || is_ready_)
          take(in, value);
        else
          fail(fault::not_parameters_first);
      },
      f.value);
}

template <class Sink>
void connection::take(const context<Sink>& in, const legacy::stream& f) noexcept {
  frames::stream s;
  s.id = f.id;
  s.data = f.data;
  s.has_offset = false;
  s.fin = f.fin;
  take(in, s);
}
template <class Sink>
void connection::take(const context<Sink>& in, const legacy::reset_stream& f) noexcept {
  take(in, frames::reset_stream{f.id, f.code, 0});
}
template <class Sink>
void connection::take(const context<Sink>& in, const legacy::close& f) noexcept {
  take(in, frames::connection_close{f.application, f.code, 0, f.reason});
}
template <class Sink>
void connection::take(const context<Sink>&, const frames::max_data& f) noexcept {
  if (f.limit > send_limit_) send_limit_ = f.limit;  // a lower one is an old one, RFC 9000 section 4.1
}
template <class Sink>
void connection::take(const context<Sink>&, const frames::stream_data_blocked& f) noexcept {
  if (kind_of(f.id) == 1 && is_mine(f.id)) fail(fault::wrong_direction);
}

template <class Sink>
void connection::take(const context<Sink>& in, const frames::transport_parameters& f) noexcept {
  if (is_ready_) {
    if (has_records(config_.wire)) fail(fault::second_parameters);  // qmux-00 says nothing of a second frame
    return;
  }
  parameters p;
  const errc why = decode_parameters(f.payload, p);
  if (why != errc::ok)
    return fail(why == errc::duplicate_parameter ? fault::duplicate_parameter : fault::bad_parameters);
  if (p.streams_bidi > streams_most || p.streams_uni > streams_most) return fail(fault::bad_parameters);
  if (p.max_record < record_bytes_default && has_records(config_.wire)) return fail(fault::small_record_limit);
  if (p.has_protocols && !agrees_inside_) return fail(fault::unexpected_protocols);
  if (agrees_inside_) agree_on_protocol(p.protocols);
  theirs_said_ = p;
  theirs_said_.protocols = {};
  send_limit_ = p.max_data;
  own_limit_[0] = p.streams_bidi;
  own_limit_[1] = p.streams_uni;
  is_ready_ = true;
  last_sent_ = now_;
  for (std::size_t kind = 0; kind < 2; ++kind)
    if (own_limit_[kind] != 0 && std::exchange(wants_credit_[kind], false))
      in.sink.on_credit(kind == 0 ? direction::bidi : direction::uni);
}

/// The server's first token that the client has too; both sides come to the same. None is no error.
inline void connection::agree_on_protocol(byte_view theirs) noexcept {
  const bool is_server = config_.who == side::server;
  protocol_list servers(is_server ? own_protocols_.view() : theirs);
  std::string_view a, b;
  while (servers.next(a)) {
    protocol_list clients(is_server ? theirs : own_protocols_.view());
    while (clients.next(b))
      if (a == b) {
        protocol_.clear();
        if (!protocol_.append(a.data(), a.size())) fail(fault::out_of_memory);
        return;
      }
  }
}

/// Small parts of a large input are copied: whoever keeps one should not keep all of it.
inline bytes connection::payload(const bytes& unit, byte_view part) noexcept {
  if (part.empty()) return {};
  if (unit.held_by() == nullptr) return bytes::borrow(part);
  if (part.size() >= unit.size() / 4 || part.size() >= 4096) return bytes::share(part, unit.held_by());
  bytes copy = out_.pool().copy(part);
  if (copy.held_by() == nullptr) fail(fault::out_of_memory);
  return copy;
}

template <class Sink>
void connection::announce(const context<Sink>& in, stream& s) noexcept {
  if (!std::exchange(s.is_known, true)) in.sink.on_open(s.name(), s.dir(), in.now);
}

/// Accounts for stream data. What is on its way to the sink no longer fills the connection: one slow stream must not
/// stop the others.
inline bool connection::take_received(stream& s, std::uint64_t n) noexcept {
  if (!s.in.take(n) || !received_.take(n)) {
    fail(fault::flow_control);
    return false;
  }
  if (received_.give_back(n)) says_max_data_ = true;
  return true;
}

template <class Sink>
void connection::take(const context<Sink>& in, const frames::stream& f) noexcept {
  const bool is_in_unit = has_records(config_.wire) || config_.over == carrier::messages;
  if (!f.has_length && !is_in_unit && has_parameters(config_.wire)) return fail(fault::unsized_frame);
  stream* s = named_by_peer(f.id, true);
  if (s == nullptr || !s->can_receive) return;
  // Peers of old leave the offset away, on later frames too.
  const std::uint64_t before = s->in.used();
  if (f.has_offset && f.offset != before) return fail(fault::gap);
  if (!take_received(*s, f.data.size())) return;
  announce(in, *s);
  const bool is_cut = s->reset_at != detail::no_end && s->in.used() >= s->reset_at;
  const byte_view part = is_cut ? f.data.first(static_cast<std::size_t>(s->reset_at - before)) : f.data;
  const bool fin = f.fin && s->reset_at == detail::no_end;
  if (fin) s->can_receive = false;
  if (s->is_stopped) {
    return_credit(*s, f.data.size());
  } else if (!part.empty() || fin) {
    bytes data = payload(in.unit, part);
    if (is_closed()) return;
    in.sink.on_data(s->name(), std::move(data), fin, in.now);
  }
  if (is_cut)
    end_by_reset(in, *s, s->reset_at_code);
  else
    forget_if_over(*s);
}

template <class Sink>
void connection::end_by_reset(const context<Sink>& in, stream& s, std::uint64_t code) noexcept {
  s.can_receive = false;
  if (!s.is_stopped) {
    announce(in, s);
    in.sink.on_reset(s.name(), code, in.now);
  }
  forget_if_over(s);
}

template <class Sink>
void connection::take(const context<Sink>& in, const frames::reset_stream& f) noexcept {
  stream* s = named_by_peer(f.id, true);
  if (s == nullptr || !s->can_receive) return;
  // Released stacks write 0 for a size they do not know: what has come counts then.
  if (f.final_size > s->in.used() && !take_received(*s, f.final_size - s->in.used())) return;
  end_by_reset(in, *s, f.code);
}

template <class Sink>
void connection::take(const context<Sink>& in, const frames::reset_stream_at& f) noexcept {
  if (!is_strict(config_.wire)) return fail(fault::reset_at_not_offered);
  stream* s = named_by_peer(f.id, true);
  if (s == nullptr || !s->can_receive) return;
  if (f.reliable_size <= s->in.used()) return take(in, frames::reset_stream{f.id, f.code, f.final_size});
  announce(in, *s);  // its data is still to come, which is allowed, though nobody sends it so
  if (f.reliable_size >= s->reset_at) return;
  s->reset_at = f.reliable_size;
  s->reset_at_code = f.code;
}

template <class Sink>
void connection::take(const context<Sink>& in, const frames::stop_sending& f) noexcept {
  stream* s = named_by_peer(f.id, false);
  if (s == nullptr || !s->can_send || s->is_reset) return;
  announce(in, *s);
  in.sink.on_stop(s->name(), f.code, in.now);
}

template <class Sink>
void connection::take(const context<Sink>& in, const frames::max_streams& f) noexcept {
  if (f.limit > streams_most) return fail(fault::stream_limit_too_large);
  const std::size_t kind = f.dir == direction::bidi ? 0 : 1;
  if (f.limit <= own_limit_[kind]) return;
  own_limit_[kind] = f.limit;
  if (std::exchange(wants_credit_[kind], false)) in.sink.on_credit(f.dir);
}

template <class Sink>
void connection::take(const context<Sink>&, const frames::max_stream_data& f) noexcept {
  stream* s = named_by_peer(f.id, false);
  if (s == nullptr || f.limit <= s->send_limit) return;
  s->send_limit = f.limit;
  make_ready(*s);
}

template <class Sink>
void connection::take(const context<Sink>& in, const frames::datagram& f) noexcept {
  if (!has_datagrams(config_.wire) || in.size > config_.caps.max_datagram_frame)
    return fail(fault::datagram_not_offered);
  bytes data = payload(in.unit, f.data);
  if (!is_closed()) in.sink.on_datagram(std::move(data), in.now);
}

template <class Sink>
void connection::take(const context<Sink>& in, const frames::ping& p) noexcept {
  if (!p.is_response) {
    if (is_strict(config_.wire) && last_ping_heard_ != detail::no_end && p.sequence <= last_ping_heard_)
      return fail(fault::ping_order);
    last_ping_heard_ = p.sequence;
    if (pongs_.size() >= config_.caps.pongs_max && !pongs_.empty()) {
      pongs_[pongs_.size() - 1] = p.sequence;  // the newest alone will do
    } else if (!pongs_.push(p.sequence)) {
      fail(fault::out_of_memory);
    }
    return;
  }
  if (p.sequence >= next_ping_) {
    if (is_strict(config_.wire)) fail(fault::unknown_pong);
    return;
  }
  const instant now = in.now;
  if (p.sequence + 1 != next_ping_ || !std::exchange(ping_is_out_, false)) return;
  const auto us = static_cast<std::uint64_t>(now > ping_sent_ ? (now - ping_sent_).us : 0);
  const std::uint64_t sample = us == 0 ? 1 : us;  // 0 would mean "not known"
  rtt_us_ = rtt_us_ == 0 ? sample : (rtt_us_ * 7 + sample) / 8;
  if (min_rtt_us_ == 0 || sample < min_rtt_us_) min_rtt_us_ = sample;
}

template <class Sink>
void connection::take(const context<Sink>& in, const frames::connection_close& f) noexcept {
  is_told_ = true;
  const std::size_t most = config_.caps.reason_bytes_max;
  const std::size_t n = f.reason.size() < most ? f.reason.size() : most;
  in.sink.on_close({f.application, f.code, {reinterpret_cast<const char*>(f.reason.data()), n}}, in.now);
  // qmux-02 wants both sides shut in order, the earlier ones want it over. A WebSocket has its own way to end.
  drops_at_once_ = !is_strict(config_.wire) && config_.over == carrier::byte_stream;
  end(phase::closed);
}

}  // namespace moql::qmux
