#include <doctest/doctest.h>

#include "scripted_peer.hpp"
#include "support/allocation_counter.hpp"

namespace weft::ice::test {
namespace {

TEST_SUITE("ice and attackers") {
  TEST_CASE("100,000 datagrams of strangers change nothing and get no answer") {
    scripted_peer p{role::controlled};
    p.meet(at("10.0.0.2"));
    p.answer(p.poll_one());
    p.send_check({.from = at("10.0.0.2"), .use_candidate = true});
    p.poll();
    const auto selected = p.ice.selected_pair();
    REQUIRE(selected);
    const auto deadline = p.ice.poll_timeout();
    const auto state_before = p.ice.current_state();
    while (p.ice.poll_event()) {
    }

    seeded_random random{3};
    const endpoint stranger = at("10.0.0.66");
    const bytes request = p.make_check({.from = stranger, .password = std::string(24, 'x')});
    for (int i = 0; i < 100000; ++i) {
      bytes attack = request;
      if (i % 2 == 0) {
        attack.resize(20 + random.next() % 8 * 4);
        random.fill(std::span{attack}.subspan(8));
        attack[0] = static_cast<std::uint8_t>(random.next() & 1);
        attack[1] = static_cast<std::uint8_t>(random.next() & 0x11);
        attack[2] = 0;
        attack[3] = static_cast<std::uint8_t>(attack.size() - 20);
      } else {
        attack[random.next() % attack.size()] ^= static_cast<std::uint8_t>(1 + random.next() % 255);
      }
      p.ice.handle_input(p.now, at("10.0.0.1"), i % 4 < 2 ? stranger : at("10.0.0.2"), attack);
    }
    CHECK(p.poll().empty());
    CHECK(p.ice.selected_pair() == selected);
    CHECK(p.ice.current_state() == state_before);
    CHECK(p.ice.poll_timeout() == deadline);
    CHECK_FALSE(p.ice.poll_event());
    CHECK_FALSE(p.ice.is_valid_path(at("10.0.0.1"), stranger));
  }

  TEST_CASE(
      "1,000 candidates at one victim cost it a bounded number of packets (RFC 8445 §19.5.1)") {
    scripted_peer p{role::controlling};
    for (int i = 2; i <= 8; ++i)
      REQUIRE(p.ice.add_local_address(p.now, at("10.0.0." + std::to_string(i))));
    p.meet();
    std::size_t taken = 0;
    std::size_t packets = 0;
    for (std::uint16_t i = 0; i < 1000; ++i) {
      taken +=
          p.ice
              .add_remote_candidate(
                  p.now, scripted_peer::host(at("192.0.2.1", static_cast<std::uint16_t>(1000 + i)),
                                             static_cast<std::uint16_t>(i + 1)))
              .has_value();
      packets += p.wait(100ms).size();
    }
    CHECK(taken == 100);
    packets += p.wait(10min).size();
    CHECK(packets <= 256 * 7);
    CHECK(p.ice.stats().checks_sent <= 256);
  }

  TEST_CASE("who knows the password still cannot fill more than the bounds") {
    scripted_peer p{role::controlled};
    p.meet();
    for (int i = 0; i < 1000; ++i) {
      p.send_check({.from = at("10.1.0.1", static_cast<std::uint16_t>(1 + i))});
      if (i % 50 == 0) p.poll();
    }
    p.poll();
    CHECK(p.ice.stats().overflowed > 0);
    CHECK(p.ice.stats().checks_sent <= 100);
    CHECK(p.ice.remote_candidates().empty());
  }

  TEST_CASE("an authentic check that a stranger repeats triggers one check every Ta, not more") {
    scripted_peer p{role::controlled};
    p.meet();
    const bytes request = p.make_check({.from = at("10.0.0.66"), .use_candidate = true});
    std::size_t checks = 0;
    for (int i = 0; i < 1000; ++i) {  // For one second.
      p.ice.handle_input(p.now, at("10.0.0.1"), at("10.0.0.66"), request);
      for (const sent& s : p.poll()) checks += s.is_request();
      p.now += 1ms;
      p.ice.handle_timeout(p.now);
    }
    CHECK(checks > 1);
    CHECK(checks <= 50);
    CHECK_FALSE(p.ice.selected_pair());
  }

  TEST_CASE("ports of one address that never answer are learned within a bound") {
    scripted_peer p{role::controlled};
    p.meet();
    for (std::uint16_t i = 0; i < 60; ++i)
      p.send_check({.from = at("10.1.0.1", static_cast<std::uint16_t>(1 + i))});
    CHECK(p.poll().size() == 60 + 8);
    p.send_check({.from = at("10.1.0.2")});
    CHECK(p.poll().size() == 2);
  }

  TEST_CASE("early checks are remembered within a bound") {
    scripted_peer p{role::controlled};
    for (int i = 0; i < 60; ++i) p.send_check({.from = at("10.1.0." + std::to_string(1 + i))});
    CHECK(p.poll().size() == 60);
    p.meet();
    CHECK(p.poll().size() == 16);
  }

  TEST_CASE("the data path allocates nothing") {
    scripted_peer p{role::controlling};
    p.meet(at("10.0.0.2"));
    p.answer(p.poll_one());
    p.answer(p.poll_one());
    REQUIRE(p.ice.selected_pair());
    while (p.ice.poll_event()) {
    }
    std::array<std::uint8_t, 1500> buffer;
    const auto before = weft::test::allocations();
    bool good = true;
    for (int i = 0; i < 100; ++i) {
      good = good && p.ice.selected_pair() && p.ice.is_valid_path(at("10.0.0.1"), at("10.0.0.2")) &&
             !p.ice.poll_event() && !p.ice.poll_transmit(p.now, buffer) && p.ice.poll_timeout();
      p.ice.handle_timeout(p.now);
    }
    CHECK(good);
    CHECK(weft::test::allocations() == before);
  }
}

}  // namespace
}  // namespace weft::ice::test
