#include <weft/io/peer_runner.hpp>

#include <optional>
#include <string>
#include <variant>

#include <weft/io/interfaces.hpp>
#include <weft/io/mdns_resolver.hpp>
#include <weft/io/udp_driver.hpp>

namespace weft::io {

class peer_runner::state : public std::enable_shared_from_this<state> {
 public:
  state(const asio::any_io_executor& executor, random_source& random, dtls::certificate certificate,
        const options& opts)
      : executor_{executor},
        messages_per_turn_{opts.messages_per_turn},
        connection_{random, std::move(certificate), opts.connection} {}

  std::error_code open(const options& opts) {
    driver_.emplace(executor_, connection_, [weak = weak_from_this()](time_point now) {
      if (const auto self = weak.lock()) self->turn(now);
    });
    std::vector<endpoint> wanted = opts.local;
    if (wanted.empty())
      for (const ip_address& address : local_addresses()) wanted.push_back({address, 0});

    std::error_code error = std::make_error_code(std::errc::address_not_available);
    for (const endpoint& local : wanted) {
      const auto bound = driver_->open(local, opts.sockets);
      if (!bound)
        error = bound.error();
      else
        static_cast<void>(connection_.add_local_address(now(), *bound));  // Fresh: takes them all.
    }
    return driver_->sockets().empty() ? error : std::error_code{};
  }

  void close() {
    closed_ = true;
    const time_point t = now();
    connection_.close(t);
    driver_->flush(t);
    driver_.reset();
    resolver_.reset();
  }

  void wake() { driver_->wake(); }

  peer::connection& connection() { return connection_; }
  const udp_driver<peer::connection>& driver() const { return *driver_; }

  // Handlers are shared so that one that replaces itself, or ends the runner, lives on
  // until it returns.
  std::shared_ptr<const event_handler> on_event;
  std::shared_ptr<const message_handler> on_message;
  bool paused = false;

 private:
  void turn(time_point now) {
    std::size_t messages = messages_per_turn_;
    // What waits behind a message, such as the end of its channel, comes after it.
    do {
      drain_events(now);
    } while (!closed_ && drain_messages(now, messages));
    if (!closed_ && messages == 0) wake();
  }

  void drain_events(time_point now) {
    while (!closed_) {
      const auto event = connection_.poll_event();
      if (!event) return;
      if (const auto* asked = std::get_if<peer::connection::resolve_name>(&*event))
        resolve(now, asked->name);
      if (const auto handler = on_event) (*handler)(*event);
    }
  }

  /// Whether any message was read.
  bool drain_messages(time_point now, std::size_t& left) {
    bool any = false;
    while (!closed_ && !paused && left > 0) {
      const auto handler = on_message;
      if (!handler) break;
      const auto message = connection_.receive(now);
      if (!message) break;
      any = true;
      --left;
      (*handler)(*message);
    }
    return any;
  }

  void resolve(time_point now, const std::string& name) {
    if (!mdns::is_local_name(name)) {
      connection_.resolve(now, name, {});
      return;
    }
    if (!resolver_) resolver_.emplace(executor_);
    resolver_->resolve(name, [weak = weak_from_this()](std::string_view found,
                                                       std::span<const ip_address> addresses) {
      const auto self = weak.lock();
      if (!self || self->closed_) return;
      self->connection_.resolve(io::now(), found, addresses);
      self->wake();
    });
  }

  asio::any_io_executor executor_;
  std::size_t messages_per_turn_;
  peer::connection connection_;
  std::optional<udp_driver<peer::connection>> driver_;
  std::optional<mdns_resolver> resolver_;
  bool closed_ = false;
};

result<peer_runner, std::error_code> peer_runner::create(const asio::any_io_executor& executor,
                                                         random_source& random,
                                                         dtls::certificate certificate) {
  return create(executor, random, std::move(certificate), options{});
}

result<peer_runner, std::error_code> peer_runner::create(const asio::any_io_executor& executor,
                                                         random_source& random,
                                                         dtls::certificate certificate,
                                                         const options& opts) {
  auto s = std::make_shared<state>(executor, random, std::move(certificate), opts);
  if (const std::error_code error = s->open(opts)) return fail(error);
  return peer_runner{std::move(s)};
}

peer_runner::peer_runner(std::shared_ptr<state> s) : state_{std::move(s)} {}
peer_runner::peer_runner(peer_runner&&) noexcept = default;

peer_runner& peer_runner::operator=(peer_runner&& other) noexcept {
  if (state_) state_->close();
  state_ = std::move(other.state_);
  return *this;
}

peer_runner::~peer_runner() {
  if (state_) state_->close();
}

void peer_runner::on_event(event_handler handler) {
  state_->on_event = handler ? std::make_shared<const event_handler>(std::move(handler)) : nullptr;
  wake();
}

void peer_runner::on_message(message_handler handler) {
  state_->on_message =
      handler ? std::make_shared<const message_handler>(std::move(handler)) : nullptr;
  wake();
}

void peer_runner::pause_messages() {
  state_->paused = true;
}

void peer_runner::resume_messages() {
  state_->paused = false;
  wake();
}

peer::connection& peer_runner::access() {
  return state_->connection();
}
const peer::connection& peer_runner::connection() const {
  return state_->connection();
}
void peer_runner::wake() {
  state_->wake();
}

std::vector<endpoint> peer_runner::local_endpoints() const {
  std::vector<endpoint> all;
  for (const auto& socket : state_->driver().sockets()) all.push_back(socket->local());
  return all;
}

udp_socket::counters peer_runner::socket_stats() const {
  udp_socket::counters sum;
  for (const auto& socket : state_->driver().sockets()) {
    const udp_socket::counters& one = socket->stats();
    sum.datagrams_received += one.datagrams_received;
    sum.bytes_received += one.bytes_received;
    sum.receive_calls += one.receive_calls;
    sum.receive_errors += one.receive_errors;
    sum.datagrams_sent += one.datagrams_sent;
    sum.bytes_sent += one.bytes_sent;
    sum.send_calls += one.send_calls;
    sum.send_errors += one.send_errors;
    sum.send_waits += one.send_waits;
  }
  return sum;
}

}  // namespace weft::io
