#ifndef WEFT_SCTP_ASSOCIATION_HPP
#define WEFT_SCTP_ASSOCIATION_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <weft/core/bytes.hpp>
#include <weft/core/machine.hpp>
#include <weft/core/random.hpp>
#include <weft/core/result.hpp>
#include <weft/core/time.hpp>

namespace weft::sctp {

/// Whether a message waits for the ones sent before it on its stream (RFC 9260 §3.3.1, U bit).
enum class delivery_order : std::uint8_t { ordered, unordered };

/// How one message is to be sent. At most one of the two limits makes a channel partially
/// reliable in WebRTC's sense; both together mean whichever strikes first.
struct send_options {
  delivery_order order = delivery_order::ordered;
  /// The message is given up this long after `send` (RFC 3758 §4.1).
  std::optional<duration> lifetime = std::nullopt;
  /// The message is given up when a part of it would need to be sent again more often than
  /// this; zero means every part goes out once (RFC 7496 §3.1).
  std::optional<std::uint16_t> max_retransmissions = std::nullopt;
};

enum class send_error : std::uint8_t {
  empty_payload,      ///< SCTP has no empty messages: see dcep for how WebRTC sends one.
  message_too_large,  ///< More than `remote_max_message_size` or `send_buffer`: never possible.
  no_such_stream,     ///< Not below the negotiated number of outgoing streams.
  stream_resetting,   ///< A reset is under way: wait for `outgoing_streams_reset`.
  buffer_full,        ///< Wait for `send_ready`, then try again.
  closed,             ///< The association is shutting down or closed.
};
std::string_view to_string(send_error error) noexcept;

enum class reset_error : std::uint8_t {
  not_connected,   ///< Only an established association can reset streams.
  not_supported,   ///< The peer did not announce RE-CONFIG: the streams stay as they are.
  no_such_stream,  ///< One of them is not below the negotiated number of outgoing streams.
};
std::string_view to_string(reset_error error) noexcept;

/// A message as it came in.
struct message {
  std::uint16_t stream = 0;
  std::uint32_t ppid = 0;  ///< Payload protocol identifier, opaque to SCTP.
  delivery_order order = delivery_order::ordered;
  const_bytes payload;  ///< Valid until the next `receive` or `take_payload`; never empty.
};

/// RFC 9260 §4.
enum class association_state : std::uint8_t {
  closed,
  cookie_wait,
  cookie_echoed,
  established,
  shutdown_pending,
  shutdown_sent,
  shutdown_received,
  shutdown_ack_sent,
};
std::string_view to_string(association_state state) noexcept;

enum class close_reason : std::uint8_t {
  shutdown,            ///< Both sides have all that was sent; whoever asked for it.
  aborted_locally,     ///< `abort` was called.
  aborted_by_peer,     ///< An ABORT came; `cause` and `text` say what it said.
  handshake_timeout,   ///< No answer to INIT or COOKIE ECHO.
  peer_unreachable,    ///< Too many retransmissions in a row without an answer.
  shutdown_timeout,    ///< The peer did not finish the shutdown in time (T5).
  refused,             ///< The peer's INIT ACK cannot be used, for instance for zero streams.
  protocol_violation,  ///< The peer broke a rule that nothing can be built on.
  message_too_large,   ///< The peer sent a message above `max_message_size`.
};
std::string_view to_string(close_reason reason) noexcept;

/// One end of an SCTP association over a datagram path that others secure and address:
/// DTLS in WebRTC (RFC 8261), so packets carry ports but no addresses.
///
/// - RFC 9260 with one path, RFC 3758 and 7496 (partial reliability), RFC 6525 (stream reset),
///   RFC 7053 (I bit), RFC 9653 (zero checksum over DTLS).
/// - It answers an INIT whenever one comes, so one end may `connect` or both at once.
/// - Move datagrams and time as `weft::machine` describes. Full packets are equal in length.
/// - In the steady state, sending and receiving allocate nothing: buffers are pooled, and a
///   payload is copied once into its packets and once out of them.
class association {
 public:
  struct options {
    std::uint16_t local_port = 5000;  ///< RFC 8841 §5: what `a=sctp-port` says by custom.
    std::uint16_t remote_port = 5000;
    /// Bytes of the largest packet built. A UDP payload of 1200 bytes passes every path with
    /// IPv6's minimum MTU; a DTLS 1.2 record with AES-GCM takes 37 of them (RFC 6347 §4.1,
    /// RFC 5288 §3), and chunks come in steps of four. At least 512, at most 1472.
    std::size_t max_packet_size = 1160;
    std::uint16_t outgoing_streams = 65535;  ///< RFC 8831 §6.2: as many as there are.
    std::uint16_t incoming_streams = 65535;

    /// Payload and bookkeeping of messages that have come in and were not yet read, in whole
    /// or in part; announced as a_rwnd. 5 MiB carry 100 Mbit/s over a 400 ms path.
    std::size_t receive_window = 5 * 1024 * 1024;
    /// Largest message accepted; the `a=max-message-size` to announce. A larger one ends the
    /// association. The chunks of a message that is being put together may exceed the window
    /// by up to this.
    std::size_t max_message_size = 256 * 1024;
    /// The peer's `a=max-message-size`. 64 KiB where it announced none (RFC 8841 §6.1).
    std::size_t remote_max_message_size = 256 * 1024;
    /// Payload accepted by `send` and not yet acknowledged.
    std::size_t send_buffer = 16 * 1024 * 1024;
    /// Messages accepted by `send` and not yet acknowledged: bounds the bookkeeping of small ones.
    std::size_t max_queued_messages = 65536;
    /// DATA chunks in flight, and how far ahead of the cumulative TSN one is accepted. A gap ack
    /// block reaches 65535 (RFC 9260 §3.3.4); 32768 full chunks are 37 MB.
    std::size_t max_tsn_window = 32768;

    /// RFC 9260 §16 has 1 s, 1 s and 60 s.
    duration rto_initial = std::chrono::seconds{1};
    /// Deviation from RFC 9260 §16, which has 1 s: data channels run on paths of tens of
    /// milliseconds. It stays above the 200 ms by which a peer may delay a SACK (§6.2).
    duration rto_min = std::chrono::milliseconds{250};
    /// Deviation from RFC 9260 §16, which has 60 s: ICE consent notices a dead path in 30 s, and a
    /// path that comes back should not be left idle for a minute.
    duration rto_max = std::chrono::seconds{10};
    unsigned max_init_retransmissions = 8;  ///< RFC 9260 §16.
    unsigned max_retransmissions = 10;      ///< Association.Max.Retrans, RFC 9260 §16.
    duration cookie_lifetime = std::chrono::seconds{60};     ///< Valid.Cookie.Life, RFC 9260 §16.
    duration heartbeat_interval = std::chrono::seconds{30};  ///< HB.Interval; zero turns it off.
    duration sack_delay = std::chrono::milliseconds{200};    ///< RFC 9260 §6.2; at most 500 ms.
    duration shutdown_guard =
        std::chrono::seconds{60};  ///< T5: five times RTO.Max by RFC 9260 §9.2.

    /// Offers RFC 9653 with DTLS as the alternative: packets then carry no checksum in each
    /// direction whose receiver offered it.
    bool zero_checksum = false;
  };

  struct connected {
    std::uint16_t outgoing_streams;  ///< Negotiated (RFC 9260 §5.1.1).
    std::uint16_t incoming_streams;
    bool partial_reliability;  ///< Without it every message is reliable.
    bool stream_reset;
    bool zero_checksum;  ///< We may send packets without a checksum.
    bool operator==(const connected&) const = default;
  };
  /// The peer lost its state and came back (RFC 9260 §5.2.4, action A). Messages in part sent
  /// or not acknowledged are gone, unsent ones stay queued; sequence numbers begin anew.
  struct restarted {
    std::size_t messages_lost;
    bool operator==(const restarted&) const = default;
  };
  /// The last event. What was received can still be read.
  struct closed {
    close_reason reason;
    std::uint16_t cause = 0;  ///< RFC 9260 §3.3.10, when the peer gave one; otherwise 0.
    std::string text;         ///< The peer's own words, not to be trusted; or what it did wrong.
    bool operator==(const closed&) const = default;
  };
  /// The peer's side of these streams ends here: its next messages on them begin anew. Read
  /// what `receive` has before acting on it. Empty: all streams.
  struct incoming_streams_reset {
    std::vector<std::uint16_t> streams;
    bool operator==(const incoming_streams_reset&) const = default;
  };
  /// What became of `reset_streams`, perhaps in several parts. Streams whose reset was denied
  /// go on as before.
  struct outgoing_streams_reset {
    enum class outcome : std::uint8_t { performed, denied };
    std::vector<std::uint16_t> streams;
    outcome result;
    bool operator==(const outgoing_streams_reset&) const = default;
  };
  /// `buffered_amount(stream)` has fallen to its threshold from above (W3C WebRTC §6.2).
  struct buffered_amount_low {
    std::uint16_t stream;
    bool operator==(const buffered_amount_low&) const = default;
  };
  /// After a `buffer_full`: half of the send buffer is free again.
  struct send_ready {
    bool operator==(const send_ready&) const = default;
  };
  using event = std::variant<connected, restarted, closed, incoming_streams_reset,
                             outgoing_streams_reset, buffered_amount_low, send_ready>;

  struct counters {
    std::uint64_t packets_sent = 0;
    std::uint64_t packets_received = 0;
    std::uint64_t bytes_sent = 0;  ///< Of packets, headers included.
    std::uint64_t bytes_received = 0;
    std::uint64_t messages_sent = 0;  ///< Accepted by `send`.
    std::uint64_t messages_received = 0;
    std::uint64_t messages_abandoned_unsent = 0;  ///< RFC 7496 §4.5: no part was ever sent.
    std::uint64_t messages_abandoned_sent = 0;    ///< RFC 7496 §4.5: some of it was.
    std::uint64_t chunks_sent = 0;                ///< DATA, retransmissions included.
    std::uint64_t chunks_received = 0;
    std::uint64_t chunks_retransmitted = 0;
    std::uint64_t fast_retransmits = 0;  ///< Times that fast recovery was entered.
    std::uint64_t timeouts = 0;          ///< Expiries of T3-rtx.
    std::uint64_t duplicates_received = 0;
    std::uint64_t chunks_refused = 0;  ///< No room, or too far ahead of what is due.

    // The peer's mistakes, or somebody's forgeries: each costs its packet or chunk, no more.
    std::uint64_t malformed = 0;
    std::uint64_t bad_checksum = 0;
    std::uint64_t bad_tag = 0;          ///< RFC 9260 §8.5.
    std::uint64_t bad_cookie = 0;       ///< Forged, altered or stale.
    std::uint64_t out_of_the_blue = 0;  ///< RFC 9260 §8.4.
    std::uint64_t unexpected =
        0;  ///< A chunk that has no place in this state, or an impossible value.
    std::uint64_t unknown_chunks = 0;
  };

  /// What the congestion control knows.
  struct path_state {
    std::optional<duration> smoothed_round_trip;  ///< None before the first measurement.
    duration retransmission_timeout;
    std::size_t congestion_window;
    std::size_t slow_start_threshold;
    std::size_t bytes_in_flight;
    std::size_t peer_window;
  };

  /// `random` is used whenever numbers are drawn and must outlive the association.
  explicit association(random_source& random);
  association(random_source& random, const options& opts);
  association(association&&) noexcept;
  association& operator=(association&&) noexcept;
  ~association();

  // Commands

  /// Sends INIT. Both ends may do this at once (RFC 9260 §5.2). Does nothing unless closed;
  /// an association that has ended may be connected again.
  void connect(time_point now);

  /// Queues one message. `payload` is kept as it is, and given back to the heap, or to the pool
  /// for later messages, when all of it is acknowledged. May be called before `connect`.
  result<void, send_error> send(time_point now, std::uint16_t stream, std::uint32_t ppid,
                                std::vector<std::uint8_t>&& payload, const send_options& how);
  /// The same with a copy of `payload` in a pooled buffer.
  result<void, send_error> send(time_point now, std::uint16_t stream, std::uint32_t ppid,
                                const_bytes payload, const send_options& how);

  /// Ends our side of these streams once all that was queued on them is delivered or given up
  /// (RFC 6525 §5.1.2, RFC 8831 §6.7). Streams already in reset are passed over.
  result<void, reset_error> reset_streams(time_point now, std::span<const std::uint16_t> streams);

  /// Ends the association after everything queued has arrived (RFC 9260 §9.2).
  void shutdown(time_point now);
  /// Ends it at once; `poll_transmit` still hands out the ABORT. At most 256 bytes of `reason`
  /// go with it (RFC 9260 §3.3.10.12).
  void abort(time_point now, std::string_view reason);

  // Inputs

  /// Takes one packet. Returns false when it is not SCTP for our ports: too short or other ports.
  bool handle_input(time_point now, const_bytes packet);
  void handle_timeout(time_point now);

  // Outputs

  /// Builds the next packet at the front of `buffer`, which holds at least `max_packet_size`;
  /// a smaller one yields nothing.
  std::optional<transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const;
  std::optional<event> poll_event();

  /// The next whole message. Reading opens the receive window.
  std::optional<message> receive();
  /// The payload of the message that `receive` returned last, to keep.
  std::vector<std::uint8_t> take_payload();

  // Questions

  association_state state() const noexcept;
  /// Payload queued on this stream of which no packet has been built yet.
  std::size_t buffered_amount(std::uint16_t stream) const noexcept;
  /// The same over all streams.
  std::size_t buffered_amount() const noexcept;
  /// Zero until set.
  void set_buffered_amount_low_threshold(std::uint16_t stream, std::size_t bytes);
  const counters& stats() const noexcept;
  path_state path() const noexcept;

 private:
  class impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace weft::sctp

#endif  // WEFT_SCTP_ASSOCIATION_HPP
