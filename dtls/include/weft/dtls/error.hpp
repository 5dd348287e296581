#ifndef WEFT_DTLS_ERROR_HPP
#define WEFT_DTLS_ERROR_HPP

#include <cstdint>
#include <string_view>

namespace weft::dtls {

/// Why a command was refused, or why a session failed. Beside each: what to do.
enum class error : std::uint8_t {
  /// The session is not connected (yet, or any more). Wait for `connected`; after `closed`
  /// or `failed`, make a new session.
  not_connected,
  /// The buffer cannot hold the plaintext and `session::record_overhead`, or the plaintext is
  /// empty or longer than 2^14 bytes (RFC 6347 §4.1, RFC 5246 §6.2.1). Send less, or give more
  /// room.
  buffer_too_small,
  /// No handshake was completed within `options::handshake_timeout`. The path is dead or the
  /// other side does not speak DTLS 1.2: restart ICE, or give up.
  handshake_timeout,
  /// The peer proved to hold a certificate that matches none of its fingerprints
  /// (RFC 8122 §5). Somebody else answers there: give up and tell the user.
  fingerprint_mismatch,
  /// The connected peer ended the session with a fatal alert (RFC 5246 §7.2). Make a new one.
  peer_alert,
  /// The connected peer broke the protocol inside the encryption. Make a new session.
  protocol_violation,
  /// Text that was to hold a certificate and its key does not. Generate a new certificate.
  invalid_certificate,
  /// The cryptographic library refused: no memory, no entropy, or a missing algorithm.
  library_failure,
};

/// A short English phrase.
constexpr std::string_view to_string(error e) noexcept {
  switch (e) {
    case error::not_connected:
      return "not connected";
    case error::buffer_too_small:
      return "buffer too small";
    case error::handshake_timeout:
      return "handshake timeout";
    case error::fingerprint_mismatch:
      return "fingerprint mismatch";
    case error::peer_alert:
      return "fatal alert from the peer";
    case error::protocol_violation:
      return "protocol violation by the peer";
    case error::invalid_certificate:
      return "invalid certificate";
    case error::library_failure:
      return "cryptographic library failure";
  }
  return "unknown";
}

}  // namespace weft::dtls

#endif  // WEFT_DTLS_ERROR_HPP
