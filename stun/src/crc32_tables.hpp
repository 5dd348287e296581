#ifndef WEFT_STUN_CRC32_TABLES_HPP
#define WEFT_STUN_CRC32_TABLES_HPP

#include <array>
#include <cstddef>
#include <cstdint>

#include <weft/core/bytes.hpp>

namespace weft::stun {

inline constexpr std::uint32_t crc32_polynomial = 0xedb88320;  // RFC 1952 §8, lowest bit first

// Slicing by eight: table k holds what a byte contributes that lies k bytes before the end.
inline constexpr auto crc32_tables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> t{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? crc32_polynomial ^ c >> 1 : c >> 1;
    t[0][i] = c;
  }
  for (std::size_t k = 1; k < t.size(); ++k)
    for (std::size_t i = 0; i < 256; ++i) t[k][i] = t[0][t[k - 1][i] & 0xff] ^ t[k - 1][i] >> 8;
  return t;
}();

/// Takes the CRC-32 register `c` over `data`, on any processor.
constexpr std::uint32_t crc32_by_tables(std::uint32_t c, const_bytes data) noexcept {
  const std::uint8_t* p = data.data();
  std::size_t left = data.size();
  for (; left >= 8; left -= 8, p += 8) {
    c ^= std::uint32_t{p[0]} | std::uint32_t{p[1]} << 8 | std::uint32_t{p[2]} << 16 |
         std::uint32_t{p[3]} << 24;
    c = crc32_tables[7][c & 0xff] ^ crc32_tables[6][c >> 8 & 0xff] ^
        crc32_tables[5][c >> 16 & 0xff] ^ crc32_tables[4][c >> 24] ^ crc32_tables[3][p[4]] ^
        crc32_tables[2][p[5]] ^ crc32_tables[1][p[6]] ^ crc32_tables[0][p[7]];
  }
  for (; left > 0; --left, ++p) c = crc32_tables[0][(c ^ *p) & 0xff] ^ c >> 8;
  return c;
}

}  // namespace weft::stun

#endif  // WEFT_STUN_CRC32_TABLES_HPP
