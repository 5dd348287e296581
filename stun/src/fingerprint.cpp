#include <weft/stun/fingerprint.hpp>

#include "crc32_tables.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#  define WEFT_STUN_CRC32_PCLMUL
#  include <smmintrin.h>
#  include <wmmintrin.h>
#endif

namespace weft::stun {
namespace {

#ifdef WEFT_STUN_CRC32_PCLMUL

// Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction",
// Intel 2009: sixteen bytes are carried over the next sixteen by two multiplications with
// powers of x, and what remains is reduced by Barrett's method. The constants are the
// paper's for this polynomial, lowest bit first. `data` is whole sixteens, at least one.
__attribute__((target("pclmul,sse4.1"))) std::uint32_t update_by_multiplying(
    std::uint32_t c, const_bytes data) noexcept {
  const auto load = [](const std::uint8_t* p) __attribute__((target("sse4.1"))) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  };
  const __m128i fold = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
  const __m128i low_words = _mm_setr_epi32(-1, 0, -1, 0);
  __m128i x = _mm_xor_si128(load(data.data()), _mm_cvtsi32_si128(static_cast<int>(c)));
  for (std::size_t at = 16; at < data.size(); at += 16) {
    const __m128i carried =
        _mm_xor_si128(_mm_clmulepi64_si128(x, fold, 0x00), _mm_clmulepi64_si128(x, fold, 0x11));
    x = _mm_xor_si128(carried, load(data.data() + at));
  }
  // From 128 bits to 96, and to 64.
  x = _mm_xor_si128(_mm_srli_si128(x, 8), _mm_clmulepi64_si128(x, fold, 0x10));
  const __m128i fold_word = _mm_cvtsi64_si128(0x163cd6124);
  x = _mm_xor_si128(_mm_srli_si128(x, 4),
                    _mm_clmulepi64_si128(_mm_and_si128(x, low_words), fold_word, 0x00));
  // To 32.
  const __m128i barrett = _mm_set_epi64x(0x1f7011641, 0x1db710641);
  __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(x, low_words), barrett, 0x10);
  quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, low_words), barrett, 0x00);
  return static_cast<std::uint32_t>(_mm_extract_epi32(_mm_xor_si128(x, quotient), 1));
}

#endif  // WEFT_STUN_CRC32_PCLMUL

}  // namespace

std::uint32_t crc32(const_bytes data) noexcept {
  std::uint32_t c = 0xffffffff;
#ifdef WEFT_STUN_CRC32_PCLMUL
  if (data.size() >= 32 && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) {
    const std::size_t whole = data.size() & ~std::size_t{15};
    c = update_by_multiplying(c, data.first(whole));
    data = data.subspan(whole);
  }
#endif
  return ~crc32_by_tables(c, data);
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
