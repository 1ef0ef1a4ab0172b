#pragma once
/// What the tests of a track's cache fill it with, and how they look into it.

#include <doctest/doctest.h>

#include <moql/delivery/track_cache.hpp>

#include <string>
#include <vector>

namespace testing {

using list = std::vector<std::uint64_t>;

inline list sequences(moql::track_cache& c) {
  list out;
  for (std::size_t i = 0; i < c.groups_held(); ++i) out.push_back(c.nth(i).sequence);
  return out;
}
inline moql::bytes payload(std::size_t n, moql::memory m = {}) { return moql::bytes::copy(std::string(n, 'p'), m); }
/// A whole group of one frame.
inline void one_frame(moql::track_cache& c, std::size_t size, moql::instant now = {}) {
  REQUIRE(c.begin_group(now) == moql::errc::ok);
  REQUIRE(c.append(0, payload(size)) == moql::errc::ok);
  REQUIRE(c.end_group() == moql::errc::ok);
}

struct counted_listener : moql::cache_listener {
  int calls = 0;
  explicit counted_listener(moql::track_cache& c) {
    changed = [](moql::cache_listener* l) noexcept { ++static_cast<counted_listener*>(l)->calls; };
    c.attach(*this);
  }
  ~counted_listener() {
    if (cache != nullptr) cache->detach(*this);
  }
  counted_listener(const counted_listener&) = delete;
  counted_listener& operator=(const counted_listener&) = delete;
};

}  // namespace testing
