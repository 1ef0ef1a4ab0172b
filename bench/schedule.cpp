// What it costs to decide which stream is written next. The argument is the number of flows with something to write.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <vector>

#include "moql/delivery/heap.hpp"
#include "moql/delivery/schedule.hpp"
#include "moql/delivery/timers.hpp"

namespace {

using namespace moql;

std::vector<std::uint64_t> random_keys(std::size_t n) {
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> keys(n);
  for (auto& k : keys) k = random();
  return keys;
}

void heap_insert_erase(benchmark::State& state) {
  const auto n = static_cast<std::uint32_t>(state.range(0));
  const auto keys = random_keys(4096);
  indexed_heap<std::uint64_t> heap;
  for (std::uint32_t i = 0; i < n; ++i)
    if (!heap.push(i, keys[i % 4096])) return;
  std::size_t at = 0;
  std::uint32_t id = 0;
  for (auto _ : state) {
    heap.erase(id);
    if (!heap.push(id, keys[++at % 4096])) return;
    id = static_cast<std::uint32_t>((id + 7919u) % n);
  }
  benchmark::DoNotOptimize(heap.top().id);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(heap_insert_erase)->RangeMultiplier(10)->Range(100, 100'000);

// The queue of a fetch, a blocked stream or a finished group: a stream of some flow comes and goes.
void schedule_ready_unready(benchmark::State& state) {
  const auto n = static_cast<std::uint32_t>(state.range(0));
  schedule s;
  std::mt19937 random(1);
  for (std::uint32_t i = 0; i < n; ++i) {
    const flow_id f = s.add_flow(static_cast<std::uint8_t>(random() % 4), 0, group_order::newest_first);
    if (f == schedule::none || (i % 2 == 0 && !s.ready(f, 0, 0))) return;
  }
  std::uint32_t id = 1;
  for (auto _ : state) {
    if (!s.ready(id, 0, 0)) return;
    s.unready(id, 0, 0);
    id = static_cast<std::uint32_t>((id + 7920u) % n) | 1u;
    if (id >= n) id = 1;
  }
  benchmark::DoNotOptimize(s.best());
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(schedule_ready_unready)->RangeMultiplier(10)->Range(100, 100'000);

// Equal flows with endless data: look, write (not measured here), go to the back.
void schedule_serve_requeue(benchmark::State& state) {
  const auto n = static_cast<std::uint32_t>(state.range(0));
  schedule s;
  for (std::uint32_t i = 0; i < n; ++i) {
    const flow_id f = s.add_flow(1, 1, group_order::newest_first);
    if (f == schedule::none || !s.ready(f, 0, 0)) return;
  }
  for (auto _ : state) {
    const auto p = s.best();
    benchmark::DoNotOptimize(p);
    s.served(p.flow);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(schedule_serve_requeue)->RangeMultiplier(10)->Range(100, 100'000);

// A group arrives, is written whole and is done, on flows of a few priorities.
void schedule_group(benchmark::State& state) {
  const auto n = static_cast<std::uint32_t>(state.range(0));
  schedule s;
  std::mt19937 random(1);
  for (std::uint32_t i = 0; i < n; ++i)
    if (s.add_flow(static_cast<std::uint8_t>(random() % 4), 0, group_order::newest_first) == schedule::none) return;
  std::uint64_t group = 0;
  for (auto _ : state) {
    ++group;
    for (flow_id f = 0; f < n; ++f)
      if (!s.ready(f, group, f)) return;
    while (!s.empty()) {
      const auto p = s.best();
      s.unready(p.flow, p.sequence, p.item);
      s.served(p.flow);
    }
  }
  state.SetItemsProcessed(state.iterations() * n);
}
BENCHMARK(schedule_group)->RangeMultiplier(10)->Range(100, 100'000);

// One flow far behind: serving it and adding to it must not depend on the length of its backlog.
void schedule_backlog(benchmark::State& state) {
  const auto n = static_cast<std::uint64_t>(state.range(0));
  schedule s;
  const flow_id f = s.add_flow(1, 1, group_order::oldest_first);
  std::uint64_t next = 0;
  while (next < n)
    if (!s.ready(f, next++, 0)) return;
  for (auto _ : state) {
    s.unready(f, s.best().sequence, 0);
    if (!s.ready(f, next++, 0)) return;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(schedule_backlog)->RangeMultiplier(10)->Range(100, 100'000);

void timer_move(benchmark::State& state) {
  const auto n = static_cast<std::uint32_t>(state.range(0));
  timers t;
  for (std::uint32_t i = 0; i < n; ++i)
    if (!t.set(i, instant{i})) return;
  std::int64_t now = n;
  std::uint32_t id = 0;
  for (auto _ : state) {
    if (!t.set(id, instant{++now})) return;
    id = static_cast<std::uint32_t>((id + 7919u) % n);
  }
  benchmark::DoNotOptimize(t.next());
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(timer_move)->RangeMultiplier(10)->Range(100, 100'000);

}  // namespace

BENCHMARK_MAIN();
