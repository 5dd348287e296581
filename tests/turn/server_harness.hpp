#ifndef WEFT_TESTS_TURN_SERVER_HARNESS_HPP
#define WEFT_TESTS_TURN_SERVER_HARNESS_HPP

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <weft/core/random.hpp>
#include <weft/stun/long_term_client.hpp>
#include <weft/stun/user_store.hpp>
#include <weft/turn/attributes.hpp>
#include <weft/turn/channel_data.hpp>
#include <weft/turn/server.hpp>

/// A server with a driver that opens relays at once, and clients that sign their requests.
namespace weft::server_test {

using namespace std::chrono_literals;

using datagram = std::vector<std::uint8_t>;

inline ip_address ip(std::string_view text) {
  return *ip_address::parse(text);
}
inline endpoint at(std::string_view text, std::uint16_t port) {
  return {ip(text), port};
}

inline const endpoint listener = at("198.51.100.1", 3478);
inline const ip_address relay_v4 = ip("198.51.100.2");
inline const ip_address relay_v6 = ip("2001:db8::2");
inline const endpoint peer_a = at("9.9.9.9", 4000);
inline const endpoint peer_b = at("8.8.4.4", 5000);
inline const endpoint peer_v6 = at("2a00:1450::5", 6000);

inline const_bytes bytes_of(std::string_view text) {
  return as_bytes(text);
}

/// What came back for a request: 0 for silence, 200 for success, or the error's code.
struct answer {
  int code = 0;
  datagram bytes;

  stun::message_view view() const { return *stun::message_view::parse(bytes); }
  friend bool operator==(const answer& a, int expected) { return a.code == expected; }
};

inline std::ostream& operator<<(std::ostream& out, const answer& a) {
  return out << a.code;
}

struct test_client {
  five_tuple path;
  stun::long_term_client auth;
};

class turn_fixture {
 public:
  explicit turn_fixture(turn::server::options opts = {})
      : server{with_realm(std::move(opts)), users, random} {
    users.set("alice", "secret");
    users.set("bob", "hidden");
  }

  static turn::server::options with_realm(turn::server::options opts) {
    opts.authentication.realm = "weft.test";
    opts.peers = turn::address_policy{{.allow = opts.peers.rules().allow,
                                       .deny = opts.peers.rules().deny,
                                       .own_endpoints = {listener}}};
    return opts;
  }

  // Clients

  test_client udp(std::uint16_t port, std::string_view name = "alice",
                  std::string_view password = "secret", std::string_view address = "7.7.7.7") {
    return {{listener, at(address, port), transport_protocol::udp},
            stun::long_term_client{
                stun::password_credentials{std::string{name}, std::string{password}}}};
  }
  /// Connected.
  test_client tcp(std::uint16_t port, std::string_view name = "alice",
                  std::string_view password = "secret") {
    test_client client = udp(port, name, password);
    client.path.protocol = transport_protocol::tcp;
    CHECK(server.handle_connected(now, client.path));
    return client;
  }

  stun::transaction_id new_id() {
    stun::transaction_id id;
    random.fill(id);
    return id;
  }

  /// A request as its client would send it now: unsigned before the first challenge.
  template <class Fill>
  datagram build(test_client& client, stun::method method, const stun::transaction_id& id,
                 Fill&& fill) {
    stun::long_term_attempt attempt;
    return build(client, method, id, fill, attempt);
  }
  template <class Fill>
  datagram build(test_client& client, stun::method method, const stun::transaction_id& id,
                 Fill&& fill, stun::long_term_attempt& attempt) {
    std::array<std::uint8_t, 1400> buffer{};
    stun::message_builder m{buffer, stun::message_class::request, method, id};
    fill(m);
    client.auth.sign(m, attempt);
    const auto bytes = m.finish();
    REQUIRE_FALSE(bytes.empty());
    return {bytes.begin(), bytes.end()};
  }

  /// Sends a request until it is neither challenged nor told that its nonce is stale.
  template <class Fill>
  answer request(test_client& client, stun::method method, Fill&& fill) {
    stun::long_term_attempt attempt;
    for (int i = 0; i < 4; ++i) {
      const auto id = new_id();
      give(client.path, build(client, method, id, fill, attempt));
      run();
      const answer a = take_answer(client.path, id);
      if (a.code == 0) return a;
      if (client.auth.examine(a.view(), attempt) != stun::long_term_verdict::challenged) return a;
    }
    return {};
  }
  answer request(test_client& client, stun::method method) {
    return request(client, method, [](stun::message_builder&) {});
  }

  /// Bytes from a client, over whatever it uses.
  void give(const five_tuple& path, const_bytes bytes) {
    if (path.protocol == transport_protocol::udp) {
      if (const auto forward = server.handle_input(now, path, bytes))
        to_peers.push_back(copy(*forward));
      return;
    }
    while (!bytes.empty()) {
      const auto step = server.handle_stream(now, path, bytes);
      if (step.forward) to_peers.push_back(copy(*step.forward));
      bytes = bytes.subspan(step.consumed);
      if (step.then == turn::server::stream_step::next::joined) {
        joined.push_back(step.connection);
        break;
      }
      if (step.then == turn::server::stream_step::next::close) {
        closed_streams.push_back(path);
        break;
      }
    }
  }

  // Common requests

  answer allocate(test_client& client) {
    return allocate(client, [](stun::message_builder&) {});
  }
  template <class Fill>
  answer allocate(test_client& client, Fill&& fill) {
    return request(client, turn::methods::allocate, [&](stun::message_builder& m) {
      turn::add_requested_transport(m, turn::relayed_transport::udp);
      fill(m);
    });
  }
  answer refresh(test_client& client, std::optional<std::uint32_t> lifetime = {}) {
    return request(client, turn::methods::refresh, [&](stun::message_builder& m) {
      if (lifetime) turn::add_lifetime(m, std::chrono::seconds{*lifetime});
    });
  }
  answer permit(test_client& client, const std::vector<endpoint>& peers) {
    return request(client, turn::methods::create_permission, [&](stun::message_builder& m) {
      for (const endpoint& peer : peers) turn::add_peer_address(m, peer);
    });
  }
  answer bind(test_client& client, std::uint16_t number, const endpoint& peer) {
    return request(client, turn::methods::channel_bind, [&](stun::message_builder& m) {
      turn::add_channel_number(m, number);
      turn::add_peer_address(m, peer);
    });
  }

  // Data

  struct relayed {
    turn::relay_id relay;
    endpoint peer;
    std::string payload;
    bool dont_fragment;
  };
  static relayed copy(const turn::server::to_peer& f) {
    return {f.relay, f.peer, std::string{as_text(f.payload)}, f.dont_fragment};
  }
  /// What the server relays of this, if anything.
  std::optional<relayed> taken() {
    if (to_peers.empty()) return std::nullopt;
    const relayed first = to_peers.front();
    to_peers.erase(to_peers.begin());
    return first;
  }

  static datagram channel_data(std::uint16_t number, std::string_view text) {
    datagram out(turn::channel_header_size + text.size());
    turn::write_channel_header(std::span{out}.first<4>(), number,
                               static_cast<std::uint16_t>(text.size()));
    std::copy(text.begin(), text.end(), out.begin() + 4);
    return out;
  }
  std::optional<relayed> send_on_channel(const test_client& client, std::uint16_t number,
                                         std::string_view text) {
    datagram message = channel_data(number, text);
    if (client.path.protocol == transport_protocol::tcp)
      message.resize(stun::padded(message.size()));
    give(client.path, message);
    return taken();
  }
  std::optional<relayed> send(const test_client& client, const endpoint& peer,
                              std::string_view text, bool dont_fragment = false) {
    std::array<std::uint8_t, 1400> buffer{};
    stun::message_builder m{buffer, stun::message_class::indication, turn::methods::send, new_id()};
    turn::add_peer_address(m, peer);
    if (dont_fragment) turn::add_dont_fragment(m);
    turn::add_data(m, bytes_of(text));
    give(client.path, m.finish());
    return taken();
  }
  /// What the client gets when a peer sends to a relay, in one piece.
  std::optional<std::pair<five_tuple, datagram>> from_peer(turn::relay_id relay,
                                                           const endpoint& peer,
                                                           std::string_view text) {
    std::array<std::uint8_t, turn::server::headroom> room{};
    const auto out = server.handle_relayed(now, relay, peer, bytes_of(text), room);
    if (!out) return std::nullopt;
    CHECK(out->header.data() + out->header.size() == room.data() + room.size());
    datagram whole{out->header.begin(), out->header.end()};
    whole.insert(whole.end(), out->payload.begin(), out->payload.end());
    whole.resize(whole.size() + out->padding);
    return std::pair{out->client, whole};
  }

  // The driver

  /// Answers events and collects replies, until there is nothing more to do.
  void run() {
    std::array<std::uint8_t, 1500> buffer{};
    for (bool busy = true; busy;) {
      busy = false;
      while (const auto e = server.poll_event()) {
        busy = true;
        std::visit([&](const auto& what) { handle(what); }, *e);
      }
      while (const auto t = server.poll_transmit(now, buffer)) {
        busy = true;
        replies.push_back({{t->local, t->remote, t->protocol}, {t->bytes.begin(), t->bytes.end()}});
      }
    }
  }
  /// Lets time pass, with timeouts when they are due.
  void wait(duration time) {
    const time_point end = now + time;
    for (;;) {
      run();
      const auto next = server.poll_timeout();
      if (!next || *next > end) break;
      now = std::max(now, *next);
      server.handle_timeout(now);
    }
    now = end;
    run();
  }

  answer take_answer(const five_tuple& path, const stun::transaction_id& id) {
    for (auto it = replies.begin(); it != replies.end(); ++it) {
      const auto m = stun::message_view::parse(it->second);
      if (it->first != path || !m || m->id() != id) continue;
      answer a{200, it->second};
      if (m->type_class() == stun::message_class::error)
        a.code = m->error() ? static_cast<int>(m->error()->code) : -1;
      replies.erase(it);
      return a;
    }
    return {};
  }
  /// The relay sockets that are open, in the order of their opening.
  turn::relay_id relay(std::size_t i = 0) const { return open[i].relay; }

  void handle(const turn::server::open_relay& e) {
    opened.push_back(e);
    if (manual) return;
    if (failing > 0) {
      --failing;
      server.relay_failed(now, e.relay);
      return;
    }
    answer_open(e);
  }
  void answer_open(const turn::server::open_relay& e) {
    if (e.even_port) next_port = static_cast<std::uint16_t>((next_port + 1) & ~1);
    const ip_address address = e.family == turn::address_family::ipv4 ? relay_v4 : relay_v6;
    open.push_back(e);
    server.relay_opened(now, e.relay, {address, next_port++});
    if (!e.next) return;
    turn::server::open_relay second = e;
    second.relay = *e.next;
    open.push_back(second);
    ++next_port;
  }
  void handle(const turn::server::close_relay& e) {
    closed.push_back(e.relay);
    std::erase_if(open, [&](const turn::server::open_relay& o) { return o.relay == e.relay; });
  }
  void handle(const turn::server::connect_peer& e) { connects.push_back(e); }
  void handle(const turn::server::close_peer& e) { closed_peers.push_back(e.connection); }
  void handle(const turn::server::close_stream& e) { closed_streams.push_back(e.client); }
  template <class Audit>
  void handle(const Audit& e) {
    audit.push_back(e);
  }
  template <class Audit>
  std::vector<Audit> audits() const {
    std::vector<Audit> found;
    for (const auto& e : audit)
      if (const auto* const a = std::get_if<Audit>(&e)) found.push_back(*a);
    return found;
  }

  time_point now{std::chrono::hours{1}};
  seeded_random random{1};
  stun::password_users users{"weft.test"};
  turn::server server;

  std::vector<std::pair<five_tuple, datagram>> replies;
  std::vector<relayed> to_peers;
  std::vector<turn::server::open_relay> opened;
  std::vector<turn::server::open_relay> open;
  std::vector<turn::relay_id> closed;
  std::vector<turn::server::connect_peer> connects;
  std::vector<turn::connection_id> closed_peers;
  std::vector<turn::connection_id> joined;
  std::vector<five_tuple> closed_streams;
  std::vector<turn::server::event> audit;
  std::uint16_t next_port = 50'001;
  bool manual = false;  ///< The test answers `opened` itself.
  int failing = 0;      ///< So many relays cannot be opened.
};

}  // namespace weft::server_test

#endif  // WEFT_TESTS_TURN_SERVER_HARNESS_HPP
