#ifndef WEFT_STUN_USER_STORE_HPP
#define WEFT_STUN_USER_STORE_HPP

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include <weft/core/time.hpp>
#include <weft/stun/integrity.hpp>
#include <weft/stun/message.hpp>

namespace weft::stun {

/// Whom a request says it is from. One of `username` and `hash` is there.
struct user_query {
  std::optional<std::string_view> username;  ///< As it came: not checked for anything.
  std::optional<stun::userhash> hash;        ///< `hash_username(username, realm)`.
  std::string_view realm;
  password_algorithm algorithm;  ///< MD5 or SHA-256: how the key is to be derived.
};

struct known_user {
  std::string username;
  /// Whose quota it is, and who may change what was made with it: several usernames may belong
  /// to one account.
  std::string account;
  integrity_key key;  ///< As `long_term_key` derives it.
  /// When these credentials end, if they do.
  std::optional<time_point> valid_until;
};

/// Who may use a server: asked by `long_term_server` for every request that is not bound to a
/// session. Answers at once: a store that has to look elsewhere keeps what it found, and
/// answers with nothing until it has.
class user_store {
 public:
  virtual ~user_store() = default;
  /// The user, or nothing. Where more than one key may be right, while a secret is changed, the
  /// server asks for the next `candidate` until one fits or there is none: from 0, and at
  /// most `max_candidates` of them.
  virtual std::optional<known_user> find(time_point now, const user_query& query,
                                         std::size_t candidate) = 0;

  static constexpr std::size_t max_candidates = 4;
};

/// Users with passwords, held in memory as derived keys.
class password_users final : public user_store {
 public:
  explicit password_users(std::string_view realm) : realm_{realm} {}

  /// Adds a user, or changes the password of one.
  void set(std::string_view username, std::string_view password);
  void remove(std::string_view username);
  std::size_t size() const noexcept { return users_.size(); }

  std::optional<known_user> find(time_point now, const user_query& query,
                                 std::size_t candidate) override;

 private:
  struct keys {
    integrity_key md5;
    integrity_key sha256;
  };

  std::string realm_;
  std::map<std::string, keys, std::less<>> users_;
  std::map<stun::userhash, std::string> by_hash_;
};

}  // namespace weft::stun

#endif  // WEFT_STUN_USER_STORE_HPP
