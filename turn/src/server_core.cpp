#include "server_core.hpp"

#include <algorithm>
#include <utility>

namespace weft::turn {
namespace {

// RFC 8489 §14 and RFC 7635 §6 without what ICE alone understands, RFC 8656 §18, RFC 6062 §6.2
stun::attribute_set understood_attributes(const server::options& opts) {
  using enum stun::attribute_type;
  return {mapped_address, username, error_code, unknown_attributes, realm, nonce, access_token,
          password_algorithm, userhash, xor_mapped_address, attributes::channel_number,
          attributes::lifetime, attributes::xor_peer_address, attributes::data,
          attributes::xor_relayed_address, attributes::requested_address_family,
          attributes::even_port, attributes::requested_transport, attributes::reservation_token,
          attributes::connection_id,
          // RFC 8656 §7.2: unknown where it cannot be done
          opts.dont_fragment ? attributes::dont_fragment : attributes::data};
}

stun::hmac_sha256_key random_key(random_source& random) {
  std::array<std::uint8_t, 32> key;
  random.fill(key);
  return stun::hmac_sha256_key{key};
}

std::uint64_t burst_of(const server::options& opts, std::uint64_t rate) {
  const auto milliseconds = static_cast<std::uint64_t>(opts.bandwidth_burst.count());
  // No datagram is longer than 64 KiB: each must get through some time.
  return std::max<std::uint64_t>(rate / 1000 * milliseconds, 65'536);
}

constexpr std::uint32_t slot_of(allocation_id id) noexcept {
  return static_cast<std::uint32_t>(id);
}

std::uint64_t key_of(const reservation_token& token) noexcept {
  return byte_reader{token}.u64();
}

}  // namespace

server_core::server_core(const options& opts, stun::user_store& users, random_source& random)
    : options_{opts},
      random_{&random},
      auth_{random, users, opts.authentication},
      limiter_{random, opts.strangers},
      strangers_{opts.stranger_replies, opts.stranger_replies},
      bandwidth_{opts.bandwidth_total, burst_of(opts, opts.bandwidth_total)},
      ticket_key_{random_key(random)},
      understood_{understood_attributes(opts)},
      clients_{random},
      streams_{random},
      replies_{opts.reply_buffer} {
  random.fill(indication_base_);
}

// Events

// Not inline: GCC 12 then takes the other alternatives for uninitialised.
void server_core::push(server::event e) {
  events_.push_back(std::move(e));
}

void server_core::push_audit(server::event e) {
  if (audit_events_ >= options_.max_audit_events) {
    ++stats_.events_dropped;
    return;
  }
  ++audit_events_;
  events_.push_back(std::move(e));
}

std::optional<server::event> server_core::poll_event() {
  if (events_.empty()) return std::nullopt;
  std::optional<server::event> e{std::move(events_.front())};
  events_.pop_front();
  if (std::holds_alternative<server::allocation_created>(*e) ||
      std::holds_alternative<server::allocation_refused>(*e) ||
      std::holds_alternative<server::allocation_deleted>(*e) ||
      std::holds_alternative<server::peer_refused>(*e))
    --audit_events_;
  return e;
}

std::optional<addressed_transmit> server_core::poll_transmit(mutable_bytes buffer) {
  return replies_.poll(buffer);
}

// Responses

void server_core::refuse(const addressee& to, stun::error_code code) {
  ++stats_.errors;
  respond(to, stun::message_class::error,
          [&](stun::message_builder& response) { response.add_error(code, name_of(code)); });
}

// In a flood there is no need to build what will not be sent.
bool server_core::may_answer_stranger(const five_tuple& client) noexcept {
  if (client.protocol == transport_protocol::tcp || find_open(client) != nullptr ||
      strangers_.has(now_, 1))
    return true;
  ++stats_.stranger_limited;
  return false;
}

void server_core::reply_to_stranger(const five_tuple& client, const_bytes message,
                                    const_bytes reply) {
  if (reply.empty()) {
    ++stats_.replies_dropped;
    return;
  }
  // Who has a connection has shown that it gets what it is sent.
  if (client.protocol == transport_protocol::udp &&
      (!limiter_.permit(now_, client.remote.address, message.size(), reply.size()) ||
       (find_open(client) == nullptr && !strangers_.take(now_, 1)))) {
    ++stats_.stranger_limited;
    return;
  }
  replies_.commit(client, reply.size());
}

// Allocations

allocation* server_core::find_open(const five_tuple& client) const noexcept {
  allocation* const a = clients_.find(client);
  return a != nullptr && a->is_open() ? a : nullptr;
}

allocation* server_core::find(allocation_id id) const noexcept {
  const std::uint32_t slot = slot_of(id);
  if (slot >= allocations_.size()) return nullptr;
  allocation* const a = allocations_[slot].get();
  return a != nullptr && a->id == id ? a : nullptr;
}

allocation& server_core::create(const request& r, relayed_transport transport) {
  if (free_allocations_.empty()) {
    free_allocations_.push_back(static_cast<std::uint32_t>(allocations_.size()));
    allocations_.emplace_back();
  }
  const std::uint32_t slot = free_allocations_.back();
  free_allocations_.pop_back();
  auto made = std::make_unique<allocation>(r.user);
  made->id = allocation_id{std::uint64_t{++allocation_generation_} << 32 | slot};
  made->client = r.client;
  made->owner = &account_for(account_name(r.user));
  made->source = source_of(r.client.remote.address);
  made->transport = transport;
  made->created = now_;
  made->created_by = r.message.id();
  ++made->owner->allocations;
  ++sources_[made->source];
  clients_.insert(r.client, made.get());
  set_busy(r.client);
  allocations_[slot] = std::move(made);
  return *allocations_[slot];
}

void server_core::set_timer(allocation& a) {
  const auto key = static_cast<std::uint64_t>(a.id);
  timers_.erase({a.expires, timer::subject::allocation, key});
  time_point next = time_point::max();
  for (const auto& relay : a.relays)
    if (relay) next = std::min(next, relay->expires);
  a.expires = next;
  timers_.insert({next, timer::subject::allocation, key});
}

// Ends without a word to the client, which learns of it by 437.
void server_core::end(allocation& a, allocation_end reason) {
  end_connections(a, std::nullopt);
  for (auto& relay : a.relays)
    if (relay) close(std::exchange(relay, std::nullopt)->relay);
  timers_.erase({a.expires, timer::subject::allocation, static_cast<std::uint64_t>(a.id)});
  for (const auto& client : {std::optional{a.client}, a.moving_to}) {
    if (!client || !client->remote.address) continue;
    clients_.erase(*client);
    set_idle(*client);
  }
  if (a.is_open()) {
    ++stats_.allocations_deleted;
    if (reason == allocation_end::expired) ++stats_.allocations_expired;
    push_audit(server::allocation_deleted{a.id, a.client, a.user.username, a.owner->name, reason,
                                          now_ - a.created, a.bytes_to_peers, a.bytes_to_client,
                                          a.packets_to_peers, a.packets_to_client});
  }
  if (const auto source = sources_.find(a.source); --source->second == 0) sources_.erase(source);
  release(*a.owner);
  const std::uint32_t slot = slot_of(a.id);
  free_allocations_.push_back(slot);
  allocations_[slot].reset();
}

// RFC 8656 §8.1: what belongs to the other family stays.
void server_core::end_family(allocation& a, address_family family, allocation_end reason) {
  if (!a.relays[turn::index_of(family) ^ 1]) {
    end(a, reason);
    return;
  }
  a.peers.forget(family);
  end_connections(a, family);
  close(std::exchange(a.relays[turn::index_of(family)], std::nullopt)->relay);
  set_timer(a);
}

// Accounts

// Bearers of tokens have no names: the key in the token tells them apart.
std::string server_core::account_name(const stun::authenticated_user& user) {
  if (!user.third_party) return user.account.empty() ? user.username : user.account;
  constexpr std::string_view digits = "0123456789abcdef";
  const auto digest = user.key.sha256()(as_bytes("account"), {});
  std::string name = user.username + '#';
  for (const std::uint8_t byte : const_bytes{digest}.first(8)) {
    name += digits[byte >> 4];
    name += digits[byte & 15];
  }
  return name;
}

// RFC 8656 §5, with an account in place of a username, so that credentials which are issued
// anew each time can be changed. A fresh token belongs to whoever has one of the same issuer and
// the client's 5-tuple (RFC 7635 §9): nothing else in it names the bearer.
bool server_core::belongs_to(const allocation& a, const stun::authenticated_user& user) {
  if (user.third_party) return a.user.third_party && a.user.username == user.username;
  return !a.user.third_party && a.owner->name == account_name(user);
}

account& server_core::account_for(std::string_view name) {
  const auto found = accounts_.find(name);
  if (found != accounts_.end()) return found->second;
  return accounts_
      .try_emplace(std::string{name},
                   account{std::string{name}, 0,
                           token_bucket{options_.bandwidth_per_user,
                                        burst_of(options_, options_.bandwidth_per_user)}})
      .first->second;
}

void server_core::release(account& owner) {
  if (--owner.allocations == 0) accounts_.erase(accounts_.find(owner.name));
}

// A network gives an IPv6 host a /64 to choose from.
ip_address server_core::source_of(const ip_address& client) noexcept {
  if (!client.is_v6()) return client;
  std::array<std::uint8_t, 16> prefix{};
  std::copy_n(client.octets().begin(), 8, prefix.begin());
  return ip_address{prefix};
}

// Relays

relay_id server_core::reserve_relay(address_family family, relayed_transport transport,
                                    allocation* owner) {
  if (free_relays_.empty()) {
    free_relays_.push_back(static_cast<std::uint32_t>(relays_.size()));
    relays_.emplace_back();
  }
  const std::uint32_t index = free_relays_.back();
  free_relays_.pop_back();
  relay_slot& slot = relays_[index];
  slot = {.generation = slot.generation + 1,
          .state = relay_slot::status::opening,
          .family = family,
          .transport = transport,
          .owner = owner};
  ++relay_count_;
  return {index, slot.generation};
}

relay_slot* server_core::find_relay(relay_id id) noexcept {
  if (id.index >= relays_.size()) return nullptr;
  relay_slot& slot = relays_[id.index];
  return slot.generation == id.generation && slot.state != relay_slot::status::free ? &slot
                                                                                    : nullptr;
}

void server_core::set_relay_address(relay_slot& slot, relay_id id, const endpoint& address) {
  slot.address = address;
  slot.state = slot.owner != nullptr ? relay_slot::status::open : relay_slot::status::reserved;
  relay_endpoints_[index_of(slot.transport)][address] = id;
  if (++relay_addresses_[address.address] == 1) options_.peers.add_own_address(address.address);
}

void server_core::free_relay(relay_id id) {
  relay_slot* const slot = find_relay(id);
  if (slot == nullptr) return;
  if (slot->state != relay_slot::status::opening) {
    auto& endpoints = relay_endpoints_[index_of(slot->transport)];
    if (const auto at = endpoints.find(slot->address); at != endpoints.end() && at->second == id)
      endpoints.erase(at);
    if (const auto at = relay_addresses_.find(slot->address.address);
        at != relay_addresses_.end() && --at->second == 0)
      relay_addresses_.erase(at);
  }
  slot->state = relay_slot::status::free;
  slot->owner = nullptr;
  free_relays_.push_back(id.index);
  --relay_count_;
}

void server_core::close(relay_id id) {
  relay_slot* const slot = find_relay(id);
  if (slot == nullptr) return;
  const auto next =
      slot->state == relay_slot::status::opening ? std::exchange(slot->next, {}) : std::nullopt;
  free_relay(id);
  push(server::close_relay{id});
  if (next) close(*next);
}

// Peers

// A relayed address of this server is somebody's who waits for it, wherever the server stands:
// two clients of one relay reach each other.
std::optional<peer_refusal> server_core::refuses(relayed_transport transport,
                                                 const ip_address& peer,
                                                 std::optional<std::uint16_t> port) const noexcept {
  const auto refusal = options_.peers.refuses(peer, port);
  if (refusal != peer_refusal::special_purpose && refusal != peer_refusal::own_address)
    return refusal;
  const bool is_relay = port ? relay_endpoints_[index_of(transport)].contains({peer, *port})
                             : relay_addresses_.contains(peer);
  return is_relay ? std::nullopt : refusal;
}

void server_core::refuse_peer(const request& r, const allocation& a, const endpoint& peer,
                              peer_refusal reason) {
  ++stats_.forbidden_peers;
  push_audit(server::peer_refused{a.id, r.client, a.owner->name, peer, reason});
  refuse(r.sender(), errors::forbidden);
}

// From the owner

void server_core::drain(time_point now, std::vector<endpoint> alternates) {
  advance(now);
  draining_ = true;
  alternates_ = std::move(alternates);
}

void server_core::revoke(time_point now, std::string_view account) {
  advance(now);
  for (std::size_t slot = 0; slot < allocations_.size(); ++slot)
    if (allocations_[slot] && allocations_[slot]->owner->name == account)
      end(*allocations_[slot], allocation_end::revoked);
}

// Time

void server_core::handle_timeout(time_point now) {
  advance(now);
  close_idle_streams();
  while (!timers_.empty() && timers_.begin()->at <= now_) {
    const timer due = *timers_.begin();
    switch (due.what) {
      case timer::subject::allocation: {
        allocation& a = *find(allocation_id{due.key});
        const bool first = a.relays[0] && a.relays[0]->expires <= now_;
        end_family(a, family_at(first ? 0 : 1), allocation_end::expired);
        break;
      }
      case timer::subject::reservation: {
        reservation_token token;
        byte_writer{token}.u64(due.key);
        const auto found = reservations_.find(token);
        close(found->second.relay);
        reservations_.erase(found);
        timers_.erase(timers_.begin());
        break;
      }
      case timer::subject::connection:
        push(server::close_peer{connection_id{static_cast<std::uint32_t>(due.key)}});
        end_connection(*find_connection(connection_id{static_cast<std::uint32_t>(due.key)}));
        break;
    }
  }
}

std::optional<time_point> server_core::poll_timeout() const {
  std::optional<time_point> next;
  if (!timers_.empty()) next = timers_.begin()->at;
  if (!idle_streams_.empty())
    next = earliest(next, idle_streams_.begin()->second.idle_since + options_.idle_stream_timeout);
  return next;
}

server::gauges server_core::usage() const noexcept {
  return {.allocations = allocations_.size() - free_allocations_.size(),
          .users = accounts_.size(),
          .relays = relay_count_,
          .reservations = reservations_.size(),
          .streams = streams_.size(),
          .idle_streams = idle_streams_.size(),
          .peer_connections = connections_.size()};
}

// Reservations

void server_core::make_reservation(allocation& a, relay_id relay) {
  reservation_token token;
  do {
    random_->fill(token);
  } while (reservations_.contains(token));
  const time_point expires = now_ + options_.reservation_lifetime;
  reservations_[token] = {relay, a.owner->name, expires};
  timers_.insert({expires, timer::subject::reservation, key_of(token)});
  a.reserved = token;
}

}  // namespace weft::turn
