#pragma once
/// The few compiler-specific spellings of the library, each with a portable branch beside it.

#include <cstdlib>

#if defined(__GNUC__) || defined(__clang__)
#define MOQL_INLINE [[gnu::always_inline]] inline
#define MOQL_NOINLINE [[gnu::noinline]]
#elif defined(_MSC_VER)
#define MOQL_INLINE __forceinline
#define MOQL_NOINLINE __declspec(noinline)
#else
#define MOQL_INLINE inline
#define MOQL_NOINLINE
#endif

namespace moql {

/// Ends the process: a promise of the caller or of the library itself is broken. Never reached by what a peer sends.
[[noreturn]] inline void broken_promise() noexcept { std::abort(); }

/// Always compiled in: under two NDEBUG settings an `assert` in an inline function would differ between units.
constexpr void expects(bool promise) noexcept {
  if (!promise) [[unlikely]]
    broken_promise();
}

}  // namespace moql
