#ifndef WEFT_TESTS_SUPPORT_INTERNET_NAT_HPP
#define WEFT_TESTS_SUPPORT_INTERNET_NAT_HPP

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include <weft/core/net.hpp>
#include <weft/core/random.hpp>
#include <weft/core/time.hpp>

namespace weft::sim {

/// On how much of the other end something depends: the three kinds of mapping (RFC 4787 §4.1)
/// and the three of filtering (§5).
enum class dependence : std::uint8_t {
  endpoint_independent,
  address_dependent,
  address_and_port_dependent,
};

/// RFC 4787 §4.2.1.
enum class port_assignment : std::uint8_t {
  preserving,  ///< The inside port where it is free, or else the next one that is.
  sequential,
  random,
};

/// Lets in from outside what an inside endpoint X:x has asked for (RFC 4787 §5). To the letter of
/// that section, what counts is to whom X:x has sent, through whichever of its mappings.
class packet_filter {
 public:
  struct options {
    dependence filtering = dependence::address_and_port_dependent;
    duration udp_timeout = std::chrono::minutes{5};    ///< RFC 4787 §4.3, REQ-5 c.
    duration tcp_timeout = std::chrono::minutes{124};  ///< RFC 5382 §5, REQ-5.
    /// Packets from outside keep what they pass alive too (RFC 4787 §4.3, REQ-6 a). Those from
    /// inside always do.
    bool inbound_refresh = false;
  };

  explicit packet_filter(const options& opts) : options_{opts} {}

  void note_outward(time_point now, transport_protocol protocol, const endpoint& inside,
                    const endpoint& to);
  bool admits(time_point now, transport_protocol protocol, const endpoint& from,
              const endpoint& inside);
  void forget() { until_.clear(); }

 private:
  options options_;
  std::map<std::tuple<transport_protocol, endpoint, endpoint>, time_point> until_;
};

/// A network address translator as RFC 4787 defines them; RFC 5382 has the same kinds for TCP. It
/// changes addresses and ports, and decides who may come in; where packets go from here is the
/// Internet's to say.
class nat {
 public:
  struct options : packet_filter::options {
    dependence mapping = dependence::endpoint_independent;
    port_assignment ports = port_assignment::sequential;
    bool hairpin = false;  ///< RFC 4787 §6.
  };

  nat(const ip_address& external, const options& opts, std::uint64_t seed)
      : external_{external}, options_{opts}, filter_{opts}, random_{seed} {}

  const ip_address& external() const { return external_; }
  const options& behaviour() const { return options_; }

  /// A packet from inside goes out to `to`: the address it has outside. Nothing if the ports
  /// have run out.
  std::optional<endpoint> outward(time_point now, transport_protocol protocol,
                                  const endpoint& inside, const endpoint& to);
  /// A packet has come from outside to the external address `to`: the endpoint inside
  /// that it is for, unless it is filtered out.
  std::optional<endpoint> inward(time_point now, transport_protocol protocol, const endpoint& from,
                                 const endpoint& to);

  /// As after a reboot: no mapping is left, and none gets the port that it had.
  void reboot();
  /// As when the provider gives another address out, which comes with a reboot.
  void renumber(const ip_address& external) {
    external_ = external;
    reboot();
  }

  std::size_t mappings() const { return mappings_.size(); }

 private:
  struct session {  ///< What packets from inside are told apart by.
    transport_protocol protocol;
    endpoint inside;
    endpoint to;  ///< As much of it as the kind depends on.
    auto operator<=>(const session&) const = default;
  };
  struct port_key {
    transport_protocol protocol;
    std::uint16_t port;
    auto operator<=>(const port_key&) const = default;
  };
  struct mapping {
    std::uint16_t port;
    time_point expires;
  };

  std::optional<std::uint16_t> choose_port(transport_protocol protocol, const endpoint& inside);
  void expire(time_point now);

  ip_address external_;
  options options_;
  packet_filter filter_;
  seeded_random random_;
  std::uint16_t next_port_ = first_port;
  std::map<session, mapping> mappings_;
  std::map<port_key, session> by_port_;
  std::set<port_key> burnt_;  ///< Ports of before the last reboot.

  static constexpr std::uint16_t first_port = 40000;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SUPPORT_INTERNET_NAT_HPP
