#pragma once
/// A count and that many elements. A decoded list stays in the input and is read again as it is walked, so that no
/// count, however large, makes the library take memory.

#include <concepts>
#include <span>

#include "kinds.hpp"

namespace moql::wire {

/// Borrows either the program's values or the wire's bytes; valid as long as those.
template <class Value, class Kind, std::size_t Max>
class list {
 public:
  static constexpr std::size_t count_max = Max;

  class iterator {
   public:
    using value_type = Value;
    using difference_type = std::ptrdiff_t;
    constexpr iterator() noexcept = default;
    constexpr iterator(const list& l, std::size_t i) noexcept
        : values_(l.values_), r_{l.encoded_.data(), l.encoded_.data() + l.encoded_.size(), {}}, i_(i), n_(l.count_) {
      load();
    }
    constexpr const Value& operator*() const noexcept { return current_; }
    constexpr const Value* operator->() const noexcept { return &current_; }
    constexpr iterator& operator++() noexcept {
      ++i_;
      load();
      return *this;
    }
    constexpr void operator++(int) noexcept { ++*this; }
    friend constexpr bool operator==(const iterator& a, const iterator& b) noexcept { return a.i_ == b.i_; }

   private:
    constexpr void load() noexcept {
      if (i_ == n_) return;
      if (values_ != nullptr)
        current_ = values_[i_];
      else
        (void)Kind::get(r_, current_);  // was checked when the list was decoded
    }
    const Value* values_ = nullptr;
    reader r_{};
    std::size_t i_ = 0;
    std::size_t n_ = 0;
    Value current_{};
  };

  constexpr list() noexcept = default;
  constexpr list(std::span<const Value> v) noexcept : values_(v.data()), count_(v.size()) {}
  /// An array, a span of fixed size, or any other contiguous range; it must outlive the list.
  template <class R>
  requires(!std::same_as<R, list> &&
           std::convertible_to<const R&, std::span<const Value>>) constexpr list(const R& r) noexcept
      : list(std::span<const Value>(r)) {}
  [[nodiscard]] constexpr std::size_t size() const noexcept { return count_; }
  [[nodiscard]] constexpr bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] constexpr iterator begin() const noexcept { return {*this, 0}; }
  [[nodiscard]] constexpr iterator end() const noexcept { return {*this, count_}; }
  friend constexpr bool operator==(const list& a, const list& b) noexcept {
    if (a.count_ != b.count_) return false;
    auto i = a.begin();
    for (const Value& v : b) {
      if (!(*i == v)) return false;
      ++i;
    }
    return true;
  }

 private:
  friend struct list_kind;
  const Value* values_ = nullptr;
  byte_view encoded_{};
  std::size_t count_ = 0;
};

/// (i) count, then the elements
struct list_kind {
  template <class V, class K, std::size_t Max>
  static constexpr bool get(reader& r, list<V, K, Max>& v) noexcept {
    std::uint64_t n{};
    if (!get_varint(r, n)) return false;
    if (n > r.left()) return r.fail(errc::truncated);  // no element is shorter than a byte
    if (n > Max) return r.fail(errc::too_many);
    const std::uint8_t* from = r.p;
    V element{};
    for (std::uint64_t i = 0; i < n; ++i)
      if (!K::get(r, element)) return false;
    v = {};
    v.encoded_ = {from, r.p};
    v.count_ = static_cast<std::size_t>(n);
    return true;
  }
  template <class V, class K, std::size_t Max>
  static constexpr bool fits(const list<V, K, Max>& v) noexcept {
    if (v.size() > Max) return false;
    for (const V& e : v)
      if (!K::fits(e)) return false;
    return true;
  }
  template <class V, class K, std::size_t Max>
  static constexpr std::size_t size(const list<V, K, Max>& v) noexcept {
    std::size_t n = varint_size(v.size());
    for (const V& e : v) n += K::size(e);
    return n;
  }
  template <class V, class K, std::size_t Max>
  static constexpr void put(writer& w, const list<V, K, Max>& v) noexcept {
    put_varint(w, v.size());
    for (const V& e : v) K::put(w, e);
  }
};
inline constexpr list_kind counted;

/// Hop IDs in order of travel, origin first.
using hop_list = list<std::uint64_t, varint_kind, hops_max>;

}  // namespace moql::wire
