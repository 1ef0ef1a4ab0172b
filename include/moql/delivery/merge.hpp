#pragma once
/// One track that arrives from several sources at once, put together in one cache: whatever comes first is kept, every
/// later copy is compared with it. Draft 06 sections 6.3.2 and 7.19.
///
/// What is held of a group ends at one place: so many frames, and so many bytes of the last one. A part of a copy that
/// lies before it is compared, one that reaches it extends the group, one beyond it is lost, because nothing is put
/// aside. So a source that stalls or breaks off costs nothing as long as another one brings the same group.

#include "track_cache.hpp"

namespace moql {

/// What came of a copy.
enum class copy : std::uint8_t {
  taken,        ///< It extended what is held.
  repeated,     ///< It is held already, or has been and has left the cache.
  conflicting,  ///< Another timestamp, size, payload or end than what is held, which stays.
  ahead,        ///< It lies beyond what is held.
  refused,      ///< Not comparable: before the first frame held, of a copy that conflicted, or there was no room.
};

/// The answers of `part` and `end`.
struct copy_counts {
  std::uint64_t taken = 0;
  std::uint64_t repeated = 0;
  std::uint64_t conflicting = 0;
  std::uint64_t ahead = 0;
  std::uint64_t refused = 0;
};

/// Sources are numbered by the caller; a number may be used again once `forget` has been called for it. The groups of
/// one source may interleave, and so may everything between sources. The cache must outlive the merge and let its
/// groups overlap (`track_options::overlapping`): otherwise a newer group would end one that is still arriving.
class track_merge {
 public:
  static constexpr std::size_t sources_max = 64;
  static constexpr std::size_t copies_max = 256;  ///< Of one source at a time.

  explicit track_merge(track_cache& cache, memory m = {}) noexcept
      : cache_(cache), memory_(m), copies_(m), by_sequence_(m), sources_(m) {
    expects(cache.options().overlapping);
  }
  track_merge(const track_merge&) = delete;
  track_merge& operator=(const track_merge&) = delete;

  /// A source starts to deliver a group, from the frame with index `first_frame` on. taken: the group is new and has
  /// been begun in the cache. repeated: it is held or has left the cache. refused: a copy of this source conflicted
  /// before, or the cache, the memory or a bound of ours said no; nothing of the copy will be taken then.
  [[nodiscard]] copy begin(std::uint32_t source, std::uint64_t sequence, std::uint64_t first_frame, instant now,
                           sent_by how = sent_by::stream) noexcept {
    if (const state* s = find(source, sequence); s != nullptr && cache_.group(s->group) != nullptr)
      return s->is_conflicting ? copy::refused : copy::repeated;
    const bool is_held = cache_.find(sequence) != nullptr;
    if (!is_held && has_left(sequence)) return copy::repeated;
    state* s = open(source, sequence, first_frame);
    if (s == nullptr) return copy::refused;
    if (!is_held && cache_.begin_group(sequence, now, how, first_frame) != errc::ok) {
      remove(*s);
      return copy::refused;
    }
    s->group = cache_.handle_of(sequence);
    return is_held ? copy::repeated : copy::taken;
  }
  /// Bytes of a source's copy: `payload` lies at `offset` in frame `frame` (its index in the group), which is `size`
  /// bytes long. A frame without payload is one empty part. Payload without an owner is copied, other payload shared.
  /// After `conflicting` all that follows of this source's copy of the group is refused.
  [[nodiscard]] copy part(std::uint32_t source, std::uint64_t sequence, std::uint64_t frame, std::uint64_t timestamp,
                          std::uint64_t size, std::uint64_t offset, bytes payload) noexcept {
    return count(place({source, sequence, frame, timestamp, size, offset, std::move(payload)}));
  }
  /// A source's copy ends where its group does. `frames_total`: the group's frames counted from index 0, where that is
  /// known; none: those that the source has delivered. taken: this completed the group. ahead: what is held is less
  /// than the source had, so the group stays open for others. conflicting: what is held goes on; it is neither cut nor
  /// completed. A copy that breaks off is not ended but given up.
  [[nodiscard]] copy end(std::uint32_t source, std::uint64_t sequence,
                         std::optional<std::uint64_t> frames_total = {}) noexcept {
    state* s = find(source, sequence);
    if (s == nullptr) return count(has_left(sequence) ? copy::repeated : copy::refused);
    const copy what = ending(*s, frames_total.value_or(s->frame));
    s->is_conflicting = s->is_conflicting || what == copy::conflicting;
    close(*s);
    return count(what);
  }
  /// A source's copy broke off. The group stays as it is; `carriers` says whether somebody still brings it.
  void give_up(std::uint32_t source, std::uint64_t sequence) noexcept {
    if (state* s = find(source, sequence)) close(*s);
  }
  /// A source has gone, with all its copies.
  void forget(std::uint32_t source) noexcept {
    copies_.for_each([&](slot_handle, state& s) {
      if (s.source == source) remove(s);
    });
  }

  [[nodiscard]] const copy_counts& counts() const noexcept { return counts_; }
  /// Sources whose copy of the group is under way and has not conflicted.
  [[nodiscard]] std::size_t carriers(std::uint64_t sequence) noexcept {
    std::size_t n = 0;
    by_sequence_.for_each(copies_, sequence, [&](const state& s) { n += s.is_open && !s.is_conflicting ? 1 : 0; });
    return n;
  }

 private:
  /// One source's copy of one group. One that conflicted is remembered past its end, until the group leaves the cache.
  struct state {
    explicit state(memory = {}) noexcept {}
    std::uint32_t source{};
    std::uint32_t self{};
    std::uint32_t next = slot_index::none;  ///< Another source's copy of the same group.
    bool is_open = true;
    bool is_conflicting = false;
    std::uint64_t sequence{};
    slot_handle group{};
    std::uint64_t frame{};  ///< How far the source has come: this frame,
    std::uint64_t byte{};   ///< and so many bytes of it.
    // Where the last comparison ended, so that a frame in many parts is not walked from its start for each.
    std::uint64_t seen_frame = ~std::uint64_t{0};
    std::uint64_t seen_byte{};  ///< Where `seen_part` begins in the frame.
    std::uint32_t seen_part{};
    void recycle() noexcept { *this = state{}; }
  };
  struct source_count {
    std::uint32_t source;
    std::uint32_t copies;
  };
  struct piece {
    std::uint32_t source;
    std::uint64_t sequence;
    std::uint64_t frame;
    std::uint64_t timestamp;
    std::uint64_t size;
    std::uint64_t offset;
    bytes payload;
  };

  [[nodiscard]] copy count(copy what) noexcept {
    switch (what) {
      case copy::taken: ++counts_.taken; break;
      case copy::repeated: ++counts_.repeated; break;
      case copy::conflicting: ++counts_.conflicting; break;
      case copy::ahead: ++counts_.ahead; break;
      case copy::refused: ++counts_.refused; break;
    }
    return what;
  }
  /// Whether the group was here or is known never to come.
  [[nodiscard]] bool has_left(std::uint64_t sequence) noexcept {
    return cache_.was_dropped(sequence) || cache_.why_missing(sequence) != stream_code::not_found;
  }

  // ---- comparing

  [[nodiscard]] copy place(piece p) noexcept {
    state* s = find(p.source, p.sequence);
    if (s == nullptr) return has_left(p.sequence) ? copy::repeated : copy::refused;
    cached_group* g = cache_.group(s->group);
    if (g == nullptr) {
      remove(*s);
      return copy::repeated;
    }
    if (s->is_conflicting || p.offset > p.size || p.payload.size() > p.size - p.offset) return copy::refused;
    advance(*s, p);
    if (p.frame < g->first_frame) return copy::refused;
    const copy what = p.frame < g->end_frame() ? compare(*s, *g, p) : extend(*g, p);
    s->is_conflicting = what == copy::conflicting;
    return what;
  }
  static void advance(state& s, const piece& p) noexcept {
    std::uint64_t frame = p.frame;
    std::uint64_t byte = p.offset + p.payload.size();
    if (byte == p.size) {
      ++frame;
      byte = 0;
    }
    if (frame < s.frame || (frame == s.frame && byte <= s.byte)) return;
    s.frame = frame;
    s.byte = byte;
  }
  /// A part of a frame that is held, or of which something is.
  [[nodiscard]] copy compare(state& s, cached_group& g, piece& p) noexcept {
    const auto at = static_cast<std::size_t>(p.frame - g.first_frame);
    const cached_frame& f = g.frames[at];
    if (f.timestamp != p.timestamp || f.size != p.size) return copy::conflicting;
    const std::uint64_t held = at + 1 == g.frames.size() ? f.size - g.part_missing : f.size;
    if (p.offset > held) return copy::ahead;
    const std::uint64_t left = held - p.offset;
    const std::size_t common = p.payload.size() < left ? p.payload.size() : static_cast<std::size_t>(left);
    if (!is_equal(s, g, f, p, common)) return copy::conflicting;
    if (common == p.payload.size()) return copy::repeated;
    if (g.state != group_state::open) return copy::refused;
    return append(g.sequence, p.payload.slice(common, p.payload.size() - common)) ? copy::taken : copy::refused;
  }
  [[nodiscard]] static bool is_equal(state& s, const cached_group& g, const cached_frame& f, const piece& p,
                                     std::size_t n) noexcept {
    if (s.seen_frame != p.frame || s.seen_byte > p.offset) {
      s.seen_frame = p.frame;
      s.seen_byte = 0;
      s.seen_part = f.first_part;
    }
    for (std::size_t done = 0; done < n;) {
      const bytes& part = g.parts[s.seen_part];
      const std::uint64_t from = p.offset + done - s.seen_byte;  // where we are in this part
      if (from >= part.size()) {
        s.seen_byte += part.size();
        ++s.seen_part;
        continue;
      }
      const std::size_t rest = part.size() - static_cast<std::size_t>(from);
      const std::size_t now = n - done < rest ? n - done : rest;
      if (std::memcmp(part.data() + from, p.payload.data() + done, now) != 0) return false;
      done += now;
    }
    return true;
  }
  /// A part of a frame of which nothing is held.
  [[nodiscard]] copy extend(cached_group& g, piece& p) noexcept {
    if (g.state == group_state::aborted) return copy::refused;
    if (g.state == group_state::complete) return copy::conflicting;  // what is held has ended
    if (p.frame != g.end_frame() || g.part_missing != 0 || p.offset != 0) return copy::ahead;
    const bool is_whole = p.payload.size() == p.size;
    if (!own(p.payload)) return copy::refused;
    if (is_whole)
      return cache_.append(g.sequence, p.timestamp, std::move(p.payload)) == errc::ok ? copy::taken : copy::refused;
    if (cache_.begin_frame(g.sequence, p.timestamp, p.size) != errc::ok) return copy::refused;
    return append(g.sequence, std::move(p.payload)) ? copy::taken : copy::refused;
  }
  [[nodiscard]] bool append(std::uint64_t sequence, bytes payload) noexcept {
    return own(payload) && cache_.append_part(sequence, std::move(payload)) == errc::ok;
  }
  [[nodiscard]] bool own(bytes& payload) noexcept {
    if (payload.empty() || payload.held_by() != nullptr) return true;
    payload = payload.clone(memory_);
    return payload.held_by() != nullptr;
  }
  [[nodiscard]] copy ending(const state& s, std::uint64_t frames) noexcept {
    cached_group* g = cache_.group(s.group);
    if (g == nullptr) return copy::repeated;
    if (s.is_conflicting || g->state == group_state::aborted) return copy::refused;
    if (frames > g->end_frame()) return g->state == group_state::complete ? copy::conflicting : copy::ahead;
    if (frames < g->end_frame()) return copy::conflicting;
    if (g->state == group_state::complete) return copy::repeated;
    if (g->part_missing != 0) return copy::ahead;  // all frames have begun, the last one has not all come
    return cache_.end_group(g->sequence) == errc::ok ? copy::taken : copy::refused;
  }

  // ---- books

  [[nodiscard]] state* find(std::uint32_t source, std::uint64_t sequence) noexcept {
    const std::uint32_t i = by_sequence_.find(copies_, sequence, [&](const state& s) { return s.source == source; });
    return i == slot_index::none ? nullptr : &copies_[i];
  }
  [[nodiscard]] source_count* count_of(std::uint32_t source) noexcept {
    for (source_count& c : sources_)
      if (c.source == source) return &c;
    return nullptr;
  }
  /// A fresh state, also in place of one whose group has left the cache. Null: no memory, or too many.
  [[nodiscard]] state* open(std::uint32_t source, std::uint64_t sequence, std::uint64_t first_frame) noexcept {
    if (state* stale = find(source, sequence)) remove(*stale);
    if (const source_count* c = count_of(source);
        c == nullptr ? sources_.size() >= sources_max : c->copies >= copies_max)
      sweep();
    source_count* c = count_of(source);
    if (c == nullptr ? sources_.size() >= sources_max : c->copies >= copies_max) return nullptr;
    if (c == nullptr && !sources_.reserve(sources_.size() + 1)) return nullptr;
    slot_handle h;
    state* s = copies_.take(h);
    if (s == nullptr) return nullptr;
    if (!by_sequence_.insert(copies_, sequence, h.index)) {
      copies_.give(h);
      return nullptr;
    }
    if (c == nullptr)
      (void)sources_.push({source, 1});  // the room is there
    else
      ++c->copies;
    s->source = source;
    s->self = h.index;
    s->sequence = sequence;
    s->frame = first_frame;
    return s;
  }
  void close(state& s) noexcept {
    s.is_open = false;
    if (!s.is_conflicting) remove(s);
  }
  void remove(state& s) noexcept {
    by_sequence_.erase(copies_, s.sequence, s.self);
    source_count* c = count_of(s.source);
    if (--c->copies == 0) sources_.erase(static_cast<std::size_t>(c - sources_.begin()));
    copies_.give(copies_.handle_of(s.self));
  }
  /// Lets go of the copies whose groups have left the cache.
  void sweep() noexcept {
    copies_.for_each([&](slot_handle, state& s) {
      if (cache_.group(s.group) == nullptr) remove(s);
    });
  }

  track_cache& cache_;
  memory memory_;
  slab<state> copies_;
  chained_index<state> by_sequence_;
  vec<source_count> sources_;
  copy_counts counts_{};
};

}  // namespace moql
