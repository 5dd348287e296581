#ifndef WEFT_CLI_SERVER_QUERY_HPP
#define WEFT_CLI_SERVER_QUERY_HPP

#include <chrono>
#include <optional>
#include <string>

#include <asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include <weft/core/net.hpp>
#include <weft/core/time.hpp>
#include <weft/stun/uri.hpp>

#include "exit_code.hpp"

namespace weft::cli {

// What `weft stun` and `weft turn` have in common.

/// Why a server was of no use.
struct query_failure {
  exit_code code;
  std::string text;
};

inline duration to_duration(double seconds) {
  return std::chrono::duration_cast<duration>(std::chrono::duration<double>{seconds});
}
inline double milliseconds(duration d) {
  return std::chrono::duration<double, std::milli>{d}.count();
}

/// The address in the URI or the first one of its name. Runs `context` until `end` at most.
std::optional<ip_address> resolve(asio::io_context& context, const stun::server_uri& uri,
                                  time_point end);

template <class T>
nlohmann::json text_or_null(const std::optional<T>& value) {
  return value ? nlohmann::json(to_string(*value)) : nlohmann::json(nullptr);
}
inline nlohmann::json ms_or_null(const std::optional<duration>& value) {
  return value ? nlohmann::json(milliseconds(*value)) : nlohmann::json(nullptr);
}

}  // namespace weft::cli

#endif  // WEFT_CLI_SERVER_QUERY_HPP
