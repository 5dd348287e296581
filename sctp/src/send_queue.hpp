#ifndef WEFT_SCTP_SRC_SEND_QUEUE_HPP
#define WEFT_SCTP_SRC_SEND_QUEUE_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <weft/core/time.hpp>

#include "ring.hpp"
#include "slab.hpp"

namespace weft::sctp {

/// A message on its way out, from `send` until its last chunk is acknowledged. Chunks refer to
/// it and copy from its payload when their packet is built.
struct outgoing_message {
  static constexpr std::uint32_t unlimited = 0xffffffff;

  std::vector<std::uint8_t> payload;
  std::uint32_t ppid = 0;
  std::uint16_t stream = 0;
  std::uint16_t ssn = 0;  ///< Assigned with the first chunk.
  bool unordered = false;
  bool abandoned = false;
  std::uint32_t max_retransmissions = unlimited;
  time_point expires = time_point::max();
  std::uint32_t cut = 0;                 ///< Bytes that have become chunks.
  std::uint32_t live_chunks = 0;         ///< Chunks of it not yet cumulatively acknowledged.
  std::uint64_t first_tsn = 0;           ///< Once `cut` is not zero.
  std::uint32_t next = slab<int>::none;  ///< The one after it on its stream.

  bool fully_cut() const noexcept { return cut == payload.size(); }
};

using message_slab = slab<outgoing_message>;

/// Messages of which something is still to be sent. Streams take turns message by message: a
/// message once begun is finished first, because its chunks have consecutive TSNs
/// (RFC 9260 §6.9).
class send_queue {
 public:
  explicit send_queue(message_slab& messages) : messages_{&messages} {}

  void push(std::uint32_t message);
  bool empty() const noexcept { return first_ready_ == none; }

  /// The message whose next part is to be sent. There is one.
  std::uint32_t current() const noexcept { return streams_[first_ready_].head; }
  /// `bytes` of the current message have become a chunk. Its first one gives it its SSN.
  void cut(std::size_t bytes);
  /// The current message is not sent (any further). It stays in the slab.
  void drop_current();

  std::size_t buffered(std::uint16_t stream) const noexcept;
  std::size_t buffered() const noexcept { return buffered_; }
  void set_low_threshold(std::uint16_t stream, std::size_t bytes);
  std::optional<std::uint16_t> poll_low();

  /// Whether everything on this stream has become chunks.
  bool drained(std::uint16_t stream) const noexcept;
  void set_resetting(std::uint16_t stream, bool resetting);
  bool resetting(std::uint16_t stream) const noexcept;
  void restart_ssn(std::uint16_t stream);
  /// After a restart: SSNs begin anew everywhere, and no stream is in reset.
  void restart();

 private:
  static constexpr std::uint32_t none = slab<int>::none;

  struct stream_state {
    std::uint16_t id = 0;
    std::uint16_t next_ssn = 0;
    bool resetting = false;
    bool low_pending = false;
    std::uint32_t head = none;
    std::uint32_t tail = none;
    std::uint32_t next_ready = none;
    std::size_t buffered = 0;
    std::size_t low_threshold = 0;
  };

  const stream_state* find(std::uint16_t stream) const noexcept;
  std::uint32_t find_or_add(std::uint16_t stream);
  void append_ready(std::uint32_t index);
  void finish_current();
  void reduce(stream_state& s, std::size_t bytes);

  message_slab* messages_;
  std::vector<stream_state> streams_;
  std::vector<std::uint32_t> index_;  ///< By stream identifier, as far as one was used.
  std::uint32_t first_ready_ = none;  ///< Streams with messages, in the order of their turns.
  std::uint32_t last_ready_ = none;
  std::size_t buffered_ = 0;
  ring<std::uint16_t> low_;
};

}  // namespace weft::sctp

#endif  // WEFT_SCTP_SRC_SEND_QUEUE_HPP
