#ifndef WEFT_ICE_STATISTICS_HPP
#define WEFT_ICE_STATISTICS_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <weft/core/time.hpp>
#include <weft/ice/candidate.hpp>

/// What an agent tells of its candidates and pairs, in the terms of W3C webrtc-stats §8.18 and
/// §8.20. No address stands here that signalling did not carry: where one is hidden behind a
/// name, or was only learned from a check, it is absent.
namespace weft::ice {

/// RTCStatsIceCandidatePairState.
enum class candidate_pair_state : std::uint8_t { frozen, waiting, in_progress, succeeded, failed };
std::string_view to_string(candidate_pair_state s) noexcept;

/// RTCIceCandidateStats.
struct candidate_statistics {
  std::string id;  ///< Unique in its agent and never used again: `L1`, `R1`.
  bool is_remote = false;
  candidate info;
};

/// RTCIceCandidatePairStats.
struct candidate_pair_statistics {
  std::string id;  ///< Unique in its agent and never used again: `P1`.
  std::string local_candidate_id;
  std::string remote_candidate_id;
  std::uint16_t component = 1;
  candidate_pair_state state = candidate_pair_state::frozen;
  bool nominated = false;
  bool selected = false;  ///< Data goes here now.
  std::uint64_t priority = 0;

  std::uint64_t requests_sent = 0;  ///< Retransmissions and consent not included.
  std::uint64_t retransmissions_sent = 0;
  std::uint64_t consent_requests_sent = 0;
  std::uint64_t requests_received = 0;
  std::uint64_t responses_sent = 0;
  std::uint64_t responses_received = 0;  ///< To all three kinds of requests.

  duration total_round_trip{};                   ///< Of all the measured ones.
  std::uint64_t round_trips = 0;                 ///< How many.
  std::optional<duration> current_round_trip{};  ///< The last one.

  /// Application data, as `agent::count_sent` and `agent::count_received` were told.
  std::uint64_t packets_sent = 0;
  std::uint64_t packets_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::optional<time_point> last_packet_sent{};
  std::optional<time_point> last_packet_received{};
};

}  // namespace weft::ice

#endif  // WEFT_ICE_STATISTICS_HPP
