#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <cassert>
#include <cstring>
#include <utility>

#include "certificate_material.hpp"

namespace weft::dtls {

namespace {

using key_ptr = std::unique_ptr<EVP_PKEY, release_openssl>;
using x509_ptr = std::unique_ptr<X509, release_openssl>;

struct release_bio {
  void operator()(BIO* bio) const noexcept { BIO_free_all(bio); }
};
using bio_ptr = std::unique_ptr<BIO, release_bio>;

bool set_serial_number(X509& x509) {
  // Positive and not zero, as RFC 5280 §4.1.2.2 has it; random, because some libraries
  // take one issuer and number for one certificate.
  BIGNUM* const number = BN_new();
  const bool done = number != nullptr &&
                    BN_rand(number, 64, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(&x509)) != nullptr;
  BN_free(number);
  return done;
}

bool set_names(X509& x509, const std::string& common_name) {
  X509_NAME* const name = X509_get_subject_name(&x509);
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1 &&
         X509_set_issuer_name(&x509, name) == 1;
}

bool set_validity(X509& x509, const certificate::options& opts) {
  const std::time_t from = std::chrono::system_clock::to_time_t(opts.now - std::chrono::hours{24});
  const std::time_t to = std::chrono::system_clock::to_time_t(opts.now + opts.lifetime);
  return ASN1_TIME_set(X509_getm_notBefore(&x509), from) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(&x509), to) != nullptr;
}

std::vector<std::uint8_t> encode(X509& x509) {
  const int size = i2d_X509(&x509, nullptr);
  if (size <= 0) return {};
  std::vector<std::uint8_t> der(static_cast<std::size_t>(size));
  unsigned char* at = der.data();
  i2d_X509(&x509, &at);
  return der;
}

std::chrono::system_clock::time_point expiry(const X509& x509) {
  const std::unique_ptr<ASN1_TIME, decltype(&ASN1_TIME_free)> epoch{ASN1_TIME_set(nullptr, 0),
                                                                    ASN1_TIME_free};
  int days = 0;
  int seconds = 0;
  if (!epoch || ASN1_TIME_diff(&days, &seconds, epoch.get(), X509_get0_notAfter(&x509)) != 1)
    return {};
  return std::chrono::system_clock::time_point{std::chrono::hours{24} * days +
                                               std::chrono::seconds{seconds}};
}

result<std::unique_ptr<certificate::material>, error> assemble(key_ptr key, x509_ptr x509) {
  auto m = std::make_unique<certificate::material>();
  m->context = make_context(*key, *x509);
  m->der = encode(*x509);
  m->expires = expiry(*x509);
  m->key = std::move(key);
  m->x509 = std::move(x509);
  if (!m->context || m->der.empty()) return fail(error::library_failure);
  return m;
}

/// Nobody types a passphrase into a library.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

/// What follows the certificate in a PEM text.
bool add_chain(SSL_CTX& context, BIO& text) {
  for (;;) {
    const x509_ptr next{PEM_read_bio_X509(&text, nullptr, no_passphrase, nullptr)};
    if (!next) return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (SSL_CTX_add1_chain_cert(&context, next.get()) != 1) return false;
  }
}

const EVP_MD* evp(hash h) {
  switch (h) {
    case hash::sha_1:
      return EVP_sha1();
    case hash::sha_224:
      return EVP_sha224();
    case hash::sha_256:
      return EVP_sha256();
    case hash::sha_384:
      return EVP_sha384();
    case hash::sha_512:
      return EVP_sha512();
  }
  return EVP_sha256();
}

}  // namespace

void release_openssl::operator()(EVP_PKEY* key) const noexcept {
  EVP_PKEY_free(key);
}
void release_openssl::operator()(SSL_CTX* context) const noexcept {
  SSL_CTX_free(context);
}
void release_openssl::operator()(X509* x509) const noexcept {
  X509_free(x509);
}

result<certificate, error> certificate::generate(const options& opts) {
  if (opts.common_name.empty() || opts.common_name.size() > 64)  // RFC 5280 A.1, ub-common-name
    return fail(error::invalid_certificate);
  key_ptr key{EVP_EC_gen("P-256")};
  x509_ptr x509{X509_new()};
  if (!key || !x509) return fail(error::library_failure);
  if (X509_set_version(x509.get(), X509_VERSION_3) != 1 || !set_serial_number(*x509))
    return fail(error::library_failure);
  if (!set_names(*x509, opts.common_name) || !set_validity(*x509, opts)) {
    ERR_clear_error();
    return fail(error::invalid_certificate);
  }
  if (X509_set_pubkey(x509.get(), key.get()) != 1 ||
      X509_sign(x509.get(), key.get(), EVP_sha256()) == 0) {
    ERR_clear_error();
    return fail(error::library_failure);
  }
  auto m = assemble(std::move(key), std::move(x509));
  if (!m) return fail(m.error());
  return certificate{*std::move(m)};
}

result<certificate, error> certificate::from_pem(std::string_view pem) {
  const auto open = [&] {
    return bio_ptr{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
  };
  const bio_ptr key_text = open();
  const bio_ptr x509_text = open();
  if (!key_text || !x509_text) return fail(error::invalid_certificate);
  key_ptr key{PEM_read_bio_PrivateKey(key_text.get(), nullptr, no_passphrase, nullptr)};
  x509_ptr x509{PEM_read_bio_X509(x509_text.get(), nullptr, no_passphrase, nullptr)};
  if (!key || !x509 || X509_check_private_key(x509.get(), key.get()) != 1) {
    ERR_clear_error();
    return fail(error::invalid_certificate);
  }
  auto m = assemble(std::move(key), std::move(x509));
  const bool complete = m && add_chain(*(*m)->context, *x509_text);
  ERR_clear_error();
  if (!complete) return fail(error::invalid_certificate);
  return certificate{*std::move(m)};
}

certificate::certificate(std::unique_ptr<material> m) : material_{std::move(m)} {}
certificate::certificate(certificate&& other) noexcept = default;
certificate& certificate::operator=(certificate&& other) noexcept = default;
certificate::~certificate() = default;

certificate::certificate(const certificate& other) : material_{std::make_unique<material>()} {
  const material& from = *other.material_;
  EVP_PKEY_up_ref(from.key.get());
  material_->key.reset(from.key.get());
  X509_up_ref(from.x509.get());
  material_->x509.reset(from.x509.get());
  SSL_CTX_up_ref(from.context.get());
  material_->context.reset(from.context.get());
  material_->der = from.der;
  material_->expires = from.expires;
}

certificate& certificate::operator=(const certificate& other) {
  return *this = certificate{other};
}

std::string certificate::to_pem() const {
  const bio_ptr out{BIO_new(BIO_s_mem())};
  char* text = nullptr;
  if (!out ||
      PEM_write_bio_PKCS8PrivateKey(out.get(), material_->key.get(), nullptr, nullptr, 0, nullptr,
                                    nullptr) != 1 ||
      PEM_write_bio_X509(out.get(), material_->x509.get()) != 1)
    return {};
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

const_bytes certificate::der() const noexcept {
  return material_->der;
}

fingerprint certificate::fingerprint(hash h) const {
  return fingerprint_of(h, der());
}

std::chrono::system_clock::time_point certificate::expires() const noexcept {
  return material_->expires;
}

fingerprint fingerprint_of(hash h, const_bytes certificate_der) {
  std::array<std::uint8_t, 64> digest{};
  const int done = EVP_Digest(certificate_der.data(), certificate_der.size(), digest.data(),
                              nullptr, evp(h), nullptr);
  // Zeros could be taken for a digest; a copy of libcrypto without these hashes cannot run us.
  assert(done == 1);
  static_cast<void>(done);
  return *fingerprint::from_digest(h, const_bytes{digest}.first(digest_size(h)));
}

}  // namespace weft::dtls
