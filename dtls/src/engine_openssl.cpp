#include "engine.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/time.h>

#include <algorithm>
#include <string>

#include "certificate_material.hpp"
#include "record.hpp"

namespace weft::dtls {

namespace {

/// Our own flight of the handshake, with a chain of RSA certificates: nothing a peer sends
/// makes it longer.
constexpr std::size_t max_output_bytes = 65'536;

/// How many times a completed handshake answers a repeated Finished. libssl takes more than
/// twelve for the end of the connection.
constexpr unsigned max_final_repeats = 8;

/// libssl takes a timer with less than 15 ms left for expired, and then sends its flight again
/// at whatever datagram comes next. Its timer runs longer by most of that; the other 5 ms are
/// for the time between the caller's `now` and the moment when libssl reads its clock.
constexpr std::chrono::microseconds timer_slack{10'000};

struct srtp_name {
  srtp_profile profile;
  std::string_view name;
};
constexpr srtp_name srtp_names[] = {
    {srtp_profile::aes128_cm_sha1_80, "SRTP_AES128_CM_SHA1_80"},
    {srtp_profile::aes128_cm_sha1_32, "SRTP_AES128_CM_SHA1_32"},
    {srtp_profile::aead_aes_128_gcm, "SRTP_AEAD_AES_128_GCM"},
    {srtp_profile::aead_aes_256_gcm, "SRTP_AEAD_AES_256_GCM"},
};

std::string list_of(const std::vector<srtp_profile>& profiles) {
  std::string list;
  for (const srtp_profile profile : profiles) {
    const auto* const entry = std::ranges::find(srtp_names, profile, &srtp_name::profile);
    if (entry == std::end(srtp_names)) continue;
    if (!list.empty()) list += ':';
    list += entry->name;
  }
  return list;
}

unsigned microseconds(duration d) {
  return static_cast<unsigned>(std::chrono::duration_cast<std::chrono::microseconds>(d).count());
}

}  // namespace

std::unique_ptr<SSL_CTX, release_openssl> make_context(EVP_PKEY& key, X509& x509) {
  std::unique_ptr<SSL_CTX, release_openssl> context{SSL_CTX_new(DTLS_method())};
  if (!context) return context;
  SSL_CTX* const ctx = context.get();

  // Everything is said here, whatever the machine's openssl.cnf says.
  SSL_CTX_set_security_level(ctx, 2);
  SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_QUERY_MTU |
                               SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_cert_list(ctx, 16'384);  // Bounds what a forged Certificate can occupy.
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  // Any certificate will do for the library; the session compares fingerprints once the
  // peer has proved that it holds the key.
  SSL_CTX_set_cert_verify_callback(
      ctx, [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  // `cookie_exchange` has looked at it.
  SSL_CTX_set_cookie_verify_cb(ctx, [](SSL*, const unsigned char*, unsigned) { return 1; });

  const bool done =
      SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION) == 1 &&
      SSL_CTX_set_max_proto_version(ctx, DTLS1_2_VERSION) == 1 &&
      // AES-128 first as RFC 8827 §6.5 requires it; RSA for peers with such certificates.
      SSL_CTX_set_cipher_list(ctx,
                              "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                              "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                              "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384") == 1 &&
      SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") == 1 &&
      SSL_CTX_set1_sigalgs_list(ctx,
                                "ECDSA+SHA256:RSA-PSS+SHA256:RSA+SHA256:ECDSA+SHA384:"
                                "RSA-PSS+SHA384:RSA+SHA384:ECDSA+SHA512:RSA-PSS+SHA512:"
                                "RSA+SHA512") == 1 &&
      SSL_CTX_use_certificate(ctx, &x509) == 1 && SSL_CTX_use_PrivateKey(ctx, &key) == 1;
  if (!done) context.reset();
  return context;
}

/// A BIO without storage: reads hand out the record that `input` was given, and each write
/// is a datagram.
struct engine::binding {
  static engine& of(BIO* bio) { return *static_cast<engine*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* out, int size) {
    engine& e = of(bio);
    BIO_clear_retry_flags(bio);
    if (e.input_.empty()) {
      BIO_set_retry_read(bio);
      return -1;
    }
    const std::size_t count = std::min(e.input_.size(), static_cast<std::size_t>(size));
    std::copy_n(e.input_.begin(), count, out);
    e.input_ = {};
    e.renumber({reinterpret_cast<std::uint8_t*>(out), count});
    return static_cast<int>(count);
  }

  static int write(BIO* bio, const char* bytes, int size) {
    engine& e = of(bio);
    BIO_clear_retry_flags(bio);
    const const_bytes datagram = as_bytes({bytes, static_cast<std::size_t>(size)});
    const auto r = read_record(datagram);
    if (!e.record_to_.empty() && r && r->type == content_type::application_data) {
      if (datagram.size() <= e.record_to_.size()) {
        std::ranges::copy(datagram, e.record_to_.begin());
        e.record_size_ = datagram.size();
      }
      return size;
    }
    // An alert in the clear would let a forger, who provoked it, end the peer's handshake too.
    if (r && r->type == content_type::alert && r->epoch == 0) return size;
    e.wrote_ = true;
    // libssl packs a flight into few datagrams, but its repetition into one for each message.
    if (!e.output_.extend(datagram, e.mtu_)) e.output_.push(datagram);
    return size;
  }

  static long control(BIO*, int command, long, void*) {
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
  }

  static int create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
  }

  /// Asked with 0 when a flight begins to wait, with the last wait when it goes out again.
  static unsigned next_wait(SSL* ssl, unsigned last) {
    engine& e = *static_cast<engine*>(SSL_get_app_data(ssl));
    if (last == 0) {
      e.repeats_ = 0;
      e.wait_ = e.initial_wait_;
      return microseconds(e.wait_ + timer_slack);
    }
    ++e.repeats_;
    ++e.stats_.retransmissions;
    e.output_.clear();  // The whole flight follows.
    e.wait_ = std::min(2 * e.wait_, e.longest_wait_);
    return microseconds(e.wait_ + timer_slack);
  }
};

engine::engine(const certificate& identity, const session::options& opts, session::counters& stats)
    : stats_{stats},
      initial_wait_{opts.initial_retransmission},
      longest_wait_{std::max(opts.max_retransmission, opts.initial_retransmission)},
      mtu_{std::max<std::size_t>(opts.mtu, 256)},
      max_repeats_{std::min(opts.max_retransmissions, 11u)},
      output_{max_output_bytes},
      received_{opts.max_received_bytes} {
  ERR_clear_error();
  ssl_.reset(SSL_new(identity.secret().context.get()));
  if (!ssl_ || !configure(opts)) status_ = status::spoiled;
  ERR_clear_error();
}

engine::~engine() = default;

void engine::release::operator()(SSL* ssl) const noexcept {
  SSL_free(ssl);
}
void engine::release::operator()(BIO_METHOD* method) const noexcept {
  BIO_meth_free(method);
}

bool engine::configure(const session::options& opts) {
  method_.reset(BIO_meth_new(BIO_TYPE_SOURCE_SINK, "weft"));
  if (!method_ || BIO_meth_set_read(method_.get(), binding::read) != 1 ||
      BIO_meth_set_write(method_.get(), binding::write) != 1 ||
      BIO_meth_set_ctrl(method_.get(), binding::control) != 1 ||
      BIO_meth_set_create(method_.get(), binding::create) != 1)
    return false;
  BIO* const bio = BIO_new(method_.get());
  if (bio == nullptr) return false;
  BIO_set_data(bio, this);

  SSL* const ssl = ssl_.get();
  SSL_set_bio(ssl, bio, bio);
  SSL_set_app_data(ssl, this);
  DTLS_set_timer_cb(ssl, binding::next_wait);
  if (opts.role == role::client) {
    SSL_set_connect_state(ssl);
  } else {
    SSL_set_accept_state(ssl);
    awaits_cookie_ = opts.path_validation == path_validation::cookie;
    asks_for_certificate_ = opts.client_identity != client_identity::none;
    if (!asks_for_certificate_) SSL_set_verify(ssl, SSL_VERIFY_NONE, nullptr);
  }
  const std::string profiles = list_of(opts.srtp_profiles);
  return SSL_set_mtu(ssl, static_cast<long>(mtu_)) != 0 &&
         (profiles.empty() || SSL_set_tlsext_use_srtp(ssl, profiles.c_str()) == 0);
}

void engine::start(time_point now) {
  step();
  set_deadline(now);
}

void engine::input(time_point now, const_bytes record) {
  input_ = record;
  if (status_ == status::handshaking) {
    if (awaits_cookie_) listen();
    if (status_ == status::handshaking) step();
  } else if (status_ == status::established) {
    read(record);
  }
  input_ = {};
  set_deadline(now);
}

void engine::handle_timeout(time_point now) {
  if (!deadline_ || now < *deadline_ || status_ != status::handshaking) return;
  ERR_clear_error();
  const long repeated = repeats_ == max_repeats_ ? -1 : DTLSv1_handle_timeout(ssl_.get());
  if (repeated < 0) status_ = status::spoiled;
  if (repeated == 0) ++repeats_;  // libssl's clock was set back, and its timer would take hours.
  ERR_clear_error();
  set_deadline(now);
}

bool engine::expects_change_cipher_spec() const noexcept {
  if (status_ != status::handshaking) return false;
  const OSSL_HANDSHAKE_STATE state = SSL_get_state(ssl_.get());
  return state == (asks_for_certificate_ ? TLS_ST_SR_CERT_VRFY : TLS_ST_SR_KEY_EXCH) ||
         state == TLS_ST_CW_FINISHED;
}

bool engine::expects_encrypted() const noexcept {
  if (status_ != status::handshaking) return false;
  const OSSL_HANDSHAKE_STATE state = SSL_get_state(ssl_.get());
  return state == TLS_ST_SR_CHANGE || state == TLS_ST_CR_CHANGE;
}

result<const_bytes, error> engine::protect(const_bytes plaintext, mutable_bytes buffer) {
  record_to_ = buffer;
  record_size_ = 0;
  const int written = SSL_write(ssl_.get(), plaintext.data(), static_cast<int>(plaintext.size()));
  record_to_ = {};
  if (written <= 0 || record_size_ == 0) {
    ERR_clear_error();
    return fail(error::library_failure);
  }
  return const_bytes{buffer.first(record_size_)};
}

void engine::shut_down() {
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
  deadline_.reset();
}

result<std::vector<std::uint8_t>, error> engine::export_keying_material(std::string_view label,
                                                                        std::size_t size) const {
  std::vector<std::uint8_t> material(size);
  ERR_clear_error();
  if (SSL_export_keying_material(ssl_.get(), material.data(), size, label.data(), label.size(),
                                 nullptr, 0, 0) != 1) {
    ERR_clear_error();
    return fail(error::library_failure);
  }
  return material;
}

std::optional<srtp_profile> engine::negotiated_srtp_profile() const noexcept {
  const SRTP_PROTECTION_PROFILE* const chosen = SSL_get_selected_srtp_profile(ssl_.get());
  if (chosen == nullptr) return std::nullopt;
  return srtp_profile{static_cast<std::uint16_t>(chosen->id)};
}

std::vector<std::vector<std::uint8_t>> engine::remote_certificates() const {
  std::vector<std::vector<std::uint8_t>> all;
  const auto add = [&](const X509* x509) {
    unsigned char* der = nullptr;
    const int size = i2d_X509(x509, &der);
    if (size > 0) all.emplace_back(der, der + size);
    OPENSSL_free(der);
  };
  const X509* const own = SSL_get0_peer_certificate(ssl_.get());
  if (own == nullptr) return all;
  add(own);
  // A client's library counts the server's own certificate among these.
  STACK_OF(X509)* const chain = SSL_get_peer_cert_chain(ssl_.get());
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    const X509* const next = sk_X509_value(chain, i);
    if (X509_cmp(next, own) != 0) add(next);
  }
  return all;
}

std::string_view engine::cipher_suite() const noexcept {
  const SSL_CIPHER* const cipher = SSL_get_current_cipher(ssl_.get());
  const char* const name = cipher == nullptr ? nullptr : SSL_CIPHER_standard_name(cipher);
  return name == nullptr ? std::string_view{} : name;
}

/// The library takes a second ClientHello for a first one, and counts on as if it had answered one
/// before. Its answer bears the record's own number (RFC 6347 §4.2.1), or the client would take it
/// for a repetition of the HelloVerifyRequest.
void engine::listen() {
  const auto r = read_record(input_);
  const std::unique_ptr<BIO_ADDR, decltype(&BIO_ADDR_free)> nobody{BIO_ADDR_new(), BIO_ADDR_free};
  ERR_clear_error();
  if (!r || !nobody || DTLSv1_listen(ssl_.get(), nobody.get()) != 1) status_ = status::spoiled;
  ERR_clear_error();
  awaits_cookie_ = false;
  if (r) plaintext_records_ = r->sequence_number + 1;
}

/// Nothing proves the sequence number of a record in the clear; a forged high one would shut
/// the replay window to all real ones. So they are numbered as they come.
void engine::renumber(mutable_bytes record) {
  const auto r = read_record(record);
  if (!r || r->epoch != 0 || awaits_cookie_) return;
  byte_writer{record.subspan(5)}.u48(plaintext_records_++);
}

void engine::step() {
  ERR_clear_error();
  const int returned = SSL_do_handshake(ssl_.get());
  if (returned == 1) {
    status_ = status::established;
    return;
  }
  if (SSL_get_error(ssl_.get(), returned) != SSL_ERROR_WANT_READ) status_ = status::spoiled;
  ERR_clear_error();
}

void engine::read(const_bytes record) {
  const auto r = read_record(record);
  const bool is_handshake = r && r->type == content_type::handshake;
  const bool is_data = r && r->type == content_type::application_data;
  if (is_handshake && final_repeats_ == max_final_repeats) return;

  std::uint8_t none = 0;  // What is not data needs no room.
  mutable_bytes room = received_.prepare(record.size());
  const bool has_room = !room.empty();
  if (!has_room && is_data) {
    ++stats_.overflowed;
    return;
  }
  if (!has_room) room = {&none, 1};
  wrote_ = false;
  // Clearing costs a tenth of a record. It is for SSL_get_error, which data can do without.
  if (!is_data) ERR_clear_error();
  const int returned = SSL_read(ssl_.get(), room.data(), static_cast<int>(room.size()));
  if (has_room) received_.commit(returned > 0 ? static_cast<std::size_t>(returned) : 0);
  if (returned > 0) {
    ++stats_.records_received;
  } else {
    conclude(returned);
    if (status_ == status::established && !(is_handshake && wrote_)) ++stats_.records_dropped;
  }
  if (is_handshake && wrote_) {
    ++final_repeats_;
    ++stats_.retransmissions;
  }
}

void engine::conclude(int returned) {
  if (SSL_want_read(ssl_.get())) return ERR_clear_error();
  if (SSL_get_error(ssl_.get(), returned) == SSL_ERROR_ZERO_RETURN) {
    status_ = status::closed;
  } else {
    // libssl numbers the alerts it receives from here on.
    const bool is_alert = ERR_GET_REASON(ERR_peek_last_error()) >= SSL_AD_REASON_OFFSET;
    status_ = is_alert ? status::peer_alert : status::violation;
  }
  ERR_clear_error();
}

void engine::set_deadline(time_point now) {
  deadline_.reset();
  timeval remaining{};
  if (status_ != status::handshaking || DTLSv1_get_timeout(ssl_.get(), &remaining) != 1) return;
  const duration left = std::chrono::seconds{remaining.tv_sec} +
                        std::chrono::microseconds{remaining.tv_usec} - timer_slack;
  deadline_ = now + std::clamp(left, duration{}, wait_);
}

}  // namespace weft::dtls
