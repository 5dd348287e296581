#ifndef WEFT_IO_INTERFACES_HPP
#define WEFT_IO_INTERFACES_HPP

#include <vector>

#include <weft/core/net.hpp>

namespace weft::io {

struct interface_options {
  /// 127.0.0.1 and ::1, which nobody elsewhere can reach (RFC 8445 §5.1.1.1).
  bool loopback = false;
  /// 169.254.0.0/16 and fe80::/10. A link-local IPv6 address needs a zone to be used, which
  /// no candidate can carry, so those are left out in any case.
  bool link_local_v4 = false;
};

/// The addresses of this machine that a socket can be bound to, of interfaces that are up.
///
/// IPv6 and IPv4 take turns, IPv6 first, each in the order of the interfaces, so that
/// neither family starves the other (RFC 8421 §4). Loopback addresses come last.
/// Empty where the system will not say.
std::vector<ip_address> local_addresses(const interface_options& opts);
std::vector<ip_address> local_addresses();

}  // namespace weft::io

#endif  // WEFT_IO_INTERFACES_HPP
