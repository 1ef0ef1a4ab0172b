#pragma once
/// The URL a client dials, taken apart: where to connect, and what is asked for there (RFC 3986).
///
/// Drafts 05 and 06 name no schemes; these are the ones deployed stacks know. `moqt` and `moql` are native QUIC,
/// `https` and `http` WebTransport, `wss` and `ws` QMux over WebSocket, `tcp` plain QMux.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "../base/result.hpp"

namespace moql {

enum class url_scheme : std::uint8_t { moqt, moql, https, http, wss, ws, tcp };

struct url_scheme_facts {
  url_scheme id;
  std::string_view name;
  std::uint16_t port;  ///< 0: there is no default, the URL must name one.
};
/// No port is registered for moqt and moql. All known stacks dial 443 for lack of another.
inline constexpr std::array<url_scheme_facts, 7> url_schemes{{
    {url_scheme::moqt, "moqt", 443},
    {url_scheme::moql, "moql", 443},
    {url_scheme::https, "https", 443},
    {url_scheme::http, "http", 80},
    {url_scheme::wss, "wss", 443},
    {url_scheme::ws, "ws", 80},
    {url_scheme::tcp, "tcp", 0},
}};

/// Views refer to the text that was parsed, except for `scheme`. Nothing is decoded: %20 stays %20.
struct url {
  url_scheme id{};
  std::string_view scheme{};     ///< In lower case, however it was written.
  std::string_view authority{};  ///< Host and port as written, for `:authority` and `Host`; never the userinfo.
  std::string_view host{};       ///< An IPv6 address without its brackets.
  std::string_view port_text{};  ///< As written; empty if the port is the default.
  std::string_view path{};       ///< Empty, or begins with a slash.
  std::string_view query{};      ///< Without the question mark.
  std::string_view request{};    ///< See `request_path`.
  std::uint16_t port = 0;
  bool is_ipv6 = false;
  bool has_userinfo = false;  ///< There was one. It is dropped: no binding has a place for it.
  bool has_fragment = false;  ///< There was one. It is dropped: a fragment is never sent.
};

enum class url_fault : std::uint8_t {
  none,
  no_scheme,
  unknown_scheme,
  no_authority,
  bad_userinfo,
  no_host,
  bad_host,
  bad_ipv6,
  bad_port,
  no_port,
  bad_path,
  bad_query,
};
/// What is wrong with a URL, and at which byte of it.
struct url_error {
  url_fault what{};
  std::size_t at{};
};

[[nodiscard]] constexpr std::string_view text_of(url_fault f) noexcept {
  switch (f) {
    case url_fault::none: return "no error";
    case url_fault::no_scheme: return "the URL does not begin with a scheme and a colon";
    case url_fault::unknown_scheme: return "the scheme is not one of ours";
    case url_fault::no_authority: return "no // follows the scheme";
    case url_fault::bad_userinfo: return "a character that may not stand before the @";
    case url_fault::no_host: return "the host is empty";
    case url_fault::bad_host: return "a character that may not stand in a host";
    case url_fault::bad_ipv6: return "no IPv6 address between the brackets";
    case url_fault::bad_port: return "the port is no number from 1 to 65535";
    case url_fault::no_port: return "the scheme has no default port, and the URL names none";
    case url_fault::bad_path:
      return "a character that must be percent-encoded in a path, or a % without its two digits";
    case url_fault::bad_query:
      return "a character that must be percent-encoded in a query, or a % without its two digits";
  }
  return "";
}

namespace detail {
[[nodiscard]] constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
[[nodiscard]] constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
[[nodiscard]] constexpr bool is_hex(char c) noexcept { return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f'); }
[[nodiscard]] constexpr bool is_alpha(char c) noexcept { return lower(c) >= 'a' && lower(c) <= 'z'; }

/// The first character that is none of those every part of a URL may have, of `more`, or %xx; npos if there is none.
[[nodiscard]] constexpr std::size_t first_bad(std::string_view s, std::string_view more) noexcept {
  constexpr std::string_view marks = "-._~!$&'()*+,;=";
  for (std::size_t i = 0; i < s.size(); ++i) {
    const char c = s[i];
    if (c == '%') {
      if (s.size() - i < 3 || !is_hex(s[i + 1]) || !is_hex(s[i + 2])) return i;
      i += 2;
    } else if (!is_alpha(c) && !is_digit(c) && marks.find(c) == marks.npos && more.find(c) == more.npos) {
      return i;
    }
  }
  return std::string_view::npos;
}

[[nodiscard]] constexpr bool is_ipv4(std::string_view s) noexcept {
  std::size_t i = 0;
  for (int part = 0; part < 4; ++part) {
    if (part != 0 && (i == s.size() || s[i++] != '.')) return false;
    const std::size_t start = i;
    unsigned n = 0;
    for (; i < s.size() && i - start < 3 && is_digit(s[i]); ++i) n = n * 10 + static_cast<unsigned>(s[i] - '0');
    if (i == start || n > 255 || (s[start] == '0' && i - start > 1)) return false;
  }
  return i == s.size();
}
/// Zones (`%eth0`) are refused: they mean something on one host only.
[[nodiscard]] constexpr bool is_ipv6(std::string_view s) noexcept {
  std::size_t i = 0;
  int groups = 0;
  bool elided = s.starts_with("::");
  if (elided) i = 2;
  while (i < s.size()) {
    const std::size_t start = i;
    while (i < s.size() && is_hex(s[i])) ++i;
    ++groups;
    if (i < s.size() && s[i] == '.') {
      if (!is_ipv4(s.substr(start))) return false;
      ++groups;
      break;
    }
    if (i == start || i - start > 4 || groups > 8) return false;
    if (i == s.size()) break;
    if (s[i++] != ':' || i == s.size()) return false;
    if (s[i] != ':') continue;
    if (elided) return false;
    elided = true;
    ++i;
  }
  return elided ? groups < 8 : groups == 8;
}

/// `in` without its fragment.
class url_reader {
 public:
  constexpr url_reader(std::string_view in, url& out) noexcept : in_(in), out_(out) {}
  [[nodiscard]] constexpr url_error read() noexcept {
    (void)(scheme() && authority() && target());
    return error_;
  }

 private:
  constexpr bool fail(url_fault what, std::size_t at) noexcept {
    error_ = {what, at};
    return false;
  }
  constexpr bool scheme() noexcept {
    const std::size_t colon = in_.find(':');
    if (colon == in_.npos || colon == 0) return fail(url_fault::no_scheme, 0);
    for (const auto& f : url_schemes) {
      bool same = f.name.size() == colon;
      for (std::size_t i = 0; same && i < colon; ++i) same = lower(in_[i]) == f.name[i];
      if (!same) continue;
      out_.id = f.id;
      out_.scheme = f.name;
      out_.port = f.port;
      at_ = colon + 1;
      if (in_.substr(at_, 2) != "//") return fail(url_fault::no_authority, at_);
      at_ += 2;
      return true;
    }
    return fail(url_fault::unknown_scheme, 0);
  }
  constexpr bool authority() noexcept {
    std::size_t end = at_;
    while (end < in_.size() && in_[end] != '/' && in_[end] != '?') ++end;
    if (const std::size_t n = in_.substr(at_, end - at_).find('@'); n != in_.npos) {
      if (const std::size_t bad = first_bad(in_.substr(at_, n), ":"); bad != in_.npos)
        return fail(url_fault::bad_userinfo, at_ + bad);
      out_.has_userinfo = true;
      at_ += n + 1;
    }
    out_.authority = in_.substr(at_, end - at_);
    const std::string_view all = out_.authority;
    std::size_t n = 0;  // of the host
    if (all.starts_with('[')) {
      n = all.find(']');
      if (n == all.npos || !is_ipv6(all.substr(1, n - 1))) return fail(url_fault::bad_ipv6, at_);
      out_.is_ipv6 = true;
      out_.host = all.substr(1, n - 1);
      ++n;
      if (n < all.size() && all[n] != ':') return fail(url_fault::bad_host, at_ + n);
    } else {
      n = all.find(':') == all.npos ? all.size() : all.find(':');
      out_.host = all.substr(0, n);
      if (n == 0) return fail(url_fault::no_host, at_);
      if (const std::size_t bad = first_bad(out_.host, {}); bad != all.npos)
        return fail(url_fault::bad_host, at_ + bad);
    }
    if (n < all.size() && !port(all.substr(n + 1))) return fail(url_fault::bad_port, at_ + n + 1);
    if (out_.port == 0) return fail(url_fault::no_port, end);
    at_ = end;
    return true;
  }
  constexpr bool port(std::string_view digits) noexcept {
    if (digits.empty()) return true;  // RFC 3986 section 3.2.3: a lone colon is the default
    std::uint32_t n = 0;
    for (const char c : digits) {
      if (!is_digit(c)) return false;
      n = n * 10 + static_cast<std::uint32_t>(c - '0');
      if (n > 65535) return false;
    }
    out_.port_text = digits;
    out_.port = static_cast<std::uint16_t>(n);
    return n != 0;
  }
  constexpr bool target() noexcept {
    const std::string_view all = in_.substr(at_);
    const std::size_t n = all.find('?') == all.npos ? all.size() : all.find('?');
    out_.path = all.substr(0, n);
    if (const std::size_t bad = first_bad(out_.path, ":@/"); bad != all.npos)
      return fail(url_fault::bad_path, at_ + bad);
    if (n < all.size()) out_.query = all.substr(n + 1);
    if (const std::size_t bad = first_bad(out_.query, ":@/?"); bad != all.npos)
      return fail(url_fault::bad_query, at_ + n + 1 + bad);
    out_.request = out_.query.empty() ? out_.path : all;
    return true;
  }

  std::string_view in_;
  url& out_;
  std::size_t at_ = 0;
  url_error error_{};
};
}  // namespace detail

/// Takes `in` apart; the parts refer to it. What is wrong is an `errc::bad_argument`, and `why`, if given, says more.
/// Strict: whatever RFC 3986 wants percent-encoded must be, for what comes out is put on the wire as it is.
[[nodiscard]] constexpr result<url> parse_url(std::string_view in, url_error* why = nullptr) noexcept {
  url out;
  out.has_fragment = in.find('#') != in.npos;
  const url_error e = detail::url_reader(in.substr(0, in.find('#')), out).read();
  if (why != nullptr) *why = e;
  if (e.what != url_fault::none) return errc::bad_argument;
  return out;
}

/// Path and `?query` as one view; both may be empty. An empty query asks for nothing, so a bare `?` is left away.
[[nodiscard]] constexpr std::string_view request_path(const url& u) noexcept { return u.request; }

/// What `config::path` should be: withheld where the binding carries a request URI of its own (draft 06 section 7.3.2).
/// Empty sends no Path. Draft 05 wants it to begin with a slash, which a URL with a query alone does not give.
[[nodiscard]] constexpr std::string_view setup_path(const url& u, bool binding_carries_uri) noexcept {
  return binding_carries_uri ? std::string_view() : request_path(u);
}

/// `:path` of a CONNECT, or the target of a WebSocket request: as `request_path`, but HTTP wants a slash in front.
/// A view of `out` where one had to be added, else of the URL. `errc::no_room` if `out` is needed and too small.
[[nodiscard]] constexpr result<std::string_view> request_target(const url& u, std::span<char> out) noexcept {
  const std::string_view r = request_path(u);
  if (r.starts_with('/')) return r;
  if (r.empty()) return std::string_view("/");
  if (out.size() < r.size() + 1) return errc::no_room;
  out[0] = '/';
  for (std::size_t i = 0; i < r.size(); ++i) out[i + 1] = r[i];
  return std::string_view(out.data(), r.size() + 1);
}

/// Whether a client that dialled `current` may go where a GOAWAY asks it to (R-159, R-165): a URL of the same scheme,
/// with an authority and a port that is named or has a default. Empty is "the same place" and always fine. Userinfo is
/// refused: no binding has a place for it, and it makes a host look like another.
[[nodiscard]] constexpr bool may_redirect(std::string_view current, std::string_view next) noexcept {
  if (next.empty()) return true;
  const result<url> from = parse_url(current);
  const result<url> to = parse_url(next);
  return from && to && from->id == to->id && !to->has_userinfo;
}

}  // namespace moql
