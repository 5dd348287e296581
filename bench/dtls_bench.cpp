#include <benchmark/benchmark.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <weft/core/machine.hpp>
#include <weft/dtls/session.hpp>

namespace {

using namespace weft;
using dtls::certificate;
using dtls::role;
using dtls::session;

constexpr time_point now{};

certificate make_certificate() {
  return *certificate::generate({.now = std::chrono::system_clock::now()});
}

struct weft_pair {
  weft_pair(const certificate& a, const certificate& b)
      : client{a, options_for(role::client)}, server{b, options_for(role::server)} {
    client.set_remote_fingerprints(now, {b.fingerprint()});
    server.set_remote_fingerprints(now, {a.fingerprint()});
    client.start(now);
    server.start(now);
    while (move(client, server) || move(server, client)) continue;
  }

  static session::options options_for(role r) {
    session::options opts;
    opts.role = r;
    return opts;
  }
  static bool move(session& from, session& to) {
    std::array<std::uint8_t, max_datagram_size> buffer;
    bool moved = false;
    while (const auto t = from.poll_transmit(now, buffer)) moved = to.handle_input(now, t->bytes);
    return moved;
  }

  session client;
  session server;
};

using context_ptr = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using ssl_ptr = std::unique_ptr<SSL, decltype(&SSL_free)>;

/// libssl with the same settings, over memory BIOs, and no more around it than it needs.
context_ptr make_context(const certificate& identity) {
  context_ptr context{SSL_CTX_new(DTLS_method()), SSL_CTX_free};
  const std::string pem = identity.to_pem();
  BIO* const text = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(text, nullptr, nullptr, nullptr);
  X509* const x509 = PEM_read_bio_X509(text, nullptr, nullptr, nullptr);
  SSL_CTX_use_certificate(context.get(), x509);
  SSL_CTX_use_PrivateKey(context.get(), key);
  X509_free(x509);
  EVP_PKEY_free(key);
  BIO_free(text);
  SSL_CTX_set_min_proto_version(context.get(), DTLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(context.get(), DTLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_cipher_list(context.get(), "ECDHE-ECDSA-AES128-GCM-SHA256");
  SSL_CTX_set1_groups_list(context.get(), "X25519:P-256:P-384");
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(
      context.get(), [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  return context;
}

struct openssl_pair {
  openssl_pair(SSL_CTX* a, SSL_CTX* b)
      : client{SSL_new(a), SSL_free}, server{SSL_new(b), SSL_free} {
    BIO* const up = BIO_new(BIO_s_mem());
    BIO* const down = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(up, -1);
    BIO_set_mem_eof_return(down, -1);
    BIO_up_ref(up);
    BIO_up_ref(down);
    SSL_set_bio(client.get(), down, up);
    SSL_set_bio(server.get(), up, down);
    SSL_set_mtu(client.get(), 1200);
    SSL_set_mtu(server.get(), 1200);
    SSL_set_connect_state(client.get());
    SSL_set_accept_state(server.get());
    for (int i = 0; i < 3; ++i) {
      SSL_do_handshake(client.get());
      SSL_do_handshake(server.get());
    }
  }

  ssl_ptr client;
  ssl_ptr server;
};

void handshake_weft(benchmark::State& state) {
  const certificate a = make_certificate();
  const certificate b = make_certificate();
  for (auto _ : state) {
    const weft_pair pair{a, b};
    if (pair.client.current_state() != session::state::connected)
      return state.SkipWithError("not connected");
  }
}
BENCHMARK(handshake_weft)->Name("dtls/handshake/pair/weft")->Unit(benchmark::kMicrosecond);

void handshake_openssl(benchmark::State& state) {
  const context_ptr a = make_context(make_certificate());
  const context_ptr b = make_context(make_certificate());
  for (auto _ : state) {
    const openssl_pair pair{a.get(), b.get()};
    if (!SSL_is_init_finished(pair.client.get())) return state.SkipWithError("not connected");
  }
}
BENCHMARK(handshake_openssl)->Name("dtls/handshake/pair/openssl")->Unit(benchmark::kMicrosecond);

constexpr std::size_t record_size = 1150;

void record_weft(benchmark::State& state) {
  weft_pair pair{make_certificate(), make_certificate()};
  const std::vector<std::uint8_t> plaintext(record_size, 7);
  std::array<std::uint8_t, max_datagram_size> buffer;
  for (auto _ : state) {
    const auto record = pair.client.protect(now, plaintext, buffer);
    pair.server.handle_input(now, *record);
    const auto received = pair.server.receive();
    if (!received || received->size() != record_size) return state.SkipWithError("lost");
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(record_size));
}
BENCHMARK(record_weft)->Name("dtls/record/1150/weft");

void record_openssl(benchmark::State& state) {
  const context_ptr a = make_context(make_certificate());
  const context_ptr b = make_context(make_certificate());
  const openssl_pair pair{a.get(), b.get()};
  const std::vector<std::uint8_t> plaintext(record_size, 7);
  std::array<std::uint8_t, max_datagram_size> buffer;
  for (auto _ : state) {
    SSL_write(pair.client.get(), plaintext.data(), static_cast<int>(plaintext.size()));
    if (SSL_read(pair.server.get(), buffer.data(), static_cast<int>(buffer.size())) !=
        static_cast<int>(record_size))
      return state.SkipWithError("lost");
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(record_size));
}
BENCHMARK(record_openssl)->Name("dtls/record/1150/openssl");

void certificate_weft(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(make_certificate());
}
BENCHMARK(certificate_weft)->Name("dtls/certificate/p256/weft")->Unit(benchmark::kMicrosecond);

}  // namespace
