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

using numbers = std::vector<std::uint64_t>;

[[nodiscard]] inline std::uint64_t code(moql::stream_code c) { return static_cast<std::uint64_t>(c); }

}  // namespace testing
