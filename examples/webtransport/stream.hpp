#pragma once
/// What a session of WebTransport remembers of one stream under it.

#include <moql/adapter/transport.hpp>
#include <moql/binding/webtransport_streams.hpp>

#include <memory>
#include <optional>
#include <vector>

namespace webtransport {

enum class stream_use : std::uint8_t {
  unknown,  ///< The peer's, and its head has not come whole.
  control,
  qpack,
  connect,  ///< The request that is the session.
  request,  ///< A request that has not come whole.
  refused,  ///< A request that we are still answering; nothing more is read of it.
  session,  ///< Belongs to the session above.
};

/// HTTP/3 that we speak ourselves on a stream.
struct http_side {
  moql::http3::request_reader frames{};
  std::vector<std::uint8_t> section{};  ///< Of headers, as far as it has come.
  std::vector<std::uint8_t> out{};
  std::size_t sent = 0;
  bool has_fin = false;
};

/// What came before the session above could hear of it.
struct early_input {
  std::vector<moql::bytes> data{};
  std::size_t size = 0;
  bool has_fin = false;
  std::optional<std::uint64_t> reset{}, stop{};
};

struct stream {
  stream(moql::direction d, bool local)
      : dir(d),
        is_local(local),
        in_over(local && d == moql::direction::uni),
        out_over(!local && d == moql::direction::uni),
        head(d == moql::direction::uni) {}

  moql::direction dir;
  bool is_local;
  stream_use use = stream_use::unknown;
  bool in_over, out_over;
  bool is_told = false;      ///< The session above knows it: with its first byte behind the preamble, or its end.
  bool upper_waits = false;  ///< It has been told that its write is blocked.
  bool fin_waits = false;    ///< For the preamble, which is blocked.
  std::uint8_t preamble_sent = 0;
  std::uint64_t session = 0;  ///< The id that the peer's preamble names.
  moql::webtransport::stream_head_reader head;
  std::unique_ptr<http_side> http{};
  std::unique_ptr<early_input> early{};
};

}  // namespace webtransport
