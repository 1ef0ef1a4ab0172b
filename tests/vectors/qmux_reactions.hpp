#pragma once
/// Lines of qmux/reactions.jsonl: what a server sends, what the recorded client made of it, and what ours does.

#include "qmux_frames.hpp"

namespace moql::vectors {

/// Where we refuse what the recorded client lets pass, because a draft says so.
inline std::string_view refusal_cause(qmux::fault f) {
  using enum qmux::fault;
  switch (f) {
    case not_parameters_first: return "qmux-00, -01: the first frame MUST be the parameters, else close";
    case second_parameters: return "qmux-01: parameters other than as the first frame MUST close";
    case gap: return "qmux-00 to -02: stream data that does not follow on MUST close";
    case unopened_stream: return "RFC 9000 19.8: a stream of ours that was never opened MUST close";
    case wrong_direction: return "RFC 9000 19.4, 19.5, 19.8: a stream without that direction MUST close";
    case stream_limit_too_large: return "RFC 9000 19.11: a stream limit above 2^60 MUST close";
    case flow_control: return "RFC 9000 4.1: data above the limit MUST close";
    default: return {};
  }
}

/// Notes down what the recorder noted down: bytes so far and ends, one line for each.
class seen_by_application {
 public:
  std::vector<std::string> lines{};
  std::string closed{};  ///< As the recorded client says it: "fulfilled: ..." or "rejected: ...".
  bool has_silent_reset = false;

  void on_open(stream_id id, direction d, instant) noexcept {
    streams_[id].kind = d == direction::bidi ? "bidi " : "uni ";
  }
  void on_data(stream_id id, bytes data, bool fin, instant) noexcept {
    stream& s = streams_[id];
    s.hex += tests::to_hex(data.view());
    if (!data.empty()) lines.push_back(s.kind + s.hex);
    if (fin) lines.push_back(s.kind + s.hex + " FIN");
  }
  void on_reset(stream_id id, std::uint64_t code, instant) noexcept {
    stream& s = streams_[id];
    has_silent_reset = has_silent_reset || s.hex.empty();
    lines.push_back(s.kind + "error: RESET_STREAM: " + std::to_string(code));
  }
  void on_stop(stream_id, std::uint64_t, instant) noexcept {}
  void on_writable(stream_id) noexcept {}
  void on_credit(direction) noexcept {}
  void on_datagram(bytes data, instant) noexcept { lines.push_back("datagram " + tests::to_hex(data.view())); }
  void on_close(const close_info& why, instant) noexcept {
    closed = why.application ? "fulfilled: code " + std::to_string(why.code) + " \"" + std::string(why.reason) + "\""
                             : "rejected: code " + std::to_string(why.code) + " " + std::string(why.reason);
  }

 private:
  struct stream {
    std::string kind{};
    std::string hex{};
  };
  std::map<stream_id, stream> streams_{};
};
static_assert(transport_sink<seen_by_application>);

/// "0000... (16383 bytes)" stands for so many bytes of what it begins with.
inline std::vector<std::uint8_t> message_from(const std::string& s) {
  const std::size_t dots = s.find("... (");
  if (dots == std::string::npos) return bytes_from(json(s));
  const std::vector<std::uint8_t> head = bytes_from(json(s.substr(0, dots)));
  const auto n = static_cast<std::size_t>(std::strtoull(s.c_str() + dots + 5, nullptr, 10));
  std::vector<std::uint8_t> out;
  while (!head.empty() && out.size() < n) out.push_back(head[out.size() % head.size()]);
  return out;
}

inline void take_output(qmux::connection& c, seen_by_application& sink, instant now, std::vector<std::string>& out) {
  for (;;) {
    std::string one;
    for (const byte_view p : c.output()) one += tests::to_hex(p);
    if (one.empty()) return;
    out.push_back(one);
    c.on_sent(sink, one.size() / 2, now);
  }
}

inline bool is_from_the_end(const std::string& line) {  // of the recording itself, not of the peer's doing
  return line.find("error: ") != std::string::npos && line.find("error: RESET_STREAM: ") == std::string::npos;
}

inline verdict run_qmux_reaction(const json& line) {
  const auto r = revision_of(line);
  if (!r) return verdict::fail("an unknown QMux version");
  qmux::config c;
  c.wire = *r;
  c.over = qmux::carrier::messages;
  c.protocol = "moq-lite-05";
  c.reference_codes = true;
  const instant now{1'000'000};
  qmux::connection ours(c, now);
  seen_by_application saw;
  std::vector<std::string> answers;
  take_output(ours, saw, now, answers);
  if (line.contains("client_first_message") && line["client_first_message"].is_string()) {
    if (answers.size() != 1 || answers[0] != line["client_first_message"])
      return verdict::fail("our first message is " + (answers.empty() ? "missing" : answers[0]));
    answers.clear();
  }
  bool is_many_in_one = false;
  for (const json& m : line.at("server_sends")) {
    if (m.is_object()) {
      const std::string text = m.at("text").get<std::string>();
      ours.on_message(saw, bytes::copy(text), false, now);
    } else {
      const std::vector<std::uint8_t> b = message_from(m.get<std::string>());
      const auto first = qmux::decode_frame(byte_view(b));
      is_many_in_one = is_many_in_one || (first.why == errc::ok && first.size < b.size());
      ours.on_message(saw, alone(byte_view(b)), true, now);
    }
    take_output(ours, saw, now, answers);
  }

  const std::string client = line.at("client").get<std::string>();
  const bool peer_refuses = client.starts_with("rejects");
  std::string differs;
  const auto because = [&](const std::string& why) { differs += (differs.empty() ? "" : " + ") + why; };
  const std::string did = ours.is_closed() ? saw.closed : "stays open";
  if (peer_refuses != ours.is_closed()) {
    const std::string_view cause = ours.is_closed() ? refusal_cause(ours.fault()) : std::string_view{};
    if (cause.empty()) return verdict::fail("we: " + did + "; recorded: " + client);
    because(std::string(cause));
    return verdict::pass("refused", differs);  // what is seen before and after can only differ then
  }
  if (client.find("fulfilled: ") != std::string::npos && client.substr(client.find("fulfilled: ")) != saw.closed)
    return verdict::fail("we: " + saw.closed + "; recorded: " + client);
  if (client.find("fulfilled: ") == std::string::npos && saw.closed.starts_with("fulfilled"))
    return verdict::fail("we take for an end in order what is none: " + client);

  const std::size_t by_peer = client.find("Connection closed: ");
  if (by_peer != std::string::npos && line.at("client_answers").empty() &&
      saw.closed != "rejected: code " + client.substr(by_peer + 19))
    return verdict::fail("we: " + saw.closed + "; recorded: " + client);

  std::vector<std::string> recorded;
  for (const json& a : line.at("client_answers")) recorded.push_back(a.at("hex").get<std::string>());
  if (answers != recorded) {
    std::string list;
    for (const std::string& a : answers) list += a + " ";
    return verdict::fail("we answer " + list);
  }
  std::vector<std::string> stated;
  for (const json& s : line.at("application_saw"))
    if (!is_from_the_end(s.get<std::string>())) stated.push_back(s.get<std::string>());
  if (stated != saw.lines) {
    if (*r == qmux::revision::qmux00 && is_many_in_one)
      because("several frames in a message of qmux-00 all count, the recorded client drops all but the first");
    else if (is_many_in_one && ours.fault() != qmux::fault::none)
      because("what comes before a fault in its record counts, the recorded client reads a record whole first");
    else if (saw.has_silent_reset)
      because("RFC 9000 3.2: a reset may be the first that is heard of a stream");
    else
      return verdict::fail("the application hears " + json(saw.lines).dump());
  }
  return verdict::pass(peer_refuses ? "refused or ended" : "accepted", differs);
}

}  // namespace moql::vectors
