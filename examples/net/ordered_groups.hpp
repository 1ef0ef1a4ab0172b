#pragma once
/// Groups come in any order and may fail; what a file wants is whole groups in ascending order.

#include <moql/base/bytes.hpp>

#include <functional>
#include <map>
#include <vector>

namespace net {

/// What has to wait for an earlier group is held as shares in the buffers it arrived in.
class ordered_groups {
 public:
  /// At most so many groups of one lost range are remembered as skipped; no real gap comes near.
  static constexpr std::uint64_t skips_max = 100'000;

  explicit ordered_groups(std::function<void(moql::byte_view)> write) : write_(std::move(write)) {}

  /// The first group that will come, where the publisher has said so. Otherwise the first to be whole is waited for.
  void start_at(std::uint64_t group) {
    if (has_started_) return;
    next_ = group;
    has_started_ = true;
  }
  void begin(std::uint64_t group) {
    if (group >= next_) held_.try_emplace(group);
  }
  void take(std::uint64_t group, const moql::bytes& part) {
    const auto g = held_.find(group);
    if (g == held_.end()) return;
    g->second.parts.push_back(part.held_by() != nullptr ? part : moql::bytes::copy(part.view()));
  }
  void finish(std::uint64_t group) {
    const auto g = held_.find(group);
    if (g == held_.end()) return;
    g->second.is_whole = true;
    if (!has_started_) start();
    drain();
  }
  /// It will not come, or not whole.
  void give_up(std::uint64_t group) {
    if (group < next_) return;
    held_[group] = {{}, true};
    drain();
  }
  /// No more comes: writes every whole group that is left, past all gaps.
  void flush() {
    for (auto& [number, g] : held_)
      if (g.is_whole) write(g);
    held_.clear();
  }

 private:
  struct held_group {
    std::vector<moql::bytes> parts{};
    bool is_whole = false;
  };
  /// The first whole group is not always the first to come: one that began before it is waited for.
  void start() {
    next_ = held_.begin()->first;
    has_started_ = true;
  }
  void drain() {
    if (!has_started_) return;
    for (auto g = held_.begin(); g != held_.end() && g->first <= next_ && g->second.is_whole; g = held_.erase(g)) {
      write(g->second);
      next_ = g->first + 1;
    }
  }
  void write(const held_group& g) const {
    for (const moql::bytes& b : g.parts) write_(b.view());
  }

  std::function<void(moql::byte_view)> write_;
  std::map<std::uint64_t, held_group> held_;
  std::uint64_t next_ = 0;
  bool has_started_ = false;
};

}  // namespace net
