#ifndef WEFT_CLI_CALL_HPP
#define WEFT_CLI_CALL_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "exit_code.hpp"
#include "ice_options.hpp"

namespace weft::cli {

struct call_options {
  std::string url;
  std::size_t count = 120;
  std::vector<std::size_t> sizes = {0, 1, 1200, 16384, 65536, 262144};
  std::size_t window = 8;
  double interval_ms = 0;
  bool unordered = false;
  std::optional<std::uint16_t> max_retransmits;
  bool reverse = false;
  double timeout_seconds = 30;
  ice_options ice;
  bool json = false;
  bool verbose = false;
};

/// Calls a server, prints a report.
exit_code call(const call_options& options);

}  // namespace weft::cli

#endif  // WEFT_CLI_CALL_HPP
