#pragma once
/// The request that opens a WebTransport session and its answer (draft-ietf-webtrans-http3 section 3): extended
/// CONNECT.

#include <moql/binding/http3.hpp>
#include <moql/binding/webtransport.hpp>

#include <charconv>

#include "qpack.hpp"

namespace webtransport {

namespace http3 = moql::http3;
namespace wire = moql::webtransport;

/// What a client asks for.
struct request {
  std::string authority{};               ///< Host, and the port unless it is the scheme's.
  std::string path = "/";                ///< With the query.
  std::vector<std::string> protocols{};  ///< Versions on offer, the first preferred.
};
/// What a server agrees to.
struct welcome {
  std::vector<std::string> protocols{};  ///< Versions, in no order of preference: the client's counts.
};

/// A HEADERS frame.
[[nodiscard]] inline std::vector<std::uint8_t> headers_frame(const header_fields& fields) {
  const std::vector<std::uint8_t> section = encode_fields(fields);
  std::vector<std::uint8_t> out(2 * moql::wire::varint_bytes_max);
  moql::wire::writer w{out.data()};
  moql::wire::put_varint(w, static_cast<std::uint64_t>(http3::frame_type::headers));
  moql::wire::put_varint(w, section.size());
  out.resize(static_cast<std::size_t>(w.p - out.data()));
  out.insert(out.end(), section.begin(), section.end());
  return out;
}

[[nodiscard]] inline std::vector<std::string_view> views_of(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

[[nodiscard]] inline header_fields fields_of(const request& r) {
  header_fields f;
  f.add(":method", "CONNECT");
  f.add(":protocol", "webtransport");
  f.add(":scheme", "https");
  f.add(":authority", r.authority);
  f.add(":path", r.path);
  f.add("origin", "https://" + r.authority);
  f.add("sec-webtransport-http3-draft02", "1");
  std::string offer(1024, '\0');
  if (const auto v = wire::build_offer(views_of(r.protocols), offer); v && !v->empty())
    f.add("wt-available-protocols", *v);
  return f;
}

/// A server's verdict on a request.
struct answer {
  int status = 0;          ///< 200: there is a session.
  std::string protocol{};  ///< The version; empty if it is agreed on in the session (01, 02).
  std::string path{};
  std::string why{};  ///< Why there is none, for people.
};
[[nodiscard]] inline answer judge_request(const header_fields& f, const welcome& w) {
  const auto refuse = [](int status, std::string why) { return answer{status, {}, {}, std::move(why)}; };
  if (f.count(":method") != 1) return refuse(400, "not one :method");
  if (f.value(":method") != "CONNECT") return refuse(404, "only WebTransport is served here");
  // The name changed in draft 13.
  const std::string protocol = f.value(":protocol");
  if (protocol != "webtransport" && protocol != "webtransport-h3") return refuse(400, "CONNECT for something else");
  for (const char* name : {":protocol", ":scheme", ":authority", ":path"})
    if (f.count(name) != 1) return refuse(400, std::string("not one ") + name);
  if (f.value(":scheme") != "https") return refuse(400, "the scheme is not https");
  answer a{200, {}, f.value(":path"), {}};
  if (!a.path.starts_with('/')) return refuse(400, "the path does not begin with a slash");
  const auto chosen = wire::choose(f.value("wt-available-protocols"), views_of(w.protocols));
  if (chosen) {
    a.protocol = *chosen;
    return a;
  }
  if (chosen.error() == moql::errc::bad_argument) return refuse(400, "WT-Available-Protocols is malformed");
  // As deployed servers do: the oldest versions can still be agreed on inside of the session.
  for (const std::string& p : w.protocols)
    if (p == "moql") return a;
  return refuse(400, "no version in common");
}
[[nodiscard]] inline header_fields fields_of(const answer& a) {
  header_fields f;
  f.add(":status", std::to_string(a.status));
  if (a.status != 200) return f;
  f.add("sec-webtransport-http3-draft", "draft02");
  std::string value(a.protocol.size() * 2 + 2, '\0');
  if (const auto v = wire::build_protocol(a.protocol, value); v && !a.protocol.empty()) f.add("wt-protocol", *v);
  return f;
}

/// A client's verdict on an answer.
struct outcome {
  enum class kind { interim, open, refused } what{};
  std::string protocol{};
  std::string why{};
};
[[nodiscard]] inline outcome judge_answer(const header_fields& f, const request& r) {
  const auto refuse = [](std::string why) { return outcome{outcome::kind::refused, {}, std::move(why)}; };
  const std::string status = f.value(":status");
  int n = 0;
  const auto end = std::from_chars(status.data(), status.data() + status.size(), n);
  if (f.count(":status") != 1 || status.size() != 3 || end.ptr != status.data() + 3 || n < 100)
    return refuse("the server's answer has no status");
  if (n < 200) return {outcome::kind::interim, {}, {}};
  // Nothing in an answer says which it was, but this is what deployed servers and ours say to unknown versions.
  const char* const perhaps = n == 400 ? ", perhaps for none of the versions offered" : "";
  if (n >= 300) return refuse("the server refuses " + r.path + " with status " + status + perhaps);
  const std::string field = f.value("wt-protocol");
  if (field.empty()) {
    for (const std::string& p : r.protocols)
      if (p == "moql") return {outcome::kind::open, {}, {}};
    return refuse("the server names no version, so it knows none of ours");
  }
  const auto ours = views_of(r.protocols);
  const auto named = wire::confirm(field, ours);
  if (named) return {outcome::kind::open, std::string(*named), {}};
  return refuse("the server answers with " + field + ", which was not offered");
}

}  // namespace webtransport
