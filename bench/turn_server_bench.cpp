// A TURN server beside another, from outside: the CPU time that the process uses for each
// packet it relays, the delay it adds, and what an allocation costs in memory and time.
//
// Both servers are started by this program, on loopback, with one relay thread; they take
// turns, and the medians of all rounds are printed with their ratio. What the server's CPU
// time counts is all of its process, in the kernel too: receiving, relaying, and the way of
// the packet to the receiver's socket, which on loopback the sender goes.
//
// Usage: turn_server_bench [--weft PROGRAM] [--coturn PROGRAM] [--rounds N] [--seconds S]
//                          [--plain-receivers] [--json FILE]

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/stun/integrity.hpp>
#include <weft/stun/message.hpp>

namespace {

using namespace weft;
using clock_type = std::chrono::steady_clock;

constexpr int udp_segment = 103;  // linux/udp.h
constexpr int udp_gro = 104;
constexpr std::size_t window = 16;       // Packets of a flow under way at a time,
constexpr std::size_t active_flows = 8;  // and of so many flows.
constexpr const char* user = "bench";
constexpr const char* password = "secret";

struct settings {
  std::string weft = "weft";
  std::string coturn = "turnserver";
  int rounds = 3;
  double seconds = 1;
  bool merging_receivers = true;
  std::string json;
};

[[noreturn]] void die(const std::string& what) {
  throw std::runtime_error{what + (errno != 0 ? std::string{": "} + std::strerror(errno) : "")};
}

double seconds_between(clock_type::time_point a, clock_type::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

/// A file descriptor that is closed in the end.
class handle {
 public:
  explicit handle(int fd = -1) : fd_{fd} {}
  handle(handle&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  handle& operator=(handle&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~handle() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return to;
}

/// A socket on loopback with a port of the system's choice.
handle open_socket(bool merging) {
  handle socket{::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  const sockaddr_in any = loopback(0);
  const int on = 1, buffer = 1 << 20;
  if (socket.get() < 0 || bind(socket.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any))
    die("socket");
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  if (merging) setsockopt(socket.get(), IPPROTO_UDP, udp_gro, &on, sizeof on);
  return socket;
}

std::uint16_t port_of(const handle& socket) {
  sockaddr_in in{};
  socklen_t size = sizeof in;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&in), &size)) die("getsockname");
  return ntohs(in.sin_port);
}

void connect_to(const handle& socket, std::uint16_t port) {
  const sockaddr_in to = loopback(port);
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to)) die("connect");
}

// The process

/// A server of its own, on the second core where there is one.
class server {
 public:
  server(std::string name, const std::vector<std::string>& command, std::uint16_t port)
      : name_{std::move(name)}, port_{port} {
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    pid_ = fork();
    if (pid_ < 0) die("fork");
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      cpu_set_t second;
      CPU_ZERO(&second);
      CPU_SET(1, &second);
      sched_setaffinity(0, sizeof second, &second);
      const int nowhere = open("/dev/null", O_RDWR);
      dup2(nowhere, 0);
      dup2(nowhere, 1);
      if (getenv("TURN_BENCH_VERBOSE") == nullptr) dup2(nowhere, 2);
      execvp(arguments[0], arguments.data());
      _exit(127);
    }
    if (clock_getcpuclockid(pid_, &cpu_clock_) != 0) die("clock of " + name_);
  }
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  ~server() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  const std::string& name() const { return name_; }
  std::uint16_t port() const { return port_; }

  /// CPU seconds of all its threads since it began.
  double cpu_seconds() const {
    timespec used{};
    clock_gettime(cpu_clock_, &used);
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
  }

  /// Bytes of anonymous memory: heap and stacks, and not the pages of its program.
  double anonymous_bytes() const {
    std::ifstream file{"/proc/" + std::to_string(pid_) + "/status"};
    for (std::string word; file >> word;) {
      if (word != "RssAnon:") continue;
      double kilobytes = 0;
      file >> kilobytes;
      return kilobytes * 1024;
    }
    die("/proc/status of " + name_);
  }

 private:
  std::string name_;
  std::uint16_t port_;
  pid_t pid_ = -1;
  clockid_t cpu_clock_{};
};

// The client

enum class turn_method : std::uint16_t { allocate = 3, create_permission = 8, channel_bind = 9 };
enum class turn_attribute : std::uint16_t {
  channel_number = 0x000c,
  lifetime = 0x000d,
  xor_peer_address = 0x0012,
  xor_relayed_address = 0x0016,
  requested_transport = 0x0019,
};
constexpr stun::attribute_type type_of(turn_attribute a) {
  return static_cast<stun::attribute_type>(a);
}

/// One allocation with one channel: a client's socket, and its peer's.
struct flow {
  handle client;
  handle peer;
  std::uint16_t relay_port = 0;
  std::size_t under_way = 0;
  std::size_t sent_in_turn = 0;
  clock_type::time_point heard{};
};

constexpr std::uint16_t channel = 0x4000;

class turn_client {
 public:
  explicit turn_client(const server& to) : server_{to} {}

  flow allocate(bool merging) {
    flow f;
    f.client = open_socket(merging);
    f.peer = open_socket(merging);
    connect_to(f.client, server_.port());
    const auto ask_for_relay = [](stun::message_builder& b) {
      b.add_u32(type_of(turn_attribute::requested_transport), 17u << 24);
    };
    nonce_.clear();
    std::vector<std::uint8_t> reply = ask(f, turn_method::allocate, ask_for_relay);
    if (parse(reply).type_class() == stun::message_class::error) {
      take_challenge(parse(reply));
      reply = ask(f, turn_method::allocate, ask_for_relay);
    }
    const auto relayed =
        parse(reply).find_xor_address(type_of(turn_attribute::xor_relayed_address));
    if (!relayed) {
      const auto error = parse(reply).error();
      die(server_.name() + " refused an allocation: " +
          (error ? std::to_string(static_cast<unsigned>(error->code)) : "no address"));
    }
    f.relay_port = relayed->port;
    const std::uint16_t peer_port = port_of(f.peer);
    const auto bind = ask(f, turn_method::channel_bind, [&](stun::message_builder& b) {
      b.add_u32(type_of(turn_attribute::channel_number), std::uint32_t{channel} << 16);
      b.add_xor_address(type_of(turn_attribute::xor_peer_address),
                        {*ip_address::parse("127.0.0.1"), peer_port});
    });
    if (parse(bind).type_class() != stun::message_class::success)
      die(server_.name() + " refused a channel");
    connect_to(f.peer, f.relay_port);
    return f;
  }

  /// Whether somebody answers.
  bool ping() {
    flow f;
    f.client = open_socket(false);
    connect_to(f.client, server_.port());
    return !ask(f, static_cast<turn_method>(stun::method::binding), {}, 50, 1).empty();
  }

 private:
  using filler = std::function<void(stun::message_builder&)>;

  static stun::message_view parse(const std::vector<std::uint8_t>& bytes) {
    auto view = stun::message_view::parse(bytes);
    if (!view) die("no STUN in answer");
    return *view;
  }

  void take_challenge(const stun::message_view& error) {
    const auto nonce = error.find_text(stun::attribute_type::nonce);
    const auto realm = error.find_text(stun::attribute_type::realm);
    if (!nonce || !realm) die(server_.name() + " asked for nothing");
    nonce_ = *nonce;
    if (realm_ == *realm) return;
    realm_ = *realm;
    const std::string text = std::string{user} + ':' + realm_ + ':' + password;
    std::array<std::uint8_t, 16> md5;
    EVP_Digest(text.data(), text.size(), md5.data(), nullptr, EVP_md5(), nullptr);
    key_.emplace(md5);
  }

  std::vector<std::uint8_t> ask(const flow& f, turn_method m, const filler& fill,
                                int milliseconds = 500, int tries = 7) {
    stun::transaction_id id;
    for (std::uint8_t& octet : id) octet = static_cast<std::uint8_t>(random_());
    std::array<std::uint8_t, 1500> buffer;
    stun::message_builder builder{buffer, stun::message_class::request,
                                  static_cast<stun::method>(m), id};
    if (fill) fill(builder);
    if (!nonce_.empty())
      builder.add_username(user).add_realm(realm_).add_nonce(nonce_).add_message_integrity(*key_);
    const const_bytes request = builder.finish();
    for (int i = 0; i < tries; ++i) {
      send(f.client.get(), request.data(), request.size(), 0);
      pollfd readable{f.client.get(), POLLIN, 0};
      if (poll(&readable, 1, milliseconds) != 1) continue;
      std::array<std::uint8_t, 1500> answer;
      const ssize_t size = recv(f.client.get(), answer.data(), answer.size(), 0);
      if (size > 0) return {answer.data(), answer.data() + size};
      if (tries == 1) usleep(20000);  // Nobody listens yet.
    }
    if (tries > 1) die(server_.name() + " does not answer");
    return {};
  }

  const server& server_;
  std::mt19937 random_{7};
  std::string realm_;
  std::string nonce_;
  std::optional<stun::integrity_key> key_;
};

// The load

enum class direction { up, down };
enum class pattern {
  windows,    ///< Eight flows at a time, a window under way in each, datagrams sent one by one.
  bursts,     ///< The same, and each window is one burst that the kernel keeps together.
  scattered,  ///< As many packets under way, each of the next flow.
};

struct load {
  direction to;
  std::size_t size;
  pattern how;
};

class generator {
 public:
  generator(std::vector<flow>& flows, const load& l) : flows_{flows}, load_{l} {
    header_ = load_.to == direction::up ? 4 : 0;
    packet_.resize((load_.size + header_) * window);
    for (std::size_t i = 0; header_ > 0 && i < window; ++i) {
      const std::array<std::uint8_t, 4> header{channel >> 8, channel & 0xff,
                                               static_cast<std::uint8_t>(load_.size >> 8),
                                               static_cast<std::uint8_t>(load_.size)};
      std::copy(header.begin(), header.end(),
                packet_.begin() + static_cast<std::ptrdiff_t>(i * (load_.size + header_)));
    }
    epoll_ = handle{epoll_create1(EPOLL_CLOEXEC)};
    for (std::size_t i = 0; i < flows_.size(); ++i) {
      epoll_event wanted{};
      wanted.events = EPOLLIN;
      wanted.data.u64 = i;
      if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, receiver(flows_[i]), &wanted)) die("epoll_ctl");
      flows_[i].under_way = flows_[i].sent_in_turn = 0;
    }
  }

  /// Relays for so long; returns how many packets came out of the relay.
  std::size_t run(double seconds) {
    std::size_t received = 0;
    for (flow& f : flows_) f.under_way = f.sent_in_turn = 0;
    total_ = 0;
    const auto began = clock_type::now();
    fill();
    auto last = began;
    for (;;) {
      std::array<epoll_event, 64> events;
      const int count = epoll_wait(epoll_.get(), events.data(), events.size(), 2);
      const auto now = clock_type::now();
      if (seconds_between(began, now) > seconds) break;
      for (int i = 0; i < count; ++i) {
        flow& f = flows_[static_cast<std::size_t>(events[static_cast<std::size_t>(i)].data.u64)];
        const std::size_t got = receive(f);
        if (got == 0) continue;
        received += got;
        f.under_way -= std::min(f.under_way, got);
        total_ -= std::min(total_, got);
        f.heard = last = now;
        if (load_.how != pattern::scattered) refill(f);
      }
      if (load_.how == pattern::scattered) scatter();
      // What was lost is not waited for.
      if (seconds_between(last, now) > 0.02) {
        for (flow& f : flows_) f.under_way = 0;
        total_ = 0;
        ++stalls_;
        last = now;
        fill();
      }
    }
    drain();
    return received;
  }

  /// One packet at a time: how long each took, in microseconds.
  std::vector<double> delays(std::size_t count) {
    std::vector<double> all;
    flow& f = flows_[0];
    for (std::size_t i = 0; i < count; ++i) {
      const auto began = clock_type::now();
      send_packets(f, 1);
      for (;;) {
        const std::size_t got = receive(f);
        const double passed = seconds_between(began, clock_type::now());
        if (got > 0) all.push_back(passed * 1e6);
        if (got > 0 || passed > 0.1) break;
      }
      f.under_way = 0;
      // Long enough for the server to sleep again, short enough for its core not to.
      const auto until = clock_type::now() + std::chrono::microseconds{50};
      while (clock_type::now() < until) {
      }
    }
    return all;
  }

  std::size_t stalls() const { return stalls_; }

 private:
  int receiver(const flow& f) const {
    return load_.to == direction::up ? f.peer.get() : f.client.get();
  }
  int sender(const flow& f) const {
    return load_.to == direction::up ? f.client.get() : f.peer.get();
  }
  bool bursts() const { return load_.how == pattern::bursts; }

  void fill() {
    if (load_.how == pattern::scattered) return scatter();
    for (std::size_t i = 0; i < std::min(active_flows, flows_.size()); ++i) refill(next_flow());
  }

  flow& next_flow() {
    next_ = (next_ + 1) % flows_.size();
    return flows_[next_];
  }

  void scatter() {
    while (total_ < window * active_flows) send_packets(next_flow(), 1);
  }

  // A flow that has had its turn makes way for the next, where there are more than take part.
  void refill(flow& f) {
    const std::size_t room = window - f.under_way;
    if (bursts() && room < window) return;
    if (flows_.size() > active_flows && f.sent_in_turn >= window) {
      if (f.under_way > 0) return;
      f.sent_in_turn = 0;
      return send_packets(next_flow(), window);
    }
    send_packets(f, room);
  }

  void send_packets(flow& f, std::size_t count) {
    const std::size_t size = load_.size + header_;
    std::array<mmsghdr, window> messages{};
    std::array<iovec, window> pieces;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(std::uint16_t))> control{};
    const std::size_t each = bursts() ? count : 1;
    for (std::size_t i = 0; i < count / each; ++i) {
      pieces[i] = {packet_.data() + i * size, size * each};
      messages[i].msg_hdr.msg_iov = &pieces[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      if (each == 1) continue;
      messages[i].msg_hdr.msg_control = control.data();
      messages[i].msg_hdr.msg_controllen = control.size();
      cmsghdr* const c = CMSG_FIRSTHDR(&messages[i].msg_hdr);
      c->cmsg_level = IPPROTO_UDP;
      c->cmsg_type = udp_segment;
      c->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
      const auto segment = static_cast<std::uint16_t>(size);
      std::memcpy(CMSG_DATA(c), &segment, sizeof segment);
    }
    for (std::size_t done = 0; done < count / each;) {
      const int sent = sendmmsg(sender(f), messages.data() + done,
                                static_cast<unsigned>(count / each - done), 0);
      if (sent < 0 && errno != ECONNREFUSED) break;
      done += sent < 0 ? 1 : static_cast<std::size_t>(sent);
    }
    f.under_way += count;
    f.sent_in_turn += count;
    total_ += count;
  }

  std::size_t receive(const flow& f) {
    static std::vector<std::array<std::uint8_t, 65536>> buffers(window);
    std::array<mmsghdr, window> messages{};
    std::array<iovec, window> pieces;
    for (std::size_t i = 0; i < window; ++i) {
      pieces[i] = {buffers[i].data(), buffers[i].size()};
      messages[i].msg_hdr.msg_iov = &pieces[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int count = recvmmsg(receiver(f), messages.data(), window, MSG_DONTWAIT, nullptr);
    const std::size_t size = load_.size + 4 - header_;
    std::size_t packets = 0;
    for (std::size_t i = 0; count > 0 && i < static_cast<std::size_t>(count); ++i) {
      if (messages[i].msg_len % size != 0) {
        errno = 0;
        die("a packet came out changed: " + std::to_string(messages[i].msg_len) +
            " bytes and not " + std::to_string(size) + ", the first " +
            std::to_string(buffers[i][0]));
      }
      packets += messages[i].msg_len / size;
    }
    return packets;
  }

  // Until nothing is left on its way: what comes later would be taken for the next measurement's.
  void drain() {
    for (bool is_quiet = false; !is_quiet;) {
      usleep(20000);
      is_quiet = true;
      for (const flow& f : flows_)
        while (receive(f) > 0) is_quiet = false;
    }
  }

  std::vector<flow>& flows_;
  load load_;
  handle epoll_;
  std::size_t header_ = 0;
  std::vector<std::uint8_t> packet_;
  std::size_t next_ = 0;
  std::size_t total_ = 0;
  std::size_t stalls_ = 0;
};

// The measurements

using table = std::map<std::string, std::map<std::string, std::vector<double>>>;

struct measurement {
  std::size_t allocations;
  load what;
  std::string name;
};

std::vector<measurement> measurements() {
  std::vector<measurement> all;
  for (const std::size_t allocations : {std::size_t{8}, std::size_t{1000}})
    for (const pattern how : {pattern::windows, pattern::bursts, pattern::scattered})
      for (const std::size_t size : {std::size_t{1000}, std::size_t{160}})
        for (const direction to : {direction::up, direction::down}) {
          if (how == pattern::scattered && allocations == 8) continue;
          const char* const manner = how == pattern::windows  ? "one at a time"
                                     : how == pattern::bursts ? "merging"
                                                              : "scattered";
          all.push_back({allocations,
                         {to, size, how},
                         std::to_string(allocations) + " allocations, " + std::to_string(size) +
                             (to == direction::up ? " B up, " : " B down, ") + manner});
        }
  return all;
}

double percentile(std::vector<double> values, double fraction) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(fraction * static_cast<double>(values.size() - 1))];
}

void measure(const server& s, const settings& set, table& results) {
  const auto note = [&](const std::string& what, double value) {
    results[what][s.name()].push_back(value);
  };
  turn_client client{s};
  for (int i = 0; !client.ping(); ++i)
    if (i == 200) die(s.name() + " does not start");

  std::vector<flow> few, many;
  for (std::size_t i = 0; i < 8; ++i) few.push_back(client.allocate(set.merging_receivers));
  const double memory = s.anonymous_bytes();
  const double cpu = s.cpu_seconds();
  for (std::size_t i = 0; i < 1000; ++i) many.push_back(client.allocate(set.merging_receivers));
  usleep(100000);
  note("memory per allocation, KB", (s.anonymous_bytes() - memory) / 1000 / 1024);
  note("allocate and bind, us of CPU", (s.cpu_seconds() - cpu) * 1e6 / 1000);

  for (const measurement& m : measurements()) {
    std::vector<flow>& flows = m.allocations == 8 ? few : many;
    generator traffic{flows, m.what};
    traffic.run(0.1);
    const double before = s.cpu_seconds();
    const auto began = clock_type::now();
    const std::size_t relayed = traffic.run(set.seconds);
    const double used = s.cpu_seconds() - before;
    if (relayed == 0) die(s.name() + " relays nothing");
    note(m.name + ", us of CPU", used * 1e6 / static_cast<double>(relayed));
    std::fprintf(stderr, "%-8s %-52s %6.2f us  %4.0f kpps  %3.0f %% busy  %zu stalls\n",
                 s.name().c_str(), m.name.c_str(), used * 1e6 / static_cast<double>(relayed),
                 static_cast<double>(relayed) / set.seconds / 1000,
                 used / seconds_between(began, clock_type::now()) * 100, traffic.stalls());
  }
  for (const direction to : {direction::up, direction::down}) {
    generator traffic{few, {to, 160, pattern::windows}};
    const std::vector<double> delays = traffic.delays(10000);
    const std::string name = std::string{"160 B "} + (to == direction::up ? "up" : "down");
    note(name + ", delay p50, us", percentile(delays, 0.5));
    note(name + ", delay p99, us", percentile(delays, 0.99));
  }
}

std::uint16_t free_port() {
  return port_of(open_socket(false));
}

std::vector<std::string> words(const std::string& line) {
  std::istringstream in{line};
  return {std::istream_iterator<std::string>{in}, {}};
}

void run_weft(const settings& set, table& results) {
  const std::string port = std::to_string(free_port());
  const server s{"weft",
                 words(set.weft + " turn-server --listen 127.0.0.1:" + port +
                       " --relay-address 127.0.0.1 --realm bench --user " + user + ':' + password +
                       " --threads 1 --allow-peer 127.0.0.0/8 --port-range 40000-65535"
                       " --max-allocations-per-user 2000 --max-allocations-per-address 2000"),
                 static_cast<std::uint16_t>(std::stoi(port))};
  measure(s, set, results);
}

void run_coturn(const settings& set, table& results) {
  const std::string port = std::to_string(free_port());
  const server s{
      "coturn",
      words(set.coturn + " -n --listening-ip 127.0.0.1 --listening-port " + port +
            " --relay-ip 127.0.0.1 --lt-cred-mech --realm bench --user " + user + ':' + password +
            " --relay-threads 1 --allow-loopback-peers --min-port 40000"
            " --max-port 65535 --no-tls --no-dtls --no-tcp --no-cli --no-rfc5780"
            " --log-file /dev/null --no-stdout-log --simple-log --pidfile /dev/null"),
      static_cast<std::uint16_t>(std::stoi(port))};
  measure(s, set, results);
}

void print(const table& results) {
  std::printf("%-56s %8s %8s %6s\n", "medians", "weft", "coturn", "ratio");
  for (const auto& [what, by_server] : results) {
    std::printf("%-56s", what.c_str());
    const auto weft = by_server.find("weft"), other = by_server.find("coturn");
    for (const auto& found : {weft, other}) {
      if (found == by_server.end())
        std::printf(" %8s", "-");
      else
        std::printf(" %8.2f", percentile(found->second, 0.5));
    }
    if (weft != by_server.end() && other != by_server.end())
      std::printf(" %6.2f", percentile(weft->second, 0.5) / percentile(other->second, 0.5));
    std::printf("\n");
  }
}

void write_json(const table& results, const std::string& path) {
  std::ofstream out{path};
  const char* separator = "[\n";
  for (const auto& [what, by_server] : results)
    for (const auto& [name, values] : by_server) {
      out << separator << R"(  {"case": ")" << what << R"(", "implementation": ")" << name
          << R"(", "median": )" << percentile(values, 0.5) << ", \"rounds\": " << values.size()
          << "}";
      separator = ",\n";
    }
  out << "\n]\n";
}

settings parse(int argc, char** argv) {
  settings set;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto value = [&] {
      if (++i == argc) die(name + " needs a value");
      return std::string{argv[i]};
    };
    if (name == "--weft")
      set.weft = value();
    else if (name == "--coturn")
      set.coturn = value();
    else if (name == "--rounds")
      set.rounds = std::stoi(value());
    else if (name == "--seconds")
      set.seconds = std::stod(value());
    else if (name == "--plain-receivers")
      set.merging_receivers = false;
    else if (name == "--json")
      set.json = value();
    else
      die("unknown argument " + name);
  }
  return set;
}

}  // namespace

int main(int argc, char** argv) try {
  const settings set = parse(argc, argv);
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(0, &first);
  sched_setaffinity(0, sizeof first, &first);
  table results;
  for (int round = 0; round < set.rounds; ++round) {
    if (!set.weft.empty()) run_weft(set, results);
    if (!set.coturn.empty()) run_coturn(set, results);
  }
  print(results);
  if (!set.json.empty()) write_json(results, set.json);
} catch (const std::exception& e) {
  std::fprintf(stderr, "turn_server_bench: %s\n", e.what());
  return 1;
}
