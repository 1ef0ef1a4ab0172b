#pragma once
/// Packets on their way into a socket, gathered into batches of one size and one destination.

#include <array>

#include "settings.hpp"
#include "udp.hpp"

namespace quic {

class outbox {
 public:
  explicit outbox(udp_socket& s) : socket_(s) {}
  outbox(const outbox&) = delete;
  outbox& operator=(const outbox&) = delete;

  /// Empty while the socket takes nothing.
  [[nodiscard]] std::span<std::uint8_t> room() {
    if (is_blocked_) return {};
    return std::span(buffer_).subspan(used_, packet_max);
  }
  /// The packet at the front of `room()`.
  void put(std::size_t size, const address& to) {
    const bool is_other = used_ != 0 && (size > packet_size_ || !(to == to_));
    if (is_other) {  // what is gathered goes, and this one to the front
      const std::size_t gathered = used_;
      flush();
      if (is_blocked_) return;  // it is lost, as packets are
      std::memmove(buffer_.data(), buffer_.data() + gathered, size);
    }
    if (used_ == 0) {
      packet_size_ = size;
      to_ = to;
    }
    used_ += size;
    // A shorter packet must be the last one of its batch.
    if (size < packet_size_ || !socket_.sends_batches() || used_ > batch_max - packet_max ||
        used_ / packet_size_ == packets_max)
      flush();
  }
  void flush() {
    if (used_ == 0) return;
    switch (socket_.send({buffer_.data(), used_}, packet_size_, to_)) {
      case udp_result::would_block: is_blocked_ = true; return;
      case udp_result::nobody_there: is_refused = true; break;
      case udp_result::done:
      case udp_result::failed: break;
    }
    used_ = 0;
  }
  /// The socket takes packets again.
  void unblock() {
    is_blocked_ = false;
    flush();
  }
  [[nodiscard]] bool is_blocked() const { return is_blocked_; }
  /// The network has said that nobody is there.
  bool is_refused = false;

 private:
  static constexpr std::size_t batch_max = 65'000;  // of UDP
  static constexpr std::size_t packets_max = 64;    // of Linux

  udp_socket& socket_;
  std::array<std::uint8_t, batch_max> buffer_{};
  std::size_t used_ = 0, packet_size_ = 0;
  address to_;
  bool is_blocked_ = false;
};

}  // namespace quic
