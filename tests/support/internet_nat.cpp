#include "internet_nat.hpp"

#include <algorithm>

namespace weft::sim {

namespace {

/// As much of the other end as a kind depends on.
endpoint reduced(dependence kind, const endpoint& to) {
  switch (kind) {
    case dependence::endpoint_independent:
      return {};
    case dependence::address_dependent:
      return {to.address, 0};
    case dependence::address_and_port_dependent:
      return to;
  }
  return {};
}

duration timeout(const packet_filter::options& opts, transport_protocol protocol) {
  return protocol == transport_protocol::udp ? opts.udp_timeout : opts.tcp_timeout;
}

}  // namespace

void packet_filter::note_outward(time_point now, transport_protocol protocol,
                                 const endpoint& inside, const endpoint& to) {
  until_[{protocol, inside, reduced(options_.filtering, to)}] = now + timeout(options_, protocol);
}

bool packet_filter::admits(time_point now, transport_protocol protocol, const endpoint& from,
                           const endpoint& inside) {
  const auto known = until_.find({protocol, inside, reduced(options_.filtering, from)});
  if (known == until_.end() || known->second <= now) return false;
  if (options_.inbound_refresh) known->second = now + timeout(options_, protocol);
  return true;
}

std::optional<endpoint> nat::outward(time_point now, transport_protocol protocol,
                                     const endpoint& inside, const endpoint& to) {
  expire(now);
  const session key{protocol, inside, reduced(options_.mapping, to)};
  auto known = mappings_.find(key);
  if (known == mappings_.end()) {
    const auto port = choose_port(protocol, inside);
    if (!port) return std::nullopt;
    known = mappings_.emplace(key, mapping{*port, {}}).first;
    by_port_.emplace(port_key{protocol, *port}, key);
  }
  known->second.expires = now + timeout(options_, protocol);
  filter_.note_outward(now, protocol, inside, to);
  return endpoint{external_, known->second.port};
}

std::optional<endpoint> nat::inward(time_point now, transport_protocol protocol,
                                    const endpoint& from, const endpoint& to) {
  expire(now);
  const auto known = by_port_.find({protocol, to.port});
  if (to.address != external_ || known == by_port_.end()) return std::nullopt;
  if (!filter_.admits(now, protocol, from, known->second.inside)) return std::nullopt;
  if (options_.inbound_refresh)
    mappings_.at(known->second).expires = now + timeout(options_, protocol);
  return known->second.inside;
}

std::optional<std::uint16_t> nat::choose_port(transport_protocol protocol, const endpoint& inside) {
  constexpr unsigned ports = 65536 - 1024;  // RFC 4787 §4.2.1, REQ-3 a: not the well-known ones.
  unsigned candidate = next_port_;
  if (options_.ports == port_assignment::preserving) candidate = inside.port;
  if (options_.ports == port_assignment::random)
    candidate = 1024 + static_cast<unsigned>(random_.next() % ports);
  for (unsigned tried = 0; tried < ports; ++tried, ++candidate) {
    if (candidate < 1024 || candidate > 65535) candidate = 1024;
    const port_key key{protocol, static_cast<std::uint16_t>(candidate)};
    if (by_port_.contains(key) || burnt_.contains(key)) continue;
    if (options_.ports == port_assignment::sequential)
      next_port_ = static_cast<std::uint16_t>(candidate + 1);
    return key.port;
  }
  return std::nullopt;
}

void nat::expire(time_point now) {
  for (auto at = mappings_.begin(); at != mappings_.end();) {
    if (at->second.expires > now) {
      ++at;
      continue;
    }
    by_port_.erase({at->first.protocol, at->second.port});
    at = mappings_.erase(at);
  }
}

void nat::reboot() {
  for (const auto& [key, who] : by_port_) burnt_.insert(key);
  mappings_.clear();
  by_port_.clear();
  filter_.forget();
}

}  // namespace weft::sim
