#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include <weft/core/bytes.hpp>

using weft::byte_reader;
using weft::byte_writer;

TEST_SUITE("core/bytes") {
  TEST_CASE("what a writer writes a reader reads, big-endian") {
    std::array<std::uint8_t, 24> buffer{};
    byte_writer out{buffer};
    out.u8(0x01);
    out.u16(0x0203);
    out.u24(0x040506);
    out.u32(0x0708090a);
    out.u48(0x0b0c0d0e0f10);
    out.u64(0x1112131415161718);
    REQUIRE(out.ok());
    REQUIRE(out.room() == 0);
    for (std::size_t i = 0; i < buffer.size(); ++i) CHECK(buffer[i] == i + 1);

    byte_reader in{buffer};
    CHECK(in.u8() == 0x01);
    CHECK(in.u16() == 0x0203);
    CHECK(in.u24() == 0x040506);
    CHECK(in.u32() == 0x0708090a);
    CHECK(in.u48() == 0x0b0c0d0e0f10);
    CHECK(in.u64() == 0x1112131415161718);
    CHECK(in.ok());
    CHECK(in.at_end());
  }

  TEST_CASE("after the first overrun a reader yields zeros and empty spans") {
    const std::array<std::uint8_t, 3> data{0xff, 0xff, 0xff};
    byte_reader in{data};
    CHECK(in.u16() == 0xffff);
    CHECK(in.u16() == 0);
    CHECK_FALSE(in.ok());
    CHECK(in.u8() == 0);
    CHECK(in.bytes(1).empty());
    CHECK(in.at_end());
  }

  TEST_CASE("after the first overflow a writer writes nothing more") {
    std::array<std::uint8_t, 4> buffer{};
    byte_writer out{weft::mutable_bytes{buffer}.first(3)};
    out.u16(0x0102);
    out.u16(0x0304);
    out.u8(5);
    out.zeros(1);
    out.bytes(buffer);
    out.patch_u16(0, 9);
    CHECK_FALSE(out.ok());
    CHECK(out.size() == 2);
    CHECK(buffer == std::array<std::uint8_t, 4>{1, 2, 0, 0});
  }

  TEST_CASE("a field written earlier can be patched, one not yet written cannot") {
    std::array<std::uint8_t, 4> buffer{};
    byte_writer out{buffer};
    out.zeros(3);
    out.patch_u16(1, 0x0a0b);
    out.patch_u16(2, 0xffff);
    CHECK(buffer == std::array<std::uint8_t, 4>{0, 0x0a, 0x0b, 0});
  }

  TEST_CASE("readers and writers work in constant expressions") {
    constexpr bool same = [] {
      std::array<std::uint8_t, 6> buffer{};
      byte_writer out{buffer};
      out.u32(0xdeadbeef);
      out.bytes(out.written().first(2));
      byte_reader in{buffer};
      return in.u48() == 0xdeadbeefdead;
    }();
    static_assert(same);
    CHECK(same);
  }
}
