#pragma once
/// Whole messages out of arbitrary fragments. A message that lies inside one fragment is not copied; of one that is
/// split, only what has arrived is held, never what its length claims.

#include "../base/vec.hpp"
#include "../wire/codec.hpp"

namespace moql {

/// What a reader or a machine says after it has looked at its input.
enum class step : std::uint8_t {
  wait,   ///< All input is taken; more bytes are needed.
  ready,  ///< Something came; call again, there may be more.
  fault,  ///< The peer is wrong; sticky.
};

/// One message as it lay on the stream; `body` is valid until the next call.
struct raw_message {
  std::optional<std::uint64_t> type{};
  byte_view body{};
};

class message_reader {
 public:
  explicit message_reader(memory m = {}) noexcept : carry_(m) {}

  /// Takes bytes off `in` until a message is complete. `body_max` is checked on the length alone.
  [[nodiscard]] step next(byte_view& in, bool typed, framing how, std::size_t body_max, raw_message& out,
                          errc& why) noexcept {
    drop_delivered();
    message_head head;
    if (carry_.empty()) {
      head = read_head(in, typed, how);
      if (head.why == errc::ok) {
        if (head.body_size > body_max) return fail(errc::message_too_large, why);
        if (head.body_size <= in.size() - head.size) {
          const auto size = static_cast<std::size_t>(head.body_size);
          out = {head.type, in.subspan(head.size, size)};
          in = in.subspan(head.size + size);
          return step::ready;
        }
      }
      return hold(in, in.size(), why);
    }
    for (head = read_head(carry_.view(), typed, how); head.why != errc::ok;
         head = read_head(carry_.view(), typed, how)) {
      if (in.empty()) return step::wait;
      if (hold(in, 1, why) == step::fault) return step::fault;
    }
    if (head.body_size > body_max) return fail(errc::message_too_large, why);
    const std::size_t whole = head.size + static_cast<std::size_t>(head.body_size);
    const std::size_t missing = whole - carry_.size();
    if (hold(in, missing < in.size() ? missing : in.size(), why) == step::fault) return step::fault;
    if (carry_.size() < whole) return step::wait;
    out = {head.type, carry_.view().subspan(head.size)};
    delivered_ = true;
    return step::ready;
  }

  /// Takes one varint off `in`: a stream type.
  [[nodiscard]] step next_varint(byte_view& in, std::uint64_t& out, errc& why) noexcept {
    drop_delivered();
    while (true) {
      const byte_view from = carry_.empty() ? in : carry_.view();
      wire::reader r{from.data(), from.data() + from.size(), {}};
      if (wire::get_varint(r, out)) {
        if (carry_.empty())
          in = in.subspan(static_cast<std::size_t>(r.p - from.data()));
        else
          carry_.clear();
        return step::ready;
      }
      if (in.empty()) return step::wait;
      if (hold(in, carry_.empty() ? in.size() : 1, why) == step::fault) return step::fault;
    }
  }

  /// Whether part of a message is held: an end of the stream now would cut it.
  [[nodiscard]] bool is_inside() const noexcept { return !carry_.empty() && !delivered_; }
  [[nodiscard]] std::size_t held() const noexcept { return carry_.size(); }
  /// Room for split messages, ahead of time. Without memory the room is made when it is needed.
  void reserve(std::size_t n) noexcept { (void)carry_.reserve(n); }
  void recycle() noexcept {
    carry_.clear();
    delivered_ = false;
  }

 private:
  void drop_delivered() noexcept {
    if (delivered_) recycle();
  }
  step hold(byte_view& in, std::size_t n, errc& why) noexcept {
    if (!carry_.append(in.data(), n)) return fail(errc::out_of_memory, why);
    in = in.subspan(n);
    return step::wait;
  }
  static step fail(errc e, errc& why) noexcept {
    why = e;
    return step::fault;
  }
  vec<std::uint8_t> carry_;
  bool delivered_ = false;
};

}  // namespace moql
