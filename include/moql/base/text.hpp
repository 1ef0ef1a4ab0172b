#pragma once
/// Strings on the wire, and broadcast paths: views, UTF-8, prefixes.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "bytes.hpp"
#include "limits.hpp"

namespace moql {

/// A view of text that is either characters of the program or bytes of the wire, usable in constant expressions.
/// Borrows: valid as long as what it was made from.
class text {
 public:
  constexpr text() noexcept = default;
  constexpr text(std::string_view s) noexcept : chars_(s.data()), size_(s.size()) {}
  constexpr text(const char* s) noexcept : text(std::string_view(s)) {}
  template <class S>
  requires requires(const S& s) {
    { s.data() } -> std::same_as<const char*>;
    { s.size() } -> std::same_as<std::size_t>;
  }
  constexpr text(const S& s) noexcept : text(std::string_view(s.data(), s.size())) {}
  [[nodiscard]] static constexpr text of(const std::uint8_t* p, std::size_t n) noexcept {
    text t;
    t.bytes_ = p;
    t.size_ = n;
    return t;
  }

  [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
  [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] constexpr std::uint8_t operator[](std::size_t i) const noexcept {
    return bytes_ != nullptr ? bytes_[i] : static_cast<std::uint8_t>(chars_[i]);
  }
  [[nodiscard]] const std::uint8_t* data() const noexcept {
    return bytes_ != nullptr ? bytes_ : reinterpret_cast<const std::uint8_t*>(chars_);
  }
  [[nodiscard]] std::string_view view() const noexcept { return {reinterpret_cast<const char*>(data()), size_}; }
  operator std::string_view() const noexcept { return view(); }
  friend constexpr bool operator==(const text& a, const text& b) noexcept {
    if (a.size_ != b.size_) return false;
    for (std::size_t i = 0; i < a.size_; ++i)
      if (a[i] != b[i]) return false;
    return true;
  }

 private:
  const char* chars_ = nullptr;
  const std::uint8_t* bytes_ = nullptr;
  std::size_t size_ = 0;
};

namespace detail {
[[nodiscard]] constexpr bool is_utf8_slow(const text& t) noexcept {
  for (std::size_t i = 0; i < t.size();) {
    const std::uint8_t c = t[i];
    if (c < 0x80) {
      ++i;
      continue;
    }
    std::size_t more = 0;
    std::uint32_t point = 0;
    if (c >= 0xc2 && c < 0xe0) {
      more = 1;
      point = c & 0x1fu;
    } else if (c >= 0xe0 && c < 0xf0) {
      more = 2;
      point = c & 0x0fu;
    } else if (c >= 0xf0 && c < 0xf5) {
      more = 3;
      point = c & 0x07u;
    } else {
      return false;
    }
    if (t.size() - i <= more) return false;
    for (std::size_t k = 1; k <= more; ++k) {
      if ((t[i + k] & 0xc0u) != 0x80u) return false;
      point = point << 6 | (t[i + k] & 0x3fu);
    }
    if (more == 2 && (point < 0x800 || (point >= 0xd800 && point < 0xe000))) return false;
    if (more == 3 && (point < 0x10000 || point > 0x10ffff)) return false;
    i += more + 1;
  }
  return true;
}
}  // namespace detail

/// Strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
[[nodiscard]] constexpr bool is_utf8(const text& t) noexcept {
  if (!std::is_constant_evaluated()) {  // nearly every path is ASCII: eight bytes a step, the last step overlapping
    constexpr std::uint64_t high = 0x8080808080808080u;
    const std::uint8_t* p = t.data();
    const std::size_t n = t.size();
    std::uint64_t seen = 0;
    if (n >= 8) {
      std::uint64_t word{};
      for (std::size_t i = 0; i + 8 < n; i += 8) {
        std::memcpy(&word, p + i, 8);
        seen |= word;
      }
      std::memcpy(&word, p + n - 8, 8);
      seen |= word;
    } else {
      for (std::size_t i = 0; i < n; ++i) seen |= p[i];
      seen |= seen << 56;
    }
    if ((seen & high) == 0) return true;
  }
  return detail::is_utf8_slow(t);
}

/// For hash indexes; whoever uses it compares the strings as well.
[[nodiscard]] constexpr std::uint64_t hash_of(std::string_view s, std::uint64_t seed = 0xcbf29ce484222325u) noexcept {
  for (const char c : s) seed = (seed ^ static_cast<std::uint8_t>(c)) * 0x100000001b3u;
  return seed;
}
/// Where the hashes of a table begin. `seed`: a random number of its owner, so that names which collide in this table
/// cannot be worked out beforehand; any number is right.
[[nodiscard]] constexpr std::uint64_t first_hash(std::uint64_t seed) noexcept { return hash_of({}) ^ seed; }

/// How a prefix covers a path. Draft 06 and every deployed stack go by whole segments, on all versions; the texts of
/// 01 to 05 say byte by byte (`room` covers `roomy`).
enum class prefix_rule : std::uint8_t { segments, bytes };

/// The segments of a path: what lies between slashes. Empty ones do not count, so `/room//a/` has the two of `room/a`.
class segments {
 public:
  explicit constexpr segments(std::string_view path) noexcept : rest_(path) {}
  /// The next segment, or an empty view at the end.
  constexpr std::string_view next() noexcept {
    while (!rest_.empty() && rest_.front() == '/') rest_.remove_prefix(1);
    const std::size_t n = rest_.find('/') == std::string_view::npos ? rest_.size() : rest_.find('/');
    const std::string_view out = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return out;
  }
  /// What has not been walked yet, without leading slashes.
  [[nodiscard]] constexpr std::string_view rest() const noexcept {
    std::string_view r = rest_;
    while (!r.empty() && r.front() == '/') r.remove_prefix(1);
    return r;
  }

 private:
  std::string_view rest_;
};

[[nodiscard]] constexpr std::size_t segment_count(std::string_view path) noexcept {
  std::size_t n = 0;
  for (segments s(path); !s.next().empty();) ++n;
  return n;
}
/// What a broadcast path, prefix or suffix must satisfy on the way in and on the way out.
[[nodiscard]] constexpr bool is_valid_path(std::string_view path) noexcept {
  return is_utf8(path) && segment_count(path) <= path_segments_max;
}

/// Whether `prefix` covers `path`; if so `suffix` is the part behind it, in the form that travels.
[[nodiscard]] constexpr bool covers(std::string_view prefix, std::string_view path, prefix_rule rule,
                                    std::string_view& suffix) noexcept {
  if (rule == prefix_rule::bytes) {
    if (!path.starts_with(prefix)) return false;
    suffix = path.substr(prefix.size());
    return true;
  }
  segments want(prefix);
  segments have(path);
  for (std::string_view s = want.next(); !s.empty(); s = want.next())
    if (have.next() != s) return false;
  suffix = have.rest();
  return true;
}
[[nodiscard]] constexpr bool covers(std::string_view prefix, std::string_view path,
                                    prefix_rule rule = prefix_rule::segments) noexcept {
  std::string_view suffix;
  return covers(prefix, path, rule, suffix);
}

/// For hash indexes: one number for all spellings of a path, which grows by segments.
[[nodiscard]] constexpr std::uint64_t hash_of_segment(std::string_view segment, std::uint64_t before) noexcept {
  return hash_of(segment, hash_of("/", before));
}
[[nodiscard]] constexpr std::uint64_t hash_of_path(std::string_view path, std::uint64_t seed = hash_of({})) noexcept {
  segments s(path);
  for (std::string_view part = s.next(); !part.empty(); part = s.next()) seed = hash_of_segment(part, seed);
  return seed;
}

/// Whether two spellings name one broadcast: the same segments.
[[nodiscard]] constexpr bool same_path(std::string_view a, std::string_view b) noexcept {
  return covers(a, b) && covers(b, a);
}

/// Writes prefix and suffix as one path to `out` (room for both and a slash) and returns its length.
[[nodiscard]] constexpr std::size_t join(std::string_view prefix, std::string_view suffix, prefix_rule rule,
                                         char* out) noexcept {
  std::size_t n = 0;
  for (const char c : prefix) out[n++] = c;
  if (rule == prefix_rule::segments && n != 0 && out[n - 1] != '/' && !suffix.empty() && suffix.front() != '/')
    out[n++] = '/';
  for (const char c : suffix) out[n++] = c;
  return n;
}

/// The one spelling of a path that the deployed stacks use: no leading, trailing or repeated slashes. Optional; the
/// library never changes a path on its own. `out` needs room for the whole path; returns the length.
[[nodiscard]] constexpr std::size_t normalise(std::string_view path, char* out) noexcept {
  std::size_t n = 0;
  segments s(path);
  for (std::string_view part = s.next(); !part.empty(); part = s.next()) {
    if (n != 0) out[n++] = '/';
    for (const char c : part) out[n++] = c;
  }
  return n;
}

}  // namespace moql
