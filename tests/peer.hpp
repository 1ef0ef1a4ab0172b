#pragma once
/// One session and a peer that is a script: bytes go in by hand, and everything that comes out is noted down, per
/// stream. Virtual time. Acting on a stream that is over, or after the close, counts as a broken promise.

#include "hex.hpp"
#include "pair.hpp"

#include <map>
#include <set>

namespace testing {

/// How the peer's bytes arrive: in one piece, one by one, or in two pieces that meet at `at`.
struct arrival {
  enum class how : std::uint8_t { whole, bytewise, split } way = how::whole;
  std::size_t at = 0;
};

/// What the session did on one stream.
struct stream_notes {
  moql::direction dir{};
  bool by_session = false;
  std::string sent;  ///< Hex.
  bool fin = false;
  std::optional<std::uint64_t> reset{}, stop{};
};

/// A transport that takes everything and forgets nothing.
class notebook : public moql::transport_defaults {
 public:
  std::string token;
  std::map<std::uint64_t, stream_notes> streams;
  std::vector<std::uint64_t> opened;  ///< By the session, in order.
  std::optional<std::uint64_t> close_code{};
  std::string close_reason;
  std::set<std::uint64_t> frozen;  ///< Streams that take no bytes for now.
  std::size_t broken_promises = 0;
  std::size_t calls = 0;
  std::size_t bidi_credit = ~std::size_t{0};
  std::size_t uni_credit = ~std::size_t{0};
  moql::transport_stats measured{};

  moql::open_result open(moql::direction d) noexcept {
    touch();
    std::size_t& credit = d == moql::direction::bidi ? bidi_credit : uni_credit;
    if (credit == 0) return {moql::transport_status::blocked, moql::no_stream};
    --credit;
    const std::uint64_t id = next_++;
    streams[id] = {d, true, {}, false, {}, {}};
    opened.push_back(id);
    return {moql::transport_status::ok, static_cast<moql::stream_id>(id)};
  }
  moql::write_result write(moql::stream_id id, std::span<const moql::chunk> chunks, bool fin) noexcept {
    touch();
    stream_notes& s = of(id);
    if (s.fin || s.reset || (!s.by_session && s.dir == moql::direction::uni)) ++broken_promises;
    if (frozen.count(static_cast<std::uint64_t>(id)) != 0) return {moql::transport_status::blocked, 0};
    std::size_t n = 0;
    for (const moql::chunk& c : chunks) {
      s.sent += moql::tests::to_hex({c.data, c.size});
      n += c.size;
    }
    s.fin = s.fin || fin;
    return {moql::transport_status::ok, n};
  }
  void reset(moql::stream_id id, std::uint64_t code) noexcept {
    touch();
    stream_notes& s = of(id);
    if (s.dir == moql::direction::uni && !s.by_session) ++broken_promises;
    if (!s.reset) s.reset = code;
  }
  void stop(moql::stream_id id, std::uint64_t code) noexcept {
    touch();
    stream_notes& s = of(id);
    if (s.dir == moql::direction::uni && s.by_session) ++broken_promises;
    if (!s.stop) s.stop = code;
  }
  void close(std::uint64_t code, std::string_view reason) noexcept {
    touch();
    close_code = code;
    close_reason = reason;
  }
  [[nodiscard]] std::string_view protocol() const noexcept { return token; }
  [[nodiscard]] std::size_t max_datagram() const noexcept { return 1200; }
  [[nodiscard]] moql::transport_stats stats() const noexcept { return measured; }
  [[nodiscard]] stream_notes& of(moql::stream_id id) noexcept {
    const auto i = streams.find(static_cast<std::uint64_t>(id));
    if (i == streams.end()) ++broken_promises;
    return i == streams.end() ? nowhere_ : i->second;
  }

 private:
  void touch() noexcept {
    ++calls;
    if (close_code) ++broken_promises;
  }
  std::uint64_t next_ = 1;
  stream_notes nowhere_{};
};

/// A line for an event, without handles: what an application of any version would note down.
inline std::string line_of(const heard& h) {
  const auto code_of = [](moql::errc why, std::uint64_t code) {
    return " (" + std::string(moql::text_of(why)) + ", " + std::to_string(code) + ")";
  };
  std::string out;
  std::visit(
      moql::overload{
          [&](const moql::connected& c) { out = "connected " + std::string(moql::facts(c.ver).name); },
          [&](const moql::peer_setup& p) {
            out = "setup path=" + (p.path ? h.text : std::string("none")) +
                  " role=" + std::to_string(static_cast<int>(p.role)) +
                  " probe=" + std::to_string(static_cast<int>(p.probe)) + " cost=" + std::to_string(p.cost) +
                  " hop=" + std::to_string(p.hop);
          },
          [&](const moql::bandwidth& b) {
            out = std::string(b.is_target ? "target " : "measured ") + std::to_string(b.bitrate) + " rtt " +
                  std::to_string(b.rtt_ms);
          },
          [&](const moql::probe_closed& p) { out = "probe closed" + code_of(p.why, p.code); },
          [&](const moql::goaway_received&) { out = "goaway " + h.text; },
          [&](const moql::goaway_finished&) { out = "goaway finished"; },
          [&](const moql::session_closed& c) {
            out = std::string("session closed") + (c.by_peer ? " by peer" : "") + code_of(c.why, c.code);
          },
          [&](const moql::announced&) { out = "announced " + h.path; },
          [&](const moql::announce_updated&) { out = "updated " + h.path; },
          [&](const moql::announce_ended&) { out = "ended " + h.path; },
          [&](const moql::announced_all& a) { out = "all " + std::to_string(a.count); },
          [&](const moql::interest_closed& i) { out = "interest closed" + code_of(i.why, i.code); },
          [&](const moql::subscription_started&) { out = "subscription started"; },
          [&](const moql::track_known&) { out = "track known"; },
          [&](const moql::group_started& g) { out = "group " + std::to_string(g.group); },
          [&](const moql::frame_part& p) { out = "frame " + h.payload + (p.is_last() ? "." : ""); },
          [&](const moql::group_finished& g) {
            out = "group finished " + std::to_string(g.group) + code_of(g.why, g.code);
          },
          [&](const moql::groups_lost& g) { out = "lost " + std::to_string(g.first) + "-" + std::to_string(g.last); },
          [&](const moql::subscription_end_known& e) { out = "end " + std::to_string(e.end); },
          [&](const moql::subscription_closed& c) { out = "subscription closed" + code_of(c.why, c.code); },
          [&](const moql::fetch_closed& c) { out = "fetch closed" + code_of(c.why, c.code); },
          [&](const moql::track_answered& t) { out = "track answered" + code_of(t.why, t.code); },
          [&](const moql::subscribe_requested&) { out = "subscribe " + h.path + " " + h.track; },
          [&](const moql::subscribe_updated&) { out = "subscribe updated"; },
          [&](const moql::track_requested&) { out = "track " + h.path + " " + h.track; },
          [&](const moql::fetch_requested&) { out = "fetch " + h.path + " " + h.track; },
          [&](const moql::request_closed& r) { out = "request closed" + code_of(r.why, r.code); },
          [&](const auto&) { out = "other"; },
      },
      h.what);
  return out;
}

/// Any message of the library, as hex: for the parts of a script that are not what a test is about.
template <class M>
[[nodiscard]] std::string hex(const M& m, moql::version v) {
  std::vector<std::uint8_t> out(moql::encoded_size(m, v));
  (void)moql::encode(m, v, out);
  return moql::tests::to_hex(out);
}

struct peer {
  static constexpr auto bidi = moql::direction::bidi;
  static constexpr auto uni = moql::direction::uni;

  side x;
  notebook net;
  moql::version ver;
  moql::instant now{1'000'000};
  arrival pieces{};

  /// The session takes the side of `c.side`; what it accepts stays as configured.
  peer(moql::version v, const moql::config& c, moql::memory m = {}) : x(c, m), ver(v) { net.token = token(v); }
  /// The session accepts this one version.
  peer(moql::version v, moql::endpoint e, const moql::config& c = {}, moql::memory m = {})
      : peer(v, only_version(c, v, e), m) {}

  [[nodiscard]] moql::session& s() { return x.session; }
  [[nodiscard]] bool is_client() { return x.session.side() == moql::endpoint::client; }

  // ---- the session's life

  moql::errc start() {
    const moql::errc e = x.session.start(net.token, now);
    run();
    return e;
  }
  /// Starts, and does the peer's part of the opening, so that the session is established.
  peer& up(std::string_view setup = "010100") {
    (void)start();
    if (moql::negotiates_in_band(ver)) {
      const std::string number = ver == moql::lite01 ? "c0000000ff0dad01" : "c0000000ff0dad02";
      if (is_client())
        send(net.opened.at(0), "210009" + number + "00");
      else
        session_stream = open(bidi, "20000a01" + number + "00");
    } else if (moql::has_setup(ver)) {
      open(uni, setup, true);
    }
    return *this;
  }
  std::uint64_t session_stream = 0;
  void run() {
    while (auto e = x.session.next_event()) {
      x.events.push_back(keep(*e));
      x.react(x.session, *e);
    }
    moql::pump(x.session, net, now);
    while (auto e = x.session.next_event()) {
      x.events.push_back(keep(*e));
      x.react(x.session, *e);
    }
  }
  void wait(moql::duration d) {
    const moql::instant until = now + d;
    while (x.session.next_deadline() <= until) {
      if (x.session.next_deadline() > now) now = x.session.next_deadline();
      run();
    }
    now = until;
    run();
  }

  // ---- what the peer does

  std::uint64_t open(moql::direction d, std::string_view hex = {}, bool fin = false) {
    const std::uint64_t id = next_++;
    net.streams[id] = {d, false, {}, false, {}, {}};
    x.session.on_open(static_cast<moql::stream_id>(id), d, now);
    send(id, hex, fin);
    return id;
  }
  void send(std::uint64_t id, std::string_view hex, bool fin = false) {
    const std::vector<std::uint8_t> all = moql::tests::from_hex(hex);
    const moql::byte_view v = all;
    if (pieces.way == arrival::how::bytewise && !v.empty()) {
      for (std::size_t i = 0; i < v.size(); ++i) give(id, v.subspan(i, 1), fin && i + 1 == v.size());
    } else if (pieces.way == arrival::how::split && pieces.at < v.size()) {
      give(id, v.first(pieces.at), false);
      give(id, v.subspan(pieces.at), fin);
    } else {
      give(id, v, fin);
    }
  }
  void fin(std::uint64_t id) { give(id, {}, true); }
  void reset(std::uint64_t id, std::uint64_t code) {
    x.session.on_reset(static_cast<moql::stream_id>(id), code, now);
    run();
  }
  void stop(std::uint64_t id, std::uint64_t code) {
    x.session.on_stop(static_cast<moql::stream_id>(id), code, now);
    run();
  }
  void close(std::uint64_t code, std::string_view reason, bool application = true) {
    x.session.on_close({application, code, reason}, now);
    run();
  }

  // ---- what the session did

  /// Streams that the session opened, by direction.
  [[nodiscard]] std::vector<std::uint64_t> ours(moql::direction d) const {
    std::vector<std::uint64_t> out;
    for (const std::uint64_t id : net.opened)
      if (net.streams.at(id).dir == d) out.push_back(id);
    return out;
  }
  /// The session's own stream whose bytes begin with `hex`; the newest. 0 when there is none.
  [[nodiscard]] std::uint64_t own(moql::direction d, std::string_view hex) const {
    std::uint64_t found = 0;
    for (const std::uint64_t id : ours(d))
      if (net.streams.at(id).sent.starts_with(hex)) found = id;
    return found;
  }
  [[nodiscard]] const stream_notes& on(std::uint64_t id) const { return net.streams.at(id); }
  [[nodiscard]] const std::string& sent(std::uint64_t id) const { return net.streams.at(id).sent; }
  [[nodiscard]] bool closed_with(moql::session_code code) const {
    return net.close_code == static_cast<std::uint64_t>(code);
  }
  [[nodiscard]] bool is_open() const { return !net.close_code && !x.session.is_closed(); }
  /// The session ended the stream as a fault: the ends that it has, with this code.
  [[nodiscard]] bool was_ended(std::uint64_t id, moql::stream_code code) const {
    const stream_notes& n = on(id);
    const auto c = static_cast<std::uint64_t>(code);
    const bool sends = n.dir == bidi || n.by_session;
    const bool receives = n.dir == bidi || !n.by_session;
    return (!sends || n.reset == c) && (!receives || n.stop == c);
  }
  /// The session has ended its own direction, in order or not.
  [[nodiscard]] bool is_ended(std::uint64_t id) const { return on(id).fin || on(id).reset.has_value(); }

  /// All events as lines, joined.
  [[nodiscard]] std::string log() const {
    std::string out;
    for (const heard& h : x.events) {
      const std::string line = line_of(h);
      if (line.starts_with("frame ") && !out.empty() && out.rfind("frame ", std::string::npos) == last_line(out) &&
          !out.ends_with(".\n")) {
        out.pop_back();  // pieces of one frame
        out += line.substr(6) + "\n";
      } else {
        out += line + "\n";
      }
    }
    return out;
  }
  void forget() { x.events.clear(); }

 private:
  static std::size_t last_line(const std::string& s) {
    const std::size_t at = s.size() < 2 ? std::string::npos : s.rfind('\n', s.size() - 2);
    return at == std::string::npos ? 0 : at + 1;
  }
  void give(std::uint64_t id, moql::byte_view v, bool fin) {
    if (!v.empty() || fin) x.session.on_data(static_cast<moql::stream_id>(id), moql::bytes::copy(v), fin, now);
    run();
  }
  std::uint64_t next_ = 1000;
};

/// Runs `script(arrival)`, which returns what came of it, for every way the bytes can arrive: whole, one by one, and
/// split at every place up to `size_max`. Returns the first result that differs, with how it came about; empty if none.
template <class F>
[[nodiscard]] std::string differs_by_arrival(std::size_t size_max, F&& script) {
  const std::string whole = script(arrival{});
  const std::string one = script(arrival{arrival::how::bytewise, 0});
  if (one != whole) return "bytewise:\n" + one + "instead of\n" + whole;
  for (std::size_t i = 0; i < size_max; ++i) {
    const std::string two = script(arrival{arrival::how::split, i});
    if (two != whole) return "split at " + std::to_string(i) + ":\n" + two + "instead of\n" + whole;
  }
  return {};
}

}  // namespace testing
