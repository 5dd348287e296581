#ifndef WEFT_DTLS_FINGERPRINT_HPP
#define WEFT_DTLS_FINGERPRINT_HPP

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <weft/core/bytes.hpp>

namespace weft::dtls {

/// The hash functions of `a=fingerprint` (RFC 8122 §5), weakest first. MD5 and MD2 are
/// forbidden there and absent here.
enum class hash : std::uint8_t { sha_1, sha_224, sha_256, sha_384, sha_512 };

/// The bytes of a digest.
constexpr std::size_t digest_size(hash h) noexcept {
  switch (h) {
    case hash::sha_1:
      return 20;
    case hash::sha_224:
      return 28;
    case hash::sha_256:
      return 32;
    case hash::sha_384:
      return 48;
    case hash::sha_512:
      return 64;
  }
  return 0;
}

/// The name in SDP, such as `sha-256` (RFC 8122 §5).
constexpr std::string_view to_string(hash h) noexcept {
  switch (h) {
    case hash::sha_1:
      return "sha-1";
    case hash::sha_224:
      return "sha-224";
    case hash::sha_256:
      return "sha-256";
    case hash::sha_384:
      return "sha-384";
    case hash::sha_512:
      return "sha-512";
  }
  return "unknown";
}

/// What a certificate hashes to: what SDP says of a peer before it is met.
class fingerprint {
 public:
  /// Reads the value of an `a=fingerprint` line, `sha-256 4A:AD:...`. Letters of either case
  /// are taken, in the name and in the digits. Nothing where the hash is not one of ours or
  /// the digits are malformed or too few: skip that line (RFC 8122 §5 lets a peer send
  /// several, some of which we need not know).
  static std::optional<fingerprint> parse(std::string_view text);

  /// A digest computed elsewhere. Nothing where its size is not the hash's.
  static constexpr std::optional<fingerprint> from_digest(hash h, const_bytes digest) noexcept {
    if (digest.size() != digest_size(h)) return std::nullopt;
    fingerprint f;
    f.algorithm_ = h;
    std::copy(digest.begin(), digest.end(), f.digest_.begin());
    return f;
  }

  constexpr hash algorithm() const noexcept { return algorithm_; }
  constexpr const_bytes digest() const noexcept {
    return const_bytes{digest_}.first(digest_size(algorithm_));
  }

  friend constexpr bool operator==(const fingerprint&, const fingerprint&) = default;

 private:
  constexpr fingerprint() = default;

  hash algorithm_ = hash::sha_256;
  std::array<std::uint8_t, 64> digest_{};  // Zeros behind the digest.
};

/// The value of an `a=fingerprint` line: `sha-256 4A:AD:B9:...`, upper case (RFC 8122 §5).
std::string to_string(const fingerprint& f);

}  // namespace weft::dtls

#endif  // WEFT_DTLS_FINGERPRINT_HPP
