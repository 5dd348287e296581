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
#include <weft/ice/agent.hpp>
#include <weft/peer/ice_server.hpp>
#include <weft/peer/ice_transport.hpp>
#include <weft/peer/statistics.hpp>
#include <weft/peer/types.hpp>

namespace weft::peer {

/// The W3C's RTCPeerConnection as a machine: ICE, DTLS, SCTP and data channels behind
/// one set of inputs and outputs. It opens no socket, reads no clock and calls nobody.
///
/// A driver does for it what `ice_transport` asks of one, and somebody carries descriptions and
/// candidates to the other side by whatever means there are.
///
/// Networks change under it: addresses that come are gathered for and checked, and what was on one
/// that has gone moves to another path. Where no path is left that the other side knows
/// of, it asks by `negotiation_needed` for an offer, which then restarts ICE.
///
/// Audio and video sections of a remote offer are rejected; the data section is taken. Where data
/// may use the transport of the first section, that one stays, inactive (RFC 9143 §7.3.3).
///
/// Thread-compatible: one thread at a time for one connection.
class connection {
 public:
  /// What a connection has other than an agent alone. Deviation from RFC 8445 §14.3, which has
  /// 500 ms between requests: people wait for calls, and browsers ask again sooner still. Nine
  /// requests then take 27 s.
  static ice::agent::options default_ice_options() {
    ice::agent::options out;
    out.rto = std::chrono::milliseconds{100};
    out.max_requests = 9;
    return out;
  }

  struct options {
    /// RTCConfiguration. See `check` of ice_server.hpp.
    std::vector<ice_server> ice_servers{};
    peer::ice_transport_policy ice_transport_policy = peer::ice_transport_policy::all;
    /// Not 0: gathering begins with the first local address, and a description finds its candidates
    /// ready. They are signalled after `set_local_description` all the same.
    std::uint16_t ice_candidate_pool_size = 0;
    /// Takes allocations along from network to network: see `ice_transport::options::mobility`.
    bool turn_mobility = false;
    /// What RTCConfiguration leaves out: filters, privacy, timings, bounds.
    ice::agent::options ice = default_ice_options();

    /// So long without a path, after own addresses have changed, and the connection asks for ICE
    /// to be restarted. Checks from a new address to a reachable peer take a round trip or two.
    duration restart_after = std::chrono::seconds{3};

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
  /// RTCPeerConnectionIceErrorEvent: a server that did not help. Gathering goes on.
  struct ice_candidate_error {
    endpoint address;  ///< Ours, from which it was asked; none if from several, or hidden.
    std::string url;
    std::uint16_t code;  ///< The server's STUN error code, or 701 when it could not be reached.
    std::string text;
  };
  /// RTCIceTransport's `selectedcandidatepairchange`.
  using selected_pair_changed = ice_transport::selected_pair_changed;

  // Events for the driver: see `ice_transport`
  using connect = ice_transport::connect;
  using disconnect = ice_transport::disconnect;
  using resolve_server = ice_transport::resolve_server;
  using resolve_name = ice_transport::resolve_name;
  using verify_server = ice_transport::verify_server;
  using register_name = ice_transport::register_name;
  using release_name = ice_transport::release_name;

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
  using event =
      std::variant<signaling_state_changed, ice_gathering_state_changed,
                   ice_connection_state_changed, connection_state_changed, candidate_gathered,
                   ice_candidate_error, selected_pair_changed, connect, disconnect, resolve_server,
                   resolve_name, verify_server, register_name, release_name, negotiation_needed,
                   data_channel_added, data_channel_opened, data_channel_closing,
                   data_channel_closed, buffered_amount_low>;

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

  // Commands: sockets and servers
  /// A socket of the driver's, or over TCP an address from which or at which connections can be
  /// made; becomes a host candidate. At any time. Gathering begins with the first local
  /// description. Fails with `bad_argument` (no address or port), `resource` (a bound or a filter
  /// of `options::ice`), `invalid_state` (closed).
  result<void, error> add_local_address(time_point now, const ice::local_address& local);
  /// The same for UDP and a network nothing is known of.
  result<void, error> add_local_address(time_point now, const endpoint& local);
  /// It is gone. At any time; one that is not known changes nothing.
  void remove_local_address(time_point now, const endpoint& local,
                            transport_protocol protocol = transport_protocol::udp);
  /// What a name asked for by `resolve_server` or `resolve_name` stands for; nothing if it could
  /// not be found.
  void resolve(time_point now, std::string_view name, std::span<const ip_address> addresses);
  /// Whether the certificate of a `verify_server` is the right one; counts for no other.
  void server_verified(time_point now, const verify_server& shown, bool trusted);
  /// `setConfiguration` with other servers or credentials: see `ice_transport::set_servers`.
  void set_ice_servers(time_point now, std::vector<ice_server> servers);

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
  /// The same, or bytes of a stream: see `ice_transport`.
  bool handle_input(time_point now, const five_tuple& path, const_bytes bytes);
  void handle_connected(time_point now, const five_tuple& path);
  void handle_disconnected(time_point now, const five_tuple& path);
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
  /// The path in use; `local` may be an address of a relay.
  std::optional<five_tuple> selected_pair() const noexcept;
  counters stats() const noexcept;
  transport_statistics transport_stats() const;
  std::vector<ice::candidate_statistics> candidate_stats() const;
  std::vector<ice::candidate_pair_statistics> pair_stats() const;

 private:
  class implementation;
  std::unique_ptr<implementation> self_;
};

}  // namespace weft::peer

#endif  // WEFT_PEER_CONNECTION_HPP
