#ifndef WEFT_ICE_AGENT_HPP
#define WEFT_ICE_AGENT_HPP

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
#include <weft/core/random.hpp>
#include <weft/core/result.hpp>
#include <weft/core/time.hpp>
#include <weft/ice/address.hpp>
#include <weft/ice/candidate.hpp>
#include <weft/ice/policy.hpp>
#include <weft/ice/statistics.hpp>

namespace weft::ice {

/// Why a command was not carried out.
enum class error : std::uint8_t {
  invalid_credentials,  ///< Not of the form of RFC 8839 §5.4: refuse the description they stand in.
  invalid_candidate,    ///< No datagram can go there. Skip it; the others may do.
  invalid_address,      ///< No socket has this address: it lacks an IP address or a port.
  filtered,             ///< `options` say not to use this address. Nothing was added.
  too_many,             ///< A bound of `options` is reached. Skip it; the others may do.
  restart_needed,       ///< Other credentials than before need `restart` first (RFC 8445 §9).
  closed,               ///< The agent is closed. Nothing will happen any more.
};
std::string_view to_string(error e) noexcept;

/// W3C WebRTC §5.6.4, RTCIceTransportState. Of several components the worst off counts.
enum class state : std::uint8_t {
  new_,          ///< Nothing to check yet.
  checking,      ///< No pair is selected yet.
  connected,     ///< A pair is selected; better ones may still be found.
  completed,     ///< A pair is selected, and nothing is left to gather, to come or to check.
  disconnected,  ///< The selected pair no longer answers, or is gone. It may recover by itself.
  failed,        ///< No pair works, or consent has expired. `restart` may help.
  closed,
};
std::string_view to_string(state s) noexcept;

/// RFC 8445 §2.5. A lite agent has a public address and answers checks; it sends none, is always
/// controlled, and has host candidates only.
enum class implementation_kind : std::uint8_t { full, lite };

/// W3C RTCIceTransportPolicy: with `relay`, no address but those of relays is signalled, checked
/// or answered at.
enum class candidate_policy : std::uint8_t { all, relay };

/// Whether host candidates show their IP address or hide it behind a fresh `.local` name
/// (draft-ietf-mmusic-mdns-ice-candidates §3.1).
enum class host_privacy : std::uint8_t { show, hide };

/// An ICE agent for one data stream (RFC 8445, 8838, 8863, 7675, 6544, 8421).
///
/// Give it the addresses of open sockets and call `gather`, signal its credentials and
/// candidates to the other side and hand it what comes from there, and move datagrams and
/// time as `weft::machine` describes. When it says so, `selected_pair` is the path on
/// which application data may go. It sends nothing but STUN, and after its checks nothing
/// to an address that has not answered one with the right password.
///
/// Candidates may come in any order, before, between and after the checks (trickle ICE).
/// Checks of the other side that come before its credentials do are answered, and
/// followed up when these are known. Local addresses come and go at any time: a new one is
/// gathered for and checked at once, and what was on one that is gone moves to the next best path.
///
/// The agent knows nothing of TURN, TCP or names: it is told of relayed addresses and mapped ones,
/// sees whole messages on TCP paths, and asks for names by event.
class agent {
 public:
  /// A STUN server and what people call it.
  struct server {
    endpoint address;
    std::string url;  ///< For messages, such as "stun:stun.example.org:3478".

    friend bool operator==(const server&, const server&) = default;
  };

  struct options {
    std::vector<server> stun_servers{};
    ice::role role = ice::role::controlling;
    implementation_kind kind = implementation_kind::full;
    /// Of the data stream, numbered from 1: two where RTCP has a port of its own.
    std::uint16_t components = 1;

    // Which addresses

    ice::candidate_policy candidate_policy = ice::candidate_policy::all;
    ice::host_privacy host_privacy = ice::host_privacy::show;
    address_filter local_filter{};
    /// Candidates of the other side that it may be sent to; its interface lists are not asked.
    address_filter remote_filter{};
    std::vector<external_address_rule> external_addresses{};

    // Decisions

    /// What decides order, nomination and switches; the default one if null. Must outlive the
    /// agent.
    const pair_policy* policy = nullptr;

    // Pace

    /// Between two new transactions (RFC 8445 §14.2; 5 ms at least). Deviation from RFC 8445
    /// §14.2: 20 ms, not 50; checks of 150 bytes stay under 65 kbit/s.
    duration ta = std::chrono::milliseconds{20};
    /// The same for the first `initial_checks`: a common set of candidates is through in
    /// 50 ms, and 10 checks are too few to congest anything.
    duration initial_ta = std::chrono::milliseconds{5};
    std::size_t initial_checks = 10;
    /// The least RTO of a check. RFC 8445 §14.3 has no less than 500 ms; a caller who wants to
    /// ask again sooner may, down to 50 ms (deviation). STUN servers are given 500 ms at least.
    duration rto = std::chrono::milliseconds{500};
    /// Requests in one check (RFC 8489 §6.2.1, Rc): 39.5 s with an RTO of 500 ms.
    int max_requests = 7;
    /// A check over TCP is sent once and fails after this. Deviation from RFC 8489 §6.2.2, which
    /// has 39.5 s: a connection that takes longer lost its first three SYNs.
    duration tcp_timeout = std::chrono::seconds{10};
    /// The same for a STUN server: 9.5 s, like browsers. A server that takes longer would
    /// be of no use, and nothing but the last event of gathering waits for it.
    int max_server_requests = 5;
    int last_server_wait = 4;

    // Patience

    /// Failure is not concluded before (RFC 8863 §4): a check takes 39.5 s, and the other side may
    /// yet send one from an address that nobody knew.
    duration patience = std::chrono::milliseconds{39500};
    /// How long a name may take to resolve. mDNS answers in 1 s or never.
    duration name_timeout = std::chrono::seconds{5};

    // Consent (RFC 7675 §5.1)

    /// Between consent checks, each time multiplied by 0.8 to 1.2. Not under 5 s.
    duration consent_interval = std::chrono::seconds{5};
    /// The same after a consent check while none of them is answered. Deviation from RFC 7675
    /// §5.1, which asks every 5 s all the same: on a path that loses 30 % each way six in a row
    /// are lost every few minutes, and thirty are not.
    duration consent_retry = std::chrono::seconds{1};
    /// After so long without an answer, nothing more is sent.
    duration consent_timeout = std::chrono::seconds{30};
    /// An unanswered consent check of that age makes `disconnected`, as in browsers,
    /// unless the other side's own checks still come in.
    duration disconnected_after = std::chrono::seconds{5};
    /// An unanswered consent check of that age lets a controlling agent go over to another pair
    /// that answers. Not longer: the other pair is there, and two lost checks are rare.
    duration leave_after = std::chrono::seconds{2};

    // Keeping what is not in use

    /// Between checks of valid pairs that are not selected, and between requests to a STUN
    /// server before a pair is (RFC 8445 §11, §5.1.1.4: 15 s): NATs forget after 30 s.
    duration keepalive = std::chrono::seconds{15};
    /// Valid pairs of a component that are kept so; the worse ones are dropped.
    std::size_t max_backup_pairs = 3;

    // Bounds on what signalling and the other side can make it do

    std::size_t max_local_addresses = 16;  ///< Sockets: addresses of a multi-homed host.
    std::size_t max_relayed_addresses = 8;
    std::size_t max_servers = 8;
    std::size_t max_remote_candidates =
        100;  ///< Of one session, those learned from checks included.
    /// Ports of one IP address that were learned from checks to one of ours over UDP and never
    /// answered. Two or three are in good faith: NATs that map by address and port have one
    /// for each address of ours, and others when they start anew.
    std::size_t max_learned_ports = 8;
    std::size_t max_pairs = 100;  ///< RFC 8445 §6.1.2.5.
    /// Ordinary checks begun in one session, so that pairs which replace failed ones
    /// cannot go on for ever: a bound on the voice hammer (RFC 8445 §19.5.1). A new local
    /// address grants as many anew; so does the loss of the selected pair, once in
    /// `consent_timeout`.
    std::size_t max_checks = 256;
    /// Checks over TCP under way to one IP address (RFC 6544 §12).
    std::size_t max_connection_attempts = 5;
    std::size_t max_names = 16;         ///< Names that wait to be resolved.
    std::size_t max_early_checks = 16;  ///< Checks remembered from before the credentials.
    std::size_t max_responses = 64;     ///< Answers that wait for `poll_transmit`.
    std::size_t max_events = 256;       ///< Beyond, the last event of a kind stands for several.
  };

  /// A local candidate to signal to the other side, as it may be signalled: without what `options`
  /// hide. Also comes after `gathering_complete`, for addresses that came later (RFC 8838 §13
  /// then wants the end of candidates not to have been signalled, or a restart).
  struct candidate_gathered {
    ice::candidate candidate;
  };
  /// Its address is gone. Whoever can may tell the other side.
  struct candidate_removed {
    ice::candidate candidate;
  };
  /// No more candidates come, until there is a new address or server: signal the end of candidates
  /// (RFC 8838 §13), unless addresses are expected to come and go.
  struct gathering_complete {};
  /// A server gave no candidate for any address. Gathering goes on with the others.
  struct gathering_error {
    agent::server server;
    std::uint16_t code;  ///< The server's STUN error code, or 701 if it did not answer usefully.
    std::string text;    ///< The server's words, or ours.
  };
  struct state_changed {
    ice::state state;
  };
  /// Application data goes on this path from now on. These are the real addresses, for sockets:
  /// also those that names hide, which are not to be shown to anybody.
  struct selected_pair_changed {
    five_tuple pair;
    std::uint16_t component = 1;
  };
  /// A role conflict was repaired (RFC 8445 §7.3.1.1).
  struct role_changed {
    ice::role role;
  };
  /// Look this name up by multicast DNS, never by unicast, and call `resolve`.
  struct resolve_name {
    std::string name;
  };
  /// Answer for this name by multicast DNS from now on. It comes before the candidate with it.
  struct register_name {
    std::string name;
    ip_address address;
  };
  /// Its address is gone, or the agent closed: answer for it no more.
  struct release_name {
    std::string name;
  };
  /// No pair uses this TCP connection any more: close it (RFC 6544 §8).
  struct path_released {
    five_tuple path;
  };
  using event = std::variant<candidate_gathered, gathering_complete, gathering_error, state_changed,
                             selected_pair_changed, role_changed, resolve_name, candidate_removed,
                             register_name, release_name, path_released>;

  struct counters {
    std::uint64_t checks_sent = 0;         ///< Requests, without retransmissions and consent.
    std::uint64_t retransmissions = 0;     ///< Of checks.
    std::uint64_t consent_sent = 0;        ///< Consent checks.
    std::uint64_t requests_received = 0;   ///< Authentic ones.
    std::uint64_t responses_sent = 0;      ///< Errors included.
    std::uint64_t responses_received = 0;  ///< Authentic ones, to requests of ours.
    std::uint64_t role_conflicts = 0;      ///< Found here or reported by the other side.
    std::uint64_t not_symmetric = 0;       ///< Authentic responses on other addresses.
    std::uint64_t malformed = 0;           ///< Looked like STUN and was none, or FINGERPRINT wrong.
    std::uint64_t unauthenticated = 0;     ///< Wrong or no USERNAME or MESSAGE-INTEGRITY.
    std::uint64_t unexpected = 0;          ///< Responses to nothing we asked; unknown methods.
    std::uint64_t refused = 0;             ///< Authentic requests that got an error response.
    std::uint64_t overflowed = 0;          ///< Authentic requests beyond a bound.
    std::uint64_t ignored_candidates =
        0;                            ///< Other components, after their end, doubles, filtered.
    std::uint64_t ignored_names = 0;  ///< Not in `.local`, or answered for nobody.
    std::uint64_t names_failed = 0;   ///< Not resolved, or not in time.
    std::uint64_t pairs_failed = 0;
    std::uint64_t switches = 0;  ///< From one selected pair to another of one session.
  };

  explicit agent(random_source& random);
  agent(random_source& random, const options& opts);
  agent(agent&&) noexcept;
  agent& operator=(agent&&) noexcept;
  ~agent();

  // Commands: local candidates

  /// An open socket, or over TCP one that could be: makes a host candidate. At any time: after
  /// `gather` the servers are asked from it at once.
  ///
  /// Of addresses on networks of one kind an earlier one is preferred to a later one, those of the
  /// two families taking turns (RFC 8421 §4); those of VPNs, cellular and container
  /// networks and link-local ones come behind all others (RFC 8421 §3). Loopback addresses talk
  /// only to loopback addresses, link-local ones only to link-local ones. Fails with
  /// `invalid_address`, `filtered`, `too_many`, `closed`; a known address changes nothing.
  result<void, error> add_local_address(time_point now, const local_address& address);
  /// The same for UDP, component 1 and a network nothing is known of.
  result<void, error> add_local_address(time_point now, const endpoint& base);
  /// An address at a TURN server. Datagrams the agent sends from it, and those it is given as
  /// received there, are the peers', without what TURN puts around them. Fails likewise.
  result<void, error> add_relayed_candidate(time_point now, const relayed_address& address);
  /// A mapped address that somebody else has found out for `base`, such as a TURN client.
  /// Makes a server-reflexive candidate, if it is new. Fails with `invalid_address` if there is
  /// no such base, `closed`.
  result<void, error> add_server_reflexive_candidate(
      time_point now, const endpoint& base, const endpoint& mapped, std::string_view server_url,
      transport_protocol protocol = transport_protocol::udp);
  /// The socket, or the allocation, is gone. Its candidates and pairs are too, at once: data goes
  /// by the next best valid pair, or if there is none the agent is `disconnected` and looks for
  /// one. Over TCP, an active address is named by its IP address and port 9. An unknown one changes
  /// nothing.
  void remove_local_address(time_point now, const endpoint& base,
                            transport_protocol protocol = transport_protocol::udp);

  /// A server whose address was found out late. If `gather` was called, it is asked at once. Fails
  /// with `too_many`, `closed`; a known one changes nothing.
  result<void, error> add_stun_server(time_point now, const server& s);
  /// Asks the servers for server-reflexive candidates from all addresses, each independently of
  /// the others, and when each has answered or timed out, says `gathering_complete`. Addresses and
  /// servers that come later are gathered for without being asked, with another
  /// `gathering_complete`. Call it again after `restart`, and to ask anew.
  void gather(time_point now);
  /// Somebody else is gathering too, such as TURN clients: until `release_gathering` was called as
  /// often as this, `gathering_complete` does not come.
  void hold_gathering(time_point now);
  void release_gathering(time_point now);
  /// For the next `restart`; before `gather`, at once (W3C WebRTC, setConfiguration).
  void set_candidate_policy(time_point now, candidate_policy policy);

  /// Of the current session: 8 and 24 characters, 48 and 144 bits of randomness.
  const credentials& local_credentials() const noexcept;

  // Commands: the other side

  /// Before the checks begin: the offerer controls (RFC 8445 §6.1.1). Later, conflicts
  /// are repaired by the agents themselves. A lite agent is always controlled.
  void set_role(ice::role r);
  ice::role current_role() const noexcept;
  /// The other side is a lite agent: this one controls (RFC 8445 §6.1.1). Until the next `restart`,
  /// after which the other side may be another (§9).
  void set_remote_lite();
  /// Both sides have said `a=ice-options:renomination` (draft-thatcher-ice-renomination §3): the
  /// controlling agent may go over to a better pair at any time, with a number that grows in the
  /// attribute NOMINATION. Without that it nominates another only when the one it had
  /// stops answering or is gone. Until the next `restart`.
  void set_renomination();

  /// Starts the checks. The same credentials again change nothing. Fails with
  /// `invalid_credentials`, `restart_needed`, `closed`.
  result<void, error> set_remote_credentials(time_point now, const credentials& remote);
  /// One of a component that is not there is accepted and ignored, as is a second one
  /// for one address, one after the end, or one that the options filter; a name makes
  /// `resolve_name`. Fails with `invalid_candidate` (no, multicast or unspecified address, port 0,
  /// priority 0 or over 2^31 - 1, over TCP without a type, a name not in `.local`), `too_many`,
  /// `closed`.
  result<void, error> add_remote_candidate(time_point now, const candidate& remote);
  /// No more of them come: a session without working pairs can now be said to have failed
  /// (RFC 8838 §14).
  void end_of_remote_candidates(time_point now);

  /// What a name of `resolve_name` stands for; nothing if it was not found. Of each address
  /// family the first one is used.
  void resolve(time_point now, std::string_view name, std::span<const ip_address> addresses);

  /// Begins a new session with new credentials (RFC 8445 §9). The selected pair carries
  /// data and the old credentials are good until a pair of the new session is selected.
  /// Local candidates stay; the other side's credentials and candidates must come anew.
  void restart(time_point now);
  /// The local credentials that the next `restart` brings in, for an offer that may come to
  /// nothing. The same until then.
  const credentials& next_credentials();
  /// Ends at once and without a word to the other side.
  void close(time_point now);

  // Inputs

  /// A datagram, or over TCP a message without its frame (framing.hpp). `local` is the address as
  /// given to `add_local_address` or `add_relayed_candidate`; over TCP the path is the one that
  /// the agent sends on, or for an accepted connection its two real ends. Returns whether it was
  /// STUN; if not, and `is_valid_path`, it is the application's.
  bool handle_input(time_point now, const five_tuple& path, const_bytes datagram);
  /// The same over UDP.
  bool handle_input(time_point now, const endpoint& local, const endpoint& remote,
                    const_bytes datagram);
  /// Over TCP, the connection that the agent's first transmit on this path asked for is there:
  /// sends that message again, which so need not have been kept.
  void handle_connected(time_point now, const five_tuple& path);
  /// Over TCP, the connection could not be made, or has ended. Over UDP, the driver knows that
  /// nothing can be sent on this path. Its pair fails at once; a selected one that this side
  /// opened is opened once more (RFC 6544 §11.1).
  void handle_disconnected(time_point now, const five_tuple& path);
  void handle_timeout(time_point now);

  // Outputs

  /// Needs up to 640 bytes with the longest credentials there may be, and 180 with usual
  /// ones. A smaller buffer yields nothing and leaves the datagram due. Over TCP the first
  /// transmit on a path, from an active address with port 9, asks for a connection.
  std::optional<addressed_transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const noexcept;
  std::optional<event> poll_event();

  // The data path

  /// Where application data may go now: the nominated pair, while consent lasts.
  std::optional<five_tuple> selected_pair(std::uint16_t component = 1) const noexcept;
  /// Whether application data from there may be believed: a pair whose other end
  /// has answered an authenticated check.
  bool is_valid_path(const five_tuple& path) const noexcept;
  /// The same over UDP.
  bool is_valid_path(const endpoint& local, const endpoint& remote) const noexcept;
  /// For `pair_statistics`: application data has gone, or come, on this path.
  void count_sent(time_point now, const five_tuple& path, std::size_t bytes,
                  std::size_t packets = 1) noexcept;
  void count_received(time_point now, const five_tuple& path, std::size_t bytes,
                      std::size_t packets = 1) noexcept;

  // Attributes

  ice::state current_state() const noexcept;
  const counters& stats() const noexcept;
  /// All that was gathered, as it may be shown.
  std::vector<candidate> local_candidates() const;
  /// As signalled: neither addresses behind names nor those learned from checks.
  std::vector<candidate> remote_candidates() const;
  /// W3C statistics of the current session, and of the pair that still carries data.
  std::vector<candidate_statistics> candidate_stats() const;
  std::vector<candidate_pair_statistics> pair_stats() const;
  /// The last round trip on the selected pair, where it was measured.
  std::optional<duration> round_trip(std::uint16_t component = 1) const noexcept;

 private:
  class implementation;
  std::unique_ptr<implementation> self_;
};

}  // namespace weft::ice

#endif  // WEFT_ICE_AGENT_HPP
