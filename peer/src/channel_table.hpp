#ifndef WEFT_PEER_SRC_CHANNEL_TABLE_HPP
#define WEFT_PEER_SRC_CHANNEL_TABLE_HPP

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <weft/core/result.hpp>
#include <weft/core/time.hpp>
#include <weft/dcep/message.hpp>
#include <weft/peer/connection.hpp>
#include <weft/peer/types.hpp>
#include <weft/sctp/association.hpp>

namespace weft::peer {

/// The data channels of one connection (RFC 8831, RFC 8832): which stream each one has, what
/// DCEP has agreed about it, and how it opens and closes.
///
/// The SCTP association is the caller's and comes with each call that needs it; before it is
/// connected, channels wait in `connecting`.
class channel_table {
 public:
  /// What happens to channels is appended to `events`.
  channel_table(std::deque<connection::event>& events, std::size_t max_channels)
      : events_{events}, max_channels_{max_channels} {}

  // Commands
  result<channel_handle, error> create(std::string_view label, const data_channel_options& opts);
  /// Any payload, the empty one too. `message_limit` is what the other side takes.
  result<void, error> send(time_point now, sctp::association& sctp, channel_handle handle,
                           message_kind kind, std::vector<std::uint8_t>&& payload,
                           std::size_t message_limit);
  void close(time_point now, sctp::association* sctp, channel_handle handle);
  /// Every channel ends at once, with `reason`.
  void close_all(std::string_view reason);
  void set_low_threshold(sctp::association* sctp, channel_handle handle, std::size_t bytes);

  // What happens below
  /// Whether it opens a channel (RFC 8832 §5.1).
  static bool is_open(const sctp::message& message);
  void handle_connected(dcep::role role, std::uint16_t streams);
  /// Opens what waits: gives streams to channels and their DATA_CHANNEL_OPEN to the association.
  /// `message_limit` as in `send`.
  void open_waiting(time_point now, sctp::association& sctp, std::size_t message_limit);
  /// Takes DCEP messages in. A message of data comes back, for the application; what breaks a
  /// rule is counted and gone.
  std::optional<data_channel_message> handle_message(time_point now, sctp::association& sctp,
                                                     const sctp::message& message);
  /// `streams` empty: all.
  void handle_incoming_reset(time_point now, sctp::association& sctp,
                             std::span<const std::uint16_t> streams);
  void handle_outgoing_reset(std::span<const std::uint16_t> streams);
  /// The other side has refused. Channels end all the same, and their streams are not used again.
  void handle_denied_reset(std::span<const std::uint16_t> streams);
  void handle_buffered_amount_low(std::uint16_t stream);

  // Outputs
  bool empty() const noexcept { return channels_.empty(); }
  bool is_waiting() const noexcept { return !waiting_.empty(); }
  std::optional<data_channel_info> info(const sctp::association* sctp, channel_handle handle) const;
  std::uint64_t bad_messages() const noexcept { return bad_messages_; }

 private:
  struct channel {
    std::string label;
    data_channel_options options;
    data_channel_state state = data_channel_state::connecting;
    bool acknowledged = false;  ///< By DCEP's ACK or any message, or there is no DCEP.
    bool used = false;          ///< The application has sent something.
    bool outgoing_ended = false;
    bool incoming_ended = false;
    std::size_t low_threshold = 0;
  };
  // Ordered, so that what befalls all channels befalls them in the order of their creation.
  using channel_map = std::map<channel_handle, channel>;

  result<void, error> check(std::string_view label, const data_channel_options& opts) const;
  channel_handle add(channel&& c);
  channel* find(channel_handle handle);
  channel_map::iterator find_by_stream(std::uint16_t stream);
  void finish(channel_map::iterator at, std::string_view error);
  void end_outgoing(time_point now, sctp::association& sctp, channel_map::iterator at);
  void close_stream(time_point now, sctp::association& sctp, std::uint16_t stream);
  void incoming_ended(time_point now, sctp::association& sctp, channel_map::iterator at);
  std::optional<std::uint16_t> free_stream() const;
  result<void, sctp::send_error> send_open(time_point now, sctp::association& sctp,
                                           const channel& c);
  void handle_control(time_point now, sctp::association& sctp, const sctp::message& message);
  void handle_open(time_point now, sctp::association& sctp, const sctp::message& message);

  std::deque<connection::event>& events_;
  std::size_t max_channels_;
  std::optional<dcep::role> role_;
  std::uint16_t streams_ = 0;  ///< Usable in both directions, once connected.
  channel_map channels_;
  /// Also with channels that are no more, where the stream cannot be used again.
  std::unordered_map<std::uint16_t, channel_handle> by_stream_;
  std::deque<channel_handle> waiting_;
  std::uint32_t next_handle_ = 1;
  std::uint64_t bad_messages_ = 0;
};

}  // namespace weft::peer

#endif  // WEFT_PEER_SRC_CHANNEL_TABLE_HPP
