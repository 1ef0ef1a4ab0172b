/// What one more subscription costs a session that serves it, in bytes of memory.

#include <doctest/doctest.h>

#include "counting_memory.hpp"
#include "peer.hpp"

using namespace moql;

namespace {

/// A transport that takes everything.
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
    if (has_setup(v)) receive(1, direction::uni, opening(static_cast<std::uint64_t>(uni_type::setup), msg::setup{}), true);
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

TEST_CASE("a subscription more costs a session less than 512 bytes, with a group on its way too") {
  constexpr std::size_t n = 1000;
  for (const version v : {lite04, lite06}) {
    for (const bool is_live : {false, true}) {
      CAPTURE(facts(v).name);
      CAPTURE(is_live);
      server x(v);
      const std::uint8_t payload[100]{};
      const auto write = [&] { REQUIRE(x.cache.append(0, bytes::borrow(payload)) == errc::ok); };
      if (is_live) {  // each gets the group that is open at once
        REQUIRE(x.cache.begin_group({}) == errc::ok);
        write();
      }
      x.subscribe(1);
      const std::size_t at_first = x.used.bytes;
      const auto each = [&] { return static_cast<double>(x.used.bytes - at_first) / n; };
      x.subscribe(n);
      CHECK(x.s.streams_held() >= (is_live ? 2 * n : n));
      const double served = each();
      if (!is_live) {
        REQUIRE(x.cache.begin_group({}) == errc::ok);
        write();
        x.settle();
      }
      CHECK(x.s.streams_held() >= 2 * n);
      write();
      x.settle();
      const double open = each();
      REQUIRE(x.cache.end_group() == errc::ok);
      x.settle();
      CHECK(x.s.streams_held() < n + 10);
      const double after = each();
      for (int i = 0; i < 20; ++i) {
        REQUIRE(x.cache.begin_group({}) == errc::ok);
        write();
        x.settle();
      }
      const double later = each();
      MESSAGE(facts(v).name << (is_live ? " live" : " before") << ": served " << served << ", group open " << open << ", after it " << after << ", 20 groups on "
              << later);
      x.subscribe(100);
      MESSAGE("  1,100 of them: " << static_cast<double>(x.used.bytes - at_first) / (n + 100));
      CHECK(later < 512);
    }
  }
}
