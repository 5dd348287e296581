#ifndef WEFT_IO_UDP_SOCKET_HPP
#define WEFT_IO_UDP_SOCKET_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/ip/udp.hpp>

#include <weft/core/net.hpp>
#include <weft/core/result.hpp>
#include <weft/io/udp_batch.hpp>

namespace weft::io {

/// A bound UDP socket that moves datagrams in batches: `recvmmsg`, `sendmmsg`, `UDP_GRO` and
/// `UDP_SEGMENT` where the kernel has them, found out at run time, and plain calls elsewhere.
///
/// What the network does to a datagram ends nothing here. A send that fails is a datagram
/// lost, as any may be, and a counter.
///
/// Most want `udp_driver`, which joins sockets to a machine.
class udp_socket {
 public:
  struct options {
    /// Asked of the kernel, which may give less. At 10 Gbit/s this is 0.8 ms of waiting.
    std::size_t receive_buffer = 1024 * 1024;
    std::size_t send_buffer = 1024 * 1024;
    /// `UDP_GRO` and `UDP_SEGMENT` where there are. Off, every datagram is a message of its own.
    bool segmentation = true;
  };

  struct counters {
    std::uint64_t datagrams_received = 0;
    std::uint64_t bytes_received = 0;
    std::uint64_t receive_calls = 0;
    std::uint64_t receive_errors = 0;  ///< ICMP errors among them.
    std::uint64_t datagrams_sent = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t send_calls = 0;
    /// Messages lost to an error: too long, unreachable, no buffers.
    std::uint64_t send_errors = 0;
    /// How often the socket was full and sending had to wait.
    std::uint64_t send_waits = 0;
  };

  /// Binds to `local`; port 0 lets the system choose. The error is the system's, such as
  /// `address_in_use` or, for an address this machine does not have, `address_not_available`.
  static result<udp_socket, std::error_code> open(const asio::any_io_executor& executor,
                                                  const endpoint& local);
  static result<udp_socket, std::error_code> open(const asio::any_io_executor& executor,
                                                  const endpoint& local, const options& opts);

  /// What it is bound to, with the port that was chosen.
  const endpoint& local() const noexcept { return local_; }

  /// Reads what is waiting, up to one batch, without blocking. Nothing may be there.
  void receive(receive_batch& into);
  /// Sends without blocking and returns how many of the runs are done with: all, or fewer if
  /// the socket is full. Then wait for `async_wait_writable` and come back with the rest, the
  /// first of which has lost what was sent of it.
  std::size_t send(std::span<send_batch::run> runs);

  template <class Handler>
  void async_wait_readable(Handler&& handler) {
    socket_.async_wait(asio::socket_base::wait_read, std::forward<Handler>(handler));
  }
  template <class Handler>
  void async_wait_writable(Handler&& handler) {
    socket_.async_wait(asio::socket_base::wait_write, std::forward<Handler>(handler));
  }

  /// Waiting ends, and nothing is sent or read any more.
  void close() {
    std::error_code ignored;
    socket_.close(ignored);
  }
  bool is_open() const noexcept { return socket_.is_open(); }

  const counters& stats() const noexcept { return stats_; }
  /// Whether runs leave in one piece; turns false when the path will not have it.
  bool segments() const noexcept { return segments_; }

 private:
  explicit udp_socket(asio::ip::udp::socket socket) : socket_{std::move(socket)} {}
  void probe(const options& opts);

  asio::ip::udp::socket socket_;
  endpoint local_;
  counters stats_;
  bool segments_ = false;
};

}  // namespace weft::io

#endif  // WEFT_IO_UDP_SOCKET_HPP
