#include "media.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>

namespace {

using file_bytes = std::vector<std::uint8_t>;
using examples::media;

file_bytes read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// The promise every file must meet: groups count up, times do not run backwards, the frames are the file.
void check_covers(const media& m, std::size_t file_size) {
  std::size_t at = 0;
  std::uint64_t sequence = 0;
  CHECK(m.timescale != 0);
  for (const auto& g : m.groups) {
    CHECK(g.sequence == sequence++);
    REQUIRE(!g.frames.empty());
    std::uint64_t time = g.frames.front().timestamp;
    for (const auto& f : g.frames) {
      REQUIRE(f.offset == at);
      REQUIRE(f.size > 0);
      REQUIRE(f.size <= examples::media_frame_size_max);
      REQUIRE(f.timestamp >= time);
      time = f.timestamp;
      at += f.size;
    }
  }
  CHECK(at == file_size);
}

file_bytes operator+(file_bytes a, const file_bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
file_bytes be(std::uint64_t v, int n) {
  file_bytes out;
  for (int i = n - 1; i >= 0; --i) out.push_back(i < 8 ? static_cast<std::uint8_t>(v >> (8 * i)) : std::uint8_t{0});
  return out;
}
file_bytes box(const char (&type)[5], const file_bytes& body) {
  return be(body.size() + 8, 4) + be(examples::mp4::tag(type), 4) + body;
}
file_bytes track_box(std::uint32_t id, const char (&handler)[5], std::uint32_t timescale) {
  return box("trak", box("tkhd", be(0, 12) + be(id, 4)) +
                         box("mdia", box("mdhd", be(0, 12) + be(timescale, 4) + be(0, 8)) +
                                         box("hdlr", be(0, 8) + be(examples::mp4::tag(handler), 4))));
}
file_bytes trex(std::uint32_t id, std::uint32_t flags) {
  return box("trex", be(0, 4) + be(id, 4) + be(0, 12) + be(flags, 4));
}
constexpr std::uint32_t key_sample = 0x02000000, delta_sample = 0x01010000;

/// Track 1 is audio, track 2 is video with non-sync samples by default.
file_bytes init_segment(std::uint32_t timescale = 90'000) {
  return box("ftyp", be(0, 8)) + box("moov", track_box(1, "soun", 48'000) + track_box(2, "vide", timescale) +
                                                 box("mvex", trex(1, key_sample) + trex(2, delta_sample)));
}
file_bytes tfhd(std::uint32_t id) { return box("tfhd", be(0, 4) + be(id, 4)); }
file_bytes tfdt(std::uint64_t time) { return box("tfdt", be(1, 1) + be(0, 3) + be(time, 8)); }
file_bytes trun(std::uint32_t has, const file_bytes& rest, std::uint32_t samples = 1) {
  return box("trun", be(has, 4) + be(samples, 4) + rest);
}
file_bytes moof(const file_bytes& traf_body) { return box("moof", box("mfhd", be(0, 8)) + box("traf", traf_body)); }
file_bytes payload(std::size_t n = 5) { return box("mdat", file_bytes(n, 7)); }
file_bytes video(std::uint64_t time, bool starts_sync) {
  return moof(tfhd(2) + tfdt(time) + (starts_sync ? trun(0x4, be(key_sample, 4)) : trun(0, {}))) + payload();
}

media must_cut(const file_bytes& file) {
  std::string why;
  auto m = examples::cut(file, why);
  REQUIRE(m);
  CHECK(why.empty() == (m->kind == "mp4"));
  check_covers(*m, file.size());
  return *m;
}
std::vector<std::size_t> frames_per_group(const media& m) {
  std::vector<std::size_t> out;
  for (const auto& g : m.groups) out.push_back(g.frames.size());
  return out;
}

}  // namespace

TEST_CASE("media: a real fragmented MP4 has a group per key frame and covers the file") {
  const auto file = read_file(MOQL_TEST_DATA "/clip.mp4");
  REQUIRE(file.size() > 100'000);
  const media m = must_cut(file);
  CHECK(m.kind == "mp4");
  CHECK(m.timescale == 12'800);
  // One second each: init and three fragments, three fragments, ..., three fragments and the index at the end.
  CHECK(frames_per_group(m) == std::vector<std::size_t>{4, 3, 3, 3, 4});
  CHECK(m.groups[0].frames[0].size == 28 + 1210);
  CHECK(m.groups[1].frames[0].timestamp == 0x3312);
}

TEST_CASE("media: a file that is no MP4 is cut by size") {
  const media m = must_cut(file_bytes(examples::bytes_frame_size * 33 + 1, 'x'));
  CHECK(m.kind == "bytes");
  CHECK(frames_per_group(m) == std::vector<std::size_t>{32, 2});
  CHECK(m.groups[1].frames[1].size == 1);
  CHECK(m.groups[1].frames[1].timestamp == 1);
  std::string why;
  CHECK_FALSE(examples::cut({}, why));
  CHECK(why == "the file is empty");
}

TEST_CASE("media: where a fragment says whether its first sample is a sync sample") {
  const file_bytes start = init_segment() + video(0, true);
  const auto begins_group = [&](const file_bytes& traf_body) {
    return must_cut(start + moof(traf_body) + payload()).groups.size() == 2;
  };
  CHECK(begins_group(tfhd(2) + trun(0x4, be(key_sample, 4))));               // first_sample_flags
  CHECK_FALSE(begins_group(tfhd(2) + trun(0x4, be(delta_sample, 4))));       //
  CHECK(begins_group(tfhd(2) + trun(0x700, be(0, 8) + be(key_sample, 4))));  // in the sample's own entry
  CHECK_FALSE(begins_group(tfhd(2) + trun(0x400, be(delta_sample, 4))));     //
  CHECK_FALSE(begins_group(tfhd(2) + trun(0, {})));                          // trex says delta
  CHECK(begins_group(box("tfhd", be(0x20, 4) + be(2, 4) + be(key_sample, 4)) + trun(0, {})));  // tfhd
  CHECK(begins_group(box("tfhd", be(0x3b, 4) + be(2, 4) + be(0, 20) + be(key_sample, 4)) + trun(0x1, be(0, 4))));  //
  CHECK(begins_group(tfhd(2) + trun(0, {}, 0) + trun(0x4, be(key_sample, 4))));  // the first trun has no samples
  CHECK_FALSE(begins_group(tfhd(2)));                                            // no samples at all
  CHECK_FALSE(begins_group(tfhd(1) + trun(0x4, be(key_sample, 4))));             // audio does not decide
}

TEST_CASE("media: times come from the leading track and do not run backwards in a group") {
  const media m = must_cut(init_segment() + video(90'000, true) + video(80'000, false) + moof(tfhd(1) + tfdt(7)) +
                           payload() + video(10'000, true));
  REQUIRE(frames_per_group(m) == std::vector<std::size_t>{4, 1});
  CHECK(m.timescale == 90'000);
  CHECK(m.groups[0].frames[0].timestamp == 90'000);
  CHECK(m.groups[0].frames[2].timestamp == 90'000);
  CHECK(m.groups[1].frames[0].timestamp == 10'000);
}

TEST_CASE("media: boxes around a fragment travel with it") {
  const file_bytes styp = box("styp", be(0, 8)), sidx = box("sidx", be(0, 24)), tail = box("free", be(0, 3));
  const media m = must_cut(init_segment() + styp + sidx + video(0, true) + styp + video(9, true) + tail);
  REQUIRE(frames_per_group(m) == std::vector<std::size_t>{2, 2});
  CHECK(m.groups[0].frames[0].size == init_segment().size());
  CHECK(m.groups[1].frames[0].size == styp.size() + video(9, true).size());
  CHECK(m.groups[1].frames[1].size == tail.size());
}

TEST_CASE("media: a large fragment is several frames, a last box may be open-ended or have a 64-bit size") {
  const media large = must_cut(init_segment() + moof(tfhd(2) + tfdt(3)) + payload(examples::media_frame_size_max * 2));
  CHECK(frames_per_group(large) == std::vector<std::size_t>{4});
  CHECK(large.groups[0].frames[3].timestamp == 3);
  const file_bytes open_ended = be(0, 4) + be(examples::mp4::tag("mdat"), 4) + be(0, 9);
  CHECK(must_cut(init_segment() + moof(tfhd(2)) + open_ended).kind == "mp4");
  const file_bytes wide = be(1, 4) + be(examples::mp4::tag("mdat"), 4) + be(20, 8) + be(0, 4);
  CHECK(must_cut(init_segment() + moof(tfhd(2)) + wide).kind == "mp4");
}

TEST_CASE("media: what looks like an MP4 and is not one is cut by size") {
  const auto kind = [](const file_bytes& file) { return must_cut(file).kind; };
  CHECK(kind(init_segment()) == "bytes");                                    // no fragments
  CHECK(kind(video(0, true)) == "bytes");                                    // no moov
  CHECK(kind(init_segment(0) + video(0, true)) == "bytes");                  // timescale 0
  CHECK(kind(init_segment() + init_segment() + video(0, true)) == "bytes");  // two moovs
  CHECK(kind(init_segment() + video(examples::media_timestamp_max + 1, true)) == "bytes");
  CHECK(kind(init_segment() + video(0, true) + be(7, 4) + be(0, 4)) == "bytes");  // a box smaller than its header
  CHECK(kind(init_segment() + video(0, true) + be(1, 4) + be(0, 4) + be(15, 8)) == "bytes");
  CHECK(kind(init_segment() + video(0, true) + be(1, 4) + be(0, 4) + be(~0ull, 8)) == "bytes");
  CHECK(kind(init_segment() + moof(tfhd(2) + trun(0x4, {})) + payload()) == "bytes");  // a cut trun
  CHECK(kind(box("moov", box("trak", be(0, 3)))) == "bytes");                          // junk in a container
}

TEST_CASE("media: cut anywhere or damaged anywhere, a file is still covered and never read past its end") {
  const file_bytes file = init_segment() + video(0, true) + video(1, false) + video(2, true) + box("mfra", be(0, 16));
  // A heap block of exactly the right size lets the address sanitizer see a byte too many.
  const auto covers = [](const std::uint8_t* data, std::size_t n) {
    const auto copy = std::make_unique<std::uint8_t[]>(n);
    std::copy(data, data + n, copy.get());
    std::string why;
    const auto m = examples::cut({copy.get(), n}, why);
    REQUIRE(m);
    check_covers(*m, n);
  };
  for (std::size_t n = 1; n <= file.size(); ++n) covers(file.data(), n);
  for (std::size_t i = 0; i < file.size(); ++i)
    for (const int value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
      file_bytes damaged = file;
      damaged[i] = static_cast<std::uint8_t>(value);
      covers(damaged.data(), damaged.size());
    }
}
