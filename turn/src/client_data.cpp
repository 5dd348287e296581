#include <algorithm>
#include <cstring>

#include "client_implementation.hpp"

// What is relayed: the part of the client that runs for every datagram.
namespace weft::turn {

// From peers

bool client::implementation::takes_data(const_bytes frame) noexcept {
  constexpr auto data_indication =
      stun::encode_type(stun::message_class::indication, methods::data);
  return is_channel_data(frame) ||
         (frame.size() >= 2 && stun::detail::load_u16(frame.data()) == data_indication);
}

bool client::implementation::may_receive_from(const ip_address& peer) const noexcept {
  const permission* const known = peers_.find(peer);
  return known != nullptr && (known->is_installed(now_) || known->request != 0);
}

std::optional<client::received> client::implementation::unwrap(const_bytes frame) {
  if (const auto data = channel_data_view::parse(frame)) {
    // RFC 8656 §12: it may come before the answer to ChannelBind.
    const channel_binding* const c = peers_.find(data->channel);
    if (c == nullptr || !c->wanted || !(c->is_bound(now_) || c->request != 0)) {
      ++stats_.unpermitted;
      return std::nullopt;
    }
    return received{c->peer, data->data};
  }
  const auto message = stun::message_view::parse(frame);
  if (message && !is_sound(*message)) {
    ++stats_.dropped;
    return std::nullopt;
  }
  const auto peer = message ? find_peer_address(*message) : std::nullopt;
  const auto data = message ? find_data(*message) : std::nullopt;
  if (!peer || !data) {
    // An ICMP error was told as an event.
    if (!message || !peer || !find_icmp(*message)) ++stats_.dropped;
    return std::nullopt;
  }
  if (!may_receive_from(peer->address)) {
    ++stats_.unpermitted;
    return std::nullopt;
  }
  return received{*peer, *data};
}

std::optional<client::received> client::implementation::receive() {
  while (!finished_.empty() || !unread_.empty()) {
    const_bytes frame = std::exchange(finished_, {});
    if (frame.empty()) {
      // Between frames with data may stand others, which were acted on when they came.
      const std::size_t size = is_stream() ? next_frame(unread_).size : unread_.size();
      frame = unread_.first(size);
      unread_ = unread_.subspan(size);
      if (!takes_data(frame)) continue;
    }
    if (auto data = unwrap(frame)) {
      ++stats_.datagrams_received;
      return data;
    }
  }
  return std::nullopt;
}

// To peers

bool client::implementation::has_permission(const ip_address& peer) const noexcept {
  const permission* const known = peers_.find(peer);
  return known != nullptr && known->is_installed(now_);
}

std::optional<std::uint16_t> client::implementation::channel_to(
    const endpoint& peer) const noexcept {
  const auto* const known = peers_.find(peer);
  if (known == nullptr || !known->is_bound(now_)) return std::nullopt;
  return peers_.number_of(*known);
}

std::size_t client::implementation::indication_overhead(const endpoint& peer) const noexcept {
  const std::size_t address = peer.address.is_v6() ? 24 : 12;
  return stun::header_size + address + (ask_dont_fragment_ ? 4 : 0) + 4;
}

std::size_t client::implementation::headroom(const endpoint& peer) const noexcept {
  return channel_to(peer) ? channel_header_size : indication_overhead(peer);
}

void client::implementation::write_indication_header(const endpoint& peer, mutable_bytes buffer,
                                                     std::size_t size) {
  // Unique is enough for what nobody answers, so the rest of the ID is counted up.
  for (std::size_t i = indication_id_.size(); i-- > 4 && ++indication_id_[i] == 0;) {
  }
  stun::message_builder message{buffer, stun::message_class::indication, methods::send,
                                indication_id_};
  add_peer_address(message, peer);
  if (ask_dont_fragment_) add_dont_fragment(message);
  const std::size_t at = message.finish().size();
  const auto put = [&](std::size_t offset, std::size_t value) {
    buffer[offset] = static_cast<std::uint8_t>(value >> 8);
    buffer[offset + 1] = static_cast<std::uint8_t>(value);
  };
  put(at, static_cast<std::uint16_t>(attributes::data));
  put(at + 2, size);
  put(2, at + 4 + stun::padded(size) - stun::header_size);
}

result<const_bytes, client_error> client::implementation::encapsulate(time_point now,
                                                                      const endpoint& peer,
                                                                      mutable_bytes buffer,
                                                                      std::size_t offset,
                                                                      std::size_t size) {
  advance(now);
  if (phase_ == phase::moving || phase_ == phase::detached) return fail(client_error::moving);
  const channel_binding* const known = std::as_const(peers_).find(peer);
  const bool in_channel = known != nullptr && known->is_bound(now_);
  if (!in_channel) {
    if (const auto checked = check_peer(peer.address); !checked) return fail(checked.error());
    if (options_.relayed != relayed_transport::udp) return fail(client_error::not_offered);
    if (!has_permission(peer.address)) return fail(client_error::no_permission);
  }
  const std::size_t header = in_channel ? channel_header_size : indication_overhead(peer);
  const std::size_t padding = in_channel && !is_stream() ? 0 : stun::padded(size) - size;
  const std::size_t whole = header + size + padding;
  if (size > buffer.size() || offset > buffer.size() - size || whole > buffer.size() ||
      whole > 0xffff)
    return fail(client_error::too_large);

  if (offset != header) std::memmove(buffer.data() + header, buffer.data() + offset, size);
  if (in_channel) {
    write_channel_header(buffer.first<channel_header_size>(), peers_.number_of(*known),
                         static_cast<std::uint16_t>(size));
  } else {
    write_indication_header(peer, buffer, size);
    want_channel(peer);
  }
  std::ranges::fill(buffer.subspan(header + size, padding), std::uint8_t{0});
  last_sent_ = now_;
  ++stats_.datagrams_sent;
  return const_bytes{buffer.first(whole)};
}

void client::implementation::want_channel(const endpoint& peer) {
  if (options_.channels != channel_use::automatic || ask_dont_fragment_) return;
  channel_binding* known = peers_.find(peer);
  if (known != nullptr && (known->wanted || known->refused)) return;
  if (known == nullptr) known = peers_.add(now_, peer);
  if (known != nullptr) want(*known);
}

}  // namespace weft::turn
