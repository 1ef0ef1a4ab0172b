#pragma once
/// One session against a script: the test plays the peer byte by byte, over a transport that only records and that
/// runs out of credit or room when the test says so.

#include <map>

#include "hex.hpp"
#include "pair.hpp"

namespace testing {

/// A message as hex digits, with its Type and length.
template <class M>
std::string wire_hex(const M& m, moql::version v) {
  std::vector<std::uint8_t> out(moql::encoded_size(m, v) + 1);
  const moql::encoded e = moql::encode(m, v, out);
  return e.why == moql::errc::ok ? moql::tests::to_hex({out.data(), e.size}) : "unwritable";
}
/// A frame of a stream: `delta` to the frame before it, from 05 on.
inline std::string frame_hex(moql::version v, std::int64_t delta, std::string_view payload) {
  return wire_hex(moql::msg::frame{delta, payload.size()}, v) +
         moql::tests::to_hex({reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()});
}

class recording_transport : public moql::transport_defaults {
 public:
  struct stream {
    moql::direction dir{};
    bool is_ours{};
    std::string out{};  ///< What the session wrote, in hex.
    bool fin{};
    std::optional<std::uint64_t> reset{}, stop{};
    std::int32_t order{};
    bool is_bounded{};  ///< Carries frames and so needs room.
    bool is_blocked{};
  };
  std::map<std::uint64_t, stream> streams;
  std::size_t uni_credit = SIZE_MAX;  ///< Group and Setup streams that may still be opened.
  std::size_t room = SIZE_MAX;        ///< Bytes that group and fetch streams may still write; control is free.
  std::size_t datagram_max = 1200;
  std::vector<std::string> datagrams;                      ///< In hex.
  std::vector<std::pair<std::uint64_t, std::size_t>> log;  ///< Stream and bytes of each write that took some.
  std::optional<std::uint64_t> closed;
  std::uint64_t next_ours = 0;
  std::size_t bad_calls = 0;  ///< Writes after the end of a direction.
  std::size_t refused_opens = 0;

  moql::open_result open(moql::direction d) noexcept {
    if (d == moql::direction::uni) {
      if (uni_credit == 0) {
        ++refused_opens;
        return {moql::transport_status::blocked, moql::no_stream};
      }
      --uni_credit;
    }
    streams[next_ours] = {.dir = d, .is_ours = true, .is_bounded = d == moql::direction::uni};
    return {moql::transport_status::ok, moql::stream_id{next_ours++}};
  }
  moql::write_result write(moql::stream_id id, std::span<const moql::chunk> chunks, bool fin) noexcept {
    const auto key = static_cast<std::uint64_t>(id);
    stream& s = streams.at(key);
    if (s.fin || s.reset) {
      ++bad_calls;
      return {moql::transport_status::closed, 0};
    }
    std::size_t taken = 0;
    for (const moql::chunk& c : chunks) {
      std::size_t n = c.size;
      if (s.is_bounded && n > room) n = room;
      if (s.is_bounded && room != SIZE_MAX) room -= n;
      s.out += moql::tests::to_hex({c.data, n});
      taken += n;
      if (n < c.size) {
        s.is_blocked = true;
        if (taken != 0) log.emplace_back(key, taken);
        return {moql::transport_status::blocked, taken};
      }
    }
    if (taken != 0) log.emplace_back(key, taken);
    s.fin = fin;
    return {moql::transport_status::ok, taken};
  }
  void reset(moql::stream_id id, std::uint64_t code) noexcept {
    stream& s = streams.at(static_cast<std::uint64_t>(id));
    if (!s.reset) s.reset = code;
  }
  void stop(moql::stream_id id, std::uint64_t code) noexcept {
    stream& s = streams.at(static_cast<std::uint64_t>(id));
    if (!s.stop) s.stop = code;
  }
  void close(std::uint64_t code, std::string_view) noexcept { closed = code; }
  [[nodiscard]] std::string_view protocol() const noexcept { return {}; }
  void priority(moql::stream_id id, std::int32_t order) noexcept {
    streams.at(static_cast<std::uint64_t>(id)).order = order;
  }
  moql::transport_status datagram(moql::byte_view d) noexcept {
    datagrams.push_back(moql::tests::to_hex(d));
    return moql::transport_status::ok;
  }
  [[nodiscard]] std::size_t max_datagram() const noexcept { return datagram_max; }
};

/// The session under test and its peer's hand.
struct scripted : side {
  recording_transport net;
  moql::version ver;
  moql::instant now{};
  std::uint64_t next_theirs = 1'000'000;

  /// The session is opened, and the peer has said what its version wants first.
  scripted(moql::version v, moql::endpoint who, const moql::config& c = {}, moql::memory m = {})
      : side(only_version(c, v, who), m), ver(v) {
    (void)session.start(token(v), now);
    settle();
    if (moql::has_setup(v)) {
      peer_opens(moql::direction::uni, "010100", true);
    } else if (moql::negotiates_in_band(v) && who == moql::endpoint::client) {
      feed(ours(moql::direction::bidi, 0x20).at(0),
           "21" + wire_hex(moql::msg::server_setup{.selected = moql::facts(v).number}, v));
    } else if (moql::negotiates_in_band(v)) {
      const std::uint64_t offered[] = {moql::facts(v).number};
      peer_opens(moql::direction::bidi, "20" + wire_hex(moql::msg::client_setup{.versions = {std::span(offered)}}, v));
    }
    settle();
  }

  /// Lets the application hear what there is and carries out what the session wants, until nothing is left.
  void settle() {
    const auto drain = [this] {
      bool any = false;
      while (auto e = session.next_event()) {
        any = true;
        events.push_back(keep(*e));
        react(session, *e);
      }
      return any;
    };
    (void)drain();
    do moql::pump(session, net, now);
    while (drain());  // pumping may have brought events
  }
  /// Time passes, deadline by deadline.
  void wait(moql::duration d) {
    const moql::instant until = now + d;
    settle();
    while (session.next_deadline() <= until) {
      if (session.next_deadline() > now) now = session.next_deadline();
      session.on_deadline(now);
      settle();
    }
    now = until;
    settle();
  }

  std::uint64_t peer_opens(moql::direction d, std::string_view data = {}, bool fin = false) {
    const std::uint64_t id = next_theirs++;
    net.streams[id] = {.dir = d, .is_bounded = data.starts_with("03")};
    session.on_open(moql::stream_id{id}, d, now);
    if (!data.empty() || fin)
      feed(id, data, fin);
    else
      settle();
    return id;
  }
  void feed(std::uint64_t id, std::string_view data, bool fin = false) {
    const auto raw = moql::tests::from_hex(data);
    session.on_data(moql::stream_id{id}, moql::bytes::copy(moql::byte_view(raw)), fin, now);
    settle();
  }
  void fin(std::uint64_t id) { feed(id, "", true); }
  void reset(std::uint64_t id, std::uint64_t code) {
    session.on_reset(moql::stream_id{id}, code, now);
    settle();
  }
  void stop(std::uint64_t id, std::uint64_t code) {
    session.on_stop(moql::stream_id{id}, code, now);
    settle();
  }
  void datagram(std::string_view data) {
    const auto raw = moql::tests::from_hex(data);
    session.on_datagram(moql::bytes::copy(moql::byte_view(raw)), now);
    settle();
  }
  /// The transport takes `n` more bytes of groups; every stream that waits is told.
  void give_room(std::size_t n) {
    net.room = n;
    for (auto& [id, s] : net.streams)
      if (std::exchange(s.is_blocked, false)) session.on_writable(moql::stream_id{id});
    settle();
  }
  void give_streams(std::size_t n) {
    net.uni_credit = n;
    session.on_credit(moql::direction::uni);
    settle();
  }

  /// The session's own streams of a type, oldest first.
  [[nodiscard]] std::vector<std::uint64_t> ours(moql::direction d, std::uint8_t type) const {
    std::vector<std::uint64_t> found;
    for (const auto& [id, s] : net.streams)
      if (s.is_ours && s.dir == d && s.out.starts_with(moql::tests::to_hex({&type, 1}))) found.push_back(id);
    return found;
  }
  /// Group streams that the session has begun to write.
  [[nodiscard]] std::vector<std::uint64_t> groups() const { return ours(moql::direction::uni, 0x0); }
  /// The group a stream carries, from its header; the Subscribe ID in `sub`.
  [[nodiscard]] moql::msg::group group_of(std::uint64_t id) const {
    const auto raw = moql::tests::from_hex(at(id).out.substr(0, 64));
    return moql::decode<moql::msg::group>(moql::byte_view(raw).subspan(1), ver).message;
  }
  /// The stream of the session's that carries a group; -1 when there is none.
  [[nodiscard]] std::uint64_t stream_of(std::uint64_t sequence, std::uint64_t subscribe_id = 0) const {
    for (const std::uint64_t id : groups())
      if (group_of(id).sequence == sequence && group_of(id).subscribe_id == subscribe_id) return id;
    return ~std::uint64_t{0};
  }
  [[nodiscard]] const recording_transport::stream& at(std::uint64_t id) const { return net.streams.at(id); }
  [[nodiscard]] const std::string& out(std::uint64_t id) const { return at(id).out; }
  [[nodiscard]] bool is_open() const { return !session.is_closed() && !net.closed; }

  // ---- the session subscribes, the script publishes

  /// Subscribes to room/video; on 05 and 06 TRACK_INFO is answered unless `timescale` is 0. Returns its Subscribe
  /// stream.
  std::uint64_t subscribe(const moql::subscribe_options& o = {}, std::uint64_t timescale = 1000) {
    const auto id = session.subscribe("room", "video", o, now);
    if (id) last_subscription = *id;
    settle();
    const auto asked = ours(moql::direction::bidi, 0x6);
    if (moql::has_track_stream(ver) && timescale != 0 && !asked.empty() && !at(asked.back()).fin)
      feed(asked.back(), wire_hex(moql::msg::track_info{.max_age_ms = 5000, .timescale = timescale}, ver), true);
    return ours(moql::direction::bidi, 0x2).back();
  }
  /// SUBSCRIBE_OK as each version says that delivery begins at `start`.
  void say_ok(std::uint64_t stream, std::uint64_t start) {
    moql::msg::subscribe_ok ok;
    ok.group_start = ok.group = start;
    feed(stream, wire_hex(ok, ver));
  }
  /// A Group stream of the peer's for Subscribe ID `sub`, with frames of 10 ms distance.
  std::uint64_t peer_group(std::uint64_t sequence, const std::vector<std::string>& frames, bool fin = true,
                           std::uint64_t sub = 0, std::uint64_t first_frame = 0) {
    std::string data = "00" + wire_hex(moql::msg::group{sub, sequence, first_frame}, ver);
    for (std::size_t i = 0; i < frames.size(); ++i)
      data += frame_hex(ver, i == 0 ? static_cast<std::int64_t>(sequence) * 1000 : 10, frames[i]);
    return peer_opens(moql::direction::uni, data, fin);
  }
  moql::subscription_id last_subscription{};

  // ---- the session publishes, the script subscribes

  /// Every SUBSCRIBE, TRACK and FETCH of the peer's is served from `cache`.
  void serve_all(moql::track_cache& cache) {
    react = [&cache](moql::session& s, const moql::event& e) {
      if (auto* r = std::get_if<moql::subscribe_requested>(&e)) (void)s.serve(r->request, cache);
      if (auto* r = std::get_if<moql::track_requested>(&e)) (void)s.serve(r->request, cache);
      if (auto* r = std::get_if<moql::fetch_requested>(&e)) (void)s.serve(r->request, cache);
    };
  }
  std::uint64_t peer_subscribes(const moql::msg::delivery& want, std::uint64_t id = 0,
                                std::string_view track = "video") {
    return peer_opens(moql::direction::bidi, "02" + wire_hex(moql::msg::subscribe{id, "room", track, want}, ver));
  }
  std::uint64_t peer_fetches(std::uint64_t group, std::uint64_t first = 0, std::optional<std::uint64_t> last = {},
                             std::uint8_t priority = 0) {
    return peer_opens(moql::direction::bidi,
                      "03" + wire_hex(moql::msg::fetch{"room", "video", priority, group, first, last}, ver), true);
  }
};

/// A whole group of text frames, 10 ms apart, from `timestamp`.
inline void put_group(moql::track_cache& cache, std::uint64_t sequence, const std::vector<std::string>& frames,
                      moql::instant now = {}, std::uint64_t timestamp = 0, bool end = true) {
  REQUIRE(cache.begin_group(sequence, now) == moql::errc::ok);
  for (const std::string& f : frames) {
    REQUIRE(cache.append(sequence, timestamp, moql::bytes::copy(f)) == moql::errc::ok);
    timestamp += 10;
  }
  if (end) REQUIRE(cache.end_group(sequence) == moql::errc::ok);
}

/// The groups of `group_started`, in the order of the events.
inline std::vector<std::uint64_t> started_groups(const side& s) {
  std::vector<std::uint64_t> out;
  for (const heard& h : s.all<moql::group_started>()) out.push_back(std::get<moql::group_started>(h.what).group);
  return out;
}
/// All payloads, one '|' after each part.
template <class Part>
std::string payloads(const side& s) {
  std::string out;
  for (const heard& h : s.all<Part>()) out += h.payload + "|";
  return out;
}
/// The ranges of `groups_lost`, as "first-last:how " each.
inline std::string losses(const side& s) {
  std::string out;
  for (const heard& h : s.all<moql::groups_lost>()) {
    const auto& l = std::get<moql::groups_lost>(h.what);
    const char* how = l.how == moql::loss::dropped   ? "dropped"
                      : l.how == moql::loss::skipped ? "skipped"
                                                     : "unaccounted";
    out += std::to_string(l.first) + "-" + std::to_string(l.last) + ":" + how + " ";
  }
  return out;
}

}  // namespace testing
