#ifndef WEFT_SCTP_SRC_DATA_TRACKER_HPP
#define WEFT_SCTP_SRC_DATA_TRACKER_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <weft/sctp/packet.hpp>

#include "tsn_bitmap.hpp"

namespace weft::sctp {

/// Which TSNs have come in: the cumulative TSN, a set of those above it, and the duplicates to
/// report (RFC 9260 §6.2). TSNs are unwrapped against the cumulative one.
class data_tracker {
 public:
  explicit data_tracker(std::size_t window) : window_{window} {}

  void start(std::uint32_t peer_initial_tsn);

  std::uint64_t unwrap(std::uint32_t tsn) const noexcept;
  bool received(std::uint64_t tsn) const noexcept;
  /// Whether it is not further ahead of the cumulative TSN than the window goes.
  bool within_window(std::uint64_t tsn) const noexcept { return tsn <= cumulative_ + window_; }
  /// Whether a sender can have got that far, given up chunks included, of which the window
  /// need not have room for any. Nobody has a million under way.
  bool within_reach(std::uint64_t tsn) const noexcept { return tsn <= cumulative_ + (1u << 20); }

  /// A TSN within the window and not received before.
  void insert(std::uint64_t tsn);
  void note_duplicate(std::uint32_t tsn) noexcept;
  /// Everything up to `tsn`, within reach, counts as received (RFC 3758 §3.6).
  void forward(std::uint64_t tsn);

  std::uint64_t cumulative() const noexcept { return cumulative_; }
  std::uint64_t highest() const noexcept { return highest_; }
  bool has_gaps() const noexcept { return highest_ != cumulative_; }

  /// The blocks nearest to the cumulative TSN, as many as fit. Returns how many.
  std::size_t gap_blocks(std::span<gap_block> out) const noexcept;
  std::span<const std::uint32_t> duplicates() const noexcept {
    return {duplicates_.data(), duplicate_count_};
  }
  void clear_duplicates() noexcept { duplicate_count_ = 0; }

 private:
  void advance();

  std::size_t window_;
  std::uint64_t cumulative_ = 0;
  std::uint64_t highest_ = 0;
  tsn_bitmap above_;
  std::array<std::uint32_t, 16> duplicates_{};  // More is no use to the sender.
  std::size_t duplicate_count_ = 0;
};

}  // namespace weft::sctp

#endif  // WEFT_SCTP_SRC_DATA_TRACKER_HPP
