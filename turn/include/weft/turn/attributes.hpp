#ifndef WEFT_TURN_ATTRIBUTES_HPP
#define WEFT_TURN_ATTRIBUTES_HPP

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include <weft/core/bytes.hpp>
#include <weft/core/net.hpp>
#include <weft/stun/message.hpp>
#include <weft/turn/registry.hpp>

/// The attributes of TURN on STUN messages: `find_x` reads one where it lies, `add_x` writes
/// one. A `find_` yields nothing both when the attribute is absent and when its value cannot
/// be that attribute; `message_view::has` tells which.
namespace weft::turn {

/// As REQUESTED-ADDRESS-FAMILY has it (RFC 8656 §18.6). Open: any byte may arrive.
enum class address_family : std::uint8_t { ipv4 = 0x01, ipv6 = 0x02 };

/// The family of an address that is one.
constexpr address_family family_of(const ip_address& address) noexcept {
  return address.is_v4() ? address_family::ipv4 : address_family::ipv6;
}

/// What runs between server and peers, as REQUESTED-TRANSPORT has it (RFC 8656 §18.8): IANA's
/// protocol numbers. Open: any byte may arrive.
enum class relayed_transport : std::uint8_t {
  tcp = 6,  ///< RFC 6062.
  udp = 17,
};

/// What EVEN-PORT asks for (RFC 8656 §18.7).
enum class even_port : std::uint8_t {
  even,                   ///< An even port.
  even_and_reserve_next,  ///< And the next one kept for a later allocation.
};

/// RFC 8656 §18.10.
using reservation_token = std::array<std::uint8_t, 8>;

/// RFC 8656 §18.12: the family that a dual allocation did not get, and why.
struct address_error_view {
  address_family family;
  stun::error_code code;
  std::string_view reason;  ///< Whatever bytes the server chose.
};

/// RFC 8656 §18.13: what came back instead of an answer from a peer. The family of the peer's
/// address says whether the numbers are ICMPv4's or ICMPv6's.
struct icmp_error {
  std::uint8_t type;
  std::uint8_t code;
  std::uint32_t data;  ///< The next hop's MTU where the packet was too big, zero otherwise.

  friend constexpr bool operator==(const icmp_error&, const icmp_error&) = default;
};

/// The longest MOBILITY-TICKET that either side here takes: with it a Refresh and its
/// credentials stay below the 1,280 bytes that pass everywhere.
inline constexpr std::size_t max_ticket_size = 512;

// Numbers

/// CHANNEL-NUMBER (RFC 8656 §18.1). Whether the number is one of a channel is not checked.
constexpr std::optional<std::uint16_t> find_channel_number(
    const stun::message_view& message) noexcept {
  const auto value = message.find_u32(attributes::channel_number);
  return value ? std::optional{static_cast<std::uint16_t>(*value >> 16)} : std::nullopt;
}
constexpr stun::message_builder& add_channel_number(stun::message_builder& message,
                                                    std::uint16_t number) noexcept {
  return message.add_u32(attributes::channel_number, std::uint32_t{number} << 16);
}

/// LIFETIME (RFC 8656 §18.2).
constexpr std::optional<std::chrono::seconds> find_lifetime(
    const stun::message_view& message) noexcept {
  const auto value = message.find_u32(attributes::lifetime);
  return value ? std::optional{std::chrono::seconds{*value}} : std::nullopt;
}
/// Negative ones are written as zero, those past 32 bits as the longest.
constexpr stun::message_builder& add_lifetime(stun::message_builder& message,
                                              std::chrono::seconds lifetime) noexcept {
  const auto seconds = std::clamp<std::chrono::seconds::rep>(lifetime.count(), 0, 0xffffffff);
  return message.add_u32(attributes::lifetime, static_cast<std::uint32_t>(seconds));
}

/// CONNECTION-ID (RFC 6062 §6.2.1).
constexpr std::optional<std::uint32_t> find_connection_id(
    const stun::message_view& message) noexcept {
  return message.find_u32(attributes::connection_id);
}
constexpr stun::message_builder& add_connection_id(stun::message_builder& message,
                                                   std::uint32_t id) noexcept {
  return message.add_u32(attributes::connection_id, id);
}

// Addresses

/// The first XOR-PEER-ADDRESS (RFC 8656 §18.3).
constexpr std::optional<endpoint> find_peer_address(const stun::message_view& message) noexcept {
  return message.find_xor_address(attributes::xor_peer_address);
}
constexpr stun::message_builder& add_peer_address(stun::message_builder& message,
                                                  const endpoint& peer) noexcept {
  return message.add_xor_address(attributes::xor_peer_address, peer);
}

/// Calls `visit` with the value of each attribute of the type, as an optional `endpoint` that
/// is empty where the value is no address: CreatePermission has several XOR-PEER-ADDRESS
/// (RFC 8656 §10.1), a dual allocation two XOR-RELAYED-ADDRESS.
template <class Visitor>
constexpr void for_each_xor_address(const stun::message_view& message, stun::attribute_type type,
                                    Visitor&& visit) {
  for (const stun::attribute_view& attribute : message.attributes())
    if (attribute.type == type)
      visit(stun::detail::decode_address(attribute.value, stun::detail::xor_mask(message.id())));
}

/// The first XOR-RELAYED-ADDRESS of the family (RFC 8656 §18.5).
constexpr std::optional<endpoint> find_relayed_address(const stun::message_view& message,
                                                       address_family family) noexcept {
  std::optional<endpoint> found;
  for_each_xor_address(message, attributes::xor_relayed_address,
                       [&](const std::optional<endpoint>& address) {
                         if (!found && address && family_of(address->address) == family)
                           found = address;
                       });
  return found;
}
constexpr stun::message_builder& add_relayed_address(stun::message_builder& message,
                                                     const endpoint& relayed) noexcept {
  return message.add_xor_address(attributes::xor_relayed_address, relayed);
}

// What an Allocate request asks for

namespace detail {

constexpr std::optional<std::uint8_t> find_first_of_four(const stun::message_view& message,
                                                         stun::attribute_type type) noexcept {
  const auto value = message.find_u32(type);
  return value ? std::optional{static_cast<std::uint8_t>(*value >> 24)} : std::nullopt;
}
constexpr stun::message_builder& add_first_of_four(stun::message_builder& message,
                                                   stun::attribute_type type,
                                                   std::uint8_t value) noexcept {
  return message.add_u32(type, std::uint32_t{value} << 24);
}

}  // namespace detail

/// REQUESTED-TRANSPORT (RFC 8656 §18.8).
constexpr std::optional<relayed_transport> find_requested_transport(
    const stun::message_view& message) noexcept {
  const auto value = detail::find_first_of_four(message, attributes::requested_transport);
  return value ? std::optional{static_cast<relayed_transport>(*value)} : std::nullopt;
}
constexpr stun::message_builder& add_requested_transport(stun::message_builder& message,
                                                         relayed_transport transport) noexcept {
  return detail::add_first_of_four(message, attributes::requested_transport,
                                   static_cast<std::uint8_t>(transport));
}

/// REQUESTED-ADDRESS-FAMILY (RFC 8656 §18.6).
constexpr std::optional<address_family> find_requested_address_family(
    const stun::message_view& message) noexcept {
  const auto value = detail::find_first_of_four(message, attributes::requested_address_family);
  return value ? std::optional{static_cast<address_family>(*value)} : std::nullopt;
}
constexpr stun::message_builder& add_requested_address_family(stun::message_builder& message,
                                                              address_family family) noexcept {
  return detail::add_first_of_four(message, attributes::requested_address_family,
                                   static_cast<std::uint8_t>(family));
}

/// ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §18.11).
constexpr std::optional<address_family> find_additional_address_family(
    const stun::message_view& message) noexcept {
  const auto value = detail::find_first_of_four(message, attributes::additional_address_family);
  return value ? std::optional{static_cast<address_family>(*value)} : std::nullopt;
}
/// Only IPv6 may be asked for (RFC 8656 §18.11).
constexpr stun::message_builder& add_additional_address_family(
    stun::message_builder& message) noexcept {
  return detail::add_first_of_four(message, attributes::additional_address_family,
                                   static_cast<std::uint8_t>(address_family::ipv6));
}

/// EVEN-PORT (RFC 8656 §18.7).
constexpr std::optional<even_port> find_even_port(const stun::message_view& message) noexcept {
  const auto attribute = message.find(attributes::even_port);
  if (!attribute || attribute->value.size() != 1) return std::nullopt;
  return (attribute->value[0] & 0x80) != 0 ? even_port::even_and_reserve_next : even_port::even;
}
constexpr stun::message_builder& add_even_port(stun::message_builder& message,
                                               even_port wish) noexcept {
  const std::uint8_t value[] = {
      static_cast<std::uint8_t>(wish == even_port::even_and_reserve_next ? 0x80 : 0)};
  return message.add(attributes::even_port, value);
}

/// RESERVATION-TOKEN (RFC 8656 §18.10).
constexpr std::optional<reservation_token> find_reservation_token(
    const stun::message_view& message) noexcept {
  const auto attribute = message.find(attributes::reservation_token);
  reservation_token token{};
  if (!attribute || attribute->value.size() != token.size()) return std::nullopt;
  std::copy_n(attribute->value.begin(), token.size(), token.begin());
  return token;
}
constexpr stun::message_builder& add_reservation_token(stun::message_builder& message,
                                                       const reservation_token& token) noexcept {
  return message.add(attributes::reservation_token, token);
}

/// DONT-FRAGMENT (RFC 8656 §18.9).
constexpr bool has_dont_fragment(const stun::message_view& message) noexcept {
  return message.has(attributes::dont_fragment);
}
constexpr stun::message_builder& add_dont_fragment(stun::message_builder& message) noexcept {
  return message.add_flag(attributes::dont_fragment);
}

/// MOBILITY-TICKET (RFC 8016 §3.3), empty in an Allocate request. Longer ones than
/// `max_ticket_size` are not found.
constexpr std::optional<const_bytes> find_mobility_ticket(
    const stun::message_view& message) noexcept {
  const auto attribute = message.find(attributes::mobility_ticket);
  if (!attribute || attribute->value.size() > max_ticket_size) return std::nullopt;
  return attribute->value;
}
constexpr stun::message_builder& add_mobility_ticket(stun::message_builder& message,
                                                     const_bytes ticket) noexcept {
  return message.add(attributes::mobility_ticket, ticket);
}

// What is relayed

/// DATA (RFC 8656 §18.4), which may be empty.
constexpr std::optional<const_bytes> find_data(const stun::message_view& message) noexcept {
  const auto attribute = message.find(attributes::data);
  return attribute ? std::optional{attribute->value} : std::nullopt;
}
constexpr stun::message_builder& add_data(stun::message_builder& message,
                                          const_bytes data) noexcept {
  return message.add(attributes::data, data);
}

/// ICMP (RFC 8656 §18.13, whose figure has erratum 8901's octets for type and code).
constexpr std::optional<icmp_error> find_icmp(const stun::message_view& message) noexcept {
  const auto value = message.find_u64(attributes::icmp);
  if (!value) return std::nullopt;
  return icmp_error{static_cast<std::uint8_t>(*value >> 40),
                    static_cast<std::uint8_t>(*value >> 32), static_cast<std::uint32_t>(*value)};
}
constexpr stun::message_builder& add_icmp(stun::message_builder& message,
                                          const icmp_error& error) noexcept {
  return message.add_u64(attributes::icmp, std::uint64_t{error.type} << 40 |
                                               std::uint64_t{error.code} << 32 | error.data);
}

/// ADDRESS-ERROR-CODE (RFC 8656 §18.12).
inline std::optional<address_error_view> find_address_error(
    const stun::message_view& message) noexcept {
  const auto attribute = message.find(attributes::address_error_code);
  if (!attribute || attribute->value.size() < 4 ||
      attribute->value.size() > 4 + stun::detail::max_received_text)
    return std::nullopt;
  const const_bytes value = attribute->value;
  const unsigned hundreds = value[2] & 0x07u;
  if (hundreds < 3 || hundreds > 6 || value[3] > 99) return std::nullopt;
  return address_error_view{static_cast<address_family>(value[0]),
                            static_cast<stun::error_code>(hundreds * 100 + value[3]),
                            as_text(value.subspan(4))};
}
/// Without a reason phrase. The code is one from 300 to 699.
constexpr stun::message_builder& add_address_error(stun::message_builder& message,
                                                   address_family family,
                                                   stun::error_code code) noexcept {
  const auto number = static_cast<unsigned>(code);
  return message.add_u32(
      attributes::address_error_code,
      std::uint32_t{static_cast<std::uint8_t>(family)} << 24 | (number / 100) << 8 | number % 100);
}

}  // namespace weft::turn

#endif  // WEFT_TURN_ATTRIBUTES_HPP
