#pragma once
/// Every control stream as two tables: what the one who asks may send, and what the one who answers may send.
/// Draft 06 section 5; the Session stream is draft 02's.

#include "../message/announce.hpp"
#include "../message/fetch.hpp"
#include "../message/goaway.hpp"
#include "../message/probe.hpp"
#include "../message/session.hpp"
#include "../message/setup.hpp"
#include "../message/subscribe.hpp"
#include "../message/track.hpp"
#include "machine.hpp"

namespace moql {

/// Session stream (type 0x0), client: SESSION_CLIENT, then SESSION_UPDATE.
struct session_client_half : half_defaults {
  enum : std::uint8_t { fresh, open, done };
  using messages = message_types<msg::session_client, msg::session_update>;
  static constexpr transition rows[] = {
      {fresh, 0, open, before(lite03), "R-001"},
      {open, 1, open, before(lite03), "R-005"},
      {open, on_fin, done, before(lite03), "R-004"},
  };
};
/// Session stream, server: SESSION_SERVER, then SESSION_UPDATE.
struct session_server_half : half_defaults {
  enum : std::uint8_t { fresh, open, done };
  using messages = message_types<msg::session_server, msg::session_update>;
  static constexpr transition rows[] = {
      {fresh, 0, open, before(lite03), "R-002"},
      {open, 1, open, before(lite03), "R-005"},
      {open, on_fin, done, before(lite03), "R-004"},
  };
};
/// SessionCompat stream (type 0x20), client: CLIENT_SETUP, then SESSION_UPDATE. This is how 01 and 02 open in practice.
struct compat_client_half : half_defaults {
  enum : std::uint8_t { fresh, open, done };
  using messages = message_types<msg::client_setup, msg::session_update>;
  static constexpr transition rows[] = {
      {fresh, 0, open, before(lite03), "R-001"},
      {open, 1, open, before(lite03), "R-005"},
      {open, on_fin, done, before(lite03), "R-004"},
  };
};
/// SessionCompat stream, server: the byte 0x21, SERVER_SETUP, then SESSION_UPDATE.
struct compat_server_half : half_defaults {
  enum : std::uint8_t { fresh, open, done };
  static constexpr std::uint64_t lead = msg::server_setup::lead;
  using messages = message_types<msg::server_setup, msg::session_update>;
  static constexpr transition rows[] = {
      {fresh, 0, open, before(lite03), "R-002"},
      {open, 1, open, before(lite03), "R-005"},
      {open, on_fin, done, before(lite03), "R-004"},
  };
};

/// Setup stream (uni 0x1): one SETUP and the end.
struct setup_half : half_defaults {
  enum : std::uint8_t { fresh, sent, done };
  using messages = message_types<msg::setup>;
  static constexpr transition rows[] = {
      {fresh, 0, sent, since(lite05), "R-023"},
      {sent, on_fin, done, since(lite05), "R-023"},
  };
  static constexpr errc cut = errc::setup_cut;
  static constexpr errc violation(std::uint8_t, std::uint8_t) noexcept { return errc::setup_cut; }
};
/// The direction that does not exist, or in which nothing may come.
struct silent_half : half_defaults {
  enum : std::uint8_t { silent, done };
  using messages = message_types<>;
  static constexpr transition rows[] = {{silent, on_fin, done, always, "R-008"}};
};

/// Announce stream (0x1), subscriber: one request.
struct announce_ask_half : half_defaults {
  enum : std::uint8_t { fresh, asked, done };
  using messages = message_types<msg::announce_request>;
  static constexpr transition rows[] = {
      {fresh, 0, asked, always, "R-043"},
      {asked, on_fin, done, always, "R-008"},
  };
  static constexpr errc violation(std::uint8_t, std::uint8_t) noexcept { return errc::second_message; }
};
/// Announce stream, publisher: the version's opening reply, then announcements.
struct announce_tell_half : half_defaults {
  enum : std::uint8_t { opening, live, done };
  enum : std::uint8_t { init, ok, announce, start, end, update };
  using messages = message_types<msg::announce_init, msg::announce_ok, msg::announce, msg::announce_start,
                                 msg::announce_end, msg::announce_update>;
  static constexpr transition rows[] = {
      {opening, init, live, before(lite03), "R-050"},
      {opening, ok, live, since(lite05), "R-060"},
      {opening, announce, live, only(lite03, lite04), "R-043"},
      {live, announce, live, before(lite06), "R-054"},
      {live, start, live, since(lite06), "R-071"},
      {live, end, live, since(lite06), "R-076"},
      {live, update, live, since(lite06), "R-077"},
      {opening, on_fin, done, always, "R-045"},
      {live, on_fin, done, always, "R-045"},
  };
  /// The text is silent about announcement types to come; skipping by length is what lets them come.
  static constexpr bool skips_unknown = true;
  static constexpr std::size_t body_max(const limits& caps, version v) noexcept {
    return has_announce_init(v) ? caps.announce_init_bytes_max : caps.message_bytes_max;
  }
  static constexpr errc violation(std::uint8_t, std::uint8_t) noexcept { return errc::announce_before_ok; }
};

/// Subscribe stream (0x2), subscriber: SUBSCRIBE, then updates.
struct subscribe_ask_half : half_defaults {
  enum : std::uint8_t { fresh, open, done };
  using messages = message_types<msg::subscribe, msg::subscribe_update>;
  static constexpr transition rows[] = {
      {fresh, 0, open, always, "R-097"},
      {open, 1, open, always, "R-101"},
      {open, on_fin, done, always, "R-008"},
  };
};
/// Subscribe stream, publisher. On 05 and 06 a drop may come before anything else and an end without a start.
struct subscribe_answer_half : half_defaults {
  enum : std::uint8_t { waiting, live, ended, done };
  enum : std::uint8_t { ok, end, drop };
  using messages = message_types<msg::subscribe_ok, msg::subscribe_end, msg::subscribe_drop>;
  static constexpr transition rows[] = {
      {waiting, ok, live, always, "R-098"},
      {waiting, end, ended, since(lite05), "R-103"},
      {waiting, drop, waiting, since(lite05), "R-108"},
      {live, ok, live, only(lite03, lite04), "R-100"},
      {live, drop, live, since(lite03), "R-108"},
      {live, end, ended, since(lite05), "R-107"},
      {ended, drop, ended, since(lite05), "R-108"},
      {waiting, on_fin, done, always, "R-108"},
      {live, on_fin, done, always, "R-108"},
      {ended, on_fin, done, always, "R-108"},
  };
  static constexpr errc violation(std::uint8_t, std::uint8_t on) noexcept {
    return on == drop ? errc::drop_before_ok : on == ok ? errc::second_ok : errc::unexpected_message;
  }
};

/// Track stream (0x6), subscriber: one TRACK.
struct track_ask_half : half_defaults {
  enum : std::uint8_t { fresh, asked, done };
  using messages = message_types<msg::track>;
  static constexpr transition rows[] = {
      {fresh, 0, asked, since(lite05), "R-117"},
      {asked, on_fin, done, since(lite05), "R-008"},
  };
  static constexpr errc violation(std::uint8_t, std::uint8_t) noexcept { return errc::second_message; }
};
/// Track stream, publisher: one TRACK_INFO and the end.
struct track_answer_half : half_defaults {
  enum : std::uint8_t { waiting, told, done };
  using messages = message_types<msg::track_info>;
  static constexpr transition rows[] = {
      {waiting, 0, told, since(lite05), "R-117"},
      {told, on_fin, done, since(lite05), "R-117"},
  };
  static constexpr errc violation(std::uint8_t, std::uint8_t) noexcept { return errc::second_message; }
};

/// Fetch stream (0x3), subscriber: one FETCH. The answer is frames, see frame_reader.hpp.
struct fetch_ask_half : half_defaults {
  enum : std::uint8_t { fresh, asked, done };
  using messages = message_types<msg::fetch>;
  static constexpr transition rows[] = {
      {fresh, 0, asked, since(lite03), "R-127"},
      {asked, on_fin, done, since(lite03), "R-008"},
  };
  static constexpr errc violation(std::uint8_t, std::uint8_t) noexcept { return errc::second_message; }
};

/// Probe stream (0x4), either side: PROBE as often as it likes; deployed subscribers send none at all.
struct probe_half : half_defaults {
  enum : std::uint8_t { open, done };
  using messages = message_types<msg::probe>;
  static constexpr transition rows[] = {
      {open, 0, open, since(lite03), "R-151"},
      {open, on_fin, done, since(lite03), "R-008"},
  };
};

/// Goaway stream (0x5): one GOAWAY; its end says that the sender is ready to terminate.
struct goaway_half : half_defaults {
  enum : std::uint8_t { fresh, sent, done };
  using messages = message_types<msg::goaway>;
  static constexpr transition rows[] = {
      {fresh, 0, sent, since(lite04), "R-156"},
      {sent, on_fin, done, since(lite04), "R-158"},
  };
  static constexpr errc violation(std::uint8_t, std::uint8_t) noexcept { return errc::second_goaway; }
};

using session_client_side = exchange<session_client_half, session_server_half>;
using session_server_side = exchange<session_server_half, session_client_half>;
using compat_client_side = exchange<compat_client_half, compat_server_half>;
using compat_server_side = exchange<compat_server_half, compat_client_half>;
using setup_sender = exchange<setup_half, silent_half>;
using setup_receiver = exchange<silent_half, setup_half>;
using announce_asker = exchange<announce_ask_half, announce_tell_half>;
using announce_teller = exchange<announce_tell_half, announce_ask_half>;
using subscribe_asker = exchange<subscribe_ask_half, subscribe_answer_half>;
using subscribe_answerer = exchange<subscribe_answer_half, subscribe_ask_half>;
using track_asker = exchange<track_ask_half, track_answer_half>;
using track_answerer = exchange<track_answer_half, track_ask_half>;
using fetch_asker = exchange<fetch_ask_half, silent_half>;
using fetch_answerer = exchange<silent_half, fetch_ask_half>;
using prober = exchange<probe_half, probe_half>;
using goaway_sender = exchange<goaway_half, silent_half>;
using goaway_receiver = exchange<silent_half, goaway_half>;

}  // namespace moql
