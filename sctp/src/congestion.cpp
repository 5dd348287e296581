#include "congestion.hpp"

#include <algorithm>
#include <limits>

namespace weft::sctp {
namespace {

// Deviation from RFC 9260 §7.2.1, which has about four: ten packets are what TCP begins with
// since RFC 6928, and what saves short exchanges a round trip or two.
constexpr std::size_t initial_packets = 10;

// RFC 9260 §7.2.1 calls this L and lets it be more than one (RFC 3465). A receiver whose packets
// come in batches, as with UDP_GRO, has one SACK for each batch; counting two packets of it, as is
// usual, would turn slow start into a crawl of two packets a round trip.
constexpr std::size_t packets_per_sack = 256;

}  // namespace

congestion_control::congestion_control(std::size_t chunk_size)
    : chunk_size_{chunk_size},
      window_{initial_packets * chunk_size},
      slow_start_threshold_{std::numeric_limits<std::size_t>::max()} {}

void congestion_control::acknowledged(const acknowledgement& ack) {
  // SACKs come in batches, without a chance to send between them. So whether the window is used
  // is asked of a round trip, not of each SACK.
  if (ack.cumulative_tsn > round_end_) {
    round_end_ = ack.highest_tsn;
    peak_flight_ = 0;
  }
  peak_flight_ = std::max(peak_flight_, ack.flight_before);
  if (recovery_exit_) {
    if (ack.cumulative_tsn >= *recovery_exit_) recovery_exit_.reset();
    return;  // RFC 9260 §7.2.1: the window does not grow in fast recovery.
  }
  if (ack.bytes == 0 || !ack.cumulative_advanced) return;
  if (window_ <= slow_start_threshold_) {
    if (window_ < 2 * peak_flight_) window_ += std::min(ack.bytes, packets_per_sack * chunk_size_);
    return;
  }
  // RFC 9260 §7.2.2
  partial_bytes_acked_ += ack.bytes;
  if (partial_bytes_acked_ < window_) return;
  if (peak_flight_ + chunk_size_ > window_) {
    partial_bytes_acked_ -= window_;
    window_ += chunk_size_;
  } else {
    partial_bytes_acked_ = window_;
  }
}

bool congestion_control::lost(std::uint64_t highest_tsn) {
  if (recovery_exit_) return false;
  slow_start_threshold_ = std::max(window_ / 2, 4 * chunk_size_);  // RFC 9260 §7.2.3
  window_ = slow_start_threshold_;
  partial_bytes_acked_ = 0;
  recovery_exit_ = highest_tsn;
  return true;
}

void congestion_control::timed_out() {
  slow_start_threshold_ = std::max(window_ / 2, 4 * chunk_size_);  // RFC 9260 §7.2.3
  window_ = chunk_size_;
  partial_bytes_acked_ = 0;
  recovery_exit_.reset();
}

void congestion_control::idle() {
  // RFC 9260 §7.2.1, with the initial window above.
  if (window_ <= initial_packets * chunk_size_) return;
  if (slow_start_threshold_ == std::numeric_limits<std::size_t>::max())
    slow_start_threshold_ = window_;
  window_ = std::max(window_ / 2, initial_packets * chunk_size_);
}

}  // namespace weft::sctp
