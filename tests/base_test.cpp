// The base layer: containers that may run out of memory, payload slices, paths, and the two tables.

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "moql/base/bytes.hpp"
#include "moql/base/error.hpp"
#include "moql/base/index.hpp"
#include "moql/base/limits.hpp"
#include "moql/base/queue.hpp"
#include "moql/base/search.hpp"
#include "moql/base/slab.hpp"
#include "moql/base/text.hpp"
#include "moql/base/vec.hpp"
#include "moql/base/version.hpp"

using namespace moql;

namespace {

// Counts what is out, checks that blocks come back with their size, and refuses from the `allowed`-th request on.
struct heap {
  std::size_t blocks = 0;
  std::size_t bytes = 0;
  std::size_t requests = 0;
  std::size_t allowed = ~std::size_t{0};
  memory_source source{+[](void* context, std::size_t size) noexcept -> void* {
                         auto* h = static_cast<heap*>(context);
                         if (h->requests++ >= h->allowed) return nullptr;
                         void* p = std::malloc(size == 0 ? 1 : size);
                         if (p != nullptr) ++h->blocks, h->bytes += size;
                         return p;
                       },
                       +[](void* context, void* block, std::size_t size) noexcept {
                         auto* h = static_cast<heap*>(context);
                         --h->blocks, h->bytes -= size;
                         std::free(block);
                       },
                       this};
  heap() = default;
  heap(const heap&) = delete;
  heap& operator=(const heap&) = delete;
  [[nodiscard]] memory as_memory() const noexcept { return {&source}; }
};

// Moves only, and counts the living.
struct tracked {
  explicit tracked(int v, int* alive) noexcept : value(v), count(alive) { ++*count; }
  tracked(tracked&& o) noexcept : value(o.value), count(o.count) { ++*count; }
  tracked& operator=(tracked&& o) noexcept {
    value = o.value;
    return *this;
  }
  ~tracked() { --*count; }
  int value;
  int* count;
};

byte_view view_of(std::string_view s) { return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()}; }

}  // namespace

TEST_CASE("a vec with room inside takes no memory until that is full, and moves with what it holds") {
  heap h;
  {
    vec<int, 2> v(h.as_memory());
    CHECK(v.push(1));
    CHECK(v.push(2));
    CHECK(h.requests == 0);
    vec<int, 2> moved = std::move(v);
    CHECK(v.empty());
    CHECK(moved.size() == 2);
    CHECK(moved[1] == 2);
    CHECK(moved.push(3));
    CHECK(h.requests == 1);
    CHECK(moved[0] == 1);
    v = std::move(moved);
    CHECK(v.size() == 3);
    CHECK(v.back() == 3);
    CHECK(moved.push(4));  // inside again
    CHECK(h.requests == 1);
    v.clear();
    CHECK(v.capacity() >= 3);
    moved = vec<int, 2>(h.as_memory());
    CHECK(moved.empty());
  }
  CHECK(h.blocks == 0);
  CHECK(h.bytes == 0);
}

TEST_CASE("a handle made of a free slot's number names nothing, now or when the slot is taken again") {
  struct value {
    explicit value(memory) noexcept {}
    void recycle() noexcept {}
  };
  slab<value> s;
  slot_handle first;
  REQUIRE(s.take(first) != nullptr);
  CHECK(slab<value>::handle_of(*s.find(first), first.index) == first);
  s.give(first);
  CHECK(s.find(first) == nullptr);
  CHECK(s.find(s.handle_of(first.index)) == nullptr);
  CHECK(s.find({}) == nullptr);
  slot_handle second;
  REQUIRE(s.take(second) != nullptr);
  CHECK(second.index == first.index);
  CHECK(s.find(first) == nullptr);
  CHECK(s.handle_of(second.index) == second);
}

TEST_CASE("a vec grows, inserts, erases and gives all memory back") {
  heap h;
  int alive = 0;
  {
    vec<tracked> v(h.as_memory());
    for (int i = 0; i < 100; ++i) REQUIRE(v.push(tracked(i, &alive)));
    CHECK(alive == 100);
    REQUIRE(v.insert(0, tracked(-1, &alive)));
    REQUIRE(v.insert(50, tracked(-2, &alive)));
    REQUIRE(v.insert(v.size(), tracked(-3, &alive)));
    CHECK(v[0].value == -1);
    CHECK(v[1].value == 0);
    CHECK(v[50].value == -2);
    CHECK(v.back().value == -3);
    v.erase(50);
    v.erase(0);
    v.erase(10, 5);
    CHECK(v.size() == 96);
    CHECK(v[9].value == 9);
    CHECK(v[10].value == 15);
    v.pop();
    CHECK(v.back().value == 99);
    const std::size_t room = v.capacity();
    v.clear();
    CHECK(alive == 0);
    CHECK(v.capacity() == room);
    REQUIRE(v.push(tracked(7, &alive)));
    vec<tracked> w = std::move(v);
    CHECK(w.size() == 1);
    CHECK(v.empty());  // NOLINT(bugprone-use-after-move): a moved-from vec is empty and usable
    REQUIRE(v.push(tracked(8, &alive)));
    v = std::move(w);
    CHECK(v[0].value == 7);
  }
  CHECK(alive == 0);
  CHECK(h.blocks == 0);
  CHECK(h.bytes == 0);
}

TEST_CASE("a vec that cannot grow says so and keeps what it has") {
  heap h;
  h.allowed = 1;
  vec<int> v(h.as_memory());
  int n = 0;
  while (v.push(n)) ++n;
  CHECK(n == 8);
  CHECK(v.size() == 8);
  CHECK_FALSE(v.insert(0, 9));
  CHECK_FALSE(v.append(&n, 1));
  CHECK(v.extend(1) == nullptr);
  CHECK_FALSE(v.reserve(SIZE_MAX));
  for (int i = 0; i < 8; ++i) CHECK(v[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("a queue is first in, first out, through every wrap of its ring") {
  heap h;
  {
    queue<std::size_t> q(h.as_memory());
    std::size_t in = 0;
    std::size_t out = 0;
    for (std::size_t round = 0; round < 300; ++round) {
      for (std::size_t i = 0; i < round % 7 + 1; ++i) REQUIRE(q.push(in++));
      for (std::size_t i = 0; i < round % 5 + 1 && !q.empty(); ++i) {
        CHECK(q.front() == out);
        CHECK(q.pop() == out++);
      }
      CHECK(q.size() == in - out);
      if (!q.empty()) CHECK(q[q.size() - 1] == in - 1);
    }
    const std::size_t taken = h.requests;
    while (!q.empty()) CHECK(q.pop() == out++);
    for (int i = 0; i < 1000; ++i) {  // a queue that has its room takes no more
      REQUIRE(q.push(1));
      REQUIRE(q.push(2));
      (void)q.pop();
      (void)q.pop();
    }
    CHECK(h.requests == taken);
  }
  CHECK(h.bytes == 0);
}

TEST_CASE("a slab handle kept too long is noticed, also when its slot lives again") {
  struct thing {
    explicit thing(memory m) noexcept : held(m) {}
    void recycle() noexcept { held.clear(); }
    vec<int> held;
  };
  heap h;
  {
    slab<thing> s(h.as_memory());
    slot_handle a{};
    slot_handle b{};
    thing* first = s.take(a);
    REQUIRE(first != nullptr);
    REQUIRE(first->held.push(1));
    REQUIRE(s.take(b) != nullptr);
    CHECK(s.size() == 2);
    CHECK(s.find(a) == first);
    CHECK(s.find({}) == nullptr);
    CHECK(s.find({77, 1}) == nullptr);
    CHECK(slot_handle::unpack(a.packed()) == a);
    s.give(a);
    CHECK(s.find(a) == nullptr);
    slot_handle c{};
    CHECK(s.take(c) == first);  // the slot comes back, the handle does not
    CHECK(c.index == a.index);
    CHECK_FALSE(c == a);
    CHECK(s.find(a) == nullptr);
    CHECK(first->held.empty());
    CHECK(first->held.capacity() != 0);
    std::vector<thing*> at;
    for (int i = 0; i < 100; ++i) {
      slot_handle x{};
      at.push_back(s.take(x));
      CHECK(s.find(x) == at.back());
    }
    std::size_t seen = 0;
    s.for_each([&](slot_handle x, thing& t) {
      ++seen;
      CHECK(s.find(x) == &t);
    });
    CHECK(seen == s.size());
    CHECK(s.find(b) != nullptr);
  }
  CHECK(h.bytes == 0);

  heap none;
  none.allowed = 1;  // the block, but not the list of blocks
  slab<thing> s(none.as_memory());
  slot_handle x{};
  CHECK(s.take(x) == nullptr);
  CHECK(s.size() == 0);
  CHECK(none.blocks == 0);
}

TEST_CASE("an index finds what is there and nothing else, after any order of insertions and erasures") {
  heap h;
  {
    slot_index x(h.as_memory());
    std::vector<std::uint32_t> model(512, moql::slot_index::none);
    const auto key = [](std::size_t i) { return i * 0x100000000ull; };  // all homes collide without the mixing
    std::uint64_t state = 1;
    for (int round = 0; round < 20'000; ++round) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const std::size_t i = static_cast<std::size_t>(state >> 33) % model.size();
      if (model[i] == moql::slot_index::none) {
        model[i] = static_cast<std::uint32_t>(round);
        REQUIRE(x.insert(key(i), model[i]));
      } else {
        model[i] = moql::slot_index::none;
        x.erase(key(i));
      }
      if (round % 97 == 0)
        for (std::size_t k = 0; k < model.size(); ++k) REQUIRE(x.find(key(k)) == model[k]);
    }
    x.erase(key(9999));
    std::size_t n = 0;
    for (const std::uint32_t v : model) n += v != moql::slot_index::none;
    CHECK(x.size() == n);
  }
  CHECK(h.bytes == 0);

  heap none;
  none.allowed = 1;
  slot_index x(none.as_memory());
  std::uint64_t n = 0;
  while (x.insert(n, static_cast<std::uint32_t>(n))) ++n;
  CHECK(n == 12);
  for (std::uint64_t i = 0; i < n; ++i) CHECK(x.find(i) == i);
  CHECK(x.find(n) == moql::slot_index::none);
}

namespace {
struct chained {
  explicit chained(memory = {}) noexcept {}
  std::uint64_t key = 0;
  std::uint32_t next = slot_index::none;
  void recycle() noexcept { next = slot_index::none; }
};
}  // namespace

TEST_CASE("slots that share a key are all found, after any order of insertions and erasures") {
  heap h;
  {
    slab<chained> slots(h.as_memory());
    chained_index<chained> x(h.as_memory());
    std::vector<slot_handle> there;
    unsigned random = 7;
    for (int round = 0; round < 4'000; ++round) {
      random = random * 1'103'515'245u + 12'345u;
      const bool may_grow = there.size() < 40;
      if (there.empty() || (may_grow && (random >> 16) % 2 == 0)) {
        slot_handle s;
        chained* c = slots.take(s);
        REQUIRE(c != nullptr);
        c->key = (random >> 8) % 5;  // a few long chains
        REQUIRE(x.insert(slots, c->key, s.index));
        there.push_back(s);
      } else {
        const std::size_t at = (random >> 16) % there.size();
        const slot_handle s = there[at];
        there.erase(there.begin() + static_cast<std::ptrdiff_t>(at));
        x.erase(slots, slots[s.index].key, s.index);
        x.erase(slots, slots[s.index].key, s.index);  // it is not there any more
        CHECK(slots[s.index].next == slot_index::none);
        slots.give(s);
      }
      std::size_t found = 0;
      for (std::uint64_t key = 0; key < 5; ++key)
        x.for_each(slots, key, [&](const chained& c) {
          CHECK(c.key == key);
          ++found;
        });
      REQUIRE(found == there.size());
      for (const slot_handle s : there) {
        const auto is_it = [&](const chained& c) { return &c == &slots[s.index]; };
        REQUIRE(x.find(slots, slots[s.index].key, is_it) == s.index);
      }
    }
    for (const slot_handle s : there) x.erase(slots, slots[s.index].key, s.index);
    CHECK(x.find(slots, 0, [](const chained&) { return true; }) == slot_index::none);
  }
  CHECK(h.blocks == 0);
}

TEST_CASE("a slot that no memory is left to index is not half in the chain") {
  heap plenty, none;
  none.allowed = 0;
  slab<chained> slots(plenty.as_memory());
  chained_index<chained> x(none.as_memory());
  slot_handle s;
  REQUIRE(slots.take(s) != nullptr);
  CHECK_FALSE(x.insert(slots, 9, s.index));
  CHECK(x.find(slots, 9, [](const chained&) { return true; }) == slot_index::none);
}

TEST_CASE("all spellings of a path have one hash, and it grows by segments") {
  CHECK(hash_of_path("/room//a/") == hash_of_path("room/a"));
  CHECK(hash_of_path("room/a") == hash_of_segment("a", hash_of_path("room")));
  CHECK(hash_of_path("") == hash_of({}));
  CHECK(hash_of_path("room/a") != hash_of_path("rooma"));
  CHECK(hash_of_path("room/a") != hash_of_path("a/room"));
}

TEST_CASE("a payload is freed with its last share, however it was sliced") {
  heap h;
  {
    bytes whole = bytes::copy("hello world", h.as_memory());
    CHECK(h.blocks == 1);
    bytes part = whole.slice(6, 5).slice(1, 3);
    CHECK(part.text() == "orl");
    CHECK(part.held_by() == whole.held_by());
    whole = {};
    CHECK(h.blocks == 1);
    CHECK(part.text() == "orl");
    const bytes again = part;
    bytes moved = std::move(part);
    CHECK(part.empty());  // NOLINT(bugprone-use-after-move)
    moved = again;
    CHECK(moved.text() == "orl");
    const bytes independent = moved.clone(h.as_memory());
    CHECK(h.blocks == 2);
    CHECK(independent.held_by() != moved.held_by());
    CHECK(independent.text() == "orl");
    bytes& self = moved;
    moved = self;
    CHECK(moved.text() == "orl");
  }
  CHECK(h.blocks == 0);
  CHECK(h.bytes == 0);
}

TEST_CASE("a payload without an owner is a view, one with a foreign owner counts its shares there") {
  const bytes plain = bytes::borrow(view_of("abc"));
  CHECK(plain.held_by() == nullptr);
  CHECK(plain.slice(1, 2).text() == "bc");

  struct mine : owner {
    int shares = 1;
  };
  mine m;
  m.retain = +[](owner* o) noexcept { ++static_cast<mine*>(o)->shares; };
  m.release = +[](owner* o) noexcept { --static_cast<mine*>(o)->shares; };
  {
    const bytes taken = bytes::adopt(view_of("abc"), &m);  // the share that was there
    CHECK(m.shares == 1);
    const bytes shared = bytes::share(view_of("abc"), &m);
    const bytes slice = shared.slice(0, 1);
    CHECK(m.shares == 3);
  }
  CHECK(m.shares == 0);
}

TEST_CASE("a copy without memory is empty and says so by its null pointer") {
  heap none;
  none.allowed = 0;
  const bytes b = bytes::copy("x", none.as_memory());
  CHECK(b.data() == nullptr);
  CHECK(b.empty());
  const bytes empty = bytes::copy("");
  CHECK(empty.data() != nullptr);
  CHECK(empty.empty());
}

TEST_CASE("R-022 a string is UTF-8 or it is malformed") {
  const std::string_view good[] = {"",
                                   "a",
                                   "eight by",
                                   "nine byte",
                                   "\xc3\xa9",
                                   "\xe6\x97\xa5\xe6\x9c\xac",
                                   "\xf0\x9f\x8e\xa5",
                                   "\xef\xbb\xbf"
                                   "bom",
                                   "\xed\x9f\xbf",
                                   "\xee\x80\x80",
                                   "\xf4\x8f\xbf\xbf",
                                   "a long ascii run and then \xc3\xa9",
                                   std::string_view("\0", 1),
                                   "\xc2\x80",
                                   "\xe0\xa0\x80",
                                   "\xf0\x90\x80\x80"};
  for (const std::string_view s : good) CHECK_MESSAGE(is_utf8(text(s)), s);
  const std::string_view bad[] = {"\x80",  // a continuation on its own
                                  "\xff",
                                  "\xfe",
                                  "\xc0\xaf",
                                  "\xc1\xbf",
                                  "\xe0\x9f\xbf",
                                  "\xf0\x8f\xbf\xbf",  // overlong
                                  "\xed\xa0\x80",
                                  "\xed\xbf\xbf",  // surrogates
                                  "\xf4\x90\x80\x80",
                                  "\xf5\x80\x80\x80",  // above U+10FFFF
                                  "\xc3",
                                  "\xe6\x97",
                                  "\xf0\x9f\x8e",
                                  "abcdefgh\xc3",
                                  "\xc3"
                                  "a",
                                  "\xe6\x97"
                                  "a",
                                  "12345678\xff"
                                  "12345678",
                                  "1234567\x80"};
  for (const std::string_view s : bad) CHECK_FALSE_MESSAGE(is_utf8(text(s)), s);
}

TEST_CASE("R-022 UTF-8 is judged the same at compile time and wherever the wrong byte lies") {
  static_assert(is_utf8(text("\xe6\x97\xa5")));
  static_assert(!is_utf8(text("abcdefghij\x80")));
  for (std::size_t n = 1; n < 40; ++n)
    for (std::size_t at = 0; at < n; ++at) {
      std::string s(n, 'x');
      CHECK(is_utf8(text(s)));
      s[at] = '\x80';
      CHECK_FALSE(is_utf8(text(s)));
    }
}

TEST_CASE("R-049 a prefix covers whole segments on every version that is deployed") {
  std::string_view suffix;
  CHECK(covers("room", "room/alice", prefix_rule::segments, suffix));
  CHECK(suffix == "alice");
  CHECK(covers("room/", "/room//alice/x", prefix_rule::segments, suffix));
  CHECK(suffix == "alice/x");
  CHECK(covers("", "room", prefix_rule::segments, suffix));
  CHECK(suffix == "room");
  CHECK(covers("room", "room", prefix_rule::segments, suffix));
  CHECK(suffix.empty());
  CHECK_FALSE(covers("room", "roomy"));
  CHECK_FALSE(covers("room/alice", "room"));
  CHECK_FALSE(covers("Room", "room"));
}

TEST_CASE("R-048 the texts of 01 to 05 match byte by byte, which the other matcher does") {
  std::string_view suffix;
  CHECK(covers("room", "roomy", prefix_rule::bytes, suffix));
  CHECK(suffix == "y");
  CHECK(covers("room", "room/alice", prefix_rule::bytes, suffix));
  CHECK(suffix == "/alice");
  CHECK_FALSE(covers("room/", "room", prefix_rule::bytes));
  CHECK(covers("", "", prefix_rule::bytes));
}

TEST_CASE("a suffix joined to its prefix names the same path again [seed 7.6]") {
  const std::string_view prefixes[] = {"", "room", "room/", "a/b", "/a"};
  const std::string_view paths[] = {"room", "room/alice", "room/alice/cam", "a/b/c", "a/b", "roomy"};
  for (const std::string_view prefix : prefixes)
    for (const std::string_view path : paths)
      for (const prefix_rule rule : {prefix_rule::segments, prefix_rule::bytes}) {
        std::string_view suffix;
        if (!covers(prefix, path, rule, suffix)) continue;
        char joined[64];
        char clean[64];
        const std::string_view whole(joined, join(prefix, suffix, rule, joined));
        if (rule == prefix_rule::bytes)
          CHECK(whole == path);
        else
          CHECK(std::string_view(clean, normalise(whole, clean)) == path);
      }
}

TEST_CASE("Q-01 the one spelling of a path has no leading, trailing or repeated slashes") {
  const auto clean = [](std::string_view s) {
    std::string out(s.size(), '\0');
    out.resize(normalise(s, out.data()));
    return out;
  };
  CHECK(clean("") == "");
  CHECK(clean("/") == "");
  CHECK(clean("///") == "");
  CHECK(clean("/room//alice/") == "room/alice");
  CHECK(clean("a/../b") == "a/../b");  // dots mean nothing
  for (const std::string_view s : {"x", "/x/y//", "//"}) CHECK(clean(clean(s)) == clean(s));
}

TEST_CASE("segments of a path are what lies between slashes; no more than 32 are accepted") {
  CHECK(segment_count("") == 0);
  CHECK(segment_count("/") == 0);
  CHECK(segment_count("a//b/") == 2);
  std::string path;
  for (std::size_t i = 0; i < path_segments_max; ++i) path += "s/";
  CHECK(is_valid_path(path));
  path += 's';
  CHECK_FALSE(is_valid_path(path));
  CHECK(is_valid_path(std::string(200, '/')));
  CHECK_FALSE(is_valid_path("\xff"));
}

TEST_CASE("number, name and token of a version lead back to it [seed 7.4.1 a] [seed 3.1.2 c]") {
  for (const version_facts& f : all_versions) {
    CHECK(facts(f.id).number == f.number);
    CHECK(version_numbered(f.number) == f.id);
    CHECK(version_named(f.name) == f.id);
    if (negotiates_in_band(f.id))
      CHECK(f.protocol == in_band_protocol);
    else
      CHECK(version_of_protocol(f.protocol) == f.id);
  }
  CHECK_FALSE(version_of_protocol(in_band_protocol));
  CHECK_FALSE(version_numbered(0xff0dad00));
  CHECK_FALSE(version_numbered(0xff0dad07));
  CHECK_FALSE(version_numbered(0xff00000e));
  CHECK_FALSE(version_named("6"));
}

TEST_CASE("0xff0dad05 names a version but is not one that 01 and 02 negotiate by number [seed 7.4.1 b]") {
  CHECK(version_numbered(0xff0dad05) == lite05);
  CHECK_FALSE(negotiates_in_band(*version_numbered(0xff0dad05)));
  CHECK(negotiates_in_band(lite01));
  CHECK(negotiates_in_band(lite02));
}

TEST_CASE("Q-39 the work in progress on 06 is another protocol, never an alias") {
  CHECK_FALSE(version_of_protocol("moq-lite-06-wip"));
  CHECK_FALSE(version_of_protocol("moq-lite-07-wip"));
  CHECK_FALSE(version_of_protocol("qmux-01.moq-lite-06"));
  CHECK_FALSE(version_of_protocol(""));
}

TEST_CASE("capabilities come and go as the drafts say") {
  struct row {
    bool (*has)(version);
    std::string_view in;
  };
  const row rows[] = {
      {negotiates_in_band, "12"}, {has_announce_init, "12"}, {has_setup, "56"},         {has_announce_ok, "56"},
      {has_announce_ids, "6"},    {has_ranges, "3456"},      {has_frame_bounds, "6"},   {has_timestamps, "56"},
      {has_datagrams, "56"},      {has_track_stream, "56"},  {has_subscribe_end, "56"}, {has_drop, "3456"},
      {has_fetch, "3456"},        {has_probe, "3456"},       {has_goaway, "456"},       {has_ordered, "345"}};
  for (const row& r : rows)
    for (const version_facts& f : all_versions)
      CHECK(r.has(f.id) == (r.in.find(static_cast<char>('0' + static_cast<int>(f.id))) != std::string_view::npos));
}

TEST_CASE("a version set is open towards drafts that do not exist yet") {
  static_assert(since(lite05).has(lite06) && !since(lite05).has(lite04));
  static_assert(since(lite05).has(static_cast<version>(7)));
  static_assert(before(lite03).has(lite01) && !before(lite03).has(lite03));
  static_assert(only(lite04, lite05).has(lite04) && !only(lite04, lite05).has(lite06));
  static_assert(always.has(lite01) && !never.has(lite01));
}

TEST_CASE("every error has one line in the table: a text, and a rule if it is the peer's fault") {
  for (std::size_t i = 0; i < static_cast<std::size_t>(errc::count_); ++i) {
    const auto e = static_cast<errc>(i);
    CHECK(facts(e).id == e);
    CHECK_FALSE(text_of(e).empty());
    if (e > errc::not_supported) CHECK_MESSAGE(!facts(e).rule.empty(), text_of(e));
    for (const version_facts& v : all_versions) {
      const scope s = scope_of(e, v.id);
      if (s == scope::caller) CHECK(facts(e).callers);
      if (s == scope::session) CHECK(facts(e).session_in.has(v.id));
    }
  }
  CHECK(scope_of(errc::ok, lite06) == scope::none);
  CHECK(scope_of(errc::need_more, lite06) == scope::none);
}

TEST_CASE("R-016 R-017 an unknown stream type ends the session in 01 and 02 and the stream from 03 on") {
  for (const version_facts& v : all_versions)
    CHECK(scope_of(errc::unknown_stream_type, v.id) == (v.id < lite03 ? scope::session : scope::stream));
}
TEST_CASE("R-018 R-021 a length that does not fit its fields closes the session in every version") {
  for (const version_facts& v : all_versions) {
    CHECK(scope_of(errc::trailing, v.id) == scope::session);
    CHECK(scope_of(errc::truncated, v.id) == scope::session);
    CHECK(facts(errc::trailing).on_session == session_code::protocol_violation);
  }
}
TEST_CASE("R-120 R-110 R-130 a wrong timescale or bound costs its stream only") {
  for (const errc e : {errc::zero_timescale, errc::bad_frame_bounds, errc::bad_fetch_bounds, errc::stream_cut})
    for (const version_facts& v : all_versions) CHECK(scope_of(e, v.id) == scope::stream);
}

TEST_CASE("R-010 R-012 codes of streams and sessions are two spaces, and reserved ones carry no meaning") {
  CHECK(static_cast<std::uint64_t>(application_code(0)) == 64);
  CHECK(is_registered(stream_code::malformed_track));
  for (std::uint64_t c = 32; c <= 47; ++c) CHECK_FALSE(is_registered(static_cast<stream_code>(c)));
  CHECK_FALSE(is_registered(static_cast<stream_code>(0x3a)));
  CHECK(is_cancel(1, lite06));
  CHECK_FALSE(is_cancel(0, lite06));
  CHECK(is_cancel(0, lite05));
}

TEST_CASE("two spellings name one broadcast when their segments are the same [seed 2.4.1]") {
  CHECK(same_path("room/a", "/room//a/"));
  CHECK(same_path("", "/"));
  CHECK(!same_path("room/a", "room"));
  CHECK(!same_path("room", "room/a"));
  CHECK(!same_path("room/a", "room/ab"));
}

TEST_CASE("R-010 a code has the name of its own space, and one that is not registered has none") {
  CHECK(name_of(session_code::internal_error) == name_of(stream_code::internal_error));  // 0x1 here and 0x0 there
  CHECK(name_of(session_code{0x3}) == "PROTOCOL_VIOLATION");
  CHECK(name_of(stream_code{0x3}) == "SESSION_CLOSED");
  for (std::uint64_t v = 0; v < 0x100; ++v) {
    CAPTURE(v);
    const bool came_later = stream_code{v} == stream_code::unauthorized;  // named, but not in the table of 06
    CHECK(name_of(stream_code{v}).empty() != (is_registered(stream_code{v}) || came_later));
  }
  CHECK(name_of(session_code{0x20}).empty());
}

TEST_CASE("a search in what is sorted finds the first place that is not before, from any low to any high") {
  for (std::size_t n = 0; n < 20; ++n)
    for (std::size_t low = 0; low <= n; ++low)
      for (std::size_t at = low; at <= n; ++at) {
        std::size_t asked = 0;
        const std::size_t found = moql::first_not(low, n, [&](std::size_t i) {
          REQUIRE(i >= low);
          REQUIRE(i < n);
          ++asked;
          return i < at;
        });
        CHECK(found == at);
        CHECK(asked <= 5);
      }
}

TEST_CASE("another seed gives a name another hash, and all spellings of a path have one under every seed") {
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}}) {
    CHECK(hash_of("room", first_hash(seed)) != hash_of("room", first_hash(seed + 5)));
    CHECK(hash_of_path("room/alice", first_hash(seed)) != hash_of_path("room/alice", first_hash(seed + 5)));
    CHECK(hash_of_path("room/alice", first_hash(seed)) == hash_of_path("/room//alice/", first_hash(seed)));
  }
  CHECK(hash_of("room", first_hash(0)) == hash_of("room"));
}
