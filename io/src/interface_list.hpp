#ifndef WEFT_IO_SRC_INTERFACE_LIST_HPP
#define WEFT_IO_SRC_INTERFACE_LIST_HPP

#include <cstdint>
#include <string>
#include <vector>

#include <weft/core/net.hpp>
#include <weft/io/interfaces.hpp>

namespace weft::io {

struct interface_address {
  unsigned index;  ///< Of the interface, as the system numbers them.
  std::string name;
  bool multicast;
  bool running;  ///< It has a carrier.
  ip_address address;
  std::uint8_t prefix_length;  ///< Of the network that the address is in.
};

/// Every address of every interface that is up, in the system's order.
std::vector<interface_address> interface_addresses();

/// Whether `opts` want an address of this kind.
bool is_wanted(const ip_address& address, const interface_options& opts);

}  // namespace weft::io

#endif  // WEFT_IO_SRC_INTERFACE_LIST_HPP
