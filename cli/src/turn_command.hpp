#ifndef WEFT_CLI_TURN_COMMAND_HPP
#define WEFT_CLI_TURN_COMMAND_HPP

#include <string>

#include "exit_code.hpp"

namespace weft::cli {

struct turn_options {
  std::string uri;  ///< `turn:` or `turns:`; a host alone is meant as `turn:`.
  std::string username;
  std::string credential;
  std::string rest_secret;   ///< Instead of a credential: makes one (TURN REST).
  std::string access_token;  ///< Base 64; then `username` is the key's id (RFC 7635).
  std::string mac_key;       ///< What came with the token, as text.
  bool ipv6 = false;         ///< Relayed addresses of IPv6.
  bool send = false;         ///< Data in indications, not in channels.
  int count = 100;
  int size = 160;  ///< Bytes of each packet: 20 ms of Opus unless said.
  double interval_ms = 10;
  std::string trust_file;  ///< Further trust anchors for TLS and DTLS.
  bool insecure = false;
  double timeout_seconds = 15;
  bool json = false;
};

/// Gets two allocations from a TURN server, sends packets from one to the other, and prints what
/// became of them.
exit_code turn(const turn_options& options);

}  // namespace weft::cli

#endif  // WEFT_CLI_TURN_COMMAND_HPP
