#ifndef WEFT_CLI_EXIT_CODE_HPP
#define WEFT_CLI_EXIT_CODE_HPP

namespace weft::cli {

/// What the program ends with; `weft --help` has the same list.
enum class exit_code : int {
  success = 0,
  call_failed = 1,  ///< No connection, no channel, or a message lost, changed or not awaited.
  usage = 2,        ///< Options, or a URL that is none.
  cannot_listen = 3,
  unreachable = 4,
  refused = 5,
  timed_out = 6,
};

inline constexpr const char* exit_code_help =
    "Exit status:\n"
    "  0  success\n"
    "  1  the call failed: no connection, or a message was lost or changed\n"
    "  2  wrong options or URL\n"
    "  3  cannot listen, such as a port in use\n"
    "  4  the server cannot be reached\n"
    "  5  the server refused\n"
    "  6  timeout\n";

}  // namespace weft::cli

#endif  // WEFT_CLI_EXIT_CODE_HPP
