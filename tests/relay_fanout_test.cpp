/// What one more subscriber costs a relay, and what a slow one costs the others: seed rows 5.1 and 5.3.

#include <doctest/doctest.h>

#include "counting_memory.hpp"
#include "watcher.hpp"

using namespace testing;

namespace {

/// The far end of a subscriber's connection: takes everything until it stalls, and keeps a digest of each stream.
class ear : public moql::transport_defaults {
 public:
  moql::byte_view source{};         ///< Where the publisher's payload lies.
  std::uint64_t payload_there = 0;  ///< Bytes that were shown from there,
  std::uint64_t elsewhere = 0;      ///< and from any other place: headers and control messages.
  bool is_stalled = false;
  std::uint64_t digest = 0xcbf29ce484222325u;
  std::uint64_t fins = 0, resets = 0;

  moql::open_result open(moql::direction) noexcept { return {moql::transport_status::ok, moql::stream_id{next_ += 4}}; }
  moql::write_result write(moql::stream_id id, std::span<const moql::chunk> pieces, bool fin) noexcept {
    if (is_stalled) return {moql::transport_status::blocked, 0};
    std::size_t n = 0;
    add_number(static_cast<std::uint64_t>(id));
    for (const moql::chunk& c : pieces) {
      const bool is_payload = c.data >= source.data() && c.data + c.size <= source.data() + source.size();
      (is_payload ? payload_there : elsewhere) += c.size;
      if (is_payload) {  // which bytes of the one buffer there is says it all
        add_number(static_cast<std::uint64_t>(c.data - source.data()));
        add_number(c.size);
      } else {
        add({c.data, c.size});
      }
      n += c.size;
    }
    fins += fin ? 1 : 0;
    return {moql::transport_status::ok, n};
  }
  void reset(moql::stream_id, std::uint64_t) noexcept { ++resets; }
  void stop(moql::stream_id, std::uint64_t) noexcept {}
  void close(std::uint64_t, std::string_view) noexcept {}
  [[nodiscard]] std::string_view protocol() const noexcept { return "moq-lite-06"; }

 private:
  void add_number(std::uint64_t n) noexcept { add({reinterpret_cast<const std::uint8_t*>(&n), sizeof n}); }
  void add(moql::byte_view v) noexcept {
    for (const std::uint8_t b : v) digest = (digest ^ b) * 0x100000001b3u;
  }
  std::uint64_t next_ = std::uint64_t{1} << 40;
};

struct listener {
  explicit listener(const moql::config& c, moql::memory m) : session(c, m) {}
  moql::session session;
  ear out;
  moql::peer_id id{};
};

/// A publisher over a network that hands buffers on, a relay, and any number of listeners that ask for its track.
struct fan {
  static constexpr std::uint64_t hop = 20;

  moql::counting_memory mem{};  // first: everything goes back to it
  std::vector<std::uint8_t> payload = std::vector<std::uint8_t>(100'000, 0x5a);
  struct forever : moql::owner {
    forever() : moql::owner{+[](moql::owner*) noexcept {}, +[](moql::owner*) noexcept {}} {}
  } owner{};
  moql::loopback_network net{{.chunk_min = 1200, .chunk_max = 1200, .hold_payload = true}};
  moql::track_cache track{{.groups_max = 2}};
  moql::session publisher{{.side = moql::endpoint::client, .hop = 7}};
  moql::session upstream{{.side = moql::endpoint::server, .hop = hop}};
  std::vector<std::unique_ptr<listener>> all{};
  std::vector<std::vector<std::uint8_t>> messages{};
  moql::relay core;
  moql::peer_id up{};
  moql::instant now{};

  explicit fan(const moql::relay_limits& caps = {.track_groups_max = 2}) : core({.hop = hop, .caps = caps}, mem.get()) {
    (void)publisher.start("moq-lite-06", now);
    (void)upstream.start("moq-lite-06", now);
    const auto joined = core.join(upstream, {.scope = 0}, now);
    REQUIRE(joined);
    up = *joined;
    (void)publisher.announce("room");
    run();
  }
  void add(std::size_t n) {
    while (n-- > 0) {
      moql::config c{.side = moql::endpoint::server, .hop = hop};
      c.caps.behind_bytes_max = 200'000;
      all.push_back(std::make_unique<listener>(c, mem.get()));
      listener& l = *all.back();
      l.out.source = payload;
      (void)l.session.start("moq-lite-06", now);
      const auto joined = core.join(l.session, {.scope = 0, .discover = false}, now, &l);
      REQUIRE(joined);
      l.id = *joined;
      feed(l, 2, moql::direction::uni, {1, 1, 0}, true);
      std::vector<std::uint8_t> ask(64);
      const moql::encoded e = moql::encode(
          moql::msg::subscribe{.id = 0, .broadcast = "room", .track = "video", .want = {.max_age_ms = 500}},
          moql::lite06, std::span(ask).subspan(1));
      REQUIRE(e.why == moql::errc::ok);
      ask[0] = 2;
      ask.resize(e.size + 1);
      feed(l, 4, moql::direction::bidi, ask, false);
    }
    run();
  }
  void feed(listener& l, std::uint64_t id, moql::direction d, const std::vector<std::uint8_t>& data, bool fin) {
    l.session.on_open(moql::stream_id{id}, d, now);
    l.session.on_data(moql::stream_id{id}, moql::bytes::borrow(data), fin, now);
    while (const auto e = l.session.next_event()) core.on_event(l.id, *e, now);
  }
  void run() {
    do {
      while (const auto e = publisher.next_event()) {
        if (const auto* r = std::get_if<moql::subscribe_requested>(&*e)) (void)publisher.serve(r->request, track);
        if (const auto* r = std::get_if<moql::track_requested>(&*e)) (void)publisher.serve(r->request, track);
      }
      while (const auto e = upstream.next_event()) core.on_event(up, *e, now);
      moql::pump(publisher, net.a(), now);
      moql::pump(upstream, net.b(), now);
      while (const auto ready = core.next_ready())
        if (auto* l = static_cast<listener*>(core.user_of(*ready))) moql::pump(l->session, l->out, now);
    } while (net.step(publisher, upstream));
  }
  void group(std::size_t frames, std::size_t size) {
    (void)track.begin_group(now);
    for (std::size_t f = 0; f < frames; ++f)
      (void)track.append(track.next_sequence() * 1000 + f,
                         moql::bytes::share(moql::byte_view(payload).subspan(f * 10, size), &owner));
    (void)track.end_group();
    run();
  }
};

}  // namespace

TEST_CASE("one more subscriber takes no memory and no copy per frame, through the whole relay [seed 5.1] [seed 5.3]") {
  fan f;
  f.add(50);
  for (int i = 0; i < 5; ++i) f.group(10, 1000);
  const std::size_t requests = f.mem.requests;
  std::vector<std::uint64_t> before;
  for (const auto& l : f.all) before.push_back(l->out.payload_there);
  const std::uint64_t other = f.all[0]->out.elsewhere;
  for (int i = 0; i < 20; ++i) f.group(10, 1000);
  CHECK(f.mem.requests == requests);
  for (std::size_t i = 0; i < f.all.size(); ++i) CHECK(f.all[i]->out.payload_there - before[i] == 20 * 10 * 1000);
  CHECK(f.all[0]->out.elsewhere - other < 20 * 10 * 16);  // headers
  CHECK(f.mem.sizes_match);
}

TEST_CASE("one stalled reader of a thousand: the others get byte for byte what they get without it [seed 5.3 c]") {
  const auto run = [](bool is_stalled, std::vector<std::uint64_t>& digests, std::size_t& high) {
    fan f({.track_bytes_max = 400'000, .track_groups_max = 4});
    f.add(1000);
    f.group(4, 2000);
    f.all[500]->out.is_stalled = is_stalled;
    const std::size_t settled = f.mem.bytes;
    f.mem.bytes_high = settled;
    for (int i = 0; i < 10; ++i) f.group(4, 20'000);
    high = f.mem.bytes_high - settled;
    for (std::size_t i = 0; i < f.all.size(); ++i)
      if (i != 500) digests.push_back(f.all[i]->out.digest);
    CHECK(f.core.readers() == 1000);
  };
  std::vector<std::uint64_t> with;
  std::vector<std::uint64_t> without;
  std::size_t high_with = 0;
  std::size_t high_without = 0;
  run(true, with, high_with);
  run(false, without, high_without);
  CHECK(with == without);
  // Payload belongs to the publisher here; what a stalled reader holds is places in a few groups.
  CHECK(high_with < high_without + 16'384);
  MESSAGE("memory that a stalled reader adds: ", high_with - (high_without < high_with ? high_without : high_with));
}
