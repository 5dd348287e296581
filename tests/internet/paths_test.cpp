#include <doctest/doctest.h>

#include <string>

#include "nat_kinds.hpp"
#include "world.hpp"

namespace weft::internet_test {
namespace {

/// A host with an interface in each of several networks, and one that has a public address.
struct many_paths : world {
  explicit many_paths(bool both_have_relays = false) : world{1} {
    add_stun_server("198.51.100.1");
    if (both_have_relays) add_relay_server({"198.51.100.3"}, open_relay_options());
    for (int i = 0; i < 2; ++i) {
      peer::ice_transport::options opts;
      opts.servers = {{{"stun:198.51.100.1"}}};
      if (both_have_relays) opts.servers.push_back(relay_user({"turn:198.51.100.3"}));
      add_party(opts);
    }
    b().add_interface(now, internet::public_network, "198.51.100.7");
    signals_end = false;
  }

  internet::network add_home(std::string_view outside, std::string_view kind = "EP") {
    return net.add_network({.address = ip(outside), .nat = nat_of_kind(kind)});
  }
  void talk() { a().talks = b().talks = true; }
  duration silence(time_point since) const {
    return std::max(a().longest_silence(since, now), b().longest_silence(since, now));
  }
  ip_address path_of_a() const {
    const auto pair = a().transport.selected_pair();
    return pair ? pair->local.address : ip_address{};
  }
};

TEST_SUITE("several paths") {
  TEST_CASE("of five interfaces the one that leads somewhere is found without delay") {
    many_paths w;
    const auto nowhere = w.net.add_network({});  // IPv4 does not leave it.
    w.a().add_interface(w.now, nowhere, "10.8.0.2", ice::network_kind::vpn);
    w.a().add_interface(w.now, nowhere, "172.17.0.1", ice::network_kind::virtual_);
    w.a().add_interface(w.now, nowhere, "10.0.0.2", ice::network_kind::ethernet);
    w.a().add_interface(w.now, nowhere, "10.0.1.2", ice::network_kind::ethernet);
    w.a().add_interface(w.now, w.add_home("203.0.113.1"), "192.168.1.2", ice::network_kind::wifi);
    w.introduce();
    REQUIRE(w.connect());
    CHECK(w.now - time_point{} <= 500ms);
    CHECK(w.path_of_a() == ip("192.168.1.2"));
  }

  TEST_CASE("the cheaper of two networks is chosen, whichever was there first") {
    many_paths w;
    w.a().add_interface(w.now, w.add_home("203.0.113.1"), "10.0.0.2", ice::network_kind::cellular);
    w.a().add_interface(w.now, w.add_home("203.0.113.2"), "192.168.1.2", ice::network_kind::wifi);
    w.introduce();
    REQUIRE(w.connect());
    w.run(2s);
    CHECK(w.path_of_a() == ip("192.168.1.2"));
    CHECK(w.agree());
  }

  TEST_CASE("a call goes on by another interface when one is gone") {
    for (const bool told : {true, false}) {
      CAPTURE(told);
      many_paths w;
      const auto wifi = w.a().add_interface(w.now, w.add_home("203.0.113.1"), "192.168.1.2",
                                            ice::network_kind::wifi);
      w.a().add_interface(w.now, w.add_home("203.0.113.2"), "10.0.0.2",
                          ice::network_kind::cellular);
      w.introduce();
      REQUIRE(w.connect());
      w.run(2s);
      REQUIRE(w.path_of_a() == wifi.address);
      w.talk();
      w.run(30s);
      const auto since = w.now;
      if (told)
        w.a().remove_interface(w.now, wifi);
      else
        w.a().lose_interface(wifi);
      w.run(60s);
      CHECK(w.path_of_a() == ip("10.0.0.2"));
      // The next check of consent is up to 6 s away, and is given up after 2.
      CHECK(w.silence(since) <= (told ? 1s : 10s));
      CHECK(w.silence(w.now - 20s) <= 300ms);
    }
  }

  TEST_CASE("a call moves to a better interface that appears, without a gap") {
    many_paths w;
    w.a().add_interface(w.now, w.add_home("203.0.113.2"), "10.0.0.2", ice::network_kind::cellular);
    w.introduce();
    REQUIRE(w.connect());
    w.talk();
    w.run(20s);
    const auto since = w.now;
    w.a().add_interface(w.now, w.add_home("203.0.113.1"), "192.168.1.2", ice::network_kind::wifi);
    REQUIRE(w.run(10s, [&] { return w.path_of_a() == ip("192.168.1.2"); }));
    w.run(5s);
    CHECK(w.agree());
    CHECK(w.silence(since) <= 300ms);
  }

  TEST_CASE("the only interface is replaced by another one, and the call goes on") {
    many_paths w;
    const auto wifi = w.a().add_interface(w.now, w.add_home("203.0.113.1"), "192.168.1.2");
    w.introduce();
    REQUIRE(w.connect());
    w.talk();
    w.run(20s);
    const auto since = w.now;
    w.a().remove_interface(w.now, wifi);
    w.run(3s);
    w.a().add_interface(w.now, w.add_home("203.0.113.2"), "10.0.0.2");
    w.run(20s);
    CHECK(w.silence(since) <= 5s);
    CHECK(w.silence(w.now - 10s) <= 300ms);
  }

  TEST_CASE("the same between two homes that need a relay") {
    many_paths w{true};
    const auto far = w.b().interfaces().front();
    w.b().remove_interface(w.now, far);
    w.b().add_interface(w.now, w.add_home("203.0.113.9", "PP"), "192.168.9.2");
    const auto wifi = w.a().add_interface(w.now, w.add_home("203.0.113.1", "PP"), "192.168.1.2");
    w.introduce();
    REQUIRE(w.connect());
    w.talk();
    w.run(20s);
    REQUIRE(w.is_relayed(w.a()));
    const auto since = w.now;
    w.a().remove_interface(w.now, wifi);
    w.a().add_interface(w.now, w.add_home("203.0.113.2", "PP"), "10.0.0.2");
    w.run(20s);
    CHECK(w.silence(since) <= 5s);
    CHECK(w.silence(w.now - 10s) <= 300ms);
  }

  TEST_CASE("a NAT that gives out other ports in mid call is survived where the other lets it in") {
    for (const std::string_view kind_of_b : {"EE", "EA"}) {
      CAPTURE(std::string{kind_of_b});
      many_paths w;
      w.b().remove_interface(w.now, w.b().interfaces().front());
      w.b().add_interface(w.now, w.add_home("203.0.113.9", kind_of_b), "192.168.9.2");
      const auto home = w.add_home("203.0.113.1");
      w.a().add_interface(w.now, home, "192.168.1.2");
      w.introduce();
      REQUIRE(w.connect());
      w.talk();
      w.run(20s);
      const auto since = w.now;
      w.net.translator(home).reboot();
      w.run(60s);
      CHECK(w.silence(since) <= 10s);
      CHECK(w.silence(w.now - 20s) <= 300ms);
    }
  }

  TEST_CASE("and where it does not, a restart finds the new ports, with and without a relay") {
    for (const bool relayed : {false, true}) {
      CAPTURE(relayed);
      many_paths w{relayed};
      w.b().remove_interface(w.now, w.b().interfaces().front());
      const std::string_view kind = relayed ? "PP" : "EP";
      w.b().add_interface(w.now, w.add_home("203.0.113.9", kind), "192.168.9.2");
      const auto home = w.add_home("203.0.113.1", kind);
      w.a().add_interface(w.now, home, "192.168.1.2");
      w.introduce();
      REQUIRE(w.connect());
      w.run(20s);
      w.net.translator(home).reboot();
      w.run(15s);
      w.restart(w.a());
      CHECK(w.run(5s, [&] { return w.are_connected(); }));
      w.talk();
      w.run(30s);
      CHECK(w.are_connected());
      CHECK(w.silence(w.now - 20s) <= 300ms);
    }
  }

  TEST_CASE("a restart by either side, or by both at once, makes no gap") {
    for (const bool relayed : {false, true}) {
      CAPTURE(relayed);
      many_paths w{relayed};
      w.b().remove_interface(w.now, w.b().interfaces().front());
      const std::string_view kind = relayed ? "PP" : "EP";
      w.b().add_interface(w.now, w.add_home("203.0.113.9", kind), "192.168.9.2");
      w.a().add_interface(w.now, w.add_home("203.0.113.1", kind), "192.168.1.2");
      w.introduce();
      REQUIRE(w.connect());
      w.talk();
      w.run(10s);
      const auto since = w.now;
      for (int i = 0; i < 6; ++i) {
        const auto before = w.a().transport.local_credentials();
        w.restart(i % 2 == 0 ? w.a() : w.b());
        w.run(i < 3 ? 10s : duration{30ms});  // The last ones while the one before is under way.
        CHECK(w.a().transport.local_credentials() != before);
      }
      w.run(10s);
      CHECK(w.are_connected());
      CHECK(w.agree());
      CHECK(w.silence(since) <= 400ms);
    }
  }

  TEST_CASE("a role conflict is settled, and one side controls (RFC 8445 §7.3.1.1)") {
    for (const auto role : {ice::role::controlling, ice::role::controlled}) {
      many_paths w;
      w.a().add_interface(w.now, w.add_home("203.0.113.1"), "192.168.1.2");
      w.a().transport.set_role(role);
      w.b().transport.set_role(role);
      w.introduce();
      REQUIRE(w.connect());
      CHECK(w.now - time_point{} <= 1s);
      w.run(1s);
      CHECK(w.a().transport.current_role() != w.b().transport.current_role());
      CHECK(w.agree());
    }
  }
}

}  // namespace
}  // namespace weft::internet_test
