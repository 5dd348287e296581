#ifndef WEFT_STUN_REGISTRY_HPP
#define WEFT_STUN_REGISTRY_HPP

#include <cstdint>
#include <initializer_list>
#include <string_view>

/// The numbers of STUN and the names IANA keeps for them. The enumerations of wire
/// numbers are open: any value of the underlying type may arrive, and other modules
/// cast their own numbers into them.
namespace weft::stun {

/// RFC 8489 §5.
enum class message_class : std::uint8_t { request, indication, success, error };

/// RFC 8489 §18.2: 12 bits.
enum class method : std::uint16_t { binding = 0x001 };

/// RFC 8489 §18.3, and the extensions named behind each.
enum class attribute_type : std::uint16_t {
  mapped_address = 0x0001,
  change_request = 0x0003,  ///< RFC 5780 §7.2.
  username = 0x0006,
  message_integrity = 0x0008,
  error_code = 0x0009,
  unknown_attributes = 0x000a,
  realm = 0x0014,
  nonce = 0x0015,
  access_token = 0x001b,  ///< RFC 7635 §6.2.
  message_integrity_sha256 = 0x001c,
  password_algorithm = 0x001d,
  userhash = 0x001e,
  xor_mapped_address = 0x0020,
  priority = 0x0024,       ///< RFC 8445 §16.1.
  use_candidate = 0x0025,  ///< RFC 8445 §16.1.
  padding = 0x0026,        ///< RFC 5780 §7.6.
  response_port = 0x0027,  ///< RFC 5780 §7.5.
  password_algorithms = 0x8002,
  alternate_domain = 0x8003,
  software = 0x8022,
  alternate_server = 0x8023,
  transaction_transmit_counter = 0x8025,  ///< RFC 7982 §3.1.
  fingerprint = 0x8028,
  ice_controlled = 0x8029,             ///< RFC 8445 §16.1.
  ice_controlling = 0x802a,            ///< RFC 8445 §16.1.
  response_origin = 0x802b,            ///< RFC 5780 §7.3.
  other_address = 0x802c,              ///< RFC 5780 §7.4.
  third_party_authorization = 0x802e,  ///< RFC 7635 §6.1.
};

/// RFC 8489 §14: attributes below 0x8000 must be understood or refused.
constexpr bool is_comprehension_required(attribute_type type) noexcept {
  return static_cast<std::uint16_t>(type) < 0x8000;
}

/// RFC 8489 §14.8, and RFC 8445 §16.2. On the wire any of 300 to 699.
enum class error_code : std::uint16_t {
  try_alternate = 300,
  bad_request = 400,
  unauthenticated = 401,
  unknown_attribute = 420,
  stale_nonce = 438,
  role_conflict = 487,  ///< RFC 8445 §16.2.
  server_error = 500,
};

/// RFC 8489 §18.5.
enum class password_algorithm : std::uint16_t { md5 = 0x0001, sha256 = 0x0002 };

/// IANA's name, or an empty text for a number that is not named above.
constexpr std::string_view to_string(method m) noexcept {
  return m == method::binding ? "Binding" : "";
}

/// IANA's name, or an empty text for a number that is not named above.
constexpr std::string_view to_string(attribute_type type) noexcept {
  switch (type) {
    case attribute_type::mapped_address:
      return "MAPPED-ADDRESS";
    case attribute_type::change_request:
      return "CHANGE-REQUEST";
    case attribute_type::username:
      return "USERNAME";
    case attribute_type::message_integrity:
      return "MESSAGE-INTEGRITY";
    case attribute_type::error_code:
      return "ERROR-CODE";
    case attribute_type::unknown_attributes:
      return "UNKNOWN-ATTRIBUTES";
    case attribute_type::realm:
      return "REALM";
    case attribute_type::nonce:
      return "NONCE";
    case attribute_type::access_token:
      return "ACCESS-TOKEN";
    case attribute_type::message_integrity_sha256:
      return "MESSAGE-INTEGRITY-SHA256";
    case attribute_type::password_algorithm:
      return "PASSWORD-ALGORITHM";
    case attribute_type::userhash:
      return "USERHASH";
    case attribute_type::xor_mapped_address:
      return "XOR-MAPPED-ADDRESS";
    case attribute_type::priority:
      return "PRIORITY";
    case attribute_type::use_candidate:
      return "USE-CANDIDATE";
    case attribute_type::padding:
      return "PADDING";
    case attribute_type::response_port:
      return "RESPONSE-PORT";
    case attribute_type::password_algorithms:
      return "PASSWORD-ALGORITHMS";
    case attribute_type::alternate_domain:
      return "ALTERNATE-DOMAIN";
    case attribute_type::software:
      return "SOFTWARE";
    case attribute_type::alternate_server:
      return "ALTERNATE-SERVER";
    case attribute_type::transaction_transmit_counter:
      return "TRANSACTION_TRANSMIT_COUNTER";
    case attribute_type::fingerprint:
      return "FINGERPRINT";
    case attribute_type::ice_controlled:
      return "ICE-CONTROLLED";
    case attribute_type::ice_controlling:
      return "ICE-CONTROLLING";
    case attribute_type::response_origin:
      return "RESPONSE-ORIGIN";
    case attribute_type::other_address:
      return "OTHER-ADDRESS";
    case attribute_type::third_party_authorization:
      return "THIRD-PARTY-AUTHORIZATION";
  }
  return "";
}

/// IANA's name, which is also the suggested reason phrase; an empty text for a number
/// that is not named above.
constexpr std::string_view to_string(error_code code) noexcept {
  switch (code) {
    case error_code::try_alternate:
      return "Try Alternate";
    case error_code::bad_request:
      return "Bad Request";
    case error_code::unauthenticated:
      return "Unauthenticated";
    case error_code::unknown_attribute:
      return "Unknown Attribute";
    case error_code::stale_nonce:
      return "Stale Nonce";
    case error_code::role_conflict:
      return "Role Conflict";
    case error_code::server_error:
      return "Server Error";
  }
  return "";
}

/// The comprehension-required attributes that a receiver understands. Holds types below
/// 0x0040, where IANA has put every one so far; others are never contained.
/// The two integrity attributes need not be named: every receiver here knows them.
class attribute_set {
 public:
  constexpr attribute_set() = default;
  constexpr attribute_set(std::initializer_list<attribute_type> types) noexcept {
    for (const attribute_type type : types) {
      const auto number = static_cast<std::uint16_t>(type);
      if (number < 64) bits_ |= std::uint64_t{1} << number;
    }
  }

  constexpr bool contains(attribute_type type) const noexcept {
    const auto number = static_cast<std::uint16_t>(type);
    return number < 64 && (bits_ >> number & 1) != 0;
  }
  constexpr std::uint64_t bits() const noexcept { return bits_; }

 private:
  std::uint64_t bits_ = std::uint64_t{1} << 0x08 | std::uint64_t{1} << 0x1c;
};

}  // namespace weft::stun

#endif  // WEFT_STUN_REGISTRY_HPP
