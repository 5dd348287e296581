#ifndef WEFT_ICE_CANDIDATE_HPP
#define WEFT_ICE_CANDIDATE_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <weft/core/net.hpp>

/// Candidates and the numbers that order them (RFC 8445 §5.1): plain values, shared by
/// whoever signals them and the agent that checks them.
namespace weft::ice {

enum class candidate_type : std::uint8_t { host, server_reflexive, peer_reflexive, relayed };
std::string_view to_string(candidate_type type) noexcept;

/// Who opens the connection (RFC 6544 §4.5).
enum class tcp_type : std::uint8_t { active, passive, simultaneous_open };
/// As RFC 6544 §4.5 writes it: `active`, `passive`, `so`.
std::string_view to_string(tcp_type type) noexcept;

/// How a host reaches its relay. The other side and the data are none the wiser.
enum class relay_protocol : std::uint8_t { udp, tcp, tls, dtls };
std::string_view to_string(relay_protocol p) noexcept;

/// The port of an active candidate, which has none yet (RFC 6544 §4.5).
inline constexpr std::uint16_t active_port = 9;

/// A transport address at which an agent may be reached.
struct candidate {
  /// Equal for candidates of one type, from one base address and server (RFC 8445 §5.1.1.3):
  /// 1 to 32 characters of ALPHA, DIGIT, `+` and `/`.
  std::string foundation;
  std::uint16_t component = 1;
  transport_protocol protocol = transport_protocol::udp;
  std::uint32_t priority = 0;  ///< RFC 8445 §5.1.2; 1 to 2^31 - 1.
  endpoint address;            ///< Without an IP address where there is a `name`.
  std::string name;            ///< A `.local` name that stands for the IP address, or empty.
  candidate_type type = candidate_type::host;
  std::optional<endpoint> related;  ///< The base of a reflexive candidate, for diagnosis.
  std::optional<tcp_type> tcp;      ///< Set where `protocol` is TCP.

  /// The browsers' `network-id` and `network-cost`; 0 where they are not signalled.
  std::uint16_t network_id = 0;
  std::uint16_t network_cost = 0;  ///< 0 to 999, the less the better.

  // Of local candidates only, and never signalled

  std::string server_url{};               ///< Of the server that gave it.
  std::optional<relay_protocol> relay{};  ///< Set where `type` is relayed.

  friend bool operator==(const candidate&, const candidate&) = default;
};

/// The user name fragment and password of one side in one ICE session.
struct credentials {
  std::string ufrag;     ///< RFC 8839 §5.4: 4 to 256 characters of ALPHA, DIGIT, `+` and `/`.
  std::string password;  ///< 22 to 256 of the same.

  friend bool operator==(const credentials&, const credentials&) = default;
};

/// Whether lengths and characters are those that RFC 8839 §5.4 allows.
bool is_valid(const credentials& c) noexcept;

/// Who nominates (RFC 8445 §6.1.1).
enum class role : std::uint8_t { controlling, controlled };
std::string_view to_string(role r) noexcept;

/// RFC 8445 §5.1.2.2, with the values recommended there for UDP. Over TCP they are less, so that
/// any direct path over UDP goes before one over TCP (RFC 6544 §4.2), and a relay last.
constexpr std::uint32_t type_preference(
    candidate_type type, transport_protocol protocol = transport_protocol::udp) noexcept {
  const bool udp = protocol == transport_protocol::udp;
  switch (type) {
    case candidate_type::host:
      return udp ? 126 : 90;
    case candidate_type::peer_reflexive:
      return udp ? 110 : 80;
    case candidate_type::server_reflexive:
      return udp ? 100 : 70;
    case candidate_type::relayed:
      return 0;
  }
  return 0;
}

/// Of relayed candidates: the fewer layers between host and relay, the better. RFC 8445 §5.1.2.2
/// recommends 0 for all; these are the browsers' values, still below all others.
constexpr std::uint32_t type_preference(relay_protocol p) noexcept {
  switch (p) {
    case relay_protocol::udp:
      return 2;
    case relay_protocol::dtls:
    case relay_protocol::tcp:
      return 1;
    case relay_protocol::tls:
      return 0;
  }
  return 0;
}

/// RFC 6544 §4.2: the three upper bits of the local preference of a candidate over TCP.
constexpr std::uint16_t direction_preference(candidate_type type, tcp_type tcp) noexcept {
  const bool reflexive =
      type == candidate_type::server_reflexive || type == candidate_type::peer_reflexive;
  switch (tcp) {
    case tcp_type::active:
      return reflexive ? 4 : 6;
    case tcp_type::passive:
      return reflexive ? 2 : 4;
    case tcp_type::simultaneous_open:
      return reflexive ? 6 : 2;
  }
  return 0;
}

/// RFC 8445 §5.1.2.1, from its three parts.
constexpr std::uint32_t make_priority(std::uint32_t type_pref, std::uint16_t local_preference,
                                      std::uint16_t component) noexcept {
  return type_pref << 24 | std::uint32_t{local_preference} << 8 | ((256u - component) & 0xff);
}

/// RFC 8445 §5.1.2.1, for a candidate over UDP.
constexpr std::uint32_t candidate_priority(candidate_type type, std::uint16_t local_preference,
                                           std::uint16_t component = 1) noexcept {
  return make_priority(type_preference(type), local_preference, component);
}

/// RFC 8445 §5.1.2: more would not fit into the priority of a pair.
constexpr bool is_valid_priority(std::uint32_t priority) noexcept {
  return priority >= 1 && priority <= 0x7fff'ffff;
}

/// RFC 8445 §6.1.2.3. Both agents get the same number for a pair.
constexpr std::uint64_t pair_priority(std::uint32_t of_controlling,
                                      std::uint32_t of_controlled) noexcept {
  const std::uint64_t lesser = of_controlling < of_controlled ? of_controlling : of_controlled;
  const std::uint64_t greater = of_controlling < of_controlled ? of_controlled : of_controlling;
  return (lesser << 32) + 2 * greater + (of_controlling > of_controlled ? 1 : 0);
}

}  // namespace weft::ice

#endif  // WEFT_ICE_CANDIDATE_HPP
