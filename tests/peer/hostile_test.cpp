#include <doctest/doctest.h>

#include "attacker.hpp"
#include "call.hpp"

using namespace std::chrono_literals;
using namespace weft::peer;
using weft::endpoint;
using weft::peer::test::address;
using weft::peer::test::attacker;
using weft::peer::test::call;

namespace {

/// Hands hostile datagrams to both sides, from somewhere else and, where `spoofed`, as if from
/// the other side. Returns how many datagrams went to an address that is not the other side's.
std::size_t attack(call& c, attacker& mallory, std::size_t datagrams, bool spoofed) {
  std::size_t answers = 0;
  std::array<std::uint8_t, weft::max_datagram_size> buffer;
  for (std::size_t i = 0; i < datagrams; ++i) {
    const auto packet = mallory.next();
    for (auto* s : {&c.a, &c.b}) {
      const auto& other = s == &c.a ? c.b : c.a;
      const endpoint from = spoofed ? other.local : address(66, static_cast<std::uint16_t>(i));
      s->peer.handle_input(c.now, s->local, from, packet);
      while (auto t = s->peer.poll_transmit(c.now, buffer)) {
        answers += t->remote != other.local;
        c.net.push(c.now, t->local, t->remote, t->bytes);
      }
    }
  }
  return answers;
}

}  // namespace

TEST_SUITE("peer/hostile") {
  TEST_CASE("100,000 hostile datagrams in mid call change nothing") {
    call c{1};
    const auto channel = *c.a.peer.create_data_channel(c.now, "chat");
    c.negotiate();
    REQUIRE(c.connect());
    attacker mallory{1};
    std::size_t answers = 0;
    for (int round = 0; round < 50; ++round) {
      REQUIRE(c.a.peer.send(c.now, channel, "round " + std::to_string(round)));
      answers += attack(c, mallory, 1000, false);
      answers += attack(c, mallory, 1000, true);
      c.run(50ms);
    }
    REQUIRE(c.run(10s, [&] { return c.b.messages[c.b.opened[0]].size() == 50; }));
    CHECK(answers == 0);
    CHECK(c.a.peer.state() == connection_state::connected);
    CHECK(c.b.peer.state() == connection_state::connected);
    CHECK(c.a.peer.stats().unvalidated_datagrams > 10000);
    for (const auto* s : {&c.a, &c.b}) {
      CHECK(s->closed.empty());
      CHECK(s->count<connection::connection_state_changed>() == 2);
    }
  }

  TEST_CASE("hostile datagrams from elsewhere before and during set-up do not hinder it") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      CAPTURE(seed);
      call c{seed};
      REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
      attacker mallory{seed};
      attack(c, mallory, 100, false);
      c.negotiate();
      attack(c, mallory, 100, false);
      for (int i = 0; i < 40; ++i) {
        c.run(5ms);
        attack(c, mallory, 20, false);
      }
      CHECK(c.connect(1, 5s));
    }
  }

  TEST_CASE("hostile datagrams that bear the other side's address delay set-up at most") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      CAPTURE(seed);
      call c{seed};
      REQUIRE(c.a.peer.create_data_channel(c.now, "chat"));
      attacker mallory{seed};
      c.negotiate();
      for (int i = 0; i < 40; ++i) {
        c.run(5ms);
        attack(c, mallory, 5, true);
      }
      CHECK(c.connect(1, 30s));
    }
  }
}
