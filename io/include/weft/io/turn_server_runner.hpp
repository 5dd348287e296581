#ifndef WEFT_IO_TURN_SERVER_RUNNER_HPP
#define WEFT_IO_TURN_SERVER_RUNNER_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>

#include <weft/core/random.hpp>
#include <weft/core/result.hpp>
#include <weft/io/asio.hpp>
#include <weft/stun/user_store.hpp>
#include <weft/turn/server.hpp>

namespace weft::io {

class turn_server_shared;

/// Runs a `turn::server` on real sockets: owns it, and moves what clients and peers send.
///
/// It takes as many cores as it is given executors. Each gets its own socket for every UDP
/// listener and its own acceptor for every TCP listener (`SO_REUSEPORT`: the kernel sends each
/// client to one of them), and the relay sockets of the clients it met. Datagrams are read
/// and sent in batches, `recvmmsg` with `UDP_GRO` and `sendmmsg` with `UDP_SEGMENT`, outside of
/// the one lock that the machine stands behind.
///
/// Linux only: elsewhere `create` fails with `not_supported`.
///
/// Threads: each executor is one thread's `io_context`, or a strand. `create` before they run,
/// destroy when they no longer do; `with`, `stats` and `close` are for any thread in between.
class turn_server_runner {
 public:
  /// How clients reach a listener.
  enum class transport : std::uint8_t { udp, tcp, tls, dtls };

  struct listener {
    /// One address of this machine; port 0 lets the system choose. No wildcard: what a client
    /// hears must come from the address it spoke to.
    endpoint local;
    transport over = transport::udp;
  };

  /// Where relay sockets are bound, and what peers see of them: two addresses where a 1:1 NAT is
  /// in between.
  struct relay_address {
    ip_address local;
    ip_address external;
  };

  struct options {
    turn::server::options server{};
    std::vector<listener> listeners{};
    /// A client gets the one it came to where that is among them, else the first of the family.
    std::vector<relay_address> relays{};
    /// RFC 8656 §7.2 recommends the dynamic ports.
    std::uint16_t first_relay_port = 49152;
    std::uint16_t last_relay_port = 65535;
    /// PEM files, for TLS and DTLS: the chain, the server's own certificate first, and its key.
    std::string certificate_file{};
    std::string key_file{};
    /// Asked of the kernel for each UDP listener: 20 ms of 10 Gbit/s, since all that clients
    /// send comes in by it. For a relay socket the system's default will do.
    std::size_t listener_buffer = 8 * 1024 * 1024;
    /// A busy executor reads at most once in this time, so that several datagrams share the
    /// cost of waking up and those of a flow are sent as one: a quarter less CPU for each.
    /// Where they come further apart than a fifth of it, every one is read at once. 0: always.
    std::chrono::microseconds busy_pause{50};
    /// What a client's connection has not taken; the datagrams behind are dropped, which is
    /// what a relay does where a line is full. 200 ms of 2.5 Mbit/s.
    std::size_t stream_backlog = 64 * 1024;
    /// TLS and DTLS: from the first byte to the last of the handshake.
    std::chrono::seconds handshake_timeout{10};
    /// DTLS sessions, for each executor; newer ones are refused. Each is up to 50 KB.
    std::size_t max_dtls_sessions = 10'000;
    /// Handshakes at a time, for each executor and transport; newer ones are refused.
    std::size_t max_handshakes = 1000;
  };

  struct open_error {
    std::string what;  ///< `udp 192.0.2.1:3478`, or a file's name.
    std::error_code code;
  };

  struct counters {
    std::uint64_t datagrams_received = 0;
    std::uint64_t receive_calls = 0;
    std::uint64_t datagrams_sent = 0;
    std::uint64_t send_calls = 0;
    std::uint64_t datagrams_dropped = 0;        ///< A socket was full, or would not have it.
    std::uint64_t stream_messages_dropped = 0;  ///< Over `stream_backlog`.
    std::uint64_t handshakes_failed = 0;
  };

  /// Audit events; those that are for the driver do not come here. Called from all threads,
  /// outside of the lock.
  using event_handler = std::function<void(time_point now, const turn::server::event&)>;

  /// Opens all listeners. `users` and `random` must outlive the runner, and are asked under its
  /// lock. The machine is told of `listeners` and `relays` as its own addresses.
  static result<turn_server_runner, open_error> create(
      std::span<const asio::any_io_executor> executors, stun::user_store& users,
      random_source& random, const options& opts);
  turn_server_runner(turn_server_runner&&) noexcept;
  turn_server_runner& operator=(turn_server_runner&&) noexcept;
  ~turn_server_runner();

  /// Before the executors run.
  void on_event(event_handler handler);

  /// What is listened on, with the ports that were chosen.
  const std::vector<listener>& listeners() const noexcept;

  /// Gives commands: `command(machine, now)` under the lock; returns what that returns.
  template <class Command>
  auto with(Command&& command) {
    const std::lock_guard lock{mutex()};
    const waker after{*this};
    return std::forward<Command>(command)(machine(), now());
  }

  counters stats() const;

 private:
  /// Has the machine asked for what it has to say.
  struct waker {
    turn_server_runner& runner;
    explicit waker(turn_server_runner& r) : runner{r} {}
    ~waker() { runner.wake(); }
  };

  explicit turn_server_runner(std::unique_ptr<turn_server_shared> s);
  std::mutex& mutex() noexcept;
  turn::server& machine() noexcept;
  void wake();

  std::unique_ptr<turn_server_shared> shared_;
};

/// As it stands in front of an address: `udp`, `tcp`, `tls`, `dtls`.
std::string_view to_string(turn_server_runner::transport t) noexcept;

}  // namespace weft::io

#endif  // WEFT_IO_TURN_SERVER_RUNNER_HPP
