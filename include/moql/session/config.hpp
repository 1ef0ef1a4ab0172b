#pragma once
/// How a session is set up, and the handles it gives out.

#include <optional>
#include <string_view>

#include "../base/limits.hpp"
#include "../base/memory.hpp"
#include "../base/slab.hpp"
#include "../base/text.hpp"
#include "../base/version.hpp"

namespace moql {

/// Who dialled. Publisher and subscriber roles exist on both ends whichever it was.
enum class endpoint : std::uint8_t { client, server };

/// The four bindings of draft 06 section 4.2.
enum class binding : std::uint8_t { quic = 1, webtransport = 2, qmux_tls = 3, qmux_websocket = 4 };
/// Whether the binding carries a request URI of its own: then SETUP must not carry a Path.
[[nodiscard]] constexpr bool carries_uri(binding b) noexcept {
  return b == binding::webtransport || b == binding::qmux_websocket;
}
/// Datagrams are for bindings 1 and 2 only (draft 06 section 4.2).
[[nodiscard]] constexpr bool carries_datagrams(binding b) noexcept {
  return b == binding::quic || b == binding::webtransport;
}

/// SETUP Probe (draft 06 section 7.3.1): whether a publisher measures, and whether it pads to measure.
enum class probe_level : std::uint8_t { none, report, increase };
/// SETUP Role (draft 06 section 7.3.3): what a client means to do.
enum class intent : std::uint8_t { both, publisher, subscriber };

/// Strings are copied when the session is made.
struct config {
  endpoint side = endpoint::client;
  binding over = binding::quic;
  version_set versions = always;  ///< What we accept; in-band (01, 02) also what we offer, newest first.
  /// Client, bindings 1 and 3: path and query of the URL. Empty on 06 sends none; 05 needs one that starts with '/'.
  std::string_view path{};
  intent role = intent::both;             ///< Client, 05 on; `both` is not sent.
  std::uint64_t hop = 0;                  ///< Our Hop ID, a random number of the caller's below 2^53; 0 withholds it.
  std::optional<std::uint64_t> cost{};    ///< Price of our egress, 06; absent is 1.
  probe_level probe = probe_level::none;  ///< What we offer as a publisher, 05 on; on 03 and 04 whether we answer.
  bool draft_opening =
      false;  ///< 01 and 02, client: open as the texts say (SESSION_CLIENT). No deployed server answers that.
  bool require_path = false;  ///< Server, 05, bindings 1 and 3: a client without Path is refused (R-031).
  /// A random number of the caller's: then a peer cannot choose paths and names that take long to tell apart.
  std::uint64_t hash_seed = 0;
  prefix_rule prefixes = prefix_rule::segments;  ///< `bytes` is what the texts of 01 to 05 say and nobody does.
  bool strict_ended = false;                     ///< 01 to 04: `ended` for an unknown path resets the stream (R-053).
  /// Publisher: keep opening group streams for accepted subscriptions after the peer's GOAWAY. The draft forbids any
  /// new stream; a peer that drains slowly may still want them.
  bool groups_after_goaway = false;
  limits caps{};
};

namespace detail {
template <class Id>
[[nodiscard]] constexpr slot_handle slot_of(Id id) noexcept {
  return slot_handle::unpack(static_cast<std::uint64_t>(id));
}
template <class Id>
[[nodiscard]] constexpr Id id_of(slot_handle h) noexcept {
  return static_cast<Id>(h.packed());
}
}  // namespace detail

// Handles. 0 names nothing; one whose object is gone is reported to the caller as `errc::stale_handle`.
enum class interest_id : std::uint64_t {};      ///< A prefix we want to hear about.
enum class announcement_id : std::uint64_t {};  ///< A broadcast or route that we announce.
enum class subscription_id : std::uint64_t {};  ///< A track we subscribe to.
enum class fetch_id : std::uint64_t {};         ///< A group we fetch.
enum class track_query_id : std::uint64_t {};   ///< TRACK_INFO that we asked for by itself.
enum class request_id : std::uint64_t {};       ///< A SUBSCRIBE, FETCH or TRACK of the peer's.

}  // namespace moql
