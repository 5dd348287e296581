#ifndef WEFT_IO_PEER_RUNNER_HPP
#define WEFT_IO_PEER_RUNNER_HPP

#include <cstddef>
#include <functional>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>

#include <weft/core/random.hpp>
#include <weft/core/result.hpp>
#include <weft/io/asio.hpp>
#include <weft/io/ice_driver.hpp>
#include <weft/io/udp_socket.hpp>
#include <weft/peer/connection.hpp>

namespace weft::io {

/// Runs a `peer::connection` on real sockets: owns it, moves its datagrams, its streams and its
/// time, follows the networks that come and go, and looks names up.
///
/// Threads: a runner lives on one executor, which must be one thread's `io_context` or a strand,
/// and starts no thread of its own. Every call to it, its destruction and every handler happen
/// there; from another thread, `asio::post` to the executor. Handlers are called from the event
/// loop only, never from within a call to the runner, so they may do anything: give commands,
/// destroy the runner, stop the loop.
///
/// Destroying it closes the connection and sends the farewell as far as the sockets take it.
class peer_runner {
 public:
  struct options {
    peer::connection::options connection{};
    /// Where to bind sockets; each becomes a host candidate, in order of preference. Port 0
    /// lets the system choose. None means every address of this machine that `networks` allow, as
    /// they come and go.
    std::vector<endpoint> local{};
    udp_socket::options sockets{};
    /// Messages handed out before datagrams get their turn again.
    std::size_t messages_per_turn = 256;
    network_monitor::options networks = network_monitor::options();  // GCC 12 warns of {}.
    /// Candidates over TCP. TURN servers are reached over TCP in any case.
    tcp_candidates tcp = tcp_candidates::none;
    /// TCP connections; among these options is who is believed to be a TURN server.
    stream_set::options streams{};
    dns_resolver::options names{};
    mdns_resolver::options mdns{};
    mdns_responder::options mdns_answers{};
    /// Ports shared with other runners, instead of sockets of its own. They must outlive it.
    std::vector<udp_mux*> shared_udp{};
    std::vector<tcp_mux*> shared_tcp{};
  };

  using event_handler = std::function<void(const peer::connection::event&)>;
  using message_handler = std::function<void(const peer::data_channel_message&)>;

  /// Fails with the system's error if not one of the sockets could be bound. `random` must
  /// outlive the runner and must not be predictable: `system_random`.
  static result<peer_runner, std::error_code> create(const asio::any_io_executor& executor,
                                                     random_source& random,
                                                     dtls::certificate certificate);
  static result<peer_runner, std::error_code> create(const asio::any_io_executor& executor,
                                                     random_source& random,
                                                     dtls::certificate certificate,
                                                     const options& opts);
  peer_runner(peer_runner&&) noexcept;
  peer_runner& operator=(peer_runner&&) noexcept;
  ~peer_runner();

  /// Every event of the connection, those too that are for drivers, which the runner itself sees
  /// to.
  void on_event(event_handler handler);
  /// Every message, in order. Without a handler messages are left where they are, and once
  /// the receive window is full the other side has to wait.
  void on_message(message_handler handler);

  /// Leaves further messages unread until `resume_messages`: for a consumer that cannot keep
  /// up. It takes effect after the message being handled.
  void pause_messages();
  void resume_messages();

  /// Gives commands: calls `command(connection, now)` at once and returns what that returns.
  /// What follows from it, datagrams and events, comes from the event loop soon after.
  template <class Command>
  auto with(Command&& command) {
    wake();
    return std::forward<Command>(command)(access(), now());
  }
  const peer::connection& connection() const;

  /// What the sockets are bound to.
  std::vector<endpoint> local_endpoints() const;
  /// The counters of all sockets together.
  udp_socket::counters socket_stats() const;
  const stream_set::counters& stream_stats() const;

 private:
  class state;
  explicit peer_runner(std::shared_ptr<state> s);
  peer::connection& access();
  void wake();

  std::shared_ptr<state> state_;
};

}  // namespace weft::io

#endif  // WEFT_IO_PEER_RUNNER_HPP
