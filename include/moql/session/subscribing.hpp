#pragma once
/// Our subscriptions: asking, what the publisher answers, and the account of every group. Draft 06 section 5.1.2.
///
/// A group is accounted for once its stream ended, its datagram came, or the publisher said that it will not come. A
/// Subscribe stream may end before the group streams it speaks of arrive, so an end waits for stragglers.

#include "../delivery/ranges.hpp"
#include "track_infos.hpp"

namespace moql {

struct subscribe_options {
  msg::delivery want{};
  /// Keep a bounded subscription open when its last group is accounted for, to move the end later. Otherwise it closes
  /// itself: deployed publishers take the end for a cap and never end the stream.
  bool keep_open = false;
  /// 05, 06: do not ask for TRACK_INFO; frames come with bare timestamps. For whoever knows the timescale already.
  bool skip_track_info = false;
};

namespace detail {

struct subscribed {
  explicit subscribed(memory m = {}) noexcept : names(m), seen(m), accounted(m) {}
  track_names names;
  subscribe_options options{};
  std::uint64_t wire_id = 0;
  slot_handle stream{};
  std::uint32_t first_group = no_slot;  ///< Its group streams.
  ranges seen;                          ///< Groups that began to arrive.
  ranges accounted;
  std::optional<std::uint64_t> lowest{};  ///< The lowest start ever asked for: an OK may answer an older wish.
  std::optional<std::uint64_t> start{};   ///< The first group to account for.
  std::optional<std::uint64_t> end{};     ///< One past the last (SUBSCRIBE_END).
  bool has_info = false;
  bool is_accepted = false;   ///< The publisher answered.
  bool is_ended = false;      ///< Its direction of the Subscribe stream is over.
  bool is_gone = false;       ///< Closed; the slot waits for its last event to be heard.
  bool is_forgotten = false;  ///< By the application.
  void recycle() noexcept {
    names.clear();
    options = {};
    stream = {};
    first_group = no_slot;
    seen.clear();
    accounted.clear();
    lowest.reset();
    start.reset();
    end.reset();
    has_info = is_accepted = is_ended = is_gone = is_forgotten = false;
  }
};

class subscribing {
 public:
  subscribing(core& c, track_infos& infos) noexcept : c_(c), infos_(infos), subs_(c.mem), by_wire_(c.mem) {}

  [[nodiscard]] errc subscribe(std::string_view broadcast, std::string_view track, const subscribe_options& o,
                               subscription_id& out) noexcept {
    if (!track_names::is_valid(broadcast, track) || !c_.can_travel(broadcast, track) || !is_valid(o.want))
      return errc::bad_argument;
    if (c_.is_established)
      if (const errc e = measure(msg::subscribe{0, broadcast, track, o.want}, c_.ver).why; e != errc::ok) return e;
    slot_handle h;
    subscribed* s = subs_.take(h);
    if (s == nullptr) return errc::out_of_memory;
    s->options = o;
    s->lowest = o.want.group_start;
    s->wire_id = next_wire_id_++;
    if (!s->names.set(broadcast, track) || !by_wire_.insert(s->wire_id, h.index)) {
      subs_.give(h);
      return errc::out_of_memory;
    }
    if (c_.is_established) ask_info(h, *s);  // first: its answer should not queue behind the groups
    stream_record* r = c_.open(stream_kind::subscribe_ours, true, h.index);
    if (r == nullptr) {
      free_slot(h, *s);
      return errc::out_of_memory;
    }
    s->stream = c_.handle_of(*r);
    out = id_of<subscription_id>(h);
    const errc why = c_.is_established ? write_request(*r) : errc::ok;
    if (why != errc::ok) (void)unsubscribe(out);
    return why;
  }
  /// Replaces all wishes. Not on 01 and 02: there the message exists, but deployed publishers fail on it.
  [[nodiscard]] errc update(subscription_id id, const msg::delivery& want) noexcept {
    subscribed* s = live(id);
    if (s == nullptr) return errc::stale_handle;
    if (!is_valid(want)) return errc::bad_argument;
    if (!c_.is_established) {
      s->options.want = want;
      s->lowest = want.group_start;
      return errc::ok;
    }
    if (!has_ranges(c_.ver)) return errc::not_supported;
    stream_record* r = c_.streams.find(s->stream);
    if (r == nullptr || !r->ends.can_send()) return errc::wrong_state;
    if (const errc e = c_.say<subscribe_asker>(*r, msg::subscribe_update{want}); e != errc::ok) return e;
    s->options.want = want;
    if (s->lowest && want.group_start.value_or(0) < *s->lowest) s->lowest = want.group_start;
    c_.flush(*r);
    return errc::ok;
  }
  /// Leaves: the handle is stale at once and nothing more is heard of it.
  [[nodiscard]] errc unsubscribe(subscription_id id) noexcept {
    subscribed* s = live(id);
    if (s == nullptr) return errc::stale_handle;
    const slot_handle h = slot_of(id);
    s->is_forgotten = true;
    close(h, *s);
    c_.tell({{}, about::subscription, h, {}, true});
    return errc::ok;
  }
  /// Reads no more of a group that is coming in; nothing more is heard of it.
  [[nodiscard]] errc skip(subscription_id id, std::uint64_t group) noexcept {
    subscribed* s = live(id);
    if (s == nullptr) return errc::stale_handle;
    for (std::uint32_t i = s->first_group; i != no_slot; i = group_at(i).after) {
      if (group_at(i).sequence != group) continue;
      stop_reading(*s, c_.streams[i]);
      account(*s, group, group);
      check_done(slot_of(id), *s);
      return errc::ok;
    }
    return errc::wrong_state;
  }

  /// The version is known: writes what was asked before.
  [[nodiscard]] errc begin(stream_record& r) noexcept {
    ask_info(subs_.handle_of(r.owner), subs_[r.owner]);
    return write_request(r);
  }
  [[nodiscard]] step read(stream_record& r, byte_view& in, errc& why) noexcept {
    subscribe_asker::incoming m;
    const step got = c_.hear<subscribe_asker>(r, in, m, why);
    if (got != step::ready) return got;
    const slot_handle h = subs_.handle_of(r.owner);
    subscribed& s = subs_[r.owner];
    c_.answered(r);
    why = errc::ok;
    if (const auto* ok = std::get_if<msg::subscribe_ok>(&m))
      why = take_ok(h, s, *ok);
    else if (const auto* end = std::get_if<msg::subscribe_end>(&m))
      take_end(h, s, *end);
    else if (const auto* drop = std::get_if<msg::subscribe_drop>(&m))
      why = take_drop(h, s, *drop);
    if (why != errc::ok) return step::fault;
    check_done(h, s);
    return step::ready;
  }
  /// The publisher's direction of a Subscribe stream ended, or we ended it for a fault of its.
  void ended(stream_record& r, errc why, std::uint64_t code) noexcept {
    const slot_handle h = subs_.handle_of(r.owner);
    subscribed& s = subs_[r.owner];
    if (why == errc::reset_by_peer && !s.is_accepted && s.seen.empty()) why = errc::refused_by_peer;
    if (why != errc::ok) return finish(h, s, why, code);
    s.is_ended = true;
    c_.finish(r);
    if (!is_complete(s) || before(lite05).has(c_.ver))
      c_.set_timer(timer_kind::straggler, h, c_.caps().straggler_timeout);
    check_done(h, s);
  }

  /// A Group stream's header has come. Links the stream to its subscription, or says why not.
  [[nodiscard]] errc accept_group(stream_record& r, const msg::group& g) noexcept {
    const std::uint32_t i = by_wire_.find(g.subscribe_id);
    if (i == slot_index::none) return errc::unknown_subscription;
    subscribed& s = subs_[i];
    if (s.seen.has(g.sequence) || s.accounted.has(g.sequence)) return errc::duplicate_group;
    if (is_past_end(s, g.sequence)) return errc::group_past_end;
    if (!note_seen(subs_.handle_of(i), s, g.sequence)) return errc::out_of_memory;
    r.owner = i;
    stream_buffers& b = *r.buffers;
    b.sequence = g.sequence;
    b.before = no_slot;
    b.after = s.first_group;
    if (b.after != no_slot) group_at(b.after).before = r.slot;
    s.first_group = r.slot;
    ++c_.counts.groups_in;
    tell(subs_.handle_of(i), group_started{id(i), g.sequence, g.frame_start});
    return errc::ok;
  }
  /// Frames wait until the timescale is known.
  [[nodiscard]] bool must_hold(const stream_record& r) noexcept { return !subs_[r.owner].has_info; }
  [[nodiscard]] subscription_id id(std::uint32_t i) noexcept { return id_of<subscription_id>(subs_.handle_of(i)); }

  void group_ended(stream_record& r, errc why, std::uint64_t code) noexcept {
    const std::uint32_t i = r.owner;
    const slot_handle h = subs_.handle_of(i);
    subscribed& s = subs_[i];
    unlink(s, r);
    const std::uint64_t sequence = r.buffers->sequence;
    tell(h, group_finished{id(i), sequence, why, code});
    account(s, sequence, sequence);
    if (why == errc::bad_timestamp && s.has_info) {
      infos_.doubt(s.names.broadcast(), s.names.track());
      ask_info(h, s);
    }
    check_done(h, s);
  }
  /// Silently drops what cannot be delivered.
  void take_datagram(const bytes& data) noexcept {
    if (data.size() > datagram_bytes_max) return;
    const auto d = decode<msg::datagram>(data.view(), c_.ver);
    if (d.why != errc::ok) return;
    const msg::datagram& m = d.message;
    const std::uint32_t i = by_wire_.find(m.subscribe_id);
    if (i == slot_index::none) return;
    subscribed& s = subs_[i];
    if (!s.has_info || s.seen.has(m.sequence) || s.accounted.has(m.sequence) || is_past_end(s, m.sequence)) return;
    const slot_handle h = subs_.handle_of(i);
    if (!note_seen(h, s, m.sequence)) return;
    ++c_.counts.groups_in;
    tell(h, datagram_received{id(i), m.sequence, m.timestamp,
                              data.slice(data.size() - m.payload.size(), m.payload.size())});
    account(s, m.sequence, m.sequence);
    check_done(h, s);
  }
  void info_arrived(slot_handle h, const msg::track_info* info, errc why, std::uint64_t code) noexcept {
    subscribed* s = subs_.find(h);
    if (s == nullptr || s->is_gone) return;
    if (info == nullptr) return finish(h, *s, why == errc::reset_by_peer ? errc::refused_by_peer : why, code);
    give_info(h, *s, *info);
  }
  void straggler_due(std::uint32_t index) noexcept {
    const slot_handle h = subs_.handle_of(index);
    subscribed& s = subs_[index];
    if (s.first_group != no_slot) return c_.set_timer(timer_kind::straggler, h, c_.caps().straggler_timeout);
    if (const auto range = span_of(s)) report_gaps(h, s, range->first, range->last, loss::unaccounted, 0);
    finish(h, s, errc::ok, 0);
  }
  void end_all(errc why, std::uint64_t code) noexcept {
    subs_.for_each([&](slot_handle h, subscribed& s) {
      if (s.is_gone) return;
      if (s.is_ended && s.first_group == no_slot) return straggler_due(h.index);  // it was over before the session
      finish(h, s, why, code);
    });
  }

  [[nodiscard]] bool prepare(const queued_event& q) noexcept {
    const subscribed* s = subs_.find(q.slot);
    return s != nullptr && !s->is_forgotten;
  }
  void free(const queued_event& q) noexcept { subs_.give(q.slot); }
  [[nodiscard]] bool is_live(subscription_id id) noexcept { return live(id) != nullptr; }

 private:
  [[nodiscard]] static bool is_valid(const msg::delivery& w) noexcept {
    return !(w.group_end && w.group_start.value_or(0) > *w.group_end) && !(w.frame_end && !w.group_end) &&
           !(w.frame_start != 0 && !w.group_start);  // a frame of which group?
  }
  [[nodiscard]] subscribed* live(subscription_id id) noexcept {
    subscribed* s = subs_.find(slot_of(id));
    return s == nullptr || s->is_gone ? nullptr : s;
  }
  void tell(slot_handle h, event e) noexcept { c_.tell({std::move(e), about::subscription, h, {}, false}); }

  void ask_info(slot_handle h, subscribed& s) noexcept {
    s.has_info = !has_track_stream(c_.ver) || s.options.skip_track_info;
    if (s.has_info) return;
    errc why{};
    const msg::track_info* info = infos_.want(s.names.broadcast(), s.names.track(), {about::subscription, h}, why);
    if (why != errc::ok) return c_.fail(why);
    if (info != nullptr) give_info(h, s, *info);
  }
  [[nodiscard]] errc write_request(stream_record& r) noexcept {
    const subscribed& s = subs_[r.owner];
    if (!c_.put_type(r, static_cast<std::uint64_t>(bidi_type::subscribe))) return errc::out_of_memory;
    const msg::subscribe m{s.wire_id, s.names.broadcast(), s.names.track(), s.options.want};
    return c_.say<subscribe_asker>(r, m);
  }
  void give_info(slot_handle h, subscribed& s, const msg::track_info& info) noexcept {
    tell(h, track_known{id_of<subscription_id>(h), info});
    s.has_info = true;
    std::uint32_t i = s.first_group;  // the newest; they are released in the order they came
    while (i != no_slot && group_at(i).after != no_slot) i = group_at(i).after;
    for (; i != no_slot; i = group_at(i).before) {
      c_.streams[i].is_held = false;
      c_.wake_reader(c_.streams[i]);
    }
  }

  [[nodiscard]] errc take_ok(slot_handle h, subscribed& s, const msg::subscribe_ok& ok) noexcept {
    s.is_accepted = true;
    subscription_started e{.subscription = id_of<subscription_id>(h)};
    if (c_.ver != lite02 && !since(lite05).has(c_.ver)) e.publisher_priority = ok.priority;
    const auto& asked = s.options.want.group_start;
    if (has_subscribe_end(c_.ver)) {
      if (s.lowest && ok.group < *s.lowest) return errc::start_below_request;
      s.start = e.group = ok.group;
      if (has_frame_bounds(c_.ver) && asked && ok.group == *asked) e.frame = s.options.want.frame_start;
    } else if (ok.group_start) {
      s.start = e.group = ok.group_start;
    }
    tell(h, e);
    if (asked && e.group && *e.group > *asked) report_gaps(h, s, *asked, *e.group - 1, loss::skipped, 0);
    return errc::ok;
  }
  void take_end(slot_handle h, subscribed& s, const msg::subscribe_end& m) noexcept {
    s.is_accepted = true;
    s.end = m.group;
    tell(h, subscription_end_known{id_of<subscription_id>(h), m.group});
  }
  [[nodiscard]] errc take_drop(slot_handle h, subscribed& s, const msg::subscribe_drop& m) noexcept {
    if (m.group_start > m.group_end) return errc::bad_drop;
    report_gaps(h, s, m.group_start, m.group_end, loss::dropped, m.code);
    return errc::ok;
  }
  /// Tells of the part of first..last that nothing is known of, and counts it.
  void report_gaps(slot_handle h, subscribed& s, std::uint64_t first, std::uint64_t last, loss how,
                   std::uint64_t code) noexcept {
    s.accounted.for_each_gap(first, last, [&](std::uint64_t a, std::uint64_t b) {
      // A group that has begun to arrive reports its own end.
      s.seen.for_each_gap(a, b, [&](std::uint64_t c, std::uint64_t d) {
        tell(h, groups_lost{id_of<subscription_id>(h), c, d, how, code});
      });
    });
    account(s, first, last);
  }
  void account(subscribed& s, std::uint64_t first, std::uint64_t last) noexcept {
    if (!s.accounted.add(first, last)) return c_.fail(errc::out_of_memory);
    while (s.accounted.count() > 2 * c_.caps().gaps_max) give_up(s, s.accounted.close_oldest_gap());
  }
  /// A gap that is no longer remembered: whatever did not begin to arrive in it is lost.
  void give_up(subscribed& s, const std::optional<interval>& gap) noexcept {
    const slot_handle h = subs_.handle_of(by_wire_.find(s.wire_id));
    if (!gap) return;
    s.seen.for_each_gap(gap->first, gap->last, [&](std::uint64_t a, std::uint64_t b) {
      tell(h, groups_lost{id_of<subscription_id>(h), a, b, loss::unaccounted, 0});
    });
  }
  [[nodiscard]] bool note_seen(slot_handle h, subscribed& s, std::uint64_t sequence) noexcept {
    if (!s.seen.add(sequence, sequence)) return false;
    while (s.seen.count() > c_.caps().gaps_max) {  // bounded: the oldest gap is given up, and said so
      const auto gap = s.seen.view()[0].last + 1;
      const auto gap_end = s.seen.view()[1].first - 1;
      report_gaps(h, s, gap, gap_end, loss::unaccounted, 0);
      (void)s.seen.close_oldest_gap();
    }
    return true;
  }
  [[nodiscard]] bool is_past_end(const subscribed& s, std::uint64_t sequence) const noexcept {
    if (s.end && sequence >= *s.end) return c_.ver != lite05 || sequence > *s.end;  // 05's text counts inclusively
    return s.options.want.group_end && sequence > *s.options.want.group_end;
  }
  /// The groups to account for, as far as both ends are known; none when nothing was promised.
  [[nodiscard]] std::optional<interval> span_of(const subscribed& s) const noexcept {
    std::optional<std::uint64_t> first = s.start;
    const auto seen = s.seen.lowest();
    if (!first || (seen && *seen < *first)) first = seen ? seen : first;
    if (!first) return {};
    if (const auto& floor = s.options.want.group_start; floor && *floor > *first) first = floor;  // raised since
    std::optional<std::uint64_t> last;
    if (s.end)
      last = *s.end == 0 ? std::nullopt : std::optional(*s.end - 1);
    else if (s.options.want.group_end)
      last = s.options.want.group_end;
    else if (s.is_ended)
      last = s.seen.highest();
    if (s.end && s.options.want.group_end && last && *last > *s.options.want.group_end) last = s.options.want.group_end;
    if (!last || *last < *first) return {};
    return interval{*first, *last};
  }
  [[nodiscard]] bool is_complete(const subscribed& s) const noexcept {
    if (s.first_group != no_slot) return false;
    if (const auto range = span_of(s)) return s.accounted.covers(range->first, range->last);
    return s.end.has_value();  // an end without a start: nothing was there to deliver
  }
  /// Groups may overtake SUBSCRIBE_OK, and on 03 and 04 that need not say a start.
  [[nodiscard]] static bool knows_start(const subscribed& s) noexcept {
    if (s.start) return true;
    const auto& asked = s.options.want.group_start;
    const auto seen = s.seen.lowest();
    return s.is_accepted && (!asked || (seen && *seen <= *asked));
  }
  void check_done(slot_handle h, subscribed& s) noexcept {
    if (s.is_gone || !is_complete(s)) return;
    const bool is_bounded = s.options.want.group_end && knows_start(s) && span_of(s) && !s.options.keep_open;
    const bool says_end = s.end.has_value();
    // Up to 04 nothing says which group is the last, so an end alone leaves time for stragglers.
    if (says_end || is_bounded) finish(h, s, errc::ok, 0);
  }
  void finish(slot_handle h, subscribed& s, errc why, std::uint64_t code) noexcept {
    if (s.is_gone) return;
    for (std::uint32_t i = s.first_group; i != no_slot; i = group_at(i).after)  // each has its end, before ours
      tell(h, group_finished{id_of<subscription_id>(h), group_at(i).sequence, why, code});
    close(h, s);
    c_.tell({subscription_closed{id_of<subscription_id>(h), why, code}, about::subscription, h, {}, true});
  }
  /// Ends all streams of a subscription. The slot stays until its last event has been heard.
  void close(slot_handle h, subscribed& s) noexcept {
    s.is_gone = true;
    c_.cancel_timer(timer_kind::straggler, h);
    by_wire_.erase(s.wire_id);
    while (s.first_group != no_slot) stop_reading(s, c_.streams[s.first_group]);
    if (stream_record* r = c_.streams.find(s.stream); r != nullptr && r->kind == stream_kind::subscribe_ours)
      c_.leave(*r);
  }
  /// Of a group stream that belongs to a subscription: until it leaves, it keeps its buffers.
  [[nodiscard]] stream_buffers& group_at(std::uint32_t i) noexcept { return *c_.streams[i].buffers; }
  void stop_reading(subscribed& s, stream_record& g) noexcept {
    unlink(s, g);
    g.kind = stream_kind::closing;
    g.owner = no_slot;
    g.is_held = false;
    c_.stop(g, stream_code::cancelled);
  }
  void unlink(subscribed& s, stream_record& r) noexcept {
    stream_buffers& b = *r.buffers;
    if (b.before != no_slot)
      group_at(b.before).after = b.after;
    else
      s.first_group = b.after;
    if (b.after != no_slot) group_at(b.after).before = b.before;
    b.before = b.after = no_slot;
  }
  void free_slot(slot_handle h, subscribed& s) noexcept {
    by_wire_.erase(s.wire_id);
    subs_.give(h);
  }

  core& c_;
  track_infos& infos_;
  slab<subscribed> subs_;
  slot_index by_wire_;
  std::uint64_t next_wire_id_ = 0;
};

}  // namespace detail
}  // namespace moql
