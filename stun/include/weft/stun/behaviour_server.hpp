#ifndef WEFT_STUN_BEHAVIOUR_SERVER_HPP
#define WEFT_STUN_BEHAVIOUR_SERVER_HPP

#include <array>
#include <cstdint>
#include <optional>

#include <weft/core/machine.hpp>
#include <weft/core/net.hpp>
#include <weft/core/random.hpp>
#include <weft/core/time.hpp>
#include <weft/stun/behaviour.hpp>
#include <weft/stun/reply_limiter.hpp>

namespace weft::stun {

/// Lets clients find out what their NATs do (RFC 5780 §6), over UDP: a Binding server that can
/// answer from another address, from another port, and to another port.
///
/// It has two addresses and two ports, which make four sockets; every request is given with
/// the socket it came to, and every response says which one to send it from. Keeps nothing of
/// clients but the `reply_limiter`'s table: the responses are three times as long as the
/// requests, so a source that uses up its allowance gets plain Binding responses.
class behaviour_server {
 public:
  struct options {
    endpoint primary;
    /// Another address and another port: both differ from the primary's. None: the server has
    /// neither CHANGE-REQUEST nor OTHER-ADDRESS.
    std::optional<endpoint> alternate{};
    /// Answers to RESPONSE-PORT, the only way to learn how long a NAT keeps a mapping.
    bool response_port = true;
    /// The most PADDING in a response: that of an Ethernet frame (RFC 5780 §7.6). It is never
    /// more than what was in the request, nor than what the buffer has room for.
    std::size_t max_padding = 1500;
    reply_limiter::options limits{};
  };

  struct counters {
    std::uint64_t successes = 0;
    std::uint64_t plain = 0;     ///< Of these, without what RFC 5780 adds, for want of allowance.
    std::uint64_t withheld = 0;  ///< Requests for more than plain, for want of allowance.
    std::uint64_t bad_requests = 0;        ///< Answered 400.
    std::uint64_t unknown_attributes = 0;  ///< Answered 420.
    std::uint64_t dropped = 0;             ///< Not a Binding request, or malformed.
  };

  behaviour_server(random_source& random, const options& opts);

  /// The sockets to open: two addresses with two ports each, or one.
  std::array<endpoint, 4> sockets() const;
  std::size_t socket_count() const noexcept { return options_.alternate ? 4 : 1; }

  /// The response to a datagram that came to the socket `local`, and where to send it from.
  /// Needs a buffer of 136 bytes, and room for PADDING.
  std::optional<addressed_transmit> respond(time_point now, const endpoint& local,
                                            const endpoint& from, const_bytes datagram,
                                            mutable_bytes buffer);

  const counters& stats() const noexcept { return stats_; }

 private:
  const_bytes refuse(const message_view& request, mutable_bytes buffer);
  const_bytes describe(const message_view& request, const endpoint& from, const endpoint& origin,
                       const endpoint& other, mutable_bytes buffer) const;

  options options_;
  reply_limiter limiter_;
  counters stats_;
};

}  // namespace weft::stun

#endif  // WEFT_STUN_BEHAVIOUR_SERVER_HPP
