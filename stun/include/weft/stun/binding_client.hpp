#ifndef WEFT_STUN_BINDING_CLIENT_HPP
#define WEFT_STUN_BINDING_CLIENT_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <weft/core/machine.hpp>
#include <weft/core/net.hpp>
#include <weft/core/random.hpp>
#include <weft/core/time.hpp>
#include <weft/stun/binding_server.hpp>
#include <weft/stun/integrity.hpp>
#include <weft/stun/long_term_client.hpp>
#include <weft/stun/message.hpp>
#include <weft/stun/transaction.hpp>
#include <weft/stun/transmit_counter.hpp>

namespace weft::stun {

/// Asks a STUN server which address it sees us at (RFC 8489 §6.3.3).
///
/// Call `start`, move datagrams and time as `weft::machine` describes, and wait for the one
/// event that ends it. A finished client may be started again, which begins anew at the first
/// server; so does one that still runs. Over TCP and TLS give it `transport_protocol::tcp`,
/// `retransmission_timer::options::reliable()` and the messages that `stream_reader` cuts from
/// the stream; if the connection ends, `cancel` (RFC 8489 §6.2.2).
class binding_client {
 public:
  /// Whether to follow a server that says 300 (RFC 8489 §10). A forged one sends our requests
  /// to somebody else, so RFC 8489 §14.8 wants it signed.
  enum class redirection : std::uint8_t { never, if_authentic, always };

  struct options {
    retransmission_timer::options retransmission{};
    /// The socket to send from, when the owner has more than one.
    endpoint local{};
    transport_protocol protocol = transport_protocol::udp;
    /// Signs the request, and takes no response that is not signed.
    std::optional<short_term_credentials> credentials{};
    /// The integrity attribute to use, where it is known what the server has. Otherwise the
    /// first request has both and the next ones what the response had (RFC 8489 §9.1.5).
    std::optional<integrity_algorithm> algorithm{};
    /// Answers a 401 with these, where `credentials` are not given. A server that asks for none
    /// is believed unsigned.
    std::optional<long_term_credentials> long_term{};
    long_term_client::options authentication{};
    redirection follow = redirection::if_authentic;
    /// How many servers may send us on. With `authentication` it bounds the transactions:
    /// each server can have one more than its challenges.
    int max_redirects = 3;
    /// Counts its requests for the server (RFC 7982), for a round trip in spite of
    /// retransmissions.
    bool transmit_counter = false;
    /// Adds FINGERPRINT, for a socket that carries other things than STUN (RFC 8489 §7).
    bool fingerprint = false;
  };

  struct address_discovered {
    endpoint server;
    endpoint reflexive;
    bool operator==(const address_discovered&) const = default;
  };
  /// The server answered with an error. Do not ask it the same again; after a 5xx, which is
  /// the server's trouble, a few more times (RFC 8489 §6.3.4).
  struct refused {
    endpoint server;
    error_code code;
    std::string reason;  ///< As the server put it: at most 763 bytes that need not be UTF-8.
    bool operator==(const refused&) const = default;
  };
  /// The server answered with something that is no answer: without the address or the error
  /// code, or with an attribute that must be understood and is not (RFC 8489 §6.3.3, §6.3.4).
  struct unusable {
    endpoint server;
    bool operator==(const unusable&) const = default;
  };
  /// No answer came.
  struct timed_out {
    endpoint server;
    bool operator==(const timed_out&) const = default;
  };
  /// Answers came, but none that was signed with our credentials (RFC 8489 §9.1.4).
  struct integrity_violated {
    endpoint server;
    /// The error in the last of them: 401 mostly means that the credentials are wrong.
    /// Whoever can read our requests can forge it.
    std::optional<error_code> claimed;
    bool operator==(const integrity_violated&) const = default;
  };
  /// The server sent us on, and the client has gone on by itself: this does not end it. Over
  /// TLS the new server's certificate is to be checked for `domain`; if that is empty, for
  /// the domain that the first one's was (RFC 8489 §10).
  struct redirected {
    endpoint server;
    endpoint alternate;
    std::string domain;
    bool operator==(const redirected&) const = default;
  };
  using event = std::variant<address_discovered, refused, unusable, timed_out, integrity_violated,
                             redirected>;

  struct counters {
    std::uint64_t requests_sent = 0;
    std::uint64_t dropped = 0;  ///< From the server, but malformed or not the response awaited.
    std::uint64_t unauthenticated = 0;  ///< The response awaited, but not signed as it must be.
  };

  binding_client(random_source& random, const endpoint& server);
  binding_client(random_source& random, const endpoint& server, const options& opts);

  // Commands
  void start(time_point now);
  /// Ends the transaction without an event.
  void cancel();

  // Inputs
  /// Returns whether the datagram was for this client: STUN from the server, and not a
  /// request or indication. If not, offer it to whoever else shares the socket.
  bool handle_input(time_point now, const endpoint& from, const_bytes datagram);
  void handle_timeout(time_point now);

  // Outputs
  /// A buffer too small for the request, which needs 28 bytes or with short-term credentials
  /// up to 620, with long-term ones a datagram's, yields nothing and leaves the request due.
  std::optional<addressed_transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const;
  std::optional<event> poll_event();

  const counters& stats() const noexcept { return stats_; }
  /// How long the last answer took, where it is known which request it answers: because
  /// there was one (RFC 8489 §6.2.1), or the server counts them (RFC 7982 §3.3).
  std::optional<duration> round_trip() const noexcept { return round_trip_; }
  /// What the server said about the request that it answered (RFC 7982 §3.4).
  const std::optional<stun::transmit_counter>& answered() const noexcept { return answered_; }
  /// Whom it asks, or asked last.
  const endpoint& server() const noexcept { return server_; }
  /// Where to get a token, if the server's 401 said so (RFC 7635 §6.1).
  const std::optional<std::string>& third_party_server() const noexcept {
    return long_term_.third_party_server();
  }

 private:
  void begin();
  bool is_believed(const message_view& response);
  bool is_authentic(const message_view& response);
  bool judge_long_term(const message_view& response);
  void note_unauthentic(const message_view& response);
  void measure(const message_view& response);
  bool follow(const message_view& response);
  event outcome_of(const message_view& response) const;
  void finish(event outcome);
  time_point advance(time_point now);

  random_source* random_;
  endpoint first_server_;
  endpoint server_;
  options options_;
  long_term_client long_term_;
  long_term_attempt attempt_;
  std::vector<endpoint> visited_;  ///< Who has sent us on: not gone back to.
  std::vector<time_point> sent_at_;
  std::optional<stun::transmit_counter> answered_;
  retransmission_timer timer_;
  transaction_id id_{};
  time_point now_ = time_point::min();
  std::optional<duration> round_trip_;
  std::optional<error_code> claimed_error_;
  bool saw_unauthentic_ = false;
  std::optional<redirected> redirected_;
  std::optional<event> outcome_;
  counters stats_;
};

}  // namespace weft::stun

#endif  // WEFT_STUN_BINDING_CLIENT_HPP
