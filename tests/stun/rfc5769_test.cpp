#include <doctest/doctest.h>

#include <array>

#include <weft/stun/fingerprint.hpp>
#include <weft/stun/integrity.hpp>
#include <weft/stun/message.hpp>

#include "stun/vectors.hpp"

namespace {

using namespace weft::stun;
using namespace weft::test;

constexpr transaction_id sample_id{0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34,
                                   0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae};

// All of a message can be read while a program is compiled.
constexpr auto request = message_view::parse(sample_request);
static_assert(request->type_class() == message_class::request);
static_assert(request->type_method() == method::binding);
static_assert(request->id() == sample_id);
static_assert(request->priority() == 0x6e0001ff);
static_assert(request->ice_controlled() == 0x932ff9b151263b36);
constexpr auto response = message_view::parse(sample_ipv4_response);
static_assert(response->xor_mapped_address()->port == 32853);

}  // namespace

TEST_SUITE("stun/rfc5769") {
  TEST_CASE("RFC 5769 §2.1: sample request") {
    const auto message = message_view::parse(sample_request);
    REQUIRE(message);
    CHECK(message->software() == "STUN test client");
    CHECK(message->username() == "evtj:h6vY");
    CHECK_FALSE(message->use_candidate());
    CHECK_FALSE(message->ice_controlling());
    CHECK(has_valid_fingerprint(*message));
    CHECK(verify_integrity(*message, integrity_key::short_term(sample_password)));
    CHECK_FALSE(verify_integrity(*message, integrity_key::short_term("VOkJxbRl1RmTxUk/WvJxBT")));
  }

  TEST_CASE("RFC 5769 §2.2: sample IPv4 response") {
    const auto message = message_view::parse(sample_ipv4_response);
    REQUIRE(message);
    CHECK(message->type_class() == message_class::success);
    CHECK(message->software() == "test vector");
    CHECK(message->xor_mapped_address() ==
          weft::endpoint{*weft::ip_address::parse("192.0.2.1"), 32853});
    CHECK(has_valid_fingerprint(*message));
    CHECK(verify_integrity(*message, integrity_key::short_term(sample_password)));
  }

  TEST_CASE("RFC 5769 §2.3: sample IPv6 response") {
    const auto message = message_view::parse(sample_ipv6_response);
    REQUIRE(message);
    CHECK(message->software() == "test vector");
    CHECK(message->xor_mapped_address() ==
          weft::endpoint{*weft::ip_address::parse("2001:db8:1234:5678:11:2233:4455:6677"), 32853});
    CHECK(has_valid_fingerprint(*message));
    CHECK(verify_integrity(*message, integrity_key::short_term(sample_password)));
  }

  TEST_CASE("RFC 5769 §2.4: sample request with long-term authentication") {
    const auto message = message_view::parse(sample_long_term_request);
    REQUIRE(message);
    CHECK(message->username() == "\u30de\u30c8\u30ea\u30c3\u30af\u30b9");
    CHECK(message->nonce() == "f//499k954d6OL34oL9FSTvy64sA");
    CHECK(message->realm() == "example.org");
    CHECK_FALSE(message->fingerprint());
    // The MD5 of username, realm and "TheMatrIX" (RFC 8489 §18.5.1.1).
    constexpr std::array<std::uint8_t, 16> key{0xe8, 0xca, 0x7a, 0xd5, 0x9d, 0x5e, 0xb0, 0x51,
                                               0x8e, 0x31, 0x29, 0x11, 0xd2, 0xda, 0xb2, 0xa9};
    CHECK(verify_integrity(*message, integrity_key{key}));
  }

  TEST_CASE("RFC 5769 §2.2, §2.3: the responses come out the same when built, but for padding") {
    // The RFC pads with spaces, as RFC 5389 allowed; so the SOFTWARE here is one longer.
    const integrity_key key = integrity_key::short_term(sample_password);
    std::array<std::uint8_t, 92> buffer{};
    for (const weft::const_bytes sample :
         {weft::const_bytes{sample_ipv4_response}, weft::const_bytes{sample_ipv6_response}}) {
      const auto original = message_view::parse(sample);
      REQUIRE(original);
      const auto built = message_builder{buffer, message_class::success, method::binding, sample_id}
                             .add_software("test vector ")
                             .add_xor_mapped_address(*original->xor_mapped_address())
                             .add_message_integrity(key)
                             .add_fingerprint()
                             .finish();
      REQUIRE(built.size() == sample.size());
      // The length field of SOFTWARE is where they differ, and so the HMAC and the CRC do.
      CHECK(std::ranges::equal(built.first(23), sample.first(23)));
      CHECK(std::ranges::equal(built.subspan(24, sample.size() - 24 - 28),
                               sample.subspan(24, sample.size() - 24 - 28)));
      const auto parsed = message_view::parse(built);
      REQUIRE(parsed);
      CHECK(verify_integrity(*parsed, key));
      CHECK(has_valid_fingerprint(*parsed));
    }
  }
}
