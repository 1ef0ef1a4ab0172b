#pragma once
/// A first-in first-out queue over `memory`; a ring that keeps its room once it has grown.

#include "vec.hpp"

namespace moql {

template <class T>
class queue {
 public:
  explicit queue(memory m = {}) noexcept : items_(m) {}
  [[nodiscard]] bool empty() const noexcept { return head_ == items_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size() - head_; }
  [[nodiscard]] bool push(T value) noexcept {
    if (head_ != 0 && (empty() || (items_.size() == items_.capacity() && head_ * 2 >= items_.size()))) compact();
    return items_.push(std::move(value));
  }
  [[nodiscard]] T& front() noexcept { return items_[head_]; }
  [[nodiscard]] const T& front() const noexcept { return items_[head_]; }
  [[nodiscard]] T& operator[](std::size_t i) noexcept { return items_[head_ + i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return items_[head_ + i]; }
  /// Removes the oldest element and returns it.
  T pop() noexcept {
    T out = std::move(items_[head_]);
    ++head_;
    if (head_ == items_.size()) clear();
    return out;
  }
  void clear() noexcept {
    items_.clear();
    head_ = 0;
  }

 private:
  void compact() noexcept {
    items_.erase(0, head_);
    head_ = 0;
  }
  vec<T> items_;
  std::uint32_t head_ = 0;
};

}  // namespace moql
