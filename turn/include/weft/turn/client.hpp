#ifndef WEFT_TURN_CLIENT_HPP
#define WEFT_TURN_CLIENT_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include <weft/core/machine.hpp>
#include <weft/core/net.hpp>
#include <weft/core/random.hpp>
#include <weft/core/result.hpp>
#include <weft/core/time.hpp>
#include <weft/stun/long_term_client.hpp>
#include <weft/stun/transaction.hpp>
#include <weft/turn/attributes.hpp>
#include <weft/turn/channel_data.hpp>
#include <weft/turn/data_connection.hpp>
#include <weft/turn/registry.hpp>

namespace weft::turn {

/// Why a command was not carried out, or data not taken.
enum class client_error : std::uint8_t {
  no_allocation,  ///< There is none, yet or any more: wait for `allocated`, or `allocate` again.
  no_permission,  ///< Ask with `create_permission`; if that was done, the answer is under way:
                  ///< drop the data as a network would, or wait for `permission_created`.
  wrong_family,   ///< No relayed address has the peer's family. Another allocation may.
  moving,         ///< The server has not yet answered from the new address: as `no_permission`.
  too_many,       ///< A bound of `options` is reached: `release` what is not needed.
  too_large,      ///< The buffer or a message cannot hold it: make it smaller.
  not_offered,    ///< The allocation or the server cannot do this. Nothing will change that.
};
std::string_view to_string(client_error e) noexcept;

/// A TURN client with one server (RFC 8656), as UDP, DTLS, TCP or TLS carry it.
///
/// Give it a way to the server and call `allocate`; when it says `allocated`, signal the relayed
/// address to peers and ask for permission for theirs. From then on it keeps allocation,
/// permissions and channels alive by itself, until `close`. Every transmit goes to the server
/// and all that comes from there goes to `handle_input`: as datagrams, or as any chunks of the
/// byte stream. It knows neither sockets nor TLS nor names.
///
/// Data is wrapped and unwrapped where it lies:
///
/// ```
/// const std::size_t room = client.headroom(peer);
/// const std::size_t size = write_something(buffer.subspan(room));
/// if (auto message = client.encapsulate(now, peer, buffer, room, size)) send(*message);
///
/// client.handle_input(now, datagram);
/// while (auto data = client.receive()) use(data->peer, data->bytes);
/// ```
///
/// What the errors of a server lead to:
///
/// - 300 to Allocate: `alternate_server`, at most `max_redirects` times, never twice to one.
/// - 401: the request again with credentials; if it had them, `allocation_failed` or, for what is
///   not Allocate, `credentials_refused`.
/// - 403 and any other code without a line here: `allocation_failed`, `permission_failed`,
///   `channel_failed`, `connect_failed`. Of several permissions asked for at once, each again
///   by itself. A Refresh is sent again after half of the time that is left.
/// - 405 to Allocate: again without asking for a ticket.
/// - 420 to Allocate that names DONT-FRAGMENT: again without it.
/// - 437 to Allocate: `address_in_use`, twice, then `allocation_failed`. To the rest:
///   `allocation_lost`.
/// - 438: again with the new nonce, a few times.
/// - 441: `credentials_refused`.
/// - 486, 508 to Allocate: `allocation_failed` with `retry_after`. To ChannelBind:
///   `channel_failed`, and again after a minute.
/// - 5xx but 508: again, four times, after 1, 2, 4 and 8 s.
/// - no answer: as 701; to Refresh `allocation_lost`.
class client {
 public:
  enum class families : std::uint8_t {
    any,  ///< As the server likes: IPv4 (RFC 8656 §7.2).
    ipv4,
    ipv6,
    both,  ///< Two relayed addresses (RFC 8656 §7.1). The server may grant but one.
  };

  /// Whether data to a peer binds a channel to it, which saves 32 bytes a datagram or more.
  enum class channel_use : std::uint8_t {
    automatic,  ///< With the first datagram to a peer; until it is bound, data goes in indications.
    on_request,  ///< Only `bind_channel` binds.
  };

  struct options {
    /// To the server: udp for UDP and DTLS, tcp for TCP and TLS.
    transport_protocol transport = transport_protocol::udp;
    std::optional<stun::long_term_credentials> credentials{};
    stun::long_term_client::options authentication{};

    // What to ask for

    /// Between server and peers. TCP needs TCP or TLS to the server too (RFC 6062 §4.1), and
    /// goes without even ports, reservations, DONT-FRAGMENT and channels.
    relayed_transport relayed = relayed_transport::udp;
    turn::client::families families = families::any;
    /// To ask for; none leaves it to the server, which is 10 minutes (RFC 8656 §3.2).
    std::optional<std::chrono::seconds> lifetime{};
    /// Not together with `token` (RFC 8656 §7.1).
    std::optional<turn::even_port> even_port{};
    /// What an earlier `allocated` told; then `families` does not count.
    std::optional<reservation_token> token{};
    /// Whether datagrams to peers have the DF bit set. Data then goes in indications, for
    /// ChannelData has no such flag (RFC 8656 §14).
    bool dont_fragment = false;
    /// Asks for a ticket to take the allocation to another address with (RFC 8016).
    bool mobility = false;

    // How

    channel_use channels = channel_use::automatic;
    /// Over UDP; over TCP one request and 39.5 s (RFC 8489 §6.2.2).
    stun::retransmission_timer::options retransmission{};
    /// Goes into SOFTWARE of Allocate and Refresh (RFC 8656 §5), unless empty.
    std::string software{};
    /// FINGERPRINT in every request, for a socket that carries other things too (RFC 8489 §7).
    bool fingerprint = false;
    /// Over UDP, a Binding indication after so long without a word to the server, so that NATs
    /// keep their mappings; zero for none. Many forget after 30 s, whatever RFC 4787 §4.3 asks.
    duration keepalive = std::chrono::seconds{25};

    // Bounds

    /// Addresses of peers: ICE has a few a peer, and a permission takes some 100 bytes.
    std::size_t max_permissions = 256;
    /// Up to the 4,096 numbers there are.
    std::size_t max_channels = 256;
    /// Requests under way at a time; the rest waits. A burst of more would itself be lost.
    std::size_t max_transactions = 8;
    /// Messages from the server over TCP. The longest that data needs is 65,552 bytes.
    std::size_t max_frame = 65552;
    /// Servers in a row that send to another one. A cluster needs one.
    int max_redirects = 3;
    /// Events that wait for `poll_event` and that peers can cause: `peer_unreachable` and
    /// `connection_attempt`. Further ones are dropped and counted.
    std::size_t max_peer_events = 64;
  };

  // Events

  /// The server relays. Over TCP the relayed address takes connections.
  struct allocated {
    std::optional<endpoint> relayed_ipv4;
    std::optional<endpoint> relayed_ipv6;
    endpoint mapped;  ///< Where the server sees this client: its server-reflexive address.
    std::chrono::seconds lifetime;
    std::optional<reservation_token> token;  ///< For the next port, if it was asked for.
    bool mobile;                             ///< There is a ticket: `move` works.
    bool operator==(const allocated&) const = default;
  };
  /// There is no allocation. `code` is the server's; or 701, W3C WebRTC's for a server that
  /// gives no usable answer.
  struct allocation_failed {
    stun::error_code code;
    std::string reason;  ///< For people; the server's may be any bytes.
    /// Not to ask this server before (RFC 8656 §7.4); none: not at all until something changed.
    std::optional<duration> retry_after;
    bool operator==(const allocation_failed&) const = default;
  };
  /// There was an allocation. Its permissions and channels are gone with it; `allocate` gets a
  /// new one, with other addresses.
  struct allocation_lost {
    stun::error_code code;  ///< As in `allocation_failed`.
    std::string reason;
    bool operator==(const allocation_lost&) const = default;
  };
  /// Of two families this one was not granted (RFC 8656 §7.3): 440 or 508.
  struct family_refused {
    address_family family;
    stun::error_code code;
    bool operator==(const family_refused&) const = default;
  };
  /// The server wants another one to be asked (RFC 8489 §10). Connect to that in the same way,
  /// then call `allocate`.
  struct alternate_server {
    endpoint server;
    std::string domain;  ///< What the server's certificate must say; empty: as the last one's.
    bool operator==(const alternate_server&) const = default;
  };
  /// The server knows an allocation of someone else's from this address (437, RFC 8656 §7.4).
  /// Send from another port, or on another connection, then call `allocate`.
  struct address_in_use {
    bool operator==(const address_in_use&) const = default;
  };
  /// 401 or 441 to something other than Allocate. The allocation lives on until it expires;
  /// nothing is asked of the server before `set_credentials`.
  struct credentials_refused {
    stun::error_code code;
    std::string reason;
    /// The name to get a token for, if the server takes tokens (RFC 7635 §6.1).
    std::optional<std::string> third_party_server;
    bool operator==(const credentials_refused&) const = default;
  };
  struct permission_created {
    ip_address peer;
    bool operator==(const permission_created&) const = default;
  };
  /// 403: the server does not relay to this peer. The others do not suffer.
  struct permission_failed {
    ip_address peer;
    stun::error_code code;  ///< As in `allocation_failed`.
    bool operator==(const permission_failed&) const = default;
  };
  struct channel_bound {
    endpoint peer;
    std::uint16_t number;
    bool operator==(const channel_bound&) const = default;
  };
  /// Data to the peer goes in indications.
  struct channel_failed {
    endpoint peer;
    stun::error_code code;  ///< As in `allocation_failed`.
    bool operator==(const channel_failed&) const = default;
  };
  /// The server got an ICMP error for data to this peer (RFC 8656 §11.6). Anyone on the peer's
  /// side of the server can forge one: a hint, no more.
  struct peer_unreachable {
    endpoint peer;
    icmp_error error;
    bool operator==(const peer_unreachable&) const = default;
  };
  /// The server has taken the allocation to the new address.
  struct moved {
    endpoint mapped;  ///< As in `allocated`; the old one if the server does not say.
    bool operator==(const moved&) const = default;
  };
  /// The server is connected to the peer (RFC 6062 §4.3): open a connection to the server and
  /// run `data_connection(id)` on it within 30 s.
  struct connected {
    endpoint peer;
    std::uint32_t connection_id;
    bool operator==(const connected&) const = default;
  };
  /// 447: the server cannot reach the peer. Not to be tried again before 10 s (RFC 6062 §4.3).
  struct connect_failed {
    endpoint peer;
    stun::error_code code;  ///< As in `allocation_failed`.
    bool operator==(const connect_failed&) const = default;
  };
  /// A peer connects to the relayed address (RFC 6062 §4.4): to accept go on as with `connected`.
  struct connection_attempt {
    endpoint peer;
    std::uint32_t connection_id;
    bool operator==(const connection_attempt&) const = default;
  };
  /// The last event: the allocation is deleted, or the server does not answer.
  struct closed {
    bool operator==(const closed&) const = default;
  };
  using event =
      std::variant<allocated, allocation_failed, allocation_lost, family_refused, alternate_server,
                   address_in_use, credentials_refused, permission_created, permission_failed,
                   channel_bound, channel_failed, peer_unreachable, moved, connected,
                   connect_failed, connection_attempt, closed>;

  /// What a peer sent.
  struct received {
    endpoint peer;
    const_bytes bytes;  ///< Within what was given to `handle_input`, or in the client.
  };

  struct counters {
    std::uint64_t requests_sent = 0;       ///< Retransmissions included.
    std::uint64_t datagrams_sent = 0;      ///< To peers.
    std::uint64_t datagrams_received = 0;  ///< From peers.
    std::uint64_t dropped = 0;             ///< From the server, but malformed or not expected.
    std::uint64_t unauthenticated = 0;     ///< Responses that were not signed as they must be.
    std::uint64_t unpermitted = 0;         ///< From peers without permission or channel.
    std::uint64_t events_dropped = 0;      ///< Over `max_peer_events`.
  };

  /// `server` is where the transmits go: only to know a redirection that leads back.
  client(random_source& random, const endpoint& server);
  client(random_source& random, const endpoint& server, const options& opts);
  client(client&&) noexcept;
  client& operator=(client&&) noexcept;
  ~client();

  // Commands

  /// Asks for an allocation, once the way to the server is open. An allocation there is is given
  /// up without a word; so is what was under way.
  void allocate(time_point now);
  /// Lets the peer at this address send, from any port, and be sent to (RFC 8656 §9). Kept until
  /// `release`. For one there is, does nothing.
  result<void, client_error> create_permission(time_point now, const ip_address& peer);
  /// Binds a channel (RFC 8656 §12), and creates the permission. For one there is, does nothing.
  result<void, client_error> bind_channel(time_point now, const endpoint& peer);
  /// No longer keeps the permission for an address and the channels to it: the server forgets
  /// them in 5 and 10 minutes. What arrives meanwhile is dropped.
  void release(time_point now, const ip_address& peer);
  /// Asks the server to connect to a peer (RFC 6062 §4.3): `connected` or `connect_failed`.
  result<void, client_error> connect(time_point now, const endpoint& peer);
  /// What to run on a new connection to the same server to make it the one to a peer.
  turn::data_connection data_connection(std::uint32_t connection_id);
  /// Other credentials for the next requests. A server is bound to take only the username of the
  /// allocation (441, RFC 8656 §5); passwords and tokens may change.
  void set_credentials(time_point now, stun::long_term_credentials credentials);
  /// Transmits now leave from another address, or on a new connection: takes the allocation along
  /// with its ticket (RFC 8016). `not_offered` without one: the allocation is as good as lost.
  result<void, client_error> move(time_point now);
  /// Deletes the allocation: `closed` when the server has answered or after three requests.
  void close(time_point now);

  // Inputs

  /// A datagram from the server, or the next bytes of the stream. Returns whether it was for this
  /// client. If not, offer it to whoever else shares the socket; a stream is always for it.
  ///
  /// Data from peers in it is for `receive`, which looks for it where it lies: call that to its
  /// end before the bytes go. What was not received when this is called again is dropped.
  bool handle_input(time_point now, const_bytes bytes);
  void handle_timeout(time_point now);
  /// The connection to the server, or the DTLS or TLS session over it, is gone.
  void handle_disconnected(time_point now);

  // Outputs

  /// For the server, as datagram or as bytes of the stream.
  std::optional<transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const;
  std::optional<event> poll_event();

  // Data

  /// How many bytes stand in front of data to this peer as things are: 4 in a channel, at most
  /// `max_headroom`. Holds until the next non-const call.
  std::size_t headroom(const endpoint& peer) const noexcept;
  static constexpr std::size_t max_headroom = 52;
  static constexpr std::size_t max_tailroom = 3;  ///< For padding.

  /// Makes the `size` bytes at `offset` of the buffer a message to the server that brings them to
  /// the peer. It stands at the front of the buffer, which must have `max_tailroom` bytes behind
  /// it. Data at an offset of `headroom(peer)` stays where it lies; elsewhere it is moved there.
  /// Nothing allocates once a channel is bound.
  result<const_bytes, client_error> encapsulate(time_point now, const endpoint& peer,
                                                mutable_bytes buffer, std::size_t offset,
                                                std::size_t size);
  /// The next data that a peer sent, of what the last `handle_input` brought. Nothing allocates.
  std::optional<received> receive();

  // Questions

  bool is_allocated() const noexcept;
  std::optional<endpoint> relayed_address(address_family family) const noexcept;
  bool has_permission(const ip_address& peer) const noexcept;
  /// The number of a channel that is bound.
  std::optional<std::uint16_t> channel(const endpoint& peer) const noexcept;
  /// The server's, which redirections change.
  const endpoint& server() const noexcept;
  const counters& stats() const noexcept;
  /// How long the server took to answer the last request that was sent once (RFC 8489 §6.2.1).
  std::optional<duration> round_trip() const noexcept;

 private:
  class implementation;
  std::unique_ptr<implementation> self_;
};

}  // namespace weft::turn

#endif  // WEFT_TURN_CLIENT_HPP
