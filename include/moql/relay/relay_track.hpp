#pragma once
/// A track as a relay passes it on: where it comes from, who reads it, and what is asked for on behalf of them.

#include "../delivery/merge.hpp"
#include "relay_peers.hpp"

namespace moql::detail {

/// How a peer is asked for a broadcast: by the path that it announced, as it spells it, and what lies behind that.
/// Empty when memory ran out; otherwise valid until `room` or the table of routes changes.
[[nodiscard]] inline std::string_view spelled_for(const route_view& v, std::string_view broadcast,
                                                  vec<char>& room) noexcept {
  std::string_view rest;
  if (!covers(v.path, broadcast, prefix_rule::segments, rest)) return broadcast;
  if (rest.empty()) return v.path;
  room.clear();
  char* to = room.extend(v.path.size() + rest.size() + 1);
  return to == nullptr ? std::string_view() : std::string_view(to, join(v.path, rest, prefix_rule::segments, to));
}

/// What a set of subscribers wants of a track together (R-175 leaves the priority to the publisher).
struct track_wish {
  std::uint8_t priority = 0;
  std::uint64_t max_age_ms = 0;
  bool wants_all = false;                ///< Somebody named no start: what is young enough, or the latest.
  std::optional<std::uint64_t> start{};  ///< The lowest that somebody named.
  std::optional<std::uint64_t> end{};    ///< The highest, if all of them end.
  bool is_empty = true;

  /// One subscription's wish, in the terms of its version.
  [[nodiscard]] static constexpr track_wish of(version v, const msg::delivery& want) noexcept {
    track_wish w;
    w.is_empty = false;
    w.priority = want.priority;
    w.max_age_ms = has_ranges(v) ? want.max_age_ms : for_ever_ms;  // 01 and 02 know no age
    w.wants_all = !want.group_start;
    w.start = want.group_start;
    w.end = want.group_end;
    return w;
  }
  constexpr void add(const track_wish& o) noexcept {
    if (is_empty) {
      *this = o;
      return;
    }
    if (o.priority > priority) priority = o.priority;
    if (o.max_age_ms > max_age_ms) max_age_ms = o.max_age_ms;
    wants_all = wants_all || o.wants_all;
    if (o.start && (!start || *o.start < *start)) start = o.start;
    if (!o.end || (end && *o.end > *end)) end = o.end;
  }
  friend constexpr bool operator==(const track_wish&, const track_wish&) noexcept = default;
};

/// A subscription of ours.
struct track_source {
  explicit track_source(memory m = {}) noexcept : hops(m), early(m), lost(m) {}
  slot_handle peer{};
  subscription_id subscription{};
  std::uint32_t number = 0;  ///< In the merge.
  version ver{};
  vec<std::uint64_t> hops;      ///< The route when it was chosen: who may be served from it (R-082).
  std::uint64_t origin = 0;     ///< The first of them; 0 when it is unknown, or has come to be.
  route_id route{};             ///< The announcement that led to it.
  std::size_t prefix_size = 0;  ///< Of the announced path that led to it.
  bool is_accepted = false;     ///< It has said where it starts, or begun.
  std::uint64_t start = 0;      ///< Its first group, once accepted.
  bool has_begun = false;       ///< A group of it has come.
  bool is_known = false;        ///< It has answered TRACK.
  bool is_leaving = false;      ///< Another one has taken over; it finishes what it began.
  bool is_stamped = true;       ///< Its frames carry timestamps in the track's timescale.
  msg::delivery asked{};
  struct begun {
    std::uint64_t sequence;
    std::uint64_t first_frame;
  };
  vec<begun> early;  ///< Groups that began before the track's properties were known.
  ranges lost;       ///< What it said will not come from it.
};

/// A request of a peer's for a track: SUBSCRIBE, or a TRACK that waits for the track's properties.
struct track_reader {
  explicit track_reader(memory = {}) noexcept {}
  request_id request{};
  slot_handle peer{};
  std::uint32_t self = no_slot;
  std::uint32_t track = no_slot;
  std::uint32_t before = no_slot, after = no_slot;
  bool is_question = false;  ///< TRACK.
  void recycle() noexcept {
    track = before = after = no_slot;
    is_question = false;
  }
};

struct relayed_track {
  explicit relayed_track(memory m = {}) noexcept : mem(m), broadcast(m), name(m), sources(m) {}
  memory mem;
  std::uint64_t key = 0;
  std::uint32_t next = no_slot;  ///< Another one with the same key.
  scope_id scope{};
  slot_handle self{};
  slot_handle opener{};  ///< The peer that made us ask.
  vec<char> broadcast;   ///< As it was asked for.
  vec<char> name;
  std::uint64_t origin = 0;  ///< Who produces it: the first hop of its route; 0 is unknown.
  vec<track_source> sources;
  std::uint32_t next_number = 0;
  std::optional<track_cache> cache{};  ///< Once the track's properties are known.
  std::optional<track_merge> merge{};
  std::optional<std::uint8_t> publisher_priority{};
  bool is_timed = false;     ///< The cache's timescale is the publisher's, not ours.
  bool is_finished = false;  ///< Upstream is done; readers take what is left.
  bool is_retired = false;   ///< Nobody joins: it has ended, or the path has come to be another producer's.
  bool has_retried = false;  ///< R-091.
  /// The best way refused, and another one has been asked. That is not what we announce: those on it may have turned to
  /// us likewise, and then all wait for one another.
  bool is_detour = false;
  unsigned attempts = 0;  ///< Sources tried since one has answered.
  bool has_stamped = false;
  std::uint64_t newest_timestamp = 0;  ///< And when that came.
  instant stamped_at{};
  track_wish wish{};
  std::uint32_t first_reader = no_slot;
  std::size_t readers = 0;

  [[nodiscard]] std::string_view broadcast_view() const noexcept { return {broadcast.data(), broadcast.size()}; }
  [[nodiscard]] std::string_view name_view() const noexcept { return {name.data(), name.size()}; }
  [[nodiscard]] track_source* source_of(slot_handle peer, subscription_id id) noexcept {
    for (track_source& s : sources)
      if (s.peer == peer && s.subscription == id) return &s;
    return nullptr;
  }
  [[nodiscard]] track_source* source_numbered(std::uint32_t number) noexcept {
    for (track_source& s : sources)
      if (s.number == number) return &s;
    return nullptr;
  }
  /// The source that is not on its way out; the newest if there are two.
  [[nodiscard]] track_source* current() noexcept {
    for (std::size_t i = sources.size(); i-- > 0;)
      if (!sources[i].is_leaving) return &sources[i];
    return nullptr;
  }
  void recycle() noexcept {
    merge.reset();
    cache.reset();
    broadcast.clear();
    name.clear();
    sources.clear();
    opener = {};
    origin = 0;
    next_number = 0;
    publisher_priority.reset();
    is_timed = is_finished = is_retired = is_detour = has_retried = has_stamped = false;
    attempts = 0;
    newest_timestamp = 0;
    wish = {};
    next = first_reader = no_slot;
    readers = 0;
  }
};

}  // namespace moql::detail
