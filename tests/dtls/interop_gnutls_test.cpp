#include <doctest/doctest.h>
#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <string>

#include "pair.hpp"

namespace {

using namespace weft::dtls;
using namespace weft::dtls::test;

/// GnuTLS over two queues of datagrams.
class gnutls_peer {
 public:
  gnutls_peer(role r, const certificate& identity) {
    const std::string pem = identity.to_pem();
    const gnutls_datum_t text{reinterpret_cast<unsigned char*>(const_cast<char*>(pem.data())),
                              static_cast<unsigned>(pem.size())};
    gnutls_certificate_allocate_credentials(&credentials_);
    REQUIRE(gnutls_certificate_set_x509_key_mem(credentials_, &text, &text, GNUTLS_X509_FMT_PEM) ==
            0);
    const unsigned end = r == role::client ? GNUTLS_CLIENT : GNUTLS_SERVER;
    gnutls_init(&session_, end | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK);
    gnutls_priority_set_direct(session_, "NORMAL:-VERS-ALL:+VERS-DTLS1.2", nullptr);
    gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, credentials_);
    if (r == role::server) gnutls_certificate_server_set_request(session_, GNUTLS_CERT_REQUIRE);
    gnutls_srtp_set_profile_direct(session_, "SRTP_AES128_CM_HMAC_SHA1_80", nullptr);
    gnutls_dtls_set_mtu(session_, 1200);
    gnutls_transport_set_ptr(session_, this);
    gnutls_transport_set_push_function(session_, push);
    gnutls_transport_set_pull_function(session_, pull);
    gnutls_transport_set_pull_timeout_function(session_, wait);
  }
  ~gnutls_peer() {
    gnutls_deinit(session_);
    gnutls_certificate_free_credentials(credentials_);
  }
  gnutls_peer(const gnutls_peer&) = delete;
  gnutls_peer& operator=(const gnutls_peer&) = delete;

  bool step() {
    if (!done_) done_ = gnutls_handshake(session_) == 0;
    return done_;
  }
  std::string read() {
    char text[2048];
    const auto size = gnutls_record_recv(session_, text, sizeof text);
    return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : "(nothing)";
  }
  void write(std::string_view text) { gnutls_record_send(session_, text.data(), text.size()); }
  void close() { gnutls_bye(session_, GNUTLS_SHUT_WR); }
  bytes exported(std::string_view label, std::size_t size) {
    bytes material(size);
    gnutls_prf_rfc5705(session_, label.size(), label.data(), 0, nullptr, size,
                       reinterpret_cast<char*>(material.data()));
    return material;
  }

  std::deque<bytes> in;
  std::deque<bytes> out;

 private:
  static ssize_t push(gnutls_transport_ptr_t self, const void* data, std::size_t size) {
    const auto* const first = static_cast<const std::uint8_t*>(data);
    static_cast<gnutls_peer*>(self)->out.emplace_back(first, first + size);
    return static_cast<ssize_t>(size);
  }
  static ssize_t pull(gnutls_transport_ptr_t self, void* data, std::size_t size) {
    auto& peer = *static_cast<gnutls_peer*>(self);
    if (peer.in.empty()) {
      gnutls_transport_set_errno(peer.session_, EAGAIN);
      return -1;
    }
    const bytes datagram = peer.in.front();
    peer.in.pop_front();
    const std::size_t count = std::min(size, datagram.size());
    std::memcpy(data, datagram.data(), count);
    return static_cast<ssize_t>(count);
  }
  static int wait(gnutls_transport_ptr_t self, unsigned) {
    return static_cast<gnutls_peer*>(self)->in.empty() ? 0 : 1;
  }

  gnutls_certificate_credentials_t credentials_{};
  gnutls_session_t session_{};
  bool done_ = false;
};

}  // namespace

TEST_SUITE("dtls/interop_gnutls") {
  TEST_CASE("GnuTLS in either role: data, keys and close_notify") {
    for (const role ours : {role::client, role::server}) {
      const certificate mine = make_certificate();
      const certificate theirs = make_certificate();
      gnutls_peer peer{ours == role::client ? role::server : role::client, theirs};
      auto opts = options_for(ours);
      opts.srtp_profiles = {srtp_profile::aead_aes_128_gcm, srtp_profile::aes128_cm_sha1_80};
      machine_under_test machine{session{mine, opts}};
      machine->set_remote_fingerprints(epoch, {theirs.fingerprint()});
      machine->start(epoch);
      const auto exchange = [&] {
        for (const bytes& d : flight(machine, epoch)) peer.in.push_back(d);
        const bool done = peer.step();
        for (; !peer.out.empty(); peer.out.pop_front())
          machine.handle_input(epoch, peer.out.front());
        return done;
      };
      bool done = false;
      for (int i = 0; i < 8; ++i) done = exchange();
      CAPTURE(ours == role::client);
      REQUIRE(done);
      REQUIRE(machine->current_state() == session::state::connected);

      peer.in.push_back(protect(machine, epoch, "from weft"));
      CHECK(peer.read() == "from weft");
      peer.write("from GnuTLS");
      peer.close();
      exchange();
      CHECK(received(machine) == "from GnuTLS");
      CHECK(machine->current_state() == session::state::closed);
      CHECK(machine->negotiated_srtp_profile() == srtp_profile::aes128_cm_sha1_80);
    }
  }

  TEST_CASE("GnuTLS exports the same keys") {
    const certificate mine = make_certificate();
    const certificate theirs = make_certificate();
    gnutls_peer peer{role::server, theirs};
    machine_under_test machine{session{mine, options_for(role::client)}};
    machine->set_remote_fingerprints(epoch, {theirs.fingerprint()});
    machine->start(epoch);
    for (int i = 0; i < 8; ++i) {
      for (const bytes& d : flight(machine, epoch)) peer.in.push_back(d);
      peer.step();
      for (; !peer.out.empty(); peer.out.pop_front()) machine.handle_input(epoch, peer.out.front());
    }
    const auto exported = machine->export_keying_material("EXTRACTOR-dtls_srtp", 60);
    REQUIRE(exported);
    CHECK(*exported == peer.exported("EXTRACTOR-dtls_srtp", 60));
  }
}
