#pragma once
/// The tokens of QMux as the options of a program have them.

#include <moql/binding/qmux_token.hpp>

#include <algorithm>

#include "../net/options.hpp"

namespace websocket {

struct agreed {
  moql::qmux::revision wire{};
  std::string protocol{};  ///< Empty: agreed on in-band.
  std::string token{};     ///< As it was said.
};

namespace detail {

/// Views of `o`'s tokens, and what of QMux fits to them: without a token only 01 and 02 can be agreed on.
template <class Options>
struct vocabulary {
  explicit vocabulary(const Options& o) : tokens(o.protocols.begin(), o.protocols.end()), spoken(o.qmux) {
    const bool has_in_band = std::find(tokens.begin(), tokens.end(), moql::in_band_protocol) != tokens.end();
    spoken.bare = spoken.bare && has_in_band;
    spoken.webtransport = spoken.webtransport && has_in_band;
  }
  std::vector<std::string_view> tokens;
  moql::qmux::spoken spoken;
};

[[nodiscard]] inline std::optional<agreed> known(const moql::result<moql::qmux::choice>& c) {
  if (!c) return {};
  char room[moql::qmux::token_bytes_max];
  return agreed{c->wire, std::string(c->protocol), std::string(*moql::qmux::build_token(*c, room))};
}

}  // namespace detail

/// The value of Sec-WebSocket-Protocol in a request.
[[nodiscard]] inline std::string offer_of(const net::dial_options& o) {
  const detail::vocabulary ours(o);
  char room[4096];
  return std::string(*moql::qmux::build_offer(ours.tokens, ours.spoken, room));
}
/// What the answer of a server means; none if it is not one of what was offered.
[[nodiscard]] inline std::optional<agreed> confirm(const net::dial_options& o, std::string_view answer) {
  const detail::vocabulary ours(o);
  return detail::known(moql::qmux::confirm(answer, ours.tokens, ours.spoken));
}
/// What to answer to a request. One that offers nothing speaks what came before QMux.
[[nodiscard]] inline std::optional<agreed> choose(const net::listen_options& o, std::string_view offered) {
  const detail::vocabulary ours(o);
  if (offered.empty() && ours.spoken.webtransport) return agreed{moql::qmux::revision::webtransport, {}, {}};
  return detail::known(moql::qmux::choose(offered, ours.tokens, ours.spoken));
}
/// For TLS, in its wire format: everything of QMux that has a token, and HTTP for the rest.
[[nodiscard]] inline std::string alpn_of(const net::listen_options& o) {
  const detail::vocabulary ours(o);
  moql::qmux::spoken spoken = ours.spoken;
  spoken.webtransport = false;
  std::string out;
  const auto add = [&](std::string_view token) { out += static_cast<char>(token.size()) + std::string(token); };
  moql::qmux::choices all(ours.tokens, spoken);
  char room[moql::qmux::token_bytes_max];
  while (const auto c = all.next()) add(*moql::qmux::build_token(*c, room));
  add("http/1.1");
  return out;
}

}  // namespace websocket
