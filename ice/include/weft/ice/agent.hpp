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
#include <weft/ice/candidate.hpp>

namespace weft::ice {

/// Why a command was not carried out.
enum class error : std::uint8_t {
  invalid_credentials,  ///< Not of the form of RFC 8839 §5.4: refuse the description they stand in.
  invalid_candidate,    ///< No datagram can go there. Skip it; the others may do.
  invalid_address,      ///< No socket has this address: it lacks an IP address or a port.
  too_many,             ///< A bound of `options` is reached. Skip it; the others may do.
  restart_needed,       ///< Other credentials than before need `restart` first (RFC 8445 §9).
  closed,               ///< The agent is closed. Nothing will happen any more.
};
std::string_view to_string(error e) noexcept;

/// W3C WebRTC §5.6.4, RTCIceTransportState.
enum class state : std::uint8_t {
  new_,          ///< Nothing to check yet.
  checking,      ///< No pair is selected yet.
  connected,     ///< A pair is selected; better ones may still be found.
  completed,     ///< A pair is selected, and nothing is left to gather, to come or to check.
  disconnected,  ///< The selected pair no longer answers. It may recover by itself.
  failed,        ///< No pair works, or consent has expired. `restart` may help.
  closed,
};
std::string_view to_string(state s) noexcept;

/// A full ICE agent for one component (RFC 8445, RFC 8838, RFC 7675).
///
/// Give it the addresses of open sockets and call `gather`, signal its credentials and
/// candidates to the other side and hand it what comes from there, and move datagrams and
/// time as `weft::machine` describes. When it says so, `selected_pair` is the path on
/// which application data may go. It sends nothing but STUN, and after its checks nothing
/// to an address that has not answered one with the right password.
///
/// Candidates may come in any order, before, between and after the checks (trickle ICE).
/// Checks of the other side that come before its credentials do are answered, and
/// followed up when these are known.
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

    // Pace

    /// Between two new transactions (RFC 8445 §14.2; 5 ms at least). Deviation from RFC 8445
    /// §14.2: 20 ms, not 50; checks of 150 bytes stay under 65 kbit/s.
    duration ta = std::chrono::milliseconds{20};
    /// The same for the first `initial_checks`: a common set of candidates is through in
    /// 50 ms, and 10 checks are too few to congest anything.
    duration initial_ta = std::chrono::milliseconds{5};
    std::size_t initial_checks = 10;
    /// The least RTO of a check (RFC 8445 §14.3: no less than 500 ms).
    duration rto = std::chrono::milliseconds{500};
    /// Requests in one check (RFC 8489 §6.2.1, Rc): 39.5 s with an RTO of 500 ms.
    int max_requests = 7;
    /// The same for a STUN server: 9.5 s, like browsers. A server that takes longer would
    /// be of no use, and nothing but the last event of gathering waits for it.
    int max_server_requests = 5;
    int last_server_wait = 4;
    /// How long a controlling agent, holding a valid pair, waits at most for a better one.
    /// It waits twice the round trip of the pair it has, or less.
    duration max_nomination_wait = std::chrono::milliseconds{200};

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

    // Bounds on what signalling and the other side can make it do

    std::size_t max_local_addresses = 16;  ///< Sockets: addresses of a multi-homed host.
    std::size_t max_remote_candidates =
        100;                      ///< Of one session, those learned from checks included.
    std::size_t max_pairs = 100;  ///< RFC 8445 §6.1.2.5.
    /// Ordinary checks begun in one session, so that pairs which replace failed ones
    /// cannot go on for ever: a bound on the voice hammer (RFC 8445 §19.5.1).
    std::size_t max_checks = 256;
    std::size_t max_names = 16;         ///< Names that wait to be resolved.
    std::size_t max_early_checks = 16;  ///< Checks remembered from before the credentials.
    std::size_t max_responses = 64;     ///< Answers that wait for `poll_transmit`.
    std::size_t max_events = 256;       ///< Beyond, the last event of a kind stands for several.
  };

  /// A local candidate to signal to the other side, host or server-reflexive.
  struct candidate_gathered {
    ice::candidate candidate;
  };
  /// No more candidates come: signal the end of candidates (RFC 8838 §13).
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
  /// Application data goes on this path from now on.
  struct selected_pair_changed {
    five_tuple pair;
  };
  /// A role conflict was repaired (RFC 8445 §7.3.1.1).
  struct role_changed {
    ice::role role;
  };
  /// Look this name up by multicast DNS, never by unicast, and call `resolve`.
  struct resolve_name {
    std::string name;
  };
  using event = std::variant<candidate_gathered, gathering_complete, gathering_error, state_changed,
                             selected_pair_changed, role_changed, resolve_name>;

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
    std::uint64_t ignored_candidates = 0;  ///< TCP, other components, after their end, doubles.
    std::uint64_t ignored_names = 0;       ///< Not in `.local`, or answered for nobody.
    std::uint64_t names_failed = 0;        ///< Not resolved, or not in time.
    std::uint64_t pairs_failed = 0;
  };

  explicit agent(random_source& random);
  agent(random_source& random, const options& opts);
  agent(agent&&) noexcept;
  agent& operator=(agent&&) noexcept;
  ~agent();

  // Commands

  /// An open UDP socket: makes a host candidate. An earlier address is preferred to later
  /// ones (RFC 8445 §5.1.2.2). Loopback addresses talk only to loopback addresses,
  /// link-local ones only to link-local ones. Fails with `invalid_address`, `too_many`, `closed`;
  /// a known address changes nothing.
  result<void, error> add_local_address(time_point now, const endpoint& base);
  /// The addresses are all there: asks the servers for server-reflexive candidates and, when
  /// each has answered or timed out, says `gathering_complete`. May be called again after
  /// `restart`, or with new addresses.
  void gather(time_point now);

  /// Of the current session: 8 and 24 characters, 48 and 144 bits of randomness.
  const credentials& local_credentials() const noexcept;

  /// Before the checks begin: the offerer controls (RFC 8445 §6.1.1). Later, conflicts
  /// are repaired by the agents themselves.
  void set_role(ice::role r);
  ice::role current_role() const noexcept;
  /// The other side is a lite agent: this one controls (RFC 8445 §6.1.1).
  void set_remote_lite();

  /// Starts the checks. The same credentials again change nothing. Fails with
  /// `invalid_credentials`, `restart_needed`, `closed`.
  result<void, error> set_remote_credentials(time_point now, const credentials& remote);
  /// One over TCP or of another component than 1 is accepted and ignored, as is a second one
  /// for one address or one after the end; a name makes `resolve_name`. Fails with
  /// `invalid_candidate` (no, multicast or unspecified address, port 0, priority 0, a name not in
  /// `.local`), `too_many`, `closed`.
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
  /// Ends at once and without a word to the other side.
  void close(time_point now);

  // Inputs

  /// `local` is the address of the socket, as given to `add_local_address`. Returns whether the
  /// datagram was STUN; if not, and `is_valid_path`, it is the application's.
  bool handle_input(time_point now, const endpoint& local, const endpoint& remote,
                    const_bytes datagram);
  void handle_timeout(time_point now);

  // Outputs

  /// Needs up to 620 bytes with the longest credentials there may be, and 160 with usual
  /// ones. A smaller buffer yields nothing and leaves the datagram due.
  std::optional<addressed_transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const noexcept;
  std::optional<event> poll_event();

  // The data path

  /// Where application data may go now: the nominated pair, while consent lasts.
  std::optional<five_tuple> selected_pair() const noexcept;
  /// Whether application data from there may be believed: a pair whose other end
  /// has answered an authenticated check.
  bool is_valid_path(const endpoint& local, const endpoint& remote) const noexcept;

  // Attributes

  ice::state current_state() const noexcept;
  const counters& stats() const noexcept;
  /// All that was gathered.
  std::vector<candidate> local_candidates() const;
  /// As signalled: neither addresses behind names nor those learned from checks.
  std::vector<candidate> remote_candidates() const;
  /// The round trip on the selected pair, where it was measured.
  std::optional<duration> round_trip() const noexcept;

 private:
  class implementation;
  std::unique_ptr<implementation> self_;
};

}  // namespace weft::ice

#endif  // WEFT_ICE_AGENT_HPP
