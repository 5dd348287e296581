#ifndef WEFT_STUN_LONG_TERM_CLIENT_HPP
#define WEFT_STUN_LONG_TERM_CLIENT_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <weft/stun/integrity.hpp>
#include <weft/stun/long_term.hpp>
#include <weft/stun/message.hpp>

namespace weft::stun {

/// A name and a password that a server knows (RFC 8489 §9.2), prepared as long_term.hpp says.
struct password_credentials {
  std::string username;  ///< At most 508 bytes.
  std::string password;
};

/// What an authorization server issued (RFC 7635 §4).
struct token_credentials {
  std::string key_id;               ///< The `kid`, which goes into USERNAME.
  std::vector<std::uint8_t> token;  ///< Opaque to the client: the bytes, not their base 64.
  std::vector<std::uint8_t> mac_key;
};

using long_term_credentials = std::variant<password_credentials, token_credentials>;

/// What to do with a response, as `long_term_client::examine` finds.
enum class long_term_verdict : std::uint8_t {
  accepted,             ///< It is what it claims, or the request was not signed either: act on it.
  challenged,           ///< Send the request again, with credentials and a new transaction ID.
  discard,              ///< As if it had never come: go on waiting. Over TCP, end the transaction.
  refused,              ///< 401, and there is nothing else to offer: the credentials are wrong, or
                        ///< there are none. `third_party_server` may tell where to get a token for.
  bid_down,             ///< Someone on the path took PASSWORD-ALGORITHMS away (RFC 8489 §9.2.1).
  no_algorithm,         ///< The server wants a password algorithm that is not known here.
  too_many_challenges,  ///< The server answers every nonce with another one.
};

/// Words for people.
std::string_view to_string(long_term_verdict verdict);

/// What one transaction remembers of its credentials from each request to the next.
class long_term_attempt {
 public:
  /// Whether the last request was signed: its response must be.
  bool is_signed() const noexcept { return generation_ != 0; }

 private:
  friend class long_term_client;
  std::uint32_t generation_ = 0;  ///< Of the credentials that signed the request; 0 for none.
  int challenges_ = 0;
  bool sha256_ = false;  ///< The request had MESSAGE-INTEGRITY-SHA256.
};

/// A client's side of the long-term credential mechanism with one server (RFC 8489 §9.2), and
/// of third-party authorization (RFC 7635): a value that any number of transactions share, each
/// with a `long_term_attempt` of its own.
///
/// `sign` ends the attributes of a request. The first request goes unsigned, and the 401 that
/// follows brings what to sign with: `examine` judges every response, learns from it, and says
/// when to send the request again.
class long_term_client {
 public:
  struct options {
    /// How often one transaction begins again. An honest server asks for one nonce after the
    /// 401 and another one if that has just expired; each further one is a loop.
    int max_challenges = 3;
    /// Takes servers that derive keys with MD5 and sign with SHA-1, which are nearly all there
    /// are. Without this a server has to offer SHA-256.
    bool allow_md5 = true;
  };

  /// Whether ACCESS-TOKEN goes into a request: TURN has it in Allocate and Refresh alone, for
  /// the server knows the rest by their allocation (RFC 7635 §9). No difference to passwords.
  enum class token_use : std::uint8_t { include, omit };

  long_term_client();  ///< Without credentials: every 401 is `refused`.
  explicit long_term_client(long_term_credentials credentials);
  long_term_client(long_term_credentials credentials, const options& opts);

  /// Other credentials from now on. What was learned from the server stays, so the next
  /// request is signed at once; responses to earlier requests are still recognised.
  void set_credentials(long_term_credentials credentials);
  /// Forgets what was learned from the server: for another server with the same credentials.
  void forget_server();

  bool has_credentials() const noexcept { return credentials_.has_value(); }
  /// Whether the next request can be signed: there are credentials, and a server asked for them.
  bool is_ready() const noexcept { return key_.has_value(); }
  /// The realm that the server named, or an empty text.
  const std::string& realm() const noexcept { return realm_; }
  /// The name for the authorization server (RFC 7635 §6.1), if the last 401 offered
  /// third-party authorization.
  const std::optional<std::string>& third_party_server() const noexcept {
    return third_party_server_;
  }

  /// Adds USERNAME or USERHASH, ACCESS-TOKEN, REALM, NONCE, PASSWORD-ALGORITHMS,
  /// PASSWORD-ALGORITHM and the integrity attribute; or nothing when not `is_ready`. Add
  /// everything but FINGERPRINT before. Needs up to 1,900 bytes for the longest realm and nonce
  /// that can be; 300 for what is common.
  void sign(message_builder& request, long_term_attempt& attempt,
            token_use use = token_use::include) const;

  /// Judges a response whose transaction ID is right, in the order of RFC 8489 §9.2.5, and learns
  /// from 401 and 438.
  long_term_verdict examine(const message_view& response, long_term_attempt& attempt);

 private:
  struct generation_key {
    std::uint32_t generation;
    integrity_key key;
  };

  long_term_verdict examine_challenge(const message_view& response, error_code code,
                                      long_term_attempt& attempt);
  bool is_authentic(const message_view& response, const long_term_attempt& attempt) const;
  std::optional<password_algorithm> first_known(const password_algorithms_view& offered) const;
  void derive_key();

  options options_{};
  std::optional<long_term_credentials> credentials_;
  std::uint32_t generation_ = 0;
  std::optional<generation_key> key_;
  std::optional<generation_key> previous_key_;  ///< For responses under way at a change.
  std::string realm_;
  std::string nonce_;
  security_features features_;
  std::vector<std::uint8_t> offered_;  ///< PASSWORD-ALGORITHMS as it came; empty for none.
  password_algorithm algorithm_ = password_algorithm::md5;
  std::optional<std::string> third_party_server_;
};

}  // namespace weft::stun

#endif  // WEFT_STUN_LONG_TERM_CLIENT_HPP
