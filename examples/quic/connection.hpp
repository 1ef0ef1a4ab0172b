#pragma once
/// One QUIC connection on ngtcp2 as a `moql::transport`, without a socket: packets in, packets out.
///
/// Stream ids are those of QUIC. Events go to whoever is bound when the handshake is done. Operations must not be
/// called from inside an event: ngtcp2 forbids it.

#include <deque>

#include "../net/events.hpp"
#include "../net/peer.hpp"
#include "../net/words.hpp"
#include "inbox.hpp"
#include "settings.hpp"
#include "stop_sending.hpp"
#include "streams.hpp"

namespace quic {

class connection;

/// Who holds a connection. Called from inside the stack.
class connection_holder {
 public:
  connection_holder() = default;
  connection_holder(const connection_holder&) = delete;
  connection_holder& operator=(const connection_holder&) = delete;
  virtual ~connection_holder() = default;
  /// The handshake is done and `protocol()` known: bind a sink now, events follow at once.
  virtual void on_established(connection& c) = 0;
  /// Packets to `id` are for this connection from now on, or no longer.
  virtual void on_id(std::string_view id) = 0;
  virtual void on_id_gone(std::string_view id) = 0;
};

class connection : public moql::transport_defaults {
 public:
  explicit connection(connection_holder& h) noexcept : holder_(h) {}
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection() { ngtcp2_conn_del(conn_); }

  /// As a client. False if the stack has no memory; call once, this or `accept`.
  [[nodiscard]] bool connect(const address& local, const address& remote, connection_settings s, tls_peer peer,
                             moql::instant now);
  /// As a server, for a client's first packet.
  [[nodiscard]] bool accept(const address& local, const address& remote, connection_settings s,
                            const ngtcp2_pkt_hd& first, moql::instant now);
  /// `e` hears everything from now on; it must live as long as the connection, or until it has heard `on_close`.
  void bind(net::transport_events& e) noexcept { events_ = &e; }
  void bind_nobody() noexcept { events_ = nullptr; }

  // ---- packets and time

  /// One packet. Call `deliver` after a batch of them.
  void receive(const address& local, const address& remote, moql::byte_view packet, moql::instant now);
  /// What the batch brought and has not been told yet.
  void deliver() noexcept {
    inbox_.flush([this](moql::stream_id id, moql::bytes b) {
      if (events_ != nullptr) events_->on_data(id, std::move(b), false, now_);
    });
  }
  /// Writes packets into `out` until there is nothing to say now, one burst is written, or `out` has no room.
  /// `Out`: `std::span<std::uint8_t> room()`, empty or for a packet; `void put(std::size_t size, const address& to)`.
  /// True: call again soon, there is more to send or a stream has become writable.
  template <class Out>
  bool send(Out& out, moql::instant now);
  [[nodiscard]] moql::instant next_deadline() const noexcept;
  void on_deadline(moql::instant now);
  /// The network says that nobody is there.
  void lost(std::string text);

  // ---- what is known of it

  [[nodiscard]] bool is_established() const noexcept { return is_established_; }
  /// Nothing more will be heard or said by the application: closed by either side, or lost.
  [[nodiscard]] bool is_closed() const noexcept { return state_ != state::open; }
  /// Closed, and the peer knows as far as that can be known: the connection may be destroyed.
  [[nodiscard]] bool is_over() const noexcept { return state_ == state::over; }
  /// Why it is closed.
  [[nodiscard]] const net::ending& why() const noexcept { return why_; }
  [[nodiscard]] bool is_local(moql::stream_id id) const noexcept {
    return ((static_cast<std::uint64_t>(id) & 1) != 0) == is_server_;
  }
  /// The largest DATAGRAM frame that the peer accepts; 0: none.
  [[nodiscard]] std::uint64_t peer_max_datagram_frame() const noexcept {
    const auto* p = is_established_ ? ngtcp2_conn_get_remote_transport_params(conn_) : nullptr;
    return p == nullptr ? 0 : p->max_datagram_frame_size;
  }

  // ---- moql::transport

  moql::open_result open(moql::direction d) noexcept;
  moql::write_result write(moql::stream_id id, std::span<const moql::chunk> chunks, bool fin) noexcept;
  void reset(moql::stream_id id, std::uint64_t code) noexcept;
  void stop(moql::stream_id id, std::uint64_t code) noexcept;
  void close(std::uint64_t code, std::string_view reason) noexcept;
  [[nodiscard]] std::string_view protocol() const noexcept { return protocol_; }
  void consume(moql::stream_id id, std::size_t n) noexcept;
  void priority(moql::stream_id id, std::int32_t order) noexcept {
    if (stream* s = streams_.find(static_cast<std::int64_t>(id))) streams_.set_order(*s, order);
  }
  moql::transport_status datagram(moql::byte_view d) noexcept;
  [[nodiscard]] std::size_t max_datagram() const noexcept;
  [[nodiscard]] moql::transport_stats stats() const noexcept {
    return is_established_ ? ng::stats_of(conn_) : moql::transport_stats{};
  }

 private:
  enum class state : std::uint8_t { open, closing, draining, over };

  void keep_alive() noexcept;
  /// Whether the stream has a side for us to send on.
  [[nodiscard]] bool can_ever_send(std::int64_t id) const noexcept {
    return ngtcp2_is_bidi_stream(id) != 0 || is_local(static_cast<moql::stream_id>(id));
  }

  // connection_callbacks.hpp
  [[nodiscard]] static ngtcp2_callbacks callbacks();
  [[nodiscard]] static connection& of(void* user) noexcept { return *static_cast<connection*>(user); }
  [[nodiscard]] bool on_stream_data(std::int64_t id, moql::byte_view data, bool fin) noexcept;
  [[nodiscard]] bool on_stream_reset(std::int64_t id, std::uint64_t code, bool is_known) noexcept;
  void on_stream_close(std::int64_t id, std::uint64_t code, bool has_code) noexcept;
  void on_stop_sending(std::int64_t id, std::uint64_t code) noexcept;
  [[nodiscard]] stream* announce(std::int64_t id) noexcept;
  void end_receiving(stream& s) noexcept;

  // connection_close.hpp
  void start_closing() noexcept;
  void received_close();
  void fail(int liberr);
  void tell_close(const moql::close_info& c) noexcept;
  [[nodiscard]] moql::duration three_ptos() const noexcept;
  template <class Out>
  void send_close(Out& out);

  // connection_send.hpp
  [[nodiscard]] ngtcp2_ssize write_packet(std::span<std::uint8_t> room, ngtcp2_path_storage& to, ngtcp2_tstamp ts);
  [[nodiscard]] ngtcp2_ssize write_datagram(std::span<std::uint8_t> room, ngtcp2_path_storage& to, ngtcp2_tstamp ts);
  [[nodiscard]] ngtcp2_ssize write_stream(stream& s, std::span<std::uint8_t> room, ngtcp2_path_storage& to,
                                          ngtcp2_tstamp ts);
  [[nodiscard]] stream* next_stream() noexcept;
  void sent(stream& s, std::size_t n, bool with_fin) noexcept;

  connection_holder& holder_;
  ngtcp2_conn* conn_ = nullptr;
  tls_session tls_;
  connection_settings settings_{};
  std::string protocol_;
  net::transport_events* events_ = nullptr;
  moql::instant now_{};
  moql::buffer_pool pool_;
  inbox inbox_{pool_};
  stream_table streams_;
  std::deque<moql::bytes> datagrams_;
  std::vector<std::pair<std::int64_t, std::uint64_t>> stops_;  // streams and codes, of the packet that is being read
  state state_ = state::open;
  net::ending why_{};
  ng::raw_error error_{};
  std::string reason_;  // what `error_` refers to
  std::vector<std::uint8_t> close_packet_;
  address close_to_;
  moql::instant over_at_ = moql::never_due;
  std::uint32_t late_packets_ = 0;
  bool is_close_due_ = false;
  bool is_server_ = false;
  bool is_established_ = false;
  bool is_told_closed_ = false;
  bool has_told_writable_ = false;
};

}  // namespace quic

#include "connection_callbacks.hpp"
#include "connection_close.hpp"
#include "connection_operations.hpp"
#include "connection_send.hpp"
