#include <weft/stun/integrity.hpp>

#include <algorithm>

namespace weft::stun {
namespace {

// RFC 8489 §14.5, §14.6: the HMAC covers what precedes the attribute, with the header's
// length set as if the message ended with the attribute.
template <class Hmac>
auto hmac_up_to(const message_view& message, const attribute_view& attribute, const Hmac& hmac) {
  std::array<std::uint8_t, header_size> header;
  std::copy_n(message.bytes().begin(), header_size, header.begin());
  const std::size_t length = attribute.offset + 4 + padded(attribute.value.size()) - header_size;
  header[2] = static_cast<std::uint8_t>(length >> 8);
  header[3] = static_cast<std::uint8_t>(length);
  return hmac(header, message.bytes().subspan(header_size, attribute.offset - header_size));
}

bool matches(const_bytes computed, const_bytes received) noexcept {
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
  return computed.size() == received.size();
#else
  return equal_in_constant_time(computed, received);
#endif
}

constexpr bool is_sha256_size(std::size_t size) noexcept {
  return size >= 16 && size <= 32 && size % 4 == 0;
}

}  // namespace

bool verify_message_integrity(const message_view& message, const integrity_key& key) noexcept {
  const auto attribute = message.message_integrity();
  if (!attribute || attribute->value.size() != sizeof(sha1_digest)) return false;
  return matches(hmac_up_to(message, *attribute, key.sha1()), attribute->value);
}

bool verify_message_integrity_sha256(const message_view& message, const integrity_key& key,
                                     std::size_t min_size) noexcept {
  const auto attribute = message.message_integrity_sha256();
  if (!attribute) return false;
  const std::size_t size = attribute->value.size();
  if (!is_sha256_size(size) || size < min_size) return false;
  const sha256_digest whole = hmac_up_to(message, *attribute, key.sha256());
  return matches(const_bytes{whole}.first(size), attribute->value);
}

bool verify_integrity(const message_view& message, const integrity_key& key) noexcept {
  if (message.message_integrity_sha256()) return verify_message_integrity_sha256(message, key);
  return verify_message_integrity(message, key);
}

message_builder& message_builder::add_message_integrity(const integrity_key& key) noexcept {
  if (!ok()) return *this;
  set_length(4 + sizeof(sha1_digest));
  return add(attribute_type::message_integrity, key.sha1()(out_.written(), {}));
}

message_builder& message_builder::add_message_integrity_sha256(const integrity_key& key,
                                                               std::size_t size) noexcept {
  if (!require(is_sha256_size(size)).ok()) return *this;
  set_length(4 + size);
  const sha256_digest whole = key.sha256()(out_.written(), {});
  return add(attribute_type::message_integrity_sha256, const_bytes{whole}.first(size));
}

}  // namespace weft::stun
