// The suite for adapters on the one that needs no network, with all of its habits.

#include "conformance_loopback.hpp"

using namespace moql;
namespace conformance = testing::conformance;

TEST_CASE("the in-memory adapter keeps what every adapter must keep [seed 3.1.2 a]") {
  for (const loopback_options& habits : conformance::loopback_habits) {
    CAPTURE(&habits - conformance::loopback_habits);
    conformance::check_adapter(
        [&](const conformance::wishes& w = {}) { return conformance::loopback_link(habits, w); });
  }
}

TEST_CASE("the in-memory adapter keeps it whatever the seed of its chances [seed 3.1.2 a]") {
  loopback_options o = conformance::loopback_habits[8];
  for (o.seed = 2; o.seed <= 8; ++o.seed) {
    CAPTURE(o.seed);
    conformance::check_adapter([&](const conformance::wishes& w = {}) { return conformance::loopback_link(o, w); });
  }
}

TEST_CASE("every question of the adapters' suite has a name of its own [seed 3.1.2 a]") {
  const auto make = [] { return conformance::loopback_link({}); };
  std::set<std::string_view> names;
  for (const auto& q : conformance::questions<decltype(make)>) names.insert(q.name);
  CHECK(names.size() == std::size(conformance::questions<decltype(make)>));
  CHECK(names.count("") == 0);
}
