#pragma once
// A session whose peer is a script and whose transport takes everything at once and only walks the pieces it is given,
// which is what an adapter does at the least.

#include <moql/moql.hpp>

#include "driver.hpp"

namespace bench {

using namespace moql;

[[nodiscard]] constexpr std::string_view protocol_of(version v) { return facts(v).protocol; }

class null_transport : public transport_defaults {
 public:
  open_result open(direction) noexcept {
    ++opened;
    return {transport_status::ok, static_cast<stream_id>(next_ += 4)};
  }
  write_result write(stream_id, std::span<const chunk> pieces, bool fin) noexcept {
    std::size_t n = 0;
    for (const chunk& c : pieces) {
      const std::uint8_t* data = c.data;
      benchmark::DoNotOptimize(data);
      n += c.size;
    }
    written += n;
    fins += fin ? 1 : 0;
    return {transport_status::ok, n};
  }
  void reset(stream_id, std::uint64_t) noexcept { std::abort(); }
  void stop(stream_id, std::uint64_t) noexcept { std::abort(); }
  void close(std::uint64_t, std::string_view) noexcept { std::abort(); }
  [[nodiscard]] std::string_view protocol() const noexcept { return protocol_of(lite06); }

  std::uint64_t written = 0;
  std::uint64_t opened = 0;
  std::uint64_t fins = 0;

 private:
  std::uint64_t next_ = std::uint64_t{1} << 40;  // apart from the ids that the peer's streams have here
};
static_assert(transport<null_transport>);

/// An owner that is never counted, as for a buffer that outlives everything; the calls are made all the same.
inline owner& immortal() {
  static owner o{+[](owner*) noexcept {}, +[](owner*) noexcept {}};
  return o;
}
inline bytes payload_of(std::size_t size) {
  static const std::vector<std::uint8_t> p(65536, 0x5a);
  return bytes::share(byte_view(p).first(size), &immortal());
}

/// A stream's type and its first message.
template <class M>
std::vector<std::uint8_t> opening(std::uint64_t type, const M& m, version v) {
  std::vector<std::uint8_t> out(1 + encoded_size(m, v));
  out[0] = static_cast<std::uint8_t>(type);
  must(encode(m, v, std::span(out).subspan(1)).why == errc::ok);
  return out;
}
constexpr auto type_of_stream(bidi_type t) { return static_cast<std::uint64_t>(t); }
constexpr auto type_of_stream(uni_type t) { return static_cast<std::uint64_t>(t); }

inline std::vector<std::uint8_t> subscribe_message(std::uint64_t id, version v) {
  const msg::subscribe m{.id = id,
                         .broadcast = std::string_view("live/room-1234/alice"),
                         .track = std::string_view("video/1080p"),
                         .want = {.priority = 128, .max_age_ms = 500}};
  return opening(type_of_stream(bidi_type::subscribe), m, v);
}

inline config settings(endpoint side, config c = {}) {
  c.side = side;
  c.caps.subscriptions_max = 8192;
  return c;
}

/// A session, its transport, and a peer that is a script.
struct lone {
  explicit lone(endpoint side, version v, const config& c = {}, memory m = {}) : ver(v), session(settings(side, c), m) {
    must(session.start(protocol_of(v), {}) == errc::ok);
    std::vector<std::uint8_t> setup;
    if (has_setup(v)) {
      setup = opening(type_of_stream(uni_type::setup), msg::setup{}, v);
      receive(next_stream += 4, direction::uni, setup, true);
    }
    settle();
  }
  /// `data` must live until the next events have been heard.
  void receive(std::uint64_t id, direction dir, const std::vector<std::uint8_t>& data, bool fin) {
    session.on_open(static_cast<stream_id>(id), dir, {});
    session.on_data(static_cast<stream_id>(id), bytes::borrow(data), fin, {});
  }
  /// The peer subscribes with `message`; it is served from `cache`.
  std::uint64_t subscribe(const std::vector<std::uint8_t>& message, track_cache& cache) {
    receive(next_stream += 4, direction::bidi, message, false);
    bool is_asked = false;
    while (const auto e = session.next_event())
      if (const auto* r = std::get_if<subscribe_requested>(&*e)) {
        is_asked = true;
        must(session.serve(r->request, cache) == errc::ok);
      }
    must(is_asked);
    return next_stream;
  }
  void settle() {
    while (session.next_event()) {
    }
    pump(session, out, {});
  }
  version ver;
  moql::session session;
  null_transport out;
  std::uint64_t next_stream = 0;
};

}  // namespace bench
