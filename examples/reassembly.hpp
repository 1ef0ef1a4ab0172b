#pragma once
/// Puts a track's groups back in order and checks that every frame is the one that was sent.

#include <moql/base/bytes.hpp>

#include <map>
#include <set>

#include "files.hpp"
#include "media.hpp"

namespace examples {

class reassembly {
 public:
  reassembly(const media& sent, bool has_timestamps, pending_file& out)
      : sent_(sent), has_timestamps_(has_timestamps), out_(out) {}

  /// A part of a frame. Parts of one group come in order; groups do not.
  void take(std::uint64_t group, std::uint64_t frame, std::uint64_t timestamp, bool is_last,
            const moql::bytes& payload) {
    bytes_ += payload.size();
    if (group >= sent_.groups.size() || frame >= sent_.groups[group].frames.size())
      return complain(group, frame, "was never sent");
    const media_frame& original = sent_.groups[group].frames[frame];
    if (has_timestamps_ && timestamp != original.timestamp) complain(group, frame, "has another timestamp");
    if (is_last) ++frames_;
    if (group == next_)
      out_.write(payload.view());
    else
      waiting_[group].push_back(payload);
  }
  void finish_group(std::uint64_t group) {
    if (group < next_ || !finished_.insert(group).second) return complain(group, 0, "comes twice");
    ++groups_;
    while (finished_.erase(next_) != 0) {
      const auto held = waiting_.find(++next_);
      if (held == waiting_.end()) continue;
      for (const moql::bytes& b : held->second) out_.write(b.view());
      waiting_.erase(held);
    }
  }

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t frames() const { return frames_; }
  [[nodiscard]] std::size_t groups() const { return groups_; }
  /// The first thing that was not as sent; empty if there is none.
  [[nodiscard]] const std::string& why() const { return why_; }

 private:
  void complain(std::uint64_t group, std::uint64_t frame, const char* what) {
    if (why_.empty()) why_ = "frame " + std::to_string(frame) + " of group " + std::to_string(group) + " " + what;
  }
  const media& sent_;
  bool has_timestamps_;
  pending_file& out_;
  std::uint64_t next_ = 0;  // the group that goes straight to the file
  std::map<std::uint64_t, std::vector<moql::bytes>> waiting_;
  std::set<std::uint64_t> finished_;
  std::uint64_t bytes_ = 0;
  std::size_t frames_ = 0;
  std::size_t groups_ = 0;
  std::string why_;
};

}  // namespace examples
