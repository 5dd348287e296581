#ifndef WEFT_TURN_DATA_CONNECTION_HPP
#define WEFT_TURN_DATA_CONNECTION_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <weft/core/machine.hpp>
#include <weft/core/random.hpp>
#include <weft/core/time.hpp>
#include <weft/stun/long_term_client.hpp>
#include <weft/stun/message.hpp>
#include <weft/stun/transaction.hpp>

namespace weft::turn {

/// Turns a fresh TCP or TLS connection to the server into the one to a peer (RFC 6062 §4.3):
/// sends ConnectionBind and waits for the answer. After `bound` the bytes of the connection
/// are the peer's, both ways, and this object's work is done.
///
/// `client::data_connection` makes them.
class data_connection {
 public:
  /// The connection is the peer's from here.
  struct bound {
    bool operator==(const bound&) const = default;
  };
  /// Close the connection. `code` as in `client::allocation_failed`.
  struct failed {
    stun::error_code code;
    std::string reason;
    bool operator==(const failed&) const = default;
  };
  using event = std::variant<bound, failed>;

  data_connection(random_source& random, stun::long_term_client authentication,
                  std::uint32_t connection_id);

  /// Takes the next bytes of the stream and returns how many of them were for it. After `bound`
  /// the rest of them is the peer's.
  std::size_t handle_input(time_point now, const_bytes bytes);
  void handle_timeout(time_point now);

  std::optional<transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const;
  std::optional<event> poll_event();

 private:
  void handle_response(const_bytes bytes);
  void begin();
  void finish(event outcome);
  time_point advance(time_point now);

  random_source* random_;
  stun::long_term_client authentication_;
  std::uint32_t connection_id_;
  stun::retransmission_timer timer_;
  stun::transaction_id id_{};
  stun::long_term_attempt attempt_{};
  std::vector<std::uint8_t> partial_;  ///< At most one STUN message of `max_response` bytes.
  time_point now_ = time_point::min();
  std::optional<event> outcome_;
};

}  // namespace weft::turn

#endif  // WEFT_TURN_DATA_CONNECTION_HPP
