#pragma once
/// A subscriber of a relay in one line of a test.

#include <doctest/doctest.h>

#include "world.hpp"

namespace doctest {
template <>
struct StringMaker<std::vector<std::uint64_t>> {
  static String convert(const std::vector<std::uint64_t>& v) {
    std::string out = "{";
    for (const std::uint64_t n : v) out += " " + std::to_string(n);
    return (out + " }").c_str();
  }
};
}  // namespace doctest

namespace testing {

inline constexpr moql::msg::delivery everything{.priority = 3, .max_age_ms = 60'000};

/// A subscriber's connection to a relay, and its subscription.
struct watcher {
  subscriber_party who;
  connection* line = nullptr;
  moql::subscription_id id{};

  void join(world& w, party& relay, moql::version v, moql::loopback_options o = {}) {
    line = &w.connect(who, relay, v, o);
  }
  void subscribe(world& w, const std::string& path, const std::string& track,
                 const moql::msg::delivery& want = everything) {
    const auto got = line->client.session.subscribe(path, track, {.want = want}, w.now());
    REQUIRE(got.has_value());
    id = *got;
  }
  [[nodiscard]] moql::session& session() const { return line->client.session; }
};

/// Publishes room/alice, with a track of the name video.
struct video_publisher : publisher_party {
  explicit video_publisher(std::uint64_t its_hop = 7, const moql::track_options& o = {})
      : publisher_party("room/alice", its_hop) {
    track("video", o);
  }
};

/// A world of one relay and a subscriber of it. Publishers come as the test wants them.
struct one_relay : world {
  relay_party r;
  watcher a;
  explicit one_relay(const moql::relay_options& o = {.hop = 20}) : r(o) {}

  /// The subscriber joins and hears what is announced.
  void join(moql::version v = moql::lite06) {
    a.join(*this, r, v);
    run();
  }
  void subscribe() {
    a.subscribe(*this, "room/alice", "video");
    run();
  }
  void watch(moql::version v = moql::lite06) {
    join(v);
    subscribe();
  }
};

using numbers = std::vector<std::uint64_t>;

[[nodiscard]] inline std::uint64_t code(moql::stream_code c) { return static_cast<std::uint64_t>(c); }

}  // namespace testing
