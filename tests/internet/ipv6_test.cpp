#include <doctest/doctest.h>

#include "nat_kinds.hpp"
#include "world.hpp"

namespace weft::internet_test {
namespace {

struct two_families : world {
  two_families() : world{1} {}

  void add_parties(const std::vector<peer::ice_server>& servers) {
    for (int i = 0; i < 2; ++i) {
      peer::ice_transport::options opts;
      opts.servers = servers;
      add_party(opts);
    }
  }
  /// A network that has IPv6 and a NAT64, as mobile carriers do.
  internet::network add_v6_only(std::string_view outside, std::string_view kind = "EP") {
    return net.add_network({.address = ip(outside), .nat = nat_of_kind(kind), .nat64 = true});
  }
};

TEST_SUITE("IPv6, and IPv6 alone") {
  TEST_CASE("two hosts with IPv6 connect through firewalls that let out and not in") {
    two_families w;
    w.add_parties({});
    w.a().add_interface(w.now, w.add_v6_only("203.0.113.1"), "2001:db8:1::2");
    w.b().add_interface(w.now, w.add_v6_only("203.0.113.2"), "2001:db8:2::2");
    w.introduce();
    REQUIRE(w.connect());
    CHECK(w.now - time_point{} <= 300ms);
    CHECK(w.a().transport.selected_pair()->remote.address == ip("2001:db8:2::2"));
  }

  TEST_CASE("IPv6 alone reaches IPv4 alone by a relay of both, or behind a NAT64 (RFC 6146)") {
    for (const bool relay_has_v6 : {true, false}) {
      CAPTURE(relay_has_v6);
      two_families w;
      std::vector<std::string> addresses{"198.51.100.3"};
      if (relay_has_v6) addresses.push_back("2001:db8::3");
      w.add_relay_server(addresses, open_relay_options());
      w.add_parties({relay_user({"turn:relay.example.org"})});
      // The DNS64 of that network invents addresses for names that have none (RFC 6147).
      w.a().names = {{"relay.example.org",
                      {relay_has_v6 ? ip("2001:db8::3") : sim::nat64_address(ip("198.51.100.3"))}}};
      w.b().names = {{"relay.example.org", {ip("198.51.100.3")}}};
      w.a().add_interface(w.now, w.add_v6_only("203.0.113.1"), "2001:db8:1::2");
      const auto home = w.net.add_network({.address = ip("203.0.113.2"), .nat = nat_of_kind("EP")});
      w.b().add_interface(w.now, home, "192.168.1.2");
      w.introduce();
      REQUIRE(w.connect());
      CHECK(w.now - time_point{} <= 1s);
      CHECK(w.is_relayed(w.a()));
      w.a().talks = w.b().talks = true;
      const auto since = w.now;
      w.run(10s);
      CHECK(w.a().longest_silence(since, w.now) <= 300ms);
      CHECK(w.b().longest_silence(since, w.now) <= 300ms);
    }
  }

  // The IPv6 side cannot send to an IPv4 candidate, and knows no prefix to write it with; but it
  // signals what the server saw of it, which is IPv4. The other side can send there, and comes
  // through if the NAT64 lets in whoever comes; and a check from 64:ff9b::/96 can be answered.
  TEST_CASE(
      "without a relay IPv6 alone meets IPv4 alone where the NAT64 filters by endpoint only") {
    for (const std::string_view kind : {"EE", "EA", "EP"}) {
      CAPTURE(std::string{kind});
      two_families w;
      w.add_stun_server("198.51.100.1");
      w.add_parties({{{"stun:stun.example.org"}}});
      w.a().names = {{"stun.example.org", {sim::nat64_address(ip("198.51.100.1"))}}};
      w.b().names = {{"stun.example.org", {ip("198.51.100.1")}}};
      w.a().add_interface(w.now, w.add_v6_only("203.0.113.1", kind), "2001:db8:1::2");
      w.b().add_interface(w.now, internet::public_network, "198.51.100.7");
      w.introduce();
      CHECK(w.connect(90s) == (kind == "EE"));
    }
  }

  TEST_CASE("IPv6 that leads nowhere does not hold IPv4 up (RFC 8421)") {
    two_families w;
    w.add_stun_server("198.51.100.1");
    w.add_parties({{{"stun:198.51.100.1"}}});
    const auto broken = w.net.add_network({.link = {.loss_percent = 100}});
    w.a().add_interface(w.now, broken, "2001:db8:1::2");
    const auto home = w.net.add_network({.address = ip("203.0.113.1"), .nat = nat_of_kind("EP")});
    w.a().add_interface(w.now, home, "192.168.1.2");
    w.b().add_interface(w.now, internet::public_network, "2001:db8::7");
    w.b().add_interface(w.now, internet::public_network, "198.51.100.7");
    w.introduce();
    REQUIRE(w.connect());
    CHECK(w.now - time_point{} <= 500ms);
    CHECK(w.a().transport.selected_pair()->remote.address == ip("198.51.100.7"));
  }
}

}  // namespace
}  // namespace weft::internet_test
