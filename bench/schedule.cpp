// What it costs to decide which stream is written next, and how even the shares are. The number in a name is the flows
// or streams there are. See driver.hpp for how to run it.
//
// Beside our schedule, in the same run:
//   queue   std::priority_queue of the same keys; entries that are out of date stay until they come up, or until there
//           are more of them than of the others
//   http3   nghttp3's scheduler of RFC 9218 through its public API: all streams incremental and of one urgency. Its
//           steps also make the DATA frames' headers and keep what is not acknowledged: more work for the same
//           question.

#include <cstdint>
#include <queue>
#include <random>

#include "driver.hpp"
#include "moql/delivery/heap.hpp"
#include "moql/delivery/schedule.hpp"
#include "moql/delivery/timers.hpp"

#if MOQL_BENCH_NGHTTP3
#include <nghttp3/nghttp3.h>
#endif

namespace {

using namespace moql;
using bench::must;

constexpr std::size_t steps = 1000;  // in a pass
constexpr std::size_t write_size = 1200;

/// Ids in an order that no cache or branch predictor sees through.
struct walk {
  explicit walk(std::uint32_t n) : n_(n) {}
  std::uint32_t operator()() noexcept { return at_ = static_cast<std::uint32_t>((std::uint64_t{at_} + 7919) % n_); }
  std::uint32_t n_, at_ = 0;
};

struct heap_insert_erase {
  indexed_heap<std::uint64_t> heap;
  std::mt19937_64 random{1};
  walk next;
  explicit heap_insert_erase(std::uint32_t n) : next(n) {
    for (std::uint32_t i = 0; i < n; ++i) must(heap.push(i, random()));
  }
  void pass() {
    for (std::size_t i = 0; i < steps; ++i) {
      const std::uint32_t id = next();
      heap.erase(id);
      must(heap.push(id, random()));
    }
  }
};

/// The flows of a schedule with something to write.
struct flows {
  schedule s;
  std::uint32_t n;
  std::mt19937 random{1};
  flows(std::uint32_t count, unsigned priorities, std::uint32_t one_ready_of = 1) : n(count) {
    for (std::uint32_t i = 0; i < n; ++i) {
      const flow_id f = s.add_flow(static_cast<std::uint8_t>(random() % priorities), 0, group_order::newest_first);
      must(f != schedule::none && (i % one_ready_of != 0 || s.ready(f, 0, 0)));
    }
  }
};

/// Equal flows with endless data: look, write (not measured here), give up the turn.
struct pick_served : flows {
  explicit pick_served(std::uint32_t count) : flows(count, 1) {}
  void pass() {
    for (std::size_t i = 0; i < steps; ++i) s.served(s.best().flow, write_size);
  }
};
/// A fetch, a blocked stream or a finished group: a stream of some flow comes and goes; every other flow is ready.
struct ready_unready : flows {
  walk next{n / 2};
  explicit ready_unready(std::uint32_t count) : flows(count, 4, 2) {}
  void pass() {
    for (std::size_t i = 0; i < steps; ++i) {
      const flow_id f = next() * 2 + 1;
      must(s.ready(f, 0, 0));
      s.unready(f, 0, 0);
    }
  }
};
/// SUBSCRIBE_UPDATE: another of four priorities, and a look at what is best now.
struct prioritise : flows {
  walk next{n};
  explicit prioritise(std::uint32_t count) : flows(count, 4) {}
  void pass() {
    for (std::size_t i = 0; i < steps; ++i) {
      s.set_flow(next(), static_cast<std::uint8_t>(random() % 4), 0, group_order::newest_first);
      benchmark::DoNotOptimize(s.best().flow);
    }
  }
};
/// A group arrives on each of many flows of a few priorities, is written whole and is done.
struct group : flows {
  std::uint64_t sequence = 0;
  explicit group(std::uint32_t count) : flows(count, 4, ~std::uint32_t{0}) { s.unready(0, 0, 0); }
  void pass() {
    ++sequence;
    for (flow_id f = 0; f < n; ++f) must(s.ready(f, sequence, f));
    while (!s.empty()) {
      const auto p = s.best();
      s.unready(p.flow, p.sequence, p.item);
      s.served(p.flow, write_size);
    }
  }
};
/// One flow far behind: serving it and adding to it must not depend on the length of its backlog.
struct backlog {
  schedule s;
  flow_id f = s.add_flow(1, 1, group_order::oldest_first);
  std::uint64_t next = 0;
  explicit backlog(std::uint32_t n) {
    while (next < n) must(s.ready(f, next++, 0));
  }
  void pass() {
    for (std::size_t i = 0; i < steps; ++i) {
      s.unready(f, s.best().sequence, 0);
      must(s.ready(f, next++, 0));
    }
  }
};

struct timer_move {
  timers t;
  walk next;
  std::int64_t now;
  explicit timer_move(std::uint32_t n) : next(n), now(n) {
    for (std::uint32_t i = 0; i < n; ++i) must(t.set(i, instant{i}));
  }
  void pass() {
    for (std::size_t i = 0; i < steps; ++i) must(t.set(next(), instant{++now}));
  }
};

// ---- std::priority_queue

class queue_schedule {
 public:
  struct entry {
    std::uint64_t key;
    std::uint32_t id, edition;
    bool operator<(const entry& o) const { return key > o.key; }
  };
  queue_schedule(std::uint32_t n, unsigned priorities, std::uint32_t one_ready_of = 1) : flows_(n) {
    for (std::uint32_t i = 0; i < n; ++i) {
      flows_[i].rank = static_cast<std::uint16_t>(random() % priorities << 8);
      if (i % one_ready_of == 0) ready(i);
    }
  }
  void ready(std::uint32_t id) {
    flows_[id].is_ready = true;
    ++ready_;
    push(id);
  }
  void unready(std::uint32_t id) {
    flows_[id].is_ready = false;
    --ready_;
    ++flows_[id].edition;
    tidy();
  }
  void prioritise(std::uint32_t id, std::uint16_t rank) {
    flow& f = flows_[id];
    f.rank = rank;
    ++f.edition;
    if (f.is_ready) push(id);
    tidy();
  }
  std::uint32_t best() {
    while (heap_.top().edition != flows_[heap_.top().id].edition) heap_.pop();
    return heap_.top().id;
  }
  void served_best(std::size_t bytes) {
    const std::uint32_t id = best();
    heap_.pop();
    flows_[id].start += bytes;
    push(id);
  }
  std::mt19937 random{1};

 private:
  struct flow {
    std::uint64_t start = 0;
    std::uint32_t edition = 0;
    std::uint16_t rank = 0;
    bool is_ready = false;
  };
  void push(std::uint32_t id) {
    const flow& f = flows_[id];
    heap_.push({static_cast<std::uint64_t>(0xffffu - f.rank) << 48 | f.start, id, f.edition});
  }
  void tidy() {
    if (heap_.size() < 2 * ready_ + 16) return;
    heap_ = {};
    for (std::uint32_t i = 0; i < flows_.size(); ++i)
      if (flows_[i].is_ready) push(i);
  }
  std::vector<flow> flows_;
  std::priority_queue<entry> heap_;
  std::size_t ready_ = 0;
};
struct queue_pick_served {
  queue_schedule q;
  explicit queue_pick_served(std::uint32_t n) : q(n, 1) {}
  void pass() {
    for (std::size_t i = 0; i < steps; ++i) {
      benchmark::DoNotOptimize(q.best());
      q.served_best(write_size);
    }
  }
};
struct queue_ready_unready {
  queue_schedule q;
  walk next;
  explicit queue_ready_unready(std::uint32_t n) : q(n, 4, 2), next(n / 2) {}
  void pass() {
    for (std::size_t i = 0; i < steps; ++i) {
      const std::uint32_t id = next() * 2 + 1;
      q.ready(id);
      q.unready(id);
    }
  }
};
struct queue_prioritise {
  queue_schedule q;
  walk next;
  explicit queue_prioritise(std::uint32_t n) : q(n, 4), next(n) {}
  void pass() {
    for (std::size_t i = 0; i < steps; ++i) {
      q.prioritise(next(), static_cast<std::uint16_t>(q.random() % 4 << 8));
      benchmark::DoNotOptimize(q.best());
    }
  }
};

// ---- nghttp3

#if MOQL_BENCH_NGHTTP3
/// A server with that many endless responses, and a client that only asks.
class http3_schedule {
 public:
  /// A response writes `sizes[i % sizes.size()]` bytes at once.
  explicit http3_schedule(std::uint32_t n, std::vector<std::size_t> sizes = {write_size}) : sizes_(std::move(sizes)) {
    nghttp3_settings settings;
    nghttp3_settings_default(&settings);
    nghttp3_callbacks callbacks{};
    must(nghttp3_conn_server_new(&server_, &callbacks, &settings, nghttp3_mem_default(), this) == 0);
    nghttp3_conn* client = nullptr;
    must(nghttp3_conn_client_new(&client, &callbacks, &settings, nghttp3_mem_default(), this) == 0);
    must(nghttp3_conn_bind_control_stream(client, 2) == 0 && nghttp3_conn_bind_qpack_streams(client, 6, 10) == 0);
    must(nghttp3_conn_bind_control_stream(server_, 3) == 0 && nghttp3_conn_bind_qpack_streams(server_, 7, 11) == 0);
    nghttp3_conn_set_max_client_streams_bidi(server_, n);
    const nghttp3_nv request[] = {nv(":method", "GET"), nv(":scheme", "https"), nv(":authority", "a"), nv(":path", "/"),
                                  nv("priority", "u=3, i")};
    const nghttp3_nv response[] = {nv(":status", "200")};
    const nghttp3_data_reader reader{+[](nghttp3_conn*, std::int64_t stream, nghttp3_vec* vec, std::size_t,
                                         std::uint32_t*, void* self, void*) -> nghttp3_ssize {
      static std::uint8_t data[65536];
      const auto& all = static_cast<http3_schedule*>(self)->sizes_;
      vec[0] = {data, all[static_cast<std::size_t>(stream / 4) % all.size()]};
      return 1;
    }};
    for (std::uint32_t i = 0; i < n; ++i) {
      must(nghttp3_conn_submit_request(client, std::int64_t{i} * 4, request, 5, nullptr, nullptr) == 0);
      carry(client);
      must(nghttp3_conn_submit_response(server_, std::int64_t{i} * 4, response, 1, &reader) == 0);
    }
    nghttp3_conn_del(client);
    for (std::uint32_t i = 0; i < n + 3; ++i) (void)step();  // control, QPACK and HEADERS are out
  }
  http3_schedule(const http3_schedule&) = delete;
  http3_schedule& operator=(const http3_schedule&) = delete;
  ~http3_schedule() { nghttp3_conn_del(server_); }

  /// Writes and acknowledges what is best: the stream and its bytes.
  std::pair<std::int64_t, std::size_t> step() {
    std::int64_t stream = -1;
    int fin = 0;
    nghttp3_vec vec[8];
    const nghttp3_ssize n = nghttp3_conn_writev_stream(server_, &stream, &fin, vec, 8);
    must(n > 0);
    const std::size_t bytes = nghttp3_vec_len(vec, static_cast<std::size_t>(n));
    must(nghttp3_conn_add_write_offset(server_, stream, bytes) == 0);
    must(nghttp3_conn_add_ack_offset(server_, stream, bytes) == 0);
    return {stream, bytes};
  }
  void prioritise(std::uint32_t i, std::uint32_t urgency) {
    const nghttp3_pri p{urgency, 1};
    must(nghttp3_conn_set_stream_priority(server_, std::int64_t{i} * 4, &p) == 0);
  }
  void unready(std::uint32_t i) { nghttp3_conn_block_stream(server_, std::int64_t{i} * 4); }
  void ready(std::uint32_t i) { must(nghttp3_conn_unblock_stream(server_, std::int64_t{i} * 4) == 0); }
  std::mt19937 random{1};

 private:
  static nghttp3_nv nv(const char* name, const char* value) {
    return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name)),
            reinterpret_cast<std::uint8_t*>(const_cast<char*>(value)), std::strlen(name), std::strlen(value),
            NGHTTP3_NV_FLAG_NONE};
  }
  void carry(nghttp3_conn* client) {
    for (;;) {
      std::int64_t stream = -1;
      int fin = 0;
      nghttp3_vec vec[8];
      const nghttp3_ssize n = nghttp3_conn_writev_stream(client, &stream, &fin, vec, 8);
      must(n >= 0);
      if (stream < 0) return;
      for (nghttp3_ssize i = 0; i < n; ++i)
        must(nghttp3_conn_read_stream(server_, stream, vec[i].base, vec[i].len, fin != 0 && i + 1 == n) >= 0);
      must(nghttp3_conn_add_write_offset(client, stream, nghttp3_vec_len(vec, static_cast<std::size_t>(n))) == 0);
    }
  }
  std::vector<std::size_t> sizes_;
  nghttp3_conn* server_ = nullptr;
};
struct http3_pick_served {
  http3_schedule h;
  explicit http3_pick_served(std::uint32_t n) : h(n) {}
  void pass() {
    for (std::size_t i = 0; i < steps; ++i) benchmark::DoNotOptimize(h.step().first);
  }
};
struct http3_ready_unready {
  http3_schedule h;
  walk next;
  explicit http3_ready_unready(std::uint32_t n) : h(n), next(n / 2) {
    for (std::uint32_t i = 1; i < n; i += 2) h.unready(i);
  }
  void pass() {
    for (std::size_t i = 0; i < steps; ++i) {
      const std::uint32_t id = next() * 2 + 1;
      h.ready(id);
      h.unready(id);
    }
  }
};
/// Without a look at what is best: that is a write there.
struct http3_prioritise {
  http3_schedule h;
  walk next;
  explicit http3_prioritise(std::uint32_t n) : h(n), next(n) {}
  void pass() {
    for (std::size_t i = 0; i < steps; ++i) h.prioritise(next(), h.random() % 4 + 2);
  }
};
#endif

// ---- shares

/// How far two equal endless flows have been apart in bytes, after any write; in percent, the smaller one's share.
template <class Step>
void report_shares(benchmark::State& state, Step step) {
  std::uint64_t sent[2] = {0, 0}, error = 0;
  for (auto _ : state)
    for (std::size_t i = 0; i < 10'000; ++i) {
      const auto [which, bytes] = step();
      sent[which] += bytes;
      const std::uint64_t apart = sent[0] > sent[1] ? sent[0] - sent[1] : sent[1] - sent[0];
      if (apart > error) error = apart;
    }
  const std::uint64_t less = sent[0] < sent[1] ? sent[0] : sent[1];
  state.counters["bytes_apart"] = static_cast<double>(error);
  state.counters["smaller_share_%"] = 100.0 * static_cast<double>(less) / static_cast<double>(sent[0] + sent[1]);
}
const std::size_t sizes_of_two[2] = {100, 16'384};

void share_error(benchmark::State& state) {
  schedule s;
  for (int i = 0; i < 2; ++i) must(s.ready(s.add_flow(1, 1, group_order::newest_first), 0, 0));
  report_shares(state, [&] {
    const flow_id f = s.best().flow;
    s.served(f, sizes_of_two[f]);
    return std::pair<std::size_t, std::size_t>(f, sizes_of_two[f]);
  });
}
BENCHMARK(share_error)->Iterations(1)->Repetitions(1);

#if MOQL_BENCH_NGHTTP3
void http3_share_error(benchmark::State& state) {
  http3_schedule h(2, {sizes_of_two[0], sizes_of_two[1]});
  report_shares(state, [&] {
    const auto [stream, bytes] = h.step();
    return std::pair<std::size_t, std::size_t>(static_cast<std::size_t>(stream / 4), bytes);
  });
}
BENCHMARK(http3_share_error)->Iterations(1)->Repetitions(1);
#endif

std::vector<bench::operation> operations() {
  std::vector<bench::operation> all;
  const auto add = [&]<class T>(std::string name, std::uint32_t n, std::type_identity<T>, std::size_t items = steps) {
    all.push_back(bench::op<T>(std::move(name) + "/" + std::to_string(n), items, 0, n));
  };
  for (const std::uint32_t n : {10u, 1'000u, 100'000u}) {
    add("pick_served", n, std::type_identity<pick_served>{});
    add("queue/pick_served", n, std::type_identity<queue_pick_served>{});
#if MOQL_BENCH_NGHTTP3
    add("http3/pick_served", n, std::type_identity<http3_pick_served>{});
#endif
    add("ready_unready", n, std::type_identity<ready_unready>{});
    add("queue/ready_unready", n, std::type_identity<queue_ready_unready>{});
#if MOQL_BENCH_NGHTTP3
    add("http3/ready_unready", n, std::type_identity<http3_ready_unready>{});
#endif
    add("prioritise", n, std::type_identity<prioritise>{});
    add("queue/prioritise", n, std::type_identity<queue_prioritise>{});
#if MOQL_BENCH_NGHTTP3
    add("http3/prioritise", n, std::type_identity<http3_prioritise>{});
#endif
    add("group", n, std::type_identity<group>{}, n);
    add("backlog", n, std::type_identity<backlog>{});
    add("heap_insert_erase", n, std::type_identity<heap_insert_erase>{});
    add("timer_move", n, std::type_identity<timer_move>{});
  }
  return all;
}

}  // namespace

int main(int argc, char** argv) { return bench::run(argc, argv, operations()); }
