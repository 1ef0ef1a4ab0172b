#pragma once
/// QMux: the streams of QUIC over one ordered byte stream or over WebSocket messages, without I/O and without a clock.
///
/// `connection` is a `moql::transport`. Whoever owns the socket moves bytes:
///
///   read    on_bytes(sink, what, now) or on_message(sink, what, is_binary, now); on_transport_closed at its end
///   write   output() says what to write next, on_sent(sink, n, now) how much of it the socket has taken
///   time    on_deadline(sink, now) no later than next_deadline()
///   end     wish() says when to shut the socket down and when to drop it
///
/// A loop: after any input, drain the session's events and pump; then write while `output()` is not empty and the
/// socket takes it; drain and pump again if the session has events; look at `wish()` and `next_deadline()`. Only inputs
/// call the sink, operations never do. What an operation causes (`on_close` when memory ran out) is told by the next
/// input, and `next_deadline()` is then already past.
///
/// Nothing but our parameters goes out before the peer's have come; `open` blocks until then.

#include "../adapter/transport.hpp"
#include "../base/index.hpp"
#include "qmux_config.hpp"
#include "qmux_fault.hpp"
#include "qmux_inbox.hpp"
#include "qmux_outbox.hpp"
#include "qmux_parameters.hpp"
#include "qmux_token.hpp"
#include "qmux_turns.hpp"

namespace moql::qmux {

class connection {
 public:
  /// The handshake's clock starts at `now`. Never fails; when memory runs out the connection closes itself.
  explicit connection(const config& c, instant now, memory m = {}) noexcept;
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  // ---- moql::transport

  open_result open(direction d) noexcept;
  /// Takes up to `limits::stream_backlog_bytes`. Large chunks with an owner are kept by reference.
  write_result write(stream_id id, std::span<const chunk> chunks, bool fin) noexcept;
  void reset(stream_id id, std::uint64_t code) noexcept;
  /// Nothing more of the stream is told to the sink; its bytes are taken and dropped until the peer ends it.
  void stop(stream_id id, std::uint64_t code) noexcept;
  /// Drops what is not yet on its way, sends the code and then wishes for the end. The sink hears nothing more.
  void close(std::uint64_t code, std::string_view reason) noexcept;
  /// Valid as long as the connection.
  [[nodiscard]] std::string_view protocol() const noexcept { return {protocol_.data(), protocol_.size()}; }
  void consume(stream_id id, std::size_t n) noexcept;
  void priority(stream_id id, std::int32_t order) noexcept;
  transport_status datagram(byte_view d) noexcept;
  [[nodiscard]] std::size_t max_datagram() const noexcept;
  /// The round trip of pings, if any have been answered.
  [[nodiscard]] transport_stats stats() const noexcept {
    transport_stats s;
    s.rtt_us = rtt_us_;
    s.min_rtt_us = min_rtt_us_;
    return s;
  }

  // ---- inputs

  /// Bytes that came over the byte stream, cut anywhere. With an owner the sink is given shares of it; without one they
  /// must stay valid until the sink's events have been drained. Returns how many were taken: all, but for one moment
  /// when tokens are agreed on inside the connection (`config::protocols`): it then stops where `protocol()` has become
  /// known
  /// (`is_ready()`), so that the session can be started; give it the rest afterwards.
  template <transport_sink Sink>
  std::size_t on_bytes(Sink& sink, bytes data, instant now) noexcept;
  /// One WebSocket message, put together. The same holds for its bytes.
  template <transport_sink Sink>
  void on_message(Sink& sink, bytes data, bool is_binary, instant now) noexcept;
  /// The socket is at its end or broken. The sink hears `on_close` unless it has, or we closed.
  template <transport_sink Sink>
  void on_transport_closed(Sink& sink, instant now) noexcept;
  /// Time has passed, or something is due to be told. Earlier than `next_deadline()` does no harm.
  template <transport_sink Sink>
  void on_deadline(Sink& sink, instant now) noexcept;
  /// The socket has taken the first `n` bytes of what `output` said; of a message all or nothing.
  template <transport_sink Sink>
  void on_sent(Sink& sink, std::size_t n, instant now) noexcept;

  // ---- outputs

  /// What to write next, in pieces, at most `pieces_max` of them: of a byte stream as much as is committed, of messages
  /// exactly one message. Empty when there is nothing to write. The bytes stay valid and unchanged until `on_sent` has
  /// taken them, whatever else is called in between, and so does their order: an asynchronous write may be under way.
  /// The span itself is valid until the next call of this.
  [[nodiscard]] std::span<const byte_view> output() noexcept;
  static constexpr std::size_t pieces_max = detail::outbox::pieces_max;

  /// When `on_deadline` wants to be called; `never_due` if not at all.
  [[nodiscard]] instant next_deadline() const noexcept;
  [[nodiscard]] qmux::wish wish() const noexcept;
  /// The peer's parameters are here (or there are none in this revision): `protocol()` is final, streams can be opened.
  [[nodiscard]] bool is_ready() const noexcept { return is_ready_; }
  /// Closed by either side, broken or timed out: operations do nothing any more. There may still be a last output.
  [[nodiscard]] bool is_closed() const noexcept { return phase_ != phase::open; }
  /// Messages larger than this are refused: a WebSocket may as well stop reading them there.
  [[nodiscard]] std::size_t max_message() const noexcept {
    if (!has_parameters(config_.wire)) return config_.caps.legacy_message_bytes_max;
    return has_records(config_.wire) ? config_.caps.max_record : frame_bytes_00;
  }
  /// What the peer did wrong, if that is what ended it.
  [[nodiscard]] qmux::fault fault() const noexcept { return fault_; }

 private:
  enum class phase : std::uint8_t {
    open,
    closing,  // a close frame has yet to be written
    closed,   // nothing more is made into frames
    gone,     // the socket is of no use any more
  };
  using stream = detail::stream;
  static constexpr std::uint64_t streams_most = std::uint64_t{1} << 60;  // RFC 9000 section 4.6

  // qmux_streams.hpp: which streams there are.
  [[nodiscard]] bool is_mine(std::uint64_t id) const noexcept { return (id & 1) == (config_.who == side::server); }
  [[nodiscard]] static std::size_t kind_of(std::uint64_t id) noexcept { return (id >> 1) & 1; }
  [[nodiscard]] stream* find(stream_id id) noexcept;
  [[nodiscard]] stream* add(std::uint64_t id) noexcept;
  /// The stream that a frame of the peer's is about, made if it is new. Null: it is over, or the peer is at fault.
  [[nodiscard]] stream* named_by_peer(std::uint64_t id, bool as_sender) noexcept;
  void forget_if_over(stream& s) noexcept;
  void forget_all() noexcept;
  void ask_for(stream& s, detail::ask a) noexcept;
  void make_ready(stream& s) noexcept;
  void drop_backlog(stream& s) noexcept;
  void return_credit(stream& s, std::uint64_t n) noexcept;
  [[nodiscard]] std::uint32_t slot_of(const stream& s) const noexcept { return by_id_.find(s.id); }

  // qmux_receive.hpp: what the peer says.
  template <class Sink>
  struct context {  // of one frame
    Sink& sink;
    const bytes& unit;  // the record or message that it lies in
    std::size_t size;
    instant now;
  };
  template <class Sink>
  void take_unit(Sink& sink, const bytes& unit, instant now) noexcept;
  template <class Sink, class Frame>
  void take_decoded(const context<Sink>& in, const decoded_frame<Frame>& f) noexcept;
  template <class Sink>
  void take(const context<Sink>& in, const legacy::stream& f) noexcept;
  template <class Sink>
  void take(const context<Sink>& in, const legacy::reset_stream& f) noexcept;
  template <class Sink>
  void take(const context<Sink>& in, const legacy::close& f) noexcept;
  template <class Sink>
  void take(const context<Sink>& in, const frames::transport_parameters& f) noexcept;
  template <class Sink>
  void take(const context<Sink>& in, const frames::stream& f) noexcept;
  template <class Sink>
  void take(const context<Sink>& in, const frames::reset_stream& f) noexcept;
  template <class Sink>
  void take(const context<Sink>& in, const frames::reset_stream_at& f) noexcept;
  template <class Sink>
  void take(const context<Sink>& in, const frames::stop_sending& f) noexcept;
  template <class Sink>
  void take(const context<Sink>& in, const frames::max_data& f) noexcept;
  template <class Sink>
  void take(const context<Sink>& in, const frames::max_stream_data& f) noexcept;
  template <class Sink>
  void take(const context<Sink>& in, const frames::max_streams& f) noexcept;
  template <class Sink>
  void take(const context<Sink>& in, const frames::stream_data_blocked& f) noexcept;
  template <class Sink>
  void take(const context<Sink>& in, const frames::datagram& f) noexcept;
  template <class Sink>
  void take(const context<Sink>& in, const frames::ping& p) noexcept;
  template <class Sink>
  void take(const context<Sink>& in, const frames::connection_close& f) noexcept;
  // What one of these says we would do anyway.
  template <class Sink>
  void take(const context<Sink>&, const frames::padding&) noexcept {}
  template <class Sink>
  void take(const context<Sink>&, const frames::data_blocked&) noexcept {}
  template <class Sink>
  void take(const context<Sink>&, const frames::streams_blocked&) noexcept {}
  [[nodiscard]] bool take_received(stream& s, std::uint64_t n) noexcept;
  template <class Sink>
  void announce(const context<Sink>& in, stream& s) noexcept;
  template <class Sink>
  void end_by_reset(const context<Sink>& in, stream& s, std::uint64_t code) noexcept;
  template <class Sink>
  void finish_input(Sink& sink, instant now) noexcept;
  [[nodiscard]] bytes payload(const bytes& unit, byte_view part) noexcept;
  void agree_on_protocol(byte_view theirs) noexcept;
  void heard(instant now) noexcept;

  // qmux_send.hpp: what we say.
  void fail(qmux::fault f) noexcept;
  void end(phase p) noexcept;
  void say_close(bool application, std::uint64_t code, std::uint64_t frame_type, std::string_view reason) noexcept;
  void put_own_parameters() noexcept;
  [[nodiscard]] bool commit() noexcept;
  [[nodiscard]] bool commit_control() noexcept;
  [[nodiscard]] bool commit_asks() noexcept;
  [[nodiscard]] bool commit_datagram() noexcept;
  [[nodiscard]] bool commit_data() noexcept;
  void commit_fin(stream& s) noexcept;
  /// Enough for a writer to be woken for.
  [[nodiscard]] bool has_room(const stream& s) const noexcept {
    return s.out.size() <= config_.caps.stream_backlog_bytes / 2;
  }
  void wake_if_roomy(stream& s) noexcept;
  void flushed() noexcept;
  [[nodiscard]] duration idle() const noexcept;
  [[nodiscard]] instant idle_deadline() const noexcept;
  [[nodiscard]] instant ping_deadline() const noexcept;
  [[nodiscard]] bool pings() const noexcept { return has_records(config_.wire); }

  config config_;
  vec<char> protocol_;
  vec<std::uint8_t> own_protocols_;  // encoded as in the parameter
  bool agrees_inside_ = false;

  detail::outbox out_;
  detail::inbox in_;
  slab<stream> streams_;
  slot_index by_id_;
  detail::turns turns_;
  queue<slot_handle> asking_;
  queue<stream_id> roomy_;  // owed `on_writable`
  queue<bytes> datagrams_;
  queue<std::uint64_t> pongs_;

  // By kind: bidirectional, unidirectional.
  std::uint64_t next_own_[2] = {0, 0};
  std::uint64_t own_limit_[2] = {0, 0};
  std::uint64_t next_theirs_[2] = {0, 0};
  detail::window theirs_[2];
  bool wants_credit_[2] = {false, false};  // `open` was refused
  bool says_max_streams_[2] = {false, false};

  std::uint64_t sent_ = 0;  // stream data
  std::uint64_t send_limit_ = 0;
  detail::window received_;
  bool says_max_data_ = false;

  parameters theirs_said_{};
  bool is_ready_ = false;
  bool has_said_parameters_ = false;

  phase phase_ = phase::open;
  qmux::fault fault_ = qmux::fault::none;
  std::uint64_t frame_type_ = 0;  // of the frame that is being read
  bool is_told_ = false;          // the sink has heard of the end, or must not
  bool has_close_ = false;
  frames::connection_close close_{};
  vec<std::uint8_t> close_reason_;
  std::string_view end_reason_{};
  bool drops_at_once_ = false;

  instant now_{};
  instant started_{};
  instant drain_until_{};
  instant idle_since_{};
  instant last_sent_{};
  bool sent_since_heard_ = false;

  bool pings_now_ = false;
  std::size_t ping_ahead_ = 0;  // bytes that the socket has yet to take until our last ping is gone
  bool ping_is_out_ = false;
  instant last_ping_{};
  instant ping_sent_{};
  std::uint64_t next_ping_ = 0;
  std::uint64_t last_ping_heard_ = detail::no_end;
  std::uint64_t rtt_us_ = 0;
  std::uint64_t min_rtt_us_ = 0;
};

}  // namespace moql::qmux

#include "qmux_receive.hpp"
#include "qmux_send.hpp"
#include "qmux_streams.hpp"

namespace moql::qmux {
static_assert(transport<connection>);
}
