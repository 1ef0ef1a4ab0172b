#pragma once
// What the benchmark programs have in common:
//
//   program                        Google Benchmark
//   program --ir NAME PASSES       runs one operation that often and nothing else, to be counted: under callgrind,
//                                  (instructions of 30 passes - of 10) / 20 / items is exact (tools/ir.sh)
//   program --list                 names and items per pass

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bench {

inline void must(bool holds) {
  if (!holds) std::abort();
}

/// One operation; what it needs is made when it is run.
struct operation {
  std::string name;
  std::size_t items;  ///< Per pass.
  std::size_t bytes;
  std::function<std::function<void()>()> make;
};

/// An operation whose state is a `T` made from `args`, and whose pass is `T::pass`.
template <class T, class... A>
operation op(std::string name, std::size_t items, std::size_t bytes, A... args) {
  return {std::move(name), items, bytes,
          [=] { return std::function<void()>([state = std::make_shared<T>(args...)] { state->pass(); }); }};
}

inline int run(int argc, char** argv, const std::vector<operation>& all) {
  if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
    for (const operation& o : all) std::printf("%s %zu\n", o.name.c_str(), o.items);
    return 0;
  }
  if (argc == 4 && std::strcmp(argv[1], "--ir") == 0) {
    for (const operation& o : all) {
      if (o.name != argv[2]) continue;
      const auto pass = o.make();
      for (int i = std::atoi(argv[3]); i > 0; --i) pass();
      std::printf("%zu\n", o.items);
      std::fflush(stdout);
      std::_Exit(0);  // what has grown with the passes is not taken down again: that would be counted
    }
    std::fprintf(stderr, "no such operation, see --list\n");
    return 2;
  }
  for (const operation& o : all)
    benchmark::RegisterBenchmark(o.name.c_str(), [&o](benchmark::State& state) {
      const auto pass = o.make();
      pass();
      for (auto _ : state) pass();
      state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(o.items));
      state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(o.bytes));
    });
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace bench
