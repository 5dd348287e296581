#include <doctest/doctest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <memory>

#include "pair.hpp"
#include "wire.hpp"

namespace {

using namespace weft::dtls;
using namespace weft::dtls::test;

/// libssl as other programs use it: its own cookies, memory BIOs, any MTU. No code of ours.
class openssl_peer {
 public:
  openssl_peer(role r, const certificate& identity, bool with_cookie = false)
      : context_{SSL_CTX_new(DTLS_method()), SSL_CTX_free} {
    SSL_CTX* const ctx = context_.get();
    const std::string pem = identity.to_pem();
    const std::unique_ptr<BIO, decltype(&BIO_free_all)> text{
        BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free_all};
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{
        PEM_read_bio_PrivateKey(text.get(), nullptr, nullptr, nullptr), EVP_PKEY_free};
    const std::unique_ptr<X509, decltype(&X509_free)> x509{
        PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr), X509_free};
    SSL_CTX_use_certificate(ctx, x509.get());
    SSL_CTX_use_PrivateKey(ctx, key.get());
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       [](int, X509_STORE_CTX*) { return 1; });
    SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU);
    SSL_CTX_set_tlsext_use_srtp(ctx, "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80");
    if (with_cookie) {
      SSL_CTX_set_options(ctx, SSL_OP_COOKIE_EXCHANGE);
      SSL_CTX_set_cookie_generate_cb(ctx, [](SSL*, unsigned char* cookie, unsigned* size) {
        *size = 20;
        std::fill_n(cookie, 20, static_cast<unsigned char>(0xc0));
        return 1;
      });
      SSL_CTX_set_cookie_verify_cb(ctx, [](SSL*, const unsigned char* cookie, unsigned size) {
        return size == 20 && cookie[0] == 0xc0 ? 1 : 0;
      });
    }
    ssl_ = {SSL_new(ctx), SSL_free};
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(ssl_.get()), -1);
    SSL_set_mtu(ssl_.get(), 1200);
    if (r == role::client) {
      SSL_set_connect_state(ssl_.get());
    } else {
      SSL_set_accept_state(ssl_.get());
    }
  }

  void set_mtu(long mtu) { SSL_set_mtu(ssl_.get(), mtu); }
  void set_ciphers(const char* list) { SSL_set_cipher_list(ssl_.get(), list); }
  void set_groups(const char* list) { SSL_set1_groups_list(ssl_.get(), list); }
  void set_version(int version) {
    SSL_set_min_proto_version(ssl_.get(), version);
    SSL_set_max_proto_version(ssl_.get(), version);
  }
  bool step() { return SSL_do_handshake(ssl_.get()) == 1; }
  void write(std::string_view text) {
    SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
  }
  std::string read() {
    char text[2048];
    const int size = SSL_read(ssl_.get(), text, sizeof text);
    return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : "(nothing)";
  }
  void close() { SSL_shutdown(ssl_.get()); }
  bool was_closed() { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }
  bytes exported(std::string_view label, std::size_t size) {
    bytes out(size);
    SSL_export_keying_material(ssl_.get(), out.data(), size, label.data(), label.size(), nullptr, 0,
                               0);
    return out;
  }

  void give(const bytes& datagram) {
    BIO_write(SSL_get_rbio(ssl_.get()), datagram.data(), static_cast<int>(datagram.size()));
  }
  /// What it wrote, a record in each datagram.
  std::vector<bytes> take() {
    bytes all(65536);
    const int size = BIO_read(SSL_get_wbio(ssl_.get()), all.data(), static_cast<int>(all.size()));
    all.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    std::vector<bytes> singles;
    for (const seen_record& r : records_in(all))
      singles.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(r.offset),
                           all.begin() + static_cast<std::ptrdiff_t>(r.offset + r.size));
    return singles;
  }

 private:
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, SSL_free};
};

struct call {
  call(role ours, bool with_cookie = false)
      : peer{ours == role::client ? role::server : role::client, theirs, with_cookie},
        machine{session{mine, options(ours)}} {
    machine->set_remote_fingerprints(epoch, {theirs.fingerprint()});
    machine->start(epoch);
  }
  static session::options options(role r) {
    auto opts = options_for(r);
    opts.srtp_profiles = {srtp_profile::aes128_cm_sha1_80, srtp_profile::aead_aes_128_gcm};
    return opts;
  }
  void exchange() {
    for (int i = 0; i < 8; ++i) {
      for (const bytes& d : flight(machine, epoch)) peer.give(d);
      peer_done = peer.step();
      give(machine, epoch, peer.take());
    }
  }
  bool connected() const {
    return peer_done && machine->current_state() == session::state::connected;
  }

  weft::test::seeded_openssl randomness{9};
  certificate mine = make_certificate();
  certificate theirs = make_certificate();
  openssl_peer peer;
  machine_under_test machine;
  bool peer_done = false;
};

constexpr role both[] = {role::client, role::server};

}  // namespace

TEST_SUITE("dtls/interop_openssl") {
  TEST_CASE("plain libssl in either role: data, keys and close_notify both ways") {
    for (const role r : both) {
      call c{r};
      c.exchange();
      REQUIRE(c.connected());
      c.peer.give(protect(c.machine, epoch, "from weft"));
      CHECK(c.peer.read() == "from weft");
      c.peer.write("from libssl");
      give(c.machine, epoch, c.peer.take());
      CHECK(received(c.machine) == "from libssl");
      CHECK(c.peer.exported("EXTRACTOR-dtls_srtp", 60) ==
            *c.machine->export_keying_material("EXTRACTOR-dtls_srtp", 60));
      CHECK(c.machine->negotiated_srtp_profile().has_value());

      if (r == role::client) {
        c.machine->close(epoch);
        for (const bytes& d : flight(c.machine, epoch)) c.peer.give(d);
        c.peer.read();
        CHECK(c.peer.was_closed());
      } else {
        c.peer.close();
        give(c.machine, epoch, c.peer.take());
        CHECK(c.machine->current_state() == session::state::closed);
      }
    }
  }

  TEST_CASE("RFC 6347 §4.2.1: a client returns the cookie of a HelloVerifyRequest") {
    call c{role::client, true};
    c.exchange();
    CHECK(c.connected());
  }

  TEST_CASE("a ClientHello and a flight in small fragments are put together") {
    for (const role r : both) {
      call c{r};
      c.peer.set_mtu(256);
      c.exchange();
      CHECK(c.connected());
      // A flight in so many datagrams, of a record each, holds messages in several parts.
      CHECK(c.machine->stats().datagrams_received > (r == role::client ? 7u : 6u));
    }
  }

  TEST_CASE("each cipher suite and group that is offered can be agreed on") {
    for (const role r : both) {
      for (const char* cipher : {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305",
                                 "ECDHE-ECDSA-AES256-GCM-SHA384"}) {
        for (const char* group : {"X25519:P-256", "P-256", "P-384:P-256"}) {
          call c{r};
          c.peer.set_ciphers(cipher);
          c.peer.set_groups(group);
          c.exchange();
          CAPTURE(std::string{cipher});
          CAPTURE(std::string{group});
          REQUIRE(c.connected());
          c.peer.give(protect(c.machine, epoch, "x"));
          CHECK(c.peer.read() == "x");
        }
      }
    }
  }

  TEST_CASE("RFC 8827 §6.5: DTLS 1.0 is not spoken") {
    for (const role r : both) {
      call c{r};
      c.peer.set_version(DTLS1_VERSION);
      c.exchange();
      CHECK_FALSE(c.connected());
    }
  }
}
