#include "turn_server_shard.hpp"

#include <algorithm>
#include <type_traits>
#include <variant>

#include <asio/post.hpp>

namespace weft::io {
namespace {

/// Reads of up to 64 datagrams in one turn; then others on the same executor come first.
constexpr std::size_t reads_per_turn = 16;
/// So many have come at once that more are likely to be there already.
constexpr std::size_t many = 32;
/// A pause is worth its while if it brings so many.
constexpr long worth_a_pause = 5;

}  // namespace

turn_server_shard::turn_server_shard(turn_server_shared& shared, std::uint32_t index,
                                     const asio::any_io_executor& executor,
                                     turn_server_sockets sockets)
    : shared_{shared},
      index_{index},
      executor_{executor},
      sockets_{std::move(sockets)},
      timer_{executor},
      pause_{executor} {}

turn_server_shard::~turn_server_shard() {
  for (auto& [client, s] : streams_) s.stream->close();
  for (auto& [id, p] : peers_)
    if (p.stream) p.stream->close();
}

result<endpoint, std::error_code> turn_server_shard::open(const turn_server_runner::listener& l) {
  using enum turn_server_runner::transport;
  if (l.over == tcp || l.over == tls) {
    auto acceptor = listen(executor_, l.local);
    if (!acceptor) return fail(acceptor.error());
    const endpoint bound = from_asio(acceptor->local_endpoint());
    stream_listeners_.push_back(std::make_unique<stream_listener>(stream_listener{
        std::move(*acceptor), bound, l.over == tls, asio::steady_timer{executor_}}));
    return bound;
  }
  const auto opened =
      sockets_.open(l.local, {.shared = true, .buffer = shared_.options.listener_buffer});
  if (!opened) return fail(opened.error());
  const endpoint bound = sockets_.local(*opened);
  if (l.over == dtls && !dtls_) start_dtls();
  use_of(*opened) = {true, l.over == dtls, {}};
  datagram_listeners_.push_back({bound, *opened, l.over == dtls});
  return bound;
}

void turn_server_shard::start() {
  for (const auto& l : stream_listeners_) accept(*l);
  wait();
}

void turn_server_shard::wake() {
  asio::post(executor_, guarded([this] {
               lock held{shared_.mutex};
               conclude(now(), held);
             }));
}

// Turns

void turn_server_shard::wait() {
  sockets_.async_wait(guarded([this](std::error_code cancelled) {
    if (!cancelled) turn();
  }));
}

void turn_server_shard::turn() {
  const time_point began = now();
  std::size_t datagrams = 0;
  for (std::size_t i = 0; i < reads_per_turn; ++i) {
    const auto ready = sockets_.poll();
    const std::size_t read = ready.empty() ? 0 : serve(ready);
    datagrams += read;
    if (read < many) return rest(began, datagrams);
  }
  asio::post(executor_, guarded([this] { turn(); }));
}

// Under load it costs less to let some arrive than to wake up for each.
void turn_server_shard::rest(time_point began, std::size_t datagrams) {
  const duration since = began - std::exchange(last_turn_, began);
  const duration pause = shared_.options.busy_pause;
  if (since > static_cast<long>(datagrams) * pause / worth_a_pause) return wait();
  pause_.expires_after(pause);
  pause_.async_wait(guarded([this](std::error_code cancelled) {
    if (!cancelled) turn();
  }));
}

std::size_t turn_server_shard::serve(std::span<const turn_server_sockets::readiness> ready) {
  const auto arrivals = sockets_.receive(ready);
  const time_point now = io::now();
  if (dtls_) take_ciphertexts(now, arrivals);
  lock held{shared_.mutex};
  for (const auto& r : ready)
    if (r.error) take_errors(now, r.socket);
  for (const auto& arrival : arrivals)
    if (!uses_[arrival.socket].dtls) take(now, arrival, held);
  conclude(now, held);
  return arrivals.size();
}

void turn_server_shard::take(time_point now, const turn_server_sockets::arrival& a, lock& held) {
  const socket_use use = uses_[a.socket];
  const const_bytes all = a.bytes;
  std::size_t at = 0;
  do {  // An empty datagram is one too.
    const const_bytes datagram = all.subspan(at, std::min(a.stride, all.size() - at));
    at += a.stride;
    if (out_.full()) {
      held.unlock();
      flush();
      held.lock();
    }
    if (use.listens)
      take_from_client(now, sockets_.local(a.socket), a.from, a.traffic, datagram);
    else
      take_from_peer(now, use.relay, a.from, a.traffic, datagram);
  } while (at < all.size());
}

void turn_server_shard::take_from_client(time_point now, const endpoint& local,
                                         const endpoint& from, traffic_class traffic,
                                         const_bytes datagram) {
  if (const auto data = shared_.machine->handle_input(now, {local, from}, datagram))
    forward(*data, traffic);
}

void turn_server_shard::take_from_peer(time_point now, turn::relay_id relay, const endpoint& from,
                                       traffic_class traffic, const_bytes datagram) {
  if (const auto data = shared_.machine->handle_relayed(now, relay, from, datagram, out_.head()))
    forward(*data, traffic);
}

void turn_server_shard::take_errors(time_point now, std::uint32_t socket) {
  const socket_use use = uses_[socket];
  while (const auto error = sockets_.next_error(socket))
    if (!use.listens)
      shared_.machine->handle_icmp(now, use.relay, error->peer,
                                   {error->type, error->code, error->data});
}

void turn_server_shard::settle(time_point now, lock& held) {
  for (bool more = true; more;) {
    while (true) {
      if (replies_.size() - replies_used_ < max_datagram_size || out_.full()) {
        held.unlock();
        flush();
        held.lock();
      }
      const auto t =
          shared_.machine->poll_transmit(now, std::span{replies_}.subspan(replies_used_));
      if (!t) break;
      replies_used_ += t->bytes.size();
      transmit(*t);
    }
    more = false;
    while (auto e = shared_.machine->poll_event()) {
      more = true;
      if (!std::visit([&](const auto& what) { return act_on(now, what); }, *e))
        audit_.push_back(std::move(*e));
    }
  }
}

void turn_server_shard::conclude(time_point now, lock& held) {
  settle(now, held);
  deadline_ = shared_.machine->poll_timeout();
  if (dtls_) deadline_ = earliest(deadline_, dtls_->next_deadline());
  publish();
  held.unlock();

  send_sealed(io::now());
  flush();
  for (const auto& close : std::exchange(to_close_, {})) close(*this);
  for (const auto& e : std::exchange(audit_, {}))
    if (shared_.on_event) shared_.on_event(now, e);
  for (auto& [shard, work] : std::exchange(elsewhere_, {})) {
    turn_server_shard& other = *shared_.shards[shard];
    asio::post(other.executor_, other.guarded([&other, work = std::move(work)] { work(other); }));
  }
  set_timer();
}

void turn_server_shard::publish() {
  const turn_server_sockets::counters& datagrams = sockets_.stats();
  counters_.datagrams_received = datagrams.datagrams_received;
  counters_.receive_calls = datagrams.receive_calls;
  counters_.datagrams_sent = datagrams.datagrams_sent;
  counters_.send_calls = datagrams.send_calls;
  counters_.datagrams_dropped = datagrams.datagrams_dropped;
  published_ = counters_;
  if (dtls_) published_.handshakes_failed += dtls_->failures();
}

void turn_server_shard::flush() {
  out_.for_each_socket([&](std::span<const turn_server_batch::message> messages) {
    sockets_.send(messages[0].to.socket, messages);
  });
  out_.clear();
  for (const unfragmented& u : unfragmented_) {
    const turn_server_batch::piece whole{u.payload.data(), u.payload.size()};
    sockets_.send_unfragmented(u.to.socket, {u.to, whole.size, 1, whole.size, {&whole, 1}});
  }
  unfragmented_.clear();
  replies_used_ = 0;
}

// Deadlines mostly move away before they come: the timer stays, and the machine is asked too
// early once.
void turn_server_shard::set_timer() {
  if (!deadline_ || (timer_set_ && *timer_set_ <= *deadline_)) return;
  timer_set_ = deadline_;
  timer_.expires_at(*deadline_);
  timer_.async_wait(guarded([this](std::error_code cancelled) {
    if (cancelled) return;
    timer_set_.reset();
    const time_point now = io::now();
    if (dtls_) {
      dtls_->handle_timeout(now);
      hand_over();
    }
    lock held{shared_.mutex};
    shared_.machine->handle_timeout(now);
    conclude(now, held);
  }));
}

void turn_server_shard::start_dtls() {
  const auto& opts = shared_.options;
  const auto send = [this](const five_tuple& client, const_bytes datagram) {
    const const_bytes kept = keep(datagram);
    for (const datagram_listener& l : datagram_listeners_)
      if (l.local == client.local) return out_.add({l.socket, client.remote}, {}, kept);
  };
  const auto deliver = [this](const five_tuple& client, const_bytes message) {
    words_.push_back({client, std::vector(message.begin(), message.end())});
  };
  const auto is_in_use = [this](const five_tuple& client) {
    const lock held{shared_.mutex};
    return shared_.machine->has_allocation(client);
  };
  const auto ended = [this](const five_tuple& client) { words_.push_back({client, std::nullopt}); };
  dtls_.emplace(*shared_.identity,
                turn_server_dtls::options{.handshake_timeout = opts.handshake_timeout,
                                          .idle_timeout = opts.server.idle_stream_timeout,
                                          .max_handshakes = opts.max_handshakes,
                                          .max_sessions = opts.max_dtls_sessions},
                turn_server_dtls::outlets{send, deliver, is_in_use, ended});
}

void turn_server_shard::take_ciphertexts(time_point now,
                                         std::span<const turn_server_sockets::arrival> arrivals) {
  for (const auto& a : arrivals) {
    if (!uses_[a.socket].dtls) continue;
    const five_tuple client{sockets_.local(a.socket), a.from};
    for (std::size_t at = 0; at < a.bytes.size(); at += a.stride)
      dtls_->handle_input(now, client,
                          a.bytes.subspan(at, std::min(a.stride, a.bytes.size() - at)));
  }
  hand_over();
}

void turn_server_shard::hand_over() {
  if (words_.empty()) return;
  const time_point now = io::now();
  lock held{shared_.mutex};
  for (const client_word& word : words_) {
    if (out_.full()) {
      held.unlock();
      flush();
      held.lock();
    }
    if (word.message)
      take_from_client(now, word.client.local, word.client.remote, {}, *word.message);
    else
      shared_.machine->handle_disconnected(now, word.client);
  }
  conclude(now, held);  // Sends what refers to the words.
  words_.clear();
}

void turn_server_shard::seal(const five_tuple& client, const_bytes head, const_bytes body,
                             std::size_t zeros) {
  std::vector<std::uint8_t> message(head.size() + body.size() + zeros);
  std::ranges::copy(body, std::ranges::copy(head, message.begin()).out);
  unsealed_.push_back({client, std::move(message)});
}

void turn_server_shard::send_sealed(time_point now) {
  for (const unsealed& u : unsealed_) dtls_->send(now, u.client, u.message);
  unsealed_.clear();
}

const_bytes turn_server_shard::keep(const_bytes bytes) {
  if (replies_.size() - replies_used_ < bytes.size() || out_.full()) flush();
  const auto kept = std::span{replies_}.subspan(replies_used_, bytes.size());
  std::ranges::copy(bytes, kept.begin());
  replies_used_ += bytes.size();
  return kept;
}

// Where things go

void turn_server_shard::forward(const turn::server::to_peer& data, traffic_class traffic) {
  const turn_server_shared::relay* const relay = shared_.find(data.relay);
  if (relay == nullptr) return;
  if (relay->shard == index_) {
    const turn_server_batch::destination to{relay->socket, data.peer, traffic};
    if (data.dont_fragment)
      unfragmented_.push_back({to, data.payload});
    else
      out_.add(to, {}, data.payload);
    return;
  }
  // A client that has moved to another socket of ours: it shall not happen often.
  leave_to(relay->shard,
           [data, traffic, payload = std::vector(data.payload.begin(), data.payload.end())](
               turn_server_shard& other) {
             lock held{other.shared_.mutex};
             turn::server::to_peer copy = data;
             copy.payload = payload;
             other.forward(copy, traffic);
             other.conclude(io::now(), held);
           });
}

void turn_server_shard::forward(const turn::server::to_client& data, traffic_class traffic) {
  if (data.client.protocol == transport_protocol::tcp)
    return write_to_client(data.client, data.header, data.payload, data.padding);
  for (const datagram_listener& l : datagram_listeners_) {
    if (l.local != data.client.local) continue;
    if (l.dtls) return seal(data.client, data.header, data.payload, data.padding);
    return out_.add({l.socket, data.client.remote, traffic}, data.header, data.payload,
                    data.padding);
  }
}

void turn_server_shard::transmit(const addressed_transmit& t) {
  if (t.protocol == transport_protocol::tcp)
    return write_to_client({t.local, t.remote, t.protocol}, t.bytes, {}, 0);
  for (const datagram_listener& l : datagram_listeners_) {
    if (l.local != t.local) continue;
    if (l.dtls) return seal({t.local, t.remote}, t.bytes, {}, 0);
    return out_.add({l.socket, t.remote, t.traffic}, {}, t.bytes);
  }
}

void turn_server_shard::leave_to(std::uint32_t shard,
                                 std::function<void(turn_server_shard&)> work) {
  elsewhere_.emplace_back(shard, std::move(work));
}

// Events

void turn_server_shard::handle(time_point now, const turn::server::open_relay& e) {
  const turn_server_runner::relay_address* const at = relay_address_for(e);
  const auto relayed = at == nullptr                                 ? std::nullopt
                       : e.transport == turn::relayed_transport::udp ? open_udp_relay(e, *at)
                                                                     : open_tcp_relay(e, *at);
  if (relayed)
    shared_.machine->relay_opened(now, e.relay, {at->external, relayed->port});
  else
    shared_.machine->relay_failed(now, e.relay);
}

std::optional<endpoint> turn_server_shard::open_udp_relay(
    const turn::server::open_relay& e, const turn_server_runner::relay_address& at) {
  const turn_server_sockets::socket_options opts{.shared = false, .network_errors = true};
  for (int i = 0; i < port_tries; ++i) {
    const std::uint16_t port = random_port(e);
    const auto opened = sockets_.open({at.local, port}, opts);
    if (!opened && opened.error() != std::errc::address_in_use) return std::nullopt;
    if (!opened) continue;
    if (e.next) {
      const auto neighbour = sockets_.open({at.local, static_cast<std::uint16_t>(port + 1)}, opts);
      if (!neighbour) {
        sockets_.close(*opened);
        continue;
      }
      shared_.put(*e.next, index_, *neighbour);
      use_of(*neighbour) = {.relay = *e.next};
    }
    shared_.put(e.relay, index_, *opened);
    use_of(*opened) = {.relay = e.relay};
    return sockets_.local(*opened);
  }
  return std::nullopt;
}

void turn_server_shard::handle(time_point, const turn::server::close_relay& e) {
  turn_server_shared::relay* const relay = shared_.find(e.relay);
  if (relay == nullptr) return;
  relay->open = false;
  const auto close = [socket = relay->socket, id = e.relay](turn_server_shard& shard) {
    if (const auto found = shard.tcp_relays_.find(id.index);
        found != shard.tcp_relays_.end() && found->second->id == id) {
      found->second->acceptor.close();
      shard.tcp_relays_.erase(found);
    } else if (socket < shard.uses_.size() && shard.uses_[socket].relay == id) {
      shard.sockets_.close(socket);
    }
  };
  if (relay->shard == index_)
    to_close_.emplace_back(close);
  else
    leave_to(relay->shard, close);
}

const turn_server_runner::relay_address* turn_server_shard::relay_address_for(
    const turn::server::open_relay& e) const {
  const turn_server_runner::relay_address* first = nullptr;
  for (const auto& r : shared_.options.relays) {
    if (turn::family_of(r.local) != e.family) continue;
    if (r.local == e.listener.address) return &r;
    if (first == nullptr) first = &r;
  }
  return first;
}

std::uint16_t turn_server_shard::random_port(const turn::server::open_relay& e) {
  const bool even = e.even_port || e.next;
  const std::uint32_t step = even ? 2 : 1;
  const std::uint32_t first =
      shared_.options.first_relay_port + (shared_.options.first_relay_port & (step - 1));
  const std::uint32_t last = shared_.options.last_relay_port - (e.next ? 1u : 0u);
  std::array<std::uint8_t, 4> octets;
  shared_.random->fill(octets);
  const std::uint32_t choices = last < first ? 1 : (last - first) / step + 1;
  return static_cast<std::uint16_t>(first + byte_reader{octets}.u32() % choices * step);
}

turn_server_shard::socket_use& turn_server_shard::use_of(std::uint32_t socket) {
  if (socket >= uses_.size()) uses_.resize(socket + 1);
  return uses_[socket];
}

}  // namespace weft::io
