#include "rto.hpp"

#include <algorithm>

namespace weft::sctp {
namespace {

// RFC 9260 §6.3.1, G1: a variance of zero would claim that the clock is exact.
constexpr duration clock_granularity = std::chrono::milliseconds{1};

// Beyond this a round trip is a clock that jumped.
constexpr duration longest_round_trip = std::chrono::minutes{10};

}  // namespace

void rto_estimator::add_round_trip(duration rtt) {
  rtt = std::clamp(rtt, duration{}, longest_round_trip);
  if (!estimate_) {
    estimate_ = {.srtt = rtt, .variance = rtt / 2};  // C2
  } else {
    // C3, with RTO.Beta = 1/4 and RTO.Alpha = 1/8 (RFC 9260 §16). The variance goes first because
    // it needs the old SRTT.
    const duration error = std::chrono::abs(estimate_->srtt - rtt);
    estimate_->variance += (error - estimate_->variance) / 4;
    estimate_->srtt += (rtt - estimate_->srtt) / 8;
  }
  estimate_->variance = std::max(estimate_->variance, clock_granularity);
  rto_ = estimated();
}

duration rto_estimator::estimated() const {
  return std::clamp(estimate_->srtt + 4 * estimate_->variance, limits_.min, limits_.max);  // C6, C7
}

// Deviation from RFC 9260 §6.3.3, E2, where the doubled RTO stays until a round trip is measured:
// with heavy loss nearly everything is a retransmission, which measures nothing (C5), and each
// further loss would cost RTO.Max. TCPs undo it likewise when an ACK advances.
void rto_estimator::recover() {
  if (estimate_) rto_ = estimated();
}

void rto_estimator::back_off() {
  rto_ = std::min(rto_ * 2, limits_.max);  // RFC 9260 §6.3.3, E2
}

}  // namespace weft::sctp
