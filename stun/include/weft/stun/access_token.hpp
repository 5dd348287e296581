#ifndef WEFT_STUN_ACCESS_TOKEN_HPP
#define WEFT_STUN_ACCESS_TOKEN_HPP

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/bytes.hpp>
#include <weft/core/result.hpp>
#include <weft/core/time.hpp>
#include <weft/stun/wall_clock.hpp>

/// The self-contained tokens of third-party authorization (RFC 7635 §6.2): an authorization
/// server seals a key into one, the client carries it, the STUN or TURN server opens it.
namespace weft::stun {

/// RFC 7518 §5.1. Those with AES-CBC, which RFC 7635 names too, are not here.
enum class token_algorithm : std::uint8_t { a128gcm, a256gcm };

/// What an authorization server and a STUN server agreed upon (RFC 7635 §4.1).
struct access_token_key {
  std::string id;                 ///< The `kid`, which clients send as USERNAME.
  std::vector<std::uint8_t> key;  ///< 16 bytes for A128GCM, 32 for A256GCM; longer ones are cut.
  token_algorithm algorithm = token_algorithm::a256gcm;
};

/// What a token says (RFC 7635 §6.2).
struct access_token {
  std::vector<std::uint8_t> mac_key;  ///< 1 to 64 bytes: longer ones gain nothing (RFC 2104 §2).
  wall_clock::date issued{};
  std::chrono::seconds lifetime{};

  bool operator==(const access_token&) const = default;
};

inline constexpr std::size_t max_token_mac_key = 64;
inline constexpr std::size_t token_nonce_size = 12;  ///< Both algorithms have this one alone.
/// No token is longer: nonce with its length, sealed block, tag.
inline constexpr std::size_t max_token_size =
    2 + token_nonce_size + (2 + max_token_mac_key + 8 + 4) + 16;

/// Why a token was not opened. A server answers every one of them with 401.
enum class token_error : std::uint8_t {
  malformed,     ///< Not a token: a length in it is not what it can be.
  not_ours,      ///< Sealed with another key or for another server, or changed on the way.
  not_current,   ///< Its time is over, or has not come.
  unusable_key,  ///< The caller's key is too short for its algorithm, or cannot be sealed.
};

std::string_view to_string(token_error e);

/// How far the clocks of the two servers may differ (RFC 7635 §7).
inline constexpr std::chrono::seconds token_delta{5};

/// Seals a token for the server of that name. A nonce must never be used twice with a key.
/// `unusable_key` where the key is too short, or the MAC key empty or too long.
result<std::vector<std::uint8_t>, token_error> seal_token(
    const access_token& token, std::string_view server_name, const access_token_key& key,
    const std::array<std::uint8_t, token_nonce_size>& nonce);

/// Opens a token without asking what time it is.
result<access_token, token_error> open_token(const_bytes sealed, std::string_view server_name,
                                             const access_token_key& key);

/// Whether the token is good at a time (RFC 7635 §7: `lifetime + Delta > abs(RDnew - TS)`).
bool is_current(const access_token& token, wall_clock::date today) noexcept;

}  // namespace weft::stun

#endif  // WEFT_STUN_ACCESS_TOKEN_HPP
