#pragma once
/// Where all memory of the library comes from: one allocator, given at construction, that may say no.

#include <cstddef>
#include <cstdlib>

namespace moql {

/// `take` returns memory aligned for any scalar type, or null when there is none; `give` returns it with its size.
/// Used by one thread at a time. The context must outlive every object made from it.
struct memory {
  void* (*take)(void* context, std::size_t size) noexcept = +[](void*, std::size_t size) noexcept {
    return std::malloc(size);
  };
  void (*give)(void* context, void* block, std::size_t size) noexcept = +[](void*, void* block, std::size_t) noexcept {
    std::free(block);
  };
  void* context = nullptr;

  [[nodiscard]] void* allocate(std::size_t size) const noexcept { return take(context, size); }
  void release(void* block, std::size_t size) const noexcept {
    if (block != nullptr) give(context, block, size);
  }
};

}  // namespace moql
