#ifndef WEFT_CLI_TURN_SERVER_METRICS_HPP
#define WEFT_CLI_TURN_SERVER_METRICS_HPP

#include <string>

#include <weft/io/turn_server_runner.hpp>
#include <weft/turn/server.hpp>

namespace weft::cli {

struct turn_server_figures {
  turn::server::counters machine;
  turn::server::gauges usage;
  io::turn_server_runner::counters sockets;
  bool draining = false;
};

/// What Prometheus reads, in its text format of version 0.0.4.
std::string to_metrics(const turn_server_figures& figures);

}  // namespace weft::cli

#endif  // WEFT_CLI_TURN_SERVER_METRICS_HPP
