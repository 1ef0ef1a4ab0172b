#pragma once
/// One input, every way it can arrive: whole, byte by byte, split at every place, cut at every place, a byte too long.
/// No test framework in here, so that fuzzers can use it too.

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "moql/base/bytes.hpp"

namespace moql::bytewise {

/// What is tried: `feed` takes one fragment and appends to `log` what came of it, `fin` is the end of the stream. The
/// log must not depend on where fragments end.
template <class R>
concept reader = requires(R r, byte_view in, std::string& log) {
  r.feed(in, log);
  r.fin(log);
};

/// Feeds one fragment from a block of exactly its size that is gone afterwards: a reader that looks beyond it, or back
/// at it later, is caught by a sanitizer.
template <reader R>
void feed_alone(R& r, byte_view in, std::string& log) {
  const std::unique_ptr<std::uint8_t[]> block(new std::uint8_t[in.size()]);
  if (!in.empty()) std::memcpy(block.get(), in.data(), in.size());
  r.feed({block.get(), in.size()}, log);
}

/// The log of `in` in fragments that end at `cuts` (rising, no larger than the input) and at its end.
template <class Make>
[[nodiscard]] std::string run(Make&& make, byte_view in, const std::vector<std::size_t>& cuts = {}, bool fin = true) {
  auto r = make();
  std::string log;
  std::size_t from = 0;
  for (const std::size_t cut : cuts) {
    feed_alone(r, in.subspan(from, cut - from), log);
    from = cut;
  }
  feed_alone(r, in.subspan(from), log);
  if (fin) r.fin(log);
  return log;
}
/// The log of `in`, one byte at a time, an empty fragment after each.
template <class Make>
[[nodiscard]] std::string run_bytewise(Make&& make, byte_view in, bool fin = true) {
  std::vector<std::size_t> cuts;
  for (std::size_t i = 1; i <= in.size(); ++i) cuts.insert(cuts.end(), {i, i});
  return run(make, in, cuts, fin);
}

struct verdict {
  std::string log;         ///< Of the whole input in one piece.
  std::string difference;  ///< The first way to arrive that gave another log; empty when all gave the same.
};

/// Whole, one byte at a time, and split in two at every place.
template <class Make>
[[nodiscard]] verdict every_way(Make&& make, byte_view in, bool fin = true) {
  verdict v{run(make, in, {}, fin), {}};
  const auto compare = [&](const std::string& how, const std::string& log) {
    if (v.difference.empty() && log != v.log) v.difference = how + ": " + log + " instead of " + v.log;
  };
  compare("bytewise", run_bytewise(make, in, fin));
  for (std::size_t i = 0; i <= in.size(); ++i) compare("split at " + std::to_string(i), run(make, in, {i}, fin));
  return v;
}

/// Every proper prefix, then the end of the stream: `judge(size, log)` for each, whole and byte by byte.
template <class Make, class Judge>
void every_cut(Make&& make, byte_view in, Judge&& judge) {
  for (std::size_t n = 0; n < in.size(); ++n) {
    judge(n, run(make, in.first(n)));
    judge(n, run_bytewise(make, in.first(n)));
  }
}

/// The input with a byte behind it.
[[nodiscard]] inline std::vector<std::uint8_t> with_extra(byte_view in, std::uint8_t extra) {
  std::vector<std::uint8_t> out(in.begin(), in.end());
  out.push_back(extra);
  return out;
}

/// Bytes from hex digits; anything else is skipped.
[[nodiscard]] inline std::vector<std::uint8_t> hex(std::string_view s) {
  std::vector<std::uint8_t> out;
  int half = -1;
  for (const char c : s) {
    const int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (d < 0) continue;
    if (half < 0) {
      half = d;
    } else {
      out.push_back(static_cast<std::uint8_t>(half * 16 + d));
      half = -1;
    }
  }
  return out;
}

}  // namespace moql::bytewise
