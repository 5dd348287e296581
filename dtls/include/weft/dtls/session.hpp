#ifndef WEFT_DTLS_SESSION_HPP
#define WEFT_DTLS_SESSION_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include <weft/core/machine.hpp>
#include <weft/core/result.hpp>
#include <weft/core/time.hpp>
#include <weft/dtls/certificate.hpp>
#include <weft/dtls/error.hpp>
#include <weft/dtls/fingerprint.hpp>

namespace weft::dtls {

/// Who speaks first. SDP decides: `a=setup:active` is the client (RFC 8842 §5.2).
enum class role : std::uint8_t { client, server };

/// Ways to protect media, with their numbers in use_srtp (RFC 5764 §4.1.2, RFC 7714 §14.2).
/// There is no NULL cipher here.
enum class srtp_profile : std::uint16_t {
  aes128_cm_sha1_80 = 0x0001,
  aes128_cm_sha1_32 = 0x0002,
  aead_aes_128_gcm = 0x0007,
  aead_aes_256_gcm = 0x0008,
};

/// How a server proves that its peer is where it says to be, before it answers at length.
enum class path_validation : std::uint8_t {
  outside,  ///< Somebody else has done so (ICE). A ClientHello that bears a cookie is dropped.
  cookie,   ///< `cookie_exchange` has: the ClientHello bears a cookie, and no other is taken.
};

/// Whether a server asks who its peer is.
enum class client_identity : std::uint8_t {
  fingerprint,  ///< By a certificate of which the fingerprint is known. Clients always do.
  none,         ///< It asks for no certificate: who the client is shows otherwise (RFC 7350 §4.2).
};

/// A DTLS 1.2 association between two peers that know each other's certificates by
/// fingerprint (RFC 6347, RFC 5764, RFC 8122, RFC 8842).
///
/// A `weft::machine` over datagrams whose path somebody else has validated (ICE, or a
/// `cookie_exchange`): it asks for no cookies, and addresses do not appear. Nothing is announced,
/// delivered, exported or encrypted before the peer has proved that it holds a certificate with one
/// of the fingerprints that were given.
///
/// What is not authenticated ends nothing. Alerts in the clear are counted and dropped. A
/// handshake that a forged message spoils is thrown away and begun again: the client sends a
/// new ClientHello, and the server keeps a few handshakes side by side, one for each
/// ClientHello it met, until one of them is completed. Only time, a proved wrong certificate
/// and the authenticated peer end a session.
///
/// Keys and random numbers come from the cryptographic library.
class session {
 public:
  struct options {
    dtls::role role = dtls::role::client;

    /// For servers that anybody can reach, such as TURN servers.
    dtls::path_validation path_validation = dtls::path_validation::outside;
    dtls::client_identity client_identity = dtls::client_identity::fingerprint;

    /// Offered or accepted in this order of preference; none leaves use_srtp out.
    std::vector<srtp_profile> srtp_profiles{};

    /// No handshake datagram is longer. 1200 bytes pass wherever IPv6 does (1280 less 48), as
    /// in browsers. At least 256.
    std::size_t mtu = 1200;

    /// When the first flight is sent again. RFC 6347 §4.2.4.1 advises 1 s where nothing is
    /// known of the path; ICE has measured it, and losing a second of every lossy call start
    /// costs people more than a repeated kilobyte. 50 ms is Chromium's. Give twice ICE's RTT
    /// where that is longer.
    duration initial_retransmission = std::chrono::milliseconds{50};

    /// Each wait doubles up to this. Deviation from RFC 6347 §4.2.4.1, which goes to 60 s: a
    /// flight is one or two datagrams, which every path that carries a call can bear once a
    /// second, and nobody waits a minute for one.
    duration max_retransmission = std::chrono::seconds{1};

    /// A handshake whose flight stays unanswered this often is thrown away and begun again:
    /// after 7.5 s with the waits above. No more than 11.
    unsigned max_retransmissions = 10;

    /// From `start` to `connected`, fingerprints included; then `failed`. Thirty seconds are
    /// what people wait for a call.
    duration handshake_timeout = std::chrono::seconds{30};

    /// ClientHellos answered side by side by a server. One is the peer's; the others can only
    /// be forged or left over. Each costs 100 KB until one handshake is completed.
    std::size_t max_handshakes = 4;

    /// A ClientHello may be this long, all fragments together. Browsers of 2026 send 1461
    /// bytes; a post-quantum key of the largest size (ML-KEM-1024) adds 400. At most 16,000.
    std::size_t max_client_hello_size = 4096;

    /// Encrypted records that overtake the handshake wait for it, up to this many bytes: ten
    /// full datagrams, the first flight of a congestion window (RFC 6928).
    std::size_t max_early_bytes = 12'000;

    /// Decrypted records wait for `receive`, up to this many bytes, a full UDP_GRO read; what
    /// exceeds it is dropped as a network would.
    std::size_t max_received_bytes = 65'536;
  };

  /// The peer has proved who it is. `protect`, `receive` and `export_keying_material` work.
  struct connected {
    bool operator==(const connected&) const = default;
  };
  /// The session has come to an end it did not choose.
  struct failed {
    error reason;
    bool operator==(const failed&) const = default;
  };
  /// The authenticated peer closed the session with close_notify (RFC 5246 §7.2.1).
  struct closed {
    bool operator==(const closed&) const = default;
  };
  using event = std::variant<connected, failed, closed>;

  /// The W3C's RTCDtlsTransportState. `fresh` lasts until `start`, or until a server that was
  /// called before is connected. A completed handshake that awaits fingerprints is still
  /// `connecting`.
  enum class state : std::uint8_t { fresh, connecting, connected, closed, failed };

  struct counters {
    std::uint64_t datagrams_received = 0;
    std::uint64_t datagrams_sent = 0;  ///< Of handshakes and alerts; not `protect`'s.
    std::uint64_t records_protected = 0;
    std::uint64_t records_received = 0;  ///< Application records that were authentic.
    std::uint64_t records_dropped = 0;   ///< Malformed, forged, replayed or out of place.
    std::uint64_t plaintext_alerts_dropped = 0;
    std::uint8_t last_plaintext_alert = 0;  ///< RFC 5246 §7.2: a hint why a handshake hangs.
    std::uint64_t handshakes_begun = 0;
    std::uint64_t handshakes_discarded = 0;  ///< Spoiled, unanswered, or not the one completed.
    std::uint64_t retransmissions = 0;       ///< Flights sent again.
    std::uint64_t overflowed = 0;            ///< Records dropped because a bound was reached.
  };

  /// The most that `protect` adds: a record header of 13 bytes, the explicit nonce of
  /// AES-GCM of 8 (RFC 5288 §3) and a tag of 16.
  static constexpr std::size_t record_overhead = 37;

  session(const certificate& identity, const options& opts);
  session(session&& other) noexcept;
  session& operator=(session&& other) noexcept;
  ~session();

  // Commands

  /// Begins: a client's ClientHello becomes due, and `handshake_timeout` runs. A server
  /// answers what comes even before that.
  void start(time_point now);

  /// The `a=fingerprint` lines of the remote description. May come before, during or after
  /// the handshake, which waits for them before it is `connected`. The strongest hash among
  /// them decides, and one match suffices (RFC 8122 §5). Replaces what was given before; once
  /// connected, changes nothing.
  void set_remote_fingerprints(time_point now, std::vector<fingerprint> fingerprints);

  /// Encrypts `plaintext` as one application-data record, which is one datagram, at the front
  /// of `buffer`, and returns it. `plaintext` may lie anywhere, in `buffer` too. Fails with
  /// `not_connected`, `buffer_too_small` or `library_failure`.
  result<const_bytes, error> protect(time_point now, const_bytes plaintext, mutable_bytes buffer);

  /// Sends close_notify if connected, and ends the session without an event. Poll what is
  /// due afterwards.
  void close(time_point now);

  // Inputs

  /// Takes a datagram. Returns whether it is DTLS by its first byte (RFC 7983 §7).
  bool handle_input(time_point now, const_bytes datagram);
  void handle_timeout(time_point now);

  // Outputs

  /// The next handshake datagram or alert. Nothing where `buffer` is too small for it: it
  /// waits for one of `options::mtu`.
  std::optional<transmit> poll_transmit(time_point now, mutable_bytes buffer);
  std::optional<time_point> poll_timeout() const;
  std::optional<event> poll_event();

  /// The next application record of the peer. Lives until the next non-const call.
  std::optional<const_bytes> receive();

  /// Keys for another protocol out of this session's (RFC 5705 §4, no context), such as
  /// SRTP's under `EXTRACTOR-dtls_srtp` (RFC 5764 §4.2). Fails with `not_connected` or
  /// `library_failure`.
  result<std::vector<std::uint8_t>, error> export_keying_material(std::string_view label,
                                                                  std::size_t size) const;

  dtls::role role() const noexcept;
  state current_state() const noexcept;

  /// What both sides agreed on for media; nothing before `connected`, or where they did not.
  std::optional<srtp_profile> negotiated_srtp_profile() const;

  /// The peer's certificate (X.509 DER), as soon as the peer has proved to hold it, whether
  /// it is the right one or not. Empty before. Lives as long as the session.
  const_bytes remote_certificate() const noexcept;

  /// What the peer showed behind its own certificate, to lead to one that is trusted (RFC 5246
  /// §7.4.2): for callers who judge by trust anchors, and then give `set_remote_fingerprints` the
  /// fingerprint of what they have seen.
  const std::vector<std::vector<std::uint8_t>>& remote_intermediates() const noexcept;

  /// IANA's name, `TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`. Empty before `connected`.
  std::string_view cipher_suite() const noexcept;

  const counters& stats() const noexcept;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace weft::dtls

#endif  // WEFT_DTLS_SESSION_HPP
