#ifndef WEFT_ICE_AGENT_HPP
#define WEFT_ICE_AGENT_HPP

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
#include <weft/ice/candidate.hpp>

namespace weft::ice {

/// Who nominates (RFC 8445 §6.1.1): the side that made the first offer, or the full agent
/// that faces a lite one.
enum class role : std::uint8_t { controlling, controlled };

/// The short-term credential of one side and one ICE generation (RFC 8445 §5.3).
struct credentials {
  std::string ufrag;
  std::string password;

  friend bool operator==(const credentials&, const credentials&) = default;
};

/// The W3C's RTCIceTransportState.
enum class state : std::uint8_t {
  new_,
  checking,
  connected,
  completed,
  disconnected,
  failed,
  closed
};
std::string_view to_string(state s) noexcept;

enum class error : std::uint8_t {
  /// The agent is closed, or gathering has begun already. Make a new agent.
  closed,
  /// Not 4 to 256, or 22 to 256, of the ice-chars of RFC 8839 §5.4. Refuse the description.
  bad_credentials,
  /// No address and port, or a family that cannot be. Nothing was added.
  bad_address,
  /// A bound of `options` is reached. Nothing was added; the agent goes on with what it has.
  too_many,
  /// TCP, another component, or a name outside `.local`. Nothing was added, nothing is wrong.
  not_supported,
};
std::string_view to_string(error e) noexcept;

/// Two addresses between which datagrams pass: ours, as of a socket, and the other side's.
struct endpoint_pair {
  endpoint local;
  endpoint remote;

  friend bool operator==(const endpoint_pair&, const endpoint_pair&) = default;
};

/// An ICE agent for one component over UDP (RFC 8445, trickle RFC 8838, consent RFC 7675).
///
/// A `weft::machine` with sockets as data: it is given the addresses of sockets, says from
/// which of them to which address a datagram goes, and is told from where to where each came.
///
/// Nobody gets a byte from it but STUN servers, the addresses of remote candidates, and those
/// who have shown the password. What is not authenticated costs a counter.
class agent {
 public:
  struct stun_server {
    endpoint address;
    std::string url;  ///< For `gathering_error` only.
  };

  struct options {
    std::vector<stun_server> stun_servers;

    /// RFC 8445 §14.2: no two new checks or gathering requests closer than this. 50 ms is the
    /// RFC's default for unknown networks and 5 ms its floor; a check has about 120 bytes, so
    /// 20 ms make 50 kbit/s, less than the call that follows.
    duration pacing = std::chrono::milliseconds{20};

    /// The first wait for a check's response, which doubles with each request. Deviation from
    /// RFC 8445 §14.3, which has 500 ms at least: people wait for calls, and a lost check costs
    /// half a second there. It grows with the number of checks under way as the RFC has it.
    duration check_rto = std::chrono::milliseconds{100};
    int check_requests = 7;  ///< Rc (RFC 8489 §6.2.1).

    /// A STUN server is given up after 9.5 s: 0.5 + 1 + 2 + 4 and 4 x 0.5.
    duration gathering_rto = std::chrono::milliseconds{500};
    int gathering_requests = 5;
    int gathering_last_wait = 4;

    /// The controlling side takes the first pair that works if nothing better can come of the
    /// others, and else waits this long for a better one.
    duration nomination_patience = std::chrono::milliseconds{100};

    /// RFC 7675 §5.1: consent is asked for this often, times 0.8 to 1.2.
    duration consent_interval = std::chrono::seconds{5};
    /// A request for consent that is not answered is followed by others this often. Deviation
    /// from RFC 7675 §5.1, so that one lost datagram does not look like a lost path.
    duration consent_retry = std::chrono::seconds{1};
    /// Without an answer for so long the state is `disconnected`: the interval, and three retries.
    duration disconnected_after = std::chrono::seconds{9};
    duration consent_timeout = std::chrono::seconds{30};  ///< RFC 7675 §5.1.

    /// RFC 8863 §4: the checks have not failed before this, even if all have: the other side
    /// may be behind a name or a NAT that lets us in only once it has sent something itself.
    duration patience = std::chrono::milliseconds{39500};
    /// A name is given up after this: multicast DNS does not tell that nobody has it.
    duration name_timeout = std::chrono::seconds{10};

    // What a peer can fill.
    std::size_t max_local_addresses = 64;
    std::size_t max_remote_candidates = 100;  ///< RFC 8445 §19.5.1: bounds the hammer.
    std::size_t max_pairs = 100;              ///< RFC 8445 §6.1.2.5
    std::size_t max_pending_names = 16;
    std::size_t max_pending_responses = 32;
    std::size_t max_early_checks = 16;
  };

  /// A local candidate to signal.
  struct candidate_gathered {
    ice::candidate candidate;
  };
  /// All that can be gathered is there.
  struct gathering_complete {};
  /// This server gave no address; the others are not concerned.
  struct gathering_error {
    stun_server server;
    endpoint local;
    std::uint16_t code;  ///< The server's (RFC 8489 §14.8), or 701 when it did not answer.
    std::string text;
  };
  struct state_changed {
    ice::state state;
  };
  struct selected_pair_changed {
    endpoint_pair pair;
  };
  struct role_changed {
    ice::role role;
  };
  /// Look up this `.local` name and call `resolve`.
  struct resolve_name {
    std::string name;
  };
  using event = std::variant<candidate_gathered, gathering_complete, gathering_error, state_changed,
                             selected_pair_changed, role_changed, resolve_name>;

  struct counters {
    std::uint64_t checks_sent = 0;      ///< Retransmissions included.
    std::uint64_t checks_received = 0;  ///< Authentic ones.
    std::uint64_t responses_sent = 0;
    std::uint64_t responses_received = 0;  ///< Authentic ones that were awaited.
    std::uint64_t consent_requests_sent = 0;
    std::uint64_t malformed = 0;        ///< STUN that does not parse, or has a wrong FINGERPRINT.
    std::uint64_t unauthenticated = 0;  ///< Wrong or no username or integrity.
    std::uint64_t unexpected = 0;       ///< Responses nobody awaits, indications, other methods.
    std::uint64_t asymmetric = 0;  ///< Responses from or to another address (RFC 8445 §7.2.5.2.1).
    std::uint64_t role_conflicts = 0;
    std::uint64_t over_limit = 0;  ///< What a bound of `options` has refused to a peer.
  };

  agent(random_source& random, const options& opts);
  explicit agent(random_source& random);
  agent(agent&&) noexcept;
  agent& operator=(agent&&) noexcept;
  ~agent();

  // Commands

  /// Before the first check, or at any time: priorities follow.
  void set_role(time_point now, role r);
  /// A socket's address: a host candidate (RFC 8445 §5.1.1.1). Those given first are preferred.
  result<void, error> add_local_address(time_point now, const endpoint& base);
  /// All addresses are given: STUN servers are asked. `gathering_complete` follows.
  void gather(time_point now);
  /// RFC 8445 §2.5: the other side answers checks and makes none.
  void set_remote_lite(time_point now);
  result<void, error> set_remote_credentials(time_point now, const credentials& c);
  result<void, error> add_remote_candidate(time_point now, const candidate& c);
  void end_of_remote_candidates(time_point now);
  /// What a name stands for, or nothing. Names nobody asked for are ignored.
  void resolve(time_point now, std::string_view name, std::span<const ip_address> addresses);
  /// New local credentials (RFC 8445 §9). The old path carries data until a new one is selected.
  void restart(time_point now);
  void close(time_point now);

  // Inputs

  /// True for STUN, which is ours whether good or bad.
  bool handle_input(time_point now, const endpoint& local, const endpoint& remote,
                    const_bytes datagram);
  void handle_timeout(time_point now);

  // Outputs

  std::optional<addressed_transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const;
  std::optional<event> poll_event();

  // Questions

  /// Where application data goes; nothing before a pair is selected and after consent is lost.
  std::optional<endpoint_pair> selected_pair() const noexcept;
  /// Whether application data from there can be believed to be the other side's.
  bool is_valid_path(const endpoint& local, const endpoint& remote) const noexcept;
  /// The last round trip measured on the selected pair.
  std::optional<duration> round_trip() const noexcept;
  ice::state current_state() const noexcept;
  ice::role current_role() const noexcept;
  const credentials& local_credentials() const noexcept;
  std::span<const candidate> local_candidates() const noexcept;
  const counters& stats() const noexcept;

 private:
  class impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace weft::ice

#endif  // WEFT_ICE_AGENT_HPP
