#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "support/internet.hpp"

namespace weft::sim {
namespace {

using namespace std::chrono_literals;
using kind = internet::arrival::kind;

ip_address ip(std::string_view text) {
  return ip_address::parse(text).value();
}

/// A client behind a NAT, and a server that listens.
struct world {
  explicit world(const conditions& link = {.delay = 10ms}, firewall f = firewall::none)
      : net{7, link}, lan{net.add_network({.address = ip("203.0.113.1"), .firewall = f})} {
    net.attach(server, internet::public_network, service.address);
    net.attach(client, lan, home);
    net.listen(server, service, stream_layer::plain);
    net.listen(server, secure, stream_layer::tls);
  }

  std::optional<internet::arrival> next() {
    for (;;) {
      const auto due = net.next_event();
      if (!due) return std::nullopt;
      now = std::max(now, *due);
      if (auto a = net.poll(now)) return a;
    }
  }
  std::optional<five_tuple> connect(const endpoint& to, stream_layer layer = stream_layer::plain) {
    return net.connect(now, client, {{home, 0}, to}, layer);
  }

  internet net;
  time_point now{};
  internet::network lan;
  internet::host server = net.add_host();
  internet::host client = net.add_host();
  ip_address home = ip("192.168.1.2");
  endpoint service{ip("198.51.100.1"), 3478};
  endpoint secure{ip("198.51.100.1"), 443};
};

TEST_SUITE("TCP of the simulated Internet") {
  TEST_CASE("a connection takes one round trip, through a NAT too") {
    world w;
    const auto path = w.connect(w.service);
    REQUIRE(path);
    CHECK(path->local.port != 0);
    const auto connected = w.next();
    REQUIRE(connected);
    CHECK(connected->what == kind::connected);
    CHECK(connected->path == *path);
    CHECK(w.now == time_point{} + 22ms);
    const auto accepted = w.next();
    REQUIRE(accepted);
    CHECK(accepted->what == kind::accepted);
    CHECK(accepted->host == w.server);
    CHECK(accepted->path.remote.address == ip("203.0.113.1"));
  }

  TEST_CASE("TLS takes one round trip more") {
    world w;
    REQUIRE(w.connect(w.secure, stream_layer::tls));
    CHECK(w.next()->what == kind::accepted);
    CHECK(w.next()->what == kind::connected);
    CHECK(w.now == time_point{} + 44ms);
  }

  TEST_CASE("who listens for nothing, or for something else, refuses") {
    world w;
    REQUIRE(w.connect({w.service.address, 1}));
    CHECK(w.next()->what == kind::ended);
    CHECK(w.now == time_point{} + 22ms);
    REQUIRE(w.connect(w.secure, stream_layer::plain));
    CHECK(w.next()->what == kind::ended);
    CHECK_FALSE(w.next());
  }

  TEST_CASE("bytes arrive once and in order over a link that loses, doubles and reorders") {
    world w{{.delay = 10ms, .jitter = 20ms, .loss_percent = 20, .duplicate_percent = 20}};
    const auto path = w.connect(w.service);
    REQUIRE(path);
    std::string sent, received;
    int chunks = 0, written = 0;
    while (const auto a = w.next()) {
      if (a->what == kind::connected) {
        for (; written < 20; ++written) {
          const std::string text(500, static_cast<char>('a' + written));
          REQUIRE(w.net.write(w.now, w.client, *path, as_bytes(text)));
          sent += text;
        }
      }
      if (a->what != kind::bytes) continue;
      received += as_text(a->bytes);
      ++chunks;
    }
    CHECK(written == 20);
    CHECK(received == sent);
    CHECK(chunks > 20);  // Cut elsewhere than they were written.
  }

  TEST_CASE("data that overtakes the end of the handshake is not lost") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      world w{{.delay = 10ms, .jitter = 50ms}};
      for (std::uint64_t i = 0; i < seed; ++i) (void)w.connect({w.service.address, 1});
      const auto path = w.connect(w.service);
      std::string received;
      while (const auto a = w.next()) {
        if (a->what == kind::connected)
          REQUIRE(w.net.write(w.now, w.client, *path, as_bytes("at once")));
        received += as_text(a->bytes);
      }
      CHECK(received == "at once");
    }
  }

  TEST_CASE("a write is taken whole or not at all") {
    world w;
    const auto path = w.connect(w.service);
    CHECK_FALSE(w.net.write(w.now, w.client, *path, as_bytes("early")));
    REQUIRE(w.next()->what == kind::connected);
    int taken = 0;
    while (taken < 1000 && w.net.write(w.now, w.client, *path, as_bytes("x"))) ++taken;
    CHECK(taken > 10);
    CHECK(taken < 1000);
    std::size_t received = 0;
    while (const auto a = w.next()) received += a->bytes.size();
    CHECK(received == static_cast<std::size_t>(taken));
  }

  TEST_CASE("one end closes and the other is told, once") {
    world w;
    const auto path = w.connect(w.service);
    REQUIRE(w.next()->what == kind::connected);
    REQUIRE(w.next()->what == kind::accepted);
    w.net.close(w.now, w.client, *path);
    const auto ended = w.next();
    REQUIRE(ended);
    CHECK(ended->host == w.server);
    CHECK(ended->what == kind::ended);
    CHECK_FALSE(w.next());
    CHECK_FALSE(w.net.write(w.now, w.client, *path, as_bytes("late")));
    CHECK_FALSE(w.net.write(w.now, w.server, ended->path, as_bytes("late")));
  }

  TEST_CASE("a path that is gone ends a connection when it has tried for long enough") {
    world w;
    const auto path = w.connect(w.service);
    REQUIRE(w.next()->what == kind::connected);
    REQUIRE(w.next()->what == kind::accepted);
    w.net.detach(w.server, w.service.address);
    REQUIRE(w.net.write(w.now, w.client, *path, as_bytes("lost")));
    const auto ended = w.next();
    REQUIRE(ended);
    CHECK(ended->host == w.client);
    CHECK(ended->what == kind::ended);
    CHECK(w.now > time_point{} + 60s);
    CHECK(w.now < time_point{} + 90s);
  }

  TEST_CASE("after the reboot of a NAT the server knows nothing of a connection and resets it") {
    world w;
    const auto path = w.connect(w.service);
    REQUIRE(w.next()->what == kind::connected);
    REQUIRE(w.next()->what == kind::accepted);
    w.net.translator(w.lan).reboot();
    REQUIRE(w.net.write(w.now, w.client, *path, as_bytes("lost")));
    const auto ended = w.next();
    REQUIRE(ended);
    CHECK(ended->host == w.client);
    CHECK(w.now < time_point{} + 100ms);
  }

  TEST_CASE("both may open one connection at once (RFC 9293 §3.5), and no one else comes in") {
    world w;
    const auto other = w.net.add_host();
    const auto there = w.net.add_network({.address = ip("203.0.113.2")});
    w.net.attach(other, there, ip("192.168.2.2"));
    // Each knows what its NAT gives the first connection: 40000.
    REQUIRE(w.net.connect(w.now, w.client, {{w.home, 7000}, {ip("203.0.113.2"), 40000}},
                          stream_layer::plain));
    REQUIRE(w.net.connect(w.now, other, {{ip("192.168.2.2"), 7000}, {ip("203.0.113.1"), 40000}},
                          stream_layer::plain));
    CHECK(w.next()->what == kind::connected);
    CHECK(w.next()->what == kind::connected);
    CHECK(w.now < time_point{} + 100ms);
    REQUIRE(w.net.connect(w.now, w.server, {{w.service.address, 7000}, {ip("203.0.113.1"), 40000}},
                          stream_layer::plain));
    CHECK(w.next()->what == kind::ended);  // Its SYNs were filtered.
    CHECK(w.now > time_point{} + 60s);
  }

  TEST_CASE("a firewall lets TCP pass, or nothing but TLS to port 443") {
    for (const auto f : {firewall::no_udp, firewall::tls_on_443}) {
      world w{{.delay = 10ms}, f};
      w.net.listen(w.server, {w.service.address, 5349}, stream_layer::tls);
      REQUIRE(w.connect(w.service));
      CHECK((w.next()->what == kind::connected) == (f == firewall::no_udp));
      REQUIRE(w.connect({w.service.address, 5349}, stream_layer::tls));
      bool connected = false;
      while (const auto a = w.next()) connected |= a->what == kind::connected;
      CHECK(connected == (f == firewall::no_udp));
      REQUIRE(w.connect(w.secure, stream_layer::tls));
      connected = false;
      while (const auto a = w.next()) connected |= a->what == kind::connected;
      CHECK(connected);
    }
  }

  TEST_CASE("one seed gives one transcript") {
    const auto transcript = [](unsigned loss) {
      world w{{.delay = 10ms, .jitter = 20ms, .loss_percent = loss}};
      const auto path = w.connect(w.service);
      while (const auto a = w.next())
        if (a->what == kind::connected)
          (void)w.net.write(w.now, w.client, *path, as_bytes("some bytes"));
      return w.net.transcript();
    };
    CHECK(transcript(20) == transcript(20));
    CHECK(transcript(20) != transcript(0));
  }
}

}  // namespace
}  // namespace weft::sim
