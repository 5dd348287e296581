#include "internet.hpp"

#include <algorithm>
#include <array>

namespace weft::sim {

namespace {

constexpr std::array<std::uint8_t, 12> nat64_prefix{0, 0x64, 0xff, 0x9b};

bool is_nat64(const ip_address& address) {
  return address.is_v6() && std::ranges::equal(address.octets().first<12>(), nat64_prefix);
}

ip_address from_nat64(const ip_address& address) {
  std::array<std::uint8_t, 4> v4{};
  std::ranges::copy(address.octets().last<4>(), v4.begin());
  return ip_address{v4};
}

}  // namespace

ip_address nat64_address(const ip_address& v4) {
  std::array<std::uint8_t, 16> v6{};
  std::ranges::copy(nat64_prefix, v6.begin());
  std::ranges::copy(v4.octets(), v6.begin() + nat64_prefix.size());
  return ip_address{v6};
}

internet::internet(std::uint64_t seed, const conditions& link) : random_{seed} {
  areas_.push_back({.link = link});
}

internet::network internet::add_network(const gateway& g) {
  area a{.link = g.link, .outer = g.outer};
  if (g.address) a.translation = std::make_unique<nat>(g.address, g.nat, random_.next());
  a.nat64 = g.nat64;
  a.v6 = packet_filter{g.nat};
  a.firewall = g.firewall;
  a.isolated = g.isolated;
  areas_.push_back(std::move(a));
  return network{static_cast<std::uint32_t>(areas_.size() - 1)};
}

void internet::attach(host h, network n, const ip_address& address) {
  if (!is_attached(h, address)) interfaces_.push_back({h, n, address});
}

void internet::detach(host h, const ip_address& address) {
  std::erase_if(interfaces_,
                [&](const interface& i) { return i.host == h && i.address == address; });
}

const internet::interface* internet::find(host h, const ip_address& address) const {
  const auto found = std::ranges::find_if(
      interfaces_, [&](const interface& i) { return i.host == h && i.address == address; });
  return found == interfaces_.end() ? nullptr : &*found;
}

bool internet::is_attached(host h, const ip_address& address) const {
  return find(h, address) != nullptr;
}

// Sockets

std::optional<endpoint> internet::bind(host h, const endpoint& local) {
  endpoint bound = local;
  if (bound.port == 0) bound.port = next_port_++;
  if (!is_attached(h, bound.address) || !bound_.insert({h, bound}).second) return std::nullopt;
  return bound;
}

bool internet::send(time_point now, host h, const endpoint& local, const endpoint& remote,
                    const_bytes datagram) {
  if (!bound_.contains({h, local}) || !is_attached(h, local.address)) return false;
  emit(now, h, {transport_protocol::udp, local, remote, {datagram.begin(), datagram.end()}, {}});
  return true;
}

std::optional<five_tuple> internet::connect(time_point now, host h, five_tuple path,
                                            stream_layer layer) {
  path.protocol = transport_protocol::tcp;
  if (path.local.port == 0) path.local.port = next_port_++;
  if (!is_attached(h, path.local.address) || streams_.contains({h, path})) return std::nullopt;
  const auto side = tcp_connection::side::opening;
  streams_.emplace(stream{h, path}, std::pair{tcp_connection{side, layer}, side});
  flush(now, {h, path});
  return path;
}

bool internet::write(time_point now, host h, const five_tuple& path, const_bytes bytes) {
  const auto known = streams_.find({h, path});
  if (known == streams_.end() || !known->second.first.write(bytes, random_)) return false;
  flush(now, {h, path});
  return true;
}

void internet::close(time_point now, host h, const five_tuple& path) {
  const auto known = streams_.find({h, path});
  if (known == streams_.end()) return;
  known->second.first.close();
  flush(now, {h, path});
}

// Routing

void internet::emit(time_point now, host h, packet p) {
  record(now, p);
  ++counters_.packets;
  if (find(h, p.to.address) != nullptr) {  // To itself, whatever else has that address.
    flights_.push_back({now, order_++, hop::to_host, public_network, h, std::move(p)});
    std::ranges::push_heap(flights_, later);
    return;
  }
  if (const interface* const i = find(h, p.from.address))
    route(now, i->network, std::move(p), origin::host);
}

/// A packet that is in `n`: over this network to whoever is next.
void internet::route(time_point now, network n, packet p, origin from) {
  for (const interface& i : interfaces_) {
    if (i.network != n || i.address != p.to.address) continue;
    if (at(n).isolated && from == origin::host) {
      ++counters_.filtered;
      return;
    }
    return cross(now, n, {{}, 0, hop::to_host, n, i.host, std::move(p)});
  }
  if (route_inward(now, n, p)) return;
  if (at(n).outer && from == origin::host)
    return cross(now, n, {{}, 0, hop::to_outside, n, {}, std::move(p)});
  ++counters_.unroutable;
}

/// To a gateway that stands in `n` with that address, or with that address behind it.
bool internet::route_inward(time_point now, network n, packet& p) {
  for (std::size_t i = 0; i < areas_.size(); ++i) {
    if (areas_[i].outer != n) continue;
    const network inner{static_cast<std::uint32_t>(i)};
    const nat* const translation = areas_[i].translation.get();
    const bool is_external = translation != nullptr && translation->external() == p.to.address;
    const bool is_inside =
        p.to.address.is_v6() && std::ranges::any_of(interfaces_, [&](const interface& known) {
          return known.network == inner && known.address == p.to.address;
        });
    if (!is_external && !is_inside) continue;
    cross(now, n, {{}, 0, hop::into_inside, inner, {}, std::move(p)});
    return true;
  }
  return false;
}

/// Over a network, as its conditions are.
void internet::cross(time_point now, network n, const flight& f) {
  const conditions& link = at(n).link;
  const bool is_datagram = f.what.protocol == transport_protocol::udp;
  if ((is_datagram && f.what.bytes.size() > link.mtu) || chance(link.loss_percent)) return;
  for (int copies = chance(link.duplicate_percent) ? 2 : 1; copies > 0; --copies) {
    duration delay = link.delay;
    if (link.jitter > duration{})
      delay += duration{static_cast<duration::rep>(
          random_.next() % static_cast<std::uint64_t>(link.jitter.count()))};
    flights_.push_back(f);
    flights_.back().arrives = now + delay;
    flights_.back().order = order_++;
    std::ranges::push_heap(flights_, later);
  }
}

bool internet::is_forbidden(const area& a, const packet& p) const {
  switch (a.firewall) {
    case firewall::none:
      return false;
    case firewall::no_udp:
      return p.protocol == transport_protocol::udp;
    case firewall::tls_on_443:
      return p.protocol == transport_protocol::udp || p.tcp.layer != stream_layer::tls ||
             p.to.port != 443;
  }
  return true;
}

/// At the gateway of `n`, from inside.
void internet::leave(time_point now, network n, packet p) {
  area& a = at(n);
  if (is_forbidden(a, p)) {
    ++counters_.filtered;
    return;
  }
  if (p.from.address.is_v6() && !(a.nat64 && is_nat64(p.to.address))) {
    a.v6.note_outward(now, p.protocol, p.from, p.to);
    return route(now, *a.outer, std::move(p), origin::host);
  }
  if (p.from.address.is_v4() == a.nat64 || !a.translation) {
    ++counters_.unroutable;
    return;
  }
  if (a.nat64) p.to.address = from_nat64(p.to.address);
  const bool is_hairpin = p.to.address == a.translation->external();
  if (is_hairpin && !a.translation->behaviour().hairpin) {
    ++counters_.filtered;
    return;
  }
  const auto outside = a.translation->outward(now, p.protocol, p.from, p.to);
  if (!outside) {
    ++counters_.filtered;
    return;
  }
  p.from = *outside;
  // RFC 4787 §6, REQ-9 a: who is inside sees it come from outside.
  if (is_hairpin) return enter(now, n, std::move(p));
  route(now, *a.outer, std::move(p), origin::host);
}

/// At the gateway of `n`, from outside.
void internet::enter(time_point now, network n, packet p) {
  area& a = at(n);
  if (a.translation && p.to.address == a.translation->external()) {
    const auto inside = a.translation->inward(now, p.protocol, p.from, p.to);
    if (!inside) {
      ++counters_.filtered;
      return;
    }
    p.to = *inside;
    if (a.nat64) p.from.address = nat64_address(p.from.address);
  } else if (!a.v6.admits(now, p.protocol, p.from, p.to)) {
    ++counters_.filtered;
    return;
  }
  // Rules about what may leave are also about the answers.
  if (a.firewall != firewall::none && p.protocol == transport_protocol::udp) {
    ++counters_.filtered;
    return;
  }
  route(now, n, std::move(p), origin::gateway);
}

// Arriving

std::optional<time_point> internet::next_event() const {
  std::optional<time_point> next;
  if (!arrivals_.empty()) next = time_point::min();
  if (!flights_.empty()) next = earliest(next, flights_.front().arrives);
  for (const auto& [key, s] : streams_) next = earliest(next, s.first.poll_timeout());
  return next;
}

std::optional<internet::arrival> internet::poll(time_point now) {
  while (arrivals_.empty()) {
    run_timers(now);
    if (flights_.empty() || flights_.front().arrives > now) break;
    std::ranges::pop_heap(flights_, later);
    const flight f = std::move(flights_.back());
    flights_.pop_back();
    switch (f.next) {
      case hop::to_host:
        arrive(f.arrives, f);
        break;
      case hop::to_outside:
        leave(f.arrives, f.place, f.what);
        break;
      case hop::into_inside:
        enter(f.arrives, f.place, f.what);
        break;
    }
  }
  if (arrivals_.empty()) return std::nullopt;
  arrival first = std::move(arrivals_.front());
  arrivals_.pop_front();
  return first;
}

void internet::arrive(time_point now, const flight& f) {
  if (!is_attached(f.host, f.what.to.address)) {
    ++counters_.unroutable;
    return;
  }
  if (f.what.protocol == transport_protocol::tcp) return arrive_tcp(now, f.host, f.what);
  if (!bound_.contains({f.host, f.what.to})) {
    ++counters_.unreachable;
    return;
  }
  arrivals_.push_back({f.host, arrival::kind::datagram, {f.what.to, f.what.from}, f.what.bytes});
}

void internet::arrive_tcp(time_point now, host h, const packet& p) {
  const stream key{h, {p.to, p.from, transport_protocol::tcp}};
  auto known = streams_.find(key);
  if (known == streams_.end() && p.tcp.what == segment::kind::syn) {
    const auto listener = listening_.find({h, p.to});
    if (listener != listening_.end() && listener->second == p.tcp.layer) {
      const auto side = tcp_connection::side::listening;
      known = streams_.emplace(key, std::pair{tcp_connection{side, p.tcp.layer}, side}).first;
    }
  }
  if (known != streams_.end()) {
    known->second.first.receive(now, p.tcp);
    return flush(now, key);
  }
  ++counters_.unreachable;
  if (p.tcp.what == segment::kind::reset) return;
  packet answer{transport_protocol::tcp, p.to, p.from, {}, {}};
  answer.tcp.what = segment::kind::reset;
  answer.tcp.layer = p.tcp.layer;
  emit(now, h, std::move(answer));
}

/// Sends what a connection has to send, and tells what it has to tell.
void internet::flush(time_point now, const stream& s) {
  const auto known = streams_.find(s);
  auto& [connection, side] = known->second;
  while (auto out = connection.poll_segment(now))
    emit(now, s.first, {transport_protocol::tcp, s.second.local, s.second.remote, {}, *out});
  while (auto e = connection.poll_event()) {
    arrival::kind what = arrival::kind::bytes;
    if (e->what == tcp_connection::event::kind::ended) what = arrival::kind::ended;
    if (e->what == tcp_connection::event::kind::connected)
      what = side == tcp_connection::side::opening ? arrival::kind::connected
                                                   : arrival::kind::accepted;
    arrivals_.push_back({s.first, what, s.second, std::move(e->bytes)});
  }
  if (connection.is_over()) streams_.erase(known);
}

void internet::run_timers(time_point now) {
  std::vector<stream> expired;
  for (const auto& [key, s] : streams_) {
    const auto due = s.first.poll_timeout();
    if (due && *due <= now) expired.push_back(key);
  }
  for (const stream& key : expired) {
    streams_.find(key)->second.first.handle_timeout(now);
    flush(now, key);
  }
}

void internet::record(time_point now, const packet& p) {
  hash(static_cast<std::uint64_t>(now.time_since_epoch().count()));
  for (const endpoint* e : {&p.from, &p.to}) {
    hash(e->port);
    for (const std::uint8_t octet : e->address.octets()) hash(octet);
  }
  hash(static_cast<std::uint64_t>(p.protocol) << 8 | static_cast<std::uint64_t>(p.tcp.what));
  for (const std::uint8_t byte : p.bytes) hash(byte);
  for (const std::uint8_t byte : p.tcp.bytes) hash(byte);
}

}  // namespace weft::sim
