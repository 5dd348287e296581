#include <weft/peer/ice_server.hpp>

#include <weft/stun/uri.hpp>

namespace weft::peer {

result<void, error> check(const ice_server& server) {
  const auto bad = [](std::string text) {
    return fail(error{error_code::bad_argument, std::move(text)});
  };
  if (server.urls.empty()) return bad("a server needs a URL");
  for (const auto& url : server.urls) {
    const auto uri = stun::server_uri::parse(url);
    if (!uri) return bad(url + ": " + std::string{stun::to_string(uri.error())});
    if (!uri->is_turn()) continue;
    const auto* const password = std::get_if<std::string>(&server.credential);
    if (server.username.empty() || (password != nullptr && password->empty()))
      return bad(url + ": a TURN server needs a user name and a credential");
    if (server.username.size() > 508)  // RFC 8489 §14.3, as the W3C has it checked.
      return bad(url + ": the user name is longer than 508 bytes");
  }
  return {};
}

}  // namespace weft::peer
