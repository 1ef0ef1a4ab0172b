#pragma once
/// Payload: a reference-counted slice of somebody's buffer. Copying shares, slicing shares, nothing moves.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string_view>
#include <utility>

#include "memory.hpp"

namespace moql {

using byte_view = std::span<const std::uint8_t>;

/// Whoever owns a buffer that the library or an adapter may refer to. `release` of the last reference frees it.
/// The library calls both on the thread of its session only.
struct owner {
  void (*retain)(owner*) noexcept = nullptr;
  void (*release)(owner*) noexcept = nullptr;
};

/// A slice with a share in its owner. Without an owner it is a plain view: the memory then belongs to the caller and
/// must stay valid as the function that takes it says.
///
/// The count of buffers made by `copy` is not atomic: a session, its tracks and its adapter live on one thread at a
/// time. `clone` makes an independent copy, which is the only way to another thread.
class bytes {
 public:
  constexpr bytes() noexcept = default;
  /// Refers to memory of the caller's without owning it.
  [[nodiscard]] static bytes borrow(byte_view v) noexcept { return {v.data(), v.size(), nullptr}; }
  /// Takes a share in a buffer that belongs to `o` (the count is raised).
  [[nodiscard]] static bytes share(byte_view v, owner* o) noexcept {
    if (o != nullptr) o->retain(o);
    return {v.data(), v.size(), o};
  }
  /// Takes over one share that the caller already holds (the count is not raised).
  [[nodiscard]] static bytes adopt(byte_view v, owner* o) noexcept { return {v.data(), v.size(), o}; }
  /// A copy in memory of its own. Empty, with `data() == nullptr`, when memory ran out.
  [[nodiscard]] static bytes copy(byte_view v, memory m = {}) noexcept {
    auto* h = static_cast<held*>(m.allocate(sizeof(held) + v.size()));
    if (h == nullptr) return {};
    ::new (static_cast<void*>(h)) held{{&held::more, &held::less}, m, sizeof(held) + v.size(), 1};
    auto* data = reinterpret_cast<std::uint8_t*>(h + 1);
    if (!v.empty()) std::memcpy(data, v.data(), v.size());
    return {data, v.size(), h};
  }
  [[nodiscard]] static bytes copy(std::string_view s, memory m = {}) noexcept {
    return copy(byte_view(reinterpret_cast<const std::uint8_t*>(s.data()), s.size()), m);
  }
  bytes(const bytes& o) noexcept : data_(o.data_), size_(o.size_), owner_(o.owner_) {
    if (owner_ != nullptr) owner_->retain(owner_);
  }
  bytes(bytes&& o) noexcept
      : data_(std::exchange(o.data_, nullptr)),
        size_(std::exchange(o.size_, 0)),
        owner_(std::exchange(o.owner_, nullptr)) {}
  bytes& operator=(bytes o) noexcept {
    std::swap(data_, o.data_);
    std::swap(size_, o.size_);
    std::swap(owner_, o.owner_);
    return *this;
  }
  ~bytes() {
    if (owner_ != nullptr) owner_->release(owner_);
  }

  /// `from + n` must not be past the end. Shares the root owner, however often it is sliced.
  [[nodiscard]] bytes slice(std::size_t from, std::size_t n) const noexcept { return share({data_ + from, n}, owner_); }
  [[nodiscard]] bytes clone(memory m = {}) const noexcept { return copy(view(), m); }
  [[nodiscard]] const std::uint8_t* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] byte_view view() const noexcept { return {data_, size_}; }
  [[nodiscard]] std::string_view text() const noexcept { return {reinterpret_cast<const char*>(data_), size_}; }
  [[nodiscard]] owner* held_by() const noexcept { return owner_; }

 private:
  struct held : owner {
    held(owner o, memory m, std::size_t n, std::size_t c) noexcept : owner(o), from(m), size(n), count(c) {}
    memory from;
    std::size_t size;
    std::size_t count;
    static void more(owner* o) noexcept { ++static_cast<held*>(o)->count; }
    static void less(owner* o) noexcept {
      auto* h = static_cast<held*>(o);
      if (--h->count == 0) h->from.release(h, h->size);
    }
  };
  bytes(const std::uint8_t* d, std::size_t n, owner* o) noexcept : data_(d), size_(n), owner_(o) {}
  const std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  owner* owner_ = nullptr;
};

}  // namespace moql
