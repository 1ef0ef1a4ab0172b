// Copies of one track from several sources: the first to bring a byte wins, everything else is compared with it.

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "counting_memory.hpp"
#include "moql/delivery/merge.hpp"

using namespace moql;

namespace {

/// Ten bytes of text are one frame: "0123456789".
struct bench {
  counting_memory used;
  track_cache cache;
  track_merge merge;
  explicit bench(track_options o = {}) : cache((o.overlapping = true, o), used.get()), merge(cache, used.get()) {}

  copy begin(std::uint32_t source, std::uint64_t group = 0, std::uint64_t first = 0) {
    return merge.begin(source, group, first, {});
  }
  /// A part of frame `frame`, which is `size` bytes long; timestamps are the frame's index times ten.
  copy part(std::uint32_t source, std::uint64_t frame, std::string_view text, std::uint64_t offset = 0,
            std::uint64_t size = 10, std::uint64_t group = 0) {
    return merge.part(source, group, frame, frame * 10, size, offset, bytes::copy(text));
  }
  copy whole(std::uint32_t source, std::uint64_t frame, std::string_view text, std::uint64_t group = 0) {
    return part(source, frame, text, 0, text.size(), group);
  }
  copy end(std::uint32_t source, std::optional<std::uint64_t> total = {}, std::uint64_t group = 0) {
    return merge.end(source, group, total);
  }
  /// The group as it is held, frames in brackets, '.' for what the last one lacks and '|' when it is complete.
  std::string held(std::uint64_t group = 0) {
    const cached_group* g = cache.find(group);
    if (g == nullptr) return "none";
    std::string out;
    for (std::size_t f = 0; f < g->frames.size(); ++f) {
      const std::size_t end = f + 1 < g->frames.size() ? g->frames[f + 1].first_part : g->parts.size();
      out += "[";
      for (std::size_t p = g->frames[f].first_part; p < end; ++p) out += g->parts[p].text();
      if (f + 1 == g->frames.size()) out += std::string(static_cast<std::size_t>(g->part_missing), '.');
      out += "]";
    }
    return out + (g->state == group_state::complete ? "|" : g->state == group_state::aborted ? "!" : "");
  }
  std::string counts() const {
    const copy_counts& c = merge.counts();
    return std::to_string(c.taken) + " " + std::to_string(c.repeated) + " " + std::to_string(c.conflicting) + " " +
           std::to_string(c.ahead) + " " + std::to_string(c.refused);
  }
};

}  // namespace

TEST_CASE("R-140 the first source to bring a byte is taken, the same bytes of another are repeated [seed 4.3]") {
  bench b;
  CHECK(b.begin(1) == copy::taken);
  CHECK(b.begin(2) == copy::repeated);
  CHECK(b.part(1, 0, "0123") == copy::taken);
  CHECK(b.part(2, 0, "01") == copy::repeated);
  CHECK(b.part(2, 0, "2345", 2) == copy::taken);  // 45 is new
  CHECK(b.held() == "[012345....]");
  CHECK(b.part(1, 0, "45", 4) == copy::repeated);
  CHECK(b.part(1, 0, "6789", 6) == copy::taken);
  CHECK(b.part(2, 0, "6789", 6) == copy::repeated);
  CHECK(b.whole(2, 1, "abc") == copy::taken);
  CHECK(b.whole(1, 1, "abc") == copy::repeated);
  CHECK(b.whole(1, 2, "") == copy::taken);
  CHECK(b.whole(2, 2, "") == copy::repeated);
  CHECK(b.part(2, 3, "") == copy::taken);  // a frame begins before any byte of it is there
  CHECK(b.part(1, 3, "") == copy::repeated);
  CHECK(b.held() == "[0123456789][abc][][..........]");
  CHECK(b.part(1, 3, "0123456789") == copy::taken);
  CHECK(b.end(1) == copy::taken);
  CHECK(b.part(2, 3, "0123456789") == copy::repeated);
  CHECK(b.end(2) == copy::repeated);
  CHECK(b.held() == "[0123456789][abc][][0123456789]|");
  CHECK(b.counts() == "8 8 0 0 0");
  CHECK(b.cache.find(0)->frames[1].timestamp == 10);
}

TEST_CASE("R-140 conflicting bytes for the same frame: the first are kept, the others counted [seed 4.3 d]") {
  bench b;
  (void)b.begin(1);
  (void)b.begin(2);
  (void)b.begin(3);
  CHECK(b.part(1, 0, "01234") == copy::taken);
  CHECK(b.part(2, 0, "01X34") == copy::conflicting);
  CHECK(b.held() == "[01234.....]");
  CHECK(b.merge.counts().conflicting == 1);
  CHECK(b.part(2, 0, "56789", 5) == copy::refused);  // from a copy that is not to be trusted
  CHECK(b.whole(2, 1, "abc") == copy::refused);
  CHECK(b.end(2) == copy::refused);
  CHECK(b.begin(2) == copy::refused);  // nor by trying again
  CHECK(b.part(2, 0, "01234") == copy::refused);
  CHECK(b.part(3, 0, "0123456789") == copy::taken);
  CHECK(b.part(1, 0, "56789", 5) == copy::repeated);
  CHECK(b.whole(1, 1, "abc") == copy::taken);
  CHECK(b.end(1) == copy::taken);
  CHECK(b.held() == "[0123456789][abc]|");
  CHECK(b.counts() == "4 1 1 0 4");
  // Another group of the same source is another matter.
  CHECK(b.begin(2, 1) == copy::taken);
  CHECK(b.whole(2, 0, "ok", 1) == copy::taken);
}

TEST_CASE("another timestamp, another size and a frame past the end conflict as well [seed 4.3 d]") {
  bench b;
  for (const std::uint32_t s : {1u, 2u, 3u, 4u, 5u}) (void)b.begin(s);
  CHECK(b.whole(1, 0, "abc") == copy::taken);
  CHECK(b.merge.part(2, 0, 0, 1, 3, 0, bytes::copy("abc")) == copy::conflicting);
  CHECK(b.part(3, 0, "abc", 0, 4) == copy::conflicting);
  CHECK(b.part(4, 0, "", 0, 0) == copy::conflicting);
  CHECK(b.end(1) == copy::taken);
  CHECK(b.whole(5, 0, "abc") == copy::repeated);
  CHECK(b.whole(5, 1, "d") == copy::conflicting);  // the group has ended before it
  CHECK(b.held() == "[abc]|");
  CHECK(b.merge.counts().conflicting == 4);
  // A difference in the last byte of many parts is found, and where parts do not match.
  bench c;
  (void)c.begin(1);
  (void)c.begin(2);
  (void)c.begin(3);
  for (std::uint64_t i = 0; i < 10; ++i) CHECK(c.part(1, 0, std::to_string(i), i) == copy::taken);
  CHECK(c.part(2, 0, "0123") == copy::repeated);
  CHECK(c.part(2, 0, "45678", 4) == copy::repeated);
  CHECK(c.part(2, 0, "X", 9) == copy::conflicting);
  CHECK(c.part(3, 0, "01234567") == copy::repeated);
  CHECK(c.part(3, 0, "1234", 1) == copy::repeated);  // going back is no trouble
  CHECK(c.part(3, 0, "8X", 8) == copy::conflicting);
}

TEST_CASE("what lies beyond what is held is not kept, and is no conflict") {
  bench b;
  (void)b.begin(1);
  (void)b.begin(2);
  CHECK(b.part(1, 0, "0123") == copy::taken);
  CHECK(b.part(2, 0, "56", 5) == copy::ahead);
  CHECK(b.part(2, 0, "", 5) == copy::ahead);
  CHECK(b.whole(2, 1, "abc") == copy::ahead);  // the frame before it is not all there
  CHECK(b.part(1, 0, "456789", 4) == copy::taken);
  CHECK(b.whole(2, 2, "abc") == copy::ahead);
  CHECK(b.part(2, 1, "56", 5) == copy::ahead);  // without its beginning
  CHECK(b.held() == "[0123456789]");
  CHECK(b.end(2) == copy::ahead);  // it had more
  CHECK(b.held() == "[0123456789]");
  CHECK(b.whole(1, 1, "abc") == copy::taken);
  CHECK(b.whole(1, 2, "abc") == copy::taken);
  CHECK(b.end(1) == copy::taken);
  CHECK(b.held() == "[0123456789][abc][abc]|");
  CHECK(b.counts() == "5 0 0 6 0");
}

TEST_CASE("a copy that ends early neither cuts nor completes the group") {
  bench b;
  for (const std::uint32_t s : {1u, 2u, 3u, 4u, 5u, 6u}) (void)b.begin(s);
  CHECK(b.whole(1, 0, "a") == copy::taken);
  CHECK(b.whole(2, 0, "a") == copy::repeated);
  CHECK(b.part(3, 0, "a", 0, 1) == copy::repeated);
  CHECK(b.whole(1, 1, "b") == copy::taken);
  CHECK(b.end(2) == copy::conflicting);
  CHECK(b.held() == "[a][b]");
  b.merge.give_up(3, 0);  // one that breaks off says nothing about the group
  CHECK(b.merge.counts().conflicting == 1);
  CHECK(b.end(4, 3) == copy::ahead);  // it knows of a third frame
  CHECK(b.held() == "[a][b]");
  CHECK(b.part(1, 2, "01", 0, 4) == copy::taken);
  CHECK(b.end(5, 3) == copy::ahead);  // the third frame is not all there
  CHECK(b.part(1, 2, "23", 2, 4) == copy::taken);
  CHECK(b.end(6, 3) == copy::taken);  // and now it is, whoever says so
  CHECK(b.held() == "[a][b][0123]|");
  CHECK(b.end(1) == copy::repeated);
  bench none;
  CHECK(none.begin(1) == copy::taken);
  CHECK(none.end(1) == copy::taken);  // a group without frames
  CHECK(none.held() == "|");
}

TEST_CASE("a group stays open for the others when a source breaks off, and it is known who still brings it") {
  bench b;
  CHECK(b.merge.carriers(0) == 0);
  for (const std::uint32_t s : {1u, 2u, 3u}) (void)b.begin(s);
  CHECK(b.merge.carriers(0) == 3);
  CHECK(b.part(1, 0, "01234") == copy::taken);
  b.merge.give_up(1, 0);
  CHECK(b.merge.carriers(0) == 2);
  CHECK(b.held() == "[01234.....]");
  CHECK(b.part(2, 0, "X1234") == copy::conflicting);
  CHECK(b.merge.carriers(0) == 1);
  CHECK(b.part(3, 0, "0123456789") == copy::taken);
  b.merge.forget(3);
  CHECK(b.merge.carriers(0) == 0);
  CHECK(b.part(3, 1, "x", 0, 1) == copy::refused);  // nobody has begun that
  CHECK(b.begin(3) == copy::repeated);
  CHECK(b.whole(3, 1, "x") == copy::taken);
  b.merge.forget(2);
  CHECK(b.begin(2) == copy::repeated);  // another source of that number, by now
  b.merge.forget(77);
  b.merge.give_up(77, 0);
}

TEST_CASE("a group that has left the cache is not begun again: evicted, old or dropped [seed 4.3]") {
  bench b({.max_age_ms = 1000, .bytes_max = 20});
  (void)b.begin(1, 0);
  (void)b.begin(1, 1);
  CHECK(b.whole(1, 0, "0123456789", 0) == copy::taken);
  CHECK(b.whole(1, 0, "0123456789", 1) == copy::taken);
  CHECK(b.begin(1, 2) == copy::taken);
  CHECK(b.whole(1, 0, "a", 2) == copy::taken);  // group 0 goes
  CHECK(b.held(0) == "none");
  CHECK(b.part(1, 0, "x", 0, 1, 0) == copy::repeated);  // in the midst of it
  CHECK(b.part(1, 0, "x", 0, 1, 0) == copy::repeated);
  CHECK(b.end(1, {}, 0) == copy::repeated);
  CHECK(b.begin(2, 0) == copy::repeated);
  CHECK(b.part(2, 0, "x", 0, 1, 0) == copy::repeated);
  CHECK(b.end(2, {}, 0) == copy::repeated);
  CHECK(b.merge.begin(1, 3, 0, {2'000'000}) == copy::taken);  // 1 and 2 are too old
  CHECK(b.cache.why_missing(1) == stream_code::old);
  CHECK(b.begin(2, 1) == copy::repeated);
  CHECK(b.end(1, {}, 1) == copy::repeated);
  REQUIRE(b.cache.drop_groups(10, 12) == errc::ok);
  CHECK(b.begin(1, 11) == copy::repeated);
  CHECK(b.part(1, 0, "x", 0, 1, 11) == copy::repeated);
  CHECK(b.cache.groups_held() == 1);
  CHECK(b.merge.counts().conflicting == 0);
}

TEST_CASE("R-139 R-140 copies with different first frames are put together by frame index") {
  bench b;
  CHECK(b.begin(1, 0, 5) == copy::taken);
  CHECK(b.cache.find(0)->first_frame == 5);
  CHECK(b.begin(2, 0, 0) == copy::repeated);
  CHECK(b.begin(3, 0, 7) == copy::repeated);
  CHECK(b.whole(2, 0, "zero") == copy::refused);  // what precedes is a gap that cannot be filled
  CHECK(b.whole(1, 5, "five") == copy::taken);
  CHECK(b.whole(3, 7, "seven") == copy::ahead);
  CHECK(b.whole(2, 4, "four") == copy::refused);
  CHECK(b.whole(2, 5, "five") == copy::repeated);
  CHECK(b.whole(2, 6, "six") == copy::taken);
  CHECK(b.whole(3, 7, "seven") == copy::taken);
  CHECK(b.whole(1, 6, "XXX") == copy::conflicting);
  CHECK(b.end(3) == copy::taken);
  CHECK(b.held() == "[five][six][seven]|");
  CHECK(b.end(2, 8) == copy::repeated);
  // Bytes of the last frame that another source has only from its middle on.
  bench c;
  (void)c.begin(1, 0, 2);
  CHECK(c.part(1, 2, "01") == copy::taken);
  CHECK(c.begin(2, 0, 2) == copy::repeated);
  CHECK(c.part(2, 2, "23456789", 2) == copy::taken);
  CHECK(c.end(2) == copy::taken);
}

TEST_CASE("payload that nobody owns is copied, other payload is shared R-141") {
  bench b;
  (void)b.begin(1);
  const std::string text = "0123456789";
  const bytes owned = bytes::copy(text);
  CHECK(b.merge.part(1, 0, 0, 0, 10, 0, owned.slice(0, 4)) == copy::taken);
  CHECK(b.cache.find(0)->parts[0].data() == owned.data());
  (void)b.begin(2);
  CHECK(b.merge.part(2, 0, 0, 0, 10, 0, owned) == copy::taken);  // only what is new of it
  CHECK(b.cache.find(0)->parts[1].data() == owned.data() + 4);
  std::string lent = "lent";
  const auto borrowed = [&] {
    return bytes::borrow({reinterpret_cast<const std::uint8_t*>(lent.data()), lent.size()});
  };
  CHECK(b.merge.part(1, 0, 1, 10, 4, 0, borrowed()) == copy::taken);
  CHECK(b.merge.part(1, 0, 2, 20, 8, 0, borrowed()) == copy::taken);
  CHECK(b.merge.part(2, 0, 1, 10, 4, 0, borrowed()) == copy::repeated);
  lent = "gone";
  CHECK(b.held() == "[0123456789][lent][lent....]");
  CHECK(b.merge.part(2, 0, 2, 20, 8, 4, borrowed()) == copy::taken);
  lent = "XXXX";
  CHECK(b.held() == "[0123456789][lent][lentgone]");
}

TEST_CASE("what is no part of any frame is refused and changes nothing") {
  bench b({.bytes_max = 20});
  CHECK(b.part(1, 0, "x") == copy::refused);  // not begun
  CHECK(b.end(1) == copy::refused);
  (void)b.begin(1);
  CHECK(b.part(1, 0, "abc", 8) == copy::refused);  // past the frame's end
  CHECK(b.part(1, 0, "", 11) == copy::refused);
  CHECK(b.part(1, 0, "abc", ~std::uint64_t{0} - 1) == copy::refused);
  CHECK(b.part(1, 0, "", 0, 21) == copy::refused);  // there is no room for it
  CHECK(b.merge.part(1, 0, 0, ~std::uint64_t{0}, 1, 0, bytes::copy("x")) == copy::refused);
  CHECK(b.part(1, ~std::uint64_t{0}, "x", 0, 1) == copy::ahead);
  CHECK(b.held() == "");
  CHECK(b.begin(1, wire::varint_max + 1) == copy::refused);
  CHECK(b.begin(1, 4, wire::varint_max + 1) == copy::refused);
  REQUIRE(b.cache.abort_group(0, stream_code::cancelled) == errc::ok);
  CHECK(b.begin(2) == copy::repeated);
  CHECK(b.whole(2, 0, "x") == copy::refused);
  CHECK(b.end(2) == copy::refused);
  b.cache.finish();
  CHECK(b.begin(1, 9) == copy::refused);
}

TEST_CASE("limit: what a source makes us remember is bounded, and costs others nothing [seed 10.1]") {
  bench b({.groups_max = 100'000});
  std::uint64_t g = 0;
  while (b.begin(1, g) == copy::taken) ++g;
  CHECK(g == track_merge::copies_max);
  CHECK(b.begin(1, g + 1) == copy::refused);
  CHECK(b.begin(2, g + 1) == copy::taken);
  CHECK(b.end(1, {}, 7) == copy::taken);
  CHECK(b.begin(1, g + 2) == copy::taken);  // one has ended
  CHECK(b.begin(1, g + 3) == copy::refused);
  for (std::uint32_t s = 3; s <= track_merge::sources_max; ++s) CHECK(b.begin(s, 0) == copy::repeated);
  CHECK(b.begin(1000, 0) == copy::refused);
  b.merge.forget(3);
  CHECK(b.begin(1000, 0) == copy::repeated);
  // Copies whose groups have left the cache, conflicting ones included, make way.
  bench c({.groups_max = 4});
  for (std::uint64_t n = 0; n < 2000; ++n) {
    CHECK(c.begin(1, n) == copy::taken);
    (void)c.begin(2, n);
    CHECK(c.whole(1, 0, "a", n) == copy::taken);
    CHECK(c.whole(2, 0, "b", n) == copy::conflicting);
    c.merge.give_up(2, n);
  }
  CHECK(c.used.bytes < 400'000);
}

// ---- against a naive model

namespace {

struct naive_frame {
  std::uint64_t timestamp, size;
  std::string have;
};
/// One group and what its sources said, compared byte by byte.
struct naive_group {
  std::vector<naive_frame> frames{};
  bool is_complete = false;
  std::map<std::uint32_t, bool> conflicted{};

  copy part(std::uint32_t source, std::uint64_t frame, std::uint64_t timestamp, std::uint64_t size,
            std::uint64_t offset, const std::string& text) {
    if (conflicted[source]) return copy::refused;
    const auto conflict = [&] {
      conflicted[source] = true;
      return copy::conflicting;
    };
    if (frame >= frames.size()) {
      if (is_complete) return conflict();
      const bool is_next =
          frame == frames.size() && (frames.empty() || frames.back().have.size() == frames.back().size);
      if (!is_next || offset != 0) return copy::ahead;
      frames.push_back({timestamp, size, text});
      return copy::taken;
    }
    naive_frame& f = frames[static_cast<std::size_t>(frame)];
    if (f.timestamp != timestamp || f.size != size) return conflict();
    if (offset > f.have.size()) return copy::ahead;
    bool grew = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const auto at = static_cast<std::size_t>(offset) + i;
      if (at < f.have.size() && f.have[at] != text[i]) return conflict();
    }
    for (std::size_t i = 0; i < text.size(); ++i)
      if (static_cast<std::size_t>(offset) + i >= f.have.size()) {
        f.have += text[i];
        grew = true;
      }
    return grew ? copy::taken : copy::repeated;
  }
};

}  // namespace

TEST_CASE("R-140 random copies, some of them false, agree with a comparison byte by byte [seed 4.3 d]") {
  std::mt19937 random(11);
  const auto roll = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  std::size_t conflicts = 0, completed = 0, broken = 0;
  for (int round = 0; round < 1500; ++round) {
    bench b;
    naive_group model;
    struct true_frame {
      std::uint64_t timestamp;
      std::string text;
    };
    std::vector<true_frame> truth(roll(6));
    for (true_frame& f : truth) {
      f = {roll(1000), std::string(roll(4) == 0 ? 0 : roll(12), 'a')};
      for (char& c : f.text) c = static_cast<char>('a' + roll(26));
    }
    struct source {
      std::vector<true_frame> frames;
      std::size_t frame = 0, offset = 0;
      bool is_over = false;
      bool is_honest = true;
    };
    std::vector<source> sources(2 + roll(3), {truth});
    if (round % 3 == 0 && !truth.empty()) {  // one of them is false somewhere
      source& s = sources[roll(sources.size())];
      true_frame& f = s.frames[roll(s.frames.size())];
      const std::size_t how = roll(4);
      s.is_honest = false;
      if (how == 0) ++f.timestamp;
      if (how == 1) f.text += "!";
      if (how == 2 && !f.text.empty()) f.text[roll(f.text.size())] = '!';
      if (how == 3) s.frames.pop_back();
    }
    for (std::uint32_t s = 0; s < sources.size(); ++s)
      if (b.begin(s) != (s == 0 ? copy::taken : copy::repeated)) FAIL("begin");
    for (std::size_t open = sources.size(); open != 0;) {
      const auto n = static_cast<std::uint32_t>(roll(sources.size()));
      source& s = sources[n];
      if (s.is_over) continue;
      if (roll(60) == 0) {
        b.merge.give_up(n, 0);
        s.is_over = true;
        --open;
        ++broken;
      } else if (s.frame == s.frames.size()) {
        const bool is_whole = model.frames.empty() || model.frames.back().have.size() == model.frames.back().size;
        copy expected = copy::taken;
        if (model.conflicted[n])
          expected = copy::refused;
        else if (s.frames.size() > model.frames.size())
          expected = model.is_complete ? copy::conflicting : copy::ahead;
        else if (s.frames.size() < model.frames.size())
          expected = copy::conflicting;
        else if (model.is_complete)
          expected = copy::repeated;
        else if (!is_whole)
          expected = copy::ahead;
        if (expected == copy::taken) model.is_complete = true;
        if (b.end(n) != expected) FAIL("end");
        s.is_over = true;
        --open;
      } else {
        const true_frame& f = s.frames[s.frame];
        const std::string text =
            f.text.substr(s.offset, f.text.size() == s.offset ? 0 : roll(f.text.size() - s.offset + 1));
        const copy got = b.merge.part(n, 0, s.frame, f.timestamp, f.text.size(), s.offset, bytes::copy(text));
        if (got != model.part(n, s.frame, f.timestamp, f.text.size(), s.offset, text)) FAIL("part");
        conflicts += got == copy::conflicting ? 1 : 0;
        s.offset += text.size();
        if (s.offset == f.text.size()) {
          ++s.frame;
          s.offset = 0;
        }
      }
    }
    std::string expected;
    for (const naive_frame& f : model.frames)
      expected += "[" + f.have + std::string(static_cast<std::size_t>(f.size) - f.have.size(), '.') + "]";
    CHECK(b.held() == expected + (model.is_complete ? "|" : ""));
    completed += model.is_complete ? 1 : 0;
    const bool all_honest = std::all_of(sources.begin(), sources.end(), [](const source& s) { return s.is_honest; });
    if (all_honest && b.merge.counts().conflicting != 0) FAIL("true copies conflict");
  }
  CHECK(conflicts > 100);
  CHECK(completed > 1000);
  CHECK(broken > 100);
}

TEST_CASE("a merge that runs out of memory anywhere leaks nothing and stays in order [seed 4.3]") {
  bool was_refused = true;
  std::size_t points = 0;
  for (std::size_t at = 0; was_refused; ++at, ++points) {
    for (const bool once : {true, false}) {
      counting_memory used;
      used.allowed = at;
      used.fails_once = once;
      {
        track_cache cache({.groups_max = 8, .overlapping = true}, used.get());
        track_merge merge(cache, used.get());
        const std::string text = "0123456789";
        const auto lent = [&](std::size_t from, std::size_t n) {
          return bytes::borrow({reinterpret_cast<const std::uint8_t*>(text.data()) + from, n});
        };
        for (std::uint64_t g = 0; g < 24; ++g) {
          for (const std::uint32_t s : {1u, 2u, 3u}) (void)merge.begin(s, g, 0, {});
          for (std::uint64_t f = 0; f < 3; ++f)
            for (const std::uint32_t s : {2u, 1u, 3u}) {
              (void)merge.part(s, g, f, f, 10, 0, lent(0, s * 2));
              (void)merge.part(s, g, f, f, 10, s * 2, lent(s * 2, 10 - s * 2));
            }
          for (const std::uint32_t s : {3u, 1u}) (void)merge.end(s, g);
          merge.give_up(2, g);
          if (g % 5 == 4) merge.forget(static_cast<std::uint32_t>(1 + g % 3));
          const cached_group* held = cache.find(g);
          for (std::size_t p = 0, byte = 0; held != nullptr && p < held->parts.size(); ++p)
            for (const char c : held->parts[p].text())
              if (c != text[byte++ % 10]) FAIL("what is held is not what came");
        }
        CHECK(merge.counts().conflicting == 0);
        was_refused = used.was_refused;
        if (once && was_refused) {  // it was one bad moment: life goes on
          CHECK(merge.begin(9, 1000, 0, {}) == copy::taken);
          CHECK(merge.part(9, 1000, 0, 0, 10, 0, lent(0, 10)) == copy::taken);
          CHECK(merge.end(9, 1000) == copy::taken);
        }
      }
      CHECK(used.out.empty());
      CHECK(used.sizes_match);
    }
  }
  CHECK(points > 20);
}
