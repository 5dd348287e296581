#ifndef WEFT_IO_MDNS_RESOLVER_HPP
#define WEFT_IO_MDNS_RESOLVER_HPP

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
#include <weft/io/mdns.hpp>

namespace weft::io {

/// Finds the address behind a `.local` name, which is how browsers hide the addresses of
/// their hosts, by one-shot queries on the local links (RFC 6762 §5.1).
///
/// It asks from a port of its own and hears answers sent there as well as those sent to
/// everybody. It never falls back to `getaddrinfo`, which would tell the names to a DNS
/// server and needs a thread of its own.
///
/// Threads: everything happens on the executor, which must be one thread or a strand; call
/// it from there. It may be destroyed at any time; handlers not called by then never are.
class mdns_resolver {
 public:
  struct options {
    /// Multicast does not tell that nobody has the name. Three seconds outlast the second
    /// query and a sleepy Wi-Fi station.
    duration timeout = std::chrono::seconds{3};
    /// RFC 6762 §5.2: a second between the first query and the next.
    duration retry = std::chrono::seconds{1};
    /// Names looked up at a time; further ones fail at once. A peer chooses the names.
    std::size_t max_pending = 16;
    /// Where questions go: both groups, over every interface.
    std::vector<endpoint> groups = {{mdns::group_v4, mdns::port}, {mdns::group_v6, mdns::port}};
  };

  /// Called once from the executor, with nothing if the name was not found or is not local.
  using handler = std::function<void(std::string_view name, std::span<const ip_address>)>;

  explicit mdns_resolver(const asio::any_io_executor& executor);
  mdns_resolver(const asio::any_io_executor& executor, const options& opts);
  mdns_resolver(mdns_resolver&&) noexcept;
  mdns_resolver& operator=(mdns_resolver&&) noexcept;
  ~mdns_resolver();

  void resolve(std::string name, handler done);

 private:
  class state;
  std::shared_ptr<state> state_;
};

}  // namespace weft::io

#endif  // WEFT_IO_MDNS_RESOLVER_HPP
