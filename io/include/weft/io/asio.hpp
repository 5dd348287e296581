#ifndef WEFT_IO_ASIO_HPP
#define WEFT_IO_ASIO_HPP

#include <algorithm>

#include <asio/ip/tcp.hpp>
#include <asio/ip/udp.hpp>

#include <weft/core/net.hpp>
#include <weft/core/time.hpp>

/// Asio's words for ours.
namespace weft::io {

/// The one clock that all machines of a program are driven by.
inline time_point now() noexcept {
  return std::chrono::steady_clock::now();
}

/// "No address" becomes 0.0.0.0.
inline asio::ip::address to_asio(const ip_address& address) {
  const auto octets = address.octets();
  if (address.is_v6()) {
    asio::ip::address_v6::bytes_type bytes;
    std::ranges::copy(octets, bytes.begin());
    return asio::ip::address_v6{bytes};
  }
  asio::ip::address_v4::bytes_type bytes{};
  std::ranges::copy(octets, bytes.begin());
  return asio::ip::address_v4{bytes};
}

inline asio::ip::udp::endpoint to_asio(const endpoint& e) {
  return {to_asio(e.address), e.port};
}
inline asio::ip::tcp::endpoint to_asio_tcp(const endpoint& e) {
  return {to_asio(e.address), e.port};
}

inline ip_address from_asio(const asio::ip::address& address) {
  if (address.is_v4()) return ip_address{address.to_v4().to_bytes()};
  return ip_address{address.to_v6().to_bytes()};
}

template <class Protocol>
endpoint from_asio(const asio::ip::basic_endpoint<Protocol>& e) {
  return {from_asio(e.address()), e.port()};
}

}  // namespace weft::io

#endif  // WEFT_IO_ASIO_HPP
