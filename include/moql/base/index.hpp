#pragma once
/// A small hash index from 64-bit keys to 32-bit slots: open addressing, backward-shift erase, no tombstones.

#include "slab.hpp"

namespace moql {

/// Where an index has its keys: beside the slots' numbers...
struct kept_keys {
  struct cell {
    std::uint64_t key;
    std::uint32_t value;
  };
  [[nodiscard]] static cell make(std::uint64_t key, std::uint32_t value) noexcept { return {key, value}; }
  [[nodiscard]] static std::uint64_t key_of(const cell& c) noexcept { return c.key; }
};
/// ... or in the slots themselves, as `T::key()`: a quarter of the memory. A key must not change while it is indexed.
template <class T>
struct keys_in {
  struct cell {
    std::uint32_t value;
  };
  const slab<T>* slots;
  [[nodiscard]] static cell make(std::uint64_t, std::uint32_t value) noexcept { return {value}; }
  [[nodiscard]] std::uint64_t key_of(const cell& c) const noexcept { return (*slots)[c.value].key(); }
};

template <class Keys>
class basic_slot_index {
 public:
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  explicit basic_slot_index(memory m = {}, Keys keys = {}) noexcept : keys_(keys), cells_(m) {}
  [[nodiscard]] std::uint32_t find(std::uint64_t key) const noexcept {
    if (cells_.empty()) return none;
    for (std::size_t i = home(key);; i = (i + 1) & mask())
      if (cells_[i].value == none || keys_.key_of(cells_[i]) == key) return cells_[i].value;
  }
  /// False when memory ran out. The key must not be there yet.
  [[nodiscard]] bool insert(std::uint64_t key, std::uint32_t value) noexcept {
    if ((size_ + 1) * 4 > cells_.size() * 3 && !grow()) return false;
    put(key, value);
    ++size_;
    return true;
  }
  /// Keeps the memory.
  void clear() noexcept {
    for (cell& c : cells_) c.value = none;
    size_ = 0;
  }
  void erase(std::uint64_t key) noexcept {
    if (cells_.empty()) return;
    std::size_t i = home(key);
    for (;; i = (i + 1) & mask()) {
      if (cells_[i].value == none) return;
      if (keys_.key_of(cells_[i]) == key) break;
    }
    --size_;
    for (std::size_t j = i;;) {
      cells_[i].value = none;
      for (;;) {
        j = (j + 1) & mask();
        if (cells_[j].value == none) return;
        const std::size_t h = home(keys_.key_of(cells_[j]));
        if (i <= j ? (i < h && h <= j) : (i < h || h <= j)) continue;  // already where it belongs
        break;
      }
      cells_[i] = cells_[j];
      i = j;
    }
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  using cell = typename Keys::cell;
  [[nodiscard]] std::size_t mask() const noexcept { return cells_.size() - 1; }
  [[nodiscard]] std::size_t home(std::uint64_t key) const noexcept {
    return static_cast<std::size_t>((key * 0x9e3779b97f4a7c15u) >> 32) & mask();
  }
  void put(std::uint64_t key, std::uint32_t value) noexcept {
    std::size_t i = home(key);
    while (cells_[i].value != none) i = (i + 1) & mask();
    cells_[i] = Keys::make(key, value);
  }
  [[nodiscard]] bool grow() noexcept {
    vec<cell> old = std::move(cells_);
    const std::size_t n = old.empty() ? 16 : old.size() * 2;
    if (cell* at = cells_.extend(n)) {
      for (std::size_t i = 0; i < n; ++i) at[i] = Keys::make(0, none);
    } else {
      cells_ = std::move(old);
      return false;
    }
    for (const cell& c : old)
      if (c.value != none) put(keys_.key_of(c), c.value);
    return true;
  }
  [[no_unique_address]] Keys keys_;
  vec<cell> cells_;
  std::size_t size_ = 0;
};

using slot_index = basic_slot_index<kept_keys>;

/// An index of slots that may share a key. The first of a chain is indexed, each names the next in `Next`, which
/// whoever recycles a slot sets to `none`.
template <class T, std::uint32_t T::*Next = &T::next>
class chained_index {
 public:
  static constexpr std::uint32_t none = slot_index::none;

  explicit chained_index(memory m = {}) noexcept : first_(m) {}
  /// The slot under that key for which is_it(const T&) holds, or `none`.
  template <class F>
  [[nodiscard]] std::uint32_t find(const slab<T>& slots, std::uint64_t key, F&& is_it) const noexcept {
    std::uint32_t i = first_.find(key);
    while (i != none && !is_it(slots[i])) i = slots[i].*Next;
    return i;
  }
  /// f(const T&) for each slot under that key.
  void for_each(const slab<T>& slots, std::uint64_t key, auto&& f) const noexcept {
    for (std::uint32_t i = first_.find(key); i != none; i = slots[i].*Next) f(slots[i]);
  }
  /// False when memory ran out.
  [[nodiscard]] bool insert(slab<T>& slots, std::uint64_t key, std::uint32_t i) noexcept {
    const std::uint32_t first = first_.find(key);
    if (first == none) return first_.insert(key, i);
    slots[i].*Next = slots[first].*Next;
    slots[first].*Next = i;
    return true;
  }
  /// Nothing happens when the slot is not there.
  void erase(slab<T>& slots, std::uint64_t key, std::uint32_t i) noexcept {
    const std::uint32_t next = slots[i].*Next;
    const std::uint32_t first = first_.find(key);
    if (first == i) {
      first_.erase(key);
      if (next != none) (void)first_.insert(key, next);  // the room of the one just erased
    } else {
      for (std::uint32_t k = first; k != none; k = slots[k].*Next)
        if (slots[k].*Next == i) slots[k].*Next = next;
    }
    slots[i].*Next = none;
  }

 private:
  slot_index first_;
};

}  // namespace moql
