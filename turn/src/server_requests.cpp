#include <algorithm>
#include <array>

#include <weft/stun/fingerprint.hpp>
#include <weft/stun/response.hpp>
#include <weft/turn/channel_data.hpp>

#include "server_core.hpp"

// Requests about allocations that exist (RFC 8656 §8, §10, §12), and what comes before: who
// asks, and for what.
namespace weft::turn {
namespace {

// For the buffer: who sends more learns of these first.
constexpr std::size_t max_reported_attributes = 16;

bool is_known(stun::method m) noexcept {
  return m == methods::allocate || m == methods::refresh || m == methods::create_permission ||
         m == methods::channel_bind || m == methods::connect || m == methods::connection_bind;
}

}  // namespace

std::optional<server::to_peer> server_core::handle_stun(const five_tuple& client,
                                                        const_bytes bytes) {
  const auto message = stun::message_view::parse(bytes);
  if (!message || (message->fingerprint() && !stun::has_valid_fingerprint(*message))) {
    ++stats_.malformed;
    return std::nullopt;
  }
  switch (message->type_class()) {
    case stun::message_class::indication:
      if (message->type_method() == methods::send) return relay_send(client, *message);
      return std::nullopt;  // Binding as a keep-alive, and what only servers send.
    case stun::message_class::request:
      handle_request(client, *message);
      return std::nullopt;
    case stun::message_class::success:
    case stun::message_class::error:
      break;
  }
  ++stats_.malformed;
  return std::nullopt;
}

void server_core::handle_request(const five_tuple& client, const stun::message_view& message) {
  const stun::method method = message.type_method();
  if (method == stun::method::binding) {
    answer_binding(client, message);
    return;
  }
  const bool is_tcp_method = method == methods::connect || method == methods::connection_bind;
  if (!is_known(method) || (is_tcp_method && !options_.tcp_allocations)) {
    ++stats_.malformed;  // RFC 8489 §6.3: of an unknown method, dropped.
    return;
  }

  // Whose session it is: a client that has moved is known by its ticket, a data connection by
  // the peer's that it is for.
  const allocation* session = find_open(client);
  if (method == methods::refresh)
    if (const auto ticket = find_mobility_ticket(message))
      if (const auto contents = open_ticket(*ticket)) session = find(contents->allocation);
  if (method == methods::connection_bind)
    if (const auto number = find_connection_id(message))
      if (const auto* const c = find_connection(connection_id{*number})) session = c->owner;
  const auto user =
      auth_.authenticate(now_, client, message, session != nullptr ? &session->user : nullptr);
  if (!user) {
    refuse_stranger(client, message, user.error());
    return;
  }
  if (client.protocol == transport_protocol::udp) limiter_.confirm(client.remote.address);
  const request r{client, message, *user};
  if (!has_unknown_attributes(r)) dispatch(r);
}

void server_core::answer_binding(const five_tuple& client, const stun::message_view& message) {
  ++stats_.binding_requests;
  if (!may_answer_stranger(client)) return;
  const mutable_bytes buffer = replies_.reserve();
  const auto reply = binding_.respond(client.remote, message.bytes(), buffer);
  reply_to_stranger(client, message.bytes(), reply.value_or(const_bytes{}));
}

void server_core::refuse_stranger(const five_tuple& client, const stun::message_view& message,
                                  stun::error_code code) {
  switch (code) {
    case stun::error_code::unauthenticated:
      ++(stun::has_integrity(message) ? stats_.failed_logins : stats_.challenges);
      break;
    case stun::error_code::stale_nonce:
      ++stats_.challenges;
      break;
    default:
      ++stats_.bad_requests;
  }
  if (!may_answer_stranger(client)) return;
  const mutable_bytes buffer = replies_.reserve();
  if (buffer.empty()) {
    ++stats_.replies_dropped;
    return;
  }
  reply_to_stranger(client, message.bytes(), auth_.refuse(now_, client, message, code, buffer));
}

// RFC 8489 §6.3.1: after the credentials.
bool server_core::has_unknown_attributes(const request& r) {
  if (!r.message.has_unknown(understood_)) return false;
  std::array<stun::attribute_type, max_reported_attributes> unknown;
  const auto types = r.message.unknown_to(understood_, unknown);
  ++stats_.errors;
  respond(r.sender(), stun::message_class::error, [&](stun::message_builder& response) {
    response.add_error(stun::error_code::unknown_attribute, {}).add_unknown_attributes(types);
  });
  return true;
}

void server_core::dispatch(const request& r) {
  const stun::method method = r.message.type_method();
  if (method == methods::allocate)
    allocate(r);
  else if (method == methods::refresh)
    refresh(r);
  else if (method == methods::create_permission)
    create_permission(r);
  else if (method == methods::channel_bind)
    channel_bind(r);
  else if (method == methods::connect)
    connect(r);
  else
    connection_bind(r);
}

allocation* server_core::require_allocation(const request& r) {
  allocation* const a = find_open(r.client);
  if (a == nullptr) {
    refuse(r.sender(), errors::allocation_mismatch);
    return nullptr;
  }
  if (!belongs_to(*a, r.user)) {
    ++stats_.wrong_credentials;
    refuse(r.sender(), errors::wrong_credentials);
    return nullptr;
  }
  // Deviation from RFC 8016 §3.2.2, where only data ends the old 5-tuple: clients that only
  // receive would never have moved.
  if (a->moving_to == r.client) finish_move(*a);
  return a;
}

// RFC 8656 §7.2, §8.2, for all but zero.
std::chrono::seconds server_core::granted_lifetime(const request& r) const {
  const auto wanted = find_lifetime(r.message).value_or(options_.default_lifetime);
  auto granted = std::max(std::min(wanted, options_.max_lifetime), options_.default_lifetime);
  // RFC 7635 §9: no longer than the token.
  if (r.user.third_party && r.user.valid_until) {
    const auto left = std::chrono::floor<std::chrono::seconds>(*r.user.valid_until - now_);
    granted = std::clamp(left, std::chrono::seconds{1}, granted);
  }
  return granted;
}

void server_core::refresh(const request& r) {
  if (r.message.has(attributes::mobility_ticket)) {
    // RFC 8016 §3.2.2
    if (!options_.mobility)
      refuse(r.sender(), errors::mobility_forbidden);
    else if (const auto ticket = find_mobility_ticket(r.message))
      refresh_moved(r, *ticket);
    else
      refuse(r.sender(), stun::error_code::bad_request);
    return;
  }
  if (allocation* const a = require_allocation(r)) refresh_open(r, *a, false);
}

void server_core::refresh_open(const request& r, allocation& a, bool has_moved) {
  const bool names_family = r.message.has(attributes::requested_address_family);
  const auto family = find_requested_address_family(r.message);
  if (r.message.has(attributes::lifetime) && !find_lifetime(r.message)) {
    refuse(r.sender(), stun::error_code::bad_request);
    return;
  }
  if (names_family) {
    const bool known = family == address_family::ipv4 || family == address_family::ipv6;
    if (!known || !a.relays[turn::index_of(*family)]) {
      refuse(r.sender(), errors::peer_address_family_mismatch);
      return;
    }
  }

  if (find_lifetime(r.message) == std::chrono::seconds{0}) {
    succeed(r.sender(), [](stun::message_builder& response) {
      add_lifetime(response, std::chrono::seconds{0});
    });
    if (family)
      end_family(a, *family, allocation_end::deleted);
    else
      end(a, allocation_end::deleted);
    return;
  }

  const std::chrono::seconds lifetime = granted_lifetime(r);
  a.user = r.user;
  for (std::size_t i = 0; i < a.relays.size(); ++i)
    if (a.relays[i] && (!family || turn::index_of(*family) == i))
      a.relays[i]->expires = now_ + lifetime;
  set_timer(a);
  succeed(r.sender(), [&](stun::message_builder& response) {
    add_lifetime(response, lifetime);
    if (has_moved) add_mobility_ticket(response, as_bytes(seal_ticket(a)));
    if (!options_.software.empty()) response.add_software(options_.software);
  });
}

void server_core::create_permission(const request& r) {
  allocation* const a = require_allocation(r);
  if (a == nullptr) return;

  // All or nothing (RFC 8656 §10.2): looks at every address before it permits the first.
  std::optional<stun::error_code> error;
  std::size_t count = 0, fresh = 0;
  std::optional<std::pair<endpoint, peer_refusal>> refused;
  for_each_xor_address(
      r.message, attributes::xor_peer_address, [&](const std::optional<endpoint>& peer) {
        ++count;
        if (error || refused) return;
        if (!peer) {
          error = stun::error_code::bad_request;
        } else if (!a->relay_for(peer->address)) {
          error = errors::peer_address_family_mismatch;
        } else if (const auto why = refuses(a->transport, peer->address, std::nullopt)) {
          refused = {*peer, *why};
        } else if (!a->peers.permits(now_, peer->address)) {
          ++fresh;
        }
      });
  if (count == 0) error = stun::error_code::bad_request;
  if (!error && !refused &&
      a->peers.room_for_permissions(now_, options_.permissions_per_allocation) < fresh)
    error = errors::insufficient_capacity;
  if (error) {
    refuse(r.sender(), *error);
    return;
  }
  if (refused) {
    refuse_peer(r, *a, refused->first, refused->second);
    return;
  }

  for_each_xor_address(
      r.message, attributes::xor_peer_address,
      [&](const std::optional<endpoint>& peer) { a->peers.permit(now_, peer->address); });
  succeed(r.sender(), [](stun::message_builder&) {});
}

void server_core::channel_bind(const request& r) {
  allocation* const a = require_allocation(r);
  if (a == nullptr) return;

  const auto number = find_channel_number(r.message);
  const auto peer = find_peer_address(r.message);
  if (!number || !is_channel_number(*number) || !peer || a->transport != relayed_transport::udp) {
    refuse(r.sender(), stun::error_code::bad_request);
    return;
  }
  if (!a->relay_for(peer->address)) {
    refuse(r.sender(), errors::peer_address_family_mismatch);
    return;
  }
  const allocation_peers::channel* const same_number = a->peers.by_number(now_, *number);
  const allocation_peers::channel* const same_peer = a->peers.by_peer(now_, *peer);
  if ((same_number != nullptr && same_number->peer != *peer) ||
      (same_peer != nullptr && same_peer->number != *number)) {
    refuse(r.sender(), stun::error_code::bad_request);
    return;
  }
  if (const auto why = refuses(a->transport, peer->address, peer->port)) {
    refuse_peer(r, *a, *peer, *why);
    return;
  }
  const bool has_room =
      (same_number != nullptr ||
       a->peers.room_for_channels(now_, options_.channels_per_allocation) > 0) &&
      (a->peers.permits(now_, peer->address) ||
       a->peers.room_for_permissions(now_, options_.permissions_per_allocation) > 0);
  if (!has_room) {
    refuse(r.sender(), errors::insufficient_capacity);
    return;
  }

  a->peers.bind(now_, *number, *peer);
  a->peers.permit(now_, peer->address);
  succeed(r.sender(), [](stun::message_builder&) {});
}

}  // namespace weft::turn
