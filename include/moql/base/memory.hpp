#pragma once
/// Where all memory of the library comes from: one allocator, given at construction, that may say no.

#include <cstddef>
#include <cstdlib>

namespace moql {

/// An allocator. `take` returns memory aligned for any scalar type, or null when there is none; `give` gets it back
/// with its size. Used by one thread at a time.
struct memory_source {
  void* (*take)(void* context, std::size_t size) noexcept = +[](void*, std::size_t size) noexcept {
    return std::malloc(size);
  };
  void (*give)(void* context, void* block, std::size_t size) noexcept = +[](void*, void* block, std::size_t) noexcept {
    std::free(block);
  };
  void* context = nullptr;
};

/// One pointer, because every container keeps one. The source must outlive every object made from it; without one,
/// memory is that of `malloc`.
struct memory {
  const memory_source* source = nullptr;

  [[nodiscard]] void* allocate(std::size_t size) const noexcept {
    return source != nullptr ? source->take(source->context, size) : std::malloc(size);
  }
  void release(void* block, std::size_t size) const noexcept {
    if (block == nullptr) return;
    if (source != nullptr)
      source->give(source->context, block, size);
    else
      std::free(block);
  }
};

}  // namespace moql
