// Raw descriptors and an epoll set of their own: Asio's share is one descriptor and one
// handler a turn, however many sockets there are.
#ifdef __linux__

#  include <cerrno>
#  include <ctime>
#  include <utility>

#  include <linux/errqueue.h>
#  include <sys/epoll.h>
#  include <unistd.h>

#  include <weft/io/asio.hpp>

#  include "linux_datagrams.hpp"
#  include "turn_server_sockets.hpp"

namespace weft::io {
namespace {

std::error_code last_error() {
  return {errno, std::system_category()};
}

int family_of(const endpoint& e) {
  return e.address.is_v6() ? AF_INET6 : AF_INET;
}

void set_number(int socket, int level, int option, int value) {
  setsockopt(socket, level, option, &value, sizeof value);
}

// Linux would set the DF bit of all datagrams; a relay leaves that to its clients.
void set_fragmentation(int socket, const endpoint& local, int how) {
  static_assert(IP_PMTUDISC_DO == IPV6_PMTUDISC_DO && IP_PMTUDISC_DONT == IPV6_PMTUDISC_DONT);
  if (local.address.is_v6())
    set_number(socket, IPPROTO_IPV6, IPV6_MTU_DISCOVER, how);
  else
    set_number(socket, IPPROTO_IP, IP_MTU_DISCOVER, how);
}

// Both directions of the traffic class, and what the network sends back.
void ask_for_details(int socket, const endpoint& local, bool errors) {
  const bool v6 = local.address.is_v6();
  set_flag(socket, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVTCLASS : IP_RECVTOS);
  if (errors) {
    set_flag(socket, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR);
    set_fragmentation(socket, local, IP_PMTUDISC_DONT);
  }
  set_flag(socket, IPPROTO_UDP, udp_gro);
}

bool can_segment(int socket) {
  int size = 0;
  socklen_t length = sizeof size;
  return getsockopt(socket, IPPROTO_UDP, udp_segment, &size, &length) == 0;
}

/// Whether nothing can be sent in one piece here.
bool forbids_segmentation(int error) {
  return error == EIO || error == EOPNOTSUPP;
}

/// Whether these cannot: segments are not fragmented, and must fit the path.
bool forbids_segments(int error) {
  return error == EINVAL || error == EMSGSIZE;
}

/// What the network said of an earlier datagram; it has not been asked about this one yet.
bool is_news(int error) {
  return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH ||
         error == EPROTO || error == ENOPROTOOPT || error == EHOSTDOWN;
}

}  // namespace

/// What one read needs, set up once. Slots do not begin at the same place of their pages:
/// the first lines of all of them would else want the same few places in the cache.
struct turn_server_sockets::reading {
  static constexpr std::size_t slots = 64;
  static constexpr std::size_t slot_size = 65536;
  static constexpr std::size_t stride = slot_size + 5 * 64;

  reading() {
    for (std::size_t i = 0; i < slots; ++i) {
      pieces[i] = {buffer.get() + i * stride, slot_size};
      headers[i].msg_hdr = {};
      headers[i].msg_hdr.msg_name = &names[i];
      headers[i].msg_hdr.msg_iov = &pieces[i];
      headers[i].msg_hdr.msg_iovlen = 1;
      headers[i].msg_hdr.msg_control = &controls[i];
      reset(i);
    }
  }

  void reset(std::size_t i) {
    headers[i].msg_hdr.msg_namelen = sizeof names[i];
    headers[i].msg_hdr.msg_controllen = sizeof controls[i];
  }

  arrival take(std::size_t i, id socket) {
    const std::size_t size = headers[i].msg_len;
    arrival a{socket, to_endpoint(names[i]), {}, {buffer.get() + i * stride, size}, size};
    msghdr& message = headers[i].msg_hdr;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == udp_gro)
        a.stride = static_cast<std::size_t>(control_value<int>(*c));
      else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
        a.traffic = to_traffic_class(control_value<std::uint8_t>(*c));
      else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
        a.traffic = to_traffic_class(static_cast<unsigned>(control_value<int>(*c)));
    }
    reset(i);
    return a;
  }

  std::unique_ptr<std::uint8_t[]> buffer =
      std::make_unique_for_overwrite<std::uint8_t[]>(slots * stride);
  std::array<mmsghdr, slots> headers;
  std::array<iovec, slots> pieces;
  std::array<sockaddr_storage, slots> names;
  std::array<control_buffer, slots> controls;
  std::array<arrival, slots> arrivals;
  std::array<epoll_event, slots> events;
  std::array<readiness, slots> ready;
};

void turn_server_sockets::deleter::operator()(reading* r) const noexcept {
  delete r;
}

turn_server_sockets::turn_server_sockets(asio::posix::stream_descriptor epoll)
    : epoll_{std::move(epoll)}, reading_{new reading} {}

turn_server_sockets::~turn_server_sockets() {
  for (id i = 0; i < sockets_.size(); ++i) close(i);
}

result<turn_server_sockets, std::error_code> turn_server_sockets::create(
    const asio::any_io_executor& executor) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return fail(last_error());
  return turn_server_sockets{asio::posix::stream_descriptor{executor, epoll}};
}

result<turn_server_sockets::id, std::error_code> turn_server_sockets::open(
    const endpoint& local, const socket_options& opts) {
  const int fd = ::socket(family_of(local), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(last_error());
  const auto give_up = [fd](std::error_code error) {
    ::close(fd);
    return fail(error);
  };
  if (local.address.is_v6()) set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
  if (opts.shared) set_flag(fd, SOL_SOCKET, SO_REUSEPORT);
  if (opts.buffer > 0) {
    set_number(fd, SOL_SOCKET, SO_RCVBUF, static_cast<int>(opts.buffer));
    set_number(fd, SOL_SOCKET, SO_SNDBUF, static_cast<int>(opts.buffer));
  }
  const asio::ip::udp::endpoint wanted = to_asio(local);
  if (bind(fd, wanted.data(), static_cast<socklen_t>(wanted.size())) != 0)
    return give_up(last_error());
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size);
  ask_for_details(fd, local, opts.network_errors);

  const id taken = free_.empty() ? static_cast<id>(sockets_.size()) : free_.back();
  epoll_event wanted_events{};
  wanted_events.events = EPOLLIN;
  wanted_events.data.u32 = taken;
  if (epoll_ctl(epoll_.native_handle(), EPOLL_CTL_ADD, fd, &wanted_events) != 0)
    return give_up(last_error());
  if (free_.empty())
    sockets_.emplace_back();
  else
    free_.pop_back();
  sockets_[taken] = {to_endpoint(bound), fd, can_segment(fd)};
  ++open_;
  return taken;
}

void turn_server_sockets::close(id socket) {
  if (sockets_[socket].fd < 0) return;
  ::close(std::exchange(sockets_[socket].fd, -1));
  free_.push_back(socket);
  --open_;
}

std::span<const turn_server_sockets::readiness> turn_server_sockets::poll() {
  reading& r = *reading_;
  const int count =
      epoll_wait(epoll_.native_handle(), r.events.data(), static_cast<int>(r.events.size()), 0);
  if (count <= 0) return {};
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    r.ready[i] = {r.events[i].data.u32, (r.events[i].events & EPOLLIN) != 0,
                  (r.events[i].events & EPOLLERR) != 0};
  return {r.ready.data(), static_cast<std::size_t>(count)};
}

std::span<const turn_server_sockets::arrival> turn_server_sockets::receive(
    std::span<const readiness> from) {
  reading& r = *reading_;
  // A share each, so that a flood on one takes nothing from the others.
  const std::size_t share =
      std::max<std::size_t>(1, reading::slots / std::max<std::size_t>(1, from.size()));
  std::size_t filled = 0;
  for (const readiness& ready : from) {
    const int fd = sockets_[ready.socket].fd;
    if (fd < 0 || !ready.readable) continue;
    const int count = recvmmsg(fd, &r.headers[filled],
                               static_cast<unsigned>(std::min(share, reading::slots - filled)),
                               MSG_DONTWAIT, nullptr);
    ++stats_.receive_calls;
    for (int i = 0; i < count; ++i, ++filled) {
      const arrival& a = r.arrivals[filled] = r.take(filled, ready.socket);
      stats_.datagrams_received += a.stride == 0 ? 1 : (a.bytes.size() + a.stride - 1) / a.stride;
    }
    if (filled == reading::slots) break;
  }
  return {r.arrivals.data(), filled};
}

std::optional<turn_server_sockets::network_error> turn_server_sockets::next_error(id socket) {
  const int fd = sockets_[socket].fd;
  if (fd < 0) return std::nullopt;
  for (;;) {
    std::array<std::uint8_t, 1> payload;
    iovec piece{payload.data(), payload.size()};
    sockaddr_storage to{};
    alignas(cmsghdr) std::array<std::uint8_t, 512> control;
    msghdr message{};
    message.msg_name = &to;
    message.msg_namelen = sizeof to;
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) break;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      const bool is_error = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                            (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
      if (!is_error) continue;
      const auto error = control_value<sock_extended_err>(*c);
      if (error.ee_origin != SO_EE_ORIGIN_ICMP && error.ee_origin != SO_EE_ORIGIN_ICMP6) continue;
      return network_error{to_endpoint(to), error.ee_type, error.ee_code, error.ee_info};
    }
  }
  int pending = 0;  // Reading it makes the socket forget it.
  socklen_t size = sizeof pending;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &size);
  return std::nullopt;
}

namespace {

/// The messages of one `sendmmsg`.
class outgoing_messages {
 public:
  static constexpr std::size_t max_messages = 64;
  static constexpr std::size_t max_pieces =
      turn_server_batch::max_parts * turn_server_batch::max_datagrams;

  /// As many as there is room for; `segments` tells whether several datagrams may go at once.
  explicit outgoing_messages(std::span<const turn_server_batch::message> messages) {
    for (const turn_server_batch::message& m : messages) {
      if (count_ == max_messages || used_ + m.pieces.size() > max_pieces) return;
      add(m.to, m.pieces, m.datagrams > 1 ? m.segment_size : 0);
    }
  }

  std::size_t size() const { return count_; }
  int send(int fd) {
    return count_ == 1 ? (sendmsg(fd, &headers_[0].msg_hdr, 0) < 0 ? -1 : 1)
                       : sendmmsg(fd, headers_.data(), static_cast<unsigned>(count_), 0);
  }

 private:
  void add(const turn_server_batch::destination& to,
           std::span<const turn_server_batch::piece> pieces, std::size_t segment_size) {
    const std::size_t i = count_++;
    msghdr& header = headers_[i].msg_hdr;
    header = {};
    const asio::ip::udp::endpoint name = to_asio(to.remote);
    std::memcpy(&names_[i], name.data(), name.size());
    header.msg_name = &names_[i];
    header.msg_namelen = static_cast<socklen_t>(name.size());
    header.msg_iov = &pieces_[used_];
    header.msg_iovlen = pieces.size();
    for (const turn_server_batch::piece& p : pieces)
      pieces_[used_++] = {const_cast<std::uint8_t*>(p.data), p.size};
    header.msg_control = &controls_[i];
    if (segment_size > 0)
      add_control(header, IPPROTO_UDP, udp_segment, static_cast<std::uint16_t>(segment_size));
    if (to.traffic != traffic_class{}) {
      const bool v6 = to.remote.address.is_v6();
      add_control(header, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS,
                  to_octet(to.traffic));
    }
    if (header.msg_controllen == 0) header.msg_control = nullptr;
  }

  std::size_t count_ = 0;
  std::size_t used_ = 0;
  std::array<mmsghdr, max_messages> headers_;
  std::array<sockaddr_in6, max_messages> names_;
  std::array<control_buffer, max_messages> controls_;
  std::array<iovec, max_pieces> pieces_;
};

}  // namespace

void turn_server_sockets::send(id to, std::span<const turn_server_batch::message> messages) {
  socket_state& socket = sockets_[to];
  if (socket.fd < 0) return;
  while (!messages.empty()) {
    if (!socket.segments && messages[0].datagrams > 1) {
      send_one_by_one(socket, messages[0]);
      messages = messages.subspan(1);
      continue;
    }
    messages = messages.subspan(send_some(socket, messages));
  }
}

// Returns how many of the messages are done with.
std::size_t turn_server_sockets::send_some(socket_state& socket,
                                           std::span<const turn_server_batch::message> messages) {
  outgoing_messages out{messages};
  int sent = out.send(socket.fd);
  ++stats_.send_calls;
  if (sent < 0 && is_news(errno)) sent = out.send(socket.fd);
  if (sent < 0) {
    const int error = errno;
    if (error == EINTR) return 0;
    if (messages[0].datagrams > 1 && forbids_segmentation(error)) {
      socket.segments = false;
      return 0;
    }
    if (messages[0].datagrams > 1 && forbids_segments(error)) {
      send_one_by_one(socket, messages[0]);
      return 1;
    }
    // A full socket is full for those behind it, too.
    const std::size_t lost = error == EAGAIN || error == ENOBUFS ? out.size() : 1;
    for (const turn_server_batch::message& m : messages.first(lost))
      stats_.datagrams_dropped += m.datagrams;
    return lost;
  }
  for (const turn_server_batch::message& m : messages.first(static_cast<std::size_t>(sent)))
    stats_.datagrams_sent += m.datagrams;
  return static_cast<std::size_t>(sent);
}

// Where the path refuses segments. Pieces and datagrams begin and end where they like.
void turn_server_sockets::send_one_by_one(socket_state& socket,
                                          const turn_server_batch::message& m) {
  std::array<turn_server_batch::piece,
             turn_server_batch::max_parts * turn_server_batch::max_segments>
      pieces;
  std::size_t at = 0, skipped = 0;
  for (std::size_t i = 0; i < m.datagrams; ++i) {
    std::size_t left = std::min(m.segment_size, m.bytes - i * m.segment_size), count = 0;
    const std::size_t size = left;
    while (left > 0) {
      const turn_server_batch::piece& p = m.pieces[at];
      const std::size_t part = std::min(left, p.size - skipped);
      pieces[count++] = {p.data + skipped, part};
      left -= part;
      skipped += part;
      if (skipped == p.size) ++at, skipped = 0;
    }
    const turn_server_batch::message one{m.to, size, 1, size, {pieces.data(), count}};
    while (send_some(socket, {&one, 1}) == 0) {
    }
  }
}

void turn_server_sockets::send_unfragmented(id to, const turn_server_batch::message& message) {
  socket_state& socket = sockets_[to];
  if (socket.fd < 0) return;
  set_fragmentation(socket.fd, socket.local, IP_PMTUDISC_DO);
  send(to, {&message, 1});
  set_fragmentation(socket.fd, socket.local, IP_PMTUDISC_DONT);
}

}  // namespace weft::io

#endif  // __linux__
