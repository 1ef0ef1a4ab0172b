#pragma once
/// Cuts a file into groups and frames, so that the examples have something real to send.
///
/// A fragmented MP4 (ISO/IEC 14496-12) is cut where a player may start: the init segment is the first frame, a group
/// begins with each fragment whose video starts with a sync sample, a fragment is one frame (or several, if it is
/// large). Any other file is cut by size. All frames in order are the file, byte for byte, whatever it contains.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace examples {

struct media_frame {
  std::uint64_t timestamp{};  ///< In units of media::timescale; never decreases inside a group.
  std::size_t offset{}, size{};
};
struct media_group {
  std::uint64_t sequence{};
  std::vector<media_frame> frames;
};
struct media {
  std::uint32_t timescale{};  ///< Timestamp units per second.
  std::vector<media_group> groups;
  std::string kind;  ///< "mp4" or "bytes".
};

inline constexpr std::size_t bytes_frame_size = 16 * 1024;  ///< Frame of a file that is not a fragmented MP4.
inline constexpr std::size_t bytes_frames_per_group = 32;
inline constexpr std::size_t media_frame_size_max = 1 << 20;  ///< Larger fragments become several frames.
inline constexpr std::uint64_t media_timestamp_max = (std::uint64_t{1} << 61) - 1;  ///< What a varint can carry.

namespace mp4 {

using bytes_view = std::span<const std::uint8_t>;

constexpr std::uint32_t tag(const char (&s)[5]) {
  std::uint32_t t = 0;
  for (int i = 0; i < 4; ++i) t = t << 8 | static_cast<std::uint8_t>(s[i]);
  return t;
}

/// Big-endian numbers from a view; past its end it yields zeros and is not `ok` any longer.
class fields {
 public:
  explicit fields(bytes_view in) : in_(in) {}
  std::uint64_t number(std::size_t n) {
    std::uint64_t v = 0;
    if (!skip(n)) return 0;
    for (std::size_t i = at_ - n; i < at_; ++i) v = v << 8 | in_[i];
    return v;
  }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  bool skip(std::size_t n) {
    ok_ = ok_ && n <= in_.size() - at_;
    if (ok_) at_ += n;
    return ok_;
  }
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  bytes_view in_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

struct box {
  std::uint32_t type{};
  std::size_t size{};  ///< Header included.
  bytes_view body{};
};

/// The box at the start of `in`; none if it does not lie inside.
inline std::optional<box> first_box(bytes_view in) {
  fields f(in);
  std::uint64_t size = f.u32();
  const std::uint32_t type = f.u32();
  std::size_t head = 8;
  if (size == 1) {
    size = f.number(8);
    head = 16;
  } else if (size == 0) {
    size = in.size();  // up to the end of the file
  }
  if (!f.ok() || size < head || size > in.size()) return {};
  const auto n = static_cast<std::size_t>(size);
  return box{type, n, in.subspan(head, n - head)};
}

/// Calls `f(box)` for every box in `in`; false if they do not fill it exactly or `f` says false.
template <class F>
bool each_box(bytes_view in, F f) {
  while (!in.empty()) {
    const auto b = first_box(in);
    if (!b || !f(*b)) return false;
    in = in.subspan(b->size);
  }
  return true;
}

struct track {
  std::uint32_t id{};
  std::uint32_t timescale{};
  bool video{};
  std::uint32_t default_flags{};
};

/// What the init segment says about the track that decides where groups begin: the first video track, or the first.
inline std::optional<track> leading_track(bytes_view moov) {
  std::vector<track> tracks;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> defaults;  // track, sample flags
  const auto read_media = [](bytes_view mdia, track& t) {
    return each_box(mdia, [&](const box& b) {
      fields f(b.body);
      if (b.type == tag("mdhd")) {
        const bool wide = f.number(1) == 1;
        f.skip(3 + (wide ? 16 : 8));
        t.timescale = f.u32();
      } else if (b.type == tag("hdlr")) {
        f.skip(8);
        t.video = f.u32() == tag("vide");
      }
      return f.ok();
    });
  };
  const bool whole = each_box(moov, [&](const box& b) {
    if (b.type == tag("trak")) {
      track t;
      if (!each_box(b.body, [&](const box& c) {
            fields f(c.body);
            if (c.type == tag("tkhd")) {
              const bool wide = f.number(1) == 1;
              f.skip(3 + (wide ? 16 : 8));
              t.id = f.u32();
            }
            return f.ok() && (c.type != tag("mdia") || read_media(c.body, t));
          }))
        return false;
      tracks.push_back(t);
    } else if (b.type == tag("mvex")) {
      return each_box(b.body, [&](const box& c) {
        fields f(c.body);
        if (c.type == tag("trex")) {
          f.skip(4);
          const std::uint32_t id = f.u32();
          f.skip(12);
          defaults.emplace_back(id, f.u32());
        }
        return f.ok();
      });
    }
    return true;
  });
  if (!whole || tracks.empty() || defaults.empty()) return {};
  auto lead = std::find_if(tracks.begin(), tracks.end(), [](const track& t) { return t.video; });
  if (lead == tracks.end()) lead = tracks.begin();
  if (lead->timescale == 0) return {};
  for (const auto& [id, flags] : defaults)
    if (id == lead->id) lead->default_flags = flags;
  return *lead;
}

/// What a fragment says about one track.
struct fragment {
  bool has_track{};
  bool starts_sync{};
  std::optional<std::uint64_t> decode_time{};
};

/// The flags of the first sample of one traf; none if it has no sample. `ok` turns false if a box is cut.
inline std::optional<std::uint32_t> first_sample_flags(bytes_view traf, std::uint32_t default_flags, bool& ok) {
  std::optional<std::uint32_t> first;
  ok = each_box(traf, [&](const box& b) {
    if (b.type != tag("tfhd") && (b.type != tag("trun") || first)) return true;
    fields f(b.body);
    const std::uint32_t has = f.u32() & 0xffffff;
    if (b.type == tag("tfhd")) {
      f.skip(4 + (has & 0x1 ? 8 : 0) + (has & 0x2 ? 4 : 0) + (has & 0x8 ? 4 : 0) + (has & 0x10 ? 4 : 0));
      if (has & 0x20) default_flags = f.u32();
    } else if (f.u32() != 0) {
      f.skip(has & 0x1 ? 4 : 0);
      if (has & 0x4) {
        first = f.u32();
      } else if (has & 0x400) {
        f.skip((has & 0x100 ? 4 : 0) + (has & 0x200 ? 4 : 0));
        first = f.u32();
      } else {
        first = default_flags;
      }
    }
    return f.ok();
  });
  return first;
}

inline std::optional<fragment> read_fragment(bytes_view moof, const track& lead) {
  constexpr std::uint32_t not_a_sync_sample = 0x10000;
  fragment out;
  const bool whole = each_box(moof, [&](const box& b) {
    if (b.type != tag("traf")) return true;
    std::uint32_t id = 0;
    std::optional<std::uint64_t> decode_time;
    if (!each_box(b.body, [&](const box& c) {
          fields f(c.body);
          if (c.type == tag("tfhd")) {
            f.skip(4);
            id = f.u32();
          } else if (c.type == tag("tfdt")) {
            const bool wide = f.number(1) == 1;
            f.skip(3);
            decode_time = f.number(wide ? 8 : 4);
          }
          return f.ok();
        }))
      return false;
    if (id != lead.id || out.has_track) return true;
    bool ok = true;
    const auto flags = first_sample_flags(b.body, lead.default_flags, ok);
    out = {true, flags && (*flags & not_a_sync_sample) == 0, decode_time};
    return ok;
  });
  if (!whole) return {};
  return out;
}

/// Collects frames in file order; what it has taken is always a gapless beginning of the file.
class cutter {
 public:
  explicit cutter(media& out) : out_(out) {}
  void begin_group() { out_.groups.push_back({out_.groups.size(), {}}); }
  void take(std::size_t size, std::uint64_t timestamp) {
    auto& frames = out_.groups.back().frames;
    if (!frames.empty()) timestamp = std::max(timestamp, frames.back().timestamp);
    while (size != 0) {
      const std::size_t n = std::min(size, media_frame_size_max);
      frames.push_back({timestamp, at_, n});
      at_ += n;
      size -= n;
    }
  }
  [[nodiscard]] std::size_t taken() const { return at_; }

 private:
  media& out_;
  std::size_t at_ = 0;
};

/// None, with the reason, unless `file` is a fragmented MP4 from end to end.
inline std::optional<media> cut(bytes_view file, std::string& why) {
  media out;
  out.kind = "mp4";
  cutter frames(out);
  std::optional<track> lead;
  std::optional<fragment> current;  // the moof whose mdat is still to come
  std::size_t init_size = 0;        // taken together with the first fragment, which gives it its timestamp
  std::uint64_t time = 0;
  std::size_t at = 0;
  while (at < file.size()) {
    const auto b = first_box(file.subspan(at));
    if (!b) {
      why = "no whole MP4 box at byte " + std::to_string(at);
      return {};
    }
    at += b->size;
    if (b->type == tag("moov")) {
      if (lead) {
        why = "a second moov box";
        return {};
      }
      lead = leading_track(b->body);
      if (!lead) {
        why = "the moov box is broken or describes no fragments";
        return {};
      }
      out.timescale = lead->timescale;
      init_size = at;
    } else if (b->type == tag("moof") && lead) {
      const auto f = read_fragment(b->body, *lead);
      if (!f || f->decode_time.value_or(0) > media_timestamp_max) {
        why = "the moof box before byte " + std::to_string(at) + " is broken";
        return {};
      }
      if (!current || !current->has_track) current = f;
    } else if (b->type == tag("mdat") && current) {
      time = current->decode_time.value_or(time);
      if (out.groups.empty()) {
        frames.begin_group();
        frames.take(init_size, time);
      } else if (current->has_track && current->starts_sync) {
        frames.begin_group();
      }
      frames.take(at - frames.taken(), time);
      current.reset();
    }
  }
  if (out.groups.empty()) {
    why = "not a fragmented MP4";
    return {};
  }
  frames.take(file.size() - frames.taken(), time);  // an index, or whatever else follows the last fragment
  return out;
}

}  // namespace mp4

inline media cut_by_size(std::size_t file_size) {
  media out;
  out.kind = "bytes";
  out.timescale = 1000;
  std::uint64_t index = 0;
  for (std::size_t at = 0; at < file_size; at += bytes_frame_size, ++index) {
    if (index % bytes_frames_per_group == 0) out.groups.push_back({out.groups.size(), {}});
    // Bytes have no time; a millisecond a group keeps all of a large file younger than any relay's idea of old.
    out.groups.back().frames.push_back({out.groups.back().sequence, at, std::min(bytes_frame_size, file_size - at)});
  }
  return out;
}

/// None only for an empty file. When the file is cut by size, `why` says why not as an MP4; otherwise it is empty.
inline std::optional<media> cut(std::span<const std::uint8_t> file, std::string& why) {
  why.clear();
  if (file.empty()) {
    why = "the file is empty";
    return {};
  }
  if (auto as_mp4 = mp4::cut(file, why)) return as_mp4;
  return cut_by_size(file.size());
}

}  // namespace examples
