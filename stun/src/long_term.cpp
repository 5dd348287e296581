#include <weft/stun/long_term.hpp>

#include <weft/stun/base64.hpp>

namespace weft::stun {
namespace {

constexpr std::string_view cookie_prefix = "obMatJos2";
constexpr std::uint32_t password_algorithms_bit = 1u << 0;  // RFC 8489 §18.1, erratum 6290
constexpr std::uint32_t username_anonymity_bit = 1u << 1;

// RFC 8489 §9.2.2: "with any quotes and trailing nulls removed".
std::string_view without_nulls(std::string_view text) {
  while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  return text;
}
std::string_view without_quotes(std::string_view text) {
  text = without_nulls(text);
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return text;
  return text.substr(1, text.size() - 2);
}

constexpr std::array<std::uint8_t, 1> colon{':'};

}  // namespace

std::optional<integrity_key> long_term_key(std::string_view username, std::string_view realm,
                                           std::string_view password,
                                           password_algorithm algorithm) {
  const std::array<const_bytes, 5> parts{as_bytes(without_quotes(username)), colon,
                                         as_bytes(without_quotes(realm)), colon,
                                         as_bytes(without_nulls(password))};
  switch (algorithm) {
    case password_algorithm::md5:
      return integrity_key{md5(parts)};
    case password_algorithm::sha256:
      return integrity_key{sha256(parts)};
  }
  return std::nullopt;
}

stun::userhash hash_username(std::string_view username, std::string_view realm) {
  const std::array<const_bytes, 3> parts{as_bytes(username), colon, as_bytes(realm)};
  return sha256(parts);
}

std::array<char, nonce_cookie_size> nonce_cookie(const security_features& features) noexcept {
  constexpr std::string_view alphabet = "ABCD";  // base 64 of what two bits can say
  const std::uint32_t bits = (features.password_algorithms ? password_algorithms_bit : 0) |
                             (features.username_anonymity ? username_anonymity_bit : 0);
  std::array<char, nonce_cookie_size> cookie;
  cookie_prefix.copy(cookie.data(), cookie_prefix.size());
  for (std::size_t i = cookie_prefix.size(); i < cookie.size(); ++i) cookie[i] = 'A';
  cookie.back() = alphabet[bits];
  return cookie;
}

std::optional<security_features> read_nonce_cookie(std::string_view nonce) {
  if (nonce.size() < nonce_cookie_size || !nonce.starts_with(cookie_prefix)) return std::nullopt;
  const auto decoded = decode_base64(nonce.substr(cookie_prefix.size(), 4));
  if (!decoded || decoded->size() != 3) return std::nullopt;
  const std::uint32_t bits = (*decoded)[2];
  return security_features{.password_algorithms = (bits & password_algorithms_bit) != 0,
                           .username_anonymity = (bits & username_anonymity_bit) != 0};
}

}  // namespace weft::stun
