#include <weft/sdp/candidate.hpp>

#include "text.hpp"

namespace weft::sdp {
namespace {

using namespace detail;

// A domain name has at most 255 octets (RFC 1035 §2.3.4), an IP address fewer.
constexpr std::size_t max_address_size = 255;
constexpr std::size_t max_ufrag_size = 256;  // RFC 8839 §5.4

bool is_address(std::string_view text) noexcept {
  return !text.empty() && text.size() <= max_address_size && all(text, is_visible);
}

result<candidate_type, error_code> parse_type(std::string_view text) {
  using enum candidate_type;
  for (const candidate_type type : {host, srflx, prflx, relay})
    if (equal_ignoring_case(text, to_string(type))) return type;
  return fail(is_token(text) ? error_code::unknown_type : error_code::bad_syntax);
}

result<transport_protocol, error_code> parse_transport(std::string_view text) {
  if (equal_ignoring_case(text, "udp")) return transport_protocol::udp;
  if (equal_ignoring_case(text, "tcp")) return transport_protocol::tcp;
  return fail(is_token(text) ? error_code::unknown_transport : error_code::bad_syntax);
}

std::optional<tcp_type> parse_tcp_type(std::string_view text) {
  using enum tcp_type;
  for (const tcp_type type : {active, passive, so})
    if (equal_ignoring_case(text, to_string(type))) return type;
  return std::nullopt;
}

template <class T>
std::optional<T> number_or_nothing(std::string_view text) {
  const auto number = parse_number<T>(text);
  return number ? std::optional{*number} : std::nullopt;
}

/// `raddr`, `rport`, and the extensions, of which the first of a name counts.
result<void, error_code> read_extension(candidate& c, std::string_view name,
                                        std::string_view value) {
  if (equal_ignoring_case(name, "raddr") && c.related_address.empty()) {
    if (!is_address(value)) return fail(error_code::bad_syntax);
    c.related_address = value;
  } else if (equal_ignoring_case(name, "rport") && !c.related_port) {
    const auto port = parse_number<std::uint16_t>(value);
    if (!port) return fail(port.error());
    c.related_port = *port;
  } else if (equal_ignoring_case(name, "tcptype") && !c.tcp_type) {
    c.tcp_type = parse_tcp_type(value);
    if (!c.tcp_type) return fail(error_code::bad_syntax);
  } else if (equal_ignoring_case(name, "ufrag") && c.ufrag.empty()) {
    if (value.empty() || value.size() > max_ufrag_size) return fail(error_code::bad_length);
    if (!all(value, is_ice_char)) return fail(error_code::bad_character);
    c.ufrag = value;
  } else if (equal_ignoring_case(name, "generation") && !c.generation) {
    c.generation = number_or_nothing<std::uint32_t>(value);
  } else if (equal_ignoring_case(name, "network-id") && !c.network_id) {
    c.network_id = number_or_nothing<std::uint16_t>(value);
  } else if (equal_ignoring_case(name, "network-cost") && !c.network_cost) {
    c.network_cost = number_or_nothing<std::uint16_t>(value);
  }
  return {};
}

}  // namespace

result<candidate, error_code> candidate::parse(std::string_view value) {
  if (value.empty()) return fail(error_code::missing_value);
  candidate c;
  const std::string_view foundation = next_field(value);
  if (foundation.empty() || foundation.size() > 32) return fail(error_code::bad_length);
  if (!all(foundation, is_ice_char)) return fail(error_code::bad_character);
  c.foundation = foundation;

  const auto component = parse_number<std::uint16_t>(next_field(value), 1, 256);
  if (!component) return fail(component.error());
  c.component = *component;
  // Whether the kind is known is said last, of a candidate that is sound otherwise.
  const auto transport = parse_transport(next_field(value));
  if (!transport && transport.error() != error_code::unknown_transport)
    return fail(transport.error());
  const auto priority = parse_number<std::uint32_t>(next_field(value), 1, 0x7fff'ffff);
  if (!priority) return fail(priority.error());
  c.priority = *priority;
  const std::string_view address = next_field(value);
  if (!is_address(address)) return fail(error_code::bad_syntax);
  c.address = address;
  const auto port = parse_number<std::uint16_t>(next_field(value));
  if (!port) return fail(port.error());
  c.port = *port;
  if (!equal_ignoring_case(next_field(value), "typ")) return fail(error_code::bad_syntax);
  const auto type = parse_type(next_field(value));
  if (!type && type.error() != error_code::unknown_type) return fail(type.error());

  while (!value.empty()) {
    const std::string_view key = next_field(value);
    const auto read = read_extension(c, key, next_field(value));
    if (!read) return fail(read.error());
  }
  if (!transport) return fail(transport.error());
  if (!type) return fail(type.error());
  c.transport = *transport;
  c.type = *type;
  return c;
}

void candidate::write(std::string& out) const {
  out += foundation;
  out += ' ';
  append_number(out, component);
  out += transport == transport_protocol::udp ? " udp " : " tcp ";
  append_number(out, priority);
  out += ' ';
  out += address;
  out += ' ';
  append_number(out, port);
  out += " typ ";
  out += sdp::to_string(type);
  if (!related_address.empty()) {
    out += " raddr ";
    out += related_address;
  }
  if (related_port) {
    out += " rport ";
    append_number(out, *related_port);
  }
  if (tcp_type) {
    out += " tcptype ";
    out += sdp::to_string(*tcp_type);
  }
  const auto append = [&](std::string_view key, auto value) {
    if (!value) return;
    out += key;
    append_number(out, *value);
  };
  append(" generation ", generation);
  if (!ufrag.empty()) {
    out += " ufrag ";
    out += ufrag;
  }
  append(" network-id ", network_id);
  append(" network-cost ", network_cost);
}

result<candidate, error_code> parse_candidate_line(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.starts_with("a=")) line.remove_prefix(2);
  constexpr std::string_view prefix = "candidate:";
  if (!equal_ignoring_case(line.substr(0, prefix.size()), prefix))
    return fail(error_code::bad_syntax);
  return candidate::parse(line.substr(prefix.size()));
}

std::string to_string(const candidate& c) {
  std::string out{"candidate:"};
  c.write(out);
  return out;
}

std::string_view to_string(candidate_type type) {
  switch (type) {
    case candidate_type::host:
      return "host";
    case candidate_type::srflx:
      return "srflx";
    case candidate_type::prflx:
      return "prflx";
    case candidate_type::relay:
      return "relay";
  }
  return {};
}

std::string_view to_string(tcp_type type) {
  switch (type) {
    case tcp_type::active:
      return "active";
    case tcp_type::passive:
      return "passive";
    case tcp_type::so:
      return "so";
  }
  return {};
}

}  // namespace weft::sdp
