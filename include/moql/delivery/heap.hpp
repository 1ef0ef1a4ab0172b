#pragma once
/// A min-heap whose entries can be found again: small slot numbers with a key each.

#include <cstddef>
#include <cstdint>

#include "../base/vec.hpp"

namespace moql {

/// Four children a node: half as deep as a binary heap, and the four keys lie in one or two cache lines. Ids are small
/// and dense; the position table has one word for each id up to the largest ever pushed. Key is a trivially copyable
/// type with `<`. Entries with equal keys come out in no particular order, the same one on every run.
template <class Key>
class indexed_heap {
 public:
  struct entry {
    Key key;
    std::uint32_t id;
  };

  explicit indexed_heap(memory m = {}) noexcept : nodes_(m), places_(m) {}

  /// Room for ids 0..ids-1, so that `push` of those cannot fail. False when memory ran out.
  [[nodiscard]] bool reserve(std::uint32_t ids) noexcept {
    if (!nodes_.reserve(ids) || !places_.reserve(ids)) return false;
    while (places_.size() < ids)
      if (!places_.push(absent)) return false;
    return true;
  }
  /// `id` must not be in the heap. False when memory ran out; the heap is unchanged then.
  [[nodiscard]] bool push(std::uint32_t id, Key key) noexcept {
    while (places_.size() <= id)
      if (!places_.push(absent)) return false;
    expects(places_[id] == absent);
    if (!nodes_.push({key, id})) return false;
    rise(nodes_.size() - 1, {key, id});
    return true;
  }
  /// Gives `id`, which must be in the heap, another key.
  void update(std::uint32_t id, Key key) noexcept {
    expects(contains(id));
    settle(places_[id], {key, id});
  }
  /// Nothing happens when `id` is not in the heap.
  void erase(std::uint32_t id) noexcept {
    if (!contains(id)) return;
    const std::size_t at = places_[id];
    places_[id] = absent;
    const entry last = nodes_.back();
    nodes_.pop();
    if (at != nodes_.size()) settle(at, last);
  }
  /// Keeps the memory.
  void clear() noexcept {
    for (const entry& e : nodes_) places_[e.id] = absent;
    nodes_.clear();
  }

  /// The entry with the smallest key. The heap must not be empty.
  [[nodiscard]] const entry& top() const noexcept { return nodes_[0]; }
  [[nodiscard]] bool contains(std::uint32_t id) const noexcept { return id < places_.size() && places_[id] != absent; }
  /// The key of `id`, which must be in the heap.
  [[nodiscard]] const Key& key_of(std::uint32_t id) const noexcept { return nodes_[places_[id]].key; }
  [[nodiscard]] bool empty() const noexcept { return nodes_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }

 private:
  static constexpr std::uint32_t absent = ~std::uint32_t{0};
  void put(std::size_t at, const entry& e) noexcept {
    nodes_[at] = e;
    places_[e.id] = static_cast<std::uint32_t>(at);
  }
  void settle(std::size_t at, const entry& e) noexcept {
    if (at != 0 && e.key < nodes_[(at - 1) / 4].key)
      rise(at, e);
    else
      sink(at, e);
  }
  void rise(std::size_t at, const entry e) noexcept {
    while (at != 0) {
      const std::size_t parent = (at - 1) / 4;
      if (!(e.key < nodes_[parent].key)) break;
      put(at, nodes_[parent]);
      at = parent;
    }
    put(at, e);
  }
  void sink(std::size_t at, const entry e) noexcept {
    const std::size_t n = nodes_.size();
    for (;;) {
      const std::size_t child = at * 4 + 1;
      if (child >= n) break;
      const entry* c = nodes_.data() + child;
      std::size_t least = child;
      if (n - child >= 4) {  // without branches: which child is least cannot be predicted
        const std::size_t left = static_cast<std::size_t>(c[1].key < c[0].key);
        const std::size_t right = 2 + static_cast<std::size_t>(c[3].key < c[2].key);
        const std::size_t second = static_cast<std::size_t>(c[right].key < c[left].key);
        least += left + (right - left) * second;
      } else {
        for (std::size_t i = 1; i < n - child; ++i)
          if (c[i].key < nodes_[least].key) least = child + i;
      }
      if (!(nodes_[least].key < e.key)) break;
      put(at, nodes_[least]);
      at = least;
    }
    put(at, e);
  }
  vec<entry> nodes_;
  vec<std::uint32_t> places_;  // by id
};

}  // namespace moql
