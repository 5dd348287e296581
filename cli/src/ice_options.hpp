#ifndef WEFT_CLI_ICE_OPTIONS_HPP
#define WEFT_CLI_ICE_OPTIONS_HPP

#include <string>
#include <vector>

#include <weft/core/result.hpp>
#include <weft/peer/connection.hpp>

namespace weft::cli {

/// What the command line says of the way between peers.
struct ice_options {
  std::vector<std::string> servers;  ///< URLs: `stun:`, `turn:` and `turns:`.
  std::string username;
  std::string credential;
  bool relay = false;  ///< By relays only.
};

/// Fails with a text for people if a URL is none, or a TURN server lacks credentials.
inline result<void, std::string> apply(const ice_options& from, peer::connection::options& to) {
  for (const std::string& url : from.servers) {
    peer::ice_server server{{url}, from.username, from.credential};
    const auto checked = peer::check(server);
    if (!checked) return fail(url + ": " + checked.error().text);
    to.ice_servers.push_back(std::move(server));
  }
  if (from.relay) to.ice_transport_policy = peer::ice_transport_policy::relay;
  return {};
}

}  // namespace weft::cli

#endif  // WEFT_CLI_ICE_OPTIONS_HPP
