// What a moql session costs on real QUIC: the same megabytes over loopback UDP, as plain streams and as groups of a
// track. Each end has its thread; rounds take turns, so that both kinds meet the same machine.
//
//   program [MEGABYTES] [ROUNDS]     both, and their ratio
//   program plain|moql MEGABYTES     one of them, once: for a profiler

#include <time.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "../examples/net/own_certificate.hpp"
#include "../examples/quic/endpoint.hpp"

using namespace moql;

namespace {

constexpr std::size_t frame_size = 16 * 1024;
constexpr std::size_t frames_of_a_group = 64;
constexpr std::size_t group_size = frame_size * frames_of_a_group;
constexpr std::uint64_t groups_ahead = 8;
constexpr std::string_view plain_protocol = "bench-plain";

/// Payload that nobody frees, so that its shares are counted and its bytes are not made.
struct payload_owner : owner {
  payload_owner() : owner{+[](owner* o) noexcept { ++self(o); }, +[](owner* o) noexcept { --self(o); }} {}
  static std::uint64_t& self(owner* o) noexcept { return static_cast<payload_owner*>(o)->shares; }
  std::uint64_t shares = 1;
  std::vector<std::uint8_t> data = std::vector<std::uint8_t>(frame_size, 0x5a);
};

/// What the two threads share.
struct run {
  bool is_moql;
  std::uint64_t groups;
  std::atomic<std::uint64_t> finished{0};  ///< Groups that have arrived whole.
  double seconds = 0, sender_cpu = 0, receiver_cpu = 0;
};

double thread_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

/// The common part of the peers below.
class bench_peer : public net::peer, public net::transport_events {
 public:
  bench_peer(std::shared_ptr<quic::link> l, run& r, const config& c = {}) : peer(c), link(std::move(l)), shared(r) {}
  std::string_view transport() const override { return "QUIC"; }
  std::string address() const override { return link->address_text(); }
  instant next_deadline() const override { return never_due; }
  void on_deadline(instant) override {}
  bool is_over() const override { return link->is_over(); }
  net::ending why() const override { return link->quic.why(); }
  void on_open(stream_id, direction, instant) noexcept override {}
  void on_data(stream_id, bytes, bool, instant) noexcept override {}
  void on_reset(stream_id, std::uint64_t, instant) noexcept override {}
  void on_stop(stream_id, std::uint64_t, instant) noexcept override {}
  void on_writable(stream_id) noexcept override {}
  void on_credit(direction) noexcept override {}
  void on_datagram(bytes, instant) noexcept override {}
  void on_close(const close_info&, instant) noexcept override {}
  /// How many groups may be begun.
  [[nodiscard]] std::uint64_t groups_due() const {
    return std::min(shared.groups, shared.finished.load(std::memory_order_relaxed) + groups_ahead);
  }
  std::shared_ptr<quic::link> link;
  run& shared;
};

/// One stream a group, without a session.
class plain_sender final : public bench_peer {
 public:
  plain_sender(std::shared_ptr<quic::link> l, run& r) : bench_peer(std::move(l), r) { link->quic.bind(*this); }
  void pump(instant) override {
    for (; begun < groups_due(); ++begun) {
      const open_result o = link->quic.open(direction::uni);
      if (o.status != transport_status::ok) break;
      streams.push_back({o.id, 0, false});
    }
    for (sending& s : streams)
      while (!s.is_blocked && s.sent < group_size) {
        const std::size_t n = std::min(frame_size, group_size - s.sent);
        const chunk c{payload.data.data(), n, &payload};
        const write_result w = link->quic.write(s.id, {&c, 1}, s.sent + n == group_size);
        s.sent += w.accepted;
        s.is_blocked = w.status != transport_status::ok;
      }
    std::erase_if(streams, [](const sending& s) { return s.sent == group_size; });
    link->flush();
  }
  void on_writable(stream_id id) noexcept override {
    for (sending& s : streams)
      if (s.id == id) s.is_blocked = false;
  }

 private:
  struct sending {
    stream_id id;
    std::size_t sent;
    bool is_blocked;
  };
  payload_owner payload;
  std::vector<sending> streams;
  std::uint64_t begun = 0;
};

class plain_receiver final : public bench_peer {
 public:
  plain_receiver(std::shared_ptr<quic::link> l, run& r) : bench_peer(std::move(l), r) { link->quic.bind(*this); }
  void pump(instant) override {
    for (const auto& [id, n] : read) link->quic.consume(id, n);
    read.clear();
    link->flush();
    if (shared.finished == shared.groups) link->host().stop();
  }
  void on_data(stream_id id, bytes data, bool fin, instant) noexcept override {
    read.emplace_back(id, data.size());
    if (fin) ++shared.finished;
  }

 private:
  std::vector<std::pair<stream_id, std::size_t>> read;
};

/// The sessions of `quic_peer`, with a publisher that writes as the subscriber reads.
class session_peer final : public bench_peer {
 public:
  session_peer(std::shared_ptr<quic::link> l, run& r, endpoint side)
      : bench_peer(std::move(l), r, {.side = side, .versions = only(lite06)}), is_sender(side == endpoint::server) {
    link->quic.bind(events);
    (void)session.start(link->quic.protocol(), link->host().now());
  }
  void pump(instant now) override {
    for (; is_sender && is_asked && begun < groups_due(); ++begun) {
      (void)track.begin_group(now);
      for (std::size_t f = 0; f < frames_of_a_group; ++f)
        (void)track.append(begun * frames_of_a_group + f, bytes::share(payload.data, &payload));
      (void)track.end_group();
    }
    moql::pump(session, link->quic, now);
    link->flush();
    if (!is_sender && shared.finished == shared.groups) link->host().stop();
  }
  payload_owner payload;
  track_cache track{{.max_age_ms = 1'000'000, .bytes_max = UINT64_MAX, .groups_max = UINT32_MAX}};
  net::events_to<moql::session> events{session};
  bool is_sender;
  bool is_asked = false;
  std::uint64_t begun = 0;
};

class end_of_run final : public net::program {
 public:
  explicit end_of_run(run& r) : shared(r) {}
  void on_event(net::peer& p, const event& e, instant now) override {
    auto& mine = static_cast<session_peer&>(p);
    if (std::holds_alternative<connected>(e) && !mine.is_sender)
      (void)p.session.subscribe("bench", "video", {.want = {.max_age_ms = 1'000'000}}, now);
    if (const auto* r = std::get_if<track_requested>(&e)) (void)p.session.serve(r->request, mine.track);
    if (const auto* r = std::get_if<subscribe_requested>(&e)) {
      (void)p.session.serve(r->request, mine.track);
      mine.is_asked = true;
    }
    if (const auto* g = std::get_if<group_finished>(&e)) {
      ++shared.finished;
      if (g->why != errc::ok) std::puts("a group was cut");
    }
  }
  void on_gone(net::peer&, const net::ending& why) override {
    std::puts(why.text.c_str());
    host.stop();
  }
  void on_unreachable(const net::ending& why) override {
    std::puts(why.text.c_str());
    host.stop();
  }
  run& shared;
  net::host host{*this};
};

/// Transfers once, and fills in what it took.
void transfer(run& r, const std::string& cert, const std::string& key) {
  const std::string protocol(r.is_moql ? "moq-lite-06" : plain_protocol);
  std::atomic<std::uint16_t> port{0};
  std::atomic<net::host*> sending_host{nullptr};
  std::thread sender([&] {
    end_of_run program(r);
    net::listen_options o;
    o.cert_file = cert;
    o.key_file = key;
    std::string error;
    auto s = std::make_shared<quic::station>(program.host);
    quic::connection_settings c;
    c.credentials = quic::server_credentials(cert, key, error);
    c.protocols = {protocol};
    if (c.credentials == nullptr || !s->socket.bind(quic::address::parse("127.0.0.1", 0), error)) {
      std::puts(error.c_str());
      std::exit(1);
    }
    quic::server server(program.host, s, c, 10, [&](std::shared_ptr<quic::link> l) -> std::shared_ptr<net::peer> {
      if (r.is_moql) return std::make_shared<session_peer>(l, r, endpoint::server);
      return std::make_shared<plain_sender>(l, r);
    });
    sending_host = &program.host;
    port = server.port();
    program.host.run();
    r.sender_cpu = thread_seconds();
  });
  while (port == 0) std::this_thread::yield();
  std::thread receiver([&] {
    end_of_run program(r);
    net::dial_options o;
    o.insecure = true;
    const std::string url = "moqt://127.0.0.1:" + std::to_string(port.load());
    quic::dial(program.host, *parse_url(url), o, {protocol},
               [&](std::shared_ptr<quic::link> l) -> std::shared_ptr<net::peer> {
                 if (r.is_moql) return std::make_shared<session_peer>(l, r, endpoint::client);
                 return std::make_shared<plain_receiver>(l, r);
               });
    const instant start = program.host.now();
    program.host.run();
    r.seconds = static_cast<double>((program.host.now() - start).us) / 1e6;
    r.receiver_cpu = thread_seconds();
  });
  receiver.join();
  boost::asio::post(sending_host.load()->io(), [&] { sending_host.load()->stop(); });
  sender.join();
}

double show(const run& r) {
  const double megabytes = static_cast<double>(r.groups * group_size) / 1e6;
  std::printf("%-5s  %7.1f MB/s   sender %.2f ms/MB, receiver %.2f ms/MB of CPU\n", r.is_moql ? "moql" : "plain",
              megabytes / r.seconds, r.sender_cpu * 1000 / megabytes, r.receiver_cpu * 1000 / megabytes);
  std::fflush(stdout);
  return megabytes / r.seconds;
}
double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  std::string error;
  const auto own = net::load_or_make_certificate({}, {}, error);
  if (!own) {
    std::puts(error.c_str());
    return 1;
  }
  const std::string &cert = own->cert_file, &key = own->key_file;
  const bool is_one = argc == 3 && (std::string_view(argv[1]) == "plain" || std::string_view(argv[1]) == "moql");
  if (is_one) {
    run r{std::string_view(argv[1]) == "moql", static_cast<std::uint64_t>(std::atoll(argv[2]))};
    transfer(r, cert, key);
    show(r);
    return 0;
  }
  const auto groups = static_cast<std::uint64_t>(argc > 1 ? std::atoll(argv[1]) : 200);
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
  std::vector<double> plain, moql;
  double cpu[2] = {0, 0};
  for (int i = 0; i < rounds; ++i)
    for (const bool is_moql : {false, true}) {
      run r{is_moql, groups};
      transfer(r, cert, key);
      (is_moql ? moql : plain).push_back(show(r));
      cpu[is_moql ? 1 : 0] += r.sender_cpu + r.receiver_cpu;
    }
  std::printf("median %.1f and %.1f MB/s: ratio %.3f; CPU ratio %.3f\n", median(plain), median(moql),
              median(moql) / median(plain), cpu[0] / cpu[1]);
}
