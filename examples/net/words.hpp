#pragma once
/// What happened, in one line for people: every code by its name and its number.

#include <moql/moql.hpp>

#include <cstdio>
#include <string>

namespace net {

[[nodiscard]] inline std::string number(std::uint64_t code) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(code));
  return text;
}
/// "NOT_FOUND (0x33)", or the number alone for a code without a name.
template <class Code>
[[nodiscard]] std::string named(std::uint64_t code) {
  const std::string_view name = moql::name_of(static_cast<Code>(code));
  return name.empty() ? number(code) : std::string(name) + " (" + number(code) + ")";
}

[[nodiscard]] inline std::string quoted_reason(std::string_view reason) {
  return reason.empty() ? std::string() : ": \"" + std::string(reason) + '"';
}
/// Why a session is over.
[[nodiscard]] inline std::string text_of(const moql::session_closed& c) {
  const std::string code = named<moql::session_code>(c.code) + quoted_reason(c.reason);
  if (c.by_peer) return "the peer closed the session with " + code;
  if (c.why == moql::errc::ok) return "the session was closed with " + code;
  if (c.why == moql::errc::transport_closed) return "the connection was lost" + quoted_reason(c.reason);
  return "the session was closed with " + code + ", for " + std::string(moql::text_of(c.why));
}
/// Why a request of ours is over: what ended it, and the peer's code if that did.
[[nodiscard]] inline std::string text_of(moql::errc why, std::uint64_t code) {
  const std::string text(moql::text_of(why));
  const bool has_code = why == moql::errc::reset_by_peer || why == moql::errc::refused_by_peer;
  return has_code ? text + " with " + named<moql::stream_code>(code) : text;
}

}  // namespace net
