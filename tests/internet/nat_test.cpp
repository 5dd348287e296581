#include <doctest/doctest.h>

#include <array>
#include <string_view>

#include "support/internet_nat.hpp"

namespace weft::sim {
namespace {

using namespace std::chrono_literals;

endpoint at(std::string_view address, std::uint16_t port) {
  return {ip_address::parse(address).value(), port};
}

constexpr auto udp = transport_protocol::udp;
constexpr auto tcp = transport_protocol::tcp;
const time_point start{};
const endpoint x = at("192.168.1.2", 5000);
const endpoint y1 = at("198.51.100.1", 1000);
const endpoint y1_other_port = at("198.51.100.1", 2000);
const endpoint y2 = at("198.51.100.2", 1000);
const ip_address outside = ip_address::parse("203.0.113.1").value();

/// Whether packets to `a` and to `b` leave with one port.
bool share_a_mapping(dependence mapping, const endpoint& a, const endpoint& b) {
  nat::options opts;
  opts.mapping = mapping;
  nat n{outside, opts, 1};
  return n.outward(start, udp, x, a) == n.outward(start, udp, x, b);
}

/// Whether a packet from `from` comes in when x has sent to y1.
bool is_let_in(dependence filtering, const endpoint& from) {
  nat::options opts;
  opts.filtering = filtering;
  nat n{outside, opts, 1};
  const auto mapped = n.outward(start, udp, x, y1);
  return n.inward(start, udp, from, *mapped) == x;
}

TEST_SUITE("simulated NATs") {
  TEST_CASE("mapping depends on as much of the destination as its kind says (RFC 4787 §4.1)") {
    using enum dependence;
    for (const dependence kind :
         {endpoint_independent, address_dependent, address_and_port_dependent}) {
      CAPTURE(static_cast<int>(kind));
      CHECK(share_a_mapping(kind, y1, y1));
      CHECK(share_a_mapping(kind, y1, y1_other_port) == (kind != address_and_port_dependent));
      CHECK(share_a_mapping(kind, y1, y2) == (kind == endpoint_independent));
    }
  }

  TEST_CASE("filtering depends on as much of the source as its kind says (RFC 4787 §5)") {
    using enum dependence;
    for (const dependence kind :
         {endpoint_independent, address_dependent, address_and_port_dependent}) {
      CAPTURE(static_cast<int>(kind));
      CHECK(is_let_in(kind, y1));
      CHECK(is_let_in(kind, y1_other_port) == (kind != address_and_port_dependent));
      CHECK(is_let_in(kind, y2) == (kind == endpoint_independent));
    }
  }

  TEST_CASE("what counts for filtering is to whom X:x has sent, by any mapping (RFC 4787 §5)") {
    nat::options opts;
    opts.mapping = dependence::address_and_port_dependent;
    opts.filtering = dependence::address_dependent;
    nat n{outside, opts, 1};
    const auto towards_y1 = n.outward(start, udp, x, y1);
    CHECK_FALSE(n.inward(start, udp, y2, *towards_y1));
    REQUIRE(n.outward(start, udp, x, y2) != towards_y1);
    CHECK(n.inward(start, udp, y2, *towards_y1) == x);
  }

  TEST_CASE("no packet comes in where no mapping is") {
    nat n{outside, {}, 1};
    const auto mapped = n.outward(start, udp, x, y1);
    CHECK_FALSE(n.inward(start, udp, y1, {outside, 1}));
    CHECK_FALSE(n.inward(start, udp, y1, {y2.address, mapped->port}));
    CHECK_FALSE(n.inward(start, tcp, y1, *mapped));
  }

  TEST_CASE("ports are preserved, in sequence or random (RFC 4787 §4.2.1), and never doubled") {
    nat::options opts;
    opts.mapping = dependence::address_and_port_dependent;
    opts.ports = port_assignment::preserving;
    nat preserving{outside, opts, 1};
    CHECK(preserving.outward(start, udp, x, y1)->port == x.port);
    CHECK(preserving.outward(start, udp, x, y2)->port == x.port + 1);
    CHECK(preserving.outward(start, tcp, x, y2)->port == x.port);

    opts.ports = port_assignment::sequential;
    nat sequential{outside, opts, 1};
    const auto first = sequential.outward(start, udp, x, y1)->port;
    CHECK(sequential.outward(start, udp, x, y2)->port == first + 1);

    opts.ports = port_assignment::random;
    nat one{outside, opts, 1}, same{outside, opts, 1}, other{outside, opts, 2};
    CHECK(one.outward(start, udp, x, y1) == same.outward(start, udp, x, y1));
    CHECK(one.outward(start, udp, x, y2) != other.outward(start, udp, x, y2));
    std::set<endpoint> seen;
    for (std::uint16_t port = 1; port <= 1000; ++port)
      seen.insert(one.outward(start, udp, x, {y1.address, port}).value());
    CHECK(seen.size() == 1000);
  }

  TEST_CASE("a mapping ends when nothing has left by it for its time (RFC 4787 §4.3)") {
    nat::options opts;
    opts.udp_timeout = 2min;
    nat n{outside, opts, 1};
    const auto mapped = n.outward(start, udp, x, y1);
    CHECK(n.inward(start + 119s, udp, y1, *mapped));
    CHECK(n.outward(start + 119s, udp, x, y1) == mapped);
    CHECK(n.inward(start + 238s, udp, y1, *mapped));
    CHECK_FALSE(n.inward(start + 239s, udp, y1, *mapped));
    CHECK(n.mappings() == 0);
    CHECK(n.outward(start + 240s, udp, x, y1) != mapped);

    opts.inbound_refresh = true;
    nat refreshed{outside, opts, 1};
    const auto kept = refreshed.outward(start, udp, x, y1);
    CHECK(refreshed.inward(start + 119s, udp, y1, *kept));
    CHECK(refreshed.inward(start + 238s, udp, y1, *kept));
  }

  TEST_CASE("after a reboot nothing comes in, and what leaves gets other ports") {
    for (const auto ports : {port_assignment::preserving, port_assignment::sequential}) {
      nat::options opts;
      opts.ports = ports;
      nat n{outside, opts, 1};
      const auto before = n.outward(start, udp, x, y1);
      n.reboot();
      CHECK_FALSE(n.inward(start, udp, y1, *before));
      const auto after = n.outward(start, udp, x, y1);
      CHECK(after != before);
      CHECK(n.inward(start, udp, y1, *after) == x);
    }
  }
}

}  // namespace
}  // namespace weft::sim
