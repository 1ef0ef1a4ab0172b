#pragma once
/// What a connection says: its parameters, then control frames, datagrams and stream data, in this order; and its end.

#include "qmux.hpp"

namespace moql::qmux {

namespace detail {
/// What cannot travel is brought into its range.
[[nodiscard]] constexpr config settled(config c) noexcept {
  const auto cap = [](auto& v, std::uint64_t most) {
    if (v > most) v = static_cast<std::remove_reference_t<decltype(v)>>(most);
  };
  constexpr std::uint64_t streams_most = std::uint64_t{1} << 60;
  cap(c.caps.max_data, w::varint_max);
  cap(c.caps.max_stream_data, w::varint_max);
  cap(c.caps.max_streams_bidi, streams_most);
  cap(c.caps.max_streams_uni, streams_most);
  cap(c.caps.max_record, std::uint64_t{1} << 30);
  cap(c.caps.max_datagram_frame, std::uint64_t{1} << 30);
  cap(c.caps.reason_bytes_max, 8192);  // fits in a record
  if (c.caps.max_record < record_bytes_default) c.caps.max_record = record_bytes_default;
  if (!has_parameters(c.wire)) c.over = carrier::messages;
  return c;
}
}  // namespace detail

inline connection::connection(const config& c, instant now, memory m) noexcept
    : config_(detail::settled(c)),
      protocol_(m),
      own_protocols_(m),
      out_(m, c.over == carrier::byte_stream && has_records(c.wire)),
      in_(has_records(c.wire), has_records(c.wire) ? config_.caps.max_record : frame_bytes_00),
      streams_(m),
      by_id_(m),
      turns_(m),
      asking_(m),
      roomy_(m),
      datagrams_(m),
      pongs_(m),
      received_(has_parameters(c.wire) ? config_.caps.max_data : w::varint_max),
      close_reason_(m),
      now_(now),
      started_(now),
      idle_since_(now),
      last_sent_(now),
      last_ping_(now) {
  if (!has_parameters(c.wire)) {  // messages only, and everything is allowed from the start
    is_ready_ = has_said_parameters_ = true;
    send_limit_ = own_limit_[0] = own_limit_[1] = w::varint_max;
    theirs_[0] = theirs_[1] = detail::window(config_.caps.legacy_streams_max);
  } else {
    theirs_[0] = detail::window(config_.caps.max_streams_bidi);
    theirs_[1] = detail::window(config_.caps.max_streams_uni);
  }
  bool is_good = protocol_.append(c.protocol.data(), c.protocol.size());
  agrees_inside_ = !c.protocols.empty() && c.protocol.empty() && has_parameters(c.wire);
  if (agrees_inside_) {
    for (std::size_t i = 0; i < c.protocols.size() && i < protocols_max; ++i) {
      const std::string_view p = c.protocols[i];
      std::uint8_t* to = own_protocols_.extend(w::varint_size(p.size()) + p.size());
      is_good = is_good && to != nullptr;
      if (!is_good) break;
      w::writer out{to};
      w::sized_bytes_kind::put(out, {reinterpret_cast<const std::uint8_t*>(p.data()), p.size()});
    }
  }
  config_.protocol = {};
  config_.protocols = {};
  if (!is_good) fail(fault::out_of_memory);
}

// ---- the end

inline void connection::say_close(bool application, std::uint64_t code, std::uint64_t frame_type,
                                  std::string_view reason) noexcept {
  close_ = {application, code, frame_type, {}};
  std::size_t n = reason.size() < config_.caps.reason_bytes_max ? reason.size() : config_.caps.reason_bytes_max;
  while (n < reason.size() && n != 0 && (static_cast<unsigned char>(reason[n]) & 0xc0) == 0x80)
    --n;  // whole characters
  close_reason_.clear();
  if (close_reason_.append(reinterpret_cast<const std::uint8_t*>(reason.data()), n))
    close_.reason = close_reason_.view();
  has_close_ = true;
}

inline void connection::fail(qmux::fault f) noexcept {
  if (is_closed()) return;
  fault_ = f;
  end_reason_ = facts(f).text;
  if (config_.reference_codes)
    say_close(false, reference_code_of(f), 0, reference_text_of(f));
  else
    say_close(false, static_cast<std::uint64_t>(code_of(f, config_.wire)), frame_type_, end_reason_);
  end(phase::closing);
}

inline void connection::end(phase p) noexcept {
  if (p == phase_ || phase_ == phase::gone) return;
  if (phase_ == phase::open) drain_until_ = now_ + config_.caps.drain_timeout;
  phase_ = p;
}

inline void connection::flushed() noexcept {
  if (phase_ == phase::closing && !has_close_ && out_.empty()) phase_ = phase::closed;
}

inline qmux::wish connection::wish() const noexcept {
  switch (phase_) {
    case phase::open: return wish::keep;
    case phase::closing: return out_.has_failed() ? wish::drop : wish::keep;
    case phase::closed: return drops_at_once_ ? wish::drop : wish::finish;
    case phase::gone: break;
  }
  return wish::drop;
}

// ---- frames

inline void connection::put_own_parameters() noexcept {
  const limits& c = config_.caps;
  parameters p;
  p.idle_ms = c.idle_timeout.us <= 0 ? 0 : static_cast<std::uint64_t>(c.idle_timeout.us) / 1000;
  p.max_data = c.max_data;
  p.bidi_local = p.bidi_remote = p.uni = c.max_stream_data;
  p.streams_bidi = c.max_streams_bidi;
  p.streams_uni = c.max_streams_uni;
  if (has_datagrams(config_.wire)) p.max_datagram_frame = c.max_datagram_frame;
  p.max_record = c.max_record;
  p.reset_stream_at = is_strict(config_.wire);
  p.has_protocols = agrees_inside_;
  p.protocols = own_protocols_.view();
  const std::size_t n = parameters_size(p);
  constexpr std::uint64_t type = frames::transport_parameters::first_type;
  if (std::uint8_t* at = out_.begin(w::varint_size(type) + w::varint_size(n) + n, 0)) {
    w::writer to{at};
    w::put_varint(to, type);
    w::put_varint(to, n);
    (void)put_parameters(p, to.p);
  }
  has_said_parameters_ = true;
}

inline std::span<const byte_view> connection::output() noexcept {
  const bool may_write = phase_ == phase::open || phase_ == phase::closing;
  if (!may_write) return {};
  while (out_.size() < config_.caps.committed_bytes && commit()) {
  }
  if (out_.has_failed()) {
    if (phase_ == phase::open) fail(fault::out_of_memory);
    end(phase::gone);
    return {};
  }
  return out_.show(config_.over == carrier::messages);
}

/// Makes one frame, if there is one to make.
inline bool connection::commit() noexcept {
  if (out_.has_failed()) return false;
  if (!has_said_parameters_) {
    put_own_parameters();
    return true;
  }
  if (phase_ != phase::open) {
    if (!has_close_) return false;
    has_close_ = false;
    if (has_parameters(config_.wire))
      out_.put(close_);
    else
      out_.put(legacy::close{close_.application, close_.code, close_.reason});
    return true;
  }
  return is_ready_ && (commit_control() || commit_asks() || commit_datagram() || commit_data());
}

inline bool connection::commit_control() noexcept {
  if (!pongs_.empty()) {
    out_.put(frames::ping{true, pongs_.pop()});
  } else if (pings_now_) {
    pings_now_ = false;
    last_ping_ = now_;
    if (pings()) {
      out_.put(frames::ping{false, next_ping_++});
      ping_ahead_ = out_.size();
      ping_is_out_ = false;
    } else {
      out_.put(frames::padding{});
    }
  } else if (says_max_data_) {
    says_max_data_ = false;
    out_.put(frames::max_data{received_.raise()});
  } else if (says_max_streams_[0] || says_max_streams_[1]) {
    const std::size_t kind = says_max_streams_[0] ? 0 : 1;
    says_max_streams_[kind] = false;
    out_.put(frames::max_streams{kind == 0 ? direction::bidi : direction::uni, theirs_[kind].raise()});
  } else {
    return false;
  }
  return true;
}

/// What one stream has to say besides data. FIN is here because it needs no credit once the data is gone.
inline bool connection::commit_asks() noexcept {
  while (!asking_.empty()) {
    const slot_handle h = asking_.front();
    stream* s = streams_.find(h);
    if (s == nullptr || s->asks == 0) {
      (void)asking_.pop();
      if (s != nullptr) {
        s->is_asking = false;
        forget_if_over(*s);
      }
      continue;
    }
    const auto done = [s](detail::ask a) { s->asks = static_cast<std::uint8_t>(s->asks & ~a); };
    const bool is_legacy = !has_parameters(config_.wire);
    if (s->has(detail::ask_stop)) {
      done(detail::ask_stop);
      if (!s->can_receive) continue;
      out_.put(frames::stop_sending{s->id, s->stop_code});
    } else if (s->has(detail::ask_reset)) {
      done(detail::ask_reset);
      s->can_send = false;
      if (is_legacy)
        out_.put(legacy::reset_stream{s->id, s->reset_code});
      else
        out_.put(frames::reset_stream{s->id, s->reset_code, s->sent});
    } else if (s->has(detail::ask_fin)) {
      done(detail::ask_fin);
      commit_fin(*s);
    } else {
      done(detail::ask_credit);
      if (!s->can_receive) continue;
      out_.put(frames::max_stream_data{s->id, s->in.raise()});
    }
    forget_if_over(*s);
    return true;
  }
  return false;
}

inline void connection::commit_fin(stream& s) noexcept {
  s.can_send = false;
  std::uint8_t head[head_bytes_max];
  const std::uint8_t* end =
      has_parameters(config_.wire) ? put_stream_head(s.id, s.sent, 0, true, head) : put_legacy_head(s.id, true, head);
  const auto n = static_cast<std::size_t>(end - head);
  if (std::uint8_t* to = out_.begin(n, 0)) std::memcpy(to, head, n);
}

inline bool connection::commit_datagram() noexcept {
  if (datagrams_.empty()) return false;
  bytes d = datagrams_.pop();
  const std::size_t n = d.size();
  if (std::uint8_t* at = out_.begin(1 + w::varint_size(n), n)) {
    w::writer to{at};
    *to.p++ = 0x31;
    w::put_varint(to, n);
    if (n != 0) (void)out_.add(std::move(d), true);
  }
  return true;
}

inline bool connection::commit_data() noexcept {
  if (turns_.empty() || sent_ >= send_limit_) return false;
  stream& s = streams_[turns_.first()];
  std::uint64_t most = stream_payload_max;
  if (s.send_limit - s.sent < most) most = s.send_limit - s.sent;
  if (send_limit_ - sent_ < most) most = send_limit_ - sent_;
  const std::size_t n = s.out.reach(static_cast<std::size_t>(most), pieces_max - 1);
  std::uint8_t head[head_bytes_max];
  const std::uint8_t* end =
      has_parameters(config_.wire) ? put_stream_head(s.id, s.sent, n, false, head) : put_legacy_head(s.id, false, head);
  const auto head_size = static_cast<std::size_t>(end - head);
  std::uint8_t* to = out_.begin(head_size, n);
  if (to == nullptr) return false;
  std::memcpy(to, head, head_size);
  if (!s.out.take(n, [this](bytes b, bool is_last) { return out_.add(std::move(b), is_last); })) return false;
  s.sent += n;
  sent_ += n;
  turns_.served(streams_);
  if (!s.has_sendable()) turns_.leave(streams_, slot_of(s));
  if (s.out.empty() && s.fin_wanted) ask_for(s, detail::ask_fin);
  wake_if_roomy(s);
  return true;
}

inline void connection::wake_if_roomy(stream& s) noexcept {
  if (!s.is_blocked || s.is_waking || !has_room(s)) return;
  s.is_waking = true;
  if (!roomy_.push(s.name())) fail(fault::out_of_memory);
}

// ---- time

inline duration connection::idle() const noexcept {
  if (!has_parameters(config_.wire)) return {};
  const std::uint64_t theirs = theirs_said_.idle_ms;
  const std::int64_t ours = config_.caps.idle_timeout.us;
  constexpr std::uint64_t most = 1'000'000'000;  // eleven days: as good as never, and far from overflow
  const auto stated = static_cast<std::int64_t>(theirs < most ? theirs : most) * 1000;
  if (stated == 0) return {ours};
  return {ours > 0 && ours < stated ? ours : stated};
}

/// qmux-00 has no pings, so silence says nothing there; deployed stacks have no such timeout either.
inline instant connection::idle_deadline() const noexcept {
  const duration d = idle();
  return d.us <= 0 || !pings() || !is_ready_ ? never_due : idle_since_ + d;
}

inline instant connection::ping_deadline() const noexcept {
  if (!has_parameters(config_.wire) || !is_ready_ || pings_now_ || ping_ahead_ != 0) return never_due;
  instant next = never_due;
  if (const duration d = idle(); d.us > 0) next = last_sent_ + duration{d.us / 3};
  if (config_.caps.ping_interval.us > 0 && pings()) {
    const instant t = last_ping_ + config_.caps.ping_interval;
    if (t < next) next = t;
  }
  return next;
}

inline instant connection::next_deadline() const noexcept {
  if (is_closed()) {
    if (!is_told_) return now_;
    return wish() == wish::drop ? never_due : drain_until_;
  }
  instant next = idle_deadline();
  if (ping_deadline() < next) next = ping_deadline();
  if (!is_ready_ && config_.caps.handshake_timeout.us > 0) {
    const instant t = started_ + config_.caps.handshake_timeout;
    if (t < next) next = t;
  }
  return next;
}

}  // namespace moql::qmux
