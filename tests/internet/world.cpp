#include "world.hpp"

#include <algorithm>
#include <array>

namespace weft::internet_test {

namespace {

constexpr std::string_view username = "user", password = "password";

}  // namespace

peer::ice_server relay_user(std::vector<std::string> urls) {
  return {std::move(urls), std::string{username}, std::string{password}};
}

turn::server::options open_relay_options() {
  turn::server::options opts;
  turn::address_policy::options rules;
  for (const auto* block : {"203.0.113.0/24", "198.51.100.0/24", "2001:db8::/32"})
    rules.allow.push_back(turn::peer_rule::parse(block).value());
  opts.peers = turn::address_policy{rules};
  return opts;
}

void world::add_stun_server(std::string_view address) {
  const auto host = net.add_host();
  net.attach(host, internet::public_network, ip(address));
  (void)net.bind(host, at(address, 3478));
  stun_servers_.emplace(at(address, 3478), stun_host{host, {}});
}

relay_server& world::add_relay_server(const std::vector<std::string>& addresses,
                                      turn::server::options opts) {
  std::vector<ip_address> own;
  for (const std::string& address : addresses) own.push_back(ip(address));
  relays.push_back(std::make_unique<relay_server>(net, seed_ * 2 + 100 + relays.size(), own, opts));
  relays.back()->users().set(username, password);
  return *relays.back();
}

party& world::add_party(peer::ice_transport::options opts) {
  opts.ice.role = parties.empty() ? ice::role::controlling : ice::role::controlled;
  parties.push_back(std::make_unique<party>(net, seed_ * 2 + parties.size(), opts));
  parties.back()->transport.set_renomination();
  return *parties.back();
}

void world::introduce() {
  (void)a().transport.set_remote_credentials(now, b().transport.local_credentials());
  (void)b().transport.set_remote_credentials(now, a().transport.local_credentials());
  a().transport.gather(now);
  b().transport.gather(now);
}

void world::restart(party& from) {
  party& to = &from == &a() ? b() : a();
  for (party* p : {&from, &to}) {
    p->transport.restart(now);
    p->unsent.clear();
    p->end_unsent = false;
  }
  (void)to.transport.set_remote_credentials(now, from.transport.local_credentials());
  (void)from.transport.set_remote_credentials(now, to.transport.local_credentials());
  for (party* p : {&from, &to}) {
    p->unsent = p->transport.local_candidates();
    p->transport.gather(now);
  }
}

bool world::agree() const {
  const auto at_a = a().transport.selected_pair(), at_b = b().transport.selected_pair();
  return at_a && at_b && is_relayed(a()) == is_relayed(b());
}

bool world::is_relayed(const party& p) const {
  const auto pair = p.transport.selected_pair();
  return pair && std::ranges::any_of(relays, [&](const auto& relay) {
           return relay->owns(pair->local.address) || relay->owns(pair->remote.address);
         });
}

std::optional<time_point> world::next_event() const {
  auto next = net.next_event();
  for (const auto& p : parties) next = earliest(next, p->poll_timeout());
  for (const auto& r : relays) next = earliest(next, r->poll_timeout());
  return next;
}

void world::step(time_point next) {
  now = std::max(now, next);
  while (const auto a = net.poll(now)) {
    for (const auto& p : parties) p->handle(now, *a);
    for (const auto& r : relays) r->handle(now, *a);
    const auto asked = stun_servers_.find(a->path.local);
    if (asked == stun_servers_.end() || asked->second.host != a->host) continue;
    std::array<std::uint8_t, 256> buffer;
    if (const auto answer = asked->second.server.respond(a->path.remote, a->bytes, buffer))
      (void)net.send(now, a->host, a->path.local, a->path.remote, *answer);
  }
  for (const auto& p : parties) p->handle_timeout(now);
  for (const auto& r : relays) r->handle_timeout(now);
}

void world::settle() {
  for (bool signalled = true; signalled;) {
    for (const auto& p : parties) p->settle(now);
    for (const auto& r : relays) r->settle(now);
    signalled = signal(a(), b());
    signalled |= signal(b(), a());
  }
}

/// Whether there was anything to signal.
bool world::signal(party& from, party& to) const {
  const auto candidates = std::exchange(from.unsent, {});
  for (const ice::candidate& c : candidates) (void)to.transport.add_remote_candidate(now, c);
  const bool ends = std::exchange(from.end_unsent, false) && signals_end;
  if (ends) to.transport.end_of_remote_candidates(now);
  return ends || !candidates.empty();
}

}  // namespace weft::internet_test
