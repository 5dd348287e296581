#ifndef WEFT_IO_SRC_LINUX_DATAGRAMS_HPP
#define WEFT_IO_SRC_LINUX_DATAGRAMS_HPP

#include <array>
#include <cstdint>
#include <cstring>

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <weft/core/machine.hpp>
#include <weft/core/net.hpp>

/// What Linux says beside a datagram, and what it is told.
namespace weft::io {

// Newer than some C libraries: linux/udp.h.
inline constexpr int udp_segment = 103;
inline constexpr int udp_gro = 104;

inline bool set_flag(int socket, int level, int option) {
  const int on = 1;
  return setsockopt(socket, level, option, &on, sizeof on) == 0;
}

/// Room for a segment size and a traffic class.
struct control_buffer {
  alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(int)) * 2> bytes;
};

template <class Value>
void add_control(msghdr& message, int level, int type, Value value) {
  cmsghdr header{};
  header.cmsg_level = level;
  header.cmsg_type = type;
  header.cmsg_len = CMSG_LEN(sizeof value);
  auto* const at = static_cast<std::uint8_t*>(message.msg_control) + message.msg_controllen;
  std::memcpy(at, &header, sizeof header);
  std::memcpy(at + CMSG_LEN(0), &value, sizeof value);
  message.msg_controllen += CMSG_SPACE(sizeof value);
}

template <class Value>
Value control_value(const cmsghdr& header) {
  Value value;
  std::memcpy(&value, CMSG_DATA(&header), sizeof value);
  return value;
}

inline traffic_class to_traffic_class(unsigned octet) {
  return {static_cast<ecn>(octet & 3), static_cast<std::uint8_t>(octet >> 2 & 63)};
}

inline int to_octet(const traffic_class& t) {
  return t.dscp << 2 | static_cast<int>(t.mark);
}

inline endpoint to_endpoint(const sockaddr_storage& from) {
  endpoint e;
  if (from.ss_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, &from, sizeof in);
    std::array<std::uint8_t, 4> octets;
    std::memcpy(octets.data(), &in.sin_addr, octets.size());
    e = {ip_address{octets}, ntohs(in.sin_port)};
  } else if (from.ss_family == AF_INET6) {
    sockaddr_in6 in6;
    std::memcpy(&in6, &from, sizeof in6);
    std::array<std::uint8_t, 16> octets;
    std::memcpy(octets.data(), &in6.sin6_addr, octets.size());
    e = {ip_address{octets}, ntohs(in6.sin6_port)};
  }
  return e;
}

}  // namespace weft::io

#endif  // WEFT_IO_SRC_LINUX_DATAGRAMS_HPP
