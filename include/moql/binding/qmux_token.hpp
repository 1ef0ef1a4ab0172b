#pragma once
/// How wire revision and moq version are agreed on before the first byte: tokens of ALPN and of Sec-WebSocket-Protocol.
///
/// The deployed stacks write `qmux-02.moq-lite-06` for both at once, `qmux-02` for the wire alone (the moq version then
/// follows in-band) and `webtransport` for what came before QMux. Pure functions; views borrow from what they were
/// given.

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "../base/result.hpp"
#include "qmux_config.hpp"

namespace moql::qmux {

/// What a token stands for.
struct choice {
  revision wire{};
  std::string_view protocol{};  ///< The moq token; empty for a bare one.
  friend constexpr bool operator==(const choice&, const choice&) noexcept = default;
};

/// Which wire revisions we speak, and whether without a moq token too.
struct spoken {
  revision newest = revision::qmux02;
  revision oldest = revision::qmux00;  ///< Of those with a name `qmux-`.
  bool bare = true;                    ///< `qmux-NN` alone.
  bool webtransport = true;            ///< Only for WebSocket.
};

/// ALPN can say no more, and no token comes near it.
inline constexpr std::size_t token_bytes_max = 255;

namespace detail {
[[nodiscard]] constexpr std::string_view name_of(revision r) noexcept {
  constexpr std::string_view names[] = {"webtransport", "qmux-00", "qmux-01", "qmux-02"};
  return names[static_cast<std::size_t>(r)];
}
/// Whether `token` is the one for `c`, without writing it down.
[[nodiscard]] constexpr bool stands_for(std::string_view token, const choice& c) noexcept {
  const std::string_view name = name_of(c.wire);
  if (!token.starts_with(name)) return false;
  token.remove_prefix(name.size());
  return c.protocol.empty() ? token.empty() : token.starts_with('.') && token.substr(1) == c.protocol;
}
}  // namespace detail

/// Everything that can be agreed on, most wanted first: each of our moq tokens with each revision, newest first, then
/// the bare ones. `protocols` must outlive it.
class choices {
 public:
  constexpr choices(std::span<const std::string_view> protocols, const spoken& s) noexcept
      : protocols_(protocols), spoken_(s), at_(s.newest) {}
  [[nodiscard]] constexpr std::optional<choice> next() noexcept {
    const bool has_any = spoken_.newest >= spoken_.oldest && spoken_.oldest != revision::webtransport;
    if (!has_any || (which_ >= protocols_.size() && !spoken_.bare)) is_last_ = true;
    if (is_last_) return last();
    const choice c{at_, which_ < protocols_.size() ? protocols_[which_] : std::string_view{}};
    if (at_ != spoken_.oldest) {
      at_ = static_cast<revision>(static_cast<int>(at_) - 1);
    } else {
      at_ = spoken_.newest;
      is_last_ = ++which_ > protocols_.size();
    }
    return c;
  }

 private:
  constexpr std::optional<choice> last() noexcept {
    if (!spoken_.webtransport) return {};
    spoken_.webtransport = false;
    return choice{revision::webtransport, {}};
  }
  std::span<const std::string_view> protocols_;
  spoken spoken_;
  std::size_t which_ = 0;
  revision at_;
  bool is_last_ = false;
};

/// Writes the token of `c` to `out` and returns it. `errc::no_room`.
[[nodiscard]] constexpr result<std::string_view> build_token(const choice& c, std::span<char> out) noexcept {
  const std::string_view name = detail::name_of(c.wire);
  const std::size_t n = name.size() + (c.protocol.empty() ? 0 : 1 + c.protocol.size());
  if (n > out.size()) return errc::no_room;
  std::size_t i = 0;
  for (const char ch : name) out[i++] = ch;
  if (!c.protocol.empty()) out[i++] = '.';
  for (const char ch : c.protocol) out[i++] = ch;
  return std::string_view(out.data(), n);
}
/// Writes the value of Sec-WebSocket-Protocol for a client that offers all of that to `out`. `errc::no_room`.
[[nodiscard]] constexpr result<std::string_view> build_offer(std::span<const std::string_view> protocols,
                                                             const spoken& s, std::span<char> out) noexcept {
  std::size_t n = 0;
  choices all(protocols, s);
  while (const std::optional<choice> c = all.next()) {
    if (n != 0) {
      if (n + 2 > out.size()) return errc::no_room;
      out[n++] = ',';
      out[n++] = ' ';
    }
    const auto t = build_token(*c, out.subspan(n));
    if (!t) return t.error();
    n += t->size();
  }
  return std::string_view(out.data(), n);
}

/// Walks the tokens of Sec-WebSocket-Protocol. What is no token is passed over as one that nobody knows.
class token_list {
 public:
  explicit constexpr token_list(std::string_view field) noexcept : rest_(field) {}
  [[nodiscard]] constexpr std::optional<std::string_view> next() noexcept {
    while (!rest_.empty()) {
      const std::size_t comma = rest_.find(',');
      std::string_view t = rest_.substr(0, comma);
      rest_.remove_prefix(comma == rest_.npos ? rest_.size() : comma + 1);
      while (!t.empty() && (t.front() == ' ' || t.front() == '\t')) t.remove_prefix(1);
      while (!t.empty() && (t.back() == ' ' || t.back() == '\t')) t.remove_suffix(1);
      if (!t.empty()) return t;
    }
    return {};
  }

 private:
  std::string_view rest_;
};

/// What a token stands for, whoever wrote it; none if it is not one of this binding.
[[nodiscard]] constexpr std::optional<choice> parse_token(std::string_view token) noexcept {
  for (const revision r : {revision::qmux02, revision::qmux01, revision::qmux00}) {
    const std::string_view name = detail::name_of(r);
    if (token == name) return choice{r, {}};
    if (token.size() > name.size() + 1 && token.starts_with(name) && token[name.size()] == '.')
      return choice{r, token.substr(name.size() + 1)};
  }
  if (token == detail::name_of(revision::webtransport)) return choice{revision::webtransport, {}};
  return {};
}

/// Server: which of the offered tokens to answer with, by our own preference; build_token writes it.
/// `errc::no_common_version` if there is none: refuse, as the draft has it. (Deployed servers then go on with
/// `webtransport` and no token, which a client that offered some will not take.)
[[nodiscard]] constexpr result<choice> choose(std::string_view offered, std::span<const std::string_view> protocols,
                                              const spoken& s) noexcept {
  choices ours(protocols, s);
  while (const std::optional<choice> c = ours.next()) {
    token_list theirs(offered);
    while (const auto t = theirs.next())
      if (detail::stands_for(*t, *c)) return *c;
  }
  return errc::no_common_version;
}

/// Client: what the server's answer means. `errc::version_not_offered` for anything but one of what we offered, and for
/// no answer.
[[nodiscard]] constexpr result<choice> confirm(std::string_view answered, std::span<const std::string_view> protocols,
                                               const spoken& s) noexcept {
  choices ours(protocols, s);
  while (const std::optional<choice> c = ours.next())
    if (detail::stands_for(answered, *c)) return *c;
  return errc::version_not_offered;
}

}  // namespace moql::qmux
