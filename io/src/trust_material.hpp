#ifndef WEFT_IO_SRC_TRUST_MATERIAL_HPP
#define WEFT_IO_SRC_TRUST_MATERIAL_HPP

#include <asio/ssl.hpp>

#include <weft/io/trust_store.hpp>

namespace weft::io {

/// For *_openssl.cpp alone.
struct trust_store::material {
  bool verify = true;
  /// Has the store of trust anchors too. Making connections changes nothing but its counts of
  /// references.
  mutable asio::ssl::context tls{asio::ssl::context::tls_client};

  X509_STORE* anchors() const noexcept { return SSL_CTX_get_cert_store(tls.native_handle()); }
};

/// Has the certificate's name checked along with the rest: of a host, or an IP address.
bool expect_name(X509_VERIFY_PARAM& param, std::string_view server_name);

}  // namespace weft::io

#endif  // WEFT_IO_SRC_TRUST_MATERIAL_HPP
