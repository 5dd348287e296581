#include "turn/server_harness.hpp"

using namespace weft;
using namespace weft::server_test;
using namespace weft::turn;
using weft::server_test::datagram;
using step = server::stream_step;

TEST_SUITE("turn/server_stream") {
  TEST_CASE("RFC 8656 §12.5: over a stream messages may come in any pieces") {
    for (const std::size_t piece : {1u, 2u, 3u, 5u, 7u, 16u, 1000u}) {
      CAPTURE(piece);
      turn_fixture t;
      auto client = t.tcp(1000);
      REQUIRE(t.allocate(client) == 200);
      REQUIRE(t.bind(client, 0x4000, peer_a) == 200);
      datagram bytes;
      std::vector<std::string> texts;
      for (std::size_t i = 0; i < 20; ++i) {
        texts.push_back(std::string(i, static_cast<char>('a' + i)));
        datagram message = turn_fixture::channel_data(0x4000, texts.back());
        message.resize(stun::padded(message.size()));
        bytes.insert(bytes.end(), message.begin(), message.end());
      }
      const auto id = t.new_id();
      const auto refresh = t.build(client, methods::refresh, id, [](stun::message_builder&) {});
      bytes.insert(bytes.end(), refresh.begin(), refresh.end());
      for (const_bytes rest = bytes; !rest.empty();) {
        const std::size_t count = std::min(piece, rest.size());
        t.give(client.path, rest.first(count));
        rest = rest.subspan(count);
      }
      t.run();
      REQUIRE(t.to_peers.size() == texts.size());
      for (std::size_t i = 0; i < texts.size(); ++i) CHECK(t.to_peers[i].payload == texts[i]);
      CHECK(t.take_answer(client.path, id) == 200);
    }
  }

  TEST_CASE("RFC 8656 §12.5: ChannelData to a stream is padded") {
    turn_fixture t;
    auto client = t.tcp(1000);
    REQUIRE(t.allocate(client) == 200);
    REQUIRE(t.bind(client, 0x4000, peer_a) == 200);
    for (std::size_t size = 0; size < 9; ++size) {
      const auto out = t.from_peer(t.relay(), peer_a, std::string(size, 'x'));
      REQUIRE(out);
      CHECK(out->second.size() == 4 + stun::padded(size));
      CHECK(channel_data_view::parse(out->second)->data.size() == size);
    }
  }

  TEST_CASE("what is no TURN closes the stream, and ends the allocation") {
    turn_fixture t;
    auto client = t.tcp(1000);
    REQUIRE(t.allocate(client) == 200);
    // A TLS ClientHello, as who has mistaken the port sends it.
    const std::uint8_t hello[] = {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc};
    const auto s = t.server.handle_stream(t.now, client.path, hello);
    CHECK(s.then == step::next::close);
    t.run();
    CHECK(t.server.usage().streams == 0);
    CHECK(t.server.usage().allocations == 0);
    CHECK(t.server.handle_stream(t.now, client.path, bytes_of("x")).then == step::next::close);
  }

  TEST_CASE("a stream of nobody may hold little, one with an allocation a whole datagram") {
    turn_fixture t;
    auto client = t.tcp(1000), stranger = t.tcp(1001);
    REQUIRE(t.allocate(client) == 200);
    REQUIRE(t.bind(client, 0x4000, peer_a) == 200);
    datagram large = turn_fixture::channel_data(0x4000, std::string(60'000, 'x'));
    CHECK(t.server.handle_stream(t.now, stranger.path, const_bytes{large}.first(100)).then ==
          step::next::close);
    t.give(client.path, const_bytes{large}.first(1));
    t.give(client.path, const_bytes{large}.subspan(1, 3));
    t.give(client.path, const_bytes{large}.subspan(4));
    CHECK(t.taken()->payload.size() == 60'000);
  }

  TEST_CASE("streams without an allocation are closed after a while, the others are not") {
    turn_fixture t;
    auto client = t.tcp(1000), idle = t.tcp(1001);
    REQUIRE(t.allocate(client) == 200);
    CHECK(t.server.usage().idle_streams == 1);
    t.wait(39s);
    CHECK(t.closed_streams.empty());
    t.wait(1s);
    CHECK(t.closed_streams == std::vector{idle.path});
    t.wait(500s);
    CHECK(t.server.usage().streams == 1);
    // When the allocation has expired the stream has a while for a new one.
    t.wait(60s);
    CHECK(t.server.usage().allocations == 0);
    CHECK(t.server.usage().idle_streams == 1);
    t.wait(39s);
    CHECK(t.allocate(client) == 200);
    CHECK(t.refresh(client, 0) == 200);
    t.wait(40s);
    CHECK(t.closed_streams.size() == 2);
    CHECK(t.server.stats().streams_timed_out == 2);
    CHECK_FALSE(t.server.poll_timeout());
  }

  TEST_CASE("of too many idle streams the eldest goes, and there is a limit to all") {
    server::options opts;
    opts.max_idle_streams = 3;
    opts.max_streams = 5;
    turn_fixture t{opts};
    std::vector<test_client> clients;
    for (std::uint16_t i = 0; i < 3; ++i) clients.push_back(t.tcp(i));
    REQUIRE(t.allocate(clients[0]) == 200);
    for (std::uint16_t i = 3; i < 6; ++i) clients.push_back(t.tcp(i));
    t.run();
    CHECK(t.closed_streams == std::vector{clients[1].path, clients[2].path});
    CHECK(t.server.usage().streams == 4);
    REQUIRE(t.allocate(clients[3]) == 200);
    REQUIRE(t.allocate(clients[4]) == 200);
    clients.push_back(t.tcp(6));
    CHECK_FALSE(t.server.handle_connected(t.now, t.udp(7).path));
    auto seventh = t.udp(7).path;
    seventh.protocol = transport_protocol::tcp;
    CHECK_FALSE(t.server.handle_connected(t.now, seventh));
    CHECK(t.server.stats().streams_refused == 2);
  }

  TEST_CASE("a client that disconnects has no allocation any more") {
    turn_fixture t;
    auto client = t.tcp(1000);
    REQUIRE(t.allocate(client) == 200);
    t.server.handle_disconnected(t.now, client.path);
    t.run();
    CHECK(t.server.usage().allocations == 0);
    CHECK(t.server.usage().streams == 0);
    CHECK(t.closed.size() == 1);
    CHECK(t.audits<server::allocation_deleted>().at(0).reason == allocation_end::disconnected);
    CHECK_FALSE(t.from_peer(t.opened[0].relay, peer_a, "x"));
    t.server.handle_disconnected(t.now, client.path);
  }
}

namespace {

server::options tcp_options() {
  server::options opts;
  opts.tcp_allocations = true;
  return opts;
}

answer allocate_tcp(turn_fixture& t, test_client& client) {
  return t.request(client, methods::allocate, [](stun::message_builder& m) {
    add_requested_transport(m, relayed_transport::tcp);
  });
}

// Sends a Connect and tells where the answer is to be found.
stun::transaction_id start_connect(turn_fixture& t, test_client& client, const endpoint& peer) {
  const auto id = t.new_id();
  t.give(client.path, t.build(client, methods::connect, id,
                              [&](stun::message_builder& m) { add_peer_address(m, peer); }));
  t.run();
  return id;
}

answer bind_connection(turn_fixture& t, test_client& client, std::uint32_t id) {
  return t.request(client, methods::connection_bind,
                   [&](stun::message_builder& m) { add_connection_id(m, id); });
}

}  // namespace

TEST_SUITE("turn/server_connect") {
  TEST_CASE("RFC 6062 §5.1: the reaction to every request for a TCP relay") {
    turn_fixture t{tcp_options()};
    std::uint16_t port = 1000;
    const auto reaction = [&](auto&& fill) {
      auto client = t.tcp(port++);
      return t
          .request(client, methods::allocate,
                   [&](stun::message_builder& m) {
                     add_requested_transport(m, relayed_transport::tcp);
                     fill(m);
                   })
          .code;
    };
    CHECK(reaction([](stun::message_builder&) {}) == 200);
    CHECK(t.opened[0].transport == relayed_transport::tcp);
    CHECK(reaction([](stun::message_builder& m) { add_dont_fragment(m); }) == 400);
    CHECK(reaction([](stun::message_builder& m) { add_even_port(m, even_port::even); }) == 400);
    CHECK(reaction([](stun::message_builder& m) { add_reservation_token(m, {}); }) == 400);

    turn_fixture without;
    auto client = without.tcp(1);
    CHECK(allocate_tcp(without, client) == 442);
    CHECK(without.audits<server::allocation_refused>().at(0).reason ==
          allocation_refusal::transport);
  }

  TEST_CASE("RFC 6062 §5.2, §5.4: a connection to a peer is made, bound and joined") {
    turn_fixture t{tcp_options()};
    auto control = t.tcp(1000);
    REQUIRE(allocate_tcp(t, control) == 200);
    const auto id = start_connect(t, control, peer_a);
    REQUIRE(t.connects.size() == 1);
    CHECK(t.connects[0].peer == peer_a);
    CHECK(t.connects[0].relay == t.relay());
    CHECK(t.take_answer(control.path, id) == 0);
    t.server.peer_connected(t.now, t.connects[0].connection);
    t.run();
    const auto a = t.take_answer(control.path, id);
    REQUIRE(a == 200);
    const auto number = find_connection_id(a.view());
    REQUIRE(number);

    auto data = t.tcp(1001);
    // Fetches a nonce first: the request is to be the only thing in its chunk.
    (void)t.refresh(data);
    const auto bind = t.new_id();
    auto bytes = t.build(data, methods::connection_bind, bind,
                         [&](stun::message_builder& m) { add_connection_id(m, *number); });
    const std::size_t size = bytes.size();
    for (const char c : std::string{"raw"}) bytes.push_back(static_cast<std::uint8_t>(c));
    const auto s = t.server.handle_stream(t.now, data.path, bytes);
    CHECK(s.consumed == size);
    CHECK(s.then == step::next::joined);
    CHECK(s.connection == t.connects[0].connection);
    t.run();
    CHECK(t.take_answer(data.path, bind) == 200);
    const auto after = t.server.handle_stream(t.now, data.path, bytes_of("more"));
    CHECK(after.then == step::next::joined);
    CHECK(after.consumed == 0);
    CHECK(t.server.usage().idle_streams == 0);

    t.server.count_spliced(s.connection, 100, 200);
    t.wait(300s);
    CHECK(t.closed_peers.empty());

    SUBCASE("until the peer closes") {
      t.server.peer_disconnected(t.now, s.connection);
      t.run();
      CHECK(t.closed_streams == std::vector{data.path});
      CHECK(t.closed_peers.empty());
    }
    SUBCASE("until the client closes") {
      t.server.handle_disconnected(t.now, data.path);
      t.run();
      CHECK(t.closed_peers == std::vector{s.connection});
    }
    SUBCASE("until the allocation ends") {
      CHECK(t.refresh(control, 0) == 200);
      CHECK(t.closed_streams == std::vector{data.path});
      CHECK(t.closed_peers == std::vector{s.connection});
      const auto ended = t.audits<server::allocation_deleted>().at(0);
      CHECK(ended.bytes_to_peers == 100);
      CHECK(ended.bytes_to_client == 200);
    }
    SUBCASE("until the control connection ends") {
      t.server.handle_disconnected(t.now, control.path);
      t.run();
      CHECK(t.closed_streams == std::vector{data.path});
      CHECK(t.closed_peers == std::vector{s.connection});
    }
    CHECK(t.server.usage().peer_connections == 0);
  }

  TEST_CASE("RFC 6062 §5.2: the reaction to every Connect that cannot be") {
    auto opts = tcp_options();
    opts.peer_connections_per_allocation = 2;
    turn_fixture t{opts};
    auto control = t.tcp(1000);
    const auto connect = [&](const endpoint& peer) {
      return t.request(control, methods::connect,
                       [&](stun::message_builder& m) { add_peer_address(m, peer); });
    };
    CHECK(connect(peer_a) == 437);
    REQUIRE(allocate_tcp(t, control) == 200);
    CHECK(t.request(control, methods::connect) == 400);
    CHECK(connect(peer_v6) == 443);
    CHECK(connect(at("127.0.0.1", 80)) == 403);
    CHECK(connect({peer_a.address, 0}) == 403);
    CHECK(t.bind(control, 0x4000, peer_a) == 400);
    start_connect(t, control, peer_a);
    CHECK(connect(peer_a) == 446);
    t.server.peer_connected(t.now, t.connects.at(0).connection);
    CHECK(connect(peer_a) == 446);
    const auto failing = start_connect(t, control, peer_b);
    CHECK(connect({peer_b.address, 1}) == 508);
    t.server.peer_failed(t.now, t.connects.at(1).connection);
    t.run();
    CHECK(t.take_answer(control.path, failing) == 447);
    const auto slow = start_connect(t, control, peer_b);
    t.wait(29s);
    CHECK(t.take_answer(control.path, slow) == 0);
    t.wait(1s);
    CHECK(t.take_answer(control.path, slow) == 447);
    // Nobody came for the first one either.
    CHECK(t.closed_peers.size() == 2);
    CHECK(t.server.usage().peer_connections == 0);

    auto udp = t.tcp(1002);
    REQUIRE(t.allocate(udp) == 200);
    CHECK(t.request(udp, methods::connect,
                    [](stun::message_builder& m) { add_peer_address(m, peer_a); }) == 437);
  }

  TEST_CASE("RFC 6062 §5.3: a peer's connection is announced if it has a permission") {
    turn_fixture t{tcp_options()};
    auto control = t.tcp(1000);
    REQUIRE(allocate_tcp(t, control) == 200);
    CHECK_FALSE(t.server.peer_accepted(t.now, t.relay(), peer_a));
    CHECK(t.server.stats().peers_not_accepted == 1);
    REQUIRE(t.permit(control, {peer_a}) == 200);
    const auto connection = t.server.peer_accepted(t.now, t.relay(), peer_a);
    REQUIRE(connection);
    t.run();
    REQUIRE(t.replies.size() == 1);
    CHECK(t.replies[0].first == control.path);
    const auto m = *stun::message_view::parse(t.replies[0].second);
    CHECK(m.type_class() == stun::message_class::indication);
    CHECK(m.type_method() == methods::connection_attempt);
    CHECK(find_peer_address(m) == peer_a);
    CHECK(find_connection_id(m) == static_cast<std::uint32_t>(*connection));

    SUBCASE("and joined") {
      auto data = t.tcp(1001);
      CHECK(bind_connection(t, data, static_cast<std::uint32_t>(*connection)) == 200);
      CHECK(t.joined == std::vector{*connection});
    }
    SUBCASE("or closed after 30 seconds") {
      t.wait(29s);
      CHECK(t.closed_peers.empty());
      t.wait(1s);
      CHECK(t.closed_peers == std::vector{*connection});
    }
    SUBCASE("or closed by the peer") {
      t.server.peer_disconnected(t.now, *connection);
      t.run();
      CHECK(t.closed_peers.empty());
      CHECK(t.closed_streams.empty());
      CHECK(t.server.usage().peer_connections == 0);
    }
  }

  TEST_CASE("RFC 6062 §5.4: a connection is for its user, over TCP, once") {
    turn_fixture t{tcp_options()};
    auto control = t.tcp(1000);
    REQUIRE(allocate_tcp(t, control) == 200);
    REQUIRE(t.permit(control, {peer_a}) == 200);
    const auto connection = t.server.peer_accepted(t.now, t.relay(), peer_a);
    const auto number = static_cast<std::uint32_t>(*connection);
    auto thief = t.tcp(1001, "bob", "hidden");
    CHECK(bind_connection(t, thief, number) == 441);
    auto udp = t.udp(1002);
    CHECK(bind_connection(t, udp, number) == 400);
    CHECK(bind_connection(t, control, number) == 400);
    auto data = t.tcp(1003);
    CHECK(t.request(data, methods::connection_bind) == 400);
    CHECK(bind_connection(t, data, number + 1) == 400);
    CHECK(bind_connection(t, data, number) == 200);
    auto late = t.tcp(1004);
    CHECK(bind_connection(t, late, number) == 400);
  }
}
