// Property: whatever two applications call and whatever the network between them does, in any order, everything that
// tests/sim.hpp says of a pair of sessions holds: no event out of turn, nothing delivered twice or altered, every group
// accounted for, every stream over at the end, the transport's contract kept, no memory and no payload left behind.
//
// Input: version, kind of network, who publishes; then the decisions of both applications and of the network, each as
// few bytes as it has choices. The story ends where the input does.

#include <cstdio>
#include <cstdlib>

#include "../tests/sim.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace testing::sim;
  if (size < 3) return 0;
  const auto must = [](bool holds, const char* why) {
    if (holds) return;
    std::fprintf(stderr, "broken: %s\n", why);
    std::abort();
  };
  balance memory;
  noise payload;
  std::string fault;
  {
    choices pick(byte_view(data + 3, size - 3));
    world w(pick, all_versions[data[0] % all_versions.size()].id, data[1] % mixes, 1 + data[2] % 3u, payload,
            memory.get());
    w.play(2000);
    fault = w.fault;
  }
  must(fault.empty(), fault.c_str());
  must(payload.shares() == 0, "payload is still held");
  must(memory.blocks == 0 && memory.bytes == 0, "memory leaks");
  must(memory.sizes_match, "a block came back with another size");
  return 0;
}
