#ifndef WEFT_TESTS_IO_AUTHORITY_HPP
#define WEFT_TESTS_IO_AUTHORITY_HPP

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace weft::io::test {

/// A certificate and its key, as a certification authority hands them out.
class authority {
 public:
  struct issued {
    std::string name;
    /// Such as `DNS:turn.example`, `IP:127.0.0.1`; none for an authority.
    std::string alternative_names{};
    long starts = -3600;  ///< Seconds from now.
    long ends = 3600;
  };

  /// One that vouches for itself.
  explicit authority(const std::string& name) : authority{issued{name}, nullptr} {}
  /// One that `issuer` vouches for.
  authority(const issued& what, const authority& issuer) : authority{what, &issuer} {}

  std::string certificate_pem() const {
    return text([this](BIO* out) { PEM_write_bio_X509(out, certificate_.get()); });
  }
  std::string key_pem() const {
    return text([this](BIO* out) {
      PEM_write_bio_PKCS8PrivateKey(out, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }
  std::vector<std::uint8_t> der() const {
    unsigned char* bytes = nullptr;
    const int size = i2d_X509(certificate_.get(), &bytes);
    std::vector<std::uint8_t> out(bytes, bytes + size);
    OPENSSL_free(bytes);
    return out;
  }

 private:
  struct release {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* x509) const { X509_free(x509); }
  };

  authority(const issued& what, const authority* issuer)
      : key_{EVP_EC_gen("P-256")}, certificate_{X509_new()} {
    static long serial = 1;
    X509* const x = certificate_.get();
    const bool is_authority = what.alternative_names.empty();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x), what.starts);
    X509_gmtime_adj(X509_getm_notAfter(x), what.ends);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(what.name.c_str()), -1, -1,
                               0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer->certificate_.get() : x));
    X509_set_pubkey(x, key_.get());
    extend(NID_basic_constraints, is_authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (!is_authority) extend(NID_subject_alt_name, what.alternative_names.c_str());
    X509_sign(x, issuer ? issuer->key_.get() : key_.get(), EVP_sha256());
  }

  void extend(int type, const char* value) {
    X509_EXTENSION* const made = X509V3_EXT_conf_nid(nullptr, nullptr, type, value);
    X509_add_ext(certificate_.get(), made, -1);
    X509_EXTENSION_free(made);
  }

  template <class Write>
  static std::string text(Write write) {
    BIO* const out = BIO_new(BIO_s_mem());
    write(out);
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(out, &bytes);
    std::string copy(bytes, static_cast<std::size_t>(size));
    BIO_free(out);
    return copy;
  }

  std::unique_ptr<EVP_PKEY, release> key_;
  std::unique_ptr<X509, release> certificate_;
};

/// A folder of files for as long as a test takes.
class scratch_folder {
 public:
  scratch_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "weft-io-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;
  ~scratch_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string write(const std::string& name, const std::string& text) const {
    const auto file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream{file} << text;
    return file.string();
  }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace weft::io::test

#endif  // WEFT_TESTS_IO_AUTHORITY_HPP
