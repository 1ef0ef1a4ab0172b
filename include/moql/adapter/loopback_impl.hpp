#pragma once
/// What the operations of loopback.hpp put in flight, and what becomes of it on arrival.

#include "loopback.hpp"

namespace moql {

inline open_result loopback_network::open(unsigned side, direction d) noexcept {
  check_place();
  side_state& me = sides_[side];
  const auto i = static_cast<std::size_t>(d);
  if (me.over) violate("open after the end of the connection");
  if (me.over || me.cut) return {transport_status::closed, no_stream};
  if (me.open[i] >= (d == direction::bidi ? options_.streams_bidi : options_.streams_uni)) {
    me.refused[i] = true;
    return {transport_status::blocked, no_stream};
  }
  slot_handle h;
  stream* s = streams_.take(h);
  const std::uint64_t id = me.next[i] << 2 | i << 1 | side;
  if (s == nullptr || !stream_of_.insert(id, h.index)) {
    if (s != nullptr) streams_.give(h);
    violate("the network ran out of memory");
    return {transport_status::blocked, no_stream};
  }
  ++me.next[i];
  ++me.open[i];
  ++counters_.streams_opened;
  s->id = stream_id{id};
  s->dir = d;
  s->opener = static_cast<std::uint8_t>(side);
  s->halves[side].exists = true;
  s->halves[1 - side].exists = d == direction::bidi;
  return {transport_status::ok, s->id};
}

inline write_result loopback_network::write(unsigned side, stream_id id, std::span<const chunk> chunks,
                                            bool fin) noexcept {
  constexpr write_result closed{transport_status::closed, 0};
  check_place();
  ++counters_.writes;
  if (sides_[side].over) violate("write after the end of the connection");
  if (sides_[side].over || sides_[side].cut) return closed;
  stream* s = find(id);
  half* h = half_of(s, id, side);
  if (h == nullptr) {
    if (s != nullptr || was_opened(id)) violate("write to a stream that is over or only receives");
    return closed;
  }
  if (h->send == sending::finished || h->send == sending::reset) violate("write after fin or reset");
  if (h->send == sending::told) violate("write after `closed`");
  if (h->send == sending::live && chance(options_.reset_percent)) break_stream(*s);
  if (h->send != sending::live) {
    if (h->send == sending::broken) h->send = sending::told;
    forget_if_done(*s);
    return closed;
  }

  std::size_t total = 0;
  for (const chunk& c : chunks) total += c.size;
  std::size_t room = options_.write_max == 0 ? total : options_.write_max;
  const auto cap = [&room](std::size_t window, std::uint64_t used) noexcept {
    const std::size_t left = window == 0 ? SIZE_MAX : window > used ? window - static_cast<std::size_t>(used) : 0;
    if (left < room) room = left;
    return left;
  };
  const std::size_t stream_left = cap(options_.stream_window, h->outstanding);
  const std::size_t link_left = cap(options_.connection_window, links_[side].outstanding);
  std::size_t accepted = 0;
  for (const chunk& c : chunks) {
    const std::size_t n = c.size < room - accepted ? c.size : room - accepted;
    const std::size_t sent = send(*s, side, c, n);
    accepted += sent;
    if (sent < c.size) break;
  }
  h->outstanding += accepted;
  links_[side].outstanding += accepted;
  counters_.bytes_sent += accepted;
  if (accepted < total) {
    ++counters_.partial_writes;
    if (accepted >= stream_left) {
      h->waiting = true;
    } else if (!std::exchange(h->queued, true)) {
      if (accepted < link_left)
        (void)post({.what = kind::writable, .to = side, .id = id}, arrival());
      else if (!links_[side].waiting.push(id))
        violate("the network ran out of memory");
    }
    return {transport_status::blocked, accepted};
  }
  if (fin) {
    h->send = sending::finished;
    event* tail = events_.find(h->tail);
    if (tail != nullptr && between(0, 3) != 0) {
      tail->fin = true;
      tail->room = 0;
    } else {  // stacks also tell it apart from the data
      (void)post({.what = kind::data, .to = 1 - side, .id = id, .fin = true}, arrival_from(side, h));
    }
  }
  return {transport_status::ok, accepted};
}

/// Puts n bytes of c in flight, in pieces; returns how many (fewer only when memory ran out).
inline std::size_t loopback_network::send(stream& s, unsigned side, const chunk& c, std::size_t n) noexcept {
  half& h = s.halves[side];
  const bool share = options_.hold_payload && c.owner != nullptr;
  std::size_t done = 0;
  while (done < n) {
    event* tail = share ? nullptr : events_.find(h.tail);
    if (tail != nullptr && tail->data.size() < tail->room) {
      const std::size_t size = tail->data.size();
      const std::size_t piece = n - done < tail->room - size ? n - done : tail->room - size;
      auto* b = static_cast<buffer_pool::buffer*>(tail->data.held_by());
      std::memcpy(b->data() + size, c.data + done, piece);
      tail->data = bytes::share({b->data(), size + piece}, b);
      done += piece;
      continue;
    }
    const auto wanted = static_cast<std::size_t>(between(options_.chunk_min, options_.chunk_max));
    const std::size_t most = wanted == 0 ? 1 : wanted;
    const std::size_t piece = n - done < most ? n - done : most;
    const byte_view v(c.data + done, piece);
    bytes data = share ? bytes::share(v, c.owner) : pool_.copy(v);
    if (data.held_by() == nullptr) {
      violate("the network ran out of memory");
      break;
    }
    std::size_t room = 0;
    if (!share) {
      room = static_cast<buffer_pool::buffer*>(data.held_by())->capacity();
      if (room > most) room = most;
    }
    event e{.what = kind::data, .to = 1 - side, .id = s.id, .data = std::move(data), .room = room};
    if (post(std::move(e), arrival_from(side, &h), &h.tail) == nullptr) break;
    done += piece;
  }
  return done;
}

/// As if a middle box had reset every direction that is still running: each end hears it as sender and as receiver.
inline void loopback_network::break_stream(stream& s) noexcept {
  ++counters_.resets_injected;
  for (unsigned from = 0; from < 2; ++from) {
    half& h = s.halves[from];
    if (!h.exists || h.ended || (h.send != sending::live && h.send != sending::finished)) continue;
    (void)post({.what = kind::reset, .to = 1 - from, .id = s.id, .code = options_.reset_code},
               arrival_from(from, nullptr));
    if (h.send == sending::finished) continue;
    h.send = sending::broken;
    (void)post({.what = kind::stop, .to = from, .id = s.id, .code = options_.reset_code},
               arrival_from(1 - from, nullptr));
  }
}

inline void loopback_network::reset(unsigned side, stream_id id, std::uint64_t code) noexcept {
  check_place();
  stream* s = find(id);
  half* h = half_of(s, id, side);
  if (h == nullptr || h->send == sending::reset || h->send == sending::told || sides_[side].over) return;
  // Not behind the stream's data: a reset overtakes what is lost or late, and what comes after it is dropped.
  if (h->send != sending::broken && !h->ended)
    (void)post({.what = kind::reset, .to = 1 - side, .id = id, .code = code}, arrival_from(side, nullptr));
  h->send = sending::reset;
  forget_if_done(*s);
}

inline void loopback_network::stop(unsigned side, stream_id id, std::uint64_t code) noexcept {
  check_place();
  half* h = half_of(find(id), id, 1 - side);
  if (h == nullptr || h->stopped || h->ended || sides_[side].over) return;
  h->stopped = true;
  (void)post({.what = kind::stop, .to = 1 - side, .id = id, .code = code}, arrival_from(side, nullptr));
}

inline void loopback_network::consume(unsigned side, stream_id id, std::size_t n) noexcept {
  check_place();
  half* h = half_of(find(id), id, 1 - side);
  if (h == nullptr) return;
  h->consumed += n;
  if (h->consumed > h->delivered) {
    violate("more consumed than was delivered");
    h->consumed = h->delivered;
    return;
  }
  h->credit += n;
  if (options_.stream_window == 0 || h->returning || n == 0) return;
  h->returning = true;
  (void)post({.what = kind::stream_window, .to = 1 - side, .id = id}, arrival());
}

inline void loopback_network::prioritise(unsigned side, stream_id id, std::int32_t order) noexcept {
  check_place();
  if (half* h = half_of(find(id), id, side)) h->priority = order;
}

inline transport_status loopback_network::datagram(unsigned side, byte_view d) noexcept {
  check_place();
  if (sides_[side].over) violate("datagram after the end of the connection");
  if (sides_[side].over || sides_[side].cut) return transport_status::closed;
  if (options_.max_datagram == 0) return transport_status::unsupported;
  if (d.size() > options_.max_datagram) return transport_status::too_large;
  ++counters_.datagrams_sent;
  if (chance(options_.datagram_loss_percent)) {
    ++counters_.datagrams_lost;
    return transport_status::ok;
  }
  const bool twice = chance(options_.datagram_duplicate_percent);
  if (twice) ++counters_.datagrams_duplicated;
  for (int i = 0; i < (twice ? 2 : 1); ++i) {
    bytes data = pool_.copy(d);
    if (data.held_by() == nullptr) {
      violate("the network ran out of memory");
      break;
    }
    (void)post({.what = kind::datagram, .to = 1 - side, .data = std::move(data)}, arrival_from(side, nullptr));
  }
  return transport_status::ok;
}

inline void loopback_network::close(unsigned side, std::uint64_t code, std::string_view reason) noexcept {
  check_place();
  if (sides_[side].over) return;
  sides_[side].over = true;
  if (sides_[side].cut || sides_[1 - side].over) return;
  instant t = arrival();
  if (t < links_[side].last_due) t = links_[side].last_due;
  bytes text = pool_.copy({reinterpret_cast<const std::uint8_t*>(reason.data()), reason.size()});
  (void)post({.what = kind::close, .to = 1 - side, .code = code, .application = true, .data = std::move(text)}, t);
}

inline void loopback_network::return_connection_credit(unsigned sender, std::size_t n) noexcept {
  link& l = links_[sender];
  l.credit += n;
  if (options_.connection_window == 0 || l.returning || n == 0) return;
  l.returning = true;
  (void)post({.what = kind::connection_window, .to = sender}, arrival());
}

/// Adds a delivery to the trace.
inline void loopback_network::note(const event& e) noexcept {
  const auto byte = [this](std::uint8_t b) noexcept { trace_ = (trace_ ^ b) * 0x100000001b3u; };
  const auto word = [&byte](std::uint64_t v) noexcept {
    for (unsigned i = 0; i < 64; i += 8) byte(static_cast<std::uint8_t>(v >> i));
  };
  byte(static_cast<std::uint8_t>(static_cast<unsigned>(e.what) << 1 | e.to));
  byte(static_cast<std::uint8_t>(static_cast<unsigned>(e.dir) << 2 | unsigned{e.fin} << 1 | unsigned{e.application}));
  word(static_cast<std::uint64_t>(now_.us));
  word(static_cast<std::uint64_t>(e.id));
  word(e.code);
  word(e.data.size());
  for (const std::uint8_t b : e.data.view()) byte(b);
}

template <class Sink>
void loopback_network::deliver(Sink& sink, event& e) noexcept {
  const unsigned me = e.to;
  if (e.what == kind::data) return_connection_credit(1 - me, e.data.size());
  if (sides_[me].over) return;
  switch (e.what) {
    case kind::stream_credit: {
      const auto i = static_cast<std::size_t>(e.dir);
      --sides_[me].open[i];
      if (!std::exchange(sides_[me].refused[i], false)) return;
      note(e);
      in_event_ = true;
      sink.on_credit(e.dir);
      break;
    }
    case kind::connection_window: {
      link& l = links_[me];
      l.returning = false;
      l.outstanding -= std::exchange(l.credit, 0);
      for (const stream_id id : l.waiting) (void)post({.what = kind::writable, .to = me, .id = id}, now_);
      l.waiting.clear();
      return;
    }
    case kind::datagram:
      note(e);
      ++counters_.datagrams_delivered;
      in_event_ = true;
      sink.on_datagram(std::move(e.data), now_);
      break;
    case kind::close: {
      note(e);
      sides_[me].over = true;
      const close_info why{e.application, e.code, e.data.text()};
      in_event_ = true;
      sink.on_close(why, now_);
      break;
    }
    default: deliver_to_stream(sink, e);
  }
  in_event_ = false;
}

template <class Sink>
void loopback_network::deliver_to_stream(Sink& sink, event& e) noexcept {
  const unsigned me = e.to;
  stream* s = find(e.id);
  if (s == nullptr) return;
  half& in = s->halves[1 - me];
  half& out = s->halves[me];
  const auto tell = [&](kind what) noexcept {  // a peer's stream is unknown until something of it arrives
    if (s->opener != me && !std::exchange(s->announced, true)) {
      note({.what = kind::open, .to = me, .id = e.id, .dir = s->dir});
      in_event_ = true;
      sink.on_open(e.id, s->dir, now_);
    }
    e.what = what;
    note(e);
    in_event_ = true;
  };
  switch (e.what) {
    case kind::data:
      if (in.ended) return;
      tell(kind::data);
      in.delivered += e.data.size();
      in.ended = e.fin;
      counters_.bytes_delivered += e.data.size();
      ++counters_.pieces_delivered;
      sink.on_data(e.id, std::move(e.data), e.fin, now_);
      break;
    case kind::reset:
      if (in.ended) return;
      tell(kind::reset);
      in.ended = true;
      sink.on_reset(e.id, e.code, now_);
      break;
    case kind::stop:
      if (out.send == sending::reset || out.send == sending::told || (out.ended && out.send != sending::broken)) return;
      tell(kind::stop);
      if (options_.auto_reset_on_stop && (out.send == sending::live || out.send == sending::finished)) {
        if (out.send == sending::live) out.send = sending::broken;
        (void)post({.what = kind::reset, .to = 1 - me, .id = e.id, .code = e.code}, arrival_from(me, nullptr));
      }
      sink.on_stop(e.id, e.code, now_);
      break;
    case kind::stream_window:
      out.returning = false;
      out.outstanding -= std::exchange(out.credit, 0);
      if (!std::exchange(out.waiting, false)) return;
      [[fallthrough]];
    default:  // writable
      if (e.what == kind::writable) out.queued = false;
      if (out.send != sending::live) return;
      tell(kind::writable);
      sink.on_writable(e.id);
  }
  in_event_ = false;
  if (s = find(e.id); s != nullptr) forget_if_done(*s);
}

}  // namespace moql
