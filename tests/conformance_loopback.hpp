#pragma once
/// The loopback network as the conformance suite wants it, with every habit that it has.

#include <moql/adapter/loopback.hpp>

#include <algorithm>

#include "conformance.hpp"

namespace testing::conformance {

/// Checks the callers' promises at the end.
class loopback_link {
 public:
  explicit loopback_link(const loopback_options& o, const wishes& w = {}) : options_(with(o, w)), net_(options_) {}
  ~loopback_link() { CHECK_MESSAGE((is_forgiven_ || net_.violations() == 0), net_.last_violation()); }
  auto& a() { return net_.a(); }
  auto& b() { return net_.b(); }
  bool step(auto& sink_a, auto& sink_b) { return net_.step(sink_a, sink_b); }
  void forgive() { is_forgiven_ = true; }
  [[nodiscard]] bool loses_datagrams() const {
    return options_.datagram_loss_percent != 0 || options_.datagram_duplicate_percent != 0;
  }
  /// Less when every byte or so is an event of its own.
  [[nodiscard]] std::size_t large() const {
    std::size_t step = std::min(options_.chunk_max, std::size_t{4096});
    for (const std::size_t cap : {options_.write_max, options_.stream_window, options_.connection_window})
      if (cap != 0) step = std::min(step, cap);
    return 128 * step;
  }

 private:
  static loopback_options with(loopback_options o, const wishes& w) {
    if (w.streams != 0) o.streams_bidi = o.streams_uni = w.streams;
    if (w.stream_window != 0 && o.stream_window == 0) o.stream_window = std::min(w.stream_window, o.chunk_max * 100);
    return o;
  }
  loopback_options options_;
  loopback_network net_;
  bool is_forgiven_ = false;
};

inline const loopback_options loopback_habits[] = {
    {},
    {.chunk_max = 1},
    {.chunk_max = 100, .delay_max = milliseconds(20), .reorder_streams = true},
    {.write_max = 7},
    {.write_max = 64, .hold_payload = true},
    {.chunk_max = 50, .delay_max = milliseconds(5), .stream_window = 100},
    {.stream_window = 400, .auto_reset_on_stop = true},
    {.delay_max = milliseconds(3), .connection_window = 1000},
    {.chunk_max = 300,
     .delay_max = milliseconds(9),
     .reorder_streams = true,
     .write_max = 500,
     .stream_window = 700,
     .connection_window = 2000,
     .streams_bidi = 12,
     .streams_uni = 12,
     .datagram_loss_percent = 20,
     .datagram_duplicate_percent = 20,
     .hold_payload = true,
     .auto_reset_on_stop = true},
    {.max_datagram = 0},
};

}  // namespace testing::conformance
