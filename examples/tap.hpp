#pragma once
/// A transport around another one that tells listeners everything that is done to it: how to look at a session's wire
/// without touching the session.

#include <moql/adapter/transport.hpp>

#include "session_text.hpp"

namespace examples {

/// Satisfies `moql::transport` as `Inner` does. Without listeners it only passes on.
template <moql::transport Inner>
class tap {
 public:
  tap(Inner& inner, peer side, std::span<wire_listener* const> listeners)
      : inner_(inner), side_(side), listeners_(listeners) {}

  moql::open_result open(moql::direction dir) noexcept {
    const moql::open_result r = inner_.open(dir);
    if (r.status == moql::transport_status::ok)
      for (wire_listener* l : listeners_) l->opened(number(r.id), dir == moql::direction::bidi, side_);
    return r;
  }
  moql::write_result write(moql::stream_id id, std::span<const moql::chunk> pieces, bool fin) noexcept {
    const moql::write_result r = inner_.write(id, pieces, fin);
    if (listeners_.empty()) return r;
    std::size_t left = r.accepted;
    for (const moql::chunk& c : pieces) {
      const std::size_t n = c.size < left ? c.size : left;
      if (n != 0)
        for (wire_listener* l : listeners_) l->wrote(number(id), side_, {c.data, n});
      left -= n;
    }
    if (fin && r.status == moql::transport_status::ok)
      for (wire_listener* l : listeners_) l->finished(number(id), side_);
    return r;
  }
  void reset(moql::stream_id id, std::uint64_t code) noexcept {
    for (wire_listener* l : listeners_) l->reset(number(id), side_, code);
    inner_.reset(id, code);
  }
  void stop(moql::stream_id id, std::uint64_t code) noexcept {
    for (wire_listener* l : listeners_) l->stopped(number(id), side_, code);
    inner_.stop(id, code);
  }
  void close(std::uint64_t code, std::string_view reason) noexcept {
    for (wire_listener* l : listeners_) l->closed(side_, code, reason);
    inner_.close(code, reason);
  }
  [[nodiscard]] std::string_view protocol() const noexcept { return inner_.protocol(); }
  void consume(moql::stream_id id, std::size_t n) noexcept { inner_.consume(id, n); }
  void priority(moql::stream_id id, std::int32_t order) noexcept { inner_.priority(id, order); }
  moql::transport_status datagram(moql::byte_view data) noexcept {
    for (wire_listener* l : listeners_) l->datagram(side_, data);
    return inner_.datagram(data);
  }
  [[nodiscard]] std::size_t max_datagram() const noexcept { return inner_.max_datagram(); }
  [[nodiscard]] moql::transport_stats stats() const noexcept { return inner_.stats(); }

 private:
  [[nodiscard]] static std::uint64_t number(moql::stream_id id) noexcept { return static_cast<std::uint64_t>(id); }
  Inner& inner_;
  peer side_;
  std::span<wire_listener* const> listeners_;
};

}  // namespace examples
