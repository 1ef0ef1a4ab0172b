#pragma once
/// What every adapter owes the session, as a suite: it runs on anything that joins two transports.
///
/// A link is one connection: `a()` and `b()` are its transports, `step(sink_a, sink_b)` delivers the next event to
/// its side and is false when nothing is in flight. `a()` opens most of the streams. `make()` returns a new link; the
/// suite makes one for each question. What a link and its maker may have besides:
///
///     make(wishes)                                a connection with limits; without it those questions are left out
///     std::size_t large() const                   bytes on each of the eight large streams
///     bool loses_datagrams() const                or brings them twice; unless it says so it does neither
///     void forgive()                              the suite is about to do what a session never does

#include "conformance_limits.hpp"
#include "conformance_streams.hpp"

namespace testing::conformance {

template <class Make>
struct question {
  std::string_view name;
  void (*ask)(Make&);
};

/// In the order in which they make sense of each other's failures.
template <class Make>
inline constexpr question<Make> questions[] = {
    {"every stream keeps its bytes in order and its end", [](Make& make) { ordering(make()); }},
    {"a write that was taken in part goes on", [](Make& make) { partial_writes(make()); }},
    {"a stream has two directions, and either side opens some", [](Make& make) { both_directions(make()); }},
    {"a bare FIN", [](Make& make) { bare_fin(make()); }},
    {"a stream without bytes", [](Make& make) { empty_streams(make()); }},
    {"a large transfer on eight streams, both ways", [](Make& make) { large_transfer(make()); }},
    {"a reset behind the FIN", [](Make& make) { reset_after_fin(make()); }},
    {"a reset before any byte", [](Make& make) { reset_before_any_byte(make()); }},
    {"a reset behind data", [](Make& make) { reset_after_data(make()); }},
    {"a stop while the other side writes", [](Make& make) { stop_during_write(make()); }},
    {"a stop behind the FIN", [](Make& make) { stop_after_fin(make()); }},
    {"a write to what is over", [](Make& make) { write_to_what_is_over(make()); }},
    {"an open without credit", [](Make& make) { open_when_blocked(make); }},
    {"500 short streams of one direction", [](Make& make) { short_streams(make, direction::uni); }},
    {"500 short requests with answers", [](Make& make) { short_streams(make, direction::bidi); }},
    {"a reader that does not read", [](Make& make) { slow_reader(make); }},
    {"hints of priority", [](Make& make) { priorities(make()); }},
    {"datagrams", [](Make& make) { datagrams(make()); }},
    {"a close with code and reason, from either side", [](Make& make) { closing(make); }},
    {"whatever is asked after the close", [](Make& make) { after_the_close(make()); }},
};

template <class Make>
void check_adapter(Make&& make) {
  for (const auto& q : questions<std::remove_reference_t<Make>>) {
    CAPTURE(q.name);
    q.ask(make);
  }
}

}  // namespace testing::conformance
