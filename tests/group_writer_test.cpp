// Cursors over cached groups: what they show is what belongs on the wire, in any portions, without a copy.

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "counting_memory.hpp"
#include "moql/stream/group_writer.hpp"
#include "stream_logs.hpp"

using namespace moql;
using namespace moql::bytewise;

namespace {

using octets = std::vector<std::uint8_t>;
using state = group_writer::state;

constexpr version all[] = {lite01, lite02, lite03, lite04, lite05, lite06};

struct frame_spec {
  std::uint64_t timestamp{};
  std::string payload{};
};
using frame_specs = std::vector<frame_spec>;

/// The stream that must come out, encoded frame by frame.
octets frames_on_wire(version v, const frame_specs& frames, std::uint64_t first = 0,
                      std::uint64_t last = ~std::uint64_t{0}) {
  octets out;
  std::uint64_t before = 0;
  for (std::uint64_t i = first; i < frames.size() && i <= last; ++i) {
    const frame_spec& f = frames[static_cast<std::size_t>(i)];
    const msg::frame head{.timestamp_delta = static_cast<std::int64_t>(f.timestamp - before), .size = f.payload.size()};
    before = f.timestamp;
    octets header(encoded_size(head, v));
    REQUIRE(encode(head, v, header).why == errc::ok);
    out.insert(out.end(), header.begin(), header.end());
    out.insert(out.end(), f.payload.begin(), f.payload.end());
  }
  return out;
}
octets group_on_wire(version v, std::uint64_t id, std::uint64_t sequence, const frame_specs& frames,
                     std::uint64_t first = 0, std::uint64_t last = ~std::uint64_t{0}) {
  const msg::group g{.subscribe_id = id, .sequence = sequence, .frame_start = first};
  octets out(1 + encoded_size(g, v));
  REQUIRE(encode(g, v, std::span(out).subspan(1)).why == errc::ok);
  const octets more = frames_on_wire(v, frames, first, last);
  out.insert(out.end(), more.begin(), more.end());
  return out;
}
void append_all(track_cache& cache, std::uint64_t sequence, const frame_specs& frames) {
  for (const frame_spec& f : frames) REQUIRE(cache.append(sequence, f.timestamp, bytes::copy(f.payload)) == errc::ok);
}
void make_group(track_cache& cache, std::uint64_t sequence, const frame_specs& frames) {
  REQUIRE(cache.begin_group(sequence, {}) == errc::ok);
  append_all(cache, sequence, frames);
  REQUIRE(cache.end_group(sequence) == errc::ok);
}

/// A stream that takes what it likes of every offer: `take(total)` bytes of `total`. With `says_all` it reports an
/// offer that it took whole by `wrote_all`.
struct sink {
  octets out{};
  bool fin = false;
  bool says_all = false;
  int offers = 0;

  template <class Take>
  state drain(group_writer& w, track_cache& cache, Take&& take) {
    bool expects_no_more = false;
    for (int rounds = 0; rounds < 100'000; ++rounds) {
      group_writer::scratch room;
      group_writer::offer offer;
      const state s = w.look(cache, room, offer);
      if (s != state::data) return s;
      ++offers;
      REQUIRE_FALSE(fin);
      REQUIRE_FALSE(expects_no_more);
      REQUIRE_FALSE((offer.fin && offer.more));
      std::size_t total = 0;
      for (const chunk& c : offer.pieces) {
        REQUIRE(c.size != 0);
        total += c.size;
      }
      REQUIRE((total != 0 || offer.fin));
      const std::size_t n = std::min<std::size_t>(total, take(total));
      std::size_t left = n;
      for (const chunk& c : offer.pieces) {
        const std::size_t here = std::min(left, c.size);
        out.insert(out.end(), c.data, c.data + here);
        left -= here;
      }
      fin = offer.fin && n == total;
      if (n == total && says_all)
        w.wrote_all(offer);
      else
        w.wrote(cache, n, fin);
      expects_no_more = n == total && !offer.more;
    }
    FAIL("never comes to an end");
    return state::failed;
  }
  state drain(group_writer& w, track_cache& cache) {
    return drain(w, cache, [](std::size_t n) { return n; });
  }
};

const frame_specs some_frames{{90'000, "hi"}, {93'000, ""}, {91'500, "x"}, {91'500, std::string(70, 'y')}};

}  // namespace

TEST_CASE("R-133 a Group stream is its type, GROUP and the frames, in portions of any size [seed 8.1, 9.1, 9.2]") {
  for (const version v : all) {
    track_cache cache;
    make_group(cache, 10, some_frames);
    const octets expected = group_on_wire(v, 5, 10, some_frames);
    for (std::size_t size = 1; size <= expected.size(); ++size) {
      group_writer w;
      w.start_group(cache.handle_of(10), v, 5, 10, 0, {});
      sink s{.says_all = size % 2 == 0};
      CHECK(s.drain(w, cache, [&](std::size_t) { return size; }) == state::idle);
      REQUIRE(s.out == expected);
      CHECK(s.fin);
    }
  }
}

TEST_CASE("a Group stream as bytes [seed 9.1]") {
  track_cache cache;
  make_group(cache, 10, {{90'000, "hi"}, {93'000, ""}, {91'500, "x"}});
  const auto wire = [&](version v, std::uint64_t first) {
    group_writer w;
    w.start_group(cache.handle_of(10), v, 5, 10, first, {});
    sink s;
    CHECK(s.drain(w, cache) == state::idle);
    return s.out;
  };
  CHECK(wire(lite01, 0) == hex("00 02050a 026869 00 0178"));
  CHECK(wire(lite05, 0) == hex("00 02050a 8002bf20026869 577000 4bb70178"));
  CHECK(wire(lite06, 0) == hex("00 03050a00 8002bf20026869 577000 4bb70178"));
  CHECK(wire(lite06, 2) == hex("00 03050a02 8002cad80178"));
}

TEST_CASE("R-139 frame bounds of 06: the first frame that is sent counts from 0, the last is the last") {
  track_cache cache;
  make_group(cache, 3, some_frames);
  for (std::uint64_t first = 0; first < some_frames.size(); ++first) {
    for (std::uint64_t last = first; last < some_frames.size() + 2; ++last) {
      const octets expected = group_on_wire(lite06, 1, 3, some_frames, first, last);
      for (std::size_t size = 1; size <= expected.size(); ++size) {
        group_writer w;
        w.start_group(cache.handle_of(3), lite06, 1, 3, first, last);
        sink s{.says_all = size % 2 == 0};
        CHECK(s.drain(w, cache, [&](std::size_t) { return size; }) == state::idle);
        REQUIRE(s.out == expected);
        CHECK(s.fin);
      }
    }
  }
}

TEST_CASE("R-127 R-128 R-129 a Fetch answer is frames alone and ends with the group or the bound") {
  track_cache cache;
  make_group(cache, 3, some_frames);
  for (const version v : {lite03, lite04, lite05, lite06}) {
    for (std::uint64_t first = 0; first < (v == lite06 ? some_frames.size() : 1); ++first) {
      const octets expected = frames_on_wire(v, some_frames, first);
      for (std::size_t size = 1; size <= expected.size(); ++size) {
        group_writer w;
        w.start_fetch(cache.handle_of(3), v, first, {});
        CHECK_FALSE(w.has_written());
        sink s{.says_all = size % 2 == 0};
        CHECK(s.drain(w, cache, [&](std::size_t) { return size; }) == state::idle);
        REQUIRE(s.out == expected);
        CHECK(s.fin);
        CHECK(w.has_written());
      }
    }
  }
  group_writer past;  // what was asked for does not exist and never will
  past.start_fetch(cache.handle_of(3), lite06, some_frames.size(), {});
  sink s;
  CHECK(s.drain(past, cache) == state::short_);
  CHECK(s.out.empty());
  group_writer beyond;  // the group ends before the bound: that is fine
  beyond.start_fetch(cache.handle_of(3), lite06, 1, 1000);
  CHECK(s.drain(beyond, cache) == state::idle);
  CHECK(s.out == frames_on_wire(lite06, some_frames, 1));
  CHECK(s.fin);
}

TEST_CASE("an open group is idle when all has been written, goes on, and ends once [seed 2.3]") {
  for (int round = 0; round < 12; ++round) {
    const version v = all[round / 2];
    track_cache cache;
    REQUIRE(cache.begin_group({}) == errc::ok);
    group_writer w;
    w.start_group(cache.handle_of(0), v, 5, 0, 0, {});
    sink s{.says_all = round % 2 == 0};
    CHECK(s.drain(w, cache) == state::idle);
    CHECK(s.out == group_on_wire(v, 5, 0, {}));  // the header does not wait for a frame
    CHECK(w.has_written());
    frame_specs sent;
    for (const frame_spec& f : some_frames) {
      append_all(cache, 0, {f});
      sent.push_back(f);
      CHECK(s.drain(w, cache) == state::idle);
      CHECK(s.out == group_on_wire(v, 5, 0, sent));
      CHECK_FALSE(s.fin);
    }
    REQUIRE(cache.end_group() == errc::ok);
    CHECK(s.drain(w, cache) == state::idle);
    CHECK(s.fin);
    CHECK(s.out == group_on_wire(v, 5, 0, sent));
  }
}

TEST_CASE("a cursor that starts in the middle waits for its frame [seed 8.1]") {
  track_cache cache;
  REQUIRE(cache.begin_group({}) == errc::ok);
  append_all(cache, 0, {some_frames[0], some_frames[1]});
  group_writer w;
  w.start_group(cache.handle_of(0), lite06, 5, 0, 2, 2);
  sink s;
  CHECK(s.drain(w, cache) == state::idle);
  const std::size_t header = s.out.size();
  CHECK(header == 5);
  append_all(cache, 0, {some_frames[2]});
  CHECK(s.drain(w, cache) == state::idle);
  CHECK(s.out == group_on_wire(lite06, 5, 0, some_frames, 2, 2));
  CHECK(s.fin);  // the bound is reached although the group is open
  group_writer late;
  late.start_group(cache.handle_of(0), lite06, 6, 0, 3, {});
  CHECK(sink().drain(late, cache) == state::idle);
  REQUIRE(cache.end_group() == errc::ok);
  CHECK(sink().drain(late, cache) == state::short_);
}

TEST_CASE("a group without frames is a header and a FIN, or a FIN alone for a Fetch [seed 2.3]") {
  for (const version v : all) {
    track_cache cache;
    make_group(cache, 7, {});
    group_writer w;
    w.start_group(cache.handle_of(7), v, 1, 7, 0, {});
    sink s;
    CHECK(s.drain(w, cache) == state::idle);
    CHECK(s.out == group_on_wire(v, 1, 7, {}));
    CHECK(s.fin);
    CHECK(s.offers == 1);
    group_writer f;
    f.start_fetch(cache.handle_of(7), v, 0, {});
    sink fetched;
    CHECK(fetched.drain(f, cache) == state::idle);
    CHECK(fetched.out.empty());
    CHECK(fetched.fin);
  }
}

TEST_CASE("a group that loses its place, or is given up, says so at the next look") {
  track_cache cache({.groups_max = 1});
  make_group(cache, 0, some_frames);
  group_writer w;
  w.start_group(cache.handle_of(0), lite06, 1, 0, 0, {});
  sink s;
  group_writer::scratch room;
  group_writer::offer offer;
  CHECK(w.look(cache, room, offer) == state::data);
  w.wrote(cache, 7, false);
  make_group(cache, 1, some_frames);
  CHECK(cache.find(0) == nullptr);
  CHECK(w.look(cache, room, offer) == state::evicted);
  CHECK(w.look(cache, room, offer) == state::evicted);
  make_group(cache, 2, {});  // the slot lives on as another group: the handle is not fooled
  CHECK(w.look(cache, room, offer) == state::evicted);
  w.wrote(cache, 0, false);

  group_writer aborted;
  aborted.start_group(cache.handle_of(2), lite06, 1, 2, 0, {});
  REQUIRE(cache.abort_group(2, stream_code::too_far_behind) == errc::ok);
  CHECK(aborted.look(cache, room, offer) == state::aborted);
  CHECK(aborted.code(cache) == stream_code::too_far_behind);
  CHECK_FALSE(aborted.has_written());
}

TEST_CASE("a bound that is lowered behind the cursor never cuts a frame") {
  for (std::size_t sent = 0; sent <= group_on_wire(lite06, 1, 0, some_frames).size(); ++sent) {
    for (std::uint64_t first = 0; first < 2; ++first) {
      for (std::uint64_t last = first; last < some_frames.size(); ++last) {
        track_cache cache;
        make_group(cache, 0, some_frames);
        const octets whole = group_on_wire(lite06, 1, 0, some_frames, first);
        if (sent > whole.size()) continue;
        group_writer w;
        w.start_group(cache.handle_of(0), lite06, 1, 0, first, {});
        sink s;
        std::size_t left = sent;
        while (left != 0) {
          group_writer::scratch room;
          group_writer::offer offer;
          REQUIRE(w.look(cache, room, offer) == state::data);
          const std::size_t n = std::min(left, offer.pieces[0].size);
          s.out.insert(s.out.end(), offer.pieces[0].data, offer.pieces[0].data + n);
          w.wrote(cache, n, false);
          left -= n;
        }
        w.set_last_frame(last);
        CHECK(s.drain(w, cache) == state::idle);
        CHECK(s.fin);
        // It ends behind the bound, or behind the frame that was under way, whichever is later.
        std::uint64_t end = last;
        while (group_on_wire(lite06, 1, 0, some_frames, first, end).size() < sent) ++end;
        REQUIRE(s.out == group_on_wire(lite06, 1, 0, some_frames, first, end));
      }
    }
  }
}

TEST_CASE("a bound that is lowered into a frame whose rest has not come waits for it") {
  track_cache cache;
  REQUIRE(cache.begin_group({}) == errc::ok);
  append_all(cache, 0, {{0, "ab"}});
  REQUIRE(cache.begin_frame(0, 5, 4) == errc::ok);
  REQUIRE(cache.append_part(0, bytes::copy("cd")) == errc::ok);
  group_writer w;
  w.start_group(cache.handle_of(0), lite06, 1, 0, 0, {});
  sink s;
  CHECK(s.drain(w, cache) == state::idle);
  w.set_last_frame(0);
  CHECK(s.drain(w, cache) == state::idle);
  CHECK_FALSE(s.fin);
  REQUIRE(cache.append_part(0, bytes::copy("ef")) == errc::ok);
  append_all(cache, 0, {{9, "never sent"}});
  CHECK(s.drain(w, cache) == state::idle);
  CHECK(s.fin);
  CHECK(s.out == group_on_wire(lite06, 1, 0, {{0, "ab"}, {5, "cdef"}}));
}

TEST_CASE("a bound that is raised before the end is followed, after the FIN it is too late") {
  track_cache cache;
  REQUIRE(cache.begin_group({}) == errc::ok);
  append_all(cache, 0, {some_frames[0]});
  group_writer w;
  w.start_group(cache.handle_of(0), lite06, 1, 0, 0, 1);
  sink s;
  CHECK(s.drain(w, cache) == state::idle);
  CHECK_FALSE(s.fin);
  w.set_last_frame(2);
  append_all(cache, 0, {some_frames[1], some_frames[2], some_frames[3]});
  CHECK(s.drain(w, cache) == state::idle);
  CHECK(s.fin);
  CHECK(s.out == group_on_wire(lite06, 1, 0, some_frames, 0, 2));
  w.set_last_frame({});
  CHECK(s.drain(w, cache) == state::idle);  // the sink refuses to be written to again
  CHECK(s.out == group_on_wire(lite06, 1, 0, some_frames, 0, 2));
}

TEST_CASE("a frame goes out before all of it is there [seed 2.1]") {
  track_cache cache;
  REQUIRE(cache.begin_group({}) == errc::ok);
  REQUIRE(cache.begin_frame(0, 7, 6) == errc::ok);
  group_writer w;
  w.start_group(cache.handle_of(0), lite06, 1, 0, 0, 0);
  sink s;
  const octets whole = group_on_wire(lite06, 1, 0, {{7, "abcdef"}});
  CHECK(s.drain(w, cache) == state::idle);
  CHECK(s.out == octets(whole.begin(), whole.end() - 6));
  for (const char* part : {"ab", "c", "def"}) {
    CHECK_FALSE(s.fin);
    REQUIRE(cache.append_part(0, bytes::copy(part)) == errc::ok);
    CHECK(s.drain(w, cache) == state::idle);
  }
  CHECK(s.out == whole);
  CHECK(s.fin);
}

TEST_CASE("payload is offered where it lies, with its owner, and headers are shared between cursors") {
  track_cache cache;
  REQUIRE(cache.begin_group({}) == errc::ok);
  const bytes payload[] = {bytes::copy("some payload"), bytes::copy(std::string(2000, 'z')), bytes::copy("end")};
  std::uint64_t time = 0;
  for (const bytes& p : payload) REQUIRE(cache.append(time += 10, p) == errc::ok);
  REQUIRE(cache.end_group() == errc::ok);
  group_writer writers[2];
  group_writer::scratch room[2];
  group_writer::offer offers[2];
  for (std::size_t i = 0; i < 2; ++i) {
    writers[i].start_group(cache.handle_of(0), lite05, i, 0, 0, {});
    group_writer::offer head;
    REQUIRE(writers[i].look(cache, room[i], head) == state::data);
    writers[i].wrote(cache, head.pieces[0].size, false);
    REQUIRE(writers[i].look(cache, room[i], offers[i]) == state::data);
    REQUIRE(offers[i].pieces.size() == 6);
    CHECK(offers[i].fin);
  }
  CHECK(offers[0].pieces.data() == offers[1].pieces.data());  // straight out of the cache
  for (std::size_t i = 0; i < 3; ++i) {
    const chunk& c = offers[0].pieces[2 * i + 1];
    CHECK(c.data == payload[i].data());
    CHECK(c.size == payload[i].size());
    CHECK(c.owner == payload[i].held_by());
    CHECK(offers[0].pieces[2 * i].owner == nullptr);
  }
  // A part of a piece is still a view of it.
  writers[0].wrote(cache, offers[0].pieces[0].size + 5, false);
  REQUIRE(writers[0].look(cache, room[0], offers[0]) == state::data);
  CHECK(offers[0].pieces[0].data == payload[0].data() + 5);
  CHECK(offers[0].pieces[0].size == payload[0].size() - 5);
  CHECK(offers[0].pieces[0].owner == payload[0].held_by());
}

TEST_CASE("versions with the same frames share one encoding, 04 and 05 do not") {
  track_cache cache;
  make_group(cache, 0, some_frames);
  const auto first_frame_of = [&](version v) {
    group_writer w;
    w.start_fetch(cache.handle_of(0), v, 0, {});
    group_writer::scratch room;
    group_writer::offer offer;
    REQUIRE(w.look(cache, room, offer) == state::data);
    return offer.pieces.data();
  };
  for (const version v : {lite01, lite02, lite03}) CHECK(first_frame_of(v) == first_frame_of(lite04));
  CHECK(first_frame_of(lite05) == first_frame_of(lite06));
  CHECK(first_frame_of(lite04) != first_frame_of(lite05));
}

TEST_CASE("a long group is offered in portions, and only the last one ends it") {
  track_cache cache;
  frame_specs frames;
  for (std::uint64_t i = 0; i < 1000; ++i) frames.push_back({i * 33, std::string(i % 7, 'p')});
  make_group(cache, 0, frames);
  for (const std::size_t size : {std::size_t{1}, std::size_t{3}, std::size_t{1200}, ~std::size_t{0}}) {
    group_writer w;
    w.start_group(cache.handle_of(0), lite06, 1, 0, 0, {});
    sink s{.says_all = true};
    CHECK(s.drain(w, cache, [&](std::size_t) { return size; }) == state::idle);
    CHECK(s.out == group_on_wire(lite06, 1, 0, frames));
    CHECK(s.fin);
    if (size == ~std::size_t{0}) CHECK(s.offers < 40);
  }
}

TEST_CASE("without memory for headers a cursor fails and goes on when there is some") {
  counting_memory counted;
  track_cache cache({}, counted.get());
  make_group(cache, 0, some_frames);
  const octets expected = group_on_wire(lite06, 1, 0, some_frames);
  group_writer w;
  w.start_group(cache.handle_of(0), lite06, 1, 0, 0, {});
  sink s;
  int failures = 0;
  for (std::size_t more = 0; failures < 20; ++more) {
    counted.allowed = counted.requests + more;
    if (s.drain(w, cache) == state::idle) break;
    ++failures;
  }
  CHECK(failures != 0);
  CHECK(s.out == expected);
  CHECK(s.fin);
}

TEST_CASE("timestamps at the ends of their range travel in both directions") {
  const std::uint64_t most = (std::uint64_t{1} << 61) - 1;
  const frame_specs frames{{most, "a"}, {0, "b"}, {most, "c"}};
  track_cache cache;
  make_group(cache, 0, frames);
  for (std::uint64_t first = 0; first < 3; ++first) {
    group_writer w;
    w.start_group(cache.handle_of(0), lite06, 1, 0, first, {});
    sink s;
    CHECK(s.drain(w, cache) == state::idle);
    CHECK(s.out == group_on_wire(lite06, 1, 0, frames, first));
  }
  CHECK(cache.begin_group({}) == errc::ok);
  CHECK(cache.append(most + 1, {}) == errc::bad_argument);
}

TEST_CASE("the largest header fits: every integer eight bytes wide") {
  track_cache cache;
  const std::uint64_t sequence = wire::varint_max;
  make_group(cache, sequence, {{1, ""}, {(std::uint64_t{1} << 61) - 1, std::string(70'000, 'm')}});
  group_writer w;
  w.start_group(cache.handle_of(sequence), lite06, wire::varint_max, sequence, 1, {});
  sink s;
  CHECK(s.drain(w, cache) == state::idle);
  CHECK(s.out.size() == 1 + 1 + 8 + 8 + 1 + 8 + 4 + 70'000);
}

TEST_CASE("random groups written in random portions and read in random fragments are the same frames") {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    std::mt19937_64 rng(seed);
    const version v = all[seed % 6];
    const auto pick = [&](std::uint64_t n) { return rng() % n; };
    track_cache cache;
    const std::uint64_t sequence = pick(3) == 0 ? wire::varint_max : pick(100'000);
    const std::uint64_t id = pick(3) == 0 ? wire::varint_max : pick(100);
    frame_specs frames;
    for (std::uint64_t i = 0, n = pick(12); i < n; ++i)
      frames.push_back({pick(4) == 0 ? rng() >> 3 : pick(1'000'000), std::string(pick(4) == 0   ? 0
                                                                                 : pick(6) == 0 ? pick(20'000)
                                                                                                : pick(100),
                                                                                 static_cast<char>('a' + i))});
    const std::uint64_t first = has_frame_bounds(v) && !frames.empty() ? pick(frames.size()) : 0;
    std::optional<std::uint64_t> last;
    if (pick(2) == 0) last = first + pick(6);
    REQUIRE(cache.begin_group(sequence, {}) == errc::ok);

    group_writer w;
    w.start_group(cache.handle_of(sequence), v, id, sequence, first, last);
    sink s{.says_all = pick(2) == 0};
    const auto some = [&](std::size_t n) { return pick(3) == 0 ? n : pick(n + 1); };
    for (const frame_spec& f : frames) {
      if (pick(2) == 0 || f.payload.empty()) {
        REQUIRE(cache.append(f.timestamp, bytes::copy(f.payload)) == errc::ok);
      } else {
        REQUIRE(cache.begin_frame(sequence, f.timestamp, f.payload.size()) == errc::ok);
        for (std::size_t at = 0; at < f.payload.size();) {
          const std::size_t n = 1 + pick(f.payload.size() - at);
          REQUIRE(cache.append_part(sequence, bytes::copy(f.payload.substr(at, n))) == errc::ok);
          at += n;
          if (pick(3) == 0) REQUIRE(s.drain(w, cache, some) == state::idle);
        }
      }
      if (pick(2) == 0) REQUIRE(s.drain(w, cache, some) == state::idle);
    }
    REQUIRE(cache.end_group() == errc::ok);
    REQUIRE(s.drain(w, cache, some) == state::idle);
    REQUIRE(s.fin);
    REQUIRE(s.out == group_on_wire(v, id, sequence, frames, first, last.value_or(~std::uint64_t{0})));

    std::string expected =
        '{' + std::to_string(id) + ' ' + std::to_string(sequence) + ' ' + std::to_string(first) + '}';
    for (std::uint64_t i = first; i < frames.size() && i <= last.value_or(~std::uint64_t{0}); ++i) {
      const frame_spec& f = frames[static_cast<std::size_t>(i)];
      expected += '[' + std::to_string(i) + ' ' + std::to_string(has_timestamps(v) ? f.timestamp : 0) + ' ' +
                  std::to_string(f.payload.size()) + ':' + f.payload + ']';
    }
    const byte_view behind_type = byte_view(s.out).subspan(1);
    std::vector<std::size_t> cuts;
    for (std::uint64_t i = 0, n = pick(12); i < n; ++i)
      cuts.push_back(static_cast<std::size_t>(pick(behind_type.size())));
    std::sort(cuts.begin(), cuts.end());
    REQUIRE(run([&] { return group_log(v); }, behind_type, cuts) == expected + "end;");
    if (behind_type.size() < 500) REQUIRE(run_bytewise([&] { return group_log(v); }, behind_type) == expected + "end;");
  }
}
