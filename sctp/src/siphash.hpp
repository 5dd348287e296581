#ifndef WEFT_SCTP_SRC_SIPHASH_HPP
#define WEFT_SCTP_SRC_SIPHASH_HPP

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include <weft/core/bytes.hpp>

namespace weft::sctp {

using siphash_key = std::array<std::uint8_t, 16>;
using siphash_tag = std::array<std::uint8_t, 16>;

/// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein 2012; their reference code
/// defines the long output). A keyed function whose tags cannot be forged without the key: all
/// that a state cookie needs, from a few lines and no library.
constexpr siphash_tag siphash(const siphash_key& key, const_bytes data) noexcept {
  const auto word = [](const std::uint8_t* p, std::size_t count) {
    std::uint64_t v = 0;
    for (std::size_t i = 0; i < count; ++i) v |= std::uint64_t{p[i]} << (8 * i);
    return v;
  };
  const std::uint64_t k0 = word(key.data(), 8);
  const std::uint64_t k1 = word(key.data() + 8, 8);
  std::uint64_t v0 = k0 ^ 0x736f6d6570736575;
  std::uint64_t v1 = k1 ^ 0x646f72616e646f6d ^ 0xee;
  std::uint64_t v2 = k0 ^ 0x6c7967656e657261;
  std::uint64_t v3 = k1 ^ 0x7465646279746573;
  const auto rounds = [&](int count) {
    for (; count > 0; --count) {
      v0 += v1;
      v1 = std::rotl(v1, 13) ^ v0;
      v0 = std::rotl(v0, 32);
      v2 += v3;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 += v3;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 += v1;
      v1 = std::rotl(v1, 17) ^ v2;
      v2 = std::rotl(v2, 32);
    }
  };
  const auto absorb = [&](std::uint64_t m) {
    v3 ^= m;
    rounds(2);
    v0 ^= m;
  };
  std::size_t at = 0;
  for (; at + 8 <= data.size(); at += 8) absorb(word(data.data() + at, 8));
  absorb(word(data.data() + at, data.size() - at) | std::uint64_t{data.size()} << 56);

  siphash_tag tag{};
  v2 ^= 0xee;
  rounds(4);
  std::uint64_t half = v0 ^ v1 ^ v2 ^ v3;
  for (std::size_t i = 0; i < 8; ++i) tag[i] = static_cast<std::uint8_t>(half >> (8 * i));
  v1 ^= 0xdd;
  rounds(4);
  half = v0 ^ v1 ^ v2 ^ v3;
  for (std::size_t i = 0; i < 8; ++i) tag[8 + i] = static_cast<std::uint8_t>(half >> (8 * i));
  return tag;
}

}  // namespace weft::sctp

#endif  // WEFT_SCTP_SRC_SIPHASH_HPP
