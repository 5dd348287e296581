#ifndef WEFT_SCTP_SRC_REASSEMBLY_HPP
#define WEFT_SCTP_SRC_REASSEMBLY_HPP

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include <weft/sctp/packet.hpp>

#include "buffer_pool.hpp"
#include "data_tracker.hpp"
#include "ring.hpp"
#include "slab.hpp"

namespace weft::sctp {

/// Makes messages of chunks and puts them in order (RFC 9260 §6.5, §6.6, §6.9).
///
/// Neighbouring chunks of one message form a run, which grows at its ends and joins with the
/// next one when the gap between them closes. So a chunk that comes in order, or behind a gap in
/// order, is copied once, right behind the one before it.
class reassembly {
 public:
  struct delivered {
    std::vector<std::uint8_t> payload;
    std::uint32_t ppid = 0;
    std::uint16_t stream = 0;
    bool unordered = false;
  };

  /// What bookkeeping of a run or a message counts for, beside its payload: about its record and
  /// what the heap adds.
  static constexpr std::size_t overhead = 128;

  reassembly(buffer_pool& pool, std::size_t max_message_size)
      : pool_{&pool}, max_message_size_{max_message_size} {}

  /// A new association begins: parts are forgotten, whole messages can still be read.
  void restart();

  enum class outcome : std::uint8_t {
    taken,
    misplaced,  ///< No part of any message: the chunk is dropped.
    too_large,  ///< The message exceeds `max_message_size`.
  };
  /// A chunk that `tracker` has counted in, just now.
  outcome add(std::uint64_t tsn, const data_chunk& c, const data_tracker& tracker);

  /// Drops what can no longer be completed now that everything up to `cumulative` counts as
  /// received, where before it was `previous` (RFC 3758 §3.6).
  void forward(std::uint64_t previous, std::uint64_t cumulative);
  /// Ordered messages of `stream` up to `ssn` will not come, if they have not.
  void skip(std::uint16_t stream, std::uint16_t ssn);
  /// Sequence numbers begin anew on these streams; on all if there are none.
  void reset(std::span<const std::uint16_t> streams);

  std::optional<delivered> receive();
  /// Bytes that count against the receive window.
  std::size_t held_bytes() const noexcept { return held_; }
  /// Whether some of that is not yet whole or not yet in order.
  bool has_parts() const noexcept { return held_ != unread_; }

 private:
  static constexpr std::uint32_t none = slab<int>::none;

  struct run {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::uint32_t ppid = 0;
    std::uint16_t stream = 0;
    std::uint16_t ssn = 0;
    bool unordered = false;
    bool begun = false;  ///< It has the message's first chunk.
    bool ended = false;  ///< It has the last one.
    std::vector<std::uint8_t> payload;
  };

  static bool same_message(const run& r, const data_chunk& c) noexcept;
  static std::uint32_t key(std::uint16_t stream, std::uint16_t ssn) noexcept {
    return std::uint32_t{stream} << 16 | ssn;
  }

  std::uint32_t run_at_edge(std::uint64_t tsn) const noexcept;
  void set_edge(std::uint64_t tsn, std::uint32_t index, std::uint64_t cumulative);
  std::uint32_t begin_run(std::uint64_t tsn, const data_chunk& c);
  void join(std::uint32_t left, std::uint32_t right);
  void drop(std::uint32_t index);
  outcome complete(std::uint32_t index);
  void deliver(std::uint32_t index);
  void deliver_waiting(std::uint16_t stream);
  std::uint16_t& next_ssn(std::uint16_t stream);

  buffer_pool* pool_;
  std::size_t max_message_size_;
  slab<run> runs_;
  std::vector<std::uint32_t> edges_;  ///< The run that begins or ends at a TSN; check before use.
  std::size_t open_runs_ = 0;         ///< Not complete.
  std::vector<std::uint16_t> next_ssn_;             ///< By stream, as far as one was used.
  std::map<std::uint32_t, std::uint32_t> waiting_;  ///< Complete, not their turn. By key().
  ring<delivered> delivered_;
  std::size_t held_ = 0;
  std::size_t unread_ = 0;  ///< What of it is whole and in `delivered_`.
};

}  // namespace weft::sctp

#endif  // WEFT_SCTP_SRC_REASSEMBLY_HPP
