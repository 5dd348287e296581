// What a server says to who has proved nothing, beside what it was asked: the table in the
// module's README.
#include <doctest/doctest.h>

#include <array>
#include <optional>

#include <weft/stun/behaviour_server.hpp>
#include <weft/stun/binding_server.hpp>
#include <weft/stun/long_term_server.hpp>
#include <weft/stun/reply_limiter.hpp>

#include "stun/raw_message.hpp"

using namespace std::chrono_literals;
using namespace weft::stun;
using namespace weft::test;

namespace {

const weft::endpoint v4{*weft::ip_address::parse("198.51.100.9"), 40000};
const weft::endpoint v6{*weft::ip_address::parse("2001:db8::9"), 40000};
const weft::endpoint server{*weft::ip_address::parse("203.0.113.7"), 3478};
constexpr weft::time_point now{1h};
constexpr auto request = message_class::request;
constexpr auto requested_transport = static_cast<attribute_type>(0x0019);  // RFC 8656 §18.7

using sizes = std::pair<std::size_t, std::size_t>;

// A long-term server's refusal of a request.
sizes refused(const raw_bytes& bytes, const long_term_server::options& o) {
  weft::seeded_random random{1};
  password_users users{o.realm};
  long_term_server auth{random, users, o};
  const weft::five_tuple path{server, v4};
  const auto message = message_view::parse(bytes);
  const auto user = auth.authenticate(now, path, *message);
  REQUIRE_FALSE(user);
  std::array<std::uint8_t, 256> buffer{};
  return {bytes.size(), auth.refuse(now, path, *message, user.error(), buffer).size()};
}

raw_bytes text(std::string_view s) {
  const auto bytes = weft::as_bytes(s);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_SUITE("stun/amplification") {
  TEST_CASE("Binding: 1.6 times for IPv4, 2.2 times for IPv6, less for errors") {
    binding_server plain;
    std::array<std::uint8_t, 128> buffer{};
    const auto bare = raw_message(request, {});
    CHECK(bare.size() == 20);
    CHECK(plain.respond(v4, bare, buffer)->size() == 32);
    CHECK(plain.respond(v6, bare, buffer)->size() == 44);
    const auto unknown = raw_message(request, {{attribute_type::padding, {}}});
    CHECK(unknown.size() == 24);
    CHECK(plain.respond(v4, unknown, buffer)->size() == 36);
    binding_server guarded{{.credentials = short_term_credentials{"user", "password"}}};
    CHECK(guarded.respond(v4, bare, buffer)->size() == 28);
  }

  TEST_CASE("the first 401 cannot keep to it, however little it says") {
    const auto allocate = raw_message(request, {{requested_transport, {17, 0, 0, 0}}});
    CHECK(refused(allocate, {.realm = "example.org"}) == sizes{28, 92});
    CHECK(refused(allocate, {.realm = "example.org", .algorithms = {}}) == sizes{28, 80});
    CHECK(refused(allocate, {.realm = "x", .algorithms = {}}) == sizes{28, 72});
  }

  TEST_CASE("a refusal of credentials is within it") {
    const auto bytes = raw_message(request, {{attribute_type::username, text("u")},
                                             {attribute_type::realm, text("r")},
                                             {attribute_type::nonce, text("n")},
                                             {attribute_type::message_integrity, raw_bytes(20)}});
    CHECK(refused(bytes, {.realm = "example.org"}) == sizes{68, 92});
  }

  TEST_CASE("behaviour discovery cannot keep to it either") {
    weft::seeded_random random{1};
    behaviour_server behaviour{
        random,
        {.primary = server,
         .alternate = weft::endpoint{*weft::ip_address::parse("203.0.113.8"), 3479}}};
    std::array<std::uint8_t, 256> buffer{};
    CHECK(behaviour.respond(now, server, v4, raw_message(request, {}), buffer)->bytes.size() == 68);
  }

  TEST_CASE("with no allowance only requests that are long enough are challenged") {
    weft::seeded_random random{1};
    reply_limiter strict{random, {.burst_bytes = 0, .bytes_per_second = 0}};
    for (std::size_t size = 20; size < 200; ++size)
      CHECK(strict.permit(now, v4.address, size, 92) == (size >= 58));
  }

  TEST_CASE("a million requests without credentials leave bounded answers and no state") {
    weft::seeded_random random{1};
    password_users users{"example.org"};
    long_term_server auth{random, users, {.realm = "example.org"}};
    reply_limiter limiter{random};
    const auto bytes = raw_message(request, {{requested_transport, {17, 0, 0, 0}}});
    const auto message = message_view::parse(bytes);
    std::array<std::uint8_t, 256> buffer{};
    std::size_t in = 0, out = 0;
    weft::time_point t = now;
    for (int i = 0; i < 1'000'000; ++i, t += 10us) {
      // All of them as if from one victim.
      in += bytes.size();
      const weft::five_tuple path{server, v4};
      if (auth.authenticate(t, path, *message)) FAIL("nobody is known");
      // As long as every refusal is, which need not be written to be counted.
      const std::size_t size =
          i % 1000 == 0 ? auth.refuse(t, path, *message, error_code::unauthenticated, buffer).size()
                        : 92;
      if (size != 92) FAIL("a refusal of another length");
      if (limiter.permit(t, v4.address, bytes.size(), size)) out += size;
    }
    CHECK(out * 1000 < in);
    CHECK(auth.stats().challenges == 1'000'000);
  }
}
