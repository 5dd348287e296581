#ifndef WEFT_TESTS_ICE_WORLD_HPP
#define WEFT_TESTS_ICE_WORLD_HPP

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/ice/agent.hpp>
#include <weft/stun/binding_server.hpp>

#include "support/sim.hpp"

/// Agents, NATs and STUN servers on one simulated network, in virtual time.
namespace weft::ice::test {

using namespace std::chrono_literals;

inline endpoint at(std::string_view address, std::uint16_t port = 5000) {
  return {ip_address::parse(address).value(), port};
}

/// A NAT with one public address: a mapping for each inside socket and, where it is strict, for
/// each destination (RFC 4787 §4.1: endpoint-independent or address-and-port-dependent);
/// lets in only who was written to (§5: address-and-port-dependent filtering).
class nat {
 public:
  nat(std::string_view public_address, bool strict)
      : address_{ip_address::parse(public_address).value()}, strict_{strict} {}

  const ip_address& address() const { return address_; }

  endpoint outward(const endpoint& inside, const endpoint& to) {
    const auto key = std::pair{inside, strict_ ? to : endpoint{}};
    auto known = mappings_.find(key);
    if (known == mappings_.end())
      known = mappings_.emplace(key, endpoint{address_, next_port_++}).first;
    open_.insert({known->second, to});
    return known->second;
  }
  std::optional<endpoint> inward(const endpoint& from, const endpoint& to) const {
    if (!open_.contains({to, from})) return std::nullopt;
    for (const auto& [key, mapped] : mappings_)
      if (mapped == to) return key.first;
    return std::nullopt;
  }
  /// As after a reboot: everybody gets another port.
  void forget() {
    mappings_.clear();
    open_.clear();
  }

 private:
  ip_address address_;
  bool strict_;
  std::uint16_t next_port_ = 40000;
  std::map<std::pair<endpoint, endpoint>, endpoint> mappings_;
  std::set<std::pair<endpoint, endpoint>> open_;
};

/// An agent with what it has said, on a host behind a NAT or on the network itself.
struct host {
  host(std::uint64_t seed, const agent::options& opts) : random{seed}, ice{random, opts} {}

  seeded_random random;
  agent ice;
  nat* behind = nullptr;
  std::vector<endpoint> sockets;
  std::vector<agent::event> events;
  std::vector<candidate> unsent;  ///< Gathered, not yet signalled.
  bool end_unsent = false;
  std::map<std::string, ip_address> names;  ///< What names resolve to here.

  template <class Event>
  std::vector<Event> all() const {
    std::vector<Event> out;
    for (const auto& e : events)
      if (const auto* found = std::get_if<Event>(&e)) out.push_back(*found);
    return out;
  }
  std::vector<state> states() const {
    std::vector<state> out;
    for (const auto& e : all<agent::state_changed>()) out.push_back(e.state);
    return out;
  }
};

class world {
 public:
  explicit world(std::uint64_t seed, const sim::conditions& c = {.delay = 10ms}) : net{seed, c} {}

  void add_socket(host& h, const endpoint& address) {
    (void)h.ice.add_local_address(now, address);
    h.sockets.push_back(address);
  }
  void remove_socket(host& h, const endpoint& address) {
    std::erase(h.sockets, address);
    h.ice.remove_local_address(now, address);
  }
  static void introduce(time_point now, host& a, host& b) {
    (void)b.ice.set_remote_credentials(now, a.ice.local_credentials());
  }
  /// Both sides know each other's credentials; candidates trickle as they are gathered.
  void introduce(host& a, host& b) {
    introduce(now, a, b);
    introduce(now, b, a);
  }

  /// Runs until `done()` or for `limit`; returns whether it was done.
  template <class Done>
  bool run(duration limit, Done done) {
    const time_point end = now + limit;
    for (;;) {
      settle();
      if (done()) return true;
      auto next = net.next_arrival();
      for (host* h : hosts) next = earliest(next, h->ice.poll_timeout());
      if (!next || *next > end) {
        now = end;
        return false;
      }
      now = std::max(now, *next);
      while (auto p = net.pop(now)) deliver(*p);
      for (host* h : hosts) h->ice.handle_timeout(now);
    }
  }
  void run(duration limit) {
    run(limit, [] { return false; });
  }
  /// Until both have a selected pair and agree on it.
  bool connect(host& a, host& b, duration limit = 60s) {
    return run(limit, [&] { return is_connected(a.ice) && is_connected(b.ice); });
  }
  static bool is_connected(const agent& a) {
    return a.current_state() == state::connected || a.current_state() == state::completed;
  }

  time_point now{};
  sim::network net;
  std::vector<host*> hosts;
  std::map<endpoint, stun::binding_server*> servers;
  bool trickle = true;
  std::uint64_t undeliverable = 0;
  std::map<endpoint, std::uint64_t> sent_to;
  std::uint64_t spins = 0;  ///< Datagrams sent in the same instant, the most there were.

 private:
  void settle() {
    std::array<std::uint8_t, max_datagram_size> buffer;
    for (host* h : hosts) {
      note_events(*h);
      std::uint64_t burst = 0;
      while (auto t = h->ice.poll_transmit(now, buffer)) {
        ++burst;
        ++sent_to[t->remote];
        send(*h, t->local, t->remote, t->bytes);
      }
      spins = std::max(spins, burst);
      note_events(*h);
    }
    if (!trickle || hosts.size() != 2) return;
    signal(*hosts[0], *hosts[1]);
    signal(*hosts[1], *hosts[0]);
  }
  void note_events(host& h) {
    while (auto e = h.ice.poll_event()) {
      h.events.push_back(*e);
      if (const auto* gathered = std::get_if<agent::candidate_gathered>(&*e))
        h.unsent.push_back(gathered->candidate);
      if (std::holds_alternative<agent::gathering_complete>(*e)) h.end_unsent = true;
      if (const auto* asked = std::get_if<agent::resolve_name>(&*e))
        if (const auto known = h.names.find(asked->name); known != h.names.end())
          h.ice.resolve(now, asked->name, std::array{known->second});
    }
  }
  void signal(host& from, host& to) {
    for (const candidate& c : std::exchange(from.unsent, {}))
      (void)to.ice.add_remote_candidate(now, c);
    if (std::exchange(from.end_unsent, false)) to.ice.end_of_remote_candidates(now);
  }
  void send(host& h, const endpoint& local, const endpoint& remote, const_bytes bytes) {
    const endpoint from = h.behind ? h.behind->outward(local, remote) : local;
    net.push(now, from, remote, bytes);
  }
  void deliver(const sim::packet& p) {
    if (const auto server = servers.find(p.to); server != servers.end()) {
      std::array<std::uint8_t, 256> buffer;
      if (const auto answer = server->second->respond(p.from, p.bytes, buffer))
        net.push(now, p.to, p.from, *answer);
      return;
    }
    for (host* h : hosts) {
      endpoint to = p.to;
      if (h->behind) {
        if (p.to.address != h->behind->address()) continue;
        const auto inside = h->behind->inward(p.from, p.to);
        if (!inside) continue;
        to = *inside;
      }
      if (std::ranges::find(h->sockets, to) == h->sockets.end()) continue;
      h->ice.handle_input(now, to, p.from, p.bytes);
      return;
    }
    ++undeliverable;
  }
};

}  // namespace weft::ice::test

#endif  // WEFT_TESTS_ICE_WORLD_HPP
