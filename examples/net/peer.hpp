#pragma once
/// A session and the connection under it, whichever kind that is, as a program sees it.

#include <moql/moql.hpp>

#include <memory>
#include <string>

namespace net {

/// How a connection ended, or why there never was one.
struct ending {
  bool in_order = false;          ///< Closed with NO_ERROR, by either side.
  std::string text{};             ///< One line for people; names the code if there is one.
  std::shared_ptr<void> state{};  ///< `dial_options::state` of a connection that was dialled and never came up.
};

/// Made by a transport once its connection is up; `session.start` has been called then.
class peer {
 public:
  explicit peer(const moql::config& c) : session(c) {}
  peer(const peer&) = delete;
  peer& operator=(const peer&) = delete;
  virtual ~peer() = default;

  moql::session session;
  /// Whatever the program wants to remember about this peer; of one that was dialled, `dial_options::state` at first.
  std::shared_ptr<void> state{};

  /// "QUIC", "WebTransport", "QMux" or "WebSocket".
  [[nodiscard]] virtual std::string_view transport() const = 0;
  /// The other end's address and port, for messages.
  [[nodiscard]] virtual std::string address() const = 0;
  /// The path that the transport itself was asked for (WebTransport, WebSocket); empty elsewhere.
  [[nodiscard]] virtual std::string_view request_path() const { return {}; }

  // ---- for `host` alone

  /// Carries out what the session wants (`moql::pump`) and puts the bytes on the network.
  virtual void pump(moql::instant now) = 0;
  /// When the transport needs `on_deadline`; the session's own deadlines are not its business.
  [[nodiscard]] virtual moql::instant next_deadline() const = 0;
  virtual void on_deadline(moql::instant now) = 0;
  /// The connection and all that it wanted to say are gone: the peer may be destroyed. Read after `pump`.
  [[nodiscard]] virtual bool is_over() const = 0;
  /// What the transport knows of its end; read when `is_over`, or when the session was closed without a reason.
  [[nodiscard]] virtual ending why() const = 0;

 private:
  friend class host;
  static constexpr std::size_t nowhere = ~std::size_t{0};
  std::size_t index_ = nowhere;          // in the host's list
  moql::instant due_ = moql::never_due;  // as the host has it in its own
  bool is_touched_ = false;
};

/// What a program does with its peers. Called by `host`, never from inside a transport.
class program {
 public:
  program() = default;
  program(const program&) = delete;
  program& operator=(const program&) = delete;
  virtual ~program() = default;
  /// What the session tells; views in `e` are valid until the next call on the session. `session_closed` is the last
  /// event of a peer that had a session, and then `on_gone` follows.
  virtual void on_event(peer& p, const moql::event& e, moql::instant now) = 0;
  /// Those who had something to say have been heard, and sent what they may. True when that changed something: then
  /// all peers are served again. A program with many peers touches those whom it concerns instead.
  virtual bool on_turn(moql::instant now) {
    (void)now;
    return false;
  }
  /// When `on_deadline` is due, read after each turn.
  [[nodiscard]] virtual moql::instant next_deadline() const { return moql::never_due; }
  virtual void on_deadline(moql::instant now) { (void)now; }
  /// The peer is about to be destroyed.
  virtual void on_gone(peer& p, const ending& why) = 0;
  /// A connection that was dialled never came up.
  virtual void on_unreachable(const ending& why) = 0;
};

}  // namespace net
