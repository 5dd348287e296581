#ifndef WEFT_STUN_LONG_TERM_SERVER_HPP
#define WEFT_STUN_LONG_TERM_SERVER_HPP

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/net.hpp>
#include <weft/core/random.hpp>
#include <weft/core/result.hpp>
#include <weft/core/time.hpp>
#include <weft/stun/access_token.hpp>
#include <weft/stun/integrity.hpp>
#include <weft/stun/long_term.hpp>
#include <weft/stun/message.hpp>
#include <weft/stun/user_store.hpp>
#include <weft/stun/wall_clock.hpp>

namespace weft::stun {

/// Who sent a request, and how the response is to be signed.
struct authenticated_user {
  std::string username;  ///< Or the `kid` of an access token.
  std::string account;   ///< As of the store; empty for bearers of a token, which names nobody.
  integrity_key key;
  /// The one for every response to this request (RFC 8489 §9.2.4).
  integrity_algorithm response_integrity = integrity_algorithm::sha1;
  password_algorithm algorithm = password_algorithm::md5;  ///< That the key was derived with.
  std::optional<time_point> valid_until{};                 ///< When credentials or token end.
  bool third_party = false;                                ///< By an access token (RFC 7635).
};

/// A server's side of the long-term credential mechanism (RFC 8489 §9.2.4), and of third-party
/// authorization (RFC 7635 §7).
///
/// Keeps nothing of clients: a nonce is a time and an HMAC over it and the client's transport
/// address, so one that was made for another address, or too long ago, is stale.
///
///     const auto user = auth.authenticate(now, path, request, session);
///     if (!user) return auth.refuse(now, path, request, user.error(), buffer);
///
/// The refusal to a source that has shown nothing yet can be longer than 1.6 times the request:
/// `reply_limiter` keeps that in bounds. Unknown attributes are for the caller to refuse, after
/// this (RFC 8489 §6.3.1).
class long_term_server {
 public:
  struct options {
    /// Sent to who has no credentials. Short ones keep refusals short. At most 127 characters;
    /// RFC 8489 §9.2.4 recommends the provider's domain name.
    std::string realm;
    /// PASSWORD-ALGORITHMS, the preferred first (RFC 8489 §14.11). None: the server is as RFC
    /// 5389 has it, with MD5, and refusals are 12 bytes shorter.
    std::vector<password_algorithm> algorithms{password_algorithm::sha256, password_algorithm::md5};
    /// Has clients send USERHASH instead of USERNAME (RFC 8489 §9.2.1), if the store can find
    /// users by it. Both are understood always.
    bool username_anonymity = false;
    /// RFC 8656 §5 wants a nonce to end within the hour. Ten minutes cost an allocation one more
    /// round trip in each, and are the most that a recorded request can be replayed for.
    duration nonce_lifetime = std::chrono::minutes{10};
    /// What the HMAC in nonces is made with, where several servers share clients. Otherwise
    /// every server chooses its own.
    std::optional<std::array<std::uint8_t, 32>> nonce_secret{};
    /// The name that access tokens must have been made for (RFC 7635 §6.1). Not empty: the
    /// server offers third-party authorization.
    std::string third_party_server{};
    std::vector<access_token_key> token_keys{};
    wall_clock clock{};  ///< For the timestamps in tokens.
  };

  struct counters {
    std::uint64_t authenticated = 0;
    std::uint64_t challenges = 0;         ///< 401 to requests without credentials.
    std::uint64_t bad_requests = 0;       ///< 400.
    std::uint64_t unauthenticated = 0;    ///< 401 to wrong credentials or tokens.
    std::uint64_t stale_nonces = 0;       ///< 438.
    std::uint64_t unexpected_tokens = 0;  ///< 420: ACCESS-TOKEN where tokens are not offered.
  };

  /// `users` must outlive the server.
  long_term_server(random_source& random, user_store& users, const options& opts);

  /// Checks a request in the order of RFC 8489 §9.2.4; the error is the code to `refuse` with:
  /// 400, 401, 420 or 438. `session` is who was authenticated for what the request is about, if
  /// that exists: a request by the same username is checked with the same key, so that
  /// credentials which end in between, and a token that is not in every request, do no harm. A
  /// token's key is good no longer than the token.
  /// Another username is looked up as if there were no session; it is for the caller to compare.
  result<authenticated_user, error_code> authenticate(time_point now, const five_tuple& path,
                                                      const message_view& request,
                                                      const authenticated_user* session = nullptr);

  /// Writes the refusal: with REALM, NONCE and what else is offered for 401 and 438, the
  /// unexpected attribute for 420. Empty if the buffer is too small: 1,400 bytes are enough
  /// for any options, 200 for common ones.
  const_bytes refuse(time_point now, const five_tuple& path, const message_view& request,
                     error_code code, mutable_bytes buffer) const;

  void set_token_keys(std::vector<access_token_key> keys);
  void set_clock(const wall_clock& clock);

  const options& configuration() const noexcept { return options_; }
  const counters& stats() const noexcept { return stats_; }

 private:
  static constexpr std::size_t nonce_body_size = 16;
  using nonce_text = std::array<char, nonce_cookie_size + nonce_body_size>;

  result<authenticated_user, error_code> check(time_point now, const five_tuple& path,
                                               const message_view& request,
                                               const authenticated_user* session) const;
  result<authenticated_user, error_code> check_token(time_point now, const message_view& request,
                                                     const_bytes token) const;
  result<authenticated_user, error_code> check_password(time_point now, const message_view& request,
                                                        password_algorithm algorithm) const;
  result<std::optional<password_algorithm>, error_code> negotiated_algorithm(
      const message_view& request, std::string_view nonce) const;
  nonce_text make_nonce(std::uint32_t seconds, const five_tuple& path) const;
  bool is_fresh(time_point now, const five_tuple& path, std::string_view nonce) const;

  user_store* users_;
  options options_;
  security_features features_;
  std::vector<std::uint8_t> offered_;  ///< The value of PASSWORD-ALGORITHMS.
  hmac_sha256_key nonce_key_;
  counters stats_;
};

}  // namespace weft::stun

#endif  // WEFT_STUN_LONG_TERM_SERVER_HPP
