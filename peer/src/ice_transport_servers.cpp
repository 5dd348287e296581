// STUN and TURN servers of a transport, and its own addresses, from which they are asked.
#include <algorithm>
#include <utility>

#include "ice_transport_implementation.hpp"

namespace weft::peer {
namespace {

ice::agent::options agent_options(const ice_transport::options& opts) {
  ice::agent::options out = opts.ice;
  out.candidate_policy = opts.policy == ice_transport_policy::relay ? ice::candidate_policy::relay
                                                                    : ice::candidate_policy::all;
  // Each allocation may have one of either family.
  out.max_relayed_addresses = std::max(out.max_relayed_addresses, 2 * opts.max_allocations);
  return out;
}

stun::long_term_credentials credentials_of(const ice_server& s) {
  if (const auto* token = std::get_if<access_token>(&s.credential))
    return stun::token_credentials{s.username, token->token, token->mac_key};
  return stun::password_credentials{s.username, std::get<std::string>(s.credential)};
}

/// Whether what is sent from `from` can reach `to`, as far as addresses tell.
bool may_reach(const ip_address& from, const ip_address& to) {
  return from.is_v4() == to.is_v4() && from.is_loopback() == to.is_loopback() &&
         (!from.is_link_local() || to.is_link_local());
}

bool is_mdns_name(std::string_view name) {
  return name.ends_with(".local");
}

}  // namespace

ice_transport::implementation::implementation(random_source& random, const options& opts)
    : agent{random, agent_options(opts)},
      options_{opts},
      random_{&random},
      arrived_{opts.max_received_bytes} {
  set_servers({}, std::exchange(options_.servers, {}));
}

void ice_transport::implementation::set_servers(time_point now, std::vector<ice_server> servers) {
  for (auto& s : servers_) s.is_removed = true;
  for (const auto& given : servers) {
    for (const auto& url : given.urls) {
      const auto uri = stun::server_uri::parse(url);
      if (!uri) {
        events_.push_back(candidate_error{{}, url, 701, std::string{to_string(uri.error())}});
        continue;
      }
      const auto known = std::ranges::find(servers_, *uri, &server::uri);
      if (known == servers_.end()) {
        servers_.push_back({.url = url, .uri = *uri, .credentials = credentials_of(given)});
        continue;
      }
      known->is_removed = false;
      known->credentials = credentials_of(given);
      for (auto& r : relays_)
        if (r.way.about().uri == *uri) r.way.set_credentials(now, known->credentials);
    }
  }
  wake(now);
}

// Local addresses

result<void, ice::error> ice_transport::implementation::add_local_address(
    time_point now, const ice::local_address& address) {
  if (auto added = agent.add_local_address(now, address); !added) return added;
  const local fresh{address.base, address.protocol, address.network};
  const auto same = [&](const local& l) {
    return l.base == fresh.base && l.protocol == fresh.protocol;
  };
  if (std::ranges::none_of(locals_, same)) {
    locals_.push_back(fresh);
    for (auto& r : relays_)
      if (r.way.is_stranded()) try_move(now, r);
    if (gathering_) {
      for (const auto& s : servers_)
        for (const auto& at : s.addresses) make_relay(now, s, fresh, at);
    } else if (options_.candidate_pool_size > 0) {
      gather(now);
    }
  }
  wake(now);
  return {};
}

void ice_transport::implementation::remove_local_address(time_point now, const endpoint& base,
                                                         transport_protocol protocol) {
  std::erase_if(locals_, [&](const local& l) { return l.base == base && l.protocol == protocol; });
  const bool address_remains =
      std::ranges::any_of(locals_, [&](const local& l) { return l.base.address == base.address; });
  // Those that can be saved first: what the agent then moves to is there.
  for (auto& r : relays_) {
    const auto& from = r.way.about().base;
    const bool lost = r.way.is_over_tcp() ? from.address == base.address && !address_remains
                                          : from == base && protocol == transport_protocol::udp;
    if (!lost || try_move(now, r)) continue;
    if (r.way.is_mobile() && r.way.current() == relay::phase::allocated) {
      r.way.strand();
      continue;
    }
    drop_allocation(now, r);
    r.way.give_up();
    drop_stream(r);
    release(now, r);
  }
  agent.remove_local_address(now, base, protocol);
  std::erase_if(relays_, [&](const relay_entry& r) {
    return r.way.current() == relay::phase::failed &&
           (r.way.is_over_tcp() ? r.way.about().base.address == base.address && !address_remains
                                : r.way.about().base == base);
  });
  wake(now);
}

bool ice_transport::implementation::try_move(time_point now, relay_entry& r) {
  for (const auto& l : locals_) {
    if (!may_reach(l.base.address, r.way.about().server.address)) continue;
    if (!r.way.is_over_tcp() && l.protocol != transport_protocol::udp) continue;
    if (has_same({.url = {}, .uri = r.way.about().uri, .credentials = {}}, l, r.way.about().server))
      continue;  // The server knows another allocation from there.
    if (r.way.move(now, l.base, l.network)) return true;
  }
  return false;
}

// Servers

void ice_transport::implementation::gather(time_point now) {
  if (closed_) return;
  gathering_ = true;
  gathering_is_complete = false;
  for (std::size_t i = 0; i < relays_.size(); ++i)
    if (relays_[i].way.current() == relay::phase::failed || relays_[i].way.is_waiting_by_choice())
      open(now, relays_[i]);
  for (auto& s : servers_)
    if (!s.is_removed) use(now, s);
  agent.gather(now);
  wake(now);
}

void ice_transport::implementation::use(time_point now, server& s) {
  if (s.resolving_until) return;
  if (s.addresses.empty()) {
    const auto literal = s.uri.address();
    if (!literal) return look_up(now, s);
    s.addresses.push_back({*literal, s.uri.port_number()});
  }
  if (s.uri.is_turn()) return make_relays(now, s);
  if (s.uri.is_secure()) {
    events_.push_back(candidate_error{
        {}, s.url, 701, "over TLS a STUN server sees no address that ICE could use"});
    return;
  }
  for (const auto& at : s.addresses) (void)agent.add_stun_server(now, {at, s.url});
}

void ice_transport::implementation::look_up(time_point now, server& s) {
  const bool asked = std::ranges::any_of(servers_, [&](const server& other) {
    return other.resolving_until && other.uri.host == s.uri.host;
  });
  s.resolving_until = now + options_.resolve_timeout;
  agent.hold_gathering(now);
  if (!asked) events_.push_back(resolve_server{s.uri.host});
}

void ice_transport::implementation::resolve(time_point now, std::string_view name,
                                            std::span<const ip_address> addresses) {
  for (auto& s : servers_) {
    if (!s.resolving_until || s.uri.host != name) continue;
    for (const auto& a : addresses) {
      const bool first = std::ranges::none_of(
          s.addresses, [&](const endpoint& known) { return known.address.is_v4() == a.is_v4(); });
      if (a && first) s.addresses.push_back({a, s.uri.port_number()});
    }
    if (s.addresses.empty()) {
      forget_name(now, s, "the server's name was not found");
      continue;
    }
    s.resolving_until.reset();
    use(now, s);
    agent.release_gathering(now);
  }
  if (is_mdns_name(name)) agent.resolve(now, name, addresses);
  wake(now);
}

void ice_transport::implementation::forget_name(time_point now, server& s, std::string_view why) {
  s.resolving_until.reset();
  events_.push_back(candidate_error{{}, s.url, 701, std::string{why}});
  agent.release_gathering(now);
}

bool ice_transport::implementation::has_same(const server& s, const local& from,
                                             const endpoint& address) const {
  return std::ranges::any_of(relays_, [&](const relay_entry& r) {
    const auto& t = r.way.about();
    const bool over_tcp = s.uri.protocol() == transport_protocol::tcp;
    if (t.server != address || t.uri.protocol() != s.uri.protocol()) return false;
    // What comes over UDP tells relays apart by its two ends alone.
    return over_tcp ? t.base.address == from.base.address && t.uri.is_secure() == s.uri.is_secure()
                    : t.base == from.base;
  });
}

void ice_transport::implementation::make_relays(time_point now, const server& s) {
  for (const auto& at : s.addresses)
    for (const auto& from : locals_) make_relay(now, s, from, at);
}

void ice_transport::implementation::make_relay(time_point now, const server& s, const local& from,
                                               const endpoint& address) {
  if (!s.uri.is_turn() || s.is_removed || !may_reach(from.base.address, address.address)) return;
  if (s.uri.protocol() == transport_protocol::udp && from.protocol != transport_protocol::udp)
    return;
  if (has_same(s, from, address)) return;
  if (relays_.size() >= options_.max_allocations)
    std::erase_if(relays_, [](const auto& r) { return r.way.current() == relay::phase::failed; });
  if (relays_.size() >= options_.max_allocations) return;
  relays_.push_back({.way = relay{*random_,
                                  options_,
                                  {.url = s.url,
                                   .uri = s.uri,
                                   .server = address,
                                   .credentials = s.credentials,
                                   .base = from.base,
                                   .network = from.network}}});
  open(now, relays_.back());
}

// Relays

void ice_transport::implementation::open(time_point now, relay_entry& r) {
  hold(now, r);
  r.way.open(now);
}

void ice_transport::implementation::hold(time_point now, relay_entry& r) {
  if (std::exchange(r.holds_gathering, true)) return;
  gathering_is_complete = false;
  agent.hold_gathering(now);
}

void ice_transport::implementation::release(time_point now, relay_entry& r) {
  if (std::exchange(r.holds_gathering, false)) agent.release_gathering(now);
}

void ice_transport::implementation::follow_relays(time_point now) {
  for (std::size_t i = 0; i < relays_.size(); ++i) follow_relay(now, relays_[i]);
  std::erase_if(relays_, [](const auto& r) { return r.way.current() == relay::phase::closed; });
}

void ice_transport::implementation::follow_relay(time_point now, relay_entry& r) {
  while (auto e = r.way.poll_event()) handle_relay_event(now, r, *std::move(e));
  if (r.way.current() == relay::phase::closed) {
    drop_allocation(now, r);
    drop_stream(r);
  }
}

void ice_transport::implementation::handle_relay_event(time_point now, relay_entry& r,
                                                       relay::event&& e) {
  if (auto* shown = std::get_if<relay::certificate_shown>(&e)) {
    events_.push_back(verify_server{r.way.path(), r.way.server_name(), std::move(shown->chain)});
  } else if (std::holds_alternative<relay::connection_wanted>(e)) {
    drop_stream(r);
    r.way.start_stream(next_number());
    events_.push_back(connect{.path = r.way.path(),
                              .bind = {r.way.path().local.address, 0},
                              .tls = r.way.is_over_tls(),
                              .server_name = r.way.server_name()});
  } else {
    handle_client_event(now, r, std::get<turn::client::event>(e));
  }
}

/// Port numbers that stand for connections. That of active candidates is left out.
std::uint16_t ice_transport::implementation::next_number() {
  do ++number_;
  while (number_ == 0 || number_ == ice::active_port);
  return number_;
}

void ice_transport::implementation::handle_client_event(time_point now, relay_entry& r,
                                                        const turn::client::event& e) {
  using client = turn::client;
  if (closed_) return;
  if (const auto* made = std::get_if<client::allocated>(&e)) {
    take_allocation(now, r, *made);
  } else if (const auto* failed = std::get_if<client::allocation_failed>(&e)) {
    complain(r, failed->code, failed->reason);
    const bool again = failed->retry_after || r.was_allocated;
    if (again) {
      ++stats.retries;
      r.way.try_later(now, failed->retry_after.value_or(duration{}));
    } else {
      r.way.give_up();
    }
    drop_stream(r);
    release(now, r);
  } else if (std::holds_alternative<client::allocation_lost>(e)) {
    ++stats.allocations_lost;
    drop_allocation(now, r);
    if (r.way.is_stranded()) {
      r.way.give_up();  // There is no address to try from.
    } else {
      ++stats.retries;
      r.way.try_later(now, {});
    }
    drop_stream(r);
  } else if (const auto* other = std::get_if<client::alternate_server>(&e)) {
    r.way.redirect(now, other->server, other->domain);
  } else if (std::holds_alternative<client::address_in_use>(e)) {
    if (r.way.is_over_tcp()) return r.way.reconnect(now);
    // The socket is ICE's too: no other port will do. The other allocation expires in time.
    complain(r, static_cast<stun::error_code>(437), "the server knows this address as another's");
    ++stats.retries;
    r.way.try_later(now, {});
    release(now, r);
  } else if (const auto* refused = std::get_if<client::credentials_refused>(&e)) {
    complain(r, refused->code, refused->reason);
  } else if (const auto* permitted = std::get_if<client::permission_created>(&e)) {
    for (auto& check : held_)
      if (check.peer.address == permitted->peer && r.way.relays_at(check.relayed))
        check.is_due = true;
  } else if (const auto* denied = std::get_if<client::permission_failed>(&e)) {
    std::erase_if(held_, [&](const held_check& check) {
      return check.peer.address == denied->peer && r.way.relays_at(check.relayed);
    });
  }
}

void ice_transport::implementation::take_allocation(time_point now, relay_entry& r,
                                                    const turn::client::allocated& a) {
  ++stats.allocations;
  r.was_allocated = true;
  const auto& about = r.way.about();
  for (const auto& relayed : {a.relayed_ipv4, a.relayed_ipv6}) {
    if (!relayed) continue;
    const auto added = agent.add_relayed_candidate(now, {.relayed = *relayed,
                                                         .mapped = a.mapped,
                                                         .server_url = about.url,
                                                         .protocol = r.way.protocol(),
                                                         .network = about.network});
    if (added) r.addresses.push_back(*relayed);
  }
  if (r.way.protocol() == ice::relay_protocol::udp)
    (void)agent.add_server_reflexive_candidate(now, about.base, a.mapped, about.url);
  for (const auto& peer : permitted_) permit(now, r, peer);
  for (const auto& peer : stale_) permit(now, r, peer);
  if (r.addresses.empty()) r.way.close(now);
  release(now, r);
}

void ice_transport::implementation::drop_allocation(time_point now, relay_entry& r) {
  for (const auto& relayed : std::exchange(r.addresses, {})) {
    std::erase_if(held_, [&](const held_check& check) { return check.relayed == relayed; });
    agent.remove_local_address(now, relayed);
  }
}

void ice_transport::implementation::drop_stream(relay_entry& r) {
  if (const auto path = r.way.take_stream()) events_.push_back(disconnect{*path});
}

void ice_transport::implementation::complain(const relay_entry& r, stun::error_code code,
                                             std::string_view text) {
  const auto& about = r.way.about();
  endpoint from{about.base.address, r.way.is_over_tcp() ? std::uint16_t{} : about.base.port};
  if (options_.ice.host_privacy == ice::host_privacy::hide ||
      options_.policy == ice_transport_policy::relay)
    from = {};  // No candidate shows it either.
  events_.push_back(
      candidate_error{from, about.url, static_cast<std::uint16_t>(code), std::string{text}});
}

void ice_transport::implementation::server_verified(time_point now, const verify_server& shown,
                                                    bool trusted) {
  if (shown.chain.empty()) return;
  for (auto& r : relays_)
    if (r.way.path() == shown.path) r.way.judge(now, shown.chain.front(), trusted);
  wake(now);
}

// Permissions

result<void, ice::error> ice_transport::implementation::add_remote_candidate(
    time_point now, const ice::candidate& remote) {
  const auto ignored = agent.stats().ignored_candidates;
  auto added = agent.add_remote_candidate(now, remote);
  const bool is_used = added && agent.stats().ignored_candidates == ignored;
  if (is_used && remote.address.address && remote.protocol == transport_protocol::udp)
    permit(now, remote.address.address);
  wake(now);
  return added;
}

void ice_transport::implementation::permit(time_point now, const ip_address& peer) {
  std::erase(stale_, peer);
  const bool known = std::ranges::find(permitted_, peer) != permitted_.end();
  if (known || permitted_.size() >= options_.ice.max_remote_candidates) return;
  permitted_.push_back(peer);
  for (auto& r : relays_) permit(now, r, peer);
}

void ice_transport::implementation::permit(time_point now, relay_entry& r, const ip_address& peer) {
  if (r.way.current() != relay::phase::allocated || !r.way.relayed(turn::family_of(peer))) return;
  (void)r.way.client()->create_permission(now, peer);  // At a bound, checks try again.
}

void ice_transport::implementation::restart(time_point now) {
  stale_.insert(stale_.end(), permitted_.begin(), permitted_.end());
  permitted_.clear();
  // Restarts may follow one another without a pair ever being found.
  if (const auto most = options_.ice.max_remote_candidates; stale_.size() > most)
    release_stale_permissions(now, stale_.size() - most);
  agent.restart(now);
  wake(now);
}

/// Those of sessions before, the oldest first.
void ice_transport::implementation::release_stale_permissions(time_point now, std::size_t count) {
  const auto pair = agent.selected_pair();
  for (; count > 0; --count) {
    const ip_address peer = stale_.front();
    stale_.erase(stale_.begin());
    if (pair && pair->remote.address == peer) continue;
    for (auto& r : relays_)
      if (auto* client = r.way.client()) client->release(now, peer);
  }
}

// The end

void ice_transport::implementation::close(time_point now) {
  if (std::exchange(closed_, true)) return;
  agent.close(now);
  held_.clear();
  for (auto& s : servers_) s.resolving_until.reset();
  for (auto& r : relays_) {
    r.addresses.clear();
    r.way.close(now);
  }
  for (const auto& entry : std::exchange(streams_, {})) events_.push_back(disconnect{entry.first});
  wake(now);
}

}  // namespace weft::peer
