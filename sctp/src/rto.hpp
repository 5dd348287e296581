#ifndef WEFT_SCTP_SRC_RTO_HPP
#define WEFT_SCTP_SRC_RTO_HPP

#include <optional>

#include <weft/core/time.hpp>

namespace weft::sctp {

/// How long to wait for a SACK before sending again (RFC 9260 §6.3).
///
/// Give it round trips of chunks that were sent exactly once: an answer to a retransmission does
/// not tell which sending it answers (RFC 9260 §6.3.1, C5).
class rto_estimator {
 public:
  struct limits {
    duration initial;
    duration min;
    duration max;
  };

  explicit rto_estimator(const limits& l) : limits_{l}, rto_{l.initial} {}

  void add_round_trip(duration rtt);
  void back_off();
  /// The peer has got something new: takes the doublings back.
  void recover();

  duration rto() const noexcept { return rto_; }
  std::optional<duration> smoothed_round_trip() const noexcept {
    if (!estimate_) return std::nullopt;
    return estimate_->srtt;
  }

 private:
  struct estimate {
    duration srtt;
    duration variance;
  };

  duration estimated() const;

  limits limits_;
  std::optional<estimate> estimate_;
  duration rto_;
};

}  // namespace weft::sctp

#endif  // WEFT_SCTP_SRC_RTO_HPP
