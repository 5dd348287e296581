// How Linux moves datagrams: many a call, and runs of them in one piece.
#ifdef __linux__

#  include <cerrno>

#  include <weft/io/asio.hpp>
#  include <weft/io/udp_socket.hpp>

#  include "linux_datagrams.hpp"

namespace weft::io {
namespace {

receive_batch::slot to_slot(msghdr& message, std::size_t size, const sockaddr_storage& from) {
  receive_batch::slot slot{to_endpoint(from), {}, size, size};
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == udp_gro)
      slot.stride = static_cast<std::size_t>(control_value<int>(*c));
    else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
      slot.traffic = to_traffic_class(control_value<std::uint8_t>(*c));
    else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
      slot.traffic = to_traffic_class(static_cast<unsigned>(control_value<int>(*c)));
  }
  return slot;
}

/// The messages of one `sendmmsg`, and where in the runs each ends.
class outgoing {
 public:
  static constexpr std::size_t max_messages = send_batch::max_segments;

  outgoing(std::span<const send_batch::run> runs, bool segments) {
    for (const send_batch::run& r : runs) {
      const std::size_t piece = segments ? r.bytes.size() : r.segment_size;
      std::size_t at = 0;
      do {
        if (count_ == max_messages) return;
        add(r, r.bytes.subspan(at, std::min(piece, r.bytes.size() - at)));
        at += piece;
      } while (at < r.bytes.size());
    }
  }

  int send(int socket) {
    return sendmmsg(socket, headers_.data(), static_cast<unsigned>(count_), 0);
  }
  std::size_t bytes(std::size_t i) const { return pieces_[i].iov_len; }

 private:
  void add(const send_batch::run& r, const_bytes piece) {
    const std::size_t i = count_++;
    pieces_[i] = {const_cast<std::uint8_t*>(piece.data()), piece.size()};
    const asio::ip::udp::endpoint to = to_asio(r.remote);
    std::memcpy(&names_[i], to.data(), to.size());

    msghdr& header = headers_[i].msg_hdr;
    header = {};
    header.msg_name = &names_[i];
    header.msg_namelen = static_cast<socklen_t>(to.size());
    header.msg_iov = &pieces_[i];
    header.msg_iovlen = 1;
    header.msg_control = &controls_[i];
    if (piece.size() > r.segment_size)
      add_control(header, IPPROTO_UDP, udp_segment, static_cast<std::uint16_t>(r.segment_size));
    if (r.traffic != traffic_class{}) {
      const bool v6 = r.remote.address.is_v6();
      add_control(header, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS,
                  to_octet(r.traffic));
    }
    if (header.msg_controllen == 0) header.msg_control = nullptr;
  }

  std::size_t count_ = 0;
  std::array<mmsghdr, max_messages> headers_;
  std::array<iovec, max_messages> pieces_;
  std::array<sockaddr_in6, max_messages> names_;
  std::array<control_buffer, max_messages> controls_;
};

/// Whether a send failed for being in one piece: no checksum offload on the way (EIO), segments
/// longer than the path takes (EINVAL), or a kernel without it.
bool blames_segmentation(int error) {
  return error == EIO || error == EINVAL || error == EMSGSIZE || error == EOPNOTSUPP;
}

}  // namespace

void udp_socket::probe(const options& opts) {
  const int handle = socket_.native_handle();
  if (local_.address.is_v6())
    set_flag(handle, IPPROTO_IPV6, IPV6_RECVTCLASS);
  else
    set_flag(handle, IPPROTO_IP, IP_RECVTOS);
  if (!opts.segmentation) return;
  set_flag(handle, IPPROTO_UDP, udp_gro);
  int size = 0;
  socklen_t length = sizeof size;
  segments_ = getsockopt(handle, IPPROTO_UDP, udp_segment, &size, &length) == 0;
}

void udp_socket::receive(receive_batch& into) {
  std::array<mmsghdr, receive_batch::slots> headers;
  std::array<iovec, receive_batch::slots> buffers;
  std::array<sockaddr_storage, receive_batch::slots> names;
  std::array<control_buffer, receive_batch::slots> controls;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const mutable_bytes buffer = into.buffer(i);
    buffers[i] = {buffer.data(), buffer.size()};
    msghdr& header = headers[i].msg_hdr;
    header = {};
    header.msg_name = &names[i];
    header.msg_namelen = sizeof names[i];
    header.msg_iov = &buffers[i];
    header.msg_iovlen = 1;
    header.msg_control = &controls[i];
    header.msg_controllen = sizeof controls[i];
  }

  into.clear();
  const int count =
      recvmmsg(socket_.native_handle(), headers.data(), headers.size(), MSG_DONTWAIT, nullptr);
  ++stats_.receive_calls;
  if (count < 0) {
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) ++stats_.receive_errors;
    return;
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const receive_batch::slot slot = to_slot(headers[i].msg_hdr, headers[i].msg_len, names[i]);
    stats_.datagrams_received += slot.datagrams();
    stats_.bytes_received += slot.size;
    into.push(slot);
  }
}

std::size_t udp_socket::send(std::span<send_batch::run> runs) {
  std::size_t done = 0;
  const auto consume = [&](std::size_t bytes) {
    send_batch::run& front = runs[done];
    front.bytes = front.bytes.subspan(bytes);
    if (front.bytes.empty()) ++done;
  };

  while (done < runs.size()) {
    outgoing messages{runs.subspan(done), segments_};
    const int sent = messages.send(socket_.native_handle());
    ++stats_.send_calls;
    for (std::size_t i = 0; sent > 0 && i < static_cast<std::size_t>(sent); ++i) {
      stats_.bytes_sent += messages.bytes(i);
      stats_.datagrams_sent += segments_ ? runs[done].segments() : 1;
      consume(messages.bytes(i));
    }
    if (sent > 0 || errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      ++stats_.send_waits;
      return done;
    }
    if (segments_ && runs[done].segments() > 1 && blames_segmentation(errno)) {
      segments_ = false;
      continue;
    }
    ++stats_.send_errors;
    consume(messages.bytes(0));
  }
  return done;
}

}  // namespace weft::io

#endif  // __linux__
