// Property: whatever the peers of a relay do, and whatever memory says, the relay neither crashes, leaks nor hangs,
// holds no more than its limits allow, and what it counts agrees with what it has. Where only the relay's memory
// failed, the sessions stay up. When everyone has left there is nothing left.
//
// Input: limits, small or not; how it ends; then operations: (what | which peer << 4) and its operands. A peer's part
// is played with well-formed messages (relay_wire.hpp) or with bytes of the input.

#include "../tests/sim_books.hpp"
#include "relay_wire.hpp"

namespace {

using namespace moql;
using fuzzing::frame;
using fuzzing::input;
using fuzzing::line;
using fuzzing::must;
using fuzzing::null_transport;
using fuzzing::wish;
using fuzzing::words;
using testing::sim::balance;

constexpr const char* paths[] = {"a", "a/b", "", "own", "a//b/c", "d"};
constexpr const char* names[] = {"t", "u", "no", ""};
constexpr std::uint64_t own_hop = 9;

class stage {
 public:
  stage(std::uint8_t small, balance& for_relay, balance& for_sessions)
      : relay_memory_(for_relay),
        session_memory_(for_sessions),
        own_(track_options{.timescale = 1000, .groups_max = 3}, for_sessions.get()),
        small_(small),
        core_(std::make_unique<relay>(settings(small), for_relay.get())) {}

  void run(input in) {
    for (int i = 0; i < 2; ++i) join(in);
    settle();
    while (!in.empty()) {
      step(in);
      settle();
    }
    if ((small_ & 64) != 0) return;  // the relay ends before the sessions, with everybody there
    // Time heals: what has no source is not waited for for ever.
    if (!has_failed_)
      for (int i = 0; i < 40; ++i) pass(seconds(1));
    settle();
    if (!has_failed_)
      core_->for_each_track([&](const detail::relayed_track& t) {
        must(t.is_finished || !t.sources.empty(), "a track that nobody brings is still waited for");
      });
    for (auto& l : lines_) leave(*l);
    check();
    must(core_->tracks() == 0 && core_->readers() == 0 && core_->sources() == 0, "something is left");
    must(core_->peers() == 0 && core_->bytes_cached() == 0, "somebody is left");
    must(core_->next_deadline() == never_due, "a timer of nobody's");
    must(core_->table().route_count() == (is_own_announced_ ? 1 : 0), "a route is left");
    const relay_counters& c = core_->counters();
    must(c.readers_opened == c.readers_closed, "readers do not balance");
  }

 private:
  using w_hops = wire::hop_list;
  [[nodiscard]] relay_options settings(std::uint8_t small) {
    relay_options o{.hop = own_hop};
    o.caps = fuzzing::small_limits(small);
    if ((small & 8) != 0) o.priority = upstream_priority::highest;
    o.hooks.context = this;
    o.hooks.allows = [](void*, peer_id, relay_action, std::string_view, std::string_view track) noexcept {
      return track != "no";
    };
    o.hooks.produced = [](void* me, scope_id, std::string_view path, std::string_view) noexcept -> track_cache* {
      return path == "own" ? &static_cast<stage*>(me)->own_ : nullptr;
    };
    return o;
  }

  // ---- who is there

  void join(input& in) {
    const std::uint8_t v = in.byte();
    const std::uint8_t how = in.byte();
    if (lines_.size() >= 6) return;
    config c;
    const version ver = all_versions[v % all_versions.size()].id;
    c.side = (v & 128) != 0 ? endpoint::server : endpoint::client;
    c.versions = negotiates_in_band(ver) ? before(lite03) : only(ver);
    c.hop = own_hop;
    if ((how & 1) != 0) {
      c.caps.subscriptions_max = c.caps.requests_max = 2;
      c.caps.announcements_max = 2;
      c.caps.track_infos_max = c.caps.gaps_max = 2;
      c.caps.behind_bytes_max = 30;
      c.caps.control_backlog_bytes_max = 60;
    }
    lines_.push_back(std::make_unique<line>(c, ver, (how & 2) != 0, session_memory_.get(), now_));
    line& l = *lines_.back();
    if ((how & 4) != 0) drain(l);
    enter(l, how);
    pump(l.s, l.net, now_);
    if ((how & 8) == 0) l.greet(how >> 6, 1, now_);
  }
  void enter(line& l, std::uint8_t how) {
    relay_peer_options o{.scope = 0, .link_cost = {}, .discover = (how & 16) == 0};
    if ((how & 32) != 0) o.link_cost = 3;
    if ((how & 0xf0) == 0xf0) o.scope.reset();
    if (const auto id = core_->join(l.s, o, now_, &l)) {
      l.id = *id;
      l.is_joined = true;
    }
  }
  void leave(line& l) {
    if (l.is_joined) core_->leave(l.id, now_);
    l.is_joined = false;
    must(core_->session_of(l.id) == nullptr && core_->is_idle(l.id), "it has not left");
  }

  // ---- the application's part

  bool drain(line& l) {
    bool any = false;
    while (const auto e = l.s.next_event()) {
      any = true;
      must(!l.was_told, "an event after session_closed");
      if (const auto* c = std::get_if<session_closed>(&*e)) {
        l.was_told = true;
        must(c->why != errc::out_of_memory || sessions_have_failed_, "the relay's memory has ended a session");
      }
      if (l.is_joined) core_->on_event(l.id, *e, now_);
    }
    if (l.s.bytes_buffered() == 0) l.forget_buffers();  // a stream may wait for another one
    return any;
  }
  void settle() {
    for (int round = 0;; ++round) {
      must(round < 1000, "the relay never comes to rest");
      bool any = false;
      for (auto& l : lines_) {
        if (l->reads) any = drain(*l) || any;
        pump(l->s, l->net, now_);
      }
      for (int named = 0; const auto ready = core_->next_ready(); ++named) {
        must(named < 1000, "the same peer is named without end");
        auto* l = static_cast<line*>(core_->user_of(*ready));
        must(l != nullptr && core_->session_of(*ready) == &l->s, "a peer that is not there");
        pump(l->s, l->net, now_);
      }
      // Whoever was not named had nothing to say.
      for (auto& l : lines_) {
        const std::uint64_t before = l->net.sum;
        if (l->is_joined && !has_failed_) pump(l->s, l->net, now_);
        must(before == l->net.sum, "a peer was not named");
      }
      for (auto& l : lines_)
        if (l->reads) any = drain(*l) || any;
      if (!any) break;
    }
    check();
  }
  void pass(duration d) {
    const instant until = now_ + d;
    for (int i = 0; i < 1000; ++i) {
      instant due = core_->next_deadline();
      for (auto& l : lines_)
        if (l->s.next_deadline() < due) due = l->s.next_deadline();
      if (due > until) break;
      must(i < 999, "deadlines without end");
      if (due > now_) now_ = due;
      core_->on_deadline(now_);
      for (auto& l : lines_) l->s.on_deadline(now_);
      settle();
    }
    now_ = until;
  }
  void check() {
    fuzzing::check_books(*core_, has_failed_);
    for (auto& l : lines_)
      if (l->is_joined) must(core_->session_of(l->id) == &l->s, "a peer is missing");
  }

  // ---- what happens

  void step(input& in) {
    const std::uint8_t b = in.byte();
    if (lines_.empty()) return join(in);
    line& l = *lines_[static_cast<std::size_t>(b >> 4) % lines_.size()];
    const std::uint8_t which = in.byte();
    null_transport::stream* const any = l.net.streams.empty() ? nullptr : &l.net.streams[which % l.net.streams.size()];
    switch (b & 15) {
      case 0: return join(in);
      case 1: {
        const std::uint8_t kind = in.byte();
        (void)l.open((kind & 1) != 0 ? direction::bidi : direction::uni, in.some(), (kind & 2) != 0, now_);
        return;
      }
      case 2: {
        const bool fin = (in.byte() & 1) != 0;
        if (any != nullptr) l.feed(any->id, in.some(), fin, now_);
        return;
      }
      case 3:
      case 4: return request(l, in);
      case 5: return announce(l, in);
      case 6: return answer(l, in);
      case 7:
      case 8: return group(l, in);
      case 9: {
        const std::uint8_t what = in.byte();
        if (any == nullptr || !l.is_up()) return;
        if (what % 3 == 0) return l.feed(any->id, {}, true, now_);
        if (what % 3 == 1 && any->can_feed) {
          any->can_feed = false;
          l.s.on_reset(any->id, what / 3, now_);
        }
        if (what % 3 == 2 && any->can_write) l.s.on_stop(any->id, what / 3, now_);
        return;
      }
      case 10: return pass(milliseconds(in.byte() * 40));
      case 11: return hold_back(l, in);
      case 12: return comes_and_goes(l, in);
      case 13: return own(in);
      case 14: {
        const std::uint8_t how = in.byte();
        if ((small_ & 128) == 0) return;
        balance& from = (how & 1) != 0 ? session_memory_ : relay_memory_;
        if ((how & 1) != 0) sessions_have_failed_ = true;
        has_failed_ = true;
        from.allowed = from.requests + (how >> 2);
        from.once = (how & 2) == 0;
        if ((how & 2) == 0) return;
        step(in);
        settle();
        from.allowed = SIZE_MAX;
        return;
      }
      default: return answer_all(l, in);
    }
  }
  void request(line& l, input& in) {
    const std::uint8_t b = in.byte();
    const text path(paths[b / 8 % std::size(paths)]);
    const text name(names[b / 64]);
    words w(l.ver);
    const std::uint8_t more = in.byte();
    switch (b & 7) {
      case 0:
      case 1:
      case 2: w.type(2).say(msg::subscribe{next_id_++, path, name, wish(more)}); break;
      case 3: {
        msg::fetch f{path, name, 5, static_cast<std::uint64_t>(more & 7), static_cast<std::uint64_t>(more >> 6), {}};
        if ((more & 32) != 0) f.frame_end = f.frame_start + (more >> 6);
        w.type(3).say(f);
        break;
      }
      case 4: w.type(6).say(msg::track{path, name}); break;
      case 5: w.type(1).say(msg::announce_request{path, static_cast<std::uint64_t>(more & 3)}); break;
      case 6: w.type(5).say(msg::goaway{}); break;
      default:  // the newest request that may change
        for (std::size_t i = l.net.streams.size(); i-- > 0;)
          if (const null_transport::stream& s = l.net.streams[i]; !s.is_ours && s.can_feed && !s.is_uni)
            return l.feed(s.id, words(l.ver).say(msg::subscribe_update{wish(more)}).view(), false, now_);
        return;
    }
    (void)l.open(direction::bidi, w.view(), (b & 7) == 3, now_);
  }
  void announce(line& l, input& in) {
    const std::uint8_t b = in.byte();
    const std::uint8_t h = in.byte();
    const null_transport::stream* s = l.asked(bidi_type::announce, 0);
    if (s == nullptr) return;
    const std::uint64_t hops[] = {std::uint64_t{1} + (h & 3), (h >> 2 & 3u), (h & 16) != 0 ? own_hop : 4 + (h & 3u)};
    const w_hops way(std::span<const std::uint64_t>(hops).first(h >> 6));
    const text path(paths[b / 4 % std::size(paths)]);
    const std::uint64_t cost = h >> 4 & 3;
    const auto count = static_cast<std::uint64_t>(b >> 6);
    words w(l.ver);
    if ((b & 3) == 0 && has_announce_ok(l.ver)) w.say(msg::announce_ok{6u + (h & 1u), 0});
    if ((b & 3) == 0 && !has_announce_ok(l.ver)) w.say(msg::announce_init{});
    if ((b & 3) == 1 && (h & 32) != 0) w.say(msg::announce_update{count, way, cost, 1});
    if ((b & 3) == 3) w.say(msg::announce_end{count}).say(msg::announce{0, path, way.size(), way});
    if ((b & 3) == 1 || (b & 3) == 2)
      w.say(msg::announce_start{path, way, cost, cost}).say(msg::announce{1, path, way.size(), way});
    l.feed(s->id, w.view(), false, now_);
  }
  void answer(line& l, input& in) {
    const std::uint8_t b = in.byte();
    const std::uint8_t n = in.byte();
    const std::uint64_t from = n & 7;
    words w(l.ver);
    bidi_type t = bidi_type::subscribe;
    bool fin = false;
    switch (b & 7) {
      case 0:
      case 1: w.say(msg::subscribe_ok{.priority = 7, .max_age_ms = 900, .group_start = from, .group = from}); break;
      case 2: w.say(msg::subscribe_drop{from, from + (n >> 4), 0}); break;
      case 3: w.say(msg::subscribe_end{from}); break;
      case 4: fin = true; break;
      case 5:
        t = bidi_type::track;
        w.say(msg::track_info{.priority = 3, .max_age_ms = n * 10u, .timescale = (n & 1) != 0 ? 1000u : n + 1u});
        fin = true;
        break;
      case 6:
        t = bidi_type::fetch;
        for (int i = n >> 6; i >= 0; --i) frame(w, n & 31, in);
        fin = (n & 32) != 0;
        break;
      default: t = static_cast<bidi_type>(2 + n % 5); break;
    }
    const null_transport::stream* s = l.asked(t, b >> 4);
    if (s == nullptr || !l.is_up()) return;
    if ((b & 7) != 7) return l.feed(s->id, w.view(), fin, now_);
    l.net.at(s->id).can_feed = false;
    constexpr std::uint64_t codes[] = {0, 1, 7, static_cast<std::uint64_t>(stream_code::no_capacity)};
    l.s.on_reset(s->id, codes[n >> 6], now_);
  }
  void group(line& l, input& in) {
    const std::uint8_t b = in.byte();
    const std::uint8_t n = in.byte();
    words w(l.ver);
    if ((b & 3) == 3) {  // more of the newest group
      frame(w, n & 15, in);
      for (std::size_t i = l.net.streams.size(); i-- > 0;)
        if (const null_transport::stream& s = l.net.streams[i]; !s.is_ours && s.can_feed && !s.can_write)
          return l.feed(s.id, w.view(), (n & 16) != 0, now_);
      return;
    }
    const std::uint64_t id = l.subscribe_id(l.asked(bidi_type::subscribe, b >> 6));
    const auto sequence = static_cast<std::uint64_t>(b >> 2 & 15);
    if ((n & 0xe0) == 0xe0) {
      w.say(msg::datagram{id, sequence, n, in.some()});
      return l.s.on_datagram(bytes::copy(w.view(), session_memory_.get()), now_);
    }
    w.type(0).say(msg::group{id, sequence, (n & 16) != 0 ? 1u : 0u});
    for (int i = 0; i < (n & 3); ++i) frame(w, n >> 2 & 3, in);
    (void)l.open(direction::uni, w.view(), (n & 32) == 0, now_);
  }
  /// Whatever the relay has asked is answered as a publisher would.
  void answer_all(line& l, input& in) {
    const std::uint8_t b = in.byte();
    for (std::size_t i = 0; i < l.net.streams.size(); ++i) {
      const null_transport::stream s = l.net.streams[i];
      if (!s.is_ours || s.is_uni || !s.can_feed || s.begin.empty()) continue;
      const auto t = static_cast<bidi_type>(s.begin[0]);
      words w(l.ver);
      if (t == bidi_type::subscribe) {
        const std::uint64_t from = b & 3;
        l.feed(s.id, w.say(msg::subscribe_ok{.group_start = from, .group = from}).view(), false, now_);
        words g(l.ver);
        g.type(0).say(msg::group{l.subscribe_id(&s), from, 0});
        frame(g, 4, in);
        (void)l.open(direction::uni, g.view(), (b & 4) == 0, now_);
      }
      if (t == bidi_type::track)
        l.feed(s.id, w.say(msg::track_info{.max_age_ms = 5000, .timescale = 1000}).view(), true, now_);
      if (t == bidi_type::fetch) {
        frame(w, 5, in);
        l.feed(s.id, w.view(), (b & 8) == 0, now_);
      }
      if (t == bidi_type::announce) {
        const std::uint64_t hops[] = {1};
        const w_hops way{std::span<const std::uint64_t>(hops)};
        const text path(paths[b >> 6]);
        w.say(msg::announce_ok{6, 0}).say(msg::announce_init{});
        w.say(msg::announce_start{path, way, 1, 1}).say(msg::announce{1, path, 1, way});
        l.feed(s.id, w.view(), false, now_);
      }
    }
  }
  void hold_back(line& l, input& in) {
    const std::uint8_t b = in.byte();
    switch (b & 7) {
      case 0: l.net.write_max = b >> 3; break;
      case 1: l.net.open_max = b >> 6; break;
      case 2: l.reads = false; break;
      case 3: l.reads = true; break;
      default:
        l.net.write_max = l.net.open_max = SIZE_MAX;
        for (std::size_t i = 0; i < l.net.streams.size(); ++i) l.s.on_writable(l.net.streams[i].id);
        l.s.on_credit(direction::bidi);
        l.s.on_credit(direction::uni);
        break;
    }
  }
  void comes_and_goes(line& l, input& in) {
    const std::uint8_t b = in.byte();
    switch (b & 7) {
      case 0:
      case 1:
        if (!l.is_up()) return;
        l.net.is_gone = true;
        return l.s.on_close({true, static_cast<std::uint64_t>(b >> 3), "bye"}, now_);
      case 2: return l.s.close();
      case 3: return leave(l);
      case 4:
        if (!l.is_joined) enter(l, b);
        return;
      case 5: (void)l.s.goaway("", milliseconds(b), now_); return;
      case 6: return l.greet(b >> 3 & 7, b >> 6, now_);
      default:
        leave(l);
        std::erase_if(lines_, [&](const auto& x) { return x.get() == &l; });
        return;
    }
  }
  void own(input& in) {
    const std::uint8_t b = in.byte();
    switch (b & 3) {
      case 0:
        if (core_->announce(0, "own", b >> 4, b >> 6) == errc::ok) is_own_announced_ = true;
        return;
      case 1:
        must((core_->withdraw(0, "own") == errc::ok) == is_own_announced_, "what we announce");
        is_own_announced_ = false;
        return;
      case 2: (void)own_.begin_group(now_); return;
      default: (void)own_.append(b * 10, bytes::copy("mine", session_memory_.get())); return;
    }
  }

  balance& relay_memory_;
  balance& session_memory_;
  track_cache own_;
  std::uint8_t small_;
  std::vector<std::unique_ptr<line>> lines_{};  // must outlive their stay
  std::unique_ptr<relay> core_;
  instant now_{};
  std::uint64_t next_id_ = 0;
  bool is_own_announced_ = false;
  bool has_failed_ = false;  ///< Somebody's memory has said no.
  bool sessions_have_failed_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 8) return 0;
  balance for_relay;
  balance for_sessions;
  {
    stage s(data[0], for_relay, for_sessions);
    s.run(input({data + 1, size - 1}));
  }
  must(for_relay.blocks == 0 && for_sessions.blocks == 0, "memory leaks");
  must(for_relay.sizes_match && for_sessions.sizes_match, "a block came back with another size");
  return 0;
}
