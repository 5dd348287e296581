#include <doctest/doctest.h>

#include "pair.hpp"

namespace {

using namespace weft::dtls;
using namespace weft::dtls::test;
using connected = session::connected;
using failed = session::failed;

/// Either end takes the place of "the one that doubts".
struct ends : pair {
  explicit ends(role doubting)
      : doubter{doubting == role::client ? client : server},
        other{doubting == role::client ? server : client},
        doubter_certificate{doubting == role::client ? client_certificate : server_certificate},
        other_certificate{doubting == role::client ? server_certificate : client_certificate} {
    other->set_remote_fingerprints(epoch, {doubter_certificate.fingerprint()});
  }

  machine_under_test& doubter;
  machine_under_test& other;
  const certificate& doubter_certificate;
  const certificate& other_certificate;
};

void check_nothing_passes(ends& e) {
  CHECK(protect(e.doubter, epoch, "secret").empty());
  CHECK(e.doubter->export_keying_material("EXTRACTOR-dtls_srtp", 60).error() ==
        error::not_connected);
  CHECK_FALSE(e.doubter->negotiated_srtp_profile());
  CHECK(e.doubter->cipher_suite().empty());
  e.doubter.handle_input(epoch, protect(e.other, epoch, "barge in"));
  CHECK_FALSE(e.doubter->receive());
}

constexpr role both[] = {role::client, role::server};

}  // namespace

TEST_SUITE("dtls/verification") {
  TEST_CASE("RFC 8122 §5.1: a certificate that does not match fails, and nothing passes") {
    for (const role r : both) {
      ends e{r};
      e.doubter->set_remote_fingerprints(epoch, {make_certificate().fingerprint()});
      e.start();
      e.exchange();
      CHECK(e.doubter.poll_event() == session::event{failed{error::fingerprint_mismatch}});
      CHECK_FALSE(e.doubter.poll_event());
      CHECK(e.doubter->current_state() == session::state::failed);
      CHECK_FALSE(e.doubter.poll_timeout());
      check_nothing_passes(e);
      // The other side learns of it.
      CHECK(e.other->current_state() == session::state::closed);
      // What it showed can be reported.
      CHECK(copy(e.doubter->remote_certificate()) == copy(e.other_certificate.der()));
      // It stays so when the right one comes too late.
      e.doubter->set_remote_fingerprints(epoch, {e.other_certificate.fingerprint()});
      CHECK(e.doubter->current_state() == session::state::failed);
      check_nothing_passes(e);
    }
  }

  TEST_CASE("one digit of the fingerprint off is a mismatch, wherever it is") {
    for (const role r : both) {
      for (std::size_t i = 0; i < 32; i += 31) {
        ends e{r};
        bytes digest = copy(e.other_certificate.fingerprint().digest());
        digest[i] ^= 1;
        e.doubter->set_remote_fingerprints(epoch,
                                           {*fingerprint::from_digest(hash::sha_256, digest)});
        e.start();
        e.exchange();
        CHECK(e.doubter->current_state() == session::state::failed);
      }
    }
  }

  TEST_CASE("without fingerprints the handshake is made and nothing passes until they come") {
    for (const role r : both) {
      ends e{r};
      e.start();
      e.exchange();
      CHECK(e.other->current_state() == session::state::connected);
      CHECK(e.doubter->current_state() == session::state::connecting);
      CHECK_FALSE(e.doubter.poll_event());
      check_nothing_passes(e);  // Also holds "barge in" back.

      e.doubter->set_remote_fingerprints(epoch, {e.other_certificate.fingerprint()});
      CHECK(e.doubter.poll_event() == session::event{connected{}});
      CHECK(received(e.doubter) == "barge in");
      CHECK(received(e.doubter) == "(nothing)");
      CHECK_FALSE(protect(e.doubter, epoch, "secret").empty());
    }
  }

  TEST_CASE("fingerprints that come late and do not match fail, and what was held is gone") {
    for (const role r : both) {
      ends e{r};
      e.start();
      e.exchange();
      check_nothing_passes(e);
      e.doubter->set_remote_fingerprints(epoch, {make_certificate().fingerprint()});
      CHECK(e.doubter.poll_event() == session::event{failed{error::fingerprint_mismatch}});
      CHECK_FALSE(e.doubter->receive());
      check_nothing_passes(e);
    }
  }

  TEST_CASE("fingerprints that never come fail with handshake_timeout") {
    for (const role r : both) {
      ends e{r};
      e.start();
      e.exchange();
      CHECK(e.doubter.poll_timeout() == epoch + 30s);
      e.doubter.handle_timeout(epoch + 30s);
      CHECK(e.doubter.poll_event() == session::event{failed{error::handshake_timeout}});
      check_nothing_passes(e);
    }
  }

  TEST_CASE("who comes first, without fingerprints to tell, and leaves, gives way to the peer") {
    pair p;
    p.server->start(epoch);
    machine_under_test stranger{session{make_certificate(), options_for(role::client)}};
    stranger->set_remote_fingerprints(epoch, {p.server_certificate.fingerprint()});
    stranger->start(epoch);
    for (int i = 0; i < 2; ++i) {
      give(p.server, epoch, flight(stranger, epoch));
      give(stranger, epoch, flight(p.server, epoch));
    }
    REQUIRE(stranger->current_state() == session::state::connected);
    p.server.handle_input(epoch, protect(stranger, epoch, "barge in"));
    stranger->close(epoch);
    give(p.server, epoch, flight(stranger, epoch));
    CHECK(p.server->current_state() == session::state::connecting);

    p.connect();
    CHECK(p.connected());
    CHECK_FALSE(p.server->receive());
  }

  TEST_CASE("any hash of RFC 8122 §5 verifies") {
    for (const role r : both) {
      for (const hash h :
           {hash::sha_1, hash::sha_224, hash::sha_256, hash::sha_384, hash::sha_512}) {
        ends e{r};
        e.doubter->set_remote_fingerprints(epoch, {e.other_certificate.fingerprint(h)});
        e.start();
        e.exchange();
        CHECK(e.connected());
      }
    }
  }

  TEST_CASE("text in lower case verifies") {
    for (const role r : both) {
      ends e{r};
      std::string text = to_string(e.other_certificate.fingerprint());
      for (char& c : text) c = c >= 'A' && c <= 'F' ? static_cast<char>(c | 0x20) : c;
      e.doubter->set_remote_fingerprints(epoch, {*fingerprint::parse(text)});
      e.start();
      e.exchange();
      CHECK(e.connected());
    }
  }

  TEST_CASE("RFC 8122 §5.1: of several certificates' fingerprints one suffices") {
    for (const role r : both) {
      ends e{r};
      e.doubter->set_remote_fingerprints(
          epoch, {make_certificate().fingerprint(), e.other_certificate.fingerprint()});
      e.start();
      e.exchange();
      CHECK(e.connected());
    }
  }

  TEST_CASE("RFC 8122 §5.1: only the set of the strongest hash counts") {
    const certificate stranger = make_certificate();
    for (const role r : both) {
      ends right{r};
      right.doubter->set_remote_fingerprints(
          epoch, {stranger.fingerprint(hash::sha_1), right.other_certificate.fingerprint()});
      right.start();
      right.exchange();
      CHECK(right.connected());

      ends wrong{r};
      wrong.doubter->set_remote_fingerprints(
          epoch, {wrong.other_certificate.fingerprint(hash::sha_1), stranger.fingerprint()});
      wrong.start();
      wrong.exchange();
      CHECK(wrong.doubter->current_state() == session::state::failed);
    }
  }

  TEST_CASE("an empty list is no list, and a later list replaces an earlier one") {
    for (const role r : both) {
      ends e{r};
      e.doubter->set_remote_fingerprints(epoch, {make_certificate().fingerprint()});
      e.doubter->set_remote_fingerprints(epoch, {});
      e.start();
      e.exchange();
      CHECK(e.doubter->current_state() == session::state::connecting);
      e.doubter->set_remote_fingerprints(epoch, {e.other_certificate.fingerprint()});
      CHECK(e.connected());
    }
  }

  TEST_CASE("our own fingerprint does not verify the peer") {
    for (const role r : both) {
      ends e{r};
      e.doubter->set_remote_fingerprints(epoch, {e.doubter_certificate.fingerprint()});
      e.start();
      e.exchange();
      CHECK(e.doubter->current_state() == session::state::failed);
    }
  }
}
