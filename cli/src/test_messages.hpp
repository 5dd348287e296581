#ifndef WEFT_CLI_TEST_MESSAGES_HPP
#define WEFT_CLI_TEST_MESSAGES_HPP

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include <weft/core/bytes.hpp>
#include <weft/core/time.hpp>
#include <weft/peer/types.hpp>

namespace weft::cli {

/// A run of numbered messages whose content follows from their number, and the judge of
/// their echoes. Every second one is text, and as letters and digits all are valid text.
class test_messages {
 public:
  struct plan {
    std::size_t count = 120;
    std::vector<std::size_t> sizes = {0, 1, 1200, 16384, 65536, 262144};  ///< In turn.
    bool ordered = true;
    bool reliable = true;
    std::size_t window = 8;  ///< Messages under way at a time.
  };

  struct message {
    peer::message_kind kind;
    std::vector<std::uint8_t> payload;
  };

  struct tally {
    std::size_t sent = 0;
    std::size_t intact = 0;
    std::size_t lost = 0;     ///< Given up by the channel, which only an unreliable one may.
    std::size_t changed = 0;  ///< Echoes of nothing that was sent, or out of order.
    std::uint64_t bytes = 0;  ///< Of intact messages, one way.
  };

  explicit test_messages(const plan& p);

  /// Whether the next message may be sent now.
  bool may_send() const noexcept;
  message next() const;
  /// The message `next` gave is on its way.
  void sent(time_point now);
  /// An echo arrived.
  void received(time_point now, peer::message_kind kind, const_bytes payload);
  /// Gives up what an unreliable channel has not returned for so long.
  void expire(time_point now, duration patience);

  /// Nothing more to send and nothing under way.
  bool done() const noexcept { return counts_.sent == plan_.count && under_way_.empty(); }
  const tally& counts() const noexcept { return counts_; }
  /// One for each intact message, in the order of arrival.
  const std::vector<duration>& round_trips() const noexcept { return round_trips_; }

 private:
  struct entry {
    std::size_t index;
    time_point sent;
  };

  std::size_t size_of(std::size_t index) const;
  message make(std::size_t index) const;
  bool is(std::size_t index, peer::message_kind kind, const_bytes payload) const;

  plan plan_;
  tally counts_;
  std::deque<entry> under_way_;
  std::vector<duration> round_trips_;
};

}  // namespace weft::cli

#endif  // WEFT_CLI_TEST_MESSAGES_HPP
