#ifndef WEFT_STUN_LONG_TERM_HPP
#define WEFT_STUN_LONG_TERM_HPP

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <weft/stun/integrity.hpp>
#include <weft/stun/message.hpp>

/// What both ends of the long-term credential mechanism share (RFC 8489 §9.2); the ends are
/// long_term_client.hpp and long_term_server.hpp.
///
/// Usernames, realms and passwords are taken as prepared with OpaqueString (RFC 8265 §4.2),
/// which leaves printable ASCII as it is and asks for Unicode's normal form C of the rest. No
/// tables of Unicode are here: an application that takes names from people normalises them.
namespace weft::stun {

/// The key of a long-term credential (RFC 8489 §9.2.2, §18.5.1): the hash of
/// `username:realm:password`, where trailing zeros of all three and the quotes around the first
/// two do not count. Nothing for an algorithm that is neither MD5 nor SHA-256.
std::optional<integrity_key> long_term_key(std::string_view username, std::string_view realm,
                                           std::string_view password, password_algorithm algorithm);

/// What goes into USERHASH (RFC 8489 §14.4).
stun::userhash hash_username(std::string_view username, std::string_view realm);

/// STUN Security Features (RFC 8489 §18.1), with bit 0 the least significant one as erratum
/// 6290 has it.
struct security_features {
  bool password_algorithms = false;
  bool username_anonymity = false;

  friend constexpr bool operator==(const security_features&, const security_features&) = default;
};

inline constexpr std::size_t nonce_cookie_size = 13;

/// What begins the nonce of a server that knows RFC 8489 (§9.2): 13 characters.
std::array<char, nonce_cookie_size> nonce_cookie(const security_features& features) noexcept;

/// The features a nonce tells of; nothing if it has no cookie. Features unknown here are
/// ignored.
std::optional<security_features> read_nonce_cookie(std::string_view nonce);

}  // namespace weft::stun

#endif  // WEFT_STUN_LONG_TERM_HPP
