#pragma once
/// Recycled, counted buffers for adapters that must copy: once warm, a copy costs no allocation.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

#include "bytes.hpp"

namespace moql {

/// Buffers come in classes of doubling size and return when their last share goes, which may be after the pool has
/// gone. The counts are not atomic: one thread at a time.
class buffer_pool {
  struct home;

 public:
  class buffer : public owner {
   public:
    [[nodiscard]] std::uint8_t* data() noexcept { return reinterpret_cast<std::uint8_t*>(this + 1); }
    [[nodiscard]] std::size_t capacity() const noexcept { return smallest << size_class_; }

   private:
    friend class buffer_pool;
    home* home_ = nullptr;
    buffer* next_ = nullptr;
    std::size_t shares_ = 0;
    std::size_t size_class_ = 0;
  };

  explicit buffer_pool(memory m = {}) noexcept : memory_(m) {}
  buffer_pool(const buffer_pool&) = delete;
  buffer_pool& operator=(const buffer_pool&) = delete;
  ~buffer_pool() {
    if (home_ == nullptr) return;
    for (buffer*& list : home_->idle)
      while (list != nullptr) destroy(std::exchange(list, list->next_));
    home_->orphaned = true;
    if (home_->lent == 0) memory_.release(home_, sizeof(home));
  }

  /// Room for at least `n` bytes and one share in it, which the caller holds (`bytes::adopt`). Null when memory ran
  /// out.
  [[nodiscard]] buffer* take(std::size_t n) noexcept {
    const auto c = n <= smallest ? 0 : static_cast<std::size_t>(std::bit_width((n - 1) / smallest));
    if (c >= classes || (home_ == nullptr && !settle())) return nullptr;
    buffer* b = home_->idle[c];
    if (b != nullptr) {
      home_->idle[c] = b->next_;
    } else {
      void* block = memory_.allocate(sizeof(buffer) + (smallest << c));
      if (block == nullptr) return nullptr;
      b = ::new (block) buffer;
      b->retain = &more;
      b->release = &less;
      b->home_ = home_;
      b->size_class_ = c;
    }
    b->shares_ = 1;
    ++home_->lent;
    return b;
  }
  /// A copy of `v` in a recycled buffer. Without an owner when memory ran out.
  [[nodiscard]] bytes copy(byte_view v) noexcept {
    buffer* b = take(v.size());
    if (b == nullptr) return {};
    if (!v.empty()) std::memcpy(b->data(), v.data(), v.size());
    return bytes::adopt({b->data(), v.size()}, b);
  }
  /// Buffers in which somebody still has a share.
  [[nodiscard]] std::size_t lent() const noexcept { return home_ == nullptr ? 0 : home_->lent; }

 private:
  static constexpr std::size_t smallest = 64;
  static constexpr std::size_t classes = 25;  // up to 1 GiB
  struct home {                               // apart from the pool, because buffers may outlive it
    explicit home(memory m) noexcept : from(m) {}
    memory from;
    std::size_t lent = 0;
    bool orphaned = false;
    buffer* idle[classes] = {};
  };
  [[nodiscard]] bool settle() noexcept {
    void* block = memory_.allocate(sizeof(home));
    if (block != nullptr) home_ = ::new (block) home(memory_);
    return block != nullptr;
  }
  static void destroy(buffer* b) noexcept { b->home_->from.release(b, sizeof(buffer) + b->capacity()); }
  static void more(owner* o) noexcept { ++static_cast<buffer*>(o)->shares_; }
  static void less(owner* o) noexcept {
    auto* b = static_cast<buffer*>(o);
    if (--b->shares_ != 0) return;
    home* h = b->home_;
    --h->lent;
    if (!h->orphaned) {
      b->next_ = h->idle[b->size_class_];
      h->idle[b->size_class_] = b;
      return;
    }
    destroy(b);
    if (h->lent == 0) {
      const memory from = h->from;
      from.release(h, sizeof(home));
    }
  }
  memory memory_;
  home* home_ = nullptr;
};

}  // namespace moql
