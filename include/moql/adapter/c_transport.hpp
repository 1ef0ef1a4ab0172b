#pragma once
/// C tables of functions (c_transport.h) as `transport` and `transport_sink`, and anything that is one as a C table.

#include <cstddef>
#include <cstring>

#include "../base/result.hpp"
#include "c_transport.h"
#include "transport.hpp"

namespace moql {

// Pointers to these go through the boundary as they are.
static_assert(sizeof(owner) == sizeof(moql_owner) && alignof(owner) == alignof(moql_owner));
static_assert(offsetof(owner, retain) == offsetof(moql_owner, retain));
static_assert(offsetof(owner, release) == offsetof(moql_owner, release));
static_assert(sizeof(chunk) == sizeof(moql_chunk) && alignof(chunk) == alignof(moql_chunk));
static_assert(offsetof(chunk, data) == offsetof(moql_chunk, data));
static_assert(offsetof(chunk, size) == offsetof(moql_chunk, size));
static_assert(offsetof(chunk, owner) == offsetof(moql_chunk, owner));
// These are copied; a field that only one side has would be lost.
static_assert(sizeof(transport_stats) == sizeof(moql_stats));
static_assert(sizeof(close_info) == sizeof(moql_close_info));
static_assert(static_cast<int>(direction::bidi) == MOQL_BIDI && static_cast<int>(direction::uni) == MOQL_UNI);
static_assert(static_cast<int>(transport_status::ok) == MOQL_OK &&
              static_cast<int>(transport_status::blocked) == MOQL_BLOCKED &&
              static_cast<int>(transport_status::closed) == MOQL_CLOSED &&
              static_cast<int>(transport_status::too_large) == MOQL_TOO_LARGE &&
              static_cast<int>(transport_status::unsupported) == MOQL_UNSUPPORTED);
static_assert(static_cast<std::uint64_t>(no_stream) == MOQL_NO_STREAM && no_code == MOQL_NO_CODE);

// ---- C++ to C

/// The table of a transport written in C++; the context that goes with it is a `T*`.
template <transport T>
inline constexpr moql_transport_ops c_transport_ops = {
    .struct_size = sizeof(moql_transport_ops),
    .open = [](void* c, moql_direction d, std::uint64_t* id) noexcept -> moql_status {
      const open_result r = static_cast<T*>(c)->open(direction{d});
      *id = static_cast<std::uint64_t>(r.id);
      return static_cast<moql_status>(r.status);
    },
    .write = [](void* c, std::uint64_t id, const moql_chunk* chunks, std::size_t count, bool fin,
                std::size_t* accepted) noexcept -> moql_status {
      const std::span<const chunk> all(reinterpret_cast<const chunk*>(chunks), count);
      const write_result r = static_cast<T*>(c)->write(stream_id{id}, all, fin);
      *accepted = r.accepted;
      return static_cast<moql_status>(r.status);
    },
    .reset = [](void* c, std::uint64_t id,
                std::uint64_t code) noexcept { static_cast<T*>(c)->reset(stream_id{id}, code); },
    .stop = [](void* c, std::uint64_t id,
               std::uint64_t code) noexcept { static_cast<T*>(c)->stop(stream_id{id}, code); },
    .close =
        [](void* c, std::uint64_t code, const char* reason, std::size_t size) noexcept {
          static_cast<T*>(c)->close(code, {reason, size});
        },
    .protocol = [](void* c, std::size_t* size) noexcept -> const char* {
      const std::string_view token = static_cast<const T*>(c)->protocol();
      *size = token.size();
      return token.data();
    },
    .consume = [](void* c, std::uint64_t id,
                  std::size_t size) noexcept { static_cast<T*>(c)->consume(stream_id{id}, size); },
    .priority = [](void* c, std::uint64_t id,
                   std::int32_t order) noexcept { static_cast<T*>(c)->priority(stream_id{id}, order); },
    .datagram = [](void* c, const std::uint8_t* data, std::size_t size) noexcept -> moql_status {
      return static_cast<moql_status>(static_cast<T*>(c)->datagram({data, size}));
    },
    .max_datagram = [](void* c) noexcept -> std::size_t { return static_cast<const T*>(c)->max_datagram(); },
    .stats =
        [](void* c, moql_stats* out) noexcept {
          const transport_stats s = static_cast<const T*>(c)->stats();
          *out = {s.rtt_us, s.min_rtt_us, s.send_bits_per_second, s.congestion_window, s.in_flight};
        },
};

/// The table of a listener written in C++, `moql::session` for one; the context that goes with it is an `S*`.
template <transport_sink S>
inline constexpr moql_sink_ops c_sink_ops = {
    .struct_size = sizeof(moql_sink_ops),
    .on_open =
        [](void* c, std::uint64_t id, moql_direction d, std::int64_t now) noexcept {
          static_cast<S*>(c)->on_open(stream_id{id}, direction{d}, instant{now});
        },
    .on_data =
        [](void* c, std::uint64_t id, const std::uint8_t* data, std::size_t size, moql_owner* o, bool fin,
           std::int64_t now) noexcept {
          bytes shared = bytes::share({data, size}, reinterpret_cast<owner*>(o));
          static_cast<S*>(c)->on_data(stream_id{id}, std::move(shared), fin, instant{now});
        },
    .on_reset = [](void* c, std::uint64_t id, std::uint64_t code,
                   std::int64_t now) noexcept { static_cast<S*>(c)->on_reset(stream_id{id}, code, instant{now}); },
    .on_stop = [](void* c, std::uint64_t id, std::uint64_t code,
                  std::int64_t now) noexcept { static_cast<S*>(c)->on_stop(stream_id{id}, code, instant{now}); },
    .on_writable = [](void* c, std::uint64_t id) noexcept { static_cast<S*>(c)->on_writable(stream_id{id}); },
    .on_credit = [](void* c, moql_direction d) noexcept { static_cast<S*>(c)->on_credit(direction{d}); },
    .on_close =
        [](void* c, const moql_close_info* why, std::int64_t now) noexcept {
          const std::string_view reason(why->reason, why->reason == nullptr ? 0 : why->reason_size);
          static_cast<S*>(c)->on_close(close_info{why->application, why->code, reason}, instant{now});
        },
    .on_datagram =
        [](void* c, const std::uint8_t* data, std::size_t size, moql_owner* o, std::int64_t now) noexcept {
          static_cast<S*>(c)->on_datagram(bytes::share({data, size}, reinterpret_cast<owner*>(o)), instant{now});
        },
};

// ---- C to C++

namespace detail {

/// What stands in for a member that is NULL or that the author of the table did not know: `transport_defaults`, and a
/// connection that is over.
inline constexpr moql_transport_ops absent_transport = {
    .struct_size = sizeof(moql_transport_ops),
    .open = [](void*, moql_direction, std::uint64_t*) noexcept -> moql_status { return MOQL_CLOSED; },
    .write = [](void*, std::uint64_t, const moql_chunk*, std::size_t, bool, std::size_t*) noexcept -> moql_status {
      return MOQL_CLOSED;
    },
    .reset = [](void*, std::uint64_t, std::uint64_t) noexcept {},
    .stop = [](void*, std::uint64_t, std::uint64_t) noexcept {},
    .close = [](void*, std::uint64_t, const char*, std::size_t) noexcept {},
    .protocol = [](void*, std::size_t*) noexcept -> const char* { return nullptr; },
    .consume = [](void*, std::uint64_t, std::size_t) noexcept {},
    .priority = [](void*, std::uint64_t, std::int32_t) noexcept {},
    .datagram = [](void*, const std::uint8_t*, std::size_t) noexcept -> moql_status { return MOQL_UNSUPPORTED; },
    .max_datagram = [](void*) noexcept -> std::size_t { return 0; },
    .stats = [](void*, moql_stats*) noexcept {},
};

inline constexpr moql_sink_ops absent_sink = {
    .struct_size = sizeof(moql_sink_ops),
    .on_open = [](void*, std::uint64_t, moql_direction, std::int64_t) noexcept {},
    .on_data = [](void*, std::uint64_t, const std::uint8_t*, std::size_t, moql_owner*, bool, std::int64_t) noexcept {},
    .on_reset = [](void*, std::uint64_t, std::uint64_t, std::int64_t) noexcept {},
    .on_stop = [](void*, std::uint64_t, std::uint64_t, std::int64_t) noexcept {},
    .on_writable = [](void*, std::uint64_t) noexcept {},
    .on_credit = [](void*, moql_direction) noexcept {},
    .on_close = [](void*, const moql_close_info*, std::int64_t) noexcept {},
    .on_datagram = [](void*, const std::uint8_t*, std::size_t, moql_owner*, std::int64_t) noexcept {},
};

/// Copies the members of `from` that are there over those of `to`. False when one of those in front of offset
/// `optional` is not there.
template <class Ops>
[[nodiscard]] bool take_members(Ops& to, const Ops* from, std::size_t optional) noexcept {
  using member = void (*)();  // every member behind the first is a pointer to a function
  static_assert(sizeof(Ops) % sizeof(member) == 0 && sizeof(std::size_t) == sizeof(member));
  if (from == nullptr || from->struct_size < optional) return false;
  const std::size_t size = from->struct_size < sizeof(Ops) ? from->struct_size : sizeof(Ops);
  const member none = nullptr;
  for (std::size_t at = sizeof(std::size_t); at + sizeof(member) <= size; at += sizeof(member)) {
    const auto* source = reinterpret_cast<const unsigned char*>(from) + at;
    if (std::memcmp(source, &none, sizeof(member)) != 0)
      std::memcpy(reinterpret_cast<unsigned char*>(&to) + at, source, sizeof(member));
    else if (at < optional)
      return false;
  }
  return true;
}

}  // namespace detail

/// A transport behind a C table. Does not own the connection, which must outlive it.
class c_transport {
 public:
  /// A connection that is over.
  c_transport() noexcept = default;
  /// `ops` is copied. `bad_argument` if it is null or lacks one of the six functions that an adapter must have: too
  /// short, or NULL.
  [[nodiscard]] static result<c_transport> over(const moql_transport_ops* ops, void* context) noexcept {
    c_transport t;
    if (!detail::take_members(t.ops_, ops, offsetof(moql_transport_ops, consume))) return errc::bad_argument;
    t.context_ = context;
    return t;
  }
  open_result open(direction d) noexcept {
    std::uint64_t id = MOQL_NO_STREAM;
    const transport_status s = status(ops_.open(context_, static_cast<moql_direction>(d), &id));
    return {s, s == transport_status::ok ? stream_id{id} : no_stream};
  }
  write_result write(stream_id id, std::span<const chunk> chunks, bool fin) noexcept {
    std::size_t accepted = 0;
    const auto* first = reinterpret_cast<const moql_chunk*>(chunks.data());
    const moql_status s = ops_.write(context_, raw(id), first, chunks.size(), fin, &accepted);
    std::size_t offered = 0;  // the session counts on it that nobody takes more
    for (const chunk& c : chunks) offered += c.size;
    return {status(s), accepted < offered ? accepted : offered};
  }
  void reset(stream_id id, std::uint64_t code) noexcept { ops_.reset(context_, raw(id), code); }
  void stop(stream_id id, std::uint64_t code) noexcept { ops_.stop(context_, raw(id), code); }
  void close(std::uint64_t code, std::string_view reason) noexcept {
    ops_.close(context_, code, reason.data(), reason.size());
  }
  [[nodiscard]] std::string_view protocol() const noexcept {
    std::size_t size = 0;
    const char* token = ops_.protocol(context_, &size);
    return {token, token == nullptr ? 0 : size};
  }
  void consume(stream_id id, std::size_t n) noexcept { ops_.consume(context_, raw(id), n); }
  void priority(stream_id id, std::int32_t order) noexcept { ops_.priority(context_, raw(id), order); }
  transport_status datagram(byte_view d) noexcept { return status(ops_.datagram(context_, d.data(), d.size())); }
  [[nodiscard]] std::size_t max_datagram() const noexcept { return ops_.max_datagram(context_); }
  [[nodiscard]] transport_stats stats() const noexcept {
    moql_stats s{};
    ops_.stats(context_, &s);
    return {s.rtt_us, s.min_rtt_us, s.send_bits_per_second, s.congestion_window, s.in_flight};
  }

 private:
  static std::uint64_t raw(stream_id id) noexcept { return static_cast<std::uint64_t>(id); }
  static transport_status status(moql_status s) noexcept {
    return s > MOQL_UNSUPPORTED ? transport_status::closed : transport_status{s};
  }
  moql_transport_ops ops_ = detail::absent_transport;
  void* context_ = nullptr;
};
static_assert(transport<c_transport>);

/// A listener behind a C table, for an adapter written in C++. Does not own the listener, which must outlive it.
class c_sink {
 public:
  /// Nobody listens.
  c_sink() noexcept = default;
  /// `ops` is copied. `bad_argument` if it is null or lacks one of the functions that a listener must have.
  [[nodiscard]] static result<c_sink> over(const moql_sink_ops* ops, void* context) noexcept {
    c_sink s;
    if (!detail::take_members(s.ops_, ops, offsetof(moql_sink_ops, on_datagram))) return errc::bad_argument;
    s.context_ = context;
    return s;
  }
  void on_open(stream_id id, direction d, instant now) noexcept {
    ops_.on_open(context_, raw(id), static_cast<moql_direction>(d), now.us);
  }
  void on_data(stream_id id, bytes data, bool fin, instant now) noexcept {
    auto* o = reinterpret_cast<moql_owner*>(data.held_by());
    ops_.on_data(context_, raw(id), data.data(), data.size(), o, fin, now.us);
  }
  void on_reset(stream_id id, std::uint64_t code, instant now) noexcept {
    ops_.on_reset(context_, raw(id), code, now.us);
  }
  void on_stop(stream_id id, std::uint64_t code, instant now) noexcept {
    ops_.on_stop(context_, raw(id), code, now.us);
  }
  void on_writable(stream_id id) noexcept { ops_.on_writable(context_, raw(id)); }
  void on_credit(direction d) noexcept { ops_.on_credit(context_, static_cast<moql_direction>(d)); }
  void on_datagram(bytes data, instant now) noexcept {
    ops_.on_datagram(context_, data.data(), data.size(), reinterpret_cast<moql_owner*>(data.held_by()), now.us);
  }
  void on_close(const close_info& why, instant now) noexcept {
    const moql_close_info c{why.application, why.code, why.reason.data(), why.reason.size()};
    ops_.on_close(context_, &c, now.us);
  }

 private:
  static std::uint64_t raw(stream_id id) noexcept { return static_cast<std::uint64_t>(id); }
  moql_sink_ops ops_ = detail::absent_sink;
  void* context_ = nullptr;
};
static_assert(transport_sink<c_sink>);

}  // namespace moql
