#pragma once
/// One of the at most two subscriptions that carry a `moving_subscription`: what it was asked for, where it begins and
/// ends, and what it will not bring.

#include "../delivery/positions.hpp"
#include "../session/session.hpp"

namespace moql::detail {

struct switchover_leg {
  explicit switchover_leg(memory m = {}) noexcept : gone(m), open(m) {}

  session* at = nullptr;
  subscription_id id{};
  msg::delivery want{};
  std::optional<track_place> from{};          ///< Where the reader stood when this one was asked.
  std::optional<std::uint64_t> first{};       ///< Its first group, as told; else the lowest seen.
  std::optional<std::uint64_t> last{};        ///< Its last group, when it has been capped.
  std::optional<std::uint64_t> last_frame{};  ///< The cap lies inside of `last`.
  std::optional<std::uint64_t> cut{};         ///< A group that was capped inside: its end here proves nothing any more.
  version speaks{};                           ///< Of the session, for when that is gone.
  ranges gone;                                ///< Groups that it will not bring, or bring no more of.
  vec<std::uint64_t> open;                    ///< Groups that it is bringing.
  bool is_live = false;
  bool is_asked_from = false;  ///< `from` is in its request: nothing below will come.
  bool is_first_told = false;
  bool has_answered = false;  ///< There was more than silence.
  bool was_capped = false;    ///< It may have given up groups for good.

  void begin(session& s, subscription_id sub, const msg::delivery& w) noexcept {
    at = &s;
    speaks = s.negotiated();
    id = sub;
    want = w;
    from.reset();
    first.reset();
    last.reset();
    last_frame.reset();
    cut.reset();
    gone.clear();
    open.clear();
    is_live = true;
    is_asked_from = is_first_told = has_answered = was_capped = false;
  }
  [[nodiscard]] bool is_bringing(std::uint64_t group) const noexcept {
    for (const std::uint64_t g : open)
      if (g == group) return true;
    return false;
  }
  void ended(std::uint64_t group) noexcept {
    for (std::size_t i = 0; i < open.size(); ++i)
      if (open[i] == group) return open.erase(i);
  }
  [[nodiscard]] bool lose(std::uint64_t a, std::uint64_t b, std::size_t gaps_max) noexcept {
    if (!gone.add(a, b)) return false;
    while (gone.count() > gaps_max) (void)gone.close_oldest_gap();
    return true;
  }
  /// Calls f(first, last) for every run in a..b that this one will not bring (to its end).
  template <class F>
  void for_each_unserved(std::uint64_t a, std::uint64_t b, F&& f) const {
    if (!is_live) return f(a, b);
    // Of a first group that was merely seen a lower one may still come.
    const std::uint64_t low = is_first_told ? *first : is_asked_from ? from->group : 0;
    if (a < low) {
      f(a, b < low ? b : low - 1);
      if (b < low) return;
      a = low;
    }
    std::uint64_t end = ~std::uint64_t{0};  // one past the last that it brings whole
    if (last) end = last_frame ? *last : *last + 1;
    if (a >= end) return f(a, b);
    const std::uint64_t high = b < end ? b : end - 1;
    for (const interval& lost : gone.view()) {
      if (lost.last < a || lost.first > high) continue;
      f(lost.first < a ? a : lost.first, lost.last > high ? high : lost.last);
    }
    if (high != b) f(end, b);
  }
};

}  // namespace moql::detail
