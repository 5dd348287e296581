#include <doctest/doctest.h>

#include <vector>

#include <weft/core/random.hpp>
#include <weft/stun/fingerprint.hpp>

#include "../../stun/src/crc32_tables.hpp"
#include "stun/raw_message.hpp"

using namespace weft::stun;
using namespace weft::test;

namespace {

// RFC 1952 §8, a bit at a time.
std::uint32_t slow_crc32(weft::const_bytes data) {
  std::uint32_t c = 0xffffffff;
  for (const std::uint8_t byte : data) {
    c ^= byte;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? 0xedb88320 ^ c >> 1 : c >> 1;
  }
  return ~c;
}

}  // namespace

TEST_SUITE("stun/fingerprint") {
  TEST_CASE("RFC 8489 §14.7: the CRC is the one of ITU V.42") {
    CHECK(crc32(weft::as_bytes("123456789")) == 0xcbf43926);
    CHECK(crc32({}) == 0);
  }

  TEST_CASE("the CRC of any bytes, at any place and of any length, is the slow one's") {
    weft::seeded_random random{1};
    std::vector<std::uint8_t> bytes(1600);
    random.fill(bytes);
    for (std::size_t offset = 0; offset < 16; ++offset) {
      for (std::size_t size = 0; size <= 400; ++size) {
        const auto part = weft::const_bytes{bytes}.subspan(offset, size);
        REQUIRE(crc32(part) == slow_crc32(part));
        // What a processor without carry-less multiplication uses.
        REQUIRE(~crc32_by_tables(0xffffffff, part) == slow_crc32(part));
      }
    }
    CHECK(crc32(bytes) == slow_crc32(bytes));
  }

  TEST_CASE("RFC 8489 §14.7: a FINGERPRINT is valid with four bytes, right ones, at the end") {
    CHECK_FALSE(
        has_valid_fingerprint(*message_view::parse(raw_message(message_class::request, {}))));
    for (std::size_t size = 0; size <= 8; ++size) {
      const auto wrong =
          raw_message(message_class::request, {{attribute_type::fingerprint, raw_bytes(size)}});
      CHECK_FALSE(has_valid_fingerprint(*message_view::parse(wrong)));
    }
    std::array<std::uint8_t, 28> buffer{};
    const auto bytes = message_builder{buffer, message_class::request, method::binding, raw_id}
                           .add_fingerprint()
                           .finish();
    REQUIRE(bytes.size() == 28);
    CHECK(has_valid_fingerprint(*message_view::parse(bytes)));
    buffer[27] ^= 1;
    CHECK_FALSE(has_valid_fingerprint(*message_view::parse(bytes)));
  }
}
