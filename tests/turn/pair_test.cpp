#include <doctest/doctest.h>

#include <set>

#include "support/seeds.hpp"
#include "turn/pair.hpp"

namespace {

using namespace weft::test;
using weft::endpoint;
using weft::transport_protocol;
namespace turn = weft::turn;
namespace stun = weft::stun;
using client = turn::client;

const endpoint peer_a{*weft::ip_address::parse("9.9.9.9"), 4000};
const endpoint peer_b{*weft::ip_address::parse("9.9.9.10"), 5000};
const endpoint peer_six{*weft::ip_address::parse("2a00:1450::5"), 6000};
const endpoint listener_six{*weft::ip_address::parse("2001:4860::1"), 3478};

relay_world::options over(transport_protocol protocol) {
  relay_world::options o;
  o.client.transport = protocol;
  return o;
}

bool permit(relay_world& w, const endpoint& peer) {
  if (!w.client.create_permission(w.now, peer.address)) return false;
  return w.run_until(60s, [&] { return w.client.has_permission(peer.address); });
}

// Sends until it has come back, as often as the network loses it.
bool echoes(relay_world& w, const endpoint& peer, const std::string& text) {
  for (int i = 0; i < 50; ++i) {
    if (!w.send(peer, text)) return false;
    const bool back = w.run_until(500ms, [&] {
      return !w.at_client.empty() && w.at_client.back().text == text &&
             w.at_client.back().from == peer;
    });
    if (back) return true;
  }
  return false;
}

}  // namespace

TEST_SUITE("turn/client and server") {
  TEST_CASE("Data goes to a peer and back, over datagrams and streams, from IPv4 and IPv6") {
    for (const auto protocol : {transport_protocol::udp, transport_protocol::tcp})
      for (const bool from_six : {false, true})
        for (const auto channels :
             {client::channel_use::automatic, client::channel_use::on_request}) {
          auto o = over(protocol);
          o.client.channels = channels;
          if (from_six) {
            o.client_address = *weft::ip_address::parse("2001:db8::1");
            o.listener = listener_six;
          }
          relay_world w{1, o};
          REQUIRE(w.allocate());
          const auto allocated = w.last<client::allocated>();
          REQUIRE(allocated);
          CHECK(allocated->mapped == w.path.remote);
          REQUIRE(allocated->relayed_ipv4);
          REQUIRE(permit(w, peer_a));
          for (int i = 0; i < 5; ++i) CHECK(echoes(w, peer_a, "message " + std::to_string(i)));
          CHECK(w.at_peers.back().from == *allocated->relayed_ipv4);
          CHECK(w.client.channel(peer_a).has_value() ==
                (channels == client::channel_use::automatic));

          w.client.close(w.now);
          CHECK(w.run_until(10s, [&] { return w.count<client::closed>() == 1; }));
          CHECK(w.server.usage().allocations == 0);
        }
  }

  TEST_CASE("RFC 8656 §9: a peer without permission is not heard, one with may use any port") {
    relay_world w{1, {}};
    REQUIRE(w.allocate());
    const endpoint relayed = *w.client.relayed_address(turn::address_family::ipv4);
    w.send_from(peer_a, relayed, "too early");
    w.run_for(1s);
    CHECK(w.at_client.empty());
    REQUIRE(permit(w, peer_a));
    w.send_from({peer_a.address, 9}, relayed, "hello");
    w.send_from(peer_b, relayed, "stranger");
    w.run_for(1s);
    REQUIRE(w.at_client.size() == 1);
    CHECK(w.at_client[0].from == endpoint{peer_a.address, 9});
  }

  TEST_CASE("RFC 8656 §7.1: a dual allocation reaches peers of both families") {
    auto o = over(transport_protocol::udp);
    o.client.families = client::families::both;
    relay_world w{1, o};
    REQUIRE(w.allocate());
    REQUIRE(permit(w, peer_a));
    REQUIRE(permit(w, peer_six));
    CHECK(echoes(w, peer_a, "four"));
    CHECK(w.at_peers.back().from == w.client.relayed_address(turn::address_family::ipv4));
    CHECK(echoes(w, peer_six, "six"));
    CHECK(w.at_peers.back().from == w.client.relayed_address(turn::address_family::ipv6));
    CHECK(echoes(w, peer_six, "six in a channel"));
    CHECK(w.client.channel(peer_six));
  }

  TEST_CASE("RFC 8656 §7.3: where there is no IPv6, a dual allocation has one address") {
    auto o = over(transport_protocol::udp);
    o.client.families = client::families::both;
    o.server.families = {turn::address_family::ipv4};
    relay_world w{1, o};
    REQUIRE(w.allocate());
    const auto refused = w.last<client::family_refused>();
    REQUIRE(refused);
    CHECK(refused->family == turn::address_family::ipv6);
    CHECK(refused->code == turn::errors::address_family_not_supported);

    o.client.families = client::families::ipv6;
    relay_world six{1, o};
    CHECK_FALSE(six.allocate());
    const auto failed = six.last<client::allocation_failed>();
    REQUIRE(failed);
    CHECK(failed->code == turn::errors::address_family_not_supported);
  }

  TEST_CASE("RFC 8656 §7.1: a reserved port is the next one") {
    auto o = over(transport_protocol::udp);
    o.client.even_port = turn::even_port::even_and_reserve_next;
    relay_world w{1, o};
    REQUIRE(w.allocate());
    const auto allocated = w.last<client::allocated>();
    REQUIRE(allocated);
    CHECK(allocated->relayed_ipv4->port % 2 == 0);
    CHECK(allocated->token);
  }

  TEST_CASE("RFC 8656 §11.2: DONT-FRAGMENT reaches the relay socket, or is not asked for") {
    auto o = over(transport_protocol::udp);
    o.client.dont_fragment = true;
    relay_world w{1, o};
    REQUIRE(w.allocate());
    REQUIRE(permit(w, peer_a));
    CHECK(echoes(w, peer_a, "whole"));
    CHECK(w.with_df == 1);

    o.server.dont_fragment = false;
    relay_world without{1, o};
    REQUIRE(without.allocate());
    REQUIRE(permit(without, peer_a));
    CHECK(echoes(without, peer_a, "maybe"));
    CHECK(without.with_df == 0);
  }

  TEST_CASE("A call of two hours keeps allocation, permissions and channels without a gap") {
    for (const auto protocol : {transport_protocol::udp, transport_protocol::tcp}) {
      auto o = over(protocol);
      relay_world w{1, o};
      REQUIRE(w.allocate());
      REQUIRE(permit(w, peer_a));
      REQUIRE(permit(w, peer_b));
      REQUIRE(echoes(w, peer_a, "first"));
      w.run_for(1s);
      REQUIRE(w.client.channel(peer_a));
      w.echo = false;
      const std::size_t before = w.at_peers.size();
      int sent = 0;
      for (int i = 0; i < 240; ++i) {
        w.run_for(30s);
        REQUIRE(w.client.channel(peer_a));
        REQUIRE(w.send(peer_a, "a"));
        REQUIRE(w.send({peer_b.address, static_cast<std::uint16_t>(i % 3 + 1)}, "b"));
        sent += 2;
      }
      w.run_for(1s);
      CHECK(w.at_peers.size() - before == static_cast<std::size_t>(sent));
      CHECK(w.count<client::allocation_lost>() == 0);
      CHECK(w.count<client::permission_failed>() == 0);
      CHECK(w.count<client::channel_failed>() == 0);
      CHECK(w.server.stats().no_channel == 0);
      CHECK(w.server.stats().no_permission == 0);
    }
  }

  TEST_CASE("RFC 8656 §9.1: a peer that must not be reached is refused, the others are not") {
    relay_world w{1, {}};
    REQUIRE(w.allocate());
    for (const auto text : {"127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1"})
      REQUIRE(w.client.create_permission(w.now, *weft::ip_address::parse(text)));
    REQUIRE(permit(w, peer_a));
    w.run_for(5s);
    CHECK(w.count<client::permission_failed>() == 4);
    CHECK(w.last<client::permission_failed>()->code == turn::errors::forbidden);
    CHECK(echoes(w, peer_a, "hello"));
  }

  TEST_CASE("RFC 8016: an allocation moves to another address, and channels go on") {
    for (const auto protocol : {transport_protocol::udp, transport_protocol::tcp}) {
      auto o = over(protocol);
      o.client.mobility = true;
      relay_world w{1, o};
      REQUIRE(w.allocate());
      REQUIRE(permit(w, peer_a));
      REQUIRE(echoes(w, peer_a, "before"));
      w.run_for(1s);
      for (std::uint16_t port = 41000; port < 41003; ++port) {
        w.rebind(port);
        REQUIRE(w.client.move(w.now));
        CHECK_FALSE(w.send(peer_a, "not yet"));
        REQUIRE(w.run_until(10s, [&] { return w.client.is_allocated(); }));
        CHECK(w.client.channel(peer_a));
        CHECK(echoes(w, peer_a, "after " + std::to_string(port)));
        w.close_old_connection();
      }
      CHECK(w.count<client::moved>() == 3);
      CHECK(w.count<client::channel_bound>() == 1);
      CHECK(w.server.usage().allocations == 1);
    }
  }

  TEST_CASE("RFC 8016 §3.2.2: a move that the server cannot see is one all the same") {
    auto o = over(transport_protocol::udp);
    o.client.mobility = true;
    relay_world w{1, o};
    REQUIRE(w.allocate());
    REQUIRE(w.client.move(w.now));
    REQUIRE(w.run_until(10s, [&] { return w.client.is_allocated(); }));
    CHECK(w.count<client::moved>() == 1);
  }

  TEST_CASE("Wrong credentials fail at once, and do so politely") {
    auto o = over(transport_protocol::udp);
    o.client.credentials = stun::password_credentials{"alice", "wrong"};
    relay_world w{1, o};
    CHECK_FALSE(w.allocate());
    const auto failed = w.last<client::allocation_failed>();
    REQUIRE(failed);
    CHECK(failed->code == stun::error_code::unauthenticated);
    CHECK(w.client.stats().requests_sent == 2);
  }

  TEST_CASE("RFC 8656 §5: quota and draining are told with their codes") {
    auto o = over(transport_protocol::udp);
    o.server.allocations_per_user = 1;
    relay_world full{1, o};
    REQUIRE(full.allocate());
    full.rebind(40001);
    CHECK_FALSE(full.allocate());
    CHECK(full.last<client::allocation_failed>()->code == turn::errors::allocation_quota_reached);

    relay_world draining{1, {}};
    draining.server.drain(draining.now, {{*weft::ip_address::parse("198.51.100.9"), 3478}});
    CHECK_FALSE(draining.allocate());
    const auto alternate = draining.last<client::alternate_server>();
    REQUIRE(alternate);
    CHECK(alternate->server.address == *weft::ip_address::parse("198.51.100.9"));
  }

  TEST_CASE("A server that forgets an allocation is noticed at the next request") {
    relay_world w{1, {}};
    REQUIRE(w.allocate());
    w.server.revoke(w.now, "alice");
    REQUIRE(w.client.create_permission(w.now, peer_a.address));
    w.run_for(10s);
    const auto lost = w.last<client::allocation_lost>();
    REQUIRE(lost);
    CHECK(lost->code == turn::errors::allocation_mismatch);
    REQUIRE(w.allocate());
    REQUIRE(permit(w, peer_a));
    CHECK(echoes(w, peer_a, "again"));
  }

  TEST_CASE("A dead server is noticed when it is next needed, and a dead way can be waited out") {
    relay_world w{1, {}};
    REQUIRE(w.allocate());
    REQUIRE(permit(w, peer_a));
    w.cut_off = true;
    w.run_for(35s);
    w.cut_off = false;
    CHECK(echoes(w, peer_a, "back"));
    w.cut_off = true;
    w.run_for(11min);
    CHECK(w.count<client::allocation_lost>() == 1);
  }

  TEST_CASE("Nonces that go stale all the time cost a round trip and nothing else") {
    auto o = over(transport_protocol::udp);
    o.server.authentication.nonce_lifetime = 30s;
    relay_world w{1, o};
    REQUIRE(w.allocate());
    REQUIRE(permit(w, peer_a));
    w.run_for(1h);
    CHECK(w.client.is_allocated());
    CHECK(w.client.has_permission(peer_a.address));
    CHECK(w.count<client::credentials_refused>() == 0);
    CHECK(echoes(w, peer_a, "still here"));
  }

  TEST_CASE("Every algorithm of RFC 8489 serves") {
    for (const auto& algorithms :
         {std::vector{stun::password_algorithm::sha256}, std::vector{stun::password_algorithm::md5},
          std::vector<stun::password_algorithm>{}}) {
      auto o = over(transport_protocol::udp);
      o.server.authentication.algorithms = algorithms;
      relay_world w{1, o};
      REQUIRE(w.allocate());
      REQUIRE(permit(w, peer_a));
      CHECK(echoes(w, peer_a, "hello"));
    }
    auto o = over(transport_protocol::udp);
    o.server.authentication.username_anonymity = true;
    relay_world anonymous{1, o};
    CHECK(anonymous.allocate());
  }

  TEST_CASE("Loss, reordering and duplication delay and do not break") {
    for (std::uint64_t seed = 0; seed < seeds(60); ++seed) {
      CAPTURE(seed);
      auto o = over(transport_protocol::udp);
      o.conditions = {.delay = 30ms, .jitter = 200ms, .loss_percent = 20, .duplicate_percent = 20};
      o.client.families = client::families::both;
      relay_world w{seed, o};
      REQUIRE(w.allocate());
      REQUIRE(permit(w, peer_a));
      REQUIRE(permit(w, peer_six));
      for (int i = 0; i < 10; ++i) {
        CHECK(echoes(w, peer_a, "four " + std::to_string(i)));
        CHECK(echoes(w, peer_six, "six " + std::to_string(i)));
      }
      w.run_for(20min);
      CHECK(w.client.is_allocated());
      CHECK(w.client.channel(peer_a));
      CHECK(echoes(w, peer_a, "later"));
      w.client.close(w.now);
      CHECK(w.run_until(60s, [&] { return w.count<client::closed>() == 1; }));
    }
  }

  TEST_CASE("A run follows from its seed") {
    const auto transcript = [](std::uint64_t seed) {
      auto o = over(transport_protocol::udp);
      o.conditions = {.delay = 30ms, .jitter = 100ms, .loss_percent = 10, .duplicate_percent = 10};
      relay_world w{seed, o};
      w.allocate();
      permit(w, peer_a);
      echoes(w, peer_a, "hello");
      return w.transcript();
    };
    CHECK(transcript(1) == transcript(1));
    CHECK(transcript(1) != transcript(2));
  }
}
