#ifndef WEFT_STUN_INTEGRITY_HPP
#define WEFT_STUN_INTEGRITY_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <weft/stun/crypto.hpp>
#include <weft/stun/message.hpp>

namespace weft::stun {

enum class integrity_algorithm : std::uint8_t { sha1, sha256 };

/// A key for MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256, prepared once for many
/// messages. A plain value of 128 bytes.
class integrity_key {
 public:
  /// The key itself, as other credential mechanisms derive it.
  explicit integrity_key(const_bytes key) noexcept : sha1_{key}, sha256_{key} {}

  /// The key of a short-term credential (RFC 8489 §9.1.1). The password must already be
  /// in the form that OpaqueString (RFC 8265 §4.2) gives it; any password of printable ASCII,
  /// such as ICE's, is.
  static integrity_key short_term(std::string_view password) noexcept {
    return integrity_key{as_bytes(password)};
  }

  const hmac_sha1_key& sha1() const noexcept { return sha1_; }
  const hmac_sha256_key& sha256() const noexcept { return sha256_; }

 private:
  hmac_sha1_key sha1_;
  hmac_sha256_key sha256_;
};

/// Whether the message has one of the two integrity attributes.
constexpr bool has_integrity(const message_view& message) noexcept {
  return message.message_integrity() || message.message_integrity_sha256();
}

/// Whether the message has a MESSAGE-INTEGRITY and it is right (RFC 8489 §14.5).
bool verify_message_integrity(const message_view& message, const integrity_key& key) noexcept;

/// Whether the message has a MESSAGE-INTEGRITY-SHA256 and it is right (RFC 8489 §14.6).
/// One shorter than `min_size`, or of a length that is no multiple of 4 from 16 to 32, is
/// wrong: only a usage that says so may take truncated ones.
bool verify_message_integrity_sha256(const message_view& message, const integrity_key& key,
                                     std::size_t min_size = 32) noexcept;

/// Whether the message is authentic by the rule of RFC 8489 §9.1.3: by
/// MESSAGE-INTEGRITY-SHA256 if that is there, otherwise by MESSAGE-INTEGRITY.
bool verify_integrity(const message_view& message, const integrity_key& key) noexcept;

/// Checks a request or indication against short-term credentials, in the order of RFC 8489
/// §9.1.3. `find_key(username)` yields a pointer to the key of a username that is valid
/// now, or null. Returns the key that the message was signed with, with which the response
/// is to be signed; or the code of the error response, which must not be signed. An
/// indication that fails is dropped without a word.
template <class FindKey>
result<const integrity_key*, error_code> authenticate(const message_view& message,
                                                      FindKey&& find_key) {
  const auto username = message.username();
  if (!username || !has_integrity(message)) return fail(error_code::bad_request);
  const integrity_key* const key = find_key(*username);
  if (key == nullptr || !verify_integrity(message, *key)) return fail(error_code::unauthenticated);
  return key;
}

}  // namespace weft::stun

#endif  // WEFT_STUN_INTEGRITY_HPP
