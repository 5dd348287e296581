#ifndef WEFT_SDP_CANDIDATE_HPP
#define WEFT_SDP_CANDIDATE_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <weft/core/net.hpp>
#include <weft/core/result.hpp>
#include <weft/sdp/error.hpp>

namespace weft::sdp {

enum class candidate_type : std::uint8_t { host, srflx, prflx, relay };
/// Who opens the TCP connection (RFC 6544 §4.5).
enum class tcp_type : std::uint8_t { active, passive, so };

/// One ICE candidate, the value of `a=candidate` (RFC 8839 §5.1, RFC 6544 §4.5).
///
/// It owns its strings, so that it outlives the text it was read from.
struct candidate {
  static constexpr std::string_view name = "candidate";
  static constexpr bool inherits = false;

  /// 1 to 32 letters, digits, `+` and `/`.
  std::string foundation{};
  /// 1 to 256; 1 for RTP and data, 2 for RTCP.
  std::uint16_t component = 1;
  transport_protocol transport = transport_protocol::udp;
  /// 1 to 2^31-1.
  std::uint32_t priority = 1;
  /// An IP address, or a name such as `1f4712db.local`. Names other than `.local` ones are to
  /// be ignored by the receiver (RFC 8839 §5.1); `weft::ip_address::parse` tells them apart.
  std::string address{};
  std::uint16_t port = 0;
  candidate_type type = candidate_type::host;
  /// Empty when absent.
  std::string related_address{};
  std::optional<std::uint16_t> related_port{};
  /// Only with TCP.
  std::optional<sdp::tcp_type> tcp_type{};
  /// The `ufrag` extension, by which trickled candidates name their ICE generation
  /// (RFC 9429 §3.5.2.1 semantics). Empty when absent.
  std::string ufrag{};
  /// The browsers' extensions `generation`, `network-id` and `network-cost`, in no RFC. Values that
  /// are no such numbers are skipped.
  std::optional<std::uint32_t> generation{};
  std::optional<std::uint16_t> network_id{};
  std::optional<std::uint16_t> network_cost{};

  /// Reads the value behind `a=candidate:`. Extensions that are not understood are skipped.
  /// `unknown_transport` and `unknown_type` mean a well-formed candidate to be ignored; the
  /// other errors are the sender's mistake.
  static result<candidate, error_code> parse(std::string_view value);

  /// Appends the value, as `parse` takes it.
  void write(std::string& out) const;

  friend bool operator==(const candidate&, const candidate&) = default;
};

/// Reads what JSEP hands about, `candidate:...` (RFC 9429 §3.5.2.1), with or without `a=` before
/// it and a line end behind it. An empty text, by which the W3C's interface says that there are
/// no more, is not a candidate: handle it before.
result<candidate, error_code> parse_candidate_line(std::string_view line);

/// `candidate:1 1 udp 2130706431 192.0.2.1 4711 typ host`, without `a=`.
std::string to_string(const candidate& c);

std::string_view to_string(candidate_type type);
std::string_view to_string(tcp_type type);

}  // namespace weft::sdp

#endif  // WEFT_SDP_CANDIDATE_HPP
