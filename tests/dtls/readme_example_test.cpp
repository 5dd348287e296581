// The example of the module's README, word for word.
#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <string>

#include <weft/dtls/session.hpp>

namespace {

namespace dtls = weft::dtls;

// Carries what one session has to send to the other. Returns whether there was anything.
bool carry(weft::time_point now, dtls::session& from, dtls::session& to) {
  std::array<std::uint8_t, weft::max_datagram_size> buffer;
  bool any = false;
  while (const auto datagram = from.poll_transmit(now, buffer))
    any = to.handle_input(now, datagram->bytes);
  return any;
}

std::string greet(std::chrono::system_clock::time_point today, weft::time_point now) {
  const auto alice = dtls::certificate::generate({.now = today});
  const auto bob = dtls::certificate::generate({.now = today});
  if (!alice || !bob) return "no certificates";

  dtls::session::options opts;
  opts.role = dtls::role::client;
  dtls::session client{*alice, opts};
  opts.role = dtls::role::server;
  dtls::session server{*bob, opts};

  const std::string line = to_string(bob->fingerprint());  // "sha-256 4A:AD:B9:..."
  client.set_remote_fingerprints(now, {*dtls::fingerprint::parse(line)});
  server.set_remote_fingerprints(now, {alice->fingerprint()});
  client.start(now);
  server.start(now);
  while (carry(now, client, server) || carry(now, server, client)) continue;

  std::array<std::uint8_t, 100> buffer;
  const auto record = client.protect(now, weft::as_bytes("hello, Bob"), buffer);
  if (!record) return std::string{to_string(record.error())};
  server.handle_input(now, *record);
  const auto heard = server.receive();
  return heard ? std::string{weft::as_text(*heard)} : "nothing heard";
}

}  // namespace

TEST_SUITE("dtls/readme_example") {
  TEST_CASE("the README's peers greet each other") {
    CHECK(greet(std::chrono::system_clock::time_point{std::chrono::hours{24 * 20'000}}, {}) ==
          "hello, Bob");
  }
}
