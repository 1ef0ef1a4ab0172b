// The ends of a stream in every order.

#include <doctest/doctest.h>

#include <string>

#include "moql/stream/lifetime.hpp"

using namespace moql;

namespace {

using half = lifetime::half;
using input = lifetime::input;
constexpr input inputs[] = {input::local_fin,  input::local_abort,  input::local_stop,
                            input::remote_fin, input::remote_reset, input::remote_stop};
constexpr const char* names[] = {"fin", "abort", "stop", "peer fin", "peer reset", "peer stop"};

/// What a run of inputs has produced, judged against sentences that do not know how `lifetime` works.
struct history {
  lifetime life;
  int fins = 0, resets = 0, stops = 0, overs = 0;
  std::string steps{};
  std::string wrong{};

  void apply(std::size_t i) {
    const bool could_send = life.can_send();
    const bool could_receive = life.can_receive();
    const bool was_over = life.is_over();
    const lifetime::effect e = life.apply(inputs[i]);
    steps += std::string(names[i]) + ", ";
    fins += e.fin;
    resets += e.reset;
    stops += e.stop;
    overs += e.over;
    const auto must = [&](bool holds, const char* what) {
      if (!holds && wrong.empty()) wrong = steps + what;
    };
    must(!(e.fin && e.reset), "fin and reset at once");
    must(could_send || !(e.fin || e.reset), "fin or reset after the sending half ended");
    must(could_receive || !e.stop, "stop after the receiving half ended");
    must(fins + resets <= 1, "the sending half ended twice");
    must(stops <= 1, "stopped twice");
    must(e.over == (!was_over && life.is_over()), "over is not the moment it was over");
    must(overs == (life.is_over() ? 1 : 0), "over did not come exactly once");
    must(!was_over || !(e.fin || e.reset || e.stop || e.over), "an effect after the end");
    must(could_send || !life.can_send(), "the sending half came back");
    must(could_receive || !life.can_receive(), "the receiving half came back");
    must((fins + resets == 1) == (had_sending && !life.can_send()), "the sending half ended without a word");
    if (inputs[i] == input::remote_reset) must(!life.can_send(), "a reset by the peer left our side open");
    if (inputs[i] == input::remote_stop) must(!life.can_send(), "a stop by the peer left our side open");
    if (inputs[i] == input::remote_reset || inputs[i] == input::remote_fin)
      must(!life.can_receive(), "an end by the peer left its side open");
    if (inputs[i] == input::local_abort) must(life.is_over(), "an abort is not the end");
    if (inputs[i] == input::local_stop) must(!life.can_receive(), "a stop of ours left the peer's side open");
    if (inputs[i] == input::local_fin) must(!life.can_send() && (e.fin || !could_send), "fin did not end our side");
  }
  bool had_sending = life.can_send();
};

void walk(const history& from, int depth, std::size_t& count) {
  if (depth == 0) {
    history h = from;
    h.apply(1);  // whatever came before, an abort is the end, and it was told once
    ++count;
    if (!h.wrong.empty() || h.overs != 1) FAIL(h.steps << ' ' << h.wrong);
    return;
  }
  for (std::size_t i = 0; i < 6; ++i) {
    history h = from;
    h.apply(i);
    if (!h.wrong.empty()) FAIL(h.wrong);
    walk(h, depth - 1, count);
  }
}

}  // namespace

TEST_CASE("every order of FIN, RESET and STOP_SENDING ends a stream exactly once [seed 3.4 a]") {
  for (const lifetime start : {lifetime::bidi(), lifetime::uni_out(), lifetime::uni_in()}) {
    std::size_t count = 0;
    walk(history{start}, 6, count);
    CHECK(count == 46656);
  }
}

TEST_CASE("R-008 a reset by the peer ends our side too [seed 3.4 a]") {
  lifetime l = lifetime::bidi();
  const auto e = l.apply(input::remote_reset);
  CHECK(e.reset);
  CHECK_FALSE(e.fin);
  CHECK_FALSE(e.stop);
  CHECK(e.over);
  CHECK(l.sending() == half::reset);
  CHECK(l.receiving() == half::reset);
}

TEST_CASE("R-008 after the peer's FIN our side stays open until we end it") {
  lifetime l = lifetime::bidi();
  auto e = l.apply(input::remote_fin);
  CHECK_FALSE(e.over);
  CHECK(l.can_send());
  CHECK_FALSE(l.can_receive());
  e = l.apply(input::local_fin);
  CHECK(e.fin);
  CHECK(e.over);
  CHECK(l.sending() == half::finished);
  CHECK(l.receiving() == half::finished);
}

TEST_CASE("STOP_SENDING after our FIN takes nothing back") {
  lifetime l = lifetime::bidi();
  CHECK(l.apply(input::local_fin).fin);
  const auto e = l.apply(input::remote_stop);
  CHECK_FALSE(e.reset);
  CHECK_FALSE(e.over);
  CHECK(l.sending() == half::finished);
  CHECK(l.can_receive());
}

TEST_CASE("STOP_SENDING is answered by a reset and leaves the peer's direction alone") {
  lifetime l = lifetime::bidi();
  const auto e = l.apply(input::remote_stop);
  CHECK(e.reset);
  CHECK_FALSE(e.stop);
  CHECK_FALSE(e.over);
  CHECK(l.can_receive());
  CHECK(l.apply(input::remote_fin).over);
}

TEST_CASE("a reset that overtakes the end of a finished direction changes nothing") {
  lifetime l = lifetime::uni_in();
  CHECK(l.apply(input::remote_fin).over);
  CHECK_FALSE(l.apply(input::remote_reset).over);
  CHECK(l.receiving() == half::finished);
}

TEST_CASE("a unidirectional stream ends with its one direction") {
  lifetime out = lifetime::uni_out();
  CHECK_FALSE(out.can_receive());
  CHECK(out.receiving() == half::absent);
  CHECK(out.apply(input::local_fin).over);
  lifetime stopped = lifetime::uni_out();
  const auto e = stopped.apply(input::remote_stop);
  CHECK(e.reset);
  CHECK(e.over);
  lifetime in = lifetime::uni_in();
  const auto s = in.apply(input::local_stop);
  CHECK(s.stop);
  CHECK(s.over);
  CHECK(lifetime().is_over());
}
