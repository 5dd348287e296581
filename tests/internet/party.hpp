#ifndef WEFT_TESTS_INTERNET_PARTY_HPP
#define WEFT_TESTS_INTERNET_PARTY_HPP

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/peer/ice_transport.hpp>

#include "support/internet.hpp"

namespace weft::internet_test {

using namespace std::chrono_literals;
using sim::internet;

inline ip_address ip(std::string_view text) {
  return ip_address::parse(text).value();
}
inline endpoint at(std::string_view address, std::uint16_t port) {
  return {ip(address), port};
}

/// One side of a call: the machine of weft::peer, its host with the simulated sockets that it asks
/// for, and an application that talks all the time once there is somebody to talk to.
class party {
 public:
  /// Between two words of the application.
  static constexpr duration talk_interval = std::chrono::milliseconds{100};

  party(internet& net, std::uint64_t seed, const peer::ice_transport::options& opts)
      : net_{&net}, host_{net.add_host()}, random_{seed}, transport{random_, opts} {}

  /// An interface, with a socket for UDP and the means for TCP, that the machine is told of.
  endpoint add_interface(time_point now, internet::network n, std::string_view address,
                         ice::network_kind kind = ice::network_kind::unknown);
  /// The system says that it is gone.
  void remove_interface(time_point now, const endpoint& base);
  /// It is gone, and nobody says so.
  void lose_interface(const endpoint& base) { net_->detach(host_, base.address); }
  /// The sockets of those there are.
  const std::vector<endpoint>& interfaces() const { return interfaces_; }
  /// A socket where the other side may connect by TCP.
  void listen(time_point now, std::string_view address);

  void handle(time_point now, const internet::arrival& a);
  void settle(time_point now);
  void handle_timeout(time_point now);
  std::optional<time_point> poll_timeout() const;

  bool is_connected() const {
    return transport.current_state() == ice::state::connected ||
           transport.current_state() == ice::state::completed;
  }
  /// The longest that the other side was not heard from `since` until `now`.
  duration longest_silence(time_point since, time_point now) const;
  /// How often it has said something of this kind.
  template <class Event>
  std::vector<Event> all() const {
    std::vector<Event> out;
    for (const auto& e : events)
      if (const auto* found = std::get_if<Event>(&e)) out.push_back(*found);
    return out;
  }

 private:
  internet* net_;
  internet::host host_;
  seeded_random random_;

 public:
  peer::ice_transport transport;
  /// What names of servers stand for here, after how long. Others are not found.
  std::map<std::string, std::vector<ip_address>> names;
  duration name_delay = std::chrono::milliseconds{10};

  std::vector<peer::ice_transport::event> events;
  std::vector<ice::candidate> unsent;  ///< Gathered, not yet signalled.
  bool end_unsent = false;
  bool talks = false;
  std::vector<time_point> heard;   ///< When the other side's words came.
  std::set<ip_address> sent_to;    ///< Where its packets went first: relays, not what is behind.
  std::uint64_t datagrams = 0;     ///< That it has sent, messages over TCP included.
  std::uint64_t most_at_once = 0;  ///< Of those the most in one instant.

 private:
  struct lookup {
    time_point answered;
    std::string name;
  };

  void take_events(time_point now);
  void open(time_point now, const peer::ice_transport::connect& wanted);
  void talk(time_point now);
  bool send(time_point now, const addressed_transmit& t);

  std::map<five_tuple, five_tuple> real_;   ///< Of connections: what the machine calls them first.
  std::map<five_tuple, five_tuple> named_;  ///< And the other way.
  std::vector<endpoint> interfaces_;
  std::vector<lookup> lookups_;
  std::vector<five_tuple> refused_;  ///< Could not even be tried.
  time_point next_word_{};
};

}  // namespace weft::internet_test

#endif  // WEFT_TESTS_INTERNET_PARTY_HPP
