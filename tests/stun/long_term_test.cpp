#include <doctest/doctest.h>

#include <array>

#include <weft/stun/long_term.hpp>

#include "stun/vectors.hpp"

using namespace weft::stun;

namespace {

// Keys cannot be looked into: two are the same if they sign alike.
bool same_key(const integrity_key& a, const integrity_key& b) {
  return a.sha1()({}, {}) == b.sha1()({}, {}) && a.sha256()({}, {}) == b.sha256()({}, {});
}

constexpr std::array<std::uint8_t, 16> md5_of_sample{
    0x84, 0x93, 0xfb, 0xc5, 0x3b, 0xa5, 0x82, 0xfb, 0x4c, 0x04, 0x4c, 0x45, 0x6b, 0xdc, 0x40, 0xeb};

}  // namespace

TEST_SUITE("stun/long_term") {
  TEST_CASE("RFC 8489 §9.2.2: the key of user, realm and pass") {
    const auto key = long_term_key("user", "realm", "pass", password_algorithm::md5);
    REQUIRE(key);
    CHECK(same_key(*key, integrity_key{md5_of_sample}));
  }

  TEST_CASE("RFC 8489 §9.2.2: quotes and trailing zeros do not count") {
    using namespace std::string_view_literals;
    for (const auto algorithm : {password_algorithm::md5, password_algorithm::sha256}) {
      const auto key = long_term_key("user", "realm", "pass", algorithm);
      CHECK(same_key(*long_term_key("\"user\"", "\"realm\"\0\0"sv, "pass\0"sv, algorithm), *key));
      CHECK(same_key(*long_term_key("user\0"sv, "realm", "pass", algorithm), *key));
      CHECK_FALSE(same_key(*long_term_key("user", "realm", "\"pass\"", algorithm), *key));
      CHECK_FALSE(same_key(*long_term_key("\"user", "realm", "pass", algorithm), *key));
      CHECK_FALSE(same_key(*long_term_key("user", "realm", "pass2", algorithm), *key));
    }
    CHECK(same_key(*long_term_key("\"", "", "", password_algorithm::md5),
                   *long_term_key("\"", "\"\"", "", password_algorithm::md5)));
  }

  TEST_CASE("RFC 5769 §2.4: the sample request is signed with the long-term key of its names") {
    const auto message = message_view::parse(weft::test::sample_long_term_request);
    REQUIRE(message);
    const auto key = long_term_key(*message->username(), *message->realm(), "TheMatrIX",
                                   password_algorithm::md5);
    CHECK(verify_message_integrity(*message, *key));
  }

  TEST_CASE("RFC 8489 §B.1, erratum 6268: key and USERHASH of the sample request") {
    const auto message = message_view::parse(weft::test::sample_sha256_request);
    REQUIRE(message);
    // "Matrix" in katakana, U+30DE and so on.
    constexpr std::string_view username = "\u30DE\u30C8\u30EA\u30C3\u30AF\u30B9";
    CHECK(message->userhash() == hash_username(username, *message->realm()));
    CHECK(verify_integrity(*message, *long_term_key(username, *message->realm(), "TheMatrIX",
                                                    password_algorithm::sha256)));
    CHECK(read_nonce_cookie(*message->nonce()) ==
          security_features{.password_algorithms = false, .username_anonymity = true});
  }

  TEST_CASE("an algorithm that is not registered has no key") {
    for (const unsigned number : {0u, 3u, 0xffffu})
      CHECK_FALSE(long_term_key("user", "realm", "pass", static_cast<password_algorithm>(number)));
  }

  TEST_CASE("RFC 8489 §9.2, §18.1, erratum 6290: the nonce cookie tells the features") {
    const std::pair<security_features, std::string_view> samples[] = {
        {{false, false}, "obMatJos2AAAA"},
        {{true, false}, "obMatJos2AAAB"},
        {{false, true}, "obMatJos2AAAC"},
        {{true, true}, "obMatJos2AAAD"}};
    for (const auto& [features, text] : samples) {
      const auto cookie = nonce_cookie(features);
      CHECK(std::string_view{cookie.data(), cookie.size()} == text);
      CHECK(read_nonce_cookie(text) == features);
      CHECK(read_nonce_cookie(std::string{text} + "whatever") == features);
    }
    // Of features that are not known here.
    CHECK(read_nonce_cookie("obMatJos2////") == security_features{true, true});
    CHECK(read_nonce_cookie("obMatJos2///8") == security_features{false, false});
    for (const auto text : {"", "obMatJos2", "obMatJos2AAA", "obMatJos2AAA=", "obMatJos2AA-A",
                            "obMatJos3AAAA", "OBMATJOS2AAAA", " obMatJos2AAAA"}) {
      CAPTURE(text);
      CHECK_FALSE(read_nonce_cookie(text));
    }
  }
}
