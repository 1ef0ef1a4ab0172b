#pragma once
/// The readers of HTTP/3 and WebTransport as `bytewise::reader`s: what each makes of a stream, in words. No test
/// framework in here, so that the fuzzer can use it too.

#include "bytewise.hpp"
#include "moql/binding/http3_settings.hpp"
#include "moql/binding/webtransport_streams.hpp"

namespace moql::bytewise {

inline std::string hex_of(byte_view v) {
  std::string out;
  for (const std::uint8_t b : v) {
    out += "0123456789abcdef"[b >> 4];
    out += "0123456789abcdef"[b & 15];
  }
  return out;
}
inline std::string number_of(std::uint64_t v) {
  std::string out;
  do {
    out.insert(out.begin(), "0123456789abcdef"[v & 15]);
  } while ((v >>= 4) != 0);
  return out;
}
inline std::string fault(http3::code c) { return " !" + number_of(static_cast<std::uint64_t>(c)); }

/// Elements as they come: `type/size:body`, a dot where one is complete.
struct element_log {
  http3::element_reader r{};
  void feed(byte_view in, std::string& log) {
    http3::element_piece p;
    while (r.next(in, p)) {
      if (p.is_head) log += " " + number_of(p.type) + "/" + number_of(p.size) + ":";
      log += hex_of(p.body) + (p.is_last ? "." : "");
    }
  }
  void fin(std::string& log) { log += r.is_inside() ? " cut" : " end"; }
};

/// `headers:bytes` and `data:bytes`. As a server does, the tunnel is opened with the first complete header section,
/// or as a client that waits for the second.
struct request_log {
  int sections = 1;  ///< Header sections until the tunnel opens.
  http3::request_reader r{};
  bool is_over = false;
  char last = 0;
  void feed(byte_view in, std::string& log) {
    http3::element_piece p;
    auto why = http3::code::no_error;
    while (!is_over) {
      switch (r.next(in, p, why)) {
        case http3::request_reader::got::nothing:
          if (why == http3::code::no_error) return;
          log += fault(why);
          is_over = true;
          return;
        case http3::request_reader::got::headers:
          log += (p.is_head ? " headers:" : "") + hex_of(p.body);
          last = 'h';
          if (p.is_last && --sections == 0) r.open_tunnel();
          break;
        case http3::request_reader::got::data:
          log += (std::exchange(last, 'd') != 'd' ? " data:" : "") + hex_of(p.body);
          break;
      }
    }
  }
  void fin(std::string& log) {
    if (!is_over) log += r.is_inside() ? " cut" : " end";
  }
};

struct control_log {
  http3::control_reader r;
  bool is_over = false, told = false, told_away = false;
  explicit control_log(bool by_client) : r(by_client) {}
  void feed(byte_view in, std::string& log) {
    if (is_over) return;
    const http3::code c = r.take(in);
    if (r.has_settings() && !std::exchange(told, true)) {
      const http3::settings& s = r.get();
      log += std::string(" settings") + (s.connect_protocol ? " connect" : "") + (s.datagram ? " datagram" : "") +
             (s.webtransport ? " wt" : "") + (allows_webtransport(s) ? " yes" : " no");
      if (s.field_section_size_max != 0) log += " " + number_of(s.field_section_size_max);
    }
    if (r.is_going_away() && !std::exchange(told_away, true)) log += " goaway";
    is_over = c != http3::code::no_error;
    if (is_over) log += fault(c);
  }
  void fin(std::string& log) { log += " end"; }
};

/// The head of a stream, then what it leaves of the bytes.
struct stream_head_log {
  webtransport::stream_head_reader r;
  bool has_head = false;
  explicit stream_head_log(bool is_uni) : r(is_uni) {}
  void feed(byte_view in, std::string& log) {
    webtransport::stream_head h;
    if (!has_head && r.take(in, h)) {
      has_head = true;
      constexpr const char* names[] = {"control", "push", "encoder", "decoder", "session", "request", "unknown"};
      log += std::string(names[static_cast<unsigned>(h.kind)]) + " " + number_of(h.number) + " ";
    }
    if (has_head) log += hex_of(in);
  }
  void fin(std::string& log) { log += has_head ? " end" : "cut"; }
};

struct capsule_log {
  webtransport::capsule_reader r{};
  bool is_over = false, told_close = false, told_drain = false;
  void feed(byte_view in, std::string& log) {
    if (is_over) return;
    const http3::code c = r.take(in);
    if (r.is_draining() && !std::exchange(told_drain, true)) log += " drain";
    if (r.is_closed() && !std::exchange(told_close, true))
      log += " close " + number_of(r.code()) + " '" + std::string(r.reason()) + "'";
    is_over = c != http3::code::no_error;
    if (is_over) log += fault(c);
  }
  void fin(std::string& log) {
    if (!is_over) log += r.finish() == http3::code::no_error ? " end" : fault(r.finish());
  }
};

}  // namespace moql::bytewise
