#include <weft/stun/long_term_client.hpp>

#include <array>
#include <utility>

namespace weft::stun {
namespace {

// What is echoed is bounded, so that a request with the longest username still fits a datagram.
// Texts of RFC 8489 §14.9 and §14.10 have fewer than 128 characters, and few of more than one byte.
constexpr std::size_t max_echoed_text = 640;
constexpr std::size_t max_echoed_algorithms = 128;

bool is_known(password_algorithm algorithm) {
  return algorithm == password_algorithm::md5 || algorithm == password_algorithm::sha256;
}

}  // namespace

std::string_view to_string(long_term_verdict verdict) {
  switch (verdict) {
    case long_term_verdict::accepted:
      return "accepted";
    case long_term_verdict::challenged:
      return "to be sent again with credentials";
    case long_term_verdict::discard:
      return "not authentic";
    case long_term_verdict::refused:
      return "the credentials are refused";
    case long_term_verdict::bid_down:
      return "the password algorithms have been removed on the way";
    case long_term_verdict::no_algorithm:
      return "no password algorithm in common";
    case long_term_verdict::too_many_challenges:
      return "the server refuses every nonce";
  }
  return "";
}

long_term_client::long_term_client() = default;

long_term_client::long_term_client(long_term_credentials credentials)
    : long_term_client{std::move(credentials), options{}} {}

long_term_client::long_term_client(long_term_credentials credentials, const options& opts)
    : options_{opts}, credentials_{std::move(credentials)} {}

void long_term_client::set_credentials(long_term_credentials credentials) {
  credentials_ = std::move(credentials);
  derive_key();
}

void long_term_client::forget_server() {
  previous_key_ = std::exchange(key_, std::nullopt);
  realm_.clear();
  nonce_.clear();
  offered_.clear();
  features_ = {};
  third_party_server_.reset();
}

void long_term_client::derive_key() {
  if (nonce_.empty() || !credentials_) return;
  std::optional<integrity_key> key;
  if (const auto* password = std::get_if<password_credentials>(&*credentials_)) {
    key = long_term_key(password->username, realm_, password->password, algorithm_);
  } else {
    // RFC 7635 §5: no hash of the credentials, whatever the algorithm
    key = integrity_key{std::get<token_credentials>(*credentials_).mac_key};
  }
  previous_key_ = std::exchange(key_, std::nullopt);
  if (key) key_ = generation_key{++generation_, *key};
}

void long_term_client::sign(message_builder& request, long_term_attempt& attempt,
                            token_use use) const {
  attempt.generation_ = 0;
  if (!is_ready()) return;
  if (const auto* password = std::get_if<password_credentials>(&*credentials_)) {
    if (features_.username_anonymity) {
      request.add_userhash(hash_username(password->username, realm_));
    } else {
      request.add_username(password->username);
    }
  } else {
    const auto& token = std::get<token_credentials>(*credentials_);
    // Deviation from RFC 8489 §9.2.5: also where the server wants USERHASH. A kid is no name,
    // and RFC 7635 §5 has the server look for it in USERNAME.
    request.add_username(token.key_id);
    if (use == token_use::include) request.add(attribute_type::access_token, token.token);
  }
  request.add_realm(realm_).add_nonce(nonce_);
  if (offered_.empty()) {
    request.add_message_integrity(key_->key);
  } else {
    // RFC 8489 §9.2.5: MESSAGE-INTEGRITY-SHA256 alone
    request.add(attribute_type::password_algorithms, offered_);
    request.add_password_algorithm({algorithm_, {}});
    request.add_message_integrity_sha256(key_->key);
  }
  attempt.generation_ = key_->generation;
  attempt.sha256_ = !offered_.empty();
}

long_term_verdict long_term_client::examine(const message_view& response,
                                            long_term_attempt& attempt) {
  using enum long_term_verdict;
  const auto error =
      response.type_class() == message_class::error ? response.error() : std::nullopt;
  if (error &&
      (error->code == error_code::unauthenticated || error->code == error_code::stale_nonce))
    return examine_challenge(response, error->code, attempt);

  // RFC 8489 §9.2.5
  const auto nonce = response.nonce();
  const auto features = nonce ? read_nonce_cookie(*nonce) : std::nullopt;
  if (features && features->password_algorithms &&
      !response.has(attribute_type::password_algorithms))
    return discard;
  if (!attempt.is_signed()) return accepted;
  return is_authentic(response, attempt) ? accepted : discard;
}

bool long_term_client::is_authentic(const message_view& response,
                                    const long_term_attempt& attempt) const {
  // A response to a request signed with SHA-256 is signed so too (RFC 8489 §9.2.4): to take
  // SHA-1 would be to let it be bid down.
  if (attempt.sha256_ && !response.message_integrity_sha256()) return false;
  for (const auto* candidate : {&key_, &previous_key_})
    if (*candidate && (*candidate)->generation == attempt.generation_)
      return verify_integrity(response, (*candidate)->key);
  return false;
}

// RFC 8489 §9.2.5, in its order. Such a response cannot be authenticated: what it says costs
// at most `max_challenges` more requests.
long_term_verdict long_term_client::examine_challenge(const message_view& response, error_code code,
                                                      long_term_attempt& attempt) {
  using enum long_term_verdict;
  const auto realm = response.realm();
  const auto nonce = response.nonce();
  const auto features = nonce ? read_nonce_cookie(*nonce) : std::nullopt;
  const auto offered = response.password_algorithms();
  if (features && features->password_algorithms && !offered) return bid_down;

  if (code == error_code::unauthenticated) {
    third_party_server_.reset();
    if (const auto name = response.find_text(attribute_type::third_party_authorization))
      third_party_server_ = *name;
  }
  if (!credentials_) return refused;
  // RFC 8489 §9.2.5: once it has been there, SHA-256 only.
  if (!offered && !offered_.empty()) return bid_down;
  // Without both there is nothing to sign with; RFC 8489 §9.2.4 has the server send them.
  const std::string_view next_realm = realm.value_or(realm_);
  if (!nonce || nonce->empty() || next_realm.empty() || !detail::is_sendable_text(*nonce) ||
      !detail::is_sendable_text(next_realm) || nonce->size() + next_realm.size() > max_echoed_text)
    return attempt.is_signed() ? discard : refused;

  const auto list = response.find(attribute_type::password_algorithms);
  if (offered && list->value.size() > max_echoed_algorithms) return no_algorithm;
  const auto algorithm = offered ? first_known(*offered) : std::optional{password_algorithm::md5};
  if (!algorithm || (!offered && !options_.allow_md5)) return no_algorithm;
  // A 401 to a signed request ends it, unless the credentials, or what the key is derived with,
  // have changed in between.
  const bool key_changes = next_realm != realm_ || *algorithm != algorithm_;
  const bool signed_with_current = key_ && key_->generation == attempt.generation_;
  if (code == error_code::unauthenticated && signed_with_current && !key_changes) return refused;
  if (attempt.challenges_ >= options_.max_challenges) return too_many_challenges;
  ++attempt.challenges_;

  nonce_ = *nonce;
  features_ = features.value_or(security_features{});
  if (offered) offered_.assign(list->value.begin(), list->value.end());
  if (key_changes || !key_) {
    realm_ = std::string{next_realm};
    algorithm_ = *algorithm;
    derive_key();
  }
  return challenged;
}

std::optional<password_algorithm> long_term_client::first_known(
    const password_algorithms_view& offered) const {
  std::optional<password_algorithm> first;
  offered.for_each([&](const password_algorithm_view& a) {
    const bool usable =
        is_known(a.algorithm) && (options_.allow_md5 || a.algorithm != password_algorithm::md5);
    if (!first && usable) first = a.algorithm;
  });
  return first;
}

}  // namespace weft::stun
