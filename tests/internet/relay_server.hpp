#ifndef WEFT_TESTS_INTERNET_RELAY_SERVER_HPP
#define WEFT_TESTS_INTERNET_RELAY_SERVER_HPP

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <weft/stun/user_store.hpp>
#include <weft/turn/server.hpp>

#include "support/internet.hpp"

namespace weft::internet_test {

/// A TURN server on a host of the public network: the machine of weft::turn with the simulated
/// sockets that it asks for. It answers STUN too.
class relay_server {
 public:
  static constexpr std::uint16_t port = 3478;     ///< UDP and TCP.
  static constexpr std::uint16_t tls_port = 443;  ///< TLS, where firewalls let it pass.
  static constexpr std::string_view realm = "example.org";

  relay_server(sim::internet& net, std::uint64_t seed, const std::vector<ip_address>& addresses,
               const turn::server::options& opts);

  /// What is told of other hosts is not taken.
  void handle(time_point now, const sim::internet::arrival& a);
  void settle(time_point now);
  void handle_timeout(time_point now);
  std::optional<time_point> poll_timeout() const;

  /// It no longer hears and says anything; connections to it hang.
  void die() { is_dead_ = true; }
  /// It starts anew and knows of nothing any more.
  void restart(time_point now);

  bool owns(const ip_address& address) const;
  turn::server& machine() { return *machine_; }
  stun::password_users& users() { return users_; }

 private:
  void open_relay(time_point now, const turn::server::open_relay& wanted);
  void close_relay(turn::relay_id id);
  void relay(time_point now, const turn::server::to_peer& data);
  void handle_stream(time_point now, const five_tuple& client, const_bytes chunk);
  void send(time_point now, const five_tuple& path, const_bytes bytes);

  sim::internet* net_;
  seeded_random random_;
  sim::internet::host host_;
  std::vector<ip_address> addresses_;
  turn::server::options options_;
  stun::password_users users_{realm};
  std::unique_ptr<turn::server> machine_;
  std::map<turn::relay_id, endpoint> relays_;
  std::map<endpoint, turn::relay_id> by_address_;
  std::vector<five_tuple> clients_;  ///< Connections of clients.
  bool is_dead_ = false;
};

}  // namespace weft::internet_test

#endif  // WEFT_TESTS_INTERNET_RELAY_SERVER_HPP
