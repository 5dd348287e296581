#include <weft/stun/fingerprint.hpp>

#include <array>

namespace weft::stun {
namespace {

constexpr std::uint32_t polynomial = 0xedb88320;  // RFC 1952 §8, lowest bit first

// Slicing by eight: table k holds what a byte contributes that lies k bytes before the end.
constexpr auto tables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> t{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? polynomial ^ c >> 1 : c >> 1;
    t[0][i] = c;
  }
  for (std::size_t k = 1; k < t.size(); ++k)
    for (std::size_t i = 0; i < 256; ++i) t[k][i] = t[0][t[k - 1][i] & 0xff] ^ t[k - 1][i] >> 8;
  return t;
}();

}  // namespace

std::uint32_t crc32(const_bytes data) noexcept {
  std::uint32_t c = 0xffffffff;
  const std::uint8_t* p = data.data();
  std::size_t left = data.size();
  for (; left >= 8; left -= 8, p += 8) {
    c ^= std::uint32_t{p[0]} | std::uint32_t{p[1]} << 8 | std::uint32_t{p[2]} << 16 |
         std::uint32_t{p[3]} << 24;
    c = tables[7][c & 0xff] ^ tables[6][c >> 8 & 0xff] ^ tables[5][c >> 16 & 0xff] ^
        tables[4][c >> 24] ^ tables[3][p[4]] ^ tables[2][p[5]] ^ tables[1][p[6]] ^ tables[0][p[7]];
  }
  for (; left > 0; --left, ++p) c = tables[0][(c ^ *p) & 0xff] ^ c >> 8;
  return ~c;
}

bool has_valid_fingerprint(const message_view& message) noexcept {
  const auto found = message.fingerprint();
  if (!found || found->value.size() != 4) return false;
  if (found->offset + 8 != message.bytes().size()) return false;
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
  return true;
#else
  return found->u32() == (crc32(message.bytes().first(found->offset)) ^ fingerprint_xor);
#endif
}

message_builder& message_builder::add_fingerprint() noexcept {
  if (!ok()) return *this;
  set_length(8);  // RFC 8489 §14.7: the CRC covers a length that counts the attribute
  return add_u32(attribute_type::fingerprint, crc32(out_.written()) ^ fingerprint_xor);
}

}  // namespace weft::stun
