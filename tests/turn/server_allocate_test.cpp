#include "turn/server_harness.hpp"

#include <set>

using namespace weft;
using namespace weft::server_test;
using namespace weft::turn;
using std::chrono::seconds;
using weft::server_test::datagram;

namespace {

// The reaction to an Allocate request with these attributes and no others.
template <class Fill>
answer ask(turn_fixture& t, test_client& client, Fill&& fill) {
  return t.request(client, methods::allocate, fill);
}

auto transport(relayed_transport which) {
  return [which](stun::message_builder& m) { add_requested_transport(m, which); };
}

}  // namespace

TEST_SUITE("turn/server_allocate") {
  TEST_CASE("RFC 8656 §7.2: an allocation has a relayed address, a lifetime and who asked") {
    turn_fixture t;
    auto client = t.udp(1000);
    const auto a = t.allocate(client);
    REQUIRE(a == 200);
    const auto m = a.view();
    CHECK(find_relayed_address(m, address_family::ipv4) == endpoint{relay_v4, 50'001});
    CHECK_FALSE(find_relayed_address(m, address_family::ipv6));
    CHECK(find_lifetime(m) == seconds{600});
    CHECK(m.xor_mapped_address() == client.path.remote);
    CHECK_FALSE(m.has(attributes::reservation_token));
    CHECK_FALSE(m.has(attributes::mobility_ticket));
    CHECK_FALSE(m.has(stun::attribute_type::software));
    CHECK(t.server.usage().allocations == 1);
    CHECK(t.server.stats().allocations_created == 1);

    REQUIRE(t.opened.size() == 1);
    CHECK(t.opened[0].listener == listener);
    CHECK_FALSE(t.opened[0].even_port);
    CHECK_FALSE(t.opened[0].next);
    const auto created = t.audits<server::allocation_created>();
    REQUIRE(created.size() == 1);
    CHECK(created[0].username == "alice");
    CHECK(created[0].client == client.path);
    CHECK(created[0].relayed_ipv4 == endpoint{relay_v4, 50'001});
  }

  TEST_CASE("RFC 8656 §7.2: nothing is done for who has not authenticated") {
    turn_fixture t;
    auto stranger = t.udp(1000, "alice", "wrong");
    CHECK(t.allocate(stranger) == 401);
    auto nobody = t.udp(1001, "mallory", "secret");
    CHECK(t.allocate(nobody) == 401);
    CHECK(t.opened.empty());
    CHECK(t.server.usage().allocations == 0);
    CHECK(t.server.stats().failed_logins == 2);
  }

  TEST_CASE("RFC 8656 §7.2: the lifetime is the client's wish between default and maximum") {
    const std::pair<std::uint32_t, int> table[] = {
        {0, 600}, {1, 600}, {600, 600}, {601, 601}, {3600, 3600}, {3601, 3600}, {0xffffffff, 3600}};
    std::uint16_t port = 1000;
    turn_fixture t;
    for (const auto& row : table) {
      const std::uint32_t wish = row.first;
      CAPTURE(wish);
      auto client = t.udp(port++);
      const auto a =
          t.allocate(client, [&](stun::message_builder& m) { add_lifetime(m, seconds{wish}); });
      REQUIRE(a == 200);
      CHECK(find_lifetime(a.view()) == seconds{row.second});
    }
  }

  TEST_CASE("RFC 8656 §7.2: the reaction to every request that asks for what cannot be") {
    server::options opts;
    opts.tcp_allocations = true;
    turn_fixture t{opts};
    std::uint16_t port = 1000;
    const auto reaction = [&](auto&& fill) {
      auto client = t.udp(port++);
      return ask(t, client, fill).code;
    };
    const auto udp = transport(relayed_transport::udp);
    using builder = stun::message_builder;

    // 3: REQUESTED-TRANSPORT
    CHECK(reaction([](builder&) {}) == 400);
    CHECK(reaction([](builder& m) { m.add(attributes::requested_transport, {}); }) == 400);
    CHECK(reaction(transport(relayed_transport{1})) == 442);
    CHECK(reaction(transport(relayed_transport{255})) == 442);
    CHECK(reaction(transport(relayed_transport::tcp)) == 400);  // RFC 6062 §5.1: over UDP
    // 5: RESERVATION-TOKEN
    CHECK(reaction([&](builder& m) {
            udp(m);
            add_reservation_token(m, {1, 2, 3});
          }) == 508);
    CHECK(reaction([&](builder& m) {
            udp(m);
            m.add_u32(attributes::reservation_token, 1);
          }) == 400);
    CHECK(reaction([&](builder& m) {
            udp(m);
            add_reservation_token(m, {1, 2, 3});
            add_even_port(m, even_port::even);
          }) == 400);
    CHECK(reaction([&](builder& m) {
            udp(m);
            add_reservation_token(m, {1, 2, 3});
            add_requested_address_family(m, address_family::ipv4);
          }) == 400);
    CHECK(reaction([&](builder& m) {
            udp(m);
            add_reservation_token(m, {1, 2, 3});
            add_additional_address_family(m);
          }) == 400);
    // 6: both families' attributes
    CHECK(reaction([&](builder& m) {
            udp(m);
            add_requested_address_family(m, address_family::ipv4);
            add_additional_address_family(m);
          }) == 400);
    // 7: the family
    CHECK(reaction([&](builder& m) {
            udp(m);
            add_requested_address_family(m, address_family{3});
          }) == 440);
    CHECK(reaction([&](builder& m) {
            udp(m);
            m.add(attributes::requested_address_family, {});
          }) == 400);
    // 8: EVEN-PORT with a reservation, and two families
    CHECK(reaction([&](builder& m) {
            udp(m);
            add_even_port(m, even_port::even_and_reserve_next);
            add_additional_address_family(m);
          }) == 400);
    CHECK(reaction([&](builder& m) {
            udp(m);
            m.add_u32(attributes::even_port, 0);
          }) == 400);
    // 9: ADDITIONAL-ADDRESS-FAMILY is IPv6
    CHECK(reaction([&](builder& m) {
            udp(m);
            m.add_u32(attributes::additional_address_family, 0x01000000);
          }) == 400);
    CHECK(reaction([&](builder& m) {
            udp(m);
            m.add_u32(attributes::lifetime, 600).add_u64(attributes::lifetime, 1);
          }) == 200);
    CHECK(reaction([&](builder& m) {
            udp(m);
            m.add_u64(attributes::lifetime, 600);
          }) == 400);
    // RFC 8016 §3.1.2
    CHECK(reaction([&](builder& m) {
            udp(m);
            add_mobility_ticket(m, bytes_of("something"));
          }) == 400);
    CHECK(t.server.usage().allocations == 1);
  }

  TEST_CASE("RFC 8489 §6.3.1: unknown attributes are named, in a signed 420") {
    server::options opts;
    opts.dont_fragment = false;
    turn_fixture t{opts};
    auto client = t.udp(1000);
    const auto a = t.allocate(client, [](stun::message_builder& m) {
      add_dont_fragment(m);
      m.add_u32(stun::attribute_type{0x0033}, 1);
      m.add_u32(stun::attribute_type{0x9033}, 1);
    });
    REQUIRE(a == 420);
    const auto m = a.view();
    const auto unknown = m.unknown_attributes();
    REQUIRE(unknown);
    REQUIRE(unknown->size() == 2);
    CHECK((*unknown)[0] == attributes::dont_fragment);
    CHECK((*unknown)[1] == stun::attribute_type{0x0033});
    CHECK(stun::has_integrity(m));
    CHECK(t.opened.empty());
  }

  TEST_CASE("RFC 8656 §7.2: DONT-FRAGMENT is accepted where it can be done") {
    turn_fixture t;
    auto client = t.udp(1000);
    CHECK(t.allocate(client, [](stun::message_builder& m) { add_dont_fragment(m); }) == 200);
  }

  TEST_CASE("RFC 8656 §7.2: a second allocation on a 5-tuple is a mismatch") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    CHECK(t.allocate(client) == 437);
    auto other = t.udp(1001);
    CHECK(t.allocate(other) == 200);
  }

  TEST_CASE("RFC 8656 §7.2: a retransmitted request gets the same answer and no second relay") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.request(client, stun::method::binding) == 200);
    (void)t.refresh(client);  // Fetches a nonce.
    const auto id = t.new_id();
    const auto bytes = t.build(client, methods::allocate, id, [](stun::message_builder& m) {
      add_requested_transport(m, relayed_transport::udp);
      add_even_port(m, even_port::even_and_reserve_next);
    });
    t.manual = true;
    t.give(client.path, bytes);
    t.give(client.path, bytes);  // Before the driver has answered.
    t.run();
    REQUIRE(t.opened.size() == 1);
    CHECK(t.take_answer(client.path, id) == 0);
    t.answer_open(t.opened[0]);
    t.run();
    const auto first = t.take_answer(client.path, id);
    REQUIRE(first == 200);
    t.give(client.path, bytes);
    t.run();
    const auto second = t.take_answer(client.path, id);
    REQUIRE(second == 200);
    CHECK(first.bytes == second.bytes);
    CHECK(t.opened.size() == 1);
    CHECK(t.server.usage().allocations == 1);
  }

  TEST_CASE("RFC 8656 §7.2: families as asked for, one or both") {
    turn_fixture t;
    auto six = t.udp(1000);
    const auto a = t.allocate(six, [](stun::message_builder& m) {
      add_requested_address_family(m, address_family::ipv6);
    });
    REQUIRE(a == 200);
    CHECK(find_relayed_address(a.view(), address_family::ipv6));
    CHECK_FALSE(find_relayed_address(a.view(), address_family::ipv4));

    auto both = t.udp(1001);
    const auto b =
        t.allocate(both, [](stun::message_builder& m) { add_additional_address_family(m); });
    REQUIRE(b == 200);
    CHECK(find_relayed_address(b.view(), address_family::ipv6));
    CHECK(find_relayed_address(b.view(), address_family::ipv4));
    CHECK_FALSE(b.view().has(attributes::address_error_code));
    CHECK(t.server.usage().relays == 3);
  }

  TEST_CASE("RFC 8656 §7.2: a family that is not served, alone and of two") {
    for (const auto served : {address_family::ipv4, address_family::ipv6}) {
      const auto other =
          served == address_family::ipv4 ? address_family::ipv6 : address_family::ipv4;
      server::options opts;
      opts.families = {served};
      turn_fixture t{opts};
      auto client = t.udp(1000);
      CHECK(t.allocate(client, [&](stun::message_builder& m) {
        add_requested_address_family(m, other);
      }) == 440);
      CHECK(t.audits<server::allocation_refused>().at(0).reason ==
            allocation_refusal::address_family);
      if (served == address_family::ipv6) CHECK(t.allocate(client) == 440);
      const auto a =
          t.allocate(client, [](stun::message_builder& m) { add_additional_address_family(m); });
      REQUIRE(a == 200);
      CHECK(find_relayed_address(a.view(), served));
      const auto m = a.view();
      const auto error = find_address_error(m);
      REQUIRE(error);
      CHECK(error->family == other);
      CHECK(error->code == errors::address_family_not_supported);
    }
  }

  TEST_CASE("RFC 8656 §7.2: a driver that opens one of two relays, or none") {
    turn_fixture t;
    t.failing = 1;
    auto half = t.udp(1000);
    const auto a =
        t.allocate(half, [](stun::message_builder& m) { add_additional_address_family(m); });
    REQUIRE(a == 200);
    const auto m = a.view();
    const auto error = find_address_error(m);
    REQUIRE(error);
    CHECK(error->family == address_family::ipv4);
    CHECK(error->code == errors::insufficient_capacity);

    t.failing = 2;
    auto none = t.udp(1001);
    CHECK(t.allocate(none, [](stun::message_builder& n) { add_additional_address_family(n); }) ==
          508);
    t.failing = 1;
    CHECK(t.allocate(none) == 508);
    CHECK(t.audits<server::allocation_refused>().at(0).reason ==
          allocation_refusal::no_relay_socket);
    CHECK(t.server.usage().allocations == 1);
    CHECK(t.server.usage().relays == 1);
    CHECK(t.closed.empty());
    CHECK(t.allocate(none) == 200);
  }

  TEST_CASE("a relay that breaks while the other family's is still being opened is left out") {
    turn_fixture t;
    t.manual = true;
    auto client = t.udp(1000);
    CHECK(t.allocate(client, [](stun::message_builder& m) { add_additional_address_family(m); }) ==
          0);
    const auto orders = t.opened;
    REQUIRE(orders.size() == 2);
    t.answer_open(orders[0]);
    t.server.relay_failed(t.now, orders[0].relay);
    t.run();
    CHECK(t.replies.empty());
    t.answer_open(orders[1]);
    t.run();
    REQUIRE(t.replies.size() == 1);
    const auto m = *stun::message_view::parse(t.replies[0].second);
    CHECK(m.type_class() == stun::message_class::success);
    const auto error = find_address_error(m);
    REQUIRE(error);
    CHECK(error->family == orders[0].family);
    CHECK(t.server.usage().relays == 1);
  }

  TEST_CASE("RFC 8656 §7.2: EVEN-PORT, with the next port kept for who has the token") {
    turn_fixture t;
    auto first = t.udp(1000);
    const auto a = t.allocate(first, [](stun::message_builder& m) {
      add_even_port(m, even_port::even_and_reserve_next);
    });
    REQUIRE(a == 200);
    const auto relayed = find_relayed_address(a.view(), address_family::ipv4);
    const auto token = find_reservation_token(a.view());
    REQUIRE(relayed);
    REQUIRE(token);
    CHECK(relayed->port % 2 == 0);
    CHECK(t.server.usage().reservations == 1);
    CHECK(t.server.usage().relays == 2);

    // Another user does not get it.
    auto thief = t.udp(1001, "bob", "hidden");
    const auto take = [&](stun::message_builder& m) { add_reservation_token(m, *token); };
    CHECK(t.allocate(thief, take) == 508);

    auto second = t.udp(1002);
    const auto b = t.allocate(second, take);
    REQUIRE(b == 200);
    CHECK(find_relayed_address(b.view(), address_family::ipv4) ==
          endpoint{relayed->address, static_cast<std::uint16_t>(relayed->port + 1)});
    CHECK(t.server.usage().reservations == 0);
    CHECK(t.opened.size() == 1);

    // It is a relay as any other.
    REQUIRE(t.permit(second, {peer_a}) == 200);
    const auto sent = t.send(second, peer_a, "hello");
    REQUIRE(sent);
    CHECK(sent->relay == t.open.at(1).relay);
    CHECK(t.from_peer(sent->relay, peer_a, "back")->first == second.path);

    auto third = t.udp(1003);
    CHECK(t.allocate(third, take) == 508);
    CHECK(t.refresh(second, 0) == 200);
    CHECK(t.closed.size() == 1);

    auto even = t.udp(1004);
    const auto c =
        t.allocate(even, [](stun::message_builder& m) { add_even_port(m, even_port::even); });
    REQUIRE(c == 200);
    CHECK(find_relayed_address(c.view(), address_family::ipv4)->port % 2 == 0);
    CHECK_FALSE(c.view().has(attributes::reservation_token));
  }

  TEST_CASE("RFC 8656 §7.2: a reservation lasts 30 seconds, also without the allocation") {
    turn_fixture t;
    auto first = t.udp(1000);
    const auto reserve = [&] {
      const auto a = t.allocate(first, [](stun::message_builder& m) {
        add_even_port(m, even_port::even_and_reserve_next);
      });
      REQUIRE(a == 200);
      return *find_reservation_token(a.view());
    };
    auto token = reserve();
    CHECK(t.refresh(first, 0) == 200);
    t.wait(29s);
    auto second = t.udp(1001);
    CHECK(t.allocate(second, [&](stun::message_builder& m) { add_reservation_token(m, token); }) ==
          200);

    token = reserve();
    t.wait(30s);
    CHECK(t.server.usage().reservations == 0);
    CHECK(t.closed.size() == 2);
    auto third = t.udp(1002);
    CHECK(t.allocate(third, [&](stun::message_builder& m) { add_reservation_token(m, token); }) ==
          508);
  }

  TEST_CASE("reservations count as allocations of who made them") {
    server::options opts;
    opts.allocations_per_user = 3;
    turn_fixture t{opts};
    const auto reserve = [&](test_client& client) {
      return t.allocate(client, [](stun::message_builder& m) {
        add_even_port(m, even_port::even_and_reserve_next);
      });
    };
    for (std::uint16_t i = 0; i < 3; ++i) {
      auto client = t.udp(static_cast<std::uint16_t>(1000 + i));
      REQUIRE(reserve(client) == 200);
      REQUIRE(t.refresh(client, 0) == 200);
    }
    auto next = t.udp(2000), other = t.udp(2001, "bob", "hidden");
    CHECK(reserve(next) == 486);
    CHECK(t.allocate(next) == 200);
    CHECK(reserve(other) == 200);
    t.wait(std::chrono::seconds{31});
    REQUIRE(t.refresh(next, 0) == 200);
    CHECK(reserve(next) == 200);
  }

  TEST_CASE("a reserved relay that breaks, and one that is lost while a client has it") {
    turn_fixture t;
    auto first = t.udp(1000);
    const auto a = t.allocate(first, [](stun::message_builder& m) {
      add_even_port(m, even_port::even_and_reserve_next);
    });
    REQUIRE(a == 200);
    t.server.relay_failed(t.now, t.open.at(1).relay);
    CHECK(t.server.usage().reservations == 0);
    t.server.relay_failed(t.now, t.open.at(0).relay);
    t.run();
    CHECK(t.server.usage().allocations == 0);
    CHECK(t.server.usage().relays == 0);
    CHECK(t.closed.empty());
    CHECK(t.audits<server::allocation_deleted>().at(0).reason == allocation_end::relay_lost);
    t.wait(1h);
    CHECK_FALSE(t.server.poll_timeout());
  }

  TEST_CASE("an answer about a relay that was closed in between is ignored") {
    turn_fixture t;
    t.manual = true;
    auto client = t.tcp(1000);
    CHECK(t.allocate(client) == 0);
    REQUIRE(t.opened.size() == 1);
    t.server.handle_disconnected(t.now, client.path);
    t.run();
    CHECK(t.closed == std::vector{t.opened[0].relay});
    t.server.relay_opened(t.now, t.opened[0].relay, {relay_v4, 50'000});
    t.server.relay_failed(t.now, t.opened[0].relay);
    CHECK(t.server.usage().allocations == 0);
    CHECK(t.server.usage().relays == 0);
    CHECK(t.audits<server::allocation_created>().empty());
  }

  TEST_CASE("an allocation that the driver never answers for ends by itself") {
    turn_fixture t;
    t.manual = true;
    auto client = t.udp(1000);
    CHECK(t.allocate(client) == 0);
    CHECK(t.server.usage().allocations == 1);
    t.wait(600s);
    CHECK(t.server.usage().allocations == 0);
    CHECK(t.closed.size() == 1);
  }

  TEST_CASE("RFC 8656 §7.2: quotas of a user, of a source and of the server") {
    server::options opts;
    opts.allocations_per_user = 2;
    opts.allocations_per_source = 3;
    opts.max_allocations = 4;
    turn_fixture t{opts};
    t.users.set("carol", "c");
    auto a1 = t.udp(1), a2 = t.udp(2), a3 = t.udp(3);
    CHECK(t.allocate(a1) == 200);
    CHECK(t.allocate(a2) == 200);
    CHECK(t.allocate(a3) == 486);
    auto b1 = t.udp(4, "bob", "hidden"), b2 = t.udp(5, "bob", "hidden");
    CHECK(t.allocate(b1) == 200);
    CHECK(t.allocate(b2) == 486);
    auto b3 = t.udp(6, "bob", "hidden", "7.7.7.8");
    CHECK(t.allocate(b3) == 200);
    auto c1 = t.udp(7, "carol", "c", "7.7.7.9");
    CHECK(t.allocate(c1) == 508);
    std::vector<allocation_refusal> reasons;
    for (const auto& e : t.audits<server::allocation_refused>()) reasons.push_back(e.reason);
    CHECK(reasons == std::vector{allocation_refusal::user_quota, allocation_refusal::source_quota,
                                 allocation_refusal::total_quota});
    CHECK(t.server.stats().quota_reached == 2);

    // What ends makes room.
    CHECK(t.refresh(a1, 0) == 200);
    CHECK(t.allocate(c1) == 200);
    CHECK(t.refresh(c1, 0) == 200);
    CHECK(t.allocate(a3) == 200);
  }

  TEST_CASE("a whole /64 is one source") {
    server::options opts;
    opts.allocations_per_source = 1;
    turn_fixture t{opts};
    auto one = t.udp(1, "alice", "secret", "2a00::1");
    auto same = t.udp(1, "alice", "secret", "2a00::ffff:2");
    auto other = t.udp(1, "alice", "secret", "2a00:0:0:1::1");
    CHECK(t.allocate(one) == 200);
    CHECK(t.allocate(same) == 486);
    CHECK(t.allocate(other) == 200);
  }

  TEST_CASE("RFC 8656 §7.2: a server that drains refuses or redirects, and keeps what is there") {
    turn_fixture t;
    auto old = t.udp(1000);
    REQUIRE(t.allocate(old) == 200);
    CHECK_FALSE(t.server.is_draining());
    t.server.drain(t.now);
    CHECK(t.server.is_draining());
    auto fresh = t.udp(1001);
    CHECK(t.allocate(fresh) == 508);
    t.server.drain(t.now, {at("2001:db8::9", 3478), at("198.51.100.9", 3479)});
    const auto a = t.allocate(fresh);
    REQUIRE(a == 300);
    CHECK(a.view().alternate_server() == at("198.51.100.9", 3479));
    CHECK(stun::has_integrity(a.view()));
    CHECK(t.refresh(old) == 200);
    CHECK(t.permit(old, {peer_a}) == 200);
    CHECK(t.send(old, peer_a, "x"));
    CHECK(t.audits<server::allocation_refused>().at(1).reason == allocation_refusal::draining);
  }

  TEST_CASE("SOFTWARE is told to those who are known, if there is one") {
    server::options opts;
    opts.software = "weft";
    turn_fixture t{opts};
    auto stranger = t.udp(1000, "alice", "wrong");
    const auto refusal = t.allocate(stranger);
    REQUIRE(refusal == 401);
    CHECK_FALSE(refusal.view().has(stun::attribute_type::software));
    auto client = t.udp(1001);
    const auto a = t.allocate(client);
    REQUIRE(a == 200);
    CHECK(a.view().software() == "weft");
  }

  TEST_CASE("a response has a FINGERPRINT if the request had one, and the request's algorithm") {
    turn_fixture t;
    auto client = t.udp(1000);
    (void)t.refresh(client);
    const auto id = t.new_id();
    std::array<std::uint8_t, 600> buffer{};
    stun::message_builder m{buffer, stun::message_class::request, methods::allocate, id};
    add_requested_transport(m, relayed_transport::udp);
    stun::long_term_attempt attempt;
    client.auth.sign(m, attempt);
    m.add_fingerprint();
    t.give(client.path, m.finish());
    t.run();
    const auto a = t.take_answer(client.path, id);
    REQUIRE(a == 200);
    CHECK(a.view().fingerprint());
    CHECK(a.view().message_integrity_sha256());
    CHECK_FALSE(a.view().message_integrity());
  }

  TEST_CASE("many clients have an allocation each, and each its own relay") {
    server::options opts;
    opts.allocations_per_user = 10'000;
    opts.allocations_per_source = 10'000;
    turn_fixture t{opts};
    std::vector<test_client> clients;
    for (std::uint16_t i = 0; i < 2000; ++i) {
      clients.push_back(t.udp(static_cast<std::uint16_t>(1000 + i)));
      REQUIRE(t.allocate(clients.back()) == 200);
      REQUIRE(t.bind(clients.back(), 0x4000, peer_a) == 200);
    }
    std::set<relay_id> relays;
    for (const auto& client : clients) {
      const auto sent = t.send_on_channel(client, 0x4000, "x");
      REQUIRE(sent);
      relays.insert(sent->relay);
      CHECK(t.from_peer(sent->relay, peer_a, "y")->first == client.path);
    }
    CHECK(relays.size() == clients.size());
    // Every other one leaves: the rest is not disturbed.
    for (std::size_t i = 0; i < clients.size(); i += 2) CHECK(t.refresh(clients[i], 0) == 200);
    for (std::size_t i = 0; i < clients.size(); ++i)
      CHECK(t.send_on_channel(clients[i], 0x4000, "x").has_value() == (i % 2 == 1));
    t.wait(601s);
    CHECK(t.server.usage().allocations == 0);
    CHECK(t.server.usage().users == 0);
    CHECK(t.server.usage().relays == 0);
    CHECK(t.closed.size() == 2000);
    CHECK_FALSE(t.server.poll_timeout());
  }
}
