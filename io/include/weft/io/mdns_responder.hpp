#ifndef WEFT_IO_MDNS_RESPONDER_HPP
#define WEFT_IO_MDNS_RESPONDER_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include <asio/any_io_executor.hpp>

#include <weft/core/net.hpp>
#include <weft/core/time.hpp>
#include <weft/io/mdns.hpp>

namespace weft::io {

/// Answers for `.local` names on the local links, so that agents can hide their host addresses
/// behind them (RFC 6762 §6, draft-ietf-mmusic-mdns-ice-candidates §3.1).
///
/// The names must be nobody else's, as random ones are: it does not probe for them. Deviation from
/// RFC 6762 §8.3 and §3.1.1 of the draft: nor does it announce them, since nobody can have waited
/// for a fresh name, and the first question would have to be put off for a second.
///
/// Threads: lives on the executor, one thread or a strand; call it from there.
class mdns_responder {
 public:
  struct options {
    /// RFC 6762 §10: of records with an address.
    std::chrono::seconds time_to_live{120};
    /// RFC 6762 §6: the same answer goes to everybody no more often. One that is due sooner waits.
    duration multicast_interval = std::chrono::seconds{1};
    /// Answers to single askers in a second, all names together; further questions are dropped.
    std::size_t max_unicast_per_second = 100;
    /// Names at a time; further ones are not answered for.
    std::size_t max_names = 256;
    /// Where questions come from, and answers go: both groups, over every interface.
    std::vector<endpoint> groups = {{mdns::group_v4, mdns::port}, {mdns::group_v6, mdns::port}};
  };

  struct counters {
    std::uint64_t questions = 0;       ///< For names that are answered for.
    std::uint64_t multicast_sent = 0;  ///< Messages, on each interface one.
    std::uint64_t unicast_sent = 0;
    std::uint64_t suppressed = 0;  ///< Answers that bounds forbade.
    std::uint64_t foreign = 0;     ///< From outside the local links.
  };

  explicit mdns_responder(const asio::any_io_executor& executor);
  mdns_responder(const asio::any_io_executor& executor, const options& opts);
  mdns_responder(mdns_responder&&) noexcept;
  mdns_responder& operator=(mdns_responder&&) noexcept;
  /// Says goodbye for all names.
  ~mdns_responder();

  /// Answers for `name` from now on. False if it is not local or one too many.
  bool add(std::string_view name, const ip_address& address);
  /// And no longer, which those who may know it are told (RFC 6762 §10.1).
  void remove(std::string_view name);

  const counters& stats() const noexcept;

 private:
  class state;
  std::shared_ptr<state> state_;
};

}  // namespace weft::io

#endif  // WEFT_IO_MDNS_RESPONDER_HPP
