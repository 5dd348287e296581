#include <doctest/doctest.h>

#include <cstdint>

#include <weft/core/random.hpp>
#include <weft/core/serial.hpp>

using weft::newer_than;
using weft::serial_distance;

TEST_SUITE("core/serial") {
  TEST_CASE("RFC 1982 §5.2: the examples for eight bits") {
    using u8 = std::uint8_t;
    CHECK(newer_than<u8>(1, 0));
    CHECK(newer_than<u8>(44, 0));
    CHECK(newer_than<u8>(100, 0));
    CHECK(newer_than<u8>(100, 44));
    CHECK(newer_than<u8>(200, 100));
    CHECK(newer_than<u8>(255, 200));
    CHECK(newer_than<u8>(0, 255));
    CHECK(newer_than<u8>(100, 255));
    CHECK(newer_than<u8>(0, 200));
    CHECK(newer_than<u8>(44, 200));
  }

  TEST_CASE("distance is signed and survives the wrap") {
    CHECK(serial_distance<std::uint16_t>(65535, 2) == 3);
    CHECK(serial_distance<std::uint32_t>(2, 0xffffffff) == -3);
    CHECK(serial_distance<std::uint32_t>(7, 7) == 0);
    CHECK_FALSE(newer_than<std::uint32_t>(7, 7));
  }

  TEST_CASE("an unwrapper follows a number round many turns, with losses and reordering") {
    weft::seeded_random random{1};
    weft::unwrapper<std::uint16_t> numbers;
    std::uint64_t newest = 65000;
    REQUIRE(numbers.unwrap(65000) == 65536 + 65000);
    for (int i = 0; i < 100000; ++i) {
      const std::uint64_t next = newest + random.next() % 5000 - 2000;
      CHECK(numbers.peek(static_cast<std::uint16_t>(next)) == 65536 + next);
      CHECK(numbers.unwrap(static_cast<std::uint16_t>(next)) == 65536 + next);
      if (next > newest) newest = next;
    }
    CHECK(newest > 20 * 65536);
  }

  TEST_CASE("a number older than the first has a place below it") {
    weft::unwrapper<std::uint32_t> numbers;
    const auto first = numbers.unwrap(0);
    CHECK(numbers.unwrap(0xffffffff) == first - 1);
  }
}
