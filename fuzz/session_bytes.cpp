// Property: whatever a peer and a transport do, one session neither crashes, leaks nor hangs, keeps the transport's
// contract, says session_closed last and once, and asks for nothing after its close; and the application hears the same
// whether the peer's bytes come in one piece or in many.
//
// Input: version, side and binding; limits; a seed for the fragments; then events: (what | which << 3) and its
// operands.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "../tests/sim_books.hpp"
#include "moql/moql.hpp"
#include "null_transport.hpp"

namespace {

using namespace moql;
using fuzzing::input;
using fuzzing::must;
using fuzzing::null_transport;
using testing::sim::balance;

/// What the application hears, as text; parts of one frame that follow one another are one.
class listener {
 public:
  std::string log{};
  std::size_t closed = 0;
  void hear(const event& e) {
    must(closed == 0, "an event after session_closed");
    if (auto* p = std::get_if<frame_part>(&e)) {
      part("f" + n(p->subscription) + n(p->group) + n(p->frame) + n(p->timestamp) + n(p->size), p->offset, p->payload);
      return;
    }
    if (auto* p = std::get_if<fetch_part>(&e)) {
      part("p" + n(p->fetch) + n(p->frame) + n(p->timestamp) + n(p->size), p->offset, p->payload);
      return;
    }
    open_part_.clear();
    log += "\n" + std::to_string(e.index()) + ":";
    std::visit(
        overload{
            [&](const announced& a) { add(a); },
            [&](const announce_updated& a) { add(a); },
            [&](const announce_ended& a) { log += n(a.interest) + std::string(a.path); },
            [&](const announced_all& a) { log += n(a.count); },
            [&](const interest_closed& a) { log += n(a.interest) + n(a.why) + n(a.code); },
            [&](const peer_setup& p) {
              log += std::string(p.path.value_or("-")) + n(p.role) + n(p.probe) + n(p.cost) + n(p.hop);
            },
            [&](const bandwidth& b) { log += n(b.bitrate) + n(b.rtt_ms); },
            [&](const goaway_received& g) { log += g.uri; },
            [&](const session_closed& c) {
              ++closed;
              log += n(c.why) + n(c.code) + std::string(c.reason);
            },
            [&](const subscription_started& s) { log += n(s.subscription) + n(s.group.value_or(~0ull)); },
            [&](const track_known& k) { log += n(k.subscription) + n(k.info.timescale); },
            [&](const group_started& g) { log += n(g.subscription) + n(g.group) + n(g.first_frame); },
            [&](const group_finished& g) { log += n(g.subscription) + n(g.group) + n(g.why) + n(g.code); },
            [&](const datagram_received& d) { log += n(d.subscription) + n(d.group) + std::string(d.payload.text()); },
            [&](const groups_lost& l) { log += n(l.subscription) + n(l.first) + n(l.last) + n(l.how) + n(l.code); },
            [&](const subscription_end_known& s) { log += n(s.subscription) + n(s.end); },
            [&](const subscription_closed& s) { log += n(s.subscription) + n(s.why) + n(s.code); },
            [&](const fetch_closed& f) { log += n(f.fetch) + n(f.why) + n(f.code); },
            [&](const track_answered& a) { log += n(a.query) + n(a.why) + n(a.info.timescale); },
            [&](const subscribe_requested& r) {
              request(r);
              log += n(r.want.group_start.value_or(~0ull));
            },
            [&](const track_requested& r) { request(r); },
            [&](const fetch_requested& r) {
              request(r);
              log += n(r.group) + n(r.frame_start);
            },
            [&](const request_closed& r) { log += n(r.request) + n(r.why) + n(r.code); },
            [](const auto&) {},
        },
        e);
  }

 private:
  template <class T>
  static std::string n(T v) {
    return std::to_string(static_cast<std::uint64_t>(v)) + " ";
  }
  template <class A>
  void add(const A& a) {
    log += n(a.interest) + std::string(a.path) + " ";
    for (const std::uint64_t h : a.hops) log += n(h);
    log += n(a.warm) + n(a.cold);
  }
  template <class R>
  void request(const R& r) {
    log += n(r.request) + std::string(r.broadcast) + "|" + std::string(r.track) + " ";
  }
  void part(const std::string& key, std::uint64_t offset, const bytes& payload) {
    if (key != open_part_) {
      log += "\n" + key + "from " + n(offset);
      open_part_ = key;
    }
    log += payload.text();
  }
  std::string open_part_{};
};

/// The session, its application and the hand that moves the transport.
class stage {
 public:
  stage(version v, std::uint8_t head, std::uint8_t small, memory m)
      : cache_(track_options{.timescale = 1000, .bytes_max = 4000, .groups_max = 4}, m),
        s_(settings(v, head, small), m) {
    net_.ver = v;
    (void)cache_.begin_group({});
    (void)cache_.append(10, bytes::copy("one", m));
    (void)cache_.append(20, bytes::copy("", m));
    is_lazy_ = (small & 16) != 0;
    is_batched_ = (small & 128) != 0;
    (void)s_.start(net_.protocol(), now_);
    settle_now();
  }
  std::string run(input in, std::optional<unsigned> fragments, memory m) {
    random_.seed(fragments.value_or(0));
    is_split_ = fragments.has_value();
    memory_ = m;
    while (!in.empty() && !net_.is_gone) step(in);
    settle_now();
    s_.close();
    settle_now();
    if (!net_.is_gone) must(net_.is_closed, "no close");
    must(heard_.closed == 1, "session_closed is missing");
    must(!s_.next_action() && !s_.next_write() && s_.next_deadline() == never_due, "something after the close");
    return heard_.log;
  }

 private:
  static config settings(version v, std::uint8_t head, std::uint8_t small) {
    config c;
    c.side = (head & 1) != 0 ? endpoint::server : endpoint::client;
    c.over = static_cast<binding>(1 + (head >> 1) % 4);
    c.versions = negotiates_in_band(v) ? before(lite03) : only(v);
    c.probe = static_cast<probe_level>((head >> 3) % 3);
    c.hop = (head & 64) != 0 ? 77 : 0;
    c.draft_opening = (head & 128) != 0;
    c.strict_ended = (small & 32) != 0;
    c.groups_after_goaway = (small & 64) != 0;
    if ((small & 1) != 0) {
      c.caps.message_bytes_max = 100;
      c.caps.announce_init_bytes_max = 200;
      c.caps.frame_bytes_max = 300;
    }
    if ((small & 2) != 0) {
      c.caps.announcements_max = 3;
      c.caps.announce_streams_max = 1;
      c.caps.subscriptions_max = 2;
      c.caps.requests_max = 2;
      c.caps.track_infos_max = 1;
    }
    if ((small & 4) != 0) {
      c.caps.unidentified_streams_max = 2;
      c.caps.gaps_max = 2;
      c.caps.datagrams_max = 1;
      c.caps.control_backlog_bytes_max = 60;
      c.caps.reason_bytes_max = 3;
    }
    return c;
  }
  void hear(const event& e) {
    heard_.hear(e);
    const auto request = [&](const auto& r) {
      if (is_lazy_)
        pending_.push_back(r.request);
      else if (r.track.starts_with("no"))
        (void)s_.reject(r.request, stream_code::not_found);
      else
        (void)s_.serve(r.request, cache_);
    };
    if (auto* r = std::get_if<subscribe_requested>(&e)) request(*r);
    if (auto* r = std::get_if<track_requested>(&e)) request(*r);
    if (auto* r = std::get_if<fetch_requested>(&e)) request(*r);
  }
  /// After each thing that came in, or after many.
  void settle() {
    if (!is_batched_) settle_now();
  }
  void settle_now() {
    for (int round = 0;; ++round) {
      must(round < 10'000, "the session never comes to rest");
      const bool any = listen();
      const std::uint64_t before = net_.sum;
      pump(s_, net_, now_);
      if (!any && net_.sum == before) return;
    }
  }
  bool listen() {
    bool any = false;
    while (const auto e = s_.next_event()) {
      hear(*e);
      any = true;
    }
    return any;
  }
  void feed(null_transport::stream& s, byte_view data, bool fin) {
    if (!s.can_feed) return;
    const stream_id id = s.id;
    if (fin) s.can_feed = false;
    net_.fed += data.size();
    do {
      std::size_t n = data.size();
      if (is_split_ && n > 1) n = random_() % 3 == 0 ? 1 + random_() % (n < 40 ? n : 40) : 1;
      const bytes piece = bytes::copy(data.first(n), memory_);
      data = data.subspan(n);
      s_.on_data(id, piece, fin && data.empty(), now_);
      // The transport hears of it afterwards: an answer that ends a stream in between would make the rest unread.
      if (!is_batched_) (void)listen();
    } while (!data.empty());
    settle();
  }
  void step(input& in) {
    const std::uint8_t b = in.byte();
    const std::size_t which = b >> 3;
    null_transport::stream* const s = net_.streams.empty() ? nullptr : &net_.streams[which % net_.streams.size()];
    switch (b & 7) {
      case 0:
      case 1: {
        const bool is_bidi = (b & 7) == 0;
        const stream_id id = net_.add(is_bidi, true);
        s_.on_open(id, is_bidi ? direction::bidi : direction::uni, now_);
        feed(net_.at(id), in.some(), (which & 1) != 0);
        break;
      }
      case 2:
      case 3: {
        const byte_view data = in.some();
        if (s != nullptr) feed(*s, data, (b & 7) == 3);
        break;
      }
      case 4: {
        const std::uint8_t code = in.byte();
        if (s == nullptr || !s->can_feed) break;
        s->can_feed = false;
        s_.on_reset(s->id, code, now_);
        settle();
        break;
      }
      case 5: {
        const std::uint8_t code = in.byte();
        if (s == nullptr || !s->can_write) break;
        s_.on_stop(s->id, code, now_);
        settle();
        break;
      }
      case 6:
        s_.on_datagram(bytes::copy(in.some(), memory_), now_);
        settle();
        break;
      default: other(which, in); break;
    }
  }
  void other(std::size_t what, input& in) {
    static constexpr const char* paths[] = {"", "room", "room/alice", "b"};
    static constexpr const char* tracks[] = {"video", "t", "no"};
    const auto path = [&](std::uint8_t b) { return paths[b % std::size(paths)]; };
    const auto track = [&](std::uint8_t b) { return tracks[b / 4 % std::size(tracks)]; };
    switch (what) {
      case 0: now_ = now_ + milliseconds(in.byte() * 100); break;
      case 1:
        net_.write_max = SIZE_MAX;
        for (const auto& s : net_.streams) s_.on_writable(s.id);
        break;
      case 2:
        net_.open_max = SIZE_MAX;
        s_.on_credit(direction::bidi);
        s_.on_credit(direction::uni);
        break;
      case 3: net_.write_max = in.byte(); break;
      case 4: net_.open_max = in.byte() % 4; break;
      case 5:
        net_.is_gone = true;
        s_.on_close({true, in.byte(), "bye"}, now_);
        break;
      case 6: s_.close(session_code::internal_error, "enough"); break;
      case 7:
        if (const auto id = s_.discover(path(in.byte()), now_)) interests_.push_back(*id);
        break;
      case 8:
        if (!interests_.empty()) (void)s_.forget(take(interests_, in));
        break;
      case 9: {
        const std::uint64_t hops[] = {5, 0, in.byte()};
        if (const auto id = s_.announce(path(in.byte()), {std::span(hops).first(in.byte() % 3), 1, 2}))
          announcements_.push_back(*id);
        break;
      }
      case 10:
        if (!announcements_.empty()) (void)s_.withdraw(take(announcements_, in));
        break;
      case 11: {
        const std::uint8_t b = in.byte();
        if (const auto id = s_.subscribe(path(b), track(b), {wish(in)}, now_)) subscriptions_.push_back(*id);
        break;
      }
      case 12:
        if (!subscriptions_.empty()) (void)s_.unsubscribe(take(subscriptions_, in));
        break;
      case 13:
        if (!subscriptions_.empty()) (void)s_.update(subscriptions_[in.byte() % subscriptions_.size()], wish(in));
        break;
      case 14: {
        const std::uint8_t b = in.byte();
        if (const auto id = s_.fetch(path(b), track(b), in.byte(), {.frame_start = 0}, now_)) fetches_.push_back(*id);
        break;
      }
      case 15:
        if (!fetches_.empty()) (void)s_.cancel(take(fetches_, in));
        break;
      case 16: {
        const std::uint8_t b = in.byte();
        (void)s_.query_track(path(b), track(b), now_);
        break;
      }
      case 17: (void)cache_.begin_group(now_); break;
      case 18: (void)cache_.append(in.byte() * 10, bytes::copy(in.some(), memory_)); break;
      case 19: (void)cache_.end_group(); break;
      case 20: cache_.finish(); break;
      case 21: (void)cache_.write_datagram(5, bytes::copy(in.some(), memory_), now_, sent_by::both); break;
      case 22: (void)s_.probe(in.byte() % 2); break;
      case 23: (void)s_.stop_probe(); break;
      case 24: (void)s_.report(in.byte(), 7); break;
      case 25: (void)s_.goaway(in.byte() % 2 == 0 ? "" : "https://x/", milliseconds(in.byte() * 100), now_); break;
      case 26: (void)s_.finish_goaway(); break;
      case 27:
        if (!pending_.empty()) (void)s_.serve(take(pending_, in), cache_);
        break;
      case 28:
        if (!pending_.empty()) (void)s_.reject(take(pending_, in), application_code(3));
        break;
      case 29:
        if (!pending_.empty()) (void)s_.answer(take(pending_, in), {.timescale = 1});
        break;
      case 30: (void)cache_.abort_group(cache_.next_sequence() - 1, application_code(9)); break;
      default: (void)cache_.drop_groups(cache_.next_sequence(), cache_.next_sequence() + in.byte()); break;
    }
    settle_now();
  }
  static msg::delivery wish(input& in) {
    const std::uint8_t b = in.byte();
    msg::delivery d{.priority = b, .max_age_ms = (b & 1) != 0 ? 0u : 100'000u};
    if ((b & 2) != 0) d.group_start = b >> 6;
    if ((b & 4) != 0) d.group_end = (b >> 6) + 1;
    return d;
  }
  template <class Id>
  static Id take(std::vector<Id>& from, input& in) {
    const std::size_t i = in.byte() % from.size();
    const Id id = from[i];
    from.erase(from.begin() + static_cast<std::ptrdiff_t>(i));
    return id;
  }

  track_cache cache_;
  session s_;
  null_transport net_{};
  listener heard_{};
  instant now_{};
  std::minstd_rand random_{};
  bool is_split_ = false;
  bool is_lazy_ = false;
  bool is_batched_ = false;
  memory memory_{};
  std::vector<interest_id> interests_{};
  std::vector<announcement_id> announcements_{};
  std::vector<subscription_id> subscriptions_{};
  std::vector<fetch_id> fetches_{};
  std::vector<request_id> pending_{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const version v = all_versions[data[0] % all_versions.size()].id;
  std::string heard[2];
  for (const bool split : {false, true}) {
    balance b;
    {
      stage s(v, data[1], data[2], b.get());
      heard[split ? 1 : 0] =
          s.run(input({data + 4, size - 4}), split ? std::optional<unsigned>(data[3]) : std::nullopt, b.get());
    }
    must(b.blocks == 0, "memory leaks");
    must(b.sizes_match, "a block came back with another size");
  }
  if (heard[0] != heard[1]) {
    std::fprintf(stderr, "whole:%s\n\nin pieces:%s\n", heard[0].c_str(), heard[1].c_str());
    must(false, "fragments change what is heard");
  }
  return 0;
}
