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

/// Elements must be nothrow-movable, and fewer than 2^31. Up to `Inside` of them, which must be trivially copyable
/// then, need no memory. References are valid until the next growth, and while the array stays where it is.
template <class T, std::uint32_t Inside = 0>
class vec {
  static_assert(Inside == 0 || std::is_trivially_copyable_v<T>);

 public:
  explicit vec(memory m = {}) noexcept : memory_(m) {}
  vec(vec&& o) noexcept
      : memory_(o.memory_),
        place_(std::exchange(o.place_, {})),
        size_(std::exchange(o.size_, 0)),
        capacity_(std::exchange(o.capacity_, Inside)) {}
  vec& operator=(vec&& o) noexcept {
    if (this != &o) {
      free_all();
      memory_ = o.memory_;
      place_ = std::exchange(o.place_, {});
      size_ = std::exchange(o.size_, 0);
      capacity_ = std::exchange(o.capacity_, Inside);
    }
    return *this;
  }
  vec(const vec&) = delete;
  vec& operator=(const vec&) = delete;
  ~vec() { free_all(); }

  [[nodiscard]] bool reserve(std::size_t n) noexcept {
    if (n <= capacity_) return true;
    if (n > size_max) return false;
    std::size_t to = capacity_ < first_growth ? first_growth : std::size_t{capacity_} * 2;
    if (to < n) to = n;
    T* fresh = static_cast<T*>(memory_.allocate(to * sizeof(T)));
    if (fresh == nullptr) return false;
    T* old = data();
    if constexpr (std::is_trivially_copyable_v<T>) {
      if (size_ != 0) std::memcpy(static_cast<void*>(fresh), old, size_ * sizeof(T));
    } else {
      for (std::size_t i = 0; i < size_; ++i) {
        ::new (static_cast<void*>(fresh + i)) T(std::move(old[i]));
        old[i].~T();
      }
    }
    release();
    place_.heap = fresh;
    capacity_ = static_cast<std::uint32_t>(to);
    return true;
  }
  /// False when memory ran out; the array is unchanged then.
  [[nodiscard]] bool push(T value) noexcept {
    if (size_ == capacity_ && !reserve(std::size_t{size_} + 1)) [[unlikely]]
      return false;
    ::new (static_cast<void*>(data() + size_)) T(std::move(value));
    ++size_;
    return true;
  }
  [[nodiscard]] bool insert(std::size_t at, T value) noexcept {
    if (!push(std::move(value))) return false;
    for (std::size_t i = size_ - 1; i > at; --i) std::swap(data()[i], data()[i - 1]);
    return true;
  }
  void erase(std::size_t at, std::size_t n = 1) noexcept {
    for (std::size_t i = at; i + n < size_; ++i) data()[i] = std::move(data()[i + n]);
    truncate(size_ - n);
  }
  [[nodiscard]] bool append(const T* from, std::size_t n) noexcept requires std::is_trivially_copyable_v<T> {
    if (n > size_max || !reserve(size_ + n)) return false;
    if (n != 0) std::memcpy(static_cast<void*>(data() + size_), from, n * sizeof(T));
    size_ += static_cast<std::uint32_t>(n);
    return true;
  }
  /// Makes room for n more elements and returns where they begin, uninitialised; null when memory ran out.
  [[nodiscard]] T* extend(std::size_t n) noexcept requires std::is_trivially_copyable_v<T> {
    if (n > size_max || !reserve(size_ + n)) return nullptr;
    T* at = data() + size_;
    size_ += static_cast<std::uint32_t>(n);
    return at;
  }
  void truncate(std::size_t n) noexcept {
    if constexpr (std::is_trivially_destructible_v<T>) {
      if (n < size_) size_ = static_cast<std::uint32_t>(n);
    } else {
      while (size_ > n) data()[--size_].~T();
    }
  }
  void pop() noexcept { truncate(size_ - 1); }
  /// Keeps the memory, so that a recycled slot does not allocate again.
  void clear() noexcept { truncate(0); }

  [[nodiscard]] T* data() noexcept { return const_cast<T*>(std::as_const(*this).data()); }
  [[nodiscard]] const T* data() const noexcept {
    if constexpr (Inside != 0)
      if (capacity_ == Inside) return std::launder(reinterpret_cast<const T*>(place_.room));
    return place_.heap;
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] T& operator[](std::size_t i) noexcept { return data()[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return data()[i]; }
  [[nodiscard]] T& back() noexcept { return data()[size_ - 1]; }
  [[nodiscard]] const T& back() const noexcept { return data()[size_ - 1]; }
  [[nodiscard]] T* begin() noexcept { return data(); }
  [[nodiscard]] T* end() noexcept { return data() + size_; }
  [[nodiscard]] const T* begin() const noexcept { return data(); }
  [[nodiscard]] const T* end() const noexcept { return data() + size_; }
  [[nodiscard]] std::span<const T> view() const noexcept { return {data(), size_}; }

 private:
  static constexpr std::size_t size_max =
      SIZE_MAX / 4 / sizeof(T) < UINT32_MAX / 2 ? SIZE_MAX / 4 / sizeof(T) : UINT32_MAX / 2;
  /// Eight, but no more of them than 64 bytes hold, and two at least.
  static constexpr std::size_t first_growth = sizeof(T) > 32 ? 2 : sizeof(T) < 8 ? 8 : 64 / sizeof(T);
  union place {
    T* heap = nullptr;
    alignas(Inside == 0 ? alignof(T*) : alignof(T)) unsigned char room[Inside == 0 ? 1 : Inside * sizeof(T)];
  };
  void release() noexcept {
    if (capacity_ != Inside) memory_.release(place_.heap, capacity_ * sizeof(T));
  }
  void free_all() noexcept {
    truncate(0);
    release();
    place_ = {};
    capacity_ = Inside;
  }
  memory memory_;
  place place_{};
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = Inside;
};

}  // namespace moql
