#include <algorithm>

#include "server_core.hpp"

// TCP connections to peers (RFC 6062).
namespace weft::turn {
namespace {

constexpr std::uint32_t number_of(connection_id id) noexcept {
  return static_cast<std::uint32_t>(id);
}

}  // namespace

peer_connection* server_core::find_connection(connection_id id) {
  const auto found = connections_.find(number_of(id));
  return found == connections_.end() ? nullptr : &found->second;
}

peer_connection& server_core::add_connection(allocation& a, const endpoint& peer) {
  std::array<std::uint8_t, 4> bytes;
  std::uint32_t number = 0;
  do {
    random_->fill(bytes);
    number = byte_reader{bytes}.u32();
  } while (connections_.contains(number));
  ++a.connections;
  peer_connection& c = connections_[number];
  c.id = connection_id{number};
  c.owner = &a;
  c.peer = peer;
  return c;
}

void server_core::set_deadline(peer_connection& c, time_point deadline) {
  timers_.erase({c.deadline, timer::subject::connection, number_of(c.id)});
  c.deadline = deadline;
  timers_.insert({deadline, timer::subject::connection, number_of(c.id)});
}

void server_core::forget_connection(peer_connection& c) {
  const std::uint32_t number = number_of(c.id);
  timers_.erase({c.deadline, timer::subject::connection, number});
  --c.owner->connections;
  connections_.erase(number);
}

// The peer's side is gone: closes the client's (RFC 6062 §5.5), or says that there is nothing to
// wait for.
void server_core::end_connection(peer_connection& c) {
  switch (c.state) {
    case peer_connection::status::connecting:
      refuse({c.owner->client, methods::connect, c.connect_id, &c.owner->user,
              c.connect_has_fingerprint},
             errors::connection_timeout_or_failure);
      break;
    case peer_connection::status::waiting:
      break;
    case peer_connection::status::joined:
      if (stream* const s = streams_.find(c.client)) close_stream(*s);
      break;
  }
  forget_connection(c);
}

void server_core::end_connections(allocation& a, std::optional<address_family> family) {
  if (a.connections == 0) return;
  std::vector<connection_id> ids;
  for (const auto& [number, c] : connections_)
    if (c.owner == &a && (!family || family_of(c.peer.address) == *family)) ids.push_back(c.id);
  // Whatever order the table has, a run is the same each time.
  std::sort(ids.begin(), ids.end());
  for (const connection_id id : ids) {
    push(server::close_peer{id});
    end_connection(*find_connection(id));
  }
}

// RFC 6062 §5.2
void server_core::connect(const request& r) {
  allocation* const a = require_allocation(r);
  if (a == nullptr) return;
  if (a->transport != relayed_transport::tcp) {
    refuse(r.sender(), errors::allocation_mismatch);
    return;
  }
  const auto peer = find_peer_address(r.message);
  if (!peer) {
    refuse(r.sender(), stun::error_code::bad_request);
    return;
  }
  const auto& relay = a->relay_for(peer->address);
  if (!relay) {
    refuse(r.sender(), errors::peer_address_family_mismatch);
    return;
  }
  const bool exists = std::any_of(connections_.begin(), connections_.end(), [&](const auto& entry) {
    return entry.second.owner == a && entry.second.peer == *peer;
  });
  if (exists) {
    refuse(r.sender(), errors::connection_already_exists);
    return;
  }
  if (const auto why = refuses(a->transport, peer->address, peer->port)) {
    refuse_peer(r, *a, *peer, *why);
    return;
  }
  if (a->connections >= options_.peer_connections_per_allocation || !has_room_for_events()) {
    refuse(r.sender(), errors::insufficient_capacity);
    return;
  }

  peer_connection& c = add_connection(*a, *peer);
  c.connect_id = r.message.id();
  c.connect_has_fingerprint = r.sender().fingerprint;
  set_deadline(c, now_ + options_.connect_timeout);
  push(server::connect_peer{c.id, relay->relay, *peer});
}

void server_core::peer_connected(time_point now, connection_id connection) {
  advance(now);
  peer_connection* const c = find_connection(connection);
  if (c == nullptr || c->state != peer_connection::status::connecting) return;
  c->state = peer_connection::status::waiting;
  set_deadline(*c, now_ + options_.connection_bind_timeout);
  ++stats_.peer_connections;
  succeed({c->owner->client, methods::connect, c->connect_id, &c->owner->user,
           c->connect_has_fingerprint},
          [&](stun::message_builder& response) { add_connection_id(response, number_of(c->id)); });
}

void server_core::peer_failed(time_point now, connection_id connection) {
  advance(now);
  if (peer_connection* const c = find_connection(connection)) end_connection(*c);
}

void server_core::peer_disconnected(time_point now, connection_id connection) {
  advance(now);
  if (peer_connection* const c = find_connection(connection)) end_connection(*c);
}

// RFC 6062 §5.3
std::optional<connection_id> server_core::peer_accepted(time_point now, relay_id relay,
                                                        const endpoint& peer) {
  advance(now);
  const relay_slot* const slot = find_relay(relay);
  if (slot == nullptr || slot->state != relay_slot::status::open || !slot->owner->is_open() ||
      slot->transport != relayed_transport::tcp)
    return std::nullopt;
  allocation& a = *slot->owner;
  if (!a.peers.permits(now_, peer.address) || refuses(a.transport, peer.address, std::nullopt) ||
      a.connections >= options_.peer_connections_per_allocation) {
    ++stats_.peers_not_accepted;
    return std::nullopt;
  }
  peer_connection& c = add_connection(a, peer);
  c.state = peer_connection::status::waiting;
  set_deadline(c, now_ + options_.connection_bind_timeout);
  ++stats_.peer_connections;
  indicate(a.client, methods::connection_attempt, [&](stun::message_builder& indication) {
    add_peer_address(indication, peer);
    add_connection_id(indication, number_of(c.id));
  });
  return c.id;
}

// RFC 6062 §5.4
void server_core::connection_bind(const request& r) {
  stream* const s = streams_.find(r.client);
  const auto number = find_connection_id(r.message);
  peer_connection* const c = number ? find_connection(connection_id{*number}) : nullptr;
  if (s == nullptr || c == nullptr || c->state != peer_connection::status::waiting ||
      clients_.find(r.client) != nullptr) {
    refuse(r.sender(), stun::error_code::bad_request);
    return;
  }
  if (!belongs_to(*c->owner, r.user)) {
    ++stats_.wrong_credentials;
    refuse(r.sender(), errors::wrong_credentials);
    return;
  }
  timers_.erase({c->deadline, timer::subject::connection, number_of(c->id)});
  c->state = peer_connection::status::joined;
  c->client = r.client;
  set_busy(r.client);
  s->joined = c->id;
  succeed(r.sender(), [](stun::message_builder&) {});
}

void server_core::count_spliced(connection_id connection, std::uint64_t bytes_to_peer,
                                std::uint64_t bytes_to_client) {
  peer_connection* const c = find_connection(connection);
  if (c == nullptr) return;
  c->owner->bytes_to_peers += bytes_to_peer;
  c->owner->bytes_to_client += bytes_to_client;
  stats_.bytes_to_peers += bytes_to_peer;
  stats_.bytes_to_clients += bytes_to_client;
}

}  // namespace weft::turn
