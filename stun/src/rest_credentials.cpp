#include <weft/stun/rest_credentials.hpp>

#include <charconv>
#include <chrono>

#include <weft/stun/base64.hpp>
#include <weft/stun/crypto.hpp>
#include <weft/stun/long_term.hpp>

namespace weft::stun {
namespace {

constexpr std::size_t max_expiry_digits = 10;  // until the year 2286

std::string password_of(std::string_view secret, std::string_view username,
                        rest_algorithm algorithm) {
  switch (algorithm) {
    case rest_algorithm::sha1:
      return encode_base64(hmac_sha1_key{as_bytes(secret)}(as_bytes(username), {}));
    case rest_algorithm::sha256:
      return encode_base64(hmac_sha256_key{as_bytes(secret)}(as_bytes(username), {}));
  }
  return {};
}

// The seconds that a username begins with, and what is behind the colon.
struct parts {
  std::chrono::seconds expiry;
  std::string_view user;
};

std::optional<parts> split(std::string_view username) {
  const std::size_t colon = username.find(':');
  const std::string_view digits = username.substr(0, colon);
  if (digits.size() > max_expiry_digits) return std::nullopt;
  std::uint64_t seconds = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return parts{std::chrono::seconds{static_cast<std::int64_t>(seconds)},
               colon == username.npos ? std::string_view{} : username.substr(colon + 1)};
}

// A date that far ahead would overflow a date's own count.
constexpr std::chrono::seconds last_expiry{9'000'000'000};

}  // namespace

password_credentials make_rest_credentials(std::string_view secret, std::string_view user,
                                           wall_clock::date expiry, rest_algorithm algorithm) {
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(expiry.time_since_epoch()).count();
  std::string username = std::to_string(seconds);
  if (!user.empty()) {
    username += ':';
    username += user;
  }
  std::string password = password_of(secret, username, algorithm);
  return {std::move(username), std::move(password)};
}

std::optional<known_user> rest_users::find(time_point now, const user_query& query,
                                           std::size_t candidate) {
  if (!query.username || candidate >= options_.secrets.size()) return std::nullopt;
  const auto named = split(*query.username);
  if (!named || named->expiry > last_expiry) return std::nullopt;
  const wall_clock::date expiry{named->expiry};
  if (expiry <= options_.clock.at(now)) return std::nullopt;

  const std::string password =
      password_of(options_.secrets[candidate], *query.username, options_.algorithm);
  const auto key = long_term_key(*query.username, query.realm, password, query.algorithm);
  if (!key) return std::nullopt;
  const std::string_view account = named->user.empty() ? *query.username : named->user;
  return known_user{std::string{*query.username}, std::string{account}, *key,
                    options_.clock.when(expiry)};
}

}  // namespace weft::stun
