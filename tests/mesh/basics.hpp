#pragma once
/// Chance, memory and payload of the mesh simulation: all of it cheap, and the same for the same seed.

#include <moql/adapter/loopback.hpp>
#include <moql/moql.hpp>
#include <moql/relay/relay.hpp>

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mesh {

using namespace moql;

[[nodiscard]] constexpr std::uint64_t mixed(std::uint64_t z) noexcept {  // splitmix64
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

class dice {
 public:
  explicit dice(std::uint64_t seed) noexcept : state_(mixed(seed)) {}
  [[nodiscard]] std::uint64_t next() noexcept { return mixed(state_++); }
  [[nodiscard]] std::uint64_t below(std::uint64_t n) noexcept { return n <= 1 ? 0 : next() % n; }
  [[nodiscard]] std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept {
    return low + below(high - low + 1);
  }
  [[nodiscard]] bool chance(std::uint64_t percent) noexcept { return next() % 100 < percent; }
  [[nodiscard]] duration ms(std::uint64_t low, std::uint64_t high) noexcept {
    return milliseconds(static_cast<std::int64_t>(between(low, high)));
  }
  /// An index drawn by weight.
  template <std::size_t N>
  [[nodiscard]] std::size_t weighted(const unsigned (&weights)[N]) noexcept {
    unsigned sum = 0;
    for (const unsigned w : weights) sum += w;
    std::uint64_t at = below(sum);
    for (std::size_t i = 0; i < N; ++i) {
      if (at < weights[i]) return i;
      at -= weights[i];
    }
    return N - 1;
  }

 private:
  std::uint64_t state_;
};

/// Memory of one party: counted, so that nothing may stay behind, and able to say no.
class purse {
 public:
  purse() noexcept = default;
  purse(const purse&) = delete;
  purse& operator=(const purse&) = delete;
  [[nodiscard]] memory get() const noexcept { return {&source_}; }
  std::int64_t bytes = 0;
  std::uint64_t allowed = ~std::uint64_t{0};  ///< So many requests more are granted.
  std::uint64_t refusals = 0;

 private:
  memory_source source_{&take, &give, this};
  static constexpr std::size_t classes = 12;  // 32 bytes to 64 KiB
#ifdef __SANITIZE_ADDRESS__
  static constexpr bool is_pooled = false;
#else
  static constexpr bool is_pooled = true;
#endif
  struct idle {
    idle* next;
  };
  [[nodiscard]] static idle*& list(std::size_t c) noexcept {
    static idle* lists[classes] = {};
    return lists[c];
  }
  [[nodiscard]] static std::size_t class_of(std::size_t size) noexcept {
    return size <= 32 ? 0 : static_cast<std::size_t>(std::bit_width((size - 1) / 32));
  }
  static void* take(void* context, std::size_t size) noexcept {
    auto& p = *static_cast<purse*>(context);
    if (p.allowed == 0) {
      ++p.refusals;
      return nullptr;
    }
    if (p.allowed != ~std::uint64_t{0}) --p.allowed;
    p.bytes += static_cast<std::int64_t>(size);
    const std::size_t c = class_of(size);
    if (!is_pooled || c >= classes) return std::malloc(size == 0 ? 1 : size);
    if (idle* i = list(c)) {
      list(c) = i->next;
      return i;
    }
    return std::malloc(std::size_t{32} << c);
  }
  static void give(void* context, void* block, std::size_t size) noexcept {
    static_cast<purse*>(context)->bytes -= static_cast<std::int64_t>(size);
    const std::size_t c = class_of(size);
    if (!is_pooled || c >= classes) return std::free(block);
    auto* i = static_cast<idle*>(block);
    i->next = list(c);
    list(c) = i;
  }
};

/// Everything a producer writes is a function of who it is and where, so anybody can say what must be there.
namespace content {

inline constexpr std::size_t noise_size = 1 << 16;
inline constexpr unsigned producers_max = 64;

[[nodiscard]] inline const std::uint8_t* noise() {
  static const std::vector<std::uint8_t> all = [] {
    std::vector<std::uint8_t> v(noise_size);
    dice d(42);
    for (std::uint8_t& b : v) b = static_cast<std::uint8_t>(d.next());
    return v;
  }();
  return all.data();
}
[[nodiscard]] inline std::uint64_t key(unsigned producer, unsigned track, std::uint64_t group) noexcept {
  return mixed(producer * 1'000'003u + track * 10'007u) ^ mixed(group + 77);
}
/// How a group is written. `shape` of a track: bit 0 says that some groups are datagrams.
struct plan {
  unsigned frames;
  bool is_datagram;
  bool is_both;     ///< Datagram and stream.
  bool is_cut;      ///< Given up before its last frame.
  bool is_skipped;  ///< Never written: dropped.
};
[[nodiscard]] inline plan plan_of(unsigned producer, unsigned track, std::uint64_t group) noexcept {
  const std::uint64_t k = key(producer, track, group);
  const bool has_datagrams = track % 3 == 2;
  plan p{};
  p.is_datagram = has_datagrams && k % 100 < 40;
  p.is_both = p.is_datagram && (k >> 8) % 4 == 0;
  p.frames = p.is_datagram ? 1 : 1 + static_cast<unsigned>((k >> 16) % 4);
  p.is_cut = !p.is_datagram && (k >> 24) % 100 < 4;
  p.is_skipped = !p.is_datagram && !p.is_cut && (k >> 32) % 100 < 3;
  return p;
}
struct slice {
  std::size_t from, size;
};
[[nodiscard]] inline slice slice_of(unsigned producer, unsigned track, std::uint64_t group, std::uint64_t frame,
                                    bool is_datagram) noexcept {
  const std::uint64_t k = mixed(key(producer, track, group) + frame);
  const std::uint64_t kind = k % 100;
  const std::uint64_t most = is_datagram ? 300 : kind < 5 ? 1 : kind < 70 ? 100 : kind < 97 ? 500 : 4000;
  const std::size_t size = (k >> 8) % most;
  return {(k >> 24) % (noise_size - 4096), size};
}
[[nodiscard]] inline bytes payload(const slice& s) {
  static owner immortal{+[](owner*) noexcept {}, +[](owner*) noexcept {}};
  return bytes::share({noise() + s.from, s.size}, &immortal);
}
/// Whether a part of a frame is that producer's.
[[nodiscard]] inline bool matches(unsigned producer, unsigned track, std::uint64_t group, std::uint64_t frame,
                                  std::uint64_t size, std::uint64_t offset, const bytes& part) noexcept {
  const plan p = plan_of(producer, track, group);
  if (frame >= p.frames || p.is_skipped) return false;
  const slice s = slice_of(producer, track, group, frame, p.is_datagram);
  if (s.size != size || offset + part.size() > size) return false;
  return part.empty() || std::memcmp(noise() + s.from + offset, part.data(), part.size()) == 0;
}

}  // namespace content
}  // namespace mesh
