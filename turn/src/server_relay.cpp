#include <weft/turn/channel_data.hpp>

#include "server_core.hpp"

// What is relayed (RFC 8656 §11, §12): every packet comes here, and nothing allocates.
namespace weft::turn {

std::optional<server::to_peer> server_core::handle_input(time_point now, const five_tuple& client,
                                                         const_bytes datagram) {
  advance(now);
  if (is_channel_data(datagram)) return relay_channel_data(client, datagram);
  return handle_stun(client, datagram);
}

std::optional<server::to_peer> server_core::relay_channel_data(const five_tuple& client,
                                                               const_bytes message) {
  const auto data = channel_data_view::parse(message);
  if (!data) {
    ++stats_.malformed;
    return std::nullopt;
  }
  allocation* const a = find_open(client);
  if (a == nullptr) {
    ++stats_.no_allocation;
    return std::nullopt;
  }
  if (a->moving_to == client) finish_move(*a);
  const auto* const channel = a->peers.by_number(now_, data->channel);
  if (channel == nullptr) {
    ++stats_.no_channel;
    return std::nullopt;
  }
  return forward(*a, channel->peer, data->data, false);
}

// RFC 8656 §11.2
std::optional<server::to_peer> server_core::relay_send(const five_tuple& client,
                                                       const stun::message_view& message) {
  const auto peer = find_peer_address(message);
  const auto data = find_data(message);
  if (!peer || !data || message.has_unknown(understood_)) {
    ++stats_.malformed;
    return std::nullopt;
  }
  allocation* const a = find_open(client);
  if (a == nullptr || a->transport != relayed_transport::udp) {
    ++stats_.no_allocation;
    return std::nullopt;
  }
  if (a->moving_to == client) finish_move(*a);
  if (!a->peers.permits(now_, peer->address)) {
    ++stats_.no_permission;
    return std::nullopt;
  }
  if (a->last_sent != *peer) {
    if (refuses(a->transport, peer->address, peer->port)) {
      ++stats_.forbidden_peers;
      return std::nullopt;
    }
    a->last_sent = *peer;
  }
  return forward(*a, *peer, *data, has_dont_fragment(message));
}

std::optional<server::to_peer> server_core::forward(allocation& a, const endpoint& peer,
                                                    const_bytes payload, bool dont_fragment) {
  const auto& relay = a.relay_for(peer.address);
  if (!relay || relay->expires <= now_) {
    ++stats_.no_allocation;
    return std::nullopt;
  }
  if (!charge(a, payload.size())) return std::nullopt;
  ++a.packets_to_peers;
  a.bytes_to_peers += payload.size();
  ++stats_.packets_to_peers;
  stats_.bytes_to_peers += payload.size();
  return server::to_peer{relay->relay, peer, payload, dont_fragment};
}

bool server_core::charge(allocation& a, std::size_t bytes) noexcept {
  if (a.owner->bandwidth.take(now_, bytes) && bandwidth_.take(now_, bytes)) return true;
  ++stats_.over_bandwidth;
  return false;
}

std::optional<server::to_client> server_core::handle_relayed(
    time_point now, relay_id relay, const endpoint& peer, const_bytes payload,
    std::span<std::uint8_t, server::headroom> room) {
  advance(now);
  const relay_slot* const slot = find_relay(relay);
  if (slot == nullptr || slot->state != relay_slot::status::open || payload.size() > 0xffff) {
    ++stats_.no_allocation;
    return std::nullopt;
  }
  allocation& a = *slot->owner;
  const auto& mine = a.relays[turn::index_of(slot->family)];
  if (!a.is_open() || !a.client.remote.address || !mine || mine->expires <= now_) {
    ++stats_.no_allocation;
    return std::nullopt;
  }
  if (!a.peers.permits(now_, peer.address)) {
    ++stats_.no_permission;
    return std::nullopt;
  }

  const auto size = static_cast<std::uint16_t>(payload.size());
  const std::size_t fill = stun::padded(size) - size;
  const auto* const channel = a.peers.by_peer(now_, peer);
  server::to_client out{a.client, {}, payload};
  if (channel != nullptr) {
    const auto header = room.last<channel_header_size>();
    write_channel_header(header, channel->number, size);
    out.header = header;
    // RFC 8656 §12.5
    if (a.client.protocol == transport_protocol::tcp) out.padding = static_cast<std::uint8_t>(fill);
  } else {
    // A Data indication whose last attribute is the payload, which stays where it is.
    const std::size_t header_size = stun::header_size + 4 + 4 + peer.address.octets().size() + 4;
    const std::size_t body = header_size - stun::header_size + size + fill;
    if (body > 0xffff) {
      ++stats_.malformed;
      return std::nullopt;
    }
    const mutable_bytes header = room.last(header_size);
    stun::message_builder indication{header, stun::message_class::indication, methods::data,
                                     next_indication_id()};
    add_peer_address(indication, peer);
    indication.finish();
    byte_writer rest{header.last(4)};
    rest.u16(static_cast<std::uint16_t>(attributes::data));
    rest.u16(size);
    byte_writer{header.subspan(2, 2)}.u16(static_cast<std::uint16_t>(body));
    out.header = header;
    out.padding = static_cast<std::uint8_t>(fill);
  }
  if (!charge(a, payload.size())) return std::nullopt;
  ++a.packets_to_client;
  a.bytes_to_client += payload.size();
  ++stats_.packets_to_clients;
  stats_.bytes_to_clients += payload.size();
  return out;
}

// RFC 8656 §11.5
void server_core::handle_icmp(time_point now, relay_id relay, const endpoint& peer,
                              const icmp_error& error) {
  advance(now);
  const relay_slot* const slot = find_relay(relay);
  if (slot == nullptr || slot->state != relay_slot::status::open) return;
  const allocation& a = *slot->owner;
  const bool is_relevant = peer.address.is_v4() ? error.type == 3 || error.type == 11
                                                : error.type >= 1 && error.type <= 3;
  if (!a.is_open() || !a.client.remote.address || !is_relevant ||
      !a.peers.permits(now_, peer.address))
    return;
  ++stats_.icmp_errors;
  indicate(a.client, methods::data, [&](stun::message_builder& indication) {
    add_peer_address(indication, peer);
    add_icmp(indication, error);
  });
}

// Nobody answers an indication: its ID must not repeat, and no more.
stun::transaction_id server_core::next_indication_id() noexcept {
  stun::transaction_id id = indication_base_;
  const std::uint64_t number = ++indications_;
  for (std::size_t i = 0; i < 8; ++i) id[i] ^= static_cast<std::uint8_t>(number >> (8 * i));
  return id;
}

}  // namespace weft::turn
