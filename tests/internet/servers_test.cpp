#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "nat_kinds.hpp"
#include "world.hpp"

namespace weft::internet_test {
namespace {

/// Two homes behind NATs that need a relay, but for what a test changes.
struct strict_homes : world {
  explicit strict_homes(std::vector<peer::ice_server> servers,
                        sim::firewall of_a = sim::firewall::none)
      : world{1},
        home_a{net.add_network(
            {.address = ip("203.0.113.1"), .nat = nat_of_kind("PP"), .firewall = of_a})},
        home_b{net.add_network({.address = ip("203.0.113.2"), .nat = nat_of_kind("PP")})} {
    for (int i = 0; i < 2; ++i) {
      peer::ice_transport::options opts;
      opts.servers = servers;
      add_party(opts).names = {{"relay.example.org", {ip("198.51.100.3")}}};
    }
    a().add_interface(now, home_a, "192.168.1.2");
    b().add_interface(now, home_b, "192.168.1.3");
  }
  internet::network home_a, home_b;
};

/// The error that a side was told of for a URL.
std::optional<std::uint16_t> error_for(const party& p, std::string_view url) {
  for (const auto& e : p.all<peer::ice_transport::candidate_error>())
    if (e.url == url) return e.code;
  return std::nullopt;
}

bool has_gathered_all(const party& p) {
  return !p.all<peer::ice_transport::gathering_complete>().empty();
}

TEST_SUITE("servers that help, and servers that do not") {
  TEST_CASE("a server that does not answer delays nothing but the end of gathering") {
    const std::string dead_stun = "stun:198.51.100.8";
    const std::string dead_turn = "turn:198.51.100.9";
    const std::string dead_tcp = "turn:198.51.100.9?transport=tcp";
    const std::string dead_name = "turn:nowhere.example.org";
    duration without{};
    for (const bool with_dead : {false, true}) {
      std::vector<peer::ice_server> servers;
      if (with_dead) servers = {{{dead_stun}}, relay_user({dead_turn, dead_tcp, dead_name})};
      servers.push_back(relay_user({"turn:198.51.100.3"}));
      strict_homes w{servers};
      w.add_relay_server({"198.51.100.3"}, open_relay_options());
      w.introduce();
      REQUIRE(w.connect());
      if (!with_dead) without = w.now - time_point{};
      // Pacing has more to ask, 5 to 20 ms each; nothing waits for an answer.
      CHECK(w.now - time_point{} <= without + 200ms);
      w.run(40s);
      CHECK(has_gathered_all(w.a()));
      CHECK(w.is_relayed(w.a()));
      for (const std::string& url : {dead_stun, dead_turn, dead_tcp, dead_name})
        CHECK((error_for(w.a(), url) == 701) == with_dead);
      CHECK_FALSE(error_for(w.a(), "turn:198.51.100.3"));
    }
  }

  TEST_CASE(
      "without UDP a relay is reached by TCP, and by TLS on port 443 if that is all there is") {
    for (const auto f : {sim::firewall::no_udp, sim::firewall::tls_on_443}) {
      const bool tls_only = f == sim::firewall::tls_on_443;
      CAPTURE(tls_only);
      for (const auto* url : {"turn:relay.example.org", "turn:relay.example.org?transport=tcp",
                              "turns:relay.example.org:443?transport=tcp"}) {
        CAPTURE(url);
        const bool passes = std::string_view{url}.starts_with("turns") ||
                            (!tls_only && std::string_view{url}.ends_with("transport=tcp"));
        strict_homes w{{relay_user({url})}, f};
        w.add_relay_server({"198.51.100.3"}, open_relay_options());
        // Only side a is behind the firewall; b has a relay in any case, which a cannot use.
        w.introduce();
        CHECK(w.connect(90s) == passes);
        if (!passes) continue;
        CHECK(w.now - time_point{} <= 1s);
        CHECK(w.is_relayed(w.a()));
        w.a().talks = w.b().talks = true;
        const auto since = w.now;
        w.run(20s);
        CHECK(w.a().longest_silence(since, w.now) <= 400ms);
        CHECK(w.b().longest_silence(since, w.now) <= 400ms);
      }
    }
  }

  TEST_CASE("without UDP on either side two relays over TCP are enough") {
    strict_homes w{{relay_user({"turn:198.51.100.3?transport=tcp"})}, sim::firewall::no_udp};
    w.net.set_firewall(w.home_b, sim::firewall::no_udp);
    w.add_relay_server({"198.51.100.3"}, open_relay_options());
    w.introduce();
    REQUIRE(w.connect());
    CHECK(w.now - time_point{} <= 1s);
  }

  TEST_CASE("without UDP and without relays a public peer is reached by ICE-TCP (RFC 6544)") {
    world w{1};
    const auto home = w.net.add_network({.address = ip("203.0.113.1"),
                                         .nat = nat_of_kind("PP"),
                                         .firewall = sim::firewall::no_udp});
    w.add_party({}).add_interface(w.now, home, "192.168.1.2");
    w.add_party({}).listen(w.now, "198.51.100.7");
    w.b().add_interface(w.now, internet::public_network, "198.51.100.7");
    w.introduce();
    REQUIRE(w.connect());
    CHECK(w.now - time_point{} <= 1s);
    REQUIRE(w.a().transport.selected_pair());
    CHECK(w.a().transport.selected_pair()->protocol == transport_protocol::tcp);
    w.a().talks = w.b().talks = true;
    const auto since = w.now;
    w.run(20s);
    CHECK(w.a().longest_silence(since, w.now) <= 300ms);
    CHECK(w.b().longest_silence(since, w.now) <= 300ms);
  }

  TEST_CASE("allocations are kept through a long call, whatever lifetime the server grants") {
    for (const auto lifetime : {60s, 600s}) {
      auto opts = open_relay_options();
      opts.default_lifetime = opts.max_lifetime = lifetime;
      opts.authentication.nonce_lifetime = 2min;
      strict_homes w{{relay_user({"turn:198.51.100.3"})}};
      w.add_relay_server({"198.51.100.3"}, opts);
      w.introduce();
      REQUIRE(w.connect());
      w.a().talks = w.b().talks = true;
      const auto since = w.now;
      w.run(25min);
      CHECK(w.is_relayed(w.a()));
      CHECK(w.a().longest_silence(since, w.now) <= 300ms);
      CHECK(w.b().longest_silence(since, w.now) <= 300ms);
      CHECK(w.a().transport.stats().allocations_lost == 0);
    }
  }

  TEST_CASE("allocations that the server has forgotten are replaced by a restart of ICE") {
    strict_homes w{{relay_user({"turn:198.51.100.3"})}};
    auto& relay = w.add_relay_server({"198.51.100.3"}, open_relay_options());
    w.introduce();
    REQUIRE(w.connect());
    w.run(5s);
    relay.restart(w.now);
    REQUIRE(w.run(60s, [&] { return !w.a().is_connected() && !w.b().is_connected(); }));
    w.restart(w.a());
    const auto since = w.now;
    REQUIRE(w.connect());
    CHECK(w.now - since <= 10s);
    w.a().talks = w.b().talks = true;
    const auto talking = w.now;
    w.run(10s);
    CHECK(w.a().longest_silence(talking, w.now) <= 300ms);
    CHECK(w.b().longest_silence(talking, w.now) <= 300ms);
  }

  TEST_CASE("a relay that dies in mid call is left for another one") {
    strict_homes w{{relay_user({"turn:198.51.100.3"}), relay_user({"turn:198.51.100.4"})}};
    w.add_relay_server({"198.51.100.3"}, open_relay_options());
    w.add_relay_server({"198.51.100.4"}, open_relay_options());
    w.introduce();
    REQUIRE(w.connect());
    w.a().talks = w.b().talks = true;
    w.run(10s);
    const auto pair = w.a().transport.selected_pair();
    REQUIRE(pair);
    const auto dying = std::ranges::find_if(w.relays, [&](const auto& r) {
      return r->owns(pair->local.address) || r->owns(pair->remote.address);
    });
    REQUIRE(dying != w.relays.end());
    (*dying)->die();
    const auto since = w.now;
    w.run(60s);
    CHECK(w.a().longest_silence(since, w.now) <= 15s);
    CHECK(w.b().longest_silence(since, w.now) <= 15s);
    CHECK(w.a().longest_silence(w.now - 30s, w.now) <= 300ms);
  }

  TEST_CASE("with the policy `relay` no packet goes to the other side but by relays") {
    world w{1};
    w.add_relay_server({"198.51.100.3"}, open_relay_options());
    for (int i = 0; i < 2; ++i) {
      peer::ice_transport::options opts;
      opts.servers = {relay_user({"turn:198.51.100.3"}), {{"stun:198.51.100.1"}}};
      opts.policy = peer::ice_transport_policy::relay;
      w.add_party(opts);
    }
    w.add_stun_server("198.51.100.1");
    w.a().add_interface(w.now, internet::public_network, "203.0.113.1");
    w.b().add_interface(w.now, internet::public_network, "203.0.113.2");
    w.introduce();
    REQUIRE(w.connect());
    w.a().talks = w.b().talks = true;
    w.run(5s);
    for (const party* p : {&w.a(), &w.b()}) {
      for (const auto& gathered : p->all<peer::ice_transport::candidate_gathered>())
        CHECK(gathered.candidate.type == ice::candidate_type::relayed);
      CHECK(p->sent_to == std::set{ip("198.51.100.3")});
      CHECK(p->heard.size() > 20);
    }
    CHECK(w.is_relayed(w.a()));
    CHECK(w.a().transport.selected_pair()->local.address == ip("198.51.100.3"));
    CHECK(w.b().transport.selected_pair()->local.address == ip("198.51.100.3"));
  }
}

}  // namespace
}  // namespace weft::internet_test
