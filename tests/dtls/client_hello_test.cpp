#include <doctest/doctest.h>

#include "pair.hpp"
#include "wire.hpp"

namespace {

using namespace weft::dtls;
using namespace weft::dtls::test;

/// Chromium's two datagrams: 1175 bytes of message in one, the rest in the other.
std::vector<bytes> two_datagrams(const bytes& hello, std::uint64_t first_sequence_number) {
  return {record_of(22, 0, first_sequence_number, fragment_of(1, 0, hello, 0, 1175)),
          record_of(22, 0, first_sequence_number + 1,
                    fragment_of(1, 0, hello, 1175, hello.size() - 1175))};
}

/// Whether the server has answered with the first flight of DTLS 1.2, once.
void check_answered(machine_under_test& server, weft::time_point now = epoch) {
  const auto datagrams = flight(server, now);
  REQUIRE(datagrams.size() == 1);
  const bytes& d = datagrams[0];
  REQUIRE(d.size() > 60);
  CHECK(d[0] == 22);
  CHECK(d[13] == 2);                        // ServerHello, not HelloVerifyRequest
  CHECK((d[25] == 0xfe && d[26] == 0xfd));  // DTLS 1.2
  const std::size_t session_id_size = d[59];
  CHECK(d[60 + session_id_size] == 0xc0);  // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
  CHECK(d[61 + session_id_size] == 0x2b);
  CHECK(server->stats().handshakes_begun == 1);
}

session::options with_srtp() {
  auto opts = options_for(role::server);
  opts.srtp_profiles = {srtp_profile::aead_aes_128_gcm, srtp_profile::aes128_cm_sha1_80};
  return opts;
}

struct fixture {
  weft::test::seeded_openssl randomness{7};
  machine_under_test server{session{make_certificate(), with_srtp()}};
  bytes hello = browser_client_hello(1);
};

}  // namespace

TEST_SUITE("dtls/client_hello") {
  TEST_CASE_FIXTURE(fixture, "a browser's ClientHello for DTLS 1.3 in two datagrams gets 1.2") {
    const auto datagrams = two_datagrams(hello, 0);
    CHECK(datagrams[0].size() == 1200);
    CHECK(hello.size() > 1400);
    server.handle_input(epoch, datagrams[0]);
    CHECK(flight(server, epoch).empty());
    server.handle_input(epoch, datagrams[1]);
    check_answered(server);
  }

  TEST_CASE("its extensions may stand in any order") {
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
      fixture f;
      give(f.server, epoch, two_datagrams(browser_client_hello(seed), 0));
      check_answered(f.server);
    }
  }

  TEST_CASE_FIXTURE(fixture, "RFC 6347 §4.2.3: the second half may come first") {
    const auto datagrams = two_datagrams(hello, 0);
    server.handle_input(epoch, datagrams[1]);
    server.handle_input(epoch, datagrams[0]);
    check_answered(server);
  }

  TEST_CASE("either half may be lost, and come with the repetition") {
    for (const std::size_t lost : {0u, 1u}) {
      fixture f;
      f.server.handle_input(epoch, two_datagrams(f.hello, 0)[1 - lost]);
      f.server.handle_input(epoch, two_datagrams(f.hello, 2)[lost]);
      check_answered(f.server);
    }
  }

  TEST_CASE_FIXTURE(fixture,
                    "a whole repetition is answered by the timer, not by a new handshake") {
    give(server, epoch, two_datagrams(hello, 0));
    check_answered(server);
    give(server, epoch + 30ms, two_datagrams(hello, 2));
    CHECK(flight(server, epoch + 30ms).empty());
    server.handle_timeout(epoch + 50ms);
    check_answered(server, epoch + 50ms);
    CHECK(server->stats().retransmissions == 1);
  }

  TEST_CASE("fragments of any size in any order, with overlaps, make the message") {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
      fixture f;
      weft::seeded_random random{seed};
      std::uint64_t sequence_number = 0;
      while (f.server->stats().handshakes_begun == 0 && sequence_number < 2000) {
        const std::size_t at = random.next() % (f.hello.size() + 200);
        const std::size_t offset = at < 200 ? 0 : at - 200;
        const std::size_t size =
            std::min<std::size_t>(1 + random.next() % 400, f.hello.size() - offset);
        f.server.handle_input(
            epoch, record_of(22, 0, sequence_number++, fragment_of(1, 0, f.hello, offset, size)));
      }
      check_answered(f.server);
    }
  }

  TEST_CASE_FIXTURE(fixture, "fragments of two records in one datagram are put together") {
    auto datagrams = two_datagrams(hello, 0);
    append(datagrams[0], datagrams[1]);
    server.handle_input(epoch, datagrams[0]);
    check_answered(server);
  }

  TEST_CASE_FIXTURE(fixture, "a forged first half gives way to the repetition of the real one") {
    server.handle_input(epoch, two_datagrams(hello, 0)[0]);
    server.handle_input(epoch, two_datagrams(browser_client_hello(2), 0)[0]);
    server.handle_input(epoch, two_datagrams(hello, 0)[1]);
    give(server, epoch + 50ms, two_datagrams(hello, 2));
    CHECK_FALSE(flight(server, epoch + 50ms).empty());
  }

  TEST_CASE_FIXTURE(fixture, "a ClientHello longer than the bound, or cut, is dropped") {
    bytes long_hello = hello;
    long_hello.resize(4097);
    server.handle_input(epoch, record_of(22, 0, 0, fragment_of(1, 0, long_hello, 0, 1000)));
    server.handle_input(epoch, record_of(22, 0, 1, whole_message(1, 0, long_hello)));
    for (std::size_t size = 0; size < 60; ++size) {
      const bytes cut(hello.begin(), hello.begin() + static_cast<std::ptrdiff_t>(size));
      server.handle_input(epoch, record_of(22, 0, 2 + size, whole_message(1, 0, cut)));
    }
    CHECK(flight(server, epoch).empty());
    give(server, epoch, two_datagrams(hello, 100));
    CHECK_FALSE(flight(server, epoch).empty());
  }

  TEST_CASE("each reply to a browser's ClientHello is shorter than it") {
    // RFC 6347 §4.2.1 has cookies against amplification, which ICE's checks replace; still,
    // one flight of ours is less than what called for it.
    fixture f;
    const auto datagrams = two_datagrams(f.hello, 0);
    give(f.server, epoch, datagrams);
    std::size_t replied = 0;
    for (const bytes& d : flight(f.server, epoch)) replied += d.size();
    CHECK(replied > 0);
    CHECK(replied <= datagrams[0].size() + datagrams[1].size());
  }
}
