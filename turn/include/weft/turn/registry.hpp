#ifndef WEFT_TURN_REGISTRY_HPP
#define WEFT_TURN_REGISTRY_HPP

#include <cstdint>
#include <string_view>

#include <weft/stun/registry.hpp>

/// The numbers that TURN adds to STUN's registries, and the names IANA keeps for them.
namespace weft::turn {

/// RFC 8656 §17, RFC 6062 §6.1.
namespace methods {
inline constexpr stun::method allocate{0x003};
inline constexpr stun::method refresh{0x004};
inline constexpr stun::method send{0x006};  ///< Only as an indication.
inline constexpr stun::method data{0x007};  ///< Only as an indication.
inline constexpr stun::method create_permission{0x008};
inline constexpr stun::method channel_bind{0x009};
inline constexpr stun::method connect{0x00a};             ///< RFC 6062.
inline constexpr stun::method connection_bind{0x00b};     ///< RFC 6062.
inline constexpr stun::method connection_attempt{0x00c};  ///< RFC 6062; only as an indication.
}  // namespace methods

/// RFC 8656 §18, RFC 6062 §6.2, RFC 8016 §3.3.
namespace attributes {
inline constexpr stun::attribute_type channel_number{0x000c};
inline constexpr stun::attribute_type lifetime{0x000d};
inline constexpr stun::attribute_type xor_peer_address{0x0012};
inline constexpr stun::attribute_type data{0x0013};
inline constexpr stun::attribute_type xor_relayed_address{0x0016};
inline constexpr stun::attribute_type requested_address_family{0x0017};
inline constexpr stun::attribute_type even_port{0x0018};
inline constexpr stun::attribute_type requested_transport{0x0019};
inline constexpr stun::attribute_type dont_fragment{0x001a};
inline constexpr stun::attribute_type reservation_token{0x0022};
inline constexpr stun::attribute_type connection_id{0x002a};  ///< RFC 6062.
inline constexpr stun::attribute_type additional_address_family{0x8000};
inline constexpr stun::attribute_type address_error_code{0x8001};
inline constexpr stun::attribute_type icmp{0x8004};
inline constexpr stun::attribute_type mobility_ticket{0x8030};  ///< RFC 8016.
}  // namespace attributes

/// RFC 8656 §19, RFC 6062 §6.3, RFC 8016 §3.4.
namespace errors {
inline constexpr stun::error_code forbidden{403};
inline constexpr stun::error_code mobility_forbidden{405};  ///< RFC 8016.
inline constexpr stun::error_code allocation_mismatch{437};
inline constexpr stun::error_code address_family_not_supported{440};
inline constexpr stun::error_code wrong_credentials{441};
inline constexpr stun::error_code unsupported_transport_protocol{442};
inline constexpr stun::error_code peer_address_family_mismatch{443};
inline constexpr stun::error_code connection_already_exists{446};      ///< RFC 6062.
inline constexpr stun::error_code connection_timeout_or_failure{447};  ///< RFC 6062.
inline constexpr stun::error_code allocation_quota_reached{486};
inline constexpr stun::error_code insufficient_capacity{508};
/// Never on the wire: W3C WebRTC §5.7.1 has it for a server that gives no usable answer.
inline constexpr stun::error_code no_answer{701};
}  // namespace errors

/// IANA's name for a method of TURN or STUN, or an empty text.
constexpr std::string_view name_of(stun::method m) noexcept {
  // Over the number, because the constants above are no enumerators.
  switch (static_cast<std::uint16_t>(m)) {
    case 0x003:
      return "Allocate";
    case 0x004:
      return "Refresh";
    case 0x006:
      return "Send";
    case 0x007:
      return "Data";
    case 0x008:
      return "CreatePermission";
    case 0x009:
      return "ChannelBind";
    case 0x00a:
      return "Connect";
    case 0x00b:
      return "ConnectionBind";
    case 0x00c:
      return "ConnectionAttempt";
    default:
      return stun::to_string(m);
  }
}

/// IANA's name for an attribute of TURN or STUN, or an empty text.
constexpr std::string_view name_of(stun::attribute_type type) noexcept {
  switch (static_cast<std::uint16_t>(type)) {
    case 0x000c:
      return "CHANNEL-NUMBER";
    case 0x000d:
      return "LIFETIME";
    case 0x0012:
      return "XOR-PEER-ADDRESS";
    case 0x0013:
      return "DATA";
    case 0x0016:
      return "XOR-RELAYED-ADDRESS";
    case 0x0017:
      return "REQUESTED-ADDRESS-FAMILY";
    case 0x0018:
      return "EVEN-PORT";
    case 0x0019:
      return "REQUESTED-TRANSPORT";
    case 0x001a:
      return "DONT-FRAGMENT";
    case 0x0022:
      return "RESERVATION-TOKEN";
    case 0x002a:
      return "CONNECTION-ID";
    case 0x8000:
      return "ADDITIONAL-ADDRESS-FAMILY";
    case 0x8001:
      return "ADDRESS-ERROR-CODE";
    case 0x8004:
      return "ICMP";
    case 0x8030:
      return "MOBILITY-TICKET";
    default:
      return stun::to_string(type);
  }
}

/// IANA's name for an error code of TURN or STUN, which is also the suggested reason phrase;
/// or an empty text.
constexpr std::string_view name_of(stun::error_code code) noexcept {
  switch (static_cast<std::uint16_t>(code)) {
    case 403:
      return "Forbidden";
    case 405:
      return "Mobility Forbidden";
    case 437:
      return "Allocation Mismatch";
    case 440:
      return "Address Family not Supported";
    case 441:
      return "Wrong Credentials";
    case 442:
      return "Unsupported Transport Protocol";
    case 443:
      return "Peer Address Family Mismatch";
    case 446:
      return "Connection Already Exists";
    case 447:
      return "Connection Timeout or Failure";
    case 486:
      return "Allocation Quota Reached";
    case 508:
      return "Insufficient Capacity";
    default:
      return stun::to_string(code);
  }
}

}  // namespace weft::turn

#endif  // WEFT_TURN_REGISTRY_HPP
