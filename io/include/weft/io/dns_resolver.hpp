#ifndef WEFT_IO_DNS_RESOLVER_HPP
#define WEFT_IO_DNS_RESOLVER_HPP

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <asio/any_io_executor.hpp>

#include <weft/core/net.hpp>
#include <weft/core/time.hpp>

namespace weft::io {

/// Finds the addresses of a server by the means that the system has: `getaddrinfo`, which blocks.
/// Each look-up has a thread for as long as it takes, so that a slow name delays no other. Asio's
/// own resolver has one thread for all.
///
/// Threads: call it from the executor, which must be one thread or a strand; handlers come there.
/// It may be destroyed at any time; handlers not called by then never are.
class dns_resolver {
 public:
  /// The addresses of a name, those preferred first (RFC 6724). May block; called on a thread of
  /// its own.
  using lookup = std::function<std::vector<ip_address>(const std::string& name)>;

  struct options {
    /// The system's resolver gives up after ten seconds by default (resolv.conf: two attempts of
    /// five seconds), and nobody waits longer.
    duration timeout = std::chrono::seconds{10};
    /// Threads at a time, those of names that were given up included.
    std::size_t max_threads = 8;
    /// Names that wait for a thread; further ones fail at once.
    std::size_t max_waiting = 32;
    dns_resolver::lookup lookup = system_lookup;
  };

  /// Called once from the executor, with nothing if there are no addresses or not in time.
  using handler = std::function<void(std::string_view name, std::span<const ip_address>)>;

  explicit dns_resolver(const asio::any_io_executor& executor);
  dns_resolver(const asio::any_io_executor& executor, options opts);
  dns_resolver(dns_resolver&&) noexcept;
  dns_resolver& operator=(dns_resolver&&) noexcept;
  ~dns_resolver();

  void resolve(std::string name, handler done);

  /// `getaddrinfo`: A and AAAA, the hosts file, and whatever else it knows.
  static std::vector<ip_address> system_lookup(const std::string& name);

 private:
  class state;
  std::shared_ptr<state> state_;
};

}  // namespace weft::io

#endif  // WEFT_IO_DNS_RESOLVER_HPP
