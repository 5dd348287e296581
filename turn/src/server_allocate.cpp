#include <algorithm>
#include <utility>

#include "server_core.hpp"

// Allocate (RFC 8656 §7.2, RFC 6062 §5.1, RFC 8016 §3.1.2).
namespace weft::turn {

bool server_core::serves(address_family family) const noexcept {
  return std::find(options_.families.begin(), options_.families.end(), family) !=
         options_.families.end();
}

void server_core::allocate(const request& r) {
  if (const allocation* const a = clients_.find(r.client)) {
    // RFC 8656 §7.2: a retransmission gets the same answer, once there is one.
    if (a->created_by != r.message.id())
      refuse(r.sender(), errors::allocation_mismatch);
    else if (a->is_open() && belongs_to(*a, r.user))
      send_allocate_success(r.sender(), *a);
    return;
  }

  const auto wish = read_wish(r);
  if (!wish) {
    switch (static_cast<std::uint16_t>(wish.error())) {
      case static_cast<std::uint16_t>(errors::address_family_not_supported):
        refuse_allocate(r, allocation_refusal::address_family, wish.error());
        break;
      case static_cast<std::uint16_t>(errors::unsupported_transport_protocol):
        refuse_allocate(r, allocation_refusal::transport, wish.error());
        break;
      case static_cast<std::uint16_t>(errors::mobility_forbidden):
        refuse_allocate(r, allocation_refusal::mobility, wish.error());
        break;
      default:
        refuse(r.sender(), wish.error());
    }
    return;
  }
  if (draining_) {
    redirect(r);
    return;
  }
  if (const auto why = over_quota(r, *wish)) {
    refuse_allocate(r, why->first, why->second);
    return;
  }
  if (!wish->token)
    open_relays(r, *wish);
  else if (!take_reservation(r, *wish))
    refuse_allocate(r, allocation_refusal::bad_reservation, errors::insufficient_capacity);
}

// In the order of RFC 8656 §7.2, from 3 to 9.
result<server_core::allocate_wish, stun::error_code> server_core::read_wish(
    const request& r) const {
  const stun::message_view& message = r.message;
  const auto transport = find_requested_transport(message);
  if (!transport) return fail(stun::error_code::bad_request);
  allocate_wish wish{.transport = *transport};
  const bool is_tcp = *transport == relayed_transport::tcp && options_.tcp_allocations;
  if (*transport != relayed_transport::udp && !is_tcp)
    return fail(errors::unsupported_transport_protocol);
  // RFC 6062 §5.1
  if (is_tcp && (r.client.protocol != transport_protocol::tcp || has_dont_fragment(message) ||
                 message.has(attributes::even_port) || message.has(attributes::reservation_token)))
    return fail(stun::error_code::bad_request);

  if (message.has(attributes::lifetime) && !find_lifetime(message))
    return fail(stun::error_code::bad_request);
  if (message.has(attributes::even_port)) {
    wish.parity = find_even_port(message);
    if (!wish.parity) return fail(stun::error_code::bad_request);
  }
  if (const auto ticket = message.find(attributes::mobility_ticket)) {
    if (!ticket->value.empty()) return fail(stun::error_code::bad_request);
    if (!options_.mobility) return fail(errors::mobility_forbidden);
    wish.mobile = true;
  }
  return read_families(r, wish);
}

result<server_core::allocate_wish, stun::error_code> server_core::read_families(
    const request& r, allocate_wish wish) const {
  const stun::message_view& message = r.message;
  const bool names_one = message.has(attributes::requested_address_family);
  const bool names_another = message.has(attributes::additional_address_family);
  if (message.has(attributes::reservation_token)) {
    wish.token = find_reservation_token(message);
    if (!wish.token || wish.parity || names_one || names_another)
      return fail(stun::error_code::bad_request);
    return wish;
  }

  if (names_another) {
    if (names_one || wish.parity == even_port::even_and_reserve_next ||
        find_additional_address_family(message) != address_family::ipv6)
      return fail(stun::error_code::bad_request);
    wish.families = {serves(address_family::ipv4), serves(address_family::ipv6)};
    if (!wish.families[0] && !wish.families[1]) return fail(errors::address_family_not_supported);
    if (!wish.families[0]) wish.unavailable = address_family::ipv4;
    if (!wish.families[1]) wish.unavailable = address_family::ipv6;
    return wish;
  }

  const auto family =
      names_one ? find_requested_address_family(message) : std::optional{address_family::ipv4};
  if (!family) return fail(stun::error_code::bad_request);
  if ((family != address_family::ipv4 && family != address_family::ipv6) || !serves(*family))
    return fail(errors::address_family_not_supported);
  wish.families[turn::index_of(*family)] = true;
  return wish;
}

std::optional<std::pair<allocation_refusal, stun::error_code>> server_core::over_quota(
    const request& r, const allocate_wish& wish) const {
  using found = std::pair<allocation_refusal, stun::error_code>;
  const std::string name = account_name(r.user);
  const auto owner = accounts_.find(name);
  std::size_t held = owner == accounts_.end() ? 0 : owner->second.allocations;
  // A reservation outlives the allocation that it was made with.
  if (wish.parity == even_port::even_and_reserve_next)
    held += static_cast<std::size_t>(std::ranges::count(
        reservations_, name, [](const auto& entry) { return entry.second.account; }));
  if (held >= options_.allocations_per_user)
    return found{allocation_refusal::user_quota, errors::allocation_quota_reached};
  const auto source = sources_.find(source_of(r.client.remote.address));
  if (source != sources_.end() && source->second >= options_.allocations_per_source)
    return found{allocation_refusal::source_quota, errors::allocation_quota_reached};
  const bool no_reservation = wish.parity == even_port::even_and_reserve_next &&
                              reservations_.size() >= options_.max_reservations;
  if (usage().allocations >= options_.max_allocations || no_reservation || !has_room_for_events())
    return found{allocation_refusal::total_quota, errors::insufficient_capacity};
  return std::nullopt;
}

void server_core::refuse_allocate(const request& r, allocation_refusal reason,
                                  stun::error_code code) {
  ++stats_.allocations_refused;
  if (code == errors::allocation_quota_reached) ++stats_.quota_reached;
  push_audit(server::allocation_refused{r.client, r.user.username, account_name(r.user), reason});
  refuse(r.sender(), code);
}

// RFC 8656 §7.2, 11
void server_core::redirect(const request& r) {
  const auto same_family =
      std::find_if(alternates_.begin(), alternates_.end(), [&](const endpoint& alternate) {
        return family_of(alternate.address) == family_of(r.client.remote.address);
      });
  if (same_family == alternates_.end()) {
    refuse_allocate(r, allocation_refusal::draining, errors::insufficient_capacity);
    return;
  }
  ++stats_.allocations_refused;
  ++stats_.errors;
  push_audit(server::allocation_refused{r.client, r.user.username, account_name(r.user),
                                        allocation_refusal::draining});
  respond(r.sender(), stun::message_class::error, [&](stun::message_builder& response) {
    response.add_error(stun::error_code::try_alternate, {}).add_alternate_server(*same_family);
  });
}

bool server_core::take_reservation(const request& r, const allocate_wish& wish) {
  const auto found = reservations_.find(*wish.token);
  if (found == reservations_.end() || found->second.account != account_name(r.user)) return false;
  const reservation kept = found->second;
  const std::uint64_t key = byte_reader{*wish.token}.u64();
  timers_.erase({kept.expires, timer::subject::reservation, key});
  reservations_.erase(found);

  allocation& a = create(r, wish.transport);
  relay_slot& slot = *find_relay(kept.relay);
  slot.owner = &a;
  slot.state = relay_slot::status::open;
  a.mobile = wish.mobile;
  a.pending = opening{.fingerprint = r.sender().fingerprint, .lifetime = granted_lifetime(r)};
  a.relays[turn::index_of(slot.family)] = relayed{kept.relay, slot.address, now_};
  finish_allocate(a);
  return true;
}

void server_core::open_relays(const request& r, const allocate_wish& wish) {
  allocation& a = create(r, wish.transport);
  a.mobile = wish.mobile;
  a.pending = opening{.fingerprint = r.sender().fingerprint, .lifetime = granted_lifetime(r)};
  if (wish.unavailable)
    a.missing = missing_family{*wish.unavailable, errors::address_family_not_supported};
  for (std::size_t i = 0; i < a.relays.size(); ++i) {
    if (!wish.families[i]) continue;
    const relay_id relay = reserve_relay(family_at(i), wish.transport, &a);
    server::open_relay order{.relay = relay,
                             .family = family_at(i),
                             .transport = wish.transport,
                             .even_port = wish.parity.has_value(),
                             .listener = r.client.local};
    if (wish.parity == even_port::even_and_reserve_next) {
      order.next = reserve_relay(family_at(i), wish.transport, nullptr);
      find_relay(relay)->next = order.next;
    }
    push(order);
    ++a.pending->waiting;
    // So that an allocation whose driver never answers ends too.
    a.relays[i] = relayed{relay, {}, now_ + options_.default_lifetime};
  }
  set_timer(a);
}

void server_core::relay_opened(time_point now, relay_id relay, const endpoint& relayed_address) {
  advance(now);
  relay_slot* const slot = find_relay(relay);
  if (slot == nullptr || slot->state != relay_slot::status::opening || slot->owner == nullptr)
    return;  // Closed in between; `close_relay` says so.
  allocation& a = *slot->owner;
  a.relays[turn::index_of(slot->family)]->address = relayed_address;
  set_relay_address(*slot, relay, relayed_address);
  if (const auto next = std::exchange(slot->next, std::nullopt)) {
    const auto port = static_cast<std::uint16_t>(relayed_address.port + 1);
    set_relay_address(*find_relay(*next), *next, {relayed_address.address, port});
    // Others may have been opened at the same time.
    if (reservations_.size() < options_.max_reservations)
      make_reservation(a, *next);
    else
      close(*next);
  }
  relay_settled(a);
}

void server_core::relay_failed(time_point now, relay_id relay) {
  advance(now);
  relay_slot* const slot = find_relay(relay);
  if (slot == nullptr) return;
  allocation* const a = slot->owner;
  const address_family family = slot->family;
  const bool was_opening = slot->state == relay_slot::status::opening;
  if (const auto next = std::exchange(slot->next, std::nullopt)) free_relay(*next);
  free_relay(relay);
  if (a == nullptr) {
    std::erase_if(reservations_, [&](const auto& entry) {
      if (entry.second.relay != relay) return false;
      const std::uint64_t key = byte_reader{entry.first}.u64();
      timers_.erase({entry.second.expires, timer::subject::reservation, key});
      return true;
    });
    return;
  }
  if (a->is_open()) {
    // `free_relay` has done what `close` would do, so that no event follows.
    end_family(*a, family, allocation_end::relay_lost);
    return;
  }
  a->relays[turn::index_of(family)].reset();
  a->missing = missing_family{family, errors::insufficient_capacity};
  if (was_opening) relay_settled(*a);
}

void server_core::relay_settled(allocation& a) {
  if (--a.pending->waiting > 0) return;
  if (a.relays[0] || a.relays[1])
    finish_allocate(a);
  else
    allocate_failed(a);
}

void server_core::allocate_failed(allocation& a) {
  const stun::authenticated_user user = a.user;
  const addressee to{a.client, methods::allocate, a.created_by, &user, a.pending->fingerprint};
  const server::allocation_refused audit{a.client, user.username, a.owner->name,
                                         allocation_refusal::no_relay_socket};
  end(a, allocation_end::relay_lost);
  ++stats_.allocations_refused;
  push_audit(audit);
  refuse(to, errors::insufficient_capacity);
}

void server_core::finish_allocate(allocation& a) {
  const addressee to{a.client, methods::allocate, a.created_by, &a.user, a.pending->fingerprint};
  for (auto& relay : a.relays)
    if (relay) relay->expires = now_ + a.pending->lifetime;
  set_timer(a);
  ++stats_.allocations_created;
  const auto address = [&](std::size_t i) {
    return a.relays[i] ? std::optional{a.relays[i]->address} : std::nullopt;
  };
  push_audit(server::allocation_created{a.id, a.client, a.user.username, a.owner->name, a.transport,
                                        address(0), address(1), a.pending->lifetime});
  send_allocate_success(to, a);
  a.pending.reset();
}

void server_core::send_allocate_success(const addressee& to, const allocation& a) {
  succeed(to, [&](stun::message_builder& response) {
    for (const auto& relay : a.relays)
      if (relay) add_relayed_address(response, relay->address);
    if (a.missing) add_address_error(response, a.missing->family, a.missing->why);
    // Of one whose time is over but has not been told so, for a retransmission, nothing is left.
    const auto left = std::chrono::ceil<std::chrono::seconds>(a.expires - now_);
    add_lifetime(response, std::max(left, std::chrono::seconds{0}));
    if (a.reserved) add_reservation_token(response, *a.reserved);
    response.add_xor_mapped_address(to.client.remote);
    if (a.mobile) add_mobility_ticket(response, as_bytes(seal_ticket(a)));
    if (!options_.software.empty()) response.add_software(options_.software);
  });
}

}  // namespace weft::turn
