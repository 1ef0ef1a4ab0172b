/// Whole-system checks: two sessions back to back, in every version.

#include <doctest/doctest.h>

#include "sim.hpp"

using namespace moql;
using testing::sim::balance;
using testing::sim::choices;
using testing::sim::tally;
using testing::sim::world;

namespace {

struct outcome {
  std::string fault;
  std::uint64_t trace = 0;
  tally client{}, server{};
};
constexpr std::size_t tally::*numbers[] = {
    &tally::announcements, &tally::subscriptions, &tally::whole_groups,  &tally::cut_groups,      &tally::frames,
    &tally::datagrams,     &tally::losses,        &tally::whole_fetches, &tally::refused_fetches, &tally::answers,
    &tally::refusals,      &tally::reports,       &tally::goaways};
version version_of(std::uint64_t seed) { return all_versions[seed % all_versions.size()].id; }
std::size_t mix_of(std::uint64_t seed) { return seed / all_versions.size() % testing::sim::mixes; }

/// `allowed`: after how many requests memory runs out, for good or, with `once`, for one request.
outcome play(std::uint64_t seed, std::size_t allowed = SIZE_MAX, bool once = false, std::size_t* requests = nullptr) {
  outcome out;
  balance memory;
  memory.allowed = allowed;
  memory.once = once;
  testing::sim::noise payload;
  {
    choices pick(seed * 0x2545f4914f6cdd1du + 1);
    const auto publishers = static_cast<unsigned>(1 + pick.below(3));
    world w(pick, version_of(seed), mix_of(seed), publishers, payload, memory.get(),
            requests != nullptr || allowed != SIZE_MAX);
    w.play(100 + pick.below(400));
    out = {w.fault, w.net.trace(), w.a.seen, w.b.seen};
  }
  if (requests != nullptr) *requests = memory.requests;
  if (out.fault.empty() && payload.shares() != 0) out.fault = "payload is still held";
  if (out.fault.empty() && (memory.blocks != 0 || memory.bytes != 0)) out.fault = "memory leaks";
  if (out.fault.empty() && !memory.sizes_match) out.fault = "a block came back with another size";
  return out;
}

}  // namespace

TEST_CASE(
    "1000 seeds of everything two sessions can do, in every version, over every kind of bad network [seed 5.5.3]") {
  std::uint64_t first = 0;
  std::uint64_t last = 1000;
  if (const char* one = std::getenv("MOQL_SIM_SEED")) last = (first = std::strtoull(one, nullptr, 10)) + 1;
  if (const char* many = std::getenv("MOQL_SIM_SEEDS")) last = first + std::strtoull(many, nullptr, 10);
  tally all;
  for (std::uint64_t seed = first; seed < last; ++seed) {
    const outcome one = play(seed);
    for (const tally& t : {one.client, one.server})
      for (const auto m : numbers) all.*m += t.*m;
    if (!one.fault.empty())
      FAIL_CHECK("MOQL_SIM_SEED=", seed, " version ", facts(version_of(seed)).name, ", mix ", mix_of(seed), ": ",
                 one.fault);
    if (seed % 4 != 0) continue;
    const outcome again = play(seed);
    if (again.trace != one.trace) FAIL_CHECK("MOQL_SIM_SEED=", seed, " does not repeat itself");
  }
  if (last - first < 1000) return;
  for (const auto m : numbers) CHECK(all.*m > 100);
  CHECK(all.frames > 50'000);
  CHECK(all.whole_groups > 20'000);
}

TEST_CASE(
    "memory that runs out in the middle of anything ends in order: no crash, no leak, nothing wrong is heard [seed "
    "10.1]") {
  const char* one = std::getenv("MOQL_SIM_SEED");
  const std::uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 0;
  for (std::uint64_t seed = first; seed < first + (one != nullptr ? 1 : 300); ++seed) {
    std::size_t requests = 0;
    (void)play(seed, SIZE_MAX, false, &requests);
    choices pick(seed);
    for (int i = 0; i < (one != nullptr ? 1000 : 6); ++i) {
      const std::size_t allowed = pick.below(requests + 1);
      const bool once = pick.below(2) == 0;
      const outcome out = play(seed, allowed, once);
      if (!out.fault.empty())
        FAIL_CHECK("MOQL_SIM_SEED=", seed, " version ", facts(version_of(seed)).name, ", request ", allowed,
                   (once ? " only: " : " on: ") + out.fault);
    }
  }
}
