#pragma once
/// What the simulated applications wrote and what they heard, and whether the two agree. See sim.hpp.

#include <moql/adapter/loopback.hpp>
#include <moql/moql.hpp>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace testing::sim {

using namespace moql;

/// Where decisions come from: a seed, or the bytes of a fuzzer's input (0 once they are used up).
class choices {
 public:
  explicit choices(std::uint64_t seed) : state_(seed) {}
  explicit choices(byte_view input) : input_(input), is_bytes_(true) {}
  [[nodiscard]] std::uint64_t below(std::uint64_t n) {
    if (n <= 1) return 0;
    if (!is_bytes_) return random() % n;
    std::uint64_t v = 0;
    for (std::uint64_t room = 1; room < n && !input_.empty(); room <<= 8) {
      v = v << 8 | input_[0];
      input_ = input_.subspan(1);
      if (room > UINT64_MAX >> 9) break;
    }
    return v % n;
  }
  [[nodiscard]] std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }
  [[nodiscard]] bool chance(std::uint64_t percent) { return below(100) >= 100 - percent; }
  template <class T, std::size_t N>
  [[nodiscard]] const T& one_of(const T (&list)[N]) {
    return list[below(N)];
  }
  [[nodiscard]] bool is_empty() const { return is_bytes_ && input_.empty(); }

 private:
  std::uint64_t random() {  // splitmix64
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::uint64_t state_ = 0;
  byte_view input_{};
  bool is_bytes_ = false;
};

/// Memory that counts, and checks that every block comes back with its size.
struct balance {
  std::size_t blocks = 0;
  std::size_t bytes = 0;
  std::size_t requests = 0;
  std::size_t allowed = SIZE_MAX;  ///< The request with this number, from 0, fails; and all later ones unless `once`.
  bool once = false;
  bool sizes_match = true;
  memory_source source{+[](void* context, std::size_t size) noexcept -> void* {
                         auto& b = *static_cast<balance*>(context);
                         const std::size_t number = b.requests++;
                         if (b.once ? number == b.allowed : number >= b.allowed) return nullptr;
                         auto* p = static_cast<std::size_t*>(std::malloc(size + 16));
                         *p = size;
                         ++b.blocks;
                         b.bytes += size;
                         return p + 2;
                       },
                       +[](void* context, void* block, std::size_t size) noexcept {
                         auto& b = *static_cast<balance*>(context);
                         auto* p = static_cast<std::size_t*>(block) - 2;
                         b.sizes_match = b.sizes_match && *p == size;
                         --b.blocks;
                         b.bytes -= *p;
                         std::free(p);
                       },
                       this};
  balance() = default;
  balance(const balance&) = delete;
  balance& operator=(const balance&) = delete;
  [[nodiscard]] memory get() const noexcept { return {&source}; }
};

/// All payload is cut from one buffer of noise, so that any slice can be checked, and its shares are counted.
class noise : public owner {
 public:
  noise() {
    retain = +[](owner* o) noexcept { ++static_cast<noise*>(o)->shares_; };
    release = +[](owner* o) noexcept { --static_cast<noise*>(o)->shares_; };
  }
  static constexpr std::size_t size = 4 << 20;
  [[nodiscard]] static const std::uint8_t* data() {
    static const std::vector<std::uint8_t> all = [] {
      std::vector<std::uint8_t> v(size);
      choices random(42);
      for (std::uint8_t& b : v) b = static_cast<std::uint8_t>(random.below(256));
      return v;
    }();
    return all.data();
  }
  [[nodiscard]] bytes at(std::size_t from, std::size_t n) { return bytes::share({data() + from, n}, this); }
  /// Shares that somebody still holds.
  [[nodiscard]] std::size_t shares() const { return shares_; }

 private:
  std::size_t shares_ = 0;
};

struct sent_frame {
  std::uint64_t timestamp{};
  std::size_t from{};
  std::size_t size{};
};
struct sent_group {
  std::vector<sent_frame> frames{};
  group_state state = group_state::open;
  sent_by how = sent_by::stream;
  std::size_t part_missing = 0;
  std::size_t part_at = 0;
};
/// A track and everything that was ever written to it.
struct sent_track {
  std::string broadcast{}, name{};
  track_options options{};
  std::unique_ptr<track_cache> cache{};
  std::map<std::uint64_t, sent_group> groups{};
  std::uint64_t timestamp = 0;
  bool is_roomy = true;  ///< Nothing is evicted.
  bool has_drops = false;
  bool is_finished = false;
  std::uint64_t next = 0;  ///< One past the last group.
};

struct got_group {
  std::uint64_t next_frame = 0;
  std::uint64_t offset = 0;
  bool is_finished = false;
  bool by_datagram = false;
  errc why{};
};
/// A subscription and everything it heard.
struct watch {
  std::string broadcast{}, name{};
  sent_track* track = nullptr;  ///< Null as long as there is none of that name.
  std::vector<msg::delivery> wants{};
  std::map<std::uint64_t, got_group> groups{};
  std::vector<groups_lost> lost{};
  std::optional<std::uint64_t> start{};
  std::optional<std::uint64_t> end{};
  bool is_started = false;
  bool is_known = false;  ///< track_known was heard.
  bool is_left = false;
  bool is_closed = false;
  errc why{};

  [[nodiscard]] bool was_updated() const { return wants.size() > 1; }
  [[nodiscard]] bool ages(version v) const {
    for (const msg::delivery& w : wants)
      if (w.max_age_ms < 1'000'000) return has_ranges(v);
    return false;
  }
  [[nodiscard]] bool is_wanted(std::uint64_t sequence) const {  // by every version of the wish
    for (const msg::delivery& w : wants)
      if (sequence < w.group_start.value_or(0) || (w.group_end && sequence > *w.group_end)) return false;
    return true;
  }
  [[nodiscard]] bool is_cut_short(std::uint64_t sequence) const {
    for (const msg::delivery& w : wants)
      if ((w.frame_start != 0 && sequence == w.group_start.value_or(0)) || (w.frame_end && sequence == w.group_end))
        return true;
    return false;
  }
  [[nodiscard]] bool is_lost(std::uint64_t sequence) const {
    for (const groups_lost& l : lost)
      if (l.first <= sequence && sequence <= l.last) return true;
    return false;
  }
};
struct fetching {
  sent_track* track = nullptr;
  std::uint64_t group = 0;
  fetch_options options{};
  std::uint64_t next_frame = 0;
  std::uint64_t offset = 0;
  bool is_left = false;
  bool is_closed = false;
};

/// Whether a part of a frame is what was sent, and comes right behind what came before. Empty: yes.
inline std::string check_part(version v, const sent_track* t, std::uint64_t group, std::uint64_t& next_frame,
                              std::uint64_t& offset, std::uint64_t frame, std::uint64_t timestamp, std::uint64_t size,
                              std::uint64_t at, const bytes& payload) {
  if (t == nullptr) return "a frame of a track that does not exist";
  const auto g = t->groups.find(group);
  if (g == t->groups.end()) return "a frame of a group that was never begun";
  if (frame != next_frame) return "frame " + std::to_string(frame) + " instead of " + std::to_string(next_frame);
  if (frame >= g->second.frames.size()) return "a frame that was never sent";
  const sent_frame& f = g->second.frames[static_cast<std::size_t>(frame)];
  if (at != offset) return "a frame's parts do not abut";
  if (size != f.size) return "a frame of another size";
  if (timestamp != (has_timestamps(v) ? f.timestamp : 0)) return "another timestamp";
  if (payload.size() > size - at) return "a part beyond the frame's end";
  if (payload.empty() && size != 0) return "an empty part";
  if (!payload.empty() && std::memcmp(payload.data(), noise::data() + f.from + at, payload.size()) != 0)
    return "other bytes";
  offset += payload.size();
  if (offset == size) {
    offset = 0;
    ++next_frame;
  }
  return {};
}

/// What must hold for a subscription once all is quiet and no fault of the network was in play: every group that it
/// was owed is here, or there is a reason why not. Empty: all is well. `may_starve`: the network may have no stream
/// left for it.
inline std::string check_account(version v, const watch& w, bool may_starve) {
  if (w.track == nullptr || w.is_left || (w.is_closed && w.why != errc::ok) || !w.is_started) return {};
  const sent_track& t = *w.track;
  std::optional<std::uint64_t> first = w.start;
  if (!w.groups.empty() && (!first || w.groups.begin()->first < *first)) first = w.groups.begin()->first;
  const bool is_complete = t.is_roomy && !w.ages(v) && t.cache != nullptr;
  if (!first) {
    const bool is_owed = is_complete && !t.groups.empty() && !w.was_updated() && !w.wants[0].group_start &&
                         !w.wants[0].group_end && !(w.wants[0].frame_start != 0) && w.lost.empty();
    if (!is_owed) return {};
    const sent_group& latest = t.groups.rbegin()->second;
    if (latest.state != group_state::aborted && latest.how == sent_by::stream && !w.is_closed && !may_starve)
      return "no group of a track that has one";
    return {};
  }
  for (const auto& [sequence, g] : t.groups) {
    if (sequence < *first || !w.is_wanted(sequence)) continue;
    const std::string where = "group " + std::to_string(sequence) + ": ";
    const auto got = w.groups.find(sequence);
    if (got == w.groups.end()) {
      if (w.is_lost(sequence) || !is_complete || g.state == group_state::aborted) continue;
      if (has_datagrams(v) && g.how == sent_by::datagram && !w.is_closed) continue;
      if (w.is_cut_short(sequence) || may_starve) continue;
      return where + "neither delivered nor accounted for";
    }
    const got_group& h = got->second;
    if (h.by_datagram || w.is_cut_short(sequence)) continue;  // the latter may lack even its first frame
    if (h.is_finished && h.why != errc::ok) {
      if (is_complete && g.state != group_state::aborted && !w.was_updated()) return where + "reset without a reason";
      continue;
    }
    if (h.is_finished) {
      // One that is given up after its end is still whole for whoever has it.
      if (g.state == group_state::open || (g.state == group_state::complete && h.next_frame != g.frames.size()))
        return where + "ended too early";
      continue;
    }
    if (w.is_closed) return where + "begun, never finished, and the subscription is closed";
    if (g.state == group_state::complete && is_complete) return where + "complete, but its end was not heard";
    if (g.state == group_state::open && is_complete) {
      const std::size_t whole = g.frames.size() - (g.part_missing != 0 ? 1 : 0);
      if (h.next_frame != whole) return where + "frames are missing";
    }
  }
  return {};
}

}  // namespace testing::sim
