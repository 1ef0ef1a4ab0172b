// The path of frames: off a stream, into a cache, out to any number of subscribers.
//
// Items are frames, or frames times subscribers; see driver.hpp for how to run it. Inputs are at most 256 KB
// and always the same; every pass checks that it saw all of it.

#include "driver.hpp"
#include "moql/stream/group_reader.hpp"
#include "moql/stream/group_writer.hpp"

using namespace moql;
using bench::must;
using bench::operation;

namespace {

// ------------------------------------------------------------------------------------------------ off a stream

/// Frames of one size as they travel on 06, and how they are cut.
struct input {
  input(std::size_t payload_size, std::size_t chunk_size) : payload(payload_size), chunk(chunk_size) {
    frames = payload_size <= 64 ? 1000 : payload_size <= 1024 ? 240 : 3;
    for (std::size_t i = 0; i < frames; ++i) {
      std::uint8_t head[msg::frame::bytes_max];
      const encoded e =
          encode(msg::frame{.timestamp_delta = i == 0 ? 900'000 : 3000, .size = payload_size}, lite06, head);
      bytes.insert(bytes.end(), head, head + e.size);
      bytes.resize(bytes.size() + payload_size, static_cast<std::uint8_t>(i));
    }
  }
  template <class F>
  void each_chunk(F&& f) const {
    for (std::size_t at = 0; at < bytes.size(); at += chunk)
      f(byte_view(bytes).subspan(at, chunk < bytes.size() - at ? chunk : bytes.size() - at));
  }
  std::size_t payload, chunk, frames = 0;
  std::vector<std::uint8_t> bytes{};
};

/// What a consumer does at the least: notes where the payload is.
struct tally {
  std::size_t frames = 0;
  std::uint64_t payload = 0;
  MOQL_INLINE void operator()(const frame_piece& p) {
    const std::uint8_t* data = p.payload.data();
    benchmark::DoNotOptimize(data);
    payload += p.payload.size();
    frames += p.is_last() ? 1 : 0;
  }
};

void feed_pass(const input& in) {
  frame_reader r(lite06, 1 << 20);
  tally t;
  errc why{};
  in.each_chunk([&](byte_view c) { must(r.feed(c, t, why) == step::wait); });
  must(t.frames == in.frames && t.payload == in.frames * in.payload && r.is_at_boundary());
}
void next_pass(const input& in) {
  frame_reader r(lite06, 1 << 20);
  tally t;
  errc why{};
  in.each_chunk([&](byte_view c) {
    frame_piece p;
    while (r.next(c, p, why) == step::ready) t(p);
  });
  must(t.frames == in.frames && t.payload == in.frames * in.payload && r.is_at_boundary());
}

// ------------------------------------------------------------------------------------------------ out to many

const std::vector<std::uint8_t>& some_payload() {
  static const std::vector<std::uint8_t> p(1200, 0x5a);
  return p;
}
/// An owner that is never counted, as for a buffer that outlives everything.
owner& immortal() {
  static owner o{+[](owner*) noexcept {}, +[](owner*) noexcept {}};
  return o;
}
bytes shared_payload() { return bytes::share(some_payload(), &immortal()); }

constexpr std::size_t frames_per_group = 20;

/// A transport that takes everything: what an adapter does at the least is to walk the pieces.
std::size_t take(const group_writer::offer& o) {
  std::size_t n = 0;
  for (const chunk& c : o.pieces) {
    const std::uint8_t* data = c.data;
    benchmark::DoNotOptimize(data);
    n += c.size;
  }
  return n;
}

/// One group of 20 frames of 1200 bytes to N cursors, which look after every `per_poll` frames.
struct fan_out {
  fan_out(std::size_t n, std::size_t frames_per_poll) : cursors(n), per_poll(frames_per_poll) {}
  void pass() {
    must(cache.begin_group({}) == errc::ok);
    const std::uint64_t sequence = cache.latest().sequence;
    const slot_handle h = cache.handle_of(sequence);
    for (std::size_t i = 0; i < cursors.size(); ++i) cursors[i].start_group(h, lite06, i, sequence, 0, {});
    std::uint64_t total = 0;
    group_writer::scratch room;
    for (std::size_t f = 1; f <= frames_per_group; ++f) {
      must(cache.append(f * 3000, shared_payload()) == errc::ok);
      if (f == frames_per_group) must(cache.end_group() == errc::ok);
      if (f % per_poll != 0) continue;
      for (group_writer& w : cursors) {
        group_writer::offer offer;
        do {
          if (w.look(cache, room, offer) != group_writer::state::data) break;
          total += take(offer);
          w.wrote_all(offer);
        } while (offer.more);
      }
    }
    must(total > cursors.size() * frames_per_group * 1200);
  }
  track_cache cache{{.groups_max = 2}};
  std::vector<group_writer> cursors;
  std::size_t per_poll;
};

constexpr std::size_t frames_appended = 1000;
struct append {
  void pass() {
    must(cache.begin_group({}) == errc::ok);
    for (std::size_t f = 0; f < frames_appended; ++f) must(cache.append(f * 3000, shared_payload()) == errc::ok);
    must(cache.end_group() == errc::ok);
  }
  track_cache cache{{.groups_max = 2}};
};

/// From a stream of 1 KiB frames in 1200 byte chunks to a cache, without a copy, and on to N cursors after each chunk.
struct relay {
  explicit relay(std::size_t n) : cursors(n) {}
  void pass() {
    must(cache.begin_group({}) == errc::ok);
    const std::uint64_t sequence = cache.latest().sequence;
    for (std::size_t i = 0; i < cursors.size(); ++i)
      cursors[i].start_group(cache.handle_of(sequence), lite06, i, sequence, 0, {});
    frame_reader r(lite06, 1 << 20);
    errc why{};
    std::uint64_t total = 0;
    group_writer::scratch room;
    in.each_chunk([&](byte_view c) {
      const auto keep = [&](const frame_piece& p) {
        const bytes part = bytes::share(p.payload, &immortal());
        if (p.is_first() && p.is_last()) {
          must(cache.append(sequence, p.timestamp, part) == errc::ok);
        } else {
          if (p.is_first()) must(cache.begin_frame(sequence, p.timestamp, p.size) == errc::ok);
          must(cache.append_part(sequence, part) == errc::ok);
        }
      };
      must(r.feed(c, keep, why) == step::wait);
      for (group_writer& w : cursors) {
        group_writer::offer offer;
        do {
          if (w.look(cache, room, offer) != group_writer::state::data) break;
          total += take(offer);
          w.wrote_all(offer);
        } while (offer.more);
      }
    });
    must(cache.end_group() == errc::ok);
    must(total > cursors.size() * in.frames * in.payload);
  }
  input in{1024, 1200};
  track_cache cache{{.groups_max = 2}};
  std::vector<group_writer> cursors;
};

// ------------------------------------------------------------------------------------------------ what there is

std::vector<operation> operations() {
  std::vector<operation> all;
  for (const std::size_t payload : {std::size_t{64}, std::size_t{1024}, std::size_t{65536}}) {
    for (const std::size_t chunk : {std::size_t{1200}, std::size_t{65536}}) {
      const input probe(payload, chunk);
      const std::string tail = "/" + std::to_string(payload) + "/" + std::to_string(chunk);
      for (const bool feed : {true, false})
        all.push_back({(feed ? "feed" : "next") + tail, probe.frames, probe.bytes.size(), [=] {
                         return [in = std::make_shared<input>(payload, chunk), feed] {
                           (feed ? feed_pass : next_pass)(*in);
                         };
                       }});
    }
  }
  for (const std::size_t n : {std::size_t{1}, std::size_t{100}, std::size_t{1000}}) {
    for (const std::size_t per_poll : {std::size_t{1}, frames_per_group})
      all.push_back({"fan_out/" + std::to_string(n) + (per_poll == 1 ? "/each_frame" : "/each_group"),
                     n * frames_per_group, n * frames_per_group * 1200,
                     [=] { return [f = std::make_shared<fan_out>(n, per_poll)] { f->pass(); }; }});
    all.push_back({"relay/" + std::to_string(n), n * 240, n * 240 * 1024,
                   [=] { return [f = std::make_shared<relay>(n)] { f->pass(); }; }});
  }
  all.push_back({"append", frames_appended, frames_appended * 1200,
                 [] { return [a = std::make_shared<append>()] { a->pass(); }; }});
  return all;
}

}  // namespace

int main(int argc, char** argv) { return bench::run(argc, argv, operations()); }
