#ifndef WEFT_SCTP_SRC_ASSOCIATION_IMPL_HPP
#define WEFT_SCTP_SRC_ASSOCIATION_IMPL_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weft/sctp/association.hpp>
#include <weft/sctp/packet.hpp>

#include "buffer_pool.hpp"
#include "congestion.hpp"
#include "data_tracker.hpp"
#include "outstanding.hpp"
#include "reassembly.hpp"
#include "ring.hpp"
#include "rto.hpp"
#include "send_queue.hpp"
#include "state_cookie.hpp"

namespace weft::sctp {

/// One association in its parts. association.cpp has the commands, handshake.cpp how it begins,
/// input.cpp what comes in, transmit.cpp what goes out and when, stream_reset.cpp RFC 6525.
class association::impl {
 public:
  impl(random_source& random, const options& opts);

  void connect(time_point now);
  template <class Payload>
  result<void, send_error> send(time_point now, std::uint16_t stream, std::uint32_t ppid,
                                Payload&& payload, const send_options& how);
  result<void, reset_error> reset_streams(time_point now, std::span<const std::uint16_t> streams);
  void shutdown(time_point now);
  void abort(time_point now, std::string_view reason);

  bool handle_input(time_point now, const_bytes bytes);
  void handle_timeout(time_point now);
  std::optional<transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const;
  std::optional<event> poll_event();
  std::optional<message> receive();
  std::vector<std::uint8_t> take_payload() { return std::move(current_); }

  association_state state() const noexcept { return state_; }
  const send_queue& queue() const noexcept { return queue_; }
  send_queue& queue() noexcept { return queue_; }
  const counters& stats() const noexcept { return stats_; }
  path_state path() const noexcept;

 private:
  enum class timer : std::uint8_t {
    init,       ///< T1: INIT and, after it, COOKIE ECHO.
    rtx,        ///< T3: the oldest chunk in flight.
    shutdown,   ///< T2: SHUTDOWN and SHUTDOWN ACK.
    guard,      ///< T5: the whole shutdown.
    sack,       ///< A delayed SACK.
    re_config,  ///< A stream reset request.
    heartbeat,  ///< The next HEARTBEAT, or the answer to one.
  };
  static constexpr std::size_t timer_count = 7;
  static constexpr time_point never = time_point::max();

  /// A packet that answers one packet and belongs to no association, or to one that has ended.
  struct reply {
    std::uint32_t tag = 0;
    chunk_type type{};
    std::uint8_t flags = 0;
    std::vector<std::uint8_t> value;
  };

  /// A reset request of ours that is on its way (RFC 6525 §5.1.2).
  struct reset_request {
    std::uint32_t sequence = 0;
    std::uint32_t last_assigned_tsn = 0;
    std::vector<std::uint16_t> streams;
    bool counts_as_error = true;  ///< Not after "in progress" (RFC 6525 §5.2.7, H2).
  };
  /// A reset of the peer's that waits for TSNs still under way (RFC 6525 §5.2.2, E2).
  struct deferred_reset {
    std::uint64_t last_assigned_tsn = 0;
    std::vector<std::uint16_t> streams;
  };

  // association.cpp
  time_point advance(time_point now) noexcept;
  std::uint32_t draw_number();
  std::uint32_t draw_tag();
  void reset_association();
  void finish(close_reason reason, std::uint16_t cause, std::string text);
  void fail_association(close_reason reason, error_cause cause, std::string_view text);
  void push_reply(reply r);
  void start_timer(timer t, duration after);
  void stop_timer(timer t) noexcept { timer_at(t) = never; }
  bool running(timer t) const noexcept { return timers_[static_cast<std::size_t>(t)] != never; }
  time_point& timer_at(timer t) noexcept { return timers_[static_cast<std::size_t>(t)]; }
  bool can_send_data() const noexcept;
  bool can_receive_data() const noexcept;
  void count_error();

  // handshake.cpp
  std::vector<std::uint8_t> init_parameters(const_bytes cookie, const_bytes unrecognized) const;
  init_chunk own_init(std::uint32_t tag, std::uint32_t tsn) const noexcept;
  std::optional<handshake_state> read_init(const init_chunk& init,
                                           std::vector<std::uint8_t>& unrecognized);
  void handle_init(const packet_view& packet, const chunk_view& chunk);
  void handle_init_ack(const chunk_view& chunk);
  /// Returns whether the packet's other chunks may be looked at.
  bool handle_cookie_echo(const packet_view& packet, const chunk_view& chunk);
  void handle_cookie_ack();
  void handle_stale_cookie();
  void adopt(const handshake_state& agreed);
  void start_receiving();
  void establish();
  void enter_established();
  void restart(const handshake_state& agreed);
  void send_init();
  void handshake_timeout();

  // input.cpp
  bool tag_is_valid(const packet_view& packet, const chunk_view& first) const noexcept;
  bool checksum_is_valid(const packet_view& packet, const chunk_view& first) const noexcept;
  void handle_out_of_the_blue(const packet_view& packet, const chunk_view& first);
  bool handle_chunk(const packet_view& packet, const chunk_view& chunk);
  bool handle_unknown_chunk(const chunk_view& chunk);
  void handle_data(const chunk_view& chunk);
  void handle_sack(const chunk_view& chunk);
  bool acknowledge(std::uint32_t cumulative_tsn_ack, const_bytes gap_blocks);
  void handle_forward_tsn(const chunk_view& chunk);
  void handle_heartbeat(const chunk_view& chunk);
  void handle_heartbeat_ack(const chunk_view& chunk);
  void handle_abort(const chunk_view& chunk);
  void handle_error(const chunk_view& chunk);
  void handle_shutdown(const chunk_view& chunk);
  void handle_shutdown_ack();
  void handle_shutdown_complete();
  void data_arrived();
  void add_error(error_cause cause, const_bytes value);

  // transmit.cpp
  std::size_t max_payload() const noexcept;
  std::size_t receive_room() const noexcept;
  const_bytes build_reply(mutable_bytes buffer);
  const_bytes build_init(mutable_bytes buffer);
  const_bytes build_packet(mutable_bytes buffer);
  void add_control(packet_builder& packet);
  void add_sack(packet_builder& packet);
  void add_forward_tsn(packet_builder& packet);
  bool add_data(packet_builder& packet);
  bool add_lost(packet_builder& packet);
  bool add_new(packet_builder& packet);
  void write_chunk(packet_builder& packet, std::uint64_t tsn);
  std::size_t next_data_size();
  bool window_is_open(std::size_t bytes) const noexcept;
  bool drop_expired();
  void abandon(std::uint32_t message);
  void release(std::uint32_t message);
  void collect_released();
  void update_forward_tsn();
  void continue_shutdown();
  void rtx_timeout();
  void shutdown_timeout();
  void heartbeat_timeout();

  // stream_reset.cpp
  void handle_re_config(const chunk_view& chunk);
  void handle_outgoing_reset(const outgoing_reset_request& request);
  void handle_incoming_reset(const incoming_reset_request& request);
  void handle_unsupported_request(const tlv_view& parameter);
  void handle_reset_response(const reset_response& response);
  bool request_is_new(std::uint32_t sequence);
  void respond(reset_result result);
  void perform_deferred_reset();
  void begin_reset_request();
  void add_re_config(packet_builder& packet);
  void re_config_timeout();
  void re_config_restart();

  random_source* random_;
  options options_;
  association_state state_ = association_state::closed;
  bool ended_ = false;  ///< Over: no INIT is answered until `connect`.
  time_point now_{};
  std::array<time_point, timer_count> timers_;
  counters stats_;
  ring<event> events_;
  ring<reply> replies_;

  // Set-up
  siphash_key secret_{};  ///< For our cookies; drawn anew when an association ends.
  handshake_state agreed_;
  std::uint32_t local_tie_tag_ = 0;
  std::uint32_t peer_tie_tag_ = 0;
  std::vector<std::uint8_t> cookie_;  ///< The peer's, while it is echoed.
  unsigned handshake_tries_ = 0;
  unsigned errors_ = 0;  ///< In a row (RFC 9260 §8.1).

  // Sending
  buffer_pool pool_;
  message_slab messages_;
  send_queue queue_;
  outstanding_chunks outstanding_;
  congestion_control congestion_;
  rto_estimator rto_;
  std::size_t unacknowledged_ = 0;  ///< Payload held for `send_buffer`.
  bool buffer_was_full_ = false;
  std::size_t peer_window_ = 0;             ///< As last announced, or what is left of that.
  std::optional<std::uint64_t> timed_tsn_;  ///< Sent once, at `timed_at_`: the RTT measurement.
  time_point timed_at_{};
  time_point last_sent_{};                           ///< DATA.
  std::vector<forward_tsn_chunk::skipped> skipped_;  ///< Scratch.

  // Receiving
  data_tracker tracker_;
  reassembly reassembly_;
  std::vector<std::uint8_t> current_;  ///< Behind the message `receive` returned last.
  std::size_t announced_window_ = 0;
  unsigned packets_since_sack_ = 0;
  bool data_in_packet_ = false;
  bool sack_now_ = false;  ///< This packet brought something the sender wants to know at once.

  // Due with the next packet
  bool init_due_ = false;
  bool cookie_echo_due_ = false;
  bool cookie_ack_due_ = false;
  bool sack_due_ = false;
  bool forward_tsn_due_ = false;
  bool fast_retransmit_due_ = false;
  bool shutdown_due_ = false;
  bool shutdown_ack_due_ = false;
  bool heartbeat_due_ = false;
  bool reset_request_due_ = false;
  std::optional<std::vector<std::uint8_t>> heartbeat_ack_;
  std::vector<std::uint8_t> errors_due_;  ///< Causes for an ERROR chunk.

  // Heartbeat
  std::optional<std::uint64_t> heartbeat_nonce_;  ///< While its answer is awaited.
  time_point heartbeat_sent_{};
  time_point last_heard_{};

  // Stream reset
  std::vector<std::uint16_t> reset_wanted_;
  std::optional<reset_request> reset_request_;
  std::uint32_t next_request_ = 0;
  std::uint32_t expected_request_ = 0;  ///< The peer's next.
  reset_result last_result_ = reset_result::bad_sequence_number;
  std::optional<deferred_reset> deferred_;
  std::optional<reset_response> response_due_;
};

}  // namespace weft::sctp

#endif  // WEFT_SCTP_SRC_ASSOCIATION_IMPL_HPP
