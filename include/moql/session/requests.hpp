#pragma once
/// The peer's requests (SUBSCRIBE, FETCH, TRACK) as the publisher keeps them, and the group streams that answer them.

#include "../base/maybe_number.hpp"
#include "../delivery/lookup.hpp"
#include "../delivery/schedule.hpp"
#include "../stream/group_writer.hpp"
#include "track_infos.hpp"

namespace moql::detail {

enum class request_kind : std::uint8_t { subscribe, fetch, track };

/// What a subscriber wants, in less room than the message has: kept as long as the subscription.
struct kept_delivery {
  kept_delivery() noexcept = default;
  kept_delivery(const msg::delivery& d) noexcept
      : max_age_ms(d.max_age_ms),
        group_start(d.group_start),
        group_end(d.group_end),
        frame_start(d.frame_start),
        frame_end(d.frame_end),
        priority(d.priority),
        ordered(d.ordered) {}
  operator msg::delivery() const noexcept {
    return {priority, ordered, max_age_ms, group_start, group_end, frame_start, frame_end};
  }
  std::uint64_t max_age_ms = 0;
  maybe_number group_start{};
  maybe_number group_end{};
  std::uint64_t frame_start = 0;
  maybe_number frame_end{};
  std::uint8_t priority = 0;
  bool ordered = false;
};

/// There may be many thousands of these in a session: tests/footprint_test.cpp.
struct request {
  explicit request(memory m = {}) noexcept : handled(m) {}

  struct listener : cache_listener {
    class request_book* home = nullptr;
    std::uint32_t index = no_slot;
  };
  [[no_unique_address]] listener heard{};  // what follows fills its padding
  std::uint32_t opened_at = 0;             ///< When it last got a stream, by the count of those.
  std::uint64_t wire_id = 0;               ///< Subscribe ID.
  slot_handle stream{};
  std::uint64_t next_arrival = 0;              ///< Groups of the cache before it have been looked at.
  maybe_number start{};                        ///< Resolved.
  ranges handled;                              ///< Groups that were sent or dropped.
  [[no_unique_address]] kept_delivery want{};  ///< A FETCH keeps its priority, group and frame bounds here.
  request_kind kind{};
  bool is_serving : 1 = false;
  bool is_gone : 1 = false;
  bool was_told : 1 = false;  ///< The application has heard of it.
  bool was_empty : 1 =
      false;                  ///< The cache, when serving began: the first group that came since is the first one sent.
  bool is_dirty : 1 = false;  ///< In the list of requests whose cache changed.
  bool has_said_ok : 1 = false;
  bool has_said_start : 1 = false;
  bool has_said_end : 1 = false;
  flow_id writing = no_flow;
  std::uint32_t first_out = no_slot;  ///< Its group streams, and the answer to a FETCH.
  std::uint32_t names = no_slot;      ///< Until the application has heard them.

  [[nodiscard]] track_cache* cache() const noexcept { return heard.cache; }
  void recycle() noexcept {
    heard = {};
    wire_id = 0;
    stream = {};
    next_arrival = 0;
    start.reset();
    handled.clear();
    want = {};
    writing = no_flow;
    first_out = names = no_slot;
    opened_at = 0;
    is_serving = is_gone = was_told = was_empty = is_dirty = false;
    has_said_ok = has_said_start = has_said_end = false;
  }
};

/// One group on its way to one subscriber.
struct outgoing {
  explicit outgoing(memory = {}) noexcept {}
  group_writer cursor{};
  std::uint64_t sequence{};
  std::uint64_t size_when_blocked{};  ///< What the group held when the peer stopped reading.
  slot_handle stream{};               ///< Zero while it waits to be opened.
  std::uint32_t owner{no_slot};       ///< The request.
  std::uint32_t before{no_slot};
  std::uint32_t after{no_slot};
  bool is_opening{};  ///< The transport has been asked.
  void recycle() noexcept { *this = outgoing(); }
};

/// The order in which groups get their streams: smaller is sooner.
struct opening_key {
  std::uint64_t flow{};   ///< Inverted priorities over the time the subscription last got one.
  std::uint64_t group{};  ///< In the order that the subscription has.
  friend constexpr bool operator<(const opening_key& a, const opening_key& b) noexcept {
    return a.flow != b.flow ? a.flow < b.flow : a.group < b.group;
  }
  [[nodiscard]] constexpr std::uint16_t rank() const noexcept {
    return static_cast<std::uint16_t>(0xffffu - (flow >> 48));
  }
};

}  // namespace moql::detail
