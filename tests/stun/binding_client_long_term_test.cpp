#include <doctest/doctest.h>

#include <array>
#include <functional>

#include <weft/stun/binding_client.hpp>
#include <weft/stun/long_term_server.hpp>
#include <weft/stun/response.hpp>

namespace {

using namespace std::chrono_literals;
using namespace weft::stun;

constexpr weft::time_point start{1h};
const weft::endpoint local{*weft::ip_address::parse("198.51.100.9"), 40000};
const weft::endpoint remote{*weft::ip_address::parse("203.0.113.1"), 3478};

using client = binding_client;
using event = binding_client::event;
using respond = std::function<weft::const_bytes(const message_view& request, weft::mutable_bytes)>;

struct world {
  explicit world(client::options o = {}, std::string_view password = "pass")
      : asker{random, remote, with(o, password)} {
    users.set("user", "pass");
  }

  static client::options with(client::options o, std::string_view password) {
    if (!password.empty()) o.long_term = password_credentials{"user", std::string{password}};
    return o;
  }

  weft::const_bytes honest(const message_view& request, weft::mutable_bytes reply) {
    const weft::five_tuple path{remote, local};
    const auto user = server.authenticate(start, path, request);
    if (!user) return server.refuse(start, path, request, user.error(), reply);
    auto response = success_response(reply, request).add_xor_mapped_address(local);
    return finish_response(response, request, user->key, user->response_integrity);
  }

  std::optional<event> run(const respond& answer) {
    asker.start(start);
    std::array<std::uint8_t, 1472> buffer;
    auto now = start;
    for (;;) {
      while (const auto t = asker.poll_transmit(now, buffer)) {
        REQUIRE(++requests < 100);
        std::array<std::uint8_t, 1472> reply;
        const auto bytes = answer(*message_view::parse(t->bytes), reply);
        if (!bytes.empty()) CHECK(asker.handle_input(now, remote, bytes));
      }
      if (const auto e = asker.poll_event()) return e;
      const auto deadline = asker.poll_timeout();
      if (!deadline) return std::nullopt;
      now = *deadline;
      asker.handle_timeout(now);
    }
  }
  std::optional<event> run() {
    return run([this](const message_view& m, weft::mutable_bytes b) { return honest(m, b); });
  }

  weft::seeded_random random{1};
  password_users users{"example.org"};
  long_term_server server{random, users, {.realm = "example.org"}};
  client asker;
  int requests = 0;
};

}  // namespace

TEST_SUITE("stun/binding_client_long_term") {
  TEST_CASE("RFC 8489 §9.2: a client asks, is challenged, and asks again signed") {
    world w;
    CHECK(w.run() == event{client::address_discovered{remote, local}});
    CHECK(w.requests == 2);
    // The next time it knows.
    CHECK(w.run() == event{client::address_discovered{remote, local}});
    CHECK(w.requests == 3);
    CHECK(w.asker.round_trip());
  }

  TEST_CASE("a server that asks for no credentials is believed") {
    world w;
    CHECK(w.run([](const message_view& m, weft::mutable_bytes b) {
      return success_response(b, m).add_xor_mapped_address(local).finish();
    }) == event{client::address_discovered{remote, local}});
    CHECK(w.requests == 1);
  }

  TEST_CASE("wrong credentials, or none, are refused with the server's 401") {
    world wrong{{}, "wrong"};
    CHECK(wrong.run() == event{client::refused{remote, error_code::unauthenticated, ""}});
    CHECK(wrong.requests == 2);
    world none{{}, ""};
    CHECK(none.run() == event{client::refused{remote, error_code::unauthenticated, ""}});
    CHECK(none.requests == 1);
  }

  TEST_CASE("RFC 8489 §9.2.5: an unsigned answer to a signed request is no answer") {
    for (const auto protocol : {weft::transport_protocol::udp, weft::transport_protocol::tcp}) {
      client::options o;
      o.protocol = protocol;
      if (protocol == weft::transport_protocol::tcp)
        o.retransmission = retransmission_timer::options::reliable();
      world w{o};
      const auto forged = [&](const message_view& m, weft::mutable_bytes b) {
        if (!has_integrity(m)) return w.honest(m, b);
        return success_response(b, m).add_xor_mapped_address(remote).finish();
      };
      CHECK(w.run(forged) == event{client::integrity_violated{remote, std::nullopt}});
      // Over a stream at once.
      CHECK(w.requests == (protocol == weft::transport_protocol::tcp ? 2 : 1 + 7));
    }
  }

  TEST_CASE("RFC 8489 §9.2.1: an attack on the algorithms is told as one") {
    world w;
    const auto strip = [&](const message_view& m, weft::mutable_bytes b) {
      return error_response(b, m, error_code::unauthenticated)
          .add_realm("example.org")
          .add_nonce("obMatJos2AAABxyz")
          .finish();
    };
    CHECK(w.run(strip) == event{client::integrity_violated{remote, error_code::unauthenticated}});
    CHECK(w.requests == 7);
  }

  TEST_CASE("endless stale nonces end after the requests that the options allow") {
    for (const int limit : {0, 1, 3}) {
      world w{{.authentication = {.max_challenges = limit}}};
      int count = 0;
      const auto stale = [&](const message_view& m, weft::mutable_bytes b) {
        return error_response(b, m, error_code::stale_nonce)
            .add_realm("example.org")
            .add_nonce("nonce" + std::to_string(++count))
            .finish();
      };
      CHECK(w.run(stale) == event{client::refused{remote, error_code::stale_nonce, ""}});
      CHECK(w.requests == limit + 1);
    }
  }

  TEST_CASE("RFC 7635 §6.1: where to get a token is told with the refusal") {
    world w{{}, ""};
    w.server = long_term_server{
        w.random, w.users, {.realm = "example.org", .third_party_server = "stun1@example.com"}};
    CHECK(w.run() == event{client::refused{remote, error_code::unauthenticated, ""}});
    CHECK(w.asker.third_party_server() == "stun1@example.com");
  }

  TEST_CASE("what it sends over TCP says so") {
    world w{{.protocol = weft::transport_protocol::tcp}};
    w.asker.start(start);
    std::array<std::uint8_t, 100> buffer;
    CHECK(w.asker.poll_transmit(start, buffer)->protocol == weft::transport_protocol::tcp);
  }
}
