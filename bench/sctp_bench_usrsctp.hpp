#ifndef WEFT_BENCH_SCTP_BENCH_USRSCTP_HPP
#define WEFT_BENCH_SCTP_BENCH_USRSCTP_HPP

#include <usrsctp.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <weft/core/bytes.hpp>

/// Two usrsctp sockets over AF_CONN in this thread, without usrsctp's own. A process has one
/// usrsctp, so its set-up is never undone.
class usrsctp_pair {
 public:
  usrsctp_pair(std::size_t packet_size, std::size_t window) {
    initialise();
    to_a_.clear();
    to_b_.clear();
    usrsctp_register_address(&to_a_);
    usrsctp_register_address(&to_b_);
    a_ = open_socket(&to_b_, packet_size, window);
    b_ = open_socket(&to_a_, packet_size, window);
    sockaddr_conn from_a = address(&to_b_);
    sockaddr_conn from_b = address(&to_a_);
    usrsctp_connect(a_, reinterpret_cast<sockaddr*>(&from_a), sizeof(from_a));
    usrsctp_connect(b_, reinterpret_cast<sockaddr*>(&from_b), sizeof(from_b));
    for (int i = 0; i < 100; ++i) pump();
  }
  ~usrsctp_pair() {
    usrsctp_close(a_);
    usrsctp_close(b_);
    for (int i = 0; i < 100; ++i) pump();
    usrsctp_deregister_address(&to_a_);
    usrsctp_deregister_address(&to_b_);
  }
  usrsctp_pair(const usrsctp_pair&) = delete;
  usrsctp_pair& operator=(const usrsctp_pair&) = delete;

  bool send(weft::const_bytes payload) {
    sctp_sndinfo info{};
    info.snd_sid = 1;
    info.snd_ppid = htonl(53);
    info.snd_flags = SCTP_EOR;
    return usrsctp_sendv(a_, payload.data(), payload.size(), nullptr, 0, &info, sizeof(info),
                         SCTP_SENDV_SNDINFO, 0) == static_cast<ssize_t>(payload.size());
  }

  std::size_t pump() {
    deliver(to_b_);
    std::size_t received = 0;
    for (;;) {
      socklen_t from_size = 0;
      sctp_rcvinfo info{};
      socklen_t info_size = sizeof(info);
      unsigned type = 0;
      int flags = 0;
      const ssize_t n = usrsctp_recvv(b_, buffer_.data(), buffer_.size(), nullptr, &from_size,
                                      &info, &info_size, &type, &flags);
      if (n <= 0) break;
      received += static_cast<std::size_t>(n);
    }
    deliver(to_a_);
    if (++pumps_ % 1000 == 0) usrsctp_handle_timers(10);
    return received;
  }

 private:
  /// Packets under way to one end; the memory is kept.
  struct wire {
    std::vector<std::vector<std::uint8_t>> packets;
    std::size_t count = 0;
    void clear() { count = 0; }
  };

  static void initialise() {
    static const bool once = [] {
      usrsctp_init_nothreads(0, output, nullptr);
      usrsctp_sysctl_set_sctp_ecn_enable(0);
      usrsctp_sysctl_set_sctp_asconf_enable(0);
      usrsctp_sysctl_set_sctp_auth_enable(0);
      return true;
    }();
    (void)once;
  }

  static int output(void* to, void* data, std::size_t size, std::uint8_t, std::uint8_t) {
    wire& w = *static_cast<wire*>(to);
    if (w.count == w.packets.size()) w.packets.emplace_back();
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    w.packets[w.count++].assign(bytes, bytes + size);
    return 0;
  }

  /// usrsctp gives a packet that comes in one address for both ends; so an end is known, as its
  /// own address and as its peer's, by the wire it sends on.
  static sockaddr_conn address(wire* to) {
    sockaddr_conn a{};
    a.sconn_family = AF_CONN;
    a.sconn_port = htons(5000);
    a.sconn_addr = to;
    return a;
  }

  struct socket* open_socket(wire* to, std::size_t packet_size, std::size_t window) {
    struct socket* s =
        usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, nullptr, nullptr, 0, nullptr);
    if (s == nullptr) std::abort();
    usrsctp_set_non_blocking(s, 1);
    const int size = static_cast<int>(window);
    usrsctp_setsockopt(s, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    usrsctp_setsockopt(s, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    const int on = 1;
    usrsctp_setsockopt(s, IPPROTO_SCTP, SCTP_NODELAY, &on, sizeof(on));
    sctp_paddrparams path{};
    path.spp_address.ss_family = AF_CONN;
    path.spp_flags = SPP_PMTUD_DISABLE;
    path.spp_pathmtu = static_cast<std::uint32_t>(packet_size);
    usrsctp_setsockopt(s, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &path, sizeof(path));
    sockaddr_conn local = address(to);
    if (usrsctp_bind(s, reinterpret_cast<sockaddr*>(&local), sizeof(local)) != 0) std::abort();
    return s;
  }

  void deliver(wire& w) {
    // Delivering makes packets for the other wire only.
    for (std::size_t i = 0; i < w.count; ++i)
      usrsctp_conninput(&w == &to_b_ ? &to_a_ : &to_b_, w.packets[i].data(), w.packets[i].size(),
                        0);
    w.count = 0;
  }

  wire to_a_;
  wire to_b_;
  struct socket* a_ = nullptr;
  struct socket* b_ = nullptr;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(256 * 1024);
  unsigned pumps_ = 0;
};

#endif  // WEFT_BENCH_SCTP_BENCH_USRSCTP_HPP
