#ifndef WEFT_IO_SRC_INTERFACE_LIST_HPP
#define WEFT_IO_SRC_INTERFACE_LIST_HPP

#include <vector>

#include <weft/core/net.hpp>

namespace weft::io {

struct interface_address {
  unsigned index;  ///< Of the interface, as the system numbers them.
  bool multicast;
  ip_address address;
};

/// Every address of every interface that is up, in the system's order.
std::vector<interface_address> interface_addresses();

}  // namespace weft::io

#endif  // WEFT_IO_SRC_INTERFACE_LIST_HPP
