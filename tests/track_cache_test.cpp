// A track as it is kept: what may be written, what is dropped and why, who is told, and what it costs.

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cache_helpers.hpp"
#include "counting_memory.hpp"
#include "moql/stream/group_writer.hpp"

using namespace moql;
using namespace testing;

namespace {

instant at_ms(std::int64_t ms) { return {ms * 1000}; }

list arrivals(track_cache& c) {
  list out;
  for (std::uint64_t n = c.arrivals_begin(); n < c.arrivals_end(); ++n)
    if (const cached_group* g = c.arrival(n)) out.push_back(g->sequence);
  return out;
}

}  // namespace

TEST_CASE("groups open, open, open at 9, open are 0, 1, 9, 10 [seed 2.4 a]") {
  track_cache c;
  CHECK(c.is_empty());
  CHECK(c.next_sequence() == 0);
  CHECK(c.begin_group({}) == errc::ok);
  CHECK(c.begin_group({}) == errc::ok);
  CHECK(c.begin_group(9, {}) == errc::ok);
  CHECK(c.begin_group({}) == errc::ok);
  CHECK(sequences(c) == list{0, 1, 9, 10});
  CHECK(arrivals(c) == list{0, 1, 9, 10});
  CHECK(c.next_sequence() == 11);
  CHECK(c.latest().sequence == 10);
  CHECK_FALSE(c.is_empty());
}

TEST_CASE("a newer group closes the latest one, an older one stays open beside it [seed 2.3]") {
  track_cache c;
  REQUIRE(c.begin_group(5, {}) == errc::ok);
  REQUIRE(c.append(0, payload(1)) == errc::ok);
  REQUIRE(c.begin_group(3, {}) == errc::ok);
  CHECK(c.find(5)->state == group_state::open);
  CHECK(c.append(3, 7, payload(2)) == errc::ok);
  CHECK(c.append(5, 9, payload(3)) == errc::ok);
  CHECK(c.append(11, payload(4)) == errc::ok);  // the one begun last
  CHECK(c.find(3)->frames.size() == 2);
  REQUIRE(c.begin_group(4, {}) == errc::ok);
  CHECK(c.find(5)->state == group_state::open);
  CHECK(c.find(3)->state == group_state::open);
  REQUIRE(c.begin_group(6, {}) == errc::ok);
  CHECK(c.find(5)->state == group_state::complete);
  CHECK(c.find(4)->state == group_state::open);
  CHECK(sequences(c) == list{3, 4, 5, 6});
  CHECK(arrivals(c) == list{5, 3, 4, 6});
  CHECK(c.bytes_held() == 10);
}

TEST_CASE("where groups may overlap a newer one leaves the older open, until it is ended or the track is [seed 2.3]") {
  track_cache c({.overlapping = true});
  REQUIRE(c.begin_group(4, {}) == errc::ok);
  REQUIRE(c.begin_group(5, {}) == errc::ok);
  REQUIRE(c.begin_group(6, {}) == errc::ok);
  CHECK(c.append(4, 0, payload(3)) == errc::ok);
  CHECK(c.end_group(4) == errc::ok);
  CHECK(c.find(4)->state == group_state::complete);
  CHECK(c.find(5)->state == group_state::open);
  c.finish();
  CHECK(c.find(5)->state == group_state::complete);
  CHECK(c.find(6)->state == group_state::complete);
}

TEST_CASE("what may not be written is refused and changes nothing") {
  track_cache c;
  CHECK(c.append(0, {}) == errc::stale_handle);
  CHECK(c.append(0, 0, {}) == errc::stale_handle);
  CHECK(c.end_group() == errc::stale_handle);
  CHECK(c.begin_frame(0, 0, 1) == errc::stale_handle);
  CHECK(c.append_part(0, {}) == errc::stale_handle);
  CHECK(c.abort_group(0, stream_code::cancelled) == errc::stale_handle);
  REQUIRE(c.begin_group(4, {}) == errc::ok);
  CHECK(c.begin_group(4, {}) == errc::bad_argument);
  CHECK(c.begin_group(wire::varint_max + 1, {}) == errc::bad_argument);
  CHECK(c.append(std::uint64_t{1} << 61, payload(1)) == errc::bad_argument);
  CHECK(c.begin_frame(4, 0, wire::varint_max + 1) == errc::bad_argument);
  CHECK(c.append((std::uint64_t{1} << 61) - 1, payload(1)) == errc::ok);
  CHECK(c.end_group() == errc::ok);
  CHECK(c.end_group() == errc::wrong_state);
  CHECK(c.append(0, payload(1)) == errc::wrong_state);
  CHECK(c.append_part(4, payload(1)) == errc::wrong_state);
  CHECK(c.find(4)->frames.size() == 1);
  REQUIRE(c.begin_group(wire::varint_max, {}) == errc::ok);
  CHECK(c.begin_group({}) == errc::bad_argument);  // there is no sequence after it
  c.finish();
  c.finish();
  CHECK(c.is_finished());
  CHECK(c.find(wire::varint_max)->state == group_state::complete);
  CHECK(c.begin_group(7, {}) == errc::wrong_state);
  CHECK(c.append(0, {}) == errc::wrong_state);
  CHECK(sequences(c) == list{4, wire::varint_max});
}

TEST_CASE("R-173 a byte budget drops the oldest group that is not the latest: EVICTED [seed 4.3 b]") {
  track_cache c({.bytes_max = 100});
  one_frame(c, 40);
  one_frame(c, 40);
  CHECK(c.bytes_held() == 80);
  one_frame(c, 40);
  CHECK(sequences(c) == list{1, 2});
  CHECK(c.bytes_held() == 80);
  CHECK(c.why_missing(0) == stream_code::evicted);
  CHECK(c.why_missing(3) == stream_code::not_found);
  one_frame(c, 100);
  CHECK(sequences(c) == list{3});
  CHECK(c.bytes_held() == 100);
  CHECK(c.why_missing(1) == stream_code::evicted);
  CHECK(c.why_missing(2) == stream_code::evicted);
}

TEST_CASE("R-172 R-173 the latest group is kept whatever the budget, and may not exceed it [seed 4.3 b, 10.1]") {
  track_cache c({.bytes_max = 100});
  REQUIRE(c.begin_group({}) == errc::ok);
  CHECK(c.append(0, payload(101)) == errc::limit_reached);
  CHECK(c.append(0, payload(60)) == errc::ok);
  CHECK(c.append(0, payload(41)) == errc::limit_reached);
  CHECK(c.append(0, payload(40)) == errc::ok);
  CHECK(c.append(0, payload(0)) == errc::ok);
  CHECK(c.latest().frames.size() == 3);
  CHECK(c.bytes_held() == 100);
  REQUIRE(c.begin_group(wire::varint_max, {}) == errc::ok);  // the older one has to give way now
  CHECK(c.append(0, payload(1)) == errc::ok);
  CHECK(sequences(c) == list{wire::varint_max});
  REQUIRE(c.begin_group(7, {}) == errc::ok);  // an older one beside the latest may take what is left
  CHECK(c.append(7, 0, payload(100)) == errc::limit_reached);
  CHECK(c.append(7, 0, payload(99)) == errc::ok);
  CHECK(c.bytes_held() == 100);
}

TEST_CASE("R-173 groups beyond Publisher Max Age are dropped as OLD, the latest never [seed 4.3 b]") {
  track_cache c({.max_age_ms = 1000});
  one_frame(c, 1, at_ms(0));
  one_frame(c, 1, at_ms(1000));
  CHECK(sequences(c) == list{0, 1});  // exactly the age is not beyond it
  REQUIRE(c.begin_group(at_ms(1001)) == errc::ok);
  CHECK(sequences(c) == list{1, 2});
  CHECK(c.why_missing(0) == stream_code::old);
  REQUIRE(c.begin_group(at_ms(1'000'000)) == errc::ok);
  CHECK(sequences(c) == list{3});
  CHECK(c.why_missing(2) == stream_code::old);
  CHECK(c.why_missing(4) == stream_code::not_found);

  track_cache patient({.max_age_ms = wire::varint_max});
  one_frame(patient, 1, {0});
  one_frame(patient, 1, {INT64_MAX});
  CHECK(patient.groups_held() == 2);
  track_cache none({.max_age_ms = 0});
  one_frame(none, 1, {0});
  one_frame(none, 1, {0});
  one_frame(none, 1, {1});
  CHECK(sequences(none) == list{2});
}

TEST_CASE("a count bounds the groups, also when they arrive in falling order [seed 4.3, 10.1]") {
  track_cache rising({.groups_max = 3});
  for (int i = 0; i < 10; ++i) one_frame(rising, 1);
  CHECK(sequences(rising) == list{7, 8, 9});
  CHECK(rising.why_missing(6) == stream_code::old);
  CHECK(rising.bytes_held() == 3);

  track_cache falling({.groups_max = 3});
  for (std::uint64_t s = 200; s-- > 100;) {
    REQUIRE(falling.begin_group(s, {}) == errc::ok);
    CHECK(falling.groups_held() <= 3);
    CHECK(falling.find(s) != nullptr);
    CHECK(falling.latest().sequence == 199);
    CHECK(falling.append(0, payload(1)) == errc::ok);
    if (falling.arrivals_end() - falling.arrivals_begin() >= 60) break;
  }
  CHECK(falling.bytes_held() <= 3);
}

TEST_CASE("limit: the memory of arrivals is bounded while the latest group stays the same [seed 10.1]") {
  counting_memory counted;
  track_cache c({.groups_max = 2}, counted.get());
  REQUIRE(c.begin_group(1'000'000, {}) == errc::ok);
  errc e = errc::ok;
  for (std::uint64_t s = 100'000; s-- > 0;) {
    e = c.begin_group(s, {});
    if (e != errc::ok) break;
  }
  CHECK(e == errc::limit_reached);
  CHECK(counted.bytes < 100'000);
  CHECK(c.begin_group({}) == errc::ok);  // a newer group sets it free
  CHECK(c.begin_group({}) == errc::ok);
  CHECK(c.begin_group({}) == errc::ok);
  CHECK(c.begin_group(5, {}) == errc::ok);
}

TEST_CASE("of many reasons the newest stay exact; of older ones the gaps between them are given up [seed 4.3 b]") {
  track_cache c({.groups_max = 1});
  for (std::uint64_t s = 0; s < 400; s += 2) REQUIRE(c.begin_group(s, {}) == errc::ok);
  CHECK(c.why_missing(396) == stream_code::old);
  CHECK(c.why_missing(394) == stream_code::old);
  CHECK(c.why_missing(397) == stream_code::not_found);
  CHECK(c.why_missing(0) == stream_code::old);
  CHECK(c.why_missing(1) == stream_code::old);  // given up
}

TEST_CASE("one number taken out of a set of ranges, or its lowest range, leaves the others as they are") {
  std::uint32_t state = 5;
  const auto roll = [&](std::uint32_t n) { return (state = state * 1664525u + 1013904223u) / 65536u % n; };
  for (int round = 0; round < 300; ++round) {
    ranges r;
    std::vector<bool> model(40);
    for (int i = 0; i < 40; ++i) {
      const std::uint32_t v = roll(40);
      if (roll(2) == 0) {
        REQUIRE(r.add(v, v + roll(3) % (40 - v)));
        for (std::uint32_t x = v; x < 40; ++x) model[x] = r.has(x);
      } else if (roll(10) == 0) {
        const auto lowest = r.take_lowest();
        REQUIRE(lowest.has_value() == (std::find(model.begin(), model.end(), true) != model.end()));
        for (std::uint32_t x = 0; lowest && x < 40; ++x) {
          if (x < lowest->first) REQUIRE_FALSE(model[x]);
          if (x >= lowest->first && x <= lowest->last) {
            REQUIRE(model[x]);
            model[x] = false;
          }
        }
      } else {
        REQUIRE(r.remove(v));
        model[v] = false;
      }
      for (std::uint32_t x = 0; x < 40; ++x) REQUIRE(r.has(x) == model[x]);
      for (std::size_t x = 1; x < r.count(); ++x) REQUIRE(r.view()[x - 1].last + 1 < r.view()[x].first);
    }
  }
  counting_memory used;
  used.allowed = 1;
  ranges full(used.get());
  for (std::uint64_t v = 0; v < 4; ++v) REQUIRE(full.add(v * 10, v * 10 + 2));
  CHECK_FALSE(full.remove(11));
  CHECK(full.has(11));
  CHECK(full.remove(10));
  CHECK_FALSE(full.has(10));
  CHECK(full.has(11));
  CHECK_FALSE(ranges().take_lowest().has_value());
}

TEST_CASE("R-139 a group may begin at a later frame, and a recycled place forgets that [seed 4.3]") {
  track_cache c({.groups_max = 1});
  CHECK(c.begin_group(3, {}, sent_by::stream, wire::varint_max + 1) == errc::bad_argument);
  REQUIRE(c.begin_group(3, {}, sent_by::stream, 7) == errc::ok);
  CHECK(c.find(3)->first_frame == 7);
  CHECK(c.find(3)->end_frame() == 7);
  REQUIRE(c.append(0, payload(1)) == errc::ok);
  CHECK(c.find(3)->end_frame() == 8);
  for (int i = 0; i < 3; ++i) {
    REQUIRE(c.begin_group({}) == errc::ok);
    CHECK(c.latest().first_frame == 0);
  }
}

TEST_CASE("arrivals are numbered for good, and one that is gone is null") {
  track_cache c({.groups_max = 2});
  for (int i = 0; i < 5; ++i) one_frame(c, 1);
  CHECK(c.arrivals_end() == 5);
  CHECK(c.arrivals_begin() == 3);
  for (std::uint64_t n = 0; n < 3; ++n) CHECK(c.arrival(n) == nullptr);
  REQUIRE(c.arrival(4) != nullptr);
  CHECK(c.arrival(4)->sequence == 4);
  CHECK(c.arrival(5) == nullptr);
  CHECK(c.arrival(~std::uint64_t{0}) == nullptr);
}

TEST_CASE("a frame in parts is whole when its last part has come [seed 2.1]") {
  track_cache c;
  REQUIRE(c.begin_group({}) == errc::ok);
  REQUIRE(c.begin_frame(0, 5, 10) == errc::ok);
  CHECK(c.append(6, payload(1)) == errc::wrong_state);  // not into the middle of another
  CHECK(c.begin_frame(0, 6, 1) == errc::wrong_state);
  CHECK(c.append_part(0, payload(11)) == errc::wrong_state);
  CHECK(c.append_part(0, payload(4)) == errc::ok);
  CHECK(c.append_part(0, {}) == errc::ok);
  CHECK(c.append_part(0, payload(7)) == errc::wrong_state);
  CHECK(c.append_part(0, payload(6)) == errc::ok);
  CHECK(c.append_part(0, payload(1)) == errc::wrong_state);
  CHECK(c.bytes_held() == 10);
  CHECK(c.begin_frame(0, 7, 0) == errc::ok);
  CHECK(c.append(8, payload(1)) == errc::ok);
  CHECK(c.end_group() == errc::ok);
  CHECK(c.find(0)->state == group_state::complete);
  CHECK(c.find(0)->frames.size() == 3);
  CHECK(c.find(0)->newest_timestamp == 8);
}

TEST_CASE("a group that ends inside a frame is no whole group") {
  for (int way = 0; way < 3; ++way) {
    track_cache c;
    REQUIRE(c.begin_group({}) == errc::ok);
    REQUIRE(c.begin_frame(0, 5, 10) == errc::ok);
    REQUIRE(c.append_part(0, payload(9)) == errc::ok);
    if (way == 0) CHECK(c.end_group() == errc::ok);
    if (way == 1) CHECK(c.begin_group({}) == errc::ok);
    if (way == 2) c.finish();
    CHECK(c.find(0)->state == group_state::aborted);
    CHECK(c.find(0)->abort_code == stream_code::internal_error);
  }
}

TEST_CASE("limit: the byte budget holds for frames that come in parts in many open groups [seed 10.1]") {
  track_cache c({.bytes_max = 100});
  REQUIRE(c.begin_group(1000, {}) == errc::ok);
  for (std::uint64_t s = 0; s < 20; ++s) {
    REQUIRE(c.begin_group(s, {}) == errc::ok);
    REQUIRE(c.begin_frame(s, 0, 100) == errc::ok);
  }
  for (std::uint64_t s = 0; s < 20; ++s) {
    (void)c.append_part(s, payload(60));
    CHECK(c.bytes_held() <= 100);
    (void)c.append_part(s, payload(40));
    CHECK(c.bytes_held() <= 100);
  }
}

TEST_CASE("a group that is given up stays until it is dropped, and says with which code") {
  track_cache c;
  REQUIRE(c.begin_group({}) == errc::ok);
  REQUIRE(c.append(0, payload(5)) == errc::ok);
  CHECK(c.abort_group(0, stream_code::delivery_timeout) == errc::ok);
  CHECK(c.find(0)->state == group_state::aborted);
  CHECK(c.find(0)->abort_code == stream_code::delivery_timeout);
  CHECK(c.append(0, payload(1)) == errc::wrong_state);
  CHECK(c.end_group() == errc::wrong_state);
  REQUIRE(c.begin_group({}) == errc::ok);
  CHECK(c.find(0)->state == group_state::aborted);
}

TEST_CASE("R-143 a datagram group is one frame of at most 1200 bytes [seed 9.2]") {
  track_cache c;
  CHECK(c.write_datagram(1, payload(1201), {}) == errc::bad_argument);
  CHECK(c.write_datagram(std::uint64_t{1} << 61, payload(1), {}) == errc::bad_argument);
  CHECK(c.is_empty());
  CHECK(c.write_datagram(1, payload(1200), at_ms(3)) == errc::ok);
  CHECK(c.write_datagram(2, {}, at_ms(4), sent_by::both) == errc::ok);
  CHECK(c.find(0)->how == sent_by::datagram);
  CHECK(c.find(1)->how == sent_by::both);
  CHECK(c.find(1)->arrival == at_ms(4));
  for (std::uint64_t s = 0; s < 2; ++s) {
    CHECK(c.find(s)->frames.size() == 1);
    CHECK(c.find(s)->state == group_state::complete);
  }
  track_cache small({.bytes_max = 10});
  CHECK(small.write_datagram(1, payload(11), {}) == errc::limit_reached);
  CHECK(small.is_empty());
}

TEST_CASE("groups that will never exist are remembered as dropped and cannot be begun") {
  track_cache c;
  REQUIRE(c.begin_group(4, {}) == errc::ok);
  CHECK(c.drop_groups(5, 3) == errc::bad_argument);
  CHECK(c.drop_groups(3, 5) == errc::bad_argument);  // 4 exists
  CHECK(c.drop_groups(5, wire::varint_max + 1) == errc::bad_argument);
  CHECK(c.drop_groups(0, 3) == errc::ok);
  CHECK(c.drop_groups(7, 9) == errc::ok);
  CHECK(c.next_sequence() == 10);
  CHECK(c.begin_group(8, {}) == errc::bad_argument);
  CHECK(c.begin_group(6, {}) == errc::ok);
  CHECK(c.was_dropped(0));
  CHECK_FALSE(c.was_dropped(4));
  CHECK(c.was_dropped(9));
  CHECK(c.dropped().count() == 2);
  CHECK(c.begin_group({}) == errc::ok);
  CHECK(c.latest().sequence == 10);
}

TEST_CASE("limit: dropped ranges without end do not take memory without end [seed 10.1]") {
  track_cache c;
  errc e = errc::ok;
  std::uint64_t n = 0;
  for (; e == errc::ok && n < 100'000; ++n) e = c.drop_groups(2 * n, 2 * n);
  CHECK(e == errc::limit_reached);
  CHECK(n > 1000);
  CHECK(c.dropped().count() < 5000);
}

TEST_CASE("a listener is called once for a change and again only when it has asked") {
  track_cache c;
  counted_listener a(c), b(c);
  CHECK(a.cache == &c);
  REQUIRE(c.begin_group({}) == errc::ok);
  REQUIRE(c.append(0, payload(1)) == errc::ok);
  CHECK(a.calls == 1);
  CHECK(b.calls == 1);
  c.rearm(a);
  CHECK(a.calls == 1);
  REQUIRE(c.append(0, payload(1)) == errc::ok);
  CHECK(a.calls == 2);
  CHECK(b.calls == 1);
  int expected = 2;
  const auto tells = [&](errc e) {
    CHECK(e == errc::ok);
    CHECK(a.calls == ++expected);
    c.rearm(a);
    c.rearm(a);  // asking twice is asking once
  };
  c.rearm(a);
  tells(c.begin_frame(0, 1, 2));
  tells(c.append_part(0, payload(2)));
  tells(c.end_group());
  tells(c.begin_group({}));
  tells(c.abort_group(1, stream_code::cancelled));
  tells(c.drop_groups(5, 6));
  c.finish();
  CHECK(a.calls == ++expected);
  CHECK(b.calls == 1);
  // What is refused is no change.
  c.rearm(a);
  CHECK(c.begin_group({}) == errc::wrong_state);
  CHECK(c.append(1, 1, {}) == errc::wrong_state);
  c.finish();
  CHECK(a.calls == expected);
}

TEST_CASE("a listener that detaches hears nothing more; others do") {
  track_cache c;
  counted_listener a(c), b(c), d(c);
  c.detach(b);
  CHECK(b.cache == nullptr);
  REQUIRE(c.begin_group({}) == errc::ok);
  CHECK(a.calls == 1);
  CHECK(b.calls == 0);
  CHECK(d.calls == 1);
  c.detach(a);  // also while it is woken and has not asked again
  c.rearm(d);
  REQUIRE(c.begin_group({}) == errc::ok);
  CHECK(a.calls == 1);
  CHECK(d.calls == 2);
  c.attach(b);
  REQUIRE(c.begin_group({}) == errc::ok);
  CHECK(b.calls == 1);
}

TEST_CASE("a listener may ask again from inside the call and is not called twice for one change") {
  track_cache c;
  struct eager : cache_listener {
    int calls = 0;
  } l;
  l.changed = [](cache_listener* self) noexcept {
    if (++static_cast<eager*>(self)->calls < 100) self->cache->rearm(*self);
  };
  c.attach(l);
  REQUIRE(c.begin_group({}) == errc::ok);
  CHECK(l.calls == 1);
  REQUIRE(c.append(0, {}) == errc::ok);
  CHECK(l.calls == 2);
  c.detach(l);
}

TEST_CASE("a cache that dies first tells every listener, woken or not") {
  struct told : cache_listener {
    int calls = 0;
    bool was_gone = false;
  } a, b;
  a.changed = b.changed = [](cache_listener* self) noexcept {
    auto* t = static_cast<told*>(self);
    ++t->calls;
    t->was_gone = self->cache == nullptr;
  };
  {
    track_cache c;
    c.attach(a);
    REQUIRE(c.begin_group({}) == errc::ok);
    c.attach(b);
    CHECK(a.calls == 1);
    CHECK_FALSE(a.was_gone);
  }
  for (const told* t : {&a, &b}) {
    CHECK(t->was_gone);
    CHECK(t->cache == nullptr);
    CHECK(t->before == nullptr);
    CHECK(t->after == nullptr);
  }
  CHECK(a.calls == 2);
  CHECK(b.calls == 1);
}

TEST_CASE("payload is shared with the publisher and released with its group") {
  counting_memory counted;
  track_cache c({.groups_max = 1});
  REQUIRE(c.begin_group({}) == errc::ok);
  {
    const bytes p = payload(100, counted.get());
    REQUIRE(c.append(0, p) == errc::ok);
    REQUIRE(c.append(0, p.slice(10, 20)) == errc::ok);
    CHECK(c.find(0)->parts[0].data() == p.data());
    CHECK(c.find(0)->parts[1].data() == p.data() + 10);
  }
  CHECK(counted.out.size() == 1);
  REQUIRE(c.begin_group({}) == errc::ok);
  CHECK(counted.out.empty());
}

TEST_CASE("a handle that outlives its group finds nothing") {
  track_cache c({.groups_max = 1});
  one_frame(c, 1);
  const slot_handle h = c.handle_of(0);
  CHECK(c.group(h)->sequence == 0);
  one_frame(c, 1);
  CHECK(c.group(h) == nullptr);
  one_frame(c, 1);  // in the slot of the first
  CHECK(c.group(h) == nullptr);
  CHECK(c.handle_of(0) == slot_handle{});
  CHECK(c.group({}) == nullptr);
}

TEST_CASE("R-169 R-170 R-171 R-172 the age of a cached group is taken from its neighbours [seed 4.3 a]") {
  track_cache c({.timescale = 1000});
  const auto group_of = [&](std::uint64_t s) -> const cached_group& { return *c.find(s); };
  REQUIRE(c.begin_group(at_ms(0)) == errc::ok);
  REQUIRE(c.append(0, payload(1)) == errc::ok);
  for (const auto& f : all_versions) CHECK_FALSE(c.is_expired(group_of(0), f.id, 0));  // the latest never is
  REQUIRE(c.begin_group(at_ms(500)) == errc::ok);
  CHECK_FALSE(c.is_expired(group_of(0), lite02, 0));
  CHECK_FALSE(c.is_expired(group_of(0), lite04, 500));
  CHECK(c.is_expired(group_of(0), lite04, 499));
  CHECK_FALSE(c.is_expired(group_of(0), lite06, 0));  // the successor has no frame yet
  REQUIRE(c.append(2000, payload(1)) == errc::ok);
  REQUIRE(c.append(2100, payload(1)) == errc::ok);
  REQUIRE(c.append(2050, payload(1)) == errc::ok);
  CHECK_FALSE(c.is_expired(group_of(0), lite05, 2000));
  CHECK(c.is_expired(group_of(0), lite05, 1999));
  CHECK(c.is_expired(group_of(0), lite06, 100));  // it reached to 2000, the newest is 2100: equality counts
  CHECK_FALSE(c.is_expired(group_of(0), lite06, 101));
  CHECK_FALSE(c.is_expired(group_of(1), lite06, 0));
}

TEST_CASE("a group that cannot begin for want of memory leaves everything as it was") {
  for (std::size_t n = 0; n < 40; ++n) {
    counting_memory counted;
    track_cache c({}, counted.get());
    REQUIRE(c.begin_group({}) == errc::ok);
    for (int i = 0; i < 3; ++i) REQUIRE(c.begin_group({}) == errc::ok);  // the first block of slots is full
    counted.allowed = counted.requests + n;
    counted.fails_once = true;
    const errc e = c.begin_group({});
    if (e == errc::ok) continue;
    CHECK(e == errc::out_of_memory);
    CHECK(c.latest().sequence == 3);
    CHECK(c.latest().state == group_state::open);
    CHECK(c.groups_held() == 4);
    CHECK(c.arrivals_end() == 4);
    CHECK(c.next_sequence() == 4);
    CHECK(c.begin_group({}) == errc::ok);
    CHECK(arrivals(c) == list{0, 1, 2, 3, 4});
  }
}

TEST_CASE("memory that fails at any moment is reported, loses nothing that was accepted, and is all given back") {
  // What is written and read, once without failures and then with the n-th request failing.
  const auto play = [](counting_memory& counted, bool expect_all) {
    track_cache c({.groups_max = 6}, counted.get());
    std::vector<std::uint64_t> accepted;
    const auto fine = [&](errc e) {
      if (expect_all || e != errc::ok) CHECK(e == (expect_all ? errc::ok : errc::out_of_memory));
      return e == errc::ok;
    };
    for (std::uint64_t s = 0; s < 10; ++s) {
      const std::uint64_t sequence = s % 3 == 2 ? s * 10 - 15 : s * 10;  // some out of order
      if (!fine(c.begin_group(sequence, {}))) continue;
      std::string expected;
      for (std::uint64_t i = 0; i < 40; ++i) {
        const std::string text = "frame " + std::to_string(i);
        if (i % 4 == 0) {
          if (!fine(c.begin_frame(sequence, i, text.size()))) continue;
          while (!fine(c.append_part(sequence, bytes::copy(text.substr(0, 3))))) {
          }
          while (!fine(c.append_part(sequence, bytes::copy(text.substr(3))))) {
          }
        } else if (!fine(c.append(sequence, i, bytes::copy(text)))) {
          continue;
        }
        expected += text;
      }
      CHECK(c.end_group(sequence) == errc::ok);
      if (c.find(sequence) == nullptr) continue;
      for (const version v : {lite04, lite06}) {
        group_writer w;
        w.start_fetch(c.handle_of(sequence), v, 0, {});
        std::string read;
        while (true) {
          group_writer::scratch room;
          group_writer::offer offer;
          const group_writer::state got = w.look(c, room, offer);
          if (got == group_writer::state::failed) {
            CHECK_FALSE(expect_all);
            continue;
          }
          if (got != group_writer::state::data) break;
          std::size_t n = 0;
          for (std::size_t i = 0; i < offer.pieces.size(); ++i) {
            n += offer.pieces[i].size;
            if (offer.pieces[i].owner != nullptr)
              read.append(reinterpret_cast<const char*>(offer.pieces[i].data), offer.pieces[i].size);
          }
          w.wrote(c, n, offer.fin);
        }
        CHECK(read == expected);
      }
    }
    if (!fine(c.drop_groups(500, 501))) CHECK(c.drop_groups(500, 501) == errc::ok);
    CHECK(c.was_dropped(501));
  };
  std::size_t requests = 0;
  {
    counting_memory counted;
    play(counted, true);
    requests = counted.requests;
    CHECK(counted.out.empty());
    CHECK(counted.sizes_match);
  }
  CHECK(requests > 50);
  for (std::size_t n = 0; n < requests; ++n) {
    counting_memory counted;
    counted.allowed = n;
    counted.fails_once = true;
    play(counted, false);
    CHECK(counted.out.empty());
    CHECK(counted.bytes == 0);
    CHECK(counted.sizes_match);
  }
}

TEST_CASE("a track that runs on takes no memory once it has run for a while") {
  counting_memory counted;
  track_cache c({.groups_max = 4}, counted.get());
  const std::string text(1200, 'x');
  const bytes p = bytes::copy(text);
  counted_listener l(c);
  std::size_t before = 0;
  for (int round = 0; round < 300; ++round) {
    if (round == 100) before = counted.requests;
    REQUIRE(c.begin_group(at_ms(round * 10)) == errc::ok);
    group_writer w[2];
    w[0].start_group(c.handle_of(c.latest().sequence), lite06, 1, c.latest().sequence, 0, {});
    w[1].start_group(c.handle_of(c.latest().sequence), lite04, 1, c.latest().sequence, 0, {});
    for (std::uint64_t i = 0; i < 50; ++i) {
      REQUIRE(c.append(i * 3000, p) == errc::ok);
      for (group_writer& one : w) {
        group_writer::scratch room;
        group_writer::offer offer;
        REQUIRE(one.look(c, room, offer) == group_writer::state::data);
        std::size_t n = 0;
        for (const chunk& k : offer.pieces) n += k.size;
        one.wrote(c, n, offer.fin);
      }
      c.rearm(l);
    }
    REQUIRE(c.end_group() == errc::ok);
  }
  CHECK(before != 0);
  CHECK(counted.requests == before);
}
