#pragma once
/// What WebTransport over HTTP/3 asks of an endpoint besides a transport: how the version is agreed on in two header
/// fields, and how stream codes travel. Pure functions; the HTTP/3 stack is the caller's.
///
/// `WT-Available-Protocols` is a structured-field List of Strings in the client's order, `WT-Protocol` a String item
/// (RFC 9651). Field values only; several lines of the list are joined with a comma first, as HTTP says.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "../base/result.hpp"

namespace moql::webtransport {

/// A string as it stands between its quotes, its escapes still in place. Borrows from the field.
struct quoted {
  std::string_view raw{};
  friend constexpr bool operator==(const quoted& q, std::string_view s) noexcept {
    std::size_t i = 0;
    for (const char c : s) {
      if (i < q.raw.size() && q.raw[i] == '\\') ++i;
      if (i >= q.raw.size() || q.raw[i++] != c) return false;
    }
    return i == q.raw.size();
  }
  /// The string itself: a view of the field if it has no escapes, else of `out`. `errc::no_room` if that is too small.
  [[nodiscard]] constexpr result<std::string_view> plain(std::span<char> out) const noexcept {
    if (raw.find('\\') == raw.npos) return raw;
    std::size_t n = 0;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] == '\\') ++i;
      if (n == out.size()) return errc::no_room;
      out[n++] = raw[i];
    }
    return std::string_view(out.data(), n);
  }
};

namespace detail {
/// Reads the items of RFC 9651. Strings are what we want; parameters, which mean nothing here, may hold any type.
class field_reader {
 public:
  explicit constexpr field_reader(std::string_view s) noexcept : rest_(s) { skip(" "); }
  [[nodiscard]] constexpr bool at_end() const noexcept { return rest_.empty(); }
  constexpr void skip(std::string_view any_of) noexcept {
    const std::size_t n = rest_.find_first_not_of(any_of);
    rest_.remove_prefix(n == rest_.npos ? rest_.size() : n);
  }
  constexpr bool take(char c) noexcept {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  /// A String with its parameters.
  constexpr bool string_item(quoted& out) noexcept { return string(out) && parameters(); }

 private:
  static constexpr std::string_view lowers = "abcdefghijklmnopqrstuvwxyz";
  static constexpr std::string_view uppers = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  static constexpr std::string_view digits = "0123456789";
  static constexpr std::string_view hex = "0123456789abcdef";
  static constexpr bool among(char c, std::string_view a, std::string_view b, std::string_view d = {},
                              std::string_view e = {}) noexcept {
    return a.find(c) != a.npos || b.find(c) != b.npos || d.find(c) != d.npos || e.find(c) != e.npos;
  }
  template <class F>
  constexpr std::size_t take_while(F&& is) noexcept {
    std::size_t n = 0;
    while (n < rest_.size() && is(rest_[n])) ++n;
    rest_.remove_prefix(n);
    return n;
  }
  constexpr bool string(quoted& out) noexcept {
    if (!take('"')) return false;
    for (std::size_t i = 0; i < rest_.size(); ++i) {
      const char c = rest_[i];
      if (c == '"') {
        out.raw = rest_.substr(0, i);
        rest_.remove_prefix(i + 1);
        return true;
      }
      if (c < 0x20 || c > 0x7e) return false;
      if (c == '\\' && (++i == rest_.size() || (rest_[i] != '"' && rest_[i] != '\\'))) return false;
    }
    return false;
  }
  constexpr bool parameters() noexcept {
    while (take(';')) {
      skip(" ");
      if (rest_.empty() || !among(rest_.front(), lowers, "*")) return false;
      take_while([](char c) { return among(c, lowers, digits, "_-.*"); });
      if (take('=') && !bare_item()) return false;
    }
    return true;
  }
  constexpr bool bare_item() noexcept {
    if (rest_.empty()) return false;
    quoted q;
    switch (rest_.front()) {
      case '"': return string(q);
      case '?': return take('?') && (take('0') || take('1'));
      case '@': return take('@') && number(false);
      case ':':
        (void)take(':');
        take_while([](char c) { return among(c, lowers, uppers, digits, "+/="); });
        return take(':');
      case '%': return display_string();
      default: break;
    }
    if (!among(rest_.front(), lowers, uppers, "*")) return number(true);
    take_while([](char c) { return among(c, lowers, uppers, digits, "!#$%&'*+-.^_`|~:/"); });
    return true;
  }
  constexpr bool number(bool may_have_point) noexcept {
    const auto digit = [](char c) { return among(c, digits, {}); };
    (void)take('-');
    const std::size_t whole = take_while(digit);
    if (whole == 0 || whole > 15) return false;
    if (!may_have_point || !take('.')) return true;
    const std::size_t part = take_while(digit);
    return whole <= 12 && part >= 1 && part <= 3;
  }
  constexpr bool display_string() noexcept {
    if (!take('%') || !take('"')) return false;
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return true;
      if (c < 0x20 || c > 0x7e) return false;
      if (c != '%') continue;
      if (rest_.size() < 2 || hex.find(rest_[0]) == hex.npos || hex.find(rest_[1]) == hex.npos) return false;
      rest_.remove_prefix(2);
    }
    return false;
  }

  std::string_view rest_;
};

class field_writer {
 public:
  explicit constexpr field_writer(std::span<char> out) noexcept : out_(out) {}
  constexpr void put(char c) noexcept {
    if (size_ == out_.size()) return fail(errc::no_room);
    out_[size_++] = c;
  }
  constexpr void string(std::string_view s) noexcept {
    put('"');
    for (const char c : s) {
      if (c < 0x20 || c > 0x7e) return fail(errc::bad_argument);
      if (c == '"' || c == '\\') put('\\');
      put(c);
    }
    put('"');
  }
  [[nodiscard]] constexpr result<std::string_view> done() const noexcept {
    if (why_ != errc::ok) return why_;
    return std::string_view(out_.data(), size_);
  }

 private:
  constexpr void fail(errc e) noexcept {
    if (why_ != errc::bad_argument) why_ = e;
  }
  std::span<char> out_;
  std::size_t size_ = 0;
  errc why_ = errc::ok;
};
}  // namespace detail

/// Writes the value of `WT-Available-Protocols`, ours first to last, to `out` and returns it. Empty without tokens: the
/// field is then left away. `errc::bad_argument` for a token that is not printable ASCII, `errc::no_room`.
[[nodiscard]] constexpr result<std::string_view> build_offer(std::span<const std::string_view> tokens,
                                                             std::span<char> out) noexcept {
  detail::field_writer w(out);
  bool first = true;
  for (const std::string_view t : tokens) {
    if (!first) {
      w.put(',');
      w.put(' ');
    }
    first = false;
    w.string(t);
  }
  return w.done();
}
/// Writes the value of `WT-Protocol` to `out` and returns it. Errors as above.
[[nodiscard]] constexpr result<std::string_view> build_protocol(std::string_view token, std::span<char> out) noexcept {
  detail::field_writer w(out);
  w.string(token);
  return w.done();
}

/// Walks the strings of `WT-Available-Protocols`, the client's first choice first.
class offer {
 public:
  explicit constexpr offer(std::string_view field) noexcept : in_(field), more_(!in_.at_end()) {}
  /// The next one; none at the end, and none where the field is malformed. What came before a fault counts for nothing:
  /// RFC 9651 section 4.2 has the whole field ignored.
  [[nodiscard]] constexpr std::optional<quoted> next() noexcept {
    if (!more_ || malformed_) return {};
    quoted q;
    malformed_ = !in_.string_item(q);
    in_.skip(" \t");
    more_ = !malformed_ && !in_.at_end();
    if (more_) {
      malformed_ = !in_.take(',');
      in_.skip(" \t");
      malformed_ = malformed_ || in_.at_end();
    }
    if (malformed_) return {};
    return q;
  }
  [[nodiscard]] constexpr bool is_malformed() const noexcept { return malformed_; }

 private:
  detail::field_reader in_;
  bool more_;
  bool malformed_ = false;
};

/// The one string of `WT-Protocol`; `errc::bad_argument` if the field is malformed.
[[nodiscard]] constexpr result<quoted> parse_protocol(std::string_view field) noexcept {
  detail::field_reader in(field);
  quoted q;
  if (!in.string_item(q)) return errc::bad_argument;
  in.skip(" ");
  if (!in.at_end()) return errc::bad_argument;
  return q;
}

/// Whose order of preference counts. Deployed servers go by the client's.
enum class preference : std::uint8_t { client, server };

/// Server: the token to answer with, one of `ours`. Offered tokens that we do not know are skipped.
/// `errc::bad_argument` if the field is malformed. `errc::no_common_version` if nothing fits, also for an empty offer:
/// close with VERSION_NEGOTIATION_FAILED, or answer without `WT-Protocol` as deployed servers do and go on in-band.
[[nodiscard]] constexpr result<std::string_view> choose(std::string_view offered,
                                                        std::span<const std::string_view> ours,
                                                        preference by = preference::client) noexcept {
  std::size_t best = ours.size();
  bool decided = false;
  offer o(offered);
  while (const std::optional<quoted> q = o.next()) {
    for (std::size_t i = 0; i < best && !decided; ++i)
      if (*q == ours[i]) best = i;
    decided = by == preference::client && best != ours.size();
  }
  if (o.is_malformed()) return errc::bad_argument;
  if (best == ours.size()) return errc::no_common_version;
  return ours[best];
}

/// Client: which of the tokens it offered the server has named. `errc::bad_argument` if the field is malformed,
/// `errc::version_not_offered` for any other token. Without the field there is no token: go on in-band, or close.
[[nodiscard]] constexpr result<std::string_view> confirm(std::string_view answered,
                                                         std::span<const std::string_view> offered) noexcept {
  const result<quoted> q = parse_protocol(answered);
  if (!q) return q.error();
  for (const std::string_view t : offered)
    if (*q == t) return t;
  return errc::version_not_offered;
}

/// The range of HTTP/3 codes that stand for the stream codes of WebTransport, both ends included.
inline constexpr std::uint64_t first_http_code = 0x52e4a40fa8db;
inline constexpr std::uint64_t last_http_code = 0x52e5ac983162;

/// The HTTP/3 code that a RESET_STREAM or STOP_SENDING carries for our stream code. Every 31st number of the range is
/// left out, for HTTP/3 reserves it. Session codes are not mapped: they travel in a capsule.
[[nodiscard]] constexpr std::uint64_t http_code(std::uint32_t code) noexcept {
  return first_http_code + code + code / 0x1e;
}
static_assert(http_code(0xffffffff) == last_http_code);

/// The stream code behind an HTTP/3 code; none if it is not one of ours (`no_code` towards the session).
[[nodiscard]] constexpr std::optional<std::uint32_t> stream_code_of(std::uint64_t http) noexcept {
  if (http < first_http_code || http > last_http_code || (http - 0x21) % 0x1f == 0) return {};
  const std::uint64_t n = http - first_http_code;
  return static_cast<std::uint32_t>(n - n / 0x1f);
}

}  // namespace moql::webtransport
