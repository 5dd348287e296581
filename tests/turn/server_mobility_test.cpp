#include <algorithm>

#include "turn/server_harness.hpp"

using namespace weft;
using namespace weft::server_test;
using namespace weft::turn;
using weft::server_test::datagram;

namespace {

datagram ticket_of(const answer& a) {
  const auto ticket = find_mobility_ticket(a.view());
  REQUIRE(ticket);
  return {ticket->begin(), ticket->end()};
}

answer allocate_mobile(turn_fixture& t, test_client& client) {
  return t.allocate(client, [](stun::message_builder& m) { add_mobility_ticket(m, {}); });
}

answer move(turn_fixture& t, test_client& client, const datagram& ticket) {
  return t.request(client, methods::refresh,
                   [&](stun::message_builder& m) { add_mobility_ticket(m, ticket); });
}

}  // namespace

TEST_SUITE("turn/server_mobility") {
  TEST_CASE("RFC 8016 §3.2.2: an allocation follows its client, data and all") {
    turn_fixture t;
    auto before = t.udp(1000);
    const auto a = allocate_mobile(t, before);
    REQUIRE(a == 200);
    REQUIRE(t.bind(before, 0x4000, peer_a) == 200);
    auto after = t.udp(2000, "alice", "secret", "6.6.6.6");
    const auto first = ticket_of(a);
    // coturn's client ends a ticket at its first zero.
    CHECK(std::ranges::all_of(first, [](auto octet) { return octet > ' ' && octet < 127; }));
    const auto b = move(t, after, first);
    REQUIRE(b == 200);
    const auto second = ticket_of(b);
    CHECK(first != second);
    CHECK(find_lifetime(b.view()) == std::chrono::seconds{600});

    // Both ways until data comes from the new address.
    CHECK(t.from_peer(t.relay(), peer_a, "x")->first == before.path);
    CHECK(t.send_on_channel(before, 0x4000, "x"));
    CHECK(t.from_peer(t.relay(), peer_a, "x")->first == before.path);
    CHECK(t.refresh(before) == 200);
    CHECK(t.send_on_channel(after, 0x4000, "x"));
    CHECK(t.from_peer(t.relay(), peer_a, "x")->first == after.path);
    CHECK_FALSE(t.send_on_channel(before, 0x4000, "x"));
    CHECK(t.refresh(before) == 437);
    CHECK(t.refresh(after) == 200);
    CHECK(t.server.stats().allocations_moved == 1);

    // On and on, with the new ticket and not with the old one.
    auto third = t.udp(3000);
    CHECK(move(t, third, first) == 400);
    CHECK(move(t, third, second) == 200);
    CHECK(t.send(third, peer_a, "x"));
    CHECK(t.from_peer(t.relay(), peer_a, "x")->first == third.path);
    CHECK(t.server.usage().allocations == 1);
    CHECK(t.refresh(third, 0) == 200);
    CHECK(t.server.usage().allocations == 0);
  }

  TEST_CASE("a client that only receives has moved when it asks for something (deviation)") {
    turn_fixture t;
    auto before = t.udp(1000), after = t.udp(2000);
    const auto a = allocate_mobile(t, before);
    REQUIRE(a == 200);
    REQUIRE(t.bind(before, 0x4000, peer_a) == 200);
    REQUIRE(move(t, after, ticket_of(a)) == 200);
    CHECK(t.from_peer(t.relay(), peer_a, "x")->first == before.path);
    CHECK(t.bind(after, 0x4000, peer_a) == 200);
    CHECK(t.from_peer(t.relay(), peer_a, "x")->first == after.path);
    CHECK(t.refresh(before) == 437);
  }

  TEST_CASE("RFC 8016 §3.2.2: a retransmission with the old ticket gets the same answer") {
    turn_fixture t;
    auto before = t.udp(1000), after = t.udp(2000), other = t.udp(3000);
    const auto first = ticket_of(allocate_mobile(t, before));
    const auto second = ticket_of(move(t, after, first));
    CHECK(ticket_of(move(t, after, first)) == second);
    CHECK(move(t, other, first) == 400);
    t.wait(30s);
    CHECK(move(t, after, first) == 400);
    CHECK(ticket_of(move(t, other, second)) != second);
    CHECK(t.send_on_channel(after, 0x4000, "x") == std::nullopt);
    CHECK(t.refresh(after) == 437);  // The place that was announced has changed.
  }

  TEST_CASE("RFC 8016 §3.2.2: the reaction to every wrong ticket") {
    turn_fixture t;
    auto client = t.udp(1000), after = t.udp(2000);
    const auto ticket = ticket_of(allocate_mobile(t, client));
    CHECK(move(t, client, ticket) == 400);  // From where it is.
    CHECK(move(t, after, {}) == 400);
    CHECK(move(t, after, datagram(31)) == 400);
    CHECK(move(t, after, datagram(600)) == 400);
    for (std::size_t i = 0; i < ticket.size(); ++i) {
      auto forged = ticket;
      forged[i] ^= 1;
      CHECK(move(t, after, forged) == 400);
    }
    auto bob = t.udp(2001, "bob", "hidden");
    CHECK(move(t, bob, ticket) == 441);
    auto thief = t.udp(2002, "alice", "wrong");
    CHECK(move(t, thief, ticket) == 401);
    REQUIRE(t.allocate(after) == 200);
    CHECK(move(t, after, ticket) == 437);  // It has one there already.
    CHECK(t.refresh(client, 0) == 200);
    auto late = t.udp(2003);
    CHECK(move(t, late, ticket) == 437);

    server::options opts;
    opts.mobility = false;
    turn_fixture off{opts};
    auto refused = off.udp(1000);
    CHECK(allocate_mobile(off, refused) == 405);
    CHECK(off.audits<server::allocation_refused>().at(0).reason == allocation_refusal::mobility);
    CHECK(off.allocate(refused) == 200);
    CHECK(move(off, refused, ticket) == 405);
  }

  TEST_CASE("RFC 8016 §3.2.2: the end of the old connection completes the move") {
    turn_fixture t;
    auto before = t.tcp(1000);
    const auto a = allocate_mobile(t, before);
    REQUIRE(t.bind(before, 0x4000, peer_a) == 200);
    auto after = t.tcp(2000);
    REQUIRE(move(t, after, ticket_of(a)) == 200);
    t.server.handle_disconnected(t.now, before.path);
    CHECK(t.from_peer(t.relay(), peer_a, "x")->first == after.path);
    CHECK(t.server.usage().idle_streams == 0);
  }

  TEST_CASE("RFC 8016 §3.2.2: data on the new stream closes the old one") {
    turn_fixture t;
    auto before = t.tcp(1000);
    const auto a = allocate_mobile(t, before);
    REQUIRE(t.bind(before, 0x4000, peer_a) == 200);
    auto after = t.udp(2000);
    REQUIRE(move(t, after, ticket_of(a)) == 200);
    CHECK(t.send_on_channel(after, 0x4000, "x"));
    t.run();
    CHECK(t.closed_streams == std::vector{before.path});
    CHECK(t.server.usage().streams == 0);
    CHECK(t.server.usage().allocations == 1);
  }

  TEST_CASE("RFC 8016 §3.2.2: a client whose connection broke comes back by another one") {
    turn_fixture t;
    auto before = t.tcp(1000);
    const auto a = allocate_mobile(t, before);
    REQUIRE(t.bind(before, 0x4000, peer_a) == 200);
    t.server.handle_disconnected(t.now, before.path);
    t.run();
    CHECK(t.server.usage().allocations == 1);
    CHECK_FALSE(t.from_peer(t.relay(), peer_a, "x"));
    auto second = t.tcp(2000);
    const auto b = move(t, second, ticket_of(a));
    REQUIRE(b == 200);
    CHECK(t.from_peer(t.relay(), peer_a, "x")->first == second.path);

    // Again and again, with the ticket that it got then.
    t.server.handle_disconnected(t.now, second.path);
    t.run();
    auto after = t.tcp(3000);
    const auto ticket = ticket_of(b);
    const auto c = move(t, after, ticket);
    REQUIRE(c == 200);
    CHECK(t.from_peer(t.relay(), peer_a, "x")->first == after.path);
    CHECK(ticket_of(move(t, after, ticket)) == ticket_of(c));
    CHECK(move(t, after, ticket_of(c)) == 400);

    // But the allocation does not wait for ever.
    t.server.handle_disconnected(t.now, after.path);
    t.wait(600s);
    CHECK(t.server.usage().allocations == 0);
    CHECK(t.server.usage().relays == 0);
    CHECK_FALSE(t.server.poll_timeout());
  }

  TEST_CASE("a new connection that breaks before it was used leaves the allocation where it is") {
    turn_fixture t;
    auto before = t.udp(1000);
    const auto a = allocate_mobile(t, before);
    REQUIRE(t.bind(before, 0x4000, peer_a) == 200);
    auto after = t.tcp(2000);
    const auto b = move(t, after, ticket_of(a));
    REQUIRE(b == 200);
    t.server.handle_disconnected(t.now, after.path);
    CHECK(t.from_peer(t.relay(), peer_a, "x")->first == before.path);
    CHECK(t.send_on_channel(before, 0x4000, "x"));
    auto again = t.tcp(2001);
    CHECK(move(t, again, ticket_of(b)) == 200);
  }
}
