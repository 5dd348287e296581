#ifndef WEFT_TESTS_INTERNET_WORLD_HPP
#define WEFT_TESTS_INTERNET_WORLD_HPP

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <weft/stun/binding_server.hpp>

#include "party.hpp"
#include "relay_server.hpp"
#include "support/internet.hpp"

namespace weft::internet_test {

/// Two sides of a call, and the servers that help them, on a simulated Internet.
class world {
 public:
  explicit world(std::uint64_t seed, const sim::conditions& link = {.delay = 20ms})
      : net{seed, link}, seed_{seed} {}

  /// A STUN server of the public network, at `stun:ADDRESS`.
  void add_stun_server(std::string_view address);
  relay_server& add_relay_server(const std::vector<std::string>& addresses,
                                 turn::server::options opts = {});
  party& add_party(peer::ice_transport::options opts);

  /// Signalling takes no time: both know each other's credentials, and candidates go
  /// over as they are gathered.
  void introduce();
  /// `from` begins anew, and the other side follows.
  void restart(party& from);

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
    return run(limit, [&] { return are_connected(); });
  }
  bool are_connected() const { return a().is_connected() && b().is_connected(); }
  /// Both have the same pair, and it is one.
  bool agree() const;
  /// Whether the call goes over a relay, as `p` knows.
  bool is_relayed(const party& p) const;

  party& a() const { return *parties.at(0); }
  party& b() const { return *parties.at(1); }

  time_point now{};
  internet net;
  std::vector<std::unique_ptr<party>> parties;
  std::vector<std::unique_ptr<relay_server>> relays;
  /// Whether the end of candidates is signalled: not where interfaces come and go (RFC 8838 §13).
  bool signals_end = true;

 private:
  std::optional<time_point> next_event() const;
  void step(time_point next);
  void settle();
  bool signal(party& from, party& to) const;

  std::uint64_t seed_;
  struct stun_host {
    internet::host host;
    stun::binding_server server;
  };
  std::map<endpoint, stun_host> stun_servers_;
};

/// As `world::add_relay_server` knows it.
peer::ice_server relay_user(std::vector<std::string> urls);
/// Lets relays be used between the addresses that these tests have: those set aside for
/// documentation, which a server refuses unless told otherwise.
turn::server::options open_relay_options();

}  // namespace weft::internet_test

#endif  // WEFT_TESTS_INTERNET_WORLD_HPP
