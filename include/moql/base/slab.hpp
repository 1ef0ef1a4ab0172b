#pragma once
/// Slots with stable addresses and generations, so that a handle kept too long is noticed and not followed.

#include "vec.hpp"

namespace moql {

/// A place in a slab and the generation that lived there. The zero handle names nothing.
struct slot_handle {
  std::uint32_t index{};
  std::uint32_t generation{};
  [[nodiscard]] constexpr std::uint64_t packed() const noexcept {
    return static_cast<std::uint64_t>(generation) << 32 | index;
  }
  [[nodiscard]] static constexpr slot_handle unpack(std::uint64_t v) noexcept {
    return {static_cast<std::uint32_t>(v), static_cast<std::uint32_t>(v >> 32)};
  }
  friend constexpr bool operator==(slot_handle, slot_handle) noexcept = default;
};

/// T is built once per slot from `memory` and recycled by the owner (`T::recycle()`), so its buffers keep their room.
/// Slots never move.
template <class T>
class slab {
 public:
  explicit slab(memory m = {}) noexcept : memory_(m), blocks_(m) {}
  slab(const slab&) = delete;
  slab& operator=(const slab&) = delete;
  ~slab() {
    for (std::uint32_t i = 0; i < made_; ++i) at(i).value.~T();
    for (cell* b : blocks_) memory_.release(b, per_block * sizeof(cell));
  }

  /// A fresh slot, or null when memory ran out.
  [[nodiscard]] T* take(slot_handle& handle) noexcept {
    std::uint32_t i = free_;
    if (i != none) {
      free_ = at(i).next_free;
    } else {
      if (made_ == blocks_.size() * per_block) {
        auto* block = static_cast<cell*>(memory_.allocate(per_block * sizeof(cell)));
        if (block == nullptr) return nullptr;
        if (!blocks_.push(block)) {
          memory_.release(block, per_block * sizeof(cell));
          return nullptr;
        }
      }
      i = made_++;
      ::new (static_cast<void*>(&at(i))) cell(memory_);
    }
    cell& c = at(i);
    ++c.generation;
    handle = {i, c.generation};
    ++count_;
    return &c.value;
  }
  void give(slot_handle handle) noexcept {
    cell& c = at(handle.index);
    expects(is_taken(c) && c.generation == handle.generation);
    c.value.recycle();
    ++c.generation;
    if (c.generation == 0) c.generation = 2;
    c.next_free = free_;
    free_ = handle.index;
    --count_;
  }
  [[nodiscard]] MOQL_INLINE T* find(slot_handle handle) noexcept {
    if (handle.index >= made_) return nullptr;
    cell& c = at(handle.index);
    return c.generation == handle.generation ? &c.value : nullptr;
  }
  /// The slot's value, whatever its generation: for indices that the owner keeps in step itself.
  [[nodiscard]] T& operator[](std::uint32_t index) noexcept { return at(index).value; }
  [[nodiscard]] const T& operator[](std::uint32_t index) const noexcept {
    return blocks_[index / per_block][index % per_block].value;
  }
  [[nodiscard]] slot_handle handle_of(std::uint32_t index) noexcept {
    return {index, at(index).generation | 1};  // names nothing if the slot is free
  }
  /// The same for a value that lives in slot `index`.
  [[nodiscard]] static slot_handle handle_of(const T& value, std::uint32_t index) noexcept {
    return {index, reinterpret_cast<const cell*>(&value)->generation};  // the value is a cell's first member
  }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  void for_each(auto&& f) noexcept {
    for (std::uint32_t i = 0; i < made_; ++i)
      if (is_taken(at(i))) f(slot_handle{i, at(i).generation}, at(i).value);
  }

 private:
  struct cell {
    explicit cell(memory m) noexcept : value(m) {}
    T value;
    std::uint32_t generation = 0;  // odd while somebody lives there
    std::uint32_t next_free = none;
  };
  [[nodiscard]] static bool is_taken(const cell& c) noexcept { return (c.generation & 1) != 0; }
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  static constexpr std::uint32_t per_block = sizeof(T) > 192 ? 4 : 16;
  [[nodiscard]] cell& at(std::uint32_t i) noexcept { return blocks_[i / per_block][i % per_block]; }

  memory memory_;
  vec<cell*> blocks_;
  std::uint32_t made_ = 0;
  std::uint32_t free_ = none;
  std::size_t count_ = 0;
};

}  // namespace moql
