#ifndef WEFT_IO_SRC_BYTE_STREAM_HPP
#define WEFT_IO_SRC_BYTE_STREAM_HPP

#include <cstddef>
#include <functional>
#include <memory>

#include <asio/ip/tcp.hpp>

#include <weft/core/bytes.hpp>

namespace weft::io {

/// One TCP connection, with or without TLS, from either end.
///
/// Lives as long as a handler of its own is under way: whoever lets go of it calls `close` or
/// `close_when_drained`, after which none of the handlers below is called.
class byte_stream {
 public:
  struct handlers {
    std::function<void()> on_open;              ///< TLS is done, where there is any.
    std::function<void(const_bytes)> on_bytes;  ///< They live until it returns.
    std::function<void()> on_end;               ///< Closed or broken. The last one to be called.
    std::function<void()> on_drained;           ///< Everything written has left.
  };

  virtual ~byte_stream() = default;

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
  /// At once; what was written may be lost. Waits for nobody.
  virtual void close() = 0;
};

/// A connection that is there, in the clear.
std::shared_ptr<byte_stream> make_plain_stream(asio::ip::tcp::socket socket);

}  // namespace weft::io

#endif  // WEFT_IO_SRC_BYTE_STREAM_HPP
