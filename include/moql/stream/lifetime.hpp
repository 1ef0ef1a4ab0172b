#pragma once
/// The ends of a stream: FIN, RESET and STOP_SENDING in any order end it exactly once, with both directions closed and
/// nothing written afterwards. Draft 06 section 4.3: there are no half-open states.

#include <cstdint>

namespace moql {

class lifetime {
 public:
  enum class half : std::uint8_t { absent, open, finished, reset };
  enum class input : std::uint8_t { local_fin, local_abort, local_stop, remote_fin, remote_reset, remote_stop };
  /// What must go to the transport, and whether the stream is over with this.
  struct effect {
    bool fin{};
    bool reset{};
    bool stop{};
    bool over{};
  };

  constexpr lifetime() noexcept = default;
  [[nodiscard]] static constexpr lifetime bidi() noexcept { return {half::open, half::open}; }
  [[nodiscard]] static constexpr lifetime uni_out() noexcept { return {half::open, half::absent}; }
  [[nodiscard]] static constexpr lifetime uni_in() noexcept { return {half::absent, half::open}; }

  constexpr effect apply(input in) noexcept {
    effect e;
    const bool was_over = is_over();
    switch (in) {
      case input::local_fin:
        if (sending_ == half::open) {
          sending_ = half::finished;
          e.fin = true;
        }
        break;
      case input::local_abort:  // our own end of both directions
        end_sending(e);
        end_receiving(e);
        break;
      case input::local_stop: end_receiving(e); break;
      case input::remote_fin:
        if (receiving_ == half::open) receiving_ = half::finished;
        break;
      case input::remote_reset:  // the other direction ends too
        if (receiving_ == half::open) receiving_ = half::reset;
        end_sending(e);
        break;
      case input::remote_stop:
        // A peer that is done says FIN and STOP_SENDING: its own direction still ends by itself. What was finished
        // already stays finished, the stack is sending the rest.
        if (sending_ == half::open) end_sending(e);
        break;
    }
    e.over = !was_over && is_over();
    return e;
  }

  [[nodiscard]] constexpr bool is_over() const noexcept { return sending_ != half::open && receiving_ != half::open; }
  [[nodiscard]] constexpr bool can_send() const noexcept { return sending_ == half::open; }
  [[nodiscard]] constexpr bool can_receive() const noexcept { return receiving_ == half::open; }
  [[nodiscard]] constexpr half sending() const noexcept { return sending_; }
  [[nodiscard]] constexpr half receiving() const noexcept { return receiving_; }

 private:
  constexpr lifetime(half s, half r) noexcept : sending_(s), receiving_(r) {}
  constexpr void end_sending(effect& e) noexcept {
    if (sending_ != half::open) return;
    sending_ = half::reset;
    e.reset = true;
  }
  constexpr void end_receiving(effect& e) noexcept {
    if (receiving_ != half::open) return;
    receiving_ = half::reset;
    e.stop = true;
  }
  half sending_ = half::absent;
  half receiving_ = half::absent;
};

}  // namespace moql
