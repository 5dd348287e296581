#ifndef __linux__

#  include "network_events.hpp"

namespace weft::io {

network_events::network_events(const asio::any_io_executor&) {}
bool network_events::is_open() const {
  return false;
}
void network_events::close() {}
void network_events::async_wait(std::function<void(std::error_code)>) {}
void network_events::drain() {}

}  // namespace weft::io

#endif  // __linux__
