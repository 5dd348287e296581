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
    CHECK(w.a.ice.selected_pair() == five_tuple{at("10.0.0.1"), at("10.0.0.2")});
    CHECK(w.b.ice.selected_pair() == five_tuple{at("10.0.0.2"), at("10.0.0.1")});
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

  struct natted : two_hosts {
    explicit natted(std::uint64_t seed, bool strict_a = false)
        : two_hosts{seed,
                    {.delay = 10ms},
                    [] {
                      agent::options o;
                      o.stun_servers = {{at("198.51.100.1", 3478), "stun:one"}};
                      return o;
                    }()},
          home_a{"203.0.113.1", strict_a} {
      a.behind = &home_a;
      b.behind = &home_b;
      servers[at("198.51.100.1", 3478)] = &server;
      add_socket(a, at("192.168.1.2"));
      add_socket(b, at("192.168.2.2"));
    }
    nat home_a;
    nat home_b{"203.0.113.2", false};
    stun::binding_server server;
  };

  TEST_CASE("hosts behind two NATs meet at their server-reflexive addresses") {
    natted w{1};
    w.introduce(w.a, w.b);
    w.a.ice.gather(w.now);
    w.b.ice.gather(w.now);
    CHECK(w.connect(w.a, w.b));
    CHECK(w.a.ice.selected_pair() == five_tuple{at("192.168.1.2"), at("203.0.113.2", 40000)});
    CHECK(w.b.ice.selected_pair() == five_tuple{at("192.168.2.2"), at("203.0.113.1", 40000)});
  }

  TEST_CASE("a NAT with a port for each destination is met at a peer-reflexive address") {
    natted w{1, true};
    w.home_b = nat{"203.0.113.2", false};
    w.b.behind = nullptr;  // b can be reached by whoever knows its address.
    w.introduce(w.a, w.b);
    w.a.ice.gather(w.now);
    w.b.ice.gather(w.now);
    CHECK(w.connect(w.a, w.b));
    CHECK(w.b.ice.selected_pair()->remote.address == at("203.0.113.1").address);
    for (const candidate& c : w.b.ice.remote_candidates())
      CHECK(c.address != w.b.ice.selected_pair()->remote);
    const auto mapped = w.a.ice.local_candidates();
    CHECK(std::ranges::any_of(
        mapped, [](const candidate& c) { return c.type == candidate_type::peer_reflexive; }));
  }

  TEST_CASE("names of both sides are resolved on the way") {
    two_hosts w{1};
    w.add_socket(w.a, at("10.0.0.1"));
    w.add_socket(w.b, at("10.0.0.2"));
    w.trickle = false;
    w.introduce(w.a, w.b);
    w.a.names["b.local"] = at("10.0.0.2").address;
    candidate c;
    c.foundation = "1";
    c.priority = candidate_priority(candidate_type::host, 65535);
    c.name = "b.local";
    c.address.port = 5000;
    REQUIRE(w.a.ice.add_remote_candidate(w.now, c));
    CHECK(w.connect(w.a, w.b));
  }

  TEST_CASE("a restart moves to a new network without a gap") {
    two_hosts w{5};
    w.add_socket(w.a, at("10.0.0.1"));
    w.add_socket(w.b, at("10.0.0.2"));
    w.introduce(w.a, w.b);
    w.a.ice.gather(w.now);
    w.b.ice.gather(w.now);
    REQUIRE(w.connect(w.a, w.b));
    w.run(10s);
    w.a.ice.restart(w.now);
    w.b.ice.restart(w.now);
    CHECK(w.a.ice.selected_pair());
    w.add_socket(w.a, at("10.0.9.1"));
    w.introduce(w.a, w.b);
    for (const candidate& c : w.b.ice.local_candidates())
      REQUIRE(w.a.ice.add_remote_candidate(w.now, c));
    for (const candidate& c : w.a.ice.local_candidates())
      if (c.address == at("10.0.9.1")) REQUIRE(w.b.ice.add_remote_candidate(w.now, c));
    w.a.sockets.erase(w.a.sockets.begin());  // The old network is gone.
    CHECK(w.run(5s, [&] {
      const auto now_at = w.a.ice.selected_pair();
      const auto seen_at = w.b.ice.selected_pair();
      return now_at && seen_at && now_at->local == at("10.0.9.1") &&
             seen_at->remote == at("10.0.9.1");
    }));
  }

  bool agree(const world& w, const host& a, const host& b, const endpoint& of_a) {
    (void)w;
    const auto there = a.ice.selected_pair();
    const auto back = b.ice.selected_pair();
    return there && back && there->local == of_a && back->remote == of_a;
  }

  TEST_CASE("a host that changes networks goes on without signalling, in either role") {
    for (const bool mover_controls : {true, false}) {
      for (const bool old_goes_first : {true, false}) {
        CAPTURE(mover_controls);
        CAPTURE(old_goes_first);
        two_hosts w{11};
        host& mover = mover_controls ? w.a : w.b;
        host& other = mover_controls ? w.b : w.a;
        w.add_socket(mover, at("10.0.0.1"));
        w.add_socket(other, at("10.0.0.2"));
        w.introduce(w.a, w.b);
        w.a.ice.gather(w.now);
        w.b.ice.gather(w.now);
        REQUIRE(w.connect(w.a, w.b));
        w.trickle = false;  // From here on nothing is signalled.
        w.run(30s);
        const time_point moved = w.now;
        if (old_goes_first) {
          w.remove_socket(mover, at("10.0.0.1"));
          w.run(1s);
          CHECK(mover.ice.current_state() == state::disconnected);
          w.add_socket(mover, at("10.0.9.1"));
        } else {
          w.add_socket(mover, at("10.0.9.1"));
          w.run(1s);
          w.remove_socket(mover, at("10.0.0.1"));
        }
        CHECK(w.run(20s, [&] { return agree(w, mover, other, at("10.0.9.1")); }));
        CHECK(w.now - moved <= 4s);
        w.run(60s);
        CHECK(agree(w, mover, other, at("10.0.9.1")));
        CHECK(world::is_connected(w.a.ice));
        CHECK(world::is_connected(w.b.ice));
        CHECK(w.a.ice.stats().checks_sent < 60);
        CHECK(w.b.ice.stats().checks_sent < 60);
      }
    }
  }

  TEST_CASE("a host that loses the better of two networks moves to the other, and stays") {
    for (std::uint64_t seed = 0; seed < weft::test::seeds(100); ++seed) {
      CAPTURE(seed);
      two_hosts w{seed, {.delay = 20ms, .jitter = 20ms, .loss_percent = 10}};
      for (const char* address : {"10.0.0.1", "10.0.5.1"}) w.add_socket(w.a, at(address));
      w.add_socket(w.b, at("10.0.0.2"));
      w.a.ice.set_renomination();
      w.b.ice.set_renomination();
      w.introduce(w.a, w.b);
      w.a.ice.gather(w.now);
      w.b.ice.gather(w.now);
      REQUIRE(w.connect(w.a, w.b));
      w.run(20s);
      const endpoint lost = w.a.ice.selected_pair()->local;
      const endpoint left = lost == at("10.0.0.1") ? at("10.0.5.1") : at("10.0.0.1");
      w.remove_socket(w.a, lost);
      CHECK(w.run(20s, [&] { return agree(w, w.a, w.b, left); }));
      w.run(60s);
      CHECK(agree(w, w.a, w.b, left));
    }
  }

  TEST_CASE("a lite agent is reached by a full one at every seed, and keeps the path") {
    for (std::uint64_t seed = 0; seed < weft::test::seeds(100); ++seed) {
      CAPTURE(seed);
      world w{seed, {.delay = 20ms, .jitter = 20ms, .loss_percent = 20}};
      agent::options lite;
      lite.kind = implementation_kind::lite;
      host a{seed * 2 + 1, {}}, b{seed * 2 + 2, lite};
      w.hosts = {&a, &b};
      a.ice.set_remote_lite();
      w.add_socket(a, at("10.0.0.1"));
      w.add_socket(b, at("203.0.113.9"));
      w.introduce(a, b);
      a.ice.gather(w.now);
      b.ice.gather(w.now);
      REQUIRE(w.connect(a, b));
      CHECK(b.ice.stats().checks_sent == 0);
      w.net.set_conditions({.delay = 20ms});
      w.run(120s);
      CHECK(world::is_connected(a.ice));
      CHECK(world::is_connected(b.ice));
      CHECK(b.ice.stats().consent_sent == 0);
    }
  }

  TEST_CASE("one seed gives one transcript") {
    const auto transcript = [](std::uint64_t seed) {
      two_hosts w{seed, {.delay = 20ms, .jitter = 30ms, .loss_percent = 20}};
      w.add_socket(w.a, at("10.0.0.1"));
      w.add_socket(w.b, at("10.0.0.2"));
      w.introduce(w.a, w.b);
      w.a.ice.gather(w.now);
      w.b.ice.gather(w.now);
      w.run(60s);
      return w.net.transcript();
    };
    CHECK(transcript(1) == transcript(1));
    CHECK(transcript(1) != transcript(2));
  }
}

}  // namespace
}  // namespace weft::ice::test
