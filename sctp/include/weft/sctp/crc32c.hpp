#ifndef WEFT_SCTP_CRC32C_HPP
#define WEFT_SCTP_CRC32C_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <weft/core/bytes.hpp>

#if defined(__x86_64__) && defined(__GNUC__)
#  define WEFT_SCTP_CRC32C_X86 1
#  include <nmmintrin.h>
#  include <wmmintrin.h>
#elif defined(__aarch64__) && defined(__GNUC__) && defined(__linux__)
#  define WEFT_SCTP_CRC32C_ARM 1
#  include <sys/auxv.h>
#endif

/// CRC32c (Castagnoli), SCTP's checksum (RFC 9260 Appendix A): with the processor's own
/// instruction where it has one, by tables elsewhere.
namespace weft::sctp {

namespace detail {

inline constexpr std::uint32_t crc32c_polynomial = 0x82f63b78;  // Bits reflected.

/// `tables[k][b]` is the CRC of byte `b` followed by `k` zero bytes.
constexpr std::array<std::array<std::uint32_t, 256>, 8> make_crc32c_tables() {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t crc = b;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? crc32c_polynomial : 0);
    tables[0][b] = crc;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t b = 0; b < 256; ++b)
      tables[k][b] = tables[k - 1][b] >> 8 ^ tables[0][tables[k - 1][b] & 0xff];
  return tables;
}
inline constexpr auto crc32c_tables = make_crc32c_tables();

/// Continues the raw register `crc`, eight bytes a step.
constexpr std::uint32_t crc32c_portable(std::uint32_t crc, const std::uint8_t* data,
                                        std::size_t size) noexcept {
  const auto& t = crc32c_tables;
  for (; size >= 8; size -= 8, data += 8) {
    crc ^= std::uint32_t{data[0]} | std::uint32_t{data[1]} << 8 | std::uint32_t{data[2]} << 16 |
           std::uint32_t{data[3]} << 24;
    crc = t[7][crc & 0xff] ^ t[6][crc >> 8 & 0xff] ^ t[5][crc >> 16 & 0xff] ^ t[4][crc >> 24] ^
          t[3][data[4]] ^ t[2][data[5]] ^ t[1][data[6]] ^ t[0][data[7]];
  }
  for (; size > 0; --size, ++data) crc = crc >> 8 ^ t[0][(crc ^ *data) & 0xff];
  return crc;
}

#if defined(WEFT_SCTP_CRC32C_X86)

/// Words of eight bytes that one of three lanes runs through before the lanes are joined.
inline constexpr std::size_t crc32c_max_lane = 128;

/// `x^(64 i - 33) mod P`, reflected. A register times this, reduced by one more step of the
/// instruction, has moved past `8 i` zero bytes.
constexpr std::array<std::uint32_t, 2 * crc32c_max_lane + 1> make_crc32c_shifts() {
  std::array<std::uint32_t, 2 * crc32c_max_lane + 1> shifts{};
  std::uint32_t power = 0x80000000;
  std::size_t exponent = 0;
  for (std::size_t i = 1; i < shifts.size(); ++i) {
    for (; exponent < 64 * i - 33; ++exponent)
      power = power >> 1 ^ ((power & 1) != 0 ? crc32c_polynomial : 0);
    shifts[i] = power;
  }
  return shifts;
}
inline constexpr auto crc32c_shifts = make_crc32c_shifts();

inline std::uint64_t load_word(const std::uint8_t* data) noexcept {
  std::uint64_t word;
  std::memcpy(&word, data, sizeof(word));
  return word;
}

__attribute__((target("sse4.2,pclmul"))) inline std::uint64_t crc32c_shift(
    std::uint64_t crc, std::size_t words) noexcept {
  const __m128i product =
      _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<long long>(crc)),
                           _mm_cvtsi32_si128(static_cast<int>(crc32c_shifts[words])), 0);
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(product));
}

/// The instruction takes three cycles but starts one every cycle: three lanes keep it busy.
__attribute__((target("sse4.2,pclmul"))) inline std::uint32_t crc32c_x86(
    std::uint32_t start, const std::uint8_t* data, std::size_t size) noexcept {
  std::uint64_t crc = start;
  while (size >= 96) {
    const std::size_t lane = size / 24 < crc32c_max_lane ? size / 24 : crc32c_max_lane;
    const std::uint8_t* second = data + 8 * lane;
    const std::uint8_t* third = second + 8 * lane;
    std::uint64_t crc2 = 0;
    std::uint64_t crc3 = 0;
    for (std::size_t i = 0; i < lane; ++i) {
      crc = _mm_crc32_u64(crc, load_word(data + 8 * i));
      crc2 = _mm_crc32_u64(crc2, load_word(second + 8 * i));
      crc3 = _mm_crc32_u64(crc3, load_word(third + 8 * i));
    }
    crc = crc3 ^ _mm_crc32_u64(0, crc32c_shift(crc, 2 * lane) ^ crc32c_shift(crc2, lane));
    data += 24 * lane;
    size -= 24 * lane;
  }
  for (; size >= 8; size -= 8, data += 8) crc = _mm_crc32_u64(crc, load_word(data));
  auto narrow = static_cast<std::uint32_t>(crc);
  for (; size > 0; --size, ++data) narrow = _mm_crc32_u8(narrow, *data);
  return narrow;
}

#elif defined(WEFT_SCTP_CRC32C_ARM)

/// Instructions by name, so that neither a header nor a compiler flag decides what is available.
inline std::uint32_t crc32c_arm(std::uint32_t crc, const std::uint8_t* data,
                                std::size_t size) noexcept {
  for (; size >= 8; size -= 8, data += 8) {
    std::uint64_t word;
    std::memcpy(&word, data, sizeof(word));
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
  }
  for (; size > 0; --size, ++data)
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"(*data));
  return crc;
}

#endif

inline std::uint32_t crc32c_update(std::uint32_t crc, const_bytes data) noexcept {
#if defined(WEFT_SCTP_CRC32C_X86)
  if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
    return crc32c_x86(crc, data.data(), data.size());
#elif defined(WEFT_SCTP_CRC32C_ARM)
  constexpr unsigned long hwcap_crc32 = 1ul << 7;
  if ((getauxval(AT_HWCAP) & hwcap_crc32) != 0) return crc32c_arm(crc, data.data(), data.size());
#endif
  return crc32c_portable(crc, data.data(), data.size());
}

}  // namespace detail

/// The CRC32c of `data`: 0xe3069283 for the digits 1 to 9.
inline std::uint32_t crc32c(const_bytes data) noexcept {
  return ~detail::crc32c_update(0xffffffff, data);
}

/// The CRC32c of an SCTP packet with its checksum field taken as zero (RFC 9260 §6.8). The
/// packet holds at least its header of 12 bytes.
inline std::uint32_t packet_crc32c(const_bytes packet) noexcept {
  constexpr std::uint8_t zero[4] = {};
  std::uint32_t crc = detail::crc32c_update(0xffffffff, packet.first(8));
  crc = detail::crc32c_update(crc, zero);
  return ~detail::crc32c_update(crc, packet.subspan(12));
}

}  // namespace weft::sctp

#endif  // WEFT_SCTP_CRC32C_HPP
