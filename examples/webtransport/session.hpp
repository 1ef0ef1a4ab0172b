#pragma once
/// A WebTransport session over HTTP/3 on any QUIC transport: a sink towards the connection below, a transport towards
/// the moql session above. One session per connection; it owns the connection and ends it.
///
/// Below, the number of a `stream_id` must be the QUIC stream id, since HTTP/3 names streams by it; above, the same ids
/// are used. Events only change state. The owner calls `service` before it pumps the session above and again after,
/// and `flushed` when the connection has put everything on the network.

#include <moql/binding/http3_settings.hpp>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "../net/events.hpp"
#include "connect.hpp"
#include "stream.hpp"

namespace webtransport {

enum class role { client, server };

struct options {
  role side = role::client;
  request ask{};    ///< Client.
  welcome offer{};  ///< Server.
  moql::duration opening_max = moql::seconds(10);
  /// How long a session that we have closed waits for the peer's answer, and then for the peer to leave first: browsers
  /// forget why a session was closed if the connection is lost right after.
  moql::duration closing_max = moql::milliseconds(500);
  moql::duration lingering_max = moql::milliseconds(100);
  std::size_t early_streams_max = 64;  ///< Streams that may come before the session is open, and their bytes.
  std::size_t early_bytes_max = 256 * 1024;
};

template <moql::transport Lower>
class session final : public net::transport_events, public moql::transport_defaults {
 public:
  session(Lower& lower, options o, moql::instant now)
      : lower_(lower),
        options_(std::move(o)),
        control_(options_.side == role::server),
        now_(now),
        deadline_(now + options_.opening_max) {}

  // ---- for the owner

  /// From now on `upper` hears what happens, and at once what has happened so far. Call when `is_open`.
  void attach(net::transport_events& upper) noexcept {
    upper_ = &upper;
    release_early();
    if (has_ended_) std::exchange(upper_, nullptr)->on_close(ended_, now_);
  }
  /// Does below what has become necessary.
  void service(moql::instant now) noexcept {
    now_ = now;
    if (is_over_) return;
    if (fault_ != http3::code::no_error) return shut(fault_, why_);
    if (!is_refused_) open_own_streams();
    run_deferred();
    for (const key_type id : std::exchange(talking_, {}))
      if (stream* st = find(id)) talk(id, *st);
    if (is_refused_) return shut(http3::code::no_error, {});
    if (has_ended_ && is_connect_done()) leave();
  }
  /// All that was written is on its way. True if that allowed more to be written: flush again.
  bool flushed() noexcept {
    fresh_from_[0] = fresh_from_[1] = none;
    const bool any = !late_resets_.empty() && !is_over_;
    for (const auto& [id, code] : late_resets_)
      if (!is_over_) lower_.reset(moql::stream_id{id}, code);
    late_resets_.clear();
    return any;
  }
  [[nodiscard]] moql::instant next_deadline() const noexcept { return is_over_ ? moql::never_due : deadline_; }
  void on_deadline(moql::instant now) noexcept {
    now_ = now;
    if (is_over_ || now < deadline_) return;
    deadline_ = moql::never_due;
    if (has_ended_) return shut(http3::code::no_error, {});
    refuse(options_.side == role::client ? "no answer in time" : "no request in time");
    shut(http3::code::request_cancelled, why_);
  }
  /// There is a session; also after it has ended.
  [[nodiscard]] bool is_open() const noexcept { return is_open_; }
  /// The connection below is closed, by us or by the peer.
  [[nodiscard]] bool is_over() const noexcept { return is_over_; }
  /// Why there is no session any longer, or never was; empty if nothing went wrong.
  [[nodiscard]] const std::string& why() const noexcept { return why_; }
  /// How the session ended, if it has.
  struct ending {
    bool by_peer = false;
    std::uint64_t code = 0;
    std::string_view reason{};
  };
  [[nodiscard]] std::optional<ending> ended() const noexcept {
    if (!is_open_ || !has_ended_) return {};
    return ending{is_ended_by_peer_, ended_.code, reason_};
  }
  /// Path and query of the request.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  /// Streams that are remembered, our own included.
  [[nodiscard]] std::size_t streams() const noexcept { return streams_.size(); }

  // ---- a transport

  moql::open_result open(moql::direction d) noexcept {
    if (!is_usable()) return {moql::transport_status::closed, moql::no_stream};
    const moql::open_result r = lower_.open(d);
    if (r.status != moql::transport_status::ok) return r;
    stream& s = add(r.id, d, true);
    s.use = stream_use::session;
    s.is_told = true;
    if (fresh_from_[static_cast<std::size_t>(d)] == none) fresh_from_[static_cast<std::size_t>(d)] = key(r.id);
    if (write_preamble(r.id, s) == moql::transport_status::blocked) talking_.push_back(key(r.id));
    return r;
  }
  moql::write_result write(moql::stream_id id, std::span<const moql::chunk> chunks, bool fin) noexcept {
    stream* s = find(key(id));
    if (!is_usable() || s == nullptr || s->out_over || s->fin_waits) return {moql::transport_status::closed, 0};
    moql::write_result r{write_preamble(id, *s), 0};
    if (r.status == moql::transport_status::ok) {
      r = lower_.write(id, chunks, fin);
    } else if (r.status == moql::transport_status::blocked && fin && is_empty(chunks)) {
      s->fin_waits = true;  // a bare FIN is never blocked
      return {moql::transport_status::ok, 0};
    }
    s->upper_waits = r.status == moql::transport_status::blocked;
    if (r.status == moql::transport_status::closed || (r.status == moql::transport_status::ok && fin)) end_out(id, *s);
    return r;
  }
  void reset(moql::stream_id id, std::uint64_t code) noexcept {
    if (is_over_) return;
    stream* s = find(key(id));
    if (is_fresh(key(id)))
      late_resets_.try_emplace(key(id), to_http(code));
    else if (late_resets_.count(key(id)) == 0)
      lower_.reset(id, to_http(code));
    if (s != nullptr) end_out(id, *s);
  }
  void stop(moql::stream_id id, std::uint64_t code) noexcept {
    if (is_over_) return;
    lower_.stop(id, to_http(code));
    if (stream* s = find(key(id))) end_in(id, *s);  // most stacks say no more of it
  }
  void close(std::uint64_t code, std::string_view reason) noexcept {
    if (has_ended_ || is_over_) return;
    has_ended_ = true;
    upper_ = nullptr;
    reason_ = reason;
    ended_ = {true, code, reason_};
    if (!is_open_) return shut(http3::code::request_cancelled, reason);
    deadline_ = now_ + options_.closing_max;
    std::uint8_t frame[wire::close_bytes_max];
    const auto plain = static_cast<std::uint32_t>(code > UINT32_MAX ? internal_error : code);
    if (const auto n = wire::build_close(plain, reason, frame)) say(connect_id_, {frame, *n}, true);
  }
  [[nodiscard]] std::string_view protocol() const noexcept { return protocol_; }
  void consume(moql::stream_id id, std::size_t n) noexcept {
    if (!is_over_) lower_.consume(id, n);
  }
  void priority(moql::stream_id id, std::int32_t order) noexcept {
    if (!is_over_) lower_.priority(id, order);
  }
  moql::transport_status datagram(moql::byte_view data) noexcept {
    if (!is_usable()) return moql::transport_status::closed;
    if (lower_.max_datagram() == 0) return moql::transport_status::unsupported;
    if (data.size() > max_datagram()) return moql::transport_status::too_large;
    const auto p = wire::datagram_preamble(connect_id_);
    scratch_.assign(p.view().begin(), p.view().end());
    scratch_.insert(scratch_.end(), data.begin(), data.end());
    return lower_.datagram(scratch_);
  }
  [[nodiscard]] std::size_t max_datagram() const noexcept {
    const std::size_t below = lower_.max_datagram();
    const std::size_t ours = wire::datagram_preamble(connect_id_).size;
    return below < ours ? 0 : below - ours;
  }
  [[nodiscard]] moql::transport_stats stats() const noexcept { return lower_.stats(); }

  // ---- a sink

  void on_open(moql::stream_id id, moql::direction d, moql::instant now) noexcept override {
    now_ = now;
    if (!is_over_ && find(key(id)) == nullptr) add(id, d, false);
  }
  void on_data(moql::stream_id id, moql::bytes data, bool fin, moql::instant now) noexcept override {
    now_ = now;
    stream* s = is_deaf() ? nullptr : find(key(id));
    if (s == nullptr || s->in_over) return;
    if (s->use == stream_use::unknown) {
      wire::stream_head h;
      moql::byte_view rest = data.view();
      const bool is_known = s->head.take(rest, h);
      owe(id, data.size() - rest.size());
      data = data.slice(data.size() - rest.size(), rest.size());
      if (!is_known) {
        if (fin) abandon(id, *s, http3::code::request_incomplete);
        return;
      }
      identify(id, *s, h);
      s = is_deaf() ? nullptr : find(key(id));  // it may have been turned away
      if (s == nullptr) return;
    }
    if (!data.empty() || fin) take(id, *s, std::move(data), fin);
  }
  void on_reset(moql::stream_id id, std::uint64_t code, moql::instant now) noexcept override {
    now_ = now;
    stream* s = is_deaf() ? nullptr : find(key(id));
    if (s == nullptr || s->in_over) return;
    switch (s->use) {
      case stream_use::control:
      case stream_use::qpack:
        return fail(http3::code::closed_critical_stream, "a stream that must stay open was reset");
      case stream_use::connect: return lose_connect(id, *s, code);
      case stream_use::unknown:
      case stream_use::request: return abandon(id, *s, http3::code::request_cancelled);
      case stream_use::session:
        if (s->is_told) {
          upper_on([&](auto& u) { u.on_reset(id, from_http(code), now); });
        } else {
          drop_early_data(id, *s);  // and if it is unidirectional, nobody will hear of it
          s->early->reset = from_http(code);
        }
        break;
      case stream_use::refused: break;
    }
    end_in(id, *s);
  }
  void on_stop(moql::stream_id id, std::uint64_t code, moql::instant now) noexcept override {
    now_ = now;
    stream* s = is_deaf() ? nullptr : find(key(id));
    if (s == nullptr) return;
    switch (s->use) {
      case stream_use::control: return fail(http3::code::closed_critical_stream, "our control stream is not wanted");
      case stream_use::connect:
        if (is_open_ || options_.side == role::server) return lose_connect(id, *s, code);
        break;  // a refusal is on its way
      case stream_use::session:
        if (s->is_told)
          upper_on([&](auto& u) { u.on_stop(id, from_http(code), now); });
        else
          s->early->stop = from_http(code);
        return;
      default: break;
    }
    if (s->out_over) return;
    defer(action::reset, id, static_cast<std::uint64_t>(http3::code::request_cancelled));
    end_out(id, *s);
  }
  void on_writable(moql::stream_id id) noexcept override {
    stream* s = find(key(id));
    if (s == nullptr || is_over_) return;
    if (s->http != nullptr || (s->is_local && s->preamble_sent < preamble(*s).size)) talking_.push_back(key(id));
    if (std::exchange(s->upper_waits, false)) upper_on([&](auto& u) { u.on_writable(id); });
  }
  void on_credit(moql::direction d) noexcept override {
    upper_on([&](auto& u) { u.on_credit(d); });
  }
  void on_datagram(moql::bytes data, moql::instant now) noexcept override {
    now_ = now;
    if (is_deaf()) return;
    const auto d = wire::parse_datagram(data.view());
    if (!d) return fail(http3::code::datagram_error, "a datagram without its session");
    if (!is_open_ || d->session != connect_id_) return;
    const std::size_t n = d->payload.size();
    upper_on([&](auto& u) { u.on_datagram(data.slice(data.size() - n, n), now); });
  }
  void on_close(const moql::close_info& why, moql::instant now) noexcept override {
    now_ = now;
    if (std::exchange(is_over_, true)) return;
    // Some stacks close the connection with the code of the session, mapped as those of streams are.
    const auto plain = wire::stream_code_of(why.code);
    if (why.application && plain) return end({true, *plain, why.reason});
    if (why.application && why.code == static_cast<std::uint64_t>(http3::code::no_error))
      return end({true, 0, why.reason});
    end({false, why.code, why.reason});
  }

 private:
  using key_type = std::uint64_t;
  enum class action : std::uint8_t { consume, stop, reset };
  struct deferred {
    action what;
    moql::stream_id id;
    std::uint64_t number;
  };
  static constexpr std::uint64_t internal_error = static_cast<std::uint64_t>(moql::session_code::internal_error);
  static constexpr std::uint64_t none = ~std::uint64_t{0};
  static constexpr std::size_t section_bytes_max = 16 * 1024;

  static key_type key(moql::stream_id id) noexcept { return static_cast<key_type>(id); }
  [[nodiscard]] stream* find(key_type id) noexcept {
    const auto i = streams_.find(id);
    return i == streams_.end() ? nullptr : &i->second;
  }
  stream& add(moql::stream_id id, moql::direction d, bool is_local) {
    return streams_.try_emplace(key(id), d, is_local).first->second;
  }
  /// A reset drops what has not been sent, and without its preamble the peer could not tell whose stream that was.
  [[nodiscard]] bool is_fresh(key_type id) const noexcept {
    const auto d = static_cast<std::size_t>((id & 2) != 0 ? moql::direction::uni : moql::direction::bidi);
    return ((id & 1) != 0) == (options_.side == role::server) && fresh_from_[d] != none && id >= fresh_from_[d];
  }
  [[nodiscard]] static bool is_empty(std::span<const moql::chunk> chunks) noexcept {
    for (const moql::chunk& c : chunks)
      if (c.size != 0) return false;
    return true;
  }
  [[nodiscard]] bool is_usable() const noexcept { return is_open_ && !has_ended_ && !is_over_; }
  /// After a fault nothing that the peer says counts.
  [[nodiscard]] bool is_deaf() const noexcept { return is_over_ || is_refused_ || fault_ != http3::code::no_error; }
  void upper_on(auto&& tell) noexcept {
    if (upper_ != nullptr && is_open_ && !has_ended_) tell(*upper_);
  }

  // Codes. What has no place in 32 bits is sent as something that says nothing, and so it comes back.
  static std::uint64_t to_http(std::uint64_t code) noexcept {
    return code > UINT32_MAX ? static_cast<std::uint64_t>(http3::code::internal_error)
                             : wire::http_code(static_cast<std::uint32_t>(code));
  }
  static std::uint64_t from_http(std::uint64_t code) noexcept {
    const auto plain = wire::stream_code_of(code);
    return plain ? *plain : moql::no_code;
  }

  // What becomes necessary below.
  void open_own_streams() noexcept;
  void run_deferred() noexcept;
  void talk(key_type id, stream& s) noexcept;
  void say(key_type id, moql::byte_view text, bool fin) noexcept;
  void defer(action what, moql::stream_id id, std::uint64_t number) noexcept {
    deferred_.push_back({what, id, number});
  }
  void owe(moql::stream_id id, std::size_t n) noexcept {
    if (n != 0) defer(action::consume, id, n);
  }
  [[nodiscard]] wire::preamble preamble(const stream& s) const noexcept {
    return wire::stream_preamble(s.dir == moql::direction::uni ? wire::uni_signal : wire::bidi_signal, connect_id_);
  }
  moql::transport_status write_preamble(moql::stream_id id, stream& s) noexcept;
  void shut(http3::code code, std::string_view reason) noexcept;

  // What streams turn out to be, and what comes on them.
  void identify(moql::stream_id id, stream& s, wire::stream_head h) noexcept;
  void take(moql::stream_id id, stream& s, moql::bytes data, bool fin) noexcept;
  void read_http(moql::stream_id id, stream& s, moql::byte_view in, bool fin) noexcept;
  void read_section(moql::stream_id id, stream& s) noexcept;
  void read_capsules(moql::byte_view in) noexcept;
  void refuse_request(moql::stream_id id, stream& s, const answer& a) noexcept;
  void end_in(moql::stream_id id, stream& s) noexcept {
    s.in_over = true;
    if (s.out_over) streams_.erase(key(id));
  }
  void end_out(moql::stream_id id, stream& s) noexcept {
    s.out_over = true;
    if (s.in_over) streams_.erase(key(id));
  }
  void abandon(moql::stream_id id, stream& s, http3::code code) noexcept;

  // Streams that came before the session.
  void hold(moql::stream_id id, stream& s, moql::bytes data, bool fin) noexcept;
  void drop_early_data(moql::stream_id id, stream& s) noexcept;
  void reject(moql::stream_id id, stream& s, http3::code code) noexcept;
  void release_early() noexcept;
  void tell_early(moql::stream_id id, stream& s) noexcept;

  // The session's own course.
  void accept_if_ready() noexcept;
  void become_open() noexcept;
  void refuse(std::string why) noexcept;
  void end(const moql::close_info& why) noexcept;
  void lose_connect(moql::stream_id id, stream& s, std::uint64_t code) noexcept;
  void fail(http3::code code, std::string why) noexcept;
  void leave() noexcept;
  [[nodiscard]] bool is_connect_done() noexcept {
    const stream* s = find(connect_id_);
    return s == nullptr || (s->out_over && (s->in_over || is_ended_by_peer_));
  }

  Lower& lower_;
  options options_;
  net::transport_events* upper_ = nullptr;
  std::unordered_map<key_type, stream> streams_{};
  http3::control_reader control_;
  wire::capsule_reader capsules_{};
  answer answer_{};  ///< Server: what the request will be told once the client's SETTINGS are known.
  std::uint64_t connect_id_ = none;
  key_type fresh_from_[2] = {none, none};  ///< By direction: the first stream that was opened since `flushed`.
  moql::instant now_;
  moql::instant deadline_;
  bool has_own_control_ = false;
  bool has_control_ = false, has_encoder_ = false, has_decoder_ = false;  ///< The peer's.
  bool is_open_ = false;
  bool is_refused_ = false;
  bool has_ended_ = false;
  bool is_ended_by_peer_ = false;
  bool is_lingering_ = false;
  bool is_over_ = false;
  http3::code fault_ = http3::code::no_error;
  moql::close_info ended_{};
  std::string protocol_{}, path_{}, why_{}, reason_{};
  std::vector<deferred> deferred_{};
  std::vector<key_type> talking_{};  ///< Streams with something of ours to be written.
  std::vector<key_type> early_{};    ///< Streams that the session above will hear of, in their order.
  std::size_t early_bytes_ = 0;
  std::map<key_type, std::uint64_t> late_resets_{};
  std::vector<std::uint8_t> scratch_{};
};

}  // namespace webtransport

#include "session_impl.hpp"
