#ifndef WEFT_ICE_ADDRESS_HPP
#define WEFT_ICE_ADDRESS_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/net.hpp>
#include <weft/ice/candidate.hpp>

/// What an owner tells an agent of the addresses it may use, and which of them it shall use.
namespace weft::ice {

/// What kind of network an interface leads to: decides the order (RFC 8421 §3) and the cost.
enum class network_kind : std::uint8_t {
  unknown,
  ethernet,
  wifi,
  cellular,
  vpn,       ///< A tunnel: preferred less than what it runs over.
  virtual_,  ///< A bridge of containers or virtual machines: mostly leads nowhere.
  loopback,
};

/// The browsers' cost of a network, 0 to 999, which goes into `network-cost`.
constexpr std::uint16_t network_cost(network_kind kind) noexcept {
  switch (kind) {
    case network_kind::ethernet:
    case network_kind::loopback:
      return 0;
    case network_kind::wifi:
      return 10;
    case network_kind::unknown:
      return 50;
    case network_kind::vpn:
      return 60;
    case network_kind::virtual_:
      return 100;
    case network_kind::cellular:
      return 900;
  }
  return 50;
}

/// The interface behind an address. A default one says nothing and costs nothing to leave out.
struct network {
  std::string interface_name{};  ///< Such as `eth0`: for filters, never signalled.
  network_kind kind = network_kind::unknown;
  /// Equal for addresses of one interface: signalled as `network-id`, if not 0.
  std::uint16_t id = 0;
  /// Signalled as `network-cost`. Unless set, that of `kind`, or none where that is unknown.
  std::optional<std::uint16_t> cost{};
  /// An IPv6 temporary address (RFC 8981), preferred to a stable one (RFC 6724 §5, rule 7).
  bool temporary = false;

  friend bool operator==(const network&, const network&) = default;
};

/// A socket that is open, or over TCP could be.
struct local_address {
  /// Over TCP: where a passive candidate listens, from where a simultaneous-open one
  /// connects; an active one has port 9 (0 does as well).
  endpoint base;
  transport_protocol protocol = transport_protocol::udp;
  tcp_type tcp = tcp_type::active;  ///< Over TCP only.
  std::uint16_t component = 1;
  ice::network network{};
};

/// An address at a TURN server. Datagrams with `local` = `relayed` are for its client.
struct relayed_address {
  endpoint relayed;
  /// Where the server sees its client: the related address (RFC 8445 §5.1.1.2). May be absent.
  endpoint mapped{};
  std::string server_url{};
  relay_protocol protocol = relay_protocol::udp;  ///< Between client and server.
  std::uint16_t component = 1;
  ice::network network{};  ///< Of the interface that leads to the server.
};

/// The addresses that begin with the same bits: `10.0.0.0/8`.
struct address_prefix {
  ip_address address;
  std::uint8_t length = 0;

  /// `10.0.0.0/8`, `2001:db8::/32`, or an address alone.
  static std::optional<address_prefix> parse(std::string_view text);
  bool contains(const ip_address& a) const noexcept;

  friend bool operator==(const address_prefix&, const address_prefix&) = default;
};

/// Which addresses an agent may use. Empty lists allow everything; what is denied stays so.
struct address_filter {
  /// Names of interfaces; a last `*` stands for anything: `docker*`.
  std::vector<std::string> allowed_interfaces{};
  std::vector<std::string> denied_interfaces{};
  std::vector<address_prefix> allowed{};
  std::vector<address_prefix> denied{};

  bool allows(const ip_address& a) const noexcept;
  bool allows(const local_address& a) const noexcept;
};

/// A 1:1 NAT: who sends to the external address reaches the local one, at the same port.
struct external_address_rule {
  /// The host's address. Without one the rule is for every address of the external one's family
  /// that has no rule of its own.
  ip_address local{};
  ip_address external;
  enum class effect : std::uint8_t {
    replace_host,          ///< Only the external address is signalled, as a host candidate.
    add_server_reflexive,  ///< It is signalled beside the host's own, as a server-reflexive one.
  };
  effect does = effect::replace_host;
};

}  // namespace weft::ice

#endif  // WEFT_ICE_ADDRESS_HPP
