#pragma once
/// A cursor over a cached group: what one subscriber (or one Fetch) still has to be sent. It owns a header of a few
/// bytes and a position; everything else it shows lies in the cache. Draft 06 sections 7.19 and 7.20.

#include "../delivery/track_cache.hpp"
#include "../message/stream_type.hpp"

namespace moql {

class group_writer {
 public:
  enum class state : std::uint8_t {
    data,     ///< There are pieces to write, or a FIN.
    idle,     ///< All that exists has been written: the group is still open, or its FIN is out.
    evicted,  ///< The cache dropped the group.
    aborted,  ///< The publisher gave the group up; its code is `code()`.
    short_,   ///< The group ended before the first frame that was asked for.
    failed,   ///< Memory ran out.
  };
  /// Pieces to write now, in order; valid until the cache changes or `wrote` is called. `fin`: nothing follows them.
  struct offer {
    std::span<const chunk> pieces{};
    bool fin{};
  };
  /// Where an offer is put together when it cannot point straight into the cache.
  static constexpr std::size_t scratch_pieces = 8;
  using scratch = std::array<chunk, scratch_pieces>;

  group_writer() noexcept = default;

  /// A Group stream for a subscription: stream type and GROUP come first.
  void start_group(slot_handle group, version v, std::uint64_t subscribe_id, std::uint64_t sequence,
                   std::uint64_t first_frame, std::optional<std::uint64_t> last_frame) noexcept {
    start(group, v, first_frame, last_frame);
    wire::writer w{head_.data()};
    wire::put_varint(w, static_cast<std::uint64_t>(uni_type::group));
    const msg::group m{.subscribe_id = subscribe_id, .sequence = sequence, .frame_start = first_frame};
    w.p = encode_measured(m, v, measure(m, v), w.p);
    head_size_ = static_cast<std::uint8_t>(w.p - head_.data());
  }
  /// The answer to a FETCH: frames alone.
  void start_fetch(slot_handle group, version v, std::uint64_t first_frame,
                   std::optional<std::uint64_t> last_frame) noexcept {
    start(group, v, first_frame, last_frame);
  }
  /// May come at any time. A frame that is under way is finished, whatever the new bound; after the FIN it is too late.
  void set_last_frame(std::optional<std::uint64_t> last) noexcept { last_frame_ = last; }

  [[nodiscard]] state look(track_cache& cache, scratch& room, offer& out) noexcept {
    if (fin_written_) return state::idle;
    cached_group* g = cache.group(group_);
    if (g == nullptr) return state::evicted;
    if (g->state == group_state::aborted) {
      code_ = g->abort_code;
      return state::aborted;
    }
    if (!g->catch_up(layout_)) [[unlikely]] return state::failed;
    if (!begun_ && !begin(*g)) [[unlikely]] return state::short_;
    const std::span<const chunk> log = g->logs[static_cast<std::size_t>(layout_)].pieces.view();
    std::size_t end = begun_ ? log.size() : piece_;
    bool whole = begun_ && g->state == group_state::complete;
    if (last_frame_) bound(*g, end, whole);
    if (head_sent_ < head_size_ || offset_ != 0) [[unlikely]] {
      assemble(log, room, end, whole, out);
      return state::data;
    }
    const std::size_t n = end - piece_ < offer_pieces ? end - piece_ : offer_pieces;
    out = {log.subspan(piece_, n), whole && piece_ + n == end};
    return n != 0 || whole ? state::data : state::idle;
  }
  /// The transport took `n` bytes of the last offer; `fin` if that was offered and all of it was taken.
  void wrote(track_cache& cache, std::size_t n, bool fin) noexcept {
    has_written_ = has_written_ || n != 0;
    if (head_sent_ < head_size_) {
      const std::size_t left = static_cast<std::size_t>(head_size_ - head_sent_);
      const std::size_t taken = n < left ? n : left;
      head_sent_ = static_cast<std::uint8_t>(head_sent_ + taken);
      n -= taken;
    }
    if (cached_group* g = cache.group(group_)) {
      const auto& log = g->logs[static_cast<std::size_t>(layout_)].pieces;
      while (n != 0) {
        const std::size_t left = log[piece_].size - offset_;
        if (n < left) {
          offset_ += n;
          n = 0;
        } else {
          n -= left;
          offset_ = 0;
          ++piece_;
        }
      }
      // Pieces without bytes (none today, but a cache may hold them) must not be offered for ever.
      while (offset_ == 0 && begun_ && head_sent_ == head_size_ && piece_ < log.size() && log[piece_].size == 0) ++piece_;
    }
    fin_written_ = fin_written_ || fin;
  }
  [[nodiscard]] slot_handle group() const noexcept { return group_; }
  [[nodiscard]] bool has_written() const noexcept { return has_written_; }
  [[nodiscard]] stream_code code() const noexcept { return code_; }

 private:
  static constexpr std::size_t offer_pieces = 64;

  void start(slot_handle group, version v, std::uint64_t first, std::optional<std::uint64_t> last) noexcept {
    *this = {};
    group_ = group;
    version_ = v;
    layout_ = layout_of(v);
    first_frame_ = first;
    last_frame_ = last;
  }
  /// In the log a later frame's delta is to its predecessor; on this stream it is the first and counts from 0.
  void restart_delta(const cached_frame& f) noexcept {
    const msg::frame m{.timestamp_delta = static_cast<std::int64_t>(f.timestamp), .size = f.size};
    std::uint8_t* to = head_.data() + head_size_;
    head_size_ = static_cast<std::uint8_t>(encode_measured(m, version_, measure(m, version_), to) - head_.data());
  }

  /// Finds the first piece; false when there will never be one that was asked for.
  MOQL_NOINLINE bool begin(const cached_group& g) noexcept {
    if (first_frame_ >= g.frames.size()) {
      if (g.state != group_state::complete) return true;
      begun_ = first_frame_ == 0;  // a group without frames
      return begun_;
    }
    const cached_frame& f = g.frames[static_cast<std::size_t>(first_frame_)];
    piece_ = f.first_piece[static_cast<std::size_t>(layout_)];
    if (first_frame_ != 0) {
      restart_delta(f);
      ++piece_;
    }
    return begun_ = true;
  }
  /// Moves the end back to the last frame that is wanted.
  MOQL_NOINLINE void bound(const cached_group& g, std::size_t& end, bool& whole) const noexcept {
    if (!begun_ || *last_frame_ >= g.frames.size()) return;
    auto last = static_cast<std::size_t>(*last_frame_);
    end = end_of(g, last);
    if (piece_ > end || (piece_ == end && offset_ != 0)) {  // the bound was lowered behind us
      last = frame_under_way(g);
      end = end_of(g, last);
    }
    whole = last + 1 < g.frames.size() || g.part_missing == 0;
  }
  /// What is left of our own header, what is left of a piece, and what follows.
  MOQL_NOINLINE void assemble(std::span<const chunk> log, scratch& room, std::size_t end, bool whole,
                              offer& out) const noexcept {
    std::size_t n = 0;
    std::size_t at = piece_;
    if (head_sent_ < head_size_)
      room[n++] = {head_.data() + head_sent_, static_cast<std::size_t>(head_size_ - head_sent_), nullptr};
    if (offset_ != 0) {
      const chunk& c = log[at++];
      room[n++] = {c.data + offset_, c.size - offset_, c.owner};
    }
    while (n < room.size() && at < end) room[n++] = log[at++];
    out = {std::span<const chunk>(room).first(n), whole && at == end};
  }
  /// One past the last piece of a frame that has a header in the log.
  [[nodiscard]] std::size_t end_of(const cached_group& g, std::size_t frame) const noexcept {
    const auto which = static_cast<std::size_t>(layout_);
    return frame + 1 == g.frames.size() ? g.logs[which].pieces.size() : g.frames[frame + 1].first_piece[which];
  }
  /// The frame that the last byte before the cursor belongs to; there is one.
  [[nodiscard]] std::size_t frame_under_way(const cached_group& g) const noexcept {
    const std::size_t piece = offset_ != 0 ? piece_ : piece_ - 1;
    std::size_t low = 0;
    std::size_t high = g.frames.size();
    while (high - low > 1) {
      const std::size_t middle = low + (high - low) / 2;
      if (g.frames[middle].first_piece[static_cast<std::size_t>(layout_)] <= piece)
        low = middle;
      else
        high = middle;
    }
    return low;
  }

  slot_handle group_{};
  std::uint64_t first_frame_ = 0;
  std::optional<std::uint64_t> last_frame_{};
  std::size_t piece_ = 0;
  std::size_t offset_ = 0;
  stream_code code_{};
  std::array<std::uint8_t, 2 * wire::varint_bytes_max + msg::group::body_bytes_max + msg::frame::bytes_max> head_{};
  std::uint8_t head_size_ = 0;
  std::uint8_t head_sent_ = 0;
  version version_ = lite06;
  frame_layout layout_ = frame_layout::timed;
  bool begun_ = false;
  bool has_written_ = false;
  bool fin_written_ = false;
};

}  // namespace moql
