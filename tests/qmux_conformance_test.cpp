/// QMux keeps what the boundary promises: the suite of every adapter, in every revision and on both carriers.

#include <doctest/doctest.h>

#include "conformance.hpp"
#include "qmux_pair.hpp"

using namespace moql;
using qmux::carrier;
using qmux::revision;

namespace {

struct ready_pair : testing::qmux_pair {
  explicit ready_pair(const options& o) : qmux_pair(o) { shake_hands(); }
  [[nodiscard]] std::size_t large() const { return 150'000; }
};

testing::qmux_pair::options wished(revision r, carrier c, std::size_t piece_max, bool is_owned,
                                   const testing::conformance::wishes& w) {
  static std::uint32_t seed = 7;
  auto o = testing::qmux_pair::alike(r, c);
  o.seed = ++seed;
  o.piece_max = piece_max;
  o.is_owned = is_owned;
  for (qmux::config* side : {&o.a, &o.b}) {
    if (w.streams != 0) side->caps.max_streams_bidi = side->caps.max_streams_uni = w.streams;
    if (w.stream_window != 0) side->caps.max_stream_data = w.stream_window;
  }
  return o;
}

void check(revision r, carrier c, std::size_t piece_max, bool is_owned) {
  if (qmux::has_parameters(r))
    testing::conformance::check_adapter(
        [&](const testing::conformance::wishes& w = {}) { return ready_pair(wished(r, c, piece_max, is_owned, w)); });
  else  // no credit of any kind
    testing::conformance::check_adapter([&] { return ready_pair(wished(r, c, piece_max, is_owned, {})); });
}

}  // namespace

TEST_CASE("a QMux connection over a byte stream is a transport, in each revision") {
  for (const revision r : {revision::qmux00, revision::qmux01, revision::qmux02}) {
    CAPTURE(static_cast<int>(r));
    check(r, carrier::byte_stream, 20'000, true);
    check(r, carrier::byte_stream, 700, false);
  }
}
TEST_CASE("a QMux connection over messages is a transport, in each revision") {
  for (const revision r : {revision::webtransport, revision::qmux00, revision::qmux01, revision::qmux02}) {
    CAPTURE(static_cast<int>(r));
    check(r, carrier::messages, 20'000, true);
    check(r, carrier::messages, 20'000, false);
  }
}
