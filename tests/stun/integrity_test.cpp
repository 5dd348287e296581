#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <weft/stun/fingerprint.hpp>
#include <weft/stun/integrity.hpp>
#include <weft/stun/response.hpp>

#include "stun/raw_message.hpp"

using namespace weft::stun;
using namespace weft::test;

namespace {

const auto key = integrity_key::short_term("password");
const auto wrong_key = integrity_key::short_term("passworD");

raw_bytes from_hex(std::string_view hex) {
  raw_bytes out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(
        static_cast<std::uint8_t>(std::stoul(std::string{hex.substr(i, 2)}, nullptr, 16)));
  return out;
}

template <class Build>
raw_bytes built(Build build) {
  std::array<std::uint8_t, 256> buffer{};
  message_builder builder{buffer, message_class::request, method::binding, raw_id};
  build(builder);
  const auto bytes = builder.finish();
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_SUITE("stun/integrity") {
  TEST_CASE("RFC 2202 §3: HMAC-SHA1, wherever the text is cut") {
    struct {
      raw_bytes key;
      raw_bytes text;
      std::string_view digest;
    } const cases[] = {
        {raw_bytes(20, 0x0b), from_hex("4869205468657265"),
         "b617318655057264e28bc0b6fb378c8ef146be00"},
        {from_hex("4a656665"), from_hex("7768617420646f2079612077616e7420666f72206e6f7468696e673f"),
         "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
        {raw_bytes(20, 0xaa), raw_bytes(50, 0xdd), "125d7342b9ac11cd91a39af48aa17b4f63f175d3"},
        {raw_bytes(80, 0xaa),
         from_hex(
             "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d204"
             "8617368204b6579204669727374"),
         "aa4ae5e15272d00e95705637ce8a3b55ed402112"},
    };
    for (const auto& c : cases) {
      const hmac_sha1_key hmac{c.key};
      for (std::size_t cut = 0; cut <= c.text.size(); ++cut) {
        const weft::const_bytes text{c.text};
        CHECK(std::ranges::equal(hmac(text.first(cut), text.subspan(cut)), from_hex(c.digest)));
      }
    }
  }

  TEST_CASE("RFC 4231 §4: HMAC-SHA256, wherever the text is cut") {
    struct {
      raw_bytes key;
      raw_bytes text;
      std::string_view digest;
    } const cases[] = {
        {raw_bytes(20, 0x0b), from_hex("4869205468657265"),
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {from_hex("4a656665"), from_hex("7768617420646f2079612077616e7420666f72206e6f7468696e673f"),
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {raw_bytes(20, 0xaa), raw_bytes(50, 0xdd),
         "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
        {raw_bytes(131, 0xaa),
         from_hex(
             "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d204"
             "8617368204b6579204669727374"),
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    };
    for (const auto& c : cases) {
      const hmac_sha256_key hmac{c.key};
      for (std::size_t cut = 0; cut <= c.text.size(); ++cut) {
        const weft::const_bytes text{c.text};
        CHECK(std::ranges::equal(hmac(text.first(cut), text.subspan(cut)), from_hex(c.digest)));
      }
    }
  }

  TEST_CASE("values are equal when all their bytes are") {
    const std::array<std::uint8_t, 3> a{1, 2, 3}, b{1, 2, 4};
    CHECK(equal_in_constant_time(a, a));
    CHECK_FALSE(equal_in_constant_time(a, b));
    CHECK_FALSE(equal_in_constant_time(a, weft::const_bytes{a}.first(2)));
    CHECK(equal_in_constant_time({}, {}));
  }

  TEST_CASE("RFC 8489 §14.5: what is signed verifies with the key and no other") {
    const auto bytes = built([](message_builder& b) {
      b.add_username("u").add_message_integrity(key).add_message_integrity_sha256(key);
      b.add_fingerprint();
    });
    const auto message = message_view::parse(bytes);
    REQUIRE(message);
    CHECK(verify_message_integrity(*message, key));
    CHECK(verify_message_integrity_sha256(*message, key));
    CHECK(verify_integrity(*message, key));
    CHECK_FALSE(verify_message_integrity(*message, wrong_key));
    CHECK_FALSE(verify_message_integrity_sha256(*message, wrong_key));
    CHECK_FALSE(verify_integrity(*message, wrong_key));
    CHECK(has_valid_fingerprint(*message));
  }

  TEST_CASE("a message without an integrity attribute is not authentic") {
    const auto bytes = built([](message_builder& b) { b.add_username("u"); });
    const auto message = message_view::parse(bytes);
    CHECK_FALSE(has_integrity(*message));
    CHECK_FALSE(verify_message_integrity(*message, key));
    CHECK_FALSE(verify_message_integrity_sha256(*message, key));
    CHECK_FALSE(verify_integrity(*message, key));
  }

  TEST_CASE("RFC 8489 §9.1.3: a wrong MESSAGE-INTEGRITY-SHA256 is not saved by a right SHA-1") {
    auto bytes = built([](message_builder& b) {
      b.add_username("u").add_message_integrity(key).add_message_integrity_sha256(key);
    });
    bytes.back() ^= 1;
    const auto message = message_view::parse(bytes);
    CHECK(verify_message_integrity(*message, key));
    CHECK_FALSE(verify_integrity(*message, key));
  }

  TEST_CASE("RFC 8489 §14.6: SHA256 may be cut to 16, 20 ... 32 bytes where the usage says so") {
    for (std::size_t size = 0; size <= 40; ++size) {
      const bool allowed = size >= 16 && size <= 32 && size % 4 == 0;
      CAPTURE(size);
      const auto bytes =
          built([&](message_builder& b) { b.add_message_integrity_sha256(key, size); });
      REQUIRE(bytes.empty() == !allowed);
      if (!allowed) continue;
      const auto message = message_view::parse(bytes);
      CHECK(verify_message_integrity_sha256(*message, key) == (size == 32));
      CHECK(verify_integrity(*message, key) == (size == 32));
      CHECK(verify_message_integrity_sha256(*message, key, 16));
      CHECK(verify_message_integrity_sha256(*message, key, 24) == (size >= 24));
      CHECK_FALSE(verify_message_integrity_sha256(*message, wrong_key, 16));
    }
  }

  TEST_CASE("RFC 8489 §9.1.3: credentials are checked in order, and the right code comes out") {
    const auto find = [](std::string_view username) { return username == "u" ? &key : nullptr; };
    const auto outcome = [&](const raw_bytes& bytes) {
      return authenticate(*message_view::parse(bytes), find);
    };
    const auto with = [](std::string_view username, const integrity_key& k) {
      return built([&](message_builder& b) { b.add_username(username).add_message_integrity(k); });
    };
    REQUIRE(outcome(with("u", key)));
    CHECK(*outcome(with("u", key)) == &key);
    CHECK(outcome(with("x", key)).error() == error_code::unauthenticated);
    CHECK(outcome(with("u", wrong_key)).error() == error_code::unauthenticated);
    CHECK(outcome(built([](message_builder& b) { b.add_username("x"); })).error() ==
          error_code::bad_request);
    CHECK(outcome(built([](message_builder& b) { b.add_message_integrity(key); })).error() ==
          error_code::bad_request);
  }

  TEST_CASE("RFC 8489 §9.1.3: a response is signed with the stronger of what the request had") {
    std::array<std::uint8_t, 256> buffer{};
    const auto response_to = [&](const raw_bytes& request, const integrity_key* k) {
      const auto message = message_view::parse(request);
      auto response = success_response(buffer, *message);
      const auto bytes = finish_response(response, *message, k);
      const auto parsed = message_view::parse(bytes);
      REQUIRE(parsed);
      CHECK(parsed->type_class() == message_class::success);
      CHECK(parsed->id() == raw_id);
      if (k != nullptr) CHECK(verify_integrity(*parsed, *k));
      return *parsed;
    };
    const auto sha1 = built([](message_builder& b) { b.add_message_integrity(key); });
    const auto sha256 = built([](message_builder& b) { b.add_message_integrity_sha256(key); });
    const auto both = built([](message_builder& b) {
      b.add_message_integrity(key).add_message_integrity_sha256(key).add_fingerprint();
    });
    CHECK(response_to(sha1, &key).message_integrity());
    CHECK_FALSE(response_to(sha1, &key).message_integrity_sha256());
    CHECK_FALSE(response_to(sha256, &key).message_integrity());
    CHECK(response_to(sha256, &key).message_integrity_sha256());
    CHECK_FALSE(response_to(both, &key).message_integrity());
    CHECK(response_to(both, &key).message_integrity_sha256());
    CHECK_FALSE(has_integrity(response_to(both, nullptr)));
    CHECK_FALSE(response_to(sha1, &key).fingerprint());
    CHECK(has_valid_fingerprint(response_to(both, &key)));
  }

  TEST_CASE("error responses say the code, and 420 what was not understood") {
    const auto request =
        raw_message(message_class::request, {{static_cast<attribute_type>(3), {}}});
    const auto message = message_view::parse(request);
    std::array<std::uint8_t, 256> buffer{};
    auto stale = error_response(buffer, *message, error_code::stale_nonce,
                                to_string(error_code::stale_nonce));
    const auto parsed = message_view::parse(finish_response(stale, *message, nullptr));
    REQUIRE(parsed);
    CHECK(parsed->type_class() == message_class::error);
    CHECK(parsed->error()->code == error_code::stale_nonce);
    CHECK(parsed->error()->reason == "Stale Nonce");

    std::array<attribute_type, 4> room{};
    auto unknown = unknown_attribute_response(buffer, *message, message->unknown_to({}, room));
    const auto second = message_view::parse(finish_response(unknown, *message, &key));
    REQUIRE(second);
    CHECK(second->error()->code == error_code::unknown_attribute);
    REQUIRE(second->unknown_attributes());
    CHECK(second->unknown_attributes()->size() == 1);
    CHECK((*second->unknown_attributes())[0] == static_cast<attribute_type>(3));
    CHECK(verify_integrity(*second, key));
  }
}
