// Whole sessions through their public interface: frames in, frames out to any number of subscribers, groups that come
// and go, requests. See driver.hpp for how to run it.
//
// All of it is counted: events, flow-control credit, timers, the pump. Every pass checks that it saw all of it.

#include <moql/adapter/loopback.hpp>

#include "driver.hpp"
#include "lone.hpp"

using namespace moql;
using namespace bench;

namespace {

// ------------------------------------------------------------------------------------------------ frames in

/// One group a pass, in chunks as datagrams cut it: `on_data`, all events, and now and then the credit back to the
/// transport.
struct ingest {
  static constexpr std::size_t head_room = 64;
  static constexpr std::size_t chunks_per_pump = 16;  // what one read of a socket brings

  ingest(std::size_t payload_size, std::size_t chunk_size, bool is_owned)
      : frames(payload_size <= 64 ? 1000 : 240), payload(payload_size), chunk(chunk_size), owned(is_owned) {
    stream.resize(head_room);
    for (std::size_t i = 0; i < frames; ++i) {
      std::uint8_t head[msg::frame::bytes_max];
      const encoded e = encode(msg::frame{.timestamp_delta = i == 0 ? 900'000 : 3000, .size = payload}, lite06, head);
      stream.insert(stream.end(), head, head + e.size);
      stream.resize(stream.size() + payload, static_cast<std::uint8_t>(i));
    }
    const auto id = s.session.subscribe("live/room-1234/alice", "video/1080p", {.skip_track_info = true}, {});
    must(id.has_value());
    s.settle();
  }
  void pass() {
    const auto head = opening(type_of_stream(uni_type::group), msg::group{0, sequence++, 0}, lite06);
    std::memcpy(stream.data() + head_room - head.size(), head.data(), head.size());
    const byte_view all = byte_view(stream).subspan(head_room - head.size());
    const auto id = static_cast<stream_id>(s.next_stream += 4);
    s.session.on_open(id, direction::uni, {});
    std::size_t seen = 0;
    std::uint64_t got = 0;
    for (std::size_t at = 0; at < all.size(); at += chunk) {
      const byte_view part = all.subspan(at, chunk < all.size() - at ? chunk : all.size() - at);
      const bool is_last = at + part.size() == all.size();
      s.session.on_data(id, owned ? bytes::share(part, &immortal()) : bytes::borrow(part), is_last, {});
      while (const auto e = s.session.next_event())
        if (const auto* p = std::get_if<frame_part>(&*e)) {
          const std::uint8_t* data = p->payload.data();
          benchmark::DoNotOptimize(data);
          got += p->payload.size();
          seen += p->is_last() ? 1 : 0;
        }
      if (++chunks % chunks_per_pump == 0) pump(s.session, s.out, {});
    }
    pump(s.session, s.out, {});
    must(seen == frames && got == frames * payload && s.session.streams_held() <= 3);
  }
  lone s{endpoint::client, lite06};
  std::size_t frames, payload, chunk;
  bool owned;
  std::uint64_t sequence = 0;
  std::size_t chunks = 0;
  std::vector<std::uint8_t> stream{};
};

// ------------------------------------------------------------------------------------------------ frames out

/// One group a pass from one cache to N sessions, each pumped after every `per_poll` frames.
struct fan_out {
  fan_out(std::size_t n, std::size_t group_frames, std::size_t frames_per_poll, std::size_t size)
      : frames(group_frames), per_poll(frames_per_poll), payload(size) {
    for (std::size_t i = 0; i < n; ++i) {
      sessions.push_back(std::make_unique<lone>(endpoint::server, lite06));
      (void)sessions.back()->subscribe(subscribe_message(0, lite06), cache);
    }
  }
  void pass() {
    must(cache.begin_group({}) == errc::ok);
    const std::uint64_t before = sessions.back()->out.written;
    for (std::size_t f = 1; f <= frames; ++f) {
      must(cache.append(f * 3000, payload_of(payload)) == errc::ok);
      if (f == frames) must(cache.end_group() == errc::ok);
      if (f % per_poll != 0) continue;
      for (const auto& s : sessions) pump(s->session, s->out, {});
    }
    must(sessions.back()->out.written - before > frames * payload && sessions.front()->session.streams_held() <= 4);
  }
  track_cache cache{{.groups_max = 2}};
  std::vector<std::unique_ptr<lone>> sessions{};
  std::size_t frames, per_poll, payload;
};

// ------------------------------------------------------------------------------------------------ requests

constexpr std::size_t asked_per_pass = 32;

/// SUBSCRIBE in, OK out, on a session that has `n` of the peer's subscriptions already; those that come stay, or leave
/// within the pass. The track has no group yet, so that nothing else is sent.
struct requests {
  requests(version v, std::size_t n, bool they_leave) : ver(v), held(n), leave(they_leave) {
    for (std::size_t i = 0; i < held + passes_max * asked_per_pass; ++i) messages.push_back(subscribe_message(i, ver));
    start();
  }
  /// Only runs by the clock get past `passes_max`; their numbers have this in them.
  void start() {
    s = std::make_unique<lone>(endpoint::server, ver);
    for (next = 0; next < held;) (void)s->subscribe(messages[next++], cache);
    s->settle();
  }
  void pass() {
    if (next == messages.size()) start();
    const std::uint64_t before = s->out.written;
    std::uint64_t id = 0;
    for (std::size_t i = 0; i < asked_per_pass; ++i) {
      id = s->subscribe(messages[next++], cache);
      pump(s->session, s->out, {});
    }
    must(s->out.written > before + asked_per_pass);
    if (!leave) return;
    for (std::size_t i = 0; i < asked_per_pass; ++i) {
      s->session.on_data(static_cast<stream_id>(id - 4 * i), {}, true, {});
      s->settle();
    }
    must(s->session.streams_held() <= held + 3);
  }
  static constexpr std::size_t passes_max = 100;
  version ver;
  std::size_t held;
  bool leave;
  track_cache cache{};
  std::vector<std::vector<std::uint8_t>> messages{};
  std::unique_ptr<lone> s{};
  std::size_t next = 0;
};

// ------------------------------------------------------------------------------------------------ end to end

/// Two sessions over the loopback network, which copies and cuts into 1200 bytes as a connection would.
struct end_to_end {
  static constexpr std::size_t frames = 100;
  static constexpr std::size_t payload = 1024;

  end_to_end() {
    must(client.start(net.a().protocol(), {}) == errc::ok && server.start(net.b().protocol(), {}) == errc::ok);
    must(client.subscribe("live/room-1234/alice", "video/1080p", {}, {}).has_value());
    run();
  }
  void drain() {
    while (const auto e = client.next_event())
      if (const auto* p = std::get_if<frame_part>(&*e)) {
        const std::uint8_t* data = p->payload.data();
        benchmark::DoNotOptimize(data);
        seen += p->is_last() ? 1 : 0;
      }
    while (const auto e = server.next_event()) {
      if (const auto* r = std::get_if<subscribe_requested>(&*e)) must(server.serve(r->request, cache) == errc::ok);
      if (const auto* r = std::get_if<track_requested>(&*e)) must(server.serve(r->request, cache) == errc::ok);
    }
    pump(client, net.a(), net.now());
    pump(server, net.b(), net.now());
  }
  void run() {
    drain();
    while (net.step(client, server)) drain();
  }
  void pass() {
    must(cache.begin_group(net.now()) == errc::ok);
    for (std::size_t i = 0; i < frames; ++i) must(cache.append(i * 3000, payload_of(payload)) == errc::ok);
    must(cache.end_group() == errc::ok);
    seen = 0;
    run();
    must(seen == frames);
  }
  loopback_network net{{.chunk_min = 1200, .chunk_max = 1200}};
  track_cache cache{{.groups_max = 2}};
  session client{settings(endpoint::client)};
  session server{settings(endpoint::server)};
  std::size_t seen = 0;
};

std::vector<bench::operation> operations() {
  using bench::op;
  std::vector<bench::operation> all;
  all.push_back(op<end_to_end>("end_to_end/1024", end_to_end::frames, end_to_end::frames * end_to_end::payload));
  for (const std::size_t payload : {std::size_t{64}, std::size_t{1024}})
    for (const std::size_t chunk : {std::size_t{1200}, std::size_t{65536}}) {
      const std::size_t frames = payload <= 64 ? 1000 : 240;
      const std::string tail = "/" + std::to_string(payload) + "/" + std::to_string(chunk);
      all.push_back(op<ingest>("ingest" + tail, frames, frames * payload, payload, chunk, true));
      if (chunk != 1200) continue;
      all.push_back(op<ingest>("ingest_borrowed" + tail, frames, frames * payload, payload, chunk, false));
    }
  for (const std::size_t n : {std::size_t{1}, std::size_t{10}, std::size_t{100}, std::size_t{1000}}) {
    const std::string head = "fan_out/" + std::to_string(n);
    for (const std::size_t per_poll : {std::size_t{1}, std::size_t{20}})
      all.push_back(op<fan_out>(head + (per_poll == 1 ? "/each_frame" : "/each_20_frames"), n * 20, n * 20 * 1200, n,
                                std::size_t{20}, per_poll, std::size_t{1200}));
  }
  // One group that does not end soon: what remains of the above without the opening and the end of a stream.
  all.push_back(op<fan_out>("fan_out_long/100/each_frame", std::size_t{100 * 1000}, std::size_t{100} * 1000 * 1200,
                            std::size_t{100}, std::size_t{1000}, std::size_t{1}, std::size_t{1200}));
  all.push_back(
      op<fan_out>("churn/100", 100, 100 * 200, std::size_t{100}, std::size_t{1}, std::size_t{1}, std::size_t{200}));
  // 04 answers at once; later versions when there is a group, which would be sent too.
  for (const bool leave : {false, true})
    all.push_back(op<requests>(leave ? "subscribe_and_leave/1000" : "subscribe/1000", asked_per_pass, 0, lite04,
                               std::size_t{1000}, leave));
  return all;
}

}  // namespace

int main(int argc, char** argv) { return bench::run(argc, argv, operations()); }
