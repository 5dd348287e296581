#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "nat_kinds.hpp"
#include "world.hpp"

namespace weft::internet_test {
namespace {

/// Which side has a TURN server beside the STUN server that both have.
enum class relay_of { nobody, a, both };

/// The public network has 20 ms one way, private ones 1 ms: 44 ms there and back again to a
/// server, 44 ms between two homes.
struct matrix_world : world {
  explicit matrix_world(std::uint64_t seed, relay_of r = relay_of::nobody) : world{seed} {
    add_stun_server("198.51.100.1");
    if (r != relay_of::nobody) add_relay_server({"198.51.100.3"}, open_relay_options());
    for (const bool with_relay : {r != relay_of::nobody, r == relay_of::both}) {
      peer::ice_transport::options opts;
      opts.servers = {{{"stun:198.51.100.1"}}};
      if (with_relay) opts.servers.push_back(relay_user({"turn:198.51.100.3"}));
      add_party(opts);
    }
  }

  std::uint64_t checks() const {
    return std::max(a().transport.ice_stats().checks_sent, b().transport.ice_stats().checks_sent);
  }
  duration elapsed() const { return now - time_point{}; }
};

struct two_homes : matrix_world {
  two_homes(std::size_t kind_a, std::size_t kind_b, relay_of r = relay_of::nobody)
      : matrix_world{kind_a * 9 + kind_b, r} {
    const auto home_a =
        net.add_network({.address = ip("203.0.113.1"), .nat = nat_of_kind(nat_kinds[kind_a])});
    const auto home_b =
        net.add_network({.address = ip("203.0.113.2"), .nat = nat_of_kind(nat_kinds[kind_b])});
    a().add_interface(now, home_a, "192.168.1.2");
    b().add_interface(now, home_b, "192.168.1.3");
    introduce();
  }
};

/// Both in one network, where they reach each other only by way of the gateway.
struct one_home : matrix_world {
  one_home(std::size_t kind, bool hairpin, relay_of r = relay_of::nobody) : matrix_world{kind, r} {
    auto nat = nat_of_kind(nat_kinds[kind]);
    nat.hairpin = hairpin;
    const auto home = net.add_network({.address = ip("203.0.113.1"), .nat = nat, .isolated = true});
    a().add_interface(now, home, "192.168.1.2");
    b().add_interface(now, home, "192.168.1.3");
    introduce();
  }
};

template <class Check>
void for_every_pair_of_kinds(Check check) {
  for (std::size_t i = 0; i < nat_kinds.size(); ++i) {
    for (std::size_t k = 0; k < nat_kinds.size(); ++k) {
      const std::string cell = std::string{nat_kinds[i]} + " with " + std::string{nat_kinds[k]};
      CAPTURE(cell);
      check(i, k);
    }
  }
}

TEST_SUITE("calls through NATs of every kind") {
  TEST_CASE("without a relay two homes connect exactly if theory says so") {
    for_every_pair_of_kinds([](std::size_t i, std::size_t k) {
      two_homes w{i, k};
      const bool connected = w.connect(90s);
      CHECK(connected == connects_directly(i, k));
      if (connected) {
        CHECK(w.elapsed() <= 300ms);
        CHECK(w.checks() <= 6);
        w.run(1s);
        CHECK(w.agree());
      } else {
        CHECK(w.a().transport.current_state() == ice::state::failed);
        CHECK(w.b().transport.current_state() == ice::state::failed);
        CHECK(w.checks() <= 30);
      }
    });
  }

  TEST_CASE("with relays they always connect, and by a relay only if theory says they must") {
    for (const auto r : {relay_of::a, relay_of::both}) {
      const bool of_both = r == relay_of::both;
      CAPTURE(of_both);
      for_every_pair_of_kinds([&](std::size_t i, std::size_t k) {
        two_homes w{i, k, r};
        REQUIRE(w.connect());
        CHECK(w.elapsed() <= 750ms);
        CHECK(w.checks() <= 20);
        w.run(2s);
        CHECK(w.agree());
        CHECK(w.is_relayed(w.a()) == !connects_directly(i, k));
      });
    }
  }

  TEST_CASE("behind one NAT that keeps its hosts apart it takes hairpinning (RFC 4787 §6)") {
    for (std::size_t kind = 0; kind < nat_kinds.size(); ++kind) {
      for (const bool hairpin : {false, true}) {
        const std::string cell{nat_kinds[kind]};
        CAPTURE(cell);
        CAPTURE(hairpin);
        // The address is one, and the ports are as if there were two NATs of one kind.
        const bool direct = hairpin && connects_directly(kind, kind);
        one_home alone{kind, hairpin};
        const bool connected = alone.connect(90s);
        CHECK(connected == direct);
        if (connected) {
          CHECK(alone.elapsed() <= 300ms);
        } else {
          CHECK(alone.a().transport.current_state() == ice::state::failed);
          CHECK(alone.checks() <= 30);
        }
        one_home helped{kind, hairpin, relay_of::both};
        REQUIRE(helped.connect());
        CHECK(helped.elapsed() <= 750ms);
        helped.run(2s);
        CHECK(helped.is_relayed(helped.a()) == !direct);
      }
    }
  }

  TEST_CASE("on one network they connect by their own addresses, whatever the NAT does") {
    for (std::size_t kind = 0; kind < nat_kinds.size(); ++kind) {
      matrix_world w{kind, relay_of::both};
      const auto home =
          w.net.add_network({.address = ip("203.0.113.1"), .nat = nat_of_kind(nat_kinds[kind])});
      w.a().add_interface(w.now, home, "192.168.1.2");
      w.b().add_interface(w.now, home, "192.168.1.3");
      w.introduce();
      REQUIRE(w.connect());
      CHECK(w.elapsed() <= 50ms);
      REQUIRE(w.a().transport.selected_pair());
      CHECK(w.a().transport.selected_pair()->remote.address == ip("192.168.1.3"));
      CHECK(w.b().transport.selected_pair()->remote.address == ip("192.168.1.2"));
    }
  }

  TEST_CASE("behind the NAT of one carrier it is this one that has to hairpin") {
    for (const bool hairpin : {false, true}) {
      for (const auto r : {relay_of::nobody, relay_of::both}) {
        matrix_world w{1, r};
        sim::nat::options carrier_nat;
        carrier_nat.hairpin = hairpin;
        const auto carrier =
            w.net.add_network({.address = ip("203.0.113.1"), .nat = carrier_nat, .isolated = true});
        const auto home_a = w.net.add_network({.outer = carrier, .address = ip("100.64.0.2")});
        const auto home_b = w.net.add_network({.outer = carrier, .address = ip("100.64.0.3")});
        w.a().add_interface(w.now, home_a, "192.168.1.2");
        w.b().add_interface(w.now, home_b, "192.168.1.2");
        w.introduce();
        CHECK(w.connect(90s) == (hairpin || r != relay_of::nobody));
        if (w.are_connected()) CHECK(w.is_relayed(w.a()) == !hairpin);
      }
    }
  }
}

}  // namespace
}  // namespace weft::internet_test
