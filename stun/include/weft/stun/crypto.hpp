#ifndef WEFT_STUN_CRYPTO_HPP
#define WEFT_STUN_CRYPTO_HPP

#include <array>
#include <cstdint>
#include <span>

#include <weft/core/bytes.hpp>

/// The cryptography that this module needs, and all of it. `src/crypto_openssl.cpp` is
/// the only definition: to use another library, write these functions with it and build
/// them in that file's place.
namespace weft::stun {

using md5_digest = std::array<std::uint8_t, 16>;
using sha1_digest = std::array<std::uint8_t, 20>;
using sha256_digest = std::array<std::uint8_t, 32>;

/// HMAC-SHA1 (RFC 2104) with a key that was worked into the hash once, so that each
/// message costs no more than its own blocks. A plain value.
class hmac_sha1_key {
 public:
  explicit hmac_sha1_key(const_bytes key) noexcept;

  /// The HMAC of `head` followed by `tail`.
  sha1_digest operator()(const_bytes head, const_bytes tail) const noexcept;

 private:
  // Whatever the library keeps: 64 bytes are enough for the two chaining values behind
  // the padded keys, and also for the padded key itself.
  std::array<std::uint32_t, 16> state_;
};

/// HMAC-SHA256, likewise.
class hmac_sha256_key {
 public:
  explicit hmac_sha256_key(const_bytes key) noexcept;

  /// The HMAC of `head` followed by `tail`.
  sha256_digest operator()(const_bytes head, const_bytes tail) const noexcept;

 private:
  std::array<std::uint32_t, 16> state_;
};

/// The hash of all parts, one after the other (RFC 1321). For the keys of RFC 8489 §9.2.2 alone.
md5_digest md5(std::span<const const_bytes> parts) noexcept;
sha256_digest sha256(std::span<const const_bytes> parts) noexcept;

/// AES in Galois/Counter Mode as RFC 5116 §5.1 and §5.2 have it: a key of 16 or 32 bytes, a nonce
/// of 12, a tag of 16 behind the ciphertext. `sealed` has room for both. False if the key is of
/// another size, or the library has no AES.
bool aes_gcm_seal(const_bytes key, const_bytes nonce, const_bytes associated, const_bytes plain,
                  mutable_bytes sealed) noexcept;
/// The reverse, with room for all but the tag in `plain`. False as well, and `plain` then holds
/// nothing of use, for what was not sealed with this key, nonce and associated data.
bool aes_gcm_open(const_bytes key, const_bytes nonce, const_bytes associated, const_bytes sealed,
                  mutable_bytes plain) noexcept;

/// Whether two values of equal size are equal, in a time that does not depend on where
/// they differ. Values of unequal size are not equal.
bool equal_in_constant_time(const_bytes a, const_bytes b) noexcept;

}  // namespace weft::stun

#endif  // WEFT_STUN_CRYPTO_HPP
