#pragma once
/// Two transports joined in memory, with virtual time and every bad habit a network has, drawn from a seed.
///
/// Nothing happens by itself: operations put events in flight, `step` delivers the next one to its sink and moves the
/// clock to it. The same options, operations and steps give the same events in the same order, always; `trace` is a
/// hash over them. A caller that breaks the contract of transport.hpp is not stopped but counted in `violations`.

#include "../base/buffers.hpp"
#include "../base/index.hpp"
#include "../base/slab.hpp"
#include "../delivery/heap.hpp"
#include "transport.hpp"

namespace moql {

struct loopback_options {
  std::uint64_t seed = 1;
  /// Stream data arrives in pieces of a size drawn from this range, whatever the sizes it was written in.
  std::size_t chunk_min = 1;
  std::size_t chunk_max = 65536;
  /// How long anything is in flight, drawn for each event. Order is kept where it must be.
  duration delay_min{};
  duration delay_max{};
  /// Whether streams and datagrams may overtake one another (as their delays have it); a stream keeps its own order.
  bool reorder_streams = false;
  /// A write accepts at most this many bytes; 0 is no such limit.
  std::size_t write_max = 0;
  /// Bytes that may be sent and not consumed yet, on one stream; 0 is no limit.
  std::size_t stream_window = 0;
  /// Bytes that may be sent and not delivered yet, in one direction of the connection; 0 is no limit.
  std::size_t connection_window = 0;
  /// Streams that each side may have open. A stream that is over on both sides returns its credit.
  std::uint32_t streams_bidi = UINT32_MAX;
  std::uint32_t streams_uni = UINT32_MAX;
  std::size_t max_datagram = 1200;  ///< 0: no datagrams.
  std::uint32_t datagram_loss_percent = 0;
  std::uint32_t datagram_duplicate_percent = 0;
  /// Chance of each write that instead the stream breaks: both ends see a reset and a stop with `reset_code`.
  std::uint32_t reset_percent = 0;
  /// Deliver what came with an owner as shares in that owner and not as copies.
  bool hold_payload = false;
  /// Some stacks answer STOP_SENDING themselves; here too, before the session hears of it.
  bool auto_reset_on_stop = false;
  std::uint64_t reset_code = 0;
  std::string_view protocol = "moq-lite-06";  ///< Must outlive the network.
  transport_stats stats{};
};

struct loopback_counters {
  std::uint64_t streams_opened{};
  std::uint64_t writes{};
  std::uint64_t partial_writes{};
  std::uint64_t bytes_sent{};
  std::uint64_t bytes_delivered{};
  std::uint64_t pieces_delivered{};
  std::uint64_t datagrams_sent{};
  std::uint64_t datagrams_lost{};
  std::uint64_t datagrams_duplicated{};
  std::uint64_t datagrams_delivered{};
  std::uint64_t resets_injected{};
};

class loopback_network {
 public:
  /// One side of the connection; satisfies `transport`.
  class endpoint {
   public:
    endpoint(loopback_network* n, unsigned side) noexcept : net_(n), side_(side) {}
    open_result open(direction d) noexcept { return net_->open(side_, d); }
    write_result write(stream_id id, std::span<const chunk> c, bool fin) noexcept {
      return net_->write(side_, id, c, fin);
    }
    void reset(stream_id id, std::uint64_t code) noexcept { net_->reset(side_, id, code); }
    void stop(stream_id id, std::uint64_t code) noexcept { net_->stop(side_, id, code); }
    void close(std::uint64_t code, std::string_view reason) noexcept { net_->close(side_, code, reason); }
    [[nodiscard]] std::string_view protocol() const noexcept { return net_->options_.protocol; }
    void consume(stream_id id, std::size_t n) noexcept { net_->consume(side_, id, n); }
    void priority(stream_id id, std::int32_t order) noexcept { net_->prioritise(side_, id, order); }
    transport_status datagram(byte_view d) noexcept { return net_->datagram(side_, d); }
    [[nodiscard]] std::size_t max_datagram() const noexcept { return net_->options_.max_datagram; }
    [[nodiscard]] transport_stats stats() const noexcept { return net_->options_.stats; }
    /// The last hint for a stream, 0 if there was none or the stream is over.
    [[nodiscard]] std::int32_t priority_of(stream_id id) const noexcept {
      const stream* s = net_->find(id);
      return s == nullptr ? 0 : s->halves[side_].priority;
    }

   private:
    loopback_network* net_;
    unsigned side_;
  };

  explicit loopback_network(const loopback_options& o = {}, memory m = {}) noexcept
      : options_(o),
        random_(o.seed),
        pool_(m),
        streams_(m),
        stream_of_(m),
        events_(m),
        due_(m),
        links_{link(m), link(m)} {}
  loopback_network(const loopback_network&) = delete;
  loopback_network& operator=(const loopback_network&) = delete;

  /// The client.
  [[nodiscard]] endpoint& a() noexcept { return a_; }
  /// The server.
  [[nodiscard]] endpoint& b() noexcept { return b_; }

  /// Delivers the next event in flight to its side, at its time or now if that has passed. False when nothing is in
  /// flight. Some events (returning credit) are invisible to the sinks; they count as a step all the same.
  template <transport_sink SinkA, transport_sink SinkB>
  bool step(SinkA& sink_a, SinkB& sink_b) noexcept {
    if (due_.empty()) return false;
    const auto [key, slot] = due_.top();
    due_.erase(slot);
    if (key.us > now_.us) now_.us = key.us;
    const slot_handle h = events_.handle_of(slot);
    if (events_[slot].to == 0)
      deliver(sink_a, events_[slot]);
    else
      deliver(sink_b, events_[slot]);
    events_.give(h);
    return true;
  }
  [[nodiscard]] instant now() const noexcept { return now_; }
  /// How the network behaves from now on. Windows and stream credit count only what was sent while they were set.
  [[nodiscard]] loopback_options& habits() noexcept { return options_; }
  /// When the next event is due; `never_due` when nothing is in flight.
  [[nodiscard]] instant next_due() const noexcept { return due_.empty() ? never_due : instant{due_.top().key.us}; }
  /// Moves the clock on without delivering anything; never backwards.
  void advance_to(instant t) noexcept {
    if (t > now_) now_ = t;
  }
  /// The connection is lost, with all that is in flight: both sides hear `on_close` with `application` false.
  void cut(std::uint64_t code) noexcept {
    while (!due_.empty()) {
      const std::uint32_t slot = due_.top().id;
      due_.erase(slot);
      events_.give(events_.handle_of(slot));
    }
    for (unsigned to = 0; to < 2; ++to) {
      if (!sides_[to].over) (void)post({.what = kind::close, .to = to, .code = code}, now_);
      sides_[to].cut = true;
    }
  }

  /// Events in flight.
  [[nodiscard]] std::size_t in_flight() const noexcept { return due_.size(); }
  /// Streams that are not over on both sides.
  [[nodiscard]] std::size_t open_streams() const noexcept { return streams_.size(); }
  [[nodiscard]] const loopback_counters& counters() const noexcept { return counters_; }
  /// FNV-1a over everything delivered so far, with its time.
  [[nodiscard]] std::uint64_t trace() const noexcept { return trace_; }
  /// Broken promises of the callers, and what the last one was.
  [[nodiscard]] std::uint64_t violations() const noexcept { return violations_; }
  [[nodiscard]] std::string_view last_violation() const noexcept { return last_violation_; }

 private:
  enum class kind : std::uint8_t {
    open,
    data,
    reset,
    stop,
    writable,
    stream_window,
    connection_window,
    stream_credit,
    datagram,
    close
  };
  enum class sending : std::uint8_t {
    live,
    finished,
    reset,
    broken,  // over without the sender's doing: it has yet to call `reset` or to see `closed`
    told,    // has seen `closed`
  };
  struct half {  // what one side sends on one stream
    bool exists = false;
    bool ended = false;  // the receiver has seen the end
    bool stopped = false;
    bool waiting = false;  // owed `on_writable` when stream credit returns
    bool queued = false;   // owed it when connection credit returns, or it is in flight
    bool returning = false;
    sending send = sending::live;
    std::int32_t priority = 0;
    std::uint64_t outstanding = 0;  // sent, credit not back
    std::uint64_t delivered = 0;
    std::uint64_t consumed = 0;
    std::uint64_t credit = 0;  // on its way back
    instant last_due{};
    slot_handle tail{};  // the newest piece, to which more may be added while it is in flight
    [[nodiscard]] bool done() const noexcept {
      return !exists || (ended && send != sending::live && send != sending::broken);
    }
  };
  struct stream {
    explicit stream(memory) noexcept {}
    void recycle() noexcept { *this = stream(memory{}); }
    stream_id id{};
    direction dir{};
    std::uint8_t opener = 0;
    bool announced = false;  // the peer has heard `on_open`
    half halves[2];          // by sender
  };
  struct event {
    kind what{};
    unsigned to{};
    stream_id id{no_stream};
    std::uint64_t code{};
    direction dir{};
    bool fin = false;
    bool application = false;
    bytes data{};
    std::size_t room = 0;  // size up to which data may be appended
  };
  struct event_cell : event {
    explicit event_cell(memory) noexcept {}
    void recycle() noexcept { static_cast<event&>(*this) = event{}; }
  };
  struct when {
    std::int64_t us;
    std::uint64_t order;
    friend constexpr bool operator<(const when& x, const when& y) noexcept {
      return x.us != y.us ? x.us < y.us : x.order < y.order;
    }
  };
  struct link {  // from one side to the other
    explicit link(memory m) noexcept : waiting(m) {}
    instant last_due{};
    std::uint64_t outstanding = 0;
    std::uint64_t credit = 0;
    bool returning = false;
    vec<stream_id> waiting;
  };
  struct side_state {
    bool over = false;  // closed by itself, or has heard `on_close`
    bool cut = false;
    std::uint64_t next[2] = {0, 0};  // by direction
    std::uint32_t open[2] = {0, 0};
    bool refused[2] = {false, false};
  };

  // Chance and time.
  [[nodiscard]] std::uint64_t random() noexcept {  // splitmix64
    std::uint64_t z = random_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  [[nodiscard]] std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept {
    return high <= low ? low : low + random() % (high - low + 1);
  }
  [[nodiscard]] bool chance(std::uint32_t percent) noexcept { return percent != 0 && random() % 100 < percent; }
  [[nodiscard]] instant arrival() noexcept {
    const auto low = static_cast<std::uint64_t>(options_.delay_min.us);
    const auto high = static_cast<std::uint64_t>(options_.delay_max.us);
    return now_ + microseconds(static_cast<std::int64_t>(between(low, high)));
  }
  /// When something leaves `from` now and arrives; after all of its stream if it belongs to one.
  [[nodiscard]] instant arrival_from(unsigned from, half* h) noexcept {
    link& l = links_[from];
    instant t = arrival();
    if (h != nullptr && t < h->last_due) t = h->last_due;
    if (!options_.reorder_streams && t < l.last_due) t = l.last_due;
    if (h != nullptr) h->last_due = t;
    if (t > l.last_due) l.last_due = t;
    return t;
  }
  event* post(event&& e, instant t, slot_handle* where = nullptr) noexcept {
    slot_handle h;
    event_cell* cell = events_.take(h);
    if (cell == nullptr || !due_.push(h.index, {t.us, order_++})) {
      if (cell != nullptr) events_.give(h);
      violate("the network ran out of memory");
      return nullptr;
    }
    static_cast<event&>(*cell) = std::move(e);
    if (where != nullptr) *where = h;
    return cell;
  }

  // Streams.
  [[nodiscard]] stream* find(stream_id id) noexcept {
    const std::uint32_t slot = stream_of_.find(static_cast<std::uint64_t>(id));
    return slot == slot_index::none ? nullptr : &streams_[slot];
  }
  [[nodiscard]] bool was_opened(stream_id id) const noexcept {
    const auto v = static_cast<std::uint64_t>(id);
    return (v >> 2) < sides_[v & 1].next[(v >> 1) & 1];
  }
  /// The half that `side` sends on, or null; counts ids that were never given out.
  [[nodiscard]] half* half_of(stream* s, stream_id id, unsigned side) noexcept {
    if (s == nullptr && !was_opened(id)) violate("an id that no stream ever had");
    return s == nullptr || !s->halves[side].exists ? nullptr : &s->halves[side];
  }
  void forget_if_done(stream& s) noexcept {
    if (!s.halves[0].done() || !s.halves[1].done()) return;
    (void)post({.what = kind::stream_credit, .to = s.opener, .dir = s.dir}, arrival());
    const std::uint32_t slot = stream_of_.find(static_cast<std::uint64_t>(s.id));
    stream_of_.erase(static_cast<std::uint64_t>(s.id));
    streams_.give(streams_.handle_of(slot));
  }
  void violate(std::string_view what) noexcept {
    ++violations_;
    last_violation_ = what;
  }
  void check_place() noexcept {
    if (in_event_) violate("an operation from inside an event");
  }

  // Operations.
  open_result open(unsigned side, direction d) noexcept;
  write_result write(unsigned side, stream_id id, std::span<const chunk> chunks, bool fin) noexcept;
  std::size_t send(stream& s, unsigned side, const chunk& c, std::size_t n) noexcept;
  void break_stream(stream& s) noexcept;
  void reset(unsigned side, stream_id id, std::uint64_t code) noexcept;
  void stop(unsigned side, stream_id id, std::uint64_t code) noexcept;
  void consume(unsigned side, stream_id id, std::size_t n) noexcept;
  void prioritise(unsigned side, stream_id id, std::int32_t order) noexcept;
  transport_status datagram(unsigned side, byte_view d) noexcept;
  void close(unsigned side, std::uint64_t code, std::string_view reason) noexcept;

  // Deliveries.
  template <class Sink>
  void deliver(Sink& sink, event& e) noexcept;
  template <class Sink>
  void deliver_to_stream(Sink& sink, event& e) noexcept;
  void return_connection_credit(unsigned sender, std::size_t n) noexcept;
  void note(const event& e) noexcept;

  loopback_options options_;
  std::uint64_t random_;
  instant now_{};
  std::uint64_t order_ = 0;
  buffer_pool pool_;
  slab<stream> streams_;
  slot_index stream_of_;
  slab<event_cell> events_;
  indexed_heap<when> due_;  // by slot of the event
  link links_[2];           // by sender
  side_state sides_[2];
  loopback_counters counters_;
  std::uint64_t trace_ = 0xcbf29ce484222325u;
  std::uint64_t violations_ = 0;
  std::string_view last_violation_;
  bool in_event_ = false;
  endpoint a_{this, 0};
  endpoint b_{this, 1};
};

static_assert(transport<loopback_network::endpoint>);

}  // namespace moql

#include "loopback_impl.hpp"
