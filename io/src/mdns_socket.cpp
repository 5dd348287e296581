#include "mdns_socket.hpp"

#include <asio/ip/multicast.hpp>
#include <asio/ip/v6_only.hpp>

#include <weft/io/asio.hpp>

namespace weft::io {

using udp = asio::ip::udp;

bool bind_mdns(udp::socket& socket, const udp::endpoint& local, bool shared) {
  std::error_code error;
  socket.open(local.protocol(), error);
  if (shared && !error) socket.set_option(udp::socket::reuse_address{true}, error);
#ifdef SO_REUSEPORT
  using reuse_port = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
  std::error_code unknown;
  if (shared && !error) socket.set_option(reuse_port{true}, unknown);
#endif
  if (!error && local.address().is_v6()) socket.set_option(asio::ip::v6_only{true}, error);
  if (!error) socket.bind(local, error);
  if (!error) socket.non_blocking(true, error);
  return !error;
}

bool join_group(udp::socket& socket, const ip_address& group,
                std::span<const interface_address> interfaces) {
  const asio::ip::address to = to_asio(group);
  bool joined = false;
  for (const interface_address& found : interfaces) {
    if (found.address.is_v4() != group.is_v4()) continue;
    std::error_code error;
    if (group.is_v4())
      socket.set_option(asio::ip::multicast::join_group{to.to_v4(), to_asio(found.address).to_v4()},
                        error);
    else
      socket.set_option(asio::ip::multicast::join_group{to.to_v6(), found.index}, error);
    joined = joined || !error;
  }
  return joined;
}

std::size_t send_to_group(udp::socket& socket, const endpoint& group,
                          std::span<const interface_address> interfaces, const_bytes message) {
  const auto to = to_asio(group);
  const auto payload = asio::buffer(message.data(), message.size());
  std::error_code lost;  // As any datagram may be.
  if (!group.address.is_multicast()) {
    socket.send_to(payload, to, 0, lost);
    return lost ? 0 : 1;
  }
  std::size_t sent = 0;
  for (const interface_address& found : interfaces) {
    if (found.address.is_v4() != group.address.is_v4()) continue;
    std::error_code refused;
    if (found.address.is_v4())
      socket.set_option(asio::ip::multicast::outbound_interface{to_asio(found.address).to_v4()},
                        refused);
    else
      socket.set_option(asio::ip::multicast::outbound_interface{found.index}, refused);
    if (!refused) socket.send_to(payload, to, 0, refused);
    if (!refused) ++sent;
  }
  return sent;
}

}  // namespace weft::io
