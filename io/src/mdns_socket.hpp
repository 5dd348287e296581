#ifndef WEFT_IO_SRC_MDNS_SOCKET_HPP
#define WEFT_IO_SRC_MDNS_SOCKET_HPP

#include <span>

#include <asio/ip/udp.hpp>

#include <weft/core/bytes.hpp>
#include <weft/core/net.hpp>

#include "interface_list.hpp"

/// What asking and answering by multicast have in common.
namespace weft::io {

/// Opens a socket of an address family at a port, which others may have too where `shared`.
bool bind_mdns(asio::ip::udp::socket& socket, const asio::ip::udp::endpoint& local, bool shared);

/// Joins a group on every interface; true if on any.
bool join_group(asio::ip::udp::socket& socket, const ip_address& group,
                std::span<const interface_address> interfaces);

/// Sends on every interface, or to one who is no group. Returns how many times.
std::size_t send_to_group(asio::ip::udp::socket& socket, const endpoint& group,
                          std::span<const interface_address> interfaces, const_bytes message);

}  // namespace weft::io

#endif  // WEFT_IO_SRC_MDNS_SOCKET_HPP
