#ifndef WEFT_TESTS_TURN_PAIR_HPP
#define WEFT_TESTS_TURN_PAIR_HPP

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <weft/stun/user_store.hpp>
#include <weft/turn/client.hpp>
#include <weft/turn/server.hpp>

#include "support/sim.hpp"

/// Our client and our server against each other, with all that lies around them in virtual time:
/// the way between them, the server's relay sockets, peers that send back what they get.
namespace weft::test {

using namespace std::chrono_literals;

/// An end of a TCP connection: bytes in order, late, and cut anywhere.
class pipe {
 public:
  void write(time_point now, const_bytes bytes) {
    chunks_.push_back({now + 20ms, {bytes.begin(), bytes.end()}});
  }
  std::optional<time_point> next_arrival() const {
    if (chunks_.empty()) return std::nullopt;
    return chunks_.front().first;
  }
  /// Everything that has arrived.
  std::vector<std::uint8_t> read(time_point now) {
    std::vector<std::uint8_t> all;
    for (; !chunks_.empty() && chunks_.front().first <= now; chunks_.pop_front())
      all.insert(all.end(), chunks_.front().second.begin(), chunks_.front().second.end());
    return all;
  }

 private:
  std::deque<std::pair<time_point, std::vector<std::uint8_t>>> chunks_;
};

class relay_world {
 public:
  struct options {
    turn::client::options client{};
    turn::server::options server{};
    sim::conditions conditions{};
    ip_address client_address = *ip_address::parse("192.0.2.1");
    endpoint listener{*ip_address::parse("198.51.100.1"), 3478};
  };

  relay_world(std::uint64_t seed, const options& opts)
      : options_{opts},
        random_{seed},
        cut_{seed + 1},
        network_{seed + 2, opts.conditions},
        users_{"weft.test"},
        server{with_realm(opts.server, opts.listener), users_, random_},
        client{random_, opts.listener, with_credentials(opts.client)},
        path{opts.listener, {opts.client_address, 40000}, opts.client.transport} {
    users_.set("alice", "secret");
    if (is_stream()) server.handle_connected(now, path);
  }

  bool is_stream() const { return path.protocol == transport_protocol::tcp; }

  /// Runs until `done()` or for so long. Whether it was done.
  template <class Done>
  bool run_until(duration limit, Done done) {
    const time_point end = now + limit;
    for (;;) {
      settle();
      if (done()) return true;
      auto next = earliest(earliest(client.poll_timeout(), server.poll_timeout()),
                           earliest(network_.next_arrival(), earliest(to_server_.next_arrival(),
                                                                      to_client_.next_arrival())));
      if (!next || *next > end) {
        now = end;
        return false;
      }
      now = std::max(now, *next);
      deliver();
      client.handle_timeout(now);
      server.handle_timeout(now);
    }
  }
  void run_for(duration time) {
    run_until(time, [] { return false; });
  }
  bool allocate(duration limit = 60s) {
    client.allocate(now);
    return run_until(limit, [&] { return client.is_allocated(); });
  }

  /// Whether the peer could be sent to.
  bool send(const endpoint& peer, std::string_view text) {
    std::array<std::uint8_t, 1500> buffer;
    const std::size_t room = client.headroom(peer);
    std::copy(text.begin(), text.end(), buffer.begin() + static_cast<std::ptrdiff_t>(room));
    const auto message = client.encapsulate(now, peer, buffer, room, text.size());
    if (message) send_to_server(*message);
    return message.has_value();
  }
  /// A peer sends to the relayed address.
  void send_from(const endpoint& peer, const endpoint& relayed, std::string_view text) {
    network_.push(now, peer, relayed, as_bytes(text));
  }

  template <class Event>
  int count() const {
    int found = 0;
    for (const auto& e : events) found += std::holds_alternative<Event>(e);
    return found;
  }
  template <class Event>
  std::optional<Event> last() const {
    for (auto e = events.rbegin(); e != events.rend(); ++e)
      if (std::holds_alternative<Event>(*e)) return std::get<Event>(*e);
    return std::nullopt;
  }

  /// The client goes on from another port, or on another connection beside the old one.
  void rebind(std::uint16_t port) {
    old_path_ = path;
    path.remote.port = port;
    if (!is_stream()) return;
    to_server_ = to_client_ = {};
    server.handle_connected(now, path);
  }
  void close_old_connection() {
    if (is_stream()) server.handle_disconnected(now, old_path_);
  }

  std::uint64_t transcript() const { return network_.transcript(); }

 private:
  static turn::client::options with_credentials(turn::client::options o) {
    if (!o.credentials) o.credentials = stun::password_credentials{"alice", "secret"};
    return o;
  }
  static turn::server::options with_realm(turn::server::options o, const endpoint& listener) {
    o.authentication.realm = "weft.test";
    o.peers = turn::address_policy{{.own_endpoints = {listener}}};
    return o;
  }

  void send_to_server(const_bytes message) {
    if (!is_stream()) {
      network_.push(now, path.remote, path.local, message);
    } else if (!cut_off) {
      to_server_.write(now, message);
    }
  }
  void send_to_client(const five_tuple& to, const_bytes message) {
    if (!is_stream()) {
      network_.push(now, to.local, to.remote, message);
    } else if (!cut_off && to == path) {
      to_client_.write(now, message);
    }
  }

  void settle() {
    std::array<std::uint8_t, 1500> buffer;
    for (bool again = true; again;) {
      again = false;
      while (const auto t = client.poll_transmit(now, buffer)) send_to_server(t->bytes);
      while (const auto t = server.poll_transmit(now, buffer)) {
        again = true;
        send_to_client({t->local, t->remote, t->protocol}, t->bytes);
      }
      while (auto e = client.poll_event()) events.push_back(std::move(*e));
      while (const auto e = server.poll_event()) {
        again = true;
        if (const auto* open = std::get_if<turn::server::open_relay>(&*e)) open_relay(*open);
        if (const auto* close = std::get_if<turn::server::close_relay>(&*e)) close_relay(*close);
      }
    }
  }

  void open_relay(const turn::server::open_relay& asked) {
    const bool six = asked.family == turn::address_family::ipv6;
    if (asked.even_port && next_port_ % 2 != 0) ++next_port_;
    const endpoint relayed{*ip_address::parse(six ? "2a00:1450::77" : "8.8.8.77"), next_port_++};
    relays_[relayed] = asked.relay;
    if (asked.next) relays_[{relayed.address, next_port_++}] = *asked.next;
    server.relay_opened(now, asked.relay, relayed);
  }
  void close_relay(const turn::server::close_relay& closed) {
    std::erase_if(relays_, [&](const auto& relay) { return relay.second == closed.relay; });
  }

  void deliver() {
    while (const auto p = network_.pop(now)) {
      if (cut_off && (p->from == path.local || p->to == path.local)) continue;
      if (p->to == path.local) {
        forward(server.handle_input(now, {p->to, p->from, transport_protocol::udp}, p->bytes));
      } else if (p->to == path.remote) {
        client.handle_input(now, p->bytes);
        receive();
      } else if (const auto relay = relays_.find(p->to); relay != relays_.end()) {
        std::array<std::uint8_t, turn::server::headroom> room;
        const auto out = server.handle_relayed(now, relay->second, p->from, p->bytes, room);
        if (!out) continue;
        std::vector<std::uint8_t> message(out->header.begin(), out->header.end());
        message.insert(message.end(), out->payload.begin(), out->payload.end());
        message.resize(message.size() + out->padding);
        send_to_client(out->client, message);
      } else {
        at_peers.push_back({p->from, p->to, std::string{as_text(p->bytes)}});
        if (echo) network_.push(now, p->to, p->from, p->bytes);
      }
    }
    deliver_streams();
  }
  void deliver_streams() {
    for (const auto all = to_server_.read(now); const_bytes chunk : pieces(all)) {
      while (!chunk.empty()) {
        const auto step = server.handle_stream(now, path, chunk);
        chunk = chunk.subspan(step.consumed);
        forward(step.forward);
        if (step.then == turn::server::stream_step::next::close) client.handle_disconnected(now);
        if (step.then != turn::server::stream_step::next::go_on) break;
      }
    }
    for (const auto all = to_client_.read(now); const const_bytes chunk : pieces(all)) {
      client.handle_input(now, chunk);
      receive();
    }
  }
  std::vector<const_bytes> pieces(const_bytes all) {
    std::vector<const_bytes> cut;
    while (!all.empty()) {
      const std::size_t size = std::min<std::size_t>(all.size(), 1 + cut_.next() % 700);
      cut.push_back(all.first(size));
      all = all.subspan(size);
    }
    return cut;
  }
  void forward(const std::optional<turn::server::to_peer>& out) {
    if (!out) return;
    for (const auto& [address, relay] : relays_)
      if (relay == out->relay) {
        with_df += out->dont_fragment;
        network_.push(now, address, out->peer, out->payload);
      }
  }
  void receive() {
    while (const auto data = client.receive())
      at_client.push_back({data->peer, {}, std::string{as_text(data->bytes)}});
  }

  options options_;
  seeded_random random_;
  seeded_random cut_;
  sim::network network_;
  pipe to_server_;
  pipe to_client_;
  stun::password_users users_;
  std::map<endpoint, turn::relay_id> relays_;
  std::uint16_t next_port_ = 50001;
  five_tuple old_path_;

 public:
  struct datagram {
    endpoint from;
    endpoint to;
    std::string text;
  };

  turn::server server;
  turn::client client;
  five_tuple path;
  time_point now{};
  bool echo = true;      ///< Peers send back what they get.
  bool cut_off = false;  ///< Nothing passes between client and server.
  int with_df = 0;
  std::vector<datagram> at_peers;
  std::vector<datagram> at_client;
  std::vector<turn::client::event> events;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_TURN_PAIR_HPP
