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

/// RFC 6544 §4.5. Candidates over TCP can be named, but no check is made on them yet.
enum class tcp_type : std::uint8_t { active, passive, simultaneous_open };

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
  std::optional<tcp_type> tcp;

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

/// RFC 8445 §5.1.2.2, with the values recommended there.
constexpr std::uint32_t type_preference(candidate_type type) noexcept {
  switch (type) {
    case candidate_type::host:
      return 126;
    case candidate_type::peer_reflexive:
      return 110;
    case candidate_type::server_reflexive:
      return 100;
    case candidate_type::relayed:
      return 0;
  }
  return 0;
}

/// RFC 8445 §5.1.2.1.
constexpr std::uint32_t candidate_priority(candidate_type type, std::uint16_t local_preference,
                                           std::uint16_t component = 1) noexcept {
  return type_preference(type) << 24 | std::uint32_t{local_preference} << 8 |
         ((256u - component) & 0xff);
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
