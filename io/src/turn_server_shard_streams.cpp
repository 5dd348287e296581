// Connections of clients, and those of TCP allocations (RFC 6062).

#include <cerrno>
#include <chrono>

#include <sys/socket.h>
#include <asio/ip/v6_only.hpp>

#include "turn_server_shard.hpp"

namespace weft::io {
namespace {

using tcp = asio::ip::tcp;

// Sockets of one address: those that the executors listen with, and a relayed address from
// which connections are made while others are taken (RFC 6062 §5).
using reuse_port = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

std::error_code prepare(auto& socket, const endpoint& local) {
  const tcp::endpoint at = to_asio_tcp(local);
  std::error_code error;
  socket.open(at.protocol(), error);
  if (!error && local.address.is_v6()) socket.set_option(asio::ip::v6_only{true}, error);
  if (!error) socket.set_option(asio::socket_base::reuse_address{true}, error);
  if (!error) socket.set_option(reuse_port{true}, error);
  if (!error) socket.bind(at, error);
  return error;
}

/// Until there may be descriptors again.
constexpr std::chrono::milliseconds patience{100};

// Sockets that share a port do not mind each other; one that does not share tells whether
// somebody has it.
bool is_free(const asio::any_io_executor& executor, const endpoint& local) {
  tcp::socket probe{executor};
  const tcp::endpoint at = to_asio_tcp(local);
  std::error_code error;
  probe.open(at.protocol(), error);
  if (!error && local.address.is_v6()) probe.set_option(asio::ip::v6_only{true}, error);
  if (!error) probe.bind(at, error);
  return error != std::errc::address_in_use;
}

bool is_shortage(const std::error_code& error) {
  return error == std::errc::too_many_files_open ||
         error == std::errc::too_many_files_open_in_system || error == std::errc::no_buffer_space ||
         error == std::errc::not_enough_memory;
}

}  // namespace

result<tcp::acceptor, std::error_code> turn_server_shard::listen(
    const asio::any_io_executor& executor, const endpoint& local) {
  tcp::acceptor acceptor{executor};
  std::error_code error = prepare(acceptor, local);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(std::error_code{error.value(), std::system_category()});
  return acceptor;
}

// Clients

void turn_server_shard::accept(stream_listener& l) {
  l.acceptor.async_accept(guarded([this, &l](std::error_code error, tcp::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (is_shortage(error)) {
      // Those that are here keep theirs; when one has gone the next may come.
      l.again.expires_after(patience);
      return l.again.async_wait(guarded([this, &l](std::error_code cancelled) {
        if (!cancelled) accept(l);
      }));
    }
    if (!error) begin(l, std::move(socket));
    accept(l);
  }));
}

void turn_server_shard::begin(const stream_listener& l, tcp::socket socket) {
  std::error_code error;
  const tcp::endpoint from = socket.remote_endpoint(error);
  if (error) return;
  socket.set_option(tcp::no_delay{true}, error);
  const five_tuple client{l.local, from_asio(from), transport_protocol::tcp};
  if (const auto before = streams_.find(client); before != streams_.end()) {
    // The other side has given that one up, or the port would not be free.
    before->second.stream->close();
    client_ended(client);
  }
  const auto stream =
      l.tls ? shared_.tls->make_stream(std::move(socket), shared_.options.handshake_timeout)
            : make_plain_stream(std::move(socket));
  client_stream& c = streams_[client] = {stream};
  if (l.tls) begin_handshake(client, c);
  stream->start({.on_open = [this, client] { client_opened(client); },
                 .on_bytes = [this, client](const_bytes b) { client_sent(client, b); },
                 .on_end = [this, client] { client_ended(client); },
                 .on_drained = [this, client] { client_drained(client); }});
}

// Of too many the eldest goes: who means it is done sooner.
void turn_server_shard::begin_handshake(const five_tuple& client, client_stream& c) {
  c.handshake = handshakes_.insert(handshakes_.end(), client);
  if (handshakes_.size() <= shared_.options.max_handshakes) return;
  const five_tuple eldest = handshakes_.front();
  streams_.at(eldest).stream->close();
  client_ended(eldest);
}

void turn_server_shard::end_handshake(client_stream& c) {
  if (c.handshake) handshakes_.erase(*std::exchange(c.handshake, std::nullopt));
}

void turn_server_shard::client_opened(const five_tuple& client) {
  client_stream& c = streams_.at(client);
  end_handshake(c);
  const time_point now = io::now();
  lock held{shared_.mutex};
  if (shared_.machine->handle_connected(now, client)) {
    c.open = true;
    shared_.streams[client] = index_;
  } else {
    c.stream->close();
    streams_.erase(client);
  }
  conclude(now, held);
}

void turn_server_shard::client_sent(const five_tuple& client, const_bytes bytes) {
  const auto found = streams_.find(client);
  if (found == streams_.end()) return;
  if (const auto joined = found->second.joined) {
    const auto peer = peers_.find(*joined);
    if (peer == peers_.end() || !peer->second.stream) return;
    byte_stream& to = *peer->second.stream;
    to.write(bytes, {}, 0);
    if (to.backlog() > shared_.options.stream_backlog) found->second.stream->pause();
    const std::lock_guard held{shared_.mutex};
    shared_.machine->count_spliced(*joined, bytes.size(), 0);
    return;
  }

  using next = turn::server::stream_step::next;
  const time_point now = io::now();
  lock held{shared_.mutex};
  while (!bytes.empty()) {
    auto step = shared_.machine->handle_stream(now, client, bytes);
    if (step.forward) {
      // A payload that came in pieces lies in the machine, where others may end its stream as soon
      // as the lock is free.
      const std::uint8_t* const at = step.forward->payload.data();
      if (at < bytes.data() || at >= bytes.data() + bytes.size())
        step.forward->payload = keep(step.forward->payload);
      forward(*step.forward, {});
      if (out_.full()) {
        held.unlock();
        flush();
        held.lock();
      }
    }
    bytes = bytes.subspan(step.consumed);
    if (step.then == next::go_on) continue;
    if (step.then == next::joined) {
      const auto owner = shared_.peers.find(step.connection);
      found->second.joined = step.connection;
      found->second.stream->pause();
      if (owner != shared_.peers.end())
        leave_to(owner->second,
                 [id = step.connection, to = index_, client,
                  first = std::vector(bytes.begin(), bytes.end())](turn_server_shard& other) {
                   other.give_away(id, to, client, first);
                 });
    } else {
      shared_.streams.erase(client);
      found->second.stream->close_when_drained();
      streams_.erase(found);
    }
    break;
  }
  conclude(now, held);
}

void turn_server_shard::client_ended(const five_tuple& client) {
  const auto found = streams_.find(client);
  if (found == streams_.end()) return;
  const bool open = found->second.open;
  end_handshake(found->second);
  streams_.erase(found);
  if (!open) {
    ++counters_.handshakes_failed;
    const std::lock_guard held{shared_.mutex};
    return publish();
  }
  const time_point now = io::now();
  lock held{shared_.mutex};
  shared_.streams.erase(client);
  shared_.machine->handle_disconnected(now, client);
  conclude(now, held);
}

void turn_server_shard::client_drained(const five_tuple& client) {
  const auto found = streams_.find(client);
  if (found == streams_.end() || !found->second.joined) return;
  const auto peer = peers_.find(*found->second.joined);
  if (peer != peers_.end() && peer->second.stream) peer->second.stream->resume();
}

void turn_server_shard::write_to_client(const five_tuple& client, const_bytes head,
                                        const_bytes body, std::size_t zeros) {
  if (const auto found = streams_.find(client); found != streams_.end()) {
    if (found->second.stream->backlog() > shared_.options.stream_backlog)
      ++counters_.stream_messages_dropped;
    else
      found->second.stream->write(head, body, zeros);
    return;
  }
  const auto owner = shared_.streams.find(client);
  if (owner == shared_.streams.end() || owner->second == index_) return;
  std::vector<std::uint8_t> message{head.begin(), head.end()};
  message.insert(message.end(), body.begin(), body.end());
  message.resize(message.size() + zeros);
  leave_to(owner->second, [client, message = std::move(message)](turn_server_shard& other) {
    const std::lock_guard held{other.shared_.mutex};
    other.write_to_client(client, message, {}, 0);
  });
}

void turn_server_shard::handle(time_point, const turn::server::close_stream& e) {
  const auto owner = shared_.streams.find(e.client);
  const std::uint32_t shard = owner == shared_.streams.end() ? index_ : owner->second;
  if (owner != shared_.streams.end()) shared_.streams.erase(owner);
  // Behind what is being written to it in this turn.
  const auto close = [client = e.client](turn_server_shard& s) {
    const auto found = s.streams_.find(client);
    if (found == s.streams_.end()) return;
    found->second.stream->close_when_drained();
    s.streams_.erase(found);
  };
  if (shard == index_)
    to_close_.emplace_back(close);
  else
    leave_to(shard, close);
}

// Peers

std::optional<endpoint> turn_server_shard::open_tcp_relay(
    const turn::server::open_relay& e, const turn_server_runner::relay_address& at) {
  for (int i = 0; i < port_tries; ++i) {
    const endpoint local{at.local, random_port(e)};
    if (!is_free(executor_, local)) continue;
    auto acceptor = listen(executor_, local);
    if (!acceptor && acceptor.error() != std::errc::address_in_use) return std::nullopt;
    if (!acceptor) continue;
    const endpoint bound = from_asio(acceptor->local_endpoint());
    const auto relay = std::make_shared<tcp_relay>(
        tcp_relay{std::move(*acceptor), e.relay, asio::steady_timer{executor_}});
    tcp_relays_[e.relay.index] = relay;
    shared_.put(e.relay, index_, 0);
    accept_peers(relay);
    return bound;
  }
  return std::nullopt;
}

void turn_server_shard::accept_peers(const std::shared_ptr<tcp_relay>& relay) {
  relay->acceptor.async_accept(guarded([this, relay](std::error_code error, tcp::socket socket) {
    if (error == asio::error::operation_aborted || !relay->acceptor.is_open()) return;
    if (is_shortage(error)) {
      relay->again.expires_after(patience);
      return relay->again.async_wait(guarded([this, relay](std::error_code cancelled) {
        if (!cancelled && relay->acceptor.is_open()) accept_peers(relay);
      }));
    }
    std::error_code gone = error;
    const tcp::endpoint from = gone ? tcp::endpoint{} : socket.remote_endpoint(gone);
    if (!gone) {
      const time_point now = io::now();
      lock held{shared_.mutex};
      if (const auto id = shared_.machine->peer_accepted(now, relay->id, from_asio(from))) {
        peers_[*id] = {std::make_shared<tcp::socket>(std::move(socket))};
        shared_.peers[*id] = index_;
      }
      conclude(now, held);
    }
    accept_peers(relay);
  }));
}

void turn_server_shard::handle(time_point now, const turn::server::connect_peer& e) {
  const turn_server_shared::relay* const relay = shared_.find(e.relay);
  if (relay == nullptr) return shared_.machine->peer_failed(now, e.connection);
  shared_.peers[e.connection] = relay->shard;
  const auto begin = [e](turn_server_shard& s) { s.connect(e); };
  if (relay->shard == index_)
    to_close_.emplace_back(begin);
  else
    leave_to(relay->shard, begin);
}

void turn_server_shard::connect(const turn::server::connect_peer& e) {
  const auto socket = std::make_shared<tcp::socket>(executor_);
  const auto relay = tcp_relays_.find(e.relay.index);
  std::error_code error = asio::error::not_found;
  if (relay != tcp_relays_.end())
    error = prepare(*socket, from_asio(relay->second->acceptor.local_endpoint()));
  auto done = guarded([this, id = e.connection](std::error_code failed) {
    const time_point now = io::now();
    lock held{shared_.mutex};
    if (!peers_.contains(id)) return;
    if (failed) {
      peers_.erase(id);
      shared_.peers.erase(id);
      shared_.machine->peer_failed(now, id);
    } else {
      shared_.machine->peer_connected(now, id);
    }
    conclude(now, held);
  });
  peers_[e.connection] = {socket};
  if (error)
    asio::post(executor_, [done, error]() mutable { done(error); });
  else
    socket->async_connect(to_asio_tcp(e.peer),
                          [socket, done](std::error_code failed) mutable { done(failed); });
}

void turn_server_shard::handle(time_point, const turn::server::close_peer& e) {
  const auto owner = shared_.peers.find(e.connection);
  if (owner == shared_.peers.end()) return;
  const auto close = [id = e.connection](turn_server_shard& s) {
    const auto found = s.peers_.find(id);
    if (found == s.peers_.end()) return;
    std::error_code ignored;
    if (found->second.stream) found->second.stream->close_when_drained();
    if (found->second.socket) found->second.socket->close(ignored);  // Which ends a connect, too.
    s.peers_.erase(found);
  };
  if (owner->second == index_)
    to_close_.emplace_back(close);
  else
    leave_to(owner->second, close);
  shared_.peers.erase(owner);
}

// A client takes over a connection that another executor may have made or accepted.
void turn_server_shard::give_away(turn::connection_id id, std::uint32_t shard,
                                  const five_tuple& client, const_bytes first) {
  const auto found = peers_.find(id);
  if (found == peers_.end() || !found->second.socket) return;
  tcp::socket socket = std::move(*found->second.socket);
  peers_.erase(found);
  std::error_code error;
  const tcp::endpoint local = socket.local_endpoint(error);
  const int handle = error ? -1 : socket.release(error);
  {
    const std::lock_guard held{shared_.mutex};
    if (!error) shared_.peers[id] = shard;
  }
  turn_server_shard& to = *shared_.shards[shard];
  asio::post(to.executor_, to.guarded([&to, id, handle, protocol = local.protocol(), client,
                                       first = std::vector(first.begin(), first.end())] {
    tcp::socket adopted{to.executor_};
    if (handle >= 0) adopted.assign(protocol, handle);
    to.join(id, std::move(adopted), client, first);
  }));
}

void turn_server_shard::join(turn::connection_id id, tcp::socket socket, const five_tuple& client,
                             const_bytes first) {
  const auto found = streams_.find(client);
  if (!socket.is_open() || found == streams_.end()) return peer_ended(id);
  std::error_code ignored;
  socket.set_option(tcp::no_delay{true}, ignored);
  const auto stream = make_plain_stream(std::move(socket));
  peers_[id] = {nullptr, stream, client};
  stream->start({.on_open = [] {},
                 .on_bytes = [this, id](const_bytes b) { peer_sent(id, b); },
                 .on_end = [this, id] { peer_ended(id); },
                 .on_drained = [this, id] { peer_drained(id); }});
  found->second.stream->resume();
  if (!first.empty()) client_sent(client, first);
}

void turn_server_shard::peer_sent(turn::connection_id id, const_bytes bytes) {
  const auto peer = peers_.find(id);
  if (peer == peers_.end()) return;
  const auto client = streams_.find(peer->second.client);
  if (client == streams_.end()) return;
  byte_stream& to = *client->second.stream;
  to.write(bytes, {}, 0);
  if (to.backlog() > shared_.options.stream_backlog) peer->second.stream->pause();
  const std::lock_guard held{shared_.mutex};
  shared_.machine->count_spliced(id, 0, bytes.size());
}

void turn_server_shard::peer_drained(turn::connection_id id) {
  const auto peer = peers_.find(id);
  if (peer == peers_.end()) return;
  const auto client = streams_.find(peer->second.client);
  if (client != streams_.end()) client->second.stream->resume();
}

void turn_server_shard::peer_ended(turn::connection_id id) {
  peers_.erase(id);
  const time_point now = io::now();
  lock held{shared_.mutex};
  shared_.peers.erase(id);
  shared_.machine->peer_disconnected(now, id);
  conclude(now, held);
}

}  // namespace weft::io
