#pragma once
/// What a transfer is told, what it tells, and how its network, sessions and cache are set up.

#include <moql/adapter/loopback.hpp>
#include <moql/moql.hpp>

#include <cstdlib>

#include "media.hpp"
#include "session_text.hpp"

namespace examples {

struct transfer_options {
  moql::version ver = moql::lite06;
  std::uint64_t seed = 1;
  std::size_t chunk = 8192;               ///< Largest fragment that a stream's bytes arrive in.
  std::optional<unsigned> datagram_loss;  ///< Percent; given, a track of datagrams is sent as well (05, 06).
  std::vector<wire_listener*> listeners{};
  std::function<void(std::uint64_t bytes)> progress = [](std::uint64_t) {};
};

struct transfer_result {
  std::size_t groups{}, frames{};
  std::uint64_t bytes{};
  std::uint64_t streams{};
  std::uint64_t control_bytes{};       ///< Everything written to streams but payload.
  std::size_t warm_groups{};           ///< What came before the steady state.
  std::uint64_t steady_allocations{};  ///< Of both sessions and the cache, from then on.
  std::size_t datagrams_sent{}, datagrams_received{};
  std::string trouble{};  ///< Why it is not what was sent; empty if nothing is known against it.
};

/// Counts how often the library asks for memory.
struct allocation_counter {
  std::uint64_t count = 0;
  moql::memory_source source{+[](void* context, std::size_t size) noexcept {
                               ++static_cast<allocation_counter*>(context)->count;
                               return std::malloc(size);
                             },
                             +[](void*, void* block, std::size_t) noexcept { std::free(block); }, this};
  allocation_counter() = default;
  allocation_counter(const allocation_counter&) = delete;
  allocation_counter& operator=(const allocation_counter&) = delete;
  [[nodiscard]] moql::memory get() const noexcept { return {&source}; }
};

inline constexpr std::size_t groups_ahead = 4;
inline constexpr std::size_t groups_kept = 2 * groups_ahead;  // a group is evicted only when its successors were read

[[nodiscard]] inline moql::loopback_options network_of(const transfer_options& o) {
  moql::loopback_options n;
  n.seed = o.seed;
  n.chunk_max = o.chunk;
  n.delay_min = moql::milliseconds(1);
  n.delay_max = moql::milliseconds(20);
  n.reorder_streams = true;
  n.stream_window = 256 * 1024;
  n.connection_window = 1024 * 1024;
  n.datagram_loss_percent = o.datagram_loss.value_or(0);
  n.protocol = moql::facts(o.ver).protocol;
  return n;
}
[[nodiscard]] inline moql::config config_of(const transfer_options& o, moql::endpoint side) {
  moql::config c;
  c.side = side;
  c.versions = moql::only(o.ver);
  if (side == moql::endpoint::client) c.path = "/";
  c.hop = side == moql::endpoint::client ? 1001 : 1002;
  return c;
}
[[nodiscard]] inline moql::track_options track_of(const media& cut, std::size_t file_size) {
  return {.max_age_ms = moql::for_ever_ms,
          .timescale = cut.timescale,
          .bytes_max = file_size,  // it is in memory anyway; the number of groups is what bounds the cache
          .groups_max = groups_kept};
}

}  // namespace examples
