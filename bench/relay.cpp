// A relay between one publisher and any number of subscribers, each with a session of its own: what one more costs. See
// driver.hpp for how to run it.
//
// program --memory prints what one more subscription takes, on a session that is there and with its session.
//
// A frame's upstream part (the publisher, the network to the relay, reading it) is paid once however many read it; so
// the cost of a delivery is the difference between two numbers of subscribers.

#include <moql/adapter/loopback.hpp>
#include <moql/relay/relay.hpp>

#include <map>

#include "driver.hpp"
#include "lone.hpp"

using namespace moql;
using namespace bench;

namespace {

constexpr std::uint64_t relay_hop = 20;

/// Counts what is out.
struct ledger {
  std::size_t bytes = 0;
  std::size_t requests = 0;
  [[nodiscard]] memory get() const { return {&source}; }

 private:
  memory_source source{+[](void* l, std::size_t size) noexcept {
                         static_cast<ledger*>(l)->bytes += size;
                         ++static_cast<ledger*>(l)->requests;
                         return std::malloc(size);
                       },
                       +[](void* l, void* block, std::size_t size) noexcept {
                         static_cast<ledger*>(l)->bytes -= size;
                         std::free(block);
                       },
                       this};
};

struct relayed {
  static constexpr std::size_t frames = 5;

  relayed(std::size_t subscribers, std::size_t sessions, std::size_t size) : payload(size) {
    must(publisher.start(net.a().protocol(), {}) == errc::ok && upstream.start(net.b().protocol(), {}) == errc::ok);
    up = *core.join(upstream, {.scope = 0}, {});
    must(publisher.announce("live/room-1234/alice").has_value());
    run();
    for (std::size_t i = 0; i < sessions; ++i) add_session();
    for (std::size_t i = 0; i < subscribers; ++i) subscribe(i % sessions);
    run();
    must(core.readers() == subscribers && core.sources() == 1);
  }
  void add_session() {
    downs.push_back(std::make_unique<lone>(endpoint::server, lite06, config{.hop = relay_hop}, mem.get()));
    ids.push_back(*core.join(downs.back()->session, {.scope = 0, .discover = false}, {}, downs.back().get()));
    hear(*downs.back(), ids.back());
  }
  void subscribe(std::size_t session) {
    messages.push_back(subscribe_message(messages.size(), lite06));
    downs[session]->receive(downs[session]->next_stream += 4, direction::bidi, messages.back(), false);
    hear(*downs[session], ids[session]);
  }
  void hear(lone& l, peer_id id) {
    while (const auto e = l.session.next_event()) core.on_event(id, *e, {});
  }
  void run() {
    do {
      while (const auto e = publisher.next_event()) {
        if (const auto* r = std::get_if<subscribe_requested>(&*e)) must(publisher.serve(r->request, track) == errc::ok);
        if (const auto* r = std::get_if<track_requested>(&*e)) must(publisher.serve(r->request, track) == errc::ok);
      }
      while (const auto e = upstream.next_event()) core.on_event(up, *e, {});
      pump(publisher, net.a(), {});
      while (const auto ready = core.next_ready()) {
        if (*ready == up)
          pump(upstream, net.b(), {});
        else
          pump(*core.session_of(*ready), static_cast<lone*>(core.user_of(*ready))->out, {});
      }
    } while (net.step(publisher, upstream));
  }
  [[nodiscard]] std::uint64_t written() const {
    std::uint64_t n = 0;
    for (const auto& d : downs) n += d->out.written;
    return n;
  }
  /// One group; every frame goes all the way before the next is written.
  void pass() {
    const std::uint64_t before = downs.empty() ? 0 : downs.front()->out.written;
    must(track.begin_group({}) == errc::ok);
    for (std::size_t f = 0; f < frames; ++f) {
      must(track.append(f * 3000, payload_of(payload)) == errc::ok);
      run();
    }
    must(track.end_group() == errc::ok);
    run();
    must(downs.empty() || downs.front()->out.written - before > frames * payload);
  }
  ledger mem{};  // first: everything is given back to it
  loopback_network net{{.chunk_min = 1200, .chunk_max = 1200, .hold_payload = true}};
  track_cache track{{.timescale = 90'000, .groups_max = 2}};
  session publisher{{.side = endpoint::client, .hop = 7}};
  session upstream{{.side = endpoint::server, .hop = relay_hop}, mem.get()};
  std::vector<std::vector<std::uint8_t>> messages{};
  std::vector<std::unique_ptr<lone>> downs{};
  relay core{{.hop = relay_hop, .caps = {.track_groups_max = 2}}, mem.get()};
  peer_id up{};
  std::vector<peer_id> ids{};
  std::size_t payload;
};

enum class moment : std::uint8_t { subscribed, group_open, between_groups };

int print_memory() {
  // Of the relay's memory and its sessions'; names of 31 bytes, averages over 1,000.
  const auto footprint = [](std::size_t subscribers, std::size_t sessions, moment when) {
    relayed r(subscribers, sessions, 1200);
    if (when == moment::between_groups)
      for (int i = 0; i < 3; ++i) r.pass();
    if (when == moment::group_open) {
      must(r.track.begin_group({}) == errc::ok && r.track.append(0, payload_of(100)) == errc::ok);
      r.run();
    }
    return static_cast<double>(r.mem.bytes);
  };
  const std::pair<moment, const char*> all[] = {{moment::subscribed, "no group yet"},
                                                {moment::group_open, "one group stream open"},
                                                {moment::between_groups, "between groups, nothing given back"}};
  for (const auto& [when, text] : all)
    std::printf("one more subscription of a session that is there, %s: %.0f bytes\n", text,
                (footprint(1001, 1, when) - footprint(1, 1, when)) / 1000);
  std::printf("one more session with one subscription, between groups: %.0f bytes, besides sizeof(session) %zu\n",
              (footprint(400, 400, moment::between_groups) - footprint(200, 200, moment::between_groups)) / 200,
              sizeof(session));
  for (const std::size_t n : {std::size_t{100}, std::size_t{1000}}) {
    relayed r(n, n, 1200);
    for (int i = 0; i < 5; ++i) r.pass();
    const std::size_t before = r.mem.requests;
    for (int i = 0; i < 10; ++i) r.pass();
    std::printf("%zu subscribers: %zu allocations in %zu deliveries\n", n, r.mem.requests - before,
                10 * relayed::frames * n);
  }
  return 0;
}

std::vector<bench::operation> operations() {
  std::vector<bench::operation> all;
  for (const std::size_t n :
       {std::size_t{1}, std::size_t{10}, std::size_t{100}, std::size_t{1000}, std::size_t{10'000}})
    all.push_back(op<relayed>("relay/" + std::to_string(n), relayed::frames, relayed::frames * n * 1200, n, n,
                              std::size_t{1200}));
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--memory") == 0) return print_memory();
  return bench::run(argc, argv, operations());
}
