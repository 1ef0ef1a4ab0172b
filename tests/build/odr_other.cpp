#include "every_header.hpp"

const void* other_table() noexcept;
const void* other_broken_promise() noexcept;
std::size_t other_size(const moql::msg::group& g) noexcept;

const void* other_table() noexcept { return &moql::detail::error_table; }
const void* other_broken_promise() noexcept { return reinterpret_cast<const void*>(&moql::broken_promise); }
std::size_t other_size(const moql::msg::group& g) noexcept { return moql::encoded_size(g, moql::lite06); }
