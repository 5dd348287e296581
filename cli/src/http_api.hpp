#ifndef WEFT_CLI_HTTP_API_HPP
#define WEFT_CLI_HTTP_API_HPP

#include <asio/any_io_executor.hpp>

#include "echo_sessions.hpp"

namespace httplib {
class Server;
}

namespace weft::cli {

/// Lets `server` serve the page and the echo sessions.
///
/// Threads: the server's own threads read and write HTTP and touch nothing else. Each request
/// for a session is posted to `executor`, the one thread where all sessions live, and waited
/// for. So the executor must run for as long as the server does.
void install_http_api(httplib::Server& server, const asio::any_io_executor& executor,
                      echo_sessions& sessions);

}  // namespace weft::cli

#endif  // WEFT_CLI_HTTP_API_HPP
