#include <doctest/doctest.h>

#include <array>
#include <string>
#include <string_view>

#include "world.hpp"

namespace weft::internet_test {
namespace {

using sim::dependence;

/// The nine kinds of NAT by RFC 4787: mapping, then filtering; E is endpoint-independent, A
/// address-dependent, P address-and-port-dependent.
constexpr std::array<std::string_view, 9> kinds{"EE", "EA", "EP", "AE", "AA",
                                                "AP", "PE", "PA", "PP"};

dependence dependence_of(char letter) {
  if (letter == 'E') return dependence::endpoint_independent;
  if (letter == 'A') return dependence::address_dependent;
  return dependence::address_and_port_dependent;
}

sim::nat::options options_of(std::string_view kind) {
  sim::nat::options n;
  n.mapping = dependence_of(kind[0]);
  n.filtering = dependence_of(kind[1]);
  return n;
}

/// Whether two sides connect directly, each behind a NAT of its own.
///
/// S and T are their sockets; s and t what a STUN server has seen of them, which is what each
/// signals; s' and t' the ports on which they really come, the same ones where mapping is E.
///
/// - E with E: both send to the port on which the other comes. The first packets may be
///   filtered, but they open the way for those of the other side. Always connected.
/// - E with A or P: T comes from a t' that S does not know. If S filters by P, nothing that T sends
///   passes: not connected. If S filters by E or A it passes, since S has sent to t and so to
///   the address of T; S answers t', which is a way T has opened. Connected. (RFC 4787 §5, REQ-8,
///   says the same of ICE.)
/// - A or P with A or P: both come from ports the other does not know. Whoever filters by P lets
///   nothing in, and an answer has to come in on both sides: both filter by E or A. S hears from t'
///   and checks that, T hears this check from s' and checks s'. With mapping by P each of
///   these is a new destination, so every check and every answer comes from a port nobody
///   has sent to; if both map so that never ends, as no answer comes from where its request went
///   (RFC 8445 §7.2.5.2.1). If one maps by A, its s' is the same for all ports of T, and the second
///   check of T is answered from there. Connected unless both map by P.
constexpr std::array<std::string_view, 9> directly{
    //  EE EA EP AE AA AP PE PA PP
    "+  +  +  +  +  +  +  +  +",  // EE
    "+  +  +  +  +  +  +  +  +",  // EA
    "+  +  +  -  -  -  -  -  -",  // EP
    "+  +  -  +  +  -  +  +  -",  // AE
    "+  +  -  +  +  -  +  +  -",  // AA
    "+  +  -  -  -  -  -  -  -",  // AP
    "+  +  -  +  +  -  -  -  -",  // PE
    "+  +  -  +  +  -  -  -  -",  // PA
    "+  +  -  -  -  -  -  -  -",  // PP
};

bool connects_directly(std::size_t one, std::size_t other) {
  return directly[one][3 * other] == '+';
}

struct two_homes : world {
  two_homes(std::uint64_t seed, std::string_view kind_a, std::string_view kind_b) : world{seed} {
    const endpoint server = add_stun_server("198.51.100.1");
    ice::agent::options opts;
    opts.stun_servers = {{server, "stun:one"}};
    a = &add_party(opts);
    opts.role = ice::role::controlled;
    b = &add_party(opts);
    add_interface(*a, net.add_network({.address = ip("203.0.113.1"), .nat = options_of(kind_a)}),
                  "192.168.1.2");
    add_interface(*b, net.add_network({.address = ip("203.0.113.2"), .nat = options_of(kind_b)}),
                  "192.168.1.3");
    introduce();
  }
  party* a;
  party* b;
};

TEST_SUITE("ICE through NATs of every kind") {
  TEST_CASE("two homes connect directly exactly if the theory says so") {
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      for (std::size_t k = 0; k < kinds.size(); ++k) {
        two_homes w{i * 9 + k, kinds[i], kinds[k]};
        const std::string cell = std::string{kinds[i]} + " with " + std::string{kinds[k]};
        CAPTURE(cell);
        const bool connected = w.connect(90s);
        CHECK(connected == connects_directly(i, k));
        CHECK(w.most_at_once <= 4);
        const auto checks = [&] {
          return std::max(w.a->ice.stats().checks_sent, w.b->ice.stats().checks_sent);
        };
        if (connected) {
          CHECK(w.now - time_point{} <= 300ms);
          CHECK(checks() <= 6);
        } else {
          CHECK(w.a->ice.current_state() == ice::state::failed);
          CHECK(w.b->ice.current_state() == ice::state::failed);
          CHECK(checks() <= 100);
        }
      }
    }
  }
}

}  // namespace
}  // namespace weft::internet_test
