#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>

#include "nat_kinds.hpp"
#include "support/seeds.hpp"
#include "world.hpp"

namespace weft::internet_test {
namespace {

using sim::firewall;

/// Anything that can lie between two sides, drawn from a seed; and whether they connect.
class random_cell : public world {
 public:
  explicit random_cell(std::uint64_t seed) : world{seed}, random_{seed + 1'000'000} {
    draw_link();
    add_stun_server("198.51.100.1");
    add_relay_server({"198.51.100.3"}, open_relay_options());
    const auto drawn = pick(4);
    const bool one_gateway = drawn == 0;
    std::array walls{draw_firewall(), draw_firewall()};
    if (one_gateway) walls[1] = walls[0];
    for (std::size_t i = 0; i < 2; ++i) add_side(walls[i], sides_[i]);
    if (pick(8) == 0) b().transport.set_role(ice::role::controlling);
    if (one_gateway)
      draw_one_home(walls[0]);
    else if (drawn == 1)
      draw_one_carrier(walls);
    else
      draw_two_homes(walls);
  }

  /// A relay takes part if a side has one that its firewall lets it reach, and the other side
  /// reaches that: by UDP, or from a relay of its own.
  bool theory() const {
    const auto& [one, other] = sides_;
    const bool relayed =
        (one.relay && (other.udp || other.relay)) || (other.relay && (one.udp || one.relay));
    return is_direct_ || relayed;
  }
  std::uint64_t pick(std::uint64_t n) { return random_.next() % n; }
  internet::network home_of_a() const { return home_of_a_; }

 private:
  struct reach {
    bool udp = true;     ///< To the public network.
    bool relay = false;  ///< It has one, and gets there.
  };

  void draw_link() {
    net.set_link(internet::public_network, {.delay = std::chrono::milliseconds{pick(120)},
                                            .jitter = std::chrono::milliseconds{pick(60)},
                                            .loss_percent = static_cast<unsigned>(pick(11)),
                                            .duplicate_percent = static_cast<unsigned>(pick(6))});
  }
  firewall draw_firewall() {
    const auto drawn = pick(10);
    if (drawn > 1) return firewall::none;
    return drawn == 0 ? firewall::no_udp : firewall::tls_on_443;
  }
  sim::nat::options draw_nat(std::size_t kind) {
    auto n = nat_of_kind(nat_kinds[kind]);
    n.ports = static_cast<sim::port_assignment>(pick(3));
    n.hairpin = pick(2) == 0;
    n.inbound_refresh = pick(2) == 0;
    return n;
  }

  void add_side(firewall f, reach& side) {
    side.udp = f == firewall::none;
    std::vector<peer::ice_server> servers;
    if (pick(4) == 0) servers.push_back({{"stun:198.51.100.8"}});  // These two are dead.
    if (pick(4) == 0) servers.push_back(relay_user({"turn:198.51.100.9"}));
    servers.push_back({{"stun:198.51.100.1"}});
    if (pick(4) == 0) {
      servers.push_back(relay_user({"turn:relay.example.org"}));
      side.relay |= f == firewall::none;
    }
    if (pick(4) == 0) {
      servers.push_back(relay_user({"turn:198.51.100.3?transport=tcp"}));
      side.relay |= f != firewall::tls_on_443;
    }
    if (pick(4) == 0) {
      servers.push_back(relay_user({"turns:relay.example.org:443?transport=tcp"}));
      side.relay = true;
    }
    peer::ice_transport::options opts;
    opts.servers = std::move(servers);
    add_party(opts).names = {{"relay.example.org", {ip("198.51.100.3")}}};
  }

  void draw_two_homes(const std::array<firewall, 2>& walls) {
    const std::size_t kind_b = pick(9);
    const auto home_b = net.add_network(
        {.address = ip("203.0.113.2"), .nat = draw_nat(kind_b), .firewall = walls[1]});
    b().add_interface(now, home_b, "192.168.0.3");
    const auto homes = 1 + pick(3);
    for (std::uint64_t i = 0; i < homes; ++i) {
      const std::size_t kind_a = pick(9);
      home_of_a_ = net.add_network({.address = ip("203.0.113." + std::to_string(10 + i)),
                                    .nat = draw_nat(kind_a),
                                    .firewall = walls[0]});
      a().add_interface(now, home_of_a_, "192.168." + std::to_string(i) + ".2");
      is_direct_ |= connects_directly(kind_a, kind_b) && sides_[0].udp && sides_[1].udp;
    }
  }
  void draw_one_home(firewall wall) {
    const std::size_t kind = pick(9);
    const bool isolated = pick(2) == 0;
    const auto n = draw_nat(kind);
    home_of_a_ = net.add_network(
        {.address = ip("203.0.113.1"), .nat = n, .firewall = wall, .isolated = isolated});
    a().add_interface(now, home_of_a_, "192.168.1.2");
    b().add_interface(now, home_of_a_, "192.168.1.3");
    is_direct_ = !isolated || (n.hairpin && connects_directly(kind, kind) && sides_[0].udp);
  }
  /// The NATs at home let everything pass, so that it is the carrier's that counts.
  void draw_one_carrier(const std::array<firewall, 2>& walls) {
    const std::size_t kind = pick(9);
    const auto n = draw_nat(kind);
    const auto carrier =
        net.add_network({.address = ip("203.0.113.1"), .nat = n, .isolated = pick(2) == 0});
    home_of_a_ = net.add_network({.outer = carrier,
                                  .address = ip("100.64.0.2"),
                                  .nat = nat_of_kind("EE"),
                                  .firewall = walls[0]});
    const auto home_b = net.add_network({.outer = carrier,
                                         .address = ip("100.64.0.3"),
                                         .nat = nat_of_kind("EE"),
                                         .firewall = walls[1]});
    a().add_interface(now, home_of_a_, "192.168.1.2");
    b().add_interface(now, home_b, "192.168.1.2");
    is_direct_ = n.hairpin && connects_directly(kind, kind) && sides_[0].udp && sides_[1].udp;
  }

  seeded_random random_;
  std::array<reach, 2> sides_;
  bool is_direct_ = false;
  internet::network home_of_a_{};
};

/// Something goes wrong in mid call, and the application restarts ICE.
void interfere(random_cell& w) {
  switch (w.pick(5)) {
    case 0:  // Nothing does: it restarts because it wants to.
      break;
    case 1:
      w.net.translator(w.home_of_a()).reboot();
      break;
    case 2:
      w.relays.front()->restart(w.now);
      break;
    case 3: {
      // The same network, and another address.
      const endpoint old = w.a().interfaces().back();
      w.a().remove_interface(w.now, old);
      w.a().add_interface(w.now, w.home_of_a(), "192.168.77.7");
      break;
    }
    default:
      w.b().transport.restart(w.now);  // Both at once.
  }
  w.run(std::chrono::milliseconds{w.pick(3000)});
  w.restart(w.pick(2) == 0 ? w.a() : w.b());
}

/// A call, a mishap and what became of it, as one number to compare runs by.
std::uint64_t run_cell(std::uint64_t seed) {
  CAPTURE(seed);
  random_cell w{seed};
  w.introduce();
  const bool connected = w.connect(90s);
  CHECK(connected == w.theory());
  for (const party* p : {&w.a(), &w.b()}) {
    CHECK(p->most_at_once <= 30);
    CHECK(p->transport.ice_stats().checks_sent <= 256);
  }
  if (!connected) {
    CHECK(w.a().transport.current_state() == ice::state::failed);
    CHECK(w.b().transport.current_state() == ice::state::failed);
    return w.net.transcript();
  }
  w.run(std::chrono::milliseconds{w.pick(5000)});
  CHECK((w.a().transport.current_role() != w.b().transport.current_role()));
  interfere(w);
  w.net.set_link(internet::public_network, {.delay = 20ms});
  w.run(20s);
  // What a side finds out about its relays only now comes too late for that restart.
  if (!w.are_connected()) w.restart(w.a());
  CHECK(w.connect());
  w.a().talks = w.b().talks = true;
  const auto since = w.now;
  w.run(5s);
  CHECK(w.a().longest_silence(since, w.now) <= 1s);
  CHECK(w.b().longest_silence(since, w.now) <= 1s);
  return w.net.transcript();
}

TEST_SUITE("random calls") {
  TEST_CASE("every seed connects exactly if theory says so, and again after a mishap") {
    const std::uint64_t count = weft::test::seeds(1000);
    for (std::uint64_t seed = 0; seed < count; ++seed) run_cell(seed);
  }

  TEST_CASE("a call is the same again with the same seed, whoever compiled it") {
    std::uint64_t last = 0;
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      const std::uint64_t transcript = run_cell(seed);
      CHECK(transcript == run_cell(seed));
      CHECK(transcript != last);
      last = transcript;
      MESSAGE("transcript of seed ", seed, ": ", transcript);
    }
  }
}

}  // namespace
}  // namespace weft::internet_test
