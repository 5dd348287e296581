#ifndef WEFT_STUN_REST_CREDENTIALS_HPP
#define WEFT_STUN_REST_CREDENTIALS_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weft/stun/long_term_client.hpp>
#include <weft/stun/user_store.hpp>
#include <weft/stun/wall_clock.hpp>

/// Credentials that end by themselves, as TURN servers' owners hand them out to web pages: the
/// username is `expiry:user` with the expiry in seconds since 1970, and the password the base 64
/// of an HMAC of the username with a secret that the server shares with the page's owner
/// (draft-uberti-behave-turn-rest-00 §2.2).
namespace weft::stun {

/// The hash of the HMAC. The draft has SHA-1; others have taken to SHA-256.
enum class rest_algorithm : std::uint8_t { sha1, sha256 };

/// Issues credentials for `user`, which may be empty, that end at `expiry`.
password_credentials make_rest_credentials(std::string_view secret, std::string_view user,
                                           wall_clock::date expiry,
                                           rest_algorithm algorithm = rest_algorithm::sha1);

/// A store of all the users that a secret vouches for.
///
/// The account is what follows the colon, so that a user who comes with fresh credentials is the
/// same user; or the username where nothing follows. It knows no USERHASH, which cannot be
/// turned back.
class rest_users final : public user_store {
 public:
  struct options {
    /// Any of them is good: to change one, have both for a while. Those beyond
    /// `user_store::max_candidates` do not count.
    std::vector<std::string> secrets;
    rest_algorithm algorithm = rest_algorithm::sha1;
    wall_clock clock{};  ///< Must be given: without it every expiry lies ahead.
  };

  explicit rest_users(options opts) : options_{std::move(opts)} {}

  void set_clock(const wall_clock& clock) { options_.clock = clock; }

  std::optional<known_user> find(time_point now, const user_query& query,
                                 std::size_t candidate) override;

 private:
  options options_;
};

}  // namespace weft::stun

#endif  // WEFT_STUN_REST_CREDENTIALS_HPP
