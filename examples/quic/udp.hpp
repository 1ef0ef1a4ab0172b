#pragma once
/// A non-blocking UDP socket that sends and receives batches where the kernel can (GSO and GRO).

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <moql/base/bytes.hpp>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "address.hpp"

namespace quic {

enum class udp_result { done, would_block, nobody_there, failed };

class udp_socket {
 public:
  udp_socket() = default;
  udp_socket(const udp_socket&) = delete;
  udp_socket& operator=(const udp_socket&) = delete;
  ~udp_socket() { close(); }

  /// False, and why.
  [[nodiscard]] bool bind(const address& at, std::string& error) {
    if (!open(at.family(), error)) return false;
    if (::bind(fd_, at.data(), at.size()) != 0) return fail("cannot listen on UDP " + at.text(), error);
    learn_local();
    return true;
  }
  /// As `bind`, to any free port; only `to` is heard, and ICMP tells when nobody listens there.
  [[nodiscard]] bool connect(const address& to, std::string& error) {
    if (!open(to.family(), error)) return false;
    if (::connect(fd_, to.data(), to.size()) != 0) return fail("cannot reach " + to.text(), error);
    is_connected_ = true;
    learn_local();
    return true;
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] const address& local() const { return local_; }
  /// Whether one `send` may carry several packets.
  [[nodiscard]] bool sends_batches() const { return has_gso_; }

  /// Packets of `packet_size`, the last one perhaps shorter. Without GSO there must be one.
  [[nodiscard]] udp_result send(moql::byte_view batch, std::size_t packet_size, const address& to) {
    iovec piece{const_cast<std::uint8_t*>(batch.data()), batch.size()};
    msghdr m{};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(std::uint16_t))]{};
    m.msg_iov = &piece;
    m.msg_iovlen = 1;
    if (!is_connected_) {
      m.msg_name = to.data();
      m.msg_namelen = to.size();
    }
    if (batch.size() > packet_size) {
      m.msg_control = control;
      m.msg_controllen = sizeof control;
      cmsghdr* c = CMSG_FIRSTHDR(&m);
      c->cmsg_level = SOL_UDP;
      c->cmsg_type = UDP_SEGMENT;
      c->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
      const auto n = static_cast<std::uint16_t>(packet_size);
      std::memcpy(CMSG_DATA(c), &n, sizeof n);
    }
    ssize_t n = -1;
    do n = sendmsg(fd_, &m, 0);
    while (n < 0 && errno == EINTR);
    if (n >= 0) return udp_result::done;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return udp_result::would_block;
    if (errno == EIO && batch.size() > packet_size) has_gso_ = false;  // the interface cannot: these packets are lost
    // ICMP brought this, for an earlier packet. One that is too large is a probe for what the path takes.
    return errno == ECONNREFUSED ? udp_result::nobody_there : errno == EMSGSIZE ? udp_result::done : udp_result::failed;
  }

  struct received {
    udp_result result = udp_result::failed;
    std::size_t size = 0;
    std::size_t packet_size = 0;  ///< The last packet may be shorter.
    address from{};
  };
  /// `into` should have room for 64 KiB.
  [[nodiscard]] received receive(std::span<std::uint8_t> into) {
    sockaddr_storage from{};
    iovec piece{into.data(), into.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    msghdr m{};
    m.msg_name = &from;
    m.msg_namelen = sizeof from;
    m.msg_iov = &piece;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    ssize_t n = -1;
    do n = recvmsg(fd_, &m, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
      const bool is_empty = errno == EAGAIN || errno == EWOULDBLOCK;
      return {is_empty                ? udp_result::would_block
              : errno == ECONNREFUSED ? udp_result::nobody_there
                                      : udp_result::failed};
    }
    received r{udp_result::done, static_cast<std::size_t>(n), static_cast<std::size_t>(n), {}};
    r.from = {reinterpret_cast<sockaddr*>(&from), m.msg_namelen};
    for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
      if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO) continue;
      int size = 0;
      std::memcpy(&size, CMSG_DATA(c), sizeof size);
      if (size > 0) r.packet_size = static_cast<std::size_t>(size);
    }
    return r;
  }

 private:
  [[nodiscard]] bool open(int family, std::string& error) {
    fd_ = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return fail("no UDP socket", error);
    set(SOL_SOCKET, SO_RCVBUF, 4 << 20);
    set(SOL_SOCKET, SO_SNDBUF, 4 << 20);
    (void)set(SOL_UDP, UDP_GRO, 1);
    has_gso_ = set(SOL_UDP, UDP_SEGMENT, 0);  // 0: only batches that ask for it
    // Packets must not be cut into pieces: their loss is how the size that the path takes is found.
    if (family == AF_INET) set(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    if (family == AF_INET6) set(IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    return true;
  }
  bool set(int level, int name, int value) { return setsockopt(fd_, level, name, &value, sizeof value) == 0; }
  [[nodiscard]] bool fail(const std::string& what, std::string& error) {
    error = what + ": " + std::strerror(errno);
    close();
    return false;
  }
  void learn_local() {
    sockaddr_storage s{};
    socklen_t n = sizeof s;
    if (getsockname(fd_, reinterpret_cast<sockaddr*>(&s), &n) == 0) local_ = {reinterpret_cast<sockaddr*>(&s), n};
  }

  int fd_ = -1;
  address local_;
  bool has_gso_ = false;
  bool is_connected_ = false;
};

}  // namespace quic
