// Codec: every message in every version, and integers alone. One op is 64 distinct messages (or 1024 integers), made
// from a fixed seed, so that the branch predictor cannot learn one of them; items per second are messages (integers).
//
// Numbers need -O2 and a quiet machine; compare two builds with interleaved runs, not with numbers of another day.

#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "moql/message/all.hpp"
#include "moql/wire/inspect.hpp"

using namespace moql;

namespace {

constexpr std::size_t per_op = 64;
constexpr std::uint64_t seed = 0x6d6f716c;

/// The messages of one op, their bytes one after the other, and where each begins.
template <class M>
struct batch {
  explicit batch(version v) {
    std::mt19937_64 rng(seed + static_cast<std::uint64_t>(v));
    for (std::size_t i = 0; i < per_op; ++i) {
      messages.push_back(inspect::generate<M>(rng, v, memory));
      const std::size_t at = bytes.size();
      bytes.resize(at + encoded_size(messages.back(), v));
      (void)encode(messages.back(), v, std::span(bytes).subspan(at));
      ends.push_back(bytes.size());
    }
  }
  [[nodiscard]] byte_view one(std::size_t i) const {
    const std::size_t from = i == 0 ? 0 : ends[i - 1];
    return byte_view(bytes).subspan(from, ends[i] - from);
  }
  inspect::arena memory;
  std::vector<M> messages;
  std::vector<std::uint8_t> bytes;
  std::vector<std::size_t> ends;
};

void count(benchmark::State& state, std::size_t items, std::size_t bytes) {
  state.SetItemsProcessed(static_cast<std::int64_t>(items) * static_cast<std::int64_t>(state.iterations()));
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * static_cast<std::int64_t>(state.iterations()));
}

template <class M>
void bench_decode(benchmark::State& state, version v) {
  const batch<M> b(v);
  M out{};  // not value-initialised in the loop: that would cost more than some decoders
  for (auto _ : state) {
    for (std::size_t i = 0; i < per_op; ++i) {
      byte_view in = b.one(i);
      benchmark::DoNotOptimize(in);
      const message_head h = read_head(in, type_of<M>(v).has_value(), framing_of<M>());
      errc why = decode_body(in.subspan(h.size), v, out);
      benchmark::DoNotOptimize(why);
      benchmark::DoNotOptimize(out);
    }
  }
  count(state, per_op, b.bytes.size());
}

template <class M>
void bench_encode(benchmark::State& state, version v) {
  const batch<M> b(v);
  std::vector<std::uint8_t> out(b.bytes.size());
  for (auto _ : state) {
    std::span<std::uint8_t> left(out);
    for (const M& m : b.messages) {
      benchmark::DoNotOptimize(&m);
      const encoded e = encode(m, v, left);
      left = left.subspan(e.size);
    }
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  count(state, per_op, b.bytes.size());
}

struct add_all {
  template <class M>
  void operator()() const {
    for (const version_facts& f : all_versions) {
      if (!M::in.has(f.id)) continue;
      const std::string name = std::string(M::name(f.id)) + "/" + std::string(f.name);
      const version v = f.id;
      benchmark::RegisterBenchmark(("decode/" + name).c_str(), [v](benchmark::State& s) { bench_decode<M>(s, v); });
      benchmark::RegisterBenchmark(("encode/" + name).c_str(), [v](benchmark::State& s) { bench_encode<M>(s, v); });
    }
  }
};

// ------------------------------------------------------------------------------------------------------- integers

constexpr std::size_t integers = 1024;

/// Widths in the order that a GROUP, its frames and their timestamps have: {1, 2, 1, 2, 1, 1, 2, 4} bytes; or any.
std::vector<std::uint64_t> numbers(bool pattern) {
  constexpr std::size_t widths[] = {1, 2, 1, 2, 1, 1, 2, 4};
  std::mt19937_64 rng(seed);
  std::vector<std::uint64_t> out;
  for (std::size_t i = 0; i < integers; ++i) {
    const std::size_t width = pattern ? widths[i % std::size(widths)] : std::size_t{1} << rng() % 4;
    const std::uint64_t below = std::uint64_t{1} << (8 * width - 2);
    const std::uint64_t least = width == 1 ? 0 : std::uint64_t{1} << (4 * width - 2);
    out.push_back(least + rng() % (below - least));
  }
  return out;
}
std::vector<std::uint8_t> written(const std::vector<std::uint64_t>& all) {
  std::vector<std::uint8_t> out(all.size() * wire::varint_bytes_max);
  wire::writer w{out.data()};
  for (const std::uint64_t n : all) wire::put_varint(w, n);
  out.resize(static_cast<std::size_t>(w.p - out.data()));
  return out;
}

void varint_decode(benchmark::State& state, bool pattern, bool hot) {
  const std::vector<std::uint8_t> in = written(numbers(pattern));
  for (auto _ : state) {
    wire::reader r{in.data(), in.data() + in.size(), {}};
    benchmark::DoNotOptimize(r);
    std::uint64_t sum = 0;
    std::uint64_t n = 0;
    if (hot)
      while (r.p != r.end && wire::get_varint_hot(r, n)) sum += n;
    else
      while (r.p != r.end && wire::get_varint(r, n)) sum += n;
    benchmark::DoNotOptimize(sum);
  }
  count(state, integers, in.size());
}

void varint_encode(benchmark::State& state, bool pattern) {
  const std::vector<std::uint64_t> all = numbers(pattern);
  std::vector<std::uint8_t> out(all.size() * wire::varint_bytes_max);
  std::size_t size = 0;
  for (auto _ : state) {
    wire::writer w{out.data()};
    benchmark::DoNotOptimize(all.data());
    for (const std::uint64_t n : all) wire::put_varint(w, n);
    size = static_cast<std::size_t>(w.p - out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  count(state, integers, size);
}

}  // namespace

int main(int argc, char** argv) {
  for (const bool pattern : {true, false}) {
    const std::string name = pattern ? "1-2-1-2-1-1-2-4" : "random";
    benchmark::RegisterBenchmark(("varint/decode/" + name).c_str(),
                                 [=](benchmark::State& s) { varint_decode(s, pattern, false); });
    benchmark::RegisterBenchmark(("varint/decode-hot/" + name).c_str(),
                                 [=](benchmark::State& s) { varint_decode(s, pattern, true); });
    benchmark::RegisterBenchmark(("varint/encode/" + name).c_str(),
                                 [=](benchmark::State& s) { varint_encode(s, pattern); });
  }
  msg::for_each_message(add_all{});
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
