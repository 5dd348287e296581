#ifndef WEFT_IO_SRC_NETWORK_EVENTS_HPP
#define WEFT_IO_SRC_NETWORK_EVENTS_HPP

#include <functional>
#include <system_error>

#include <asio/any_io_executor.hpp>
#ifdef __linux__
#  include <asio/posix/stream_descriptor.hpp>
#endif

namespace weft::io {

/// The system's word that links or addresses have changed, where it gives one. What it says does
/// not matter: whoever wants to know looks.
class network_events {
 public:
  explicit network_events(const asio::any_io_executor& executor);

  /// False where the system does not tell.
  bool is_open() const;
  void close();
  void async_wait(std::function<void(std::error_code)> handler);
  /// Forgets what was said.
  void drain();

#ifdef __linux__
 private:
  asio::posix::stream_descriptor socket_;
#endif
};

}  // namespace weft::io

#endif  // WEFT_IO_SRC_NETWORK_EVENTS_HPP
