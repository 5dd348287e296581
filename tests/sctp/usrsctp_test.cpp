// Against usrsctp, the library under most WebRTC stacks of the last decade, in this process and
// thread, in virtual time.
#include <doctest/doctest.h>
#include <sys/time.h>
#include <usrsctp.h>

#include <algorithm>
#include <cstring>
#include <deque>

#include "pair.hpp"

using namespace weft::sctp;
using namespace weft::sctp::test;

namespace {
std::int64_t virtual_microseconds = 1'000'000'000'000;
}

// usrsctp takes the age of a chunk from here, and sends none again that is not old enough.
extern "C" int gettimeofday(timeval* now, void*) noexcept {
  now->tv_sec = virtual_microseconds / 1'000'000;
  now->tv_usec = virtual_microseconds % 1'000'000;
  return 0;
}

namespace {

/// One usrsctp socket. usrsctp keeps its state in globals, so one at a time.
class other_end {
 public:
  other_end() {
    static const bool once = [] {
      usrsctp_init_nothreads(0, output, nullptr);
      usrsctp_sysctl_set_sctp_ecn_enable(0);
      return true;
    }();
    (void)once;
    usrsctp_register_address(this);
    socket_ = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, nullptr, nullptr, 0, nullptr);
    REQUIRE(socket_ != nullptr);
    usrsctp_set_non_blocking(socket_, 1);
    const int size = 1024 * 1024;
    set(SOL_SOCKET, SO_RCVBUF, size);
    set(SOL_SOCKET, SO_SNDBUF, size);
    set(IPPROTO_SCTP, SCTP_NODELAY, 1);
    set(IPPROTO_SCTP, SCTP_RECVRCVINFO, 1);
    sctp_paddrparams path{};
    path.spp_address.ss_family = AF_CONN;
    path.spp_flags = SPP_PMTUD_DISABLE;
    path.spp_pathmtu = 1160;
    usrsctp_setsockopt(socket_, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &path, sizeof(path));
    sctp_assoc_value allowed{};
    allowed.assoc_id = SCTP_ALL_ASSOC;
    allowed.assoc_value = SCTP_ENABLE_RESET_STREAM_REQ | SCTP_ENABLE_CHANGE_ASSOC_REQ;
    usrsctp_setsockopt(socket_, IPPROTO_SCTP, SCTP_ENABLE_STREAM_RESET, &allowed, sizeof(allowed));
    sctp_initmsg streams{};
    streams.sinit_num_ostreams = 1024;
    streams.sinit_max_instreams = 1024;
    usrsctp_setsockopt(socket_, IPPROTO_SCTP, SCTP_INITMSG, &streams, sizeof(streams));
    for (const int type : {SCTP_STREAM_RESET_EVENT, SCTP_ASSOC_CHANGE}) {
      sctp_event e{};
      e.se_assoc_id = SCTP_ALL_ASSOC;
      e.se_on = 1;
      e.se_type = static_cast<std::uint16_t>(type);
      usrsctp_setsockopt(socket_, IPPROTO_SCTP, SCTP_EVENT, &e, sizeof(e));
    }
    sockaddr_conn local = address();
    REQUIRE(usrsctp_bind(socket_, reinterpret_cast<sockaddr*>(&local), sizeof(local)) == 0);
    // It also takes part in an opening by the other side.
  }
  ~other_end() {
    linger off{1, 0};
    usrsctp_setsockopt(socket_, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
    usrsctp_close(socket_);
    if (listener_ != nullptr) usrsctp_close(listener_);
    for (int i = 0; i < 100; ++i) usrsctp_handle_timers(100);
    usrsctp_deregister_address(this);
  }
  other_end(const other_end&) = delete;
  other_end& operator=(const other_end&) = delete;

  void connect() {
    sockaddr_conn remote = address();
    usrsctp_connect(socket_, reinterpret_cast<sockaddr*>(&remote), sizeof(remote));
  }
  void listen() { REQUIRE(usrsctp_listen(socket_, 1) == 0); }
  void accept() {
    if (listener_ != nullptr) return;
    struct socket* accepted = usrsctp_accept(socket_, nullptr, nullptr);
    if (accepted == nullptr) return;
    listener_ = std::exchange(socket_, accepted);
    usrsctp_set_non_blocking(socket_, 1);
  }

  bool send(std::uint16_t stream, std::uint32_t ppid, const bytes& payload, bool unordered) {
    sctp_sendv_spa info{};
    info.sendv_flags = SCTP_SEND_SNDINFO_VALID;
    info.sendv_sndinfo.snd_sid = stream;
    info.sendv_sndinfo.snd_ppid = htonl(ppid);
    info.sendv_sndinfo.snd_flags =
        static_cast<std::uint16_t>(SCTP_EOR | (unordered ? SCTP_UNORDERED : 0));
    return usrsctp_sendv(socket_, payload.data(), payload.size(), nullptr, 0, &info, sizeof(info),
                         SCTP_SENDV_SPA, 0) == static_cast<ssize_t>(payload.size());
  }

  void receive() {
    for (;;) {
      socklen_t from_size = 0;
      sctp_rcvinfo info{};
      socklen_t info_size = sizeof(info);
      unsigned type = 0;
      int flags = 0;
      const ssize_t n = usrsctp_recvv(socket_, buffer_.data(), buffer_.size(), nullptr, &from_size,
                                      &info, &info_size, &type, &flags);
      if (n <= 0) return;
      if ((flags & MSG_NOTIFICATION) != 0) {
        sctp_notification notification{};
        std::memcpy(&notification, buffer_.data(),
                    std::min(sizeof(notification), static_cast<std::size_t>(n)));
        if (notification.sn_header.sn_type == SCTP_STREAM_RESET_EVENT) ++resets;
        continue;
      }
      partial_.insert(partial_.end(), buffer_.begin(), buffer_.begin() + n);
      if ((flags & MSG_EOR) == 0) continue;
      messages.push_back({info.rcv_sid, ntohl(info.rcv_ppid),
                          (info.rcv_flags & SCTP_UNORDERED) != 0 ? delivery_order::unordered
                                                                 : delivery_order::ordered,
                          std::move(partial_)});
      partial_.clear();
    }
  }

  void reset(std::uint16_t stream) {
    bytes buffer(sizeof(sctp_reset_streams) + 2);
    auto* request = reinterpret_cast<sctp_reset_streams*>(buffer.data());
    request->srs_flags = SCTP_STREAM_RESET_OUTGOING;
    request->srs_number_streams = 1;
    request->srs_stream_list[0] = stream;
    usrsctp_setsockopt(socket_, IPPROTO_SCTP, SCTP_RESET_STREAMS, buffer.data(),
                       static_cast<socklen_t>(buffer.size()));
  }
  void shutdown() { usrsctp_shutdown(socket_, SHUT_WR); }
  void input(const bytes& packet) { usrsctp_conninput(this, packet.data(), packet.size(), 0); }

  std::deque<bytes> outbox;
  std::vector<received> messages;
  int resets = 0;

 private:
  static int output(void* self, void* data, std::size_t size, std::uint8_t, std::uint8_t) {
    const auto* p = static_cast<const std::uint8_t*>(data);
    static_cast<other_end*>(self)->outbox.emplace_back(p, p + size);
    return 0;
  }
  template <class T>
  void set(int level, int name, T value) {
    usrsctp_setsockopt(socket_, level, name, &value, sizeof(value));
  }
  sockaddr_conn address() {
    sockaddr_conn a{};
    a.sconn_family = AF_CONN;
    a.sconn_port = htons(5000);
    a.sconn_addr = this;
    return a;
  }

  struct socket* socket_ = nullptr;
  struct socket* listener_ = nullptr;
  bytes buffer_ = bytes(300000);
  bytes partial_;
};

struct meeting {
  weft::seeded_random random{5};
  association weft{random};
  other_end other;
  weft::time_point now{};
  std::vector<received> messages;
  std::vector<association::event> events;
  unsigned lose_every = 0;
  unsigned packets = 0;

  void run(int milliseconds) {
    for (int t = 0; t < milliseconds; t += 10) {
      for (bool moved = true; moved;) {
        moved = false;
        while (const auto packet = poll(weft, now)) {
          moved = true;
          if (!lost()) other.input(*packet);
        }
        while (!other.outbox.empty()) {
          moved = true;
          const bytes packet = std::move(other.outbox.front());
          other.outbox.pop_front();
          if (!lost()) CHECK(weft.handle_input(now, packet));
        }
        other.accept();
        other.receive();
        while (const auto m = weft.receive())
          messages.push_back(
              {m->stream, m->ppid, m->order, {m->payload.begin(), m->payload.end()}});
      }
      while (auto e = weft.poll_event()) events.push_back(std::move(*e));
      now += 10ms;
      virtual_microseconds += 10'000;
      weft.handle_timeout(now);
      usrsctp_handle_timers(10);
    }
  }
  bool lost() { return lose_every != 0 && ++packets % lose_every == 0; }

  void open(int who) {
    if (who == 0) other.listen();
    if (who != 0) other.connect();
    if (who != 1) weft.connect(now);
    run(200);
    REQUIRE(weft.state() == association_state::established);
  }

  /// Every size, ordered and unordered, both ways.
  void talk() {
    std::uint32_t number = 0;
    for (const std::size_t size : {1u, 1200u, 16384u, 65536u, 262144u})
      for (const bool unordered : {false, true}) {
        REQUIRE(
            weft.send(now, 1, number, pattern(size, number),
                      {.order = unordered ? delivery_order::unordered : delivery_order::ordered}));
        REQUIRE(other.send(1, number, pattern(size, number), unordered));
        run(lose_every == 0 ? 400 : 60000);
        ++number;
        REQUIRE(messages.size() == number);
        REQUIRE(other.messages.size() == number);
        for (const auto* list : {&messages, &other.messages}) {
          CHECK(list->back().payload == pattern(size, number - 1));
          CHECK(list->back().ppid == number - 1);
          CHECK((list->back().order == delivery_order::unordered) == unordered);
        }
      }
  }
};

}  // namespace

TEST_SUITE("sctp/usrsctp") {
  TEST_CASE("weft opens, usrsctp accepts: messages of every size echo") {
    meeting m;
    m.open(0);
    m.talk();
  }

  TEST_CASE("usrsctp opens, weft accepts") {
    meeting m;
    m.open(1);
    m.talk();
  }

  TEST_CASE("both open at once") {
    meeting m;
    m.open(2);
    m.talk();
  }

  TEST_CASE("with every 13th packet lost") {
    meeting m;
    m.open(2);
    m.lose_every = 13;
    m.talk();
  }

  TEST_CASE("RFC 3758: usrsctp follows our FORWARD TSN") {
    meeting m;
    m.open(2);
    for (std::uint32_t i = 0; i < 10; ++i) {
      REQUIRE(m.weft.send(m.now, 1, i, pattern(1000, i), {.max_retransmissions = 0}));
      const auto packet = poll(m.weft, m.now);
      REQUIRE(packet);
      if (i != 4) m.other.input(*packet);
    }
    m.run(2000);
    CHECK(m.other.messages.size() == 9);
    CHECK(m.weft.path().bytes_in_flight == 0);
  }

  TEST_CASE("RFC 6525: streams are reset from either side, and used again") {
    meeting m;
    m.open(2);
    for (int round = 0; round < 3; ++round) {
      const std::uint16_t streams[] = {1};
      REQUIRE(m.weft.send(m.now, 1, 1, pattern(3000, 1), {}));
      REQUIRE(m.other.send(1, 1, pattern(3000, 1), false));
      m.run(500);
      REQUIRE(m.weft.reset_streams(m.now, streams));
      m.run(500);
      m.other.reset(1);
      m.run(500);
    }
    CHECK(m.messages.size() == 3);
    CHECK(m.other.messages.size() == 3);
    const auto count = [&](auto is) { return std::ranges::count_if(m.events, is); };
    CHECK(count([](const auto& e) {
            return std::holds_alternative<association::incoming_streams_reset>(e);
          }) == 3);
    CHECK(count([](const auto& e) {
            const auto* r = std::get_if<association::outgoing_streams_reset>(&e);
            return r != nullptr &&
                   r->result == association::outgoing_streams_reset::outcome::performed;
          }) == 3);
    CHECK(m.other.resets >= 3);
  }

  TEST_CASE("RFC 9260 §9.2: either side ends it") {
    for (const bool ours : {true, false}) {
      meeting m;
      m.open(2);
      REQUIRE(m.weft.send(m.now, 1, 1, pattern(100000, 1), {}));
      if (ours) {
        m.weft.shutdown(m.now);
      } else {
        m.other.shutdown();
      }
      m.run(3000);
      CHECK(m.weft.state() == association_state::closed);
      const auto e = pair::find<association::closed>(m.events);
      REQUIRE(e);
      CHECK(e->reason == close_reason::shutdown);
      CHECK(m.other.messages.size() == 1);
    }
  }
}
