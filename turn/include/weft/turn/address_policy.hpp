#ifndef WEFT_TURN_ADDRESS_POLICY_HPP
#define WEFT_TURN_ADDRESS_POLICY_HPP

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/net.hpp>

/// Which peers a relay may be used to reach. A relay stands where its owner's other machines
/// trust it: what it reaches for a stranger has to be the Internet, and nothing else.
namespace weft::turn {

/// The addresses that begin with the first `prefix` bits of `address`. A default one holds
/// nothing.
struct address_block {
  ip_address address;
  std::uint8_t prefix = 0;

  /// `192.0.2.0/24`, `2001:db8::/32`, or an address alone. Nothing if the text is neither, or if
  /// the address has bits behind the prefix: that is mostly a slip.
  static std::optional<address_block> parse(std::string_view text);

  /// Families are told apart: no block of IPv4 holds an IPv4-mapped address.
  bool contains(const ip_address& candidate) const noexcept;

  friend constexpr bool operator==(const address_block&, const address_block&) = default;
};

std::string to_string(const address_block& block);

/// A block that a registry of IANA sets aside (RFC 6890), or that hides one of these.
struct special_purpose_block {
  address_block block;
  std::string_view name;       ///< The registry's.
  std::string_view reference;  ///< The document that set it aside.
};

/// Every block that is refused by default: the two special-purpose registries (RFC 6890 and its
/// updates), multicast, and the ways to write an IPv4 address as one of IPv6: IPv4-compatible,
/// IPv4-mapped, NAT64, 6to4, Teredo.
std::span<const special_purpose_block> special_purpose_blocks() noexcept;

/// The IPv4 addresses that a network may take an IPv6 address for: IPv4-compatible and
/// IPv4-mapped (RFC 4291 §2.5.5), NAT64's well-known and local-use prefixes (RFC 6052, RFC 8215),
/// 6to4 (RFC 3056), and Teredo's two (RFC 4380 §4).
struct embedded_addresses {
  ip_address first;
  ip_address second;
};
embedded_addresses embedded_ipv4(const ip_address& address) noexcept;

/// Addresses and ports, as an owner names them.
struct peer_rule {
  address_block block;
  std::uint16_t first_port = 0;
  std::uint16_t last_port = 65535;

  /// A block, and behind a blank a port or a range of them: `10.1.2.0/24 5000-5010`.
  static std::optional<peer_rule> parse(std::string_view text);
};

/// Why a peer is refused.
enum class peer_refusal : std::uint8_t {
  not_an_address,   ///< Neither family, or port 0 where one is needed.
  special_purpose,  ///< In one of `special_purpose_blocks`, in whatever form it is written.
  denied_by_rule,   ///< By one of `deny`.
  own_address,      ///< The server's own: what listens there was not meant for peers.
};

std::string_view to_string(peer_refusal refusal) noexcept;

/// The decision over one peer. Rules are tried in this order, and the first that fits decides:
///
/// 1. `own_endpoints`, where the server listens, are refused whatever else is said.
/// 2. `deny` refuses.
/// 3. `allow` allows; but an address with an IPv4 address inside is allowed only if that one
///    is allowed too, so that opening NAT64 does not open the private networks behind it.
/// 4. The addresses of `own_endpoints` are refused at every port.
/// 5. Special-purpose addresses are refused.
/// 6. The rest is the Internet, and is allowed.
class address_policy {
 public:
  struct options {
    std::vector<peer_rule> allow{};
    std::vector<peer_rule> deny{};
    /// Where the server listens, with the addresses that clients use for it; and its other
    /// addresses, with port 0. A server adds those of its relays itself.
    std::vector<endpoint> own_endpoints{};
  };

  address_policy() = default;
  explicit address_policy(options opts) : options_{std::move(opts)} {}

  /// Why nothing may be sent to `peer`, or nothing if it may. A `peer` without a port, as a
  /// permission has it, is refused only if every port is.
  std::optional<peer_refusal> refuses(const ip_address& peer,
                                      std::optional<std::uint16_t> port) const noexcept;

  /// Refuses an address of the server from now on, as if it were among `own_endpoints`.
  void add_own_address(const ip_address& address);

  const options& rules() const noexcept { return options_; }

 private:
  options options_;
};

}  // namespace weft::turn

#endif  // WEFT_TURN_ADDRESS_POLICY_HPP
