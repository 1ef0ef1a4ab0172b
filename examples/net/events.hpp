#pragma once
/// Where a transport's events go when that is not known before the connection is up.

#include <moql/adapter/transport.hpp>

namespace net {

/// `moql::transport_sink` as an interface: a QUIC connection exists before its ALPN says who will listen to it.
class transport_events {
 public:
  transport_events() = default;
  transport_events(const transport_events&) = delete;
  transport_events& operator=(const transport_events&) = delete;
  virtual ~transport_events() = default;
  virtual void on_open(moql::stream_id id, moql::direction dir, moql::instant now) noexcept = 0;
  virtual void on_data(moql::stream_id id, moql::bytes data, bool fin, moql::instant now) noexcept = 0;
  virtual void on_reset(moql::stream_id id, std::uint64_t code, moql::instant now) noexcept = 0;
  virtual void on_stop(moql::stream_id id, std::uint64_t code, moql::instant now) noexcept = 0;
  virtual void on_writable(moql::stream_id id) noexcept = 0;
  virtual void on_credit(moql::direction dir) noexcept = 0;
  virtual void on_datagram(moql::bytes data, moql::instant now) noexcept = 0;
  virtual void on_close(const moql::close_info& why, moql::instant now) noexcept = 0;
};
static_assert(moql::transport_sink<transport_events>);

/// Passes everything on to `sink`, which must outlive it.
template <moql::transport_sink Sink>
class events_to final : public transport_events {
 public:
  explicit events_to(Sink& sink) noexcept : sink_(sink) {}
  void on_open(moql::stream_id id, moql::direction dir, moql::instant now) noexcept override {
    sink_.on_open(id, dir, now);
  }
  void on_data(moql::stream_id id, moql::bytes data, bool fin, moql::instant now) noexcept override {
    sink_.on_data(id, std::move(data), fin, now);
  }
  void on_reset(moql::stream_id id, std::uint64_t code, moql::instant now) noexcept override {
    sink_.on_reset(id, code, now);
  }
  void on_stop(moql::stream_id id, std::uint64_t code, moql::instant now) noexcept override {
    sink_.on_stop(id, code, now);
  }
  void on_writable(moql::stream_id id) noexcept override { sink_.on_writable(id); }
  void on_credit(moql::direction dir) noexcept override { sink_.on_credit(dir); }
  void on_datagram(moql::bytes data, moql::instant now) noexcept override { sink_.on_datagram(std::move(data), now); }
  void on_close(const moql::close_info& why, moql::instant now) noexcept override { sink_.on_close(why, now); }

 private:
  Sink& sink_;
};

}  // namespace net
