// The example of the module's README, word for word.
#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <weft/dtls/cookie.hpp>
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

// What becomes of a datagram from a client without a session: a session, or a reply to be sent.
std::optional<dtls::session> admit(weft::time_point now, const weft::five_tuple& path,
                                   weft::const_bytes datagram, dtls::cookie_exchange& cookies,
                                   const dtls::certificate& identity,
                                   std::vector<std::uint8_t>& reply) {
  std::array<std::uint8_t, dtls::cookie_exchange::max_reply_size> buffer;
  const auto answer = cookies.check(now, path, datagram, buffer);
  reply.assign(answer.reply.begin(), answer.reply.end());
  if (answer.verdict != dtls::cookie_exchange::verdict::accept) return std::nullopt;
  dtls::session::options opts;
  opts.role = dtls::role::server;
  opts.path_validation = dtls::path_validation::cookie;
  opts.client_identity = dtls::client_identity::none;
  dtls::session begun{identity, opts};
  begun.start(now);
  begun.handle_input(now, datagram);
  return begun;
}

}  // namespace

TEST_SUITE("dtls/readme_example") {
  TEST_CASE("the README's peers greet each other") {
    CHECK(greet(std::chrono::system_clock::time_point{std::chrono::hours{24 * 20'000}}, {}) ==
          "hello, Bob");
  }

  TEST_CASE("the README's server admits a client that returns its cookie") {
    const weft::time_point now{};
    const auto made = dtls::certificate::generate(
        {.now = std::chrono::system_clock::time_point{std::chrono::hours{24 * 20'000}}});
    REQUIRE(made.has_value());
    const weft::five_tuple path{{*weft::ip_address::parse("192.0.2.1"), 5349},
                                {*weft::ip_address::parse("192.0.2.2"), 1000}};
    dtls::cookie_exchange cookies;
    dtls::session client{*made, {}};
    client.set_remote_fingerprints(now, {made->fingerprint()});
    client.start(now);
    std::array<std::uint8_t, weft::max_datagram_size> buffer;
    std::vector<std::uint8_t> reply;
    const auto first = client.poll_transmit(now, buffer);
    REQUIRE(first.has_value());
    CHECK_FALSE(admit(now, path, first->bytes, cookies, *made, reply).has_value());
    client.handle_input(now, reply);
    const auto second = client.poll_transmit(now, buffer);
    REQUIRE(second.has_value());
    auto server = admit(now, path, second->bytes, cookies, *made, reply);
    REQUIRE(server.has_value());
    CHECK(reply.empty());
    while (carry(now, *server, client) || carry(now, client, *server)) continue;
    CHECK(client.current_state() == dtls::session::state::connected);
    CHECK(server->current_state() == dtls::session::state::connected);
  }
}
