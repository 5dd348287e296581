#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <optional>

#include <weft/core/random.hpp>
#include <weft/stun/binding_server.hpp>
#include <weft/stun/fingerprint.hpp>

#include "stun/raw_message.hpp"

using namespace weft::stun;
using namespace weft::test;

namespace {

const weft::endpoint v4{*weft::ip_address::parse("198.51.100.9"), 40000};
const weft::endpoint v6{*weft::ip_address::parse("2001:db8::9"), 40000};
const auto key = integrity_key::short_term("password");
const auto wrong_key = integrity_key::short_term("wrong");
constexpr auto change_request = static_cast<attribute_type>(0x0003);

binding_server guarded_server() {
  return binding_server{{.credentials = short_term_credentials{"user", "password"}}};
}

enum class name { absent, bad, good };
enum class seal { absent, bad, sha1, sha256, both };

raw_bytes message(message_class c, name n, seal s, bool unknown, bool fingerprint = false) {
  std::array<std::uint8_t, 256> buffer{};
  message_builder b{buffer, c, method::binding, raw_id};
  if (n != name::absent) b.add_username(n == name::good ? "user" : "nobody");
  if (unknown) b.add_flag(change_request);
  if (s == seal::bad) b.add_message_integrity(wrong_key);
  if (s == seal::sha1 || s == seal::both) b.add_message_integrity(key);
  if (s == seal::sha256 || s == seal::both) b.add_message_integrity_sha256(key);
  if (fingerprint) b.add_fingerprint();
  const auto bytes = b.finish();
  return {bytes.begin(), bytes.end()};
}

// 0: silence. 200: an address. Otherwise the code of the error.
int reaction(binding_server& server, const raw_bytes& request, const weft::endpoint& from = v4) {
  std::array<std::uint8_t, 256> buffer{};
  const auto response = server.respond(from, request, buffer);
  if (!response) return 0;
  const auto m = message_view::parse(*response);
  REQUIRE(m);
  CHECK(m->id() == raw_id);
  CHECK(m->type_method() == method::binding);
  CHECK_FALSE(m->has(attribute_type::username));
  CHECK_FALSE(m->has(attribute_type::software));
  if (m->type_class() == message_class::success) {
    CHECK(m->xor_mapped_address() == from);
    return 200;
  }
  REQUIRE(m->type_class() == message_class::error);
  REQUIRE(m->error());
  return static_cast<int>(m->error()->code);
}

}  // namespace

TEST_SUITE("stun/binding_server") {
  TEST_CASE("RFC 8489 §6.3.1: a Binding request is answered with where it came from") {
    binding_server server;
    for (const weft::endpoint& from : {v4, v6})
      CHECK(reaction(server, message(message_class::request, name::absent, seal::absent, false),
                     from) == 200);
    CHECK(server.stats().successes == 2);
  }

  TEST_CASE("RFC 8489 §9.1.3, §6.3: the reaction to every kind of message, with credentials") {
    for (const message_class c : {message_class::request, message_class::indication,
                                  message_class::success, message_class::error}) {
      for (const name n : {name::absent, name::bad, name::good}) {
        for (const seal s : {seal::absent, seal::bad, seal::sha1, seal::sha256, seal::both}) {
          for (const bool unknown : {false, true}) {
            int expected = unknown ? 420 : 200;
            if (n == name::absent || s == seal::absent) {
              expected = 400;
            } else if (n == name::bad || s == seal::bad) {
              expected = 401;
            }
            if (c != message_class::request) expected = 0;
            auto server = guarded_server();
            CAPTURE(static_cast<int>(c));
            CAPTURE(static_cast<int>(n));
            CAPTURE(static_cast<int>(s));
            CAPTURE(unknown);
            CHECK(reaction(server, message(c, n, s, unknown)) == expected);
          }
        }
      }
    }
  }

  TEST_CASE("RFC 8489 §6.3: without credentials only unknown attributes keep a request out") {
    for (const message_class c : {message_class::request, message_class::indication,
                                  message_class::success, message_class::error}) {
      for (const name n : {name::absent, name::bad, name::good}) {
        for (const seal s : {seal::absent, seal::bad, seal::sha1, seal::sha256, seal::both}) {
          for (const bool unknown : {false, true}) {
            binding_server server;
            const int expected = unknown ? 420 : 200;
            CHECK(reaction(server, message(c, n, s, unknown)) ==
                  (c == message_class::request ? expected : 0));
          }
        }
      }
    }
  }

  TEST_CASE("RFC 8489 §9.1.3: what passed is answered signed, what failed is not") {
    auto server = guarded_server();
    std::array<std::uint8_t, 256> buffer{};
    const auto answer = [&](name n, seal s, bool unknown) {
      const auto response =
          server.respond(v4, message(message_class::request, n, s, unknown), buffer);
      REQUIRE(response);
      return *message_view::parse(*response);
    };
    for (const bool unknown : {false, true}) {
      CHECK(verify_message_integrity(answer(name::good, seal::sha1, unknown), key));
      CHECK_FALSE(answer(name::good, seal::sha1, unknown).message_integrity_sha256());
      for (const seal s : {seal::sha256, seal::both}) {
        CHECK(verify_message_integrity_sha256(answer(name::good, s, unknown), key));
        CHECK_FALSE(answer(name::good, s, unknown).message_integrity());
      }
      CHECK_FALSE(has_integrity(answer(name::good, seal::bad, unknown)));
      CHECK_FALSE(has_integrity(answer(name::bad, seal::sha1, unknown)));
      CHECK_FALSE(has_integrity(answer(name::good, seal::absent, unknown)));
    }
  }

  TEST_CASE("RFC 8489 §7: FINGERPRINT is answered with FINGERPRINT, a wrong one not at all") {
    binding_server server;
    std::array<std::uint8_t, 256> buffer{};
    auto request = message(message_class::request, name::absent, seal::absent, false, true);
    const auto response = server.respond(v4, request, buffer);
    REQUIRE(response);
    CHECK(has_valid_fingerprint(*message_view::parse(*response)));
    request.back() ^= 1;
    CHECK_FALSE(server.respond(v4, request, buffer));
    CHECK(server.stats().dropped == 1);
    const auto plain = server.respond(
        v4, message(message_class::request, name::absent, seal::absent, false), buffer);
    CHECK_FALSE(message_view::parse(*plain)->fingerprint());
  }

  TEST_CASE("RFC 8489 §6.3: another method and what is not STUN get no answer") {
    binding_server server;
    std::array<std::uint8_t, 256> buffer{};
    std::array<std::uint8_t, 20> request{};
    const auto allocate =
        message_builder{request, message_class::request, static_cast<method>(3), raw_id}.finish();
    CHECK_FALSE(server.respond(v4, allocate, buffer));
    CHECK_FALSE(server.respond(v4, {}, buffer));
    CHECK_FALSE(server.respond(v4, std::array<std::uint8_t, 30>{0x80}, buffer));
    CHECK(server.stats().dropped == 3);
  }

  TEST_CASE("RFC 8489 §6.3.1: 420 names the unknown attributes") {
    binding_server server;
    std::array<std::uint8_t, 256> buffer{};
    const auto request =
        raw_message(message_class::request, {{change_request, {0, 0, 0, 6}},
                                             {attribute_type::priority, {0, 0, 0, 1}},
                                             {static_cast<attribute_type>(0xc001), {}},
                                             {static_cast<attribute_type>(0x7fff), {}}});
    const auto response = server.respond(v4, request, buffer);
    REQUIRE(response);
    const auto m = message_view::parse(*response);
    const auto unknown = m->unknown_attributes();
    REQUIRE(unknown);
    REQUIRE(unknown->size() == 3);
    CHECK((*unknown)[0] == change_request);
    CHECK((*unknown)[1] == attribute_type::priority);
    CHECK((*unknown)[2] == static_cast<attribute_type>(0x7fff));
    CHECK(server.stats().unknown_attributes == 1);
  }

  TEST_CASE("a buffer that is too small yields no response, 128 bytes are always enough") {
    binding_server open;
    auto guarded = guarded_server();
    std::vector<raw_attribute> many;
    for (unsigned i = 0; i < 60; ++i) many.push_back({static_cast<attribute_type>(0x4000 + i), {}});
    std::array<std::uint8_t, 128> buffer{};
    CHECK(open.respond(v6, raw_message(message_class::request, many), buffer));
    CHECK(guarded.respond(v6, message(message_class::request, name::good, seal::both, false, true),
                          buffer));
    CHECK(guarded.respond(v6, message(message_class::request, name::good, seal::both, true, true),
                          buffer));
    const auto request = message(message_class::request, name::absent, seal::absent, false);
    CHECK_FALSE(open.respond(v4, request, weft::mutable_bytes{buffer}.first(31)));
    CHECK(open.respond(v4, request, weft::mutable_bytes{buffer}.first(32)));
  }

  TEST_CASE("a response is at most 1.6 times its request for IPv4, 2.2 times for IPv6") {
    weft::seeded_random random{1};
    std::array<std::uint8_t, 256> buffer{};
    std::array<std::uint8_t, 256> built{};
    double worst_v4 = 0, worst_v6 = 0;
    for (int round = 0; round < 20'000; ++round) {
      message_builder b{built, message_class::request, method::binding, raw_id};
      for (auto count = random.next() % 4; count > 0; --count) {
        const std::array<std::uint8_t, 8> value{};
        b.add(static_cast<attribute_type>(random.next() % 0x30),
              weft::const_bytes{value}.first(random.next() % 9));
      }
      if (random.next() % 2 != 0) b.add_username("user");
      if (random.next() % 2 != 0) b.add_message_integrity(key);
      if (random.next() % 4 == 0) b.add_message_integrity_sha256(key, 16);
      if (random.next() % 2 != 0) b.add_fingerprint();
      const auto request = b.finish();
      if (request.empty()) continue;
      for (binding_server server : {binding_server{}, guarded_server()}) {
        const auto ratio = [&](const weft::endpoint& from) {
          const auto response = server.respond(from, request, buffer);
          return response
                     ? static_cast<double>(response->size()) / static_cast<double>(request.size())
                     : 0.0;
        };
        worst_v4 = std::max(worst_v4, ratio(v4));
        worst_v6 = std::max(worst_v6, ratio(v6));
      }
    }
    CHECK(worst_v4 == doctest::Approx(1.6));
    CHECK(worst_v6 == doctest::Approx(2.2));
  }
}
