#include "conversion.hpp"

namespace weft::peer {
namespace {

ice::candidate_type to_ice(sdp::candidate_type type) {
  switch (type) {
    case sdp::candidate_type::host:
      return ice::candidate_type::host;
    case sdp::candidate_type::srflx:
      return ice::candidate_type::server_reflexive;
    case sdp::candidate_type::prflx:
      return ice::candidate_type::peer_reflexive;
    case sdp::candidate_type::relay:
      return ice::candidate_type::relayed;
  }
  return ice::candidate_type::host;
}

sdp::candidate_type to_sdp(ice::candidate_type type) {
  switch (type) {
    case ice::candidate_type::host:
      return sdp::candidate_type::host;
    case ice::candidate_type::server_reflexive:
      return sdp::candidate_type::srflx;
    case ice::candidate_type::peer_reflexive:
      return sdp::candidate_type::prflx;
    case ice::candidate_type::relayed:
      return sdp::candidate_type::relay;
  }
  return sdp::candidate_type::host;
}

ice::tcp_type to_ice(sdp::tcp_type type) {
  switch (type) {
    case sdp::tcp_type::active:
      return ice::tcp_type::active;
    case sdp::tcp_type::passive:
      return ice::tcp_type::passive;
    case sdp::tcp_type::so:
      return ice::tcp_type::simultaneous_open;
  }
  return ice::tcp_type::active;
}

sdp::tcp_type to_sdp(ice::tcp_type type) {
  switch (type) {
    case ice::tcp_type::active:
      return sdp::tcp_type::active;
    case ice::tcp_type::passive:
      return sdp::tcp_type::passive;
    case ice::tcp_type::simultaneous_open:
      return sdp::tcp_type::so;
  }
  return sdp::tcp_type::active;
}

}  // namespace

std::optional<ice::candidate> to_ice(const sdp::candidate& c) {
  ice::candidate out;
  out.foundation = c.foundation;
  out.component = c.component;
  out.protocol = c.transport;
  out.priority = c.priority;
  out.type = to_ice(c.type);
  out.address.port = c.port;
  if (c.tcp_type) out.tcp = to_ice(*c.tcp_type);
  out.network_id = c.network_id.value_or(0);
  out.network_cost = c.network_cost.value_or(0);
  if (const auto address = ip_address::parse(c.address))
    out.address.address = *address;
  else if (c.address.ends_with(".local"))
    out.name = c.address;
  else
    return std::nullopt;
  return out;
}

sdp::candidate to_sdp(const ice::candidate& c) {
  sdp::candidate out;
  out.foundation = c.foundation;
  out.component = c.component;
  out.transport = c.protocol;
  out.priority = c.priority;
  out.address = c.name.empty() ? to_string(c.address.address) : c.name;
  out.port = c.address.port;
  out.type = to_sdp(c.type);
  if (c.tcp) out.tcp_type = to_sdp(*c.tcp);
  if (c.network_id != 0) out.network_id = c.network_id;
  if (c.network_cost != 0) out.network_cost = c.network_cost;
  if (c.related) {
    out.related_address = to_string(c.related->address);
    out.related_port = c.related->port;
  }
  return out;
}

}  // namespace weft::peer
