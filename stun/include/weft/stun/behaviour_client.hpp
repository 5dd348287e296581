#ifndef WEFT_STUN_BEHAVIOUR_CLIENT_HPP
#define WEFT_STUN_BEHAVIOUR_CLIENT_HPP

#include <cstdint>
#include <optional>
#include <variant>

#include <weft/core/machine.hpp>
#include <weft/core/net.hpp>
#include <weft/core/random.hpp>
#include <weft/core/time.hpp>
#include <weft/stun/behaviour.hpp>
#include <weft/stun/message.hpp>
#include <weft/stun/transaction.hpp>

namespace weft::stun {

/// Finds out what the NATs and firewalls between us and a server do, as far as a server by RFC
/// 5780 can tell (§4), over UDP. What it finds is true for this socket at this time.
///
/// Call `start`, move datagrams and time, and wait for the one event. Use a socket that has
/// sent nothing for a while, or the filters are open already (§4.1). The tests are made one
/// after the other, those of filtering first, and at most ten a second (§5).
class behaviour_client {
 public:
  struct lifetime_options {
    /// The longest time to try. NATs should keep a mapping for two minutes (RFC 4787 §4.3).
    duration longest = std::chrono::minutes{5};
    /// When to be content. Every halving of the interval takes up to `longest`.
    duration precision = std::chrono::seconds{15};
  };

  struct options {
    /// Half a dozen seconds for an answer that does not come, which is how a NAT's filter
    /// tells of itself: with RFC 8489's 39.5 the tests would take minutes. Four requests
    /// are lost together once in ten thousand times where a tenth is lost.
    retransmission_timer::options retransmission{
        .rto = std::chrono::milliseconds{500}, .max_requests = 4, .last_wait = 4};
    endpoint local{};  ///< The socket that is tested.
    /// Another socket, for what cannot be seen with one: hairpinning and lifetime.
    std::optional<endpoint> helper{};
    bool mapping = true;
    bool filtering = true;
    bool hairpin = true;                         ///< Needs `helper`.
    std::optional<lifetime_options> lifetime{};  ///< Needs `helper`, and minutes.
    bool fingerprint = false;
  };

  /// How long a mapping without traffic lives.
  struct mapping_lifetime {
    duration at_least{};                ///< It was there after so long.
    std::optional<duration> less_than;  ///< And gone after so long, if it ever was.
    bool operator==(const mapping_lifetime&) const = default;
  };

  struct report {
    endpoint server;
    endpoint reflexive;               ///< As the server sees `local`.
    std::optional<endpoint> other{};  ///< The server's other address; none: it cannot do the tests.
    std::optional<bool> translated{};  ///< Whether there is a NAT; unknown if `local` is.
    /// Whether something on the way rewrites addresses in what it carries (RFC 5780 §3.6).
    std::optional<bool> rewritten{};
    dependence mapping = dependence::unknown;
    dependence filtering = dependence::unknown;
    std::optional<bool> hairpin{};  ///< Whether the outside address can be reached from inside.
    std::optional<mapping_lifetime> lifetime{};
    bool operator==(const report&) const = default;
  };
  /// No answer came at all.
  struct unreachable {
    endpoint server;
    bool operator==(const unreachable&) const = default;
  };
  /// The server answered with an error, or with something that is no answer.
  struct refused {
    endpoint server;
    std::optional<error_code> code;
    bool operator==(const refused&) const = default;
  };
  using event = std::variant<report, unreachable, refused>;

  struct counters {
    std::uint64_t requests_sent = 0;
    std::uint64_t dropped = 0;  ///< STUN from the server that is not the response awaited.
  };

  behaviour_client(random_source& random, const endpoint& server);
  behaviour_client(random_source& random, const endpoint& server, const options& opts);

  // Commands
  void start(time_point now);
  void cancel();

  // Inputs
  /// A datagram that came to the socket `local` from `from`: true if it was STUN for this client.
  bool handle_input(time_point now, const endpoint& local, const endpoint& from,
                    const_bytes datagram);
  void handle_timeout(time_point now);

  // Outputs
  std::optional<addressed_transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const;
  std::optional<event> poll_event();

  const counters& stats() const noexcept { return stats_; }

 private:
  // In the order in which they are made.
  enum class test : std::uint8_t {
    none,
    connectivity,     // RFC 5780 §4.2
    filter_both,      // §4.4, test II
    filter_port,      // §4.4, test III
    mapping_address,  // §4.3, test II
    mapping_both,     // §4.3, test III
    hairpin,          // §3.4
    lifetime_open,    // §4.6: makes or renews the mapping
    lifetime_probe,   // §4.6: asks for a response to it
  };
  // What came of a test: nothing, an answer, an error.
  struct answer {
    bool came = false;
    bool where_expected = true;  ///< From the address that the request asked for.
    std::optional<endpoint> reflexive{};
    std::optional<endpoint> mapped{};  ///< MAPPED-ADDRESS, which an ALG may have rewritten.
    std::optional<endpoint> other{};
    std::optional<error_code> error{};
    bool to_helper = false;
  };

  time_point advance(time_point now);
  void begin(test which, duration wait = {});
  void wake();
  endpoint target() const;
  endpoint expected_source() const;
  endpoint sender() const;
  bool is_awaited(const message_view& message) const;
  answer read(const endpoint& local, const endpoint& from, const message_view& response) const;
  void conclude(const answer& a);
  void after_connectivity(const answer& a);
  void after_filter_port(const answer& a);
  void after_mapping_address(const answer& a);
  void after_probe(const answer& a);
  void start_mapping();
  void start_hairpin();
  void start_lifetime();
  void next_lifetime();
  void finish(event outcome);

  random_source* random_;
  endpoint server_;
  options options_;
  time_point now_ = time_point::min();
  retransmission_timer timer_;
  transaction_id id_{};
  test test_ = test::none;
  std::optional<time_point> begins_;  ///< When the current test's first request is due.
  std::optional<time_point> last_begun_;
  report report_{};
  std::optional<endpoint> second_mapping_;  ///< What the server's other address saw us at.
  bool filter_is_closed_ = false;           ///< No answer passed it, if any was sent.
  duration idle_{};                         ///< The lifetime that is being tried.
  std::optional<event> outcome_;
  counters stats_;
};

}  // namespace weft::stun

#endif  // WEFT_STUN_BEHAVIOUR_CLIENT_HPP
