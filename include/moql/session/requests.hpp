#pragma once
/// The peer's requests (SUBSCRIBE, FETCH, TRACK) as the publisher keeps them, and the group streams that answer them.

#include "../delivery/lookup.hpp"
#include "../delivery/schedule.hpp"
#include "../stream/group_writer.hpp"
#include "track_infos.hpp"

namespace moql::detail {

enum class request_kind : std::uint8_t { subscribe, fetch, track };

struct request {
  explicit request(memory m = {}) noexcept : names(m), handled(m) {}

  request_kind kind{};
  track_names names;
  msg::delivery want{};       ///< A FETCH keeps its priority and frame bounds here.
  std::uint64_t wire_id = 0;  ///< Subscribe ID.
  std::uint64_t group = 0;    ///< FETCH.
  slot_handle stream{};
  bool is_serving = false;
  bool is_gone = false;
  bool was_told = false;   ///< The application has heard of it.
  bool was_empty = false;  ///< The cache, when serving began: the first group that came since is the first one sent.
  bool is_dirty = false;   ///< In the list of requests whose cache changed.

  struct listener : cache_listener {
    class request_book* home = nullptr;
    slot_handle self{};
  } heard;
  std::uint64_t next_arrival = 0;        ///< Groups of the cache before it have been looked at.
  std::optional<std::uint64_t> start{};  ///< Resolved.
  ranges handled;                        ///< Groups that were sent or dropped.
  bool has_said_ok = false;
  bool has_said_start = false;
  bool has_said_end = false;
  flow_id writing = no_flow;
  flow_id opening = no_flow;
  std::uint32_t first_out = no_slot;  ///< Its group streams, and the answer to a FETCH.

  [[nodiscard]] track_cache* cache() const noexcept { return heard.cache; }
  void recycle() noexcept {
    names.clear();
    want = {};
    stream = {};
    is_serving = is_gone = was_told = was_empty = is_dirty = false;
    heard = {};
    next_arrival = 0;
    start.reset();
    handled.clear();
    has_said_ok = has_said_start = has_said_end = false;
    writing = opening = no_flow;
    first_out = no_slot;
  }
};

/// One group on its way to one subscriber.
struct outgoing {
  explicit outgoing(memory = {}) noexcept {}
  group_writer cursor{};
  std::uint32_t owner{no_slot};  ///< The request.
  std::uint64_t sequence{};
  slot_handle stream{};               ///< Zero while it waits to be opened.
  bool is_opening{};                  ///< The transport has been asked.
  std::uint64_t size_when_blocked{};  ///< What the group held when the peer stopped reading.
  std::uint32_t before{no_slot};
  std::uint32_t after{no_slot};
  void recycle() noexcept {
    cursor = {};
    owner = before = after = no_slot;
    stream = {};
    is_opening = false;
    size_when_blocked = 0;
  }
};

}  // namespace moql::detail
