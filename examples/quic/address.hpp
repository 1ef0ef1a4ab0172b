#pragma once
/// One end of a UDP path, IPv4 or IPv6.

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <string>

namespace quic {

class address {
 public:
  address() = default;
  address(const sockaddr* from, socklen_t size) : size_(size <= sizeof(where_) ? size : 0) {
    if (size_ != 0) std::memcpy(&where_, from, size_);
  }
  /// From digits; empty if `text` is no address.
  [[nodiscard]] static address parse(const std::string& text, std::uint16_t port) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) return {reinterpret_cast<sockaddr*>(&v4), sizeof v4};
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) return {reinterpret_cast<sockaddr*>(&v6), sizeof v6};
    return {};
  }
  [[nodiscard]] bool is_empty() const { return size_ == 0; }
  [[nodiscard]] int family() const { return where_.ss_family; }
  [[nodiscard]] sockaddr* data() const { return reinterpret_cast<sockaddr*>(const_cast<sockaddr_storage*>(&where_)); }
  [[nodiscard]] socklen_t size() const { return size_; }
  [[nodiscard]] std::uint16_t port() const {
    sockaddr_in v4{};  // the port is at the same place in both
    std::memcpy(&v4, &where_, sizeof v4);
    return ntohs(v4.sin_port);
  }
  /// "127.0.0.1:4443", "[::1]:4443"
  [[nodiscard]] std::string text() const {
    char host[NI_MAXHOST] = "?";
    (void)getnameinfo(data(), size_, host, sizeof host, nullptr, 0, NI_NUMERICHOST);
    const std::string name = family() == AF_INET6 ? "[" + std::string(host) + "]" : host;
    return name + ":" + std::to_string(port());
  }
  friend bool operator==(const address& a, const address& b) {
    return a.size_ == b.size_ && std::memcmp(&a.where_, &b.where_, a.size_) == 0;
  }

 private:
  sockaddr_storage where_{};
  socklen_t size_ = 0;
};

}  // namespace quic
