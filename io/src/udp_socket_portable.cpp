// How any system moves datagrams: one a call.
#ifndef __linux__

#  include <weft/io/asio.hpp>
#  include <weft/io/udp_socket.hpp>

namespace weft::io {

void udp_socket::probe(const options&) {}

void udp_socket::receive(receive_batch& into) {
  into.clear();
  for (std::size_t i = 0; i < receive_batch::slots; ++i) {
    const mutable_bytes buffer = into.buffer(i);
    asio::ip::udp::endpoint from;
    std::error_code error;
    const std::size_t size =
        socket_.receive_from(asio::buffer(buffer.data(), buffer.size()), from, 0, error);
    ++stats_.receive_calls;
    if (error == asio::error::would_block || error == asio::error::try_again) return;
    if (error) {
      ++stats_.receive_errors;
      return;
    }
    ++stats_.datagrams_received;
    stats_.bytes_received += size;
    into.push({from_asio(from), {}, size, size});
  }
}

std::size_t udp_socket::send(std::span<send_batch::run> runs) {
  for (std::size_t done = 0; done < runs.size(); ++done) {
    send_batch::run& r = runs[done];
    const asio::ip::udp::endpoint to = to_asio(r.remote);
    do {
      const const_bytes datagram = r.bytes.first(std::min(r.segment_size, r.bytes.size()));
      std::error_code error;
      socket_.send_to(asio::buffer(datagram.data(), datagram.size()), to, 0, error);
      ++stats_.send_calls;
      if (error == asio::error::would_block || error == asio::error::try_again) {
        ++stats_.send_waits;
        return done;
      }
      if (error) {
        ++stats_.send_errors;
      } else {
        ++stats_.datagrams_sent;
        stats_.bytes_sent += datagram.size();
      }
      r.bytes = r.bytes.subspan(datagram.size());
    } while (!r.bytes.empty());
  }
  return runs.size();
}

}  // namespace weft::io

#endif  // __linux__
