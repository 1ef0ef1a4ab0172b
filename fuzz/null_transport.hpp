#pragma once
/// A transport that goes nowhere: a fuzz target says what it takes and plays the peer.

#include <string>
#include <vector>

#include "input.hpp"
#include "moql/moql.hpp"

namespace fuzzing {

using namespace moql;

/// Takes what it may take, and knows the contract of transport.hpp.
class null_transport : public transport_defaults {
 public:
  static constexpr std::size_t begin_max = 64;
  struct stream {
    stream_id id{};
    bool can_write = true;  // there is such a direction, and neither FIN nor reset has gone out
    bool can_feed = true;   // the same for the peer
    bool is_ours = false;   // the session's
    bool is_uni = false;
    std::string begin{};  // the first bytes that the session wrote
  };
  std::vector<stream> streams{};  // by id
  std::size_t write_max = SIZE_MAX;
  std::size_t open_max = SIZE_MAX;
  bool is_closed = false;  // by the session
  bool is_gone = false;
  version ver = lite06;

  /// A stream of the peer's.
  stream_id add(bool writes, bool feeds) {
    streams.push_back({stream_id{streams.size()}, writes, feeds});
    return streams.back().id;
  }
  open_result open(direction d) noexcept {
    must(!is_closed, "an open after the close");
    if (open_max == 0) return {transport_status::blocked, no_stream};
    if (open_max != SIZE_MAX) --open_max;
    const stream_id id = add(true, d == direction::bidi);
    at(id).is_ours = true;
    at(id).is_uni = d == direction::uni;
    return {transport_status::ok, id};
  }
  write_result write(stream_id id, std::span<const chunk> pieces, bool fin) noexcept {
    must(!is_closed, "a write after the close");
    stream& s = at(id);
    must(s.can_write, "a write to a direction that is over");
    std::size_t taken = 0;
    for (const chunk& c : pieces) {
      const std::size_t n = c.size < write_max - taken ? c.size : write_max - taken;
      for (std::size_t i = 0; i < n; ++i) sum = sum * 31 + c.data[i];  // reads it all
      if (s.begin.size() < begin_max)
        s.begin.append(reinterpret_cast<const char*>(c.data), n < begin_max ? n : begin_max);
      taken += n;
      if (n < c.size) return {transport_status::blocked, taken};
    }
    if (fin) s.can_write = false;
    return {transport_status::ok, taken};
  }
  void reset(stream_id id, std::uint64_t) noexcept {
    must(!is_closed, "a reset after the close");
    at(id).can_write = false;
  }
  void stop(stream_id id, std::uint64_t) noexcept {
    must(!is_closed, "a stop after the close");
    (void)at(id);
  }
  void close(std::uint64_t, std::string_view) noexcept {
    must(!is_closed, "a second close");
    is_closed = true;
  }
  void consume(stream_id id, std::size_t n) noexcept {
    must(!is_closed, "credit after the close");
    stream& s = at(id);
    (void)s;
    consumed += n;
    must(consumed <= fed, "more consumed than was delivered");
  }
  void priority(stream_id id, std::int32_t) noexcept { (void)at(id); }
  transport_status datagram(byte_view d) noexcept {
    must(!is_closed && d.size() <= 1200, "a datagram out of turn");
    return transport_status::ok;
  }
  [[nodiscard]] std::string_view protocol() const noexcept { return facts(ver).protocol; }
  [[nodiscard]] std::size_t max_datagram() const noexcept { return 1200; }
  [[nodiscard]] transport_stats stats() const noexcept { return {20'000, 10'000, 5'000'000, 0, 0}; }

  stream& at(stream_id id) {
    must(static_cast<std::uint64_t>(id) < streams.size(), "a stream that never was");
    return streams[static_cast<std::size_t>(id)];
  }
  std::uint64_t sum = 0;
  std::uint64_t fed = 0;
  std::uint64_t consumed = 0;
};
static_assert(transport<null_transport>);

}  // namespace fuzzing
