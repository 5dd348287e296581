#ifndef WEFT_TESTS_PEER_RELAYED_CALL_HPP
#define WEFT_TESTS_PEER_RELAYED_CALL_HPP

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <weft/dtls/session.hpp>
#include <weft/stun/response.hpp>
#include <weft/turn/server.hpp>

#include "call.hpp"

namespace weft::peer::test {

inline endpoint server_address(std::uint16_t port) {
  return {ip_address{std::array<std::uint8_t, 4>{192, 0, 2, 1}}, port};
}
/// At the third it says that the first is the one to ask (RFC 8489 §10).
inline constexpr std::uint16_t plain_port = 3478, secure_port = 5349, redirecting_port = 3479;

inline ice_server relay_user(std::vector<std::string> urls) {
  return {std::move(urls), "user", std::string{"password"}};
}

/// Two connections, a TURN server over everything that can carry it, and wires that take 20 ms and
/// lose nothing. What does not go by way of the server gets nowhere unless `direct` is set.
class relayed_call {
 public:
  static constexpr duration delay = std::chrono::milliseconds{20};

  relayed_call(std::uint64_t seed, const connection::options& a_options,
               const connection::options& b_options)
      : a{seed * 2 + 1, 1, a_options},
        b{seed * 2 + 2, 2, b_options},
        random_{seed + 1000},
        server_{server_options(), users_, random_} {
    users_.set("user", "password");
    weft::test::set_virtual_time(now);
  }

  void negotiate(side& offerer, side& answerer) {
    REQUIRE(offerer.peer.set_local_description(now));
    REQUIRE(answerer.peer.set_remote_description(now, *offerer.peer.local_description()));
    REQUIRE(answerer.peer.set_local_description(now));
    REQUIRE(offerer.peer.set_remote_description(now, *answerer.peer.local_description()));
  }

  template <class Predicate>
  bool run(duration limit, Predicate done) {
    const time_point end = now + limit;
    for (;;) {
      settle_all();
      if (done()) return true;
      auto next =
          earliest(earliest(a.peer.poll_timeout(), b.peer.poll_timeout()), server_.poll_timeout());
      for (const auto& [client, session] : sessions_) next = earliest(next, session.poll_timeout());
      if (!parcels_.empty()) next = earliest(next, parcels_.front().arrives);
      if (!next || *next > end) {
        move_to(end);
        return false;
      }
      move_to(std::max(now, *next));
      while (!parcels_.empty() && parcels_.front().arrives <= now) {
        const parcel p = std::move(parcels_.front());
        parcels_.pop_front();
        deliver(p);
      }
      a.peer.handle_timeout(now);
      b.peer.handle_timeout(now);
      server_.handle_timeout(now);
      for (auto& [client, session] : sessions_) session.handle_timeout(now);
    }
  }
  void run(duration limit) {
    run(limit, [] { return false; });
  }
  bool connect(duration limit = std::chrono::seconds{60}) {
    return run(limit, [&] {
      return a.peer.state() == connection_state::connected &&
             b.peer.state() == connection_state::connected && !a.opened.empty() &&
             !b.opened.empty();
    });
  }
  /// A text each way.
  bool talk(duration limit = std::chrono::seconds{10}) {
    const auto before = heard();
    REQUIRE(a.peer.send(now, a.opened[0], "from a"));
    REQUIRE(b.peer.send(now, b.opened[0], "from b"));
    return run(limit, [&] { return heard() == before + 2; });
  }
  std::size_t heard() { return a.messages[a.opened[0]].size() + b.messages[b.opened[0]].size(); }

  /// Whether the path is one of an allocation.
  static bool is_relayed(const side& s) {
    const auto pair = s.peer.selected_pair();
    return pair && (pair->local.address == server_address(0).address ||
                    pair->remote.address == server_address(0).address);
  }
  std::size_t allocations() const { return server_.usage().allocations; }

  void add_address(side& s, const endpoint& local) {
    REQUIRE(s.peer.add_local_address(now, local));
    owners_[local] = &s;
  }
  void remove_address(side& s, const endpoint& local) {
    s.peer.remove_local_address(now, local);
    owners_.erase(local);
  }

  time_point now{};
  side a;
  side b;
  bool direct = false;  ///< Whether the two reach each other.
  bool udp_to_server = true;
  bool tcp_to_server = true;
  bool trusts = true;  ///< Whether the server's certificate is the right one.
  std::map<std::string, std::vector<ip_address>> names;
  stun::password_users users_{"example.org"};

  turn::server& server() { return server_; }
  void restart_server() {
    server_ = turn::server{server_options(), users_, random_};
    relays_.clear();
    by_address_.clear();
  }

 private:
  struct parcel {
    enum class kind : std::uint8_t { datagram, bytes, connected, ended };
    time_point arrives;
    kind what;
    five_tuple path;  ///< As the receiver has it.
    side* to;         ///< Null: the server.
    std::vector<std::uint8_t> bytes;
  };

  static turn::server::options server_options() {
    turn::server::options opts;
    opts.authentication.realm = "example.org";
    turn::address_policy::options rules;
    for (const auto* block : {"10.0.0.0/8", "192.0.2.0/24"})
      rules.allow.push_back(turn::peer_rule::parse(block).value());
    opts.peers = turn::address_policy{rules};
    return opts;
  }

  void move_to(time_point t) {
    now = t;
    weft::test::set_virtual_time(now);
  }

  void push(parcel::kind what, const five_tuple& path, side* to, const_bytes bytes = {},
            duration after = delay) {
    parcels_.push_back({now + after, what, path, to, {bytes.begin(), bytes.end()}});
    std::ranges::stable_sort(parcels_, {}, &parcel::arrives);
  }

  side* owner(const endpoint& local) {
    if (local == a.local && !lost_.contains(local)) return &a;
    if (local == b.local && !lost_.contains(local)) return &b;
    const auto known = owners_.find(local);
    return known == owners_.end() ? nullptr : known->second;
  }

 public:
  /// The first address of a side is gone.
  void lose_first_address(side& s) {
    lost_.insert(s.local);
    s.peer.remove_local_address(now, s.local);
  }

 private:
  // The network

  void send_datagram(const endpoint& from, const endpoint& to, const_bytes bytes) {
    const bool from_server = from.address == server_address(0).address;
    const bool to_server = to.address == server_address(0).address;
    if ((from_server != to_server) && !udp_to_server) return;
    if (!from_server && !to_server && !direct) return;
    if (!from_server && owner(from) == nullptr) return;
    if (to_server) return push(parcel::kind::datagram, {to, from}, nullptr, bytes);
    if (side* const s = owner(to)) push(parcel::kind::datagram, {to, from}, s, bytes);
  }

  static endpoint real_end(const five_tuple& named) {
    return {named.local.address, static_cast<std::uint16_t>(30000 + named.local.port)};
  }

  void deliver(const parcel& p) {
    if (p.to != nullptr) {
      switch (p.what) {
        case parcel::kind::datagram:
        case parcel::kind::bytes:
          p.to->peer.handle_input(now, p.path, p.bytes);
          return;
        case parcel::kind::connected:
          p.to->peer.handle_connected(now, p.path);
          return;
        case parcel::kind::ended:
          p.to->peer.handle_disconnected(now, p.path);
          return;
      }
    }
    switch (p.what) {
      case parcel::kind::connected:
        (void)server_.handle_connected(now, p.path);
        return;
      case parcel::kind::ended:
        server_.handle_disconnected(now, p.path);
        return;
      case parcel::kind::bytes:
        return read_stream(p.path, p.bytes);
      case parcel::kind::datagram:
        return read_datagram(p.path, p.bytes);
    }
  }

  // The server

  void read_datagram(const five_tuple& path, const_bytes bytes) {
    if (const auto relay = by_address_.find(path.local); relay != by_address_.end()) {
      std::array<std::uint8_t, turn::server::headroom> room;
      const auto data = server_.handle_relayed(now, relay->second, path.remote, bytes, room);
      if (!data) return;
      std::vector<std::uint8_t> message{data->header.begin(), data->header.end()};
      message.insert(message.end(), data->payload.begin(), data->payload.end());
      message.insert(message.end(), data->padding, 0);
      return to_client(data->client, message);
    }
    if (path.local.port == plain_port) {
      if (const auto data = server_.handle_input(now, path, bytes)) relay(*data);
      return;
    }
    if (path.local.port == redirecting_port) return redirect(path, bytes);
    if (path.local.port != secure_port) return;
    auto session = sessions_.find(path);
    if (session == sessions_.end())
      session =
          sessions_.emplace(path, dtls::session{certificate_, {.role = dtls::role::server}}).first;
    session->second.handle_input(now, bytes);
    if (!session->second.remote_certificate().empty())  // Any client will do.
      session->second.set_remote_fingerprints(
          now, {dtls::fingerprint_of(dtls::hash::sha_256, session->second.remote_certificate())});
    while (const auto record = session->second.receive())
      if (const auto data = server_.handle_input(now, path, *record)) relay(*data);
  }

  void redirect(const five_tuple& path, const_bytes bytes) {
    const auto request = stun::message_view::parse(bytes);
    if (!request || request->type_method() != turn::methods::allocate) return;
    std::array<std::uint8_t, 200> buffer;
    stun::message_builder answer =
        stun::error_response(buffer, *request, stun::error_code::try_alternate);
    answer.add_alternate_server(server_address(plain_port));
    send_datagram(path.local, path.remote, answer.finish());
  }

  void read_stream(const five_tuple& client, const_bytes chunk) {
    while (!chunk.empty()) {
      const auto step = server_.handle_stream(now, client, chunk);
      chunk = chunk.subspan(step.consumed);
      if (step.forward) relay(*step.forward);
      if (step.then != turn::server::stream_step::next::go_on) return;
    }
  }

  void relay(const turn::server::to_peer& data) {
    if (const auto from = relays_.find(data.relay); from != relays_.end())
      send_datagram(from->second, data.peer, data.payload);
  }

  void to_client(const five_tuple& client, const_bytes bytes) {
    if (client.protocol == transport_protocol::tcp) {
      const auto known = streams_.find(client);
      if (known != streams_.end())
        push(parcel::kind::bytes, known->second.second, known->second.first, bytes);
      return;
    }
    const auto session = sessions_.find(client);
    if (session == sessions_.end()) return send_datagram(client.local, client.remote, bytes);
    std::array<std::uint8_t, 2048> buffer;
    if (const auto record = session->second.protect(now, bytes, buffer))
      send_datagram(client.local, client.remote, *record);
  }

  bool settle_server() {
    bool busy = false;
    while (const auto e = server_.poll_event()) {
      busy = true;
      if (const auto* wanted = std::get_if<turn::server::open_relay>(&*e)) {
        if (wanted->family != turn::address_family::ipv4) {
          server_.relay_failed(now, wanted->relay);
          continue;
        }
        const endpoint relayed = server_address(next_relay_++);
        relays_[wanted->relay] = relayed;
        by_address_[relayed] = wanted->relay;
        server_.relay_opened(now, wanted->relay, relayed);
      } else if (const auto* done = std::get_if<turn::server::close_relay>(&*e)) {
        by_address_.erase(relays_[done->relay]);
        relays_.erase(done->relay);
      }
    }
    std::array<std::uint8_t, 2048> buffer;
    while (const auto t = server_.poll_transmit(now, buffer)) {
      busy = true;
      to_client({t->local, t->remote, t->protocol}, t->bytes);
    }
    for (auto& [client, session] : sessions_)
      while (const auto t = session.poll_transmit(now, buffer)) {
        busy = true;
        send_datagram(client.local, client.remote, t->bytes);
      }
    return busy;
  }

  // The two sides

  void settle_all() {
    bool busy = true;
    while (busy) {
      busy = settle(a, b);
      busy = settle(b, a) || busy;
      busy = settle_server() || busy;
    }
  }

  bool settle(side& s, side& other) {
    bool busy = false;
    std::array<std::uint8_t, max_datagram_size> buffer;
    while (auto e = s.peer.poll_event()) {
      busy = true;
      serve(s, *e);
      call::note(s, *e);
    }
    while (const auto m = s.peer.receive(now)) {
      busy = true;
      s.messages[m->channel].push_back({m->kind, std::string{as_text(m->payload)}});
    }
    while (auto t = s.peer.poll_transmit(now, buffer)) {
      busy = true;
      if (t->protocol == transport_protocol::udp) {
        send_datagram(t->local, t->remote, t->bytes);
        continue;
      }
      const five_tuple named{t->local, t->remote, t->protocol};
      push(parcel::kind::bytes, {t->remote, real_end(named), transport_protocol::tcp}, nullptr,
           t->bytes);
    }
    if (!other.peer.remote_description()) return busy;
    for (auto& candidate : std::exchange(s.candidates, {}))
      (void)other.peer.add_ice_candidate(now, candidate);
    return busy;
  }

  /// What a driver does.
  void serve(side& s, const connection::event& e) {
    if (const auto* wanted = std::get_if<connection::connect>(&e)) {
      const five_tuple client{wanted->path.remote, real_end(wanted->path), transport_protocol::tcp};
      const bool there = wanted->path.remote.address == server_address(0).address &&
                         wanted->path.remote.port == (wanted->tls ? secure_port : plain_port);
      if (!tcp_to_server || !there)
        return push(parcel::kind::ended, wanted->path, &s, {}, 3 * delay);
      streams_[client] = {&s, wanted->path};
      push(parcel::kind::connected, client, nullptr);
      push(parcel::kind::connected, wanted->path, &s, {}, 2 * delay);
    } else if (const auto* done = std::get_if<connection::disconnect>(&e)) {
      const five_tuple client{done->path.remote, real_end(done->path), transport_protocol::tcp};
      if (streams_.erase(client) > 0) push(parcel::kind::ended, client, nullptr);
    } else if (const auto* asked = std::get_if<connection::resolve_server>(&e)) {
      const auto known = names.find(asked->name);
      if (known != names.end()) s.peer.resolve(now, asked->name, known->second);
    } else if (const auto* shown = std::get_if<connection::verify_server>(&e)) {
      const bool same = std::ranges::equal(shown->chain.at(0), certificate_.der());
      // A verdict on another certificate counts for nothing.
      auto another = *shown;
      another.chain.front().back() ^= 1;
      s.peer.server_verified(now, another, true);
      s.peer.server_verified(now, *shown, trusts && same);
    }
  }

  seeded_random random_;
  turn::server server_;
  dtls::certificate certificate_ = make_certificate();
  std::map<five_tuple, dtls::session> sessions_;
  std::map<turn::relay_id, endpoint> relays_;
  std::map<endpoint, turn::relay_id> by_address_;
  std::uint16_t next_relay_ = 50000;
  std::map<five_tuple, std::pair<side*, five_tuple>> streams_;
  std::map<endpoint, side*> owners_;
  std::set<endpoint> lost_;
  std::deque<parcel> parcels_;
};

}  // namespace weft::peer::test

#endif  // WEFT_TESTS_PEER_RELAYED_CALL_HPP
