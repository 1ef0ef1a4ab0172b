// Frames out of fragments: every way an input may arrive gives the same frames, and the same verdict.

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "stream_logs.hpp"

using namespace moql;
using namespace moql::bytewise;

namespace {

using octets = std::vector<std::uint8_t>;

/// Feeds every way there is, through `feed` and through `next`, and returns the one log of all of them.
std::string read(version v, const octets& in, std::uint64_t frame_max = 1 << 20, std::uint64_t first = 0) {
  const verdict fed = every_way([&] { return frame_log(v, frame_max, first); }, in);
  const verdict pulled = every_way([&] { return pulled_frame_log(v, frame_max, first); }, in);
  CHECK(fed.difference == "");
  CHECK(pulled.difference == "");
  CHECK(fed.log == pulled.log);
  return fed.log;
}
void put_frame(octets& out, version v, std::int64_t delta, std::uint64_t size, const std::string& payload) {
  std::uint8_t head[msg::frame::bytes_max];
  const encoded e = encode(msg::frame{.timestamp_delta = delta, .size = size}, v, head);
  REQUIRE(e.why == errc::ok);
  out.insert(out.end(), head, head + e.size);
  out.insert(out.end(), payload.begin(), payload.end());
}

}  // namespace

TEST_CASE("FRAME vectors of every version, however they are fragmented [seed 2.1, 9.2]") {
  for (const version v : {lite01, lite02, lite03, lite04}) {
    CHECK(read(v, hex("05 68656c6c6f")) == "[0 0 5:hello]end;");
    CHECK(read(v, hex("02 6869 00 01 78")) == "[0 0 2:hi][1 0 0:][2 0 1:x]end;");
  }
  for (const version v : {lite05, lite06}) {
    CHECK(read(v, hex("00 05 68656c6c6f")) == "[0 0 5:hello]end;");
    CHECK(read(v, hex("8002bf20 02 6869  5770 00  4bb7 01 78")) == "[0 90000 2:hi][1 93000 0:][2 91500 1:x]end;");
  }
}

TEST_CASE("a frame without payload is one piece that is first and last [seed 2.1 b]") {
  for (const version v : {lite04, lite06}) {
    octets in = v == lite04 ? hex("00") : hex("02 00");
    int pieces = 0;
    errc why{};
    frame_reader r(v, 100);
    CHECK(r.feed(
              in,
              [&](const frame_piece& p) {
                ++pieces;
                CHECK(p.is_first());
                CHECK(p.is_last());
                CHECK(p.timestamp == (v == lite04 ? 0u : 1u));
                CHECK(p.payload.empty());
              },
              why) == step::wait);
    CHECK(pieces == 1);
    CHECK(r.index() == 1);
    CHECK(r.is_at_boundary());
  }
}

TEST_CASE("nothing at all is a clean end") {
  for (const auto& f : all_versions) CHECK(read(f.id, {}) == "end;");
}

TEST_CASE("frames are numbered from the group's Frame Start") {
  CHECK(read(lite06, hex("00 01 61 02 01 62"), 100, 7) == "[7 0 1:a][8 1 1:b]end;");
  CHECK(read(lite06, hex("00 00"), 100, wire::varint_max) == "[4611686018427387903 0 0:]end;");
}

TEST_CASE("limit: the size of a frame is judged by its length alone [seed 2.1, 10.1]") {
  for (const auto& f : all_versions) {
    const bool timed = has_timestamps(f.id);
    octets in = timed ? hex("00") : octets{};
    const octets length = hex("ffffffffffffffff");
    in.insert(in.end(), length.begin(), length.end());
    CHECK(read(f.id, in, 1024 * 1024) == name_of(errc::frame_too_large));
    octets fits, exceeds;
    put_frame(fits, f.id, 0, 100, std::string(100, 'x'));
    put_frame(exceeds, f.id, 0, 101, "");
    CHECK(read(f.id, fits, 100) == "[0 0 100:" + std::string(100, 'x') + "]end;");
    CHECK(read(f.id, exceeds, 100) == name_of(errc::frame_too_large));
    fits.insert(fits.end(), exceeds.begin(), exceeds.end());
    CHECK(read(f.id, fits, 100) == "[0 0 100:" + std::string(100, 'x') + "]" + name_of(errc::frame_too_large));
  }
}

TEST_CASE("R-020 an end inside a frame is a cut, on a boundary it is clean [seed 2.1, 9.2]") {
  for (const auto& f : all_versions) {
    octets in;
    std::vector<std::size_t> boundaries{0};
    for (const std::string& payload : {std::string("hello"), std::string(), std::string(70, 'y')}) {
      put_frame(in, f.id, 40, payload.size(), payload);
      boundaries.push_back(in.size());
    }
    every_cut([&] { return frame_log(f.id); }, in,
              [&](std::size_t n, const std::string& log) {
                const bool boundary = std::find(boundaries.begin(), boundaries.end(), n) != boundaries.end();
                CHECK_MESSAGE(log.ends_with(boundary ? "end;" : "cut;"), "cut at " << n << ": " << log);
              });
  }
}

TEST_CASE("a byte behind the last frame begins another one") {
  for (const auto& f : all_versions) {
    octets in;
    put_frame(in, f.id, 0, 2, "hi");
    CHECK(read(f.id, with_extra(in, 0x05)) == "[0 0 2:hi]cut;");
  }
}

TEST_CASE("R-142 a timestamp that leaves its range is refused, not wrapped [seed 2.1]") {
  for (const version v : {lite05, lite06}) {
    CHECK(read(v, hex("01 00")) == name_of(errc::bad_timestamp));  // 0 - 1
    CHECK(read(v, hex("02 00 01 00 01 00")) == "[0 1 0:][1 0 0:]" + name_of(errc::bad_timestamp));
    octets in;
    const std::int64_t most = (std::int64_t{1} << 61) - 1;
    put_frame(in, v, most, 0, "");
    put_frame(in, v, most, 0, "");
    put_frame(in, v, 1, 0, "");  // exactly 2^62 - 1
    const std::string up_to = "[0 2305843009213693951 0:][1 4611686018427387902 0:][2 4611686018427387903 0:]";
    CHECK(read(v, in) == up_to + "end;");
    octets over = in;
    put_frame(over, v, 1, 0, "");
    CHECK(read(v, over) == up_to + name_of(errc::bad_timestamp));
    octets down = in;
    put_frame(down, v, -most - 1, 1, "z");
    put_frame(down, v, -most - 1, 0, "");
    CHECK(read(v, down) == up_to + "[3 2305843009213693951 1:z]" + name_of(errc::bad_timestamp));
  }
  // Before 05 there is no such field.
  CHECK(read(lite04, hex("01 61")) == "[0 0 1:a]end;");
}

TEST_CASE("integers of frame headers may be wider than they need to be") {
  CHECK(read(lite06, hex("c000000000000000 8000000161 4002 4000")) == "[0 0 1:a][1 1 0:]end;");
  CHECK(read(lite01, hex("c00000000000000161 4000 80000001 62")) == "[0 0 1:a][1 0 0:][2 0 1:b]end;");
}

TEST_CASE("a fragment that ends behind the longest header brings no piece yet") {
  const octets in = hex("c000000000000002 c000000000000005 68656c6c6f");
  CHECK(read(lite06, in) == "[0 1 5:hello]end;");
  for (const bool feeds : {true, false}) {
    frame_reader r(lite06, 100);
    errc why{};
    const auto none = [](const frame_piece&) { FAIL("a piece without bytes"); };
    byte_view head = byte_view(in).first(16);
    frame_piece p;
    CHECK((feeds ? r.feed(head, none, why) : r.next(head, p, why)) == step::wait);
    CHECK_FALSE(r.is_at_boundary());
  }
}

TEST_CASE("a fault of frame_reader is sticky and ends nothing cleanly") {
  frame_reader r(lite06, 10);
  errc why{};
  const auto ignore = [](const frame_piece&) { FAIL("no frame"); };
  CHECK(r.feed(hex("00 0b"), ignore, why) == step::fault);
  for (int i = 0; i < 3; ++i) {
    why = errc::ok;
    CHECK(r.feed(hex("00 01 61 00 01 61 00 01 61 00 01 61 00 01 61 00 01 61"), ignore, why) == step::fault);
    CHECK(why == errc::frame_too_large);
    byte_view none;
    frame_piece p;
    why = errc::ok;
    CHECK(r.next(none, p, why) == step::fault);
    CHECK(why == errc::frame_too_large);
    CHECK_FALSE(r.is_at_boundary());
  }
}

TEST_CASE("payload is never copied: every piece lies in the fragment that brought it") {
  octets in;
  for (int i = 0; i < 5; ++i) put_frame(in, lite06, 3, 40, std::string(40, static_cast<char>('a' + i)));
  for (std::size_t split = 0; split <= in.size(); ++split) {
    const octets parts[] = {{in.begin(), in.begin() + static_cast<std::ptrdiff_t>(split)},
                            {in.begin() + static_cast<std::ptrdiff_t>(split), in.end()}};
    frame_reader r(lite06, 100);
    std::size_t payload = 0;
    for (const octets& part : parts) {
      errc why{};
      bool inside = true;
      CHECK(r.feed(
                part,
                [&](const frame_piece& p) {
                  inside = inside && p.payload.data() >= part.data() &&
                           p.payload.data() + p.payload.size() <= part.data() + part.size();
                  payload += p.payload.size();
                },
                why) == step::wait);
      CHECK(inside);
    }
    CHECK(payload == 200);
  }
}

TEST_CASE("a frame that lies in one fragment comes as one piece, also after a split header") {
  octets in;
  for (int i = 0; i < 3; ++i) put_frame(in, lite06, 100, 20, std::string(20, 'x'));
  for (std::size_t split = 1; split < 3; ++split) {  // inside the first header
    frame_reader r(lite06, 100);
    int pieces = 0;
    errc why{};
    const auto count = [&](const frame_piece& p) {
      ++pieces;
      CHECK(p.is_first());
      CHECK(p.is_last());
    };
    CHECK(r.feed(byte_view(in).first(split), count, why) == step::wait);
    CHECK(pieces == 0);
    CHECK(r.feed(byte_view(in).subspan(split), count, why) == step::wait);
    CHECK(pieces == 3);
  }
}

TEST_CASE("random frames in random fragments come out as they went in") {
  std::mt19937_64 rng(20260401);
  for (int round = 0; round < 2000; ++round) {
    const version v = all_versions[rng() % all_versions.size()].id;
    octets in;
    std::string expected;
    std::uint64_t time = 0;
    for (std::size_t i = 0, n = rng() % 12; i < n; ++i) {
      const std::string payload(rng() % 3 == 0 ? 0 : rng() % 90, static_cast<char>('a' + i));
      const auto delta =
          static_cast<std::int64_t>(rng() % 100'000) - static_cast<std::int64_t>(time < 50'000 ? 0 : 50'000);
      put_frame(in, v, delta, payload.size(), payload);
      if (has_timestamps(v)) time += static_cast<std::uint64_t>(delta);
      expected += '[' + std::to_string(i) + ' ' + std::to_string(time) + ' ' + std::to_string(payload.size()) + ':' +
                  payload + ']';
    }
    std::vector<std::size_t> cuts;
    for (std::size_t i = 0, n = rng() % 20; i < n; ++i) cuts.push_back(in.empty() ? 0 : rng() % in.size());
    std::sort(cuts.begin(), cuts.end());
    REQUIRE(run([&] { return frame_log(v); }, in, cuts) == expected + "end;");
    REQUIRE(run([&] { return pulled_frame_log(v); }, in, cuts) == expected + "end;");
  }
}
