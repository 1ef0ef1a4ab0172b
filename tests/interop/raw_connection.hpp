#pragma once
/// A QUIC connection without a session on it: streams of bytes for tests of the adapter itself.

#include <map>
#include <optional>

#include "quic/endpoint.hpp"

namespace interop {

inline constexpr std::string_view raw_protocol = "moql-raw";

struct raw_stream {
  bool is_ours = false, is_uni = false;
  std::string in;  ///< Not read yet by the actor; who takes of it takes it away.
  bool fin = false;
  std::optional<std::uint64_t> reset, stop;  ///< What the peer did to it.
  std::string out;                           ///< To be written, and then the end if `end`.
  bool end = false, is_over = false;         ///< Our direction.
  std::size_t unread = 0;
  int writes_stopped = 0;
  bool is_blocked = false;
};

struct raw_result {
  enum class kind { going, pass, fail, unsupported } what = kind::going;
  std::string why{};
};

class raw_connection;

/// What one side does; called in `pump`, where it may do anything with the connection.
class raw_actor {
 public:
  raw_actor() = default;
  raw_actor(const raw_actor&) = delete;
  raw_actor& operator=(const raw_actor&) = delete;
  virtual ~raw_actor() = default;
  virtual void act(raw_connection& c, moql::instant now) = 0;
};

class raw_connection final : public net::peer, private net::transport_events {
 public:
  raw_connection(std::shared_ptr<quic::link> l, raw_actor& a) : peer({}), link_(std::move(l)), actor_(a) {
    link_->quic.bind(*this);
  }

  // ---- for actors

  std::map<moql::stream_id, raw_stream> streams;
  std::vector<std::string> datagrams;  ///< Heard and not looked at.
  struct closing {
    bool application;
    std::uint64_t code;
    std::string reason;
  };
  std::optional<closing> closed;  ///< By the peer, or lost.
  moql::instant wake_at = moql::never_due;

  [[nodiscard]] quic::connection& transport_below() { return link_->quic; }
  /// None without credit; `act` is called again when there is some.
  raw_stream* open(moql::direction d, moql::stream_id* id = nullptr) {
    const moql::open_result r = link_->quic.open(d);
    if (r.status != moql::transport_status::ok) return nullptr;
    raw_stream& s = streams[r.id];
    s.is_ours = true;
    s.is_uni = d == moql::direction::uni;
    if (id != nullptr) *id = r.id;
    return &s;
  }
  void close(std::uint64_t code, std::string_view reason) {
    if (!std::exchange(is_closing_, true)) link_->quic.close(code, reason);
  }
  [[nodiscard]] bool is_closing() const { return is_closing_; }

  // ---- net::peer

  [[nodiscard]] std::string_view transport() const override { return "raw QUIC"; }
  [[nodiscard]] std::string address() const override { return link_->address_text(); }
  void pump(moql::instant now) override {
    for (int rounds = 0; rounds < 2; ++rounds) {  // what was written may make room for more
      if (!is_closing_) read();
      if (!is_closing_) actor_.act(*this, now);
      if (!is_closing_ && !closed)
        for (auto& [id, s] : streams) write(id, s);
    }
    link_->flush();
  }
  [[nodiscard]] moql::instant next_deadline() const override { return wake_at; }
  void on_deadline(moql::instant) override { wake_at = moql::never_due; }
  [[nodiscard]] bool is_over() const override { return link_->is_over(); }
  [[nodiscard]] net::ending why() const override { return link_->quic.why(); }

 private:
  void read() {
    for (auto& [id, s] : streams)
      if (s.unread != 0) link_->quic.consume(id, std::exchange(s.unread, 0));
  }
  void write(moql::stream_id id, raw_stream& s) {
    if (s.is_over || s.is_blocked || (s.out.empty() && !s.end)) return;
    const moql::chunk c{reinterpret_cast<const std::uint8_t*>(s.out.data()), s.out.size()};
    const moql::write_result w = link_->quic.write(id, {&c, s.out.empty() ? 0u : 1u}, s.end);
    s.out.erase(0, w.accepted);
    if (w.status == moql::transport_status::closed) s.is_over = true;
    if (w.status == moql::transport_status::ok && s.end) s.is_over = true;
    s.is_blocked = w.status == moql::transport_status::blocked;
  }

  void on_open(moql::stream_id id, moql::direction d, moql::instant) noexcept override {
    streams[id].is_uni = d == moql::direction::uni;
  }
  void on_data(moql::stream_id id, moql::bytes data, bool fin, moql::instant) noexcept override {
    raw_stream& s = streams[id];
    s.in += data.text();
    s.unread += data.size();
    s.fin = fin;
  }
  void on_reset(moql::stream_id id, std::uint64_t code, moql::instant) noexcept override { streams[id].reset = code; }
  void on_stop(moql::stream_id id, std::uint64_t code, moql::instant) noexcept override { streams[id].stop = code; }
  void on_writable(moql::stream_id id) noexcept override { streams[id].is_blocked = false; }
  void on_credit(moql::direction) noexcept override {}
  void on_datagram(moql::bytes data, moql::instant) noexcept override { datagrams.emplace_back(data.text()); }
  void on_close(const moql::close_info& why, moql::instant) noexcept override {
    closed = {why.application, why.code, std::string(why.reason)};
  }

  std::shared_ptr<quic::link> link_;
  raw_actor& actor_;
  bool is_closing_ = false;
};

/// "12 rest" from "12": a number and what is behind it.
[[nodiscard]] inline std::pair<std::uint64_t, std::string> number_and_rest(const std::string& text) {
  std::size_t used = 0;
  std::uint64_t n = 0;
  for (; used < text.size() && text[used] >= '0' && text[used] <= '9'; ++used)
    n = n * 10 + static_cast<std::uint64_t>(text[used] - '0');
  return {n, used < text.size() ? text.substr(used + 1) : std::string()};
}
[[nodiscard]] inline std::string raw_pattern(std::size_t n) {
  std::string out(n, '\0');
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<char>(i * 7 + (i >> 8) * 13);
  return out;
}

}  // namespace interop
