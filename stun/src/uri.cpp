#include <weft/stun/uri.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace weft::stun {
namespace {

constexpr std::size_t max_host = 255;

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
constexpr bool is_alpha(char c) {
  return lower(c) >= 'a' && lower(c) <= 'z';
}
constexpr bool is_hex(char c) {
  return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f');
}
// RFC 3986 §2.3, §2.2
constexpr bool is_unreserved(char c) {
  return is_alpha(c) || is_digit(c) || std::string_view{"-._~"}.find(c) != std::string_view::npos;
}
constexpr bool is_sub_delim(char c) {
  return std::string_view{"!$&'()*+,;="}.find(c) != std::string_view::npos;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::optional<uri_scheme> scheme_of(std::string_view text) {
  for (const uri_scheme s :
       {uri_scheme::stun, uri_scheme::stuns, uri_scheme::turn, uri_scheme::turns})
    if (equal_ignoring_case(text, to_string(s))) return s;
  return std::nullopt;
}

// RFC 3986 §3.2.2. An address of version 4 is a name by that grammar, too.
bool is_name(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_unreserved(text[i]) || is_sub_delim(text[i])) continue;
    if (text[i] != '%' || text.size() - i < 3 || !is_hex(text[i + 1]) || !is_hex(text[i + 2]))
      return false;
    i += 2;
  }
  return !text.empty() && text.size() <= max_host;
}

std::optional<std::uint16_t> parse_port(std::string_view digits) {
  if (digits.empty() || !std::ranges::all_of(digits, is_digit)) return std::nullopt;
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || port == 0) return std::nullopt;
  return port;
}

// The host at the front of `rest`, which then begins behind it.
std::optional<std::string> take_host(std::string_view& rest) {
  const bool is_literal = rest.starts_with('[');
  const std::size_t end = is_literal ? rest.find(']') : rest.find(':');
  if (is_literal && end == rest.npos) return std::nullopt;
  const std::string_view host = is_literal ? rest.substr(1, end - 1) : rest.substr(0, end);
  rest.remove_prefix(is_literal ? end + 1 : host.size());
  if (is_literal) {
    const auto address = ip_address::parse(host);
    if (!address || !address->is_v6()) return std::nullopt;
  } else if (!is_name(host)) {
    return std::nullopt;
  }
  return std::string{host};
}

result<transport_protocol, uri_error> parse_query(std::string_view query) {
  constexpr std::string_view name = "transport=";
  if (!equal_ignoring_case(query.substr(0, name.size()), name)) return fail(uri_error::bad_query);
  query.remove_prefix(name.size());
  if (equal_ignoring_case(query, "udp")) return transport_protocol::udp;
  if (equal_ignoring_case(query, "tcp")) return transport_protocol::tcp;
  if (query.empty() || !std::ranges::all_of(query, is_unreserved))
    return fail(uri_error::bad_query);
  return fail(uri_error::unsupported_transport);
}

}  // namespace

std::string_view to_string(uri_error e) {
  switch (e) {
    case uri_error::unknown_scheme:
      return "not a stun:, stuns:, turn: or turns: URI";
    case uri_error::bad_host:
      return "the host is neither a name nor an address";
    case uri_error::bad_port:
      return "the port is not a number from 1 to 65535";
    case uri_error::bad_query:
      return "a query other than ?transport= of a TURN server";
    case uri_error::unsupported_transport:
      return "a transport other than udp and tcp";
  }
  return "";
}

std::string_view to_string(uri_scheme s) {
  switch (s) {
    case uri_scheme::stun:
      return "stun";
    case uri_scheme::stuns:
      return "stuns";
    case uri_scheme::turn:
      return "turn";
    case uri_scheme::turns:
      return "turns";
  }
  return "";
}

result<server_uri, uri_error> server_uri::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  const auto scheme = colon == text.npos ? std::nullopt : scheme_of(text.substr(0, colon));
  if (!scheme) return fail(uri_error::unknown_scheme);
  server_uri uri{*scheme, {}};

  std::string_view rest = text.substr(colon + 1);
  const std::size_t mark = rest.find('?');
  if (mark != rest.npos) {
    if (!uri.is_turn()) return fail(uri_error::bad_query);
    const auto transport = parse_query(rest.substr(mark + 1));
    if (!transport) return fail(transport.error());
    uri.transport = *transport;
    rest = rest.substr(0, mark);
  }

  auto host = take_host(rest);
  if (!host) return fail(uri_error::bad_host);
  uri.host = *std::move(host);
  if (rest.empty()) return uri;
  // An empty port is allowed by RFC 3986 §3.2.3, which counts as none.
  if (rest.front() != ':') return fail(uri_error::bad_host);
  rest.remove_prefix(1);
  if (rest.empty()) return uri;
  uri.port = parse_port(rest);
  if (!uri.port) return fail(uri_error::bad_port);
  return uri;
}

std::string to_string(const server_uri& uri) {
  std::string out{to_string(uri.scheme)};
  const bool is_v6 = uri.host.find(':') != uri.host.npos;
  out += is_v6 ? ":[" : ":";
  out += uri.host;
  if (is_v6) out += ']';
  if (uri.port) out += ':' + std::to_string(*uri.port);
  if (uri.transport)
    out += *uri.transport == transport_protocol::tcp ? "?transport=tcp" : "?transport=udp";
  return out;
}

}  // namespace weft::stun
