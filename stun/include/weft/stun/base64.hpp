#ifndef WEFT_STUN_BASE64_HPP
#define WEFT_STUN_BASE64_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/bytes.hpp>

/// Base 64 as STUN uses it: in nonces (RFC 8489 §9.2), access tokens (RFC 7635 §6.2) and the
/// passwords that TURN servers' owners compute.
namespace weft::stun {

/// RFC 4648 §4, with padding.
std::string encode_base64(const_bytes data);

/// The reverse. Nothing for what `encode_base64` would not have written: other characters,
/// missing padding, or bits set that no byte uses.
std::optional<std::vector<std::uint8_t>> decode_base64(std::string_view text);

}  // namespace weft::stun

#endif  // WEFT_STUN_BASE64_HPP
