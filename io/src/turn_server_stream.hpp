#ifndef WEFT_IO_SRC_TURN_SERVER_STREAM_HPP
#define WEFT_IO_SRC_TURN_SERVER_STREAM_HPP

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <system_error>

#include <asio/ip/tcp.hpp>

#include <weft/core/bytes.hpp>
#include <weft/core/result.hpp>
#include <weft/core/time.hpp>

namespace weft::io {

/// One TCP connection of a TURN server, with or without TLS.
///
/// Lives as long as a handler of its own is under way: whoever lets go of it calls `close`,
/// after which none of the handlers below is called.
class turn_server_stream {
 public:
  struct handlers {
    std::function<void()> on_open;              ///< TLS is done, where there is any.
    std::function<void(const_bytes)> on_bytes;  ///< They live until it returns.
    std::function<void()> on_end;               ///< Closed or broken. The last one to be called.
    std::function<void()> on_drained;           ///< Everything written has left.
  };

  virtual ~turn_server_stream() = default;

  /// Begins: `on_open` comes from the event loop.
  virtual void start(handlers h) = 0;
  /// Sends later what cannot be sent now; whoever does not want to wait looks at `backlog`.
  virtual void write(const_bytes head, const_bytes body, std::size_t zeros) = 0;
  virtual std::size_t backlog() const noexcept = 0;
  /// While paused, what arrives stays in the kernel and the other side has to wait.
  virtual void pause() = 0;
  virtual void resume() = 0;
  /// After what has been written, but no later than in a second.
  virtual void close_when_drained() = 0;
  virtual void close() = 0;
};

std::shared_ptr<turn_server_stream> make_plain_stream(asio::ip::tcp::socket socket);

/// Certificate and key of a server, for many connections.
class turn_server_tls {
 public:
  /// Fails with the library's error if a file is not what it should be.
  static result<turn_server_tls, std::error_code> load(const std::string& certificate_file,
                                                       const std::string& key_file);

  std::shared_ptr<turn_server_stream> make_stream(asio::ip::tcp::socket socket,
                                                  duration handshake_timeout) const;

 private:
  struct context;
  std::shared_ptr<context> context_;
};

}  // namespace weft::io

#endif  // WEFT_IO_SRC_TURN_SERVER_STREAM_HPP
