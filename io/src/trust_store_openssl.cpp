#include <weft/io/trust_store.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <weft/core/net.hpp>

#include "trust_material.hpp"

namespace weft::io {
namespace {

/// RFC 8996 forbids what is older than TLS 1.2; keys of 2048 bits at least, and no SHA-1.
constexpr int security_level = 2;

struct release {
  void operator()(X509* x509) const noexcept { X509_free(x509); }
  void operator()(X509_STORE_CTX* context) const noexcept { X509_STORE_CTX_free(context); }
  void operator()(STACK_OF(X509) * stack) const noexcept { sk_X509_pop_free(stack, X509_free); }
};
template <class T>
using owned = std::unique_ptr<T, release>;

owned<X509> decode(const std::vector<std::uint8_t>& der) {
  const unsigned char* at = der.data();
  return owned<X509>{d2i_X509(nullptr, &at, static_cast<long>(der.size()))};
}

void configure(asio::ssl::context& tls, bool verify) {
  std::error_code impossible;
  tls.set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1 |
                      asio::ssl::context::no_compression,
                  impossible);
  SSL_CTX* const context = tls.native_handle();
  SSL_CTX_set_security_level(context, security_level);
  SSL_CTX_set_verify(context, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
}

}  // namespace

bool expect_name(X509_VERIFY_PARAM& param, std::string_view server_name) {
  if (server_name.ends_with('.')) server_name.remove_suffix(1);
  if (server_name.empty()) return false;
  const std::string name{server_name};
  if (ip_address::parse(name)) return X509_VERIFY_PARAM_set1_ip_asc(&param, name.c_str()) == 1;
  X509_VERIFY_PARAM_set_hostflags(
      &param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  return X509_VERIFY_PARAM_set1_host(&param, name.data(), name.size()) == 1;
}

trust_store::trust_store() {
  // The system's places need not exist, so that this fails only for want of memory; then nobody is
  // trusted.
  auto m = std::make_shared<material>();
  configure(m->tls, m->verify);
  std::error_code ignored;
  m->tls.set_default_verify_paths(ignored);
  material_ = std::move(m);
}

result<trust_store, std::error_code> trust_store::load(const options& opts) {
  auto m = std::make_shared<material>();
  m->verify = opts.verify;
  configure(m->tls, opts.verify);
  std::error_code error;
  if (opts.system) m->tls.set_default_verify_paths(error);
  for (const std::string& file : opts.files)
    if (!error) m->tls.load_verify_file(file, error);
  ERR_clear_error();
  if (error) return fail(error);
  trust_store out;
  out.material_ = std::move(m);
  return out;
}

bool trust_store::trusts(std::span<const std::vector<std::uint8_t>> chain,
                         std::string_view server_name) const {
  if (!material_->verify) return true;
  if (chain.empty()) return false;
  const owned<X509> shown = decode(chain.front());
  const owned<STACK_OF(X509)> others{sk_X509_new_null()};
  const owned<X509_STORE_CTX> context{X509_STORE_CTX_new()};
  bool ready = shown && others && context;
  for (const auto& der : chain.subspan(1)) {
    owned<X509> other = decode(der);
    ready = ready && other && sk_X509_push(others.get(), other.get()) > 0;
    if (ready) static_cast<void>(other.release());
  }
  ready =
      ready &&
      X509_STORE_CTX_init(context.get(), material_->anchors(), shown.get(), others.get()) == 1 &&
      X509_STORE_CTX_set_default(context.get(), "ssl_server") == 1;
  if (ready) {
    X509_VERIFY_PARAM* const param = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_auth_level(param, security_level);
    ready = expect_name(*param, server_name);
  }
  const bool trusted = ready && X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  return trusted;
}

}  // namespace weft::io
