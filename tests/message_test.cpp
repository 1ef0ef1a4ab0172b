// Every message in every version: known bytes, and what no bytes may do.

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "expand.hpp"
#include "hex.hpp"
#include "moql/message/all.hpp"
#include "moql/wire/inspect.hpp"

using namespace moql;
using tests::from_hex;
using tests::to_hex;

namespace {

template <class M>
std::vector<std::uint8_t> bytes_of(const M& m, version v) {
  std::vector<std::uint8_t> out(encoded_size(m, v));
  const encoded e = encode(m, v, out);
  CHECK(e.why == errc::ok);
  CHECK(e.size == out.size());
  return out;
}

/// `hex` is the message as it stands behind its stream type, in every version of `in`.
template <class M>
void known(version_set in, const M& m, std::string_view hex) {
  const std::vector<std::uint8_t> want = from_hex(hex);
  for (const version_facts& v : all_versions) {
    if (!in.has(v.id)) continue;
    INFO(M::name(v.id), " in ", v.name);
    CHECK(to_hex(bytes_of(m, v.id)) == to_hex(want));
    const decoded<M> d = decode<M>(byte_view(want), v.id);
    CHECK(d.why == errc::ok);
    CHECK(d.used == want.size());
    CHECK_MESSAGE(inspect::same_in(d.message, m, v.id), inspect::print(d.message, v.id));
  }
}
template <class M>
errc verdict(version v, std::string_view hex) {
  const std::vector<std::uint8_t> b = from_hex(hex);
  return decode<M>(byte_view(b), v).why;
}

constexpr version_set in_01_02 = before(lite03);
constexpr version_set in_03_04 = only(lite03, lite04);
constexpr version_set in_03_05 = only(lite03, lite04, lite05);
constexpr version_set in_05_06 = since(lite05);

constexpr std::uint64_t hop_7[] = {7};
constexpr std::uint64_t hop_9[] = {9};
constexpr std::uint64_t hops_7_300[] = {7, 300};
constexpr text alice_bob[] = {"alice", "bob"};
constexpr std::uint64_t offer_02_01[] = {0xff0dad02, 0xff0dad01};
constexpr std::uint64_t offer_01[] = {0xff0dad01};

constexpr std::string_view named = "05 0a 726f6f6d2f616c696365 05 766964656f";  // id 5, room/alice, video
std::string subscribe_bytes(std::string_view length, std::string_view rest) {
  return std::string(length) + std::string(named) + std::string(rest);
}

}  // namespace

// ------------------------------------------------------------------------------------------------------ known bytes

TEST_CASE("known bytes: the Announce stream [seed 7.5 a] [seed 7.6 a]") {
  known(only(lite01, lite02, lite03, lite06), msg::announce_request{.prefix = "room"}, "05 04 726f6f6d");
  known(only(lite04, lite05), msg::announce_request{.prefix = "room", .exclude_hop = 300}, "07 04 726f6f6d 412c");
  known(in_01_02, msg::announce_init{.suffixes = alice_bob}, "0b 02 05 616c696365 03 626f62");
  known(in_01_02, msg::announce{.status = msg::announce::ended, .suffix = "bob"}, "05 00 03 626f62");
  known(only(lite03), msg::announce{.status = 1, .suffix = "alice", .hop_count = 2}, "08 01 05 616c696365 02");
  known(only(lite04), msg::announce{.status = 1, .suffix = "alice", .hops = hops_7_300},
        "0b 01 05 616c696365 02 07 412c");
  known(only(lite04), msg::announce{.status = 0, .suffix = "alice"}, "08 00 05 616c696365 00");
  known(in_05_06, msg::announce_ok{.hop = 300, .active_count = 1}, "03 412c 01");
  known(only(lite05), msg::announce{.status = 1, .suffix = "alice", .hops = hop_7}, "09 01 05 616c696365 01 07");
  known(only(lite06), msg::announce_start{.suffix = "alice", .hops = hop_7, .warm = 10, .cold = 12},
        "00 0a 05 616c696365 01 07 0a 0c");
  known(only(lite06), msg::announce_update{.id = 0, .hops = hop_9, .warm = 11, .cold = 13}, "02 05 00 01 09 0b 0d");
  known(only(lite06), msg::announce_end{.id = 0}, "01 01 00");
}

TEST_CASE("known bytes: SUBSCRIBE in its three layouts [seed 7.7 a]") {
  msg::subscribe s{.id = 5, .broadcast = "room/alice", .track = "video", .want = {.priority = 2, .max_age_ms = 500}};
  known(in_01_02, s, subscribe_bytes("13", "02"));
  known(in_03_05, s, subscribe_bytes("18", "02 00 41f4 00 00"));
  s.want.group_start = 10;
  s.want.group_end = 20;
  s.want.frame_start = 3;
  known(only(lite06), s, subscribe_bytes("19", "02 41f4 0a 15 03 00"));
  s.want.ordered = true;
  known(in_03_05, s, subscribe_bytes("18", "02 01 41f4 0b 15"));
}

TEST_CASE("known bytes: SUBSCRIBE_OK in its five layouts [seed 7.8 a]") {
  known(only(lite01), msg::subscribe_ok{.priority = 2}, "01 02");
  known(only(lite02), msg::subscribe_ok{}, "00");
  known(in_03_04, msg::subscribe_ok{.priority = 2, .group_start = 10}, "00 05 02 00 00 0b 00");
  known(in_03_04, msg::subscribe_ok{.group_start = 7}, "00 05 00 00 00 08 00");
  known(in_05_06, msg::subscribe_ok{.group = 10}, "00 01 0a");
  known(in_05_06, msg::subscribe_ok{.group = 8}, "00 01 08");
}

TEST_CASE("known bytes: the end, drops and updates of a subscription [seed 7.9]") {
  known(in_05_06, msg::subscribe_end{.group = 21}, "01 01 15");
  known(in_03_04, msg::subscribe_drop{12, 13, 0}, "01 03 0c 0d 00");
  known(in_05_06, msg::subscribe_drop{12, 13, 0}, "02 03 0c 0d 00");
  known(in_01_02, msg::subscribe_update{.want = {.priority = 9}}, "01 09");
  known(in_03_05, msg::subscribe_update{.want = {.priority = 9, .max_age_ms = 500}}, "06 09 00 41f4 00 00");
  known(only(lite06), msg::subscribe_update{.want = {.priority = 9, .max_age_ms = 500}}, "07 09 41f4 00 00 00 00");
}

TEST_CASE("known bytes: groups, frames and datagrams [seed 9.1 a] [seed 9.2 a]") {
  known(before(lite06), msg::group{.subscribe_id = 5, .sequence = 10}, "02 05 0a");
  known(before(lite06), msg::group{.subscribe_id = 1, .sequence = 7}, "02 01 07");
  known(only(lite06), msg::group{.subscribe_id = 5, .sequence = 10, .frame_start = 3}, "03 05 0a 03");
  known(only(lite06), msg::group{.subscribe_id = 1, .sequence = 8}, "03 01 08 00");
  known(before(lite05), msg::frame{.size = 2}, "02");
  // 90000, then +3000, then -1500
  known(in_05_06, msg::frame{.timestamp_delta = 90000, .size = 2}, "8002bf20 02");
  known(in_05_06, msg::frame{.timestamp_delta = 3000, .size = 0}, "5770 00");
  known(in_05_06, msg::frame{.timestamp_delta = -1500, .size = 1}, "4bb7 01");
  const std::vector<std::uint8_t> hi = from_hex("6869");
  known(in_05_06, msg::datagram{5, 11, 93000, byte_view(hi)}, "05 0b 80016b48 6869");
}

TEST_CASE("known bytes: setup, tracks, fetches, probes, goaway") {
  known(in_05_06, msg::setup{}, "01 00");
  known(in_05_06, msg::setup{.probe = 1, .path = text("/room?jwt=x"), .role = 2, .hop = 300},
        "18 04 01 01 01 02 0b 2f726f6f6d3f6a77743d78 03 01 02 05 02 412c");
  known(in_05_06, msg::track{"room/alice", "video"}, "11 0a 726f6f6d2f616c696365 05 766964656f");
  known(only(lite05), msg::track_info{.priority = 1, .max_age_ms = 5000, .timescale = 90000}, "08 01 00 5388 80015f90");
  known(only(lite06), msg::track_info{.priority = 1, .max_age_ms = 5000, .timescale = 90000}, "07 01 5388 80015f90");
  msg::fetch f{.broadcast = "room/alice", .track = "video", .priority = 2, .group = 10};
  known(in_03_05, f, "13 0a 726f6f6d2f616c696365 05 766964656f 02 0a");
  f.frame_start = 3;
  f.frame_end = 7;
  known(only(lite06), f, "15 0a 726f6f6d2f616c696365 05 766964656f 02 0a 03 08");
  known(only(lite03), msg::probe{.bitrate = 4'000'000}, "04 803d0900");
  known(since(lite04), msg::probe{.bitrate = 4'000'000}, "05 803d0900 00");
  known(since(lite04), msg::probe{.bitrate = 3'500'000, .rtt_ms = 25}, "05 803567e0 19");
  known(since(lite04), msg::goaway{"https://b.example/x"}, "14 13 68747470733a2f2f622e6578616d706c652f78");
  known(since(lite04), msg::goaway{}, "01 00");
}

TEST_CASE("Q-04 known bytes: opening a session in-band, by the text and as deployed [seed 7.2 a] [seed 7.3 a]") {
  known(in_01_02, msg::session_client{.versions = offer_02_01}, "12 02 c0000000ff0dad02 c0000000ff0dad01 00");
  known(in_01_02, msg::session_client{.versions = offer_01}, "0a 01 c0000000ff0dad01 00");
  known(in_01_02, msg::session_server{.selected = 0xff0dad01}, "09 c0000000ff0dad01 00");
  known(in_01_02, msg::client_setup{.versions = offer_02_01}, "0012 02 c0000000ff0dad02 c0000000ff0dad01 00");
  known(in_01_02, msg::server_setup{.selected = 0xff0dad02}, "0009 c0000000ff0dad02 00");
}

TEST_CASE("R-005 known bytes: SESSION_UPDATE [seed 7.4 a]") {
  known(in_01_02, msg::session_update{.bitrate = 2'500'000}, "04 802625a0");
}

TEST_CASE("stream types: the table of the drafts, and nothing else") {
  const auto in = [](std::uint64_t code, bool bidi) {
    std::string s;
    for (const version_facts& v : all_versions)
      if (find_stream_type(code, bidi, v.id) != nullptr) s += v.name[1];
    return s;
  };
  CHECK(in(0x0, true) == "12");
  CHECK(in(0x20, true) == "12");
  CHECK(in(0x1, true) == "123456");
  CHECK(in(0x2, true) == "123456");
  CHECK(in(0x3, true) == "3456");
  CHECK(in(0x4, true) == "3456");
  CHECK(in(0x5, true) == "456");
  CHECK(in(0x6, true) == "56");
  CHECK(in(0x0, false) == "123456");
  CHECK(in(0x1, false) == "56");
  for (const std::uint64_t code : {0x2ull, 0x20ull, 0x7ull, 0x40ull, wire::varint_max + 0ull})
    CHECK(in(code, false).empty());
  for (const std::uint64_t code : {0x7ull, 0x21ull, 0x40ull, 0x41ull}) CHECK(in(code, true).empty());
}

// ------------------------------------------------------------------------------------ every message, every version

namespace {

/// Runs `f(message type, version)` for all that exist; a failure names both and the seed.
template <class F>
struct each_message {
  F f;
  template <class M>
  void operator()() {
    for (const version_facts& v : all_versions)
      if (M::in.has(v.id)) {
        INFO(M::name(v.id), " in ", v.name);
        f(std::type_identity<M>{}, v.id);
      }
  }
};
template <class F>
void for_every_message(F f) {
  each_message<F> e{f};
  msg::for_each_message(e);
}
/// N random values of M, each with its bytes.
template <class M>
void for_values(version v, int n, std::uint64_t seed, auto&& f) {
  std::mt19937_64 rng(seed * 8 + static_cast<std::uint64_t>(v));
  for (int i = 0; i < n; ++i) {
    inspect::arena memory;
    const M m = inspect::generate<M>(rng, v, memory);
    CAPTURE(i);
    CAPTURE(inspect::print(m, v));
    f(m, bytes_of(m, v));
  }
}

template <class M>
constexpr bool ends_in_rest = std::is_same_v<M, msg::datagram>;
template <class M>
constexpr bool has_length = framing_of<M>() != framing::bare;

template <class M>
std::size_t head_of(const M& m, version v) {
  const measured at = measure(m, v);
  return at.size - at.body;
}
/// A body with the Type and length that fit it.
template <class M>
std::vector<std::uint8_t> framed(const std::vector<std::uint8_t>& body, version v) {
  std::vector<std::uint8_t> out;
  inspect::expander head{v, 1};
  if (const auto t = type_of<M>(v)) head.varint(*t);
  if (framing_of<M>() == framing::length) head.varint(body.size());
  if (framing_of<M>() == framing::u16) {
    head.out.push_back(static_cast<std::uint8_t>(body.size() >> 8));
    head.out.push_back(static_cast<std::uint8_t>(body.size()));
  }
  out = head.out;
  out.insert(out.end(), body.begin(), body.end());
  return out;
}
/// The messages of 01 and 02 whose last byte is a priority that the texts write as a varint: with one byte
/// more, 0x40 becomes the first half of a two-byte varint.
template <class M>
bool is_varint_priority(const M&, version v, const std::vector<std::uint8_t>& body) {
  constexpr bool one_of = std::is_same_v<M, msg::subscribe> || std::is_same_v<M, msg::subscribe_update> ||
                          std::is_same_v<M, msg::subscribe_ok>;
  return one_of && before(lite03).has(v) && body.size() >= 2 && body[body.size() - 2] == 0x40;
}

}  // namespace

TEST_CASE("every message in every version: a random value comes back, in exactly the bytes that were measured") {
  for_every_message([]<class M>(std::type_identity<M>, version v) {
    for_values<M>(v, 300, 1, [&](const M& m, const std::vector<std::uint8_t>& b) {
      const decoded<M> d = decode<M>(byte_view(b), v);
      REQUIRE(d.why == errc::ok);
      CHECK(d.used == b.size());
      CHECK(inspect::same_in(d.message, m, v));
      CHECK(bytes_of(d.message, v) == b);
      // What follows on the stream is not touched.
      if constexpr (!ends_in_rest<M>) {
        std::vector<std::uint8_t> more = b;
        more.insert(more.end(), {0xff, 0x00, 0xff});
        const decoded<M> e = decode<M>(byte_view(more), v);
        CHECK(e.why == errc::ok);
        CHECK(e.used == b.size());
      }
    });
  });
}

TEST_CASE("every message in every version: the fields found by name fill the body") {
  for_every_message([]<class M>(std::type_identity<M>, version v) {
    for_values<M>(v, 50, 2, [&](const M& m, const std::vector<std::uint8_t>& b) {
      std::size_t end = 0;
      for (const inspect::field_offset& f : inspect::offsets(m, v)) {
        CHECK(f.offset == end);
        CHECK_FALSE(f.name.empty());
        end += f.size;
      }
      CHECK(end == b.size() - head_of(m, v));
    });
  });
}

TEST_CASE("R-020 every message in every version: every proper prefix needs more and takes nothing, at every split") {
  for_every_message([]<class M>(std::type_identity<M>, version v) {
    for_values<M>(v, 60, 3, [&](const M& m, const std::vector<std::uint8_t>& b) {
      for (std::size_t cut = 0; cut < b.size(); ++cut) {
        // An exact allocation, so that a read past the cut is seen by a sanitizer.
        const std::vector<std::uint8_t> part(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(cut));
        const decoded<M> d = decode<M>(byte_view(part), v);
        if (ends_in_rest<M> && cut >= b.size() - inspect::offsets(m, v).back().size) {
          CHECK(d.why == errc::ok);  // the payload of a datagram ends where the datagram does
        } else {
          CHECK(d.why == errc::need_more);
          CHECK(d.used == 0);
        }
      }
      CHECK(decode<M>(byte_view(b), v).why == errc::ok);
    });
  });
}

TEST_CASE("R-018 R-021 every message in every version: a cut body is an error and never 'need more'") {
  for_every_message([]<class M>(std::type_identity<M>, version v) {
    if constexpr (has_length<M>)
      for_values<M>(v, 60, 4, [&](const M& m, const std::vector<std::uint8_t>& b) {
        for (std::size_t cut = head_of(m, v); cut < b.size(); ++cut) {
          const std::vector<std::uint8_t> body(b.begin() + static_cast<std::ptrdiff_t>(head_of(m, v)),
                                               b.begin() + static_cast<std::ptrdiff_t>(cut));
          const errc alone = [&] {
            M out{};
            return decode_body(byte_view(body), v, out);
          }();
          const errc whole = decode<M>(byte_view(framed<M>(body, v)), v).why;
          CHECK(alone == whole);
          CHECK(alone != errc::need_more);
          CHECK(alone != errc::ok);
          CHECK(scope_of(alone, v) == scope::session);
        }
      });
  });
}

TEST_CASE(
    "R-018 every message in every version: a byte too many inside the length is an error [seed 9.1 b] [seed 7.2 d]") {
  for_every_message([]<class M>(std::type_identity<M>, version v) {
    if constexpr (has_length<M>)
      for_values<M>(v, 100, 5, [&](const M& m, const std::vector<std::uint8_t>& b) {
        for (const int extra : {0x00, 0x01, 0x3f, 0x40, 0x80, 0xff}) {
          std::vector<std::uint8_t> body(b.begin() + static_cast<std::ptrdiff_t>(head_of(m, v)), b.end());
          body.push_back(static_cast<std::uint8_t>(extra));
          if (framing_of<M>() == framing::u16 && body.size() > 0xffff) continue;
          const errc why = decode<M>(byte_view(framed<M>(body, v)), v).why;
          CHECK(why != errc::need_more);
          if (!is_varint_priority(m, v, body)) CHECK(why != errc::ok);
        }
      });
  });
}

TEST_CASE(
    "every message in every version: no single flipped bit breaks the decoder, and what it accepts is canonical "
    "again") {
  std::size_t accepted = 0;
  for_every_message([&]<class M>(std::type_identity<M>, version v) {
    for_values<M>(v, 40, 6, [&](const M&, const std::vector<std::uint8_t>& b) {
      if (b.size() > 200) return;
      std::vector<std::uint8_t> wrong = b;
      for (std::size_t bit = 0; bit < b.size() * 8; ++bit) {
        wrong[bit / 8] = static_cast<std::uint8_t>(wrong[bit / 8] ^ 1u << bit % 8);
        const decoded<M> d = decode<M>(byte_view(wrong), v);
        if (d.why == errc::ok) {
          ++accepted;
          const std::vector<std::uint8_t> again = bytes_of(d.message, v);
          const decoded<M> e = decode<M>(byte_view(again), v);
          REQUIRE(e.why == errc::ok);
          CHECK(inspect::same_in(d.message, e.message, v));
          CHECK(again.size() <= d.used);  // minimal, so never longer than what came
        }
        wrong[bit / 8] = b[bit / 8];
      }
    });
  });
  CHECK(accepted > 10'000);  // the test would be empty otherwise
}

TEST_CASE("random bytes: no decoder crashes, and a whole body never needs more") {
  for_every_message([]<class M>(std::type_identity<M>, version v) {
    std::mt19937_64 rng(7);
    for (int i = 0; i < 2000; ++i) {
      std::vector<std::uint8_t> b(rng() % 40);
      for (std::uint8_t& x : b) x = static_cast<std::uint8_t>(rng() % 4 == 0 ? rng() : rng() % 8);
      M m{};
      const errc why = decode_body(byte_view(b), v, m);
      CHECK(why != errc::need_more);
      if (why == errc::ok) CHECK(encoded_size(m, v) != 0);
    }
  });
}

TEST_CASE("Q-03 every message in every version: non-minimal varints everywhere say the same") {
  for_every_message([]<class M>(std::type_identity<M>, version v) {
    for_values<M>(v, 60, 8, [&](const M& m, const std::vector<std::uint8_t>& b) {
      for (const std::size_t width : {1u, 2u, 4u, 8u}) {
        const std::vector<std::uint8_t> wide = inspect::expand(m, v, width);
        if (wide.empty()) continue;  // the 16-bit length of CLIENT_SETUP is full
        if (width > 1 || std::is_same_v<M, msg::subscribe> || std::is_same_v<M, msg::subscribe_update> ||
            std::is_same_v<M, msg::subscribe_ok>)
          CHECK(wide.size() >= b.size());
        else
          CHECK(wide == b);
        const decoded<M> d = decode<M>(byte_view(wide), v);
        REQUIRE(d.why == errc::ok);
        CHECK(d.used == wide.size());
        CHECK(inspect::same_in(d.message, m, v));
      }
    });
  });
}

namespace {
struct absent_elsewhere {
  template <class M>
  void operator()() const {
    for (const version_facts& v : all_versions) {
      if (M::in.has(v.id)) continue;
      std::uint8_t b[64]{};
      M m{};
      CHECK(decode<M>(byte_view(b), v.id).why == errc::not_in_version);
      CHECK(decode_body(byte_view(b), v.id, m) == errc::not_in_version);
      CHECK(encode(m, v.id, b).why == errc::not_in_version);
    }
  }
};
}  // namespace

TEST_CASE("a message that a version does not have is neither read nor written there") {
  msg::for_each_message(absent_elsewhere{});
}

TEST_CASE("R-097 messages told apart by a Type refuse every other Type, and take theirs in any width [seed 7.8]") {
  for_every_message([]<class M>(std::type_identity<M>, version v) {
    if (const auto t = type_of<M>(v)) {
      for (std::uint64_t other = 0; other < 70; ++other) {
        if (other == *t) continue;
        inspect::expander e{v, 1};
        e.varint(other);
        e.varint(0);
        CHECK(decode<M>(byte_view(e.out), v).why == errc::unknown_message);
      }
    }
  });
  CHECK(verdict<msg::announce_end>(lite06, "4001 01 03") == errc::ok);
  CHECK(verdict<msg::announce_end>(lite06, "c000000000000001 01 03") == errc::ok);
}

// ------------------------------------------------------------------------------------------------ huge lengths, counts

namespace {
// Everything below is evaluated by the compiler, where taking memory that is not given back is not allowed and malloc
// cannot be called at all: that these compile is the proof that no length or count makes a decoder allocate.
template <class M>
constexpr bool huge_length_waits() {
  for (const version_facts& v : all_versions) {
    if (!M::in.has(v.id) || framing_of<M>() != framing::length) continue;
    std::uint8_t b[16]{};
    std::size_t n = 0;
    if (const auto t = type_of<M>(v.id)) b[n++] = static_cast<std::uint8_t>(*t);
    for (int i = 0; i < 8; ++i) b[n++] = 0xff;
    const message_head h = read_head({b, n}, type_of<M>(v.id).has_value(), framing::length);
    if (h.why != errc::ok || h.body_size != wire::varint_max || h.size != n) return false;
    const decoded<M> d = decode<M>({b, n}, v.id);
    if (d.why != errc::need_more || d.used != 0) return false;
  }
  return true;
}
struct all_wait {
  bool good = true;
  template <class M>
  constexpr void operator()() {
    good = good && huge_length_waits<M>();
  }
};
constexpr bool every_decoder_waits() {
  all_wait w;
  msg::for_each_message(w);
  return w.good;
}
static_assert(every_decoder_waits());

// A count of 10^6 (80 0f 42 40) and three bytes.
template <class M, std::size_t N>
constexpr errc body_verdict(version v, const std::uint8_t (&b)[N]) {
  M m{};
  return decode_body(byte_view(b, N), v, m);
}
static_assert(body_verdict<msg::announce_start>(lite06, {0, 0x80, 0x0f, 0x42, 0x40, 1, 2, 3}) == errc::truncated);
static_assert(body_verdict<msg::announce_update>(lite06, {0, 0x80, 0x0f, 0x42, 0x40, 1, 2, 3}) == errc::truncated);
static_assert(body_verdict<msg::announce>(lite05, {1, 0, 0x80, 0x0f, 0x42, 0x40, 1, 2, 3}) == errc::truncated);
static_assert(body_verdict<msg::announce_init>(lite02, {0x80, 0x0f, 0x42, 0x40, 1, 2, 3}) == errc::truncated);
static_assert(body_verdict<msg::session_client>(lite01, {0x80, 0x0f, 0x42, 0x40, 1, 2, 3}) == errc::truncated);
static_assert(body_verdict<msg::session_server>(lite01, {1, 0x80, 0x0f, 0x42, 0x40, 1, 2, 3}) == errc::truncated);
static_assert(body_verdict<msg::client_setup>(lite02, {0x80, 0x0f, 0x42, 0x40, 1, 2, 3}) == errc::truncated);
static_assert(body_verdict<msg::server_setup>(lite02, {1, 0x80, 0x0f, 0x42, 0x40, 1, 2, 3}) == errc::truncated);
static_assert(body_verdict<msg::setup>(lite06, {0x80, 0x0f, 0x42, 0x40, 1, 2, 3}) == errc::truncated);
}  // namespace

TEST_CASE("a length prefix of 2^62-1 takes no memory in any decoder [seed 10.1 a]") {
  // The message types that carry a length, as a table of what the first bytes already say.
  std::size_t decoders = 0;
  for_every_message([&]<class M>(std::type_identity<M>, version v) {
    if (framing_of<M>() != framing::length) return;
    ++decoders;
    std::vector<std::uint8_t> b;
    if (const auto t = type_of<M>(v)) b.push_back(static_cast<std::uint8_t>(*t));
    for (int i = 0; i < 8; ++i) b.push_back(0xff);
    const message_head h = read_head(byte_view(b), type_of<M>(v).has_value(), framing::length);
    CHECK(h.body_size > limits{}.message_bytes_max);
    CHECK(decode<M>(byte_view(b), v).why == errc::need_more);
  });
  CHECK(decoders >= 10);
  CHECK(every_decoder_waits());
}

TEST_CASE("a count of 10^6 in a short body is an error in every list [seed 7.6 b] [seed 7.2 b] [seed 10.1 b]") {
  CHECK(verdict<msg::announce_start>(lite06, "00 08 00 800f4240 010203") == errc::truncated);
  CHECK(verdict<msg::announce>(lite04, "09 01 00 800f4240 010203") == errc::truncated);
  CHECK(verdict<msg::announce_init>(lite01, "07 800f4240 010203") == errc::truncated);
  CHECK(verdict<msg::session_client>(lite02, "07 800f4240 010203") == errc::truncated);
  CHECK(verdict<msg::setup>(lite05, "07 800f4240 010203") == errc::truncated);
}

// ------------------------------------------------------------------------------------------------- rows of the seed

TEST_CASE("zero offered versions is a legal message; the session finds none in common [seed 7.2 c]") {
  CHECK(verdict<msg::session_client>(lite02, "02 00 00") == errc::ok);
  const std::vector<std::uint8_t> b = from_hex("00 00");
  msg::session_client m;
  REQUIRE(decode_body(byte_view(b), lite02, m) == errc::ok);
  CHECK(m.versions.empty());
  CHECK(facts(errc::no_common_version).on_session == session_code::version_negotiation_failed);
}

TEST_CASE("the client's order of preference is kept, unknown numbers too [seed 7.2] [seed 7.4.1 c]") {
  const std::vector<std::uint8_t> b = from_hex("03 c0000000ff00000e c0000000ff0dad02 05 00");
  msg::session_client m;
  REQUIRE(decode_body(byte_view(b), lite02, m) == errc::ok);
  std::vector<std::uint64_t> offered;
  for (const std::uint64_t n : m.versions) offered.push_back(n);
  CHECK(offered == std::vector<std::uint64_t>{0xff00000e, 0xff0dad02, 5});
}

TEST_CASE(
    "a duplicated extension is refused in SESSION_CLIENT, SESSION_SERVER and both SETUPs of 01 and 02 [seed 7.3 c]") {
  CHECK(verdict<msg::session_server>(lite01, "0e c0000000ff0dad01 02 0500 05 01aa") == errc::duplicate_parameter);
  CHECK(verdict<msg::session_client>(lite01, "07 01 01 02 0500 0500") == errc::duplicate_parameter);
  CHECK(verdict<msg::server_setup>(lite02, "0006 01 02 0205 0206") == errc::duplicate_parameter);
  CHECK(verdict<msg::client_setup>(lite02, "0007 01 01 02 0205 0206") == errc::duplicate_parameter);
}

TEST_CASE("an empty prefix is a prefix like any other [seed 7.5 b]") {
  known(only(lite01, lite02, lite03, lite06), msg::announce_request{}, "01 00");
  known(only(lite04, lite05), msg::announce_request{}, "02 00 00");
}

TEST_CASE("R-018 a wrong length of ANNOUNCE_REQUEST closes the session [seed 7.5 d]") {
  const errc why = verdict<msg::announce_request>(lite06, "04 00 6c3164");
  CHECK(why == errc::trailing);
  CHECK(scope_of(why, lite06) == scope::session);
  CHECK(facts(why).on_session == session_code::protocol_violation);
}

TEST_CASE("R-075 a non-zero hop that comes twice closes the session on 06, a repeated 0 is fine [seed 7.6 c]") {
  CHECK(verdict<msg::announce_start>(lite06, "00 07 00 03 07 09 07 00 00") == errc::duplicate_hop);
  CHECK(verdict<msg::announce_update>(lite06, "02 07 00 02 4007 07 00 00") == errc::duplicate_hop);
  CHECK(verdict<msg::announce_start>(lite06, "00 07 00 03 00 09 00 00 00") == errc::ok);
  CHECK(scope_of(errc::duplicate_hop, lite06) == scope::session);
  // Before 06 no text forbids it.
  CHECK(verdict<msg::announce>(lite05, "05 01 00 02 07 07") == errc::ok);
  CHECK(verdict<msg::announce>(lite04, "05 01 00 02 07 07") == errc::ok);
}

TEST_CASE("R-055 an announce status is 0 or 1; deployed 05 also says 2 [seed 7.6 d]") {
  CHECK(verdict<msg::announce>(lite01, "02 02 00") == errc::bad_status);
  CHECK(verdict<msg::announce>(lite02, "02 02 00") == errc::bad_status);
  CHECK(verdict<msg::announce>(lite03, "03 02 00 00") == errc::bad_status);
  CHECK(verdict<msg::announce>(lite04, "03 02 00 00") == errc::bad_status);
  CHECK(verdict<msg::announce>(lite05, "03 02 00 00") == errc::ok);
  CHECK(verdict<msg::announce>(lite05, "03 03 00 00") == errc::bad_status);
  CHECK(verdict<msg::announce>(lite01, "03 4001 00") == errc::ok);  // the texts say varint
  CHECK(scope_of(errc::bad_status, lite04) == scope::stream);
}

TEST_CASE("R-057 a hop count that does not match its hops is an error") {
  CHECK(verdict<msg::announce>(lite04, "05 01 00 01 07 07") == errc::trailing);
  CHECK(verdict<msg::announce>(lite04, "04 01 00 02 07") == errc::truncated);
  CHECK(verdict<msg::announce_start>(lite06, "00 05 00 02 07 09 01") == errc::truncated);
}

TEST_CASE("group 0 as the start is not 'latest' on 03 to 05, and is a floor of nothing on 06 [seed 7.7 b]") {
  msg::subscribe s{.id = 5, .broadcast = "room/alice", .track = "video", .want = {.group_start = 0}};
  known(in_03_05, s, subscribe_bytes("17", "00 00 00 01 00"));
  known(only(lite06), s, subscribe_bytes("18", "00 00 00 00 00 00"));
  s.want.group_start.reset();
  known(in_03_05, s, subscribe_bytes("17", "00 00 00 00 00"));
  known(only(lite06), s, subscribe_bytes("18", "00 00 00 00 00 00"));
}

TEST_CASE("R-110 06: a frame end without a group end resets the stream, not the session [seed 7.7 c]") {
  const errc why = verdict<msg::subscribe>(lite06, subscribe_bytes("18", "00 00 00 00 00 02"));
  CHECK(why == errc::bad_frame_bounds);
  CHECK(scope_of(why, lite06) == scope::stream);
  CHECK(verdict<msg::subscribe>(lite06, subscribe_bytes("18", "00 00 00 01 00 02")) == errc::ok);
  CHECK(verdict<msg::subscribe_update>(lite06, "06 00 00 00 00 00 01") == errc::bad_frame_bounds);
  std::uint8_t out[64];
  CHECK(encode(msg::subscribe_update{.want = {.frame_end = 0}}, lite06, out).why == errc::bad_argument);
  CHECK(encode(msg::subscribe_update{.want = {.frame_end = 0}}, lite05, out).why == errc::ok);
}

TEST_CASE("the largest numbers travel, and one more is an error of the caller, not a wrap [seed 7.7 d] [seed 9.1 d]") {
  msg::subscribe s{.id = wire::varint_max, .broadcast = "b", .track = "t"};
  s.want.max_age_ms = wire::varint_max;
  s.want.group_start = s.want.group_end = wire::varint_max - 1;
  std::uint8_t out[64];
  for (const version v : {lite03, lite04, lite05, lite06}) CHECK(encode(s, v, out).why == errc::ok);
  s.want.group_start = wire::varint_max;
  for (const version v : {lite03, lite04, lite05}) CHECK(encode(s, v, out).why == errc::bad_argument);
  CHECK(encode(s, lite06, out).why == errc::ok);
  s.want.group_start = wire::varint_max + 1;
  CHECK(encode(s, lite06, out).why == errc::bad_argument);
  known(only(lite06), msg::group{wire::varint_max, wire::varint_max, wire::varint_max},
        "18 ffffffffffffffff ffffffffffffffff ffffffffffffffff");
  known(before(lite06), msg::group{wire::varint_max, wire::varint_max, 0}, "10 ffffffffffffffff ffffffffffffffff");
}

TEST_CASE("R-098 06: a second SUBSCRIBE_OK has the same bytes, so telling it apart is the stream's work [seed 7.8 d]") {
  CHECK(scope_of(errc::second_ok, lite06) == scope::stream);
  known(in_03_04, msg::subscribe_ok{.priority = 1, .ordered = true, .max_age_ms = 2, .group_start = 3, .group_end = 4},
        "00 05 01 01 02 04 05");
}

TEST_CASE("twenty updates in one buffer are read one after the other [seed 7.9 c]") {
  std::vector<std::uint8_t> all;
  for (std::uint8_t i = 0; i < 20; ++i) {
    const auto b = bytes_of(msg::subscribe_update{.want = {.priority = i, .group_end = i}}, lite05);
    all.insert(all.end(), b.begin(), b.end());
  }
  byte_view rest(all);
  for (std::uint8_t i = 0; i < 20; ++i) {
    const auto d = decode<msg::subscribe_update>(rest, lite05);
    REQUIRE(d.why == errc::ok);
    CHECK(d.message.want.priority == i);
    CHECK(d.message.want.group_end == i);
    rest = rest.subspan(d.used);
  }
  CHECK(rest.empty());
}

TEST_CASE("the bounds of an update may shrink or grow: no rule of the message forbids it [seed 7.9 b]") {
  CHECK(verdict<msg::subscribe_update>(lite05, "05 00 00 00 0b 05") ==
        errc::ok);  // from 10 to 4: judged with the stream
  CHECK(verdict<msg::subscribe_update>(lite06, "06 00 00 0a 05 00 00") == errc::ok);
}

TEST_CASE("R-130 a fetch whose frames end before they start resets its stream") {
  CHECK(verdict<msg::fetch>(lite06, "08 01 61 01 74 00 0a 05 05") == errc::bad_fetch_bounds);
  CHECK(verdict<msg::fetch>(lite06, "08 01 61 01 74 00 0a 05 06") == errc::ok);
  CHECK(verdict<msg::fetch>(lite06, "08 01 61 01 74 00 0a 05 00") == errc::ok);
  CHECK(scope_of(errc::bad_fetch_bounds, lite06) == scope::stream);
}

TEST_CASE("R-120 a timescale of 0 resets its stream") {
  CHECK(verdict<msg::track_info>(lite06, "03 00 00 00") == errc::zero_timescale);
  CHECK(verdict<msg::track_info>(lite05, "04 00 00 00 00") == errc::zero_timescale);
  CHECK(scope_of(errc::zero_timescale, lite06) == scope::stream);
}

TEST_CASE("R-161 06: a GOAWAY URI of 8192 bytes is the longest") {
  for (const std::size_t n : {std::size_t{8191}, std::size_t{8192}, std::size_t{8193}}) {
    const std::string uri(n, 'u');
    std::vector<std::uint8_t> out(n + 16);
    CHECK(encode(msg::goaway{.uri = uri}, lite06, out).why == (n <= 8192 ? errc::ok : errc::bad_argument));
    const encoded old = encode(msg::goaway{.uri = uri}, lite05, out);
    CHECK(old.why == errc::ok);
    CHECK(decode<msg::goaway>({out.data(), old.size}, lite06).why == (n <= 8192 ? errc::ok : errc::uri_too_long));
    CHECK(decode<msg::goaway>({out.data(), old.size}, lite04).why == errc::ok);
  }
}

TEST_CASE("R-142 timestamps are deltas from the frame before: 90000, 93000, 91500 [seed 9.2 a]") {
  const std::vector<std::uint8_t> stream = from_hex("8002bf20 02 6869  5770 00  4bb7 01 78");
  byte_view rest(stream);
  std::int64_t now = 0;
  std::vector<std::int64_t> times;
  std::string payloads;
  while (!rest.empty()) {
    const auto d = decode<msg::frame>(rest, lite06);
    REQUIRE(d.why == errc::ok);
    now += d.message.timestamp_delta;
    times.push_back(now);
    const byte_view payload = rest.subspan(d.used, static_cast<std::size_t>(d.message.size));
    payloads += text::of(payload.data(), payload.size()).view();
    payloads += '|';
    rest = rest.subspan(d.used + payload.size());
  }
  CHECK(times == std::vector<std::int64_t>{90000, 93000, 91500});
  CHECK(payloads == "hi||x|");
}

TEST_CASE("R-144 a datagram of 1200 bytes is whole; what is longer is the session's to drop [seed 9.2 b]") {
  const std::vector<std::uint8_t> payload(datagram_bytes_max - 3, 1);
  CHECK(encoded_size(msg::datagram{1, 2, 3, byte_view(payload)}, lite06) == datagram_bytes_max);
  const auto b = bytes_of(msg::datagram{1, 2, 3, byte_view(payload)}, lite06);
  const auto d = decode<msg::datagram>(byte_view(b), lite06);
  CHECK(d.why == errc::ok);
  CHECK(d.message.payload.size() == payload.size());
}
