#include <weft/sctp/crc32c.hpp>

#include <doctest/doctest.h>

#include <array>
#include <numeric>
#include <vector>

using weft::as_bytes;
using weft::sctp::crc32c;
using weft::sctp::detail::crc32c_portable;
using weft::sctp::detail::crc32c_update;

TEST_SUITE("sctp/crc32c") {
  TEST_CASE("RFC 3720 B.4: its examples") {
    std::array<std::uint8_t, 32> data{};
    CHECK(crc32c(data) == 0x8a9136aa);
    data.fill(0xff);
    CHECK(crc32c(data) == 0x62a8ab43);
    std::iota(data.begin(), data.end(), std::uint8_t{0});
    CHECK(crc32c(data) == 0x46dd794e);
    std::iota(data.rbegin(), data.rend(), std::uint8_t{0});
    CHECK(crc32c(data) == 0x113fdb5c);
    const std::array<std::uint8_t, 48> read_command{
        0x01, 0xc0, 0, 0, 0, 0, 0,    0, 0,    0, 0, 0,    0, 0, 0, 0,
        0x14, 0,    0, 0, 0, 0, 0x04, 0, 0,    0, 0, 0x14, 0, 0, 0, 0x18,
        0x28, 0,    0, 0, 0, 0, 0,    0, 0x02, 0, 0, 0,    0, 0, 0, 0};
    CHECK(crc32c(read_command) == 0xd9963a56);
  }

  TEST_CASE("the digits, and nothing") {
    CHECK(crc32c(as_bytes("123456789")) == 0xe3069283);
    CHECK(crc32c({}) == 0);
  }

  TEST_CASE("the processor's instruction and the tables agree at every length and alignment") {
    std::vector<std::uint8_t> data(7000);
    std::uint32_t x = 1;
    for (auto& byte : data) byte = static_cast<std::uint8_t>((x = x * 1664525 + 1013904223) >> 24);
    std::size_t differ = 0;
    for (std::size_t size = 0; size + 8 <= data.size(); size += size < 1600 ? 1 : 37) {
      const std::size_t at = size % 8;
      if (crc32c_portable(~0u, data.data() + at, size) !=
          crc32c_update(~0u, weft::const_bytes{data}.subspan(at, size)))
        ++differ;
    }
    CHECK(differ == 0);
  }
}
