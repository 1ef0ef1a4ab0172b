#pragma once
/// The questions of the conformance suite about streams: their bytes, their ends, and ends before their time.

#include "conformance_bench.hpp"

namespace testing::conformance {

// ---- streams and their bytes

template <class Link>
void ordering(Link&& link) {
  bench<Link> t{link};
  std::map<stream_id, std::string> said;
  for (int i = 0; i < 6; ++i) said[t.open(i % 2 == 0 ? direction::uni : direction::bidi)];
  for (int round = 0; round < 5; ++round)
    for (auto& [id, text] : said) {
      const std::string more = some_bytes(static_cast<std::size_t>(round * 17 + 1));
      text += more;
      t.put_all(id, more, false);
    }
  for (auto& [id, text] : said) t.put_all(id, "", true);
  t.run();
  CHECK(t.b.opened.size() == 6);
  for (auto& [id, text] : said) {
    CHECK(t.b.streams[id].dir == t.a.streams[id].dir);
    CHECK(t.b.streams[id].data == text);
    CHECK(t.b.streams[id].fin);
    CHECK(t.b.streams[id].resets == 0);
  }
  t.good();
}

template <class Link>
void partial_writes(Link&& link) {
  bench<Link> t{link};
  const stream_id id = t.open(direction::uni);
  const std::string all = some_bytes(20'000);
  t.put_all(id, all, true);
  t.run();
  CHECK(t.b.streams[id].data == all);
  CHECK(t.b.streams[id].fin);
  t.good();
}

template <class Link>
void both_directions(Link&& link) {
  bench<Link> t{link};
  const stream_id asked = t.open(direction::bidi);
  t.put_all(asked, "question", true);
  REQUIRE(t.ends_at_b(asked));
  CHECK(t.b.streams[asked].data == "question");
  t.put_all(t.b, link.b(), asked, "answer", true);
  // And one that the other side opens.
  const open_result r = link.b().open(direction::bidi);
  REQUIRE(r.status == transport_status::ok);
  CHECK(r.id != asked);
  t.b.streams[r.id].dir = direction::bidi;
  t.put_all(t.b, link.b(), r.id, "and back", true);
  REQUIRE(t.until([&] { return t.a.streams.count(r.id) != 0 && t.a.streams[r.id].fin; }));
  CHECK(t.a.opened == std::vector{r.id});
  CHECK(t.a.streams[r.id].dir == direction::bidi);
  t.put_all(r.id, "heard", true);
  t.run();
  CHECK(t.a.streams[asked].data == "answer");
  CHECK(t.a.streams[asked].fin);
  CHECK(t.a.streams[r.id].data == "and back");
  CHECK(t.b.streams[r.id].data == "heard");
  CHECK(t.b.streams[r.id].fin);
  t.good();
}

template <class Link>
void bare_fin(Link&& link) {
  bench<Link> t{link};
  const stream_id id = t.open(direction::bidi);
  t.put_all(id, "abc", false);
  t.run();
  CHECK(t.b.streams[id].data == "abc");
  CHECK(!t.b.streams[id].fin);
  CHECK(bench<Link>::end(link.a(), id).status == transport_status::ok);
  CHECK(t.ends_at_b(id));
  CHECK(t.b.streams[id].data == "abc");
  CHECK(t.b.streams[id].fin);
  t.good();
}

template <class Link>
void empty_streams(Link&& link) {
  for (const direction d : {direction::uni, direction::bidi}) {
    bench<Link> t{link};
    const stream_id id = t.open(d);
    CHECK(bench<Link>::end(link.a(), id).status == transport_status::ok);
    CHECK(t.ends_at_b(id));
    CHECK(t.b.opened == std::vector{id});
    CHECK(t.b.streams[id].data.empty());
    CHECK(t.b.streams[id].fin);
    t.good();
  }
}

/// 4 MB on eight streams, each way, unless the link is for less.
template <class Link>
void large_transfer(Link&& link) {
  bench<Link> t{link};
  std::size_t size = 512 * 1024;
  if constexpr (requires { link.large(); }) size = link.large();
  struct sending {
    stream_id id;
    bool from_a;
    std::string all;
    std::size_t sent = 0;
    int heard = -1;  // how often it had been writable when it was blocked
    bool over = false;
  };
  std::vector<sending> out;
  for (std::size_t i = 0; i < 8; ++i) out.push_back({t.open(direction::bidi), true, some_bytes(size, i), 0, -1, false});
  std::size_t left = 16;
  const auto go_on = [&] {
    for (; out.size() < 8 + t.b.opened.size();) {
      const stream_id id = t.b.opened[out.size() - 8];
      out.push_back({id, false, some_bytes(size, static_cast<std::size_t>(id) + 100), 0, -1, false});
    }
    for (sending& s : out) {
      listener& l = s.from_a ? t.a : t.b;
      if (s.over || s.heard == l.streams[s.id].writable) continue;
      const std::string_view rest = std::string_view(s.all).substr(s.sent);
      const bool last = rest.size() <= 65536;
      s.heard = l.streams[s.id].writable;
      const std::string_view next = rest.substr(0, 65536);
      const write_result w =
          s.from_a ? bench<Link>::put(link.a(), s.id, next, last) : bench<Link>::put(link.b(), s.id, next, last);
      s.sent += w.accepted;
      s.over = last && w.status == transport_status::ok;
      if (w.status == transport_status::ok) s.heard = -1;
      if (s.over) --left;
      if (w.status == transport_status::closed) FAIL("closed in the middle");
    }
    return left == 0;
  };
  REQUIRE(t.until(go_on));
  t.run();
  for (const sending& s : out) {
    const auto& got = (s.from_a ? t.b : t.a).streams[s.id];
    CHECK(got.data.size() == s.all.size());
    CHECK((got.data == s.all));
    CHECK(got.fin);
  }
  t.good();
}

// ---- ends before their time

/// Legal in any state; the peer hears one end, and if that is the FIN it has everything.
template <class Link>
void reset_after_fin(Link&& link) {
  for (const bool is_late : {false, true}) {
    bench<Link> t{link};
    const stream_id id = t.open(direction::uni);
    const std::string all = some_bytes(300);
    t.put_all(id, all, true);
    if (is_late) t.run();
    link.a().reset(id, 7);
    link.a().reset(id, 8);
    t.run();
    const auto& s = t.b.streams[id];
    CHECK((s.fin ? 1 : 0) + s.resets == 1);
    if (s.fin) CHECK(s.data == all);
    if (s.resets != 0) CHECK(s.reset_code == 7);
    if (is_late) CHECK(s.fin);
    CHECK(all.starts_with(s.data));
    t.good();
  }
}

/// The peer may or may not hear of such a stream; if it does, it hears its end.
template <class Link>
void reset_before_any_byte(Link&& link) {
  bench<Link> t{link};
  for (const direction d : {direction::uni, direction::bidi}) {
    const stream_id id = t.open(d);
    link.a().reset(id, 7);
    link.a().reset(id, 8);
    t.run();
    if (t.b.streams.count(id) == 0) continue;
    CHECK(t.b.streams[id].data.empty());
    CHECK(!t.b.streams[id].fin);
    CHECK(t.b.streams[id].resets == 1);
    CHECK(t.b.streams[id].reset_code == 7);
  }
  t.still_works();
  t.good();
}

/// What has arrived in front of a reset is a prefix of what was written.
template <class Link>
void reset_after_data(Link&& link) {
  for (const bool is_late : {false, true}) {
    bench<Link> t{link};
    const stream_id id = t.open(direction::bidi);
    const std::string all = some_bytes(20'000);
    const write_result w = bench<Link>::put(link.a(), id, all, false);
    CHECK(w.accepted > 0);
    if (is_late) t.run(false);
    link.a().reset(id, 9);
    t.run();
    link.a().reset(id, 10);  // and again when it is over
    t.run();
    if (is_late || t.b.streams.count(id) != 0) {
      const auto& s = t.b.streams[id];
      CHECK(!s.fin);
      CHECK(s.resets == 1);
      CHECK(s.reset_code == 9);
      CHECK(s.data.size() <= w.accepted);
      CHECK(all.starts_with(s.data));
    }
    if (is_late) {  // the other direction goes on
      t.put_all(t.b, link.b(), id, "ok", true);
      CHECK(t.until([&] { return t.a.streams[id].fin; }));
      CHECK(t.a.streams[id].data == "ok");
    }
    t.still_works();
    t.good();
  }
}

/// The writer hears the code and ends its side; other streams are not touched.
template <class Link>
void stop_during_write(Link&& link) {
  bench<Link> t{link};
  const stream_id other = t.open(direction::uni);
  const stream_id id = t.open(direction::bidi);
  const std::string all = some_bytes(20'000);
  const write_result w = bench<Link>::put(link.a(), id, all, false);
  CHECK(w.accepted > 0);
  t.run(false);
  REQUIRE(t.b.streams.count(id) == 1);
  link.b().stop(id, 33);
  link.b().stop(id, 34);
  t.run(false);
  CHECK(t.a.streams[id].stops == 1);
  CHECK(t.a.streams[id].stop_code == 33);
  link.a().reset(id, 33);
  t.run();
  const auto& s = t.b.streams[id];
  CHECK(!s.fin);
  CHECK(s.resets <= 1);
  CHECK(all.starts_with(s.data));
  link.b().stop(id, 35);  // when all is over
  t.run();
  CHECK(t.a.streams[id].stops == 1);
  // The other direction of the stream and the other stream go on.
  const write_result back = bench<Link>::put(link.b(), id, "ok", true);
  CHECK(back.status == transport_status::ok);
  t.put_all(other, all.substr(0, 500), true);
  t.run();
  CHECK(t.a.streams[id].data == "ok");
  CHECK(t.a.streams[id].fin);
  CHECK(t.b.streams[other].data == all.substr(0, 500));
  CHECK(t.b.streams[other].fin);
  t.good();
}

/// It may come too late to be heard; either way the stream ends once and with nothing wrong in it.
template <class Link>
void stop_after_fin(Link&& link) {
  for (const bool is_late : {false, true}) {
    bench<Link> t{link};
    const stream_id id = t.open(direction::bidi);
    const std::string all = some_bytes(3000);
    t.put_all(id, all, true);
    if (is_late)
      CHECK(t.ends_at_b(id));
    else
      REQUIRE(t.reaches_b(id));
    link.b().stop(id, 33);
    t.run();
    CHECK(t.a.streams[id].stops <= 1);
    if (t.a.streams[id].stops != 0) {
      CHECK(t.a.streams[id].stop_code == 33);
      link.a().reset(id, 33);
    }
    t.run();
    const auto& s = t.b.streams[id];
    CHECK((s.fin ? 1 : 0) + s.resets <= 1);
    if (s.fin) CHECK(s.data == all);
    if (is_late) CHECK(s.fin);
    CHECK(all.starts_with(s.data));
    t.still_works();
    t.good();
  }
}

/// `closed` is for good, and takes nothing.
template <class Link>
void write_to_what_is_over(Link&& link) {
  bench<Link> t{link};
  const stream_id ended = t.open(direction::bidi);
  t.put_all(ended, "all", true);
  const stream_id cut = t.open(direction::bidi);
  t.put_all(cut, "some", false);
  t.run();
  link.a().reset(cut, 5);
  t.run();
  t.forgive();
  for (const stream_id id : {ended, cut}) {
    const write_result w = bench<Link>::put(link.a(), id, "more", false);
    CHECK(w.status == transport_status::closed);
    CHECK(w.accepted == 0);
    CHECK(bench<Link>::end(link.a(), id).status == transport_status::closed);
  }
  t.still_works();
  CHECK(t.b.streams[ended].data == "all");
  CHECK(t.b.streams[cut].data == "some");
  CHECK(t.b.streams[cut].resets == 1);
  t.good();
}

}  // namespace testing::conformance
