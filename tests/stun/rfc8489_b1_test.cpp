#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include <weft/stun/integrity.hpp>
#include <weft/stun/message.hpp>

#include "stun/vectors.hpp"

using namespace weft::stun;
using weft::test::sample_sha256_request;

namespace {

// The SHA-256 of username, realm and "TheMatrIX" (RFC 8489 §18.5.1.2).
constexpr std::array<std::uint8_t, 32> key_bytes{
    0xdd, 0x29, 0x5a, 0x61, 0x3b, 0x90, 0x58, 0xc3, 0xc2, 0x3d, 0x6d, 0xc7, 0x16, 0x5b, 0xda, 0x07,
    0x23, 0x04, 0xd9, 0x89, 0xc9, 0xd0, 0xaf, 0x3a, 0x8c, 0x7e, 0x18, 0x4b, 0x4f, 0x9b, 0xb4, 0xa1};

// The SHA-256 of username and realm (RFC 8489 §14.4).
constexpr userhash hash{0x4a, 0x3c, 0xf3, 0x8f, 0xef, 0x69, 0x92, 0xbd, 0xa9, 0x52, 0xc6,
                        0x78, 0x04, 0x17, 0xda, 0x0f, 0x24, 0x81, 0x94, 0x15, 0x56, 0x9e,
                        0x60, 0xb2, 0x05, 0xc4, 0x6e, 0x41, 0x40, 0x7f, 0x17, 0x04};

constexpr std::string_view nonce = "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA";

}  // namespace

TEST_SUITE("stun/rfc8489_b1") {
  TEST_CASE("RFC 8489 §B.1, erratum 6268: the sample request reads as the RFC describes it") {
    const auto message = message_view::parse(sample_sha256_request);
    REQUIRE(message);
    CHECK(message->userhash() == hash);
    CHECK(message->nonce() == nonce);
    CHECK(message->realm() == "example.org");
    const auto algorithm = message->password_algorithm();
    REQUIRE(algorithm);
    CHECK(algorithm->algorithm == password_algorithm::sha256);
    CHECK(algorithm->parameters.empty());
    CHECK(verify_message_integrity_sha256(*message, integrity_key{key_bytes}));
    CHECK(verify_integrity(*message, integrity_key{key_bytes}));
    CHECK_FALSE(verify_message_integrity(*message, integrity_key{key_bytes}));
  }

  TEST_CASE("RFC 8489 §B.1, erratum 6268: the sample request comes out the same when built") {
    std::array<std::uint8_t, sample_sha256_request.size()> buffer{};
    const auto original = message_view::parse(sample_sha256_request);
    REQUIRE(original);
    const auto built =
        message_builder{buffer, message_class::request, method::binding, original->id()}
            .add_userhash(hash)
            .add_nonce(nonce)
            .add_realm("example.org")
            .add_password_algorithm({password_algorithm::sha256, {}})
            .add_message_integrity_sha256(integrity_key{key_bytes})
            .finish();
    CHECK(std::ranges::equal(built, sample_sha256_request));
  }
}
