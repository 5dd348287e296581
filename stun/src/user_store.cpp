#include <weft/stun/user_store.hpp>

#include <weft/stun/long_term.hpp>

namespace weft::stun {

void password_users::set(std::string_view username, std::string_view password) {
  const keys derived{*long_term_key(username, realm_, password, password_algorithm::md5),
                     *long_term_key(username, realm_, password, password_algorithm::sha256)};
  users_.insert_or_assign(std::string{username}, derived);
  by_hash_.insert_or_assign(hash_username(username, realm_), std::string{username});
}

void password_users::remove(std::string_view username) {
  const auto found = users_.find(username);
  if (found == users_.end()) return;
  by_hash_.erase(hash_username(username, realm_));
  users_.erase(found);
}

std::optional<known_user> password_users::find(time_point, const user_query& query,
                                               std::size_t candidate) {
  if (candidate > 0 || query.realm != realm_) return std::nullopt;
  auto found = users_.end();
  if (query.username) {
    found = users_.find(*query.username);
  } else if (query.hash) {
    const auto name = by_hash_.find(*query.hash);
    if (name != by_hash_.end()) found = users_.find(name->second);
  }
  if (found == users_.end()) return std::nullopt;
  const keys& k = found->second;
  return known_user{found->first, found->first,
                    query.algorithm == password_algorithm::sha256 ? k.sha256 : k.md5, std::nullopt};
}

}  // namespace weft::stun
