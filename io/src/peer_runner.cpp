#include <weft/io/peer_runner.hpp>

#include <optional>

namespace weft::io {

class peer_runner::state : public std::enable_shared_from_this<state> {
 public:
  state(const asio::any_io_executor& executor, random_source& random, dtls::certificate certificate,
        const options& opts)
      : executor_{executor},
        messages_per_turn_{opts.messages_per_turn},
        connection_{random, std::move(certificate), opts.connection} {}

  std::error_code open(const options& opts) {
    const ice_driver_options for_driver{.local = opts.local,
                                        .networks = opts.networks,
                                        .sockets = opts.sockets,
                                        .tcp = opts.tcp,
                                        .streams = opts.streams,
                                        .names = opts.names,
                                        .mdns = opts.mdns,
                                        .mdns_answers = opts.mdns_answers,
                                        .shared_udp = opts.shared_udp,
                                        .shared_tcp = opts.shared_tcp};
    driver_.emplace(executor_, connection_, for_driver, [weak = weak_from_this()](time_point now) {
      if (const auto self = weak.lock()) self->turn(now);
    });
    return driver_->open();
  }

  void close() {
    closed_ = true;
    const time_point t = now();
    connection_.close(t);
    driver_->flush(t);
    // The connections of TURN servers are no longer wanted, once they have the farewell.
    while (const auto event = connection_.poll_event()) driver_->handle(t, *event);
    driver_.reset();
  }

  void wake() { driver_->wake(); }

  peer::connection& connection() { return connection_; }
  const ice_driver<peer::connection>& driver() const { return *driver_; }

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
      driver_->handle(now, *event);
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

  asio::any_io_executor executor_;
  std::size_t messages_per_turn_;
  peer::connection connection_;
  std::optional<ice_driver<peer::connection>> driver_;
  bool closed_ = false;
};

result<peer_runner, std::error_code> peer_runner::create(const asio::any_io_executor& executor,
                                                         random_source& random,
                                                         dtls::certificate certificate) {
  const options defaults;
  return create(executor, random, std::move(certificate), defaults);
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
  for (const auto& socket : state_->driver().udp().sockets()) all.push_back(socket->local());
  return all;
}

const stream_set::counters& peer_runner::stream_stats() const {
  return state_->driver().streams().stats();
}

udp_socket::counters peer_runner::socket_stats() const {
  udp_socket::counters sum;
  for (const auto& socket : state_->driver().udp().sockets()) {
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
