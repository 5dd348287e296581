#include <set>

#include "turn/scripted_server.hpp"

namespace {

using namespace weft::test;
using namespace weft::turn;
namespace stun = weft::stun;

constexpr weft::time_point epoch{};
using options = client::options;

weft::ip_address numbered(unsigned i) {
  return weft::ip_address{std::array<std::uint8_t, 4>{198, 51, static_cast<std::uint8_t>(i >> 8),
                                                      static_cast<std::uint8_t>(i)}};
}

std::set<weft::ip_address> peers_in(const stun::message_view& message) {
  std::set<weft::ip_address> peers;
  for_each_xor_address(message, attributes::xor_peer_address, [&](const auto& address) {
    REQUIRE(address);
    peers.insert(address->address);
  });
  return peers;
}

}  // namespace

TEST_SUITE("turn/client: permissions and channels") {
  TEST_CASE("RFC 8656 §10.1: one request asks for up to 16 permissions") {
    scripted_server s;
    s.allocate(epoch);
    for (unsigned i = 0; i < 20; ++i) REQUIRE(s.client.create_permission(epoch, numbered(i)));
    REQUIRE(s.client.create_permission(epoch, numbered(3)));
    const auto first = s.request(epoch, methods::create_permission);
    CHECK(peers_in(first).size() == 16);
    CHECK(first.bytes().size() < 500);
    s.succeed(epoch, first);
    const auto second = s.request(epoch, methods::create_permission);
    CHECK(peers_in(second).size() == 4);
    s.succeed(epoch, second);
    CHECK_FALSE(s.raw_request(epoch));
    std::set<weft::ip_address> created;
    while (const auto e = s.next<client::permission_created>()) created.insert(e->peer);
    CHECK(created.size() == 20);
    for (unsigned i = 0; i < 20; ++i) CHECK(s.client.has_permission(numbered(i)));
  }

  TEST_CASE("RFC 8656 §9: permissions are refreshed after four of their five minutes, together") {
    scripted_server s;
    s.allocate(epoch, 3600s);
    s.permit(epoch, peer_a.address);
    s.permit(epoch + 50s, peer_b.address);
    weft::time_point now = epoch + 50s;
    CHECK(s.pass(now, epoch + 239s) == 0);
    now = epoch + 240s;
    s.client.handle_timeout(now);
    const auto request = s.request(now, methods::create_permission);
    CHECK(peers_in(request) == std::set{peer_a.address, peer_b.address});
    s.succeed(now, request);
    CHECK_FALSE(s.client.poll_event());
    CHECK(s.pass(now, epoch + 479s) == 0);
    CHECK(s.pass(now, epoch + 480s) == 1);
  }

  TEST_CASE("A permission that is not refreshed in time is told as failed") {
    scripted_server s;
    s.allocate(epoch, 3600s);
    s.permit(epoch, peer_a.address);
    weft::time_point now = epoch;
    s.pass(now, epoch + 279s);
    CHECK(s.client.has_permission(peer_a.address));
    s.pass(now, epoch + 280s);
    CHECK(s.next<client::permission_failed>() ==
          client::permission_failed{peer_a.address, errors::no_answer});
    CHECK_FALSE(s.client.has_permission(peer_a.address));
    CHECK(s.client.is_allocated());
  }

  TEST_CASE("RFC 8656 §10.2: 403 to one permission does not cost the others") {
    scripted_server s;
    s.allocate(epoch);
    for (unsigned i = 0; i < 5; ++i) REQUIRE(s.client.create_permission(epoch, numbered(i)));
    const auto all = s.request(epoch, methods::create_permission);
    CHECK(peers_in(all).size() == 5);
    s.refuse(epoch, all, errors::forbidden);
    CHECK_FALSE(s.client.poll_event());
    int requests = 0;
    while (const auto one = s.raw_request(epoch)) {
      ++requests;
      const auto peers = peers_in(*one);
      REQUIRE(peers.size() == 1);
      if (*peers.begin() == numbered(2)) {
        s.refuse(epoch, *one, errors::forbidden);
      } else {
        s.succeed(epoch, *one);
      }
    }
    CHECK(requests == 5);
    int created = 0;
    std::vector<weft::ip_address> failed;
    while (const auto e = s.client.poll_event()) {
      created += std::holds_alternative<client::permission_created>(*e);
      if (const auto* f = std::get_if<client::permission_failed>(&*e)) failed.push_back(f->peer);
    }
    CHECK(created == 4);
    CHECK(failed == std::vector{numbered(2)});
    // It may be asked for again.
    REQUIRE(s.client.create_permission(epoch, numbered(2)));
    CHECK(peers_in(s.request(epoch, methods::create_permission)) == std::set{numbered(2)});
  }

  TEST_CASE("Peers of special-purpose addresses are asked for apart: 403 to them delays no other") {
    const auto address = [](const char* text) { return *weft::ip_address::parse(text); };
    const std::set doubtful{address("192.168.1.2"), address("10.0.0.2"), address("100.64.0.2")};
    const std::set others{address("8.8.8.8"), address("1.1.1.1"), address("9.9.9.9")};
    scripted_server s;
    s.allocate(epoch);
    for (const char* peer :
         {"8.8.8.8", "192.168.1.2", "10.0.0.2", "1.1.1.1", "100.64.0.2", "9.9.9.9"})
      REQUIRE(s.client.create_permission(epoch, address(peer)));
    const auto first = s.request(epoch, methods::create_permission);
    CHECK(peers_in(first) == others);
    s.succeed(epoch, first);
    for (const auto& peer : others) CHECK(s.client.has_permission(peer));
    const auto second = s.request(epoch, methods::create_permission);
    CHECK(peers_in(second) == doubtful);
    s.refuse(epoch, second, errors::forbidden);
    for (std::size_t i = 0; i < doubtful.size(); ++i)
      s.succeed(epoch, s.request(epoch, methods::create_permission));
    CHECK_FALSE(s.raw_request(epoch));
    for (const auto& peer : doubtful) CHECK(s.client.has_permission(peer));
  }

  TEST_CASE("A special-purpose peer that comes first leaves the others together") {
    scripted_server s;
    s.allocate(epoch);
    REQUIRE(s.client.create_permission(epoch, peer_a.address));
    for (unsigned i = 0; i < 16; ++i) REQUIRE(s.client.create_permission(epoch, numbered(i)));
    CHECK(peers_in(s.request(epoch, methods::create_permission)) == std::set{peer_a.address});
    CHECK(peers_in(s.request(epoch, methods::create_permission)).size() == 16);
    CHECK_FALSE(s.raw_request(epoch));
  }

  TEST_CASE("Permissions and channels are bounded") {
    options o;
    o.max_permissions = 3;
    o.max_channels = 2;
    scripted_server s{o};
    s.allocate(epoch);
    for (unsigned i = 0; i < 3; ++i) REQUIRE(s.client.create_permission(epoch, numbered(i)));
    CHECK(s.client.create_permission(epoch, numbered(3)).error() == client_error::too_many);
    CHECK(s.client.bind_channel(epoch, {numbered(3), 1}).error() == client_error::too_many);
    REQUIRE(s.client.bind_channel(epoch, {numbered(0), 1}));
    REQUIRE(s.client.bind_channel(epoch, {numbered(0), 2}));
    CHECK(s.client.bind_channel(epoch, {numbered(0), 3}).error() == client_error::too_many);
    s.client.release(epoch, numbered(2));
    CHECK(s.client.bind_channel(epoch, {numbered(3), 1}).error() == client_error::too_many);
    CHECK(s.client.create_permission(epoch, numbered(3)));
  }

  TEST_CASE("No more than so many requests are under way") {
    options o;
    o.max_transactions = 2;
    scripted_server s{o};
    s.allocate(epoch);
    for (std::uint16_t i = 0; i < 5; ++i)
      REQUIRE(s.client.bind_channel(epoch, {peer_a.address, i}));
    const auto first = s.raw_request(epoch);
    REQUIRE(first);
    const auto kept = std::vector(first->bytes().begin(), first->bytes().end());
    REQUIRE(s.raw_request(epoch));
    CHECK_FALSE(s.raw_request(epoch));
    s.succeed(epoch, *stun::message_view::parse(kept));
    CHECK(s.raw_request(epoch));
    CHECK_FALSE(s.raw_request(epoch));
  }

  TEST_CASE("RFC 8656 §12.3: a bound channel is a permission too") {
    scripted_server s;
    s.allocate(epoch);
    REQUIRE(s.client.bind_channel(epoch, peer_a));
    CHECK_FALSE(s.client.has_permission(peer_a.address));
    s.succeed(epoch, s.request(epoch, methods::channel_bind));
    CHECK(s.client.has_permission(peer_a.address));
    CHECK(s.next<client::permission_created>());
    CHECK(s.next<client::channel_bound>() == client::channel_bound{peer_a, 0x4000});
    CHECK_FALSE(s.raw_request(epoch));
  }

  TEST_CASE("RFC 8656 §12: a channel is refreshed before its ten minutes are over") {
    scripted_server s;
    s.allocate(epoch, 3600s);
    s.bind(epoch, peer_a);
    weft::time_point now = epoch;
    for (int i = 1; i <= 2; ++i) {
      s.pass(now, epoch + 240s * i - 1s);
      now += 1s;
      s.client.handle_timeout(now);
      s.succeed(now, s.request(now, methods::create_permission));
    }
    CHECK(s.pass(now, epoch + 539s) == 0);
    now = epoch + 540s;
    s.client.handle_timeout(now);
    const auto request = s.request(now, methods::channel_bind);
    CHECK(find_channel_number(request) == 0x4000);
    CHECK(find_peer_address(request) == peer_a);
    s.succeed(now, request);
    CHECK_FALSE(s.client.poll_event());
    CHECK(s.client.channel(peer_a));
    // This has refreshed the permission as well.
    CHECK(s.pass(now, epoch + 540s + 239s) == 0);
  }

  TEST_CASE("RFC 8656 §12: a number and its peer stay together for five minutes more") {
    scripted_server s;
    s.allocate(epoch, 36000s);
    s.bind(epoch, peer_a);
    s.client.release(epoch, peer_a.address);
    CHECK_FALSE(s.client.channel(peer_a));
    s.deliver(epoch, scripted_server::channel_data(0x4000, "late"));
    CHECK_FALSE(s.client.receive());

    s.bind(epoch + 1s, peer_b);
    CHECK(s.client.channel(peer_b) == 0x4001);
    // The same peer may have the same number again at once.
    s.bind(epoch + 2s, peer_a);
    CHECK(s.client.channel(peer_a) == 0x4000);
    s.client.release(epoch + 3s, peer_a.address);

    const weft::endpoint third{numbered(3), 1};
    s.bind(epoch + 2s + 14min, third);
    CHECK(s.client.channel(third) == 0x4002);
    const weft::endpoint fourth{numbered(4), 1};
    s.bind(epoch + 2s + 15min, fourth);
    CHECK(s.client.channel(fourth) == 0x4000);
  }

  TEST_CASE("A channel that is refused for good is not asked for by data, but on request") {
    scripted_server s;
    s.allocate(epoch);
    s.permit(epoch, peer_a.address);
    REQUIRE(s.send(epoch, peer_a, "x"));
    s.refuse(epoch, s.request(epoch, methods::channel_bind), stun::error_code::bad_request);
    CHECK(s.next<client::channel_failed>() ==
          client::channel_failed{peer_a, stun::error_code::bad_request});
    const auto sent = s.send(epoch, peer_a, "x");
    REQUIRE(sent);
    CHECK(stun::is_stun(*sent));
    CHECK_FALSE(s.raw_request(epoch));
    REQUIRE(s.client.bind_channel(epoch, peer_a));
    CHECK(s.raw_request(epoch));
  }

  TEST_CASE("RFC 8656 §12.2: after 508 a channel is tried again in a minute") {
    scripted_server s;
    s.allocate(epoch);
    s.permit(epoch, peer_a.address);
    REQUIRE(s.send(epoch, peer_a, "x"));
    s.refuse(epoch, s.request(epoch, methods::channel_bind), errors::insufficient_capacity);
    CHECK(s.next<client::channel_failed>());
    weft::time_point now = epoch;
    CHECK(s.pass(now, epoch + 59s) == 0);
    now = epoch + 60s;
    s.client.handle_timeout(now);
    s.succeed(now, s.request(now, methods::channel_bind));
    CHECK(s.next<client::channel_bound>());
  }

  TEST_CASE("A channel without an answer may be bound: its number is not given to another peer") {
    scripted_server s;
    s.allocate(epoch, 3600s);
    s.permit(epoch, peer_a.address);
    REQUIRE(s.send(epoch, peer_a, "x"));
    weft::time_point now = epoch;
    CHECK(s.pass(now, epoch + 39500ms) == 7);
    CHECK(s.next<client::channel_failed>() == client::channel_failed{peer_a, errors::no_answer});
    CHECK(s.send(now, peer_a, "x"));
    s.client.release(now, peer_a.address);
    s.bind(now, peer_b);
    CHECK(s.client.channel(peer_b) == 0x4001);
  }

  TEST_CASE("A channel that cannot be had leaves the permission that came with it") {
    scripted_server s;
    s.allocate(epoch);
    REQUIRE(s.client.bind_channel(epoch, peer_a));
    s.refuse(epoch, s.request(epoch, methods::channel_bind), errors::insufficient_capacity);
    CHECK(s.next<client::channel_failed>());
    s.succeed(epoch, s.request(epoch, methods::create_permission));
    CHECK(s.next<client::permission_created>());
    CHECK(s.send(epoch, peer_a, "x"));
  }

  TEST_CASE("437 to a permission or a channel means that the allocation is gone") {
    scripted_server s;
    s.allocate(epoch);
    REQUIRE(s.client.create_permission(epoch, peer_a.address));
    s.refuse(epoch, s.request(epoch, methods::create_permission), errors::allocation_mismatch);
    CHECK(s.next<client::allocation_lost>());
    s.allocate(epoch);
    REQUIRE(s.client.bind_channel(epoch, peer_a));
    s.refuse(epoch, s.request(epoch, methods::channel_bind), errors::allocation_mismatch);
    CHECK(s.next<client::allocation_lost>());
    CHECK_FALSE(s.client.is_allocated());
  }

  TEST_CASE("A permission that is released while it is asked for stays away") {
    scripted_server s;
    s.allocate(epoch);
    REQUIRE(s.client.create_permission(epoch, peer_a.address));
    const auto request = s.request(epoch, methods::create_permission);
    s.client.release(epoch, peer_a.address);
    s.succeed(epoch, request);
    CHECK_FALSE(s.client.has_permission(peer_a.address));
    CHECK_FALSE(s.client.poll_event());
    weft::time_point now = epoch;
    CHECK(s.pass(now, epoch + 500s) == 0);
  }
}
