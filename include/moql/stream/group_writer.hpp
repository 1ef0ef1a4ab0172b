#pragma once
/// A cursor over a cached group: what one subscriber (or one Fetch) still has to be sent. It is a position; what it
/// shows lies in the cache, and its own few bytes of header are made when they are shown. Draft 06 sections 7.19
/// and 7.20.

#include "../base/search.hpp"
#include "../delivery/track_cache.hpp"
#include "../message/stream_type.hpp"

namespace moql {

class group_writer {
 public:
  enum class state : std::uint8_t {
    data,     ///< There are pieces to write, or a FIN.
    idle,     ///< All that exists has been written: the group is still open, or its FIN is out.
    evicted,  ///< The cache dropped the group.
    aborted,  ///< The publisher gave the group up; `code` says why.
    short_,   ///< The first frame that was asked for is not to be had: the group ends or begins on its wrong side.
    failed,   ///< Memory ran out.
  };
  /// Pieces to write now, in order; valid until the cache changes or `wrote` is called. `fin`: nothing follows them,
  /// ever. `more`: others are there already; without it, and once these are written, a look is in vain until the cache
  /// changes.
  struct offer {
    std::span<const chunk> pieces{};
    bool fin{};
    bool more{};
  };
  /// Where an offer is put together when it cannot point straight into the cache.
  static constexpr std::size_t scratch_pieces = 8;
  struct scratch {
    std::array<chunk, scratch_pieces> pieces{};
    std::array<std::uint8_t, 2 * wire::varint_bytes_max + msg::group::body_bytes_max + msg::frame::bytes_max> head;
  };

  group_writer() noexcept = default;

  /// A Group stream for a subscription: stream type and GROUP come first.
  void start_group(slot_handle group, version v, std::uint64_t subscribe_id, std::uint64_t sequence,
                   std::uint64_t first_frame, std::optional<std::uint64_t> last_frame) noexcept {
    start(group, v, first_frame, last_frame);
    subscribe_id_ = subscribe_id;
    is_group_ = true;
    const msg::group m{.subscribe_id = subscribe_id, .sequence = sequence, .frame_start = first_frame};
    head_size_ = static_cast<std::uint8_t>(1 + measure(m, v).size);  // its type is one byte
  }
  /// The answer to a FETCH: frames alone.
  void start_fetch(slot_handle group, version v, std::uint64_t first_frame,
                   std::optional<std::uint64_t> last_frame) noexcept {
    start(group, v, first_frame, last_frame);
  }
  /// May come at any time. A frame that is under way is finished, whatever the new bound; after the FIN it is too late.
  void set_last_frame(std::optional<std::uint64_t> last) noexcept {
    last_frame_ = last.value_or(no_bound);
    settle();
  }

  [[nodiscard]] state look(track_cache& cache, scratch& room, offer& out) noexcept {
    if (!plain_) [[unlikely]]
      return look_closely(cache, room, out);
    cached_group* g = cache.group(group_);
    if (g == nullptr || g->state == group_state::aborted || !g->catch_up(layout_)) [[unlikely]]
      return look_closely(cache, room, out);
    const std::span<const chunk> log = g->logs[static_cast<std::size_t>(layout_)].pieces.view();
    return show(log, log.size(), g->state == group_state::complete, out);
  }
  /// Like `look`, without showing anything: `data` unless something is wrong.
  [[nodiscard]] state glance(track_cache& cache) noexcept {
    cached_group* g = cache.group(group_);
    if (g == nullptr) return state::evicted;
    if (g->state == group_state::aborted) return state::aborted;
    if (!g->catch_up(layout_)) return state::failed;
    return begun_ || begin(*g) ? state::data : state::short_;
  }
  /// The transport took `n` bytes of the last offer; `fin` if that was offered and all of it was taken.
  void wrote(track_cache& cache, std::size_t n, bool fin) noexcept {
    has_written_ = has_written_ || n != 0;
    fin_written_ = fin_written_ || fin;
    if (head_sent_ < head_size_) {
      const std::size_t left = static_cast<std::size_t>(head_size_ - head_sent_);
      const std::size_t taken = n < left ? n : left;
      head_sent_ = static_cast<std::uint8_t>(head_sent_ + taken);
      n -= taken;
    }
    if (cached_group* g = n != 0 ? cache.group(group_) : nullptr) {
      const chunk* at = g->logs[static_cast<std::size_t>(layout_)].pieces.data() + piece_;
      const chunk* const from = at;
      n += offset_;
      for (; n != 0 && n >= at->size; ++at) n -= at->size;
      offset_ = n;
      piece_ += static_cast<std::uint32_t>(at - from);
    }
    settle();
  }
  /// The transport took all of the last offer, its FIN too if there was one. Like `wrote`, without counting pieces.
  void wrote_all(const offer& o) noexcept {
    has_written_ = has_written_ || !o.pieces.empty();
    piece_ += offered_;
    if (plain_ && !o.fin) [[likely]]
      return;
    fin_written_ = fin_written_ || o.fin;
    head_sent_ = head_size_;
    offset_ = 0;
    settle();
  }
  /// Whether all of a complete group has been written, and only the FIN has not.
  [[nodiscard]] bool lacks_only_its_end(const cached_group& g) const noexcept {
    const wire_log& log = g.logs[static_cast<std::size_t>(layout_)];
    return plain_ && g.state == group_state::complete && piece_ == log.pieces.size() &&
           log.frames_done == g.frames.size() && log.parts_done == g.parts.size();
  }
  [[nodiscard]] slot_handle group() const noexcept { return group_; }
  [[nodiscard]] bool has_written() const noexcept { return has_written_; }
  /// Why the publisher gave the group up.
  [[nodiscard]] stream_code code(track_cache& cache) const noexcept {
    const cached_group* g = cache.group(group_);
    return g == nullptr ? stream_code::internal_error : g->abort_code;
  }

 private:
  static constexpr std::size_t offer_pieces = 64;
  static constexpr std::uint64_t no_bound = ~std::uint64_t{0};

  void start(slot_handle group, version v, std::uint64_t first, std::optional<std::uint64_t> last) noexcept {
    *this = {};
    group_ = group;
    version_ = v;
    layout_ = layout_of(v);
    first_frame_ = first;
    last_frame_ = last.value_or(no_bound);
  }
  /// In the log a later frame's delta is to its predecessor; on this stream it is the first and counts from 0.
  [[nodiscard]] static msg::frame restarted(const cached_frame& f) noexcept {
    return {.timestamp_delta = static_cast<std::int64_t>(f.timestamp), .size = f.size};
  }
  /// Our own bytes, all `head_size_` of them. The same every time: it takes more than one write to send them only when
  /// the transport is full, and that is not worth keeping them for.
  void make_head(const cached_group& g, std::uint8_t* to) const noexcept {
    if (is_group_) {
      wire::writer w{to};
      wire::put_varint(w, static_cast<std::uint64_t>(uni_type::group));
      const msg::group m{.subscribe_id = subscribe_id_, .sequence = g.sequence, .frame_start = first_frame_};
      to = encode_measured(m, version_, measure(m, version_), w.p);
    }
    if (!begun_ || first_frame_ == g.first_frame) return;
    const msg::frame m = restarted(g.frames[static_cast<std::size_t>(first_frame_ - g.first_frame)]);
    (void)encode_measured(m, version_, measure(m, version_), to);
  }

  /// Whether the shortest way is open: nothing of our own to send, no piece begun, no bound.
  void settle() noexcept {
    plain_ = begun_ && !fin_written_ && head_sent_ == head_size_ && offset_ == 0 && last_frame_ == no_bound;
  }
  MOQL_INLINE state show(std::span<const chunk> log, std::size_t end, bool whole, offer& out) noexcept {
    const std::size_t left = end - piece_;
    const std::size_t n = left < offer_pieces ? left : offer_pieces;
    offered_ = static_cast<std::uint8_t>(n);
    out = {log.subspan(piece_, n), whole && n == left, n != left};
    return n != 0 || whole ? state::data : state::idle;
  }
  MOQL_NOINLINE state look_closely(track_cache& cache, scratch& room, offer& out) noexcept {
    if (fin_written_) return state::idle;
    if (const state s = glance(cache); s != state::data) return s;
    const cached_group* g = cache.group(group_);
    const std::span<const chunk> log = g->logs[static_cast<std::size_t>(layout_)].pieces.view();
    std::size_t end = begun_ ? log.size() : piece_;
    bool whole = begun_ && g->state == group_state::complete;
    if (begun_ && last_frame_ < g->end_frame()) bound(*g, end, whole);
    settle();
    if (head_sent_ == head_size_ && offset_ == 0) return show(log, end, whole, out);
    assemble(*g, log, room, end, whole, out);
    return state::data;
  }
  /// Finds the first piece; false when there will never be one that was asked for.
  [[nodiscard]] bool begin(const cached_group& g) noexcept {
    if (first_frame_ < g.first_frame) return false;  // never a shorter run
    if (first_frame_ >= g.end_frame()) {
      if (g.state != group_state::complete) return true;
      begun_ = first_frame_ == 0;  // a group without frames
      return begun_;
    }
    const auto at = static_cast<std::size_t>(first_frame_ - g.first_frame);
    const cached_frame& f = g.frames[at];
    piece_ = f.first_piece[static_cast<std::size_t>(layout_)];
    if (at != 0) {
      head_size_ = static_cast<std::uint8_t>(head_size_ + measure(restarted(f), version_).size);
      ++piece_;
    }
    return begun_ = true;
  }
  /// Moves the end back to the last frame that is wanted.
  void bound(const cached_group& g, std::size_t& end, bool& whole) const noexcept {
    const bool is_none = last_frame_ < g.first_frame;
    std::size_t last = is_none ? 0 : static_cast<std::size_t>(last_frame_ - g.first_frame);
    end = is_none ? 0 : end_of(g, last);
    if (piece_ > end || (piece_ == end && offset_ != 0)) {  // the bound was lowered behind us
      last = frame_under_way(g);
      end = end_of(g, last);
    } else if (is_none) {
      whole = true;
      return;
    }
    whole = last + 1 < g.frames.size() || g.part_missing == 0;
  }
  /// What is left of our own header, what is left of a piece, and what follows.
  void assemble(const cached_group& g, std::span<const chunk> log, scratch& made, std::size_t end, bool whole,
                offer& out) noexcept {
    auto& room = made.pieces;
    std::size_t n = 0;
    std::size_t at = piece_;
    if (head_sent_ < head_size_) {
      make_head(g, made.head.data());
      room[n++] = {made.head.data() + head_sent_, static_cast<std::size_t>(head_size_ - head_sent_), nullptr};
    }
    if (offset_ != 0) {
      const chunk& c = log[at++];
      room[n++] = {c.data + offset_, c.size - offset_, c.owner};
    }
    while (n < room.size() && at < end) room[n++] = log[at++];
    offered_ = static_cast<std::uint8_t>(at - piece_);
    out = {std::span<const chunk>(room).first(n), whole && at == end, at != end};
  }
  /// One past the last piece of a frame that has a header in the log.
  [[nodiscard]] std::size_t end_of(const cached_group& g, std::size_t frame) const noexcept {
    const auto which = static_cast<std::size_t>(layout_);
    return frame + 1 == g.frames.size() ? g.logs[which].pieces.size() : g.frames[frame + 1].first_piece[which];
  }
  /// The frame that the last byte before the cursor belongs to; there is one.
  [[nodiscard]] std::size_t frame_under_way(const cached_group& g) const noexcept {
    const std::size_t piece = offset_ != 0 ? piece_ : piece_ - 1;
    const auto which = static_cast<std::size_t>(layout_);
    return first_not(1, g.frames.size(), [&](std::size_t i) { return g.frames[i].first_piece[which] <= piece; }) - 1;
  }

  slot_handle group_{};
  std::uint64_t subscribe_id_ = 0;
  std::uint64_t first_frame_ = 0;
  std::uint64_t last_frame_ = no_bound;
  std::size_t offset_ = 0;
  std::uint32_t piece_ = 0;
  std::uint8_t head_size_ = 0;
  std::uint8_t head_sent_ = 0;
  version version_ = lite06;
  frame_layout layout_ = frame_layout::timed;
  std::uint8_t offered_ = 0;  ///< Pieces of the log in the last offer.
  bool is_group_ = false;     ///< Has a type and a GROUP header.
  bool plain_ = false;
  bool begun_ = false;
  bool has_written_ = false;
  bool fin_written_ = false;
};

}  // namespace moql
