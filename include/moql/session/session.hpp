#pragma once
/// One moq-lite session: a peer at the other end of one connection. No I/O, no clock, no threads, no callbacks.
///
/// Four groups of functions, each with its own way of being called:
///   inputs    on_*      the adapter tells what happened; they store and return
///   commands  verbs     the application says what it wants; the caller's mistakes come back as an errc
///   outputs   next_*    drained after inputs and commands: events by the application, actions and writes by `pump`
///   getters
///
/// A peer's fault surfaces from `next_event`: it ends a stream or the session, and what was delivered before stays
/// delivered. Not draining events is back-pressure: unread bytes return no flow-control credit. One thread at a time.
/// Track caches that a session serves may outlive it or die before it.

#include "../base/result.hpp"
#include "engine.hpp"

namespace moql {

class session {
 public:
  /// All memory comes from `m`. When it says no, the command says so; when that happens to an input the session closes.
  /// An event that there is no memory for is not told, and then nothing follows it but `session_closed`.
  explicit session(const config& c = {}, memory m = {}) noexcept : e_(c, m) {}

  // ---- inputs: the transport

  /// The connection is up and has negotiated `protocol` (ALPN, WT-Protocol or WebSocket subprotocol; empty if none).
  /// Call once, before everything else.
  errc start(std::string_view protocol, instant now) noexcept {
    c().now = now;
    return e_.open.start(protocol);
  }
  void on_open(stream_id id, direction dir, instant now) noexcept {
    c().now = now;
    if (c().is_over() || c().find(id) != nullptr) return;
    detail::stream_record* s = c().adopt(id, false, dir == direction::bidi);
    if (s == nullptr) return c().fail(errc::out_of_memory);
    s->is_unidentified = true;
    if (++c().unidentified > c().caps().unidentified_streams_max) return e_.fault(*s, errc::limit_exceeded);
    c().set_timer(detail::timer_kind::stream, c().handle_of(*s), c().caps().header_timeout);
  }
  /// Without an owner `data` must stay valid until its credit has been given back: what cannot be read yet (the version
  /// is not agreed, TRACK_INFO is missing) waits.
  void on_data(stream_id id, bytes data, bool fin, instant now) noexcept {
    c().now = now;
    detail::stream_record* s = c().is_over() ? nullptr : c().find(id);
    if (s == nullptr || !s->ends.can_receive() || s->in_fin || s->in_reset) return;
    if (fin) s->in_fin = true;
    if (!data.empty()) {
      c().counts.bytes_in += data.size();
      c().buffered += data.size();
      const std::uint64_t most = c().caps().buffered_bytes_max;
      if (c().buffered > most || ++c().chunks * chunk_cost > most) return c().fail(errc::limit_exceeded);
      detail::stream_buffers* b = c().buffers_of(*s);
      if (b == nullptr || !b->in.push(std::move(data))) return c().fail(errc::out_of_memory);
    }
    c().wake_reader(*s);
  }
  void on_reset(stream_id id, std::uint64_t code, instant now) noexcept {
    c().now = now;
    detail::stream_record* s = c().is_over() ? nullptr : c().find(id);
    if (s == nullptr || !s->ends.can_receive() || s->in_reset) return;
    detail::stream_buffers* b = c().buffers_of(*s);
    if (b == nullptr) return c().fail(errc::out_of_memory);
    b->in_code = code;
    s->in_reset = true;
    s->in_end_seen = false;
    if (s->is_held && s->kind != detail::stream_kind::unknown) {  // what was held back will not be complete
      c().drop_input(*s);
      s->is_held = false;
    }
    c().wake_reader(*s);
  }
  void on_stop(stream_id id, std::uint64_t code, instant now) noexcept {
    c().now = now;
    detail::stream_record* s = c().is_over() ? nullptr : c().find(id);
    if (s != nullptr) e_.stopped(*s, code);
  }
  void on_writable(stream_id id) noexcept {
    detail::stream_record* s = c().is_over() ? nullptr : c().find(id);
    if (s == nullptr || !s->is_blocked) return;
    s->is_blocked = false;
    if (s->kind == detail::stream_kind::group_out || s->kind == detail::stream_kind::fetch_theirs)
      e_.publish.writable(*s);
    c().flush(*s);
  }
  void on_credit(direction dir) noexcept { (dir == direction::bidi ? c().bidi_blocked : c().uni_blocked) = false; }
  void on_datagram(bytes data, instant now) noexcept {
    c().now = now;
    if (c().is_over() || e_.datagrams_in.size() >= c().caps().datagrams_max) return;
    if (data.size() > datagram_bytes_max) return;
    ++c().counts.datagrams_in;
    (void)e_.datagrams_in.push(std::move(data));
  }
  /// The connection is gone. What arrived before is still told.
  void on_close(const close_info& why, instant now) noexcept {
    c().now = now;
    if (c().transport_gone) return;
    c().transport_gone = true;
    c().close_wanted = false;
    if (c().is_closed) return;
    c().close_by_peer = why.application;
    c().close_code = why.code;
    c().reason.clear();
    const std::size_t n =
        why.reason.size() < c().caps().reason_bytes_max ? why.reason.size() : c().caps().reason_bytes_max;
    (void)c().reason.append(why.reason.data(), n);
  }
  /// Time has passed. Call no later than `next_deadline()` says; earlier does no harm.
  void on_deadline(instant now) noexcept {
    c().now = now;
    std::uint32_t id{};
    while (!c().is_over() && c().clock.pop_due(now, id)) e_.timer_due(id);
  }
  /// The answers to what `next_action` and `next_write` asked for.
  void on_opened(ticket t, stream_id id, instant now) noexcept;
  void on_open_blocked(ticket t) noexcept;
  void on_written(stream_id id, const write_result& r) noexcept;
  /// The largest datagram that can be sent now, 0 for none; `pump` tells.
  void on_max_datagram(std::size_t size) noexcept { c().datagrams.set_max(size); }
  /// What the transport measures; reported to a peer that probes, when it is worth it.
  void on_stats(const transport_stats& t, instant now) noexcept {
    c().now = now;
    if (!c().is_over()) e_.signal.on_stats(t);
  }

  // ---- commands

  /// Asks which broadcasts or routes exist under a prefix, now and later. Empty: all.
  result<interest_id> discover(std::string_view prefix, instant now) noexcept {
    return request<interest_id>(now, [&](interest_id& id) { return e_.discover.discover(prefix, id); });
  }
  errc forget(interest_id id) noexcept {
    return command([&] { return e_.discover.forget(id); });
  }

  /// Announces a broadcast or, on 06, a route: to everyone who asks, from now on. A path may be announced more than
  /// once; each peer is shown the best way.
  result<announcement_id> announce(std::string_view path, const route& r = {}) noexcept {
    announcement_id id{};
    const errc why = command([&] { return e_.announce.announce(path, r, id); });
    return why == errc::ok ? result<announcement_id>(id) : why;
  }
  errc update(announcement_id id, const route& r) noexcept {
    return command([&] { return e_.announce.update(id, r); });
  }
  errc withdraw(announcement_id id) noexcept {
    return command([&] { return e_.announce.withdraw(id); });
  }

  /// Subscribes to a track. Frames of 05 and 06 wait inside until TRACK_INFO is here.
  result<subscription_id> subscribe(std::string_view broadcast, std::string_view track, const subscribe_options& o,
                                    instant now) noexcept {
    return request<subscription_id>(
        now, [&](subscription_id& id) { return e_.subscribe.subscribe(broadcast, track, o, id); });
  }
  errc update(subscription_id id, const msg::delivery& want) noexcept {
    return command([&] { return e_.subscribe.update(id, want); });
  }
  errc unsubscribe(subscription_id id) noexcept {
    return command([&] { return e_.subscribe.unsubscribe(id); });
  }
  /// Reads no more of one group that has started and not finished: stops its stream. Nothing more is heard of it, the
  /// subscription goes on. wrong_state when it is not coming in.
  errc skip(subscription_id id, std::uint64_t group) noexcept {
    return command([&] { return e_.subscribe.skip(id, group); });
  }

  /// Fetches one group of a track, live or ended. 03 on.
  result<fetch_id> fetch(std::string_view broadcast, std::string_view track, std::uint64_t group,
                         const fetch_options& o, instant now) noexcept {
    return request<fetch_id>(now, [&](fetch_id& id) { return e_.fetch.fetch(broadcast, track, group, o, id); });
  }
  errc cancel(fetch_id id) noexcept {
    return command([&] { return e_.fetch.cancel(id); });
  }
  /// Asks for a track's fixed properties alone. 05 on.
  result<track_query_id> query_track(std::string_view broadcast, std::string_view track, instant now) noexcept {
    return request<track_query_id>(now, [&](track_query_id& id) { return e_.fetch.query(broadcast, track, id); });
  }

  /// Answers a request of the peer's from a cache: a subscription for as long as it lives, a fetch with its group, a
  /// question with the cache's properties.
  errc serve(request_id id, track_cache& cache) noexcept {
    return command([&] { return e_.publish.serve(id, cache); });
  }
  /// Answers a TRACK without a cache.
  errc answer(request_id id, const msg::track_info& info) noexcept {
    return command([&] { return e_.publish.answer(id, info); });
  }
  errc reject(request_id id, stream_code code) noexcept {
    return command([&] { return e_.publish.reject(id, code); });
  }

  /// What a subscription of the peer's asks for by now: its SUBSCRIBE, or the newest update. None when it is over.
  [[nodiscard]] std::optional<msg::delivery> wanted(request_id id) noexcept { return e_.publish.wanted(id); }

  /// Asks the peer to measure; `target` in bits per second, 0 for none. 03 on.
  errc probe(std::uint64_t target = 0) noexcept {
    return command([&] { return e_.signal.probe(target); });
  }
  errc stop_probe() noexcept {
    return command([&] {
      e_.signal.stop_probe();
      return errc::ok;
    });
  }
  /// Tells a peer that asked what we measure; 0 is unknown.
  errc report(std::uint64_t bitrate, std::uint64_t rtt_ms) noexcept {
    return command([&] { return e_.signal.report(bitrate, rtt_ms); });
  }
  /// Asks the peer to leave within `drain` (0: no deadline), for `uri` if that is not empty. 04 on.
  errc goaway(std::string_view uri, duration drain, instant now) noexcept {
    c().now = now;
    return command([&] { return e_.signal.goaway(uri, drain); });
  }
  errc finish_goaway() noexcept {
    return command([&] { return e_.signal.finish_goaway(); });
  }

  /// Ends the session. Once is enough; later calls do nothing.
  void close(session_code code = session_code::no_error, std::string_view reason = {}) noexcept {
    if (is_reserved(static_cast<std::uint64_t>(code))) code = session_code::internal_error;
    if (!c().is_over()) c().close(errc::ok, static_cast<std::uint64_t>(code), reason);
  }

  // ---- outputs

  /// The next thing the application should know; nothing when all that arrived has been told. Views in it are valid
  /// until the next call on the session.
  [[nodiscard]] std::optional<event> next_event() noexcept;
  /// False when `next_action` and `next_write` are certain to have nothing; cheap.
  [[nodiscard]] bool has_output() const noexcept {
    if (c().is_over()) return c().close_wanted;
    return !c().actions.empty() || !c().writable.empty() || !c().opening_bidi.empty() || !c().opening_uni.empty() ||
           !c().datagrams.is_empty() || e_.publish.has_output();
  }
  [[nodiscard]] std::optional<action> next_action() noexcept;
  /// Bytes for the stream that matters most now: control first, then by subscriber priority, publisher priority and the
  /// version's group order, fair between equals. Answer with `on_written`.
  [[nodiscard]] std::optional<write_request> next_write() noexcept;
  /// When `on_deadline` is due; `never_due` if nothing waits.
  [[nodiscard]] instant next_deadline() const noexcept { return c().is_over() ? never_due : c().clock.next(); }

  // ---- getters

  /// Whether `next_event` is worth calling.
  [[nodiscard]] bool has_events() const noexcept {
    if (c().is_over()) return !has_said_closed_;
    const bool has_datagrams = c().is_established && !e_.datagrams_in.empty();
    return !c().events.empty() || !c().readable.empty() || has_datagrams;
  }
  [[nodiscard]] bool is_established() const noexcept { return c().is_established; }
  [[nodiscard]] bool is_closed() const noexcept { return c().is_over(); }
  [[nodiscard]] bool is_going_away() const noexcept { return c().is_going_away; }
  /// The agreed version; meaningful once established.
  [[nodiscard]] version negotiated() const noexcept { return c().ver; }
  [[nodiscard]] endpoint side() const noexcept { return c().settings.side; }
  /// What the peer's SETUP said; defaults until it came.
  [[nodiscard]] const peer_setup& peer() const noexcept { return e_.open.peer(); }
  /// Whether the peer wants measurements: then `on_stats` is worth calling.
  [[nodiscard]] bool is_probed() const noexcept { return e_.signal.is_watched(); }
  /// Streams that are open or waiting to be opened; meaningful until the session ends.
  [[nodiscard]] std::size_t streams_held() const noexcept { return c().streams.size(); }
  [[nodiscard]] std::uint64_t bytes_buffered() const noexcept { return c().buffered; }
  [[nodiscard]] const session_counters& counters() const noexcept { return c().counts; }
  /// Our Hop ID, as configured.
  [[nodiscard]] std::uint64_t hop() const noexcept { return c().settings.hop; }
  /// Who is to be woken; null for nobody. It must outlive the session or be taken back.
  void wake(output_listener* l) noexcept { c().listener = l; }

 private:
  static constexpr std::uint64_t chunk_cost = 64;  ///< What keeping a chunk takes besides its bytes, at most.
  static constexpr std::uint64_t group_ticket = std::uint64_t{1} << 63;

  [[nodiscard]] detail::core& c() noexcept { return e_.core; }
  [[nodiscard]] const detail::core& c() const noexcept { return e_.core; }
  template <class F>
  errc command(F&& f) noexcept {
    if (c().is_over()) return errc::closed;
    if (!c().is_started) return errc::wrong_state;
    return f();
  }
  template <class Id, class F>
  result<Id> request(instant now, F&& f) noexcept {
    c().now = now;
    Id id{};
    const errc why = command([&] { return c().is_going_away ? errc::going_away : f(id); });
    return why == errc::ok ? result<Id>(id) : why;
  }
  [[nodiscard]] bool prepare(detail::queued_event& q) noexcept;
  void free(const detail::queued_event& q) noexcept;
  void next_other(std::optional<event>& out) noexcept;
  [[nodiscard]] bool next_control(write_request& w) noexcept;
  [[nodiscard]] std::optional<action> next_open() noexcept;

  detail::engine e_;
  std::optional<detail::queued_event> heard_{};  ///< Its slot is freed at the next call.
  chunk control_piece_{};
  struct {
    std::size_t size = 0;
    bool fin = false;
    bool is_control = false;
  } offered_{};
  bool has_collapsed_ = false;  ///< Everything that was open has been reported.
  bool has_said_closed_ = false;
};

}  // namespace moql

#include "session_impl.hpp"
