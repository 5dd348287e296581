#include "turn/server_harness.hpp"

#include <weft/stun/access_token.hpp>
#include <weft/stun/rest_credentials.hpp>

#include "support/allocation_counter.hpp"

using namespace weft;
using namespace weft::server_test;
using namespace weft::turn;
using std::chrono::seconds;
using weft::server_test::datagram;

namespace {

constexpr std::size_t ip_v4_udp = 28;

// A request as who knows nothing sends it, of the size that browsers' first one has.
datagram bare_allocate(const stun::transaction_id& id) {
  std::array<std::uint8_t, 100> buffer{};
  stun::message_builder m{buffer, stun::message_class::request, methods::allocate, id};
  const auto bytes = add_requested_transport(m, relayed_transport::udp).finish();
  return {bytes.begin(), bytes.end()};
}

const stun::access_token_key token_key{
    .id = "key-1", .key = std::vector<std::uint8_t>(32, 7), .algorithm = {}};

// The calendar stands at its beginning when the tests begin.
const stun::wall_clock calendar{time_point{std::chrono::hours{1}}, {}};

server::options with_tokens() {
  server::options opts;
  opts.authentication.third_party_server = "turn.weft.test";
  opts.authentication.token_keys = {token_key};
  opts.authentication.clock = calendar;
  return opts;
}

}  // namespace

TEST_SUITE("turn/server_auth") {
  TEST_CASE("RFC 8489 §9.2.4: a challenge has realm, nonce and algorithms, and nothing else") {
    turn_fixture t;
    auto client = t.udp(1000);
    const auto id = t.new_id();
    t.give(client.path, bare_allocate(id));
    t.run();
    const auto a = t.take_answer(client.path, id);
    REQUIRE(a == 401);
    CHECK(a.view().realm() == "weft.test");
    CHECK(a.view().nonce());
    CHECK(a.view().password_algorithms());
    CHECK_FALSE(stun::has_integrity(a.view()));
    CHECK(t.server.stats().challenges == 1);
    CHECK(t.server.usage().allocations == 0);
  }

  TEST_CASE("RFC 8656 §5: a nonce that has expired is exchanged, the allocation stays") {
    server::options opts;
    opts.authentication.nonce_lifetime = 60s;
    turn_fixture t{opts};
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    const auto challenges = t.server.stats().challenges;
    t.wait(61s);
    CHECK(t.refresh(client) == 200);
    CHECK(t.server.stats().challenges == challenges + 1);
    CHECK(t.server.stats().failed_logins == 0);
  }

  TEST_CASE("a nonce is for the address it was given to") {
    turn_fixture t;
    auto one = t.udp(1000);
    REQUIRE(t.allocate(one) == 200);
    auto other = one;
    other.path.remote.port = 2000;
    const auto id = t.new_id();
    t.give(other.path, t.build(other, methods::allocate, id, [](stun::message_builder& m) {
      add_requested_transport(m, relayed_transport::udp);
    }));
    t.run();
    CHECK(t.take_answer(other.path, id) == 438);
  }

  TEST_CASE("a replayed request from elsewhere does nothing") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    const auto id = t.new_id();
    const auto deletion = t.build(client, methods::refresh, id,
                                  [](stun::message_builder& m) { add_lifetime(m, seconds{0}); });
    auto attacker = client.path;
    attacker.remote.port = 6666;
    t.give(attacker, deletion);
    t.run();
    CHECK(t.take_answer(attacker, id) == 438);
    CHECK(t.server.usage().allocations == 1);
  }

  TEST_CASE("TURN REST: credentials may be issued anew, and the allocation goes on") {
    for (const auto algorithm : {stun::rest_algorithm::sha1, stun::rest_algorithm::sha256}) {
      turn_fixture t;
      const stun::wall_clock clock{t.now, stun::wall_clock::date{std::chrono::hours{480'000}}};
      stun::rest_users users{
          {.secrets = {"shared secret"}, .algorithm = algorithm, .clock = clock}};
      t.server = server{turn_fixture::with_realm({}), users, t.random};
      const auto credentials = [&](std::string_view user, duration lifetime) {
        return stun::make_rest_credentials("shared secret", user, clock.at(t.now + lifetime),
                                           algorithm);
      };
      test_client client{t.udp(1000).path,
                         stun::long_term_client{credentials("carol", std::chrono::hours{1})}};
      REQUIRE(t.allocate(client) == 200);
      client.auth.set_credentials(credentials("carol", std::chrono::hours{2}));
      CHECK(t.refresh(client) == 200);
      CHECK(t.permit(client, {peer_a}) == 200);
      client.auth.set_credentials(credentials("dave", std::chrono::hours{2}));
      CHECK(t.refresh(client) == 441);
      test_client late{t.udp(1001).path,
                       stun::long_term_client{credentials("erin", -std::chrono::hours{1})}};
      CHECK(t.allocate(late) == 401);
      CHECK(t.audits<server::allocation_created>().at(0).account == "carol");
      CHECK(t.server.usage().users == 1);
    }
  }

  TEST_CASE("TURN REST: a user's quota is the user's, whatever the credentials") {
    server::options opts;
    opts.allocations_per_user = 2;
    turn_fixture t;
    const stun::wall_clock clock{t.now, stun::wall_clock::date{std::chrono::hours{480'000}}};
    stun::rest_users users{{.secrets = {"s"}, .clock = clock}};
    t.server = server{turn_fixture::with_realm(opts), users, t.random};
    for (std::uint16_t i = 0; i < 3; ++i) {
      test_client client{t.udp(static_cast<std::uint16_t>(1000 + i)).path,
                         stun::long_term_client{stun::make_rest_credentials(
                             "s", "carol", clock.at(t.now + std::chrono::hours{1 + i}))}};
      CHECK(t.allocate(client) == (i < 2 ? 200 : 486));
    }
  }

  TEST_CASE("RFC 7635 §9: an allocation ends no later than its token, and a new one prolongs it") {
    turn_fixture t;
    t.server = server{turn_fixture::with_realm(with_tokens()), t.users, t.random};
    const auto token = [&](std::uint8_t fill, seconds lifetime) {
      std::array<std::uint8_t, stun::token_nonce_size> nonce;
      t.random.fill(nonce);
      const stun::access_token content{std::vector<std::uint8_t>(32, fill), calendar.at(t.now),
                                       lifetime};
      return stun::token_credentials{token_key.id,
                                     *stun::seal_token(content, "turn.weft.test", token_key, nonce),
                                     content.mac_key};
    };
    test_client client{t.udp(1000).path, stun::long_term_client{token(1, 300s)}};
    const auto a = t.allocate(client);
    REQUIRE(a == 200);
    const auto granted = find_lifetime(a.view());
    REQUIRE(granted);
    CHECK(*granted <= 305s);
    CHECK(*granted >= 300s);
    CHECK(t.permit(client, {peer_a}) == 200);
    t.wait(200s);
    client.auth.set_credentials(token(2, 3600s));
    const auto b = t.refresh(client);
    REQUIRE(b == 200);
    CHECK(find_lifetime(b.view()) == seconds{600});
    t.wait(400s);
    CHECK(t.bind(client, 0x4000, peer_a) == 200);

    // A user with a password is another one.
    auto alice = t.udp(1000);
    CHECK(t.refresh(alice) == 441);
    // Two bearers are two accounts.
    test_client other{t.udp(1001).path, stun::long_term_client{token(3, 300s)}};
    REQUIRE(t.allocate(other) == 200);
    CHECK(t.server.usage().users == 2);
    // A token for another server, and one that has expired.
    test_client expired{t.udp(1002).path, stun::long_term_client{token(4, 10s)}};
    t.wait(20s);
    CHECK(t.allocate(expired) == 401);
  }

  TEST_CASE("flood: a million strangers leave no state, and get little") {
    turn_fixture t;
    stun::transaction_id id{};
    std::array<std::uint8_t, 1500> buffer{};
    std::size_t received = 0, sent = 0, replies = 0;
    const auto request = bare_allocate(id);
    const auto flood = [&](int count) {
      for (int i = 0; i < count; ++i) {
        // Forged sources all over, a million a second.
        const auto n = static_cast<std::uint32_t>(t.random.next());
        const five_tuple from{
            listener,
            {ip_address{
                 std::array{static_cast<std::uint8_t>(n >> 24), static_cast<std::uint8_t>(n >> 16),
                            static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)}},
             static_cast<std::uint16_t>(i)},
            transport_protocol::udp};
        t.now += std::chrono::microseconds{1};
        t.server.handle_input(t.now, from, request);
        received += request.size() + ip_v4_udp;
        while (const auto out = t.server.poll_transmit(t.now, buffer)) {
          sent += out->bytes.size() + ip_v4_udp;
          ++replies;
        }
      }
    };
    flood(1000);
    const auto before = test::allocations();
    received = sent = replies = 0;
    flood(1'000'000);
    // Nothing that lasts; the base 64 of a nonce is a string while it is made, also of those
    // that their source's allowance then forbids to send.
    CHECK(test::allocations() - before < 200'000);
    CHECK(t.server.usage().allocations == 0);
    CHECK(t.server.usage().users == 0);
    CHECK_FALSE(t.server.poll_timeout());
    CHECK_FALSE(t.server.poll_event());
    CHECK(replies <= 40'000);
    CHECK(sent * 10 < received);
    CHECK(t.server.stats().stranger_limited >= 960'000);

    // A client that comes meanwhile gets in as soon as there is room for its challenge.
    t.now += 1s;
    auto client = t.udp(1000);
    CHECK(t.allocate(client) == 200);
  }

  TEST_CASE("flood: who has an allocation is answered however many strangers there are") {
    server::options opts;
    opts.stranger_replies = 100;
    opts.authentication.nonce_lifetime = 5min;
    turn_fixture t{opts};
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    t.now += 599s;
    const auto request = bare_allocate({});
    std::array<std::uint8_t, 1500> buffer{};
    for (std::uint8_t i = 0; i < 250; ++i) {
      t.server.handle_input(t.now, {listener, at("9.9.9." + std::to_string(i), 1000)}, request);
      while (t.server.poll_transmit(t.now, buffer)) {
      }
    }
    REQUIRE(t.server.stats().stranger_limited >= 100);
    const auto stale = t.server.stats().challenges;
    CHECK(t.refresh(client) == 200);
    CHECK(t.server.stats().challenges == stale + 1);
    auto stranger = t.udp(1001);
    CHECK(t.allocate(stranger) == 0);
  }

  TEST_CASE("flood: one victim gets no more than its allowance and 1.6 times what came") {
    turn_fixture t;
    const five_tuple victim{listener, at("7.7.7.7", 53), transport_protocol::udp};
    std::array<std::uint8_t, 1500> buffer{};
    const auto request = bare_allocate({});
    std::size_t sent = 0, received = 0;
    for (int i = 0; i < 100'000; ++i) {
      t.now += std::chrono::microseconds{10};
      t.server.handle_input(t.now, victim, request);
      received += request.size();
      while (const auto out = t.server.poll_transmit(t.now, buffer)) sent += out->bytes.size();
    }
    const stun::reply_limiter::options limits;
    CHECK(sent <= received * 8 / 5 + limits.burst_bytes + limits.bytes_per_second);
    // Far less, in fact: what would exceed it is not sent at all.
    CHECK(sent < 20'000);

    // Binding responses stay below the bound one by one, and pass.
    std::array<std::uint8_t, 20> binding{};
    stun::message_builder{binding, stun::message_class::request, stun::method::binding, {}}
        .finish();
    t.now += 2s;
    t.server.handle_input(t.now, victim, binding);
    const auto out = t.server.poll_transmit(t.now, buffer);
    REQUIRE(out);
    CHECK(out->bytes.size() * 10 <= binding.size() * 16);
  }

  TEST_CASE("flood: garbage of every kind is counted and costs no state") {
    turn_fixture t;
    const five_tuple from{listener, at("7.7.7.7", 53), transport_protocol::udp};
    std::array<std::uint8_t, 200> bytes{};
    (void)t.server.handle_input(t.now, from, {});
    const auto before = test::allocations();
    for (int i = 0; i < 100'000; ++i) {
      const auto size = static_cast<std::size_t>(t.random.next() % bytes.size());
      t.random.fill(std::span{bytes}.first(size));
      t.server.handle_input(t.now, from, const_bytes{bytes}.first(size));
      std::array<std::uint8_t, server::headroom> room{};
      CHECK_FALSE(t.server.handle_relayed(t.now, {bytes[0], bytes[1]}, peer_a, bytes, room));
    }
    CHECK(test::allocations() == before);
    CHECK(t.server.usage().allocations == 0);
    const auto& s = t.server.stats();
    CHECK(s.malformed + s.no_allocation >= 200'000 - 10);
  }

  TEST_CASE("a driver that does not poll loses replies and not memory") {
    server::options opts;
    opts.reply_buffer = 8192;
    turn_fixture t{opts};
    const five_tuple from{listener, at("7.7.7.7", 53), transport_protocol::tcp};
    REQUIRE(t.server.handle_connected(t.now, from));
    for (std::uint32_t i = 0; i < 1000; ++i) {
      stun::transaction_id id{};
      byte_writer{id}.u32(i);
      t.give(from, bare_allocate(id));
    }
    CHECK(t.server.stats().replies_dropped > 900);
    t.run();
    CHECK(t.replies.size() + t.server.stats().replies_dropped == 1000);
    t.replies.clear();
    t.give(from, bare_allocate({1}));
    t.run();
    CHECK(t.replies.size() == 1);
  }

  TEST_CASE("audit events are bounded, those that open and close sockets are not lost") {
    server::options opts;
    opts.max_audit_events = 3;
    turn_fixture t{opts};
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    for (int i = 0; i < 10; ++i) {
      const auto id = t.new_id();
      t.give(client.path,
             t.build(client, methods::create_permission, id,
                     [](stun::message_builder& m) { add_peer_address(m, at("127.0.0.1", 1)); }));
    }
    CHECK(t.server.stats().events_dropped == 7);
    t.give(client.path, t.build(client, methods::refresh, t.new_id(),
                                [](stun::message_builder& m) { add_lifetime(m, seconds{0}); }));
    t.run();
    CHECK(t.closed.size() == 1);
    CHECK(t.audits<server::peer_refused>().size() == 3);
    CHECK(t.audits<server::allocation_deleted>().empty());
  }

  TEST_CASE("a clock that goes back does not disturb") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    REQUIRE(t.bind(client, 0x4000, peer_a) == 200);
    t.now -= 30min;
    CHECK(t.send_on_channel(client, 0x4000, "x"));
    t.server.handle_timeout(t.now);
    CHECK(t.server.usage().allocations == 1);
    CHECK(t.refresh(client) == 200);
  }

  TEST_CASE("a server can be moved while it works") {
    turn_fixture t;
    auto client = t.udp(1000);
    REQUIRE(t.allocate(client) == 200);
    server moved = std::move(t.server);
    t.server = std::move(moved);
    CHECK(t.permit(client, {peer_a}) == 200);
    CHECK(t.send(client, peer_a, "x"));
  }

  TEST_CASE("each reason has words") {
    for (int i = 0; i <= static_cast<int>(allocation_refusal::mobility); ++i)
      CHECK_FALSE(to_string(static_cast<allocation_refusal>(i)).empty());
    for (int i = 0; i <= static_cast<int>(allocation_end::revoked); ++i)
      CHECK_FALSE(to_string(static_cast<allocation_end>(i)).empty());
  }
}
