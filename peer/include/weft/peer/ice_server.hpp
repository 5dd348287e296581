#ifndef WEFT_PEER_ICE_SERVER_HPP
#define WEFT_PEER_ICE_SERVER_HPP

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include <weft/core/result.hpp>
#include <weft/peer/types.hpp>

namespace weft::peer {

/// What an authorization server issued for a TURN server (RFC 7635 §4): W3C WebRTC's former
/// RTCOAuthCredential. `ice_server::username` is the `kid`.
struct access_token {
  std::vector<std::uint8_t> token;    ///< As bytes, not base 64.
  std::vector<std::uint8_t> mac_key;  ///< Likewise.

  bool operator==(const access_token&) const = default;
};

/// RTCIceServer: STUN and TURN servers that share credentials.
struct ice_server {
  /// `stun:`, `turn:` and `turns:` (RFC 7064, RFC 7065), with `?transport=udp` or `tcp`.
  /// `turns:` is TLS, or DTLS with `?transport=udp`. Each is tried by itself.
  std::vector<std::string> urls{};
  std::string username{};
  std::variant<std::string, access_token> credential{};  ///< A password, or a token.

  bool operator==(const ice_server&) const = default;
};

/// W3C WebRTC §4.4.1.6: every URL is one, and TURN's have a user name and a credential.
/// Fails with `bad_argument`, where the W3C throws SyntaxError or InvalidAccessError.
result<void, error> check(const ice_server& server);

/// RTCIceTransportPolicy: with `relay` no address is signalled, sent to or answered at but
/// those of relays (RFC 8828 §5.2 says why one may want that).
enum class ice_transport_policy : std::uint8_t { all, relay };

}  // namespace weft::peer

#endif  // WEFT_PEER_ICE_SERVER_HPP
