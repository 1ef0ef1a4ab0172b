/// WebTransport over HTTP/3 on the wire: stream preambles, frames, SETTINGS, capsules and datagrams, in any fragments.

#include <doctest/doctest.h>

#include "webtransport_logs.hpp"

using namespace moql;
using namespace moql::bytewise;
namespace wt = moql::webtransport;

namespace {

using bytes_of = std::vector<std::uint8_t>;

/// The log of hex digits however they arrive; the first difference if there is one.
template <class Make>
std::string read_hex(Make&& make, std::string_view digits) {
  const bytes_of in = hex(digits);
  const verdict v = every_way(make, in);
  return v.difference.empty() ? v.log : "differs: " + v.difference;
}
std::string head(bool is_uni, std::string_view digits) {
  return read_hex([&] { return stream_head_log(is_uni); }, digits);
}
std::string control(std::string_view digits, bool by_client = true) {
  return read_hex([&] { return control_log(by_client); }, digits);
}
std::string request(std::string_view digits, int sections = 1) {
  return read_hex([&] { return request_log{sections}; }, digits);
}
std::string capsules(std::string_view digits) {
  return read_hex([] { return capsule_log{}; }, digits);
}
std::string elements(std::string_view digits) {
  return read_hex([] { return element_log{}; }, digits);
}
bytes_of close_of(std::uint32_t code, std::string_view reason) {
  bytes_of out(wt::close_bytes_max);
  const auto n = wt::build_close(code, reason, out);
  REQUIRE(n);
  out.resize(*n);
  return out;
}
/// What the reader of capsules makes of a DATA frame of ours.
std::string told_by(const bytes_of& frame) {
  std::string carried;
  for (byte_view in = frame; !in.empty();) {
    http3::element_piece p;
    http3::element_reader r;
    while (r.next(in, p)) carried += hex_of(p.body);
  }
  return capsules(carried);
}

}  // namespace

TEST_CASE("a stream of a session begins with 4054 or 4041 and the session's id [seed 3.1.1]") {
  CHECK(hex_of(wt::stream_preamble(wt::uni_signal, 0).view()) == "405400");
  CHECK(hex_of(wt::stream_preamble(wt::bidi_signal, 0).view()) == "404100");
  CHECK(hex_of(wt::stream_preamble(wt::uni_signal, 64).view()) == "40544040");
  CHECK(hex_of(wt::stream_preamble(wt::bidi_signal, (1ull << 62) - 4).view()) == "4041fffffffffffffffc");
  for (const std::uint64_t id : {0ull, 4ull, 60ull, 64ull, 16384ull, 1ull << 30, (1ull << 62) - 4}) {
    CAPTURE(id);
    CHECK(wt::is_session_id(id));
    for (const bool is_uni : {true, false}) {
      bytes_of in;
      const auto p = wt::stream_preamble(is_uni ? wt::uni_signal : wt::bidi_signal, id);
      in.assign(p.view().begin(), p.view().end());
      CHECK(head(is_uni, hex_of(in)) == "session " + number_of(id) + "  end");
      CHECK(head(is_uni, hex_of(with_extra(in, 0x07))) == "session " + number_of(id) + " 07 end");
      every_cut([&] { return stream_head_log(is_uni); }, in,
                [](std::size_t, const std::string& log) { CHECK(log == "cut"); });
    }
  }
  CHECK(!wt::is_session_id(1));
  CHECK(!wt::is_session_id(2));
  CHECK(!wt::is_session_id(1ull << 62));
}

TEST_CASE("other streams are told apart by their first varint, in whatever width it is written [seed 3.1.1]") {
  CHECK(head(true, "00 0400") == "control 0 0400 end");
  CHECK(head(true, "4000 0400") == "control 0 0400 end");
  CHECK(head(true, "01") == "push 1  end");
  CHECK(head(true, "02 3f") == "encoder 2 3f end");
  CHECK(head(true, "03") == "decoder 3  end");
  CHECK(head(true, "21") == "unknown 21  end");         // GREASE: 0x21 + 0x1f * n
  CHECK(head(true, "4041 00") == "unknown 41 00 end");  // the signal of the other direction
  CHECK(head(true, "8000005400") == "session 0  end");  // 0x54 in four bytes
  CHECK(head(true, "c000000000000054 40 04 aa") == "session 4 aa end");
  CHECK(head(false, "01 05") == "request 1 05 end");
  CHECK(head(false, "00") == "request 0  end");
  CHECK(head(false, "4054 00") == "request 54 00 end");
  CHECK(head(false, "") == "cut");
}

TEST_CASE("frames and capsules are a type, a length and a body, which may claim any length [seed 3.1.1]") {
  CHECK(elements("") == " end");
  CHECK(elements("00 00") == " 0/0:. end");
  CHECK(elements("00 03 aabbcc 01 01 dd") == " 0/3:aabbcc. 1/1:dd. end");
  CHECK(elements("40 21 40 02 aabb") == " 21/2:aabb. end");
  CHECK(elements("00 ff ff ff ff ff ff ff ff aa") == " 0/3fffffffffffffff:aa cut");
  CHECK(elements("00 03 aabb") == " 0/3:aabb cut");
  CHECK(elements("00") == " cut");
  CHECK(elements("40") == " cut");
}

TEST_CASE("our SETTINGS are those that browsers and Rust stacks ask for, and they allow what they offer [seed 3.1.1]") {
  const byte_view ours = http3::control_stream_opening;
  CHECK(hex_of(ours) == hex_of(hex("00 04 1b 0100 0700 0801 3301 ab60374201 ab60374301 c0000000c671706a01")));
  CHECK(head(true, hex_of(ours)) == "control 0 " + hex_of(ours.subspan(1)) + " end");
  CHECK(control(hex_of(ours.subspan(1))) == " settings connect datagram wt yes end");
}

TEST_CASE("whether a peer's SETTINGS allow WebTransport: datagrams and any draft's setting [seed 3.1.1]") {
  // What a browser sends, GREASE included, and what a Rust stack sends.
  CHECK(control("04 1b 0180010000 0680004000 074064 3301 80ffd27701 ab60374201 21 05") ==
        " settings datagram wt yes 4000 end");
  CHECK(control("04 17 0801 3301 80ffd27701 ab60374201 c0000000c671706a 01") ==
        " settings connect datagram wt yes end");
  CHECK(control("04 00") == " settings no end");
  CHECK(control("04 02 3301") == " settings datagram no end");
  CHECK(control("04 05 ab60374201") == " settings wt no end");
  CHECK(control("04 0a ab60374200 80ffd27701") == " settings datagram no end");
  CHECK(control("04 0e 3301 c0000000c671706a 4064 2100") == " settings datagram wt yes end");
  CHECK(control("04 07 3301 ac7cf00001") == " settings datagram wt yes end");
  CHECK(control("04 07 3301 ab60374301") == " settings datagram no end");  // a number of sessions and no support
}

TEST_CASE("SETTINGS come first and once, and no setting of HTTP/2, no second value, no flag above 1 [seed 3.1.1]") {
  CHECK(control("00 00") == " !10a end");
  CHECK(control("21 00 04 00") == " !10a end");
  CHECK(control("04 00 04 00") == " settings no !105 end");
  for (const char* id : {"02", "03", "04", "05"}) CHECK(control("0402" + std::string(id) + "00") == " !109 end");
  CHECK(control("04 04 3301 3301") == " !109 end");
  CHECK(control("04 04 0800 0801") == " !109 end");
  CHECK(control("04 04 2100 2101") == " settings no end");  // only those we know are kept in mind
  CHECK(control("04 02 3302") == " !109 end");
  CHECK(control("04 02 0802") == " !109 end");
  CHECK(control("04 05 ab60374202") == " !109 end");
  CHECK(control("04 01 33") == " settings no !106 end");
  CHECK(control("04 02 3340") == " settings no !106 end");
  CHECK(control("04 03 330121") == " settings datagram no !106 end");
  // A length that is no more than a claim: nothing is held for it.
  CHECK(control("04 bfffffff 3301") == " end");
}

TEST_CASE("on the control stream the frames of requests are forbidden, those of extensions skipped [seed 3.1.1]") {
  const std::string ours = hex_of(byte_view(http3::control_stream_opening).subspan(1));
  const std::string ok = " settings connect datagram wt yes";
  for (const char* type : {"00", "01", "02", "05", "06", "08", "09"})
    CHECK(control(ours + type + "00") == ok + " !105 end");
  CHECK(control(ours + "21 02 aabb 4040 00 07 01 00") == ok + " goaway end");
  CHECK(control(ours + "07 02 4004 03 01 00 0d 01 05") == ok + " goaway end");
  CHECK(control(ours + "0d 01 05", false) == ok + " !105 end");
  CHECK(control(ours + "07 00") == ok + " !106 end");
  CHECK(control(ours + "07 01 40") == ok + " !106 end");
  CHECK(control(ours + "07 02 0000") == ok + " !106 end");
  CHECK(control(ours + "03 03 4000 00") == ok + " !106 end");
  CHECK(control(ours + "0d ff ffffffffffffff 0000") == ok + " !106 end");
  every_cut([] { return control_log(true); }, hex(ours),
            [](std::size_t, const std::string& log) { CHECK(log == " end"); });
}

TEST_CASE("a request is a header section and then a tunnel of DATA, extensions skipped everywhere [seed 3.1.1]") {
  CHECK(request("01 02 aabb 00 03 010203 00 00 00 01 04") == " headers:aabb data:01020304 end");
  CHECK(request("21 01 ff 01 02 aabb 4054 02 eeee 00 01 05") == " headers:aabb data:05 end");
  CHECK(request("01 00") == " headers: end");
  CHECK(request("01 02 aabb 01 01 cc 00 01 05", 2) == " headers:aabb headers:cc data:05 end");  // an interim answer
  CHECK(request("00 01 00") == " !105");
  CHECK(request("01 01 aa 01 01 bb") == " headers:aa !105");
  CHECK(request("01 01 aa 00 01 05", 2) == " headers:aa !105");
  for (const char* type : {"02", "03", "04", "05", "06", "07", "08", "09", "0d"}) {
    CHECK(request(std::string(type) + "00") == " !105");
    CHECK(request("01 01 aa" + std::string(type) + "00") == " headers:aa !105");
  }
  CHECK(request("01 02 aa") == " headers:aa cut");
  CHECK(request("01 01 aa 00 05 01") == " headers:aa data:01 cut");
  // The first type may have been read already, as by `stream_head_reader`.
  http3::request_reader r(1);
  http3::element_piece p;
  auto why = http3::code::no_error;
  const bytes_of rest = hex("01 aa");
  byte_view in = rest;
  CHECK(r.next(in, p, why) == http3::request_reader::got::headers);
  CHECK(p.size == 1);
  CHECK(r.next(in, p, why) == http3::request_reader::got::headers);
  CHECK(hex_of(p.body) == "aa");
}

TEST_CASE("a session is closed by a capsule with code and reason in DATA, at most 1024 bytes of it [seed 3.1.1]") {
  CHECK(hex_of(close_of(0x04d2, "bye")) == hex_of(hex("00 0a 6843 07 000004d2 627965")));
  CHECK(told_by(close_of(0, "")) == " close 0 '' end");
  CHECK(told_by(close_of(0xffffffff, "ende \xc3\xbc")) == " close ffffffff 'ende \xc3\xbc' end");
  CHECK(told_by(close_of(1, std::string(1024, 'x'))) == " close 1 '" + std::string(1024, 'x') + "' end");
  CHECK(close_of(1, std::string(1024, 'x')).size() <= wt::close_bytes_max);
  CHECK(told_by(close_of(1, std::string(1025, 'x'))) == " close 1 '" + std::string(1024, 'x') + "' end");
  // Cut between characters and not inside of one.
  CHECK(told_by(close_of(1, std::string(1022, 'x') + "\xe2\x82\xac")) ==
        " close 1 '" + std::string(1022, 'x') + "' end");
  CHECK(wt::fit_reason(std::string(2000, '\x80')).empty());
  bytes_of small(13);
  CHECK(*wt::build_close(7, "", small) == 9);
  CHECK(*wt::build_close(7, "", std::span(small).first(9)) == 9);
  CHECK(wt::build_close(7, "", std::span(small).first(8)).error() == errc::no_room);
  CHECK(wt::build_close(7, "", {}).error() == errc::no_room);
}

TEST_CASE("capsules of other types are skipped, DRAIN is noted, a bad length is MESSAGE_ERROR [seed 3.1.1]") {
  CHECK(capsules("") == " end");
  CHECK(capsules("800078ae 00") == " drain end");
  CHECK(capsules("800078ae 01 00") == " !10e");
  CHECK(capsules(hex_of(byte_view(wt::drain_frame).subspan(2))) == " drain end");
  CHECK(capsules("4021 02 aabb 6843 04 00000007") == " close 7 '' end");
  CHECK(capsules("990b4d3d 01 05 6843 05 00000007 21 ") == " close 7 '!' end");
  CHECK(capsules("6843 03 000000") == " !10e");
  CHECK(capsules("6843 00") == " !10e");
  CHECK(capsules("6843 4405 00000001") == " !10e");  // 1029: a byte more than code and reason may be
  CHECK(capsules("6843 4404 00000001") == " !10e");  // 1028, cut
  CHECK(capsules("6843 ffffffffffffffff 00") == " !10e");
  CHECK(capsules("6843 04 00000007 00") == " close 7 '' !10e");  // nothing comes behind the end
  CHECK(capsules("17 ffffffffffffffff 0102030405") == " !10e");  // skipped as it comes, then cut
  const bytes_of whole = hex("6843 07 000004d2 627965");
  every_cut([] { return capsule_log{}; }, whole,
            [](std::size_t n, const std::string& log) { CHECK(log == (n == 0 ? " end" : " !10e")); });
}

TEST_CASE("a datagram names its session by a quarter of the id, the rest is payload [seed 3.1.1]") {
  CHECK(hex_of(wt::datagram_preamble(0).view()) == "00");
  CHECK(hex_of(wt::datagram_preamble(256).view()) == "4040");
  for (const std::uint64_t id : {0ull, 4ull, 252ull, 256ull, 1ull << 32, (1ull << 62) - 4}) {
    CAPTURE(id);
    const auto p = wt::datagram_preamble(id);
    bytes_of in(p.view().begin(), p.view().end());
    for (std::size_t n = 0; n < in.size(); ++n)
      CHECK(wt::parse_datagram(byte_view(in).first(n)).error() == errc::truncated);
    auto d = wt::parse_datagram(in);
    REQUIRE(d);
    CHECK(d->session == id);
    CHECK(d->payload.empty());
    in.insert(in.end(), {0x68, 0x69});
    d = wt::parse_datagram(in);
    REQUIRE(d);
    CHECK(d->session == id);
    CHECK(hex_of(d->payload) == "6869");
  }
  CHECK(wt::parse_datagram(hex("d000000000000000")).error() == errc::bad_argument);  // 2^60: no stream has that number
  CHECK(wt::parse_datagram(hex("cfffffffffffffff"))->session == (1ull << 62) - 4);
}
