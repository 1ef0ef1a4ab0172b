#pragma once
/// A growable array over `memory`. Growth can fail and says so; nothing here throws.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include "compiler.hpp"
#include "memory.hpp"

namespace moql {

/// Elements must be nothrow-movable, and fewer than 2^31. References are valid until the next growth.
template <class T>
class vec {
 public:
  explicit vec(memory m = {}) noexcept : memory_(m) {}
  vec(vec&& o) noexcept
      : memory_(o.memory_),
        data_(std::exchange(o.data_, nullptr)),
        size_(std::exchange(o.size_, 0)),
        capacity_(std::exchange(o.capacity_, 0)) {}
  vec& operator=(vec&& o) noexcept {
    if (this != &o) {
      free_all();
      memory_ = o.memory_;
      data_ = std::exchange(o.data_, nullptr);
      size_ = std::exchange(o.size_, 0);
      capacity_ = std::exchange(o.capacity_, 0);
    }
    return *this;
  }
  vec(const vec&) = delete;
  vec& operator=(const vec&) = delete;
  ~vec() { free_all(); }

  [[nodiscard]] bool reserve(std::size_t n) noexcept {
    if (n <= capacity_) return true;
    if (n > max_size) return false;
    std::size_t to = capacity_ < 4 ? 8 : std::size_t{capacity_} * 2;
    if (to < n) to = n;
    T* fresh = static_cast<T*>(memory_.allocate(to * sizeof(T)));
    if (fresh == nullptr) return false;
    if constexpr (std::is_trivially_copyable_v<T>) {
      if (size_ != 0) std::memcpy(static_cast<void*>(fresh), data_, size_ * sizeof(T));
    } else {
      for (std::size_t i = 0; i < size_; ++i) {
        ::new (static_cast<void*>(fresh + i)) T(std::move(data_[i]));
        data_[i].~T();
      }
    }
    memory_.release(data_, capacity_ * sizeof(T));
    data_ = fresh;
    capacity_ = static_cast<std::uint32_t>(to);
    return true;
  }
  /// False when memory ran out; the array is unchanged then.
  [[nodiscard]] bool push(T value) noexcept {
    if (size_ == capacity_ && !reserve(std::size_t{size_} + 1)) [[unlikely]]
      return false;
    ::new (static_cast<void*>(data_ + size_)) T(std::move(value));
    ++size_;
    return true;
  }
  [[nodiscard]] bool insert(std::size_t at, T value) noexcept {
    if (!push(std::move(value))) return false;
    for (std::size_t i = size_ - 1; i > at; --i) std::swap(data_[i], data_[i - 1]);
    return true;
  }
  void erase(std::size_t at, std::size_t n = 1) noexcept {
    for (std::size_t i = at; i + n < size_; ++i) data_[i] = std::move(data_[i + n]);
    truncate(size_ - n);
  }
  [[nodiscard]] bool append(const T* from, std::size_t n) noexcept requires std::is_trivially_copyable_v<T> {
    if (n > max_size || !reserve(size_ + n)) return false;
    if (n != 0) std::memcpy(static_cast<void*>(data_ + size_), from, n * sizeof(T));
    size_ += static_cast<std::uint32_t>(n);
    return true;
  }
  /// Makes room for n more elements and returns where they begin, uninitialised; null when memory ran out.
  [[nodiscard]] T* extend(std::size_t n) noexcept requires std::is_trivially_copyable_v<T> {
    if (n > max_size || !reserve(size_ + n)) return nullptr;
    T* at = data_ + size_;
    size_ += static_cast<std::uint32_t>(n);
    return at;
  }
  void truncate(std::size_t n) noexcept {
    while (size_ > n) data_[--size_].~T();
  }
  void pop() noexcept { truncate(size_ - 1); }
  /// Keeps the memory, so that a recycled slot does not allocate again.
  void clear() noexcept { truncate(0); }

  [[nodiscard]] T* data() noexcept { return data_; }
  [[nodiscard]] const T* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] T& operator[](std::size_t i) noexcept { return data_[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return data_[i]; }
  [[nodiscard]] T& back() noexcept { return data_[size_ - 1]; }
  [[nodiscard]] const T& back() const noexcept { return data_[size_ - 1]; }
  [[nodiscard]] T* begin() noexcept { return data_; }
  [[nodiscard]] T* end() noexcept { return data_ + size_; }
  [[nodiscard]] const T* begin() const noexcept { return data_; }
  [[nodiscard]] const T* end() const noexcept { return data_ + size_; }
  [[nodiscard]] std::span<const T> view() const noexcept { return {data_, size_}; }

 private:
  static constexpr std::size_t max_size =
      SIZE_MAX / 4 / sizeof(T) < UINT32_MAX / 2 ? SIZE_MAX / 4 / sizeof(T) : UINT32_MAX / 2;
  void free_all() noexcept {
    truncate(0);
    memory_.release(data_, capacity_ * sizeof(T));
    data_ = nullptr;
    capacity_ = 0;
  }
  memory memory_;
  T* data_ = nullptr;
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 0;
};

}  // namespace moql
