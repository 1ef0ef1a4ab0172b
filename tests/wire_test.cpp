// The wire layer: integers, the kinds of fields, lists, parameters, heads of messages.

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <string>
#include <vector>

#include "expand.hpp"
#include "hex.hpp"
#include "moql/message/all.hpp"
#include "moql/wire/inspect.hpp"

using namespace moql;
using tests::from_hex;
using tests::to_hex;

namespace {

wire::reader reading(const std::vector<std::uint8_t>& b) { return {b.data(), b.data() + b.size(), {}}; }

struct varint_row {
  std::uint64_t value;
  std::string_view hex;
};
constexpr varint_row varint_rows[] = {
    {0, "00"},
    {1, "01"},
    {63, "3f"},
    {64, "4040"},
    {300, "412c"},
    {16383, "7fff"},
    {16384, "80004000"},
    {(1u << 30) - 1, "bfffffff"},
    {1u << 30, "c000000040000000"},
    {(1ull << 53) - 1, "c01fffffffffffff"},
    {1ull << 53, "c020000000000000"},
    {0xff0dad06, "c0000000ff0dad06"},
    {wire::varint_max, "ffffffffffffffff"},
    // RFC 9000 appendix A.1
    {151288809941952652, "c2197c5eff14e88c"},
    {494878333, "9d7f3e7d"},
    {15293, "7bbd"},
    {37, "25"},
};

// Both ways to read a varint must agree in everything.
void both(const std::vector<std::uint8_t>& b, bool good, std::uint64_t value) {
  wire::reader a = reading(b);
  wire::reader h = reading(b);
  std::uint64_t x = 0;
  std::uint64_t y = 0;
  CHECK(wire::get_varint(a, x) == good);
  CHECK(wire::get_varint_hot(h, y) == good);
  CHECK(a.p == h.p);
  CHECK(a.why == h.why);
  if (good) {
    CHECK(x == value);
    CHECK(y == value);
  } else {
    CHECK(a.why == errc::truncated);
    CHECK(a.p == b.data());
  }
}

template <class Kind, class T>
std::string put(Kind, const T& v) {
  std::vector<std::uint8_t> out(Kind::size(v));
  wire::writer w{out.data()};
  Kind::put(w, v);
  CHECK(w.p == out.data() + out.size());
  return to_hex(out);
}
template <class Kind, class T>
errc get(Kind, std::string_view hex, T& v, std::size_t* left = nullptr) {
  static std::vector<std::vector<std::uint8_t>> kept;  // views in `v` borrow it
  kept.push_back(from_hex(hex));
  wire::reader r = reading(kept.back());
  const bool good = Kind::get(r, v);
  CHECK(good == (r.why == errc::ok));
  if (left != nullptr) *left = r.left();
  return r.why;
}

template <std::size_t N>
struct fixed {
  std::array<std::uint8_t, N> bytes{};
  std::size_t size{};
  errc why{};
  [[nodiscard]] constexpr byte_view view() const { return {bytes.data(), size}; }
};
template <class M>
constexpr fixed<64> encoded_as(const M& m, version v) {
  fixed<64> f;
  const encoded e = encode(m, v, f.bytes);
  f.size = e.size;
  f.why = e.why;
  return f;
}
template <std::size_t N>
constexpr bool is(const fixed<64>& f, const std::uint8_t (&want)[N]) {
  if (f.why != errc::ok || f.size != N) return false;
  for (std::size_t i = 0; i < N; ++i)
    if (f.bytes[i] != want[i]) return false;
  return true;
}
constexpr std::uint64_t one_hop[] = {7};

// Answers that are known are known to the compiler. An encoder that changes does not compile here.
static_assert(is(encoded_as(msg::announce_request{.prefix = "room"}, lite06), {0x05, 0x04, 'r', 'o', 'o', 'm'}));
static_assert(is(encoded_as(msg::announce_request{.prefix = "room", .exclude_hop = 300}, lite04),
                 {0x07, 0x04, 'r', 'o', 'o', 'm', 0x41, 0x2c}));
static_assert(is(encoded_as(msg::announce_start{.suffix = "alice", .hops = one_hop, .warm = 10, .cold = 12}, lite06),
                 {0x00, 0x0a, 0x05, 'a', 'l', 'i', 'c', 'e', 0x01, 0x07, 0x0a, 0x0c}));
static_assert(is(encoded_as(msg::subscribe_ok{.priority = 2}, lite01), {0x01, 0x02}));
static_assert(is(encoded_as(msg::subscribe_ok{}, lite02), {0x00}));
static_assert(is(encoded_as(msg::subscribe_ok{.priority = 2, .group_start = 10}, lite04),
                 {0x00, 0x05, 2, 0, 0, 0x0b, 0}));
static_assert(is(encoded_as(msg::subscribe_ok{.group = 10}, lite06), {0x00, 0x01, 0x0a}));
static_assert(is(encoded_as(msg::subscribe_drop{12, 13, 0}, lite03), {0x01, 0x03, 0x0c, 0x0d, 0x00}));
static_assert(is(encoded_as(msg::subscribe_drop{12, 13, 0}, lite05), {0x02, 0x03, 0x0c, 0x0d, 0x00}));
static_assert(is(encoded_as(msg::setup{.probe = 1, .hop = 300}, lite06),
                 {0x08, 0x02, 0x01, 0x01, 0x01, 0x05, 0x02, 0x41, 0x2c}));
static_assert(is(encoded_as(msg::frame{3000, 2}, lite05), {0x57, 0x70, 0x02}));
static_assert(encoded_as(msg::setup{}, lite04).why == errc::not_in_version);
static_assert(encoded_as(msg::probe{.bitrate = wire::varint_max + 1}, lite04).why == errc::bad_argument);

constexpr std::uint8_t update_06[] = {0x02, 0x05, 0x00, 0x01, 0x09, 0x0b, 0x0d};
static_assert(decode<msg::announce_update>(update_06, lite06).message.warm == 11);
static_assert(*decode<msg::announce_update>(update_06, lite06).message.hops.begin() == 9);
static_assert(decode<msg::announce_update>(update_06, lite06).used == 7);
static_assert(decode<msg::announce_update>(update_06, lite05).why == errc::not_in_version);

}  // namespace

TEST_CASE("a varint is written minimal and read back at every border of its widths") {
  for (const varint_row& row : varint_rows) {
    CHECK(put(wire::varint, row.value) == row.hex);
    both(from_hex(row.hex), true, row.value);
    both(from_hex(std::string(row.hex) + "ffffffffffffffffffff"), true, row.value);
  }
  CHECK_FALSE(wire::varint_kind::fits(wire::varint_max + 1));
  CHECK_FALSE(wire::varint_kind::fits(~std::uint64_t{0}));
}

TEST_CASE("Q-03 a varint wider than needed is accepted at every width") {
  for (const varint_row& row : varint_rows)
    for (const std::size_t width : {2u, 4u, 8u}) {
      inspect::expander wide{lite06, width};
      wide.varint(row.value);
      both(wide.out, true, row.value);
    }
  both(from_hex("4000"), true, 0);
  both(from_hex("c000000000000000"), true, 0);
}

TEST_CASE("R-021 an incomplete varint reads nothing, whatever its width") {
  both({}, false, 0);
  for (const varint_row& row : varint_rows) {
    std::vector<std::uint8_t> b = from_hex(row.hex);
    for (b.pop_back(); !b.empty(); b.pop_back()) both(b, false, 0);
  }
}

TEST_CASE("random varints round trip in both readers") {
  std::mt19937_64 rng(1);
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t v = (rng() & wire::varint_max) >> rng() % 62;
    both(from_hex(put(wire::varint, v)), true, v);
    CHECK(wire::varint_size(v) == put(wire::varint, v).size() / 2);
  }
}

TEST_CASE("zigzag: 0, -1, 1, -2, 2 become 0, 1, 2, 3, 4, up to 61 bits and a sign") {
  const std::int64_t values[] = {0, -1, 1, -2, 2};
  for (std::uint64_t i = 0; i < 5; ++i) {
    CHECK(wire::zigzag(values[i]) == i);
    CHECK(wire::unzigzag(i) == values[i]);
  }
  const std::int64_t most = (std::int64_t{1} << 61) - 1;
  const std::int64_t least = -(std::int64_t{1} << 61);
  for (const std::int64_t v :
       {most, least, std::int64_t{31}, std::int64_t{-32}, std::int64_t{8191}, std::int64_t{-8192}}) {
    CHECK(wire::zigzag_kind::fits(v));
    std::int64_t back{};
    CHECK(get(wire::zigzagged, put(wire::zigzagged, v), back) == errc::ok);
    CHECK(back == v);
  }
  CHECK_FALSE(wire::zigzag_kind::fits(most + 1));
  CHECK_FALSE(wire::zigzag_kind::fits(least - 1));
  CHECK_FALSE(wire::zigzag_kind::fits(INT64_MIN));
  CHECK(put(wire::zigzagged, least) == "ffffffffffffffff");
}

TEST_CASE("an optional number tells absent from 0, and its largest value does not wrap [seed 7.7 b d]") {
  using value = std::optional<std::uint64_t>;
  CHECK(put(wire::plus_one, value{}) == "00");
  CHECK(put(wire::plus_one, value{0}) == "01");
  CHECK(put(wire::plus_one, value{wire::varint_max - 1}) == "ffffffffffffffff");
  CHECK_FALSE(wire::plus_one_kind::fits(value{wire::varint_max}));
  CHECK_FALSE(wire::plus_one_kind::fits(value{~std::uint64_t{0}}));
  value v;
  CHECK(get(wire::plus_one, "00", v) == errc::ok);
  CHECK_FALSE(v);
  CHECK(get(wire::plus_one, "01", v) == errc::ok);
  CHECK(v == 0);
}

TEST_CASE("U-22 the start of 06 is written as it is, and none is the same as 0") {
  using value = std::optional<std::uint64_t>;
  CHECK(put(wire::floor, value{}) == "00");
  CHECK(put(wire::floor, value{10}) == "0a");
  CHECK(put(wire::floor, value{wire::varint_max}) == "ffffffffffffffff");
  CHECK_FALSE(wire::floor_kind::fits(value{wire::varint_max + 1}));
  value v;
  CHECK(get(wire::floor, "00", v) == errc::ok);
  CHECK(wire::floor_kind::same(v, {}));
  CHECK_FALSE(wire::floor_kind::same(v, 1));
}

TEST_CASE("Q-30 a flag is 0 or 1, every other byte is refused") {
  bool v{};
  CHECK(get(wire::flag, "00", v) == errc::ok);
  CHECK_FALSE(v);
  CHECK(get(wire::flag, "01", v) == errc::ok);
  CHECK(v);
  for (const std::string_view hex : {"02", "40", "80", "ff"}) CHECK(get(wire::flag, hex, v) == errc::bad_flag);
  CHECK(get(wire::flag, "", v) == errc::truncated);
}

TEST_CASE("Q-06 the last priority of 01 and 02 is read as a byte or as a varint, by what is left") {
  std::uint8_t v{};
  const auto read = [&](std::string_view hex) { return get(wire::last_priority, hex, v); };
  CHECK(read("ff") == errc::ok);
  CHECK(v == 255);
  CHECK(read("3f") == errc::ok);
  CHECK(v == 63);
  CHECK(read("40ff") == errc::ok);
  CHECK(v == 255);
  CHECK(read("80000040") == errc::ok);
  CHECK(v == 64);
  CHECK(read("4100") == errc::bad_priority);
  CHECK(read("c000000000000100") == errc::bad_priority);
  CHECK(read("") == errc::truncated);
  CHECK(read("8000") == errc::truncated);
  std::size_t left = 0;
  CHECK(get(wire::last_priority, "0900", v, &left) == errc::ok);
  CHECK(left == 1);  // the caller then finds a byte too many
  CHECK(put(wire::last_priority, std::uint8_t{255}) == "ff");
}

TEST_CASE("R-021 R-022 a string's length may not pass the end, and its bytes are UTF-8") {
  text v;
  CHECK(get(wire::string, "00", v) == errc::ok);
  CHECK(v.empty());
  CHECK(get(wire::string, "0568656c6c6f", v) == errc::ok);
  CHECK(v == text("hello"));
  CHECK(get(wire::string, "0668656c6c6f", v) == errc::truncated);
  CHECK(get(wire::string, "ffffffffffffffff68", v) == errc::truncated);
  CHECK(get(wire::string, "02c328", v) == errc::bad_utf8);
  CHECK(get(wire::string, "", v) == errc::truncated);
  CHECK_FALSE(wire::text_kind::fits(text("\xff")));
  CHECK(put(wire::string, text(std::string_view("\0a", 2))) == "020061");
}

TEST_CASE("a path has at most 32 segments, however many slashes") {
  std::string p = "s";
  for (int i = 1; i < 32; ++i) p += "/s";
  CHECK(wire::path_kind::fits(text(p)));
  CHECK(wire::path_kind::fits(text("//" + p + "//")));
  CHECK_FALSE(wire::path_kind::fits(text(p + "/s")));
  CHECK(wire::path_kind::fits(text(std::string(100, '/'))));
  text v;
  CHECK(get(wire::path, put(wire::string, text(p + "/s")), v) == errc::too_many);
  CHECK(get(wire::path, put(wire::string, text(p)), v) == errc::ok);
  CHECK(get(wire::path, "01ff", v) == errc::bad_utf8);
}

TEST_CASE("a list is the same walked from values or from the wire") {
  const std::uint64_t values[] = {0, 63, 64, 16384, wire::varint_max, 0};
  const wire::hop_list mine{std::span(values)};
  CHECK(put(wire::counted, mine) == "06003f404080004000ffffffffffffffff00");
  wire::hop_list theirs;
  CHECK(get(wire::counted, put(wire::counted, mine), theirs) == errc::ok);
  CHECK(theirs == mine);
  CHECK(put(wire::counted, theirs) == put(wire::counted, mine));
  CHECK_FALSE(theirs == wire::hop_list{std::span(values, 5)});
  std::vector<std::uint64_t> walked;
  for (const std::uint64_t h : theirs) walked.push_back(h);
  CHECK(walked == std::vector<std::uint64_t>(std::begin(values), std::end(values)));
  CHECK(wire::hop_list{}.empty());
  CHECK(wire::hop_list{} == wire::hop_list{std::span(values, 0)});
}

TEST_CASE("a count far past the end is an error before any element is read [seed 7.6 b] [seed 10.1 b]") {
  wire::hop_list hops;
  CHECK(get(wire::counted, "800f4240 010203", hops) == errc::truncated);
  CHECK(get(wire::counted, "ffffffffffffffff", hops) == errc::truncated);
  CHECK(get(wire::counted, "04 010203", hops) == errc::truncated);
  CHECK(get(wire::counted, "03 0102 40", hops) == errc::truncated);  // an element is cut
}

TEST_CASE("hops, versions and parameters have their limit: that many are fine, one more is not [seed 10.1 c]") {
  for (const std::size_t n : {hops_max - 1, hops_max, hops_max + 1}) {
    const std::vector<std::uint64_t> values(n, 0);
    const wire::hop_list l{std::span(values)};
    CHECK(wire::list_kind::fits(l) == (n <= hops_max));
    wire::hop_list back;
    CHECK(get(wire::counted, put(wire::counted, l), back) == (n <= hops_max ? errc::ok : errc::too_many));
  }
  for (const std::size_t n : {versions_max, versions_max + 1}) {
    const std::vector<std::uint64_t> values(n, 0xff0dad02);
    msg::version_list back;
    CHECK(get(wire::counted, put(wire::counted, msg::version_list{std::span(values)}), back) ==
          (n <= versions_max ? errc::ok : errc::too_many));
  }
}

TEST_CASE("a record reads its fields in order and forgets what it held") {
  msg::setup_parameter p{7, 5, {}};
  CHECK(get(msg::setup_parameter_kind{}, "02 4005", p) == errc::ok);
  CHECK(p.id == 2);
  CHECK(p.number == 5);
  CHECK(get(msg::setup_parameter_kind{}, "03 02 aabb", p) == errc::ok);
  CHECK(p.number == 0);
  CHECK(to_hex(p.bytes) == "aabb");
  CHECK(put(msg::setup_parameter_kind{}, p) == "0302aabb");
  CHECK(get(msg::setup_parameter_kind{}, "03 03 aabb", p) == errc::truncated);
  CHECK_FALSE(msg::setup_parameter_kind::fits({wire::varint_max + 1, 0, {}}));
}

// --------------------------------------------------------------------------------------------------- parameters

namespace {
errc setup_of(std::string_view body, msg::setup& out, version v = lite06) {
  static std::vector<std::vector<std::uint8_t>> kept;
  kept.push_back(from_hex(body));
  return decode_body(byte_view(kept.back()), v, out);
}
std::string unknown_parameters(std::size_t n) {
  std::string body = put(wire::varint, std::uint64_t{n});
  for (std::size_t i = 0; i < n; ++i) body += put(wire::varint, std::uint64_t{0x21 + i}) + "00";
  return body;
}
}  // namespace

TEST_CASE("R-027 parameters: none, one and 64 are fine, 65 are too many [seed 7.1 a]") {
  msg::setup s;
  CHECK(setup_of("00", s) == errc::ok);
  CHECK(s == msg::setup{});
  CHECK(setup_of("01 01 01 01", s) == errc::ok);
  CHECK(s.probe == 1);
  CHECK(setup_of(unknown_parameters(64), s) == errc::ok);
  CHECK(setup_of(unknown_parameters(65), s) == errc::too_many);
}

TEST_CASE("R-028 a parameter that comes twice is refused, known or not [seed 7.1 b]") {
  msg::setup s;
  CHECK(setup_of("02 010101 010101", s) == errc::duplicate_parameter);
  CHECK(setup_of("02 404000 404000", s) == errc::duplicate_parameter);
  CHECK(setup_of("02 404000 8000004000", s) == errc::duplicate_parameter);  // the same id in another width
  CHECK(scope_of(errc::duplicate_parameter, lite06) == scope::session);
}

TEST_CASE("R-018 a parameter's value fills its length exactly [seed 7.1 c]") {
  msg::setup s;
  CHECK(setup_of("01 01 02 01 00", s) == errc::bad_parameter);
  CHECK(setup_of("01 01 00", s) == errc::bad_parameter);
  CHECK(setup_of("01 01 01 40", s) == errc::bad_parameter);
  CHECK(setup_of("01 01 02 40 01", s) == errc::ok);
  CHECK(s.probe == 1);
  CHECK(setup_of("01 01 05 01", s) == errc::truncated);
  CHECK(setup_of("02 01 01 01", s) == errc::truncated);
  CHECK(setup_of("ffffffffffffffff", s) == errc::truncated);
  CHECK(facts(errc::bad_parameter).on_session == session_code::key_value_formatting_error);
}

TEST_CASE("parameters are written in the order of their ids, always the same bytes [seed 7.1 d]") {
  const msg::setup s{.probe = 1, .path = text("/room?jwt=x"), .role = 2, .hop = 300};
  std::uint8_t a[64];
  std::uint8_t b[64];
  const encoded n = encode(s, lite06, a);
  CHECK(n.size == encode(s, lite06, b).size);
  CHECK(to_hex({a, n.size}) == to_hex(from_hex("18 04 010101 020b2f726f6f6d3f6a77743d78 030102 0502412c")));
}

TEST_CASE("Q-23 parameters are read in any order, with unknown ones between") {
  msg::setup s;
  CHECK(setup_of("04 0502412c 000100 030102 407f027a7a", s, lite05) == errc::ok);
  CHECK(s == msg::setup{.role = 2, .hop = 300});
}

TEST_CASE("R-029 absent is not 0, and an empty Path is not an absent one") {
  msg::setup s;
  CHECK(setup_of("02 040100 0200", s) == errc::ok);
  CHECK(s.cost == 0);
  CHECK(s.path.has_value());
  CHECK(s.path->empty());
  CHECK_FALSE(s.role.has_value());
  CHECK(setup_of("01 02 02 c328", s) == errc::bad_path);
}

TEST_CASE(
    "0x2 is the path from 05 on; 1 is the path in the SETUP of 01 and 02, and no two meanings meet [seed 7.1.1 a b "
    "c]") {
  msg::setup s;
  CHECK(setup_of("01 02 01 2f", s, lite05) == errc::ok);
  CHECK(*s.path == text("/"));
  const std::vector<std::uint8_t> old = from_hex("01 c0000000ff0dad02 01 01 01 2f");
  msg::client_setup c;
  REQUIRE(decode_body(byte_view(old), lite02, c) == errc::ok);
  CHECK(c.parameters.begin()->id == msg::setup_path);
  CHECK(decode_body(byte_view(old), lite05, c) == errc::not_in_version);
}

// ------------------------------------------------------------------------------------------ heads, sizes, inspection

TEST_CASE("the head of a message is judged before its body arrives") {
  const std::vector<std::uint8_t> b = from_hex("02 ffffffffffffffff");
  const message_head h = read_head(byte_view(b), true, framing::length);
  CHECK(h.why == errc::ok);
  CHECK(h.type == 2);
  CHECK(h.body_size == wire::varint_max);
  CHECK(h.size == 9);
  for (std::size_t n = 0; n < b.size(); ++n)
    CHECK(read_head({b.data(), n}, true, framing::length).why == errc::need_more);
  const std::vector<std::uint8_t> u = from_hex("0112");
  CHECK(read_head(byte_view(u), false, framing::u16).body_size == 0x112);
  CHECK(read_head({u.data(), 1}, false, framing::u16).why == errc::need_more);
}

TEST_CASE("what cannot travel is refused by the encoder, not changed") {
  std::uint8_t out[64];
  CHECK(encode(msg::subscribe_end{wire::varint_max + 1}, lite06, out).why == errc::bad_argument);
  CHECK(encode(msg::subscribe_end{wire::varint_max}, lite06, out).why == errc::ok);
  CHECK(encode(msg::goaway{.uri = "\xff"}, lite06, out).why == errc::bad_argument);
  CHECK(encode(msg::goaway{.uri = "x"}, lite06, std::span(out, 2)).why == errc::no_room);
  CHECK(encode(msg::goaway{.uri = "x"}, lite03, out).why == errc::not_in_version);
  CHECK(encoded_size(msg::goaway{.uri = "x"}, lite03) == 0);
  const std::vector<std::uint8_t> long_value(70'000, 1);
  const msg::setup_parameter p[] = {{1, 0, byte_view(long_value)}};
  CHECK(measure(msg::server_setup{.selected = 1, .parameters = p}, lite02).why == errc::bad_argument);  // 16-bit length
}

TEST_CASE("the place of the first wrong byte is told to tools") {
  const std::vector<std::uint8_t> b = from_hex("00 01 05 616c69636500");
  CHECK(fault_offset<msg::announce_start>(byte_view(b), lite06) < b.size());
  const std::vector<std::uint8_t> flag = from_hex("09 02 00 00 00");
  CHECK(fault_offset<msg::subscribe_update>(byte_view(flag), lite05) == 2);
}

TEST_CASE("a message prints with the names of its draft") {
  const msg::subscribe s{
      .id = 5, .broadcast = "room/\"a\"", .track = "v\n", .want = {.max_age_ms = 500, .group_start = 10}};
  CHECK(inspect::print(s, lite03) ==
        "SUBSCRIBE {Subscribe ID=5, Broadcast Path=\"room/\\x22a\\x22\", Track Name=\"v\\x0a\", Subscriber Priority=0, "
        "Subscriber Ordered=no, Subscriber Max Latency=500, Group Start=10, Group End=none}");
  CHECK(inspect::print(s, lite06).find(
            "Subscriber Max Age=500, Group Start=10, Group End=none, Frame Start=0, Frame End=none") !=
        std::string::npos);
  const std::uint64_t hops[] = {7, 300};
  CHECK(inspect::print(msg::announce{.status = 1, .suffix = "a", .hops = hops}, lite05) ==
        "ANNOUNCE_BROADCAST {Announce Status=1, Broadcast Path Suffix=\"a\", Hop IDs=[7, 300]}");
  CHECK(inspect::print(msg::setup{.path = text("/"), .cost = 0}, lite06) == "SETUP {Path=\"/\", Cost=0}");
  const msg::setup_parameter p[] = {{2, 5, {}}, {7, 0, {}}};
  CHECK(inspect::print(msg::server_setup{.selected = 1, .parameters = p}, lite01) ==
        "SERVER_SETUP {Selected Version=1, Parameters=[{Parameter ID=2, Value=5}, {Parameter ID=7, Payload=}]}");
  const std::uint8_t payload[] = {0xab, 0x01};
  CHECK(inspect::print(msg::datagram{1, 2, 3, payload}, lite05) ==
        "DATAGRAM {Subscribe ID=1, Group Sequence=2, Timestamp=3, Payload=ab01}");
}

TEST_CASE("two messages are compared as a version sees them") {
  msg::subscribe a{.id = 5, .want = {.ordered = true}};
  msg::subscribe b{.id = 5, .want = {.group_start = 0}};
  CHECK(inspect::same_in(a, b, lite06));
  CHECK(inspect::same_in(a, b, lite02));
  CHECK_FALSE(inspect::same_in(a, b, lite05));
  b.id = 6;
  CHECK_FALSE(inspect::same_in(a, b, lite02));
  CHECK_FALSE(inspect::same_in(msg::setup{.cost = 0}, msg::setup{}, lite06));
}

TEST_CASE("fields are found where they begin") {
  const msg::subscribe s{.id = 300, .broadcast = "ab", .track = "c", .want = {.group_end = 20}};
  const auto at = inspect::offsets(s, lite06);
  REQUIRE(at.size() == 9);
  CHECK(at[1].name == "Broadcast Path");
  CHECK(at[1].offset == 2);
  CHECK(at[1].size == 3);
  CHECK(at[4].name == "Subscriber Max Age");
  CHECK(at[8].offset + at[8].size == measure(s, lite06).body);
  CHECK(inspect::offsets(s, lite01).size() == 4);
  const auto p = inspect::offsets(msg::setup{.probe = 1, .cost = 300}, lite06);
  REQUIRE(p.size() == 3);
  CHECK(p[2].name == "Cost");
  CHECK(p[2].offset == 4);
  CHECK(p[2].size == 4);
}
