// Every header in two units of one program: inline functions and constants must be one and the same in both.
#include "every_header.hpp"

const void* other_table() noexcept;
const void* other_broken_promise() noexcept;
std::size_t other_size(const moql::msg::group& g) noexcept;

int main() {
  const auto mine = &moql::broken_promise;
  const moql::msg::group g{};
  const bool same = other_table() == &moql::detail::error_table &&
                    other_broken_promise() == reinterpret_cast<const void*>(mine) &&
                    other_size(g) == moql::encoded_size(g, moql::lite06);
  return same ? 0 : 1;
}
