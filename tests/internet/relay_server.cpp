#include "relay_server.hpp"

#include <algorithm>

namespace weft::internet_test {

namespace {

using kind = sim::internet::arrival::kind;

}  // namespace

relay_server::relay_server(sim::internet& net, std::uint64_t seed,
                           const std::vector<ip_address>& addresses,
                           const turn::server::options& opts)
    : net_{&net}, random_{seed}, host_{net.add_host()}, addresses_{addresses}, options_{opts} {
  options_.authentication.realm = realm;
  for (const ip_address& address : addresses_) {
    net.attach(host_, sim::internet::public_network, address);
    (void)net.bind(host_, {address, port});
    net.listen(host_, {address, port}, sim::stream_layer::plain);
    net.listen(host_, {address, tls_port}, sim::stream_layer::tls);
  }
  machine_ = std::make_unique<turn::server>(options_, users_, random_);
}

void relay_server::restart(time_point now) {
  while (!relays_.empty()) close_relay(relays_.begin()->first);
  for (const five_tuple& client : clients_) net_->close(now, host_, client);
  clients_.clear();
  machine_ = std::make_unique<turn::server>(options_, users_, random_);
}

bool relay_server::owns(const ip_address& address) const {
  return std::ranges::find(addresses_, address) != addresses_.end();
}

void relay_server::handle(time_point now, const sim::internet::arrival& a) {
  if (a.host != host_ || is_dead_) return;
  switch (a.what) {
    case kind::datagram:
      break;
    case kind::accepted:
      clients_.push_back(a.path);
      if (!machine_->handle_connected(now, a.path)) net_->close(now, host_, a.path);
      return;
    case kind::bytes:
      return handle_stream(now, a.path, a.bytes);
    case kind::ended:
      std::erase(clients_, a.path);
      return machine_->handle_disconnected(now, a.path);
    case kind::connected:
      return;
  }
  const auto relay_to = by_address_.find(a.path.local);
  if (relay_to == by_address_.end()) {
    if (const auto data = machine_->handle_input(now, a.path, a.bytes)) relay(now, *data);
    return;
  }
  std::array<std::uint8_t, turn::server::headroom> room;
  const auto data = machine_->handle_relayed(now, relay_to->second, a.path.remote, a.bytes, room);
  if (!data) return;
  std::vector<std::uint8_t> message{data->header.begin(), data->header.end()};
  message.insert(message.end(), data->payload.begin(), data->payload.end());
  message.insert(message.end(), data->padding, 0);
  send(now, data->client, message);
}

void relay_server::handle_stream(time_point now, const five_tuple& client, const_bytes chunk) {
  while (!chunk.empty()) {
    const auto step = machine_->handle_stream(now, client, chunk);
    chunk = chunk.subspan(step.consumed);
    if (step.forward) relay(now, *step.forward);
    if (step.then == turn::server::stream_step::next::close) net_->close(now, host_, client);
    if (step.then != turn::server::stream_step::next::go_on) return;
  }
}

void relay_server::relay(time_point now, const turn::server::to_peer& data) {
  if (const auto from = relays_.find(data.relay); from != relays_.end())
    (void)net_->send(now, host_, from->second, data.peer, data.payload);
}

void relay_server::send(time_point now, const five_tuple& path, const_bytes bytes) {
  if (path.protocol == transport_protocol::tcp)
    (void)net_->write(now, host_, path, bytes);
  else
    (void)net_->send(now, host_, path.local, path.remote, bytes);
}

void relay_server::open_relay(time_point now, const turn::server::open_relay& wanted) {
  const bool v4 = wanted.family == turn::address_family::ipv4;
  const auto address = std::ranges::find_if(
      addresses_, [&](const ip_address& known) { return known.is_v4() == v4; });
  if (address == addresses_.end()) return machine_->relay_failed(now, wanted.relay);
  for (;;) {
    // RFC 8656 §7.2: 49152 to 65535.
    auto chosen = static_cast<std::uint16_t>(49152 + random_.next() % 16384);
    if (wanted.even_port || wanted.next) chosen = static_cast<std::uint16_t>(chosen & ~1);
    const endpoint relayed{*address, chosen};
    if (!net_->bind(host_, relayed)) continue;
    relays_[wanted.relay] = relayed;
    by_address_[relayed] = wanted.relay;
    return machine_->relay_opened(now, wanted.relay, relayed);
  }
}

void relay_server::close_relay(turn::relay_id id) {
  const auto known = relays_.find(id);
  if (known == relays_.end()) return;
  net_->unbind(host_, known->second);
  by_address_.erase(known->second);
  relays_.erase(known);
}

void relay_server::settle(time_point now) {
  if (is_dead_) return;
  std::array<std::uint8_t, max_datagram_size> buffer;
  for (bool busy = true; busy;) {
    busy = false;
    while (const auto e = machine_->poll_event()) {
      busy = true;
      if (const auto* wanted = std::get_if<turn::server::open_relay>(&*e)) open_relay(now, *wanted);
      if (const auto* done = std::get_if<turn::server::close_relay>(&*e)) close_relay(done->relay);
      if (const auto* done = std::get_if<turn::server::close_stream>(&*e)) {
        std::erase(clients_, done->client);
        net_->close(now, host_, done->client);
      }
    }
    while (const auto t = machine_->poll_transmit(now, buffer)) {
      busy = true;
      send(now, {t->local, t->remote, t->protocol}, t->bytes);
    }
  }
}

void relay_server::handle_timeout(time_point now) {
  if (!is_dead_) machine_->handle_timeout(now);
}

std::optional<time_point> relay_server::poll_timeout() const {
  return is_dead_ ? std::nullopt : machine_->poll_timeout();
}

}  // namespace weft::internet_test
