#ifndef WEFT_CLI_TURN_SERVER_LOG_HPP
#define WEFT_CLI_TURN_SERVER_LOG_HPP

#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <weft/turn/server.hpp>

namespace weft::cli {

/// One audit event as a line of JSON, without the newline: what happened, when by the calendar,
/// to whom. Nothing for events that are no audit's business.
std::optional<std::string> audit_line(std::string_view date, const turn::server::event& e);

/// Appends audit events to a file; from any thread.
class turn_server_log {
 public:
  /// `-` is the standard output. Nothing if the file cannot be opened: `errno` says why.
  static std::unique_ptr<turn_server_log> open(const std::string& path);

  void write(const turn::server::event& e);

 private:
  struct closer {
    void operator()(std::FILE* file) const noexcept {
      if (file != stdout) std::fclose(file);
    }
  };

  explicit turn_server_log(std::FILE* file) : file_{file} {}

  std::mutex mutex_;
  std::unique_ptr<std::FILE, closer> file_;
};

}  // namespace weft::cli

#endif  // WEFT_CLI_TURN_SERVER_LOG_HPP
