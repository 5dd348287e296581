#include <doctest/doctest.h>

#include <string>

#include <weft/core/random.hpp>
#include <weft/stun/base64.hpp>

using namespace weft::stun;

TEST_SUITE("stun/base64") {
  TEST_CASE("RFC 4648 §10: the samples, there and back") {
    const std::pair<std::string_view, std::string_view> samples[] = {{"", ""},
                                                                     {"f", "Zg=="},
                                                                     {"fo", "Zm8="},
                                                                     {"foo", "Zm9v"},
                                                                     {"foob", "Zm9vYg=="},
                                                                     {"fooba", "Zm9vYmE="},
                                                                     {"foobar", "Zm9vYmFy"}};
    for (const auto& [plain, encoded] : samples) {
      CHECK(encode_base64(weft::as_bytes(plain)) == encoded);
      const auto decoded = decode_base64(encoded);
      REQUIRE(decoded);
      CHECK(weft::as_text(*decoded) == plain);
    }
  }

  TEST_CASE("every length of bytes comes back") {
    weft::seeded_random random{1};
    for (std::size_t size = 0; size < 100; ++size) {
      std::vector<std::uint8_t> bytes(size);
      random.fill(bytes);
      CHECK(decode_base64(encode_base64(bytes)) == bytes);
    }
  }

  TEST_CASE("what no encoder writes is refused") {
    for (const std::string_view text : {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zm-v", "Zm9v\n", " Zm9v",
                                        "====", "Z===", "Zg==Zg==", "=Zg=", "Zm9vYg=a"}) {
      CAPTURE(text);
      CHECK_FALSE(decode_base64(text));
    }
  }
}
