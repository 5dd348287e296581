#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include <weft/stun/binding_client.hpp>
#include <weft/stun/binding_server.hpp>

#include "support/seeds.hpp"
#include "support/sim.hpp"

namespace {

using namespace std::chrono_literals;
using namespace weft::stun;

const weft::endpoint server_address{*weft::ip_address::parse("203.0.113.7"), 3478};
const weft::endpoint client_address{*weft::ip_address::parse("10.0.0.2"), 1234};
const weft::endpoint translated{*weft::ip_address::parse("198.51.100.1"), 61000};

struct outcome {
  std::optional<binding_client::event> event;
  std::uint64_t transcript = 0;
  std::uint64_t requests = 0;
};

// A client behind a NAT asks a server over a bad network until it has an event.
outcome ask(std::uint64_t seed, const weft::sim::conditions& conditions, bool authenticated) {
  weft::seeded_random random{seed};
  weft::sim::network network{seed + 1, conditions};
  binding_client::options client_options;
  binding_server::options server_options;
  if (authenticated) {
    client_options.credentials.emplace("user", "password");
    server_options.credentials.emplace("user", "password");
  }
  binding_client client{random, server_address, client_options};
  binding_server server{server_options};

  outcome o;
  weft::time_point now{};
  client.start(now);
  std::array<std::uint8_t, weft::max_datagram_size> buffer;
  for (;;) {
    while (const auto t = client.poll_transmit(now, buffer))
      network.push(now, translated, t->remote, t->bytes);
    if (const auto event = client.poll_event()) {
      CHECK_FALSE(o.event);
      o.event = event;
    }
    const auto next = weft::earliest(client.poll_timeout(), network.next_arrival());
    if (!next) break;
    now = std::max(now, *next);
    while (const auto p = network.pop(now)) {
      if (p->to == server_address) {
        if (const auto response = server.respond(p->from, p->bytes, buffer))
          network.push(now, server_address, p->from, *response);
      } else {
        CHECK(client.handle_input(now, p->from, p->bytes));
      }
    }
    client.handle_timeout(now);
  }
  o.transcript = network.transcript();
  o.requests = client.stats().requests_sent;
  return o;
}

}  // namespace

TEST_SUITE("stun/binding_network") {
  TEST_CASE("the address is found over every network that lets one exchange through") {
    const std::uint64_t seeds = weft::test::seeds(1000);
    int found = 0;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      CAPTURE(seed);
      const weft::sim::conditions conditions{
          .delay = std::chrono::milliseconds{seed % 7 * 60},
          .jitter = std::chrono::milliseconds{seed % 5 * 200},
          .loss_percent = static_cast<unsigned>(seed % 31),
          .duplicate_percent = static_cast<unsigned>(seed % 3 * 20)};
      const outcome o = ask(seed, conditions, seed % 2 != 0);
      REQUIRE(o.event);
      CHECK(o.requests <= 7);
      if (std::holds_alternative<binding_client::timed_out>(*o.event)) {
        CHECK(o.requests == 7);
        CHECK(conditions.loss_percent > 0);
        continue;
      }
      CHECK(*o.event ==
            binding_client::event{binding_client::address_discovered{server_address, translated}});
      ++found;
    }
    // With 30 % loss each way an exchange fails in half the cases, all seven in 1 of 128.
    CHECK(found > static_cast<int>(seeds) * 98 / 100);
  }

  TEST_CASE("a network that loses everything ends in a timeout after seven requests") {
    const outcome o = ask(1, {.loss_percent = 100}, false);
    CHECK(o.requests == 7);
    CHECK(o.event == binding_client::event{binding_client::timed_out{server_address}});
  }

  TEST_CASE("one seed gives one transcript") {
    const weft::sim::conditions bad{.jitter = 700ms, .loss_percent = 30, .duplicate_percent = 30};
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      const outcome first = ask(seed, bad, true), second = ask(seed, bad, true);
      CHECK(first.transcript == second.transcript);
      CHECK(first.event == second.event);
    }
    CHECK(ask(1, bad, true).transcript != ask(2, bad, true).transcript);
  }
}
