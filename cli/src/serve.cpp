#include "serve.hpp"

#include <thread>

#include <fmt/format.h>
#include <httplib.h>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>

#include "http_api.hpp"

namespace weft::cli {
namespace {

duration seconds(double s) {
  return std::chrono::duration_cast<duration>(std::chrono::duration<double>{s});
}

/// Loopback addresses come too where somebody on this machine may be the one who calls: browsers
/// that hide their addresses reach those, and on a host that has `lo` alone there are no others.
bool may_be_called_from_here(const std::string& host) {
  const auto address = ip_address::parse(host);
  return !address || address->is_loopback() || address->is_unspecified();
}

/// httplib does not say why it could not listen. Asking once more does.
std::string why_not(const std::string& host, std::uint16_t port) {
  asio::io_context context;
  std::error_code error;
  asio::ip::tcp::resolver resolver{context};
  const auto found = resolver.resolve(host, std::to_string(port), error);
  if (error) return error.message();
  asio::ip::tcp::acceptor acceptor{context};
  const asio::ip::tcp::endpoint at = found.begin()->endpoint();
  acceptor.open(at.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address{true}, error);
  if (!error) acceptor.bind(at, error);
  if (!error) acceptor.listen(1, error);
  if (error == asio::error::address_in_use) return "the port is in use; try another --port";
  return error ? error.message() : "unknown reason";
}

/// httplib's own choice lets two servers share a port without a word.
void set_socket_options(socket_t socket) {
  const int on = 1;
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
}

/// Binds and returns the port, or nothing.
std::optional<std::uint16_t> bind(httplib::Server& server, const serve_options& options) {
  if (options.port == 0) {
    const int chosen = server.bind_to_any_port(options.host);
    if (chosen <= 0) return std::nullopt;
    return static_cast<std::uint16_t>(chosen);
  }
  if (!server.bind_to_port(options.host, options.port)) return std::nullopt;
  return options.port;
}

void log_line(std::string_view line) {
  fmt::print(stderr, "{}\n", line);
  std::fflush(stderr);
}

}  // namespace

exit_code serve(const serve_options& options) {
  asio::io_context context{1};
  echo_sessions::options limits;
  limits.max_sessions = options.max_sessions;
  limits.idle = seconds(options.idle_seconds);
  limits.setup = seconds(options.setup_seconds);
  limits.peers.networks.networks.kinds.loopback = may_be_called_from_here(options.host);
  if (options.verbose) limits.log = log_line;
  if (const auto applied = apply(options.ice, limits.peers); !applied) {
    fmt::print(stderr, "weft serve: {}\n", applied.error());
    return exit_code::usage;
  }
  echo_sessions sessions{context.get_executor(), limits};

  httplib::Server server;
  server.set_socket_options(set_socket_options);
  server.set_tcp_nodelay(true);
  install_http_api(server, context.get_executor(), sessions);
  const auto port = bind(server, options);
  if (!port) {
    fmt::print(stderr, "weft serve: cannot listen on {} port {}: {}\n", options.host, options.port,
               why_not(options.host, options.port));
    return exit_code::cannot_listen;
  }

  // The listener answers while the sessions live: they end when it has.
  std::thread http{[&] {
    server.listen_after_bind();
    asio::post(context, [&] {
      sessions.close();
      context.stop();
    });
  }};
  asio::signal_set signals{context, SIGINT, SIGTERM};
  signals.async_wait([&](std::error_code error, int) {
    if (!error) server.stop();
  });
  while (!server.is_running()) std::this_thread::yield();  // Before that it cannot be stopped.
  const bool v6 = options.host.find(':') != std::string::npos;
  fmt::print("listening on http://{}{}{}:{}\n", v6 ? "[" : "", options.host, v6 ? "]" : "", *port);
  std::fflush(stdout);
  context.run();
  http.join();
  return exit_code::success;
}

}  // namespace weft::cli
