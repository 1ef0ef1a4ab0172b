#pragma once
/// Sessions on QMux: over the messages of a WebSocket, or over the bytes of TLS or TCP.

#include <moql/base/buffers.hpp>
#include <moql/binding/qmux.hpp>

#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>

#include "../net/host.hpp"
#include "../net/words.hpp"

namespace websocket {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;

[[nodiscard]] inline std::string address_text(const asio::ip::tcp::endpoint& e) {
  const std::string host = e.address().to_string();
  return (e.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(e.port());
}

/// What the connection is told beside its socket.
struct setup {
  moql::config session{};
  moql::qmux::config wire{};
  std::string address{};       ///< Of the other end.
  std::string request_path{};  ///< Where a WebSocket was asked for.
  std::shared_ptr<void> state{};
};

/// Everything but reading and writing. One read and one write are under way at any time; both hold a share in the peer,
/// so it lives until the socket is closed.
class qmux_peer : public net::peer, public std::enable_shared_from_this<qmux_peer> {
 public:
  qmux_peer(net::host& h, setup s)
      : peer(s.session),
        host_(h),
        setup_(std::move(s)),
        wire_(setup_.wire, h.now()),
        is_in_messages_(setup_.wire.over == moql::qmux::carrier::messages),
        agrees_inside_(!setup_.wire.protocols.empty()) {
    setup_.wire.protocols = {};  // not ours to keep
    state = std::move(setup_.state);
  }
  /// Call once, when it is held by a shared_ptr.
  void start() {
    if (!agrees_inside_) begin();
    read();
    host_.add(shared_from_this());
  }

  [[nodiscard]] std::string_view transport() const override { return is_in_messages_ ? "WebSocket" : "QMux"; }
  [[nodiscard]] std::string address() const override { return setup_.address; }
  [[nodiscard]] std::string_view request_path() const override { return setup_.request_path; }
  void pump(moql::instant now) override {
    moql::pump(session, wire_, now);
    flush();
  }
  [[nodiscard]] moql::instant next_deadline() const override { return wire_.next_deadline(); }
  void on_deadline(moql::instant now) override { wire_.on_deadline(session, now); }
  [[nodiscard]] bool is_over() const override { return is_shut_ && !is_writing_; }
  [[nodiscard]] net::ending why() const override { return {why_.empty(), why_.empty() ? "closed" : why_}; }

 protected:
  /// Starts one write of all of it (a message) or of some of it (bytes), and calls `sent` when it is done.
  virtual void write(std::vector<asio::const_buffer> pieces) = 0;
  /// Starts one read, and calls `received` or `ended`.
  virtual void read() = 0;
  /// No more is written: TCP shutdown, or the WebSocket Close.
  virtual void finish() = 0;
  virtual void drop() = 0;

  void received(moql::bytes data, bool is_binary) {
    if (is_in_messages_) {
      wire_.on_message(session, std::move(data), is_binary, host_.now());
    } else {
      const std::size_t n = wire_.on_bytes(session, data, host_.now());
      if (!has_begun_ && wire_.is_ready()) begin();
      if (n < data.size()) (void)wire_.on_bytes(session, data.slice(n, data.size() - n), host_.now());
    }
    host_.touch(*this);
    if (!is_shut_) read();
  }
  void sent(error_code e, std::size_t n) {
    is_writing_ = false;
    host_.touch(*this);
    if (e) {  // the peer may have said why, and that is still to be read
      is_mute_ = true;
      if (why_.empty()) why_ = e.message();
      return;
    }
    wire_.on_sent(session, n, host_.now());
  }
  void ended(error_code e) {
    const bool is_end = !e || e == asio::error::eof || e == beast::websocket::error::closed;
    if (!is_end && why_.empty() && !wire_.is_closed()) why_ = e.message();
    wire_.on_transport_closed(session, host_.now());
    shut();
  }
  [[nodiscard]] std::size_t max_message() const { return wire_.max_message(); }
  moql::buffer_pool pool_{};

 private:
  void begin() {
    has_begun_ = true;
    const moql::errc e = session.start(wire_.protocol(), host_.now());
    if (e == moql::errc::ok) return;
    why_ = moql::text_of(e);
    wire_.close(static_cast<std::uint64_t>(moql::facts(e).on_session), why_);
  }
  void flush() {
    if (is_mute_ && wire_.wish() != moql::qmux::wish::keep) return shut();
    if (!is_writing_ && !is_shut_ && !is_mute_) {
      const auto out = wire_.output();
      if (!out.empty()) {
        is_writing_ = true;
        std::vector<asio::const_buffer> pieces;
        pieces.reserve(out.size());
        for (const moql::byte_view p : out) pieces.emplace_back(p.data(), p.size());
        return write(std::move(pieces));
      }
    }
    if (is_writing_) return;
    if (wire_.wish() == moql::qmux::wish::finish && !std::exchange(is_finished_, true)) finish();
    if (wire_.wish() == moql::qmux::wish::drop) shut();
  }
  void shut() {
    if (std::exchange(is_shut_, true)) return;
    drop();
    host_.touch(*this);
  }

  net::host& host_;
  setup setup_;
  moql::qmux::connection wire_;
  std::string why_;
  bool is_in_messages_;
  bool agrees_inside_;  // the token is known when the peer's parameters are here
  bool has_begun_ = false;
  bool is_writing_ = false;
  bool is_mute_ = false;  // nothing can be written any more
  bool is_finished_ = false;
  bool is_shut_ = false;
};

/// `Socket` is a Beast websocket::stream over TCP or TLS.
template <class Socket>
class message_peer final : public qmux_peer {
 public:
  message_peer(net::host& h, setup s, Socket socket, std::shared_ptr<void> tls)
      : qmux_peer(h, std::move(s)), tls_(std::move(tls)), socket_(std::move(socket)) {
    socket_.binary(true);
    socket_.read_message_max(max_message());
    beast::websocket::stream_base::timeout patience{};
    patience.handshake_timeout = std::chrono::seconds(10);
    patience.idle_timeout = std::chrono::seconds(30);
    patience.keep_alive_pings = true;  // the WebSocket's own, beside those of QMux
    socket_.set_option(patience);
  }

 private:
  void write(std::vector<asio::const_buffer> pieces) override {
    socket_.async_write(std::move(pieces),
                        [this, self = shared_from_this()](error_code e, std::size_t n) { sent(e, n); });
  }
  void read() override {
    socket_.async_read(in_, [this, self = shared_from_this()](error_code e, std::size_t) {
      if (e) return ended(e);
      const moql::byte_view all(static_cast<const std::uint8_t*>(in_.data().data()), in_.size());
      moql::bytes message = pool_.copy(all);
      if (message.held_by() == nullptr) return ended(asio::error::no_memory);
      in_.clear();
      received(std::move(message), socket_.got_binary());
    });
  }
  void finish() override {
    socket_.async_close(beast::websocket::close_code::normal, [self = shared_from_this()](error_code) {});
  }
  void drop() override { beast::get_lowest_layer(socket_).close(); }

  std::shared_ptr<void> tls_;  // the context must outlive the stream
  Socket socket_;
  beast::flat_buffer in_;
};

/// `Socket` is a TCP or TLS stream.
template <class Socket>
class byte_peer final : public qmux_peer {
 public:
  byte_peer(net::host& h, setup s, Socket socket, std::shared_ptr<void> tls)
      : qmux_peer(h, std::move(s)), tls_(std::move(tls)), socket_(std::move(socket)) {}

 private:
  static constexpr std::size_t read_bytes = 64 * 1024;

  void write(std::vector<asio::const_buffer> pieces) override {
    socket_.async_write_some(std::move(pieces),
                             [this, self = shared_from_this()](error_code e, std::size_t n) { sent(e, n); });
  }
  void read() override {
    moql::buffer_pool::buffer* room = pool_.take(read_bytes);
    if (room == nullptr) return ended(asio::error::no_memory);
    const moql::bytes whole = moql::bytes::adopt({room->data(), room->capacity()}, room);
    const asio::mutable_buffer into(room->data(), read_bytes);
    socket_.async_read_some(into, [this, whole, self = shared_from_this()](error_code e, std::size_t n) {
      if (e) return ended(e);
      // What is small must not hold the whole buffer for as long as somebody keeps it.
      moql::bytes piece = n < read_bytes / 8 ? pool_.copy(whole.view().first(n)) : whole.slice(0, n);
      if (piece.held_by() == nullptr) return ended(asio::error::no_memory);
      received(std::move(piece), true);
    });
  }
  void finish() override {
    error_code ignored;
    beast::get_lowest_layer(socket_).socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  }
  void drop() override { beast::get_lowest_layer(socket_).close(); }

  std::shared_ptr<void> tls_;  // the context must outlive the stream
  Socket socket_;
};

}  // namespace websocket
