#ifndef WEFT_CLI_REPORT_HPP
#define WEFT_CLI_REPORT_HPP

#include <optional>
#include <string>
#include <vector>

#include "caller.hpp"

namespace weft::cli {

/// What `weft call` has to say in the end, however it went.
struct report {
  std::string url;
  std::string session;  ///< Empty before the server gave one.
  std::optional<call_error> error;
  std::size_t planned = 0;
  std::vector<std::size_t> sizes;
  caller::timings times;
  test_messages::tally messages;
  std::vector<duration> round_trips;
  std::vector<endpoint> local;
  std::vector<std::string> remote;  ///< The server's candidates, `address:port`.
  peer::connection::counters counters;
  io::udp_socket::counters sockets;
  /// The two ends of the way it went in the end; none if there was no way.
  std::vector<ice::candidate_statistics> path;
};

std::string to_text(const report& r);
std::string to_json(const report& r);

}  // namespace weft::cli

#endif  // WEFT_CLI_REPORT_HPP
