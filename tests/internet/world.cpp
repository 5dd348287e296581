#include "world.hpp"

#include <algorithm>

namespace weft::internet_test {

endpoint world::add_stun_server(std::string_view address) {
  const endpoint where = add_dead_server(address);
  (void)net.bind(server_hosts_.at(where), where);
  stun_servers_.emplace(where, stun::binding_server{});
  return where;
}

endpoint world::add_dead_server(std::string_view address) {
  const endpoint where = at(address, 3478);
  const auto host = net.add_host();
  net.attach(host, internet::public_network, where.address);
  server_hosts_.emplace(where, host);
  return where;
}

party& world::add_party(const ice::agent::options& opts) {
  parties.push_back(std::make_unique<party>(net.add_host(), seed_ * 2 + parties.size(), opts));
  return *parties.back();
}

endpoint world::add_interface(party& p, internet::network n, std::string_view address) {
  net.attach(p.host, n, ip(address));
  const endpoint bound = net.bind(p.host, at(address, 0)).value();
  (void)p.ice.add_local_address(now, bound);
  return bound;
}

void world::introduce() {
  party &a = *parties[0], &b = *parties[1];
  (void)a.ice.set_remote_credentials(now, b.ice.local_credentials());
  (void)b.ice.set_remote_credentials(now, a.ice.local_credentials());
  a.ice.gather(now);
  b.ice.gather(now);
}

std::optional<time_point> world::next_event() const {
  auto next = net.next_event();
  for (const auto& p : parties) next = earliest(next, p->ice.poll_timeout());
  return next;
}

void world::step(time_point next) {
  now = std::max(now, next);
  while (const auto a = net.poll(now)) deliver(*a);
  for (const auto& p : parties) p->ice.handle_timeout(now);
}

void world::note_events(party& p) {
  while (auto e = p.ice.poll_event()) {
    if (const auto* gathered = std::get_if<ice::agent::candidate_gathered>(&*e))
      p.unsent.push_back(gathered->candidate);
    p.end_unsent |= std::holds_alternative<ice::agent::gathering_complete>(*e);
    p.events.push_back(*std::move(e));
  }
}

void world::settle() {
  std::array<std::uint8_t, max_datagram_size> buffer;
  for (const auto& p : parties) {
    note_events(*p);
    std::uint64_t burst = 0;
    while (const auto t = p->ice.poll_transmit(now, buffer)) {
      (void)net.send(now, p->host, t->local, t->remote, t->bytes);
      ++burst;
    }
    p->datagrams += burst;
    most_at_once = std::max(most_at_once, burst);
    note_events(*p);
  }
  for (std::size_t i = 0; i < 2; ++i) {
    party &from = *parties[i], &to = *parties[1 - i];
    for (const ice::candidate& c : std::exchange(from.unsent, {}))
      (void)to.ice.add_remote_candidate(now, c);
    if (std::exchange(from.end_unsent, false)) to.ice.end_of_remote_candidates(now);
  }
}

void world::deliver(const internet::arrival& a) {
  for (const auto& p : parties)
    if (p->host == a.host) p->ice.handle_input(now, a.path.local, a.path.remote, a.bytes);
  const auto server = stun_servers_.find(a.path.local);
  if (server == stun_servers_.end()) return;
  std::array<std::uint8_t, 256> buffer;
  if (const auto answer = server->second.respond(a.path.remote, a.bytes, buffer))
    (void)net.send(now, a.host, a.path.local, a.path.remote, *answer);
}

}  // namespace weft::internet_test
