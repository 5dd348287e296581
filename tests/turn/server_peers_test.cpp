#include "turn/server_harness.hpp"

using namespace weft;
using namespace weft::server_test;
using namespace weft::turn;

namespace {

// Ways to say an address that strangers have no business at; the reports of SSRF through TURN
// servers (CVE-2020-26262, CVE-2026-27624 and others) are made of these.
constexpr std::string_view forbidden[] = {
    "0.0.0.0",
    "0.0.0.1",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.77",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "::127.0.0.1",
    "::10.0.0.1",
    "::9.9.9.9",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:9.9.9.9",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::9.9.9.9",
    "64:ff9b:1::10.0.0.1",
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:909:909::1",
    "2620:4f:8000::1",
    "3fff::1",
    "5f00::1",
    "4000::1",
    "8000::1",
    "fc00::1",
    "fd12:3456:789a::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
};

}  // namespace

TEST_SUITE("turn/server_peers") {
  TEST_CASE("special-purpose peers are refused in every form and every request") {
    server::options opts;
    opts.tcp_allocations = true;
    turn_fixture t{opts};
    auto udp = t.udp(1000);
    auto tcp4 = t.tcp(1001), tcp6 = t.tcp(1002);
    REQUIRE(t.allocate(udp, [](stun::message_builder& m) { add_additional_address_family(m); }) ==
            200);
    for (auto [client, family] :
         {std::pair{&tcp4, address_family::ipv4}, {&tcp6, address_family::ipv6}})
      REQUIRE(t.request(*client, methods::allocate, [family = family](stun::message_builder& m) {
        add_requested_transport(m, relayed_transport::tcp);
        add_requested_address_family(m, family);
      }) == 200);
    static_assert(std::size(forbidden) >= 40);
    for (const std::string_view text : forbidden) {
      CAPTURE(text);
      const endpoint peer = at(text, 80);
      CHECK(t.permit(udp, {peer}) == 403);
      CHECK(t.bind(udp, 0x4000, peer) == 403);
      CHECK_FALSE(t.send(udp, peer, "x"));
      CHECK_FALSE(t.from_peer(t.relay(peer.address.is_v4() ? 0 : 1), peer, "x"));
      auto& tcp = peer.address.is_v4() ? tcp4 : tcp6;
      CHECK(t.permit(tcp, {peer}) == 403);
      CHECK(t.request(tcp, methods::connect,
                      [&](stun::message_builder& m) { add_peer_address(m, peer); }) == 403);
      CHECK_FALSE(t.server.peer_accepted(t.now, t.relay(peer.address.is_v4() ? 2 : 3), peer));
    }
    CHECK(t.connects.empty());
    CHECK(t.server.stats().forbidden_peers == 4 * std::size(forbidden));
    CHECK(t.audits<server::peer_refused>().size() == 4 * std::size(forbidden));
  }

  TEST_CASE("the Internet next to them is reached") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client,
                       [](stun::message_builder& m) { add_additional_address_family(m); }) == 200);
    for (const std::string_view text :
         {"1.0.0.1",          "9.255.255.255", "11.0.0.0",        "100.63.255.255",
          "100.128.0.0",      "126.0.0.1",     "128.0.0.1",       "169.253.255.255",
          "172.15.255.255",   "172.32.0.0",    "192.0.1.1",       "192.167.255.255",
          "198.17.255.255",   "198.20.0.0",    "223.255.255.255", "2001:200::1",
          "2001:db7:ffff::1", "2001:db9::1",   "2003::1",         "2606:4700::1111",
          "2a00:1450::1",     "3ffe::1"}) {
      CAPTURE(text);
      CHECK(t.permit(client, {at(text, 0)}) == 200);
      CHECK(t.send(client, at(text, 443), "x"));
    }
  }

  TEST_CASE("the server's own addresses are refused, but for relays that somebody has") {
    turn_fixture t;
    t.server = server{[] {
                        auto opts = turn_fixture::with_realm({});
                        opts.peers = address_policy{
                            {.own_endpoints = {{ip("5.5.5.1"), 3478}, {ip("2a05::1"), 3478}}}};
                        return opts;
                      }(),
                      t.users, t.random};
    t.manual = true;
    const auto allocate = [&](test_client& client, const endpoint& relayed) {
      const auto id = t.new_id();
      (void)t.refresh(client);
      t.give(client.path, t.build(client, methods::allocate, id, [](stun::message_builder& m) {
        add_requested_transport(m, relayed_transport::udp);
      }));
      t.run();
      t.server.relay_opened(t.now, t.opened.back().relay, relayed);
      t.run();
      REQUIRE(t.take_answer(client.path, id) == 200);
    };
    auto one = t.udp(1000), two = t.udp(1001);
    allocate(one, at("5.5.5.2", 50'000));

    // Where it listens, and what else there may be at that address.
    CHECK(t.permit(one, {at("5.5.5.1", 3478)}) == 403);
    CHECK(t.bind(one, 0x4000, at("5.5.5.1", 3478)) == 403);
    CHECK(t.bind(one, 0x4000, at("5.5.5.1", 22)) == 403);
    // At a relay's address, what is no relay.
    CHECK(t.bind(one, 0x4000, at("5.5.5.2", 22)) == 403);
    CHECK(t.bind(one, 0x4000, at("5.5.5.2", 50'001)) == 403);
    CHECK(t.permit(one, {at("5.5.5.2", 50'001)}) == 200);
    CHECK_FALSE(t.send(one, at("5.5.5.2", 50'001), "x"));
    // Another client's relay.
    allocate(two, at("5.5.5.2", 50'001));
    CHECK(t.bind(one, 0x4000, at("5.5.5.2", 50'001)) == 200);
    CHECK(t.send(one, at("5.5.5.2", 50'001), "x"));
    CHECK_FALSE(t.send(one, at("5.5.5.2", 50'002), "x"));
    // When the last relay at an address has gone the address is still the server's own.
    t.manual = false;
    CHECK(t.refresh(one, 0) == 200);
    CHECK(t.refresh(two, 0) == 200);
    auto three = t.udp(1002);
    CHECK(t.allocate(three) == 200);
    CHECK(t.permit(three, {at("5.5.5.2", 1)}) == 403);
  }

  TEST_CASE("rules allow what is special, and deny what is not") {
    server::options opts;
    opts.peers = address_policy{
        {.allow = {*peer_rule::parse("10.1.0.0/16 5000-5010"), *peer_rule::parse("192.168.7.7")},
         .deny = {*peer_rule::parse("9.9.9.0/24 53"), *peer_rule::parse("8.8.4.0/24")}}};
    turn_fixture t{opts};
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    CHECK(t.permit(client, {at("10.1.2.3", 1)}) == 200);
    CHECK(t.send(client, at("10.1.2.3", 5000), "x"));
    CHECK(t.send(client, at("10.1.2.3", 5010), "x"));
    CHECK_FALSE(t.send(client, at("10.1.2.3", 5011), "x"));
    CHECK(t.bind(client, 0x4000, at("10.1.2.3", 22)) == 403);
    CHECK(t.permit(client, {at("10.2.2.3", 1)}) == 403);
    CHECK(t.bind(client, 0x4001, at("192.168.7.7", 22)) == 200);
    CHECK(t.permit(client, {at("192.168.7.8", 22)}) == 403);
    CHECK(t.permit(client, {at("9.9.9.9", 53)}) == 200);
    CHECK_FALSE(t.send(client, at("9.9.9.9", 53), "x"));
    CHECK(t.send(client, at("9.9.9.9", 54), "x"));
    CHECK(t.permit(client, {at("8.8.4.4", 1)}) == 403);
  }
}
