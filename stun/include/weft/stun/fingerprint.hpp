#ifndef WEFT_STUN_FINGERPRINT_HPP
#define WEFT_STUN_FINGERPRINT_HPP

#include <cstdint>

#include <weft/stun/message.hpp>

namespace weft::stun {

/// What the CRC in FINGERPRINT is XORed with (RFC 8489 §14.7): "STUN" in ASCII.
inline constexpr std::uint32_t fingerprint_xor = 0x5354554e;

/// The CRC-32 of ITU V.42, as FINGERPRINT uses it (RFC 8489 §14.7).
std::uint32_t crc32(const_bytes data) noexcept;

/// Whether the message ends in a FINGERPRINT, and it is right (RFC 8489 §14.7).
bool has_valid_fingerprint(const message_view& message) noexcept;

}  // namespace weft::stun

#endif  // WEFT_STUN_FINGERPRINT_HPP
