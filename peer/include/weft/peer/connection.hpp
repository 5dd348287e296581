#ifndef WEFT_PEER_CONNECTION_HPP
#define WEFT_PEER_CONNECTION_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <weft/core/machine.hpp>
#include <weft/core/net.hpp>
#include <weft/core/random.hpp>
#include <weft/core/result.hpp>
#include <weft/core/time.hpp>
#include <weft/dtls/certificate.hpp>
#include <weft/peer/types.hpp>

namespace weft::peer {

/// The W3C's RTCPeerConnection as a machine: ICE, DTLS, SCTP and data channels behind
/// one set of inputs and outputs. It opens no socket, reads no clock and calls nobody.
///
/// A driver gives it the addresses of its sockets with `add_local_address`, moves
/// datagrams and time as `weft::machine` describes, answers `resolve_name`, and carries
/// descriptions and candidates to the other side by whatever means it likes.
///
/// Audio and video sections of a remote offer are rejected; the data section is taken. Where data
/// may use the transport of the first section, that one stays, inactive (RFC 9143 §7.3.3).
///
/// Thread-compatible: one thread at a time for one connection.
class connection {
 public:
  struct stun_server {
    endpoint address;
    std::string url;  ///< For `ice_candidate_error`, such as "stun:stun.example.org:3478".
  };

  struct options {
    std::vector<stun_server> stun_servers{};

    /// Offer a data section even when no channel was created (RTCConfiguration's
    /// `alwaysNegotiateDataChannels`).
    bool always_negotiate_data_channels = false;

    /// UDP payload of the largest datagram: what both browsers use, and with the IPv6
    /// header still below the 1280 bytes every IPv6 path carries (RFC 8200 §5).
    std::size_t mtu = 1200;

    /// The largest message taken, announced as a=max-message-size (RFC 8841 §6). 256 KiB
    /// is what Chromium announces and everyone is used to.
    std::size_t max_message_size = 262144;

    /// Received and unread bytes that the other side may fill (SCTP's a_rwnd).
    std::size_t receive_window = 2 * 1024 * 1024;

    /// Bytes that `send` takes ahead of the network before it answers `resource`.
    std::size_t send_buffer = 16 * 1024 * 1024;

    /// Channels open at a time: a peer can open streams at no cost to itself.
    std::size_t max_channels = 1024;

    /// How long the DTLS handshake may take once ICE is connected.
    duration handshake_timeout = std::chrono::seconds{30};

    /// RFC 9653, when the other side offers it too. DTLS protects every packet already.
    bool zero_checksum = true;
  };

  // Events
  struct signaling_state_changed {
    signaling_state state;
  };
  struct ice_gathering_state_changed {
    ice_gathering_state state;
  };
  struct ice_connection_state_changed {
    ice_connection_state state;
  };
  struct connection_state_changed {
    connection_state state;
    std::string reason;  ///< Why it failed or closed; empty otherwise.
  };
  /// A candidate to signal; the one with an empty `candidate` ends them (RFC 8838 §13).
  struct candidate_gathered {
    ice_candidate candidate;
  };
  /// RTCPeerConnectionIceErrorEvent: a STUN server that did not help. Gathering goes on.
  struct ice_candidate_error {
    endpoint address;  ///< Of the server.
    std::string url;
    std::uint16_t code;  ///< The server's STUN error code, or 701 when it did not answer.
    std::string text;
  };
  /// Somebody has to look up an mDNS name and call `resolve`.
  struct resolve_name {
    std::string name;
  };
  struct negotiation_needed {};
  /// The other side opened this channel.
  struct data_channel_added {
    channel_handle channel;
  };
  struct data_channel_opened {
    channel_handle channel;
  };
  struct data_channel_closing {
    channel_handle channel;
  };
  /// The last event of a channel. `error` is empty for an orderly end.
  struct data_channel_closed {
    channel_handle channel;
    std::string error;
  };
  struct buffered_amount_low {
    channel_handle channel;
  };
  using event = std::variant<signaling_state_changed, ice_gathering_state_changed,
                             ice_connection_state_changed, connection_state_changed,
                             candidate_gathered, ice_candidate_error, resolve_name,
                             negotiation_needed, data_channel_added, data_channel_opened,
                             data_channel_closing, data_channel_closed, buffered_amount_low>;

  struct counters {
    std::uint64_t datagrams_received = 0;
    std::uint64_t datagrams_sent = 0;
    std::uint64_t bytes_received = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t messages_received = 0;
    std::uint64_t messages_sent = 0;
    /// Not STUN, DTLS, RTP nor RTCP by its first byte (RFC 7983 §7), or empty.
    std::uint64_t unknown_datagrams = 0;
    /// RTP and RTCP, for which nothing is negotiated.
    std::uint64_t media_datagrams = 0;
    /// From an address that no authenticated check has answered for.
    std::uint64_t unvalidated_datagrams = 0;
    /// Data channel messages and DCEP messages that broke a rule.
    std::uint64_t bad_messages = 0;
    /// Remote candidates that could not be used: no UDP, another component, stale.
    std::uint64_t ignored_candidates = 0;
  };

  /// `random` must outlive the connection and must not be predictable.
  connection(random_source& random, dtls::certificate certificate);
  connection(random_source& random, dtls::certificate certificate, const options& opts);
  connection(connection&&) noexcept;
  connection& operator=(connection&&) noexcept;
  ~connection();

  // Commands: sockets
  /// A socket of the driver's, by the address it is bound to: becomes a host candidate. All
  /// are given before the first local description, with which gathering begins;
  /// `invalid_state` after that.
  result<void, error> add_local_address(time_point now, const endpoint& local);
  /// What a name asked for by `resolve_name` stands for; nothing if it could not be found.
  void resolve(time_point now, std::string_view name, std::span<const ip_address> addresses);

  // Commands: negotiation (RFC 9429 §4.1)
  struct offer_options {
    bool ice_restart = false;
  };
  result<session_description, error> create_offer(time_point now);
  result<session_description, error> create_offer(time_point now, const offer_options& opts);
  result<session_description, error> create_answer(time_point now);
  /// Creates the offer or answer that the signaling state asks for and sets it.
  result<void, error> set_local_description(time_point now);
  result<void, error> set_local_description(time_point now, const session_description& d);
  result<void, error> set_remote_description(time_point now, const session_description& d);
  /// A candidate without address, or empty, is the end of candidates. One that cannot be used
  /// (TCP, another component, an older ufrag) is counted and no error.
  result<void, error> add_ice_candidate(time_point now, const ice_candidate& candidate);
  /// Makes the next offer restart ICE and says `negotiation_needed`.
  void restart_ice(time_point now);

  // Commands: data channels (RFC 8831, RFC 8832)
  result<channel_handle, error> create_data_channel(time_point now, std::string_view label);
  result<channel_handle, error> create_data_channel(time_point now, std::string_view label,
                                                    const data_channel_options& opts);
  result<void, error> send(time_point now, channel_handle channel, std::string_view text);
  result<void, error> send(time_point now, channel_handle channel, const_bytes binary);
  /// Takes the payload over, which saves a copy.
  result<void, error> send(time_point now, channel_handle channel, message_kind kind,
                           std::vector<std::uint8_t>&& payload);
  void set_buffered_amount_low_threshold(channel_handle channel, std::size_t bytes);
  /// Messages already sent still arrive; then both directions end (RFC 8831 §6.7).
  void close_data_channel(time_point now, channel_handle channel);

  /// Ends everything: channels, SCTP, DTLS, ICE. `poll_transmit` still hands out the farewell.
  void close(time_point now);

  // Inputs
  /// True if the datagram belongs here, also when it is bad. `local` is the address given to
  /// `add_local_address`.
  bool handle_input(time_point now, const endpoint& local, const endpoint& remote,
                    const_bytes datagram);
  void handle_timeout(time_point now);

  // Outputs
  std::optional<addressed_transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const;
  std::optional<event> poll_event();
  /// The next message, in the order of arrival. Unread messages count against the receive window,
  /// and what the other side did after them (closing, opening channels) waits behind them.
  std::optional<data_channel_message> receive(time_point now);

  // Attributes
  signaling_state signaling() const noexcept;
  ice_gathering_state ice_gathering() const noexcept;
  ice_connection_state ice_connection() const noexcept;
  connection_state state() const noexcept;
  /// With the candidates gathered so far. Nothing before the first one is set.
  std::optional<session_description> local_description() const;
  std::optional<session_description> remote_description() const;
  /// The username fragment in force on our side, by which a shared socket finds its connection.
  std::string_view local_username_fragment() const noexcept;
  /// Nothing for a handle that never was or whose channel has been closed and reported so.
  std::optional<data_channel_info> channel(channel_handle channel) const;
  /// Payload that the other side takes in one message; nothing before SCTP is negotiated.
  std::optional<std::size_t> max_message_size() const noexcept;
  counters stats() const noexcept;

 private:
  class implementation;
  std::unique_ptr<implementation> self_;
};

}  // namespace weft::peer

#endif  // WEFT_PEER_CONNECTION_HPP
