#pragma once
/// One group of a track as it is kept: frames, their payload, and how they travel.

#include "../base/slab.hpp"
#include "cache_budget.hpp"
#include "wire_log.hpp"

namespace moql {

/// How a group is delivered where the version has datagrams. Where it has none, every group goes by stream; where the
/// version has them but the connection does not, a datagram is dropped: there is no falling back (draft 06
/// section 8.2).
enum class sent_by : std::uint8_t { stream, datagram, both };

enum class group_state : std::uint8_t { open, complete, aborted };

struct cached_frame {
  std::uint64_t timestamp{};
  std::uint64_t size{};
  std::uint32_t first_part{};
  std::uint32_t first_piece[frame_layouts]{};  ///< Where its header is in each wire log.
};

struct cached_group : budget_entry {
  explicit cached_group(memory m = {}) noexcept : frames(m), parts(m), logs{wire_log(m), wire_log(m)} {}

  std::uint64_t sequence{};
  /// Index in the group of `frames[0]`. Not 0 makes the group partial: what precedes is a gap.
  std::uint64_t first_frame{};
  instant arrival{};
  group_state state{group_state::open};
  stream_code abort_code{};
  sent_by how{sent_by::stream};
  std::uint64_t size{};              ///< Payload bytes held.
  std::uint64_t newest_timestamp{};  ///< The largest of its frames.
  std::uint64_t part_missing{};      ///< Bytes that the last frame still lacks.
  vec<cached_frame> frames;
  vec<bytes> parts;
  wire_log logs[frame_layouts];

  void recycle() noexcept {
    frames.clear();
    parts.clear();
    for (wire_log& l : logs) l.clear();
    state = group_state::open;
    how = sent_by::stream;
    first_frame = size = newest_timestamp = part_missing = 0;
  }
  /// Index in the group of the frame that would come next.
  [[nodiscard]] std::uint64_t end_frame() const noexcept { return first_frame + frames.size(); }
  /// Brings a log up to what has been appended. False when memory ran out.
  [[nodiscard]] MOQL_INLINE bool catch_up(frame_layout layout) noexcept {
    const wire_log& log = logs[static_cast<std::size_t>(layout)];
    return (log.frames_done == frames.size() && log.parts_done == parts.size()) || encode_rest(layout);
  }

 private:
  MOQL_NOINLINE bool encode_rest(frame_layout layout) noexcept {
    const auto which = static_cast<std::size_t>(layout);
    wire_log& log = logs[which];
    while (true) {
      const bool part_next = log.parts_done < parts.size() &&
                             (log.frames_done == frames.size() || log.parts_done < frames[log.frames_done].first_part);
      if (part_next) {
        const bytes& p = parts[log.parts_done];
        if (!log.pieces.push({p.data(), p.size(), p.held_by()})) return false;
        ++log.parts_done;
      } else if (log.frames_done < frames.size()) {
        cached_frame& f = frames[log.frames_done];
        f.first_piece[which] = static_cast<std::uint32_t>(log.pieces.size());
        if (!log.add_header(layout, f.timestamp, f.size)) return false;
      } else {
        return true;
      }
    }
  }
};

}  // namespace moql
