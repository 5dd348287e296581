#ifndef WEFT_CLI_WHIP_CLIENT_HPP
#define WEFT_CLI_WHIP_CLIENT_HPP

#include <string>

#include <weft/core/result.hpp>
#include <weft/core/time.hpp>

#include "exit_code.hpp"
#include "url.hpp"

namespace weft::cli {

/// Why a call came to nothing, and what the program ends with.
struct call_error {
  exit_code code;
  std::string text;
};

/// The client's side of WHIP (RFC 9725), and of the turned-round exchange in which the server
/// offers. Every call waits for the server, at most for the time given.
class whip_client {
 public:
  struct session {
    url location;
    std::string sdp;  ///< The server's answer, or its offer.
  };

  whip_client(url endpoint, duration timeout) : endpoint_{std::move(endpoint)}, timeout_{timeout} {}

  /// Sends an offer; an empty one asks the server for its own.
  result<session, call_error> post(const std::string& offer) const;
  result<void, call_error> patch_answer(const session& s, const std::string& answer) const;
  /// Ends the session. A server that does not listen any more is none of our worries.
  void end(const session& s) const;

 private:
  url endpoint_;
  duration timeout_;
};

}  // namespace weft::cli

#endif  // WEFT_CLI_WHIP_CLIENT_HPP
