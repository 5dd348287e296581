#include <weft/turn/address_policy.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>

namespace weft::turn {
namespace {

constexpr address_block v4(std::array<std::uint8_t, 4> octets, std::uint8_t prefix) {
  return {ip_address{octets}, prefix};
}

constexpr address_block v6(std::initializer_list<std::uint16_t> groups, std::uint8_t prefix) {
  std::array<std::uint8_t, 16> octets{};
  std::size_t at = 0;
  for (const std::uint16_t group : groups) {
    octets[at++] = static_cast<std::uint8_t>(group >> 8);
    octets[at++] = static_cast<std::uint8_t>(group);
  }
  return {ip_address{octets}, prefix};
}

// IANA's registries as of RFC 6890, RFC 8190 and what was added since; first what has a name
// of its own, then the rest of IPv6 that is no global unicast.
constexpr special_purpose_block special_blocks[] = {
    {v4({0, 0, 0, 0}, 8), "This network", "RFC 791 §3.2"},
    {v4({10, 0, 0, 0}, 8), "Private-Use", "RFC 1918"},
    {v4({100, 64, 0, 0}, 10), "Shared Address Space", "RFC 6598"},
    {v4({127, 0, 0, 0}, 8), "Loopback", "RFC 1122 §3.2.1.3"},
    {v4({169, 254, 0, 0}, 16), "Link Local", "RFC 3927"},
    {v4({172, 16, 0, 0}, 12), "Private-Use", "RFC 1918"},
    {v4({192, 0, 0, 0}, 24), "IETF Protocol Assignments", "RFC 6890 §2.1"},
    {v4({192, 0, 2, 0}, 24), "Documentation (TEST-NET-1)", "RFC 5737"},
    {v4({192, 31, 196, 0}, 24), "AS112-v4", "RFC 7535"},
    {v4({192, 52, 193, 0}, 24), "AMT", "RFC 7450"},
    {v4({192, 88, 99, 0}, 24), "6to4 Relay Anycast", "RFC 7526"},
    {v4({192, 168, 0, 0}, 16), "Private-Use", "RFC 1918"},
    {v4({192, 175, 48, 0}, 24), "Direct Delegation AS112 Service", "RFC 7534"},
    {v4({198, 18, 0, 0}, 15), "Benchmarking", "RFC 2544"},
    {v4({198, 51, 100, 0}, 24), "Documentation (TEST-NET-2)", "RFC 5737"},
    {v4({203, 0, 113, 0}, 24), "Documentation (TEST-NET-3)", "RFC 5737"},
    {v4({224, 0, 0, 0}, 4), "Multicast", "RFC 5771"},
    {v4({240, 0, 0, 0}, 4), "Reserved and Limited Broadcast", "RFC 1112 §4, RFC 919 §7"},

    {v6({}, 128), "Unspecified Address", "RFC 4291 §2.5.2"},
    {v6({0, 0, 0, 0, 0, 0, 0, 1}, 128), "Loopback Address", "RFC 4291 §2.5.3"},
    {v6({}, 96), "IPv4-compatible Address", "RFC 4291 §2.5.5.1"},
    {v6({0, 0, 0, 0, 0, 0xffff}, 96), "IPv4-mapped Address", "RFC 4291 §2.5.5.2"},
    {v6({0, 0, 0, 0, 0xffff}, 96), "IPv4-translated Address", "RFC 2765 §2.1"},
    {v6({0x64, 0xff9b}, 96), "IPv4-IPv6 Translation", "RFC 6052"},
    {v6({0x64, 0xff9b, 1}, 48), "IPv4-IPv6 Translation, local use", "RFC 8215"},
    {v6({0x100}, 64), "Discard-Only Address Block", "RFC 6666"},
    {v6({0x100, 0, 0, 1}, 64), "Dummy IPv6 Prefix", "RFC 9780"},
    {v6({0x2001}, 32), "Teredo", "RFC 4380"},
    {v6({0x2001}, 23), "IETF Protocol Assignments", "RFC 2928"},
    {v6({0x2001, 0xdb8}, 32), "Documentation", "RFC 3849"},
    {v6({0x2002}, 16), "6to4", "RFC 3056"},
    {v6({0x2620, 0x4f, 0x8000}, 48), "Direct Delegation AS112 Service", "RFC 7534"},
    {v6({0x3fff}, 20), "Documentation", "RFC 9637"},
    {v6({0x5f00}, 16), "Segment Routing (SRv6) SIDs", "RFC 9602"},
    {v6({0xfc00}, 7), "Unique-Local", "RFC 4193"},
    {v6({0xfe80}, 10), "Link-Local Unicast", "RFC 4291 §2.5.6"},
    {v6({0xfec0}, 10), "Site-Local, deprecated", "RFC 3879"},
    {v6({0xff00}, 8), "Multicast", "RFC 4291 §2.7"},
    {v6({}, 3), "Not global unicast", "RFC 4291 §2.4"},
    {v6({0x4000}, 2), "Not global unicast", "RFC 4291 §2.4"},
    {v6({0x8000}, 1), "Not global unicast", "RFC 4291 §2.4"},
};

// The 32 bits of an address at an octet, each xored with `mask`.
ip_address inner(std::span<const std::uint8_t> octets, std::size_t at, std::uint8_t mask = 0) {
  std::array<std::uint8_t, 4> v4_octets{};
  for (std::size_t i = 0; i < 4; ++i)
    v4_octets[i] = static_cast<std::uint8_t>(octets[at + i] ^ mask);
  return ip_address{v4_octets};
}

bool is_special(const ip_address& address) noexcept {
  return std::any_of(
      std::begin(special_blocks), std::end(special_blocks),
      [&](const special_purpose_block& special) { return special.block.contains(address); });
}

// Whether a rule says something about the peer; one without a port is one that has them all.
bool fits_all(const peer_rule& rule, const ip_address& peer, std::optional<std::uint16_t> port) {
  if (!rule.block.contains(peer)) return false;
  if (port) return rule.first_port <= *port && *port <= rule.last_port;
  return rule.first_port == 0 && rule.last_port == 65535;
}
bool fits_some(const peer_rule& rule, const ip_address& peer, std::optional<std::uint16_t> port) {
  return rule.block.contains(peer) &&
         (!port || (rule.first_port <= *port && *port <= rule.last_port));
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const char* const end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || next != end) return std::nullopt;
  return value;
}

}  // namespace

std::optional<address_block> address_block::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = ip_address::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  const auto bits = static_cast<std::uint8_t>(address->octets().size() * 8);
  if (slash == text.npos) return address_block{*address, bits};
  const auto prefix = parse_number<std::uint8_t>(text.substr(slash + 1));
  if (!prefix || *prefix > bits) return std::nullopt;
  for (std::size_t bit = *prefix; bit < bits; ++bit)
    if ((address->octets()[bit / 8] >> (7 - bit % 8) & 1) != 0) return std::nullopt;
  return address_block{*address, *prefix};
}

bool address_block::contains(const ip_address& candidate) const noexcept {
  const auto mine = address.octets(), other = candidate.octets();
  if (mine.empty() || mine.size() != other.size()) return false;
  const std::size_t whole = prefix / 8u;
  if (!std::equal(mine.begin(), mine.begin() + static_cast<std::ptrdiff_t>(whole), other.begin()))
    return false;
  const unsigned rest = prefix % 8u;
  return rest == 0 || (mine[whole] ^ other[whole]) >> (8 - rest) == 0;
}

std::string to_string(const address_block& block) {
  return weft::to_string(block.address) + '/' + std::to_string(block.prefix);
}

std::span<const special_purpose_block> special_purpose_blocks() noexcept {
  return special_blocks;
}

embedded_addresses embedded_ipv4(const ip_address& address) noexcept {
  constexpr address_block teredo = v6({0x2001}, 32), six_to_four = v6({0x2002}, 16),
                          local_nat64 = v6({0x64, 0xff9b, 1}, 48);
  constexpr address_block in_last_bits[] = {v6({}, 96), v6({0, 0, 0, 0, 0, 0xffff}, 96),
                                            v6({0, 0, 0, 0, 0xffff}, 96), v6({0x64, 0xff9b}, 96)};
  if (!address.is_v6()) return {};
  // RFC 4291 §2.5.2, §2.5.3: the unspecified address and the loopback have a form of their own.
  if (v6({}, 127).contains(address)) return {};
  const auto octets = address.octets();
  for (const address_block& block : in_last_bits)
    if (block.contains(address)) return {inner(octets, 12), {}};
  if (six_to_four.contains(address)) return {inner(octets, 2), {}};
  // RFC 4380 §4: the server in the clear, the client with every bit inverted.
  if (teredo.contains(address)) return {inner(octets, 4), inner(octets, 12, 0xff)};
  // RFC 6052 §2.2 has four layouts under a /48; those with 96 bits of prefix, and of 48, where
  // the address lies around the octet that is zero.
  if (local_nat64.contains(address)) {
    const std::array<std::uint8_t, 4> split{octets[6], octets[7], octets[9], octets[10]};
    return {inner(octets, 12), ip_address{split}};
  }
  return {};
}

std::optional<peer_rule> peer_rule::parse(std::string_view text) {
  const std::size_t blank = text.find(' ');
  const auto block = address_block::parse(text.substr(0, blank));
  if (!block) return std::nullopt;
  peer_rule rule{*block};
  if (blank == text.npos) return rule;
  const std::string_view ports = text.substr(blank + 1);
  const std::size_t dash = ports.find('-');
  const auto first = parse_number<std::uint16_t>(ports.substr(0, dash));
  const auto last =
      dash == ports.npos ? first : parse_number<std::uint16_t>(ports.substr(dash + 1));
  if (!first || !last || *first > *last) return std::nullopt;
  rule.first_port = *first;
  rule.last_port = *last;
  return rule;
}

std::string_view to_string(peer_refusal refusal) noexcept {
  switch (refusal) {
    case peer_refusal::not_an_address:
      return "not an address";
    case peer_refusal::special_purpose:
      return "a special-purpose address";
    case peer_refusal::denied_by_rule:
      return "denied by rule";
    case peer_refusal::own_address:
      return "the server's own address";
  }
  return "";
}

std::optional<peer_refusal> address_policy::refuses(
    const ip_address& peer, std::optional<std::uint16_t> port) const noexcept {
  if (!peer || port == 0) return peer_refusal::not_an_address;
  const auto& own = options_.own_endpoints;
  if (std::any_of(own.begin(), own.end(), [&](const endpoint& listener) {
        return listener.address == peer && listener.port == port;
      }))
    return peer_refusal::own_address;
  for (const peer_rule& rule : options_.deny)
    if (fits_all(rule, peer, port)) return peer_refusal::denied_by_rule;

  for (const peer_rule& rule : options_.allow) {
    if (!fits_some(rule, peer, port)) continue;
    for (const auto embedded = embedded_ipv4(peer);
         const ip_address& inside : {embedded.first, embedded.second})
      if (inside)
        if (const auto refusal = refuses(inside, port)) return refusal;
    return std::nullopt;
  }

  if (std::any_of(own.begin(), own.end(),
                  [&](const endpoint& listener) { return listener.address == peer; }))
    return peer_refusal::own_address;
  if (is_special(peer)) return peer_refusal::special_purpose;
  return std::nullopt;
}

void address_policy::add_own_address(const ip_address& address) {
  auto& own = options_.own_endpoints;
  if (std::none_of(own.begin(), own.end(),
                   [&](const endpoint& listener) { return listener.address == address; }))
    own.push_back({address, 0});
}

}  // namespace weft::turn
