// Property: whatever comes on a Group stream or in a Fetch answer, and however it is fragmented, the same frames and
// the same verdict come out, by `feed` and by `next`; a fault stays; a group that ends well, written again from a
// cache, is the same group.
//
// Input: version and kind; a seed for the fragments; the stream behind its type.

#include <cstdlib>
#include <random>

#include "../tests/stream_logs.hpp"
#include "moql/stream/group_writer.hpp"

namespace {

using namespace moql;
using namespace moql::bytewise;

constexpr std::uint64_t frame_max = 3000;

void must(bool holds) {
  if (!holds) std::abort();
}

template <class Make>
std::string same_however(Make&& make, unsigned seed, byte_view in) {
  std::string whole = run(make, in);
  must(whole == run_bytewise(make, in));
  std::minstd_rand rng(seed);
  std::vector<std::size_t> cuts;
  for (std::size_t at = 0; (at += rng() % 40) <= in.size();) cuts.push_back(at);
  must(whole == run(make, in, cuts));
  return whole;
}

/// Reads a whole group into a cache and writes it from there in small portions.
void write_again(version v, unsigned seed, byte_view in, const std::string& log) {
  group_reader r(v, frame_max);
  msg::group head;
  errc why{};
  if (r.header(in, head, why) != step::ready || head.frame_start != 0) return;
  track_cache cache;
  must(cache.begin_group(head.sequence, {}) == errc::ok);
  const auto keep = [&](const frame_piece& p) {
    if (why != errc::ok) return;
    if (p.is_first()) why = cache.begin_frame(head.sequence, p.timestamp, p.size);
    if (why == errc::ok) why = cache.append_part(head.sequence, bytes::copy(p.payload));
  };
  errc fault{};
  must(r.frames().feed(in, keep, fault) == step::wait);
  if (why == errc::bad_argument) return;  // a cache takes timestamps below 2^61 only
  must(why == errc::ok);
  must(cache.end_group() == errc::ok);
  group_writer w;
  w.start_group(cache.handle_of(head.sequence), v, head.subscribe_id, head.sequence, 0, {});
  std::minstd_rand rng(seed);
  std::vector<std::uint8_t> out;
  for (bool fin = false; !fin;) {
    group_writer::scratch room;
    group_writer::offer offer;
    must(w.look(cache, room, offer) == group_writer::state::data);
    std::size_t total = 0;
    for (const chunk& c : offer.pieces) total += c.size;
    const std::size_t n = total == 0 ? 0 : 1 + rng() % total;
    std::size_t left = n;
    for (const chunk& c : offer.pieces) {
      const std::size_t here = left < c.size ? left : c.size;
      out.insert(out.end(), c.data, c.data + here);
      left -= here;
    }
    fin = offer.fin && n == total;
    w.wrote(cache, n, fin);
  }
  must(run([&] { return group_log(v, frame_max); }, byte_view(out).subspan(1)) == log);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const version v = all_versions[data[0] % all_versions.size()].id;
  const bool is_group = data[0] / all_versions.size() % 2 == 0;
  const unsigned seed = data[1];
  const byte_view in(data + 2, size - 2);
  if (is_group) {
    const std::string log = same_however([&] { return group_log(v, frame_max); }, seed, in);
    if (log.ends_with("end;")) write_again(v, seed, in, log);
  } else {
    const std::string log = same_however([&] { return frame_log(v, frame_max); }, seed, in);
    must(log == same_however([&] { return pulled_frame_log(v, frame_max); }, seed, in));
  }
  return 0;
}
