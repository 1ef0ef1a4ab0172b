/// What one more subscription costs a session that serves it, in bytes taken from its memory. Names of 31 bytes;
/// nothing is ever given back before the session ends, so the number between groups is the largest of all that came
/// before.

#include <doctest/doctest.h>

#include <moql/moql.hpp>

#include <string>
#include <vector>

#include "counting_memory.hpp"

using namespace moql;

namespace {

/// Takes everything.
struct sink : transport_defaults {
  std::uint64_t next = std::uint64_t{1} << 40;
  open_result open(direction) noexcept { return {transport_status::ok, static_cast<stream_id>(next += 4)}; }
  write_result write(stream_id, std::span<const chunk> pieces, bool) noexcept {
    std::size_t n = 0;
    for (const chunk& c : pieces) n += c.size;
    return {transport_status::ok, n};
  }
  void reset(stream_id, std::uint64_t) noexcept {}
  void stop(stream_id, std::uint64_t) noexcept {}
  void close(std::uint64_t, std::string_view) noexcept {}
  [[nodiscard]] std::string_view protocol() const noexcept { return {}; }
};

struct server {
  counting_memory used;
  track_cache cache{{.groups_max = 2}};  // its memory is the track's, not the subscriptions'
  sink out;
  session s;
  version ver;
  std::uint64_t asked = 0;

  explicit server(version v) : s(settings(v), used.get()), ver(v) {
    REQUIRE(s.start(facts(v).protocol, {}) == errc::ok);
    if (has_setup(v))
      receive(2, direction::uni, opening(static_cast<std::uint64_t>(uni_type::setup), msg::setup{}), true);
    settle();
  }
  static config settings(version v) {
    config c{.side = endpoint::server, .versions = only(v)};
    c.caps.subscriptions_max = 1 << 20;
    return c;
  }
  template <class M>
  [[nodiscard]] std::vector<std::uint8_t> opening(std::uint64_t type, const M& m) const {
    std::vector<std::uint8_t> bytes(1 + encoded_size(m, ver));
    bytes[0] = static_cast<std::uint8_t>(type);
    REQUIRE(encode(m, ver, std::span(bytes).subspan(1)).why == errc::ok);
    return bytes;
  }
  void receive(std::uint64_t id, direction dir, const std::vector<std::uint8_t>& data, bool fin) {
    s.on_open(static_cast<stream_id>(id), dir, {});
    s.on_data(static_cast<stream_id>(id), bytes::borrow(data), fin, {});
    settle();
  }
  void settle() {
    while (const auto e = s.next_event())
      if (const auto* r = std::get_if<subscribe_requested>(&*e)) CHECK(s.serve(r->request, cache) == errc::ok);
    pump(s, out, {});
  }
  void subscribe(std::size_t n) {
    for (std::size_t i = 0; i < n; ++i, ++asked)
      receive(4 * asked, direction::bidi,
              opening(static_cast<std::uint64_t>(bidi_type::subscribe),
                      msg::subscribe{.id = asked,
                                     .broadcast = "live/room-1234/alice",
                                     .track = "video/1080p",
                                     .want = {.priority = 128, .max_age_ms = 500}}),
              false);
  }
};

}  // namespace

TEST_CASE("one more subscription takes less than 512 bytes of a session, one group stream included [seed 5.1]") {
  constexpr std::size_t n = 1000;
  const std::uint8_t payload[100]{};
  for (const version v : {lite04, lite06})
    for (const bool is_live : {false, true}) {  // whether the first group is there before the subscriptions are
      CAPTURE(facts(v).name);
      CAPTURE(is_live);
      server x(v);
      const auto begin = [&] {
        REQUIRE(x.cache.begin_group({}) == errc::ok);
        REQUIRE(x.cache.append(0, bytes::borrow(payload)) == errc::ok);
      };
      if (is_live) begin();
      x.subscribe(1);
      const std::size_t at_first = x.used.bytes;
      const auto each = [&](std::size_t count) {
        return static_cast<double>(x.used.bytes - at_first) / static_cast<double>(count);
      };
      x.subscribe(n);
      CHECK(x.s.streams_held() >= (is_live ? 2 * n : n));
      const double served = each(n);
      if (!is_live) begin();
      x.settle();
      CHECK(x.s.streams_held() >= 2 * n);
      const double open = each(n);
      for (int i = 0; i < 20; ++i) {  // each group ends the one before it
        begin();
        x.settle();
      }
      CHECK(x.s.streams_held() >= 2 * n);
      CHECK(x.s.streams_held() < 2 * n + 10);
      const double later = each(n);
      REQUIRE(x.cache.end_group() == errc::ok);
      x.settle();
      CHECK(x.s.streams_held() < n + 10);
      CHECK(x.used.sizes_match);
      const double idle = each(n);
      x.subscribe(n / 10);  // just past a doubling of what is kept in one piece
      begin();
      x.settle();
      MESSAGE(std::string(facts(v).name) << std::string(is_live ? ", group first" : ", subscriptions first")
                                         << ": served " << served << ", one group open " << open << ", 20 groups later "
                                         << later << ", between groups " << idle << "; 1,100 of them "
                                         << each(n + n / 10));
      CHECK(served < 512);
      CHECK(open < 512);
      CHECK(later < 512);
      CHECK(idle < 512);
    }
}
