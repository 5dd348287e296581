#ifndef WEFT_IO_STREAM_SET_HPP
#define WEFT_IO_STREAM_SET_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <system_error>

#include <asio/any_io_executor.hpp>
#include <asio/ip/tcp.hpp>

#include <weft/core/bytes.hpp>
#include <weft/core/net.hpp>
#include <weft/core/result.hpp>
#include <weft/core/time.hpp>
#include <weft/io/trust_store.hpp>

namespace weft::io {

/// The TCP connections of one machine, with or without TLS, made here or accepted, each known by
/// its path. Nagle's algorithm is off.
///
/// What is written is whole messages: one that finds no room is dropped whole, as a datagram would
/// be (`addressed_transmit`). What is read comes in pieces of any size.
///
/// Threads: everything happens on the executor, which must be one thread or a strand; handlers are
/// called from the event loop only, and may do anything, also destroy the set. None is called
/// after.
class stream_set {
 public:
  struct options {
    /// Bytes that wait for a connection to take them, beside what the kernel holds. A full
    /// window of SCTP over a relay; more would only be late.
    std::size_t max_unsent = 256 * 1024;
    /// Connections at a time. Beyond, `connect` ends in `disconnected`, and whoever was
    /// accepted is closed.
    std::size_t max_streams = 64;
    /// What TLS servers have to show.
    trust_store trust{};
    /// Until a connection is there, TLS included. A machine may give it up sooner.
    duration connect_timeout = std::chrono::seconds{30};
  };

  struct handlers {
    std::function<void(const five_tuple& path)> connected;
    /// It could not be made or has ended. Not after `disconnect`.
    std::function<void(const five_tuple& path)> disconnected;
    /// They live until it returns.
    std::function<void(const five_tuple& path, const_bytes bytes)> received;
  };

  /// See `peer::ice_transport::connect`.
  struct request {
    five_tuple path;  ///< What the connection is called from now on.
    endpoint bind{};  ///< Where from: any address or any port if that is not set.
    bool tls = false;
    std::string server_name{};  ///< SNI, and the name that the certificate must have.
  };

  struct counters {
    std::uint64_t connected = 0;
    std::uint64_t failed = 0;     ///< Could not be made.
    std::uint64_t untrusted = 0;  ///< Of those, because the certificate was not the right one.
    std::uint64_t accepted = 0;
    std::uint64_t refused = 0;  ///< Accepted, and one too many.
    std::uint64_t messages_sent = 0;
    std::uint64_t messages_dropped = 0;  ///< No room, or no such connection.
    std::uint64_t bytes_sent = 0;
    std::uint64_t bytes_received = 0;
  };

  stream_set(const asio::any_io_executor& executor, handlers h, const options& opts);
  stream_set(stream_set&&) noexcept;
  stream_set& operator=(stream_set&&) noexcept;
  ~stream_set();

  /// Makes a connection. `connected` or `disconnected` tells what became of it.
  void connect(const request& r);
  /// It is no longer wanted: closes it when what was written has gone, or after a second.
  void disconnect(const five_tuple& path);
  /// One whole message. False if it was dropped.
  bool send(const five_tuple& path, const_bytes message);

  /// Accepts connections at `local` and returns what it is bound to. Each is `connected` with the
  /// path from there to its other end. Fails with the system's error.
  result<endpoint, std::error_code> listen(const endpoint& local);
  /// Accepts no more there. Connections stay.
  void stop_listening(const endpoint& local);
  /// Takes over a connection that somebody else has accepted, with what was read from it.
  void adopt(const five_tuple& path, asio::ip::tcp::socket socket, const_bytes first);
  /// Closes all connections from this address, at once and without a word: it is gone.
  void drop(const ip_address& local);

  const counters& stats() const noexcept;

 private:
  class state;
  std::shared_ptr<state> state_;
};

}  // namespace weft::io

#endif  // WEFT_IO_STREAM_SET_HPP
