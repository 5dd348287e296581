#ifdef __linux__

#  include <array>

#  include <linux/netlink.h>
#  include <linux/rtnetlink.h>
#  include <sys/socket.h>
#  include <unistd.h>

#  include "network_events.hpp"

namespace weft::io {

network_events::network_events(const asio::any_io_executor& executor) : socket_{executor} {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  if (fd < 0) return;
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;
  local.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  std::error_code error;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof local) == 0)
    socket_.assign(fd, error);
  if (!socket_.is_open()) ::close(fd);
}

bool network_events::is_open() const {
  return socket_.is_open();
}

void network_events::close() {
  std::error_code ignored;
  socket_.close(ignored);
}

void network_events::async_wait(std::function<void(std::error_code)> handler) {
  socket_.async_wait(asio::posix::stream_descriptor::wait_read, std::move(handler));
}

void network_events::drain() {
  // ENOBUFS says that some were lost, which tells as much as they would have.
  std::array<char, 8192> unread;
  while (socket_.is_open() && ::recv(socket_.native_handle(), unread.data(), unread.size(), 0) > 0)
    continue;
}

}  // namespace weft::io

#endif  // __linux__
