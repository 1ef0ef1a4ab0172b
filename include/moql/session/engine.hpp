#pragma once
/// Where everything that comes in goes: streams by their type to the part that keeps their transaction, ends and faults
/// to the same part, timers to whom they belong. The parts know the core and not one another.

#include "announcing.hpp"
#include "discovery.hpp"
#include "fetching.hpp"
#include "publishing.hpp"
#include "signals.hpp"
#include "subscribing.hpp"

namespace moql::detail {

class engine {
 public:
  engine(const config& c, memory m) noexcept
      : core(c, m),
        open(core),
        infos(core, &engine::deliver_info, this),
        discover(core),
        announce(core, open),
        subscribe(core, infos),
        fetch(core, infos),
        publish(core),
        signal(core, open),
        datagrams_in(m) {}
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  detail::core core;
  opening open;
  track_infos infos;
  discovery discover;
  announcing announce;
  subscribing subscribe;
  fetching fetch;
  publishing publish;
  signals signal;
  queue<bytes> datagrams_in;

  /// The common case by itself: the next frame of a group that is being read. False when something else comes first.
  [[nodiscard]] MOQL_INLINE bool read_frame(std::optional<event>& out) noexcept {
    if (core.readable.empty()) return false;
    stream_record* s = core.streams.find(core.readable.front());
    if (s == nullptr || !s->has_frames()) return false;
    stream_buffers& b = *s->buffers;
    const bytes& chunk = b.in.front();
    byte_view rest = chunk.view().subspan(b.in_read);
    errc why{};
    const bool is_ready = read_group_frame(*s, rest, chunk, out, why) == step::ready;
    b.in_read = chunk.size() - rest.size();
    if (is_ready && rest.empty()) core.drop_chunk(*s);
    return is_ready;  // a fault is sticky: whoever reads on meets it again
  }
  /// Reads until there is something to tell: in `out`, or in the queue of events.
  void read(std::optional<event>& out) noexcept {
    while (!out && core.events.empty() && !core.is_closed) {
      if (!core.readable.empty()) {
        const slot_handle h = core.readable.front();
        stream_record* s = core.streams.find(h);
        if (s == nullptr || !s->is_readable) {
          (void)core.readable.pop();
        } else if (!read_stream(*s, out)) {
          (void)core.readable.pop();
          if ((s = core.streams.find(h)) != nullptr) s->is_readable = false;
        }
      } else if (!datagrams_in.empty()) {
        if (!core.is_established) return;
        const bytes d = datagrams_in.pop();
        if (has_datagrams(core.ver)) subscribe.take_datagram(d);
      } else {
        return;
      }
    }
  }

  /// The peer does not want our direction any longer: it ends by a reset with the same code (RFC 9000 section 3.5).
  void stopped(stream_record& s, std::uint64_t code) noexcept {
    s.is_busy = true;
    const bool was_writing = s.has_output();
    if (s.ends.apply(lifetime::input::remote_stop).reset || was_writing) {
      core::kill_output(s);
      core.act(reset_stream{s.id, code});
    }
    switch (s.kind) {
      case stream_kind::group_out:
      case stream_kind::subscribe_theirs:
      case stream_kind::fetch_theirs:
      case stream_kind::track_theirs: publish.stopped(s, code); break;
      case stream_kind::announce_theirs:
        announce.ended(s);
        core.retire(s);
        break;
      case stream_kind::session: core.fail(errc::session_stream_ended); break;
      case stream_kind::probe_theirs:
        signal.probe_ended(s, errc::ok, 0);
        core.retire(s);
        break;
      default: break;
    }
    s.is_busy = false;
    core.settle(s);
  }
  void timer_due(std::uint32_t id) noexcept {
    constexpr auto kinds = static_cast<std::uint32_t>(timer_kind::count_);
    const bool is_stream = id % 2 == 0;
    id /= 2;
    const std::uint32_t index = is_stream ? id : id / kinds;
    switch (is_stream ? timer_kind::stream : static_cast<timer_kind>(id % kinds)) {
      case timer_kind::stream: {
        stream_record& s = core.streams[index];
        return fault(s, s.is_unidentified ? errc::header_timeout : errc::request_timeout);
      }
      case timer_kind::setup: return core.fail(errc::setup_timeout);
      case timer_kind::goaway: return core.fail(errc::goaway_timeout);
      case timer_kind::straggler: return subscribe.straggler_due(index);
      case timer_kind::initial_set: return discover.initial_set_due(index);
      case timer_kind::sample: return signal.sample_due();
      case timer_kind::count_: break;
    }
  }
  /// The session ends: everything that was open is reported once.
  void collapse(errc why, std::uint64_t code) noexcept {
    fetch.end_all(why, code);
    subscribe.end_all(why, code);
    discover.end_all(why, code);
    publish.end_all(why, code);
  }
  /// Ends a stream for a fault of the peer's, or the session if that is how far the fault goes.
  void fault(stream_record& s, errc why) noexcept {
    if (scope_of(why, core.ver) == scope::session) return core.fail(why);
    const bool was_busy = s.is_busy;
    s.is_busy = true;
    core.abort(s, facts(why).on_stream);
    end_transaction(s, why, static_cast<std::uint64_t>(facts(why).on_stream));
    s.is_busy = was_busy;
    core.settle(s);
  }

 private:
  static void deliver_info(void* context, const info_waiter& w, const msg::track_info* info, errc why,
                           std::uint64_t code) {
    auto* e = static_cast<engine*>(context);
    if (w.whom == about::subscription)
      e->subscribe.info_arrived(w.slot, info, why, code);
    else
      e->fetch.info_arrived(w, info, why, code);
  }

  /// False when the stream has nothing more to read for now.
  [[nodiscard]] bool read_stream(stream_record& s, std::optional<event>& out) noexcept {
    s.is_busy = true;
    while (!out && core.events.empty() && !core.is_closed && !s.is_held && !s.drop_later) {
      if (s.has_bytes()) {
        const bytes& chunk = s.buffers->in.front();
        byte_view rest = chunk.view().subspan(s.buffers->in_read);
        const std::size_t before = rest.size();
        errc why{};
        const bool is_typed = s.kind != stream_kind::unknown;
        const step got = read_unit(s, rest, chunk, out, why);
        if (is_typed && got == step::ready) core.identified(s);
        s.buffers->in_read += before - rest.size();
        if (rest.empty()) core.drop_chunk(s);
        if (got == step::fault) fault(s, why);
      } else if ((s.in_fin || s.in_reset) && !s.in_end_seen) {
        s.in_end_seen = true;
        peer_ended(s);
      } else {
        break;
      }
    }
    s.is_busy = false;
    if (s.drop_later) core.drop_input(s);
    const bool has_more = s.has_input() && !s.is_held;
    core.settle(s);
    return has_more;
  }

  [[nodiscard]] step read_unit(stream_record& s, byte_view& in, const bytes& chunk, std::optional<event>& out,
                               errc& why) noexcept {
    switch (s.kind) {
      case stream_kind::group_in: return read_group(s, in, chunk, out, why);
      case stream_kind::fetch_ours: return read_fetch(s, in, chunk, out, why);
      case stream_kind::unknown: return read_type(s, in, why);
      case stream_kind::session: return read_session(s, in, why);
      case stream_kind::setup_in: return read_setup(s, in, why);
      case stream_kind::announce_ours: return discover.read(s, in, why);
      case stream_kind::announce_theirs: return announce.read(s, in, why);
      case stream_kind::subscribe_ours: return subscribe.read(s, in, why);
      case stream_kind::subscribe_theirs:
      case stream_kind::fetch_theirs:
      case stream_kind::track_theirs: return publish.read(s, in, why);
      case stream_kind::track_ours: return infos.read(s, in, why);
      case stream_kind::probe_ours:
      case stream_kind::probe_theirs: return signal.read_probe(s, in, why);
      case stream_kind::goaway_theirs: return read_goaway(s, in, why);
      case stream_kind::setup_out:
      case stream_kind::goaway_ours:
      case stream_kind::group_out:
      case stream_kind::closing: break;
    }
    in = in.subspan(in.size());  // of no interest to anyone
    return step::wait;
  }
  [[nodiscard]] step read_group(stream_record& s, byte_view& in, const bytes& chunk, std::optional<event>& out,
                                errc& why) noexcept {
    if (!s.buffers->groups.has_header()) {
      msg::group g;
      const step got = s.buffers->groups.header(in, g, why);
      if (got != step::ready) return got;
      core.identified(s);
      why = subscribe.accept_group(s, g);
      s.is_held = why == errc::ok && subscribe.must_hold(s);
      return why == errc::ok ? step::ready : step::fault;
    }
    return read_group_frame(s, in, chunk, out, why);
  }
  [[nodiscard]] MOQL_INLINE step read_group_frame(stream_record& s, byte_view& in, const bytes& chunk,
                                                  std::optional<event>& out, errc& why) noexcept {
    frame_piece p;
    const step got = s.buffers->groups.frames().next(in, p, why);
    if (got == step::ready)
      out.emplace(frame_part{subscribe.id(s.owner), s.buffers->sequence, p.index, p.timestamp, p.size, p.offset,
                             bytes::share(p.payload, chunk.held_by())});
    return got;
  }
  [[nodiscard]] step read_fetch(stream_record& s, byte_view& in, const bytes& chunk, std::optional<event>& out,
                                errc& why) noexcept {
    frame_piece p;
    const step got = s.buffers->groups.frames().next(in, p, why);
    if (got == step::ready) {
      core.answered(s);
      out.emplace(fetch_part{fetch.id(s.owner), p.index, p.timestamp, p.size, p.offset,
                             bytes::share(p.payload, chunk.held_by())});
    }
    return got;
  }
  [[nodiscard]] step read_session(stream_record& s, byte_view& in, errc& why) noexcept {
    const bool was_established = core.is_established;
    const step got = open.read_session(s, in, why);
    if (!was_established && core.is_established) begin_all();
    return got;
  }
  [[nodiscard]] step read_setup(stream_record& s, byte_view& in, errc& why) noexcept {
    const step got = open.read_setup(s, in, why);
    if (got == step::ready) {
      announce.on_peer_setup();
      signal.on_peer_setup();
    }
    return got;
  }
  [[nodiscard]] step read_goaway(stream_record& s, byte_view& in, errc& why) noexcept {
    const bool was_going = core.is_going_away;
    const step got = signal.read_goaway(s, in, why);
    if (!was_going && core.is_going_away && !core.settings.groups_after_goaway) publish.stop_opening();
    return got;
  }

  /// 01, 02: the version is agreed now. What was asked before is written, what came before is read.
  void begin_all() noexcept {
    core.streams.for_each([&](slot_handle, stream_record& s) {
      if (s.is_ours && s.kind == stream_kind::announce_ours) begin(discover.begin(s));
      if (s.is_ours && s.kind == stream_kind::subscribe_ours) begin(subscribe.begin(s));
      if (s.is_held && s.kind == stream_kind::unknown) {
        s.is_held = false;
        byte_view nothing;
        errc why{};
        if (read_type(s, nothing, why) == step::fault) return fault(s, why);
        core.wake_reader(s);
      }
    });
  }
  void begin(errc e) noexcept {
    if (e != errc::ok) core.fail(e);
  }

  [[nodiscard]] step read_type(stream_record& s, byte_view& in, errc& why) noexcept {
    if (!s.buffers->type) {
      std::uint64_t type{};
      const step got = s.buffers->reader.next_varint(in, type, why);
      if (got != step::ready) return got;
      s.buffers->type = type;
    }
    const std::uint64_t type = *s.buffers->type;
    const bool is_session = s.is_bidi && (type == static_cast<std::uint64_t>(bidi_type::session) ||
                                          type == static_cast<std::uint64_t>(bidi_type::session_compat));
    if (!core.is_established) {
      if (is_session)
        open.accept_session_stream(s, type);
      else
        s.is_held = true;
      if (!s.is_held) core.identified(s);
      return step::ready;
    }
    if (find_stream_type(type, s.is_bidi, core.ver) == nullptr) {
      why = errc::unknown_stream_type;
    } else if (is_session) {
      open.accept_session_stream(s, type);
    } else {
      why = s.is_bidi ? accept_bidi(s, static_cast<bidi_type>(type)) : accept_uni(s, static_cast<uni_type>(type));
    }
    if (!waits_for_message(s.kind)) core.identified(s);
    return why == errc::ok ? step::ready : step::fault;
  }
  /// Requests and groups say what they are about in their first message, and have as long for that as for their type.
  [[nodiscard]] static bool waits_for_message(stream_kind k) noexcept {
    return k == stream_kind::group_in || k == stream_kind::announce_theirs || k == stream_kind::subscribe_theirs ||
           k == stream_kind::fetch_theirs || k == stream_kind::track_theirs || k == stream_kind::goaway_theirs;
  }
  [[nodiscard]] errc accept_bidi(stream_record& s, bidi_type type) noexcept {
    if (!s.ends.can_send() && type != bidi_type::goaway) {  // STOP_SENDING came first: there is nobody to answer
      s.kind = stream_kind::closing;
      core.abort(s, stream_code::cancelled);
      return errc::ok;
    }
    switch (type) {
      case bidi_type::announce: return announce.accept(s);
      case bidi_type::subscribe: return publish.accept(s, stream_kind::subscribe_theirs);
      case bidi_type::fetch: return publish.accept(s, stream_kind::fetch_theirs);
      case bidi_type::track: return publish.accept(s, stream_kind::track_theirs);
      case bidi_type::probe: return signal.accept_probe(s);
      case bidi_type::goaway: s.kind = stream_kind::goaway_theirs; break;
      case bidi_type::session:
      case bidi_type::session_compat: break;
    }
    return errc::ok;
  }
  [[nodiscard]] errc accept_uni(stream_record& s, uni_type type) noexcept {
    if (type == uni_type::setup) {
      open.accept_setup_stream(s);
    } else {
      s.kind = stream_kind::group_in;
      s.buffers->groups = group_reader(core.ver, core.caps().frame_bytes_max);
    }
    return errc::ok;
  }

  /// FIN or RESET_STREAM, after all bytes that came before it.
  void peer_ended(stream_record& s) noexcept {
    if (s.in_reset) {
      const lifetime::effect e = s.ends.apply(lifetime::input::remote_reset);
      core.carry_out(s, e, static_cast<std::uint64_t>(stream_code::cancelled));
      return end_transaction(s, errc::reset_by_peer, s.buffers->in_code);
    }
    (void)s.ends.apply(lifetime::input::remote_fin);
    const errc why = judge_fin(s);
    if (why != errc::ok) return fault(s, why);
    end_transaction(s, errc::ok, 0);
  }
  [[nodiscard]] errc judge_fin(stream_record& s) noexcept {
    switch (s.kind) {
      case stream_kind::unknown: return s.is_bidi || s.is_inside() ? errc::stream_cut : errc::ok;
      case stream_kind::session: return s.is_inside() ? errc::stream_cut : errc::ok;
      case stream_kind::setup_in: return open.end_of_setup(s, errc::ok);
      case stream_kind::announce_ours: return core.hear_fin<announce_asker>(s);
      case stream_kind::announce_theirs: return core.hear_fin<announce_teller>(s);
      case stream_kind::subscribe_ours: return core.hear_fin<subscribe_asker>(s);
      case stream_kind::subscribe_theirs: return core.hear_fin<subscribe_answerer>(s);
      case stream_kind::fetch_theirs: return core.hear_fin<fetch_answerer>(s);
      case stream_kind::track_ours: return core.hear_fin<track_asker>(s);
      case stream_kind::track_theirs: return core.hear_fin<track_answerer>(s);
      case stream_kind::probe_ours:
      case stream_kind::probe_theirs: return core.hear_fin<prober>(s);
      case stream_kind::goaway_theirs: return core.hear_fin<goaway_receiver>(s);
      case stream_kind::fetch_ours: return s.buffers->groups.frames().is_at_boundary() ? errc::ok : errc::stream_cut;
      case stream_kind::group_in: return s.buffers->groups.may_end() ? errc::ok : errc::stream_cut;
      default: return errc::ok;
    }
  }
  /// Tells the part that keeps the transaction, and ends our direction too.
  void end_transaction(stream_record& s, errc why, std::uint64_t code) noexcept {
    switch (s.kind) {
      case stream_kind::session:  // R-004; unless it was a fault that ended it
        return core.fail(why == errc::ok || why == errc::reset_by_peer ? errc::session_stream_ended : why);
      case stream_kind::setup_in:
        if (why != errc::ok && open.end_of_setup(s, why) != errc::ok) return core.fail(errc::setup_cut);
        break;
      case stream_kind::announce_ours: discover.ended(s, why, code); break;
      case stream_kind::announce_theirs: announce.ended(s); break;
      case stream_kind::subscribe_ours:
        subscribe.ended(s, why, code);
        if (s.kind == stream_kind::subscribe_ours) return;  // waits for stragglers
        break;
      case stream_kind::subscribe_theirs:
      case stream_kind::fetch_theirs:
      case stream_kind::track_theirs:
        publish.ended(s, why, code);
        if (s.kind != stream_kind::closing) return;  // still being answered
        break;
      case stream_kind::fetch_ours: fetch.ended(s, why, code); break;
      case stream_kind::track_ours: infos.ended(s, why, code); break;
      case stream_kind::probe_ours:
      case stream_kind::probe_theirs: signal.probe_ended(s, why, code); break;
      case stream_kind::goaway_ours:
      case stream_kind::goaway_theirs: signal.goaway_ended(s, why); break;
      case stream_kind::group_in:
        if (s.buffers->groups.has_header() && s.owner != no_slot) subscribe.group_ended(s, why, code);
        break;
      default: break;
    }
    core.leave(s);
  }
};

}  // namespace moql::detail
