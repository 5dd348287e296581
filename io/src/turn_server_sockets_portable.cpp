// Other systems have no epoll: `turn_server_runner::create` says so.
#ifndef __linux__

#  include "turn_server_sockets.hpp"

namespace weft::io {

struct turn_server_sockets::reading {};

void turn_server_sockets::deleter::operator()(reading* r) const noexcept {
  delete r;
}

turn_server_sockets::~turn_server_sockets() = default;

result<turn_server_sockets, std::error_code> turn_server_sockets::create(
    const asio::any_io_executor&) {
  return fail(std::make_error_code(std::errc::not_supported));
}

// Nobody gets here without an object.

result<turn_server_sockets::id, std::error_code> turn_server_sockets::open(const endpoint&,
                                                                           const socket_options&) {
  return fail(std::make_error_code(std::errc::not_supported));
}
void turn_server_sockets::close(id) {}
std::span<const turn_server_sockets::readiness> turn_server_sockets::poll() {
  return {};
}
std::span<const turn_server_sockets::arrival> turn_server_sockets::receive(
    std::span<const readiness>) {
  return {};
}
std::optional<turn_server_sockets::network_error> turn_server_sockets::next_error(id) {
  return std::nullopt;
}
void turn_server_sockets::send(id, std::span<const turn_server_batch::message>) {}
void turn_server_sockets::send_unfragmented(id, const turn_server_batch::message&) {}

}  // namespace weft::io

#endif  // __linux__
