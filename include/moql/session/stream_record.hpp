#pragma once
/// One stream of a session: its ends, what has arrived and is not read yet, what is to be written.

#include "../adapter/transport.hpp"
#include "../base/queue.hpp"
#include "../base/slab.hpp"
#include "../message/stream_type.hpp"
#include "../stream/group_reader.hpp"
#include "../stream/halves.hpp"
#include "../stream/lifetime.hpp"

namespace moql::detail {

/// Whose request travels on it, seen from here.
enum class stream_kind : std::uint8_t {
  unknown,  ///< Opened by the peer; its type has not come.
  session,
  setup_in,
  setup_out,
  announce_ours,
  announce_theirs,
  subscribe_ours,
  subscribe_theirs,
  track_ours,
  track_theirs,
  fetch_ours,
  fetch_theirs,
  probe_ours,
  probe_theirs,
  goaway_ours,
  goaway_theirs,
  group_in,
  group_out,
  closing,  ///< Its transaction is over; what still comes is read and forgotten.
};

inline constexpr std::uint32_t no_slot = ~std::uint32_t{0};

struct stream_record {
  explicit stream_record(memory m = {}) noexcept : state(m), out(m), in(m) {
    // A slot serves now this, now that kind of stream. With room for common messages from the start, a session that
    // has seen its busiest moment takes no more memory.
    state.reader.reserve(usual_message_bytes);
    (void)out.reserve(usual_message_bytes);
  }
  static constexpr std::size_t usual_message_bytes = 64;

  slot_handle self{};
  stream_id id{no_stream};
  lifetime ends{};
  stream_kind kind{stream_kind::unknown};
  bool is_ours{};
  bool is_bidi{};
  bool is_named{};         ///< The transport has given it an id.
  bool is_queued{};        ///< In the list of control streams that may write.
  bool is_readable{};      ///< In the list of streams to read.
  bool is_unidentified{};  ///< Its type, or its group header, is missing: counted and timed.
  bool is_held{};          ///< Its bytes wait for something else: TRACK_INFO, the peer's SETUP, the version.
  bool is_blocked{};       ///< The transport took less than was offered.
  bool fin_wanted{};
  bool fin_written{};
  bool in_fin{};  ///< The peer ended its direction; after the bytes in `in`.
  bool in_reset{};
  bool in_end_seen{};  ///< That end has been handled.
  bool out_dead{};     ///< Nothing may be written any more.
  bool is_busy{};      ///< Being read right now: neither its input nor the record may be freed.
  bool drop_later{};   ///< Its input is to be dropped once it is not busy.
  std::uint64_t in_code{};
  std::optional<std::uint64_t> type{};  ///< What the peer opened it as, while that cannot be acted on yet.
  std::uint32_t owner{no_slot};         ///< The slot of whatever this stream serves.
  std::uint64_t sequence{};             ///< Group streams.
  std::uint32_t before{no_slot};        ///< Siblings of one owner.
  std::uint32_t after{no_slot};

  machine_state state;
  group_reader groups{};
  vec<std::uint8_t> out;
  std::size_t out_sent{};
  queue<bytes> in;
  std::size_t in_read{};  ///< Bytes of the first chunk that are taken.

  void recycle() noexcept {
    id = no_stream;
    ends = {};
    kind = stream_kind::unknown;
    is_ours = is_bidi = is_named = is_queued = is_readable = is_held = is_blocked = false;
    fin_wanted = fin_written = in_fin = in_reset = in_end_seen = out_dead = is_busy = drop_later = is_unidentified =
        false;
    type.reset();
    in_code = 0;
    owner = before = after = no_slot;
    sequence = 0;
    state.recycle();
    groups = {};
    out.clear();
    out_sent = 0;
    in.clear();
    in_read = 0;
  }
  [[nodiscard]] bool has_output() const noexcept {
    return !out_dead && (out_sent < out.size() || (fin_wanted && !fin_written));
  }
  /// Whether what comes next off it are frames of a group.
  [[nodiscard]] bool has_frames() const noexcept {
    return kind == stream_kind::group_in && is_readable && !is_held && !in.empty() && groups.has_header();
  }
  [[nodiscard]] bool has_input() const noexcept { return !in.empty() || ((in_fin || in_reset) && !in_end_seen); }
};

}  // namespace moql::detail
