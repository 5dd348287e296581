#ifndef WEFT_CLI_STUN_COMMAND_HPP
#define WEFT_CLI_STUN_COMMAND_HPP

#include <string>

#include "exit_code.hpp"

namespace weft::cli {

struct stun_options {
  std::string uri;  ///< `stun:` or `stuns:`; a host alone is meant as `stun:`.
  bool tcp = false;
  bool behaviour = false;  ///< Asks what the NAT does (RFC 5780) instead of the address alone.
  bool lifetime = false;   ///< And how long it keeps a mapping, which takes minutes.
  std::string username;
  std::string credential;
  std::string trust_file;  ///< Further trust anchors for TLS.
  bool insecure = false;
  double timeout_seconds = 10;
  bool json = false;
};

/// Asks a STUN server, prints what it said.
exit_code stun(const stun_options& options);

}  // namespace weft::cli

#endif  // WEFT_CLI_STUN_COMMAND_HPP
