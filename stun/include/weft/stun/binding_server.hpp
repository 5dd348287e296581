#ifndef WEFT_STUN_BINDING_SERVER_HPP
#define WEFT_STUN_BINDING_SERVER_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <weft/core/net.hpp>
#include <weft/stun/integrity.hpp>
#include <weft/stun/message.hpp>

namespace weft::stun {

/// A username and its password, agreed upon by other means (RFC 8489 §9.1).
struct short_term_credentials {
  short_term_credentials(std::string_view name, std::string_view password)
      : username{name}, key{integrity_key::short_term(password)} {}

  std::string username;  ///< At most 508 bytes.
  integrity_key key;
};

/// Tells who asks which address it is seen at (RFC 8489 §12).
///
/// Keeps nothing of the requests but counters: every response follows from its request
/// alone, so a retransmitted request gets the same answer. A response is never more than
/// 1.6 times as long as its request for IPv4 and 2.2 times for IPv6. How often a source is
/// answered is for the owner of the socket to limit. TRANSACTION_TRANSMIT_COUNTER is echoed
/// (RFC 7982 §3.3).
class binding_server {
 public:
  struct options {
    /// With these, only requests signed with them are answered with an address. RFC 8489
    /// §12 advises a public server against it: the check costs more than the answer.
    std::optional<short_term_credentials> credentials{};
  };

  struct counters {
    std::uint64_t successes = 0;           ///< Requests answered with an address.
    std::uint64_t bad_requests = 0;        ///< Answered 400: no USERNAME, or no integrity.
    std::uint64_t unauthenticated = 0;     ///< Answered 401: unknown USERNAME, or wrong integrity.
    std::uint64_t unknown_attributes = 0;  ///< Answered 420.
    std::uint64_t indications = 0;         ///< Taken in silence, as RFC 8489 §6.3.2 has it.
    std::uint64_t dropped = 0;  ///< Malformed, a response, an unknown method, a wrong FINGERPRINT.
  };

  binding_server() : binding_server{options{}} {}
  explicit binding_server(const options& opts) : options_{opts} {}

  /// The response to a datagram from `from`, written to the front of `buffer`, of which it
  /// needs no more than 128 bytes; to be sent back to `from` from where the request came
  /// to. Nothing if there is nothing to say.
  std::optional<const_bytes> respond(const endpoint& from, const_bytes datagram,
                                     mutable_bytes buffer);

  const counters& stats() const noexcept { return stats_; }

 private:
  const_bytes answer(const endpoint& from, const message_view& request, mutable_bytes buffer);

  options options_;
  counters stats_;
};

}  // namespace weft::stun

#endif  // WEFT_STUN_BINDING_SERVER_HPP
