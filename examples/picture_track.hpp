#pragma once
/// The test picture as a live track: a group a second, a frame every 40 ms.

#include <boost/asio/steady_timer.hpp>

#include "net/host.hpp"
#include "test_picture.hpp"

namespace examples {

class picture_track {
 public:
  explicit picture_track(net::host& h) : host_(h) { draw(); }
  [[nodiscard]] moql::track_cache& track() { return track_; }

 private:
  static constexpr auto interval = std::chrono::milliseconds(1000 / test_picture::frames_per_second);

  void draw() {
    const auto wall = std::chrono::system_clock::now().time_since_epoch();
    const auto ms = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(wall).count());
    if (frames_ % test_picture::frames_per_second == 0) (void)track_.begin_group(host_.now());
    const auto time = frames_++ * static_cast<std::uint64_t>(interval.count());
    (void)track_.append(time, moql::bytes::copy(moql::byte_view(picture_.next(ms))));
    host_.touch();
    next_.expires_after(interval);
    next_.async_wait([this](const boost::system::error_code& e) {
      if (!e) draw();
    });
  }

  net::host& host_;
  test_picture picture_;
  moql::track_cache track_{{.max_age_ms = 2000}};
  std::uint64_t frames_ = 0;
  boost::asio::steady_timer next_{host_.io()};
};

}  // namespace examples
