#ifndef WEFT_DTLS_CERTIFICATE_MATERIAL_HPP
#define WEFT_DTLS_CERTIFICATE_MATERIAL_HPP

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include <weft/dtls/certificate.hpp>

// OpenSSL's types by name only, so that no more than the *_openssl.cpp files see the rest.
struct evp_pkey_st;
struct ssl_ctx_st;
struct x509_st;

namespace weft::dtls {

struct release_openssl {
  void operator()(evp_pkey_st* key) const noexcept;
  void operator()(ssl_ctx_st* context) const noexcept;
  void operator()(x509_st* x509) const noexcept;
};

/// OpenSSL counts the references to each of these, atomically.
struct certificate::material {
  std::unique_ptr<evp_pkey_st, release_openssl> key;
  std::unique_ptr<x509_st, release_openssl> x509;
  /// What every session of this certificate has in common; making one costs as much as a
  /// tenth of a handshake.
  std::unique_ptr<ssl_ctx_st, release_openssl> context;
  std::vector<std::uint8_t> der;
  std::chrono::system_clock::time_point expires;
};

/// The settings of every session that shows this certificate. Null where OpenSSL refuses them.
std::unique_ptr<ssl_ctx_st, release_openssl> make_context(evp_pkey_st& key, x509_st& x509);

}  // namespace weft::dtls

#endif  // WEFT_DTLS_CERTIFICATE_MATERIAL_HPP
