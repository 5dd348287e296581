#ifndef WEFT_IO_SRC_TURN_SERVER_SOCKETS_HPP
#define WEFT_IO_SRC_TURN_SERVER_SOCKETS_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/posix/stream_descriptor.hpp>

#include <weft/core/net.hpp>
#include <weft/core/result.hpp>

#include "turn_server_batch.hpp"

namespace weft::io {

/// The UDP sockets of a TURN server: those that clients send to, and one for each relayed
/// address.
///
/// They stand in an epoll set of their own, which Asio watches as if it were one descriptor.
/// So a relayed address costs a file descriptor and 32 bytes, not a handler, and a turn reads
/// as many of them as there is something in, with one wait.
class turn_server_sockets {
 public:
  using id = std::uint32_t;

  struct socket_options {
    /// Several sockets may have the same address; the kernel gives each client one of them.
    bool shared = false;
    /// What the network sends back is wanted.
    bool network_errors = false;
    /// Asked of the kernel, each way; 0 leaves it the choice.
    std::size_t buffer = 0;
  };

  struct counters {
    std::uint64_t datagrams_received = 0;
    std::uint64_t receive_calls = 0;
    std::uint64_t datagrams_sent = 0;
    std::uint64_t send_calls = 0;
    /// Datagrams lost since a socket was full, or to an error.
    std::uint64_t datagrams_dropped = 0;
  };

  /// One read: a datagram, or several of one length, the last perhaps shorter (`UDP_GRO`).
  struct arrival {
    id socket = 0;
    endpoint from;
    traffic_class traffic;
    std::span<std::uint8_t> bytes;
    std::size_t stride = 0;
  };

  /// What came back from the network instead of an answer.
  struct network_error {
    endpoint peer;
    std::uint8_t type = 0;  ///< ICMP's, of the family of `peer`.
    std::uint8_t code = 0;
    std::uint32_t data = 0;  ///< The MTU, where it is about that.
  };

  static result<turn_server_sockets, std::error_code> create(const asio::any_io_executor& executor);
  turn_server_sockets(turn_server_sockets&&) noexcept = default;
  turn_server_sockets& operator=(turn_server_sockets&&) noexcept = default;
  ~turn_server_sockets();

  result<id, std::error_code> open(const endpoint& local, const socket_options& opts);
  void close(id socket);
  /// What it is bound to, with the port that was chosen.
  const endpoint& local(id socket) const noexcept { return sockets_[socket].local; }
  std::size_t open_sockets() const noexcept { return open_; }

  /// Waits until a socket has something, as Asio's `async_wait` does.
  template <class Handler>
  void async_wait(Handler&& handler) {
    epoll_.async_wait(asio::posix::stream_descriptor::wait_read, std::forward<Handler>(handler));
  }

  struct readiness {
    id socket = 0;
    bool readable = false;
    bool error = false;
  };
  /// Those that have something now; never blocks.
  std::span<const readiness> poll();
  /// Reads what these sockets have, up to one batch of all together: the rest stays for the
  /// next `poll`. It lives until the next read.
  std::span<const arrival> receive(std::span<const readiness> from);
  std::optional<network_error> next_error(id socket);

  /// Sends what can be sent at once; a relay drops the rest, as any router would.
  void send(id to, std::span<const turn_server_batch::message> messages);
  /// One datagram that no router may cut (RFC 8656 §12).
  void send_unfragmented(id to, const turn_server_batch::message& message);

  const counters& stats() const noexcept { return stats_; }

 private:
  struct reading;
  struct deleter {
    void operator()(reading* r) const noexcept;
  };
  struct socket_state {
    endpoint local;
    int fd = -1;
    bool segments = false;
  };

  explicit turn_server_sockets(asio::posix::stream_descriptor epoll);

  std::size_t send_some(socket_state& socket, std::span<const turn_server_batch::message> messages);
  void send_one_by_one(socket_state& socket, const turn_server_batch::message& message);

  asio::posix::stream_descriptor epoll_;
  std::vector<socket_state> sockets_;
  std::vector<id> free_;
  std::size_t open_ = 0;
  std::unique_ptr<reading, deleter> reading_;
  counters stats_;
};

}  // namespace weft::io

#endif  // WEFT_IO_SRC_TURN_SERVER_SOCKETS_HPP
