#include <weft/io/udp_socket.hpp>

#include <asio/ip/v6_only.hpp>

#include <weft/io/asio.hpp>

namespace weft::io {

result<udp_socket, std::error_code> udp_socket::open(const asio::any_io_executor& executor,
                                                     const endpoint& local) {
  return open(executor, local, options{});
}

result<udp_socket, std::error_code> udp_socket::open(const asio::any_io_executor& executor,
                                                     const endpoint& local, const options& opts) {
  const asio::ip::udp::endpoint wanted = to_asio(local);
  udp_socket opened{asio::ip::udp::socket{executor}};
  asio::ip::udp::socket& socket = opened.socket_;
  std::error_code error;
  socket.open(wanted.protocol(), error);
  if (!error && local.address.is_v6()) socket.set_option(asio::ip::v6_only{true}, error);
  if (!error) socket.bind(wanted, error);
  if (!error) socket.non_blocking(true, error);
  if (!error) opened.local_ = from_asio(socket.local_endpoint(error));
  // In the category that compares with std::errc, which Asio's does not.
  if (error) return fail(std::error_code{error.value(), std::system_category()});

  // What the kernel denies us here costs speed, nothing else.
  std::error_code denied;
  socket.set_option(asio::socket_base::receive_buffer_size{static_cast<int>(opts.receive_buffer)},
                    denied);
  socket.set_option(asio::socket_base::send_buffer_size{static_cast<int>(opts.send_buffer)},
                    denied);
  opened.probe(opts);
  return opened;
}

}  // namespace weft::io
