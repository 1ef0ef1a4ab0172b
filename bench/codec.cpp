// Codec: every message in every version, and integers alone. One op is 64 distinct messages (or 1024 integers), made
// from a fixed seed, so that the branch predictor cannot learn one of them; items per second are messages (integers).
//
// See driver.hpp for how to run it. Numbers need -O2 and a quiet machine; compare two builds with interleaved runs, not
// with numbers of another day.

#include <random>

#include "driver.hpp"
#include "moql/message/all.hpp"
#include "moql/wire/inspect.hpp"

using namespace moql;

namespace {

constexpr std::size_t per_op = 64;
constexpr std::uint64_t seed = 0x6d6f716c;

/// As generated: strings of any length and script, integers of any width. As usual: what a client sends all day.
enum class sample { generated, usual };

/// The messages of one op, their bytes one after the other, and where each begins.
template <class M>
struct batch {
  explicit batch(version v, sample of) {
    std::mt19937_64 rng(seed + static_cast<std::uint64_t>(v));
    for (std::size_t i = 0; i < per_op; ++i) {
      messages.push_back(inspect::generate<M>(rng, v, memory));
      if constexpr (std::is_same_v<M, msg::subscribe>)
        if (of == sample::usual)
          messages.back() = {.id = 1000 + i,
                             .broadcast = std::string_view("live/room-1234/alice"),
                             .track = std::string_view("video/1080p"),
                             .want = {.priority = 128, .max_age_ms = 500}};
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

template <class M>
struct decode_all {
  explicit decode_all(version ver, sample of) : b(ver, of), v(ver) {}
  void pass() {
    for (std::size_t i = 0; i < per_op; ++i) {
      byte_view in = b.one(i);
      benchmark::DoNotOptimize(in);
      const message_head h = read_head(in, type_of<M>(v).has_value(), framing_of<M>());
      errc why = decode_body(in.subspan(h.size), v, out);
      benchmark::DoNotOptimize(why);
      benchmark::DoNotOptimize(out);
    }
  }
  batch<M> b;
  version v;
  M out{};  // not value-initialised for each message: that would cost more than some decoders
};

template <class M>
struct encode_all {
  explicit encode_all(version ver, sample of) : b(ver, of), v(ver), out(b.bytes.size()) {}
  void pass() {
    std::span<std::uint8_t> left(out);
    for (const M& m : b.messages) {
      benchmark::DoNotOptimize(&m);
      const encoded e = encode(m, v, left);
      left = left.subspan(e.size);
    }
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  batch<M> b;
  version v;
  std::vector<std::uint8_t> out;
};

struct add_all {
  std::vector<bench::operation>& all;
  template <class M>
  void operator()() const {
    for (const version_facts& f : all_versions) {
      if (!M::in.has(f.id)) continue;
      const std::string name = std::string(M::name(f.id)) + "/" + std::string(f.name);
      all.push_back(bench::op<decode_all<M>>("decode/" + name, per_op, 0, f.id, sample::generated));
      all.push_back(bench::op<encode_all<M>>("encode/" + name, per_op, 0, f.id, sample::generated));
      if (!std::is_same_v<M, msg::subscribe>) continue;
      all.push_back(bench::op<decode_all<M>>("usual/decode/" + name, per_op, 0, f.id, sample::usual));
      all.push_back(bench::op<encode_all<M>>("usual/encode/" + name, per_op, 0, f.id, sample::usual));
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

template <bool Hot>
struct varint_decode {
  explicit varint_decode(bool pattern) : in(written(numbers(pattern))) {}
  void pass() {
    wire::reader r{in.data(), in.data() + in.size(), {}};
    benchmark::DoNotOptimize(r);
    std::uint64_t sum = 0;
    std::uint64_t n = 0;
    if constexpr (Hot)
      while (r.p != r.end && wire::get_varint_hot(r, n)) sum += n;
    else
      while (r.p != r.end && wire::get_varint(r, n)) sum += n;
    benchmark::DoNotOptimize(sum);
  }
  std::vector<std::uint8_t> in;
};

struct varint_encode {
  explicit varint_encode(bool pattern) : all(numbers(pattern)), out(all.size() * wire::varint_bytes_max) {}
  void pass() {
    wire::writer w{out.data()};
    benchmark::DoNotOptimize(all.data());
    for (const std::uint64_t n : all) wire::put_varint(w, n);
    benchmark::DoNotOptimize(w);
    benchmark::ClobberMemory();
  }
  std::vector<std::uint64_t> all;
  std::vector<std::uint8_t> out;
};

}  // namespace

int main(int argc, char** argv) {
  std::vector<bench::operation> all;
  for (const bool pattern : {true, false}) {
    const std::string name = pattern ? "1-2-1-2-1-1-2-4" : "random";
    all.push_back(bench::op<varint_decode<false>>("varint/decode/" + name, integers, 0, pattern));
    all.push_back(bench::op<varint_decode<true>>("varint/decode-hot/" + name, integers, 0, pattern));
    all.push_back(bench::op<varint_encode>("varint/encode/" + name, integers, 0, pattern));
  }
  msg::for_each_message(add_all{all});
  return bench::run(argc, argv, all);
}
