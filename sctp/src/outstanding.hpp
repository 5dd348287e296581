#ifndef WEFT_SCTP_SRC_OUTSTANDING_HPP
#define WEFT_SCTP_SRC_OUTSTANDING_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <weft/sctp/packet.hpp>

#include "send_queue.hpp"
#include "tsn_bitmap.hpp"

namespace weft::sctp {

/// Chunks that have a TSN and are not cumulatively acknowledged, in a ring indexed by TSN.
///
/// Each is in flight, lost (to be sent again), acknowledged by a gap block, or abandoned. What
/// state it is in is one bit in one of three sets, so that a SACK is worked off 64 TSNs at a time
/// and costs by what it changes.
class outstanding_chunks {
 public:
  struct chunk {
    std::uint32_t message = 0;  ///< In the slab; not when abandoned.
    std::uint32_t offset = 0;
    std::uint16_t length = 0;
    std::uint16_t stream = 0;
    std::uint16_t ssn = 0;
    std::uint16_t transmissions = 0;
    std::uint32_t sending = 0;  ///< The number of its last transmission among all of them.
    std::uint8_t misses = 0;
    bool unordered = false;
    bool abandoned = false;
  };

  explicit outstanding_chunks(message_slab& messages) : messages_{&messages} {}

  void start(std::uint32_t initial_tsn);
  bool started() const noexcept { return next_ != 0; }

  /// Assigns the next TSN to a part of `message` that is being sent now.
  std::uint64_t add(std::uint32_t message, std::size_t offset, std::size_t length);

  struct sack_outcome {
    bool valid = false;  ///< Otherwise nothing happened.
    bool cumulative_advanced = false;
    std::size_t bytes_acknowledged = 0;
    bool losses = false;  ///< Chunks were moved from in flight to lost.
  };
  /// Works off a SACK (RFC 9260 §6.2.1, §7.2.4). Messages that are complete with it, and those
  /// given up because they would have to be sent too often, are reported by `poll_*`.
  sack_outcome acknowledge(std::uint32_t cumulative_tsn_ack, const const_bytes& gap_blocks);

  /// Everything in flight is lost (RFC 9260 §6.3.3, E3).
  void time_out();

  /// The lowest lost TSN.
  std::optional<std::uint64_t> next_lost() const noexcept;
  /// It is sent again now.
  void retransmitted(std::uint64_t tsn);

  /// Gives `message` up. `unfinished` when it was not cut to its end: one more TSN is then used
  /// up for it, so that the peer can be told to forget what it has of it (RFC 3758 §3.5 A3).
  void abandon(std::uint32_t message, bool unfinished);

  /// The highest TSN up to which everything is acknowledged or abandoned (RFC 3758 §3.5 C2).
  std::uint64_t advanced_ack_point() const noexcept;
  /// The streams that a FORWARD TSN has to name, at most `max`, and the TSN it can then forward to.
  std::uint64_t forward(std::vector<forward_tsn_chunk::skipped>& streams, std::size_t max) const;

  /// A message of which nothing is outstanding and nothing unsent.
  std::optional<std::uint32_t> poll_finished();
  /// A message that may not be sent again as often as it would have to.
  std::optional<std::uint32_t> poll_exhausted();

  const chunk& operator[](std::uint64_t tsn) const noexcept { return chunks_[slot(tsn)]; }
  bool acknowledged(std::uint64_t tsn) const noexcept {
    return tsn < base_ || acknowledged_.test(tsn);
  }
  bool empty() const noexcept { return base_ == next_; }
  std::size_t size() const noexcept { return static_cast<std::size_t>(next_ - base_); }
  std::uint64_t cumulative_ack() const noexcept { return base_ - 1; }
  std::uint64_t next_tsn() const noexcept { return next_; }
  std::size_t bytes_in_flight() const noexcept { return in_flight_bytes_; }
  bool has_lost() const noexcept { return lost_count_ > 0; }

 private:
  std::size_t slot(std::uint64_t tsn) const noexcept { return tsn & (chunks_.size() - 1); }
  void reserve_one();
  void acknowledge_cumulatively(std::uint64_t to, sack_outcome& out);
  void acknowledge_block(std::uint64_t first, std::uint64_t last, sack_outcome& out);
  void revoke(std::uint64_t first, std::uint64_t last);
  void note_acknowledged(const chunk& c);
  void count_misses(std::uint64_t last, sack_outcome& out);
  void lose(std::uint64_t tsn);

  message_slab* messages_;
  std::vector<chunk> chunks_;  ///< A power of two of them, as many as the sets hold.
  tsn_bitmap in_flight_;
  tsn_bitmap lost_;
  tsn_bitmap acknowledged_;
  std::uint64_t base_ = 0;  ///< The first that is not cumulatively acknowledged.
  std::uint64_t next_ = 0;
  std::uint64_t first_lost_ = 0;  ///< None is lost below it.
  std::size_t in_flight_bytes_ = 0;
  std::size_t lost_count_ = 0;
  std::uint32_t sending_ = 0;
  std::optional<std::uint32_t> newest_acknowledged_;  ///< Sending, within one SACK.
  ring<std::uint32_t> finished_;
  ring<std::uint32_t> exhausted_;
};

}  // namespace weft::sctp

#endif  // WEFT_SCTP_SRC_OUTSTANDING_HPP
