// Property: whatever a peer sends on a stream of HTTP/3 or WebTransport, and however it is fragmented, the readers say
// the same and look at nothing outside of a fragment; what we build is read back as it was meant.
//
// Input: which reader; a seed for the fragments; the stream.

#include <cstdlib>
#include <random>

#include "../tests/webtransport_logs.hpp"

namespace {

using namespace moql;
using namespace moql::bytewise;

void must(bool holds) {
  if (!holds) std::abort();
}

template <class Make>
void try_reader(Make&& make, unsigned seed, byte_view in) {
  const std::string whole = run(make, in);
  must(run_bytewise(make, in) == whole);
  std::minstd_rand rng(seed);
  std::vector<std::size_t> cuts;
  for (std::size_t at = 0; (at += rng() % 40) <= in.size();) cuts.push_back(at);
  must(run(make, in, cuts) == whole);
}

/// A close of ours, with these bytes as its reason, comes out of the reader that a peer has.
void try_close(unsigned seed, byte_view in) {
  const std::string_view reason(reinterpret_cast<const char*>(in.data()), in.size());
  std::uint8_t out[webtransport::close_bytes_max];
  const auto n = webtransport::build_close(seed, reason, out);
  must(n.has_value());
  http3::request_reader frames;
  frames.open_tunnel();
  webtransport::capsule_reader capsules;
  http3::element_piece p;
  auto why = http3::code::no_error;
  for (byte_view left(out, *n); frames.next(left, p, why) == http3::request_reader::got::data;)
    must(capsules.take(p.body) == http3::code::no_error);
  must(why == http3::code::no_error && !frames.is_inside());
  must(capsules.is_closed() && capsules.code() == seed && capsules.reason() == webtransport::fit_reason(reason));
}

void try_datagram(byte_view in) {
  const auto d = webtransport::parse_datagram(in);
  if (!d) return;
  must(webtransport::is_session_id(d->session) && d->payload.size() < in.size());
  must(webtransport::datagram_preamble(d->session).size <= in.size() - d->payload.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const unsigned seed = data[1];
  const byte_view in(data + 2, size - 2);
  switch (data[0] % 9) {
    case 0: try_reader([] { return stream_head_log(true); }, seed, in); break;
    case 1: try_reader([] { return stream_head_log(false); }, seed, in); break;
    case 2: try_reader([] { return control_log(true); }, seed, in); break;
    case 3: try_reader([] { return control_log(false); }, seed, in); break;
    case 4: try_reader([] { return request_log{1}; }, seed, in); break;
    case 5: try_reader([] { return request_log{2}; }, seed, in); break;
    case 6: try_reader([] { return capsule_log{}; }, seed, in); break;
    case 7: try_close(seed, in); break;
    default: try_datagram(in);
  }
  return 0;
}
