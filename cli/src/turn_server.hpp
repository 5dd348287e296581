#ifndef WEFT_CLI_TURN_SERVER_HPP
#define WEFT_CLI_TURN_SERVER_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "exit_code.hpp"

namespace weft::cli {

/// As given on the command line or in a file: texts that have not been looked at.
struct turn_server_options {
  std::vector<std::string> listen;
  std::vector<std::string> tls_listen;
  std::vector<std::string> relay_addresses;
  std::vector<std::string> external_addresses;
  std::string port_range = "49152-65535";
  std::string realm = "weft";
  std::vector<std::string> users;
  std::vector<std::string> rest_secrets;
  bool rest_sha256 = false;
  std::vector<std::string> oauth_keys;
  std::string server_name;
  std::string tls_certificate;
  std::string tls_key;
  std::vector<std::string> allow_peers;
  std::vector<std::string> deny_peers;
  bool tcp_relay = false;
  std::size_t max_allocations = 100'000;
  std::size_t max_allocations_per_user = 100;
  std::size_t max_allocations_per_address = 1000;
  std::uint64_t max_bandwidth = 0;
  std::uint64_t max_bandwidth_per_user = 0;
  unsigned max_lifetime = 3600;
  unsigned threads = 0;  ///< 0: as many as there are cores.
  std::uint16_t metrics_port = 0;
  double drain_timeout = 3600;
  std::vector<std::string> alternates;
  std::string behaviour;
  std::string behaviour_alternate;
  std::string log;
};

/// Serves until SIGINT or SIGTERM, and then until the last allocation ends.
exit_code turn_server(const turn_server_options& options);

}  // namespace weft::cli

#endif  // WEFT_CLI_TURN_SERVER_HPP
