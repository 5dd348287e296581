#include "turn/server_harness.hpp"

#include <numeric>

#include "support/allocation_counter.hpp"

using namespace weft;
using namespace weft::server_test;
using namespace weft::turn;
using weft::server_test::datagram;

TEST_SUITE("turn/server_data") {
  TEST_CASE("RFC 8656 §11.2, §12.6: what a client sends leaves from its relay to the peer") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    REQUIRE(t.bind(client, 0x4123, peer_a) == 200);
    const auto by_channel = t.send_on_channel(client, 0x4123, "hello");
    REQUIRE(by_channel);
    CHECK(by_channel->relay == t.relay());
    CHECK(by_channel->peer == peer_a);
    CHECK(by_channel->payload == "hello");
    CHECK_FALSE(by_channel->dont_fragment);
    const auto by_send = t.send(client, peer_a, "hi", true);
    REQUIRE(by_send);
    CHECK(by_send->payload == "hi");
    CHECK(by_send->dont_fragment);
    CHECK(t.send_on_channel(client, 0x4123, "")->payload.empty());
    CHECK(t.send(client, peer_a, "")->payload.empty());
    CHECK(t.server.stats().packets_to_peers == 4);
    CHECK(t.server.stats().bytes_to_peers == 7);
  }

  TEST_CASE("RFC 8656 §12.6: padding after ChannelData does not count, missing bytes do") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    REQUIRE(t.bind(client, 0x4000, peer_a) == 200);
    datagram message = turn_fixture::channel_data(0x4000, "hello");
    message.resize(12);
    t.give(client.path, message);
    CHECK(t.taken()->payload == "hello");
    for (std::size_t size = 1; size < 9; ++size) {
      t.give(client.path, const_bytes{message}.first(size));
      CHECK_FALSE(t.taken());
    }
    CHECK(t.server.stats().malformed == 8);
    t.give(client.path, turn_fixture::channel_data(0x4001, "x"));
    t.give(client.path, turn_fixture::channel_data(0x5000, "x"));
    CHECK_FALSE(t.taken());
    CHECK(t.server.stats().no_channel == 2);
  }

  TEST_CASE("RFC 8656 §11.3, §12.7: what a peer sends comes on its channel, or as an indication") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client,
                       [](stun::message_builder& m) { add_additional_address_family(m); }) == 200);
    REQUIRE(t.bind(client, 0x4123, peer_a) == 200);
    REQUIRE(t.permit(client, {peer_v6}) == 200);
    for (const std::string text : {"", "1", "12", "123", "1234"}) {
      const auto on_channel = t.from_peer(t.relay(0), peer_a, text);
      REQUIRE(on_channel);
      CHECK(on_channel->first == client.path);
      CHECK(on_channel->second.size() == 4 + text.size());
      const auto data = channel_data_view::parse(on_channel->second);
      CHECK(data->channel == 0x4123);
      CHECK(as_text(data->data) == text);

      for (const auto& [relay, peer] :
           {std::pair{t.relay(0), endpoint{peer_a.address, 9}}, std::pair{t.relay(1), peer_v6}}) {
        const auto indication = t.from_peer(relay, peer, text);
        REQUIRE(indication);
        const auto m = stun::message_view::parse(indication->second);
        REQUIRE(m);
        CHECK(m->type_class() == stun::message_class::indication);
        CHECK(m->type_method() == methods::data);
        CHECK(find_peer_address(*m) == peer);
        CHECK(as_text(find_data(*m).value()) == text);
      }
    }
    CHECK_FALSE(t.from_peer(t.relay(0), peer_b, "x"));
    CHECK(t.server.stats().no_permission == 1);
    CHECK_FALSE(t.from_peer({99, 1}, peer_a, "x"));
    CHECK_FALSE(t.from_peer({t.relay(0).index, t.relay(0).generation + 1}, peer_a, "x"));
  }

  TEST_CASE("the longest datagrams are relayed where they fit a message, and dropped elsewhere") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client,
                       [](stun::message_builder& m) { add_additional_address_family(m); }) == 200);
    REQUIRE(t.permit(client, {peer_a, peer_v6}) == 200);
    REQUIRE(t.bind(client, 0x4000, {peer_a.address, 7}) == 200);
    CHECK(t.from_peer(t.relay(0), {peer_a.address, 7}, std::string(65'535, 'x')));
    CHECK_FALSE(t.from_peer(t.relay(0), {peer_a.address, 7}, std::string(65'536, 'x')));
    for (const std::size_t size : {65'000u, 65'507u, 65'508u, 65'515u, 65'535u}) {
      if (const auto out = t.from_peer(t.relay(0), peer_a, std::string(size, 'x')))
        CHECK(find_data(*stun::message_view::parse(out->second))->size() == size);
      if (const auto out = t.from_peer(t.relay(1), peer_v6, std::string(size, 'x')))
        CHECK(find_data(*stun::message_view::parse(out->second))->size() == size);
    }
    CHECK(t.from_peer(t.relay(0), peer_a, std::string(65'507, 'x')));
  }

  TEST_CASE("data from whoever has no allocation goes nowhere") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    REQUIRE(t.bind(client, 0x4000, peer_a) == 200);
    // Every part of the 5-tuple counts.
    auto port = client, address = client, server = client, protocol = client;
    ++port.path.remote.port;
    address.path.remote.address = ip("7.7.7.8");
    ++server.path.local.port;
    for (const auto& other : {port, address, server}) {
      CHECK_FALSE(t.send_on_channel(other, 0x4000, "x"));
      CHECK_FALSE(t.send(other, peer_a, "x"));
    }
    CHECK(t.server.stats().no_allocation == 6);
    CHECK(t.send_on_channel(client, 0x4000, "x"));
  }

  TEST_CASE("RFC 8656 §11.2: a Send indication that lacks something is dropped") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    REQUIRE(t.permit(client, {peer_a}) == 200);
    const auto reaction = [&](auto&& fill) {
      std::array<std::uint8_t, 200> buffer{};
      stun::message_builder m{buffer, stun::message_class::indication, methods::send, t.new_id()};
      fill(m);
      t.give(client.path, m.finish());
      return t.taken().has_value();
    };
    using builder = stun::message_builder;
    CHECK(reaction([](builder& m) { add_data(add_peer_address(m, peer_a), {}); }));
    CHECK_FALSE(reaction([](builder& m) { add_peer_address(m, peer_a); }));
    CHECK_FALSE(reaction([](builder& m) { add_data(m, {}); }));
    CHECK_FALSE(reaction([](builder& m) {
      m.add_u32(attributes::xor_peer_address, 1);
      add_data(m, {});
    }));
    CHECK_FALSE(reaction([](builder& m) {
      add_data(add_peer_address(m, peer_a), {});
      m.add_u32(stun::attribute_type{0x0033}, 1);
    }));
    CHECK_FALSE(reaction([](builder& m) { add_data(add_peer_address(m, peer_b), {}); }));
    CHECK_FALSE(reaction([](builder& m) { add_data(add_peer_address(m, peer_v6), {}); }));
    CHECK_FALSE(reaction([](builder& m) {
      add_data(add_peer_address(m, {peer_a.address, 0}), {});
    }));
  }

  TEST_CASE("RFC 8656 §11.2: DONT-FRAGMENT that cannot be done drops the indication") {
    server::options opts;
    opts.dont_fragment = false;
    turn_fixture t{opts};
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    REQUIRE(t.permit(client, {peer_a}) == 200);
    CHECK_FALSE(t.send(client, peer_a, "x", true));
    CHECK(t.send(client, peer_a, "x"));
  }

  TEST_CASE("RFC 8656 §11.5: ICMP errors are told for peers with a permission") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client,
                       [](stun::message_builder& m) { add_additional_address_family(m); }) == 200);
    REQUIRE(t.permit(client, {peer_a, peer_v6}) == 200);
    const auto told = [&](relay_id relay, const endpoint& peer, const icmp_error& error) {
      t.replies.clear();
      t.server.handle_icmp(t.now, relay, peer, error);
      t.run();
      if (t.replies.empty()) return false;
      CHECK(t.replies[0].first == client.path);
      const auto m = *stun::message_view::parse(t.replies[0].second);
      CHECK(m.type_method() == methods::data);
      CHECK(find_peer_address(m) == peer);
      CHECK(find_icmp(m) == error);
      CHECK_FALSE(find_data(m));
      return true;
    };
    CHECK(told(t.relay(0), peer_a, {3, 4, 1280}));
    CHECK(told(t.relay(0), {peer_a.address, 0}, {11, 0, 0}));
    CHECK(told(t.relay(1), peer_v6, {1, 4, 0}));
    CHECK(told(t.relay(1), peer_v6, {2, 0, 1280}));
    CHECK(told(t.relay(1), peer_v6, {3, 1, 0}));
    CHECK_FALSE(told(t.relay(0), peer_a, {8, 0, 0}));
    CHECK_FALSE(told(t.relay(1), peer_v6, {4, 0, 0}));
    CHECK_FALSE(told(t.relay(0), peer_b, {3, 3, 0}));
    CHECK_FALSE(told({77, 1}, peer_a, {3, 3, 0}));
  }

  TEST_CASE("RFC 8656 §5: what exceeds a user's bandwidth, or the server's, is dropped") {
    for (const bool of_user : {true, false}) {
      CAPTURE(of_user);
      server::options opts;
      (of_user ? opts.bandwidth_per_user : opts.bandwidth_total) = 1'000'000;
      turn_fixture t{opts};
      auto alice = t.udp(1), alice_too = t.udp(2), bob = t.udp(3, "bob", "hidden");
      for (auto* client : {&alice, &alice_too, &bob}) {
        REQUIRE(t.allocate(*client) == 200);
        REQUIRE(t.bind(*client, 0x4000, peer_a) == 200);
      }
      const std::string kilobyte(1000, 'x');
      std::size_t passed = 0;
      for (int i = 0; i < 1000; ++i) {
        passed += t.send_on_channel(i % 2 == 0 ? alice : alice_too, 0x4000, kilobyte).has_value();
        passed += t.from_peer(t.relay(0), peer_a, kilobyte).has_value();
      }
      CHECK(passed == 200);  // The burst of 200 ms.
      CHECK(t.server.stats().over_bandwidth == 1800);
      CHECK(t.send_on_channel(bob, 0x4000, kilobyte).has_value() == of_user);
      t.now += 100ms;
      passed = 0;
      for (int i = 0; i < 1000; ++i)
        passed += t.send_on_channel(alice, 0x4000, kilobyte).has_value();
      CHECK(passed == 100);
    }
  }

  TEST_CASE("audit says what an allocation has relayed") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    REQUIRE(t.bind(client, 0x4000, peer_a) == 200);
    CHECK(t.send_on_channel(client, 0x4000, "12345"));
    CHECK(t.send(client, peer_a, "123"));
    CHECK(t.from_peer(t.relay(), peer_a, "12"));
    CHECK(t.refresh(client, 0) == 200);
    const auto ended = t.audits<server::allocation_deleted>().at(0);
    CHECK(ended.bytes_to_peers == 8);
    CHECK(ended.packets_to_peers == 2);
    CHECK(ended.bytes_to_client == 2);
    CHECK(ended.packets_to_client == 1);
  }

  TEST_CASE("relaying does not allocate, and leaves payloads where they lie") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    for (std::uint16_t i = 0; i < 100; ++i)
      REQUIRE(t.bind(client, static_cast<std::uint16_t>(0x4000 + i),
                     {peer_a.address, static_cast<std::uint16_t>(1000 + i)}) == 200);
    const datagram on_channel = turn_fixture::channel_data(0x4033, "payload");
    std::array<std::uint8_t, 200> buffer{};
    stun::message_builder m{buffer, stun::message_class::indication, methods::send, t.new_id()};
    const const_bytes by_send = add_data(add_peer_address(m, peer_a), on_channel).finish();
    std::array<std::uint8_t, server::headroom> room{};
    const auto relay = t.relay();

    const auto before = test::allocations();
    bool in_place = true;
    for (int i = 0; i < 1000; ++i) {
      const auto a = t.server.handle_input(t.now, client.path, on_channel);
      const auto b = t.server.handle_input(t.now, client.path, by_send);
      const auto c = t.server.handle_relayed(
          t.now, relay, {peer_a.address, static_cast<std::uint16_t>(1000 + i % 200)}, on_channel,
          room);
      in_place = in_place && a && a->payload.data() == on_channel.data() + 4 && b &&
                 b->payload.data() > by_send.data() && c && c->payload.data() == on_channel.data();
    }
    CHECK(test::allocations() == before);
    CHECK(in_place);
  }
}
