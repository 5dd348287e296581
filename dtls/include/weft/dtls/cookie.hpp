#ifndef WEFT_DTLS_COOKIE_HPP
#define WEFT_DTLS_COOKIE_HPP

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <weft/core/bytes.hpp>
#include <weft/core/net.hpp>
#include <weft/core/time.hpp>

namespace weft::dtls {

/// The stateless cookie exchange of a server that strangers can reach (RFC 6347 §4.2.1): nothing
/// is kept for a client, and nothing longer than what it sent goes to it, before it has
/// returned a cookie and so shown that it receives what is sent to its address.
///
/// Ask it about datagrams of clients without a session. One that it accepts begins a session with
/// `path_validation::cookie` and is that session's first input.
///
/// Thread-compatible. A client must meet the same exchange again, as it does where the kernel
/// shares clients out by their addresses.
class cookie_exchange {
 public:
  struct options {
    /// The secret changes so often; the one before it is honoured for as long. A client returns
    /// a cookie within a round trip, or a few retransmissions.
    duration rotation = std::chrono::seconds{60};
  };

  enum class verdict : std::uint8_t {
    drop,    ///< No ClientHello, or none that can be answered.
    reply,   ///< Send `reply` back: a HelloVerifyRequest.
    accept,  ///< The client is there: begin a session.
  };
  struct answer {
    cookie_exchange::verdict verdict = verdict::drop;
    const_bytes reply{};  ///< At the front of the buffer given.
  };

  /// The longest reply: headers of 25 bytes, version, length, and a cookie of 32.
  static constexpr std::size_t max_reply_size = 60;

  cookie_exchange();
  explicit cookie_exchange(const options& opts);

  /// `path` is the way to the client: a cookie is good for one way, and for one ClientHello. Of a
  /// ClientHello in fragments the first one decides; others are dropped, and come again.
  answer check(time_point now, const five_tuple& path, const_bytes datagram, mutable_bytes buffer);

 private:
  using secret = std::array<std::uint8_t, 32>;
  void rotate(time_point now);

  duration rotation_;
  std::optional<time_point> next_rotation_;
  secret current_{};
  secret previous_{};
};

}  // namespace weft::dtls

#endif  // WEFT_DTLS_COOKIE_HPP
