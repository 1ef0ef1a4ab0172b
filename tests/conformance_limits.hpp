#pragma once
/// The questions of the conformance suite about limits, hints, datagrams and the end of the connection.

#include <algorithm>

#include "conformance_bench.hpp"

namespace testing::conformance {

// ---- credit

/// Blocked is no error and no end: there is credit again when a stream is over.
template <class Make>
void open_when_blocked(Make& make) {
  if constexpr (requires { make(wishes{}); }) {
    for (const direction d : {direction::uni, direction::bidi}) {
      auto&& link = make(wishes{.streams = 3});
      using link_type = std::remove_reference_t<decltype(link)>;
      bench<link_type> t{link};
      std::vector<stream_id> mine;
      open_result r{};
      while (mine.size() < 100 && (r = link.a().open(d)).status == transport_status::ok) {
        t.a.streams[r.id].dir = d;
        mine.push_back(r.id);
      }
      CHECK(r.status == transport_status::blocked);
      CHECK(!mine.empty());
      CHECK(mine.size() <= 8);  // a connection may need some for itself and be generous
      for (const stream_id id : mine) t.put_all(id, "x", false);
      t.run();
      CHECK(t.a.credits[static_cast<std::size_t>(d)] == 0);
      CHECK(link.a().open(d).status == transport_status::blocked);
      for (const stream_id id : mine) {
        t.put_all(id, "y", true);
        CHECK(t.ends_at_b(id));
        if (d == direction::bidi) t.put_all(t.b, link.b(), id, "z", true);
      }
      CHECK(t.until([&] { return t.a.credits[static_cast<std::size_t>(d)] != 0; }));
      const stream_id id = t.open(d);
      t.put_all(id, "works", true);
      CHECK(t.ends_at_b(id));
      CHECK(t.b.streams[id].data == "works");
      t.good();
    }
  }
}

/// Far past any limit: what is over gives its credit back.
template <class Make>
void short_streams(Make& make, direction d) {
  auto&& link = make_with(make, {.streams = 10});
  bench<std::remove_reference_t<decltype(link)>> t{link};
  constexpr std::size_t total = 500;
  std::map<stream_id, std::string> said;
  std::size_t answered = 0;
  const auto answer = [&] {  // what has arrived
    for (; d == direction::bidi && answered < t.b.opened.size(); ++answered) {
      const stream_id id = t.b.opened[answered];
      if (!t.b.streams[id].fin) return;
      t.put_all(t.b, link.b(), id, "r", true);
    }
  };
  const auto& credits = t.a.credits[static_cast<std::size_t>(d)];
  while (said.size() < total) {
    const int heard = credits;
    const open_result r = link.a().open(d);
    if (r.status == transport_status::blocked) {
      REQUIRE(t.until([&] {
        answer();
        return credits > heard;
      }));
      continue;
    }
    REQUIRE(r.status == transport_status::ok);
    REQUIRE(said.count(r.id) == 0);
    t.a.streams[r.id].dir = d;
    t.put_all(r.id, said[r.id] = some_bytes(20, said.size()), true);
  }
  CHECK(t.until([&] {
    answer();
    return t.b.opened.size() == total && (d == direction::uni || answered == total);
  }));
  t.run();
  CHECK(t.b.opened.size() == total);
  std::size_t wrong = 0;
  for (const auto& [id, text] : said) {
    const auto& s = t.b.streams[id];
    wrong += s.fin && s.data == text ? 0 : 1;
    const auto& back = t.a.streams[id];
    if (d == direction::bidi) wrong += back.fin && back.data == "r" ? 0 : 1;
  }
  CHECK(wrong == 0);
  t.good();
}

/// Who does not read holds up his own stream and no other; who reads again is written to again.
template <class Make>
void slow_reader(Make& make) {
  auto&& link = make_with(make, {.stream_window = 65536});
  using link_type = std::remove_reference_t<decltype(link)>;
  bench<link_type> t{link};
  std::size_t most = 8 << 20;  // whoever takes that much has no limit
  if constexpr (requires { link.large(); }) most = link.large() * 16;
  const stream_id slow = t.open(direction::uni);
  const stream_id quick = t.open(direction::uni);
  const std::string block = some_bytes(16'384);
  t.unread.insert(slow);
  std::string said;
  bool blocked = false;
  while (!blocked && said.size() < most) {
    const int heard = t.a.streams[slow].writable;
    const write_result w = bench<link_type>::put(link.a(), slow, block, false);
    said += block.substr(0, w.accepted);
    if (w.status == transport_status::ok) continue;
    REQUIRE(w.status == transport_status::blocked);
    blocked = !t.until([&] { return t.a.streams[slow].writable > heard; });
  }
  const int before = t.a.streams[slow].writable;
  const std::string all = some_bytes(100'000);
  t.put_all(quick, all, true);
  CHECK(t.ends_at_b(quick));
  CHECK((t.b.streams[quick].data == all));
  CHECK(said.starts_with(t.b.streams[slow].data));
  t.run();
  if (blocked) CHECK(t.a.streams[slow].writable == before);
  t.unread.clear();
  if (blocked) {
    CHECK(t.until([&] {
      // What was put off is read now, and that is what the writer waited for.
      return t.a.streams[slow].writable > before;
    }));
  }
  t.put_all(slow, "end", true);
  CHECK(t.ends_at_b(slow));
  CHECK((t.b.streams[slow].data == said + "end"));
  t.good();
}

// ---- hints and datagrams

template <class Link>
void priorities(Link&& link) {
  bench<Link> t{link};
  for (const std::int32_t order : {0, 1, -1, INT32_MAX, INT32_MIN}) {
    const stream_id id = t.open(direction::uni);
    link.a().priority(id, order);
    t.put_all(id, "x", false);
    link.a().priority(id, order / 2);
    t.put_all(id, "y", true);
    link.a().priority(id, 5);
    CHECK(t.ends_at_b(id));
    link.a().priority(id, 6);  // when it is over
    CHECK(t.b.streams[id].data == "xy");
  }
  t.good();
}

template <class Link>
void datagrams(Link&& link) {
  bench<Link> t{link};
  t.still_works();  // a connection that has carried something knows what fits
  bool some_are_lost = false;
  if constexpr (requires { link.loses_datagrams(); }) some_are_lost = link.loses_datagrams();
  const auto one_way = [&](auto& from, listener& to) {
    std::set<std::string> said;
    for (const std::size_t want : {std::size_t{1}, std::size_t{100}, std::size_t{1000}, SIZE_MAX}) {
      const std::size_t n = std::min(want, from.max_datagram());
      const std::string text = some_bytes(n, n);
      const byte_view data(reinterpret_cast<const std::uint8_t*>(text.data()), n);
      if (n == 0) {
        CHECK(from.datagram(byte_view(reinterpret_cast<const std::uint8_t*>("x"), 1)) != transport_status::ok);
        return;
      }
      const std::size_t heard = to.datagrams.size();
      CHECK(from.datagram(data) == transport_status::ok);
      said.insert(text);
      const bool came = t.until([&] { return to.datagrams.size() > heard; });
      if (!some_are_lost) {
        REQUIRE(came);
        CHECK((to.datagrams.back() == text));
      }
      const std::string more = some_bytes(from.max_datagram() + 1);
      const byte_view too_large(reinterpret_cast<const std::uint8_t*>(more.data()), more.size());
      CHECK(from.datagram(too_large) == transport_status::too_large);
    }
    t.run();
    for (const std::string& got : to.datagrams) CHECK(said.count(got) == 1);
    if (!some_are_lost) CHECK(to.datagrams.size() == 4);
  };
  one_way(link.a(), t.b);
  one_way(link.b(), t.a);
  t.good();
}

// ---- the end of the connection

/// The last thing that the peer hears, once, whatever was going on.
template <class Make>
void closing(Make& make) {
  struct end {
    std::uint64_t code;
    std::string reason;
  };
  for (const bool by_a : {true, false})
    for (const auto& said : {end{16, "done"}, end{0, ""}, end{0x3e9, std::string(1024, 'r')}}) {
      CAPTURE(by_a);
      CAPTURE(said.code);
      auto&& link = make();
      using link_type = std::remove_reference_t<decltype(link)>;
      bench<link_type> t{link};
      const stream_id id = t.open(direction::bidi);
      t.put_all(id, "x", false);
      REQUIRE(t.reaches_b(id));
      listener& closed = by_a ? t.b : t.a;
      if (by_a)
        link.a().close(said.code, said.reason);
      else
        link.b().close(said.code, said.reason);
      t.run();
      CHECK(closed.closes == 1);
      CHECK(closed.application);
      CHECK(closed.close_code == said.code);
      CHECK(closed.reason == said.reason);
      CHECK((by_a ? t.a : t.b).closes <= 1);
      t.good();
    }
}

/// Who has heard of the end and not yet acted on it gets `closed` for an answer, and nothing else happens.
template <class Link>
void after_the_close(Link&& link) {
  bench<Link> t{link};
  const stream_id id = t.open(direction::bidi);
  t.put_all(id, "x", false);
  REQUIRE(t.reaches_b(id));
  link.b().close(16, "done");
  CHECK(t.until([&] { return t.a.closes != 0; }));
  t.forgive();
  CHECK(link.a().open(direction::uni).status == transport_status::closed);
  CHECK(link.a().open(direction::bidi).status == transport_status::closed);
  CHECK(bench<Link>::put(link.a(), id, "more", true).status == transport_status::closed);
  CHECK(link.a().datagram({}) != transport_status::ok);
  link.a().consume(id, 0);
  link.a().priority(id, 1);
  link.a().reset(id, 1);
  link.a().stop(id, 1);
  link.a().close(17, "me too");
  link.a().close(18, "and again");
  (void)link.a().protocol();
  (void)link.a().max_datagram();
  (void)link.a().stats();
  t.run();
  CHECK(t.a.closes == 1);
  CHECK(t.a.close_code == 16);
  CHECK(t.a.reason == "done");
  CHECK(t.b.closes <= 1);
  CHECK(t.b.streams[id].data == "x");
  t.good();
}

}  // namespace testing::conformance
