#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "support/internet.hpp"

namespace weft::sim {
namespace {

using namespace std::chrono_literals;

ip_address ip(std::string_view text) {
  return ip_address::parse(text).value();
}

/// An Internet with a server, and what comes to hosts as text.
struct world {
  explicit world(const conditions& link = {.delay = 10ms}) : net{1, link} {
    net.attach(server, internet::public_network, service.address);
    net.attach(server, internet::public_network, service6.address);
    REQUIRE(net.bind(server, service));
    REQUIRE(net.bind(server, service6));
  }

  internet::host home(internet::network n, std::string_view address) {
    const auto h = net.add_host();
    net.attach(h, n, ip(address));
    REQUIRE(net.bind(h, {ip(address), 5000}));
    return h;
  }
  void send(internet::host h, std::string_view local, const endpoint& to) {
    CHECK(net.send(now, h, {ip(local), 5000}, to, as_bytes("hello")));
  }
  /// The next that comes to anybody.
  std::optional<internet::arrival> next() {
    for (;;) {
      const auto due = net.next_event();
      if (!due) return std::nullopt;
      now = std::max(now, *due);
      if (auto a = net.poll(now)) return a;
    }
  }

  internet net;
  time_point now{};
  internet::host server = net.add_host();
  endpoint service{ip("198.51.100.1"), 3478};
  endpoint service6{ip("2001:db8::1"), 3478};
};

TEST_SUITE("the simulated Internet") {
  TEST_CASE("a packet leaves a private network by its gateway, and the answer finds back") {
    world w;
    const auto lan = w.net.add_network({.address = ip("203.0.113.1")});
    const auto h = w.home(lan, "192.168.1.2");
    w.send(h, "192.168.1.2", w.service);
    const auto asked = w.next();
    REQUIRE(asked);
    CHECK(asked->host == w.server);
    CHECK(asked->path == five_tuple{w.service, {ip("203.0.113.1"), 40000}});
    CHECK(w.now == time_point{} + 11ms);  // 1 ms to the gateway, 10 ms beyond it.
    REQUIRE(w.net.send(w.now, w.server, w.service, asked->path.remote, as_bytes("hi")));
    const auto answered = w.next();
    REQUIRE(answered);
    CHECK(answered->host == h);
    CHECK(answered->path == five_tuple{{ip("192.168.1.2"), 5000}, w.service});
    CHECK(as_text(answered->bytes) == "hi");
    CHECK(w.now == time_point{} + 22ms);
  }

  TEST_CASE("private addresses mean nothing outside, and may be used by many") {
    world w;
    const auto here = w.net.add_network({.address = ip("203.0.113.1")});
    const auto there = w.net.add_network({.address = ip("203.0.113.2")});
    const auto a = w.home(here, "192.168.1.2");
    const auto b = w.home(there, "192.168.1.2");
    const auto neighbour = w.home(here, "192.168.1.3");
    (void)b;
    w.send(a, "192.168.1.2", {ip("192.168.1.2"), 5000});
    CHECK(w.next()->host == a);
    w.send(a, "192.168.1.2", {ip("192.168.1.3"), 5000});
    CHECK(w.next()->host == neighbour);
    w.send(a, "192.168.1.2", {ip("192.168.1.4"), 5000});
    CHECK_FALSE(w.next());
    CHECK(w.net.stats().unroutable == 1);
  }

  TEST_CASE("a NAT behind a NAT translates again") {
    world w;
    const auto carrier = w.net.add_network({.address = ip("203.0.113.1")});
    const auto lan = w.net.add_network({.outer = carrier, .address = ip("100.64.0.2")});
    const auto h = w.home(lan, "192.168.1.2");
    w.send(h, "192.168.1.2", w.service);
    const auto asked = w.next();
    REQUIRE(asked);
    CHECK(asked->path.remote.address == ip("203.0.113.1"));
    REQUIRE(w.net.send(w.now, w.server, w.service, asked->path.remote, as_bytes("hi")));
    CHECK(w.next()->host == h);
  }

  TEST_CASE("hairpinning shows an external source (RFC 4787 §6, REQ-9 a), or is not there") {
    for (const bool hairpin : {false, true}) {
      world w;
      nat::options n;
      n.hairpin = hairpin;
      n.filtering = dependence::endpoint_independent;
      const auto lan =
          w.net.add_network({.address = ip("203.0.113.1"), .nat = n, .isolated = true});
      const auto a = w.home(lan, "192.168.1.2");
      const auto b = w.home(lan, "192.168.1.3");
      w.send(b, "192.168.1.3", w.service);
      const endpoint outside_b = w.next()->path.remote;
      w.send(a, "192.168.1.2", {ip("192.168.1.3"), 5000});
      CHECK_FALSE(w.next());  // Isolated.
      w.send(a, "192.168.1.2", outside_b);
      const auto arrived = w.next();
      REQUIRE(arrived.has_value() == hairpin);
      if (!hairpin) continue;
      CHECK(arrived->host == b);
      CHECK(arrived->path.remote.address == ip("203.0.113.1"));
    }
  }

  TEST_CASE("IPv6 passes a gateway unchanged, inwards only when asked for") {
    world w;
    const auto lan = w.net.add_network({});
    const auto h = w.home(lan, "2001:db8:1::2");
    const endpoint own{ip("2001:db8:1::2"), 5000};
    REQUIRE(w.net.send(w.now, w.server, w.service6, own, as_bytes("hi")));
    CHECK_FALSE(w.next());
    CHECK(w.net.stats().filtered == 1);
    w.send(h, "2001:db8:1::2", w.service6);
    CHECK(w.next()->path.remote == own);
    REQUIRE(w.net.send(w.now, w.server, w.service6, own, as_bytes("hi")));
    CHECK(w.next()->host == h);
  }

  TEST_CASE("a NAT64 leads from 64:ff9b::/96 to IPv4 and back (RFC 6146)") {
    world w;
    const auto lan = w.net.add_network({.address = ip("203.0.113.1"), .nat64 = true});
    const auto h = w.home(lan, "2001:db8:1::2");
    const endpoint mapped{nat64_address(w.service.address), w.service.port};
    CHECK(to_string(mapped.address) == "64:ff9b::c633:6401");
    w.send(h, "2001:db8:1::2", mapped);
    const auto asked = w.next();
    REQUIRE(asked);
    CHECK(asked->path.local == w.service);
    CHECK(asked->path.remote.address == ip("203.0.113.1"));
    REQUIRE(w.net.send(w.now, w.server, w.service, asked->path.remote, as_bytes("hi")));
    const auto answered = w.next();
    REQUIRE(answered);
    CHECK(answered->path == five_tuple{{ip("2001:db8:1::2"), 5000}, mapped});
    w.send(h, "2001:db8:1::2", w.service6);
    CHECK(w.next()->path.remote.address == ip("2001:db8:1::2"));
  }

  TEST_CASE("a firewall keeps UDP in both ways") {
    world w;
    const auto lan =
        w.net.add_network({.address = ip("203.0.113.1"), .firewall = firewall::no_udp});
    const auto h = w.home(lan, "192.168.1.2");
    w.send(h, "192.168.1.2", w.service);
    CHECK_FALSE(w.next());
    w.net.set_firewall(lan, firewall::none);
    w.send(h, "192.168.1.2", w.service);
    const auto asked = w.next();
    REQUIRE(asked);
    w.net.set_firewall(lan, firewall::no_udp);
    REQUIRE(w.net.send(w.now, w.server, w.service, asked->path.remote, as_bytes("hi")));
    CHECK_FALSE(w.next());
  }

  TEST_CASE("nothing comes or goes by an interface that is gone") {
    world w;
    const auto h = w.home(internet::public_network, "198.51.100.7");
    const endpoint own{ip("198.51.100.7"), 5000};
    REQUIRE(w.net.send(w.now, w.server, w.service, own, as_bytes("hi")));
    w.net.detach(h, own.address);
    CHECK_FALSE(w.next());
    CHECK_FALSE(w.net.send(w.now, h, own, w.service, as_bytes("hi")));
    w.net.attach(h, internet::public_network, own.address);
    REQUIRE(w.net.send(w.now, w.server, w.service, own, as_bytes("hi")));
    CHECK(w.next()->host == h);
  }

  TEST_CASE("links delay, lose, double and reorder as they are told to") {
    world w{{.delay = 10ms, .jitter = 20ms, .loss_percent = 20, .duplicate_percent = 20}};
    const auto h = w.home(internet::public_network, "198.51.100.7");
    for (int i = 0; i < 1000; ++i) {
      const std::string text = std::to_string(i);
      REQUIRE(w.net.send(w.now, h, {ip("198.51.100.7"), 5000}, w.service, as_bytes(text)));
      w.now += 1ms;
    }
    int came = 0, overtaken = 0, doubled = 0, last = -1;
    std::set<int> seen;
    while (const auto a = w.next()) {
      const int number = std::stoi(std::string{as_text(a->bytes)});
      ++came;
      overtaken += number < last;
      doubled += !seen.insert(number).second;
      last = std::max(last, number);
    }
    CHECK(seen.size() > 750);
    CHECK(seen.size() < 850);
    CHECK(doubled > 120);
    CHECK(doubled < 200);
    CHECK(overtaken > 100);
  }

  TEST_CASE("a socket is bound once, and port 0 stands for a free one") {
    world w;
    CHECK_FALSE(w.net.bind(w.server, w.service));
    CHECK_FALSE(w.net.bind(w.server, {ip("192.0.2.99"), 1}));
    const auto one = w.net.bind(w.server, {w.service.address, 0});
    const auto two = w.net.bind(w.server, {w.service.address, 0});
    REQUIRE(one);
    REQUIRE(two);
    CHECK(one != two);
    w.net.unbind(w.server, w.service);
    CHECK(w.net.bind(w.server, w.service));
  }
}

}  // namespace
}  // namespace weft::sim
