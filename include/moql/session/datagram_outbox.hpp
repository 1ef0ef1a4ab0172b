#pragma once
/// Datagrams that wait for the next pump: encoded one behind the other in a buffer that keeps its room. What does not
/// fit is dropped, as datagrams are (draft 06 section 6.4).

#include "../base/queue.hpp"
#include "../message/group.hpp"

namespace moql::detail {

class datagram_outbox {
 public:
  datagram_outbox(memory m, std::size_t count_max) noexcept : data_(m), sizes_(m), count_max_(count_max) {}

  /// The largest datagram that the transport takes now; 0 means none at all.
  void set_max(std::size_t bytes) noexcept { max_ = bytes < datagram_bytes_max ? bytes : datagram_bytes_max; }
  /// False when it is dropped here and now.
  [[nodiscard]] bool add(const msg::datagram& m, version v) noexcept {
    if (max_ == 0 || sizes_.size() >= count_max_) return false;
    const measured at = measure(m, v);
    if (at.why != errc::ok || at.size > max_) return false;
    const std::size_t before = data_.size();
    std::uint8_t* to = data_.extend(at.size);
    if (to == nullptr) return false;
    if (!sizes_.push(at.size)) {
      data_.truncate(before);
      return false;
    }
    (void)encode_measured(m, v, at, to);
    return true;
  }
  [[nodiscard]] bool is_empty() const noexcept { return sizes_.empty(); }
  /// The oldest one; valid until the next call.
  [[nodiscard]] byte_view take() noexcept {
    const std::size_t n = sizes_.pop();
    const byte_view out = data_.view().subspan(at_, n);
    at_ += n;
    if (sizes_.empty()) {
      data_.clear();  // keeps its memory, so `out` is still there
      at_ = 0;
    }
    return out;
  }

 private:
  vec<std::uint8_t> data_;
  queue<std::size_t> sizes_;
  std::size_t at_ = 0;
  std::size_t max_ = 0;
  std::size_t count_max_;
};

}  // namespace moql::detail
