#ifndef WEFT_IO_UDP_DRIVER_HPP
#define WEFT_IO_UDP_DRIVER_HPP

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <weft/core/machine.hpp>
#include <weft/io/asio.hpp>
#include <weft/io/udp_mux.hpp>
#include <weft/io/udp_socket.hpp>

namespace weft::io {

/// A machine that says where its datagrams go.
template <class M>
concept addressed_machine = machine<M> && requires(M m, time_point now, mutable_bytes buffer) {
  { *m.poll_transmit(now, buffer) } -> std::convertible_to<addressed_transmit>;
};

/// Joins one machine to UDP sockets and a timer: brings it datagrams and time, and sends what
/// it builds. The machine stays the caller's and must outlive the driver.
///
/// Work comes in turns, each bounded so that others on the same thread get theirs. In a turn
/// the machine is given what has happened, then `on_turn` is called, the place to poll events
/// and to give commands, then datagrams leave; and again until the machine is silent.
/// After commands given anywhere else call `wake`.
///
/// Threads: everything happens on the executor, which must be one thread or a strand; call the
/// driver only from there. `on_turn` is never called from within a call to the driver. It may be
/// destroyed at any time, also in `on_turn`.
template <addressed_machine Machine>
class udp_driver {
 public:
  /// One batch is up to 64 KiB. After so many in a turn others come first: loopback and
  /// fast networks would else fill the receiver's socket before it is looked at.
  static constexpr std::size_t batches_per_turn = 4;
  /// Messages over TCP that count as a batch.
  static constexpr std::size_t stream_messages_per_batch = 64;

  using turn_handler = std::function<void(time_point now)>;
  /// Takes what the machine has to send over TCP, at once.
  using stream_handler = std::function<void(const addressed_transmit&)>;

  udp_driver(const asio::any_io_executor& executor, Machine& machine, turn_handler on_turn)
      : state_{std::make_shared<state>(executor, machine, std::move(on_turn))} {}
  udp_driver(udp_driver&&) noexcept = default;
  udp_driver& operator=(udp_driver&& other) noexcept {
    close();
    state_ = std::move(other.state_);
    return *this;
  }
  ~udp_driver() { close(); }

  /// Opens one more socket and returns what it is bound to.
  result<endpoint, std::error_code> open(const endpoint& local, const udp_socket::options& opts) {
    auto opened = udp_socket::open(state_->executor, local, opts);
    if (!opened) return fail(opened.error());
    state_->sockets.push_back(std::make_shared<udp_socket>(std::move(*opened)));
    const auto& socket = state_->sockets.back();
    wait_readable(state_, socket);
    return socket->local();
  }
  result<endpoint, std::error_code> open(const endpoint& local) {
    return open(local, udp_socket::options{});
  }

  /// Closes the socket that is bound to `local`. What is to be sent from there is lost.
  void close(const endpoint& local) {
    std::erase_if(state_->sockets, [&](const auto& socket) {
      if (socket->local() != local) return false;
      socket->close();
      return true;
    });
  }

  /// Uses a port that others use too. The mux must outlive the driver.
  void share(udp_mux& mux) {
    state_->shared.push_back(std::make_unique<shared_port>(*state_, mux));
  }
  /// On shared ports, checks that name this username fragment are for the machine.
  void claim(std::string_view fragment) {
    for (const auto& port : state_->shared) port->mux.claim(*port, fragment);
  }

  /// Without one, what goes over TCP is lost.
  void on_stream_message(stream_handler handler) { state_->on_stream = std::move(handler); }

  /// Has a turn soon. Cheap to call again before it comes.
  void wake() { wake(state_); }

  /// Sends what the machine has to say now, as far as the sockets take it: for a farewell.
  void flush(time_point now) {
    while (state_->transmit_batch(now)) {
    }
  }

  const std::vector<std::shared_ptr<udp_socket>>& sockets() const noexcept {
    return state_->sockets;
  }

 private:
  struct state;

  /// A port that is not ours alone.
  struct shared_port final : udp_mux::member {
    shared_port(state& s, udp_mux& m) : owner{s}, mux{m} { mux.join(*this); }
    shared_port(const shared_port&) = delete;
    shared_port& operator=(const shared_port&) = delete;
    ~shared_port() override { mux.leave(*this); }

    void receive(time_point now, const endpoint& from, const_bytes datagram) override {
      owner.give(now, mux.local(), from, datagram);
    }
    void after_read() override { turn(owner.shared_from_this()); }

    state& owner;
    udp_mux& mux;
  };

  // Outlives the driver while one of its handlers runs; `machine` says whether the driver lives.
  struct state : std::enable_shared_from_this<state> {
    state(const asio::any_io_executor& e, Machine& m, turn_handler h)
        : executor{e}, machine{&m}, on_turn{std::move(h)}, timer{e} {}

    asio::any_io_executor executor;
    Machine* machine;
    turn_handler on_turn;
    stream_handler on_stream;
    std::vector<std::shared_ptr<udp_socket>> sockets;
    std::vector<std::unique_ptr<shared_port>> shared;
    asio::steady_timer timer;
    std::optional<time_point> timer_set;
    bool woken = false;
    bool waits_writable = false;
    std::optional<borrowed<send_batch>> unsent;  ///< Waits for a full socket.

    static bool leads(const endpoint& local, const send_batch::run& r) noexcept {
      return r.local.address ? local == r.local : local.address.is_v4() == r.remote.address.is_v4();
    }

    udp_socket* socket_for(const send_batch::run& r) const noexcept {
      for (const auto& socket : sockets)
        if (leads(socket->local(), r)) return socket.get();
      const auto* const port = shared_for(r);
      return port ? &port->mux.socket() : nullptr;
    }

    shared_port* shared_for(const send_batch::run& r) const noexcept {
      for (const auto& port : shared)
        if (leads(port->mux.local(), r)) return port.get();
      return nullptr;
    }

    std::size_t send_together(std::span<send_batch::run> runs) const {
      for (const auto& socket : sockets)
        if (leads(socket->local(), runs[0])) return socket->send(runs);
      auto* const port = shared_for(runs[0]);
      return port ? port->mux.send(*port, runs) : runs.size();
    }

    void give(time_point now, const endpoint& local, const endpoint& from, const_bytes datagram) {
      if constexpr (requires { machine->handle_input(now, from, from, datagram); })
        machine->handle_input(now, local, from, datagram);
      else
        machine->handle_input(now, from, datagram);
    }

    /// Sends one batch and returns whether there was anything to send and more may be.
    bool transmit_batch(time_point now) {
      if (unsent) return false;
      borrowed<send_batch> batch;
      std::size_t streamed = 0;
      for (mutable_bytes room = batch->room();
           !room.empty() && streamed < stream_messages_per_batch; room = batch->room()) {
        const auto t = machine->poll_transmit(now, room);
        if (!t) break;
        if (t->protocol == transport_protocol::udp) {
          batch->add(*t);
          continue;
        }
        ++streamed;
        if (on_stream) on_stream(*t);
      }
      if (batch->runs().empty()) return streamed > 0;
      if (send(*batch)) return true;
      unsent = std::move(batch);
      return false;
    }

    /// False if a socket is full; what is left of the batch has to wait.
    bool send(send_batch& batch) const {
      while (!batch.runs().empty()) {
        const auto runs = batch.runs();
        std::size_t together = 1;
        while (together < runs.size() && runs[together].local == runs[0].local &&
               runs[together].remote.address.is_v4() == runs[0].remote.address.is_v4())
          ++together;
        const std::size_t sent = send_together(runs.first(together));
        batch.pop(sent);
        if (sent < together) return false;
      }
      return true;
    }
  };

  using shared_state = std::shared_ptr<state>;

  void close() {
    if (!state_) return;
    state_->machine = nullptr;
    state_->timer.cancel();
    state_->shared.clear();
    state_->sockets.clear();
  }

  static void wake(const shared_state& s) {
    if (std::exchange(s->woken, true)) return;
    asio::post(s->executor, [s] {
      s->woken = false;
      if (s->machine) turn(s);
    });
  }

  static void turn(const shared_state& s) {
    // What is to be sent may be an event first, such as a connection that is wanted: all is said
    // when twice in a row there was nothing to send.
    bool more = true, silent = false;
    for (std::size_t batch = 0; more && batch < batches_per_turn; ++batch) {
      const time_point now = io::now();
      s->on_turn(now);
      if (!s->machine) return;
      const bool sent = s->transmit_batch(now);
      more = sent || !silent;
      silent = !sent;
    }
    if (s->unsent) wait_writable(s);
    if (more) wake(s);
    set_timer(s);
  }

  // Deadlines mostly move away before they come. The timer stays where it is then and the
  // machine is asked again too early once, instead of the timer being set anew each turn.
  static void set_timer(const shared_state& s) {
    const auto deadline = s->machine->poll_timeout();
    if (!deadline || (s->timer_set && *s->timer_set <= *deadline)) return;
    s->timer_set = deadline;
    s->timer.expires_at(*deadline);
    s->timer.async_wait([s](std::error_code cancelled) {
      if (cancelled || !s->machine) return;
      s->timer_set.reset();
      s->machine->handle_timeout(io::now());
      turn(s);
    });
  }

  static void wait_readable(const shared_state& s, const std::shared_ptr<udp_socket>& socket) {
    socket->async_wait_readable([s, socket](std::error_code cancelled) {
      if (cancelled || !s->machine || !socket->is_open()) return;
      read(*s, *socket);
      turn(s);
      if (s->machine && socket->is_open()) wait_readable(s, socket);
    });
  }

  static void read(state& s, udp_socket& socket) {
    borrowed<receive_batch> batch;
    socket.receive(*batch);
    const time_point now = io::now();
    batch->for_each([&](const endpoint& from, const_bytes datagram, traffic_class) {
      s.give(now, socket.local(), from, datagram);
    });
  }

  // Turns come while it waits, for what is received or due; one wait is enough.
  static void wait_writable(const shared_state& s) {
    if (std::exchange(s->waits_writable, true)) return;
    udp_socket* const full = s->socket_for((*s->unsent)->runs().front());
    full->async_wait_writable([s](std::error_code) {
      // Cancelled too where the socket was closed: then the rest is lost, and others have waited.
      s->waits_writable = false;
      if (!s->machine) return;
      if (s->send(**s->unsent)) {
        s->unsent.reset();
        turn(s);
      } else {
        wait_writable(s);
      }
    });
  }

  shared_state state_;
};

}  // namespace weft::io

#endif  // WEFT_IO_UDP_DRIVER_HPP
