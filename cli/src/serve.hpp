#ifndef WEFT_CLI_SERVE_HPP
#define WEFT_CLI_SERVE_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "exit_code.hpp"
#include "ice_options.hpp"

namespace weft::cli {

struct serve_options {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
  std::size_t max_sessions = 64;
  double idle_seconds = 300;
  double setup_seconds = 30;
  ice_options ice;
  bool verbose = false;
};

/// Serves until SIGINT or SIGTERM.
exit_code serve(const serve_options& options);

}  // namespace weft::cli

#endif  // WEFT_CLI_SERVE_HPP
