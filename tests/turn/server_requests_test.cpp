#include "turn/server_harness.hpp"

using namespace weft;
using namespace weft::server_test;
using namespace weft::turn;
using std::chrono::seconds;
using weft::server_test::datagram;

TEST_SUITE("turn/server_requests") {
  TEST_CASE("RFC 8489 §6.3: a Binding request is answered to whoever asks") {
    turn_fixture t;
    auto stranger = t.udp(1000);
    const auto a = t.request(stranger, stun::method::binding);
    REQUIRE(a == 200);
    CHECK(a.view().xor_mapped_address() == stranger.path.remote);
    CHECK(t.server.stats().binding_requests == 1);
  }

  TEST_CASE("RFC 8656 §5: without an allocation every request about one is a mismatch") {
    turn_fixture t;
    auto client = t.udp(1000);
    CHECK(t.refresh(client) == 437);
    CHECK(t.refresh(client, 0) == 437);
    CHECK(t.permit(client, {peer_a}) == 437);
    CHECK(t.bind(client, 0x4000, peer_a) == 437);
  }

  TEST_CASE("RFC 8656 §5: what another user asks for an allocation is refused") {
    turn_fixture t;
    auto alice = t.udp(1000);
    REQUIRE(t.allocate(alice) == 200);
    auto bob = t.udp(1000, "bob", "hidden");
    CHECK(t.refresh(bob) == 441);
    CHECK(t.refresh(bob, 0) == 441);
    CHECK(t.permit(bob, {peer_a}) == 441);
    CHECK(t.bind(bob, 0x4000, peer_a) == 441);
    CHECK(t.allocate(bob) == 437);
    CHECK(t.server.stats().wrong_credentials == 4);
    CHECK(t.server.usage().allocations == 1);
    CHECK_FALSE(t.send(alice, peer_a, "x"));
    // With a wrong key there is not even that answer.
    auto forger = t.udp(1000, "alice", "wrong");
    CHECK(t.refresh(forger, 0) == 401);
    CHECK(t.server.usage().allocations == 1);
  }

  TEST_CASE("RFC 8656 §8.2: a refresh sets the lifetime, from default to maximum") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    for (const auto& [wish, granted] :
         std::vector<std::pair<std::uint32_t, int>>{{1, 600}, {700, 700}, {1'000'000, 3600}}) {
      const auto a = t.refresh(client, wish);
      REQUIRE(a == 200);
      CHECK(find_lifetime(a.view()) == seconds{granted});
    }
    CHECK(find_lifetime(t.refresh(client).view()) == seconds{600});
    t.wait(599s);
    CHECK(t.server.usage().allocations == 1);
    t.wait(1s);
    CHECK(t.server.usage().allocations == 0);
    CHECK(t.refresh(client) == 437);
    CHECK(t.closed == std::vector{t.opened[0].relay});
    const auto ended = t.audits<server::allocation_deleted>();
    REQUIRE(ended.size() == 1);
    CHECK(ended[0].reason == allocation_end::expired);
    CHECK(ended[0].age == 600s);
    CHECK(ended[0].username == "alice");
    CHECK(t.server.stats().allocations_expired == 1);
  }

  TEST_CASE("RFC 8656 §8.2: a lifetime of zero deletes at once") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    const auto a = t.refresh(client, 0);
    REQUIRE(a == 200);
    CHECK(find_lifetime(a.view()) == seconds{0});
    CHECK(t.closed.size() == 1);
    CHECK(t.refresh(client, 0) == 437);
    CHECK(t.audits<server::allocation_deleted>().at(0).reason == allocation_end::deleted);
    CHECK_FALSE(t.server.poll_timeout());
    CHECK(t.allocate(client) == 200);
  }

  TEST_CASE("RFC 8656 §8.1, §8.2: each half of a dual allocation lives for itself") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client,
                       [](stun::message_builder& m) { add_additional_address_family(m); }) == 200);
    REQUIRE(t.bind(client, 0x4000, peer_a) == 200);
    REQUIRE(t.bind(client, 0x4001, peer_v6) == 200);
    const auto refresh = [&](address_family family, std::uint32_t lifetime) {
      return t.request(client, methods::refresh, [&](stun::message_builder& m) {
        add_requested_address_family(m, family);
        add_lifetime(m, seconds{lifetime});
      });
    };
    CHECK(refresh(address_family::ipv6, 1200) == 200);
    t.wait(600s);
    CHECK(t.closed == std::vector{t.opened[0].relay});
    REQUIRE(t.server.usage().allocations == 1);
    CHECK(refresh(address_family::ipv4, 600) == 443);
    CHECK(refresh(address_family{9}, 600) == 443);
    CHECK(t.permit(client, {peer_a}) == 443);
    CHECK_FALSE(t.send_on_channel(client, 0x4000, "x"));
    CHECK(t.permit(client, {peer_v6}) == 200);
    CHECK(t.bind(client, 0x4001, peer_v6) == 200);
    CHECK(t.send_on_channel(client, 0x4001, "x")->peer == peer_v6);
    CHECK(refresh(address_family::ipv6, 0) == 200);
    CHECK(t.server.usage().allocations == 0);
    CHECK(t.server.usage().relays == 0);
  }

  TEST_CASE("RFC 8656 §10.2: CreatePermission installs all of its addresses, or none") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    CHECK(t.permit(client, {}) == 400);
    CHECK(t.permit(client, {peer_a, peer_v6}) == 443);
    CHECK(t.permit(client, {peer_a, at("127.0.0.1", 80)}) == 403);
    CHECK(t.request(client, methods::create_permission, [](stun::message_builder& m) {
      add_peer_address(m, peer_a);
      m.add_u32(attributes::xor_peer_address, 7);
    }) == 400);
    CHECK_FALSE(t.send(client, peer_a, "x"));
    CHECK(t.permit(client, {peer_a, peer_b}) == 200);
    CHECK(t.send(client, peer_a, "x"));
    CHECK(t.send(client, peer_b, "x"));
    const auto refused = t.audits<server::peer_refused>();
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].peer.address == ip("127.0.0.1"));
    CHECK(refused[0].account == "alice");
    CHECK(refused[0].reason == peer_refusal::special_purpose);
  }

  TEST_CASE("RFC 8656 §9: a permission lasts 300 seconds and is for an address, not a port") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    REQUIRE(t.permit(client, {peer_a}) == 200);
    const endpoint other_port{peer_a.address, 1};
    CHECK(t.send(client, other_port, "x")->peer == other_port);
    CHECK(t.from_peer(t.relay(), other_port, "x"));
    t.wait(299s);
    CHECK(t.send(client, peer_a, "x"));  // Which does not refresh it (RFC 8656 §11.2).
    t.wait(1s);
    CHECK_FALSE(t.send(client, peer_a, "x"));
    CHECK_FALSE(t.from_peer(t.relay(), peer_a, "x"));
    REQUIRE(t.permit(client, {peer_a}) == 200);
    CHECK(t.send(client, peer_a, "x"));
  }

  TEST_CASE("permissions of an allocation are bounded, and refreshed at the bound") {
    server::options opts;
    opts.permissions_per_allocation = 3;
    turn_fixture t{opts};
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    const auto peer = [](int i) { return at("9.9.9." + std::to_string(i), 1); };
    CHECK(t.permit(client, {peer(1), peer(2), peer(3), peer(4)}) == 508);
    CHECK(t.permit(client, {peer(1), peer(2), peer(3)}) == 200);
    CHECK(t.permit(client, {peer(3), peer(2), peer(1)}) == 200);
    CHECK(t.permit(client, {peer(4)}) == 508);
    CHECK(t.bind(client, 0x4000, peer(4)) == 508);
    CHECK(t.bind(client, 0x4000, peer(3)) == 200);
    t.wait(300s);
    CHECK(t.permit(client, {peer(4), peer(5), peer(6)}) == 200);
  }

  TEST_CASE("RFC 8656 §12.2: the reaction to every kind of ChannelBind") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    CHECK(t.request(client, methods::channel_bind) == 400);
    CHECK(t.request(client, methods::channel_bind,
                    [](stun::message_builder& m) { add_channel_number(m, 0x4000); }) == 400);
    CHECK(t.request(client, methods::channel_bind,
                    [](stun::message_builder& m) { add_peer_address(m, peer_a); }) == 400);
    for (const unsigned number : {0x0000u, 0x3fffu, 0x8000u, 0xffffu}) {
      CAPTURE(number);
      CHECK(t.bind(client, static_cast<std::uint16_t>(number), peer_a) == 400);
    }
    CHECK(t.bind(client, 0x4000, peer_v6) == 443);
    CHECK(t.bind(client, 0x4000, {peer_a.address, 0}) == 403);
    CHECK(t.bind(client, 0x4000, peer_a) == 200);
    CHECK(t.bind(client, 0x4000, peer_a) == 200);
    CHECK(t.bind(client, 0x4000, peer_b) == 400);
    CHECK(t.bind(client, 0x4001, peer_a) == 400);
    CHECK(t.bind(client, 0x4fff, {peer_a.address, 9}) == 200);
    CHECK(t.send_on_channel(client, 0x4000, "one")->peer == peer_a);
    CHECK(t.send_on_channel(client, 0x4fff, "two")->peer == endpoint{peer_a.address, 9});
  }

  TEST_CASE("RFC 8656 §12: a channel lasts 600 seconds, its permission 300") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client, [](stun::message_builder& m) { add_lifetime(m, seconds{3600}); }) ==
            200);
    REQUIRE(t.bind(client, 0x4000, peer_a) == 200);
    CHECK(t.from_peer(t.relay(), peer_a, "x"));
    t.wait(300s);
    CHECK_FALSE(t.from_peer(t.relay(), peer_a, "x"));
    CHECK(t.send_on_channel(client, 0x4000, "x"));
    REQUIRE(t.permit(client, {peer_a}) == 200);
    t.wait(299s);
    CHECK(t.from_peer(t.relay(), peer_a, "x")->second[0] == 0x40);
    t.wait(1s);
    CHECK_FALSE(t.send_on_channel(client, 0x4000, "x"));
    REQUIRE(t.permit(client, {peer_a}) == 200);
    CHECK(t.from_peer(t.relay(), peer_a, "x")->second[0] == 0x00);  // A Data indication.
    // Unbound, both may be bound to others.
    CHECK(t.bind(client, 0x4001, peer_a) == 200);
    CHECK(t.bind(client, 0x4000, peer_b) == 200);
  }

  TEST_CASE("channels of an allocation are bounded, and refreshed at the bound") {
    server::options opts;
    opts.channels_per_allocation = 2;
    turn_fixture t{opts};
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client, [](stun::message_builder& m) { add_lifetime(m, seconds{3600}); }) ==
            200);
    CHECK(t.bind(client, 0x4000, {peer_a.address, 1}) == 200);
    CHECK(t.bind(client, 0x4001, {peer_a.address, 2}) == 200);
    CHECK(t.bind(client, 0x4002, {peer_a.address, 3}) == 508);
    CHECK(t.bind(client, 0x4001, {peer_a.address, 2}) == 200);
    t.wait(600s);
    CHECK(t.bind(client, 0x4002, {peer_a.address, 3}) == 200);
  }

  TEST_CASE("an account that is revoked loses its allocations, and no other does") {
    turn_fixture t;
    auto a1 = t.udp(1), a2 = t.udp(2), b = t.udp(3, "bob", "hidden");
    REQUIRE(t.allocate(a1) == 200);
    REQUIRE(t.allocate(a2) == 200);
    REQUIRE(t.allocate(b) == 200);
    t.server.revoke(t.now, "alice");
    t.run();
    CHECK(t.server.usage().allocations == 1);
    CHECK(t.closed.size() == 2);
    CHECK(t.refresh(a1) == 437);
    CHECK(t.refresh(b) == 200);
    CHECK(t.audits<server::allocation_deleted>().at(0).reason == allocation_end::revoked);
  }

  TEST_CASE("RFC 8489 §6.3: unknown methods and responses are dropped in silence") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    CHECK(t.request(client, stun::method{0x00f}) == 0);
    CHECK(t.request(client, methods::connect) == 0);  // No TCP allocations here.
    CHECK(t.request(client, methods::send) == 0);
    std::array<std::uint8_t, 100> buffer{};
    for (const auto what : {stun::message_class::success, stun::message_class::error}) {
      stun::message_builder m{buffer, what, methods::allocate, t.new_id()};
      t.give(client.path, m.finish());
    }
    t.run();
    CHECK(t.replies.empty());
    CHECK(t.server.stats().malformed == 5);
  }
}
