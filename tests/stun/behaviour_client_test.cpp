#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <vector>

#include <weft/stun/behaviour_client.hpp>
#include <weft/stun/behaviour_server.hpp>
#include <weft/stun/response.hpp>

#include "support/internet.hpp"

using namespace std::chrono_literals;
using namespace weft::stun;
using weft::endpoint;
using weft::ip_address;
using weft::sim::internet;

namespace {

using client = behaviour_client;
using event = behaviour_client::event;
using nat_kind = weft::sim::dependence;

constexpr nat_kind kinds[] = {nat_kind::endpoint_independent, nat_kind::address_dependent,
                              nat_kind::address_and_port_dependent};

dependence as_found(nat_kind k) {
  return static_cast<dependence>(static_cast<int>(k) + 1);
}

ip_address ip(const char* text) {
  return *ip_address::parse(text);
}

const endpoint server_one{ip("203.0.113.1"), 3478};
const endpoint server_two{ip("203.0.113.2"), 3479};

// A host behind a NAT, or with nothing in between, and a server of four sockets.
struct world {
  explicit world(const internet::gateway* gateway, const behaviour_server::options& o,
                 std::uint64_t seed = 1, const weft::sim::conditions& link = {.delay = 20ms})
      : net{seed, link}, random{seed}, server{random, o} {
    server_host = net.add_host();
    net.attach(server_host, internet::public_network, server_one.address);
    net.attach(server_host, internet::public_network, server_two.address);
    for (const endpoint& e : server.sockets()) net.bind(server_host, e);
    host = net.add_host();
    if (gateway != nullptr) {
      net.attach(host, net.add_network(*gateway), ip("10.0.0.2"));
      local = *net.bind(host, {ip("10.0.0.2"), 5000});
      helper = *net.bind(host, {ip("10.0.0.2"), 5001});
    } else {
      net.attach(host, internet::public_network, ip("198.51.100.9"));
      local = *net.bind(host, {ip("198.51.100.9"), 5000});
      helper = *net.bind(host, {ip("198.51.100.9"), 5001});
    }
  }

  event run(client::options o) {
    o.local = local;
    client asker{random, server_one, o};
    asker.start(now);
    std::array<std::uint8_t, 1472> buffer;
    weft::time_point last_new = now - 1s;
    transaction_id last_id{};
    for (int steps = 0; steps < 100'000; ++steps) {
      while (const auto t = asker.poll_transmit(now, buffer)) {
        const auto id = message_view::parse(t->bytes)->id();
        if (id != last_id) {
          CHECK(now - last_new >= 100ms);  // RFC 5780 §5
          last_new = now;
        }
        last_id = id;
        net.send(now, host, t->local, t->remote, t->bytes);
      }
      if (const auto e = asker.poll_event()) {
        CHECK_FALSE(asker.poll_timeout());
        requests = asker.stats().requests_sent;
        return *e;
      }
      const auto next = weft::earliest(asker.poll_timeout(), net.next_event());
      REQUIRE(next);
      now = std::max(now, *next);
      asker.handle_timeout(now);
      while (const auto a = net.poll(now)) {
        if (a->host == server_host) {
          if (const auto t = server.respond(now, a->path.local, a->path.remote, a->bytes, buffer))
            net.send(now, server_host, t->local, t->remote, t->bytes);
        } else {
          asker.handle_input(now, a->path.local, a->path.remote, a->bytes);
        }
      }
    }
    FAIL("it never ends");
    return client::unreachable{};
  }

  internet net;
  weft::seeded_random random;
  behaviour_server server;
  internet::host server_host{}, host{};
  endpoint local, helper;
  weft::time_point now{1h};
  std::uint64_t requests = 0;
};

const behaviour_server::options four_sockets{.primary = server_one, .alternate = server_two};

client::report report_of(const event& e) {
  const auto* r = std::get_if<client::report>(&e);
  REQUIRE(r);
  return *r;
}

internet::gateway gateway_of(nat_kind mapping, nat_kind filtering, bool hairpin = false) {
  internet::gateway g;
  g.address = ip("192.0.2.1");
  g.nat.mapping = mapping;
  g.nat.filtering = filtering;
  g.nat.hairpin = hairpin;
  return g;
}

}  // namespace

TEST_SUITE("stun/behaviour_client") {
  TEST_CASE("RFC 5780 §4.3, §4.4: every kind of mapping with every kind of filtering is found") {
    for (const auto mapping : kinds) {
      for (const auto filtering : kinds) {
        const auto g = gateway_of(mapping, filtering);
        world w{&g, four_sockets};
        const auto r = report_of(w.run({}));
        CAPTURE(static_cast<int>(mapping));
        CAPTURE(static_cast<int>(filtering));
        CHECK(to_string(r.mapping) == to_string(as_found(mapping)));
        CHECK(to_string(r.filtering) == to_string(as_found(filtering)));
        CHECK(r.translated == true);
        CHECK(r.rewritten == false);
        CHECK(r.reflexive.address == g.address);
        CHECK(r.other == server_two);
        CHECK_FALSE(r.hairpin);
        CHECK_FALSE(r.lifetime);
        CHECK(w.requests <= 3 + 2 * 4);
        CHECK(w.now - weft::time_point{1h} < 13s);
      }
    }
  }

  TEST_CASE("the same through loss, for a hundred seeds") {
    int wrong = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
      const auto mapping = kinds[seed % 3], filtering = kinds[seed / 3 % 3];
      const auto g = gateway_of(mapping, filtering);
      world w{&g, four_sockets, seed, {.delay = 20ms, .jitter = 5ms, .loss_percent = 5}};
      const auto r = report_of(w.run({}));
      wrong += r.mapping != as_found(mapping) || r.filtering != as_found(filtering);
    }
    // A tenth of round trips fails, so each test once in ten thousand.
    CHECK(wrong <= 1);
  }

  TEST_CASE("without a NAT nothing is translated, and the way is open") {
    world w{nullptr, four_sockets};
    client::options o;
    o.helper = w.helper;
    const auto r = report_of(w.run(o));
    CHECK(r.translated == false);
    CHECK(r.mapping == dependence::endpoint_independent);
    CHECK(r.filtering == dependence::endpoint_independent);
    CHECK(r.hairpin == true);
    CHECK(r.reflexive == w.local);
  }

  TEST_CASE("RFC 5780 §3.4: hairpinning is found, and that there is none") {
    for (const bool hairpin : {false, true}) {
      const auto g =
          gateway_of(nat_kind::endpoint_independent, nat_kind::endpoint_independent, hairpin);
      world w{&g, four_sockets};
      client::options o;
      o.helper = w.helper;
      CHECK(report_of(w.run(o)).hairpin == hairpin);
    }
  }

  TEST_CASE("RFC 5780 §4.6: the lifetime of a mapping is found to the precision asked for") {
    for (const auto truth : {20s, 47s, 120s, 299s, 1000s}) {
      auto g = gateway_of(nat_kind::endpoint_independent, nat_kind::endpoint_independent);
      g.nat.udp_timeout = truth;
      world w{&g, four_sockets};
      client::options o;
      o.helper = w.helper;
      o.hairpin = false;
      o.lifetime = client::lifetime_options{.longest = 5min, .precision = 15s};
      const auto r = report_of(w.run(o));
      REQUIRE(r.lifetime);
      CHECK(r.lifetime->at_least <= truth);
      if (truth > 5min) {
        CHECK(r.lifetime->at_least == 5min);
        CHECK_FALSE(r.lifetime->less_than);
      } else {
        REQUIRE(r.lifetime->less_than);
        CHECK(*r.lifetime->less_than > truth - 1s);
        CHECK(*r.lifetime->less_than - r.lifetime->at_least <= 15s);
      }
      CHECK(w.now - weft::time_point{1h} < 30min);
    }
  }

  TEST_CASE("RFC 5780 §5: a server without RESPONSE-PORT leaves the lifetime unknown") {
    const auto g = gateway_of(nat_kind::endpoint_independent, nat_kind::endpoint_independent);
    auto options = four_sockets;
    options.response_port = false;
    world w{&g, options};
    client::options o;
    o.helper = w.helper;
    o.lifetime = client::lifetime_options{};
    const auto r = report_of(w.run(o));
    CHECK_FALSE(r.lifetime);
    CHECK(r.mapping == dependence::endpoint_independent);
  }

  TEST_CASE("RFC 5780 §4.3: a server with one address tells the reflexive address and no more") {
    const auto g = gateway_of(nat_kind::address_dependent, nat_kind::address_dependent);
    world w{&g, {.primary = server_one}};
    const auto r = report_of(w.run({}));
    CHECK(r.reflexive.address == g.address);
    CHECK_FALSE(r.other);
    CHECK(r.mapping == dependence::unknown);
    CHECK(r.filtering == dependence::unknown);
    CHECK(w.requests == 1);
  }

  TEST_CASE("what is not asked for is not tested") {
    const auto g = gateway_of(nat_kind::address_dependent, nat_kind::address_dependent);
    world mapping{&g, four_sockets};
    const auto m = report_of(mapping.run({.filtering = false}));
    CHECK(m.mapping == dependence::address_dependent);
    CHECK(m.filtering == dependence::unknown);
    CHECK(mapping.requests == 3);
    world filtering{&g, four_sockets};
    const auto f = report_of(filtering.run({.mapping = false}));
    CHECK(f.mapping == dependence::unknown);
    CHECK(f.filtering == dependence::address_dependent);
  }

  TEST_CASE("erratum 7971: an alternate address that cannot be reached proves no filter") {
    const auto g = gateway_of(nat_kind::endpoint_independent, nat_kind::endpoint_independent);
    world w{&g, four_sockets};
    w.net.detach(w.server_host, server_two.address);
    const auto r = report_of(w.run({}));
    // The port can be changed, the address not.
    CHECK(r.filtering == dependence::address_dependent);
    CHECK(r.mapping == dependence::unknown);
    world closed{&g, four_sockets};
    closed.net.detach(closed.server_host, server_two.address);
    closed.net.unbind(closed.server_host, {server_one.address, server_two.port});
    const auto c = report_of(closed.run({}));
    CHECK(c.filtering == dependence::unknown);
    CHECK(c.mapping == dependence::unknown);
  }

  TEST_CASE("nobody there is told as such") {
    auto g = gateway_of(nat_kind::endpoint_independent, nat_kind::endpoint_independent);
    g.firewall = weft::sim::firewall::no_udp;
    world w{&g, four_sockets};
    CHECK(w.run({}) == event{client::unreachable{server_one}});
    CHECK(w.requests == 4);
  }

  TEST_CASE("two runs with one seed are the same run") {
    const auto run = [] {
      const auto g = gateway_of(nat_kind::address_dependent, nat_kind::address_and_port_dependent);
      world w{&g, four_sockets, 42, {.delay = 20ms, .jitter = 30ms, .loss_percent = 20}};
      w.run({});
      return w.net.transcript();
    };
    CHECK(run() == run());
  }
}

namespace {

// A client whose server is the test itself.
struct pair {
  explicit pair(client::options o = {}) : asker{random, server_one, o} { asker.start(now); }

  message_view request() {
    const auto t = asker.poll_transmit(now, buffer);
    REQUIRE(t);
    return *message_view::parse(t->bytes);
  }
  bool give(const endpoint& from, const std::function<void(message_builder&)>& add,
            message_class c = message_class::success, std::optional<transaction_id> id = {}) {
    std::array<std::uint8_t, 200> bytes{};
    message_builder b{bytes, c, method::binding,
                      id.value_or(message_view::parse(buffer_view())->id())};
    add(b);
    return asker.handle_input(now, {}, from, b.finish());
  }
  weft::const_bytes buffer_view() const {
    return weft::const_bytes{buffer}.first(20u + buffer[2] * 256u + buffer[3]);
  }

  weft::seeded_random random{1};
  weft::time_point now{1h};
  client asker;
  std::array<std::uint8_t, 200> buffer{};
};

const endpoint seen{ip("192.0.2.1"), 1024};

}  // namespace

TEST_SUITE("stun/behaviour_client_answers") {
  TEST_CASE("other addresses that cannot be are no other address") {
    for (const endpoint other :
         {server_one, endpoint{server_two.address, server_one.port},
          endpoint{server_one.address, server_two.port}, endpoint{ip("0.0.0.0"), 3479},
          endpoint{ip("2001:db8::1"), 3479}, endpoint{server_two.address, 0},
          endpoint{ip("224.0.0.1"), 3479}}) {
      pair p;
      p.request();
      CHECK(p.give(server_one, [&](message_builder& b) {
        b.add_xor_mapped_address(seen).add_address(attribute_type::other_address, other);
      }));
      CHECK_FALSE(report_of(*p.asker.poll_event()).other);
    }
  }

  TEST_CASE("RFC 5780 §3.6: an address that was rewritten on the way is noticed") {
    for (const bool rewritten : {false, true}) {
      pair p;
      p.request();
      CHECK(p.give(server_one, [&](message_builder& b) {
        b.add_xor_mapped_address(seen).add_mapped_address(rewritten ? server_two : seen);
      }));
      CHECK(report_of(*p.asker.poll_event()).rewritten == rewritten);
    }
  }

  TEST_CASE("an error or an answer without an address ends it") {
    pair error;
    error.request();
    CHECK(error.give(
        server_one, [](message_builder& b) { b.add_error(error_code::unauthenticated, ""); },
        message_class::error));
    CHECK(error.asker.poll_event() ==
          event{client::refused{server_one, error_code::unauthenticated}});
    pair empty;
    empty.request();
    CHECK(empty.give(server_one, [](message_builder&) {}));
    CHECK(empty.asker.poll_event() == event{client::refused{server_one, std::nullopt}});
    pair unknown;
    unknown.request();
    CHECK(unknown.give(server_one, [](message_builder& b) {
      b.add_xor_mapped_address(seen).add_flag(static_cast<attribute_type>(0x7777));
    }));
    CHECK(unknown.asker.poll_event() == event{client::refused{server_one, std::nullopt}});
  }

  TEST_CASE("a server that ignores CHANGE-REQUEST proves nothing about filters") {
    pair p;
    p.request();
    p.give(server_one, [](message_builder& b) {
      b.add_xor_mapped_address(seen).add_address(attribute_type::other_address, server_two);
    });
    p.now += 100ms;
    p.asker.handle_timeout(p.now);
    CHECK(find_change_request(p.request()) == change_request{true, true});
    CHECK(p.give(server_one, [](message_builder& b) { b.add_xor_mapped_address(seen); }));
    p.now += 100ms;
    CHECK_FALSE(p.request().has(attribute_type::change_request));
    CHECK(p.give({server_two.address, server_one.port},
                 [](message_builder& b) { b.add_xor_mapped_address(seen); }));
    const auto r = report_of(*p.asker.poll_event());
    CHECK(r.filtering == dependence::unknown);
    CHECK(r.mapping == dependence::endpoint_independent);
  }

  TEST_CASE("what is not the response awaited is dropped, and what is others' is theirs") {
    pair p;
    const auto add = [](message_builder& b) { b.add_xor_mapped_address(seen); };
    p.request();
    CHECK(p.give(server_one, add, message_class::success, transaction_id{9}));
    CHECK(p.asker.stats().dropped == 1);
    CHECK_FALSE(p.give(server_one, add, message_class::request));
    CHECK_FALSE(p.give(server_one, add, message_class::indication));
    CHECK_FALSE(p.give(seen, add));
    CHECK_FALSE(p.asker.handle_input(p.now, {}, server_one, weft::as_bytes("no STUN at all, no")));
    CHECK_FALSE(p.asker.poll_event());
    CHECK(p.give(server_one, add));
    CHECK(p.asker.poll_event());
    CHECK(p.give(server_one, add));
    CHECK(p.asker.stats().dropped == 2);
  }

  TEST_CASE("a client that is cancelled is silent, and can start again") {
    pair p;
    p.request();
    p.asker.cancel();
    CHECK_FALSE(p.asker.poll_timeout());
    CHECK_FALSE(p.asker.poll_transmit(p.now, p.buffer));
    p.asker.start(p.now + 1s);
    p.now += 1s;
    p.request();
  }
}
