#ifndef WEFT_IO_TCP_MUX_HPP
#define WEFT_IO_TCP_MUX_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <system_error>

#include <asio/any_io_executor.hpp>
#include <asio/ip/tcp.hpp>

#include <weft/core/bytes.hpp>
#include <weft/core/net.hpp>
#include <weft/core/result.hpp>
#include <weft/core/time.hpp>

namespace weft::io {

/// One TCP port for the passive candidates of many ICE agents (RFC 6544): each connection
/// goes to the agent whose username fragment its first message names, a check in the frame of
/// RFC 4571.
///
/// Whoever connects costs a socket and a kilobyte until that message has come, no longer than
/// `options::timeout`, and no more than `options::max_waiting` do so at a time.
///
/// Threads: everything happens on the executor, one thread or a strand. Members must have left
/// before the mux is destroyed.
class tcp_mux {
 public:
  struct options {
    /// From the connection to its first message. An agent sends that as soon as it is connected;
    /// retransmissions of a lost segment take 3 s, if two are lost.
    duration timeout = std::chrono::seconds{5};
    /// Connections of which the first message has not come. One more closes the oldest.
    std::size_t max_waiting = 128;
  };

  struct counters {
    std::uint64_t accepted = 0;
    std::uint64_t handed_over = 0;
    std::uint64_t dropped = 0;    ///< The first message was no check, or for nobody.
    std::uint64_t timed_out = 0;  ///< Or made room for newer ones.
  };

  /// One agent's driver.
  class member {
   public:
    virtual ~member() = default;
    /// A connection for it, and what was read from it.
    virtual void adopt(const five_tuple& path, asio::ip::tcp::socket socket, const_bytes first) = 0;
  };

  /// Fails with the system's error.
  static result<tcp_mux, std::error_code> open(const asio::any_io_executor& executor,
                                               const endpoint& local, const options& opts);
  static result<tcp_mux, std::error_code> open(const asio::any_io_executor& executor,
                                               const endpoint& local);
  tcp_mux(tcp_mux&&) noexcept;
  tcp_mux& operator=(tcp_mux&&) noexcept;
  ~tcp_mux();

  const endpoint& local() const noexcept;
  const counters& stats() const noexcept;

  void leave(member& m);
  /// Checks that name this fragment are for that member from now on. One that somebody has
  /// already stays with that one. Of each member the last four are remembered, so that those of
  /// before a restart still serve.
  void claim(member& m, std::string_view fragment);

 private:
  class state;
  explicit tcp_mux(std::shared_ptr<state> s);
  std::shared_ptr<state> state_;
};

}  // namespace weft::io

#endif  // WEFT_IO_TCP_MUX_HPP
