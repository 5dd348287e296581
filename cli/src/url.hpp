#ifndef WEFT_CLI_URL_HPP
#define WEFT_CLI_URL_HPP

#include <cstdint>
#include <string>
#include <string_view>

#include <weft/core/result.hpp>

namespace weft::cli {

/// An http URL: `http://host[:port][/path]`. Without a path it means `/echo`.
struct url {
  std::string host;  ///< Without the brackets of an IPv6 address.
  std::uint16_t port = 80;
  std::string path;  ///< With its query; begins with a slash.

  /// Fails with a sentence for a person.
  static result<url, std::string> parse(std::string_view text);
  /// What `reference` means on this page: a whole URL or a path (RFC 3986 §4.2).
  result<url, std::string> resolve(std::string_view reference) const;
  std::string to_string() const;
  /// Of the host's side alone: `http://host:port`.
  std::string origin() const;
};

}  // namespace weft::cli

#endif  // WEFT_CLI_URL_HPP
