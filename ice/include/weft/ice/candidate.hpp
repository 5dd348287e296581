#ifndef WEFT_ICE_CANDIDATE_HPP
#define WEFT_ICE_CANDIDATE_HPP

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include <weft/core/net.hpp>

namespace weft::ice {

enum class candidate_type : std::uint8_t { host, server_reflexive, peer_reflexive, relayed };

/// One transport address to try (RFC 8445 §5.1). UDP, or TCP as others signal it: this agent
/// pairs UDP alone.
struct candidate {
  std::string foundation;
  std::uint16_t component = 1;
  transport_protocol protocol = transport_protocol::udp;
  std::uint32_t priority = 0;
  /// Where it is; with a `name`, only the port counts until the name is resolved.
  endpoint address;
  /// A `.local` name in place of the address (mDNS candidates); empty otherwise.
  std::string name;
  candidate_type type = candidate_type::host;
  /// The base, for those that are not host candidates (RFC 8839 §5.1, raddr and rport).
  std::optional<endpoint> related;

  friend bool operator==(const candidate&, const candidate&) = default;
};

/// RFC 8445 §5.1.2.2: the recommended type preferences.
constexpr std::uint32_t type_preference(candidate_type type) noexcept {
  switch (type) {
    case candidate_type::host:
      return 126;
    case candidate_type::peer_reflexive:
      return 110;
    case candidate_type::server_reflexive:
      return 100;
    case candidate_type::relayed:
      return 0;
  }
  return 0;
}

/// RFC 8445 §5.1.2.1. `component` counts from 1 to 256.
constexpr std::uint32_t candidate_priority(candidate_type type, std::uint16_t local_preference,
                                           std::uint16_t component) noexcept {
  return type_preference(type) << 24 | std::uint32_t{local_preference} << 8 |
         (256u - std::min<std::uint32_t>(component, 256));
}

/// RFC 8445 §6.1.2.3, from the priorities of both candidates.
constexpr std::uint64_t pair_priority(std::uint32_t controlling,
                                      std::uint32_t controlled) noexcept {
  const std::uint64_t low = std::min(controlling, controlled);
  const std::uint64_t high = std::max(controlling, controlled);
  return (low << 32) + 2 * high + (controlling > controlled ? 1 : 0);
}

}  // namespace weft::ice

#endif  // WEFT_ICE_CANDIDATE_HPP
