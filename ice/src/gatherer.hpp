#ifndef WEFT_ICE_SRC_GATHERER_HPP
#define WEFT_ICE_SRC_GATHERER_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <weft/core/machine.hpp>
#include <weft/core/random.hpp>
#include <weft/ice/agent.hpp>
#include <weft/stun/binding_client.hpp>

namespace weft::ice {

/// Whether a datagram from one of these can be meant for the other: one family, and
/// loopback and IPv6 link-local addresses (RFC 8445 §6.1.2.2) among themselves.
bool can_reach(const ip_address& a, const ip_address& b) noexcept;

/// Asks every STUN server from every address, each in a transaction of its own, so that
/// none waits for another (RFC 8445 §5.1.1.2).
class gatherer {
 public:
  struct found {
    endpoint base;
    endpoint reflexive;
    std::size_t server;
  };

  /// A new round, with every server and base that can reach each other.
  void start(random_source& random, const agent::options& opts, const std::vector<endpoint>& bases);
  void stop() noexcept;
  bool is_active() const noexcept { return active_; }

  /// Whether a first request waits for its turn.
  bool has_queued() const noexcept { return next_ < queries_.size(); }
  void begin_next(time_point now);

  bool handle_input(time_point now, const endpoint& local, const endpoint& remote,
                    const_bytes datagram);
  void handle_timeout(time_point now);
  std::optional<addressed_transmit> poll_transmit(time_point now, mutable_bytes buffer);
  bool has_transmit() const noexcept { return due_; }
  std::optional<time_point> poll_timeout() const noexcept;

  std::optional<found> poll_found();
  std::optional<agent::gathering_error> poll_error();
  /// Once, when all has been asked and answered or given up.
  bool poll_complete() noexcept;

 private:
  struct query {
    std::size_t server;
    endpoint base;
    stun::binding_client client;
    bool done = false;
  };
  struct server_result {
    agent::server server;
    bool helped = false;
    bool told = false;
    std::uint16_t code = 701;
    std::string text;
  };

  void collect(query& q);

  std::vector<query> queries_;
  std::vector<server_result> servers_;
  std::vector<found> found_;
  std::size_t next_ = 0;
  bool active_ = false;
  bool due_ = false;
};

}  // namespace weft::ice

#endif  // WEFT_ICE_SRC_GATHERER_HPP
