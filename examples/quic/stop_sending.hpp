#pragma once
/// STOP_SENDING frames in the payload of a packet. ngtcp2 before 1.24 answers them itself and tells nobody, so whoever
/// wants to know, and with which code, must look.

#include <moql/base/bytes.hpp>
#include <moql/wire/varint.hpp>

namespace quic {

namespace detail {
class frame_walk {
 public:
  explicit frame_walk(moql::byte_view payload) noexcept : in_{payload.data(), payload.data() + payload.size()} {}
  /// Steps over one frame. False at the end, and at anything that is not a frame of RFC 9000 or RFC 9221.
  [[nodiscard]] bool next() noexcept {
    while (in_.p != in_.end && *in_.p == 0) ++in_.p;  // PADDING
    if (in_.p == in_.end || !number(type_)) return false;
    switch (type_) {
      case 0x01:
      case 0x1e: return true;  // PING, HANDSHAKE_DONE
      case 0x02:
      case 0x03: return ack();
      case 0x04: return numbers(3);  // RESET_STREAM
      case 0x05: return number(stream_) && number(code_);
      case 0x06: return numbers(1) && rest_of(true);  // CRYPTO
      case 0x07: return rest_of(true);                // NEW_TOKEN
      case 0x10:
      case 0x12:
      case 0x13:
      case 0x14:
      case 0x16:
      case 0x17:
      case 0x19: return numbers(1);
      case 0x11:
      case 0x15: return numbers(2);  // MAX_STREAM_DATA, STREAM_DATA_BLOCKED
      case 0x18: return numbers(2) && new_id();
      case 0x1a:
      case 0x1b: return skip(8);  // PATH_CHALLENGE, PATH_RESPONSE
      case 0x30:
      case 0x31: return rest_of(type_ == 0x31);  // DATAGRAM
      default: break;
    }
    if (type_ < 0x08 || type_ > 0x0f) return false;  // nothing is of interest behind a CONNECTION_CLOSE
    return numbers((type_ & 4) != 0 ? 2 : 1) && rest_of((type_ & 2) != 0);  // STREAM
  }
  [[nodiscard]] bool is_stop_sending() const noexcept { return type_ == 0x05; }
  [[nodiscard]] std::uint64_t stream() const noexcept { return stream_; }
  [[nodiscard]] std::uint64_t code() const noexcept { return code_; }

 private:
  [[nodiscard]] bool number(std::uint64_t& out) noexcept { return moql::wire::get_varint_hot(in_, out); }
  [[nodiscard]] bool numbers(std::uint64_t n) noexcept {
    std::uint64_t ignored{};
    while (n != 0 && number(ignored)) --n;
    return n == 0;
  }
  [[nodiscard]] bool skip(std::uint64_t n) noexcept {
    if (n > in_.left()) return false;
    in_.p += n;
    return true;
  }
  [[nodiscard]] bool rest_of(bool has_length) noexcept {
    std::uint64_t n = in_.left();
    return (!has_length || number(n)) && skip(n);
  }
  [[nodiscard]] bool ack() noexcept {
    std::uint64_t ranges{};
    return numbers(2) && number(ranges) && numbers(1) && ranges <= in_.left() && numbers(2 * ranges) &&
           numbers(type_ == 0x03 ? 3 : 0);
  }
  [[nodiscard]] bool new_id() noexcept { return in_.p != in_.end && skip(std::uint64_t{1} + *in_.p + 16); }

  moql::wire::reader in_;
  std::uint64_t type_ = 0, stream_ = 0, code_ = 0;
};
}  // namespace detail

/// Calls `found(stream, code)` for each.
template <class F>
void find_stop_sending(moql::byte_view payload, F&& found) {
  detail::frame_walk w(payload);
  while (w.next())
    if (w.is_stop_sending()) found(w.stream(), w.code());
}

}  // namespace quic
