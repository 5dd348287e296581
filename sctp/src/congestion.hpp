#ifndef WEFT_SCTP_SRC_CONGESTION_HPP
#define WEFT_SCTP_SRC_CONGESTION_HPP

#include <cstddef>
#include <cstdint>
#include <optional>

namespace weft::sctp {

/// How much may be in flight (RFC 9260 §7.2). Sizes are payload bytes; TSNs are unwrapped.
class congestion_control {
 public:
  /// `chunk_size` is the payload of a full packet, PMDCS in the RFC.
  explicit congestion_control(std::size_t chunk_size);

  struct acknowledgement {
    std::size_t bytes = 0;          ///< Newly acknowledged, by gap blocks too.
    std::size_t flight_before = 0;  ///< In flight when the SACK came in.
    std::uint64_t cumulative_tsn = 0;
    bool cumulative_advanced = false;
    std::uint64_t highest_tsn = 0;  ///< The newest sent.
  };
  void acknowledged(const acknowledgement& ack);
  /// Chunks were found missing; `highest_tsn` is the newest sent. Returns whether this begins
  /// fast recovery, when one packet goes out whatever the window says (RFC 9260 §7.2.4).
  bool lost(std::uint64_t highest_tsn);
  void timed_out();
  /// Nothing was sent for one RTO.
  void idle();

  std::size_t window() const noexcept { return window_; }
  std::size_t slow_start_threshold() const noexcept { return slow_start_threshold_; }
  bool in_fast_recovery() const noexcept { return recovery_exit_.has_value(); }

 private:
  std::size_t chunk_size_;
  std::size_t window_;
  std::size_t slow_start_threshold_;
  std::size_t partial_bytes_acked_ = 0;
  std::size_t peak_flight_ = 0;  ///< The most that was in flight in this round trip.
  std::uint64_t round_end_ = 0;
  std::optional<std::uint64_t> recovery_exit_;
};

}  // namespace weft::sctp

#endif  // WEFT_SCTP_SRC_CONGESTION_HPP
