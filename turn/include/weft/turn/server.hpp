#ifndef WEFT_TURN_SERVER_HPP
#define WEFT_TURN_SERVER_HPP

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <weft/core/machine.hpp>
#include <weft/core/random.hpp>
#include <weft/stun/long_term_server.hpp>
#include <weft/stun/reply_limiter.hpp>
#include <weft/stun/user_store.hpp>
#include <weft/turn/address_policy.hpp>
#include <weft/turn/attributes.hpp>

namespace weft::turn {

class server_core;

/// Names a relay socket between machine and driver. Indices are small and used again, so a
/// driver may keep its sockets in an array; generations tell a socket from its predecessor.
struct relay_id {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;

  friend constexpr auto operator<=>(const relay_id&, const relay_id&) = default;
};

/// Names a TCP connection between server and peer (RFC 6062), and stands in CONNECTION-ID.
enum class connection_id : std::uint32_t {};

/// Names an allocation in audit events.
enum class allocation_id : std::uint64_t {};

/// Why an Allocate request of an authenticated user was refused.
enum class allocation_refusal : std::uint8_t {
  user_quota,       ///< `allocations_per_user`: 486.
  source_quota,     ///< `allocations_per_source`: 486.
  total_quota,      ///< `max_allocations`, or no room for what the driver has to be told: 508.
  draining,         ///< 300 with an alternate server, 508 without.
  no_relay_socket,  ///< The driver could not open one: 508.
  bad_reservation,  ///< RESERVATION-TOKEN of nothing: 508.
  address_family,   ///< Not among `families`: 440.
  transport,        ///< Not among `transports`: 442.
  mobility,         ///< MOBILITY-TICKET where mobility is off: 405.
};

/// How an allocation ended.
enum class allocation_end : std::uint8_t {
  expired,       ///< Its lifetime ran out.
  deleted,       ///< By a Refresh with lifetime zero.
  disconnected,  ///< The client's connection ended.
  relay_lost,    ///< The driver lost the relay socket.
  revoked,       ///< By `revoke`.
};

std::string_view to_string(allocation_refusal refusal) noexcept;
std::string_view to_string(allocation_end end) noexcept;

/// A TURN server (RFC 8656) with TCP allocations (RFC 6062), mobility (RFC 8016) and access
/// tokens (RFC 7635); it answers Binding requests too.
///
/// ## The control side
///
/// A client is known by its `five_tuple`: `local` is the address of the server that it came to,
/// `remote` its own. TLS and DTLS are beneath: `tcp` is any stream, `udp` any datagrams. What
/// clients send goes to `handle_input` and `handle_stream`; replies come out of
/// `poll_transmit`. Events ask the driver for sockets, and tell an audit log what happens.
///
/// ## The data side
///
/// What is relayed never waits inside: `handle_input` and `handle_relayed` say at once where
/// it goes, and leave the payload where it lies. They do not allocate, and cost about as much
/// as two look-ups. A driver reads a batch of datagrams (`recvmmsg`, `UDP_GRO`), asks for each
/// one, and sends runs of equally long ones with the same `relay` and `peer`, or to the same
/// client, with one system call (`UDP_SEGMENT`). Nothing in an answer refers to the machine's
/// memory but for streams, so a whole batch can be asked for before any of it is sent.
///
/// Several threads share one server behind one lock, taken once a batch: quotas,
/// reservations and clients that move to another address make it one machine. A batch of
/// 32 datagrams holds it for a few microseconds, and sends and receives outside of it.
///
/// Relayed packets keep their DSCP and ECN field (RFC 8656 §14): the driver copies them from
/// what it read to what it sends.
class server {
 public:
  struct options {
    // Whom to serve

    /// Realm, password algorithms, nonces: RFC 8489 §9.2.
    stun::long_term_server::options authentication{};
    /// Which peers may be reached. The default denies all special-purpose addresses.
    address_policy peers{};
    /// Which relayed addresses there are to give out; RFC 8656 §7.2 answers 440 otherwise.
    std::vector<address_family> families{address_family::ipv4, address_family::ipv6};
    /// TCP allocations (RFC 6062). Off: peers are reached by TCP that nothing but a permission
    /// limits, and WebRTC does not need it.
    bool tcp_allocations = false;
    /// RFC 8016. A ticket costs an attacker the password too.
    bool mobility = true;
    /// Whether the driver can send UDP datagrams with the DF bit; otherwise DONT-FRAGMENT is an
    /// unknown attribute (RFC 8656 §7.2, §11.2).
    bool dont_fragment = true;
    /// SOFTWARE in responses to authenticated requests (RFC 8656 §5). Empty: none, which keeps
    /// responses short and tells attackers nothing.
    std::string software{};

    // How long

    /// RFC 8656 §7.2: what is granted at least.
    std::chrono::seconds default_lifetime{600};
    /// RFC 8656 §7.2: no more than an hour is recommended.
    std::chrono::seconds max_lifetime{3600};
    /// RFC 8656 §7.2: at least 30 s.
    std::chrono::seconds reservation_lifetime{30};
    /// RFC 6062 §5.2, §5.3: a peer's connection that no client takes is closed after 30 s.
    std::chrono::seconds connection_bind_timeout{30};
    /// RFC 6062 §5.2: at least 30 s for a connection to a peer to come about.
    std::chrono::seconds connect_timeout{30};
    /// How long a stream may stay without an allocation or a data connection. As RFC 8489 §6.2.2
    /// waits at most 40 s (Ti is 39.5 s) for a response, a client in good faith is done by then.
    std::chrono::seconds idle_stream_timeout{40};

    // How many

    /// At most a relay socket each, two for both families. A gibibyte at `bytes per allocation`
    /// of under two KiB holds half a million; sockets run out before.
    std::size_t max_allocations = 100'000;
    /// Of one account (RFC 8656 §5, §7.2). A browser makes one for each server URL, interface
    /// and family: a dozen a call, some more while it restarts ICE.
    std::size_t allocations_per_user = 100;
    /// From one IPv4 address or IPv6 /64. Over 100 clients stand behind an office's or a
    /// carrier's NAT, which is why RFC 8656 §7.2 prefers to count users.
    std::size_t allocations_per_source = 1000;
    /// Of one allocation. ICE tries 100 pairs at most (RFC 8445 §6.1.2.5).
    std::size_t permissions_per_allocation = 128;
    std::size_t channels_per_allocation = 128;
    /// Kept ports of EVEN-PORT with R, in all.
    std::size_t max_reservations = 1000;
    /// TCP connections to peers, of one allocation.
    std::size_t peer_connections_per_allocation = 16;
    /// Streams of clients in all, each a socket and up to `stream_buffer` bytes. More are
    /// refused.
    std::size_t max_streams = 100'000;
    /// Streams without an allocation or a data connection. When there are more the eldest is
    /// closed: half-open connections are what attackers have most of.
    std::size_t max_idle_streams = 10'000;
    /// The longest frame of a stream that has an allocation: the largest UDP payload with the
    /// headers of a Send indication fits. Memory is used only while a frame is incomplete.
    std::size_t stream_buffer = 65'552;
    /// The same before that. Requests with the longest texts and an access token fit.
    std::size_t idle_stream_buffer = 4096;
    /// What waits for `poll_transmit`: more than 500 challenges. What does not fit is dropped
    /// as if lost on the way.
    std::size_t reply_buffer = 128 * 1024;
    /// Events that audit; those beyond are counted and dropped. Events that open and close
    /// sockets are bounded by the sockets.
    std::size_t max_audit_events = 4096;

    // How much

    /// Bytes of application data a second, both ways together, that the allocations of one
    /// account may relay; what exceeds it is dropped (RFC 8656 §5). 0: no limit, for the right
    /// number is the line's, not ours.
    std::uint64_t bandwidth_per_user = 0;
    /// The same for the whole server.
    std::uint64_t bandwidth_total = 0;
    /// How much may come at once, in time at the limits above.
    std::chrono::milliseconds bandwidth_burst{200};

    // What strangers get

    /// How much more than they send goes to sources that have not shown that they get it.
    stun::reply_limiter::options strangers{};
    /// Replies a second to unauthenticated datagrams of all sources together, which bounds what
    /// forged ones can make the server do: 20,000 of 100 bytes are 16 Mbit/s and a tenth of a
    /// core.
    std::uint32_t stranger_replies = 20'000;
  };

  // What the driver has to do

  /// Open a socket, bound to an address of the family and a random port from 49152 to 65535
  /// (RFC 8656 §7.2, RFC 6056), and answer with `relay_opened` or `relay_failed`. For TCP: a
  /// listener whose address connections can also be made from.
  struct open_relay {
    relay_id relay;
    address_family family;
    relayed_transport transport;
    /// Whether the port has to be even (RFC 8656 §7.2).
    bool even_port = false;
    /// With this the next port has to be opened too, under this name; one `relay_opened` for
    /// `relay` answers for both.
    std::optional<relay_id> next{};
    /// Where the client came to: a server with several addresses may give out the same one.
    endpoint listener{};
  };
  struct close_relay {
    relay_id relay;
  };
  /// Connect to a peer from the relayed address (RFC 6062 §5.2), and answer with `peer_connected`
  /// or `peer_failed`. What the peer sends stays in the driver, bounded by its window,
  /// until the connection is joined.
  struct connect_peer {
    connection_id connection;
    relay_id relay;
    endpoint peer;
  };
  struct close_peer {
    connection_id connection;
  };
  /// Close the connection of a client, after what `poll_transmit` has for it. The machine has
  /// forgotten it.
  struct close_stream {
    five_tuple client;
  };

  // What an audit log wants to know

  struct allocation_created {
    allocation_id allocation;
    five_tuple client;
    std::string username;
    std::string account;
    relayed_transport transport;
    std::optional<endpoint> relayed_ipv4;
    std::optional<endpoint> relayed_ipv6;
    std::chrono::seconds lifetime;
  };
  struct allocation_refused {
    five_tuple client;
    std::string username;
    std::string account;
    allocation_refusal reason;
  };
  struct allocation_deleted {
    allocation_id allocation;
    five_tuple client;
    std::string username;
    std::string account;
    allocation_end reason;
    duration age;
    // Application data, without headers. Of TCP allocations what the driver told.
    std::uint64_t bytes_to_peers;
    std::uint64_t bytes_to_client;
    std::uint64_t packets_to_peers;
    std::uint64_t packets_to_client;
  };
  /// An authenticated client asked for a peer that it may not reach (403).
  struct peer_refused {
    allocation_id allocation;
    five_tuple client;
    std::string account;
    endpoint peer;
    peer_refusal reason;
  };

  using event =
      std::variant<open_relay, close_relay, connect_peer, close_peer, close_stream,
                   allocation_created, allocation_refused, allocation_deleted, peer_refused>;

  // What is relayed

  /// Application data on its way to a peer: send `payload` from the relay socket.
  struct to_peer {
    relay_id relay;
    endpoint peer;
    const_bytes payload;         ///< Inside the bytes that came; of streams see `handle_stream`.
    bool dont_fragment = false;  ///< Send with the DF bit (RFC 8656 §14).
  };

  /// Application data on its way to a client: `header`, `payload` and `padding` zeros, one after
  /// the other, are one datagram, or one whole message on the stream.
  struct to_client {
    five_tuple client;
    const_bytes header;        ///< The end of the room that was given for it.
    const_bytes payload;       ///< What came.
    std::uint8_t padding = 0;  ///< 0 to 3. Always 0 for ChannelData over UDP.
  };

  /// The room that `handle_relayed` needs in front of a payload: a Data indication about an IPv6
  /// peer. ChannelData takes 4 bytes of it.
  static constexpr std::size_t headroom = 48;

  /// What became of the front of a chunk of a stream.
  struct stream_step {
    enum class next : std::uint8_t {
      go_on,   ///< Give what is left of the chunk, if anything.
      joined,  ///< The client took over the peer's connection `connection` (RFC 6062 §5.4). What
               ///< is left of the chunk is for the peer; once `poll_transmit` has nothing more
               ///< for this client, carry bytes both ways. Nothing of it comes here again.
      close,   ///< Close it: not TURN, or a frame too long. The machine has forgotten it.
    };
    std::size_t consumed = 0;
    std::optional<to_peer> forward{};
    next then = next::go_on;
    connection_id connection{};
  };

  struct counters {
    // Requests, by their outcome
    std::uint64_t binding_requests = 0;
    std::uint64_t successes = 0;          ///< Authenticated requests that were granted.
    std::uint64_t errors = 0;             ///< Authenticated requests that were refused.
    std::uint64_t challenges = 0;         ///< 401 and 438 sent.
    std::uint64_t failed_logins = 0;      ///< Signed requests with a wrong name or key.
    std::uint64_t bad_requests = 0;       ///< 400 and 420 without authentication.
    std::uint64_t wrong_credentials = 0;  ///< 441: another user's allocation.
    std::uint64_t forbidden_peers = 0;    ///< 403.
    std::uint64_t quota_reached = 0;      ///< 486.
    // Allocations
    std::uint64_t allocations_created = 0;
    std::uint64_t allocations_refused = 0;
    std::uint64_t allocations_expired = 0;
    std::uint64_t allocations_deleted = 0;  ///< In all ways, expiry too.
    std::uint64_t allocations_moved = 0;    ///< RFC 8016.
    // Relayed
    std::uint64_t packets_to_peers = 0;
    std::uint64_t bytes_to_peers = 0;
    std::uint64_t packets_to_clients = 0;
    std::uint64_t bytes_to_clients = 0;
    std::uint64_t icmp_errors = 0;  ///< Told to clients.
    // Dropped
    std::uint64_t malformed = 0;           ///< Neither STUN nor ChannelData, or broken.
    std::uint64_t no_allocation = 0;       ///< Data and indications of unknown clients.
    std::uint64_t no_channel = 0;          ///< ChannelData on a channel that is not bound.
    std::uint64_t no_permission = 0;       ///< Either way.
    std::uint64_t over_bandwidth = 0;      ///< Over the user's or the server's limit.
    std::uint64_t stranger_limited = 0;    ///< Unauthenticated requests left without a reply.
    std::uint64_t replies_dropped = 0;     ///< `reply_buffer` was full.
    std::uint64_t events_dropped = 0;      ///< Audit events beyond `max_audit_events`.
    std::uint64_t streams_refused = 0;     ///< Over `max_streams`.
    std::uint64_t streams_timed_out = 0;   ///< Idle too long, or pushed out by newer ones.
    std::uint64_t peer_connections = 0;    ///< RFC 6062, made or accepted.
    std::uint64_t peers_not_accepted = 0;  ///< RFC 6062 §5.3: without a permission.
  };

  /// What there is at the moment.
  struct gauges {
    std::size_t allocations = 0;
    std::size_t users = 0;  ///< Accounts with an allocation.
    std::size_t relays = 0;
    std::size_t reservations = 0;
    std::size_t streams = 0;
    std::size_t idle_streams = 0;
    std::size_t peer_connections = 0;
  };

  /// `users` and `random` must outlive the server.
  server(const options& opts, stun::user_store& users, random_source& random);
  server(server&&) noexcept;
  server& operator=(server&&) noexcept;
  ~server();

  // From clients

  /// A datagram from a client. What it says to relay is returned; what it asks for is
  /// answered through `poll_transmit`.
  std::optional<to_peer> handle_input(time_point now, const five_tuple& client,
                                      const_bytes datagram);

  /// A client's connection has been accepted, and TLS is done if there is any. False if there are
  /// too many: close it.
  bool handle_connected(time_point now, const five_tuple& client);

  /// The next bytes of a client's stream, in any pieces. Call again with the rest of `chunk` until
  /// it is consumed or `then` says otherwise. A payload lies in the chunk, or in the machine until
  /// the next call of this function.
  ///
  /// ```
  /// while (!chunk.empty()) {
  ///   const auto step = server.handle_stream(now, client, chunk);
  ///   chunk = chunk.subspan(step.consumed);
  ///   if (step.forward) send(*step.forward);
  ///   if (step.then != turn::server::stream_step::next::go_on) break;
  /// }
  /// ```
  stream_step handle_stream(time_point now, const five_tuple& client, const_bytes chunk);

  /// The client's connection has ended, with it its allocation (unless it has moved on, RFC
  /// 8016), or the peer's connection it was joined to.
  void handle_disconnected(time_point now, const five_tuple& client);

  // From relay sockets

  /// A datagram from `peer` came to a relay socket. The header for the client is written to the
  /// end of `room`, so that it is one piece with a payload that lies right behind it.
  std::optional<to_client> handle_relayed(time_point now, relay_id relay, const endpoint& peer,
                                          const_bytes payload,
                                          std::span<std::uint8_t, headroom> room);

  /// The network reported an ICMP error about a datagram that the relay socket had sent to
  /// `peer`, whose port may be 0 for unknown (RFC 8656 §11.5).
  void handle_icmp(time_point now, relay_id relay, const endpoint& peer, const icmp_error& error);

  /// The socket that `open_relay` asked for is there: `relayed` is what peers see of it, an
  /// external address where a 1:1 NAT is in between. With `next`, that one has the port after.
  void relay_opened(time_point now, relay_id relay, const endpoint& relayed);
  /// It could not be opened, or an open one broke: the allocation ends, if it is the last of a
  /// dual one. No `close_relay` follows.
  void relay_failed(time_point now, relay_id relay);

  // RFC 6062

  /// The connection that `connect_peer` asked for is there, or is not to be had.
  void peer_connected(time_point now, connection_id connection);
  void peer_failed(time_point now, connection_id connection);
  /// A listener of a TCP allocation has accepted a connection from `peer`. Nothing if there is no
  /// permission for it: close it at once (RFC 6062 §5.3).
  std::optional<connection_id> peer_accepted(time_point now, relay_id relay, const endpoint& peer);
  /// A peer's connection has ended; the client's is closed too, by `close_stream`.
  void peer_disconnected(time_point now, connection_id connection);
  /// So many bytes went over a joined connection since the last call: for audit and counters.
  void count_spliced(connection_id connection, std::uint64_t bytes_to_peer,
                     std::uint64_t bytes_to_client);

  // From the owner

  /// Takes no new allocations from now on; those that exist live as long as their clients
  /// refresh them. Clients are sent to the first of `alternates` that has their family, by 300
  /// (Try Alternate), where there is one.
  void drain(time_point now, std::vector<endpoint> alternates = {});
  bool is_draining() const noexcept;

  /// Ends all allocations of an account, as when its password was taken away.
  void revoke(time_point now, std::string_view account);

  // The machine

  void handle_timeout(time_point now);
  std::optional<addressed_transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const;
  std::optional<event> poll_event();

  /// Whether a client has an allocation, by this path or by one that it is moving to.
  bool has_allocation(const five_tuple& client) const noexcept;
  const counters& stats() const noexcept;
  gauges usage() const noexcept;

 private:
  std::unique_ptr<server_core> core_;
};

}  // namespace weft::turn

template <>
struct std::hash<weft::turn::relay_id> {
  std::size_t operator()(const weft::turn::relay_id& id) const noexcept {
    return std::hash<std::uint64_t>{}(std::uint64_t{id.generation} << 32 | id.index);
  }
};

#endif  // WEFT_TURN_SERVER_HPP
