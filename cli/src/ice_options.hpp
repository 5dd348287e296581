#ifndef WEFT_CLI_ICE_OPTIONS_HPP
#define WEFT_CLI_ICE_OPTIONS_HPP

#include <string>
#include <vector>

#include <weft/core/result.hpp>
#include <weft/io/peer_runner.hpp>

namespace weft::cli {

/// What the command line says of the way between peers.
struct ice_options {
  std::vector<std::string> servers;  ///< URLs: `stun:`, `turn:` and `turns:`.
  std::string username;
  std::string credential;
  bool relay = false;  ///< By relays only.
  bool tcp = false;    ///< Candidates over TCP too.
  std::string trust_file;
};

/// Fails with a text for people if a URL is none, a TURN server lacks credentials, or the file
/// cannot be read.
inline result<void, std::string> apply(const ice_options& from, io::peer_runner::options& to) {
  for (const std::string& url : from.servers) {
    peer::ice_server server{{url}, from.username, from.credential};
    const auto checked = peer::check(server);
    if (!checked) return fail(url + ": " + checked.error().text);
    to.connection.ice_servers.push_back(std::move(server));
  }
  if (from.relay) to.connection.ice_transport_policy = peer::ice_transport_policy::relay;
  if (from.tcp) to.tcp = io::tcp_candidates::active_and_passive;
  if (!from.trust_file.empty()) {
    io::trust_store::options trust;
    trust.files.push_back(from.trust_file);
    auto store = io::trust_store::load(trust);
    if (!store) return fail("cannot read " + from.trust_file);
    to.streams.trust = *std::move(store);
  }
  return {};
}

}  // namespace weft::cli

#endif  // WEFT_CLI_ICE_OPTIONS_HPP
