#include <doctest/doctest.h>

#include "pair.hpp"

namespace {
using namespace weft::dtls;
using namespace weft::dtls::test;
using connected = session::connected;
}  // namespace

TEST_SUITE("dtls/handshake") {
  TEST_CASE("two sessions that know each other's fingerprints connect and exchange data") {
    pair p;
    p.connect();
    REQUIRE(p.connected());
    CHECK(p.client.poll_event() == session::event{connected{}});
    CHECK(p.server.poll_event() == session::event{connected{}});
    CHECK_FALSE(p.client.poll_event());
    CHECK_FALSE(p.client.poll_timeout());
    CHECK_FALSE(p.server.poll_timeout());

    p.server.handle_input(epoch, protect(p.client, epoch, "up"));
    p.client.handle_input(epoch, protect(p.server, epoch, "down"));
    CHECK(received(p.server) == "up");
    CHECK(received(p.server) == "(nothing)");
    CHECK(received(p.client) == "down");
    CHECK(p.client->cipher_suite() == "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    CHECK(weft::test::virtual_time_reads() > 0);
  }
}
