#ifndef WEFT_IO_NETWORK_MONITOR_HPP
#define WEFT_IO_NETWORK_MONITOR_HPP

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <asio/any_io_executor.hpp>

#include <weft/core/net.hpp>
#include <weft/core/time.hpp>
#include <weft/ice/address.hpp>
#include <weft/io/interfaces.hpp>

namespace weft::io {

/// An address of this machine, and the interface that has it.
struct network_address {
  ip_address address;
  ice::network network{};
  /// If not, what uses it may go on, and nothing new should begin: an IPv6 address that is
  /// deprecated (RFC 4862 §5.5.4), or a stable one where its interface has a temporary one in the
  /// same /64 (RFC 8835 §3.2).
  bool preferred = true;

  friend bool operator==(const network_address&, const network_address&) = default;
};

struct network_options {
  interface_options kinds{};
  /// Names of interfaces and blocks of addresses to use or not to use.
  ice::address_filter filter{};
};

/// The addresses of this machine that sockets can be bound to, in the order of `local_addresses`,
/// of interfaces that are up and have a carrier. IPv6 addresses that are still being tested for
/// duplicates (RFC 4862 §5.4) are left out.
std::vector<network_address> network_addresses(const network_options& opts);

/// What an interface is, as far as its name and `sys`, Linux's /sys/class/net, tell.
ice::network_kind kind_of_interface(std::string_view name, const std::string& sys);

/// Tells when addresses come and go: at once by netlink on Linux, by looking every now and then
/// elsewhere.
///
/// Threads: lives on the executor, one thread or a strand. The handler is called from the event
/// loop only and may destroy the monitor.
class network_monitor {
 public:
  struct options {
    network_options networks{};
    /// Between two looks where the system does not tell.
    duration poll_interval = std::chrono::seconds{2};
    /// Instead of `network_addresses`, asked every `poll_interval`: for other systems, and tests.
    std::function<std::vector<network_address>()> list{};
  };
  /// All addresses there are now.
  using handler = std::function<void(const std::vector<network_address>&)>;

  network_monitor(const asio::any_io_executor& executor, const options& opts, handler changed);
  network_monitor(network_monitor&&) noexcept;
  network_monitor& operator=(network_monitor&&) noexcept;
  ~network_monitor();

  /// As of the last look; the first one is at construction.
  const std::vector<network_address>& addresses() const noexcept;
  /// Looks now, and calls the handler from the event loop if something has changed.
  void look();

 private:
  class state;
  std::shared_ptr<state> state_;
};

}  // namespace weft::io

#endif  // WEFT_IO_NETWORK_MONITOR_HPP
