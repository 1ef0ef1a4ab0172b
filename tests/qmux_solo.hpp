#pragma once
/// One QMux connection without a peer: the test says what the peer sends and reads what the connection answers.

#include <doctest/doctest.h>

#include <moql/binding/qmux.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hex.hpp"

/// So that a failed check shows them.
template <>
struct doctest::StringMaker<std::vector<std::string>> {
  static String convert(const std::vector<std::string>& all) {
    std::string out;
    for (const std::string& s : all) out += (out.empty() ? "" : " | ") + s;
    return out.c_str();
  }
};

namespace testing {

inline std::string hex(std::string_view s) {
  return moql::tests::to_hex({reinterpret_cast<const std::uint8_t*>(s.data()), s.size()});
}

inline constexpr moql::qmux::revision with_parameters[] = {moql::qmux::revision::qmux00, moql::qmux::revision::qmux01,
                                                           moql::qmux::revision::qmux02};

/// Writes down all that it hears, one line each.
struct log_sink {
  std::vector<std::string> lines;
  void on_open(moql::stream_id id, moql::direction d, moql::instant) noexcept {
    add(d == moql::direction::bidi ? "open bidi" : "open uni", id);
  }
  void on_data(moql::stream_id id, moql::bytes data, bool fin, moql::instant) noexcept {
    add("data", id, std::string(data.text()) + (fin ? " FIN" : ""));
  }
  void on_reset(moql::stream_id id, std::uint64_t code, moql::instant) noexcept {
    add("reset", id, std::to_string(code));
  }
  void on_stop(moql::stream_id id, std::uint64_t code, moql::instant) noexcept {
    add("stop", id, std::to_string(code));
  }
  void on_writable(moql::stream_id id) noexcept { add("writable", id); }
  void on_credit(moql::direction d) noexcept {
    lines.emplace_back(d == moql::direction::bidi ? "credit bidi" : "credit uni");
  }
  void on_datagram(moql::bytes data, moql::instant) noexcept {
    lines.push_back("datagram " + std::string(data.text()));
  }
  void on_close(const moql::close_info& why, moql::instant) noexcept {
    lines.push_back((why.application ? "closed by application " : "closed ") + std::to_string(why.code) + " " +
                    std::string(why.reason));
  }

 private:
  void add(const char* what, moql::stream_id id, const std::string& more = {}) {
    std::string line = std::string(what) + " " + std::to_string(static_cast<std::uint64_t>(id));
    if (!more.empty()) line += " " + more;
    lines.push_back(std::move(line));
  }
};
static_assert(moql::transport_sink<log_sink>);

/// Speaks messages unless the configuration says otherwise.
class solo {
 public:
  explicit solo(moql::qmux::revision r = moql::qmux::revision::qmux02, moql::memory m = {}) : solo(config_of(r), m) {}
  explicit solo(const moql::qmux::config& how, moql::memory m = {}) : config(how), c(how, now, m) {}
  static moql::qmux::config config_of(moql::qmux::revision r) {
    moql::qmux::config out;
    out.wire = r;
    out.over = moql::qmux::carrier::messages;
    return out;
  }
  /// Parameters of a peer that allows a lot.
  static constexpr const char* generous =
      "ff5153300d0a0d0a2a 010480007530 040480100000 050480040000 060480040000 070480040000 08024064 09024064 20027ffe";
  /// The peer's parameters have come, ours have gone.
  solo& ready(const char* parameters = generous) {
    said();
    feed(parameters);
    heard();
    return *this;
  }
  void feed(std::string_view hex) {
    const auto b = moql::tests::from_hex(hex);
    const auto piece = moql::bytes::copy(moql::byte_view(b));
    if (config.over == moql::qmux::carrier::messages)
      c.on_message(sink, piece, true, now);
    else
      CHECK(c.on_bytes(sink, piece, now) == b.size());
  }
  /// What has been heard since.
  std::vector<std::string> heard() { return std::exchange(sink.lines, {}); }
  /// What has been said since, message by message (of a byte stream as the pieces come), in hex.
  std::vector<std::string> said() {
    std::vector<std::string> out;
    for (;;) {
      std::string one;
      for (const moql::byte_view p : c.output()) one += moql::tests::to_hex(p);
      if (one.empty()) return out;
      c.on_sent(sink, one.size() / 2, now);
      out.push_back(std::move(one));
    }
  }
  void wait(moql::duration d) {
    now = now + d;
    if (c.next_deadline() <= now) c.on_deadline(sink, now);
  }
  moql::write_result write(moql::stream_id id, std::string_view s, bool fin = false) {
    const moql::chunk piece{reinterpret_cast<const std::uint8_t*>(s.data()), s.size(), nullptr};
    return c.write(id, std::span(&piece, s.empty() ? 0 : 1), fin);
  }
  moql::stream_id open(moql::direction d = moql::direction::uni) {
    const auto r = c.open(d);
    REQUIRE(r.status == moql::transport_status::ok);
    return r.id;
  }

  moql::qmux::config config;
  moql::instant now{1'000'000};
  log_sink sink;
  moql::qmux::connection c;
};

using lines = std::vector<std::string>;

}  // namespace testing
