#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "pair.hpp"

namespace {

using namespace weft::dtls;
using namespace weft::dtls::test;

struct outcome {
  bool connected = false;
  bool delivered = false;
  weft::duration took{};
  std::uint64_t transcript = 0;
  std::uint64_t datagrams = 0;  // Of the handshake.

  bool operator==(const outcome&) const = default;
};

/// Connects over a bad network, then sends one record each way until both arrived.
outcome run(std::uint64_t seed, const weft::sim::conditions& conditions, std::size_t mtu) {
  auto client_options = options_for(role::client);
  auto server_options = options_for(role::server);
  client_options.mtu = server_options.mtu = mtu;
  pair p{seed, client_options, server_options};
  p.trust();
  p.start();

  weft::sim::network up{seed, conditions};
  weft::sim::network down{seed + 1'000'000, conditions};
  outcome o;
  weft::time_point last_sent{};
  const auto end =
      weft::sim::run(p.client, p.server, up, down, epoch, 60s, [&](weft::time_point now) {
        if (!o.connected && p.connected()) {
          o.connected = true;
          o.took = now - epoch;
        }
        return !o.connected;
      });
  // The data behind the handshake, over the same network.
  for (weft::time_point now = end; o.connected && !o.delivered && now < end + 30s; now += 10ms) {
    if (now - last_sent >= 100ms) {
      up.push(now, protect(p.client, now, "up"));
      last_sent = now;
    }
    while (auto d = up.pop(now)) p.server.handle_input(now, d->bytes);
    while (auto d = down.pop(now)) p.client.handle_input(now, d->bytes);
    o.delivered = received(p.server) == "up";
  }
  o.transcript = up.transcript() ^ down.transcript();
  o.datagrams = p.client->stats().datagrams_sent + p.server->stats().datagrams_sent;
  return o;
}

weft::sim::conditions conditions_of(std::uint64_t seed) {
  weft::seeded_random random{seed};
  weft::sim::conditions c;
  c.delay = std::chrono::milliseconds{1 + random.next() % 150};
  c.jitter = std::chrono::milliseconds{random.next() % 40};
  c.loss_percent = static_cast<unsigned>(random.next() % 31);
  c.duplicate_percent = static_cast<unsigned>(random.next() % 21);
  return c;
}

}  // namespace

TEST_SUITE("dtls/network") {
  TEST_CASE("on a perfect network the handshake is four datagrams in two round trips") {
    const outcome o = run(1, {.delay = 20ms, .jitter = {}}, 1200);
    CHECK(o.connected);
    CHECK(o.took == 80ms);
    CHECK(o.delivered);
    CHECK(o.datagrams == 4);
  }

  TEST_CASE("1000 seeds of loss to 30 %, reordering and duplication all connect in time") {
    std::vector<weft::duration> times;
    for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
      constexpr std::size_t mtus[] = {256, 400, 576, 1200, 1472};
      const outcome o = run(seed, conditions_of(seed), mtus[seed % 5]);
      CAPTURE(seed);
      REQUIRE(o.connected);
      REQUIRE(o.delivered);
      times.push_back(o.took);
    }
    std::ranges::sort(times);
    CHECK(times[500] < 1s);
    CHECK(times[950] < 4s);
    CHECK(times.back() < 20s);
  }

  TEST_CASE("at 20 % loss 95 of 100 handshakes take less than a second") {
    std::vector<weft::duration> times;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
      const outcome o = run(seed, {.delay = 20ms, .jitter = 10ms, .loss_percent = 20}, 1200);
      REQUIRE(o.connected);
      times.push_back(o.took);
    }
    std::ranges::sort(times);
    CHECK(times[94] < 1s);
  }

  TEST_CASE("no handshake datagram is longer than options::mtu") {
    for (const std::size_t mtu : {256u, 400u, 1200u}) {
      weft::sim::conditions c{.delay = 20ms, .jitter = {}};
      c.mtu = mtu;  // What is longer vanishes.
      CAPTURE(mtu);
      CHECK(run(1, c, mtu).connected);
    }
  }

  TEST_CASE("one seed gives one transcript, keys and signatures included") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      const outcome first = run(seed, conditions_of(seed), 1200);
      CHECK(first == run(seed, conditions_of(seed), 1200));
      CHECK(first.transcript != run(seed + 100, conditions_of(seed), 1200).transcript);
    }
  }
}
