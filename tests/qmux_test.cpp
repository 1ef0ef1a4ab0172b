/// How a QMux connection begins and what it makes of the frames that it hears.

#include "counting_memory.hpp"
#include "qmux_pair.hpp"
#include "qmux_solo.hpp"

using namespace moql;
using qmux::carrier;
using qmux::revision;
using qmux::wish;
using testing::hex;
using testing::lines;
using testing::solo;
using testing::with_parameters;

// ---- the beginning

TEST_CASE("QMux says its parameters at once and nothing more until the peer's have come") {
  for (const revision r : with_parameters) {
    solo s(r);
    CHECK(s.c.open(direction::uni).status == transport_status::blocked);
    CHECK(!s.c.is_ready());
    const lines first = s.said();
    REQUIRE(first.size() == 1);
    CHECK(first[0].starts_with("ff5153300d0a0d0a"));
    CHECK(first[0].ends_with(r == revision::qmux02 ? "1d00" : "7ffe"));
    CHECK(s.said().empty());
    s.feed(solo::generous);
    CHECK(s.c.is_ready());
    CHECK(s.heard() == lines{"credit uni"});
    CHECK(s.write(s.open(), "hi", true).status == transport_status::ok);
    CHECK(s.said() == lines{"0e02000268"
                            "69",
                            "0f020200"});
  }
}
TEST_CASE("before QMux there are no parameters and a stream can be opened at once") {
  solo s(revision::webtransport);
  CHECK(s.c.is_ready());
  CHECK(s.write(s.open(direction::bidi), "hi", true).status == transport_status::ok);
  CHECK(s.said() == lines{"08006869", "0900"});
  s.feed("080079");
  s.feed("0900");
  CHECK(s.heard() == lines{"data 0 y", "data 0  FIN"});
  s.feed("0d");
  CHECK(s.c.fault() == qmux::fault::unknown_frame);
  CHECK(s.said() == lines{"1c07" + hex(qmux::facts(qmux::fault::unknown_frame).text)});
}
TEST_CASE("a record of QMux says its size on a byte stream and not in a message") {
  auto c = solo::config_of(revision::qmux01);
  solo in_messages(c);
  c.over = carrier::byte_stream;
  solo in_bytes(c);
  const lines message = in_messages.said();
  CHECK(in_bytes.said() == lines{"3e" + message[0]});  // as in the worked example of the deployed defaults
}
TEST_CASE("the parameters come first and once") {
  solo early(revision::qmux02);
  early.feed("0e03000161");
  CHECK(early.c.fault() == qmux::fault::not_parameters_first);
  CHECK(early.heard() == lines{"closed 10 the transport parameters must come first"});
  solo old(revision::qmux01);
  old.feed("0e03000161");
  CHECK(old.heard() == lines{"closed 8 the transport parameters must come first"});
  solo padded(revision::qmux02);
  padded.feed(std::string("000000") + solo::generous);
  CHECK(padded.c.is_ready());
  for (const revision r : with_parameters) {
    solo twice(r);
    twice.ready();
    twice.feed(solo::generous);
    CHECK(twice.c.is_closed() == (r != revision::qmux00));
  }
}
TEST_CASE("QMux parameters that cannot be are refused, unknown ones are not") {
  const auto fault_of = [](std::string_view list, revision r = revision::qmux02) {
    solo s(r);
    const auto b = tests::from_hex(list);
    s.feed("ff5153300d0a0d0a" + tests::to_hex(std::vector<std::uint8_t>{static_cast<std::uint8_t>(b.size())}) +
           tests::to_hex(b));
    return s.c.fault();
  };
  using enum qmux::fault;
  CHECK(fault_of("") == none);
  CHECK(fault_of("21020102 21020102") == none);
  CHECK(fault_of("040105 040105") == duplicate_parameter);
  CHECK(fault_of("1d00 1d00") == duplicate_parameter);
  CHECK(fault_of("04020505") == bad_parameters);  // a rest
  CHECK(fault_of("040140") == bad_parameters);    // cut short
  CHECK(fault_of("0400") == bad_parameters);
  CHECK(fault_of("0405") == bad_parameters);
  CHECK(fault_of("1d0100") == bad_parameters);
  for (const char* id : {"00", "02", "03", "0a", "0b", "0c", "0d", "0e", "0f", "10"})
    CHECK(fault_of(std::string(id) + "0100") == bad_parameters);
  CHECK(fault_of("0808d000000000000001") == bad_parameters);  // above 2^60
  CHECK(fault_of("0808d000000000000000") == none);
  CHECK(fault_of("c571c59429cd0845 027ffd") == small_record_limit);
  CHECK(fault_of("c571c59429cd0845 027ffd", revision::qmux00) == none);
  CHECK(fault_of("c571c59429cd0845 027ffe") == none);
  CHECK(fault_of("fd4f9c2a8b1e6075 020161") == unexpected_protocols);
}
TEST_CASE("without ALPN the QMux parameters carry the tokens, and the server's preference wins") {
  const std::string_view servers[] = {"moq-lite-06", "moq-lite-05", "moql"};
  const std::string_view clients[] = {"moql", "moq-lite-04", "moq-lite-05"};
  const std::string_view others[] = {"x"};
  const auto agreed = [&](std::span<const std::string_view> a, std::span<const std::string_view> b) {
    auto o = testing::qmux_pair::alike(revision::qmux01, carrier::byte_stream);
    o.a.protocols = a;
    o.b.protocols = b;
    testing::qmux_pair p(o);
    p.shake_hands();
    CHECK(p.a().protocol() == p.b().protocol());
    return p.a().is_closed() ? "closed" : std::string(p.a().protocol());
  };
  CHECK(agreed(clients, servers) == "moq-lite-05");
  CHECK(agreed(servers, clients) == "moql");
  CHECK(agreed(others, servers).empty());  // no error: the moq version follows in-band
  CHECK(agreed({}, {}).empty());
  CHECK(agreed(clients, {}) == "closed");  // the server does not expect them
}
TEST_CASE("bytes behind the parameters wait until the session knows its protocol") {
  const std::string_view tokens[] = {"moql"};
  auto c = solo::config_of(revision::qmux01);
  c.over = carrier::byte_stream;
  c.protocols = tokens;
  solo s(c);
  // The parameters with our token and, in the same piece, a stream.
  const auto b = tests::from_hex("1e ff5153300d0a0d0a 15 04024064 090105 fd4f9c2a8b1e6075 05046d6f716c 05 0e03000161");
  const auto all = bytes::copy(byte_view(b));
  const std::size_t n = s.c.on_bytes(s.sink, all, s.now);
  CHECK(n == b.size() - 6);
  CHECK(s.c.is_ready());
  CHECK(s.c.protocol() == "moql");
  CHECK(s.heard().empty());
  CHECK(s.c.on_bytes(s.sink, all.slice(n, b.size() - n), s.now) == 6);
  CHECK(s.heard() == lines{"open uni 3", "data 3 a"});
}
TEST_CASE("a peer without parameters is given up after ten seconds") {
  solo s;
  s.said();
  CHECK(s.c.next_deadline() == s.now + seconds(10));
  s.wait(milliseconds(9999));
  CHECK(!s.c.is_closed());
  s.wait(milliseconds(1));
  CHECK(s.heard() == lines{"closed 0 no transport parameters in time"});
  CHECK(s.said() == lines{"1c00001f" + hex("no transport parameters in time")});
  CHECK(s.c.wish() == wish::finish);
}

// ---- streams

TEST_CASE("QMux frames of the peer's streams are heard in their order") {
  solo s;
  s.ready();
  s.feed("0803616263");  // to the end of the message
  s.feed(
      "0e03030164 0a0301"
      "65 0f030501"
      "66");             // with and without offset
  s.feed("0e03060167");  // behind the FIN: nobody hears it
  CHECK(s.heard() == lines{"open uni 3", "data 3 abc", "data 3 d", "data 3 e", "data 3 f FIN"});
  s.feed("0f010000");
  CHECK(s.heard() == lines{"open bidi 1", "data 1  FIN"});
  CHECK(s.write(stream_id{1}, "yes", true).status == transport_status::ok);
  CHECK(s.said() == lines{"0e010003" + hex("yes"), "0f010300"});
  CHECK(s.write(stream_id{1}, "more").status == transport_status::closed);
  s.feed("050107");  // the peer stops what is over
  CHECK(s.heard().empty());
}
TEST_CASE("a stream number opens all below it, and each is heard of when it comes") {
  solo s;
  s.ready();
  s.feed("0e0b000163");
  s.feed("0e03000161");
  s.feed("0407050a");
  CHECK(s.heard() == lines{"open uni 11", "data 11 c", "open uni 3", "data 3 a", "open uni 7", "reset 7 5"});
}
TEST_CASE("a QMux peer that breaks a rule is told which") {
  const auto fault_of = [](std::string_view frame, revision r = revision::qmux02) {
    solo s(r);
    s.ready();
    s.feed(frame);
    const lines said = s.said();
    if (s.c.is_closed()) CHECK(said.back().starts_with("1c"));
    return s.c.fault();
  };
  using enum qmux::fault;
  CHECK(fault_of("0e02000161") == wrong_direction);  // our own direction
  CHECK(fault_of("04020001") == wrong_direction);
  CHECK(fault_of("050300") == wrong_direction);
  CHECK(fault_of("110340ff") == wrong_direction);
  CHECK(fault_of("150201") == wrong_direction);
  CHECK(fault_of("150301") == none);
  CHECK(fault_of("0e00000161") == unopened_stream);
  CHECK(fault_of("050000") == unopened_stream);
  CHECK(fault_of("0e41930001"
                 "61") == stream_limit);
  CHECK(fault_of("0e418f0001"
                 "61") == none);
  CHECK(fault_of("0e03010161") == gap);
  CHECK(fault_of("0e03000161 0e03000161") == gap);
  CHECK(fault_of("0a030161 0a030161") == none);  // without offsets, as peers of old
  CHECK(fault_of("13d000000000000001") == stream_limit_too_large);
  CHECK(fault_of("0e0300") == truncated_frame);
  CHECK(fault_of("0e03000a61") == truncated_frame);
  CHECK(fault_of("01") == unknown_frame);  // PING, and what else QMux forbids
  for (const char* t : {"02", "03", "06", "07", "18", "19", "1a", "1b", "1e", "25", "32", "404001"})
    CHECK(fault_of(t) == unknown_frame);
  CHECK(fault_of("0e0300026162 2403070201") == none);
  CHECK(fault_of("0e0300026162 2403070203") == reliable_size);
  CHECK(fault_of("0e0300026162 2403070202", revision::qmux01) == reset_at_not_offered);
  CHECK(fault_of("31026869") == none);
  CHECK(fault_of("31026869", revision::qmux00) == datagram_not_offered);
  CHECK(fault_of("f48c67529ef8c7bd05 f48c67529ef8c7bd05") == ping_order);
  CHECK(fault_of("f48c67529ef8c7bd05 f48c67529ef8c7bd05", revision::qmux01) == none);
  CHECK(fault_of("f48c67529ef8c7be09") == unknown_pong);
  CHECK(fault_of("f48c67529ef8c7be09", revision::qmux01) == none);
  CHECK(fault_of("10801e8480 1401 1601 1701 0000") == none);
}
TEST_CASE("the codes of a QMux close are those of RFC 9000, or what the deployed stacks send") {
  auto c = solo::config_of(revision::qmux02);
  solo plain(c);
  plain.ready();
  plain.feed(
      "0e41930001"
      "61");
  CHECK(plain.said() == lines{"1c040e15" + hex("stream limit exceeded")});
  CHECK(plain.heard() == lines{"closed 4 stream limit exceeded"});
  c.reference_codes = true;
  solo deployed(c);
  deployed.ready();
  deployed.feed("01");
  CHECK(deployed.said() == lines{"1c43ea0012" + hex("Protocol violation")});
}
TEST_CASE("a record larger than ours, a text message and an empty message") {
  const auto fault_of = [](revision r, std::size_t size, bool is_binary = true) {
    solo s(r);
    s.ready();
    const std::string zeros(size, '\0');
    s.c.on_message(s.sink, bytes::copy(zeros), is_binary, s.now);
    return s.c.fault();
  };
  using enum qmux::fault;
  for (const revision r : {revision::qmux01, revision::qmux02}) {
    CHECK(fault_of(r, 16382) == none);
    CHECK(fault_of(r, 16383) == record_too_large);
    CHECK(fault_of(r, 0) == none);
    CHECK(fault_of(r, 5, false) == text_message);
  }
  CHECK(fault_of(revision::qmux00, 16384) == none);
  CHECK(fault_of(revision::qmux00, 16385) == record_too_large);
  CHECK(fault_of(revision::qmux00, 0) == empty_message);
  // On a byte stream the size alone condemns it: nothing is gathered.
  counting_memory m;
  auto c = solo::config_of(revision::qmux01);
  c.over = carrier::byte_stream;
  solo s(c, m.get());
  const std::size_t before = m.bytes;
  s.feed("bfffffff");
  CHECK(s.c.fault() == record_too_large);
  CHECK(m.bytes <= before + 200);  // its reason
}
TEST_CASE("qmux-00 on a byte stream: frames follow one another and say their length") {
  auto c = solo::config_of(revision::qmux00);
  c.over = carrier::byte_stream;
  const auto all = tests::from_hex(std::string(solo::generous) +
                                   "0e03000161 0f030101"
                                   "62 0004070900");
  for (std::size_t at = 0; at <= all.size(); ++at) {
    solo s(c);
    s.feed(tests::to_hex(byte_view(all).first(at)));
    s.feed(tests::to_hex(byte_view(all).subspan(at)));
    CHECK(s.heard() == lines{"open uni 3", "data 3 a", "data 3 b FIN", "open uni 7", "reset 7 9"});
  }
  solo s(c);
  s.feed(std::string(solo::generous) + "0803616263");
  CHECK(s.c.fault() == qmux::fault::unsized_frame);
  solo large(c);
  large.feed(solo::generous);
  large.feed("0e030080010000" + std::string(2 * 16384, '6'));
  CHECK(large.c.fault() == qmux::fault::record_too_large);
}
TEST_CASE("RESET_STREAM_AT gives the application what it promises, then the reset") {
  solo s;
  s.ready();
  s.feed(
      "0e030002"
      "6162");
  s.feed("2403070402");  // all of it has come
  CHECK(s.heard() == lines{"open uni 3", "data 3 ab", "reset 3 7"});
  s.feed("2407080504");  // none of it has
  s.feed(
      "0e070002"
      "6162");
  CHECK(s.heard() == lines{"open uni 7", "data 7 ab"});
  s.feed(
      "0e070203"
      "636465");
  CHECK(s.heard() == lines{"data 7 cd", "reset 7 8"});
}
TEST_CASE("a stopped QMux stream is heard of no more, and its peer may end it as it likes") {
  solo s;
  s.ready();
  s.feed(
      "0e0300"
      "0161");
  s.heard();
  s.c.stop(stream_id{3}, 6);
  s.c.stop(stream_id{3}, 7);
  CHECK(s.said() == lines{"050306"});
  s.feed(
      "0e030101"
      "62");
  s.feed("0f030200");
  CHECK(s.heard().empty());
  CHECK(!s.c.is_closed());
}
