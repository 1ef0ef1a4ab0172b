#pragma once
/// Dials a URL over the transport that its scheme names.

#include "../quic/endpoint.hpp"
#include "../websocket/endpoint.hpp"
#include "../webtransport/endpoint.hpp"

namespace net {

/// The peer appears in `h` when the connection is up; if it never is, the program hears `on_unreachable`.
inline void dial(host& h, std::string_view text, const dial_options& o) {
  moql::url_error e;
  const auto u = moql::parse_url(text, &e);
  if (!u)
    return h.unreachable({false, std::string(text) + ": " + std::string(moql::text_of(e.what)) + " (byte " +
                                     std::to_string(e.at) + ")"});
  switch (u->id) {
    case moql::url_scheme::moqt:
    case moql::url_scheme::moql: return quic::dial(h, *u, o);
    case moql::url_scheme::https:
    case moql::url_scheme::http: return webtransport::dial(h, *u, o);
    case moql::url_scheme::wss:
    case moql::url_scheme::ws:
    case moql::url_scheme::tcp: return websocket::dial(h, *u, o);
  }
}

}  // namespace net
