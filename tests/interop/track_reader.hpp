#pragma once
/// The account of one subscription: which groups came whole, and whether every byte was the right one.

#include <moql/session/event.hpp>

#include <map>
#include <set>
#include <string>

#include "content.hpp"

namespace interop {

class track_reader {
 public:
  track_reader(std::string scenario, moql::version v) : scenario_(std::move(scenario)), ver_(v) {}

  void hear(const moql::group_started& e) {
    if (e.first_frame != 0) complain(e.group, "begins with frame " + std::to_string(e.first_frame));
    if (!open_.emplace(e.group, progress{frames_of(scenario_, e.group)}).second || whole_.contains(e.group))
      complain(e.group, "came twice");
  }
  void hear(const moql::frame_part& e) {
    const auto it = open_.find(e.group);
    if (it == open_.end()) return complain(e.group, "has frames before it began");
    progress& p = it->second;
    if (e.frame != p.frame || e.offset != p.offset) return complain(e.group, "has frames out of order");
    check_frame(e.group, e.frame, p.sizes, e.size, e.timestamp);
    check_bytes(e.group, e.frame, e.offset, e.payload.view());
    p.offset += e.payload.size();
    if (!e.is_last()) return;
    ++p.frame;
    p.offset = 0;
  }
  void hear(const moql::group_finished& e) {
    const auto it = open_.find(e.group);
    if (it == open_.end()) return complain(e.group, "ended before it began");
    if (e.why != moql::errc::ok)
      broken_.insert(e.group);
    else if (it->second.frame != it->second.sizes.size())
      complain(e.group, "is complete with " + std::to_string(it->second.frame) + " frames");
    else
      whole_.insert(e.group);
    open_.erase(it);
  }
  void hear(const moql::datagram_received& e) {
    check_frame(e.group, 0, frames_of(scenario_, e.group), e.payload.size(), e.timestamp);
    check_bytes(e.group, 0, 0, e.payload.view());
    if (!whole_.insert(e.group).second) complain(e.group, "came twice");
    ++datagrams_;
  }
  void hear(const moql::groups_lost& e) {
    for (std::uint64_t g = e.first; g <= e.last && g - e.first < 1000; ++g) lost_.insert(g);
  }
  /// What was begun is not waited for any longer.
  void forget(std::uint64_t group) { open_.erase(group); }

  [[nodiscard]] const std::set<std::uint64_t>& whole() const { return whole_; }
  [[nodiscard]] std::size_t datagrams() const { return datagrams_; }
  /// How many whole frames of a group have come so far, while it is coming.
  [[nodiscard]] std::uint64_t frames(std::uint64_t group) const {
    const auto it = open_.find(group);
    return it == open_.end() ? 0 : it->second.frame;
  }
  [[nodiscard]] bool will_not_come(std::uint64_t group) const {
    return broken_.contains(group) || lost_.contains(group);
  }
  [[nodiscard]] bool has_all(std::uint64_t first, std::uint64_t last) const {
    for (std::uint64_t g = first; g <= last; ++g)
      if (!whole_.contains(g)) return false;
    return true;
  }
  /// The first thing that was not as it should be; empty if there is none.
  [[nodiscard]] const std::string& complaint() const { return complaint_; }
  [[nodiscard]] std::string text() const {
    std::string out = "whole groups:";
    for (auto it = whole_.begin(); it != whole_.end();) {  // as ranges
      const std::uint64_t first = *it;
      std::uint64_t last = first;
      while (++it != whole_.end() && *it == last + 1) ++last;
      out += ' ' + std::to_string(first);
      if (last != first) out += '-' + std::to_string(last);
    }
    if (whole_.empty()) out += " none";
    std::size_t listed = 0;
    for (const auto& [group, p] : open_)
      if (++listed <= 4) out += ", " + std::to_string(p.frame) + " frames of group " + std::to_string(group);
    if (listed > 4) out += ", and a part of " + std::to_string(listed - 4) + " others";
    if (!broken_.empty()) out += ", " + std::to_string(broken_.size()) + " broken";
    if (!lost_.empty()) out += ", " + std::to_string(lost_.size()) + " lost";
    return out;
  }

 private:
  struct progress {
    std::vector<std::size_t> sizes;
    std::uint64_t frame = 0;
    std::uint64_t offset = 0;
  };
  void complain(std::uint64_t group, const std::string& what) {
    if (complaint_.empty()) complaint_ = "group " + std::to_string(group) + ' ' + what;
  }
  void check_frame(std::uint64_t g, std::uint64_t f, const std::vector<std::size_t>& sizes, std::uint64_t size,
                   std::uint64_t timestamp) {
    const std::string what = "has frame " + std::to_string(f) + " of " + std::to_string(size) + " bytes";
    if (f >= sizes.size()) return complain(g, what + ", which was not published");
    if (size != sizes[f]) return complain(g, what + ", not " + std::to_string(sizes[f]));
    if (moql::has_timestamps(ver_) && timestamp != timestamp_of(g, f))
      complain(g, what + " at " + std::to_string(timestamp) + ", not " + std::to_string(timestamp_of(g, f)));
  }
  void check_bytes(std::uint64_t g, std::uint64_t f, std::uint64_t offset, moql::byte_view b) {
    for (std::size_t i = 0; i < b.size(); ++i)
      if (b[i] != byte_at(g, f, offset + i))
        return complain(g, "frame " + std::to_string(f) + " is wrong at byte " + std::to_string(offset + i));
  }

  std::string scenario_;
  moql::version ver_;
  std::map<std::uint64_t, progress> open_{};
  std::set<std::uint64_t> whole_{}, broken_{}, lost_{};
  std::size_t datagrams_ = 0;
  std::string complaint_{};
};

}  // namespace interop
