#ifndef WEFT_DTLS_CERTIFICATE_HPP
#define WEFT_DTLS_CERTIFICATE_HPP

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <weft/core/bytes.hpp>
#include <weft/core/result.hpp>
#include <weft/dtls/error.hpp>
#include <weft/dtls/fingerprint.hpp>

namespace weft::dtls {

/// A certificate with its private key: who we are to a peer. Self-signed (RFC 8827 §6.5), or
/// read with what leads from it to a trust anchor.
///
/// Copies share the key and are cheap. Sessions keep what they need of it, so it may go away
/// before them. Several sessions may use one certificate, from several threads.
class certificate {
 public:
  struct options {
    /// The calendar time now. The validity begins one day before it, because the clocks of
    /// peers disagree.
    std::chrono::system_clock::time_point now{};
    /// How long after `now` it expires. Thirty days is the W3C's default; peers check the
    /// fingerprint and never the date.
    std::chrono::seconds lifetime = std::chrono::hours{24 * 30};
    /// At most 64 bytes. The default is the browsers', which tells a peer nothing.
    std::string common_name = "WebRTC";
  };

  /// Makes an ECDSA key on P-256 (RFC 8827 §6.5) and a certificate signed by it with SHA-256.
  /// Fails with `invalid_certificate` (a common name too long, a date that does not fit) or
  /// `library_failure`.
  static result<certificate, error> generate(const options& opts);

  /// Reads what `to_pem` wrote: one private key and its certificate, in either order. Further
  /// certificates behind that one are shown to peers along with it, as servers that are judged by
  /// trust anchors need (RFC 5246 §7.4.2). An ECDSA key, or RSA of at least 2048 bits. Fails with
  /// `invalid_certificate`.
  static result<certificate, error> from_pem(std::string_view pem);

  certificate(const certificate& other);
  certificate& operator=(const certificate& other);
  certificate(certificate&& other) noexcept;
  certificate& operator=(certificate&& other) noexcept;
  ~certificate();

  /// The private key (PKCS #8, not encrypted: guard it) and the certificate, without others that
  /// were read along with it.
  std::string to_pem() const;

  /// The certificate as it goes on the wire (X.509 DER).
  const_bytes der() const noexcept;

  /// What goes into `a=fingerprint` (RFC 8122 §5).
  dtls::fingerprint fingerprint(hash h = hash::sha_256) const;

  /// The end of the validity, to the second.
  std::chrono::system_clock::time_point expires() const noexcept;

  /// What the cryptographic library holds of it: for this module's own sources.
  struct material;
  const material& secret() const noexcept { return *material_; }

 private:
  explicit certificate(std::unique_ptr<material> m);

  std::unique_ptr<material> material_;
};

/// The fingerprint of any certificate, given as DER.
fingerprint fingerprint_of(hash h, const_bytes certificate_der);

}  // namespace weft::dtls

#endif  // WEFT_DTLS_CERTIFICATE_HPP
