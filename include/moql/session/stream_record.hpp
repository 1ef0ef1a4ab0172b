#pragma once
/// One stream of a session: its ends, what has arrived and is not read yet, what is to be written.

#include "../adapter/transport.hpp"
#include "../base/maybe_number.hpp"
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

/// What a stream needs only while bytes of it are under way, or to be read as frames. Its buffers keep their room when
/// it goes from one stream to another.
struct stream_buffers {
  explicit stream_buffers(memory m = {}) noexcept : reader(m), out(m), in(m) {
    // Now this kind of stream uses it, now that. With room for common messages from the start, a session that has seen
    // its busiest moment takes no more memory.
    reader.reserve(usual_message_bytes);
    (void)out.reserve(usual_message_bytes);
  }
  static constexpr std::size_t usual_message_bytes = 48;

  slot_handle self{};
  message_reader reader;
  vec<std::uint8_t> out;
  std::size_t out_sent{};
  queue<bytes> in;
  std::size_t in_read{};  ///< Bytes of the first chunk that are taken.
  std::uint64_t in_code{};
  maybe_number type{};  ///< What the peer opened it as, while that cannot be acted on yet.
  // Group streams that come in; set by whoever makes it one.
  group_reader groups{};
  std::uint64_t sequence{};
  std::uint32_t before{no_slot};  ///< Siblings of one owner.
  std::uint32_t after{no_slot};

  void recycle() noexcept {
    reader.recycle();
    out.clear();
    out_sent = 0;
    in.clear();
    in_read = 0;
    type.reset();
  }
};

struct stream_record {
  explicit stream_record(memory = {}) noexcept {}

  stream_id id{no_stream};
  stream_buffers* buffers{};     ///< Null while nothing is under way.
  std::uint32_t slot{no_slot};   ///< Its own.
  std::uint32_t owner{no_slot};  ///< The slot of whatever this stream serves.
  machine_progress said{};
  lifetime ends{};
  stream_kind kind{stream_kind::unknown};
  bool is_readable : 1 {};  ///< In the list of streams to read.
  bool is_held : 1 {};      ///< Its bytes wait for something else: TRACK_INFO, the peer's SETUP, the version.
  bool is_busy : 1 {};      ///< Being read right now: neither its input nor the record may be freed.
  bool drop_later : 1 {};   ///< Its input is to be dropped once it is not busy.
  bool in_fin : 1 {};       ///< The peer ended its direction; after the bytes in `in`.
  bool in_reset : 1 {};
  bool in_end_seen : 1 {};      ///< That end has been handled.
  bool is_unidentified : 1 {};  ///< Its type, or its group header, is missing: counted and timed.
  bool is_ours : 1 {};
  bool is_bidi : 1 {};
  bool is_named : 1 {};    ///< The transport has given it an id.
  bool is_queued : 1 {};   ///< In the list of control streams that may write.
  bool is_blocked : 1 {};  ///< The transport took less than was offered.
  bool fin_wanted : 1 {};
  bool fin_written : 1 {};
  bool out_dead : 1 {};  ///< Nothing may be written any more.

  void recycle() noexcept { *this = stream_record(); }
  [[nodiscard]] std::uint64_t key() const noexcept { return static_cast<std::uint64_t>(id); }
  /// Bytes that wait to be written.
  [[nodiscard]] byte_view unsent() const noexcept {
    return buffers == nullptr ? byte_view{} : buffers->out.view().subspan(buffers->out_sent);
  }
  void sent(std::size_t n) noexcept {
    if (buffers == nullptr) return;
    buffers->out_sent += n;
    if (buffers->out_sent == buffers->out.size()) clear_output();
  }
  void clear_output() noexcept {
    if (buffers == nullptr) return;
    buffers->out.clear();
    buffers->out_sent = 0;
  }
  [[nodiscard]] bool has_output() const noexcept {
    return !out_dead && (!unsent().empty() || (fin_wanted && !fin_written));
  }
  /// Whether what comes next off it, the first of the streams to read, are frames of a group.
  [[nodiscard]] bool has_frames() const noexcept {
    return kind == stream_kind::group_in && !is_held && !buffers->in.empty() && buffers->groups.has_header();
  }
  [[nodiscard]] bool has_bytes() const noexcept { return buffers != nullptr && !buffers->in.empty(); }
  [[nodiscard]] bool has_input() const noexcept { return has_bytes() || ((in_fin || in_reset) && !in_end_seen); }
  /// Whether part of a message has come.
  [[nodiscard]] bool is_inside() const noexcept { return buffers != nullptr && buffers->reader.is_inside(); }
  /// Whether there is something in its buffers that it will need as long as it is what it is: its type, its frames.
  [[nodiscard]] bool keeps_buffers() const noexcept {
    return kind == stream_kind::group_in || kind == stream_kind::fetch_ours || kind == stream_kind::unknown;
  }
  [[nodiscard]] bool is_at_rest() const noexcept { return unsent().empty() && !has_input() && !is_inside(); }
};

}  // namespace moql::detail
