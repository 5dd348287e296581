#ifndef WEFT_PEER_ICE_TRANSPORT_HPP
#define WEFT_PEER_ICE_TRANSPORT_HPP

#include <chrono>
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
#include <weft/ice/agent.hpp>
#include <weft/peer/ice_server.hpp>

namespace weft::peer {

/// The way between two peers through whatever lies between them: an ICE agent with its STUN
/// servers, its TURN servers over UDP, TCP, TLS and DTLS, and connections over TCP, as one machine.
/// Whatever is datagrams can travel over it.
///
/// A driver has this to do:
/// - give it the addresses of its sockets as they come and go (`add_local_address`);
/// - move datagrams and time as `weft::machine` describes;
/// - open, write, read and close streams for `connect` and `disconnect`;
/// - look names up for `resolve_server` (DNS) and `resolve_name` (multicast DNS);
/// - judge certificates for `verify_server`, if there are `turns:` URLs over UDP.
///
/// Each server is asked by itself, from every address that may reach it: one that does not answer
/// delays nothing but `gathering_complete`. An allocation that is lost is replaced.
///
/// Thread-compatible: one thread at a time for one transport.
class ice_transport {
 public:
  struct options {
    std::vector<ice_server> servers{};
    ice_transport_policy policy = ice_transport_policy::all;

    /// Not 0: gathering begins with the first local address, not with `gather`. One set of
    /// candidates is all that one data stream can use, so that the number makes no difference.
    std::uint16_t candidate_pool_size = 0;

    /// Everything that is ICE's to decide. Its `stun_servers` are asked beside those in `servers`;
    /// its `candidate_policy` follows `policy`.
    ice::agent::options ice{};

    /// A stream, or a handshake with a server over DTLS, takes no longer, or the server is
    /// unreachable. Browsers have the 9.5 s of STUN over UDP (RFC 8489 §6.2.1 less the last wait).
    duration connect_timeout = std::chrono::milliseconds{9500};
    /// Nor does the name of a server.
    duration resolve_timeout = std::chrono::seconds{10};

    /// Asks TURN servers for tickets to take allocations from one address of ours to another with
    /// (RFC 8016): relayed paths survive a change of networks. Off, because servers that know
    /// of it and forbid it, as coturn does unless told otherwise, take one more round trip.
    bool mobility = false;

    /// An allocation that was lost, or refused for want of capacity, is asked for again after
    /// this, and after twice as long each time up to `max_retry`.
    duration min_retry = std::chrono::seconds{1};
    duration max_retry = std::chrono::seconds{60};

    // Bounds

    /// Allocations at a time, asked for or there: each address of ours with each URL and
    /// family. Beyond, the URLs and addresses given first go first.
    std::size_t max_allocations = 24;
    /// TCP connections at a time, those of the other side included. Accepted ones have half of
    /// them until a check proves whose they are.
    std::size_t max_streams = 32;
    /// Of application datagrams that wait for `receive`: a full UDP_GRO read. What exceeds it is
    /// dropped as a network would.
    std::size_t max_received_bytes = 65536;
  };

  // Events for the driver

  /// A TCP connection is wanted. Answer `handle_connected` or `handle_disconnected` with the same
  /// `path`, which stands for it from now on. `path.local.port` is a number that tells it
  /// from others, and no port to use: `bind` is where to bind the socket, any port if 0.
  struct connect {
    five_tuple path;
    endpoint bind;
    bool tls = false;           ///< Before it is connected, with the certificate checked.
    std::string server_name{};  ///< For TLS: SNI and the name that the certificate must have.
  };
  /// The connection is no longer wanted, or was never welcome: close it when what was
  /// written to it has gone. `handle_disconnected` is not needed.
  struct disconnect {
    five_tuple path;
  };
  /// Look a server's name up, by whatever means the system has, and call `resolve`.
  struct resolve_server {
    std::string name;
  };
  /// Look this name up by multicast DNS, never by unicast, and call `resolve`.
  struct resolve_name {
    std::string name;
  };
  /// A TURN server over DTLS shows these certificates (X.509 DER), its own first, and holds the key
  /// of that one. Judge them and call `server_verified`.
  struct verify_server {
    five_tuple path;
    std::string server_name;
    std::vector<std::vector<std::uint8_t>> chain;
  };
  using register_name = ice::agent::register_name;  ///< Answer for it by multicast DNS.
  using release_name = ice::agent::release_name;    ///< And no longer.

  // Events for the application

  using candidate_gathered = ice::agent::candidate_gathered;
  using candidate_removed = ice::agent::candidate_removed;
  using gathering_complete = ice::agent::gathering_complete;
  using state_changed = ice::agent::state_changed;
  using selected_pair_changed = ice::agent::selected_pair_changed;
  using role_changed = ice::agent::role_changed;
  /// RTCPeerConnectionIceErrorEvent: a server did not help. Gathering goes on.
  struct candidate_error {
    endpoint local;      ///< From where it was asked, if from one address that candidates show.
    std::string url;     ///< As it was given.
    std::uint16_t code;  ///< The server's, or 701 when it could not be reached.
    std::string text;    ///< The server's words, or ours.
  };
  using event =
      std::variant<connect, disconnect, resolve_server, resolve_name, verify_server, register_name,
                   release_name, candidate_gathered, candidate_removed, gathering_complete,
                   state_changed, selected_pair_changed, role_changed, candidate_error>;

  struct counters {
    std::uint64_t datagrams_received = 0;  ///< The application's, relayed ones included.
    std::uint64_t bytes_received = 0;
    std::uint64_t datagrams_sent = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t unvalidated = 0;  ///< On a path that no authenticated check answered for.
    std::uint64_t overflowed = 0;   ///< Nobody came for them.
    std::uint64_t unsendable = 0;   ///< The buffer was too short, or the path has gone.
    std::uint64_t bad_streams = 0;  ///< TCP connections that broke the framing, or too many.
    std::uint64_t allocations = 0;  ///< That came to be.
    std::uint64_t allocations_lost = 0;
    std::uint64_t retries = 0;  ///< Of allocations, after a loss or a refusal.
    std::uint64_t selected_pair_changes = 0;
  };

  /// `random` must outlive the transport and must not be predictable.
  explicit ice_transport(random_source& random);
  ice_transport(random_source& random, const options& opts);
  ice_transport(ice_transport&&) noexcept;
  ice_transport& operator=(ice_transport&&) noexcept;
  ~ice_transport();

  // Commands: addresses and servers

  /// A socket that is open, or over TCP an address from which or at which connections can be made;
  /// see `ice::agent::add_local_address`. At any time: servers are asked from it at once if
  /// gathering has begun. TURN servers over TCP are reached from the IP addresses of all of them.
  result<void, ice::error> add_local_address(time_point now, const ice::local_address& address);
  /// The same for UDP and a network nothing is known of.
  result<void, ice::error> add_local_address(time_point now, const endpoint& base);
  /// It is gone, and so is what was reached from it. See `ice::agent::remove_local_address`.
  void remove_local_address(time_point now, const endpoint& base,
                            transport_protocol protocol = transport_protocol::udp);
  /// What a name of `resolve_server` or `resolve_name` stands for; nothing if it was not found.
  void resolve(time_point now, std::string_view name, std::span<const ip_address> addresses);
  /// Whether the certificate of a `verify_server` is the right one. Counts for that certificate
  /// alone; if the server has shown another one meanwhile, nothing happens.
  void server_verified(time_point now, const verify_server& shown, bool trusted);
  /// RTCPeerConnection.setConfiguration: other servers, or other credentials for them. Those that
  /// are in use go on, with the new credentials where there are any; new ones are asked at the next
  /// `gather`, or at once if it was never called.
  void set_servers(time_point now, std::vector<ice_server> servers);

  /// Begins, and after a `restart` begins again.
  void gather(time_point now);
  /// Deletes the allocations and ends. `poll_transmit` still hands the farewell out, and
  /// `disconnect` events follow.
  void close(time_point now);

  // Commands: ICE, as the agent has them

  const ice::credentials& local_credentials() const noexcept;
  void set_role(ice::role r);
  void set_remote_lite();
  void set_renomination();
  result<void, ice::error> set_remote_credentials(time_point now, const ice::credentials& remote);
  /// Relays learn at once who may send to them, so that no check waits for it.
  result<void, ice::error> add_remote_candidate(time_point now, const ice::candidate& remote);
  void end_of_remote_candidates(time_point now);
  /// Those that the next `restart` brings in: for an offer that may come to nothing.
  const ice::credentials& next_credentials();
  void restart(time_point now);

  // Inputs

  /// A datagram, or bytes of a stream in pieces of any size. `path.local` is the address as it was
  /// given, over TCP `path` is that of `connect` or, of an accepted connection, the two real ends.
  /// True if they belong here, also when they are bad. What is for the application waits in
  /// `receive`.
  bool handle_input(time_point now, const five_tuple& path, const_bytes bytes);
  /// A datagram.
  bool handle_input(time_point now, const endpoint& local, const endpoint& remote,
                    const_bytes datagram);
  /// A connection asked for by `connect` is there; or one was accepted at an address given to
  /// `add_local_address`: `path` is then between the listening address and the other end.
  void handle_connected(time_point now, const five_tuple& path);
  /// A connection could not be made, or has ended, whoever ended it.
  void handle_disconnected(time_point now, const five_tuple& path);
  void handle_timeout(time_point now);

  // Outputs

  /// Over TCP the bytes are one whole message with its frame: a driver that cannot take all
  /// of them takes none. `max_datagram_size` bytes are asked of
  /// the buffer.
  std::optional<addressed_transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const;
  std::optional<event> poll_event();

  // The data path

  /// A datagram of the application.
  struct received {
    five_tuple path;    ///< As `selected_pair` names it: `local` may be the address of a relay.
    const_bytes bytes;  ///< Valid until the next non-const call.
  };
  /// The next one, if its path has answered an authenticated check.
  std::optional<received> receive();

  /// Where application data may go now.
  std::optional<five_tuple> selected_pair() const noexcept;
  /// Whether data may go there, and what comes from there is believed.
  bool is_valid_path(const five_tuple& path) const noexcept;

  /// What a path puts around a datagram. Who makes one leaves so much free in front of it, and
  /// behind it, in the buffer that goes to `wrap`.
  struct room {
    std::size_t before = 0;
    std::size_t after = 0;
  };
  room room_for(const five_tuple& path) const noexcept;
  /// Wraps the datagram of `size` bytes that stands in `buffer` behind `room_for(path).before`
  /// bytes, without a copy. Nothing, and a counter, where the path or the room is not there.
  std::optional<addressed_transmit> wrap(time_point now, const five_tuple& path,
                                         mutable_bytes buffer, std::size_t size,
                                         traffic_class traffic = {});

  // Attributes

  ice::state current_state() const noexcept;
  ice::role current_role() const noexcept;
  /// Nothing is left to gather. Before `gather` and until the last server has answered: false.
  bool is_gathering_complete() const noexcept;
  std::vector<ice::candidate> local_candidates() const;
  std::vector<ice::candidate> remote_candidates() const;
  std::vector<ice::candidate_statistics> candidate_stats() const;
  std::vector<ice::candidate_pair_statistics> pair_stats() const;
  std::optional<duration> round_trip() const noexcept;
  const ice::agent::counters& ice_stats() const noexcept;
  const counters& stats() const noexcept;

 private:
  class implementation;
  std::unique_ptr<implementation> self_;
};

}  // namespace weft::peer

#endif  // WEFT_PEER_ICE_TRANSPORT_HPP
