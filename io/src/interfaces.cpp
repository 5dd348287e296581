#include <weft/io/interfaces.hpp>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include "interface_list.hpp"

namespace weft::io {
namespace {

ip_address address_of(const sockaddr* from) {
  if (from == nullptr) return {};
  if (from->sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, from, sizeof in);
    std::array<std::uint8_t, 4> octets;
    std::memcpy(octets.data(), &in.sin_addr, octets.size());
    return ip_address{octets};
  }
  if (from->sa_family == AF_INET6) {
    sockaddr_in6 in6;
    std::memcpy(&in6, from, sizeof in6);
    std::array<std::uint8_t, 16> octets;
    std::memcpy(octets.data(), &in6.sin6_addr, octets.size());
    return ip_address{octets};
  }
  return {};
}

std::uint8_t length_of(const ip_address& netmask) {
  int bits = 0;
  for (const std::uint8_t octet : netmask.octets()) bits += std::popcount(octet);
  return static_cast<std::uint8_t>(bits);
}

}  // namespace

bool is_wanted(const ip_address& address, const interface_options& opts) {
  if (address.is_loopback()) return opts.loopback;
  if (address.is_link_local()) return address.is_v4() && opts.link_local_v4;
  return !address.is_unspecified() && !address.is_multicast() && !address.is_v4_mapped();
}

std::vector<interface_address> interface_addresses() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner{list, freeifaddrs};

  std::vector<interface_address> found;
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    const ip_address address = address_of(at->ifa_addr);
    if (!address || (at->ifa_flags & IFF_UP) == 0) continue;
    found.push_back({if_nametoindex(at->ifa_name), at->ifa_name,
                     (at->ifa_flags & IFF_MULTICAST) != 0, (at->ifa_flags & IFF_RUNNING) != 0,
                     address, length_of(address_of(at->ifa_netmask))});
  }
  return found;
}

std::vector<ip_address> local_addresses(const interface_options& opts) {
  std::vector<ip_address> v6, v4, loopback;
  for (const interface_address& found : interface_addresses()) {
    const ip_address& address = found.address;
    if (!is_wanted(address, opts)) continue;
    auto& list = address.is_loopback() ? loopback : address.is_v6() ? v6 : v4;
    if (std::ranges::find(list, address) == list.end()) list.push_back(address);
  }

  std::vector<ip_address> ordered;
  for (std::size_t i = 0; i < std::max(v6.size(), v4.size()); ++i) {
    if (i < v6.size()) ordered.push_back(v6[i]);
    if (i < v4.size()) ordered.push_back(v4[i]);
  }
  ordered.insert(ordered.end(), loopback.begin(), loopback.end());
  return ordered;
}

std::vector<ip_address> local_addresses() {
  return local_addresses(interface_options{});
}

}  // namespace weft::io
