#include <doctest/doctest.h>

#include <vector>

#include "call.hpp"

using namespace std::chrono_literals;
using namespace weft::peer;
using weft::endpoint;
using weft::peer::test::address;
using weft::peer::test::call;

namespace {

using bytes = std::vector<std::uint8_t>;

/// Somebody who sees neither signalling nor the path, and sends what hurts most elsewhere.
class attacker {
 public:
  explicit attacker(std::uint64_t seed) : random_{seed} {}

  bytes next() {
    switch (random_.next() % 6) {
      case 0:
        return noise(1 + random_.next() % 200);
      case 1:
        return stun(0x0001);  // Binding request
      case 2:
        return stun(0x0101);  // Success response
      case 3:
        return client_hello();
      case 4:
        return {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40};  // Fatal handshake_failure.
      default:
        return sctp_abort();
    }
  }

 private:
  bytes noise(std::size_t size) {
    bytes out(size);
    random_.fill(out);
    return out;
  }

  bytes stun(std::uint16_t type) {
    bytes out = noise(20);
    const std::uint8_t head[] = {static_cast<std::uint8_t>(type >> 8),
                                 static_cast<std::uint8_t>(type),
                                 0,
                                 0,
                                 0x21,
                                 0x12,
                                 0xa4,
                                 0x42};
    std::ranges::copy(head, out.begin());
    return out;
  }

  bytes client_hello() {
    bytes out{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0,  0,    54,  1,
              0,  0,    42,   0, 0, 0, 0, 0, 0, 0, 42, 0xfe, 0xfd};
    const bytes random = noise(32);
    out.insert(out.end(), random.begin(), random.end());
    // No session, no cookie, one suite (NULL with SHA), no compression.
    const std::uint8_t tail[] = {0, 0, 0, 2, 0, 2, 1, 0};
    out.insert(out.end(), std::begin(tail), std::end(tail));
    return out;
  }

  static bytes sctp_abort() { return {0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 6, 1, 0, 4}; }

  weft::seeded_random random_;
};

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
