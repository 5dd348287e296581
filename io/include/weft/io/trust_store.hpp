#ifndef WEFT_IO_TRUST_STORE_HPP
#define WEFT_IO_TRUST_STORE_HPP

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <weft/core/bytes.hpp>
#include <weft/core/result.hpp>

namespace weft::io {

/// Whose word is believed on who a server is: for TLS, and for DTLS where a TURN server shows a
/// certificate (RFC 7350 §3, RFC 8489 §6.2.3).
///
/// Copies share what was read and are cheap.
class trust_store {
 public:
  struct options {
    /// What the system trusts: OpenSSL's own places, which `SSL_CERT_FILE` and `SSL_CERT_DIR` move.
    bool system = true;
    /// PEM files with further trust anchors, such as those of a company.
    std::vector<std::string> files{};
    /// Off, every certificate is believed, and so is whoever sits in between. For tests.
    bool verify = true;
  };

  /// What the system trusts.
  trust_store();
  /// Fails with the library's error if a file cannot be read.
  static result<trust_store, std::error_code> load(const options& opts);

  /// Whether a server may call itself `server_name`, a DNS name or an IP address, by these
  /// certificates (X.509 DER), its own first: a way leads to a trust anchor, all are valid now, and
  /// the name is in the first (RFC 6125 §6.4; the common name is not asked). Wildcards stand for a
  /// whole first label.
  bool trusts(std::span<const std::vector<std::uint8_t>> chain, std::string_view server_name) const;

  /// What the cryptographic library holds of it: for this module's own sources.
  struct material;
  const material& contents() const noexcept { return *material_; }

 private:
  std::shared_ptr<const material> material_;
};

}  // namespace weft::io

#endif  // WEFT_IO_TRUST_STORE_HPP
