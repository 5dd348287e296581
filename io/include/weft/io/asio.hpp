#ifndef WEFT_IO_ASIO_HPP
#define WEFT_IO_ASIO_HPP

#include <algorithm>

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
inline asio::ip::udp::endpoint to_asio(const endpoint& e) {
  const auto octets = e.address.octets();
  if (e.address.is_v6()) {
    asio::ip::address_v6::bytes_type bytes;
    std::ranges::copy(octets, bytes.begin());
    return {asio::ip::address_v6{bytes}, e.port};
  }
  asio::ip::address_v4::bytes_type bytes{};
  std::ranges::copy(octets, bytes.begin());
  return {asio::ip::address_v4{bytes}, e.port};
}

inline endpoint from_asio(const asio::ip::udp::endpoint& e) {
  const asio::ip::address address = e.address();
  if (address.is_v4()) return {ip_address{address.to_v4().to_bytes()}, e.port()};
  return {ip_address{address.to_v6().to_bytes()}, e.port()};
}

}  // namespace weft::io

#endif  // WEFT_IO_ASIO_HPP
