#pragma once
/// What a development server says of its own certificate, over plain HTTP. It proves nothing: on a trusted network
/// only.

#include <moql/binding/url.hpp>

#include <utility>  // Boost 1.74 forgets it in C++20

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "../net/host.hpp"
#include "../net/options.hpp"

namespace webtransport {

namespace detail {

namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

/// 64 hex digits, whatever blanks are around them.
[[nodiscard]] inline std::optional<net::certificate_hash> hash_from_hex(std::string_view s) {
  while (!s.empty() && static_cast<unsigned char>(s.back()) <= ' ') s.remove_suffix(1);
  while (!s.empty() && static_cast<unsigned char>(s.front()) <= ' ') s.remove_prefix(1);
  net::certificate_hash out{};
  if (s.size() != 2 * out.size()) return {};
  for (std::size_t i = 0; i < s.size(); ++i) {
    const char c = s[i];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return {};
    out[i / 2] = static_cast<std::uint8_t>(out[i / 2] << 4 | digit);
  }
  return out;
}

class hash_fetcher : public std::enable_shared_from_this<hash_fetcher> {
 public:
  using taker = std::function<void(const net::certificate_hash&)>;
  hash_fetcher(net::host& h, const moql::url& u, std::shared_ptr<void> state, taker t)
      : host_(h),
        name_(u.host),
        port_(u.port),
        state_(std::move(state)),
        taker_(std::move(t)),
        resolver_(h.io()),
        stream_(h.io()) {
    request_ = {http::verb::get, "/certificate.sha256", 11};
    request_.set(http::field::host, std::string(u.authority));
  }
  void start() {
    resolver_.async_resolve(name_, std::to_string(port_), [self = shared_from_this()](error_code e, auto found) {
      if (e) return self->fail(e.message());
      self->stream_.expires_after(std::chrono::seconds(10));
      self->stream_.async_connect(found, [self](error_code failed, const auto&) {
        if (failed) return self->fail(failed.message());
        self->ask();
      });
    });
  }

 private:
  static constexpr std::uint64_t body_max = 1024;

  void ask() {
    http::async_write(stream_, request_, [self = shared_from_this()](error_code e, std::size_t) {
      if (e) return self->fail(e.message());
      http::async_read_header(self->stream_, self->buffer_, self->answer_, [self](error_code failed, std::size_t) {
        if (failed) return self->fail(failed.message());
        self->read();
      });
    });
  }
  /// `body_limit` of Boost 1.74 does not hold when the whole answer comes at once.
  void read() {
    const auto size = answer_.content_length();
    if (!size || *size > body_max) return fail("an answer without a length, or too long");
    http::async_read(stream_, buffer_, answer_, [self = shared_from_this()](error_code e, std::size_t) {
      if (e) return self->fail(e.message());
      self->answered();
    });
  }
  void answered() {
    const auto& a = answer_.get();
    if (a.result() != http::status::ok) return fail("status " + std::to_string(a.result_int()));
    const auto hash = hash_from_hex(a.body());
    if (!hash) return fail("no SHA-256 in hex");
    taker_(*hash);
  }
  void fail(const std::string& why) {
    host_.unreachable(
        {false, "http://" + std::string(request_[http::field::host]) + "/certificate.sha256: " + why, state_});
  }

  net::host& host_;
  std::string name_;
  std::uint16_t port_;
  std::shared_ptr<void> state_;
  taker taker_;
  boost::asio::ip::tcp::resolver resolver_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_{};
  http::request<http::empty_body> request_{};
  http::response_parser<http::string_body> answer_{};
};

}  // namespace detail

/// Asks http://host:port/certificate.sha256 and gives the answer to `taker`; the program hears `on_unreachable` if
/// there is none, with `state`.
inline void fetch_certificate_hash(net::host& h, const moql::url& u, std::shared_ptr<void> state,
                                   detail::hash_fetcher::taker taker) {
  std::make_shared<detail::hash_fetcher>(h, u, std::move(state), std::move(taker))->start();
}

}  // namespace webtransport
