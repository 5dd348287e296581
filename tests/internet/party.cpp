#include "party.hpp"

#include <algorithm>
#include <array>

namespace weft::internet_test {

namespace {

using kind = internet::arrival::kind;
using transport_t = peer::ice_transport;

/// What it is called, or itself.
five_tuple mapped(const std::map<five_tuple, five_tuple>& names, const five_tuple& path) {
  const auto known = names.find(path);
  return known == names.end() ? path : known->second;
}

}  // namespace

endpoint party::add_interface(time_point now, internet::network n, std::string_view address,
                              ice::network_kind network) {
  net_->attach(host_, n, ip(address));
  const endpoint bound = net_->bind(host_, at(address, 0)).value();
  interfaces_.push_back(bound);
  ice::local_address udp{.base = bound};
  udp.network.kind = network;
  (void)transport.add_local_address(now, udp);
  ice::local_address tcp{.base = at(address, 9), .protocol = transport_protocol::tcp};
  tcp.network.kind = network;
  (void)transport.add_local_address(now, tcp);
  return bound;
}

void party::remove_interface(time_point now, const endpoint& gone) {
  const endpoint base = gone;  // It may lie in what is erased.
  std::erase(interfaces_, base);
  net_->detach(host_, base.address);
  net_->unbind(host_, base);
  transport.remove_local_address(now, base);
  transport.remove_local_address(now, {base.address, 9}, transport_protocol::tcp);
}

void party::listen(time_point now, std::string_view address) {
  const endpoint where = at(address, 7000);
  net_->listen(host_, where, sim::stream_layer::plain);
  (void)transport.add_local_address(
      now, {.base = where, .protocol = transport_protocol::tcp, .tcp = ice::tcp_type::passive});
}

void party::handle(time_point now, const internet::arrival& a) {
  if (a.host != host_) return;
  const five_tuple path = mapped(named_, a.path);
  switch (a.what) {
    case kind::datagram:
    case kind::bytes:
      (void)transport.handle_input(now, path, a.bytes);
      break;
    case kind::connected:
    case kind::accepted:
      transport.handle_connected(now, path);
      break;
    case kind::ended:
      transport.handle_disconnected(now, path);
      break;
  }
}

void party::open(time_point now, const transport_t::connect& wanted) {
  const five_tuple asked{wanted.bind, wanted.path.remote, transport_protocol::tcp};
  const auto layer = wanted.tls ? sim::stream_layer::tls : sim::stream_layer::plain;
  const auto real = net_->connect(now, host_, asked, layer);
  if (!real) {
    refused_.push_back(wanted.path);
    return;
  }
  real_[wanted.path] = *real;
  named_[*real] = wanted.path;
}

void party::take_events(time_point now) {
  while (auto e = transport.poll_event()) {
    if (const auto* wanted = std::get_if<transport_t::connect>(&*e)) open(now, *wanted);
    if (const auto* done = std::get_if<transport_t::disconnect>(&*e))
      net_->close(now, host_, mapped(real_, done->path));
    if (const auto* asked = std::get_if<transport_t::resolve_server>(&*e))
      lookups_.push_back({now + name_delay, asked->name});
    if (const auto* asked = std::get_if<transport_t::resolve_name>(&*e))
      lookups_.push_back({now + name_delay, asked->name});
    if (const auto* gathered = std::get_if<transport_t::candidate_gathered>(&*e))
      unsent.push_back(gathered->candidate);
    end_unsent |= std::holds_alternative<transport_t::gathering_complete>(*e);
    events.push_back(*std::move(e));
  }
  for (const five_tuple& path : std::exchange(refused_, {}))
    transport.handle_disconnected(now, path);
}

bool party::send(time_point now, const addressed_transmit& t) {
  ++datagrams;
  sent_to.insert(t.remote.address);
  if (t.protocol == transport_protocol::udp)
    return net_->send(now, host_, t.local, t.remote, t.bytes);
  return net_->write(now, host_, mapped(real_, {t.local, t.remote, t.protocol}), t.bytes);
}

void party::talk(time_point now) {
  if (!talks || now < next_word_) return;
  next_word_ = now + talk_interval;
  const auto pair = transport.selected_pair();
  if (!pair) return;
  constexpr std::string_view word = "a word";
  const auto room = transport.room_for(*pair);
  std::vector<std::uint8_t> buffer(room.before + word.size() + room.after);
  std::ranges::copy(as_bytes(word), buffer.begin() + static_cast<std::ptrdiff_t>(room.before));
  if (const auto t = transport.wrap(now, *pair, buffer, word.size())) (void)send(now, *t);
}

void party::settle(time_point now) {
  std::array<std::uint8_t, max_datagram_size + 64> buffer;
  take_events(now);
  std::uint64_t burst = 0;
  while (const auto t = transport.poll_transmit(now, buffer)) {
    (void)send(now, *t);
    ++burst;
  }
  most_at_once = std::max(most_at_once, burst);
  take_events(now);
  while (const auto word = transport.receive()) heard.push_back(now);
  talk(now);
}

void party::handle_timeout(time_point now) {
  for (auto at = lookups_.begin(); at != lookups_.end();) {
    if (at->answered > now) {
      ++at;
      continue;
    }
    const auto known = names.find(at->name);
    transport.resolve(now, at->name,
                      known == names.end() ? std::span<const ip_address>{} : known->second);
    at = lookups_.erase(at);
  }
  transport.handle_timeout(now);
}

std::optional<time_point> party::poll_timeout() const {
  auto next = transport.poll_timeout();
  for (const lookup& l : lookups_) next = earliest(next, l.answered);
  if (talks && transport.selected_pair()) next = earliest(next, next_word_);
  return next;
}

duration party::longest_silence(time_point since, time_point now) const {
  duration longest{};
  time_point last = since;
  for (const time_point when : heard) {
    if (when < since) continue;
    longest = std::max(longest, when - last);
    last = when;
  }
  return std::max(longest, now - last);
}

}  // namespace weft::internet_test
