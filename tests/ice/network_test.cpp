#include <doctest/doctest.h>

#include "support/seeds.hpp"
#include "world.hpp"

namespace weft::ice::test {
namespace {

struct two_hosts : world {
  explicit two_hosts(std::uint64_t seed, const sim::conditions& c = {.delay = 10ms},
                     const agent::options& opts = {})
      : world{seed, c}, a{seed * 2 + 1, opts}, b{seed * 2 + 2, [&] {
                                                   auto o = opts;
                                                   o.role = role::controlled;
                                                   return o;
                                                 }()} {
    hosts = {&a, &b};
  }

  host a;
  host b;
};

TEST_SUITE("ice over simulated networks") {
  TEST_CASE("two hosts on one network connect in two round trips") {
    two_hosts w{1};
    w.add_socket(w.a, at("10.0.0.1"));
    w.add_socket(w.b, at("10.0.0.2"));
    w.introduce(w.a, w.b);
    w.a.ice.gather(w.now);
    w.b.ice.gather(w.now);
    CHECK(w.connect(w.a, w.b));
    CHECK(w.now - time_point{} <= 40ms);
    CHECK(w.a.ice.selected_pair() == endpoint_pair{at("10.0.0.1"), at("10.0.0.2")});
    CHECK(w.b.ice.selected_pair() == endpoint_pair{at("10.0.0.2"), at("10.0.0.1")});
    CHECK(w.a.ice.current_state() == state::completed);
    CHECK(w.b.ice.current_state() == state::completed);
    CHECK(w.a.ice.round_trip() == duration{20ms});
  }

  TEST_CASE("every seed connects at up to 30 % loss, with jitter and duplicates") {
    std::uint64_t failed = 0;
    const std::uint64_t count = weft::test::seeds(1000);
    for (std::uint64_t seed = 0; seed < count; ++seed) {
      seeded_random random{seed};
      const auto pick = [&](std::uint64_t n) { return random.next() % n; };
      two_hosts w{seed,
                  {.delay = std::chrono::milliseconds{pick(200)},
                   .jitter = std::chrono::milliseconds{pick(100)},
                   .loss_percent = static_cast<unsigned>(pick(31)),
                   .duplicate_percent = static_cast<unsigned>(pick(31))}};
      CAPTURE(seed);
      const auto addresses = 1 + pick(3);
      for (std::uint64_t i = 0; i < addresses; ++i) {
        w.add_socket(w.a, at("10.0.0." + std::to_string(1 + i)));
        w.add_socket(w.b, at("10.0.1." + std::to_string(1 + i)));
      }
      if (pick(4) == 0) w.b.ice.set_role(role::controlling);
      if (pick(4) == 0) w.a.ice.set_role(role::controlled);
      world::introduce(w.now, w.a, w.b);
      w.a.ice.gather(w.now);
      w.run(std::chrono::milliseconds{pick(500)});
      world::introduce(w.now, w.b, w.a);
      w.b.ice.gather(w.now);
      const bool connected = w.connect(w.a, w.b, 150s);
      const auto is_over = [](const agent& x) {
        return world::is_connected(x) || x.current_state() == state::failed ||
               x.current_state() == state::disconnected;
      };
      failed += !connected;
      if (!connected) {
        CHECK((is_over(w.a.ice) || is_over(w.b.ice)));
        continue;
      }
      CHECK(w.a.ice.current_role() != w.b.ice.current_role());
      w.net.set_conditions({.delay = 10ms});
      w.run(20s);
      REQUIRE(w.a.ice.selected_pair());
      REQUIRE(w.b.ice.selected_pair());
      CHECK(w.a.ice.selected_pair()->local == w.b.ice.selected_pair()->remote);
      CHECK(w.a.ice.selected_pair()->remote == w.b.ice.selected_pair()->local);
      CHECK(w.a.ice.stats().checks_sent < 200);
      CHECK(w.spins < 20);
    }
    CHECK(failed * 200 <= count);
  }
}

}  // namespace
}  // namespace weft::ice::test
