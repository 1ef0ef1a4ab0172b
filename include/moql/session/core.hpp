#pragma once
/// What all parts of a session share: the stream table, the queues towards the transport and the application, timers,
/// and how a fault ends the session. It knows no messages.

#include "../base/index.hpp"
#include "../delivery/timers.hpp"
#include "action.hpp"
#include "counters.hpp"
#include "datagram_outbox.hpp"
#include "event.hpp"
#include "stream_record.hpp"

namespace moql::detail {

/// Whose slot an event speaks of.
enum class about : std::uint8_t { session, interest, subscription, fetch, query, request };

struct queued_event {
  std::optional<event> what{};  ///< None: only a slot is to be freed.
  about whom{};
  slot_handle slot{};
  slot_handle entry{};  ///< Announcements.
  bool frees{};         ///< The slot (or the entry) goes once the application has heard this and called again.
};

/// What a timer belongs to; with a slot it makes the timer's number.
enum class timer_kind : std::uint8_t { stream, setup, goaway, straggler, initial_set, sample, count_ };

struct core {
  core(const config& c, memory m) noexcept
      : settings(c),
        mem(m),
        streams(m),
        buffers(m),
        by_id(m, {&streams}),
        readable(m),
        writable(m),
        opening_bidi(m),
        opening_uni(m),
        actions(m),
        events(m),
        clock(m),
        datagrams(m, c.caps.datagrams_max),
        reason(m),
        path(m) {
    if (!path.append(c.path.data(), c.path.size())) path.clear();
    settings.path = {path.data(), path.size()};
  }

  config settings;
  memory mem;
  version ver = lite02;  ///< Until it is agreed, what the opening is written in.
  instant now{};
  bool is_started = false;
  bool is_established = false;
  bool is_closed = false;       ///< By us or for us: only the close action and the last events remain.
  bool transport_gone = false;  ///< The connection ended; what had arrived is still read.
  bool is_going_away = false;   ///< The peer sent GOAWAY.
  bool is_mute = false;         ///< An event was lost for want of memory: no other follows but session_closed.
  bool close_wanted = false;    ///< The close action has not been handed out.
  errc close_why{};
  bool close_by_peer = false;
  std::uint64_t close_code = 0;

  slab<stream_record> streams;
  slab<stream_buffers> buffers;
  basic_slot_index<keys_in<stream_record>> by_id;
  stream_record* last_found = nullptr;  ///< Most often the same again.
  queue<slot_handle> readable;
  queue<slot_handle> writable;  ///< Control streams with output, in turn.
  queue<slot_handle> opening_bidi;
  queue<slot_handle> opening_uni;
  bool bidi_blocked = false;
  bool uni_blocked = false;
  queue<action> actions;
  queue<queued_event> events;
  timers clock;
  datagram_outbox datagrams;
  vec<char> reason;
  vec<char> path;
  std::uint64_t buffered = 0;    ///< Bytes of chunks that wait to be read.
  std::uint64_t chunks = 0;      ///< And how many those are.
  std::size_t unidentified = 0;  ///< Streams of the peer's that have not said what they are.
  session_counters counts{};
  output_listener* listener = nullptr;

  [[nodiscard]] const limits& caps() const noexcept { return settings.caps; }
  [[nodiscard]] bool is_client() const noexcept { return settings.side == endpoint::client; }
  /// Segments is how everyone matches; 06 leaves no choice.
  [[nodiscard]] prefix_rule prefixes() const noexcept {
    return has_announce_ids(ver) ? prefix_rule::segments : settings.prefixes;
  }
  /// Whether a message with these strings would be one that we accept ourselves.
  [[nodiscard]] bool can_travel(std::string_view a, std::string_view b = {}) const noexcept {
    return a.size() + b.size() < caps().message_bytes_max;
  }
  [[nodiscard]] bool is_over() const noexcept { return is_closed || transport_gone; }

  // ---- streams

  [[nodiscard]] static slot_handle handle_of(const stream_record& s) noexcept {
    return slab<stream_record>::handle_of(s, s.slot);
  }
  [[nodiscard]] MOQL_INLINE stream_record* find(stream_id id) noexcept {
    if (last_found != nullptr && last_found->id == id) return last_found;
    return look_up(id);
  }
  [[nodiscard]] MOQL_NOINLINE stream_record* look_up(stream_id id) noexcept {
    const std::uint32_t i = by_id.find(static_cast<std::uint64_t>(id));
    return i == slot_index::none ? nullptr : last_found = &streams[i];
  }
  /// A stream of ours that waits for the transport to name it; null when memory ran out.
  [[nodiscard]] stream_record* open(stream_kind kind, bool bidi, std::uint32_t owner) noexcept {
    slot_handle h;
    stream_record* s = streams.take(h);
    if (s == nullptr) return nullptr;
    s->slot = h.index;
    s->kind = kind;
    s->is_ours = true;
    s->is_bidi = bidi;
    s->owner = owner;
    s->ends = bidi ? lifetime::bidi() : lifetime::uni_out();
    if ((bidi ? opening_bidi : opening_uni).push(h)) return s;
    streams.give(h);
    return nullptr;
  }
  /// A stream that has its id: the peer's, or a group stream of ours.
  [[nodiscard]] stream_record* adopt(stream_id id, bool ours, bool bidi) noexcept {
    slot_handle h;
    stream_record* s = streams.take(h);
    if (s == nullptr) return nullptr;
    s->slot = h.index;
    s->is_ours = ours;
    s->is_bidi = bidi;
    s->ends = bidi ? lifetime::bidi() : ours ? lifetime::uni_out() : lifetime::uni_in();
    if (name(*s, id)) return s;
    streams.give(h);
    return nullptr;
  }
  [[nodiscard]] bool name(stream_record& s, stream_id id) noexcept {
    s.id = id;
    s.is_named = by_id.insert(static_cast<std::uint64_t>(id), s.slot);
    return s.is_named;
  }
  /// The buffers of a stream that has something under way; null when memory ran out.
  [[nodiscard]] MOQL_INLINE stream_buffers* buffers_of(stream_record& s) noexcept {
    return s.buffers != nullptr ? s.buffers : take_buffers(s);
  }
  [[nodiscard]] MOQL_NOINLINE stream_buffers* take_buffers(stream_record& s) noexcept {
    slot_handle h;
    s.buffers = buffers.take(h);
    if (s.buffers != nullptr) s.buffers->self = h;
    return s.buffers;
  }
  /// Gives them back if nothing is under way any more.
  void rest(stream_record& s) noexcept {
    if (!s.keeps_buffers() && s.buffers != nullptr && !s.is_busy && s.is_at_rest()) give_buffers(s);
  }
  void give_buffers(stream_record& s) noexcept {
    if (s.buffers != nullptr) buffers.give(s.buffers->self);
    s.buffers = nullptr;
  }
  /// The stream's type.
  [[nodiscard]] bool put_type(stream_record& s, std::uint64_t type) noexcept {
    stream_buffers* b = buffers_of(s);
    return b != nullptr && b->out.push(static_cast<std::uint8_t>(type));  // every type is below 64: one byte
  }
  /// Adds a message to what is to be written.
  template <class Side, class M>
  [[nodiscard]] errc say(stream_record& s, const M& m) noexcept {
    stream_buffers* b = buffers_of(s);
    return b == nullptr ? errc::out_of_memory : Side::send(s.said, ver, m, b->out);
  }
  /// Takes a message off `in`, which lies in the stream's buffers.
  template <class Side>
  [[nodiscard]] step hear(stream_record& s, byte_view& in, typename Side::incoming& m, errc& why) noexcept {
    return Side::receive(s.said, s.buffers->reader, ver, caps(), in, m, why);
  }
  template <class Side>
  [[nodiscard]] errc hear_fin(stream_record& s) const noexcept {
    return Side::receive_fin(s.said, s.is_inside(), ver);
  }
  /// Something was added to what is to be written, or the end is wanted.
  void flush(stream_record& s) noexcept {
    if (!s.has_output()) return rest(s);
    // A peer that does not read what it is told. Announcements have a gentler end: only their stream is reset.
    if (s.kind != stream_kind::announce_theirs && s.unsent().size() > caps().control_backlog_bytes_max)
      return fail(errc::limit_exceeded);
    if (!s.is_named || s.is_queued || s.is_blocked) return;
    s.is_queued = true;
    if (!writable.push(handle_of(s))) fail(errc::out_of_memory);
  }
  /// Ends our direction in order, after what is in `out`.
  void finish(stream_record& s) noexcept {
    if (s.ends.apply(lifetime::input::local_fin).fin) s.fin_wanted = true;
    flush(s);
    settle(s);
  }
  /// Ends both directions now.
  void abort(stream_record& s, stream_code code) noexcept {
    if (!s.is_named) kill_output(s);  // never opened: taken back, whatever was to be written
    carry_out(s, s.ends.apply(lifetime::input::local_abort), static_cast<std::uint64_t>(code));
  }
  /// Ends the peer's direction.
  void stop(stream_record& s, stream_code code) noexcept {
    carry_out(s, s.ends.apply(lifetime::input::local_stop), static_cast<std::uint64_t>(code));
  }
  void carry_out(stream_record& s, const lifetime::effect& e, std::uint64_t code) noexcept {
    if (e.reset) {
      kill_output(s);
      if (s.is_named) act(reset_stream{s.id, code});
    }
    if (e.stop) {
      drop_input(s);
      s.in_end_seen = true;
      if (s.is_named) act(stop_stream{s.id, code});
    }
    settle(s);
  }
  static void kill_output(stream_record& s) noexcept {
    s.out_dead = true;
    s.clear_output();
  }
  /// Its transaction is over: what still comes on it is read and forgotten.
  void retire(stream_record& s) noexcept {
    s.kind = stream_kind::closing;
    s.owner = no_slot;
    answered(s);
    s.is_held = false;
    wake_reader(s);
    settle(s);
  }
  /// We are done with a transaction of ours: ends our direction in order, or takes back a stream not opened yet.
  void leave(stream_record& s) noexcept {
    s.kind = stream_kind::closing;
    s.owner = no_slot;
    s.is_held = false;
    answered(s);
    if (!s.is_named) return abort(s, stream_code::cancelled);
    wake_reader(s);
    finish(s);
  }
  /// There is something to read, or nothing holds it any longer.
  void wake_reader(stream_record& s) noexcept {
    if (s.is_readable || s.is_held || s.is_busy || !s.has_input()) return;
    s.is_readable = true;
    if (!readable.push(handle_of(s))) fail(errc::out_of_memory);
  }
  /// Frees the record once nothing can happen on it any more.
  void settle(stream_record& s) noexcept {
    if (s.is_busy) return;
    if (s.ends.is_over() && !s.has_output() && !s.has_input()) return free(s);
    rest(s);
  }
  MOQL_NOINLINE void free(stream_record& s) noexcept {
    if (last_found == &s) last_found = nullptr;
    if (s.is_named) by_id.erase(static_cast<std::uint64_t>(s.id));
    identified(s);
    answered(s);
    give_buffers(s);
    streams.give(handle_of(s));
  }
  /// The stream has said what it is.
  void identified(stream_record& s) noexcept {
    if (!s.is_unidentified) return;
    s.is_unidentified = false;
    --unidentified;
    cancel_timer(timer_kind::stream, handle_of(s));
  }
  /// An answer has come, or is not waited for any longer.
  void answered(stream_record& s) noexcept {
    if (!s.is_unidentified) cancel_timer(timer_kind::stream, handle_of(s));
  }
  /// The first chunk has been read to its end.
  void drop_chunk(stream_record& s) noexcept {
    stream_buffers& b = *s.buffers;
    const std::size_t size = b.in.front().size();
    buffered -= size;
    --chunks;
    b.in_read = 0;
    (void)b.in.pop();
    if (s.ends.can_receive()) act(give_credit{s.id, size});
  }
  void drop_input(stream_record& s) noexcept {
    if (s.is_busy) {
      s.drop_later = true;
      return;
    }
    s.drop_later = false;
    while (s.has_bytes()) {
      buffered -= s.buffers->in.pop().size();
      --chunks;
    }
    if (s.buffers != nullptr) s.buffers->in_read = 0;
  }

  // ---- timers

  /// Streams have the even numbers, because there are many of them: the heap has a word for each number.
  [[nodiscard]] static std::uint32_t timer_of(timer_kind k, slot_handle h = {}) noexcept {
    if (k == timer_kind::stream) return h.index * 2;
    return (h.index * static_cast<std::uint32_t>(timer_kind::count_) + static_cast<std::uint32_t>(k)) * 2 + 1;
  }
  void set_timer(timer_kind k, slot_handle h, duration after) noexcept {
    if (after.us <= 0) return;
    if (!clock.set(timer_of(k, h), now + after)) fail(errc::out_of_memory);
  }
  void cancel_timer(timer_kind k, slot_handle h = {}) noexcept { clock.cancel(timer_of(k, h)); }

  // ---- towards the transport and the application

  void act(action a) noexcept {
    if (is_over()) return;
    if (!actions.push(std::move(a))) fail(errc::out_of_memory);
  }
  void tell(event e) noexcept { tell({std::move(e), about::session, {}, {}, false}); }
  void tell(queued_event e) noexcept {
    if (is_mute || events.push(std::move(e))) return;
    is_mute = true;  // what follows would make no sense without it; session_closed needs no room
    fail(errc::out_of_memory);
  }
  /// The event that is just being told cannot be, for want of memory.
  void lose_event() noexcept {
    is_mute = true;
    events.clear();
    fail(errc::out_of_memory);
  }
  /// Ends the session for a reason of the error table.
  void fail(errc why) noexcept { close(why, static_cast<std::uint64_t>(facts(why).on_session), text_of(why)); }
  void close(errc why, std::uint64_t code, std::string_view text) noexcept {
    if (is_closed) return;
    is_closed = true;
    if (transport_gone) {  // a fault in the last words changes nothing any more
      close_why = close_by_peer ? errc::ok : errc::transport_closed;
      return;
    }
    close_wanted = true;
    close_why = why;
    close_code = code;
    reason.clear();
    if (!reason.append(text.data(), text.size() < caps().reason_bytes_max ? text.size() : caps().reason_bytes_max))
      reason.clear();
  }
  [[nodiscard]] std::string_view reason_text() const noexcept { return {reason.data(), reason.size()}; }
};

}  // namespace moql::detail
