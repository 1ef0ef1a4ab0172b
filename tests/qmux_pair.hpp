#pragma once
/// Two QMux connections joined in memory: bytes are cut anywhere, messages stay whole, the socket takes what it likes.

#include <moql/binding/qmux.hpp>

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <string>

namespace testing {

/// Hears everything and wants nothing.
struct deaf_sink {
  void on_open(moql::stream_id, moql::direction, moql::instant) noexcept {}
  void on_data(moql::stream_id, moql::bytes, bool, moql::instant) noexcept {}
  void on_reset(moql::stream_id, std::uint64_t, moql::instant) noexcept {}
  void on_stop(moql::stream_id, std::uint64_t, moql::instant) noexcept {}
  void on_writable(moql::stream_id) noexcept {}
  void on_credit(moql::direction) noexcept {}
  void on_datagram(moql::bytes, moql::instant) noexcept {}
  void on_close(const moql::close_info&, moql::instant) noexcept {}
};
static_assert(moql::transport_sink<deaf_sink>);

class qmux_pair {
 public:
  struct options {
    moql::qmux::config a{};
    moql::qmux::config b{};
    std::uint32_t seed = 1;
    std::size_t piece_max = 20'000;  ///< Bytes that the socket takes or brings at once.
    bool is_owned = true;            ///< What is read has an owner.
  };
  /// Both sides alike, but for who dialled; ready to be used.
  static options alike(moql::qmux::revision r, moql::qmux::carrier c) {
    options o;
    o.a.wire = o.b.wire = r;
    o.a.over = o.b.over = c;
    return o;
  }
  explicit qmux_pair(const options& o, moql::memory m = {}) : options_(o), random_(o.seed) {
    options_.a.who = moql::qmux::side::client;
    options_.b.who = moql::qmux::side::server;
    sides_[0] = std::make_unique<moql::qmux::connection>(options_.a, now_, m);
    sides_[1] = std::make_unique<moql::qmux::connection>(options_.b, now_, m);
  }
  /// Lets both say their parameters.
  void shake_hands() {
    deaf_sink nobody;
    while (step(nobody, nobody)) {
    }
  }

  [[nodiscard]] moql::qmux::connection& a() { return *sides_[0]; }
  [[nodiscard]] moql::qmux::connection& b() { return *sides_[1]; }
  [[nodiscard]] moql::instant now() const { return now_; }
  [[nodiscard]] bool is_in_messages() const {
    return options_.a.over == moql::qmux::carrier::messages || options_.a.wire == moql::qmux::revision::webtransport;
  }
  /// Bytes between the two.
  std::size_t in_flight = 0;
  bool is_stuck[2] = {false, false};  ///< The socket of that side takes nothing.

  template <class A, class B>
  bool step(A& sink_a, B& sink_b) {
    now_ = now_ + moql::microseconds(static_cast<std::int64_t>(random_() % 100));
    const unsigned first = random_() % 2;
    for (const unsigned side : {first, 1 - first}) {
      if (random_() % 2 == 0 && (side == 0 ? write(0, sink_a) : write(1, sink_b))) return true;
      if (side == 0 ? read(0, sink_a) : read(1, sink_b)) return true;
    }
    return write(0, sink_a) || write(1, sink_b);
  }
  /// Never backwards.
  void advance_to(moql::instant t) { now_ = std::max(now_, t); }
  [[nodiscard]] moql::instant next_deadline() const {
    return std::min(sides_[0]->next_deadline(), sides_[1]->next_deadline());
  }
  /// Time passes on both sides, as far as somebody waits for it; at most to `until`.
  template <class A, class B>
  bool wait(A& sink_a, B& sink_b, moql::instant until) {
    if (next_deadline() > until) return false;
    advance_to(next_deadline());
    if (a().next_deadline() <= now_) a().on_deadline(sink_a, now_);
    if (b().next_deadline() <= now_) b().on_deadline(sink_b, now_);
    return true;
  }

 private:
  template <class Sink>
  bool write(unsigned side, Sink& sink) {
    if (is_stuck[side]) return false;
    const auto pieces = sides_[side]->output();
    if (pieces.empty()) return end(side);
    std::string all;
    for (const moql::byte_view p : pieces) all.append(reinterpret_cast<const char*>(p.data()), p.size());
    if (!is_in_messages()) all.resize(some(all.size()));
    pipes_[side].push_back(all);
    in_flight += all.size();
    sides_[side]->on_sent(sink, all.size(), now_);
    return true;
  }
  /// The socket is shut when the connection wishes for it.
  bool end(unsigned side) {
    if (is_shut_[side] || sides_[side]->wish() == moql::qmux::wish::keep) return false;
    return is_shut_[side] = true;
  }
  template <class Sink>
  bool read(unsigned side, Sink& sink) {
    auto& pipe = pipes_[1 - side];
    if (pipe.empty()) {
      if (!is_shut_[1 - side] || std::exchange(is_deaf_[side], true)) return false;
      sides_[side]->on_transport_closed(sink, now_);
      return true;
    }
    std::string piece = pipe.front();
    pipe.pop_front();
    if (is_in_messages()) {
      in_flight -= piece.size();
      sides_[side]->on_message(sink, own(piece), true, now_);
      return true;
    }
    if (!pipe.empty() && random_() % 2 == 0) {  // what was written in two may be read in one
      piece += pipe.front();
      pipe.pop_front();
    }
    const std::size_t n = some(piece.size());
    if (n < piece.size()) pipe.push_front(piece.substr(n));
    piece.resize(n);
    in_flight -= n;
    const std::size_t used = sides_[side]->on_bytes(sink, own(piece), now_);
    if (used < n) pipe.push_front(piece.substr(used));
    return true;
  }
  std::size_t some(std::size_t n) {
    if (n > options_.piece_max) n = options_.piece_max;
    return n < 2 ? n : 1 + random_() % n;
  }
  moql::bytes own(const std::string& s) {
    if (options_.is_owned) return moql::bytes::copy(s);
    kept_.push_back(s);  // the sink copies at once, but a session may look later
    if (kept_.size() > 1000) kept_.pop_front();
    return moql::bytes::borrow({reinterpret_cast<const std::uint8_t*>(kept_.back().data()), s.size()});
  }

  options options_;
  std::minstd_rand random_;
  moql::instant now_{1'000'000};
  std::deque<std::string> pipes_[2];  // by writer
  std::deque<std::string> kept_;
  std::unique_ptr<moql::qmux::connection> sides_[2];
  bool is_shut_[2] = {false, false};
  bool is_deaf_[2] = {false, false};
};

}  // namespace testing
