#pragma once
/// What has arrived on a stream, for as long as the session needs it: the stack's own buffer is gone when its callback
/// returns. What follows one another on one stream is handed over in one piece.

#include <moql/adapter/transport.hpp>
#include <moql/base/buffers.hpp>

namespace quic {

class inbox {
 public:
  explicit inbox(moql::buffer_pool& pool) noexcept : pool_(pool) {}
  inbox(const inbox&) = delete;
  inbox& operator=(const inbox&) = delete;
  ~inbox() { drop(); }

  /// Calls `give(stream, bytes)` for what must make room. False when memory ran out.
  template <class Give>
  [[nodiscard]] bool add(moql::stream_id id, moql::byte_view data, Give&& give) noexcept {
    if (id != id_) flush(give);
    id_ = id;
    while (!data.empty()) {
      if (buffer_ == nullptr || end_ == buffer_->capacity()) {
        flush(give);
        drop();
        buffer_ = pool_.take(buffer_size);
        if (buffer_ == nullptr) return false;
        id_ = id;
      }
      const std::size_t room = buffer_->capacity() - end_;
      const std::size_t n = data.size() < room ? data.size() : room;
      std::memcpy(buffer_->data() + end_, data.data(), n);
      end_ += n;
      data = data.subspan(n);
    }
    return true;
  }
  /// Hands over what is there.
  template <class Give>
  void flush(Give&& give) noexcept {
    if (end_ == begin_) return;
    const std::size_t from = begin_;
    begin_ = end_;
    give(id_, moql::bytes::share({buffer_->data() + from, end_ - from}, buffer_));
  }
  /// What is there for `id`, to be handed over with its FIN.
  [[nodiscard]] moql::bytes last(moql::stream_id id) noexcept {
    moql::bytes out;
    if (id == id_) flush([&](moql::stream_id, moql::bytes b) { out = std::move(b); });
    return out;
  }

 private:
  static constexpr std::size_t buffer_size = 32 * 1024;
  void drop() noexcept {
    if (buffer_ != nullptr) buffer_->release(buffer_);
    buffer_ = nullptr;
    begin_ = end_ = 0;
  }

  moql::buffer_pool& pool_;
  moql::buffer_pool::buffer* buffer_ = nullptr;
  std::size_t begin_ = 0, end_ = 0;  // of what has not been handed over
  moql::stream_id id_ = moql::no_stream;
};

}  // namespace quic
