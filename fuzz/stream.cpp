// Property: whatever a peer sends on a control stream, and however it is fragmented, the same messages and the same
// verdict come out, a fault stays, nothing is read outside of a fragment, and every message that was taken can be sent.
//
// Input: kind, side and version; a seed for the fragments; the stream behind its type.

#include <cstdlib>
#include <random>
#include <utility>

#include "../tests/stream_logs.hpp"

namespace {

using namespace moql;
using namespace moql::bytewise;

void must(bool holds) {
  if (!holds) std::abort();
}

/// Receives all of `in` and sends every message on: the mirror of the table must allow it.
template <class Side>
struct echo;
template <class Out, class In>
struct echo<exchange<Out, In>> {
  static void run(version v, const limits& caps, byte_view in) {
    machine<Out, In> from(v, caps);
    machine<In, Out> to(v, caps);
    vec<std::uint8_t> out;
    typename machine<Out, In>::incoming got;
    errc why{};
    while (from.receive(in, got, why) == step::ready)
      std::visit(
          [&]<class M>(const M& m) {
            if constexpr (!std::is_same_v<M, std::monostate>) must(to.send(m, out) == errc::ok);
          },
          got);
    must(from.received() == to.sent());
  }
};

template <class Side>
void try_side(version v, unsigned seed, byte_view in) {
  limits caps;
  caps.message_bytes_max = 2000;
  caps.announce_init_bytes_max = 3000;
  const auto make = [&] { return machine_log<Side>(v, caps); };
  const std::string whole = run(make, in);
  must(run_bytewise(make, in) == whole);
  std::minstd_rand rng(seed);
  std::vector<std::size_t> cuts;
  for (std::size_t at = 0; (at += rng() % 40) <= in.size();) cuts.push_back(at);
  must(run(make, in, cuts) == whole);
  echo<Side>::run(v, caps, in);
}

using try_function = void (*)(version, unsigned, byte_view);
constexpr try_function sides[] = {
    &try_side<session_client_side>, &try_side<session_server_side>, &try_side<compat_client_side>,
    &try_side<compat_server_side>,  &try_side<setup_sender>,        &try_side<setup_receiver>,
    &try_side<announce_asker>,      &try_side<announce_teller>,     &try_side<subscribe_asker>,
    &try_side<subscribe_answerer>,  &try_side<track_asker>,         &try_side<track_answerer>,
    &try_side<fetch_asker>,         &try_side<fetch_answerer>,      &try_side<prober>,
    &try_side<goaway_sender>,       &try_side<goaway_receiver>,
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t side = data[0] / all_versions.size() % std::size(sides);
  sides[side](all_versions[data[0] % all_versions.size()].id, data[1], {data + 2, size - 2});
  return 0;
}
