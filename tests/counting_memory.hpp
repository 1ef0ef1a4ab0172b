#pragma once
/// Memory that counts what is out, checks that blocks come back with their size, and can say no.

#include <cstdlib>
#include <map>

#include "moql/base/memory.hpp"

namespace moql {

struct counting_memory {
  std::map<void*, std::size_t> out{};
  std::size_t bytes = 0;
  std::size_t bytes_high = 0;
  std::size_t requests = 0;
  std::size_t allowed = ~std::size_t{0};  ///< The request with this number, from 0, and all later ones fail.
  bool fails_once = false;                ///< Only that one fails.
  bool was_refused = false;
  bool sizes_match = true;

  memory_source source{+[](void* context, std::size_t size) noexcept -> void* {
                         auto& m = *static_cast<counting_memory*>(context);
                         const std::size_t number = m.requests++;
                         if (m.fails_once ? number == m.allowed : number >= m.allowed) {
                           m.was_refused = true;
                           return nullptr;
                         }
                         void* p = std::malloc(size == 0 ? 1 : size);
                         m.out[p] = size;
                         m.bytes += size;
                         if (m.bytes > m.bytes_high) m.bytes_high = m.bytes;
                         return p;
                       },
                       +[](void* context, void* block, std::size_t size) noexcept {
                         auto& m = *static_cast<counting_memory*>(context);
                         const auto i = m.out.find(block);
                         m.sizes_match = m.sizes_match && i != m.out.end() && i->second == size;
                         if (i != m.out.end()) m.out.erase(i);
                         m.bytes -= size;
                         std::free(block);
                       },
                       this};
  counting_memory() = default;
  counting_memory(const counting_memory&) = delete;
  counting_memory& operator=(const counting_memory&) = delete;
  [[nodiscard]] memory get() const noexcept { return {&source}; }
};

}  // namespace moql
