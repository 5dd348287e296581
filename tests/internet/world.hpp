#ifndef WEFT_TESTS_INTERNET_WORLD_HPP
#define WEFT_TESTS_INTERNET_WORLD_HPP

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/ice/agent.hpp>
#include <weft/stun/binding_server.hpp>

#include "support/internet.hpp"

/// Two sides of a call, and the servers that help them, on a simulated Internet.
namespace weft::internet_test {

using namespace std::chrono_literals;
using sim::internet;

inline ip_address ip(std::string_view text) {
  return ip_address::parse(text).value();
}
inline endpoint at(std::string_view address, std::uint16_t port) {
  return {ip(address), port};
}

/// One side of a call, with what it has said.
struct party {
  party(internet::host h, std::uint64_t seed, const ice::agent::options& opts)
      : host{h}, random{seed}, ice{random, opts} {}

  bool is_connected() const {
    return ice.current_state() == ice::state::connected ||
           ice.current_state() == ice::state::completed;
  }

  internet::host host;
  seeded_random random;
  ice::agent ice;
  std::vector<ice::agent::event> events;
  std::vector<ice::candidate> unsent;  ///< Gathered, not yet signalled.
  bool end_unsent = false;
  std::uint64_t datagrams = 0;  ///< That it has sent.
};

class world {
 public:
  explicit world(std::uint64_t seed, const sim::conditions& link = {.delay = 20ms})
      : net{seed, link}, seed_{seed} {}

  /// A STUN server of the public network.
  endpoint add_stun_server(std::string_view address);
  /// An address that nobody answers at.
  endpoint add_dead_server(std::string_view address);
  party& add_party(const ice::agent::options& opts);
  /// An interface, with a socket for UDP that the party is told of.
  endpoint add_interface(party& p, internet::network n, std::string_view address);

  /// Signalling, which takes no time: both know each other's credentials, candidates
  /// trickle as they are gathered.
  void introduce();
  /// Runs until `done()` or for `limit`. Returns whether it was done.
  template <class Done>
  bool run(duration limit, Done done) {
    const time_point end = now + limit;
    for (;;) {
      settle();
      if (done()) return true;
      const auto next = next_event();
      if (!next || *next > end) {
        now = end;
        return false;
      }
      step(*next);
    }
  }
  void run(duration limit) {
    run(limit, [] { return false; });
  }
  bool connect(duration limit = 60s) {
    return run(limit, [&] { return parties[0]->is_connected() && parties[1]->is_connected(); });
  }

  time_point now{};
  internet net;
  std::vector<std::unique_ptr<party>> parties;
  std::uint64_t most_at_once = 0;  ///< Datagrams that one party sent in one instant.

 private:
  std::optional<time_point> next_event() const;
  void step(time_point next);
  void settle();
  void deliver(const internet::arrival& a);
  void note_events(party& p);

  std::uint64_t seed_;
  std::map<endpoint, stun::binding_server> stun_servers_;
  std::map<endpoint, internet::host> server_hosts_;
};

}  // namespace weft::internet_test

#endif  // WEFT_TESTS_INTERNET_WORLD_HPP
