#ifndef WEFT_TESTS_INTERNET_NAT_KINDS_HPP
#define WEFT_TESTS_INTERNET_NAT_KINDS_HPP

#include <array>
#include <cstddef>
#include <string_view>

#include "support/internet.hpp"

namespace weft::internet_test {

/// The nine kinds of NAT by RFC 4787: mapping, then filtering; E is endpoint-independent, A
/// address-dependent, P address-and-port-dependent.
inline constexpr std::array<std::string_view, 9> nat_kinds{"EE", "EA", "EP", "AE", "AA",
                                                           "AP", "PE", "PA", "PP"};

inline sim::dependence dependence_of(char letter) {
  if (letter == 'E') return sim::dependence::endpoint_independent;
  if (letter == 'A') return sim::dependence::address_dependent;
  return sim::dependence::address_and_port_dependent;
}

inline sim::nat::options nat_of_kind(std::string_view kind) {
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
inline constexpr std::array<std::string_view, 9> directly_connected{
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

/// By index into `nat_kinds`.
inline bool connects_directly(std::size_t one, std::size_t other) {
  return directly_connected[one][3 * other] == '+';
}

}  // namespace weft::internet_test

#endif  // WEFT_TESTS_INTERNET_NAT_KINDS_HPP
